//! The manual pages as programs: how `docs/refactorings/<name>.md` (and the README) is read, run and written anew.
//!
//! A page is Markdown. Its fenced blocks are run from top to bottom; the first word(s) after the fence say how:
//!
//! * `sql before` makes a new database and runs the block in it: an *example* starts.
//! * `sh sample` makes a new database with the bundled sample in it; the text says how a reader does that.
//! * `console` has commands, each after `$ ` (and `> ` where it goes on), run by a shell in a directory of their own with
//!   `DATABASE_URL` set. Below a command stands what a terminal shows, and `[exit code 1]` where it is not 0.
//! * `toml FILE` is the text of a file that a command wrote.
//! * `sql views` has the views among the SQL that `refactor show --sql` prints.
//! * `sql old` and `sql next` have statements, each ended by `;` at the end of a line, run by code that knows only the
//!   tables, or with `search_path = next, public`. Below each, behind `--`, stands what came of it.
//!
//! What stands below commands and statements, and the text of `toml` and `sql views` blocks, is compared with what
//! really happens. `UPDATE=1 cargo test` writes it into the page instead. Durations, sizes, dates and users are shown
//! as `…`. Other blocks are prose.

use std::path::{Path, PathBuf};
use std::process::Command;

use postgres::{Client, SimpleQueryMessage};

use crate::support::Database;

/// A page, cut into text and blocks.
pub struct Page {
    pub path: PathBuf,
    pub parts: Vec<Part>,
}

/// A stretch of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(String),
    Block { info: String, body: String },
}

/// An example of a page: what stands between one `sql before` and the next.
#[derive(Debug, Clone, Default)]
pub struct Example {
    pub before: String,
    /// The first command, without `$ `.
    pub command: String,
    /// Whether the page shows that it succeeds.
    pub succeeds: bool,
    /// Whether the page shows that materializing is refused.
    pub stays_deferred: bool,
    /// The statements shown before `refactor materialize`: whether they are new code's, and the text.
    pub writes: Vec<(bool, String)>,
}

impl Page {
    /// Reads the page of a refactoring.
    pub fn read(name: &str) -> Self {
        Self::open(&format!("docs/refactorings/{name}.md"))
    }

    /// Reads any page.
    pub fn open(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut parts = vec![Part::Text(String::new())];
        for line in text.lines() {
            let last = parts.pop().unwrap();
            match (last, line.strip_prefix("```")) {
                (Part::Text(text), Some(info)) => {
                    parts.push(Part::Text(text));
                    parts.push(Part::Block { info: info.to_owned(), body: String::new() });
                }
                (block @ Part::Block { .. }, Some("")) => {
                    parts.push(block);
                    parts.push(Part::Text(String::new()));
                }
                (Part::Text(text), None) => parts.push(Part::Text(text + line + "\n")),
                (Part::Block { info, body }, _) => parts.push(Part::Block { info, body: body + line + "\n" }),
            }
        }
        Self { path, parts }
    }

    /// The page as Markdown.
    pub fn text(&self) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Block { info, body } => format!("```{info}\n{body}```\n"),
        };
        self.parts.iter().map(part).collect()
    }

    /// The headings below the title.
    pub fn headings(&self) -> Vec<String> {
        let texts = self.parts.iter().filter_map(|p| if let Part::Text(text) = p { Some(text) } else { None });
        texts.flat_map(|t| t.lines()).filter_map(|l| l.strip_prefix("## ")).map(str::to_owned).collect()
    }

    /// The examples.
    pub fn examples(&self) -> Vec<Example> {
        let mut examples: Vec<Example> = Vec::new();
        let mut real = false;
        for part in &self.parts {
            let Part::Block { info, body } = part else { continue };
            if info == "sql before" {
                examples.push(Example { before: body.clone(), ..Example::default() });
                real = false;
                continue;
            }
            let Some(example) = examples.last_mut() else { continue };
            match &**info {
                "console" => {
                    let (commands, outputs): (Vec<_>, Vec<_>) = commands(body).into_iter().unzip();
                    if example.command.is_empty() {
                        example.command.clone_from(&commands[0]);
                        example.succeeds = !outputs[0].contains("[exit code");
                    }
                    let materialize = commands.iter().position(|c| c.starts_with("refactor materialize"));
                    real |= materialize.is_some();
                    example.stays_deferred |= materialize.is_some_and(|at| outputs[at].contains("[exit code"));
                }
                "sql old" | "sql next" if !real => {
                    let new = info == "sql next";
                    example.writes.extend(statements(body).into_iter().map(|s| (new, s)));
                }
                _ => {}
            }
        }
        examples
    }

    /// Runs the page and compares, or with `UPDATE` writes it.
    pub fn check(&self) {
        let (is, should) = (self.text(), self.run().text());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&self.path, should).unwrap();
        } else if let Some(line) = is.lines().zip(should.lines()).position(|(a, b)| a != b) {
            let around = |text: &str| text.lines().skip(line).take(4).collect::<Vec<_>>().join("\n");
            panic!(
                "{}:{}: the page says\n{}\nbut it is\n{}\n(`UPDATE=1 cargo test` rewrites the page)",
                self.path.display(),
                line + 1,
                around(&is),
                around(&should)
            );
        } else {
            assert_eq!(is, should);
        }
    }

    /// Runs the page and gives it as it should be.
    fn run(&self) -> Self {
        let mut database = None;
        let parts = self.parts.iter().map(|part| match part {
            Part::Block { info, body } => Part::Block { info: info.clone(), body: run(info, body, &mut database) },
            text @ Part::Text(_) => text.clone(),
        });
        Self { path: self.path.clone(), parts: parts.collect() }
    }
}

