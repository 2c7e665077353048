//! The matrix: every verb after every other one, on the same tables. What is declared while the first is deferred is taken
//! or refused as when the first is real, shows the same rows, and ends in the same database.
//!
//! `REFACTOR_PAIRS=all` tries every pair, `REFACTOR_PAIRS=split-table` those with that verb, `REFACTOR_PAIRS=8` every eighth;
//! without it, a sample.

use std::collections::BTreeSet;

use crate::cycle::shown;
use crate::rebuild::{all_rows, assert_same, ok};
use crate::support::{Database, rows};

pub const TABLES: &str = "
    CREATE SCHEMA side;
    CREATE TABLE r (id int PRIMARY KEY, tax int, zone text);
    CREATE TABLE p (id serial PRIMARY KEY, r_id int REFERENCES r, v int DEFAULT 1 CONSTRAINT small CHECK (v < 100), w text,
      code text NOT NULL, kind text NOT NULL DEFAULT 'a', f bool NOT NULL DEFAULT false, g bool NOT NULL DEFAULT true, j jsonb, gone int, alt text);
    CREATE INDEX by_w ON p (w); CREATE INDEX ON p (r_id);
    CREATE TABLE far (id int PRIMARY KEY); INSERT INTO far VALUES (1), (2);
    CREATE TABLE d (id int PRIMARY KEY, p_id int NOT NULL UNIQUE REFERENCES p, x text);
    CREATE TABLE s (id serial PRIMARY KEY, p_id int NOT NULL REFERENCES p, k text NOT NULL, n int, UNIQUE (p_id, k));
    CREATE TABLE l (p_id int NOT NULL UNIQUE REFERENCES p, r_id int NOT NULL REFERENCES far, PRIMARY KEY (p_id, r_id));
    CREATE TABLE q (id serial PRIMARY KEY, p_id int, kind text NOT NULL DEFAULT 'q', n int, code text NOT NULL UNIQUE);
    CREATE TABLE q2 (id int PRIMARY KEY, p_id int, n int);
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE TABLE e (id int PRIMARY KEY, feels mood NOT NULL DEFAULT 'ok');
    INSERT INTO e VALUES (1, 'sad'), (2, 'ok'), (3, 'happy');
    CREATE INDEX ON s (p_id); CREATE INDEX ON l (r_id);
    INSERT INTO r SELECT i, i * 7, 'zone ' || i FROM generate_series(1, 3) AS i;
    INSERT INTO p (r_id, v, w, code, kind, f, g, j) SELECT nullif(i % 4, 0), i, CASE WHEN i < 9 THEN 'w ' || i % 3 END, 'code ' || i,
      CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, i % 3 = 0, i % 3 <> 0, CASE i % 3 WHEN 0 THEN '{\"n\": 1, \"m\": [2]}'::jsonb WHEN 1 THEN '{\"m\": 3}' END
      FROM generate_series(1, 10) AS i;
    INSERT INTO d SELECT i, i, 'x' || i FROM generate_series(1, 4) AS i;
    INSERT INTO s SELECT i, 1 + i / 2, CASE WHEN i % 2 = 0 THEN 'one' ELSE 'two' END, i FROM generate_series(1, 7) AS i;
    INSERT INTO l VALUES (5, 1), (6, 2);
    INSERT INTO q SELECT i, i, 'q', i, 'c' || i FROM generate_series(1, 5) AS i;
    INSERT INTO q2 SELECT 100 + i, i, i FROM generate_series(1, 3) AS i;";

