//! A rehearsal: everything real on a copy, a command run there, and nothing left.

use crate::rebuild::dump;
use crate::support::{Database, maintenance_url, tool};

const TABLES: &str = "
    CREATE TABLE t (id int PRIMARY KEY, v int, w text);
    INSERT INTO t SELECT i, i, 'w' || i FROM generate_series(1, 20) AS i;";

fn declared() -> Database {
    let database = Database::new(TABLES);
    database.ok(&["rename-field", "t.v", "amount"]);
    database.ok(&["add-unique", "t", "w"]);
    database
}

/// Copies of a database that are there.
fn copies(database: &Database) -> Vec<String> {
    database.rows(&format!("SELECT datname FROM pg_database WHERE datname LIKE '{}_rehearsal_%'", database.name))
}

const COUNT: [&str; 5] = ["--", "psql", "-XAtc", "SELECT count(amount) FROM t", "-q"];

fn rehearse(database: &Database, more: &[&str]) -> String {
    database.ok(&[&["rehearse"], more, &COUNT[..]].concat())
}

/// Whether `pg_dump` fits the server.
fn can_dump(database: &Database) -> bool {
    !dump(database).is_empty()
}

#[test]
fn a_command_finds_everything_real_and_nothing_is_left() {
    let database = declared();
    let before = database.rows("SELECT * FROM t");
    database
        .client()
        .batch_execute(&format!(
            "ALTER DATABASE {} SET search_path = public; ALTER DATABASE {} SET work_mem = '5MB'",
            database.name, database.name
        ))
        .unwrap();
    // No session is left on it by then.
    while !crate::support::rows(
        &mut postgres::Client::connect(&maintenance_url(), postgres::NoTls).unwrap(),
        &format!("SELECT pid FROM pg_stat_activity WHERE datname = '{}'", database.name),
    )
    .is_empty()
    {}
    let output = database.run(&[
        "rehearse",
        "--",
        "psql",
        "-XAtc",
        "SELECT count(amount) FROM t",
        "-c",
        "SHOW work_mem",
        "-c",
        "SHOW search_path",
    ]);
    let (said, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(said, "20\n5MB\npublic\n", "{told}");
    assert!(told.contains("copied by the server") && told.contains("0002-add-unique-w-to-t"), "{told}");
    assert_eq!(copies(&database), [""; 0]);
    assert_eq!(database.rows("SELECT * FROM t"), before);
    assert_eq!(database.run(&["rehearse", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(database.run(&["rehearse", "--", "no-such-program"]).status.code(), Some(2));
    assert_eq!(copies(&database), [""; 0]);
}

#[test]
fn a_database_in_use_is_copied_too_with_or_without_rows() {
    let database = declared();
    if !can_dump(&database) {
        return;
    }
    let _connected = database.client();
    assert_eq!(rehearse(&database, &[]), "20\n");
    assert_eq!(rehearse(&database, &["--schema-only"]), "0\n");
    assert_eq!(rehearse(&database, &["--to", "0001"]), "20\n");
    assert_eq!(copies(&database), [""; 0]);
}

#[test]
fn who_may_not_create_databases_gets_a_private_server() {
    let database = declared();
    if !can_dump(&database) {
        return;
    }
    let make = "DO $$ BEGIN CREATE ROLE rehearser LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    database
        .client()
        .batch_execute(&format!(
            "{make}; GRANT pg_read_all_data TO rehearser; GRANT CONNECT ON DATABASE {} TO rehearser",
            database.name
        ))
        .unwrap();
    let url = database.url().replacen("postgres@", "rehearser@", 1);
    let output = tool(database.directory.path(), &url, &[&["rehearse"], &COUNT[..]].concat());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "20\n", "{told}");
    assert!(told.contains("private server"), "{told}");
}

#[test]
fn what_cannot_be_real_is_told_and_the_copy_goes() {
    let database = declared();
    database.client().batch_execute("INSERT INTO t VALUES (99, 1, 'w1')").unwrap();
    let told = database.refused(&["rehearse", "--", "true"]);
    assert!(told.contains("2 rows of `t` do not: 1, 99"), "{told}");
    assert_eq!(copies(&database), [""; 0]);
}

#[test]
fn a_copy_is_kept_when_that_is_asked_and_goes_when_a_run_was_cut_off() {
    let database = declared();
    let url = database.ok(&["rehearse", "--keep"]);
    let [kept] = &copies(&database)[..] else { panic!("{url}") };
    let kept = kept.trim_matches(['(', ')']).to_owned();
    assert!(url.contains(&kept), "{url}");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_refactor"))
        .args(["rehearse", "--", "sh", "-c", "echo there; sleep 60"])
        .current_dir(database.directory.path())
        .env("DATABASE_URL", database.url())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut there = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut there).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let still = |copies: &[String]| copies.iter().filter(|c| !c.contains(&kept)).count();
    assert_eq!(still(&copies(&database)), 1);
    // The server notices a moment later that it is gone.
    while still(&copies(&database)) > 0 {
        assert_eq!(database.run(&["rehearse", "--", "true"]).status.code(), Some(0));
    }
    database.client().batch_execute(&format!("DROP DATABASE {kept}")).unwrap();
}

/// What stands between rehearsals and a clean server.
const EACH: &str = "for n in $(seq $REFACTOR_POOL); do eval url=\\$REFACTOR_POOL_$n;
    psql -XAtqc \"INSERT INTO t VALUES (100 + $n, 0, 'new'); SELECT count(amount), current_database() ~ ('_' || $n || '$') FROM t\" $url; done;
    psql -XAtc 'SELECT count(*) FROM t'";

#[test]
fn each_test_process_has_a_copy_of_its_own_and_nothing_is_left() {
    let database = declared();
    let said = database.ok(&["rehearse", "--pool", "3", "--", "sh", "-c", EACH]);
    assert_eq!(said, "21|t\n21|t\n21|t\n20\n");
    assert_eq!(copies(&database), [""; 0]);
    let urls = database.ok(&["rehearse", "--pool", "2", "--keep"]);
    let kept = copies(&database);
    assert_eq!((urls.lines().count(), kept.len()), (3, 3), "{urls}");
    for name in kept {
        let name = name.trim_matches(['(', ')']);
        assert!(urls.contains(name), "{urls}");
        database.client().batch_execute(&format!("DROP DATABASE {name}")).unwrap();
    }
    assert_eq!(database.run(&["rehearse", "--pool", "0"]).status.code(), Some(2));
}

#[test]
fn copies_of_a_run_that_was_cut_off_are_dropped_by_the_next_one_and_named() {
    let database = declared();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_refactor"))
        .args(["rehearse", "--pool", "2", "--", "sh", "-c", "echo there; sleep 60"])
        .current_dir(database.directory.path())
        .env("DATABASE_URL", database.url())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
    let pid = child.id();
    assert_eq!(database.run(&["rehearse", "--", "true"]).status.code(), Some(0));
    assert_eq!(copies(&database).len(), 3, "a run at work loses its copies");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut told = String::new();
    // The server notices a moment later that it is gone.
    while !copies(&database).is_empty() {
        told += &String::from_utf8(database.run(&["rehearse", "--", "true"]).stderr).unwrap();
    }
    let name = format!("{}_rehearsal_{pid}", database.name);
    let dropped = format!("an earlier rehearsal was cut off; dropped: {name}, {name}_1, {name}_2");
    // Rehearsals of other tests may drop them as well.
    assert!(told.contains(&dropped) || !told.contains("dropped"), "{told}");
}

#[test]
fn a_change_of_a_file_rehearses_again() {
    use std::io::{BufRead, BufReader};
    let database = declared();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_refactor"))
        .args(["-q", "rehearse", "--watch", "--", "psql", "-XAtc", "SELECT count(amount) FROM t"])
        .current_dir(database.directory.path())
        .env("DATABASE_URL", database.url())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "20");
    database.client().batch_execute("INSERT INTO t VALUES (21, 21, 'w21')").unwrap();
    database.ok(&["rename-table", "t", "things"]);
    database.ok(&["undo", "--yes", "0003"]);
    assert_eq!(lines.next().unwrap().unwrap(), "21");
    child.kill().unwrap();
    child.wait().unwrap();
}
