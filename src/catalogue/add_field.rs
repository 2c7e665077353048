//! `add-field`: a new field with a default, or computed from the row until it is written.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_field::DropField;
use crate::catalogue::{Refactor, Refactoring, bring_along, entangled};
use crate::fact::{Claim, Fact, Words};
use crate::name::{FieldRef, Ident, TableRef};
use crate::refusal::{Refusal, similar};
use crate::relation::{Field, Home};
use crate::schema;
use crate::sql::{Expression, TypeName};
use crate::version::{Added, Version};

/// Add a field.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddField {
    /// Field to add, as in `orders.note`
    pub field: FieldRef,
    /// Type, as in `numeric(10,2)`
    #[serde(rename = "type")]
    #[arg(value_name = "TYPE")]
    pub type_name: TypeName,
    /// Value of the rows that exist, and of new ones that name none
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Expression>,
    /// Value of the rows that exist, computed from their other fields
    #[arg(long = "as", value_name = "EXPRESSION")]
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub expression: Option<Expression>,
    /// Value of the rows that exist, where the default changes over time
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "expression")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<Expression>,
    /// Refuse NULL in it
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_null: bool,
    /// Collation, if it is not the type's own
    #[arg(long, hide = true, value_name = "COLLATION", value_parser = str::parse::<TableRef>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<TableRef>,
    /// Refactoring whose kept values the field starts with
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
    pub with: Vec<Refactoring>,
}

/// Functions of the moment, and what only says it otherwise.
const MOMENT: [&str; 9] = [
    "now",
    "current_timestamp",
    "transaction_timestamp",
    "statement_timestamp",
    "clock_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
];
const OTHERWISE: [&str; 3] = ["timezone", "date_trunc", "date"];

impl AddField {
    /// What the rows that exist get where that is the moment, which is one for all of them: the one of declaring.
    #[must_use]
    pub fn moment(&self) -> Option<&Expression> {
        let told = self.existing.as_ref().or(self.default.as_ref().filter(|_| self.expression.is_none()))?;
        let names = told.functions();
        let known = names.iter().all(|n| MOMENT.contains(&n.as_str()) || OTHERWISE.contains(&n.as_str()));
        (known && names.iter().any(|n| MOMENT.contains(&n.as_str()))).then_some(told)
    }
}

impl Refactor for AddField {
    fn wish(&self) -> String {
        format!("add field `{}`", self.field)
    }

    fn slug(&self) -> String {
        format!("add-{}-to-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let relation = before.find_own(&self.field.table)?;
        let name = self.field.field.clone();
        entangled::must_be_free(relation, &name, "choose another name")?;
        if let "serial" | "smallserial" | "bigserial" = self.type_name.to_string().to_lowercase().as_str() {
            return Err(Refusal::Other {
                why: format!("`{}` is no type, but short for one with numbers from a sequence", self.type_name),
                hint: Some(
                    "add it as `int`, `smallint` or `bigint`; give it a sequence or an identity once it is real".into(),
                ),
            });
        }
        let key = entangled::row_key(before, relation)?;
        let domain = before.schema.domain(&self.type_name.to_string());
        let shared = domain.is_none();
        let domain = domain.cloned().unwrap_or_default();
        let unreadable = |e: crate::sql::ExpressionError| Refusal::Expression(e.to_string());
        let told = domain.default.as_deref().map(Expression::parse).transpose().map_err(unreadable)?;
        let default = self.default.clone().or(told);
        let not_null = self.not_null || domain.not_null;
        if not_null
            && default.is_none()
            && self.existing.is_none()
            && self.expression.is_none()
            && self.restores.is_none()
        {
            return Err(Refusal::NeedsValue(
                "a field that may not be NULL needs a value for the rows that exist".into(),
                "give one with `--default` or `--as`".into(),
            ));
        }
        let constants = [&default, &self.existing];
        if let Some(default) = constants.into_iter().flatten().find(|d| !d.fields().is_empty()) {
            return Err(Refusal::Expression(format!("`{default}` reads a field; only `--as` may")));
        }
        let seed = match &self.expression {
            None => self.existing.clone().or_else(|| default.clone()),
            Some(expression) => {
                if let Some(field) = expression.fields().into_iter().find(|f| relation.field(f).is_none()) {
                    let names = relation.fields.iter().map(|f| f.shape.name.as_str());
                    return Err(Refusal::NoField {
                        table: relation.name.clone(),
                        similar: similar(field.as_str(), names),
                        field,
                    });
                }
                Some(before.over_base(relation, expression)?)
            }
        };
        let relation_name = relation.name.clone();
        let base = relation.base.clone();
        let mut after = before.clone();
        let at = after.added.len();
        if let Some(seed) = &seed {
            after.facts.push(Fact {
                step: step.to_owned(),
                claim: Claim::Fits {
                    table: base.clone(),
                    expression: seed.to_string(),
                    type_name: self.type_name.to_string(),
                    not_null,
                    rows: relation.rows_shown(),
                    words: Words { table: relation_name.clone(), field: name.clone(), other: relation_name.clone() },
                },
            });
        }
        after.added.push(Added {
            step: step.to_owned(),
            id: entangled::generated_id(step, &name),
            table: base,
            key,
            type_name: self.type_name.to_string(),
            seed,
            copied: None,
            restores: self.restores.clone(),
            shared,
        });
        let shape = schema::Field {
            type_name: self.type_name.to_string(),
            not_null,
            default: default.as_ref().map(ToString::to_string),
            collation: self.collation.as_ref().map(TableRef::sql),
            ..schema::Field::named(name)
        };
        after.change(&relation_name, step).insert_field(Field { shape, home: Home::Added(at) }, self.before.as_ref());
        bring_along(&self.with, step, after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let kind = self.type_name.to_string();
        let domain = before.schema.domain(&kind);
        let needs = self.default.is_none()
            && self.not_null.max(domain.is_some_and(|d| d.not_null))
            && domain.is_none_or(|d| d.default.is_none());
        let existing = self.existing.clone().filter(Expression::is_constant);
        let neutral = || entangled::neutral(&kind).and_then(|v| Expression::parse(v).ok());
        let default = if needs { existing.or_else(neutral) } else { None };
        Ok(Refactoring::DropField(DropField { field: self.field.clone(), default }))
    }
}
