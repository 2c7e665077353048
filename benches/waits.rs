//! How long others wait while a refactoring is declared, and while it is made real: one session reads 200 times a second, one
//! writes 50 times, both on the table that changes.
//!
//! `cargo bench --bench waits -- [ROWS] [VERB…]` prints a table: for each command the time of each phase and the longest wait of anybody
//! in it, in milliseconds; last, how long nobody waits for when nothing happens.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use refactor::db::embedded::Server;

const TABLES: &str = "
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, tier int);
CREATE TABLE t (id int PRIMARY KEY, customer_id int NOT NULL, v int, w text, code varchar(50), kind text, j jsonb, paid boolean, pad text);
INSERT INTO customers SELECT i, 'name ' || i, i % 5 FROM generate_series(1, 1000) AS i;";

const DRESS: &str =
    "CREATE INDEX ON t (customer_id); ALTER TABLE t ADD CONSTRAINT t_customer FOREIGN KEY (customer_id) REFERENCES customers;
VACUUM ANALYZE t; ANALYZE customers;";

const COMMANDS: [&str; 22] = [
    "rename-field t.v amount",
    "set-default t.v 7",
    "drop-not-null t.customer_id",
    "set-not-null t.w",
    "add-check t 'v >= 0'",
    "add-unique t w",
    "add-foreign-key t v --references customers",
    "create-index t w v",
    "change-type t.code 'varchar(100)'",
    "change-type t.code text",
    "add-field t.extra boolean --default true",
    "add-field t.extra jsonb --default \"'{}'\"",
    "add-field t.extra text --as \"w || '!'\"",
    "drop-field t.pad",
    "rename-table t things",
    "move-field customers.tier t",
    "change-type t.v bigint",
    "extract-table t.kind --into kinds --names name",
    "split-rows t --where 'v > 500' --into big",
    "soft-delete t --field gone --type boolean --mark true",
    "code-to-flags t.kind --map k0=is_0,k1=is_1,k2=is_2,k3=is_3",
    "reorder-fields t w",
];

/// Somebody who works, and the longest time that one statement took, in microseconds.
fn worker(
    url: String,
    every: Duration,
    sql: &'static str,
    longest: &Arc<AtomicU64>,
    stop: &Arc<AtomicBool>,
    rows: i32,
) -> std::thread::JoinHandle<()> {
    let (longest, stop) = (Arc::clone(longest), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut client = Client::connect(&url, NoTls).unwrap();
        let mut at = 1_i64;
        while !stop.load(Ordering::Relaxed) {
            at = (at * 7919 + 13) % i64::from(rows) + 1;
            let start = Instant::now();
            // What has another name by then is no wait.
            let _ = client.batch_execute(&sql.replace("$1", &at.to_string()));
            longest.fetch_max(u64::try_from(start.elapsed().as_micros()).unwrap(), Ordering::Relaxed);
            std::thread::sleep(every.saturating_sub(start.elapsed()));
        }
    })
}

#[allow(clippy::cast_precision_loss)] // for people
fn taken(longest: &AtomicU64) -> f64 {
    longest.swap(0, Ordering::Relaxed) as f64 / 1000.0
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let rows: i32 = arguments.first().and_then(|a| a.parse().ok()).unwrap_or(500_000);
    let wanted = arguments.get(1..).unwrap_or_default();
    let server = Server::start().unwrap();
    let client = |database: &str| Client::connect(&server.url(database), NoTls).unwrap();
    client("postgres").batch_execute("CREATE DATABASE data").unwrap();
    let mut data = client("data");
    data.batch_execute(TABLES).unwrap();
    data.batch_execute(&format!(
        "INSERT INTO t SELECT i, 1 + i % 1000, 1 + i % 1000, 'w' || i, 'c' || i % 99, 'k' || i % 4, '{{}}', i % 2 = 0, repeat('x', 60)
         FROM generate_series(1, {rows}) AS i"
    ))
    .unwrap();
    for line in DRESS.split(';') {
        data.batch_execute(line).unwrap();
    }
    let size: String = data.query_one("SELECT pg_size_pretty(pg_total_relation_size('t'))", &[]).unwrap().get(0);
    drop(data);
    println!("{rows} rows, {size}; milliseconds\n");
    println!("{:64} {:>9} {:>9} {:>11} {:>9} {:>9}", "", "declare", "wait", "materialize", "reader", "writer");
    for command in COMMANDS.iter().filter(|c| wanted.is_empty() || wanted.iter().any(|w| c.starts_with(w.as_str()))) {
        let mut postgres = client("postgres");
        postgres.batch_execute("DROP DATABASE IF EXISTS work WITH (FORCE)").unwrap();
        postgres.batch_execute("CREATE DATABASE work TEMPLATE data").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (read, written) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let reading = "SELECT count(*) FROM t WHERE id = $1";
        let writing = "UPDATE t SET paid = NOT paid WHERE id = $1";
        let workers = [
            worker(server.url("work"), Duration::from_millis(5), reading, &read, &stop, rows),
            worker(server.url("work"), Duration::from_millis(20), writing, &written, &stop, rows),
        ];
        std::thread::sleep(Duration::from_millis(500));
        let (idle_read, idle_written) = (taken(&read), taken(&written));
        let run = |line: &str| {
            let start = Instant::now();
            let output = Command::new("sh")
                .args(["-c", &format!("\"$REFACTOR\" -q {line}")])
                .current_dir(directory.path())
                .env("REFACTOR", env!("CARGO_BIN_EXE_refactor"))
                .env("DATABASE_URL", server.url("work"))
                .output()
                .unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            start.elapsed().as_secs_f64() * 1000.0
        };
        let declare = run(command);
        let declaring = taken(&read).max(taken(&written));
        let materialize = run("materialize --yes");
        let (reader, writer) = (taken(&read), taken(&written));
        println!(
            "{command:64} {declare:9.0} {declaring:9.1} {materialize:11.0} {reader:9.1} {writer:9.1}   (idle {idle_read:.1}, {idle_written:.1})"
        );
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().unwrap();
        }
    }
}
