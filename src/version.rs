//! A version: the schema as it looks after the first *n* refactorings, folded in memory.
//!
//! Pure. Every refactoring is checked by [`check`] after it ran, so that a fault is blamed on the step that made it.

mod crossing;
mod ddl;
mod floor;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalogue::{Refactor, Refactoring};
use crate::fact::{Claim, Elsewhere, Fact, KeyField, Loss, Words};
use crate::name::{FieldRef, Ident, TableName, TableRef, own};
use crate::refusal::{Refusal, similar};
use crate::relation::{Attached, Condition, Field, Hidden, Home, Relation, Rows, Stores, is_indexed};
use crate::schema::{Constraint, ForeignKey, Schema, Table, TableKind};
use crate::sql::type_names::{canonical, typed_constant, without_modifier};
use crate::sql::{Expression, Literal, lengths};
pub use crossing::Suspect;
pub use ddl::Ddl;
pub use floor::Floor;
pub use told::Told;

/// A refactoring with the name of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The file's name without `.toml`: `0003-rename-orders`.
    pub name: String,
    /// What it does.
    pub refactoring: Refactoring,
}

/// The shape after some refactorings, and where everything in it lives.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The physical tables.
    pub schema: Arc<Schema>,
    /// Every table of this version, by its name in it.
    pub relations: BTreeMap<TableName, Relation>,
    /// What stands under floors, and nobody sees ([`Floor::under`]).
    pub under: BTreeMap<TableName, Relation>,
    /// Names that the base has and this version has not, with what became of them.
    pub gone: BTreeMap<TableName, Gone>,
    /// Tables that only the new shape has.
    pub made: Vec<Made>,
    /// Tables that the new shape no longer has.
    pub dropped: Vec<Dropped>,
    /// Fields that live in another table.
    pub carries: Vec<Carry>,
    /// Earlier stages of fields that were moved on: their complements keep what they have.
    pub dormant: Vec<Dormant>,
    /// Fields that live in the complement alone.
    pub added: Vec<Added>,
    /// Fields that other fields of their row tell.
    pub shaped: Vec<Shaped>,
    /// Fields that a row of another table tells.
    pub lookups: Vec<Lookup>,
    /// Fields that are computed from their row.
    pub calculated: Vec<Calculated>,
    /// Rows of several tables.
    pub unions: Vec<Union>,
    /// Fields that a table of their own shows.
    pub slices: Vec<Slice>,
    /// Foreign keys that a table of links shows.
    pub links: Vec<Link>,
    /// Fields that rows of another table show.
    pub spreads: Vec<Spread>,
    /// Keys that rows get anew.
    pub numberings: Vec<Numbering>,
    /// Foreign keys to tables whose rows are divided.
    pub held: Vec<Held>,
    /// Rows that break a rule which will be real.
    pub quarantined: Vec<Quarantined>,
    /// The refactorings, in their order.
    pub steps: Vec<String>,
    /// Tables that SQL of the user tells.
    pub told: Vec<Told>,
    /// Enums whose labels are other ones.
    pub enums: Vec<Relabelled>,
    /// DDL of the user that waits until it is made real.
    pub ddl: Vec<Ddl>,
    /// Tables of ours that stand for relations which are not real yet.
    pub floors: Vec<Floor>,
    /// What the data must satisfy.
    pub facts: Vec<Fact>,
    /// What materializing makes unrecoverable.
    pub losses: Vec<Loss>,
    /// What will be lost or left behind when this is materialized, and other remarks, each with its step.
    pub remarks: Vec<Remark>,
}

/// A table name that a version no longer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The refactoring that took it away.
    pub step: String,
    /// `was renamed to ….`
    pub fate: String,
    /// Its name now, if it still is there.
    pub now: Option<TableName>,
}

/// A table that only the new shape has: real from the start, in our own schema until it is materialized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The refactoring that made it.
    pub step: String,
    /// Its physical name: a table of [`Version::schema`].
    pub table: TableName,
    /// The refactoring whose kept table it is.
    pub restores: Option<String>,
}

/// A table that the new shape no longer has.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropped {
    /// The refactoring that dropped it.
    pub step: String,
    /// Its physical name.
    pub table: TableName,
    /// Its shape when it went: what had left it before is not kept.
    pub last: Relation,
}

/// Rows that break a rule, as they are kept when it becomes real.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantined {
    /// The refactoring that brings the rule.
    pub step: String,
    /// What its table showed of them before.
    pub rows: Relation,
}

/// Where what materializing a refactoring leaves without a home is kept: values with their keys, or a whole table.
#[must_use]
pub fn lost_table(step: &str) -> TableName {
    own(&["lost", step])
}

/// Where a refactoring keeps what it takes from a field that is not its first.
#[must_use]
pub fn kept_apart(step: &str, field: &Ident) -> String {
    format!("{step}_{}", field.as_str())
}

/// The number of a refactoring, or its whole name where it has none.
#[must_use]
pub fn numbered(step: &str) -> &str {
    let end = step.find(|c: char| !c.is_ascii_digit()).unwrap_or(step.len());
    if end == 0 { step } else { &step[..end] }
}

/// Something to be told before it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The refactoring.
    pub step: String,
    /// What.
    pub kind: RemarkKind,
    /// In words.
    pub text: String,
    /// The function that it is about, where who has seen to it may go on.
    pub code: Option<String>,
}

/// How grave a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemarkKind {
    /// Materializing drops this.
    Lost,
    /// Materializing is refused while this stands.
    InTheWay,
    /// Good to know.
    Note,
}

/// Which way a value is carried along a foreign key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From many rows to the one that they refer to.
    Up,
    /// From one row to the many that refer to it.
    Down,
}

/// What happens to a write of old code that breaks the fact a carry rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OnOldWrite {
    /// It fails with SQLSTATE 23000.
    #[default]
    Reject,
    /// The last writer wins for the whole group.
    Propagate,
}

