//! `rehearse`: everything made real on a copy of the database, and a command run there.

mod challenge;
mod watch;

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use self::challenge::Case;
use self::watch::Watch;
use crate::cli::materialize::{self, How};
use crate::cli::{Context, exec, exit_code};
use crate::db::connect::Target;
use crate::db::copy::Copy;
use crate::problem::Problem;

/// What to try where.
#[derive(Debug, Args)]
pub struct Rehearse {
    /// Keep the copy, and print its URL
    #[arg(long)]
    keep: bool,
    /// Copy the tables without their rows
    #[arg(long)]
    schema_only: bool,
    /// Copy the copy so many times, for test processes: `REFACTOR_POOL_1`, `REFACTOR_POOL_2`, … are their URLs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=999))]
    pool: Option<u16>,
    /// Put difficult rows into the copy, and try whether deferred and real are the same with them
    #[arg(long, conflicts_with_all = ["pool", "keep", "command", "to"])]
    challenge: bool,
    /// Do it again whenever a file of the refactorings changes
    #[arg(long, conflicts_with = "keep")]
    watch: bool,
    #[command(flatten)]
    how: How,
    /// Command and its arguments, which finds the copy where it would find the database
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Copies, makes real, runs the command, and gives its exit code; with `--watch` again and again.
pub fn run(context: &Context, args: &Rehearse) -> ExitCode {
    let failed = |problem: Problem| {
        context.ui.problem(&problem);
        exit_code(&problem)
    };
    let once = || rehearsed(context, args).unwrap_or_else(failed);
    if !args.watch {
        return once();
    }
    match Watch::of(context.dir()) {
        Err(problem) => failed(problem),
        Ok(watch) => loop {
            once();
            context.ui.say(format!("waiting for a change in `{}`; Ctrl-C ends it", context.dir().display()));
            watch.wait();
        },
    }
}

fn rehearsed(context: &Context, args: &Rehearse) -> Result<ExitCode, Problem> {
    let ui = context.ui;
    let source = context.target()?;
    let mut copy = Copy::of(&source, args.schema_only)?;
    if !copy.left.is_empty() {
        ui.note(format!("an earlier rehearsal was cut off; dropped: {}", copy.left.join(", ")));
    }
    ui.say(format!("{} is {} in {:.1} s", source.describe(), copy.how.words(), copy.time.as_secs_f64()));
    let there = context.at(copy.target.clone());
    if args.challenge {
        return challenged(context, &source, &mut copy, &args.how);
    }
    let start = Instant::now();
    let real = materialize::unasked(&there, &args.how)?;
    let took = start.elapsed();
    ui.done(if real.is_empty() {
        "nothing is pending: the tables are the newest shape".to_owned()
    } else {
        format!("made real on the copy in {:.1} s: {}", took.as_secs_f64(), real.join(", "))
    });
    let path = there.session()?.path().to_owned();
    let pool = pooled(context, &source, &mut copy, args.pool.map_or(0, usize::from))?;
    let start = Instant::now();
    let code = match args.command.first() {
        None => 0,
        Some(program) => {
            let mut variables = copy.target.environment(&path);
            variables.extend(places(&pool, &path));
            let code = exec::code_of(&args.command, variables, "refactor rehearse -- make test")?;
            ui.say(format!("`{program}` ended with exit code {code} after {:.1} s", start.elapsed().as_secs_f64()));
            code
        }
    };
    let urls: Vec<String> = pool.iter().map(|one| one.url_with_options(&path)).collect();
    let mut url = None;
    if args.keep {
        copy.keep()?;
        let kept = copy.target.url_with_options(&path);
        ui.out(&kept);
        for url in &urls {
            ui.out(url);
        }
        ui.say(if urls.is_empty() {
            "the copy stays until you drop it"
        } else {
            "the copies stay until you drop them"
        });
        url = Some(kept);
    }
    ui.json(&serde_json::json!({
        "rehearsed": real, "copied_seconds": copy.time.as_secs_f64(), "materialized_seconds": took.as_secs_f64(),
        "exit_code": code, "url": url, "pool": if args.keep { urls } else { Vec::new() }
    }));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn challenged(context: &Context, source: &Target, copy: &mut Copy, how: &How) -> Result<ExitCode, Problem> {
    let ui = context.ui;
    let start = Instant::now();
    let outcome = challenge::run(context, source, copy, how)?;
    let told = |cases: &[Case]| cases.iter().map(|case| case.what.clone()).collect::<Vec<_>>();
    let refused: usize = outcome.refused.iter().map(|case| case.count).sum();
    ui.json(&serde_json::json!({
        "rows": outcome.rows.len(), "writes": outcome.writes,
        "refused": told(&outcome.refused), "faults": told(&outcome.faults)
    }));
    let tried = format!("{} difficult rows and {} writes", outcome.rows.len(), outcome.writes);
    if refused > 0 || !outcome.faults.is_empty() {
        ui.raw(outcome.script());
    }
    if refused > 0 {
        ui.note(format!("{refused} writes are refused through `next`, and taken once all is real"));
    }
    let time = start.elapsed().as_secs_f64();
    if outcome.faults.is_empty() {
        ui.done(format!("deferred and real are the same for {tried}, in {time:.1} s"));
        return Ok(ExitCode::SUCCESS);
    }
    ui.say(format!("tried {tried}, in {time:.1} s"));
    Err(challenge::problem(&outcome))
}

/// Copies the copy, once nothing is connected to it any more.
fn pooled(context: &Context, source: &Target, copy: &mut Copy, count: usize) -> Result<Vec<Target>, Problem> {
    let start = Instant::now();
    let pool = copy.clones(source, count)?;
    if count > 0 {
        context.ui.say(format!("copied {count} times in {:.1} s", start.elapsed().as_secs_f64()));
    }
    Ok(pool)
}

/// The variables that say where the copies of the copy are, and how many.
fn places(pool: &[Target], path: &str) -> Vec<(String, String)> {
    if pool.is_empty() {
        return Vec::new();
    }
    let url = |one: &Target| one.environment(path).into_iter().find(|(name, _)| name == "DATABASE_URL");
    let urls = pool.iter().filter_map(url).zip(1..).map(|((_, url), number)| (format!("REFACTOR_POOL_{number}"), url));
    std::iter::once(("REFACTOR_POOL".to_owned(), pool.len().to_string())).chain(urls).collect()
}
