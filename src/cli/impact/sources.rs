//! Where an application's statements are read from: files, a log, or what the server remembers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use postgres::Client;

use super::text::{self, Piece};
use super::{log, program};
use crate::problem::{Kind, Problem};

/// A statement, with all places where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// `file:line`
    pub places: Vec<String>,
    /// As it is written.
    pub text: String,
}

/// Names of folders that have other people's code.
const NOT_OURS: [&str; 4] = ["node_modules", "target", "vendor", "__pycache__"];

/// Collects statements, each once.
#[derive(Debug, Default)]
pub struct Sources {
    found: Vec<Statement>,
    known: BTreeMap<String, usize>,
}

impl Sources {
    /// All that were found, in their order.
    pub fn all(self) -> Vec<Statement> {
        self.found
    }

    fn add(&mut self, place: String, text: String, constants: bool) {
        let like = text::likeness(&text, constants);
        if let Some(at) = self.known.get(&like) {
            self.found[*at].places.push(place);
        } else {
            self.known.insert(like, self.found.len());
            self.found.push(Statement { places: vec![place], text });
        }
    }

    fn add_all(&mut self, file: &str, pieces: Vec<Piece>, constants: bool) {
        for piece in pieces.into_iter().filter(|p| program::begins(&p.text)) {
            self.add(format!("{file}:{}", piece.line), piece.text, constants);
        }
    }

    /// Reads files, folders with all that is below them, patterns such as `app/**/*.py`, and `-`.
    pub fn read(&mut self, files: &[PathBuf]) -> Result<(), Problem> {
        for file in files {
            let name = file.display().to_string();
            if name == "-" {
                let text = std::io::read_to_string(std::io::stdin()).map_err(|e| unread("standard input", &e))?;
                self.add_all("-", text::pieces(&text), false);
                continue;
            }
            let mut paths = Vec::new();
            if file.is_dir() {
                below(file, &mut paths);
            } else if !file.exists() && name.contains(['*', '?']) {
                matching(&name, &mut paths);
            } else {
                self.file(file)?;
                continue;
            }
            if paths.is_empty() {
                return Err(Problem::new(
                    Kind::Files,
                    "cannot read the statements",
                    format!("no file is like `{name}`"),
                )
                .hint("name files, folders, or a pattern such as `'app/**/*.py'`"));
            }
            paths.sort();
            // What is found by the way and is no text has no statements.
            for path in paths {
                if let Ok(text) = std::fs::read_to_string(&path) {
                    self.text(&path, &text);
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), Problem> {
        let text = std::fs::read_to_string(path).map_err(|e| unread(&path.display().to_string(), &e))?;
        self.text(path, &text);
        Ok(())
    }

    fn text(&mut self, path: &Path, text: &str) {
        let is_sql = path.extension().is_none_or(|e| ["sql", "psql", "ddl", "pgsql"].iter().any(|x| e == *x));
        let pieces = if is_sql { text::pieces(text) } else { program::pieces(text) };
        self.add_all(&path.display().to_string(), pieces, false);
    }

    /// Reads a log of the server: statements that differ in constants alone are one.
    pub fn log(&mut self, path: &Path) -> Result<(), Problem> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| unread(&name, &e))?;
        self.add_all(&name, log::pieces(&String::from_utf8_lossy(&bytes)), true);
        Ok(())
    }

    /// Reads what `pg_stat_statements` remembers of this database.
    pub fn remembered(&mut self, client: &mut Client) -> Result<(), Problem> {
        let what = "cannot read `pg_stat_statements`";
        let schema = client.query_opt(
            "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'",
            &[],
        )?;
        let Some(schema) = schema.map(|row| row.get::<_, String>(0)) else {
            return Err(Problem::new(Kind::Server, what, "this database does not have the extension")
                .hint("`CREATE EXTENSION pg_stat_statements`, with it in `shared_preload_libraries`; or read a log: `--log FILE`"));
        };
        let query = format!(
            "SELECT s.query, sum(s.calls)::bigint FROM {schema}.pg_stat_statements AS s JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid WHERE d.datname = pg_catalog.current_database() AND s.query IS NOT NULL GROUP BY s.query ORDER BY 2 DESC, 1"
        );
        for row in client.query(&query, &[]).map_err(|e| Problem::server(what, &e))? {
            let (query, calls): (String, i64) = (row.get(0), row.get(1));
            for piece in text::pieces(&query).into_iter().filter(|p| program::begins(&p.text)) {
                self.add(format!("pg_stat_statements ({calls} calls)"), piece.text, false);
            }
        }
        Ok(())
    }
}

fn unread(name: &str, error: &std::io::Error) -> Problem {
    Problem::new(Kind::Files, "cannot read the statements", format!("{name}: {error}"))
}

/// The files below a folder.
fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let is_link = entry.file_type().is_ok_and(|t| t.is_symlink());
        if name.starts_with('.') || is_link {
            continue;
        }
        if !path.is_dir() {
            found.push(path);
        } else if !NOT_OURS.contains(&&*name) {
            below(&path, found);
        }
    }
}

/// The files that are like a pattern.
fn matching(pattern: &str, found: &mut Vec<PathBuf>) {
    let parts: Vec<&str> = pattern.split('/').collect();
    let fixed = parts.iter().take_while(|p| !p.contains(['*', '?'])).count();
    let folder = parts[..fixed].join("/");
    let folder = if folder.is_empty() { if pattern.starts_with('/') { "/" } else { "." } } else { &folder };
    let mut all = Vec::new();
    below(Path::new(folder), &mut all);
    for path in all {
        let inside = path.strip_prefix(folder).unwrap_or(&path);
        let names: Vec<String> = inside.iter().map(|n| n.to_string_lossy().into_owned()).collect();
        if is_like(&names.iter().map(String::as_str).collect::<Vec<_>>(), &parts[fixed..]) {
            found.push(if folder == "." { inside.to_owned() } else { path });
        }
    }
}

fn is_like(names: &[&str], parts: &[&str]) -> bool {
    match (names, parts) {
        ([], []) => true,
        (_, ["**", rest @ ..]) => (0..=names.len()).any(|skip| is_like(&names[skip..], rest)),
        ([name, names @ ..], [part, parts @ ..]) => wild(name, part) && is_like(names, parts),
        _ => false,
    }
}

fn wild(name: &str, pattern: &str) -> bool {
    let mut chars = pattern.chars();
    match (chars.next(), name.chars().next()) {
        (None, first) => first.is_none(),
        (Some('*'), _) => {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| wild(&name[at..], chars.as_str()))
        }
        (Some(wanted), Some(is)) => (wanted == '?' || wanted == is) && wild(&name[is.len_utf8()..], chars.as_str()),
        (Some(_), None) => false,
    }
}
