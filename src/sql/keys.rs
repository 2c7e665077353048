//! What the definition of an index says of one of its columns.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::name::Ident;
use crate::sql::code::{is, word};

/// Whether the column is one of the keys by itself, with at most an order, and is named nowhere else: then another of any
/// type can take its place.
#[must_use]
pub fn stands_alone(definition: &str, column: &Ident) -> bool {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, definition).tokenize().unwrap_or_default();
    let mut tokens = tokens.into_iter().filter(|t| !matches!(t, Token::Whitespace(_)));
    if !tokens.any(|t| is(Some(&t), "using")) || !tokens.any(|t| t == Token::LParen) {
        return false;
    }
    let (mut keys, mut depth) = (vec![Vec::new()], 1);
    for token in tokens.by_ref() {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Comma if depth == 1 => {
                keys.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if let Some(key) = keys.last_mut() {
            key.push(token);
        }
    }
    let named = |token: &Token| is(Some(token), column.as_str());
    let order = |token: &Token| word(token).is_some_and(|w| ["asc", "desc", "nulls", "first", "last"].contains(&&*w));
    let mut with = keys.iter().filter(|key| key.iter().any(named));
    let alone =
        with.next().and_then(|key| key.split_first()).is_some_and(|(c, rest)| named(c) && rest.iter().all(order));
    alone && with.next().is_none() && !tokens.any(|t| named(&t))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_alone_in_whatever_order() {
        let alone = |tail: &str| {
            stands_alone(&format!("CREATE INDEX i ON public.\"a USING (d)\" USING btree {tail}"), &Ident::new("d"))
        };
        for tail in [
            "(d)",
            "(d DESC)",
            "(d NULLS FIRST)",
            "(b COLLATE \"C\", d DESC NULLS LAST)",
            "(d) INCLUDE (b)",
            "(lower(b), d)",
        ] {
            assert!(alone(tail), "{tail}");
        }
        for tail in [
            "(b)",
            "(d text_pattern_ops)",
            "(d COLLATE \"C\")",
            "(lower(d))",
            "(b) INCLUDE (d)",
            "(d) WHERE (d > 1)",
            "(d, lower(d))",
        ] {
            assert!(!alone(tail), "{tail}");
        }
    }
}
