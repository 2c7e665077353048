//! A second table over the rows of one: the same fields and all that hangs on them, under names of its own.

use std::collections::BTreeSet;

use crate::name::{Ident, TableName};
use crate::relation::{Attached, Origin, Part, Relation, Rows};
use crate::schema::{ConstraintKind, Index};
use crate::sql::Literal;
use crate::version::Version;

/// The same as `relation` under another name, for some of the rows that are `remaining`. Checks and foreign keys keep their names, which only their table must
/// tell apart; indexes get the names that PostgreSQL would give them. Numbers come from the same sequence.
#[must_use]
pub fn of(version: &Version, relation: &Relation, remaining: &Relation, name: &TableName) -> Relation {
    let mut copy = Relation {
        touched_by: remaining.touched_by.clone(),
        is_shown: true,
        constraints: remaining.constraints.clone(),
        ..relation.clone()
    };
    copy.name = name.clone();
    copy.rows = Rows::Part(Part { conditions: remaining.conditions().to_vec(), heir: false });
    let mut taken = taken(version, name);
    for index in &mut copy.indexes {
        let ending = ending(relation, &index.item);
        let members = if ending == "pkey" { String::new() } else { members(&index.item) };
        let new = free(&mut taken, &[name.name.as_str(), &members, ending]);
        if let Some(constraint) = &mut index.item.constraint {
            copy.constraints.iter_mut().filter(|c| c.item.name == *constraint).for_each(|c| c.item.name = new.clone());
            *constraint = new.clone();
        }
        index.item.name = new;
    }
    for field in &mut copy.fields {
        if let Some(sequence) = field.shape.sequence.take()
            && field.shape.identity.take().is_some()
        {
            field.shape.default = Some(format!("nextval({}::regclass)", Literal(sequence.to_string())));
        }
    }
    copy
}

/// Names for the indexes of a table that come to another one as well: the ones that PostgreSQL would give them there.
pub fn rename_indexes<'i>(version: &Version, table: &TableName, indexes: impl Iterator<Item = &'i mut Index>) {
    let mut taken = taken(version, table);
    indexes.for_each(|index| index.name = free(&mut taken, &[table.name.as_str(), &members(index), "idx"]));
}

/// An index that only this table of several over one base still has keeps the name that it has there.
pub fn keep_names(version: &mut Version, name: &TableName) {
    let Some(copy) = version.relations.get(name) else { return };
    let others = version.relations.values().filter(|r| r.base == copy.base && r.name != *name);
    let kept: Vec<Origin> = others.flat_map(|r| &r.indexes).map(|i| i.origin.clone()).collect();
    let schema = version.schema.clone();
    for index in version.relations.get_mut(name).into_iter().flat_map(|r| &mut r.indexes) {
        let Origin::Table(table, at) = &index.origin else { continue };
        if index.item.constraint.is_none() && !kept.contains(&index.origin) {
            index.item.name = schema.tables[table].indexes[*at].name.clone();
        }
    }
}

/// Names that an index of a new table could clash with.
fn taken(version: &Version, table: &TableName) -> BTreeSet<Ident> {
    let schema = &table.schema;
    let others = version.schema.other_names.keys().chain(version.schema.tables.keys()).chain(version.relations.keys());
    let names = others.filter(|n| n.schema == *schema).map(|n| n.name.clone());
    let relations = version.relations.values().filter(|r| r.name.schema == *schema);
    names.chain(relations.flat_map(|r| &r.indexes).map(|i| i.item.name.clone())).chain([table.name.clone()]).collect()
}

/// The first of `a_b`, `a_b1`, `a_b2` … that is free, which then is taken.
fn free(taken: &mut BTreeSet<Ident>, parts: &[&str]) -> Ident {
    let parts: Vec<&str> = parts.iter().copied().filter(|p| !p.is_empty()).collect();
    let mut name = Ident::generated(&parts);
    let mut number = 0;
    while !taken.insert(name.clone()) {
        number += 1;
        let (last, first) = parts.split_last().unwrap_or((&"", &[]));
        name = Ident::generated(&[first, &[&*format!("{last}{number}")]].concat());
    }
    name
}

/// `a_b_expr`
fn members(index: &Index) -> String {
    let keys: Vec<&str> = index.keys.iter().map(|k| k.as_ref().map_or("expr", Ident::as_str)).collect();
    keys.join("_")
}

fn ending(relation: &Relation, index: &Index) -> &'static str {
    let of = |c: &&Attached<crate::schema::Constraint>| index.constraint.as_ref() == Some(&c.item.name);
    match relation.constraints.iter().find(of).map(|c| &c.item.kind) {
        Some(ConstraintKind::Primary) => "pkey",
        Some(ConstraintKind::Unique) => "key",
        Some(ConstraintKind::Exclude) => "excl",
        _ => "idx",
    }
}

/// A name for a check of a table as PostgreSQL would choose it: after its field if it has only one.
#[must_use]
pub fn check_name(table: &str, fields: &BTreeSet<Ident>, relation: &Relation) -> Ident {
    let mut taken: BTreeSet<Ident> = relation.constraints.iter().map(|c| c.item.name.clone()).collect();
    let field = if fields.len() == 1 { fields.iter().next().map_or("", Ident::as_str) } else { "" };
    free(&mut taken, &[table, field, "check"])
}
