//! `inline-table`: the fields of a table go to the one that refers to it, in place of the reference.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::add_foreign_key::Action;
use crate::catalogue::add_foreign_key::Deferrable;
use crate::catalogue::create_table::elements;
use crate::catalogue::entangled::{self, Purpose};
use crate::catalogue::extract_table::{ExtractTable, KeyType};
use crate::catalogue::move_field::MoveField;
use crate::catalogue::path::{self, Path};
use crate::catalogue::restored::Restored;
use crate::catalogue::{Refactor, Refactoring, leaving, likeness};
use crate::fact::LossKind;
use crate::name::{FieldRef, Ident, Renaming, TableRef, listed};
use crate::refusal::Refusal;
use crate::relation::{Attached, Field, Home, NamesFields, Relation};
use crate::schema::{Constraint, ConstraintKind, Index, Schema};
use crate::sql::Expression;
use crate::version::{Compared, Hop, Lookup, Missing, RemarkKind, Unlisted, Version};

/// Give a table's fields to the one that refers to it.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InlineTable {
    /// Table that goes
    pub table: TableRef,
    /// Table that refers to it and gets its fields
    #[arg(long, value_name = "TABLE")]
    pub into: TableRef,
    /// Foreign key that refers to it, where there are several
    #[arg(long, value_name = "KEY", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Ident>,
    /// Another name for a field, as in `name=city`
    #[arg(long = "as", value_name = "FIELD=NAME", value_delimiter = ',', value_parser = str::parse::<Renaming>)]
    #[serde(default, rename = "as", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Renaming>,
    /// Keep the table
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// Only these fields, from a table that is kept
    #[arg(long, value_name = "FIELD", value_delimiter = ',', requires = "keep", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<Ident>,
    /// Field whose values were kept, and what for
    #[arg(long, hide = true, value_name = "FIELD=REFACTORING", value_parser = str::parse::<Restored>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<Restored>,
    /// Checks that only made sense in the table
    #[arg(long, hide = true, value_name = "NAME", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<Ident>,
    /// What holds for values that get a row when this is taken back
    #[arg(long = "where", hide = true, value_name = "CONDITION")]
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expression>,
    /// What a field is where there is no row
    #[arg(long, hide = true, value_name = "FIELD=EXPRESSION", value_parser = str::parse::<Default>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fill: Vec<Default>,
    /// Default of a field
    #[arg(long, hide = true, value_name = "FIELD=EXPRESSION", value_parser = str::parse::<Default>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<Default>,
    /// Field that they stand before
    #[arg(long, hide = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ident>,
}

/// A field with its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Default {
    /// The field, by its new name.
    pub field: Ident,
    /// What it gets where nothing is said.
    pub value: Expression,
}

impl std::str::FromStr for Default {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (field, value) = text.split_once('=').ok_or("expected a field and an expression")?;
        Ok(Self {
            field: field.parse().map_err(|e: crate::name::NameError| e.to_string())?,
            value: value.parse().map_err(|e: crate::sql::ExpressionError| e.to_string())?,
        })
    }
}

/// How the two tables hang together.
struct Found<'v> {
    table: &'v Relation,
    into: &'v Relation,
    path: Path,
    /// The referring fields, and the key they refer to, by the names of the version.
    reference: Vec<Ident>,
    key: Vec<Ident>,
}

