//! The plan that shows a version: drop what we generated before, create it anew, but for what would be the same.
//! Complements and the journal stay.

use std::collections::{BTreeMap, BTreeSet};

use crate::generate::complement::Kept;
use crate::generate::place::Place;
use crate::generate::{self, MARK, OWN, Piece, carry, complement, list, shown_in};
use crate::journal::{Entry, State};
use crate::name::{BODY, Ident, TableName};
use crate::plan::materialize::fill::numbered_on;
use crate::plan::{Installed, LENT, Plan, PlanStep, keep};
use crate::relation::{Relation, Rows, row_key};
use crate::schema::ConstraintKind;
use crate::sql::Literal;
pub use crate::version::lost_table;
use crate::version::{
    Carry, Direction, Floor, Lookup, Made, Missing, Numbering, OnOldWrite, RemarkKind, Told, Unlisted, Version,
};

/// The journal in the database.
const JOURNAL: &str = "COMMENT ON SCHEMA refactor IS 'refactor: journal, complement and generated functions';
GRANT USAGE ON SCHEMA refactor TO PUBLIC;
CREATE TABLE IF NOT EXISTS refactor.journal (
  position bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME refactor.refactor_journal_position)
    CONSTRAINT refactor_journal_position_key PRIMARY KEY,
  name text NOT NULL,
  text text NOT NULL,
  hash text NOT NULL,
  state text NOT NULL CHECK (state IN ('deferred', 'materialized', 'undone')),
  inverse text,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_by text NOT NULL DEFAULT session_user,
  tool text NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS refactor_journal_name ON refactor.journal (name) WHERE state <> 'undone';
GRANT SELECT ON refactor.journal TO PUBLIC;
COMMENT ON TABLE refactor.journal IS 'refactor: what was done to this database';";

/// Drops the generated views. Who uses one locks it before the tables under it: so must we.
#[must_use]
pub fn clear_views(installed: &Installed) -> Option<PlanStep> {
    let sentence = "take down the views of the shape before";
    (!installed.views.is_empty()).then(|| PlanStep::new(sentence, format!("DROP VIEW {};", list(&installed.views))))
}

/// Drops everything else that is generated: policies, triggers, functions.
#[must_use]
pub fn clear(installed: &Installed) -> Vec<PlanStep> {
    let mut steps = Vec::new();
    if !installed.secured.is_empty() {
        let sql: Vec<String> =
            installed.secured.iter().map(|table| format!("DROP POLICY refactor_rows ON {table};")).collect();
        steps.push(PlanStep::new("take down the row policies of complements", sql.join("\n")));
    }
    if !installed.triggers.is_empty() {
        let sql: Vec<String> =
            installed.triggers.iter().map(|(name, table)| format!("DROP TRIGGER {name} ON {table};")).collect();
        let tables: BTreeSet<String> = installed.triggers.iter().map(|(_, t)| t.short()).collect();
        let lock =
            format!("ACCESS EXCLUSIVE on {}, for a catalogue update", list(&tables.into_iter().collect::<Vec<_>>()));
        steps.push(PlanStep::new("take down our triggers", sql.join("\n")).locking(lock));
    }
    if !installed.bound.is_empty() {
        let sql: Vec<String> = installed
            .bound
            .iter()
            .map(|(name, table)| format!("ALTER TABLE {table} DROP CONSTRAINT {name};"))
            .collect();
        steps.push(PlanStep::new("let kept rows refer to nothing", sql.join("\n")));
    }
    if !installed.functions.is_empty() {
        steps.push(PlanStep::new("take down our functions", format!("DROP FUNCTION {};", list(&installed.functions))));
    }
    steps
}

/// Drops the complements and kept tables that nothing uses any more: all but `keep`.
#[must_use]
pub fn drop_tables(installed: &Installed, keep: &BTreeSet<TableName>) -> Vec<PlanStep> {
    let old: Vec<&TableName> = installed.tables.iter().filter(|t| !keep.contains(*t)).collect();
    if old.is_empty() {
        return Vec::new();
    }
    // New tables refer to floors until they can refer to the tables themselves.
    let cascade = if old.iter().any(|t| is_floor(t)) { " CASCADE" } else { "" };
    let sql = format!("DROP TABLE {}{cascade};", list(&old));
    vec![PlanStep::new("drop complement tables that nothing uses any more", sql)]
}

fn is_floor(table: &TableName) -> bool {
    table.name.as_str().starts_with("floor_")
}