fn run(info: &str, body: &str, database: &mut Option<Database>) -> String {
    if info == "sql before" {
        *database = Some(new_database(body));
        return body.to_owned();
    }
    if info == "sh sample" {
        *database = Some(new_database(include_str!("../../samples/chinook.sql")));
        return body.to_owned();
    }
    let database = database.get_or_insert_with(|| new_database(""));
    let lines = |lines: Vec<String>| lines.into_iter().map(|l| l + "\n").collect::<String>();
    match info.split_once(' ') {
        None if info == "console" => {
            let run = |(c, _): (String, String)| format!("$ {}\n{}", c.replace('\n', "\n> "), shell(database, &c));
            commands(body).into_iter().map(run).collect::<Vec<_>>().concat()
        }
        Some(("toml", file)) => {
            std::fs::read_to_string(database.directory.path().join(file)).unwrap_or_else(|e| format!("{file}: {e}\n"))
        }
        Some(("sql", "views")) => views(&database.ok(&["show", "--sql"])),
        Some(("sql", side @ ("old" | "next"))) => {
            let mut client = if side == "next" { database.next() } else { database.client() };
            let run = |s: String| format!("{s}{}", lines(result(&mut client, &s).show()));
            statements(body).into_iter().map(run).collect::<Vec<_>>().concat()
        }
        _ => body.to_owned(),
    }
}

/// A database for an example, with statistics that do not depend on the server's moods.
pub fn new_database(before: &str) -> Database {
    let database = Database::new(before);
    database.client().batch_execute("ANALYZE").unwrap();
    database
}

/// Commands and what is shown below each.
fn commands(body: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in body.lines() {
        if let Some(more) = line.strip_prefix("> ")
            && let Some((command, _)) = commands.last_mut().filter(|(_, output)| output.is_empty())
        {
            command.extend(["\n", more]);
            continue;
        }
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => output.extend([line, "\n"]),
            (None, None) => panic!("a console block must start with `$ `: {line}"),
        }
    }
    commands
}

/// Statements with their line ends, without what is shown below.
fn statements(body: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    for line in body.lines().filter(|l| !l.starts_with("--")) {
        let last = statements.last_mut().unwrap();
        last.extend([line, "\n"]);
        if line.ends_with(';') {
            statements.push(String::new());
        }
    }
    assert_eq!(statements.pop().unwrap().trim(), "", "a statement must end with `;`");
    statements
}

/// What came of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Rows(Vec<Vec<(String, Option<String>)>>),
    Done(u64),
    Failed { code: String, lines: Vec<String> },
}

