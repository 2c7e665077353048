//! `finish`: lets go of what real refactorings have left without a place, and was kept.

use clap::Args;

use crate::cli::Context;
use crate::db::session::Place;
use crate::name::TableName;
use crate::plan::{Plan, PlanStep};
use crate::problem::{Kind, Problem};
use crate::version::lost_table;

/// How to finish.
#[derive(Debug, Args)]
pub struct Finish {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Say what would go, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Drops the archives, after saying what becomes unrecoverable.
pub fn run(context: &Context, args: &Finish) -> Result<(), Problem> {
    let mut session = context.session()?;
    session.lock()?;
    let (place, left) = session.settled()?;
    context.tell_left(&left);
    let (mut plan, mut gone) = (Plan { title: "let go of what was kept".into(), ..Plan::default() }, Vec::new());
    for table in place.installed.tables.iter().filter(|table| table.is_archive()) {
        if let Some(user) = restored_by(&place, table) {
            context.ui.note(format!("`{table}` stays: {user}, which is deferred, brings it back"));
            continue;
        }
        let count = format!("SELECT pg_catalog.count(*), pg_catalog.pg_total_relation_size('{table}') FROM {table}");
        let kept = session.client().query_one(&count, &[])?;
        let (rows, bytes): (i64, i64) = (kept.get(0), kept.get(1));
        plan.losses.push(format!("`{table}` with {rows} rows, {} kB", bytes >> 10));
        plan.steps.push(PlanStep::new(format!("drop `{table}`"), format!("DROP TABLE {table}")));
        gone.push(serde_json::json!({ "table": table, "rows": rows, "bytes": bytes }));
    }
    if plan.steps.is_empty() {
        context.ui.say("nothing is kept that could go");
        context.ui.json(&serde_json::json!({ "dropped": gone }));
        return Ok(());
    }
    for loss in &plan.losses {
        context.ui.warn(format!("lost for good: {loss}"));
    }
    context.ui.note("what is real stays as it is; `refactor revert` can no longer bring these values back");
    if args.dry_run {
        context.ui.json(&serde_json::json!({ "would_drop": gone }));
        context.ui.say("nothing was done (--dry-run)");
        return Ok(());
    }
    if !args.yes && !context.ui.ask("Let it go?") {
        return Err(Problem::new(Kind::Declined, "nothing was dropped", "it was not confirmed")
            .hint("answer `y`, or pass `--yes` in scripts"));
    }
    session.run(&plan, &place.schema.code_path(), &mut |_, _| {}, &mut |_| Ok(()))?;
    context.ui.done(format!(
        "dropped {}",
        if gone.len() == 1 { "what was kept".into() } else { format!("{} tables of kept values", gone.len()) }
    ));
    context.ui.json(&serde_json::json!({ "dropped": gone }));
    Ok(())
}

/// The deferred refactoring that works with an archive.
fn restored_by(place: &Place, table: &TableName) -> Option<String> {
    let names = place.recorded.iter().map(|r| &r.entry.step.name);
    let of: Vec<&String> =
        names.filter(|name| table.name.as_str().starts_with(lost_table(name).name.as_str())).collect();
    let pending = place.pending();
    let reads = |step: &&crate::version::Step| {
        let text = toml::to_string(&step.refactoring).unwrap_or_default();
        of.iter().any(|name| text.contains(&toml::Value::String((*name).clone()).to_string()))
    };
    pending.iter().find(reads).map(|step| step.name.clone())
}