/// Something for each verb to do, most of it with table `p`.
pub const COMMANDS: [&[&str]; 61] = [
    &["add-calculated", "p.upper_w", "text", "upper(w)"],
    &["add-check", "p", "v < 1000", "--name", "v_small"],
    &["add-enum-value", "mood", "fine", "--after", "ok"],
    &["add-exclusion", "p", "int4range(v, v, '[]') WITH &&", "--where", "w <> 'x'"],
    &["add-field", "p.extra", "int", "--default", "5"],
    &["add-field", "p.extra", "text", "--as", "w || '!'"],
    &["add-foreign-key", "q", "p_id", "--references", "p"],
    &["add-primary-key", "q", "code"],
    &["add-surrogate-key", "p.num"],
    &["add-unique", "p", "code"],
    &["change-foreign-key", "p.p_r_id_fkey", "--on-delete", "set-null", "--deferrable"],
    &["change-type", "p.v", "bigint"],
    &["change-type", "p.w", "varchar(20)"],
    &["code-to-flags", "p.kind", "--map", "a=is_a,b=is_b"],
    &["collapse-associative", "l", "--into", "p", "--as", "r_id=far_id"],
    &["comment", "p", "who buys"],
    &["comment", "p.w", "what is said"],
    &["copy-field", "r.tax", "p"],
    &["create-index", "p", "v"],
    &["create-index", "p", "lower(code)", "--unique", "--where", "v > 0"],
    &["create-table", "n", "id int PRIMARY KEY", "p_id int REFERENCES p"],
    &["ddl", "--up", "CREATE SEQUENCE bills", "--down", "DROP SEQUENCE bills"],
    &["drop-constraint", "p", "small"],
    &["drop-default", "p.v"],
    &["drop-enum-value", "mood", "sad", "--to", "ok"],
    &["drop-field", "p.v"],
    &["drop-index", "by_w"],
    &["drop-not-null", "p.kind"],
    &["drop-table", "q"],
    &["extract-json", "p.j", "n", "int"],
    &["extract-table", "p.w", "--into", "ws", "--names", "name"],
    &["flags-to-code", "p.f", "g", "--into", "state"],
    &["fold-json", "p.v", "--into", "j"],
    &["hard-delete", "p.gone", "--mark", "1"],
    &["inline-table", "r", "--into", "p"],
    &["invert-flag", "p.f", "not_f"],
    &["make-associative", "p.r_id", "--into", "pr"],
    &[
        "merge-fields",
        "p.v",
        "w",
        "--into",
        "vw",
        "--by",
        "concat_ws('|', v, w)",
        "--back",
        "nullif(split_part(vw, '|', 1), '')::int",
        "--back",
        "nullif(split_part(vw, '|', 2), '')",
    ],
    &["merge-tables", "d", "--into", "p", "--as", "id=d_id"],
    &["move-field", "r.tax", "p"],
    &["move-field", "d.x", "p"],
    &["move-to-schema", "p", "side"],
    &["pivot", "s", "one", "two", "--into", "p", "--label", "k", "--value", "n"],
    &["rename-constraint", "p.small", "tiny"],
    &["rename-enum-value", "mood", "sad", "blue"],
    &["rename-field", "p.v", "amount"],
    &["rename-table", "p", "people"],
    &["reorder-fields", "p", "w", "v"],
    &["replace-surrogate-key", "q.id", "--with", "code"],
    &["set-default", "p.w", "'new'"],
    &["set-not-null", "p.v"],
    &["soft-delete", "p", "--field", "dead", "--type", "int", "--mark", "1"],
    &["soft-delete", "q", "--field", "dead", "--type", "int", "--mark", "1"],
    &["split-field", "p.w", "--into", "w1,w2", "--by", "left(w, 2)", "--by", "substr(w, 3)", "--back", "w1 || w2"],
    &["split-rows", "p", "--where", "v > 8", "--into", "big"],
    &["split-table", "p", "v", "w", "--into", "part"],
    &["split-table", "p", "kind", "--into", "kinds"],
    &[
        "sql",
        "m",
        "id int PRIMARY KEY",
        "n int",
        "--view",
        "SELECT id, n FROM q2",
        "--insert",
        "INSERT INTO q2 (id, n) VALUES (NEW.id, NEW.n)",
        "--update",
        "UPDATE q2 SET id = NEW.id, n = NEW.n WHERE id = OLD.id",
        "--delete",
        "DELETE FROM q2 WHERE id = OLD.id",
    ],
    &["union-tables", "q", "q2", "--into", "qs", "--discriminator", "whose"],
    &["unpivot", "p", "w=was", "alt", "--into", "texts", "--value", "said"],
    &["rename-field", "q.n", "kind", "--with", "kind=n"],
];

/// Pairs that no view can do, each with the reason: the second is refused while the first is deferred.
const ONLY_REAL: [(&str, &str, &str); 9] = [
    ("add-enum-value", "add-enum-value", TWO_TYPES),
    ("add-enum-value", "drop-enum-value", TWO_TYPES),
    ("add-enum-value", "rename-enum-value", TWO_TYPES),
    ("drop-enum-value", "add-enum-value", TWO_TYPES),
    ("drop-enum-value", "drop-enum-value", TWO_TYPES),
    ("drop-enum-value", "rename-enum-value", TWO_TYPES),
    ("rename-enum-value", "add-enum-value", TWO_TYPES),
    ("rename-enum-value", "drop-enum-value", TWO_TYPES),
    ("rename-enum-value", "rename-enum-value", TWO_TYPES),
];

