//! Statements that make, change and drop things, as a person wrote them, and the names in them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::name::{Ident, TableRef, serde_as_text};

/// One or more statements that may run within a transaction with others, and leave it and its session as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ddl(String);

/// How statements may begin.
const BEGIN: [&str; 14] = [
    "ALTER", "ANALYZE", "CALL", "COMMENT", "CREATE", "DO", "DROP", "GRANT", "IMPORT", "REASSIGN", "REFRESH", "REVOKE",
    "SECURITY", "SELECT",
];

/// What begins as those, and does not run within a transaction.
const ALONE: [&str; 4] = ["DATABASE", "SUBSCRIPTION", "SYSTEM", "TABLESPACE"];

impl FromStr for Ddl {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let statements: Vec<&[Token]> =
            tokens.split(|token| *token == Token::SemiColon).filter(|s| !s.is_empty()).collect();
        if statements.is_empty() {
            return Err("there is no statement".into());
        }
        statements.iter().try_for_each(|statement| may_run(statement))?;
        if text.contains('\0') {
            return Err("no text of PostgreSQL can contain the character NUL".into());
        }
        Ok(Self(text.trim().to_owned()))
    }
}

/// Whether a statement may run within a transaction and leaves it as it is, as far as its words tell.
fn may_run(statement: &[Token]) -> Result<(), String> {
    let words: Vec<String> = statement.iter().filter_map(keyword).collect();
    let first = keyword(&statement[0]).unwrap_or_else(|| statement[0].to_string());
    match first.as_str() {
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "TRUNCATE" | "COPY" => {
            return Err(format!("{first} changes rows, which `refactor data` does"));
        }
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" | "PREPARE" => {
            return Err(format!("{first} does not belong here: all runs in one transaction of ours"));
        }
        "SET" | "RESET" | "DISCARD" | "LOCK" => {
            return Err(format!("{first} does not belong here: what it says would hold for us, too"));
        }
        other if !BEGIN.contains(&other) => {
            return Err(format!("{first} does not belong here: statements begin with {}", BEGIN.join(", ")));
        }
        _ => {}
    }
    let is = |at: usize, word: &str| words.get(at).is_some_and(|w| w == word);
    let changes = ["ALTER", "CREATE", "DROP"].contains(&first.as_str());
    let is_setting = first == "ALTER" && !is(1, "SYSTEM");
    if changes && !is_setting && ALONE.iter().any(|kind| is(1, kind)) {
        return Err(format!("{first} {} cannot run within a transaction", words[1]));
    }
    let indexes = is(1, "INDEX") || is(2, "INDEX") || words.iter().any(|w| w == "DETACH");
    if changes && indexes && words.iter().any(|w| w == "CONCURRENTLY") {
        return Err("CONCURRENTLY cannot run within a transaction; `refactor create-index` and `refactor drop-index` make nobody wait either".into());
    }
    Ok(())
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().map_err(|e| e.to_string())?;
    Ok(tokens.into_iter().filter(|t| !matches!(t, Token::Whitespace(_) | Token::EOF)).collect())
}

/// A word that is not quoted, in capitals.
fn keyword(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
        _ => None,
    }
}

/// A word as a name.
fn name(token: &Token) -> Option<Ident> {
    match token {
        Token::Word(word) if word.quote_style.is_some() => Some(Ident::new(&*word.value)),
        Token::Word(word) => Some(Ident::new(word.value.to_lowercase())),
        _ => None,
    }
}

impl Ddl {
    /// Whatever can be the name of a table in it: PostgreSQL has more statements than any parser knows, and each of them
    /// says names alike. What stands in texts, as those of functions, is not looked into.
    #[must_use]
    pub fn names(&self) -> BTreeSet<TableRef> {
        let tokens = tokens(&self.0).unwrap_or_default();
        let mut names = BTreeSet::new();
        let mut chain: Vec<Ident> = Vec::new();
        let mut goes_on = false;
        for token in tokens.iter().chain([&Token::EOF]) {
            match (name(token), token) {
                (Some(part), _) if goes_on => chain.push(part),
                (None, Token::Period) if !chain.is_empty() => {
                    goes_on = true;
                    continue;
                }
                (part, _) => {
                    names.extend(tables(&chain));
                    chain = part.into_iter().collect();
                }
            }
            goes_on = false;
        }
        names
    }

    /// What says nothing but whether its grammar is right: nothing of it is done.
    #[must_use]
    pub fn idle(&self) -> String {
        let is_open = tokens(&self.0).is_ok_and(|tokens| tokens.last() != Some(&Token::SemiColon));
        let end = if is_open { "\n;" } else { "" };
        format!("DO {body}\nBEGIN\nRETURN;\n{}{end}\nEND\n{body};", self.0, body = crate::name::BODY)
    }

    /// Its first words, for a name.
    #[must_use]
    pub fn words(&self) -> String {
        const LEFT_OUT: [&str; 6] = ["if", "not", "exists", "or", "replace", "as"];
        let tokens = tokens(&self.0).unwrap_or_default();
        let words = tokens.iter().map_while(name).map(|word| word.as_str().to_owned());
        let words: Vec<String> = words.filter(|word| !LEFT_OUT.contains(&word.as_str())).take(3).collect();
        words.join("-")
    }
}

/// The tables that names with dots between them can be, or be a field of.
fn tables(chain: &[Ident]) -> Vec<TableRef> {
    let table = |schema: Option<&Ident>, name: &Ident| TableRef { schema: schema.cloned(), name: name.clone() };
    match chain {
        [] => Vec::new(),
        [one] => vec![table(None, one)],
        [one, two] => vec![table(None, one), table(Some(one), two)],
        [one, two, ..] => vec![table(Some(one), two)],
    }
}

impl fmt::Display for Ddl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Ddl => ToString::to_string);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leaves_the_transaction_is_taken() {
        for right in [
            "CREATE EXTENSION citext",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; COMMIT $$; GRANT EXECUTE ON FUNCTION f TO PUBLIC;",
            "DO $$ BEGIN PERFORM 1; END $$",
            "comment on schema public is 'COMMIT; ';",
            "ALTER DATABASE x SET work_mem = '1MB'",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
        ] {
            assert!(right.parse::<Ddl>().is_ok(), "{right}: {:?}", right.parse::<Ddl>());
        }
        for wrong in [
            "",
            ";",
            "COMMIT",
            "CREATE SCHEMA a; commit; CREATE SCHEMA b",
            "/* x */ SET ROLE postgres",
            "RESET ALL",
            "INSERT INTO a VALUES (1)",
            "CREATE DATABASE x",
            "ALTER SYSTEM SET work_mem = 1",
            "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
            "VACUUM",
            "CREATE SCHEMA 'a",
        ] {
            assert!(wrong.parse::<Ddl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_found_wherever_they_stand() {
        let ddl: Ddl = "GRANT SELECT (x) ON side.\"A b\", orders TO public; COMMENT ON COLUMN orders.n IS 'other'"
            .parse()
            .expect("it is DDL");
        let has = |text: &str| ddl.names().contains(&text.parse().expect("it is DDL"));
        assert!(has("side.\"A b\"") && has("orders") && has("orders.n") && !has("other"));
        assert_eq!(
            "CREATE OR REPLACE VIEW a.b AS SELECT 1".parse::<Ddl>().expect("it is DDL").words(),
            "create-view-a"
        );
    }
}
