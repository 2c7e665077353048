//! `split-rows`: the rows that satisfy a condition become a table of their own.

use std::collections::BTreeSet;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_field::DropField;
use crate::catalogue::original::Original;
use crate::catalogue::renumber::Numbers;
use crate::catalogue::union_tables::UnionTables;
use crate::catalogue::{Refactor, Refactoring, entangled, likeness, renumber};
use crate::fact::{Claim, Fact, Words};
use crate::name::{FieldRef, Ident, TableName, TableRef};
use crate::refusal::{Refusal, similar};
use crate::relation::{Attached, Condition, Home, Origin, Part, Relation, Rows};
use crate::schema::{Constraint, ConstraintKind, Schema, TableKind};
use crate::sql::Expression;
use crate::version::{Gone, Held, RemarkKind, Version, numbered};

/// Make a table of some of another's rows.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitRows {
    /// Table to split
    pub table: TableRef,
    /// What holds for the rows that leave; a row for which it is unknown stays
    #[arg(long = "where", value_name = "CONDITION", required = true)]
    #[serde(rename = "where")]
    pub conditions: Vec<Expression>,
    /// Table that they become, in the same schema; once for each `--where`, of which the first that holds decides
    #[arg(long, value_name = "NAME", required = true, value_delimiter = ',', value_parser = str::parse::<Ident>)]
    pub into: Vec<Ident>,
    /// Name of the table with all other rows [default: as before]
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<Ident>,
    /// Give the real tables no check, so that rows of one may become what the condition says of the other
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchecked: bool,
    /// Fields that one of the tables does not have
    #[arg(long, hide = true, value_name = "FIELD", value_delimiter = ',')]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drops: Vec<FieldRef>,
    /// What a field that tells the tables apart is in the rows of the rest, which does not have it
    #[arg(long, hide = true, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest_value: Option<Expression>,
    /// Give the rows that leave new keys, drawn by a sequence of their table's own; which row had which is kept
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renumber: bool,
    /// What draws the keys of each table
    #[arg(long, hide = true, requires = "renumber", value_parser = str::parse::<Numbers>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<Numbers>,
    /// The refactoring that gave the rows the keys that they have now
    #[arg(long, hide = true, requires = "renumber")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// What the tables were, as far as this one cannot tell it
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub originals: Vec<Original>,
}

impl Refactor for SplitRows {
    fn wish(&self) -> String {
        format!("split the rows of `{}`", self.table)
    }

