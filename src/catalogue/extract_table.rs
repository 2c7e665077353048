//! `extract-table`: repeated values become rows of a table of their own, new or existing, and are referred to.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::draft::Draft;
use crate::catalogue::entangled::{self, Purpose};
use crate::catalogue::inline_table::{Default, InlineTable};
use crate::catalogue::move_field::MoveField;
use crate::catalogue::path::Path;
use crate::catalogue::{Refactor, Refactoring};
use crate::fact::{Claim, Fact, Loss, LossKind, Words};
use crate::name::{FieldRef, Ident, Renaming, TableName, TableRef, listed};
use crate::refusal::Refusal;
use crate::relation::{Attached, Field, Home, NamesFields, Origin, Relation};
use crate::schema::element::{Element, FieldElement, Meaning, Rule, RuleElement};
use crate::schema::{self, Constraint, ConstraintKind, ForeignKey, Identity};
use crate::sql::{Expression, rename_in_definition};
use crate::version::{Direction, Hop, Lookup, Made, Missing, RemarkKind, Unlisted, Version, kept_apart, lost_table};

/// Make a table of the distinct values of fields.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractTable {
    /// First field, as in `orders.city`
    pub field: FieldRef,
    /// More fields of the same table
    #[arg(value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Ident>,
    /// Table that gets a row for each value, new or existing
    #[arg(long, value_name = "TABLE")]
    pub into: TableRef,
    /// Names of the fields in it, in their order [default: the same]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Ident>,
    /// Its key: a new name for one that is numbered, or one of the fields
    #[arg(long, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Ident>,
    /// Type of the numbered key
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    #[serde(default, skip_serializing_if = "is_default")]
    pub key_type: KeyType,
    /// Name of the field that refers to it [default: field and key, or table and key]
    #[arg(long = "as", value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub as_name: Option<Ident>,
    /// Fields that tell its rows apart, and the others with them [default: all]
    #[arg(long, value_name = "FIELD", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<Ident>,
    /// What to do with values that an existing table does not list
    #[arg(long, value_name = "POLICY", value_enum)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_missing: Option<Unlisted>,
    /// Refactoring whose kept table it becomes
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// What the kept table is made of
    #[arg(long, hide = true, value_name = "ELEMENT")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<Element>,
    /// Name of the foreign key
    #[arg(long, hide = true, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Ident>,
    /// Field that the reference stands before
    #[arg(long, hide = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ident>,
}

/// The type of a key that is numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// `integer`
    #[default]
    Integer,
    /// `bigint`
    Bigint,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it with a reference
fn is_default(kind: &KeyType) -> bool {
    *kind == KeyType::default()
}

/// One of the fields that leave.
struct Leaving {
    /// As it is.
    field: Field,
    /// Where it is stored.
    column: Ident,
    /// Its name in the other table.
    name: Ident,
}

/// The fields, sorted by what becomes of them.
struct Payload {
    /// Those that rows are found by.
    by: Vec<Leaving>,
    /// Those that follow.
    rest: Vec<Leaving>,
}

impl ExtractTable {
    fn fields(&self) -> Vec<Ident> {
        std::iter::once(self.field.field.clone()).chain(self.with.iter().cloned()).collect()
    }

