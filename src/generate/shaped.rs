//! Fields told by other fields of their row: how they are read, written, and kept where the way back is not exact.

use std::collections::BTreeMap;

use askama::Template;

use crate::fact::{Claim, Fact, Words};
use crate::generate::place::Place;
use crate::generate::put::rewrites;
use crate::generate::{Piece, comment, get as getting, list, of, own};
use crate::name::{Ident, TableName};
use crate::relation::{Home, Relation};
use crate::sql::{Expression, Literal, lengths};
use crate::version::{Shaped, Version};

/// What a table with kept originals calls them: what the columns were, then the fields' values.
#[must_use]
pub fn kept(shaped: &Shaped) -> Vec<Ident> {
    let numbered = |what: &'static str, count: usize| {
        (1..=count).map(move |i| Ident::generated(&["refactor", what, &i.to_string()]))
    };
    numbered("seen", shaped.columns.len()).chain(numbered("value", shaped.names.len())).collect()
}

/// `ROW(row.a, row.b)`
fn whole(row: &str, columns: &[Ident]) -> String {
    format!("ROW({})", of(row, columns))
}

/// The name of the function that tells a field.
fn teller(shaped: &Shaped, field: usize) -> TableName {
    own(&["told", shaped.id.as_str(), &(field + 1).to_string()])
}

/// The name of the function that leads back to a column.
fn way_back(shaped: &Shaped, column: usize) -> TableName {
    own(&["back", shaped.id.as_str(), &(column + 1).to_string()])
}

/// The name of the function that tells whether a field takes what is stored.
fn fitting(shaped: &Shaped, field: usize) -> TableName {
    own(&["fits", shaped.id.as_str(), &(field + 1).to_string()])
}

/// The fields whose type has a length, which may not have room for what the columns store.
fn bounded(shaped: &Shaped) -> impl Iterator<Item = usize> {
    (0..shaped.names.len()).filter(|j| lengths::fits("", &shaped.types[*j]).is_some())
}

/// One function for each expression, in SQL that is read once: in the text of a trigger function the names in it would
/// mean what the `search_path` of whoever writes makes of them.
fn functions(shaped: &Shaped) -> Vec<String> {
    let function = |name: TableName, types: &[String], body: &str, kind: &str| {
        format!(
            "CREATE FUNCTION {name}({}) RETURNS {kind} LANGUAGE sql RETURN ({body})::{kind};\nCOMMENT ON FUNCTION {name} IS {};",
            list(types),
            comment(&shaped.step)
        )
    };
    let over = |expression: &Expression, names: &[Ident]| {
        expression.with(&names.iter().enumerate().map(|(i, n)| (n.clone(), format!("${}", i + 1))).collect())
    };
    let (columns, names) = (&shaped.columns, &shaped.names);
    let there = (0..names.len())
        .map(|j| function(teller(shaped, j), &shaped.column_types, &over(&shaped.get[j], columns), &shaped.types[j]));
    let back = (0..columns.len())
        // Of a key nothing may be cut: what the column has no room for is refused where it is stored.
        .map(|i| {
            let whole = lengths::unbounded(&shaped.column_types[i]).filter(|_| shaped.exact);
            let kind = whole.unwrap_or(&shaped.column_types[i]);
            function(way_back(shaped, i), &shaped.types, &over(&shaped.put[i], names), kind)
        });
    let fits = bounded(shaped).filter_map(|j| {
        let fits = lengths::fits(&over(&shaped.get[j], columns), &shaped.types[j])?;
        Some(function(fitting(shaped, j), &shaped.column_types, &fits, "boolean"))
    });
    there.chain(back).chain(fits).collect()
}

/// The same as [`told`], where it is not read at once.
fn told_later(shaped: &Shaped, field: usize, row: &str) -> String {
    format!("{}({})", teller(shaped, field), of(row, &shaped.columns))
}

/// The columns' values, from the fields' values, where it is not read at once.
fn stored_later(shaped: &Shaped, values: &[String]) -> Vec<String> {
    (0..shaped.columns.len()).map(|i| format!("{}({})", way_back(shaped, i), list(values))).collect()
}

