//! A text cut into statements.

use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token, Tokenizer};

/// A statement of a file.
pub struct Statement {
    /// Where it begins.
    pub line: usize,
    /// As it stands there.
    pub text: String,
    /// What it is, or why that cannot be told.
    pub parsed: Result<ast::Statement, String>,
}

/// The statements of a text.
pub fn statements(text: &str) -> Vec<Statement> {
    let dialect = PostgreSqlDialect {};
    let tokens = match Tokenizer::new(&dialect, text).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(error) => {
            return vec![Statement { line: 1, text: text.trim().to_owned(), parsed: Err(error.to_string()) }];
        }
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let starts: Vec<usize> =
        lines.iter().scan(0, |at, line| Some(std::mem::replace(at, *at + line.len() + 1))).collect();
    let at = |place: Location| {
        let line = usize::try_from(place.line).unwrap_or(1).saturating_sub(1);
        let column = usize::try_from(place.column).unwrap_or(1).saturating_sub(1);
        let inside = lines.get(line).map_or(0, |l| l.chars().take(column).map(char::len_utf8).sum());
        starts.get(line).map_or(text.len(), |start| (start + inside).min(text.len()))
    };
    let mut found = Vec::new();
    let mut first: Option<Location> = None;
    for token in &tokens {
        match token.token {
            Token::Whitespace(_) => {}
            Token::SemiColon | Token::EOF => {
                let end = if token.token == Token::EOF { text.len() } else { at(token.span.start) };
                if let Some(start) = first.take() {
                    let line = usize::try_from(start.line).unwrap_or(1);
                    found.push(statement(line, text[at(start)..end].trim()));
                }
            }
            _ => first = first.or(Some(token.span.start)),
        }
    }
    if let Some(start) = first {
        found.push(statement(usize::try_from(start.line).unwrap_or(1), text[at(start)..].trim()));
    }
    found
}

fn statement(line: usize, text: &str) -> Statement {
    let parsed = Parser::parse_sql(&PostgreSqlDialect {}, text)
        .map_err(|e| format!("it cannot be read: {}", crate::sql::parser_reason(&e.to_string())));
    let parsed = parsed.and_then(|mut all| all.pop().ok_or_else(|| "it is empty".to_owned()));
    Statement { line, text: text.to_owned(), parsed }
}
