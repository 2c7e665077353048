//! Unique indexes and exclusions that are not real yet keep what they will keep: the same statements, through the view and on the table.

use postgres::Client;

use crate::rebuild::assert_same;
use crate::support::Database;

const TABLE: &str = "
    CREATE TABLE t (id int PRIMARY KEY, a text, n numeric, d timestamp, c char(4), f bool);
    INSERT INTO t VALUES (1, 'Ann', 1.0, '2026-01-01 10:00', 'x', true), (2, 'ben', 2, NULL, NULL, NULL);";

/// Each index, and whether PostgreSQL knows it before 15.
const INDEXES: [(&[&str], bool); 11] = [
    (&["a"], true),
    (&["lower(a)"], true),
    (&["a COLLATE \"C\" DESC NULLS FIRST", "n"], true),
    (&["n", "--include", "d,f"], true),
    (&["(n + 0)", "lower(a) text_pattern_ops"], true),
    (&["d::date"], true),
    (&["coalesce(a, '')", "c", "--where", "f IS NOT FALSE"], true),
    (&["c"], true),
    (&["(1)", "--where", "f", "--with", "fillfactor=60"], true),
    (&["a", "n", "--nulls-not-distinct"], false),
    (&["lower(a)", "(c || '!')", "--nulls-not-distinct", "--where", "n > 1"], false),
];

const WRITES: [&str; 14] = [
    "INSERT INTO t VALUES (3, 'ANN', 1.00, '2026-01-01 11:00', 'X', false)",
    "INSERT INTO t VALUES (4, NULL, 1.000, NULL, 'x ', true)",
    "INSERT INTO t VALUES (5, NULL, NULL, NULL, NULL, NULL)",
    "INSERT INTO t VALUES (6, NULL, NULL, '2026-01-01 23:00', NULL, NULL)",
    "UPDATE t SET a = 'ann' WHERE id = 2",
    "UPDATE t SET a = upper(a) WHERE id = 1",
    "UPDATE t SET f = true",
    "UPDATE t SET f = false WHERE id = 1",
    "UPDATE t SET f = true WHERE id > 4",
    "UPDATE t SET n = n + 1 WHERE n IS NOT NULL",
    "UPDATE t SET d = '2026-01-01', c = 'y' WHERE id = 2",
    "DELETE FROM t WHERE id = 1",
    "INSERT INTO t VALUES (7, 'ann', 5, '2026-01-01 10:00', 'x', true)",
    "UPDATE t SET id = id + 10, a = a || '' WHERE id = 7",
];

fn outcomes(client: &mut Client, writes: &[&str]) -> Vec<String> {
    let outcome = |client: &mut Client, write: &str| match client.execute(write, &[]) {
        Ok(rows) => format!("{rows} rows"),
        Err(error) => {
            let error = error.as_db_error().unwrap();
            format!("{} {} {:?}", error.code().code(), error.message(), error.constraint())
        }
    };
    writes.iter().map(|write| format!("{write}: {}", outcome(client, write))).collect()
}

#[test]
fn a_unique_index_is_kept_before_it_is_real() {
    let version = Database::new("").rows("SELECT current_setting('server_version_num')::int >= 150000") == ["(t)"];
    for (index, _) in INDEXES.iter().filter(|(_, always)| *always || version) {
        let deferred = Database::new(TABLE);
        deferred.ok(&[&["create-index", "t", "--unique", "--name", "t_u"], *index].concat());
        let real = deferred.copy();
        real.ok(&["materialize", "--yes"]);
        assert_eq!(outcomes(&mut deferred.next(), &WRITES), outcomes(&mut real.client(), &WRITES), "{index:?}");
        deferred.ok(&["materialize", "--yes"]);
        assert_same(&deferred, &real);
        real.ok(&["drop-index", "t_u"]);
        real.ok(&["materialize", "--yes"]);
        real.ok(&[&["create-index", "t", "--unique", "--name", "t_u"], *index].concat());
        real.ok(&["materialize", "--yes", "--beside-from", "0"]);
        let definition = "SELECT pg_get_indexdef('t_u'::regclass)";
        assert_eq!(real.rows(definition), deferred.rows(definition));
    }
}

