//! What looks misplaced, and that the command which would mend it is taken.

use crate::page::shell;
use crate::support::Database;

/// Tables, and what is found in them: the kind, and the command; nothing else may be found.
const CASES: &[(&str, &[(&str, &str)])] = &[
    (
        "CREATE TABLE customers (id int PRIMARY KEY, name text);
         CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, total int, city text, phone text);
         INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cy');
         INSERT INTO orders SELECT i, 1 + i % 3, i * 7, 'city ' || i % 3, 'phone ' || i % 3 FROM generate_series(1, 12) AS i;",
        &[("depends-on-reference", "refactor move-field orders.city customers --with phone")],
    ),
    (
        "CREATE TABLE stock (id int PRIMARY KEY, part text NOT NULL, shelf text, pieces int);
         INSERT INTO stock SELECT i, 'part ' || i % 9, 'shelf ' || i % 9 / 3, i FROM generate_series(1, 20) AS i;",
        &[
            ("depends-on-no-key", "refactor extract-table stock.part shelf --into parts --by part"),
        ],
    ),
    (
        "CREATE TABLE customers (id int PRIMARY KEY, country text);
         CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, country text, total int);
         INSERT INTO customers SELECT i, 'country ' || i FROM generate_series(1, 4) AS i;
         INSERT INTO orders SELECT i, 1 + i % 4, 'country ' || 1 + i % 4, i FROM generate_series(1, 9) AS i;",
        &[("copied-value", "refactor drop-field orders.country")],
    ),
    (
        "CREATE TABLE vehicles (id int PRIMARY KEY, kind text NOT NULL, doors int, gears int, fax text);
         INSERT INTO vehicles SELECT i, CASE WHEN i % 2 = 0 THEN 'car' ELSE 'bike' END, CASE WHEN i % 2 = 0 THEN i END,
           CASE WHEN i % 2 = 1 THEN i END FROM generate_series(1, 8) AS i;",
        &[
            ("always-null", "refactor drop-field vehicles.fax"),
            ("only-one-kind", "refactor split-table vehicles doors --into vehicles_car --where 'kind = '\\''car'\\'''"),
            ("only-one-kind", "refactor split-table vehicles gears --into vehicles_bike --where 'kind = '\\''bike'\\'''"),
            ("code-without-lookup", "refactor extract-table vehicles.kind --into kinds --names code"),
        ],
    ),
    (
        "CREATE TABLE people (id int PRIMARY KEY, name text, phone1 text, phone2 text, phone3 text);
         INSERT INTO people SELECT i, 'name ' || i, 'a' || i, CASE WHEN i < 3 THEN 'b' || i END, CASE WHEN i < 2 THEN 'c' END FROM generate_series(1, 5) AS i;",
        &[("repeated-group", "refactor unpivot people phone1 phone2 phone3 --into people_phone")],
    ),
    (
        "CREATE TABLE events (id int PRIMARY KEY, amount text, price text, day text, key text, payload text, done text, n int);
         INSERT INTO events SELECT i, (i * 1000)::text, (i * 1.25)::text, (date '2024-01-01' + i)::text, gen_random_uuid()::text,
           json_build_object('a', i)::text, CASE WHEN i % 2 = 0 THEN 'yes' ELSE 'no' END, i FROM generate_series(1, 6) AS i;",
        &[
            ("text-is-typed", "refactor change-type events.amount integer"),
            ("text-is-typed", "refactor change-type events.price numeric"),
            ("text-is-typed", "refactor change-type events.day date"),
            ("text-is-typed", "refactor change-type events.key uuid"),
            ("text-is-typed", "refactor change-type events.payload json"),
            ("boolean-in-text", "refactor change-type events.done boolean --map yes=true --map no=false"),
        ],
    ),
    (
        "CREATE TABLE artists (id int PRIMARY KEY, name text);
         CREATE TABLE albums (id int PRIMARY KEY, artist_id int, title text);
         CREATE TABLE bands (id int PRIMARY KEY, artist_id int);
         INSERT INTO artists SELECT i, 'artist ' || i FROM generate_series(1, 20) AS i;
         INSERT INTO albums SELECT i, i, 'title ' || i FROM generate_series(1, 20) AS i;
         INSERT INTO bands SELECT i, CASE i WHEN 7 THEN 99 ELSE i END FROM generate_series(1, 20) AS i;",
        &[
            ("no-foreign-key", "refactor add-foreign-key albums artist_id --references artists"),
            (
                "no-foreign-key",
                "refactor data forget-artist_id 'UPDATE bands AS x SET artist_id = NULL WHERE x.artist_id IS NOT NULL AND NOT EXISTS (SELECT FROM artists AS y WHERE y.id = x.artist_id)'",
            ),
        ],
    ),
    (
        "CREATE TABLE good (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, said text NOT NULL, at date);
         INSERT INTO good (said, at) SELECT 'text ' || i, date '2024-01-01' + i FROM generate_series(1, 9) AS i;
         CREATE TABLE empty (id int PRIMARY KEY, said text);",
        &[],
    ),
];

#[test]
fn what_looks_misplaced_is_found_and_can_be_mended() {
    let failures = crate::suggest::side_by_side(CASES, |(tables, expected)| {
        let database = Database::new(tables);
        let found: serde_json::Value = serde_json::from_str(&database.ok(&["inspect", "--json"])).unwrap();
        let found: Vec<(String, String)> = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                assert_eq!(one["accepted"], true, "{one}");
                (one["kind"].as_str().unwrap().to_owned(), one["command"].as_str().unwrap().to_owned())
            })
            .collect();
        let wanted: Vec<(String, String)> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        if found != wanted {
            return Some(format!("found {found:#?}\nwanted {wanted:#?}"));
        }
        for (_, command) in &found {
            let pasted = shell(&database, command);
            if pasted.contains("[exit code") {
                return Some(format!("{command}\n{pasted}"));
            }
            database.ok(&["undo", "--yes"]);
        }
        None
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn of_a_large_table_a_sample_is_looked_at_in_the_shape_that_is_shown() {
    let database = Database::new(
        "CREATE TABLE people (id int PRIMARY KEY, name text, fax text);
         INSERT INTO people SELECT i, 'name ' || i FROM generate_series(1, 5000) AS i; ANALYZE;",
    );
    database.ok(&["rename-table", "people", "persons"]);
    let said = database.ok(&["inspect", "persons", "--rows", "500"]);
    assert!(said.contains("# persons: looked at 500 rows, a sample"), "{said}");
    assert!(said.contains("refactor drop-field persons.fax"), "{said}");
    assert!(database.refused(&["inspect", "peeple"]).contains("peeple"));
}
