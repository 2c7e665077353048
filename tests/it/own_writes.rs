//! What one statement does to a row by several ways: twice itself, by triggers that it fires, through two views of one row.
//! The real tables tell what is right.

use postgres::{Client, SimpleQueryMessage};

use crate::support::{Database, rows};

const ITEMS: &str = "
    CREATE TABLE item (id int PRIMARY KEY, list int, pos int, kind text, a text, b text, v int DEFAULT 0, n int DEFAULT 0,
      gone boolean NOT NULL DEFAULT false);
    CREATE TABLE item2 (id int PRIMARY KEY, list int, pos int);
    INSERT INTO item (id, list, pos, kind, a, b) SELECT i, 1, i, 'k', 'a', 'b' FROM generate_series(1, 4) AS i;
    CREATE FUNCTION closes_gap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      UPDATE public.item SET pos = pos - 1 WHERE list = OLD.list AND pos > OLD.pos; RETURN NULL; END $$;
    CREATE TRIGGER closes_gap AFTER DELETE ON item FOR EACH ROW EXECUTE FUNCTION closes_gap();
    CREATE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      UPDATE public.item SET n = n + 1 WHERE list = NEW.list AND id <> NEW.id; RETURN NULL; END $$;
    CREATE TRIGGER counts AFTER UPDATE OF v ON item FOR EACH ROW EXECUTE FUNCTION counts();";

/// What is refactored, and the table whose rows are then written.
const WRITTEN: &[(&str, &[&[&str]])] = &[
    (
        "item",
        &[&[
            "merge-fields",
            "item.a",
            "b",
            "--into",
            "ab",
            "--by",
            "a||'-'||b",
            "--back",
            "split_part(ab,'-',1)",
            "--back",
            "split_part(ab,'-',2)",
        ]],
    ),
    ("item", &[&["extract-table", "item.kind", "--into", "kinds", "--names", "name"]]),
    ("item", &[&["change-type", "item.kind", "varchar(9)"]]),
    ("item", &[&["set-not-null", "item.a"]]),
    ("item", &[&["split-table", "item", "a", "b", "--into", "ab"]]),
    ("item", &[&["add-field", "item.z", "int", "--default", "3"]]),
    ("item", &[&["add-field", "item.x", "int"], &["add-field", "item.y", "int"], &["add-field", "item.z", "int"]]),
    ("item", &[&["hard-delete", "item.gone"]]),
    ("item", &[&["union-tables", "item", "item2", "--into", "item", "--discriminator", "dd", "--values", "x,y"]]),
];

const WRITES: &[&str] = &[
    "UPDATE {t} SET v = v + 10",
    "UPDATE {t} SET v = v + 10 FROM (SELECT id AS i FROM {t} ORDER BY id DESC OFFSET 0) AS x WHERE x.i = {t}.id",
    "UPDATE {t} SET v = v + x.w FROM (VALUES (1, 5), (2, 6), (1, 5), (2, 6)) AS x (i, w) WHERE x.i = {t}.id",
    "DELETE FROM {t} WHERE id IN (1, 2, 3)",
    "WITH w AS (UPDATE {t} SET v = 7 WHERE id = 1 RETURNING list) UPDATE {t} SET v = 8 FROM w WHERE {t}.list = w.list AND id > 1",
];

/// The count of a write, or its SQLSTATE, and what it leaves; it is taken back.
fn outcome(client: &mut Client, write: &str, show: &str) -> (String, Vec<String>) {
    client.batch_execute("BEGIN").unwrap();
    let done = match client.simple_query(write) {
        Ok(messages) => {
            let counts = messages
                .iter()
                .filter_map(|m| if let SimpleQueryMessage::CommandComplete(n) = m { Some(*n) } else { None });
            (counts.last().unwrap_or_default().to_string(), rows(client, show))
        }
        Err(error) => (error.code().map(|c| c.code().to_owned()).unwrap_or_default(), Vec::new()),
    };
    client.batch_execute("ROLLBACK").unwrap();
    done
}

/// Writes through the views and to the tables of the same refactorings, once real.
fn as_in_tables(sql: &str, commands: &[&[&str]], writes: &[String], show: &str) {
    let database = Database::new(sql);
    commands.iter().for_each(|command| drop(database.ok(command)));
    let mut next = database.next();
    let through: Vec<_> = writes.iter().map(|write| outcome(&mut next, write, show)).collect();
    drop(next);
    database.ok(&["materialize", "--yes"]);
    let mut real = database.client();
    for (write, through) in writes.iter().zip(through) {
        assert_eq!(through, outcome(&mut real, write, show), "{commands:?}: {write}");
    }
}

