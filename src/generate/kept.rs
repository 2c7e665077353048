//! What looked-up fields are where nothing is found, as it was kept for their rows.

use askama::Template;

use crate::generate::carry::{changed, trigger};
use crate::generate::get::complement_keys;
use crate::generate::{comment, equal, own};
use crate::name::{Ident, TableName};
use crate::sql::Literal;
use crate::version::{Kept, Lookup, Missing};

/// The complement with what a field is where nothing is found.
#[must_use]
pub fn kept_in(kept: &Kept) -> TableName {
    own(&["kept", kept.id.as_str()])
}

/// What tells the rows apart for which such values are kept.
#[must_use]
pub fn kept_by(lookup: &Lookup) -> &[Ident] {
    lookup.kept.first().map_or(&[], |k| &k.key)
}

/// `x.refactor_key_1 = row.id`: what is kept for the row `row`.
#[must_use]
pub fn is_kept(row: &str, key: &[Ident]) -> String {
    equal("x", &complement_keys(key.len()), row, key)
}

#[derive(Template)]
#[template(path = "over.sql", escape = "none")]
struct Over {
    function: TableName,
    path: String,
    kept: Vec<TableName>,
    table: TableName,
    is_row: String,
    changed: String,
    comment: Literal,
    trigger_insert: Ident,
    trigger_update: Ident,
}

/// Lets go of what a row had without another once old code gives it one: a part of it, or one that it refers to.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn over(lookup: &Lookup, path: &str) -> Result<String, askama::Error> {
    let id = &lookup.id;
    let (table, key, columns) = match lookup.missing {
        Missing::Part { .. } => (&lookup.other, &*lookup.found_by, &lookup.found_by),
        Missing::Make { .. } | Missing::Refuse(_) => (&lookup.table, kept_by(lookup), &lookup.columns),
    };
    Over {
        function: own(&["over", id.as_str()]),
        path: path.to_owned(),
        kept: lookup.kept.iter().map(kept_in).collect(),
        table: table.clone(),
        is_row: is_kept("NEW", key),
        changed: changed(columns),
        comment: comment(&lookup.step),
        trigger_insert: trigger("over", id),
        trigger_update: trigger("over_update", id),
    }
    .render()
}
