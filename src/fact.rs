//! Facts: what the data must satisfy for a refactoring to make sense. Typed here, asked in `generate::fact`.

use crate::name::{Ident, TableName};
use crate::refusal::list;
use crate::schema::distinct::Distinct;
use crate::schema::{Constraint, ConstraintKind};
use crate::sql::Expression;
use crate::sql::exclusion::Exclusion;
use crate::version::{Compared, Hop};

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// The refactoring that needs it.
    pub step: String,
    /// What must hold.
    pub claim: Claim,
}

/// The kinds of facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// All rows that lead to one row of the target agree on a field (NULL counts as a value).
    Agree {
        /// The column, in the table that the way starts from.
        column: Ident,
        /// The way to the target.
        hops: Vec<Hop>,
        /// Whether `=` and `IS NULL` tell values apart, or only what they look like.
        exact: bool,
        /// For the sentence.
        words: Words,
    },
    /// Every row of the target is reached by a row of the source (needed where the field is NOT NULL).
    Reached {
        /// The way.
        hops: Vec<Hop>,
        /// For the sentence.
        words: Words,
    },
    /// Every row of the referring table reaches one of the target (needed where the field is NOT NULL).
    Reaches {
        /// The way.
        hops: Vec<Hop>,
        /// For the sentence.
        words: Words,
    },
    /// Every row whose columns are not NULL finds a row of another table by them.
    Listed {
        /// The table.
        table: TableName,
        /// Its columns.
        columns: Vec<Ident>,
        /// The other table.
        other: TableName,
        /// The columns that they are compared with.
        found_by: Vec<Ident>,
        /// How each is compared.
        compared: Vec<Compared>,
        /// For the sentence.
        words: Words,
    },
    /// No two rows have the same values, NULL apart.
    Alone {
        /// The table.
        table: TableName,
        /// Its columns.
        columns: Vec<Ident>,
        /// How each is compared.
        compared: Vec<Compared>,
        /// For the sentence.
        words: Words,
    },
    /// No row refers to one that is in quarantine.
    Unreferred {
        /// The referring table.
        table: TableName,
        /// Its columns.
        columns: Vec<Ident>,
        /// Which of its rows, if not all.
        rows: Option<Expression>,
        /// The table referred to.
        other: TableName,
        /// Its columns.
        key: Vec<Ident>,
        /// What holds for its rows that are not in quarantine.
        kept: Option<Expression>,
        /// For the sentence: the field is the name of the foreign key.
        words: Words,
    },
    /// No key is in more than one table.
    Apart {
        /// The tables, each with its columns.
        places: Vec<(TableName, Vec<Ident>)>,
        /// For the sentence.
        words: Words,
    },
    /// Whatever a foreign key to a divided table refers to is of the part that will have the table itself: a place in the
    /// version's held keys.
    Stays {
        /// The place.
        at: usize,
        /// The two tables.
        tables: [TableName; 2],
        /// For the sentence.
        words: Words,
    },
    /// An expression gives a value that fits the type for every row, and not NULL if it may not be.
    Fits {
        /// The table.
        table: TableName,
        /// The expression over its physical columns.
        expression: String,
        /// The type it must fit.
        type_name: String,
        /// Whether NULL is refused.
        not_null: bool,
        /// Which rows, if not all.
        rows: Option<Expression>,
        /// For the sentence.
        words: Words,
    },
    /// Every row of a table of the version keeps a rule that a refactoring brings.
    Keeps {
        /// The rule.
        rule: Constraint,
        /// For the sentence; the table has this name in the version.
        words: Words,
    },
}

