//! `rename-field`: the same values under another name.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Refactor, Refactoring, entangled};
use crate::name::{FieldRef, Ident, Renaming};
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
    /// More fields of the table to rename at once, which may exchange names
    #[arg(long, value_name = "FIELD=NAME", value_delimiter = ',', value_parser = str::parse::<Renaming>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Renaming>,
}

impl RenameField {
    /// All that it renames, as typed.
    fn wanted(&self) -> impl Iterator<Item = Renaming> {
        let first = Renaming { from: self.field.field.clone(), to: self.to.clone() };
        std::iter::once(first).chain(self.with.iter().cloned())
    }

    fn reference(&self, field: &Ident) -> FieldRef {
        FieldRef { table: self.field.table.clone(), field: field.clone() }
    }

    /// The same with the names that the table really has.
    fn names(&self, before: &Version) -> Result<BTreeMap<Ident, Ident>, Refusal> {
        let mut names = BTreeMap::new();
        for Renaming { from, to } in self.wanted() {
            let (_, field) = before.find_field(&self.reference(&from))?;
            let from = field.shape.name.clone();
            if from == to {
                return Err(Refusal::Nothing(format!("`{from}` is already called `{to}`")));
            }
            if names.insert(from.clone(), to).is_some() {
                return Err(Refusal::Nothing(format!("`{from}` is given two names")));
            }
        }
        Ok(names)
    }
}

impl Refactor for RenameField {
    fn wish(&self) -> String {
        let others = self.with.iter().map(|r| format!(", `{}` to `{}`", r.from, r.to));
        format!("rename field `{}` to `{}`{}", self.field, self.to, others.collect::<String>())
    }

    fn slug(&self) -> String {
        if self.with.is_empty() {
            format!(
                "rename-{}-to-{}-in-{}",
                self.field.field.as_str(),
                self.to.as_str(),
                self.field.table.name.as_str()
            )
        } else {
            format!("rename-fields-of-{}", self.field.table.name.as_str())
        }
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (relation, _) = before.find_field(&self.field)?;
        let names = self.names(before)?;
        let mut taken = BTreeSet::new();
        for to in names.values() {
            if !names.contains_key(to) {
                entangled::must_be_free(relation, to, "choose another name")?;
            }
            if !taken.insert(to) {
                return Err(Refusal::Other {
                    why: format!("two fields would be called `{to}`"),
                    hint: Some("choose another name for one of them".into()),
                });
            }
        }
        let name = relation.name.clone();
        let mut after = before.clone();
        after.change(&name, step).rename_fields(&names);
        for from in names.keys() {
            let Some(field) = relation.field(from) else { continue };
            let mentions = entangled::functions_that_mention(before, relation, from);
            if let Some(column) = relation.column(&before.schema, field) {
                entangled::note_trigger_functions(&mut after, step, relation, column, names.get(from));
            }
            entangled::note_functions(&mut after, step, &mentions, &format!("`{}.{from}`", name.short()));
        }
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let real = |from: &Ident| Ok(before.find_field(&self.reference(from))?.1.shape.name.clone());
        let mut back = Vec::new();
        for Renaming { from, to } in self.wanted() {
            back.push(Renaming { to: real(&from)?, from: to });
        }
        let first = back.remove(0);
        Ok(Refactoring::RenameField(Self { field: self.reference(&first.from), to: first.to, with: back }))
    }
}