    fn payload(&self, before: &Version, relation: &Relation) -> Result<Payload, Refusal> {
        let fields = self.fields();
        if !self.names.is_empty() && self.names.len() != fields.len() {
            return Err(Refusal::NeedsValue(
                format!("{} fields leave, but {} are named", fields.len(), self.names.len()),
                "give `--names` one name for each field, in their order".into(),
            ));
        }
        let names = if self.names.is_empty() { &fields } else { &self.names };
        let mut by_names = self.by.clone();
        if by_names.is_empty() {
            // A natural key tells rows apart by itself.
            let natural = self.key.as_ref().and_then(|key| names.iter().position(|n| n == key));
            by_names = natural.map_or_else(|| fields.clone(), |at| vec![fields[at].clone()]);
        }
        if let Some(unknown) = by_names.iter().find(|b| !fields.contains(b)) {
            return Err(Refusal::Other {
                why: format!("`{unknown}` tells rows apart, but is not among the fields that leave"),
                hint: Some("name it among them".into()),
            });
        }
        let mut payload = Payload { by: Vec::new(), rest: Vec::new() };
        for (name, new) in fields.iter().zip(names) {
            let wanted = FieldRef { table: self.field.table.clone(), field: name.clone() };
            let (_, field) = before.find_field(&wanted)?;
            let Some(column) = relation.column(&before.schema, field).cloned() else {
                let step = before.put_there_by(relation, field);
                return Err(Refusal::NotMaterialized { field: wanted, step });
            };
            let leaving = Leaving { field: field.clone(), column, name: new.clone() };
            if by_names.contains(name) { payload.by.push(leaving) } else { payload.rest.push(leaving) }
        }
        payload.by.iter().try_for_each(|l| self.must_be_exact(&l.field))?;
        Ok(payload)
    }

    /// Values that are equal must be the same, else one row could not stand for all of them.
    fn must_be_exact(&self, field: &Field) -> Result<(), Refusal> {
        let kind = field.shape.type_name.as_str();
        let loose = ["numeric", "citext", "interval", "real", "double precision", "jsonb", "point", "box", "circle"];
        if !field.shape.comparable || loose.contains(&kind) || kind.ends_with(".citext") {
            return Err(Refusal::Entangled {
                field: FieldRef { table: self.field.table.clone(), field: field.shape.name.clone() },
                role: format!("is of type {kind}, where values can be equal and not the same"),
                hint: Some("change its type first, as in `refactor change-type`".into()),
            });
        }
        Ok(())
    }

    /// The name of the key, and whether it is one of the fields.
    fn key(&self, payload: &Payload) -> (Ident, bool) {
        let key = self.key.clone().unwrap_or_else(|| Ident::new("id"));
        let natural = self.key.is_some() && payload.by.iter().any(|l| l.name == key);
        (key, natural)
    }

    /// The other table in the version: existing, restored, or made now.
    fn other(
        &self,
        step: &str,
        after: &mut Version,
        from: &Relation,
        payload: &Payload,
    ) -> Result<(Relation, bool), Refusal> {
        match after.find_own(&self.into) {
            Ok(found) if self.restores.is_none() => return Ok((found.clone(), false)),
            Ok(_) | Err(Refusal::NoTable { .. } | Refusal::GoneTable { .. }) => {}
            Err(refusal) => return Err(refusal),
        }
        let wanted = TableRef {
            schema: self.into.schema.clone().or_else(|| Some(from.name.schema.clone())),
            name: self.into.name.clone(),
        };
        let name = after.free_name(&wanted)?;
        // With a natural key the values of the kept table are those of its fields, which are carried.
        let restores = self.restores.as_ref().filter(|_| !self.key(payload).1);
        let physical = restores.map_or_else(|| after.new_table(step, &name.name), |lost| lost_table(lost));
        let base = after.table(from);
        let mut draft = Draft::new(after, &name, &physical);
        if restores.is_some() {
            let unreadable = |e: crate::sql::ExpressionError| Refusal::Expression(e.to_string());
            let meanings =
                self.elements.iter().map(Element::read).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
            for meaning in &meanings {
                if let Meaning::Field(field) = meaning {
                    draft.field(field, true)?;
                }
            }
            for meaning in &meanings {
                if let Meaning::Rule(rule) = meaning {
                    draft.rule(rule)?;
                }
            }
        } else {
            self.new_fields(&mut draft, payload)?;
            draft.table.grants.clone_from(&base.grants);
            follow(&mut draft, from, &payload.by);
        }
        draft.table.owner.clone_from(&base.owner);
        let Draft { table, sequences, .. } = draft;
        let made = Made { step: step.to_owned(), table: physical, restores: restores.cloned() };
        after.make(made, &name, table, sequences);
        Ok((after.relations[&name].clone(), true))
    }

