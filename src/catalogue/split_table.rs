//! `split-table`: some fields of a table become a table of their own, with the same key.

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::draft::Draft;
use crate::catalogue::entangled::{self, Purpose};
use crate::catalogue::inline_table::Default;
use crate::catalogue::merge_tables::MergeTables;
use crate::catalogue::restored::Restored;
use crate::catalogue::{Refactor, Refactoring, rule, split_rows};
use crate::fact::{Claim, Fact, Loss, LossKind, Words};
use crate::name::{FieldRef, Ident, Renaming, TableRef};
use crate::refusal::Refusal;
use crate::relation::{Attached, Field, Hidden, NamesFields, Origin, Relation, Rows, Stores};
use crate::schema::element::Element;
use crate::schema::{self, Constraint, ConstraintKind, ForeignKey, Index, TableKind};
use crate::sql::Expression;
use crate::version::{RemarkKind, Slice, Version, lost_table};

/// Make a table of some fields of another, with the same key.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitTable {
    /// Table to split
    pub table: TableRef,
    /// Fields that leave it, each with its name there if that is another
    #[arg(required = true, value_name = "FIELD[=NAME]", value_parser = str::parse::<Renaming>)]
    pub fields: Vec<Renaming>,
    /// Table that they become, in the same schema if none is given
    #[arg(long, value_name = "NAME")]
    pub into: TableRef,
    /// Names of the key's fields there [default: the same]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<Ident>,
    /// What holds for the rows of old code that have such a part [default: all have one]
    #[arg(long = "where", value_name = "CONDITION")]
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expression>,
    /// What old code finds in a field where a row has no such part [default: the field's default]
    #[arg(long, value_name = "FIELD=EXPRESSION", value_parser = str::parse::<Default>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fill: Vec<Default>,
    /// Refactoring whose kept table says which rows have a part
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// Fields and rules of the table that comes back
    #[arg(long, hide = true, value_name = "ELEMENT")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<Element>,
    /// Check over the fields that only made sense in one table
    #[arg(long, hide = true, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<Ident>,
}

/// Whether a default gives each row another value.
fn draws(default: &str) -> bool {
    const DRAWING: [&str; 10] = [
        "random",
        "gen_random_uuid",
        "gen_random_bytes",
        "uuid_generate_v1",
        "uuid_generate_v1mc",
        "uuid_generate_v4",
        "uuidv4",
        "uuidv7",
        "nextval",
        "clock_timestamp",
    ];
    Expression::parse(default).is_ok_and(|d| d.functions().iter().any(|f| DRAWING.contains(&&**f)))
}

/// What leaves, found in a version.
struct Found<'v> {
    relation: &'v Relation,
    /// The key of the table, as it is stored and as it is called.
    key: Vec<Ident>,
    key_names: Vec<Ident>,
    /// The fields with their columns, in the order of the refactoring.
    fields: Vec<(&'v Field, Ident)>,
    /// Their names there, and those of the key.
    renames: BTreeMap<Ident, Ident>,
}

