//! `drop-field`: a field that nobody sees any more.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::add_calculated::AddCalculated;
use crate::catalogue::add_field::AddField;
use crate::catalogue::drop_constraint::DropConstraint;
use crate::catalogue::drop_index::DropIndex;
use crate::catalogue::entangled::{self, Purpose};
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::fact::{Elsewhere, Loss, LossKind, Words};
use crate::name::{FieldRef, Ident, TableRef};
use crate::refusal::Refusal;
use crate::relation::{Condition, Field, Hidden, Home, Relation, Stores};
use crate::schema::Index;
use crate::sql::Expression;
use crate::version::{RemarkKind, Version};

/// Remove a field.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropField {
    /// Field to remove, as in `orders.city`
    pub field: FieldRef,
    /// What old code finds in it for rows that new code inserts
    #[arg(long = "fill", alias = "default", value_name = "EXPRESSION")]
    #[serde(default, rename = "fill", alias = "default", skip_serializing_if = "Option::is_none")]
    pub default: Option<Expression>,
}

impl DropField {
    /// What new rows store in the field. Where it tells to which table they belong, that is what it says there.
    fn within_its_part(&self, relation: &Relation, column: &Ident) -> Result<Option<Expression>, Refusal> {
        let mut telling = relation.conditions().iter().filter(|c| c.holds.fields().contains(column)).peekable();
        let Some(step) = telling.peek().map(|c| c.step.clone()) else { return Ok(self.default.clone()) };
        let other = |c: &Condition| {
            let excluded = c.holds.excluded().into_iter().find(|(name, _)| name == column);
            matches!((excluded, &self.default), (Some((_, value)), Some(d)) if d.is_constant() && d.to_string() != value)
        };
        if relation.conditions().iter().filter(|c| c.holds.fields().contains(column)).all(other) {
            return Ok(self.default.clone());
        }
        let constant = telling.find_map(|c| c.holds.constants().into_iter().find(|(name, _)| name == column));
        match constant.map(|(_, value)| value) {
            Some(value) if self.default.as_ref().is_none_or(|d| d.to_string() == value) => {
                Ok(Some(Expression::parse(&value).map_err(|e| Refusal::Expression(e.to_string()))?))
            }
            Some(value) => Err(Refusal::Entangled {
                field: self.field.clone(),
                role: format!("is {value} in every row of its table, as {step} says"),
                hint: Some("leave `--fill` out".into()),
            }),
            None => Err(Refusal::Entangled {
                field: self.field.clone(),
                role: format!("tells which rows its table has until {step} is materialized"),
                hint: Some("materialize that refactoring first: `refactor materialize`".into()),
            }),
        }
    }
}

impl Refactor for DropField {
    fn wish(&self) -> String {
        format!("drop field `{}`", self.field)
    }

