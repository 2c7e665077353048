//! What can go wrong on the way to a server, in words for the person who asked.
//!
//! Never holds a password, nor the connection string that may contain one.

use std::io;

use postgres::error::SqlState;
use thiserror::Error;

use crate::db::message;

/// Why no connection was made.
#[derive(Debug, Error)]
#[error("{}\n  because {}", self.what(), self.why())]
pub enum ConnectError {
    /// The connection string or a `PG*` variable does not make sense.
    BadUrl {
        /// What is wrong with it.
        why: String,
        /// How to write it instead.
        hint: Option<String>,
    },
    /// Nobody answers at the address.
    Unreachable {
        /// The database, server and user, without the password.
        server: String,
        /// What the operating system said.
        why: String,
    },
    /// The server does not let this user in.
    Authentication {
        /// The database, server and user, without the password.
        server: String,
        /// What the server said.
        why: String,
    },
    /// The server runs but has no such database.
    NoSuchDatabase {
        /// The database, server and user, without the password.
        server: String,
        /// The missing database.
        database: String,
    },
    /// Encryption failed, or the server's certificate was not accepted.
    Tls {
        /// The database, server and user, without the password.
        server: String,
        /// What was wrong.
        why: String,
    },
    /// Anything else, such as too many connections.
    Other {
        /// The database, server and user, without the password.
        server: String,
        /// The server's own words.
        why: String,
    },
}

impl ConnectError {
    /// Says what was wanted.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::BadUrl { .. } => "cannot read the connection settings".to_owned(),
            Self::Unreachable { server, .. }
            | Self::Authentication { server, .. }
            | Self::NoSuchDatabase { server, .. }
            | Self::Tls { server, .. }
            | Self::Other { server, .. } => format!("cannot connect to {server}"),
        }
    }

    /// Says why it was not possible.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::NoSuchDatabase { database, .. } => {
                format!("the server has no database \"{database}\"")
            }
            Self::BadUrl { why, .. }
            | Self::Unreachable { why, .. }
            | Self::Authentication { why, .. }
            | Self::Tls { why, .. }
            | Self::Other { why, .. } => why.clone(),
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadUrl { hint, .. } => hint.clone(),
            Self::Unreachable { .. } => {
                Some("start PostgreSQL there, or name another server with `--database-url` or DATABASE_URL".to_owned())
            }
            Self::Authentication { why, .. } if why.contains("pg_hba.conf") => {
                Some("let the user in by the server's `pg_hba.conf`, or choose another `sslmode`".to_owned())
            }
            Self::Authentication { .. } => {
                Some("check the user name and the password: in the connection URL, PGPASSWORD or ~/.pgpass".to_owned())
            }
            Self::NoSuchDatabase { database, .. } => {
                Some(format!("create it with `createdb {}`, or name another in `--database-url`", shell_word(database)))
            }
            Self::Tls { .. } => {
                Some("name the server's root certificate with `sslrootcert`, or choose another `sslmode`".to_owned())
            }
            Self::Other { .. } => None,
        }
    }

    /// Sorts an error of the driver by its cause.
    pub(super) fn from_driver(error: &postgres::Error, server: String, database: &str) -> Self {
        if let Some(said) = error.as_db_error() {
            let code = said.code();
            if *code == SqlState::INVALID_CATALOG_NAME {
                let database = database.to_owned();
                return Self::NoSuchDatabase { server, database };
            }
            let why = message::render(error, None);
            return if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
                Self::Authentication { server, why }
            } else {
                Self::Other { server, why }
            };
        }
        let source = std::error::Error::source(error);
        let cause = source.map(ToString::to_string);
        let text = error.to_string();
        if text.starts_with("error performing TLS") {
            let why = cause.unwrap_or(text);
            let why = if why.contains("UnknownIssuer") || why.contains("CaUsedAsEndEntity") {
                "no trusted root certificate vouches for the server's certificate".to_owned()
            } else {
                why
            };
            return Self::Tls { server, why };
        }
        if cause.as_deref() == Some("password missing") {
            let why = "the server asks for a password and none was given".to_owned();
            return Self::Authentication { server, why };
        }
        if text.starts_with("error connecting") || text.starts_with("timeout") {
            let why = match source.and_then(|source| source.downcast_ref::<io::Error>()) {
                Some(error) => unreachable_because(error),
                None if text.starts_with("timeout") => "the server did not answer in time".into(),
                None => cause.unwrap_or(text),
            };
            return Self::Unreachable { server, why };
        }
        if text.starts_with("error communicating") {
            let why = format!("the connection broke off: {}", cause.unwrap_or(text));
            return Self::Unreachable { server, why };
        }
        if text.starts_with("authentication error") {
            let why = cause.unwrap_or(text);
            return Self::Authentication { server, why };
        }
        let why = message::render(error, None);
        Self::Other { server, why }
    }
}

/// Puts the common causes in plain words.
fn unreachable_because(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::PermissionDenied => "its socket may not be opened".to_owned(),
        io::ErrorKind::TimedOut => "the server did not answer in time".to_owned(),
        _ => error.to_string(),
    }
}

/// Quotes a word for a shell where it needs it.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
