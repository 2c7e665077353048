//! Nobody waits for us, we wait for nobody for ever, and what stands between us and the server is noticed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postgres::Client;
use refactor::db::connect::Target;
use refactor::db::run::Patience;
use refactor::db::session::Session;
use refactor::journal::Entry;
use refactor::plan::watch::watch;
use refactor::problem::Kind;

use crate::support::{Database, tool};

const SHOP: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, tier text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, city text, n int);
    CREATE INDEX ON orders (customer_id);
    CREATE TABLE codes (id int PRIMARY KEY, label text);
    INSERT INTO codes SELECT i, 'l ' || i FROM generate_series(1, 2000) AS i;
    INSERT INTO customers SELECT i, 'c ' || i, 't ' || i % 3 FROM generate_series(1, 60) AS i;
    INSERT INTO orders SELECT i, 1 + i % 40, 'city ' || i % 40, i FROM generate_series(1, 2000) AS i;";

/// Triggers, tables, functions and views of ours.
const OURS: &str = "SELECT tgname::text FROM pg_trigger WHERE tgname ~ '^[!~]refactor' UNION ALL
    SELECT relname FROM pg_class WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('refactor', 'next')) AND relkind IN ('r', 'v') AND relname <> 'journal' UNION ALL
    SELECT proname FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'refactor')";

fn session(database: &Database) -> Session {
    let mut session = Session::new(Target::resolve(Some(&database.url())).unwrap().connect().unwrap()).unwrap();
    session.set_beside_from(0);
    session
}

fn entry(text: &str) -> Entry {
    Entry::parse("0001-step", text).unwrap()
}

