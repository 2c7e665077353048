//! `status`: which refactorings the files and the database have.

use serde_json::json;

use crate::cli::Context;
use crate::db::session::beside::left_over;
use crate::journal::{State, compare};
use crate::problem::Problem;

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
    let width = rows.iter().map(|r| r.0.chars().count()).max().unwrap_or(0);
    for (name, state, trouble, when) in &rows {
        let trouble = trouble.map(|t| format!("  ({t})")).unwrap_or_default();
        context.ui.out(format!("{name:width$}  {state:12}  {when}{trouble}").trim_end());
    }
    if rows.is_empty() {
        context.ui.say("no refactorings, neither in the files nor in the database");
    }
    let broken = place.version().err();
    match (&broken, rows.iter().filter(|r| r.1 == "deferred").count()) {
        (Some(problem), _) => context.ui.problem(problem),
        (None, 0) if !comparison.to_apply.is_empty() => context.ui.say("nothing is deferred"),
        (None, 0) => context.ui.say("the tables are the newest shape; nothing is deferred"),
        (None, n) => context.ui.say(format!("{n} deferred: `next` shows the new shape, the tables have the old one")),
    }
    for trouble in session.changed_rights(&place)? {
        context.ui.warn(trouble);
    }
    let left = left_over(&place)?;
    if !left.is_empty() {
        context.ui.warn(format!(
            "a run is at work, or was cut off before its refactoring was shown: there is {}; `refactor apply` goes on, `refactor undo` goes back",
            left.join(", ")
        ));
    }
    if !comparison.to_apply.is_empty() {
        context.ui.say("`refactor apply` brings the database up to the files");
    }
    context.ui.json(&json!(
        rows.iter()
            .map(|(name, state, trouble, when)| json!({
                "name": name, "state": state, "trouble": trouble, "when": when
            }))
            .collect::<Vec<_>>()
    ));
    Ok(())
}
