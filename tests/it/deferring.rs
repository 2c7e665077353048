//! Declare, defer, undo, materialize: the main road.

use crate::support::{Database, rows};

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
    assert_eq!(shop.rows("SELECT tgname FROM pg_trigger WHERE tgname ~ '^[!~]refactor'"), Vec::<String>::new());
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

#[test]
fn a_field_called_like_an_alias_of_ours_is_no_trouble() {
    let shop = Database::new(
        "CREATE TABLE p (id int PRIMARY KEY, d text);
         CREATE TABLE c (id int PRIMARY KEY, p_id int NOT NULL REFERENCES p, b text, t text, s text, x text);
         CREATE INDEX ON c (p_id);
         INSERT INTO p VALUES (1, 'one'), (2, 'two');
         INSERT INTO c VALUES (1, 1, '7', 'T', 'S', 'X'), (2, 1, '8', 'T', 'S', 'X'), (3, 2, '9', NULL, NULL, NULL)",
    );
    shop.ok(&["change-type", "c.b", "int"]);
    shop.ok(&["move-field", "c.t", "p"]);
    shop.ok(&["move-field", "p.d", "c"]);
    shop.ok(&[
        "merge-fields",
        "c.s",
        "c.x",
        "--into",
        "sx",
        "--by",
        "s || x",
        "--back",
        "left(sx, 1)",
        "--back",
        "right(sx, 1)",
    ]);
    shop.ok(&["verify"]);
    shop.client().batch_execute("INSERT INTO next.c (id, p_id, b, d, sx) VALUES (4, 2, 10, 'two', 'AB')").unwrap();
    let said = shop.refused(&["change-type", "c.d", "int"]);
    // As if it were real, and the query reads what is there.
    assert!(said.contains("each `c` must give a value of type int for `d`; 4 rows of `c` do not"), "{said}");
    let (_, query) = said.split_once("the query that finds them:").unwrap();
    assert!(!query.contains("floor_"), "{query}");
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT * FROM c"), ["(1,1,7,one,SX)", "(2,1,8,one,SX)", "(3,2,9,two,)", "(4,2,10,two,AB)"]);
    assert_eq!(shop.rows("SELECT * FROM p"), ["(1,T)", "(2,)"]);
}

#[test]
fn values_that_do_not_fit_are_told_also_when_the_field_is_called_like_our_alias() {
    let shop = Database::new("CREATE TABLE a (id int PRIMARY KEY, b text); INSERT INTO a VALUES (1, '1'), (2, 'no')");
    assert_eq!(
        shop.refused(&["change-type", "a.b", "int"]),
        "error: cannot change the type of `a.b` to int
  because each `a` must give a value of type int for `b`; 1 row of `a` does not: (2,no)
hint: correct those rows, or change the expression
  the query that finds them:
  SELECT (b.*)::text FROM public.a AS b WHERE (b.b::INT)::int IS NULL IS NULL
"
    );
}

#[test]
fn an_unlogged_table_has_an_unlogged_complement() {
    let shop = Database::new(
        "CREATE TABLE a (id int PRIMARY KEY, v text, w text); INSERT INTO a VALUES (1, 'v', '1');
         CREATE UNLOGGED TABLE b (id int PRIMARY KEY, a_id int REFERENCES a); INSERT INTO b VALUES (1, 1), (2, NULL);
         CREATE UNLOGGED TABLE n (id int PRIMARY KEY, x text); INSERT INTO n VALUES (1, '1')",
    );
    shop.ok(&["move-field", "a.v", "b"]);
    shop.ok(&["add-field", "b.n", "int", "--default", "1"]);
    shop.ok(&["change-type", "n.x", "int"]);
    let kept = "SELECT relname, relpersistence FROM pg_class WHERE relname LIKE 'kept\\_%' AND relkind = 'r'";
    assert_eq!(shop.rows(kept), ["(kept_0001_v,u)", "(kept_of_public_b,u)", "(kept_of_public_n,u)"]);
    shop.client().batch_execute("UPDATE next.b SET v = 'own', n = 2 WHERE id = 2").unwrap();
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT * FROM b"), ["(1,1,v,1)", "(2,,own,2)"]);
}