    fn new_fields(&self, draft: &mut Draft, payload: &Payload) -> Result<(), Refusal> {
        let (key, natural) = self.key(payload);
        let rule = |rule| RuleElement { name: None, rule };
        let plain = |name: &Ident, type_name: &str| FieldElement {
            name: name.clone(),
            type_name: type_name.to_owned(),
            collation: None,
            not_null: false,
            default: None,
            identity: None,
            generated: None,
            rules: Vec::new(),
        };
        if !natural {
            let kind = if self.key_type == KeyType::Bigint { "bigint" } else { "integer" };
            draft.field(&FieldElement { identity: Some(Identity::ByDefault), ..plain(&key, kind) }, false)?;
        }
        let null_safe = null_safe(&payload.by);
        for (leaving, null_safe) in payload.by.iter().zip(&null_safe) {
            let shape = &leaving.field.shape;
            let element = FieldElement {
                collation: shape.collation.clone(),
                not_null: !null_safe,
                ..plain(&leaving.name, &shape.type_name)
            };
            draft.field(&element, false)?;
            if let Some(field) = draft.table.fields.last_mut() {
                field.comment.clone_from(&shape.comment);
            }
        }
        let names: Vec<Ident> = payload.by.iter().map(|l| l.name.clone()).collect();
        if natural {
            return draft.rule(&rule(Rule::Primary(names)));
        }
        draft.rule(&rule(Rule::Primary(vec![key])))?;
        let nullable = null_safe.contains(&true);
        draft.rule(&rule(Rule::Unique(names.clone(), !nullable)))?;
        if nullable && !null_safe.contains(&false) {
            // A row without any value is what NULL refers to.
            let text = format!("num_nonnulls({}) > 0", listed(&names));
            let condition = Expression::parse(&text).map_err(|e| Refusal::Expression(e.to_string()))?;
            draft.rule(&rule(Rule::Check(condition)))?;
        }
        Ok(())
    }
}

/// Several fields are compared with NULL as a value; a single one that is NULL refers to nothing.
fn null_safe(by: &[Leaving]) -> Vec<bool> {
    by.iter().map(|l| by.len() > 1 && !l.field.shape.not_null).collect()
}

/// Checks and foreign keys over nothing but the fields go along with them.
fn follow(draft: &mut Draft, from: &Relation, by: &[Leaving]) {
    for constraint in from.constraints.iter().map(|c| &c.item) {
        let leaves = |f: &Ident| by.iter().any(|l| l.field.shape.name == *f);
        if constraint.fields.is_empty() || !constraint.fields.iter().all(leaves) {
            continue;
        }
        let mut item = constraint.clone();
        let renames = by.iter().map(|l| (l.field.shape.name.clone(), l.name.clone())).collect();
        item.rename(&renames);
        item.definition = match &item.kind {
            ConstraintKind::Check => rename_in_definition(&item.definition, &renames),
            ConstraintKind::Foreign(key) => key.definition(&item, &key.table, &key.fields),
            _ => continue,
        };
        draft.table.constraints.push(item);
    }
}

impl Refactor for ExtractTable {
    fn wish(&self) -> String {
        let others: Vec<String> = self.with.iter().map(|f| format!(", `{f}`")).collect();
        format!("extract `{}`{} into `{}`", self.field, others.concat(), self.into)
    }

