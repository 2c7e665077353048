//! The record of refactorings: one small TOML file each in `refactorings/`, and the same texts in the database.
//!
//! Parsing and ordering are pure; [`Directory`] is the only part that touches files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::catalogue::{Refactor, Refactoring};
use crate::name::Ident;
use crate::version::Step;

/// A file's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct File {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(flatten)]
    refactoring: Refactoring,
}

/// One recorded refactoring.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name and meaning.
    pub step: Step,
    /// The refactoring that it was declared after.
    pub after: Option<String>,
    /// The text of its file.
    pub text: String,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Not a refactoring.
    #[error("{file}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// What the parser says, with line and caret.
        reason: String,
    },
    /// `after` names nothing.
    #[error("{file} says it comes after `{after}`, which is not there")]
    Missing {
        /// The file.
        file: String,
        /// The name it gives.
        after: String,
    },
    /// They come after each other.
    #[error("these refactorings come after each other in a circle: {}", .0.join(", "))]
    Circle(Vec<String>),
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// What it said.
        source: std::io::Error,
    },
    /// Something among the files that is no refactoring can be.
    #[error("{path}: {why}")]
    Odd {
        /// The file, as far as it can be written.
        path: String,
        /// What is odd about it.
        why: &'static str,
    },
}

impl Entry {
    /// Reads a file's text.
    ///
    /// # Errors
    /// When it is no refactoring; the reason shows line and caret.
    pub fn parse(name: &str, text: &str) -> Result<Self, JournalError> {
        let syntax = |reason: String| JournalError::Syntax { file: format!("{name}.toml"), reason };
        // `flatten` would lose line and caret, so the one table is read by itself and `after` apart.
        let table: toml::Table = toml::from_str(text).map_err(|e| syntax(e.to_string()))?;
        if table.values().any(holds_nul) {
            return Err(syntax("it contains the character NUL, which no text of PostgreSQL can".into()));
        }
        let after = match table.get("after") {
            None => None,
            Some(toml::Value::String(after)) => Some(after.clone()),
            Some(_) => return Err(syntax("`after` must be the name of a refactoring".into())),
        };
        let body: String = said(text).map(|line| format!("{}\n", line.unwrap_or_default())).collect();
        let refactoring: Refactoring = toml::from_str(&body).map_err(|e| syntax(e.to_string()))?;
        Ok(Self { step: Step { name: name.to_owned(), refactoring }, after, text: text.to_owned() })
    }

    /// A new record.
    ///
    /// # Errors
    /// When the refactoring cannot be written as TOML, which is a fault of ours.
    pub fn new(name: String, after: Option<String>, refactoring: Refactoring) -> Result<Self, toml::ser::Error> {
        let text = toml::to_string(&File { after: after.clone(), refactoring: refactoring.clone() })?;
        Ok(Self { step: Step { name, refactoring }, after, text })
    }

    /// The same coming after another one. Nothing else of its text changes, nor does its hash.
    #[must_use]
    pub fn placed_after(&self, after: Option<&str>) -> Self {
        let mut head = after.map(|after| format!("after = {}\n", toml::Value::String(after.to_owned())));
        let mut text = String::new();
        if self.after.is_none() {
            text.extend(head.take());
        }
        for (line, stays) in self.text.lines().zip(said(&self.text)) {
            match stays {
                Some(_) => text += &format!("{line}\n"),
                None => text.extend(head.take()),
            }
        }
        Self { step: self.step.clone(), after: after.map(str::to_owned), text }
    }

    /// SHA-256 of the text, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        hash(&self.text)
    }
}

