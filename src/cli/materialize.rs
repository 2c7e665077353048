//! `materialize`: makes deferred refactorings real.

use clap::Args;

use crate::cli::{Context, agree, is_named, plan};
use crate::db::session::{Materialization, Place, Session};
use crate::interrupt;
use crate::journal::Entry;
use crate::plan::materialize::Options;
use crate::problem::{Kind, Problem};
use crate::ui::Ui;
use crate::version::Version;

/// How to materialize.
#[derive(Debug, Args)]
pub struct Materialize {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print the plan and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    how: How,
    /// One refactoring a transaction, instead of all at once
    #[arg(long)]
    step_by_step: bool,
    /// Say only what is lost.
    #[arg(skip)]
    terse: bool,
}

/// What shapes the plan.
#[derive(Debug, Clone, Args)]
pub struct How {
    /// Last refactoring to make real; later ones stay deferred
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// Rebuild tables of at least this many megabytes, rewrite smaller ones in place
    #[arg(long, value_name = "MB", default_value_t = 64)]
    rebuild_from: i64,
    /// Build tables of at least this many megabytes, and their new rules and indexes, while others write
    #[arg(long, value_name = "MB", default_value_t = 4)]
    beside_from: i64,
    /// Do all in one transaction, while nobody works with the tables
    #[arg(long, conflicts_with = "beside_from")]
    offline: bool,
    /// Give up a view or function that has no meaning in the new shape
    #[arg(long, value_name = "NAME")]
    drop: Vec<String>,
    /// Go on though this function names what goes: it has been seen to
    #[arg(long, value_name = "FUNCTION")]
    accept: Vec<String>,
}

impl Default for How {
    fn default() -> Self {
        Self { to: None, rebuild_from: 64, beside_from: 4, offline: false, drop: Vec::new(), accept: Vec::new() }
    }
}

impl How {
    /// Those of the files that the database does not have yet which are to be made real, too.
    fn until<'e>(&self, new: &'e [Entry]) -> &'e [Entry] {
        let last = self.to.as_ref().map(|to| new.iter().position(|e| is_named(&e.step.name, to)));
        match last {
            None => new,
            Some(Some(at)) => &new[..=at],
            Some(None) => &[],
        }
    }

    /// How many of the pending refactorings, and how.
    pub fn choose(&self, place: &Place) -> Result<(usize, Options), Problem> {
        let pending = place.pending();
        let count = match &self.to {
            None => pending.len(),
            Some(to) => {
                let at = pending.iter().position(|s| is_named(&s.name, to));
                1 + at.ok_or_else(|| {
                    let names: Vec<&str> = pending.iter().map(|s| s.name.as_str()).collect();
                    Problem::new(
                        Kind::Usage,
                        format!("cannot materialize to `{to}`"),
                        "no deferred refactoring has this name",
                    )
                    .hint(format!("deferred: {}", names.join(", ")))
                })?
            }
        };
        Ok((count, self.options()))
    }

    fn options(&self) -> Options {
        Options {
            rebuild_from: self.rebuild_from << 20,
            beside_from: if self.offline { i64::MAX } else { self.beside_from << 20 },
            drop: self.drop.clone(),
            accept: self.accept.clone(),
        }
    }
}

/// Makes all real without asking, and says only what is lost. Gives what became real.
pub fn unasked(context: &Context, how: &How) -> Result<Vec<String>, Problem> {
    let context = Context { ui: Ui { json: false, ..context.ui }, ..context.clone() };
    all(&context, &Materialize { yes: true, dry_run: false, how: how.clone(), step_by_step: false, terse: true })
}

/// Plans, asks, and makes real.
pub fn run(context: &Context, args: &Materialize) -> Result<(), Problem> {
    interrupt::say(context.ui, format!("the server takes back what was not committed, within a second; {GO_ON}"));
    all(context, args).map(|_| ())
}

/// How to go on with a run that was ended.
pub(super) const GO_ON: &str = "`refactor status` says what is real, `refactor materialize` does the rest, `refactor undo` takes back what is not real";

