//! `inspect`: what looks misplaced in the rows, with figures, and the refactoring that would mend it.
//!
//! Only reads. Of large tables some rows are looked at, and that is said.

mod figures;
mod groups;
mod keys;
mod values;

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::cli::convert::Words;
use crate::cli::suggest::parser::Parser;
use crate::db::session::{Place, Session};
use crate::generate::shown_in;
use crate::journal::chain;
use crate::name::{TableName, TableRef, shell};
use crate::problem::{Kind, Problem};
use crate::schema::{Schema, Table, TableKind};
use crate::version::Version;
use figures::Looked;

/// What to look at.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Tables of the newest shape [default: all]
    #[arg(value_name = "TABLE")]
    tables: Vec<TableRef>,
    /// Rows of a table to look at, where it has more
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    rows: i64,
    /// Print findings only, without trying their refactorings on all rows
    #[arg(long)]
    untried: bool,
}

/// Something that looks misplaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which kind, for programs.
    pub kind: &'static str,
    /// What, with figures.
    pub sentence: String,
    /// Fields that it is about.
    pub fields: Vec<String>,
    /// Rows that do not fit.
    pub exceptions: i64,
    /// What would mend it.
    pub command: Words,
}

/// What is inspected: the newest shape, and where its rows are read.
pub struct Shape {
    /// As tables.
    pub schema: Schema,
    called: BTreeMap<TableName, TableName>,
}

impl Shape {
    fn of(version: &Version) -> Self {
        let next = shown_in(version);
        let view = |name: &TableName| TableName { schema: next[&name.schema].clone(), name: name.name.clone() };
        let called = version.relations.values().map(|r| {
            let read = if r.is_shown { view(&r.name) } else { r.base.clone() };
            (r.name.clone(), read)
        });
        Self { called: called.collect(), schema: version.as_schema() }
    }

    /// Under which name a table is read.
    pub fn called(&self, name: &TableName) -> TableName {
        self.called.get(name).unwrap_or(name).clone()
    }
}

/// Looks and tells.
pub fn run(context: &Context, args: &Inspect) -> Result<(), Problem> {
    let files = context.files()?;
    let mut session = context.session()?;
    let place = session.place()?;
    let version = place.version()?;
    let shape = Shape::of(&version);
    let wanted = wanted(args, &version)?;
    let mut taken: Vec<String> = files.into_iter().map(|f| f.step.name).collect();
    taken.extend(place.recorded.iter().map(|r| r.entry.step.name.clone()));
    let mut trying = Trying { place: &place, taken, parser: Parser::new(), untried: args.untried };
    let (mut looked, mut listed) = (Vec::new(), Vec::new());
    for (name, table) in shape.schema.tables.iter().filter(|(name, table)| is_of_interest(name, table, &wanted)) {
        let figures = match Looked::at(&mut session, &shape, name, table, args.rows) {
            Ok(figures) => figures,
            Err(problem) => {
                context.ui.warn(format!("`{}` could not be looked at: {}", name.short(), problem.why.join("; ")));
                continue;
            }
        };
        let many = if figures.sampled {
            format!("{} rows, a sample", figures.rows)
        } else {
            format!("all {} rows", figures.rows)
        };
        looked.push(json!({ "table": name.to_string(), "rows": figures.rows, "sampled": figures.sampled }));
        let mut findings = values::findings(&mut session, &figures)?;
        findings.extend(groups::findings(&mut session, &figures, &shape));
        let told: Vec<String> = findings.iter().flat_map(|f| f.fields.clone()).collect();
        findings.extend(keys::findings(&mut session, &figures, &shape, &told));
        let mut first = true;
        for finding in findings {
            let Some(state) = trying.tried(&mut session, &finding) else { continue };
            if std::mem::take(&mut first) {
                context.ui.out(format!("# {}: looked at {many}", name.short()));
            }
            let line = format!("refactor {}", finding.command.iter().map(|w| shell(w)).collect::<Vec<_>>().join(" "));
            context.ui.out(format!("# {}", finding.sentence));
            match &state {
                Ok(()) => context.ui.out(&line),
                Err(why) => {
                    context.ui.out(format!("# refused as it is, because {}:\n# {line}", why.replace('\n', "\n#   ")));
                }
            }
            listed.push(json!({
                "kind": finding.kind, "table": name.to_string(), "fields": finding.fields, "sentence": finding.sentence,
                "rows": figures.rows, "sampled": figures.sampled, "exceptions": finding.exceptions,
                "command": line, "accepted": state.is_ok(), "why": state.err(),
            }));
        }
    }
    context.ui.json(&json!({ "tables": looked, "findings": listed }));
    let sampled = looked.iter().filter(|l| l["sampled"] == true).count();
    let some = if sampled == 0 { String::new() } else { format!(", of {sampled} only a sample of the rows") };
    context.ui.say(format!("looked at {} tables{some}: {} findings; nothing was changed", looked.len(), listed.len()));
    Ok(())
}

fn wanted(args: &Inspect, version: &Version) -> Result<Vec<TableName>, Problem> {
    let one = |table: &TableRef| {
        version.find(table).map(|r| r.name.clone()).map_err(|refusal| {
            let problem =
                Problem::new(Kind::Refused(refusal.clone()), format!("cannot inspect `{table}`"), refusal.to_string());
            if let Some(hint) = refusal.hint() { problem.hint(hint) } else { problem }
        })
    };
    args.tables.iter().map(one).collect()
}

fn is_of_interest(name: &TableName, table: &Table, wanted: &[TableName]) -> bool {
    let own = table.partition_of.is_none() && table.extension.is_none() && table.kind != TableKind::Foreign;
    if wanted.is_empty() { own } else { wanted.contains(name) }
}

/// What tries each finding's refactoring.
struct Trying<'p> {
    place: &'p Place,
    taken: Vec<String>,
    parser: Parser,
    untried: bool,
}

impl Trying<'_> {
    /// Whether the refactoring would be declared; none where it cannot be read at all.
    fn tried(&mut self, session: &mut Session, finding: &Finding) -> Option<Result<(), String>> {
        let refactoring = self.parser.read(&finding.command)?;
        if self.untried {
            return Some(Ok(()));
        }
        let entries = chain(self.taken.clone(), None, vec![refactoring]).ok()?;
        let prepared = session.prepare(self.place, &entries);
        Some(
            prepared
                .map(|_| ())
                .map_err(|problem| if problem.why.is_empty() { problem.what } else { problem.why.join("; ") }),
        )
    }
}
