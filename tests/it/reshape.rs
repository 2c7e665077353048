//! What `change-type`, `merge-fields` and `split-field` have of their own: values that the stored fields cannot tell.

use crate::support::Database;

const ARTICLES: &str = "
    CREATE TABLE articles (id int PRIMARY KEY, title text, published int DEFAULT 1);
    INSERT INTO articles VALUES (1, 'One', 1), (2, 'Two', 0), (3, 'Three', NULL), (4, 'Four', 2);";

const PUBLISHED: &[&str] = &[
    "change-type",
    "articles.published",
    "boolean",
    "--using",
    "coalesce(published, 1) <> 0",
    "--back",
    "CASE WHEN published THEN 1 ELSE 0 END",
];

fn articles() -> Database {
    let database = Database::new(ARTICLES);
    database.ok(PUBLISHED);
    database
}

fn run(database: &Database, sql: &str) {
    database.client().batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
}

const SHOWN: &str = "SELECT id, published FROM next.articles";

#[test]
fn a_value_that_old_code_stores_again_is_what_old_code_means() {
    let database = articles();
    run(&database, "UPDATE next.articles SET published = NULL WHERE id IN (1, 2)");
    run(&database, "UPDATE articles SET published = 1 WHERE id = 1; UPDATE articles SET published = 0 WHERE id = 1");
    run(&database, "UPDATE next.articles SET published = true WHERE id = 2");
    run(&database, "UPDATE articles SET published = 0 WHERE id = 2");
    assert_eq!(database.rows(SHOWN), ["(1,f)", "(2,f)", "(3,t)", "(4,t)"]);
}

#[test]
fn a_row_put_back_by_the_statement_that_deletes_it_keeps_its_value() {
    let database = articles();
    run(&database, "UPDATE next.articles SET published = NULL WHERE id = 1");
    run(
        &database,
        "WITH d AS (DELETE FROM next.articles WHERE id = 1 RETURNING *) INSERT INTO next.articles SELECT * FROM d",
    );
    run(&database, "UPDATE next.articles SET id = 9 WHERE id = 1");
    assert_eq!(database.rows(SHOWN), ["(2,f)", "(3,t)", "(4,t)", "(9,)"]);
    run(&database, "DELETE FROM articles");
    assert_eq!(database.rows("SELECT * FROM refactor.kept_of_public_articles"), Vec::<String>::new());
}

#[test]
fn a_value_without_a_way_back_is_refused_with_its_row() {
    let database =
        Database::new("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 5), (2, 0), (3, NULL);");
    let command = ["change-type", "t.n", "numeric", "--back", "100 / n"];
    let said = database.refused(&command);
    assert!(
        said.contains("each `t` must give a value of type integer for `n`; 1 row of `t` does not: (2,0)"),
        "{said}"
    );
    run(&database, "DELETE FROM t WHERE id = 2");
    database.ok(&command);
    let code = |sql: &str| database.client().batch_execute(sql).unwrap_err().code().unwrap().code().to_owned();
    assert_eq!(code("UPDATE t SET n = 0 WHERE id = 1"), "23000");
    assert_eq!(code("UPDATE next.t SET n = 0 WHERE id = 1"), "22012");
    database.ok(&["materialize", "--yes"]);
}

#[test]
fn rows_that_a_domain_or_a_function_refuses_are_named() {
    let database = Database::new(
        "CREATE DOMAIN few AS int CHECK (VALUE < 10);
         CREATE FUNCTION strict(t text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$BEGIN IF t = 'b' THEN RAISE 'no b'; END IF; RETURN t; END$$;
         CREATE TABLE t (id int PRIMARY KEY, n int, s text); INSERT INTO t VALUES (1, 5, 'a'), (2, 50, 'b');",
    );
    let said = database.refused(&["change-type", "t.n", "few"]);
    assert!(said.contains("1 row of `t` does not: (2,50,b)"), "{said}");
    let said = database.refused(&["change-type", "t.s", "varchar", "--using", "strict(s)", "--back", "s"]);
    assert!(said.contains("1 row of `t` does not: (2,50,b)"), "{said}");
    run(&database, "DELETE FROM t WHERE id = 2");
    database.ok(&["change-type", "t.n", "few"]);
    database.ok(&["change-type", "t.s", "varchar", "--using", "strict(s)", "--back", "s"]);
    let code = |sql: &str| database.client().batch_execute(sql).unwrap_err().code().unwrap().code().to_owned();
    assert_eq!(code("UPDATE t SET n = 50"), "23000");
    assert_eq!(code("UPDATE next.t SET n = 50"), "23514");
    assert_eq!(code("UPDATE t SET s = 'b'"), "23000");
}

#[test]
fn a_field_that_is_split_is_named_with_its_refactoring() {
    let database =
        Database::new("CREATE TABLE t (id int PRIMARY KEY, name text, n int); INSERT INTO t VALUES (1, 'a b');");
    database.ok(&[
        "split-field",
        "t.name",
        "--into",
        "x,y",
        "--by",
        "split_part(name, ' ', 1)",
        "--by",
        "split_part(name, ' ', 2)",
        "--back",
        "concat_ws(' ', x, y)",
    ]);
    database.ok(&["rename-field", "t.n", "m"]);
    database.ok(&["rename-field", "t.x", "n"]);
    for command in [&["drop-field", "t.n"][..], &["change-type", "t.n", "varchar"]] {
        let said = database.run(&[command, &["--json"]].concat()).stdout;
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("this needs `t` as a table"), "{said}");
        database.ok(&["undo", "--yes"]);
    }
    assert!(database.refused(&["move-field", "t.n", "t"]).contains("0001-split-name"));
    run(&database, "UPDATE next.t SET n = 'A'");
    assert_eq!(database.rows("SELECT * FROM t"), ["(1,\"A b\",)"]);
}

