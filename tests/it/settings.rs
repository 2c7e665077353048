//! `refactor.toml` and `.env`: which database and which directory a command works with.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::Database;

/// Runs the tool in a directory, in an environment that says nothing of a database.
fn run(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_refactor"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("DATABASE_URL")
        .env("NO_COLOR", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_project_is_found_from_below_and_its_files_stand_where_it_says() {
    let database = Database::new("CREATE TABLE t (id int PRIMARY KEY, v int)");
    let project = tempfile::tempdir().unwrap();
    let below = project.path().join("src/deep");
    std::fs::create_dir_all(&below).unwrap();
    let begun = run(project.path(), &["init", "--dir", "db/refactorings"], &[]);
    assert!(begun.status.success(), "{begun:?}");
    let file = project.path().join("refactor.toml");
    let first = std::fs::read_to_string(&file).unwrap();
    assert!(first.contains("dir = \"db/refactorings\""), "{first}");
    std::fs::write(&file, format!("{first}\nurl = \"{}\"\n", database.url())).unwrap();
    let declared = run(&below, &["rename-field", "t.v", "w"], &[]);
    assert!(declared.status.success(), "{declared:?}");
    assert!(project.path().join("db/refactorings/0001-rename-v-to-w-in-t.toml").exists());
    // What is there stays as it is.
    let again = run(&below, &["init"], &[]);
    assert!(again.status.success() && said(&again).contains("is there already"), "{again:?}");
}

#[test]
fn a_database_has_a_name_and_what_is_nearer_decides() {
    let (one, two) = (Database::new("CREATE TABLE one (id int)"), Database::new("CREATE TABLE two (id int)"));
    let project = tempfile::tempdir().unwrap();
    let written = |name: &str| name.replace('_', "%5F");
    let url = two.url().replace(&written(&two.name), "${NAME}").replace(&two.name, "${NAME}");
    assert!(url.contains("${NAME}"), "{url}");
    let text = format!("url = \"{}\"\n[env.staging]\nurl = \"{url}\"\n", one.url());
    std::fs::write(project.path().join("refactor.toml"), text).unwrap();
    std::fs::write(project.path().join(".env"), format!("NAME={}\n", two.name)).unwrap();
    let tables = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = run(project.path(), &[&["show", "--tables"], arguments].concat(), variables);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(tables(&[], &[]).contains("one"));
    assert!(tables(&["--env", "staging"], &[]).contains("two"));
    assert!(tables(&["--env", "staging"], &[("DATABASE_URL", &one.url())]).contains("two"));
    assert_eq!(tables(&["--env", "staging"], &[("NAME", &one.name)]), tables(&[], &[]));
    assert!(tables(&[], &[("DATABASE_URL", &two.url())]).contains("two"));
    assert!(tables(&["--database-url", &two.url()], &[]).contains("two"));
    std::fs::write(project.path().join(".env"), format!("DATABASE_URL={}\n", two.url())).unwrap();
    assert!(tables(&[], &[]).contains("two"));
}

#[test]
fn mistakes() {
    let project = tempfile::tempdir().unwrap();
    let refused = |text: &str, arguments: &[&str], why: &str| {
        std::fs::write(project.path().join("refactor.toml"), text).unwrap();
        let output = run(project.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said(&output).contains(why), "{}", said(&output));
    };
    refused("ulr = \"x\"", &["status"], "unknown field `ulr`");
    refused("url = ", &["status"], "line 1");
    refused("[env.a]\nurl = \"x\"", &["--env", "b", "status"], "it has: a");
    refused("url = \"postgresql://${NOT_SET_ANYWHERE}/x\"", &["status"], "the variable NOT_SET_ANYWHERE is not set");
    refused("", &["--env", "b", "--database-url", "x", "status"], "cannot be used with");
    std::fs::remove_file(project.path().join("refactor.toml")).unwrap();
    let output = run(project.path(), &["--env", "b", "status"], &[]);
    assert!(said(&output).contains("`refactor init`"), "{output:?}");
}
