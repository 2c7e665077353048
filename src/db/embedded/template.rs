//! Fills data directories: one is made by `initdb` per version, the others are copies of it.
//!
//! Knows the cache and what a fresh cluster looks like, not how servers are run.

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::find::Installation;
use super::{EmbeddedError, entries, fresh_name};

/// Finds the directory for what is worth keeping between runs, `None` when there is none.
pub(super) fn cache_directory(account: Option<&Account>) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let parent = if account.is_some() {
        PathBuf::from("/var/cache")
    } else {
        absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?
    };
    let cache = parent.join("refactor");
    fs::create_dir_all(&cache).ok()?;
    if account.is_some() {
        // Whatever the umask, the server's user must be able to pass.
        fs::set_permissions(&cache, Permissions::from_mode(0o755)).ok()?;
    }
    Some(cache)
}

/// Makes a fresh data directory.
pub(super) fn fill(
    data: &Path,
    installation: &Installation,
    account: Option<&Account>,
    cache: Option<&Path>,
) -> Result<(), EmbeddedError> {
    let Some(cache) = cache else {
        return initialize(data, installation, account);
    };
    // Two builds of one version may differ in collations and paths.
    let mut hasher = DefaultHasher::new();
    installation.bin.hash(&mut hasher);
    let name = format!("{}-{:016x}", installation.version, hasher.finish());
    let template = cache.join(format!("template-{name}"));
    if !template.join("PG_VERSION").exists() {
        let unfinished = cache.join(format!("unfinished-{}", fresh_name()));
        let made = initialize(&unfinished, installation, account)
            .and_then(|()| fs::rename(&unfinished, &template).map_err(EmbeddedError::io("make", &template)));
        if made.is_err() {
            let _ = fs::remove_dir_all(&unfinished);
        }
        // Another process may have been faster.
        if !template.join("PG_VERSION").exists() {
            made?;
        }
    }
    copy(&template, data, account).map_err(EmbeddedError::io("fill", data))
}

/// Runs `initdb`.
fn initialize(data: &Path, installation: &Installation, account: Option<&Account>) -> Result<(), EmbeddedError> {
    let create = || {
        DirBuilder::new().recursive(true).mode(0o700).create(data)?;
        Account::own(account, data)
    };
    create().map_err(EmbeddedError::io("create", data))?;
    let mut said = String::new();
    // Not every system has C.UTF-8.
    for locale in ["C.UTF-8", "C"] {
        let output = installation
            .command("initdb", account)
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"])
            .args(["--no-instructions", "--locale", locale, "-D"])
            .arg(data)
            .output()
            .map_err(EmbeddedError::io("run", &installation.bin.join("initdb")))?;
        if output.status.success() {
            return Ok(());
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !said.contains("locale") {
            break;
        }
    }
    Err(EmbeddedError::Failed {
        what: "make a database cluster".to_owned(),
        why: format!("`initdb` says:\n    {}", said.trim().replace('\n', "\n    ")),
    })
}

/// Copies a directory and hands it over to the server's user.
fn copy(from: &Path, to: &Path, account: Option<&Account>) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    Account::own(account, to)?;
    for path in entries(from) {
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target, account)?;
        } else {
            fs::copy(&path, &target)?;
            Account::own(account, &target)?;
        }
    }
    Ok(())
}
