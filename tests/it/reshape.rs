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
    assert_eq!(database.rows("SELECT * FROM refactor.kept_0001_published"), Vec::<String>::new());
}
