//! Values that are kept when something becomes real find their rows again, whatever tells these apart by then.

use crate::support::{Database, rows};

/// Makes refactorings real at once or one after another, and takes them back from the last to the first: all is there
/// as it was.
fn there_and_back(sql: &str, commands: &[&[&str]], tables: &[&str]) {
    for way in [&["materialize", "--yes"][..], &["materialize", "--yes", "--step-by-step"]] {
        let database = Database::new(sql);
        let rows = || {
            tables
                .iter()
                .map(|t| database.rows(&format!("SELECT to_jsonb(t) FROM (SELECT * FROM {t}) AS t")))
                .collect::<Vec<_>>()
        };
        let before = rows();
        for command in commands {
            database.ok(command);
        }
        database.ok(way);
        for at in (1..=commands.len()).rev() {
            database.take_back(&format!("{at:04}"));
            database.ok(&["materialize", "--yes"]);
        }
        assert_eq!(rows(), before, "{way:?}");
    }
}

const PEOPLE: &str = "CREATE TABLE people (id serial PRIMARY KEY, name text NOT NULL, note text, firm boolean NOT NULL DEFAULT false);
    INSERT INTO people (name, firm, note) VALUES ('Ann', false, 'a'), ('Acme', true, 'b'), ('Ben', false, 'c'), ('Ajax', true, 'd');";

const PAGES: &str = "CREATE TABLE pages (id int PRIMARY KEY, slug text, layout text DEFAULT 'wide', at timestamptz DEFAULT now());
    INSERT INTO pages VALUES (1, 'a', 'wide', now()), (2, NULL, NULL, now()), (3, NULL, 'slim', NULL), (4, NULL, 'wide', '2020-01-01');";

const SPLIT_PAGES: &[&str] =
    &["split-table", "pages", "slug", "layout", "at", "--into", "parts", "--where", "slug IS NOT NULL"];

const ORDERS: &str = "CREATE TABLE cities (id serial PRIMARY KEY, name text NOT NULL UNIQUE); INSERT INTO cities (name) VALUES ('Ulm');
    CREATE TABLE orders (id int PRIMARY KEY, city text); INSERT INTO orders VALUES (1, 'Ulm'), (2, 'Bonn'), (3, 'Jena'), (4, NULL);";

const EXTRACT_CITIES: &[&str] =
    &["extract-table", "orders.city", "--into", "cities", "--names", "name", "--as", "city_id", "--on-missing", "null"];

const LINKS: &str = "CREATE TABLE links (page int, space int NOT NULL DEFAULT 0, title text, note text, PRIMARY KEY (page, space, title));
    INSERT INTO links VALUES (1, 0, 'Ulm', 'a'), (1, 4, 'Ulm', 'b'), (2, 0, 'Ulm', 'c');";

#[test]
fn rows_that_got_other_numbers() {
    let split: &[&str] = &["split-rows", "people", "--where", "firm", "--into", "firms", "--renumber"];
    there_and_back(PEOPLE, &[split, &["drop-field", "firms.note"]], &["people"]);
    there_and_back(PEOPLE, &[&["drop-field", "people.note"], split], &["people"]);
}

#[test]
fn rows_whose_key_refers_to_another_table() {
    let extract: &[&str] = &["extract-table", "links.space", "title", "--into", "targets"];
    there_and_back(LINKS, &[extract, &["drop-field", "links.note"]], &["links"]);
    there_and_back(LINKS, &[&["drop-field", "links.note"], extract], &["links"]);
    let lines =
        "CREATE TABLE lines (ord int, prod int, pname text, PRIMARY KEY (ord, prod)); CREATE INDEX ON lines (prod);
        INSERT INTO lines VALUES (1, 1, 'a'), (1, 2, NULL), (2, 1, 'a');";
    there_and_back(
        lines,
        &[&["extract-table", "lines.prod", "pname", "--into", "products", "--by", "prod"]],
        &["lines"],
    );
}

