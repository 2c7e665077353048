//! Unique rules that no table keeps yet: whether another row has the same key, and which rows have one twice.

use std::collections::BTreeMap;

use crate::generate::carry::path_over;
use crate::generate::rule::{Rule, detail, duplicate, function, when_given};
use crate::generate::{all, comment, get, is, list, of, own};
use crate::name::{Ident, TableName, equality};
use crate::relation::{Attached, Relation, row_key};
use crate::schema::distinct::Distinct;
use crate::schema::{Constraint, Field};
use crate::sql::{Expression, Literal};
use crate::version::{Version, numbered};

/// The function that asks.
pub(super) struct Taken {
    pub function: TableName,
    pub types: String,
    pub path: String,
    /// Functions for what a person wrote: SQL, which is read once, where it is made.
    pub helpers: Vec<String>,
    /// What holds for the values if they are asked about at all.
    pub asked: String,
    pub lock: String,
    pub base: TableName,
    pub same: String,
    pub this_row: String,
    pub comment: Literal,
}

/// A key of a rule, by how it can be compared.
enum Key<'f> {
    /// As the field.
    Field(&'f Field),
    /// As text, which this function of PostgreSQL's gives.
    Folded(&'static str, &'f Field),
    /// By the type that it has, whatever that is.
    Other,
}

impl<'f> Key<'f> {
    fn of(version: &Version, relation: &'f Relation, value: &Expression) -> Self {
        let text = value.to_string();
        let fields: Vec<&Field> = value.fields().iter().filter_map(|f| relation.field(f)).map(|f| &f.shape).collect();
        let [field] = fields[..] else { return Self::Other };
        let name = &field.name;
        let hashed = version.schema.kind(field).hashed;
        let bytewise = || ["C", "POSIX"].iter().any(|c| text == format!("{name} COLLATE \"{c}\""));
        if text == name.to_string() || hashed && bytewise() {
            return Self::Field(field);
        }
        let is_text = ["text", "character varying"].iter().any(|kind| field.type_name.starts_with(kind));
        let folded = ["lower", "upper"].into_iter().find(|f| text == format!("{f}({name})"));
        folded.filter(|_| is_text && hashed).map_or(Self::Other, |function| Self::Folded(function, field))
    }

    /// Whether equal values have one hash.
    fn is_hashed(&self, version: &Version) -> bool {
        match self {
            Self::Field(field) => version.schema.kind(field).hashed,
            Self::Folded(..) => true,
            Self::Other => false,
        }
    }

    /// Its value where the field has this one.
    fn value(&self, field: impl Fn(&Field) -> String) -> Option<String> {
        match self {
            Self::Field(name) => Some(field(name)),
            Self::Folded(function, name) => Some(format!("pg_catalog.{function}({})", field(name))),
            Self::Other => None,
        }
    }
}

/// The rule as a put-back asks it.
pub(super) fn unique(version: &Version, relation: &Relation, constraint: &Attached<Constraint>) -> Rule {
    let named = constraint.as_named();
    let distinct = Distinct::of(&named);
    let keys: Vec<Key> = distinct.keys.iter().map(|key| Key::of(version, relation, key)).collect();
    let key = row_key(version.table(relation)).unwrap_or_default();
    let arguments = format!("{}, {}", of("NEW", &named.fields), of("r", &key));
    let values: Option<Vec<String>> = keys.iter().map(|k| k.value(|f| format!("NEW.{}", f.name))).collect();
    let given: Vec<Ident> = keys
        .iter()
        .filter_map(|k| match k {
            Key::Field(field) | Key::Folded(_, field) => Some(field.name.clone()),
            Key::Other => None,
        })
        .filter(|_| distinct.nulls_distinct)
        .collect();
    Rule {
        detail: values.map(|values| detail(&values, &list(&distinct.keys), "already exists.")),
        ..when_given(
            duplicate(relation, &named.name),
            (&given, &named.fields),
            &format!("{}({arguments})", function("taken", constraint)),
        )
    }
}

