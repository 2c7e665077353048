//! Every manual page tells the truth. How a page is written and run stands at the head of `page.rs`.

use refactor::catalogue::NAMES;

use crate::page::Page;

/// What every page has, in this order.
const HEADINGS: [&str; 6] = ["Before and after", "Reading", "Writing", "Making it real", "When it refuses", "See also"];

/// Does something for each page (or for the one that `REFACTOR_PAGE` names) at the same time; tells which failed.
pub fn for_each_page(work: impl Fn(&str) + Sync) {
    let only = std::env::var("REFACTOR_PAGE").ok();
    let wanted = NAMES.iter().filter(|name| only.as_deref().is_none_or(|only| only == **name));
    let failed = std::thread::scope(|scope| {
        let runs: Vec<_> = wanted.map(|name| (name, scope.spawn(|| work(name)))).collect();
        runs.into_iter().filter_map(|(name, run)| run.join().is_err().then_some(*name)).collect::<Vec<_>>()
    });
    assert_eq!(failed, Vec::<&str>::new(), "these pages failed; the reasons stand above");
}

#[test]
fn every_page_has_the_fixed_headings() {
    for name in NAMES {
        let page = Page::read(name);
        assert!(page.text().starts_with(&format!("# {name}\n\n")), "{name}");
        assert_eq!(page.headings(), HEADINGS, "{name}");
    }
}

#[test]
fn every_page_shows_what_really_happens() {
    for_each_page(|name| Page::read(name).check());
}

#[test]
fn the_readme_shows_what_really_happens() {
    Page::open("README.md").check();
}

/// That of migration runners needs a `pg_dump` that fits the server: `exporting.rs` runs it.
#[test]
fn every_other_page_shows_what_really_happens() {
    let pages = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
    let pages = pages.map(|page| page.unwrap().path()).filter(|page| page.extension().is_some_and(|e| e == "md"));
    for page in pages.filter(|page| !page.ends_with("with-your-migration-runner.md")) {
        Page::open(page.to_str().unwrap()).check();
    }
}
