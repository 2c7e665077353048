//! A field that is moved again before the first move is real: one carry along both ways, and nothing is forgotten when
//! the second move is taken back, or stays deferred while the first becomes real.

use crate::rebuild::{all_rows, assert_same, ok, structure};
use crate::support::Database;

const UP: &str = "
    CREATE TABLE regions (id int PRIMARY KEY, name text);
    CREATE TABLE customers (id int PRIMARY KEY, region_id int REFERENCES regions);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, tax int);
    CREATE INDEX ON customers (region_id); CREATE INDEX ON orders (customer_id);
    INSERT INTO regions SELECT i, 'r' FROM generate_series(1, 3) AS i;
    INSERT INTO customers VALUES (1, 1), (2, 1), (3, 2), (4, NULL), (5, 2);
    INSERT INTO orders VALUES (10, 1, 7), (11, 1, 7), (12, 2, 7), (13, 3, 8), (14, 4, 9);";

const DOWN: &str = "
    CREATE TABLE regions (id int PRIMARY KEY, tax int);
    CREATE TABLE customers (id int PRIMARY KEY, region_id int REFERENCES regions);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers);
    CREATE INDEX ON customers (region_id); CREATE INDEX ON orders (customer_id);
    INSERT INTO regions VALUES (1, 7), (2, 8);
    INSERT INTO customers VALUES (1, 1), (2, 1), (3, 2), (4, NULL);
    INSERT INTO orders VALUES (10, 1), (11, 1), (12, 2), (13, 3), (14, 4);";

const REGIONS: &str = "SELECT id, tax FROM next.regions";
const CUSTOMERS: &str = "SELECT id, tax FROM next.customers";
const ORDERS: &str = "SELECT id, tax FROM next.orders";

fn moved_up() -> Database {
    let shop = Database::new(UP);
    shop.ok(&["move-field", "orders.tax", "customers"]);
    // A value that only the first complement has: customer 5 has no orders.
    shop.client().batch_execute("UPDATE next.customers SET tax = 8 WHERE id = 5").unwrap();
    shop.ok(&["move-field", "customers.tax", "regions"]);
    shop
}

fn moved_down() -> Database {
    let shop = Database::new(DOWN);
    shop.ok(&["move-field", "regions.tax", "customers"]);
    shop.client().batch_execute("UPDATE next.customers SET tax = 70 WHERE id = 2").unwrap();
    shop.ok(&["move-field", "customers.tax", "orders"]);
    shop
}

#[test]
fn a_field_goes_up_twice() {
    let shop = moved_up();
    assert_eq!(shop.rows(REGIONS), ["(1,7)", "(2,8)", "(3,)"]);
    shop.client()
        .batch_execute("UPDATE next.regions SET tax = tax + 10; INSERT INTO next.customers VALUES (6, 1)")
        .unwrap();
    assert_eq!(shop.rows("SELECT id, tax FROM orders"), ["(10,17)", "(11,17)", "(12,17)", "(13,18)", "(14,9)"]);
    shop.client()
        .batch_execute("DELETE FROM orders WHERE customer_id = 3; UPDATE orders SET tax = 1 WHERE customer_id < 3")
        .unwrap();
    let seen = ["(1,1)", "(2,18)", "(3,)"];
    assert_eq!(shop.rows(REGIONS), seen);
    let stepwise = shop.copy();
    shop.ok(&["materialize", "--yes"]);
    stepwise.ok(&["materialize", "--yes", "--step-by-step"]);
    for one in [&shop, &stepwise] {
        assert_eq!(one.rows("SELECT id, tax FROM regions"), seen);
        assert_eq!(one.rows("SELECT * FROM customers"), ["(1,1)", "(2,1)", "(3,2)", "(4,)", "(5,2)", "(6,1)"]);
    }
}

#[test]
fn taking_the_second_move_up_back_loses_nothing() {
    let shop = moved_up();
    shop.client().batch_execute("UPDATE next.regions SET tax = 5 WHERE id = 2").unwrap();
    shop.ok(&["undo", "--yes"]);
    assert_eq!(shop.rows(CUSTOMERS), ["(1,7)", "(2,7)", "(3,5)", "(4,9)", "(5,5)"]);
}

#[test]
fn the_first_move_up_becomes_real_alone() {
    let shop = moved_up();
    shop.client().batch_execute("UPDATE next.regions SET tax = 5").unwrap();
    shop.ok(&["materialize", "--yes", "--to", "0001"]);
    assert_eq!(shop.rows("SELECT id, tax FROM customers"), ["(1,5)", "(2,5)", "(3,5)", "(4,9)", "(5,5)"]);
    assert_eq!(shop.rows(REGIONS), ["(1,5)", "(2,5)", "(3,5)"]);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT id, tax FROM regions"), ["(1,5)", "(2,5)", "(3,5)"]);
}

