//! Tables that SQL of the user tells: what is looked up when, what rests on what, numbers, rules that come and go, and
//! faults that only a trial on rows shows.

use crate::support::{Database, rows};

const KINDS: &str = "CREATE TABLE kinds (id int PRIMARY KEY, kind text NOT NULL, n int);
    INSERT INTO kinds VALUES (1, 'a', 10), (2, 'b', NULL), (3, 'a', 30);";

/// One field of a table by another name, all of it written.
const ALL: [&str; 13] = [
    "sql",
    "items",
    "id int PRIMARY KEY",
    "name text NOT NULL",
    "n int",
    "--view",
    "SELECT id, kind AS name, n FROM kinds",
    "--insert",
    "INSERT INTO kinds VALUES (NEW.id, NEW.name, NEW.n)",
    "--update",
    "UPDATE kinds SET id = NEW.id, kind = NEW.name, n = NEW.n WHERE id = OLD.id",
    "--delete",
    "DELETE FROM kinds WHERE id = OLD.id",
];

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

#[test]
fn names_are_those_of_the_declaration_whoever_reads() {
    let shop = Database::new(&format!("{KINDS} CREATE SCHEMA other; CREATE TABLE other.kinds (LIKE kinds);"));
    shop.ok(&with(&ALL, &["--replaces", "kinds"]));
    let mut client = shop.client();
    client
        .batch_execute(
            "SET search_path = other, next; UPDATE next.items SET n = 11 WHERE id = 1;
             CREATE TEMPORARY TABLE kinds (id int, kind text, n int); CREATE TEMPORARY TABLE items (id int);
             DELETE FROM next.items WHERE id = 2; INSERT INTO next.items VALUES (4, 'x', 4)",
        )
        .unwrap();
    assert_eq!(rows(&mut client, "SELECT * FROM public.kinds"), ["(1,a,11)", "(3,a,30)", "(4,x,4)"]);
    assert_eq!(rows(&mut client, "SELECT * FROM other.kinds"), Vec::<String>::new());
}