fn talk(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const MOVE: &str = "[move-field]\nfield = \"orders.city\"\nto = \"customers\"\n";
const EXTRACT: &str = "[extract-table]\nfield = \"orders.city\"\ninto = \"cities\"\n";
const NUMBER: &str = "[add-surrogate-key]\nfield = \"codes.number\"\n";

#[test]
fn a_fact_that_is_broken_before_the_triggers_come_is_noticed() {
    let shop = Database::new(SHOP);
    let mut session = session(&shop);
    let place = session.place().unwrap();
    let mut deferred = session.prepare(&place, &[entry(MOVE)]).unwrap();
    shop.client().batch_execute("UPDATE orders SET city = 'another' WHERE id = 7").unwrap();
    let problem = session.defer(&place, &mut deferred, &mut |_, _| {}).unwrap_err();
    assert_eq!(problem.kind, Kind::Fact);
    assert_eq!(shop.rows(OURS), Vec::<String>::new());
    assert_eq!(shop.rows("SELECT name FROM refactor.journal"), Vec::<String>::new());
    // Old code is bound by nothing.
    shop.client().batch_execute("UPDATE orders SET city = 'a third' WHERE id = 9").unwrap();
}

/// What there is after a kill between the triggers and the views.
fn cut_off(text: &str) -> Database {
    let shop = Database::new(SHOP);
    let entry = entry(text);
    std::fs::create_dir_all(shop.files()).unwrap();
    std::fs::write(shop.files().join("0001-step.toml"), &entry.text).unwrap();
    let mut session = session(&shop);
    let place = session.place().unwrap();
    let deferred = session.prepare(&place, &[entry]).unwrap();
    let watch = watch(&deferred.version, &place.installed, "show it").unwrap().unwrap();
    session.run(&watch.plan, &place.schema.code_path(), &mut |_, _| {}, &mut |_| Ok(())).unwrap();
    shop
}

#[test]
fn after_a_kill_one_command_goes_on_or_back() {
    for text in [MOVE, EXTRACT, NUMBER] {
        let shop = cut_off(text);
        assert!(talk(&shop.run(&["status"])).contains("was cut off"), "{text}");
        shop.client()
            .batch_execute("UPDATE orders SET city = 'new' WHERE customer_id = 5; INSERT INTO codes VALUES (7777, 'x')")
            .ok();
        shop.ok(&["apply"]);
        assert!(!talk(&shop.run(&["status"])).contains("was cut off"), "{text}");
        shop.ok(&["verify"]);
        shop.ok(&["materialize", "--yes"]);

        let shop = cut_off(text);
        shop.ok(&["undo"]);
        assert_eq!(shop.rows(OURS), Vec::<String>::new(), "{text}");
    }
}

/// Writes whatever old code may write until it is told to stop.
fn write(mut client: Client, stop: &AtomicBool) -> usize {
    let mut at = 0;
    while !stop.load(Ordering::Relaxed) {
        at += 1;
        let (customer, row) = (1 + at % 40, 1 + at * 7 % 2000);
        let sql = match at % 6 {
            0 => format!("UPDATE orders SET city = 'town {at}' WHERE customer_id = {customer}"),
            1 => format!("INSERT INTO codes VALUES ({}, 'new')", 10_000 + at),
            2 => format!("UPDATE codes SET id = id + 1000000 WHERE id = {}", 10_000 + at - 1),
            3 => format!("DELETE FROM orders WHERE id = {row}"),
            4 => format!("DELETE FROM codes WHERE id = {row}"),
            _ => format!("UPDATE codes SET id = id + 100000 WHERE id = {row}"),
        };
        // A group that gets another value may be refused as a second one.
        let _ = client.batch_execute(&sql);
    }
    at
}

#[test]
fn what_others_write_meanwhile_is_there() {
    for text in [MOVE, EXTRACT, NUMBER] {
        let shop = Database::new(SHOP);
        let entry = entry(text);
        std::fs::create_dir_all(shop.files()).unwrap();
        std::fs::write(shop.files().join("0001-step.toml"), &entry.text).unwrap();
        let (over, client) = (AtomicBool::new(false), shop.client());
        let writes = std::thread::scope(|scope| {
            let at_work = scope.spawn(|| write(client, &over));
            let mut session = session(&shop);
            let place = session.place().unwrap();
            let mut deferred = session.prepare(&place, &[entry]).unwrap();
            let done = session.defer(&place, &mut deferred, &mut |_, _| {});
            over.store(true, Ordering::Relaxed);
            done.unwrap();
            at_work.join().unwrap()
        });
        assert!(writes > 0);
        let unknown = match text {
            MOVE => {
                "SELECT id FROM next.customers AS c WHERE city IS DISTINCT FROM (SELECT max(city) FROM orders AS o WHERE o.customer_id = c.id) AND EXISTS (SELECT FROM orders AS o WHERE o.customer_id = c.id)"
            }
            EXTRACT => {
                "SELECT o.id FROM orders AS o JOIN next.orders AS n ON n.id = o.id LEFT JOIN next.cities AS c ON c.id = n.city_id WHERE c.city IS DISTINCT FROM o.city"
            }
            _ => "SELECT id FROM next.codes WHERE number IS NULL",
        };
        assert_eq!(shop.rows(unknown), Vec::<String>::new(), "{text}");
        shop.ok(&["verify"]);
        shop.ok(&["materialize", "--yes"]);
    }
}

#[test]
fn who_holds_a_lock_is_named() {
    let shop = Database::new(SHOP);
    let mut holder = shop.client();
    holder
        .batch_execute("SET application_name = 'the night run'; BEGIN; UPDATE orders SET n = 0 WHERE id = 1")
        .unwrap();
    let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let talk = shop.refused(&["--lock-timeout", "300ms", "move-field", "orders.city", "customers"]);
    for part in
        [&*format!("process {pid} (application the night run, user "), "RowExclusiveLock on orders", "--lock-timeout"]
    {
        assert!(talk.contains(part), "{part}: {talk}");
    }
    assert_eq!(shop.rows(OURS), Vec::<String>::new());
    holder.batch_execute("COMMIT").unwrap();
    shop.ok(&["--lock-timeout", "5s", "move-field", "orders.city", "customers"]);
}

#[test]
fn tries_are_short_and_bounded() {
    let mut tries = Patience { within: Duration::ZERO, ..Patience::default() }.begin();
    assert!(tries.lock_timeout() <= Duration::from_millis(20));
    assert!(!tries.again());
    let mut tries = Patience { pause: Duration::ZERO, ..Patience::default() }.begin();
    for _ in 0..20 {
        assert!(tries.again());
        assert!(tries.lock_timeout() < Duration::from_millis(100));
    }
}

#[test]
fn what_others_lock_is_no_broken_law() {
    let shop = Database::new(SHOP);
    shop.ok(&["move-field", "orders.city", "customers"]);
    let mut holder = shop.client();
    holder.batch_execute("BEGIN; UPDATE customers SET name = 'x'").unwrap();
    let output = shop.run(&["verify"]);
    assert!(output.status.success(), "{}", talk(&output));
    assert!(talk(&output).contains("could not be tried"), "{}", talk(&output));
}

#[test]
fn a_server_that_says_nothing_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgresql://ann@127.0.0.1:{}/shop?connect_timeout=1", listener.local_addr().unwrap().port());
    let directory = tempfile::TempDir::new().unwrap();
    let output = tool(directory.path(), &url, &["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(talk(&output).contains("nobody answered within"), "{}", talk(&output));
}

/// A pool that drops what a connection asks for, for one connection after another.
fn forgetful_pool(database: &Database) -> String {
    let target = Target::resolve(Some(&database.url())).unwrap();
    let (address, port) = {
        let mut client = database.client();
        let row = client
            .query_one("SELECT current_setting('unix_socket_directories'), current_setting('port')", &[])
            .unwrap();
        (row.get::<_, String>(0), row.get::<_, String>(1))
    };
    let directory = address.split(',').next().unwrap().trim().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "postgresql://{}@127.0.0.1:{}/{}?sslmode=disable",
        target.user(),
        listener.local_addr().unwrap().port(),
        database.name
    );
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut server = std::os::unix::net::UnixStream::connect(format!("{directory}/.s.PGSQL.{port}")).unwrap();
            let mut length = [0; 4];
            client.read_exact(&mut length).unwrap();
            let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
            client.read_exact(&mut rest).unwrap();
            let words: Vec<&[u8]> = rest[4..].split(|b| *b == 0).collect();
            let kept = words.chunks(2).filter(|pair| pair.len() == 2 && !pair[0].is_empty() && pair[0] != b"options");
            let mut start = rest[..4].to_vec();
            for pair in kept {
                for word in pair {
                    start.extend_from_slice(word);
                    start.push(0);
                }
            }
            start.push(0);
            server.write_all(&u32::try_from(start.len() + 4).unwrap().to_be_bytes()).unwrap();
            server.write_all(&start).unwrap();
            let (mut to_client, mut from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
            std::thread::spawn(move || std::io::copy(&mut client, &mut server));
        }
    });
    url
}

