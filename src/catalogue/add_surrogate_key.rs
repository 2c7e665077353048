//! `add-surrogate-key`: a key that says nothing, drawn for each row when it is first seen.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::renumber::{self, By, Numbers};
use crate::catalogue::replace_surrogate_key::ReplaceSurrogateKey;
use crate::catalogue::{Refactor, Refactoring, entangled, primary, split_rows};
use crate::name::{FieldRef, Ident};
use crate::refusal::Refusal;
use crate::relation::{Field, Home, Relation};
use crate::schema::{self, TableKind};
use crate::sql::{Expression, TypeName};
use crate::version::{Numbering, Version};

/// Give the rows of a table a key of its own.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddSurrogateKey {
    /// Field to add, as in `orders.id`
    pub field: FieldRef,
    /// Its type [default: bigint]
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[arg(long = "type", value_name = "TYPE")]
    pub type_name: Option<TypeName>,
    /// What draws a key [default: an identity for numbers, `gen_random_uuid()` for uuid]
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Expression>,
    /// How the rows were numbered
    #[arg(long, hide = true, value_name = "NUMBERS")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
    /// Refactoring whose kept keys the rows get
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// Name of the unique constraint that the key before becomes
    #[arg(long, hide = true, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Ident>,
    /// The fields of the key before are unique without it
    #[arg(long, hide = true)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
    /// Field that it stands before, instead of last
    #[arg(long, hide = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ident>,
}

impl AddSurrogateKey {
    fn type_name(&self) -> String {
        self.type_name.as_ref().map_or_else(|| "bigint".to_owned(), ToString::to_string)
    }

    /// What draws a key where no sequence does.
    fn draws(&self) -> Result<Option<String>, Refusal> {
        let kind = self.type_name();
        match &self.default {
            Some(default) if !default.fields().is_empty() || default.functions().is_empty() => {
                Err(Refusal::NeedsValue(
                    format!("`{default}` does not draw another key for each row"),
                    "name a function that does, as in `--default \"gen_random_uuid()\"`".into(),
                ))
            }
            Some(default) => Ok(Some(default.to_string())),
            None if renumber::is_number(&kind) => Ok(None),
            None if kind.eq_ignore_ascii_case("uuid") => Ok(Some("gen_random_uuid()".to_owned())),
            None => Err(Refusal::NeedsValue(
                format!("nothing draws keys of type {kind}"),
                "say what does: `--default`".into(),
            )),
        }
    }

    fn find<'v>(&self, before: &'v Version) -> Result<(&'v Relation, Vec<Ident>), Refusal> {
        let relation = before.find_own(&self.field.table)?;
        before.must_be_whole(relation)?;
        let table = before.table(relation);
        if table.kind != TableKind::Plain {
            return Err(Refusal::TableKind {
                table: relation.name.clone(),
                why: "is partitioned, so its key must have the fields of its partition key".into(),
                hint: Some("add the field with `refactor add-field`".into()),
            });
        }
        if let Some(made) = before.made.iter().find(|m| m.table == relation.base) {
            return Err(Refusal::Other {
                why: format!("`{}` is made by {}, which is not real yet", relation.name.short(), made.step),
                hint: Some("materialize that first: `refactor materialize`".into()),
            });
        }
        entangled::must_be_free(relation, &self.field.field, "choose another name")?;
        if let Some(Field { home: Home::Numbered(at), .. }) =
            relation.fields.iter().find(|f| matches!(f.home, Home::Numbered(_)))
        {
            let step = &before.numberings[*at].step;
            return Err(Refusal::Nothing(format!("{step} numbers the rows of `{}` already", relation.name.short())));
        }
        primary::must_not_be_published(before, relation)?;
        let key = entangled::row_key(before, relation)?;
        Ok((relation, key))
    }
}

impl Refactor for AddSurrogateKey {
    fn wish(&self) -> String {
        format!("make `{}` the key of its table", self.field)
    }

    fn slug(&self) -> String {
        format!("add-key-{}-to-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (relation, key) = self.find(before)?;
        let (name, kind) = (self.field.field.clone(), self.type_name());
        let draws = self.draws()?;
        let by = self.numbers.as_ref().map_or(if draws.is_some() { By::Default } else { By::ByDefault }, |n| n.by);
        let sequence = self.numbers.as_ref().and_then(|n| n.sequence.clone());
        let sequence =
            sequence.unwrap_or_else(|| Ident::generated(&[relation.name.name.as_str(), name.as_str(), "seq"]));
        let sequence = relation.name.renamed(sequence);
        if draws.is_none() {
            split_rows::must_be_free(
                before,
                &sequence,
                &[],
                "rename it first: the new key's sequence will be called so",
            )?;
        }
        let mut after = before.clone();
        let mut shape = schema::Field { type_name: kind.clone(), not_null: true, ..schema::Field::named(name.clone()) };
        renumber::draw_by(&mut shape, by, &sequence, draws.as_ref());
        let at = after.numberings.len();
        let changed = after.change(&relation.name, step);
        let was = if self.dropped {
            primary::take_off(changed).map(|was| (was, None))
        } else {
            primary::demote(before, step, changed, self.unique.as_ref())?.map(|(was, now)| (was, Some(now)))
        };
        let (pkey, unique) = was.unzip();
        let pkey = pkey.unwrap_or_else(|| Ident::generated(&[relation.name.name.as_str(), "pkey"]));
        changed.insert_field(Field { shape, home: Home::Numbered(at) }, self.before.as_ref());
        primary::promote(step, changed, std::slice::from_ref(&name), &pkey, None);
        if let Some(unique) = unique.flatten() {
            primary::note_name(&mut after, step, &pkey, &unique);
        }
        after.numberings.push(Numbering {
            step: step.to_owned(),
            id: entangled::generated_id(step, &relation.name.name),
            table: relation.base.clone(),
            key,
            key_draws: None,
            type_name: kind,
            rows: None,
            draws,
            options: self.numbers.as_ref().and_then(|n| n.options.clone()),
            apart: Vec::new(),
            restores: self.restores.clone(),
        });
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, _) = self.find(before)?;
        let key = primary::of(relation).map(|key| key.fields.clone());
        Ok(Refactoring::ReplaceSurrogateKey(ReplaceSurrogateKey {
            field: self.field.clone(),
            bare: key.is_none(),
            with: key.or_else(|| relation.row_key()).ok_or_else(|| Refusal::NoKey { table: relation.name.clone() })?,
        }))
    }
}
