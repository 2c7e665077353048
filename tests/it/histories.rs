//! Changes that real projects made to their databases, said in refactorings: deferred, written to in both shapes, made
//! real. What comes of them is compared with what was stored before, by queries that owe nothing to the tool.

use crate::support::Database;

/// One change.
struct History {
    /// Its tables and rows, in `samples/histories`.
    sample: &'static str,
    /// What somebody types.
    commands: &'static [&'static [&'static str]],
    /// Written by old code, and by new code, before it is real.
    old: &'static str,
    new: &'static str,
    /// Rows of the new tables that are not as the old tables had them: none.
    wrong: &'static [&'static str],
}

/// `said_…` are the tables as old code had them in the end.
fn tell(history: &History) {
    let database =
        Database::new(&std::fs::read_to_string(format!("samples/histories/{}.sql", history.sample)).unwrap());
    for command in history.commands {
        database.ok(command);
    }
    database.client().batch_execute(history.old).unwrap();
    database.next().batch_execute(history.new).unwrap();
    database
        .client()
        .batch_execute(
            "DO $$ DECLARE t record; BEGIN
               FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '^said_' LOOP
                 EXECUTE format('CREATE TABLE public.%I AS SELECT * FROM public.%I', 'said_' || t.tablename, t.tablename);
               END LOOP; END $$",
        )
        .unwrap();
    database.ok(&["materialize", "--yes"]);
    for query in history.wrong {
        assert_eq!(database.rows(query), Vec::<String>::new(), "{query}");
    }
}

#[test]
fn an_author_gets_a_table() {
    tell(&History {
        sample: "tasky",
        commands: &[
            &["extract-table", "Task.author", "--into", "Author", "--as", "author"],
            &["rename-field", "Author.author", "name"],
        ],
        old: "INSERT INTO \"Task\" (author, task) VALUES ('New', 'old code'), (NULL, 'nobody')",
        new: "UPDATE \"Author\" SET name = 'Benny' WHERE name = 'Ben';
            INSERT INTO \"Task\" (author, task) SELECT id, 'new code' FROM \"Author\" WHERE name = 'ann'",
        wrong: &[
            "SELECT id FROM (SELECT t.id, a.name, t.task, t.prio FROM \"Task\" AS t LEFT JOIN \"Author\" AS a ON a.id = t.author) AS n (id, author, task, prio)
             FULL JOIN \"said_Task\" AS s USING (id) WHERE (n.author, n.task, n.prio) IS DISTINCT FROM (s.author, s.task, s.prio)",
            "SELECT name FROM \"Author\" WHERE name NOT IN (SELECT author FROM \"said_Task\" WHERE author IS NOT NULL)",
            "SELECT 'Benny' WHERE NOT EXISTS (SELECT FROM \"Author\" WHERE name = 'Benny')",
        ],
    });
}

#[test]
fn urgent_tasks_get_a_table() {
    tell(&History {
        sample: "tasky",
        commands: &[
            &["split-rows", "Task", "--where", "prio = 1", "--into", "Todo"],
            &["drop-field", "Todo.prio"],
        ],
        old: "UPDATE \"Task\" SET prio = 1 WHERE id = 6; UPDATE \"Task\" SET prio = 2 WHERE id = 3",
        new: "INSERT INTO \"Todo\" (author, task) VALUES ('Eve', 'now'); DELETE FROM \"Todo\" WHERE id = 4",
        wrong: &[
            "SELECT id FROM (SELECT id, author, task, prio FROM \"Task\" UNION ALL SELECT id, author, task, 1 FROM \"Todo\") AS n
             FULL JOIN \"said_Task\" AS s USING (id) WHERE (n.author, n.task, n.prio) IS DISTINCT FROM (s.author, s.task, s.prio)",
            "SELECT id FROM \"Task\" WHERE prio = 1",
            "SELECT 4 FROM \"Todo\" WHERE id = 4",
        ],
    });
}

