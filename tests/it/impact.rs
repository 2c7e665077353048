//! The statements of an application against what is pending: which fail, which mean something else, and whether those that
//! are written anew give and do what the old ones did on the old tables.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Database, rows};

const CHINOOK: &str = include_str!("../../samples/chinook.sql");

/// What is pending: something for each way in which a field can go.
const PENDING: &[&[&str]] = &[
    &["move-field", "invoice.billing_country", "customer"],
    &["rename-field", "track.milliseconds", "duration"],
    &["rename-table", "media_type", "format"],
    &["drop-field", "customer.fax"],
    &["rename-field", "employee.city", "state", "--with", "state=city"],
    &["change-type", "invoice_line.quantity", "bigint"],
    &["move-field", "genre.name", "track", "--as", "genre_name"],
    &[
        "merge-fields",
        "customer.first_name",
        "last_name",
        "--into",
        "name",
        "--by",
        "first_name || '/' || last_name",
        "--back",
        "split_part(name, '/', 1)",
        "--back",
        "split_part(name, '/', 2)",
    ],
    &["extract-table", "track.composer", "--into", "composer", "--names", "name"],
    &["split-table", "employee", "birth_date", "hire_date", "--into", "employment"],
    &["set-default", "playlist.name", "'new'"],
];

/// Each statement, what holds for it, and what the new text must say.
#[rustfmt::skip]
const STATEMENTS: &[(&str, &str, &str)] = &[
    // A field that moved up a foreign key.
    ("SELECT invoice_id, billing_country FROM invoice WHERE customer_id = 4", "fails", "LEFT JOIN customer ON customer.customer_id = invoice.customer_id"),
    ("SELECT i.invoice_id FROM invoice AS i WHERE i.billing_country = 'Norway' ORDER BY i.total DESC", "fails", "customer.billing_country = 'Norway'"),
    ("SELECT i.billing_country, c.email FROM invoice i JOIN customer c ON c.customer_id = i.customer_id", "fails", "SELECT c.billing_country"),
    ("SELECT i.billing_country, c.email FROM invoice i, customer c WHERE i.customer_id = c.customer_id", "fails", "SELECT c.billing_country"),
    ("SELECT billing_country, count(*), sum(total) FROM invoice GROUP BY billing_country ORDER BY billing_country", "fails", "GROUP BY customer.billing_country ORDER BY billing_country"),
    ("SELECT c.customer_id, i.billing_country FROM customer c LEFT JOIN invoice i ON i.customer_id = c.customer_id AND i.total > 20", "fails", "customer.billing_country"),
    ("SELECT upper(billing_country) AS land FROM invoice WHERE total > (SELECT avg(total) FROM invoice AS j WHERE j.billing_country = invoice.billing_country)", "fails", "avg(j.total)"),
    ("SELECT invoice_line_id FROM invoice_line WHERE invoice_id IN (SELECT invoice_id FROM invoice WHERE billing_country = 'Brazil')", "fails", ""),
    ("SELECT email FROM customer WHERE EXISTS (SELECT 1 FROM invoice WHERE invoice.customer_id = customer.customer_id AND billing_country = 'Chile')", "differs", "customer_2"),
    ("WITH big AS (SELECT invoice_id, billing_country FROM invoice WHERE total > 15) SELECT * FROM big ORDER BY billing_country", "fails", "customer.billing_country FROM invoice LEFT JOIN"),
    ("SELECT invoice_id FROM invoice WHERE billing_country = 'France' UNION SELECT invoice_id FROM invoice WHERE billing_country = 'India'", "fails", "UNION"),
    ("SELECT * FROM invoice WHERE invoice_id < 5", "differs", "invoice.billing_state, customer.billing_country, invoice.billing_postal_code"),
    ("SELECT i.*, l.quantity FROM invoice AS i JOIN invoice_line AS l USING (invoice_id)", "differs", "i.invoice_id"),
    ("SELECT DISTINCT billing_country FROM invoice ORDER BY 1 LIMIT 3", "fails", ""),
    ("SELECT invoice_id, row_number() OVER (PARTITION BY billing_country ORDER BY total, invoice_id) FROM invoice", "fails", "PARTITION BY customer.billing_country"),
    ("SELECT coalesce(i.billing_country, '?') FROM invoice_line l JOIN invoice i ON i.invoice_id = l.invoice_id JOIN track t ON t.track_id = l.track_id WHERE t.milliseconds > 900000", "fails", "t.duration > 900000"),
    ("SELECT a.invoice_id FROM invoice a JOIN invoice b ON a.billing_country = b.billing_country AND a.invoice_id < b.invoice_id WHERE a.total > 15", "fails", ""),
    ("SELECT invoice_id FROM invoice WHERE total > 20", "works", ""),
    ("SELECT customer_id, sum(total) FROM public.invoice GROUP BY customer_id", "works", ""),
    ("UPDATE invoice SET billing_country = 'Peru' WHERE customer_id = 6", "fails", "UPDATE customer SET billing_country = 'Peru' WHERE customer_id IN (SELECT"),
    ("UPDATE invoice SET total = 1, billing_country = 'Peru' WHERE customer_id = 5", "fails", "UPDATE invoice SET total = 1 WHERE customer_id = 5"),
    ("UPDATE invoice SET billing_country = 'Peru' WHERE billing_country = 'Chile'", "fails", "customer.billing_country"),
    ("UPDATE invoice SET total = total + 1 WHERE billing_country = 'Chile' RETURNING invoice_id, billing_country", "fails", "RETURNING invoice_id, (SELECT customer.billing_country"),
    ("INSERT INTO invoice (invoice_id, customer_id, invoice_date, total, billing_country) VALUES (900, 4, '2026-01-01', 3, 'Norway')", "fails", "UPDATE customer SET billing_country = 'Norway' WHERE customer_id = 4"),
    ("INSERT INTO invoice VALUES (901, 4, '2026-01-01', 'a', 'b', 'c', 'Norway', 'd', 3)", "fails", "INSERT INTO invoice (invoice_id"),
    ("DELETE FROM invoice WHERE billing_country = 'Nowhere'", "fails", "(SELECT customer.billing_country FROM customer WHERE"),
    // A field with another name.
    ("SELECT name, milliseconds FROM track WHERE milliseconds > 2000000", "fails", "duration AS milliseconds"),
    ("SELECT t.milliseconds / 1000 AS seconds FROM track t ORDER BY seconds DESC LIMIT 5", "fails", "t.duration / 1000 AS seconds"),
    ("SELECT album_id, max(milliseconds) FROM track GROUP BY album_id HAVING max(milliseconds) > 3000000", "fails", "max(duration)"),
    ("UPDATE track SET milliseconds = milliseconds + 1 WHERE track_id = 1", "fails", "SET duration = duration + 1"),
    ("UPDATE track AS t SET milliseconds = 0 FROM album AS a WHERE a.album_id = t.album_id AND a.title = 'Big Ones'", "fails", "SET duration = 0"),
    // A table with another name.
    ("SELECT media_type_id, name FROM media_type ORDER BY name", "fails", "FROM format"),
    ("SELECT media_type.name, track.name AS track FROM media_type JOIN track ON track.media_type_id = media_type.media_type_id WHERE track_id < 9", "fails", "format.name"),
    ("INSERT INTO media_type (media_type_id, name) VALUES (77, 'tape') ON CONFLICT (media_type_id) DO UPDATE SET name = excluded.name", "fails", "INSERT INTO format"),
    ("DELETE FROM public.media_type WHERE media_type_id = 99", "fails", "DELETE FROM format"),
    // Names that were exchanged: what works reads something else.
    ("SELECT employee_id, city FROM employee WHERE state = 'AB'", "differs", "city = 'AB'"),
    ("UPDATE employee SET city = 'Banff' WHERE employee_id = 3", "differs", "SET state = 'Banff'"),
    // A field that is gone, and tables about it.
    ("SELECT customer_id, fax FROM customer", "fails", "-"),
    ("UPDATE customer SET fax = NULL WHERE customer_id = 1", "fails", "-"),
    // Another type.
    ("SELECT sum(quantity) FROM invoice_line WHERE invoice_id = 1", "works", ""),
    // A field that moved down a foreign key.
    ("SELECT genre_id, name FROM genre WHERE name = 'Rock'", "fails", "track"),
    // Fields that became one.
    ("SELECT first_name, last_name FROM customer WHERE last_name = 'Hansen'", "fails", "AS first_name"),
    ("UPDATE customer SET last_name = 'Hanson' WHERE customer_id = 4", "fails", "SET name = "),
    ("INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (200, 'Ada', 'Byron', 'a@b')", "fails", "'Ada'"),
    // Values with a table of their own, and a part of the rows with one.
    ("SELECT name, composer FROM track WHERE composer LIKE 'AC%' AND track_id < 50", "fails", "composer.name AS composer FROM track LEFT JOIN composer"),
    ("UPDATE track SET composer = 'Bach' WHERE track_id = 7", "fails", "INSERT INTO composer (name) SELECT 'Bach'"),
    ("UPDATE track SET composer = 'AC/DC' WHERE track_id = 7", "fails", "SET composer_id = (SELECT id FROM composer WHERE name = 'AC/DC')"),
    ("INSERT INTO track (track_id, name, media_type_id, milliseconds, unit_price, composer) VALUES (9000, 'x', 1, 1, 1, 'Bach')", "fails", "composer_id"),
    ("SELECT employee_id, hire_date FROM employee WHERE birth_date < '1970-01-01'", "fails", "employment"),
    ("INSERT INTO employee (employee_id, last_name, first_name, hire_date) VALUES (99, 'a', 'b', '2020-01-01')", "fails", "INSERT INTO employment (employee_id, hire_date)"),
    ("UPDATE employee SET hire_date = '2020-01-01', title = 'x' WHERE employee_id = 2", "fails", "UPDATE employment SET hire_date = "),
    // What is not touched, or not at fault.
    ("SELECT artist_id FROM artist", "", ""),
    ("SELECT name FROM playlist WHERE playlist_id = 1", "works", ""),
    ("SELECT nonsense FROM invoice", "unknown", ""),
    ("SELECT billing_country FROM customer", "works", ""),
    ("TRUNCATE invoice_line", "fails", "-"),
];

