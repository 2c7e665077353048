//! What of the user's reads tables and is known to PostgreSQL by their numbers, not their names: views, materialized views,
//! functions whose bodies are parsed. When a table changes, some go along by themselves; the others are made anew.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::branches::footprint::reads;
use crate::catalogue::Refactor;
use crate::generate::rows;
use crate::name::{Ident, TableName};
use crate::relation::{Home, Relation};
use crate::schema::Schema;
use crate::version::{Step, Version};

/// What kind of object a dependent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A view.
    View,
    /// A materialized view.
    Materialized,
    /// A function with a parsed body (`RETURN`, `BEGIN ATOMIC`).
    Function,
}

/// An object that reads tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependent {
    /// What it is.
    pub kind: Kind,
    /// How SQL names it; a function with the types of its arguments.
    pub name: String,
    /// How a person names it.
    pub short: String,
    /// What becomes of it.
    pub fate: Fate,
    /// What it reads that changes: a field, or a table.
    pub reads: String,
    /// The views that it reads.
    views: BTreeSet<String>,
}

/// What becomes of a dependent.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// PostgreSQL takes it along.
    Stays,
    /// It is made anew with the names that tables and fields have then.
    Anew,
    /// It reads what is elsewhere then: it is made anew over queries that give the rows of these tables as they were.
    Over(BTreeMap<TableName, String>),
    /// What it reads is no more, or no query gives it.
    Lost,
}

impl Dependent {
    /// In words: the kind, and the name.
    #[must_use]
    pub fn who(&self) -> String {
        let kind = match self.kind {
            Kind::View => "view",
            Kind::Materialized => "materialized view",
            Kind::Function => "function",
        };
        format!("{kind} `{}`", self.short)
    }

    /// Whether that is what somebody calls it.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        is_called(&self.name, name)
    }
}

/// Whether that is what somebody calls an object: by its name, a function also without the types of its arguments, and without
/// the schema where that is `public`.
#[must_use]
pub fn is_called(object: &str, name: &str) -> bool {
    let bare = object.split('(').next().unwrap_or_default();
    [object, bare].iter().any(|full| *full == name || full.strip_prefix("public.") == Some(name))
}

/// Where the column of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the same column.
    Same,
    /// In the same column, with another type.
    Retyped,
    /// Elsewhere, or nowhere.
    Gone,
}

/// What reads the tables of a version, with what becomes of it once that is real. `is_rebuilt`: whether another table takes a
/// table's place; `old`: the shape that they have now, over the tables as they will be, if that can be told.
#[must_use]
pub fn dependents(
    version: &Version,
    is_rebuilt: impl Fn(&Relation) -> bool,
    old: impl FnOnce() -> Option<Version>,
) -> Vec<Dependent> {
    let old = LazyCell::new(old);
    let schema = &version.schema;
    let views = schema.views.iter().map(|v| {
        let kind = if v.materialized { Kind::Materialized } else { Kind::View };
        (kind, v.name.to_string(), v.name.short(), &v.reads, &v.relations)
    });
    let functions = schema.functions.iter().filter(|f| !f.relations.is_empty());
    let functions =
        functions.map(|f| (Kind::Function, f.signature.clone(), f.signature.clone(), &f.reads, &f.relations));
    let mut found = Vec::new();
    for (kind, name, short, reads, relations) in views.chain(functions) {
        let (mut changed, mut gone) = (None, None);
        for table in relations.iter().filter(|t| schema.tables.contains_key(*t)) {
            match heir(version, table) {
                None => gone = Some(table.short()),
                Some(relation) if is_rebuilt(relation) => changed = Some(table.short()),
                Some(_) => {}
            }
        }
        for (table, column) in reads {
            match place_of(version, table, column) {
                Place::Same => {}
                Place::Retyped => changed = Some(format!("{}.{column}", table.short())),
                Place::Gone => gone = Some(format!("{}.{column}", table.short())),
            }
        }
        let fate = match (&gone, &changed) {
            (None, None) => Fate::Stays,
            (None, Some(_)) => Fate::Anew,
            (Some(_), _) => {
                old.as_ref().and_then(|old| over(version, relations, reads, old)).map_or(Fate::Lost, Fate::Over)
            }
        };
        let reads = gone.or(changed).unwrap_or_default();
        let views = relations.iter().filter(|r| !schema.tables.contains_key(*r)).map(ToString::to_string).collect();
        found.push(Dependent { kind, name, short, fate, reads, views });
    }
    go_along(&mut found, |d| d.fate == Fate::Lost);
    found
}

