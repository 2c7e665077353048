//! A copy of a database, made for a rehearsal and dropped after it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;

use crate::db::connect::Target;
use crate::db::embedded::Server;
use crate::name::Ident;
use crate::problem::{Kind, Problem};
use crate::sql::Literal;

/// What the comment of such a database begins with.
const MARK: &str = "refactor: rehearsal";

/// What is left free in a name for the number of a copy of the copy.
const ROOM: usize = "_9999".len();

/// How a copy was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By the server, file by file.
    Template,
    /// By `pg_dump`, on the same server.
    Dump,
    /// The same without rows.
    Tables,
    /// By `pg_dump`, on a private server.
    Private,
}

impl How {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Template => "copied by the server",
            Self::Dump => "copied by pg_dump, since others are connected or it is somebody else's,",
            Self::Tables => "copied by pg_dump, its tables without rows,",
            Self::Private => "copied by pg_dump to a private server, since you may not create databases",
        }
    }
}

/// A copy. Dropped with this, unless it is kept.
pub struct Copy {
    /// The copy itself.
    pub target: Target,
    /// How it was made.
    pub how: How,
    /// How long that took.
    pub time: Duration,
    /// What runs that were cut off had left, which was dropped.
    pub left: Vec<String>,
    name: String,
    /// Copies of the copy.
    clones: Vec<String>,
    /// Tells others that the copy is in use.
    keeper: Option<Client>,
    kept: bool,
    _server: Option<Server>,
}

impl Copy {
    /// Copies a database, with its rows or only its tables.
    ///
    /// # Errors
    /// When there is no way to make one; says what was tried.
    pub fn of(source: &Target, schema_only: bool) -> Result<Self, Problem> {
        let start = Instant::now();
        let name = name(source.database());
        let database = Ident::new(&*name);
        let mut keeper = maintenance(source, &name)?;
        let left = tidy(&mut keeper)?;
        let failed = |error: &postgres::Error| Problem::server("cannot copy the database", error);
        let by_server = !schema_only && {
            let template = Ident::new(source.database());
            let create = format!("CREATE DATABASE {database} TEMPLATE {template}");
            let free = !is_in_use(&mut keeper, source.database())?;
            match free.then(|| keeper.batch_execute(&create)) {
                None => false,
                Some(Ok(())) => true,
                Some(Err(error)) if error.code() == Some(&SqlState::OBJECT_IN_USE) || is_forbidden(&error) => false,
                Some(Err(error)) => return Err(failed(&error)),
            }
        };
        let how = if by_server {
            How::Template
        } else {
            match keeper.batch_execute(&format!("CREATE DATABASE {database} TEMPLATE template0")) {
                Ok(()) if schema_only => How::Tables,
                Ok(()) => How::Dump,
                Err(error) if is_forbidden(&error) => How::Private,
                Err(error) => return Err(failed(&error)),
            }
        };
        let (target, keeper, server) = if how == How::Private {
            let server = Server::start().map_err(Problem::from)?;
            (Target::resolve(Some(&server.url("postgres")))?, None, Some(server))
        } else {
            (source.with_database(&name), Some(keeper), None)
        };
        let (time, clones) = (Duration::ZERO, Vec::new());
        let mut copy = Self { target, how, time, left, name, clones, keeper, kept: false, _server: server };
        copy.mark(&copy.name.clone(), &format!("{MARK} of {}", source.database()))?;
        if how != How::Template {
            fill(source, &copy.target, how, schema_only)?;
        }
        copy.settings(source, &copy.name.clone())?;
        copy.time = start.elapsed();
        Ok(copy)
    }

