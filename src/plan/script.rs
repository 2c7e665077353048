//! A materialization as a script for `psql`: the same statements, checks and comparisons, run by somebody else.

use crate::generate::{fact, rows};
use crate::name::{TableName, delimited, own};
use crate::plan::materialize::LATER;
use crate::plan::{Alone, Plan, PlanStep, stop_if, stop_where};
use crate::relation::{Home, Rows};
use crate::version::Version;

/// The tables of which rows are written, so that the planner must learn of them.
pub fn analyzed(version: &Version) -> impl Iterator<Item = &TableName> {
    let new = |f: &crate::relation::Field| !matches!(f.home, Home::Own(_));
    let rewritten =
        version.touched().filter(move |r| version.is_reordered(r) || r.rows != Rows::Whole || r.fields.iter().any(new));
    rewritten.map(|r| &r.name)
}

/// The script. `settings`: of its transaction; `first`: how many steps come before the facts are asked; `last`: what is done when all is real.
#[must_use]
pub fn script(plan: &Plan, version: &Version, first: usize, settings: &str, last: &[String]) -> String {
    let mut text = format!(
        "-- {}\n-- For psql, as who would run `refactor materialize`. All or nothing: what stops it is rolled back, and what was made ready\n-- before stays under names that begin with `refactor_ready`, until the next `refactor apply`, `materialize` or `undo`.\n\\set ON_ERROR_STOP on\n-- What takes long may.\nSET lock_timeout = 0;\nSET statement_timeout = 0;\n",
        plan.title.replace('\n', " ")
    );
    for loss in &plan.losses {
        text += &format!("-- lost: {}\n", loss.replace('\n', " "));
    }
    let said = |sentence: &str, sql: &str| {
        format!("\n-- {}\n{};\n", sentence.replace('\n', " "), sql.trim_end().trim_end_matches(';'))
    };
    for step in &plan.before {
        let begin = match step.alone {
            Some(Alone::Bare) => {
                text += &said(&step.sentence, &step.sql);
                continue;
            }
            Some(Alone::AtOneMoment) => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            None => "BEGIN",
        };
        let sql = format!("{begin}; {settings}\n{}\nCOMMIT", step.sql.trim_end());
        text += &said(&step.sentence, &sql);
    }
    text += &format!("\nBEGIN;\n{settings}\n");
    for (sentence, sql) in &inside(plan, version, first) {
        text += &said(sentence, sql);
    }
    for sql in last {
        text += &format!("\n{}\n", sql.trim_end());
    }
    text += "\nCOMMIT;\n";
    analyzed(version).for_each(|table| text += &format!("ANALYZE {table};\n"));
    for step in &plan.after {
        text += &said(&step.sentence, &step.sql);
    }
    if !plan.after.is_empty() {
        text += &format!("DROP TABLE {};\n", own(&[LATER]));
    }
    text
}

/// What happens within the transaction: steps, facts and comparisons, each with a sentence.
#[must_use]
pub fn inside(plan: &Plan, version: &Version, first: usize) -> Vec<(String, String)> {
    let (locking, rest) = plan.steps.split_at(first.min(plan.steps.len()));
    let step = |step: &PlanStep| (step.sentence.clone(), step.sql.clone());
    let mut parts: Vec<(String, String)> = locking.iter().map(step).collect();
    for wanted in version.facts().iter().filter(|fact| !plan.answers(version, fact)) {
        let sentence = wanted.sentence();
        let body = stop_where(&fact::offenders_still(version, wanted), &sentence);
        parts.push((format!("still: {sentence}"), delimited(body)));
    }
    let compared: Vec<_> = plan.compared(version).collect();
    for (at, relation) in compared.iter().enumerate() {
        let sum = rows::of_view(version, relation);
        let sql = format!(
            "SELECT pg_catalog.set_config('refactor.sum_{at}', (SELECT s::text FROM ({sum}) AS s), true) AS sum"
        );
        parts.push((format!("what the view of `{}` shows", relation.name.short()), sql));
    }
    parts.extend(rest.iter().map(step));
    for (at, relation) in compared.iter().enumerate() {
        let name = relation.name.short();
        let sum = rows::of_table(version, relation, &relation.name);
        let differs = format!("pg_catalog.current_setting('refactor.sum_{at}') <> (SELECT s::text FROM ({sum}) AS s)");
        let body = stop_if(&differs, &format!("the table `{name}` would not hold what its view showed"));
        parts.push((format!("`{name}` holds what its view showed"), delimited(body)));
    }
    parts
}