impl Found<'_> {
    /// Whether all of these leave.
    fn leave(&self, fields: &[Ident]) -> bool {
        !fields.is_empty() && fields.iter().all(|f| self.fields.iter().any(|(own, _)| own.shape.name == *f))
    }

    /// The key's fields in the new table.
    fn key_there(&self) -> Vec<Ident> {
        self.key_names.iter().map(|n| self.renames[n].clone()).collect()
    }

    fn is_key(&self, index: &Index) -> bool {
        let keys: Option<Vec<Ident>> = index.keys.iter().cloned().collect();
        index.unique && index.valid && !index.partial && keys.is_some_and(|k| k == self.key_names)
    }

    /// The shared key, for which the old table's index stands.
    fn add_key(&self, before: &Version, model: &schema::Table, slice: &mut Relation) -> Result<(), Refusal> {
        let relation = self.relation;
        let names = self.key_there();
        let constraint_of = |i: &Attached<Index>| {
            relation.constraints.iter().find(|c| i.item.constraint.as_ref() == Some(&c.item.name)).cloned()
        };
        let is_primary =
            |i: &&Attached<Index>| constraint_of(i).is_some_and(|c| c.item.kind == ConstraintKind::Primary);
        let mut indexes = relation.indexes.iter().filter(|i| self.is_key(&i.item));
        let Some(mut index) = indexes.clone().find(is_primary).or_else(|| indexes.next()).cloned() else {
            return Ok(());
        };
        let is_key =
            |c: &&Constraint| matches!(c.kind, ConstraintKind::Primary | ConstraintKind::Unique) && c.fields == names;
        let was = model.constraints.iter().find(is_key);
        let parts = if is_primary(&&index) { &[][..] } else { &names };
        let ending = if is_primary(&&index) { "pkey" } else { "key" };
        let name = rule::free_name(before, slice, None, parts, ending)?;
        let name = was.map_or(name, |c| c.name.clone());
        if let Some(mut key) = constraint_of(&index) {
            key.item.name = name.clone();
            key.item.rename(&self.renames);
            if let Some(was) = was {
                key.item.kind = was.kind.clone();
            }
            slice.constraints.insert(0, key);
            index.item.constraint = Some(name.clone());
        }
        index.item.name = name;
        index.item.rename(&self.renames);
        slice.indexes.insert(0, index);
        Ok(())
    }

    /// What refers to the old table.
    fn add_reference(
        &self,
        step: &str,
        before: &Version,

        model: &schema::Table,
        slice: &mut Relation,
    ) -> Result<(), Refusal> {
        let names = self.key_there();
        let leads_there = |c: &&Constraint| {
            matches!(&c.kind, ConstraintKind::Foreign(key) if key.table == self.relation.base) && c.fields == names
        };
        let item = if let Some(was) = model.constraints.iter().find(leads_there) {
            was.clone()
        } else {
            let key = ForeignKey {
                table: self.relation.base.clone(),
                fields: self.key.clone(),
                on_update: 'c',
                on_delete: 'c',
                match_full: false,
            };
            let name = rule::free_name(before, slice, None, &names, "fkey")?;
            let mut item = Constraint::named(name, ConstraintKind::Foreign(key.clone()), names, String::new());
            item.definition = key.definition(&item, &self.relation.name, &self.key_names);
            item
        };
        let origin = Origin::Rows(step.to_owned());
        slice.constraints.push(Attached { item, origin, columns: self.key.clone() });
        Ok(())
    }

    /// The condition must be one, and what a part must have is there.
    fn note_facts(&self, after: &mut Version, step: &str, slice: &Relation, holds: Option<&Expression>) {
        let relation = self.relation;
        let given = |column: &Ident, field: &schema::Field| Fact {
            step: step.to_owned(),
            claim: Claim::Fits {
                table: relation.base.clone(),
                expression: column.to_string(),
                type_name: field.type_name.clone(),
                not_null: true,
                rows: holds.cloned(),
                words: Words { table: relation.name.clone(), field: field.name.clone(), other: relation.name.clone() },
            },
        };
        after.facts.extend(holds.map(|h| split_rows::fact(step, relation, h)));
        let must = |f: &Field| {
            !f.shape.not_null && slice.field(&self.renames[&f.shape.name]).is_some_and(|there| there.shape.not_null)
        };
        for (field, column) in self.fields.iter().filter(|(f, _)| must(f)) {
            after.facts.push(given(column, &field.shape));
        }
    }
}

