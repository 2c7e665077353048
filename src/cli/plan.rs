//! `plan`: what would be done.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::materialize::How;
use crate::cli::{Context, agree};
use crate::db::dump::Dumped;
use crate::db::session::Session;
use crate::plan::Plan;
use crate::problem::{Kind, Problem};
use crate::ui::Ui;

/// Which plan.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Plan of which verb
    #[arg(value_enum, default_value_t = Of::Materialize)]
    of: Of,
    #[command(flatten)]
    how: How,
    /// Plan for the tables of a dump that `pg_dump` wrote, with all files applied, instead of for a database
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Print the SQL too
    #[arg(long)]
    sql: bool,
    /// Print nothing but a script for psql that makes all real
    #[arg(long, conflicts_with_all = ["sql", "json"])]
    script: bool,
}

/// The verbs with plans.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Of {
    /// What is done to show the refactorings (again), triggers on tables included
    Apply,
    /// What is done to make them real
    Materialize,
}

/// Prints a plan.
pub fn run(context: &Context, args: &PlanArgs) -> Result<(), Problem> {
    let Some(file) = &args.schema else { return of(context, args) };
    let dumped = Dumped::read(file, false)?;
    let there = context.at(dumped.target.clone());
    if matches!(args.of, Of::Materialize) {
        let mut session = there.session()?;
        let place = session.place()?;
        let new = agree(&there, &there.files()?, &place)?.to_apply;
        let mut deferred = session.prepare(&place, &new)?;
        session.defer(&place, &mut deferred, &mut |_, _| {})?;
    }
    of(&there, args)
}

fn of(context: &Context, args: &PlanArgs) -> Result<(), Problem> {
    let files = context.files()?;
    let mut session = context.session()?;
    let place = session.place()?;
    let comparison = agree(context, &files, &place)?;
    if args.script && matches!(args.of, Of::Apply) {
        let why = "what is shown is made anew whenever something changes";
        return Err(Problem::new(Kind::Usage, "cannot write this as a script", why)
            .hint("`refactor plan materialize --script`"));
    }
    let plan = match args.of {
        Of::Apply => session.prepare(&place, &comparison.to_apply)?.plan,
        Of::Materialize => {
            let (count, options) = args.how.choose(&place)?;
            if count == 0 {
                context.ui.say("nothing is deferred: there is nothing to make real");
                context.ui.json(&Plan::default());
                return Ok(());
            }
            let work = session.prepare_materialize(&place, count, &options)?;
            if args.script {
                context.ui.raw(Session::script(&place, &work)?);
                return Ok(());
            }
            work.plan
        }
    };
    if context.ui.json {
        context.ui.json(&plan);
    } else {
        print(context.ui, &plan, args.sql);
    }
    Ok(())
}

/// Prints a plan for people: losses first.
pub fn print(ui: Ui, plan: &Plan, sql: bool) {
    ui.heading(format!("Plan: {}", plan.title));
    for loss in &plan.losses {
        ui.warn(format!("lost: {loss}"));
    }
    for note in &plan.notes {
        ui.note(note);
    }
    for (at, step) in plan.before.iter().chain(&plan.steps).chain(&plan.after).enumerate() {
        if at == 0 && !plan.before.is_empty() {
            ui.out("while everybody works, each in a transaction of its own:");
        } else if at == plan.before.len() && at > 0 {
            ui.out("then in one transaction:");
        } else if at == plan.before.len() + plan.steps.len() {
            ui.out("then again while everybody works:");
        }
        let lock = step.lock.as_ref().map(|l| format!("  [{l}]")).unwrap_or_default();
        let size = match (step.rows, step.bytes) {
            (Some(rows), Some(bytes)) if bytes > 0 => format!("  (about {rows} rows, {:.1} MB)", megabytes(bytes)),
            (Some(rows), _) => format!("  (at most {rows} rows)"),
            (None, Some(bytes)) if bytes > 0 => format!("  ({:.1} MB)", megabytes(bytes)),
            (None, _) => String::new(),
        };
        ui.out(format!("{:3}. {}{size}{lock}", at + 1, step.sentence));
        if sql {
            for line in step.sql.lines() {
                ui.out(format!("       {line}"));
            }
        }
    }
}

#[allow(clippy::cast_precision_loss)] // for people
fn megabytes(bytes: i64) -> f64 {
    bytes as f64 / 1_048_576.0
}
