//! Where what old code names is in the new shape: the old shape, over the tables as they will be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cli::lineage::sources;
use crate::generate::{OWN, get, list, lookup, rows, shaped};
use crate::name::{Ident, TableName, delimited};
use crate::plan::dependents;
use crate::relation::{Field, Home, Relation, Rows};
use crate::schema::Schema;
use crate::sql::Expression;
use crate::version::{Compared, Direction, Lookup, Missing, Source, Step, Version};

/// Where a field of a table is.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// In a field of the row.
    Here(Ident),
    /// In a field of the row that another type tells of.
    Retyped(Ident),
    /// In a field of a row that the row refers to, hop by hop.
    There(Vec<Hop>, Ident),
    /// Told by an expression.
    Told,
    /// In no place.
    Gone,
}

/// A step to another table: each field of the one, and the field of the other that is equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The table it leads to.
    pub to: TableName,
    /// The pairs.
    pub on: Vec<(Ident, Ident)>,
    /// Whether a row there is a part of the row here, and made with it.
    pub part: bool,
}

/// Fields that expressions tell, and the fields that told them.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The old fields.
    pub from: Vec<Ident>,
    /// The new ones, each with its value over the old ones.
    pub to: Vec<(Ident, Expression)>,
}

/// What became of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The refactorings that changed where it is.
    pub steps: Vec<String>,
    /// Where it is now.
    pub now: Vec<(TableName, Ident)>,
}

/// The way from the old shape to the new one.
pub struct Lens {
    /// The new shape, over the tables as they are.
    pub version: Version,
    /// The old shape, over the tables as they will be.
    old: Option<Version>,
    changes: BTreeMap<(TableName, Ident), Change>,
    /// The refactorings that concern a table.
    touched: BTreeMap<TableName, Vec<String>>,
}

impl Lens {
    /// The way over these refactorings, from these tables.
    pub fn new(schema: &Arc<Schema>, version: Version, steps: &[Step]) -> Self {
        let old = dependents::old(schema, steps);
        let mut lens = Self { old, changes: BTreeMap::new(), touched: BTreeMap::new(), version };
        lens.trace(schema, steps);
        lens
    }

    /// Follows the fields of all tables over the refactorings.
    fn trace(&mut self, schema: &Arc<Schema>, steps: &[Step]) {
        let mut version = Version::base(Arc::clone(schema));
        let tables: Vec<TableName> = version.schema.tables.keys().cloned().collect();
        let mut before: BTreeMap<(TableName, Ident), Vec<(TableName, Ident)>> = BTreeMap::new();
        for step in steps {
            let Ok(after) = version.after(step) else { return };
            version = after;
            let now = appearances(&version);
            for table in &tables {
                let is_touched = version.over(table).is_some_and(|r| r.touched_by.contains(&step.name));
                let goes = version.gone.get(table).is_some_and(|g| g.step == step.name);
                if is_touched || goes {
                    self.touched.entry(table.clone()).or_default().push(step.name.clone());
                }
                for field in &version.schema.tables[table].fields {
                    let key = (table.clone(), field.name.clone());
                    let itself = vec![key.clone()];
                    let places = now.get(&key).cloned().unwrap_or_default();
                    let was = before.get(&key).unwrap_or(&itself);
                    if places != *was {
                        let change =
                            self.changes.entry(key.clone()).or_insert(Change { steps: Vec::new(), now: Vec::new() });
                        change.steps.push(step.name.clone());
                        change.now.clone_from(&places);
                    }
                    before.insert(key, places);
                }
            }
        }
    }

    /// The refactorings that concern a table, if any does.
    pub fn touches(&self, table: &TableName) -> Option<&[String]> {
        self.touched.get(table).map(Vec::as_slice)
    }

    /// What became of a field, if it is elsewhere.
    pub fn change(&self, table: &TableName, field: &Ident) -> Option<&Change> {
        self.changes.get(&(table.clone(), field.clone()))
    }