impl SplitTable {
    fn find<'v>(&self, version: &'v Version) -> Result<Found<'v>, Refusal> {
        let relation = version.find_own(&self.table)?;
        version.must_be_whole(relation)?;
        let (key, key_names) = entangled::shown_key(version, relation)?;
        let there = if self.key.is_empty() { &key_names } else { &self.key };
        if there.len() != key_names.len() {
            return Err(Refusal::Other {
                why: format!("the key of `{}` is {}", relation.name.short(), rule::quoted(&key_names)),
                hint: Some("give `--key` one name for each of them".into()),
            });
        }
        let mut renames: BTreeMap<Ident, Ident> = key_names.iter().cloned().zip(there.iter().cloned()).collect();
        let mut fields = Vec::new();
        for Renaming { from, to } in &self.fields {
            let wanted = FieldRef { table: self.table.clone(), field: from.clone() };
            let (_, field) = version.find_field(&wanted)?;
            let name = &field.shape.name;
            if key_names.contains(name) {
                return Err(Refusal::Entangled {
                    field: wanted,
                    role: "is part of the key, which both tables have".into(),
                    hint: Some("leave it out".into()),
                });
            }
            let Some(column) = relation.column(&version.schema, field) else {
                let step = version.put_there_by(relation, field);
                return Err(Refusal::NotMaterialized { field: wanted, step });
            };
            if renames.values().any(|n| n == to) || renames.contains_key(name) {
                return Err(Refusal::Other {
                    why: format!("`{}` would have the field `{to}` twice", self.into),
                    hint: Some(format!("give it another name: `{from}=…`")),
                });
            }
            renames.insert(name.clone(), to.clone());
            fields.push((field, column.clone()));
        }
        Ok(Found { relation, key, key_names, fields, renames })
    }

    /// Refuses what cannot be in two tables.
    fn check(&self, version: &Version, found: &Found) -> Result<(), Refusal> {
        let (relation, table) = (found.relation, version.table(found.relation));
        let kind = |why: &str, hint: &str| {
            Err(Refusal::TableKind { table: relation.name.clone(), why: why.into(), hint: Some(hint.into()) })
        };
        version.free_name(&entangled::reference(&entangled::beside(relation, &self.into)))?;
        if table.kind != TableKind::Plain {
            return kind(
                "is partitioned",
                "move the fields into a table that you create: `refactor create-table`, `move-field`",
            );
        }
        if let Some(rule) = relation.rules().find(|r| {
            r.item.fields.iter().any(|f| found.renames.contains_key(f))
                && r.brought_by().is_some()
                && self.without.as_ref() != Some(&r.item.name)
        }) {
            return Err(Refusal::Other {
                why: format!(
                    "{} brought a rule that no table keeps yet",
                    rule.brought_by().map_or("a refactoring", String::as_str)
                ),
                hint: Some("materialize that refactoring first: `refactor materialize`".into()),
            });
        }
        if let Some(made) = version.made.iter().find(|m| m.table == relation.base) {
            return Err(Refusal::Other {
                why: format!("`{}` is made by {}, which is not real yet", relation.name.short(), made.step),
                hint: Some("create two tables in the first place, or materialize first".into()),
            });
        }
        // What is about leaving fields only goes along; everything else is looked at as if a single field moved.
        let mut rest = relation.clone();
        rest.constraints.retain(|c| !found.leave(&c.item.fields) || c.item.kind == ConstraintKind::Exclude);
        rest.indexes.retain(|i| !found.leave(&i.item.fields));
        for (field, _) in &found.fields {
            entangled::check(version, &rest, field, Purpose::Move)?;
        }
        self.must_have_values(found)?;
        found.fields.iter().try_for_each(|(field, _)| self.check_value(relation, &field.shape))?;
        if let Some(unknown) = self.fill.iter().find(|d| !found.fields.iter().any(|(f, _)| f.shape.name == d.field)) {
            return Err(Refusal::NeedsValue(
                format!("`--fill` names `{}`, which does not leave the table", unknown.field),
                "name fields that leave".into(),
            ));
        }
        Ok(())
    }

    /// A row without such a part must have something there as long as the table is one.
    fn must_have_values(&self, found: &Found) -> Result<(), Refusal> {
        let filled = |name: &Ident| self.fill.iter().any(|d| d.field == *name);
        let shapes = found.fields.iter().map(|(f, _)| &f.shape);
        let empty: Vec<_> = shapes.filter(|s| s.not_null && s.default.is_none() && !filled(&s.name)).collect();
        if empty.is_empty() {
            return Ok(());
        }
        let names: Vec<Ident> = empty.iter().map(|s| s.name.clone()).collect();
        let (are, them) = if names.len() == 1 { ("is", "it") } else { ("are", "them") };
        let have = if names.len() == 1 { "has" } else { "have" };
        let fills: Vec<String> =
            empty.iter().map(|s| format!("--fill {}={}", s.name.typed(), entangled::example(&s.type_name))).collect();
        Err(Refusal::NeedsValue(
            format!(
                "{} {are} NOT NULL and {have} no default, so new code could insert no row without {them} while old code still needs {them}",
                rule::quoted(&names)
            ),
            format!("say what old code should find there, as in `{}`", fills.join(" ")),
        ))
    }

    /// All rows without such a part have one value there as long as the table is one.
    fn check_value(&self, relation: &Relation, field: &schema::Field) -> Result<(), Refusal> {
        let name = &field.name;
        let fill = self.fill.iter().find(|d| d.field == *name);
        let unique = relation.indexes.iter().any(|i| i.item.unique && i.item.fields.contains(name));
        let drawn = fill.is_none() && field.default.as_deref().is_some_and(draws);
        if unique && !drawn && (fill.is_some() || field.default.is_some() || field.not_null) {
            return Err(Refusal::Entangled {
                field: FieldRef { table: self.table.clone(), field: name.clone() },
                role: "is unique, but all rows without such a part would have one and the same value in it".into(),
                hint: Some("drop its default, or its unique key, first".into()),
            });
        }
        Ok(())
    }

    /// What a field of the one table is where a row has no such part, by its name in the other.
    fn absent(&self, field: &schema::Field, name: &Ident) -> Option<Default> {
        let given = self.fill.iter().find(|d| d.field == field.name).map(|d| d.value.clone());
        let value = given.or_else(|| Expression::parse(field.default.as_ref()?).ok())?;
        Some(Default { field: name.clone(), value })
    }

    /// The table that comes back, as it was.
    fn model(&self, before: &Version, found: &Found) -> Result<schema::Table, Refusal> {
        let name = entangled::beside(found.relation, &self.into);
        let mut draft = Draft::new(before, &name, &name);
        draft.fill(&self.elements, false)?;
        Ok(draft.table)
    }

    /// The new table.
    fn slice(&self, step: &str, before: &Version, found: &Found, rows: Rows) -> Result<Relation, Refusal> {
        let relation = found.relation;
        let model = self.model(before, found)?;
        let kept = self.restores.as_ref().and_then(|step| before.schema.kept.get(&lost_table(step)));
        let mut slice = Relation {
            name: entangled::beside(relation, &self.into),
            base: relation.base.clone(),
            rows,
            comment: None,
            fields: Vec::new(),
            hidden: Vec::new(),
            constraints: Vec::new(),
            passing: Vec::new(),
            indexes: Vec::new(),
            ordered_by: None,
            touched_by: relation.touched_by.clone(),
            is_shown: true,
        };
        slice.touch(step);
        for name in &found.key_names {
            let Some(field) = relation.field(name) else { continue };
            let shape = schema::Field {
                name: found.renames[name].clone(),
                not_null: true,
                default: None,
                identity: None,
                generated: None,
                sequence: None,
                comment: None,
                ..field.shape.clone()
            };
            slice.fields.push(Field { shape, home: field.home });
        }
        for (field, _) in &found.fields {
            let name = found.renames[&field.shape.name].clone();
            let was = model.fields.iter().find(|f| f.name == name).unwrap_or(&field.shape);
            // The kept table has taken what numbers it along.
            let number = kept.and_then(|t| t.fields.iter().find(|f| f.name == name && f.sequence.is_some()));
            let (default, identity, sequence) = match number {
                Some(kept) => (kept.default.clone(), kept.identity, kept.sequence.clone()),
                None => (was.default.clone(), field.shape.identity, field.shape.sequence.clone()),
            };
            let not_null = was.not_null;
            let shape = schema::Field { name, not_null, default, identity, sequence, ..field.shape.clone() };
            slice.fields.push(Field { shape, home: field.home });
        }
        let follows =
            |c: &&Attached<Constraint>| found.leave(&c.item.fields) && self.without.as_ref() != Some(&c.item.name);
        slice.constraints = relation.constraints.iter().filter(follows).cloned().collect();
        slice.indexes = relation.indexes.iter().filter(|i| found.leave(&i.item.fields)).cloned().collect();
        slice.constraints.iter_mut().for_each(|c| c.item.rename(&found.renames));
        slice.indexes.iter_mut().for_each(|i| i.item.rename(&found.renames));
        found.add_key(before, &model, &mut slice)?;
        found.add_reference(step, before, &model, &mut slice)?;
        Ok(slice)
    }

    fn note(&self, after: &mut Version, step: &str, found: &Found) {
        let relation = found.relation;
        let (here, there) = (relation.name.short(), entangled::beside(relation, &self.into).short());
        let mut rest = relation.clone();
        rest.indexes.retain(|i| !found.leave(&i.item.fields));
        for (field, _) in &found.fields {
            entangled::note(after, step, &rest, field, Purpose::Move);
        }
        let names: Vec<Ident> = found.fields.iter().map(|(f, _)| f.shape.name.clone()).collect();
        let checks = relation.constraints.iter().filter(|c| c.item.kind == ConstraintKind::Check);
        for check in checks.filter(|c| found.leave(&c.item.fields) && c.item.fields.len() > 1) {
            let text = format!(
                "until this is real `{}` holds for the values that old code finds in a row of `{here}` without one of `{there}`, too",
                check.item.name
            );
            after.remark(step, RemarkKind::Note, text);
        }
        let text = format!(
            "a row of `{here}` that new code inserts has none of `{there}` until that is inserted; old code finds {} there by default",
            rule::quoted(&names)
        );
        after.remark(step, RemarkKind::Note, text);
        let text =
            format!("the key of a row of `{there}` cannot be changed until this is real: delete it and insert it anew");
        after.remark(step, RemarkKind::Note, text);
        for publication in &after.schema.clone().tables[&relation.base].publications {
            if publication.fields.is_some() || publication.filter.is_some() {
                after.remark(step, RemarkKind::Lost, format!("`{there}` in publication `{}`", publication.name));
            }
        }
    }
}

