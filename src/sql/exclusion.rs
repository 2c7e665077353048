//! What an exclusion constraint says: pairs of a key and the operator by which two rows clash.

use std::fmt;
use std::str::FromStr;

use sqlparser::tokenizer::Token;

use super::indexes::{IndexKey, IndexParts, KeyPart};
use super::{ExpressionError, tokens};
use crate::name::serde_as_text;
use crate::sql::code::is;

/// How the definition of an exclusion constraint begins.
pub const EXCLUDE: &str = "EXCLUDE USING ";

/// Keys with their operators as a person wrote them: `room WITH =`, or `room =`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExclusionKeys(String);

/// What a definition says.
#[derive(Debug, Clone, PartialEq)]
pub struct Exclusion {
    /// The access method of its index.
    pub method: String,
    /// The operator of each key.
    pub operators: Vec<String>,
    /// All else, which an index says, too.
    pub parts: IndexParts,
}

impl Exclusion {
    /// Reads `EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (…)`, as PostgreSQL prints it.
    ///
    /// # Errors
    /// What the parser says.
    pub fn read(definition: &str) -> Result<Self, ExpressionError> {
        let syntax = |reason: &str| ExpressionError::Syntax { text: definition.to_owned(), reason: reason.to_owned() };
        let tail = definition.strip_prefix(EXCLUDE).ok_or_else(|| syntax("it is no exclusion"))?;
        let tail = tail.trim_end_matches(" INITIALLY DEFERRED").trim_end_matches(" DEFERRABLE");
        let (method, rest) = tail.split_once(" (").ok_or_else(|| syntax("it has no keys"))?;
        let (keys, rest) = closed(rest).ok_or_else(|| syntax("its keys end nowhere"))?;
        let keys = pairs(&keys).map_err(|reason| syntax(&reason))?;
        let (keys, operators): (Vec<String>, Vec<String>) = keys.into_iter().unzip();
        let parts = IndexParts::read(&format!("{method} ({}){rest}", keys.join(", ")))?;
        if parts.keys.len() != operators.len() {
            return Err(syntax("its keys are not understood"));
        }
        Ok(Self { method: method.to_owned(), operators, parts })
    }

    /// Its keys, each with its operator.
    pub fn keys(&self) -> impl Iterator<Item = (&KeyPart, &String)> {
        self.parts.keys.iter().zip(&self.operators)
    }
}

impl ExclusionKeys {
    /// One key with its operator.
    #[must_use]
    pub fn new(key: &str, operator: &str) -> Self {
        Self(format!("{key} WITH {operator}"))
    }

    /// The keys, each with its operator.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read(&self) -> Result<Vec<(IndexKey, String)>, ExpressionError> {
        let pairs = pairs(&self.0).map_err(|reason| ExpressionError::Syntax { text: self.0.clone(), reason })?;
        pairs.into_iter().map(|(key, operator)| Ok((key.parse()?, operator))).collect()
    }
}

/// What stands before the bracket that was opened before the text, and what behind it.
fn closed(text: &str) -> Option<(String, String)> {
    let tokens = tokens(text);
    let mut depth = 1;
    let end = tokens.iter().position(|token| {
        depth += i32::from(*token == Token::LParen) - i32::from(*token == Token::RParen);
        depth == 0
    })?;
    let text = |tokens: &[Token]| tokens.iter().map(ToString::to_string).collect::<String>();
    Some((text(&tokens[..end]), text(&tokens[end + 1..])))
}

/// The keys of a list, each with its operator.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let (mut parts, mut depth) = (vec![Vec::new()], 0);
    for token in tokens(text) {
        depth += i32::from(token == Token::LParen) - i32::from(token == Token::RParen);
        if token == Token::Comma && depth == 0 {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(token);
        }
    }
    if depth != 0 {
        return Err("its brackets do not match".into());
    }
    parts.iter().map(|part| pair(part)).collect()
}

