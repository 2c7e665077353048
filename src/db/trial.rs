//! The laws of a table that SQL of the user tells, tried on its rows in a savepoint that is rolled back.
//!
//! What a put-back makes sure of by itself is not looked at again: that the row is read as it was written. Here it is
//! seen that it can be written at all, that no other row changes with it, and that only the table's own rules reject it.

use std::time::{Duration, Instant};

use postgres::error::DbError;
use postgres::{Error, Transaction};

use crate::generate::{equal, list, of, shown_in};
use crate::name::{Ident, TableName, delimited};
use crate::problem::{Kind, Problem};
use crate::relation::{Origin, Relation, Rows};
use crate::schema::{Field, Identity};
use crate::sql::Literal;
use crate::version::{Told, Version};

/// Rows that are tried when a refactoring is declared.
pub const ROWS: i64 = 100;

/// How long one table is tried.
const LONGEST: Duration = Duration::from_secs(10);

/// What was tried of one table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trial {
    /// The table.
    pub table: String,
    /// How many of its rows.
    pub rows: i64,
    /// Of how many that were wanted.
    pub wanted: i64,
    /// How many writes.
    pub writes: usize,
    /// How many of them its rules rejected.
    pub rejected: usize,
}

impl Trial {
    /// In words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { table, rows, wanted, writes, rejected } = self;
        let some = |count: i64| if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
        match (wanted, writes) {
            (0, _) => format!("`{table}` has no rows: nothing could be tried"),
            (_, 0) => format!("`{table}` takes no writes: nothing could be tried"),
            _ => {
                let time = if rows < wanted { format!(" of {wanted}, then time was up") } else { String::new() };
                format!(
                    "tried `{table}` on {}{time}: {writes} writes, {rejected} of them rejected by its rules; all was rolled back",
                    some(*rows)
                )
            }
        }
    }
}

/// Tries the told tables among those that these refactorings brought.
///
/// # Errors
/// The first law that is broken, with the row, what was written and what came of it.
pub fn of_steps(transaction: &mut Transaction, version: &Version, steps: &[String]) -> Result<Vec<Trial>, Problem> {
    let mut trials = Vec::new();
    for relation in version.all() {
        if let Rows::Told(at) = relation.rows
            && steps.contains(&version.told[at].step)
        {
            trials.push(of_table(transaction, version, relation, &version.told[at], ROWS)?);
        }
    }
    Ok(trials)
}

/// Tries one table on this many rows.
///
/// # Errors
/// As [`of_steps`].
pub fn of_table(
    transaction: &mut Transaction,
    version: &Version,
    relation: &Relation,
    told: &Told,
    rows: i64,
) -> Result<Trial, Problem> {
    let next = shown_in(version);
    // What stands under a floor is in our own schema already.
    let schema = next.get(&relation.name.schema).unwrap_or(&relation.name.schema);
    let view = TableName { schema: schema.clone(), name: relation.name.name.clone() };
    let mut point = transaction.savepoint("refactor_trial")?;
    let tried = Trying { version, relation, told, view, start: Instant::now() }.run(&mut point, rows);
    point.rollback()?;
    tried
}

struct Trying<'v> {
    version: &'v Version,
    relation: &'v Relation,
    told: &'v Told,
    view: TableName,
    start: Instant,
}

/// A row of the sample.
struct Sampled {
    number: i64,
    text: String,
}

