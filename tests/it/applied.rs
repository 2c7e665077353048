//! What was declared one by one is applied at once elsewhere: what makes a table or a field is then not there yet when
//! what is said of it is judged. Both databases show the same, and get the same tables.

use crate::page::new_database;
use crate::rebuild::assert_same;
use crate::support::{Database, rows};

const SHOP: &str = "
    CREATE TABLE o (id int PRIMARY KEY, name text, n int, hot boolean NOT NULL DEFAULT false, doc jsonb, alt text);
    CREATE TABLE kinds (id int PRIMARY KEY, label text UNIQUE);
    INSERT INTO o VALUES (1, 'Ulm x', 1, true, '{\"k\": 1}', 'a'), (2, 'Bonn y', 2, false, '{}', NULL);
    INSERT INTO kinds VALUES (1, 'a'), (2, 'b');";

/// What makes a table `t` with the fields `name`, `n` and `hot`, or makes one of these in a table that is there.
const MAKERS: &[(&str, &[&str])] = &[
    ("t", &["create-table", "t", "id int PRIMARY KEY", "name text", "n int", "hot boolean NOT NULL DEFAULT false"]),
    ("t", &["extract-table", "o.name", "n", "hot", "--by", "name", "--into", "t", "--as", "t_id"]),
    ("t", &["split-table", "o", "name", "n", "hot", "--into", "t"]),
    ("t", &["split-rows", "o", "--where", "id > 1", "--into", "t"]),
    (
        "t",
        &[
            "sql",
            "t",
            "id int PRIMARY KEY",
            "name text",
            "n int",
            "hot boolean",
            "--view",
            "SELECT id, name, n, hot FROM o",
        ],
    ),
    ("o", &["add-field", "o.name2", "text", "--default", "'Kiel z'"]),
    ("o", &["rename-table", "o", "t"]),
    ("o", &["rename-field", "o.name", "title"]),
];

/// What is done to it; `T` is the table.
const CHANGES: &[&[&str]] = &[
    &["change-type", "T.n", "bigint"],
    &["change-type", "T.name", "varchar(40)"],
    &["add-field", "T.x", "int", "--default", "5"],
    &["add-field", "T.x", "text", "--as", "name || '!'"],
    &["add-calculated", "T.x", "int", "n + 1"],
    &[
        "split-field",
        "T.name",
        "--into",
        "c,d",
        "--by",
        "split_part(name, ' ', 1)",
        "--by",
        "split_part(name, ' ', 2)",
        "--back",
        "c || ' ' || d",
    ],
    &[
        "merge-fields",
        "T.name",
        "n",
        "--into",
        "both",
        "--by",
        "name || '/' || n",
        "--back",
        "split_part(both, '/', 1)",
        "--back",
        "split_part(both, '/', 2)::int",
    ],
    &["invert-flag", "T.hot", "cold"],
    &["code-to-flags", "T.name", "--map", "Ulm x=is_ulm,Bonn y=is_bonn"],
    &["rename-field", "T.name", "called"],
    &["reorder-fields", "T", "n", "name"],
    &["set-default", "T.n", "7"],
    &["set-not-null", "T.name"],
    &["add-check", "T", "n < 100"],
    &["add-unique", "T", "name"],
    &["create-index", "T", "n"],
    &["drop-field", "T.n"],
    &["rename-table", "T", "renamed"],
    &["add-foreign-key", "T", "n", "--references", "kinds"],
    &["extract-table", "T.name", "--into", "names"],
    &["split-table", "T", "n", "--into", "numbers"],
    &["split-rows", "T", "--where", "n = 1", "--into", "ones"],
    &["unpivot", "T", "name", "--into", "parts"],
    &["soft-delete", "T"],
    &["drop-table", "T"],
    &["sql", "told", "id int PRIMARY KEY", "up text", "--view", "SELECT id, upper(name) AS up FROM T"],
];

