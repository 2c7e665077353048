//! Migrations for other runners do what the tool does, wherever the database stands, and lead back.

use std::path::Path;

use crate::page::{Page, new_database, shell};
use crate::rebuild::{assert_same, dump};
use crate::support::Database;

/// Pages whose first examples are exported: in place, rebuilt, new tables, kept values, marks, SQL of the user.
const PAGES: [&str; 10] = [
    "move-field",
    "rename-table",
    "add-field",
    "drop-field",
    "add-foreign-key",
    "split-table",
    "extract-table",
    "reorder-fields",
    "soft-delete",
    "change-type",
];

const JOURNAL: &str = "SELECT name, state, text, inverse FROM refactor.journal WHERE state <> 'undone'";

/// Exports; gives the texts of the files by the end of their names.
fn export(database: &Database, runner: &str, more: &[&str]) -> Vec<(String, String)> {
    let out = database.directory.path().join(format!("out_{runner}"));
    database.ok(&[&["export", "--for", runner, "--out", out.to_str().unwrap()], more].concat());
    files(&out)
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn text<'f>(files: &'f [(String, String)], end: &str) -> &'f str {
    &files.iter().find(|(name, _)| name.ends_with(end)).unwrap_or_else(|| panic!("{end}: {files:?}")).1
}

/// As a runner does: the whole text at once.
fn run(database: &Database, text: &str) {
    database
        .client()
        .batch_execute(text)
        .unwrap_or_else(|e| panic!("{}\n{text}", e.as_db_error().map_or(e.to_string(), |e| format!("{e:?}"))));
}

/// The rows of all tables but ours, the fields in any order.
fn rows(database: &Database) -> Vec<(String, Vec<String>)> {
    let query = "SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relkind = 'r' AND c.relnamespace NOT IN
        (SELECT oid FROM pg_namespace WHERE nspname ~ '^(pg_|information_schema|refactor$)') ORDER BY 1";
    let tables: Vec<String> = database.client().query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    let of = |name: String| (name.clone(), database.rows(&format!("SELECT to_jsonb(t) FROM {name} AS t")));
    tables.into_iter().map(of).collect()
}

#[test]
fn a_migration_does_what_the_tool_does_and_leads_back() {
    let failed = std::thread::scope(|scope| {
        let runs: Vec<_> = PAGES.iter().map(|page| (page, scope.spawn(|| there_and_back(page)))).collect();
        runs.into_iter().filter_map(|(page, run)| run.join().is_err().then_some(*page)).collect::<Vec<_>>()
    });
    assert_eq!(failed, Vec::<&str>::new(), "the reasons stand above");
}

fn there_and_back(page: &str) {
    let examples = Page::read(page).examples();
    let example = examples
        .iter()
        .find(|e| e.succeeds && !e.stays_deferred && e.command.starts_with(&format!("refactor {page} ")))
        .unwrap();
    let bare = new_database(&example.before);
    if dump(&bare).is_empty() {
        return; // No `pg_dump` that fits.
    }
    let before = rows(&bare);
    let declared = bare.copy();
    let said = shell(&declared, &example.command);
    assert!(!said.contains("[exit code"), "{said}");
    let tool = declared.copy();
    tool.ok(&["materialize", "--yes"]);
    let files = export(&declared, "plain", &[]);
    let (up, down) = (text(&files, ".up.sql"), text(&files, ".down.sql"));
    for database in [&bare, &declared] {
        run(database, up);
        assert_same(database, &tool);
        assert_eq!(database.rows(JOURNAL), tool.rows(JOURNAL));
        run(database, up); // Nothing is left to do.
        run(database, down);
        assert_eq!(rows(database), before, "{page}");
        assert_eq!(database.rows(JOURNAL), Vec::<String>::new());
        run(database, up);
        assert_eq!(rows(database), rows(&tool));
        assert_eq!(database.rows(JOURNAL), tool.rows(JOURNAL));
    }
}

const TABLES: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, city text);
    INSERT INTO customers VALUES (1, 'Ada'), (2, 'Ben'), (3, 'Cy');
    INSERT INTO orders VALUES (1, 1, 'Jena'), (2, 1, 'Jena'), (3, 2, 'Ulm');";

