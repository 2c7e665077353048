//! Unpacks the PostgreSQL that is part of this program, where the build included one.
//!
//! Whether it runs on this machine is found out by the caller.

use std::path::{Path, PathBuf};

/// A file that only the bundled server has.
pub(super) const MARK: &str = ".oliphaunt-postgres-runtime.sha256";

/// Unpacks the server once and gives the directory of its programs; the error is a clause.
#[cfg(bundled_server)]
pub(super) fn unpack(cache: Option<&Path>) -> Result<PathBuf, String> {
    let cache = cache.ok_or("there is no cache directory to unpack it in")?;
    let directory = cache.join("postgresql-18.4-0.3.2");
    if !directory.exists() {
        let unfinished = cache.join(format!("unfinished-{}", super::fresh_name()));
        let made = packed::write_to(&unfinished)
            .and_then(|()| std::fs::rename(&unfinished, &directory))
            .map_err(|error| format!("it cannot be unpacked: {error}"));
        if made.is_err() {
            let _ = std::fs::remove_dir_all(&unfinished);
        }
        // Another process may have been faster.
        if !directory.exists() {
            made?;
        }
    }
    Ok(directory.join("bin"))
}

/// Says that this build has no server in it.
#[cfg(not(bundled_server))]
pub(super) fn unpack(_cache: Option<&Path>) -> Result<PathBuf, String> {
    Err("this build has none".to_owned())
}

#[cfg(all(test, bundled_server))]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_unpacked_once_and_whole() -> Result<(), Box<dyn std::error::Error>> {
        let cache = tempfile::tempdir()?;
        let bin = unpack(Some(cache.path()))?;
        assert!(bin.join("initdb").is_file());
        assert!(bin.join("../share/postgresql/postgres.bki").is_file());
        let made = std::fs::metadata(bin.join("postgres"))?.modified()?;
        assert_eq!(unpack(Some(cache.path()))?, bin);
        assert_eq!(std::fs::metadata(bin.join("postgres"))?.modified()?, made);
        Ok(())
    }
}

#[cfg(bundled_server)]
mod packed {
    //! Reads the stream that `build.rs` writes.

    use std::fs::{self, File};
    use std::io::{self, Read};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use flate2::read::DeflateDecoder;

    static STREAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/server.deflate"));

    /// Writes all files below a directory.
    pub(super) fn write_to(directory: &Path) -> io::Result<()> {
        let mut stream = DeflateDecoder::new(STREAM);
        while let Some(length) = read_length(&mut stream)? {
            let mut path = String::new();
            stream.by_ref().take(length).read_to_string(&mut path)?;
            let mut executable = [0];
            stream.read_exact(&mut executable)?;
            let length = read_length(&mut stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let target = directory.join(path);
            make_parents(&target, directory)?;
            io::copy(&mut stream.by_ref().take(length), &mut File::create(&target)?)?;
            let mode = if executable == [1] { 0o755 } else { 0o644 };
            fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    /// Makes the directories above a file so that every user may pass, whatever the umask.
    fn make_parents(file: &Path, top: &Path) -> io::Result<()> {
        let above = file.ancestors().skip(1);
        let missing: Vec<_> = above.take_while(|path| path.starts_with(top) && !path.exists()).collect();
        for path in missing.into_iter().rev() {
            fs::create_dir(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Reads a number, `None` at the end of the stream.
    fn read_length(stream: &mut impl Read) -> io::Result<Option<u64>> {
        let mut bytes = [0; 4];
        match stream.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(u32::from_le_bytes(bytes).into())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}
