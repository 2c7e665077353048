//! Pieces of SQL text with a type each: literals, the user's expressions, scripts, and renaming inside definitions
//! that PostgreSQL printed.
//!
//! Knows grammar, not schemas: which fields exist is the caller's business.

pub mod changes;
pub mod code;
pub mod codes;
pub mod ddl;
pub mod exclusion;
pub mod indexes;
pub mod keys;
pub mod lengths;
pub mod tables;
pub mod type_names;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlparser::ast::{self, Expr, visit_expressions, visit_expressions_mut};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

use crate::name::{Ident, TableName, serde_as_text};

/// A string constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal(pub String);

impl fmt::Display for Literal {
    /// As `quote_literal` does: a backslash makes it an `E''` string, whatever `standard_conforming_strings` says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = self.0.replace('\'', "''");
        if quoted.contains('\\') { write!(f, "E'{}'", quoted.replace('\\', "\\\\")) } else { write!(f, "'{quoted}'") }
    }
}

/// An expression that a person wrote: one value computed from the fields of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression(Expr);

/// Why an expression is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The grammar does not know it.
    #[error("`{text}` is not an expression: {reason}")]
    Syntax {
        /// What was written.
        text: String,
        /// What the parser said.
        reason: String,
    },
    /// It is no part of CREATE TABLE.
    #[error("`{text}` is not a field or a rule of a table: {reason}")]
    Element {
        /// What was written.
        text: String,
        /// Why not.
        reason: String,
    },
    /// It looks at other rows.
    #[error("`{0}` contains a subquery, but a value may depend on its own row only")]
    Subquery(String),
}

/// Bytes of the longest expression that is taken.
pub(crate) const LONGEST: usize = 50_000;

