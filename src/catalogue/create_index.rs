//! `create-index`: an index on the tables as they will be.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_index::DropIndex;
use crate::catalogue::keys::{self, Key};
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::{Ident, TableRef, listed};
use crate::refusal::{Refusal, list};
use crate::relation::{Attached, Relation};
use crate::schema::distinct::{self, Distinct};
use crate::schema::{Constraint, ConstraintKind, Index};
use crate::sql::indexes::{IndexKey, IndexParts, Parameter};
use crate::sql::{Expression, IndexTail, Literal};
use crate::version::{RemarkKind, Version};

/// Create an index.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateIndex {
    /// Table, as in `orders`
    pub table: TableRef,
    /// Fields or expressions, in the order that matters for searching, as in `city`, `"lower(name)"`, `"placed DESC NULLS
    /// LAST"`, `"name text_pattern_ops"`, `'name COLLATE "C"'`
    #[arg(required = true, value_name = "FIELD", value_parser = str::parse::<IndexKey>)]
    pub fields: Vec<IndexKey>,
    /// Let no two rows have the same values
    #[arg(long)]
    #[serde(default, skip_serializing_if = "rule::is_false")]
    pub unique: bool,
    /// Take NULL for a value like others, in a unique index
    #[arg(long, requires = "unique")]
    #[serde(default, skip_serializing_if = "rule::is_false")]
    pub nulls_not_distinct: bool,
    /// Name of the index
    #[arg(long, value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Ident>,
    /// More fields that the index has, not to be searched by
    #[arg(long, value_name = "FIELD", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<Ident>,
    /// Only rows of this kind, as in `paid IS NULL`
    #[arg(long = "where", value_name = "EXPRESSION")]
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub only: Option<Expression>,
    /// Access method
    #[arg(long, default_value = "btree", value_parser = str::parse::<Ident>)]
    #[serde(default = "btree", skip_serializing_if = "is_btree")]
    pub method: Ident,
    /// Storage parameters, as in `fillfactor=70`
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = str::parse::<Parameter>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Parameter>,
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
        let (tail, named, fields) = match &self.definition {
            Some(definition) => {
                let fields: Vec<Ident> = self.fields.iter().filter_map(IndexKey::name).collect();
                let fields = rule::find_fields(before, &self.table, &fields)?;
                (definition.to_string(), fields.clone(), fields)
            }
            None => self.tail(before, relation)?,
        };
        let name = rule::free_name(before, relation, self.name.as_ref(), &named, "idx")?;
        let parts = IndexParts::read(&tail).ok();
        let keys = parts.as_ref().map(|parts| parts.keys.iter().map(|key| key.field.clone()).collect());
        let unique = if self.unique { "UNIQUE " } else { "" };
        Ok(Index {
            definition: format!("CREATE {unique}INDEX {name} ON {} USING {tail}", relation.base),
            name,
            unique: self.unique,
            immediate: true,
            valid: true,
            partial: parts.map_or(self.only.is_some(), |parts| parts.only.is_some()),
            keys: keys.unwrap_or_else(|| vec![None]),
            fields,
            method: self.method.clone(),
            constraint: None,
            clustered: false,
            inherited: false,
            comment: None,
            statistics: Vec::new(),
        })
    }

    /// What stands after USING, what the index is named after, and all fields that it has.
    fn tail(&self, before: &Version, relation: &Relation) -> Result<(String, Vec<Ident>, Vec<Ident>), Refusal> {
        let keys = self.fields.iter().map(|key| Key::of(before, relation, key)).collect::<Result<Vec<_>, _>>()?;
        let plain: Vec<Ident> = keys.iter().filter(|k| k.is_field()).map(|k| k.word.clone()).collect();
        let include = rule::find_fields(before, &self.table, &self.include)?;
        if let Some(twice) = include.iter().find(|f| plain.contains(f)) {
            return Err(Refusal::Other { why: format!("`{twice}` is named twice"), hint: None });
        }
        let mut tail = format!("{} ({})", self.method, keys.iter().map(|k| &*k.text).collect::<Vec<_>>().join(", "));
        if !include.is_empty() {
            tail += &format!(" INCLUDE ({})", listed(&include));
        }
        if self.nulls_not_distinct {
            must_know_nulls(before)?;
            tail += " NULLS NOT DISTINCT";
        }
        if !self.with.is_empty() {
            let with = self.with.iter().map(|p| format!("{}={}", p.name, Literal(p.value.clone())));
            tail += &format!(" WITH ({})", with.collect::<Vec<_>>().join(", "));
        }
        let mut fields: Vec<Ident> = keys.iter().flat_map(|k| k.fields.clone()).chain(include.clone()).collect();
        if let Some(only) = &self.only {
            let (only, read) = rule::read_by(relation, only)?;
            tail += &format!(" WHERE ({only})");
            fields.extend(read);
        }
        Ok((tail, keys::words(keys.into_iter().map(|k| k.word).chain(include)), keys::once(fields)))
    }
}

