//! What several differences together may be: one refactoring that keeps the values.

mod fields;
mod names;
mod tables;

pub use fields::allowed as allowed_values;

use std::collections::BTreeSet;

use crate::cli::convert::Words;
use crate::cli::suggest::difference::{Kind, Wanted, field, is_compared};
use crate::cli::suggest::search::{Choice, Node, Oracle, Test};
use crate::name::{Ident, TableName};
use crate::schema::{Constraint, ConstraintKind, Field, ForeignKey, Schema, Table};

/// A shape on the way, beside the wanted one.
pub struct Now<'n> {
    /// What leads there, and what differs.
    pub node: &'n Node,
    /// The wanted one.
    pub wanted: &'n Wanted,
}

/// Commands, and what they take for granted.
pub struct Proposal {
    /// As they are typed.
    pub commands: Vec<Words>,
    /// The choice.
    pub choice: Choice,
}

/// All that the differences may be.
pub fn proposals(now: &Now, oracle: &mut dyn Oracle) -> Vec<Proposal> {
    let mut all = tables::proposals(now, oracle);
    all.extend(names::proposals(now));
    all.extend(fields::proposals(now, oracle));
    all
}

/// A foreign key with its far side.
pub type Reference<'t> = (&'t Constraint, &'t ForeignKey);

/// The foreign keys of a table.
pub fn references(table: &Table) -> impl Iterator<Item = Reference<'_>> {
    table.constraints.iter().filter_map(|c| match &c.kind {
        ConstraintKind::Foreign(key) => Some((c, key)),
        _ => None,
    })
}

/// The fields of the primary key.
pub fn primary(table: &Table) -> &[Ident] {
    table.constraints.iter().find(|c| c.kind == ConstraintKind::Primary).map_or(&[], |c| &c.fields)
}

impl<'n> Now<'n> {
    /// The shape as it is.
    pub fn schema(&self) -> &'n Schema {
        &self.node.schema
    }

    fn with(&self, wanted: fn(&Kind) -> bool) -> impl Iterator<Item = &'n TableName> {
        self.node.left.iter().filter(move |d| wanted(&d.kind)).map(|d| &d.table)
    }

    /// Tables that are to go.
    pub fn extra(&self) -> impl Iterator<Item = (&'n TableName, &'n Table)> {
        let schema = self.schema();
        self.with(|kind| *kind == Kind::TableExtra).filter_map(|n| Some((n, schema.tables.get(n)?)))
    }

    /// Tables that are to come.
    pub fn missing(&self) -> impl Iterator<Item = (&'n TableName, &'n Table)> {
        let schema = &self.wanted.schema;
        self.with(|kind| *kind == Kind::TableMissing).filter_map(|n| Some((n, schema.tables.get(n)?)))
    }

    /// Tables of both, as they are and as they should be.
    pub fn common(&self) -> impl Iterator<Item = (&'n TableName, &'n Table, &'n Table)> {
        let there = &self.wanted.schema;
        let both = self.schema().tables.iter().filter(|(_, t)| is_compared(t));
        both.filter_map(|(name, table)| Some((name, table, there.tables.get(name)?)))
    }

    /// A choice about fields as they are.
    pub fn choice(&self, sentence: String, of: &[(&TableName, &Ident)], test: Test, likely: usize) -> Choice {
        let about: BTreeSet<_> = of.iter().filter_map(|(table, field)| self.node.origin(table, field)).collect();
        Choice { sentence, about, test, likely }
    }
}

/// Fields of a table that another one does not have.
pub fn only<'t>(table: &'t Table, other: &Table) -> Vec<&'t Field> {
    table.fields.iter().filter(|f| field(other, &f.name).is_none()).collect()
}
