//! Hostile names: whatever PostgreSQL takes for a name stays a name, in every lens, in both shapes, and for good.

use refactor::name::Ident;
use refactor::sql::Literal;

use crate::page::shell;
use crate::support::Database;

const WORDS: &[&str] =
    &["Order", "select", "a\"b", "x y", "ünï", "50%'s", "a, b", "a.b", "%I %s", "\\n", "table JOIN u", "by"];

/// Names of variables and aliases in the functions that are made.
const VARIABLES: &[&str] = &[
    "value", "known", "v", "s", "b", "x", "k1", "g", "via", "now", "r", "w", "q", "old", "new", "a0", "t", "m", "n",
    "has", "adopt", "changed", "home", "theirs", "winners", "writer", "token", "strong", "again_k1",
];

const ATTACKS: &[&str] = &[
    "x\"; DROP TABLE victims; --",
    "'); DROP TABLE victims; --",
    "$$; DROP TABLE victims; --",
    "$refactor$; DROP TABLE victims; --",
    "\n$refactor$;\nCREATE VIEW next.e AS SELECT 1;",
    "\n$refactor; $$ /* ",
    "{{ get }}",
    "*/ ; DROP TABLE victims",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names of 63 bytes that differ in the last one.
fn twins<const N: usize>() -> [String; N] {
    std::array::from_fn(|i| format!("{}{i}", &"twin_".repeat(13)[..62]))
}

/// A shop whose tables, fields and constraints have these names.
struct Shop {
    database: Database,
    source: String,
    target: String,
    key: String,
    reference: String,
    field: String,
}

impl Shop {
    fn new(schema: &str, source: &str, target: &str, key: &str, reference: &str, field: &str) -> Self {
        let [schema, source, target] = [schema, source, target].map(quoted);
        let (source, target) = (format!("{schema}.{source}"), format!("{schema}.{target}"));
        let [key, reference, field] = [key, reference, field].map(quoted);
        let database = Database::new(&format!(
            "CREATE TABLE victims (id int);
             CREATE SCHEMA IF NOT EXISTS {schema};
             CREATE TABLE {target} ({key} int PRIMARY KEY, o text DEFAULT 'o');
             CREATE TABLE {source} (id int PRIMARY KEY, {reference} int CONSTRAINT {field} REFERENCES {target} ON UPDATE CASCADE, {field} text CONSTRAINT {reference} CHECK ({field} <> ''), other int);
             CREATE INDEX ON {source} ({reference});
             COMMENT ON COLUMN {source}.{field} IS {};
             INSERT INTO {target} VALUES (1), (2);
             INSERT INTO {source} VALUES (1, 1, 'u', 1), (2, 1, 'u', 2), (3, 2, 'v', 3), (4, NULL, 'w', 4);",
            Literal(field.clone())
        ));
        Self { database, source, target, key, reference, field }
    }

    /// Fields of the first schema are shown in `next`.
    fn run(&self, arguments: &[&str], sql: &str, check: &[(&str, &[&str])]) {
        self.database.ok(arguments);
        self.write(sql);
        self.check("next", check);
    }

    fn write(&self, sql: &str) {
        if let Err(error) = self.database.client().batch_execute(sql) {
            panic!("{}", refactor::db::message::render(&error, Some(sql)));
        }
    }

    fn check(&self, when: &str, check: &[(&str, &[&str])]) {
        for (query, rows) in check {
            assert_eq!(self.database.rows(query), *rows, "{when}: {query}");
        }
        assert_eq!(self.database.rows("SELECT * FROM victims"), Vec::<String>::new());
    }
}

/// The part of a qualified name after the schema, both quoted.
fn bare(name: &str) -> &str {
    name.split_once("\".\"").map_or(name, |(schema, _)| &name[schema.len() + 2..])
}

/// Up and back down, renamed, with a field more and one less, written through and made real.
fn life(schema: &str, source: &str, target: &str, key: &str, reference: &str, field: &str, new: &str) {
    let shop = Shop::new(schema, source, target, key, reference, field);
    let Shop { source, target, key, reference, field, .. } = &shop;
    let (next_source, next_target) = (format!("next.{}", bare(source)), format!("next.{}", bare(target)));
    let up = format!("SELECT {key}, {field} FROM {next_target}");
    shop.run(
        &["move-field", &format!("{source}.{field}"), target],
        &format!(
            "UPDATE {next_target} SET {field} = 'x' WHERE {key} = 1; INSERT INTO {next_target} ({key}, {field}) VALUES (3, 'y');
             INSERT INTO {next_source} (id, {reference}) VALUES (5, 3); UPDATE {next_source} SET {reference} = 3 WHERE id = 3;
             UPDATE {source} SET {field} = 'z' WHERE {reference} = 3; UPDATE {next_target} SET {key} = 7 WHERE {key} = 3;
             DELETE FROM {next_source} WHERE id = 5; DELETE FROM {source} WHERE id = 3"
        ),
        &[(&up, &["(1,x)", "(2,v)", "(7,z)"]), (&format!("SELECT id, {field} FROM {source}"), &["(1,x)", "(2,x)", "(4,w)"])],
    );
    let empty = format!("UPDATE {next_target} SET {field} = '' WHERE {key} = 7");
    let error = shop.database.client().batch_execute(&empty).unwrap_err();
    let constraint = error.as_db_error().and_then(|e| e.constraint().map(quoted));
    assert_eq!(constraint.as_ref(), Some(reference));
    shop.database.ok(&["materialize", "--yes"]);
    shop.check("real", &[(&format!("SELECT {key}, {field} FROM {target}"), &["(1,x)", "(2,v)", "(7,z)"])]);

    shop.run(
        &["move-field", &format!("{target}.{field}"), source],
        &format!("UPDATE {next_source} SET {field} = 'p' WHERE id = 1; UPDATE {target} SET {field} = 'q' WHERE {key} = 2; INSERT INTO {next_source} (id, {reference}, {field}) VALUES (8, 2, 'r'); DELETE FROM {next_target} WHERE {key} = 7"),
        &[(&format!("SELECT id, {field} FROM {next_source}"), &["(1,p)", "(2,x)", "(4,)", "(8,r)"])],
    );
    shop.database.ok(&["materialize", "--yes"]);
    shop.check("real", &[(&format!("SELECT id, {field} FROM {source}"), &["(1,p)", "(2,x)", "(4,)", "(8,r)"])]);

    let new = quoted(new);
    shop.run(
        &["rename-field", &format!("{source}.{field}"), &new],
        &format!("UPDATE {next_source} SET {new} = 'n' WHERE id = 1"),
        &[(&format!("SELECT id, {new} FROM {next_source} WHERE id = 1"), &["(1,n)"])],
    );
    shop.run(
        &["add-field", &format!("{source}.{field}"), "text", "--as", &format!("{new} || '!'")],
        &format!("UPDATE {next_source} SET {field} = 'own' WHERE id = 1"),
        &[(&format!("SELECT id, {field} FROM {next_source} WHERE id < 3"), &["(1,own)", "(2,x!)"])],
    );
    let renamed = format!("next.{new}");
    shop.run(
        &["rename-table", source, &new],
        &format!("INSERT INTO {renamed} (id, {new}, {field}) VALUES (9, 'a', 'b')"),
        &[(&format!("SELECT id, {new}, {field} FROM {renamed} WHERE id > 8"), &["(9,a,b)"])],
    );
    let gone = shop.database.client().batch_execute(&format!("SELECT FROM {next_source}")).unwrap_err();
    assert_eq!(gone.code().unwrap().code(), "42P01");
    let schema = quoted(schema);
    shop.run(
        &["drop-field", &format!("{schema}.{new}.other")],
        &format!("UPDATE {renamed} SET {field} = {new} WHERE id = 9"),
        &[(&format!("SELECT * FROM {renamed} WHERE id > 8"), &["(9,,a,a)"])],
    );
    shop.database.ok(&["materialize", "--yes"]);
    shop.check("real", &[(&format!("SELECT * FROM {schema}.{new} WHERE id > 8"), &["(9,,a,a)"])]);
}

#[test]
fn tables_and_fields_may_have_any_name() {
    for name in WORDS {
        life(
            "public",
            name,
            &format!("{name}2"),
            &format!("{name} key"),
            &format!("{name} reference"),
            name,
            "new name",
        );
        life("public", "a", "b", "id", "b_id", "f", name);
    }
}

#[test]
fn fields_may_be_called_as_our_variables() {
    // Each is the field, the key or the reference of a move.
    for (at, name) in VARIABLES.iter().enumerate().step_by(3) {
        let other = |n: usize| VARIABLES[(at + n) % VARIABLES.len()];
        life("public", other(3), other(4), other(1), other(2), name, "f");
    }
}

#[test]
fn an_attack_stays_a_name() {
    for name in ATTACKS {
        life(name, name, &format!("{name}2"), &format!("{name} key"), &format!("{name} reference"), name, "f");
    }
}

/// Retyped, merged and split, written through, made real.
fn reshaped(schema: &str, table: &str, key: &str, one: &str, two: &str) {
    let [schema, table, key, one, two] = [schema, table, key, one, two].map(quoted);
    let whole = format!("{schema}.{table}");
    let database = Database::new(&format!(
        "CREATE TABLE victims (id int); CREATE SCHEMA IF NOT EXISTS {schema};
         CREATE TABLE {whole} ({key} int PRIMARY KEY, {one} text, {two} text, other text DEFAULT '3');
         INSERT INTO {whole} VALUES (1, 'a', 'b', '07'), (2, NULL, 'c', NULL);"
    ));
    let next = "next";
    let shown = format!("{next}.{table}");
    let run = |sql: &str| {
        database
            .client()
            .batch_execute(sql)
            .unwrap_or_else(|e| panic!("{}", refactor::db::message::render(&e, Some(sql))));
    };
    database.ok(&["rename-field", &format!("{whole}.other"), "\"o p\""]);
    let back = format!("nullif(split_part({two}, '/', 1), '')");
    let rest = format!("nullif(split_part({two}, '/', 2), '')");
    let by = format!("{one} || '/' || {two}");
    database.ok(&[
        "merge-fields",
        &format!("{whole}.{one}"),
        &two,
        "--into",
        &two,
        "--by",
        &by,
        "--back",
        &back,
        "--back",
        &rest,
    ]);
    database.ok(&["change-type", &format!("{whole}.\"o p\""), "int"]);
    run(&format!(
        "UPDATE {shown} SET {two} = 'x/y', \"o p\" = 7 WHERE {key} = 1; INSERT INTO {shown} ({key}, {two}) VALUES (3, 'z'); UPDATE {shown} SET {key} = 4 WHERE {key} = 3; UPDATE {whole} SET {one} = 'k' WHERE {key} = 2"
    ));
    let rows = format!("SELECT {key}, {two}, \"o p\" FROM ");
    let expected = ["(1,x/y,7)", "(2,k/c,)", "(4,z,3)"];
    assert_eq!(database.rows(&format!("{rows}{shown}")), expected);
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows(&format!("{rows}{whole}")), expected);
    let into = format!("{one},\"p q\"");
    let (first, last) = (format!("split_part({two}, '/', 1)"), format!("split_part({two}, '/', 2)"));
    let back = format!("{one} || '/' || \"p q\"");
    database.ok(&[
        "split-field",
        &format!("{whole}.{two}"),
        "--into",
        &into,
        "--by",
        &first,
        "--by",
        &last,
        "--back",
        &back,
    ]);
    run(&format!(
        "UPDATE {shown} SET {one} = 'n' WHERE {key} = 1; UPDATE {shown} SET \"p q\" = NULL WHERE {key} = 2; DELETE FROM {shown} WHERE {key} = 4"
    ));
    let rows = format!("SELECT {key}, {one}, \"p q\" FROM ");
    let expected = ["(1,n,y)", "(2,k,)"];
    assert_eq!(database.rows(&format!("{rows}{shown}")), expected);
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows(&format!("{rows}{whole}")), expected);
    assert_eq!(database.rows("SELECT * FROM victims"), Vec::<String>::new());
}

