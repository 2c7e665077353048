//! Runs a private PostgreSQL server: for the demonstration, the tests and scratch work.
//!
//! The server listens on a Unix socket of its own and ends with this process, however that
//! ends. Must not know what the server is for; real work goes to the user's own server.

mod account;
mod bundled;
mod error;
mod find;
mod process;
mod scratch;
mod template;

use std::fs;
use std::path::{Path, PathBuf};

use account::Account;
pub use error::EmbeddedError;
use find::Installation;
use process::{Janitor, Process};
use scratch::Scratch;

/// Whether the data is worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Fast and lost at the end.
    Throwaway,
    /// On disk with PostgreSQL's own settings.
    Persistent,
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    process: Process,
    janitor: Option<Janitor>,
    /// Goes after the process has ended.
    scratch: Scratch,
    version: String,
}

impl Server {
    /// Starts a throw-away server, with an own directory that goes when the server goes.
    ///
    /// The binaries are those in `REFACTOR_PG_BIN`, else the newest installed, else the
    /// bundled ones.
    ///
    /// # Errors
    /// An [`EmbeddedError`] that says what to do.
    pub fn start() -> Result<Self, EmbeddedError> {
        Self::launch(Durability::Throwaway, None)
    }

    /// Starts a server on a data directory that stays; an empty or missing one is filled.
    ///
    /// # Errors
    /// An [`EmbeddedError`], also when another server uses the directory.
    pub fn start_in(data: &Path) -> Result<Self, EmbeddedError> {
        Self::launch(Durability::Persistent, Some(data))
    }

    fn launch(durability: Durability, data: Option<&Path>) -> Result<Self, EmbeddedError> {
        let account = Account::for_server()?;
        let cache = template::cache_directory(account.as_ref());
        let installation = Installation::find(account.as_ref(), cache.as_deref())?;
        let scratch = Scratch::create(account.as_ref())?;
        let data = match data {
            Some(data) => std::path::absolute(data).map_err(EmbeddedError::io("resolve", data))?,
            None => scratch.path().join("data"),
        };
        if !data.join("PG_VERSION").exists() {
            template::fill(&data, &installation, account.as_ref(), cache.as_deref())?;
        }
        let process = Process::start(&installation, &data, scratch.path(), durability, account.as_ref())?;
        // From here on dropping the server stops it, also when it never gets ready.
        let mut server = Self { janitor: None, process, scratch, version: installation.version };
        server.scratch.note_pid(server.process.pid())?;
        server.janitor = Some(Janitor::hire(&server.process, server.scratch.path())?);
        server.process.wait_until_ready(&data)?;
        Ok(server)
    }

    /// Gives the connection URL of a database, over the server's socket.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        format!(
            "postgresql://postgres@/{}?host={}&port={}",
            encode(database),
            encode(&self.scratch.path().to_string_lossy()),
            process::PORT
        )
    }

    /// Names the version of PostgreSQL, as in `17.5`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Gives the process id of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Gives the directory that holds the socket and the log.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.stop();
        if let Some(janitor) = self.janitor.take() {
            janitor.dismiss();
        }
    }
}

/// Lists the plain entries of a directory, none when it cannot be read.
fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// A short name nobody else uses at the same time.
fn fresh_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    // `RandomState` is seeded by the operating system.
    let random = RandomState::new().hash_one(std::process::id());
    format!("{:08x}", random & 0xffff_ffff)
}
