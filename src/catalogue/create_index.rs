//! `create-index`: an index on the tables as they will be.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_index::DropIndex;
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::{Ident, TableRef, listed};
use crate::refusal::Refusal;
use crate::relation::Attached;
use crate::schema::Index;
use crate::sql::{Expression, IndexTail};
use crate::version::{RemarkKind, Version};

/// Create an index.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateIndex {
    /// Table, as in `orders`
    pub table: TableRef,
    /// Fields, in the order that matters for searching
    #[arg(required = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    pub fields: Vec<Ident>,
    /// Name of the index
    #[arg(long, value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Ident>,
    /// Only rows of this kind, as in `paid IS NULL`
    #[arg(long = "where", value_name = "EXPRESSION")]
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub only: Option<Expression>,
    /// Access method
    #[arg(long, default_value = "btree", value_parser = str::parse::<Ident>)]
    #[serde(default = "btree", skip_serializing_if = "is_btree")]
    pub method: Ident,
    /// All that stands after USING, where fields alone do not say it
    #[arg(long, hide = true, value_name = "TEXT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<IndexTail>,
}

pub(super) fn btree() -> Ident {
    Ident::new("btree")
}

fn is_btree(method: &Ident) -> bool {
    *method == btree()
}

impl CreateIndex {
    /// The index, for the version before.
    fn index(&self, before: &Version) -> Result<Index, Refusal> {
        let relation = before.find_own(&self.table)?;
        let keys = rule::find_fields(before, &self.table, &self.fields)?;
        let mut fields = keys.clone();
        let listed = listed(&keys);
        let mut tail = format!("{} ({listed})", self.method);
        if let Some(only) = &self.only {
            let (only, read) = rule::read_by(relation, only)?;
            tail += &format!(" WHERE ({only})");
            fields.extend(read.into_iter().filter(|f| !keys.contains(f)));
        }
        let mut keys: Vec<Option<Ident>> = keys.into_iter().map(Some).collect();
        if let Some(definition) = &self.definition {
            tail = definition.to_string();
            keys = vec![None];
        }
        let name = rule::free_name(before, relation, self.name.as_ref(), &self.fields, "idx")?;
        Ok(Index {
            definition: format!("CREATE INDEX {name} ON {} USING {tail}", relation.base),
            name,
            unique: false,
            immediate: true,
            valid: true,
            partial: self.only.is_some(),
            keys,
            fields,
            method: self.method.clone(),
            constraint: None,
            clustered: false,
            inherited: false,
            comment: None,
            statistics: Vec::new(),
        })
    }
}

impl Refactor for CreateIndex {
    fn wish(&self) -> String {
        format!("index `{}` by {}", self.table, rule::quoted(&self.fields))
    }

    fn slug(&self) -> String {
        format!("index-{}-by-{}", self.table.name.as_str(), rule::words(&self.fields))
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let index = self.index(before)?;
        let relation = before.find_own(&self.table)?;
        let mut after = before.clone();
        let text = format!("`{}` is built when this is made real; the tables get no index before", index.name);
        after.remark(step, RemarkKind::Note, text);
        after.change_unseen(&relation.name, step).indexes.push(Attached::new(step, index));
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let schema = self.table.schema.clone();
        Ok(Refactoring::DropIndex(DropIndex { index: TableRef { schema, name: self.index(before)?.name } }))
    }
}
