//! `unpivot`: fields of the same kind become rows of a table of their own.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::draft::Draft;
use crate::catalogue::entangled::{self, Purpose};
use crate::catalogue::pivot::Pivot;
use crate::catalogue::{Refactor, Refactoring, rule, split_rows};
use crate::name::{FieldRef, Ident, Renaming, TableRef, listed, shell};
use crate::refusal::Refusal;
use crate::relation::{Field, Hidden, Relation, Rows, Stores};
use crate::schema::element::Element;
use crate::schema::{self, TableKind};
use crate::sql::{Expression, ExpressionError, Literal};
use crate::version::{Made, Spread, Version};

/// Make rows of fields.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unpivot {
    /// Table whose fields become rows
    pub table: TableRef,
    /// Fields that become rows, each with the label that tells its rows if that is not its name
    #[arg(required = true, value_name = "FIELD[=LABEL]", value_parser = str::parse::<Renaming>)]
    pub fields: Vec<Renaming>,
    /// Table of the rows, in the same schema if none is given
    #[arg(long, value_name = "TABLE")]
    pub into: TableRef,
    /// Names there of what refers to the table [default: table and key]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Ident>,
    /// Name there of the field with the label [default: kind]
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Ident>,
    /// Name there of the field with the value [default: value]
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Ident>,
    /// Fields and rules of the table that comes back
    #[arg(long, hide = true, value_name = "ELEMENT")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<Element>,
}

/// What becomes rows, found in a version.
struct Found<'v> {
    relation: &'v Relation,
    key: Vec<Ident>,
    /// The key as the table calls it, and its names in the new one.
    own_key: Vec<Ident>,
    from: Vec<Ident>,
    label: Ident,
    value: Ident,
    fields: Vec<&'v Field>,
}

impl Unpivot {
    fn find<'v>(&self, version: &'v Version) -> Result<Found<'v>, Refusal> {
        let relation = version.find_own(&self.table)?;
        version.must_be_whole(relation)?;
        let (key, own_key) = entangled::shown_key(version, relation)?;
        let table = relation.name.name.as_str();
        let default = || own_key.iter().map(|k| entangled::referring(table, k)).collect();
        let from: Vec<Ident> = if self.from.is_empty() { default() } else { self.from.clone() };
        if from.len() != own_key.len() {
            return Err(Refusal::NeedsValue(
                format!("the key of `{}` is {}", relation.name.short(), rule::quoted(&own_key)),
                "give `--from` one name for each of its fields".into(),
            ));
        }
        let label = self.label.clone().unwrap_or_else(|| Ident::new("kind"));
        let value = self.value.clone().unwrap_or_else(|| Ident::new("value"));
        let names = [&from[..], &[label.clone(), value.clone()]].concat();
        if let Some(twice) = names.iter().enumerate().find(|(at, n)| names[..*at].contains(n)).map(|(_, n)| n) {
            return Err(Refusal::Other {
                why: format!("`{}` would have the field `{twice}` twice", self.into),
                hint: Some("choose other names with `--from`, `--label` or `--value`".into()),
            });
        }
        let mut fields: Vec<&Field> = Vec::new();
        for Renaming { from: name, .. } in &self.fields {
            let (_, field) = version.find_field(&FieldRef { table: self.table.clone(), field: name.clone() })?;
            fields.push(field);
        }
        Ok(Found { relation, key, own_key, from, label, value, fields })
    }

    /// The labels as SQL, and their type: numbers if all are.
    fn labels(&self) -> (Vec<String>, &'static str) {
        let texts = || self.fields.iter().map(|f| f.to.as_str());
        let number = |text: &str| text.parse::<i32>().is_ok_and(|n| n.to_string() == text);
        if texts().all(number) {
            (texts().map(str::to_owned).collect(), "integer")
        } else {
            (texts().map(|t| Literal(t.into()).to_string()).collect(), "text")
        }
    }

    fn check(&self, version: &Version, found: &Found) -> Result<(), Refusal> {
        let relation = found.relation;
        if version.table(relation).kind != TableKind::Plain {
            return Err(Refusal::TableKind {
                table: relation.name.clone(),
                why: "is partitioned".into(),
                hint: Some("make the table of rows by hand: `refactor create-table`".into()),
            });
        }
        split_rows::must_not_be_read(version, relation)?;
        let names: Vec<Ident> = found.fields.iter().map(|f| f.shape.name.clone()).collect();
        version.stored(relation, &names)?;
        let first = &found.fields[0].shape;
        for (at, field) in found.fields.iter().enumerate() {
            let shape = &field.shape;
            let held = |role: String, hint: String| {
                let field = FieldRef { table: self.table.clone(), field: shape.name.clone() };
                Err(Refusal::Entangled { field, role, hint: Some(hint) })
            };
            entangled::check(version, relation, field, Purpose::Change)?;
            if shape.not_null {
                return held(
                    "may not be NULL, but new code will insert rows before these".into(),
                    format!("allow NULL first: `refactor drop-not-null {}`", relation.name.typed_field(&shape.name)),
                );
            }
            if (&shape.type_name, &shape.collation) != (&first.type_name, &first.collation) {
                return held(
                    format!("is of type {}, and `{}` of type {}", shape.type_name, first.name, first.type_name),
                    format!(
                        "change it first: `refactor change-type {} {}`",
                        relation.name.typed_field(&shape.name),
                        shell(&first.type_name)
                    ),
                );
            }
            if names[..at].contains(&shape.name) || self.fields[..at].iter().any(|f| f.to == self.fields[at].to) {
                return held("or its label is named twice".into(), "name each once".into());
            }
        }
        Ok(())
    }

    /// The rows' table, as CREATE TABLE would make it.
    fn rows(&self, found: &Found) -> Result<Vec<Element>, Refusal> {
        if !self.elements.is_empty() {
            return Ok(self.elements.clone());
        }
        let field = |name: &Ident, like: &schema::Field| {
            let plain = schema::Field {
                type_name: like.type_name.clone(),
                collation: like.collation.clone(),
                not_null: true,
                ..schema::Field::named(name.clone())
            };
            plain.definition()
        };
        let keys = found.from.iter().zip(&found.own_key);
        let mut texts: Vec<String> =
            keys.filter_map(|(new, old)| Some(field(new, &found.relation.field(old)?.shape))).collect();
        let (labels, kind) = self.labels();
        texts.push(format!("{} {kind} NOT NULL", found.label));
        texts.push(field(&found.value, &found.fields[0].shape));
        texts.push(format!("PRIMARY KEY ({}, {})", listed(&found.from), found.label));
        texts.push(format!(
            "FOREIGN KEY ({}) REFERENCES {} ({}) ON UPDATE CASCADE ON DELETE CASCADE",
            listed(&found.from),
            found.relation.name,
            listed(&found.own_key)
        ));
        texts.push(format!("CHECK ({} IN ({}))", found.label, labels.join(", ")));
        let unreadable = |e: ExpressionError| Refusal::Expression(e.to_string());
        texts.iter().map(|text| text.parse().map_err(unreadable)).collect()
    }
}

