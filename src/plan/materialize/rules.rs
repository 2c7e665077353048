//! Rules that come or go while the fields stay: NOT NULL, defaults, constraints and indexes of a table that keeps its
//! identity. One that is built anew gets all of them with its dress.

use std::collections::BTreeSet;

use crate::name::TableName;
use crate::plan::PlanStep;
use crate::plan::materialize::attach::{constraint_lines, definition, index_lines};
use crate::plan::materialize::comments;
use crate::plan::materialize::ready::Ready;
use crate::relation::{Home, NamesFields, Origin, Relation, Rows};
use crate::schema::{Constraint, ConstraintKind, Index};
use crate::version::Version;

/// Takes off what the version no longer has. Foreign keys go first, since they rest on others.
#[must_use]
pub fn take_off(version: &Version, kept: &[&Relation], rebuilt: &[&Relation]) -> Vec<PlanStep> {
    // Where the other end is built anew, the key went with the old table.
    let swapped = |c: &&Constraint| match &c.kind {
        ConstraintKind::Foreign(key) => rebuilt.iter().any(|r| r.base == key.table),
        _ => false,
    };
    let is_key = |c: &&Constraint| matches!(c.kind, ConstraintKind::Foreign(_));
    let mut steps = Vec::new();
    for foreign in [true, false] {
        for relation in kept {
            let base = &relation.base;
            let dropped = dropped_constraints(version, relation);
            let dropped = dropped.into_iter().filter(|c| is_key(c) == foreign && !swapped(c));
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
            lines.extend(constraint_lines(name, &constraint.item, &definition(constraint)));
        }
    }
    if lines.is_empty() {
        return Vec::new();
    }
    vec![PlanStep::new(format!("set the new rules and indexes of `{}`", name.short()), lines.join("\n"))]
}

/// Tables at the other end of foreign keys that come or go: they are locked too.
#[must_use]
pub fn far_ends(version: &Version) -> BTreeSet<&TableName> {
    let mut ends = BTreeSet::new();
    for relation in version.touched() {
        let new = relation.foreign_keys().filter(|(c, _)| c.brought_by().is_some());
        ends.extend(new.map(|(_, key)| &key.table));
        for constraint in dropped_constraints(version, relation) {
            if let ConstraintKind::Foreign(key) = &constraint.kind {
                ends.insert(&key.table);
            }
        }
    }
    ends
}
