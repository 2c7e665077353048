//! `check` on two branches: do they commute, or clash, and what to do about it.

mod git;
mod mend;
mod proof;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::branches::order::{self, Fork, Turned};
use crate::branches::{Clash, Decision, decide};
use crate::catalogue::Refactor;
use crate::cli::Context;
use crate::cli::check::Check;
use crate::db::session::Place;
use crate::journal::{Directory, Entry, State};
use crate::name::shell;
use crate::problem::{Kind, Problem};
use crate::refusal::Refusal;
use crate::schema::Schema;

/// The files of two branches.
pub struct Sides {
    /// What both have, in order.
    pub common: Vec<Entry>,
    /// What only ours has.
    pub ours: Vec<Entry>,
    /// What only theirs has.
    pub theirs: Vec<Entry>,
    /// What the branches are called in sentences.
    names: [String; 2],
    /// Where the files of each may be written; none where they belong to git.
    folders: [Option<Directory>; 2],
    /// The command that asked, as it is typed again.
    command: String,
}

impl Sides {
    /// Ours against what another branch of the repository has.
    fn against(context: &Context, branch: &str) -> Result<Self, Problem> {
        let theirs = git::files(context.dir(), branch)?;
        let command = format!("refactor check --against {}", shell(branch));
        Self::of(
            context.files()?,
            theirs,
            ["your branch".into(), format!("`{branch}`")],
            [Some(context.directory()), None],
            command,
        )
    }

    /// Two folders, or the one of the project and another.
    fn folders(context: &Context, dirs: &[PathBuf]) -> Result<Self, Problem> {
        let read = |dir: &Path| -> Result<Vec<Entry>, Problem> {
            if !dir.is_dir() {
                let why = format!("there is no directory `{}`", dir.display());
                return Err(Problem::new(Kind::Usage, "cannot compare the refactorings of two branches", why)
                    .hint("name the directories that have the files: `refactor check DIR1 DIR2`"));
            }
            Ok(Directory::new(dir).read()?)
        };
        let [ours, theirs] = match dirs {
            [theirs] => [context.dir(), theirs],
            [ours, theirs, ..] => [&**ours, &**theirs],
            [] => [context.dir(), context.dir()],
        };
        let command = dirs.iter().map(|d| format!(" {}", shell(&d.display().to_string()))).collect::<String>();
        let names = [ours, theirs].map(|d| format!("`{}`", d.display()));
        let writable = [ours, theirs].map(|d| Some(Directory::new(d)));
        Self::of(read(ours)?, read(theirs)?, names, writable, format!("refactor check{command}"))
    }

    fn of(
        ours: Vec<Entry>,
        theirs: Vec<Entry>,
        names: [String; 2],
        folders: [Option<Directory>; 2],
        command: String,
    ) -> Result<Self, Problem> {
        let twin = |entry: &Entry, others: &[Entry]| others.iter().find(|o| o.step.name == entry.step.name).cloned();
        if let Some((name, text)) = ours
            .iter()
            .find_map(|o| twin(o, &theirs).filter(|t| t.hash() != o.hash()).map(|t| (o.step.name.clone(), t)))
        {
            let here = ours.iter().find(|o| o.step.name == name).map(|o| o.text.clone()).unwrap_or_default();
            let why = format!("both have {name}, with another text\n{}", super::difference(&text.text, &here));
            let hint = match &folders[0] {
                Some(folder) => {
                    let file = |name: &str| shell(&folder.path().join(format!("{name}.toml")).display().to_string());
                    format!(
                        "give yours a name of its own, and check again: `mv {} {}`",
                        file(&name),
                        file(&format!("{name}-too"))
                    )
                }
                None => "give one of them a name of its own".into(),
            };
            return Err(
                Problem::new(Kind::Files, format!("{} and {} clash on a file", names[0], names[1]), why).hint(hint)
            );
        }
        let (common, ours): (Vec<Entry>, Vec<Entry>) = ours.into_iter().partition(|o| twin(o, &theirs).is_some());
        let theirs = theirs.into_iter().filter(|t| twin(t, &common).is_none()).collect();
        Ok(Self { common, ours, theirs, names, folders, command })
    }

    /// Two branches whose files lie in one folder.
    fn fork(context: &Context, fork: &Fork) -> Self {
        let own = |entries: &[&Entry]| entries.iter().map(|e| (*e).clone()).collect::<Vec<_>>();
        let last = |entries: &[&Entry]| entries.last().map(|e| e.step.name.clone()).unwrap_or_default();
        Self {
            names: [&fork.ours, &fork.theirs].map(|side| format!("the branch that ends with {}", last(side))),
            common: own(&fork.common),
            ours: own(&fork.ours),
            theirs: own(&fork.theirs),
            folders: [Some(context.directory()), Some(context.directory())],
            command: "refactor check".into(),
        }
    }

