//! What reads tables by their numbers goes along when they change: views, materialized views, functions with parsed bodies.

use crate::matrix::{COMMANDS, TABLES};
use crate::rebuild::{dump, ok};
use crate::support::Database;

/// Views of every kind over `p`, over each other and over others, with all that can hang on them.
const READERS: &str = "
    CREATE SCHEMA reports;
    CREATE VIEW reports.plain WITH (security_barrier = true) AS SELECT id, v, w FROM p WHERE v > 1;
    COMMENT ON VIEW reports.plain IS 'it''s plain';
    COMMENT ON COLUMN reports.plain.v IS 'a number';
    ALTER VIEW reports.plain ALTER COLUMN w SET DEFAULT 'given';
    GRANT SELECT ON reports.plain TO dependents_reader WITH GRANT OPTION;
    GRANT UPDATE (v) ON reports.plain TO dependents_reader;
    CREATE VIEW reports.checked WITH (check_option = 'local') AS SELECT id, v, code, kind FROM p WHERE v < 50;
    ALTER VIEW reports.checked OWNER TO dependents_owner;
    CREATE VIEW reports.\"Odd $refactor$ 'name'\" AS SELECT v AS \"Odd \"\"field\", id FROM p;
    CREATE FUNCTION reports.put() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE VIEW reports.written AS SELECT id, v FROM p;
    CREATE TRIGGER put INSTEAD OF INSERT ON reports.written FOR EACH ROW EXECUTE FUNCTION reports.put();
    CREATE TRIGGER off INSTEAD OF UPDATE ON reports.written FOR EACH ROW EXECUTE FUNCTION reports.put();
    COMMENT ON TRIGGER off ON reports.written IS 'not now';
    CREATE VIEW reports.ruled AS SELECT id, v FROM p;
    CREATE RULE taken AS ON DELETE TO reports.ruled DO INSTEAD NOTHING;
    COMMENT ON RULE taken ON reports.ruled IS 'nobody deletes';
    CREATE MATERIALIZED VIEW reports.filled WITH (fillfactor = 70) AS SELECT id, v, w FROM p ORDER BY id;
    CREATE UNIQUE INDEX filled_id ON reports.filled (id);
    CREATE INDEX filled_half ON reports.filled (lower(w)) WHERE v > 2;
    COMMENT ON INDEX reports.filled_half IS 'half';
    ALTER MATERIALIZED VIEW reports.filled CLUSTER ON filled_id;
    ALTER MATERIALIZED VIEW reports.filled ALTER COLUMN w SET STATISTICS 17;
    CREATE STATISTICS reports.filled_both ON v, w FROM reports.filled;
    COMMENT ON MATERIALIZED VIEW reports.filled IS 'full';
    GRANT SELECT ON reports.filled TO PUBLIC;
    CREATE MATERIALIZED VIEW reports.empty AS SELECT count(*) AS n, sum(v) AS all_v FROM p WITH NO DATA;
    CREATE VIEW reports.above AS SELECT f.id, f.v, c.code FROM reports.filled AS f JOIN reports.checked AS c USING (id);
    CREATE MATERIALIZED VIEW reports.top AS SELECT max(v) AS most, count(*) AS n FROM reports.above;
    CREATE VIEW reports.grouped AS SELECT p.id, p.v, count(s.k) AS parts FROM p LEFT JOIN s ON s.p_id = p.id GROUP BY p.id;
    CREATE VIEW reports.counted AS SELECT count(*) AS n FROM ONLY p;
    CREATE FUNCTION reports.total(at_least int) RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT sum(v) FROM p WHERE v >= at_least; END;
    CREATE FUNCTION reports.most() RETURNS numeric LANGUAGE sql RETURN (SELECT max(most) FROM reports.top);
    COMMENT ON FUNCTION reports.total IS 'of all';
    REVOKE EXECUTE ON FUNCTION reports.total FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION reports.total TO dependents_reader;
    CREATE PROCEDURE reports.noted(x text) LANGUAGE sql BEGIN ATOMIC INSERT INTO r (id, zone) SELECT max(v) + 100, x FROM p; END;
    ALTER DEFAULT PRIVILEGES IN SCHEMA reports GRANT ALL ON TABLES TO dependents_other;";

const ROLES: &str = "DO $$ BEGIN
    CREATE ROLE dependents_reader; CREATE ROLE dependents_owner; CREATE ROLE dependents_other;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;";

