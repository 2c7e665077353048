//! Why a refactoring cannot be: one variant a reason, each with a hint.
//!
//! A refusal never depends on data (that is a [`crate::fact`]), only on the shape of the schema.

use crate::name::{FieldRef, Ident, TableName, TableRef, shell};

/// Why not. `Display` completes "because …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No table of that name in this version.
    #[error("there is no table `{table}`")]
    NoTable {
        /// What was asked for.
        table: TableRef,
        /// Similar names.
        similar: Vec<String>,
    },
    /// The name was a table's until a refactoring took it away.
    #[error("table `{table}` {fate}")]
    GoneTable {
        /// What was asked for.
        table: TableRef,
        /// `was renamed to … by …`.
        fate: String,
        /// Its name now.
        now: Option<String>,
    },
    /// It is a view, a sequence …
    #[error("`{name}` is {}, not a table", one(kind))]
    NotATable {
        /// The name.
        name: TableName,
        /// What it is.
        kind: String,
    },
    /// A kind of table that cannot be refactored.
    #[error("`{table}` {why}")]
    TableKind {
        /// The table.
        table: TableName,
        /// `is a partition of …` and the like.
        why: String,
        /// What to do.
        hint: Option<String>,
    },
    /// No such field.
    #[error("table `{}` has no field `{field}`", table.short())]
    NoField {
        /// The table.
        table: TableName,
        /// The field asked for.
        field: Ident,
        /// Similar names.
        similar: Vec<String>,
    },
    /// The name is in use.
    #[error("{place} already has {kind} `{name}`")]
    Taken {
        /// Where.
        place: String,
        /// What has it.
        kind: String,
        /// The name.
        name: Ident,
        /// The option that chooses another name.
        hint: String,
    },
    /// No foreign key path.
    #[error("no foreign key leads from `{}` to `{}` or back", from.short(), to.short())]
    NoPath {
        /// Source.
        from: TableName,
        /// Target.
        to: TableName,
        /// Paths over other tables, each as `--via` wants it.
        longer: Vec<String>,
        /// Fields of one name, a key on one side, each as `--on` wants it.
        matching: Vec<String>,
    },
    /// More than one foreign key path.
    #[error("{} foreign keys lead from `{}` to `{}`: {}", keys.len(), from.short(), to.short(), list(keys))]
    ManyPaths {
        /// Source.
        from: TableName,
        /// Target.
        to: TableName,
        /// The names of the keys.
        keys: Vec<String>,
    },
    /// `--via` names no usable key.
    #[error("`{name}` is not a foreign key on a way from `{}` to `{}`", from.short(), to.short())]
    NotOnPath {
        /// What was given.
        name: String,
        /// Source.
        from: TableName,
        /// Target.
        to: TableName,
        /// The keys that are.
        keys: Vec<String>,
    },
    /// Something hangs on the field that cannot go with it.
    #[error("field `{field}` {role}")]
    Entangled {
        /// The field.
        field: FieldRef,
        /// `is part of the primary key` and so on.
        role: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The table needs a key and has none.
    #[error("table `{}` has no primary key (nor a unique key of NOT NULL fields) to tell its rows apart", table.short())]
    NoKey {
        /// The table.
        table: TableName,
    },
    /// The key columns are not in the table themselves.
    #[error("field `{field}` does not live in its table yet: {step} put it there and is not materialized")]
    NotMaterialized {
        /// The field.
        field: FieldRef,
        /// The refactoring that gave it its home.
        step: String,
    },
    /// The table shows some of another's rows, or those of several.
    #[error("the rows of `{}` are not those of one table until {step} is materialized", table.short())]
    Divided {
        /// The table.
        table: TableName,
        /// The refactoring that divided or united the rows.
        step: String,
    },
    /// A value must be given for what cannot be NULL.
    #[error("{0}")]
    NeedsValue(String, String),
    /// The expression is not usable.
    #[error("{0}")]
    Expression(String),
    /// It would change nothing.
    #[error("{0}")]
    Nothing(String),
    /// The operation cannot be undone this way.
    #[error("{why}")]
    Other {
        /// Why.
        why: String,
        /// What to do.
        hint: Option<String>,
    },
}

