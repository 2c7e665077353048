//! Unique rules that no table keeps yet: whether another row has the same key, and which rows have one twice.

use std::collections::BTreeMap;

use crate::generate::carry::path_over;
use crate::generate::rule::{Rule, detail, duplicate, function, when_given};
use crate::generate::{all, comment, each_of, get, is, list, own};
use crate::name::{Ident, TableName, equality};
use crate::relation::{Attached, Relation, row_key};
use crate::schema::distinct::Distinct;
use crate::schema::{Constraint, ConstraintKind, Field};
use crate::sql::{Expression, Literal};
use crate::version::{Version, numbered};

/// The function that asks.
pub(super) struct Taken {
    pub function: TableName,
    pub types: String,
    pub returns: &'static str,
    /// What it returns if nothing is asked.
    pub nothing: &'static str,
    pub path: String,
    /// Functions for what a person wrote: SQL, which is read once, where it is made.
    pub helpers: Vec<String>,
    /// What holds for the values if they are asked about at all.
    pub asked: String,
    pub lock: String,
    pub answer: String,
    pub comment: Literal,
}

/// Functions for what a person wrote, as they are made.
pub(super) struct Helpers {
    step: String,
    rule: Ident,
    all: Vec<String>,
}

impl Helpers {
    /// Of a rule that a refactoring brings.
    pub fn of(step: &str, rule: &Ident) -> Self {
        Self { step: step.to_owned(), rule: rule.clone(), all: Vec::new() }
    }

    /// One more; gives its name.
    pub fn add(&mut self, kind: &str, types: &[String], returns: &str, value: &str) -> TableName {
        let name = own(&[kind, numbered(&self.step), self.rule.as_str()]);
        self.all.push(format!(
            "CREATE FUNCTION {name}({}) RETURNS {returns} LANGUAGE sql RETURN {value};\nCOMMENT ON FUNCTION {name} IS {};",
            list(types),
            comment(&self.step)
        ));
        name
    }
}

/// What a function asks of the other rows.
pub(super) struct Asking {
    pub helpers: Helpers,
    /// What holds for the values if they are asked about at all.
    pub asked: Vec<String>,
    /// What holds for a row that has them.
    pub same: Vec<String>,
    /// Values by which whoever writes such a row waits for others; if there are none, all writers of the table do.
    pub hashed: Vec<String>,
    /// What it returns, and what if nothing is asked.
    pub returns: (&'static str, &'static str),
    pub comment: Literal,
}

