//! `check` as a team uses it: two branches in git, two folders, one folder after a merge, a database in another order.

use std::process::Command;

use crate::support::Database;

const SHOP: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text, city text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, total numeric(10,2));
    INSERT INTO customers SELECT i, 'name ' || i, 'city ' || i % 2 FROM generate_series(1, 5) AS i;
    INSERT INTO orders SELECT i, 1 + i % 5, i FROM generate_series(1, 9) AS i;";

const RENAME: &str = "[rename-field]\nfield = \"customers.name\"\nto = \"full_name\"\n";
const REQUIRE: &str = "# Everybody has one.\n[set-not-null]\nfield = \"customers.name\"\n";
const CHECK: &str = "[add-check]\ntable = \"customers\"\nexpression = \"length(name) > 2\"\nname = \"long_enough\"\n";
const MOVE: &str = "[move-to-schema]\ntable = \"orders\"\nto = \"sales\"\n";

fn write(database: &Database, folder: &str, name: &str, text: &str) {
    let folder = database.directory.path().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
}

fn text(database: &Database, file: &str) -> String {
    std::fs::read_to_string(database.directory.path().join(file)).unwrap()
}

fn sh(database: &Database, command: &str) -> String {
    crate::page::shell(database, command)
}

/// A repository with a branch each, on the first of which we are.
fn repository(ours: (&str, &str), theirs: (&str, &str)) -> Database {
    let database = Database::new(SHOP);
    sh(&database, "git init -q -b main . && git config user.email a@b.c && git config user.name A");
    let first = "[add-field]\nfield = \"customers.age\"\ntype = \"int\"\n";
    write(&database, "refactorings", "0001-add-age", first);
    sh(&database, "git add . && git commit -qm base && git checkout -qb theirs");
    write(&database, "refactorings", theirs.0, &format!("after = \"0001-add-age\"\n{}", theirs.1));
    sh(&database, "git add . && git commit -qm theirs && git checkout -q main && git checkout -qb ours");
    write(&database, "refactorings", ours.0, &format!("after = \"0001-add-age\"\n{}", ours.1));
    sh(&database, "git add . && git commit -qm ours");
    database
}

