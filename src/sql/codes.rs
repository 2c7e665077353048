//! A finite mapping of codes, written one pair at a time: `1=active`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use crate::name::{Ident, serde_as_text};
use crate::sql::{Expression, ExpressionError, Literal, bare, field_of};

/// One value, as text that its type reads; `None` is NULL.
pub type Code = Option<String>;

/// An old code and the new one that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The old code.
    pub old: Code,
    /// The new code.
    pub new: Code,
}

impl Mapping {
    /// The same the other way round.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self { old: self.new.clone(), new: self.old.clone() }
    }
}

/// Reads one side of a pair, and gives what follows: a text in single quotes, NULL, or plain text up to `end`.
fn side(text: &str, end: Option<char>) -> Result<(Code, &str), String> {
    if let Some(mut rest) = text.strip_prefix('\'') {
        let mut code = String::new();
        loop {
            let at = rest.find('\'').ok_or("a single quote is not closed")?;
            code += &rest[..at];
            rest = &rest[at + 1..];
            match rest.strip_prefix('\'') {
                Some(more) => rest = more,
                None => return Ok((Some(code), rest)),
            }
            code.push('\'');
        }
    }
    let at = end.map_or(Some(text.len()), |end| text.find(end)).unwrap_or(text.len());
    let code = &text[..at];
    match code {
        "" => Err("a code is empty; write the empty text as `''`".into()),
        null if null.eq_ignore_ascii_case("null") => Ok((None, &text[at..])),
        code => Ok((Some(code.to_owned()), &text[at..])),
    }
}

impl FromStr for Mapping {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (old, rest) = side(text, Some('='))?;
        let rest = rest.strip_prefix('=').ok_or("expected two codes, as in `1=active`")?;
        match side(rest, None)? {
            (new, "") => Ok(Self { old, new }),
            (_, more) => Err(format!("it should end before `{more}`")),
        }
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |code: &Code| match code {
            None => "NULL".to_owned(),
            Some(code) if matches!(&*code.to_lowercase(), "" | "null") || code.contains(['=', '\'']) => {
                format!("'{}'", code.replace('\'', "''"))
            }
            Some(code) => code.clone(),
        };
        write!(f, "{}={}", side(&self.old), side(&self.new))
    }
}

serde_as_text!(Mapping => ToString::to_string);

/// Several pairs, with commas between them: `N=new,O=open`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pairs(pub Vec<Mapping>);

