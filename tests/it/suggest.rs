//! Shapes, and the refactorings that lead from one to the other: which are found, and what decides between them.
//!
//! `REFACTOR_SUGGEST=all` tries the example of every page, without it a few.

use crate::page::{Page, shell};
use crate::support::Database;

/// Two shapes, the exit code, and what is printed or not (`!`).
type Case = (&'static str, &'static str, &'static str, i32, &'static [&'static str]);

const PEOPLE: &str = "CREATE TABLE people (id int PRIMARY KEY, mail text, city text);
    INSERT INTO people VALUES (1, 'a@x.org', 'Bonn'), (2, 'b@x.org', 'Jena'), (3, NULL, 'Bonn');";

const SHOP: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, city text);
    INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob');";

const SHOP_MOVED: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text, city text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers);";

const CASES: &[Case] = &[
    ("nothing", PEOPLE, "create table people (city text, id integer primary key, mail text);", 0, &["reorder-fields"]),
    ("nothing at all", PEOPLE, "CREATE TABLE people (id int PRIMARY KEY, mail text, city text);", 0, &["!refactor "]),
    (
        "a rename or not",
        PEOPLE,
        "CREATE TABLE people (id int PRIMARY KEY, email text, city text);",
        1,
        &[
            "# candidate 1:",
            "refactor rename-field people.mail email",
            "# candidate 2:",
            "refactor drop-field people.mail",
            "refactor add-field people.email text",
            "lost: 2 values of `people.mail`",
        ],
    ),
    (
        "rows of both shapes say that it is",
        PEOPLE,
        "CREATE TABLE people (id int PRIMARY KEY, contact text, city text);
         INSERT INTO people VALUES (1, 'a@x.org', 'Bonn'), (2, 'b@x.org', 'Jena');",
        0,
        &["refactor rename-field people.mail contact", "!drop-field", "2 are among the 2"],
    ),
    (
        "rows of both shapes say that it is not",
        PEOPLE,
        "CREATE TABLE people (id int PRIMARY KEY, phone text, city text);
         INSERT INTO people VALUES (1, '0228 1', 'Bonn'), (2, '03641 2', 'Jena');",
        0,
        &[
            "!refactor rename-field",
            "refactor drop-field people.mail",
            "refactor add-field people.phone text",
            "# ruled out",
        ],
    ),
    (
        "a check says that it is not",
        PEOPLE,
        "CREATE TABLE people (id int PRIMARY KEY, state text CHECK (state IN ('new', 'old')), city text);",
        0,
        &["!refactor rename-field", "refactor add-check people", "2 are none of them"],
    ),
    (
        "a foreign key says that it is",
        "CREATE TABLE towns (id int PRIMARY KEY); INSERT INTO towns VALUES (1), (2), (3);
         CREATE TABLE people (id int PRIMARY KEY, place int); INSERT INTO people VALUES (1, 2), (2, 3), (3, NULL);",
        "CREATE TABLE towns (id int PRIMARY KEY);
         CREATE TABLE people (id int PRIMARY KEY, town_id int REFERENCES towns);",
        0,
        &["refactor rename-field people.place town_id", "refactor add-foreign-key people town_id --references towns"],
    ),
    (
        "a table under another name",
        "CREATE TABLE persons (id int PRIMARY KEY, name text, born date); INSERT INTO persons VALUES (1, 'Ada', NULL);",
        "CREATE TABLE people (id int PRIMARY KEY, name text, born date);",
        1,
        &["refactor rename-table persons people", "refactor drop-table persons", "refactor create-table people"],
    ),
    (
        "the rows let a field move",
        concat!(
            "CREATE TABLE customers (id int PRIMARY KEY, name text);
             CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, city text);
             INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob');",
            "INSERT INTO orders VALUES (1, 1, 'Bonn'), (2, 1, 'Bonn'), (3, 2, 'Jena');"
        ),
        SHOP_MOVED,
        0,
        &[
            "refactor move-field orders.city customers",
            "!refactor drop-field",
            "1 of them several times: 0 with more than one",
        ],
    ),
    (
        "the rows do not let it move",
        concat!(
            "CREATE TABLE customers (id int PRIMARY KEY, name text);
             CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, city text);
             INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob');",
            "INSERT INTO orders VALUES (1, 1, 'Bonn'), (2, 1, 'Ulm'), (3, 2, 'Jena');"
        ),
        SHOP_MOVED,
        0,
        &[
            "!\nrefactor move-field",
            "refactor drop-field orders.city",
            "# ruled out: `customers.city` is `orders.city`, moved",
        ],
    ),
    (
        "no row tells whether it moved",
        SHOP,
        SHOP_MOVED,
        1,
        &["refactor move-field orders.city customers", "refactor drop-field orders.city"],
    ),
    (
        "rules, defaults and indexes",
        PEOPLE,
        "CREATE TABLE people (id bigint PRIMARY KEY, mail varchar(80) UNIQUE, city text NOT NULL DEFAULT 'Bonn',
           CONSTRAINT short CHECK (length(city) < 40));
         CREATE INDEX towns ON people (lower(city)) WHERE mail IS NOT NULL;",
        0,
        &[
            "refactor change-type people.id bigint",
            "refactor change-type people.mail 'character varying(80)'",
            "refactor set-not-null people.city",
            "refactor set-default people.city ''\\''Bonn'\\'''",
            "refactor add-unique people mail",
            "refactor add-check people 'length(city) < 40' --name short",
            "--name towns",
            "!candidate",
        ],
    ),
    (
        "rows break a rule",
        PEOPLE,
        "CREATE TABLE people (id int PRIMARY KEY, mail text NOT NULL, city text);",
        1,
        &["refactor set-not-null people.mail", "# not reached: ", "--on-violation quarantine"],
    ),
    (
        "what nothing reaches",
        "CREATE TABLE people (id int PRIMARY KEY, name text);",
        "CREATE TABLE people (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, born date);",
        1,
        &["refactor add-field people.born date", "# not reached: `people.id` has the numbering `none`, wanted is"],
    ),
    (
        "files in any order, with comments",
        "CREATE TABLE people (id int PRIMARY KEY, name text);",
        "CREATE TABLE notes (id int PRIMARY KEY, person_id int REFERENCES people, said text);
         CREATE TABLE people (id int PRIMARY KEY, name text); COMMENT ON COLUMN people.name IS 'as they sign';",
        0,
        &["refactor create-table notes", "refactor comment people.name 'as they sign'"],
    ),
];

