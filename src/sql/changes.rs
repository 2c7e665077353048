//! Statements that change rows and nothing else.

use std::fmt;
use std::str::FromStr;

use sqlparser::ast::{Query, SetExpr, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::name::serde_as_text;
use crate::sql::parser_reason;

/// One or more of INSERT, UPDATE, DELETE and MERGE, with or without WITH, as a person wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes(String);

impl FromStr for Changes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, text).map_err(|e| parser_reason(&e.to_string()));
        let statements = match statements {
            Ok(statements) => statements,
            // PostgreSQL knows more than this parser. That it only changes rows is all that must be known here.
            Err(reason) if !begin_well(text) => return Err(reason),
            Err(_) => return Ok(Self(text.trim().to_owned())),
        };
        if statements.is_empty() {
            return Err("there is no statement".into());
        }
        for statement in &statements {
            if !changes_rows(statement) {
                let text = statement.to_string();
                let word = text.split(' ').next().unwrap_or_default();
                return Err(format!("{word} does not belong here: only INSERT, UPDATE, DELETE and MERGE change rows"));
            }
        }
        Ok(Self(text.trim().to_owned()))
    }
}

/// Whether each of the statements begins as one that changes rows.
fn begin_well(text: &str) -> bool {
    const CHANGING: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "MERGE"];
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize() else { return false };
    let word = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
        _ => None,
    };
    let seen: Vec<Token> = tokens.into_iter().filter(|t| !matches!(t, Token::Whitespace(_) | Token::EOF)).collect();
    let statements = seen.split(|token| *token == Token::SemiColon).filter(|s| !s.is_empty());
    let begins = |statement: &[Token]| {
        let changes = |word: &str| CHANGING.contains(&word);
        match word(&statement[0]).as_deref() {
            Some("WITH") => statement.iter().filter_map(word).any(|w| changes(&w)),
            Some(first) => changes(first),
            None => false,
        }
    };
    statements.clone().next().is_some() && statements.into_iter().all(begins)
}

fn changes_rows(statement: &Statement) -> bool {
    match statement {
        Statement::Insert { .. } | Statement::Update { .. } | Statement::Delete { .. } | Statement::Merge { .. } => {
            true
        }
        Statement::Query(query) => writes(query),
        _ => false,
    }
}

fn writes(query: &Query) -> bool {
    let inside = match &*query.body {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => true,
        SetExpr::Query(query) => writes(query),
        _ => false,
    };
    inside || query.with.iter().flat_map(|with| &with.cte_tables).any(|table| writes(&table.query))
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Changes => ToString::to_string);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statements_that_change_rows_are_taken() {
        for right in [
            "UPDATE a SET b = 1 WHERE c = ';'; DELETE FROM a",
            "INSERT INTO a (b) SELECT c FROM d ON CONFLICT DO NOTHING;",
            "WITH d AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM d",
            "WITH d AS (DELETE FROM a RETURNING *) SELECT count(*) FROM d",
            "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN UPDATE SET c = 1",
            // Beyond the parser: PostgreSQL says whether it is right.
            "UPDATE a SET b[1] = 2",
        ] {
            assert!(right.parse::<Changes>().is_ok(), "{right}: {:?}", right.parse::<Changes>());
        }
        for wrong in ["", "SELECT 1", "COMMIT", "UPDATE a SET b = 1; COMMIT", "DROP TABLE a", "TRUNCATE a", "SET a = 1"]
        {
            assert!(wrong.parse::<Changes>().is_err(), "{wrong}");
        }
    }
}
