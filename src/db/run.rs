//! Running a plan: the only code that changes a database.

use std::time::{Duration, Instant};

use postgres::{Error, SimpleQueryMessage, Transaction};

use crate::name::Ident;
use crate::plan::Plan;

/// How a lock that is not to be had is tried for. While we wait for one, everybody waits who comes after us: so each try is
/// short, and there is time between two.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Tries at most.
    pub tries: u32,
    /// The longest `lock_timeout`; the first tries wait less.
    pub lock_timeout: Duration,
    /// The longest pause between two.
    pub pause: Duration,
    /// When no other try is begun.
    pub within: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: u32::MAX,
            lock_timeout: Duration::from_millis(80),
            pause: Duration::from_secs(1),
            within: Duration::from_secs(20),
        }
    }
}

impl Patience {
    /// The tries, one after another.
    #[must_use]
    pub fn begin(self) -> Tries {
        Tries { patience: self, begun: Instant::now(), done: 0 }
    }
}

/// Tries for a lock.
#[derive(Debug)]
pub struct Tries {
    patience: Patience,
    begun: Instant,
    done: u32,
}

impl Tries {
    /// How long the try that comes waits for a lock.
    #[must_use]
    pub fn lock_timeout(&self) -> Duration {
        (FIRST_TRY * 2_u32.saturating_pow(self.done.min(10))).min(self.patience.lock_timeout)
    }

    /// Whether there may be another try; if so, lets others work before.
    pub fn again(&mut self) -> bool {
        let pause = (self.lock_timeout() * 5).min(self.patience.pause);
        self.done += 1;
        let goes_on = self.done < self.patience.tries && self.begun.elapsed() + pause < self.patience.within;
        if goes_on {
            std::thread::sleep(pause);
        }
        goes_on
    }

    /// The same, but not often: for what mostly does not pass.
    pub fn again_soon(&mut self) -> bool {
        self.done < FEW && self.again()
    }

    /// How long it has been tried, in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("tried {} times in {:.1} s", self.done, self.begun.elapsed().as_secs_f64())
    }
}

/// What the first try waits: longer than most transactions take.
const FIRST_TRY: Duration = Duration::from_millis(20);

/// How often something is tried again that mostly does not pass.
const FEW: u32 = 4;

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
        may_pass(&self.error)
    }

    /// Whether rows broke a rule, which others may mend with their next write.
    #[must_use]
    pub fn breaks_a_rule(&self) -> bool {
        self.error.code().is_some_and(|c| c.code().starts_with("23") || c.code() == "P0001")
    }

    /// Whether somebody else's object uses ours.
    #[must_use]
    pub fn is_dependency(&self) -> bool {
        self.error.code().is_some_and(|c| c.code() == "2BP01")
    }
}

/// Whether only a lock was not to be had in time, or another transaction won.
#[must_use]
pub fn may_pass(error: &Error) -> bool {
    let passing = ["55P03", "40P01", "40001"];
    error.code().is_some_and(|c| passing.contains(&c.code()))
}

/// Sets `search_path` for what a person wrote: what is PostgreSQL's own first, temporary tables last.
#[must_use]
pub fn set_path(set: &str, path: &[Ident]) -> String {
    let path: String = path.iter().map(|schema| format!("{schema}, ")).collect();
    format!("{set} search_path = pg_catalog, {path}pg_temp")
}

/// What a plan's transaction sets.
#[must_use]
pub fn settings(lock_timeout: Duration, path: &[Ident]) -> String {
    let path = set_path("SET LOCAL", path);
    format!(
        "SET LOCAL lock_timeout = {}; {path}; SET LOCAL check_function_bodies = false; SET LOCAL client_min_messages = warning; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;",
        lock_timeout.as_millis()
    )
}

/// Prepares a transaction for a plan: lock timeout, and a `search_path` for the names in the user's expressions (all
/// of ours are qualified).
///
/// # Errors
/// When the server says so.
pub fn prepare(transaction: &mut Transaction<'_>, lock_timeout: Duration, path: &[Ident]) -> Result<(), Error> {
    transaction.batch_execute(&settings(lock_timeout, path))
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