impl Expression {
    /// Reads one expression.
    ///
    /// # Errors
    /// When the text is no single expression, or reads other rows.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let syntax = |reason: String| ExpressionError::Syntax { text: text.to_owned(), reason };
        if text.len() > LONGEST {
            let head: String = text.chars().take(40).collect();
            let reason = format!("it is longer than {LONGEST} bytes; a function can hold it");
            return Err(ExpressionError::Syntax { text: format!("{head}…"), reason });
        }
        let mut parser =
            Parser::new(&PostgreSqlDialect {}).try_with_sql(text).map_err(|e| syntax(parser_reason(&e.to_string())))?;
        let expr = parser.parse_expr().map_err(|e| syntax(parser_reason(&e.to_string())))?;
        let rest = parser.peek_token().token;
        if rest != Token::EOF {
            return Err(syntax(format!("it should end before `{rest}`")));
        }
        let subquery = visit_expressions(&expr, |e| match e {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        if subquery.is_break() {
            return Err(ExpressionError::Subquery(text.to_owned()));
        }
        let mut expr = expr;
        let _ = visit_expressions_mut(&mut expr, |e| {
            if let Expr::Function(ast::Function { args: ast::FunctionArguments::List(list), .. }) = e {
                list.args.iter_mut().for_each(name_argument);
                list.args.iter_mut().for_each(form_argument);
            }
            ControlFlow::<()>::Continue(())
        });
        Ok(Self(expr))
    }

    /// The same without negations of negations.
    #[must_use]
    pub fn simplified(mut self) -> Self {
        fn negated(e: &Expr) -> Option<&Expr> {
            match e {
                Expr::UnaryOp { op: ast::UnaryOperator::Not, expr } => Some(expr),
                Expr::Nested(expr) => negated(expr),
                _ => None,
            }
        }
        let _ = visit_expressions_mut(&mut self.0, |e| {
            if let Expr::UnaryOp { op: ast::UnaryOperator::Not, expr } = e
                && let Some(twice) = negated(expr).cloned()
            {
                *e = twice;
            }
            ControlFlow::<()>::Continue(())
        });
        self
    }

    /// `NULL`
    #[must_use]
    pub fn null() -> Self {
        Self(Expr::Value(ast::Value::Null.into()))
    }

    /// The fields it reads, each as one identifier or as the last part of `table.field`.
    #[must_use]
    pub fn fields(&self) -> BTreeSet<Ident> {
        let mut fields = BTreeSet::new();
        let _ = visit_expressions(&self.0, |e| {
            if let Some(field) = field_of(e) {
                fields.insert(field);
            }
            ControlFlow::<()>::Continue(())
        });
        fields
    }

    /// The fields that it says to be a constant, with that constant: each `field = constant` that must hold.
    #[must_use]
    pub fn constants(&self) -> Vec<(Ident, String)> {
        fn look(expr: &Expr, found: &mut Vec<(Ident, String)>) {
            match expr {
                Expr::Nested(inner) => look(inner, found),
                Expr::BinaryOp { left, op: ast::BinaryOperator::And, right } => {
                    look(left, found);
                    look(right, found);
                }
                Expr::BinaryOp { left, op: ast::BinaryOperator::Eq, right } => {
                    for (field, value) in [(left, right), (right, left)] {
                        if let Some(field) = field_of(field)
                            && is_constant(value)
                        {
                            found.push((field, value.to_string()));
                        }
                    }
                }
                // `active` and `NOT active`
                Expr::UnaryOp { op: ast::UnaryOperator::Not, expr } => {
                    found.extend(field_of(expr).map(|f| (f, "false".to_owned())));
                }
                other => found.extend(field_of(other).map(|f| (f, "true".to_owned()))),
            }
        }
        let mut found = Vec::new();
        look(&self.0, &mut found);
        found
    }

    /// The constants that it says a field is not: of `(field = constant) IS NOT TRUE`.
    #[must_use]
    pub fn excluded(&self) -> Vec<(Ident, String)> {
        match &self.0 {
            Expr::IsNotTrue(inner) => Self(inner.as_ref().clone()).constants(),
            _ => Vec::new(),
        }
    }

    /// The constant and the rest of `field = constant AND rest`, or of `field <> constant OR rest` if `unless`.
    #[must_use]
    pub fn for_one(&self, field: &Ident, unless: bool) -> Option<(Self, Option<Self>)> {
        use ast::BinaryOperator::{And, Eq, NotEq, Or};
        let (compared, joined) = if unless { (NotEq, Or) } else { (Eq, And) };
        let constant = |expr: &Expr| match bare(expr) {
            Expr::BinaryOp { left, op, right } if *op == compared && field_of(bare(left)).as_ref() == Some(field) => {
                is_constant(right).then(|| Self(bare(right).clone()))
            }
            _ => None,
        };
        match bare(&self.0) {
            Expr::BinaryOp { left, op, right } if *op == joined => {
                Some((constant(left)?, Some(Self(bare(right).clone()))))
            }
            all => Some((constant(all)?, None)),
        }
    }

    /// The same without brackets around it.
    #[must_use]
    pub fn bare(&self) -> Self {
        match &self.0 {
            Expr::Nested(inner) => Self(inner.as_ref().clone()).bare(),
            _ => self.clone(),
        }
    }

    /// The field that it says to have a value, if that is all it says.
    #[must_use]
    pub fn given(&self) -> Option<Ident> {
        match &self.0 {
            Expr::IsNotNull(field) => field_of(field),
            _ => None,
        }
    }

    /// The same without its collation.
    #[must_use]
    pub fn uncollated(&self) -> Self {
        match &self.0 {
            Expr::Collate { expr, .. } => Self(expr.as_ref().clone()),
            _ => self.clone(),
        }
    }

    /// Whether it is a value as it stands.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        is_constant(&self.0)
    }

    /// The functions it calls, and words such as `current_date` that act as one, in lower case and without schema.
    #[must_use]
    pub fn functions(&self) -> BTreeSet<String> {
        let mut functions = BTreeSet::new();
        let _ = visit_expressions(&self.0, |e| {
            match e {
                Expr::Function(function) => {
                    functions.extend(function.name.0.last().map(|n| n.to_string().to_lowercase()));
                }
                Expr::Identifier(word) if word.quote_style.is_none() => {
                    functions.insert(word.value.to_lowercase());
                }
                _ => {}
            }
            ControlFlow::<()>::Continue(())
        });
        functions
    }

