//! Nobody gets at more by what is ours than by the tables: for every example of every manual page, what each function and
//! each table of ours lets each kind of role do, and what the new shape shows where row policies hide everything.

use std::collections::BTreeSet;

use postgres::Client;

use crate::cycle::for_each_example;
use crate::page::{Example, Outcome, new_database, result, shell};
use crate::support::{Database, rows};

/// What one role may do with every table, and the roles of a test: they are the whole server's, so they are named after
/// the database.
const KINDS: [(&str, &str); 6] = [
    ("nothing", ""),
    ("reads", "SELECT"),
    ("inserts", "INSERT"),
    ("deletes", "DELETE"),
    ("adds", "SELECT, INSERT"),
    ("all", "SELECT, INSERT, UPDATE, DELETE"),
];

/// Functions that act as their owner and tell no more of a row than the attempt to write it would.
const TELL_OF_WRITES: [&str; 7] = ["taken_", "excluded_", "refers_", "next_", "fresh_", "lock_", "judge_"];

fn role(database: &Database, kind: &str) -> String {
    format!("{}_{kind}", database.name)
}

/// An example's tables, with roles that may do something with all of them.
fn with_roles(example: &Example) -> Database {
    let database = new_database(&example.before);
    let mut client = database.client();
    let schemas = "SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'";
    let schemas: Vec<String> = client.query(schemas, &[]).unwrap().iter().map(|r| r.get(0)).collect();
    for (kind, privileges) in KINDS {
        let role = role(&database, kind);
        client.batch_execute(&format!("CREATE ROLE {role}")).unwrap();
        for schema in schemas.iter().filter(|_| !privileges.is_empty()) {
            client
                .batch_execute(&format!(
                    "GRANT USAGE ON SCHEMA \"{schema}\" TO {role}; GRANT {privileges} ON ALL TABLES IN SCHEMA \"{schema}\" TO {role};
                     GRANT USAGE ON ALL SEQUENCES IN SCHEMA \"{schema}\" TO {role}"
                ))
                .unwrap();
        }
    }
    database
}

fn forget(database: &Database) {
    let mut client = database.client();
    for (kind, _) in KINDS {
        let role = role(database, kind);
        client.batch_execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).unwrap();
    }
}

fn names(client: &mut Client, query: &str) -> BTreeSet<String> {
    client.query(query, &[]).unwrap().iter().map(|r| r.get(0)).collect()
}

/// Functions of ours that a role may call: those of triggers, those that act as their owner, all others.
fn callable(client: &mut Client, role: &str) -> [BTreeSet<String>; 3] {
    ["p.prorettype = 'trigger'::regtype", "p.prosecdef AND p.prorettype <> 'trigger'::regtype", "true"].map(|which| {
        let may = format!("has_function_privilege('{role}', p.oid, 'EXECUTE')");
        let sql = format!(
            "SELECT p.proname::text FROM pg_proc AS p WHERE p.pronamespace = to_regnamespace('refactor') AND {which} AND {may}"
        );
        names(client, &sql)
    })
}

#[test]
fn functions_and_tables_of_ours_give_nobody_more() {
    for_each_example(|example| {
        let database = with_roles(example);
        let said = shell(&database, &example.command);
        assert!(!said.contains("[exit code"), "{said}");
        let mut client = database.client();
        for (kind, privileges) in KINDS {
            let role = role(&database, kind);
            let [triggers, definers, all] = callable(&mut client, &role);
            assert_eq!(
                triggers,
                BTreeSet::new(),
                "{}: functions of triggers that `{kind}` may attach",
                example.command
            );
            let told = |name: &String| {
                privileges.contains("INSERT")
                    || privileges.contains("DELETE") && TELL_OF_WRITES.iter().any(|prefix| name.starts_with(prefix))
            };
            let more: BTreeSet<&String> = definers
                .iter()
                .filter(|name| kind != "all" && !(kind == "adds" && name.starts_with("find_")) && !told(name))
                .collect();
            assert_eq!(more, BTreeSet::new(), "{}: functions that act as their owner for `{kind}`", example.command);
            if kind == "nothing" {
                let open: BTreeSet<&String> = all
                    .iter()
                    .filter(|name| !["told_", "back_", "fits_", "gone_"].iter().any(|prefix| name.starts_with(prefix)))
                    .collect();
                assert_eq!(open, BTreeSet::new(), "{}: functions for everybody", example.command);
            }
            let complements = format!(
                "SELECT c.relname || ' ' || p FROM pg_class AS c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p
                 WHERE c.relnamespace = to_regnamespace('refactor') AND c.relkind = 'r' AND c.relname ~ '^(kept|done|lost)_'
                   AND has_table_privilege('{role}', c.oid, p)"
            );
            let reads = |name: &String| name.ends_with(" SELECT") && privileges.contains("SELECT");
            let more: BTreeSet<String> =
                names(&mut client, &complements).into_iter().filter(|name| kind != "all" && !reads(name)).collect();
            assert_eq!(more, BTreeSet::new(), "{}: what `{kind}` may do with complements", example.command);
        }
        forget(&database);
    });
}