fn suggested(database: &Database, from: Option<&str>, to: &str, more: &[&str]) -> (i32, String) {
    let at = |name: &str, text: &str| std::fs::write(database.directory.path().join(name), text).unwrap();
    at("new.sql", to);
    let mut arguments = vec!["suggest", "--to", "new.sql"];
    if let Some(from) = from {
        at("old.sql", from);
        arguments.extend(["--from", "old.sql"]);
    }
    arguments.extend(more);
    let output = database.run(&arguments);
    let said = format!("{}{}", String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    (output.status.code().unwrap(), said)
}

#[test]
fn what_decides_is_said_and_nothing_is_guessed() {
    let failures = crate::suggest::side_by_side(CASES, |(name, from, to, code, says)| {
        let database = Database::new("");
        let (is, said) = suggested(&database, Some(from), to, &[]);
        let missing = says.iter().find(|part| match part.strip_prefix('!') {
            Some(part) => said.contains(part),
            None => !said.contains(*part),
        });
        (is != *code || missing.is_some()).then(|| format!("{name}: exit code {is}, {missing:?}\n{said}"))
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Tries cases on several processors; gives what failed.
pub fn side_by_side<T: Sync>(cases: &[T], one: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let part = cases.len().div_ceil(3).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            cases.chunks(part).map(|chunk| scope.spawn(|| chunk.iter().filter_map(&one).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Pages whose example is tried each time.
const FEW: [&str; 4] = ["move-field", "extract-table", "unpivot", "create-index"];

#[test]
fn what_a_refactoring_makes_is_reached_from_its_shape_alone() {
    let all = std::env::var("REFACTOR_SUGGEST").is_ok();
    let names: Vec<&str> =
        refactor::catalogue::NAMES.iter().copied().filter(|name| all || FEW.contains(name)).collect();
    let failures = side_by_side(&names, |name| {
        let page = Page::read(name);
        let example = page.examples().into_iter().find(|e| e.succeeds && !e.stays_deferred)?;
        let made = Database::new(&example.before);
        shell(&made, &example.command);
        made.ok(&["materialize", "--yes"]);
        let shape = shell(
            &made,
            "pg_dump --schema-only --no-owner --exclude-schema=refactor --exclude-schema='next*' \"$DATABASE_URL\"",
        );
        // From the database, with its rows.
        let database = Database::new(&example.before);
        let (_, said) = suggested(&database, None, &shape, &[]);
        if KNOWN.contains(name) {
            return None;
        }
        let first: Vec<&str> = said
            .lines()
            .skip_while(|l| l.starts_with("# candidate"))
            .take_while(|l| !l.is_empty())
            .filter(|l| l.starts_with("refactor "))
            .collect();
        let pasted: String = first.iter().map(|line| shell(&database, line)).collect();
        let (code, again) = suggested(&database, None, &shape, &[]);
        let good = code == 0 && !again.contains("\nrefactor ") && !again.starts_with("refactor ");
        (!good || first.is_empty()).then(|| format!("{name}: {}\n{said}\n{pasted}\n{again}", example.command))
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What a shape does not tell: rows, codes, and code of the user.
const KNOWN: [&str; 3] = ["data", "ddl", "sql"];

#[test]
fn a_chosen_candidate_is_written_and_can_be_applied() {
    let database = Database::new(PEOPLE);
    let shape = "CREATE TABLE people (id int PRIMARY KEY, email text, city text);";
    let (code, said) = suggested(&database, None, shape, &["--write"]);
    assert_eq!((code, database.files().exists()), (1, false), "{said}");
    let (code, said) = suggested(&database, None, shape, &["--choose", "1", "--write"]);
    assert_eq!(code, 0, "{said}");
    database.ok(&["apply"]);
    let (code, said) = suggested(&database, None, shape, &[]);
    assert!(code == 0 && said.contains("nothing to do"), "{said}");
    let (code, said) = suggested(&database, None, "CREATE TABLE people (id int PRIMARY KEY, email text);", &["--json"]);
    let found: serde_json::Value =
        serde_json::from_str(said.split("\n}\n").next().map(|s| format!("{s}\n}}")).unwrap().as_str()).unwrap();
    assert_eq!(code, 0, "{said}");
    assert_eq!(found["candidates"][0]["commands"][0], "refactor drop-field people.city");
    assert_eq!(found["question"], serde_json::Value::Null);
    let (code, said) = suggested(&database, None, shape, &["--choose", "3"]);
    assert_eq!(code, 2, "{said}");
}