#[test]
fn a_typed_table_keeps_its_fields_and_may_be_renamed() {
    let shop = Database::new("CREATE TYPE pair AS (a int, b text); CREATE TABLE t OF pair (PRIMARY KEY (a))");
    for command in [
        &["rename-field", "t.b", "c"][..],
        &["drop-field", "t.b"],
        &["add-field", "t.c", "int"],
        &["change-type", "t.b", "int"],
    ] {
        let said = shop.refused(command);
        assert!(said.contains("because `public.t` has its fields from the type `public.pair`"), "{said}");
        assert!(said.contains("ALTER TABLE public.t NOT OF"), "{said}");
    }
    shop.ok(&["rename-table", "t", "u"]);
    shop.ok(&["materialize", "--yes"]);
}

#[test]
fn a_row_that_a_trigger_skips_leaves_nothing_behind() {
    let shop = Database::new(
        "CREATE TABLE customers (id int PRIMARY KEY, name text);
         CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, city text, n int);
         CREATE INDEX ON orders (customer_id);
         CREATE TABLE details (customer_id int PRIMARY KEY REFERENCES customers, remark text);
         INSERT INTO customers VALUES (1, 'Ann'), (2, 'Ben');
         INSERT INTO orders VALUES (1, 1, 'Ulm', 5), (2, 1, 'Ulm', 6);
         INSERT INTO details VALUES (1, 'good');
         CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
           IF TG_OP = ''DELETE'' THEN RETURN CASE WHEN OLD.id > 1 THEN OLD END; END IF;
           RETURN CASE WHEN NEW.n IS DISTINCT FROM 13 THEN NEW END; END';
         CREATE TRIGGER skip BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION skip();
         CREATE TRIGGER skip BEFORE DELETE ON customers FOR EACH ROW EXECUTE FUNCTION skip();",
    );
    shop.ok(&["move-field", "orders.city", "customers"]);
    shop.ok(&["merge-tables", "details", "--into", "customers"]);
    let mut next = shop.next();
    let orders = "SELECT id, customer_id, n FROM orders ORDER BY id";
    assert_eq!(next.execute("INSERT INTO orders VALUES (3, 1, 13)", &[]).unwrap(), 0);
    assert_eq!(next.execute("UPDATE orders SET n = 13 WHERE id = 1", &[]).unwrap(), 0);
    assert_eq!(rows(&mut next, orders), ["(1,1,5)", "(2,1,6)"]);
    assert_eq!(next.execute("DELETE FROM customers WHERE id = 2", &[]).unwrap(), 1);
    next.batch_execute("DELETE FROM orders").unwrap();
    assert_eq!(next.execute("DELETE FROM customers", &[]).unwrap(), 0);
    assert_eq!(rows(&mut next, "SELECT * FROM customers"), ["(1,Ann,Ulm,good)"]);
}

#[test]
fn a_value_of_old_code_gets_a_number_that_is_free() {
    let shop = Database::new(
        "CREATE TABLE tasks (id int PRIMARY KEY, author text); INSERT INTO tasks VALUES (1, 'Ann'), (2, 'Ben');",
    );
    shop.ok(&["extract-table", "tasks.author", "--into", "authors"]);
    shop.next().batch_execute("INSERT INTO authors VALUES (3, 'Cal'), (4, 'Dan')").unwrap();
    shop.client().batch_execute("INSERT INTO tasks VALUES (3, 'Dora')").unwrap();
    assert_eq!(rows(&mut shop.next(), "SELECT * FROM tasks"), ["(1,1)", "(2,2)", "(3,5)"]);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT * FROM authors"), ["(1,Ann)", "(2,Ben)", "(3,Cal)", "(4,Dan)", "(5,Dora)"]);
}

#[test]
fn an_index_that_stays_comes_along_under_another_name() {
    let shop = Database::new(
        "CREATE TABLE cities (id serial PRIMARY KEY, name text); CREATE INDEX cities_name ON cities (name);
         CREATE TABLE orders (id int PRIMARY KEY, city_id int NOT NULL REFERENCES cities);
         INSERT INTO cities (name) VALUES ('Ulm'), ('Bonn'); INSERT INTO orders VALUES (1, 1), (2, 1);",
    );
    shop.ok(&["inline-table", "cities", "--into", "orders", "--as", "name=city", "--keep"]);
    shop.ok(&["materialize", "--yes"]);
    let named = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname !~ 'pkey'";
    assert_eq!(shop.rows(named), ["(cities_name)", "(orders_city_idx)"]);
}

