//! `add-primary-key`: fields that tell the rows of a table apart, in place of other ones if there are any.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_constraint::DropConstraint;
use crate::catalogue::{Refactor, Refactoring, entangled, primary, rule};
use crate::name::{Ident, TableRef, listed, typed_all};
use crate::refusal::{Refusal, list, similar};
use crate::relation::{Attached, Relation};
use crate::schema::{Constraint, ConstraintKind, Index};
use crate::sql::rename_in_definition;
use crate::version::{RemarkKind, Version};

/// Add a primary key, or make other fields it.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddPrimaryKey {
    /// Table, as in `customers`
    pub table: TableRef,
    /// Fields whose values, taken together, tell its rows apart; they refuse NULL from then on
    #[arg(required_unless_present = "index", value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Ident>,
    /// Unique index whose fields these are, and which becomes the key's
    #[arg(long, value_name = "NAME", conflicts_with = "fields", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Ident>,
    /// Name of the constraint
    #[arg(long, value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Ident>,
    /// Let the primary key before be a unique constraint, so that foreign keys can refer to it
    #[arg(long)]
    #[serde(default, skip_serializing_if = "rule::is_false")]
    pub keep_as_unique: bool,
    /// Name of that unique constraint
    #[arg(long, hide = true, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Ident>,
    /// Unique constraint in whose place it comes
    #[arg(long, hide = true, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Ident>,
    /// How the key before goes
    #[command(flatten)]
    #[serde(default, skip_serializing_if = "primary::Leaves::is_nothing")]
    pub leaves: primary::Leaves,
}

impl AddPrimaryKey {
    /// One of these fields, called so.
    #[must_use]
    pub fn named(table: TableRef, fields: Vec<Ident>, name: Ident) -> Self {
        Self {
            table,
            fields,
            index: None,
            name: Some(name),
            keep_as_unique: false,
            unique: None,
            instead: None,
            leaves: primary::Leaves::default(),
        }
    }

    fn find<'v>(&self, before: &'v Version) -> Result<&'v Relation, Refusal> {
        let relation = rule::find_writable(before, &self.table)?;
        let refuse = |why: String, hint: String| Err(Refusal::Other { why, hint: Some(hint) });
        primary::must_not_be_published(before, relation)?;
        let Some(key) = primary::of(relation) else { return Ok(relation) };
        if key.inherited {
            return refuse(format!("`{}` comes from the table above", key.name), "change it there".into());
        }
        primary::must_be_plain(relation)?;
        if key.fields == self.fields(before, relation)? {
            let listed = rule::quoted(&key.fields);
            return Err(Refusal::Nothing(format!("`{}` makes {listed} the primary key already", key.name)));
        }
        if self.keep_as_unique {
            return Ok(relation);
        }
        match rule::referred_by(before, relation, &key.fields) {
            Some(who) => refuse(
                format!("`{}` is the primary key, and {who}", key.name),
                format!(
                    "keep it as a unique constraint: `refactor add-primary-key {} {} --keep-as-unique`",
                    relation.name.typed(),
                    match &self.index {
                        Some(index) => format!("--index {}", index.typed()),
                        None => typed_all(&self.fields),
                    }
                ),
            ),
            None => Ok(relation),
        }
    }

    /// The fields of the key.
    fn fields(&self, before: &Version, relation: &Relation) -> Result<Vec<Ident>, Refusal> {
        match &self.index {
            Some(_) => Ok(self.found_index(relation)?.item.keys.iter().flatten().cloned().collect()),
            None => rule::find_fields(before, &self.table, &self.fields),
        }
    }

    /// The index that becomes the key's.
    fn found_index<'r>(&self, relation: &'r Relation) -> Result<&'r Attached<Index>, Refusal> {
        let table = relation.name.short();
        let name = self.index.clone().unwrap_or_else(|| Ident::new(""));
        let refuse = |why: String, hint: String| Err(Refusal::Other { why, hint: Some(hint) });
        let Some(index) = relation.indexes.iter().find(|i| i.item.name == name) else {
            let unique = relation.indexes.iter().filter(|i| i.item.unique && i.item.constraint.is_none());
            let all: Vec<String> = unique.map(|i| i.item.name.as_str().to_owned()).collect();
            let hint = match &similar(name.as_str(), all.iter().map(String::as_str))[..] {
                [] if all.is_empty() => "name the fields instead".to_owned(),
                [] => format!("it has {}", list(&all)),
                near => format!("did you mean {}?", list(near)),
            };
            return refuse(format!("table `{table}` has no unique index `{name}`"), hint);
        };
        let item = &index.item;
        let keys: Option<Vec<Ident>> = item.keys.iter().cloned().collect();
        let fields = keys.as_ref().map(|keys| typed_all(keys)).unwrap_or_default();
        let instead = format!("name the fields: `refactor add-primary-key {} {fields}`", relation.name.typed());
        if let Some(constraint) = &item.constraint {
            return refuse(format!("`{name}` serves the constraint `{constraint}`"), instead);
        }
        let plain = keys.map(|keys| format!(" USING btree ({})", listed(&keys)));
        let definition = rename_in_definition(&item.definition, &entangled::renames(&index.columns, &item.fields));
        let is_plain = plain.is_some_and(|plain| definition.ends_with(&plain));
        if !item.unique || !item.valid || !item.immediate || item.partial || !is_plain {
            let why = format!("`{name}` is not a valid unique index over nothing but fields, for all rows");
            return refuse(why, if fields.is_empty() { "name the fields instead".into() } else { instead });
        }
        Ok(index)
    }

    /// The constraint, for the version before.
    fn constraint(&self, before: &Version, relation: &Relation) -> Result<Constraint, Refusal> {
        let fields = self.fields(before, relation)?;
        rule::must_have_partition_fields(before, relation, &fields)?;
        let mut loose = relation.clone();
        let old = primary::take_off(&mut loose);
        if let Some(index) = &self.index {
            loose.indexes.retain(|i| i.item.name != *index);
        }
        if let Some(instead) = &self.instead {
            primary::forget(&mut loose, instead);
        }
        // A key may have the name of the one before.
        let given = self.name.clone().or_else(|| old.clone());
        let name = match given {
            Some(name) if Some(&name) == old.as_ref() || Some(&name) == self.index.as_ref() => name,
            given => rule::free_name(before, &loose, given.as_ref(), &[], "pkey")?,
        };
        let definition = format!("PRIMARY KEY ({})", listed(&fields));
        Ok(Constraint::named(name, ConstraintKind::Primary, fields, definition))
    }

    /// Those of its fields that may be NULL now.
    fn nullable(relation: &Relation, fields: &[Ident]) -> Vec<Ident> {
        let may = |f: &&Ident| relation.field(f).is_some_and(|f| !f.shape.not_null);
        fields.iter().filter(may).cloned().collect()
    }
}

