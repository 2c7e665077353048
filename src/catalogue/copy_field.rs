//! `copy-field`: the rows that refer to a table get one of its fields for themselves.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_field::DropField;
use crate::catalogue::{Refactor, Refactoring, entangled, path};
use crate::name::{FieldRef, Ident, TableRef, listed};
use crate::refusal::Refusal;
use crate::relation::{Field, Home, Relation, is_indexed};
use crate::schema;
use crate::version::{Added, Copied, Direction, RemarkKind, Version};

/// Copy a field to the rows that refer to its table.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyField {
    /// Field to copy, as in `customers.country`
    pub field: FieldRef,
    /// Table that gets it, and refers to the other
    pub to: TableRef,
    /// Name of the copy [default: the same]
    #[arg(long = "as", value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub as_name: Option<Ident>,
    /// Foreign key to follow, where there are several: its name, or its only field
    #[arg(long, value_name = "KEY", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Ident>,
}

impl CopyField {
    fn name(&self) -> Ident {
        self.as_name.clone().unwrap_or_else(|| self.field.field.clone())
    }

    /// Where the values come from.
    fn way(&self, version: &Version, from: &Relation, to: &Relation) -> Result<Copied, Refusal> {
        let (_, field) = version.find_field(&self.field)?;
        let Some(column) = from.column(&version.schema, field).cloned() else {
            let step = version.put_there_by(from, field);
            return Err(Refusal::NotMaterialized { field: self.field.clone(), step });
        };
        let via: Vec<Ident> = self.via.clone().into_iter().collect();
        let (here, there) = (from.name.short(), to.name.short());
        let too_far = || Refusal::Other {
            why: format!("`{there}` does not refer to `{here}` itself"),
            hint: Some("copy it to the table between them first, and materialize that".into()),
        };
        let found = match path::find(version, from, to, &via, from.base == to.base) {
            Err(Refusal::NoPath { longer, .. }) if !longer.is_empty() => return Err(too_far()),
            found => found?,
        };
        match (found.direction, &found.hops[..]) {
            (Direction::Down, [hop]) => Ok(Copied { hop: hop.clone(), column }),
            (Direction::Up, [_]) => Err(Refusal::Other {
                why: format!("`{here}` refers to `{there}`: one row of that would have to choose among several"),
                hint: Some("let the field move there, where they agree: `refactor move-field`".into()),
            }),
            _ => Err(too_far()),
        }
    }
}

impl Refactor for CopyField {
    fn wish(&self) -> String {
        format!("copy field `{}` to `{}`", self.field, self.to)
    }

    fn slug(&self) -> String {
        format!("copy-{}-to-{}", self.field.field.as_str(), self.to.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (from, field) = before.find_field(&self.field)?;
        let to = before.find_own(&self.to)?;
        let name = self.name();
        entangled::must_be_free(to, &name, "choose another name with `--as`")?;
        let copied = self.way(before, from, to)?;
        let key = entangled::row_key(before, to)?;
        let mut after = before.clone();
        let is_found = before.schema.table(&copied.hop.from).is_some_and(|t| is_indexed(t, &copied.hop.from_columns));
        if !is_found {
            let text = format!(
                "there is no index on {} of `{}`: whoever writes `{}` searches all of it",
                listed(&copied.hop.from_columns),
                to.name.short(),
                self.field
            );
            after.remark(step, RemarkKind::Note, text);
        }
        let at = after.added.len();
        after.added.push(Added {
            step: step.to_owned(),
            id: entangled::generated_id(step, &name),
            table: to.base.clone(),
            key,
            type_name: field.shape.type_name.clone(),
            seed: None,
            copied: Some(copied),
            restores: None,
            shared: false,
        });
        let shape = schema::Field {
            type_name: field.shape.type_name.clone(),
            collation: field.shape.collation.clone(),
            comment: field.shape.comment.clone(),
            ..schema::Field::named(name)
        };
        after.change(&to.name.clone(), step).insert_field(Field { shape, home: Home::Added(at) }, None);
        Ok(after)
    }

    fn inverse(&self, _: &str, _: &Version) -> Result<Refactoring, Refusal> {
        let field = FieldRef { table: self.to.clone(), field: self.name() };
        Ok(Refactoring::DropField(DropField { field, default: None }))
    }
}
