//! The life of every example of every manual page, without being asked for: declared and taken back, written to through
//! both shapes and made real, shown in its old shape again, and brought back to where it was.

use std::collections::{BTreeMap, BTreeSet};

use refactor::catalogue::Refactor;
use refactor::db::connect::Target;
use refactor::db::session::{Place, Session};
use refactor::generate::Class;
use refactor::journal::{Directory, Entry, next_name};
use refactor::name::TableName;
use refactor::relation::Relation;
use refactor::schema::{Schema, Table};
use refactor::version::RemarkKind;

use crate::page::{Example, Outcome, Page, new_database, result, shell};
use crate::pages::for_each_page;
use crate::support::{Database, rows};

/// Does something for each example that can be declared.
pub fn for_each_example(work: impl Fn(&Example) + Sync) {
    for_each_page(|name| {
        if name == "data" {
            return; // It changes rows when it is declared, and no shape: `data.rs`.
        }
        let examples = Page::read(name).examples();
        let declared = |e: &&Example| e.succeeds && e.command.starts_with(&format!("refactor {name} "));
        assert!(examples.iter().any(|e| declared(&e)), "{name} has no example that can be declared");
        for example in examples.iter().filter(declared) {
            eprintln!("{}", example.command);
            work(example);
        }
    });
}

/// The same for those that can be made real.
fn for_each_real_example(work: impl Fn(&Example) + Sync) {
    for_each_example(|example| {
        if !example.stays_deferred {
            work(example);
        }
    });
}

fn place(database: &Database) -> Place {
    Session::new(Target::resolve(Some(&database.url())).unwrap().connect().unwrap()).unwrap().place().unwrap()
}

/// A database in which an example's refactoring is shown, and the database's state before.
fn declared(example: &Example) -> (Database, Place) {
    let database = new_database(&example.before);
    let before = place(&database);
    let said = shell(&database, &example.command);
    assert!(!said.contains("[exit code"), "{said}");
    (database, before)
}

/// Runs the example's statements; the page says what comes of each.
pub fn write(database: &Database, example: &Example) {
    for (new, statement) in &example.writes {
        let mut client = if *new { database.next() } else { database.client() };
        result(&mut client, statement);
    }
}

/// Everything in the database outside `refactor`, by kind and name, with what else is told of it.
fn everything(database: &Database) -> Vec<String> {
    let outside = "NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'refactor')";
    [
        format!("SELECT 'class', n.nspname, c.relname, c.relkind, c.relacl, c.reloptions, c.relnatts, c.relchecks, c.reltuples, c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname {outside}"),
        format!("SELECT 'function', p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname {outside}"),
        format!("SELECT 'type', n.nspname, t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname {outside}"),
        "SELECT 'trigger', t.tgrelid::regclass, t.tgname FROM pg_trigger t WHERE NOT t.tgisinternal".to_owned(),
        "SELECT 'internal trigger', t.tgrelid::regclass, t.tgfoid::regproc, count(*) FROM pg_trigger t WHERE t.tgisinternal GROUP BY 1, 2, 3".to_owned(),
        format!("SELECT 'constraint', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname {outside}"),
        "SELECT 'schema', nspname, nspacl FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'refactor'".to_owned(),
        "SELECT 'rule', ev_class::regclass, rulename FROM pg_rewrite WHERE oid >= 16384".to_owned(),
        "SELECT 'role setting', setdatabase, setrole, setconfig FROM pg_db_role_setting".to_owned(),
        "SELECT 'ours', relname, relkind FROM pg_class WHERE relnamespace = to_regnamespace('refactor') AND relname !~ '^(refactor_)?journal|^pg_toast'".to_owned(),
        "SELECT 'our function', proname FROM pg_proc WHERE pronamespace = to_regnamespace('refactor')".to_owned(),
    ]
    .iter()
    .flat_map(|query| database.rows(query))
    .collect()
}

/// All rows of the tables with their place on disk and the transaction that wrote them.
fn bytes(database: &Database, schema: &Schema) -> BTreeMap<TableName, Vec<String>> {
    let of = |table: &TableName| database.rows(&format!("SELECT t.xmin, t.ctid, t.* FROM {table} AS t"));
    schema.tables.keys().map(|table| (table.clone(), of(table))).collect()
}

#[test]
fn declared_and_taken_back_leaves_nothing() {
    for_each_example(|example| {
        let database = new_database(&example.before);
        let (all, before) = (everything(&database), place(&database));
        let rows = bytes(&database, &before.schema);
        let said = shell(&database, &example.command);
        assert!(!said.contains("[exit code"), "{said}");
        assert_eq!(bytes(&database, &before.schema), rows, "declaring wrote to a table");
        database.ok(&["undo", "--yes"]);
        assert_eq!(everything(&database), all);
        assert_eq!(bytes(&database, &before.schema), rows, "taking back wrote to a table");
        let after = place(&database);
        assert_eq!(after.schema.tables, before.schema.tables);
        assert_eq!((&after.schema.views, &after.schema.functions), (&before.schema.views, &before.schema.functions));
        assert_eq!(after.recorded, Vec::new());
        assert_eq!(std::fs::read_dir(database.files()).unwrap().count(), 0);
    });
}

