//! Finds the programs of PostgreSQL on this machine.
//!
//! Knows where systems put them and how to ask their version, not how to run a server.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::{EmbeddedError, bundled, entries};

/// The oldest major version that will do.
pub(super) const OLDEST: u32 = 14;

/// A directory with `initdb` and `postgres` that run here.
#[derive(Debug)]
pub(super) struct Installation {
    pub(super) bin: PathBuf,
    pub(super) version: String,
}

impl Installation {
    /// Chooses the programs: named ones, else the newest installed, else the bundled.
    pub(super) fn find(account: Option<&Account>, cache: Option<&Path>) -> Result<Self, EmbeddedError> {
        if let Some(named) = env::var_os("REFACTOR_PG_BIN").filter(|value| !value.is_empty()) {
            let directory = PathBuf::from(named);
            return Self::probe(&directory, account).map_err(|why| EmbeddedError::BadBinaries { directory, why });
        }
        let mut looked = vec!["on PATH, by `pg_config` and in the usual directories".to_owned()];
        let mut found = Vec::new();
        for directory in installed() {
            match Self::probe(&directory, account) {
                Ok(installation) => found.push(installation),
                Err(why) => looked.push(format!("in {}: {why}", directory.display())),
            }
        }
        if let Some(newest) = found.into_iter().max_by_key(Self::rank) {
            return Ok(newest);
        }
        match bundled::unpack(cache).map(|bin| Self::probe(&bin, account)) {
            Ok(Ok(installation)) => return Ok(installation),
            Ok(Err(why)) | Err(why) => {
                looked.push(format!("the bundled server: {why}"));
            }
        }
        Err(EmbeddedError::NoServer { looked })
    }

    /// Asks the programs of a directory for their version; the error is a clause.
    fn probe(directory: &Path, account: Option<&Account>) -> Result<Self, String> {
        let bin = fs::canonicalize(directory).map_err(|error| error.to_string())?;
        for program in ["initdb", "postgres"] {
            if !bin.join(program).is_file() {
                return Err(format!("it has no `{program}`"));
            }
        }
        let output = Account::command(account, &bin.join("postgres"))
            .arg("--version")
            .output()
            .map_err(|error| format!("its `postgres` cannot be run: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or("it says nothing").trim();
            return Err(format!("its `postgres` does not run here: {said}"));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.split_whitespace().nth(2).unwrap_or_default();
        let installation = Self { bin, version: version.to_owned() };
        if installation.rank().0 < OLDEST {
            return Err(format!("its version is {version}"));
        }
        Ok(installation)
    }

    /// Prepares one of the programs.
    pub(super) fn command(&self, program: &str, account: Option<&Account>) -> Command {
        let mut command = Account::command(account, &self.bin.join(program));
        let root = self.bin.parent().unwrap_or(&self.bin);
        if root.join(bundled::MARK).exists() {
            // The bundled programs do not find their libraries by themselves, and have no
            // data for other collations than the simplest.
            command
                .env("LD_LIBRARY_PATH", root.join("lib"))
                .env("DYLD_LIBRARY_PATH", root.join("lib"))
                .env("OLIPHAUNT_INTERNAL_SKIP_ICU_DISCOVERY", "1")
                .env("OLIPHAUNT_INTERNAL_SKIP_SYSTEM_COLLATION_DISCOVERY", "1");
        }
        command
    }

    /// Orders versions by their first two numbers.
    fn rank(&self) -> (u32, u32) {
        let mut numbers = self.version.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

/// Lists directories that hold both programs, each once.
fn installed() -> Vec<PathBuf> {
    let on_path = env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = env::split_paths(&on_path)
        .filter_map(|directory| fs::canonicalize(directory.join("initdb")).ok())
        .filter_map(|program| program.parent().map(Path::to_owned))
        .collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        directories.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    // A parent, what its children's names begin with, and where the programs are in them.
    let usual = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/lib", "postgresql", "bin"),
        ("/usr/libexec", "postgresql", ""),
        ("/usr/local", "pgsql", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ];
    for (parent, prefix, rest) in usual {
        directories.extend(
            entries(Path::new(parent))
                .into_iter()
                .filter(|path| {
                    let name = path.file_name().unwrap_or_default();
                    name.to_string_lossy().starts_with(prefix)
                })
                .map(|path| path.join(rest)),
        );
    }
    let mut directories: Vec<_> = directories
        .into_iter()
        .filter_map(|directory| fs::canonicalize(directory).ok())
        .filter(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
        .collect();
    directories.sort();
    directories.dedup();
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let rank = |version: &str| Installation { bin: PathBuf::new(), version: version.to_owned() }.rank();
        assert!(rank("9.6.24") < rank("14.2"));
        assert!(rank("14.9") < rank("14.10"));
        assert_eq!(rank("18beta1"), (18, 0));
        assert_eq!(rank(""), (0, 0));
    }
}
