//! Fields computed from their row: what must watch over them.

use askama::Template;

use crate::generate::{Piece, comment, list, own};
use crate::name::{Ident, TableName};
use crate::relation::Home;
use crate::sql::Literal;
use crate::version::Version;

#[derive(Template)]
#[template(path = "calculated.sql", escape = "none")]
struct Guard {
    teller: TableName,
    types: String,
    type_name: String,
    value: String,
    function: TableName,
    read: String,
    table: TableName,
    hint: Literal,
    comment: Literal,
    trigger_insert: Ident,
    trigger_update: Ident,
    changed: String,
}

/// The trigger that refuses rows for which the field cannot be computed, as the table will. None where nobody sees the
/// field, or where it reads nothing.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn guard(version: &Version, at: usize) -> Result<Option<Piece>, askama::Error> {
    let calculated = &version.calculated[at];
    let columns: Vec<Ident> = calculated.value.fields().into_iter().collect();
    let Some(field) =
        version.over(&calculated.table).and_then(|r| r.fields.iter().find(|f| f.home == Home::Calculated(at)))
    else {
        return Ok(None);
    };
    if columns.is_empty() {
        return Ok(None);
    }
    let fields = &version.schema.tables[&calculated.table].fields;
    let kind = |c: &Ident| fields.iter().find(|f| f.name == *c).map_or("text", |f| &f.type_name);
    let of = |row: &str| list(&columns.iter().map(|c| format!("{row}.{c}")).collect::<Vec<_>>());
    let arguments = columns.iter().enumerate().map(|(i, c)| (c.clone(), format!("${}", i + 1))).collect();
    let (id, name) = (calculated.id.as_str(), &field.shape.name);
    let sql = Guard {
        teller: own(&["told", id]),
        types: list(&columns.iter().map(kind).collect::<Vec<_>>()),
        type_name: calculated.type_name.clone(),
        value: calculated.value.with(&arguments),
        function: own(&["guard", id]),
        read: of("NEW"),
        table: calculated.table.clone(),
        hint: Literal(format!("Refactoring {} computes \"{}\" from the row.", calculated.step, name.as_str())),
        comment: comment(&calculated.step),
        trigger_insert: Ident::generated(&["~refactor", "insert", id]),
        trigger_update: Ident::generated(&["~refactor", "updated", id]),
        changed: format!("record_image_ne(ROW({}), ROW({}))", of("OLD"), of("NEW")),
    }
    .render()?;
    let title = format!("guard of what `{}` is computed from ({})", name, calculated.step);
    Ok(Some(Piece { title, sql }))
}
