//! Refactorings that stand on a floor: what both shapes see of each other's writes, what is kept when only a part of a stack
//! becomes real or is taken back, who may write, and who waits for whom.

use crate::rebuild::ok;
use crate::support::{Database, maintenance_url};

const EVENTS: &str = "
    CREATE TABLE event (id int PRIMARY KEY, size int, city text, note text);
    INSERT INTO event SELECT i, i, 'city ' || i % 2, 'n' FROM generate_series(1, 6) AS i;";

/// A change of type, a table split off over it, and a new field of that, with values that only the complements have.
fn stacked() -> Database {
    let events = Database::new(EVENTS);
    events.ok(&["change-type", "event.size", "bigint"]);
    events.ok(&["split-table", "event", "size", "city", "--into", "place"]);
    events.ok(&["add-field", "place.rank", "int", "--default", "7"]);
    events
        .client()
        .batch_execute(
            "UPDATE next.place SET size = 5000000000 WHERE id = 1; UPDATE next.place SET rank = 1 WHERE id = 2;
             DELETE FROM next.place WHERE id = 3;
             UPDATE event SET size = 40, city = 'Ulm' WHERE id = 4; DELETE FROM event WHERE id = 5;
             INSERT INTO event VALUES (7, 70, 'Bonn', 'old');
             INSERT INTO next.event (id, note) VALUES (8, 'new'), (9, 'new'); INSERT INTO next.place VALUES (8, 80, 'Rom', 8);",
        )
        .unwrap();
    events
}

const PLACES: [&str; 6] = [
    "(1,5000000000,\"city 1\",7)",
    "(2,2,\"city 0\",1)",
    "(4,40,Ulm,7)",
    "(6,6,\"city 0\",7)",
    "(7,70,Bonn,7)",
    "(8,80,Rom,8)",
];
const NOTES: [&str; 8] = ["(1,n)", "(2,n)", "(3,n)", "(4,n)", "(6,n)", "(7,old)", "(8,new)", "(9,new)"];

fn is_shown(events: &Database) {
    assert_eq!(events.rows("SELECT id, size, city, rank FROM next.place"), PLACES);
    assert_eq!(events.rows("SELECT id, note FROM next.event"), NOTES);
}

fn is_real(events: &Database) {
    assert_eq!(events.rows("SELECT id, size, city, rank FROM place"), PLACES);
    assert_eq!(events.rows("SELECT id, note FROM event"), NOTES);
    let left = "SELECT relname FROM pg_class WHERE relnamespace = 'refactor'::regnamespace AND relkind IN ('r', 'v') AND relname !~ '^lost_'";
    assert_eq!(events.rows(left), ["(journal)"]);
}

#[test]
fn both_shapes_see_what_the_other_writes_and_one_command_makes_it_real() {
    let events = stacked();
    is_shown(&events);
    assert_eq!(
        events.rows("SELECT id, size, city FROM event WHERE id IN (1, 3, 4, 8)"),
        ["(1,2147483647,\"city 1\")", "(3,,)", "(4,40,Ulm)", "(8,80,Rom)"]
    );
    ok(&events, &["materialize", "--yes"]);
    is_real(&events);
}

#[test]
fn what_stands_on_a_floor_keeps_its_values_when_what_is_under_it_becomes_real_alone() {
    for last in ["0001", "0002"] {
        let events = stacked();
        ok(&events, &["materialize", "--yes", "--to", last]);
        if last == "0001" {
            is_shown(&events);
        }
        ok(&events, &["materialize", "--yes"]);
        is_real(&events);
    }
}