#[test]
fn rows_that_a_trigger_has_written_are_written_as_well() {
    for (table, commands) in WRITTEN {
        let writes: Vec<String> = WRITES.iter().map(|w| w.replace("{t}", table)).collect();
        as_in_tables(ITEMS, commands, &writes, &format!("SELECT id, pos, v, n FROM {table}"));
    }
}

#[test]
fn rows_that_are_only_marked_go_although_a_trigger_has_written_them() {
    let database = Database::new(ITEMS);
    database.ok(&["soft-delete", "item"]);
    let marks = "CREATE FUNCTION after_mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF pg_trigger_depth() < 3 THEN UPDATE public.item SET n = n + 1 WHERE id <> NEW.id; END IF; RETURN NULL; END $$;
        CREATE TRIGGER after_mark AFTER UPDATE ON item FOR EACH ROW EXECUTE FUNCTION after_mark();";
    database.client().batch_execute(marks).unwrap();
    assert_eq!(database.next().execute("DELETE FROM item WHERE id < 4", &[]).unwrap(), 3);
    assert_eq!(database.rows("SELECT id FROM next.item"), ["(4)"]);
}

#[test]
fn a_row_is_written_through_two_views_by_one_statement() {
    let sql = "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, bio text, n int); INSERT INTO users VALUES (1, 'Ann', 'x', 1), (2, 'Ben', 'y', 2);";
    let writes = [
        "WITH w AS (UPDATE profiles SET bio = 'new' WHERE id = 1 RETURNING id) UPDATE users SET name = 'Anna' FROM w WHERE users.id = w.id",
        "WITH w AS (UPDATE users SET name = 'Bea' WHERE id = 1 RETURNING id) UPDATE profiles SET bio = 'bee' FROM w WHERE profiles.id = w.id",
        "WITH w AS (DELETE FROM profiles WHERE id = 1 RETURNING id) DELETE FROM users USING w WHERE users.id = w.id",
        "WITH w AS (DELETE FROM profiles RETURNING id) UPDATE users SET name = name || w.id FROM w WHERE users.id = w.id",
    ];
    let show = "SELECT id, name, n, bio FROM users LEFT JOIN profiles USING (id)";
    as_in_tables(sql, &[&["split-table", "users", "bio", "--into", "profiles"]], &writes.map(str::to_owned), show);
}

#[test]
fn what_a_trigger_changes_too_is_not_lost_silently() {
    let database = Database::new(
        "CREATE TABLE item (id int PRIMARY KEY, pos int, code text); INSERT INTO item SELECT i, i, 'c' FROM generate_series(1, 3) AS i;
         CREATE FUNCTION moves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF pg_trigger_depth() < 3 THEN
           UPDATE public.item SET pos = pos + 100 WHERE id > NEW.id; END IF; RETURN NULL; END $$;
         CREATE TRIGGER moves AFTER UPDATE OF pos ON item FOR EACH ROW EXECUTE FUNCTION moves();",
    );
    database.ok(&["change-type", "item.code", "varchar(9)"]);
    let error = database.next().batch_execute("UPDATE item SET pos = pos * 2").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!((error.code().code(), error.column()), ("27000", Some("pos")));
    assert_eq!(database.rows("SELECT pos FROM item"), ["(1)", "(2)", "(3)"]);
}

#[test]
fn many_rows_are_remembered() {
    let database = Database::new(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 5000) AS i;",
    );
    database.ok(&["add-field", "t.z", "int"]);
    let twice = "UPDATE t SET v = v + 1, z = 1 FROM (SELECT i % 5000 + 1 AS k FROM generate_series(1, 10000) AS i OFFSET 0) AS x WHERE t.id = x.k";
    assert_eq!(database.next().execute(twice, &[]).unwrap(), 5000);
    assert_eq!(database.rows("SELECT v, z, count(*) FROM next.t GROUP BY 1, 2"), ["(1,1,5000)"]);
}

const CITIES: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, city text, total int); CREATE INDEX ON orders (customer_id);
    INSERT INTO customers VALUES (1, 'Ann'), (2, 'Ben'); INSERT INTO orders VALUES (1, 1, 'Ulm', 1), (2, 1, 'Ulm', 2), (4, 2, 'Bonn', 3);";

#[test]
fn a_row_without_a_value_takes_none_from_rows_that_come_to_it() {
    let database = Database::new(CITIES);
    database.ok(&["move-field", "orders.city", "customers"]);
    database.client().batch_execute("INSERT INTO customers VALUES (3, 'Cem'), (4, 'Dora')").unwrap();
    database.next().batch_execute("UPDATE orders SET customer_id = 4 WHERE id % 2 = 0").unwrap();
    assert_eq!(database.rows("SELECT id, city FROM next.customers"), ["(1,Ulm)", "(2,Bonn)", "(3,)", "(4,)"]);
    // Old code makes a row and moves others to it, with their value.
    database.client().batch_execute("UPDATE orders SET customer_id = 3 WHERE id = 1").unwrap();
    assert_eq!(database.rows("SELECT id, city FROM next.customers WHERE id = 3"), ["(3,Ulm)"]);
}