const BOOKINGS: &str = "
    CREATE EXTENSION btree_gist;
    CREATE TABLE t (id int PRIMARY KEY, room int, name text, since int, till int, d int4range, c char(4));
    INSERT INTO t VALUES (1, 1, 'Ann', 1, 3, '[1,3)', 'x'), (2, 1, 'ben', 3, 5, '[3,5)', NULL), (3, NULL, NULL, NULL, NULL, NULL, NULL);";

const EXCLUSIONS: [&[&str]; 9] = [
    &["room WITH =", "d WITH &&"],
    &["d &&"],
    &["d -|-", "room <>"],
    &["int4range(since, till) &&, room gist_int4_ops WITH OPERATOR(pg_catalog.=)", "--where", "c IS NOT NULL"],
    &["lower(name) WITH =", "--method", "btree", "--include", "c"],
    &["name COLLATE \"C\" =", "--using", "hash"],
    &["(since + 0) =", "(till - 1) =", "--method", "btree", "--with", "fillfactor=60"],
    &["c =", "--method", "btree"],
    &["room WITH =", "name WITH <>", "--where", "since > 1"],
];

const BOOKED: [&str; 14] = [
    "INSERT INTO t VALUES (4, 1, 'ANN', 2, 4, '[2,4)', 'X')",
    "INSERT INTO t VALUES (5, 2, 'Ann', 1, 3, '[5,6)', 'x ')",
    "INSERT INTO t VALUES (6, NULL, NULL, 1, NULL, NULL, 'y')",
    "INSERT INTO t VALUES (7, NULL, 'zoe', NULL, NULL, '[1,9)', NULL)",
    "UPDATE t SET d = '[2,5)' WHERE id = 2",
    "UPDATE t SET till = till + 1, d = int4range(lower(d), upper(d) + 1) WHERE id = 1",
    "UPDATE t SET till = 4, since = 3, name = lower(name)",
    "UPDATE t SET c = 'x'",
    "UPDATE t SET c = 'q' WHERE id = 2",
    "UPDATE t SET room = 1 WHERE room IS NULL",
    "UPDATE t SET name = name || '' WHERE id < 3",
    "INSERT INTO t VALUES (8, 9, 'p', 40, 50, '[40,50)', 'p'), (9, 9, 'r', 45, 46, '[45,46)', 'p')",
    "DELETE FROM t WHERE id = 1",
    "INSERT INTO t VALUES (10, 1, 'Ann', 1, 3, '[1,3)', 'x')",
];

#[test]
fn an_exclusion_is_kept_before_it_is_real() {
    for (at, exclusion) in EXCLUSIONS.iter().enumerate() {
        let deferred = Database::new(BOOKINGS);
        deferred.ok(&[&["add-exclusion", "t", "--name", "t_x"], *exclusion].concat());
        let real = deferred.copy();
        real.ok(&["materialize", "--yes"]);
        assert_eq!(outcomes(&mut deferred.next(), &BOOKED), outcomes(&mut real.client(), &BOOKED), "{exclusion:?}");
        deferred.ok(&["materialize", "--yes"]);
        assert_same(&deferred, &real);
        if at % 3 != 0 {
            continue;
        }
        let definition = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 't_x'";
        let first = real.rows(definition);
        real.ok(&["drop-constraint", "t", "t_x"]);
        real.ok(&["materialize", "--yes"]);
        real.ok(&["revert"]);
        let mut next = real.next();
        assert_eq!(
            next.execute(
                "INSERT INTO t SELECT id + 100, room, name || 'x', since, till, d, c FROM t WHERE id = 2",
                &[]
            )
            .is_err(),
            outcomes(
                &mut deferred.client(),
                &["INSERT INTO t SELECT id + 100, room, name || 'x', since, till, d, c FROM t WHERE id = 2"]
            )[0]
            .contains("23P01"),
            "{exclusion:?}"
        );
        real.ok(&["materialize", "--yes", "--beside-from", "0"]);
        assert_eq!(real.rows(definition), first);
    }
}

