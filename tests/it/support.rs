//! A database for a test, and the tool run on it as a user would.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use postgres::{Client, NoTls};
use refactor::db::embedded::Server;
use tempfile::TempDir;

/// The server of this run: `REFACTOR_TEST_URL`'s, or a private one.
fn server_url(database: &str) -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    match std::env::var("REFACTOR_TEST_URL") {
        Ok(url) => {
            let (head, tail) = url.split_once('?').map_or((url.as_str(), String::new()), |(h, t)| (h, format!("?{t}")));
            format!("{}/{database}{tail}", head.rsplit_once('/').unwrap().0)
        }
        Err(_) => SERVER.get_or_init(|| Server::start().unwrap()).url(database),
    }
}

/// The URL of a superuser's session in the maintenance database.
pub fn maintenance_url() -> String {
    server_url("postgres")
}

/// A database of its own, with a directory for files. Dropped at the end.
pub struct Database {
    pub name: String,
    pub directory: TempDir,
}

impl Database {
    /// An empty database, or one with `sql` run in it.
    pub fn new(sql: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut client = Client::connect(&maintenance_url(), NoTls).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        let database = Self { name, directory: TempDir::new().unwrap() };
        database.client().batch_execute(sql).unwrap();
        database
    }

    /// A copy with all data.
    pub fn copy(&self) -> Self {
        let mut copy = Self::new("");
        let mut client = Client::connect(&maintenance_url(), NoTls).unwrap();
        client.batch_execute(&format!("DROP DATABASE {}", copy.name)).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {} TEMPLATE {}", copy.name, self.name)).unwrap();
        for file in std::fs::read_dir(self.files()).into_iter().flatten() {
            let file = file.unwrap();
            std::fs::create_dir_all(copy.files()).unwrap();
            std::fs::copy(file.path(), copy.files().join(file.file_name())).unwrap();
        }
        copy.name = copy.name.clone();
        copy
    }

    pub fn files(&self) -> std::path::PathBuf {
        self.directory.path().join("refactorings")
    }

    pub fn url(&self) -> String {
        server_url(&self.name)
    }

    /// A session on the old shape.
    pub fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap()
    }

    /// A session on the new shape.
    pub fn next(&self) -> Client {
        let mut client = self.client();
        client.batch_execute("SET search_path = next, public").unwrap();
        client
    }

    /// Runs the tool.
    pub fn run(&self, arguments: &[&str]) -> Output {
        tool(self.directory.path(), &self.url(), arguments)
    }

    /// Runs the tool, which must succeed; gives stdout.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "refactor {} failed:\n{talk}", arguments.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the tool, which must refuse with exit code 1; gives what it said.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let talk = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "refactor {} was not refused:\n{talk}", arguments.join(" "));
        talk
    }

    /// Declares the inverse of what became real.
    pub fn take_back(&self, step: &str) {
        self.ok(&["revert", step]);
    }

    /// All rows of a query as text, sorted.
    pub fn rows(&self, query: &str) -> Vec<String> {
        rows(&mut self.client(), query)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Ok(mut client) = Client::connect(&maintenance_url(), NoTls) {
            let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}

/// All rows of a query as text, sorted.
pub fn rows(client: &mut Client, query: &str) -> Vec<String> {
    let sql = format!("SELECT refactor_row::text FROM ({query}) AS refactor_row ORDER BY 1");
    client.query(&sql, &[]).unwrap().iter().map(|r| r.get(0)).collect()
}

/// Runs the tool in a directory.
pub fn tool(directory: &Path, url: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_refactor"))
        .args(arguments)
        .current_dir(directory)
        .env("DATABASE_URL", url)
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}
