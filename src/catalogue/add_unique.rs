//! `add-unique`: fields whose values occur once.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_constraint::DropConstraint;
use crate::catalogue::quarantine::OnViolation;
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::{Ident, TableRef, listed};
use crate::refusal::Refusal;
use crate::schema::{Constraint, ConstraintKind};
use crate::version::Version;

/// Add a unique constraint.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddUnique {
    /// Table, as in `customers`
    pub table: TableRef,
    /// Fields whose values, taken together, occur once; NULL is never the same
    #[arg(required = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    pub fields: Vec<Ident>,
    /// Name of the constraint
    #[arg(long, value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Ident>,
    /// What happens to rows that break it
    #[arg(long, value_enum, default_value = "abort")]
    #[serde(default, skip_serializing_if = "OnViolation::is_default")]
    pub on_violation: OnViolation,
}

impl AddUnique {
    /// The constraint, for the version before.
    fn constraint(&self, before: &Version) -> Result<Constraint, Refusal> {
        let relation = rule::find_writable(before, &self.table)?;
        let fields = rule::find_fields(before, &self.table, &self.fields)?;
        rule::must_have_partition_fields(before, relation, &fields)?;
        let same = |other: &[Ident]| other.len() == fields.len() && other.iter().all(|f| fields.contains(f));
        let is_key = |c: &ConstraintKind| matches!(c, ConstraintKind::Unique | ConstraintKind::Primary);
        if let Some(there) =
            relation.constraints.iter().find(|c| is_key(&c.item.kind) && !c.item.deferrable && same(&c.item.fields))
        {
            return Err(Refusal::Nothing(format!("`{}` keeps that unique already", there.item.name)));
        }
        let name = rule::free_name(before, relation, self.name.as_ref(), &fields, "key")?;
        let listed = listed(&fields);
        Ok(Constraint::named(name, ConstraintKind::Unique, fields, format!("UNIQUE ({listed})")))
    }
}

impl Refactor for AddUnique {
    fn wish(&self) -> String {
        format!("keep {} of `{}` unique", rule::quoted(&self.fields), self.table)
    }

    fn slug(&self) -> String {
        format!("add-unique-{}-to-{}", rule::words(&self.fields), self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let constraint = self.constraint(before)?;
        let relation = before.find_own(&self.table)?;
        let fields = constraint.fields.clone();
        let mut after = rule::with(before, step, relation, constraint, self.on_violation)?;
        rule::note_missing_index(&mut after, step, relation, &fields);
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let name = self.constraint(before)?.name;
        Ok(Refactoring::DropConstraint(DropConstraint::new(self.table.clone(), name)))
    }
}
