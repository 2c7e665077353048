//! The plan that makes a version real: every table gets the shape and the rows that its view shows.
//!
//! One transaction: lock → keep the values that have no home → take the views down → fill new columns while their sources
//! are still there → drop, rename → constraints, indexes, rights of what came along.

pub mod ahead;
pub mod archive;
pub mod attach;
mod comments;
mod ddl;
pub mod dependents;
pub mod fill;
mod log;
pub mod ready;
pub mod rebuild;
pub mod rules;
pub mod unite;

use std::collections::BTreeSet;

use crate::generate::{self, complement, list, own, rights};
use crate::name::{Ident, TableName, shell};
use crate::plan::defer::{change_state, clear, clear_views, drop_columns, drop_tables};
use crate::plan::dependents::is_called;
use crate::plan::materialize::ahead::Ahead;
use crate::plan::materialize::dependents::Dependents;
use crate::plan::materialize::ready::Ready;
use crate::plan::materialize::rebuild::dress::{self, Later, dress};
use crate::plan::{Installed, Plan, PlanStep};
use crate::relation::{Home, Relation, Rows};
use crate::schema::TableKind;
use crate::sql::{self, Literal};
use crate::version::{Remark, RemarkKind, Version};

/// How a table gets its new shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Only the catalogue changes: rename, drop.
    Catalogue,
    /// New columns are added to the table and filled in one rewrite; everything that hangs on the table stays.
    InPlace,
    /// A new table is built from the view and takes the old one's place.
    Rebuild,
    /// A new table is built from the view beside the old one, which has all its rows until then.
    Beside,
}

/// What the user may choose.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Tables of at least this many bytes are rebuilt rather than rewritten in place.
    pub rebuild_from: i64,
    /// Tables of at least this many bytes are built, and their new rules and indexes made ready, while others write.
    pub beside_from: i64,
    /// Views and functions that go, where they have no meaning in the new shape.
    pub drop: Vec<String>,
    /// Functions that the user has seen to, though they name what goes.
    pub accept: Vec<String>,
}

impl Default for Options {
    /// 64 MB: below, a rewrite in place takes about a second.
    fn default() -> Self {
        Self { rebuild_from: 64 << 20, beside_from: 4 << 20, drop: Vec::new(), accept: Vec::new() }
    }
}

/// The way for one relation.
#[must_use]
pub fn way(version: &Version, relation: &Relation, options: &Options) -> Way {
    let reordered = version.is_reordered(relation);
    let divided = !relation.conditions().is_empty();
    let new_key = rebuild::has_new_key(version, relation);
    if matches!(relation.rows, Rows::United(_)) {
        Way::InPlace
    } else if !relation.is_heir() {
        Way::Beside
    } else if rebuild::has_new_exclusion(relation)
        && ahead::watched(version, relation, options).is_some()
        && rebuild::obstacle(version, relation).is_none()
    {
        // PostgreSQL can build it on a table that nobody uses yet, or while nobody uses the table.
        Way::Rebuild
    } else if !reordered && !new_key && !divided && relation.fields.iter().all(|f| matches!(f.home, Home::Own(_))) {
        Way::Catalogue
    } else if is_catalogue_only(version, relation) {
        Way::InPlace
    } else if (reordered
        || new_key
        || version.table(relation).bytes >= options.rebuild_from
        || ahead::watched(version, relation, options).is_some())
        && rebuild::obstacle(version, relation).is_none()
    {
        Way::Rebuild
    } else {
        Way::InPlace
    }
}

/// Whether a table becomes what its view shows without a row being read or written, but for those that new code wrote
/// meanwhile: its columns stay, or get a larger limit, or are new with one value for all rows. Then there is nothing to compare.
#[must_use]
pub fn is_catalogue_only(version: &Version, relation: &Relation) -> bool {
    let constant = |home: &Home| match home {
        Home::Own(_) => true,
        Home::Shaped(at, _) => version.shaped[*at].relabels(),
        Home::Added(at) => version.added[*at].told_by().is_empty() && version.table(relation).kind == TableKind::Plain,
        _ => false,
    };
    let whole = relation.rows == Rows::Whole && !version.is_reordered(relation);
    whole && !rebuild::has_new_key(version, relation) && relation.fields.iter().all(|f| constant(&f.home))
}

