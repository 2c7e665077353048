//! Migration files read as refactorings: which are sure, which are guesses, and which are not understood.

use crate::support::Database;

const TABLES: &str = "
    CREATE TABLE people (id int PRIMARY KEY, name text, email text, born date NOT NULL);
    CREATE TABLE visits (id int PRIMARY KEY, person_id int, note text DEFAULT '');";

/// What each statement becomes: commands, or nothing where it is not understood.
const STATEMENTS: [(&str, &str); 17] = [
    ("ALTER TABLE people RENAME COLUMN name TO called", "rename-field people.name called"),
    ("ALTER TABLE people RENAME TO persons", "rename-table people persons"),
    ("ALTER TABLE people DROP COLUMN email", "drop-field people.email"),
    ("ALTER TABLE people ALTER COLUMN email SET NOT NULL", "set-not-null people.email"),
    ("ALTER TABLE people ALTER born DROP NOT NULL", "drop-not-null people.born"),
    ("ALTER TABLE visits ALTER note SET DEFAULT 'none'", "set-default visits.note"),
    ("ALTER TABLE visits ALTER note DROP DEFAULT", "drop-default visits.note"),
    ("ALTER TABLE visits ALTER COLUMN note TYPE varchar(200)", "change-type visits.note"),
    ("ALTER TABLE people ADD CONSTRAINT one_mail UNIQUE (email)", "add-unique people email"),
    ("ALTER TABLE visits ADD CHECK (id > 0)", "add-check visits 'id > 0'"),
    (
        "ALTER TABLE visits ADD FOREIGN KEY (person_id) REFERENCES people (id) ON DELETE CASCADE",
        "add-foreign-key visits",
    ),
    ("CREATE INDEX CONCURRENTLY ON visits (person_id)", "create-index visits person_id"),
    ("CREATE UNIQUE INDEX low ON people (lower(email))", "create-index people 'lower(email)' --unique"),
    ("CREATE TABLE notes (id int PRIMARY KEY, said text)", "create-table notes"),
    ("COMMENT ON COLUMN people.email IS 'how to write'", "comment people.email 'how to write'"),
    ("CREATE SEQUENCE numbers", "ddl --up 'CREATE SEQUENCE numbers' --down 'DROP SEQUENCE numbers'"),
    ("GRANT SELECT ON people TO PUBLIC", ""),
];

#[test]
fn each_statement_becomes_what_does_the_same() {
    let database = Database::new(TABLES);
    let file = database.files().parent().unwrap().join("one.sql");
    for (statement, command) in STATEMENTS {
        std::fs::write(&file, format!("{statement};\n")).unwrap();
        let said = database.ok(&["convert", "one.sql"]);
        if command.is_empty() {
            assert!(said.starts_with("# one.sql:1: not converted"), "{said}");
            continue;
        }
        let line =
            said.lines().find(|line| line.starts_with("refactor ")).unwrap_or_else(|| panic!("{statement}: {said}"));
        assert!(line.starts_with(&format!("refactor {command}")), "{statement}: {said}");
        // The command works when it is pasted.
        let pasted = crate::page::shell(&database, line);
        assert!(!pasted.contains("[exit code"), "{pasted}");
        database.ok(&["undo", "--yes"]);
    }
}

#[test]
fn what_is_written_down_can_be_applied() {
    let database = Database::new(TABLES);
    let text: Vec<&str> = STATEMENTS.iter().map(|(statement, _)| *statement).filter(|s| s.contains("visits")).collect();
    std::fs::write(database.files().parent().unwrap().join("all.sql"), text.join(";\n")).unwrap();
    database.ok(&["convert", "all.sql", "--write"]);
    database.ok(&["apply"]);
    database.ok(&["materialize", "--yes"]);
}
