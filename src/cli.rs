//! The command line: one verb a module. Verbs talk to [`Ui`] and never print.

mod apply;
mod branches;
mod cancel;
mod check;
mod convert;
mod declare;
mod demo;
mod diagram;
mod exec;
mod export;
mod extras;
mod finish;
mod impact;
mod inspect;
mod lineage;
mod materialize;
mod mcp;
mod models;
mod plan;
mod profile;
mod rehearse;
mod report;
mod revert;
mod settings;
mod show;
mod status;
mod suggest;
mod undo;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use settings::Settings;

use crate::catalogue::{NAMES, Refactoring, SUBJECTS};
use crate::db::connect::Target;
use crate::db::run::Patience;
use crate::db::session::{Place, Session};
use crate::journal::{self, Directory, Entry};
use crate::name::shell;
use crate::problem::{Kind, Problem};
use crate::ui::Ui;

/// Database refactoring for PostgreSQL: declare, defer behind views, materialize
#[derive(Debug, Parser)]
#[command(
    name = "refactor",
    version,
    about,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage"
)]
pub struct Command {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

/// Where `--help` has the options of all verbs.
const GLOBAL: &str = "Global options";

/// Options of all verbs.
#[derive(Debug, Clone, Args)]
pub struct Globals {
    /// Database to work on [default: `DATABASE_URL`, else `url` in `refactor.toml`, else the PG* variables]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "URL")]
    database_url: Option<String>,
    /// Database to work on, by its name in `refactor.toml`
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "NAME", conflicts_with = "database_url")]
    env: Option<String>,
    /// Directory of the recorded refactorings [default: refactorings]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print reports as JSON
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// Say nothing but data and errors
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    quiet: bool,
    /// How long to try for a lock that somebody holds, as in `500ms` or `5min` [default: 20s]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "MAX", value_parser = time)]
    lock_timeout: Option<Duration>,
    /// When to use colours
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "WHEN", default_value_t = clap::ColorChoice::Auto)]
    color: clap::ColorChoice,
}

/// A time as PostgreSQL writes it: milliseconds, if no unit is said.
fn time(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("min", 60_000), ("s", 1000), ("h", 3_600_000), ("", 1)];
    let parsed = units.iter().find_map(|(unit, milliseconds)| {
        let number = text.strip_suffix(unit)?.trim().parse::<f64>().ok().filter(|n| *n >= 0.0)?;
        Duration::try_from_secs_f64(number * f64::from(*milliseconds) / 1000.0).ok()
    });
    parsed.ok_or_else(|| "say a time as in `500ms`, `20s` or `5min`".to_owned())
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Begin: write `refactor.toml` and make the directory of the refactorings
    Init,
    /// Show which refactorings the files and the database have
    Status,
    /// Show refactorings: file, facts, SQL, and what each view cannot do
    Show(show::Show),
    /// Show the refactorings of the files in the database, as after a pull
    Apply,
    /// Run a command that sees the new shape
    Exec(exec::Exec),
    /// Print a connection URL that sees the new shape
    Url,
    /// Take deferred refactorings back
    Undo(undo::Undo),
    /// Check the files, by themselves or against a database
    Check(check::Check),
    /// Print what `apply` or `materialize` would do, without doing it
    Plan(plan::PlanArgs),
    /// Make deferred refactorings real
    Materialize(materialize::Materialize),
    /// End the run that is at work, from another terminal
    Cancel,
    /// Declare what takes real refactorings back
    Revert(revert::Revert),
    /// Let go of the values that real refactorings have left without a place
    Finish(finish::Finish),
    /// Make everything real on a copy of the database, and run a command there
    Rehearse(rehearse::Rehearse),
    /// Write what makes refactorings real as files for another migration runner
    Export(export::Export),
    /// Turn statements of migration files into refactorings
    Convert(convert::Convert),
    /// Find what looks misplaced in tables, with the refactoring that would mend it
    Inspect(inspect::Inspect),
    /// Find the refactorings that lead to another shape
    Suggest(suggest::Suggest),
    /// Try the laws of the views on the real rows, in a transaction that is rolled back
    Verify(verify::Verify),
    /// Say which statements of an application touch what changes, and write them for the new shape
    Impact(impact::Impact),
    /// Measure the statements of an application on the tables, in the new shape, and on a copy where it is real
    Profile(profile::Profile),
    /// Print the keys and relations that views cannot show, for the models of an ORM
    Models(models::Models),
    /// Write one page with both shapes, the refactorings, the plan, and where each field lives
    Report(report::Report),
    #[command(flatten)]
    Declare(Refactoring),
    /// See a field move on a private server with sample data
    Demo(demo::Demo),
    /// Print a completion script for a shell
    Completions(extras::Completions),
    /// Print the manual page, or write one for each verb
    Man(extras::Man),
    /// Print the guide and the pages of the manual
    Docs(extras::Docs),
    /// Offer the verbs that only read to a coding agent, by the Model Context Protocol
    Mcp,
}

