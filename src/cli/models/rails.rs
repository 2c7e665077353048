//! For `ActiveRecord`: lines for the bodies of its classes.

use super::{Model, Refers};
use crate::name::Ident;

/// The classes.
pub fn text(models: &[Model]) -> String {
    models.iter().filter(|model| model.is_wanted).map(|model| one(models, model)).collect::<Vec<_>>().join("\n")
}

fn one(models: &[Model], model: &Model) -> String {
    let mut text = format!("class {} < ApplicationRecord\n", model.class);
    let schema = model.schema.as_ref().map(|schema| format!("{}.", part(schema)));
    text +=
        &format!("  self.table_name = {}\n", quoted(&format!("{}{}", schema.unwrap_or_default(), part(model.table))));
    text += &match &model.key[..] {
        [] => "  # no fields tell its rows apart: it can be read and inserted into, not saved again\n".to_owned(),
        key => format!("  self.primary_key = {}\n", fields(key)),
    };
    for refers in &model.relations {
        let optional = if refers.is_optional { ", optional: true" } else { "" };
        let how = between(models, refers);
        text += &format!(
            "  belongs_to :{}, class_name: {}, {how}{optional}\n",
            refers.name,
            quoted(&models[refers.to].class)
        );
    }
    for (refers, from) in &model.referred {
        let many = if refers.is_single { "has_one" } else { "has_many" };
        text += &format!("  {many} :{}, class_name: {}, {}\n", refers.back, quoted(from), between(models, refers));
    }
    // The empty text is a value to PostgreSQL, so `presence` would ask for too much.
    let is_told = |name: &Ident| model.key.contains(name) || model.relations.iter().any(|r| r.fields.contains(name));
    let wanted = model.fields.iter().map(|(f, _)| *f).filter(|f| f.shape.not_null && !Model::fills(f));
    let wanted: Vec<String> =
        wanted.filter(|f| !is_told(&f.shape.name)).map(|f| quoted(f.shape.name.as_str())).collect();
    if !wanted.is_empty() {
        text += &format!("  validates {}, exclusion: {{ in: [nil], message: 'is NULL' }}\n", wanted.join(", "));
    }
    text + "end\n"
}

/// How a row is found by another.
fn between(models: &[Model], refers: &Refers) -> String {
    let key = if models[refers.to].key == refers.referred {
        String::new()
    } else {
        format!(", primary_key: {}", fields(&refers.referred))
    };
    format!("foreign_key: {}{key}", fields(&refers.fields))
}

/// One field, or several as Rails 7.1 and later take them.
fn fields(names: &[Ident]) -> String {
    let all: Vec<String> = names.iter().map(|name| quoted(name.as_str())).collect();
    if let [one] = &all[..] { one.clone() } else { format!("[{}]", all.join(", ")) }
}

/// A part of a table's name, which is read as `extract_schema_qualified_name` does: at dots outside of quotes.
fn part(name: &Ident) -> String {
    if name.as_str().contains(['.', '"']) { format!("\"{}\"", name.as_str()) } else { name.as_str().to_owned() }
}

/// In single quotes, where Ruby knows two escapes and puts nothing in.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
