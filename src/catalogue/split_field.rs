//! `split-field`: one field becomes several.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::merge_fields::MergeFields;
use crate::catalogue::reshape::{Reshape, Told, back_with};
use crate::catalogue::{Refactor, Refactoring};
use crate::name::{FieldRef, Ident};
use crate::refusal::Refusal;
use crate::schema;
use crate::sql::{Expression, TypeName};
use crate::version::Version;

/// Make several fields of one.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitField {
    /// Field to split, as in `people.name`
    pub field: FieldRef,
    /// Names of the several
    #[arg(long, value_name = "NAME", value_delimiter = ',', required = true, value_parser = str::parse::<Ident>)]
    pub into: Vec<Ident>,
    /// Their types, in their order [default: text]
    #[arg(long = "types", value_name = "TYPE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<TypeName>,
    /// The value of each, from the one; once each, in their order
    #[arg(long, value_name = "EXPRESSION", required = true)]
    pub by: Vec<Expression>,
    /// The value of the one, from the several
    #[arg(long, value_name = "EXPRESSION")]
    pub back: Expression,
    /// Refactoring whose kept originals come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// Field that they stand before, instead of last
    #[arg(long, hide = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ident>,
    /// What comes back with it: rules and indexes
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brings: Vec<Refactoring>,
}

impl Refactor for SplitField {
    fn wish(&self) -> String {
        let into: Vec<String> = self.into.iter().map(|f| format!("`{f}`")).collect();
        format!("split `{}` into {}", self.field, into.join(", "))
    }

    fn slug(&self) -> String {
        format!("split-{}-in-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        if self.by.len() != self.into.len() || !(self.types.is_empty() || self.types.len() == self.into.len()) {
            return Err(Refusal::NeedsValue(
                format!(
                    "{} fields are wanted, but {} values and {} types are given",
                    self.into.len(),
                    self.by.len(),
                    self.types.len()
                ),
                "give `--by` once for each field, in their order, and `--types` for all or none".into(),
            ));
        }
        let type_of = |at: usize| self.types.get(at).map_or_else(|| "text".to_owned(), ToString::to_string);
        let told = self.into.iter().zip(&self.by).enumerate().map(|(at, (name, by))| Told {
            shape: schema::Field { type_name: type_of(at), ..schema::Field::named(name.clone()) },
            by: by.clone(),
        });
        let reshape = Reshape {
            restores: self.restores.clone(),
            stays: (self.into.len() == 1).then_some((0, 0)),
            before: self.before.clone(),
            brings: self.brings.clone(),
            ..Reshape::new(
                self.field.table.clone(),
                vec![self.field.field.clone()],
                told.collect(),
                vec![self.back.clone()],
            )
        };
        reshape.after(step, before)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        let (first, rest) =
            self.into.split_first().ok_or_else(|| Refusal::Nothing("it is split into nothing".into()))?;
        Ok(Refactoring::MergeFields(MergeFields {
            field: FieldRef { table: self.field.table.clone(), field: first.clone() },
            with: rest.to_vec(),
            into: field.shape.name.clone(),
            type_name: field
                .shape
                .type_name
                .parse()
                .map_err(|e: crate::sql::ExpressionError| Refusal::Expression(e.to_string()))?,
            by: self.back.clone(),
            back: self.by.clone(),
            brings: back_with(before, relation, std::slice::from_ref(&self.field.field), false),
            restores: Some(step.to_owned()),
            before: relation.following(&field.shape.name),
        }))
    }
}
