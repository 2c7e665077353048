//! What a refactoring reads, and where each value is after it that was there before: two refactorings that read nothing
//! that the other one changes do the same in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalogue::data::Data;
use crate::name::{Ident, TableName, TableRef};
use crate::relation::{Attached, Home, NamesFields, Relation, Rows};
use crate::schema::{ConstraintKind, Schema};
use crate::sql::code::has_word;
use crate::sql::tables::{named, written};
use crate::sql::type_names::canonical;
use crate::version::{Shaped, Source, Version};

/// Something that a refactoring reads: of tables and fields as they are before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// The values of a field.
    Field(TableName, Ident),
    /// Which rows there are.
    Rows(TableName),
}

impl Read {
    /// The table.
    pub fn table(&self) -> &TableName {
        let (Self::Field(table, _) | Self::Rows(table)) = self;
        table
    }

    /// The field.
    pub fn field(&self) -> Option<&Ident> {
        match self {
            Self::Field(_, field) => Some(field),
            Self::Rows(_) => None,
        }
    }
}

/// What there is after a refactoring, each with what it was before; none where it is something else now.
pub type Traces = BTreeMap<Read, Option<Read>>;

/// What of the tables after a refactoring is as it was.
pub fn traces(version: &Version) -> Traces {
    let mut traces = Traces::new();
    let is_old = |table: &TableName| version.made.iter().all(|m| m.table != *table);
    for relation in version.relations.values() {
        let table = &relation.base;
        // Deleted rows stay with a mark: those that are there are the same.
        let marked = |at: usize| version.unions[at].mark.is_some();
        let is_same = match relation.rows {
            Rows::Whole => true,
            Rows::United(at) => marked(at),
            _ => false,
        };
        let rows = (is_same && is_old(table)).then(|| Read::Rows(table.clone()));
        traces.insert(Read::Rows(relation.name.clone()), rows);
        for field in &relation.fields {
            let column = match field.home {
                Home::Shaped(at, _) if keeps_values(&version.shaped[at]) => Some(&version.shaped[at].columns[0]),
                Home::Own(_) => relation.column(&version.schema, field),
                Home::United(at) => match relation.rows {
                    Rows::United(union) if marked(union) => version.unions[union].branches[0].column(at),
                    _ => None,
                },
                _ => None,
            };
            let was = column.filter(|_| is_old(table)).map(|c| Read::Field(table.clone(), c.clone()));
            traces.insert(Read::Field(relation.name.clone(), field.shape.name.clone()), was);
        }
    }
    traces
}

/// Whether another type makes no other values of what is stored: limits, and wider integers.
fn keeps_values(shaped: &Shaped) -> bool {
    const INTEGERS: [&str; 3] = ["smallint", "integer", "bigint"];
    let size = |name: &String| INTEGERS.iter().position(|integer| *integer == canonical(name));
    let wider = match (&shaped.column_types[..], &shaped.types[..], &shaped.get[..], &shaped.columns[..]) {
        ([from], [to], [get], [column]) => {
            let plain = get.to_string();
            let cast = plain.strip_prefix(&format!("{column}::")).map(canonical);
            let same = plain == column.to_string() || cast.is_some_and(|cast| cast == canonical(to));
            same && size(from).zip(size(to)).is_some_and(|(from, to)| from <= to)
        }
        _ => false,
    };
    wider || shaped.relabels()
}

/// What one refactoring reads, of the tables that were there before it.
pub fn reads(version: &Version, before: &Schema) -> BTreeSet<Read> {
    let mut read = Reading { found: BTreeSet::new(), before };
    for carry in &version.carries {
        read.field(&carry.source, &carry.column);
        read.rows(&carry.source);
        for hop in &carry.hops {
            read.fields(&hop.from, &hop.from_columns);
            read.fields(&hop.to, &hop.to_columns);
        }
    }
    for added in &version.added {
        read.fields(&added.table, &added.told_by());
        if let Some(copied) = &added.copied {
            read.field(&copied.hop.to, &copied.column);
            read.fields(&copied.hop.to, &copied.hop.to_columns);
        }
    }
    version.shaped.iter().for_each(|shaped| read.fields(&shaped.table, &shaped.columns));
    for lookup in &version.lookups {
        read.fields(&lookup.table, &lookup.columns);
        read.fields(&lookup.other, &lookup.found_by);
        read.fields(&lookup.other, &lookup.shows);
        read.rows(&lookup.other);
        if !version.made.is_empty() {
            // Its values become rows.
            read.rows(&lookup.table);
        }
    }
    for calculated in &version.calculated {
        read.fields(&calculated.table, &calculated.value.fields().into_iter().collect::<Vec<_>>());
    }
    for numbering in &version.numberings {
        read.fields(&numbering.table, &numbering.key);
        read.rows(&numbering.table);
    }
    for (union, branch) in version.unions.iter().flat_map(|u| u.branches.iter().map(move |b| (u, b))) {
        read.rows(&branch.table);
        // Deleted rows stay with whatever fields they have.
        for source in branch.sources.iter().filter(|_| union.mark.is_none()) {
            if let Source::Column(column) = source {
                read.field(&branch.table, column);
            }
        }
    }
    for slice in &version.slices {
        read.rows(&slice.table);
        read.fields(&slice.table, &slice.columns);
    }
    for link in &version.links {
        read.rows(&link.table);
        read.fields(&link.table, &link.columns);
    }
    for spread in &version.spreads {
        read.rows(&spread.table);
        read.fields(&spread.table, &spread.columns);
    }
    for held in &version.held {
        read.fields(&held.table, &held.columns);
        read.fields(&held.other, &held.rows.fields().into_iter().collect::<Vec<_>>());
    }
    for table in version.told.iter().flat_map(|t| &t.names) {
        read.rows(table);
        read.all(table);
    }
    version.relations.values().for_each(|relation| read.rules(version, relation));
    read.found
}

