//! The closed list of refactorings, and what every one of them can do.
//!
//! A refactoring is one struct: clap reads it from the command line, serde from a file, and [`Refactor`] says what it
//! means. Nothing else in the program switches over the list.

pub mod add_calculated;
pub mod add_check;
pub mod add_enum_value;
pub mod add_exclusion;
pub mod add_field;
pub mod add_foreign_key;
pub mod add_primary_key;
pub mod add_surrogate_key;
pub mod add_unique;
pub mod bring_back;
pub mod change_foreign_key;
pub mod change_type;
pub mod code_to_flags;
pub mod collapse_associative;
pub mod comment;
pub mod copy_field;
pub mod create_index;
pub mod create_table;
pub mod data;
pub mod ddl;
pub mod draft;
pub mod drop_constraint;
pub mod drop_default;
pub mod drop_enum_value;
pub mod drop_field;
pub mod drop_index;
pub mod drop_not_null;
pub mod drop_table;
pub mod entangled;
pub mod enum_values;
pub mod extract_json;
pub mod extract_table;
pub mod flags_to_code;
pub mod fold_json;
pub mod hard_delete;
pub mod inline_table;
pub mod invert_flag;
mod keys;
pub mod leaving;
pub mod likeness;
pub mod make_associative;
pub mod merge_fields;
pub mod merge_tables;
pub mod move_field;
pub mod move_to_schema;
pub mod original;
pub mod path;
pub mod pivot;
pub mod primary;
pub mod quarantine;
pub mod rename_constraint;
pub mod rename_enum_value;
pub mod rename_field;
pub mod rename_table;
pub mod renumber;
pub mod reorder_fields;
pub mod replace_surrogate_key;
pub mod reshape;
pub mod restored;
pub mod rule;
pub mod set_default;
pub mod set_not_null;
pub mod soft_delete;
pub mod split_field;
pub mod split_rows;
pub mod split_table;
pub mod sql;
pub mod union_tables;
pub mod uniting;
pub mod unpivot;

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::version::Version;

/// What a refactoring can do.
pub trait Refactor {
    /// What it wants, to complete "cannot …": ``move field `a.f` to `b` ``.
    fn wish(&self) -> String;

    /// A short name for its file: `move-city-to-customers`.
    fn slug(&self) -> String;

    /// The version after it. The only place where relations change; facts, losses and remarks are noted on the way.
    ///
    /// # Errors
    /// When it makes no sense in `before`.
    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal>;

    /// The refactoring that takes it back, for the version after it. `step` names this one, whose kept values it uses.
    ///
    /// # Errors
    /// When it makes no sense in `before`.
    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal>;

    /// The rows that it changes, once, when it is shown.
    fn data(&self) -> Option<&data::Data> {
        None
    }
}

/// The version after more refactorings, which come as parts of one.
fn bring_along(these: &[Refactoring], step: &str, after: Version) -> Result<Version, Refusal> {
    these.iter().try_fold(after, |version, one| one.after(step, &version))
}

