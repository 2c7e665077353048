//! Privileges: a role may do through the new shape what it may do with the tables, and no more; old code that may only
//! touch one table goes on working.

use postgres::Client;
use postgres::error::SqlState;

use crate::support::Database;

/// A shop whose tables belong to one role, with privileges for others. Roles are the whole server's, so they are named
/// after the database.
fn shop(grants: &str) -> (Database, [String; 2]) {
    let shop = Database::new("");
    let (owner, app) = (format!("{}_owner", shop.name), format!("{}_app", shop.name));
    shop.client()
        .batch_execute(&format!(
            "CREATE ROLE {owner}; CREATE ROLE {app}; GRANT ALL ON SCHEMA public TO {owner}; SET ROLE {owner};
             CREATE TABLE customers (id int PRIMARY KEY, name text, secret text);
             CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, city text);
             CREATE INDEX ON orders (customer_id);
             INSERT INTO customers VALUES (1, 'Ann', 's'), (2, 'Ben', 's');
             INSERT INTO orders VALUES (10, 1, 'Ulm'), (11, 1, 'Ulm'), (12, 2, 'Bonn');
             {}",
            grants.replace("app", &app)
        ))
        .unwrap();
    (shop, [owner, app])
}

/// A session of the application's role.
fn session(shop: &Database, role: &str) -> Client {
    let mut client = shop.next();
    client.batch_execute(&format!("SET ROLE {role}")).unwrap();
    client
}

fn forget(shop: &Database, roles: &[String]) {
    let mut client = shop.client();
    for role in roles {
        client.batch_execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).unwrap();
    }
}

fn denied(client: &mut Client, sql: &str) {
    let error = client.batch_execute(sql).expect_err(sql);
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error:?}");
}

#[test]
fn privileges_on_tables_hold_for_their_views() {
    let (shop, roles) = shop("GRANT SELECT, INSERT, UPDATE ON orders, customers TO app;");
    shop.ok(&["move-field", "orders.city", "customers"]);
    let mut app = session(&shop, &roles[1]);
    app.batch_execute(
        "UPDATE customers SET city = 'Jena' WHERE id = 1; INSERT INTO customers (id, city) VALUES (3, 'Kiel')",
    )
    .unwrap();
    app.batch_execute(
        "INSERT INTO orders VALUES (13, 3); UPDATE public.orders SET city = 'Köln' WHERE customer_id = 2",
    )
    .unwrap();
    denied(&mut app, "DELETE FROM customers WHERE id = 3");
    denied(&mut app, "TRUNCATE refactor.journal");
    assert_eq!(shop.rows("SELECT id, city FROM next.customers"), ["(1,Jena)", "(2,Köln)", "(3,Kiel)"]);
    drop(app);
    forget(&shop, &roles);
}

#[test]
fn old_code_needs_no_new_rights() {
    let (shop, roles) = shop("GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO app;");
    shop.ok(&["move-field", "orders.city", "customers"]);
    let mut app = session(&shop, &roles[1]);
    app.batch_execute(
        "INSERT INTO public.orders VALUES (13, 2, 'Bonn'); UPDATE public.orders SET city = 'Jena' WHERE customer_id = 1;
         UPDATE public.orders SET customer_id = 1 WHERE id = 12; DELETE FROM public.orders WHERE customer_id = 2",
    )
    .unwrap();
    assert_eq!(shop.rows("SELECT id, city FROM next.customers"), ["(1,Jena)", "(2,Bonn)"]);
    denied(&mut app, "SELECT * FROM customers");
    drop(app);
    forget(&shop, &roles);
}