impl Claim {
    /// The tables that it is about.
    #[must_use]
    pub fn tables(&self) -> Vec<&TableName> {
        match self {
            Self::Agree { hops, .. } => vec![&hops[0].from],
            Self::Reached { hops, .. } | Self::Reaches { hops, .. } => {
                hops.iter().flat_map(|h| [&h.from, &h.to]).collect()
            }
            Self::Listed { table, other, .. } | Self::Unreferred { table, other, .. } => vec![table, other],
            Self::Stays { tables, .. } => tables.iter().collect(),
            Self::Apart { places, .. } => places.iter().map(|(table, _)| table).collect(),
            Self::Alone { table, .. } | Self::Fits { table, .. } => vec![table],
            // By its name in the version; `generate` knows where its rows are.
            Self::Keeps { .. } => Vec::new(),
        }
    }
}

/// Names for sentences, as the user knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The table whose rows are spoken of.
    pub table: TableName,
    /// The field.
    pub field: Ident,
    /// The other table.
    pub other: TableName,
}

impl Claim {
    /// What it speaks of.
    #[must_use]
    pub fn words(&self) -> &Words {
        match self {
            Self::Agree { words, .. }
            | Self::Reached { words, .. }
            | Self::Reaches { words, .. }
            | Self::Listed { words, .. }
            | Self::Stays { words, .. }
            | Self::Alone { words, .. }
            | Self::Unreferred { words, .. }
            | Self::Apart { words, .. }
            | Self::Fits { words, .. }
            | Self::Keeps { words, .. } => words,
        }
    }
}

impl Fact {
    /// The fact as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match &self.claim {
            Claim::Agree { words: w, .. } => {
                format!("each `{}` must have one `{}` in its `{}`", w.table.short(), w.field, w.other.short())
            }
            Claim::Reached { words: w, .. } => format!(
                "each `{}` must have a `{}`, since `{}` may not be NULL",
                w.table.short(),
                w.other.short(),
                w.field
            ),
            Claim::Reaches { words: w, .. } => format!(
                "each `{}` must refer to a `{}`, since `{}` may not be NULL",
                w.table.short(),
                w.other.short(),
                w.field
            ),
            Claim::Listed { words: w, .. } => {
                format!("each `{}` in `{}` must be in `{}`", w.field.as_str(), w.table.short(), w.other.short())
            }
            Claim::Stays { words: w, .. } => {
                format!(
                    "each `{}` of `{}` must be of a row that stays in `{}`",
                    w.field.as_str(),
                    w.table.short(),
                    w.other.short()
                )
            }
            Claim::Alone { words: w, .. } => format!(
                "each `{}` must have a `{}` of its own, by which `{}` finds it",
                w.table.short(),
                w.field,
                w.other.short()
            ),
            Claim::Unreferred { words: w, .. } => {
                format!(
                    "each `{}` must refer to a `{}` that is still shown ({})",
                    w.table.short(),
                    w.other.short(),
                    w.field
                )
            }
            Claim::Apart { words: w, places } => {
                let tables: Vec<String> = places.iter().map(|(t, _)| t.short()).collect();
                format!("each `{}` must be in one of {} only", w.field.as_str(), crate::refusal::list(&tables))
            }
            Claim::Fits { words: w, type_name, .. } if w.field.as_str() == "--where" => {
                format!("the condition must be a {type_name} for each `{}`", w.table.short())
            }
            Claim::Fits { words: w, type_name, .. } => {
                format!("each `{}` must give a value of type {type_name} for `{}`", w.table.short(), w.field)
            }
            Claim::Keeps { rule, words: w } => kept(&w.table.short(), rule),
        }
    }

    /// What to do when it does not hold.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match &self.claim {
            Claim::Agree { .. } => {
                "which value is right is a question of your design: correct the data, then try again"
            }
            Claim::Reached { .. } | Claim::Reaches { .. } => {
                "give those rows a partner first, or drop NOT NULL from the field"
            }
            Claim::Listed { .. } => {
                "insert them there first, or say `--on-missing insert` (the tool does) or `--on-missing null`"
            }
            Claim::Alone { .. } => "correct those rows first; who refers to which of them could not be told",
            Claim::Apart { .. } => "give the rows of one table other keys first, or let them be drawn: `--renumber`",
            Claim::Stays { .. } => {
                "a foreign key can refer to one table only: let those rows refer to others, divide otherwise, or drop it first"
            }
            Claim::Unreferred { .. } => "correct the rows that they refer to, or let them refer to others",
            Claim::Fits { not_null: true, .. } => {
                "correct those rows, or change the expression; where NULL is meant, a field that is NOT NULL must allow it first: `refactor drop-not-null`"
            }
            Claim::Fits { .. } => "correct those rows, or change the expression",
            Claim::Keeps { rule, .. } if rule.kind == ConstraintKind::NotNull => {
                "correct those rows first: the rule is for all of them; or show a value for NULL by `change-type --using`"
            }
            Claim::Keeps { .. } => "correct those rows first: the rule is for all of them",
        }
    }
}

