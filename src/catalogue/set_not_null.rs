//! `set-not-null`: a field that must have a value.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_not_null::DropNotNull;
use crate::catalogue::quarantine::OnViolation;
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::FieldRef;
use crate::refusal::Refusal;
use crate::version::Version;

/// Refuse NULL in a field.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetNotNull {
    /// Field that must have a value, as in `orders.city`
    pub field: FieldRef,
    /// What happens to rows that break it
    #[arg(long, value_enum, default_value = "abort")]
    #[serde(default, skip_serializing_if = "OnViolation::is_default")]
    pub on_violation: OnViolation,
}

impl Refactor for SetNotNull {
    fn wish(&self) -> String {
        format!("set `{}` NOT NULL", self.field)
    }

    fn slug(&self) -> String {
        format!("set-not-null-of-{}-in-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        rule::find_writable(before, &self.field.table)?;
        let (relation, field) = before.find_field(&self.field)?;
        let name = field.shape.name.clone();
        if field.shape.not_null {
            return Err(Refusal::Nothing(format!("`{name}` is NOT NULL already")));
        }
        // One that an earlier refactoring took off is there as long as that is not real.
        let kept = rule::stored(before, relation, field).is_some_and(|f| f.not_null);
        let mut after = if kept {
            before.clone()
        } else {
            rule::with(before, step, relation, rule::demand(relation, &name), self.on_violation)?
        };
        let changed = after.change(&relation.name, step);
        changed.fields.iter_mut().filter(|f| f.shape.name == name).for_each(|f| f.shape.not_null = true);
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, _) = before.find_field(&self.field)?;
        let (restores, kept) = self.on_violation.restored(step, relation);
        Ok(Refactoring::DropNotNull(DropNotNull { field: self.field.clone(), restores, kept }))
    }
}
