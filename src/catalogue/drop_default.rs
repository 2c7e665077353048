//! `drop-default`: a field that is NULL unless an insert names it.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::set_default::SetDefault;
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::FieldRef;
use crate::refusal::Refusal;
use crate::version::Version;

/// Take the default off a field.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropDefault {
    /// Field, as in `orders.placed`
    pub field: FieldRef,
}

impl Refactor for DropDefault {
    fn wish(&self) -> String {
        format!("drop the default of `{}`", self.field)
    }

    fn slug(&self) -> String {
        format!("drop-default-of-{}-in-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        rule::must_be_plain(&self.field, field)?;
        let name = field.shape.name.clone();
        if field.shape.default.is_none() {
            return Err(Refusal::Nothing(format!("`{name}` has no default")));
        }
        let domain = before.schema.domain(&field.shape.type_name);
        if domain.is_some_and(|d| d.default == field.shape.default) {
            return Err(Refusal::Entangled {
                field: self.field.clone(),
                role: format!("is of the domain `{}`, which has that default itself", field.shape.type_name),
                hint: Some("give it another one, as in `refactor set-default … NULL`".into()),
            });
        }
        self.inverse(step, before)?;
        let mut after = before.clone();
        let changed = after.change(&relation.name, step);
        changed.fields.iter_mut().filter(|f| f.shape.name == name).for_each(|f| f.shape.default = None);
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (_, field) = before.find_field(&self.field)?;
        let default = field.shape.default.as_deref().unwrap_or("NULL");
        Ok(Refactoring::SetDefault(SetDefault { field: self.field.clone(), default: rule::read_back(default)? }))
    }
}
