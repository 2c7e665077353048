//! Every type with every refactoring of fields: declared, tried, written through both shapes, made real. Where a type has
//! values that are equal and not the same, one of them is never taken for the other.

use refactor::db::connect::Target;
use refactor::db::session::{Place, Session};
use refactor::journal::Entry;
use refactor::schema::kind::Kind;

use crate::support::{Database, rows};

const SETUP: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');
    CREATE TYPE pair AS (a numeric, b text);
    CREATE TYPE spot AS (x int, y text);
    CREATE TYPE memo AS (j json, t text);
    CREATE TYPE spread AS RANGE (subtype = float8, multirange_type_name = spreads);
    CREATE DOMAIN price AS numeric;
    CREATE DOMAIN cents AS numeric(10,2);
    CREATE DOMAIN phone AS text CHECK (VALUE <> '');
    CREATE DOMAIN mobile AS phone;
    CREATE DOMAIN tags AS text[];
    CREATE DOMAIN place AS spot;
    CREATE DOMAIN span AS numrange;
    CREATE DOMAIN doc AS json;
    CREATE FUNCTION same(a anyelement, b anyelement) RETURNS boolean LANGUAGE sql AS 'SELECT ROW(a)::text = ROW(b)::text'";

/// What a server may lack, and the names of what needs it.
const OPTIONAL: &[(&str, &[&str])] = &[
    (
        "CREATE EXTENSION citext; CREATE DOMAIN email AS citext; CREATE TYPE card AS (e citext)",
        &["citext", "email", "citext[]", "card"],
    ),
    ("CREATE EXTENSION hstore", &["hstore", "hstore[]"]),
    (
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE DOMAIN word AS text COLLATE ci; CREATE TYPE words AS (w text COLLATE ci)",
        &["text COLLATE ci", "text[] COLLATE ci", "word", "words"],
    ),
];

