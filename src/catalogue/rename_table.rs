//! `rename-table`: the same rows under another name.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Refactor, Refactoring, entangled};
use crate::name::{Ident, TableName, TableRef};
use crate::refusal::Refusal;
use crate::version::{Gone, Version};

/// Give a table another name.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenameTable {
    /// Table to rename
    pub table: TableRef,
    /// New name, in the same schema
    #[arg(value_parser = str::parse::<Ident>)]
    pub to: Ident,
}

impl Refactor for RenameTable {
    fn wish(&self) -> String {
        format!("rename table `{}` to `{}`", self.table, self.to)
    }

    fn slug(&self) -> String {
        format!("rename-{}-to-{}", self.table.name.as_str(), self.to.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let relation = before.find_plain(&self.table)?;
        let old = relation.name.clone();
        let new = old.renamed(self.to.clone());
        if old == new {
            return Err(Refusal::Nothing(format!("it is already called `{}`", self.to)));
        }
        let taken = |kind: &str| {
            Err(Refusal::Taken {
                place: format!("schema `{}`", new.schema),
                kind: kind.to_owned(),
                name: self.to.clone(),
                hint: "choose another name".into(),
            })
        };
        if before.relations.contains_key(&new) {
            return taken("a table");
        }
        if let Some(kind) = before.schema.other_names.get(&new) {
            return taken(&crate::refusal::one(kind));
        }
        let mentions = entangled::functions_that_mention_table(before, relation);
        let mut after = before.clone();
        after.rename_relation(step, &old, &new, &format!("was renamed to `{}`", new.short()));
        entangled::note_functions(&mut after, step, &mentions, &format!("`{}`", old.short()));
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let old = before.find_plain(&self.table)?.name.clone();
        let table = TableRef { schema: Some(old.schema), name: self.to.clone() };
        Ok(Refactoring::RenameTable(Self { table, to: old.name }))
    }
}

impl Version {
    /// Gives a relation another name. `fate` completes "table …" for whoever uses the old one.
    pub fn rename_relation(&mut self, step: &str, old: &TableName, new: &TableName, fate: &str) {
        self.change(old, step);
        if let Some(mut relation) = self.relations.remove(old) {
            relation.name = new.clone();
            self.relations.insert(new.clone(), relation);
        }
        self.gone.remove(new);
        let gone = Gone { step: step.to_owned(), fate: fate.to_owned(), now: Some(new.clone()) };
        self.gone.insert(old.clone(), gone);
    }
}
