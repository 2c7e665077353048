//! What hangs on a field, and whether it can follow or must go when the field leaves its table.

use std::collections::BTreeMap;

use crate::name::{FieldRef, Ident, TableName, TableRef};
use crate::refusal::Refusal;
use crate::relation::{self, Attached, Field, Home, NamesFields, Relation};
use crate::schema::{Constraint, ConstraintKind, Function, Publication, Table, Trigger};
use crate::sql::code::{Code, Use, has_word};
use crate::sql::trigger_arguments;
use crate::version::{RemarkKind, Version, numbered};

/// Why the field leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To live in another table; single-field indexes and constraints go along.
    Move,
    /// For good.
    Drop,
    /// To be told by other fields of its row.
    Change,
    /// To be in the same place with another type; indexes stay.
    Retype,
    /// The same, and what is equal stays equal: keys stay, too.
    Widen,
    /// The same, and each value is what it was: whatever names the field goes on.
    Relabel,
    /// To be told by a row of another table that is referred to instead.
    Refer,
}

impl Purpose {
    /// Whether its values change, and nothing may depend on them.
    fn changes(self) -> bool {
        matches!(self, Self::Change | Self::Retype)
    }
}

/// Refuses a field that cannot leave its table.
///
/// # Errors
/// Names the first thing that holds it.
pub fn check(version: &Version, relation: &Relation, field: &Field, purpose: Purpose) -> Result<(), Refusal> {
    check_among(version, relation, field, purpose, std::slice::from_ref(&field.shape.name))
}