/// One key and its operator, which stands last, after WITH or not.
fn pair(tokens: &[Token]) -> Result<(String, String), String> {
    let text = |tokens: &[Token]| tokens.iter().map(ToString::to_string).collect::<String>().trim().to_owned();
    let all = text(tokens);
    let none = || format!("`{all}` has no operator at its end, as `room WITH =` has");
    let with = tokens.iter().rposition(|token| is(Some(token), "with"));
    let (key, operator) = if let Some(with) = with {
        (text(&tokens[..with]), text(&tokens[with + 1..]))
    } else {
        let key = all.trim_end_matches(is_sign);
        (key.trim_end().to_owned(), all[key.len()..].to_owned())
    };
    let named = operator.get(.."operator".len()).is_some_and(|word| word.eq_ignore_ascii_case("operator"));
    if key.is_empty() || operator.is_empty() || !(named || operator.chars().all(is_sign)) {
        return Err(none());
    }
    if named && !is_qualified(&operator["operator".len()..]) {
        return Err(format!("`{operator}` is no operator"));
    }
    Ok((key, operator))
}

/// Of which characters operators are made.
fn is_sign(c: char) -> bool {
    "+-*/<>=~!@#%^&|`?".contains(c)
}

/// Whether it is `(schema.@@)`.
fn is_qualified(text: &str) -> bool {
    let inner = text.trim().strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    inner.and_then(|inner| inner.rsplit_once('.')).is_some_and(|(schema, signs)| {
        let signs = signs.trim();
        crate::name::parts(schema).is_ok() && !signs.is_empty() && signs.chars().all(is_sign)
    })
}

impl FromStr for ExclusionKeys {
    type Err = ExpressionError;
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let keys = Self(text.trim().to_owned());
        keys.read()?;
        Ok(keys)
    }
}

impl fmt::Display for ExclusionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(ExclusionKeys => ToString::to_string);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_operator_at_its_end() {
        let read = |text: &str| {
            let keys = text.parse::<ExclusionKeys>().and_then(|keys| keys.read()).ok()?;
            Some(keys.into_iter().map(|(key, operator)| format!("{key} / {operator}")).collect::<Vec<_>>())
        };
        for (text, wanted) in [
            ("room =", &["room / ="][..]),
            ("room WITH =", &["room / ="]),
            ("room with =, during with &&", &["room / =", "during / &&"]),
            ("tsrange(a, b) &&", &["tsrange(a, b) / &&"]),
            ("\"a with, b\" WITH -|-", &["\"a with, b\" / -|-"]),
            ("room gist_int4_ops WITH OPERATOR(public.=)", &["room gist_int4_ops / OPERATOR(public.=)"]),
        ] {
            let wanted: Vec<String> = wanted.iter().map(|&key| key.to_owned()).collect();
            assert_eq!(read(text), Some(wanted), "{text}");
        }
        for text in ["room", "=", "room WITH", "room WITH x", "a) WITH =", "a = b", "a WITH operator(x)"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_definition_is_read() {
        let text = "EXCLUDE USING gist (room WITH =, tsrange(a, b) WITH OPERATOR(public.&&)) INCLUDE (c) WITH (fillfactor='70') WHERE ((d IS NULL)) DEFERRABLE INITIALLY DEFERRED";
        let read = Exclusion::read(text).expect("parses");
        assert_eq!((&*read.method, &read.operators[..]), ("gist", &["=".to_owned(), "OPERATOR(public.&&)".into()][..]));
        assert_eq!(read.parts.keys[1].value.to_string(), "tsrange(a, b)");
        assert_eq!(read.parts.include, ["c".into()]);
        assert_eq!(read.parts.with.iter().map(ToString::to_string).collect::<Vec<_>>(), ["fillfactor=70"]);
        assert_eq!(read.parts.only.map(|o| o.bare().to_string()), Some("d IS NULL".into()));
    }
}