/// Why a relation cannot be made real at all: a new table like one that is not understood, a key for one that cannot be
/// built anew.
#[must_use]
pub fn cannot_be(version: &Version, relation: &Relation) -> Option<String> {
    let name = relation.name.short();
    if matches!(relation.rows, Rows::United(_)) {
        return None;
    }
    if !relation.is_heir() {
        let why = rebuild::odd(version, relation)?;
        return Some(format!("`{name}` cannot be made like `{}`, since {why}", relation.base.short()));
    }
    let why = rebuild::obstacle(version, relation).filter(|_| rebuild::has_new_key(version, relation))?;
    Some(format!("`{name}` must be built anew for its new key, but {why}"))
}

/// A new column while it is filled: no field can have this name already.
pub(crate) fn draft(at: usize) -> Ident {
    Ident::new(format!("refactor_new_{at}"))
}

/// The plan. `names` are the refactorings that become real.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn materialize(
    version: &Version,
    installed: &Installed,
    names: &[String],
    options: &Options,
    dependents: &Dependents,
) -> Result<Plan, askama::Error> {
    let mut plan = Plan { title: format!("materialize {}", names.join(", ")), ..Plan::default() };
    remarks(version, options, &mut plan);
    dependents.tell(&mut plan);
    let ways: Vec<(&Relation, Way)> = version.touched().map(|r| (r, way(version, r, options))).collect();
    let going =
        |wanted: Way| -> Vec<&Relation> { ways.iter().filter(|(_, way)| *way == wanted).map(|(r, _)| *r).collect() };
    let (rebuilt, beside) = (going(Way::Rebuild), going(Way::Beside));
    tell_ways(version, &ways, options, &mut plan);
    let (ready, ahead) = (Ready::new(version, &ways, options), Ahead::new(version, &ways, options));
    plan.before = ready.before().collect();
    let built: Vec<&Relation> = rebuilt.iter().chain(&beside).copied().collect();
    plan.steps.extend(dependents.lock()?);
    let views = clear_views(installed);
    plan.steps.extend(views.map(|step| step.locking("ACCESS EXCLUSIVE on views of the new shape, until the end")));
    plan.steps.push(lock(version, &built));
    for (at, _) in version.losses.iter().enumerate() {
        let Some(archive) = archive::archive(version, at, &mut plan.notes) else { continue };
        if archive::is_ahead(version, at, options) {
            plan.before.extend(archive.before());
            plan.steps.push(archive.then());
        } else {
            plan.steps.push(archive.at_once());
        }
    }
    // A column that a view shows cannot change its type, and the complements are read until all is filled.
    plan.steps.extend(clear(installed));
    let (index, drop_index) = fill::lookup_indexes(version, |target| rebuilt.iter().all(|r| r.base != *target));
    plan.steps.extend(index);
    for relation in beside.iter().chain(&rebuilt) {
        plan.steps.push(ahead.then(version, relation).unwrap_or_else(|| {
            let numbers = rebuild::remember_numbers(version, relation);
            let built = rebuild::build(version, relation, &rebuild::draft_table(relation));
            PlanStep { sql: [numbers, vec![built.sql.clone()]].concat().join("\n"), ..built }
        }));
    }
    let in_place = |way: &Way| matches!(way, Way::Catalogue | Way::InPlace);
    let kept: Vec<&Relation> = ways.iter().filter(|(_, way)| in_place(way)).map(|(r, _)| *r).collect();
    plan.steps.extend(dependents.down(version)?);
    // What is dropped must not keep a column from another type.
    plan.steps.extend(rules::take_off(version, &kept, &rebuilt));
    for (relation, way) in &ways {
        if in_place(way) {
            plan.steps.extend(fill::let_go(version, relation));
            plan.steps.extend(unite::unite(version, relation));
            plan.steps.extend(unite::link(version, relation));
            plan.steps.extend(unite::spread(version, relation));
            plan.steps.extend(fill::told(version, relation));
        }
        if *way == Way::InPlace {
            plan.steps.extend(fill::in_place(version, relation));
        }
    }
    plan.steps.extend(drop_index);
    plan.steps.extend(fill::put_apart(version, &ways));
    let complements = complement::complements(version)?;
    let shared: BTreeSet<(TableName, Ident)> = complements.iter().flat_map(complement::Kept::columns).collect();
    let others: BTreeSet<&TableName> =
        installed.shared.iter().filter(|c| !shared.contains(c)).map(|(t, _)| t).collect();
    let goes = |table: &TableName| !others.contains(table) && complements.iter().any(|k| k.table == *table);
    let keep: BTreeSet<TableName> = installed.tables.iter().filter(|t| !goes(t)).cloned().collect();
    plan.steps.extend(drop_columns(installed, |column| shared.contains(column) && keep.contains(&column.0)));
    plan.steps.extend(drop_tables(installed, &keep));
    // A table that brings rows back is gone by then.
    let united = |t: &&TableName| version.unions.iter().any(|u| u.branches.iter().any(|b| b.table == **t));
    let keep: BTreeSet<TableName> = keep.iter().filter(|t| !united(t)).cloned().collect();
    plan.steps.extend(rebuild::swap(version, &rebuilt, &keep));
    plan.steps.extend(kept.iter().flat_map(|r| columns(version, r)));
    for dropped in &version.dropped {
        plan.steps.extend(columns(version, &dropped.last));
        let sentence = format!("keep `{}` as `{}`", dropped.table.short(), version.kept_as(dropped).name);
        plan.steps.push(PlanStep::new(sentence, generate::made::keep(version, dropped)?));
    }
    plan.steps.extend(rename_tables(&ways, &ahead));
    plan.steps.extend(kept.iter().flat_map(|r| trigger_arguments(version, r)));
    plan.steps.extend(rules::name(version, &kept, &rebuilt));
    plan.steps.extend(rebuilt.iter().flat_map(|r| dress(version, r, ahead.has(r))));
    plan.steps.extend(kept.iter().flat_map(|r| attach::attach(version, r)));
    plan.steps.extend(kept.iter().flat_map(|r| rules::set(version, r, &ready)));
    // Their numbers come from the sequences of the others.
    plan.steps.extend(beside.iter().flat_map(|r| dress(version, r, ahead.has(r))));
    let mut later = Later { built: ahead.names().cloned().collect(), ..Later::default() };
    for relation in rebuilt.iter().chain(&beside) {
        plan.steps.extend(dress::foreign_keys(version, relation, &mut later));
    }
    plan.steps.extend(dress::foreign_keys_here(version, &rebuilt, &keep, &mut later));
    plan.steps.extend(kept.iter().flat_map(|r| attach::foreign_keys(version, r, &ready)));
    for relation in &kept {
        plan.steps.extend(rules::change(version, relation, &rebuilt, options, &mut later));
    }
    plan.steps.extend(restored_keys(version));
    plan.steps.extend(taken_over(version));
    plan.steps.extend(fill::drop_fillers(version));
    for relabelled in &version.enums {
        let sentence = format!("let the new labels of `{}` take the place of the old ones", relabelled.real.short());
        plan.steps.push(PlanStep::new(sentence, generate::enums::swap(version, relabelled)));
    }
    plan.steps.extend(dependents.up()?);
    plan.steps.extend(ddl::run(version));
    plan.steps.push(PlanStep::new("write the journal", change_state(names, "materialized")));
    plan.steps.extend(afterwards(version, &later.steps));
    plan.before.extend(ahead.before(version));
    plan.after = later.steps;
    (plan.ready, plan.ahead) = (ready, ahead);
    Ok(plan)
}

