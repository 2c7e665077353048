//! `report`: one page with both shapes, the refactorings between them, and what making them real would do.

use std::fs;
use std::path::PathBuf;

use askama::Template;
use clap::Args;

use crate::catalogue::Refactor;
use crate::cli::Context;
use crate::cli::diagram::{Arrow, Diagram, Fate, Line, Table};
use crate::db::connect::Target;
use crate::db::session::{Place, Session};
use crate::generate::{Class, shown_in};
use crate::journal::{Entry, State, compare};
use crate::plan::materialize::Options;
use crate::plan::{Plan, PlanStep};
use crate::problem::{Kind, Problem};
use crate::version::{RemarkKind, Version};

/// Where the page goes.
#[derive(Debug, Args)]
pub struct Report {
    /// File to write
    #[arg(long, value_name = "FILE", default_value = "refactor-report.html")]
    to: PathBuf,
}

/// Heights and widths of the picture, in its own units.
const LINE: usize = 22;
const HEAD: usize = 28;
const GAP: usize = 22;
const WIDE: usize = 330;
const RIGHT: usize = 570;

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    database: String,
    version: &'static str,
    deferred: usize,
    frames: Vec<Frame>,
    curves: Vec<Curve>,
    height: usize,
    same: Vec<String>,
    fields: Vec<(String, Line)>,
    steps: Vec<StepCard>,
    plan: Option<Plan>,
    refused: Option<String>,
    databases: Vec<DatabaseRow>,
}

/// A table in the picture.
struct Frame {
    x: usize,
    y: usize,
    height: usize,
    name: String,
    lines: Vec<FrameLine>,
}

struct FrameLine {
    id: String,
    y: usize,
    field: Line,
}

/// An arrow in the picture.
struct Curve {
    from: String,
    to: String,
    path: String,
    fate: &'static str,
    sentence: String,
}

/// A refactoring.
struct StepCard {
    name: String,
    state: &'static str,
    wish: String,
    text: String,
    facts: Vec<String>,
    losses: Vec<String>,
    notes: Vec<String>,
    views: Vec<(String, String)>,
}

/// How far a database is.
struct DatabaseRow {
    name: String,
    real: usize,
    deferred: usize,
    open: usize,
    trouble: String,
}

impl Page {
    /// The steps of the plan, each with its number and when it is done.
    fn rows(&self) -> Vec<(usize, &'static str, &PlanStep)> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let phases =
            [("while everybody works", &plan.before), ("in one transaction", &plan.steps), ("afterwards", &plan.after)];
        let all = phases.into_iter().flat_map(|(phase, steps)| steps.iter().map(move |step| (phase, step)));
        all.enumerate().map(|(at, (phase, step))| (at + 1, phase, step)).collect()
    }
}

/// Writes the page.
pub fn run(context: &Context, args: &Report) -> Result<(), Problem> {
    let files = context.files()?;
    let target = context.target()?;
    let mut session = context.session()?;
    let place = session.place()?;
    let version = place.version()?;
    let diagram = Diagram::of(&version);
    let (plan, refused) = match planned(&mut session, &place) {
        Ok(plan) => (plan, None),
        Err(problem) => (None, Some(format!("{}: {}", problem.what, problem.why.join("; ")))),
    };
    let (frames, height) = frames(&diagram);
    let page = Page {
        database: target.describe(),
        version: env!("CARGO_PKG_VERSION"),
        deferred: place.pending().len(),
        curves: curves(&diagram, &frames),
        frames,
        height,
        fields: fields(&diagram),
        same: diagram.same,
        steps: steps(&place, &version, &files),
        plan,
        refused,
        databases: databases(context, &target, &place, &files),
    };
    let failed = |why: String| Problem::new(Kind::Files, format!("cannot write `{}`", args.to.display()), why);
    let text = page.render().map_err(|e| failed(e.to_string()))?;
    fs::write(&args.to, text).map_err(|e| failed(e.to_string()))?;
    context.ui.done(format!("{} is written; open it in a browser", args.to.display()));
    context.ui.json(&serde_json::json!({ "file": args.to }));
    Ok(())
}

fn planned(session: &mut Session, place: &Place) -> Result<Option<Plan>, Problem> {
    let count = place.pending().len();
    let options = Options::default();
    (count > 0).then(|| session.prepare_materialize(place, count, &options).map(|work| work.plan)).transpose()
}