/// The same where all `leaving` fields leave together: what names nothing else can go along.
///
/// # Errors
/// Names the first thing that holds it.
pub fn check_among(
    version: &Version,
    relation: &Relation,
    field: &Field,
    purpose: Purpose,
    leaving: &[Ident],
) -> Result<(), Refusal> {
    let column = relation.column(&version.schema, field);
    let table = version.table(relation);
    let held = |role: String, hint: Option<&str>| {
        let table = TableRef { schema: None, name: relation.name.name.clone() };
        let field = FieldRef { table, field: field.shape.name.clone() };
        Err(Refusal::Entangled { field, role, hint: hint.map(str::to_owned) })
    };
    if let Some((role, hint)) = by_itself(version, table, column, field, purpose) {
        return held(role, hint);
    }
    let of_field = |c: &&Attached<Constraint>| c.item.fields.contains(&field.shape.name);
    if let Some(rule) = relation.rules().find(of_field).filter(|_| purpose == Purpose::Refer) {
        let step = rule.brought_by().cloned().unwrap_or_default();
        return held(
            format!("is part of a rule that {step} brings, and no table has yet"),
            Some("materialize that first, or take it back"),
        );
    }
    for constraint in relation.constraints.iter().map(|c| &c.item).filter(|c| c.fields.contains(&field.shape.name)) {
        let alone = constraint.fields.iter().all(|f| leaving.contains(f));
        let name = &constraint.name;
        let role = match &constraint.kind {
            // It stays where what takes the field's place is unique and given, too.
            ConstraintKind::Primary | ConstraintKind::Unique if purpose == Purpose::Refer => continue,
            ConstraintKind::Exclude => format!("is part of the exclusion constraint `{name}`"),
            _ if purpose == Purpose::Widen => continue,
            ConstraintKind::Primary => format!("is part of the primary key `{name}`"),
            ConstraintKind::Foreign(_) if !alone => format!("is part of the foreign key `{name}`"),
            ConstraintKind::Unique if !alone => format!("is part of the unique constraint `{name}`"),
            ConstraintKind::Check if !alone && matches!(purpose, Purpose::Move | Purpose::Refer) => {
                format!("is part of the check `{name}` over several fields")
            }
            ConstraintKind::Check if purpose.changes() => format!("is part of the check `{name}`"),
            ConstraintKind::Unique if purpose.changes() => format!("is what `{name}` keeps unique"),
            ConstraintKind::Foreign(_) if purpose.changes() => format!("is the foreign key `{name}`"),
            _ => continue,
        };
        return held(role, Some("drop that constraint first if it is no longer wanted"));
    }
    for index in relation.indexes.iter().map(|i| &i.item).filter(|i| i.fields.contains(&field.shape.name)) {
        if !matches!(purpose, Purpose::Refer | Purpose::Widen)
            && index.unique
            && (index.fields.len() > 1 || purpose.changes())
            && index.constraint.is_none()
        {
            let name = relation.name.renamed(index.name.clone());
            let hint = format!("drop it first, where it is no longer wanted: `refactor drop-index {}`", name.typed());
            return held(format!("is part of the unique index `{}`", index.name), Some(&hint));
        }
    }
    let Some(column) = column else { return Ok(()) };
    if let Some(role) = referred(version, relation, column).filter(|_| purpose != Purpose::Widen) {
        return held(role, Some("drop that foreign key first if it is no longer wanted"));
    }
    if let Some((role, hint)) = looked_up(version, relation, column) {
        return held(role, Some(&hint));
    }
    for other in &table.fields {
        if other.generated.as_ref().is_some_and(|g| g.fields.contains(column)) {
            return held(
                format!("is what the generated field `{}` is computed from", other.name),
                Some("drop or change the generated field first"),
            );
        }
    }
    let reads = |at: usize| version.calculated[at].value.fields().contains(column);
    for other in &relation.fields {
        if matches!(other.home, Home::Calculated(at) if reads(at)) {
            return held(
                format!("is what the calculated field `{}` is computed from", other.shape.name),
                Some("drop the calculated field first"),
            );
        }
    }
    held_by_code(table, column).map_or(Ok(()), |role| held(role, Some("drop or change that first")))?;
    if let Some(added) = version
        .added
        .iter()
        .find(|a| a.table == relation.base && a.told_by().contains(column) || a.is_copied_from(&relation.base, column))
    {
        return held(
            format!("is what a field added by {} is computed from", added.step),
            Some("materialize that refactoring first"),
        );
    }
    if purpose != Purpose::Drop {
        let shape = &field.shape;
        let numbered = shape.identity.is_some() || shape.sequence.is_some();
        if numbered && purpose != Purpose::Widen {
            return held("is numbered by a sequence of its table".into(), None);
        }
        if shape.generated.is_some() {
            return held("is generated from other fields of its table".into(), None);
        }
    }
    Ok(())
}

/// A key of partitions, or of a type by which the complement could not say that a row has no value.
fn by_itself(
    version: &Version,
    table: &Table,
    column: Option<&Ident>,
    field: &Field,
    purpose: Purpose,
) -> Option<(String, Option<&'static str>)> {
    if column.is_some_and(|c| table.partition_fields.contains(c)) {
        return Some(("is part of the partition key".into(), None));
    }
    let (leaves, kind) = (matches!(purpose, Purpose::Move | Purpose::Refer), &field.shape.type_name);
    version.schema.domain(kind).filter(|domain| leaves && domain.not_null)?;
    let hint = "let the field be NOT NULL instead: `ALTER TABLE … SET NOT NULL`, `ALTER DOMAIN … DROP NOT NULL`";
    Some((format!("is of the domain `{kind}`, of which nothing can be without a value"), Some(hint)))
}

/// Foreign keys refer to the column. A partition's copy goes with its original.
fn referred(version: &Version, relation: &Relation, column: &Ident) -> Option<String> {
    version.relations.values().find_map(|other| {
        let (key, _) = other
            .foreign_keys()
            .find(|(c, key)| !c.item.inherited && key.table == relation.base && key.fields.contains(column))?;
        Some(format!("is what the foreign key `{}` of `{}` refers to", key.item.name, other.name.short()))
    })
}

