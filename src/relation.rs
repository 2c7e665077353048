//! The composed model: what one table of a version looks like from outside, and where each of its values lives.
//!
//! A row-preserving refactoring only rewrites `fields` (and what hangs on them), so any stack of them stays one view
//! and one put-back over the physical table. Contains no SQL.

use std::collections::BTreeMap;

use crate::name::{Ident, TableName};
use crate::schema::{Constraint, ConstraintKind, ForeignKey, Index, Schema, Table, distinct};
use crate::sql::{Expression, rename_in_definition};

/// One table of a version.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    /// Its name in this version.
    pub name: TableName,
    /// The physical table that has its rows.
    pub base: TableName,
    /// Which of them.
    pub rows: Rows,
    /// Its comment.
    pub comment: Option<String>,
    /// What it shows, in order.
    pub fields: Vec<Field>,
    /// Columns of the base that it no longer shows, and what a row inserted through it gets there.
    pub hidden: Vec<Hidden>,
    /// Constraints as they must hold in this version (without foreign keys that point here).
    pub constraints: Vec<Attached<Constraint>>,
    /// Rules that a refactoring brings and a later one takes away. No table will have them in the end, but rows that break
    /// them could not be made real step by step.
    pub passing: Vec<Attached<Constraint>>,
    /// Indexes as they must exist in this version.
    pub indexes: Vec<Attached<Index>>,
    /// The refactoring that asked for this very order of fields.
    pub ordered_by: Option<String>,
    /// The refactorings that touched it, oldest first.
    pub touched_by: Vec<String>,
    /// Whether one of them changed what a query can see, so that a view shows it.
    pub is_shown: bool,
}

/// Which rows of its base a relation shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Rows {
    /// All.
    #[default]
    Whole,
    /// Those that satisfy every condition.
    Part(Part),
    /// Those of several tables, of which the base is the first: the place in [`crate::version::Version::unions`].
    United(usize),
    /// Those that have what another table shows the rest of: the place in [`crate::version::Version::slices`].
    Slice(usize),
    /// Links of which the base has only some: the place in [`crate::version::Version::links`].
    Linked(usize),
    /// Fields of another table, each a row: the place in [`crate::version::Version::spreads`].
    Spread(usize),
    /// Those that SQL of the user tells: the place in [`crate::version::Version::told`]. The base is an empty table until
    /// that is real.
    Told(usize),
}

/// The rows of a base that one of several relations over it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What holds for them, oldest first.
    pub conditions: Vec<Condition>,
    /// Whether the relation will have the physical table itself; the others get new ones.
    pub heir: bool,
}

/// What holds for every row of a part.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The refactoring that divided the rows, or put some in quarantine.
    pub step: String,
    /// Over the columns of the base. A row for which it is unknown does not satisfy it.
    pub holds: Expression,
    /// The name of the check that the real table has for it. None where it is a rule that the refactoring brings: the
    /// rows that break it are in quarantine, and no other table shows them.
    pub check: Option<Ident>,
    /// The column, and the value in it, by which a row that is deleted breaks it instead of going.
    pub mark: Option<(Ident, Expression)>,
}

/// One field of a relation.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Name, type, default, comment, privileges … as seen from outside.
    pub shape: crate::schema::Field,
    /// Where its values are.
    pub home: Home,
}

/// Where the values of a field live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In a column of the base table: its place in [`Table::fields`].
    Own(usize),
    /// In another table, along foreign keys: the place in [`crate::version::Version::carries`].
    Carried(usize),
    /// In the complement alone, with a seed: the place in [`crate::version::Version::added`].
    Added(usize),
    /// In columns of several tables: the place in [`crate::version::Union::fields`].
    United(usize),
    /// In other fields of the row: the place in [`crate::version::Version::shaped`], and which of its fields.
    Shaped(usize, usize),
    /// In a row of another table, found by what this row stores: the place in [`crate::version::Version::lookups`], and
    /// which of its fields.
    Looked(usize, usize),
    /// Nowhere: computed from the row whenever it is read, the place in [`crate::version::Version::calculated`].
    Calculated(usize),
    /// In the complement, which gives each row a number of its own: the place in [`crate::version::Version::numberings`].
    Numbered(usize),
}

/// A column of the base that the version does not show.
#[derive(Debug, Clone, PartialEq)]
pub struct Hidden {
    /// The column.
    pub column: Ident,
    /// What an insert through the version stores in it.
    pub stores: Stores,
}

/// What an insert through a version stores in a hidden column.
#[derive(Debug, Clone, PartialEq)]
pub enum Stores {
    /// The column's own default.
    BaseDefault,
    /// A value that the user gave.
    Value(Expression),
    /// What its new home says, else NULL or the value given for that case: the place in the version's carries.
    Adopted(usize),
}