    /// The table that a name means to old code.
    pub fn table(&self, schema: Option<&Ident>, name: &Ident) -> Option<&TableName> {
        let tables = &self.version.schema.tables;
        let named = |schema: &Ident| tables.get_key_value(&TableName { schema: schema.clone(), name: name.clone() });
        let path = &self.version.schema.search_path;
        schema.map_or_else(|| path.iter().find_map(named), named).map(|(name, _)| name)
    }

    /// The fields that a table has for old code.
    pub fn fields(&self, table: &TableName) -> Vec<Ident> {
        let table = self.version.schema.tables.get(table);
        table.into_iter().flat_map(|t| &t.fields).map(|f| f.name.clone()).collect()
    }

    /// The name of a table once all is real: one that is made for the new shape is ours until then.
    pub fn named(&self, table: &TableName) -> TableName {
        let made = self.version.made.iter().any(|m| m.table == *table);
        let relation = self.version.over(table).filter(|_| made);
        relation.map_or_else(|| table.clone(), |r| r.name.clone())
    }

    /// The old table, over the new ones.
    fn relation(&self, table: &TableName) -> Option<(&Version, &Relation)> {
        let old = self.old.as_ref()?;
        let relation = old.relations.get(table)?;
        let is_made = self.version.made.iter().any(|made| made.table == relation.base);
        (relation.base.schema.as_str() != OWN || is_made).then_some((old, relation))
    }

    /// The table that has its rows in the new shape, one each.
    pub fn base(&self, table: &TableName) -> Option<TableName> {
        if let Some((_, relation)) = self.relation(table) {
            return matches!(relation.rows, Rows::Whole).then(|| self.named(&relation.base));
        }
        let now = self.version.over(table)?;
        (self.old.is_none() && matches!(now.rows, Rows::Whole)).then(|| now.name.clone())
    }

    /// Whether the name of the table still gives the same rows.
    pub fn has_its_rows(&self, table: &TableName) -> bool {
        let now = self.version.relations.get(table);
        let is_divided = |r: &Relation| match &r.rows {
            // What is marked is deleted for both.
            Rows::Part(_) if r.mark().is_some() => false,
            Rows::Part(part) => part.conditions.iter().any(|c| c.check.is_some()),
            Rows::Whole => false,
            _ => true,
        };
        now.is_some_and(|now| now.base == *table && !is_divided(now))
    }

    /// Where a field is.
    pub fn find(&self, table: &TableName, field: &Ident) -> Found {
        let Some((old, relation)) = self.relation(table) else {
            let version = &self.version;
            let now = version.over(table).filter(|_| self.old.is_none());
            let here = now.and_then(|r| r.fields.iter().find(|f| version.stays(r, f) == Some(field)));
            return here.map_or(Found::Gone, |f| Found::Here(f.shape.name.clone()));
        };
        let Some(field) = relation.field(field) else { return Found::Gone };
        match field.home {
            Home::Own(at) => Found::Here(old.table(relation).fields[at].name.clone()),
            Home::Carried(at) if old.carries[at].direction == Direction::Down => {
                let hop = |h: &crate::version::Hop| Hop {
                    to: self.named(&h.to),
                    part: false,
                    on: h.from_columns.iter().cloned().zip(h.to_columns.iter().cloned()).collect(),
                };
                let carry = &old.carries[at];
                Found::There(carry.hops.iter().map(hop).collect(), carry.column.clone())
            }
            Home::Looked(at, member) if is_plain(&old.lookups[at], member) => {
                let lookup = &old.lookups[at];
                let on = lookup.columns.iter().cloned().zip(lookup.found_by.iter().cloned()).collect();
                let part = matches!(lookup.missing, Missing::Part { .. });
                Found::There(vec![Hop { to: self.named(&lookup.other), on, part }], lookup.shows[member].clone())
            }
            Home::Shaped(at, member) => {
                let shaped = &old.shaped[at];
                match &shaped.columns[..] {
                    [column]
                        if shaped.names.len() == 1 && shaped.types != shaped.column_types && shaped.stays.is_some() =>
                    {
                        debug_assert_eq!(member, 0);
                        Found::Retyped(column.clone())
                    }
                    _ => Found::Told,
                }
            }
            Home::Carried(_) | Home::Looked(..) | Home::Calculated(_) => Found::Told,
            Home::Added(_) | Home::Numbered(_) | Home::United(_) => Found::Gone,
        }
    }

