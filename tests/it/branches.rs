//! Two branches: what the files alone say of two refactorings is what becomes of them when both orders are made real.
//!
//! `REFACTOR_PAIRS=all` decides every pair of the matrix, and makes both orders real; `REFACTOR_PAIRS=8` takes every eighth,
//! `REFACTOR_PAIRS=split-table` those with that verb; without it one in eight is decided and some made real, others every day.

mod team;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use clap::Parser;
use refactor::branches::decide;
use refactor::catalogue::Refactoring;
use refactor::journal::Entry;
use refactor::schema::{Schema, Table, read};

use crate::matrix::{COMMANDS, TABLES};
use crate::rebuild::structure;
use crate::support::Database;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    refactoring: Refactoring,
}

/// The file of a command.
fn entry(name: &str, command: &[&str]) -> Entry {
    let words = std::iter::once("refactor").chain(command.iter().copied());
    Entry::new(name.to_owned(), None, Line::try_parse_from(words).unwrap().refactoring).unwrap()
}

fn schema(database: &Database) -> Arc<Schema> {
    Arc::new(read::read(&mut database.client()).unwrap())
}

/// More commands, which meet the others.
const MORE: [&[&str]; 6] = [
    &["data", "twice", "UPDATE p SET v = v * 2"],
    &["data", "grow", "INSERT INTO q (id, p_id, code) VALUES (60, 1, 'new')"],
    &["rename-field", "p.v", "size"],
    &["set-default", "p.v", "7"],
    &["reorder-fields", "p", "code", "kind"],
    &["change-type", "p.v", "int", "--using", "v * 10", "--back", "v / 10"],
];

fn commands() -> Vec<&'static [&'static str]> {
    COMMANDS.iter().chain(&MORE).copied().collect()
}

/// Beginnings of commands that do the same in both orders with these rows, and with others would not: the one reads what the
/// other changes. The fields of a table would stand in another order, which is not compared. An enum takes one change
/// until that is real.
const CAREFUL: [(&str, &str); 20] = [
    ("add-enum-value", "drop-enum-value"),
    ("add-enum-value", "rename-enum-value"),
    ("add-check p v", "data twice"),
    ("add-field p.extra text", "change-type p.w varchar"),
    ("add-foreign-key q", "data grow"),
    ("add-foreign-key q", "hard-delete p"),
    ("add-foreign-key q", "split-rows p"),
    ("add-primary-key q", "data grow"),
    ("change-type p.v bigint", "data twice"),
    ("create-index p lower", "data twice"),
    ("create-table n", "split-rows p"),
    ("data twice", "change-type p.v int"),
    ("extract-table p.w", "hard-delete p"),
    ("hard-delete p", "data twice"),
    ("hard-delete p", "soft-delete p"),
    ("rename-field q.n kind --with", "data grow"),
    ("reorder-fields p", "reorder-fields p"),
    ("set-not-null p.v", "change-type p.v int"),
    ("set-not-null p.v", "data twice"),
    ("soft-delete q", "data grow"),
];

fn is_careful(first: &[&str], second: &[&str]) -> bool {
    let (first, second) = (first.join(" "), second.join(" "));
    CAREFUL.iter().any(|(a, b)| first.starts_with(a) && second.starts_with(b))
}

/// A database with rows that show which came first.
fn tables() -> Database {
    Database::new(&format!("{TABLES} UPDATE p SET gone = 1 WHERE id IN (8, 9); ANALYZE;"))
}

/// What a database holds: tables without the order of their fields, and rows.
type Held = (BTreeMap<String, Table>, BTreeMap<String, Vec<String>>);