/// Foreign keys of new tables that went with a floor.
fn bound_again(version: &Version, installed: &Installed, keep: &BTreeSet<TableName>) -> Vec<PlanStep> {
    if !installed.tables.iter().any(|t| is_floor(t) && !keep.contains(t)) {
        return Vec::new();
    }
    let there = version.made.iter().filter(|m| m.restores.is_none() && installed.tables.contains(&m.table));
    let one = |made: &Made| {
        let table = &version.schema.tables[&made.table];
        let keys = table.constraints.iter().filter(|c| matches!(c.kind, ConstraintKind::Foreign(_)));
        let lines: Vec<String> = keys
            .zip(generate::made::foreign_keys(table, &made.table))
            .map(|(key, line)| {
                format!(
                    "  IF NOT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conname = {} AND conrelid = {}::pg_catalog.regclass) THEN {line}; END IF;",
                    Literal(key.name.as_str().to_owned()),
                    Literal(made.table.to_string())
                )
            })
            .collect();
        let sentence = format!("let `{}` refer to what is real now", made.table.name);
        (!lines.is_empty())
            .then(|| PlanStep::new(sentence, format!("DO {BODY}\nBEGIN\n{}\nEND\n{BODY};", lines.join("\n"))))
    };
    there.filter_map(one).collect()
}

/// Drops those columns of complements that several fields share.
#[must_use]
pub fn drop_columns(installed: &Installed, goes: impl Fn(&(TableName, Ident)) -> bool) -> Vec<PlanStep> {
    let mut tables: BTreeMap<&TableName, Vec<String>> = BTreeMap::new();
    for column in installed.shared.iter().filter(|c| goes(c)) {
        tables.entry(&column.0).or_default().push(format!("DROP COLUMN {}", column.1));
    }
    let one = |(table, drops): (&TableName, Vec<String>)| {
        let sentence = format!("drop what nothing uses any more of complement `{}`", table.name);
        PlanStep::new(sentence, format!("ALTER TABLE {table} {};", list(&drops)))
    };
    tables.into_iter().map(one).collect()
}

/// Makes the journal, or leaves it as it is.
pub(super) fn journal_is_there(version: &Version) -> PlanStep {
    // With IF NOT EXISTS the right to make a schema would be asked for, even of whoever needs to make none.
    let schema = format!(
        "DO {BODY}\nBEGIN\n  IF pg_catalog.to_regnamespace('refactor') IS NULL THEN CREATE SCHEMA refactor; END IF;\nEND\n{BODY};\n"
    );
    let bare = generate::rights::bare(&version.schema, &TableName::new(OWN, "journal"));
    let bare =
        bare.map(|revoke| format!("\n{revoke};\nGRANT SELECT ON refactor.journal TO PUBLIC;")).unwrap_or_default();
    PlanStep::new("make sure that the journal is there", format!("{schema}{JOURNAL}{bare}"))
}