#[test]
fn who_may_do_everything_with_the_tables_writes_through_both_shapes() {
    for_each_example(|example| {
        let told = example.command.starts_with("refactor sql") && !example.command.contains("--replaces");
        if told || example.command.starts_with("refactor create-table") {
            return; // Nobody was granted anything on it yet.
        }
        let database = with_roles(example);
        shell(&database, &example.command);
        for (new, statement) in &example.writes {
            let mut client = if *new { database.next() } else { database.client() };
            client.batch_execute(&format!("SET ROLE {}", role(&database, "all"))).unwrap();
            if let Outcome::Failed { code, lines } = result(&mut client, statement) {
                let ours = lines[0].contains("for function") || lines[0].contains("kept_") || lines[0].contains("view");
                assert!(code != "42501" || !ours, "{}: {statement}\n{}", example.command, lines.join("\n"));
            }
        }
        forget(&database);
    });
}

/// What a role sees of every view of the new shape, every table, and every table of ours but the journal.
fn seen(client: &mut Client) -> Vec<String> {
    let readable = "SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'v', 'p') AND c.relname <> 'journal'
          AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')";
    let mut all = Vec::new();
    for table in names(client, readable) {
        // A name that is gone tells where it went.
        if client.batch_execute(&format!("SELECT FROM {table}")).is_ok() {
            all.extend(rows(client, &format!("SELECT '{}', t FROM {table} AS t", table.replace('\'', "''"))));
        }
    }
    all
}

#[test]
fn row_policies_hide_from_the_new_shape_what_they_hide_from_the_tables() {
    for_each_example(|example| {
        let database = with_roles(example);
        let all = role(&database, "all");
        let tables = "SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p')";
        let mut client = database.client();
        for table in names(&mut client, tables) {
            client
                .batch_execute(&format!(
                    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON {table} USING (false)"
                ))
                .unwrap();
        }
        let said = shell(&database, &example.command);
        if said.contains("[exit code") {
            assert!(said.contains("row policies"), "{}\n{said}", example.command);
        } else {
            let mut app = database.next();
            app.batch_execute(&format!("SET ROLE {all}")).unwrap();
            assert_eq!(seen(&mut app), Vec::<String>::new(), "{}, deferred", example.command);
            let real = database.run(&["materialize", "--yes"]);
            if real.status.success() {
                assert_eq!(seen(&mut app), Vec::<String>::new(), "{}, real", example.command);
            }
        }
        forget(&database);
    });
}

#[test]
fn what_clashes_is_named_only_to_who_may_read_it() {
    let said = |grant: &str, row_security: bool| {
        let database = Database::new(
            "CREATE TABLE shifts (id int PRIMARY KEY, place int4range); INSERT INTO shifts VALUES (1, '[1,5)')",
        );
        let role = role(&database, "guest");
        let mut client = database.client();
        client.batch_execute(&format!("CREATE ROLE {role}; GRANT {grant} ON shifts TO {role}")).unwrap();
        if row_security {
            client
                .batch_execute("ALTER TABLE shifts ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON shifts USING (id > 1)")
                .unwrap();
        }
        database.ok(&["add-exclusion", "shifts", "place WITH &&"]);
        let refused = database.next().execute("INSERT INTO shifts VALUES (2, '[2,3)')", &[]).unwrap_err();
        let detail = refused.as_db_error().unwrap().detail().unwrap().to_owned();
        client
            .batch_execute(&format!("REVOKE ALL ON shifts FROM {role}; DROP OWNED BY {role}; DROP ROLE {role}"))
            .unwrap();
        detail
    };
    let named = "Key (place)=([2,3)) conflicts with existing key (place)=([1,5)).";
    let hidden = "Key (place)=([2,3)) conflicts with an existing key.";
    assert_eq!(said("SELECT, INSERT", false), named);
    assert_eq!(said("SELECT", false), named);
    assert_eq!(said("INSERT", false), hidden);
    assert_eq!(said("DELETE", false), hidden);
    assert_eq!(said("SELECT, INSERT", true), hidden);
}
