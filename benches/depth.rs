//! What many pending refactorings cost: one table with up to thirty, and twenty tables with up to 180.
//!
//! `taskset -c 0 cargo bench --bench depth -- [ROWS]`: on one processor, since waking another one takes longer than a
//! write. Everything is a ratio within one run: reads and writes to those of the same table with all of them made real, on
//! the same server and through prepared statements; declaring to declaring the first refactoring.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use refactor::db::embedded::Server;
use refactor::db::session::Session;
use refactor::generate;
use refactor::journal::Entry;
use refactor::plan::materialize::Options;

const DEPTHS: [usize; 4] = [1, 3, 10, 30];
const TABLES: usize = 20;
const RUNS: i32 = 400;
const ROUNDS: usize = 25;

/// The `at`-th of the refactorings of one table: a field added, one calculated, one renamed, a check.
fn of_one(at: usize) -> Entry {
    let round = at / 4;
    let text = match at % 4 {
        0 => format!("[add-field]\nfield = \"wide.added_{round}\"\ntype = \"int\"\ndefault = \"{round}\"\n"),
        1 => format!("[add-calculated]\nfield = \"wide.told_{round}\"\ntype = \"int\"\nas = \"amount + {round}\"\n"),
        2 => format!("[rename-field]\nfield = \"wide.old_{round}\"\nto = \"new_{round}\"\n"),
        _ => format!(
            "[add-check]\ntable = \"wide\"\nexpression = \"amount <> -{}\"\nname = \"check_{round}\"\n",
            round + 1
        ),
    };
    Entry::parse(&format!("{:04}-step", at + 1), &text).unwrap()
}

fn wide(rows: usize) -> String {
    let old = (0..8).map(|i| format!(", old_{i} text DEFAULT 'x'")).collect::<String>();
    format!(
        "CREATE TABLE wide (id int PRIMARY KEY, amount int NOT NULL, note text{old});
         INSERT INTO wide SELECT i, i % 1000, 'note ' || i FROM generate_series(1, {rows}) AS i;"
    )
}

/// The `at`-th of the refactorings of tables that refer to each other in a ring.
fn of_ring(at: usize) -> Entry {
    let (table, next) = (at % TABLES, (at + 1) % TABLES);
    let text = match at / TABLES {
        0 => format!("[add-field]\nfield = \"t{table}.added\"\ntype = \"int\"\ndefault = \"5\"\n"),
        1 => format!("[rename-field]\nfield = \"t{table}.a\"\nto = \"renamed\"\n"),
        2 => format!("[move-field]\nfield = \"t{table}.d\"\nto = \"t{next}\"\nas = \"moved\"\n"),
        3 => format!("[add-check]\ntable = \"t{table}\"\nexpression = \"b > -1000\"\nname = \"t{table}_b\"\n"),
        4 => format!("[add-calculated]\nfield = \"t{table}.told\"\ntype = \"int\"\nas = \"b * 2\"\n"),
        5 => format!("[drop-field]\nfield = \"t{table}.c\"\n"),
        6 => format!("[set-default]\nfield = \"t{table}.renamed\"\ndefault = \"'new'\"\n"),
        7 => format!("[add-field]\nfield = \"t{table}.label\"\ntype = \"text\"\nas = \"'no ' || id\"\n"),
        _ => format!("[rename-field]\nfield = \"t{table}.added\"\nto = \"extra\"\n"),
    };
    Entry::parse(&format!("{:04}-step", at + 1), &text).unwrap()
}

fn ring() -> String {
    let tables = (0..TABLES).map(|i| {
        format!(
            "CREATE TABLE t{i} (id int PRIMARY KEY, next_id int NOT NULL, a text, b int, c text, d int);
             CREATE INDEX ON t{i} (next_id); INSERT INTO t{i} SELECT i, i, 'a', i, 'c', i FROM generate_series(1, 100) AS i;"
        )
    });
    let keys =
        (0..TABLES).map(|i| format!("ALTER TABLE t{i} ADD FOREIGN KEY (next_id) REFERENCES t{};", (i + 1) % TABLES));
    tables.chain(keys).collect()
}

fn database(server: &Server, name: &str, sql: &str) -> Client {
    let mut client = Client::connect(&server.url("postgres"), NoTls).unwrap();
    client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let mut client = Client::connect(&server.url(name), NoTls).unwrap();
    client.batch_execute(sql).unwrap();
    client.batch_execute("VACUUM ANALYZE").unwrap();
    client
}

/// Declares some more; the time without what the data took to answer, and the time of both folding and generating.
fn declare(session: &mut Session, entries: &[Entry]) -> Duration {
    let start = Instant::now();
    let place = session.place().unwrap();
    let reading = start.elapsed();
    let mut deferred = session.prepare(&place, entries).unwrap();
    session.defer(&place, &mut deferred, &mut |_, _| {}).unwrap();
    reading + deferred.time
}

