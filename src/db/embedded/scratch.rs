//! Makes directories that do not outlive their use, and clears those left by a crash.
//!
//! Each is locked by its owner; a directory nobody locks is stale.

use std::env;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use super::account::Account;
use super::{EmbeddedError, entries, fresh_name, process};

/// The longest path a socket can have.
const SOCKET_LIMIT: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// A locked directory, owned by the server's user.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    /// Held open: closing it gives up the lock.
    _lock: File,
}

impl Scratch {
    /// Makes a directory in memory if there is room, else among the temporary files.
    pub(super) fn create(account: Option<&Account>) -> Result<Self, EmbeddedError> {
        let mut failure = None;
        for parent in parents() {
            match Self::create_in(&parent, account) {
                Ok(scratch) => return Ok(scratch),
                Err(error) => failure = failure.or(Some((parent, error))),
            }
        }
        let (parent, error) = failure.unwrap_or_else(|| {
            let long = io::Error::other("every path to it is too long for a socket");
            (env::temp_dir(), long)
        });
        Err(EmbeddedError::io("make a directory in", &parent)(error))
    }

    fn create_in(parent: &Path, account: Option<&Account>) -> io::Result<Self> {
        let root = parent.join(format!("refactor-{}", Uid::effective()));
        // Another user must be able to pass through a directory of root's, not to list it.
        let mode = if account.is_some() { 0o711 } else { 0o700 };
        match DirBuilder::new().mode(0o700).create(&root) {
            // Said again because the umask may have taken something away.
            Ok(()) => fs::set_permissions(&root, Permissions::from_mode(mode))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let found = fs::symlink_metadata(&root)?;
        if !found.is_dir() || found.uid() != Uid::effective().as_raw() || found.mode() & 0o022 != 0 {
            return Err(io::Error::other("somebody else made it"));
        }
        // Whoever sweeps or makes a directory holds this, so that none is seen half made.
        let gate = File::create(root.join(".lock"))?;
        gate.lock()?;
        sweep(&root);
        let path = root.join(fresh_name());
        DirBuilder::new().mode(0o700).create(&path)?;
        let lock = File::create(path.join("lock"))?;
        lock.lock()?;
        Account::own(account, &path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Gives the directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes the server that runs here, for whoever finds the directory stale.
    pub(super) fn note_pid(&self, pid: u32) -> Result<(), EmbeddedError> {
        let file = self.path.join("pid");
        fs::write(&file, pid.to_string()).map_err(EmbeddedError::io("write", &file))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next start.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Lists where scratch directories may be, best first.
fn parents() -> Vec<PathBuf> {
    let mut parents = Vec::new();
    #[cfg(target_os = "linux")]
    if memory_has_room() {
        parents.push(PathBuf::from("/dev/shm"));
    }
    parents.extend([env::temp_dir(), PathBuf::from("/var/tmp"), "/tmp".into()]);
    let name = format!("refactor-{}/12345678/.s.PGSQL.{}", Uid::effective(), process::PORT);
    parents.retain(|parent| parent.as_os_str().len() + 1 + name.len() <= SOCKET_LIMIT && !parent.starts_with("/root"));
    parents
}

/// Whether `/dev/shm` has more than 1 GiB free.
#[cfg(target_os = "linux")]
fn memory_has_room() -> bool {
    nix::sys::statvfs::statvfs("/dev/shm").is_ok_and(|room| {
        #[allow(clippy::useless_conversion, reason = "the width differs by platform")]
        let free = u64::from(room.blocks_available()) * u64::from(room.fragment_size());
        free > 1 << 30
    })
}

/// Removes the directories nobody locks, with the servers that may still run in them.
fn sweep(root: &Path) {
    for path in entries(root).into_iter().filter(|path| path.is_dir()) {
        let lock = File::open(path.join("lock"));
        if lock.as_ref().is_ok_and(|lock| lock.try_lock().is_err()) {
            continue;
        }
        // Only a socket that answers proves that the noted process is still the server.
        if UnixStream::connect(path.join(format!(".s.PGSQL.{}", process::PORT))).is_ok() {
            let pid = fs::read_to_string(path.join("pid")).unwrap_or_default();
            if let Ok(pid @ 2..) = pid.parse() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
            }
        }
        let _ = fs::remove_dir_all(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_nobody_locks_are_swept() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let [used, stale, broken] = ["used", "stale", "broken"].map(|name| root.path().join(name));
        for path in [&used, &stale, &broken] {
            fs::create_dir_all(path.join("data"))?;
        }
        let lock = File::create(used.join("lock"))?;
        lock.lock()?;
        File::create(stale.join("lock"))?.lock()?;
        sweep(root.path());
        assert_eq!(entries(root.path()), [used]);
        Ok(())
    }
}
