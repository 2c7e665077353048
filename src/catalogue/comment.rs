//! `comment`: what a table, a field, a constraint or an index is for, in words.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Refactor, Refactoring};
use crate::name::{FieldRef, Ident, NameError, TableName, TableRef, parts};
use crate::refusal::{Refusal, meant, similar};
use crate::relation::Relation;
use crate::schema::ConstraintKind;
use crate::version::{RemarkKind, Version};

/// Say what something is for.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// Table or field that it is about, as in `orders` or `orders.city`
    #[arg(value_name = "TABLE[.FIELD]")]
    pub on: Spot,
    /// The comment; NULL for none
    #[arg(required_unless_present = "none")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Take the comment away
    #[arg(long, conflicts_with = "text")]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub none: bool,
    /// Constraint of the table that it is about instead
    #[arg(long, value_name = "NAME", conflicts_with = "index", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Ident>,
    /// Index of the table that it is about instead
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Ident>,
}

/// A table or a field, as a person typed it: `orders`, `orders.city`, `sales.orders`, `sales.orders.city`. Which of both
/// two names are is for the tables to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Spot {
    table: Option<TableRef>,
    field: Option<FieldRef>,
}

impl FromStr for Spot {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match parts(text)?.len() {
            1 => Ok(Self { table: Some(text.parse()?), field: None }),
            2 => Ok(Self { table: Some(text.parse()?), field: Some(text.parse()?) }),
            3 => Ok(Self { table: None, field: Some(text.parse()?) }),
            _ => Err(NameError::Parts("a table or a field, as in `orders` or `orders.city`")),
        }
    }
}

impl TryFrom<String> for Spot {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Spot> for String {
    fn from(spot: Spot) -> Self {
        spot.to_string()
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.table, &self.field) {
            (Some(table), _) => table.fmt(f),
            (None, Some(field)) => field.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

/// What a comment is on.
enum Thing {
    Table,
    Field(Ident),
    Constraint(Ident),
    Index(Ident),
}

impl Comment {
    /// The comment that is wanted; none if it goes. As PostgreSQL takes it, an empty one is none.
    fn wanted(&self) -> Result<Option<&String>, Refusal> {
        let other = |why: &str| {
            let hint = Some("say `text = \"…\"`, or `none = true` to take the comment away".into());
            Err(Refusal::Other { why: why.into(), hint })
        };
        match &self.text {
            Some(_) if self.none => other("it says a text, and that there is none"),
            None if !self.none => other("it says no text"),
            Some(text) if text.contains('\0') => other("no text of PostgreSQL can contain the character NUL"),
            text => Ok(text.as_ref().filter(|text| !text.is_empty() && *text != "NULL")),
        }
    }

    /// What it is on, with its comment. A field goes before a table of another schema that is called the same.
    fn find<'v>(&self, version: &'v Version) -> Result<(&'v Relation, Thing, Option<&'v String>), Refusal> {
        let (relation, field) = self.place(version)?;
        let none = |kind: &str, name: &Ident, names: Vec<&str>| {
            let hint = meant(name.as_str(), names.into_iter());
            Refusal::Other { why: format!("table `{}` has no {kind} `{name}`", relation.name.short()), hint }
        };
        if let Some(field) = field {
            if let Some(name) = self.constraint.as_ref().or(self.index.as_ref()) {
                let why = format!("`{}` is a field, and `{name}` is one of its table's", self.on);
                let hint = Some(format!("name the table alone: `{}`", relation.name.typed()));
                return Err(Refusal::Other { why, hint });
            }
            let folded = Ident::new(field.as_str().to_lowercase());
            let found = relation.field(field).or_else(|| relation.field(&folded));
            let found = found.ok_or_else(|| Refusal::NoField {
                table: relation.name.clone(),
                field: field.clone(),
                similar: similar(field.as_str(), relation.fields.iter().map(|f| f.shape.name.as_str())),
            })?;
            return Ok((relation, Thing::Field(found.shape.name.clone()), found.shape.comment.as_ref()));
        }
        if let Some(name) = &self.constraint {
            // A demand that a field be given is said with the field.
            let mut all = relation.constraints.iter().filter(|c| c.item.kind != ConstraintKind::NotNull);
            let names = all.clone().map(|c| c.item.name.as_str()).collect();
            let found = all.find(|c| c.item.name == *name).ok_or_else(|| none("constraint", name, names))?;
            return Ok((relation, Thing::Constraint(name.clone()), found.item.comment.as_ref()));
        }
        if let Some(name) = &self.index {
            let names = relation.indexes.iter().map(|i| i.item.name.as_str()).collect();
            let found = relation.indexes.iter().find(|i| i.item.name == *name);
            let found = found.ok_or_else(|| none("index", name, names))?;
            return Ok((relation, Thing::Index(name.clone()), found.item.comment.as_ref()));
        }
        Ok((relation, Thing::Table, relation.comment.as_ref()))
    }

    /// The table, and the field of it that is meant.
    fn place<'v>(&self, version: &'v Version) -> Result<(&'v Relation, Option<&Ident>), Refusal> {
        let Spot { table, field } = &self.on;
        let as_field = field.as_ref().map(|f| (version.find_plain(&f.table), &f.field));
        let as_table = table.as_ref().map(|t| version.find_plain(t));
        match (as_field, as_table) {
            (Some((Ok(relation), field)), Some(Ok(table))) => {
                Ok(if relation.field(field).is_some() { (relation, Some(field)) } else { (table, None) })
            }
            (Some((Ok(relation), field)), _) => Ok((relation, Some(field))),
            (_, Some(Ok(table))) => Ok((table, None)),
            (_, Some(Err(refusal))) if field.as_ref().is_none_or(|f| is_schema(version, &f.table)) => Err(refusal),
            (Some((Err(refusal), _)), _) | (None, Some(Err(refusal))) => Err(refusal),
            (None, None) => Err(Refusal::Nothing("it names nothing".into())),
        }
    }
}

fn is_schema(version: &Version, table: &TableRef) -> bool {
    table.schema.is_none() && version.relations.keys().any(|t: &TableName| t.schema == table.name)
}

impl Refactor for Comment {
    fn wish(&self) -> String {
        match self.constraint.as_ref().or(self.index.as_ref()) {
            Some(name) => format!("comment on `{name}` of `{}`", self.on),
            None => format!("comment on `{}`", self.on),
        }
    }

