//! `rehearse`: everything made real on a copy of the database, and a command run there.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use crate::cli::materialize::{self, How};
use crate::cli::{Context, exec, exit_code};
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
    #[command(flatten)]
    how: How,
    /// Command and its arguments, which finds the copy where it would find the database
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Copies, makes real, runs the command, and gives its exit code.
pub fn run(context: &Context, args: &Rehearse) -> ExitCode {
    rehearsed(context, args).unwrap_or_else(|problem| {
        context.ui.problem(&problem);
        exit_code(&problem)
    })
}

fn rehearsed(context: &Context, args: &Rehearse) -> Result<ExitCode, Problem> {
    let ui = context.ui;
    let source = context.target()?;
    let mut copy = Copy::of(&source, args.schema_only)?;
    ui.say(format!("{} is {} in {:.1} s", source.describe(), copy.how.words(), copy.time.as_secs_f64()));
    let there = context.at(copy.target.clone());
    let start = Instant::now();
    let real = materialize::unasked(&there, &args.how)?;
    let took = start.elapsed();
    ui.done(if real.is_empty() {
        "nothing is pending: the tables are the newest shape".to_owned()
    } else {
        format!("made real on the copy in {:.1} s: {}", took.as_secs_f64(), real.join(", "))
    });
    let path = there.session()?.path().to_owned();
    let start = Instant::now();
    let code = match args.command.first() {
        None => 0,
        Some(program) => {
            let code = exec::code_of(&args.command, &copy.target, &path, "refactor rehearse -- make test")?;
            ui.say(format!("`{program}` ended with exit code {code} after {:.1} s", start.elapsed().as_secs_f64()));
            code
        }
    };
    let mut url = None;
    if args.keep {
        copy.keep()?;
        let kept = copy.target.url_with_options(&path);
        ui.out(&kept);
        ui.say("the copy stays until you drop it");
        url = Some(kept);
    }
    ui.json(&serde_json::json!({
        "rehearsed": real, "copied_seconds": copy.time.as_secs_f64(), "materialized_seconds": took.as_secs_f64(),
        "exit_code": code, "url": url
    }));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
