//! Every page's refactoring on a database where all that has a name but no place in a command is called by an attack:
//! constraints, indexes, sequences, triggers, functions, the owner; and comments and defaults say one.

use postgres::{Client, NoTls};

use crate::cycle::write;
use crate::page::{Page, new_database, shell};
use crate::pages::for_each_page;
use crate::support::maintenance_url;

/// What would be run if a name or a text were taken for SQL, in every kind of quotes.
const ATTACKS: [&str; 5] = [
    "x\"; DROP TABLE victims; --",
    "'); DROP TABLE victims; --",
    "$refactor$; DROP TABLE victims; --",
    "\\'); DROP TABLE victims; -- %s %I",
    "\n$$;\nDROP TABLE victims;\nCREATE VIEW ü",
];

/// Renames what a user's tables have; `{attack}` is a literal.
const RENAME: &str = r"
CREATE TABLE victims (id int);
DO $rename$
DECLARE
  attack text := {attack};
  made record;
BEGIN
  FOR made IN
    SELECT format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', c.conrelid::regclass, c.conname, attack || c.oid) AS sql
    FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid
    WHERE t.relnamespace = 'public'::regnamespace AND c.conparentid = 0 AND c.coninhcount = 0 AND c.contype IN ('p', 'u', 'c', 'f', 'x')
      AND NOT t.relispartition
    UNION ALL
    SELECT format('ALTER INDEX %s RENAME TO %I', i.indexrelid::regclass, attack || i.indexrelid)
    FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid
    WHERE t.relnamespace = 'public'::regnamespace AND NOT t.relispartition
      AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid)
    UNION ALL
    SELECT format('ALTER SEQUENCE %s RENAME TO %I', s.oid::regclass, attack || s.oid)
    FROM pg_class AS s WHERE s.relnamespace = 'public'::regnamespace AND s.relkind = 'S'
    UNION ALL
    SELECT format('ALTER TRIGGER %I ON %s RENAME TO %I', g.tgname, g.tgrelid::regclass, attack || g.oid)
    FROM pg_trigger AS g WHERE NOT g.tgisinternal AND g.tgparentid = 0
    UNION ALL
    SELECT format('ALTER FUNCTION %s RENAME TO %I', p.oid::regprocedure, attack || p.oid)
    FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace AND p.prorettype = 'trigger'::regtype
    UNION ALL
    SELECT format('COMMENT ON TABLE %s IS %L', t.oid::regclass, attack)
    FROM pg_class AS t WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p')
    UNION ALL
    SELECT format('COMMENT ON COLUMN %s.%I IS %L', t.oid::regclass, a.attname, attack)
    FROM pg_class AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p')
    UNION ALL
    SELECT format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %L', t.oid::regclass, a.attname, attack)
    FROM pg_class AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'r' AND a.atttypid = 'text'::regtype
      AND NOT a.atthasdef AND NOT a.attnotnull
      AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conrelid = t.oid AND a.attnum = ANY (c.conkey))
  LOOP
    EXECUTE made.sql;
  END LOOP;
  EXECUTE format('CREATE ROLE %I', attack || '{role}');
  EXECUTE format('GRANT ALL ON SCHEMA public TO %I', attack || '{role}');
  FOR made IN
    SELECT format('ALTER TABLE %s OWNER TO %I', t.oid::regclass, attack || '{role}') AS sql
    FROM pg_class AS t WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p') AND t.relname <> 'victims'
  LOOP
    EXECUTE made.sql;
  END LOOP;
END $rename$;
";

#[test]
fn hostile_names_and_texts_stay_what_they_are() {
    for_each_page(|name| {
        let examples = Page::read(name).examples();
        let real = examples.iter().find(|e| e.succeeds && !e.stays_deferred && e.command.starts_with("refactor "));
        // Their commands name constraints or indexes.
        let Some(example) = real.filter(|_| {
            !["change-foreign-key", "data", "drop-constraint", "drop-index", "rename-constraint"].contains(&name)
        }) else {
            return;
        };
        let at = name.bytes().map(usize::from).sum::<usize>() % ATTACKS.len();
        let database = new_database(&example.before);
        let role = format!("{}_{name}", std::process::id());
        let literal = format!("'{}'", ATTACKS[at].replace('\'', "''"));
        let sql = RENAME.replace("{attack}", &literal).replace("{role}", &role);
        database
            .client()
            .batch_execute(&sql)
            .unwrap_or_else(|e| panic!("{}", refactor::db::message::render(&e, Some(&sql))));
        for turn in 0..2 {
            let said = shell(&database, &example.command);
            assert!(!said.contains("[exit code"), "{said}");
            write(&database, example);
            database.ok(&["status"]);
            database.ok(&["verify"]);
            if turn == 0 {
                database.ok(&["undo", "--yes"]);
            }
        }
        database.ok(&["materialize", "--yes"]);
        assert_eq!(database.rows("SELECT count(*) FROM victims"), ["(0)"], "{name}");
        drop(database);
        let mut client = Client::connect(&maintenance_url(), NoTls).unwrap();
        client.batch_execute(&format!("DROP ROLE \"{}{role}\"", ATTACKS[at].replace('"', "\"\""))).unwrap();
    });
}