impl Trying<'_> {
    fn run(&self, transaction: &mut Transaction, limit: i64) -> Result<Trial, Problem> {
        // Whatever waits for the end must show now.
        transaction.batch_execute("SET CONSTRAINTS ALL IMMEDIATE")?;
        let sample = self.sample(transaction, limit)?;
        let wanted = i64::try_from(sample.len()).unwrap_or(i64::MAX);
        let mut trial = Trial { table: self.relation.name.short(), wanted, ..Trial::default() };
        if sample.is_empty() {
            return Ok(trial);
        }
        if self.told.update.is_some() {
            self.get_put(transaction)?;
        }
        for row in &sample {
            if self.start.elapsed() > LONGEST {
                break;
            }
            let other = row.number % wanted + 1;
            // Others wait for one row's trial only.
            let mut point = transaction.savepoint("refactor_row")?;
            self.row(&mut point, row, other, &mut trial)?;
            point.rollback()?;
            trial.rows += 1;
        }
        Ok(trial)
    }

    fn fields(&self) -> impl Iterator<Item = &Field> {
        self.relation.fields.iter().map(|f| &f.shape)
    }

    /// Fields that can be assigned.
    fn open(&self) -> impl Iterator<Item = &Field> {
        self.fields().filter(|f| f.generated.is_none() && f.identity != Some(Identity::Always))
    }

    /// The first rows by their key, and one with NULL in each field that may be NULL.
    fn sample(&self, transaction: &mut Transaction, limit: i64) -> Result<Vec<Sampled>, Problem> {
        let (view, key) = (&self.view, of("v", &self.told.key));
        let mut queries = vec![format!("(SELECT v.* FROM {view} AS v ORDER BY {key} LIMIT {limit})")];
        queries.extend(
            self.fields()
                .filter(|f| !f.not_null)
                .map(|f| format!("(SELECT v.* FROM {view} AS v WHERE v.{} IS NULL ORDER BY {key} LIMIT 1)", f.name)),
        );
        transaction.batch_execute(&format!(
            "CREATE TEMPORARY TABLE refactor_sample AS
             SELECT row_number() OVER (ORDER BY {key}) AS refactor_row, v.*
             FROM (SELECT DISTINCT ON ({key}) v.* FROM ({}) AS v ORDER BY {key}) AS v",
            queries.join("\nUNION ALL ")
        ))?;
        let names: Vec<Ident> = self.fields().map(|f| f.name.clone()).collect();
        let rows = transaction.query(
            &format!(
                "SELECT s.refactor_row, ROW({})::text FROM pg_temp.refactor_sample AS s ORDER BY 1",
                of("s", &names)
            ),
            &[],
        )?;
        Ok(rows.iter().map(|row| Sampled { number: row.get(0), text: row.get(1) }).collect())
    }

    fn lock(&self, transaction: &mut Transaction) -> Result<(), Problem> {
        let tables = &self.told.names;
        if !tables.is_empty() {
            transaction.batch_execute(&format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", list(tables)))?;
        }
        Ok(())
    }

    /// Writing back what was read changes no table.
    fn get_put(&self, transaction: &mut Transaction) -> Result<(), Problem> {
        let mut point = transaction.savepoint("refactor_get_put")?;
        self.lock(&mut point)?;
        let before = self.tables(&mut point)?;
        let sets: Vec<String> = self.open().map(|f| format!("{} = t.{}", f.name, f.name)).collect();
        let sql = format!(
            "UPDATE {} AS t SET {} WHERE EXISTS (SELECT FROM pg_temp.refactor_sample AS s WHERE {})",
            self.view,
            list(&sets),
            equal("s", &self.told.key, "t", &self.told.key)
        );
        point
            .batch_execute(&delimited(&sql))
            .map_err(|e| self.broken("what was read was written back".into(), &said(&e)))?;
        if self.tables(&mut point)? != before {
            return Err(self.broken("what was read was written back".into(), "a table changed"));
        }
        point.rollback()?;
        Ok(())
    }

    fn tables(&self, transaction: &mut Transaction) -> Result<Vec<String>, Problem> {
        let mut sums = Vec::new();
        for table in &self.told.names {
            sums.push(sum(transaction, &format!("{table} AS v"), "true")?);
        }
        Ok(sums)
    }

    /// Every write that is tried on one row, each from the same start.
    fn row(&self, transaction: &mut Transaction, row: &Sampled, other: i64, trial: &mut Trial) -> Result<(), Problem> {
        self.lock(transaction)?;
        let (view, key, Sampled { number, text }) = (&self.view, &self.told.key, row);
        let of_row = |at: i64, field: &Ident| {
            format!("(SELECT s.{field} FROM pg_temp.refactor_sample AS s WHERE s.refactor_row = {at})")
        };
        let this = |row: &str| {
            let same: Vec<String> = key.iter().map(|k| format!("{row}.{k} = {}", of_row(*number, k))).collect();
            same.join(" AND ")
        };
        let others = format!("NOT ({})", this("v"));
        if self.told.update.is_some() {
            for field in self.open() {
                let name = &field.name;
                let mut values = vec![(of_row(other, name), format!("the value of row {other}"))];
                if !field.not_null {
                    values.push(("NULL".to_owned(), "NULL".to_owned()));
                }
                if self.told.unique.iter().any(|(_, fields)| fields.contains(name)) {
                    values.extend(fresh(field, view).map(|value| (value, "a value that no row has".to_owned())));
                }
                for (value, word) in values {
                    let what = format!("in row {number}, {text}, `{name}` was set to {word}");
                    let sql = format!(
                        "UPDATE {view} AS t SET {name} = {value} WHERE {} RETURNING ROW({})::text",
                        this("t"),
                        of("t", key)
                    );
                    self.write(transaction, &sql, &others, what, trial)?;
                }
            }
        }
        if self.told.insert.is_some() {
            self.copy(transaction, row, trial)?;
        }
        if self.told.delete.is_some() {
            let sql = format!("DELETE FROM {view} AS t WHERE {}", this("t"));
            let what = format!("row {number}, {text}, was deleted");
            self.write(transaction, &sql, &others, what, trial)?;
        }
        Ok(())
    }

    /// Inserts the row once more, under another key: one that nobody has in one of its fields.
    fn copy(&self, transaction: &mut Transaction, row: &Sampled, trial: &mut Trial) -> Result<(), Problem> {
        let (view, Sampled { number, text }) = (&self.view, row);
        let unique: Vec<&Ident> = self.told.unique[1..].iter().flat_map(|(_, fields)| fields).collect();
        for changed in &self.told.key {
            let new = |f: &Field| {
                let name = &f.name;
                let fresh = if name == changed || unique.contains(&name) { fresh(f, view) } else { None };
                fresh.unwrap_or_else(|| format!("s.{name}"))
            };
            let Some(field) = self.open().find(|f| f.name == *changed) else { continue };
            if fresh(field, view).is_none() {
                continue;
            }
            let fields: Vec<&Field> = self.open().collect();
            let sql = format!(
                "INSERT INTO {view} ({}) SELECT {} FROM pg_temp.refactor_sample AS s WHERE s.refactor_row = {number} RETURNING ROW({})::text",
                list(&fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>()),
                list(&fields.iter().map(|f| new(f)).collect::<Vec<_>>()),
                list(&self.told.key)
            );
            let what = format!("row {number}, {text}, was inserted with another `{changed}`");
            self.write(transaction, &sql, "true", what, trial)?;
        }
        Ok(())
    }

    /// One write: it must be done, and leave alone the others and all but the row whose key it returns, or be rejected by a
    /// rule of the table.
    fn write(
        &self,
        transaction: &mut Transaction,
        sql: &str,
        others: &str,
        what: String,
        trial: &mut Trial,
    ) -> Result<(), Problem> {
        if self.start.elapsed() > LONGEST {
            return Ok(());
        }
        let from = format!("{} AS v", self.view);
        let before = sum(transaction, &from, others)?;
        let mut point = transaction.savepoint("refactor_write")?;
        trial.writes += 1;
        match point.query(sql, &[]) {
            Ok(rows) => {
                let new = rows.first().map_or_else(String::new, |row| {
                    format!(" AND ROW({})::text <> {}", of("v", &self.told.key), Literal(row.get(0)))
                });
                let after = sum(&mut point, &from, &format!("{others}{new}"))?;
                if after != before {
                    return Err(self.broken(what, "another row of the table changed with it"));
                }
            }
            Err(error) => match error.as_db_error() {
                Some(rule) if self.is_own_rule(rule) => trial.rejected += 1,
                Some(rule) if self.is_passing(rule) => trial.rejected += 1,
                Some(rule) if rule.code().code().starts_with("23") => {
                    let problem = self.broken(what, &said(&error));
                    let hint = "the table itself would take that row: give it the same rule, or store the row so that it is kept";
                    return Err(problem.hint(hint));
                }
                Some(_) => return Err(self.broken(what, &said(&error))),
                None => return Err(error.into()),
            },
        }
        point.rollback()?;
        Ok(())
    }

    /// Whether the table would give this very error.
    fn is_own_rule(&self, error: &DbError) -> bool {
        let place = TableName::new(error.schema().unwrap_or_default(), error.table().unwrap_or_default());
        let named = || self.relation.constraints.iter().any(|c| error.constraint() == Some(c.item.name.as_str()));
        error.code().code().starts_with("23") && (place == self.told.table || place == self.relation.name && named())
    }

    /// Whether a rule says so that another refactoring has dropped, and that holds until that is real.
    fn is_passing(&self, error: &DbError) -> bool {
        let place = TableName::new(error.schema().unwrap_or_default(), error.table().unwrap_or_default());
        let Some(table) = self.version.schema.table(&place) else { return false };
        let at = table.constraints.iter().position(|c| error.constraint() == Some(c.name.as_str()));
        let (Some(at), Some(shown)) = (at, self.version.over(&place)) else { return false };
        !shown.constraints.iter().any(|c| c.origin == Origin::Table(place.clone(), at))
    }

    fn broken(&self, what: String, why: &str) -> Problem {
        Problem {
            what: format!("cannot tell table `{}` by this SQL", self.relation.name.short()),
            why: vec![what, why.to_owned()],
            hint: Some("correct the statements: whatever they let through must be read as it was written".into()),
            kind: Kind::Fact,
        }
    }
}

