//! `merge-tables`: a table that has at most one row for each of another's gives it its fields.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::inline_table::Default;
use crate::catalogue::restored::Restored;
use crate::catalogue::split_table::SplitTable;
use crate::catalogue::{Refactor, Refactoring, create_table, entangled, path, rule};
use crate::fact::{Claim, Fact, LossKind, Words};
use crate::name::{FieldRef, Ident, Renaming, TableRef, listed, typed_all};
use crate::refusal::{Refusal, similar};
use crate::relation::{Attached, Field, Home, NamesFields, Relation};
use crate::schema::{self, Constraint, ConstraintKind, ForeignKey};
use crate::sql::Expression;
use crate::version::{Compared, Hop, Lookup, Missing, RemarkKind, Unlisted, Version};

/// Give a table's fields to the one that it has at most one row for each row of.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeTables {
    /// Table that goes
    pub table: TableRef,
    /// Table that it refers to and that gets its fields
    #[arg(long, value_name = "TABLE")]
    pub into: TableRef,
    /// Foreign key that leads there, where there are several
    #[arg(long, value_name = "KEY", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Ident>,
    /// Another name for a field, as in `name=label`
    #[arg(long = "as", value_name = "FIELD=NAME", value_delimiter = ',', value_parser = str::parse::<Renaming>)]
    #[serde(default, rename = "as", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Renaming>,
    /// Fields that are left behind
    #[arg(long, value_name = "FIELD", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<Ident>,
    /// What a field is in a row that has no such part [default: NULL]
    #[arg(long, value_name = "FIELD=EXPRESSION", value_parser = str::parse::<Default>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fill: Vec<Default>,
    /// Each row has its part: fields stay NOT NULL and keep their defaults
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub total: bool,
    /// Field whose values were kept, and what for
    #[arg(long, hide = true, value_name = "FIELD=REFACTORING", value_parser = str::parse::<Restored>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<Restored>,
    /// Order of the fields there
    #[arg(long, hide = true, value_name = "FIELD", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<Ident>,
}

/// How the two tables hang together.
struct Found<'v> {
    table: &'v Relation,
    into: &'v Relation,
    hop: Hop,
    key: ForeignKey,
    /// The foreign key's fields in the table that goes.
    reference: Vec<Ident>,
    /// The fields that go over.
    fields: Vec<&'v Field>,
    /// Those that stay behind.
    left: Vec<&'v Field>,
}