/// Why an enum whose values change takes no second change.
const TWO_TYPES: &str = "new code finds one type of that name, and what stands between both shapes would be of another";

fn is_wanted(first: usize, second: usize) -> bool {
    let one_of = |count: usize| (first * 7 + second * 3) % count == 5 % count;
    match std::env::var("REFACTOR_PAIRS").as_deref() {
        Ok("all") => true,
        Ok(wanted) => wanted.parse().map_or_else(
            |_| COMMANDS[first].join(" ").contains(wanted) || COMMANDS[second].join(" ").contains(wanted),
            one_of,
        ),
        Err(_) => one_of(61),
    }
}

/// What differs between declaring the second command while the first is deferred, and when it is real.
fn compared(deferred: &Database, real: &Database, second: &[&str]) -> Result<bool, String> {
    let said = [deferred, real].map(|database| {
        let output = database.run(second);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    });
    let [(early, why_early), (late, why_late)] = said;
    match (early, late) {
        (Some(0), Some(0)) => {}
        (Some(1), Some(1)) => return Ok(false),
        (Some(0), _) => return Err(format!("taken while deferred, refused when real:\n{why_late}")),
        (_, Some(0)) => return Err(format!("refused while deferred:\n{why_early}")),
        _ => return Err(format!("{why_early}\n{why_late}")),
    }
    let (now, then) = (shown(deferred), shown(real));
    if now != then {
        return Err(format!("shown while deferred:\n{now:#?}\nshown when real:\n{then:#?}"));
    }
    for database in [deferred, real] {
        let output = database.run(&["materialize", "--yes"]);
        if !output.status.success() {
            return Err(format!("cannot be made real:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    let same = std::panic::catch_unwind(|| assert_same(deferred, real));
    same.map(|()| true).map_err(|_| "not the same when all is real".to_owned())
}

fn try_pairs(first: usize, problems: &std::sync::Mutex<Vec<String>>) {
    let seconds: Vec<usize> = (0..COMMANDS.len()).filter(|second| is_wanted(first, *second)).collect();
    if seconds.is_empty() {
        return;
    }
    let declared = Database::new(TABLES);
    let before = all_rows(&declared);
    let output = declared.run(COMMANDS[first]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let real = declared.copy();
    ok(&real, &["materialize", "--yes"]);
    for second in seconds {
        let (one, other, third) = (declared.copy(), real.copy(), declared.copy());
        let pair = format!("{}\n  then {}", COMMANDS[first].join(" "), COMMANDS[second].join(" "));
        let known = ONLY_REAL.iter().any(|(a, b, _)| *a == COMMANDS[first][0] && *b == COMMANDS[second][0]);
        match compared(&one, &other, COMMANDS[second]) {
            Err(why) if !known => {
                eprintln!("{pair}: {why}");
                problems.lock().unwrap().push(format!("{pair}: {}", why.lines().take(3).collect::<Vec<_>>().join(" ")));
            }
            Ok(true) => {
                ok(&third, COMMANDS[second]);
                ok(&third, &["undo", "--all", "--yes"]);
                assert_eq!(all_rows(&third), before, "{pair}");
                let left = "SELECT relname FROM pg_class WHERE relnamespace = 'refactor'::regnamespace AND relkind IN ('r', 'v')";
                assert_eq!(rows(&mut third.client(), left), ["(journal)"], "{pair}");
            }
            _ => {}
        }
    }
}

#[test]
fn any_verb_stands_on_any_other() {
    let (next, problems) = (std::sync::atomic::AtomicUsize::new(0), std::sync::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let first = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if first >= COMMANDS.len() {
                        break;
                    }
                    try_pairs(first, &problems);
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{} pairs:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn the_matrix_has_every_verb() {
    let pages = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/refactorings")).unwrap();
    let verbs: BTreeSet<String> =
        pages.map(|p| p.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let mut tried: BTreeSet<String> = COMMANDS.iter().map(|c| c[0].to_owned()).collect();
    // It changes rows when it is declared, and no shape.
    tried.insert("data".to_owned());
    assert_eq!(tried, verbs);
}
