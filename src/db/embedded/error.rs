//! What can go wrong with a private server, in words for the person who asked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why there is no private server.
#[derive(Debug, Error)]
#[error("{}\n  because {}", self.what(), self.why())]
pub enum EmbeddedError {
    /// No usable PostgreSQL on this machine.
    NoServer {
        /// What was looked at, each with what was found.
        looked: Vec<String>,
    },
    /// `REFACTOR_PG_BIN` names a directory that will not do.
    BadBinaries {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// PostgreSQL refuses to run as root and there is nobody else to run it.
    NoAccount,
    /// A program of PostgreSQL ran and failed.
    Failed {
        /// What it was to do, a verb and its object.
        what: String,
        /// The last it said.
        why: String,
    },
    /// A file or a process could not be handled.
    Io {
        /// What was to be done, a verb and its object.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl EmbeddedError {
    /// Says what was wanted.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Failed { what, .. } | Self::Io { what, .. } => {
                format!("cannot start a private PostgreSQL server: cannot {what}")
            }
            _ => "cannot start a private PostgreSQL server".to_owned(),
        }
    }

    /// Says why it was not possible.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::NoServer { looked } => {
                format!("no PostgreSQL {} or newer was found:\n    {}", super::find::OLDEST, looked.join("\n    "))
            }
            Self::BadBinaries { directory, why } => {
                format!("REFACTOR_PG_BIN is `{}`: {why}", directory.display())
            }
            Self::NoAccount => {
                "PostgreSQL does not run as root, and there is no user `postgres` or `nobody`".to_owned()
            }
            Self::Failed { why, .. } => why.clone(),
            Self::Io { source, .. } => source.to_string(),
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoServer { .. } => {
                Some(format!("install one with `{}`, or name a running server in DATABASE_URL", install_line()))
            }
            Self::BadBinaries { .. } => Some("name the directory that holds `initdb` and `postgres`".to_owned()),
            Self::NoAccount => Some("run the command as an ordinary user".to_owned()),
            Self::Failed { .. } | Self::Io { .. } => None,
        }
    }

    /// Wraps a system error: `io("create", path)`.
    pub(super) fn io(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("{verb} `{}`", path.display());
        |source| Self::Io { what, source }
    }
}

/// How PostgreSQL is installed here.
fn install_line() -> &'static str {
    if cfg!(target_os = "macos") {
        return "brew install postgresql@17";
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let families = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
        .flat_map(|names| names.trim_matches('"').split(' '));
    for family in families {
        match family {
            "fedora" | "rhel" | "centos" => return "sudo dnf install postgresql-server",
            "arch" => return "sudo pacman -S postgresql",
            "alpine" => return "sudo apk add postgresql",
            "suse" | "opensuse" => return "sudo zypper install postgresql-server",
            _ => {}
        }
    }
    "sudo apt install postgresql"
}