impl MergeTables {
    fn find<'v>(&self, version: &'v Version, alone: bool) -> Result<Found<'v>, Refusal> {
        let found = path::reference(version, &self.table, &self.into, self.via.as_ref())?;
        let (table, into, reference) = (found.table, found.into, found.fields);
        let (here, there) = (table.name.short(), into.name.short());
        if !alone && !table.is_unique(&reference) {
            return Err(Refusal::Other {
                why: format!(
                    "several rows of `{here}` could refer to one of `{there}`: {} is not unique",
                    rule::quoted(&reference)
                ),
                hint: Some(format!(
                    "make it unique first: `refactor add-unique {} {}`",
                    table.name.typed(),
                    typed_all(&reference)
                )),
            });
        }
        let key = table.foreign_keys().find(|(c, _)| c.item.name == found.key);
        let key = key.map(|(_, key)| key.clone()).ok_or_else(|| Refusal::NoKey { table: table.name.clone() })?;
        let known = |name: &&Ident| table.field(name).is_none();
        let mut named =
            self.names.iter().map(|r| &r.from).chain(&self.without).chain(self.fill.iter().map(|d| &d.field));
        if let Some(unknown) = named.find(known) {
            let similar = similar(unknown.as_str(), table.fields.iter().map(|f| f.shape.name.as_str()));
            return Err(Refusal::NoField { table: table.name.clone(), field: unknown.clone(), similar });
        }
        let primary = table.constraints.iter().find(|c| c.item.kind == ConstraintKind::Primary);
        let own_key = primary.map(|c| &c.item.fields[..]).unwrap_or_default();
        let numbers = |f: &Field| f.shape.identity.is_some() || f.shape.sequence.is_some();
        let stays = |f: &&Field| {
            let named = self.names.iter().any(|r| r.from == f.shape.name);
            self.without.contains(&f.shape.name) || !named && own_key.contains(&f.shape.name) && numbers(f)
        };
        let others = table.fields.iter().filter(|f| !reference.contains(&f.shape.name));
        let (left, fields): (Vec<&Field>, Vec<&Field>) = others.partition(stays);
        if fields.is_empty() {
            return Err(Refusal::Nothing(format!("`{here}` has no fields that could go over")));
        }
        Ok(Found { table, into, hop: found.hop, key, reference, fields, left })
    }

    /// The fields that refer to the table that gets the others, and those, each with its name there.
    ///
    /// # Errors
    /// As when it is done.
    pub fn link(&self, version: &Version) -> Result<(Vec<Ident>, Vec<Renaming>), Refusal> {
        let found = self.find(version, true)?;
        let names = found.fields.iter().map(|f| &f.shape.name);
        let fields = names.map(|n| Renaming { from: n.clone(), to: self.name(n) }).collect();
        Ok((found.reference, fields))
    }

    /// The name of a field where it goes.
    fn name(&self, field: &Ident) -> Ident {
        self.names.iter().find(|r| r.from == *field).map_or_else(|| field.clone(), |r| r.to.clone())
    }

    fn check(&self, found: &Found) -> Result<(), Refusal> {
        if let Some(value) = self.fill.iter().map(|d| &d.value).find(|v| !v.fields().is_empty()) {
            return Err(Refusal::Expression(format!("`{value}` reads a field; without a part there is none")));
        }
        for field in &found.fields {
            let hint = format!("choose another name: `--as {}=…`", field.shape.name.typed());
            entangled::must_be_free(found.into, &self.name(&field.shape.name), &hint)?;
            if field.shape.generated.is_some() || field.shape.identity.is_some() {
                return Err(self.held(field, "is filled by PostgreSQL itself", "leave it behind: `--without`"));
            }
        }
        let cascades = |(c, key): &(&Attached<Constraint>, &ForeignKey)| {
            key.on_delete == 'c' && c.item.fields != found.reference && (found.fields.len() > 1 || self.total)
        };
        if let Some((key, _)) = found.table.foreign_keys().find(cascades) {
            return Err(Refusal::Other {
                why: format!(
                    "`{}` deletes rows of `{}`, and would delete rows of `{}`",
                    key.item.name,
                    found.table.name.short(),
                    found.into.name.short()
                ),
                hint: Some("make it ON DELETE SET NULL or NO ACTION first".into()),
            });
        }
        match found.left.iter().find(|f| f.shape.must_be_given()) {
            Some(field) => Err(self.held(
                field,
                "is NOT NULL and has no default, so no row could be made without it",
                "let it go over",
            )),
            None => Ok(()),
        }
    }

    fn held(&self, field: &Field, role: &str, hint: &str) -> Refusal {
        let field = FieldRef { table: self.table.clone(), field: field.shape.name.clone() };
        Refusal::Entangled { field, role: role.into(), hint: Some(hint.into()) }
    }

    /// What a field is where there is no part, if not NULL.
    fn filled(&self, field: &Field) -> Option<&Expression> {
        self.fill.iter().find(|d| d.field == field.shape.name).map(|d| &d.value)
    }

    /// Whether a field may not be NULL, be there a part or not.
    fn is_given(&self, field: &Field) -> bool {
        field.shape.not_null && (self.total || self.filled(field).is_some())
    }

    /// That a row has no part: all fields are as they are without one.
    fn nothing(&self, found: &Found) -> String {
        let (filled, empty): (Vec<&&Field>, Vec<&&Field>) = found.fields.iter().partition(|f| self.filled(f).is_some());
        let empty: Vec<Ident> = empty.iter().map(|f| self.name(&f.shape.name)).collect();
        let empty = (!empty.is_empty()).then(|| format!("num_nonnulls({}) = 0", listed(&empty)));
        let filled = filled
            .iter()
            .filter_map(|f| Some(format!("{} IS NOT DISTINCT FROM ({})", self.name(&f.shape.name), self.filled(f)?)));
        empty.into_iter().chain(filled).collect::<Vec<_>>().join(" AND ")
    }

    /// Where a part may be missing, the fields that it must have are given all or none.
    fn together(&self, found: &Found) -> Option<(Ident, Vec<Ident>, Expression)> {
        let names: Vec<Ident> = found.fields.iter().map(|f| self.name(&f.shape.name)).collect();
        let required = found.fields.iter().filter(|f| f.shape.not_null && !self.is_given(f));
        let required: Vec<Ident> = required.map(|f| self.name(&f.shape.name)).collect();
        if required.is_empty() || names.len() == 1 {
            return None;
        }
        let text = format!("num_nulls({}) = 0 OR {}", listed(&required), self.nothing(found));
        let tables = [found.into.name.name.as_str(), found.table.name.name.as_str(), "check"];
        Some((Ident::generated(&tables), names, Expression::parse(&text).ok()?))
    }

    /// Checks, foreign keys and indexes over the fields come along. A row without a part must not break a check.
    fn bring(&self, step: &str, into: &mut Relation, found: &Found) {
        let names: Vec<Ident> = found.fields.iter().map(|f| f.shape.name.clone()).collect();
        let renames = names.iter().map(|n| (n.clone(), self.name(n))).collect();
        let follows = |fields: &[Ident]| !fields.is_empty() && fields.iter().all(|f| names.contains(f));
        for constraint in found.table.constraints.iter().filter(|c| follows(&c.item.fields)) {
            let mut constraint: Attached<Constraint> = constraint.clone();
            constraint.item.rename(&renames);
            let given = |f: &Ident| into.field(f).is_some_and(|f| f.shape.not_null);
            if constraint.item.kind == ConstraintKind::NotNull && !constraint.item.fields.iter().all(given) {
                continue;
            }
            if constraint.item.kind == ConstraintKind::Primary {
                // Rows of the other table have a key already.
                constraint.item.kind = ConstraintKind::Unique;
                constraint.item.definition = constraint.item.definition.replacen("PRIMARY KEY", "UNIQUE", 1);
            }
            if let ConstraintKind::Foreign(key) = &mut constraint.item.kind
                && key.on_delete == 'c'
            {
                // The part goes, not the row: it has no other field.
                key.on_delete = 'n';
            }
            let by_null = |e: &Expression| {
                self.total && self.fill.is_empty()
                    || (constraint.item.fields.len() == 1 && !e.to_string().to_uppercase().contains("NULL"))
            };
            match constraint.expression().filter(|_| constraint.item.kind == ConstraintKind::Check) {
                Some(check) if !by_null(&check) => {
                    let all: Vec<Ident> = names.iter().map(|n| self.name(n)).collect();
                    let text = format!("CHECK ({} OR ({check}))", self.nothing(found));
                    let item = Constraint::named(constraint.item.name.clone(), ConstraintKind::Check, all, text);
                    into.constraints.push(Attached::new(step, item));
                }
                _ => into.constraints.push(constraint),
            }
        }
        for index in found.table.indexes.iter().filter(|i| follows(&i.item.fields)) {
            let mut index = index.clone();
            index.item.rename(&renames);
            into.indexes.push(index);
        }
    }

    fn note(&self, after: &mut Version, step: &str, found: &Found) {
        let (here, there) = (found.table.name.short(), found.into.name.short());
        for field in &found.left {
            after.remark(step, RemarkKind::Lost, format!("`{here}.{}`", field.shape.name));
        }
        for field in found.fields.iter().filter(|_| !self.total) {
            let new = self.name(&field.shape.name);
            if field.shape.not_null && !self.is_given(field) {
                let text = format!("NOT NULL of `{new}`, as a row of `{there}` may have none of `{here}`");
                after.remark(step, RemarkKind::Lost, text);
            }
            if let Some(default) = &field.shape.default {
                let text = format!("default `{default}` of `{new}`, as a row of `{there}` may have none of `{here}`");
                after.remark(step, RemarkKind::Lost, text);
            }
        }
        let all = |fields: &[Ident]| fields.iter().all(|f| found.fields.iter().any(|own| own.shape.name == *f));
        // A key with the reference in it says no more than that key itself will.
        let implied = |fields: &[Ident]| found.reference.iter().all(|f| fields.contains(f));
        let unique = |c: &Constraint| matches!(c.kind, ConstraintKind::Primary | ConstraintKind::Unique);
        let over = |c: &&Constraint| {
            !all(&c.fields)
                && c.fields.iter().any(|f| !found.reference.contains(f))
                && !(unique(c) && implied(&c.fields))
        };
        for constraint in found.table.constraints.iter().map(|c| &c.item).filter(over) {
            after.remark(step, RemarkKind::Lost, format!("constraint `{}`", constraint.name));
        }
        for index in found.table.indexes.iter().map(|i| &i.item).filter(|i| i.constraint.is_none()) {
            if !all(&index.fields) {
                after.remark(step, RemarkKind::Lost, format!("index `{}`", index.name));
            }
        }
        if found.key.on_update != 'c' {
            let text = format!("until this is real a row of `{there}` that has one of `{here}` keeps its key");
            after.remark(step, RemarkKind::Note, text);
        }
        let text = format!(
            "while this is deferred, rows of `{here}` are inserted and deleted as its fields in `{there}` are given and taken"
        );
        after.remark(step, RemarkKind::Note, text);
    }

    /// The version after it. `alone`: that no two rows refer to one is a fact, and kept, without a unique key.
    ///
    /// # Errors
    /// When the tables do not hang together so, or something holds a field.
    pub fn merged(&self, step: &str, before: &Version, alone: bool) -> Result<Version, Refusal> {
        let found = self.find(before, alone)?;
        self.check(&found)?;
        let (table, into) = (found.table, found.into);
        let names: Vec<Ident> = found.fields.iter().map(|f| f.shape.name.clone()).collect();
        let columns = before.stored(table, &names)?;
        let mut after = before.clone();
        self.note(&mut after, step, &found);
        entangled::note_left_triggers(&mut after, step, table);
        let needed = |f: &&&Field| f.shape.not_null && self.filled(f).is_none();
        if let Some(field) = found.fields.iter().find(needed).filter(|_| self.total) {
            let words = Words { table: into.name.clone(), field: field.shape.name.clone(), other: table.name.clone() };
            let claim = Claim::Reached { hops: vec![found.hop.clone()], words };
            after.facts.push(Fact { step: step.to_owned(), claim });
        }
        if !found.table.is_unique(&found.reference) {
            let field = found.reference.first().cloned().unwrap_or_else(|| Ident::new(""));
            let words = Words { table: table.name.clone(), field, other: into.name.clone() };
            let (table, columns) = (table.base.clone(), found.hop.from_columns.clone());
            after.facts.push(Fact {
                step: step.to_owned(),
                claim: Claim::Alone { table, compared: vec![Compared::default(); columns.len()], columns, words },
            });
        }
        let at = after.lookups.len();
        let tables = Ident::generated(&[into.name.name.as_str(), table.name.name.as_str()]);
        let mut lookup = Lookup {
            step: step.to_owned(),
            id: entangled::generated_id(step, &tables),
            table: into.base.clone(),
            columns: found.hop.to_columns.clone(),
            other: table.base.clone(),
            found_by: found.hop.from_columns.clone(),
            always: None,
            compared: vec![Compared::default(); found.reference.len()],
            shows: columns,
            types: found.fields.iter().map(|f| f.shape.type_name.clone()).collect(),
            missing: Missing::Part {
                absent: found.fields.iter().map(|f| self.filled(f).cloned()).collect(),
                goes: found.fields.iter().any(|f| needed(&f)),
            },
            unlisted: Unlisted::Null,
            only: None,
            unique: found.table.is_unique(&found.reference),
            restores: None,
            kept: Vec::new(),
            left: Vec::new(),
            words: (into.name.clone(), table.name.clone()),
            fields: names.iter().map(|n| self.name(n)).collect(),
        };
        lookup.kept = Restored::kept(&self.restores, before, into, &lookup)?;
        after.lookups.push(lookup);
        let together = self.together(&found);
        let changed = after.change(&into.name, step);
        for (member, field) in found.fields.iter().enumerate() {
            let shape = schema::Field {
                name: self.name(&field.shape.name),
                not_null: self.is_given(field),
                default: if self.total {
                    field.shape.default.clone()
                } else {
                    self.filled(field).map(ToString::to_string)
                },
                sequence: None,
                ..field.shape.clone()
            };
            changed.insert_field(Field { shape, home: Home::Looked(at, member) }, None);
        }
        if !self.order.is_empty() {
            changed.put_in_order(&self.order);
        }
        self.bring(step, changed, &found);
        if let Some((name, fields, check)) = together {
            let item = Constraint::named(name, ConstraintKind::Check, fields, format!("CHECK ({check})"));
            changed.constraints.push(Attached::new(step, item));
        }
        let fate = format!("was merged into `{}`", into.name.short());
        after.drop_relation(step, table, &fate, LossKind::Unshown(at))?;
        if let Some(loss) = after.losses.last_mut() {
            loss.words.other = into.name.clone();
        }
        Ok(after)
    }
}