/// The plan that makes the database show `version`, whose new refactorings are `entries`.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn defer(version: &Version, installed: &Installed, title: &str, journal: String) -> Result<Plan, askama::Error> {
    let complements = complement::complements(version)?;
    let keep = wanted(version, &complements, installed);
    let mut plan = Plan { title: title.to_owned(), ..Plan::default() };
    plan.steps.push(journal_is_there(version));
    let (stale, pieces) = keep::apart(installed, generate::everything(version)?);
    plan.steps.extend(clear_views(&stale));
    plan.steps.extend(clear(&stale));
    let next = shown_in(version);
    let shown_in: BTreeSet<&Ident> = next.values().collect();
    for (base, schema) in next.iter().filter(|(_, s)| !installed.next_schemas.contains(s)) {
        let prepared = installed.prepared.contains(schema);
        let (verb, create, lent) =
            if prepared { ("take", String::new(), LENT) } else { ("create", format!("CREATE SCHEMA {schema};\n"), "") };
        let comment = Literal(format!("{MARK} the new shape of schema {base}{lent}"));
        plan.steps.push(PlanStep::new(
            format!("{verb} schema `{schema}` for the new shape"),
            format!("{create}COMMENT ON SCHEMA {schema} IS {comment};\nGRANT USAGE ON SCHEMA {schema} TO PUBLIC;"),
        ));
    }
    plan.steps.extend(new_types(version, installed));
    plan.steps.extend(brought_over(&complements, installed));
    let columns: BTreeSet<(TableName, Ident)> = complements.iter().flat_map(Kept::columns).collect();
    plan.steps.extend(drop_columns(installed, |column| !columns.contains(column) && keep.contains(&column.0)));
    plan.steps.extend(drop_tables(installed, &keep));
    plan.steps.extend(old_types(version, installed));
    plan.steps.extend(unwanted(installed, &shown_in).map(|schema| without_schema(installed, schema)));
    plan.steps.extend(grants(version, shown_in));
    plan.steps.extend(made(version, installed)?);
    plan.steps.extend(told_onward(version, installed));
    plan.steps.extend(pieces.into_iter().map(self::shown));
    plan.steps.extend(bound_again(version, installed, &keep));
    plan.steps.extend(filled(version, installed));
    plan.steps.extend(version.unions.iter().filter_map(|u| generate::made::bind(version, u)).map(|(kept, sql)| {
        let lock = "SHARE ROW EXCLUSIVE on the tables that they refer to, for a catalogue update";
        PlanStep::new(format!("let the rows of `{kept}` refer to others again"), sql).locking(lock)
    }));
    plan.steps.push(PlanStep::new("write the journal", journal));
    plan.notes.extend(reasons(version));
    plan.notes.extend(version.told.iter().flat_map(whole_sql));
    plan.notes.extend(complement::forgetting(version)?.into_iter().map(|piece| format!("trigger: {}", piece.title)));
    for remark in &version.remarks {
        let text = format!("{} ({})", remark.text, remark.step);
        match remark.kind {
            RemarkKind::Lost => plan.notes.push(format!("materializing will drop {text}")),
            RemarkKind::InTheWay => plan.notes.push(format!("{text}; materializing is refused while it does")),
            RemarkKind::Note => plan.notes.push(text),
        }
    }
    Ok(plan)
}

/// The enums of the new shape that are not there.
pub fn new_types(version: &Version, installed: &Installed) -> Option<PlanStep> {
    let new: Vec<_> =
        version.enums.iter().filter(|e| !installed.types.contains(&(e.shown.clone(), e.step.clone()))).collect();
    let types: Vec<String> = new.iter().map(|e| e.shown.to_string()).collect();
    let sql: Vec<String> = new.into_iter().map(generate::enums::create).collect();
    (!sql.is_empty()).then(|| PlanStep::new(format!("create type {} for the new shape", list(&types)), sql.join("\n")))
}

/// Drops those that nothing uses any more.
fn old_types(version: &Version, installed: &Installed) -> Option<PlanStep> {
    let stays = |t: &TableName, step: &String| version.enums.iter().any(|e| e.shown == *t && e.step == *step);
    let old: Vec<&TableName> = installed.types.iter().filter(|(t, step)| !stays(t, step)).map(|(t, _)| t).collect();
    let sentence = "drop types of the new shape that nothing uses any more";
    (!old.is_empty()).then(|| PlanStep::new(sentence, format!("DROP TYPE {};", list(&old))))
}

/// What must be there for the rows that are: of each refactoring, once the floor that it stands on has its rows.
fn filled(version: &Version, installed: &Installed) -> Vec<PlanStep> {
    let mut steps = Vec::new();
    let new = version.floors.iter().filter(|f| installed.pieces.is_empty() || !installed.tables.contains(&f.table));
    let floors: Vec<&Floor> = new.collect();
    for floor in &floors {
        let table = &version.schema.tables[&floor.table];
        let sentence = format!("copy the rows of `{}` for {}, which needs a table", floor.shows.short(), floor.step);
        let step = PlanStep::new(sentence, generate::floor::fill(floor)).writing(table.rows, table.bytes);
        steps.push((&floor.step, step));
    }
    steps.extend(numbered_told(version, installed));
    steps.extend(seeds(version, installed));
    for numbering in version.numberings.iter().filter(|n| !installed.tables.contains(&n.kept())) {
        let sentence = format!("number the rows of `{}` ({})", numbering.table.short(), numbering.step);
        let lost = numbering.restores.as_ref().map(|step| lost_table(step));
        let restored = lost.is_some_and(|t| installed.tables.contains(&t));
        steps.push((&numbering.step, PlanStep::new(sentence, generate::numbering::seed(numbering, restored))));
    }
    steps.extend(without_parts(version, installed));
    steps.extend(restores(version, installed));
    let places: Vec<usize> = version.floors.iter().map(|f| version.place_of(&f.step)).collect();
    steps.sort_by_key(|(step, _)| places.iter().filter(|place| **place <= version.place_of(step)).count());
    let empty = floors.iter().map(|floor| generate::floor::empty(floor)).collect::<Vec<_>>().join("\n");
    let wait = (!floors.is_empty())
        .then(|| PlanStep::new("let these tables follow nothing until they have their rows", empty));
    wait.into_iter().chain(steps.into_iter().map(|(_, step)| step)).collect()
}

