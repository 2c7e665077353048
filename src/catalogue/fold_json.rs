//! `fold-json`: a field becomes what stands under a key of a JSON object.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::extract_json::{ExtractJson, Place};
use crate::catalogue::reshape::{Reshape, Told};
use crate::catalogue::{Refactor, Refactoring};
use crate::name::{FieldRef, Ident};
use crate::refusal::Refusal;
use crate::sql::{Expression, ExpressionError};
use crate::version::Version;

/// Put a field under a key of JSON objects.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldJson {
    /// Field to fold, as in `events.kind`
    pub field: FieldRef,
    /// Field of the same table with the objects
    #[arg(long, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    pub into: Ident,
    /// Key in them [default: the name of the field]
    #[arg(long, value_name = "KEY")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Keys that lead to the object which gets it, from the outermost; once for each
    #[arg(long = "in", value_name = "KEY")]
    #[serde(default, rename = "in", skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<String>,
    /// Refactoring whose kept originals come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
}

impl FoldJson {
    fn key(&self) -> &str {
        self.key.as_deref().unwrap_or_else(|| self.field.field.as_str())
    }

    fn document(&self) -> FieldRef {
        FieldRef { table: self.field.table.clone(), field: self.into.clone() }
    }
}

impl Refactor for FoldJson {
    fn wish(&self) -> String {
        format!("fold `{}` into `{}`", self.field, self.into)
    }

    fn slug(&self) -> String {
        format!("fold-{}-into-{}-in-{}", self.field.field.as_str(), self.into.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (_, document) = before.find_field(&self.document())?;
        let (_, field) = before.find_field(&self.field)?;
        let place = Place::new(document, &self.within, self.key())?;
        let (value, name) = (&field.shape.name, &document.shape.name);
        let reshape = Reshape {
            restores: self.restores.clone(),
            stays: Some((0, 0)),
            ..Reshape::new(
                self.field.table.clone(),
                vec![name.clone(), value.clone()],
                vec![Told { shape: document.shape.clone(), by: place.with(name, value, &field.shape.type_name)? }],
                vec![place.without(name)?, place.value(name, &field.shape.type_name)?],
            )
        };
        reshape.after(step, before)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (_, document) = before.find_field(&self.document())?;
        let (relation, field) = before.find_field(&self.field)?;
        let unreadable = |e: ExpressionError| Refusal::Expression(e.to_string());
        Ok(Refactoring::ExtractJson(ExtractJson {
            field: FieldRef { table: self.field.table.clone(), field: document.shape.name.clone() },
            key: self.key().to_owned(),
            type_name: field.shape.type_name.parse().map_err(unreadable)?,
            name: Some(field.shape.name.clone()),
            within: self.within.clone(),
            not_null: field.shape.not_null,
            default: field.shape.default.as_deref().map(Expression::parse).transpose().map_err(unreadable)?,
            restores: Some(step.to_owned()),
            before: relation.following(&field.shape.name),
        }))
    }
}
