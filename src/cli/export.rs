//! `export`: what makes refactorings real, and takes them back, as files for another migration runner.

mod folder;
mod runner;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::export::folder::{Folder, Mark};
use crate::cli::export::runner::Runner;
use crate::cli::{Context, agree, is_named};
use crate::db::copy::Copy;
use crate::db::session::Session;
use crate::db::session::migration::Migrations;
use crate::journal::{Entry, State};
use crate::name::shell;
use crate::plan::materialize::Options;
use crate::problem::{Kind, Problem};

/// What to write for whom.
#[derive(Debug, Args)]
pub struct Export {
    /// Refactorings that become real together [default: all that have no migration yet]
    names: Vec<String>,
    /// Who runs the files
    #[arg(long = "for", value_enum, value_name = "RUNNER")]
    runner: Runner,
    /// Folder of the migrations [default: where the runner has them]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write a migration that shows them in `next`, too, to be run first
    #[arg(long)]
    expand: bool,
    /// Give up a view or function that has no meaning in the new shape
    #[arg(long, value_name = "NAME")]
    drop: Vec<String>,
    /// Go on though this function names what goes: it has been seen to
    #[arg(long, value_name = "FUNCTION")]
    accept: Vec<String>,
}

/// Works the migrations out on a copy without rows, tries them there, and writes them.
pub fn run(context: &Context, args: &Export) -> Result<(), Problem> {
    let folder = Folder::read(&args.runner.folder(args.out.as_deref())?)?;
    let (earlier, wanted) = chosen(context, args, &folder)?;
    if wanted.is_empty() {
        context.ui.say(format!("nothing is left to export: all that is deferred has its migration in `{folder}`"));
        context.ui.json(&json!({ "files": [] }));
        return Ok(());
    }
    let options =
        Options { beside_from: i64::MAX, rebuild_from: i64::MAX, drop: args.drop.clone(), accept: args.accept.clone() };
    let copy = Copy::of(&context.target()?, true)?;
    let mut there = Session::new(copy.target.connect()?)?;
    there.take_all_back()?;
    there.catch_up(&earlier, &options)?;
    let migrations = there.migrations(&wanted, args.expand, &options)?;
    tried(&mut there, args, &migrations)?;
    let now: String = there
        .client()
        .query_one("SELECT pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS')", &[])?
        .get(0);
    let names: Vec<String> = wanted.iter().map(|e| e.step.name.clone()).collect();
    let mut files = Vec::new();
    let mut folder = folder;
    let (shows, real) = (&migrations.shows, &migrations.real);
    for (does, (up, down)) in [("show", shows)].into_iter().filter(|_| args.expand).chain([("materialize", real)]) {
        let losses = if does == "materialize" { &migrations.losses[..] } else { &[] };
        let mark = Mark { does: does.to_owned(), names: names.clone() };
        for (file, text) in args.runner.files(&folder, &mark, &now, (up, down), losses)? {
            folder.write(&file, &text)?;
            files.push(folder.path().join(&file).display().to_string());
        }
    }
    context.ui.done(format!("{}: tried on a copy of the database without rows", names.join(", ")));
    for file in &files {
        context.ui.out(file);
    }
    if let Some(why) = &migrations.one_way {
        context.ui.warn(format!("the way back stops with an error: {why}"));
    }
    context.ui.json(&json!({ "names": names, "files": files, "one_way": migrations.one_way }));
    Ok(())
}

/// Runs on the copy what will be written: there, and back.
fn tried(there: &mut Session, args: &Export, migrations: &Migrations) -> Result<(), Problem> {
    if migrations.one_way.is_some() {
        return Ok(());
    }
    let (shows, real) = (&migrations.shows, &migrations.real);
    let ways = [&real.0, &real.1, &shows.1, &real.0, &real.1, &shows.1, &shows.0, &real.0, &real.1, &shows.1];
    for way in ways {
        there.try_out(&way.text(&|text| args.runner.reads(text)), &way.title)?;
    }
    Ok(())
}

/// Those that have their migrations already, and those that get one now.
fn chosen(context: &Context, args: &Export, folder: &Folder) -> Result<(Vec<Entry>, Vec<Entry>), Problem> {
    let files = context.files()?;
    let mut session = context.session()?;
    let place = session.place()?;
    let comparison = agree(context, &files, &place)?;
    let deferred = place.recorded.iter().filter(|r| r.state == State::Deferred).map(|r| r.entry.clone());
    let open: Vec<Entry> = deferred.chain(comparison.to_apply).collect();
    let what = "cannot write migrations";
    for name in &args.names {
        if open.iter().any(|e| is_named(&e.step.name, name)) {
            continue;
        }
        let real = place.recorded.iter().any(|r| is_named(&r.entry.step.name, name));
        let (why, hint) = if real {
            let hint = "name a database that does not have it yet by `--database-url`";
            (format!("`{name}` is real in this database, which does not tell any more how it was before"), hint)
        } else {
            (format!("no refactoring that is not real yet is called `{name}`"), "`refactor status` lists them")
        };
        return Err(Problem::new(Kind::Usage, what, why).hint(hint));
    }
    let done = folder.exported();
    let is_wanted = |e: &Entry| {
        if args.names.is_empty() {
            !done.contains(&e.step.name)
        } else {
            args.names.iter().any(|n| is_named(&e.step.name, n))
        }
    };
    let last = open.iter().rposition(is_wanted).map_or(0, |at| at + 1);
    let (wanted, earlier): (Vec<Entry>, Vec<Entry>) = open[..last].iter().cloned().partition(is_wanted);
    let first = open.iter().position(is_wanted).unwrap_or(0);
    let missing: Vec<&Entry> = earlier.iter().filter(|e| !done.contains(&e.step.name)).collect();
    if let Some(entry) = missing.first() {
        let all: Vec<String> =
            open[..last].iter().filter(|e| is_wanted(e) || missing.contains(e)).map(|e| shell(&e.step.name)).collect();
        return Err(Problem::new(Kind::Usage, what, format!("{} comes before, and has none", entry.step.name))
            .hint(format!("write one for both: `refactor export --for {} {}`", args.runner, all.join(" "))));
    }
    if let Some(entry) = open[first..last].iter().find(|e| !is_wanted(e)) {
        return Err(Problem::new(Kind::Usage, what, format!("{} comes between, and has one already", entry.step.name))
            .hint("write one for those that come after it"));
    }
    Ok((earlier, wanted))
}