#[test]
fn reshaped_fields_may_have_any_name() {
    for name in WORDS.iter().filter(|w| !w.contains(',')).step_by(3).chain(ATTACKS.iter().step_by(3)) {
        reshaped("public", name, &format!("{name} key"), name, &format!("{name}2"));
    }
    for at in (0..VARIABLES.len()).step_by(9) {
        let name = |n: usize| VARIABLES[(at + n) % VARIABLES.len()];
        reshaped("public", name(3), name(1), name(0), name(2));
    }
    let twins: [String; 4] = twins();
    let [two, three, four, five] = twins.each_ref().map(String::as_str);
    reshaped("public", two, three, four, five);
}

/// Rows in quarantine there and back, then flags and JSON.
fn put_apart(table: &str, key: &str, one: &str, two: &str) {
    let [whole, key, one, two, flag] = [table, key, one, two, &format!("{one} flag")].map(quoted);
    let whole = format!("public.{whole}");
    let shown = whole.replacen("public", "next", 1);
    let database = Database::new(&format!(
        "CREATE TABLE victims (id int);
         CREATE TABLE {whole} ({key} int PRIMARY KEY, {one} text, {two} jsonb);
         CREATE TABLE child ({two} int PRIMARY KEY, {one} int CONSTRAINT {two} REFERENCES {whole});
         INSERT INTO {whole} VALUES (1, 'u', '{{}}'), (2, NULL, '{{}}'), (3, 'v', NULL); INSERT INTO child VALUES (1, 1);"
    ));
    let back = |step: &str| {
        database.take_back(step);
        let all = format!("SELECT {key} FROM {shown}");
        let before = database.rows(&all);
        database.ok(&["materialize", "--yes"]);
        assert_eq!(database.rows(&format!("SELECT {key} FROM {whole}")), before);
        before
    };
    database.ok(&["set-not-null", &format!("{whole}.{one}"), "--on-violation", "quarantine"]);
    let check = format!("{two} IS NOT NULL");
    database.ok(&["add-check", &whole, &check, "--name", &two, "--on-violation", "quarantine"]);
    assert_eq!(database.rows(&format!("SELECT {key} FROM {shown}")), ["(1)"]);
    let refer = |to: i32| database.next().batch_execute(&format!("INSERT INTO child VALUES ({}, {to})", to + 10));
    refer(1).unwrap();
    assert!(refer(2).is_err() && refer(3).is_err());
    database.ok(&["materialize", "--yes"]);
    assert_eq!(back("0002"), ["(1)", "(3)"]);
    assert_eq!(back("0001"), ["(1)", "(2)", "(3)"]);

    let field = format!("{whole}.{one}");
    let map = format!("u='{}',v=other", flag.replace('\'', "''"));
    database.ok(&["code-to-flags", &field, "--map", &map, "--name", &two]);
    database.ok(&["extract-json", &format!("{whole}.{two}"), &one, "int", "--in", table, "--as", "n"]);
    let document = Literal(serde_json::json!({ table: { one: 5, two: 6 } }).to_string());
    let sql = format!("INSERT INTO {whole} VALUES (4, 'u', {document}); UPDATE {shown} SET n = 7 WHERE {key} = 4");
    database.client().batch_execute(&sql).unwrap();
    let rows = format!("SELECT {key}, {flag}, other, n FROM");
    let expected = ["(1,t,f,)", "(2,f,f,)", "(3,f,t,)", "(4,t,f,7)"];
    assert_eq!(database.rows(&format!("{rows} {shown}")), expected);
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows(&format!("{rows} {whole}")), expected);
    assert_eq!(database.rows("SELECT * FROM victims"), Vec::<String>::new());
}

