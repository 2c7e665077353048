//! `pivot`: rows of a table that are told apart by a label become fields of the one that they refer to.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::unpivot::Unpivot;
use crate::catalogue::{Refactor, Refactoring, create_table, entangled, path, rule};
use crate::fact::LossKind;
use crate::name::{FieldRef, Ident, Renaming, TableRef, typed_all};
use crate::refusal::Refusal;
use crate::relation::{Field, Home, Relation};
use crate::schema::{self, ConstraintKind};
use crate::sql::Literal;
use crate::version::{Compared, Hop, Lookup, Missing, RemarkKind, Unlisted, Version};

/// Make fields of rows.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pivot {
    /// Table whose rows become fields, and that goes
    pub table: TableRef,
    /// Labels of the rows, each with the name of its field if that is another
    #[arg(required = true, value_name = "LABEL[=FIELD]", value_parser = str::parse::<Renaming>)]
    pub fields: Vec<Renaming>,
    /// Table that they refer to and that gets the fields
    #[arg(long, value_name = "TABLE")]
    pub into: TableRef,
    /// Field with the label
    #[arg(long, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    pub label: Ident,
    /// Field with the value
    #[arg(long, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    pub value: Ident,
    /// Foreign key that leads to the table, where there are several
    #[arg(long, value_name = "KEY", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Ident>,
    /// Order of the fields there
    #[arg(long, hide = true, value_name = "FIELD", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<Ident>,
}

/// How the tables hang together.
struct Found<'v> {
    table: &'v Relation,
    into: &'v Relation,
    hop: Hop,
    /// What refers to the table that gets the fields.
    reference: Vec<Ident>,
    label: &'v Field,
    value: &'v Field,
}

impl Pivot {
    fn find<'v>(&self, version: &'v Version) -> Result<Found<'v>, Refusal> {
        let found = path::reference(version, &self.table, &self.into, self.via.as_ref())?;
        let (table, reference) = (found.table, found.fields);
        let here = table.name.short();
        let field = |name: &Ident| {
            let wanted = FieldRef { table: self.table.clone(), field: name.clone() };
            version.find_field(&wanted).map(|(_, field)| field)
        };
        let (label, value) = (field(&self.label)?, field(&self.value)?);
        for (field, what) in [(label, "label"), (value, "value")] {
            if reference.contains(&field.shape.name) {
                return Err(Refusal::Entangled {
                    field: FieldRef { table: self.table.clone(), field: field.shape.name.clone() },
                    role: format!("is what refers to `{}`, so it cannot be the {what}", found.into.name.short()),
                    hint: Some(format!("name another field: `--{what}`")),
                });
            }
        }
        let key = [&reference[..], std::slice::from_ref(&label.shape.name)].concat();
        if !table.is_unique(&key) {
            return Err(Refusal::Other {
                why: format!("{} of `{here}` are not unique: one field could have several values", rule::quoted(&key)),
                hint: Some(format!(
                    "make them unique first: `refactor add-unique {} {}`",
                    table.name.typed(),
                    typed_all(&key)
                )),
            });
        }
        Ok(Found { table, into: found.into, hop: found.hop, reference, label, value })
    }

    fn check(&self, version: &Version, found: &Found) -> Result<(), Refusal> {
        for (at, Renaming { from, to }) in self.fields.iter().enumerate() {
            entangled::must_be_free(found.into, to, &format!("choose another name: `{from}=…`"))?;
            if self.fields[..at].iter().any(|f| f.from == *from || f.to == *to) {
                return Err(Refusal::Other { why: format!("`{from}` or `{to}` is named twice"), hint: None });
            }
        }
        version.stored(found.table, &[found.label.shape.name.clone(), found.value.shape.name.clone()])?;
        for field in Self::left(found) {
            if field.must_be_given() {
                return Err(Refusal::Entangled {
                    field: FieldRef { table: self.table.clone(), field: field.name.clone() },
                    role: "is NOT NULL and has no default, so no row could be made without it".into(),
                    hint: Some("move or drop it first".into()),
                });
            }
        }
        let value = &found.value.shape;
        if value.generated.is_some() || value.identity.is_some() {
            return Err(Refusal::Entangled {
                field: FieldRef { table: self.table.clone(), field: value.name.clone() },
                role: "is filled by PostgreSQL itself".into(),
                hint: None,
            });
        }
        Ok(())
    }

    /// Fields that are neither the reference, nor label nor value.
    fn left<'v>(found: &'v Found) -> impl Iterator<Item = &'v schema::Field> {
        let kept = [&found.reference[..], &[found.label.shape.name.clone(), found.value.shape.name.clone()]].concat();
        found.table.fields.iter().map(|f| &f.shape).filter(move |f| !kept.contains(&f.name))
    }

    /// The label as SQL.
    fn label(found: &Found, label: &Ident) -> String {
        format!("{}::{}", Literal(label.as_str().into()), found.label.shape.type_name)
    }

    fn note(after: &mut Version, step: &str, found: &Found) {
        let (here, there) = (found.table.name.short(), found.into.name.short());
        for field in Self::left(found) {
            after.remark(step, RemarkKind::Lost, format!("`{here}.{}`", field.name));
        }
        let value = &found.value.shape;
        if value.not_null {
            let text = format!("NOT NULL of `{}`, as a row of `{there}` may lack one of `{here}`", value.name);
            after.remark(step, RemarkKind::Lost, text);
        }
        if let Some(default) = &value.default {
            after.remark(step, RemarkKind::Lost, format!("default `{default}` of `{}`", value.name));
        }
        let key = [&found.reference[..], std::slice::from_ref(&found.label.shape.name)].concat();
        let implied = |kind: &ConstraintKind, fields: &[Ident]| match kind {
            ConstraintKind::Primary | ConstraintKind::Unique => key.iter().all(|f| fields.contains(f)),
            ConstraintKind::Check => fields == [found.label.shape.name.clone()],
            ConstraintKind::Foreign(_) => fields == found.reference,
            ConstraintKind::Exclude | ConstraintKind::NotNull => false,
        };
        for constraint in found.table.constraints.iter().map(|c| &c.item).filter(|c| !implied(&c.kind, &c.fields)) {
            after.remark(step, RemarkKind::Lost, format!("constraint `{}`", constraint.name));
        }
        for index in found.table.indexes.iter().map(|i| &i.item).filter(|i| i.constraint.is_none()) {
            after.remark(step, RemarkKind::Lost, format!("index `{}`", index.name));
        }
        let text = format!(
            "while this is deferred, rows of `{here}` are inserted and deleted as its fields in `{there}` are given and taken"
        );
        after.remark(step, RemarkKind::Note, text);
    }
}