#[test]
fn a_pool_that_drops_the_path_is_refused() {
    let shop = Database::new(SHOP);
    shop.ok(&["rename-field", "orders.n", "number"]);
    if std::env::var("REFACTOR_TEST_URL").is_ok() {
        return; // Its socket may be anywhere.
    }
    let url = forgetful_pool(&shop);
    for verb in [&["exec", "--", "true"][..], &["url"]] {
        let output = tool(shop.directory.path(), &url, verb);
        assert_eq!(output.status.code(), Some(1), "{}", talk(&output));
        assert!(talk(&output).contains("drops startup options"), "{}", talk(&output));
        assert_eq!(output.stdout, b"");
    }
    shop.ok(&["exec", "--", "true"]);
}

#[test]
fn odd_files_are_named_and_not_read() {
    let shop = Database::new(SHOP);
    std::fs::create_dir_all(shop.files()).unwrap();
    let odd = shop.files().join(std::ffi::OsStr::from_bytes(b"0001-\xff.toml"));
    std::fs::write(&odd, "[drop-field]\nfield = \"orders.n\"\n").unwrap();
    assert!(shop.refused(&["status"]).contains("its name is not UTF-8"));
    std::fs::remove_file(&odd).unwrap();
    let secret = shop.directory.path().join("secret");
    std::fs::write(&secret, "hunter2\n").unwrap();
    std::os::unix::fs::symlink(&secret, shop.files().join("0001-x.toml")).unwrap();
    let talk = shop.refused(&["status"]);
    assert!(talk.contains("it is no regular file") && !talk.contains("hunter2"), "{talk}");
}

#[test]
fn settings_of_the_database_change_nothing() {
    let shop = Database::new(SHOP);
    let settings = "quote_all_identifiers = on; standard_conforming_strings = off; DateStyle = 'German'; IntervalStyle = 'sql_standard'; bytea_output = 'escape'; extra_float_digits = -4";
    for setting in settings.split("; ") {
        shop.client().batch_execute(&format!("ALTER DATABASE {} SET {setting}", shop.name)).unwrap();
    }
    shop.ok(&["change-type", "orders.n", "text"]);
    shop.ok(&["extract-table", "orders.city", "--into", "cities"]);
    shop.ok(&["materialize", "--yes"]);
}

#[test]
fn a_distributed_table_is_refused_by_name() {
    let shop = Database::new(SHOP);
    shop.client()
        .batch_execute("SET allow_system_table_mods = on; CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass); INSERT INTO pg_catalog.pg_dist_partition VALUES ('orders')")
        .unwrap();
    let talk = shop.refused(&["rename-field", "orders.n", "number"]);
    assert!(talk.contains("distributed by Citus") && talk.contains("undistribute_table"), "{talk}");
    shop.ok(&["rename-field", "customers.name", "title"]);
}

