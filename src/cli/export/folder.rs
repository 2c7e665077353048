//! A folder of migrations: what is exported there, and which number comes next.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::problem::{Kind, Problem};

/// What a file of ours says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// `show` or `materialize`.
    pub does: String,
    /// The refactorings.
    pub names: Vec<String>,
}

/// Before a mark.
const WORD: &str = "refactor-export: ";

impl Mark {
    /// One line.
    pub fn line(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        // `${…}` means something to some.
        format!("{WORD}{}", json.replace('$', "\\u0024"))
    }

    /// The mark of a file.
    pub fn of(text: &str) -> Option<Self> {
        text.lines().take(20).find_map(|line| serde_json::from_str(line.split_once(WORD)?.1).ok())
    }
}

/// A file of a folder.
pub struct File {
    /// Its name.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// The folder.
pub struct Folder {
    path: PathBuf,
    /// Its files.
    pub files: Vec<File>,
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

fn io<'p>(path: &'p Path, what: &'p str) -> impl Fn(std::io::Error) -> Problem + 'p {
    move |error| Problem::new(Kind::Files, what, format!("{}: {error}", path.display()))
}

impl Folder {
    /// Reads a folder; one that is not there has no files.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let failed = io(path, "cannot read the migrations");
        let mut files = Vec::new();
        let listed = match std::fs::read_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            listed => Some(listed.map_err(&failed)?),
        };
        for file in listed.into_iter().flatten() {
            let file = file.map_err(&failed)?;
            let is_file = file.file_type().map_err(&failed)?.is_file();
            if let (true, Some(name)) = (is_file, file.file_name().to_str()) {
                let text = std::fs::read(file.path()).map_err(&failed)?;
                files.push(File { name: name.to_owned(), text: String::from_utf8_lossy(&text).into_owned() });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { path: path.to_owned(), files })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The refactorings that a file here makes real.
    pub fn exported(&self) -> BTreeSet<String> {
        let marks = self.files.iter().filter_map(|file| Mark::of(&file.text));
        marks.filter(|mark| mark.does == "materialize").flat_map(|mark| mark.names).collect()
    }

    /// Writes a file, which must not be there yet.
    pub fn write(&mut self, name: &str, text: &str) -> Result<(), Problem> {
        let path = self.path.join(name);
        let failed = io(&path, "cannot write the migration");
        std::fs::create_dir_all(&self.path).map_err(&failed)?;
        let mut file = std::fs::File::create_new(&path).map_err(&failed)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(&failed)?;
        self.files.push(File { name: name.to_owned(), text: text.to_owned() });
        Ok(())
    }

    /// The number of a file: digits at its beginning, after a letter or none.
    fn number(file: &File) -> Option<&str> {
        let name = file.name.strip_prefix(['V', 'U', 'v']).unwrap_or(&file.name);
        let end = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
        (end > 0).then(|| &name[..end])
    }

    /// The number for the next file, as those that are here have it: counted, or the moment `now`; else like `first`, or the moment.
    pub fn next(&self, first: Option<&str>, now: &str) -> String {
        let numbers = self.files.iter().filter_map(Self::number);
        let last = numbers.filter_map(|n| Some((n.parse::<u64>().ok()?, n.len()))).max();
        match (last, first) {
            (Some((last, width)), _) if width < 8 => format!("{:0width$}", last + 1),
            (Some((last, width)), _) => {
                let now = Some(now).filter(|now| now.len() == width).and_then(|now| now.parse::<u64>().ok());
                now.filter(|now| *now > last).unwrap_or(last + 1).to_string()
            }
            (None, Some(first)) => first.to_owned(),
            (None, None) => now.to_owned(),
        }
    }

    /// Whether a word is in the name of a file.
    pub fn has(&self, word: &str) -> bool {
        self.files.iter().any(|file| file.name.contains(word))
    }
}