#[test]
fn what_is_under_a_floor_keeps_its_values_when_what_stands_on_it_is_taken_back() {
    let events = stacked();
    ok(&events, &["undo", "--yes", "0003"]);
    ok(&events, &["undo", "--yes", "0002"]);
    let seen = ["(1,5000000000)", "(2,2)", "(3,)", "(4,40)", "(6,6)", "(7,70)", "(8,80)", "(9,)"];
    assert_eq!(events.rows("SELECT id, size FROM next.event"), seen);
    ok(&events, &["undo", "--all", "--yes"]);
    let left = "SELECT relname FROM pg_class WHERE relnamespace = 'refactor'::regnamespace AND relkind IN ('r', 'v')";
    assert_eq!(events.rows(left), ["(journal)"]);
    assert_eq!(events.rows("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"), Vec::<String>::new());
}

#[test]
fn what_is_kept_for_a_row_goes_with_its_key() {
    let events = stacked();
    events.client().batch_execute("UPDATE event SET id = id + 100 WHERE id IN (1, 2)").unwrap();
    let seen = ["(101,5000000000,7)", "(102,2,1)"];
    assert_eq!(events.rows("SELECT id, size, rank FROM next.place WHERE id > 100"), seen);
    events.client().batch_execute("UPDATE next.event SET id = id + 100 WHERE id = 102").unwrap();
    assert_eq!(events.rows("SELECT id, size, rank FROM next.place WHERE id > 101"), ["(202,2,1)"]);
}

#[test]
fn all_is_undone_with_the_transaction_or_the_savepoint() {
    let events = stacked();
    let mut client = events.client();
    client
        .batch_execute(
            "BEGIN; UPDATE next.place SET size = 1; SAVEPOINT s; DELETE FROM next.event; ROLLBACK TO s; DELETE FROM event WHERE id > 3; ROLLBACK",
        )
        .unwrap();
    is_shown(&events);
    client.batch_execute("BEGIN; SAVEPOINT s; UPDATE event SET size = 9; ROLLBACK TO s; COMMIT").unwrap();
    is_shown(&events);
    // Two statements in one, and a statement that writes in both shapes.
    client
        .batch_execute(
            "WITH a AS (UPDATE next.place SET rank = 3 WHERE id = 1 RETURNING id), b AS (UPDATE next.event SET note = 'x' WHERE id = 2 RETURNING id)
             SELECT FROM a, b",
        )
        .unwrap();
    assert_eq!(events.rows("SELECT rank FROM next.place WHERE id = 1"), ["(3)"]);
    assert_eq!(events.rows("SELECT note FROM event WHERE id = 2"), ["(x)"]);
}

#[test]
fn triggers_of_the_tables_have_the_last_word() {
    let events = Database::new(
        "CREATE TABLE item (id int PRIMARY KEY, size int, touched int DEFAULT 0);
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := coalesce(NEW.touched, 0) + 1; RETURN NEW; END';
         CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION touch();
         INSERT INTO item VALUES (1, 1), (2, 2);",
    );
    events.ok(&["change-type", "item.size", "bigint"]);
    events.ok(&["split-table", "item", "size", "--into", "sizes"]);
    events
        .client()
        .batch_execute("UPDATE next.item SET touched = 10 WHERE id = 1; UPDATE next.sizes SET size = 5 WHERE id = 2")
        .unwrap();
    assert_eq!(events.rows("SELECT id, touched FROM next.item"), events.rows("SELECT id, touched FROM item"));
    ok(&events, &["materialize", "--yes"]);
    assert_eq!(events.rows("SELECT id, size FROM sizes"), ["(1,1)", "(2,5)"]);
}

