//! Fields of a table share a row of the complement, each on its own: whatever comes, goes or becomes real beside it.

use crate::rebuild::ok;
use crate::support::Database;

const PEOPLE: &str = "
    CREATE DOMAIN given AS text CHECK (VALUE IS NOT NULL);
    CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, born text, firm boolean NOT NULL DEFAULT false);
    CREATE TABLE pets (id int PRIMARY KEY, owner int REFERENCES people ON UPDATE CASCADE ON DELETE CASCADE);
    INSERT INTO people VALUES (1, 'Ann Ax', '1970', false), (2, 'Bo', NULL, false), (3, 'Cy Cox', '1990', true);
    INSERT INTO pets VALUES (1, 1), (2, 2);";

/// Four that need a place of their own.
const STACK: [&[&str]; 4] = [
    &["add-field", "people.rank", "int", "--default", "1"],
    &["add-field", "people.mark", "text", "--as", "left(name, 1)"],
    &["add-field", "people.note", "text"],
    &["change-type", "people.born", "int"],
];

fn declared() -> Database {
    let people = Database::new(PEOPLE);
    for words in STACK {
        ok(&people, words);
    }
    people
}

fn run(database: &Database, sql: &str) {
    database.client().batch_execute(sql).unwrap();
}

#[test]
fn each_field_keeps_its_own_value() {
    let people = declared();
    run(
        &people,
        "UPDATE next.people SET rank = NULL WHERE id = 1; UPDATE next.people SET note = 'n', mark = 'x' WHERE id = 1;
         UPDATE people SET name = 'Dee' WHERE id IN (1, 2); UPDATE next.people SET born = 1980 WHERE id = 2;
         INSERT INTO next.people (id, name, note) VALUES (4, 'Eve', 'e'); INSERT INTO next.people (id, name) VALUES (5, 'Flo');",
    );
    let shown = "SELECT id, rank, mark, note, born FROM next.people";
    assert_eq!(people.rows(shown), ["(1,,x,n,1970)", "(2,1,D,,1980)", "(3,1,C,,1990)", "(4,1,,e,)", "(5,1,,,)"]);
    assert_eq!(people.rows("SELECT refactor_key_1 FROM refactor.kept_of_public_people"), ["(1)", "(4)", "(5)"]);
    run(&people, "UPDATE people SET id = 9 WHERE id = 1; DELETE FROM next.people WHERE id IN (3, 4)");
    assert_eq!(people.rows(shown), ["(2,1,D,,1980)", "(5,1,,,)", "(9,,x,n,1970)"]);
    assert_eq!(people.rows("SELECT id, owner FROM pets"), ["(1,9)", "(2,2)"]);
    assert_eq!(people.rows("SELECT refactor_key_1 FROM refactor.kept_of_public_people"), ["(5)", "(9)"]);
    let before = people.rows(shown);
    ok(&people, &["materialize", "--yes"]);
    assert_eq!(people.rows("SELECT id, rank, mark, note, born FROM people"), before);
}

#[test]
fn rows_that_are_read_with_one_look_can_be_locked() {
    let people = declared();
    let (mut one, mut two) = (people.client(), people.client());
    let mut locks = one.transaction().unwrap();
    let row = locks.query_one("SELECT rank, mark FROM next.people WHERE id = 1 FOR UPDATE", &[]).unwrap();
    assert_eq!((row.get(0), row.get(1)), (1, "A"));
    let denied = two.query("SELECT 1 FROM people WHERE id = 1 FOR UPDATE NOWAIT", &[]).unwrap_err();
    assert_eq!(denied.code().unwrap().code(), "55P03");
    assert_eq!(two.execute("UPDATE next.people SET note = 'n' WHERE id = 2", &[]).unwrap(), 1);
}

#[test]
fn a_field_comes_and_goes_without_the_others() {
    let people = declared();
    run(&people, "UPDATE next.people SET rank = 7, mark = 'm', note = 'n' WHERE id = 1");
    ok(&people, &["undo", "0002", "--yes"]);
    assert_eq!(people.rows("SELECT rank, note FROM next.people WHERE id = 1"), ["(7,n)"]);
    ok(&people, &["add-field", "people.tag", "text", "--default", "'t'"]);
    assert_eq!(people.rows("SELECT rank, note, tag FROM next.people WHERE id = 1"), ["(7,n,t)"]);
    let columns = "SELECT attname FROM pg_attribute WHERE attrelid = 'refactor.kept_of_public_people'::regclass
        AND attname ~ '^has_' AND NOT attisdropped";
    assert_eq!(people.rows(columns), ["(has_0001_rank)", "(has_0003_note)", "(has_0004_born)", "(has_0005_tag)"]);
    ok(&people, &["undo", "--all", "--keep-files", "--yes"]);
    assert_eq!(people.rows("SELECT relname FROM pg_class WHERE relname ~ '^kept_'"), Vec::<String>::new());
    ok(&people, &["apply"]);
    assert_eq!(people.rows("SELECT rank, note, tag FROM next.people WHERE id = 1"), ["(1,,t)"]);
}

