//! Names that are gone fail in every form of statement, also where no row would be found.

use crate::support::Database;

const POSTS: &str = "CREATE TABLE post (id int PRIMARY KEY, title text, comments int NOT NULL DEFAULT 0);
    CREATE TABLE comment (id int, post_id int); INSERT INTO post VALUES (1, 'a')";

/// Statements that use `post`, none of which would find or write a row.
const FORMS: &[&str] = &[
    "SELECT title FROM post",
    "SELECT title FROM post WHERE id = 1",
    "SELECT FROM post WHERE false",
    "SELECT * FROM post LIMIT 0",
    "SELECT count(*) FROM post WHERE comments > 0",
    "SELECT EXISTS (SELECT FROM post WHERE id = 1)",
    "SELECT 1 WHERE EXISTS (SELECT FROM post WHERE id = 1)",
    "SELECT count(*) FROM comment c JOIN post p ON p.id = c.post_id",
    "SELECT count(*) FROM comment c LEFT JOIN post p ON p.id = c.post_id",
    "SELECT c.id FROM comment c LEFT JOIN post p ON p.id = c.post_id AND p.title = 'x'",
    "SELECT * FROM comment WHERE post_id IN (SELECT id FROM post)",
    "SELECT * FROM comment WHERE post_id NOT IN (SELECT id FROM post WHERE title IS NULL)",
    "SELECT (SELECT title FROM post WHERE id = c.post_id) FROM comment c",
    "SELECT * FROM comment c, LATERAL (SELECT title FROM post p WHERE p.id = c.post_id) x",
    "SELECT id FROM comment UNION ALL SELECT id FROM post WHERE id = 1",
    "WITH p AS (SELECT id FROM post WHERE id = 1) SELECT * FROM p",
    "WITH p AS MATERIALIZED (SELECT id FROM post WHERE id = 1) SELECT * FROM comment JOIN p USING (id)",
    "SELECT * FROM post WHERE id = 1 FOR UPDATE",
    "SELECT * FROM post WHERE id = 1 FOR SHARE SKIP LOCKED",
    "CREATE TABLE copied AS SELECT * FROM post WHERE id = 1",
    "CREATE MATERIALIZED VIEW copied AS SELECT * FROM post WHERE id = 1",
    "COPY (SELECT * FROM post WHERE id = 1) TO STDOUT",
    "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM post WHERE id = 1",
    "EXPLAIN SELECT * FROM post WHERE id = 1",
    "INSERT INTO post VALUES (2, 'b', 0)",
    "INSERT INTO post (id) SELECT id FROM comment",
    "INSERT INTO post SELECT id, '', 0 FROM comment WHERE false",
    "INSERT INTO post (id) VALUES (2) ON CONFLICT DO NOTHING",
    "INSERT INTO post (id) VALUES (2) ON CONFLICT (id) DO UPDATE SET title = 'b' RETURNING id",
    "INSERT INTO comment SELECT id, id FROM post WHERE id = 1",
    "UPDATE post SET title = 'b' WHERE id = 1",
    "UPDATE post SET title = 'b' WHERE false",
    "UPDATE post SET title = 'b' FROM comment c WHERE c.post_id = post.id RETURNING title",
    "UPDATE comment SET post_id = p.id FROM post p WHERE p.id = comment.id",
    "DELETE FROM post WHERE id = 1",
    "DELETE FROM post USING comment c WHERE c.post_id = post.id",
    "WITH gone AS (DELETE FROM post WHERE id = 1 RETURNING id) DELETE FROM comment USING gone WHERE post_id = gone.id",
    "SELECT * FROM over_it WHERE id = 1",
    "UPDATE over_it SET title = 'b' WHERE id = 1",
    "SELECT by_sql(1)",
    "SELECT by_plpgsql(1)",
    "DO $$ BEGIN PERFORM FROM post WHERE id = 1; END $$",
    "PREPARE p (int) AS SELECT * FROM post WHERE id = $1; EXECUTE p (1)",
    "PREPARE u (int) AS UPDATE post SET title = 'b' WHERE id = $1; EXECUTE u (1)",
];

#[test]
fn a_name_that_is_gone_fails_in_every_form_also_where_no_row_would_be_found() {
    let shop = Database::new(POSTS);
    shop.client()
        .batch_execute("DO 'BEGIN CREATE ROLE refactor_test_reader; EXCEPTION WHEN duplicate_object THEN END'")
        .unwrap();
    shop.client()
        .batch_execute("GRANT SELECT, INSERT, UPDATE, DELETE ON post, comment TO refactor_test_reader")
        .unwrap();
    shop.ok(&["rename-table", "post", "article"]);
    shop.next()
        .batch_execute(
            "CREATE VIEW public.over_it AS SELECT id, title FROM post WHERE title <> '';
             GRANT SELECT, UPDATE ON public.over_it TO refactor_test_reader;
             CREATE FUNCTION public.by_sql(int) RETURNS text LANGUAGE sql AS 'SELECT title FROM post WHERE id = $1';
             CREATE FUNCTION public.by_plpgsql(int) RETURNS int LANGUAGE plpgsql AS
               'DECLARE n int; BEGIN UPDATE post SET title = title WHERE id = $1; GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END'",
        )
        .unwrap();
    let (mut owner, mut reader) = (shop.next(), shop.next());
    reader.batch_execute("SET ROLE refactor_test_reader").unwrap();
    let said = "table `post` was renamed to `article` by 0001-rename-post-to-article";
    for client in [&mut owner, &mut reader] {
        for form in FORMS {
            let error = client.batch_execute(form).map_or_else(|e| e, |()| panic!("{form} is done"));
            let message = error.as_db_error().map(|e| (e.message().to_owned(), e.code().code().to_owned()));
            let creates = form.starts_with("CREATE") && message.as_ref().is_some_and(|m| m.1 == "42501");
            assert!(creates || message == Some((said.to_owned(), "42P01".to_owned())), "{form}: {error:?}");
        }
        if shop.rows("SELECT current_setting('server_version_num')::int >= 170000") == ["(t)"] {
            let merge = "MERGE INTO post p USING comment c ON c.post_id = p.id WHEN MATCHED THEN DELETE";
            assert_eq!(client.batch_execute(merge).unwrap_err().as_db_error().unwrap().message(), said);
        }
        let copied = client.copy_in("COPY post (id) FROM STDIN").and_then(postgres::CopyInWriter::finish);
        assert!(copied.unwrap_err().as_db_error().is_some_and(|e| e.message() == said));
    }
    assert_eq!(shop.rows("SELECT * FROM post"), ["(1,a,0)"]);
    shop.client()
        .batch_execute("DROP VIEW over_it; DROP OWNED BY refactor_test_reader; DROP ROLE refactor_test_reader")
        .unwrap();
    shop.ok(&["undo"]);
}
