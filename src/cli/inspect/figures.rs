//! What is counted of a table in one go: rows, and of each field how many have a value, and how many different ones.

use postgres::Transaction;

use crate::cli::inspect::Shape;
use crate::db::session::Session;
use crate::name::{Ident, TableName};
use crate::problem::Problem;
use crate::relation::row_key;
use crate::schema::{ConstraintKind, Field, Table, TableKind};

/// How long one question may take.
const LONGEST: &str = "SET LOCAL statement_timeout = '20s'";

/// A table, its rows that are looked at, and what was counted.
pub struct Looked<'s> {
    /// Its name.
    pub name: &'s TableName,
    /// Its shape.
    pub table: &'s Table,
    /// What has the rows, to stand after FROM.
    pub from: String,
    /// How many.
    pub rows: i64,
    /// Whether there are more.
    pub sampled: bool,
    /// Of each field.
    pub fields: Vec<Counted<'s>>,
}

/// What was counted of a field.
#[derive(Debug, Clone)]
pub struct Counted<'s> {
    /// The field.
    pub field: &'s Field,
    /// Rows that have a value.
    pub values: i64,
    /// Different ones.
    pub different: i64,
    /// Length of the longest, as text.
    pub longest: i64,
}

impl<'s> Looked<'s> {
    /// Counts.
    pub fn at(
        session: &mut Session,
        shape: &Shape,
        name: &'s TableName,
        table: &'s Table,
        limit: i64,
    ) -> Result<Self, Problem> {
        let called = shape.called(name);
        let sampled = table.rows > 1.1 * precise(limit);
        // Views have no TABLESAMPLE.
        let from = if sampled && called == *name && table.kind == TableKind::Plain {
            let percent = (120.0 * precise(limit) / table.rows).clamp(0.000_1, 100.0);
            format!("(SELECT * FROM ONLY {called} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (1) LIMIT {limit})")
        } else {
            format!("(SELECT * FROM {called} LIMIT {limit})")
        };
        let one = |f: &Field| {
            format!("count(x.{0}), count(DISTINCT x.{0}::text), coalesce(max(length(x.{0}::text)), 0)::bigint", f.name)
        };
        let columns: Vec<String> = table.fields.iter().map(one).collect();
        let columns = if columns.is_empty() { String::new() } else { format!(", {}", columns.join(", ")) };
        let row = asked(session, |t| t.query_one(&format!("SELECT count(*){columns} FROM {from} AS x"), &[]))?;
        let fields = table.fields.iter().enumerate().map(|(at, field)| Counted {
            field,
            values: row.get(3 * at + 1),
            different: row.get(3 * at + 2),
            longest: row.get(3 * at + 3),
        });
        let rows: i64 = row.get(0);
        Ok(Self { name, table, from, rows, sampled: sampled || rows == limit, fields: fields.collect() })
    }

    /// Whether a field alone tells rows apart, or is a part of the key.
    pub fn is_key(&self, field: &Ident) -> bool {
        let alone = |c: &crate::schema::Constraint| {
            matches!(c.kind, ConstraintKind::Primary | ConstraintKind::Unique)
                && c.fields == std::slice::from_ref(field)
        };
        self.table.constraints.iter().any(alone) || row_key(self.table).is_some_and(|key| key.contains(field))
    }

    /// Whether a field is a part of a foreign key.
    pub fn refers(&self, field: &Ident) -> bool {
        self.table.constraints.iter().any(|c| matches!(c.kind, ConstraintKind::Foreign(_)) && c.fields.contains(field))
    }
}

#[allow(clippy::cast_precision_loss)] // an estimate
fn precise(count: i64) -> f64 {
    count as f64
}

/// One question, in a transaction that only reads, and not for long.
pub fn asked<T>(
    session: &mut Session,
    question: impl FnOnce(&mut Transaction) -> Result<T, postgres::Error>,
) -> Result<T, Problem> {
    let mut transaction = session.client().build_transaction().read_only(true).start()?;
    transaction.batch_execute(LONGEST)?;
    let answer = question(&mut transaction);
    transaction.rollback()?;
    Ok(answer?)
}