#[test]
fn lossy_values_come_back_byte_for_byte_and_go_again() {
    let database = articles();
    run(&database, "UPDATE next.articles SET published = NULL WHERE id = 1; UPDATE next.articles SET title = 'x'");
    let old = database.rows("SELECT * FROM articles");
    let new = database.rows("SELECT * FROM next.articles");
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows("SELECT * FROM articles"), new);
    let inverse = |name: &str, file: &str| {
        let text = database.ok(&["show", name]);
        let toml = text.split("```").next().unwrap();
        let toml = &toml[toml.rfind("[change-type]").unwrap()..];
        std::fs::write(database.files().join(file), toml).unwrap();
    };
    inverse("0001", "0002-back.toml");
    database.ok(&["apply"]);
    assert_eq!(database.rows("SELECT * FROM next.articles"), old);
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows("SELECT * FROM articles"), old);
    inverse("0002", "0003-again.toml");
    database.ok(&["apply"]);
    assert_eq!(database.rows("SELECT * FROM next.articles"), new);
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows("SELECT * FROM articles"), new);
}

#[test]
fn undoing_counts_what_only_the_complement_has() {
    let database = articles();
    run(&database, "UPDATE next.articles SET published = NULL WHERE id IN (1, 2)");
    run(&database, "UPDATE articles SET published = 1 WHERE id = 2");
    let said = database.refused(&["undo"]);
    assert!(
        said.contains("1 value that only the new shape of 0001-change-type-of-published-in-articles has a place for"),
        "{said}"
    );
    database.ok(&["verify"]);
    database.ok(&["undo", "--yes"]);
    assert_eq!(database.rows("SELECT id, published FROM articles"), ["(1,0)", "(2,1)", "(3,)", "(4,2)"]);
}

#[test]
fn the_first_of_several_are_materialized_and_the_rest_stay() {
    let database = Database::new(
        "CREATE TABLE t (id int PRIMARY KEY, a int, name text, n text);
         INSERT INTO t VALUES (1, 5, 'x  y', '007'), (2, NULL, 'z', NULL);",
    );
    database.ok(&["rename-field", "t.n", "code"]);
    database.ok(&["change-type", "t.code", "int"]);
    database.ok(&[
        "split-field",
        "t.name",
        "--into",
        "p,q",
        "--by",
        "split_part(name, ' ', 1)",
        "--by",
        "nullif(ltrim(substr(name, length(split_part(name, ' ', 1)) + 1)), '')",
        "--back",
        "p || ' ' || q",
    ]);
    database.ok(&["rename-table", "t", "tt"]);
    run(&database, "UPDATE next.tt SET q = NULL WHERE id = 1; UPDATE next.tt SET code = 8 WHERE id = 2");
    let shown = ["(1,5,7,x,)", "(2,,8,z,)"];
    assert_eq!(database.rows("SELECT id, a, code, p, q FROM next.tt"), shown);
    for to in ["0002", "0003"] {
        database.ok(&["materialize", "--yes", "--to", to]);
        assert_eq!(database.rows("SELECT id, a, code, p, q FROM next.tt"), shown, "{to}");
    }
    database.ok(&["show", "--tables"]);
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows("SELECT id, a, code, p, q FROM tt"), shown);
}