#[test]
fn what_a_domain_says_is_said_of_its_fields() {
    let shop = Database::new(
        "CREATE DOMAIN amount AS numeric(12,2) NOT NULL DEFAULT 0; CREATE DOMAIN nick AS text DEFAULT 'anon';
         CREATE TABLE p (id int PRIMARY KEY, price amount, called nick); CREATE TABLE q (id int PRIMARY KEY, p_id int REFERENCES p);
         CREATE INDEX ON q (p_id); INSERT INTO p VALUES (1, 5, 'Ann'), (2, 0, NULL); INSERT INTO q VALUES (11, 1), (12, NULL);",
    );
    shop.ok(&["add-field", "p.tax", "amount"]);
    shop.ok(&["add-field", "p.by", "nick"]);
    shop.ok(&["move-field", "p.called", "q"]);
    assert!(shop.refused(&["move-field", "p.price", "q"]).contains("is of the domain `public.amount`"));
    assert!(shop.refused(&["drop-not-null", "p.price"]).contains("is NOT NULL itself"));
    assert!(shop.refused(&["drop-default", "p.price"]).contains("has that default itself"));
    shop.next().batch_execute("INSERT INTO p (id) VALUES (3); INSERT INTO q (id, p_id) VALUES (13, 3)").unwrap();
    let shown = |schema: &str| {
        (shop.rows(&format!("SELECT * FROM {schema}.p")), shop.rows(&format!("SELECT * FROM {schema}.q")))
    };
    let before = shown("next");
    assert_eq!(before.0, ["(1,5.00,0.00,anon)", "(2,0.00,0.00,anon)", "(3,0.00,0.00,anon)"]);
    assert_eq!(before.1, ["(11,1,Ann)", "(12,,)", "(13,3,anon)"]);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shown("public"), before);
}

#[test]
fn a_new_table_refers_to_one_that_is_built_anew() {
    let shop = Database::new(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b text, c int); INSERT INTO t VALUES (1, 'x', 'y', 3);",
    );
    shop.ok(&["create-table", "u", "id int PRIMARY KEY", "t_id int REFERENCES t"]);
    shop.ok(&["unpivot", "t", "a", "b", "--into", "parts"]);
    shop.ok(&["reorder-fields", "t", "c"]);
    shop.next().batch_execute("INSERT INTO u VALUES (1, 1)").unwrap();
    shop.ok(&["materialize", "--yes"]);
    let keys = "SELECT conrelid::regclass, confrelid::regclass FROM pg_constraint WHERE contype = 'f'";
    assert_eq!(shop.rows(keys), ["(parts,t)", "(u,t)"]);
}

#[test]
fn a_part_of_a_key_may_be_deferrable() {
    let shop = Database::new(
        "CREATE TABLE tickets (id int PRIMARY KEY, account int, number int, UNIQUE (account, number) DEFERRABLE);
         CREATE TABLE notes (id int PRIMARY KEY, account int, number int);",
    );
    let refer: &[&str] = &["add-foreign-key", "notes", "account", "number", "--references", "tickets(account,number)"];
    assert!(shop.refused(refer).contains("is not unique"));
    shop.ok(&["add-unique", "tickets", "account", "number"]);
    shop.ok(refer);
    shop.ok(&["materialize", "--yes"]);
}

#[test]
fn a_trigger_of_one_field_fires_where_that_is_written() {
    let shop = Database::new(
        "CREATE TABLE products (id int PRIMARY KEY, name text, price numeric, stock int, vendor text, ft tsvector); CREATE TABLE log (what text, product int);
         CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (TG_ARGV[0], NEW.id); RETURN NULL; END $$;
         CREATE TRIGGER price AFTER UPDATE OF price ON products FOR EACH ROW EXECUTE FUNCTION log('price was written');
         CREATE TRIGGER stock AFTER UPDATE OF stock ON products FOR EACH ROW EXECUTE FUNCTION log('stock was written');
         CREATE TRIGGER ft BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger('ft', 'pg_catalog.english', 'name');
         INSERT INTO products VALUES (1, 'wine', 1, 2, 'v'), (2, 'beer', 1, 2, 'v');",
    );
    shop.ok(&["extract-table", "products.vendor", "--into", "vendors"]);
    let mut next = shop.next();
    next.batch_execute(
        "UPDATE products SET name = 'ale' WHERE id = 2; UPDATE products SET vendor_id = NULL WHERE id = 1",
    )
    .unwrap();
    assert_eq!(shop.rows("SELECT * FROM log"), Vec::<String>::new());
    next.batch_execute(
        "UPDATE products SET price = 3 WHERE id = 2; UPDATE products SET stock = 3, name = 'gin' WHERE id = 1",
    )
    .unwrap();
    assert_eq!(shop.rows("SELECT * FROM log"), ["(\"price was written\",2)", "(\"stock was written\",1)"]);
}

