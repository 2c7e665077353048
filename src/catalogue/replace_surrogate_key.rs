//! `replace-surrogate-key`: what tells rows apart by itself becomes the key, in place of numbers that say nothing.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::add_surrogate_key::AddSurrogateKey;
use crate::catalogue::entangled::{self, Purpose};
use crate::catalogue::{Refactor, Refactoring, primary, renumber, rule};
use crate::fact::{Loss, LossKind, Words};
use crate::name::{FieldRef, Ident, shell, typed_all};
use crate::refusal::Refusal;
use crate::relation::{Field, Hidden, Relation, Stores};
use crate::sql::Expression;
use crate::version::Version;

/// Make other fields the key of a table, and remove the one that is it.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaceSurrogateKey {
    /// Key to remove, as in `countries.id`
    pub field: FieldRef,
    /// Fields that are the key from then on: NOT NULL and unique already
    #[arg(long, required = true, value_name = "FIELD", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    pub with: Vec<Ident>,
    /// Leave the table without a primary key
    #[arg(long, hide = true)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
}

impl ReplaceSurrogateKey {
    fn find<'v>(&self, before: &'v Version) -> Result<(&'v Relation, &'v Field, Ident), Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        before.must_be_whole(relation)?;
        let (table, name) = (relation.name.short(), &field.shape.name);
        let held =
            |role: String, hint: String| Err(Refusal::Entangled { field: self.field.clone(), role, hint: Some(hint) });
        let Some(column) = relation.column(&before.schema, field).cloned() else {
            return Err(Refusal::NotMaterialized {
                field: self.field.clone(),
                step: before.put_there_by(relation, field),
            });
        };
        if primary::of(relation).is_none_or(|key| key.fields != std::slice::from_ref(name)) {
            return held(
                format!("is not the primary key of `{table}`"),
                format!("`refactor drop-field {}` removes a field that is no key", relation.name.typed_field(name)),
            );
        }
        primary::must_not_be_published(before, relation)?;
        for other in before.relations.values() {
            let refers = |key: &crate::schema::ForeignKey| key.table == relation.base && key.fields.contains(&column);
            if let Some((key, _)) = other.foreign_keys().find(|(_, key)| refers(key)) {
                let short = other.name.short();
                return held(
                    format!("is what the foreign key `{}` of `{short}` refers to", key.item.name),
                    format!(
                        "let `{short}` have the values instead: `refactor inline-table {} --into {} --keep --only {}`, then `refactor materialize`",
                        relation.name.typed(),
                        other.name.typed(),
                        self.with.iter().map(Ident::typed).collect::<Vec<_>>().join(",")
                    ),
                );
            }
        }
        for wanted in &self.with {
            let wanted = FieldRef { table: self.field.table.clone(), field: wanted.clone() };
            let (_, other) = before.find_field(&wanted)?;
            if !other.shape.not_null {
                return Err(Refusal::Other {
                    why: format!("`{wanted}` may be NULL, so it cannot be part of a key"),
                    hint: Some(format!("`refactor set-not-null {}`", shell(&wanted.to_string()))),
                });
            }
        }
        before.stored(relation, &self.with)?;
        if self.with.contains(name) || !relation.is_unique(&self.with) {
            return Err(Refusal::Other {
                why: format!(
                    "{} of `{table}` {} not unique",
                    rule::quoted(&self.with),
                    if self.with.len() == 1 { "is" } else { "are" }
                ),
                hint: Some(format!("`refactor add-unique {} {}`", relation.name.typed(), typed_all(&self.with))),
            });
        }
        Ok((relation, field, column))
    }
}

impl Refactor for ReplaceSurrogateKey {
    fn wish(&self) -> String {
        format!("replace the key `{}`", self.field)
    }

    fn slug(&self) -> String {
        format!("replace-key-{}-of-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (relation, field, column) = self.find(before)?;
        let shape = &field.shape;
        if !shape.fills_itself() {
            return Err(Refusal::NeedsValue(
                format!(
                    "nothing draws `{}`, so new code could insert no row while old code still needs it",
                    shape.name
                ),
                "give it a default or an identity first".into(),
            ));
        }
        let mut loose = relation.clone();
        let name = primary::take_off(&mut loose).unwrap_or_else(|| shape.name.clone());
        entangled::check(before, &loose, field, Purpose::Drop)?;
        let mut after = before.clone();
        entangled::note(&mut after, step, &loose, field, Purpose::Drop);
        after.losses.push(Loss {
            step: step.to_owned(),
            table: relation.base.clone(),
            columns: vec![column.clone()],
            rows: None,
            kind: LossKind::All,
            key: Vec::new(),
            kept: String::new(),
            words: Words { table: relation.name.clone(), field: shape.name.clone(), other: relation.name.clone() },
        });
        let changed = after.change(&relation.name, step);
        changed.remove_fields(std::slice::from_ref(&shape.name));
        changed.hidden.push(Hidden { column, stores: Stores::BaseDefault });
        if !self.bare {
            let unique = primary::taken_over(relation, &self.with);
            primary::promote(step, changed, &self.with, &name, unique.as_ref());
            if let Some(unique) = unique {
                primary::note_name(&mut after, step, &unique, &name);
            }
        }
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, field, _) = self.find(before)?;
        let shape = &field.shape;
        let unreadable = |e: crate::sql::ExpressionError| Refusal::Expression(e.to_string());
        let numbers = renumber::of(before, shape);
        let unique = primary::taken_over(relation, &self.with).filter(|_| !self.bare);
        let default = shape.default.as_deref().filter(|_| numbers.is_none());
        Ok(Refactoring::AddSurrogateKey(AddSurrogateKey {
            field: self.field.clone(),
            type_name: Some(shape.type_name.parse().map_err(unreadable)?),
            default: default.map(Expression::parse).transpose().map_err(unreadable)?,
            numbers,
            restores: Some(step.to_owned()),
            dropped: unique.is_none(),
            unique,
            before: relation.following(&shape.name),
        }))
    }
}