impl Refactor for SplitTable {
    fn wish(&self) -> String {
        let fields: Vec<Ident> = self.fields.iter().map(|r| r.from.clone()).collect();
        format!("split {} off `{}` into `{}`", rule::quoted(&fields), self.table, self.into)
    }

    fn slug(&self) -> String {
        format!("split-{}-off-{}", self.into.name.as_str(), self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let found = self.find(before)?;
        self.check(before, &found)?;
        let relation = found.relation;
        let holds = self.condition.as_ref().map(|c| split_rows::over_columns(before, relation, c)).transpose()?;
        let mut after = before.clone();
        self.note(&mut after, step, &found);
        let slice = self.slice(step, before, &found, Rows::Slice(after.slices.len()))?;
        found.note_facts(&mut after, step, &slice, holds.as_ref());
        let fill = |name: &Ident| self.fill.iter().find(|d| d.field == *name).map(|d| d.value.clone());
        after.slices.push(Slice {
            step: step.to_owned(),
            id: entangled::generated_id(step, &self.into.name),
            table: relation.base.clone(),
            key: found.key.clone(),
            columns: found.fields.iter().map(|(_, column)| column.clone()).collect(),
            fill: found.fields.iter().map(|(f, _)| fill(&f.shape.name)).collect(),
            holds,
            restores: self.restores.clone().map(|step| (step, found.key_there())),
        });
        let at = after.slices.len() - 1;
        // Without a condition, only new code makes rows that have none.
        let some = found.fields.iter().filter(|_| self.condition.is_some());
        after.losses.extend(some.map(|(field, column)| Loss {
            step: step.to_owned(),
            table: relation.base.clone(),
            columns: vec![column.clone()],
            rows: None,
            kind: LossKind::Apart(at),
            key: Vec::new(),
            kept: String::new(),
            words: Words {
                table: relation.name.clone(),
                field: field.shape.name.clone(),
                other: entangled::beside(relation, &self.into),
            },
        }));
        let gone: Vec<Ident> = found.fields.iter().map(|(f, _)| f.shape.name.clone()).collect();
        let changed = after.change(&relation.name, step);
        changed.remove_fields(&gone);
        for (field, column) in &found.fields {
            let stores = fill(&field.shape.name).map_or(Stores::BaseDefault, Stores::Value);
            changed.hidden.push(Hidden { column: column.clone(), stores });
        }
        after.gone.remove(&slice.name);
        after.relations.insert(slice.name.clone(), slice);
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let found = self.find(before)?;
        let back = found.fields.iter().map(|(f, _)| &f.shape.name);
        let names = back.filter(|name| found.renames[*name] != **name);
        Ok(Refactoring::MergeTables(MergeTables {
            table: entangled::reference(&entangled::beside(found.relation, &self.into)),
            into: entangled::reference(&found.relation.name),
            via: None,
            names: names.map(|n| Renaming { from: found.renames[n].clone(), to: n.clone() }).collect(),
            without: Vec::new(),
            total: true,
            restores: Restored::all(step, &self.after(step, before)?),
            fill: found
                .fields
                .iter()
                .filter_map(|(f, _)| self.absent(&f.shape, &found.renames[&f.shape.name]))
                .collect(),
            order: found.relation.fields.iter().map(|f| f.shape.name.clone()).collect(),
        }))
    }
}