/// What a verb works with.
#[derive(Clone)]
pub struct Context {
    globals: Globals,
    /// How to speak.
    pub ui: Ui,
    /// What the project says.
    settings: Settings,
    /// The database, if another than what the options say.
    at: Option<Target>,
}

impl Context {
    /// The server to talk to.
    fn target(&self) -> Result<Target, Problem> {
        if let Some(at) = &self.at {
            return Ok(at.clone());
        }
        let url = match &self.globals.database_url {
            Some(url) => Some(url.clone()),
            None => self.settings.url(self.globals.env.as_deref())?,
        };
        let target = Target::resolve_in(url.as_deref(), &|name| self.settings.variable(name))?;
        if let Some(warning) = target.warning() {
            self.ui.warn(warning);
        }
        Ok(target)
    }

    /// The same on the database of that name.
    fn named(&self, name: &str) -> Result<Self, Problem> {
        let url = self.settings.url(Some(name))?;
        Ok(self.at(Target::resolve_in(url.as_deref(), &|name| self.settings.variable(name))?))
    }

    /// The same on another database.
    fn at(&self, target: Target) -> Self {
        Self { at: Some(target), ..self.clone() }
    }

    /// The same with files in another directory.
    fn in_folder(mut self, folder: &Path) -> Self {
        self.globals.dir = Some(folder.to_owned());
        self
    }

    fn session(&self) -> Result<Session, Problem> {
        let mut session = Session::new(self.target()?.connect()?)?;
        if let Some(within) = self.globals.lock_timeout {
            session.set_patience(Patience { within, ..Patience::default() });
        }
        Ok(session)
    }

    /// Says what an earlier run had begun.
    fn tell_left(&self, left: &[String]) {
        if !left.is_empty() {
            self.ui.note(format!("an earlier run was cut off; what it had begun was taken back: {}", left.join(", ")));
        }
    }

    fn directory(&self) -> Directory {
        Directory::new(self.dir())
    }

    fn dir(&self) -> &Path {
        let dir = self.globals.dir.as_deref().or(self.settings.dir.as_deref());
        dir.unwrap_or(Path::new("refactorings"))
    }

    /// The recorded refactorings, in order. One that was named must be there: what a mistyped name leads to is no
    /// directory without files.
    fn files(&self) -> Result<Vec<Entry>, Problem> {
        match &self.globals.dir {
            Some(named) if !named.exists() => {
                let why = format!("there is no directory `{}`", named.display());
                let hint = "name the one that has the files: `--dir`; declaring a refactoring makes a new one";
                Err(Problem::new(Kind::Files, "cannot read the refactorings", why).hint(hint))
            }
            _ => Ok(self.directory().read()?),
        }
    }
}

/// Parses nothing, runs a verb, prints its problem and gives the exit code.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    // Who says nothing lets the terminal and NO_COLOR decide.
    match command.globals.color {
        clap::ColorChoice::Auto => {}
        clap::ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
        clap::ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
    }
    let ui = Ui { json: command.globals.json, quiet: command.globals.quiet };
    let said = |problem: &Problem| {
        if problem.kind != Kind::Told {
            ui.problem(problem);
        }
        exit_code(problem)
    };
    let settings = match std::env::current_dir().map_or_else(|_| Ok(Settings::default()), |here| Settings::of(&here)) {
        Ok(settings) => settings,
        Err(problem) => return said(&problem),
    };
    let context = Context { globals: command.globals, ui, settings, at: None };
    let done = match command.verb {
        Verb::Declare(refactoring) => declare::run(&context, vec![refactoring]),
        Verb::Revert(args) => revert::run(&context, &args),
        Verb::Init => settings::init(&context),
        Verb::Status => status::run(&context),
        Verb::Show(args) => show::run(&context, &args),
        Verb::Plan(args) => plan::run(&context, &args),
        Verb::Apply => apply::run(&context),
        Verb::Undo(args) => undo::run(&context, &args),
        Verb::Exec(args) => return exec::run(&context, &args),
        Verb::Url => exec::url(&context),
        Verb::Check(args) => check::run(&context, &args),
        Verb::Materialize(args) => materialize::run(&context, &args),
        Verb::Cancel => cancel::run(&context),
        Verb::Finish(args) => finish::run(&context, &args),
        Verb::Rehearse(args) => return rehearse::run(&context, &args),
        Verb::Export(args) => export::run(&context, &args),
        Verb::Convert(args) => convert::run(&context, &args),
        Verb::Inspect(args) => inspect::run(&context, &args),
        Verb::Suggest(args) => suggest::run(&context, &args),
        Verb::Verify(args) => verify::run(&context, &args),
        Verb::Impact(args) => impact::run(&context, &args),
        Verb::Profile(args) => profile::run(&context, &args),
        Verb::Models(args) => models::run(&context, &args),
        Verb::Report(args) => report::run(&context, &args),
        Verb::Demo(args) => demo::run(&context, &args),
        Verb::Completions(args) => {
            extras::completions(&context, &args);
            Ok(())
        }
        Verb::Man(args) => extras::man(&context, &args),
        Verb::Docs(args) => extras::docs(&context, &args),
        Verb::Mcp => mcp::run(&context),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => said(&problem),
    }
}