    /// The same expression with every field that `values` names replaced by that SQL (an expression itself).
    #[must_use]
    pub fn with(&self, values: &BTreeMap<Ident, String>) -> String {
        let mut expr = self.0.clone();
        let _ = visit_expressions_mut(&mut expr, |e| {
            if let Some(value) = field_of(e).and_then(|f| values.get(&f)) {
                // The replacement is a name of ours and must not be visited again, so it goes in as one opaque word.
                *e = Expr::Identifier(ast::Ident::new(format!("\u{0}{value}\u{0}")));
            }
            ControlFlow::<()>::Continue(())
        });
        expr.to_string().replace('\u{0}', "")
    }

    /// The same with casts to text instead of those to a type that `is` knows by its name, without schema.
    #[must_use]
    pub fn as_text(&self, is: impl Fn(&str) -> bool) -> Self {
        let mut expr = self.0.clone();
        let _ = visit_expressions_mut(&mut expr, |e| {
            if let Expr::Cast { data_type: kind @ ast::DataType::Custom(..), .. } = e
                && is(unqualified(&kind.to_string()))
            {
                *kind = ast::DataType::Text;
            }
            ControlFlow::<()>::Continue(())
        });
        Self(expr)
    }

    /// The same with labels of an enum cast to another one, whose labels `to` tells; `None` if it has none for one.
    #[must_use]
    pub fn relabelled(&self, old: &str, new: &str, to: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let kind = Self::parse(&format!("NULL::{new}")).ok()?;
        let Expr::Cast { data_type: kind, .. } = &kind.0 else { return None };
        let mut expr = self.0.clone();
        let told = visit_expressions_mut(&mut expr, |e| {
            let Expr::Cast { expr: inner, data_type, .. } = e else { return ControlFlow::Continue(()) };
            let (elements, whole) = (data_type.to_string(), format!("{old}[]"));
            if elements == whole {
                *data_type = ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(Box::new(kind.clone()), None));
            } else if elements == old {
                if let Expr::Value(value) = &mut **inner
                    && let ast::Value::SingleQuotedString(label) = &mut value.value
                {
                    let Some(now) = to(label) else { return ControlFlow::Break(()) };
                    *label = now;
                }
                *data_type = kind.clone();
            }
            ControlFlow::Continue(())
        });
        told.is_continue().then_some(Self(expr))
    }

    /// The same expression with fields renamed.
    #[must_use]
    pub fn renamed(&self, from: &Ident, to: &Ident) -> Self {
        let text = self.with(&BTreeMap::from([(from.clone(), to.to_string())]));
        Self::parse(&text).unwrap_or_else(|_| self.clone())
    }
}

/// The last part of a type's name, without quotes.
#[must_use]
pub fn unqualified(kind: &str) -> &str {
    kind.rsplit('.').next().unwrap_or(kind).trim_matches('"')
}

/// The name in `f(name => value)` is no field, though the parser takes it for an expression.
fn name_argument(argument: &mut ast::FunctionArg) {
    if let ast::FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, operator } = argument {
        *argument = ast::FunctionArg::Named { name: name.clone(), arg: arg.clone(), operator: operator.clone() };
    }
}

/// Nor is the form in `normalize(x, NFC)`, a word of the grammar.
fn form_argument(argument: &mut ast::FunctionArg) {
    if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(word)) = argument
        && let Expr::Identifier(name) = word
        && name.quote_style.is_none()
        && ["NFC", "NFD", "NFKC", "NFKD"].contains(&&*name.value)
    {
        *word = Expr::Value(ast::Value::Placeholder(name.value.clone()).into());
    }
}

/// Whether an expression is a value as it stands, perhaps with a sign or a type.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => value.value != ast::Value::Null,
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } | Expr::UnaryOp { expr: inner, .. } => is_constant(inner),
        Expr::TypedString { .. } => true,
        _ => false,
    }
}

/// What the parser said, as a sentence: without its own prefix, and without a place in a text that nobody sees.
pub(crate) fn parser_reason(message: &str) -> String {
    let said = message.trim_start_matches("sql parser error: ");
    let said = said.rsplit_once(" at Line: ").map_or(said, |(said, _)| said);
    match said.strip_prefix("Expected: ").and_then(|s| s.rsplit_once(", found: ")) {
        Some((wanted, "EOF")) => format!("it ends where {wanted} is expected"),
        Some((wanted, found)) => format!("`{found}` stands where {wanted} is expected"),
        None => said.to_owned(),
    }
}

