//! Asking the data: facts and losses.

use std::time::{Duration, Instant};

use postgres::{Error, GenericClient};

use crate::fact::{Fact, Loss, LossKind};
use crate::generate::{fact, shaped};
use crate::version::Version;

/// How many offenders are shown.
const SHOWN: usize = 5;

/// What the data say to one fact.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The fact.
    pub fact: Fact,
    /// How many offend against it.
    pub count: i64,
    /// The keys of the first of them.
    pub first: Vec<String>,
    /// The query, to be run by hand.
    pub query: String,
    /// How long it took.
    pub time: Duration,
}

impl Answer {
    /// Whether the fact holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.count == 0
    }

    /// `each customer must have one city …; 3 customers do not: 17, 204, 9911`
    #[must_use]
    pub fn sentence(&self) -> String {
        if self.holds() {
            return self.fact.sentence();
        }
        let more = if self.count > i64::try_from(self.first.len()).unwrap_or(0) { ", …" } else { "" };
        let table = &self.fact.claim.words().table;
        let (rows, verb) = if self.count == 1 { ("row", "does") } else { ("rows", "do") };
        format!(
            "{}; {} {rows} of `{}` {verb} not: {}{more}",
            self.fact.sentence(),
            self.count,
            table.short(),
            self.first.join(", ")
        )
    }
}

/// Asks one fact.
///
/// # Errors
/// When the server says so.
pub fn ask(client: &mut impl GenericClient, version: &Version, wanted: &Fact) -> Result<Answer, Error> {
    answer(client, wanted, fact::offenders(version, wanted))
}

/// Asks the fact of a refactoring that is deferred.
///
/// # Errors
/// When the server says so.
pub fn ask_still(client: &mut impl GenericClient, version: &Version, wanted: &Fact) -> Result<Answer, Error> {
    answer(client, wanted, fact::offenders_still(version, wanted))
}

fn answer(client: &mut impl GenericClient, wanted: &Fact, query: String) -> Result<Answer, Error> {
    let start = Instant::now();
    let mut attempt = client.transaction()?;
    let found = match offenders(&mut attempt, &query) {
        Ok(found) => found,
        // One value that does not fit stops the whole query: look row by row for all of them.
        Err(error) => match fact::fitting(wanted).filter(|_| is_data_exception(&error)) {
            None => return Err(error),
            Some((function, slow)) => {
                attempt.rollback()?;
                attempt = client.transaction()?;
                attempt.batch_execute(&function)?;
                offenders(&mut attempt, &slow)?
            }
        },
    };
    attempt.rollback()?;
    Ok(Answer { fact: wanted.clone(), count: found.0, first: found.1, query, time: start.elapsed() })
}

fn offenders(client: &mut impl GenericClient, query: &str) -> Result<(i64, Vec<String>), Error> {
    let sql = format!(
        "WITH offenders (key) AS ({query})\nSELECT count(*), coalesce((SELECT array_agg(coalesce(key, 'NULL')) FROM (SELECT key FROM offenders ORDER BY length(key), key LIMIT {SHOWN}) AS f), '{{}}') FROM offenders"
    );
    let row = client.query_one(&sql, &[])?;
    Ok((row.get(0), row.get(1)))
}

/// A value that does not fit: class 22 of SQLSTATE, a check of a domain, or what a function of the user raises.
fn is_data_exception(error: &Error) -> bool {
    error.code().is_some_and(|c| c.code().starts_with("22") || c.code().starts_with("23") || c.code() == "P0001")
}

/// Values that an expression leads to but none leads back from: why losses cannot be counted.
///
/// # Errors
/// The error of counting, if this is not the reason; whatever else the server says.
pub fn without_way_back(
    client: &mut impl GenericClient,
    version: &Version,
    error: Error,
) -> Result<Vec<Answer>, Error> {
    if !is_data_exception(&error) {
        return Err(error);
    }
    let mut broken = Vec::new();
    for loss in &version.losses {
        let LossKind::Unfaithful(at) = loss.kind else { continue };
        for wanted in shaped::ways_back(&version.shaped[at], &loss.words) {
            broken.push(ask(client, version, &wanted)?);
        }
    }
    broken.retain(|answer| !answer.holds());
    if broken.is_empty() { Err(error) } else { Ok(broken) }
}

/// Counts the values of each loss for which `query` gives how to; only those with any are returned.
///
/// # Errors
/// When the server says so.
pub fn losses(
    client: &mut impl GenericClient,
    version: &Version,
    query: impl Fn(&Loss) -> Option<String>,
) -> Result<Vec<(Loss, i64)>, Error> {
    let mut counted = Vec::new();
    for (loss, sql) in version.losses.iter().filter_map(|l| Some((l, query(l)?))) {
        let count: i64 = client.query_one(&sql, &[])?.get(0);
        if count > 0 {
            counted.push((loss.clone(), count));
        }
    }
    Ok(counted)
}