#[test]
fn writers_of_the_same_values_do_not_wait_for_one_another() {
    let shop = Database::new(
        "CREATE TABLE cities (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text NOT NULL);
         CREATE TABLE orders (id int PRIMARY KEY, city_id int NOT NULL REFERENCES cities);
         CREATE INDEX ON orders (city_id); CREATE INDEX ON cities (name);
         INSERT INTO cities (name) VALUES ('Ulm'), ('Bonn'), ('Jena');
         INSERT INTO orders SELECT i, 1 + i % 3 FROM generate_series(1, 30) AS i;",
    );
    shop.ok(&["inline-table", "cities", "--into", "orders", "--as", "name=city"]);
    let (mut one, mut other) = (shop.next(), shop.next());
    one.batch_execute("BEGIN").unwrap();
    other.batch_execute("SET lock_timeout = '2s'; BEGIN").unwrap();
    for (id, city) in [(3, "Bonn"), (4, "Jena"), (5, "Ulm")] {
        one.execute("UPDATE orders SET city = $2 WHERE id = $1", &[&id, &city]).unwrap();
    }
    for (id, city) in [(8, "Ulm"), (7, "Jena"), (6, "Bonn")] {
        other.execute("UPDATE orders SET city = $2 WHERE id = $1", &[&id, &city]).unwrap();
    }
    other.batch_execute("COMMIT").unwrap();
    one.batch_execute("COMMIT").unwrap();
    assert_eq!(
        shop.rows("SELECT id, city FROM next.orders WHERE id BETWEEN 3 AND 8"),
        ["(3,Bonn)", "(4,Jena)", "(5,Ulm)", "(6,Bonn)", "(7,Jena)", "(8,Ulm)"]
    );
    assert_eq!(shop.rows("SELECT name FROM cities"), ["(Bonn)", "(Jena)", "(Ulm)"]);
}

/// Whether somebody waits for a lock.
fn is_waiting(client: &mut Client) -> bool {
    let waits = "SELECT EXISTS (SELECT FROM pg_locks
        WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    client.query_one(waits, &[]).unwrap().get(0)
}

/// Starts a command, and waits until it waits for a lock, as the one before does no more.
fn waiting(shop: &Database, holder: &mut Client, words: &[&str]) -> Child {
    while is_waiting(holder) {
        std::thread::yield_now();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_refactor"))
        .args(words)
        .current_dir(shop.directory.path())
        .env("DATABASE_URL", shop.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !is_waiting(holder) {
        assert_eq!(child.try_wait().unwrap(), None, "{words:?} did not wait");
        std::thread::yield_now();
    }
    child
}

const HOLD: &str = "BEGIN; LOCK TABLE orders, customers IN ACCESS EXCLUSIVE MODE";

#[test]
fn whoever_interrupts_is_told_what_is_left() {
    let shop = Database::new(SHOP);
    shop.ok(&["add-field", "customers.rank", "int"]);
    let mut holder = shop.client();
    holder.batch_execute(HOLD).unwrap();
    for (words, left) in [
        (&["move-field", "orders.city", "customers"][..], "`refactor apply`"),
        (&["materialize", "--yes"], "`refactor status`"),
        (&["undo", "--yes"], "`refactor undo`"),
    ] {
        let child = waiting(&shop, &mut holder, words);
        let process = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{words:?}");
        let talk = talk(&output);
        assert!(talk.contains("interrupted: ") && talk.contains(left), "{words:?}: {talk}");
    }
    holder.batch_execute("COMMIT").unwrap();
    shop.ok(&["undo", "--all", "--yes"]);
    assert_eq!(shop.rows(OURS), Vec::<String>::new());
}

#[test]
fn a_run_is_ended_from_another_terminal() {
    let shop = Database::new(SHOP);
    assert_eq!(talk(&shop.run(&["cancel"])), "no run is at work\n");
    shop.ok(&["add-field", "customers.rank", "int", "--default", "7"]);
    let mut holder = shop.client();
    holder.batch_execute(HOLD).unwrap();
    let child = waiting(&shop, &mut holder, &["materialize", "--yes", "--lock-timeout", "5min"]);
    let said = talk(&shop.run(&["cancel"]));
    assert!(said.contains("ended: process ") && said.contains("`refactor materialize` does the rest"), "{said}");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(1));
    assert_eq!(talk(&shop.run(&["cancel"])), "no run is at work\n");
    holder.batch_execute("COMMIT").unwrap();
    assert_eq!(shop.rows("SELECT DISTINCT rank FROM next.customers"), ["(7)"]);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT DISTINCT rank FROM customers"), ["(7)"]);
}
