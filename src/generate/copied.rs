//! Copies of another table's field: each stays what it was when that is written, deleted, or no longer referred to.

use askama::Template;

use crate::generate::carry::{changed, guarded, path_over, trigger};
use crate::generate::get::complement_keys;
use crate::generate::place::Place;
use crate::generate::{Piece, comment, equal, list, of, own};
use crate::name::{Ident, TableName};
use crate::sql::Literal;
use crate::version::{Added, Copied, Version};

#[derive(Template)]
#[template(path = "copied.sql", escape = "none")]
struct Freezing {
    written: TableName,
    moved: TableName,
    path: String,
    complement: TableName,
    complement_keys: String,
    row_keys: String,
    new_keys: String,
    old_value: String,
    source_value: String,
    refers_to_old: String,
    referred_by_old: String,
    reference_changed: String,
    column: Ident,
    source: TableName,
    table: TableName,
    comment: Literal,
    trigger_written: Ident,
    trigger_deleted: Ident,
    trigger_moved: Ident,
}

/// What keeps the copies as they are.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn companions(version: &Version, added: &Added, copied: &Copied) -> Result<Piece, askama::Error> {
    let Copied { hop, column } = copied;
    let Added { id, type_name, .. } = added;
    let place = Place::of_added(added);
    let text = Freezing {
        written: own(&["written", id.as_str()]),
        moved: own(&["moved", id.as_str()]),
        path: path_over([&hop.from.schema, &hop.to.schema].into_iter()),
        complement: place.table,
        complement_keys: list(&complement_keys(added.key.len())),
        row_keys: of("b", &added.key),
        new_keys: of("NEW", &added.key),
        old_value: format!("(OLD.{column})::{type_name}"),
        source_value: format!("(s.{column})::{type_name}"),
        refers_to_old: equal("b", &hop.from_columns, "OLD", &hop.to_columns),
        referred_by_old: equal("s", &hop.to_columns, "OLD", &hop.from_columns),
        reference_changed: changed(&hop.from_columns),
        column: column.clone(),
        source: hop.to.clone(),
        table: hop.from.clone(),
        comment: comment(&added.step),
        trigger_written: trigger("written", id),
        trigger_deleted: trigger("deleted", id),
        trigger_moved: trigger("moved", id),
    }
    .render()?;
    let sql = guarded(version, &text, &[&hop.from, &hop.to]);
    Ok(Piece::new(format!("copies stay what they were ({})", added.step), sql))
}

/// The value that a row `row` would get copied.
#[must_use]
pub fn source(copied: &Copied, row: &str) -> String {
    let Copied { hop, column } = copied;
    let there = equal("s", &hop.to_columns, row, &hop.from_columns);
    format!("(SELECT s.{column} FROM {} AS s WHERE {there} LIMIT 1)", hop.to)
}
