//! Rows that are difficult for one table, old or new: each a value for each field that may be given one.
//!
//! A row begins as one that is there, or as plain values, under keys that nobody has; then one field at a time gets each
//! difficult value of its type, then all of them at once. Whether a row may be is the server's to say.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Client;

use super::values::Types;
use crate::generate::list;
use crate::name::Ident;
use crate::problem::Problem;
use crate::relation::Relation;
use crate::schema::{Constraint, ConstraintKind, Field, Identity, Index, Table};

/// A row: the fields, in their order, each with SQL for its value.
pub type Row = Vec<(Ident, String)>;

/// Where rows are made.
pub struct Ground {
    /// What is read and written, as SQL.
    pub name: String,
    /// The fields that may be given a value.
    pub fields: Vec<Field>,
    /// All fields.
    pub all: Vec<Ident>,
    /// The fields that a unique rule is about.
    pub unique: BTreeSet<Ident>,
    /// Fields that refer to a row, and where the keys of such rows are.
    pub links: Vec<(Vec<Ident>, String)>,
    /// Fields that tell rows apart.
    pub key: Vec<Ident>,
}

/// How many rows that are there are taken as models.
const MODELS: usize = 3;

impl Ground {
    /// An old table.
    pub fn of_table(name: &str, table: &Table) -> Self {
        let indexes = table.indexes.iter().map(|i| (i, i.keys.clone()));
        let constraints = table.constraints.iter().map(|c| (c, c.fields.clone()));
        Self::new(
            name,
            table.fields.iter(),
            indexes,
            constraints,
            crate::relation::row_key(table),
            &ToString::to_string,
        )
    }

    /// A table of the new shape. `place`: where the rows of a table are.
    pub fn of_relation(name: &str, relation: &Relation, place: &dyn Fn(&crate::name::TableName) -> String) -> Self {
        let indexes = relation.indexes.iter().map(|i| (&i.item, i.item.keys.clone()));
        let constraints = relation.constraints.iter().map(|c| (&c.item, c.item.fields.clone()));
        let fields = relation.fields.iter().map(|f| &f.shape);
        Self::new(name, fields, indexes, constraints, relation.row_key(), place)
    }

