//! A plan: what will be done to a database, as data that can be printed before anything happens.

pub mod defer;
pub mod dependents;
pub mod drift;
pub mod keep;
pub mod materialize;
pub mod meets;
pub mod migration;
pub mod script;
pub mod watch;

use serde::Serialize;

use crate::name::{BODY, delimited};

/// The key of the advisory lock that keeps two runs apart: "refactor" in ASCII.
pub const KEY: i64 = 0x7265_6661_6374_6f72;

/// What will be done.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Plan {
    /// In one sentence.
    pub title: String,
    /// What is done beforehand, each step a transaction of its own that makes nobody wait for long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<PlanStep>,
    /// Step by step, all in one transaction.
    pub steps: Vec<PlanStep>,
    /// What is done afterwards, each step by itself, while others work with what is real.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<PlanStep>,
    /// What cannot be recovered from the new shape alone.
    pub losses: Vec<String>,
    /// What stands in the way: the plan must not run while there is any.
    pub obstacles: Vec<String>,
    /// What is good to know.
    pub notes: Vec<String>,
    /// The rules that are asked beforehand.
    #[serde(skip)]
    pub ready: materialize::ready::Ready,
    /// The tables that are built beforehand.
    #[serde(skip)]
    pub ahead: materialize::ahead::Ahead,
}

impl Plan {
    /// Whether a fact holds in the transaction without being asked there.
    #[must_use]
    pub fn answers(&self, version: &crate::version::Version, fact: &crate::fact::Fact) -> bool {
        self.ready.answers(version, fact) || self.ahead.answers(fact) || materialize::unite::answers(version, fact)
    }

    /// The relations whose tables are compared in the transaction with what their views show.
    pub fn compared<'v>(
        &'v self,
        version: &'v crate::version::Version,
    ) -> impl Iterator<Item = &'v crate::relation::Relation> {
        let is_same = |r: &crate::relation::Relation| {
            let large = version.table(r).bytes >= self.ahead.from;
            materialize::is_catalogue_only(version, r) || large && materialize::unite::only_adds(version, r)
        };
        version.shown().filter(move |r| !is_same(r) && !self.ahead.has(r))
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanStep {
    /// What it does, in words.
    pub sentence: String,
    /// The SQL.
    pub sql: String,
    /// The strongest lock it takes and where, if it can make others wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// Rows that it writes, estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    /// Bytes that it writes, estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// Outside of the transaction: whether it can be in none of its own either, or must see all at one moment.
    #[serde(skip)]
    pub alone: Option<Alone>,
}

/// How a step runs that is in no transaction with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone {
    /// In no transaction: it waits for others, and lets them pass.
    Bare,
    /// In one that sees all at one moment.
    AtOneMoment,
}

impl PlanStep {
    /// A step that makes nobody wait.
    #[must_use]
    pub fn new(sentence: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), sql: delimited(sql.into()), lock: None, rows: None, bytes: None, alone: None }
    }

    /// The same step, in no transaction.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = Some(Alone::Bare);
        self
    }

    /// The same step in a transaction of its own that sees all at one moment.
    #[must_use]
    pub fn at_one_moment(mut self) -> Self {
        self.alone = Some(Alone::AtOneMoment);
        self
    }

    /// The same step with a lock.
    #[must_use]
    pub fn locking(mut self, lock: impl Into<String>) -> Self {
        self.lock = Some(lock.into());
        self
    }

    /// The same step with the size of what it writes.
    #[must_use]
    pub fn writing(mut self, rows: f64, bytes: i64) -> Self {
        let estimated = rows >= 0.0; // -1: never analyzed
        #[allow(clippy::cast_possible_truncation)] // an estimate
        let rows = rows.max(0.0) as i64;
        self.rows = Some(rows).filter(|_| estimated);
        self.bytes = Some(bytes);
        self
    }
}

/// A statement that stops everything with a message, if a condition holds. Its text ends as those of functions do
/// ([`crate::name::BODY`]).
#[must_use]
pub fn stop_if(condition: &str, message: &str) -> String {
    let message = crate::sql::Literal(message.to_owned());
    format!(
        "DO {BODY}\nBEGIN\n  IF {condition} THEN\n    RAISE EXCEPTION USING MESSAGE = {message};\n  END IF;\nEND\n{BODY};"
    )
}

/// The same where a query has a row, which offends against something that held before.
#[must_use]
pub fn stop_where(offenders: &str, says: &str) -> String {
    stop_if(&format!("EXISTS (\n{offenders}\n  )"), &format!("it does not hold any more: {says}"))
}

