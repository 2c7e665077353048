//! One move onto a large table, made real in every way there is; ratios to the least that any way could take.
//!
//! `cargo bench --bench materialize -- [ROWS] [DIRECTORY]`. In DIRECTORY a server with PostgreSQL's own settings
//! (`fsync` on) is started; without it, a throw-away one.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::Path;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use refactor::db::embedded::Server;
use refactor::db::session::Session;
use refactor::journal::Entry;
use refactor::plan::materialize::Options;

const TABLES: &str = "
CREATE TABLE customers (
  id int PRIMARY KEY, name text NOT NULL, email text NOT NULL, country text, segment text, credit_limit numeric(10, 2),
  created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, active boolean NOT NULL, score int, note text, ref uuid
);
CREATE TABLE orders (
  id int, customer_id int, placed_at timestamptz, status text, tier text, total numeric(10, 2), tax numeric(10, 2),
  currency text, quantity int, paid boolean, note text, ref bigint
);";

const ORDERS_DRESS: &str = "
ALTER TABLE orders ALTER customer_id SET NOT NULL, ALTER placed_at SET NOT NULL, ALTER status SET NOT NULL,
  ALTER total SET NOT NULL, ALTER currency SET NOT NULL, ADD CONSTRAINT positive CHECK (total >= 0);
ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id);
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX orders_placed ON orders (placed_at);
CREATE INDEX orders_status ON orders (status, total);
ALTER TABLE orders ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer_id) REFERENCES customers;";

fn rows(rows: u64) -> String {
    let customers = (rows / 10).max(1);
    format!(
        "INSERT INTO customers SELECT i, 'name ' || i, 'mail' || i || '@example.org', 'C' || i % 50, 'S' || i % 7, i % 1000,
           now(), now(), i % 3 = 0, i % 100, repeat('x', i % 40), md5(i::text)::uuid FROM generate_series(1, {customers}) AS i;
         INSERT INTO orders SELECT i, 1 + (i::bigint * 7919 % {customers})::int, now() - i * interval '1 second', 'st' || i % 6,
           't' || (i::bigint * 7919 % {customers}) % 9, i % 5000, i % 500, 'EUR', i % 9, i % 2 = 0, repeat('y', i % 30), i
         FROM generate_series(1, {rows}) AS i;"
    )
}

const ENTRY: (&str, &str) =
    ("0001-move-credit_limit-to-orders", "[move-field]\nfield = \"customers.credit_limit\"\nto = \"orders\"\n");

/// As a person would write it who knows what is fast.
const FLOOR: &str = "
SET LOCAL work_mem = '256MB'; SET LOCAL maintenance_work_mem = '512MB'; SET LOCAL max_parallel_maintenance_workers = 4;
CREATE TABLE new_orders AS SELECT o.*, c.credit_limit FROM orders AS o LEFT JOIN customers AS c ON c.id = o.customer_id;
DROP TABLE orders;
ALTER TABLE new_orders RENAME TO orders;";

const UPDATE: &str = "
ALTER TABLE orders ADD COLUMN credit_limit numeric(10, 2);
UPDATE orders AS o SET credit_limit = c.credit_limit FROM customers AS c WHERE c.id = o.customer_id;
ALTER TABLE customers DROP COLUMN credit_limit;";

struct Bench {
    server: Server,
}

impl Bench {
    fn client(&self, database: &str) -> Client {
        Client::connect(&self.server.url(database), NoTls).unwrap()
    }

    /// A fresh copy of the data, nothing of it dirty.
    fn fresh(&self) {
        let mut client = self.client("postgres");
        client.batch_execute("DROP DATABASE IF EXISTS work WITH (FORCE)").unwrap();
        let version: i32 = client.query_one("SELECT current_setting('server_version_num')::int", &[]).unwrap().get(0);
        let how = if version >= 150_000 { " STRATEGY file_copy" } else { "" };
        client.batch_execute(&format!("CREATE DATABASE work TEMPLATE data{how}")).unwrap();
        client.batch_execute("CHECKPOINT").unwrap();
    }