#[test]
fn what_shows_and_what_makes_real_are_migrations_of_their_own() {
    let (declared, other) = (Database::new(TABLES), Database::new(TABLES));
    if dump(&declared).is_empty() {
        return;
    }
    declared.ok(&["move-field", "orders.city", "customers"]);
    let files = export(&declared, "sqlx", &["--expand"]);
    assert_eq!(files.len(), 4);
    let (show, hide) =
        (text(&files, "show_move_city_to_customers.up.sql"), text(&files, "show_move_city_to_customers.down.sql"));
    let real = |end: &str| files.iter().find(|(n, _)| !n.contains("show") && n.ends_with(end)).unwrap().1.clone();
    assert!(files[0].0.contains("show") && files[1].0.contains("show"), "{files:?}");
    let shown = || other.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'next'").len();
    run(&other, show);
    assert_eq!(shown(), 1);
    other.next().batch_execute("UPDATE customers SET city = 'Gera' WHERE id = 3").unwrap();
    run(&other, &real(".up.sql"));
    assert_eq!(shown(), 0);
    assert_eq!(other.rows("SELECT * FROM customers"), ["(1,Ada,Jena)", "(2,Ben,Ulm)", "(3,Cy,Gera)"]);
    run(&other, &real(".down.sql"));
    assert_eq!(shown(), 1);
    assert_eq!(other.rows("SELECT * FROM orders"), ["(1,1,Jena)", "(2,1,Jena)", "(3,2,Ulm)"]);
    run(&other, hide);
    assert_eq!(shown(), 0);
}

#[test]
fn a_migration_stops_where_the_database_is_another() {
    let (declared, other) = (Database::new(TABLES), Database::new(TABLES));
    if dump(&declared).is_empty() {
        return;
    }
    declared.ok(&["move-field", "orders.city", "customers"]);
    let files = export(&declared, "plain", &[]);
    let up = text(&files, ".up.sql");
    let stops = |sql: &str| {
        other.client().batch_execute(sql).unwrap();
        let error = other.client().batch_execute(up).unwrap_err();
        let error = error.as_db_error().unwrap();
        format!("{}: {}", error.message(), error.detail().unwrap_or_default())
    };
    let said = stops("ALTER TABLE orders ADD COLUMN note text");
    assert!(said.contains("it has field public.orders.note text"), "{said}");
    let said = stops("ALTER TABLE orders DROP COLUMN note; INSERT INTO orders VALUES (4, 1, 'Suhl')");
    assert!(said.contains("each `customers` must have one `city`"), "{said}");
    assert_eq!(
        other.rows("SELECT nspname FROM pg_namespace WHERE nspname IN ('next', 'refactor')"),
        Vec::<String>::new()
    );
    other.client().batch_execute("DELETE FROM orders WHERE id = 4").unwrap();
    let mut client = other.client();
    client.batch_execute("SET search_path = public; SET datestyle = 'German'").unwrap();
    let mut transaction = client.transaction().unwrap();
    transaction.batch_execute(up).unwrap();
    // Whoever owns the transaction finds his settings as they were.
    let settings =
        "SELECT current_setting('search_path'), current_setting('datestyle'), current_setting('lock_timeout')";
    let settings = transaction.query_one(settings, &[]).unwrap();
    assert_eq!([0, 1, 2].map(|at| settings.get::<_, String>(at)), ["public", "German, DMY", "0"]);
}

/// Names and texts in which runners would see something of theirs.
const HOSTILE: &str = "
    CREATE TABLE \"a${b}#{c}%s:d\" (\"id$sql$\" int PRIMARY KEY, \"v'\\\\\" text DEFAULT E'\\n-- migrate:down\\n-- +goose Down\\n--rollback x\\n/* \\r\\n\"\"\"', w text);
    COMMENT ON COLUMN \"a${b}#{c}%s:d\".w IS E'SQL\\n    SQL\\n${user} #{1 + 1} %(x)s :x \\\\';
    INSERT INTO \"a${b}#{c}%s:d\" VALUES (1, 'x', 'y')";

