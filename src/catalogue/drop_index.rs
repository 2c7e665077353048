//! `drop-index`: an index that is no longer wanted.

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::create_index::{CreateIndex, btree};
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::{Ident, TableRef};
use crate::refusal::{Refusal, similar};
use crate::relation::{Attached, Relation};
use crate::schema::{Index, ReplicaIdentity};
use crate::sql::indexes::IndexKey;
use crate::sql::rename_in_definition;
use crate::version::{RemarkKind, Version};

/// Drop an index.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropIndex {
    /// Index, as in `orders_placed_idx` or `sales.orders_placed_idx`
    pub index: TableRef,
}

impl DropIndex {
    fn find<'v>(&self, before: &'v Version) -> Result<(&'v Relation, &'v Attached<Index>), Refusal> {
        let schema = |r: &&Relation| self.index.schema.as_ref().is_none_or(|s| *s == r.name.schema);
        let all = || before.relations.values().filter(schema).flat_map(|r| r.indexes.iter().map(move |i| (r, i)));
        let found: Vec<_> = all().filter(|(_, i)| i.item.name == self.index.name).collect();
        match &found[..] {
            [(relation, index)] => {
                before.find_own(&rule::typed(relation))?;
                Ok((relation, index))
            }
            [] => {
                let near = similar(self.index.name.as_str(), all().map(|(_, i)| i.item.name.as_str()));
                let hint = (!near.is_empty()).then(|| format!("did you mean {}?", crate::refusal::list(&near)));
                let hint = hint.unwrap_or_else(|| "`\\di` in psql lists the indexes".into());
                Err(Refusal::Other { why: format!("there is no index `{}`", self.index), hint: Some(hint) })
            }
            _ => Err(Refusal::Other {
                why: format!("several schemas have an index `{}`", self.index),
                hint: Some("say which, as in `sales.orders_placed_idx`".into()),
            }),
        }
    }
}

/// Refuses to drop what tells rows apart.
fn must_not_be_needed(version: &Version, relation: &Relation, index: &Attached<Index>) -> Result<(), Refusal> {
    let item = &index.item;
    let Some(keys) = item.keys.iter().cloned().collect::<Option<Vec<Ident>>>().filter(|_| !item.partial) else {
        return Ok(());
    };
    let refuse = |why: String, hint: &str| Err(Refusal::Other { why, hint: Some(hint.into()) });
    // PostgreSQL does not say which of several keys a foreign key rests on.
    if let Some(who) = rule::referred_by(version, relation, &keys) {
        return refuse(who, "drop that foreign key first");
    }
    if index.brought_by().is_none() {
        rule::must_not_be_row_key(version, relation, &keys)?;
    }
    if version.table(relation).replica_identity == ReplicaIdentity::Index(item.name.clone()) {
        return refuse(
            format!("subscribers tell the rows of `{}` apart by it", relation.name.short()),
            "`ALTER TABLE … REPLICA IDENTITY` chooses something else",
        );
    }
    Ok(())
}

impl Refactor for DropIndex {
    fn wish(&self) -> String {
        format!("drop the index `{}`", self.index)
    }

    fn slug(&self) -> String {
        format!("drop-{}", self.index.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (relation, index) = self.find(before)?;
        let item = &index.item;
        let refuse = |why: String, hint: String| Err(Refusal::Other { why, hint: Some(hint) });
        if let Some(constraint) = &item.constraint {
            let why = format!("it serves the constraint `{constraint}`");
            return refuse(
                why,
                format!("drop that: `refactor drop-constraint {} {}`", relation.name.typed(), constraint.typed()),
            );
        }
        if item.inherited {
            return refuse("it is part of the index of the whole table".into(), "drop that".into());
        }
        if item.unique {
            must_not_be_needed(before, relation, index)?;
        }
        self.inverse(step, before)?;
        let mut after = before.clone();
        if index.brought_by().is_none() {
            let keeps = if item.unique { ", and keeps its values unique" } else { "" };
            let text = format!("`{}` stays until this is made real{keeps}", item.name);
            after.remark(step, RemarkKind::Note, text);
            rule::note_comment(&mut after, step, &format!("`{}`", item.name), item.comment.as_ref());
        }
        after.change_unseen(&relation.name, step).indexes.retain(|i| i.item.name != item.name);
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, index) = self.find(before)?;
        let item = &index.item;
        let unknown = || Refusal::Other {
            why: format!("`create-index` could not bring it back: it is `{}`", item.definition),
            hint: Some(format!(
                "drop it by hand when no refactoring of the table is deferred: `DROP INDEX {}`",
                relation.base.renamed(item.name.clone())
            )),
        };
        let (_, tail) = item.definition.split_once(" USING ").ok_or_else(unknown)?;
        let known = match &index.origin {
            crate::relation::Origin::Table(table, at) => &before.schema.tables[table].indexes[*at].fields,
            crate::relation::Origin::Step(_) | crate::relation::Origin::Rows(_) => &index.columns,
        };
        let names: BTreeMap<Ident, Ident> = known.iter().cloned().zip(item.fields.iter().cloned()).collect();
        let tail = rename_in_definition(tail, &names);
        let keys = item.keys.iter().cloned().collect::<Option<Vec<_>>>();
        let listed = keys.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let plain = tail == format!("{} ({listed})", item.method);
        Ok(Refactoring::CreateIndex(CreateIndex {
            table: rule::typed(relation),
            fields: keys.filter(|_| plain).as_ref().unwrap_or(&item.fields).iter().map(IndexKey::from).collect(),
            unique: item.unique,
            nulls_not_distinct: false,
            name: Some(item.name.clone()),
            include: Vec::new(),
            only: None,
            method: if plain { item.method.clone() } else { btree() },
            with: Vec::new(),
            definition: if plain { None } else { Some(tail.parse().map_err(|_| unknown())?) },
        }))
    }
}
