//! Rows that a foreign key refers to, in a table whose rows are divided: what keeps them in the part that it will refer to.

use askama::Template;

use crate::generate::carry::{changed, guarded, trigger};
use crate::generate::fact::key_text;
use crate::generate::{Piece, comment, each_of, equal, get, list, of, own};
use crate::name::{Ident, TableName};
use crate::sql::Literal;
use crate::version::Version;

#[derive(Template)]
#[template(path = "held.sql", escape = "none")]
struct Guard {
    stays: TableName,
    types: String,
    holds: String,
    refer: TableName,
    leave: TableName,
    path: String,
    table: TableName,
    other: TableName,
    is_new: String,
    read_r: String,
    read_new: String,
    refers_to_old: String,
    refers_to_new: String,
    changed: String,
    other_changed: String,
    schema_literal: Literal,
    table_literal: Literal,
    other_schema_literal: Literal,
    other_table_literal: Literal,
    constraint: Literal,
    message: Literal,
    detail: Literal,
    new_values: String,
    left: Literal,
    hint: Literal,
    comment: Literal,
    trigger_insert: Ident,
    trigger_update: Ident,
    trigger_leave: Ident,
}

/// The triggers of one foreign key, on both of its tables.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn guard(version: &Version, at: usize) -> Result<Piece, askama::Error> {
    let held = &version.held[at];
    let (table, other, id) = (&held.table, &held.other, held.id.as_str());
    let read: Vec<Ident> = held.rows.fields().into_iter().collect();
    let fields = &version.schema.tables[other].fields;
    let kind = |c: &Ident| fields.iter().find(|f| f.name == *c).map(|f| f.type_name.clone()).unwrap_or_default();
    let arguments = read.iter().enumerate().map(|(i, c)| (c.clone(), format!("${}", i + 1))).collect();
    let mut schemas = vec![table.schema.to_string(), other.schema.to_string()];
    schemas.dedup();
    let literal = |name: &Ident| Literal(name.as_str().into());
    let (name, constraint) = (table.name.as_str(), held.constraint.as_str());
    let columns = held.columns.iter().map(Ident::as_str).collect::<Vec<_>>().join(", ");
    let holes = vec!["%s"; held.columns.len()].join(", ");
    let far = version.over(other).map_or(other, |r| &r.name);
    let key: Vec<Ident> = read.iter().chain(&held.found_by).cloned().collect();
    let sql = Guard {
        stays: own(&["stays", id]),
        types: list(&read.iter().map(kind).collect::<Vec<_>>()),
        holds: held.rows.with(&arguments),
        refer: own(&["refer", id]),
        leave: own(&["leave", id]),
        path: format!("pg_catalog, {}, pg_temp", list(&schemas)),
        is_new: equal("t", &held.found_by, "NEW", &held.columns),
        read_r: of("r", &read),
        read_new: of("NEW", &read),
        refers_to_old: equal("c", &held.columns, "OLD", &held.found_by),
        refers_to_new: equal("c", &held.columns, "NEW", &held.found_by),
        changed: changed(&held.columns),
        other_changed: changed(&key),
        schema_literal: literal(&table.schema),
        table_literal: literal(&table.name),
        other_schema_literal: literal(&other.schema),
        other_table_literal: literal(&other.name),
        constraint: literal(&held.constraint),
        message: Literal(format!(
            "insert or update on table \"{name}\" violates foreign key constraint \"{constraint}\""
        )),
        detail: Literal(format!(
            "Key ({})=({holes}) is not present in table \"{}\".",
            columns.replace('%', "%%"),
            far.name.as_str().replace('%', "%%")
        )),
        new_values: list(&each_of("NEW", &held.columns)),
        left: Literal(format!(
            "a row of \"{}\" that \"{name}\" refers to cannot leave \"{}\"",
            other.name.as_str(),
            far.name.as_str()
        )),
        hint: Literal(format!(
            "Refactoring {} makes tables of the rows, and \"{constraint}\" refers to one of them.",
            held.step
        )),
        comment: comment(&held.step),
        trigger_insert: trigger("insert", &held.id),
        trigger_update: trigger("updated", &held.id),
        trigger_leave: trigger("leave", &held.id),
        table: table.clone(),
        other: other.clone(),
    }
    .render()?;
    let sql = guarded(version, &sql, &[table, other]);
    let title = format!("guard of what `{}` of `{}` refers to ({})", held.constraint, table.short(), held.step);
    Ok(Piece::new(title, sql))
}

/// Foreign keys whose rows refer to one that is not of the part.
#[must_use]
pub fn elsewhere(version: &Version, at: usize) -> String {
    let held = &version.held[at];
    let key = key_text(&each_of("b", &held.columns));
    format!(
        "SELECT DISTINCT {key} FROM {} AS b JOIN {} AS t ON {} WHERE ({}) IS NOT TRUE",
        held.table,
        held.other,
        equal("t", &held.found_by, "b", &held.columns),
        get::over(&held.rows, "t")
    )
}
