//! `extract-table`: repeated values become rows of a table of their own, new or existing, and are referred to.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::add_foreign_key::{Action, Deferrable};
use crate::catalogue::draft::Draft;
use crate::catalogue::entangled::{self, Purpose};
use crate::catalogue::inline_table::{Default, InlineTable};
use crate::catalogue::leaving::{self, Leaving, Payload, compared, follow, same_types};
use crate::catalogue::move_field::MoveField;
use crate::catalogue::path::Path;
use crate::catalogue::restored::Restored;
use crate::catalogue::split_rows;
use crate::catalogue::{Refactor, Refactoring};
use crate::fact::{Claim, Fact, Loss, LossKind, Words};
use crate::name::{FieldRef, Ident, OWN, Renaming, TableName, TableRef, listed};
use crate::refusal::Refusal;
use crate::relation::{self, Attached, Field, Home, Origin, Relation};
use crate::schema::element::{Element, FieldElement, Late, Rule, RuleElement};
use crate::schema::{self, Constraint, ConstraintKind, ForeignKey, Identity, Index};
use crate::sql::Expression;
use crate::version::{
    Compared, Direction, Hop, Lookup, Made, Missing, Only, RemarkKind, Unlisted, Version, kept_apart, lost_table,
};

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
    /// What holds for values that get a row; the others refer to none [default: all get one]
    #[arg(long = "where", value_name = "CONDITION")]
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expression>,
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
    /// What happens to who refers to a row that is deleted
    #[arg(long, hide = true, value_enum, default_value = "no-action")]
    #[serde(default, skip_serializing_if = "Action::is_default")]
    pub on_delete: Action,
    /// What happens to who refers to a row whose key changes
    #[arg(long, hide = true, value_enum, default_value = "no-action")]
    #[serde(default, skip_serializing_if = "Action::is_default")]
    pub on_update: Action,
    /// When the foreign key is checked, if not at once
    #[arg(long, hide = true, value_enum)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferrable: Option<Deferrable>,
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

impl ExtractTable {
    fn fields(&self) -> Vec<Ident> {
        std::iter::once(self.field.field.clone()).chain(self.with.iter().cloned()).collect()
    }