/// Rows of another table are found by the column.
fn looked_up(version: &Version, relation: &Relation, column: &Ident) -> Option<(String, String)> {
    let lookup = version.lookups.iter().find(|l| l.table == relation.base && l.columns.contains(column))?;
    let role = format!("is what `{}` is looked up by", lookup.words.1.short());
    Some((role, format!("materialize {} first", lookup.step)))
}

/// Triggers, policies, rules and publications that name the column.
fn held_by_code(table: &Table, column: &Ident) -> Option<String> {
    let names = |fields: &[Ident]| fields.contains(column);
    let by_argument = |t: &Trigger| trigger_arguments(&t.definition).iter().any(|a| a == column.as_str());
    let trigger = table
        .triggers
        .iter()
        .find(|t| names(&t.fields) || by_argument(t))
        .map(|t| format!("is named by the trigger `{}`", t.name));
    let policy =
        || table.policies.iter().find(|p| names(&p.fields)).map(|p| format!("is named by the row policy `{}`", p.name));
    let rule = || table.rules.iter().find(|r| names(&r.fields)).map(|r| format!("is named by the rule `{}`", r.name));
    let publication = || {
        let mut publications = table.publications.iter();
        publications
            .find(|p| p.fields.as_ref().is_some_and(|f| names(f)))
            .map(|p| format!("is listed by the publication `{}`", p.name))
    };
    let filter = || {
        let reads = |p: &&Publication| p.filter.as_ref().is_some_and(|f| Code::of(f).has(column.as_str()));
        let publication = table.publications.iter().find(reads)?;
        Some(format!("is read by the row filter of the publication `{}`", publication.name))
    };
    trigger.or_else(policy).or_else(rule).or_else(publication).or_else(filter)
}

/// Notes what will go with the field or stand in the way of materializing.
pub fn note(after: &mut Version, step: &str, relation: &Relation, field: &Field, purpose: Purpose) {
    let name = &field.shape.name;
    for index in relation.indexes.iter().filter(|i| i.item.fields.contains(name) && i.item.constraint.is_none()) {
        let goes = match purpose {
            Purpose::Drop | Purpose::Change => true,
            Purpose::Move => index.item.fields.len() > 1,
            Purpose::Retype | Purpose::Widen | Purpose::Relabel | Purpose::Refer => false,
        };
        if goes {
            let with: Vec<String> = index.item.fields.iter().filter(|f| *f != name).map(ToString::to_string).collect();
            let over = if with.is_empty() { String::new() } else { format!(" (also over {})", with.join(", ")) };
            after.remark(step, RemarkKind::Lost, format!("index `{}`{over}", index.item.name));
        }
    }
    if purpose == Purpose::Change {
        if field.shape.not_null {
            after.remark(step, RemarkKind::Lost, format!("NOT NULL of `{name}`"));
        }
        if let Some(default) = &field.shape.default {
            after.remark(step, RemarkKind::Lost, format!("default `{default}` of `{name}`"));
        }
        note_collation(after, step, field);
    }
    if purpose == Purpose::Drop {
        let named = relation.constraints.iter().filter(|c| c.item.fields.contains(name));
        for constraint in named.filter(|c| c.item.kind != ConstraintKind::NotNull) {
            after.remark(
                step,
                RemarkKind::Lost,
                format!("constraint `{}` of `{}`", constraint.item.name, relation.name.short()),
            );
        }
    }
    let Some(column) = relation.column(&after.schema, field).cloned() else { return };
    let schema = after.schema.clone();
    let Some(table) = schema.table(&relation.base) else { return };
    for statistics in table.statistics.iter().filter(|s| {
        !matches!(purpose, Purpose::Retype | Purpose::Widen | Purpose::Relabel) && s.fields.contains(&column)
    }) {
        after.remark(step, RemarkKind::Lost, format!("extended statistics `{}`", statistics.name.short()));
    }
    if purpose == Purpose::Relabel {
        return;
    }
    note_trigger_functions(after, step, relation, &column, None);
    let mentions = functions_that_mention(after, relation, &column);
    note_functions(after, step, &mentions, &format!("`{}.{column}`", relation.base.short()));
}