/// What the new shape shows of every table, its columns in order.
pub fn shown(database: &Database) -> BTreeMap<TableName, Vec<String>> {
    let version = place(database).version().unwrap();
    let mut next = database.next();
    let schemas = refactor::generate::shown_in(&version);
    let query = |relation: &Relation| match schemas.get(&relation.name.schema).filter(|_| relation.is_shown) {
        Some(schema) => format!("SELECT * FROM {schema}.{}", relation.name.name),
        None => format!("SELECT * FROM {}", relation.name),
    };
    version.relations.values().map(|r| (r.name.clone(), rows(&mut next, &query(r)))).collect()
}

/// Both ways to write a table: in place, and built anew.
const WAYS: [&str; 2] = ["64", "0"];

fn materialize(database: &Database, way: &str) {
    // Beside others takes longer: `REFACTOR_PAIRS=all` tries it for the way back, too.
    let all = std::env::var("REFACTOR_PAIRS").is_ok_and(|wanted| wanted == "all");
    materialize_beside(database, way, if all { way } else { "64" });
}

fn materialize_beside(database: &Database, way: &str, beside: &str) {
    database.ok(&["materialize", "--yes", "--rebuild-from", way, "--beside-from", beside]);
}

/// Each view locks the rows that it shows, or refuses to.
fn rows_are_locked_or_said_not_to_be(database: &Database) {
    let version = place(database).version().unwrap();
    let schemas = refactor::generate::shown_in(&version);
    for relation in version.shown() {
        let (mut client, mut other) = (database.client(), database.client());
        let mut locks = client.transaction().unwrap();
        let view = format!("{}.{}", schemas[&relation.name.schema], relation.name.name);
        let locked = locks.query(&format!("SELECT 1 FROM {view} FOR UPDATE"), &[]);
        if !Class::of(&version, relation).locks_rows() {
            assert_eq!(locked.unwrap_err().code().unwrap().code(), "0A000", "{view}");
            continue;
        }
        let mut count = |how: &str| {
            let base = &relation.base;
            let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {base} {how}) AS r");
            other.query_one(&sql, &[]).unwrap().get::<_, i64>(0)
        };
        let free = count("FOR UPDATE SKIP LOCKED");
        assert_eq!(usize::try_from(count("") - free).unwrap(), locked.unwrap().len(), "{view}");
    }
}

#[test]
fn materialized_tables_hold_what_their_views_showed() {
    for_each_real_example(|example| {
        for way in WAYS {
            let (database, _) = declared(example);
            write(&database, example);
            if way == WAYS[0] {
                rows_are_locked_or_said_not_to_be(&database);
            }
            let views = shown(&database);
            materialize_beside(&database, way, way);
            let tables: BTreeMap<_, _> =
                views.keys().map(|t| (t.clone(), database.rows(&format!("SELECT * FROM {t}")))).collect();
            assert_eq!(tables, views);
            let none = Vec::<String>::new();
            assert_eq!(database.rows("SELECT nspname FROM pg_namespace WHERE nspname ~ '^next'"), none);
            assert_eq!(database.rows("SELECT tgname FROM pg_trigger WHERE tgname ~ '^[!~]refactor'"), none);
        }
    });
}

/// Fields of a table that the plan said would be lost.
fn lost_fields<'l>(table: &TableName, lost: &'l BTreeSet<String>) -> Vec<&'l str> {
    let start = format!("`{}.", table.short());
    lost.iter().filter_map(|text| text.strip_prefix(&start)?.strip_suffix('`')).collect()
}

/// All rows of the tables of an old shape, each as an object, so that the order of fields does not count; without what
/// was said to be lost.
fn old_rows(database: &Database, next: bool, old: &Place, lost: &BTreeSet<String>) -> BTreeMap<TableName, Vec<String>> {
    let mut client = if next { database.next() } else { database.client() };
    let mut of = |name: &TableName| {
        let table = if next { name.name.to_string() } else { name.to_string() };
        let lost: String = lost_fields(name, lost).iter().map(|f| format!(" - '{f}'")).collect();
        rows(&mut client, &format!("SELECT to_jsonb(t){lost} FROM {table} AS t"))
    };
    old.schema.tables.keys().map(|name| (name.clone(), of(name))).collect()
}

/// What is said to be lost.
fn losses(database: &Database) -> BTreeSet<String> {
    let remarks = place(database).version().unwrap().remarks;
    // The name of an index or a constraint alone, not of which table it is.
    let named = |text: &str| ["index `", "constraint `"].iter().any(|kind| text.starts_with(kind));
    let what = |text: String| if named(&text) { text.split(" of ").next().unwrap().to_owned() } else { text };
    remarks.into_iter().filter(|r| r.kind == RemarkKind::Lost).map(|r| what(r.text)).collect()
}

