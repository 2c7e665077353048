//! `add-check`: a condition that every row keeps.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_constraint::DropConstraint;
use crate::catalogue::quarantine::OnViolation;
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::{Ident, TableRef};
use crate::refusal::Refusal;
use crate::schema::{Constraint, ConstraintKind};
use crate::sql::Expression;
use crate::version::Version;

/// Add a check.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddCheck {
    /// Table, as in `orders`
    pub table: TableRef,
    /// What each row must keep, as in `total >= 0`; NULL keeps it
    pub expression: Expression,
    /// Name of the constraint
    #[arg(long, value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Ident>,
    /// What happens to rows that break it
    #[arg(long, value_enum, default_value = "abort")]
    #[serde(default, skip_serializing_if = "OnViolation::is_default")]
    pub on_violation: OnViolation,
}

impl AddCheck {
    /// The check, for the version before.
    fn constraint(&self, before: &Version) -> Result<Constraint, Refusal> {
        let relation = rule::find_writable(before, &self.table)?;
        let (expression, fields) = rule::read_by(relation, &self.expression)?;
        // As PostgreSQL does: it names the field if there is only one.
        let named = if fields.len() == 1 { &fields[..] } else { &[] };
        let name = rule::free_name(before, relation, self.name.as_ref(), named, "check")?;
        Ok(Constraint::named(name, ConstraintKind::Check, fields, format!("CHECK ({expression})")))
    }
}

impl Refactor for AddCheck {
    fn wish(&self) -> String {
        format!("add the check `{}` to `{}`", self.expression, self.table)
    }

    fn slug(&self) -> String {
        format!("add-check-to-{}", self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let constraint = self.constraint(before)?;
        rule::with(before, step, before.find_own(&self.table)?, constraint, self.on_violation)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let name = self.constraint(before)?.name;
        let (restores, kept) = self.on_violation.restored(step, before.find_own(&self.table)?);
        let back = DropConstraint::new(self.table.clone(), name);
        Ok(Refactoring::DropConstraint(DropConstraint { restores, kept, ..back }))
    }
}