/// A rule as a sentence.
fn kept(table: &str, rule: &Constraint) -> String {
    let fields = list(&rule.fields.iter().map(ToString::to_string).collect::<Vec<_>>());
    match &rule.kind {
        ConstraintKind::NotNull => format!("each `{table}` must have a value in {fields}"),
        ConstraintKind::Foreign(key) => {
            format!("each `{table}` must refer to a `{}` that is there ({fields})", key.table.short())
        }
        ConstraintKind::Check => {
            let demand = rule.definition.trim_start_matches("CHECK (").trim_end_matches(" NO INHERIT");
            format!("each `{table}` must keep `{}`", demand.strip_suffix(')').unwrap_or(demand))
        }
        ConstraintKind::Unique if !Distinct::of(rule).is_plain(rule) => {
            let distinct = Distinct::of(rule);
            let keys = list(&distinct.keys.iter().map(ToString::to_string).collect::<Vec<_>>());
            let own = if distinct.keys.len() == 1 { "value of" } else { "values of" };
            let among = distinct.only.map(|only| format!(" with `{}`", only.bare())).unwrap_or_default();
            format!("each `{table}`{among} must have its own {own} {keys}")
        }
        ConstraintKind::Exclude => {
            let read = Exclusion::read(&rule.definition);
            let keys = read.map(|e| e.keys().map(|(key, by)| format!("{} WITH {by}", key.value)).collect::<Vec<_>>());
            format!("each `{table}` must clash with no other by {}", keys.map_or(fields, |keys| list(&keys)))
        }
        ConstraintKind::Unique | ConstraintKind::Primary => {
            let own = if rule.fields.len() == 1 { "value in" } else { "values in" };
            format!("each `{table}` must have its own {own} {fields}")
        }
    }
}

/// What materializing makes unrecoverable but for the complement.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// The refactoring that causes it.
    pub step: String,
    /// The physical table that has the values.
    pub table: TableName,
    /// The columns.
    pub columns: Vec<Ident>,
    /// The rows that count, if not all.
    pub rows: Option<Expression>,
    /// Which of them lose their values.
    pub kind: LossKind,
    /// The key that tells the rows apart once the refactoring is real, and where each of its fields is; the version
    /// fills it in.
    pub key: Vec<(Ident, KeyField)>,
    /// What the values are kept for, which tells where: see [`crate::version::Version::kept_for`]; the version fills it in.
    pub kept: String,
    /// As the user knows them.
    pub words: Words,
}

/// Where the values of a field are that its table does not have yet: places in the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// In another table, along foreign keys.
    Carried(usize),
    /// In the complement.
    Added(usize),
    /// In a row that is looked up, and which of its fields.
    Looked(usize, usize),
    /// In the complement, which numbers the rows.
    Numbered(usize),
}

/// One field of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyField {
    /// In a column of the table.
    Stored(Ident),
    /// Not yet.
    Elsewhere(Elsewhere),
}