/// What the ways that were chosen mean for whoever decides.
fn tell_ways(version: &Version, ways: &[(&Relation, Way)], options: &Options, plan: &mut Plan) {
    plan.obstacles.extend(ways.iter().filter_map(|(relation, _)| cannot_be(version, relation)));
    for (relation, _) in ways.iter().filter(|(_, way)| *way == Way::InPlace) {
        let Some(why) = rebuild::obstacle(version, relation) else { continue };
        if matches!(relation.rows, Rows::United(_)) {
            continue;
        }
        let name = relation.name.short();
        if rebuild::has_new_key(version, relation) {
            continue;
        }
        if let Some((step, why)) = rebuild::fixed_order(version, relation) {
            plan.obstacles.push(format!("{why} ({step})"));
        } else if version.is_reordered(relation) {
            plan.notes.push(format!(
                "new fields of `{name}` will come last, not where its view shows them: the table cannot be rebuilt, since {why}"
            ));
        } else if version.table(relation).bytes >= options.rebuild_from {
            plan.notes.push(format!("`{name}` is rewritten in place, not rebuilt, since {why}"));
        }
    }
}

fn remarks(version: &Version, options: &Options, plan: &mut Plan) {
    let is_accepted =
        |r: &&Remark| r.code.as_ref().is_some_and(|code| options.accept.iter().any(|a| is_called(code, a)));
    for remark in version.remarks.iter().filter(|r| !is_accepted(r)) {
        let text = format!("{} ({})", remark.text, remark.step);
        match remark.kind {
            RemarkKind::Lost => plan.losses.push(text),
            RemarkKind::InTheWay => plan.obstacles.push(match &remark.code {
                Some(code) => format!("{text}; `--accept {}` goes on once you have seen to it", shell(code)),
                None => text,
            }),
            RemarkKind::Note => plan.notes.push(text),
        }
    }
}