/// The fastest of some rounds of each, taken in turns, since a machine is not always as fast. A round is many runs by key
/// in one transaction that is taken back.
fn times(works: [(&mut Client, String); 2]) -> [Duration; 2] {
    let mut prepared = works.map(|(client, sql)| {
        let statement = client.prepare(&sql).unwrap();
        (client, statement)
    });
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..=ROUNDS {
        for ((client, statement), fastest) in prepared.iter_mut().zip(&mut fastest) {
            let mut transaction = client.transaction().unwrap();
            let start = Instant::now();
            for id in 1..=RUNS {
                transaction.query(&*statement, &[&(id * 7)]).unwrap();
            }
            *fastest = start.elapsed().min(*fastest);
            transaction.rollback().unwrap();
        }
    }
    fastest.map(|time| time / RUNS.cast_unsigned())
}

/// The same table with the refactorings made real.
fn twin(server: &Server, name: &str, rows: usize, entries: &[Entry]) -> Client {
    let mut client = database(server, name, &wide(rows));
    let mut session = Session::new(Client::connect(&server.url(name), NoTls).unwrap()).unwrap();
    declare(&mut session, entries);
    let place = session.place().unwrap();
    let work =
        session.prepare_materialize(&place, entries.len(), &Options { rebuild_from: 0, ..Options::default() }).unwrap();
    session.materialize(&place, &work, &mut |_, _| {}).unwrap();
    client.batch_execute("VACUUM (FULL, ANALYZE) wide").unwrap();
    client
}

fn one_table(server: &Server, rows: usize) {
    println!("\none table of {rows} rows: × the same table with all made real (in brackets: µs there)");
    let works: [(&str, &str); 7] = [
        ("read all fields", "SELECT * FROM {} WHERE id = $1"),
        ("read one stored field", "SELECT amount FROM {} WHERE id = $1"),
        ("update a stored field", "UPDATE {} SET amount = amount + 1 WHERE id = $1"),
        ("update all stored fields", "UPDATE {} SET amount = amount + 1, note = note || 'x' WHERE id = $1"),
        ("update an added field", "UPDATE {} SET added_0 = added_0 + 1 WHERE id = $1"),
        ("insert", "INSERT INTO {} (id, amount, note) VALUES (-$1::int, 7, 'new')"),
        ("delete", "DELETE FROM {} WHERE id = $1"),
    ];
    let mut lines: Vec<String> = works.iter().map(|(name, _)| format!("{name:26}")).collect();
    for depth in DEPTHS {
        let entries: Vec<Entry> = (0..depth).map(of_one).collect();
        let mut real = twin(server, &format!("real_{depth}"), rows, &entries);
        let mut client = database(server, &format!("wide_{depth}"), &wide(rows));
        let mut session = Session::new(Client::connect(&server.url(&format!("wide_{depth}")), NoTls).unwrap()).unwrap();
        declare(&mut session, &entries);
        for (line, (_, sql)) in lines.iter_mut().zip(&works) {
            let both = [(&mut real, sql.replace("{}", "wide")), (&mut client, sql.replace("{}", "next.wide"))];
            let [plain, view] = times(both);
            line.push_str(&format!(
                " {:6.1} ({:5.1})",
                view.as_secs_f64() / plain.as_secs_f64(),
                plain.as_secs_f64() * 1e6
            ));
        }
    }
    println!("{:26} {}", "refactorings", DEPTHS.map(|d| format!("{d:>6}        ")).join(" "));
    for line in lines {
        println!("{line}");
    }
}

fn many_tables(server: &Server) {
    println!("\n{TABLES} tables in a ring: one more declared");
    drop(database(server, "ring", &ring()));
    let connect = || Client::connect(&server.url("ring"), NoTls).unwrap();
    let mut session = Session::new(connect()).unwrap();
    let mut pending = 0;
    let mut first = Duration::ZERO;
    for goal in [1, 20, 60, 100, 140, 180] {
        let before: Vec<Entry> = (pending..goal - 1).map(of_ring).collect();
        if !before.is_empty() {
            declare(&mut session, &before);
        }
        let time = declare(&mut session, &[of_ring(goal - 1)]);
        pending = goal;
        if goal == 1 {
            first = time;
        }
        let start = Instant::now();
        let place = session.place().unwrap();
        let reading = start.elapsed();
        let start = Instant::now();
        let version = place.version().unwrap();
        let folding = start.elapsed();
        let start = Instant::now();
        let pieces = generate::everything(&version).unwrap();
        let generating = start.elapsed();
        let bytes: usize = pieces.iter().map(|p| p.sql.len()).sum();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "{goal:4} pending: {:7.1} ms {:5.1} ×  (of it reading {:.1}, folding {:.1}, generating {:.1}; {} kB of SQL)",
            ms(time),
            time.as_secs_f64() / first.as_secs_f64(),
            ms(reading),
            ms(folding),
            ms(generating),
            bytes / 1000
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let rows: usize = arguments.first().map_or(100_000, |n| n.parse().unwrap());
    let server = Server::start().unwrap();
    println!("PostgreSQL {}", server.version());
    many_tables(&server);
    one_table(&server, rows);
}