/// A step of a plan, and the refactoring that it is for.
type For<'v> = (&'v String, PlanStep);

/// The tables of ours that a version needs, and those that must never go.
pub(super) fn wanted(version: &Version, complements: &[Kept], installed: &Installed) -> BTreeSet<TableName> {
    let complements = complements.iter().map(|kept| kept.table.clone());
    let kept = installed.tables.iter().filter(|t| t.is_archive()).cloned();
    let floors = version.floors.iter().map(|f| f.table.clone());
    complements.chain(version.made.iter().map(|m| m.table.clone())).chain(floors).chain(kept).collect()
}

/// What the owners of tables need for their views.
pub(super) fn grants<'a>(version: &Version, shown_in: impl IntoIterator<Item = &'a Ident>) -> Option<PlanStep> {
    let owners: BTreeSet<Ident> = version.shown().map(|r| carry::owner(version, &r.base)).collect();
    if owners.is_empty() {
        return None;
    }
    let schemas: Vec<Ident> = shown_in.into_iter().cloned().chain([Ident::new(OWN)]).collect();
    let schemas = list(&schemas);
    let owners = list(&owners.into_iter().collect::<Vec<_>>());
    Some(PlanStep::new(
        "let the tables' owners own their views",
        format!("GRANT USAGE, CREATE ON SCHEMA {schemas} TO {owners};"),
    ))
}

/// The new tables that are not there.
pub(super) fn made(version: &Version, installed: &Installed) -> Result<Vec<PlanStep>, askama::Error> {
    let is_new = |table: &TableName| !installed.tables.contains(table);
    let floor = |floor: &Floor| {
        let sentence = format!("create a table for the rows of `{}` that {} needs", floor.shows.short(), floor.step);
        Ok(PlanStep::new(sentence, generate::floor::create(version, floor)?))
    };
    let new = version.floors.iter().filter(|f| is_new(&f.table));
    let mut steps = new.map(floor).collect::<Result<Vec<PlanStep>, askama::Error>>()?;
    for made in version.made.iter().filter(|m| m.restores.is_none() && is_new(&m.table)) {
        let sentence = format!("create table `{}` for {}", made.table.name, made.step);
        steps.push(PlanStep::new(sentence, generate::made::create(version, made)?));
    }
    Ok(steps)
}

/// A piece as a step, with the lock that its triggers need.
pub(super) fn shown(piece: Piece) -> PlanStep {
    let mut step = PlanStep::new(piece.title, piece.sql);
    if step.sql.contains("CREATE TRIGGER \"!refactor_insert_")
        || step.sql.contains("CREATE TRIGGER \"!refactor_updated_")
        || step.sql.contains("CREATE TRIGGER \"!refactor_number_")
        || step.sql.contains("CREATE TRIGGER \"!refactor_goes_")
        || step.sql.contains("CREATE TRIGGER \"~refactor_")
    {
        step.lock = Some("SHARE ROW EXCLUSIVE on the tables, for a catalogue update".into());
    }
    step
}

/// Whether a version takes something along from what is shown or kept now, or from what SQL of the user tells.
pub(super) fn brings_along(version: &Version, complements: &[Kept], installed: &Installed) -> bool {
    let is_brought = |kept: &Kept| {
        let mut shared = kept.parts.iter().filter_map(|p| p.shared.as_ref());
        shared.any(|s| {
            !installed.keeps(&s.place)
                && installed.shared.iter().any(|(_, column)| Some(column) == s.place.has.as_ref())
        })
    };
    let is_restored = |step: &String| installed.tables.contains(&lost_table(step));
    !version.told.is_empty()
        || version.floors.iter().any(|f| !installed.tables.contains(&f.table))
        || version.made.iter().any(|m| m.restores.is_some())
        || version.numberings.iter().filter_map(|n| n.restores.as_ref()).any(is_restored)
        || version.lookups.iter().filter_map(|l| l.restores.as_ref()).any(is_restored)
        || !told_onward(version, installed).is_empty()
        || !without_parts(version, installed).is_empty()
        || !restores(version, installed).is_empty()
        || complements.iter().any(is_brought)
}

