//! The files of another branch, as git has them.

use std::path::Path;
use std::process::Command;

use crate::journal::{Entry, order};
use crate::problem::{Kind, Problem};

/// The refactorings that a branch has in a folder, in order.
pub fn files(dir: &Path, branch: &str) -> Result<Vec<Entry>, Problem> {
    // The folder need not be there on this branch.
    let (at, below) = if dir.is_dir() {
        (dir, None)
    } else {
        (dir.parent().filter(|p| p.is_dir()).unwrap_or(Path::new(".")), dir.file_name())
    };
    let failed = |why: String| Problem::new(Kind::Usage, format!("cannot read the refactorings of `{branch}`"), why);
    let git = |arguments: &[&str]| -> Result<Vec<u8>, Problem> {
        let at = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        let output = Command::new("git").arg("-C").arg(at).args(arguments).output();
        let output = output.map_err(|e| failed(format!("git: {e}")).hint("`git` must be on the PATH"))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(failed(format!("git: {}", said.lines().next().unwrap_or("it says nothing").trim_start_matches("fatal: "))))
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| failed("a file or its name is not UTF-8".into()));
    let prefix = text(git(&["rev-parse", "--show-prefix"])?)?;
    let below = below.map(|name| format!("{}/", name.to_string_lossy())).unwrap_or_default();
    let folder = format!("{}{below}", prefix.trim_end_matches('\n'));
    // A checkout of a pull request has only what was fetched.
    let is_there = |name: &str| {
        let commit = format!("{name}^{{commit}}");
        git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]).is_ok()
    };
    let Some(branch) = [branch.to_owned(), format!("origin/{branch}")].into_iter().find(|name| is_there(name)) else {
        return Err(failed(format!("git knows no branch or commit `{branch}`"))
            .hint(format!("fetch it first: `git fetch origin {}`", crate::name::shell(branch))));
    };
    let listed = text(git(&["ls-tree", "-z", "--full-tree", "--name-only", &branch, &folder])?)?;
    let mut entries = Vec::new();
    for path in listed.split('\0').filter(|path| Path::new(path).extension().is_some_and(|end| end == "toml")) {
        let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".toml");
        let blob = text(git(&["show", "--end-of-options", &format!("{branch}:{path}")])?)?;
        entries.push(Entry::parse(name, &blob)?);
    }
    Ok(order(entries)?)
}
