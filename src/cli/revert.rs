//! `revert`: declares the inverses of what is real.

use clap::Args;

use crate::catalogue::Refactoring;
use crate::cli::{Context, declare, only_named};
use crate::db::session::Place;
use crate::journal::{Recorded, State};
use crate::name::shell;
use crate::problem::{Kind, Problem};
use crate::version::{Step, Version};

/// What to take back.
#[derive(Debug, Args)]
pub struct Revert {
    /// Real refactorings to take back [default: the newest]
    names: Vec<String>,
}

/// Declares the inverses, newest first: what was made real last rests on what was before.
pub fn run(context: &Context, args: &Revert) -> Result<(), Problem> {
    let place = context.session()?.place()?;
    let real: Vec<&Recorded> = place.recorded.iter().filter(|r| r.state == State::Materialized).collect();
    let Some(newest) = real.last() else {
        let problem = Problem::new(Kind::Obstacle, "nothing to revert", "no refactoring is real in this database");
        return Err(if place.pending().is_empty() {
            problem
        } else {
            problem.hint("take what is deferred back by `refactor undo`")
        });
    };
    let mut wanted = Vec::new();
    for name in &args.names {
        wanted.push(found(&place, &real, name)?);
    }
    if wanted.is_empty() {
        wanted.push(newest);
    }
    let refactorings = inverses(&real, |one| wanted.contains(&one))?;
    declare::run(context, refactorings).map_err(|problem| match problem.kind {
        Kind::Refused(_) => match with_what_rests_on_it(&place, &real, &wanted) {
            Some(names) => problem.hint(format!("what became real after it rests on it: `refactor revert {names}`")),
            None => problem,
        },
        _ => problem,
    })
}

/// The one of that name, if it can be taken back and has not been.
fn found<'r>(place: &Place, real: &[&'r Recorded], name: &str) -> Result<&'r Recorded, Problem> {
    let what = format!("cannot revert `{name}`");
    let names: Vec<&str> = real.iter().map(|r| r.entry.step.name.as_str()).collect();
    let Some(at) = only_named(name, &names) else {
        let pending = place.pending();
        let pending: Vec<&str> = pending.iter().map(|s| s.name.as_str()).collect();
        return Err(match only_named(name, &pending) {
            Some(at) => Problem::new(Kind::Usage, what, "it is not real yet, so nothing has to be moved back")
                .hint(format!("take it back by `refactor undo {}`", shell(pending[at]))),
            None => Problem::new(Kind::Usage, what, "no real refactoring has this name")
                .hint(format!("real: {}", names.join(", "))),
        });
    };
    let inverse = inverse(real[at])?;
    let later = place.recorded.iter().skip_while(|r| r.entry.step.name != names[at]).skip(1);
    match later.into_iter().find(|r| r.entry.step.refactoring == inverse) {
        None => Ok(real[at]),
        Some(by) => {
            let (by, is_real) = (&by.entry.step.name, by.state == State::Materialized);
            let problem = Problem::new(Kind::Usage, what, format!("{by} takes it back already"));
            let verb = if is_real { "revert" } else { "undo" };
            Err(problem.hint(format!("to have it again: `refactor {verb} {}`", shell(by))))
        }
    }
}

/// How one is taken back, as was written down when it became real.
fn inverse(of: &Recorded) -> Result<Refactoring, Problem> {
    let name = &of.entry.step.name;
    let text = of.inverse.as_ref().ok_or_else(|| {
        Problem::new(
            Kind::Obstacle,
            format!("cannot revert {name}"),
            "it has no inverse: what was before cannot be told from what is there now",
        )
        .hint(format!("declare by hand what you want instead; `refactor show {}` prints it", shell(name)))
    })?;
    toml::from_str(text)
        .map_err(|e| Problem::new(Kind::Drift, format!("cannot read the inverse of {name}"), e.to_string()))
}

fn inverses(real: &[&Recorded], is_wanted: impl Fn(&Recorded) -> bool) -> Result<Vec<Refactoring>, Problem> {
    real.iter().rev().filter(|one| is_wanted(one)).map(|one| inverse(one)).collect()
}

/// The fewest of the newest that can be taken back together with those that are wanted, as for a command line.
fn with_what_rests_on_it(place: &Place, real: &[&Recorded], wanted: &[&Recorded]) -> Option<String> {
    (1..=real.len()).find_map(|count| {
        let newest = &real[real.len() - count..];
        let takes = |one: &Recorded| wanted.contains(&one) || newest.contains(&one);
        let mut steps = place.pending();
        let inverses = inverses(real, takes).ok()?;
        steps.extend(
            inverses
                .into_iter()
                .enumerate()
                .map(|(at, refactoring)| Step { name: format!("revert-{at}"), refactoring }),
        );
        Version::fold(place.schema.clone(), &steps).ok()?;
        let names: Vec<String> = real.iter().filter(|one| takes(one)).map(|one| shell(&one.entry.step.name)).collect();
        Some(names.join(" "))
    })
}