/// A constraint or index with the place it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Attached<T> {
    /// As it must be in this version: `fields` are names of the relation that it is attached to.
    pub item: T,
    /// What has it now.
    pub origin: Origin,
    /// What its definition calls the item's `fields`, in parallel: the physical columns.
    pub columns: Vec<Ident>,
}

/// Where a constraint or index comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A physical table has it: the place in the table's own list.
    Table(TableName, usize),
    /// Nothing has it yet: the refactoring that brings it.
    Step(String),
    /// Nothing has it yet, but which rows there are keeps it: the refactoring that divides or unites them.
    Rows(String),
}

impl<T: NamesFields> Attached<T> {
    /// One that a refactoring brings.
    #[must_use]
    pub fn new(step: &str, item: T) -> Self {
        Self { columns: item.fields().to_vec(), item, origin: Origin::Step(step.to_owned()) }
    }
}

impl<T> Attached<T> {
    /// Whether it is this table's own.
    #[must_use]
    pub fn is_of(&self, table: &TableName) -> bool {
        matches!(&self.origin, Origin::Table(of, _) if of == table)
    }

    /// The refactoring that brings it, if nothing has it yet.
    #[must_use]
    pub fn brought_by(&self) -> Option<&String> {
        match &self.origin {
            Origin::Step(step) => Some(step),
            Origin::Table(..) | Origin::Rows(_) => None,
        }
    }
}

impl Attached<Constraint> {
    /// A check's expression with the fields as the version calls them; none for other constraints.
    #[must_use]
    pub fn expression(&self) -> Option<Expression> {
        let names = self.columns.iter().cloned().zip(self.item.fields.iter().map(ToString::to_string));
        Expression::parse(&checked(&self.item)?.with(&names.collect())).ok()
    }

    /// The same constraint, with its definition in the words of the version if it has expressions.
    #[must_use]
    pub fn as_named(&self) -> Constraint {
        if self.item.kind == ConstraintKind::Exclude || self.item.definition.starts_with(distinct::INDEX) {
            let names = self.columns.iter().cloned().zip(self.item.fields.iter().cloned()).collect();
            return Constraint { definition: rename_in_definition(&self.item.definition, &names), ..self.item.clone() };
        }
        let alone = if self.item.definition.ends_with(ALONE) { ALONE } else { "" };
        let definition = self.expression().map(|e| format!("CHECK ({e}){alone}"));
        Constraint { definition: definition.unwrap_or_else(|| self.item.definition.clone()), ..self.item.clone() }
    }
}

/// Things that name fields.
pub trait NamesFields {
    /// The fields it names.
    fn fields(&self) -> &[Ident];
    /// The same, to be changed.
    fn fields_mut(&mut self) -> &mut Vec<Ident>;
    /// Gives fields their new names wherever they stand, all at once.
    fn rename(&mut self, names: &BTreeMap<Ident, Ident>) {
        rename_each(self.fields_mut().iter_mut(), names);
    }
}

impl NamesFields for Constraint {
    fn fields(&self) -> &[Ident] {
        &self.fields
    }
    fn fields_mut(&mut self) -> &mut Vec<Ident> {
        &mut self.fields
    }
}

impl NamesFields for Index {
    fn fields(&self) -> &[Ident] {
        &self.fields
    }
    fn fields_mut(&mut self) -> &mut Vec<Ident> {
        &mut self.fields
    }
    fn rename(&mut self, names: &BTreeMap<Ident, Ident>) {
        rename_each(self.keys.iter_mut().flatten().chain(&mut self.fields), names);
    }
}

fn rename_each<'i>(fields: impl Iterator<Item = &'i mut Ident>, names: &BTreeMap<Ident, Ident>) {
    for field in fields {
        if let Some(to) = names.get(field) {
            field.clone_from(to);
        }
    }
}

impl Relation {
    /// The relation that is just the table.
    #[must_use]
    pub fn of(name: &TableName, table: &Table) -> Self {
        let fields = table
            .fields
            .iter()
            .enumerate()
            .map(|(at, shape)| Field { shape: shape.clone(), home: Home::Own(at) })
            .collect();
        Self {
            name: name.clone(),
            base: name.clone(),
            rows: Rows::Whole,
            comment: table.comment.clone(),
            fields,
            hidden: Vec::new(),
            constraints: attach(name, &table.constraints),
            passing: Vec::new(),
            indexes: attach(name, &table.indexes),
            ordered_by: None,
            touched_by: Vec::new(),
            is_shown: false,
        }
    }