#[test]
fn names_and_texts_mean_nothing_to_a_runner() {
    let declared = Database::new(HOSTILE);
    if dump(&declared).is_empty() {
        return;
    }
    let table = "\"a${b}#{c}%s:d\"";
    declared.ok(&["rename-field", &format!("{table}.w"), "w${x}"]);
    declared.ok(&["add-field", &format!("{table}.z"), "text", "--default", "'${a}' || E'\\n-- migrate:down\\n'"]);
    declared.ok(&["reorder-fields", table, "z"]);
    let tool = declared.copy();
    tool.ok(&["materialize", "--yes"]);
    let between = |text: &str, from: &str, to: &str| {
        let lines = text.lines().skip_while(|line| *line != from).skip(1).take_while(|line| *line != to);
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let parts = |runner: &str| -> (String, String) {
        let files = export(&declared, runner, &[]);
        match runner {
            "goose" => {
                let (up, down) = files[0].1.split_once("\n-- +goose Down\n").unwrap();
                let of = |text: &str| between(text, "-- +goose StatementBegin", "-- +goose StatementEnd");
                (of(up), of(down))
            }
            "dbmate" => {
                let (up, down) = files[0].1.split_once("\n-- migrate:down\n").unwrap();
                (up.split_once("-- migrate:up\n").unwrap().1.to_owned(), down.to_owned())
            }
            "liquibase" => {
                let is_back = |line: &&str| line.starts_with("--rollback");
                let up = files[0].1.lines().skip(1).filter(|l| !is_back(l)).map(|l| format!("{l}\n")).collect();
                let down =
                    files[0].1.lines().filter(is_back).map(|l| format!("{}\n", &l["--rollback ".len()..])).collect();
                assert!(!files[0].1.contains("${"));
                (up, down)
            }
            "flyway" => {
                assert!(files.iter().all(|(_, text)| !text.contains("${")));
                (files[1].1.clone(), files[0].1.clone())
            }
            _ => (text(&files, ".up.sql").to_owned(), text(&files, ".down.sql").to_owned()),
        }
    };
    for runner in ["plain", "goose", "dbmate", "liquibase", "flyway"] {
        let (up, down) = parts(runner);
        let there = Database::new(HOSTILE);
        let before = rows(&there);
        run(&there, &up);
        assert_same(&there, &tool);
        run(&there, &down);
        assert_eq!(rows(&there), before, "{runner}");
    }
}

#[test]
fn numbers_follow_those_that_are_there() {
    let database = Database::new(TABLES);
    if dump(&database).is_empty() {
        return;
    }
    database.ok(&["rename-field", "orders.city", "town"]);
    let made = |runner: &str, there: &[(&str, &str)]| {
        let out = database.directory.path().join(format!("out_{runner}"));
        std::fs::create_dir(&out).unwrap();
        for (name, text) in there {
            std::fs::write(out.join(name), text).unwrap();
        }
        let names: Vec<String> = export(&database, runner, &[]).into_iter().map(|(name, _)| name).collect();
        let new = |name: &&String| !there.iter().any(|(old, _)| *old == **name);
        names.iter().filter(new).cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        made("flyway", &[("V7__a.sql", ""), ("V12__b.sql", "")]),
        ["U13__rename_city_to_town_in_orders.sql", "V13__rename_city_to_town_in_orders.sql"]
    );
    assert_eq!(
        made("refinery", &[("V1__a.rs", "")]),
        ["V2__rename_city_to_town_in_orders.sql", "down_V2__rename_city_to_town_in_orders.sql"]
    );
    assert_eq!(made("goose", &[("00009_a.sql", "")]), ["00010_rename_city_to_town_in_orders.sql"]);
    let stamped = made("dbmate", &[("20990101000000_a.sql", "")]);
    assert_eq!(stamped, ["20990101000001_rename_city_to_town_in_orders.sql"]);
    let before = "class A < ActiveRecord::Migration[7.1]\nend\n";
    made("rails", &[("20200101000000_a.rb", before)]);
    let rails = files(&database.directory.path().join("out_rails")).pop().unwrap().1;
    assert!(rails.contains("class RenameCityToTownInOrders < ActiveRecord::Migration[7.1]"), "{rails}");
    let chain = [
        ("a.py", "revision = 'a1'\ndown_revision = None\n"),
        ("b.py", "revision: str = \"b2\"\ndown_revision: str = 'a1'\n"),
    ];
    made("alembic", &chain);
    let alembic = files(&database.directory.path().join("out_alembic"));
    assert!(alembic.iter().any(|(_, text)| text.contains("down_revision = \"b2\"")), "{alembic:?}");
    let first = ("0001_initial.py", "class Migration(migrations.Migration):\n    dependencies = []\n");
    assert_eq!(made("django", &[("__init__.py", ""), first]), ["0002_rename_city_to_town_in_orders.py"]);
    // What has its migration gets no other.
    database.ok(&["rename-field", "orders.town", "place"]);
    let out = database.directory.path().join("out_goose");
    let goose = export(&database, "goose", &[]);
    assert_eq!(goose.last().unwrap().0, "00011_rename_town_to_place_in_orders.sql");
    database.ok(&["export", "--for", "goose", "--out", out.to_str().unwrap()]);
    assert_eq!(files(&out).len(), 3);
}

#[test]
fn the_page_shows_what_really_happens() {
    if !dump(&Database::new("")).is_empty() {
        Page::open("docs/with-your-migration-runner.md").check();
    }
}