#[test]
fn foreign_keys_that_do_something() {
    let orders = "CREATE TABLE cities (id serial PRIMARY KEY, name text UNIQUE);
        CREATE TABLE orders (id serial PRIMARY KEY, city_id int REFERENCES cities ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO cities (name) VALUES ('Ulm'), ('Bonn'); INSERT INTO orders (city_id) VALUES (1), (2), (NULL);";
    let database = Database::new(orders);
    let keys = || {
        database.rows(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'f'",
        )
    };
    let before = keys();
    database.ok(&["inline-table", "cities", "--into", "orders"]);
    database.ok(&["materialize", "--yes"]);
    database.take_back("0001");
    database.ok(&["materialize", "--yes"]);
    assert_eq!(keys(), before);
}

#[test]
fn checks_that_went_to_the_new_table() {
    let orders = "CREATE TABLE orders (id serial PRIMARY KEY, city text NOT NULL, zip text CONSTRAINT zip_ok CHECK (length(zip) = 5));
        INSERT INTO orders (city, zip) VALUES ('Ulm', '12345');";
    let database = Database::new(orders);
    let checks = || {
        database.rows("SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'c'")
    };
    let before = checks();
    database.ok(&["extract-table", "orders.city", "zip", "--into", "places", "--by", "city"]);
    database.ok(&["materialize", "--yes"]);
    database.take_back("0001");
    database.ok(&["materialize", "--yes"]);
    assert_eq!(checks(), before);
}

#[test]
fn values_that_get_no_row() {
    let tasks = "CREATE TABLE tasks (id int PRIMARY KEY, author text NOT NULL DEFAULT '', zip int, note text);
        INSERT INTO tasks VALUES (1, 'Ann', 1, 'a'), (2, '', NULL, 'b'), (3, '-', 2, 'c'), (4, 'Ann', 1, 'd'), (5, '-', NULL, 'e');";
    let only = |more: &[&'static str]| -> Vec<&'static str> {
        [&["extract-table", "tasks.author"], more, &["--into", "authors", "--where", "author NOT IN ('', '-')"]]
            .concat()
    };
    there_and_back(tasks, &[&only(&[]), &["drop-field", "tasks.note"]], &["tasks"]);
    let database = Database::new("");
    if database.rows("SELECT current_setting('server_version_num')::int < 150000") == ["(t)"] {
        return; // It has no unique key over NULL.
    }
    there_and_back(tasks, &[&["drop-field", "tasks.note"], &only(&["zip"])], &["tasks"]);
    let none = "CREATE TABLE tasks (id int PRIMARY KEY, author text, zip int);
        INSERT INTO tasks VALUES (1, 'Ann', 1), (2, NULL, NULL), (3, 'Ann', NULL);";
    there_and_back(none, &[&["extract-table", "tasks.author", "zip", "--into", "authors"]], &["tasks"]);
}

#[test]
fn rows_that_got_another_key() {
    let add: &[&str] = &["add-surrogate-key", "links.id", "--type", "int"];
    there_and_back(LINKS, &[add, &["drop-field", "links.note"]], &["links"]);
    there_and_back(LINKS, &[&["drop-field", "links.note"], add], &["links"]);
    let people = format!("{PEOPLE} ALTER TABLE people ADD UNIQUE (name); SELECT setval('people_id_seq', 100);");
    let replace: &[&str] = &["replace-surrogate-key", "people.id", "--with", "name"];
    there_and_back(
        &people,
        &[replace, &["drop-field", "people.note"]],
        &["people", "(SELECT last_value, is_called FROM people_id_seq) AS s"],
    );
    there_and_back(
        &people,
        &[&["drop-field", "people.note"], replace],
        &["people", "(SELECT last_value, is_called FROM people_id_seq) AS s"],
    );
}

#[test]
fn rows_that_are_referred_to_by_another_key() {
    let shop = "CREATE TABLE customers (id int PRIMARY KEY, code text NOT NULL UNIQUE, credit int);
        CREATE TABLE orders (id int PRIMARY KEY, code text REFERENCES customers (code)); CREATE INDEX ON orders (code);
        INSERT INTO customers VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30); INSERT INTO orders VALUES (1, 'a'), (2, 'b');";
    there_and_back(shop, &[&["move-field", "customers.credit", "orders"]], &["customers", "orders"]);
}

#[test]
fn fields_that_were_looked_up() {
    let shop = "CREATE TABLE cities (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, zip text);
        CREATE TABLE orders (id int PRIMARY KEY, city_id int REFERENCES cities); CREATE TABLE more (id int PRIMARY KEY REFERENCES orders, note text, tag text);
        INSERT INTO cities (name, zip) VALUES ('x', '1'), ('y', NULL); INSERT INTO orders VALUES (1, 1), (2, 1), (3, 2), (4, NULL);
        INSERT INTO more VALUES (1, 'a', 't'), (2, NULL, 'u');";
    let inline: &[&str] = &["inline-table", "cities", "--into", "orders"];
    there_and_back(shop, &[inline, &["drop-field", "orders.zip"]], &["orders", "cities"]);
    let natural =
        "CREATE TABLE m (id int PRIMARY KEY, name text); CREATE TABLE t (id int PRIMARY KEY, m_id int REFERENCES m);
        INSERT INTO m VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO t VALUES (1, 1), (2, 2), (3, 1);";
    there_and_back(natural, &[&["inline-table", "m", "--into", "t"]], &["m", "t"]);
    let lands = "CREATE TABLE lands (id serial PRIMARY KEY, code text NOT NULL UNIQUE, name text NOT NULL);
        CREATE TABLE cities (id int PRIMARY KEY, land int REFERENCES lands);
        INSERT INTO lands (code, name) VALUES ('de', 'Germany'), ('fr', 'France'); INSERT INTO cities VALUES (1, 1), (2, NULL);";
    there_and_back(
        lands,
        &[&["inline-table", "lands", "--into", "cities", "--keep", "--only", "code"]],
        &["lands", "cities"],
    );
    let merge: &[&str] = &["merge-tables", "more", "--into", "orders"];
    there_and_back(shop, &[merge, &["drop-field", "orders.note"]], &["orders", "more"]);
}

#[test]
fn what_follows_a_key_that_goes_goes_on_with_the_new_one() {
    let (new, split): (&[&str], &[&str]) = (&["add-field", "people.x", "int"], &["add-field", "firms.x", "int"]);
    let keys: [(&str, &[&str], &[&str]); 2] = [
        ("ALTER TABLE people ADD UNIQUE (name)", &["replace-surrogate-key", "people.id", "--with", "name"], new),
        ("SELECT", &["split-rows", "people", "--where", "firm", "--into", "firms", "--renumber"], split),
    ];
    for (sql, key, follows) in keys {
        let database = Database::new(&format!("{PEOPLE} {sql}"));
        database.ok(key);
        database.ok(follows);
        let table = follows[1].trim_end_matches(".x");
        database.client().batch_execute(&format!("UPDATE next.{table} SET x = length(name)")).unwrap();
        let values = format!("SELECT name, x FROM {table}");
        let shown = database.rows(&values.replace(table, &format!("next.{table}")));
        for step in [&["materialize", "--yes", "--to", "0001"][..], &["materialize", "--yes"]] {
            let place = if step.len() == 4 { format!("next.{table}") } else { table.to_owned() };
            database.ok(step);
            assert_eq!(database.rows(&values.replace(table, &place)), shown, "{step:?}");
        }
    }
}

#[test]
fn fields_that_may_not_be_null() {
    let flags = "CREATE TABLE t (id int PRIMARY KEY, f boolean NOT NULL DEFAULT false, n int NOT NULL);
        INSERT INTO t VALUES (1, true, 1), (2, false, 2);";
    there_and_back(flags, &[&["drop-field", "t.f"]], &["t"]);
    there_and_back(flags, &[&["drop-field", "t.n", "--default", "0"]], &["t"]);
    let moved = "CREATE TABLE p (id int PRIMARY KEY, n text NOT NULL DEFAULT 'x');
        CREATE TABLE q (id int PRIMARY KEY, p_id int NOT NULL REFERENCES p); CREATE INDEX ON q (p_id);
        INSERT INTO p VALUES (1, 'a'), (2, 'b'); INSERT INTO q VALUES (1, 1);";
    there_and_back(moved, &[&["move-field", "p.n", "q", "--as", "pn"]], &["p", "q"]);
}

#[test]
fn what_hung_on_a_field_that_was_dropped() {
    let shop = "CREATE TABLE firms (id int PRIMARY KEY); INSERT INTO firms VALUES (1), (2);
        CREATE TABLE t (id int PRIMARY KEY, n int, firm int REFERENCES firms ON DELETE SET NULL, code text UNIQUE, a int, CHECK (a < n));
        CREATE INDEX t_lower_idx ON t (lower(code)) WHERE n > 0; CREATE INDEX t_firm_idx ON t (firm DESC, a);
        INSERT INTO t VALUES (1, 5, 1, 'a', 1), (2, 7, 2, 'b', 2), (3, NULL, NULL, NULL, NULL);";
    let hangs = "(SELECT pg_get_constraintdef(oid), conname FROM pg_constraint WHERE conrelid = 't'::regclass AND contype <> 'n'
        UNION ALL SELECT pg_get_indexdef(indexrelid), '' FROM pg_index WHERE indrelid = 't'::regclass) AS h";
    for field in ["t.n", "t.firm", "t.code"] {
        there_and_back(shop, &[&["drop-field", field]], &["t", hangs]);
    }
    let (check, unique, key, index): (&[&str], &[&str], &[&str], &[&str]) = (
        &["add-check", "t", "n >= a"],
        &["add-unique", "t", "firm"],
        &["add-foreign-key", "t", "n", "--references", "firms", "--on-delete", "cascade"],
        &["create-index", "t", "n", "a"],
    );
    let plain = "CREATE TABLE firms (id int PRIMARY KEY); INSERT INTO firms VALUES (1), (2);
        CREATE TABLE t (id int PRIMARY KEY, n int, firm int, a int); INSERT INTO t VALUES (1, 1, 1, 1), (2, 2, 2, NULL), (3, 2, NULL, NULL);";
    there_and_back(plain, &[check, key, index, &["drop-field", "t.n"]], &["t", hangs]);
    there_and_back(plain, &[check, key, index, &["rename-field", "t.n", "m"], &["drop-field", "t.m"]], &["t", hangs]);
    there_and_back(plain, &[unique, index, &["drop-field", "t.firm"], &["drop-field", "t.n"]], &["t", hangs]);
    there_and_back(
        "CREATE TABLE t (id int PRIMARY KEY, a int, double int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO t VALUES (1, 1);",
        &[&["add-check", "t", "double > 0"], &["create-index", "t", "double"], &["drop-field", "t.double"]],
        &["t", hangs],
    );
    there_and_back(ORDERS, &[EXTRACT_CITIES, &["drop-field", "orders.city_id"]], &["orders", "cities"]);
}