    /// Whether it differs from its table.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        !self.touched_by.is_empty()
    }

    /// What every row satisfies, over the columns of the base.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        match &self.rows {
            Rows::Whole | Rows::United(_) | Rows::Slice(_) | Rows::Linked(_) | Rows::Spread(_) | Rows::Told(_) => &[],
            Rows::Part(part) => &part.conditions,
        }
    }

    /// The same as one expression; `None` if it shows all rows.
    #[must_use]
    pub fn rows_shown(&self) -> Option<Expression> {
        let all: Vec<String> = self.conditions().iter().map(|c| format!("({})", c.holds)).collect();
        if all.is_empty() { None } else { Expression::parse(&all.join(" AND ")).ok() }
    }

    /// The rules by which rows are in quarantine.
    pub fn quarantines(&self) -> impl Iterator<Item = &Condition> {
        self.conditions().iter().filter(|c| c.check.is_none())
    }

    /// What a row gets that is deleted through it, if it does not go: a column, and the value.
    #[must_use]
    pub fn mark(&self) -> Option<&(Ident, Expression)> {
        self.conditions().iter().find_map(|c| c.mark.as_ref())
    }

    /// Whether it will have the physical table itself when it is real.
    #[must_use]
    pub fn is_heir(&self) -> bool {
        match &self.rows {
            Rows::Part(part) => part.heir,
            Rows::Slice(_) => false,
            Rows::Whole | Rows::United(_) | Rows::Linked(_) | Rows::Spread(_) | Rows::Told(_) => true,
        }
    }

    /// Finds a field.
    #[must_use]
    pub fn field(&self, name: &Ident) -> Option<&Field> {
        self.fields.iter().find(|f| &f.shape.name == name)
    }

    /// The field that shows a column of the base.
    #[must_use]
    pub fn showing(&self, schema: &Schema, column: &Ident) -> Option<&Field> {
        let table = schema.table(&self.base)?;
        self.fields
            .iter()
            .find(|f| matches!(f.home, Home::Own(at) if table.fields.get(at).is_some_and(|c| &c.name == column)))
    }

    /// The column of the base that holds a field, if it is one.
    #[must_use]
    pub fn column<'s>(&self, schema: &'s Schema, field: &Field) -> Option<&'s Ident> {
        match field.home {
            Home::Own(at) => schema.table(&self.base)?.fields.get(at).map(|c| &c.name),
            _ => None,
        }
    }

    /// Columns of the base for these fields; `None` if one is not the base's own.
    #[must_use]
    pub fn columns(&self, schema: &Schema, fields: &[Ident]) -> Option<Vec<Ident>> {
        fields.iter().map(|f| self.column(schema, self.field(f)?).cloned()).collect()
    }

    /// Foreign keys that lead from here.
    pub fn foreign_keys(&self) -> impl Iterator<Item = (&Attached<Constraint>, &ForeignKey)> {
        self.constraints.iter().filter_map(|c| match &c.item.kind {
            ConstraintKind::Foreign(key) => Some((c, key)),
            _ => None,
        })
    }

    /// Whether every value combination of these fields occurs once, at every moment (a whole unique key is among them).
    #[must_use]
    pub fn is_unique(&self, fields: &[Ident]) -> bool {
        self.kept_indexes().filter_map(Index::key).any(|key| key.iter().all(|k| fields.contains(k)))
    }

    /// What will tell its rows apart: as [`row_key`], by the names of the version.
    #[must_use]
    pub fn row_key(&self) -> Option<Vec<Ident>> {
        let given = |key: &Ident| self.field(key).is_some_and(|f| f.shape.not_null);
        let kept = self.constraints.iter().filter(|c| c.brought_by().is_none()).map(|c| &c.item);
        smallest_key(kept, self.kept_indexes(), given)
    }

    /// The indexes that old code keeps, too.
    fn kept_indexes(&self) -> impl Iterator<Item = &Index> {
        self.indexes.iter().filter(|i| i.brought_by().is_none()).map(|i| &i.item)
    }

    /// The rules that new code keeps, and no table yet.
    pub fn rules(&self) -> impl Iterator<Item = &Attached<Constraint>> {
        let brought = self.constraints.iter().filter(|c| c.brought_by().is_some()).chain(&self.passing);
        // A key of what is unique already says nothing new; that it may not be NULL is said beside it.
        brought.filter(|c| c.item.kind != ConstraintKind::Primary || !self.is_unique(&c.item.fields))
    }

    /// The demand of a refactoring that a field be NOT NULL.
    #[must_use]
    pub fn demand(&self, field: &Ident) -> Option<&Attached<Constraint>> {
        let fields = std::slice::from_ref(field);
        self.constraints.iter().find(|c| c.item.kind == ConstraintKind::NotNull && c.item.fields == fields)
    }

    /// Renames fields here and in what hangs on them, all at once, so that they may exchange names.
    pub fn rename_fields(&mut self, names: &BTreeMap<Ident, Ident>) {
        rename_each(self.fields.iter_mut().map(|f| &mut f.shape.name), names);
        self.constraints.iter_mut().chain(&mut self.passing).for_each(|c| c.item.rename(names));
        self.indexes.iter_mut().for_each(|i| i.item.rename(names));
    }

    /// Takes fields away, with the constraints and indexes that name one of them.
    pub fn remove_fields(&mut self, names: &[Ident]) {
        let mentions = |fields: &[Ident]| fields.iter().any(|f| names.contains(f));
        self.fields.retain(|f| !names.contains(&f.shape.name));
        self.constraints.retain(|c| !mentions(&c.item.fields));
        self.indexes.retain(|i| !mentions(&i.item.fields));
    }

    /// Puts a new field before another one, or last.
    pub fn insert_field(&mut self, field: Field, before: Option<&Ident>) {
        let at = before.and_then(|name| self.fields.iter().position(|f| f.shape.name == *name));
        self.fields.insert(at.unwrap_or(self.fields.len()), field);
    }

    /// Puts the named fields first, in this order; the others keep theirs.
    pub fn put_in_order(&mut self, order: &[Ident]) {
        let place = |f: &Field| order.iter().position(|name| *name == f.shape.name).unwrap_or(order.len());
        self.fields.sort_by_key(place);
    }

    /// The field that follows another.
    #[must_use]
    pub fn following(&self, name: &Ident) -> Option<Ident> {
        let at = self.fields.iter().position(|f| f.shape.name == *name)?;
        self.fields.get(at + 1).map(|f| f.shape.name.clone())
    }

    /// Marks that a refactoring touched it.
    pub fn touch(&mut self, step: &str) {
        self.touch_unseen(step);
        self.is_shown = true;
    }

    /// The same for a change that no query can see.
    pub fn touch_unseen(&mut self, step: &str) {
        if self.touched_by.last().is_none_or(|last| last != step) {
            self.touched_by.push(step.to_owned());
        }
    }
}

