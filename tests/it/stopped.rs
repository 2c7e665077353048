//! A server that stops at once, as when the power goes, while tables are made real and everybody works: what was
//! committed is there when it is back, and one command goes on.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::{Client, NoTls};
use refactor::db::embedded::Server;
use tempfile::TempDir;

use crate::ahead::{LEFT, SUMS, WRITERS};
use crate::failure::{COMMANDS, SHOP};
use crate::laws::random::Random;
use crate::support::{rows, tool};

/// A server with its data on disk, written as PostgreSQL writes it, and the files of the refactorings.
struct Shop {
    server: Option<Server>,
    directory: TempDir,
}

impl Shop {
    fn new() -> Self {
        let mut shop = Self { server: None, directory: TempDir::new().unwrap() };
        shop.start();
        shop
    }

    fn start(&mut self) {
        self.server = Some(Server::start_in(&self.directory.path().join("data")).unwrap());
    }

    /// Stops it without a checkpoint; whoever is connected is cut off.
    fn stop_at_once(&mut self) {
        let server = self.server.take().unwrap();
        kill(Pid::from_raw(server.pid().try_into().unwrap()), Signal::SIGQUIT).unwrap();
    }

    fn url(&self, database: &str) -> String {
        self.server.as_ref().unwrap().url(database)
    }

    fn client(&self, database: &str) -> Client {
        Client::connect(&self.url(database), NoTls).unwrap()
    }

    fn ok(&self, files: &Path, database: &str, arguments: &[&str]) {
        let output = tool(files, &self.url(database), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn begin(&self, files: &Path, database: &str, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_refactor"))
            .args(arguments)
            .current_dir(files)
            .env("DATABASE_URL", self.url(database))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

/// Adds one to rows until it is stopped or cut off. Gives how often that was done, and how often nobody knows.
fn write(url: &str, (path, sql): (&str, &str), seed: u64, ended: &AtomicBool) -> [i64; 2] {
    let (mut random, mut done) = (Random::new(seed), 0);
    let Ok(mut client) = Client::connect(url, NoTls) else { return [0, 0] };
    if client.batch_execute(&format!("SET search_path = {path}")).is_err() {
        return [0, 0];
    }
    while !ended.load(Ordering::Relaxed) {
        match client.batch_execute(&sql.replace("$1", &(1 + random.below(120)).to_string())) {
            Ok(()) => done += 1,
            Err(error) => {
                let code = error.code().map(|c| c.code().to_owned()).unwrap_or_default();
                // What is cut off may have been committed.
                if client.is_closed() || error.is_closed() || code.starts_with("57P") {
                    return [done, 1];
                }
                assert!(["40001", "40P01"].contains(&&*code), "{sql}: {error:?}");
            }
        }
    }
    [done, 0]
}

/// While writers write, does something. Gives how often each wrote, and how often nobody knows.
fn beside(shop: &mut Shop, database: &str, seed: u64, work: impl FnOnce(&mut Shop)) -> Vec<[i64; 2]> {
    let (url, ended) = (shop.url(database), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let one = |(at, writer): (usize, &(&'static str, &'static str))| {
            let (url, ended, writer) = (&url, &ended, *writer);
            scope.spawn(move || write(url, writer, seed + at as u64, ended))
        };
        let writers: Vec<_> = WRITERS.iter().enumerate().map(one).collect();
        work(shop);
        ended.store(true, Ordering::Relaxed);
        writers.into_iter().map(|w| w.join().unwrap()).collect()
    })
}

const SHAPE: &str = "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_schema = 'public' UNION ALL SELECT indexname, indexdef, '', '', '' FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT conname, pg_get_constraintdef(oid), '', '', '' FROM pg_constraint WHERE connamespace = 'public'::regnamespace";

/// `REFACTOR_STOPS=50` stops it that often.
#[test]
fn nobody_loses_a_write_when_the_server_stops_at_once() {
    let rounds = std::env::var("REFACTOR_STOPS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let mut shop = Shop::new();
    let files = TempDir::new().unwrap();
    shop.client("postgres").batch_execute("CREATE DATABASE model").unwrap();
    shop.client("model").batch_execute(SHOP).unwrap();
    for command in COMMANDS {
        shop.ok(files.path(), "model", command);
    }
    shop.client("postgres").batch_execute("CREATE DATABASE twin TEMPLATE model").unwrap();
    let real = ["materialize", "--yes", "--beside-from", "0"];
    let start = std::time::Instant::now();
    shop.ok(files.path(), "twin", &real);
    let whole = usize::try_from(start.elapsed().as_millis()).unwrap();
    let before = shop.client("twin").query_one(SUMS, &[]).unwrap();
    let wanted = rows(&mut shop.client("twin"), SHAPE);
    let mut random = Random::new(rounds);
    for round in 0..rounds {
        let name = format!("round_{round}");
        shop.client("postgres").batch_execute(&format!("CREATE DATABASE {name} TEMPLATE model")).unwrap();
        let first = beside(&mut shop, &name, round * 10, |shop| {
            let mut run = shop.begin(files.path(), &name, &real);
            std::thread::sleep(Duration::from_millis(random.below(whole * 3 / 2) as u64));
            shop.stop_at_once();
            run.wait().unwrap();
        });
        shop.start();
        shop.ok(files.path(), &name, &["status"]);
        let then = beside(&mut shop, &name, round * 10 + 5, |shop| shop.ok(files.path(), &name, &real));
        let mut client = shop.client(&name);
        let now = client.query_one(SUMS, &[]).unwrap();
        let counts =
            |who: &[usize], which: usize| -> i64 { who.iter().map(|at| first[*at][which] + then[*at][which]).sum() };
        for (at, who) in [&[0, 1][..], &[2]].into_iter().enumerate() {
            let more = now.get::<_, i64>(at) - before.get::<_, i64>(at);
            let (done, unknown) = (counts(who, 0), counts(who, 1));
            assert!((done..=done + unknown).contains(&more), "round {round}: {more} of {done} and {unknown} unknown");
        }
        assert_eq!(rows(&mut client, LEFT), [""; 0], "round {round}");
        assert_eq!(rows(&mut client, SHAPE), wanted, "round {round}");
        drop(client);
        shop.client("postgres").batch_execute(&format!("DROP DATABASE {name}")).unwrap();
    }
}
