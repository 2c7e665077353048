//! Lets PostgreSQL judge what a person wrote: whether a type exists, and whether an expression may stand in a view.

use postgres::{Client, Error};

use crate::catalogue::Refactor;
use crate::generate::list;
use crate::name::{Ident, TableName};
use crate::problem::{Kind, Problem};
use crate::refusal::Refusal;
use crate::sql::{Expression, Literal};
use crate::version::{Step, Version};

/// Functions (and words that act as one) that give another value at another time or to another user, though PostgreSQL
/// calls them stable.
const CHANGING: [&str; 14] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
    "transaction_timestamp",
    "statement_timestamp",
    "current_user",
    "session_user",
    "current_role",
    "user",
    "current_setting",
    "current_schema",
];

/// What PostgreSQL says of an expression.
enum Verdict {
    /// The same value whenever and by whomever it is asked.
    Immutable,
    /// Another value under other settings, or at another time.
    Changing,
}

/// Judges the expressions that `step` brought.
///
/// # Errors
/// The server's judgement, with what to do. What is taken with a remark is returned.
pub fn expressions(client: &mut Client, version: &Version, step: &Step) -> Result<Vec<String>, Problem> {
    let wish = format!("cannot {}", step.refactoring.wish());
    let refused = |expression: &str, error: &Error| {
        let mut problem = Problem::server(wish.clone(), error);
        if problem.hint.is_none() {
            problem.hint = match error.code().map(postgres::error::SqlState::code) {
                Some("42704") => Some("`\\dT` in psql lists your types, `\\dTS` all".to_owned()),
                Some(code) if code.starts_with("42") => Refusal::Expression(String::new()).hint(),
                _ => Some("correct the expression, or choose another type".to_owned()),
            };
        }
        problem.kind = Kind::Refused(Refusal::Expression(expression.to_owned()));
        problem
    };
    for added in version.added.iter().filter(|a| a.step == step.name) {
        let seed = added.seed.as_ref().map_or_else(|| "NULL".to_owned(), ToString::to_string);
        let row = format!("(LIKE {})", added.table);
        let verdict = judge(client, &row, &seed, &added.type_name).map_err(|e| refused(&seed, &e))?;
        if matches!(verdict, Verdict::Changing) {
            let now = client.query_one(&format!("SELECT (({seed})::{})::text", added.type_name), &[]);
            let value = now.ok().and_then(|row| row.get::<_, Option<String>>(0));
            let value = value.map_or_else(|| "NULL".to_owned(), |v| Literal(v).to_string());
            return Err(changing(&wish, &seed).hint(format!(
                "say what the rows that exist get, as in `--existing \"{value}\"`; new rows get the default"
            )));
        }
    }
    for calculated in version.calculated.iter().filter(|c| c.step == step.name) {
        let (value, row) = (calculated.value.to_string(), format!("(LIKE {})", calculated.table));
        if let Verdict::Changing =
            judge(client, &row, &value, &calculated.type_name).map_err(|e| refused(&value, &e))?
        {
            let why = format!(
                "`{value}` is not immutable: it may give another value at another time or under other settings"
            );
            let problem = Problem::new(Kind::Refused(Refusal::Expression(why.clone())), wish, why);
            return Err(problem.hint(
                "a field that takes the value once, when a row is made, is `add-field` with `--as` or `--default`",
            ));
        }
    }
    let mut remarks = Vec::new();
    for shaped in version.shaped.iter().filter(|s| s.step == step.name) {
        let old = format!("(LIKE {})", shaped.table);
        let new: Vec<String> = shaped.names.iter().zip(&shaped.types).map(|(n, t)| format!("{n} {t}")).collect();
        let new = format!("({})", list(&new));
        if let ([column], [kind]) = (&shaped.columns[..], &shaped.types[..]) {
            follow(client, &shaped.table, column, kind).map_err(|error| {
                let mut problem = Problem::server(wish.clone(), &error);
                problem.why.insert(0, format!("an index or statistics over `{column}` cannot follow"));
                problem.kind = Kind::Refused(Refusal::Expression(kind.clone()));
                problem.hint("drop it first if it is no longer wanted")
            })?;
        }
        let there = shaped.get.iter().zip(&shaped.types).map(|(e, t)| (&old, e, t));
        let back = shaped.put.iter().zip(&shaped.column_types).map(|(e, t)| (&new, e, t));
        for (row, expression, kind) in there.chain(back) {
            let text = expression.to_string();
            match judge(client, row, &text, kind).map_err(|e| refused(&text, &e))? {
                Verdict::Immutable => {}
                Verdict::Changing if is_changing(client, expression)? => return Err(changing(&wish, &text)),
                Verdict::Changing => remarks.push(format!(
                    "`{text}` as {kind} depends on settings of the session if DateStyle, TimeZone or the like matter to it; readers and writers must then share them"
                )),
            }
        }
    }
    Ok(remarks)
}

/// Tries on an empty copy whether what hangs on a column bears another type.
fn follow(client: &mut Client, table: &TableName, column: &Ident, kind: &str) -> Result<(), Error> {
    let mut transaction = client.transaction()?;
    let tried = transaction.batch_execute(&format!(
        "CREATE TEMPORARY TABLE refactor_try (LIKE {table} INCLUDING INDEXES INCLUDING STATISTICS) ON COMMIT DROP;
         ALTER TABLE refactor_try ALTER COLUMN {column} TYPE {kind} USING NULL::{kind}"
    ));
    transaction.rollback()?;
    tried
}

/// Tries an expression as a generated column of a temporary table: PostgreSQL takes exactly the immutable ones there.
fn judge(client: &mut Client, row: &str, expression: &str, kind: &str) -> Result<Verdict, Error> {
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&format!("CREATE TEMPORARY TABLE refactor_try {row} ON COMMIT DROP"))?;
    let tried = transaction.batch_execute(&format!(
        "ALTER TABLE refactor_try ADD COLUMN refactor_try {kind} GENERATED ALWAYS AS (({expression})::{kind}) STORED"
    ));
    transaction.rollback()?;
    match tried {
        Ok(()) => Ok(Verdict::Immutable),
        Err(error) if error.code().is_some_and(|c| c.code() == "42P17") => Ok(Verdict::Changing),
        Err(error) => Err(error),
    }
}

/// Whether an expression that is not immutable changes by itself, not only under other settings.
fn is_changing(client: &mut Client, expression: &Expression) -> Result<bool, Error> {
    let names: Vec<String> = expression.functions().into_iter().collect();
    if names.iter().any(|n| CHANGING.contains(&n.as_str())) {
        return Ok(true);
    }
    let row = client
        .query_one("SELECT EXISTS (SELECT FROM pg_proc WHERE proname = ANY ($1) AND provolatile = 'v')", &[&names])?;
    Ok(row.get(0))
}

fn changing(wish: &str, expression: &str) -> Problem {
    let why = format!("`{expression}` gives another value each time it is asked, so two reads of a row would differ");
    Problem::new(Kind::Refused(Refusal::Expression(why.clone())), wish, why)
}