    fn slug(&self) -> String {
        format!("extract-{}", self.into.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let from = before.find_own(&self.field.table)?;
        before.must_be_whole(from)?;
        let payload = self.payload(before, from)?;
        let (key, natural) = self.key(&payload);
        let single = payload.by.len() == 1;
        for leaving in payload.by.iter().filter(|_| !natural) {
            entangled::check(before, from, &leaving.field, Purpose::Refer)?;
        }
        let mut after = before.clone();
        let (other, is_new) = self.other(step, &mut after, from, &payload)?;
        if other.base == from.base {
            return Err(Refusal::Nothing("a table cannot refer to itself for its own values".into()));
        }
        let null_safe = if is_new { null_safe(&payload.by) } else { vec![false; payload.by.len()] };
        if is_new && self.restores.is_none() && null_safe.contains(&true) && before.schema.server_version < 150_000 {
            return Err(Refusal::Other {
                why: "fields that may be NULL tell its rows apart, and PostgreSQL 14 has no unique key over NULL"
                    .into(),
                hint: Some("tell them apart by fields that are NOT NULL: `--by`".into()),
            });
        }
        let found_by: Vec<Ident> = payload.by.iter().map(|l| l.name.clone()).collect();
        let stored = after.stored(&other, &found_by)?;
        let key_columns = after.stored(&other, std::slice::from_ref(&key))?;
        let key_field = other.field(&key).ok_or_else(|| Refusal::NoKey { table: other.name.clone() })?.clone();
        if !natural && !other.is_unique(std::slice::from_ref(&key)) {
            return Err(Refusal::Other {
                why: format!("`{key}` of `{}` is no unique key, so nothing can refer to it", other.name.short()),
                hint: Some("name its key: `--key`".into()),
            });
        }
        same_types(&payload.by, &other)?;
        let unlisted = self.on_missing.unwrap_or(if is_new { Unlisted::Insert } else { Unlisted::Reject });
        let not_null = unlisted != Unlisted::Null && payload.by.iter().any(|l| l.field.shape.not_null);
        let reference = self.reference(&payload, &key, natural);
        let unique = is_new && self.restores.is_none() || other.is_unique(&found_by);
        let words = Words {
            table: from.name.clone(),
            field: payload.by[0].field.shape.name.clone(),
            other: other.name.clone(),
        };
        let columns: Vec<Ident> = payload.by.iter().map(|l| l.column.clone()).collect();
        if !unique {
            after.facts.push(Fact {
                step: step.to_owned(),
                claim: Claim::Alone {
                    table: other.base.clone(),
                    columns: stored.clone(),
                    words: Words { table: other.name.clone(), field: found_by[0].clone(), other: from.name.clone() },
                },
            });
        }
        let at = after.lookups.len();
        match unlisted {
            Unlisted::Insert => {}
            Unlisted::Reject => after.facts.push(Fact {
                step: step.to_owned(),
                claim: Claim::Listed {
                    table: from.base.clone(),
                    columns: columns.clone(),
                    other: other.base.clone(),
                    found_by: stored.clone(),
                    words: words.clone(),
                },
            }),
            Unlisted::Null => {
                if !single {
                    return Err(Refusal::Other {
                        why: "values that are not listed can only be set aside where a single field is looked up"
                            .into(),
                        hint: None,
                    });
                }
                after.losses.push(Loss {
                    step: step.to_owned(),
                    table: from.base.clone(),
                    columns: columns.clone(),
                    rows: None,
                    kind: LossKind::Unlisted(at),
                    words,
                });
            }
        }
        let constraint = self
            .constraint
            .clone()
            .unwrap_or_else(|| Ident::generated(&[from.name.name.as_str(), reference.as_str(), "fkey"]));
        after.lookups.push(Lookup {
            step: step.to_owned(),
            id: entangled::generated_id(step, &reference),
            table: from.base.clone(),
            columns,
            other: other.base.clone(),
            found_by: stored,
            null_safe,
            shows: key_columns.clone(),
            types: vec![key_field.shape.type_name.clone()],
            missing: Missing::Refuse(constraint.clone()),
            unlisted,
            unique,
            words: (from.name.clone(), other.name.clone()),
            fields: vec![reference.clone()],
            restores: self.restores.clone().filter(|_| natural),
        });
        let shape = schema::Field {
            type_name: key_field.shape.type_name.clone(),
            collation: key_field.shape.collation.clone(),
            not_null,
            grants: payload.by[0].field.shape.grants.clone(),
            ..schema::Field::named(reference.clone())
        };
        let field = Field { shape, home: Home::Looked(at, 0) };
        let foreign = Constraint {
            name: constraint,
            kind: ConstraintKind::Foreign(ForeignKey {
                table: other.base.clone(),
                fields: key_columns.clone(),
                on_update: 'a',
                on_delete: 'a',
                match_full: false,
            }),
            fields: vec![reference.clone()],
            definition: String::new(),
            deferrable: false,
            deferred: false,
            validated: true,
            inherited: false,
            comment: None,
        };
        if !natural {
            self.replace(step, &mut after, from, &payload.by, field)?;
        }
        let origin = Origin::Table(other.base.clone(), 0);
        let attached = Attached { item: foreign, origin, columns: key_columns };
        after.change(&from.name, step).constraints.push(attached);
        let hop = Hop {
            from: from.base.clone(),
            from_columns: payload.by.iter().map(|l| l.column.clone()).collect(),
            to: other.base.clone(),
            to_columns: after.lookups[at].found_by.clone(),
        };
        for leaving in &payload.rest {
            after = self.carry(step, &after, &other.name, leaving, hop.clone())?;
        }
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let from = before.find_own(&self.field.table)?;
        let payload = self.payload(before, from)?;
        let (key, natural) = self.key(&payload);
        let after = self.after(step, before)?;
        let reference = self.reference(&payload, &key, natural);
        let (_, other) = &after.lookups[after.lookups.len() - 1].words;
        let keep = before.relations.contains_key(other);
        let constraint = after.relations[&from.name]
            .foreign_keys()
            .find(|(c, _)| c.item.fields == [reference.clone()])
            .map(|(c, _)| c.item.name.clone());
        let leaving = || payload.by.iter().chain(&payload.rest);
        let last = self.fields();
        let following = last.iter().rev().find_map(|f| from.following(f).filter(|n| !last.contains(n)));
        let defaults = leaving().filter_map(|l| {
            let default = Expression::parse(l.field.shape.default.as_ref()?).ok()?;
            Some(Default { field: l.field.shape.name.clone(), value: default })
        });
        Ok(Refactoring::InlineTable(InlineTable {
            table: entangled::reference(other),
            into: entangled::reference(&from.name),
            via: constraint,
            names: leaving()
                .filter(|l| l.name != l.field.shape.name)
                .map(|l| Renaming { from: l.name.clone(), to: l.field.shape.name.clone() })
                .collect(),
            only: if keep { leaving().map(|l| l.name.clone()).collect() } else { Vec::new() },
            keep,
            defaults: defaults.collect(),
            before: following,
        }))
    }
}

impl ExtractTable {
    /// The name of the field that refers to the other table.
    fn reference(&self, payload: &Payload, key: &Ident, natural: bool) -> Ident {
        if natural {
            return payload.by[0].field.shape.name.clone();
        }
        let stem = match &payload.by[..] {
            [one] => one.field.shape.name.as_str(),
            _ => self.into.name.as_str(),
        };
        self.as_name.clone().unwrap_or_else(|| Ident::generated(&[stem, key.as_str()]))
    }

