//! What the models of an ORM are told, on names that would be code if they were not quoted.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::page::new_database;
use crate::support::Database;

const ORMS: [&str; 3] = ["django", "rails", "sqlalchemy"];

/// What would be run if a name were taken for a program's text, in each kind of quotes and comments.
const ATTACKS: [&str; 6] =
    ["a\"); boom() #", "b'); boom() #", "c\\", "d\nboom()", "e#{boom()}", "f\"\"\"\nboom()\n\"\"\"'''\nboom()\n'''"];

/// Two tables of each name, with keys, relations of one and of two fields, and a table without a key.
fn hostile() -> Database {
    let tables = ATTACKS.iter().enumerate().map(|(at, attack)| {
        let name = |more: &str| format!("\"{more}{}\"", attack.replace('"', "\"\""));
        format!(
            "CREATE TABLE {t} ({a} int GENERATED ALWAYS AS IDENTITY, {b} varchar(9) NOT NULL UNIQUE, {c} numeric(9,2), PRIMARY KEY ({a}), UNIQUE ({a}, {b}));
             CREATE TABLE {u} ({a} int REFERENCES {t}, {b} varchar(9) REFERENCES {t} ({b}), class int NOT NULL, pk int,
               PRIMARY KEY ({a}, class), FOREIGN KEY ({a}, {b}) REFERENCES {t} ({a}, {b}));
             CREATE TABLE keyless{at} ({a} int REFERENCES {t}, {b} text NOT NULL);",
            t = name("t"),
            u = name("u"),
            a = name("a"),
            b = name("b"),
            c = name("c"),
        )
    });
    new_database(&tables.collect::<String>())
}

/// A program's text without what stands in quotes and comments.
fn code(text: &str, quote: char) -> String {
    let mut code = String::new();
    let mut chars = text.chars();
    let mut is_quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if is_quoted => drop(chars.next()),
            _ if c == quote => is_quoted = !is_quoted,
            '#' if !is_quoted => drop(chars.by_ref().find(|c| *c == '\n')),
            _ if !is_quoted => code.push(c),
            _ => {}
        }
    }
    assert!(!is_quoted, "a quote is not closed: {text}");
    code
}

#[test]
fn names_stay_names() {
    let database = hostile();
    for orm in ORMS {
        let text = database.ok(&["models", "--for", orm, "--all"]);
        let code = code(&text, if orm == "rails" { '\'' } else { '"' });
        assert!(!code.contains("boom()"), "{orm}: {code}");
        assert!(code.is_ascii() && !code.contains(['\\', '"', '\'']), "{orm}: {code}");
        let parser: &[&str] = match orm {
            "rails" => &["ruby", "-c"],
            _ => &["python3", "-c", "import ast, sys; ast.parse(sys.stdin.read())"],
        };
        // Where the language is there, it says itself.
        let started = Command::new(parser[0]).args(&parser[1..]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        if let Ok(mut process) = started {
            process.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            assert!(process.wait().unwrap().success(), "{orm}: {text}");
        }
    }
}

#[test]
fn only_what_a_view_shows_is_told() {
    let database = new_database(
        "CREATE TABLE makers (id int PRIMARY KEY, name text NOT NULL);
         CREATE TABLE products (sku text PRIMARY KEY, maker_id int NOT NULL REFERENCES makers, name text)",
    );
    for orm in ORMS {
        assert_eq!(database.ok(&["models", "--for", orm]), "", "{orm}");
    }
    database.ok(&["rename-table", "makers", "companies"]);
    let wanted = "class Company < ApplicationRecord\n  self.table_name = 'companies'\n  self.primary_key = 'id'\n  \
        has_many :products_by_maker, class_name: 'Product', foreign_key: 'maker_id'\n  \
        validates 'name', exclusion: { in: [nil], message: 'is NULL' }\nend\n";
    assert_eq!(database.ok(&["models", "--for", "rails"]), wanted);
    // The names are the same, whichever are asked for.
    let all = database.ok(&["models", "--for", "rails", "--all"]);
    assert!(
        all.contains(wanted) && all.contains("belongs_to :maker, class_name: 'Company', foreign_key: 'maker_id'"),
        "{all}"
    );
}
