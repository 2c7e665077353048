//! What goes wrong, in three parts: what was wanted, why not, what to do.

use crate::catalogue::{Refactor, Refactoring};
use crate::db::connect::ConnectError;
use crate::db::embedded::EmbeddedError;
use crate::db::facts::Answer;
use crate::db::installed::JournalReadError;
use crate::db::message;
use crate::db::run::Failure;
use crate::journal::JournalError;
use crate::refusal::Refusal;
use crate::version::Step;

/// A refusal or failure, ready to be shown.
#[derive(Debug)]
pub struct Problem {
    /// What was wanted: completes "error: cannot …", or a whole sentence.
    pub what: String,
    /// Why not; several reasons are shown one a line.
    pub why: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The cause, where tests and callers want to tell kinds apart.
    pub kind: Kind,
}

const POOL: &str = "name the server itself by `--database-url`, or a pool in session mode";

const SERVER_REFUSED: &str = "the server refused";

/// The kinds of problems.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The refactoring makes no sense in the schema.
    Refused(Refusal),
    /// The data break a fact.
    Fact,
    /// Something stands in the way of materializing.
    Obstacle,
    /// Another run is at work.
    Locked,
    /// A schema name that we need is somebody else's.
    ForeignSchema,
    /// Somebody's object uses one of ours.
    Dependents,
    /// Somebody has changed what is ours, or the tables under it.
    Drift,
    /// It is in what was printed already.
    Told,
    /// Files and database differ.
    Files,
    /// The server said no, or went away.
    Server,
    /// No connection.
    Connection,
    /// Wrong input.
    Usage,
    /// The user said no.
    Declined,
}

/// What to do where nothing can be written.
pub const MAY_WRITE: &str = "use a session that may write: no standby, and no `default_transaction_read_only`";

impl Problem {
    /// A problem without a hint.
    #[must_use]
    pub fn new(kind: Kind, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: vec![why.into()], hint: None, kind }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A refactoring that the schema does not allow.
    #[must_use]
    pub fn refused(step: &Step, refusal: Refusal) -> Self {
        Self {
            what: format!("cannot {}", step.refactoring.wish()),
            why: vec![refusal.to_string()],
            hint: match step.refactoring {
                Refactoring::MoveField(_) => refusal.hint_of_on(),
                _ => refusal.hint(),
            },
            kind: Kind::Refused(refusal),
        }
    }

    /// Facts that the data break.
    #[must_use]
    pub fn facts(wish: &str, broken: &[Answer]) -> Self {
        let hint =
            broken.first().map(|a| format!("{}\n  the query that finds them:\n{}", a.fact.hint(), indent(&a.query)));
        Self {
            what: format!("cannot {wish}"),
            why: broken.iter().map(Answer::sentence).collect(),
            hint,
            kind: Kind::Fact,
        }
    }

    /// A statement that failed.
    #[must_use]
    pub fn server(what: impl Into<String>, error: &postgres::Error) -> Self {
        let hint = match error.code().map(postgres::error::SqlState::code) {
            Some("42501") => Some("ask the owner of the tables to run this, or to grant you the right".to_owned()),
            Some("25006") => Some(MAY_WRITE.to_owned()),
            Some("55P03") => {
                Some("somebody holds a lock on the table; try again, or find them in pg_stat_activity".to_owned())
            }
            // Prepared statements, and locks, too, belong to a connection.
            Some("26000" | "42P05" | "08P01") => Some(POOL.into()),
            // Silence, or the server's last words.
            None | Some("57P01" | "57P02" | "57P03") => Some(
                "an unfinished transaction is rolled back: nothing was changed; `refactor status` tells where things are"
                    .to_owned(),
            ),
            _ => None,
        };
        Self { what: what.into(), why: vec![message::render(error, None)], hint, kind: Kind::Server }
    }

    /// A pool that gives each transaction another connection to the server: no lock of ours would hold.
    #[must_use]
    pub fn pool() -> Self {
        Self::new(
            Kind::Connection,
            "cannot work through this connection",
            "two transactions of it came to two processes of the server: a pool such as PgBouncer in transaction mode stands before it",
        )
        .hint(POOL)
    }

    /// The same, said of what was going on, where that is not known at the place of the error.
    #[must_use]
    pub fn during(mut self, title: &str) -> Self {
        if self.what == SERVER_REFUSED {
            self.what = format!("cannot {title}");
        }
        self
    }

    /// A step of a plan that failed. The transaction was rolled back.
    #[must_use]
    pub fn failure(title: &str, failure: &Failure) -> Self {
        if failure.is_dependency() {
            return Self::new(
                Kind::Dependents,
                format!("cannot {title}"),
                format!("something of yours uses what this tool generated: {}", message::render(&failure.error, None)),
            )
            .hint("drop that object first, or have it read the tables; nothing was changed");
        }
        let mut problem = Self::server(format!("cannot {title}"), &failure.error);
        problem.why.insert(0, format!("this step failed, and all was rolled back: {}", failure.sentence));
        if failure.error.code().is_some() {
            problem.why[1] = message::render(&failure.error, Some(&failure.sql));
        }
        problem
    }
}

/// Two spaces before each line.
fn indent(text: &str) -> String {
    text.lines().map(|l| format!("  {l}")).collect::<Vec<_>>().join("\n")
}

impl From<ConnectError> for Problem {
    fn from(error: ConnectError) -> Self {
        Self { what: error.what(), why: vec![error.why()], hint: error.hint(), kind: Kind::Connection }
    }
}

impl From<EmbeddedError> for Problem {
    fn from(error: EmbeddedError) -> Self {
        Self { what: error.what(), why: vec![error.why()], hint: error.hint(), kind: Kind::Connection }
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        let hint = match &error {
            JournalError::Syntax { .. } => "correct the file",
            JournalError::Missing { .. } => "restore that file, or correct `after`",
            JournalError::Circle(_) => "correct one `after`",
            JournalError::Odd { .. } => "rename or remove it, or put a file in its place",
            JournalError::Io { .. } => "check the path and its permissions",
        };
        Self::new(Kind::Files, "cannot read the refactorings", error.to_string()).hint(hint)
    }
}

impl From<JournalReadError> for Problem {
    fn from(error: JournalReadError) -> Self {
        Self::new(Kind::Server, "cannot read the journal of the database", error.to_string())
    }
}

impl From<postgres::Error> for Problem {
    fn from(error: postgres::Error) -> Self {
        Self::server(SERVER_REFUSED, &error)
    }
}

impl From<askama::Error> for Problem {
    fn from(error: askama::Error) -> Self {
        Self::new(Kind::Server, "cannot write the SQL", error.to_string())
    }
}
