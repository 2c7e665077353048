//! `add-foreign-key`: fields that refer to a row of another table.

use std::fmt;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_constraint::DropConstraint;
use crate::catalogue::entangled::reference;
use crate::catalogue::quarantine::OnViolation;
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::{FieldRef, Ident, NameError, TableRef, listed, serde_as_text, shell, typed_all};
use crate::refusal::Refusal;
use crate::relation::Relation;
use crate::schema::{Constraint, ConstraintKind, ForeignKey};
use crate::version::{RemarkKind, Version};

/// Add a foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddForeignKey {
    /// Table whose rows refer, as in `orders`
    pub table: TableRef,
    /// Its fields that refer
    #[arg(required = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    pub fields: Vec<Ident>,
    /// Table referred to, and its key if it is not the primary one, as in `customers` or `customers(code)`
    #[arg(long, value_name = "TABLE")]
    pub references: Key,
    /// Name of the constraint
    #[arg(long, value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Ident>,
    /// What happens when the row referred to is deleted
    #[arg(long, value_enum, default_value = "no-action")]
    #[serde(default, skip_serializing_if = "Action::is_default")]
    pub on_delete: Action,
    /// What happens when its key changes
    #[arg(long, value_enum, default_value = "no-action")]
    #[serde(default, skip_serializing_if = "Action::is_default")]
    pub on_update: Action,
    /// Let it be checked at the end of a transaction
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "initially-immediate")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferrable: Option<Deferrable>,
    /// What happens to rows that break it
    #[arg(long, value_enum, default_value = "abort")]
    #[serde(default, skip_serializing_if = "OnViolation::is_default")]
    pub on_violation: OnViolation,
}

/// What a foreign key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is refused, at the end of the statement
    #[default]
    NoAction,
    /// It is refused at once
    Restrict,
    /// The referring rows follow
    Cascade,
    /// They get NULL
    SetNull,
    /// They get their default
    SetDefault,
}

impl Action {
    const LETTERS: [(Self, char); 5] = [
        (Self::NoAction, 'a'),
        (Self::Restrict, 'r'),
        (Self::Cascade, 'c'),
        (Self::SetNull, 'n'),
        (Self::SetDefault, 'd'),
    ];

    /// As `pg_constraint` has it.
    #[must_use]
    pub fn letter(self) -> char {
        Self::LETTERS.iter().find(|(a, _)| *a == self).map_or('a', |(_, letter)| *letter)
    }

    /// From what `pg_constraint` has.
    #[must_use]
    pub fn of(letter: char) -> Self {
        Self::LETTERS.iter().find(|(_, l)| *l == letter).map_or(Self::NoAction, |(action, _)| *action)
    }

    /// Whether it need not be written down.
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it with a reference
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// When a foreign key can be checked at the end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Deferrable {
    /// If the transaction asks for it
    InitiallyImmediate,
    /// Unless the transaction asks for the contrary
    InitiallyDeferred,
}

impl Deferrable {
    /// How a constraint is.
    #[must_use]
    pub fn of(constraint: &Constraint) -> Option<Self> {
        let when = if constraint.deferred { Self::InitiallyDeferred } else { Self::InitiallyImmediate };
        constraint.deferrable.then_some(when)
    }
}

/// A table with fields of it: `customers(code)`. Without fields its primary key is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The table.
    pub table: TableRef,
    /// The fields, if they were given.
    pub fields: Vec<Ident>,
}

