//! `suggest`: the refactorings that lead from one shape to another, each stack tried before it is named.

mod difference;
mod evidence;
pub mod likeness;
pub mod parser;
pub mod patterns;
mod proof;
mod search;
pub mod simple;
mod told;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::catalogue::Refactoring;
use crate::cli::Context;
use crate::cli::convert::{self, Words};
use crate::db::connect::Target;
use crate::db::copy;
use crate::db::dump::{self, Dumped};
use crate::db::facts::Answer;
use crate::db::session::Session;
use crate::generate::shown_in;
use crate::name::TableName;
use crate::problem::{Kind as Trouble, Problem};
use crate::schema::Schema;
use crate::version::Version;
use difference::{Difference, Kind, Texts, Wanted, differences, numbering};
use evidence::Rows;
use parser::Parser;
use search::{Node, RuledOut, Verdict, is_beside, search};

/// Where from and where to.
#[derive(Debug, Args)]
pub struct Suggest {
    /// Shape to reach: DDL as `pg_dump` or a person writes it, in a file or in all `.sql` files of a directory
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Shape to start from, written the same way; its rows, if it has any, are asked [default: the newest shape of the database]
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Take this one of several candidates
    #[arg(long, value_name = "N")]
    choose: Option<usize>,
    /// Record the refactorings as files; of several candidates those of the chosen one
    #[arg(long)]
    write: bool,
}

/// How many candidates are tried and named.
const NAMED: usize = 6;

/// A stack that was tried.
struct Candidate {
    commands: Vec<Words>,
    refactorings: Vec<Refactoring>,
    /// What it takes for granted, and what the rows say of that.
    assumes: Vec<(String, Verdict)>,
    /// What the data were asked, and answered.
    facts: Vec<String>,
    /// What is lost.
    losses: Vec<String>,
    /// In what its shape still differs.
    left: Vec<String>,
    /// What makes no difference, but can be mended.
    beside: Vec<Words>,
}

/// The private server with both shapes, and where the rows are.
struct Ground {
    dumped: Dumped,
    wanted: Wanted,
    base: Arc<Schema>,
    /// Where the rows are.
    rows: Target,
    /// Where the rows of the wanted shape are.
    there: Target,
    called: BTreeMap<TableName, TableName>,
    taken: Vec<String>,
}

/// Searches, tries, and tells.
pub fn run(context: &Context, args: &Suggest) -> Result<(), Problem> {
    let ground = Ground::of(context, args)?;
    let (candidates, ruled_out) = ground.candidates()?;
    let certain = candidates.len() == 1;
    if let Some(number) = args.choose.filter(|n| *n == 0 || *n > candidates.len()) {
        let why = format!("there are {} candidates", candidates.len());
        return Err(Problem::new(Trouble::Usage, format!("cannot choose candidate {number}"), why)
            .hint("`refactor suggest` without `--choose` lists them"));
    }
    let chosen = args.choose.or(certain.then_some(1));
    told::tell(context.ui, &candidates, &ruled_out, args.choose);
    let Some(candidate) = chosen.and_then(|number| candidates.get(number - 1)) else {
        return Err(told::open(context.ui, &candidates, args.write));
    };
    if args.write && !candidate.refactorings.is_empty() {
        convert::write(context, candidate.refactorings.clone())?;
    }
    if candidate.left.is_empty() { Ok(()) } else { Err(told::told()) }
}

impl Ground {
    fn of(context: &Context, args: &Suggest) -> Result<Self, Problem> {
        let text = dump::text(&args.to)?;
        let dumped = Dumped::empty()?;
        let there = dumped.database("new", "template0")?;
        dump::fill(&there, &text, true).map_err(|problem| of_file(problem, &args.to))?;
        let old = dumped.database(proof::OLD, "template0")?;
        let mut taken: Vec<String> = context.files()?.into_iter().map(|f| f.step.name).collect();
        let (rows, called) = if let Some(from) = &args.from {
            dump::fill(&old, &dump::text(from)?, true).map_err(|problem| of_file(problem, from))?;
            proof::made_real(&old, &[])?;
            (dumped.database("rows", proof::OLD)?, BTreeMap::new())
        } else {
            let target = context.target()?;
            let place = context.session()?.place()?;
            let recorded = place.recorded.iter().map(|r| r.entry.step.name.clone());
            let fresh: Vec<String> = recorded.filter(|name| !taken.contains(name)).collect();
            taken.extend(fresh);
            copy::tables(&target, &old)?;
            proof::made_real(&old, &[])?;
            (target, shown(&place.version()?))
        };
        let base = proof::tables(&old)?;
        let comments = text.to_lowercase().contains("comment on ");
        let wanted = Wanted { schema: Schema::clone(&*proof::tables(&there)?), text, comments };
        Ok(Self { dumped, wanted, base, rows, there, called, taken })
    }