    fn slug(&self) -> String {
        format!("drop-{}-from-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        if let Home::Shaped(..) | Home::Numbered(_) = field.home {
            let step = before.put_there_by(relation, field);
            return Err(Refusal::NotMaterialized { field: self.field.clone(), step });
        }
        let mut after = before.clone();
        let (name, shape, home) = (relation.name.clone(), field.shape.clone(), field.home);
        let column = relation.column(&before.schema, field).cloned();
        let default = match &column {
            Some(column) => self.within_its_part(relation, column)?,
            None => self.default.clone(),
        };
        entangled::check(before, relation, field, Purpose::Drop)?;
        entangled::note(&mut after, step, relation, field, Purpose::Drop);
        // As old code keeps it, and as it will be if what put it there, or its rules, become real before this does.
        let empty = |f: &crate::schema::Field| f.not_null && f.default.is_none();
        let needs_value = empty(&shape) || rule::stored(before, relation, field).is_some_and(empty);
        if needs_value && shape.identity.is_none() && default.is_none() {
            return Err(Refusal::NeedsValue(
                "it is NOT NULL and has no default, so new code could insert no row while old code still needs it"
                    .into(),
                entangled::value_hint("--fill", &field.shape.type_name),
            ));
        }
        if let Some(sequence) = shape.sequence.as_ref().filter(|_| matches!(home, Home::Own(_))) {
            let text = format!("`{}`, which numbers `{}`", sequence.short(), shape.name);
            after.remark(step, RemarkKind::Lost, text);
        }
        let kind = match home {
            Home::Own(_) => Some(LossKind::All).filter(|_| shape.generated.is_none()),
            Home::Carried(at) => Some(LossKind::Unreal(Elsewhere::Carried(at))),
            Home::Added(at) => Some(LossKind::Unreal(Elsewhere::Added(at))),
            Home::Looked(at, member) => Some(LossKind::Unreal(Elsewhere::Looked(at, member))),
            Home::Shaped(..) | Home::Numbered(_) | Home::Calculated(_) | Home::United(_) => None,
        };
        after.losses.extend(kind.map(|kind| Loss {
            step: step.to_owned(),
            table: relation.base.clone(),
            columns: column.iter().cloned().collect(),
            rows: relation.rows_shown(),
            kind,
            key: Vec::new(),
            kept: String::new(),
            words: Words { table: name.clone(), field: shape.name.clone(), other: name.clone() },
        }));
        let changed = after.change(&name, step);
        changed.remove_fields(std::slice::from_ref(&shape.name));
        if let (Home::Looked(at, member), Some(default)) = (home, &default) {
            after.lookups[at].left.push((member, default.clone()));
        }
        let changed = after.change(&name, step);
        if let (Home::Own(_), Some(column)) = (home, column) {
            let stores = default.map_or(Stores::BaseDefault, Stores::Value);
            changed.hidden.push(Hidden { column, stores });
        }
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        let unreadable = |e: crate::sql::ExpressionError| Refusal::Expression(e.to_string());
        if let Some(expression) = calculation(before, relation, field) {
            return Ok(Refactoring::AddCalculated(AddCalculated {
                field: self.field.clone(),
                type_name: field.shape.type_name.parse().map_err(unreadable)?,
                expression,
                before: relation.following(&field.shape.name),
                with: hung_on(before, relation, std::slice::from_ref(&field.shape.name)),
            }));
        }
        // Its sequence goes with it.
        let default = field.shape.default.as_deref().filter(|_| field.shape.sequence.is_none());
        let default = default.map(Expression::parse).transpose().map_err(unreadable)?;
        Ok(Refactoring::AddField(AddField {
            field: self.field.clone(),
            type_name: field.shape.type_name.parse().map_err(unreadable)?,
            default,
            expression: None,
            existing: Some(Expression::null()).filter(|_| field.shape.default.is_some() && !field.shape.not_null),
            not_null: field.shape.not_null,
            collation: collation(&field.shape)?,
            restores: Some(step.to_owned()),
            before: relation.following(&field.shape.name),
            with: hung_on(before, relation, std::slice::from_ref(&field.shape.name)),
        }))
    }
}

/// The rules and indexes that go with fields, as far as refactorings can say them.
pub(super) fn hung_on(before: &Version, relation: &Relation, names: &[Ident]) -> Vec<Refactoring> {
    let over = |fields: &[Ident]| fields.iter().any(|f| names.contains(f));
    let rules = relation.constraints.iter().map(|c| &c.item).filter(|c| over(&c.fields) && !c.inherited);
    let indexes = relation.indexes.iter().map(|i| &i.item).filter(|i| over(&i.fields) && !i.inherited);
    let index = |i: &Index| TableRef { schema: Some(relation.name.schema.clone()), name: i.name.clone() };
    let rules = rules.map(|c| DropConstraint::new(rule::typed(relation), c.name.clone()).inverse("", before));
    let indexes = indexes.filter(|i| !i.unique).map(|i| DropIndex { index: index(i) }.inverse("", before));
    rules.chain(indexes).filter_map(Result::ok).collect()
}

/// The collation that comes back with a field.
///
/// # Errors
/// Never: PostgreSQL wrote it.
pub fn collation(field: &crate::schema::Field) -> Result<Option<TableRef>, Refusal> {
    let parsed = field.collation.as_deref().map(str::parse).transpose();
    parsed.map_err(|e: crate::name::NameError| Refusal::Expression(e.to_string()))
}

/// How a field is computed from those that are shown, if it is.
fn calculation(before: &Version, relation: &Relation, field: &Field) -> Option<Expression> {
    let generated = field.shape.generated.as_ref().filter(|g| g.stored)?;
    before.over_shown(relation, &Expression::parse(&generated.expression).ok()?)
}