#[test]
fn what_becomes_real_takes_only_its_own_along() {
    let people = declared();
    ok(&people, &["rename-table", "people", "humans"]);
    ok(&people, &["add-field", "humans.tag", "text", "--default", "'t'"]);
    run(&people, "UPDATE next.humans SET rank = 7, mark = 'm', note = 'n', tag = NULL, born = 1971 WHERE id = 1");
    let shown = "SELECT to_jsonb(t) FROM next.humans AS t";
    let before = people.rows(shown);
    for to in ["0002", "0003", "0005"] {
        ok(&people, &["materialize", "--yes", "--to", to]);
        assert_eq!(people.rows(shown), before, "{to}");
    }
    run(&people, "UPDATE next.humans SET tag = 'u' WHERE id = 2");
    let before = people.rows(shown);
    ok(&people, &["materialize", "--yes"]);
    assert_eq!(people.rows("SELECT to_jsonb(t) FROM humans AS t"), before);
}

#[test]
fn rows_that_get_a_table_of_their_own_take_along_what_is_kept() {
    let people = Database::new(PEOPLE);
    ok(&people, &["split-rows", "people", "--where", "firm", "--into", "firms"]);
    ok(&people, &["add-field", "firms.rank", "int", "--default", "1"]);
    ok(&people, &["add-field", "people.rank", "int", "--default", "2"]);
    run(&people, "UPDATE next.firms SET rank = 8; UPDATE next.people SET rank = 9 WHERE id = 1");
    let shown = ["SELECT id, rank FROM next.people", "SELECT id, rank FROM next.firms"];
    let before = shown.map(|query| people.rows(query));
    ok(&people, &["materialize", "--yes", "--to", "0001"]);
    assert_eq!(shown.map(|query| people.rows(query)), before);
    assert_eq!(before, [vec!["(1,9)", "(2,2)"], vec!["(3,8)"]]);
    ok(&people, &["materialize", "--yes"]);
    assert_eq!(["people", "firms"].map(|t| people.rows(&format!("SELECT id, rank FROM {t}"))), before);
}

#[test]
fn a_type_without_a_null_has_a_table_of_its_own() {
    let people = declared();
    ok(&people, &["add-field", "people.word", "given", "--default", "'w'"]);
    run(&people, "UPDATE next.people SET note = 'n' WHERE id = 1; UPDATE next.people SET word = 'v' WHERE id = 2");
    let shown = "SELECT id, note, word FROM next.people";
    assert_eq!(people.rows(shown), ["(1,n,w)", "(2,,v)", "(3,,w)"]);
    ok(&people, &["materialize", "--yes"]);
    assert_eq!(people.rows("SELECT id, note, word FROM people"), ["(1,n,w)", "(2,,v)", "(3,,w)"]);
}

#[test]
fn rows_that_refer_to_others_are_deleted_together() {
    let people = declared();
    run(
        &people,
        "ALTER TABLE people ADD COLUMN boss int REFERENCES people; ALTER TABLE people ADD COLUMN heir int REFERENCES people ON DELETE CASCADE",
    );
    ok(&people, &["apply"]);
    run(&people, "UPDATE people SET boss = 1 WHERE id = 2; UPDATE people SET heir = 3 WHERE id = 2; DELETE FROM pets");
    assert_eq!(people.client().execute("DELETE FROM next.people", &[]).unwrap(), 3);
    assert_eq!(people.rows("SELECT id FROM people"), Vec::<String>::new());
}

#[test]
fn what_a_trigger_changes_of_other_rows_does_not_save_them() {
    let people = declared();
    run(
        &people,
        "DELETE FROM pets; ALTER TABLE people ADD COLUMN place int; UPDATE people SET place = id;
         CREATE FUNCTION close() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           UPDATE people SET place = place - 1 WHERE place > OLD.place; RETURN NULL; END $$;
         CREATE TRIGGER close AFTER DELETE ON people FOR EACH ROW EXECUTE FUNCTION close();
         CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF OLD.name = 'Bo' THEN RETURN NULL; END IF; RETURN OLD; END $$;
         CREATE TRIGGER stay BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION stay();",
    );
    ok(&people, &["apply"]);
    assert_eq!(people.client().execute("DELETE FROM next.people USING pg_class", &[]).unwrap(), 2);
    assert_eq!(people.rows("SELECT id, place FROM people"), ["(2,1)"]);
}