    /// Copies the copy as it is now, so many times. Nobody may be connected to it.
    ///
    /// # Errors
    /// What the server says.
    pub fn clones(&mut self, source: &Target, count: usize) -> Result<Vec<Target>, Problem> {
        let mut private = match self.how {
            How::Private => Some(self.target.with_database("template1").connect()?),
            _ => None,
        };
        let mut targets = Vec::new();
        for _ in 0..count {
            let name = numbered(&self.name, self.clones.len() + 1);
            let (clone, template) = (Ident::new(&*name), Ident::new(self.target.database()));
            if let Some(client) = private.as_mut().or(self.keeper.as_mut()) {
                // Known before it is there: it goes however this ends.
                self.clones.push(name.clone());
                let create = format!("CREATE DATABASE {clone} TEMPLATE {template}");
                client.batch_execute(&create).map_err(|e| Problem::server("cannot copy the copy", &e))?;
            }
            self.mark(&name, &format!("{MARK} of {}", source.database()))?;
            self.settings(source, &name)?;
            targets.push(self.target.with_database(&name));
        }
        Ok(targets)
    }

    fn mark(&mut self, name: &str, text: &str) -> Result<(), Problem> {
        let comment = format!("COMMENT ON DATABASE {} IS {}", Ident::new(name), Literal(text.to_owned()));
        match &mut self.keeper {
            Some(keeper) => Ok(keeper.batch_execute(&comment)?),
            None => Ok(()),
        }
    }

    /// What is set for a database, or for somebody in it, is no part of it.
    fn settings(&mut self, source: &Target, name: &str) -> Result<(), Problem> {
        let Some(keeper) = &mut self.keeper else { return Ok(()) };
        let rows = keeper.query(
            "SELECT CASE s.setrole WHEN 0 THEN format('ALTER DATABASE %I', $2::text)
                      ELSE format('ALTER ROLE %I IN DATABASE %I', pg_get_userbyid(s.setrole), $2::text) END
                    || format(' SET %I = ', split_part(c, '=', 1))
                    -- Lists are lists of names.
                    || CASE WHEN lower(split_part(c, '=', 1)) IN ('search_path', 'datestyle', 'temp_tablespaces', 'session_preload_libraries',
                          'local_preload_libraries') THEN substr(c, strpos(c, '=') + 1) ELSE quote_literal(substr(c, strpos(c, '=') + 1)) END
             FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase, unnest(s.setconfig) AS c
             WHERE d.datname = $1",
            &[&source.database(), &name],
        )?;
        for row in rows {
            // What only an administrator may set does not matter to a rehearsal.
            let _ = keeper.batch_execute(row.get(0));
        }
        Ok(())
    }

    /// Lets the copy stay, and its copies.
    ///
    /// # Errors
    /// When the server says so, or when it goes with this process.
    pub fn keep(&mut self) -> Result<(), Problem> {
        if self.how == How::Private {
            let why = "it is on a private server, which ends with this process";
            return Err(
                Problem::new(Kind::Usage, "cannot keep the copy", why).hint("ask for the right to create databases")
            );
        }
        self.kept = true;
        let names: Vec<String> = std::iter::once(&self.name).chain(&self.clones).cloned().collect();
        names.iter().try_for_each(|name| self.mark(name, "refactor: kept rehearsal"))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let (Some(keeper), false) = (&mut self.keeper, self.kept) {
            for name in std::iter::once(&self.name).chain(&self.clones) {
                let _ = keeper.batch_execute(&drop_it(name));
            }
        }
    }
}

/// Whether others are connected: the server would wait for them for five seconds.
fn is_in_use(keeper: &mut Client, database: &str) -> Result<bool, Problem> {
    let query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend')";
    Ok(keeper.query_one(query, &[&database])?.get(0))
}

fn is_forbidden(error: &postgres::Error) -> bool {
    error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
}

fn drop_it(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", Ident::new(name))
}

/// The name of a copy of the copy. There is room for it.
fn numbered(name: &str, number: usize) -> String {
    format!("{name}_{number}")
}

