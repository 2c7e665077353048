//! Steps that change rows: once, on the shape that they were written for, all or nothing.

use crate::rebuild::{all_rows, assert_same, ok, structure};
use crate::support::Database;

const SHOP: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers DEFERRABLE, city text, n int DEFAULT 0);
    CREATE INDEX ON orders (customer_id);
    INSERT INTO customers VALUES (1, 'a'), (2, 'b');
    INSERT INTO orders VALUES (1, 1, 'u'), (2, 1, 'U'), (3, 2, NULL);";

const COUNT: &str = "UPDATE orders SET n = n + 1";
const BACK: &str = "UPDATE orders SET n = n - 1";

/// A stack in which steps change rows before and after the shape changes.
const STACK: [&[&str]; 6] = [
    &["data", "lower", "UPDATE orders SET city = lower(city)", "--undo", "UPDATE orders SET city = 'U' WHERE id = 2"],
    &["move-field", "orders.city", "customers"],
    &["rename-field", "orders.n", "m"],
    &[
        "data",
        "count",
        "UPDATE orders SET m = m + 1; INSERT INTO customers VALUES (3, 'c', 'w')",
        "--undo",
        "UPDATE orders SET m = m - 1; DELETE FROM customers WHERE id = 3",
    ],
    &["add-field", "customers.rank", "int", "--default", "1"],
    &["data", "rank", "UPDATE customers SET rank = 7 WHERE city = 'u'", "--undo", "UPDATE customers SET rank = 1"],
];

fn stacked() -> Database {
    let shop = Database::new(SHOP);
    for words in STACK {
        ok(&shop, words);
    }
    shop
}

fn numbers(shop: &Database) -> Vec<String> {
    shop.rows("SELECT n FROM orders ORDER BY id")
}

#[test]
fn a_step_runs_once_whatever_else_comes_and_goes() {
    let shop = Database::new(SHOP);
    ok(&shop, &["data", "count", COUNT]);
    let once = numbers(&shop);
    ok(&shop, &["add-field", "orders.note", "text"]);
    ok(&shop, &["undo"]);
    ok(&shop, &["apply"]);
    ok(&shop, &["rename-field", "orders.city", "town"]);
    assert_eq!(numbers(&shop), once);
    ok(&shop, &["materialize", "--yes"]);
    assert_eq!(numbers(&shop), once);
    ok(&shop, &["apply"]);
    assert_eq!(numbers(&shop), once);
    assert_eq!(once, ["(1)", "(1)", "(1)"]);
}

#[test]
fn applied_at_once_is_applied_one_by_one() {
    let one_by_one = stacked();
    let at_once = Database::new(SHOP);
    std::fs::create_dir_all(at_once.files()).unwrap();
    for file in std::fs::read_dir(one_by_one.files()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), at_once.files().join(file.file_name())).unwrap();
    }
    ok(&at_once, &["apply"]);
    let ranks = "SELECT refactor_key_1, value_0005_rank FROM refactor.kept_of_public_customers WHERE has_0005_rank";
    assert_eq!(at_once.rows(ranks), one_by_one.rows(ranks));
    ok(&at_once, &["materialize", "--yes"]);
    ok(&one_by_one, &["materialize", "--yes", "--step-by-step"]);
    assert_same(&at_once, &one_by_one);
}

#[test]
fn taken_back_everything_is_as_it_was() {
    let before = Database::new(SHOP);
    let shop = stacked();
    ok(&shop, &["undo", "--all", "--yes"]);
    assert_eq!(structure(&shop), structure(&before));
    assert_eq!(all_rows(&shop), all_rows(&before));
}

#[test]
fn taken_back_in_part_the_rest_stays() {
    let shop = stacked();
    ok(&shop, &["undo", "--yes", "0006", "0005", "0004"]);
    assert_eq!(numbers(&shop), ["(0)", "(0)", "(0)"]);
    let mut next = shop.next();
    let rows = crate::support::rows(&mut next, "SELECT id, city FROM customers ORDER BY id");
    assert_eq!(rows, ["(1,u)", "(2,)"]);
}

#[test]
fn an_error_in_a_later_step_takes_the_earlier_ones_back() {
    let shop = Database::new(SHOP);
    ok(&shop, &["data", "count", COUNT, "--undo", BACK]);
    ok(&shop, &["data", "again", COUNT, "--undo", BACK]);
    ok(&shop, &["undo", "--all", "--keep-files", "--yes"]);
    shop.client().batch_execute("ALTER TABLE orders ADD CHECK (n < 2)").unwrap();
    let said = shop.refused(&["apply"]);
    assert!(said.contains("violates check constraint"), "{said}");
    assert_eq!(numbers(&shop), ["(0)", "(0)", "(0)"]);
    assert_eq!(shop.rows("SELECT count(*) FROM refactor.journal WHERE state <> 'undone'"), ["(0)"]);
}

#[test]
fn a_statement_may_say_what_a_file_says_elsewhere() {
    let shop = Database::new("CREATE TABLE t (id int PRIMARY KEY, after int); INSERT INTO t VALUES (1, 1)");
    ok(&shop, &["data", "set", "UPDATE t SET\nafter = 2\nWHERE id = 1;\n-- 'quoted' \"too\""]);
    ok(&shop, &["status"]);
    ok(&shop, &["apply"]);
    assert_eq!(shop.rows("SELECT after FROM t"), ["(2)"]);
}