impl Asking {
    /// The function, of whose arguments the first are the fields of the rule, and the others the key of the row. Without a
    /// key the row itself is one of those that are found.
    pub fn of(
        mut self,
        version: &Version,
        relation: &Relation,
        constraint: &Attached<Constraint>,
        function: TableName,
        mut types: Vec<String>,
        answer: impl Fn(&str, &str, bool) -> String,
    ) -> Taken {
        let table = version.table(relation);
        let seed = format!("pg_catalog.hashtextextended({}, 0)", Literal(function.to_string()));
        let hash = |values: &str| format!("pg_catalog.hash_record_extended(ROW({values}), {seed})");
        let lock = if self.hashed.is_empty() { seed.clone() } else { hash(&list(&self.hashed)) };
        let key = row_key(table).unwrap_or_default();
        let first = constraint.item.fields.len() + 1;
        let this_row = key.iter().enumerate().map(|(i, c)| is("b", c, &format!("${}", first + i)));
        let step = constraint.brought_by().map_or("", String::as_str);
        let among = version.conditions_before(relation, step).map(|c| format!("({})", get::over(&c.holds, "b")));
        self.same.extend(among);
        self.same.extend((!key.is_empty()).then(|| format!("NOT ({})", all(&this_row.collect::<Vec<_>>()))));
        let key_types = key.iter().filter_map(|c| table.fields.iter().find(|f| f.name == *c));
        types.extend(key_types.map(|f| f.type_name.clone()));
        Taken {
            types: list(&types),
            returns: self.returns.0,
            nothing: self.returns.1,
            path: path_over([&relation.base.schema].into_iter()),
            helpers: self.helpers.all,
            asked: all(&self.asked),
            lock,
            answer: answer(&all(&self.same), &relation.base.to_string(), key.is_empty()),
            comment: self.comment,
            function,
        }
    }
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
pub(super) fn unique(version: &Version, relation: &Relation, constraint: &Attached<Constraint>) -> Option<Rule> {
    let named = constraint.as_named();
    if !matches!(named.kind, ConstraintKind::Unique | ConstraintKind::Primary) {
        return None;
    }
    let distinct = Distinct::of(&named);
    let keys: Vec<Key> = distinct.keys.iter().map(|key| Key::of(version, relation, key)).collect();
    let key = row_key(version.table(relation)).unwrap_or_default();
    let arguments = list(&[each_of("NEW", &named.fields), each_of("r", &key)].concat());
    let values: Option<Vec<String>> = keys.iter().map(|k| k.value(|f| format!("NEW.{}", f.name))).collect();
    let given: Vec<Ident> = keys
        .iter()
        .filter_map(|k| match k {
            Key::Field(field) | Key::Folded(_, field) => Some(field.name.clone()),
            Key::Other => None,
        })
        .filter(|_| distinct.nulls_distinct)
        .collect();
    let named_keys: Vec<Expression> = distinct.keys.iter().map(Expression::uncollated).collect();
    Some(Rule {
        detail: values.map(|values| detail(&values, &list(&named_keys), "already exists.")),
        ..when_given(
            duplicate(relation, &named.name),
            (&given, &named.fields),
            &format!("{}({arguments})", function("taken", constraint)),
        )
    })
}

/// The function of one.
pub(super) fn one_taken(
    version: &Version,
    relation: &Relation,
    constraint: &Attached<Constraint>,
    types: Vec<String>,
    comment: Literal,
) -> Taken {
    let named = constraint.as_named();
    let distinct = Distinct::of(&named);
    let keys: Vec<Key> = distinct.keys.iter().map(|key| Key::of(version, relation, key)).collect();
    let numbers: BTreeMap<Ident, String> =
        named.fields.iter().enumerate().map(|(i, f)| (f.clone(), format!("${}", i + 1))).collect();
    let given = list(&(1..=named.fields.len()).map(|i| format!("${i}")).collect::<Vec<_>>());
    let there = |name: &Ident| relation.field(name).map(|f| get::get(version, relation, f)).unwrap_or_default();
    let all_there = list(&named.fields.iter().map(there).collect::<Vec<_>>());
    let (mut asked, mut same, mut hashed) = (Vec::new(), Vec::new(), Vec::new());
    let mut helpers = Helpers::of(constraint.brought_by().map_or("", String::as_str), &named.name);
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
            hashed.push(value);
        }
    }
    if let Some(only) = &distinct.only {
        let among = helpers.add("among", &types, "boolean", &format!("({})", only.with(&numbers)));
        asked.push(format!("{among}({given})"));
        same.push(format!("{among}({all_there})"));
    }
    let others = keys.iter().zip(&distinct.keys).filter(|(key, _)| matches!(key, Key::Other));
    let others: Vec<String> = others.map(|(_, value)| value.with(&numbers)).collect();
    if !others.is_empty() {
        let keys = helpers.add("keys", &types, "record", &format!("ROW({})", list(&others)));
        if distinct.nulls_distinct {
            asked.push(format!("{keys}({given}) IS NOT NULL"));
        }
        same.push(format!("pg_catalog.record_eq({keys}({all_there}), {keys}({given}))"));
    }
    // Where equal values may be written in several ways, all writers of the key wait for each other.
    if !keys.iter().all(|key| matches!(key, Key::Other) || key.is_hashed(version)) {
        hashed.clear();
    }
    let asking = Asking { helpers, asked, same, hashed, returns: ("boolean", "false"), comment };
    let answer = |same: &str, base: &str, with_itself: bool| {
        let others = if with_itself { " OFFSET 1" } else { "" };
        format!("EXISTS (SELECT FROM {base} AS b WHERE {same}{others})")
    };
    asking.of(version, relation, constraint, function("taken", constraint), types, answer)
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