impl Refactor for MergeTables {
    fn wish(&self) -> String {
        format!("merge table `{}` into `{}`", self.table, self.into)
    }

    fn slug(&self) -> String {
        format!("merge-{}-into-{}", self.table.name.as_str(), self.into.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        self.merged(step, before, false)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let found = self.find(before, false)?;
        let new = |f: &&Field| self.name(&f.shape.name);
        let without = |f: &&Field| self.filled(f).map_or_else(|| "NULL".to_owned(), |value| format!("({value})"));
        let given: Vec<String> =
            found.fields.iter().map(|f| format!("{} IS DISTINCT FROM {}", new(f), without(f))).collect();
        let condition = Expression::parse(&given.join(" OR ")).map_err(|e| Refusal::Expression(e.to_string()))?;
        let fill = found.fields.iter().filter_map(|f| Some(Default { field: new(f), value: self.filled(f)?.clone() }));
        let fields = found.fields.iter().map(|f| Renaming { from: new(f), to: f.shape.name.clone() });
        Ok(Refactoring::SplitTable(SplitTable {
            table: entangled::reference(&found.into.name),
            fields: fields.collect(),
            into: entangled::reference(&found.table.name),
            key: found.reference.clone(),
            condition: (!self.total || !self.fill.is_empty()).then_some(condition),
            fill: fill.collect(),
            restores: Some(step.to_owned()),
            elements: create_table::elements(before, found.table)?,
            without: self.together(&found).map(|(name, ..)| name),
        }))
    }
}