/// Runs a statement.
pub fn result(client: &mut Client, sql: &str) -> Outcome {
    let messages = match client.simple_query(sql) {
        Ok(messages) => messages,
        Err(error) => {
            let said = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
            let code = said.code().code().to_owned();
            let parts = [("detail", said.detail()), ("hint", said.hint())];
            let more = parts.iter().filter_map(|(name, text)| Some(format!("-- {name}: {}", (*text)?)));
            let first = format!("-- ERROR {code}: {}", said.message());
            return Outcome::Failed { code, lines: [first].into_iter().chain(more).collect() };
        }
    };
    let mut rows = Vec::new();
    let mut described = false;
    let mut count = 0;
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(_) => described = true,
            SimpleQueryMessage::Row(row) => {
                let cell = |at: usize| (row.columns()[at].name().to_owned(), row.get(at).map(str::to_owned));
                rows.push((0..row.len()).map(cell).collect());
            }
            SimpleQueryMessage::CommandComplete(n) => count = n,
            _ => {}
        }
    }
    if described { Outcome::Rows(rows) } else { Outcome::Done(count) }
}

impl Outcome {
    /// As the page shows it.
    fn show(&self) -> Vec<String> {
        let rows = match self {
            Self::Failed { lines, .. } => return lines.clone(),
            Self::Done(1) => return vec!["-- 1 row".into()],
            Self::Done(count) => return vec![format!("-- {count} rows")],
            Self::Rows(rows) if rows.is_empty() => return vec!["-- no row".into()],
            Self::Rows(rows) => rows,
        };
        let head = rows[0].iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let body = rows.iter().map(|row| row.iter().map(|(_, v)| v.clone().unwrap_or("NULL".into())).collect());
        let grid: Vec<Vec<String>> = [head].into_iter().chain(body).collect();
        let width = |at: usize| grid.iter().map(|row| row[at].chars().count()).max().unwrap();
        let line = |row: &Vec<String>| {
            let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:w$}", w = width(at)));
            format!("-- {}", cells.collect::<Vec<_>>().join(" | ")).trim_end().to_owned()
        };
        grid.iter().map(line).collect()
    }
}

/// Runs a command line and gives what a terminal would show.
pub fn shell(database: &Database, command: &str) -> String {
    let tools = Path::new(env!("CARGO_BIN_EXE_refactor")).parent().unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(database.directory.path())
        .env("PATH", path)
        .env("DATABASE_URL", database.url())
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let text = settle(&String::from_utf8(output.stdout).unwrap()).replace(&database.name, "shop");
    match output.status.code().unwrap() {
        0 => text,
        code => format!("{text}[exit code {code}]\n"),
    }
}

/// Replaces what differs from run to run.
fn settle(text: &str) -> String {
    let line = |line: &str| {
        let line = without_time(&without_dates(line));
        let words: Vec<&str> = line.split(' ').collect();
        let word = |at: usize| words.get(at).copied().unwrap_or("");
        let settled = (0..words.len()).map(|at| {
            let (bare, next) = (word(at).trim_start_matches('('), word(at + 1));
            let unit = next.trim_end_matches([')', ';', ',']);
            let bracket = if word(at).starts_with('(') { "(" } else { "" };
            if bare.parse::<f64>().is_ok() && ["ms", "s", "MB"].contains(&unit) {
                format!("{bracket}…")
            } else if at > 1 && word(at - 1) == "by" && word(at - 2) == "…" {
                "…".to_owned()
            } else {
                word(at).to_owned()
            }
        });
        settled.collect::<Vec<_>>().join(" ").trim_end().to_owned() + "\n"
    };
    text.lines().map(line).collect()
}

/// How much was tried before time was up.
fn without_time(line: &str) -> String {
    match line.strip_prefix("  tried `").and_then(|rest| rest.split_once("` on ")) {
        Some((table, _)) => {
            format!("  tried `{table}` on … rows: … writes, … of them rejected by its rules; all was rolled back")
        }
        None => line.to_owned(),
    }
}

/// Replaces `2026-01-31 12:00:00.5+00` and the like.
fn without_dates(line: &str) -> String {
    let is_date = |text: &str| {
        text.len() >= 11
            && text.bytes().zip(*b"0000-00-00").all(|(is, like)| is == like || (like == b'0' && is.is_ascii_digit()))
    };
    let mut text = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if is_date(rest) {
            text.push('…');
            let end =
                rest[11..].find(|c: char| !(c.is_ascii_digit() || "-:.+Z".contains(c))).unwrap_or(rest.len() - 11);
            rest = &rest[11 + end..];
        } else {
            text.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    text
}

/// The views among generated SQL.
fn views(sql: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in sql.lines() {
        inside |= line.starts_with("CREATE VIEW ");
        if inside {
            // PostgreSQL 14 has no such views.
            text += &format!("{line}\n").replace(" WITH (security_invoker = true)", "");
            inside = !line.ends_with(';');
        }
    }
    text
}
