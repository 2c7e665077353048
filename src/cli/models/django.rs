//! For Django: whole models, which it does not manage. What `inspectdb` would write if views had keys.

use super::words::quoted;
use super::{Model, Refers};
use crate::name::Ident;
use crate::relation::Field;

/// The models.
pub fn text(models: &[Model]) -> String {
    let all: Vec<String> = models.iter().filter(|m| m.is_wanted).map(|model| one(models, model)).collect();
    if all.is_empty() { String::new() } else { format!("from django.db import models\n\n\n{}", all.join("\n\n")) }
}

fn one(models: &[Model], model: &Model) -> String {
    let mut text = format!("class {}(models.Model):\n", model.class);
    if model.key.len() > 1 {
        // It wants what a foreign key stores, not the row that it leads to.
        let stored = |field| match leads(model, field) {
            Some(refers) => quoted(&format!("{}_id", refers.name)),
            None => quoted(model.called(field)),
        };
        let key: Vec<String> = model.key.iter().map(stored).collect();
        text += &format!("    pk = models.CompositePrimaryKey({})\n", key.join(", "));
    }
    if model.key.is_empty() {
        text += "    # no fields tell its rows apart: name some by `primary_key=True`, or read it with `values()`\n";
    }
    for (field, name) in &model.fields {
        text += &if let Some(refers) = leads(model, &field.shape.name) {
            relation(models, model, field, refers)
        } else {
            let (kind, mut options) = kind(field, model.key == [field.shape.name.clone()]);
            options.extend(common(model, field, name));
            format!("    {name} = models.{kind}({})\n", options.join(", "))
        };
    }
    for refers in model.relations.iter().filter(|refers| refers.fields.len() > 1) {
        let fields: Vec<String> = refers.fields.iter().map(|f| quoted(f.as_str())).collect();
        let to = quoted(&models[refers.to].class);
        text += &format!("    # {} lead to {to}: a ForeignKey has one field\n", fields.join(" and "));
    }
    text += "\n    class Meta:\n        managed = False\n";
    let sql = |name: &Ident| format!("\"{}\"", name.as_str().replace('"', "\"\""));
    // What is in quotes Django takes as it is.
    let table = match &model.schema {
        Some(schema) => format!("{}.{}", sql(schema), sql(model.table)),
        None if model.table.as_str().contains('"') => sql(model.table),
        None => model.table.as_str().to_owned(),
    };
    text += &format!("        db_table = {}\n", quoted(&table));
    for fields in model.unique.iter().filter(|fields| fields.len() > 1) {
        let names: Vec<String> = fields.iter().map(|field| quoted(name_of(model, field))).collect();
        text += &format!("        unique_together = (({}),)\n", names.join(", "));
    }
    text
}

/// The foreign key that a field alone is.
fn leads<'m>(model: &'m Model, field: &Ident) -> Option<&'m Refers> {
    model.relations.iter().find(|refers| refers.fields == std::slice::from_ref(field))
}

fn name_of<'m>(model: &'m Model, field: &Ident) -> &'m str {
    leads(model, field).map_or_else(|| model.called(field), |refers| &refers.name)
}

fn relation(models: &[Model], model: &Model, field: &Field, refers: &Refers) -> String {
    let there = &models[refers.to];
    let kind = if refers.is_single { "OneToOneField" } else { "ForeignKey" };
    let mut options = vec![quoted(&there.class), "models.DO_NOTHING".to_owned()];
    if there.key != refers.referred {
        options.extend(refers.referred.iter().map(|field| format!("to_field={}", quoted(name_of(there, field)))));
    }
    options.push(format!("related_name={}", quoted(&refers.back)));
    // Django asks for a field's name with `_id` behind.
    let own = if field.shape.name.as_str() == format!("{}_id", refers.name) { field.shape.name.as_str() } else { "" };
    let more = common(model, field, own).into_iter().filter(|option| !(option == "unique=True" && refers.is_single));
    options.extend(more);
    format!("    {} = models.{kind}({})\n", refers.name, options.join(", "))
}

/// What any field may say.
fn common(model: &Model, field: &Field, name: &str) -> Vec<String> {
    let column = &field.shape.name;
    let alone = std::slice::from_ref(column);
    let options = [
        (model.key == alone, "primary_key=True".to_owned()),
        (model.unique.iter().any(|fields| fields == alone), "unique=True".to_owned()),
        (!field.shape.not_null, "null=True, blank=True".to_owned()),
        (column.as_str() != name, format!("db_column={}", quoted(column.as_str()))),
    ];
    options.into_iter().filter_map(|(holds, option)| holds.then_some(option)).collect()
}

/// The class of a field, and what it must be told, as `DatabaseIntrospection.data_types_reverse` has it.
fn kind(field: &Field, is_key: bool) -> (&'static str, Vec<String>) {
    let shape = &field.shape;
    let type_name = crate::sql::type_names::without_modifier(&shape.type_name);
    let modifier = shape.type_name.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inside, _)| inside);
    let sizes: Vec<&str> = modifier
        .filter(|m| m.chars().all(|c| c.is_ascii_digit() || c == ','))
        .map_or(vec![], |m| m.split(',').collect());
    let is_numbered = is_key && (shape.identity.is_some() || shape.sequence.is_some());
    let plain = |kind| (kind, Vec::new());
    match (type_name.as_str(), &sizes[..]) {
        ("smallint", _) => plain(if is_numbered { "SmallAutoField" } else { "SmallIntegerField" }),
        ("integer", _) => plain(if is_numbered { "AutoField" } else { "IntegerField" }),
        ("bigint", _) => plain(if is_numbered { "BigAutoField" } else { "BigIntegerField" }),
        ("boolean", _) => plain("BooleanField"),
        ("real" | "double precision", _) => plain("FloatField"),
        ("numeric", [digits, places]) => {
            ("DecimalField", vec![format!("max_digits={digits}"), format!("decimal_places={places}")])
        }
        ("character varying" | "character", [length]) => ("CharField", vec![format!("max_length={length}")]),
        ("date", _) => plain("DateField"),
        ("time without time zone", _) => plain("TimeField"),
        ("timestamp without time zone" | "timestamp with time zone", _) => plain("DateTimeField"),
        ("interval", _) => plain("DurationField"),
        ("uuid", _) => plain("UUIDField"),
        ("jsonb", _) => plain("JSONField"),
        ("bytea", _) => plain("BinaryField"),
        ("inet", _) => plain("GenericIPAddressField"),
        // Any other value can be read and written as its text.
        _ => plain("TextField"),
    }
}