#[test]
fn numbers_are_drawn_where_they_will_be() {
    for kind in ["serial", "int GENERATED BY DEFAULT AS IDENTITY", "int GENERATED ALWAYS AS IDENTITY"] {
        let items = Database::new(&format!(
            "CREATE TABLE item (id {kind} PRIMARY KEY, size int, name text); INSERT INTO item (size, name) VALUES (1, 'a'), (2, 'b');"
        ));
        items.ok(&["change-type", "item.size", "bigint"]);
        items.ok(&[
            "split-field",
            "item.size",
            "--into",
            "a,b",
            "--by",
            "(size / 2)::text",
            "--by",
            "(size % 2)::text",
            "--back",
            "a::int * 2 + b::int",
        ]);
        items
            .client()
            .batch_execute("INSERT INTO next.item (name, a, b) VALUES ('c', '1', '1'); INSERT INTO item (size, name) VALUES (9, 'd'); UPDATE next.item SET name = 'A' WHERE id = 1")
            .unwrap();
        let seen = ["(1,A,0,1)", "(2,b,1,0)", "(3,c,1,1)", "(4,d,4,1)"];
        assert_eq!(items.rows("SELECT id, name, a, b FROM next.item"), seen, "{kind}");
        ok(&items, &["materialize", "--yes"]);
        items.client().batch_execute("INSERT INTO item (name, a, b) VALUES ('e', '1', '1')").unwrap();
        let seen = ["(1,A,0,1)", "(2,b,1,0)", "(3,c,1,1)", "(4,d,4,1)", "(5,e,1,1)"];
        assert_eq!(items.rows("SELECT id, name, a, b FROM item"), seen, "{kind}");
    }
}

#[test]
fn who_may_write_the_table_may_write_through_the_floor() {
    let events = Database::new(EVENTS);
    let role = format!("floor_{}", events.name);
    let mut admin = postgres::Client::connect(&maintenance_url(), postgres::NoTls).unwrap();
    admin.batch_execute(&format!("CREATE ROLE {role}")).unwrap();
    events.client().batch_execute(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON event TO {role}")).unwrap();
    events.ok(&["change-type", "event.size", "bigint"]);
    events.ok(&["split-table", "event", "size", "city", "--into", "place"]);
    let mut client = events.client();
    client
        .batch_execute(&format!(
            "SET ROLE {role}; INSERT INTO next.event (id, note) VALUES (10, 'x'); INSERT INTO next.place VALUES (10, 1, 'Ulm');
             UPDATE next.place SET size = 4 WHERE id = 1; DELETE FROM next.event WHERE id = 2; UPDATE event SET city = 'Rom' WHERE id = 3; RESET ROLE"
        ))
        .unwrap();
    let seen = ["(1,4,\"city 1\")", "(3,3,Rom)", "(10,1,Ulm)"];
    assert_eq!(events.rows("SELECT id, size, city FROM next.place WHERE id IN (1, 2, 3, 10)"), {
        let mut seen = seen.to_vec();
        seen.sort_unstable();
        seen
    });
    client.batch_execute(&format!("DROP OWNED BY {role}")).unwrap();
    ok(&events, &["undo", "--all", "--yes"]);
    admin.batch_execute(&format!("DROP ROLE {role}")).unwrap();
}

/// Two sessions that write one row, each in its shape: one of them waits, and none is lost.
#[test]
fn a_row_is_not_written_over() {
    let events = stacked();
    let (mut old, mut new) = (events.client(), events.client());
    old.batch_execute("BEGIN; UPDATE event SET size = size + 100 WHERE id = 6").unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(move || new.batch_execute("UPDATE next.place SET size = size + 1 WHERE id = 6"));
        let blocked = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while events.rows(blocked).is_empty() {}
        old.batch_execute("COMMIT").unwrap();
        let written = waits.join().unwrap();
        let size = events.rows("SELECT size FROM event WHERE id = 6");
        match written {
            Ok(()) => assert_eq!(size, ["(107)"]),
            Err(error) => {
                assert_eq!(error.code().unwrap().code(), "40001");
                assert_eq!(size, ["(106)"]);
            }
        }
    });
    assert_eq!(
        events.rows("SELECT size FROM next.place WHERE id = 6"),
        events.rows("SELECT size FROM event WHERE id = 6")
    );
}

const PLACES_MADE_REAL: [&[&str]; 3] = [
    &["change-type", "o.zip", "text"],
    &["extract-table", "o.zip", "city", "land", "--by", "zip", "--into", "places", "--as", "place_id"],
    &["extract-table", "places.land", "--into", "lands", "--as", "land_id"],
];