/// A field shown in one table whose values are stored in another.
#[derive(Debug, Clone, PartialEq)]
pub struct Carry {
    /// The refactoring that moved it.
    pub step: String,
    /// Short unique name for what is generated.
    pub id: Ident,
    /// Up or down.
    pub direction: Direction,
    /// The physical table that holds the values.
    pub source: TableName,
    /// The column in it.
    pub column: Ident,
    /// The physical table whose rows show them.
    pub target: TableName,
    /// The way from the many to the one, hop by hop.
    pub hops: Vec<Hop>,
    /// The key that tells the target's rows apart.
    pub row_key: Vec<Ident>,
    /// The type.
    pub type_name: String,
    /// The collation, if it is not the type's own.
    pub collation: Option<String>,
    /// Whether the column is NOT NULL where it is stored.
    pub not_null: bool,
    /// What the stored column gets when the new shape has nothing to say.
    pub fill: Option<Expression>,
    /// What to do with a breaking write of old code.
    pub on_old_write: OnOldWrite,
    /// The refactoring whose kept values seed the complement (for the inverse of a materialized one).
    pub restores: Option<String>,
    /// Checks and foreign keys of the field alone, which the complement repeats under the same names: places in the
    /// source table's constraints.
    pub constraints: Vec<usize>,
    /// For sentences: table and field as the user knows them.
    pub words: CarryWords,
}

/// A carry that a later refactoring has drawn out along more foreign keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Dormant {
    /// As it was.
    pub carry: Carry,
    /// What became of it: a place in [`Version::carries`].
    pub now: usize,
    /// The rest of the way.
    pub further: Vec<Hop>,
}

impl Carry {
    /// Hops whose referring side has no index to be found by.
    pub fn unindexed<'c>(&'c self, schema: &'c Schema) -> impl Iterator<Item = &'c Hop> {
        self.hops.iter().filter(|h| schema.table(&h.from).is_some_and(|t| !is_indexed(t, &h.from_columns)))
    }

    /// The columns of the target that the complement follows: the referred key (up), or the row's own key (down).
    #[must_use]
    pub fn target_key(&self) -> &[Ident] {
        match (self.direction, self.hops.last()) {
            (Direction::Up, Some(last)) => &last.to_columns,
            _ => &self.row_key,
        }
    }
}

/// Names for sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarryWords {
    /// The table that gives the field.
    pub from: TableName,
    /// The field there.
    pub field: Ident,
    /// The table that gets it.
    pub to: TableName,
    /// The field there.
    pub as_field: Ident,
}

/// One step along a foreign key, from the many to the one. Physical names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The referring table.
    pub from: TableName,
    /// Its fields.
    pub from_columns: Vec<Ident>,
    /// The table referred to.
    pub to: TableName,
    /// Its key.
    pub to_columns: Vec<Ident>,
}

/// A new field: stored in the complement until materialized.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// The refactoring that added it.
    pub step: String,
    /// Short unique name for what is generated.
    pub id: Ident,
    /// The physical table whose rows have it.
    pub table: TableName,
    /// The key of that table that the complement follows.
    pub key: Vec<Ident>,
    /// The type.
    pub type_name: String,
    /// What a row without an own value shows: over the physical columns of the table.
    pub seed: Option<Expression>,
    /// The same, from the row that it refers to.
    pub copied: Option<Copied>,
    /// The refactoring whose kept values it starts with.
    pub restores: Option<String>,
    /// Whether the complement keeps it in one row with other fields of the table. Not where its type has no NULL for a
    /// row that has only the others, or where others write it, too.
    pub shared: bool,
}

/// Where a field gets its first values: once, for what is written there later is no longer its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The way to the other table.
    pub hop: Hop,
    /// The column there.
    pub column: Ident,
}

impl Added {
    /// Whether it starts with the values of that column, or finds them by it.
    #[must_use]
    pub fn is_copied_from(&self, table: &TableName, column: &Ident) -> bool {
        let reads = |c: &Copied| c.hop.to == *table && (c.column == *column || c.hop.to_columns.contains(column));
        self.copied.as_ref().is_some_and(reads)
    }

    /// The columns of its table that tell the value of a row without an own one.
    #[must_use]
    pub fn told_by(&self) -> Vec<Ident> {
        let referring = self.copied.iter().flat_map(|c| c.hop.from_columns.clone());
        self.seed.iter().flat_map(Expression::fields).chain(referring).collect()
    }
}

/// Rows of several tables shown as one's.
#[derive(Debug, Clone, PartialEq)]
pub struct Union {
    /// The refactoring.
    pub step: String,
    /// Short unique name for what is generated.
    pub id: Ident,
    /// The tables. The first keeps its identity when the union is made real.
    pub branches: Vec<Branch>,
    /// The fields, by the names of the refactoring, with their types.
    pub fields: Vec<(Ident, String)>,
    /// What is unique over all of them: names of constraints (or indexes), and the fields.
    pub keys: Vec<(Ident, Vec<Ident>)>,
    /// The field that must be given, and the check that a row fails which belongs to no table.
    pub discriminator: Option<(Ident, Ident)>,
    /// Whether the last table has the rows that were in quarantine.
    pub brings_back: bool,
    /// What the last field becomes in a row that old code deletes from the first table: it goes to the last.
    pub mark: Option<Expression>,
}

/// One of the tables of a union.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// The physical table.
    pub table: TableName,
    /// The key that tells its rows apart.
    pub key: Vec<Ident>,
    /// Over the union's fields: which rows belong here, unless an earlier one of `branches` after the first takes them.
    /// None for the first: the rest.
    pub takes: Option<Expression>,
    /// Where the value of each field is.
    pub sources: Vec<Source>,
}

/// Where a branch has the value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// In a column.
    Column(Ident),
    /// It is the same in every row.
    Constant(String),
    /// It has no place in this table yet, so the complement keeps it: the place in [`Version::added`].
    Added(usize),
    /// It is another number than the row has in its table: the place in [`Version::numberings`].
    Numbered(usize),
}

/// A foreign key to a table whose rows are divided: what it refers to must be of the part that will have the table itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The refactoring.
    pub step: String,
    /// Short unique name for what is generated.
    pub id: Ident,
    /// The physical table that refers.
    pub table: TableName,
    /// Its columns.
    pub columns: Vec<Ident>,
    /// The physical table that is divided.
    pub other: TableName,
    /// The columns that are referred to.
    pub found_by: Vec<Ident>,
    /// Over its columns: which rows are of the part.
    pub rows: Expression,
    /// The foreign key's name.
    pub constraint: Ident,
}

