//! The order of files and of a database: which refactorings stand the other way round there, and whether that matters.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Clash, One, square};
use crate::catalogue::Refactoring;
use crate::journal::{Entry, Recorded, State};
use crate::refusal::Refusal;
use crate::schema::Schema;
use crate::version::{Step, Version};

/// Two branches of files that come after the same one, or both after none.
#[derive(Debug, Clone, PartialEq)]
pub struct Fork<'e> {
    /// What comes before both, in order.
    pub common: Vec<&'e Entry>,
    /// The one that is read first.
    pub ours: Vec<&'e Entry>,
    /// The other.
    pub theirs: Vec<&'e Entry>,
}

/// Where files of several branches lie beside each other: each branch with those that are read before it.
#[must_use]
pub fn forks(files: &[Entry]) -> Vec<Fork<'_>> {
    let after: BTreeMap<&str, Option<&str>> =
        files.iter().map(|f| (f.step.name.as_str(), f.after.as_deref())).collect();
    let line = |name: &str| {
        let mut line = Vec::new();
        let mut at = Some(name);
        while let Some(name) = at {
            line.push(name.to_owned());
            at = after.get(name).copied().flatten();
        }
        line
    };
    let is_last = |f: &&Entry| files.iter().all(|other| other.after.as_ref() != Some(&f.step.name));
    let lines: Vec<Vec<String>> = files.iter().filter(is_last).map(|f| line(&f.step.name)).collect();
    let mut forks: Vec<Fork> = Vec::new();
    for (at, theirs) in lines.iter().enumerate().skip(1) {
        let read: Vec<&String> = lines[..at].iter().flatten().collect();
        let own = |f: &&Entry| theirs.contains(&f.step.name) && !read.contains(&&f.step.name);
        let common = |f: &&Entry| theirs.contains(&f.step.name) && read.contains(&&f.step.name);
        let ours = |f: &&Entry| !theirs.contains(&f.step.name) && read.contains(&&f.step.name);
        let fork = Fork {
            common: files.iter().filter(common).collect(),
            ours: files.iter().filter(ours).collect(),
            theirs: files.iter().filter(own).collect(),
        };
        forks.push(fork);
    }
    forks.retain(|fork| !fork.common.is_empty() || are_first(fork));
    forks
}

/// Whether two branches that come after nothing were both begun as the first: files without `after` are in the order of
/// their numbers, else.
fn are_first(fork: &Fork) -> bool {
    let number = |entries: &[&Entry]| entries.first().map(|e| crate::version::numbered(&e.step.name).to_owned());
    number(&fork.ours) == number(&fork.theirs)
}

/// Two refactorings that a database has, or would get, in another order than the files have them.
#[derive(Debug, Clone, PartialEq)]
pub enum Turned {
    /// It does not matter.
    Commute(String, String),
    /// It does.
    Clash(Box<Clash>),
    /// The tables as they were before both are not known any more.
    Unknown(String, String),
}

/// The pairs that the database has (or gets, by what is to be applied) the other way round than the files: the one that is
/// first in the database comes first.
#[must_use]
pub fn turned(files: &[Entry], recorded: &[Recorded]) -> Vec<(String, String)> {
    let there: Vec<&String> = recorded.iter().map(|r| &r.entry.step.name).collect();
    let place = |name: &String| there.iter().position(|n| *n == name).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for (at, first) in files.iter().enumerate() {
        for second in &files[at + 1..] {
            let (first, second) = (&first.step.name, &second.step.name);
            if place(second) < place(first) {
                found.push((second.clone(), first.clone()));
            }
        }
    }
    found
}

/// Decides about each of them.
#[must_use]
pub fn judge(schema: &Arc<Schema>, files: &[Entry], recorded: &[Recorded]) -> Vec<Turned> {
    let pairs = turned(files, recorded);
    pairs.into_iter().map(|(there_first, here_first)| one(schema, files, recorded, &there_first, &here_first)).collect()
}

fn one(schema: &Arc<Schema>, files: &[Entry], recorded: &[Recorded], there_first: &str, here_first: &str) -> Turned {
    let step = |name: &str| files.iter().find(|f| f.step.name == name).map(|f| &f.step);
    let unknown = || Turned::Unknown(there_first.to_owned(), here_first.to_owned());
    let (Some(a), Some(b)) = (step(there_first), step(here_first)) else { return unknown() };
    let place = |name: &str| recorded.iter().position(|r| r.entry.step.name == name);
    let at = place(there_first).unwrap_or(recorded.len());
    // What stands between the two is between them in either order.
    let mut common: Vec<&Step> = recorded.iter().map(|r| &r.entry.step).collect();
    common.truncate(place(here_first).unwrap_or(recorded.len()));
    common.retain(|s| s.name != there_first);
    let own: Vec<&str> = recorded[at..].iter().map(|r| &*r.entry.step.name).collect();
    let Ok(base) = base(schema, recorded, &common, &own) else { return unknown() };
    if [a, b].iter().any(|step| One::over(&base, step).is_err()) {
        return unknown();
    }
    match square(&base, a, b) {
        Ok(_) => Turned::Commute(there_first.to_owned(), here_first.to_owned()),
        Err(clash) => Turned::Clash(clash),
    }
}

/// The tables as they were before some refactorings of the journal, with all of `common`: what is real is taken back by
/// its inverse.
///
/// # Errors
/// The refactoring that cannot be taken back, or makes no sense.
pub fn base(
    schema: &Arc<Schema>,
    recorded: &[Recorded],
    common: &[&Step],
    own: &[&str],
) -> Result<Arc<Schema>, (String, Option<Refusal>)> {
    let real: Vec<&Recorded> = recorded.iter().filter(|r| r.state == State::Materialized).collect();
    let first = real.iter().position(|r| own.contains(&&*r.entry.step.name)).unwrap_or(real.len());
    let mut now = schema.clone();
    let then = |before: Arc<Schema>, step: &Step| Ok(Arc::new(Version::base(before).after(step)?.as_schema()));
    for recorded in real[first..].iter().rev() {
        let name = &recorded.entry.step.name;
        let inverse = recorded.inverse.as_deref().and_then(|text| toml::from_str::<Refactoring>(text).ok());
        let Some(refactoring) = inverse else { return Err((name.clone(), None)) };
        let step = Step { name: format!("back-{name}"), refactoring };
        now = then(now, &step).map_err(|refusal| (name.clone(), Some(refusal)))?;
    }
    let is_there = |step: &Step| real[..first].iter().any(|r| r.entry.step.name == step.name);
    for step in common.iter().filter(|step| !is_there(step)) {
        now = then(now, step).map_err(|refusal| (step.name.clone(), Some(refusal)))?;
    }
    Ok(now)
}
