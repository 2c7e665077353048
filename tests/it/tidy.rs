//! The lists agree: catalogue, modules, pages, README, test files; and imports go one way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use refactor::catalogue::NAMES;
use refactor::cli::Command;

/// The stages, each importing only from those before it. Those on one line know each other.
const STAGES: [&[&str]; 13] = [
    &["name"],
    &["sql"],
    &["schema"],
    &["refusal"],
    &["fact"],
    &["relation"],
    &["version", "catalogue"],
    &["journal"],
    &["branches"],
    &["generate"],
    &["plan"],
    &["db", "interrupt", "problem", "ui"],
    &["cli"],
];

/// What looks ahead all the same: the file, and the stage that it needs.
const EXCEPTIONS: [(&str, &str); 1] = [
    // A fact names the way that its rows go.
    ("src/fact.rs", "version"),
];

/// Words that the stages up to the plan must not know: they are pure.
const IMPURE: [&str; 6] = ["postgres::", "std::fs", "std::env", "std::time", "std::process", "std::net"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// All files below a directory, as paths from the root.
fn files(directory: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The stage of a source file: its first directory or name.
fn stage(file: &str) -> Option<usize> {
    let name = file.strip_prefix("src/")?.split(['/', '.']).next()?;
    STAGES.iter().position(|stage| stage.contains(&name))
}

/// The lines of a file that are code of the program.
fn code(file: &str) -> String {
    let text = read(file);
    let program = text.split("#[cfg(test)]").next().unwrap();
    program.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_file_belongs_to_a_stage() {
    let strangers: Vec<_> = files("src", "rs").into_iter().filter(|f| stage(f).is_none()).collect();
    assert_eq!(strangers, ["src/lib.rs", "src/main.rs"]);
}

#[test]
fn imports_go_one_way() {
    let mut ahead = BTreeSet::new();
    for file in files("src", "rs") {
        let Some(stage) = stage(&file) else { continue };
        let code = code(&file);
        for (later, names) in STAGES.iter().enumerate().skip(stage + 1) {
            for name in *names {
                if code.contains(&format!("crate::{name}::")) || code.contains(&format!("crate::{name};")) {
                    assert!(later > stage);
                    ahead.insert((file.clone(), (*name).to_owned()));
                }
            }
        }
    }
    let allowed = EXCEPTIONS.iter().map(|(file, stage)| ((*file).to_owned(), (*stage).to_owned())).collect();
    assert_eq!(ahead, allowed, "left: what looks ahead; right: what may");
}

#[test]
fn the_stages_up_to_the_plan_are_pure() {
    let plan = STAGES.iter().position(|stage| stage.contains(&"plan")).unwrap();
    let mut impure = Vec::new();
    for file in files("src", "rs").iter().filter(|f| stage(f).is_some_and(|s| s <= plan)) {
        // Reading the schema is the database's part of the model; the journal's directory is files.
        if file.starts_with("src/schema/read") || file == "src/journal.rs" {
            continue;
        }
        let code = code(file);
        impure.extend(IMPURE.iter().filter(|word| code.contains(*word)).map(|word| format!("{file}: {word}")));
    }
    assert_eq!(impure, Vec::<String>::new());
}

#[test]
fn only_ui_prints() {
    let printers: Vec<_> = files("src", "rs")
        .into_iter()
        .filter(|f| ["println!", "print!(", "stdout()", "stderr()"].iter().any(|word| code(f).contains(word)))
        .collect();
    assert_eq!(printers, ["src/ui.rs"]);
}

#[test]
fn every_refactoring_has_a_module_a_page_and_a_line_in_the_readme() {
    let readme = read("README.md");
    for name in NAMES {
        assert!(root().join(format!("src/catalogue/{}.rs", name.replace('-', "_"))).exists(), "{name}");
        let link = format!("[`{name}`](docs/refactorings/{name}.md)");
        assert!(readme.contains(&link), "README.md does not say {link}");
    }
    let pages: BTreeSet<_> = files("docs/refactorings", "md").into_iter().collect();
    let wanted: BTreeSet<_> = NAMES.iter().map(|name| format!("docs/refactorings/{name}.md")).collect();
    assert_eq!(pages, wanted);
}

#[test]
fn every_verb_is_in_the_readme() {
    let readme = read("README.md");
    let command = Command::command();
    let verbs = command.get_subcommands().map(clap::Command::get_name).filter(|n| *n != "help");
    let missing: Vec<_> = verbs.filter(|verb| !readme.contains(&format!("`{verb}"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_command_in_the_documents_can_be_parsed() {
    let mut tried = 0;
    for document in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"] {
        for line in read(document).lines().filter_map(|l| l.strip_prefix("$ refactor ")) {
            let words = line.split(" | ").next().unwrap().split_whitespace();
            let parsed = Command::command().try_get_matches_from(["refactor"].into_iter().chain(words));
            assert!(parsed.is_ok(), "{document}: refactor {line}");
            tried += 1;
        }
    }
    assert!(tried > 3, "the README shows the tool at work");
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned);
    for document in documents.into_iter().chain(files("docs", "md")) {
        let text = read(&document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let target = root().join(&document).parent().unwrap().join(link);
            assert!(link.is_empty() || link.starts_with("http") || target.exists(), "{document}: {link}");
        }
    }
}

#[test]
fn quotes_from_the_program_are_true() {
    let quotes = read("CONTRIBUTING.md");
    let quotes = quotes.split("```rust\n// ").skip(1).map(|rest| rest.split("```").next().unwrap());
    for (file, text) in quotes.map(|quote| quote.split_once('\n').unwrap()) {
        assert!(read(file).contains(text), "{file} does not say\n{text}");
    }
}

#[test]
fn the_readme_is_short() {
    assert!(read("README.md").lines().count() < 200);
}

#[test]
fn every_test_file_is_declared() {
    let mut forgotten = Vec::new();
    for file in files("tests/it", "rs").iter().filter(|f| *f != "tests/it/main.rs") {
        let path = Path::new(file);
        let (parent, name) = (path.parent().unwrap(), path.file_stem().unwrap().to_str().unwrap());
        let parent =
            if parent == Path::new("tests/it") { "tests/it/main.rs".into() } else { parent.with_extension("rs") };
        if !read(parent.to_str().unwrap()).lines().any(|l| l.trim_start_matches("pub ") == format!("mod {name};")) {
            forgotten.push(file.clone());
        }
    }
    assert_eq!(forgotten, Vec::<String>::new());
}

#[test]
fn recorded_refactorings_can_be_read() {
    let directory = refactor::journal::Directory::new(&root().join("refactorings"));
    let names: Vec<_> = directory.read().unwrap().into_iter().map(|e| e.step.name).collect();
    assert_eq!(names, ["0001-move-billing_country-to-customer"]);
}