    /// Wall time and bytes of WAL.
    fn measure(&self, work: impl FnOnce()) -> (Duration, i64) {
        let mut client = self.client("postgres");
        let mut at = || -> String { client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).unwrap().get(0) };
        let before = at();
        let start = Instant::now();
        work();
        let time = start.elapsed();
        let after = at();
        let query = "SELECT pg_wal_lsn_diff($1::text::pg_lsn, $2::text::pg_lsn)::bigint";
        (time, client.query_one(query, &[&after, &before]).unwrap().get(0))
    }

    fn plain(&self, sql: &[&str]) -> (Duration, i64) {
        self.fresh();
        let mut client = self.client("work");
        self.measure(|| {
            let mut transaction = client.transaction().unwrap();
            for text in sql {
                transaction.batch_execute(text).unwrap();
            }
            transaction.commit().unwrap();
            client.batch_execute("ANALYZE orders").unwrap();
        })
    }

    /// The tool; `steps` also prints where the time went.
    fn tool(&self, rebuild_from: i64, steps: bool) -> (Duration, i64) {
        self.fresh();
        let mut session = Session::new(self.client("work")).unwrap();
        let place = session.place().unwrap();
        let entry = Entry::parse(ENTRY.0, ENTRY.1).unwrap();
        let mut deferred = session.prepare(&place, &[entry]).unwrap();
        session.defer(&place, &mut deferred, &mut |_, _| {}).unwrap();
        let mut marks: Vec<(String, Instant)> = Vec::new();
        let mut ended = Instant::now();
        let measured = self.measure(|| {
            let place = session.place().unwrap();
            marks.push(("prepare: facts and losses".into(), Instant::now()));
            let work = session.prepare_materialize(&place, 1, &Options { rebuild_from, ..Options::default() }).unwrap();
            let mut seen = |_: usize, sentence: &str| marks.push((sentence.to_owned(), Instant::now()));
            session.materialize(&place, &work, &mut seen).unwrap();
            ended = Instant::now();
        });
        if steps {
            let ends = marks.iter().skip(1).map(|(_, at)| *at).chain([ended]);
            for ((sentence, start), end) in marks.iter().zip(ends) {
                let time = (end - *start).as_secs_f64();
                if time > measured.0.as_secs_f64() / 50.0 {
                    println!("    {time:6.2} s  {sentence}, and what follows");
                }
            }
        }
        measured
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let count: u64 = arguments.first().map_or(200_000, |n| n.parse().unwrap());
    let server = arguments.get(1).map_or_else(Server::start, |dir| Server::start_in(Path::new(dir))).unwrap();
    let bench = Bench { server };
    bench.client("postgres").batch_execute("DROP DATABASE IF EXISTS data").unwrap();
    bench.client("postgres").batch_execute("CREATE DATABASE data").unwrap();
    let mut client = bench.client("data");
    client.batch_execute(TABLES).unwrap();
    client.batch_execute(&rows(count)).unwrap();
    client.batch_execute(ORDERS_DRESS).unwrap();
    client.batch_execute("VACUUM ANALYZE").unwrap();
    drop(client);
    println!("PostgreSQL {}, {count} rows, customers.credit_limit → orders", bench.server.version());
    let floor = bench.plain(&[FLOOR, ORDERS_DRESS]);
    let told = |name: &str, (time, wal): (Duration, i64)| {
        #[allow(clippy::cast_precision_loss)] // to be read by people
        let (seconds, megabytes) = (time.as_secs_f64(), wal as f64 / 1e6);
        println!("{name:40} {seconds:7.2} s {:5.2} ×   {megabytes:7.0} MB WAL", seconds / floor.0.as_secs_f64());
    };
    told("CREATE TABLE AS, indexes, constraints", floor);
    told("refactor, rebuilt", bench.tool(0, true));
    told("refactor, in place", bench.tool(i64::MAX, false));
    told("ADD, UPDATE … FROM, DROP", bench.plain(&[UPDATE]));
    told("CREATE TABLE AS, indexes, constraints", bench.plain(&[FLOOR, ORDERS_DRESS]));
    told("refactor, rebuilt", bench.tool(0, true));
}