#[test]
fn a_rename_is_followed_into_the_file_of_our_branch() {
    let database = repository(("0002-require-name", REQUIRE), ("0002-rename-name", RENAME));
    let said = database.refused(&["check", "--against", "theirs"]);
    for part in [
        "0002-require-name",
        "0002-rename-name",
        "`customers.name`",
        "renames it to `full_name`",
        "refactor check --against theirs --fix",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let json = database.run(&["check", "--against", "theirs", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&told["commute"], &told["clashes"][0]["field"]), (&false.into(), &"name".into()), "{told}");
    assert_eq!(json.status.code(), Some(1));
    database.ok(&["check", "--against", "theirs", "--fix"]);
    let expected =
        "after = \"0002-rename-name\"\n# Everybody has one.\n[set-not-null]\nfield = \"customers.full_name\"\n";
    assert_eq!(text(&database, "refactorings/0002-require-name.toml"), expected);
    database.ok(&["check", "--against", "theirs"]);
    database.ok(&["check"]);
    let said = sh(&database, "git add . && git commit -qm followed && git merge -q theirs -m merged && refactor apply");
    assert!(!said.contains("exit code"), "{said}");
    database.ok(&["materialize", "--yes"]);
}

#[test]
fn who_renames_comes_after_the_branch_that_belongs_to_git() {
    let database = repository(("0002-rename-name", RENAME), ("0002-check-name", CHECK));
    let said = database.refused(&["check", "--against", "theirs"]);
    assert!(said.contains("refactor check --against theirs --order 0002-check-name,0002-rename-name"), "{said}");
    database.ok(&["check", "--against", "theirs", "--fix"]);
    assert!(text(&database, "refactorings/0002-rename-name.toml").starts_with("after = \"0002-check-name\"\n"));
    let said = sh(&database, "git add . && git commit -qm ordered && git merge -q theirs -m merged && refactor check");
    assert!(!said.contains("exit code"), "{said}");
}

#[test]
fn what_commutes_is_proved_and_rehearsed() {
    let database = repository(("0002-move", MOVE), ("0002-require-name", REQUIRE));
    database.client().batch_execute("CREATE SCHEMA sales").unwrap();
    let output = database.run(&["check", "--against", "theirs", "--rehearse", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("both orders give the same tables"), "{said}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["commute"], true);
    let rehearsed = told["rehearsed"].as_array().unwrap();
    let orders = rehearsed.iter().find(|t| t["table"] == "sales.orders").unwrap();
    assert_eq!(orders["rows"], 9);
    assert_eq!(database.run(&["check", "--against", "nowhere"]).status.code(), Some(2));
}

#[test]
fn a_dump_is_enough() {
    let database = repository(("0002-require-name", REQUIRE), ("0002-rename-name", RENAME));
    let dump = "--\n-- PostgreSQL database dump\n--\n\\restrict x1\nSET statement_timeout = 0;\nSET no_such_setting = 1;\n\
        SELECT pg_catalog.set_config('search_path', '', false);\nCREATE SCHEMA public;\nALTER SCHEMA public OWNER TO \"no body\";\n\
        CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql AS $_$ SELECT 1; $_$;\n\
        CREATE TABLE public.customers (\n    id integer NOT NULL,\n    name text,\n    city text DEFAULT 'a;b'::text\n);\n\
        ALTER TABLE public.customers OWNER TO somebody;\n\
        COPY public.customers (id, name, city) FROM stdin;\n1\ta;\t\\N\n\\.\n\n\
        ALTER TABLE ONLY public.customers ADD CONSTRAINT customers_pkey PRIMARY KEY (id);\n\
        GRANT SELECT ON TABLE public.customers TO a_reader;\n\\unrestrict x1\n";
    std::fs::write(database.directory.path().join("dump.sql"), dump).unwrap();
    let nowhere = "DATABASE_URL=postgresql://127.0.0.1:1/none ";
    let said = sh(&database, &format!("{nowhere}refactor check --against theirs --schema dump.sql"));
    assert!(said.contains("clash on `customers.name`") && said.contains("[exit code 1]"), "{said}");
    let said = sh(
        &database,
        &format!("{nowhere}refactor check --schema dump.sql && {nowhere}refactor plan --schema dump.sql"),
    );
    assert!(said.contains("Plan: materialize") && !said.contains("exit code"), "{said}");
    // What continuous integration says of it.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/ci/refactor-check.sh");
    let ci = |against: &str| {
        sh(&database, &format!("{nowhere}REFACTOR_AGAINST={against} REFACTOR_SCHEMA=dump.sql sh {script}"))
    };
    let said = ci("theirs");
    assert!(said.contains("they clash with `theirs`") && said.contains("[exit code 1]"), "{said}");
    let said = ci("main");
    assert!(
        said.contains("they commute with `main`") && said.contains("<details>") && !said.contains("exit code"),
        "{said}"
    );
    let hook = concat!(env!("CARGO_MANIFEST_DIR"), "/ci/pre-commit.sh");
    let said = sh(&database, &format!("{nowhere}sh {hook} && {nowhere}REFACTOR_SCHEMA=dump.sql sh {hook}"));
    assert!(!said.contains("exit code"), "{said}");
}

#[test]
fn two_folders_and_one_after_a_merge() {
    let database = Database::new(SHOP);
    write(&database, "a", "0001-rename-name", RENAME);
    write(&database, "b", "0001-check-name", CHECK);
    let output = database.run(&["check", "a", "b"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("0001-rename-name and 0001-check-name clash on `customers.name`"), "{said}");
    // The files of both in one folder.
    for (name, text) in [("0001-rename-name", RENAME), ("0001-check-name", CHECK)] {
        write(&database, "refactorings", name, text);
    }
    let said = database.refused(&["check"]);
    assert!(said.contains("clash on `customers.name`") && said.contains("`refactor check --fix`"), "{said}");
    database.ok(&["check", "--fix"]);
    let expected = "after = \"0001-rename-name\"\n[add-check]\ntable = \"customers\"\nexpression = \"length(full_name) > 2\"\nname = \"long_enough\"\n";
    assert_eq!(text(&database, "refactorings/0001-check-name.toml"), expected);
    database.ok(&["check"]);
    // Two changes of one thing: only a person can say which holds.
    let database = Database::new(SHOP);
    for (name, value) in [("0001-a", 1), ("0001-b", 2)] {
        let text = format!("[set-default]\nfield = \"orders.total\"\ndefault = \"{value}\"\n");
        write(&database, "refactorings", name, &text);
    }
    let said = database.refused(&["check"]);
    assert!(
        said.contains("clash on `orders.total`") && said.contains("refactor check --order 0001-a,0001-b"),
        "{said}"
    );
    database.refused(&["check", "--fix"]);
    database.ok(&["check", "--order", "0001-b,0001-a"]);
    assert!(text(&database, "refactorings/0001-a.toml").starts_with("after = \"0001-b\"\n"));
    database.ok(&["check"]);
}

#[test]
fn a_database_in_another_order_is_in_order_if_that_does_not_matter() {
    for real in [false, true] {
        let database = Database::new(SHOP);
        database.client().batch_execute("CREATE SCHEMA sales").unwrap();
        write(&database, "refactorings", "0001-b-require", REQUIRE);
        database.ok(&["apply"]);
        if real {
            database.ok(&["materialize", "--yes"]);
        }
        write(&database, "refactorings", "0001-a-move", MOVE);
        let talk = |arguments: &[&str]| {
            let output = database.run(arguments);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
            said
        };
        let said = talk(&["apply"]);
        assert!(said.contains("0001-b-require before 0001-a-move") && said.contains("it is in order"), "{said}");
        talk(&["check"]);
        talk(&["status"]);
        talk(&["materialize", "--yes"]);
        // What clashes is not.
        write(
            &database,
            "refactorings",
            "0002-b",
            "after = \"0001-a-move\"\n[set-default]\nfield = \"orders.total\"\ndefault = \"1\"\n",
        );
        talk(&["apply"]);
        write(
            &database,
            "refactorings",
            "0002-a",
            "after = \"0001-a-move\"\n[set-default]\nfield = \"orders.total\"\ndefault = \"2\"\n",
        );
        let said = database.refused(&["apply"]);
        assert!(said.contains("0002-b") && said.contains("0002-a") && said.contains("`sales.orders.total`"), "{said}");
        database.ok(&["check", "--order", "0002-b,0002-a"]);
        talk(&["apply"]);
    }
}

#[test]
fn the_scripts_are_what_the_jobs_run() {
    let read = |file: &str| std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert!(
        read("action.yml").contains("ci/refactor-check.sh") && read("ci/gitlab.yml").contains("ci/refactor-check.sh")
    );
    assert!(read(".pre-commit-hooks.yaml").contains("entry: ci/pre-commit.sh"));
    for script in ["ci/refactor-check.sh", "ci/pre-commit.sh"] {
        let script = format!("{}/{script}", env!("CARGO_MANIFEST_DIR"));
        assert!(Command::new("sh").args(["-n", &script]).status().unwrap().success());
    }
}