/// What [`originals`] kept, in its row, as what a complement keeps.
#[must_use]
pub fn restored(shaped: &Shaped, row: &str) -> Vec<String> {
    let kinds = shaped.column_types.iter().chain(&shaped.types);
    let value = |(name, kind): (Ident, &String)| {
        if shaped.relabelled { format!("{row}.{name}::{kind}") } else { format!("{row}.{name}") }
    };
    kept(shaped).into_iter().zip(kinds).map(value).collect()
}

/// What the columns of `row` tell of one field, without the complement.
#[must_use]
pub fn told(shaped: &Shaped, field: usize, row: &str) -> String {
    format!("({})::{}", getting::over(&shaped.get[field], row), shaped.types[field])
}

/// The value of one field for the row `row` of the base: what the complement says while it is valid, else what is told.
#[must_use]
pub fn get(shaped: &Shaped, field: usize, row: &str) -> String {
    Place::of_shaped(shaped).value_or(field, row, &told(shaped, field, row))
}

/// Rows `row` whose stored values are not what the new fields tell.
#[must_use]
pub fn unfaithful(shaped: &Shaped, row: &str) -> String {
    let values: BTreeMap<Ident, String> =
        shaped.names.iter().enumerate().map(|(j, n)| (n.clone(), told(shaped, j, row))).collect();
    format!("pg_catalog.record_image_ne({}, ROW({}))", whole(row, &shaped.columns), list(&stored(shaped, &values)))
}

/// The columns' values, from the fields' values.
fn stored(shaped: &Shaped, values: &BTreeMap<Ident, String>) -> Vec<String> {
    shaped.put.iter().zip(&shaped.column_types).map(|(put, t)| format!("({})::{t}", put.with(values))).collect()
}

/// The way back of each column, as a fact: without one, the value could not be written back, nor materialized.
#[must_use]
pub fn ways_back(shaped: &Shaped, words: &Words) -> Vec<Fact> {
    let there = shaped.names.iter().zip(&shaped.get).zip(&shaped.types);
    let values = there.map(|((n, get), t)| (n.clone(), format!("(({get})::{t})"))).collect();
    let back = shaped.put.iter().zip(&shaped.column_types).zip(&shaped.columns);
    back.map(|((put, type_name), column)| Fact {
        step: shaped.step.clone(),
        claim: Claim::Fits {
            table: shaped.table.clone(),
            expression: put.with(&values),
            type_name: type_name.clone(),
            not_null: false,
            rows: None,
            words: Words { field: column.clone(), ..words.clone() },
        },
    })
    .collect()
}

/// The pieces of a put-back for one shaped group of a relation.
pub struct Put {
    /// (column, value on insert, value on update)
    pub columns: Vec<(Ident, String, String)>,
    /// plpgsql that keeps what the columns cannot tell exactly; `r` is the written row.
    pub keep: String,
    /// Whether an update changes the fields, or else there is nothing to keep.
    pub changed: String,
}

/// The put-back of one group, for a relation that shows all its fields.
#[must_use]
pub fn put(version: &Version, relation: &Relation, at: usize) -> Put {
    let shaped = &version.shaped[at];
    let shown: Vec<Ident> = (0..shaped.names.len())
        .map(|j| {
            let field = relation.fields.iter().find(|f| f.home == Home::Shaped(at, j));
            field.map_or_else(|| shaped.names[j].clone(), |f| f.shape.name.clone())
        })
        .collect();
    let values: Vec<String> = shown.iter().map(|f| format!("NEW.{f}")).collect();
    let changed = format!("pg_catalog.record_image_ne({}, {})", whole("NEW", &shown), whole("OLD", &shown));
    let columns = shaped
        .columns
        .iter()
        .zip(stored_later(shaped, &values))
        .map(|(c, value)| (c.clone(), value.clone(), format!("CASE WHEN {changed} THEN {value} ELSE b.{c} END")))
        .collect();
    let place = Place::of_shaped(shaped);
    let now: Vec<String> =
        (0..shaped.names.len()).map(|j| place.value_or(j, "r", &told_later(shaped, j, "r"))).collect();
    // A key may be nothing but what both types can store.
    let keep = if shaped.exact && !rewrites(&version.schema.tables[&shaped.table]) {
        let message = Literal(format!("value too long for type {}", shaped.column_types[0]));
        format!("RAISE EXCEPTION USING ERRCODE = 'string_data_right_truncation', MESSAGE = {message};")
    } else {
        place.keep("r", &values)
    };
    let keep = format!(
        "IF pg_catalog.record_image_ne({}, ROW({})) THEN\n    {keep}\n  END IF;",
        whole("NEW", &shown),
        list(&now)
    );
    Put { columns, keep, changed }
}