fn with_readers() -> Database {
    let database = Database::new(TABLES);
    // Several databases of one server may make them at once.
    while database.client().batch_execute(&format!("BEGIN; {ROLES} COMMIT")).is_err() {}
    let mut client = database.client();
    client.batch_execute("GRANT CREATE, USAGE ON SCHEMA public TO dependents_owner; GRANT ALL ON ALL TABLES IN SCHEMA public TO dependents_owner").unwrap();
    client.batch_execute(READERS).unwrap();
    database
}

/// What `pg_dump` says of the readers.
fn dumped(database: &Database) -> Vec<String> {
    dump(database).into_iter().filter(|p| p.contains("reports") && !p.contains("NULL::")).collect()
}

#[test]
fn all_that_hangs_on_a_view_comes_back_with_it() {
    let before = with_readers();
    let pieces = dumped(&before);
    // Nothing where there is no fitting `pg_dump`.
    assert!(pieces.is_empty() || pieces.len() > 40, "{pieces:#?}");
    for (command, way) in [
        (&["change-type", "p.v", "bigint"][..], "64"),
        (&["change-type", "p.v", "bigint"], "0"),
        (&["reorder-fields", "p", "w", "v"], "64"),
        (&["add-field", "p.extra", "text", "--as", "w || '!'"], "0"),
    ] {
        let database = before.copy();
        ok(&database, command);
        ok(&database, &["materialize", "--yes", "--rebuild-from", way]);
        let after = dumped(&database);
        for piece in &pieces {
            assert!(after.contains(piece), "{command:?} lost:\n{piece}\nof:\n{after:#?}");
        }
        assert_eq!(after, pieces, "{command:?}");
        let ours = "SELECT relname FROM pg_class WHERE relnamespace = 'refactor'::regnamespace AND relname LIKE 'anew%'
            UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'anew%'";
        assert_eq!(database.rows(ours), [""; 0]);
        for (query, wanted) in [
            ("SELECT * FROM reports.top", "(10,10)"),
            ("SELECT reports.most()", "(10)"),
            ("SELECT reports.total(3)", "(52)"),
            ("SELECT relispopulated FROM pg_class WHERE relname = 'empty'", "(f)"),
        ] {
            assert_eq!(database.rows(query), [wanted], "{command:?}: {query}");
        }
    }
}

/// A view, a materialized view and a function for every field, and some of several tables.
const FIELDS: &str = "
    DO $$ DECLARE f record; BEGIN
      FOR f IN SELECT c.relname AS t, a.attname AS a, format_type(a.atttypid, -1) AS type FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
      LOOP
        EXECUTE format('CREATE VIEW reports.%I AS SELECT %I FROM %I', 'v_' || f.t || '_' || f.a, f.a, f.t);
        EXECUTE format('CREATE MATERIALIZED VIEW reports.%I AS SELECT x.%I FROM %I AS x', 'm_' || f.t || '_' || f.a, f.a, f.t);
        EXECUTE format('CREATE FUNCTION reports.%I() RETURNS SETOF text LANGUAGE sql BEGIN ATOMIC SELECT x.%I::text FROM (SELECT * FROM %I) AS x; END',
          'f_' || f.t || '_' || f.a, f.a, f.t);
      END LOOP;
    END $$;
    CREATE VIEW reports.j1 AS SELECT p.id, p.w, r.tax, d.x, (SELECT string_agg(s.k, ',' ORDER BY s.k) FROM s WHERE s.p_id = p.id) AS ks
      FROM p LEFT JOIN r ON r.id = p.r_id LEFT JOIN d ON d.p_id = p.id;
    CREATE VIEW reports.j2 AS SELECT q.kind, q.n FROM q UNION ALL SELECT p.kind, p.v FROM p;
    CREATE VIEW reports.j3 AS SELECT j1.id, j1.tax FROM reports.j1 JOIN reports.v_p_id USING (id);";