/// An expression without the brackets and casts around it.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => bare(inner),
        other => other,
    }
}

/// The field an expression node stands for, if it is one. Folds unquoted names as PostgreSQL does.
fn field_of(expr: &Expr) -> Option<Ident> {
    let name = match expr {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(names) => names.last()?,
        _ => return None,
    };
    Some(if name.quote_style.is_some() { Ident::new(&*name.value) } else { Ident::new(name.value.to_lowercase()) })
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Expression {
    type Err = ExpressionError;
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        Self::parse(text)
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// A type as a person wrote it, such as `numeric(10,2)`. PostgreSQL says later whether it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName(String);

impl std::str::FromStr for TypeName {
    type Err = ExpressionError;
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let syntax = |reason: String| ExpressionError::Syntax { text: text.to_owned(), reason };
        if text.len() > LONGEST {
            let head: String = text.chars().take(40).collect();
            let reason = format!("it is longer than {LONGEST} bytes; a function can hold it");
            return Err(ExpressionError::Syntax { text: format!("{head}…"), reason });
        }
        let mut parser =
            Parser::new(&PostgreSqlDialect {}).try_with_sql(text).map_err(|e| syntax(parser_reason(&e.to_string())))?;
        parser.parse_data_type().map_err(|e| syntax(parser_reason(&e.to_string())))?;
        match parser.peek_token().token {
            Token::EOF => Ok(Self(text.trim().to_owned())),
            Token::Comma => Err(syntax(
                "a type should end before `,`: where there are several, give the option once for each type".into(),
            )),
            rest => Err(syntax(format!("a type should end before `{rest}`"))),
        }
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(TypeName => ToString::to_string);

/// What stands after USING in a CREATE INDEX: `btree (lower(name)) WHERE (id > 3)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexTail(String);

impl std::str::FromStr for IndexTail {
    type Err = ExpressionError;
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let whole = format!("CREATE INDEX i ON t USING {text}");
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, &whole).map_err(|e| e.to_string());
        match statements.as_deref() {
            Ok([ast::Statement::CreateIndex(_)]) => Ok(Self(text.to_owned())),
            Ok(_) => Err(ExpressionError::Syntax { text: text.into(), reason: "it is more than one index".into() }),
            Err(reason) => Err(ExpressionError::Syntax { text: text.into(), reason: parser_reason(reason) }),
        }
    }
}

impl fmt::Display for IndexTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(IndexTail => ToString::to_string);

/// Renames fields inside a definition that PostgreSQL printed (index, check, trigger …). Those texts follow grammar
/// that no general parser reads whole, but in them a field of the table is always a bare word: not called, not cast to.
#[must_use]
pub fn rename_in_definition(definition: &str, names: &BTreeMap<Ident, Ident>) -> String {
    rename(definition, names, false)
}

/// `rows`: fields also stand as `old.f` and `new.f`, and the word after TRIGGER is the trigger's own name.
fn rename(definition: &str, names: &BTreeMap<Ident, Ident>, rows: bool) -> String {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, definition).with_unescape(false).tokenize() else {
        return definition.to_owned();
    };
    let mut text = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let seen = |t: &&Token| !matches!(t, Token::Whitespace(_));
        let mut before = tokens[..at].iter().rev().filter(seen);
        let (before, above) = (before.next(), before.next());
        let after = tokens[at + 1..].iter().find(seen);
        let word_is =
            |t: Option<&Token>, words: &[&str]| matches!(t, Some(Token::Word(w)) if words.contains(&&*w.value));
        let bare = match before {
            Some(Token::DoubleColon) => false,
            Some(Token::Period) => rows && word_is(above, &["old", "new"]),
            other => !(rows && word_is(other, &["TRIGGER"])),
        };
        let bare = bare && !matches!(after, Some(Token::LParen | Token::Period));
        match token {
            Token::Word(word) if bare => match names.get(&named(word)) {
                Some(to) => text.push_str(&to.to_string()),
                None => text.push_str(&token.to_string()),
            },
            other => text.push_str(&other.to_string()),
        }
    }
    text
}