/// Notes that what takes a field's place is of another collation.
pub fn note_collation(after: &mut Version, step: &str, field: &Field) {
    if let Some(collation) = &field.shape.collation {
        after.remark(step, RemarkKind::Lost, format!("collation `{collation}` of `{}`", field.shape.name));
    }
}

/// Notes what uses the type of the rows of a table that goes.
pub fn note_row_type(after: &mut Version, step: &str, relation: &Relation) {
    let schema = after.schema.clone();
    for user in schema.table(&relation.base).into_iter().flat_map(|t| &t.row_type_users) {
        after.remark(
            step,
            RemarkKind::InTheWay,
            format!("{} uses the type of `{}`", user.description, relation.base.short()),
        );
    }
}

/// Notes the triggers of a table that goes: its fields live on without them.
pub fn note_left_triggers(after: &mut Version, step: &str, relation: &Relation) {
    let schema = after.schema.clone();
    for trigger in schema.table(&relation.base).into_iter().flat_map(|t| &t.triggers) {
        let text = format!("trigger `{}` of `{}`", trigger.name, relation.name.short());
        after.remark(step, RemarkKind::Lost, text);
    }
}

/// Notes the functions of a table's own triggers that name one of its columns: they would fail once it is gone or has
/// another name, so materializing waits for them. One that knows the new name as well is ready for it.
pub fn note_trigger_functions(
    after: &mut Version,
    step: &str,
    relation: &Relation,
    column: &Ident,
    to: Option<&Ident>,
) {
    let schema = after.schema.clone();
    let Some(table) = schema.table(&relation.base) else { return };
    for trigger in &table.triggers {
        let function = schema.functions.iter().find(|f| f.signature == trigger.function);
        let Some(function) = function.filter(|f| has_word(&f.text, column.as_str())) else { continue };
        let code = Code::of(&function.text);
        let knows_both = to.is_some_and(|to| code.reads_of_row(to.as_str()));
        let (name, on) = (&trigger.name, relation.base.short());
        let function = format!("function `{}` of the trigger `{name}` on `{on}`", trigger.function);
        match code.uses(relation.base.name.as_str(), column.as_str()) {
            Use::Sure if !knows_both => {
                let text = format!("{function} names `{column}`");
                after.remark_on(step, RemarkKind::InTheWay, text, Some(&trigger.function));
            }
            Use::Sure | Use::Perhaps => {
                let text = format!("{function} has the word `{column}`; see that it does without the field");
                after.remark(step, RemarkKind::Note, text);
            }
            Use::No => {}
        }
    }
}

/// Notes triggers that give a field a value of their own in each row that old code writes, where rows must agree in it.
pub fn note_setting_triggers(after: &mut Version, step: &str, relation: &Relation, column: &Ident, what: &str) {
    let schema = after.schema.clone();
    for trigger in schema.table(&relation.base).into_iter().flat_map(|t| &t.triggers) {
        let function = schema.functions.iter().find(|f| f.signature == trigger.function);
        let sets = |f: &Function| {
            Code::sets(&f.text, column.as_str()) || {
                trigger_arguments(&trigger.definition).iter().any(|a| a == column.as_str())
            }
        };
        if trigger.definition.contains(" BEFORE ") && trigger.enabled != 'D' && function.is_some_and(sets) {
            let (name, on) = (&trigger.name, relation.base.short());
            let text =
                format!("the trigger `{name}` of `{on}` sets `{column}` of the rows that old code writes: {what}");
            after.remark(step, RemarkKind::Note, text);
        }
    }
}

/// Functions whose text has both the table's and the field's name as words. PostgreSQL does not track these.
#[must_use]
pub fn functions_that_mention(version: &Version, relation: &Relation, field: &Ident) -> Vec<String> {
    mentioning(version, &[relation.base.name.as_str(), field.as_str()])
}