/// Every table that becoming real reads or changes.
#[must_use]
pub fn tables<'v>(version: &'v Version, rebuilt: &[&'v Relation]) -> BTreeSet<&'v TableName> {
    let mut tables: BTreeSet<&TableName> = version.touched().map(|r| &r.base).collect();
    tables.extend(version.lookups.iter().flat_map(|l| [&l.table, &l.other]));
    tables.extend(version.dropped.iter().map(|d| &d.table));
    tables.extend(version.carries.iter().flat_map(|c| c.hops.iter().flat_map(|h| [&h.from, &h.to])));
    tables.extend(version.added.iter().flat_map(|a| &a.copied).map(|c| &c.hop.to));
    tables.extend(rebuild::neighbours(version, rebuilt));
    tables.extend(rules::far_ends(version));
    tables.extend(unite::tables(version));
    tables.extend(version.told.iter().flat_map(|t| &t.names));
    tables
}

/// Every table that the plan reads or changes, in one order: those referred to first, as writers take them.
fn lock(version: &Version, rebuilt: &[&Relation]) -> PlanStep {
    let mut ordered: Vec<&TableName> = Vec::new();
    let mut open: Vec<&TableName> = tables(version, rebuilt).into_iter().collect();
    while !open.is_empty() {
        let refers = |name: &TableName| {
            let table = &version.schema.tables[name];
            table.constraints.iter().any(|c| match &c.kind {
                crate::schema::ConstraintKind::Foreign(key) => key.table != *name && open.contains(&&key.table),
                _ => false,
            })
        };
        let at = open.iter().position(|t| !refers(t)).unwrap_or(0);
        ordered.push(open.remove(at));
    }
    if ordered.is_empty() {
        return PlanStep::new("no table is changed", "SET CONSTRAINTS ALL IMMEDIATE;");
    }
    let mut sql = format!("SET CONSTRAINTS ALL IMMEDIATE;\nLOCK TABLE {} IN ACCESS EXCLUSIVE MODE;", list(&ordered));
    if !rebuilt.is_empty() {
        sql = format!("{}\n{sql}", rebuild::MEMORY);
    }
    let names = list(&ordered.iter().map(|t| t.short()).collect::<Vec<_>>());
    PlanStep::new("stop everybody else on these tables", sql)
        .locking(format!("ACCESS EXCLUSIVE on {names}, until the end"))
}

/// Columns that a table keeps, with the names that they get; and those that it does not keep.
fn column_names<'v>(version: &'v Version, relation: &'v Relation) -> (Vec<(Ident, Ident)>, Vec<&'v Ident>) {
    let stay = relation.fields.iter().filter_map(|f| Some((version.stays(relation, f)?.clone(), f.shape.name.clone())));
    let stay: Vec<(Ident, Ident)> = stay.collect();
    let all = version.table(relation).fields.iter().map(|f| &f.name);
    let gone = all.filter(|name| !stay.iter().any(|(column, _)| column == *name)).collect();
    (stay, gone)
}