/// What was made real one by one here is taken by another database in one command, wherever that is.
#[test]
fn a_database_catches_up_from_any_point() {
    let start = "CREATE TABLE o (id int PRIMARY KEY, zip int NOT NULL, city text, land text);
        INSERT INTO o VALUES (1, 89, 'Ulm', 'D'), (2, 89, 'Ulm', 'D'), (3, 53, 'Bonn', 'D');";
    let content = "SELECT o.id, zip, city, land FROM o JOIN places p ON p.id = place_id JOIN lands l ON l.id = land_id";
    let here = Database::new(start);
    for command in PLACES_MADE_REAL {
        here.ok(command);
        ok(&here, &["materialize", "--yes"]);
    }
    let mut files: Vec<_> = std::fs::read_dir(here.files()).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    for (real, deferred) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (0, 2)] {
        let there = Database::new(start);
        std::fs::create_dir_all(there.files()).unwrap();
        for (at, file) in files.iter().enumerate() {
            std::fs::copy(file, there.files().join(file.file_name().unwrap())).unwrap();
            if at + 1 == real {
                ok(&there, &["materialize", "--yes"]);
            } else if at + 1 == real + deferred {
                ok(&there, &["apply"]);
            }
        }
        if real + deferred < 2 {
            ok(&there, &["materialize", "--yes", "--to", "0002"]);
            assert_eq!(there.rows("SELECT zip, city, land FROM places"), ["(53,Bonn,D)", "(89,Ulm,D)"]);
        }
        ok(&there, &["materialize", "--yes"]);
        assert_eq!(there.rows(content), here.rows(content), "{real} real, {deferred} deferred");
        let there = there.ok(&["--json", "show", "--tables"]);
        assert_eq!(there, here.ok(&["--json", "show", "--tables"]), "{real} real, {deferred} deferred");
    }
}

#[test]
fn what_is_on_its_way_within_a_statement_is_followed_when_all_is_there() {
    let commands = [
        &["extract-table", "notes.word", "--into", "words"][..],
        &["add-surrogate-key", "notes.first"],
        &["add-surrogate-key", "notes.second"],
    ];
    let notes = || {
        Database::new(
            "CREATE TABLE notes (k int PRIMARY KEY, word text NOT NULL); INSERT INTO notes VALUES (3, 'x'), (1, 'y'), (2, 'x')",
        )
    };
    let one_by_one = notes();
    for command in commands {
        one_by_one.ok(command);
    }
    let at_once = notes();
    std::fs::create_dir_all(at_once.files()).unwrap();
    for file in one_by_one.files().read_dir().unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), at_once.files().join(file.file_name())).unwrap();
    }
    at_once.ok(&["apply"]);
    for notes in [&one_by_one, &at_once] {
        // The words of several rows come one after another, each within the statement.
        let old = "INSERT INTO notes VALUES (5, 'u'), (4, 'v'), (6, 'x');
            WITH gone AS (DELETE FROM notes WHERE k = 1 RETURNING k) INSERT INTO notes SELECT k + 10, 'w' FROM gone;
            INSERT INTO notes VALUES (2, 'q') ON CONFLICT (k) DO UPDATE SET word = 'z';";
        notes.client().batch_execute(old).unwrap();
        notes.next().batch_execute("WITH w AS (INSERT INTO words (word) VALUES ('new') RETURNING id) INSERT INTO notes (k, word_id) SELECT 20, id FROM w").unwrap();
        let shown =
            "SELECT n.k, w.word, n.first, n.second FROM next.notes AS n JOIN next.words AS w ON w.id = n.word_id";
        let wanted = ["(11,w,7,7)", "(2,z,2,2)", "(20,new,8,8)", "(3,x,3,3)", "(4,v,5,5)", "(5,u,4,4)", "(6,x,6,6)"];
        assert_eq!(notes.rows(shown), wanted);
        notes.ok(&["verify"]);
        notes.ok(&["materialize", "--yes"]);
        assert_eq!(notes.rows(&shown.replace("next.", "")), wanted);
    }
}