#[test]
fn what_is_put_apart_may_have_any_name() {
    for name in WORDS.iter().step_by(2).chain(ATTACKS.iter().step_by(2)) {
        put_apart(name, &format!("{name} key"), name, &format!("{name}2"));
    }
    for at in (0..VARIABLES.len()).step_by(9) {
        let name = |n: usize| VARIABLES[(at + n) % VARIABLES.len()];
        put_apart(name(3), name(1), name(0), name(2));
    }
}

/// Rows that are deleted with a mark, from both shapes, and without one again.
fn marked(table: &str, key: &str, one: &str, two: &str) {
    let [whole, key, one, two] = [table, key, one, two].map(quoted);
    let (shown, whole) = (format!("next.{whole}"), format!("public.{whole}"));
    let database = Database::new(&format!(
        "CREATE TABLE victims (id int);
         CREATE TABLE parent ({two} int PRIMARY KEY, {one} int); INSERT INTO parent VALUES (1), (2);
         CREATE TABLE {whole} ({key} int PRIMARY KEY, {two} int CONSTRAINT {two} REFERENCES parent ON DELETE CASCADE);
         CREATE TABLE child ({two} int PRIMARY KEY, {one} int CONSTRAINT {two} REFERENCES {whole});
         INSERT INTO {whole} VALUES (1, NULL), (2, 1), (3, 2), (4, 2); INSERT INTO child VALUES (1, 1);"
    ));
    let text = Literal(one.clone()).to_string();
    database.ok(&["soft-delete", &whole, "--field", &one, "--type", "text", "--mark", &text]);
    let sql = format!("DELETE FROM {whole} WHERE {key} IN (2, 3); DELETE FROM parent WHERE {two} = 1");
    database.client().batch_execute(&sql).unwrap();
    let sql = format!("UPDATE {shown} SET {one} = NULL WHERE {key} = 3; DELETE FROM {shown} WHERE {key} = 4");
    database.next().batch_execute(&sql).unwrap();
    assert_eq!(database.rows(&format!("SELECT {key}, {one} IS NULL FROM {shown}")), ["(1,t)", "(3,t)"]);
    database.client().batch_execute(&format!("DELETE FROM {whole} WHERE {key} = 3")).unwrap();
    let all = format!("SELECT {key}, {one} = {text} FROM");
    assert_eq!(database.rows(&format!("{all} {shown}")), ["(1,)", "(3,t)"]);
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows(&format!("{all} {whole}")), ["(1,)", "(3,t)"]);
    database.take_back("0001");
    let sql = format!("INSERT INTO {shown} VALUES (5, 2); DELETE FROM {shown} WHERE {key} = 5");
    database.client().batch_execute(&sql).unwrap();
    let refused = database.client().batch_execute(&format!("DELETE FROM {shown} WHERE {key} = 1")).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "23503");
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows(&format!("SELECT {key} FROM {whole}")), ["(1)"]);
    database.take_back("0002");
    assert_eq!(database.rows(&format!("{all} {shown}")), ["(1,)", "(3,t)", "(5,t)"]);
    assert_eq!(database.rows("SELECT * FROM victims"), Vec::<String>::new());
}