/// A type, two of its values, and one that is equal to the first and not the same, if there is one.
const TYPES: &[(&str, &str, &str, &str)] = &[
    ("smallint", "1", "2", ""),
    ("integer", "1", "2", ""),
    ("bigint", "1", "2", ""),
    ("numeric", "1.0", "2.5", "1.00"),
    ("numeric(10,2)", "1.00", "2.50", ""),
    ("real", "0", "1.5", "-0"),
    ("double precision", "0", "1.5", "-0"),
    ("money", "1.00", "2.50", ""),
    ("boolean", "t", "f", ""),
    ("text", "a", "b", ""),
    ("character varying(20)", "a", "b", ""),
    ("character(5)", "a", "b", ""),
    ("bpchar", "a", "b", "a  "),
    ("name", "a", "b", ""),
    ("\"char\"", "a", "b", ""),
    ("bytea", "\\x01", "\\x02", ""),
    ("bit(3)", "101", "110", ""),
    ("bit varying", "1", "10", ""),
    ("date", "2020-01-01", "2021-01-01", ""),
    ("time", "10:00", "11:00", ""),
    ("time with time zone", "10:00+00", "11:00+00", ""),
    ("timestamp", "2020-01-01 10:00", "2021-01-01 10:00", ""),
    ("timestamp(3) with time zone", "2020-01-01 10:00+00", "2021-01-01 10:00+00", ""),
    ("interval", "1 day", "2 days", "24:00:00"),
    ("uuid", "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002", ""),
    ("json", "{\"a\": 1}", "{\"a\": 2}", ""),
    ("jsonb", "{\"a\": 1}", "{\"a\": 2}", "{\"a\": 1.0}"),
    ("jsonpath", "$.a", "$.b", ""),
    ("xml", "<a/>", "<b/>", ""),
    ("inet", "10.0.0.1", "10.0.0.2", ""),
    ("cidr", "10.0.0.0/8", "11.0.0.0/8", ""),
    ("macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:04", ""),
    ("macaddr8", "08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:06", ""),
    ("point", "(1,2)", "(3,4)", ""),
    ("line", "{1,2,3}", "{1,2,4}", ""),
    ("lseg", "[(0,0),(1,1)]", "[(0,0),(2,2)]", ""),
    ("box", "(1,1),(0,0)", "(3,3),(0,0)", "(2,0.5),(0,0)"),
    ("path", "((0,0),(1,1))", "((0,0),(2,2))", ""),
    ("polygon", "((0,0),(1,1),(1,0))", "((0,0),(2,2),(2,0))", ""),
    ("circle", "<(0,0),1>", "<(0,0),2>", "<(5,5),1>"),
    ("tsvector", "'a':1", "'b':2", ""),
    ("tsquery", "'a'", "'b'", ""),
    ("oid", "1", "2", ""),
    ("xid", "1", "2", ""),
    ("xid8", "1", "2", ""),
    ("pg_lsn", "0/1", "0/2", ""),
    ("tid", "(0,1)", "(0,2)", ""),
    ("pg_snapshot", "10:20:", "10:30:", ""),
    ("regtype", "integer", "text", ""),
    ("int4range", "[1,3)", "[1,5)", ""),
    ("numrange", "[1.0,2]", "[1,5]", "[1.00,2]"),
    ("tstzrange", "[\"2020-01-01 00:00:00+00\",)", "[\"2021-01-01 00:00:00+00\",)", ""),
    ("daterange", "[2020-01-01,2020-02-01)", "[2020-01-01,2020-03-01)", ""),
    ("spread", "[0,1]", "[0,2]", "[-0,1]"),
    ("int8multirange", "{[1,3)}", "{[1,5)}", ""),
    ("nummultirange", "{[1.0,2]}", "{[1,5]}", "{[1.00,2]}"),
    ("spreads", "{[0,1]}", "{[0,2]}", "{[-0,1]}"),
    ("integer[]", "{1,2}", "{}", ""),
    ("text[]", "{x,NULL}", "{}", ""),
    ("numeric[]", "{1.0}", "{2.5}", "{1.00}"),
    ("numeric(10,2)[]", "{1.00}", "{2.50}", ""),
    ("json[]", "{1}", "{2,3}", ""),
    ("point[]", "{\"(1,2)\"}", "{}", ""),
    ("mood[]", "{sad}", "{ok,glad}", ""),
    ("pair[]", "{\"(1.0,x)\"}", "{}", "{\"(1.00,x)\"}"),
    ("price[]", "{1.0}", "{2.5}", "{1.00}"),
    ("mood", "sad", "ok", ""),
    ("pair", "(1.0,x)", "(2.5,)", "(1.00,x)"),
    ("spot", "(1,x)", "(,)", ""),
    ("memo", "(1,x)", "(2,)", ""),
    ("price", "1.0", "2.5", "1.00"),
    ("cents", "1.00", "2.50", ""),
    ("phone", "1", "2", ""),
    ("mobile", "1", "2", ""),
    ("tags", "{x,y}", "{}", ""),
    ("place", "(1,x)", "(,)", ""),
    ("span", "[1.0,2]", "[1,5]", "[1.00,2]"),
    ("doc", "1", "2", ""),
    ("citext", "Ann", "Ben", "ANN"),
    ("email", "Ann", "Ben", "ANN"),
    ("citext[]", "{Ann}", "{}", "{ANN}"),
    ("card", "(Ann)", "(Ben)", "(ANN)"),
    ("hstore", "\"a\"=>\"1\"", "\"b\"=>NULL", ""),
    ("hstore[]", "{\"\\\"a\\\"=>\\\"1\\\"\"}", "{}", ""),
    ("text COLLATE ci", "Ann", "Ben", "ANN"),
    ("text[] COLLATE ci", "{Ann}", "{}", "{ANN}"),
    ("word", "Ann", "Ben", "ANN"),
    ("words", "(Ann)", "(Ben)", "(ANN)"),
];

/// Refactorings that compare no values and move none: one type of each kind is enough.
const ALIKE: &[&str] = &[
    "[drop-field]",
    "[rename-field]",
    "[reorder-fields]",
    "[create-index]",
    "[add-check]",
    "[set-not-null]",
    "[soft-delete]",
    "[split-rows]",
    "[copy-field]",
];

/// What a type must have for a refactoring, as a real table asks for it, too.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    /// Anything will do.
    Nothing,
    /// `=` and an order: a unique key or a btree is asked for.
    Order,
    /// Equal values must be the same: one row stands for all that are equal.
    Identity,
    /// Another type than text, to which it changes.
    Change,
}

impl Needs {
    fn are_met(self, case: &Case) -> bool {
        let kind = case.kind;
        match self {
            Self::Nothing => true,
            Self::Change => plain(case.at) != "text",
            Self::Order => kind.comparable,
            Self::Identity => kind.comparable && kind.exact,
        }
    }
}

/// A refactoring of fields. In all texts `#` numbers the tables of one type, `TYPE` is it, `PLAIN` the same without a
/// collation, `$a` and `$b` are two values, `$c` one that is equal to the first if there is one.
struct Verb {
    needs: Needs,
    tables: &'static str,
    step: &'static str,
    /// Statements, each with what is true afterwards; those that begin with `!` must fail.
    writes: &'static [(&'static str, &'static str)],
    /// The tables of the new shape.
    shown: &'static [&'static str],
}

const PARENT_AND_CHILD: &str = "
    CREATE TABLE g# (id int PRIMARY KEY, gn text);
    CREATE TABLE t# (id int PRIMARY KEY, g_id int REFERENCES g#, v TYPE, k text);
    CREATE INDEX ON t# (g_id);
    INSERT INTO g# VALUES (1, 'a'), (2, 'b'), (3, 'c');
    INSERT INTO t# VALUES (1, 1, $a, 'k'), (2, 1, $a, 'l'), (3, 2, $b, 'm'), (4, NULL, NULL, 'n');";

