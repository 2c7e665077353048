//! What an application has around its tables: trigger functions, functions of rows, publications, indexes.

use crate::support::{Database, rows};

/// What the tool said, which must have done it.
fn told(database: &Database, arguments: &[&str]) -> String {
    let output = database.run(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

#[test]
fn a_trigger_function_without_a_search_path_is_named_with_the_statement_that_helps() {
    let bodies = [
        "UPDATE author SET num = num + 1 WHERE id = NEW.author_id",
        "PERFORM a.id, a.num, count(*) FROM author a GROUP BY a.id",
        "EXECUTE format('SELECT count(*) FROM %I', TG_ARGV[0])",
        "EXECUTE 'SELECT count(*) FROM author'",
    ];
    let verbs: [&[&str]; 4] = [
        &["rename-field", "author.num", "number"],
        &["rename-table", "author", "writer"],
        &["drop-field", "author.num"],
        &["add-field", "author.grade", "int", "--default", "1"],
    ];
    for body in bodies {
        let library = Database::new(&format!(
            "CREATE TABLE author (id int PRIMARY KEY, num int, note text); CREATE TABLE book (id int PRIMARY KEY, author_id int);
             INSERT INTO author VALUES (1, 1, 'x');
             CREATE FUNCTION \"F f\"() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$;
             CREATE TRIGGER t AFTER INSERT ON book FOR EACH ROW EXECUTE FUNCTION \"F f\"('author')"
        ));
        for verb in verbs {
            let said = told(&library, verb);
            let help = "ALTER FUNCTION public.\"F f\"() SET search_path = public, pg_temp";
            assert!(said.contains("of the trigger `t` on `book` has no search_path of its own"), "{body}: {said}");
            assert!(said.contains(&format!("`{help}`")), "{body}: {said}");
            library.ok(&["undo", "--yes"]);
            library.client().batch_execute(help).unwrap();
            assert!(!told(&library, verb).contains("search_path"), "{body}");
            library.next().batch_execute("INSERT INTO book VALUES (1, 1); DELETE FROM book").unwrap();
            library.ok(&["undo", "--yes"]);
            library.client().batch_execute("ALTER FUNCTION \"F f\"() RESET search_path").unwrap();
        }
    }
    // Not where it says which table it means, has only the word, or where there is no view.
    for (body, verb) in [
        ("UPDATE public.author SET num = 1 WHERE id = NEW.author_id", verbs[0]),
        ("RAISE DEBUG 'author' /* author */", verbs[0]),
        ("PERFORM FROM author", &["create-index", "author", "note"]),
    ] {
        let library = Database::new(&format!(
            "CREATE TABLE author (id int PRIMARY KEY, num int, note text); CREATE TABLE book (id int PRIMARY KEY, author_id int);
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$;
             CREATE TRIGGER t AFTER INSERT ON book FOR EACH ROW EXECUTE FUNCTION f()"
        ));
        let said = told(&library, verb);
        assert!(!said.contains("search_path"), "{body}: {said}");
    }
}

#[test]
fn an_index_makes_no_view() {
    let library = Database::new(
        "CREATE TABLE author (id int PRIMARY KEY, name text, bio text); CREATE TABLE book (id int, author_id int REFERENCES author);
         CREATE INDEX by_bio ON author (bio); INSERT INTO author VALUES (1, 'a', 'b'); INSERT INTO book VALUES (1, 1)",
    );
    let group = "SELECT a.id, a.name, count(b.id) FROM author a LEFT JOIN book b ON b.author_id = a.id GROUP BY a.id";
    library.ok(&["create-index", "author", "name"]);
    library.ok(&["drop-index", "by_bio"]);
    assert_eq!(rows(&mut library.next(), group), ["(1,a,1)"]);
    library.ok(&["status"]);
    library.ok(&["verify"]);
    assert!(told(&library, &["rename-field", "author.bio", "life"]).contains("GROUP BY its key alone"));
    library.ok(&["materialize", "--yes"]);
    let indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'author'";
    assert_eq!(library.rows(indexes), ["(author_name_idx)", "(author_pkey)"]);
}

#[test]
fn a_word_in_a_trigger_function_is_no_use_of_the_field() {
    for (body, field) in [
        ("BEGIN -- the status is not used\n RETURN NULL; END", "status"),
        ("BEGIN RAISE DEBUG 'new status'; RETURN NULL; END", "status"),
        ("DECLARE status int := 0; BEGIN status := status + 1; RETURN NULL; END", "status"),
        ("BEGIN UPDATE public.other SET status = 'seen' WHERE id = NEW.id; RETURN NULL; END", "status"),
        (
            "DECLARE j jsonb := to_jsonb(NEW); BEGIN PERFORM coalesce(j->>'state', j->>'status'); RETURN NULL; END",
            "status",
        ),
    ] {
        for verb in [&["rename-field", "items.status", "state"][..], &["change-type", "items.status", "varchar(9)"]] {
            let shop = Database::new(&format!(
                "CREATE TABLE items (id serial PRIMARY KEY, {field} text); CREATE TABLE other (id int PRIMARY KEY, status text);
                 CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$;
                 CREATE TRIGGER t AFTER UPDATE ON items FOR EACH ROW EXECUTE FUNCTION f(); INSERT INTO items DEFAULT VALUES"
            ));
            shop.ok(verb);
            shop.ok(&["materialize", "--yes"]);
            shop.client().batch_execute("UPDATE items SET id = 7").unwrap();
        }
    }
    let shop = Database::new(
        "CREATE TABLE items (id serial PRIMARY KEY, status text);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.status := 'x'; RETURN NEW; END $$;
         CREATE TRIGGER t BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION f()",
    );
    shop.ok(&["rename-field", "items.status", "state"]);
    assert!(
        shop.refused(&["materialize", "--yes"])
            .contains("function `public.f()` of the trigger `t` on `items` names `status`")
    );
}

#[test]
fn functions_of_rows_are_named() {
    let people = "CREATE TABLE people (id serial PRIMARY KEY, first text, last text); INSERT INTO people (first, last) VALUES ('a', 'b');
        CREATE FUNCTION full_name(people) RETURNS text LANGUAGE sql STABLE AS $$ SELECT $1.first || ' ' || $1.last $$";
    let said = told(&Database::new(people), &["add-field", "people.note", "text"]);
    assert!(
        said.contains("new code cannot give them to `public.full_name(public.people)` until this is real"),
        "{said}"
    );
    let said = told(&Database::new(people), &["rename-field", "people.last", "surname"]);
    assert!(said.contains("function `public.full_name(public.people)` mentions `people.last`"), "{said}");
}

#[test]
fn a_publication_that_has_our_tables_too_or_reads_a_field_is_named() {
    let shop =
        Database::new("CREATE TABLE t (id int PRIMARY KEY, a text); CREATE PUBLICATION everything FOR ALL TABLES");
    assert!(told(&shop, &["rename-field", "t.a", "b"]).contains("note: publication `everything` is for all tables"));
    let filters = "SELECT current_setting('server_version_num')::int >= 150000";
    if shop.rows(filters) == ["(t)"] {
        let shop =
            Database::new("CREATE TABLE t (id int PRIMARY KEY, x int); CREATE PUBLICATION p FOR TABLE t WHERE (x > 0)");
        for verb in [&["change-type", "t.x", "bigint"][..], &["drop-field", "t.x"]] {
            let said = shop.refused(verb);
            assert!(said.contains("is read by the row filter of the publication `p`"), "{said}");
        }
        shop.ok(&["rename-field", "t.x", "y"]);
        shop.ok(&["materialize", "--yes"]);
        assert_eq!(shop.rows("SELECT rowfilter FROM pg_publication_tables WHERE tablename = 't'"), ["(\"(y > 0)\")"]);
    }
}

#[test]
fn a_foreign_key_moves_whatever_its_columns_are_called() {
    let shop = Database::new(
        "CREATE TABLE r (r_id int PRIMARY KEY, n text); CREATE TABLE p (id int PRIMARY KEY, r_id int REFERENCES r);
         CREATE TABLE c (id int PRIMARY KEY, p_id int REFERENCES p); CREATE INDEX ON c (p_id);
         INSERT INTO r VALUES (7, 'x'), (8, 'y'); INSERT INTO p VALUES (1, 7); INSERT INTO c VALUES (1, 1)",
    );
    shop.ok(&["move-field", "p.r_id", "c"]);
    let mut next = shop.next();
    assert_eq!(rows(&mut next, "SELECT id, p_id, r_id FROM c"), ["(1,1,7)"]);
    next.batch_execute("UPDATE c SET r_id = 8").unwrap();
    assert_eq!(next.batch_execute("UPDATE c SET r_id = 9").unwrap_err().code().unwrap().code(), "23503");
    assert_eq!(shop.rows("SELECT * FROM p"), ["(1,8)"]);
    shop.ok(&["materialize", "--yes"]);
    assert_eq!(shop.rows("SELECT id, p_id, r_id FROM c"), ["(1,1,8)"]);
    let keys = "SELECT conrelid::regclass FROM pg_constraint WHERE contype = 'f' AND confrelid = 'r'::regclass";
    assert_eq!(shop.rows(keys), ["(c)"]);
}

const TOUCHED: &str = "CREATE TABLE film (id int PRIMARY KEY, title text);
    CREATE TABLE film_category (film_id int REFERENCES film, category_id int, last_update timestamptz, PRIMARY KEY (film_id, category_id));
    CREATE FUNCTION last_updated() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.last_update = clock_timestamp(); RETURN NEW; END $$;
    CREATE TRIGGER touch BEFORE UPDATE ON film_category FOR EACH ROW EXECUTE FUNCTION last_updated();
    INSERT INTO film VALUES (1), (2); INSERT INTO film_category VALUES (1, 1, '2020-01-01'), (1, 2, '2020-01-01'), (2, 1, '2020-01-02')";

#[test]
fn a_field_that_a_trigger_sets_does_not_move_without_a_word() {
    let films = Database::new(TOUCHED);
    let said = told(&films, &["move-field", "film_category.last_update", "film"]);
    assert!(
        said.contains("the trigger `touch` of `film_category` sets `last_update` of the rows that old code writes"),
        "{said}"
    );
    assert!(said.contains("`--on-old-write propagate`"), "{said}");
}

#[test]
fn verify_does_not_blame_itself_for_what_a_trigger_of_the_application_does() {
    for verb in [&["soft-delete", "film_category"][..], &["add-field", "film_category.n", "int", "--default", "1"]] {
        let films = Database::new(TOUCHED);
        films.ok(verb);
        films.ok(&["verify"]);
    }
    // What refuses every write of the table refuses those that try the laws, too.
    let films = Database::new(TOUCHED);
    films
        .client()
        .batch_execute(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''never''; END';
        CREATE TRIGGER no BEFORE UPDATE ON film_category FOR EACH ROW EXECUTE FUNCTION no()",
        )
        .unwrap();
    films.ok(&["add-field", "film_category.n", "int", "--default", "1"]);
    let output = films.run(&["verify"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the trigger `no` of `film_category`"), "{said}");
    assert!(said.contains("refuses the same: never"), "{said}");
}

#[test]
fn an_index_goes_with_its_field_in_whatever_order() {
    let shop = Database::new(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int, d text); INSERT INTO t VALUES (1, 'a', 1, 'x'), (2, 'b', 2, 'y');
         CREATE INDEX t_plain ON t (d); CREATE INDEX t_desc ON t (d DESC NULLS LAST); CREATE INDEX t_both ON t (b, d DESC);
         CREATE INDEX t_more ON t (a COLLATE \"C\", d NULLS FIRST) INCLUDE (b); CREATE INDEX t_lower ON t (lower(d));",
    );
    let said = told(&shop, &["extract-table", "t.d", "--into", "ds", "--as", "d_id"]);
    assert!(said.contains("drop index `t_lower`") && !said.contains("drop index `t_desc`"), "{said}");
    shop.ok(&["materialize", "--yes"]);
    let made =
        "SELECT substring(indexdef FROM '[(].*') FROM pg_indexes WHERE tablename = 't' AND indexname <> 't_pkey'";
    let mut made = shop.rows(made);
    made.sort();
    assert_eq!(
        made,
        [
            "(\"(a COLLATE \"\"C\"\", d_id NULLS FIRST) INCLUDE (b)\")",
            "(\"(b, d_id DESC)\")",
            "(\"(d_id DESC NULLS LAST)\")",
            "(\"(d_id)\")"
        ]
    );
}
