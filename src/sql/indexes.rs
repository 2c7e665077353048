//! What the definition of an index says, read: its keys, each a field or an expression, and what else there is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sqlparser::ast::{self, Expr, IndexColumn};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{Expression, ExpressionError, field_of, parser_reason};
use crate::name::{Ident, serde_as_text};

/// One key of an index as a person wrote it: a field or an expression, perhaps with a collation, an operator class, an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexKey(String);

/// What a key says.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyPart {
    /// The value, with its collation.
    pub value: Expression,
    /// The field, if the value is one.
    pub field: Option<Ident>,
    /// How the index has it: operator class and order.
    ending: String,
    collation: Option<String>,
}

/// What stands after USING in a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexParts {
    /// Its keys.
    pub keys: Vec<KeyPart>,
    /// Fields that it has besides.
    pub include: Vec<Ident>,
    /// Whether NULL is never the same.
    pub nulls_distinct: bool,
    /// Its storage parameters.
    pub with: Vec<Parameter>,
    /// Which rows it has, if not all.
    pub only: Option<Expression>,
}

impl IndexParts {
    /// Reads `btree (lower(name)) WHERE …`.
    ///
    /// # Errors
    /// What the parser says.
    pub fn read(tail: &str) -> Result<Self, ExpressionError> {
        let syntax = |reason: String| ExpressionError::Syntax { text: tail.to_owned(), reason };
        let whole = format!("CREATE INDEX i ON t USING {tail}");
        let read =
            Parser::parse_sql(&PostgreSqlDialect {}, &whole).map_err(|e| syntax(parser_reason(&e.to_string())))?;
        let [ast::Statement::CreateIndex(index)] = &read[..] else {
            return Err(syntax("it is more than one index".into()));
        };
        Ok(Self {
            keys: index.columns.iter().map(KeyPart::of).collect::<Result<_, _>>()?,
            include: index.include.iter().filter_map(|name| field_of(&Expr::Identifier(name.clone()))).collect(),
            nulls_distinct: index.nulls_distinct != Some(false),
            with: index.with.iter().filter_map(|set| set.to_string().parse().ok()).collect(),
            only: index.predicate.as_ref().map(|e| Expression::parse(&e.to_string())).transpose()?,
        })
    }
}

impl KeyPart {
    fn of(column: &IndexColumn) -> Result<Self, ExpressionError> {
        let (expr, options) = (&column.column.expr, &column.column.options);
        let (inner, collation) = match expr {
            Expr::Collate { expr, collation } => (expr.as_ref(), Some(collation.to_string())),
            other => (other, None),
        };
        let class = column.operator_class.as_ref().map(|class| format!(" {class}")).unwrap_or_default();
        Ok(Self {
            value: Expression::parse(&expr.to_string())?,
            field: field_of(inner),
            ending: format!("{class}{options}"),
            collation,
        })
    }

    /// The key as an index has it, with its fields named as the table does.
    #[must_use]
    pub fn with(&self, names: &BTreeMap<Ident, String>) -> String {
        let bare = self.value.uncollated();
        let text = bare.with(names);
        let value = match &bare.0 {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_) | Expr::Nested(_) => text,
            _ => format!("({text})"),
        };
        let collation = self.collation.as_ref().map(|c| format!(" COLLATE {c}")).unwrap_or_default();
        format!("{value}{collation}{}", self.ending)
    }

    /// What PostgreSQL calls it in the name of an index.
    #[must_use]
    pub fn word(&self) -> Ident {
        fn word(expr: &Expr) -> Option<Ident> {
            match expr {
                Expr::Collate { expr, .. } | Expr::Nested(expr) | Expr::Cast { expr, .. } => word(expr),
                Expr::Function(function) => {
                    let name = function.name.0.last()?.to_string();
                    Some(Ident::new(name.trim_matches('"').to_lowercase()))
                }
                other => field_of(other),
            }
        }
        word(&self.value.0).unwrap_or_else(|| Ident::new("expr"))
    }
}

impl IndexKey {
    /// The field that it may be, whatever it is called.
    #[must_use]
    pub fn name(&self) -> Option<Ident> {
        self.0.parse().ok()
    }

    /// What it says, if it is no field.
    ///
    /// # Errors
    /// What the parser says.
    pub fn read(&self) -> Result<KeyPart, ExpressionError> {
        let syntax = |reason: &str| ExpressionError::Syntax { text: self.0.clone(), reason: reason.to_owned() };
        let parts = IndexParts::read(&format!("btree ({})", self.0)).map_err(|error| match error {
            ExpressionError::Syntax { reason, .. } => syntax(&reason),
            other => other,
        })?;
        match (&parts.keys[..], parts.include.is_empty() && parts.nulls_distinct && parts.only.is_none()) {
            ([key], true) => Ok(key.clone()),
            _ => Err(syntax("it is more than one key of an index")),
        }
    }
}

impl From<&Ident> for IndexKey {
    fn from(field: &Ident) -> Self {
        Self(field.to_string())
    }
}

impl FromStr for IndexKey {
    type Err = ExpressionError;
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let key = Self(text.trim().to_owned());
        if key.name().is_none() {
            key.read()?;
        }
        Ok(key)
    }
}

impl fmt::Display for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(IndexKey => ToString::to_string);

/// A storage parameter: `fillfactor=70`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl FromStr for Parameter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("expected a name and a value, as in `fillfactor=70`")?;
        let (name, value) = (name.trim().to_lowercase(), value.trim().trim_matches('\'').to_owned());
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("`{name}` is no storage parameter"));
        }
        Ok(Self { name, value })
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

serde_as_text!(Parameter => ToString::to_string);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_and_written() {
        let written = |text: &str| {
            let key = text.parse::<IndexKey>().ok()?.read().ok()?;
            Some((key.with(&BTreeMap::new()), key.word().to_string(), key.field.map(|f| f.to_string())))
        };
        for (text, as_key, word, field) in [
            ("a DESC NULLS LAST", "a DESC NULLS LAST", "a", Some("a")),
            ("lower(a) text_pattern_ops", "lower(a) text_pattern_ops", "lower", None),
            ("a COLLATE \"C\" DESC", "a COLLATE \"C\" DESC", "a", Some("a")),
            ("a || b", "(a || b)", "expr", None),
            ("(a || b)", "(a || b)", "expr", None),
            ("a::date", "(a::DATE)", "a", None),
            ("public.f(a)", "public.f(a)", "f", None),
        ] {
            let wanted = (as_key.to_owned(), word.to_owned(), field.map(str::to_owned));
            assert_eq!(written(text), Some(wanted), "{text}");
        }
        for text in ["a, b", "a) WHERE (b", "a); DROP TABLE t; --", "lower(a"] {
            assert!(text.parse::<IndexKey>().and_then(|key| key.read()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_parts_of_an_index_are_read() {
        let parts = IndexParts::read(
            "btree (lower(a), b) INCLUDE (c) NULLS NOT DISTINCT WITH (fillfactor='70') WHERE (d IS NULL)",
        )
        .expect("parses");
        assert_eq!(parts.keys.iter().map(|k| k.field.clone()).collect::<Vec<_>>(), [None, Some("b".into())]);
        assert_eq!((parts.include, parts.nulls_distinct), (vec!["c".into()], false));
        assert_eq!(parts.only.map(|o| o.bare().to_string()), Some("d IS NULL".into()));
    }
}