/// What the newest shape shows, table by table.
fn shown(database: &Database) -> Vec<(String, Vec<String>)> {
    let mut next = database.next();
    let tables = database.ok(&["--json", "show", "--tables"]);
    let tables: Vec<serde_json::Value> = serde_json::from_str(&tables).unwrap();
    let names = tables.iter().map(|t| t["table"].as_str().unwrap().trim_start_matches("public.").to_owned());
    names.map(|name| (name.clone(), rows(&mut next, &format!("SELECT * FROM {name}")))).collect()
}

/// Declares what makes something and then each of the changes, and applies both elsewhere. Gives how many were accepted.
fn pairs(maker: &(&str, &[&str])) -> usize {
    let (table, make) = maker;
    let table = if make[0] == "rename-table" { "t" } else { *table };
    let (here, there) = (new_database(SHOP), new_database(SHOP));
    std::fs::create_dir_all(there.files()).unwrap();
    here.ok(make);
    let mut accepted = 0;
    for change in CHANGES {
        let name = if make[0] == "rename-field" { "title" } else { "name" };
        let change: Vec<String> = change.iter().map(|word| word.replace("T.", &format!("{table}."))).collect();
        let change: Vec<String> = change
            .iter()
            .map(|w| if w == "T" { table.to_owned() } else { w.replace("FROM T", &format!("FROM {table}")) })
            .collect();
        let change: Vec<String> =
            change.iter().map(|w| if name == "title" { w.replace("name", "title") } else { w.clone() }).collect();
        let words: Vec<&str> = change.iter().map(String::as_str).collect();
        if !here.run(&words).status.success() {
            continue;
        }
        accepted += 1;
        for file in std::fs::read_dir(here.files()).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), there.files().join(file.file_name())).unwrap();
        }
        there.ok(&["apply"]);
        assert_eq!(shown(&there), shown(&here), "{make:?}, {words:?}");
        let (one, other) = (here.copy(), there.copy());
        let real: Vec<bool> = [&one, &other].map(|d| d.run(&["materialize", "--yes"]).status.success()).to_vec();
        assert_eq!(real[0], real[1], "{make:?}, {words:?}");
        if real[0] {
            // What was tried and taken back has moved the journal on.
            for database in [&one, &other] {
                database.rows("SELECT setval('refactor.refactor_journal_position', 100)");
            }
            assert_same(&one, &other);
        }
        there.ok(&["undo", "--all", "--yes"]);
        here.ok(&["undo", "--yes"]);
    }
    accepted
}

#[test]
fn what_was_declared_one_by_one_is_applied_at_once() {
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let runs: Vec<_> = MAKERS.iter().map(|maker| scope.spawn(|| pairs(maker))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    // That they are refused alike is no help to anybody.
    assert!(counts.iter().sum::<usize>() > 100, "{counts:?}");
}

/// A new table gets the order of its fields before it is real, with what hangs on it.
#[test]
fn a_new_table_is_made_in_another_order() {
    let database = new_database(SHOP);
    database.ok(&[
        "create-table",
        "t",
        "id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
        "a int CHECK (a > 0)",
        "b text UNIQUE",
        "o_id int REFERENCES o",
    ]);
    database.ok(&["create-table", "u", "id int PRIMARY KEY", "t_id int REFERENCES t"]);
    database.ok(&["create-index", "t", "a"]);
    database.ok(&["reorder-fields", "t", "b", "a"]);
    database
        .next()
        .batch_execute("INSERT INTO t (a, b, o_id) VALUES (1, 'x', 1), (2, 'y', NULL); INSERT INTO u VALUES (1, 2)")
        .unwrap();
    let expected = new_database(SHOP);
    expected
        .client()
        .batch_execute(
            "CREATE TABLE t (b text UNIQUE, a int CHECK (a > 0), id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, o_id int REFERENCES o);
             CREATE TABLE u (id int PRIMARY KEY, t_id int REFERENCES t); CREATE INDEX ON t (a);
             INSERT INTO t (a, b, o_id) VALUES (1, 'x', 1), (2, 'y', NULL); INSERT INTO u VALUES (1, 2)",
        )
        .unwrap();
    database.ok(&["materialize", "--yes"]);
    database.client().batch_execute("DROP SCHEMA refactor CASCADE").unwrap();
    assert_same(&database, &expected);
}
