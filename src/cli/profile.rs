//! `profile`: how long the statements of an application take on the tables, through the views, and once all is real.

use clap::Args;
use postgres::{Client, SimpleQueryMessage};
use serde_json::{Value, json};

use crate::cli::impact::ask::Plan;
use crate::cli::impact::sources::Statement;
use crate::cli::impact::verdict::{Judge, Judged, Verdict};
use crate::cli::impact::{From, judge, text};
use crate::cli::materialize::{self, How};
use crate::cli::{Context, exec};
use crate::db::copy::Copy;
use crate::db::message;
use crate::problem::Problem;

/// What to measure.
#[derive(Debug, Args)]
pub struct Profile {
    #[command(flatten)]
    from: From,
    /// Measure on a copy of the database, too, where everything is made real
    #[arg(long)]
    rehearse: bool,
    /// Run statements that write, too, each in a transaction that is rolled back
    #[arg(long)]
    writes: bool,
    /// How often each statement is run; its time is the median
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
}

/// From how many times the time on a statement is called slower.
const SLOWER: f64 = 1.5;

/// Shorter than that, in milliseconds, nobody waits.
const SHORT: f64 = 0.2;

/// How a statement was done.
#[derive(Debug, Clone)]
struct Measured {
    /// In milliseconds; none if it was only planned.
    time: Option<f64>,
    rows: Option<f64>,
    plan: Plan,
}

/// A statement in all shapes.
struct Line {
    statement: Statement,
    judged: Judged,
    old: Result<Measured, String>,
    next: Result<Measured, String>,
    real: Option<Result<Measured, String>>,
}

/// Measures, and tells the slower ones first.
pub fn run(context: &Context, args: &Profile) -> Result<(), Problem> {
    let statements = args.from.read(context)?;
    let mut session = context.session()?;
    let place = session.place()?;
    if place.pending().is_empty() {
        context.ui.json(&json!({ "statements": [] }));
        context.ui.done("nothing is deferred: both shapes are the same");
        return Ok(());
    }
    let next = exec::paths(&session, &place.version()?);
    let mut judge: Judge = judge(context, &session, &place)?;
    let paths = (judge.old_path().to_owned(), next.0);
    let mut copy = None;
    if args.rehearse {
        let made = Copy::of(&context.target()?, false)?;
        materialize::unasked(&context.at(made.target.clone()), &How::default())?;
        copy = Some((made.target.connect()?, made));
    }
    let mut client = context.target()?.connect()?;
    let mut lines = Vec::new();
    for statement in statements {
        let judged = judge.judge(&statement.text);
        if matches!(judged.verdict, Verdict::Untouched | Verdict::Unknown) {
            continue;
        }
        let old = vec![statement.text.clone()];
        let new = match judged.verdict {
            Verdict::Works | Verdict::Replanned => old.clone(),
            _ => judged.rewritten.clone(),
        };
        let on = |client: &mut Client, all: &[String], path: &str| match all {
            [] => Err("no text for the new shape is known".to_owned()),
            all => measured(client, all, path, args),
        };
        let (old, next) = (on(&mut client, &old, &paths.0), on(&mut client, &new, &paths.1));
        let real = copy.as_mut().map(|(client, _)| on(client, &new, &paths.0));
        lines.push(Line { statement, judged, old, next, real });
    }
    lines.sort_by(|a, b| b.slower().total_cmp(&a.slower()));
    for line in &lines {
        context.ui.out(line.told());
    }
    context.ui.json(&json!({ "runs": args.runs, "statements": lines.iter().map(Line::json).collect::<Vec<_>>() }));
    let slower = lines.iter().filter(|l| l.slower() >= SLOWER).count();
    let counted =
        if lines.len() == 1 { "1 statement touches".into() } else { format!("{} statements touch", lines.len()) };
    if slower == 0 {
        context.ui.done(format!("{counted} what changes; none is slower in `next`"));
    } else {
        context.ui.warn(format!(
            "{counted} what changes; {slower} of them {} slower in `next`, for as long as it is deferred{}",
            if slower == 1 { "is" } else { "are" },
            if args.rehearse { "" } else { ": `--rehearse` measures what is real, too" }
        ));
    }
    Ok(())
}

