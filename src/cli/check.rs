//! `check`: are the files in order, by themselves or against a database?

use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::journal::compare;
use crate::problem::{Kind, Problem};

/// What to check against.
#[derive(Debug, Args)]
pub struct Check {
    /// Only the files; no database is needed
    #[arg(long)]
    files: bool,
}

/// `1 refactoring`, `2 refactorings`
fn counted(count: usize) -> String {
    if count == 1 { "1 refactoring".into() } else { format!("{count} refactorings") }
}

/// Reads all files, and folds them over the database's schema.
pub fn run(context: &Context, args: &Check) -> Result<(), Problem> {
    let files = context.files()?;
    if args.files {
        context.ui.done(format!(
            "{} can be read and {} in order",
            counted(files.len()),
            if files.len() == 1 { "is" } else { "are" }
        ));
        context.ui.json(&json!({ "files": files.iter().map(|f| &f.step.name).collect::<Vec<_>>() }));
        return Ok(());
    }
    let mut session = context.session()?;
    let place = session.place()?;
    let comparison = compare(&files, &place.recorded);
    let mut troubles = Vec::new();
    for (name, there, here) in &comparison.changed {
        troubles.push(format!("{name} was changed after it was applied\n{}", super::difference(there, here)));
    }
    for name in &comparison.missing {
        troubles.push(format!("the database has {name}, but there is no such file: it is ahead of this checkout"));
    }
    troubles.extend(session.changed_rights(&place)?);
    let drift = place.drift().unwrap_or_default(); // else the reason comes below
    let repair = !drift.is_empty() && troubles.is_empty();
    troubles.extend(drift);
    for stranger in &place.installed.strangers {
        context.ui.warn(stranger.sentence());
    }
    let prepared = session.prepare(&place, &comparison.to_apply);
    match prepared {
        Ok(deferred) => {
            for answer in &deferred.facts {
                context.ui.say(format!("  fact: {}", answer.sentence()));
            }
        }
        // As data it is one of the reasons below: there is one object only.
        Err(problem) if context.ui.json => {
            troubles.push(problem.what);
            troubles.extend(problem.why);
        }
        Err(problem) => {
            context.ui.problem(&problem);
            troubles.push(problem.what);
        }
    }
    if troubles.is_empty() {
        context.ui.json(&json!({ "troubles": troubles, "to_apply": comparison.to_apply.iter().map(|e| &e.step.name).collect::<Vec<_>>() }));
        let to_apply = comparison.to_apply.len();
        let agree = match files.len() - to_apply {
            1 => "1 file agrees".to_owned(),
            n => format!("{n} files agree"),
        };
        context.ui.done(format!("{agree} with the database; {to_apply} to apply"));
        Ok(())
    } else {
        Err(Problem {
            what: if repair { "what is shown is not what it should be" } else { "files and database do not agree" }
                .into(),
            why: troubles,
            hint: Some(
                if repair {
                    "`refactor apply` makes the views and triggers anew"
                } else {
                    "`refactor status` shows both sides"
                }
                .into(),
            ),
            kind: Kind::Files,
        })
    }
}