#[test]
fn values_that_are_equal_and_not_the_same_are_not_one() {
    let shop = Database::new(
        "CREATE TABLE c (id int PRIMARY KEY); CREATE TABLE o (id int PRIMARY KEY, c int REFERENCES c, n numeric, i interval, m numeric(9,2));
         CREATE INDEX ON o (c); INSERT INTO c VALUES (1); INSERT INTO o VALUES (1, 1, 1.0, '1 day', 1), (2, 1, 1.00, '24:00', 1.0);",
    );
    for field in ["o.n", "o.i"] {
        assert!(shop.refused(&["move-field", field, "c"]).contains("1 row of `c` does not"));
    }
    shop.ok(&["move-field", "o.m", "c"]);
}

#[test]
fn an_index_that_cannot_be_over_the_reference_is_named() {
    let shop = Database::new(
        "CREATE TABLE t (id int PRIMARY KEY, tags text[]); CREATE INDEX t_tags ON t USING gin (tags); INSERT INTO t VALUES (1, '{a}');
         CREATE TABLE g (id serial PRIMARY KEY, j json, big text); CREATE TABLE u (id int PRIMARY KEY, g int REFERENCES g); CREATE INDEX u_g ON u (g);
         INSERT INTO g (j) VALUES ('{}'); INSERT INTO u VALUES (1, 1);",
    );
    let told = |command: &[&str]| String::from_utf8(shop.run(command).stderr).unwrap();
    assert!(told(&["extract-table", "t.tags", "--into", "s"]).contains("materializing will drop index `t_tags`"));
    assert!(told(&["inline-table", "g", "--into", "u"]).contains("materializing will drop index `u_g`"));
    shop.ok(&["materialize", "--yes"]);
}

#[test]
fn a_partitioned_table_gets_the_fields_of_one_that_it_refers_to() {
    let shop = Database::new(
        "CREATE TABLE g (id serial PRIMARY KEY, name text); INSERT INTO g (name) VALUES ('a'), ('b');
         CREATE TABLE t (a int, b int, g int REFERENCES g, PRIMARY KEY (a, b)) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
         INSERT INTO t VALUES (1, 1, 1), (1, 2, 2), (1, 3, NULL);",
    );
    assert!(shop.refused(&["set-not-null", "t.g", "--on-violation", "quarantine"]).contains("is partitioned"));
    shop.ok(&["inline-table", "g", "--into", "t"]);
    shop.next().batch_execute("UPDATE t SET name = 'q' WHERE b = 1").unwrap();
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT * FROM t"), ["(1,1,q)", "(1,2,b)", "(1,3,)"]);
}

#[test]
fn names_of_hidden_fields_and_tables_without_a_key_are_refused() {
    let shop = Database::new(
        "CREATE TABLE s (a int, b text); CREATE TABLE t (id int PRIMARY KEY, s text, refactor_key_1 text, n serial);",
    );
    assert!(shop.refused(&["extract-table", "s.b", "--into", "x"]).contains("has no primary key"));
    assert!(shop.refused(&["extract-table", "t.s", "--into", "x"]).contains("a field is called `refactor_key_1`"));
    shop.ok(&["drop-field", "t.refactor_key_1"]);
    let said = String::from_utf8(shop.run(&["drop-field", "t.n"]).stderr).unwrap();
    assert!(said.contains("materializing will drop `t_n_seq`, which numbers `n`"), "{said}");
}