/// Numbers that rows get anew, beside those that they have: drawn once, when a row is first seen, and kept in the
/// complement.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbering {
    /// The refactoring.
    pub step: String,
    /// Short unique name for what is generated.
    pub id: Ident,
    /// The physical table.
    pub table: TableName,
    /// Its key, which the complement follows.
    pub key: Vec<Ident>,
    /// What draws that key, where new code does not know it.
    pub key_draws: Option<String>,
    /// The type of both numbers.
    pub type_name: String,
    /// Which rows have one, if not all.
    pub rows: Option<Expression>,
    /// What draws a number; none if the complement has a sequence of its own.
    pub draws: Option<String>,
    /// The options of that sequence, where they are not what a sequence has by itself.
    pub options: Option<String>,
    /// Where else such numbers are, with the column: no number is in two places.
    pub apart: Vec<(TableName, Ident)>,
    /// The refactoring whose kept numbers it starts with.
    pub restores: Option<String>,
}

impl Numbering {
    /// The complement.
    #[must_use]
    pub fn kept(&self) -> TableName {
        own(&["kept", self.id.as_str()])
    }

    /// The complement's own sequence.
    #[must_use]
    pub fn sequence(&self) -> TableName {
        own(&["numbers", self.id.as_str()])
    }
}

impl Branch {
    /// The column of a field, if there is one.
    #[must_use]
    pub fn column(&self, field: usize) -> Option<&Ident> {
        match &self.sources[field] {
            Source::Column(column) => Some(column),
            Source::Constant(_) | Source::Added(_) | Source::Numbered(_) => None,
        }
    }

    /// The new numbers that a field shows, if it does.
    #[must_use]
    pub fn numbering(&self, field: usize) -> Option<usize> {
        match self.sources[field] {
            Source::Numbered(at) => Some(at),
            Source::Constant(_) | Source::Added(_) | Source::Column(_) => None,
        }
    }
}

/// Fields of a table that a table of their own shows, for those rows that have such a part. Which do not is kept in the
/// complement: a row of old code has one, a row of new code none until it is inserted.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// The refactoring.
    pub step: String,
    /// Short unique name for what is generated.
    pub id: Ident,
    /// The physical table.
    pub table: TableName,
    /// Its key, which both tables have.
    pub key: Vec<Ident>,
    /// The columns that leave it.
    pub columns: Vec<Ident>,
    /// What each of them is in a row that has no such part, where it is not the column's default.
    pub fill: Vec<Option<Expression>>,
    /// Which rows of old code have one, over the columns. All, if not said.
    pub holds: Option<Expression>,
    /// The refactoring whose kept table says which rows have one, too: with the columns that referred to the key.
    pub restores: Option<(String, Vec<Ident>)>,
}

/// A foreign key shown as links, of which a row may have several: the first is where old code has it, the others are in
/// the table of the links, which is made for the new shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The refactoring.
    pub step: String,
    /// Short unique name for what is generated.
    pub id: Ident,
    /// The physical table that refers to the other.
    pub table: TableName,
    /// Its key.
    pub key: Vec<Ident>,
    /// The columns of the foreign key.
    pub columns: Vec<Ident>,
    /// The physical table of the links.
    pub links: TableName,
    /// Its columns that refer to the table.
    pub from: Vec<Ident>,
    /// Its columns that refer to the other.
    pub to: Vec<Ident>,
    /// The other physical table.
    pub far: TableName,
    /// Its key.
    pub far_key: Vec<Ident>,
}

/// Fields of a row shown as rows of their own, each under its label; NULL is no row. The table that these rows will be in is
/// made for the new shape, and empty until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// The refactoring.
    pub step: String,
    /// Short unique name for what is generated.
    pub id: Ident,
    /// The physical table with the fields.
    pub table: TableName,
    /// Its key.
    pub key: Vec<Ident>,
    /// The columns.
    pub columns: Vec<Ident>,
    /// The label of each, as SQL.
    pub labels: Vec<String>,
    /// The physical table of the rows.
    pub rows: TableName,
    /// Its columns that refer to the table.
    pub from: Vec<Ident>,
    /// Its column with the label.
    pub label: Ident,
    /// Its column with the value.
    pub value: Ident,
}

/// Fields told by others of the same row, with expressions both ways. Where the way back and forth does not give what
/// was written, the complement remembers it, together with the stored values that it belongs to: a later write of old
/// code makes it stale by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Shaped {
    /// Whether old code, too, may store only what comes back the same: keys rest on it.
    pub exact: bool,
    /// The refactoring.
    pub step: String,
    /// Short unique name for what is generated.
    pub id: Ident,
    /// The physical table.
    pub table: TableName,
    /// The key of that table that the complement follows.
    pub key: Vec<Ident>,
    /// The columns that store it.
    pub columns: Vec<Ident>,
    /// A column that one of the fields will have when they are real: which of them, and which field.
    pub stays: Option<(usize, usize)>,
    /// The columns' types.
    pub column_types: Vec<String>,
    /// The fields that show it, by the names of the refactoring.
    pub names: Vec<Ident>,
    /// Their types.
    pub types: Vec<String>,
    /// The value of each field, over the columns.
    pub get: Vec<Expression>,
    /// The value of each column, over `names`.
    pub put: Vec<Expression>,
    /// The refactoring whose kept originals it starts with.
    pub restores: Option<String>,
    /// Whether the complement keeps them in one row with other fields of the table ([`Added::shared`]).
    pub shared: bool,
    /// Whether these are labels of an enum that goes ([`Relabelled`]): what outlives it is kept as text.
    pub relabelled: bool,
}

impl Shaped {
    /// Whether only the limit of a type changes, or goes: then each stored value stays as it is.
    #[must_use]
    pub fn relabels(&self) -> bool {
        match (&self.columns[..], &self.column_types[..], &self.types[..], &self.get[..]) {
            ([column], [from], [to], [get]) => {
                let get = get.to_string();
                let cast = get.strip_prefix(&format!("{column}::")).map(canonical);
                let wanted = canonical(to);
                let is_same = get == column.to_string()
                    || cast.is_some_and(|cast| cast == wanted || cast == without_modifier(&wanted));
                self.stays.is_some() && is_same && lengths::relabels(from, to)
            }
            _ => false,
        }
    }
}