#[test]
fn what_hung_on_a_field_that_was_told_anew() {
    let shop = "CREATE TABLE t (id int PRIMARY KEY, a text, b text, n int CHECK (n > 0), off boolean NOT NULL, CONSTRAINT two CHECK (a <> b OR n = 1), CHECK (NOT off OR n < 9));
        CREATE INDEX t_lower_idx ON t (lower(a)) WHERE b > 'a'; CREATE INDEX t_n_idx ON t (n, off);
        INSERT INTO t VALUES (1, 'x', 'y', 1, false), (2, 'y', 'x', 7, true), (3, NULL, 'z', NULL, false);";
    let hangs = "(SELECT pg_get_constraintdef(oid), conname FROM pg_constraint WHERE conrelid = 't'::regclass AND contype <> 'n'
        UNION ALL SELECT pg_get_indexdef(indexrelid), '' FROM pg_index WHERE indrelid = 't'::regclass) AS h";
    let halves = ["--back", "nullif(split_part(ab, '/', 1), '')", "--back", "split_part(ab, '/', 2)"];
    let merge =
        [&["merge-fields", "t.a", "b", "--into", "ab", "--by", "coalesce(a, '') || '/' || b"][..], &halves].concat();
    let invert: &[&str] = &["invert-flag", "t.off", "open"];
    let money: &[&str] = &["change-type", "t.n", "numeric", "--using", "n / 100.0", "--back", "n * 100"];
    let codes: &[&str] = &["change-type", "t.b", "text", "--map", "x=ex", "--map", "y=why", "--map", "z=zed"];
    for command in [&merge[..], invert, money, codes] {
        there_and_back(shop, &[command], &["t", hangs]);
    }
    there_and_back(shop, &[&merge, invert, &["rename-field", "t.open", "is_open"], money], &["t", hangs]);
}