#[derive(Template)]
#[template(path = "shaped.sql", escape = "none")]
struct Guard {
    function: TableName,
    table: TableName,
    schema_literal: Literal,
    table_literal: Literal,
    functions: Vec<String>,
    told: String,
    back: String,
    required: String,
    message: Literal,
    hint: Literal,
    comment: Literal,
    trigger_insert: Ident,
    trigger_update: Ident,
    changed: String,
}

/// Whether an update changes what is stored.
#[must_use]
pub fn columns_changed(shaped: &Shaped) -> String {
    format!("pg_catalog.record_image_ne({}, {})", whole("OLD", &shaped.columns), whole("NEW", &shaped.columns))
}

/// The trigger that keeps old code from storing what the new fields cannot show.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn guard(version: &Version, at: usize) -> Result<Piece, askama::Error> {
    let shaped = &version.shaped[at];
    let id = shaped.id.as_str();
    let fields: Vec<String> =
        (0..shaped.names.len()).map(|j| format!("{} AS v{}", told_later(shaped, j, "NEW"), j + 1)).collect();
    let not_null = |j: &usize| {
        // A later NOT NULL binds new code only.
        let mut all = version.all().flat_map(|r| r.fields.iter().filter(|f| r.demand(&f.shape.name).is_none()));
        all.any(|f| f.home == Home::Shaped(at, *j) && f.shape.not_null)
    };
    let mut required: Vec<String> = (0..shaped.names.len())
        .filter(not_null)
        .map(|j| format!("told.v{} IS NOT DISTINCT FROM NULL", j + 1))
        .collect();
    let names: Vec<&str> = shaped.names.iter().map(Ident::as_str).collect();
    let again: Vec<String> = (1..=shaped.names.len()).map(|j| format!("told.v{j}")).collect();
    required.extend(bounded(shaped).map(|j| format!("NOT {}({})", fitting(shaped, j), of("NEW", &shaped.columns))));
    if shaped.exact {
        let (back, stored) = (list(&stored_later(shaped, &again)), whole("NEW", &shaped.columns));
        required.push(format!("pg_catalog.record_image_ne(ROW({back}), {stored})"));
    }
    let sql = Guard {
        function: own(&["guard", id]),
        table: shaped.table.clone(),
        schema_literal: Literal(shaped.table.schema.as_str().into()),
        table_literal: Literal(shaped.table.name.as_str().into()),
        functions: functions(shaped),
        told: list(&fields),
        back: list(&stored_later(shaped, &again)),
        required: required.join(" OR "),
        message: Literal(format!("the value cannot be shown as \"{}\"", names.join("\", \""))),
        hint: Literal(format!("Refactoring {} tells these fields from what is stored.", shaped.step)),
        comment: comment(&shaped.step),
        trigger_insert: Ident::generated(&["!refactor", "insert", id]),
        trigger_update: Ident::generated(&["!refactor", "updated", id]),
        changed: columns_changed(shaped),
    }
    .render()?;
    let title = format!("guard of what old code stores for {} ({})", names.join(", "), shaped.step);
    Ok(Piece::new(title, sql))
}

/// The kept originals of rows that the new fields do not tell exactly, in the shape of the inverse's complement.
#[must_use]
pub fn originals(shaped: &Shaped, row: &str) -> Vec<String> {
    let text = if shaped.relabelled { "::text" } else { "" };
    let seen = (0..shaped.names.len()).map(|j| format!("({}){text} AS refactor_seen_{}", get(shaped, j, row), j + 1));
    let kept = shaped.columns.iter().enumerate().map(|(i, c)| format!("{row}.{c}{text} AS refactor_value_{}", i + 1));
    seen.chain(kept).collect()
}