/// An enum whose labels are other ones: until it is real a type of its own in the new shape, which then takes the place
/// of the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relabelled {
    /// The refactoring.
    pub step: String,
    /// The type.
    pub real: TableName,
    /// The type that the new shape has meanwhile.
    pub shown: TableName,
    /// Its labels, in their order.
    pub labels: Vec<String>,
}

/// Fields that are told by the row of another table which is found by what the row stores. Either a foreign key, told by
/// the values that it stands for; or values, told by the foreign key that leads to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// The refactoring.
    pub step: String,
    /// Short unique name for what is generated.
    pub id: Ident,
    /// The physical table whose rows have the fields.
    pub table: TableName,
    /// The columns that are stored in it.
    pub columns: Vec<Ident>,
    /// The physical table that is looked into.
    pub other: TableName,
    /// Its columns that the stored ones are compared with, one each.
    pub found_by: Vec<Ident>,
    /// What else a row that is found has in a column: a constant.
    pub always: Option<(Ident, String)>,
    /// How each of them is compared. Where NULL is a value in none, NULL leads nowhere.
    pub compared: Vec<Compared>,
    /// Its columns that are shown.
    pub shows: Vec<Ident>,
    /// Their types.
    pub types: Vec<String>,
    /// What writing them does where no row of the other table has them.
    pub missing: Missing,
    /// What stored values do that no row of the other table has.
    pub unlisted: Unlisted,
    /// Which values lead somewhere at all, if not all.
    pub only: Option<Only>,
    /// Whether the other table keeps itself from having two rows with the same `found_by`.
    pub unique: bool,
    /// The tables' names in sentences and messages: the one with the fields, the other.
    pub words: (TableName, TableName),
    /// The fields that it shows, by the names of the refactoring.
    pub fields: Vec<Ident>,
    /// The refactoring whose kept table has more rows to list.
    pub restores: Option<String>,
    /// What fields are where nothing is found, as it was kept.
    pub kept: Vec<Kept>,
    /// What fields that are shown no more get in a new row, if not NULL: which of them, and the value.
    pub left: Vec<(usize, Expression)>,
}

/// How values of two tables are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// With NULL like with a value, as several together may be.
    pub null_safe: bool,
    /// By what they look like, where values can be equal and not the same, or the type knows no equality.
    pub as_text: bool,
    /// As rows, which they are: `IS NULL` tells something else of them.
    pub as_rows: bool,
}

/// Values of a looked-up field that rows had which find nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Short unique name for what is generated.
    pub id: Ident,
    /// Which of the fields.
    pub member: usize,
    /// The key of the table, which the complement follows.
    pub key: Vec<Ident>,
    /// What they were kept for: the refactoring, and the field if it is not its first.
    pub restores: String,
}

impl Lookup {
    /// Whether the fields are what is stored: a key that means something by itself.
    #[must_use]
    pub fn is_natural(&self) -> bool {
        self.shows == self.found_by
    }
}

/// Values that lead somewhere; the others are no values, as NULL is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Only {
    /// What holds for them, over the stored columns.
    pub holds: Expression,
    /// What is stored where there is none: a value for each column, if not NULL.
    pub none: Vec<Option<Expression>>,
}

/// What writing fields does where no row of the looked-up table has them.
#[derive(Debug, Clone, PartialEq)]
pub enum Missing {
    /// It breaks the foreign key of that name.
    Refuse(Ident),
    /// The row is a part of the one that looks it up: it is made, changed and deleted with it.
    Part {
        /// What each field is where there is no such part, if not NULL.
        absent: Vec<Option<Expression>>,
        /// Whether it goes when all fields become that: some of its own must have values.
        goes: bool,
    },
    /// A row is made: another one's values change only if nobody else refers to it, and never those of a table that is
    /// still shown.
    Make {
        /// The stored columns may be NULL, for values that are all NULL.
        optional: bool,
        /// The table is still shown, so its rows belong to others too.
        shown: bool,
        /// What each field is where there is no row, if not NULL.
        absent: Vec<Option<Expression>>,
        /// No two rows refer to the same, so each has its own.
        own: bool,
    },
}

/// What to do with stored values that the looked-up table does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Unlisted {
    /// Refuse them.
    #[default]
    Reject,
    /// List them.
    Insert,
    /// Show NULL.
    Null,
}

/// A field that is computed from its row and cannot be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Calculated {
    /// The refactoring that added it.
    pub step: String,
    /// Short unique name for what is generated.
    pub id: Ident,
    /// The physical table.
    pub table: TableName,
    /// The type.
    pub type_name: String,
    /// Its value, over the physical columns.
    pub value: Expression,
}