/// Functions whose text has the table's name as a word.
#[must_use]
pub fn functions_that_mention_table(version: &Version, relation: &Relation) -> Vec<String> {
    mentioning(version, &[relation.base.name.as_str()])
}

fn mentioning(version: &Version, words: &[&str]) -> Vec<String> {
    // What it takes as arguments can be rows of the table.
    let has = |f: &Function, w: &str| has_word(&f.text, w) || has_word(&f.signature, w);
    let is_there = |f: &&Function| {
        let code = Code::of(&f.text);
        words.iter().all(|w| code.has(w) || code.says(w) || has_word(&f.signature, w))
    };
    // A body that is parsed goes along with the tables.
    let unparsed = version.schema.functions.iter().filter(|f| f.relations.is_empty());
    let functions = unparsed.filter(|f| words.iter().all(|w| has(f, w)));
    functions.filter(is_there).map(|f| f.signature.clone()).collect()
}

/// Remarks that these functions may need a change.
pub fn note_functions(after: &mut Version, step: &str, functions: &[String], what: &str) {
    for function in functions {
        after.remark(
            step,
            RemarkKind::Note,
            format!("function `{function}` mentions {what}; change it by hand if it means it"),
        );
    }
}

/// Refuses a field name that the table already shows.
///
/// # Errors
/// When it is taken, or a system column's.
pub fn must_be_free(relation: &Relation, name: &Ident, hint: &str) -> Result<(), Refusal> {
    const SYSTEM: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];
    let kind = if SYSTEM.contains(&name.as_str()) {
        "a system column"
    } else if relation.field(name).is_some() {
        "a field"
    } else {
        return Ok(());
    };
    Err(Refusal::Taken {
        place: format!("table `{}`", relation.name.short()),
        kind: kind.into(),
        name: name.clone(),
        hint: hint.into(),
    })
}

/// A name for what is generated for one field of one refactoring: the file's number and the field.
#[must_use]
pub fn generated_id(step: &str, field: &Ident) -> Ident {
    Ident::generated(&[numbered(step), field.as_str()])
}

/// The full name of a table that is made of another's fields: in the same schema if none is given.
#[must_use]
pub fn beside(relation: &Relation, wanted: &TableRef) -> TableName {
    let schema = wanted.schema.clone().unwrap_or_else(|| relation.name.schema.clone());
    TableName { schema, name: wanted.name.clone() }
}

/// An exclusion constraint that a relation has, or its table, if there is one: rows that are kept aside cannot obey it.
#[must_use]
pub fn exclusion<'v>(version: &'v Version, relation: &'v Relation) -> Option<&'v Ident> {
    let stored = version.table(relation).constraints.iter();
    let mut all = stored.chain(relation.constraints.iter().map(|c| &c.item));
    all.find(|c| c.kind == ConstraintKind::Exclude).map(|c| &c.name)
}

/// The physical key that tells the rows of a table apart, which a complement can follow until all is real.
///
/// # Errors
/// When there is none, or a refactoring brings another one.
pub fn row_key(version: &Version, relation: &Relation) -> Result<Vec<Ident>, Refusal> {
    let table = relation.name.clone();
    let key = relation::row_key(version.table(relation)).ok_or(Refusal::NoKey { table })?;
    let place = |name: &Ident| version.stays(relation, relation.field(name)?).cloned();
    let real =
        relation.row_key().is_some_and(|names| names.iter().map(place).collect::<Option<_>>().as_ref() == Some(&key));
    if !real {
        return Err(Refusal::Other {
            why: format!("the rows of `{}` get another key, which is not real yet", relation.name.short()),
            hint: Some("materialize that first: `refactor materialize`".into()),
        });
    }
    Ok(key)
}