#[test]
fn what_is_deleted_gets_a_mark_or_goes() {
    let shop = Database::new(
        "CREATE TABLE people (id int PRIMARY KEY); CREATE TABLE tasks (id int PRIMARY KEY, of int REFERENCES people ON DELETE CASCADE, n int);
         INSERT INTO people VALUES (1), (2); INSERT INTO tasks VALUES (1, 1), (2, 2), (3, 2), (4, NULL), (5, NULL);
         CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF OLD.id = 1 THEN RETURN NULL; END IF; RETURN coalesce(NEW, OLD); END';
         CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION keep();",
    );
    let command = [
        "soft-delete",
        "tasks",
        "--field",
        "gone",
        "--type",
        "text",
        "--mark",
        "CASE current_setting('a.b', true) WHEN 'no' THEN NULL ELSE 'x' END",
    ];
    let said = String::from_utf8(shop.run(&command).stderr).unwrap();
    for note in [
        "TRUNCATE removes rows really, and marks none",
        "rows of `tasks` that `tasks_of_fkey` deletes with what they refer to are gone, with a mark or without",
        "setting a mark is a DELETE for the triggers of `tasks`, and clearing it an INSERT",
    ] {
        assert!(said.contains(note), "{said}");
    }
    let all = "SELECT id, gone FROM next.tasks";
    let mut old = shop.client();
    assert_eq!(old.execute("DELETE FROM tasks WHERE id IN (1, 4)", &[]).unwrap(), 1);
    assert_eq!(shop.rows(all), ["(1,)", "(2,)", "(3,)", "(4,x)", "(5,)"]);
    let error = old.batch_execute("SET a.b = 'no'; DELETE FROM tasks WHERE id = 5").unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), "a deleted row of \"tasks\" got no mark");
    old.batch_execute(
        "SET a.b = ''; WITH d AS (DELETE FROM people WHERE id = 2 RETURNING id) INSERT INTO people SELECT * FROM d",
    )
    .unwrap();
    assert_eq!(shop.rows(all), ["(1,)", "(4,x)", "(5,)"]);
    shop.ok(&["verify"]);
    old.batch_execute("BEGIN; TRUNCATE tasks").unwrap();
    assert_eq!(rows(&mut old, all), ["(4,x)"]);
    old.batch_execute("ROLLBACK").unwrap();
    shop.ok(&["materialize", "--yes"]);
    shop.ok(&[
        "hard-delete",
        "tasks.gone",
        "--mark",
        "CASE current_setting('a.b', true) WHEN 'no' THEN NULL ELSE 'y' END",
    ]);
    let mut new = shop.next();
    assert_eq!(new.execute("DELETE FROM tasks WHERE id IN (1, 4)", &[]).unwrap(), 0);
    let error = new.batch_execute("SET a.b = 'no'; DELETE FROM tasks WHERE id = 5").unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), "a deleted row of \"tasks\" got no mark");
    new.batch_execute("SET a.b = ''; DELETE FROM tasks WHERE id = 5").unwrap();
    assert_eq!(shop.rows("SELECT id, gone FROM tasks"), ["(1,)", "(4,x)", "(5,y)"]);
    shop.ok(&["verify"]);
}

#[test]
fn what_a_trigger_of_another_table_stores_is_what_is_returned() {
    let table = |name: &str, more: &str| {
        format!(
            "CREATE TABLE {name} (id serial PRIMARY KEY{more}, name text);
            CREATE TRIGGER norm BEFORE INSERT OR UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION norm();"
        )
    };
    let shop = Database::new(&format!(
        "CREATE FUNCTION norm() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.name := lower(NEW.name); RETURN NEW; END$$;
        CREATE TABLE users (id serial PRIMARY KEY, x int); CREATE TABLE customers (id serial PRIMARY KEY, x int); {} {} {}
        CREATE TABLE orders (id serial PRIMARY KEY, city_id int REFERENCES cities); CREATE INDEX ON sales (customer_id);
        INSERT INTO customers (x) VALUES (1); INSERT INTO sales (customer_id, name) VALUES (1, 'Q');",
        table("cities", ""),
        table("profiles", " REFERENCES users"),
        table("sales", ", customer_id int REFERENCES customers"),
    ));
    let told = |command: &[&str]| String::from_utf8(shop.run(command).stderr).unwrap();
    assert!(told(&["inline-table", "cities", "--into", "orders"]).contains("trigger `norm` of `cities`"));
    assert!(told(&["merge-tables", "profiles", "--into", "users"]).contains("trigger `norm` of `profiles`"));
    shop.ok(&["move-field", "sales.name", "customers"]);
    for sql in [
        "INSERT INTO next.orders (name) VALUES ('ROM') RETURNING name",
        "UPDATE next.orders SET name = 'ULM' RETURNING name",
        "INSERT INTO next.users (name) VALUES ('ROM') RETURNING name",
        "UPDATE next.users SET name = 'ULM' RETURNING name",
        "UPDATE next.customers SET name = 'ULM' RETURNING name",
    ] {
        let wanted = if sql.starts_with("INSERT") { "rom" } else { "ulm" };
        assert_eq!(shop.client().query_one(sql, &[]).unwrap().get::<_, String>(0), wanted, "{sql}");
    }
}

