//! How the text of somebody's function uses names. PostgreSQL does not track that, so it is told by the words.
//!
//! Knows tokens, not statements: what it cannot tell for sure it calls possible.

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// How sure it is that something is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Not at all.
    No,
    /// The word is there, but it can be something else.
    Perhaps,
    /// It fails when the name is gone.
    Sure,
}

/// A word, and what stands before its dot.
#[derive(Debug)]
struct Word {
    name: String,
    of: Option<String>,
}

/// The words of a text.
#[derive(Debug, Default)]
pub struct Code {
    words: Vec<Word>,
    constants: Vec<String>,
    variables: BTreeSet<String>,
    aliases: BTreeMap<String, String>,
    takes_row: bool,
}

impl Code {
    /// Takes a text apart; one in another language has its words as constants.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize();
        let Ok(tokens) = tokens else { return Self { constants: vec![text.to_owned()], ..Self::default() } };
        let tokens: Vec<Token> = tokens.into_iter().filter(|t| !matches!(t, Token::Whitespace(_))).collect();
        let mut code = Self::default();
        let mut declaring = false;
        for (at, token) in tokens.iter().enumerate() {
            let before = |n: usize| at.checked_sub(n).and_then(|at| tokens.get(at));
            if let Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) = token {
                code.constants.push(text.clone());
            }
            if let Token::DollarQuotedString(text) = token {
                code.constants.push(text.value.clone());
            }
            let Some(name) = word(token) else { continue };
            match name.as_str() {
                "declare" => declaring = true,
                "begin" => declaring = false,
                _ => {}
            }
            let starts = |t: Option<&Token>| matches!(t, Some(Token::SemiColon)) || is(t, "declare");
            if declaring && name != "declare" && starts(before(1)) || is(before(1), "for") {
                code.variables.insert(name.clone());
            }
            let of = match before(1) {
                Some(Token::Period) => Some(before(2).and_then(word).or_else(|| before(3).and_then(word))),
                _ => None,
            };
            if is_row(&name) && !matches!(tokens.get(at + 1), Some(Token::Period | Token::RParen)) {
                code.takes_row |= !is(before(1), "return");
            }
            // `table alias`, `table AS alias`
            let named = if is(before(1), "as") { before(2) } else { before(1) };
            let whole = of.is_none() && tokens.get(at + 1) != Some(&Token::Period);
            if let Some(table) = named.and_then(word).filter(|_| whole) {
                code.aliases.entry(name.clone()).or_insert(table);
            }
            code.words.push(Word { name, of: of.map(Option::unwrap_or_default) });
        }
        code
    }

    /// Whether a word that can be a name is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.words.iter().any(|w| w.name == name)
    }

    /// Whether a word is in a constant, as in statements that are put together.
    #[must_use]
    pub fn says(&self, name: &str) -> bool {
        self.constants.iter().any(|text| has_word(text, name))
    }

    /// Whether it names a table without its schema.
    #[must_use]
    pub fn names_table(&self, table: &str) -> bool {
        self.words.iter().any(|w| w.name == table && w.of.is_none())
    }

    /// Whether it runs statements that it puts together.
    #[must_use]
    pub fn executes(&self) -> bool {
        self.has("execute")
    }

    /// How a trigger's function uses a field of the table that the trigger is on.
    #[must_use]
    pub fn uses(&self, table: &str, field: &str) -> Use {
        let of_table = self.has(table);
        let one = |w: &Word| match w.of.as_deref() {
            Some(of) if is_row(of) || of == table => Use::Sure,
            Some(of) if self.variables.contains(of) => {
                if self.takes_row {
                    Use::Sure
                } else {
                    Use::Perhaps
                }
            }
            Some(of) => match self.aliases.get(of) {
                Some(other) if other != table => Use::Perhaps,
                _ if of_table => Use::Sure,
                _ => Use::Perhaps,
            },
            None if of_table && !self.variables.contains(field) => Use::Sure,
            None => Use::Perhaps,
        };
        let used = self.words.iter().filter(|w| w.name == field).map(one).max().unwrap_or(Use::No);
        if used == Use::No && self.says(field) { Use::Perhaps } else { used }
    }

    /// Whether it reads such a field of the row that a trigger gives it.
    #[must_use]
    pub fn reads_of_row(&self, field: &str) -> bool {
        self.words.iter().any(|w| w.name == field && w.of.as_deref().is_some_and(is_row))
    }

    /// Whether the text of a trigger's function gives such a field of the new row a value.
    #[must_use]
    pub fn sets(text: &str, field: &str) -> bool {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().unwrap_or_default();
        let tokens: Vec<Token> = tokens.into_iter().filter(|t| !matches!(t, Token::Whitespace(_))).collect();
        tokens.windows(4).any(|w| {
            is(w.first(), "new")
                && matches!(w[1], Token::Period)
                && is(w.get(2), field)
                && matches!(w[3], Token::Assignment | Token::Eq)
        })
    }
}

fn is_row(name: &str) -> bool {
    matches!(name, "new" | "old")
}

/// A name as PostgreSQL folds it.
pub(super) fn word(token: &Token) -> Option<String> {
    match token {
        Token::Word(w) if w.quote_style.is_some() => Some(w.value.clone()),
        Token::Word(w) => Some(w.value.to_lowercase()),
        _ => None,
    }
}

pub(super) fn is(token: Option<&Token>, name: &str) -> bool {
    token.and_then(word).is_some_and(|w| w == name)
}

/// Whether a text has a word, however it is written.
#[must_use]
pub fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).any(|w| w.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_no_use_of_a_field() {
        for (text, uses) in [
            ("BEGIN -- the status\n RETURN NEW; END", Use::No),
            ("BEGIN /* status */ RETURN NEW; END", Use::No),
            ("BEGIN RAISE DEBUG 'new status'; RETURN NEW; END", Use::Perhaps),
            ("DECLARE status int := 0; BEGIN status := status + 1; RETURN NULL; END", Use::Perhaps),
            ("DECLARE status int; BEGIN SELECT count(*) INTO status FROM items; RETURN NULL; END", Use::Perhaps),
            ("BEGIN UPDATE public.other SET status = 'x' WHERE id = NEW.id; RETURN NULL; END", Use::Perhaps),
            ("BEGIN UPDATE other o SET n = o.status FROM items; RETURN NULL; END", Use::Perhaps),
            ("DECLARE j jsonb := to_jsonb(NEW); BEGIN NEW.slug := j->>'status'; RETURN NEW; END", Use::Perhaps),
            ("BEGIN NEW.status := 'x'; RETURN NEW; END", Use::Sure),
            ("BEGIN IF (OLD).\"status\" = 'x' THEN RETURN NULL; END IF; RETURN NEW; END", Use::Sure),
            ("DECLARE r items; BEGIN r := NEW; IF r.status IS NULL THEN RETURN NULL; END IF; END", Use::Sure),
            ("BEGIN UPDATE items SET status = 'x' WHERE id = 1; RETURN NULL; END", Use::Sure),
            ("BEGIN UPDATE items i SET n = 1 WHERE i.status = 'x'; RETURN NULL; END", Use::Sure),
        ] {
            assert_eq!(Code::of(text).uses("items", "status"), uses, "{text}");
        }
    }
}