    /// The expression that tells a field of the row `row` of the new table.
    pub fn told(&self, table: &TableName, field: &Ident, row: &str) -> Option<String> {
        let (old, relation) = self.relation(table)?;
        let field: &Field = relation.field(field)?;
        let value = match field.home {
            Home::Own(at) => format!("{row}.{}", old.table(relation).fields[at].name),
            Home::Carried(at) => format!("({} LIMIT 1)", get::at_the_other_end(&old.carries[at], row)),
            Home::Looked(at, member) => lookup::told(&old.lookups[at], member, row),
            Home::Shaped(at, member) => shaped::told(&old.shaped[at], member, row),
            Home::Calculated(at) => get::calculated(&old.calculated[at], row),
            Home::Added(_) | Home::Numbered(_) | Home::United(_) => return None,
        };
        Some(delimited(value))
    }

    /// A query for some fields of a table whose rows are in several, or among others.
    pub fn query(&self, table: &TableName, wanted: &BTreeSet<&Ident>) -> Option<String> {
        let (old, relation) = self.relation(table)?;
        let Rows::United(at) = relation.rows else { return rows::when_real(old, relation, wanted) };
        let union = &old.unions[at];
        let mut parts = Vec::new();
        for branch in &union.branches {
            let mut values = Vec::new();
            for name in wanted {
                let Home::United(member) = relation.field(name)?.home else { return None };
                values.push(match &branch.sources[member] {
                    Source::Column(column) => format!("b.{column} AS {name}"),
                    Source::Constant(value) => format!("{value} AS {name}"),
                    Source::Added(_) | Source::Numbered(_) => return None,
                });
            }
            parts.push(format!("SELECT {} FROM {} AS b", list(&values), branch.table));
        }
        Some(parts.join(" UNION ALL "))
    }

    /// The fields that expressions of the new shape tell from this one.
    pub fn shapes(&self, table: &TableName, field: &Ident) -> Option<Told> {
        let version = &self.version;
        let shaped = version.shaped.iter().find(|s| s.table == *table && s.columns.contains(field))?;
        let relation = version.over(table)?;
        let at = version.shaped.iter().position(|s| s.id == shaped.id)?;
        let shown = relation.fields.iter().filter_map(|f| match f.home {
            Home::Shaped(of, member) if of == at => Some((f.shape.name.clone(), shaped.get[member].clone())),
            _ => None,
        });
        Some(Told { from: shaped.columns.clone(), to: shown.collect() })
    }
}

/// Whether a field is simply one of the row that is found.
fn is_plain(lookup: &Lookup, member: usize) -> bool {
    let absent = match &lookup.missing {
        Missing::Part { absent, .. } | Missing::Make { absent, .. } => absent.get(member).cloned().flatten(),
        Missing::Refuse(_) => None,
    };
    let plain = lookup.compared.iter().all(|c| *c == Compared::default());
    plain && lookup.unique && lookup.always.is_none() && lookup.only.is_none() && absent.is_none()
}

/// The fields of a version that each field of the tables tells.
fn appearances(version: &Version) -> BTreeMap<(TableName, Ident), Vec<(TableName, Ident)>> {
    let mut found: BTreeMap<(TableName, Ident), Vec<(TableName, Ident)>> = BTreeMap::new();
    for relation in version.relations.values() {
        for field in &relation.fields {
            for source in sources(version, relation, field) {
                found.entry(source).or_default().push((relation.name.clone(), field.shape.name.clone()));
            }
        }
    }
    found
}