fn held(database: &Database) -> Held {
    let mut tables = structure(database).tables;
    for table in tables.values_mut() {
        table.fields.sort_by(|a, b| a.name.cmp(&b.name));
        table.constraints.sort_by(|a, b| a.name.cmp(&b.name));
        table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let rows = tables.keys().map(|t| (t.to_string(), database.rows(&format!("SELECT to_jsonb(t) FROM {t} AS t"))));
    let rows = rows.collect();
    (tables.into_iter().map(|(name, table)| (name.to_string(), table)).collect(), rows)
}

/// The same database with one more refactoring made real; none if that cannot be.
fn really(database: &Database, entry: &Entry) -> Option<Database> {
    let copy = database.copy();
    std::fs::create_dir_all(copy.files()).unwrap();
    std::fs::write(copy.files().join(format!("{}.toml", entry.step.name)), &entry.text).unwrap();
    copy.run(&["materialize", "--yes"]).status.success().then_some(copy)
}

/// What making both orders real says: why it is a clash, if it is one.
fn oracle(first: &(Database, Entry), second: &(Database, Entry)) -> Result<(), String> {
    let one = really(&first.0, &second.1).ok_or("the second cannot come after the first")?;
    let other = really(&second.0, &first.1).ok_or("the first cannot come after the second")?;
    let ((tables, rows), (others, other_rows)) = (held(&one), held(&other));
    let names = || tables.keys().chain(others.keys());
    if let Some(table) = names().find(|t| tables.get(*t) != others.get(*t)) {
        return Err(format!("{table} differs:\n{:?}\n{:?}", tables.get(table), others.get(table)));
    }
    match names().find(|t| rows[*t] != other_rows[*t]) {
        Some(table) => Err(format!("other rows in {table}:\n{:?}\n{:?}", rows[table], other_rows[table])),
        None => Ok(()),
    }
}

/// Whether a pair is decided, or even made real.
fn is_tried(first: usize, second: usize, real: bool) -> bool {
    let one_of = |count: usize, which: usize| (first * 7 + second * 3) % count == which % count;
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let commands = commands();
    match std::env::var("REFACTOR_PAIRS").as_deref() {
        Ok("all") => true,
        Ok(wanted) => wanted.parse().map_or_else(
            |_| commands[first].join(" ").contains(wanted) || commands[second].join(" ").contains(wanted),
            |count| one_of(count, 1),
        ),
        Err(_) => one_of(if real { 184 } else { 8 }, usize::try_from(today).unwrap()),
    }
}

#[test]
fn files_decide_as_databases_do() {
    let base = tables();
    let schema = schema(&base);
    let commands = commands();
    let (next, problems) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let decided = Mutex::new((0, 0, 0));
    let real = |at: usize| {
        let entry = entry(&format!("{at:04}-x"), commands[at]);
        let database = really(&base, &entry).unwrap_or_else(|| panic!("{:?} cannot be made real", commands[at]));
        std::fs::remove_dir_all(database.files()).unwrap();
        (database, entry)
    };
    let every = std::env::var("REFACTOR_PAIRS").is_ok_and(|wanted| wanted == "all");
    let kept: Vec<_> = if every { (0..commands.len()).map(|at| Arc::new(real(at))).collect() } else { Vec::new() };
    let of = |at: usize| kept.get(at).cloned().unwrap_or_else(|| Arc::new(real(at)));
    let work = || loop {
        let first = next.fetch_add(1, Ordering::Relaxed);
        if first >= commands.len() {
            return;
        }
        for second in (first + 1..commands.len()).filter(|second| is_tried(first, *second, false)) {
            let (a, b) =
                (entry(&format!("{first:04}-x"), commands[first]), entry(&format!("{second:04}-x"), commands[second]));
            let pair = format!("{}\n  and {}", commands[first].join(" "), commands[second].join(" "));
            let one = decide(&schema, std::slice::from_ref(&a), std::slice::from_ref(&b)).unwrap();
            let other = decide(&schema, &[b], &[a]).unwrap();
            let mut said = Vec::new();
            if one.commutes() != other.commutes() {
                said.push(format!("it matters who asks: {one:?}\n{other:?}"));
            }
            let tried = is_tried(first, second, true);
            if tried {
                let (a, b) = (of(first), of(second));
                match (one.commutes(), oracle(&a, &b)) {
                    (true, Err(why)) => said.push(format!("they clash: {why}")),
                    (false, Ok(())) if !is_careful(commands[first], commands[second]) => {
                        said.push(format!("they commute, and not: {:?}", one.clashes[0].why));
                    }
                    _ => {}
                }
            }
            {
                let mut counts = decided.lock().unwrap();
                *counts = (counts.0 + usize::from(one.commutes()), counts.1 + 1, counts.2 + usize::from(tried));
            }
            for problem in said {
                eprintln!("{pair}: {problem}");
                problems.lock().unwrap().push(format!("{pair}: {}", problem.lines().next().unwrap()));
            }
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    let (commute, all, tried) = *decided.lock().unwrap();
    eprintln!("{commute} of {all} pairs commute; {tried} were made real in both orders");
    assert!(every || std::env::var_os("REFACTOR_PAIRS").is_some() || all > 120 && commute > 60 && all - commute > 30);
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{} pairs:\n{}", problems.len(), problems.join("\n"));
}
