//! A rebuilt table is the table that a rewrite in place gives: the same structure, the same rows.

use std::process::Command;

use refactor::catalogue::Refactoring;
use refactor::generate::rows;
use refactor::name::Ident;
use refactor::schema::{Schema, read};

use crate::support::Database;

const NASTY: &str = include_str!("rebuild.sql");

/// Moves up and down over one and two keys, renames, an added and a dropped field, on top of each other.
const STACK: [&[&str]; 10] = [
    &["move-field", "orders.city", "customers"],
    &["move-field", "orders.tier", "customers", "--as", "Ti er"],
    &["move-field", "customers.Lim it", "orders", "--as", "limit"],
    &["move-field", "regions.tax", "orders", "--via", "customers_region_id_fkey,orders_customer_id_fkey"],
    &["rename-field", "customers.name", "full name"],
    &["rename-field", "orders.total", "sum"],
    &["add-field", "orders.note", "text", "--as", "kind || '!'"],
    &["add-field", "lines.pieces", "int", "--default", "1", "--not-null"],
    &["drop-field", "orders.old"],
    &["rename-table", "orders", "purchases"],
];

/// Something in every complement, whatever the put-back would store there.
const KEPT: [&str; 6] = [
    "INSERT INTO refactor.kept_0001_city (refactor_key_1, refactor_value)
     SELECT id, 'Jena' FROM customers WHERE id NOT IN (SELECT customer_id FROM orders WHERE customer_id IS NOT NULL)
     ON CONFLICT (refactor_key_1) DO UPDATE SET refactor_value = excluded.refactor_value",
    "INSERT INTO refactor.\"kept_0002_Ti er\" (refactor_key_1, refactor_value)
     SELECT id, 'glad' FROM customers WHERE id NOT IN (SELECT customer_id FROM orders WHERE customer_id IS NOT NULL)
     ON CONFLICT (refactor_key_1) DO UPDATE SET refactor_value = excluded.refactor_value",
    "INSERT INTO refactor.kept_0003_limit (refactor_key_1, refactor_value)
     SELECT id, nullif(id, 25) FROM orders WHERE id % 5 = 0 ON CONFLICT DO NOTHING",
    "INSERT INTO refactor.kept_0004_tax (refactor_key_1, refactor_value)
     SELECT id, 3 FROM orders WHERE id % 7 = 0 ON CONFLICT DO NOTHING",
    "INSERT INTO refactor.kept_of_public_orders (refactor_key_1, has_0007_note, value_0007_note)
     SELECT id, true, NULL FROM orders WHERE id % 3 = 0 ON CONFLICT DO NOTHING",
    "INSERT INTO refactor.kept_of_public_lines (refactor_key_1, has_0008_pieces, value_0008_pieces)
     SELECT id, true, id FROM lines WHERE id % 2 = 0 ON CONFLICT DO NOTHING",
];

/// Runs the tool when the server has noticed that the run before has ended.
pub fn ok(database: &Database, arguments: &[&str]) {
    let locks = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while !database.rows(locks).is_empty() {}
    database.ok(arguments);
}

fn declared(stack: &[&[&str]]) -> Database {
    let database = Database::new(NASTY);
    for arguments in stack {
        ok(&database, arguments);
    }
    database
}

/// The structure without what may differ: numbers, sizes, estimates.
pub fn structure(database: &Database) -> Schema {
    let mut schema = read::read(&mut database.client()).unwrap();
    for table in schema.tables.values_mut().chain(schema.kept.values_mut()) {
        (table.oid, table.bytes, table.rows) = (0, 0, 0.0);
        for field in &mut table.fields {
            field.number = 0;
        }
        for (_, constraint) in &mut table.followers {
            constraint.name = Ident::new("followed");
        }
    }
    schema
}

/// What `pg_dump` says, piece by piece in any order; nothing where there is no fitting `pg_dump`.
pub fn dump(database: &Database) -> Vec<String> {
    let url = database.url();
    let output = Command::new("pg_dump").args(["--exclude-table-data=refactor.journal", &url]).output();
    let Some(output) = output.ok().filter(|o| o.status.success()) else { return Vec::new() };
    let text = String::from_utf8(output.stdout).unwrap();
    let mut pieces: Vec<String> = text
        .split("\n--\n")
        .flat_map(|piece| piece.split(";\n"))
        .map(str::trim)
        .filter(|piece| !piece.contains("restrict ") && !piece.contains(&database.name))
        .map(|piece| if piece.contains("FROM stdin") { "data".to_owned() } else { piece.to_owned() })
        .filter(|piece| !piece.contains('\t'))
        .collect();
    pieces.sort();
    pieces
}