#[test]
fn filters_are_referred_to() {
    tell(&History {
        sample: "typo-filters",
        commands: &[
            &["extract-table", "articles.text_filter", "--into", "text_filters", "--names", "name", "--on-missing", "null"],
            &["extract-table", "pages.text_filter", "--into", "text_filters", "--names", "name"],
        ],
        old: "INSERT INTO articles (title, text_filter) VALUES ('old', 'textile')",
        new: "UPDATE pages SET text_filter_id = 5 WHERE id = 3; UPDATE text_filters SET name = 'plain' WHERE name = 'none'",
        wrong: &[
            "SELECT s.id FROM said_articles AS s JOIN articles AS n USING (id) LEFT JOIN text_filters AS f ON f.id = n.text_filter_id
             WHERE f.name IS DISTINCT FROM CASE WHEN s.text_filter IN ('', 'wiki') THEN NULL ELSE s.text_filter END",
            "SELECT s.id FROM said_pages AS s JOIN pages AS n USING (id) LEFT JOIN text_filters AS f ON f.id = n.text_filter_id
             WHERE f.name IS DISTINCT FROM s.text_filter",
            // What found no filter is kept.
            "SELECT s.id FROM said_articles AS s LEFT JOIN refactor.\"lost_0001-extract-text_filters\" AS k ON k.refactor_key_1 = s.id
             WHERE s.text_filter IN ('', 'wiki') AND k.refactor_value IS DISTINCT FROM s.text_filter",
        ],
    });
}

#[test]
fn tags_get_a_table_and_are_counted() {
    const TAGGED: &str =
        "UPDATE change_tag_def SET ctd_count = (SELECT count(*) FROM change_tag WHERE ct_tag_id = ctd_id);
        INSERT INTO change_tag_def (ctd_name) SELECT vt_tag FROM valid_tag AS v
          WHERE NOT EXISTS (SELECT FROM change_tag_def WHERE ctd_name = v.vt_tag);
        UPDATE change_tag_def SET ctd_user_defined = 1 WHERE ctd_name IN (SELECT vt_tag FROM valid_tag)";
    tell(&History {
        sample: "mediawiki-tags",
        commands: &[
            &[
                "extract-table",
                "change_tag.ct_tag",
                "--into",
                "change_tag_def",
                "--names",
                "ctd_name",
                "--key",
                "ctd_id",
                "--as",
                "ct_tag_id",
            ],
            &["add-field", "change_tag_def.ctd_count", "int", "--default", "0", "--not-null"],
            &["add-field", "change_tag_def.ctd_user_defined", "smallint", "--default", "0", "--not-null"],
            &["data", "tagged", TAGGED],
            &["drop-table", "valid_tag"],
            &["drop-table", "tag_summary"],
            &["create-index", "change_tag_def", "ctd_count"],
        ],
        old: "INSERT INTO change_tag (ct_rc_id, ct_tag) VALUES (900, 'brand new')",
        new: "UPDATE change_tag_def SET ctd_count = ctd_count + 1 WHERE ctd_name = 'brand new'",
        wrong: &[
            "SELECT ct_id FROM said_change_tag AS s FULL JOIN (change_tag JOIN change_tag_def ON ctd_id = ct_tag_id) USING (ct_id) WHERE ctd_name IS DISTINCT FROM s.ct_tag",
            "SELECT ctd_name FROM change_tag_def WHERE ctd_count <> (SELECT count(*) FROM said_change_tag WHERE ct_tag = ctd_name)",
            "SELECT ctd_name FROM change_tag_def WHERE (ctd_user_defined = 1) <> (ctd_name IN (SELECT vt_tag FROM said_valid_tag))",
            "SELECT 'index' WHERE NOT EXISTS (SELECT FROM pg_indexes WHERE indexdef LIKE '%UNIQUE%change_tag %(ct_rc_id, ct_tag_id)')",
        ],
    });
}

