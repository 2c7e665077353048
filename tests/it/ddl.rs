//! DDL of the user: where it runs in the order, and what it must not do. The rest is its page.

use crate::script::psql;
use crate::support::Database;

const TABLES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE a (id int PRIMARY KEY, g mood, n int);
    CREATE TABLE b (id int PRIMARY KEY, n int);
    CREATE PROCEDURE ends() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
    INSERT INTO b VALUES (1, 1);";

const NO_MOOD: [&str; 5] =
    ["ddl", "--up", "DROP TYPE mood;", "--down", "CREATE TYPE mood AS ENUM ('sad', 'ok'); -- as it was"];

const FIELDS: &str = "SELECT attrelid::regclass, attname FROM pg_attribute WHERE attrelid IN ('a'::regclass, 'b'::regclass) AND attnum > 0 AND NOT attisdropped";

#[test]
fn it_runs_after_what_comes_before_it() {
    let database = Database::new(TABLES);
    for command in [&["drop-field", "a.g"][..], &NO_MOOD, &["rename-field", "a.n", "m"]] {
        database.ok(command);
    }
    let undone = database.copy();
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows("SELECT to_regtype('mood')"), ["()"]);
    assert_eq!(database.rows(FIELDS), ["(a,id)", "(a,m)", "(b,id)", "(b,n)"]);
    undone.ok(&["undo", "--all", "--yes"]);
    assert_eq!(undone.rows("SELECT to_regtype('mood')"), ["(mood)"]);
    assert_eq!(undone.rows("SELECT nspname FROM pg_namespace WHERE nspname ~ '^next'"), Vec::<String>::new());
}

#[test]
fn what_needs_it_is_taken_when_it_is_real() {
    let whole = ["ddl", "--up", "CREATE DOMAIN whole AS int CHECK (VALUE >= 0)", "--down", "DROP DOMAIN whole"];
    let add = ["add-field", "b.pieces", "whole"];
    let database = Database::new(TABLES);
    database.ok(&whole);
    assert!(database.refused(&add).contains("is there once it is real: `refactor materialize`"));
    database.ok(&["materialize", "--yes"]);
    database.ok(&add);
    let later = Database::new(TABLES);
    std::fs::create_dir_all(later.files()).unwrap();
    for file in std::fs::read_dir(database.files()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), later.files().join(file.file_name())).unwrap();
    }
    later.ok(&["materialize", "--yes"]);
    assert_eq!(later.rows("SELECT * FROM b"), ["(1,1,)"]);
}

#[test]
fn it_leaves_the_transaction_and_the_session_as_they_are() {
    for (up, says) in [
        ("DO $$ BEGIN SET LOCAL ROLE pg_monitor; END $$", "acts as somebody else"),
        ("SELECT set_config('work_mem', '1MB', false)", "sets something of the session"),
        ("CALL ends()", "invalid transaction termination"),
        ("SELECT 1; CALL ends(); SELECT 1", "invalid transaction termination"),
    ] {
        let database = Database::new(TABLES);
        database.ok(&["rename-field", "b.n", "m"]);
        database.ok(&["ddl", "--up", &format!("CREATE SEQUENCE s; {up}"), "--down", "DROP SEQUENCE s"]);
        let before = database.rows(FIELDS);
        let said = database.refused(&["materialize", "--yes"]);
        assert!(said.contains(says), "{up}: {said}");
        assert_eq!(database.rows(FIELDS), before);
        assert_eq!(database.rows("SELECT to_regclass('s')"), ["()"]);
    }
    let database = Database::new(TABLES);
    let up = "CREATE SCHEMA other; SELECT set_config('search_path', 'other', false); CREATE TABLE its ()";
    database.ok(&["ddl", "--up", up, "--down", "DROP SCHEMA other CASCADE"]);
    database.ok(&["rename-field", "b.n", "m"]);
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows("SELECT to_regclass('other.its')"), ["(other.its)"]);
}

#[test]
fn a_script_has_it() {
    let database = Database::new(TABLES);
    database.ok(&["drop-field", "a.g"]);
    database.ok(&NO_MOOD);
    let script = database.ok(&["plan", "--script"]);
    psql(&database, &script).unwrap();
    assert_eq!(database.rows("SELECT to_regtype('mood')"), ["()"]);
    assert_eq!(database.rows("SELECT DISTINCT state FROM refactor.journal"), ["(materialized)"]);
    database.take_back("0002");
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows("SELECT to_regtype('mood')"), ["(mood)"]);
}

#[test]
fn comments_on_rules_and_indexes_come_and_go() {
    let tables = "CREATE TABLE t (id int PRIMARY KEY, n int CONSTRAINT c CHECK (n > 0), w text);
        CREATE INDEX i ON t (n); COMMENT ON INDEX i IS 'old'; COMMENT ON CONSTRAINT c ON t IS 'old'; COMMENT ON COLUMN t.w IS 'old';";
    let commands: [&[&str]; 6] = [
        &["comment", "t", "--constraint", "c", "it's new"],
        &["comment", "t", "--constraint", "t_pkey", "the key"],
        &["comment", "public.t", "--index", "i", "--none"],
        &["comment", "t", "all"],
        &["comment", "public.t.n", "how many"],
        &["comment", "t.w", ""],
    ];
    for built_anew in [false, true] {
        let database = Database::new(tables);
        for command in commands {
            database.ok(command);
        }
        if built_anew {
            database.ok(&["reorder-fields", "t", "n", "id", "w"]);
        }
        database.ok(&["materialize", "--yes"]);
        let said = "SELECT pg_describe_object(classoid, objoid, objsubid), description FROM pg_description
            WHERE objoid IN ('t'::regclass, 'i'::regclass) OR objoid IN (SELECT oid FROM pg_constraint WHERE conrelid = 't'::regclass)";
        let expected = [
            "(\"column n of table t\",\"how many\")",
            "(\"constraint c on table t\",\"it's new\")",
            "(\"constraint t_pkey on table t\",\"the key\")",
            "(\"table t\",all)",
        ];
        assert_eq!(database.rows(said), expected);
    }
}