pub fn all_rows(database: &Database) -> Vec<(String, Vec<String>)> {
    let schema = read::read(&mut database.client()).unwrap();
    let mut tables: Vec<(String, Vec<String>)> =
        schema.tables.keys().map(|t| (t.to_string(), database.rows(&format!("SELECT * FROM {t}")))).collect();
    let sequences = schema.sequences.keys();
    tables.extend(sequences.map(|s| (s.to_string(), database.rows(&format!("SELECT last_value, is_called FROM {s}")))));
    tables
}

pub fn assert_same(rebuilt: &Database, in_place: &Database) {
    let (left, right) = (structure(rebuilt), structure(in_place));
    for (name, table) in &right.tables {
        assert_eq!(left.tables.get(name), Some(table), "{name}");
    }
    assert_eq!(left, right);
    assert_eq!(all_rows(rebuilt), all_rows(in_place));
    let (left, right) = (dump(rebuilt), dump(in_place));
    for piece in &right {
        assert!(left.contains(piece), "only in place:\n{piece}");
    }
    assert_eq!(left, right);
}

/// Oid of a table: another one after a rebuild.
fn oid(database: &Database, table: &str) -> String {
    database.rows(&format!("SELECT '{table}'::regclass::oid")).remove(0)
}

#[test]
fn a_rebuild_is_a_rewrite_in_place() {
    let rebuilt = declared(&STACK);
    rebuilt.client().batch_execute(&KEPT.join(";")).unwrap();
    let in_place = rebuilt.copy();
    let before = ["customers", "orders", "lines"].map(|t| oid(&rebuilt, t));
    ok(&rebuilt, &["materialize", "--yes", "--rebuild-from", "0"]);
    ok(&in_place, &["materialize", "--yes", "--rebuild-from", "1000000"]);
    let after = ["customers", "purchases", "lines"].map(|t| oid(&rebuilt, t));
    for (before, after) in before.iter().zip(&after).take(2) {
        assert_ne!(before, after);
    }
    // A new field with one value for all rows is the catalogue's alone.
    assert_eq!(before[2], after[2]);
    assert_eq!(before, ["customers", "purchases", "lines"].map(|t| oid(&in_place, t)));
    assert_same(&rebuilt, &in_place);
    let next = "INSERT INTO customers (\"full name\") VALUES ('new') RETURNING id, s";
    let numbered = |d: &Database| {
        let row = d.client().query_one(next, &[]).unwrap();
        (row.get::<_, i64>(0), row.get::<_, i32>(1))
    };
    assert_eq!(numbered(&rebuilt), numbered(&in_place));
}

#[test]
fn what_is_built_while_others_write_has_all_that_the_old_table_had() {
    let beside = declared(&STACK);
    beside.client().batch_execute(&KEPT.join(";")).unwrap();
    // Policies that bind the owner hide rows from what watches.
    beside.client().batch_execute("ALTER TABLE orders NO FORCE ROW LEVEL SECURITY").unwrap();
    let in_place = beside.copy();
    let before = ["customers", "orders"].map(|t| oid(&beside, t));
    ok(&beside, &["materialize", "--yes", "--beside-from", "0"]);
    ok(&in_place, &["materialize", "--yes", "--rebuild-from", "1000000", "--offline"]);
    for (before, after) in before.iter().zip(["customers", "purchases"].map(|t| oid(&beside, t))) {
        assert_ne!(*before, after);
    }
    assert_eq!(before, ["customers", "purchases"].map(|t| oid(&in_place, t)));
    assert_same(&beside, &in_place);
}

#[test]
fn complements_of_what_stays_deferred_follow_the_new_table() {
    let rebuilt = declared(&STACK[..4]);
    rebuilt.client().batch_execute(&KEPT[..4].join(";")).unwrap();
    let in_place = rebuilt.copy();
    let before = ["customers", "orders"].map(|t| oid(&rebuilt, t));
    for (database, from) in [(&rebuilt, "0"), (&in_place, "1000000")] {
        for last in 1..=4 {
            ok(database, &["materialize", "--yes", "--rebuild-from", from, "--to", &format!("{last:04}")]);
        }
    }
    let after = ["customers", "orders"].map(|t| oid(&rebuilt, t));
    assert!(before.iter().zip(&after).all(|(before, after)| before != after));
    assert_same(&rebuilt, &in_place);
}

