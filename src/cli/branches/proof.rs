//! Both orders made real on two copies of the database, and compared.

use std::path::Path;

use postgres::Client;

use super::Sides;
use crate::branches::{Decision, shape};
use crate::cli::Context;
use crate::cli::materialize::{How, unasked};
use crate::db::copy::Copy;
use crate::db::session::Place;
use crate::journal::{Directory, Entry, State};
use crate::name::TableName;
use crate::problem::{Kind, Problem};
use crate::schema::{Schema, read};

/// A table that is the same in both orders.
pub struct Proof {
    table: TableName,
    rows: i64,
    checksum: String,
}

impl Proof {
    /// As data.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "table": self.table.to_string(), "rows": self.rows, "checksum": self.checksum })
    }
}

/// Makes both orders real on copies.
pub fn rehearse(context: &Context, sides: &Sides, place: &Place, decision: &Decision) -> Result<Vec<Proof>, Problem> {
    let own = |name: &str| sides.ours.iter().chain(&sides.theirs).any(|e| e.step.name == name);
    if let Some(real) = place.recorded.iter().find(|r| r.state == State::Materialized && own(&r.entry.step.name)) {
        let why = format!("{} is real here already", real.entry.step.name);
        return Err(Problem::new(Kind::Usage, "cannot make both orders real", why)
            .hint("rehearse on a database that has neither branch: `--database-url URL`"));
    }
    let one = really(context, place, [&sides.common, &sides.ours, &sides.theirs])?;
    let other = really(context, place, [&sides.common, &sides.theirs, &sides.ours])?;
    let differ = |what: String| {
        Problem::new(Kind::Files, "both orders were made real on copies, and differ", what)
            .hint("say the order: `refactor check --order FIRST,SECOND`; and please report it, since the files alone say that they commute")
    };
    if let Some(difference) = shape::difference(&one.0, &other.0) {
        return Err(differ(difference.what));
    }
    let mut proofs = Vec::new();
    for ((table, rows, checksum), (_, others, other_sum)) in one.1.into_iter().zip(other.1) {
        if (rows, &checksum) != (others, &other_sum) {
            return Err(differ(format!(
                "`{}` has {rows} rows (checksum {checksum}) in one order, {others} (checksum {other_sum}) in the other",
                table.short()
            )));
        }
        proofs.push(Proof { table, rows, checksum });
    }
    context.ui.done("made real on two copies, in both orders: the same tables and the same rows");
    for Proof { table, rows, checksum } in proofs.iter().filter(|p| decision.tables.contains(&p.table)) {
        context.ui.say(format!("  `{}`: {rows} rows, checksum {checksum}, in both orders", table.short()));
    }
    Ok(proofs)
}

type Real = (Schema, Vec<(TableName, i64, String)>);

fn really(context: &Context, place: &Place, parts: [&Vec<Entry>; 3]) -> Result<Real, Problem> {
    let copy = Copy::of(&context.target()?, false)?;
    let folder = std::env::temp_dir().join(format!("refactor-{}-order", std::process::id()));
    let failed = |e: std::io::Error| Problem::new(Kind::Files, "cannot write the files of a rehearsal", e.to_string());
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let real = in_folder(context, place, parts, &copy, &folder);
    std::fs::remove_dir_all(&folder).map_err(failed)?;
    let mut client: Client = real.and_then(|()| Ok(copy.target.connect()?))?;
    compared(&mut client)
}

fn in_folder(
    context: &Context,
    place: &Place,
    parts: [&Vec<Entry>; 3],
    copy: &Copy,
    folder: &Path,
) -> Result<(), Problem> {
    let there = Context { at: Some(copy.target.clone()), ..context.clone() }.in_folder(folder);
    let names: Vec<String> = place.pending().into_iter().map(|s| s.name).collect();
    if !names.is_empty() {
        let mut session = there.session()?;
        session.lock()?;
        let here = session.place()?;
        let plan = session.prepare_undo(&here, &names)?;
        session.undo(&here, &plan, &names, &mut |_, _| {})?;
    }
    let directory = Directory::new(folder);
    let mut before: Option<String> = None;
    for entry in parts.into_iter().flatten() {
        directory.write(&entry.placed_after(before.as_deref()))?;
        before = Some(entry.step.name.clone());
    }
    unasked(&there, &How::default()).map(|_| ())
}

/// The tables, and how many rows each has with a checksum in which the order of rows and fields does not count.
fn compared(client: &mut Client) -> Result<Real, Problem> {
    let schema = read::read(client)?;
    let mut sums = Vec::new();
    for table in schema.tables.keys() {
        let sql = format!(
            "SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.to_jsonb(t)::text, 0)::numeric), 0)::text FROM ONLY {table} AS t"
        );
        let row = client.query_one(&sql, &[])?;
        sums.push((table.clone(), row.get(0), row.get(1)));
    }
    Ok((schema, sums))
}
