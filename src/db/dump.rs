//! A dump as `pg_dump` writes it, loaded into a private server: the tables of a database that is not there.
//!
//! Rows are left out but for those of our journal. Owners that are not there are made, what only `psql` understands is
//! passed over, and so are extensions and settings that this server does not have.

use std::fs::DirEntry;
use std::io::Write;
use std::path::Path;

use postgres::Client;
use postgres::error::SqlState;

use crate::db::connect::Target;
use crate::db::embedded::Server;
use crate::db::message;
use crate::name::Ident;
use crate::problem::{Kind, Problem};

/// A private server with the tables of a dump. It ends with this.
pub struct Dumped {
    /// The database.
    pub target: Target,
    _server: Server,
}

/// A piece of a dump.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    /// A statement.
    Statement(&'t str),
    /// Rows for a table, with the statement that announces them.
    Rows(&'t str, &'t str),
}

impl Dumped {
    /// The same of a file.
    ///
    /// # Errors
    /// The same, or when the file cannot be read.
    pub fn read(file: &Path, rows: bool) -> Result<Self, Problem> {
        Self::load(&text(file)?, rows)
    }

    /// Starts a server that has nothing yet.
    ///
    /// # Errors
    /// When there is none to start.
    pub fn empty() -> Result<Self, Problem> {
        let server = Server::start().map_err(Problem::from)?;
        let target = Target::resolve(Some(&server.url("postgres")))?;
        Ok(Self { target, _server: server })
    }

    /// Makes a database of that name beside the others, from a template if one is named.
    ///
    /// # Errors
    /// What the server says.
    pub fn database(&self, name: &str, template: &str) -> Result<Target, Problem> {
        let mut client = self.target.with_database("postgres").connect()?;
        client.batch_execute(&format!("CREATE DATABASE {} TEMPLATE {}", Ident::new(name), Ident::new(template)))?;
        Ok(self.target.with_database(name))
    }

