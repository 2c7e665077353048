//! `impact`: which statements of an application touch what changes, and how they are written for the new shape.

pub mod ask;
mod lens;
mod log;
mod program;
mod rewrite;
pub mod sources;
pub mod text;
pub mod verdict;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::{Context, exec, is_named};
use crate::db::session::{Place, Session};
use crate::problem::{Kind, Problem};
use lens::Lens;
use sources::{Sources, Statement};
use verdict::{Judge, Judged, Verdict};

/// What to read.
#[derive(Debug, Args)]
pub struct Impact {
    #[command(flatten)]
    from: From,
    /// Tell only of what these refactorings change: names, or `FIRST..LAST`
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    of: Vec<String>,
}

/// Where statements are.
#[derive(Debug, Clone, Args)]
pub struct From {
    /// Files with SQL, or programs with SQL in their strings; folders and patterns of them; `-` is what comes in
    #[arg(value_name = "FILE", required_unless_present_any = ["log", "statements"])]
    files: Vec<PathBuf>,
    /// Read the statements that a log of the server has (`log_statement`, `log_min_duration_statement`)
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
    /// Read the statements that `pg_stat_statements` remembers
    #[arg(long)]
    statements: bool,
}

impl From {
    /// Reads them.
    pub fn read(&self, context: &Context) -> Result<Vec<Statement>, Problem> {
        let mut sources = Sources::default();
        sources.read(&self.files)?;
        self.log.iter().try_for_each(|log| sources.log(log))?;
        if self.statements {
            sources.remembered(context.session()?.client())?;
        }
        Ok(sources.all())
    }
}

/// Reads, asks, and tells.
pub fn run(context: &Context, args: &Impact) -> Result<(), Problem> {
    let statements = args.from.read(context)?;
    let mut session = context.session()?;
    let place = session.place()?;
    let pending = place.pending();
    let waiting =
        context.files()?.iter().filter(|f| !place.recorded.iter().any(|r| r.entry.step.name == f.step.name)).count();
    if waiting > 0 {
        context.ui.warn(format!(
            "{waiting} of the files are not applied, and not looked at: `refactor apply` shows them in `next` first"
        ));
    }
    if pending.is_empty() {
        context.ui.json(&json!({ "statements": [], "read": statements.len(), "failing": 0 }));
        context.ui.done("nothing is deferred: no statement is touched");
        return Ok(());
    }
    let names: Vec<String> = pending.iter().map(|step| step.name.clone()).collect();
    let of = chosen(&names, &args.of)?;
    let mut judge = judge(context, &session, &place)?;
    let read = statements.len();
    let mut all: Vec<(Statement, Judged)> = Vec::new();
    for statement in statements {
        let judged = judge.judge(&statement.text);
        let concerns = of.is_empty() || judged.steps().any(|step| of.contains(step));
        if judged.verdict != Verdict::Untouched && concerns {
            all.push((statement, judged));
        }
    }
    all.sort_by_key(|(_, judged)| judged.verdict);
    for (statement, judged) in &all {
        context.ui.out(told(statement, judged));
    }
    let count = |verdict: Verdict| all.iter().filter(|(_, j)| j.verdict == verdict).count();
    let failing = count(Verdict::Fails) + count(Verdict::Differs);
    let rewritten = all.iter().filter(|(_, j)| j.verdict <= Verdict::Differs && !j.rewritten.is_empty()).count();
    context.ui.json(&json!({
        "statements": all.iter().map(|(statement, judged)| judged.json(statement)).collect::<Vec<_>>(),
        "read": read, "failing": failing, "rewritten": rewritten,
        "replanned": count(Verdict::Replanned), "works": count(Verdict::Works), "unknown": count(Verdict::Unknown),
    }));
    let counted = |n: usize, one: &str, many: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {many}") };
    let mut summary = vec![format!(
        "{} of {} {} what changes",
        all.len(),
        counted(read, "statement", "statements"),
        if all.len() == 1 { "touches" } else { "touch" }
    )];
    if failing > 0 {
        summary.push(format!("{} to be changed ({rewritten} rewritten)", counted(failing, "has", "have")));
    }
    if count(Verdict::Replanned) > 0 {
        summary.push(format!("{} otherwise", counted(count(Verdict::Replanned), "is planned", "are planned")));
    }
    if count(Verdict::Unknown) > 0 {
        summary.push(format!("{} fail on the tables, too", count(Verdict::Unknown)));
    }
    let summary = summary.join("; ");
    if failing == 0 {
        context.ui.done(summary);
        return Ok(());
    }
    context.ui.say(summary);
    Err(Problem::new(Kind::Told, "statements have to be changed", "they fail in the new shape, or mean something else"))
}

/// Who judges statements against what is pending.
pub fn judge(context: &Context, session: &Session, place: &Place) -> Result<Judge, Problem> {
    let version = place.version()?;
    let next = exec::paths(session, &version);
    Ok(Judge::new(
        Lens::new(&place.schema, version, &place.pending()),
        context.target()?.connect()?,
        session.path(),
        next,
    ))
}

/// The refactorings that somebody names.
fn chosen(names: &[String], wanted: &[String]) -> Result<Vec<String>, Problem> {
    let find = |called: &str| {
        names.iter().position(|name| is_named(name, called)).ok_or_else(|| {
            Problem::new(Kind::Usage, format!("cannot tell of `{called}`"), "no deferred refactoring has this name")
                .hint(format!("deferred: {}", names.join(", ")))
        })
    };
    let mut all = Vec::new();
    for called in wanted {
        let (first, last) = match called.split_once("..") {
            Some((first, last)) => (
                if first.is_empty() { 0 } else { find(first)? },
                if last.is_empty() { names.len() - 1 } else { find(last)? },
            ),
            None => (find(called)?, find(called)?),
        };
        all.extend(names.get(first..=last).unwrap_or_default().iter().cloned());
    }
    Ok(all)
}

/// What is said of a statement, for people.
fn told(statement: &Statement, judged: &Judged) -> String {
    let places = match &statement.places[..] {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        places => places.join(", "),
    };
    let indent = |text: &str, by: usize| {
        text.lines().map(|l| format!("{:by$}{}", "", l.trim_end())).collect::<Vec<_>>().join("\n")
    };
    let mut text =
        format!("{:<9} {places}\n{}", judged.verdict.word(), indent(&text::likeness(&statement.text, false), 2));
    for line in &judged.why {
        text += &format!("\n{}", indent(line, 4));
    }
    if !judged.rewritten.is_empty() {
        let all = judged.rewritten.iter().map(|s| format!("{s};")).collect::<Vec<_>>().join("\n");
        text += &format!("\n    write it so:\n{}", indent(&all, 6));
    }
    for note in &judged.notes {
        text += &format!("\n    note: {note}");
    }
    text
}
