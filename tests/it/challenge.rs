//! `rehearse --challenge` over the examples of the manual: difficult rows are the same in both shapes, and so are writes.
//!
//! `REFACTOR_CHALLENGE=all` tries every example, `REFACTOR_CHALLENGE=split-table` those of that verb, `REFACTOR_CHALLENGE=5`
//! those of a day; without it some are tried, others every day.

use std::sync::Mutex;

use crate::cycle::for_each_example;
use crate::page::{Example, new_database, shell};

/// Faults that are known, by the example that has them. Who mends one takes it from here.
const KNOWN: [&str; 3] = [
    // Values that nobody refers to yet are not asked for the unique rule of the field that they will be in.
    "refactor move-field passports.country people",
    // A field that a row has no place for is not asked whether it may be NULL.
    "refactor union-tables persons companies --into parties --discriminator kind --values person,company",
    // Two links of old code that are one in the new table are only found when all is made real.
    "refactor make-associative books.author_id --into authorship --from book_id",
];

/// Whether an example is tried.
fn is_tried(example: &Example) -> bool {
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let number: u64 = example.command.bytes().chain(example.before.bytes()).map(u64::from).sum();
    match std::env::var("REFACTOR_CHALLENGE").as_deref() {
        Ok("all") => true,
        Ok(day) if day.parse::<u64>().is_ok() => number % 16 == day.parse::<u64>().unwrap() % 16,
        Ok(verb) => example.command.starts_with(&format!("refactor {verb} ")),
        Err(_) => number % 16 == today % 16,
    }
}

#[test]
fn difficult_rows_and_their_writes_are_the_same_in_both_shapes() {
    let faults = Mutex::new(Vec::new());
    let one = Mutex::new(());
    for_each_example(|example| {
        if example.stays_deferred || !is_tried(example) {
            return;
        }
        // One after the other: each tries thousands of writes.
        let _turn = one.lock().unwrap();
        let database = new_database(&example.before);
        shell(&database, &example.command);
        let output = database.run(&["rehearse", "--challenge"]);
        let (said, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        eprintln!("{}\n{told}{said}", example.command);
        if output.status.success() == KNOWN.contains(&&*example.command) {
            faults.lock().unwrap().push(example.command.clone());
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} examples\n{}", faults.len(), faults.join("\n\n"));
}
