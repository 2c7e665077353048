//! What a project says of itself: `refactor.toml`, found upwards from the working directory, and `.env` beside it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use serde::Deserialize;

use crate::cli::Context;
use crate::problem::{Kind, Problem};

/// The name of the file.
const FILE: &str = "refactor.toml";

/// What a new project starts with.
const FIRST: &str = include_str!("../../templates/refactor.toml");

/// What the file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Where the refactorings are, as seen from the file.
    dir: Option<PathBuf>,
    /// The database of those who name none.
    url: Option<String>,
    /// Databases that have names.
    #[serde(default)]
    env: BTreeMap<String, Environment>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Environment {
    url: String,
}

/// The settings of a project.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The directory of the refactorings.
    pub dir: Option<PathBuf>,
    url: Option<String>,
    named: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
}

impl Settings {
    /// Reads those that hold in a directory.
    ///
    /// # Errors
    /// When a file cannot be read or understood.
    pub fn of(directory: &Path) -> Result<Self, Problem> {
        let found = directory.ancestors().map(|above| above.join(FILE)).find(|file| is_ours(file));
        let home = found.as_deref().and_then(Path::parent).unwrap_or(directory);
        let variables = variables(&home.join(".env"))?;
        let Some(path) = &found else { return Ok(Self { variables, ..Self::default() }) };
        let wrong = |why: String| Problem::new(Kind::Usage, format!("cannot read `{}`", path.display()), why);
        let text = fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let file: File = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let named = file.env.into_iter().map(|(name, environment)| (name, environment.url)).collect();
        let dir = file.dir.map_or_else(|| home.join("refactorings"), |dir| home.join(dir));
        // As short as somebody who stands there would say it.
        let dir = dir.strip_prefix(directory).map(Path::to_owned).unwrap_or(dir);
        Ok(Self { dir: Some(dir), url: file.url, named, variables, file: found })
    }

    /// The database of that name, or the one of those who name none.
    ///
    /// # Errors
    /// When nothing has that name, or a variable is not set.
    pub fn url(&self, named: Option<&str>) -> Result<Option<String>, Problem> {
        let url = match named {
            None => match self.variable("DATABASE_URL").filter(|url| !url.is_empty()) {
                Some(url) => return Ok(Some(url)),
                None => self.url.as_ref(),
            },
            Some(name) => Some(self.named.get(name).ok_or_else(|| self.unknown(name))?),
        };
        url.map(|url| self.filled(url)).transpose()
    }

    /// The names of databases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    fn unknown(&self, name: &str) -> Problem {
        let what = format!("cannot work on `{name}`");
        let names: Vec<&str> = self.named.keys().map(String::as_str).collect();
        match &self.file {
            None => Problem::new(Kind::Usage, what, format!("there is no `{FILE}` in this directory or above it"))
                .hint("make one by `refactor init`"),
            Some(file) => Problem::new(Kind::Usage, what, format!("`{}` has no `[env.{name}]`", file.display())).hint(
                if names.is_empty() {
                    format!("add it:\n  [env.{name}]\n  url = \"postgresql://…\"")
                } else {
                    format!("it has: {}", names.join(", "))
                },
            ),
        }
    }

    /// A variable of the environment, else of `.env`.
    pub fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok().or_else(|| self.variables.get(name).cloned())
    }

    /// A text with the values of the variables that it names as `${NAME}`.
    fn filled(&self, text: &str) -> Result<String, Problem> {
        let (mut filled, mut rest) = (String::new(), text);
        while let Some((before, (name, after))) = rest.split_once("${").and_then(|(b, a)| Some((b, a.split_once('}')?)))
        {
            let value = self.variable(name).ok_or_else(|| {
                let file = self.file.as_deref().unwrap_or(Path::new(FILE)).display().to_string();
                Problem::new(
                    Kind::Usage,
                    format!("cannot use the url of `{file}`"),
                    format!("the variable {name} is not set"),
                )
                .hint(format!("set it in the environment, or in the file `.env` beside `{FILE}`"))
            })?;
            filled += before;
            filled += &value;
            rest = after;
        }
        Ok(filled + rest)
    }
}

/// Whether a file is there that we may believe: in a directory above, anybody may have put one who wants to be
/// told our passwords.
fn is_ours(file: &Path) -> bool {
    fs::metadata(file)
        .is_ok_and(|found| found.is_file() && (found.uid() == Uid::effective().as_raw() || found.uid() == 0))
}

/// What stands in a file of variables, if there is one. It is there for other programs, too: a line that cannot be read
/// matters only where it may be about a database.
fn variables(file: &Path) -> Result<BTreeMap<String, String>, Problem> {
    let wrong =
        |e: &dotenvy::Error| Problem::new(Kind::Usage, format!("cannot read `{}`", file.display()), e.to_string());
    if !is_ours(file) {
        return Ok(BTreeMap::new());
    }
    let (read, unread): (Vec<_>, Vec<_>) =
        dotenvy::from_path_iter(file).map_err(|e| wrong(&e))?.partition(Result::is_ok);
    let found: BTreeMap<String, String> = read.into_iter().flatten().collect();
    let text = fs::read_to_string(file).map_err(|e| wrong(&dotenvy::Error::Io(e)))?;
    let names = text.lines().filter_map(|line| Some(line.split_once('=')?.0.trim().trim_start_matches("export ")));
    let is_missing = |name: &str| (name == "DATABASE_URL" || name.starts_with("PG")) && !found.contains_key(name);
    match unread.into_iter().find_map(Result::err).filter(|_| names.into_iter().any(is_missing)) {
        Some(e) => Err(wrong(&e)),
        None => Ok(found),
    }
}

/// Writes the first settings and makes the directory; what is there stays as it is.
pub fn init(context: &Context) -> Result<(), Problem> {
    let failed = |what: &Path, e: std::io::Error| {
        Problem::new(Kind::Files, format!("cannot make `{}`", what.display()), e.to_string())
    };
    let file = Path::new(FILE);
    let dir = context.dir();
    if let Some(there) = &context.settings.file {
        context.ui.say(format!("`{}` is there already", there.display()));
    } else {
        let text = FIRST.replace("\"refactorings\"", &toml::Value::String(dir.display().to_string()).to_string());
        fs::write(file, text).map_err(|e| failed(file, e))?;
        context.ui.done(format!("{FILE} is written"));
    }
    fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    context.ui.say(format!("  the refactorings will be in {}/", dir.display()));
    context.ui.say("  see what is there: `refactor status`   begin: `refactor rename-field TABLE.FIELD NAME`, or any verb of `refactor --help`");
    context.ui.json(&serde_json::json!({ "file": context.settings.file.as_deref().unwrap_or(file), "dir": dir }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_other_programs_do_not_matter() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join(".env");
        fs::write(&file, "A=1\nGREETING=hello you\n- odd\nB='2'\n").expect("writes");
        let found = variables(&file).expect("reads");
        assert_eq!(found.get("A").map(String::as_str), Some("1"));
        assert_eq!(found.get("B").map(String::as_str), Some("2"));
        fs::write(&file, "DATABASE_URL=postgresql://x y\n").expect("writes");
        assert!(variables(&file).is_err());
    }
}