/// What reads a view that goes, goes with it.
pub fn go_along(all: &mut [Dependent], goes: impl Fn(&Dependent) -> bool) {
    let mut going: BTreeMap<String, String> =
        all.iter().filter(|d| goes(d)).map(|d| (d.name.clone(), d.short.clone())).collect();
    loop {
        let next = |d: &&mut Dependent| d.fate != Fate::Lost && d.views.iter().any(|v| going.contains_key(v));
        let Some(next) = all.iter_mut().find(next) else { return };
        let through = next.views.iter().find_map(|v| going.get(v));
        next.reads = through.cloned().unwrap_or_default();
        next.fate = Fate::Lost;
        going.insert(next.name.clone(), next.short.clone());
    }
}

/// The relation that will be a table. A partition or a child changes with its parent.
fn heir<'v>(version: &'v Version, table: &TableName) -> Option<&'v Relation> {
    let own = version.all().find(|r| r.base == *table && r.is_heir());
    let of = version.schema.tables.get(table)?;
    let above = of.partition_of.as_ref().or_else(|| of.inherits.first());
    let above = above.and_then(|parent| heir(version, parent)).filter(|r| r.is_touched());
    above.or(own)
}

fn place_of(version: &Version, table: &TableName, column: &Ident) -> Place {
    if !version.schema.tables.contains_key(table) {
        return Place::Same;
    }
    // What a whole table has become is said of the table.
    let Some(relation) = heir(version, table) else { return Place::Same };
    match relation.fields.iter().find(|f| version.stays(relation, f) == Some(column)).map(|f| f.home) {
        // Whoever reads a field of another type wants that; whoever reads one of another meaning, the old one.
        Some(Home::Shaped(at, _)) if version.shaped[at].types == version.shaped[at].column_types => Place::Gone,
        Some(Home::Shaped(at, _)) if version.shaped[at].names.len() > 1 => Place::Gone,
        Some(Home::Shaped(..)) => Place::Retyped,
        Some(_) => Place::Same,
        None => Place::Gone,
    }
}

/// Queries for the rows of the changed tables among these, as they were, over the tables as they will be.
fn over(
    version: &Version,
    tables: &[TableName],
    reads: &[(TableName, Ident)],
    old: &Version,
) -> Option<BTreeMap<TableName, String>> {
    let is_changed =
        |t: &&TableName| version.schema.tables.contains_key(*t) && heir(version, t).is_none_or(Relation::is_touched);
    let mut queries = BTreeMap::new();
    for table in tables.iter().filter(is_changed) {
        if heir(version, table).is_some_and(|r| r.base != *table) {
            return None;
        }
        let wanted: BTreeSet<&Ident> = reads.iter().filter(|(of, _)| of == table).map(|(_, c)| c).collect();
        queries.insert(table.clone(), rows::when_real(old, old.relations.get(table)?, &wanted)?);
    }
    Some(queries)
}

/// The shape that the tables have before some refactorings, over the tables as they will be after them: what their inverses
/// show there. Without the tables of which that cannot be told; none if it can be of none.
#[must_use]
pub fn old(schema: &Arc<Schema>, steps: &[Step]) -> Option<Version> {
    let mut real = Arc::clone(schema);
    let mut back = Vec::new();
    for step in steps {
        let before = Version::base(real);
        let after = before.directly_after(step).ok()?;
        let refactoring = step.refactoring.inverse(&step.name, &before).ok();
        let inverse = refactoring.map(|refactoring| Step { name: step.name.clone(), refactoring });
        back.push((inverse, concerned(&before, &after)));
        real = Arc::new(after.as_schema());
    }
    let mut version = Version::base(real);
    let mut unknown = BTreeSet::new();
    for (inverse, tables) in back.into_iter().rev() {
        let known = inverse.filter(|_| tables.is_disjoint(&unknown));
        match known.and_then(|inverse| version.directly_after(&inverse).ok()) {
            Some(earlier) => version = earlier,
            None => unknown.extend(tables),
        }
    }
    version.relations.retain(|name, _| !unknown.contains(name));
    Some(version)
}

/// The tables that a refactoring changes or reads, by their names before it and after it.
fn concerned(before: &Version, after: &Version) -> BTreeSet<TableName> {
    let changed = after.relations.values().filter(|r| r.is_touched()).flat_map(|r| [r.name.clone(), r.base.clone()]);
    let gone = before.relations.keys().filter(|name| !after.relations.contains_key(*name)).cloned();
    let read = reads(after, &before.schema).into_iter().map(|read| read.table().clone());
    changed.chain(gone).chain(read).collect()
}