macro_rules! catalogue {
    ($($subject:literal: $($(#[doc = $doc:literal])+ $variant:ident($type:ty) = $name:literal,)+)+) => {
        /// One refactoring.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Subcommand)]
        #[serde(rename_all = "kebab-case")]
        pub enum Refactoring {
            $($($(#[doc = $doc])+ $variant($type),)+)+
        }

        /// The names of all refactorings, as verbs and file heads.
        pub const NAMES: &[&str] = &[$($($name),+),+];

        /// The same by what they are about.
        pub const SUBJECTS: &[(&str, &[&str])] = &[$(($subject, &[$($name),+])),+];

        impl Refactoring {
            /// Its verb.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $($(Self::$variant(_) => $name,)+)+ }
            }
        }

        impl Refactor for Refactoring {
            fn wish(&self) -> String {
                match self { $($(Self::$variant(it) => it.wish(),)+)+ }
            }
            fn slug(&self) -> String {
                match self { $($(Self::$variant(it) => it.slug(),)+)+ }
            }
            fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
                match self { $($(Self::$variant(it) => it.after(step, before),)+)+ }
            }
            fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
                match self { $($(Self::$variant(it) => it.inverse(step, before),)+)+ }
            }
            fn data(&self) -> Option<&data::Data> {
                match self { $($(Self::$variant(it) => it.data(),)+)+ }
            }
        }
    };
}

catalogue! {
    "Fields":

    /// Add a field with a type, a default or an expression over the row
    AddField(add_field::AddField) = "add-field",
    /// Add a field that is computed from its row and cannot be written
    AddCalculated(add_calculated::AddCalculated) = "add-calculated",
    /// Remove a field
    DropField(drop_field::DropField) = "drop-field",
    /// Give a field another name
    RenameField(rename_field::RenameField) = "rename-field",
    /// Show the fields of a table in another order
    ReorderFields(reorder_fields::ReorderFields) = "reorder-fields",
    /// Move a field to another table along a foreign key
    MoveField(move_field::MoveField) = "move-field",
    /// Copy a field to the rows that refer to its table
    CopyField(copy_field::CopyField) = "copy-field",
    /// Give a field another type, or other codes
    ChangeType(change_type::ChangeType) = "change-type",
    /// Make one field of several
    MergeFields(merge_fields::MergeFields) = "merge-fields",
    /// Make several fields of one
    SplitField(split_field::SplitField) = "split-field",
    /// Turn a boolean field round, under another name
    InvertFlag(invert_flag::InvertFlag) = "invert-flag",
    /// Make fields that are true or false of a code
    CodeToFlags(code_to_flags::CodeToFlags) = "code-to-flags",
    /// Make a code of fields of which one is true
    FlagsToCode(flags_to_code::FlagsToCode) = "flags-to-code",
    /// Make a field of what stands under a key of JSON objects
    ExtractJson(extract_json::ExtractJson) = "extract-json",
    /// Put a field under a key of JSON objects
    FoldJson(fold_json::FoldJson) = "fold-json",
    /// Add a value to an enum
    AddEnumValue(add_enum_value::AddEnumValue) = "add-enum-value",
    /// Give a value of an enum another name
    RenameEnumValue(rename_enum_value::RenameEnumValue) = "rename-enum-value",
    /// Drop a value of an enum, and give its rows another
    DropEnumValue(drop_enum_value::DropEnumValue) = "drop-enum-value",

    "Tables":

    /// Create a table that only the new shape has
    CreateTable(create_table::CreateTable) = "create-table",
    /// Remove a table
    DropTable(drop_table::DropTable) = "drop-table",
    /// Give a table another name
    RenameTable(rename_table::RenameTable) = "rename-table",
    /// Move a table to another schema
    MoveToSchema(move_to_schema::MoveToSchema) = "move-to-schema",
    /// Make a table of the distinct values of fields, and refer to it
    ExtractTable(extract_table::ExtractTable) = "extract-table",
    /// Give a table's fields to the one that refers to it
    InlineTable(inline_table::InlineTable) = "inline-table",
    /// Make a table of some fields of another, with the same key
    SplitTable(split_table::SplitTable) = "split-table",
    /// Give a table's fields to the one whose rows it adds to, one for one
    MergeTables(merge_tables::MergeTables) = "merge-tables",
    /// Make a table of links of a foreign key
    MakeAssociative(make_associative::MakeAssociative) = "make-associative",
    /// Make a foreign key of a table of links
    CollapseAssociative(collapse_associative::CollapseAssociative) = "collapse-associative",
    /// Make rows of fields of the same kind
    Unpivot(unpivot::Unpivot) = "unpivot",
    /// Make fields of rows that a label tells apart
    Pivot(pivot::Pivot) = "pivot",

    "Rows, and anything else":

    /// Make a table of some of another's rows
    SplitRows(split_rows::SplitRows) = "split-rows",
    /// Make one table of several
    UnionTables(union_tables::UnionTables) = "union-tables",
    /// Keep deleted rows of a table, with a mark
    SoftDelete(soft_delete::SoftDelete) = "soft-delete",
    /// Delete the rows that a field marks, and the field
    HardDelete(hard_delete::HardDelete) = "hard-delete",
    /// Change rows once, by statements written for the new shape
    Data(data::Data) = "data",
    /// Run DDL of your own, for what no other refactoring does
    Ddl(ddl::Ddl) = "ddl",
    /// Tell a table by SQL of your own, and say how it is written
    Sql(sql::Sql) = "sql",

    "Keys, rules and indexes":

    /// Add a primary key, or make other fields it
    AddPrimaryKey(add_primary_key::AddPrimaryKey) = "add-primary-key",
    /// Number the rows of a table, and make that its key
    AddSurrogateKey(add_surrogate_key::AddSurrogateKey) = "add-surrogate-key",
    /// Remove the numbers that are a table's key, and make other fields its key
    ReplaceSurrogateKey(replace_surrogate_key::ReplaceSurrogateKey) = "replace-surrogate-key",
    /// Refuse NULL in a field
    SetNotNull(set_not_null::SetNotNull) = "set-not-null",
    /// Allow NULL in a field
    DropNotNull(drop_not_null::DropNotNull) = "drop-not-null",
    /// Give a field a default
    SetDefault(set_default::SetDefault) = "set-default",
    /// Take the default off a field
    DropDefault(drop_default::DropDefault) = "drop-default",
    /// Add a check: a condition that every row keeps
    AddCheck(add_check::AddCheck) = "add-check",
    /// Add a unique constraint
    AddUnique(add_unique::AddUnique) = "add-unique",
    /// Add an exclusion: operators that hold for no two rows
    AddExclusion(add_exclusion::AddExclusion) = "add-exclusion",
    /// Add a foreign key
    AddForeignKey(add_foreign_key::AddForeignKey) = "add-foreign-key",
    /// Change what a foreign key does, and when it is checked
    ChangeForeignKey(change_foreign_key::ChangeForeignKey) = "change-foreign-key",
    /// Drop a check, a key, an exclusion or a foreign key
    DropConstraint(drop_constraint::DropConstraint) = "drop-constraint",
    /// Give a constraint or an index another name
    RenameConstraint(rename_constraint::RenameConstraint) = "rename-constraint",
    /// Create an index
    CreateIndex(create_index::CreateIndex) = "create-index",
    /// Drop an index
    DropIndex(drop_index::DropIndex) = "drop-index",
    /// Say what a table, a field, a constraint or an index is for
    Comment(comment::Comment) = "comment",
}
