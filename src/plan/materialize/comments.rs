//! Comments that are others than those of a table that keeps its identity. One that is built anew gets all with its dress.

use crate::relation::{Attached, Origin, Relation};
use crate::sql::Literal;
use crate::version::Version;

/// What sets them, once all has its name.
pub fn of(version: &Version, relation: &Relation) -> Vec<String> {
    let (name, table) = (&relation.name, version.table(relation));
    let mut lines = Vec::new();
    let mut say = |what: String, was: &Option<String>, is: &Option<String>| {
        if was != is {
            let text = is.clone().map_or_else(|| "NULL".to_owned(), |text| Literal(text).to_string());
            lines.push(format!("COMMENT ON {what} IS {text};"));
        }
    };
    say(format!("TABLE {name}"), &table.comment, &relation.comment);
    for field in &relation.fields {
        let column = version.stays(relation, field).and_then(|c| table.fields.iter().find(|f| f.name == *c));
        if let Some(column) = column {
            say(format!("COLUMN {name}.{}", field.shape.name), &column.comment, &field.shape.comment);
        }
    }
    for constraint in &relation.constraints {
        if let Some(at) = own(relation, constraint) {
            let what = format!("CONSTRAINT {} ON {name}", constraint.item.name);
            say(what, &table.constraints[at].comment, &constraint.item.comment);
        }
    }
    for index in &relation.indexes {
        if let Some(at) = own(relation, index) {
            let what = format!("INDEX {}", name.renamed(index.item.name.clone()));
            say(what, &table.indexes[at].comment, &index.item.comment);
        }
    }
    lines
}

/// The place of what the table has already.
fn own<T>(relation: &Relation, item: &Attached<T>) -> Option<usize> {
    match &item.origin {
        Origin::Table(of, at) if *of == relation.base => Some(*at),
        Origin::Table(..) | Origin::Step(_) | Origin::Rows(_) => None,
    }
}