impl FromStr for Pairs {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut quoted = false;
        let comma = |c: char| {
            quoted ^= c == '\'';
            c == ',' && !quoted
        };
        text.split(comma).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Pairs {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn literal(code: &Code, type_name: &str) -> String {
    code.as_ref().map_or_else(|| format!("NULL::{type_name}"), |code| format!("{}::{type_name}", Literal(code.clone())))
}

fn whens(field: &Ident, old_type: &str, new_type: &str, pairs: &[Mapping]) -> Vec<String> {
    let one = |pair: &Mapping| {
        let is = pair.old.as_ref().map_or("IS NULL".to_owned(), |_| format!("= {}", literal(&pair.old, old_type)));
        format!("WHEN {field} {is} THEN {}", literal(&pair.new, new_type))
    };
    pairs.iter().map(one).collect()
}

/// The same, but NULL for a code that no pair names.
#[must_use]
pub fn known(field: &Ident, old_type: &str, new_type: &str, pairs: &[Mapping]) -> String {
    format!("CASE {} END", whens(field, old_type, new_type, pairs).join(" "))
}

/// The new code of a field: of several pairs for one old code the first counts, NULL stays NULL unless a pair says
/// otherwise, and any other code is an error that says `of` what it is.
///
/// # Errors
/// When a type's name cannot stand in an expression.
pub fn mapped(
    field: &Ident,
    old_type: &str,
    new_type: &str,
    pairs: &[Mapping],
    of: &str,
) -> Result<Expression, ExpressionError> {
    let mut whens = whens(field, old_type, new_type, pairs);
    if pairs.iter().all(|p| p.old.is_some()) {
        whens.push(format!("WHEN {field} IS NULL THEN NULL::{new_type}"));
    }
    // No name begins with a bracket, hence an error; but one that only this very row has, since constants are computed
    // when planning.
    let (head, tail) = (Literal("(no pair names the code ".into()), Literal(format!(" of {of})")));
    let error = format!("(pg_catalog.parse_ident({head} || {field}::text || {tail}))[1]");
    Expression::parse(&format!("CASE {} ELSE {error}::{new_type} END", whens.join(" ")))
}

/// The text of a constant, with or without a cast.
#[must_use]
pub fn constant(expression: &Expression) -> Option<Code> {
    fn of(expr: &Expr) -> Option<Code> {
        match expr {
            Expr::Cast { expr, .. } | Expr::Nested(expr) => of(expr),
            Expr::Value(value) => match &value.value {
                Value::Null => Some(None),
                Value::Number(number, _) => Some(Some(number.clone())),
                Value::SingleQuotedString(text) => Some(Some(text.clone())),
                Value::Boolean(value) => Some(Some(value.to_string())),
                _ => None,
            },
            _ => None,
        }
    }
    of(&expression.0)
}

/// The branch that a CASE takes, where constants tell which; any other expression as it is.
#[must_use]
pub fn folded(expression: &Expression) -> Expression {
    fn of(expr: &Expr) -> Option<&Expr> {
        let Expr::Case { operand, conditions, else_result, .. } = expr else {
            return if let Expr::Nested(inner) = expr { of(inner) } else { None };
        };
        for when in conditions {
            let holds = match operand {
                Some(operand) => equal(operand, &when.condition)?,
                None => truth(&when.condition)?,
            };
            if holds {
                return Some(&when.result);
            }
        }
        else_result.as_deref()
    }
    of(&expression.0).map_or_else(|| expression.clone(), |branch| Expression(branch.clone()))
}

/// Whether a condition over constants holds; NULL does not.
fn truth(condition: &Expr) -> Option<bool> {
    match condition {
        Expr::Nested(inner) => truth(inner),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            let value = constant(&Expression(*expr.clone()))?;
            truth(expr).map(|holds| !holds && value.is_some())
        }
        Expr::IsTrue(expr) => truth(expr),
        Expr::IsNull(expr) => constant(&Expression(*expr.clone())).map(|c| c.is_none()),
        Expr::IsNotNull(expr) => constant(&Expression(*expr.clone())).map(|c| c.is_some()),
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => equal(left, right),
        Expr::BinaryOp { left, op: BinaryOperator::NotEq, right } => {
            equal(left, right).filter(|_| !is_null(left) && !is_null(right)).map(|equal| !equal)
        }
        other => match constant(&Expression(other.clone()))?.as_deref() {
            Some("true") => Some(true),
            Some("false") | None => Some(false),
            Some(_) => None,
        },
    }
}

fn is_null(expr: &Expr) -> bool {
    constant(&Expression(expr.clone())) == Some(None)
}

/// Whether two constants are equal, where that does not depend on their types: whole numbers, and words of letters.
fn equal(one: &Expr, other: &Expr) -> Option<bool> {
    let plain = |text: &str| text.parse::<i64>().is_ok_and(|n| n.to_string() == text);
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    match (constant(&Expression(one.clone()))?, constant(&Expression(other.clone()))?) {
        (Some(one), Some(other)) if plain(&one) && plain(&other) || word(&one) && word(&other) => Some(one == other),
        (None, _) | (_, None) => Some(false),
        _ => None,
    }
}

/// The values that a check allows for a field, if it does nothing else: `state IN ('N', 'O')`.
#[must_use]
pub fn allowed(check: &Expression, field: &Ident) -> Option<BTreeSet<String>> {
    let (left, values) = match bare(&check.0) {
        Expr::InList { expr, list, negated: false } => (expr, list),
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => match bare(right) {
            Expr::Array(array) => (left, &array.elem),
            _ => return None,
        },
        _ => return None,
    };
    let values = values.iter().map(|v| constant(&Expression(bare(v).clone())).flatten());
    values.collect::<Option<_>>().filter(|_| field_of(bare(left)).as_ref() == Some(field))
}

/// A check that lists the values of a field, with the codes that lead back to one of them instead.
#[must_use]
pub fn listed(check: &Expression, field: &Ident, new: &Ident, new_type: &str, pairs: &[Mapping]) -> Option<String> {
    let allowed = allowed(check, field)?;
    let leads_back = |at: usize| pairs[..at].iter().all(|p| p.new != pairs[at].new);
    let codes: Vec<String> = (0..pairs.len())
        .filter(|at| leads_back(*at) && pairs[*at].old.as_ref().is_some_and(|old| allowed.contains(old)))
        .filter(|at| pairs[*at].new.is_some())
        .map(|at| literal(&pairs[at].new, new_type))
        .collect();
    (!codes.is_empty()).then(|| format!("{new} IN ({})", codes.join(", ")))
}

/// The new code for an old constant, as SQL.
#[must_use]
pub fn mapped_constant(constant: &Code, new_type: &str, pairs: &[Mapping]) -> Option<String> {
    pairs.iter().find(|p| p.old == *constant).map(|p| literal(&p.new, new_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_check_allows_is_read() {
        let state = Ident::new("state");
        let allowed = |text: &str| allowed(&Expression::parse(text).expect(text), &state);
        let both = Some(["N".to_owned(), "O".to_owned()].into());
        assert_eq!(allowed("state IN ('O', 'N')"), both);
        assert_eq!(
            allowed("((state)::text = ANY ((ARRAY['N'::character varying, 'O'::character varying])::text[]))"),
            both
        );
        assert_eq!(allowed("(state = ANY (ARRAY[1, 2]))"), Some(["1".to_owned(), "2".to_owned()].into()));
        for other in
            ["state IN ('N') OR n > 1", "state = 'N'", "kind IN ('N')", "state IN ('N', NULL)", "state NOT IN ('N')"]
        {
            assert_eq!(allowed(other), None, "{other}");
        }
    }

    #[test]
    fn a_case_over_constants_is_its_branch() {
        let folded = |text: &str| folded(&Expression::parse(text).expect(text)).to_string();
        assert_eq!(folded("CASE WHEN false THEN 1 ELSE 0 END"), "0");
        assert_eq!(folded("(CASE WHEN NOT (false) THEN 'a' ELSE 'b' END)"), "'a'");
        assert_eq!(folded("CASE 'new'::text WHEN 'old' THEN 1 WHEN 'new' THEN 2 END"), "2");
        assert_eq!(folded("CASE WHEN 0 = 1 THEN true WHEN 0 <> 1 THEN false END"), "false");
        assert_eq!(folded("CASE WHEN NULL::int = 1 THEN 1 WHEN NULL::int IS NULL THEN 3 END"), "3");
        assert_eq!(folded("CASE WHEN NOT (NULL::boolean) THEN 1 ELSE 0 END"), "0");
        for open in [
            "CASE WHEN f(1) THEN 1 ELSE 0 END",
            "CASE WHEN 1 = 1.0 THEN 1 ELSE 0 END",
            "CASE WHEN 'A' = 'a' THEN 1 ELSE 0 END",
            "1 + 1",
            "CASE WHEN NOT (f(1)) THEN 1 ELSE 0 END",
        ] {
            assert_eq!(folded(open), Expression::parse(open).expect(open).to_string());
        }
    }

    #[test]
    fn pairs_are_read_back() {
        for text in ["1=active", "'a=b'='it''s'", "NULL=none", "'NULL'=NULL", "''=x y", "a=''"] {
            let pair: Mapping = text.parse().expect(text);
            assert_eq!(pair.to_string(), text);
        }
        assert_eq!("a=b=c".parse(), Ok(Mapping { old: Some("a".into()), new: Some("b=c".into()) }));
        let pairs: Pairs = "1=a,'x,y'='b,''c'".parse().expect("two pairs");
        assert_eq!(pairs.0[1], Mapping { old: Some("x,y".into()), new: Some("b,'c".into()) });
        for wrong in ["1", "=x", "1=", "'a=b", "'a'b=c", "x='a'b"] {
            assert!(wrong.parse::<Mapping>().is_err(), "{wrong}");
        }
    }
}