impl Line {
    /// How many times as long it takes in `next`.
    fn slower(&self) -> f64 {
        let (Ok(old), Ok(next)) = (&self.old, &self.next) else { return 0.0 };
        match (old.time, next.time) {
            (Some(old), Some(next)) if next < SHORT => (next / old.max(f64::MIN_POSITIVE)).min(1.0),
            (Some(old), Some(next)) => next / old.max(0.001),
            _ => next.plan.cost / old.plan.cost.max(0.01),
        }
    }

    fn told(&self) -> String {
        let shapes = [("old", Some(&self.old)), ("next", Some(&self.next)), ("real", self.real.as_ref())];
        let mut text =
            format!("{}\n  {}", self.statement.places.join(", "), text::likeness(&self.statement.text, false));
        for (name, measured) in shapes.into_iter().filter_map(|(name, m)| Some((name, m?))) {
            text += &match measured {
                Err(why) => format!("\n    {name:<5} {why}"),
                Ok(Measured { time: Some(time), rows, plan }) => {
                    format!("\n    {name:<5} {time:.2} ms  {} rows  cost {:.2}", rows.unwrap_or_default(), plan.cost)
                }
                Ok(Measured { plan, .. }) => format!("\n    {name:<5} planned, not run  cost {:.2}", plan.cost),
            };
        }
        if let (Ok(old), Ok(next)) = (&self.old, &self.next)
            && let Some(otherwise) = old.plan.unlike(&next.plan)
        {
            text += &format!("\n    plan  {otherwise}");
        }
        text
    }

    fn json(&self) -> Value {
        let shape = |measured: &Result<Measured, String>| match measured {
            Ok(m) => json!({ "milliseconds": m.time, "rows": m.rows, "cost": m.plan.cost, "nodes": m.plan.nodes }),
            Err(why) => json!({ "error": why }),
        };
        json!({
            "places": self.statement.places, "statement": self.statement.text, "verdict": self.judged.verdict.word(),
            "rewritten": self.judged.rewritten, "old": shape(&self.old), "next": shape(&self.next),
            "real": self.real.as_ref().map(shape),
        })
    }
}

/// Runs statements one after the other, several times; what has places for values is only planned.
fn measured(client: &mut Client, all: &[String], path: &str, args: &Profile) -> Result<Measured, String> {
    let said = |error: &postgres::Error| message::render(error, None).lines().next().unwrap_or_default().to_owned();
    if all.iter().any(|one| text::bind(one).sql != *one || text::has_places(one)) {
        let mut plan = Plan::default();
        for one in all {
            let answer = crate::cli::impact::ask::ask(client, &text::bind(one).sql, path)?;
            plan.cost += answer.plan.cost;
            plan.nodes.extend(answer.plan.nodes);
        }
        return Ok(Measured { time: None, rows: None, plan });
    }
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..args.runs.max(1) {
        let once = once(client, all, path, args.writes).map_err(|e| match e.code() {
            Some(code) if code.code() == "25006" => "it writes: `--writes` runs it, and rolls it back".to_owned(),
            _ => said(&e),
        })?;
        times.extend(once.time);
        last = Some(once);
    }
    times.sort_by(f64::total_cmp);
    let time = times.get(times.len() / 2).copied();
    last.map(|last| Measured { time, ..last }).ok_or_else(String::new)
}

fn once(client: &mut Client, all: &[String], path: &str, writes: bool) -> Result<Measured, postgres::Error> {
    let mut transaction = client.build_transaction().read_only(!writes).start()?;
    transaction.execute(
        "SELECT pg_catalog.set_config('search_path', $1, true), pg_catalog.set_config('statement_timeout', '60s', true), pg_catalog.set_config('lock_timeout', '2s', true)",
        &[&path],
    )?;
    let mut whole = Measured { time: Some(0.0), rows: None, plan: Plan::default() };
    for one in all {
        let messages = transaction.simple_query(&format!("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {one}"))?;
        let text = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        let explained: Value = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
        let number = |name: &str| explained[0][name].as_f64().unwrap_or_default();
        whole.time = whole.time.map(|time| time + number("Planning Time") + number("Execution Time"));
        let top = &explained[0]["Plan"];
        let top = if top["Node Type"] == "ModifyTable" { &top["Plans"][0] } else { top };
        whole.rows = whole.rows.or_else(|| top["Actual Rows"].as_f64());
        let plan = Plan::of(&explained);
        whole.plan.cost += plan.cost;
        whole.plan.nodes.extend(plan.nodes);
    }
    transaction.rollback()?;
    Ok(whole)
}