#[test]
fn rows_follow_theirs_to_the_keys_of_others() {
    let sql = "CREATE TABLE customers (id int PRIMARY KEY, name text, city text);
        CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers ON UPDATE CASCADE, n int);";
    let down = "INSERT INTO customers VALUES (3, 'c', 'w'), (2, 'b', 'v'), (1, 'a', 'u'); INSERT INTO orders VALUES (1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 1, 2);";
    let database = Database::new(&format!("{sql} CREATE INDEX ON orders (customer_id); {down}"));
    database.ok(&["move-field", "customers.city", "orders"]);
    let mut next = database.next();
    next.batch_execute("UPDATE orders SET city = 'own' WHERE id = 4").unwrap();
    let shown = ["(1,u)", "(2,v)", "(3,w)", "(4,own)"];
    next.batch_execute("UPDATE customers SET id = id + 1").unwrap();
    assert_eq!(database.rows("SELECT id, city FROM next.orders"), shown);
    assert_eq!(database.rows("SELECT id, customer_id FROM orders"), ["(1,2)", "(2,3)", "(3,4)", "(4,2)"]);
    database.client().batch_execute("UPDATE customers SET id = id + 1").unwrap();
    assert_eq!(database.rows("SELECT id, city FROM next.orders"), shown);

    let sql = "CREATE TABLE customers (id int PRIMARY KEY, name text); CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers ON UPDATE CASCADE, city text);
        CREATE INDEX ON orders (customer_id); INSERT INTO customers VALUES (3, 'c'), (2, 'b'), (1, 'a'); INSERT INTO orders VALUES (1, 1, 'u'), (2, 2, 'v'), (3, 3, 'w');";
    let database = Database::new(sql);
    database.ok(&["move-field", "orders.city", "customers"]);
    database.client().batch_execute("UPDATE customers SET id = id + 1").unwrap();
    assert_eq!(database.rows("SELECT name, city FROM next.customers"), ["(a,u)", "(b,v)", "(c,w)"]);
    database.next().batch_execute("UPDATE customers SET id = id + 1").unwrap();
    assert_eq!(database.rows("SELECT name, city FROM next.customers"), ["(a,u)", "(b,v)", "(c,w)"]);
}

/// Whether a session that has to wait for a row that `writer` writes sees what it reads as it is, or is told.
fn waits(database: &Database, writer: &str, reader: &str) -> Result<String, String> {
    let (mut first, mut second) = (database.next(), database.next());
    first.batch_execute("BEGIN").unwrap();
    first.batch_execute(writer).unwrap();
    let waiting: i32 = second.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    std::thread::scope(|scope| {
        let read = scope.spawn(move || second.simple_query(reader));
        let blocked = format!("SELECT cardinality(pg_blocking_pids({waiting}))");
        while first.query_one(&blocked, &[]).unwrap().get::<_, i32>(0) == 0 {}
        first.batch_execute("COMMIT").unwrap();
        match read.join().unwrap() {
            Ok(messages) => Ok(messages
                .iter()
                .find_map(|m| if let SimpleQueryMessage::Row(row) = m { row.get(0).map(str::to_owned) } else { None })
                .unwrap_or_default()),
            Err(error) => Err(error.code().unwrap().code().to_owned()),
        }
    })
}

#[test]
fn who_locks_a_row_sees_it_as_it_is_or_is_told() {
    let sql = "CREATE TABLE item (id int PRIMARY KEY, name text); CREATE TABLE entry (id int PRIMARY KEY, item_id int NOT NULL REFERENCES item, x int);
        CREATE INDEX ON entry (item_id); INSERT INTO item VALUES (1, 'a'); INSERT INTO entry VALUES (1, 1, 100);";
    for command in [&["move-field", "entry.x", "item"][..], &["add-field", "item.x", "int", "--default", "100"]] {
        let database = Database::new(sql);
        database.ok(command);
        let write = "UPDATE item SET x = 110 WHERE id = 1";
        assert_eq!(
            waits(&database, write, "SELECT x FROM item WHERE id = 1 FOR UPDATE"),
            Err("40001".into()),
            "{command:?}"
        );
        // What lives in the table itself is looked at again, as in a table.
        let name = "UPDATE item SET name = 'b' WHERE id = 1";
        assert_eq!(
            waits(&database, name, "SELECT name FROM item WHERE id = 1 FOR UPDATE"),
            Ok("b".into()),
            "{command:?}"
        );
        let mut next = database.next();
        assert_eq!(rows(&mut next, "SELECT x FROM item WHERE x = 110 FOR UPDATE"), ["(110)"]);
    }
}