#[test]
fn a_file_is_shown_and_its_sql_printed_before() {
    let shop = Database::new(KINDS);
    std::fs::create_dir_all(shop.files()).unwrap();
    let file = shop.files().join("0001-items.toml");
    let text = "[sql]\ntable = \"items\"\nelements = [\"id int PRIMARY KEY\", \"name text\"]\nview = \"\"\"\nSELECT id,\n  kind AS name\nFROM kinds\"\"\"\ndelete = \"DELETE FROM kinds WHERE id = OLD.id\"\n";
    std::fs::write(&file, text).unwrap();
    let output = shop.run(&["plan", "apply"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("SELECT id, kind AS name FROM \"public\".\"kinds\""), "{said}");
    assert!(said.contains("DELETE FROM \"public\".\"kinds\" WHERE id = OLD.id"), "{said}");
    assert!(shop.ok(&["show"]).contains(text.trim_end()));
    let said = String::from_utf8(shop.run(&["apply"]).stderr).unwrap();
    assert!(said.contains("tried `items` on 3 rows: 3 writes, 0 of them rejected"), "{said}");
    assert_eq!(shop.rows("SELECT * FROM next.items"), ["(1,a)", "(2,b)", "(3,a)"]);
}

#[test]
fn what_the_sql_names_stays_until_it_is_real() {
    let shop = Database::new(&format!("{KINDS} CREATE TABLE more (id int PRIMARY KEY, x text);"));
    shop.ok(&["create-table", "new", "id int PRIMARY KEY"]);
    shop.ok(&ALL);
    // Each would have another table than the SQL names, or needs one where SQL tells rows: it stands on a floor.
    for command in [
        &["rename-field", "kinds.kind", "sort"][..],
        &["drop-table", "kinds"],
        &["add-field", "kinds.more", "int"],
        &["drop-not-null", "kinds.kind"],
        &["set-default", "kinds.n", "1"],
        &["rename-table", "kinds", "sorts"],
        &["drop-table", "items"],
        &["add-field", "items.more", "int"],
        &["create-index", "items", "n"],
        &["add-foreign-key", "more", "id", "--references", "items"],
        &["create-table", "far", "id int PRIMARY KEY REFERENCES items"],
        &["union-tables", "more", "items", "--into", "all_of_them", "--discriminator", "sort"],
        &["extract-table", "more.x", "--into", "items"],
        &["sql", "again", "id int PRIMARY KEY", "--view", "SELECT id FROM items"],
        &["sql", "again", "id int PRIMARY KEY", "--view", "SELECT id FROM kinds", "--replaces", "kinds"],
    ] {
        let output = shop.run(&[&["--json"], command].concat());
        let said = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
        eprintln!("{command:?} {said}");
        if output.status.success() {
            assert!(said.contains("as a table: `refactor.floor_0003_"), "{command:?}: {said}");
            shop.ok(&["undo", "--yes"]);
        } else {
            assert!(said.contains("  because ") && !said.contains("not real yet"), "{command:?}: {said}");
        }
    }
    shop.ok(&["sql", "again", "id int PRIMARY KEY", "--view", "SELECT id FROM kinds"]);
    shop.ok(&["rename-table", "items", "things"]);
    shop.ok(&["add-field", "more.y", "int"]);
    shop.ok(&["undo", "--yes", "0003-sql-again"]);
    shop.ok(&["materialize", "--yes", "--step-by-step"]);
    assert_eq!(shop.rows("SELECT * FROM things"), shop.rows("SELECT * FROM kinds"));
    shop.ok(&["add-field", "things.more", "int"]);
}

#[test]
fn some_become_real_and_the_others_stay() {
    let shop = Database::new(&format!("{KINDS} CREATE TABLE more (id int PRIMARY KEY, x text);"));
    shop.ok(&["rename-field", "more.x", "y"]);
    shop.ok(&with(&ALL, &["--replaces", "kinds"]));
    shop.ok(&["rename-table", "items", "things"]);
    shop.next().batch_execute("INSERT INTO things VALUES (7, 'g', 7)").unwrap();
    shop.ok(&["materialize", "--yes", "--to", "0001-rename-x-to-y-in-more"]);
    shop.next().batch_execute("UPDATE things SET n = 8 WHERE id = 7").unwrap();
    shop.ok(&["materialize", "--yes", "--to", "0002-sql-items"]);
    shop.next().batch_execute("UPDATE things SET n = n + 1 WHERE id = 7").unwrap();
    assert_eq!(shop.rows("SELECT * FROM items"), ["(1,a,10)", "(2,b,)", "(3,a,30)", "(7,g,9)"]);
    shop.ok(&["undo", "--yes", "--all"]);
    assert_eq!(shop.rows("SELECT n FROM items WHERE id = 7"), ["(9)"]);
    assert_eq!(shop.rows("SELECT n FROM refactor.\"lost_0002-sql-items\" WHERE id = 7"), ["(8)"]);
}

#[test]
fn numbers_go_on_after_those_that_are_there() {
    for identity in ["BY DEFAULT", "ALWAYS"] {
        let shop = Database::new(KINDS);
        let id = format!("id int GENERATED {identity} AS IDENTITY PRIMARY KEY");
        let mut command = with(&ALL, &["--replaces", "kinds"]);
        command[2] = &id;
        shop.ok(&command);
        let insert = "INSERT INTO items (name) VALUES ('x') RETURNING id";
        let id = |insert: &str| shop.next().query_one(insert, &[]).unwrap().get::<_, i32>(0);
        assert_eq!(id(insert), 4);
        shop.client().batch_execute("INSERT INTO kinds VALUES (9, 'old', 1)").unwrap();
        let given = shop.next().execute("INSERT INTO items (id, name) VALUES (20, 'x')", &[]);
        assert_eq!(given.is_ok(), identity == "BY DEFAULT");
        shop.ok(&["materialize", "--yes"]);
        assert_eq!(id(insert), if identity == "ALWAYS" { 10 } else { 21 });
    }
}

#[test]
fn a_foreign_key_that_is_dropped_may_still_say_no() {
    let shop = Database::new(&format!(
        "{KINDS} CREATE TABLE users (id int PRIMARY KEY, kind int REFERENCES kinds); INSERT INTO users VALUES (1, 1);"
    ));
    let command = with(&ALL, &["--replaces", "kinds"]);
    let said = shop.refused(&command);
    assert!(said.contains("`users_kind_fkey`"), "{said}");
    shop.ok(&["drop-constraint", "users", "users_kind_fkey"]);
    shop.ok(&command);
    shop.ok(&["verify"]);
    shop.ok(&["materialize", "--yes"]);
    shop.client().batch_execute("DELETE FROM items").unwrap();
}

#[test]
fn only_rules_of_the_new_table_may_reject() {
    let shop = Database::new(
        "CREATE TABLE kinds (id int PRIMARY KEY, kind text NOT NULL, n int, CHECK (n > 0 AND n <> 30 OR id <> 1));
         INSERT INTO kinds VALUES (1, 'a', 10), (2, 'b', 30);",
    );
    let said = shop.refused(&with(&ALL, &["--replaces", "kinds"]));
    assert!(said.contains("in row 1, (1,a,10), `n` was set to the value of row 2"), "{said}");
    assert!(
        said.contains("violates check constraint \"kinds_check\"") && said.contains("give it the same rule"),
        "{said}"
    );
    shop.ok(&with(&ALL, &["CHECK (n > 0 AND n <> 30 OR id <> 1)", "--replaces", "kinds"]));
}

#[test]
fn sql_that_breaks_a_law_is_refused_with_the_row() {
    let shop = Database::new(&format!("{KINDS} CREATE TABLE more (id int, kind text, n int);"));
    let change = |at: usize, sql: &'static str| {
        let mut command = with(&ALL, &["--replaces", "kinds"]);
        command[at] = sql;
        shop.refused(&command)
    };
    for (at, sql, told) in [
        (10, "UPDATE kinds SET id = NEW.id, kind = NEW.name WHERE id = OLD.id", "in row 1, (1,a,10), `n` was set to"),
        (10, "UPDATE kinds SET id = NEW.id, kind = NEW.name, n = NEW.n WHERE kind = OLD.name", "SQLSTATE 23505"),
        (
            10,
            "UPDATE kinds SET kind = NEW.name, n = NEW.n WHERE id = OLD.id",
            "`id` was set to a value that no row has",
        ),
        (
            10,
            "UPDATE kinds SET id = NEW.id, n = NEW.n WHERE id = OLD.id; UPDATE kinds SET kind = NEW.name",
            "another row",
        ),
        (10, "UPDATE kinds SET id = NEW.id, kind = NEW.name, n = 1 / NEW.n WHERE id = OLD.id", "SQLSTATE"),
        (8, "INSERT INTO kinds VALUES (NEW.id, NEW.name, coalesce(NEW.n, 0))", "row 2, (2,b,), was inserted"),
        (8, "INSERT INTO kinds VALUES (NEW.id, NEW.name, NEW.n), (NEW.id + 100, 'x', 1)", "another row"),
        (8, "INSERT INTO kinds VALUES (NEW.id, OLD.name, NEW.n)", "the server does not take what `--insert` says"),
        (12, "DELETE FROM kinds WHERE id = OLD.id AND n > 10", "row 1, (1,a,10), was deleted"),
        (12, "DELETE FROM kinds WHERE kind = OLD.name", "another row"),
        (6, "SELECT id, kind AS name, n FROM kinds WHERE random() < 2", "`random` gives another value"),
        (6, "SELECT id, kind AS name FROM kinds", "gives no column `n`"),
        (6, "SELECT id, kind::varchar(9) AS name, n FROM kinds", "gives `name` as character varying(9)"),
        (6, "SELECT id, kind COLLATE \"C\" AS name, n FROM kinds", "gives `name` as text COLLATE"),
        (6, "SELECT k.id, k.kind AS name, k.n FROM kinds AS k, pg_class AS c WHERE c.oid = 1", "no table `pg_class`"),
        (
            6,
            "SELECT (x).id, (x).kind AS name, (x).n FROM unnest(ARRAY(SELECT NULL::more)) AS x",
            "`more` is used where",
        ),
    ] {
        let said = change(at, sql);
        assert!(said.contains(told), "{sql}:\n{said}");
        assert_eq!(shop.rows("SELECT * FROM kinds"), ["(1,a,10)", "(2,b,)", "(3,a,30)"]);
    }
    shop.ok(&with(&ALL, &["--replaces", "kinds"]));
}