#[test]
fn what_an_existing_lookup_has_not_is_named() {
    let shop = Database::new(
        "CREATE TABLE kinds (id serial PRIMARY KEY, label text NOT NULL UNIQUE);
        CREATE TABLE t (id serial PRIMARY KEY, kind text CONSTRAINT kind_ok CHECK (kind <> ''));
        COMMENT ON COLUMN t.kind IS 'mine';",
    );
    let told = shop.run(&["extract-table", "t.kind", "--into", "kinds", "--names", "label"]);
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("constraint `kind_ok`") && told.contains("comment of `kind`"), "{told}");
    let refused =
        Database::new("CREATE TABLE a (id int PRIMARY KEY, n text); CREATE TABLE b (x int, a_id int REFERENCES a);");
    assert!(refused.refused(&["inline-table", "a", "--into", "b"]).contains("has no primary key"));
}

#[test]
fn values_that_are_stored_are_not_lost_with_their_list() {
    let shop = Database::new("CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'x'), (2, 'y');");
    shop.ok(&["extract-table", "t.a", "--into", "s"]);
    shop.ok(&["undo"]);
    shop.ok(&["extract-table", "t.a", "--into", "s"]);
    shop.client().execute("INSERT INTO next.s (a) VALUES ('z')", &[]).unwrap();
    assert!(shop.refused(&["undo"]).contains("1 row of the table"));
}

#[test]
fn a_row_that_follows_another_is_written_by_the_statement_that_renumbers_both() {
    let table = |name: &str| {
        format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, n int, note text, at text,
                 parent_id int REFERENCES {name} ON UPDATE CASCADE);
             CREATE TRIGGER touched BEFORE UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION touched();
             INSERT INTO {name} VALUES (1, 1, 'a', '', NULL), (2, 2, 'b', '', 1), (3, 3, 'c', '', 1), (4, 4, 'd', '', 2);"
        )
    };
    let touched = "CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.at := NEW.at || ''.''; RETURN NEW; END';";
    let database = Database::new(&format!("{touched}{}{}", table("tree"), table("plain")));
    database.ok(&["add-field", "tree.added", "int", "--default", "5"]);
    database.ok(&["rename-field", "tree.note", "remark"]);
    let (shown, told) = ("SELECT id, n, remark, parent_id FROM next.tree", "SELECT id, n, note, parent_id FROM plain");
    let mut client = database.client();
    for statement in [
        "UPDATE {} SET id = id + 100",
        "UPDATE {} SET id = id - 50, n = n + 1",
        "UPDATE {} SET id = id + 7, n = n * 2 WHERE n <> 3",
        // A row that is matched twice is written once.
        "UPDATE {} AS t SET n = 77 FROM (VALUES (1), (1)) AS twice WHERE t.n > 2",
        "UPDATE {} AS t SET id = t.id + d.step FROM (VALUES (10), (10)) AS d (step)",
        "UPDATE {} AS t SET n = t.n + 1, parent_id = NULL FROM (VALUES (1), (1)) AS twice WHERE t.n > 2",
    ] {
        for name in ["next.tree", "plain"] {
            client.batch_execute(&statement.replace("{}", name)).unwrap_or_else(|e| panic!("{statement}: {e:?}"));
        }
        assert_eq!(database.rows(shown), database.rows(told), "{statement}");
    }
}

const PROFILES: &str = "CREATE TABLE profiles (id serial PRIMARY KEY, bio text NOT NULL, lang text NOT NULL DEFAULT 'en', age int);
    CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL, profile_id int UNIQUE REFERENCES profiles ON DELETE SET NULL);
    INSERT INTO profiles (bio, age) VALUES ('b1', 1), ('b2', 2); INSERT INTO users (name, profile_id) VALUES ('a', 1), ('b', NULL), ('c', 2);";

