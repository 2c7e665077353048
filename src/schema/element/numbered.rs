//! The options of an identity: `(START WITH 100 INCREMENT BY 5)`, in whichever order they are written.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

/// An element without the options of its identity, and these as CREATE SEQUENCE takes them; nothing if it has none.
///
/// # Errors
/// When one is no option of a sequence, or says what the table itself must.
pub(super) fn apart(text: &str) -> Result<Option<(String, String)>, String> {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize() else { return Ok(None) };
    let spoken: Vec<usize> =
        tokens.iter().enumerate().filter(|(_, t)| !matches!(t, Token::Whitespace(_))).map(|(at, _)| at).collect();
    let opens = |pair: &&[usize]| is_word(&tokens[pair[0]], "identity") && tokens[pair[1]] == Token::LParen;
    let Some(open) = spoken.windows(2).find(opens).map(|pair| pair[1]) else { return Ok(None) };
    let Some(close) = (open..tokens.len()).find(|at| tokens[*at] == Token::RParen) else { return Ok(None) };
    let written = |tokens: &[Token]| tokens.iter().map(ToString::to_string).collect::<String>();
    let options: Vec<String> = tokens[open + 1..close]
        .iter()
        .filter(|t| !matches!(t, Token::Whitespace(_)))
        .map(|t| t.to_string().to_uppercase())
        .collect();
    let rest = format!("{} {}", written(&tokens[..open]), written(&tokens[close + 1..]));
    Ok(Some((rest, read(&options)?)))
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word))
}

/// The options one by one, each at most once.
fn read(words: &[String]) -> Result<String, String> {
    let mut options: Vec<(&str, String)> = Vec::new();
    let mut rest: Vec<&str> = words.iter().map(String::as_str).collect();
    while !rest.is_empty() {
        let (name, value, length) = match &rest[..] {
            ["NO", name @ ("MINVALUE" | "MAXVALUE" | "CYCLE"), ..] => (*name, format!("NO {name}"), 2),
            ["CYCLE", ..] => ("CYCLE", "CYCLE".to_owned(), 1),
            [name @ ("INCREMENT" | "START"), "BY" | "WITH", "-", n, ..] => (*name, format!("{name} -{n}"), 4),
            [name @ ("INCREMENT" | "START"), "BY" | "WITH", n, ..] => (*name, format!("{name} {n}"), 3),
            [name @ ("INCREMENT" | "START" | "MINVALUE" | "MAXVALUE" | "CACHE"), "-", n, ..] => {
                (*name, format!("{name} -{n}"), 3)
            }
            [name @ ("INCREMENT" | "START" | "MINVALUE" | "MAXVALUE" | "CACHE"), n, ..] => {
                (*name, format!("{name} {n}"), 2)
            }
            [other, ..] => {
                return Err(format!("`{other}` is not understood among the options of an identity; leave it out"));
            }
            [] => break,
        };
        let is_number = |v: &str| v.trim_start_matches('-').chars().all(|c| c.is_ascii_digit());
        let number = value.rsplit(' ').next().unwrap_or_default();
        if !value.starts_with("NO ") && value != "CYCLE" && (number.is_empty() || !is_number(number)) {
            return Err(format!("`{number}` is no number, as {name} needs one"));
        }
        if options.iter().any(|(other, _)| *other == name) {
            return Err(format!("it says {name} twice"));
        }
        options.push((name, value));
        rest.drain(..length);
    }
    Ok(options.iter().map(|(_, value)| format!(" {value}")).collect())
}