/// What of ours a database has at the moment. Read by `db::installed`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Installed {
    /// Our schema with the journal is there.
    pub journal: bool,
    /// Schemas with a new shape (`next`, `next_…`) that are ours.
    pub next_schemas: Vec<crate::name::Ident>,
    /// Empty schemas of such a name, or `refactor`, that were made for us by an administrator.
    pub prepared: Vec<crate::name::Ident>,
    /// Those of ours that were: they stay when we go.
    pub lent: Vec<crate::name::Ident>,
    /// Schemas of such a name that are somebody else's, with their owner.
    pub foreign_schemas: Vec<(crate::name::Ident, crate::name::Ident)>,
    /// Our views.
    pub views: Vec<crate::name::TableName>,
    /// Our types in the new shape, each with its refactoring.
    pub types: Vec<(crate::name::TableName, String)>,
    /// Our functions, no two of a name.
    pub functions: Vec<crate::name::TableName>,
    /// Our triggers on base tables.
    pub triggers: Vec<(crate::name::Ident, crate::name::TableName)>,
    /// Foreign keys of tables with kept rows.
    pub bound: Vec<(crate::name::Ident, crate::name::TableName)>,
    /// Complement tables that have a row policy of ours.
    pub secured: Vec<crate::name::TableName>,
    /// Hashes of the pieces that made them ([`crate::generate::Piece::hash`]).
    pub pieces: std::collections::BTreeSet<String>,
    /// Complement tables and tables with kept losses.
    pub tables: Vec<crate::name::TableName>,
    /// What a run has made ready that was cut off, in words, each with what takes it back.
    pub ready: Vec<(String, String)>,
    /// What is left to do of what is real.
    pub later: Vec<PlanStep>,
    /// The columns of complements that several fields share, but for their keys.
    pub shared: Vec<(crate::name::TableName, crate::name::Ident)>,
    /// Somebody's objects that use ours, as PostgreSQL describes them.
    pub dependents: Vec<String>,
    /// Our triggers on base tables that somebody has disabled.
    pub disabled: Vec<(crate::name::Ident, crate::name::TableName)>,
    /// What our views of the new shape show.
    pub shows: std::collections::BTreeMap<crate::name::TableName, Vec<Shows>>,
    /// Publications for all tables, which are for ours, too.
    pub publish_all: Vec<crate::name::Ident>,
    /// What others have put beside our views.
    pub strangers: Vec<Stranger>,
}

/// A column of a view, as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shows {
    /// Its name.
    pub name: crate::name::Ident,
    /// Its type.
    pub type_name: String,
    /// Its default.
    pub default: Option<String>,
}

/// An object in a schema of ours that is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Our schema.
    pub schema: crate::name::Ident,
    /// `TABLE`, `FUNCTION` …
    pub kind: String,
    /// Its name, quoted; of a function with its arguments.
    pub name: String,
}

impl Stranger {
    /// What it is.
    #[must_use]
    pub fn who(&self) -> String {
        format!("{} `{}.{}` is not this tool's", self.kind.to_lowercase(), self.schema, self.name)
    }

    /// How it is brought to where it is safe.
    #[must_use]
    pub fn way_out(&self) -> String {
        let Self { schema, kind, name } = self;
        let base = crate::name::Ident::new(schema.as_str().strip_prefix("next_").unwrap_or("public"));
        format!("move it to where it belongs: `ALTER {kind} {schema}.{name} SET SCHEMA {base}`")
    }

    /// Both, and what becomes of it otherwise.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{}, and stays when `{}` goes; {}", self.who(), self.schema, self.way_out())
    }
}

/// How the comment of a schema ends that somebody else made for us.
pub const LENT: &str = ", in a schema that was prepared for it";

impl Installed {
    /// How a schema of ours goes that is not needed any more, in words and in SQL.
    #[must_use]
    pub fn leave(&self, schema: &crate::name::Ident) -> (String, String) {
        if self.lent.contains(schema) {
            let sql = format!("REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;\nCOMMENT ON SCHEMA {schema} IS NULL;");
            return (format!("leave schema `{schema}` as it was prepared"), sql);
        }
        (format!("drop schema `{schema}`, which is empty now"), format!("DROP SCHEMA {schema};"))
    }

    /// Whether others have put something into a schema of ours.
    #[must_use]
    pub fn has_strangers(&self, schema: &crate::name::Ident) -> bool {
        self.strangers.iter().any(|s| s.schema == *schema)
    }

    /// Whether a table is there, and has that column if it is a complement that several fields share.
    #[must_use]
    pub fn has(&self, (table, column): &crate::generate::place::Needed) -> bool {
        let is_there = |column: &crate::name::Ident| self.shared.iter().any(|(t, c)| t == table && c == column);
        self.tables.contains(table) && column.as_ref().is_none_or(is_there)
    }

    /// Whether the complement has a place already.
    #[must_use]
    pub fn keeps(&self, place: &crate::generate::place::Place) -> bool {
        self.has(&place.needed())
    }
}