struct Reading<'s> {
    found: BTreeSet<Read>,
    before: &'s Schema,
}

impl Reading<'_> {
    fn field(&mut self, table: &TableName, field: &Ident) {
        let is_there = |t: &crate::schema::Table| t.fields.iter().any(|f| f.name == *field);
        if self.before.tables.get(table).is_some_and(is_there) {
            self.found.insert(Read::Field(table.clone(), field.clone()));
        }
    }

    fn fields(&mut self, table: &TableName, fields: &[Ident]) {
        for field in fields {
            self.field(table, field);
        }
    }

    fn all(&mut self, table: &TableName) {
        let names: Vec<Ident> =
            self.before.tables.get(table).into_iter().flat_map(|t| &t.fields).map(|f| f.name.clone()).collect();
        self.fields(table, &names);
    }

    fn rows(&mut self, table: &TableName) {
        if self.before.tables.contains_key(table) {
            self.found.insert(Read::Rows(table.clone()));
        }
    }

    /// What the rules say that it brings, and which rows it divides.
    fn rules(&mut self, version: &Version, relation: &Relation) {
        let stored = |fields: &[Ident]| -> Vec<Ident> {
            fields.iter().filter_map(|f| relation.column(&version.schema, relation.field(f)?).cloned()).collect()
        };
        for rule in relation.rules() {
            self.fields(&relation.base, &stored(&rule.item.fields));
            if let ConstraintKind::Foreign(key) = &rule.item.kind {
                self.fields(&key.table, &key.fields);
                self.rows(&key.table);
            }
        }
        let new = |i: &&Attached<crate::schema::Index>| i.brought_by().is_some() && i.item.unique;
        for index in relation.indexes.iter().filter(new) {
            self.fields(&relation.base, &stored(index.item.fields()));
        }
        for condition in relation.conditions() {
            self.fields(&relation.base, &condition.holds.fields().into_iter().collect::<Vec<_>>());
            if condition.check.is_some() {
                self.rows(&relation.base);
            }
        }
    }
}

/// What statements of a person change and read.
pub struct Touched {
    /// What they read, or write: both must be as they were.
    pub reads: BTreeSet<Read>,
    /// What is other than before afterwards.
    pub changes: BTreeSet<Read>,
    /// The tables that get rows: these would be others, whatever else is changed about the tables.
    pub grown: BTreeSet<TableName>,
}

/// Whether statements may read all fields of a table: by a star that is no product, or by its row.
fn names_all(text: &str) -> bool {
    let words: String = text.split_whitespace().map(|word| format!(" {}", word.to_uppercase())).collect();
    [".*", " SELECT *", " RETURNING *", " ROW("].iter().any(|all| words.contains(all))
}

/// What the statements of a data step touch in these tables.
pub fn touched(data: &Data, before: &Schema) -> Touched {
    let text = data.sql.to_string();
    let version = Version::base(Arc::new(before.clone()));
    let (written, names) = (written(&text), named(&text).map(|n| n.tables));
    let tables: Vec<TableName> = match names {
        Ok(names) => {
            // A statement finds tables on its path alone.
            let finds = |t: &TableRef, r: &&Relation| t.schema.is_some() || before.search_path.contains(&r.name.schema);
            let found = names.iter().filter_map(|t| version.find(t).ok().filter(|r| finds(t, r)));
            found.map(|r| r.name.clone()).collect()
        }
        // PostgreSQL knows more than our parser.
        Err(_) => before.tables.keys().filter(|t| has_word(&text, t.name.as_str())).cloned().collect(),
    };
    let mut read = Reading { found: BTreeSet::new(), before };
    let mut found = Touched { reads: BTreeSet::new(), changes: BTreeSet::new(), grown: BTreeSet::new() };
    let more = written.as_ref().is_none_or(|w| w.more);
    for table in tables {
        read.rows(&table);
        let fields = before.tables[&table].fields.iter().map(|f| &f.name);
        let said = fields.clone().filter(|f| names_all(&text) || has_word(&text, f.as_str()));
        read.fields(&table, &said.cloned().collect::<Vec<_>>());
        let set = fields.filter(|f| more || written.as_ref().is_some_and(|w| w.set.contains(f)));
        found.changes.extend(set.map(|f| Read::Field(table.clone(), f.clone())));
        if more || written.as_ref().is_some_and(|w| w.deletes) {
            found.changes.insert(Read::Rows(table.clone()));
        }
        found.grown.extend(Some(table).filter(|_| more));
    }
    found.reads = read.found;
    found
}