fn shop(pending: &[&[&str]]) -> Database {
    let database = Database::new(CHINOOK);
    database.client().batch_execute("ANALYZE").unwrap();
    for words in pending {
        database.ok(words);
    }
    database
}

/// What `impact` says, read from standard input.
fn impact(database: &Database, text: &str, more: &[&str]) -> (Value, Option<i32>) {
    let mut run = Command::new(env!("CARGO_BIN_EXE_refactor"))
        .args(["--json", "impact", "-"])
        .args(more)
        .current_dir(database.directory.path())
        .env("DATABASE_URL", database.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    run.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = run.wait_with_output().unwrap();
    let said = serde_json::from_slice(&output.stdout);
    (said.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr))), output.status.code())
}

/// The tables that the statements write, as old code sees them.
const WRITTEN: [&str; 6] = ["invoice", "customer", "track", "media_type", "employee", "genre"];

/// What statements do and give, in a transaction that is rolled back: rows, and the tables afterwards.
fn done(database: &Database, path: &str, statements: &[String]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut client = database.client();
    client.batch_execute(&format!("BEGIN; SET LOCAL search_path = {path}")).unwrap();
    let mut given = Vec::new();
    for statement in statements {
        for message in client.simple_query(statement).unwrap_or_else(|e| panic!("{statement}: {e:?}")) {
            if let postgres::SimpleQueryMessage::Row(row) = message {
                given.push((0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect::<Vec<_>>().join("|"));
            }
        }
    }
    given.sort();
    client.batch_execute("SET LOCAL search_path = public").unwrap();
    let is_read = statements.iter().all(|s| s.starts_with("SELECT") || s.starts_with("WITH"));
    let tables = if is_read { &[][..] } else { &WRITTEN[..] };
    let after = tables.iter().map(|table| rows(&mut client, &format!("SELECT * FROM {table}"))).collect();
    client.batch_execute("ROLLBACK").unwrap();
    (given, after)
}

#[test]
fn each_statement_is_judged_and_written_anew() {
    let database = shop(PENDING);
    let text: String = STATEMENTS.iter().map(|(statement, _, _)| format!("{statement};\n")).collect();
    let (said, code) = impact(&database, &text, &[]);
    assert_eq!(code, Some(1));
    let mut wrong = Vec::new();
    for (at, (statement, verdict, new)) in STATEMENTS.iter().enumerate() {
        let place = format!("-:{}", at + 1);
        let found = said["statements"].as_array().unwrap().iter().find(|s| s["places"][0] == place.as_str());
        let is = found.map_or("", |f| f["verdict"].as_str().unwrap());
        let is = if is == "replanned" { "works" } else { is };
        if is != *verdict {
            wrong.push(format!("{statement}\n  is {is}: {found:?}"));
            continue;
        }
        let Some(found) = found.filter(|_| ["fails", "differs"].contains(verdict)) else { continue };
        let anew: Vec<String> =
            found["rewritten"].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect();
        let flat = anew.join("; ").split_whitespace().collect::<Vec<_>>().join(" ");
        if *new == "-" {
            if !anew.is_empty() {
                wrong.push(format!("{statement}\n  became {flat}"));
            }
            continue;
        }
        if anew.is_empty() || !flat.contains(new) {
            wrong.push(format!("{statement}\n  became {flat}\n  {}", found["why"]));
            continue;
        }
        let before = done(&database, "public", &[(*statement).to_owned()]);
        let after = done(&database, "next, public", &anew);
        if before != after {
            wrong.push(format!("{statement}\n  became {flat}\n  which does or gives something else"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), STATEMENTS.len(), wrong.join("\n"));
}

#[test]
fn programs_logs_and_places_for_values_are_read() {
    let database = shop(&[
        &["move-field", "invoice.billing_country", "customer"],
        &["rename-field", "track.milliseconds", "duration"],
    ]);
    let folder = database.directory.path().join("app/deep");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(database.directory.path().join(name), text).unwrap();
    write(
        "app/a.py",
        "def f(c):\n    c.execute(\"SELECT milliseconds \"\n              \"FROM track WHERE name LIKE 'a%%' AND track_id = %s\", (1,))\n",
    );
    write(
        "app/deep/b.js",
        "// isn't SQL\nquery(`UPDATE invoice SET billing_country = $1\n  WHERE invoice_id = $2`);\n",
    );
    write("app/c.py", "x = 'SELECT milliseconds FROM track WHERE name LIKE \\'a%%\\' AND track_id = %s'\n");
    write(
        "server.log",
        "2026-01-01 UTC LOG:  statement: SELECT milliseconds FROM track WHERE track_id = 5;\n2026-01-01 UTC LOG:  statement: SELECT milliseconds FROM track WHERE track_id = 7;\n",
    );
    let output = database.run(&["impact", "app/**/*.py", "app/deep", "--log", "server.log"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    for wanted in [
        "app/a.py:2, app/c.py:1\n",
        "SELECT duration AS milliseconds FROM track WHERE name LIKE 'a%%' AND track_id = %s;",
        "app/deep/b.js:2\n",
        "customer_id IN (SELECT invoice.customer_id FROM invoice WHERE invoice_id = $2);",
        "server.log:1, server.log:2\n",
    ] {
        assert!(said.contains(wanted), "{wanted}:\n{said}");
    }
    // Only what one refactoring changes; nothing else fails.
    let (said, code) =
        impact(&database, "SELECT milliseconds FROM track; SELECT total FROM invoice", &["--of", "0001"]);
    assert_eq!((said["failing"].as_i64(), code), (Some(0), Some(0)), "{said}");
    let (said, code) = impact(&database, "SELECT milliseconds FROM track", &["--of", "0001..2"]);
    assert_eq!((said["failing"].as_i64(), code), (Some(1), Some(1)), "{said}");
    assert!(database.refused(&["impact", "none/*.sql"]).contains("no file is like"));
    assert!(database.refused(&["impact", "--statements"]).contains("pg_stat_statements"));
    database.ok(&["undo", "--all", "--yes"]);
    assert_eq!(impact(&database, "SELECT milliseconds FROM track", &[]).1, Some(0));
}
