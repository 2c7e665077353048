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

/// Whether views act with their owner's rights, whatever they say.
fn is_old(shop: &Database) -> bool {
    shop.rows("SELECT current_setting('server_version_num')::int < 150000") == ["(t)"]
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
        // There every view acts with its owner's rights, but this one can ask for the policies itself.
        shop.ok(&["rename-field", "customers.secret", "hint"]);
        let mut app = session(&shop, &roles[1]);
        assert_eq!(crate::support::rows(&mut app, "SELECT id FROM customers"), ["(1)"]);
        assert_eq!(app.execute("UPDATE customers SET hint = 'y'", &[]).unwrap(), 1);
        assert_eq!(app.execute("DELETE FROM customers WHERE id = 2", &[]).unwrap(), 0);
        let said = shop.refused(&["move-field", "orders.city", "customers"]);
        assert!(said.contains("customers` has row policies"), "{said}");
        drop(app);
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

#[test]
fn a_rebuild_keeps_row_policies() {
    let (shop, roles) = shop(
        "CREATE TABLE docs (id int PRIMARY KEY, note text, kind text); INSERT INTO docs VALUES (1, 'a', 'x');
         ALTER TABLE docs ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON docs USING (id <> 2);",
    );
    shop.ok(&["rename-field", "docs.note", "remark"]);
    // A view that has triggers cannot ask for the policies itself, where it does not act with its caller's rights.
    if is_old(&shop) {
        assert!(shop.refused(&["change-type", "docs.kind", "varchar(20)"]).contains("row policies"));
    } else {
        shop.ok(&["change-type", "docs.kind", "varchar(20)"]);
    }
    shop.ok(&["materialize", "--yes", "--rebuild-from", "0"]);
    let kept = "SELECT c.relrowsecurity, p.polname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid WHERE c.relname = 'docs'";
    assert_eq!(shop.rows(kept), ["(t,own)"]);
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
    denied(&mut app, "UPDATE next.orders SET city = 'x'");
    // Who may delete a row may delete it by a mark.
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

/// Tables for every verb by which values leave one for another, with a role that may do everything but with one of them.
fn tables(app: &str, but: &str) -> String {
    let tables = ["g", "h", "docs", "side", "old_docs"];
    let granted: Vec<&str> = tables.into_iter().filter(|t| *t != but).collect();
    format!(
        "CREATE ROLE {app};
         CREATE TABLE g (id int PRIMARY KEY, name text, code text NOT NULL UNIQUE);
         CREATE TABLE h (id int PRIMARY KEY, label text);
         CREATE TABLE docs (id int PRIMARY KEY, tenant text NOT NULL, g_id int REFERENCES g, h_id int REFERENCES h, note text, home text, work text, code text NOT NULL UNIQUE);
         CREATE INDEX ON docs (g_id); CREATE INDEX ON docs (h_id);
         CREATE TABLE side (doc_id int PRIMARY KEY REFERENCES docs, bio text NOT NULL);
         CREATE TABLE old_docs (LIKE docs INCLUDING ALL);
         INSERT INTO g VALUES (1, 'x', 'X'), (2, 'y', 'Y');
         INSERT INTO h VALUES (1, 'l');
         INSERT INTO docs VALUES (1, 'a', 1, 1, 'n', 'h', 'w', 'A'), (2, 'b', 2, NULL, 'm', NULL, NULL, 'B');
         INSERT INTO side VALUES (1, 'bio'), (2, 'vita');
         GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {app};",
        granted.join(", ")
    )
}

/// The table that values leave, and a command by which they do. `true`: for a table that is there.
const LEAVING: [(&str, bool, &[&str]); 15] = [
    ("docs", true, &["move-field", "docs.note", "g"]),
    ("g", true, &["move-field", "g.name", "docs"]),
    ("docs", true, &["copy-field", "docs.note", "side"]),
    ("g", true, &["copy-field", "g.name", "docs"]),
    ("docs", false, &["extract-table", "docs.note", "--into", "notes"]),
    ("h", true, &["inline-table", "h", "--into", "docs"]),
    ("side", true, &["merge-tables", "side", "--into", "docs"]),
    ("docs", false, &["split-table", "docs", "note", "--into", "notes"]),
    ("docs", false, &["split-rows", "docs", "--where", "tenant = 'c'", "--into", "thirds"]),
    ("old_docs", true, &["union-tables", "docs", "old_docs", "--into", "docs", "--where", "tenant = 'old'"]),
    ("docs", false, &["unpivot", "docs", "home", "work", "--into", "places", "--from", "doc_id", "--value", "place"]),
    ("docs", false, &["make-associative", "docs.g_id", "--into", "doc_gs", "--from", "doc_id"]),
    ("g", true, &["inline-table", "g", "--into", "docs", "--as", "code=g_code", "--keep", "--only", "code"]),
    ("docs", false, &["sql", "names", "id int PRIMARY KEY", "note text", "--view", "SELECT id, note FROM docs"]),
    ("side", true, &["move-field", "side.bio", "docs"]),
];

#[test]
fn values_do_not_leave_a_table_with_row_policies() {
    for (secured, _, command) in LEAVING {
        let shop = Database::new("");
        let app = format!("{}_app", shop.name);
        let policy =
            format!("ALTER TABLE {secured} ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON {secured} USING (true);");
        shop.client().batch_execute(&(tables(&app, "") + &policy)).unwrap();
        let said = shop.refused(command);
        assert!(said.contains(&format!("{secured}` has row policies")), "{command:?}\n{said}");
        let (_, hint) = said.split_once("hint: ").unwrap();
        let way_out = hint.split('`').nth(1).unwrap_or_else(|| panic!("{command:?}\n{said}"));
        shop.client().batch_execute(way_out).unwrap();
        shop.ok(command);
        forget(&shop, &[app]);
    }
}

#[test]
fn values_do_not_come_to_roles_that_have_no_right_to_them() {
    for (from, _, command) in LEAVING.into_iter().filter(|(_, there, _)| *there) {
        let shop = Database::new("");
        let app = format!("{}_app", shop.name);
        shop.client().batch_execute(&tables(&app, from)).unwrap();
        // As often as there are privileges that are missing.
        for attempt in 0.. {
            assert!(attempt < 4, "{command:?}");
            let output = shop.run(command);
            if output.status.success() {
                assert!(attempt > 0, "{command:?} shows `{from}` to a role that may not read it");
                break;
            }
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(&format!("{app} may")) && said.contains(&format!("`{from}`")), "{command:?}\n{said}");
            let grant = said.split('`').find(|part| part.starts_with("GRANT ")).unwrap();
            shop.client().batch_execute(grant).unwrap();
        }
        forget(&shop, &[app]);
    }
}

#[test]
fn values_come_to_who_may_use_them_by_another_role() {
    let shop = Database::new("");
    let (app, group) = (format!("{}_app", shop.name), format!("{}_group", shop.name));
    shop.client()
        .batch_execute(&format!(
            "{} CREATE ROLE {group}; GRANT {group} TO {app}; GRANT SELECT, UPDATE ON docs TO {group}",
            tables(&app, "docs")
        ))
        .unwrap();
    shop.ok(&["move-field", "docs.note", "g"]);
    let mut session = session(&shop, &app);
    session.batch_execute("UPDATE g SET note = 'both' WHERE id = 1; SELECT * FROM g").unwrap();
    assert_eq!(shop.rows("SELECT id, note FROM public.docs"), ["(1,both)", "(2,m)"]);
    drop(session);
    forget(&shop, &[app, group]);
}

#[test]
fn what_crosses_by_a_later_privilege_is_not_made_real() {
    let (shop, roles) = shop("GRANT SELECT ON orders TO app;");
    shop.ok(&["move-field", "orders.city", "customers"]);
    let other = format!("{}_other", shop.name);
    let grant = format!("CREATE ROLE {other}; GRANT SELECT ON customers TO {other}");
    shop.client().batch_execute(&grant).unwrap();
    let said = shop.refused(&["materialize", "--yes"]);
    assert!(said.contains(&format!("{other} may read `customers`")), "{said}");
    shop.client().batch_execute(&format!("REVOKE SELECT ON customers FROM {other}")).unwrap();
    shop.ok(&["materialize", "--yes"]);
    forget(&shop, &[roles.as_slice(), &[other]].concat());
}

#[test]
fn whoever_may_only_write_writes_through_the_views() {
    let (shop, roles) =
        shop("GRANT INSERT ON orders, customers TO app; ALTER TABLE orders ALTER COLUMN city SET DEFAULT 'Ulm';");
    shop.ok(&["move-field", "orders.city", "customers"]);
    let mut app = session(&shop, &roles[1]);
    app.batch_execute("INSERT INTO customers VALUES (3, 'Cid', 's', 'Kiel'); INSERT INTO orders VALUES (13, 3)")
        .unwrap();
    for sql in [
        "SELECT * FROM customers",
        "SELECT * FROM refactor.in_public_customers",
        "SELECT * FROM refactor.kept_0001_city",
        "UPDATE customers SET city = 'x'",
        "SELECT refactor.get_0001_city(1)",
        "SELECT refactor.set_0001_city(1, 'x')",
    ] {
        denied(&mut app, sql);
    }
    assert_eq!(shop.rows("SELECT id, city FROM public.orders WHERE id = 13"), ["(13,Kiel)"]);
    drop(app);
    forget(&shop, &roles);
}

#[test]
fn functions_obey_row_policies() {
    let (shop, roles) = shop(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON customers, orders TO app;
         ALTER TABLE customers ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON customers USING (id <> 2);",
    );
    if is_old(&shop) {
        let said = shop.refused(&["move-field", "orders.city", "customers"]);
        assert!(said.contains("customers` has row policies"), "{said}");
        return forget(&shop, &roles);
    }
    shop.ok(&["move-field", "orders.city", "customers"]);
    shop.client().batch_execute("DELETE FROM orders; UPDATE next.customers SET city = 'hidden'").unwrap();
    let mut app = session(&shop, &roles[1]);
    let get = "SELECT (refactor.get_0001_city(2)).value";
    assert_eq!(app.query_one(get, &[]).unwrap().get::<_, Option<String>>(0), None);
    app.batch_execute("UPDATE customers SET city = 'mine'; INSERT INTO customers VALUES (3, 'Cid', 's', 'Kiel')")
        .unwrap();
    denied(&mut app, "SELECT refactor.set_0001_city(2, 'x')");
    assert_eq!(shop.rows("SELECT id, city FROM next.customers"), ["(1,mine)", "(2,hidden)", "(3,Kiel)"]);
    drop(app);
    forget(&shop, &roles);
}

#[test]
fn privileges_on_fields_hold_together_with_row_policies() {
    let (shop, roles) = shop(
        "GRANT SELECT (id, name), UPDATE (name), INSERT (id, name) ON customers TO app;
         ALTER TABLE customers ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON customers TO app USING (id <> 2);
         CREATE POLICY less ON customers AS RESTRICTIVE USING (id <> 4);",
    );
    shop.client().batch_execute("INSERT INTO customers VALUES (4, 'Dan', 't')").unwrap();
    shop.ok(&["rename-field", "customers.name", "title"]);
    let mut app = session(&shop, &roles[1]);
    let seen = |app: &mut Client| crate::support::rows(app, "SELECT id, title FROM customers");
    assert_eq!(seen(&mut app), ["(1,Ann)"]);
    assert_eq!(app.execute("UPDATE customers SET title = 'x' WHERE id > 0", &[]).unwrap(), 1);
    app.batch_execute("INSERT INTO customers (id, title) VALUES (3, 'Cid')").unwrap();
    assert!(app.batch_execute("INSERT INTO customers (id, title) VALUES (5, 'Eve'), (4, 'Eve')").is_err());
    assert_eq!(seen(&mut app), ["(1,x)", "(3,Cid)"]);
    denied(&mut app, "SELECT secret FROM customers");
    denied(&mut app, "DELETE FROM customers");
    let mut owner = session(&shop, &roles[0]);
    assert_eq!(seen(&mut owner), ["(1,x)", "(2,Ben)", "(3,Cid)", "(4,Dan)"]);
    drop((app, owner));
    let said = shop.refused(&["move-field", "orders.city", "customers"]);
    assert!(said.contains("customers` has row policies and privileges on single fields"), "{said}");
    forget(&shop, &roles);
}

#[test]
fn privileges_that_change_meanwhile_are_told_and_taken_over() {
    let (shop, roles) = shop("GRANT SELECT ON customers TO app;");
    let app = &roles[1];
    shop.ok(&["rename-field", "customers.name", "title"]);
    let told = |wanted: bool| {
        let status = String::from_utf8(shop.run(&["status"]).stderr).unwrap();
        let check = String::from_utf8(shop.run(&["check"]).stderr).unwrap();
        for said in [status, check] {
            assert_eq!(said.contains("privileges on `customers`"), wanted, "{said}");
        }
    };
    told(false);
    for change in [
        format!("GRANT UPDATE ON customers TO {app}"),
        format!("REVOKE SELECT ON customers FROM {app}"),
        format!("GRANT SELECT (name) ON customers TO {app}"),
    ] {
        shop.client().batch_execute(&change).unwrap();
        told(true);
        shop.ok(&["apply"]);
        told(false);
    }
    let mut session = session(&shop, app);
    session.batch_execute("SELECT title FROM customers").unwrap();
    denied(&mut session, "SELECT id FROM customers");
    drop(session);
    forget(&shop, &roles);
}

#[test]
fn an_owner_who_may_not_make_schemas_works_in_prepared_ones() {
    let (shop, roles) = shop("");
    let owner = &roles[0];
    shop.client().batch_execute(&format!("ALTER ROLE {owner} LOGIN")).unwrap();
    let url = shop.url();
    let (head, tail) = url.split_once("://").unwrap();
    let tail = tail.split_once('@').filter(|(user, _)| !user.contains('/')).map_or(tail, |(_, tail)| tail);
    let url = format!("{head}://{owner}@{tail}");
    let run = |arguments: &[&str]| {
        let output = crate::support::tool(shop.directory.path(), &url, arguments);
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (done, said) = run(&["rename-field", "customers.name", "title"]);
    if said.contains("authentication failed") {
        return forget(&shop, &roles);
    }
    assert!(!done && said.contains(&format!("GRANT CREATE ON DATABASE {} TO {owner}", shop.name)), "{said}");
    let prepare = said.rsplit('`').nth(1).unwrap().to_owned();
    shop.client().batch_execute(&prepare).unwrap();
    for way in [&["undo"][..], &["materialize", "--yes"]] {
        let (done, said) = run(&["rename-field", "customers.name", "title"]);
        assert!(done, "{said}");
        assert_eq!(shop.rows("SELECT title FROM next.customers"), ["(Ann)", "(Ben)"]);
        let (done, said) = run(way);
        assert!(done, "{said}");
        let schemas = "SELECT nspname, nspowner::regrole FROM pg_namespace WHERE nspname IN ('next', 'refactor')";
        assert_eq!(shop.rows(schemas), [format!("(next,{owner})"), format!("(refactor,{owner})")]);
    }
    forget(&shop, &roles);
}

#[test]
fn default_privileges_give_nobody_what_is_ours() {
    let (shop, roles) = shop("GRANT SELECT, INSERT, UPDATE, DELETE ON orders, customers TO app;");
    let stranger = format!("{}_stranger", shop.name);
    shop.client()
        .batch_execute(&format!(
            "CREATE ROLE {stranger}; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {stranger}, PUBLIC;
             ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO {stranger}"
        ))
        .unwrap();
    shop.ok(&["move-field", "orders.city", "customers"]);
    shop.client().batch_execute("DELETE FROM orders WHERE id = 12").unwrap();
    let mut session = session(&shop, &stranger);
    for sql in [
        "SELECT * FROM next.customers",
        "SELECT * FROM refactor.in_public_customers",
        "SELECT * FROM refactor.kept_0001_city",
        "SELECT refactor.get_0001_city(1)",
        "SELECT refactor.set_0001_city(1, 'x')",
        "DELETE FROM refactor.journal",
    ] {
        denied(&mut session, sql);
    }
    shop.ok(&["drop-field", "customers.secret"]);
    shop.ok(&["materialize", "--yes"]);
    denied(&mut session, "SELECT * FROM refactor.\"lost_0002-drop-secret-from-customers\"");
    shop.client().batch_execute("ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC").unwrap();
    drop(session);
    forget(&shop, &[roles.as_slice(), &[stranger]].concat());
}

#[test]
fn triggers_of_others_do_not_run_as_a_superuser() {
    let (shop, roles) = shop("");
    let [owner, app] = &roles;
    shop.client()
        .batch_execute(&format!(
            "GRANT ALL ON SCHEMA public TO {app}; SET ROLE {app};
             CREATE TABLE cities (id int PRIMARY KEY, name text); GRANT REFERENCES ON cities TO {owner};
             CREATE FUNCTION evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON cities FOR EACH ROW EXECUTE FUNCTION evil();
             SET ROLE {owner}; CREATE TABLE shops (id int PRIMARY KEY, city_id int REFERENCES cities)"
        ))
        .unwrap();
    let command = ["inline-table", "cities", "--into", "shops"];
    let said = shop.refused(&command);
    assert!(said.contains("the trigger `evil` would act as a superuser"), "{said}");
    let grant = said.split('`').find(|part| part.starts_with("GRANT ")).unwrap();
    shop.client().batch_execute(grant).unwrap();
    shop.ok(&command);
    let owners = shop.rows(
        "SELECT DISTINCT proowner::regrole FROM pg_proc WHERE pronamespace = 'refactor'::regnamespace AND prosecdef",
    );
    let ours = |owner: &String| roles.iter().any(|role| *owner == format!("({role})"));
    assert!(!owners.is_empty() && owners.iter().all(ours), "{owners:?}");
    forget(&shop, &roles);
}

#[test]
fn values_do_not_come_to_fields_that_more_may_use() {
    let before =
        "ALTER TABLE orders ADD COLUMN kind text NOT NULL DEFAULT 'k', ADD COLUMN payload jsonb NOT NULL DEFAULT '{}';
         GRANT SELECT (id, payload, customer_id), UPDATE (payload) ON orders TO app;";
    let (shop, roles) = shop(before);
    // As often as there are privileges that are missing.
    for attempt in 0.. {
        let output = shop.run(&["fold-json", "orders.kind", "--into", "payload"]);
        if output.status.success() {
            assert!(attempt > 0, "values are shown to a role that may not read them");
            break;
        }
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(attempt < 4 && said.contains(&format!("{} may", roles[1])), "{said}");
        let grant = said.split('`').find(|part| part.starts_with("GRANT ")).unwrap();
        shop.client().batch_execute(grant).unwrap();
    }
    forget(&shop, &roles);
}