#[test]
fn joined_rows_are_the_looked_up_rows() {
    let database = declared(&STACK);
    database.client().batch_execute(&KEPT.join(";")).unwrap();
    let steps: Vec<refactor::version::Step> = {
        let mut files: Vec<_> = std::fs::read_dir(database.files()).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        files
            .iter()
            .map(|file| {
                let name = file.file_stem().unwrap().to_str().unwrap();
                let text = std::fs::read_to_string(file).unwrap();
                refactor::journal::Entry::parse(name, &text).unwrap().step
            })
            .collect()
    };
    assert!(matches!(steps[0].refactoring, Refactoring::MoveField(_)));
    let schema = std::sync::Arc::new(read::read(&mut database.client()).unwrap());
    let version = refactor::version::Version::fold(schema, &steps).unwrap();
    for relation in version.touched() {
        let (one, other) = (rows::select(&version, relation), rows::rebuild(&version, relation));
        assert_eq!(
            database.rows(&format!("SELECT count(*) FROM ({one}) AS a")),
            database.rows(&format!("SELECT count(*) FROM ({other}) AS a"))
        );
        // Points have no equality, so texts are compared.
        for (left, right) in [(&one, &other), (&other, &one)] {
            let query = format!("SELECT a::text FROM ({left}) AS a EXCEPT ALL SELECT b::text FROM ({right}) AS b");
            assert_eq!(database.rows(&query), Vec::<String>::new(), "{}", relation.name);
        }
    }
}

#[test]
fn a_table_that_others_hold_is_rewritten_in_place() {
    let holders = [
        "CREATE VIEW holder AS SELECT kind FROM orders",
        "CREATE MATERIALIZED VIEW holder AS SELECT kind FROM orders",
        "CREATE FUNCTION holder() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT kind FROM orders LIMIT 1; END",
        "CREATE FUNCTION holder(orders) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE holder () INHERITS (lines); CREATE VIEW v AS SELECT FROM orders",
        "CREATE POLICY holder ON lines USING (EXISTS (SELECT FROM orders))",
        "ALTER TABLE orders ADD CONSTRAINT whole CHECK ((orders.*) IS DISTINCT FROM NULL)",
        "CREATE RULE holder AS ON DELETE TO lines DO ALSO DELETE FROM orders WHERE false",
        "CREATE TABLE holder (id int REFERENCES orders) PARTITION BY RANGE (id)",
    ];
    for holder in holders {
        let database = Database::new(NASTY);
        database.client().batch_execute(holder).unwrap();
        ok(&database, &["add-field", "orders.more", "text", "--default", "'m'"]);
        let before = oid(&database, "orders");
        ok(&database, &["materialize", "--yes", "--rebuild-from", "0"]);
        assert_eq!(oid(&database, "orders"), before, "{holder}");
    }
}

/// Moves along every foreign key of the sample database that leads from many to one.
#[test]
fn the_sample_database_is_rebuilt_table_by_table() {
    let rebuilt = Database::new(include_str!("../../samples/chinook.sql"));
    let stack: [&[&str]; 7] = [
        &["move-field", "invoice.billing_country", "customer", "--as", "billing_country"],
        &["move-field", "artist.name", "album", "--as", "artist_name"],
        &["move-field", "album.title", "track", "--as", "album_title", "--fill", "''"],
        &["move-field", "genre.name", "track", "--as", "genre_name"],
        &["move-field", "customer.company", "invoice"],
        &["rename-table", "invoice_line", "sale"],
        &["add-field", "sale.net", "numeric(10,2)", "--as", "unit_price * quantity"],
    ];
    for arguments in stack {
        ok(&rebuilt, arguments);
    }
    let in_place = rebuilt.copy();
    let tables = ["customer", "album", "track", "invoice"];
    let before = tables.map(|t| oid(&rebuilt, t));
    ok(&rebuilt, &["materialize", "--yes", "--rebuild-from", "0"]);
    ok(&in_place, &["materialize", "--yes", "--rebuild-from", "1000000"]);
    let after = tables.map(|t| oid(&rebuilt, t));
    assert!(before.iter().zip(&after).all(|(before, after)| before != after));
    assert_same(&rebuilt, &in_place);
}