/// Drops and renames columns of a table that keeps its identity.
fn columns(version: &Version, relation: &Relation) -> Vec<PlanStep> {
    let base = &relation.base;
    let (_, gone) = column_names(version, relation);
    let mut steps = Vec::new();
    if !gone.is_empty() {
        let drops: Vec<String> = gone.iter().map(|c| format!("DROP COLUMN {c}")).collect();
        steps.push(PlanStep::new(
            format!("drop {} of `{}`", list(&gone), base.short()),
            format!("ALTER TABLE {base} {};", drops.join(", ")),
        ));
    }
    let mut renames: Vec<(Ident, Ident)> = Vec::new();
    for (at, field) in relation.fields.iter().enumerate() {
        let from = version.stays(relation, field).cloned().unwrap_or_else(|| draft(at));
        if from != field.shape.name {
            renames.push((from, field.shape.name.clone()));
        }
    }
    if !renames.is_empty() {
        steps.push(PlanStep::new(format!("name the fields of `{}`", base.short()), rename_columns(base, &renames)));
    }
    steps
}

/// Renames that may exchange names: who stands in the way steps aside first.
fn rename_columns(table: &TableName, renames: &[(Ident, Ident)]) -> String {
    let mut first = Vec::new();
    let mut then = Vec::new();
    for (at, (from, to)) in renames.iter().enumerate() {
        let in_the_way = renames.iter().any(|(_, other)| other == from);
        let aside = Ident::new(format!("refactor_aside_{at}"));
        if in_the_way {
            first.push(format!("ALTER TABLE {table} RENAME COLUMN {from} TO {aside};"));
        }
        let from = if in_the_way { &aside } else { from };
        then.push(format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to};"));
    }
    first.append(&mut then);
    first.join("\n")
}

/// Writes down what is done when all is real, so that whoever comes after a kill can do it.
fn afterwards(version: &Version, steps: &[PlanStep]) -> Option<PlanStep> {
    if steps.is_empty() {
        return None;
    }
    let rows = steps
        .iter()
        .enumerate()
        .map(|(at, step)| format!("({at}, {}, {})", Literal(step.sentence.clone()), Literal(step.sql.clone())));
    let (later, bare) = (own(&[LATER]), rights::bare(&version.schema, &own(&[LATER])));
    let sql = format!(
        "CREATE TABLE {later} (position int PRIMARY KEY, sentence text NOT NULL, sql text NOT NULL);\nINSERT INTO {later} VALUES {};\n{}",
        rows.collect::<Vec<_>>().join(",\n  "),
        bare.map(|revoke| format!("{revoke};")).unwrap_or_default()
    );
    Some(PlanStep::new("write down what is done afterwards", sql))
}

/// The table of what is still to be done.
pub const LATER: &str = "later";