#[test]
fn types_are_found_whatever_the_search_path() {
    let database = Database::new(
        "CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('calm', 'wild'); CREATE TYPE mood2 AS ENUM ('calm', 'wild');
         CREATE TABLE t (id int PRIMARY KEY, a s.mood, b text, c text); INSERT INTO t VALUES (1, 'calm', 'wild', 'calm');",
    );
    database.ok(&["change-type", "t.a", "text"]);
    database.ok(&["change-type", "t.b", "s.mood"]);
    database.ok(&["change-type", "t.c", "mood2"]);
    run(
        &database,
        "SET search_path = pg_catalog; UPDATE next.t SET a = 'wild', b = 'calm', c = 'wild'; UPDATE public.t SET b = 'calm', c = 'calm'; INSERT INTO next.t VALUES (2, 'calm', 'calm', 'wild')",
    );
    database.ok(&["materialize", "--yes"]);
    assert_eq!(database.rows("SELECT * FROM t"), ["(1,wild,calm,calm)", "(2,calm,calm,wild)"]);
}

#[test]
fn what_changes_by_itself_is_refused_and_what_depends_on_settings_is_said() {
    let database = Database::new(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b timestamptz, c int, d int); INSERT INTO t VALUES (1, '2026-01-02', now(), 1, 1);",
    );
    for using in
        ["c + random()", "extract(epoch from now() + c * interval '1 day')", "c + extract(year from current_date)"]
    {
        let said = database.refused(&["change-type", "t.c", "float8", "--using", using]);
        assert!(said.contains("gives another value each time"), "{said}");
    }
    let output = database.run(&["change-type", "t.b", "date"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("depends on settings of the session"), "{said}");
    let output = database.run(&["change-type", "t.a", "date"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("depends on settings of the session"), "{said}");
}

#[test]
fn what_hangs_on_a_field_stays_or_is_named() {
    let database = Database::new(
        "CREATE TABLE t (id int PRIMARY KEY, a varchar(10), b varchar(10), c int NOT NULL DEFAULT 3, p text, q text);
         CREATE INDEX lower_a ON t (lower(a)); CREATE INDEX part ON t (id, b) WHERE b <> ''; CREATE INDEX over_c ON t (c);
         CREATE INDEX pattern ON t (b text_pattern_ops); CREATE STATISTICS st ON id, b FROM t;
         CREATE INDEX over_p ON t (p); INSERT INTO t VALUES (1, '2026-01-02', 'b', 3, 'p', 'q');",
    );
    let said = database.refused(&["change-type", "t.a", "date"]);
    assert!(said.contains("index `lower_a` is written for values of the old type"), "{said}");
    assert!(!database.ok(&["status"]).contains("0001"));
    let talk = |arguments: &[&str]| {
        let output = database.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    };
    assert!(!talk(&["change-type", "t.b", "text"]).contains("will drop"));
    let said = talk(&[
        "split-field",
        "t.c",
        "--into",
        "c1,c2",
        "--types",
        "int",
        "--types",
        "int",
        "--by",
        "c / 10",
        "--by",
        "c % 10",
        "--back",
        "c1 * 10 + c2",
    ]);
    for lost in ["index `over_c`", "NOT NULL of `c`", "default `3` of `c`"] {
        assert!(said.contains(&format!("materializing will drop {lost}")), "{said}");
    }
    let said = talk(&[
        "merge-fields",
        "t.p",
        "q",
        "--into",
        "pq",
        "--by",
        "p || '/' || q",
        "--back",
        "split_part(pq, '/', 1)",
        "--back",
        "split_part(pq, '/', 2)",
    ]);
    assert!(said.contains("materializing will drop index `over_p`"), "{said}");
    database.ok(&["rename-field", "t.b", "b2"]);
    for rebuild_from in ["0", "1000"] {
        let real = database.copy();
        real.ok(&["materialize", "--yes", "--rebuild-from", rebuild_from]);
        let left = "SELECT relname FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace";
        assert_eq!(real.rows(left), ["(lower_a)", "(part)", "(pattern)", "(t_pkey)"], "{rebuild_from}");
        assert_eq!(real.rows("SELECT stxname FROM pg_statistic_ext"), ["(st)"]);
    }
}

#[test]
fn what_is_dropped_does_not_keep_a_column_from_its_new_type() {
    let sql = "CREATE TABLE k (code varchar(10) PRIMARY KEY); INSERT INTO k VALUES ('1');
        CREATE TABLE t (id int PRIMARY KEY, status int NOT NULL DEFAULT 0 CONSTRAINT status_ok CHECK (status IN (0, 1)),
          code varchar(10) CONSTRAINT code_fk REFERENCES k, gone boolean NOT NULL DEFAULT false, kind int NOT NULL DEFAULT 1);
        INSERT INTO t VALUES (1, 0, '1', true, 1), (2, 1, NULL, false, 2);";
    let commands: [&[&str]; 8] = [
        &["drop-constraint", "t", "status_ok"],
        &["change-type", "t.status", "text", "--map", "0=new", "--map", "1=done"],
        &["drop-constraint", "t", "code_fk"],
        &["change-type", "t.code", "int", "--map", "1=1"],
        &["drop-not-null", "t.gone"],
        &[
            "change-type",
            "t.gone",
            "date",
            "--using",
            "CASE WHEN gone THEN date '2000-01-01' END",
            "--back",
            "gone IS NOT NULL",
        ],
        &["change-type", "t.kind", "text", "--map", "1=one", "--map", "2=two"],
        &["drop-not-null", "t.kind"],
    ];
    let made_real = |ways: &[&[&str]]| -> Vec<String> {
        let each = ways.iter().map(|more| {
            let database = Database::new(sql);
            for command in &commands {
                database.ok(command);
            }
            database.ok(&[&["materialize", "--yes"], *more].concat());
            let columns =
                "SELECT attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull FROM pg_attribute
                WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY 1";
            format!("{:?} {:?}", database.rows("SELECT * FROM t ORDER BY id"), database.rows(columns))
        });
        each.collect()
    };
    let found = made_real(&[&[], &["--step-by-step"], &["--rebuild-from", "0"]]);
    assert!(found.iter().all(|f| *f == found[0]), "{found:#?}");
}

#[test]
fn a_numbered_key_gets_another_type_in_another_schema() {
    let sql = "CREATE SCHEMA app; CREATE TABLE users (id serial PRIMARY KEY, name text); INSERT INTO users (name) VALUES ('Ann');";
    for way in [&[][..], &["--step-by-step"], &["--rebuild-from", "0"]] {
        for other_order in [false, true] {
            let database = Database::new(sql);
            let move_it: &[&str] = &["move-to-schema", "users", "app"];
            let (first, second): (&[&str], &[&str]) = if other_order {
                (&["change-type", "users.id", "bigint"], move_it)
            } else {
                (move_it, &["change-type", "app.users.id", "bigint"])
            };
            database.ok(first);
            database.ok(second);
            database.ok(&[&["materialize", "--yes"], way].concat());
            database.client().execute("INSERT INTO app.users (name) VALUES ('Ben')", &[]).unwrap();
            assert_eq!(database.rows("SELECT id, name FROM app.users"), ["(1,Ann)", "(2,Ben)"]);
        }
    }
}

#[test]
fn a_larger_limit_rewrites_nothing_and_brings_what_was_too_long() {
    for (old, new, value, longer) in [
        ("varchar(5)", "varchar(9)", "'abc'", "'abcdefg'"),
        ("varchar(5)", "text", "'abcde'", "'abcdefghijk'"),
        ("text", "varchar", "'abc'", "'abcdefghi'"),
        ("numeric(4,2)", "numeric(8,2)", "1.25", "123456.75"),
        ("numeric(4,2)", "numeric", "1.25", "123456.123456"),
        ("timestamp(0)", "timestamp(3)", "'2026-01-01 10:00:01'", "'2026-01-01 10:00:01.123'"),
        ("timestamptz(0)", "timestamptz", "'2026-01-01 10:00:01+00'", "'2026-01-01 10:00:01.123456+00'"),
        ("bit varying(3)", "bit varying(5)", "B'101'", "B'10101'"),
        ("cidr", "inet", "'10.0.0.0/8'", "'10.1.2.3/8'"),
    ] {
        let database = Database::new(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, v {old} NOT NULL DEFAULT {value}, w text); CREATE INDEX ON t (v);
             CREATE VIEW seen AS SELECT id, v FROM t;
             INSERT INTO t SELECT i, {value}, 'w' FROM generate_series(1, 5) AS i;"
        ));
        let file = "SELECT relfilenode FROM pg_class WHERE relname IN ('t', 't_v_idx')";
        let files = database.rows(file);
        database.ok(&["change-type", "t.v", new]);
        let mut next = database.next();
        next.batch_execute(&format!("UPDATE t SET v = {longer} WHERE id = 2; INSERT INTO t (id, v) VALUES (6, {longer}); INSERT INTO t (id) VALUES (7)"))
            .unwrap();
        let shown = crate::support::rows(&mut next, "SELECT * FROM t");
        drop(next);
        database.ok(&["materialize", "--yes", "--rebuild-from", "0"]);
        assert_eq!(database.rows("SELECT * FROM t"), shown, "{old} → {new}");
        assert_eq!(database.rows("SELECT id, v FROM t"), database.rows("SELECT * FROM seen"), "{old} → {new}");
        assert_eq!(database.rows(file), files, "{old} → {new} rewrote something");
        let more = "SELECT attnotnull, atthasdef FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v'";
        assert_eq!(database.rows(more), ["(t,t)"]);
        assert_eq!(
            database.rows("SELECT relname FROM pg_class WHERE relname LIKE 'longer%' OR relname LIKE 'lost%'"),
            [""; 0]
        );
    }
}