/// Whether the values of a lookup were listed in its table before.
pub(super) fn is_listed(lookup: &Lookup, installed: &Installed) -> bool {
    installed.functions.contains(&generate::lookup::finder(lookup))
}

/// The plan that shows nothing any more, whatever the tables are like. What complements keep stays.
#[must_use]
pub fn take_down(installed: &Installed, title: &str, journal: String) -> Plan {
    let mut plan = Plan { title: title.to_owned(), ..Plan::default() };
    plan.steps.extend(clear_views(installed));
    plan.steps.extend(clear(installed));
    plan.steps.extend(unwanted(installed, &BTreeSet::new()).map(|schema| without_schema(installed, schema)));
    plan.steps.push(PlanStep::new("write the journal", journal));
    plan
}

fn without_schema(installed: &Installed, schema: &Ident) -> PlanStep {
    let (sentence, sql) = installed.leave(schema);
    PlanStep::new(sentence, sql)
}

/// The schemas of the new shape that show nothing any more. One with something of others in it stays.
pub fn unwanted<'a>(installed: &'a Installed, wanted: &BTreeSet<&Ident>) -> impl Iterator<Item = &'a Ident> {
    installed.next_schemas.iter().filter(|s| !wanted.contains(s) && !installed.has_strangers(s))
}

/// The complements that are not there, and new columns of those that are. What a field has kept elsewhere comes along: its
/// rows can be those of another table when an earlier refactoring has become real.
pub(super) fn brought_over(complements: &[Kept], installed: &Installed) -> Vec<PlanStep> {
    let mut steps = Vec::new();
    for kept in complements {
        let name = &kept.table.name;
        let is_there = installed.tables.contains(&kept.table);
        if !is_there {
            let of: BTreeSet<&str> = kept.parts.iter().map(|p| p.step.as_str()).collect();
            let of = list(&of.into_iter().collect::<Vec<_>>());
            steps.push(PlanStep::new(format!("create complement `{name}` for {of}"), kept.sql.clone()));
        }
        for (part, shared) in kept.parts.iter().filter_map(|p| Some((p, p.shared.as_ref()?))) {
            let place = &shared.place;
            if installed.keeps(place) {
                continue;
            }
            if is_there {
                let add = |(column, kind): (Ident, String)| format!("ADD COLUMN {column} {kind}");
                let adds: Vec<String> = shared.columns().into_iter().map(add).collect();
                let sql = format!("ALTER TABLE {} {};", kept.table, list(&adds));
                let step = PlanStep::new(format!("give complement `{name}` a place for {}", part.step), sql);
                steps.push(step.locking(format!("ACCESS EXCLUSIVE on `{}`, for a catalogue update", kept.table)));
            }
            if let Some((other, has)) = installed.shared.iter().find(|(_, column)| Some(column) == place.has.as_ref()) {
                let sentence = format!("bring what `{}` keeps for {} to `{name}`", other.name, part.step);
                let (columns, conflict) = place.written();
                let sql = format!(
                    "INSERT INTO {} ({columns})\nSELECT {columns} FROM {other} WHERE {has}\n{conflict};",
                    kept.table
                );
                steps.push(PlanStep::new(sentence, sql));
            }
        }
    }
    steps
}

/// Which rows of a table that is split have no such part.
fn without_parts<'v>(version: &'v Version, installed: &Installed) -> Vec<For<'v>> {
    let mut steps = Vec::new();
    for slice in version.slices.iter().filter(|s| !installed.tables.contains(&generate::slice::absent(s))) {
        let kept = slice.restores.as_ref().map(|(step, _)| lost_table(step)).filter(|t| installed.tables.contains(t));
        if let Some(sql) = generate::slice::seed(slice, kept.as_ref()) {
            let sentence = format!("find the rows of `{}` without such a part ({})", slice.table.short(), slice.step);
            steps.push((&slice.step, PlanStep::new(sentence, sql)));
        }
    }
    steps
}

/// Lists the values that a new lookup needs in its table.
fn seeds<'v>(version: &'v Version, installed: &Installed) -> Vec<For<'v>> {
    let mut steps = Vec::new();
    for lookup in version.lookups.iter().filter(|l| l.unlisted == Unlisted::Insert) {
        if !is_listed(lookup, installed) {
            let sentence = format!("list the values in `{}` ({})", lookup.words.1.short(), lookup.step);
            steps.push((&lookup.step, PlanStep::new(sentence, generate::lookup::seed(version, lookup))));
            let kept = lookup.restores.as_ref().map(|step| lost_table(step)).filter(|t| installed.tables.contains(t));
            if let Some(kept) = kept {
                let sentence = format!("list what was kept in `{}`", kept.name);
                steps.push((&lookup.step, PlanStep::new(sentence, generate::lookup::seed_kept(lookup, &kept))));
            }
        }
    }
    steps
}