/// The key that tells the rows of a table apart: its columns, and what the relation calls them.
///
/// # Errors
/// When there is none, or it is not shown.
pub fn shown_key(version: &Version, relation: &Relation) -> Result<(Vec<Ident>, Vec<Ident>), Refusal> {
    let key = row_key(version, relation)?;
    let shown = |c: &Ident| relation.showing(&version.schema, c).map(|f| f.shape.name.clone());
    let names = key.iter().map(shown).collect::<Option<_>>();
    let names = names.ok_or_else(|| Refusal::NoKey { table: relation.name.clone() })?;
    Ok((key, names))
}

/// A name for what refers to a key: the table's and its own, unless that says the table already.
#[must_use]
pub fn referring(table: &str, key: &Ident) -> Ident {
    if key.as_str().starts_with(&format!("{table}_")) { key.clone() } else { Ident::generated(&[table, key.as_str()]) }
}

/// What moves along with a field: renamed, and given to the new table.
pub fn take_along(from: &mut Relation, to: &mut Relation, old: &Ident, new: &Ident) {
    let alone = |fields: &[Ident]| fields == [old.clone()];
    let names = |fields: &[Ident]| fields.contains(old);
    let renamed = BTreeMap::from([(old.clone(), new.clone())]);
    for mut constraint in from.constraints.extract_if(.., |c| names(&c.item.fields)) {
        if alone(&constraint.item.fields) {
            constraint.item.rename(&renamed);
            to.constraints.push(constraint);
        }
    }
    for mut rule in from.passing.extract_if(.., |c| names(&c.item.fields)) {
        if alone(&rule.item.fields) {
            rule.item.rename(&renamed);
            to.passing.push(rule);
        }
    }
    for mut index in from.indexes.extract_if(.., |i| names(&i.item.fields)) {
        if alone(&index.item.fields) {
            index.item.rename(&renamed);
            to.indexes.push(index);
        }
    }
}

/// Physical name → shown name for everything a constraint or index names.
#[must_use]
pub fn renames(columns: &[Ident], fields: &[Ident]) -> BTreeMap<Ident, Ident> {
    columns.iter().cloned().zip(fields.iter().cloned()).filter(|(a, b)| a != b).collect()
}

/// The relation's name as a typed reference.
#[must_use]
pub fn reference(name: &TableName) -> TableRef {
    TableRef { schema: Some(name.schema.clone()), name: name.name.clone() }
}

/// What to say to who must give a value of a type.
#[must_use]
pub fn value_hint(option: &str, type_name: &str) -> String {
    format!("say what old code should find there, as in `{option} {}`", example(type_name))
}

/// A value of a type, as a shell takes it.
#[must_use]
pub fn example(type_name: &str) -> String {
    neutral(type_name).map_or_else(
        || "\"'…'\"".to_owned(),
        |value| if value.contains('\'') { format!("\"{value}\"") } else { value.to_owned() },
    )
}

/// A value that every type of that name has, as SQL.
#[must_use]
pub fn neutral(type_name: &str) -> Option<&'static str> {
    let kind = type_name.to_lowercase();
    if kind.ends_with("[]") {
        return Some("'{}'");
    }
    Some(match kind.split('(').next().unwrap_or_default().trim() {
        "text" | "character varying" | "varchar" | "character" | "char" | "citext" | "name" | "bytea" | "tsvector" => {
            "''"
        }
        "smallint" | "integer" | "int" | "bigint" | "int2" | "int4" | "int8" | "numeric" | "decimal" | "real"
        | "double precision" | "float" | "float4" | "float8" | "money" => "0",
        "boolean" | "bool" => "false",
        "date" => "'1970-01-01'",
        "timestamp" | "timestamptz" | "timestamp without time zone" | "timestamp with time zone" => {
            "'1970-01-01 00:00:00'"
        }
        "time" | "time without time zone" => "'00:00'",
        "interval" => "'0'",
        "uuid" => "'00000000-0000-0000-0000-000000000000'",
        "json" | "jsonb" => "'{}'",
        "inet" => "'0.0.0.0'",
        _ => return None,
    })
}
