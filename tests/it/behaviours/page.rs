//! `docs/behaviours.md`, as what came of the statements.

use std::collections::BTreeMap;

use super::scenes::SCENES;
use super::{Case, Found, Verdict};

/// The PostgreSQL whose answers the page has.
pub const VERSION: u32 = 15;

/// Cases that are silently different under some refactoring, and why.
pub const LISTED: &[(&[&str], &str)] = &[
    (
        &[
            "catalog.columns",
            "catalog.nullable",
            "catalog.pk",
            "catalog.fks",
            "catalog.constraints",
            "catalog.indexes",
            "read.create-like",
        ],
        "A view has no key, no rule and no index: the catalogue shows none, and `LIKE … INCLUDING ALL` copies none. Those of the tables \
         are kept all the same. What counts by name alone finds a table of the old shape, or none",
    ),
    (&["catalog.relkind", "catalog.table-type"], "It is a view"),
    (
        &["catalog.is-updatable"],
        "`is_insertable_into` knows no triggers; `is_trigger_insertable_into` of `information_schema.views` does",
    ),
    (
        &["catalog.comment"],
        "The comment says which refactorings made the view; where the table has one, it is the table's",
    ),
    (&["read.relation-size"], "A view has no rows of its own"),
    (
        &[
            "catalog.defaults",
            "catalog.serial-sequence",
            "insert.currval-pgss",
            "insert.setval-pgss",
            "insert.setval-max",
        ],
        "An identity is a table's; the view draws from the same sequence by a default, which nothing owns. `pg_get_serial_sequence` gives NULL, \
         and so do `currval` and `setval` of that. Name the sequence (`lastval()` is the same)",
    ),
    (
        &["insert.overriding-user"],
        "PostgreSQL tells a trigger neither this clause nor that the value was given: it is kept",
    ),
    (
        &["error.not-null-pk"],
        "Which table has the row tells which sequence numbers it, so the view has no default, and a trigger cannot tell NULL from nothing: \
         a number is drawn for both",
    ),
    (
        &["ddl.replica-role"],
        "A superuser's `session_replication_role = replica` switches off the triggers that write, and triggers of views cannot be made to \
         fire always. Load such data into the tables",
    ),
    (
        &["lock.for-update-wait"],
        "A locking read that had to wait looks again at the row that it locked, but what is told from another table it has read before. \
         Read again what you have locked: the next statement sees what was committed",
    ),
];

const HEAD: &str = "\
# A view instead of a table

What an application finds different while a refactoring is deferred. The test `nothing_is_silently_different_through_a_view` wrote this page
from {cases} cases (`tests/it/behaviours/statements.sql`), each run through a view of `next` and on the table that the view becomes, on PostgreSQL {version}.
Compared are rows, fields, numbers of rows, SQLSTATE, names of constraints, and at the end all rows of all tables.
";

/// Compares the page with what came of the statements; with `UPDATE` set it is written. Another server says some of it in
/// other words.
pub fn check(cases: &[Case], results: &[Found], version: u32) {
    let page = page(cases, results);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/behaviours.md");
    if version != VERSION {
        eprintln!("{page}");
    } else if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, page).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(path).unwrap(), page, "UPDATE=1 writes it anew");
    }
}

fn page(cases: &[Case], results: &[Found]) -> String {
    let head = HEAD.replace("{cases}", &cases.len().to_string()).replace("{version}", &VERSION.to_string());
    [head, table(cases, results), refused(cases, results), different(cases, results)].join("\n")
}

/// How many are the same, by kind.
fn table(cases: &[Case], results: &[Found]) -> String {
    let mut kinds: Vec<(&str, Vec<usize>)> = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        match kinds.last_mut() {
            Some((kind, numbers)) if *kind == case.kind => numbers.push(number),
            _ => kinds.push((case.kind, vec![number])),
        }
    }
    let mut text = "## The same\n\nHow many of the cases do exactly what they do on the table. `U`: PostgreSQL updates the view itself; `H`: triggers
insert and update; `T`: they delete, too. Of the rest, see below.\n\n| | cases |"
        .to_owned();
    text += &SCENES
        .iter()
        .zip(results)
        .map(|(scene, found)| format!(" {} ({}) |", scene.name, found.class))
        .collect::<String>();
    text += &format!("\n|---|---|{}\n", "---|".repeat(SCENES.len()));
    kinds.push(("**all**", (0..cases.len()).collect()));
    for (kind, numbers) in kinds {
        text += &format!("| {kind} | {} |", numbers.len());
        for found in results {
            text += &format!(" {} |", numbers.iter().filter(|n| found.verdicts[**n] == Verdict::Same).count());
        }
        text += "\n";
    }
    text
}

/// What fails, by what PostgreSQL or a trigger says.
fn refused(cases: &[Case], results: &[Found]) -> String {
    let mut said = BTreeMap::<(&str, &str), BTreeMap<&str, Vec<usize>>>::new();
    for (number, found) in results.iter().enumerate() {
        for (case, verdict) in cases.iter().zip(&found.verdicts) {
            if let Verdict::Refused { code, message } = verdict {
                said.entry((code, message)).or_default().entry(case.name).or_default().push(number);
            }
        }
    }
    let mut text =
        "## What fails\n\nWith an error where the table has none, or another one. Nothing is written then.\n\n\
         | | it says | cases |\n|---|---|---|\n"
            .to_owned();
    for ((code, message), found) in said {
        text += &format!("| {code} | {message} | {} |\n", listed(found, results));
    }
    text
}

/// Cases, and under which refactorings if not all.
fn listed(found: BTreeMap<&str, Vec<usize>>, results: &[Found]) -> String {
    let mut alike = BTreeMap::<Vec<usize>, Vec<String>>::new();
    for (case, numbers) in found {
        alike.entry(numbers).or_default().push(format!("`{case}`"));
    }
    let texts = alike.into_iter().map(|(numbers, cases)| format!("{}{}", cases.join(", "), under(&numbers, results)));
    texts.collect::<Vec<_>>().join("; ")
}

fn under(numbers: &[usize], results: &[Found]) -> String {
    let others: Vec<usize> = (0..results.len()).filter(|n| !numbers.contains(n)).collect();
    let names = |numbers: &[usize]| numbers.iter().map(|n| SCENES[*n].name).collect::<Vec<_>>().join(", ");
    let of = |class: &str| (0..results.len()).filter(|n| class.contains(&results[*n].class)).collect::<Vec<_>>();
    match ["U", "H", "T", "HT", "UH"].into_iter().find(|class| of(class) == numbers) {
        _ if others.is_empty() => String::new(),
        Some(class) => format!(" ({class})"),
        None if others.len() < numbers.len() => format!(" (all but {})", names(&others)),
        None => format!(" ({})", names(numbers)),
    }
}

/// What is silently different.
fn different(cases: &[Case], results: &[Found]) -> String {
    let mut text = "## What is different without an error\n\nOnly this, with the reason and what to do where it matters.\n\n| cases | why |\n|---|---|\n".to_owned();
    for (names, why) in LISTED {
        let found = names.iter().map(|name| {
            let at = cases.iter().position(|case| case.name == *name).unwrap();
            let different = |n: &usize| matches!(results[*n].verdicts[at], Verdict::Different(_));
            (*name, (0..results.len()).filter(different).collect())
        });
        text += &format!("| {} | {why} |\n", listed(found.collect(), results));
    }
    text
}
