//! Whole tables: those that only the new shape has, and those that it no longer has.

use std::collections::BTreeSet;

use askama::Template;

use crate::catalogue::entangled::renames;
use crate::generate::carry::owner;
use crate::generate::{comment, list, rights, rows};
use crate::name::{Ident, TableName};
use crate::schema::{Constraint, ConstraintKind, Field, Generated, Grant, Table};
use crate::sql::{Literal, rename_in_definition};
use crate::version::{Dropped, Made, Quarantined, Union, Version, lost_table};

#[derive(Template)]
#[template(path = "made.sql", escape = "none")]
struct Creation {
    table: TableName,
    owner: String,
    lines: Vec<String>,
    more: Vec<String>,
}

#[derive(Template)]
#[template(path = "free.sql", escape = "none")]
struct Free {
    names: String,
}

/// Lets tables of ours that are kept give up names of indexes and sequences that a new one needs.
///
/// # Errors
/// Only if the template cannot be rendered.
pub fn freed<'n>(names: impl Iterator<Item = &'n Ident>) -> Result<String, askama::Error> {
    let names = names.map(|n| Literal(n.as_str().into()).to_string());
    // An empty list is no list.
    let names: Vec<String> = names.chain(["NULL".to_owned()]).collect();
    Free { names: names.join(", ") }.render()
}

/// What an index or constraint of a table of ours is called: as in its table to be, unless one that is there before it has
/// the name.
pub fn free_names(version: &Version, table: &TableName) -> impl Fn(&Ident) -> Ident {
    let (taken, table) = (taken(version, table), table.name.clone());
    move |name| {
        if taken.contains(name) { Ident::generated(&[table.as_str(), name.as_str()]) } else { name.clone() }
    }
}

/// Names of indexes that tables of ours have which are there before this one.
fn taken<'v>(version: &'v Version, table: &TableName) -> BTreeSet<&'v Ident> {
    let floors = version.floors.iter().map(|f| (version.place_of(&f.step), &f.table));
    let mut ours: Vec<(usize, &TableName)> =
        floors.chain(version.made.iter().map(|m| (version.place_of(&m.step), &m.table))).collect();
    ours.sort_by_key(|(place, _)| *place);
    let before = ours.into_iter().map(|(_, name)| name).take_while(|name| *name != table);
    let tables = before.filter_map(|name| version.schema.tables.get(name));
    // Checks and foreign keys have no index.
    let indexed = |c: &&Constraint| {
        !matches!(c.kind, ConstraintKind::Check | ConstraintKind::Foreign(_) | ConstraintKind::NotNull)
    };
    let names =
        |t: &'v Table| t.indexes.iter().map(|i| &i.name).chain(t.constraints.iter().filter(indexed).map(|c| &c.name));
    tables.flat_map(names).collect()
}

/// Creates a new table, empty, in our own schema.
///
/// # Errors
/// Only if the template cannot be rendered.
pub fn create(version: &Version, made: &Made) -> Result<String, askama::Error> {
    let table = &version.schema.tables[&made.table];
    let numbered = |f: &Field| {
        let sequence = f.sequence.as_ref().and_then(|s| version.schema.sequences.get(s));
        f.numbered(sequence.map_or("", |s| &s.options))
    };
    let mut lines: Vec<String> = table.fields.iter().map(numbered).collect();
    let plain = table.constraints.iter().filter(|c| !matches!(c.kind, ConstraintKind::Foreign(_)));
    let free = free_names(version, &made.table);
    lines.extend(plain.map(|c| format!("CONSTRAINT {} {}", free(&c.name), c.definition)));
    let mut more = foreign_keys(table, &made.table);
    more.extend(rights::bare(&version.schema, &made.table));
    // What only judges rows must be nobody's to write until it has some.
    if !version.told.iter().any(|t| t.table == made.table) {
        more.extend(grants(table, &made.table));
    }
    more.extend(table.fields.iter().filter_map(|f| {
        let comment = Literal(f.comment.clone()?);
        Some(format!("COMMENT ON COLUMN {}.{} IS {comment}", made.table, f.name))
    }));
    let owner = table.owner.as_ref().map(|_| owner(version, &made.table).to_string()).unwrap_or_default();
    let sequences = table.fields.iter().filter_map(|f| f.sequence.as_ref()).map(|s| s.name.clone());
    let names: Vec<Ident> = table.indexes.iter().map(|i| free(&i.name)).chain(sequences).collect();
    let freed = freed(names.iter())?;
    Ok(freed + &Creation { table: made.table.clone(), owner, lines, more }.render()?)
}