impl InlineTable {
    fn find<'v>(&self, version: &'v Version) -> Result<Found<'v>, Refusal> {
        let table = version.find_own(&self.table)?;
        let into = version.find_own(&self.into)?;
        for relation in [table, into] {
            version.must_be_whole(relation)?;
        }
        if table.base == into.base {
            return Err(Refusal::Nothing("a table cannot be inlined into itself".into()));
        }
        let via: Vec<Ident> = self.via.iter().cloned().collect();
        let path = path::find(version, table, into, &via, false)?;
        let [Hop { from, .. }] = &path.hops[..] else {
            return Err(Refusal::Other {
                why: format!("`{}` does not refer to `{}` itself", into.name.short(), table.name.short()),
                hint: None,
            });
        };
        if *from != into.base {
            return Err(Refusal::Other {
                why: format!("`{}` refers to `{}`, not the other way round", table.name.short(), into.name.short()),
                hint: Some(format!(
                    "move its fields instead: `refactor move-field {} {}`",
                    table.name.typed_field(&Ident::new("…")),
                    into.name.typed()
                )),
            });
        }
        let shown = |relation: &Relation, columns: &[Ident]| -> Vec<Ident> {
            columns.iter().filter_map(|c| relation.showing(&version.schema, c)).map(|f| f.shape.name.clone()).collect()
        };
        let reference = shown(into, &path.hops[0].from_columns);
        let key = shown(table, &path.hops[0].to_columns);
        Ok(Found { table, into, path, reference, key })
    }

    /// Whether the fields take the place of a reference to a table that is kept, though it does not number its rows.
    fn keeps_key(&self, found: &Found) -> Result<bool, Refusal> {
        let is_key = |f: &Ident| found.key.contains(f);
        let stays = found
            .table
            .fields
            .iter()
            .any(|f| !is_key(&f.shape.name) && (self.only.is_empty() || self.only.contains(&f.shape.name)));
        if !self.keep || found.is_numbered() || !stays {
            return Ok(false);
        }
        if !self.only.is_empty() && !self.only.iter().any(is_key) && found.key.len() == 1 {
            return Ok(true);
        }
        Err(Refusal::Other {
            why: format!(
                "`{}` does not number its rows, so its key stays and the other fields would leave it",
                found.table.name.short()
            ),
            hint: Some(
                "copy them instead: `refactor copy-field`, then drop the foreign key if it is no longer wanted".into(),
            ),
        })
    }

    /// The name of a field where it goes.
    fn name(&self, field: &Ident) -> Ident {
        self.names.iter().find(|r| r.from == *field).map_or_else(|| field.clone(), |r| r.to.clone())
    }

    fn fields<'v>(&self, found: &Found<'v>) -> Result<Vec<&'v Field>, Refusal> {
        let known = |name: &&Ident| found.table.field(name).is_none();
        if let Some(unknown) = self.names.iter().map(|r| &r.from).chain(&self.only).find(known) {
            let names = found.table.fields.iter().map(|f| f.shape.name.as_str());
            let similar = crate::refusal::similar(unknown.as_str(), names);
            return Err(Refusal::NoField { table: found.table.name.clone(), field: unknown.clone(), similar });
        }
        let wanted = |f: &&Field| {
            !found.key.contains(&f.shape.name) && (self.only.is_empty() || self.only.contains(&f.shape.name))
        };
        Ok(found.table.fields.iter().filter(wanted).collect())
    }
}

impl Refactor for InlineTable {
    fn wish(&self) -> String {
        format!("inline table `{}` into `{}`", self.table, self.into)
    }