/// What the readers say that are there.
fn said(database: &Database) -> std::collections::BTreeMap<String, Vec<String>> {
    let views = "SELECT c.oid::regclass FROM pg_class AS c WHERE c.relnamespace = 'reports'::regnamespace AND c.relkind IN ('v', 'm') AND c.relname <> 'empty'";
    let calls = "SELECT format('%s()', p.oid::regproc) FROM pg_proc AS p WHERE p.pronamespace = 'reports'::regnamespace AND p.prokind = 'f'
      AND p.pronargs = 0 AND p.prorettype <> 'trigger'::regtype";
    let mut client = database.client();
    let mut of = |query: &str| -> Vec<String> {
        client
            .query(&format!("SELECT x.name::text FROM ({query}) AS x (name)"), &[])
            .unwrap()
            .iter()
            .map(|r| r.get(0))
            .collect()
    };
    let names: Vec<String> = of(views).into_iter().chain(of(calls)).collect();
    let text = "SELECT array_to_string(array_agg(v.value ORDER BY v.key), '|') FROM ";
    let rows = |name: &String| {
        let query = format!(
            "SELECT ({text} jsonb_each_text(to_jsonb(whole)) AS v (key, value)) AS row FROM (SELECT * FROM {name}) AS whole"
        );
        database.rows(&query)
    };
    names.iter().map(|name| (name.clone(), rows(name))).collect()
}

/// Commands after which a table has other rows under its name, or values are not what they were: the declaration says so.
const OTHER_ROWS: [&str; 3] = ["split-rows", "union-tables", "fold-json"];

/// `REFACTOR_PAIRS=all` tries every command, else every fifth.
fn commands() -> Vec<&'static [&'static str]> {
    let step = if std::env::var("REFACTOR_PAIRS").is_ok_and(|wanted| wanted == "all") { 1 } else { 5 };
    // What uses an enum whose values change stands in the way, by name.
    let may_be = |command: &&[&str]| !OTHER_ROWS.contains(&command[0]) && !command[0].ends_with("-enum-value");
    let same = COMMANDS.into_iter().filter(may_be);
    same.skip(2).step_by(step).collect()
}

#[test]
fn what_reads_a_table_says_the_same_when_it_changes() {
    let before = with_readers();
    before.client().batch_execute(FIELDS).unwrap();
    let wanted = said(&before);
    let (commands, next) = (commands(), std::sync::atomic::AtomicUsize::new(0));
    let problems = std::sync::Mutex::new(Vec::new());
    let try_command = |command: &[&str]| -> Result<usize, String> {
        let database = before.copy();
        let words = command.join(" ");
        let run = |line: &str| {
            // As a shell reads it: what a hint says can be pasted.
            let tool = std::path::Path::new(env!("CARGO_BIN_EXE_refactor")).parent().unwrap().display().to_string();
            let output = std::process::Command::new("sh")
                .args(["-c", line])
                .current_dir(database.directory.path())
                .env("DATABASE_URL", database.url())
                .env("PATH", format!("{tool}:{}", std::env::var("PATH").unwrap()))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err(said) }
        };
        database.ok(command);
        let mut dropped = String::new();
        while let Err(said) = run(&format!("refactor materialize --yes --rebuild-from 0{dropped}")) {
            let (_, hint) = said.split_once("refactor materialize --drop").ok_or_else(|| format!("{words}: {said}"))?;
            let hint = hint.split(['`', '\n']).next().unwrap();
            dropped += &format!(" --drop{hint}");
        }
        let lost = dropped.matches(" --drop").count();
        let now = said(&database);
        let differ: Vec<String> = now
            .iter()
            .filter(|(name, rows)| wanted[*name] != **rows)
            .map(|(name, rows)| format!("  {name}: {rows:?} instead of {:?}", wanted[name]))
            .collect();
        if differ.is_empty() { Ok(lost) } else { Err(format!("{words}:\n{}", differ.join("\n"))) }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(command) = commands.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    match try_command(command) {
                        Ok(lost) => eprintln!("{}: {lost} given up", command.join(" ")),
                        Err(problem) => problems.lock().unwrap().push(problem),
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn what_reads_one_table_is_not_held_by_what_happens_to_another() {
    let database = with_readers();
    let wanted = said(&database);
    // Rows that are united again have no order of fields that is taken back; nobody reads them.
    for command in [
        &["extract-table", "p.w", "--into", "ws", "--names", "name"][..],
        &["reorder-fields", "q", "code"],
        &["split-rows", "q", "--where", "n > 2", "--into", "large"],
    ] {
        database.ok(command);
    }
    database.ok(&["materialize", "--yes"]);
    assert_eq!(said(&database), wanted);
}