#[test]
fn what_is_marked_may_have_any_name() {
    for name in WORDS.iter().step_by(2).chain(ATTACKS.iter().step_by(2)) {
        marked(name, &format!("{name} key"), name, &format!("{name}2"));
    }
    for at in (0..VARIABLES.len()).step_by(9) {
        let name = |n: usize| VARIABLES[(at + n) % VARIABLES.len()];
        marked(name(3), name(1), name(0), name(2));
    }
}

/// Only this one cannot be had: it would end the functions that are made.
#[test]
fn twins_of_63_bytes_stay_apart() {
    let names: [String; 6] = twins();
    assert_eq!(names[0].len(), 63);
    let [one, two, three, four, five, six] = names.each_ref().map(String::as_str);
    life("public", one, two, three, four, five, six);
    life(six, five, four, three, two, one, six);
}

#[test]
fn two_twins_move_to_one_table() {
    let [one, two] = twins();
    let shop = Database::new(&format!(
        "CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE a (id int PRIMARY KEY, b_id int REFERENCES b, {one} text, {two} text);
         CREATE INDEX ON a (b_id); INSERT INTO b VALUES (1), (2); INSERT INTO a VALUES (1, 1, 'u', 'v');"
    ));
    shop.ok(&["move-field", &format!("a.{one}"), "b"]);
    shop.ok(&["move-field", &format!("a.{two}"), "b"]);
    shop.client()
        .batch_execute(&format!(
            "UPDATE next.b SET {one} = 'x', {two} = 'y' WHERE id = 1; UPDATE next.b SET {two} = 'z' WHERE id = 2"
        ))
        .unwrap();
    assert_eq!(shop.rows("SELECT * FROM next.b"), ["(1,x,y)", "(2,,z)"]);
    assert_eq!(shop.rows("SELECT * FROM a"), ["(1,1,x,y)"]);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT * FROM b"), ["(1,x,y)", "(2,,z)"]);
}

