//! Exclusion constraints that no table keeps yet: whether another row clashes, and which rows do.

use std::collections::BTreeMap;

use crate::generate::rule::{self, Rule, function, when_given};
use crate::generate::taken::{Asking, Helpers, Taken};
use crate::generate::{all, each_of, get, list, rights};
use crate::name::Ident;
use crate::relation::{Attached, Home, Relation, row_key};
use crate::schema::{Constraint, ConstraintKind};
use crate::sql::exclusion::Exclusion;
use crate::sql::{Expression, Literal};
use crate::version::Version;

/// What an exclusion constraint says, in the words of the version.
fn read(constraint: &Constraint) -> Option<Exclusion> {
    Exclusion::read(&constraint.definition).ok().filter(|_| constraint.kind == ConstraintKind::Exclude)
}

/// The rule as a put-back asks it.
pub(super) fn clashes(version: &Version, relation: &Relation, constraint: &Attached<Constraint>) -> Option<Rule> {
    let named = constraint.as_named();
    let exclusion = read(&named)?;
    let key = row_key(version.table(relation)).unwrap_or_default();
    let arguments = list(&[each_of("NEW", &named.fields), each_of("r", &key)].concat());
    let call = format!("{}({arguments})", function("excluded", constraint));
    let given: Vec<Ident> = exclusion.keys().filter_map(|(key, _)| key.field.clone()).collect();
    let name = &named.name;
    let message = format!("conflicting key value violates exclusion constraint \"{}\"", name.as_str());
    let rule = rule::rule(relation, "23P01", ("CONSTRAINT", name), message);
    let broken = format!("{call} IS NOT NULL");
    Some(Rule { detail: Some(call), ..when_given(rule, (&given, &named.fields), &broken) })
}

/// The function of one: it tells how a row clashes with another, or NULL.
pub(super) fn one_excluded(
    version: &Version,
    relation: &Relation,
    constraint: &Attached<Constraint>,
    types: Vec<String>,
    comment: Literal,
) -> Option<Taken> {
    let named = constraint.as_named();
    let exclusion = read(&named)?;
    let step = constraint.brought_by().map_or("", String::as_str);
    let count = named.fields.len();
    let numbered = |from: usize| -> BTreeMap<Ident, String> {
        named.fields.iter().enumerate().map(|(i, f)| (f.clone(), format!("${}", from + i))).collect()
    };
    let (these, others) = (numbered(1), numbered(count + 1));
    let given = list(&(1..=count).map(|i| format!("${i}")).collect::<Vec<_>>());
    let stored = |name: &Ident| relation.field(name).map(|f| get::get(version, relation, f)).unwrap_or_default();
    let all_there = list(&named.fields.iter().map(stored).collect::<Vec<_>>());
    let mut helpers = Helpers::of(step, &named.name);
    let both = [types.clone(), types.clone()].concat();
    let clash = helpers.add("clash", &both, "boolean", &all(&pairs(&exclusion, &these, &others)));
    let mut same = vec![format!("{clash}({all_there}, {given})")];
    let mut asked = Vec::new();
    if let Some(only) = &exclusion.parts.only {
        let among = helpers.add("among", &types, "boolean", &format!("({})", only.with(&these)));
        asked.push(format!("{among}({given})"));
        same.push(format!("{among}({all_there})"));
    }
    let marks = vec!["%s"; exclusion.operators.len()].join(", ");
    let values: Vec<String> = exclusion.keys().map(|(key, _)| key.value.with(&these)).collect();
    let shown = format!("pg_catalog.format('({marks})', {})", list(&values));
    let shown = helpers.add("shown", &types, "text", &shown);
    let keys: Vec<Expression> = exclusion.keys().map(|(key, _)| key.value.uncollated()).collect();
    let keys = list(&keys);
    // As PostgreSQL does, it names what is there only to who may read it anyway.
    let own = |f: &Ident| relation.field(f).is_some_and(|f| matches!(f.home, Home::Own(_)));
    let existing = if named.fields.iter().all(own) && rights::writers_read(version, &relation.base) {
        format!("{} || {shown}({all_there}) || '.'", Literal(format!(" conflicts with existing key ({keys})=")))
    } else {
        Literal(" conflicts with an existing key.".into()).to_string()
    };
    let answer = format!("SELECT {} || {shown}({given}) || {existing}", Literal(format!("Key ({keys})=")));
    // Rows that clash are equal in these, so only who writes the same waits.
    let hashed = exclusion.keys().filter_map(|(key, operator)| {
        let field = relation.field(key.field.as_ref()?)?;
        let plain = key.value.to_string() == field.shape.name.to_string() && operator == "=";
        (plain && version.schema.kind(&field.shape).hashed).then(|| these.get(&field.shape.name).cloned())?
    });
    let hashed: Vec<String> = hashed.collect();
    let answer = |same: &str, base: &str, with_itself: bool| {
        // Not every operator holds between a row and itself.
        let itself = format!(" OFFSET CASE WHEN {clash}({given}, {given}) THEN 1 ELSE 0 END");
        let others = if with_itself { itself } else { String::new() };
        format!("({answer} FROM {base} AS b WHERE {same} LIMIT 1{others})")
    };
    let function = function("excluded", constraint);
    let asking = Asking { helpers, asked, same, hashed, returns: ("text", "NULL"), comment };
    Some(asking.of(version, relation, constraint, function, types, answer))
}

/// That each operator holds for the values of two rows.
fn pairs(exclusion: &Exclusion, left: &BTreeMap<Ident, String>, right: &BTreeMap<Ident, String>) -> Vec<String> {
    let side = |value: &Expression, row: &BTreeMap<Ident, String>| format!("({})", value.with(row));
    let both = exclusion
        .keys()
        .map(|(key, operator)| format!("{} {operator} {}", side(&key.value, left), side(&key.value, right)));
    both.collect()
}

/// A query whose rows are those that clash with others, each as `refactor_key` of `rows`.
pub(super) fn clashing(rule: &Constraint, rows: &str) -> Option<String> {
    let exclusion = read(rule)?;
    let of = |row: &str| rule.fields.iter().map(|f| (f.clone(), format!("{row}.{f}"))).collect::<BTreeMap<_, _>>();
    let (this, other) = (of("t"), of("o"));
    let only = |row| exclusion.parts.only.as_ref().map(|only| format!("({})", only.with(row)));
    let mut same = pairs(&exclusion, &other, &this);
    same.extend(only(&other));
    same.push("o.refactor_key <> t.refactor_key".into());
    let among = only(&this).map(|only| format!("{only} AND ")).unwrap_or_default();
    Some(format!(
        "SELECT t.refactor_key FROM ({rows}) AS t\nWHERE {among}EXISTS (SELECT FROM ({rows}) AS o WHERE {})",
        all(&same)
    ))
}