#[test]
fn privileges_on_fields_hold_for_their_views() {
    let (shop, roles) = shop(
        "GRANT SELECT (id, name), UPDATE (name) ON customers TO app; GRANT SELECT, UPDATE (city) ON orders TO app;",
    );
    shop.ok(&["move-field", "orders.city", "customers"]);
    let mut app = session(&shop, &roles[1]);
    app.batch_execute("SELECT id, name FROM customers; UPDATE customers SET name = 'Anna' WHERE id = 1").unwrap();
    app.batch_execute("UPDATE customers SET city = 'Jena' WHERE id = 1; SELECT id FROM orders").unwrap();
    denied(&mut app, "SELECT secret FROM customers");
    denied(&mut app, "SELECT * FROM customers");
    denied(&mut app, "UPDATE customers SET secret = 'x'");
    denied(&mut app, "INSERT INTO customers (id) VALUES (3)");
    denied(&mut app, "SELECT * FROM refactor.kept_0001_city");
    denied(&mut app, "SELECT refactor.get_0001_city(2)");
    assert_eq!(shop.rows("SELECT id, name, city FROM next.customers"), ["(1,Anna,Jena)", "(2,Ben,Bonn)"]);
    drop(app);
    forget(&shop, &roles);
}

#[test]
fn nobody_gets_at_values_through_our_functions() {
    let (shop, roles) = shop("");
    shop.ok(&["move-field", "orders.city", "customers"]);
    let mut app = session(&shop, &roles[1]);
    denied(&mut app, "SELECT * FROM refactor.get_0001_city(1)");
    denied(&mut app, "SELECT refactor.set_0001_city(1, 'x')");
    denied(&mut app, "SELECT refactor.save_0001_city(1, 'x')");
    denied(&mut app, "SELECT * FROM refactor.kept_0001_city");
    drop(app);
    forget(&shop, &roles);
}

#[test]
fn a_table_told_by_sql_takes_the_writes_of_whoever_may_write_the_old_one() {
    let (shop, roles) = shop(
        "GRANT SELECT, INSERT, UPDATE ON customers TO app; ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;",
    );
    shop.ok(&[
        "sql",
        "people",
        "id int PRIMARY KEY",
        "name text",
        "secret text",
        "--view",
        "SELECT * FROM customers",
        "--insert",
        "INSERT INTO customers SELECT NEW.*",
        "--update",
        "UPDATE customers SET (id, name, secret) = (SELECT NEW.*) WHERE id = OLD.id",
        "--delete",
        "DELETE FROM customers WHERE id = OLD.id",
        "--replaces",
        "customers",
    ]);
    let mut app = session(&shop, &roles[1]);
    app.batch_execute("UPDATE people SET name = 'Anna' WHERE id = 1; INSERT INTO people VALUES (3, 'Cid', 't')")
        .unwrap();
    denied(&mut app, "DELETE FROM people");
    denied(&mut app, "SELECT * FROM refactor.people");
    denied(&mut app, "INSERT INTO refactor.done_refactor_people VALUES (1, 1)");
    assert_eq!(shop.rows("SELECT id, name FROM customers"), ["(1,Anna)", "(2,Ben)", "(3,Cid)"]);
    shop.ok(&["materialize", "--yes"]);
    app.batch_execute("UPDATE people SET name = 'Ann' WHERE id = 1").unwrap();
    denied(&mut app, "DELETE FROM people");
    drop(app);
    forget(&shop, &roles);
}

#[test]
fn row_policies_hold_for_the_new_shape() {
    let (shop, roles) = shop(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON customers, orders TO app;
         ALTER TABLE customers ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON customers USING (id <> 2);",
    );
    if is_old(&shop) {
        // There every view acts with its owner's rights, whom they do not bind.
        for refused in [&["rename-field", "customers.secret", "hint"], &["move-field", "orders.city", "customers"]] {
            assert!(shop.refused(refused).contains("customers` has row policies"));
        }
        return forget(&shop, &roles);
    }
    shop.ok(&["rename-field", "customers.secret", "hint"]);
    shop.ok(&["move-field", "orders.city", "customers"]);
    let mut app = session(&shop, &roles[1]);
    {
        let seen: Vec<i32> = app.query("SELECT id FROM customers", &[]).unwrap().iter().map(|r| r.get(0)).collect();
        assert_eq!(seen, [1]);
        assert_eq!(app.execute("UPDATE customers SET city = 'x', hint = 'y'", &[]).unwrap(), 1);
        assert_eq!(app.execute("DELETE FROM customers WHERE id = 2", &[]).unwrap(), 0);
        shop.client()
            .batch_execute("DELETE FROM orders; UPDATE next.customers SET city = 'hidden' WHERE id = 2")
            .unwrap();
        let kept = app.query("SELECT refactor_value::text FROM refactor.kept_0002_city", &[]).unwrap();
        assert_eq!(kept.iter().map(|r| r.get(0)).collect::<Vec<String>>(), ["x"]);
    }
    drop(app);
    forget(&shop, &roles);
}