impl Refactor for Pivot {
    fn wish(&self) -> String {
        format!("make fields of the rows of `{}` in `{}`", self.table, self.into)
    }

    fn slug(&self) -> String {
        format!("pivot-{}-into-{}", self.table.name.as_str(), self.into.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let found = self.find(before)?;
        self.check(before, &found)?;
        let (table, into) = (found.table, found.into);
        let column = before.stored(table, std::slice::from_ref(&found.value.shape.name))?;
        let labelled = before.stored(table, std::slice::from_ref(&found.label.shape.name))?.remove(0);
        let mut after = before.clone();
        Self::note(&mut after, step, &found);
        let first = after.lookups.len();
        for Renaming { from, to } in &self.fields {
            after.lookups.push(Lookup {
                step: step.to_owned(),
                id: entangled::generated_id(step, to),
                table: into.base.clone(),
                columns: found.hop.to_columns.clone(),
                other: table.base.clone(),
                found_by: found.hop.from_columns.clone(),
                always: Some((labelled.clone(), Self::label(&found, from))),
                compared: vec![Compared::default(); found.reference.len()],
                shows: column.clone(),
                types: vec![found.value.shape.type_name.clone()],
                missing: Missing::Part { absent: vec![None], goes: found.value.shape.not_null },
                unlisted: Unlisted::Null,
                only: None,
                unique: true,
                restores: None,
                kept: Vec::new(),
                left: Vec::new(),
                words: (into.name.clone(), table.name.clone()),
                fields: vec![to.clone()],
            });
        }
        let changed = after.change(&into.name, step);
        for (at, Renaming { to, .. }) in self.fields.iter().enumerate() {
            let shape = schema::Field {
                name: to.clone(),
                not_null: false,
                default: None,
                sequence: None,
                comment: None,
                ..found.value.shape.clone()
            };
            changed.insert_field(Field { shape, home: Home::Looked(first + at, 0) }, None);
        }
        if !self.order.is_empty() {
            changed.put_in_order(&self.order);
        }
        let fate = format!("became fields of `{}`", into.name.short());
        after.drop_relation(step, table, &fate, LossKind::Unreferring(first))?;
        if let Some(loss) = after.losses.last_mut() {
            loss.words.other = into.name.clone();
        }
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let found = self.find(before)?;
        Ok(Refactoring::Unpivot(Unpivot {
            table: entangled::reference(&found.into.name),
            fields: self.fields.iter().map(|f| Renaming { from: f.to.clone(), to: f.from.clone() }).collect(),
            into: entangled::reference(&found.table.name),
            from: found.reference.clone(),
            label: Some(found.label.shape.name.clone()),
            value: Some(found.value.shape.name.clone()),
            elements: create_table::elements(before, found.table)?,
        }))
    }
}
