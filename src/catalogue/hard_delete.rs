//! `hard-delete`: rows with a mark are gone, and so is the field that has it.
//!
//! The table becomes the part of itself without a mark, and no other table shows the rest. What new code deletes is marked
//! until that is real.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::entangled::{self, Purpose};
use crate::catalogue::soft_delete::{self, SoftDelete};
use crate::catalogue::{Refactor, Refactoring, quarantine};
use crate::name::FieldRef;
use crate::refusal::Refusal;
use crate::relation::{Condition, Field, Hidden, Relation, Stores};
use crate::schema::TableKind;
use crate::sql::{Expression, ExpressionError};
use crate::version::{RemarkKind, Version};

/// Delete the rows that a field marks, and the field.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardDelete {
    /// Field with the mark, as in `orders.deleted_at`: true, or anything but NULL if it is no boolean
    pub field: FieldRef,
    /// The mark of a row that new code deletes, until this is real [default: `now()`, or true]
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Expression>,
}

impl Refactor for HardDelete {
    fn wish(&self) -> String {
        format!("delete the rows that `{}` marks", self.field)
    }

    fn slug(&self) -> String {
        format!("hard-delete-{}", self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        let shape = &field.shape;
        self.check(before, relation, field)?;
        let mark = soft_delete::mark(self.mark.as_ref(), &shape.type_name)?;
        let unreadable = |e: ExpressionError| Refusal::Expression(e.to_string());
        let holds = before.over_base(relation, &soft_delete::is_unmarked(shape)?)?;
        let column = before.stored(relation, std::slice::from_ref(&shape.name))?.remove(0);
        let unmarked = soft_delete::unmarked(&shape.type_name);
        let mut after = before.clone();
        let text = format!(
            "rows that `{}` marks, now or later, take no part in the new shape; what new code deletes is marked, and holds its keys until this is materialized",
            shape.name
        );
        after.remark(step, RemarkKind::Note, text);
        entangled::note(&mut after, step, relation, field, Purpose::Drop);
        if let Some(default) = shape.default.as_ref().filter(|d| **d != unmarked) {
            after.remark(step, RemarkKind::Lost, format!("default `{default}` of `{}`", shape.name));
        }
        let changed = after.change(&relation.name, step);
        changed.remove_fields(std::slice::from_ref(&shape.name));
        let stores = Stores::Value(Expression::parse(&unmarked).map_err(unreadable)?);
        changed.hidden.push(Hidden { column: column.clone(), stores });
        let condition = Condition { step: step.to_owned(), holds, check: None, mark: Some((column, mark)) };
        quarantine::hide(before, after, &relation.name, condition, &shape.name)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        let type_name =
            field.shape.type_name.parse().map_err(|e: ExpressionError| Refusal::Expression(e.to_string()))?;
        Ok(Refactoring::SoftDelete(SoftDelete {
            table: entangled::reference(&relation.name),
            field: Some(field.shape.name.clone()),
            type_name: Some(type_name),
            mark: self.mark.clone(),
            restores: Some(step.to_owned()),
            kept: soft_delete::without_mark(relation, &field.shape.name),
        }))
    }
}

impl HardDelete {
    /// What must not hang on the table or the field, and what the field must be.
    fn check(&self, version: &Version, relation: &Relation, field: &Field) -> Result<(), Refusal> {
        let (table, shape) = (version.table(relation), &field.shape);
        let entangled = |role: String, hint: &str| {
            Err(Refusal::Entangled { field: self.field.clone(), role, hint: Some(hint.to_owned()) })
        };
        if table.kind != TableKind::Plain {
            return Err(Refusal::TableKind {
                table: relation.name.clone(),
                why: "is partitioned, and the marked rows could not come back".into(),
                hint: Some("delete them first: `refactor data`; then `refactor drop-field`".into()),
            });
        }
        if let Some(exclusion) = entangled::exclusion(version, relation) {
            return Err(Refusal::Other {
                why: format!("`{exclusion}` could not be kept over two tables, should the rows come back"),
                hint: Some("delete them first: `refactor data`; then `refactor drop-field`".into()),
            });
        }
        version.must_be_whole(relation)?;
        entangled::row_key(version, relation)?;
        soft_delete::must_not_be_held(version, relation)?;
        entangled::check(version, relation, field, Purpose::Drop)?;
        if shape.generated.is_some() {
            return entangled("is generated, so no row can be marked by it".into(), "drop its expression first");
        }
        let flag = soft_delete::unmarked(&shape.type_name) == "false";
        match (flag, shape.not_null) {
            (true, false) => entangled(
                "may be NULL, which is neither true nor false".into(),
                "make it NOT NULL first: `refactor set-not-null`",
            ),
            (false, true) => entangled(
                "is NOT NULL, so every row would be marked".into(),
                "a boolean marks rows by being true, any other field by not being NULL",
            ),
            _ => Ok(()),
        }
    }
}