/// Whether views cannot act with their caller's rights.
fn is_old(shop: &Database) -> bool {
    shop.client().query_one("SELECT current_setting('server_version_num')::int < 150000", &[]).unwrap().get(0)
}

/// Verbs by which values would leave `docs` for another table.
const LEAVING: &[&[&str]] = &[
    &["move-field", "docs.note", "tenants"],
    &["move-field", "docs.kind", "parts"],
    &["copy-field", "docs.kind", "parts"],
    &["extract-table", "docs.kind", "--into", "kinds"],
    &["split-table", "docs", "note", "--into", "notes"],
    &["split-rows", "docs", "--where", "kind = 'x'", "--into", "xs"],
    &["unpivot", "docs", "note", "memo", "--into", "texts", "--from", "doc_id", "--value", "val"],
    &["make-associative", "docs.tenant_id", "--into", "docs_of_tenants", "--from", "doc_id"],
    &["sql", "listed", "--view", "SELECT id, note FROM docs", "id int PRIMARY KEY", "note text"],
];

#[test]
fn values_do_not_leave_a_table_with_row_policies() {
    let (shop, roles) = shop(
        "CREATE TABLE tenants (id int PRIMARY KEY);
         CREATE TABLE docs (id int PRIMARY KEY, tenant_id int REFERENCES tenants, note text, memo text, kind text NOT NULL DEFAULT 'x');
         CREATE TABLE parts (id int PRIMARY KEY, doc_id int REFERENCES docs);
         CREATE INDEX ON docs (tenant_id); CREATE INDEX ON parts (doc_id);
         INSERT INTO tenants VALUES (1); INSERT INTO docs VALUES (1, 1, 'a', 'b', 'x'); INSERT INTO parts VALUES (1, 1);
         ALTER TABLE docs ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON docs USING (id <> 2);",
    );
    for verb in LEAVING {
        let said = shop.refused(verb);
        assert!(said.contains("row policies"), "{verb:?}: {said}");
    }
    if !is_old(&shop) {
        shop.ok(&["rename-field", "docs.note", "remark"]);
        shop.ok(&["change-type", "docs.kind", "varchar(20)"]);
        shop.ok(&["materialize", "--yes", "--rebuild-from", "0"]);
        let kept = "SELECT c.relrowsecurity, p.polname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid WHERE c.relname = 'docs'";
        assert_eq!(shop.rows(kept), ["(t,own)"]);
    }
    forget(&shop, &roles);
}

#[test]
fn rows_are_marked_by_whoever_may_delete_them() {
    let (shop, roles) = shop(
        "ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;
         ALTER TABLE orders ADD CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers ON DELETE CASCADE;
         GRANT SELECT, DELETE ON orders TO app; GRANT SELECT, DELETE ON customers TO app;",
    );
    shop.ok(&["soft-delete", "orders", "--field", "gone", "--type", "text", "--mark", "session_user"]);
    let mut app = session(&shop, &roles[1]);
    app.batch_execute("DELETE FROM public.orders WHERE id = 10; DELETE FROM public.customers WHERE id = 2").unwrap();
    assert_eq!(shop.rows("SELECT id, gone IS NULL FROM next.orders"), ["(10,f)", "(11,t)"]);
    for sql in [
        "DELETE FROM next.orders WHERE id = 10",
        "UPDATE next.orders SET gone = 'x'",
        "INSERT INTO next.orders (id, gone) VALUES (13, 'x')",
        "INSERT INTO refactor.orders (id, gone) VALUES (13, 'x')",
        "SELECT refactor.mark_0001_orders()",
    ] {
        denied(&mut app, sql);
    }
    // Until this is real, a mark is a row that goes and one that comes.
    let grant = |rights: &str| format!("RESET ROLE; GRANT {rights} ON orders TO {}", roles[1]);
    shop.client().batch_execute(&grant("INSERT, UPDATE")).unwrap();
    shop.ok(&["apply"]);
    app.batch_execute("UPDATE next.orders SET gone = 'x'; UPDATE next.orders SET gone = NULL").unwrap();
    app.batch_execute("INSERT INTO next.orders (id, gone) VALUES (13, 'x'); DELETE FROM next.orders WHERE id = 13")
        .unwrap();
    shop.client().batch_execute(&format!("REVOKE INSERT, UPDATE ON orders FROM {}", roles[1])).unwrap();
    shop.ok(&["materialize", "--yes"]);
    shop.take_back("0001");
    denied(&mut app, "DELETE FROM next.orders");
    shop.client().batch_execute(&grant("UPDATE")).unwrap();
    shop.ok(&["apply"]);
    app.batch_execute("DELETE FROM next.orders").unwrap();
    assert_eq!(shop.rows("SELECT id, gone IS NULL FROM public.orders"), ["(10,f)", "(11,f)"]);
    drop(app);
    forget(&shop, &roles);
}