/// New tables that SQL of the user tells: their numbers start after those that are there.
fn numbered_told<'v>(version: &'v Version, installed: &Installed) -> Vec<For<'v>> {
    let one = |relation: &'v Relation| {
        let Rows::Told(at) = relation.rows else { return None };
        if installed.tables.contains(&relation.base) {
            return None;
        }
        let numbers = numbered_on(relation, &generate::view::inner(relation).to_string());
        let sentence = format!("number the rows of `{}` on", relation.name.short());
        (!numbers.is_empty()).then(|| (&version.told[at].step, PlanStep::new(sentence, numbers.concat())))
    };
    version.all().filter_map(one).collect()
}

/// SQL of the user, as it will be run: whoever gets it from others must be able to read it before.
fn whole_sql(told: &Told) -> Vec<String> {
    let put = [("INSERT", &told.insert), ("UPDATE", &told.update), ("DELETE", &told.delete)];
    let put = put.into_iter().filter_map(|(what, sql)| Some((what, sql.as_ref()?)));
    let all = std::iter::once(("SELECT", &told.select)).chain(put);
    all.map(|(what, sql)| format!("SQL of {} for {what}:\n{sql}", told.step)).collect()
}

/// A field that was moved on: its new complement starts with what the earlier one remembers.
fn told_onward(version: &Version, installed: &Installed) -> Vec<PlanStep> {
    let has = |carry: &Carry| installed.tables.contains(&carry::Names::of(carry).complement);
    let mut steps = Vec::new();
    for (at, later) in version.carries.iter().enumerate() {
        if let Some(earlier) = version.dormant.iter().rev().find(|d| d.now == at).map(|d| &d.carry)
            && has(earlier)
            && !has(later)
        {
            let sentence = format!("tell the complement of {} what that of {} remembers", later.step, earlier.step);
            steps.push(PlanStep::new(sentence, generate::drawn::onward(earlier, later)));
        }
    }
    steps
}

/// Fields that were moved on by what is taken back (or stays deferred, while their earlier move becomes real): the
/// earlier complements learn what the later shape shows. To be run before anything is taken down.
#[must_use]
pub fn told_back(before: &Version, after: &Version, installed: &Installed) -> Vec<PlanStep> {
    let has = |carry: &Carry| installed.tables.contains(&carry::Names::of(carry).complement);
    let mut steps = Vec::new();
    for dormant in before.dormant.iter().rev() {
        let (earlier, later) = (&dormant.carry, &before.carries[dormant.now]);
        if after.carries.iter().any(|c| c.id == earlier.id) && has(earlier) && has(later) {
            let sentence = format!("tell the complement of {} what {} shows", earlier.step, later.step);
            steps.push(PlanStep::new(sentence, generate::drawn::back(earlier, later)));
        }
    }
    steps
}

/// Which triggers there are on tables, and why.
fn reasons(version: &Version) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(version.unions.iter().flat_map(|u| generate::mark::reasons(version, u)));
    notes.extend(version.held.iter().map(|h| {
        let far = version.over(&h.other).map_or(&h.other, |r| &r.name).short();
        let (table, other) = (h.table.short(), h.other.short());
        format!("triggers on `{table}` and `{other}`: what `{}` refers to stays in `{far}` ({})", h.constraint, h.step)
    }));
    notes.extend(version.numberings.iter().flat_map(|n| number_reasons(version, n)));
    notes.extend(version.lookups.iter().flat_map(lookup_reasons));
    notes.extend(version.carries.iter().flat_map(trigger_reasons));
    let copied = version.added.iter().filter_map(|a| Some((a.copied.as_ref()?, &a.step)));
    notes.extend(copied.map(|(c, step)| {
        let (from, to) = (c.hop.to.short(), c.hop.from.short());
        format!("triggers on `{from}` and `{to}`: a copy stays what it was, whatever is written to `{from}` ({step})")
    }));
    notes.extend(
        version.links.iter().map(|l| {
            format!("trigger on `{}`: what old code refers to is no second link ({})", l.table.short(), l.step)
        }),
    );
    notes.extend(version.slices.iter().map(|s| {
        format!(
            "triggers on `{}`: what old code writes to {} tells whether the row has such a part ({})",
            s.table.short(),
            list(&s.columns),
            s.step
        )
    }));
    notes.extend(version.shaped.iter().map(|s| {
        format!(
            "triggers on `{}`: old code may store only what `{}` can show ({})",
            s.table.short(),
            list(&s.names),
            s.step
        )
    }));
    notes.extend(version.calculated.iter().map(|c| {
        let read: Vec<Ident> = c.value.fields().into_iter().collect();
        format!(
            "triggers on `{}`: a row whose {} give no value is refused, as the table will ({})",
            c.table.short(),
            list(&read),
            c.step
        )
    }));
    notes
}

