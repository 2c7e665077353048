//! `invert-flag`: a field that is true where another was false.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::reshape::{Reshape, Told, back_with, replaced};
use crate::catalogue::{Refactor, Refactoring};
use crate::name::{FieldRef, Ident};
use crate::refusal::Refusal;
use crate::schema;
use crate::sql::{Expression, codes};
use crate::version::Version;

/// Turn a boolean field round, under a name that says so.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvertFlag {
    /// Field to turn round, as in `users.disabled`
    pub field: FieldRef,
    /// Its new name, as in `enabled`
    #[arg(value_name = "NAME", value_parser = str::parse::<Ident>)]
    pub to: Ident,
    /// Refactoring whose kept originals come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// What comes back with it: rules and indexes
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brings: Vec<Refactoring>,
}

fn not(expression: &str) -> Result<Expression, Refusal> {
    Expression::parse(&format!("NOT {expression}")).map_err(|e| Refusal::Expression(e.to_string()))
}

/// The default turned round; a constant stays one.
fn inverted(by: &Expression, field: &Ident, default: &str) -> String {
    let constant = Expression::parse(default).ok().and_then(|d| codes::constant(&d));
    match constant.flatten().as_deref() {
        Some("true") => "false".into(),
        Some("false") => "true".into(),
        _ => replaced(by, field, default),
    }
}

impl Refactor for InvertFlag {
    fn wish(&self) -> String {
        format!("turn `{}` round into `{}`", self.field, self.to)
    }

    fn slug(&self) -> String {
        format!("{}-for-{}-in-{}", self.to.as_str(), self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (_, field) = before.find_field(&self.field)?;
        let old = &field.shape;
        if old.type_name != "boolean" {
            return Err(Refusal::Other {
                why: format!(
                    "`{}` is of type {}, and only true and false can be turned round",
                    self.field, old.type_name
                ),
                hint: Some("give it the type boolean first: `refactor change-type`".into()),
            });
        }
        if self.to == old.name {
            return Err(Refusal::NeedsValue(
                format!("`{}` would mean the opposite of what old code knows by this name", self.to),
                "choose another name".into(),
            ));
        }
        let by = not(&old.name.to_string())?;
        let default = old.default.as_ref().map(|default| inverted(&by, &old.name, default));
        let reshape = Reshape {
            restores: self.restores.clone(),
            stays: Some((0, 0)),
            brings: self.brings.clone(),
            ..Reshape::new(
                self.field.table.clone(),
                vec![old.name.clone()],
                vec![Told { shape: schema::Field { name: self.to.clone(), default, ..old.clone() }, by }],
                vec![not(&self.to.to_string())?],
            )
        };
        reshape.after(step, before)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        Ok(Refactoring::InvertFlag(Self {
            field: FieldRef { table: self.field.table.clone(), field: self.to.clone() },
            to: field.shape.name.clone(),
            brings: back_with(before, relation, std::slice::from_ref(&field.shape.name), true),
            restores: Some(step.to_owned()),
        }))
    }
}