#[test]
fn a_table_that_was_inlined_comes_back_to_its_owner_and_its_users() {
    let (shop, roles) = shop("");
    let [owner, app] = &roles;
    let other = format!("{}_other", shop.name);
    shop.client()
        .batch_execute(&format!(
            "CREATE ROLE {other}; GRANT ALL ON SCHEMA public TO {other}; SET ROLE {other};
             CREATE TABLE cities (id serial PRIMARY KEY, name text NOT NULL, zip text);
             GRANT SELECT, INSERT, UPDATE, DELETE ON cities TO {app}; GRANT USAGE ON cities_id_seq TO {app};
             GRANT REFERENCES ON cities TO {owner}; INSERT INTO cities (name) VALUES ('Ulm'), ('Bonn'); SET ROLE {owner};
             CREATE TABLE shops (id int PRIMARY KEY, city_id int NOT NULL REFERENCES cities);
             GRANT SELECT, INSERT, UPDATE, DELETE ON shops TO {app}; INSERT INTO shops VALUES (1, 1), (2, 1), (3, 2);"
        ))
        .unwrap();
    // There a view acts with the rights of its table's owner.
    if shop.rows("SELECT current_setting('server_version_num')::int < 150000") == ["(t)"] {
        shop.client().batch_execute(&format!("GRANT ALL ON cities, cities_id_seq TO {owner}")).unwrap();
    }
    shop.ok(&["inline-table", "cities", "--into", "shops"]);
    let mut session = session(&shop, app);
    session
        .batch_execute(
            "INSERT INTO shops VALUES (4, 'Kiel'); UPDATE shops SET name = 'Jena' WHERE id = 1; DELETE FROM shops WHERE id = 4",
        )
        .unwrap();
    shop.ok(&["materialize", "--yes"]);
    shop.take_back("0001");
    session
        .batch_execute(
            "INSERT INTO cities (name) VALUES ('Rom'); UPDATE cities SET zip = '1' WHERE name = 'Rom';
             INSERT INTO shops SELECT 5, id FROM cities WHERE name = 'Rom'; UPDATE shops SET city_id = 1 WHERE id = 3;
             INSERT INTO public.shops VALUES (6, 'Wien', NULL); UPDATE public.shops SET name = 'Graz' WHERE id = 6;
             DELETE FROM cities WHERE name = 'Wien'",
        )
        .unwrap();
    let shops = ["(1,Jena)", "(2,Ulm)", "(3,Ulm)", "(5,Rom)", "(6,Graz)"];
    let joined = "SELECT s.id, c.name FROM next.shops AS s JOIN next.cities AS c ON c.id = s.city_id";
    assert_eq!(shop.rows(joined), shops);
    shop.ok(&["materialize", "--yes"]);
    session.batch_execute("INSERT INTO cities (name) VALUES ('Oslo'); DELETE FROM cities WHERE name = 'Oslo'").unwrap();
    assert_eq!(shop.rows(&joined.replace("next.", "public.")), shops);
    let owners = "SELECT relname, relowner::regrole FROM pg_class WHERE relname IN ('cities', 'shops')";
    assert_eq!(shop.rows(owners), [format!("(cities,{other})"), format!("(shops,{owner})")]);
    drop(session);
    forget(&shop, &[roles.as_slice(), &[other]].concat());
}
