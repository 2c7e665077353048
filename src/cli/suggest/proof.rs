//! A stack made real on a copy of the tables, and compared with what is wanted.

use std::sync::Arc;

use crate::catalogue::Refactoring;
use crate::cli::declare::unwritten;
use crate::db::connect::Target;
use crate::db::dump::Dumped;
use crate::db::session::Session;
use crate::journal::{Entry, chain};
use crate::plan::materialize::Options;
use crate::problem::Problem;
use crate::schema::{Schema, read};

/// The database that all copies are made of.
pub const OLD: &str = "old";

/// The tables after these refactorings, as the server has them; or why they cannot be.
pub fn real(dumped: &Dumped, refactorings: &[Refactoring], taken: &[String]) -> Result<Schema, Problem> {
    const COPY: &str = "tried";
    dumped.drop_database(COPY)?;
    let target = dumped.database(COPY, OLD)?;
    let entries = entries(refactorings, taken)?;
    let made = made_real(&target, &entries);
    let schema = made.and_then(|()| Ok(read::read(&mut target.connect()?)?));
    dumped.drop_database(COPY)?;
    schema
}

/// The refactorings as they would be recorded.
pub fn entries(refactorings: &[Refactoring], taken: &[String]) -> Result<Vec<Entry>, Problem> {
    let after = taken.last().cloned();
    chain(taken.to_vec(), after, refactorings.to_vec()).map_err(|e| unwritten(&e))
}

/// Shows refactorings and makes all that is pending real.
pub fn made_real(target: &Target, entries: &[Entry]) -> Result<(), Problem> {
    let mut session = Session::new(target.connect()?)?;
    session.lock()?;
    let (place, _) = session.settled()?;
    let mut fixed = entries.to_vec();
    for entry in &mut fixed {
        session.fix_moment(&mut entry.step.refactoring);
    }
    if !fixed.is_empty() {
        let mut deferred = session.prepare(&place, &fixed)?;
        session.defer(&place, &mut deferred, &mut |_, _| {})?;
    }
    loop {
        let place = session.place()?;
        let count = place.pending().len();
        if count == 0 {
            return Ok(());
        }
        let work = session.prepare_materialize(&place, count, &Options::default())?;
        session.materialize(&place, &work, &mut |_, _| {})?;
    }
}

/// The tables of a database.
pub fn tables(target: &Target) -> Result<Arc<Schema>, Problem> {
    Ok(Arc::new(read::read(&mut target.connect()?)?))
}
