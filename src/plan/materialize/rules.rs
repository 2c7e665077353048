//! Rules that come or go while the fields stay: NOT NULL, defaults, constraints and indexes of a table that keeps its
//! identity. One that is built anew gets all of them with its dress.

use std::collections::BTreeSet;

use crate::name::{Ident, TableName};
use crate::plan::PlanStep;
use crate::plan::materialize::Options;
use crate::plan::materialize::attach::{self, came_along, constraint_lines, definition, index_lines};
use crate::plan::materialize::comments;
use crate::plan::materialize::ready::Ready;
use crate::plan::materialize::rebuild::dress::Later;
use crate::relation::{Attached, Home, NamesFields, Origin, Relation, Rows};
use crate::schema::{Constraint, ConstraintKind, ForeignKey, Index, TableKind};
use crate::version::Version;

/// Takes off what the version no longer has. Foreign keys go first, since they rest on others.
#[must_use]
pub fn take_off(version: &Version, kept: &[&Relation], rebuilt: &[&Relation]) -> Vec<PlanStep> {
    let is_key = |c: &&Constraint| matches!(c.kind, ConstraintKind::Foreign(_));
    let mut steps = Vec::new();
    for foreign in [true, false] {
        for relation in kept {
            let base = &relation.base;
            let dropped = dropped_constraints(version, relation);
            let dropped = dropped.into_iter().filter(|c| is_key(c) == foreign && !is_swapped(c, rebuilt));
            let mut lines: Vec<String> =
                dropped.map(|c| format!("ALTER TABLE {base} DROP CONSTRAINT {};", c.name)).collect();
            if !foreign {
                let indexes = dropped_indexes(version, relation);
                lines.extend(indexes.iter().map(|i| format!("DROP INDEX {};", base.renamed(i.name.clone()))));
            }
            if !lines.is_empty() {
                let what = if foreign { "foreign keys" } else { "rules and indexes" };
                steps.push(PlanStep::new(format!("take off dropped {what} of `{}`", base.short()), lines.join("\n")));
            }
        }
    }
    steps
}

/// Whether the other end of a foreign key is built anew: then the key goes with the old table.
fn is_swapped(constraint: &Constraint, rebuilt: &[&Relation]) -> bool {
    match &constraint.kind {
        ConstraintKind::Foreign(key) => rebuilt.iter().any(|r| r.base == key.table),
        _ => false,
    }
}

/// What a constraint is now, if its table has it.
fn now<'v>(version: &'v Version, relation: &Relation, constraint: &Attached<Constraint>) -> Option<&'v Constraint> {
    match &constraint.origin {
        Origin::Table(of, at) if *of == relation.base && !came_along(version, relation, constraint) => {
            version.schema.tables[of].constraints.get(*at)
        }
        _ => None,
    }
}

fn dropped_constraints<'v>(version: &'v Version, relation: &Relation) -> Vec<&'v Constraint> {
    let origins = sharing(version, relation).flat_map(|r| r.constraints.iter().map(|c| &c.origin));
    let dropped =
        dropped(version, relation, &origins.collect::<Vec<_>>(), &version.schema.tables[&relation.base].constraints);
    dropped.into_iter().filter(|c| !c.inherited).collect()
}

fn dropped_indexes<'v>(version: &'v Version, relation: &Relation) -> Vec<&'v Index> {
    let origins = sharing(version, relation).flat_map(|r| r.indexes.iter().map(|i| &i.origin));
    let dropped =
        dropped(version, relation, &origins.collect::<Vec<_>>(), &version.schema.tables[&relation.base].indexes);
    dropped.into_iter().filter(|i| i.constraint.is_none() && !i.inherited).collect()
}

/// The relations that may have got what a table had. Of several over one base each has its own.
fn sharing<'v>(version: &'v Version, relation: &'v Relation) -> impl Iterator<Item = &'v Relation> {
    version.relations.values().filter(|r| relation.conditions().is_empty() || r.name == relation.name)
}

