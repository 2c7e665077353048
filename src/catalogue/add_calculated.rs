//! `add-calculated`: a field that is computed from others of its row, and cannot be written.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_field::DropField;
use crate::catalogue::{Refactor, Refactoring, bring_along, entangled};
use crate::fact::{Claim, Fact, Words};
use crate::name::{FieldRef, Ident};
use crate::refusal::{Refusal, similar};
use crate::relation::{Field, Home, Relation};
use crate::schema::{self, Generated};
use crate::sql::{Expression, TypeName, lengths};
use crate::version::{Calculated, Version};

/// Add a calculated field.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddCalculated {
    /// Field to add, as in `orders.total`
    pub field: FieldRef,
    /// Type, as in `numeric(10,2)`
    #[serde(rename = "type")]
    #[arg(value_name = "TYPE")]
    pub type_name: TypeName,
    /// Its value, computed from other fields of the row, as in "price * pieces"
    #[serde(rename = "as")]
    #[arg(value_name = "EXPRESSION")]
    pub expression: Expression,
    /// Field that it stands before, instead of last
    #[arg(long, hide = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ident>,
    /// What comes back with it: rules and indexes
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Refactoring>,
}

/// Every field that is read must be there, and stored.
fn check_reads(relation: &Relation, expression: &Expression) -> Result<(), Refusal> {
    for name in expression.fields() {
        let Some(field) = relation.field(&name) else {
            let names = relation.fields.iter().map(|f| f.shape.name.as_str());
            let similar = similar(name.as_str(), names);
            return Err(Refusal::NoField { table: relation.name.clone(), similar, field: name });
        };
        if field.shape.generated.is_some() {
            return Err(Refusal::Other {
                why: format!("`{name}` is generated itself, and PostgreSQL computes no generated field from another"),
                hint: Some(format!("write its expression in place of `{name}`")),
            });
        }
    }
    Ok(())
}

impl Refactor for AddCalculated {
    fn wish(&self) -> String {
        format!("add the calculated field `{}`", self.field)
    }

    fn slug(&self) -> String {
        format!("add-{}-to-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let relation = before.find_own(&self.field.table)?;
        let name = self.field.field.clone();
        entangled::must_be_free(relation, &name, "choose another name")?;
        before.must_not_be_divided(relation)?;
        check_reads(relation, &self.expression)?;
        let value = before.over_base(relation, &self.expression)?;
        let (table, base) = (relation.name.clone(), relation.base.clone());
        let type_name = self.type_name.to_string();
        let mut after = before.clone();
        after.facts.push(Fact {
            step: step.to_owned(),
            claim: Claim::Fits {
                table: base.clone(),
                expression: value.to_string(),
                // What is longer is cut, as by a cast.
                type_name: lengths::unbounded(&type_name).unwrap_or(&type_name).to_owned(),
                not_null: false,
                rows: None,
                words: Words { table: table.clone(), field: name.clone(), other: table.clone() },
            },
        });
        let at = after.calculated.len();
        let generated =
            Generated { expression: value.to_string(), stored: true, fields: value.fields().into_iter().collect() };
        after.calculated.push(Calculated {
            step: step.to_owned(),
            id: entangled::generated_id(step, &name),
            table: base,
            type_name: type_name.clone(),
            value,
        });
        let shape = schema::Field { type_name, generated: Some(generated), ..schema::Field::named(name) };
        after.change(&table, step).insert_field(Field { shape, home: Home::Calculated(at) }, self.before.as_ref());
        bring_along(&self.with, step, after)
    }

    fn inverse(&self, _: &str, _: &Version) -> Result<Refactoring, Refusal> {
        Ok(Refactoring::DropField(DropField { field: self.field.clone(), default: None }))
    }
}