/// The function of one.
pub(super) fn one_taken(
    version: &Version,
    relation: &Relation,
    constraint: &Attached<Constraint>,
    mut types: Vec<String>,
    comment_of: Literal,
) -> Taken {
    let table = version.table(relation);
    let named = constraint.as_named();
    let distinct = Distinct::of(&named);
    let keys: Vec<Key> = distinct.keys.iter().map(|key| Key::of(version, relation, key)).collect();
    let numbers: BTreeMap<Ident, String> =
        named.fields.iter().enumerate().map(|(i, f)| (f.clone(), format!("${}", i + 1))).collect();
    let given = list(&(1..=named.fields.len()).map(|i| format!("${i}")).collect::<Vec<_>>());
    let there = |name: &Ident| relation.field(name).map(|f| get::get(version, relation, f)).unwrap_or_default();
    let all_there = list(&named.fields.iter().map(there).collect::<Vec<_>>());
    let (mut helpers, mut asked, mut same, mut hashes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let step = constraint.brought_by().map_or("", String::as_str);
    let mut helper = |kind: &str, returns: &str, value: String| {
        let name = own(&[kind, numbered(step), named.name.as_str()]);
        helpers.push(format!(
            "CREATE FUNCTION {name}({}) RETURNS {returns} LANGUAGE sql RETURN {value};\nCOMMENT ON FUNCTION {name} IS {};",
            list(&types),
            comment(step)
        ));
        name
    };
    for key in &keys {
        let Some(value) = key.value(|f| numbers.get(&f.name).cloned().unwrap_or_default()) else { continue };
        let stored = key.value(|f| there(&f.name)).unwrap_or_default();
        let equal = match key {
            Key::Field(field) => equality(&[&field.name]),
            Key::Folded(..) | Key::Other => "OPERATOR(pg_catalog.=)".to_owned(),
        };
        let equal = format!("{stored} {equal} {value}");
        same.push(if distinct.nulls_distinct {
            equal
        } else {
            format!("({equal} OR {stored} IS NULL AND {value} IS NULL)")
        });
        if key.is_hashed(version) {
            hashes.push(value);
        }
    }
    if let Some(only) = &distinct.only {
        let among = helper("among", "boolean", format!("({})", only.with(&numbers)));
        asked.push(format!("{among}({given})"));
        same.push(format!("{among}({all_there})"));
    }
    let others = keys.iter().zip(&distinct.keys).filter(|(key, _)| matches!(key, Key::Other));
    let others: Vec<String> = others.map(|(_, value)| value.with(&numbers)).collect();
    if !others.is_empty() {
        let keys = helper("keys", "record", format!("ROW({})", list(&others)));
        if distinct.nulls_distinct {
            asked.push(format!("{keys}({given}) IS NOT NULL"));
        }
        same.push(format!("pg_catalog.record_eq({keys}({all_there}), {keys}({given}))"));
    }
    let function = function("taken", constraint);
    // Where equal values may be written in several ways, all writers of the key wait for each other.
    let seed = format!("pg_catalog.hashtextextended({}, 0)", Literal(function.to_string()));
    let by_all = keys.iter().all(|key| matches!(key, Key::Other) || key.is_hashed(version)) && !hashes.is_empty();
    let lock = if by_all { format!("pg_catalog.hash_record_extended(ROW({}), {seed})", list(&hashes)) } else { seed };
    let key = row_key(table).unwrap_or_default();
    let this_row = key.iter().enumerate().map(|(i, c)| is("b", c, &format!("${}", named.fields.len() + i + 1)));
    let key_types = key.iter().filter_map(|c| table.fields.iter().find(|f| f.name == *c));
    let among = version.conditions_before(relation, step).map(|c| format!("({})", get::over(&c.holds, "b")));
    same.extend(among);
    let this_row = all(&this_row.collect::<Vec<_>>());
    types.extend(key_types.map(|f| f.type_name.clone()));
    Taken {
        function,
        types: list(&types),
        path: path_over([&relation.base.schema].into_iter()),
        helpers,
        asked: all(&asked),
        lock,
        base: relation.base.clone(),
        same: all(&same),
        this_row,
        comment: comment_of,
    }
}

/// A query whose rows are those that share their key with others, each as `refactor_key` of `rows`.
pub(super) fn twice(rule: &Constraint, rows: &str) -> String {
    let distinct = Distinct::of(rule);
    let fields: BTreeMap<Ident, String> = rule.fields.iter().map(|f| (f.clone(), format!("t.{f}"))).collect();
    let keys = distinct.with(&fields);
    let given = keys.iter().filter(|_| distinct.nulls_distinct).map(|key| format!("{key} IS NOT NULL"));
    let only = distinct.only.as_ref().map(|only| format!("({})", only.with(&fields)));
    let asked = all(&given.chain(only).collect::<Vec<_>>());
    let asked = if asked.is_empty() { asked } else { format!(" WHERE {asked}") };
    format!(
        "SELECT u.refactor_key FROM (SELECT t.refactor_key, count(*) OVER (PARTITION BY {}) AS refactor_count\n  FROM ({rows}) AS t{asked}) AS u WHERE u.refactor_count > 1",
        list(&keys)
    )
}