/// What a word names: a tokenizer that leaves texts as they are leaves quotes doubled, too.
fn named(word: &Word) -> Ident {
    Ident::new(if word.quote_style.is_some() { word.value.replace("\"\"", "\"") } else { word.value.clone() })
}

/// The string arguments that a trigger's definition gives its function.
#[must_use]
pub fn trigger_arguments(definition: &str) -> Vec<String> {
    let Some(call) = definition.rfind("EXECUTE FUNCTION ") else { return Vec::new() };
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, &definition[call..]).tokenize().unwrap_or_default();
    let strings = tokens.into_iter().filter_map(|t| match t {
        Token::SingleQuotedString(text) => Some(text),
        _ => None,
    });
    strings.collect()
}

/// A trigger's definition with fields renamed, also where an argument is a field's name.
#[must_use]
pub fn rename_in_trigger(definition: &str, names: &BTreeMap<Ident, Ident>) -> String {
    let at = definition.rfind("EXECUTE FUNCTION ").unwrap_or(definition.len());
    let call = &definition[at..];
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, call).with_unescape(false).tokenize();
    let argument = |token: Token| match &token {
        Token::SingleQuotedString(text) => match names.get(&Ident::new(text.replace("''", "'"))) {
            Some(to) => Literal(to.as_str().to_owned()).to_string(),
            None => token.to_string(),
        },
        _ => token.to_string(),
    };
    let call = tokens.map_or_else(|_| call.to_owned(), |tokens| tokens.into_iter().map(argument).collect());
    rename(&definition[..at], names, true) + &call
}

/// All words of a piece of SQL, without quotes.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let word = |token| if let Token::Word(word) = token { Some(word.value) } else { None };
    tokens(text).into_iter().filter_map(word).collect()
}

/// The tokens of a piece of SQL, as they are written; none if it is not SQL.
fn tokens(text: &str) -> Vec<Token> {
    Tokenizer::new(&PostgreSqlDialect {}, text).with_unescape(false).tokenize().unwrap_or_default()
}

/// Puts queries in the place of tables in a view's or function's body as PostgreSQL prints it where no schema is on the path:
/// every table with its schema, every field with the table's alias. None where a table is more than read.
#[must_use]
pub fn over_queries(body: &str, queries: &BTreeMap<TableName, String>) -> Option<String> {
    // What may come after a table without an alias. PostgreSQL quotes an alias that is one of these.
    const AFTER: [&str; 24] = [
        "WHERE",
        "GROUP",
        "HAVING",
        "WINDOW",
        "UNION",
        "INTERSECT",
        "EXCEPT",
        "ORDER",
        "LIMIT",
        "OFFSET",
        "FETCH",
        "FOR",
        "JOIN",
        "LEFT",
        "RIGHT",
        "FULL",
        "INNER",
        "CROSS",
        "NATURAL",
        "ON",
        "USING",
        "TABLESAMPLE",
        "RETURNING",
        "END",
    ];
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, body).with_unescape(false).tokenize().ok()?;
    let seen = |t: &&Token| !matches!(t, Token::Whitespace(_));
    let is = |t: Option<&Token>, words: &[&str]| matches!(t, Some(Token::Word(w)) if w.quote_style.is_none() && words.iter().any(|word| w.value.eq_ignore_ascii_case(word)));
    let table = |at: usize| match tokens.get(at..at + 3)? {
        [Token::Word(schema), Token::Period, Token::Word(name)] => {
            queries.get_key_value(&TableName { schema: named(schema), name: named(name) })
        }
        _ => None,
    };
    let mut text = String::new();
    let mut at = 0;
    while at < tokens.len() {
        let mut before = tokens[..at].iter().rev().filter(seen);
        let (before, above) = (before.next(), before.next());
        let after = tokens.get(at + 3..).and_then(|rest| rest.iter().find(seen));
        let named = !matches!(before, Some(Token::Period | Token::DoubleColon))
            && !matches!(after, Some(Token::Period | Token::LParen));
        let Some((name, query)) = table(at).filter(|_| named) else {
            text += &tokens[at].to_string();
            at += 1;
            continue;
        };
        let read = is(before, &["FROM"]) && !is(above, &["DELETE"])
            || is(before, &["JOIN"])
            || matches!(before, Some(Token::Comma | Token::LParen));
        if !read {
            return None;
        }
        text += &format!("({query})");
        let has_alias = matches!(after, Some(Token::Word(_))) && !is(after, &AFTER);
        if !has_alias {
            text += &format!(" {}", name.name);
        }
        at += 3;
    }
    Some(text)
}