#[test]
fn collations() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, name text COLLATE \"C\" NOT NULL DEFAULT 'x', zip varchar(9) COLLATE \"POSIX\");
        INSERT INTO t VALUES (1, 'b', '1'), (2, 'B', '20'), (3, 'a', NULL);";
    let of = |table: &str| {
        format!(
            "(SELECT attname, attcollation::regcollation::text FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped) AS c"
        )
    };
    let collations = of("t");
    let changes: [&[&str]; 6] = [
        &["drop-field", "t.name"],
        &["drop-field", "t.zip"],
        &["change-type", "t.name", "varchar(30)"],
        &["change-type", "t.name", "text", "--using", "name || '!'", "--back", "rtrim(name, '!')"],
        &["change-type", "t.name", "character(5)"],
        &["change-type", "t.zip", "int"],
    ];
    for change in changes {
        there_and_back(sql, &[change], &["t", &collations]);
        let database = Database::new(sql);
        let (before, sorted) =
            (database.rows(&format!("SELECT * FROM {collations}")), "SELECT id FROM t ORDER BY name");
        let ids = |client: &mut postgres::Client| {
            client.query(sorted, &[]).unwrap().iter().map(|r| r.get::<_, i32>(0)).collect::<Vec<_>>()
        };
        database.ok(change);
        let lost = String::from_utf8(database.run(&["plan"]).stderr).unwrap().contains("collation");
        assert_eq!(lost, change.ends_with(&["t.zip", "int"]), "{change:?}");
        if change[..2] != ["drop-field", "t.name"] {
            assert_eq!(ids(&mut database.next()), [2, 3, 1], "{change:?}");
        }
        database.ok(&["materialize", "--yes", "--rebuild-from", "0"]);
        if change[1] == "t.name" && change[0] == "change-type" {
            assert_eq!(database.rows(&format!("SELECT * FROM {collations}")), before, "{change:?}");
        }
        database.take_back("0001");
        assert_eq!(ids(&mut database.next()), [2, 3, 1], "{change:?}");
        assert_eq!(database.rows(&format!("SELECT * FROM {}", of("next.t"))), before, "{change:?}");
        database.ok(&["materialize", "--yes", "--rebuild-from", "0"]);
        assert_eq!(database.rows(&format!("SELECT * FROM {collations}")), before, "{change:?}");
    }
}

#[test]
fn tables_that_number_their_rows_and_links() {
    let tables = "CREATE TABLE t (id serial PRIMARY KEY, n text); CREATE TABLE c (id int PRIMARY KEY, parent_id int REFERENCES c);
        INSERT INTO t (n) VALUES ('a'), ('b'); INSERT INTO c VALUES (1, NULL), (2, 1);";
    there_and_back(tables, &[&["drop-table", "t"]], &["t"]);
    there_and_back(tables, &[&["make-associative", "c.parent_id", "--into", "links"]], &["c"]);
}