    /// The tables before both branches, with all that they have in common.
    fn base(&self, place: &Place) -> Result<Arc<Schema>, Problem> {
        let common: Vec<_> = self.common.iter().map(|e| &e.step).collect();
        let own: Vec<&str> = self.ours.iter().chain(&self.theirs).map(|e| &*e.step.name).collect();
        order::base(&place.schema, &place.recorded, &common, &own).map_err(|(name, refusal)| {
            match (self.common.iter().find(|e| e.step.name == name), refusal) {
                (Some(entry), Some(refusal)) => Problem::refused(&entry.step, refusal),
                (_, refusal) => {
                    let why = refusal.map_or_else(|| "it has no way back".to_owned(), |r| r.to_string());
                    Problem::new(
                        Kind::Files,
                        format!("cannot tell the tables as they were before {name}, which is real"),
                        why,
                    )
                    .hint("check against a dump of the tables as they were: `refactor check --schema dump.sql`")
                }
            }
        })
    }
}

/// Checks the branches that are asked for; whether there were any.
pub fn run(context: &Context, args: &Check) -> Result<bool, Problem> {
    let sides = match &args.against {
        Some(branch) => Sides::against(context, branch)?,
        None if !args.dirs.is_empty() => Sides::folders(context, &args.dirs)?,
        None => return Ok(false),
    };
    let sides = Sides { command: context.again(&sides.command, args), ..sides };
    if let [first, second] = &args.order[..] {
        let done = mend::order(&sides, first, second)?;
        context.ui.done(&done);
        context.ui.json(&json!({ "ordered": done }));
        return Ok(true);
    }
    let place = context.session()?.place()?;
    decided(context, args, &sides, &place, true)?;
    Ok(true)
}

/// Checks whether branches whose files lie beside each other in the folder commute. Gives the files anew if that has
/// changed any.
pub fn beside(context: &Context, args: &Check, files: &[Entry], place: &Place) -> Result<Option<Vec<Entry>>, Problem> {
    let is_real =
        |e: &&Entry| place.recorded.iter().any(|r| r.entry.step.name == e.step.name && r.state == State::Materialized);
    for fork in order::forks(files) {
        // What has happened is no question any more but for its order, which `in_order` asks.
        if fork.ours.iter().chain(&fork.theirs).all(is_real) {
            continue;
        }
        let sides = Sides::fork(context, &fork);
        let sides = Sides { command: context.again(&sides.command, args), ..sides };
        if decided(context, args, &sides, place, false)? {
            return Ok(Some(context.files()?));
        }
    }
    Ok(None)
}

/// Says which comes first, where the files of two branches lie beside each other.
pub fn say_order(context: &Context, args: &Check, files: &[Entry]) -> Result<bool, Problem> {
    let [first, second] = &args.order[..] else { return Ok(false) };
    for fork in order::forks(files) {
        let sides = Sides::fork(context, &fork);
        let all: Vec<&Entry> = sides.ours.iter().chain(&sides.theirs).collect();
        if [first, second].iter().all(|name| all.iter().any(|e| super::is_named(&e.step.name, name))) {
            let done = mend::order(&sides, first, second)?;
            context.ui.done(&done);
            context.ui.json(&json!({ "ordered": done }));
            return Ok(true);
        }
    }
    let why = format!("{first} and {second} are not on two branches that lie beside each other");
    Err(Problem::new(Kind::Usage, "cannot say the order of two refactorings", why)
        .hint("`refactor check` names those that clash"))
}

/// Decides, mends if that is wanted, and tells. Whether files were changed.
fn decided(context: &Context, args: &Check, sides: &Sides, place: &Place, alone: bool) -> Result<bool, Problem> {
    let ui = context.ui;
    let base = sides.base(place)?;
    let decision =
        decide(&base, &sides.ours, &sides.theirs).map_err(|(name, refusal)| by_itself(sides, &name, refusal))?;
    if !decision.commutes() {
        if args.fix {
            let fixed = mend::fix(sides, &decision, place)?;
            for line in &fixed {
                ui.done(line);
            }
            if alone {
                ui.json(&json!({ "commute": false, "fixed": fixed }));
            }
            return Ok(true);
        }
        let problem = clash(sides, &decision);
        if ui.json && alone {
            ui.json(&report(sides, &decision, &[]));
            return Err(Problem { kind: Kind::Told, ..problem });
        }
        return Err(problem);
    }
    let (here, there) = (counted(sides.ours.len()), counted(sides.theirs.len()));
    let [our, their] = &sides.names;
    ui.done(format!("{here} of {our} and {there} of {their} commute: both orders give the same tables"));
    let tables: Vec<String> = decision.tables.iter().map(|t| format!("`{}`", t.short())).collect();
    if decision.pairs > 0 {
        let pairs =
            if decision.pairs == 1 { "1 pair was".to_owned() } else { format!("{} pairs were", decision.pairs) };
        ui.say(format!(
            "  proof: {pairs} folded in both orders; {} came out the same, fields, types, rules and where each value is from",
            tables.join(", ")
        ));
    }
    for table in &decision.reordered {
        ui.note(format!(
            "the fields of `{}` stand in the order in which they came: name them instead of `SELECT *`",
            table.short()
        ));
    }
    let proofs = if args.rehearse { proof::rehearse(context, sides, place, &decision)? } else { Vec::new() };
    if alone {
        ui.json(&report(sides, &decision, &proofs));
    }
    Ok(false)
}

