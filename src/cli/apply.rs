//! `apply`: shows what the files have and the database has not.

use crate::cli::{Context, agree, declare};
use crate::interrupt;
use crate::problem::Problem;

/// What is left of a run that was ended.
pub(super) const LEFT: &str = "the database is as it was, or has all of it: `refactor status` tells; `refactor apply` shows what the files have and it has not";

/// Defers all refactorings of the files that the database does not know.
pub fn run(context: &Context) -> Result<(), Problem> {
    interrupt::say(context.ui, LEFT);
    let files = context.files()?;
    let mut session = context.session()?;
    session.lock()?;
    let (place, left) = session.settled()?;
    context.tell_left(&left);
    let comparison = agree(context, &files, &place)?;
    let names: Vec<String> = comparison.to_apply.iter().map(|e| e.step.name.clone()).collect();
    // Also with nothing new: the tables may have been changed under the views, or an earlier run was cut off.
    let mut deferred = session.prepare(&place, &comparison.to_apply)?;
    session.defer(&place, &mut deferred, &mut |_, _| {})?;
    if names.is_empty() {
        context.ui.done("the database has everything already; its views were made anew");
    } else {
        context.ui.done(format!("shown in `next`: {}", names.join(", ")));
    }
    declare::report(context.ui, &deferred, &names);
    Ok(())
}