    /// Takes the fields away and puts the reference where the first of them was, in indexes and unique keys too.
    fn replace(
        &self,
        step: &str,
        after: &mut Version,
        from: &Relation,
        by: &[Leaving],
        field: Field,
    ) -> Result<(), Refusal> {
        let names: Vec<Ident> = by.iter().map(|l| l.field.shape.name.clone()).collect();
        let new = field.shape.name.clone();
        if !names.contains(&new) {
            entangled::must_be_free(from, &new, "choose another name with `--as`")?;
        }
        for leaving in by {
            entangled::note(after, step, from, &leaving.field, Purpose::Refer);
            if let Some(default) = &leaving.field.shape.default {
                let text = format!("default `{default}` of `{}`", leaving.field.shape.name);
                after.remark(step, RemarkKind::Lost, text);
            }
        }
        let mut lost = Vec::new();
        let changed = after.change(&from.name, step);
        let place = self.before.clone().or_else(|| {
            let at = changed.fields.iter().position(|f| names.contains(&f.shape.name))?;
            changed.fields[at..].iter().map(|f| f.shape.name.clone()).find(|n| !names.contains(n))
        });
        let mentions = |fields: &[Ident]| fields.iter().any(|f| names.contains(f));
        // One field stands for the other; several cannot.
        let plain = |item: &schema::Index| {
            let keys: Option<Vec<Ident>> = item.keys.iter().cloned().collect();
            names.len() == 1
                && keys.is_some_and(|keys| {
                    keys.len() == item.fields.len() && item.definition.ends_with(&format!("({})", listed(&keys)))
                })
        };
        let unique = changed.indexes.iter().find(|i| i.item.unique && mentions(&i.item.fields) && !plain(&i.item));
        if let Some(index) = unique {
            return Err(Refusal::Entangled {
                field: self.field.clone(),
                role: format!("is part of the unique index `{}`, which cannot follow", index.item.name),
                hint: Some("drop that index first".into()),
            });
        }
        changed.indexes.retain(|i| {
            let stays = !mentions(&i.item.fields) || plain(&i.item);
            if !stays {
                lost.push(format!("index `{}`", i.item.name));
            }
            stays
        });
        changed.constraints.retain(|c| {
            let follows = matches!(c.item.kind, ConstraintKind::Unique);
            !mentions(&c.item.fields) || follows
        });
        let renames = [(names[0].clone(), new)].into();
        changed.indexes.iter_mut().for_each(|i| i.item.rename(&renames));
        changed.constraints.iter_mut().for_each(|c| c.item.rename(&renames));
        changed.fields.retain(|f| !names.contains(&f.shape.name));
        changed.insert_field(field, place.as_ref());
        lost.into_iter().for_each(|text| after.remark(step, RemarkKind::Lost, text));
        Ok(())
    }