    fn new<'a>(
        name: &str,
        fields: impl Iterator<Item = &'a Field> + Clone,
        indexes: impl Iterator<Item = (&'a Index, Vec<Option<Ident>>)>,
        constraints: impl Iterator<Item = (&'a Constraint, Vec<Ident>)>,
        key: Option<Vec<Ident>>,
        place: &dyn Fn(&crate::name::TableName) -> String,
    ) -> Self {
        let given = |f: &&Field| f.generated.is_none() && f.identity != Some(Identity::Always);
        let mut unique: BTreeSet<Ident> =
            indexes.filter(|(i, _)| i.unique).flat_map(|(_, keys)| keys.into_iter().flatten()).collect();
        let mut links = Vec::new();
        for (constraint, fields) in constraints {
            match &constraint.kind {
                ConstraintKind::Primary | ConstraintKind::Unique | ConstraintKind::Exclude => unique.extend(fields),
                ConstraintKind::Foreign(far) => {
                    let keys: Vec<String> = far.fields.iter().map(quoted).collect();
                    let there =
                        format!("SELECT DISTINCT {} FROM {} AS t ORDER BY 1", keys.join(", "), place(&far.table));
                    links.push((fields, there));
                }
                _ => {}
            }
        }
        Self {
            name: name.to_owned(),
            fields: fields.clone().filter(given).cloned().collect(),
            all: fields.map(|f| f.name.clone()).collect(),
            unique,
            links,
            key: key.unwrap_or_default(),
        }
    }

    /// Rows that are there, some from each end.
    pub fn models(&self, client: &mut Client) -> Result<Vec<Row>, Problem> {
        let values: Vec<String> = self.all.iter().map(quoted).collect();
        let text = "(t.*)::pg_catalog.text COLLATE \"C\"";
        let from = |order: &str| {
            let some = format!("SELECT * FROM {} AS t ORDER BY {text} {order} LIMIT {MODELS}", self.name);
            format!("SELECT {} FROM ({some}) AS t", values.join(", "))
        };
        let mut rows: Vec<Row> = Vec::new();
        for order in ["DESC", "ASC"] {
            for row in client.query(&from(order), &[])? {
                let row: Row = self.all.iter().enumerate().map(|(at, field)| (field.clone(), row.get(at))).collect();
                if rows.len() < MODELS && !rows.contains(&row) {
                    rows.push(row);
                }
            }
        }
        Ok(rows)
    }

    /// Difficult rows. `number` counts the keys that are given away.
    pub fn rows(&self, client: &mut Client, types: &mut Types, number: &mut usize) -> Result<Vec<Row>, Problem> {
        let models = self.models(client)?;
        let mut links = Vec::new();
        for (fields, query) in &self.links {
            let there = client.query(query, &[])?;
            let keys = there.iter().map(|row| (0..fields.len()).map(|at| row.get(at)).collect());
            links.push((fields, keys.collect::<Vec<Vec<String>>>()));
        }
        let mut values = BTreeMap::new();
        for field in &self.fields {
            values.insert(&field.name, types.values(client, &field.type_name)?.clone());
        }
        let mut plain = || -> Row {
            *number += 1;
            let mut row: BTreeMap<Ident, String> = BTreeMap::new();
            for field in &self.fields {
                let values = &values[&field.name];
                let model = models.get(*number % models.len().max(1)).and_then(|row| value(row, &field.name));
                let fresh = values.fresh.get(*number % values.fresh.len().max(1));
                let model = if self.unique.contains(&field.name) { fresh.or(model) } else { model.or(fresh) };
                let model = model.or(values.hard.get(*number % values.hard.len().max(1)));
                row.insert(field.name.clone(), model.cloned().unwrap_or_else(|| "NULL".into()));
            }
            for (fields, keys) in &links {
                if let Some(key) = keys.get(*number % keys.len().max(1)) {
                    row.extend(
                        fields.iter().cloned().zip(key.iter().cloned()).filter(|(f, _)| row_has(&self.fields, f)),
                    );
                }
            }
            self.fields.iter().map(|f| (f.name.clone(), row[&f.name].clone())).collect()
        };
        // Twins, but for their keys.
        let mut rows = vec![plain(), plain()];
        let mut change = |what: &dyn Fn(&Field) -> Option<String>| {
            let changed = plain().into_iter().zip(&self.fields);
            rows.push(changed.map(|((name, old), field)| (name, what(field).unwrap_or(old))).collect());
        };
        change(&|field| (!field.not_null).then(|| "NULL".to_owned()));
        for field in &self.fields {
            let null = (!field.not_null).then(|| "NULL".to_owned());
            for hard in values[&field.name].hard.iter().cloned().chain(null) {
                change(&|f| (f.name == field.name).then(|| hard.clone()));
            }
        }
        for at in 0..values.values().map(|v| v.hard.len()).max().unwrap_or_default() {
            let of = |field: &Field| values[&field.name].hard.get(at).cloned();
            change(&|field| if self.unique.contains(&field.name) { None } else { of(field) });
        }
        Ok(rows)
    }

    /// `INSERT` of a row.
    pub fn insert(&self, row: &Row) -> String {
        let (names, values): (Vec<_>, Vec<_>) = row.iter().cloned().unzip();
        format!("INSERT INTO {} ({}) VALUES ({})", self.name, list(&names), values.join(", "))
    }

    /// A condition that finds a row again.
    pub fn is(&self, row: &Row) -> String {
        let named = if self.key.is_empty() { &self.all } else { &self.key };
        let same = |name: &Ident| match value(row, name).map(String::as_str) {
            None | Some("NULL") => format!("{name} IS NULL"),
            Some(value) => format!("{name}::pg_catalog.text = {value}"),
        };
        named.iter().map(same).collect::<Vec<_>>().join(" AND ")
    }
}

fn row_has(fields: &[Field], name: &Ident) -> bool {
    fields.iter().any(|f| f.name == *name)
}

fn value<'r>(row: &'r Row, name: &Ident) -> Option<&'r String> {
    row.iter().find(|(field, _)| field == name).map(|(_, value)| value)
}

fn quoted(field: &Ident) -> String {
    format!("pg_catalog.quote_nullable(t.{field}::pg_catalog.text)")
}
