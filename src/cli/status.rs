//! `status`: which refactorings the files and the database have.

use serde_json::json;

use crate::cli::{Context, branches};
use crate::db::session::beside::left_over;
use crate::db::session::{Place, Session};
use crate::journal::{State, compare};
use crate::plan::PlanStep;
use crate::problem::{Kind, Problem};

/// Prints the state of every refactoring.
pub fn run(context: &Context) -> Result<(), Problem> {
    let files = context.files()?;
    let mut session = context.session()?;
    let place = session.place()?;
    let comparison = compare(&files, &place.recorded);
    let mut rows = Vec::new();
    for recorded in &place.recorded {
        let name = &recorded.entry.step.name;
        let state = match recorded.state {
            State::Deferred => "deferred",
            State::Materialized => "materialized",
        };
        let trouble = if comparison.changed.iter().any(|(n, ..)| n == name) {
            Some("file changed after it was applied")
        } else if comparison.missing.contains(name) {
            Some("no such file here: another branch, or it was removed")
        } else {
            None
        };
        rows.push((name.clone(), state, trouble, format!("{} by {}", recorded.at, recorded.by)));
    }
    for entry in &comparison.to_apply {
        rows.push((entry.step.name.clone(), "not applied", None, String::new()));
    }
    if !comparison.to_apply.is_empty() {
        let (behind, all) = (comparison.to_apply.len(), files.len());
        context.ui.say(format!(
            "the database is behind the files: it does not have {behind} of {all} (`refactor apply` shows {})",
            if behind == 1 { "it" } else { "them" }
        ));
    }
    let width = rows.iter().map(|r| r.0.chars().count()).max().unwrap_or(0);
    for (name, state, trouble, when) in &rows {
        let trouble = trouble.map(|t| format!("  ({t})")).unwrap_or_default();
        context.ui.out(format!("{name:width$}  {state:12}  {when}{trouble}").trim_end());
    }
    if rows.is_empty() {
        context.ui.say("no refactorings, neither in the files nor in the database");
    }
    let deferred = rows.iter().filter(|r| r.1 == "deferred").count();
    let problem = match branches::in_order(context, &files, &place).and_then(|()| place.drift()) {
        Err(problem) => Some(problem),
        Ok(drift) if !drift.is_empty() => Some(Problem {
            what: "what is shown is not what it should be".into(),
            why: drift,
            hint: Some("`refactor apply` makes the views and triggers anew".into()),
            kind: Kind::Drift,
        }),
        Ok(_) if deferred == 0 => {
            context.ui.say(if comparison.to_apply.is_empty() {
                "the tables are the newest shape; nothing is deferred"
            } else {
                "nothing is deferred"
            });
            None
        }
        Ok(_) => {
            context.ui.say(format!("{deferred} deferred: `next` shows the new shape, the tables have the old one"));
            None
        }
    };
    for stranger in &place.installed.strangers {
        context.ui.warn(stranger.sentence());
    }
    for trouble in session.changed_rights(&place)? {
        context.ui.warn(trouble);
    }
    at_work(context, &mut session, &place)?;
    let why = problem.as_ref().map(|p| p.why.join("; "));
    let one = |(name, state, trouble, when): &(String, &str, Option<&str>, String)| {
        let shown = why.as_deref().filter(|_| *state == "deferred");
        json!({ "name": name, "state": state, "trouble": trouble.or(shown), "when": when })
    };
    context.ui.json(&rows.iter().map(one).collect::<Vec<_>>());
    match problem {
        None => Ok(()),
        // As data it is told above: there is one value only.
        Some(problem) if context.ui.json => Err(Problem { kind: Kind::Told, ..problem }),
        Some(problem) => Err(problem),
    }
}

/// Tells of a run that is at work, or of what is left of one that was cut off.
fn at_work(context: &Context, session: &mut Session, place: &Place) -> Result<(), Problem> {
    if let Some(work) = session.at_work()? {
        context.ui.say(format!("a run is at work: {work}"));
        return Ok(());
    }
    for PlanStep { sentence, .. } in &place.installed.later {
        context.ui.warn(format!("a run was cut off when all was real but this, which the next run does: {sentence}"));
    }
    let left = left_over(place)?;
    if !left.is_empty() {
        context.ui.warn(format!(
            "a run was cut off before its work was done: there is {}; `refactor apply` or `refactor materialize` goes on, `refactor undo` goes back",
            left.join(", ")
        ));
    }
    Ok(())
}