impl Refactor for AddPrimaryKey {
    fn wish(&self) -> String {
        match &self.index {
            Some(index) => format!("make `{index}` the primary key of `{}`", self.table),
            None => format!("make {} the primary key of `{}`", rule::quoted(&self.fields), self.table),
        }
    }

    fn slug(&self) -> String {
        let what = self.index.as_ref().map_or_else(|| rule::words(&self.fields), |i| i.as_str().to_owned());
        format!("add-primary-key-{what}-to-{}", self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let relation = self.find(before)?;
        let constraint = self.constraint(before, relation)?;
        let (fields, name) = (constraint.fields.clone(), constraint.name.clone());
        let mut after = before.clone();
        let old = primary::of(relation).cloned();
        rule::note_binding(&mut after, step, relation, &constraint);
        if self.index.is_none() && self.instead.is_none() && !relation.is_unique(&fields) {
            rule::note_missing_index(&mut after, step, relation, &fields);
        }
        let kept = |name: &Ident| {
            let field = relation.field(name)?;
            rule::stored(before, relation, field).filter(|f| f.not_null).map(drop)
        };
        let changed = after.change(&relation.name, step);
        let mut demoted = None;
        if self.keep_as_unique {
            demoted = primary::demote(before, step, changed, self.unique.as_ref())?;
        } else {
            primary::take_off(changed);
        }
        self.leaves.leave(step, changed, old.as_ref());
        for field in Self::nullable(relation, &fields) {
            if kept(&field).is_none() {
                changed.constraints.push(Attached::new(step, rule::demand(relation, &field)));
            }
            changed.fields.iter_mut().filter(|f| f.shape.name == field).for_each(|f| f.shape.not_null = true);
        }
        if let Some(unique) = &self.instead {
            primary::promote(step, changed, &fields, &name, Some(unique));
        } else {
            for index in changed.indexes.iter_mut().filter(|i| Some(&i.item.name) == self.index.as_ref()) {
                index.item.name.clone_from(&name);
                index.item.constraint = Some(name.clone());
            }
            changed.constraints.push(Attached::new(step, constraint));
        }
        if let Some((was, now)) = demoted {
            primary::note_name(&mut after, step, &was, &now);
        } else if let Some(old) = old.filter(|_| !self.keep_as_unique) {
            let text = format!("`{}` still holds, with its own error", old.name);
            rule::note_until_real(&mut after, step, &text);
            rule::note_comment(&mut after, step, &format!("`{}`", old.name), old.comment.as_ref());
        }
        if self.index.as_ref().is_some_and(|index| *index != name) {
            let text = format!("the index is called `{name}` from materializing on, as its constraint");
            after.remark(step, RemarkKind::Note, text);
        }
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let relation = self.find(before)?;
        let Constraint { name, fields, .. } = self.constraint(before, relation)?;
        let nullable = Self::nullable(relation, &fields);
        let leaves = primary::Leaves { nullable, leave_index: self.index.clone() };
        let Some(old) = primary::of(relation) else {
            return Ok(Refactoring::DropConstraint(DropConstraint {
                leaves,
                ..DropConstraint::new(self.table.clone(), name)
            }));
        };
        let mut instead = None;
        if self.keep_as_unique {
            instead = primary::demote(before, step, &mut relation.clone(), self.unique.as_ref())?.map(|(_, now)| now);
        }
        let back = Self::named(self.table.clone(), old.fields.clone(), old.name.clone());
        let (keep_as_unique, unique) = (self.instead.is_some(), self.instead.clone());
        // Its own index went with the key of which it was.
        let index = self.leaves.leave_index.clone();
        let fields = if index.is_some() { Vec::new() } else { back.fields.clone() };
        Ok(Refactoring::AddPrimaryKey(Self { fields, index, keep_as_unique, unique, instead, leaves, ..back }))
    }
}