const CHILD_OF_VALUES: &str = "
    CREATE TABLE g# (id int PRIMARY KEY, v TYPE);
    CREATE TABLE t# (id int PRIMARY KEY, g_id int REFERENCES g#, k text);
    CREATE INDEX ON t# (g_id);
    INSERT INTO g# VALUES (1, $a), (2, $b), (3, NULL);
    INSERT INTO t# VALUES (1, 1, 'k'), (2, 1, 'l'), (3, 2, 'm'), (4, NULL, 'n');";

const ALONE: &str = "
    CREATE TABLE t# (id int PRIMARY KEY, v TYPE, w TYPE, k text);
    INSERT INTO t# VALUES (1, $a, $b, 'x'), (2, NULL, $a, 'y'), (3, $b, NULL, 'x');";

/// Writes of a field that is where it was.
const PLAIN_WRITES: &[(&str, &str)] = &[
    ("UPDATE public.t# SET v = $c WHERE id = 1", "SELECT same(v, $c) FROM next.t# WHERE id = 1"),
    ("UPDATE next.t# SET v = $a WHERE id = 1", "SELECT same(v, $a) FROM public.t# WHERE id = 1"),
    ("UPDATE next.t# SET v = $c WHERE id = 1", "SELECT same(v, $c) FROM public.t# WHERE id = 1"),
    ("INSERT INTO next.t# (id, v) VALUES (5, $b)", "SELECT same(v, $b) FROM public.t# WHERE id = 5"),
    ("UPDATE next.t# SET v = NULL WHERE id = 5", "SELECT v IS NOT DISTINCT FROM NULL FROM public.t# WHERE id = 5"),
    ("DELETE FROM next.t# WHERE id = 5", "SELECT count(*) = 3 FROM public.t#"),
];

fn value_of(kind: &str, value: &str) -> String {
    format!("'{}'::{kind}", value.replace('\'', "''"))
}

/// The name of a type without a collation.
fn plain(at: usize) -> &'static str {
    let name = TYPES[at].0;
    name.strip_suffix(" COLLATE ci").unwrap_or(name)
}

/// A type in a database: which one, and what is known of it.
struct Case {
    at: usize,
    kind: Kind,
}

impl Case {
    fn text(&self, template: &str) -> String {
        let (name, a, b, twin) = TYPES[self.at];
        let plain = plain(self.at);
        let c = if twin.is_empty() { b } else { twin };
        template
            .replace("TYPE", name)
            .replace("PLAIN", &plain.replace('"', "\\\""))
            .replace("$a", &value_of(name, a))
            .replace("$b", &value_of(name, b))
            .replace("$c", &value_of(name, c))
            .replace('#', &self.at.to_string())
    }
}

fn place(database: &Database) -> Place {
    Session::new(Target::resolve(Some(&database.url())).unwrap().connect().unwrap()).place().unwrap()
}