fn name(source: &str) -> String {
    let tail = format!("_rehearsal_{}", std::process::id());
    let mut head = source;
    while head.len() + tail.len() + ROOM > 63 {
        head = &head[..head.char_indices().next_back().map_or(0, |(at, _)| at)];
    }
    format!("{head}{tail}")
}

/// A session beside the database, under the name of the copy.
fn maintenance(source: &Target, name: &str) -> Result<Client, Problem> {
    let connect = |database| source.with_database(database).connect();
    let mut client = connect("postgres").or_else(|_| connect("template1"))?;
    client.execute("SELECT set_config('application_name', $1, false)", &[&name])?;
    Ok(client)
}

/// Drops what rehearsals have left that were cut off: nobody keeps it, and nobody is there under the name of the copy. Gives
/// what has gone.
fn tidy(keeper: &mut Client) -> Result<Vec<String>, Problem> {
    let left = keeper.query(
        "SELECT d.datname::text FROM pg_database AS d
         WHERE starts_with(shobj_description(d.oid, 'pg_database'), $1) AND pg_has_role(d.datdba, 'USAGE')
           AND NOT EXISTS (SELECT FROM pg_stat_activity AS a
             WHERE a.application_name IN (d.datname::text, regexp_replace(d.datname::text, '(_rehearsal_\\d+)_\\d+$', '\\1')))
         ORDER BY 1",
        &[&MARK],
    )?;
    let names = left.iter().map(|row| row.get::<_, String>(0));
    Ok(names.filter(|name| keeper.batch_execute(&drop_it(name)).is_ok()).collect())
}

/// Brings the tables of a database over to a private server, without rows but for those that say what is real.
///
/// # Errors
/// When `pg_dump` or `psql` says so.
pub fn tables(source: &Target, copy: &Target) -> Result<(), Problem> {
    fill(source, copy, How::Private, true)
}

/// Brings tables and rows over; of the rows at least those that say what is real.
fn fill(source: &Target, copy: &Target, how: How, schema_only: bool) -> Result<(), Problem> {
    let mut bare: Vec<&str> = Vec::new();
    if how == How::Private {
        bare.extend(["--no-owner", "--no-privileges"]);
    }
    if !schema_only {
        return piped(source, copy, &bare);
    }
    piped(source, copy, &[&bare[..], &["--schema-only"]].concat())?;
    piped(source, copy, &[&bare[..], &["--data-only", "--table=refactor.journal", "--strict-names"]].concat()).or_else(
        |problem| {
            // Nothing is declared yet.
            if problem.why.iter().any(|why| why.contains("no matching tables")) { Ok(()) } else { Err(problem) }
        },
    )
}

fn piped(source: &Target, copy: &Target, options: &[&str]) -> Result<(), Problem> {
    let failed = |program: &str, why: String| {
        Problem::new(Kind::Server, "cannot copy the database", format!("{program}: {}", why.trim()))
            .hint("`pg_dump` and `psql` of the server's version or a later one must be on the PATH")
    };
    let with = |program: &str, target: &Target| {
        let mut command = Command::new(program);
        command.env_remove("PGSERVICE").envs(target.environment_alone());
        command
    };
    let mut dump = with("pg_dump", source)
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failed("pg_dump", e.to_string()))?;
    let Some(text) = dump.stdout.take() else { return Err(failed("pg_dump", "no output".into())) };
    let load = with("psql", copy)
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"])
        .stdin(text)
        .stdout(Stdio::null())
        .output()
        .map_err(|e| failed("psql", e.to_string()))?;
    let dumped = dump.wait_with_output().map_err(|e| failed("pg_dump", e.to_string()))?;
    let said = |output: &[u8]| String::from_utf8_lossy(output).into_owned();
    if !dumped.status.success() && load.status.success() {
        return Err(failed("pg_dump", said(&dumped.stderr)));
    }
    if !load.status.success() {
        return Err(failed("psql", said(&load.stderr)));
    }
    Ok(())
}
