//! What a unique rule keeps distinct: fields, or what a unique index has as its keys.

use std::collections::BTreeMap;

use crate::name::Ident;
use crate::schema::Constraint;
use crate::sql::Expression;
use crate::sql::indexes::IndexParts;

/// How the definition of a rule begins that an index will keep, and no constraint.
pub const INDEX: &str = "UNIQUE USING ";

/// The keys of a unique rule, over the fields of its table.
#[derive(Debug, Clone, PartialEq)]
pub struct Distinct {
    /// Their values.
    pub keys: Vec<Expression>,
    /// Which rows are kept distinct, if not all.
    pub only: Option<Expression>,
    /// Whether NULL is never the same.
    pub nulls_distinct: bool,
}

impl Distinct {
    /// Of a rule that is named as the version does.
    #[must_use]
    pub fn of(rule: &Constraint) -> Self {
        let of_index = rule.definition.strip_prefix(INDEX).and_then(|tail| IndexParts::read(tail).ok());
        if let Some(parts) = of_index {
            let keys = parts.keys.into_iter().map(|key| key.value).collect();
            return Self { keys, only: parts.only, nulls_distinct: parts.nulls_distinct };
        }
        let keys = rule.fields.iter().filter_map(|f| Expression::parse(&f.to_string()).ok()).collect();
        Self { keys, only: None, nulls_distinct: !rule.definition.starts_with("UNIQUE NULLS NOT DISTINCT") }
    }

    /// Whether the fields of its rule are its keys, and nothing else is said.
    #[must_use]
    pub fn is_plain(&self, rule: &Constraint) -> bool {
        let fields = rule.fields.iter().map(ToString::to_string);
        self.only.is_none() && self.nulls_distinct && self.keys.iter().map(ToString::to_string).eq(fields)
    }

    /// The keys with other words for the fields.
    #[must_use]
    pub fn with(&self, fields: &BTreeMap<Ident, String>) -> Vec<String> {
        self.keys.iter().map(|key| key.with(fields)).collect()
    }
}
