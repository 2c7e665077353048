//! `change-type`: the same field in another type, or in other codes.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::reshape::{Reshape, Told, replaced};
use crate::catalogue::{Refactor, Refactoring};
use crate::name::{FieldRef, Ident};
use crate::refusal::Refusal;
use crate::sql::{Expression, TypeName};
use crate::version::Version;

/// Give a field another type.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeType {
    /// Field to change, as in `orders.paid`
    pub field: FieldRef,
    /// New type
    #[serde(rename = "type")]
    #[arg(value_name = "TYPE")]
    pub type_name: TypeName,
    /// New value, computed from the old one [default: a cast]
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub using: Option<Expression>,
    /// Old value, computed from the new one [default: a cast]
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Expression>,
    /// New default [default: the old one, converted]
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Expression>,
    /// Refactoring whose kept originals come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
}

impl ChangeType {
    fn cast(name: &Ident, type_name: &str) -> Result<Expression, Refusal> {
        Expression::parse(&format!("{name}::{type_name}")).map_err(|e| Refusal::Expression(e.to_string()))
    }
}

impl Refactor for ChangeType {
    fn wish(&self) -> String {
        format!("change the type of `{}` to {}", self.field, self.type_name)
    }

    fn slug(&self) -> String {
        format!("change-type-of-{}", self.field.field.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (_, field) = before.find_field(&self.field)?;
        let old = &field.shape;
        if old.type_name == self.type_name.to_string() && self.using.is_none() {
            return Err(Refusal::Nothing(format!("it has the type {} already", old.type_name)));
        }
        let using = self.using.clone().map_or_else(|| Self::cast(&old.name, &self.type_name.to_string()), Ok)?;
        let back = self.back.clone().map_or_else(|| Self::cast(&old.name, &old.type_name), Ok)?;
        let converted = |default: &String| format!("({})::{}", replaced(&using, &old.name, default), self.type_name);
        let default = self.default.as_ref().map(ToString::to_string).or_else(|| old.default.as_ref().map(converted));
        let shape = crate::schema::Field {
            type_name: self.type_name.to_string(),
            default,
            collation: None,
            storage: None,
            compression: None,
            ..old.clone()
        };
        let reshape = Reshape {
            table: self.field.table.clone(),
            from: vec![old.name.clone()],
            to: vec![Told { shape, by: using }],
            back: vec![back],
            restores: self.restores.clone(),
            before: None,
        };
        reshape.after(step, before)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (_, field) = before.find_field(&self.field)?;
        let old = &field.shape;
        let unreadable = |e: crate::sql::ExpressionError| Refusal::Expression(e.to_string());
        Ok(Refactoring::ChangeType(Self {
            field: self.field.clone(),
            type_name: old.type_name.parse().map_err(unreadable)?,
            using: self.back.clone(),
            back: self.using.clone(),
            default: old.default.as_deref().map(Expression::parse).transpose().map_err(unreadable)?,
            restores: Some(step.to_owned()),
        }))
    }
}
