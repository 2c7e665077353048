//! `move-to-schema`: the same table under the same name in another schema.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Refactor, Refactoring, entangled};
use crate::name::{Ident, TableName, TableRef};
use crate::refusal::{Refusal, similar};
use crate::relation::Relation;
use crate::version::{RemarkKind, Version};

/// Move a table to another schema.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveToSchema {
    /// Table to move
    pub table: TableRef,
    /// Schema that it goes to
    #[arg(value_name = "SCHEMA", value_parser = str::parse::<Ident>)]
    pub to: Ident,
}

impl Refactor for MoveToSchema {
    fn wish(&self) -> String {
        format!("move table `{}` to schema `{}`", self.table, self.to)
    }

    fn slug(&self) -> String {
        format!("move-{}-to-{}", self.table.name.as_str(), self.to.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let relation = before.find_plain(&self.table)?;
        let old = relation.name.clone();
        if old.schema == self.to {
            return Err(Refusal::Nothing(format!("it is in schema `{}` already", self.to)));
        }
        if !before.schema.schemas.contains_key(&self.to) {
            let near = similar(self.to.as_str(), before.schema.schemas.keys().map(Ident::as_str));
            let mean = near.first().map(|n| format!("did you mean `{n}`? else "));
            return Err(Refusal::Other {
                why: format!("there is no schema `{}`", self.to),
                hint: Some(format!("{}create it first: `CREATE SCHEMA {}`", mean.unwrap_or_default(), self.to)),
            });
        }
        let new = TableName { schema: self.to.clone(), name: old.name.clone() };
        if before.relations.contains_key(&new) {
            return Err(taken(&new, "a table"));
        }
        for name in goes_along(before, relation, &new) {
            if let Some(kind) = before.schema.other_names.get(&name) {
                let article = if *kind == "index" { "an" } else { "a" };
                return Err(taken(&name, &format!("{article} {kind}")));
            }
            let moved = |r: &&Relation| r.base.schema != r.name.schema && r.base != relation.base;
            if before.relations.values().filter(moved).any(|r| goes_along(before, r, &r.name).contains(&name)) {
                return Err(taken(&name, "an index or sequence, that of another table on its way there,"));
            }
        }
        let mentions = entangled::functions_that_mention_table(before, relation);
        let mut after = before.clone();
        after.rename_relation(step, &old, &new, &format!("was moved to schema `{}`", self.to));
        entangled::note_functions(&mut after, step, &mentions, &format!("`{}`", old.short()));
        let text = format!("whoever uses `{new}` needs USAGE on schema `{}` once it is there", self.to);
        after.remark(step, RemarkKind::Note, text);
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let old = before.find_plain(&self.table)?.name.clone();
        let table = TableRef { schema: Some(self.to.clone()), name: old.name };
        Ok(Refactoring::MoveToSchema(Self { table, to: old.schema }))
    }
}

fn taken(name: &TableName, kind: &str) -> Refusal {
    Refusal::Taken {
        place: format!("schema `{}`", name.schema),
        kind: kind.to_owned(),
        name: name.name.clone(),
        hint: "rename one of the two first".into(),
    }
}

/// The names that a table takes along into its new schema: its own, those of its indexes, of sequences that it owns.
fn goes_along(version: &Version, relation: &Relation, to: &TableName) -> Vec<TableName> {
    let table = version.table(relation);
    let sequences = table.fields.iter().filter_map(|f| f.sequence.as_ref()).map(|s| &s.name);
    let names = table.indexes.iter().map(|i| &i.name).chain(sequences);
    names.map(|name| to.renamed(name.clone())).chain([to.clone()]).collect()
}