/// A rebuilt table still has the name of its draft.
fn rename_tables(ways: &[(&Relation, Way)], ahead: &Ahead) -> Vec<PlanStep> {
    let now = |(relation, way): &(&Relation, Way)| match way {
        Way::Rebuild | Way::Beside => ahead.draft(relation),
        _ => relation.base.clone(),
    };
    let renames: Vec<(TableName, &TableName)> =
        ways.iter().map(|w| (now(w), &w.0.name)).filter(|(from, to)| from != *to).collect();
    let mut first = Vec::new();
    let mut then = Vec::new();
    for (at, (from, to)) in renames.iter().enumerate() {
        let mut from = from.clone();
        // Nobody is met on the way, neither where it is going nor in the other schema.
        if from.schema != to.schema || renames.iter().any(|(_, other)| **other == from) {
            let aside = Ident::new(format!("refactor_aside_{at}"));
            first.push(format!("ALTER TABLE {from} RENAME TO {aside};"));
            from = from.renamed(aside);
        }
        if from.schema != to.schema {
            then.push(format!("ALTER TABLE {from} SET SCHEMA {};", to.schema));
            from.schema = to.schema.clone();
        }
        then.push(format!("ALTER TABLE {from} RENAME TO {};", to.name));
    }
    first.append(&mut then);
    if first.is_empty() { Vec::new() } else { vec![PlanStep::new("name the tables", first.join("\n"))] }
}

/// Sequences that stayed when their table went, each with the table that draws from it now.
fn taken_over(version: &Version) -> Vec<PlanStep> {
    let drawn = version.dropped.iter().flat_map(|d| generate::made::drawn_on(version, d));
    let beside = drawn.filter(|(sequence, table, _)| sequence.schema == table.schema);
    let own = beside.map(|(sequence, table, field)| {
        let sentence = format!("let `{}` go on numbering `{}`", sequence.short(), table.short());
        PlanStep::new(sentence, format!("ALTER SEQUENCE {sequence} OWNED BY {table}.{field};"))
    });
    own.collect()
}

/// Kept tables lost their foreign keys, so that they would not bind what is alive.
fn restored_keys(version: &Version) -> Vec<PlanStep> {
    let mut steps = Vec::new();
    for made in version.made.iter().filter(|m| m.restores.is_some()) {
        let Some(relation) = version.over(&made.table) else { continue };
        let lines: Vec<String> = relation
            .foreign_keys()
            .filter(|(key, _)| key.is_of(&made.table))
            .flat_map(|(key, far)| {
                attach::constraint_lines(&relation.name, &key.item, &attach::foreign_key(version, &key.item, far))
            })
            .collect();
        if !lines.is_empty() {
            let sentence = format!("give `{}` its foreign keys back", relation.name.short());
            steps.push(PlanStep::new(sentence, lines.join("\n")));
        }
    }
    steps
}

/// Triggers whose arguments name fields that have another name now. PostgreSQL renames everything else by itself.
fn trigger_arguments(version: &Version, relation: &Relation) -> Vec<PlanStep> {
    let table = version.table(relation);
    let renamed: std::collections::BTreeMap<Ident, Ident> = relation
        .fields
        .iter()
        .filter_map(|f| Some((relation.column(&version.schema, f)?.clone(), f.shape.name.clone())))
        .filter(|(column, name)| column != name)
        .collect();
    let mut steps = Vec::new();
    for trigger in table.triggers.iter().filter(|t| !t.inherited) {
        if !sql::trigger_arguments(&trigger.definition).iter().any(|a| renamed.contains_key(&Ident::new(&**a))) {
            continue;
        }
        let (name, on) = (&trigger.name, &relation.name);
        let definition = sql::retarget(&sql::rename_in_trigger(&trigger.definition, &renamed), &relation.base, on);
        let mut text = format!("DROP TRIGGER {name} ON {on};\n{definition};");
        if let Some(how) = fill::enable(trigger.enabled).filter(|_| trigger.enabled != 'O') {
            text += &format!("\nALTER TABLE {on} {how} TRIGGER {name};");
        }
        if let Some(comment) = &trigger.comment {
            text += &format!("\nCOMMENT ON TRIGGER {name} ON {on} IS {};", Literal(comment.clone()));
        }
        steps.push(PlanStep::new(format!("tell trigger `{name}` the new names of the fields in its arguments"), text));
    }
    steps
}

/// The name of the function that fills a carried column.
pub(crate) fn filler(id: &Ident) -> TableName {
    own(&["fill", id.as_str()])
}