    fn slug(&self) -> String {
        format!("inline-{}-into-{}", self.table.name.as_str(), self.into.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let found = self.find(before)?;
        let fields = self.fields(&found)?;
        for field in &fields {
            let new = self.name(&field.shape.name);
            if !found.reference.contains(&new) {
                entangled::must_be_free(
                    found.into,
                    &new,
                    &format!("choose another name: `--as {}=…`", field.shape.name.typed()),
                )?;
            }
        }
        let mut after = if found.is_numbered() || self.keeps_key(&found)? {
            self.by_reference(step, before, &found, &fields)?
        } else {
            self.by_value(step, before, &found, &fields)?
        };
        if !self.keep {
            entangled::note_left_triggers(&mut after, step, found.table);
            let at = after.lookups.iter().rposition(|l| l.step == step && !l.is_natural());
            let table = after.relations[&found.table.name].clone();
            let kind = at.map_or(LossKind::Table, LossKind::Unshown);
            after.drop_relation(step, &table, &format!("was inlined into `{}`", found.into.name.short()), kind)?;
            // What leaves it by this very step is kept with it.
            if let Some(dropped) = after.dropped.last_mut() {
                dropped.last = found.table.clone();
            }
            // The table itself takes the first place that is kept for this refactoring.
            if let Some(mut loss) = after.losses.pop() {
                loss.words.other = found.into.name.clone();
                let first = after.losses.iter().position(|l| l.step == step).unwrap_or(after.losses.len());
                after.losses.insert(first, loss);
            }
        }
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let found = self.find(before)?;
        let fields = self.fields(&found)?;
        let mut leaving: Vec<(Ident, Ident)> =
            fields.iter().map(|f| (self.name(&f.shape.name), f.shape.name.clone())).collect();
        let natural = !found.is_numbered() && !self.keeps_key(&found)?;
        if natural {
            leaving.splice(0..0, found.reference.iter().cloned().zip(found.key.iter().cloned()));
        }
        let mut names = leaving.iter().map(|(here, _)| here.clone());
        let first = names.next().ok_or_else(|| Refusal::Nothing("it has no fields besides its key".into()))?;
        let into = entangled::reference(&found.into.name);
        let key = found.into.foreign_keys().find(|(c, _)| c.item.fields == found.reference);
        Ok(Refactoring::ExtractTable(ExtractTable {
            field: FieldRef { table: into, field: first },
            with: names.collect(),
            into: entangled::reference(&found.table.name),
            names: leaving.iter().map(|(_, there)| there.clone()).collect(),
            key: found.key.first().cloned(),
            key_type: KeyType::default(),
            as_name: found.reference.first().filter(|_| !natural).cloned(),
            by: Vec::new(),
            condition: self.condition.clone(),
            on_missing: Some(Unlisted::Insert).filter(|_| !self.keep || found.can_be_made_of(&fields)),
            restores: Some(step.to_owned()).filter(|_| !self.keep),
            elements: if self.keep { Vec::new() } else { elements(before, found.table)? },
            on_delete: Action::of(key.map_or('a', |(_, key)| key.on_delete)),
            on_update: Action::of(key.map_or('a', |(_, key)| key.on_update)),
            deferrable: key.and_then(|(constraint, _)| Deferrable::of(&constraint.item)),
            constraint: found.path.keys.first().map(|k| Ident::new(&**k)),
            before: found.reference.last().and_then(|r| found.into.following(r)),
        }))
    }
}

impl Found<'_> {
    /// Whether a row of the table needs no more than these fields.
    fn can_be_made_of(&self, fields: &[&Field]) -> bool {
        let named = |f: &Field| self.key.contains(&f.shape.name) || fields.iter().any(|n| n.shape.name == f.shape.name);
        self.table.fields.iter().all(|f| !f.shape.must_be_given() || named(f))
    }

    /// Whether a new row gets its key by itself.
    fn is_numbered(&self) -> bool {
        matches!(&self.key[..], [key] if self.table.field(key).is_some_and(|f| f.shape.fills_itself()))
    }
}