fn frames(diagram: &Diagram) -> (Vec<Frame>, usize) {
    let (mut frames, mut height) = (Vec::new(), 0);
    for (side, x, tables) in [("o", 1, &diagram.old), ("n", RIGHT, &diagram.new)] {
        let mut top = LINE;
        for (at, table) in tables.iter().enumerate() {
            let line = |(place, field): (usize, &Line)| FrameLine {
                id: format!("{side}{at}f{place}"),
                y: top + HEAD + place * LINE,
                field: field.clone(),
            };
            let lines: Vec<FrameLine> = table.fields.iter().enumerate().map(line).collect();
            let tall = HEAD + lines.len() * LINE + 6;
            frames.push(Frame { x, y: top, height: tall, name: table.name.clone(), lines });
            top += tall + GAP;
        }
        height = height.max(top);
    }
    (frames, height)
}

fn curves(diagram: &Diagram, frames: &[Frame]) -> Vec<Curve> {
    let (old, new) = frames.split_at(diagram.old.len());
    let curve = |arrow: &Arrow| {
        let ((table, field), (to_table, to_field)) = (arrow.from, arrow.to);
        let (from, to) = (&old[table].lines[field], &new[to_table].lines[to_field]);
        let (x, end, y, to_y) = (1 + WIDE, RIGHT - 6, from.y + LINE / 2, to.y + LINE / 2);
        let bend = (RIGHT - WIDE) / 2;
        Curve {
            path: format!("M{x} {y} C{} {y} {} {to_y} {end} {to_y}", x + bend, end - bend),
            sentence: format!(
                "{}.{} → {}.{}: {}",
                old[table].name,
                from.field.name,
                new[to_table].name,
                to.field.name,
                arrow.fate.word()
            ),
            from: from.id.clone(),
            to: to.id.clone(),
            fate: arrow.fate.word(),
        }
    };
    // What stays lies under what moves.
    let mut arrows: Vec<_> = diagram.arrows.iter().collect();
    arrows.sort_by_key(|arrow| arrow.fate != Fate::Same);
    arrows.into_iter().map(curve).collect()
}

/// All fields of the new shape, and those that went.
fn fields(diagram: &Diagram) -> Vec<(String, Line)> {
    let of = |tables: &[Table], is_wanted: fn(&Line) -> bool| -> Vec<(String, Line)> {
        let fields =
            tables.iter().flat_map(|table| table.fields.iter().map(|field| (table.name.clone(), field.clone())));
        fields.filter(|(_, field)| is_wanted(field)).collect()
    };
    [of(&diagram.new, |_| true), of(&diagram.old, |field| field.fate == Fate::Gone)].concat()
}

fn steps(place: &Place, version: &Version, files: &[Entry]) -> Vec<StepCard> {
    let next = shown_in(version);
    let facts = version.facts();
    let card = |entry: &Entry, state| {
        let name = &entry.step.name;
        let remarks = |lost: bool| {
            let mine = version.remarks.iter().filter(move |r| r.step == *name && (r.kind == RemarkKind::Lost) == lost);
            mine.map(|r| r.text.clone()).collect::<Vec<_>>()
        };
        let shown = version.shown().filter(|r| r.touched_by.contains(name));
        let view = |r: &crate::relation::Relation| {
            (format!("{}.{}", next[&r.name.schema], r.name.name), Class::of(version, r).cannot(r).join("; "))
        };
        StepCard {
            name: name.clone(),
            state,
            wish: entry.step.refactoring.wish(),
            text: entry.text.trim().to_owned(),
            facts: facts.iter().filter(|f| f.step == *name).map(crate::fact::Fact::sentence).collect(),
            losses: remarks(true),
            notes: remarks(false),
            views: shown.map(view).collect(),
        }
    };
    let recorded =
        place.recorded.iter().map(|r| card(&r.entry, if r.state == State::Deferred { "deferred" } else { "real" }));
    let open = compare(files, &place.recorded).to_apply;
    recorded.chain(open.iter().map(|entry| card(entry, "not applied"))).collect()
}

/// How far this database is, and each that has a name.
fn databases(context: &Context, here: &Target, place: &Place, files: &[Entry]) -> Vec<DatabaseRow> {
    let row = |name: String, place: &Place| DatabaseRow {
        name,
        real: place.recorded.iter().filter(|r| r.state == State::Materialized).count(),
        deferred: place.pending().len(),
        open: compare(files, &place.recorded).to_apply.len(),
        trouble: place.drift().map_or_else(|p| p.what, |drift| drift.join("; ")),
    };
    let mut rows = vec![row(here.describe(), place)];
    for name in context.settings.names() {
        let there = context.named(name).and_then(|c| c.session()?.place());
        rows.push(match there {
            Ok(place) => row(name.to_owned(), &place),
            Err(problem) => DatabaseRow { name: name.to_owned(), real: 0, deferred: 0, open: 0, trouble: problem.what },
        });
    }
    rows
}
