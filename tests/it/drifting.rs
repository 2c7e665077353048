//! What others do meanwhile: names that are gone are used, tables and what is ours are changed, things are put beside.

use crate::support::Database;

const SHOP: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int CONSTRAINT of REFERENCES customers, city text, n int DEFAULT 1);
    CREATE INDEX ON orders (customer_id);
    INSERT INTO customers VALUES (1, 'Ann'), (2, 'Ben');
    INSERT INTO orders VALUES (10, 1, 'Ulm'), (11, 1, 'Ulm'), (12, 2, 'Bonn')";

const MOVE: &[&str] = &["move-field", "orders.city", "customers"];
const RENAME: &[&str] = &["rename-field", "orders.city", "town"];
const ADD: &[&str] = &["add-field", "orders.grade", "int", "--default", "5"];
const EXTRACT: &[&str] = &["extract-table", "orders.city", "--into", "cities"];

/// What of ours is there besides the journal.
const OURS: &str =
    "SELECT relname::text FROM pg_class WHERE relnamespace = 'refactor'::regnamespace AND relkind IN ('r', 'v')
      AND relname <> 'journal'
    UNION ALL SELECT tgname FROM pg_trigger WHERE tgname ~ '^[!~]refactor'
    UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'next'
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'refactor'::regnamespace";

#[test]
fn undo_works_whatever_others_have_done_to_the_tables() {
    let none: [String; 0] = [];
    for (declared, done) in [
        (MOVE, "ALTER TABLE orders RENAME city TO town"),
        (MOVE, "ALTER TABLE orders DROP CONSTRAINT of"),
        (MOVE, "ALTER TABLE orders RENAME TO purchases"),
        (MOVE, "ALTER TABLE customers ADD city text"),
        (MOVE, "ALTER TABLE orders DROP city CASCADE"),
        (MOVE, "DROP TABLE orders CASCADE"),
        (MOVE, "CREATE SCHEMA other; ALTER TABLE customers SET SCHEMA other; ALTER TABLE customers RENAME TO clients"),
        (RENAME, "ALTER TABLE orders RENAME city TO place"),
        (RENAME, "ALTER TABLE orders ADD town text"),
        (RENAME, "DROP TABLE orders CASCADE"),
        (ADD, "ALTER TABLE orders ADD grade int"),
        (ADD, "ALTER TABLE orders RENAME TO purchases"),
        (EXTRACT, "ALTER TABLE orders RENAME city TO town"),
        (EXTRACT, "CREATE TABLE cities (id int)"),
    ] {
        let shop = Database::new(SHOP);
        shop.ok(declared);
        shop.client()
            .batch_execute(&format!("SET client_min_messages = error; SET search_path = public, other; {done}"))
            .unwrap();
        let status = shop.refused(&["status"]);
        assert!(status.contains("does not fit the tables any more"), "{done}: {status}");
        assert!(status.contains("`refactor undo 0001-"), "{done}: {status}");
        for command in [&["check"][..], &["apply"], &["materialize", "--yes"]] {
            let said = shop.refused(command);
            assert!(said.contains("does not fit the tables any more") && !said.contains("SQLSTATE"), "{done}: {said}");
        }
        shop.ok(&["undo", "--yes"]);
        assert_eq!(shop.rows(OURS), none, "{done}");
        shop.ok(&["status"]);
    }
}

