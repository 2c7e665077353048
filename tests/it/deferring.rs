//! Declare, defer, undo, materialize: the main road.

use crate::support::Database;

const SHOP: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, city text);
    CREATE INDEX ON orders (customer_id);
    INSERT INTO customers VALUES (1, 'Ann'), (2, 'Ben'), (3, 'Cal');
    INSERT INTO orders VALUES (10, 1, 'Ulm'), (11, 1, 'Ulm'), (12, 2, 'Bonn'), (13, NULL, 'Kiel');";

#[test]
fn a_moved_field_is_read_and_written_through_next() {
    let shop = Database::new(SHOP);
    shop.ok(&["move-field", "orders.city", "customers"]);
    assert_eq!(shop.rows("SELECT * FROM next.customers"), ["(1,Ann,Ulm)", "(2,Ben,Bonn)", "(3,Cal,)"]);
    shop.client().batch_execute("UPDATE next.customers SET city = 'Jena' WHERE id IN (1, 3)").unwrap();
    assert_eq!(shop.rows("SELECT * FROM orders"), ["(10,1,Jena)", "(11,1,Jena)", "(12,2,Bonn)", "(13,,Kiel)"]);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT * FROM customers"), ["(1,Ann,Jena)", "(2,Ben,Bonn)", "(3,Cal,Jena)"]);
    assert_eq!(shop.rows("SELECT * FROM orders"), ["(10,1)", "(11,1)", "(12,2)", "(13,)"]);
}

#[test]
fn undo_leaves_only_the_journal() {
    let shop = Database::new(SHOP);
    let objects = "SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND n.nspname <> 'refactor'";
    let before = shop.rows(objects);
    shop.ok(&["move-field", "orders.city", "customers"]);
    shop.ok(&["undo"]);
    assert_eq!(shop.rows(objects), before);
    assert_eq!(
        shop.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'refactor'::regnamespace AND relkind IN ('r', 'v')"
        ),
        ["(journal)"]
    );
    assert_eq!(shop.rows("SELECT tgname FROM pg_trigger WHERE tgname LIKE '!refactor%'"), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(shop.files()).unwrap().count(), 0);
}

#[test]
fn old_code_may_empty_its_tables() {
    let shop = Database::new(SHOP);
    shop.ok(&["move-field", "orders.city", "customers"]);
    shop.ok(&["add-field", "customers.grade", "int", "--default", "1"]);
    shop.client()
        .batch_execute("UPDATE next.customers SET city = 'Jena', grade = 2 WHERE id = 3; TRUNCATE orders, customers")
        .unwrap();
    shop.client().batch_execute("INSERT INTO customers VALUES (3, 'Cal')").unwrap();
    assert_eq!(shop.rows("SELECT * FROM next.customers"), ["(3,Cal,,1)"]);
}

#[test]
fn emptying_the_source_keeps_the_values() {
    let shop = Database::new(SHOP);
    shop.ok(&["move-field", "orders.city", "customers"]);
    shop.client().batch_execute("TRUNCATE orders").unwrap();
    assert_eq!(shop.rows("SELECT id, city FROM next.customers"), ["(1,Ulm)", "(2,Bonn)", "(3,)"]);
}
