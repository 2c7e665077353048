//! Whether two orders end in the same tables, and if not, in what they differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use crate::name::{Ident, TableName};
use crate::schema::{Field, Schema, Table};

/// What one order gives and another does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: TableName,
    /// The field, if it is about one.
    pub field: Option<Ident>,
    /// In words, to follow "in one order … ".
    pub what: String,
}

/// The first thing in which two shapes differ. The order of fields does not count.
#[must_use]
pub fn difference(one: &Schema, other: &Schema) -> Option<Difference> {
    let names: BTreeSet<&TableName> = one.tables.keys().chain(other.tables.keys()).collect();
    names.into_iter().find_map(|name| match (one.tables.get(name), other.tables.get(name)) {
        (Some(one), Some(other)) => of_table(name, one, other),
        (one, _) => Some(Difference {
            table: name.clone(),
            field: None,
            what: format!(
                "only one of the orders has a table `{}`{}",
                name.short(),
                if one.is_some() { "" } else { " at all" }
            ),
        }),
    })
}

fn of_table(name: &TableName, one: &Table, other: &Table) -> Option<Difference> {
    let differs =
        |field: Option<&Ident>, what: String| Some(Difference { table: name.clone(), field: field.cloned(), what });
    let by_name = |table: &Table| -> BTreeMap<Ident, Field> {
        table.fields.iter().map(|f| (f.name.clone(), Field { number: 0, ..f.clone() })).collect()
    };
    let (fields, others) = (by_name(one), by_name(other));
    for field in fields.keys().chain(others.keys()) {
        let (Some(here), Some(there)) = (fields.get(field), others.get(field)) else {
            return differs(Some(field), format!("only one of the orders has a field `{}.{field}`", name.short()));
        };
        if here != there {
            return differs(Some(field), format!("`{}.{field}` {}", name.short(), of_field(here, there)));
        }
    }
    let items = [
        unlike("constraint", &named(&one.constraints, |c| &c.name), &named(&other.constraints, |c| &c.name), |c| {
            (c.fields.clone(), bare(&c.definition))
        }),
        unlike("index", &named(&one.indexes, |i| &i.name), &named(&other.indexes, |i| &i.name), |i| {
            (i.fields.clone(), i.definition.clone())
        }),
        unlike("trigger", &named(&one.triggers, |t| &t.name), &named(&other.triggers, |t| &t.name), |t| {
            (t.fields.clone(), t.definition.clone())
        }),
    ];
    if let Some((field, what)) = items.into_iter().flatten().next() {
        return differs(field.as_ref(), format!("{what} of `{}`", name.short()));
    }
    let rest = |table: &Table| {
        let Table { owner, unlogged, options, row_security, grants, comment, replica_identity, .. } = table.clone();
        format!("{:?}", (owner, unlogged, options, row_security, grants, comment, replica_identity))
    };
    if rest(one) == rest(other) { None } else { differs(None, format!("what is said of `{}` itself", name.short())) }
}

fn of_field(one: &Field, other: &Field) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
    if one.type_name != other.type_name {
        return format!("has the type `{}` or `{}`", one.type_name, other.type_name);
    }
    if one.default != other.default {
        return format!("has the default `{}` or `{}`", or_none(&one.default), or_none(&other.default));
    }
    if one.not_null != other.not_null {
        return "allows NULL in one of the orders alone".into();
    }
    "is another field in each order".into()
}

fn named<T>(items: &[T], name: impl Fn(&T) -> &Ident) -> BTreeMap<Ident, &T> {
    items.iter().map(|item| (name(item).clone(), item)).collect()
}

/// A definition without brackets around single names, which only tell how it was written.
fn bare(definition: &str) -> String {
    let mut text = String::new();
    let mut rest = definition;
    while let Some(at) = rest.find('(') {
        let (head, tail) = rest.split_at(at);
        text += head;
        let name = tail[1..].split(')').next().unwrap_or_default();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let is_call =
            text.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == ' ' && text.ends_with("KEY "));
        if is_name && !is_call && tail[1 + name.len()..].starts_with(')') {
            text += name;
            rest = &tail[name.len() + 2..];
        } else {
            text.push('(');
            rest = &tail[1..];
        }
    }
    text + rest
}

/// The first item that one side alone has, or has otherwise, with the field that it is about.
fn unlike<T>(
    kind: &str,
    one: &BTreeMap<Ident, &T>,
    other: &BTreeMap<Ident, &T>,
    says: impl Fn(&T) -> (Vec<Ident>, String),
) -> Option<(Option<Ident>, String)> {
    one.iter().chain(other).find_map(|(name, item)| {
        let (fields, text) = says(item);
        let why = match (one.get(name).map(|here| says(here)), other.get(name).map(|there| says(there))) {
            (Some(here), Some(there)) if here == there => return None,
            (Some((_, here)), Some((_, there))) => format!("{kind} `{name}` is `{here}` or `{there}`"),
            _ => format!("only one of the orders has the {kind} `{name}`, `{text}`,"),
        };
        Some((fields.first().cloned(), why))
    })
}

/// A name that two things of a schema would have.
#[must_use]
pub fn twice(schema: &Schema) -> Option<(TableName, Ident)> {
    let mut seen: BTreeMap<(Ident, Ident), TableName> = BTreeMap::new();
    let tables = schema.tables.keys().map(|t| (t, &t.name));
    let indexes = schema.tables.iter().flat_map(|(t, table)| table.indexes.iter().map(move |i| (t, &i.name)));
    for (table, name) in tables.chain(indexes) {
        if seen.insert((table.schema.clone(), name.clone()), table.clone()).is_some() {
            return Some((table.clone(), name.clone()));
        }
    }
    None
}

/// The tables whose fields stand in another order.
#[must_use]
pub fn reordered(one: &Schema, other: &Schema) -> Vec<TableName> {
    let order = |t: &Table| t.fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
    let differs = |(name, table): &(&TableName, &Table)| {
        other.tables.get(*name).is_some_and(|there| order(table) != order(there))
    };
    one.tables.iter().filter(differs).map(|(name, _)| name.clone()).collect()
}