#[test]
fn two_values_for_one_are_refused_also_from_the_complement() {
    let shop = Database::new(UP);
    shop.ok(&["move-field", "orders.tax", "customers"]);
    shop.client().batch_execute("UPDATE next.customers SET tax = 99 WHERE id = 5").unwrap();
    let talk = shop.refused(&["move-field", "customers.tax", "regions"]);
    assert!(talk.contains("each \"regions\" must have one \"tax\""), "{talk}");
    assert_eq!(shop.rows(CUSTOMERS), ["(1,7)", "(2,7)", "(3,8)", "(4,9)", "(5,99)"]);
}

#[test]
fn a_field_goes_down_twice() {
    let shop = moved_down();
    assert_eq!(shop.rows(ORDERS), ["(10,7)", "(11,7)", "(12,70)", "(13,8)", "(14,)"]);
    shop.client()
        .batch_execute(
            "UPDATE next.orders SET tax = 3 WHERE id IN (11, 13, 14); UPDATE regions SET tax = 6 WHERE id = 2",
        )
        .unwrap();
    let seen = ["(10,7)", "(11,3)", "(12,70)", "(13,6)", "(14,3)"];
    assert_eq!(shop.rows(ORDERS), seen);
    let stepwise = shop.copy();
    shop.ok(&["materialize", "--yes"]);
    stepwise.ok(&["materialize", "--yes", "--step-by-step"]);
    for one in [&shop, &stepwise] {
        assert_eq!(one.rows("SELECT id, tax FROM orders"), seen);
        assert_eq!(one.rows("SELECT * FROM regions"), ["(1)", "(2)"]);
    }
}

#[test]
fn taking_the_second_move_down_back_keeps_what_all_agree_on() {
    let shop = moved_down();
    shop.client().batch_execute("UPDATE next.orders SET tax = 4 WHERE id IN (10, 11, 12)").unwrap();
    shop.ok(&["undo", "--yes"]);
    assert_eq!(shop.rows(CUSTOMERS), ["(1,4)", "(2,4)", "(3,8)", "(4,)"]);
}

#[test]
fn a_colleague_gets_both_moves_at_once() {
    let shop = moved_up();
    let theirs = Database::new(UP);
    std::fs::create_dir_all(theirs.files()).unwrap();
    for file in std::fs::read_dir(shop.files()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), theirs.files().join(file.file_name())).unwrap();
    }
    theirs.ok(&["apply"]);
    assert_eq!(theirs.rows(REGIONS), ["(1,7)", "(2,8)", "(3,)"]);
    theirs.ok(&["undo", "--all"]);
    assert_eq!(
        theirs.rows("SELECT relname FROM pg_class WHERE relnamespace = 'refactor'::regnamespace AND relkind = 'r'"),
        ["(journal)"]
    );
}

#[test]
fn a_table_is_dropped_after_its_fields_went_elsewhere() {
    let shop = Database::new(
        "CREATE TABLE people (id int PRIMARY KEY, name text);
         CREATE TABLE passports (id int PRIMARY KEY, person_id int NOT NULL UNIQUE REFERENCES people ON DELETE CASCADE,
           country text CHECK (country <> ''), nr text, note text);
         INSERT INTO people VALUES (1, 'a'), (2, 'b'), (3, 'c');
         INSERT INTO passports VALUES (10, 1, 'de', '1', 'x'), (11, 2, NULL, '2', NULL);",
    );
    let before = (structure(&shop), all_rows(&shop));
    for words in [
        &["move-field", "passports.country", "people", "--with", "nr=passport_nr"][..],
        &["rename-field", "passports.note", "remark"],
        &["drop-table", "passports"],
    ] {
        ok(&shop, words);
    }
    let writes = "UPDATE people SET country = 'fr' WHERE id = 2; UPDATE people SET country = 'it' WHERE id = 3";
    shop.next().batch_execute(writes).unwrap();
    let (fused, stepwise) = (shop.copy(), shop.copy());
    ok(&fused, &["materialize", "--yes"]);
    ok(&stepwise, &["materialize", "--yes", "--step-by-step"]);
    assert_same(&fused, &stepwise);
    let countries = fused.rows("SELECT id, country, passport_nr FROM people ORDER BY id");
    assert_eq!(countries, ["(1,de,1)", "(2,fr,2)", "(3,it,)"]);
    ok(&shop, &["undo", "--all", "--yes"]);
    assert_eq!(structure(&shop), before.0);
    assert_ne!(all_rows(&shop), before.1, "old code keeps what new code wrote where it has a place");
}