/// Whether a text in it contains the character NUL.
fn holds_nul(value: &toml::Value) -> bool {
    match value {
        toml::Value::String(text) => text.contains('\0'),
        toml::Value::Array(items) => items.iter().any(holds_nul),
        toml::Value::Table(table) => table.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

/// The lines of a text, without the one that tells the place: `after`, before the refactoring itself.
fn said(text: &str) -> impl Iterator<Item = Option<&str>> {
    let is_after =
        |line: &str| line.trim_start().strip_prefix("after").is_some_and(|rest| rest.trim_start().starts_with('='));
    let mut inside = false;
    text.lines().map(move |line| {
        inside |= line.trim_start().starts_with('[');
        Some(line).filter(|line| inside || !is_after(line))
    })
}

/// SHA-256 of what a text says, in hexadecimal. Line ends do not count, so that a checkout on another system is no
/// change; nor does `after`, which tells the place among others and changes when one of them is undone.
#[must_use]
pub fn hash(text: &str) -> String {
    let said: String = said(text).flatten().map(|l| format!("{}\n", l.trim_end())).collect();
    Sha256::digest(said.trim_start().as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// Puts entries in order: each after the one it names, else by name.
///
/// # Errors
/// When an `after` names nothing or they go in a circle.
pub fn order(entries: Vec<Entry>) -> Result<Vec<Entry>, JournalError> {
    let names: BTreeSet<String> = entries.iter().map(|e| e.step.name.clone()).collect();
    let mut open: BTreeMap<String, Entry> = BTreeMap::new();
    for entry in entries {
        if let Some(after) = entry.after.as_ref().filter(|a| !names.contains(*a)) {
            return Err(JournalError::Missing { file: format!("{}.toml", entry.step.name), after: after.clone() });
        }
        open.insert(entry.step.name.clone(), entry);
    }
    let mut ordered: Vec<Entry> = Vec::new();
    let mut done = BTreeSet::new();
    while !open.is_empty() {
        let ready = open.values().find(|e| e.after.as_ref().is_none_or(|a| done.contains(a)));
        let Some(name) = ready.map(|e| e.step.name.clone()) else {
            return Err(JournalError::Circle(open.into_keys().collect()));
        };
        if let Some(entry) = open.remove(&name) {
            done.insert(name);
            ordered.push(entry);
        }
    }
    Ok(ordered)
}

/// The entries whose `after` names one that goes, coming after what that one came after instead.
fn relink(entries: Vec<Entry>, gone: &[String]) -> Vec<Entry> {
    let before: BTreeMap<String, Option<String>> =
        entries.iter().map(|e| (e.step.name.clone(), e.after.clone())).collect();
    let mut relinked = Vec::new();
    for entry in entries {
        let named = |after: &Option<String>| after.as_ref().is_some_and(|a| gone.contains(a));
        if gone.contains(&entry.step.name) || !named(&entry.after) {
            continue;
        }
        let mut after = entry.after.clone();
        while named(&after) {
            after = after.and_then(|a| before.get(&a).cloned().flatten());
        }
        relinked.push(entry.placed_after(after.as_deref()));
    }
    relinked
}

/// The directory with the files.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// A directory that need not exist yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.toml"))
    }

    /// All entries, in order. An absent directory has none.
    ///
    /// # Errors
    /// When a file cannot be read or understood.
    pub fn read(&self) -> Result<Vec<Entry>, JournalError> {
        let io = |path: &Path| {
            let path = path.display().to_string();
            move |source| JournalError::Io { path, source }
        };
        let files = match std::fs::read_dir(&self.path) {
            Ok(files) => files,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io(&self.path)(e)),
        };
        let mut entries = Vec::new();
        for file in files {
            let path = file.map_err(io(&self.path))?.path();
            if path.extension().is_none_or(|e| e != "toml") {
                continue;
            }
            let odd = |why| JournalError::Odd { path: path.display().to_string(), why };
            let name = path.file_stem().and_then(|s| s.to_str()).ok_or_else(|| odd("its name is not UTF-8"))?;
            // A link may lead anywhere, and an error shows lines of what it leads to.
            if !std::fs::symlink_metadata(&path).map_err(io(&path))?.is_file() {
                return Err(odd("it is no regular file"));
            }
            entries.push(Entry::parse(name, &std::fs::read_to_string(&path).map_err(io(&path))?)?);
        }
        order(entries)
    }

    /// Writes an entry's file, all of it or nothing.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn write(&self, entry: &Entry) -> Result<PathBuf, JournalError> {
        let file = self.file(&entry.step.name);
        let draft = file.with_extension("toml.new");
        let io = |source| JournalError::Io { path: file.display().to_string(), source };
        std::fs::create_dir_all(&self.path).map_err(io)?;
        std::fs::write(&draft, &entry.text).map_err(io)?;
        std::fs::rename(&draft, &file).map_err(io)?;
        Ok(file)
    }

    /// Removes the files of entries, and has those that came after them come after what these came after.
    ///
    /// # Errors
    /// When a file cannot be read, written or removed.
    pub fn take_out(&self, names: &[String]) -> Result<(), JournalError> {
        for entry in relink(self.read()?, names) {
            self.write(&entry)?;
        }
        names.iter().try_for_each(|name| self.remove(name))
    }

    /// Removes an entry's file, if it is there.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn remove(&self, name: &str) -> Result<(), JournalError> {
        let file = self.file(name);
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(JournalError::Io { path: file.display().to_string(), source: e })
            }
            _ => Ok(()),
        }
    }
}