#[test]
fn what_a_row_without_a_part_has() {
    let database = Database::new(
        "CREATE TABLE pages (id int PRIMARY KEY, slug text, layout text DEFAULT 'wide');
         INSERT INTO pages VALUES (1, 'a', 'wide'), (2, NULL, NULL), (3, NULL, 'slim'), (4, NULL, 'wide');",
    );
    database.ok(&["split-table", "pages", "slug", "layout", "--into", "parts", "--where", "slug IS NOT NULL"]);
    let plan = String::from_utf8(database.run(&["plan"]).stderr).unwrap();
    assert!(plan.contains("2 values of `pages.layout` have no `parts` to live in; kept in"), "{plan}");
    database.ok(&["materialize", "--yes"]);
    let kept = "SELECT refactor_key_1, refactor_value FROM refactor.\"lost_0001-split-parts-off-pages_layout\"";
    assert_eq!(database.rows(kept), ["(2,)", "(3,slim)"]);
}

#[test]
fn what_had_no_row_to_live_in() {
    there_and_back(PAGES, &[SPLIT_PAGES], &["pages"]);
    let drop: &[&str] = &["drop-field", "parts.layout"];
    there_and_back(PAGES, &[SPLIT_PAGES, drop], &["pages"]);
    there_and_back(ORDERS, &[EXTRACT_CITIES], &["orders", "cities"]);
    let lines = "CREATE TABLE lines (id int PRIMARY KEY, prod int, pname text); CREATE INDEX ON lines (prod);
        INSERT INTO lines VALUES (1, 1, 'a'), (2, 1, 'a'), (3, NULL, 'b'), (4, NULL, NULL), (5, 2, NULL);";
    for key in ["nr", "prod"] {
        let extract: &[&str] =
            &["extract-table", "lines.prod", "pname", "--into", "products", "--by", "prod", "--key", key];
        there_and_back(lines, &[extract], &["lines"]);
    }
}

/// What comes back stays as long as a row has nothing else, and is over when it is written or has got a row to live in.
#[test]
fn what_has_come_back_is_over_once_it_is_written() {
    let database = Database::new(PAGES);
    database.ok(&["split-table", "pages", "slug", "layout", "--into", "parts", "--where", "slug IS NOT NULL"]);
    database.ok(&["materialize", "--yes"]);
    database.take_back("0001");
    let (mut old, mut next) = (database.client(), database.next());
    let shown = |next: &mut _| rows(next, "SELECT id, slug, layout FROM pages");
    assert_eq!(shown(&mut next), ["(1,a,wide)", "(2,,)", "(3,,slim)", "(4,,wide)"]);
    next.batch_execute("UPDATE pages SET layout = layout; UPDATE pages SET layout = 'wide' WHERE id = 2").unwrap();
    assert_eq!(database.rows("SELECT * FROM parts"), ["(1,a,wide)"]);
    assert_eq!(shown(&mut next), ["(1,a,wide)", "(2,,wide)", "(3,,slim)", "(4,,wide)"]);
    next.batch_execute("UPDATE pages SET id = 5 WHERE id = 3").unwrap();
    assert_eq!(shown(&mut next), ["(1,a,wide)", "(2,,wide)", "(4,,wide)", "(5,,slim)"]);
    old.batch_execute("INSERT INTO parts VALUES (5, 'b', 'tall')").unwrap();
    assert_eq!(shown(&mut next), ["(1,a,wide)", "(2,,wide)", "(4,,wide)", "(5,b,tall)"]);
    old.batch_execute("DELETE FROM parts WHERE id = 5").unwrap();
    assert_eq!(shown(&mut next), ["(1,a,wide)", "(2,,wide)", "(4,,wide)", "(5,,wide)"]);
    let database = Database::new(ORDERS);
    database.ok(EXTRACT_CITIES);
    database.ok(&["materialize", "--yes"]);
    database.take_back("0001");
    let (mut old, mut next) = (database.client(), database.next());
    let shown = |next: &mut _| rows(next, "SELECT * FROM orders");
    assert_eq!(shown(&mut next), ["(1,Ulm)", "(2,Bonn)", "(3,Jena)", "(4,)"]);
    old.batch_execute("UPDATE orders SET city_id = 1 WHERE id = 2").unwrap();
    assert_eq!(shown(&mut next), ["(1,Ulm)", "(2,Ulm)", "(3,Jena)", "(4,)"]);
    old.batch_execute("UPDATE orders SET city_id = NULL WHERE id < 3").unwrap();
    next.batch_execute("UPDATE orders SET city = NULL WHERE id = 3").unwrap();
    assert_eq!(shown(&mut next), ["(1,)", "(2,)", "(3,)", "(4,)"]);
}

