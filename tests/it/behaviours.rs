//! A view stands for a table: each statement of `behaviours/statements.sql` does through a view of `next` what it does to the
//! table that the view becomes, or fails. Nothing is silently different but what PostgreSQL makes so, which is listed.
//!
//! A case of that file starts with `-- kind.name`. Its statements run in one transaction on the new shape, which is rolled back.
//! `other:` is a statement of another session in a transaction of its own, `meanwhile:` one that this runs as soon as the
//! next statement waits for it; `ok:` needs only succeed; `in:` is a line that the statement before reads. Compared are rows,
//! their fields' names, how many were written, SQLSTATE and the name of the constraint, and at the end all rows of all tables.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::time::Duration;

use postgres::{Client, Error, NoTls, SimpleQueryMessage};

use crate::support::{Database, maintenance_url};

mod page;
mod scenes;

use scenes::{SCENES, Scene};

/// A statement of a case.
#[derive(Debug, Clone, PartialEq)]
enum Act {
    Run(String),
    Ok(String),
    Feed(String, String),
    Other(String),
    Meanwhile(String),
}

/// Statements that belong together.
#[derive(Debug)]
struct Case {
    /// The heading that it stands under.
    kind: &'static str,
    name: &'static str,
    acts: Vec<Act>,
}

impl Case {
    /// Whether another session commits, so that rolling back does not put everything back.
    fn commits(&self) -> bool {
        self.acts.iter().any(|act| matches!(act, Act::Meanwhile(_)) || *act == Act::Other("COMMIT".into()))
    }
}

fn cases() -> Vec<Case> {
    let (mut kind, mut cases) = ("", Vec::<Case>::new());
    for line in include_str!("behaviours/statements.sql").lines().filter(|line| !line.is_empty()) {
        if let Some(heading) = line.strip_prefix("## ") {
            kind = heading;
        } else if let Some(name) = line.strip_prefix("-- ") {
            cases.push(Case { kind, name, acts: Vec::new() });
        } else {
            let acts = &mut cases.last_mut().unwrap().acts;
            let line = roles(line.strip_suffix(';').unwrap_or_else(|| panic!("{line} has no end")));
            let act = match line.split_once(": ") {
                Some(("ok", sql)) => Act::Ok(sql.into()),
                Some(("other", sql)) => Act::Other(sql.into()),
                Some(("meanwhile", sql)) => Act::Meanwhile(sql.into()),
                Some(("in", data)) => match acts.pop() {
                    Some(Act::Run(sql)) => Act::Feed(sql, format!("{data}\n")),
                    Some(Act::Feed(sql, before)) => Act::Feed(sql, format!("{before}{data}\n")),
                    act => panic!("{act:?} reads nothing"),
                },
                _ => Act::Run(line),
            };
            acts.push(act);
        }
    }
    cases
}

/// What came of a statement.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    Done { fields: Vec<String>, rows: Vec<String>, count: Option<u64> },
    Failed { code: String, constraint: Option<String>, message: String },
}

impl Outcome {
    fn failed(error: &Error) -> Self {
        let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
        Self::Failed {
            code: error.code().code().into(),
            constraint: error.constraint().map(str::to_owned),
            message: error.message().lines().next().unwrap_or_default().into(),
        }
    }
}

/// How a view compares with its table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Same,
    /// An error where the table has none, or another one.
    Refused {
        code: String,
        message: String,
    },
    Different(String),
}

fn compare(table: &[Outcome], view: &[Outcome]) -> Verdict {
    for (table, view) in table.iter().zip(view) {
        match (table, view) {
            (Outcome::Failed { code, constraint, .. }, Outcome::Failed { code: c, constraint: k, .. })
                if (code, constraint) == (c, k) => {}
            (_, Outcome::Failed { code, message, .. }) => {
                return Verdict::Refused { code: code.clone(), message: message.clone() };
            }
            _ if table != view => return Verdict::Different(format!("table: {table:?}\n   view: {view:?}")),
            _ => {}
        }
    }
    assert_eq!(table.len(), view.len());
    Verdict::Same
}

fn execute(client: &mut Client, sql: &str) -> Result<Outcome, Error> {
    if sql.starts_with("COPY") {
        let mut text = String::new();
        client.copy_out(sql)?.read_to_string(&mut text).unwrap();
        let mut rows: Vec<_> = text.lines().map(str::to_owned).collect();
        rows.sort();
        return Ok(Outcome::Done { fields: Vec::new(), rows, count: None });
    }
    let (mut fields, mut rows, mut count) = (Vec::new(), Vec::new(), None);
    for message in client.simple_query(sql)? {
        match message {
            SimpleQueryMessage::RowDescription(names) => fields = names.iter().map(|f| f.name().to_owned()).collect(),
            SimpleQueryMessage::Row(row) => {
                rows.push((0..row.len()).map(|i| row.get(i).unwrap_or("∅")).collect::<Vec<_>>().join(" | "));
            }
            SimpleQueryMessage::CommandComplete(n) => count = Some(n),
            _ => {}
        }
    }
    // EXECUTE and FETCH give them in the order that the statement behind them has.
    if !sql.contains("ORDER BY") && !sql.starts_with("FETCH") {
        rows.sort();
    }
    Ok(Outcome::Done { fields, rows, count })
}