    fn slug(&self) -> String {
        let on = self.on.to_string().replace('.', "-");
        let of = self.constraint.as_ref().or(self.index.as_ref()).map(|name| format!("-{}", name.as_str()));
        format!("comment-on-{on}{}", of.unwrap_or_default())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (relation, thing, was) = self.find(before)?;
        let wanted = self.wanted()?;
        if wanted == was {
            let why = was.map_or_else(|| "it has no comment".into(), |_| "it has that comment already".into());
            return Err(Refusal::Nothing(why));
        }
        let comment = wanted.cloned();
        let mut after = before.clone();
        match &thing {
            Thing::Table => after.change(&relation.name, step).comment = comment,
            Thing::Field(name) => {
                let fields = after.change(&relation.name, step).fields.iter_mut();
                fields.filter(|f| f.shape.name == *name).for_each(|f| f.shape.comment.clone_from(&comment));
            }
            Thing::Constraint(name) => {
                let constraints = after.change_unseen(&relation.name, step).constraints.iter_mut();
                constraints.filter(|c| c.item.name == *name).for_each(|c| c.item.comment.clone_from(&comment));
            }
            Thing::Index(name) => {
                let indexes = after.change_unseen(&relation.name, step).indexes.iter_mut();
                indexes.filter(|i| i.item.name == *name).for_each(|i| i.item.comment.clone_from(&comment));
            }
        }
        if let Thing::Constraint(name) | Thing::Index(name) = &thing {
            let text = format!("`{name}` gets its comment when this is made real: no view has one of that name");
            after.remark(step, RemarkKind::Note, text);
        }
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (_, _, was) = self.find(before)?;
        Ok(Refactoring::Comment(Self { text: was.cloned(), none: was.is_none(), ..self.clone() }))
    }
}