    fn slug(&self) -> String {
        let into: Vec<&str> = self.into.iter().map(Ident::as_str).collect();
        format!("split-{}-from-{}", into.join("-"), self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let relation = before.find_own(&self.table)?;
        let old = relation.name.clone();
        let parts: Vec<TableName> = self.into.iter().map(|name| old.renamed(name.clone())).collect();
        let rest = self.rest.clone().map_or_else(|| old.clone(), |name| old.renamed(name));
        self.check_names(before, &old, &parts, &rest)?;
        check(before, relation)?;

        let mut after = before.clone();
        let mut copies: Vec<Relation> = Vec::new();
        let mut remaining = Relation { name: rest.clone(), ..relation.clone() };
        remaining.touch(step);
        for (at, (part, condition)) in parts.iter().zip(&self.conditions).enumerate() {
            let holds = over_columns(before, relation, condition)?;
            let others =
                Expression::parse(&format!("({holds}) IS NOT TRUE")).map_err(|e| Refusal::Expression(e.to_string()))?;
            after.facts.push(fact(step, relation, &holds));
            let mut copy = likeness::of(before, relation, &remaining, part);
            self.divide(&before.schema, &mut copy, step, holds, " IS TRUE");
            with_constants(&mut copy, condition);
            if self.renumber {
                let numbers = self.numbers.get(at);
                renumber::part(&mut after, step, relation, &mut copy, numbers, self.restores.as_ref())?;
            }
            self.divide(&before.schema, &mut remaining, step, others, "");
            copies.push(copy);
        }
        note(&mut after, step, relation, &rest, &copies);
        held(&mut after, step, relation, &remaining)?;
        after.relations.remove(&old);
        let tables: Vec<Relation> = copies.into_iter().chain([remaining]).collect();
        if !tables.iter().any(|r| r.name == old) {
            let fate = format!("was split into {}", listed(&parts, &rest, ""));
            after.gone.insert(old, Gone { step: step.to_owned(), fate, now: Some(rest.clone()) });
        }
        for relation in tables {
            after.gone.remove(&relation.name);
            after.relations.insert(relation.name.clone(), relation);
        }
        let tables = std::iter::once((&rest, self.rest_value.as_ref())).chain(parts.iter().map(|part| (part, None)));
        for (at, (table, value)) in tables.enumerate() {
            let told = at.checked_sub(1).and_then(|at| self.conditions[at].constants().pop());
            let told = told.or_else(|| Some((self.told_by()?, value?.to_string())));
            let goes = |field: &Ident| self.drops.iter().any(|d| d.field == *field && d.table.name == table.name);
            let told = told.filter(|(field, _)| goes(field));
            if let Some(((field, value), relation)) = told.zip(after.relations.get_mut(table))
                && let Ok(value) = Expression::parse(&value)
            {
                without(&before.schema, relation, step, &field, &value);
            }
        }
        for field in &self.drops {
            let (relation, _) = after.find_field(field)?;
            let tells = relation.is_heir() && self.conditions.iter().any(|c| c.fields().contains(&field.field));
            let default = self.rest_value.clone().filter(|_| tells);
            after = DropField { field: field.clone(), default }.after(step, &after)?;
        }
        for part in &parts {
            likeness::keep_names(&mut after, part);
        }
        for original in &self.originals {
            let relation = after.relations.get_mut(&rest.renamed(original.table.clone()));
            if let Some(relation) = relation {
                original.restore(step, relation);
            }
        }
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let old = before.find_own(&self.table)?.name.clone();
        let rest = self.rest.clone().unwrap_or_else(|| old.name.clone());
        let table = |name: Ident| TableRef { schema: Some(old.schema.clone()), name };
        let tables = std::iter::once(rest).chain(self.into.iter().cloned()).map(table).collect();
        let told = self.conditions.iter().map(|c| c.constants().pop()).collect::<Option<Vec<_>>>().unwrap_or_default();
        let (fields, constants): (Vec<Ident>, Vec<String>) = told.into_iter().unzip();
        let discriminator = fields.into_iter().next().filter(|f| self.drops.iter().any(|d| d.field == *f));
        let constants = self.rest_value.iter().map(ToString::to_string).chain(constants);
        let bare = |text: String| text.trim_matches('\'').replace("''", "'");
        let values = if discriminator.is_some() { constants.map(bare).collect() } else { Vec::new() };
        let conditions = if discriminator.is_some() { Vec::new() } else { self.conditions.clone() };
        let into = old.name.clone();
        Ok(Refactoring::UnionTables(UnionTables {
            tables,
            into,
            discriminator,
            values,
            conditions,
            renumber: self.renumber,
            restores: self.renumber.then(|| step.to_owned()),
        }))
    }
}

impl SplitRows {
    /// The field that the conditions read, if it is one.
    fn told_by(&self) -> Option<Ident> {
        self.conditions.first()?.constants().pop().map(|(field, _)| field)
    }

    fn check_names(
        &self,
        before: &Version,
        old: &TableName,
        parts: &[TableName],
        rest: &TableName,
    ) -> Result<(), Refusal> {
        if self.conditions.len() != parts.len() {
            return Err(Refusal::NeedsValue(
                format!("`--where` is given {} times, and `--into` {} times", self.conditions.len(), parts.len()),
                "give one `--where` for each `--into`, in their order".into(),
            ));
        }
        let names: BTreeSet<&TableName> = parts.iter().chain([rest]).collect();
        if names.len() <= parts.len() {
            return Err(Refusal::Other {
                why: "two of the tables would have one name".into(),
                hint: Some("name the table with all other rows, too: `--rest NAME`".into()),
            });
        }
        for part in parts {
            must_be_free(before, part, &[old], "choose another name with `--into`")?;
        }
        must_be_free(before, rest, &[old], "choose another name with `--rest`")
    }