#[test]
fn rows_that_break_a_rule_keep_it_from_being_shown_and_from_being_real() {
    let shop = Database::new(KINDS);
    let command = with(&ALL, &["UNIQUE (name)", "--replaces", "kinds"]);
    let said = shop.refused(&command);
    assert!(said.contains("each `items` must have its own value in `name`; 2 rows of `items` do not: 1, 3"), "{said}");
    shop.client().batch_execute("UPDATE kinds SET kind = 'c' WHERE id = 3").unwrap();
    shop.ok(&command);
    shop.client().batch_execute("UPDATE kinds SET kind = 'a'").unwrap();
    shop.refused(&["verify"]);
    shop.refused(&["materialize", "--yes"]);
    shop.client().batch_execute("UPDATE kinds SET kind = id").unwrap();
    shop.ok(&["materialize", "--yes"]);
}

#[test]
fn a_statement_within_a_statement_keeps_its_own_account() {
    // The trigger of the old table writes the view from within a write of the view.
    let shop = Database::new(&format!(
        "{KINDS} CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN IF NEW.id = 1 AND pg_trigger_depth() < 3 THEN UPDATE next.items SET n = NEW.n WHERE id = 3; END IF; RETURN NULL; END $$;"
    ));
    shop.ok(&with(&ALL, &["--replaces", "kinds"]));
    shop.client()
        .batch_execute("CREATE TRIGGER follow AFTER UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION follow()")
        .unwrap();
    let mut next = shop.next();
    let matched = "UPDATE items SET n = x FROM (VALUES (1, 5), (1, 5), (2, 6)) AS v (k, x) WHERE id = k";
    assert_eq!(next.execute(matched, &[]).unwrap(), 2);
    assert_eq!(rows(&mut next, "SELECT id, n FROM items"), ["(1,5)", "(2,6)", "(3,5)"]);
    let twice = "WITH a AS (UPDATE items SET n = 1 WHERE id > 1 RETURNING id) UPDATE items SET n = 5 WHERE id = 1 AND EXISTS (SELECT FROM a WHERE id = 2)";
    next.batch_execute(twice).unwrap();
    assert_eq!(shop.rows("SELECT * FROM refactor.done_refactor_items"), Vec::<String>::new());
}
