//! `rename-field`: the same values under another name.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Refactor, Refactoring, entangled};
use crate::name::{FieldRef, Ident};
use crate::refusal::Refusal;
use crate::version::Version;

/// Give a field another name.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenameField {
    /// Field to rename, as in `orders.city`
    pub field: FieldRef,
    /// New name
    #[arg(value_parser = str::parse::<Ident>)]
    pub to: Ident,
}

impl Refactor for RenameField {
    fn wish(&self) -> String {
        format!("rename field `{}` to `{}`", self.field, self.to)
    }

    fn slug(&self) -> String {
        format!("rename-{}-to-{}", self.field.field.as_str(), self.to.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        if field.shape.name == self.to {
            return Err(Refusal::Nothing(format!("it is already called `{}`", self.to)));
        }
        entangled::must_be_free(relation, &self.to, "choose another name")?;
        let (name, from) = (relation.name.clone(), field.shape.name.clone());
        let mentions = entangled::functions_that_mention(before, relation, &from);
        let mut after = before.clone();
        after.change(&name, step).rename_field(&from, &self.to);
        if let Some(column) = relation.column(&before.schema, field) {
            entangled::note_trigger_functions(&mut after, step, relation, column);
        }
        entangled::note_functions(&mut after, step, &mentions, &format!("`{}.{from}`", name.short()));
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (_, field) = before.find_field(&self.field)?;
        let renamed = FieldRef { table: self.field.table.clone(), field: self.to.clone() };
        Ok(Refactoring::RenameField(Self { field: renamed, to: field.shape.name.clone() }))
    }
}