/// Whoever may use a table may use another.
#[must_use]
pub fn grants(table: &Table, name: &TableName) -> Vec<String> {
    let grant = |grant: &Grant| {
        let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
        format!("GRANT {} ON {name} TO {}{option}", grant.privilege, grant.grantee())
    };
    table.grants.iter().flatten().filter(|g| g.role != table.owner).map(grant).collect()
}

/// Makes the table of rows in quarantine: like the one that they were in, but that it refers to nothing and numbers
/// nothing. What is kept must not bind what is alive.
#[must_use]
pub fn keep_apart(version: &Version, quarantined: &Quarantined) -> String {
    let relation = &quarantined.rows;
    let (table, kept) = (version.table(relation), lost_table(&quarantined.step));
    let (columns, fields): (Vec<Ident>, Vec<Ident>) = relation
        .fields
        .iter()
        .filter_map(|f| Some((relation.column(&version.schema, f)?.clone(), f.shape.name.clone())))
        .unzip();
    let names = renames(&columns, &fields);
    let plain = |f: &Field| {
        let generated = f.generated.as_ref();
        let renamed =
            |g: &Generated| Generated { expression: rename_in_definition(&g.expression, &names), ..g.clone() };
        let generated = generated.map(renamed);
        Field { generated, identity: None, sequence: None, default: None, ..f.clone() }.definition()
    };
    let lines: Vec<String> = relation.fields.iter().map(|f| format!("  {}", plain(&f.shape))).collect();
    let given = relation.fields.iter().map(|f| &f.shape).filter(|f| f.generated.is_none());
    let given = list(&given.map(|f| f.name.clone()).collect::<Vec<_>>());
    let mut sql = vec![
        format!("CREATE TABLE {kept} (\n{}\n)", lines.join(",\n")),
        format!("INSERT INTO {kept} ({given})\nSELECT {given} FROM (\n{}\n) AS q", rows::select(version, relation)),
    ];
    let shown = |key: &Vec<Ident>| !key.is_empty() && key.iter().all(|k| relation.field(k).is_some());
    if let Some(key) = relation.row_key().filter(shown) {
        sql.push(format!("ALTER TABLE {kept} ADD PRIMARY KEY ({})", list(&key)));
    }
    for check in relation.constraints.iter().filter(|c| c.item.kind == ConstraintKind::Check) {
        let definition = check.as_named().definition;
        let valid = if check.item.validated { "" } else { " NOT VALID" };
        sql.push(format!("ALTER TABLE {kept} ADD CONSTRAINT {} {definition}{valid}", check.item.name));
    }
    sql.extend(rights::bare(&version.schema, &kept));
    // Row policies stay with their table: who may see all of its rows sees these.
    if !table.row_security {
        sql.extend(grants(table, &kept));
    }
    sql.push(format!("ALTER TABLE {kept} OWNER TO {}", owner(version, &relation.base)));
    let text = format!("rows of {} that break what {} demands", relation.name.short(), quarantined.step);
    sql.push(format!("COMMENT ON TABLE {kept} IS {}", comment(&text)));
    sql.join(";\n") + ";"
}

/// Lets rows that come back refer as those of the first table do, until they are there.
#[must_use]
pub fn bind(version: &Version, union: &Union) -> Option<(TableName, String)> {
    let (first, last) = (union.branches.first()?, union.branches.last().filter(|_| union.brings_back)?);
    let lines = foreign_keys(&version.schema.tables[&first.table], &last.table);
    if lines.is_empty() { None } else { Some((last.table.clone(), lines.join(";\n") + ";")) }
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

/// Sequences of a dropped table from which a default of another one draws, with that table and its field: they stay.
#[must_use]
pub fn drawn_on<'v>(version: &'v Version, dropped: &'v Dropped) -> Vec<(&'v TableName, &'v TableName, &'v Ident)> {
    let owned = version.schema.tables[&dropped.table].fields.iter().filter(|f| f.identity.is_none());
    let heir = |sequence: &'v TableName| {
        let others = version.relations.values().filter(|r| r.base != dropped.table);
        let mut fields = others.flat_map(|r| r.fields.iter().map(move |f| (r, &f.shape)));
        let (relation, field) = fields.find(|(_, f)| f.sequence.is_none() && f.draws_from(sequence))?;
        Some((sequence, &relation.name, &field.name))
    };
    owned.filter_map(|f| f.sequence.as_ref()).filter_map(heir).collect()
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
    for (sequence, ..) in drawn_on(version, dropped) {
        before.push(format!("ALTER SEQUENCE {sequence} OWNED BY NONE"));
    }
    for publication in &table.publications {
        before.push(format!("ALTER PUBLICATION {} DROP TABLE {name}", publication.name));
    }
    Losing { table: name.clone(), literal: Literal(name.to_string()), lost: version.kept_as(dropped), before }.render()
}