/// Which triggers a lookup needs, and why: no view sees what is written to the tables themselves.
fn lookup_reasons(lookup: &Lookup) -> Vec<String> {
    let (table, other) = (lookup.words.0.short(), lookup.words.1.short());
    let over = |table: &str| {
        let text = format!("triggers on `{table}`: what a row has without one of `{other}` is over when it gets one");
        lookup.kept.first().map(|_| format!("{text} ({})", lookup.step)).into_iter().collect()
    };
    match lookup.missing {
        Missing::Make { .. } => return over(&table),
        Missing::Part { .. } => return over(&other),
        Missing::Refuse(_) => {}
    }
    let (columns, step) = (list(&lookup.columns), &lookup.step);
    let mut reasons = vec![format!(
        "triggers on `{other}`: a row that is referred to cannot go, and when its values change, those who refer to it follow ({step})"
    )];
    match lookup.unlisted {
        Unlisted::Insert => {
            reasons.push(format!("triggers on `{table}`: new values of {columns} are listed in `{other}` ({step})"));
        }
        Unlisted::Reject => reasons.push(format!(
            "triggers on `{table}`: values of {columns} that `{other}` does not list are rejected ({step})"
        )),
        Unlisted::Null => {}
    }
    reasons
}

/// Which triggers new numbers need, and why.
fn number_reasons(version: &Version, numbering: &Numbering) -> Vec<String> {
    let (table, step) = (numbering.table.short(), &numbering.step);
    let mut reasons = vec![format!(
        "triggers on `{table}`: a row of old code gets its new number at once, and keeps it until it goes ({step})"
    )];
    let others = numbering.apart.iter().filter(|(other, _)| version.schema.tables.contains_key(other));
    let others: Vec<String> = others.map(|(other, _)| format!("`{}`", other.short())).collect();
    if !others.is_empty() {
        reasons.push(format!(
            "triggers on {}: a number that a row of `{table}` has got is refused there ({step})",
            list(&others)
        ));
    }
    reasons
}

/// Which triggers a carry needs on base tables, and why: its fact spans tables, and no view sees a write of old code or
/// a foreign key's action.
fn trigger_reasons(carry: &Carry) -> Vec<String> {
    let (source, target, field) = (carry.source.short(), carry.target.short(), &carry.column);
    let step = &carry.step;
    match carry.direction {
        Direction::Up => {
            let breaking = match carry.on_old_write {
                OnOldWrite::Reject => "a second value is rejected",
                OnOldWrite::Propagate => "a second value is given to all",
            };
            let mut reasons = vec![
                format!(
                    "triggers on `{source}`: a row that is inserted or moved takes the one `{field}` of its `{target}`, {breaking}, and the value stays when the last row goes ({step})"
                ),
                format!(
                    "trigger on `{target}`: a row of old code has an unknown `{field}` until its first `{source}` ({step})"
                ),
            ];
            for hop in &carry.hops[1..] {
                reasons.push(format!(
                    "triggers on `{}`, which lies between: when its row moves, the rows below take the new `{field}` ({step})",
                    hop.from.short()
                ));
            }
            reasons
        }
        Direction::Down => vec![
            format!(
                "triggers on `{source}`: what old code writes to `{field}` holds for every `{target}` below, and each keeps it when the row goes ({step})"
            ),
            format!(
                "trigger on `{target}`: a row that old code gives to another `{source}` takes the `{field}` found there ({step})"
            ),
        ],
    }
}