impl InlineTable {
    /// Rows of the table can be made as they are needed, so its rows go on holding the values.
    fn by_reference(&self, step: &str, before: &Version, found: &Found, fields: &[&Field]) -> Result<Version, Refusal> {
        let (table, into) = (found.table, found.into);
        entangled::row_key(before, into)?;
        let mut after = before.clone();
        let hop = &found.path.hops[0];
        let names: Vec<Ident> = fields.iter().map(|f| f.shape.name.clone()).collect();
        let columns = before.stored(table, &names)?;
        if let Some(field) = fields.iter().find(|f| f.shape.generated.is_some() || f.shape.identity.is_some()) {
            return Err(Refusal::Entangled {
                field: FieldRef { table: self.table.clone(), field: field.shape.name.clone() },
                role: "is filled by PostgreSQL itself, so no row with another value could be made".into(),
                hint: Some("drop that field first, if it is no longer wanted".into()),
            });
        }
        let reference = &found.reference[0];
        let referring = into.field(reference).cloned().ok_or_else(|| Refusal::NoKey { table: into.name.clone() })?;
        let optional = !referring.shape.not_null;
        let at = after.lookups.len();
        let news: Vec<Ident> = names.iter().map(|n| self.name(n)).collect();
        let mut lookup = Lookup {
            step: step.to_owned(),
            id: id(step, found),
            table: into.base.clone(),
            columns: hop.from_columns.clone(),
            other: table.base.clone(),
            found_by: hop.to_columns.clone(),
            always: None,
            compared: vec![Compared::default()],
            shows: columns,
            types: fields.iter().map(|f| f.shape.type_name.clone()).collect(),
            missing: Missing::Make {
                optional,
                shown: self.keep,
                own: into.is_unique(&found.reference) && !self.keep,
                absent: news.iter().map(|n| self.filled(n)).collect(),
            },
            unlisted: Unlisted::Null,
            only: None,
            unique: true,
            restores: None,
            kept: Vec::new(),
            left: Vec::new(),
            words: (into.name.clone(), table.name.clone()),
            fields: news.clone(),
        };
        lookup.kept = Restored::kept(&self.restores, before, into, &lookup)?;
        after.lookups.push(lookup);
        let_go(step, before, &mut after, found)?;
        // Without an index each write would search the whole table.
        let indexed = table
            .indexes
            .iter()
            .any(|i| i.item.keys.first().is_some_and(|k| k.as_ref().is_some_and(|k| names.contains(k))));
        if !indexed && !names.is_empty() {
            let text = format!(
                "there is no index on {}: each row that is written searches all of `{}`",
                listed(&names),
                table.name.short()
            );
            after.remark(step, RemarkKind::Note, text);
        }
        let by_default = self.note_partial_rows(step, &mut after, found, fields, optional);
        let changed = after.change(&into.name, step);
        let place = self.before.clone().or_else(|| changed.following(reference));
        for (member, (field, new)) in fields.iter().zip(&news).enumerate() {
            let shape = crate::schema::Field {
                name: new.clone(),
                not_null: field.shape.not_null && (!optional || self.filled(new).is_some()),
                default: self.default(field, new, by_default),
                sequence: None,
                grants: referring.shape.grants.clone(),
                ..field.shape.clone()
            };
            let place = place.clone().filter(|p| p != reference);
            changed.insert_field(Field { shape, home: Home::Looked(at, member) }, place.as_ref());
        }
        let gone = stand_in(step, &before.schema, changed, (into, reference), (table, &names), &news)?;
        changed.fields.retain(|f| {
            f.shape.name != *reference
                || news.contains(&f.shape.name) && matches!(f.home, Home::Looked(a, _) if a == at)
        });
        self.note_kept(step, &mut after, found);
        let changed = after.change(&into.name, step);
        let came = changed.indexes.len();
        bring(changed, table, (&names, &news), &self.without);
        if self.keep {
            let mut brought = changed.indexes.split_off(came);
            likeness::rename_indexes(&after, &into.name, brought.iter_mut().map(|i| &mut i.item));
            after.change(&into.name, step).indexes.extend(brought);
        }
        let left = if self.keep { Vec::new() } else { cannot_follow(table, &names) };
        for text in gone.into_iter().chain(left) {
            after.remark(step, RemarkKind::Lost, text);
        }
        Ok(after)
    }

    /// What rows are until this is real that have some of the fields only. Whether defaults come along.
    fn note_partial_rows(
        &self,
        step: &str,
        after: &mut Version,
        found: &Found,
        fields: &[&Field],
        optional: bool,
    ) -> bool {
        let required: Vec<&&Field> = fields
            .iter()
            .filter(|f| optional && f.shape.not_null && self.filled(&self.name(&f.shape.name)).is_none())
            .collect();
        // Else a row that names none of the fields would have some of them, of which nothing can be made.
        let by_default = required.iter().all(|f| f.shape.default.is_some());
        if !required.is_empty() && fields.len() > 1 {
            let needed = listed(&required.iter().map(|f| self.name(&f.shape.name)).collect::<Vec<_>>());
            let text = format!(
                "until this is real a row of `{}` has a value in all of {needed}, or none of `{}` at all; then any of them may be NULL",
                found.into.name.short(),
                found.table.name.short()
            );
            after.remark(step, RemarkKind::Note, text);
        }
        let given = |f: &Field| self.defaults.iter().any(|d| d.field == self.name(&f.shape.name));
        for field in fields.iter().filter(|f| !by_default && !self.keep && !given(f)) {
            if let Some(default) = &field.shape.default {
                after.remark(step, RemarkKind::Lost, format!("default `{default}` of `{}`", field.shape.name));
            }
        }
        by_default
    }