#[test]
fn rights_get_a_table_of_their_own() {
    tell(&History {
        sample: "mediawiki-rights",
        commands: &[
            &["create-table", "user_rights", "ur_user int NOT NULL UNIQUE REFERENCES \"user\" ON DELETE CASCADE"],
            &["data", "rights", "INSERT INTO user_rights SELECT user_id FROM \"user\""],
            &["move-field", "user.user_rights", "user_rights", "--as", "ur_rights"],
        ],
        old: "UPDATE \"user\" SET user_rights = 'bot' WHERE user_id = 4",
        new: "UPDATE user_rights SET ur_rights = 'steward' WHERE ur_user = 3;
            INSERT INTO \"user\" (user_name) VALUES ('new'); INSERT INTO user_rights VALUES (21, 'sysop')",
        wrong: &[
            "SELECT user_id FROM \"said_user\" AS s FULL JOIN user_rights AS r ON r.ur_user = s.user_id WHERE s.user_rights IS DISTINCT FROM r.ur_rights",
            "SELECT 3 WHERE NOT EXISTS (SELECT FROM user_rights WHERE (ur_user, ur_rights) = (3, 'steward'))",
        ],
    });
}

#[test]
fn what_is_published_gets_one_table() {
    tell(&History {
        sample: "typo-contents",
        commands: &[
            &["change-type", "trackbacks.excerpt", "text"],
            &["materialize", "--yes"],
            &[
                "union-tables",
                "articles",
                "comments",
                "trackbacks",
                "pages",
                "--into",
                "contents",
                "--discriminator",
                "type",
                "--values",
                "Article,Comment,Trackback,Page",
                "--renumber",
            ],
        ],
        old: "INSERT INTO comments (article_id, author, body, guid) VALUES (3, 'old code', 'late', 'g1');
            INSERT INTO pages (name, body) VALUES ('imprint', 'us'); UPDATE trackbacks SET excerpt = 'less' WHERE id = 2;
            UPDATE comments SET id = 1000 WHERE id = 7; DELETE FROM comments WHERE id = 8",
        new: "INSERT INTO contents (type, title, permalink) VALUES ('Article', 'New', 'new');
            INSERT INTO contents (type, article_id, author, body, guid) VALUES ('Comment', 3, 'new code', 'at last', 'g2');
            UPDATE contents SET body = 'changed' WHERE id = 76; UPDATE contents SET id = 500 WHERE name = 'p2'",
        wrong: &[
            "SELECT id FROM (SELECT * FROM contents WHERE type = 'Article') AS n FULL JOIN said_articles AS s USING (id)
             WHERE (to_jsonb(n) @> to_jsonb(s)) IS NOT TRUE",
            "SELECT s.id FROM (SELECT * FROM contents WHERE type = 'Comment') AS n
             JOIN refactor.\"lost_0002-unite-articles-comments-trackbacks-pages\" AS k ON k.refactor_key_1 = n.id
             FULL JOIN said_comments AS s ON s.id = k.refactor_value
             WHERE (to_jsonb(n) @> (to_jsonb(s) - 'id')) IS NOT TRUE OR s.id BETWEEN 1 AND 6 AND n.id <> 75 + s.id",
            "SELECT s.guid FROM (SELECT * FROM contents WHERE type = 'Trackback') AS n FULL JOIN said_trackbacks AS s USING (guid)
             WHERE (to_jsonb(n) @> (to_jsonb(s) - 'id')) IS NOT TRUE OR n.id <> 135 + s.id",
            "SELECT s.name FROM (SELECT * FROM contents WHERE type = 'Page') AS n FULL JOIN said_pages AS s USING (name)
             WHERE (to_jsonb(n) @> (to_jsonb(s) - 'id')) IS NOT TRUE",
            "SELECT 500 WHERE NOT EXISTS (SELECT FROM contents WHERE id = 500 AND name = 'p2')",
            "SELECT 'index' WHERE NOT EXISTS (SELECT FROM pg_indexes WHERE indexdef LIKE '%contents USING btree (permalink)')",
            "SELECT 'number' FROM articles_id_seq WHERE last_value < (SELECT max(id) FROM contents WHERE id < 500)",
        ],
    });
}