/// How a check says that it is for its table alone.
const ALONE: &str = " NO INHERIT";

/// What a check demands, as PostgreSQL or we wrote it; none for other constraints, or if it cannot be read.
#[must_use]
pub fn checked(constraint: &Constraint) -> Option<Expression> {
    let text = constraint.definition.strip_prefix("CHECK (")?;
    let text = text.trim_end_matches(" NOT VALID").trim_end_matches(ALONE).strip_suffix(')')?;
    Expression::parse(text).ok()
}

/// Whether rows of a table can be found by these columns through an index.
#[must_use]
pub fn is_indexed(table: &Table, columns: &[Ident]) -> bool {
    finds(table.indexes.iter(), columns)
}

/// Whether one of these indexes begins with the fields.
pub fn finds<'i>(mut indexes: impl Iterator<Item = &'i Index>, fields: &[Ident]) -> bool {
    indexes.any(|i| {
        let first: Vec<&Ident> = i.keys.iter().take(fields.len()).flatten().collect();
        i.valid && !i.partial && first.len() == fields.len() && fields.iter().all(|f| first.contains(&f))
    })
}

fn attach<T: NamesFields + Clone>(table: &TableName, items: &[T]) -> Vec<Attached<T>> {
    items
        .iter()
        .enumerate()
        .map(|(original, item)| Attached {
            columns: item.fields().to_vec(),
            item: item.clone(),
            origin: Origin::Table(table.clone(), original),
        })
        .collect()
}

/// The physical key that tells rows of a table apart: the primary key, else the smallest unique key of NOT NULL fields.
#[must_use]
pub fn row_key(table: &Table) -> Option<Vec<Ident>> {
    let given = |key: &Ident| table.fields.iter().any(|f| f.name == *key && f.not_null);
    smallest_key(table.constraints.iter(), table.indexes.iter(), given)
}

fn smallest_key<'t>(
    mut constraints: impl Iterator<Item = &'t Constraint>,
    indexes: impl Iterator<Item = &'t Index>,
    given: impl Fn(&Ident) -> bool,
) -> Option<Vec<Ident>> {
    if let Some(primary) = constraints.find(|c| c.kind == ConstraintKind::Primary) {
        return Some(primary.fields.clone());
    }
    indexes.filter_map(Index::key).filter(|keys| keys.iter().all(&given)).min_by_key(Vec::len)
}