#[test]
fn a_row_without_a_partner_has_no_values_or_all_that_are_needed() {
    let shop = Database::new(PROFILES);
    let told =
        String::from_utf8(shop.run(&["inline-table", "profiles", "--into", "users", "--as", "bio=about"]).stderr)
            .unwrap();
    for note in [
        "until this is real a row of `users` has a value in all of about, lang, or none of `profiles` at all; then any of them may be NULL",
        "materializing will drop default `'en'::text` of `lang`",
    ] {
        assert!(told.contains(note), "{told}");
    }
    let mut next = shop.next();
    next.batch_execute(
        "INSERT INTO users (name) VALUES ('d'); INSERT INTO users (name, about, lang) VALUES ('e', 'x', 'de');
         UPDATE users SET about = NULL, lang = NULL, age = NULL WHERE name = 'a'; UPDATE users SET about = 'y', lang = 'fr' WHERE name = 'b'",
    )
    .unwrap();
    for sql in [
        "INSERT INTO users (name, about) VALUES ('f', 'x')",
        "UPDATE users SET age = 9 WHERE name = 'd'",
        "UPDATE users SET lang = NULL WHERE name = 'b'",
    ] {
        let error = next.batch_execute(sql).unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!((error.code().code(), error.table()), ("23502", Some("users")), "{error:?}");
        let hint = "Until 0001-inline-profiles-into-users is real a row has a value in all of `about`, `lang`, or in none of `about`, `lang`, `age`.";
        assert_eq!(error.hint(), Some(hint));
    }
    let all = "SELECT name, about, lang, age FROM users";
    let now = crate::support::rows(&mut next, all);
    assert_eq!(now, ["(a,,,)", "(b,y,fr,)", "(c,b2,en,2)", "(d,,,)", "(e,x,de,)"]);
    drop(next);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows(all), now);
    shop.take_back("0001");
    assert_eq!(
        shop.rows("SELECT name, bio, lang, age FROM next.users AS u LEFT JOIN next.profiles AS p ON p.id = profile_id"),
        now
    );
}

#[test]
fn a_number_that_was_given_by_hand_is_passed_over() {
    let shop = Database::new(PROFILES);
    shop.ok(&["inline-table", "profiles", "--into", "users"]);
    shop.client()
        .batch_execute("INSERT INTO profiles (id, bio) SELECT i, 'by hand' FROM generate_series(3, 9) AS i")
        .unwrap();
    shop.next().batch_execute("INSERT INTO users (name, bio, lang) VALUES ('d', 'x', 'y')").unwrap();
    assert_eq!(shop.rows("SELECT profile_id FROM users WHERE name = 'd'"), ["(10)"]);
}

#[test]
fn an_index_that_goes_does_not_hold_a_type() {
    let shop = Database::new(
        "CREATE TABLE t (id int PRIMARY KEY, code text, done boolean DEFAULT false); INSERT INTO t VALUES (1, '1');
         CREATE INDEX t_part ON t (id) WHERE code <> 'x'; CREATE INDEX t_expr ON t (lower(code)); CREATE INDEX t_code ON t (code)",
    );
    assert!(shop.refused(&["change-type", "t.code", "int"]).contains("drop it first"));
    shop.ok(&["drop-index", "t_part"]);
    assert!(shop.refused(&["change-type", "t.code", "int"]).contains("drop it first"));
    shop.ok(&["drop-index", "t_expr"]);
    shop.ok(&["change-type", "t.code", "int"]);
    shop.ok(&["change-type", "t.done", "int", "--using", "CASE WHEN done THEN 1 ELSE 0 END", "--back", "done = 1"]);
    shop.ok(&["materialize", "--yes"]);
    let indexes = shop.rows("SELECT indexname FROM pg_indexes WHERE tablename = 't'");
    assert_eq!(indexes, ["(t_code)", "(t_pkey)"]);
    let default = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 't'::regclass";
    assert_eq!(shop.rows(default), ["(0)"]);
}

