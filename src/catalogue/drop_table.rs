//! `drop-table`: a table that nobody sees any more.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::create_table::{CreateTable, elements};
use crate::catalogue::{Refactor, Refactoring, entangled};
use crate::fact::{Loss, LossKind, Words};
use crate::name::{Ident, TableRef};
use crate::refusal::Refusal;
use crate::relation::{Attached, Home, Relation};
use crate::schema::{Constraint, ForeignKey, TableKind};
use crate::version::{Direction, Dropped, Gone, RemarkKind, Version};

/// Remove a table.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropTable {
    /// Table to remove
    pub table: TableRef,
}

impl Refactor for DropTable {
    fn wish(&self) -> String {
        format!("drop table `{}`", self.table)
    }

    fn slug(&self) -> String {
        format!("drop-{}", self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let relation = before.find_plain(&self.table)?;
        if let Some(field) = relation.fields.iter().find(|f| !matches!(f.home, Home::Own(_))) {
            let step = before.put_there_by(relation, field);
            let field = crate::name::FieldRef { table: self.table.clone(), field: field.shape.name.clone() };
            return Err(Refusal::NotMaterialized { field, step });
        }
        if before.is_reordered(relation) {
            // What is kept of it has its fields in the order in which it had them.
            return Err(Refusal::Other {
                why: format!("the order of the fields of `{}` is not real yet", relation.name.short()),
                hint: Some("materialize that first: `refactor materialize`".into()),
            });
        }
        let mut after = before.clone();
        let moved = before.carries.iter().filter(|c| c.direction == Direction::Up && c.source == relation.base);
        for carry in moved {
            let (of, field) = (carry.words.to.short(), &carry.words.as_field);
            let text = format!(
                "until this is real old code does not see a value of `{of}.{field}` where `{}` has no row for it",
                relation.name.short()
            );
            after.remark(step, RemarkKind::Note, text);
        }
        after.drop_relation(step, relation, "was dropped", LossKind::Table)?;
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let relation = before.find_plain(&self.table)?;
        Ok(Refactoring::CreateTable(CreateTable {
            table: entangled::reference(&relation.name),
            elements: elements(before, relation)?,
            restores: Some(step.to_owned()),
        }))
    }
}

impl Version {
    /// Takes a relation away; its table is kept until it is materialized, and its rows even then. `fate` completes
    /// "table …", `loss` says which of them are counted.
    ///
    /// # Errors
    /// When something refers to it, or it is partitioned.
    pub fn drop_relation(
        &mut self,
        step: &str,
        relation: &Relation,
        fate: &str,
        loss: LossKind,
    ) -> Result<(), Refusal> {
        self.must_be_whole(relation)?;
        if let Some(slice) = self.slices.iter().find(|s| s.table == relation.base) {
            return Err(Refusal::Divided { table: relation.name.clone(), step: slice.step.clone() });
        }
        let table = &self.schema.tables[&relation.base];
        if table.kind == TableKind::Partitioned {
            return Err(Refusal::TableKind {
                table: relation.name.clone(),
                why: "is partitioned, and its parts could not be kept together".into(),
                hint: Some("detach and drop its partitions by hand".into()),
            });
        }
        for other in self.relations.values().filter(|r| r.base != relation.base) {
            // A partition's copy goes with its original.
            let refers = |c: &Attached<Constraint>, key: &ForeignKey| !c.item.inherited && key.table == relation.base;
            if let Some((key, _)) = other.foreign_keys().find(|(c, key)| refers(c, key)) {
                return Err(Refusal::TableKind {
                    table: relation.name.clone(),
                    why: format!("is what the foreign key `{}` of `{}` refers to", key.item.name, other.name.short()),
                    hint: Some("drop that foreign key first if it is no longer wanted".into()),
                });
            }
        }
        let schema = self.schema.clone();
        entangled::note_row_type(self, step, relation);
        let own: Vec<Ident> = relation.foreign_keys().map(|(key, _)| key.item.name.clone()).collect();
        for key in own {
            self.remark(step, RemarkKind::Note, format!("`{key}` holds in both shapes until this is materialized"));
        }
        for publication in &schema.tables[&relation.base].publications {
            self.remark(step, RemarkKind::Lost, format!("membership in publication `{}`", publication.name));
        }
        let mentions = entangled::functions_that_mention_table(self, relation);
        entangled::note_functions(self, step, &mentions, &format!("`{}`", relation.name.short()));
        self.losses.push(Loss {
            step: step.to_owned(),
            table: relation.base.clone(),
            columns: Vec::new(),
            rows: None,
            kind: loss,
            key: Vec::new(),
            kept: String::new(),
            words: Words { table: relation.name.clone(), field: Ident::new(""), other: relation.name.clone() },
        });
        self.dropped.push(Dropped { step: step.to_owned(), table: relation.base.clone(), last: relation.clone() });
        self.relations.remove(&relation.name);
        self.gone.insert(relation.name.clone(), Gone { step: step.to_owned(), fate: fate.to_owned(), now: None });
        Ok(())
    }
}
