//! `merge-fields`: several fields become one.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::reshape::{Reshape, Told, back_with};
use crate::catalogue::split_field::SplitField;
use crate::catalogue::{Refactor, Refactoring};
use crate::name::{FieldRef, Ident, NameError};
use crate::refusal::Refusal;
use crate::schema;
use crate::sql::{Expression, TypeName};
use crate::version::Version;

/// Make one field of several.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeFields {
    /// First field, as in `people.first_name`
    pub field: FieldRef,
    /// The other fields of the same table, with it or without
    #[arg(required = true, value_name = "FIELD", value_parser = other)]
    pub with: Vec<Ident>,
    /// Name of the one field
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Ident>)]
    pub into: Ident,
    /// Its type
    #[arg(long = "type", value_name = "TYPE", default_value = "text")]
    #[serde(rename = "type")]
    pub type_name: TypeName,
    /// Its value, from the several
    #[arg(long, value_name = "EXPRESSION")]
    pub by: Expression,
    /// The value of each of the several, from the one; once each, in their order
    #[arg(long, value_name = "EXPRESSION", required = true)]
    pub back: Vec<Expression>,
    /// Refactoring whose kept originals come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// Field that it stands before, instead of last
    #[arg(long, hide = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ident>,
    /// What comes back with it: rules and indexes
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brings: Vec<Refactoring>,
}

/// A field, said with its table or without; the table is looked at once it is known which one is meant.
fn other(text: &str) -> Result<Ident, NameError> {
    text.parse().or_else(|alone: NameError| {
        let whole: FieldRef = text.parse().map_err(|_| alone)?;
        Ok(Ident::new(format!("{}.{}", whole.table, whole.field.as_str())))
    })
}

impl MergeFields {
    fn from(&self) -> Vec<Ident> {
        std::iter::once(self.field.field.clone()).chain(self.others()).collect()
    }

    /// The fields after the first, whether their table was said again or not.
    fn others(&self) -> impl Iterator<Item = Ident> {
        let table = format!("{}.", self.field.table);
        self.with
            .iter()
            .map(move |f| f.as_str().strip_prefix(&table).and_then(|f| f.parse().ok()).unwrap_or_else(|| f.clone()))
    }
}

impl Refactor for MergeFields {
    fn wish(&self) -> String {
        let others: Vec<String> = self.others().map(|f| format!("`{f}`")).collect();
        format!("merge `{}`, {} into `{}`", self.field, others.join(", "), self.into)
    }

    fn slug(&self) -> String {
        format!("merge-into-{}-in-{}", self.into.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let from = self.from();
        if self.back.len() != from.len() {
            return Err(Refusal::NeedsValue(
                format!(
                    "{} fields are merged, but {} given",
                    from.len(),
                    match self.back.len() {
                        1 => "one way back is".to_owned(),
                        n => format!("{n} ways back are"),
                    }
                ),
                "give `--back` once for each field, in their order".into(),
            ));
        }
        let shape = schema::Field { type_name: self.type_name.to_string(), ..schema::Field::named(self.into.clone()) };
        let reshape = Reshape {
            restores: self.restores.clone(),
            before: self.before.clone(),
            brings: self.brings.clone(),
            ..Reshape::new(self.field.table.clone(), from, vec![Told { shape, by: self.by.clone() }], self.back.clone())
        };
        reshape.after(step, before)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let from = self.from();
        let mut types = Vec::new();
        let mut following = None;
        for name in &from {
            let (relation, field) =
                before.find_field(&FieldRef { table: self.field.table.clone(), field: name.clone() })?;
            types.push(
                field
                    .shape
                    .type_name
                    .parse()
                    .map_err(|e: crate::sql::ExpressionError| Refusal::Expression(e.to_string()))?,
            );
            following = relation.following(name).filter(|f| !from.contains(f));
        }
        Ok(Refactoring::SplitField(SplitField {
            field: FieldRef { table: self.field.table.clone(), field: self.into.clone() },
            brings: back_with(before, before.find_own(&self.field.table)?, &from, false),
            into: from,
            types,
            by: self.back.clone(),
            back: self.by.clone(),
            restores: Some(step.to_owned()),
            before: following,
        }))
    }
}
