//! Unique indexes that are not real yet keep what they will keep: the same statements, through the view and on the table.

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

fn outcomes(client: &mut Client) -> Vec<String> {
    let outcome = |client: &mut Client, write: &str| match client.execute(write, &[]) {
        Ok(rows) => format!("{rows} rows"),
        Err(error) => {
            let error = error.as_db_error().unwrap();
            format!("{} {} {:?}", error.code().code(), error.message(), error.constraint())
        }
    };
    WRITES.iter().map(|write| format!("{write}: {}", outcome(client, write))).collect()
}

#[test]
fn a_unique_index_is_kept_before_it_is_real() {
    let version = Database::new("").rows("SELECT current_setting('server_version_num')::int >= 150000") == ["(t)"];
    for (index, _) in INDEXES.iter().filter(|(_, always)| *always || version) {
        let deferred = Database::new(TABLE);
        deferred.ok(&[&["create-index", "t", "--unique", "--name", "t_u"], *index].concat());
        let real = deferred.copy();
        real.ok(&["materialize", "--yes"]);
        assert_eq!(outcomes(&mut deferred.next()), outcomes(&mut real.client()), "{index:?}");
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