/// The rule that a unique index keeps, until there is one.
fn rule_of(before: &Version, relation: &Relation, index: &Index) -> Result<Constraint, Refusal> {
    let relation = rule::find_writable(before, &rule::typed(relation))?;
    let plain: Vec<Ident> = index.keys.iter().flatten().cloned().collect();
    rule::must_have_partition_fields(before, relation, &plain)?;
    let (_, tail) = index.definition.split_once(" USING ").unwrap_or_default();
    let parts = IndexParts::read(tail).map_err(|e| Refusal::Expression(e.to_string()))?;
    let read = parts.keys.iter().map(|key| &key.value).chain(&parts.only).flat_map(Expression::fields);
    let read: Vec<Ident> = read.collect();
    let fields: Vec<Ident> = index.fields.iter().filter(|f| read.contains(f)).cloned().collect();
    if fields.is_empty() {
        return Err(Refusal::Expression(format!("`{tail}` reads no field")));
    }
    let as_they_are = parts.keys.iter().map(|key| key.value.to_string()).eq(fields.iter().map(ToString::to_string));
    let is_plain = parts.only.is_none() && parts.nulls_distinct && as_they_are;
    let definition =
        if is_plain { format!("UNIQUE ({})", listed(&fields)) } else { format!("{}{tail}", distinct::INDEX) };
    Ok(Constraint::named(index.name.clone(), ConstraintKind::Unique, fields, definition))
}

fn must_know_nulls(version: &Version) -> Result<(), Refusal> {
    if version.schema.server_version >= 150_000 {
        return Ok(());
    }
    Err(Refusal::Other {
        why: "NULLS NOT DISTINCT is known to PostgreSQL 15 and later".into(),
        hint: Some("leave `--nulls-not-distinct` out, and let an index of an expression keep NULL apart, as in `\"coalesce(code, '')\"`".into()),
    })
}

impl Refactor for CreateIndex {
    fn wish(&self) -> String {
        let keys: Vec<String> = self.fields.iter().map(ToString::to_string).collect();
        format!("index `{}` by {}", self.table, list(&keys))
    }

    fn slug(&self) -> String {
        let keys: Vec<String> = self
            .fields
            .iter()
            .map(|key| key.name().map_or_else(|| key.to_string(), |n| n.as_str().to_owned()))
            .collect();
        format!("index-{}-by-{}", self.table.name.as_str(), keys.join("-"))
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let index = self.index(before)?;
        let relation = before.find_own(&self.table)?;
        let mut after = if self.unique {
            let rule = rule_of(before, relation, &index)?;
            let mut after = rule::with_passing(before, step, relation, rule.clone());
            note_search(&mut after, step, relation, &rule);
            after
        } else {
            before.clone()
        };
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

/// Tells what looking for a key costs.
fn note_search(after: &mut Version, step: &str, relation: &Relation, rule: &Constraint) {
    let distinct = Distinct::of(rule);
    if distinct.is_plain(rule) {
        rule::note_missing_index(after, step, relation, &rule.fields);
        return;
    }
    let text = format!(
        "each new key searches all rows of `{}` until this is real, unless an index finds them",
        relation.base.short()
    );
    after.remark(step, RemarkKind::Note, text);
}
