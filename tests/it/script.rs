//! A materialization as a script for `psql` does what the tool does.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::matrix::{COMMANDS, TABLES};
use crate::rebuild::{assert_same, ok};
use crate::support::Database;

pub fn psql(database: &Database, script: &str) -> Result<(), String> {
    let mut child = Command::new("psql")
        .args(["-X", "-q", &database.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// The journal, but for who wrote it when.
const JOURNAL: &str = "SELECT name, state, text, inverse FROM refactor.journal";

#[test]
fn a_script_does_what_the_tool_does() {
    let all = std::env::var("REFACTOR_PAIRS").is_ok_and(|wanted| wanted == "all");
    let declared = Database::new(TABLES);
    declared.client().batch_execute("CREATE VIEW report AS SELECT id, v, w, kind FROM p").unwrap();
    for command in COMMANDS.iter().skip(1).step_by(if all { 1 } else { 9 }) {
        let scripted = declared.copy();
        ok(&scripted, command);
        let tool = scripted.copy();
        let words = command.join(" ");
        // Some give up the view.
        let run = |drop: &[&str]| {
            let script = scripted.run(&[&["plan", "--script", "--beside-from", "0"], drop].concat());
            script.status.success().then(|| {
                psql(&scripted, &String::from_utf8(script.stdout).unwrap()).unwrap_or_else(|e| panic!("{words}: {e}"));
                ok(&tool, &[&["materialize", "--yes"], drop].concat());
            })
        };
        run(&[]).or_else(|| run(&["--drop", "report"])).unwrap_or_else(|| panic!("{words}"));
        assert_same(&scripted, &tool);
        assert_eq!(scripted.rows(JOURNAL), tool.rows(JOURNAL), "{words}");
    }
}

#[test]
fn a_script_stops_where_a_fact_no_longer_holds_and_changes_nothing() {
    let database = Database::new(TABLES);
    ok(&database, &["move-field", "d.x", "p"]);
    ok(&database, &["add-check", "q", "n < 100"]);
    ok(&database, &["rename-field", "q.n", "number"]);
    let script = database.ok(&["plan", "--script"]);
    assert!(script.contains("still: "), "{script}");
    database.client().batch_execute("INSERT INTO q (id, n, code) VALUES (99, 100, 'x')").unwrap();
    let before = database.rows("SELECT * FROM q");
    let said = psql(&database, &script).unwrap_err();
    assert!(said.contains("it does not hold any more"), "{said}");
    assert_eq!(database.rows("SELECT * FROM q"), before);
    assert_eq!(database.rows("SELECT DISTINCT state FROM refactor.journal"), ["(deferred)"]);
    database.client().batch_execute("DELETE FROM q WHERE id = 99").unwrap();
    psql(&database, &script).unwrap();
    assert_eq!(database.rows("SELECT DISTINCT state FROM refactor.journal"), ["(materialized)"]);
}

#[test]
fn what_would_be_shown_anew_is_no_script() {
    let database = Database::new(TABLES);
    ok(&database, &["rename-field", "p.v", "amount"]);
    ok(&database, &["rename-field", "p.w", "name"]);
    let refused = database.run(&["plan", "--script", "--to", "0001"]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(database.run(&["plan", "apply", "--script"]).status.code(), Some(2));
}

#[test]
fn a_script_looks_names_up_where_the_tool_does() {
    let database = Database::new(
        "CREATE SCHEMA \"a; b\"; CREATE FUNCTION \"a; b\".twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
         CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (7);
         DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, \"a; b\"', current_database()); END $$",
    );
    ok(&database, &["add-calculated", "t.double", "int", "twice(id)"]);
    psql(&database, &database.ok(&["plan", "--script"])).unwrap();
    assert_eq!(database.rows("SELECT * FROM t"), ["(7,14)"]);
}