    fn payload(&self, before: &Version, relation: &Relation) -> Result<Payload, Refusal> {
        let fields = self.fields();
        if !self.names.is_empty() && self.names.len() != fields.len() {
            return Err(Refusal::NeedsValue(
                format!("{} fields leave, but `--names` gives {}", fields.len(), self.names.len()),
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
        Ok(payload)
    }

    /// Values that are equal must be the same, else one row could not stand for all of them.
    fn must_be_exact(&self, version: &Version, field: &Field) -> Result<(), Refusal> {
        let known = version.schema.kind(&field.shape);
        if !known.exact {
            let kind = format!("{}{}", field.shape.type_name, field.shape.collate());
            return Err(Refusal::Entangled {
                field: FieldRef { table: self.field.table.clone(), field: field.shape.name.clone() },
                role: if known.comparable {
                    format!("is of type {kind}, where values can be equal and not the same")
                } else {
                    format!("is of type {kind}, whose values cannot be unique")
                },
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
            Ok(found) if self.restores.is_none() => {
                after.must_be_whole(found)?;
                return Ok((found.clone(), false));
            }
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
            draft.fill(&self.elements, true)?;
        } else {
            self.new_fields(after, &mut draft, payload)?;
            draft.table.grants.clone_from(&base.grants);
            draft.table.owner.clone_from(&base.owner);
            follow(&mut draft, from, &payload.by);
        }
        let Draft { table, sequences, .. } = draft;
        let made = Made { step: step.to_owned(), table: physical, restores: restores.cloned() };
        after.make(made, &name, table, sequences);
        Ok((after.relations[&name].clone(), true))
    }

    fn new_fields(&self, version: &Version, draft: &mut Draft, payload: &Payload) -> Result<(), Refusal> {
        let (key, natural) = self.key(payload);
        let rule = |rule| RuleElement { name: None, rule, late: Late::default() };
        let plain = |name: &Ident, type_name: &str| FieldElement {
            name: name.clone(),
            type_name: type_name.to_owned(),
            collation: None,
            not_null: false,
            default: None,
            identity: None,
            numbers: String::new(),
            generated: None,
            rules: Vec::new(),
        };
        if !natural {
            let kind = if self.key_type == KeyType::Bigint { "bigint" } else { "integer" };
            draft.field(&FieldElement { identity: Some(Identity::ByDefault), ..plain(&key, kind) }, false)?;
        }
        let compared = compared(&version.schema, &payload.by, natural);
        for (leaving, compared) in payload.by.iter().zip(&compared) {
            let shape = &leaving.field.shape;
            let element = FieldElement {
                collation: shape.collation.clone(),
                not_null: !compared.null_safe,
                ..plain(&leaving.name, &shape.type_name)
            };
            draft.field(&element, false)?;
            if let Some(field) = draft.table.fields.last_mut() {
                field.comment.clone_from(&shape.comment);
            }
        }
        let names: Vec<Ident> = payload.by.iter().map(|l| l.name.clone()).collect();
        if natural {
            return draft.rule(&rule(Rule::Primary(names, Vec::new())));
        }
        draft.rule(&rule(Rule::Primary(vec![key], Vec::new())))?;
        let nullable = compared.iter().any(|c| c.null_safe);
        draft.rule(&rule(Rule::Unique(names.clone(), Vec::new(), !nullable)))?;
        if let Some(condition) = &self.condition {
            let renames = payload.by.iter().map(|l| (l.field.shape.name.clone(), l.name.to_string())).collect();
            let condition =
                Expression::parse(&condition.with(&renames)).map_err(|e| Refusal::Expression(e.to_string()))?;
            draft.rule(&rule(Rule::Check(condition, false)))?;
        }
        if compared.iter().all(|c| c.null_safe) {
            // A row without any value is what NULL refers to.
            let text = format!("num_nonnulls({}) > 0", listed(&names));
            let condition = Expression::parse(&text).map_err(|e| Refusal::Expression(e.to_string()))?;
            draft.rule(&rule(Rule::Check(condition, false)))?;
        }
        Ok(())
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
        self.keyed(before).extracted(step, before)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        self.keyed(before).inlined(step, before)
    }
}

impl ExtractTable {
    /// The same, with the key of the table if that is there already.
    fn keyed(&self, before: &Version) -> Self {
        let there = before.find_own(&self.into).ok().filter(|_| self.restores.is_none());
        let primary = there.and_then(|other| other.constraints.iter().find(|c| c.item.kind == ConstraintKind::Primary));
        let key = match primary.map(|c| &c.item.fields[..]) {
            Some([key]) => Some(key.clone()),
            _ => None,
        };
        Self { key: self.key.clone().or(key), ..self.clone() }
    }

    fn extracted(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let from = before.find_own(&self.field.table)?;
        before.must_be_whole(from)?;
        relation::row_key(before.table(from)).ok_or_else(|| Refusal::NoKey { table: from.name.clone() })?;
        let payload = self.payload(before, from)?;
        let (key, natural) = self.key(&payload);
        let together: Vec<Ident> = payload.by.iter().map(|l| l.field.shape.name.clone()).collect();
        for leaving in payload.by.iter().filter(|_| !natural) {
            entangled::check_among(before, from, &leaving.field, Purpose::Refer, &together)?;
        }
        if natural && self.on_missing == Some(Unlisted::Null) {
            return Err(Refusal::Other {
                why: format!("`{key}` is the key and one of the fields, so every value that is stored refers to a row"),
                hint: Some("correct those values first, or say `--on-missing insert`".into()),
            });
        }
        let only = self.only(before, from, &payload)?;
        let mut after = before.clone();
        let (other, is_new) = self.other(step, &mut after, from, &payload)?;
        if is_new && self.restores.is_none() {
            payload.by.iter().try_for_each(|l| self.must_be_exact(before, &l.field))?;
            note_long(step, &mut after, &other.name, &payload.by);
        }
        let lookup = Lookup { only, ..self.lookup(step, &after, (from, &other), &payload, is_new)? };
        note_facts(step, &mut after, &lookup, &payload)?;
        if let Some(only) = &lookup.only {
            after.facts.insert(before.facts.len(), split_rows::fact(step, from, &only.holds));
        }
        let reference = lookup.fields[0].clone();
        let foreign = self.foreign_key(step, &mut after, from, &lookup);
        let origin = Origin::Table(other.base.clone(), 0);
        let attached = Attached { item: foreign, origin, columns: lookup.shows.clone() };
        let hop = Hop {
            from: from.base.clone(),
            from_columns: lookup.columns.clone(),
            to: other.base.clone(),
            to_columns: lookup.found_by.clone(),
        };
        if !natural {
            let there = other.field(&key).map_or_else(|| schema::Field::named(key.clone()), |f| f.shape.clone());
            let may_be_null = lookup.unlisted == Unlisted::Null || lookup.only.is_some();
            let shape = schema::Field {
                type_name: there.type_name,
                collation: there.collation,
                not_null: !may_be_null && payload.by.iter().any(|l| l.field.shape.not_null),
                grants: payload.by[0].field.shape.grants.clone(),
                ..schema::Field::named(reference)
            };
            let field = Field { shape, home: Home::Looked(after.lookups.len(), 0) };
            if !is_new && self.restores.is_none() {
                note_left_behind(step, &mut after, from, &payload.by);
            }
            leaving::replace(step, &mut after, from, &payload.by, field, self.before.as_ref())?;
        }
        after.change(&from.name, step).constraints.push(attached);
        after.lookups.push(lookup);
        for leaving in &payload.rest {
            after = self.carry(step, &after, &other.name, leaving, hop.clone())?;
        }
        Ok(after)
    }

    fn inlined(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let from = before.find_own(&self.field.table)?;
        let payload = self.payload(before, from)?;
        let (key, natural) = self.key(&payload);
        let after = self.extracted(step, before)?;
        let reference = self.reference(&payload, &key, natural);
        let (_, other) = &after.lookups[after.lookups.len() - 1].words;
        let keep = before.relations.contains_key(other);
        let lookup = &after.lookups[after.lookups.len() - 1];
        let none = payload.by.iter().zip(lookup.only.iter().flat_map(|o| &o.none));
        let fill = none.filter_map(|(leaving, value)| {
            Some(Default { field: leaving.field.shape.name.clone(), value: value.clone()? })
        });
        // What makes a row of the new table one has no meaning where there is none.
        let checks = after.relations[other].constraints.iter().filter(|c| c.item.kind == ConstraintKind::Check);
        let came = |c: &Attached<Constraint>| from.constraints.iter().any(|o| o.item.name == c.item.name);
        let checks = checks.filter(|c| !keep && self.restores.is_none() && !came(c));
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
            restores: Restored::all(step, &after),
            without: checks.map(|c| c.item.name.clone()).collect(),
            condition: self.condition.clone(),
            fill: fill.collect(),
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

    /// The foreign key that will be there once all is real.
    fn foreign_key(&self, step: &str, after: &mut Version, from: &Relation, lookup: &Lookup) -> Constraint {
        let Missing::Refuse(name) = &lookup.missing else { unreachable!("a reference may be refused") };
        let key = ForeignKey {
            table: lookup.other.clone(),
            fields: lookup.shows.clone(),
            on_update: self.on_update.letter(),
            on_delete: self.on_delete.letter(),
            match_full: false,
        };
        if (self.on_update, self.on_delete) != (Action::default(), Action::default()) {
            let text = format!("the actions of `{name}` (ON DELETE, ON UPDATE) act from materialize on");
            after.remark(step, RemarkKind::Note, text);
        }
        let constraint =
            |key| Constraint::named(name.clone(), ConstraintKind::Foreign(key), lookup.fields.clone(), String::new());
        let said =
            self.deferrable.is_some() || (self.on_update, self.on_delete) != (Action::default(), Action::default());
        // The fields refer to the same rows by another key: what that does goes on.
        let same = |(c, there): &(&Attached<Constraint>, &ForeignKey)| {
            there.table == lookup.other && c.columns == lookup.columns && there.fields == lookup.found_by
        };
        if let Some((was, there)) = from.foreign_keys().find(same).filter(|_| !said) {
            let key = ForeignKey { on_update: there.on_update, on_delete: there.on_delete, ..key };
            let (deferrable, deferred) = (was.item.deferrable, was.item.deferred);
            return Constraint { deferrable, deferred, ..constraint(key) };
        }
        Constraint {
            deferrable: self.deferrable.is_some(),
            deferred: self.deferrable == Some(Deferrable::InitiallyDeferred),
            ..constraint(key)
        }
    }

    /// How the other table is looked up.
    fn lookup(
        &self,
        step: &str,
        version: &Version,
        (from, other): (&Relation, &Relation),
        payload: &Payload,
        is_new: bool,
    ) -> Result<Lookup, Refusal> {
        if other.base == from.base {
            return Err(Refusal::Nothing("a table cannot refer to itself for its own values".into()));
        }
        let (key, natural) = self.key(payload);
        let compared = compared(&version.schema, &payload.by, natural);
        let nullable = compared.iter().any(|c| c.null_safe);
        if is_new && self.restores.is_none() && nullable && version.schema.server_version < 150_000 {
            return Err(Refusal::Other {
                why: "fields that may be NULL tell its rows apart, and PostgreSQL 14 has no unique key over NULL"
                    .into(),
                hint: Some("tell them apart by fields that are NOT NULL: `--by`".into()),
            });
        }
        if !natural && !other.is_unique(std::slice::from_ref(&key)) {
            return Err(Refusal::Other {
                why: format!("`{key}` of `{}` is no unique key, so nothing can refer to it", other.name.short()),
                hint: Some("name its key: `--key`".into()),
            });
        }
        same_types(&payload.by, other)?;
        let found_by: Vec<Ident> = payload.by.iter().map(|l| l.name.clone()).collect();
        let reference = self.reference(payload, &key, natural);
        let constraint = self
            .constraint
            .clone()
            .unwrap_or_else(|| Ident::generated(&[from.name.name.as_str(), reference.as_str(), "fkey"]));
        let kind = other.field(&key).map(|f| f.shape.type_name.clone());
        Ok(Lookup {
            step: step.to_owned(),
            id: entangled::generated_id(step, &reference),
            table: from.base.clone(),
            columns: payload.by.iter().map(|l| l.column.clone()).collect(),
            other: other.base.clone(),
            found_by: version.stored(other, &found_by)?,
            always: None,
            unique: is_new && self.restores.is_none() || is_exact(other, &found_by, &compared),
            compared,
            shows: version.stored(other, std::slice::from_ref(&key))?,
            types: kind.into_iter().collect(),
            missing: Missing::Refuse(constraint),
            unlisted: self.on_missing.unwrap_or(if is_new { Unlisted::Insert } else { Unlisted::Reject }),
            only: None,
            words: (from.name.clone(), other.name.clone()),
            fields: vec![reference],
            restores: self.restores.clone().filter(|_| natural),
            kept: Vec::new(),
            left: Vec::new(),
        })
    }

    /// Which values lead somewhere, if not all.
    fn only(&self, version: &Version, from: &Relation, payload: &Payload) -> Result<Option<Only>, Refusal> {
        let Some(condition) = &self.condition else { return Ok(None) };
        let refused = |why: &str, hint: &str| Refusal::Other { why: why.into(), hint: Some(hint.into()) };
        if version.find_own(&self.into).is_ok() {
            return Err(refused(
                "which values an existing table lists is told by its rows, not by a condition",
                "leave `--where` out, and say `--on-missing null`",
            ));
        }
        if self.key(payload).1 {
            return Err(refused(
                "with a key that is one of the fields, every value that is stored refers to a row",
                "let the table be numbered: leave `--key` out, or give a new name",
            ));
        }
        if let Some(leaving) = payload.rest.first() {
            let why = format!("`{}` would be without a row to live in where there is none", leaving.field.shape.name);
            return Err(refused(&why, "extract the fields without it, and move it there later: `refactor move-field`"));
        }
        let holds = split_rows::over_columns(version, from, condition)?;
        let among = |f: &Ident| payload.by.iter().any(|l| l.field.shape.name == *f);
        if let Some(other) = condition.fields().into_iter().find(|f| !among(f)) {
            return Err(refused(
                &format!("`{condition}` reads `{other}`, which stays: it must be told by the fields that leave alone"),
                "write the condition over those",
            ));
        }
        let none = |leaving: &Leaving| {
            let Field { shape, .. } = &leaving.field;
            if !shape.not_null {
                return Ok(None);
            }
            let default =
                shape.default.as_ref().and_then(|d| Expression::parse(d).ok()).filter(Expression::is_constant);
            default.map(Some).ok_or_else(|| {
                let table = self.field.table.clone();
                let field = FieldRef { table, field: shape.name.clone() };
                refused(
                    &format!(
                        "`{field}` is NOT NULL and has no constant default, which a row that refers to none could store"
                    ),
                    "give it one that the condition excludes: `refactor set-default`",
                )
            })
        };
        let none = payload.by.iter().map(none).collect::<Result<_, Refusal>>()?;
        Ok(Some(Only { holds, none }))
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
        moving.along_with_others(step, version, &leaving.column, way)
    }
}

/// What the data must satisfy, and which values are left out.
fn note_facts(step: &str, after: &mut Version, lookup: &Lookup, payload: &Payload) -> Result<(), Refusal> {
    let (table, other) = (&lookup.words.0, &lookup.words.1);
    let fields: Vec<&str> = payload.by.iter().map(|l| l.field.shape.name.as_str()).collect();
    let words = Words { table: table.clone(), field: Ident::new(fields.join(", ")), other: other.clone() };
    let at = after.lookups.len();
    let left_out = |leaving: &Leaving| Loss {
        step: step.to_owned(),
        table: lookup.table.clone(),
        columns: vec![leaving.column.clone()],
        rows: None,
        kind: LossKind::Unlisted(at),
        key: Vec::new(),
        kept: String::new(),
        words: Words { field: leaving.field.shape.name.clone(), ..words.clone() },
    };
    let mut claims = Vec::new();
    if !lookup.unique {
        let field = payload.by[0].name.clone();
        claims.push(Claim::Alone {
            table: lookup.other.clone(),
            columns: lookup.found_by.clone(),
            compared: lookup.compared.clone(),
            words: Words { table: other.clone(), field, other: table.clone() },
        });
    }
    match lookup.unlisted {
        Unlisted::Insert if lookup.other.schema.as_str() == OWN => {
            let some = payload.by.iter().filter(|_| lookup.only.is_some());
            after.losses.extend(some.map(left_out));
            if after.made.iter().any(|m| m.table == lookup.other && m.restores.is_some()) {
                claims.extend(must_fit(after, lookup, payload)?);
            }
        }
        Unlisted::Insert => {
            claims.extend(must_fit(after, lookup, payload)?);
            let text = format!(
                "values that `{}` does not list are inserted into it now, where old code sees them, and stay there when this is undone",
                other.short()
            );
            after.remark(step, RemarkKind::Note, text);
        }
        Unlisted::Reject => claims.push(Claim::Listed {
            table: lookup.table.clone(),
            columns: lookup.columns.clone(),
            other: lookup.other.clone(),
            found_by: lookup.found_by.clone(),
            compared: lookup.compared.clone(),
            words,
        }),
        Unlisted::Null if payload.by.len() > 1 => {
            return Err(Refusal::Other {
                why: "values that are not listed can only be set aside where a single field is looked up".into(),
                hint: Some("say `--on-missing insert`".into()),
            });
        }
        Unlisted::Null => after.losses.extend(payload.by.iter().map(left_out)),
    }
    after.facts.extend(claims.into_iter().map(|claim| Fact { step: step.to_owned(), claim }));
    Ok(())
}

/// Whether a table keeps apart the rows that values are found by.
fn is_exact(other: &Relation, found_by: &[Ident], compared: &[Compared]) -> bool {
    let nullable = |field: &Ident| other.field(field).is_none_or(|f| !f.shape.not_null);
    let asked = found_by.iter().zip(compared).any(|(field, compared)| compared.null_safe && nullable(field));
    let exact = |i: &Attached<Index>| i.item.definition.contains("NULLS NOT DISTINCT");
    let among = |i: &Attached<Index>| i.item.keys.iter().all(|k| k.as_ref().is_some_and(|k| found_by.contains(k)));
    other.is_unique(found_by) && (!asked || other.indexes.iter().any(|i| i.item.unique && exact(i) && among(i)))
}

/// What rows that are made in a table for values of another must have.
///
/// # Errors
/// When it asks for more than those values.
fn must_fit(after: &Version, lookup: &Lookup, payload: &Payload) -> Result<Vec<Claim>, Refusal> {
    let Some(other) = after.over(&lookup.other) else { return Ok(Vec::new()) };
    let required = |f: &&Field| f.shape.not_null && f.shape.generated.is_none();
    let mut claims = Vec::new();
    for field in other.fields.iter().filter(required) {
        let Some(leaving) = payload.by.iter().find(|l| l.name == field.shape.name) else {
            if field.shape.fills_itself() {
                continue;
            }
            return Err(Refusal::Other {
                why: format!(
                    "`{}` of `{}` is NOT NULL and has no default, so no row could be made for a value that is not listed",
                    field.shape.name,
                    other.name.short()
                ),
                hint: Some("give it a default first, or leave out `--on-missing insert`".into()),
            });
        };
        if payload.by.len() > 1 && !leaving.field.shape.not_null {
            let some = listed(&payload.by.iter().map(|l| l.column.clone()).collect::<Vec<_>>());
            let rows = Expression::parse(&format!("num_nonnulls({some}) > 0"));
            claims.push(Claim::Fits {
                table: lookup.table.clone(),
                expression: leaving.column.to_string(),
                type_name: leaving.field.shape.type_name.clone(),
                not_null: true,
                rows: Some(rows.map_err(|e| Refusal::Expression(e.to_string()))?),
                words: Words {
                    table: lookup.words.0.clone(),
                    field: leaving.field.shape.name.clone(),
                    other: lookup.words.0.clone(),
                },
            });
        }
    }
    Ok(claims)
}

/// Values that an index cannot have.
fn note_long(step: &str, after: &mut Version, other: &TableName, by: &[Leaving]) {
    let long = by.iter().filter(|l| after.schema.kind(&l.field.shape).long);
    let names: Vec<String> = long.map(|l| format!("`{}`", l.field.shape.name)).collect();
    if !names.is_empty() {
        let text = format!(
            "{} may have no value of more than about 2700 bytes from now on: an index keeps those of `{}` unique",
            names.join(", "),
            other.short()
        );
        after.remark(step, RemarkKind::Note, text);
    }
}

/// What a table that is there has not from the fields that it lists.
fn note_left_behind(step: &str, after: &mut Version, from: &Relation, by: &[Leaving]) {
    let leaves = |f: &Ident| by.iter().any(|l| l.field.shape.name == *f);
    for constraint in from.constraints.iter().map(|c| &c.item) {
        let goes = matches!(constraint.kind, ConstraintKind::Check | ConstraintKind::Foreign(_));
        if goes && !constraint.fields.is_empty() && constraint.fields.iter().all(leaves) {
            after.remark(step, RemarkKind::Lost, format!("constraint `{}`", constraint.name));
        }
    }
    for leaving in by.iter().filter(|l| l.field.shape.comment.is_some()) {
        after.remark(step, RemarkKind::Lost, format!("comment of `{}`", leaving.field.shape.name));
    }
}
