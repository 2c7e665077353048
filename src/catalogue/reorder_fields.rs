//! `reorder-fields`: the same fields in another order.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::entangled::reference;
use crate::catalogue::{Refactor, Refactoring};
use crate::name::{FieldRef, Ident, TableRef};
use crate::refusal::Refusal;
use crate::version::Version;

/// Show the fields of a table in another order.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReorderFields {
    /// Table whose fields get another order
    pub table: TableRef,
    /// Fields that come first, in their new order; the others follow as they are
    #[arg(required = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    pub fields: Vec<Ident>,
}

impl Refactor for ReorderFields {
    fn wish(&self) -> String {
        format!("reorder the fields of `{}`", self.table)
    }

    fn slug(&self) -> String {
        format!("reorder-{}", self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let mut order: Vec<Ident> = Vec::new();
        for name in &self.fields {
            let wanted = FieldRef { table: self.table.clone(), field: name.clone() };
            let name = before.find_field(&wanted)?.1.shape.name.clone();
            if order.contains(&name) {
                return Err(Refusal::Other {
                    why: format!("`{name}` is named twice"),
                    hint: Some("name each field once".into()),
                });
            }
            order.push(name);
        }
        let relation = before.find_own(&self.table)?;
        let mut after = before.clone();
        let changed = after.change(&relation.name, step);
        changed.put_in_order(&order);
        changed.ordered_by = Some(step.to_owned());
        if changed.fields == relation.fields {
            return Err(Refusal::Nothing("its fields are in this order already".into()));
        }
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let relation = before.find_own(&self.table)?;
        let fields = relation.fields.iter().map(|f| f.shape.name.clone()).collect();
        Ok(Refactoring::ReorderFields(Self { table: reference(&relation.name), fields }))
    }
}