#[test]
fn schemas_may_have_tables_of_one_name() {
    let shop = Database::new(
        "CREATE SCHEMA s; CREATE SCHEMA \"S\"; CREATE SCHEMA next_door;
         CREATE TABLE public.t (id int PRIMARY KEY, f text); CREATE TABLE s.t (id int PRIMARY KEY, f text);
         CREATE TABLE \"S\".t (id int PRIMARY KEY, t_id int REFERENCES s.t, f text); CREATE TABLE next_door.t (id int PRIMARY KEY, f text);
         CREATE INDEX ON \"S\".t (t_id);
         INSERT INTO public.t VALUES (1, 'p'); INSERT INTO s.t VALUES (1, 's'), (2, 't'); INSERT INTO \"S\".t VALUES (1, 1, 'S'); INSERT INTO next_door.t VALUES (1, 'd');",
    );
    shop.ok(&["rename-field", "public.t.f", "g"]);
    shop.ok(&["move-field", "\"S\".t.f", "s.t", "--as", "g"]);
    shop.ok(&["rename-field", "next_door.t.f", "g"]);
    shop.client()
        .batch_execute(
            "UPDATE next.t SET g = 'p2'; UPDATE next_s.t SET g = 'S2' WHERE id = 1; UPDATE next_s.t SET g = 'T2' WHERE id = 2;
             INSERT INTO \"next_S\".t (id, t_id) VALUES (2, 2); UPDATE next_next_door.t SET g = 'd2'",
        )
        .unwrap();
    assert_eq!(shop.rows("SELECT * FROM public.t"), ["(1,p2)"]);
    assert_eq!(shop.rows("SELECT * FROM \"S\".t"), ["(1,1,S2)", "(2,2,T2)"]);
    assert_eq!(shop.rows("SELECT * FROM next_door.t"), ["(1,d2)"]);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT * FROM s.t"), ["(1,s,S2)", "(2,t,T2)"]);
    assert_eq!(shop.rows("SELECT * FROM \"S\".t"), ["(1,1)", "(2,2)"]);
    assert_eq!(shop.rows("SELECT g FROM public.t UNION ALL SELECT g FROM next_door.t"), ["(d2)", "(p2)"]);
}