    /// Gives a relation a further condition, and the check that keeps it true once the table is real. A check is content
    /// with what is unknown, so it must say `truth` where the condition must be known to hold.
    fn divide(&self, schema: &Schema, relation: &mut Relation, step: &str, holds: Expression, truth: &str) {
        let columns: Vec<Ident> = holds.fields().into_iter().collect();
        let shown = |c: &Ident| relation.showing(schema, c).map_or_else(|| c.clone(), |f| f.shape.name.clone());
        let fields: Vec<Ident> = columns.iter().map(shown).collect();
        let check = likeness::check_name(relation.name.name.as_str(), &fields.iter().cloned().collect(), relation);
        let condition = if truth.is_empty() { holds.to_string() } else { format!("({holds}){truth}") };
        let constraint = new_check(step, &check, fields, columns, &condition);
        if !self.unchecked {
            relation.constraints.push(constraint);
        }
        let mut part = match std::mem::take(&mut relation.rows) {
            Rows::Part(part) => part,
            Rows::Whole | Rows::United(_) | Rows::Slice(_) | Rows::Linked(_) | Rows::Spread(_) | Rows::Told(_) => {
                Part { conditions: Vec::new(), heir: true }
            }
        };
        part.conditions.push(Condition { step: step.to_owned(), holds, check: Some(check), mark: None });
        relation.rows = Rows::Part(part);
    }
}

/// What holds for the rows of one table only says so no more where these are all, and goes where they are not. It has to
/// when the field goes that tells them.
fn without(schema: &Schema, relation: &mut Relation, step: &str, field: &Ident, value: &Expression) {
    let Some((value, _)) = Expression::parse(&format!("{field} = {value}")).ok().and_then(|e| e.for_one(field, false))
    else {
        return;
    };
    let forget = |fields: &mut Vec<Ident>, columns: &mut Vec<Ident>| {
        let kept: Vec<bool> = fields.iter().map(|f| f != field).collect();
        for list in [fields, columns] {
            let mut kept = kept.iter();
            list.retain(|_| kept.next().is_none_or(|kept| *kept));
        }
    };
    relation.indexes.retain_mut(|index| {
        let Attached { item, columns, origin } = index;
        let only = item
            .definition
            .split_once(" WHERE ")
            .and_then(|(start, only)| Some((start.to_owned(), Expression::parse(only).ok()?.for_one(field, false)?)));
        let Some((start, (of, rest))) = only.filter(|_| item.unique) else { return true };
        let still = rest.as_ref().is_some_and(|rest| rest.fields().contains(field));
        if still || item.keys.contains(&Some(field.clone())) {
            return true;
        }
        let only = rest.as_ref().map(|rest| format!(" WHERE ({rest})")).unwrap_or_default();
        item.definition = format!("{start}{only}");
        item.partial = rest.is_some();
        forget(&mut item.fields, columns);
        // No other table has it, so it keeps its name.
        if let Origin::Table(table, at) = origin {
            item.name.clone_from(&schema.tables[table].indexes[*at].name);
        }
        *origin = Origin::Rows(step.to_owned());
        of == value
    });
    let mut given = Vec::new();
    relation.constraints.retain_mut(|constraint| {
        let told = (constraint.item.kind == ConstraintKind::Check).then(|| constraint.expression()).flatten();
        let Some((of, Some(rest))) = told.and_then(|e| e.for_one(field, true)) else { return true };
        if rest.fields().contains(field) {
            return true;
        }
        let valid = if constraint.item.validated { "" } else { " NOT VALID" };
        constraint.item.definition = format!("CHECK (({rest})){valid}");
        forget(&mut constraint.item.fields, &mut constraint.columns);
        constraint.columns.clone_from(&constraint.item.fields);
        constraint.origin = Origin::Rows(step.to_owned());
        given.extend(rest.given().filter(|_| of == value));
        of == value && rest.given().is_none()
    });
    relation.fields.iter_mut().filter(|f| given.contains(&f.shape.name)).for_each(|f| f.shape.not_null = true);
}

/// `` `a`, `b` and `rest` ``
fn listed(parts: &[TableName], rest: &TableName, suffix: &str) -> String {
    let parts: Vec<String> = parts.iter().map(|t| format!("`{}{suffix}`", t.short())).collect();
    format!("{} and `{}{suffix}`", parts.join(", "), rest.short())
}

/// Refuses a name that a table of the version or something else has.
///
/// # Errors
/// When it is taken.
pub fn must_be_free(version: &Version, name: &TableName, but: &[&TableName], hint: &str) -> Result<(), Refusal> {
    let kind = if but.contains(&name) {
        return Ok(());
    } else if version.relations.contains_key(name) {
        "a table".to_owned()
    } else if let Some(kind) = version.schema.other_names.get(name) {
        crate::refusal::one(kind)
    } else {
        return Ok(());
    };
    let place = format!("schema `{}`", name.schema);
    Err(Refusal::Taken { place, kind, name: name.name.clone(), hint: hint.to_owned() })
}

/// What must not hang on a table that becomes several.
fn check(version: &Version, relation: &Relation) -> Result<(), Refusal> {
    let table = version.table(relation);
    let kind = |why: String, hint: &str| {
        Err(Refusal::TableKind { table: relation.name.clone(), why, hint: Some(hint.into()) })
    };
    if table.kind != TableKind::Plain {
        return kind("is partitioned: its partitions have its rows".into(), "attach or detach a partition");
    }
    if let Some(rule) = table.rules.first() {
        return kind(format!("has the rule `{}`, which knows one table only", rule.name), "drop the rule first");
    }
    must_take_no_part(version, relation)?;
    if let Some(step) = relation.rules().find_map(|r| r.brought_by()) {
        return Err(Refusal::Other {
            why: format!("{step} brought a rule that no table keeps yet"),
            hint: Some("materialize that refactoring first: `refactor materialize`".into()),
        });
    }
    if let Some(field) =
        relation.fields.iter().find(|f| matches!(f.home, Home::Shaped(..) | Home::Calculated(_) | Home::Numbered(_)))
    {
        let field_ref = FieldRef { table: entangled::reference(&relation.name), field: field.shape.name.clone() };
        return Err(Refusal::NotMaterialized { field: field_ref, step: version.put_there_by(relation, field) });
    }
    Ok(())
}

/// Refuses a table that is not there yet, or that fields of others are read from.
///
/// # Errors
/// Names the refactoring.
pub fn must_take_no_part(version: &Version, relation: &Relation) -> Result<(), Refusal> {
    let base = &relation.base;
    let sliced = version.slices.iter().filter(|s| s.table == *base).map(|s| &s.step);
    let linked = version.links.iter().filter(|l| l.table == *base).map(|l| &l.step);
    let spread = version.spreads.iter().filter(|s| s.table == *base).map(|s| &s.step);
    takes_part(relation, sliced.chain(linked).chain(spread).next())?;
    must_not_be_read(version, relation)
}

/// The same, but fields of it may be shown by tables of their own.
///
/// # Errors
/// Names the refactoring.
pub fn must_not_be_read(version: &Version, relation: &Relation) -> Result<(), Refusal> {
    let base = &relation.base;
    let all = version.carries.iter().chain(version.dormant.iter().map(|d| &d.carry));
    let carried = all.filter(|c| c.hops.iter().any(|h| h.from == *base || h.to == *base)).map(|c| &c.step);
    let looked = version.lookups.iter().filter(|l| l.table == *base || l.other == *base).map(|l| &l.step);
    let made = version.made.iter().filter(|m| m.table == *base).map(|m| &m.step);
    takes_part(relation, carried.chain(looked).chain(made).next())
}

/// Refuses a table that has a part in a refactoring.
///
/// # Errors
/// Names it.
pub fn takes_part(relation: &Relation, step: Option<&String>) -> Result<(), Refusal> {
    match step {
        None => Ok(()),
        Some(step) => Err(Refusal::Other {
            why: format!("`{}` has a part in {step}, which is not real yet", relation.name.short()),
            hint: Some("materialize that refactoring first: `refactor materialize`".into()),
        }),
    }
}

/// Foreign keys to a table whose rows are divided will refer to the rest, which has the table itself.
fn held(after: &mut Version, step: &str, relation: &Relation, rest: &Relation) -> Result<(), Refusal> {
    let Some(rows) = rest.rows_shown() else { return Ok(()) };
    let all = after.relations.values().flat_map(|r| r.foreign_keys().map(move |(c, key)| (r, c, key)));
    let mut wanted: Vec<(Held, Words)> = Vec::new();
    for (referring, constraint, key) in all.filter(|(_, _, key)| key.table == relation.base) {
        let Origin::Table(table, at) = &constraint.origin else {
            return Err(Refusal::Other {
                why: format!(
                    "the foreign key `{}` of `{}` is not real yet",
                    constraint.item.name,
                    referring.name.short()
                ),
                hint: Some("materialize that refactoring first: `refactor materialize`".into()),
            });
        };
        if !matches!(referring.rows, Rows::Whole | Rows::Part(_)) {
            let step = referring.touched_by.last().cloned().unwrap_or_default();
            return Err(Refusal::Divided { table: referring.name.clone(), step });
        }
        let stored = &after.schema.tables[table].constraints[*at];
        if wanted.iter().any(|(held, _)| held.table == *table && held.constraint == stored.name) {
            continue;
        }
        let words = Words {
            table: referring.name.clone(),
            field: Ident::new(constraint.item.fields.iter().map(Ident::as_str).collect::<Vec<_>>().join(", ")),
            other: rest.name.clone(),
        };
        let held = Held {
            step: step.to_owned(),
            id: Ident::generated(&[numbered(step), table.name.as_str(), stored.name.as_str()]),
            table: table.clone(),
            columns: stored.fields.clone(),
            other: relation.base.clone(),
            found_by: key.fields.clone(),
            rows: rows.clone(),
            constraint: stored.name.clone(),
        };
        wanted.push((held, words));
    }
    for (held, words) in wanted {
        let claim = Claim::Stays { at: after.held.len(), tables: [held.table.clone(), held.other.clone()], words };
        after.facts.push(Fact { step: step.to_owned(), claim });
        after.held.push(held);
    }
    Ok(())
}

/// A condition over the fields, as one over the columns of the base.
///
/// # Errors
/// When it reads no field, or one that is not there or does not live in the base.
pub fn over_columns(version: &Version, relation: &Relation, condition: &Expression) -> Result<Expression, Refusal> {
    if let Some(field) = condition.fields().into_iter().find(|f| relation.field(f).is_none()) {
        let similar = similar(field.as_str(), relation.fields.iter().map(|f| f.shape.name.as_str()));
        return Err(Refusal::NoField { table: relation.name.clone(), field, similar });
    }
    if condition.fields().is_empty() {
        return Err(Refusal::Expression(format!("`{condition}` reads no field, so it cannot divide rows")));
    }
    version.over_base(relation, condition)
}

/// That a condition is one.
#[must_use]
pub fn fact(step: &str, relation: &Relation, holds: &Expression) -> Fact {
    let name = &relation.name;
    Fact {
        step: step.to_owned(),
        claim: Claim::Fits {
            table: relation.base.clone(),
            expression: holds.to_string(),
            type_name: "boolean".into(),
            not_null: false,
            rows: relation.rows_shown(),
            words: Words { table: name.clone(), field: Ident::new("--where"), other: name.clone() },
        },
    }
}

/// A check that a table will have.
#[must_use]
pub fn new_check(
    step: &str,
    name: &Ident,
    fields: Vec<Ident>,
    columns: Vec<Ident>,
    condition: &str,
) -> Attached<Constraint> {
    let item = Constraint::named(name.clone(), ConstraintKind::Check, fields, format!("CHECK (({condition}))"));
    Attached { item, origin: Origin::Rows(step.to_owned()), columns }
}

/// Where the condition says that a field is a constant, new rows get it by themselves.
fn with_constants(relation: &mut Relation, condition: &Expression) {
    for (field, value) in condition.constants() {
        let named = relation.fields.iter_mut().filter(|f| f.shape.name == field && f.shape.generated.is_none());
        named.for_each(|f| f.shape.default = Some(value.clone()));
    }
}

/// What is good to know.
fn note(after: &mut Version, step: &str, relation: &Relation, rest: &TableName, parts: &[Relation]) {
    let schema = after.schema.clone();
    let is_numbered = |p: &Relation, f: &Ident| p.field(f).is_some_and(|f| matches!(f.home, Home::Numbered(_)));
    let names = relation.fields.iter().map(|f| &f.shape.name);
    let anew: BTreeSet<Ident> = names.filter(|f| parts.iter().all(|p| is_numbered(p, f))).cloned().collect();
    let keys: Vec<String> =
        relation.indexes.iter().filter(|i| i.item.unique).map(|i| format!("`{}`", i.item.name)).collect();
    let parts: Vec<TableName> = parts.iter().map(|p| p.name.clone()).collect();
    if !keys.is_empty() {
        let tables = listed(&parts, rest, "");
        let text = format!("until this is materialized {} holds over {tables} together, then in each", keys.join(", "));
        after.remark(step, RemarkKind::Note, text);
    }
    for field in schema.table(&relation.base).into_iter().flat_map(|t| &t.fields) {
        if let (Some(sequence), Some(shown)) = (&field.sequence, relation.showing(&schema, &field.name)) {
            if anew.contains(&shown.shape.name) {
                continue;
            }
            let fields = listed(&parts, rest, &format!(".{}", shown.shape.name));
            let text = format!("{fields} are numbered from one sequence, `{}`", sequence.short());
            after.remark(step, RemarkKind::Note, text);
        }
    }
    for view in schema.views.iter().filter(|v| v.relations.contains(&relation.base)) {
        let kind = if view.materialized { "materialized view" } else { "view" };
        let (view, base, rest) = (view.name.short(), relation.base.short(), rest.short());
        let text = format!("{kind} `{view}` reads `{base}`, and will find there only the rows of `{rest}`");
        after.remark(step, RemarkKind::Note, text);
    }
    let mentions = entangled::functions_that_mention_table(after, relation);
    entangled::note_functions(after, step, &mentions, &format!("`{}`", relation.name.short()));
}