/// The table's items that no relation has any more. What a dropped column takes along need not be named.
fn dropped<'v, T: NamesFields>(
    version: &Version,
    relation: &Relation,
    origins: &[&Origin],
    items: &'v [T],
) -> Vec<&'v T> {
    if matches!(relation.rows, Rows::United(_)) {
        // They had to go before the rows of the others came.
        return Vec::new();
    }
    let stays = |c| relation.fields.iter().any(|f| version.stays(relation, f) == Some(c));
    let there = |at| origins.contains(&&Origin::Table(relation.base.clone(), at));
    let items = items.iter().enumerate().filter(|(at, item)| !there(*at) && item.fields().iter().all(stays));
    items.map(|(_, item)| item).collect()
}

/// Gives constraints and indexes that stay their new names. They may exchange them: whoever stands in the way steps aside first.
#[must_use]
pub fn name(version: &Version, kept: &[&Relation], rebuilt: &[&Relation]) -> Option<PlanStep> {
    let mut renames = Vec::new();
    for relation in kept {
        let table = &version.schema.tables[&relation.base];
        // Where the other end is built anew, the key comes with its new name.
        for constraint in relation.constraints.iter().filter(|c| !is_swapped(&c.item, rebuilt)) {
            let Some(now) = now(version, relation, constraint) else { continue };
            let verb = format!("ALTER TABLE {} RENAME CONSTRAINT ", relation.name);
            renames.push((verb, &now.name, &constraint.item.name));
        }
        for index in relation.indexes.iter().filter(|i| i.item.constraint.is_none()) {
            let Origin::Table(of, at) = &index.origin else { continue };
            let stays = *of == relation.base && !came_along(version, relation, index);
            let is = table.indexes.get(*at).filter(|_| stays).map(|i| &i.name);
            renames.extend(is.map(|is| (format!("ALTER INDEX {}.", relation.name.schema), is, &index.item.name)));
        }
    }
    renames.retain(|(_, is, wanted)| is != wanted);
    let line = |verb: &str, from: &Ident, to: &Ident| match verb.strip_suffix('.') {
        Some(schema) => format!("{schema}.{from} RENAME TO {to};"),
        None => format!("{verb}{from} TO {to};"),
    };
    let (mut first, mut then) = (Vec::new(), Vec::new());
    for (at, (verb, is, wanted)) in renames.iter().enumerate() {
        let aside = Ident::new(format!("refactor_aside_{at}"));
        let in_the_way = renames.iter().any(|(_, _, other)| other == is);
        if in_the_way {
            first.push(line(verb, is, &aside));
        }
        then.push(line(verb, if in_the_way { &aside } else { is }, wanted));
    }
    first.append(&mut then);
    (!first.is_empty()).then(|| PlanStep::new("name the constraints and indexes", first.join("\n")))
}

/// Sets what refactorings bring, but for foreign keys, which come when all tables are in place.
#[must_use]
pub fn set(version: &Version, relation: &Relation, ready: &Ready) -> Vec<PlanStep> {
    let name = &relation.name;
    let mut changes = Vec::new();
    for field in &relation.fields {
        let Home::Own(at) = field.home else { continue };
        let (is, wanted, this) = (&version.table(relation).fields[at], &field.shape, &field.shape.name);
        let asked = relation.demand(this).and_then(|rule| ready.then(relation, &rule.item.name));
        if is.not_null != wanted.not_null && asked.is_none() {
            let how = if wanted.not_null { "SET" } else { "DROP" };
            changes.push(format!("ALTER COLUMN {this} {how} NOT NULL"));
        }
        match &wanted.default {
            default if *default == is.default => {}
            Some(default) => changes.push(format!("ALTER COLUMN {this} SET DEFAULT {default}")),
            None => changes.push(format!("ALTER COLUMN {this} DROP DEFAULT")),
        }
    }
    let mut lines = comments::of(version, relation);
    if !changes.is_empty() {
        lines.push(format!("ALTER TABLE {name} {};", changes.join(", ")));
    }
    for index in relation.indexes.iter().filter(|i| i.brought_by().is_some()) {
        match ready.then(relation, &index.item.name) {
            Some(named) => lines.extend(named.iter().cloned()),
            None => lines.extend(index_lines(version, name, index)),
        }
    }
    for constraint in relation.constraints.iter().filter(|c| c.brought_by().is_some()) {
        let is_key = matches!(constraint.item.kind, ConstraintKind::Foreign(_));
        if let Some(named) = ready.then(relation, &constraint.item.name).filter(|_| !is_key) {
            lines.extend(named.iter().cloned());
        } else if !matches!(constraint.item.kind, ConstraintKind::Foreign(_) | ConstraintKind::NotNull) {
            let taken = attach::taken_index(version, relation, &constraint.item);
            let taken = taken.map(|index| attach::by_index(&constraint.item, index));
            lines.extend(constraint_lines(name, &constraint.item, &taken.unwrap_or_else(|| definition(constraint))));
        }
    }
    if lines.is_empty() {
        return Vec::new();
    }
    vec![PlanStep::new(format!("set the new rules and indexes of `{}`", name.short()), lines.join("\n"))]
}

