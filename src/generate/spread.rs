//! Fields shown as rows, each under its label: the rows, and how they are written back.

use askama::Template;

use crate::generate::put::Frame;
use crate::generate::rule::{self, Rule};
use crate::generate::{equal, list, of};
use crate::name::{Ident, TableName};
use crate::relation::Relation;
use crate::schema::ConstraintKind;
use crate::sql::Literal;
use crate::version::{Spread, numbered};

/// The rows of one field, and its label.
fn each(spread: &Spread) -> impl Iterator<Item = (&Ident, &String)> {
    spread.columns.iter().zip(&spread.labels)
}

/// The rows: one for each field that is not NULL.
#[must_use]
pub fn rows(spread: &Spread) -> String {
    let keys = spread.key.iter().zip(&spread.from).map(|(k, n)| format!("b.{k} AS {n}")).collect::<Vec<_>>();
    let one = |(column, label): (&Ident, &String)| {
        format!(
            "SELECT {}, {label} AS {}, b.{column} AS {}, b.ctid AS refactor_token\nFROM {} AS b\nWHERE b.{column} IS DISTINCT FROM NULL",
            list(&keys),
            spread.label,
            spread.value,
            spread.table
        )
    };
    each(spread).map(one).collect::<Vec<_>>().join("\nUNION ALL\n")
}

/// Puts the rows into their table, before the fields go.
#[must_use]
pub fn bring(spread: &Spread) -> String {
    let one = |(column, label): (&Ident, &String)| {
        format!(
            "INSERT INTO {} ({}) SELECT {}, {label}, b.{column} FROM {} AS b WHERE b.{column} IS DISTINCT FROM NULL;",
            spread.rows,
            list(&fields(spread)),
            of("b", &spread.key),
            spread.table
        )
    };
    each(spread).map(one).collect::<Vec<_>>().join("\n")
}

fn fields(spread: &Spread) -> Vec<Ident> {
    [&spread.from[..], &[spread.label.clone(), spread.value.clone()]].concat()
}

/// The field of a row: `CASE NEW.kind WHEN 'home' THEN b.home END`.
fn field(spread: &Spread, type_name: &str, row: &str) -> String {
    let whens = each(spread).map(|(column, label)| format!("WHEN {label} THEN b.{column}"));
    // Of a domain CASE would make what it is over.
    format!("(CASE {row}.{} {} END)::{type_name}", spread.label, whens.collect::<Vec<_>>().join(" "))
}

/// Sets the field of a row to a value: `home = CASE NEW.kind WHEN 'home' THEN NEW.value ELSE b.home END`.
fn sets(spread: &Spread, row: &str, value: &str) -> String {
    let one = |(column, label): (&Ident, &String)| {
        format!("{column} = CASE {row}.{} WHEN {label} THEN {value} ELSE b.{column} END", spread.label)
    };
    list(&each(spread).map(one).collect::<Vec<_>>())
}

#[derive(Template)]
#[template(path = "spread.sql", escape = "none")]
struct PutBack {
    frame: Frame,
    table: TableName,
    rows: TableName,
    row_old: String,
    row_new: String,
    field_old: String,
    field_new: String,
    is_labelled: String,
    takes_away: String,
    sets_new: String,
    same: String,
    seen: String,
    memory: Literal,
    value: Ident,
    fields: String,
    values: String,
    unique: Rule,
}

/// The put-back of a table of rows.
///
/// # Errors
/// Only if a template cannot be rendered.
pub(super) fn put_back(relation: &Relation, spread: &Spread, frame: Frame) -> Result<String, askama::Error> {
    let fields = fields(spread);
    let primary = relation.constraints.iter().find(|c| c.item.kind == ConstraintKind::Primary);
    let primary = primary.map_or_else(|| Ident::new(""), |c| c.item.name.clone());
    let type_name = relation.field(&spread.value).map_or("text", |f| &f.shape.type_name);
    PutBack {
        frame,
        table: spread.table.clone(),
        rows: spread.rows.clone(),
        row_old: equal("b", &spread.key, "OLD", &spread.from),
        row_new: equal("b", &spread.key, "NEW", &spread.from),
        field_old: field(spread, type_name, "OLD"),
        field_new: field(spread, type_name, "NEW"),
        is_labelled: format!("NEW.{} IN ({})", spread.label, spread.labels.join(", ")),
        takes_away: sets(spread, "OLD", "NULL"),
        sets_new: sets(spread, "NEW", &format!("NEW.{}", spread.value)),
        same: format!("pg_catalog.record_image_eq(ROW({}), ROW({}))", of("NEW", &fields), of("OLD", &fields)),
        seen: format!("OLD.refactor_token::text || OLD.{}::text || ';'", spread.label),
        memory: Literal(format!(
            "refactor.seen_{}",
            numbered(&spread.step).bytes().map(|b| format!("{b:02x}")).collect::<String>()
        )),
        value: spread.value.clone(),
        fields: list(&fields),
        values: of("NEW", &fields),
        unique: rule::duplicate(relation, &primary),
    }
    .render()
}