#[test]
fn keys_of_another_type() {
    let shop = "CREATE TABLE customers (id serial PRIMARY KEY, email varchar(20) NOT NULL UNIQUE CHECK (email <> ''), n smallint);
        CREATE TABLE orders (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, customer_id int REFERENCES customers ON DELETE CASCADE);
        CREATE INDEX ON orders (customer_id); CREATE UNIQUE INDEX ON customers (lower(email));
        INSERT INTO customers (email) VALUES ('a'), ('b'); INSERT INTO orders (customer_id) VALUES (1), (2);";
    let numbers = |sequence: &str| format!("(SELECT last_value, is_called FROM {sequence}) AS s");
    let (of_customers, of_orders) = (numbers("customers_id_seq"), numbers("orders_id_seq"));
    let tables = &["customers", "orders", &of_customers, &of_orders];
    let (id, order, email): (&[&str], &[&str], &[&str]) = (
        &["change-type", "customers.id", "bigint"],
        &["change-type", "orders.id", "bigint"],
        &["change-type", "customers.email", "text"],
    );
    there_and_back(shop, &[id, order, email, &["change-type", "orders.customer_id", "bigint"]], tables);
    there_and_back(
        shop,
        &[id, order, &["reorder-fields", "customers", "n"], &["reorder-fields", "orders", "customer_id"]],
        tables,
    );
    let database = Database::new(shop);
    assert!(database.refused(&["change-type", "customers.email", "varchar(0)"]).contains("varchar"));
    database.client().batch_execute("INSERT INTO customers (email) VALUES ('long enough')").unwrap();
    assert!(
        database.refused(&["change-type", "customers.email", "varchar(5)"]).contains("1 row of `customers` does not")
    );
    database.ok(&["change-type", "customers.email", "varchar(15)"]);
    let old =
        database.client().batch_execute("INSERT INTO customers (email) VALUES ('longer than that is')").unwrap_err();
    assert_eq!(old.code().unwrap().code(), "23000");
}

#[test]
fn rows_that_were_marked() {
    let orders = "CREATE TABLE orders (id int PRIMARY KEY, code text UNIQUE, gone boolean NOT NULL DEFAULT false CHECK (NOT gone OR id > 1), n int);
        CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders);
        INSERT INTO orders VALUES (1, 'a', false, 1), (2, 'b', true, 2), (3, NULL, true, NULL); INSERT INTO items VALUES (1, 1);";
    let delete: &[&str] = &["hard-delete", "orders.gone"];
    there_and_back(orders, &[delete, &["drop-field", "orders.n"]], &["orders", "items"]);
    there_and_back(orders, &[&["drop-field", "orders.n"], delete], &["orders", "items"]);
    let renamed: &[&str] = &["hard-delete", "orders.deleted"];
    there_and_back(orders, &[&["rename-field", "orders.gone", "deleted"], renamed], &["orders", "items"]);
    there_and_back(PEOPLE, &[&["soft-delete", "people"]], &["people"]);
}

/// Both are pending, as in a database to which recorded refactorings are new.
#[test]
fn marked_rows_that_never_went() {
    let database = Database::new(
        "CREATE TABLE t (id int PRIMARY KEY, gone text, n int CHECK (n > 0)); INSERT INTO t VALUES (1, NULL, 1), (2, 'x', 2);",
    );
    database.ok(&["hard-delete", "t.gone", "--mark", "'y'"]);
    let back =
        ["soft-delete", "t", "--field", "gone", "--type", "text", "--mark", "'y'", "--restores", "0001-hard-delete-t"];
    let kept = ["--kept", "id integer NOT NULL", "--kept", "n integer", "--kept", "t_n_check CHECK ((n > 0))"];
    database.ok(&[&back[..], &kept].concat());
    let all = ["(1,1,)", "(2,2,x)"];
    assert_eq!(database.rows("SELECT * FROM next.t"), all);
    database.next().batch_execute("DELETE FROM t WHERE id = 1; UPDATE t SET gone = 'z' WHERE id = 2").unwrap();
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows("SELECT * FROM t"), ["(2,2,z)"]);
}

#[test]
fn marked_rows_that_would_go_are_counted() {
    let database = Database::new("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3);");
    database.ok(&["soft-delete", "t"]);
    database.client().batch_execute("DELETE FROM t WHERE id < 3").unwrap();
    let said = database.refused(&["undo"]);
    assert!(said.contains("2 rows that 0001-soft-delete-t keeps with a mark"), "{said}");
    database.ok(&["undo", "--yes"]);
    assert_eq!(database.rows("SELECT * FROM t"), ["(3)"]);
    database.client().batch_execute("ALTER TABLE t ADD gone text; INSERT INTO t VALUES (4, 'x')").unwrap();
    database.ok(&["hard-delete", "t.gone", "--mark", "'y'"]);
    database.ok(&["materialize", "--yes"]);
    database.take_back("0001-hard");
    let said = database.refused(&["undo"]);
    assert!(said.contains("1 row goes back to `refactor.\"lost_0001-hard-delete-t\"`"), "{said}");
}

