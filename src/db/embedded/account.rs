//! Decides which user runs the server, and starts programs as that user.
//!
//! PostgreSQL refuses root; anybody else runs it as themselves.

use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use super::EmbeddedError;

/// The user a root process becomes to run PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Chooses the user, `None` when it is the one who runs this program.
    pub(super) fn for_server() -> Result<Option<Self>, EmbeddedError> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        let user = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .ok_or(EmbeddedError::NoAccount)?;
        Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
    }

    /// Hands a file or directory over to the user.
    pub(super) fn own(account: Option<&Self>, path: &Path) -> io::Result<()> {
        match account {
            Some(account) => chown(path, Some(account.uid), Some(account.gid)),
            None => Ok(()),
        }
    }

    /// Prepares a program of PostgreSQL, free of settings meant for other servers.
    pub(super) fn command(account: Option<&Self>, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C");
        if let Some(account) = account {
            // Becoming another user this way also drops the supplementary groups.
            command.uid(account.uid).gid(account.gid).env("HOME", "/");
        }
        command
    }
}