#[test]
fn quoting_is_that_of_the_server() {
    let database = Database::new("");
    let mut client = database.client();
    for name in WORDS.iter().chain(VARIABLES).chain(ATTACKS) {
        let sql = format!("SELECT 1 AS {}", Ident::new(*name));
        assert_eq!(client.query_one(&sql, &[]).unwrap().columns()[0].name(), *name);
        let sql = format!("SELECT {}", Literal((*name).into()));
        assert_eq!(client.query_one(&sql, &[]).unwrap().get::<_, &str>(0), *name);
    }
}

#[test]
fn quoted_names_are_read_wherever_a_name_is_given() {
    let shop = Database::new(
        r#"CREATE TABLE "Staff" (id int PRIMARY KEY, "First" text, "Last" text); INSERT INTO "Staff" VALUES (1, 'Ada', 'Byron')"#,
    );
    for second in [r#""Last""#, r#""Staff"."Last""#] {
        shop.ok(&[
            "merge-fields",
            r#""Staff"."First""#,
            second,
            "--into",
            r#""Full Name""#,
            "--by",
            r#""First" || ' ' || "Last""#,
            "--back",
            r#"split_part("Full Name", ' ', 1)"#,
            "--back",
            r#"split_part("Full Name", ' ', 2)"#,
        ]);
        assert_eq!(shop.rows(r#"SELECT "Full Name" FROM next."Staff""#), [r#"("Ada Byron")"#]);
        shop.ok(&["check"]);
        shop.ok(&["undo"]);
    }
    shop.ok(&[
        "split-field",
        r#""Staff"."First""#,
        "--into",
        r#""A","B c""#,
        "--by",
        r#"left("First", 1)"#,
        "--by",
        r#"substr("First", 2)"#,
        "--back",
        r#""A" || "B c""#,
    ]);
    assert_eq!(shop.rows(r#"SELECT "A", "B c" FROM next."Staff""#), ["(A,da)"]);
    shop.ok(&["materialize", "--yes"]);
}

/// A table told and written by SQL, whose names are all these.
fn told(name: &str) {
    let (schema, n) = (quoted(&format!("s {}", &name[..name.len().min(40)].trim_end_matches('\u{fc}'))), quoted(name));
    let shop = Database::new(&format!(
        "CREATE TABLE victims (id int); CREATE SCHEMA {schema}; CREATE TABLE {schema}.{n} ({n} int PRIMARY KEY, o text); INSERT INTO {schema}.{n} VALUES (1, 'a'), (2, NULL)"
    ));
    let table = format!("{schema}.{n}");
    let commands = [
        format!("{n} int PRIMARY KEY"),
        format!("SELECT {n}, o FROM {table}"),
        format!("INSERT INTO {table} ({n}, o) VALUES (NEW.{n}, NEW.o)"),
        // A table called `old` would stand before the row.
        format!("UPDATE {table} AS it SET {n} = NEW.{n}, o = NEW.o WHERE it.{n} = OLD.{n}"),
        format!("DELETE FROM {table} AS it WHERE it.{n} = OLD.{n}"),
    ];
    let [element, view, insert, update, delete] = &commands;
    shop.ok(&[
        "sql",
        &table,
        element,
        "o text",
        "--view",
        view,
        "--insert",
        insert,
        "--update",
        update,
        "--delete",
        delete,
        "--replaces",
        &table,
    ]);
    shop.client()
        .batch_execute(&format!(
            "UPDATE next.{n} SET {n} = 3, o = 'c' WHERE {n} = 1; INSERT INTO next.{n} VALUES (4, 'd'); DELETE FROM next.{n} WHERE {n} = 2"
        ))
        .unwrap();
    let error = shop.client().batch_execute(&format!("INSERT INTO next.{n} VALUES (4, 'd')")).unwrap_err();
    assert_eq!(error.code(), Some(&postgres::error::SqlState::UNIQUE_VIOLATION));
    assert_eq!(shop.rows(&format!("SELECT * FROM {table}")), ["(3,c)", "(4,d)"]);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows(&format!("SELECT * FROM {table}")), ["(3,c)", "(4,d)"]);
    assert_eq!(shop.rows("SELECT * FROM victims"), Vec::<String>::new());
}

#[test]
fn any_name_may_stand_in_sql_of_the_user() {
    let variables = ["old", "new", "b", "d", "r", "v", "was", "written", "shown", "said", "marks", "depth"];
    for name in WORDS.iter().chain(&variables) {
        told(name);
    }
    for name in ATTACKS.iter().filter(|name| !name.contains("$refactor")) {
        told(name);
    }
}

/// The first command in a hint.
fn hinted(said: &str) -> &str {
    let (_, hint) = said.split_once("hint: ").unwrap_or_else(|| panic!("{said}"));
    let command = &hint[hint.find("`refactor ").unwrap_or_else(|| panic!("{said}")) + 1..];
    command.rsplit_once("`, then").or_else(|| command.split_once("`\n")).unwrap().0
}

#[test]
fn commands_in_hints_can_be_pasted_into_a_shell() {
    for name in ["orders", "it's", "x y", "$HOME", "a\"b", "a.b", "Order", "\\n", "select", "`ls`", "a*"] {
        let (table, field, key) = (quoted(name), quoted(&format!("{name}f")), quoted(&format!("{name}k")));
        let database = Database::new(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, {field} int NOT NULL);
             CREATE TABLE parts (id int PRIMARY KEY, {key} int CONSTRAINT {key} UNIQUE, r int REFERENCES {table}, n text);"
        ));
        let asked: [&[&str]; 3] = [
            &["add-foreign-key", "parts", &key, "--references", &format!("{table}({field})")],
            &["drop-index", &key],
            &["inline-table", "parts", "--into", &table],
        ];
        for command in asked {
            let said = database.refused(command);
            let hint = hinted(&said).replace('…', "n");
            let done = shell(&database, &hint);
            assert!(done.contains("is declared and shown"), "{hint}\n{done}");
            database.ok(&["undo", "--yes"]);
        }
    }
}