/// What a foreign key of the table does now and will do, if these differ.
fn changed<'v>(
    version: &'v Version,
    relation: &'v Relation,
) -> impl Iterator<Item = (&'v Constraint, &'v Attached<Constraint>, &'v ForeignKey)> {
    relation.foreign_keys().filter_map(|(constraint, key)| {
        let now = now(version, relation, constraint)?;
        let acts = |key: &ForeignKey| (key.on_delete, key.on_update);
        let ConstraintKind::Foreign(was) = &now.kind else { return None };
        let late = |c: &Constraint| (c.deferrable, c.deferred);
        (acts(was) != acts(key) || late(now) != late(&constraint.item)).then_some((now, constraint, key))
    })
}

/// Whether it does something else, and not only at another time.
fn acts_otherwise(now: &Constraint, key: &ForeignKey) -> bool {
    matches!(&now.kind, ConstraintKind::Foreign(was) if (was.on_delete, was.on_update) != (key.on_delete, key.on_update))
}

/// Changes what foreign keys do. PostgreSQL can only set another one, which the rows of a large table are asked for when nobody
/// waits any more: they have kept the one before until now.
#[must_use]
pub fn change(
    version: &Version,
    relation: &Relation,
    rebuilt: &[&Relation],
    options: &Options,
    later: &mut Later,
) -> Option<PlanStep> {
    let table = &relation.name;
    let mut lines = Vec::new();
    for (now, constraint, key) in changed(version, relation).filter(|(_, c, _)| !is_swapped(&c.item, rebuilt)) {
        let (item, name) = (&constraint.item, &constraint.item.name);
        if !acts_otherwise(now, key) {
            let when = match (item.deferrable, item.deferred) {
                (_, true) => "DEFERRABLE INITIALLY DEFERRED",
                (true, _) => "DEFERRABLE INITIALLY IMMEDIATE",
                _ => "NOT DEFERRABLE",
            };
            lines.push(format!("ALTER TABLE {table} ALTER CONSTRAINT {name} {when};"));
            continue;
        }
        let text = attach::foreign_key(version, item, key);
        lines.push(format!("ALTER TABLE {table} DROP CONSTRAINT {name};"));
        let is = version.table(relation);
        let large = is.bytes >= options.beside_from && is.kind == TableKind::Plain && item.validated;
        let set = if large { later.unasked(table, item, &text) } else { constraint_lines(table, item, &text) };
        lines.extend(set);
    }
    let sentence = format!("change the foreign keys of `{}`", table.short());
    (!lines.is_empty()).then(|| PlanStep::new(sentence, lines.join("\n")))
}

/// Tables at the other end of foreign keys that come or go: they are locked too.
#[must_use]
pub fn far_ends(version: &Version) -> BTreeSet<&TableName> {
    let mut ends = BTreeSet::new();
    for relation in version.touched() {
        let new = relation.foreign_keys().filter(|(c, _)| c.brought_by().is_some());
        ends.extend(new.map(|(_, key)| &key.table));
        ends.extend(changed(version, relation).map(|(_, _, key)| &key.table));
        for constraint in dropped_constraints(version, relation) {
            if let ConstraintKind::Foreign(key) = &constraint.kind {
                ends.insert(&key.table);
            }
        }
    }
    ends
}