impl Version {
    /// The version before any refactoring.
    #[must_use]
    pub fn base(schema: Arc<Schema>) -> Self {
        let relations = schema.tables.iter().map(|(name, table)| (name.clone(), Relation::of(name, table))).collect();
        Self {
            schema,
            relations,
            under: BTreeMap::new(),
            gone: BTreeMap::new(),
            made: Vec::new(),
            dropped: Vec::new(),
            carries: Vec::new(),
            dormant: Vec::new(),
            added: Vec::new(),
            unions: Vec::new(),
            slices: Vec::new(),
            links: Vec::new(),
            spreads: Vec::new(),
            numberings: Vec::new(),
            held: Vec::new(),
            quarantined: Vec::new(),
            steps: Vec::new(),
            told: Vec::new(),
            enums: Vec::new(),
            ddl: Vec::new(),
            floors: Vec::new(),
            shaped: Vec::new(),
            lookups: Vec::new(),
            calculated: Vec::new(),
            facts: Vec::new(),
            losses: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Whatever the data must satisfy: what refactorings need, and the rules that they bring.
    #[must_use]
    pub fn facts(&self) -> Vec<Fact> {
        let rules = self.all().flat_map(|r| r.rules().map(move |c| (r, c)));
        // All rows that are shown keep a rule by which the others are in quarantine.
        let kept = |r: &Relation, c: &Attached<Constraint>| r.quarantines().any(|q| Some(&q.step) == c.brought_by());
        let rules = rules.filter(|(r, c)| !kept(r, c));
        let rules = rules.filter_map(|(relation, c)| {
            let (table, other) = (relation.name.clone(), relation.name.clone());
            let words = Words { table, field: c.item.fields.first()?.clone(), other };
            let claim = Claim::Keeps { rule: c.as_named(), words };
            Some(Fact { step: c.brought_by()?.clone(), claim })
        });
        self.facts.iter().cloned().chain(rules).collect()
    }

    /// The version after one more refactoring.
    ///
    /// # Errors
    /// When the refactoring makes no sense in this version.
    pub fn after(&self, step: &Step) -> Result<Self, Refusal> {
        self.directly_after(step).or_else(|refusal| self.on_floors(step, refusal))
    }

    pub(crate) fn directly_after(&self, step: &Step) -> Result<Self, Refusal> {
        let mut next = step.refactoring.after(&step.name, self)?;
        self.leaves_told(&next)?;
        self.leaves_ddl(&next)?;
        next.may_cross(self)?;
        next.steps.push(step.name.clone());
        let keys: Vec<_> = next.losses.iter().map(|loss| next.key_kept_by(loss)).collect();
        let kept: Vec<String> = next.losses.iter().map(|loss| next.kept_for(loss)).collect();
        for (loss, (key, kept)) in next.losses.iter_mut().zip(keys.into_iter().zip(kept)) {
            // What a later refactoring makes of the losses changes nothing of where its values are looked for.
            if loss.step == step.name {
                (loss.key, loss.kept) = (key, kept);
            }
        }
        for relation in next.relations.values_mut() {
            if relation.touched_by.last() == Some(&step.name) {
                for Field { shape, .. } in &mut relation.fields {
                    shape.default = shape.default.take().map(|default| typed_constant(&default, &shape.type_name));
                }
            }
            let Relation { fields, passing, .. } = relation;
            passing.retain(|c| c.item.fields.iter().all(|f| fields.iter().any(|shown| shown.shape.name == *f)));
        }
        next.note_rewrites(&step.name);
        if let Some(name) = next.ours() {
            return Err(Refusal::Other {
                why: format!("a field is called `{name}`, as hidden fields of the views are"),
                hint: Some("rename it first".into()),
            });
        }
        debug_assert_eq!(check(&next), Ok(()), "{} broke an invariant", step.name);
        Ok(next)
    }

    /// A table cannot be rewritten while another table stores values of the type of its rows.
    fn note_rewrites(&mut self, step: &str) {
        let rewritten =
            |r: &&Relation| r.touched_by.last().is_some_and(|l| l == step) && r.is_heir() && self.is_rewritten(r);
        let mut texts = Vec::new();
        for relation in self.relations.values().filter(rewritten) {
            for user in self.table(relation).row_type_users.iter().filter(|user| user.is_field) {
                let text = format!(
                    "{} uses the type of `{}`, which must be rewritten",
                    user.description,
                    relation.base.short()
                );
                texts.push(text);
            }
        }
        texts.retain(|text| self.remarks.iter().all(|r| r.text != *text));
        for text in texts {
            self.remark(step, RemarkKind::InTheWay, text);
        }
    }

    /// Whether a table gets or changes a column that each of its rows must be written for.
    fn is_rewritten(&self, relation: &Relation) -> bool {
        relation.fields.iter().any(|f| match f.home {
            Home::Own(_) | Home::United(_) => false,
            Home::Added(at) => self.added[at].seed.is_some() || self.added[at].copied.is_some(),
            Home::Carried(_) | Home::Shaped(..) | Home::Looked(..) | Home::Calculated(_) | Home::Numbered(_) => true,
        })
    }

    /// Where the key of the rows is that a loss is about, as it will be when its refactoring is real.
    fn key_kept_by(&self, loss: &Loss) -> Vec<(Ident, KeyField)> {
        let named = self.relations.get(&loss.words.table).filter(|r| r.base == loss.table);
        let Some(relation) = named.or_else(|| self.over(&loss.table)) else { return Vec::new() };
        let place = |name: &Ident| match relation.field(name)?.home {
            Home::Own(at) => Some(KeyField::Stored(self.table(relation).fields[at].name.clone())),
            Home::Carried(at) => Some(KeyField::Elsewhere(Elsewhere::Carried(at))),
            Home::Added(at) => Some(KeyField::Elsewhere(Elsewhere::Added(at))),
            Home::Looked(at, member) => Some(KeyField::Elsewhere(Elsewhere::Looked(at, member))),
            Home::Numbered(at) => Some(KeyField::Elsewhere(Elsewhere::Numbered(at))),
            Home::Shaped(..) | Home::Calculated(_) | Home::United(_) => None,
        };
        let one = |name: Ident| place(&name).map(|at| (name, at));
        relation.row_key().and_then(|key| key.into_iter().map(one).collect()).unwrap_or_default()
    }

    /// A field that a view would show beside a hidden one of the same name.
    fn ours(&self) -> Option<Ident> {
        let hidden = |name: &Ident| {
            let name = name.as_str();
            ["refactor_token", "refactor_part", "refactor_branch", "refactor_own"].contains(&name)
                || name.starts_with("refactor_key_")
                || name.starts_with("refactor_hidden_")
        };
        self.touched().flat_map(|r| &r.fields).map(|f| &f.shape.name).find(|name| hidden(name)).cloned()
    }

    /// The version after all of `steps`.
    ///
    /// # Errors
    /// The first refactoring that makes no sense, with its place in `steps`.
    pub fn fold(schema: Arc<Schema>, steps: &[Step]) -> Result<Self, (usize, Refusal)> {
        let mut version = Self::base(schema);
        for (at, step) in steps.iter().enumerate() {
            version = version.after(step).map_err(|refusal| (at, refusal))?;
        }
        Ok(version)
    }

    /// Finds a table as it was typed: an unqualified name is looked up along the search path, then anywhere if only one
    /// schema has it.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, wanted: &TableRef) -> Result<&Relation, Refusal> {
        let named =
            |name: &TableName| wanted.name == name.name && wanted.schema.as_ref().is_none_or(|s| *s == name.schema);
        let place =
            |name: &TableName| self.schema.search_path.iter().position(|s| *s == name.schema).unwrap_or(usize::MAX);
        if let Some(found) = self.relations.values().filter(|r| named(&r.name)).min_by_key(|r| place(&r.name)) {
            return Ok(found);
        }
        if let Some((_, gone)) = self.gone.iter().find(|(name, _)| named(name)) {
            let now = gone.now.as_ref().map(TableName::short);
            return Err(Refusal::GoneTable {
                table: wanted.clone(),
                fate: format!("{} by {}", gone.fate, gone.step),
                now,
            });
        }
        if let Some((name, kind)) = self.schema.other_names.iter().find(|(name, _)| named(name)) {
            return Err(Refusal::NotATable { name: name.clone(), kind: (*kind).to_owned() });
        }
        let lower_case = TableRef { name: Ident::new(wanted.name.as_str().to_lowercase()), ..wanted.clone() };
        if lower_case != *wanted && self.relations.keys().any(|n| n.name == lower_case.name) {
            return self.find(&lower_case);
        }
        let tables: BTreeSet<String> = self.relations.keys().map(TableName::short).collect();
        Err(Refusal::NoTable {
            table: wanted.clone(),
            similar: similar(wanted.name.as_str(), tables.iter().map(String::as_str)),
        })
    }

    /// Finds a table that may be refactored.
    ///
    /// # Errors
    /// When there is none, or it is a partition, an inheritance child, foreign, distributed, or an extension's.
    pub fn find_plain(&self, wanted: &TableRef) -> Result<&Relation, Refusal> {
        let relation = self.find(wanted)?;
        let table = self.table(relation);
        let refuse =
            |why: String, hint: Option<String>| Err(Refusal::TableKind { table: relation.name.clone(), why, hint });
        if let Some(parent) = &table.partition_of {
            return refuse(
                format!("is a partition of `{}`", parent.short()),
                Some(format!("refactor the whole: `{}`", parent.short())),
            );
        }
        if !table.inherits.is_empty() || (table.kind == TableKind::Plain && !table.children.is_empty()) {
            return refuse(
                "takes part in table inheritance".into(),
                Some("`ALTER TABLE … NO INHERIT …` makes it a table that stands alone".into()),
            );
        }
        if table.kind == TableKind::Foreign {
            return refuse(
                "is a foreign table: its rows live elsewhere".into(),
                Some("refactor it where its rows live".into()),
            );
        }
        if table.distributed {
            return refuse(
                "is distributed by Citus, which allows no triggers on it and no writes through views of it".into(),
                Some(format!(
                    "make it a table of this server first: `SELECT undistribute_table({})`",
                    Literal(relation.name.to_string())
                )),
            );
        }
        if let Some(extension) = &table.extension {
            return refuse(
                format!("belongs to the extension `{extension}`"),
                Some("refactor your own tables; the extension's change with its versions".into()),
            );
        }
        Ok(relation)
    }

    /// Finds a table whose fields may be refactored.
    ///
    /// # Errors
    /// As [`Version::find_plain`], or when it has its fields from a type.
    pub fn find_own(&self, wanted: &TableRef) -> Result<&Relation, Refusal> {
        let relation = self.find_plain(wanted)?;
        let told = match relation.rows {
            Rows::United(at) => Some(&self.unions[at].step),
            Rows::Linked(at) => Some(&self.links[at].step),
            Rows::Spread(at) => Some(&self.spreads[at].step),
            Rows::Whole | Rows::Part(_) | Rows::Slice(_) | Rows::Told(_) => None,
        };
        if let Some(step) = told {
            return Err(Refusal::Divided { table: relation.name.clone(), step: step.clone() });
        }
        if let Rows::Told(at) = relation.rows {
            let step = &self.told[at].step;
            return Err(Refusal::Other {
                why: format!("{step} tells `{}` by SQL of its own, and is not real yet", relation.name.short()),
                hint: Some(format!("materialize {step} first: `refactor materialize`")),
            });
        }
        if let Some(of) = &self.table(relation).of_type {
            return Err(Refusal::TableKind {
                table: relation.name.clone(),
                why: format!("has its fields from the type `{of}`"),
                hint: Some(format!(
                    "change the type, or make it a table of its own: `ALTER TABLE {} NOT OF`",
                    relation.base
                )),
            });
        }
        Ok(relation)
    }

    /// Finds a field of a table that may be refactored.
    ///
    /// # Errors
    /// When there is no such table or field.
    pub fn find_field(&self, wanted: &FieldRef) -> Result<(&Relation, &Field), Refusal> {
        let relation = self.find_own(&wanted.table)?;
        let folded = Ident::new(wanted.field.as_str().to_lowercase());
        let field =
            relation.field(&wanted.field).or_else(|| relation.field(&folded)).ok_or_else(|| Refusal::NoField {
                table: relation.name.clone(),
                field: wanted.field.clone(),
                similar: similar(wanted.field.as_str(), relation.fields.iter().map(|f| f.shape.name.as_str())),
            })?;
        Ok((relation, field))
    }

    /// The physical table under a relation.
    ///
    /// # Panics
    /// Never: a relation's base is a table of the schema ([`check`]).
    #[must_use]
    pub fn table(&self, relation: &Relation) -> &Table {
        &self.schema.tables[&relation.base]
    }

    /// What a new row of a physical table gets in columns that nobody sees any more.
    #[must_use]
    pub fn left_behind(&self, table: &TableName) -> Vec<(Ident, Expression)> {
        let gone = || self.dropped.iter().find(|d| d.table == *table).map(|d| &d.last);
        let hidden = self.over(table).or_else(gone).into_iter().flat_map(|r| &r.hidden);
        let value = |h: &Hidden| match &h.stores {
            Stores::Value(value) => Some((h.column.clone(), value.clone())),
            Stores::BaseDefault | Stores::Adopted(_) => None,
        };
        hidden.filter_map(value).collect()
    }

    /// The relation that has a physical table's rows; of several, the one that will have the table itself.
    #[must_use]
    pub fn over(&self, base: &TableName) -> Option<&Relation> {
        self.all().find(|r| &r.base == base && r.is_heir())
    }

    /// The place of a refactoring among those that are pending.
    #[must_use]
    pub fn place_of(&self, step: &str) -> usize {
        self.steps.iter().position(|s| s == step).unwrap_or(self.steps.len())
    }

    /// What held for the rows of a relation before a refactoring: a rule that it brings is for these.
    pub fn conditions_before<'r>(&self, relation: &'r Relation, step: &str) -> impl Iterator<Item = &'r Condition> {
        let at = self.place_of(step);
        relation.conditions().iter().filter(move |c| self.place_of(&c.step) < at).collect::<Vec<_>>().into_iter()
    }

    /// A relation's foreign keys to a table of which some rows are in quarantine, with the last refactoring that put any
    /// there.
    pub fn keys_to_some_rows<'v>(
        &'v self,
        relation: &'v Relation,
    ) -> impl Iterator<Item = (&'v Attached<Constraint>, &'v ForeignKey, &'v str)> {
        relation.foreign_keys().filter(|(c, _)| !c.item.inherited).filter_map(|(constraint, key)| {
            let last = self.over(&key.table)?.quarantines().last()?;
            Some((constraint, key, &*last.step))
        })
    }

    /// Refuses a table that shows a part of another's rows, while others show the rest.
    ///
    /// # Errors
    /// Names the refactoring that divided them.
    pub fn must_not_be_divided(&self, relation: &Relation) -> Result<(), Refusal> {
        let quarantined = || relation.conditions().iter().all(|c| c.check.is_none());
        match relation.rows {
            Rows::Part(_) if quarantined() => Ok(()),
            _ => self.must_be_whole(relation),
        }
    }

    /// Refuses a way over tables of which some rows are not shown.
    ///
    /// # Errors
    /// Names the refactoring that hides them.
    pub fn must_be_whole_along(&self, hops: &[Hop]) -> Result<(), Refusal> {
        let tables = hops.iter().flat_map(|h| [&h.from, &h.to]);
        tables.filter_map(|t| self.over(t)).try_for_each(|r| self.must_be_whole(r))
    }

    /// Refuses a table that does not show all rows of its base.
    ///
    /// # Errors
    /// Names the refactoring that divided them.
    pub fn must_be_whole(&self, relation: &Relation) -> Result<(), Refusal> {
        let step = match relation.rows {
            Rows::Slice(at) => Some(&self.slices[at].step),
            Rows::Linked(at) => Some(&self.links[at].step),
            Rows::Spread(at) => Some(&self.spreads[at].step),
            _ => relation.conditions().last().map(|c| &c.step),
        };
        match step {
            None => Ok(()),
            Some(step) => Err(Refusal::Divided { table: relation.name.clone(), step: step.clone() }),
        }
    }

    /// The relation to be changed by `step`.
    ///
    /// # Panics
    /// When there is none of that name: callers have found it before.
    pub fn change(&mut self, name: &TableName, step: &str) -> &mut Relation {
        let relation = self.change_unseen(name, step);
        relation.touch(step);
        relation
    }

    /// The same for a change that no query can see: it makes no view.
    ///
    /// # Panics
    /// The same.
    pub fn change_unseen(&mut self, name: &TableName, step: &str) -> &mut Relation {
        let relation = self.relations.get_mut(name).unwrap_or_else(|| panic!("relation {name} was found before"));
        relation.touch_unseen(step);
        relation
    }

    /// Relations that a view shows, since it would not do to show their tables.
    pub fn shown(&self) -> impl Iterator<Item = &Relation> {
        self.relations.values().filter(|r| r.is_shown)
    }

    /// Relations that differ from their tables.
    pub fn touched(&self) -> impl Iterator<Item = &Relation> {
        self.all().filter(|r| r.is_touched())
    }

    /// All relations, with those under floors.
    pub fn all(&self) -> impl Iterator<Item = &Relation> {
        self.relations.values().chain(self.under.values())
    }

    /// A relation by its name, be it under a floor.
    #[must_use]
    pub fn named(&self, name: &TableName) -> Option<&Relation> {
        self.relations.get(name).or_else(|| self.under.get(name))
    }

    /// The column of the base that a field will be when it is real: its own, or the one that only changes its type.
    #[must_use]
    pub fn stays<'v>(&'v self, relation: &Relation, field: &Field) -> Option<&'v Ident> {
        match field.home {
            Home::Own(at) => Some(&self.table(relation).fields[at].name),
            Home::Shaped(at, member) => {
                let shaped = &self.shaped[at];
                shaped.stays.filter(|(_, field)| *field == member).map(|(column, _)| &shaped.columns[column])
            }
            Home::United(at) => match relation.rows {
                Rows::United(union) => self.unions[union].branches[0].column(at),
                _ => None,
            },
            Home::Carried(_) | Home::Added(_) | Home::Looked(..) | Home::Calculated(_) | Home::Numbered(_) => None,
        }
    }

    /// The refactoring that put a field where it is.
    #[must_use]
    pub fn put_there_by(&self, relation: &Relation, field: &Field) -> String {
        match field.home {
            Home::Own(_) | Home::United(_) => relation.touched_by.last().cloned().unwrap_or_default(),
            Home::Carried(at) => self.carries[at].step.clone(),
            Home::Added(at) => self.added[at].step.clone(),
            Home::Shaped(at, _) => self.shaped[at].step.clone(),
            Home::Looked(at, _) => self.lookups[at].step.clone(),
            Home::Calculated(at) => self.calculated[at].step.clone(),
            Home::Numbered(at) => self.numberings[at].step.clone(),
        }
    }

    /// Whether new fields stand among the table's own, where only a new table can have them.
    #[must_use]
    pub fn is_reordered(&self, relation: &Relation) -> bool {
        let table = self.table(relation);
        let mut last = None;
        let mut new_seen = false;
        for field in &relation.fields {
            let column = self.stays(relation, field);
            match column.and_then(|c| table.fields.iter().position(|f| f.name == *c)) {
                None => new_seen = true,
                Some(at) if new_seen || last.is_some_and(|l| at < l) => return true,
                Some(at) => last = Some(at),
            }
        }
        false
    }

    /// An expression over a relation's fields as one over the physical columns of its base.
    ///
    /// # Errors
    /// When it reads a field that does not live in the base itself.
    pub fn over_base(&self, relation: &Relation, expression: &Expression) -> Result<Expression, Refusal> {
        let mut values = BTreeMap::new();
        for name in expression.fields() {
            let Some(field) = relation.field(&name) else { continue };
            let Some(column) = relation.column(&self.schema, field) else {
                let table = TableRef { schema: Some(relation.name.schema.clone()), name: relation.name.name.clone() };
                let step = self.put_there_by(relation, field);
                return Err(Refusal::NotMaterialized { field: FieldRef { table, field: name }, step });
            };
            values.insert(name, column.to_string());
        }
        Expression::parse(&expression.with(&values)).map_err(|e| Refusal::Expression(e.to_string()))
    }

    /// The columns of the base that hold these fields.
    ///
    /// # Errors
    /// When one is not there, or does not live in the base itself.
    pub fn stored(&self, relation: &Relation, fields: &[Ident]) -> Result<Vec<Ident>, Refusal> {
        let table = TableRef { schema: Some(relation.name.schema.clone()), name: relation.name.name.clone() };
        let one = |name: &Ident| {
            let (relation, field) = self.find_field(&FieldRef { table: table.clone(), field: name.clone() })?;
            relation.column(&self.schema, field).cloned().ok_or_else(|| Refusal::NotMaterialized {
                field: FieldRef { table: table.clone(), field: name.clone() },
                step: self.put_there_by(relation, field),
            })
        };
        fields.iter().map(one).collect()
    }

    /// The physical name of a new table until it is materialized: its own, so that messages name it as they will, unless
    /// something of ours is called so.
    #[must_use]
    pub fn new_table(&self, step: &str, name: &Ident) -> TableName {
        let ours = ["journal", "in_", "kept_", "lost_", "new_", "floor_", "under_"]
            .iter()
            .any(|ours| name.as_str().starts_with(ours));
        let own_name = own(&[name.as_str()]);
        if ours || self.schema.tables.contains_key(&own_name) {
            own(&["new", numbered(step), name.as_str()])
        } else {
            own_name
        }
    }

    /// An expression over the physical columns of a relation's base as one over its fields, if it shows them all.
    #[must_use]
    pub fn over_shown(&self, relation: &Relation, expression: &Expression) -> Option<Expression> {
        let shown = |column: &Ident| Some(relation.showing(&self.schema, column)?.shape.name.to_string());
        let values = expression.fields().into_iter().map(|c| Some((c.clone(), shown(&c)?))).collect::<Option<_>>()?;
        Expression::parse(&expression.with(&values)).ok()
    }

    /// Where a dropped table is kept.
    #[must_use]
    pub fn kept_as(&self, dropped: &Dropped) -> TableName {
        match self.dropped.iter().find(|d| d.step == dropped.step) {
            Some(first) if first.table != dropped.table => lost_table(&kept_apart(&dropped.step, &dropped.table.name)),
            _ => lost_table(&dropped.step),
        }
    }

    /// Where the values of a loss are kept.
    #[must_use]
    pub fn kept_in(&self, loss: &Loss) -> TableName {
        let table = |d: &&Dropped| loss.columns.is_empty() && d.step == loss.step && d.table == loss.table;
        if let Some(dropped) = self.dropped.iter().find(table) {
            return self.kept_as(dropped);
        }
        lost_table(&self.kept_for(loss))
    }

    /// What the values of a loss are kept for: its refactoring, and the field if it is not its first.
    #[must_use]
    pub fn kept_for(&self, loss: &Loss) -> String {
        if !loss.kept.is_empty() {
            return loss.kept.clone();
        }
        match self.losses.iter().find(|l| l.step == loss.step) {
            Some(first) if first != loss => {
                let (step, Words { table, field, .. }) = (&loss.step, &loss.words);
                let same = |l: &&Loss| l.step == *step && l.words.field == *field;
                let alone = self.losses.iter().find(same) == Some(loss);
                let apart = if alone { step.clone() } else { kept_apart(step, &table.name) };
                kept_apart(&apart, field)
            }
            _ => loss.step.clone(),
        }
    }

    /// Adds a remark, once.
    pub fn remark(&mut self, step: &str, kind: RemarkKind, text: impl Into<String>) {
        self.remark_on(step, kind, text, None);
    }

    /// The same of a function of the user's.
    pub fn remark_on(&mut self, step: &str, kind: RemarkKind, text: impl Into<String>, code: Option<&str>) {
        let remark = Remark { step: step.to_owned(), kind, text: text.into(), code: code.map(str::to_owned) };
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }
}

/// What every version satisfies. The message names what does not.
///
/// # Errors
/// The first invariant that is broken.
pub fn check(version: &Version) -> Result<(), String> {
    for (name, relation) in version.relations.iter().chain(&version.under) {
        if name != &relation.name {
            return Err(format!("{name} is filed under another name than {}", relation.name));
        }
        if !version.schema.tables.contains_key(&relation.base) {
            return Err(format!("{name} has no base table"));
        }
        let mut names = BTreeSet::new();
        for field in &relation.fields {
            if !names.insert(&field.shape.name) {
                return Err(format!("{name} shows `{}` twice", field.shape.name));
            }
        }
        for item in relation.constraints.iter().chain(&relation.passing).flat_map(|c| &c.item.fields) {
            if !names.contains(item) {
                return Err(format!("a constraint of {name} names `{item}`, which it does not show"));
            }
        }
        if version.gone.contains_key(name) {
            return Err(format!("{name} is both there and gone"));
        }
    }
    let mut heirs = BTreeSet::new();
    if let Some(twice) = version.all().filter(|r| r.is_heir()).find(|r| !heirs.insert(&r.base)) {
        return Err(format!("two relations have the base {}", twice.base));
    }
    Ok(())
}