impl Refactor for Unpivot {
    fn wish(&self) -> String {
        let fields: Vec<Ident> = self.fields.iter().map(|f| f.from.clone()).collect();
        format!("make rows of {} of `{}` in `{}`", rule::quoted(&fields), self.table, self.into)
    }

    fn slug(&self) -> String {
        format!("unpivot-{}-of-{}", self.into.name.as_str(), self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let found = self.find(before)?;
        self.check(before, &found)?;
        let relation = found.relation;
        let names: Vec<Ident> = found.fields.iter().map(|f| f.shape.name.clone()).collect();
        let name = before.free_name(&entangled::reference(&entangled::beside(relation, &self.into)))?;
        let physical = before.new_table(step, &name.name);
        let mut draft = Draft::new(before, &name, &physical);
        draft.fill(&self.rows(&found)?, false)?;
        let (table, sequences) = draft.like(before.table(relation));
        let mut after = before.clone();
        for field in &found.fields {
            entangled::note(&mut after, step, relation, field, Purpose::Change);
        }
        let columns = before.stored(relation, &names)?;
        let kind = table.fields.iter().find(|f| f.name == found.label).map_or("text", |f| &f.type_name);
        after.spreads.push(Spread {
            step: step.to_owned(),
            id: entangled::generated_id(step, &name.name),
            table: relation.base.clone(),
            key: found.key.clone(),
            columns: columns.clone(),
            labels: self.labels().0.into_iter().map(|label| format!("{label}::{kind}")).collect(),
            rows: physical.clone(),
            from: found.from.clone(),
            label: found.label.clone(),
            value: found.value.clone(),
        });
        after.make(Made { step: step.to_owned(), table: physical, restores: None }, &name, table, sequences);
        after.change(&name, step).rows = Rows::Spread(after.spreads.len() - 1);
        let null: Expression = "NULL".parse().map_err(|e: ExpressionError| Refusal::Expression(e.to_string()))?;
        let changed = after.change(&relation.name, step);
        changed.remove_fields(&names);
        changed.hidden.extend(columns.into_iter().map(|column| Hidden { column, stores: Stores::Value(null.clone()) }));
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let found = self.find(before)?;
        Ok(Refactoring::Pivot(Pivot {
            table: entangled::reference(&entangled::beside(found.relation, &self.into)),
            fields: self.fields.iter().map(|f| Renaming { from: f.to.clone(), to: f.from.clone() }).collect(),
            into: entangled::reference(&found.relation.name),
            label: found.label,
            value: found.value,
            via: None,
            order: found.relation.fields.iter().map(|f| f.shape.name.clone()).collect(),
        }))
    }
}