/// One refactoring with all types, in one database.
fn cross(verb: &Verb) {
    let database = Database::new(SETUP);
    let mut client = database.client();
    let lacking: Vec<&str> = OPTIONAL
        .iter()
        .filter(|(sql, _)| client.batch_execute(sql).is_err())
        .flat_map(|(_, types)| types.iter().copied())
        .collect();
    let schema = place(&database).schema;
    let mut cases = Vec::new();
    for (at, (name, ..)) in TYPES.iter().enumerate().filter(|(_, (name, ..))| !lacking.contains(name)) {
        let mut kind = schema.kind_of(plain(at));
        kind.exact &= !name.ends_with(" COLLATE ci");
        let case = Case { at, kind };
        match client.batch_execute(&case.text(verb.tables)) {
            Ok(()) => cases.push(case),
            Err(error) => assert!(!kind.comparable, "{name}: {error:?}"),
        }
    }
    if ALIKE.iter().any(|verb_name| verb.step.starts_with(verb_name)) {
        let mut seen: Vec<(Kind, bool)> = Vec::new();
        cases.retain(|case| {
            let what = (case.kind, TYPES[case.at].3.is_empty());
            let is_new = !seen.contains(&what);
            seen.push(what);
            is_new
        });
    }
    let mut wrong = Vec::new();
    let write = |case: &Case| {
        let file = database.files().join(format!("{:04}-x.toml", case.at + 1));
        std::fs::create_dir_all(database.files()).unwrap();
        std::fs::write(&file, case.text(verb.step)).unwrap();
        file
    };
    let now = place(&database);
    let (fit, unfit): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(|c| verb.needs.are_met(c));
    for case in unfit {
        let entry = Entry::parse("0001-x", &case.text(verb.step)).unwrap();
        if now.fold(&[entry.step]).is_ok() {
            let file = write(&case);
            if database.run(&["-q", "apply"]).status.success() {
                wrong.push(format!("{}: is declared", TYPES[case.at].0));
                database.ok(&["-q", "undo", "--yes"]);
            }
            let _ = std::fs::remove_file(file);
        }
    }
    let mut done = Vec::new();
    fit.iter().for_each(|case| drop(write(case)));
    if database.run(&["-q", "apply"]).status.success() {
        done = fit;
    } else {
        std::fs::remove_dir_all(database.files()).unwrap();
        for case in fit {
            let file = write(&case);
            let output = database.run(&["-q", "apply"]);
            if output.status.success() {
                done.push(case);
            } else {
                std::fs::remove_file(file).unwrap();
                wrong.push(format!("{}: {}", TYPES[case.at].0, String::from_utf8_lossy(&output.stderr)));
            }
        }
    }
    client.batch_execute("SET search_path = public").unwrap();
    for case in &done {
        let name = TYPES[case.at].0;
        for (sql, then) in verb.writes {
            let (sql, then) = (case.text(sql), case.text(then));
            let (fails, sql) = sql.strip_prefix('!').map_or((false, &*sql), |sql| (true, sql));
            match client.batch_execute(sql) {
                Ok(()) if fails => wrong.push(format!("{name}: {sql}: does not fail")),
                Err(error) if !fails => {
                    wrong.push(format!("{name}: {}", refactor::db::message::render(&error, Some(sql))));
                }
                _ => match client.query(&then, &[]) {
                    Ok(rows) if !rows.is_empty() && rows.iter().all(|r| r.get::<_, Option<bool>>(0) == Some(true)) => {}
                    Ok(_) => wrong.push(format!("{name}: after {sql}: not {then}")),
                    Err(error) => wrong.push(format!("{name}: {then}: {error:?}")),
                },
            }
        }
    }
    let output = database.run(&["verify"]);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        wrong.extend(said.lines().filter(|l| !l.starts_with("holds")).map(ToOwned::to_owned));
    }
    let show = |client: &mut postgres::Client, schema: &str| -> Vec<(String, Vec<String>)> {
        let tables = done.iter().flat_map(|c| verb.shown.iter().map(|t| c.text(t)));
        tables
            .map(|t| {
                (
                    format!(
                        "{t}: {}",
                        TYPES[t.trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().unwrap()].0
                    ),
                    rows(client, &format!("SELECT * FROM {schema}.{t}")),
                )
            })
            .collect()
    };
    let before = show(&mut client, "next");
    let output = database.run(&["materialize", "--yes"]);
    if output.status.success() {
        let after = show(&mut client, "public");
        wrong.extend(
            before
                .iter()
                .zip(&after)
                .filter(|(b, a)| b != a)
                .map(|((t, b), (_, a))| format!("{t}: was {b:?}, is {a:?}")),
        );
    } else {
        wrong.push(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn moved_up() {
    cross(&Verb {
        needs: Needs::Nothing,
        tables: PARENT_AND_CHILD,
        step: "[move-field]\nfield = \"t#.v\"\nto = \"g#\"",
        writes: &[
            ("UPDATE public.t# SET v = $b WHERE g_id = 1", "SELECT same(v, $b) FROM next.g# WHERE id = 1"),
            ("UPDATE next.g# SET v = $a WHERE id = 1", "SELECT same(v, $a) FROM public.t# WHERE g_id = 1"),
            ("!INSERT INTO public.t# (id, g_id, v) VALUES (9, 1, $c)", "SELECT same(v, $a) FROM next.g# WHERE id = 1"),
            ("!UPDATE public.t# SET v = $c WHERE id = 1", "SELECT same(v, $a) FROM next.g# WHERE id = 1"),
            ("UPDATE next.g# SET v = $c WHERE id = 1", "SELECT same(v, $c) FROM public.t# WHERE g_id = 1"),
            ("UPDATE public.t# SET v = $a WHERE g_id = 1", "SELECT same(v, $a) FROM next.g# WHERE id = 1"),
            (
                "UPDATE public.t# SET g_id = 3 WHERE id = 4",
                "SELECT v IS NOT DISTINCT FROM NULL FROM next.g# WHERE id = 3",
            ),
            ("INSERT INTO next.g# (id, v) VALUES (4, $c)", "SELECT same(v, $c) FROM next.g# WHERE id = 4"),
            ("INSERT INTO next.t# (id, g_id) VALUES (6, 4)", "SELECT same(v, $c) FROM public.t# WHERE id = 6"),
            (
                "INSERT INTO public.t# (id, g_id, v) VALUES (7, 4, $c), (8, 4, $c)",
                "SELECT same(v, $c) FROM public.t# WHERE id = 7",
            ),
            ("DELETE FROM public.t# WHERE g_id = 4", "SELECT same(v, $c) FROM next.g# WHERE id = 4"),
            ("UPDATE next.t# SET g_id = 4 WHERE id = 1", "SELECT same(v, $c) FROM public.t# WHERE id = 1"),
        ],
        shown: &["g#", "t#"],
    });
}

#[test]
fn moved_down() {
    cross(&Verb {
        needs: Needs::Nothing,
        tables: CHILD_OF_VALUES,
        step: "[move-field]\nfield = \"g#.v\"\nto = \"t#\"",
        writes: &[
            ("UPDATE next.t# SET v = $c WHERE id = 1", "SELECT same(v, $c) FROM next.t# WHERE id = 1"),
            ("UPDATE next.t# SET k = 'z' WHERE id = 2", "SELECT same(v, $a) FROM next.t# WHERE id = 2"),
            ("UPDATE next.t# SET v = $c WHERE id = 2", "SELECT same(v, $c) FROM public.g# WHERE id = 1"),
            ("UPDATE public.g# SET v = $b WHERE id = 1", "SELECT same(v, $b) FROM next.t# WHERE g_id = 1"),
            ("INSERT INTO next.t# (id, g_id, v) VALUES (5, 2, $a)", "SELECT same(v, $a) FROM next.t# WHERE id = 5"),
            ("UPDATE public.t# SET g_id = NULL WHERE id = 3", "SELECT same(v, $b) FROM next.t# WHERE id = 3"),
            (
                "UPDATE next.t# SET v = NULL WHERE id = 1",
                "SELECT v IS NOT DISTINCT FROM NULL FROM next.t# WHERE id = 1",
            ),
        ],
        shown: &["g#", "t#"],
    });
}

#[test]
fn copied() {
    cross(&Verb {
        needs: Needs::Nothing,
        tables: CHILD_OF_VALUES,
        step: "[copy-field]\nfield = \"g#.v\"\nto = \"t#\"",
        writes: &[
            ("UPDATE next.t# SET v = $c WHERE id = 1", "SELECT same(v, $c) FROM next.t# WHERE id = 1"),
            ("UPDATE public.g# SET v = $c WHERE id = 1", "SELECT same(v, $a) FROM next.t# WHERE id = 2"),
            ("INSERT INTO next.t# (id, g_id, v) VALUES (5, 2, $a)", "SELECT same(v, $a) FROM next.t# WHERE id = 5"),
        ],
        shown: &["t#"],
    });
}

#[test]
fn extracted() {
    cross(&Verb {
        needs: Needs::Identity,
        tables: ALONE,
        step: "[extract-table]\nfield = \"t#.v\"\ninto = \"x#\"\nas = \"x_id\"",
        writes: &[
            (
                "UPDATE public.t# SET v = $b WHERE id = 1",
                "SELECT same(x.v, $b) FROM next.t# t JOIN next.x# x ON x.id = x_id WHERE t.id = 1",
            ),
            (
                "UPDATE next.x# SET v = $c WHERE id = (SELECT min(id) FROM next.x#)",
                "SELECT count(*) > 0 FROM next.x# WHERE same(v, $c)",
            ),
            (
                "UPDATE next.t# SET x_id = NULL WHERE id = 3",
                "SELECT v IS NOT DISTINCT FROM NULL FROM public.t# WHERE id = 3",
            ),
        ],
        shown: &["t#", "x#"],
    });
}

#[test]
fn listed() {
    cross(&Verb {
        needs: Needs::Order,
        tables: "CREATE TABLE g# (v TYPE PRIMARY KEY, name text); CREATE TABLE t# (id int PRIMARY KEY, v TYPE);
            INSERT INTO g# VALUES ($a, 'a'), ($b, 'b'); INSERT INTO t# VALUES (1, $a), (2, $b), (3, NULL)",
        step: "[extract-table]\nfield = \"t#.v\"\ninto = \"g#\"\nkey = \"v\"",
        writes: &[
            ("UPDATE next.t# SET v = $b WHERE id = 1", "SELECT same(v, $b) FROM public.t# WHERE id = 1"),
            ("UPDATE public.t# SET v = $a WHERE id = 1", "SELECT same(v, $a) FROM next.t# WHERE id = 1"),
        ],
        shown: &["t#", "g#"],
    });
}

#[test]
fn split_off() {
    cross(&Verb {
        needs: Needs::Nothing,
        tables: ALONE,
        step: "[split-table]\ntable = \"t#\"\nfields = [\"v\", \"w\"]\ninto = \"p#\"",
        writes: &[
            ("UPDATE public.t# SET v = $c WHERE id = 1", "SELECT same(v, $c) FROM next.p# WHERE id = 1"),
            ("UPDATE next.p# SET v = $a WHERE id = 1", "SELECT same(v, $a) FROM public.t# WHERE id = 1"),
            ("DELETE FROM next.p# WHERE id = 3", "SELECT v IS NOT DISTINCT FROM NULL FROM public.t# WHERE id = 3"),
            ("INSERT INTO next.p# VALUES (3, $c, NULL)", "SELECT same(v, $c) FROM public.t# WHERE id = 3"),
        ],
        shown: &["t#", "p#"],
    });
}

#[test]
fn merged() {
    cross(&Verb {
        needs: Needs::Nothing,
        tables:
            "CREATE TABLE t# (id int PRIMARY KEY, k text); CREATE TABLE p# (t_id int PRIMARY KEY REFERENCES t#, v TYPE);
            INSERT INTO t# VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO p# VALUES (1, $a), (2, $b)",
        step: "[merge-tables]\ntable = \"p#\"\ninto = \"t#\"",
        writes: &[
            ("UPDATE public.p# SET v = $c WHERE t_id = 1", "SELECT same(v, $c) FROM next.t# WHERE id = 1"),
            ("UPDATE next.t# SET v = $a WHERE id = 1", "SELECT same(v, $a) FROM public.p# WHERE t_id = 1"),
            ("UPDATE next.t# SET v = $c WHERE id = 3", "SELECT same(v, $c) FROM public.p# WHERE t_id = 3"),
            ("INSERT INTO next.t# VALUES (4, 'd', $b)", "SELECT same(v, $b) FROM public.p# WHERE t_id = 4"),
        ],
        shown: &["t#"],
    });
}

#[test]
fn inlined() {
    cross(&Verb {
        needs: Needs::Nothing,
        tables: CHILD_OF_VALUES,
        step: "[inline-table]\ntable = \"g#\"\ninto = \"t#\"",
        writes: &[
            ("UPDATE next.t# SET v = $c WHERE id = 1", "SELECT same(v, $c) FROM next.t# WHERE id = 1"),
            ("UPDATE next.t# SET k = 'z' WHERE id = 2", "SELECT same(v, $a) FROM next.t# WHERE id = 2"),
            ("UPDATE public.g# SET v = $b WHERE id = 1", "SELECT same(v, $b) FROM next.t# WHERE id = 2"),
            ("INSERT INTO next.t# (id, v) VALUES (5, $a), (6, $c)", "SELECT same(v, $c) FROM next.t# WHERE id = 6"),
            (
                "UPDATE next.t# SET v = NULL WHERE id = 5",
                "SELECT v IS NOT DISTINCT FROM NULL FROM next.t# WHERE id = 5",
            ),
        ],
        shown: &["t#"],
    });
}

#[test]
fn made_rows() {
    cross(&Verb {
        needs: Needs::Nothing,
        tables: ALONE,
        step: "[unpivot]\ntable = \"t#\"\nfields = [\"v\", \"w\"]\ninto = \"r#\"\nfrom = [\"t_id\"]",
        writes: &[
            (
                "UPDATE next.r# SET value = $c WHERE t_id = 1 AND kind = 'v'",
                "SELECT same(v, $c) FROM public.t# WHERE id = 1",
            ),
            (
                "DELETE FROM next.r# WHERE t_id = 1 AND kind = 'w'",
                "SELECT w IS NOT DISTINCT FROM NULL FROM public.t# WHERE id = 1",
            ),
            ("INSERT INTO next.r# VALUES (1, 'w', $b)", "SELECT same(w, $b) FROM public.t# WHERE id = 1"),
            (
                "UPDATE public.t# SET v = $a WHERE id = 2",
                "SELECT same(value, $a) FROM next.r# WHERE t_id = 2 AND kind = 'v'",
            ),
        ],
        shown: &["t#", "r#"],
    });
}

#[test]
fn made_fields() {
    cross(&Verb {
        needs: Needs::Nothing,
        tables: "CREATE TABLE t# (id int PRIMARY KEY, k text);
            CREATE TABLE r# (t_id int REFERENCES t#, kind text, v TYPE NOT NULL, PRIMARY KEY (t_id, kind), CHECK (kind IN ('one', 'two')));
            INSERT INTO t# VALUES (1, 'a'), (2, 'b'); INSERT INTO r# VALUES (1, 'one', $a), (1, 'two', $b), (2, 'one', $b)",
        step: "[pivot]\ntable = \"r#\"\nfields = [\"one\", \"two\"]\ninto = \"t#\"\nlabel = \"kind\"\nvalue = \"v\"",
        writes: &[
            ("UPDATE next.t# SET one = $c WHERE id = 1", "SELECT same(v, $c) FROM public.r# WHERE t_id = 1 AND kind = 'one'"),
            ("UPDATE next.t# SET two = $a WHERE id = 2", "SELECT same(v, $a) FROM public.r# WHERE t_id = 2 AND kind = 'two'"),
            ("UPDATE next.t# SET one = NULL WHERE id = 2", "SELECT count(*) = 1 FROM public.r# WHERE t_id = 2"),
            ("UPDATE public.r# SET v = $a WHERE kind = 'one'", "SELECT same(one, $a) FROM next.t# WHERE id = 1"),
        ],
        shown: &["t#"],
    });
}

#[test]
fn added() {
    cross(&Verb {
        needs: Needs::Nothing,
        tables: "CREATE TABLE t# (id int PRIMARY KEY, k text); INSERT INTO t# VALUES (1, 'a'), (2, 'b')",
        step: "[add-field]\nfield = \"t#.v\"\ntype = \"PLAIN\"",
        writes: &[
            ("UPDATE next.t# SET v = $a WHERE id = 1", "SELECT same(v, $a) FROM next.t# WHERE id = 1"),
            ("UPDATE next.t# SET v = $c WHERE id = 1", "SELECT same(v, $c) FROM next.t# WHERE id = 1"),
            ("INSERT INTO next.t# VALUES (3, 'c', $c)", "SELECT same(v, $c) FROM next.t# WHERE id = 3"),
        ],
        shown: &["t#"],
    });
}

#[test]
fn computed() {
    cross(&Verb {
        needs: Needs::Nothing,
        tables: ALONE,
        step: "[add-field]\nfield = \"t#.n\"\ntype = \"PLAIN\"\nas = \"coalesce(v, w)\"",
        writes: &[
            ("UPDATE next.t# SET n = $c WHERE id = 1", "SELECT same(n, $c) AND same(v, $a) FROM next.t# WHERE id = 1"),
            ("INSERT INTO public.t# (id, v) VALUES (5, $c)", "SELECT same(n, $c) FROM next.t# WHERE id = 5"),
        ],
        shown: &["t#"],
    });
}

#[test]
fn told_as_text_and_back() {
    cross(&Verb {
        needs: Needs::Change,
        tables: ALONE,
        step: "[change-type]\nfield = \"t#.v\"\ntype = \"text\"",
        writes: &[
            ("UPDATE public.t# SET v = $c WHERE id = 1", "SELECT v = ($c)::text FROM next.t# WHERE id = 1"),
            (
                "UPDATE next.t# SET v = ($a)::text WHERE id = 1",
                "SELECT (v)::text = ($a)::text FROM public.t# WHERE id = 1",
            ),
            (
                "INSERT INTO next.t# (id, v) VALUES (5, NULL)",
                "SELECT v IS NOT DISTINCT FROM NULL FROM public.t# WHERE id = 5",
            ),
        ],
        shown: &["t#"],
    });
    cross(&Verb {
        needs: Needs::Change,
        tables: "CREATE TABLE t# (id int PRIMARY KEY, v text); INSERT INTO t# VALUES (1, ($a)::text), (2, ($b)::text), (3, NULL)",
        step: "[change-type]\nfield = \"t#.v\"\ntype = \"PLAIN\"",
        writes: &[
            (
                "UPDATE public.t# SET v = ($c)::text WHERE id = 1",
                "SELECT (v)::text = ($c)::text FROM next.t# WHERE id = 1",
            ),
            ("UPDATE next.t# SET v = $a WHERE id = 1", "SELECT v = ($a)::text FROM public.t# WHERE id = 1"),
        ],
        shown: &["t#"],
    });
}

#[test]
fn dropped_renamed_and_put_in_order() {
    for (step, writes) in [
        ("[drop-field]\nfield = \"t#.w\"", PLAIN_WRITES),
        ("[rename-field]\nfield = \"t#.w\"\nto = \"n\"", PLAIN_WRITES),
        ("[reorder-fields]\ntable = \"t#\"\nfields = [\"w\", \"v\"]", PLAIN_WRITES),
    ] {
        cross(&Verb { needs: Needs::Nothing, tables: ALONE, step, writes, shown: &["t#"] });
    }
}

#[test]
fn rows_divided_and_united() {
    cross(&Verb {
        needs: Needs::Nothing,
        tables: ALONE,
        step: "[split-rows]\ntable = \"t#\"\nwhere = [\"k = 'x'\"]\ninto = [\"s#\"]",
        writes: &[
            ("UPDATE next.s# SET v = $c WHERE id = 1", "SELECT same(v, $c) FROM public.t# WHERE id = 1"),
            ("UPDATE public.t# SET k = 'x' WHERE id = 2", "SELECT same(w, $a) FROM next.s# WHERE id = 2"),
            ("INSERT INTO next.t# (id, v) VALUES (5, $c)", "SELECT same(v, $c) FROM public.t# WHERE id = 5"),
        ],
        shown: &["t#", "s#"],
    });
    cross(&Verb {
        needs: Needs::Nothing,
        tables: "CREATE TABLE t# (id int PRIMARY KEY, v TYPE); CREATE TABLE u# (id int PRIMARY KEY, v TYPE);
            INSERT INTO t# VALUES (1, $a), (2, NULL); INSERT INTO u# VALUES (11, $b)",
        step: "[union-tables]\ntables = [\"t#\", \"u#\"]\ninto = \"n#\"\ndiscriminator = \"kind\"\nvalues = [\"t\", \"u\"]",
        writes: &[
            ("UPDATE next.n# SET v = $c WHERE id = 1", "SELECT same(v, $c) FROM public.t# WHERE id = 1"),
            ("UPDATE next.n# SET kind = 'u' WHERE id = 1", "SELECT same(v, $c) FROM public.u# WHERE id = 1"),
            ("INSERT INTO next.n# (id, kind, v) VALUES (5, 'u', $c)", "SELECT same(v, $c) FROM public.u# WHERE id = 5"),
        ],
        shown: &["n#"],
    });
}

#[test]
fn keys() {
    cross(&Verb {
        needs: Needs::Order,
        tables: "CREATE TABLE t# (id int PRIMARY KEY, v TYPE NOT NULL UNIQUE); CREATE TABLE c# (id int PRIMARY KEY, t_id int REFERENCES t#);
            INSERT INTO t# VALUES (1, $a), (2, $b); INSERT INTO c# VALUES (1, 1), (2, 2), (3, NULL)",
        step: "[replace-surrogate-key]\nfield = \"t#.id\"\nwith = [\"v\"]",
        writes: &[
            ("UPDATE public.c# SET t_id = 1 WHERE id = 2", "SELECT count(*) = 1 FROM next.c# c JOIN next.t# t ON t.v = c.t_v WHERE c.id = 2 AND same(t.v, $a)"),
        ],
        shown: &["t#", "c#"],
    });
    cross(&Verb {
        needs: Needs::Order,
        tables: "CREATE TABLE g# (v TYPE PRIMARY KEY); CREATE TABLE t# (id int PRIMARY KEY, v TYPE); INSERT INTO g# VALUES ($a), ($b); INSERT INTO t# VALUES (1, $a), (2, NULL)",
        step: "[add-foreign-key]\ntable = \"t#\"\nfields = [\"v\"]\nreferences = \"g#\"",
        writes: &[("UPDATE next.t# SET v = $b WHERE id = 1", "SELECT same(v, $b) FROM public.t# WHERE id = 1")],
        shown: &["t#"],
    });
}

#[test]
fn rules_and_marks() {
    let distinct = "CREATE TABLE t# (id int PRIMARY KEY, v TYPE); INSERT INTO t# VALUES (1, $a), (2, NULL), (3, $b)";
    let full = "CREATE TABLE t# (id int PRIMARY KEY, v TYPE); INSERT INTO t# VALUES (1, $a), (2, $b)";
    let swapped: &[(&str, &str)] = &[
        ("UPDATE next.t# SET v = NULL WHERE id = 3", "SELECT v IS NOT DISTINCT FROM NULL FROM public.t# WHERE id = 3"),
        ("UPDATE next.t# SET v = $b WHERE id = 1", "SELECT same(v, $b) FROM public.t# WHERE id = 1"),
        ("!INSERT INTO next.t# VALUES (5, $b)", "SELECT count(*) = 3 FROM public.t#"),
    ];
    let strict: &[(&str, &str)] = &[
        ("UPDATE next.t# SET v = $c WHERE id = 1", "SELECT same(v, $c) FROM public.t# WHERE id = 1"),
        ("!UPDATE next.t# SET v = NULL WHERE id = 1", "SELECT same(v, $c) FROM public.t# WHERE id = 1"),
        ("!INSERT INTO next.t# VALUES (5, NULL)", "SELECT count(*) = 2 FROM public.t#"),
    ];
    for (needs, tables, step, writes) in [
        (Needs::Order, distinct, "[add-unique]\ntable = \"t#\"\nfields = [\"v\"]", swapped),
        (Needs::Order, ALONE, "[create-index]\ntable = \"t#\"\nfields = [\"v\"]", &[]),
        (Needs::Nothing, full, "[set-not-null]\nfield = \"t#.v\"", strict),
        (Needs::Nothing, full, "[add-check]\ntable = \"t#\"\nexpression = \"v IS DISTINCT FROM NULL\"", strict),
        (Needs::Nothing, ALONE, "[soft-delete]\ntable = \"t#\"", &PLAIN_WRITES[..5]),
    ] {
        cross(&Verb { needs, tables, step, writes, shown: &["t#"] });
    }
}