const PARTNERS: &str = r#"CREATE TABLE "Kunde ""x""" ("Id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "select" varchar(50) NOT NULL UNIQUE,
      "Size" int CHECK ("Size" > 0) DEFAULT 7, "made at" timestamptz DEFAULT clock_timestamp() NOT NULL, note text DEFAULT 'n');
    CREATE UNIQUE INDEX ON "Kunde ""x""" (lower("select"));
    CREATE TABLE region (id int PRIMARY KEY);
    CREATE TABLE "Lieferant" (note text, "Id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "select" varchar(50),
      region_id int NOT NULL REFERENCES region ON UPDATE CASCADE, "from" date NOT NULL DEFAULT CURRENT_DATE, "to" date,
      CHECK ("to" >= "from"), CONSTRAINT "u n" UNIQUE (region_id, "from"));
    CREATE INDEX ON "Lieferant" (region_id); CREATE UNIQUE INDEX "low ""x" ON "Lieferant" (lower("select")) WHERE "to" IS NULL;
    COMMENT ON TABLE "Lieferant" IS 'c'; COMMENT ON COLUMN "Lieferant"."select" IS 'd'; GRANT SELECT ON "Lieferant" TO PUBLIC;
    ALTER TABLE "Lieferant" ALTER COLUMN note SET STATISTICS 5;
    INSERT INTO region VALUES (1), (2); INSERT INTO "Kunde ""x""" ("select") VALUES ('a'), ('b');
    INSERT INTO "Lieferant" ("select", region_id, "from") VALUES ('c', 1, '2020-01-01'), ('d', 2, '2020-01-02');"#;

#[test]
fn tables_with_rules_of_their_own_that_were_united() {
    const RULES: &str = "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'";
    const INDEXES: &str = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'";
    const FIELDS: &str = "SELECT attrelid::regclass::text, attname, atttypid, attnotnull, col_description(attrelid, attnum), pg_get_expr(adbin, adrelid),
            rank() OVER (PARTITION BY attrelid ORDER BY attnum)
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace)";
    let unite: &[&str] = &[
        "union-tables",
        "\"Kunde \"\"x\"\"\"",
        "\"Lieferant\"",
        "--into",
        "all",
        "--discriminator",
        "kind",
        "--values",
        "Kun'de,Lief",
    ];
    let database = Database::new(PARTNERS);
    let all = || [RULES, INDEXES, FIELDS].map(|query| database.rows(query));
    let before = all();
    let talk = String::from_utf8(database.run(unite).stderr).unwrap();
    let lost: Vec<&str> = talk.lines().filter_map(|l| l.strip_prefix("note: materializing will drop ")).collect();
    assert_eq!(
        lost,
        [
            "statistics target of `\"Lieferant\".note`",
            "comment of `\"Lieferant\"`",
            "SELECT on `\"Lieferant\"` for everybody"
        ]
    );
    database.ok(&["materialize", "--yes"]);
    database.take_back("0001");
    database.ok(&["materialize", "--yes"]);
    assert_eq!(all(), before);
}

#[test]
fn values_that_can_be_equal_and_not_the_same() {
    let shop = "CREATE TABLE kinds (id serial PRIMARY KEY, price numeric NOT NULL, more json, tags jsonb, size float8);
        CREATE TABLE parts (id int PRIMARY KEY, kind_id int REFERENCES kinds);
        INSERT INTO kinds (price, more, tags, size) VALUES (1.0, '{\"a\": 1}', '[1.0]', 0), (1.00, '{\"a\": 1}', '[1.0]', 0),
          (1.0, '{\"a\":1}', '[1.00]', '-0'), (2, NULL, NULL, NULL);
        INSERT INTO parts VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, NULL), (6, 1);";
    there_and_back(shop, &[&["inline-table", "kinds", "--into", "parts"]], &["parts", "kinds"]);
    let database = Database::new(shop);
    database.ok(&["inline-table", "kinds", "--into", "parts"]);
    database.ok(&["materialize", "--yes"]);
    database.take_back("0001");
    database
        .client()
        .batch_execute(
            "UPDATE parts SET price = 1.00 WHERE id = 1; UPDATE parts SET more = '{ }' WHERE id = 3;
             INSERT INTO parts VALUES (7, 2.0, NULL, NULL, NULL), (8, 2, NULL, NULL, NULL)",
        )
        .unwrap();
    database
        .next()
        .batch_execute("UPDATE kinds SET tags = '[1]' WHERE id = 1; UPDATE parts SET kind_id = 1 WHERE id = 2")
        .unwrap();
    let joined =
        "SELECT p.id, k.id, price, more, tags, size FROM next.parts AS p JOIN next.kinds AS k ON k.id = p.kind_id";
    let now = database.rows(joined);
    assert_eq!(
        now,
        [
            "(1,2,1.00,\"{\"\"a\"\": 1}\",[1.0],0)",
            "(2,1,1.0,\"{\"\"a\"\": 1}\",[1],0)",
            "(3,5,1.0,\"{ }\",[1.00],-0)",
            "(4,4,2,,,)",
            "(6,1,1.0,\"{\"\"a\"\": 1}\",[1],0)",
            "(7,6,2.0,,,)",
            "(8,4,2,,,)"
        ]
    );
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows(&joined.replace("next.", "public.")), now);
    let tags = "CREATE TABLE tags (id serial PRIMARY KEY, tag json); CREATE TABLE notes (id int PRIMARY KEY, tag_id int NOT NULL REFERENCES tags);
        INSERT INTO tags (tag) VALUES ('1'), ('{}'); INSERT INTO notes VALUES (1, 1), (2, 2), (3, 1);";
    there_and_back(tags, &[&["inline-table", "tags", "--into", "notes"]], &["notes", "tags"]);
    there_and_back(tags, &[&["inline-table", "tags", "--into", "notes", "--keep"]], &["notes", "tags"]);
}