impl Refusal {
    /// Whether it would go once something else is real.
    #[must_use]
    pub fn is_of_state(&self) -> bool {
        self.hint().is_some_and(|hint| hint.contains("`refactor materialize"))
    }

    /// The same where fields that match may be named instead of a foreign key.
    #[must_use]
    pub fn hint_of_on(&self) -> Option<String> {
        match self {
            Self::NoPath { longer, .. } if !longer.is_empty() => self.hint(),
            Self::NoPath { matching, .. } if !matching.is_empty() => {
                Some(format!("add the foreign key first, or name the matching fields: {}", list_or(matching)))
            }
            Self::NoPath { .. } => {
                Some("add the foreign key first, or name the matching fields, as in `--on customer_id=id`".into())
            }
            _ => self.hint(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoTable { similar, .. } | Self::NoField { similar, .. } if !similar.is_empty() => {
                Some(format!("did you mean {}?", list_or(similar)))
            }
            Self::NoTable { .. } => Some("`refactor show --tables` lists the tables".into()),
            Self::NoField { table, .. } => Some(format!("`refactor show --tables {}` lists its fields", table.typed())),
            Self::NotATable { .. } => Some("refactorings work on tables; change the view or sequence itself".into()),
            Self::TableKind { hint, .. } | Self::Entangled { hint, .. } | Self::Other { hint, .. } => hint.clone(),
            Self::Taken { hint, .. } | Self::NeedsValue(_, hint) => Some(hint.clone()),
            Self::NoPath { longer, .. } if !longer.is_empty() => {
                Some(format!("a path over other tables must be named: {}", longer.join(", or ")))
            }
            Self::NoPath { .. } => Some("add the foreign key first: `refactor add-foreign-key`".into()),
            Self::ManyPaths { keys, .. } => keys.first().map(|k| format!("choose one, as in `--via {}`", shell(k))),
            Self::NotOnPath { keys, .. } => Some(if keys.is_empty() {
                "no foreign key connects them".into()
            } else {
                format!("usable: {}", list(keys))
            }),
            Self::NoKey { table } => Some(format!(
                "give it one first: `ALTER TABLE {table} ADD COLUMN {} bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY`, or make its own fields one",
                Ident::generated(&[table.name.as_str(), "id"])
            )),
            Self::NotMaterialized { .. } | Self::Divided { .. } => {
                Some("materialize that refactoring first: `refactor materialize`".into())
            }
            Self::Expression(_) => {
                Some("an expression may use the fields of its own row and immutable functions".into())
            }
            Self::GoneTable { now, .. } => now.as_ref().map(|now| format!("did you mean `{now}`?")),
            Self::Nothing(_) => None,
        }
    }
}

/// `` `a`, `b` ``
#[must_use]
pub fn list(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// `` `a`, `b` or `c` ``
fn list_or(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [rest @ .., last] => format!("{} or `{last}`", list(rest)),
    }
}

/// The names most like `wanted`, best first, at most three.
#[must_use]
pub fn similar<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let mut scored: Vec<(f64, &str)> = names
        .map(|n| {
            let low = n.to_lowercase();
            let inside = low.contains(&wanted) || wanted.contains(&low);
            (strsim::jaro_winkler(&wanted, &low) + if inside { 0.1 } else { 0.0 }, n)
        })
        .filter(|(score, _)| *score > 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, n)| n.to_owned()).collect()
}

/// Asks whether the name most like it was meant.
#[must_use]
pub fn meant<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    similar(wanted, names).first().map(|near| format!("did you mean `{near}`?"))
}

/// `an index`, `a view`
#[must_use]
pub fn one(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}