#[test]
fn a_lock_that_cannot_be_taken_is_refused() {
    let sql = "CREATE TABLE a (id int PRIMARY KEY, x int, y int); CREATE TABLE b (id int PRIMARY KEY, x int); CREATE TABLE l (a int PRIMARY KEY REFERENCES a, n int);
        INSERT INTO a VALUES (1, 100, 5); INSERT INTO b VALUES (2, 5); INSERT INTO l VALUES (1, 1);";
    let unions: [(&str, &[&str]); 2] = [
        ("item", &["union-tables", "a", "b", "--into", "item", "--discriminator", "kind"]),
        ("ab", &["unpivot", "a", "x", "y", "--into", "ab", "--from", "a_id"]),
    ];
    for (table, command) in unions {
        let database = Database::new(sql);
        database.ok(command);
        let mut next = database.next();
        for lock in ["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE", "UPDATE NOWAIT", "UPDATE SKIP LOCKED"] {
            let error = next.simple_query(&format!("SELECT * FROM {table} FOR {lock}")).unwrap_err();
            assert_eq!(error.code().unwrap().code(), "0A000", "{table} {lock}");
        }
        // Nothing of that is asked when it is only read.
        assert_eq!(rows(&mut next, &format!("SELECT count(*) FROM l LEFT JOIN {table} AS t ON true")), ["(2)"]);
    }
}

#[test]
fn a_field_that_is_never_null_is_not_null_in_any_of_several_tables() {
    let database = Database::new(
        "CREATE TABLE cars (id int PRIMARY KEY, doors int NOT NULL DEFAULT 4); CREATE TABLE bikes (id int PRIMARY KEY, gears int)",
    );
    database.ok(&[
        "union-tables",
        "cars",
        "bikes",
        "--into",
        "vehicles",
        "--discriminator",
        "kind",
        "--values",
        "car,bike",
    ]);
    let error =
        database.next().batch_execute("INSERT INTO vehicles (id, kind, doors) VALUES (1, 'bike', NULL)").unwrap_err();
    assert_eq!((error.code().unwrap().code(), error.as_db_error().unwrap().column()), ("23502", Some("doors")));
    database.next().batch_execute("INSERT INTO vehicles (id, kind) VALUES (1, 'bike')").unwrap();
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows("SELECT id, doors FROM vehicles"), ["(1,4)"]);
}

#[test]
fn an_older_snapshot_breaks_no_fact() {
    let before = "CREATE TABLE customers (id int PRIMARY KEY, name text); CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, city text);
        CREATE INDEX ON orders (customer_id); INSERT INTO customers VALUES (1, 'Ann'), (2, 'Ben'); INSERT INTO orders VALUES (1, 1, 'Ulm');";
    let pairs = [
        ("UPDATE next.customers SET city = 'Rom' WHERE id = 2", "INSERT INTO next.orders VALUES (2, 2)"),
        ("INSERT INTO next.orders VALUES (2, 2)", "UPDATE next.customers SET city = 'Rom' WHERE id = 2"),
        ("INSERT INTO public.orders VALUES (2, 2, 'Ulm')", "INSERT INTO public.orders VALUES (3, 2, 'Rom')"),
        ("INSERT INTO public.orders VALUES (2, 1, 'Ulm')", "UPDATE next.customers SET city = 'Rom' WHERE id = 1"),
        (
            "INSERT INTO public.orders VALUES (2, 1, 'Ulm')",
            "UPDATE public.orders SET city = 'Rom' WHERE customer_id = 1",
        ),
    ];
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        for (newer, older) in pairs {
            let database = Database::new(before);
            database.ok(&["move-field", "orders.city", "customers"]);
            let (mut first, mut second) = (database.client(), database.client());
            first.batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; SELECT 1 FROM customers")).unwrap();
            second.batch_execute(newer).unwrap();
            let error = first.batch_execute(&format!("{older}; COMMIT")).unwrap_err();
            assert_eq!(error.code().unwrap().code(), "40001", "{isolation}: {newer}; {older}");
            first.batch_execute("ROLLBACK").unwrap();
            // A retry sees it, and does it or is refused for good.
            let retried = first.batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; {older}; COMMIT"));
            if let Err(error) = retried {
                assert_eq!(error.code().unwrap().code(), "23000", "{isolation}: {newer}; {older}");
            }
        }
    }
}