/// Puts another table (and another name of the object) into an index or trigger definition: `… ON old …` → `… ON new …`.
#[must_use]
pub fn retarget(definition: &str, from: &TableName, to: &TableName) -> String {
    definition.replacen(&format!(" ON {from} "), &format!(" ON {to} "), 1).replacen(
        &format!(" ON ONLY {from} "),
        &format!(" ON {to} "),
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_replaced_once_and_as_a_whole() {
        let e = Expression::parse("lower(a || b.\"C\") || 'a'").expect("parses");
        assert_eq!(e.fields(), BTreeSet::from([Ident::new("a"), Ident::new("C")]));
        let values = BTreeMap::from([(Ident::new("a"), "b.a".to_owned()), (Ident::new("C"), "(SELECT 1)".to_owned())]);
        assert_eq!(e.with(&values), "lower(b.a || (SELECT 1)) || 'a'");
        let named = Expression::parse("make_interval(a => a, days => \"C\")").expect("parses");
        assert_eq!(named.fields(), BTreeSet::from([Ident::new("a"), Ident::new("C")]));
        assert_eq!(named.with(&values), "make_interval(a => b.a, days => (SELECT 1))");
    }

    #[test]
    fn an_expression_ends_where_it_ends() {
        assert!(Expression::parse("1; drop table a").is_err());
        assert!(Expression::parse("(select 1)").is_err());
        assert!("int); drop table x".parse::<TypeName>().is_err());
        assert!("numeric(10,2)[]".parse::<TypeName>().is_ok());
    }

    #[test]
    fn a_trigger_names_fields_in_arguments_too() {
        let names = BTreeMap::from([(Ident::new("title"), Ident::new("name"))]);
        let old = "CREATE TRIGGER t BEFORE UPDATE OF title ON public.film FOR EACH ROW EXECUTE FUNCTION f('fulltext', 'title')";
        let new =
            "CREATE TRIGGER t BEFORE UPDATE OF name ON public.film FOR EACH ROW EXECUTE FUNCTION f('fulltext', 'name')";
        assert_eq!(rename_in_trigger(old, &names), new);
        let exchanged = BTreeMap::from([("a".into(), "b".into()), ("b".into(), "it's".into())]);
        assert_eq!(
            rename_in_trigger("CREATE TRIGGER t … EXECUTE FUNCTION f('a', 'b', 'o''c')", &exchanged),
            "CREATE TRIGGER t … EXECUTE FUNCTION f('b', 'it''s', 'o''c')"
        );
        assert_eq!(
            rename_in_trigger(
                "CREATE TRIGGER title BEFORE UPDATE OF title ON title.title FOR EACH ROW WHEN ((old.title <> new.title)) EXECUTE FUNCTION title.title()",
                &names
            ),
            "CREATE TRIGGER title BEFORE UPDATE OF name ON title.title FOR EACH ROW WHEN ((old.name <> new.name)) EXECUTE FUNCTION title.title()"
        );
    }

    #[test]
    fn only_bare_words_are_renamed_in_a_definition() {
        let names = BTreeMap::from([(Ident::new("text"), Ident::new("Body")), (Ident::new("f"), Ident::new("g"))]);
        assert_eq!(
            rename_in_definition(
                "CREATE INDEX i ON public.a USING btree (f, lower((text)::text), f(1)) WHERE (f <> 'f'::text)",
                &names
            ),
            "CREATE INDEX i ON public.a USING btree (g, lower((\"Body\")::text), f(1)) WHERE (g <> 'f'::text)"
        );
    }
}