    /// Takes a database away, whoever is connected.
    ///
    /// # Errors
    /// What the server says.
    pub fn drop_database(&self, name: &str) -> Result<(), Problem> {
        let mut client = self.target.with_database("postgres").connect()?;
        Ok(client.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", Ident::new(name)))?)
    }

    /// Starts a server and loads a dump there, with its rows if they are wanted.
    ///
    /// # Errors
    /// When there is no server to start, or the dump is none.
    pub fn load(text: &str, rows: bool) -> Result<Self, Problem> {
        let mut dumped = Self::empty()?;
        dumped.target = dumped.database("dump", "template0")?;
        fill(&dumped.target, text, rows)?;
        Ok(dumped)
    }
}

/// What a file says, or all files of a directory whose names end in `.sql`, in the order of their names.
///
/// # Errors
/// When there is no such file, or it is no text.
pub fn text(file: &Path) -> Result<String, Problem> {
    let failed = |why: String, hint: &str| {
        Problem::new(Kind::Usage, format!("cannot read `{}`", file.display()), why).hint(hint)
    };
    let write = "write it: `pg_dump --schema-only --file dump.sql`";
    if file.is_dir() {
        let inside = std::fs::read_dir(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut files: Vec<_> = inside.map_err(|e| failed(e.to_string(), write))?.iter().map(DirEntry::path).collect();
        files.retain(|f| f.is_dir() || f.extension().is_some_and(|e| e.eq_ignore_ascii_case("sql")));
        files.sort();
        let texts = files.iter().map(|f| text(f)).collect::<Result<Vec<_>, _>>()?;
        return Ok(texts.join("\n;\n"));
    }
    let text = std::fs::read(file).map_err(|e| failed(e.to_string(), write))?;
    String::from_utf8(text).ok().filter(|text| !text.contains('\0')).ok_or_else(|| {
        let hint = "write it anew: `pg_dump --schema-only --format plain --encoding UTF8 --file dump.sql`";
        failed("it is no plain text in UTF-8".into(), hint)
    })
}

/// Runs a dump in an empty database. What needs something that comes later waits for it.
///
/// # Errors
/// When the dump is none.
pub fn fill(target: &Target, text: &str, rows: bool) -> Result<(), Problem> {
    let mut client = target.connect()?;
    // Functions may name what comes later.
    client.batch_execute("SET check_function_bodies = off")?;
    let mut open = pieces(text);
    loop {
        let (count, mut waiting) = (open.len(), Vec::new());
        for piece in open {
            let done = match &piece {
                Piece::Statement(sql) => statement(&mut client, sql, rows),
                Piece::Rows(sql, lines) if rows || sql.contains(" refactor.") => copy(&mut client, sql, lines),
                Piece::Rows(..) => Ok(()),
            };
            match done {
                Err(problem) if problem.why.iter().any(|why| why.contains("does not exist")) => {
                    waiting.push((piece, problem));
                }
                done => done?,
            }
        }
        match waiting.pop() {
            None => return Ok(()),
            // The first is the one that others may have waited for.
            Some((_, last)) if waiting.len() + 1 == count => {
                return Err(waiting.into_iter().next().map_or(last, |(_, first)| first));
            }
            Some(last) => {
                waiting.push(last);
                open = waiting.into_iter().map(|(piece, _)| piece).collect();
            }
        }
    }
}

fn copy(client: &mut Client, sql: &str, lines: &str) -> Result<(), Problem> {
    let failed = |error: &postgres::Error| Problem::server("cannot load the rows of the dump", error);
    let mut to = client.copy_in(sql).map_err(|e| failed(&e))?;
    to.write_all(lines.as_bytes())
        .map_err(|e| Problem::new(Kind::Server, "cannot load the rows of the dump", e.to_string()))?;
    to.finish().map(|_| ()).map_err(|e| failed(&e))
}

/// What is said of the server, of a database as a whole, or of rows.
const ELSEWHERE: [&str; 9] = [
    "CREATE DATABASE",
    "ALTER DATABASE",
    "DROP DATABASE",
    "COMMENT ON DATABASE",
    "COMMENT ON EXTENSION",
    "CREATE TABLESPACE",
    "CREATE SUBSCRIPTION",
    "ALTER SUBSCRIPTION",
    "SECURITY LABEL",
];

fn statement(client: &mut Client, sql: &str, rows: bool) -> Result<(), Problem> {
    let head = sql.to_uppercase();
    let is = |words: &str| head.starts_with(words);
    if ELSEWHERE.iter().any(|words| is(words)) || is("INSERT INTO") && !rows && !is("INSERT INTO REFACTOR.") {
        return Ok(());
    }
    // As many roles may be missing as it names.
    for _ in 0..64 {
        let Err(error) = client.batch_execute(sql) else { return Ok(()) };
        let Some(server) = error.as_db_error() else { return Err(error.into()) };
        let missing_role = || {
            let text = server.message().strip_prefix("role \"")?.strip_suffix("\" does not exist")?;
            Some(Ident::new(text))
        };
        let exists = [SqlState::DUPLICATE_SCHEMA, SqlState::DUPLICATE_OBJECT, SqlState::DUPLICATE_FUNCTION];
        if let Some(role) = missing_role() {
            client.batch_execute(&format!("CREATE ROLE {role}"))?;
        } else if exists.contains(server.code())
            || is("SET ")
            || is("SELECT PG_CATALOG.SET_CONFIG")
            || is("CREATE EXTENSION")
        {
            return Ok(());
        } else {
            let first = sql.lines().next().unwrap_or_default();
            let why = format!("this statement of the dump fails: {first} …: {}", message::render(&error, None));
            let hint = "name programs of PostgreSQL that fit the dump, with the extensions that it uses: `REFACTOR_PG_BIN=DIR refactor …`; or work on the database itself: `--database-url`";
            return Err(Problem::new(Kind::Server, "cannot read the tables of the dump", why).hint(hint));
        }
    }
    Ok(())
}

/// Cuts a dump at the ends of its statements.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(line) = rest.strip_prefix('\\').or_else(|| rest.strip_prefix("--")) {
            rest = line.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        let Some(end) = end(rest) else { break };
        let (sql, after) = rest.split_at(end);
        let sql = sql.trim_end_matches(';').trim();
        rest = after;
        let upper = sql.to_uppercase();
        if upper.starts_with("COPY ") && upper.ends_with("FROM STDIN") {
            let lines = rest.split_once('\n').map_or("", |(_, lines)| lines);
            let (rows, after) = match lines.find("\\.\n").filter(|at| *at == 0 || lines[..*at].ends_with('\n')) {
                Some(at) => (&lines[..at], &lines[at + 3..]),
                None => lines.find("\n\\.\n").map_or((lines, ""), |at| (&lines[..=at], &lines[at + 4..])),
            };
            pieces.push(Piece::Rows(sql, rows));
            rest = after;
        } else if !sql.is_empty() {
            pieces.push(Piece::Statement(sql));
        }
    }
    pieces
}

