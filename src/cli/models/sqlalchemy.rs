//! For `SQLAlchemy`: what reflected tables lack, to be said before `prepare()` of automap or a declared class takes them.

use std::collections::BTreeMap;

use super::Model;
use super::words::{Names, quoted};
use crate::name::Ident;

/// A module that has a `metadata` and an `engine`.
pub fn text(models: &[Model]) -> String {
    let wanted = || models.iter().filter(|model| model.is_wanted);
    if wanted().next().is_none() {
        return String::new();
    }
    let mut text =
        "from sqlalchemy import ForeignKeyConstraint, PrimaryKeyConstraint, Table, UniqueConstraint\n\n".to_owned();
    // Those that are only referred to must be known, too.
    let is_named = |at: usize| models[at].is_wanted || wanted().any(|m| m.relations.iter().any(|r| r.to == at));
    let mut names = Names::default();
    for taken in ["metadata", "engine"] {
        names.take(taken);
    }
    let mut variables = BTreeMap::new();
    for (at, model) in models.iter().enumerate().filter(|(at, _)| is_named(*at)) {
        let variable = names.take(&super::plain(model.table.as_str()));
        let schema =
            model.schema.as_ref().map(|schema| format!(", schema={}", quoted(schema.as_str()))).unwrap_or_default();
        let table = quoted(model.table.as_str());
        text += &format!("{variable} = Table({table}, metadata{schema}, autoload_with=engine)\n");
        variables.insert(at, variable);
    }
    for (at, model) in models.iter().enumerate().filter(|(_, model)| model.is_wanted) {
        text += &one(model, &variables[&at], &variables);
    }
    text
}

fn one(model: &Model, variable: &str, variables: &BTreeMap<usize, String>) -> String {
    let columns = |of: &str, fields: &[Ident]| {
        let all = fields.iter().map(|field| format!("{of}.c[{}]", quoted(field.as_str())));
        all.collect::<Vec<_>>().join(", ")
    };
    let mut text = "\n".to_owned();
    let mut rule = |rule: String| text += &format!("{variable}.append_constraint({rule})\n");
    if !model.key.is_empty() {
        rule(format!("PrimaryKeyConstraint({})", columns(variable, &model.key)));
    }
    for fields in &model.unique {
        rule(format!("UniqueConstraint({})", columns(variable, fields)));
    }
    for refers in &model.relations {
        let there = columns(&variables[&refers.to], &refers.referred);
        rule(format!("ForeignKeyConstraint([{}], [{there}])", columns(variable, &refers.fields)));
    }
    if model.key.is_empty() {
        text += &format!(
            "# no fields tell the rows of {} apart: no class can be mapped to it\n",
            quoted(model.table.as_str())
        );
    }
    for (field, _) in model.fields.iter().filter(|(f, _)| f.shape.not_null && !model.key.contains(&f.shape.name)) {
        text += &format!("{}.nullable = False\n", columns(variable, std::slice::from_ref(&field.shape.name)));
    }
    text
}
