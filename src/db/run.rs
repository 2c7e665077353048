//! Running a plan: the only code that changes a database.

use std::time::Duration;

use postgres::{Error, SimpleQueryMessage, Transaction};

use crate::name::Ident;
use crate::plan::Plan;

/// How often a lock that is not to be had is tried again, and how long each try waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Tries in all.
    pub tries: u32,
    /// `lock_timeout` of each.
    pub lock_timeout: Duration,
    /// Pause between two.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tries: 10, lock_timeout: Duration::from_secs(2), pause: Duration::from_millis(500) }
    }
}

/// A step that failed.
#[derive(Debug)]
pub struct Failure {
    /// What the step does.
    pub sentence: String,
    /// Its SQL.
    pub sql: String,
    /// What the server said.
    pub error: Error,
}

impl Failure {
    /// Whether only a lock was not to be had in time, or another transaction won, so that a new try may succeed.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let passing = ["55P03", "40P01", "40001"];
        self.error.code().is_some_and(|c| passing.contains(&c.code()))
    }

    /// Whether somebody else's object uses ours.
    #[must_use]
    pub fn is_dependency(&self) -> bool {
        self.error.code().is_some_and(|c| c.code() == "2BP01")
    }
}

/// Sets `search_path` for what a person wrote: what is PostgreSQL's own first, temporary tables last.
#[must_use]
pub fn set_path(set: &str, path: &[Ident]) -> String {
    let path: String = path.iter().map(|schema| format!("{schema}, ")).collect();
    format!("{set} search_path = pg_catalog, {path}pg_temp")
}

/// Prepares a transaction for a plan: lock timeout, and a `search_path` for the names in the user's expressions (all
/// of ours are qualified).
///
/// # Errors
/// When the server says so.
pub fn prepare(transaction: &mut Transaction<'_>, patience: &Patience, path: &[Ident]) -> Result<(), Error> {
    let path = set_path("SET LOCAL", path);
    transaction.batch_execute(&format!(
        "SET LOCAL lock_timeout = {}; {path}; SET LOCAL check_function_bodies = false; SET LOCAL client_min_messages = warning; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;",
        patience.lock_timeout.as_millis()
    ))
}

/// Runs the steps of a plan in a transaction. `seen` hears of each step before it runs.
///
/// # Errors
/// The first step that fails; the caller rolls back.
pub fn steps(
    transaction: &mut Transaction<'_>,
    plan: &Plan,
    seen: &mut dyn FnMut(usize, &str),
) -> Result<(), Box<Failure>> {
    for (at, step) in plan.steps.iter().enumerate() {
        seen(at, &step.sentence);
        transaction
            .batch_execute(&step.sql)
            .map_err(|error| Box::new(Failure { sentence: step.sentence.clone(), sql: step.sql.clone(), error }))?;
    }
    Ok(())
}

/// Runs statements of the user as their own code would run them: with `path` as `search_path`. Gives the rows that they
/// changed. Whatever waits for the end of the transaction is done now.
///
/// # Errors
/// When the server says so; the caller rolls back.
pub fn statements(transaction: &mut Transaction<'_>, path: &[Ident], sql: &str) -> Result<u64, Error> {
    let path = path.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    transaction.batch_execute(&format!("SET LOCAL search_path = {path}"))?;
    let messages = transaction.simple_query(sql)?;
    transaction.batch_execute("SET CONSTRAINTS ALL IMMEDIATE")?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::CommandComplete(rows) => Some(rows),
        _ => None,
    });
    Ok(rows.sum())
}