    /// A field that follows the others is carried along what they store.
    fn carry(
        &self,
        step: &str,
        version: &Version,
        to: &TableName,
        leaving: &Leaving,
        hop: Hop,
    ) -> Result<Version, Refusal> {
        let name = &leaving.field.shape.name;
        let way = Path { direction: Direction::Up, hops: vec![hop], one_to_one: false, keys: Vec::new(), total: false };
        let mut moving = MoveField::plain(
            FieldRef { table: self.field.table.clone(), field: name.clone() },
            entangled::reference(to),
            (leaving.name != *name).then(|| leaving.name.clone()),
            None,
        );
        moving.restores = self.restores.as_ref().map(|step| kept_apart(step, &leaving.name));
        moving.along(step, version, &leaving.column, way)
    }
}

/// What is compared must be of one type.
fn same_types(by: &[Leaving], other: &Relation) -> Result<(), Refusal> {
    let family = |kind: &str| {
        let bare = kind.split('(').next().unwrap_or_default().trim().to_owned();
        if bare == "character varying" { "text".to_owned() } else { bare }
    };
    for leaving in by {
        let there = other.field(&leaving.name).map_or("", |f| &f.shape.type_name);
        let here = &leaving.field.shape.type_name;
        if family(there) != family(here) {
            return Err(Refusal::Other {
                why: format!(
                    "`{}` is of type {here}, and `{}` of `{}` of type {there}",
                    leaving.field.shape.name,
                    leaving.name,
                    other.name.short()
                ),
                hint: Some("change one of the types first: `refactor change-type`".into()),
            });
        }
    }
    Ok(())
}