/// What the server said, in one line.
fn said(error: &Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |e| {
            let detail = e.detail().map(|d| format!(": {}", d.trim_end_matches('.'))).unwrap_or_default();
            format!("{}{detail} (SQLSTATE {})", e.message(), e.code().code())
        },
    )
}

fn sum(transaction: &mut Transaction, from: &str, condition: &str) -> Result<String, Error> {
    let sql = format!(
        "SELECT count(*) || ' ' || coalesce(sum(hashtextextended((v.*)::text, 0)::numeric), 0) FROM {from} WHERE {condition}"
    );
    Ok(transaction.query_one(&sql, &[])?.get(0))
}

/// A value of a field that no row has yet, where the type has one.
fn fresh(field: &Field, view: &TableName) -> Option<String> {
    let name = &field.name;
    let kind = crate::sql::type_names::without_modifier(&field.type_name);
    let after = |step: &str| Some(format!("(SELECT max(b.{name}) + {step} FROM {view} AS b)"));
    match &*kind {
        "smallint" | "integer" | "int" | "bigint" | "numeric" | "date" => after("1"),
        "timestamp without time zone" | "timestamp with time zone" | "timestamp" | "timestamptz" => {
            after("interval '1 day'")
        }
        "text" => Some(format!("(SELECT max(b.{name}) || '~' FROM {view} AS b)")),
        "uuid" => Some("gen_random_uuid()".into()),
        _ => None,
    }
}