fn all(context: &Context, args: &Materialize) -> Result<Vec<String>, Problem> {
    let files = context.files()?;
    let mut session = context.session()?;
    session.lock()?;
    let (mut place, left) = session.settled()?;
    context.tell_left(&left);
    let mut new = args.how.until(&agree(context, &files, &place)?.to_apply).to_vec();
    let (mut count, options) =
        if new.is_empty() { args.how.choose(&place)? } else { (place.pending().len(), args.how.options()) };
    if count == 0 && new.is_empty() {
        if !args.terse {
            context.ui.say("nothing is deferred: the tables are the newest shape");
        }
        context.ui.json(&serde_json::json!({ "materialized": [], "deferred": [] }));
        return Ok(Vec::new());
    }
    if count > 0 {
        taken_up(context, &mut session, &mut place, args.dry_run)?;
    }
    let mut done = Vec::new();
    let mut rest: Vec<String> = Vec::new();
    if args.dry_run && !new.is_empty() {
        context.ui.say(format!("shown in `next` first, then made real with the others: {}", names(&new)));
        if count == 0 {
            context.ui.say("nothing was done (--dry-run)");
            return Ok(Vec::new());
        }
    }
    while count > 0 || !new.is_empty() {
        if !args.dry_run && !new.is_empty() {
            count += taken_along(context, &mut session, &mut place, &mut new)?;
        }
        let chunk = if args.step_by_step { 1 } else { count };
        let work = session.prepare_materialize(&place, chunk, &options)?;
        if args.terse {
            work.plan.losses.iter().for_each(|loss| context.ui.warn(format!("lost: {loss}")));
        } else {
            plan::print(context.ui, &work.plan, args.dry_run);
        }
        if args.dry_run {
            context.ui.json(&work.plan);
            context.ui.say("nothing was done (--dry-run)");
            return Ok(Vec::new());
        }
        if !args.yes && !context.ui.ask("Do this?") {
            return Err(Problem::new(Kind::Declined, "nothing was materialized", "it was not confirmed")
                .hint("answer `y`, or pass `--yes` in scripts"));
        }
        if args.terse {
            session.materialize(&place, &work, &mut |_, _| {})?;
        } else {
            one(context, &mut session, &place, &work)?;
        }
        count -= work.names.len();
        done.extend(work.names);
        rest = work.rest.into_iter().map(|step| step.name).collect();
        place = session.place()?;
    }
    context.ui.json(&serde_json::json!({ "materialized": done, "deferred": rest }));
    Ok(done)
}

fn names(entries: &[Entry]) -> String {
    entries.iter().map(|e| e.step.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What the database does not have yet is shown first, so that its facts are asked and its values are in their places: as
/// many as become real at once, since what would stand on a floor can stand on what is real then. Gives how many.
fn taken_along(
    context: &Context,
    session: &mut Session,
    place: &mut Place,
    new: &mut Vec<Entry>,
) -> Result<usize, Problem> {
    let mut steps = place.pending();
    let pending = steps.len();
    steps.extend(new.iter().map(|e| e.step.clone()));
    let at_once = Version::fold(place.schema.clone(), &steps).map_or_else(|(at, _)| at, |all| all.until_floor());
    // Where nothing is left that could become real before, its refusal is the last word.
    let count = at_once.saturating_sub(pending).max(usize::from(pending == 0));
    if count > 0 {
        let rest = new.split_off(count);
        let mut deferred = session.prepare(place, new)?;
        session.defer(place, &mut deferred, &mut |_, _| {})?;
        context.ui.say(format!("shown in `next` first: {}", names(new)));
        *place = session.place()?;
        *new = rest;
    }
    Ok(count)
}

/// What becomes real is what the views show. If somebody has changed the tables or the views meanwhile, that is told, and
/// they are made anew first, as `apply` does.
fn taken_up(context: &Context, session: &mut Session, place: &mut Place, dry_run: bool) -> Result<(), Problem> {
    let drift = place.drift()?;
    for difference in &drift {
        context.ui.warn(difference);
    }
    for stranger in &place.installed.strangers {
        context.ui.warn(stranger.sentence());
    }
    if !drift.is_empty() && !dry_run {
        let mut anew = session.prepare(place, &[])?;
        session.defer(place, &mut anew, &mut |_, _| {})?;
        *place = session.place()?;
        context.ui.say("the views were made anew, as the tables are now");
    }
    Ok(())
}

fn one(context: &Context, session: &mut Session, place: &Place, work: &Materialization) -> Result<(), Problem> {
    let start = std::time::Instant::now();
    session.materialize(place, work, &mut |at, sentence| context.ui.step(at, sentence))?;
    context.ui.done(format!(
        "materialized {} in {:.1} s; every table holds exactly what its view showed",
        work.names.join(", "),
        start.elapsed().as_secs_f64()
    ));
    for step in &work.rest {
        context.ui.say(format!("  still deferred: {}", step.name));
    }
    Ok(())
}
