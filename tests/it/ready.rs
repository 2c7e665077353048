//! New rules and indexes of large tables are made ready while everybody works.

use crate::rebuild::{assert_same, ok};
use crate::script::psql;
use crate::support::Database;

const TABLES: &str = "
    CREATE SCHEMA side; CREATE TABLE far (id int PRIMARY KEY, code text UNIQUE); INSERT INTO far SELECT i, 'f' || i FROM generate_series(1, 9) AS i;
    CREATE TABLE t (id int PRIMARY KEY, far_id int, \"Odd \"\"v\" int, w text, d date DEFAULT '2026-01-01');
    INSERT INTO t SELECT i, 1 + i % 9, i, 'w' || i FROM generate_series(1, 50) AS i;";

/// Rules and indexes, before and after fields and tables change their names.
const COMMANDS: [&[&str]; 17] = [
    &["create-index", "t", "w"],
    &[
        "create-index",
        "t",
        "lower(w)",
        "id DESC",
        "--unique",
        "--include",
        "d",
        "--where",
        "id > 0",
        "--with",
        "fillfactor=70",
    ],
    &["add-check", "t", "\"Odd \"\"v\" < 1000", "--name", "odd \"rule\""],
    &["rename-field", "t.Odd \"v", "amount"],
    &["add-check", "t", "amount > 0 AND w <> 'amount'"],
    &["add-unique", "t", "w"],
    &["add-unique", "t", "amount", "d"],
    &["set-not-null", "t.amount"],
    &["set-not-null", "t.far_id"],
    &["add-foreign-key", "t", "far_id", "--references", "far"],
    &["rename-field", "t.id", "w", "--with", "w=id"],
    &["create-index", "t", "amount", "id"],
    &["move-to-schema", "t", "side"],
    &["rename-table", "side.t", "tt"],
    &["set-not-null", "side.tt.d"],
    &["rename-constraint", "side.tt.t_amount_d_key", "t_pkey2"],
    &["rename-constraint", "side.tt.t_pkey", "t_amount_d_key"],
];

const READY: &str = "SELECT conname FROM pg_constraint WHERE conname LIKE 'refactor_ready%'
    UNION ALL SELECT relname FROM pg_class WHERE relname LIKE 'refactor_ready%'";

fn declared(commands: &[&[&str]]) -> Database {
    let database = Database::new(TABLES);
    for command in commands {
        ok(&database, command);
    }
    database
}

/// Runs what is done beforehand, and is then cut off.
fn cut_off(database: &Database, after: usize) {
    let plan = database.ok(&["plan", "--beside-from", "0", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    for step in plan["before"].as_array().unwrap().iter().take(after) {
        database.client().batch_execute(step["sql"].as_str().unwrap()).unwrap();
    }
}

#[test]
fn what_is_made_ready_is_what_is_made_at_once() {
    for count in [5, 10, COMMANDS.len()] {
        let ready = declared(&COMMANDS[..count]);
        let at_once = ready.copy();
        ok(&ready, &["materialize", "--yes", "--beside-from", "0"]);
        ok(&at_once, &["materialize", "--yes"]);
        assert_eq!(ready.rows(READY), [""; 0]);
        assert_same(&ready, &at_once);
    }
}

#[test]
fn what_is_cut_off_is_told_and_taken_back_or_made_again() {
    let declared = declared(&COMMANDS);
    let wanted = declared.copy();
    ok(&wanted, &["materialize", "--yes"]);
    let before = declared.copy();
    ok(&before, &["undo", "--all", "--yes"]);
    for after in [1, 2, 3, 100] {
        let again = declared.copy();
        cut_off(&again, after);
        assert!(!again.rows(READY).is_empty());
        let told = String::from_utf8(again.run(&["status"]).stderr).unwrap();
        assert!(told.contains("was cut off") && told.contains("refactor_ready"), "{told}");
        let back = again.copy();
        ok(&again, &["materialize", "--yes", "--beside-from", "0"]);
        assert_same(&again, &wanted);
        ok(&back, &["undo", "--all", "--yes"]);
        assert_eq!(back.rows(READY), [""; 0]);
        assert_same(&back, &before);
    }
}

#[test]
fn rows_that_somebody_writes_meanwhile_against_a_rule_stop_it_and_leave_nothing() {
    let database = Database::new(TABLES);
    ok(&database, &["add-check", "t", "id < 1000"]);
    ok(&database, &["add-unique", "t", "w"]);
    let break_it = |sql: &str| {
        database.client().batch_execute(sql).unwrap();
        database.refused(&["materialize", "--yes", "--beside-from", "0"]);
        assert_eq!(database.rows(READY), [""; 0]);
    };
    break_it("INSERT INTO t (id, w) VALUES (1000, 'x')");
    break_it("DELETE FROM t WHERE id = 1000; INSERT INTO t (id, w) VALUES (999, 'w1')");
    // The same where it is only found when the rows are asked.
    database
        .client()
        .batch_execute(
            "DELETE FROM t WHERE id = 999; CREATE FUNCTION once() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN ALTER EVENT TRIGGER once DISABLE; INSERT INTO t (id, w) VALUES (999, 'w1'); END $$;
        CREATE EVENT TRIGGER once ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION once()",
        )
        .unwrap();
    let said = database.refused(&["materialize", "--yes", "--beside-from", "0"]);
    assert!(said.contains("each `t` must have its own value in `w`"), "{said}");
    assert_eq!(database.rows(READY), [""; 0]);
    database.client().batch_execute("DELETE FROM t WHERE id = 999").unwrap();
    ok(&database, &["materialize", "--yes", "--beside-from", "0"]);
}

const LEAVING: &str = "CREATE TABLE t (a int, b int NOT NULL DEFAULT 1, w text, d date);
    INSERT INTO t (a, w) SELECT i, 'w' || i FROM generate_series(1, 30) AS i;";

/// Writes of others while values are copied that a dropped field leaves.
const WRITES: [&str; 8] = [
    "INSERT INTO t (a, w, d) VALUES (100, 'new', '2026-02-02')",
    "UPDATE t SET w = 'other' WHERE a IN (3, 4)",
    "UPDATE t SET w = NULL WHERE a = 5",
    "UPDATE t SET a = a + 1000 WHERE a IN (6, 7)",
    "DELETE FROM t WHERE a IN (8, 9); INSERT INTO t (a, w) VALUES (8, '9'), (9, '8')",
    "DELETE FROM t WHERE a < 3; INSERT INTO t (a, w) VALUES (1, 'again')",
    "SET session_replication_role = replica; UPDATE t SET w = 'replicated' WHERE a = 20; RESET session_replication_role",
    "TRUNCATE t; INSERT INTO t (a, w) VALUES (1, 'only')",
];

#[test]
fn what_a_dropped_field_leaves_is_copied_while_others_write() {
    for key in ["PRIMARY KEY (a)", "PRIMARY KEY (b, a)"] {
        let database = Database::new(LEAVING);
        database.client().batch_execute(&format!("ALTER TABLE t ADD {key}")).unwrap();
        ok(&database, &["drop-field", "t.w"]);
        ok(&database, &["rename-field", "t.a", "number"]);
        let script = database.ok(&["plan", "--script", "--beside-from", "0"]);
        let (before, then) = script.rsplit_once("\nBEGIN;\n").unwrap();
        assert!(before.contains("watch who writes `t`"), "{before}");
        for count in [0, 3, WRITES.len() - 1, WRITES.len()] {
            let (beside, at_once) = (database.copy(), database.copy());
            psql(&beside, before).unwrap();
            for write in WRITES.iter().take(count) {
                beside.client().batch_execute(write).unwrap();
                at_once.client().batch_execute(write).unwrap();
            }
            psql(&beside, &format!("BEGIN;\n{then}")).unwrap();
            ok(&at_once, &["materialize", "--yes"]);
            assert_same(&beside, &at_once);
            let kept = "SELECT * FROM refactor.\"lost_0001-drop-w-from-t\"";
            assert_eq!(beside.rows(kept), at_once.rows(kept), "{key} after {count}");
        }
        for steps in [1, 2] {
            let cut = database.copy();
            cut_off(&cut, steps);
            assert_eq!(cut.rows("SELECT relname FROM pg_class WHERE relname LIKE 'ready_log%'").len(), 1);
            let back = cut.copy();
            ok(&back, &["undo", "--all", "--yes"]);
            let left = "SELECT relname FROM pg_class WHERE relname ~ '^(ready_log|lost_)'
                UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE '~refactor%'";
            assert_eq!(back.rows(left), [""; 0]);
            ok(&cut, &["materialize", "--yes", "--beside-from", "0"]);
            let at_once = database.copy();
            ok(&at_once, &["materialize", "--yes"]);
            assert_same(&cut, &at_once);
        }
    }
}