fn exit_code(problem: &Problem) -> ExitCode {
    ExitCode::from(if problem.kind == Kind::Usage { 2 } else { 1 })
}

/// What is written for these may begin with a minus.
const VALUES: [&str; 8] = ["EXPRESSION", "CONDITION", "SQL", "SELECT", "VALUE", "KEY", "LABEL", "CODE"];

/// The whole command line.
#[must_use]
pub fn command() -> clap::Command {
    let command = <Command as clap::CommandFactory>::command();
    let help = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{{options}}{{after-help}}",
        overview(&command)
    );
    let command = command.help_template(help);
    command.mut_subcommands(|verb| if NAMES.contains(&verb.get_name()) { verb.mut_args(signed) } else { verb })
}

/// All verbs: those of every day, which stand before the refactorings, then these by their subjects, then the rest.
fn overview(command: &clap::Command) -> String {
    let verbs: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let is_declared = |verb: &&str| NAMES.contains(verb);
    let first = verbs.iter().position(&is_declared).unwrap_or_default();
    let rest: Vec<&str> = verbs[first..].iter().copied().filter(|verb| !is_declared(verb)).collect();
    let mut groups = vec![("Every day", &verbs[..first])];
    groups.extend(SUBJECTS);
    groups.push(("More", &rest));
    let (header, literal) = (command.get_styles().get_header(), command.get_styles().get_literal());
    let width = verbs.iter().map(|verb| verb.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (subject, names) in groups {
        text += &format!("{header}{subject}:{header:#}\n");
        for verb in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            text += &format!("  {literal}{:width$}{literal:#}  {about}\n", verb.get_name());
        }
        text.push('\n');
    }
    text + &format!("{header}Options:{header:#}\n")
}

/// A value with a sign is none of the options. Where several stand in a row, only a number is: options may follow.
fn signed(argument: clap::Arg) -> clap::Arg {
    let is_value = |name: &clap::builder::Str| VALUES.iter().any(|value| name.contains(value)) || name.contains("=NEW");
    if !argument.get_value_names().unwrap_or_default().iter().any(is_value) {
        return argument;
    }
    match argument.get_action() {
        clap::ArgAction::Append if argument.is_positional() => argument.allow_negative_numbers(true),
        _ => argument.allow_hyphen_values(true),
    }
}

/// Whether that is what somebody calls a refactoring: its name, or its number, with or without zeros before it.
#[must_use]
pub fn is_named(name: &str, called: &str) -> bool {
    let number = |text: &str| text.parse::<u32>().ok();
    let same_number = name.split_once('-').is_some_and(|(n, _)| number(n).is_some() && number(n) == number(called));
    name == called || same_number || name.starts_with(&format!("{called}-"))
}

/// Where the only one is that somebody calls so.
fn only_named(called: &str, names: &[&str]) -> Option<usize> {
    let found: Vec<usize> = (0..names.len()).filter(|at| is_named(names[*at], called)).collect();
    if let [one] = found[..] { Some(one) } else { names.iter().position(|name| *name == called) }
}

/// Files and database must agree on what both have before anything is changed.
fn agree(context: &Context, files: &[Entry], place: &Place) -> Result<journal::Comparison, Problem> {
    let comparison = journal::compare(files, &place.recorded);
    if let Some((name, there, here)) = comparison.changed.first() {
        return Err(Problem {
            what: format!("the file of {name} is not what this database was given"),
            why: vec![format!("it was changed after it was applied\n{}", difference(there, here))],
            hint: Some(format!(
                "restore the file, or take it back and apply it anew: `refactor undo --keep-files {}`, then `refactor apply`",
                shell(name)
            )),
            kind: Kind::Files,
        });
    }
    branches::in_order(context, files, place)?;
    Ok(comparison)
}

/// Lines that only one side has.
fn difference(there: &str, here: &str) -> String {
    let only = |a: &str, b: &str, sign: char| {
        a.lines().filter(|l| !b.lines().any(|o| o == *l)).map(|l| format!("  {sign} {l}\n")).collect::<String>()
    };
    format!("{}{}", only(there, here, '-'), only(here, there, '+')).trim_end().to_owned()
}
