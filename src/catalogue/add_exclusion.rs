//! `add-exclusion`: no two rows for which all of some operators hold.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::add_foreign_key::Deferrable;
use crate::catalogue::drop_constraint::DropConstraint;
use crate::catalogue::keys::{self, Key};
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::{Ident, TableRef, listed};
use crate::refusal::{Refusal, list};
use crate::relation::{Attached, Relation};
use crate::schema::{Constraint, ConstraintKind};
use crate::sql::exclusion::{EXCLUDE, Exclusion, ExclusionKeys};
use crate::sql::indexes::{IndexKey, Parameter};
use crate::sql::{Expression, Literal};
use crate::version::{RemarkKind, Version};

/// Add an exclusion constraint.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddExclusion {
    /// Table, as in `bookings`
    pub table: TableRef,
    /// Fields or expressions, each with an operator, as in `"room WITH ="`, `"during WITH &&"`, `"tsrange(since, till) WITH
    /// &&"`; no two rows may be such that all the operators hold
    #[arg(required = true, value_name = "KEY WITH OPERATOR", value_parser = str::parse::<ExclusionKeys>)]
    pub keys: Vec<ExclusionKeys>,
    /// Name of the constraint
    #[arg(long, value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Ident>,
    /// Only rows of this kind, as in `NOT cancelled`
    #[arg(long = "where", value_name = "EXPRESSION")]
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub only: Option<Expression>,
    /// Let it be checked at the end of a transaction
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "initially-immediate")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferrable: Option<Deferrable>,
    /// Access method of its index
    #[arg(long, default_value = "gist", alias = "using", value_parser = str::parse::<Ident>)]
    #[serde(default = "gist", skip_serializing_if = "is_gist")]
    pub method: Ident,
    /// More fields that its index has
    #[arg(long, value_name = "FIELD", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<Ident>,
    /// Storage parameters of its index, as in `fillfactor=70`
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = str::parse::<Parameter>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Parameter>,
}

fn gist() -> Ident {
    Ident::new("gist")
}

fn is_gist(method: &Ident) -> bool {
    *method == gist()
}

impl AddExclusion {
    /// What brings an exclusion constraint back. None if it cannot be read.
    #[must_use]
    pub fn of(table: TableRef, constraint: &Attached<Constraint>) -> Option<Self> {
        let named = constraint.as_named();
        let read = Exclusion::read(&named.definition).ok()?;
        let same = std::collections::BTreeMap::new();
        Some(Self {
            table,
            keys: read.keys().map(|(key, operator)| ExclusionKeys::new(&key.with(&same), operator)).collect(),
            only: read.parts.only.map(|only| only.bare()),
            deferrable: Deferrable::of(&named),
            method: read.method.parse().ok()?,
            include: read.parts.include,
            with: read.parts.with,
            name: Some(named.name),
        })
    }

    fn pairs(&self) -> Result<Vec<(IndexKey, String)>, Refusal> {
        let read = self.keys.iter().map(ExclusionKeys::read).collect::<Result<Vec<_>, _>>();
        Ok(read.map_err(|e| Refusal::Expression(e.to_string()))?.concat())
    }

    /// What looking for rows that clash costs.
    fn search(&self, before: &Version, relation: &Relation) -> Result<String, Refusal> {
        let pairs = self.pairs()?;
        let fields: Option<Vec<Ident>> = pairs.iter().map(|(key, _)| key.name()).collect();
        let columns = fields.and_then(|fields| relation.columns(&before.schema, &fields));
        let table = relation.base.short();
        Ok(match columns {
            Some(columns) => format!(
                "each new key searches all rows of `{table}` until this is real, unless an index finds them, as `CREATE INDEX CONCURRENTLY ON {table} USING {} ({})` would",
                self.method,
                listed(&columns)
            ),
            None => {
                format!("each new key searches all rows of `{table}` until this is real, unless an index finds them")
            }
        })
    }

    /// The constraint, for the version before.
    fn constraint(&self, before: &Version) -> Result<Constraint, Refusal> {
        let relation = rule::find_writable(before, &self.table)?;
        let (mut texts, mut words, mut fields, mut equal) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (key, operator) in self.pairs()? {
            let key = Key::of(before, relation, &key)?;
            equal.extend(Some(key.word.clone()).filter(|_| key.is_field() && operator == "="));
            texts.push(format!("{} WITH {operator}", key.text));
            words.push(key.word);
            fields.extend(key.fields);
        }
        must_be_partitioned_by(before, relation, &equal)?;
        let include = rule::find_fields(before, &self.table, &self.include)?;
        let mut definition = format!("{EXCLUDE}{} ({})", self.method, texts.join(", "));
        if !include.is_empty() {
            definition += &format!(" INCLUDE ({})", listed(&include));
        }
        if !self.with.is_empty() {
            let with: Vec<String> =
                self.with.iter().map(|p| format!("{}={}", p.name, Literal(p.value.clone()))).collect();
            definition += &format!(" WITH ({})", with.join(", "));
        }
        fields.extend(include.clone());
        if let Some(only) = &self.only {
            let (only, read) = rule::read_by(relation, only)?;
            definition += &format!(" WHERE ({only})");
            fields.extend(read);
        }
        definition += match self.deferrable {
            None => "",
            Some(Deferrable::InitiallyImmediate) => " DEFERRABLE",
            Some(Deferrable::InitiallyDeferred) => " DEFERRABLE INITIALLY DEFERRED",
        };
        let words = keys::words(words.into_iter().chain(include));
        let name = rule::free_name(before, relation, self.name.as_ref(), &words, "excl")?;
        Ok(Constraint {
            deferrable: self.deferrable.is_some(),
            deferred: self.deferrable == Some(Deferrable::InitiallyDeferred),
            ..Constraint::named(name, ConstraintKind::Exclude, keys::once(fields), definition)
        })
    }
}

/// Refuses what PostgreSQL cannot keep over several partitions.
fn must_be_partitioned_by(before: &Version, relation: &Relation, equal: &[Ident]) -> Result<(), Refusal> {
    if !before.table(relation).partition_fields.is_empty() && before.schema.server_version < 170_000 {
        return Err(Refusal::Other {
            why: format!("`{}` is partitioned, which PostgreSQL allows from 17 on", relation.name.short()),
            hint: Some("add it to each partition by hand once no refactoring of the table is deferred".into()),
        });
    }
    rule::must_have_partition_fields(before, relation, equal)
}

impl Refactor for AddExclusion {
    fn wish(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        format!("exclude rows of `{}` that clash by {}", self.table, list(&keys))
    }

    fn slug(&self) -> String {
        let pairs = self.pairs().unwrap_or_default();
        let word = |key: &IndexKey| key.name().map_or_else(|| key.to_string(), |n| n.as_str().to_owned());
        let words: Vec<String> = pairs.iter().map(|(key, _)| word(key)).collect();
        format!("add-exclusion-{}-to-{}", words.join("-"), self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let constraint = self.constraint(before)?;
        let relation = before.find_own(&self.table)?;
        let mut after = before.clone();
        rule::note_binding(&mut after, step, relation, &constraint);
        let text = self.search(before, relation)?;
        after.remark(step, RemarkKind::Note, text);
        if self.deferrable.is_some() {
            let text = "until this is real, each statement of new code is asked, and not the whole transaction";
            after.remark(step, RemarkKind::Note, text);
        }
        after.change(&relation.name, step).constraints.push(Attached::new(step, constraint));
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let name = self.constraint(before)?.name;
        Ok(Refactoring::DropConstraint(DropConstraint::new(self.table.clone(), name)))
    }
}