    /// What a table that is kept has in common with the other until this is real.
    fn note_kept(&self, step: &str, after: &mut Version, found: &Found) {
        if !found.is_numbered() {
            let text = format!(
                "`{}` does not number its rows: until this is real `{}` can only have values that are listed there",
                found.table.name.short(),
                found.into.name.short()
            );
            after.remark(step, RemarkKind::Note, text);
        }
        if self.keep {
            let (kept, here) = (found.table.name.short(), found.into.name.short());
            let text = format!(
                "until this is real the rows of `{kept}` have the values of `{here}`: what is written in one is seen in the other, and its keys hold for both"
            );
            after.remark(step, RemarkKind::Note, text);
        }
    }

    /// What a field is where there is no row, if not NULL.
    fn filled(&self, name: &Ident) -> Option<Expression> {
        self.fill.iter().find(|d| d.field == *name).map(|d| d.value.clone())
    }

    fn default(&self, field: &Field, new: &Ident, follows: bool) -> Option<String> {
        let given = self.defaults.iter().find(|d| d.field == *new).map(|d| d.value.to_string());
        given.or_else(|| field.shape.default.clone().filter(|_| follows))
    }

    /// Nobody can say what key a new row would have, so the values are carried down and kept apart where they differ.
    fn by_value(&self, step: &str, before: &Version, found: &Found, fields: &[&Field]) -> Result<Version, Refusal> {
        let mut after = before.clone();
        for field in fields {
            let name = &field.shape.name;
            let new = self.name(name);
            let column = after.stored(found.table, std::slice::from_ref(name))?.remove(0);
            let mut moving = MoveField::plain(
                FieldRef { table: entangled::reference(&found.table.name), field: name.clone() },
                entangled::reference(&found.into.name),
                (new != *name).then(|| new.clone()),
                self.before.clone(),
            );
            moving.restores = self.restores.iter().find(|r| r.field == new).map(|r| r.from.clone());
            after = moving.along_with_others(step, &after, &column, found.path.clone())?;
        }
        // The foreign key is there until all is real: a key that is new gets a row.
        let hop = &found.path.hops[0];
        let types = found.key.iter().filter_map(|k| found.table.field(k)).map(|f| f.shape.type_name.clone());
        after.lookups.push(Lookup {
            step: step.to_owned(),
            id: id(step, found),
            table: found.into.base.clone(),
            columns: hop.from_columns.clone(),
            other: found.table.base.clone(),
            found_by: hop.to_columns.clone(),
            always: None,
            compared: vec![Compared::default(); hop.from_columns.len()],
            shows: hop.to_columns.clone(),
            types: types.collect(),
            missing: Missing::Make { optional: true, shown: true, absent: Vec::new(), own: false },
            unlisted: Unlisted::Null,
            only: None,
            unique: true,
            restores: None,
            kept: Vec::new(),
            left: Vec::new(),
            words: (found.into.name.clone(), found.table.name.clone()),
            fields: found.reference.clone(),
        });
        let key = found.path.keys.first().map(|k| Ident::new(&**k));
        let changed = after.change(&found.into.name, step);
        changed.constraints.retain(|c| Some(&c.item.name) != key.as_ref());
        Ok(after)
    }
}

fn id(step: &str, found: &Found) -> Ident {
    let tables = [found.into.name.name.as_str(), found.table.name.name.as_str()];
    entangled::generated_id(step, &Ident::generated(&tables))
}

/// The reference goes, and the foreign key with it.
fn let_go(step: &str, before: &Version, after: &mut Version, found: &Found) -> Result<(), Refusal> {
    let key = found.path.keys.first().map(|k| Ident::new(&**k));
    let changed = after.change(&found.into.name, step);
    changed.constraints.retain(|c| Some(&c.item.name) != key.as_ref());
    let into = after.relations[&found.into.name].clone();
    for name in &found.reference {
        let Some(field) = into.field(name) else { continue };
        entangled::check(before, &into, field, Purpose::Refer)?;
        entangled::note(after, step, &into, field, Purpose::Refer);
        if let Some(default) = &field.shape.default {
            after.remark(step, RemarkKind::Lost, format!("default `{default}` of `{name}`"));
        }
    }
    Ok(())
}