    /// The stacks that are possible, and what the data or the shape forbid.
    fn candidates(&self) -> Result<(Vec<Candidate>, Vec<RuledOut>), Problem> {
        let mut parser = Parser::new();
        let (mut old, mut new) = (Session::new(self.rows.connect()?)?, Session::new(self.there.connect()?)?);
        let mut rows = Rows {
            old: old.client(),
            new: new.client(),
            called: self.called.clone(),
            wanted: &self.wanted,
            known: Vec::new(),
        };
        let (ends, mut ruled_out) = search(&self.base, &self.wanted, &mut rows, &mut parser);
        drop((old, new));
        let mut found: Vec<Candidate> = Vec::new();
        for end in ends {
            if found.len() == NAMED {
                break;
            }
            let candidate = self.tried(&end, &mut parser)?;
            if found.iter().all(|known| known.commands != candidate.commands) {
                found.push(candidate);
            }
        }
        let reached = found.iter().any(|c| c.left.is_empty());
        let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|c| c.left.is_empty() || !reached);
        ruled_out.extend(bad.into_iter().map(|c| (told::line(&c.commands), c.left.join("; "))));
        // What comes nearest is told, if nothing gets there.
        let good = if reached { good } else { good.into_iter().take(1).collect() };
        Ok((good, ruled_out))
    }

    /// Makes a stack real on a copy, mends what it still lacks, and asks the data.
    fn tried(&self, end: &Node, parser: &mut Parser) -> Result<Candidate, Problem> {
        let (mut commands, mut refactorings): (Vec<Words>, Vec<Refactoring>) = end.commands.iter().cloned().unzip();
        let assumes = end.choices.iter().map(|(c, verdict)| (c.sentence.clone(), verdict.clone())).collect();
        let mut left = Vec::new();
        let mut beside = Vec::new();
        for _ in 0..4 {
            let now = match proof::real(&self.dumped, &refactorings, &self.taken) {
                Ok(now) => Arc::new(now),
                Err(problem) => {
                    left.push(told::refused(&problem, &commands));
                    break;
                }
            };
            let finished = Node::of(now.clone(), &self.wanted).finished(&self.base, &self.wanted, parser);
            if finished.commands.is_empty() {
                let open = differences(&now, &self.wanted, Texts::Printed);
                let (no, yes): (Vec<_>, Vec<_>) =
                    open.into_iter().partition(|d| is_beside(d, &self.base, &self.wanted));
                beside = no.iter().filter_map(|d| simple::mending(d, &now, &self.wanted)).flatten().collect();
                left = yes.iter().filter(|d| !self.is_same(d)).map(|d| d.sentence(&now, &self.wanted.schema)).collect();
                break;
            }
            let (more, theirs): (Vec<Words>, Vec<Refactoring>) = finished.commands.into_iter().unzip();
            commands.extend(more);
            refactorings.extend(theirs);
        }
        let mut session = Session::new(self.rows.connect()?)?;
        let place = session.place()?;
        let mut entries = proof::entries(&refactorings, &self.taken)?;
        for entry in &mut entries {
            session.fix_moment(&mut entry.step.refactoring);
        }
        let (mut facts, mut losses) = (Vec::new(), Vec::new());
        match session.prepare(&place, &entries) {
            Ok(deferred) => {
                facts.extend(deferred.facts.iter().map(Answer::sentence));
                losses.extend(deferred.losses.iter().map(|(loss, count)| loss.sentence(*count)));
            }
            Err(problem) => {
                let why = told::refused(&problem, &commands);
                left.extend((!left.contains(&why)).then_some(why));
            }
        }
        Ok(Candidate { commands, refactorings, assumes, facts, losses, left, beside })
    }

    /// A new table's serial is an identity, which numbers the same way.
    fn is_same(&self, difference: &Difference) -> bool {
        difference.kind == Kind::Numbering
            && !self.base.tables.contains_key(&difference.table)
            && difference.field_in(&self.wanted.schema).is_some_and(|f| numbering(f) == "serial")
    }
}

/// Under which name each table of the newest shape is read.
fn shown(version: &Version) -> BTreeMap<TableName, TableName> {
    let next = shown_in(version);
    let view = |name: &TableName| TableName { schema: next[&name.schema].clone(), name: name.name.clone() };
    version.shown().map(|r| (r.name.clone(), view(&r.name))).collect()
}

fn of_file(mut problem: Problem, file: &std::path::Path) -> Problem {
    problem.what = format!("cannot read `{}`", file.display());
    problem
}