/// A database at work on cases.
struct Runner {
    database: Database,
    /// Rows of all tables of the new shape.
    state: String,
    client: Client,
    other: Client,
    /// Sees who waits.
    watch: Client,
}

impl Runner {
    fn new(database: Database, tables: &[String]) -> Self {
        let rows = tables.iter().map(|t| format!("SELECT '{t}' AS t, {t}::text AS r FROM {t}"));
        let state = format!("{} ORDER BY t, r", rows.collect::<Vec<_>>().join(" UNION ALL "));
        let [client, other, watch] = [session(&database), session(&database), database.client()];
        let mut runner = Self { database, state, client, other, watch };
        runner.watch.batch_execute(SAVE).unwrap();
        runner
    }

    /// Runs `sql`; a statement of the other session as soon as it waits for that.
    fn step(&mut self, sql: &str, meanwhile: Option<&str>) -> Result<Outcome, Error> {
        let Some(meanwhile) = meanwhile else { return execute(&mut self.client, sql) };
        let pid: i32 = self.client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
        let (client, other, watch) = (&mut self.client, &mut self.other, &mut self.watch);
        std::thread::scope(|scope| {
            let running = scope.spawn(|| execute(client, sql));
            let waits = "SELECT cardinality(pg_blocking_pids($1)) > 0";
            while !running.is_finished() && !watch.query_one(waits, &[&pid]).unwrap().get::<_, bool>(0) {
                std::thread::sleep(Duration::from_millis(2));
            }
            other.batch_execute(meanwhile).unwrap();
            running.join().unwrap()
        })
    }

    fn run(&mut self, case: &Case) -> Vec<Outcome> {
        self.watch.batch_execute(NUMBERS).unwrap();
        let (mut outcomes, mut failed, mut meanwhile) = (Vec::new(), false, None);
        if !matches!(&case.acts[0], Act::Run(sql) if sql.starts_with("BEGIN")) {
            self.client.batch_execute("BEGIN").unwrap();
        }
        for act in &case.acts {
            if failed && !matches!(act, Act::Run(sql) if sql.starts_with("ROLLBACK TO")) {
                continue;
            }
            let result = match act {
                Act::Other(sql) => {
                    let begin = if sql == "COMMIT" { "" } else { "BEGIN;" };
                    match self.other.batch_execute(&format!("{begin}{sql}")) {
                        Ok(()) => continue,
                        Err(error) => Err(error),
                    }
                }
                Act::Meanwhile(sql) => {
                    meanwhile = Some(sql.clone());
                    continue;
                }
                Act::Run(sql) => self.step(sql, meanwhile.take().as_deref()),
                Act::Ok(sql) => {
                    self.step(sql, None).map(|_| Outcome::Done { fields: Vec::new(), rows: Vec::new(), count: None })
                }
                Act::Feed(sql, data) => self.client.copy_in(sql).and_then(|mut writer| {
                    writer.write_all(data.as_bytes()).unwrap();
                    let count = Some(writer.finish()?);
                    Ok(Outcome::Done { fields: Vec::new(), rows: Vec::new(), count })
                }),
            };
            failed = result.is_err();
            outcomes.push(result.unwrap_or_else(|error| Outcome::failed(&error)));
        }
        if !failed {
            self.client.batch_execute("RESET ROLE").unwrap();
            let state = execute(&mut self.client, &self.state.clone());
            outcomes.push(state.unwrap_or_else(|error| Outcome::failed(&error)));
        }
        if failed && matches!(case.acts[0], Act::Feed(..)) {
            // The driver loses its place in the protocol when what it sends is refused at the end.
            self.client = session(&self.database);
        } else {
            self.client.batch_execute("ROLLBACK; DEALLOCATE ALL").unwrap();
        }
        self.other.batch_execute("ROLLBACK").unwrap();
        if case.commits() {
            self.watch.batch_execute(RESTORE).unwrap();
        }
        outcomes
    }
}

/// A session on the new shape that waits for nobody for ever.
fn session(database: &Database) -> Client {
    let mut client = database.next();
    client.batch_execute("SET statement_timeout = '8s'; SET deadlock_timeout = '20ms'").unwrap();
    client
}