#[test]
fn tables_that_stay_and_do_not_number_their_rows() {
    let shop = "CREATE TABLE lands (code text PRIMARY KEY, name text NOT NULL UNIQUE, size int);
        CREATE TABLE cities (id int PRIMARY KEY, land text, pop int); CREATE TABLE towns (id int PRIMARY KEY, land text);
        INSERT INTO lands VALUES ('de', 'Germany', 1), ('fr', 'France', 2); INSERT INTO towns VALUES (1, 'de'), (2, NULL);
        INSERT INTO cities VALUES (1, 'Germany', 5), (2, NULL, 6), (3, 'Germany', 7);";
    let extract: &[&str] = &["extract-table", "cities.land", "--into", "lands", "--names", "name"];
    there_and_back(shop, &[extract], &["lands", "cities"]);
    let database = Database::new(shop);
    database.ok(extract);
    let joined = "SELECT c.id, l.code FROM next.cities AS c JOIN lands AS l ON l.code = c.land_code";
    assert_eq!(database.rows(joined), ["(1,de)", "(3,de)"]);
    database.ok(&["materialize", "--yes"]);
    database.take_back("0001");
    database.next().batch_execute("UPDATE cities SET land = 'France' WHERE id = 2").unwrap();
    assert!(database.next().batch_execute("UPDATE cities SET land = 'Spain' WHERE id = 2").is_err());
    assert_eq!(database.rows("SELECT id, land_code FROM cities"), ["(1,de)", "(2,fr)", "(3,de)"]);
    assert_eq!(database.rows("SELECT * FROM lands"), ["(de,Germany,1)", "(fr,France,2)"]);
    // A natural key refers to every value; what is not listed cannot be set aside.
    let database = Database::new(shop);
    let natural: &[&str] = &["extract-table", "towns.land", "--into", "lands", "--names", "code", "--key", "code"];
    let told = database.refused(&[natural, &["--on-missing", "null"]].concat());
    assert!(told.contains("every value that is stored refers to a row"), "{told}");
    there_and_back(shop, &[natural], &["lands", "towns"]);
    there_and_back(
        shop,
        &[&["extract-table", "towns.land", "--into", "lands", "--names", "code"]],
        &["lands", "towns"],
    );
    database.client().batch_execute("ALTER TABLE towns ADD FOREIGN KEY (land) REFERENCES lands").unwrap();
    let told = database.refused(&["inline-table", "lands", "--into", "towns", "--keep"]);
    assert!(told.contains("copy them instead: `refactor copy-field`"), "{told}");
}

const PARCELS: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text, land text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers);
    CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders, city text, street text, n int);
    CREATE TABLE notes (item_id int REFERENCES items, no int, PRIMARY KEY (no)); CREATE INDEX ON notes (item_id);
    CREATE INDEX ON orders (customer_id); CREATE INDEX ON items (order_id);
    INSERT INTO customers VALUES (1, 'a', 'de'), (2, 'b', 'fr'), (3, 'c', 'it');
    INSERT INTO orders VALUES (1, 1), (2, NULL), (5, NULL), (6, 2), (3, NULL);
    INSERT INTO items VALUES (1, 1, 'Ulm', 'Main St', 1), (5, 2, 'Bonn', 'High St', 2), (2, 5, 'Koeln', NULL, 3), (3, NULL, 'Jena', 'Low St', 4), (6, NULL, NULL, 'Mid St', 5), (7, 2, 'Bonn', 'High St', 6);
    INSERT INTO notes VALUES (1, 1), (2, 7), (7, 2), (NULL, 3);";

/// Moves over several tables: what has no partner on the first way, and what has one there and none further on, is kept by
/// the keys of two tables, whose rows have each other's numbers here.
#[test]
fn fields_that_were_moved_on() {
    let tables = &["items", "orders", "customers", "notes"];
    let up: &[&[&str]] = &[&["move-field", "items.city", "orders"], &["move-field", "orders.city", "customers"]];
    there_and_back(PARCELS, up, tables);
    let with: &[&[&str]] =
        &[&["move-field", "items.city", "orders", "--with", "street"], &["move-field", "orders.city", "customers"]];
    there_and_back(PARCELS, with, tables);
    let other: &[&[&str]] = &[with[0], &["move-field", "orders.street", "customers"]];
    there_and_back(PARCELS, other, tables);
    let down: &[&[&str]] =
        &[&["move-field", "customers.land", "orders"], &["move-field", "orders.land", "items", "--as", "country"]];
    there_and_back(PARCELS, down, tables);
    let further: &[&[&str]] = &[down[0], down[1], &["move-field", "items.country", "notes"]];
    there_and_back(PARCELS, further, tables);
}
