//! What is read of whole tables while others write: read once beside everybody, then written down few rows at a time, so
//! that nobody waits for more than a few.

use crate::name::delimited;

/// Statements for that. The triggers that watch the tables must be there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// In words.
    pub sentence: String,
    /// Reads what is to be written into [`READ`], whose rows are numbered (`n`) without gaps.
    pub read: String,
    /// Writes some of it down.
    write: String,
    /// Counts what is not written down: something stood in the way, and it is to be tried again.
    pub rest: String,
    /// How many rows are written in one transaction at most.
    pub most: i64,
    /// All that is looked up has an index: a table that grows from nothing is not known to the planner.
    pub by_index: bool,
}

/// The temporary table with what was read.
pub const READ: &str = "pg_temp.refactor_read";

/// Tells which rows `s` of [`READ`] are meant.
pub const SOME: &str = "s.n BETWEEN pg_catalog.current_setting('refactor.read_first')::bigint AND pg_catalog.current_setting('refactor.read_last')::bigint";

impl Beside {
    /// What reads a query of the rows `s` to be written, writes [`SOME`] of them, and counts the rest.
    #[must_use]
    pub fn new(sentence: String, rows: &str, write: &str, rest: &str) -> Self {
        let read = delimited(format!(
            "CREATE TEMPORARY TABLE {READ} AS\n{rows};\nCREATE UNIQUE INDEX ON {READ} (n);\nANALYZE {READ};"
        ));
        Self { sentence, read, write: delimited(write), rest: delimited(rest), most: 20_000, by_index: false }
    }

    /// The same, no more than this many rows in one transaction.
    #[must_use]
    pub fn at_most(mut self, most: i64) -> Self {
        self.most = most;
        self
    }

    /// The same, by indexes alone.
    #[must_use]
    pub fn by_index(mut self) -> Self {
        self.by_index = true;
        self
    }

    /// Writes the rows from one number to another down.
    #[must_use]
    pub fn write(&self, from: i64, to: i64) -> String {
        format!("SET LOCAL refactor.read_first = {from}; SET LOCAL refactor.read_last = {to};\n{}", self.write)
    }
}