/// Keeps the rows of all tables.
const SAVE: &str = "CREATE SCHEMA saved;
    DO $$ DECLARE t regclass; BEGIN
      FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, to_regnamespace('refactor')) LOOP
        EXECUTE format('CREATE TABLE saved.%I AS TABLE %s', t::oid, t);
      END LOOP;
    END $$";

/// Puts them back.
const RESTORE: &str = "SET session_replication_role = replica;
    DO $$ DECLARE t regclass; BEGIN
      FOR t IN SELECT relname::oid FROM pg_class WHERE relnamespace = 'saved'::regnamespace LOOP
        EXECUTE format('DELETE FROM %s', t);
        EXECUTE format('INSERT INTO %s OVERRIDING SYSTEM VALUE TABLE saved.%I', t, t::oid);
      END LOOP;
    END $$;
    RESET session_replication_role";

/// All sequences give the same number next, in whichever schema they are meanwhile.
const NUMBERS: &str = "SELECT setval(oid, 400) FROM pg_class
    WHERE relkind = 'S' AND relnamespace IN ('public'::regnamespace, to_regnamespace('refactor'))";

/// What came of all cases under a scene.
struct Found {
    /// Who writes through the view: PostgreSQL itself (`U`), or triggers that insert and update (`H`), and delete (`T`).
    class: String,
    verdicts: Vec<Verdict>,
}

/// By the triggers of the view, and of the view that it may show.
const CLASS: &str = "WITH RECURSIVE views (oid) AS (SELECT 'next.item'::regclass::oid UNION
      SELECT c.oid FROM views AS v JOIN pg_rewrite AS r ON r.ev_class = v.oid JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass
        AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass JOIN pg_class AS c ON c.oid = d.refobjid AND c.relkind = 'v')
    SELECT CASE WHEN count(*) = 0 THEN 'U' WHEN bool_or(tgtype & 8 > 0) THEN 'T' ELSE 'H' END
    FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM views) AND tgtype & 64 > 0";

fn run(scene: &Scene, cases: &[Case]) -> Found {
    let deferred = Database::new(&scene.sql());
    deferred.client().batch_execute(&roles("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO test_writer;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO test_writer; GRANT SELECT ON ALL TABLES IN SCHEMA public TO test_reader;
        GRANT USAGE ON SCHEMA public TO PUBLIC")).unwrap();
    for command in scene.commands {
        deferred.ok(command);
    }
    let real = deferred.copy();
    real.ok(&["materialize", "--yes"]);
    let tables = real.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
    let tables: Vec<String> = tables.iter().map(|t| t.trim_matches(['(', ')']).to_owned()).collect();
    let [mut view, mut table] = [Runner::new(deferred, &tables), Runner::new(real, &tables)];
    let class = view.watch.query_one(CLASS, &[]).unwrap().get(0);
    Found { class, verdicts: cases.iter().map(|case| compare(&table.run(case), &view.run(case))).collect() }
}

/// Roles are the server's; each run has its own.
fn roles(sql: &str) -> String {
    sql.replace("test_", &format!("behaves_{}_", std::process::id()))
}

#[test]
fn nothing_is_silently_different_through_a_view() {
    let mut client = Client::connect(&maintenance_url(), NoTls).unwrap();
    let names = ["stranger", "writer", "reader"].map(|name| roles(&format!("test_{name}")));
    client.batch_execute(&names.iter().map(|name| format!("CREATE ROLE {name};")).collect::<String>()).unwrap();
    let cases = cases();
    let results = std::thread::scope(|scope| {
        let runs = SCENES.iter().map(|scene| scope.spawn(|| run(scene, &cases)));
        runs.collect::<Vec<_>>().into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    client.batch_execute(&format!("DROP ROLE {}", names.join(", "))).unwrap();
    let mut different = BTreeMap::<&str, Vec<String>>::new();
    for (scene, result) in SCENES.iter().zip(&results) {
        for (case, verdict) in cases.iter().zip(&result.verdicts) {
            if let Verdict::Different(how) = verdict {
                different.entry(case.name).or_default().push(format!("{}\n  {how}", scene.name));
            }
        }
    }
    let listed = page::LISTED.iter().flat_map(|(names, _)| names.iter().copied()).collect::<BTreeSet<_>>();
    for (case, how) in different.iter().filter(|(case, _)| !listed.contains(*case)) {
        eprintln!("{case}\n {}", how.join("\n "));
    }
    let major: u32 = client
        .query_one("SELECT current_setting('server_version_num')", &[])
        .unwrap()
        .get::<_, String>(0)
        .parse()
        .unwrap();
    let version = major / 10000;
    let different = different.into_keys().collect::<BTreeSet<_>>();
    // Another server may have less to say.
    assert!(different.is_subset(&listed), "{:?}", different.difference(&listed));
    assert!(version != page::VERSION || different == listed, "in vain: {:?}", listed.difference(&different));
    page::check(&cases, &results, version);
}