const KEYLESS: &str = "
    CREATE TABLE far (id int PRIMARY KEY); INSERT INTO far VALUES (1), (2), (3);
    CREATE TABLE t (a int, b text, c int, d int4range);
    CREATE UNIQUE INDEX t_c ON t (c);
    INSERT INTO t VALUES (1, 'x', 1, '[1,2)'), (2, 'y', 2, '[2,3)'), (3, 'z', 3, '[3,4)');";

const RULES: [&[&str]; 8] = [
    &["set-not-null", "t.a"],
    &["add-check", "t", "a < 10", "--name", "small"],
    &["add-unique", "t", "a"],
    &["create-index", "t", "lower(b)", "--unique", "--where", "a > 1"],
    &["add-foreign-key", "t", "a", "--references", "far"],
    &["add-exclusion", "t", "d &&", "--where", "a < 5"],
    &["add-primary-key", "t", "b", "a"],
    &["add-primary-key", "t", "--index", "t_c", "--name", "t_c"],
];

const KEYLESS_WRITES: [&str; 14] = [
    "INSERT INTO t VALUES (4, 'x', 4, '[1,2)')",
    "INSERT INTO t VALUES (1, 'x', 5, '[7,8)')",
    "INSERT INTO t VALUES (NULL, NULL, 6, NULL)",
    "INSERT INTO t VALUES (2, 'Y', 7, '[2,3)')",
    "UPDATE t SET a = 2 WHERE a = 3",
    "UPDATE t SET a = 3 WHERE a = 2",
    "UPDATE t SET a = a, b = b || '!', d = d",
    "UPDATE t SET a = 12 WHERE a = 1",
    "UPDATE t SET a = NULL WHERE a = 2",
    "UPDATE t SET d = '[1,9)' WHERE c = 1",
    "UPDATE t SET c = c + 100",
    "UPDATE t SET c = 101 WHERE c = 102",
    "DELETE FROM t WHERE a IN (1, 2)",
    "INSERT INTO t VALUES (3, 'z!', 9, '[3,4)')",
];

#[test]
fn rules_of_a_table_without_a_key_are_kept() {
    for rule in RULES {
        let deferred = Database::new(KEYLESS);
        deferred.ok(rule);
        let real = deferred.copy();
        real.ok(&["materialize", "--yes"]);
        let writes = |client: &mut Client| outcomes(client, &KEYLESS_WRITES);
        assert_eq!(writes(&mut deferred.next()), writes(&mut real.client()), "{rule:?}");
        deferred.ok(&["materialize", "--yes", "--beside-from", "0"]);
        assert_same(&deferred, &real);
    }
}

#[test]
fn a_row_without_a_key_that_changes_meanwhile_is_not_overwritten() {
    let shop = Database::new("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, 'y');");
    shop.ok(&["set-not-null", "t.a"]);
    let (mut one, mut other) = (shop.client(), shop.next());
    let mut first = one.transaction().unwrap();
    first.execute("UPDATE t SET b = 'old' WHERE a = 1", &[]).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| other.execute("UPDATE t SET b = b || '!' WHERE a = 1", &[]));
        let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while shop.rows(waits).is_empty() {}
        first.commit().unwrap();
        assert_eq!(waiting.join().unwrap().unwrap_err().code().unwrap().code(), "40001");
    });
    assert_eq!(other.execute("UPDATE t SET b = b || '!' WHERE a = 1", &[]).unwrap(), 1);
    let twice = "UPDATE t SET b = b || '?' FROM generate_series(1, 2) WHERE t.a = 2";
    assert_eq!(other.execute(twice, &[]).unwrap_err().code().unwrap().code(), "40001");
    assert_eq!(shop.rows("SELECT * FROM t ORDER BY a"), ["(1,old!)", "(2,y)"]);
}