/// A name for the next refactoring: a number that no other has, and what it does.
#[must_use]
pub fn next_name(taken: &[String], refactoring: &Refactoring) -> String {
    let number = taken.iter().filter_map(|n| n.split('-').next()?.parse::<u32>().ok()).max().unwrap_or(0) + 1;
    let slug: String = refactoring
        .slug()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
        .collect();
    Ident::generated(&[&format!("{number:04}-{}", slug.trim_matches('-'))]).as_str().to_owned()
}

/// New records, each after the one before it; `taken` are the names that are there.
///
/// # Errors
/// When one cannot be written as TOML, which is a fault of ours.
pub fn chain(
    mut taken: Vec<String>,
    mut after: Option<String>,
    refactorings: Vec<Refactoring>,
) -> Result<Vec<Entry>, toml::ser::Error> {
    let one = |refactoring| {
        let name = next_name(&taken, &refactoring);
        taken.push(name.clone());
        Entry::new(name.clone(), after.replace(name), refactoring)
    };
    refactorings.into_iter().map(one).collect()
}

/// What the database says of one refactoring.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The entry, with the text as it was when applied.
    pub entry: Entry,
    /// Whether its data have been moved.
    pub state: State,
    /// The refactoring that takes it back, as its file would say it; known once it is real.
    pub inverse: Option<String>,
    /// When, as ISO 8601 in UTC.
    pub at: String,
    /// Who.
    pub by: String,
}

/// How far a refactoring has come in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Shown by views.
    Deferred,
    /// Real.
    Materialized,
}

/// How the files and a database compare.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// Files that the database does not have, in order.
    pub to_apply: Vec<Entry>,
    /// In the database with another text: (name, text there, text here).
    pub changed: Vec<(String, String, String)>,
    /// In the database, but no file.
    pub missing: Vec<String>,
}

/// Compares files with what a database has.
#[must_use]
pub fn compare(files: &[Entry], recorded: &[Recorded]) -> Comparison {
    let mut comparison = Comparison::default();
    for file in files {
        match recorded.iter().find(|r| r.entry.step.name == file.step.name) {
            None => comparison.to_apply.push(file.clone()),
            Some(there) if there.entry.hash() != file.hash() => {
                comparison.changed.push((file.step.name.clone(), there.entry.text.clone(), file.text.clone()));
            }
            Some(_) => {}
        }
    }
    let named = |name: &str| files.iter().any(|f| f.step.name == name);
    comparison.missing = recorded.iter().map(|r| r.entry.step.name.clone()).filter(|name| !named(name)).collect();
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, after: Option<&str>) -> Entry {
        let head = after.map(|a| format!("after = \"{a}\"\n")).unwrap_or_default();
        Entry::parse(name, &format!("{head}[rename-table]\ntable = \"a\"\nto = \"b\"\n")).expect("parses")
    }

    #[test]
    fn a_written_entry_is_read_back() {
        let made = entry("0002-x", Some("0001-y"));
        let again = Entry::new("0002-x".into(), Some("0001-y".into()), made.step.refactoring.clone()).expect("writes");
        assert_eq!(again, Entry::parse("0002-x", &again.text).expect("parses"));
        assert_eq!(again.step, made.step);
    }

    #[test]
    fn order_follows_after_and_then_the_name() {
        let names = |entries: Vec<Entry>| entries.into_iter().map(|e| e.step.name).collect::<Vec<_>>();
        let ordered = order(vec![entry("b", None), entry("a", Some("c")), entry("c", None)]).expect("orders");
        assert_eq!(names(ordered), ["b", "c", "a"]);
        assert!(matches!(order(vec![entry("a", Some("b")), entry("b", Some("a"))]), Err(JournalError::Circle(_))));
        assert!(matches!(order(vec![entry("a", Some("z"))]), Err(JournalError::Missing { .. })));
    }

    #[test]
    fn who_came_after_one_that_goes_comes_after_the_one_before() {
        let entries = vec![entry("a", None), entry("b", Some("a")), entry("c", Some("b")), entry("d", Some("c"))];
        let hashes: Vec<String> = entries.iter().map(Entry::hash).collect();
        let relinked = relink(entries, &["b".into(), "c".into()]);
        assert_eq!(
            relinked.iter().map(|e| (&*e.step.name, e.after.as_deref())).collect::<Vec<_>>(),
            [("d", Some("a"))]
        );
        assert_eq!(relinked[0].hash(), hashes[3]);
    }

    #[test]
    fn a_mistake_in_a_file_is_shown_with_its_line() {
        let error =
            Entry::parse("x", "after = \"a\"\n[rename-table]\ntabel = \"a\"\nto = \"b\"\n").expect_err("misspelt");
        assert!(error.to_string().contains("line 3"), "{error}");
    }
}
