//! Packs the bundled server into one compressed stream for `src/db/embedded/bundled.rs`.
//!
//! The crate `liboliphaunt-native-*` hands over a manifest of files; without it (feature
//! off, or no crate for this target) there is nothing to pack and `bundled_server` stays unset.

use std::io::Write;
use std::path::Path;
use std::{env, fs, io};

/// Where the manifest of the server's files is announced, by target.
const MANIFESTS: [&str; 3] = [
    "DEP_OLIPHAUNT_ARTIFACT_LIBOLIPHAUNT_NATIVE_LINUX_X64_GNU_MANIFEST",
    "DEP_OLIPHAUNT_ARTIFACT_LIBOLIPHAUNT_NATIVE_LINUX_ARM64_GNU_MANIFEST",
    "DEP_OLIPHAUNT_ARTIFACT_LIBOLIPHAUNT_NATIVE_MACOS_ARM64_MANIFEST",
];

/// Parts of the runtime that neither `initdb` nor `postgres` needs.
const UNNEEDED: [&str; 3] = ["lib/libecpg", "lib/libpgtypes", "bin/pg_ctl"];

fn main() -> io::Result<()> {
    println!("cargo::rustc-check-cfg=cfg(bundled_server)");
    println!("cargo::rerun-if-changed=build.rs");
    let Some(manifest) = MANIFESTS.iter().find_map(env::var_os) else {
        return Ok(());
    };
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    pack(&fs::read_to_string(manifest)?, &Path::new(&out).join("server.deflate"))?;
    println!("cargo::rustc-cfg=bundled_server");
    Ok(())
}

/// Writes every needed file as: length of path, path, executable, length, content.
fn pack(manifest: &str, target: &Path) -> io::Result<()> {
    let file = fs::File::create(target)?;
    let mut stream = flate2::write::DeflateEncoder::new(file, flate2::Compression::best());
    for entry in manifest.split("[[files]]").skip(1) {
        let field = |name: &str| {
            entry
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
                .map(|value| value.trim_matches('"').replace("\\\\", "\\"))
                .ok_or_else(|| io::Error::other(format!("the manifest has an entry without {name}")))
        };
        let relative = field("relative")?;
        let Some(path) = relative.strip_prefix("runtime/") else {
            continue;
        };
        if UNNEEDED.iter().any(|prefix| path.starts_with(prefix)) {
            continue;
        }
        let content = fs::read(field("source")?)?;
        stream.write_all(&u32::try_from(path.len()).map_err(io::Error::other)?.to_le_bytes())?;
        stream.write_all(path.as_bytes())?;
        stream.write_all(&[u8::from(field("executable")? == "true")])?;
        stream.write_all(&u32::try_from(content.len()).map_err(io::Error::other)?.to_le_bytes())?;
        stream.write_all(&content)?;
    }
    stream.finish()?;
    Ok(())
}