#[test]
fn what_still_fits_is_shown_when_the_rest_is_taken_back() {
    let shop = Database::new(SHOP);
    shop.ok(RENAME);
    shop.ok(ADD);
    shop.ok(&["rename-table", "customers", "clients"]);
    shop.ok(&["rename-field", "orders.town", "place"]);
    shop.next().batch_execute("UPDATE orders SET grade = 1 WHERE id = 10").unwrap();
    shop.client().batch_execute("ALTER TABLE orders RENAME city TO village").unwrap();
    // Taking back one of two that have lost their ground takes down everything, and loses nothing.
    let said = String::from_utf8(shop.run(&["undo", "--yes", "0004"]).stderr).unwrap();
    assert!(said.contains("0001-rename-city-to-town-in-orders cannot rename"), "{said}");
    assert_eq!(shop.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'next'").len(), 0);
    shop.client().batch_execute("INSERT INTO orders VALUES (13, 1, 'Kiel')").unwrap();
    // As the hint says: what has lost its ground goes, the others are shown again with what they kept.
    let status = shop.refused(&["status"]);
    assert!(status.contains("`refactor undo 0001-rename-city-to-town-in-orders`"), "{status}");
    shop.ok(&["undo", "--yes", "0001-rename-city-to-town-in-orders"]);
    assert_eq!(
        shop.rows("SELECT id, village, grade FROM next.orders"),
        ["(10,Ulm,1)", "(11,Ulm,5)", "(12,Bonn,5)", "(13,Kiel,5)"]
    );
    assert_eq!(shop.rows("SELECT * FROM next.clients"), ["(1,Ann)", "(2,Ben)"]);
    shop.ok(&["undo", "--all", "--yes"]);
}

#[test]
fn what_others_change_is_told_and_apply_takes_it_up() {
    for (declared, done, said) in [
        (RENAME, "ALTER TABLE orders ADD weight int", "`orders` has a field `weight` that `next.orders` does not show"),
        (RENAME, "ALTER TABLE orders RENAME n TO m", "`next.orders` shows `n`, which `orders` has no longer"),
        (RENAME, "ALTER TABLE orders DROP n CASCADE", "view `next.orders` is not there"),
        (ADD, "ALTER TABLE orders ALTER n SET DEFAULT 9", "the default of `orders.n` is 9; `next.orders` gives 1"),
        (ADD, "ALTER TABLE orders ALTER n DROP DEFAULT", "the default of `orders.n` is none; `next.orders` gives 1"),
        (MOVE, "ALTER TABLE orders DISABLE TRIGGER USER", "on `public.orders` is disabled: what old code writes is not seen"),
        (MOVE, "DROP SCHEMA next CASCADE", "schema `next` is not there"),
        (MOVE, "DROP VIEW next.orders", "view `next.orders` is not there"),
        (MOVE, "DROP TABLE refactor.kept_0001_city CASCADE", "table `refactor.kept_0001_city` is not there: what it kept is lost"),
        (
            MOVE,
            "DO $$ DECLARE t record; BEGIN FOR t IN SELECT tgname, tgrelid::regclass AS on FROM pg_trigger WHERE tgname ~ '^[!~]refactor' AND tgrelid = 'orders'::regclass
             LOOP EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.on); END LOOP; END $$",
            "on `public.orders` is not there: what old code writes is not seen",
        ),
        (
            MOVE,
            "DO $$ DECLARE f record; BEGIN FOR f IN SELECT oid::regprocedure AS f FROM pg_proc WHERE pronamespace = 'refactor'::regnamespace
             LOOP EXECUTE format('DROP FUNCTION IF EXISTS %s CASCADE', f.f); END LOOP; END $$",
            "is not there",
        ),
    ] {
        let shop = Database::new(SHOP);
        shop.ok(declared);
        shop.ok(&["status"]);
        shop.ok(&["check"]);
        shop.client().batch_execute(&format!("SET client_min_messages = error; {done}")).unwrap();
        for command in ["status", "check"] {
            let told = shop.refused(&[command]);
            assert!(told.contains(said) && told.contains("hint: `refactor apply`"), "{done}: {told}");
        }
        let data: serde_json::Value = serde_json::from_slice(&shop.run(&["status", "--json"]).stdout).unwrap();
        assert!(data[0]["trouble"].as_str().is_some_and(|t| t.contains(said)), "{done}: {data}");
        shop.ok(&["apply"]);
        shop.ok(&["status"]);
        shop.ok(&["check"]);
        shop.ok(&["verify"]);
        shop.client().batch_execute("INSERT INTO orders (id, customer_id, city) VALUES (13, NULL, 'Kiel')").unwrap();
        shop.ok(&["materialize", "--yes"]);
    }
}

#[test]
fn materializing_takes_up_what_others_have_changed_and_says_so() {
    for done in [
        "ALTER TABLE orders ADD weight int DEFAULT 3",
        "DROP SCHEMA next CASCADE",
        "ALTER TABLE orders DISABLE TRIGGER USER",
    ] {
        let shop = Database::new(SHOP);
        shop.ok(MOVE);
        shop.client().batch_execute(&format!("SET client_min_messages = error; {done}")).unwrap();
        let said = String::from_utf8(shop.run(&["materialize", "--yes"]).stderr).unwrap();
        assert!(said.contains("the views were made anew, as the tables are now"), "{done}: {said}");
        assert_eq!(shop.rows("SELECT city FROM customers"), ["(Bonn)", "(Ulm)"]);
    }
}

#[test]
fn another_search_path_is_no_change() {
    let shop = Database::new(SHOP);
    shop.ok(MOVE);
    shop.client().batch_execute(&format!("ALTER DATABASE {} SET search_path = next, public", shop.name)).unwrap();
    shop.ok(&["status"]);
}

#[test]
fn what_others_put_into_next_is_told_and_safe() {
    for take_away in [&["undo", "--yes"][..], &["materialize", "--yes"]] {
        let shop = Database::new(SHOP);
        shop.ok(MOVE);
        shop.next()
            .batch_execute(
                "CREATE TABLE audit_log (id serial, m text); INSERT INTO audit_log (m) VALUES ('precious');
                 CREATE TYPE mood AS ENUM ('good'); CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            )
            .unwrap();
        let mut moves = Vec::new();
        for command in ["status", "check"] {
            let said = String::from_utf8(shop.run(&[command]).stderr).unwrap();
            let statements = said.lines().filter(|l| l.starts_with("warning: ")).filter_map(|l| l.split('`').nth(5));
            moves = statements.map(str::to_owned).collect();
            assert_eq!(
                moves,
                [
                    "ALTER FUNCTION next.f(integer) SET SCHEMA public",
                    "ALTER TABLE next.audit_log SET SCHEMA public",
                    "ALTER TYPE next.mood SET SCHEMA public"
                ],
                "{said}"
            );
        }
        shop.ok(take_away);
        assert_eq!(shop.rows("SELECT m FROM next.audit_log"), ["(precious)"]);
        shop.ok(&["status"]);
        shop.ok(&["rename-field", "customers.name", "title"]);
        shop.client().batch_execute(&moves.join(";")).unwrap();
        shop.ok(&["undo"]);
        assert_eq!(shop.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'next'").len(), 0);
        assert_eq!(shop.rows("SELECT m FROM audit_log"), ["(precious)"]);
    }
}

#[test]
fn a_name_in_next_that_others_have_taken_is_told_before_anything_is_done() {
    let shop = Database::new(SHOP);
    shop.ok(RENAME);
    shop.client().batch_execute("CREATE TABLE next.clients (id int)").unwrap();
    let said = shop.refused(&["rename-table", "customers", "clients"]);
    assert!(said.contains("because table `next.clients` is not this tool's"), "{said}");
    assert!(said.contains("hint: move it to where it belongs: `ALTER TABLE next.clients SET SCHEMA public`"), "{said}");
}