/// Checks, foreign keys and indexes over the fields come along.
fn bring(into: &mut Relation, table: &Relation, (names, news): (&[Ident], &[Ident]), without: &[Ident]) {
    let renames = names.iter().cloned().zip(news.iter().cloned()).collect();
    let all = |fields: &[Ident]| !fields.is_empty() && fields.iter().all(|f| names.contains(f));
    let comes = |c: &&Attached<Constraint>| all(&c.item.fields) && !without.contains(&c.item.name);
    for constraint in table.constraints.iter().filter(comes) {
        if matches!(constraint.item.kind, ConstraintKind::Check | ConstraintKind::Foreign(_)) {
            let mut constraint: Attached<Constraint> = constraint.clone();
            constraint.item.rename(&renames);
            into.constraints.push(constraint);
        }
    }
    for index in table.indexes.iter().filter(|i| !i.item.unique && all(&i.item.fields)) {
        let mut index: Attached<Index> = index.clone();
        index.item.rename(&renames);
        into.indexes.push(index);
    }
}

/// Where the values are unique, what they take the place of may be part of a unique key. Names what goes.
///
/// # Errors
/// When the primary key would go.
fn stand_in(
    step: &str,
    schema: &Schema,
    changed: &mut Relation,
    (into, reference): (&Relation, &Ident),
    (table, names): (&Relation, &[Ident]),
    news: &[Ident],
) -> Result<Vec<String>, Refusal> {
    let given = |n: &Ident| table.field(n).is_some_and(|f| f.shape.not_null);
    let keys = table.indexes.iter().filter_map(|i| i.item.key());
    let key = keys.filter(|key| key.iter().all(|k| names.contains(k) && given(k))).min_by_key(Vec::len);
    // The fields that tell the rows apart are enough.
    let stands: Vec<Ident> = match &key {
        Some(key) => names.iter().zip(news).filter(|(n, _)| key.contains(n)).map(|(_, new)| new.clone()).collect(),
        None => news.to_vec(),
    };
    let keys = into.constraints.iter().map(|c| &c.item).filter(|c| c.kind == ConstraintKind::Primary);
    let primary = |index: &Index| keys.clone().any(|c| Some(&c.name) == index.constraint.as_ref());
    // A unique key does not tell NULL from NULL, and several fields may be NULL in part.
    let single = names.len() == 1 && table.is_unique(names);
    let ordered = names.iter().all(|n| table.field(n).is_some_and(|f| schema.kind(&f.shape).comparable));
    let follows = |index: &Index| if index.unique { key.is_some() || single && !primary(index) } else { ordered };
    let gone = leaving::stand_in(step, changed, std::slice::from_ref(reference), &stands, follows);
    if let Some(index) = gone.iter().find(|i| primary(i)) {
        let table = table.name.short();
        return Err(Refusal::Entangled {
            field: FieldRef { table: entangled::reference(&into.name), field: reference.clone() },
            role: format!("is part of the primary key `{}`, and the fields of `{table}` could not be", index.name),
            hint: Some(format!("make them NOT NULL and unique in `{table}` first, or drop that key")),
        });
    }
    Ok(gone.iter().map(|i| format!("index `{}`", i.name)).collect())
}

/// Unique keys: several rows may now have the same values.
fn cannot_follow(table: &Relation, names: &[Ident]) -> Vec<String> {
    let of = |fields: &[Ident]| fields.iter().any(|f| names.contains(f));
    let constraints = table.constraints.iter().map(|c| &c.item).filter(|c| of(&c.fields));
    let unique = constraints.filter(|c| matches!(c.kind, ConstraintKind::Unique | ConstraintKind::Exclude));
    let indexes = table.indexes.iter().map(|i| &i.item).filter(|i| i.unique && i.constraint.is_none() && of(&i.fields));
    unique
        .map(|c| format!("constraint `{}` of `{}`", c.name, table.name.short()))
        .chain(indexes.map(|i| format!("index `{}` of `{}`", i.name, table.name.short())))
        .collect()
}
