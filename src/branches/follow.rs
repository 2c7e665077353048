//! A refactoring of one branch, written anew for what a refactoring of the other has made of names: a rename is followed.

use std::collections::BTreeMap;

use super::{One, shape};
use crate::catalogue::Refactoring;
use crate::journal::Entry;
use crate::name::{FieldRef, Ident, Renaming, TableName, TableRef};
use crate::relation::{Home, Relation};
use crate::sql::Expression;
use crate::version::{Step, Version};

/// A refactoring that is written anew to come after another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapted {
    /// Its name.
    pub name: String,
    /// The one that it comes after.
    pub after: String,
    /// What it says now.
    pub refactoring: Refactoring,
    /// The texts that are replaced in its file, each by another.
    pub texts: Vec<(String, String)>,
}

/// Where a column's values are after a refactoring, if a field of the new shape is just that column.
#[must_use]
pub fn now(version: &Version, table: &TableName, column: &Ident) -> Option<(TableName, Ident)> {
    let at = |relation: &Relation| {
        relation.fields.iter().find_map(|field| {
            let is_it = match field.home {
                Home::Own(_) => relation.base == *table && relation.column(&version.schema, field) == Some(column),
                Home::Carried(at) => version.carries[at].source == *table && version.carries[at].column == *column,
                Home::Shaped(at, _) => {
                    let shaped = &version.shaped[at];
                    shaped.table == *table && shaped.stays.is_some() && shaped.columns.first() == Some(column)
                }
                _ => false,
            };
            is_it.then(|| (relation.name.clone(), field.shape.name.clone()))
        })
    };
    let own = version.over(table).into_iter();
    own.chain(version.relations.values()).find_map(at)
}

/// What names become: of tables, and of fields.
struct Names<'v> {
    before: Version,
    version: &'v Version,
}

impl Names<'_> {
    fn table(&self, wanted: &TableRef) -> Option<(TableName, TableName)> {
        let was = self.before.find(wanted).ok()?.name.clone();
        let is = self.version.over(&was)?.name.clone();
        (was != is).then_some((was, is))
    }

    fn field(&self, wanted: &FieldRef) -> Option<FieldRef> {
        let (relation, field) = self.before.find_field(wanted).ok()?;
        let (was, name) = (relation.name.clone(), field.shape.name.clone());
        let (there, now) = now(self.version, &was, &name)?;
        let same = there == was && now == name;
        (!same).then(|| FieldRef { table: there.reference(), field: now })
    }

    /// Fields that have another name in their own table.
    fn renamed(&self) -> BTreeMap<Ident, Ident> {
        let tables = &self.before.schema.tables;
        let all = tables.iter().flat_map(|(table, t)| t.fields.iter().map(move |f| (table, &f.name)));
        all.filter_map(|(table, field)| {
            let (there, now) = now(self.version, table, field)?;
            (self.version.over(table)?.name == there && now != *field).then(|| (field.clone(), now))
        })
        .collect()
    }

    /// What a text of a file would be now, if it names anything that has another name.
    fn reading(&self, text: &str) -> Option<String> {
        if let Some(now) = text.parse().ok().and_then(|field| self.field(&field)) {
            return Some(now.to_string());
        }
        if let Some((_, now)) = text.parse().ok().and_then(|table| self.table(&table)) {
            return Some(now.reference().to_string());
        }
        let renamed = self.renamed();
        if let Some((_, now)) = text.parse::<Ident>().ok().and_then(|name| renamed.get_key_value(&name)) {
            return Some(now.to_string());
        }
        if let Ok(renaming) = text.parse::<Renaming>()
            && let Some(now) = renamed.get(&renaming.from)
        {
            return Some(Renaming { from: now.clone(), to: renaming.to }.to_string());
        }
        let expression = Expression::parse(text).ok()?;
        let names = expression.fields().into_iter().filter_map(|f| Some((f.clone(), renamed.get(&f)?.to_string())));
        let now = expression.with(&names.collect());
        (now != expression.to_string()).then_some(now)
    }
}

/// A refactoring written anew so that it does after the other one what it would have done before it: `wanted` is that, if
/// it makes sense at all.
pub(super) fn adapted(first: &One, second: &One, wanted: Option<&One>) -> Option<Adapted> {
    let names = Names { before: Version::base(first.before.clone()), version: &first.version };
    let value = toml::Value::try_from(&second.step.refactoring).ok()?;
    let mut places = Vec::new();
    collect(&value, &mut Vec::new(), &mut |path, text| {
        if let Some(now) = names.reading(text) {
            places.push((path.to_vec(), text.to_owned(), now));
        }
    });
    // What names more is for a person.
    places.truncate(4);
    let all = (1u32 << places.len()) - 1;
    // All of them first.
    let mut good = None;
    for chosen in (1..=all).rev() {
        let mut anew = value.clone();
        let mut texts = Vec::new();
        for (_, (path, old, now)) in places.iter().enumerate().filter(|(at, _)| chosen & (1 << at) != 0) {
            put(&mut anew, path, now);
            texts.push((old.clone(), now.clone()));
        }
        let Ok(refactoring) = anew.try_into::<Refactoring>() else { continue };
        let step = Step { name: second.step.name.clone(), refactoring: refactoring.clone() };
        let Ok(one) = One::over(&first.after, &step) else { continue };
        let found = Adapted { name: step.name.clone(), after: first.step.name.clone(), refactoring, texts };
        match wanted {
            Some(wanted) if shape::difference(&one.after, &wanted.after).is_none() => return Some(found),
            Some(_) => {
                good.get_or_insert(found);
            }
            None => return Some(found),
        }
    }
    good
}

fn collect(value: &toml::Value, path: &mut Vec<String>, seen: &mut dyn FnMut(&[String], &str)) {
    match value {
        toml::Value::String(text) => seen(path, text),
        toml::Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                path.push(at.to_string());
                collect(item, path, seen);
                path.pop();
            }
        }
        toml::Value::Table(table) => {
            for (key, item) in table {
                path.push(key.clone());
                collect(item, path, seen);
                path.pop();
            }
        }
        _ => {}
    }
}

fn put(value: &mut toml::Value, path: &[String], text: &str) {
    let Some((key, rest)) = path.split_first() else {
        *value = toml::Value::String(text.to_owned());
        return;
    };
    let inner = match value {
        toml::Value::Array(items) => key.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
        toml::Value::Table(table) => table.get_mut(key),
        _ => None,
    };
    if let Some(inner) = inner {
        put(inner, rest, text);
    }
}

impl Adapted {
    /// The entry with what it says now: its file as it was written, as far as that can be kept.
    ///
    /// # Errors
    /// When it cannot be written as TOML, which is a fault of ours.
    pub fn entry(&self, old: &Entry) -> Result<Entry, toml::ser::Error> {
        let (mut text, after) = (old.text.clone(), old.after.clone());
        for (was, now) in &self.texts {
            let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
            text = text.replace(&quoted(was), &quoted(now));
        }
        match Entry::parse(&self.name, &text) {
            Ok(entry) if entry.step.refactoring == self.refactoring => Ok(entry),
            _ => Entry::new(self.name.clone(), after, self.refactoring.clone()),
        }
    }
}