#[test]
fn what_uses_the_type_of_rows_is_named() {
    let shop = Database::new(
        "CREATE TABLE cities (id serial PRIMARY KEY, name text NOT NULL); INSERT INTO cities (name) VALUES ('Ulm');
         CREATE TABLE orders (id int PRIMARY KEY, city_id int NOT NULL REFERENCES cities, kind text); INSERT INTO orders VALUES (1, 1, 'a');
         CREATE FUNCTION label(c cities) RETURNS text LANGUAGE sql AS 'SELECT c.name';
         CREATE FUNCTION one() RETURNS SETOF orders LANGUAGE sql AS 'SELECT * FROM orders LIMIT 1';
         CREATE TABLE log (id int PRIMARY KEY, o orders); INSERT INTO log SELECT 1, o FROM orders AS o",
    );
    let told = String::from_utf8(shop.run(&["inline-table", "cities", "--into", "orders"]).stderr).unwrap();
    let ways = [
        "function public.label(public.cities) uses the type of `cities`",
        "column o of table public.log uses the type of `orders`, which must be rewritten",
    ];
    let refused = shop.refused(&["materialize", "--yes"]);
    for way in ways {
        assert!(told.contains(&format!("warning: {way}; materializing is refused while it does")), "{told}");
        assert!(refused.contains(way), "{refused}");
    }
    shop.ok(&["undo"]);
    // What needs no rewrite goes on.
    shop.ok(&["add-field", "orders.urgent", "boolean"]);
    shop.ok(&["rename-field", "orders.kind", "sort"]);
    shop.ok(&["materialize", "--yes"]);
    shop.client().batch_execute("DROP FUNCTION label; ALTER TABLE log DROP o; DROP FUNCTION one").unwrap();
    shop.ok(&["inline-table", "cities", "--into", "orders"]);
    shop.ok(&["materialize", "--yes"]);
}

#[test]
fn a_reference_is_returned_as_a_trigger_left_it() {
    let shop = Database::new(
        "CREATE TABLE orders (id int PRIMARY KEY, city text); INSERT INTO orders VALUES (1, 'ULM');
         CREATE FUNCTION up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.city := upper(NEW.city); RETURN NEW; END';
         CREATE TRIGGER up BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION up()",
    );
    shop.ok(&["extract-table", "orders.city", "--into", "cities", "--names", "name"]);
    let mut next = shop.next();
    next.batch_execute("INSERT INTO cities (name) VALUES ('rom'), ('KIEL')").unwrap();
    for sql in [
        "INSERT INTO orders SELECT 2, id FROM cities WHERE name = 'rom' RETURNING city_id",
        "UPDATE orders SET city_id = (SELECT id FROM cities WHERE name = 'rom') WHERE id = 1 RETURNING city_id",
        "UPDATE orders SET city_id = (SELECT id FROM cities WHERE name = 'KIEL') WHERE id = 1 RETURNING city_id",
    ] {
        let returned: i32 = next.query_one(sql, &[]).unwrap().get(0);
        let last = if sql.contains("KIEL") { "KIEL" } else { "ROM" };
        let wanted: i32 = next.query_one("SELECT id FROM cities WHERE name = $1", &[&last]).unwrap().get(0);
        assert_eq!(returned, wanted, "{sql}");
    }
}

#[test]
fn rules_over_nothing_but_what_leaves_leave_with_it() {
    let shop = Database::new(
        "CREATE TABLE countries (id int PRIMARY KEY, name text, region text, UNIQUE (name, region));
         CREATE TABLE customers (id int PRIMARY KEY, country text, region text,
           FOREIGN KEY (country, region) REFERENCES countries (name, region), CHECK (country <> region));
         INSERT INTO countries VALUES (1, 'DE', 'EU'), (2, 'FR', 'EU'); INSERT INTO customers VALUES (1, 'DE', 'EU'), (2, NULL, NULL);",
    );
    let extract =
        ["extract-table", "customers.country", "region", "--into", "countries", "--names", "nam", "--names", "region"];
    assert_eq!(
        shop.refused(&extract),
        "error: cannot extract `customers.country`, `region` into `countries`
  because table `countries` has no field `nam`
hint: did you mean `name`?
"
    );
    let said = shop.run(&extract.map(|word| if word == "nam" { "name" } else { word })).stderr;
    let said = String::from_utf8(said).unwrap();
    let goes: Vec<&str> = said.lines().filter(|line| line.starts_with("note: materializing will drop")).collect();
    assert_eq!(
        goes,
        [
            "note: materializing will drop constraint `customers_check`",
            "note: materializing will drop constraint `customers_country_region_fkey`"
        ]
    );
    shop.client().batch_execute("UPDATE next.customers SET countries_id = 2 WHERE id = 1").unwrap();
    assert_eq!(shop.rows("SELECT * FROM customers"), ["(1,FR,EU)", "(2,,)"]);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT * FROM customers"), ["(1,2)", "(2,)"]);
    shop.take_back("0001");
    assert_eq!(shop.rows("SELECT id, country, region FROM next.customers"), ["(1,FR,EU)", "(2,,)"]);
}