/// Materializes, and shows the inverse: the old shape in `next`.
fn show_the_inverse(database: &Database, before: &Place, way: &str) {
    let directory = Directory::new(&database.files());
    let entries = directory.read().unwrap();
    let step = &entries[0].step;
    let inverse = step.refactoring.inverse(&step.name, &before.version().unwrap()).unwrap();
    materialize(database, way);
    let name = next_name(std::slice::from_ref(&step.name), &inverse);
    directory.write(&Entry::new(name, Some(step.name.clone()), inverse).unwrap()).unwrap();
    database.ok(&["apply"]);
}

/// A schema with what need not come back put aside: object ids, sizes, the order of fields, and what the plan said
/// would be lost and is not in `there`.
fn comparable(schema: &Schema, lost: &BTreeSet<String>, there: &Schema) -> BTreeMap<TableName, Table> {
    let is_back = |what: &str| {
        let mut tables = there.tables.values();
        tables.any(|t| {
            t.indexes.iter().any(|i| what == format!("index `{}`", i.name))
                || t.constraints.iter().any(|c| what == format!("constraint `{}`", c.name))
        })
    };
    let lost: BTreeSet<String> = lost.iter().filter(|what| !is_back(what)).cloned().collect();
    let mut tables = schema.tables.clone();
    for (name, table) in &mut tables {
        let gone = lost_fields(name, &lost);
        table.fields.retain(|f| !gone.contains(&f.name.as_str()));
        table.indexes.retain(|i| !i.fields.iter().any(|f| gone.contains(&f.as_str())));
        table.indexes.retain(|i| !lost.contains(&format!("index `{}`", i.name)));
        table.constraints.retain(|c| !lost.contains(&format!("constraint `{}`", c.name)));
        table.oid = 0;
        table.rows = 0.0;
        table.bytes = 0;
        table.fields.sort_by(|a, b| a.name.cmp(&b.name));
        table.fields.iter_mut().for_each(|f| f.number = 0);
    }
    tables
}

/// Fields that stand in another order than before: none, or those that went and came back, now last.
fn moved_to_the_end(before: &Table, after: &Table) -> Vec<String> {
    let names = |table: &Table| table.fields.iter().map(|f| f.name.to_string()).collect::<Vec<_>>();
    let (before, after) = (names(before), names(after));
    let place = |name: &String| before.iter().position(|b| b == name);
    let ordered = after.windows(2).take_while(|w| place(&w[0]) < place(&w[1])).count() + 1;
    if after.is_empty() { Vec::new() } else { after[ordered..].to_vec() }
}

fn back_where_it_was(
    database: &Database,
    before: &Place,
    lost: &BTreeSet<String>,
    data: &BTreeMap<TableName, Vec<String>>,
    way: &str,
) {
    let views = shown(database);
    materialize(database, way);
    assert_eq!(shown(database), views, "the tables do not hold what the views showed, fields in order");
    assert_eq!(old_rows(database, false, before, lost), *data, "the inverse was made real with other rows");
    let after = place(database);
    assert_eq!(
        comparable(&after.schema, &BTreeSet::new(), &after.schema),
        comparable(&before.schema, lost, &after.schema)
    );
    for (name, table) in &before.schema.tables {
        let moved = moved_to_the_end(table, &after.schema.tables[name]);
        assert!(moved.len() <= 1, "{name} has more fields out of order than the one that came back: {moved:?}");
    }
}

#[test]
fn the_inverse_shows_the_old_shape_and_brings_it_back() {
    for_each_real_example(|example| {
        for way in WAYS {
            let (database, before) = declared(example);
            write(&database, example);
            let lost = losses(&database);
            let data = old_rows(&database, false, &before, &lost);
            show_the_inverse(&database, &before, way);
            let through = old_rows(&database, true, &before, &lost);
            assert_eq!(through, data, "old queries give something else through the inverse");
            back_where_it_was(&database, &before, &lost, &data, way);
        }
    });
}

/// What of an outcome old code can rely on: rows without order of rows and fields, counts, SQLSTATEs.
fn essence(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Rows(rows) => {
            let fields: Vec<BTreeSet<_>> = rows.into_iter().map(|row| row.into_iter().collect()).collect();
            let mut rows: Vec<Vec<_>> = fields.into_iter().map(|row| row.into_iter().collect()).collect();
            rows.sort();
            Outcome::Rows(rows)
        }
        Outcome::Failed { code, .. } => Outcome::Failed { code, lines: Vec::new() },
        done @ Outcome::Done(_) => done,
    }
}

#[test]
fn old_writes_through_the_inverse_do_what_they_did() {
    for_each_real_example(|example| {
        let twin = new_database(&example.before);
        let (database, before) = declared(example);
        let lost = losses(&database);
        show_the_inverse(&database, &before, WAYS[0]);
        for statement in example.writes.iter().filter(|(new, _)| !new).map(|(_, s)| s) {
            let was = essence(result(&mut twin.client(), statement));
            let is = essence(result(&mut database.next(), statement));
            assert_eq!(is, was, "{statement}");
            let through = old_rows(&database, true, &before, &lost);
            assert_eq!(through, old_rows(&twin, false, &before, &lost), "after {statement}");
        }
        back_where_it_was(&database, &before, &lost, &old_rows(&twin, false, &before, &lost), WAYS[0]);
    });
}
