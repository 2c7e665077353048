//! `undo`: takes deferred refactorings back.

use clap::Args;

use crate::catalogue::Refactor;
use crate::cli::{Context, only_named};
use crate::interrupt;
use crate::journal::{State, compare};
use crate::problem::{Kind, Problem};
use crate::version::Step;

/// What is left of a run that was ended.
const LEFT: &str =
    "the database is as it was, or all is taken back: `refactor status` tells; `refactor undo` again does the rest";

/// What to take back.
#[derive(Debug, Args)]
pub struct Undo {
    /// Refactorings to take back [default: the newest]
    names: Vec<String>,
    /// Take all deferred ones back
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Keep the files
    #[arg(long)]
    keep_files: bool,
    /// Do not ask before values are lost that only the new shape can hold
    #[arg(long)]
    yes: bool,
}

/// Takes refactorings back and removes their files.
pub fn run(context: &Context, args: &Undo) -> Result<(), Problem> {
    interrupt::say(context.ui, LEFT);
    let files = context.files()?;
    let mut session = context.session()?;
    session.lock()?;
    let (place, left) = session.settled()?;
    context.tell_left(&left);
    let pending: Vec<String> = place.pending().into_iter().map(|s| s.name).collect();
    let Some(newest) = pending.last() else {
        if !left.is_empty() && args.names.is_empty() {
            context.ui.json(&serde_json::json!({ "undone": [] }));
            return Ok(());
        }
        let none = "no refactoring is deferred";
        let materialized = place.recorded.iter().any(|r| r.state == State::Materialized);
        let problem = Problem::new(Kind::Obstacle, "nothing to undo", none);
        return Err(if materialized {
            problem.hint("what is real is taken back by its inverse: `refactor revert` declares it")
        } else {
            problem
        });
    };
    let mut names: Vec<String> = Vec::new();
    if args.all {
        names.clone_from(&pending);
    } else if args.names.is_empty() {
        names.push(newest.clone());
    }
    let all: Vec<&str> = pending.iter().map(String::as_str).collect();
    for wanted in &args.names {
        let at = only_named(wanted, &all).ok_or_else(|| {
            let why = "no deferred refactoring has this name";
            Problem::new(Kind::Usage, format!("cannot undo `{wanted}`"), why)
                .hint(format!("deferred: {}", pending.join(", ")))
        })?;
        names.push(pending[at].clone());
    }
    let plan = session.prepare_undo(&place, &names)?;
    for loss in &plan.losses {
        context.ui.warn(loss);
    }
    for note in &plan.notes {
        context.ui.warn(note);
    }
    for stranger in &place.installed.strangers {
        context.ui.warn(stranger.sentence());
    }
    if !plan.losses.is_empty() && !args.yes && !context.ui.ask("Take it back and lose them?") {
        return Err(Problem::new(
            Kind::Declined,
            "nothing was undone",
            "values would be lost that only the new shape can hold",
        )
        .hint("`--yes` takes it back all the same"));
    }
    session.undo(&place, &plan, &names, &mut |_, _| {})?;
    if !args.keep_files {
        let changed = compare(&files, &place.recorded).changed;
        let (edited, same): (Vec<String>, Vec<String>) =
            names.iter().cloned().partition(|name| changed.iter().any(|(n, ..)| n == name));
        context.directory().take_out(&same)?;
        for name in edited {
            context.ui.note(format!("the file of {name} was edited, so it stays"));
        }
    }
    context.ui.done(format!("undone: {}", names.join(", ")));
    let mut report = serde_json::json!({ "undone": names });
    if !plan.losses.is_empty() {
        report["losses"] = serde_json::json!(plan.losses);
    }
    context.ui.json(&report);
    let for_good = |s: &Step| s.refactoring.data().is_some_and(|data| data.undo.is_none());
    if names.len() == pending.len() && !place.pending().iter().any(for_good) && place.installed.strangers.is_empty() {
        context.ui.say("nothing is deferred now; the database is as it was before, but for the journal");
    }
    Ok(())
}