/// Values kept when an earlier refactoring was materialized come back into the complement of the one that restores it.
fn restores<'v>(version: &'v Version, installed: &Installed) -> Vec<For<'v>> {
    let one = || vec![Ident::new("refactor_value")];
    let from = || vec!["x.refactor_value".to_owned()];
    let carries = version.carries.iter().map(|c| {
        let place = Place::apart(&c.id, c.target_key(), one());
        (&c.step, (c.restores.as_ref(), place, from(), &c.target, c.direction == Direction::Up))
    });
    let added =
        version.added.iter().map(|a| (&a.step, (a.restores.as_ref(), Place::of_added(a), from(), &a.table, false)));
    let shaped = version.shaped.iter().map(|s| {
        (&s.step, (s.restores.as_ref(), Place::of_shaped(s), generate::shaped::restored(s, "x"), &s.table, false))
    });
    let mut steps = Vec::new();
    for dormant in &version.dormant {
        let carry = &dormant.carry;
        let place = Place::apart(&carry.id, carry.target_key(), one());
        let up = carry.direction == Direction::Up;
        let kept = bring_back(version, installed, (carry.restores.as_ref(), place, from(), &carry.target, up));
        if let Some(step) = kept {
            let later = &version.carries[dormant.now];
            steps.push((&later.step, step));
            let sentence = format!("tell the complement of {} what that of {} remembers", later.step, carry.step);
            steps.push((&later.step, PlanStep::new(sentence, generate::drawn::onward(carry, later))));
        }
    }
    let looked_up = version.lookups.iter().flat_map(|l| l.kept.iter().map(move |k| (l, k)));
    let looked_up = looked_up
        .map(|(l, k)| (&l.step, (Some(&k.restores), Place::apart(&k.id, &k.key, one()), from(), &l.table, false)));
    let all = carries.chain(added).chain(shaped).chain(looked_up);
    steps.extend(all.filter_map(|(step, kept)| Some((step, bring_back(version, installed, kept)?))));
    steps
}

/// One place of the complement that gets what was kept: for which refactoring it was, the place, the values in the
/// row `x` of where they are kept, the table, and whether some of its rows may have been listed there before.
type Brought<'v> = (Option<&'v String>, Place, Vec<String>, &'v TableName, bool);

fn bring_back(version: &Version, installed: &Installed, kept: Brought) -> Option<PlanStep> {
    let (restores, place, kept, table, up) = kept;
    let lost = restores.map(|step| lost_table(step)).filter(|t| installed.tables.contains(t))?;
    if installed.keeps(&place) {
        return None;
    }
    // They are kept by what tells the rows of the table apart, be it what the complement follows or not.
    let row_key = row_key(&version.schema.tables[table]).unwrap_or_default();
    let kept_by = generate::get::complement_keys(row_key.len());
    let joined = generate::equal("b", &row_key, "x", &kept_by);
    let selected = place.row("b", &kept);
    let (columns, mut conflict) = place.written();
    // A row that was listed before has a place there already.
    if up {
        conflict += ", refactor_unknown = false";
    }
    Some(PlanStep::new(
        format!("bring back the values kept in `{}`", lost.name),
        format!(
            "INSERT INTO {} ({columns})\nSELECT {selected} FROM {lost} AS x JOIN {table} AS b ON {joined}\n{conflict};",
            place.table
        ),
    ))
}

/// SQL that records entries.
#[must_use]
pub fn record(entries: &[Entry], state: State) -> String {
    let state = Literal(match state {
        State::Deferred => "deferred".into(),
        State::Materialized => "materialized".into(),
    });
    let tool = Literal(env!("CARGO_PKG_VERSION").into());
    entries
        .iter()
        .map(|e| {
            format!(
                "INSERT INTO refactor.journal (name, text, hash, state, tool) VALUES ({}, {}, {}, {state}, {tool});",
                Literal(e.step.name.clone()),
                Literal(e.text.clone()),
                Literal(e.hash())
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// SQL that changes the state of recorded refactorings.
#[must_use]
pub fn change_state(names: &[String], state: &str) -> String {
    let names = list(&names.iter().map(|n| Literal(n.clone())).collect::<Vec<_>>());
    format!(
        "UPDATE refactor.journal SET state = {}, changed_at = clock_timestamp(), changed_by = session_user\nWHERE name IN ({names}) AND state <> 'undone';",
        Literal(state.into())
    )
}

/// SQL that writes down how a refactoring that becomes real is taken back: another refactoring, as its file would say it.
#[must_use]
pub fn record_inverse(name: &str, inverse: &str) -> String {
    format!(
        "UPDATE refactor.journal SET inverse = {} WHERE name = {} AND state <> 'undone';",
        Literal(inverse.into()),
        Literal(name.into())
    )
}
