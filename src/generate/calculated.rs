//! Fields computed from their row: what must watch over them.

use std::collections::BTreeSet;

use askama::Template;

use crate::generate::{Piece, comment, list, of, own};
use crate::name::{Ident, TableName};
use crate::relation::{Field, Home};
use crate::sql::Literal;
use crate::version::Version;

#[derive(Template)]
#[template(path = "calculated.sql", escape = "none")]
struct Guard {
    function: TableName,
    calculated: Vec<Watched>,
    table: TableName,
    comment: Literal,
    trigger_insert: Ident,
    trigger_update: Ident,
    changed: String,
}

struct Watched {
    name: Ident,
    teller: TableName,
    types: String,
    type_name: String,
    value: String,
    read: String,
    changed: String,
    hint: Literal,
    comment: Literal,
}

/// The triggers that refuse rows for which a field cannot be computed, as the table will: one pair for all the fields of
/// a table. None for fields that nobody sees, or that read nothing.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn guards(version: &Version) -> Result<Vec<Piece>, askama::Error> {
    let mut tables: Vec<(&TableName, Vec<usize>)> = Vec::new();
    for (at, calculated) in version.calculated.iter().enumerate() {
        match tables.iter_mut().find(|(table, _)| **table == calculated.table) {
            Some((_, all)) => all.push(at),
            None => tables.push((&calculated.table, vec![at])),
        }
    }
    let guarded = |(table, all): (&TableName, Vec<usize>)| guard(version, table, &all).transpose();
    tables.into_iter().filter_map(guarded).collect()
}

fn guard(version: &Version, table: &TableName, all: &[usize]) -> Result<Option<Piece>, askama::Error> {
    let watched: Vec<(usize, Watched)> = all.iter().filter_map(|at| Some((*at, watched(version, *at)?))).collect();
    let Some((first, _)) = watched.first() else { return Ok(None) };
    let id = version.calculated[*first].id.as_str();
    let steps = list(&watched.iter().map(|(at, _)| &version.calculated[*at].step).collect::<Vec<_>>());
    let names = list(&watched.iter().map(|(_, w)| &w.name).collect::<Vec<_>>());
    let columns: BTreeSet<Ident> = watched.iter().flat_map(|(at, _)| version.calculated[*at].value.fields()).collect();
    let columns: Vec<Ident> = columns.into_iter().collect();
    let sql = Guard {
        function: own(&["guard", id]),
        table: table.clone(),
        comment: comment(&steps),
        trigger_insert: Ident::generated(&["~refactor", "insert", id]),
        trigger_update: Ident::generated(&["~refactor", "updated", id]),
        changed: changed(&columns),
        calculated: watched.into_iter().map(|(_, w)| w).collect(),
    }
    .render()?;
    Ok(Some(Piece::new(format!("guard of what `{names}` is computed from ({steps})"), sql)))
}

fn watched(version: &Version, at: usize) -> Option<Watched> {
    let calculated = &version.calculated[at];
    let columns: Vec<Ident> = calculated.value.fields().into_iter().collect();
    let shown = |f: &&Field| f.home == Home::Calculated(at);
    let name = version.over(&calculated.table)?.fields.iter().find(shown)?.shape.name.clone();
    if columns.is_empty() {
        return None;
    }
    let fields = &version.schema.tables[&calculated.table].fields;
    let kind = |c: &Ident| fields.iter().find(|f| f.name == *c).map_or("text", |f| &f.type_name);
    let arguments = columns.iter().enumerate().map(|(i, c)| (c.clone(), format!("${}", i + 1))).collect();
    Some(Watched {
        teller: own(&["told", calculated.id.as_str()]),
        types: list(&columns.iter().map(kind).collect::<Vec<_>>()),
        type_name: calculated.type_name.clone(),
        value: calculated.value.with(&arguments),
        read: of("NEW", &columns),
        changed: changed(&columns),
        hint: Literal(format!("Refactoring {} computes \"{}\" from the row.", calculated.step, name.as_str())),
        comment: comment(&calculated.step),
        name,
    })
}

fn changed(columns: &[Ident]) -> String {
    format!("pg_catalog.record_image_ne(ROW({}), ROW({}))", of("OLD", columns), of("NEW", columns))
}