/// Which rows lose a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossKind {
    /// All that have one.
    All,
    /// The same, of a field that is not in its table yet.
    Unreal(Elsewhere),
    /// The whole table with its rows.
    Table,
    /// The whole table; others show what they show of its rows.
    Replaced,
    /// Those that the other table does not list: a place in the version's lookups.
    Unlisted(usize),
    /// Rows of the other table that no row refers to: a place in the version's lookups.
    Unshown(usize),
    /// The same, where it is they that refer: rows of a table that becomes fields.
    Unreferring(usize),
    /// Those without a partner: a place in the version's carries.
    Unreached(usize),
    /// The same, of a field that has been moved on since: a place in the version's dormant carries.
    Stayed(usize),
    /// Those that came as far as the earlier move of a field took them, and have no partner further on: the same.
    Halfway(usize),
    /// Those that have no such part, where the value is another than there is without one: a place in the version's slices.
    Apart(usize),
    /// Those whose value there and back is another: a place in the version's shaped fields.
    Unfaithful(usize),
    /// All, since they get new numbers: a place in the version's numberings.
    Renumbered(usize),
    /// The whole rows that break a rule: a place in the version's quarantined rows.
    Quarantined(usize),
    /// The whole rows that are marked: the same.
    Marked(usize),
}

impl LossKind {
    /// Whether whole rows of a table go, which is kept itself.
    #[must_use]
    pub fn is_of_table(self) -> bool {
        matches!(self, Self::Table | Self::Replaced | Self::Unshown(_) | Self::Unreferring(_))
    }
}

impl Loss {
    /// The loss as a sentence, for this many values.
    #[must_use]
    pub fn sentence(&self, count: i64) -> String {
        let Words { table, field, other } = &self.words;
        let (values, have) = if count == 1 { ("value", "has") } else { ("values", "have") };
        let table = table.short();
        match self.kind {
            LossKind::Unlisted(_) => {
                format!("{count} {values} of `{table}.{field}` {have} no `{}` that is called so", other.short())
            }
            LossKind::Unshown(_) => {
                let (rows, are) = if count == 1 { ("row", "is") } else { ("rows", "are") };
                format!("{count} {rows} of `{table}` {are} referred to by no `{}`", other.short())
            }
            LossKind::Unreferring(_) => {
                let (rows, refer) = if count == 1 { ("row", "refers") } else { ("rows", "refer") };
                format!("{count} {rows} of `{table}` {refer} to no `{}`", other.short())
            }
            LossKind::Replaced => {
                let rows = if count == 1 { "row" } else { "rows" };
                format!("`{table}` ({count} {rows}) will be gone, but for what `{}` shows of it", other.short())
            }
            LossKind::Table => {
                let (rows, them) = if count == 1 { ("row", "it") } else { ("rows", "them") };
                format!("{count} {rows} of `{table}` will be gone, and the table with {them}")
            }
            LossKind::All | LossKind::Unreal(_) => {
                format!("{count} {values} of `{table}.{field}` will be gone with the field")
            }
            LossKind::Renumbered(_) => format!("{count} {values} of `{table}.{field}` will be other numbers"),
            LossKind::Unreached(_) | LossKind::Stayed(_) | LossKind::Halfway(_) | LossKind::Apart(_) => {
                format!("{count} {values} of `{table}.{field}` {have} no `{}` to live in", other.short())
            }
            LossKind::Quarantined(_) => {
                let (rows, they) = if count == 1 { ("row", "breaks") } else { ("rows", "break") };
                format!("{count} {rows} of `{table}` {they} `{field}` and will be gone from it")
            }
            LossKind::Marked(_) => {
                let (rows, are) = if count == 1 { ("row", "is") } else { ("rows", "are") };
                format!("{count} {rows} of `{table}` {are} marked in `{field}` and will be gone from it")
            }
            LossKind::Unfaithful(_) => {
                format!("{count} {values} of `{table}.{field}` cannot be told from the new fields exactly")
            }
        }
    }
}