impl FromStr for Key {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some((table, fields)) = text.strip_suffix(')').and_then(|t| t.split_once('(')) else {
            return Ok(Self { table: text.parse()?, fields: Vec::new() });
        };
        Ok(Self { table: table.parse()?, fields: fields.split(',').map(str::parse).collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<String> = self.fields.iter().map(ToString::to_string).collect();
        let fields = if fields.is_empty() { String::new() } else { format!("({})", fields.join(", ")) };
        write!(f, "{}{fields}", self.table)
    }
}

serde_as_text!(Key => ToString::to_string);

impl AddForeignKey {
    /// The constraint, for the version before, and the table that it refers to.
    fn constraint<'v>(&self, before: &'v Version) -> Result<(Constraint, &'v Relation), Refusal> {
        let relation = rule::find_writable(before, &self.table)?;
        let far = before.find_plain(&self.references.table)?;
        let fields = rule::find_fields(before, &self.table, &self.fields)?;
        let key = self.far_fields(before, far)?;
        let refuse = |why: String, hint: &str| Err(Refusal::Other { why, hint: Some(hint.into()) });
        if key.len() != fields.len() {
            let why = format!("{} cannot refer to {}", rule::quoted(&fields), rule::quoted(&key));
            return refuse(why, "name as many fields as the key has");
        }
        let mut columns = Vec::new();
        for name in &key {
            let field = FieldRef { table: reference(&far.name), field: name.clone() };
            let (_, there) = before.find_field(&field)?;
            match far.column(&before.schema, there) {
                Some(column) => columns.push(column.clone()),
                None => return Err(Refusal::NotMaterialized { step: before.put_there_by(far, there), field }),
            }
        }
        if !is_key(far, &key) {
            let why = format!("{} of `{}` is not unique", rule::quoted(&key), far.name.short());
            let hint = format!("make it unique first: `refactor add-unique {} {}`", far.name.typed(), typed_all(&key));
            return refuse(why, &hint);
        }
        if before.table(far).unlogged && !before.table(relation).unlogged {
            let why = format!("`{}` is UNLOGGED and may be empty after a crash", far.name.short());
            return refuse(why, "refer to a table that is logged");
        }
        let name = rule::free_name(before, relation, self.name.as_ref(), &fields, "fkey")?;
        let definition =
            format!("FOREIGN KEY ({}) REFERENCES {} ({})", listed(&fields), far.name.short(), listed(&key));
        let kind = ConstraintKind::Foreign(ForeignKey {
            table: far.base.clone(),
            fields: columns,
            on_update: self.on_update.letter(),
            on_delete: self.on_delete.letter(),
            match_full: false,
        });
        let constraint = Constraint {
            deferrable: self.deferrable.is_some(),
            deferred: self.deferrable == Some(Deferrable::InitiallyDeferred),
            ..Constraint::named(name, kind, fields, definition)
        };
        Ok((constraint, far))
    }

    /// The key referred to: the given fields, else the primary key.
    fn far_fields(&self, before: &Version, far: &Relation) -> Result<Vec<Ident>, Refusal> {
        if !self.references.fields.is_empty() {
            return rule::find_fields(before, &reference(&far.name), &self.references.fields);
        }
        let primary = far.constraints.iter().find(|c| c.item.kind == ConstraintKind::Primary);
        primary.map(|c| c.item.fields.clone()).ok_or_else(|| Refusal::Other {
            why: format!("`{}` has no primary key", far.name.short()),
            hint: Some(format!(
                "name a unique key, as in `--references {}`",
                shell(&format!("{}(code)", far.name.reference()))
            )),
        })
    }
}

/// Whether exactly these fields are a key.
fn is_key(relation: &Relation, fields: &[Ident]) -> bool {
    let same = |other: &[Ident]| other.len() == fields.len() && other.iter().all(|f| fields.contains(f));
    let index = relation.indexes.iter().filter_map(|i| i.item.key()).any(|key| same(&key));
    let new = relation.constraints.iter().filter(|c| c.brought_by().is_some());
    index || new.into_iter().any(|c| c.item.kind == ConstraintKind::Unique && same(&c.item.fields))
}

impl Refactor for AddForeignKey {
    fn wish(&self) -> String {
        format!("let {} of `{}` refer to `{}`", rule::quoted(&self.fields), self.table, self.references)
    }

    fn slug(&self) -> String {
        format!("add-foreign-key-{}-to-{}", rule::words(&self.fields), self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (constraint, far) = self.constraint(before)?;
        let mut after = rule::with(before, step, before.find_own(&self.table)?, constraint, self.on_violation)?;
        let text = format!(
            "deleting a row of `{}` or changing its key asks nothing and does nothing here until this is real; a row left behind keeps it from materializing",
            far.name.short()
        );
        after.remark(step, RemarkKind::Note, text);
        if self.deferrable.is_some() {
            let text = "until this is real, each statement of new code is asked, and not the whole transaction";
            after.remark(step, RemarkKind::Note, text);
        }
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let name = self.constraint(before)?.0.name;
        Ok(Refactoring::DropConstraint(DropConstraint::new(self.table.clone(), name)))
    }
}
