//! `convert`: statements of migration files as refactorings.

mod guess;
mod statements;
pub mod words;

use std::path::PathBuf;

use clap::{Args, FromArgMatches};
use serde_json::json;

use crate::catalogue::Refactoring;
use crate::cli::convert::statements::Statement;
use crate::cli::declare::unwritten;
use crate::cli::{Command, Context, Verb};
use crate::journal::chain;
use crate::name::shell;
use crate::problem::{Kind, Problem};

/// What to read.
#[derive(Debug, Args)]
pub struct Convert {
    /// Files with SQL, in the order in which they are run; `-` is what comes in
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Record the refactorings as files, too
    #[arg(long)]
    write: bool,
}

/// A refactoring as it is typed: its verb and what follows.
pub type Words = Vec<String>;

/// What became of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// These refactorings; the reason, if that is a guess.
    These(Vec<Words>, Option<String>),
    /// Another statement's refactoring does it.
    PartOf(usize, Option<String>),
    /// Nothing to do with shapes and rows.
    Nothing,
    /// No refactoring does that.
    Not(String),
}

/// Reads the files and says what each statement becomes.
pub fn run(context: &Context, args: &Convert) -> Result<(), Problem> {
    let (mut total, mut done, mut guesses) = (0, 0, 0);
    let (mut found, mut wanted): (Vec<serde_json::Value>, Vec<Refactoring>) = (Vec::new(), Vec::new());
    for path in &args.files {
        let name = path.display().to_string();
        let text = if name == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
        let text =
            text.map_err(|error| Problem::new(Kind::Files, "cannot read the statements", format!("{name}: {error}")))?;
        let statements = statements::statements(&text);
        for (statement, said) in statements.iter().zip(judged(guess::converted(&statements))) {
            let place = format!("{name}:{}", statement.line);
            let (kind, commands, why) = match said {
                Said::Nothing => continue,
                Said::These(commands, None) => ("converted", commands, None),
                Said::These(commands, why) => ("guess", commands, why),
                Said::PartOf(at, why) => {
                    let line = statements.get(at).map_or(0, |s| s.line);
                    let part = format!("part of what line {line} becomes");
                    let kind = if why.is_some() { "guess" } else { "converted" };
                    (kind, Vec::new(), Some(why.map_or(part.clone(), |why| format!("{part}: {why}"))))
                }
                Said::Not(why) => ("not converted", Vec::new(), Some(why)),
            };
            total += 1;
            done += usize::from(kind != "not converted");
            guesses += usize::from(kind == "guess");
            if let Some(why) = &why {
                context.ui.out(format!("# {place}: {kind}: {} -- {why}", statement.short()));
            }
            let mut lines = Vec::new();
            for words in commands {
                let line = words.iter().map(|word| shell(word)).collect::<Vec<_>>().join(" ");
                context.ui.out(format!("refactor {line}"));
                lines.push(format!("refactor {line}"));
                wanted.extend(refactoring(&words).ok());
            }
            found.push(json!({ "file": name, "line": statement.line, "statement": statement.text, "said": kind, "why": why, "commands": lines }));
        }
    }
    if args.write {
        write(context, wanted)?;
    }
    context.ui.json(&json!({ "statements": found, "total": total, "converted": done, "guesses": guesses }));
    let share = (100 * done).checked_div(total).unwrap_or(100);
    let taken = if guesses == 0 { String::new() } else { format!(", of which {guesses} took a guess") };
    context.ui.say(format!("{done} of {total} statements became refactorings ({share} %){taken}"));
    Ok(())
}

/// What cannot be typed so is not converted.
fn judged(said: Vec<Said>) -> Vec<Said> {
    let one = |said: Said| match said {
        Said::These(commands, why) => match commands.iter().find_map(|words| refactoring(words).err()) {
            None => Said::These(commands, why),
            Some(wrong) => Said::Not(wrong),
        },
        other => other,
    };
    let said: Vec<Said> = said.into_iter().map(one).collect();
    let lost = |at: usize| matches!(said.get(at), None | Some(Said::Not(_)));
    let again = |said: &Said| match said {
        Said::PartOf(at, _) if lost(*at) => Said::Not("what it belongs to could not be converted".to_owned()),
        other => other.clone(),
    };
    said.iter().map(again).collect()
}

/// The refactoring that is typed so.
fn refactoring(words: &Words) -> Result<Refactoring, String> {
    let typed = std::iter::once("refactor").chain(words.iter().map(String::as_str));
    let parsed = crate::cli::command().try_get_matches_from(typed).and_then(|found| Command::from_arg_matches(&found));
    match parsed {
        Ok(Command { verb: Verb::Declare(refactoring), .. }) => Ok(refactoring),
        Ok(_) => Err("no refactoring does that".to_owned()),
        Err(error) => {
            let text = error.to_string();
            Err(text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
        }
    }
}

/// What one statement becomes, if nothing in it is a guess.
pub fn of_statement(text: &str) -> Option<Vec<Words>> {
    let statement = statements::statements(text).into_iter().next()?;
    match words::said(&statement.parsed.ok()?, &statement.text) {
        Said::These(commands, None) => Some(commands),
        _ => None,
    }
}

/// Whether a verb has an option.
fn has_option(verb: &str, option: &str) -> bool {
    let command = crate::cli::command();
    command.find_subcommand(verb).is_some_and(|verb| verb.get_arguments().any(|a| a.get_long() == Some(option)))
}

/// Records refactorings as files, after those that are there.
pub fn write(context: &Context, wanted: Vec<Refactoring>) -> Result<(), Problem> {
    let directory = context.directory();
    let files = directory.read()?;
    let taken: Vec<String> = files.iter().map(|f| f.step.name.clone()).collect();
    let after = taken.last().cloned();
    for entry in chain(taken, after, wanted).map_err(|e| unwritten(&e))? {
        context.ui.done(format!("recorded in {}", directory.write(&entry)?.display()));
    }
    context.ui.say("`refactor apply` shows them");
    Ok(())
}

impl Statement {
    /// In one short line.
    fn short(&self) -> String {
        let line = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = line.chars().take(70).collect();
        if short.len() < line.len() { short + "…" } else { short }
    }
}
