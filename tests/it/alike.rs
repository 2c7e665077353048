//! Whoever may create functions and operators in a schema of the path cannot have them called: neither by the tool's own
//! sessions nor by the functions that it makes.

use postgres::{Client, NoTls};

use crate::cycle::write;
use crate::page::{Page, new_database, shell};
use crate::pages::for_each_page;
use crate::support::{Database, maintenance_url};

/// Operators and functions like all of PostgreSQL's that take text, anything, or nothing that fits exactly, for the types that
/// have none of their own. Each remembers, outside of all transactions, that one of ours called it.
const LOOK_ALIKES: &str = r#"
CREATE SEQUENCE public.caught;
GRANT USAGE ON SEQUENCE public.caught TO PUBLIC;
CREATE FUNCTION public.catch() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  stack text;
BEGIN
  GET DIAGNOSTICS stack = PG_CONTEXT;
  -- The first lines are this function and the look-alike; the next function is who called that.
  IF current_setting('application_name') = 'refactor' OR (
    SELECT line FROM regexp_split_to_table(stack, E'\n') WITH ORDINALITY AS l (line, n)
    WHERE n > 3 AND line LIKE 'PL/pgSQL function %' ORDER BY n LIMIT 1) LIKE 'PL/pgSQL function refactor.%' THEN
    PERFORM nextval('public.caught');
    RAISE WARNING 'caught: %', stack;
  END IF;
END $$;
DO $plant$
DECLARE
  made record;
  given text;
BEGIN
  FOR made IN
    SELECT DISTINCT t.type FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN LATERAL (VALUES (a.atttypid::pg_catalog.regtype), ('varchar'::pg_catalog.regtype)) AS t (type)
    WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'r'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_operator AS o
        WHERE o.oprname = '=' AND o.oprleft = t.type AND o.oprright = t.type)
  LOOP
    EXECUTE pg_catalog.format('CREATE FUNCTION public.alike(%1$s, %1$s) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN PERFORM public.catch(); RETURN pg_catalog.record_eq(ROW($1), ROW($2)); END$$', made.type);
    EXECUTE pg_catalog.format('CREATE OPERATOR public.= (LEFTARG = %1$s, RIGHTARG = %1$s, FUNCTION = public.alike)', made.type);
    EXECUTE pg_catalog.format('CREATE FUNCTION public.unlike(%1$s, %1$s) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN PERFORM public.catch(); RETURN pg_catalog.record_ne(ROW($1), ROW($2)); END$$', made.type);
    EXECUTE pg_catalog.format('CREATE OPERATOR public.<> (LEFTARG = %1$s, RIGHTARG = %1$s, FUNCTION = public.unlike)', made.type);
  END LOOP;
  FOR made IN
    SELECT DISTINCT p.proname, p.pronargs FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND p.prokind IN ('f', 'a') AND p.pronargs BETWEEN 1 AND 3
      AND p.proargtypes::pg_catalog.oid[] && ARRAY['text', 'anyelement', '"any"', 'anyarray', 'anynonarray', 'anycompatible', 'regclass', 'name']::pg_catalog.regtype[]::pg_catalog.oid[]
  LOOP
    given := pg_catalog.array_to_string(pg_catalog.array_fill('varchar'::pg_catalog.text, ARRAY[made.pronargs::integer]), ', ');
    EXECUTE pg_catalog.format('CREATE FUNCTION public.%I(%s) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM public.catch(); RETURN NULL; END$$', made.proname, given);
  END LOOP;
END $plant$;
"#;

/// Whether one of ours was called, or is used by what we made.
fn caught(database: &Database) -> Vec<String> {
    let used = "SELECT pg_catalog.pg_describe_object(d.classid, d.objid, 0) FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::pg_catalog.regclass
        JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
        LEFT JOIN pg_catalog.pg_proc AS p ON p.oid = d.refobjid AND d.refclassid = 'pg_proc'::pg_catalog.regclass
        LEFT JOIN pg_catalog.pg_operator AS o ON o.oid = d.refobjid AND d.refclassid = 'pg_operator'::pg_catalog.regclass
        WHERE 'evil'::pg_catalog.text IN (pg_catalog.pg_get_userbyid(p.proowner), pg_catalog.pg_get_userbyid(o.oprowner))";
    let mut found = database.rows(&used.replace("evil", &evil()));
    found.extend(database.rows("SELECT last_value FROM public.caught WHERE is_called"));
    found
}

/// A role that may create what it likes in `public`, and nothing else.
fn evil() -> String {
    format!("test_evil_{}", std::process::id())
}

fn plant(database: &Database) {
    let evil = evil();
    database
        .client()
        .batch_execute(&format!("GRANT CREATE ON SCHEMA public TO {evil}; SET ROLE {evil}; {LOOK_ALIKES}"))
        .unwrap_or_else(|e| panic!("{}", refactor::db::message::render(&e, Some(LOOK_ALIKES))));
}

#[test]
fn look_alikes_of_others_are_never_called() {
    let mut client = Client::connect(&maintenance_url(), NoTls).unwrap();
    client.batch_execute(&format!("CREATE ROLE {}", evil())).unwrap();
    for_each_page(|name| {
        let examples = Page::read(name).examples();
        let real = examples.iter().find(|e| e.succeeds && !e.stays_deferred && e.command.starts_with("refactor "));
        // Statements of the user without schemas find no place where only a schema is that others have filled.
        let Some(example) = real.filter(|_| !["data", "ddl"].contains(&name)) else { return };
        let database = new_database(&example.before);
        let said = shell(&database, &example.command);
        assert!(!said.contains("[exit code"), "{said}");
        plant(&database);
        database.ok(&["status"]);
        write(&database, example);
        database.run(&["verify"]);
        assert_eq!(caught(&database), Vec::<String>::new(), "{}", example.command);
        // Made anew while they are there.
        database.ok(&["undo", "--yes"]);
        let said = shell(&database, &example.command);
        assert!(!said.contains("[exit code"), "{said}");
        write(&database, example);
        assert_eq!(caught(&database), Vec::<String>::new(), "{}", example.command);
        if name.ends_with("-enum-value") {
            // Look-alikes of an enum use it, and so stand in the way.
            let said = database.refused(&["materialize", "--yes"]);
            assert!(said.contains("uses `mood`, whose place another type takes"), "{said}");
        } else {
            database.ok(&["materialize", "--yes"]);
        }
        assert_eq!(caught(&database), Vec::<String>::new(), "{}", example.command);
    });
    let _ = client.batch_execute(&format!("DROP ROLE {}", evil()));
}
