//! What is real is taken back by its name; what rests on it is named.

use crate::support::Database;

const SHOP: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, city text);
    INSERT INTO customers VALUES (1, 'Ann'), (2, 'Ben'), (3, 'Cal');
    INSERT INTO orders VALUES (10, 1, 'Ulm'), (11, 1, 'Ulm'), (12, 2, 'Bonn');";

/// The city moved, then renamed there; all real.
fn moved_and_renamed() -> Database {
    let shop = Database::new(SHOP);
    shop.ok(&["move-field", "orders.city", "customers"]);
    shop.ok(&["rename-field", "customers.city", "town"]);
    shop.ok(&["materialize", "--yes"]);
    shop
}

#[test]
fn the_newest_is_taken_back_and_back_again() {
    let shop = moved_and_renamed();
    shop.ok(&["revert"]);
    assert_eq!(crate::support::rows(&mut shop.next(), "SELECT city FROM customers"), ["()", "(Bonn)", "(Ulm)"]);
    shop.ok(&["materialize", "--yes"]);
    // The newest is now what took it back.
    shop.ok(&["revert"]);
    assert_eq!(crate::support::rows(&mut shop.next(), "SELECT town FROM customers"), ["()", "(Bonn)", "(Ulm)"]);
}

#[test]
fn several_are_taken_back_in_one_go_whatever_order_they_are_named_in() {
    let shop = moved_and_renamed();
    shop.ok(&["revert", "1", "0002"]);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT * FROM orders"), ["(10,1,Ulm)", "(11,1,Ulm)", "(12,2,Bonn)"]);
    assert_eq!(shop.rows("SELECT * FROM customers"), ["(1,Ann)", "(2,Ben)", "(3,Cal)"]);
}

#[test]
fn what_rests_on_it_is_named_by_a_command_that_works() {
    let shop = moved_and_renamed();
    let files = || std::fs::read_dir(shop.files()).unwrap().count();
    let said = shop.refused(&["revert", "1"]);
    let hint = said.split("`refactor ").nth(1).unwrap().split('`').next().unwrap();
    assert_eq!(hint, "revert 0001-move-city-to-customers 0002-rename-city-to-town-in-customers", "{said}");
    assert_eq!(files(), 2, "something was declared all the same");
    shop.ok(&hint.split(' ').collect::<Vec<_>>());
    assert_eq!(files(), 4);
}

#[test]
fn mistakes() {
    let shop = Database::new(SHOP);
    assert!(shop.refused(&["revert"]).contains("no refactoring is real"));
    shop.ok(&["move-field", "orders.city", "customers"]);
    assert!(shop.refused(&["revert"]).contains("`refactor undo`"));
    shop.ok(&["materialize", "--yes"]);
    shop.ok(&["rename-field", "orders.id", "number"]);
    for (name, said) in
        [("7", "no real refactoring has this name"), ("2", "`refactor undo 0002-rename-id-to-number-in-orders`")]
    {
        let output = shop.run(&["revert", name]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
    }
    shop.ok(&["revert", "1"]);
    let twice = shop.run(&["revert", "1"]);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("`refactor undo 0003-move-city-to-orders`"), "{twice:?}");
}