fn counted(count: usize) -> String {
    if count == 1 { "1 refactoring".into() } else { format!("{count} refactorings") }
}

/// A refactoring that makes no sense where it was made.
fn by_itself(sides: &Sides, name: &str, refusal: Refusal) -> Problem {
    let all = sides.ours.iter().chain(&sides.theirs);
    match all.map(|e| &e.step).find(|s| s.name == name) {
        Some(step) => {
            let problem = Problem::refused(step, refusal);
            Problem { what: format!("{name} makes no sense on its own branch: {}", problem.what), ..problem }
        }
        None => Problem::new(Kind::Files, format!("{name} makes no sense"), refusal.to_string()),
    }
}

fn clash(sides: &Sides, decision: &Decision) -> Problem {
    let what: Vec<String> = decision
        .clashes
        .iter()
        .map(|c| format!("{} and {} clash on {}", c.ours, c.theirs, c.place_in_words()))
        .collect();
    let mut ways: Vec<String> = Vec::new();
    for way in decision.clashes.iter().flat_map(|clash| mend::ways(sides, clash)) {
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    Problem {
        what: what.join("; "),
        why: decision.clashes.iter().flat_map(|c| c.why.clone()).collect(),
        hint: Some(ways.join("\n  or ")),
        kind: Kind::Files,
    }
}

fn report(sides: &Sides, decision: &Decision, proofs: &[proof::Proof]) -> serde_json::Value {
    let names = |entries: &[Entry]| entries.iter().map(|e| e.step.name.clone()).collect::<Vec<_>>();
    let one = |c: &Clash| {
        json!({ "ours": c.ours, "theirs": c.theirs, "table": c.table.as_ref().map(ToString::to_string),
            "field": c.field.as_ref().map(crate::name::Ident::as_str), "why": c.why, "ways_out": mend::ways(sides, c) })
    };
    let short = |tables: &std::collections::BTreeSet<crate::name::TableName>| {
        tables.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    json!({
        "commute": decision.commutes(), "common": names(&sides.common), "ours": names(&sides.ours), "theirs": names(&sides.theirs),
        "pairs": decision.pairs, "tables": short(&decision.tables), "field_order_differs": short(&decision.reordered),
        "clashes": decision.clashes.iter().map(one).collect::<Vec<_>>(),
        "rehearsed": proofs.iter().map(proof::Proof::json).collect::<Vec<_>>()
    })
}

/// Tells of refactorings that a database has in another order than the files: in order if they commute, else a problem that
/// names both.
pub fn in_order(context: &Context, files: &[Entry], place: &Place) -> Result<(), Problem> {
    let (mut same, mut unknown) = (Vec::new(), Vec::new());
    for turned in order::judge(&place.schema, files, &place.recorded) {
        match turned {
            Turned::Commute(there, here) => same.push(format!("{there} before {here}")),
            Turned::Unknown(there, here) => unknown.push(format!("{there} before {here}")),
            Turned::Clash(clash) => {
                let Clash { ours: there, theirs: here, why, .. } = &*clash;
                let is_new = place.recorded.iter().all(|r| r.entry.step.name != *here);
                let what = format!(
                    "this database has {there} before {here}, the files the other way round, and they clash on {}",
                    clash.place_in_words()
                );
                let step = |name: &str| files.iter().find(|f| f.step.name == name).map(|f| f.step.refactoring.wish());
                let wish = step(here).filter(|_| is_new).map(|wish| format!("it would {wish} after it now"));
                let is_deferred = place.pending().iter().any(|s| s.name == *there);
                let hint = if is_deferred {
                    format!(
                        "take it back and apply both in the order of the files: `refactor undo --keep-files {}`, then `refactor apply`",
                        shell(there)
                    )
                } else {
                    format!("say that {here} comes after it: `refactor check --order {},{}`", shell(there), shell(here))
                };
                let why = why.iter().cloned().chain(wish).collect();
                return Err(Problem { what, why, hint: Some(hint), kind: Kind::Files });
            }
        }
    }
    if !same.is_empty() {
        context.ui.note(format!(
            "this database has {}, the files the other way round: they commute, so it is in order",
            same.join(", ")
        ));
    }
    if !unknown.is_empty() {
        context.ui.warn(format!(
            "this database has {}, the files the other way round; the tables before both are not known any more, so whether they commute is not either",
            unknown.join(", ")
        ));
    }
    Ok(())
}