/// Where the first statement ends, after its semicolon; none where there is no more.
fn end(text: &str) -> Option<usize> {
    let mut at = 0;
    // Bodies of SQL functions have semicolons of their own, between BEGIN ATOMIC and END.
    let mut depth = 0_usize;
    let (mut word, mut before) = (String::new(), String::new());
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let skipped = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if c == '\'' || c == '"' {
            let escapes = c == '\'' && word.eq_ignore_ascii_case("e");
            quoted(rest, c, escapes)
        } else if let Some(tag) = (c == '$' && word.is_empty()).then(|| tag(rest)).flatten() {
            rest[tag.len()..].find(tag).map_or(rest.len(), |end| end + 2 * tag.len())
        } else {
            0
        };
        if skipped > 0 {
            word.clear();
            at += skipped;
            continue;
        }
        if c.is_alphanumeric() || c == '_' {
            word.push(c.to_ascii_uppercase());
        } else if !word.is_empty() {
            match (&*before, &*word) {
                ("BEGIN", "ATOMIC") => depth = 1,
                (_, "CASE") if depth > 0 => depth += 1,
                (_, "END") => depth = depth.saturating_sub(1),
                _ => {}
            }
            before = std::mem::take(&mut word);
        }
        at += c.len_utf8();
        if c == ';' && depth == 0 {
            return Some(at);
        }
    }
    (!text.trim().is_empty()).then_some(text.len())
}

/// How long a quoted text is, with its quotes.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' || c == quote && chars.peek().is_some_and(|(_, next)| *next == quote) {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// `$tag$`, if the text begins with one.
fn tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 2;
    let inside = &text[1..end - 1];
    let plain =
        inside.chars().all(|c| c.is_alphanumeric() || c == '_') && !inside.starts_with(|c: char| c.is_ascii_digit());
    plain.then_some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_cut_at_the_ends_of_its_statements() {
        let text = "\\restrict abc\n-- a; b\nSET a = 'x;''y';\nCREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;\n\
            CREATE FUNCTION g() AS $_$ BEGIN; END $_$;\nCOPY public.t (a) FROM stdin;\n1;\n\\.\n\nCOPY u FROM stdin;\n\\.\nSELECT E'\\';';\n\\unrestrict abc\n";
        let found = pieces(text);
        assert_eq!(found.len(), 6, "{found:?}");
        assert_eq!(found[0], Piece::Statement("SET a = 'x;''y'"));
        assert!(matches!(found[1], Piece::Statement(sql) if sql.ends_with("SELECT 2; END")));
        assert_eq!(found[3], Piece::Rows("COPY public.t (a) FROM stdin", "1;\n"));
        assert_eq!(found[4], Piece::Rows("COPY u FROM stdin", ""));
        assert_eq!(found[5], Piece::Statement("SELECT E'\\';'"));
    }
}
