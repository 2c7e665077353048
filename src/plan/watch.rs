//! What is there before a refactoring is shown, so that nobody waits while large tables are read: the triggers that watch
//! them and the tables that these write. Once they are committed, what is read of the tables stays true, whoever writes.
//! The views come last, in a transaction of their own.

use std::collections::BTreeSet;

use crate::generate::beside::Beside;
use crate::generate::piece::Object;
use crate::generate::{self, complement, lookup, numbering};
use crate::name::TableName;
use crate::plan::defer;
use crate::plan::{Installed, Plan, keep};
use crate::version::{Unlisted, Version};

/// Triggers first, then what is read beside everybody.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// A short transaction.
    pub plan: Plan,
    /// What is read, and written down few rows at a time.
    pub beside: Vec<Beside>,
}

/// How a version is shown while others write. None if nothing new watches a table, or if something must be brought along
/// from what is shown now.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn watch(version: &Version, installed: &Installed, title: &str) -> Result<Option<Watch>, askama::Error> {
    let complements = complement::complements(version)?;
    if defer::brings_along(version, &complements, installed) {
        return Ok(None);
    }
    let there = keep::objects(installed);
    let new: Vec<_> = generate::watching(version)?
        .into_iter()
        .filter(|piece| !(installed.pieces.contains(&piece.hash) && piece.creates().iter().all(|o| there.contains(o))))
        .collect();
    let created: Vec<Object> = new.iter().flat_map(generate::Piece::creates).collect();
    let watches = created.iter().any(|o| matches!(o, Object::Trigger(..)));
    if !watches || created.iter().any(|o| there.contains(o)) {
        return Ok(None);
    }
    let mut plan = Plan { title: title.to_owned(), ..Plan::default() };
    plan.steps.push(defer::journal_is_there(version));
    plan.steps.extend(defer::brought_over(&complements, installed));
    plan.steps.extend(defer::grants(version, []));
    plan.steps.extend(defer::made(version, installed)?);
    plan.steps.extend(new.into_iter().map(defer::shown));
    Ok(Some(Watch { plan, beside: beside(version, installed) }))
}

/// What has to be written for the rows that are there.
fn beside(version: &Version, installed: &Installed) -> Vec<Beside> {
    let numberings = version.numberings.iter().filter(|n| !installed.tables.contains(&n.kept()));
    let listing = version.lookups.iter().filter(|l| l.unlisted == Unlisted::Insert && !defer::is_listed(l, installed));
    listing.map(|l| lookup::seed_beside(version, l)).chain(numberings.map(numbering::seed_beside)).collect()
}

/// What a run that was cut off has left: triggers on tables, complements and tables that no refactoring explains.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn left_over(version: &Version, installed: &Installed) -> Result<Vec<String>, askama::Error> {
    if installed.triggers.is_empty() && installed.tables.is_empty() {
        return Ok(Vec::new());
    }
    let created: BTreeSet<Object> = generate::everything(version)?.iter().flat_map(generate::Piece::creates).collect();
    let triggers = installed.triggers.iter().filter(|(name, on)| !created.contains(&Object::trigger(name, on)));
    let triggers = triggers.map(|(name, on)| format!("trigger {name} on `{}`", on.short()));
    let wanted: BTreeSet<TableName> = defer::wanted(version, &complement::complements(version)?, installed);
    let tables = installed.tables.iter().filter(|t| !wanted.contains(t)).map(|t| format!("table `{}`", t.short()));
    Ok(triggers.chain(tables).collect())
}
