//! Whole tables: those that only the new shape has, and those that it no longer has.

use askama::Template;

use crate::generate::carry::owner;
use crate::name::TableName;
use crate::schema::{ConstraintKind, Field, Table};
use crate::sql::Literal;
use crate::version::{Dropped, Made, Version};

#[derive(Template)]
#[template(path = "made.sql", escape = "none")]
struct Creation {
    table: TableName,
    owner: String,
    names: String,
    lines: Vec<String>,
    more: Vec<String>,
}

/// Creates a new table, empty, in our own schema.
///
/// # Errors
/// Only if the template cannot be rendered.
pub fn create(version: &Version, made: &Made) -> Result<String, askama::Error> {
    let table = &version.schema.tables[&made.table];
    let mut lines: Vec<String> = table.fields.iter().map(Field::definition).collect();
    let plain = table.constraints.iter().filter(|c| !matches!(c.kind, ConstraintKind::Foreign(_)));
    lines.extend(plain.map(|c| format!("CONSTRAINT {} {}", c.name, c.definition)));
    let mut more = foreign_keys(table, &made.table);
    // What only judges rows must be nobody's to write until it has some.
    if !version.told.iter().any(|t| t.table == made.table) {
        more.extend(grants(table, &made.table));
    }
    more.extend(table.fields.iter().filter_map(|f| {
        let comment = Literal(f.comment.clone()?);
        Some(format!("COMMENT ON COLUMN {}.{} IS {comment}", made.table, f.name))
    }));
    let owner = table.owner.as_ref().map(|_| owner(version, &made.table).to_string()).unwrap_or_default();
    let sequences = table.fields.iter().filter_map(|f| f.sequence.as_ref()).map(|s| &s.name);
    let names = table.indexes.iter().map(|i| &i.name).chain(sequences).map(|n| Literal(n.as_str().into()).to_string());
    // An empty list is no list.
    let names: Vec<String> = names.chain(["NULL".to_owned()]).collect();
    Creation { table: made.table.clone(), owner, names: names.join(", "), lines, more }.render()
}

/// Privileges as the table is to have them.
#[must_use]
pub fn grants(table: &Table, name: &TableName) -> Vec<String> {
    let others = table.grants.iter().flatten().filter(|g| g.role != table.owner);
    let grants = others.map(|grant| {
        let role = grant.role.as_ref().map_or_else(|| "PUBLIC".to_owned(), ToString::to_string);
        let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
        format!("GRANT {} ON {name} TO {role}{option}", grant.privilege)
    });
    grants.collect()
}

/// Adds the foreign keys of a table that is not restored from a kept one.
#[must_use]
pub fn foreign_keys(table: &Table, name: &TableName) -> Vec<String> {
    let keys = table.constraints.iter().filter(|c| matches!(c.kind, ConstraintKind::Foreign(_)));
    keys.map(|c| format!("ALTER TABLE {name} ADD CONSTRAINT {} {}", c.name, c.definition)).collect()
}

#[derive(Template)]
#[template(path = "lost.sql", escape = "none")]
struct Losing {
    table: TableName,
    literal: Literal,
    lost: TableName,
    before: Vec<String>,
}

/// Moves a dropped table out of everybody's way, with its rows.
///
/// # Errors
/// Only if the template cannot be rendered.
pub fn keep(version: &Version, dropped: &Dropped) -> Result<String, askama::Error> {
    let name = &dropped.table;
    let table = &version.schema.tables[name];
    let mut before = Vec::new();
    // What is kept must not bind what is alive, in neither direction.
    for (other, referring) in &version.schema.tables {
        let keys = referring.constraints.iter().filter(|c| !c.inherited);
        let here = keys.filter(|c| matches!(&c.kind, ConstraintKind::Foreign(key) if key.table == *name));
        for key in here.filter(|_| other != name) {
            before.push(format!("ALTER TABLE IF EXISTS {other} DROP CONSTRAINT IF EXISTS {}", key.name));
        }
    }
    for constraint in table.constraints.iter().filter(|c| matches!(c.kind, ConstraintKind::Foreign(_))) {
        before.push(format!("ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {}", constraint.name));
    }
    for publication in &table.publications {
        before.push(format!("ALTER PUBLICATION {} DROP TABLE {name}", publication.name));
    }
    Losing { table: name.clone(), literal: Literal(name.to_string()), lost: version.kept_as(dropped), before }.render()
}
