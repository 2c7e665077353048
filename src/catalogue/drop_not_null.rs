//! `drop-not-null`: a field that may be empty.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::bring_back::BringBack;
use crate::catalogue::quarantine::OnViolation;
use crate::catalogue::set_not_null::SetNotNull;
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::FieldRef;
use crate::refusal::Refusal;
use crate::relation::{Attached, Home};
use crate::schema::{Constraint, ConstraintKind, ReplicaIdentity};
use crate::version::Version;

/// Allow NULL in a field.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropNotNull {
    /// Field that may have no value, as in `orders.city`
    pub field: FieldRef,
    /// Refactoring whose rows in quarantine come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// What a row of the table was then
    #[arg(long, hide = true, value_name = "TEXT")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
}

impl Refactor for DropNotNull {
    fn wish(&self) -> String {
        format!("let `{}` be NULL", self.field)
    }

    fn slug(&self) -> String {
        format!("drop-not-null-of-{}-in-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        let name = field.shape.name.clone();
        if !field.shape.not_null {
            return Err(Refusal::Nothing(format!("`{name}` may be NULL already")));
        }
        let held = |role: &str| Err(Refusal::Entangled { field: self.field.clone(), role: role.into(), hint: None });
        let primary = |c: &ConstraintKind| *c == ConstraintKind::Primary;
        if relation.constraints.iter().any(|c| primary(&c.item.kind) && c.item.fields.contains(&name)) {
            return held("is part of the primary key, which is never NULL");
        }
        if field.shape.identity.is_some() {
            return held("is numbered as an identity, which is never NULL");
        }
        let table = before.table(relation);
        if let ReplicaIdentity::Index(index) = &table.replica_identity
            && relation.indexes.iter().any(|i| i.item.name == *index && i.item.fields.contains(&name))
        {
            return held("tells subscribers which row is meant (REPLICA IDENTITY)");
        }
        if before.schema.domain(&field.shape.type_name).is_some_and(|d| d.not_null) {
            return Err(Refusal::Entangled {
                field: self.field.clone(),
                role: format!("is of the domain `{}`, which is NOT NULL itself", field.shape.type_name),
                hint: Some("change its type first: `refactor change-type`".into()),
            });
        }
        rule::must_not_be_row_key(before, relation, std::slice::from_ref(&name))?;
        if let Some(restores) = &self.restores {
            let rule = rule::demand(relation, &name);
            let same = |c: &mut Attached<Constraint>| c.item.kind == rule.kind && c.item.fields == rule.fields;
            return BringBack { restores, kept: &self.kept, rule: &rule }.after(
                step,
                before,
                &relation.name,
                |loose| {
                    loose.fields.iter_mut().filter(|f| f.shape.name == name).for_each(|f| f.shape.not_null = false);
                    loose.constraints.retain_mut(|c| !same(c));
                },
            );
        }
        let mut after = before.clone();
        rule::note_until_real(&mut after, step, &format!("a NULL for `{name}` still fails with 23502"));
        let new = relation.demand(&name).is_none() && !matches!(field.home, Home::Own(_));
        let bringer = before.put_there_by(relation, field);
        let changed = after.change(&relation.name, step);
        changed.fields.iter_mut().filter(|f| f.shape.name == name).for_each(|f| f.shape.not_null = false);
        let this =
            |c: &mut Attached<Constraint>| c.item.kind == ConstraintKind::NotNull && c.item.fields == [name.clone()];
        let demands: Vec<_> = changed.constraints.extract_if(.., this).collect();
        changed.passing.extend(demands);
        if new {
            changed.passing.push(Attached::new(&bringer, rule::demand(relation, &name)));
        }
        Ok(after)
    }

    fn inverse(&self, _: &str, _: &Version) -> Result<Refactoring, Refusal> {
        let on_violation = if self.restores.is_some() { OnViolation::Quarantine } else { OnViolation::default() };
        Ok(Refactoring::SetNotNull(SetNotNull { field: self.field.clone(), on_violation }))
    }
}
