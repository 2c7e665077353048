//! One database whose refactorings are deferred and a copy in which they are real: the same write must do the same.

use std::fmt::Write as _;

use postgres::{Client, SimpleQueryMessage};

use super::random::Random;
use super::writes::{Pool, Writer};
use crate::script::psql;
use crate::support::Database;

/// What a statement did.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Done { count: u64, rows: Vec<String> },
    Failed(Failed),
}

/// What of an error a program may rely on.
#[derive(Clone, Debug)]
pub struct Failed {
    pub code: String,
    pub constraint: Option<String>,
    pub column: Option<String>,
    pub table: Option<String>,
    /// For whoever reads of a fault.
    #[allow(dead_code)]
    pub message: String,
}

impl PartialEq for Failed {
    fn eq(&self, other: &Self) -> bool {
        (&self.code, &self.constraint, &self.column) == (&other.code, &other.constraint, &other.column)
    }
}

pub fn outcome(client: &mut Client, sql: &str) -> Outcome {
    match client.simple_query(sql) {
        Ok(messages) => {
            let (mut rows, mut count) = (Vec::new(), 0);
            for message in messages {
                match message {
                    SimpleQueryMessage::Row(row) => rows.push(
                        (0..row.len()).map(|i| row.get(i).unwrap_or("∅").to_owned()).collect::<Vec<_>>().join("|"),
                    ),
                    SimpleQueryMessage::CommandComplete(n) => count = n,
                    _ => {}
                }
            }
            rows.sort();
            Outcome::Done { count, rows }
        }
        Err(error) => {
            let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
            let owned = |text: Option<&str>| text.map(str::to_owned);
            // What is made ready has its own name only when all is real.
            let ready = error.table().map(|table| format!("refactor_ready_{table}_")).unwrap_or_default();
            Outcome::Failed(Failed {
                code: error.code().code().to_owned(),
                constraint: owned(error.constraint().map(|name| name.strip_prefix(&ready).unwrap_or(name))),
                column: owned(error.column()),
                table: owned(error.table()),
                message: error.message().to_owned(),
            })
        }
    }
}

/// A schema with data, what is refactored in it, and what must hold of it.
pub struct Scenario {
    pub name: &'static str,
    pub sql: &'static str,
    pub commands: &'static [&'static [&'static str]],
    pub pools: &'static [Pool],
    /// Queries over base and complement, each with the part of `next` that must show the same.
    pub truth: &'static [(&'static str, &'static str)],
    /// Fields and tables whose names have another meaning for old code: its writes are compared if they name none.
    pub moves: &'static [&'static str],
    /// Fields with another name in the new shape. Errors of constraints tell the base's.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Rules that new code keeps and old code need not: names of constraints, and of fields that may not be NULL.
    pub rules: &'static [&'static str],
    /// The same, of rules that come or go only when all is real, as was said when they were declared.
    pub from_then_on: &'static [&'static str],
    /// What corrects rows of old code that break a rule which holds until all is real.
    pub mended: &'static str,
    /// A table that refers to itself is written row by row, and each row's references are checked at once: a statement
    /// may fail for want of a row that it would have made, and cannot renumber a row with those that follow it.
    pub row_by_row: bool,
    /// Constraints that have another name in the real tables, and the checks (with no name before) that are a view's
    /// check option until then.
    pub told: &'static [(&'static str, &'static str)],
    /// A key that two tables will have each is one until then.
    pub one_key: bool,
    /// A value may have no place yet.
    pub no_place: bool,
    /// Rows that nobody sees hold their keys and what they refer to until then.
    pub quarantine: bool,
    /// Servers from this version on can do it, older ones refuse it.
    pub since: i32,
}

impl Scenario {
    pub const PLAIN: Self = Self {
        name: "",
        sql: "",
        commands: &[],
        pools: &[],
        truth: &[],
        moves: &[],
        renamed: &[],
        rules: &[],
        from_then_on: &[],
        mended: "",
        row_by_row: false,
        told: &[],
        one_key: false,
        no_place: false,
        quarantine: false,
        since: 14,
    };

    /// Whether two errors tell the same.
    fn same(&self, x: &Failed, y: &Failed) -> bool {
        let name = |f: &Failed| f.constraint.clone().unwrap_or_default();
        let told = self.told.contains(&(&*name(x), &*name(y)));
        x == y || told && (x.code == y.code || x.code == "44000" && y.code == "23514")
    }

    /// What the deferred shape may refuse that the real tables take, or take another reason for.
    fn stricter(&self, x: &Failed) -> bool {
        let held = self.quarantine && ["23505", "23503"].contains(&&*x.code);
        held || self.one_key && x.code == "23505" || self.no_place && x.code == "0A000"
    }
}

/// Whether a statement failed for breaking one of these.
fn breaks(outcome: &Outcome, names: &[&str]) -> bool {
    let Outcome::Failed(failed) = outcome else { return false };
    let name = failed.constraint.as_deref().or(failed.column.as_deref());
    failed.code.starts_with("23") && name.is_some_and(|n| names.contains(&n))
}

/// Whether rows exchanged unique values. PostgreSQL asks row by row, so the order in which a table has them decides whether
/// one takes the value of another before that has gone; and both have an order of their own.
fn passing_by(sql: &str, there: &Outcome, here: &Outcome) -> bool {
    let taken = |outcome: &Outcome| matches!(outcome, Outcome::Failed(f) if f.code == "23505");
    let done = |outcome: &Outcome| matches!(outcome, Outcome::Done { count, .. } if *count > 1);
    sql.starts_with("UPDATE") && sql.contains(" || 'z'") && (taken(there) && done(here) || done(there) && taken(here))
}

pub struct Twin<'s> {
    scenario: &'s Scenario,
    database: Database,
    x: Client,
    y: Client,
    _copy: Database,
    new: Writer,
    old: Writer,
    /// For each foreign key, the rows that break it.
    orphans: Vec<(String, String)>,
    /// Sequences, in both.
    sequences: Vec<String>,
    state: String,
    base: String,
    r: Random,
    seed: u64,
    recent: Vec<String>,
    pub faults: Vec<String>,
    pub done: usize,
    pub failed: usize,
}

/// All rows of all tables, each table as one text.
fn state_of(tables: &[String]) -> String {
    let one = |t: &String| {
        format!(
            "SELECT {}, coalesce(pg_catalog.string_agg(refactor_q::text, E'\\n' ORDER BY refactor_q::text COLLATE \"C\"), '') FROM {t} AS refactor_q",
            refactor::sql::Literal(t.clone())
        )
    };
    tables.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ")
}

fn texts(client: &mut Client, sql: &str) -> Vec<(String, String)> {
    client.query(sql, &[]).unwrap().iter().map(|r| (r.get(0), r.get(1))).collect()
}

impl<'s> Twin<'s> {
    /// The server's major version.
    pub fn server() -> i32 {
        let database = Database::new("");
        database.client().query_one("SELECT current_setting('server_version_num')::int / 10000", &[]).unwrap().get(0)
    }

    pub fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let database = Database::new(scenario.sql);
        for command in scenario.commands {
            database.ok(command);
        }
        let copy = database.copy();
        copy.ok(&["materialize", "--yes"]);
        let (mut x, mut y) = (database.client(), copy.client());
        y.batch_execute("SET search_path = public").unwrap();
        let new = Writer::new(&mut y, scenario.pools);
        x.batch_execute("SET search_path = pg_catalog").unwrap();
        let old = Writer::new(&mut x, scenario.pools);
        let kept = "SELECT c.oid::regclass::text, '' FROM pg_class c WHERE c.relkind = 'r'
            AND c.relnamespace = 'refactor'::regnamespace AND c.relname LIKE 'kept%' ORDER BY 1";
        let base: Vec<String> = old
            .tables
            .iter()
            .map(|t| t.name.clone())
            .chain(texts(&mut x, kept).into_iter().map(|(name, _)| name))
            .collect();
        let shown: Vec<String> = new.tables.iter().map(|t| t.name.clone()).collect();
        x.batch_execute("SET search_path = next, public").unwrap();
        let sequences = "SELECT quote_ident(c.relname), '' FROM pg_class c WHERE c.relkind = 'S'
            AND c.relnamespace = 'public'::regnamespace";
        let orphans = "SELECT conname::text, format('SELECT 1 FROM %s AS a WHERE (%s) AND NOT EXISTS (SELECT FROM %s AS b WHERE %s)', conrelid::regclass,
              (SELECT string_agg(format('a.%I IS NOT NULL', attname), ' AND ') FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)),
              confrelid::regclass,
              (SELECT string_agg(format('a.%I = b.%I', a.attname, b.attname), ' AND ') FROM unnest(conkey, confkey) AS k (x, y)
                JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = x JOIN pg_attribute b ON b.attrelid = confrelid AND b.attnum = y))
            FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND connamespace = 'public'::regnamespace";
        let mut all_sequences: Vec<String> =
            [&mut x, &mut y].into_iter().flat_map(|c| texts(c, sequences)).map(|(name, _)| name).collect();
        all_sequences.sort();
        all_sequences.dedup();
        Self {
            orphans: texts(&mut y, orphans),
            sequences: all_sequences,
            state: state_of(&shown),
            base: state_of(&base),
            scenario,
            database,
            x,
            y,
            _copy: copy,
            new,
            old,
            r: Random::new(seed),
            seed,
            recent: Vec::new(),
            faults: Vec::new(),
            done: 0,
            failed: 0,
        }
    }

    fn fault(&mut self, step: usize, sql: &str, what: &str, before: &[(String, String)]) {
        if self.faults.len() < 40 {
            let mut text = format!("{} seed {} step {step}: {what}\n  {sql}\n  before:", self.scenario.name, self.seed);
            for (table, rows) in before {
                let _ = write!(text, "\n    {table}: {}", rows.replace('\n', " "));
            }
            let _ = write!(text, "\n  in this transaction: {}", self.recent.join("; "));
            self.faults.push(text);
        }
    }

    fn both(&mut self, sql: &str) {
        self.x.batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        self.y.batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// Now and then half of what became many.
    fn write(&mut self, now: &[(String, String)]) -> String {
        let many = now.iter().find(|(_, rows)| rows.matches('\n').count() > 22);
        match many {
            Some((table, _)) => format!("DELETE FROM {table} AS refactor_q WHERE md5(refactor_q::text) < '8'"),
            None => self.new.any(&mut self.r),
        }
    }

    /// Random writes through `next` and to the real tables; `mixed` writes to the old tables in between.
    pub fn run(&mut self, operations: usize, mixed: bool) {
        let mut open = false;
        for step in 0..operations {
            let mut begin = String::new();
            if !open {
                self.recent.clear();
                begin += "BEGIN;";
            }
            for sequence in &self.sequences {
                // A new table's lives in our schema until it is real.
                let numbers = sequence.split("_id_seq").next().unwrap_or_default();
                let there = format!(
                    "coalesce(to_regclass('{sequence}'), to_regclass('refactor.{sequence}'), to_regclass('refactor.numbers_0001_{numbers}'))"
                );
                let at = 30 + (self.done + self.failed) * 8;
                let _ = write!(begin, "SELECT setval(s, {at}) FROM {there} AS s WHERE s IS NOT NULL;");
            }
            self.both(&begin);
            if mixed && self.r.percent(40) {
                self.old_write(step);
            } else {
                self.new_write(step, mixed);
            }
            open = self.r.percent(35);
            if !open {
                let end = if self.r.percent(8) { "ROLLBACK" } else { "COMMIT" };
                self.both(end);
            }
        }
        if open {
            self.both("COMMIT");
        }
    }

    fn new_write(&mut self, step: usize, mixed: bool) {
        let before = texts(&mut self.x, &self.state);
        let same = self.r.percent(4);
        let sql = if same { self.new.unchanged(&mut self.r) } else { self.write(&before) };
        let undo = self.r.percent(12);
        let base = if undo || same { texts(&mut self.x, &self.base) } else { Vec::new() };
        let unknown = if mixed { self.unknown() } else { 0 };
        self.both("SAVEPOINT s");
        let (there, here) = (self.next(&sql), outcome(&mut self.y, &sql));
        if matches!(there, Outcome::Failed(_)) {
            self.x.batch_execute("ROLLBACK TO s").unwrap();
        }
        let fault = if let (Outcome::Failed(x), Outcome::Failed(y)) = (&there, &here) {
            self.y.batch_execute("ROLLBACK TO s").unwrap();
            self.failed += 1;
            let same = Self::same_refusal(x, y) || self.scenario.same(x, y) || self.scenario.stricter(x);
            (!same && !self.another_order(&sql, x, y)).then(|| format!("next: {x:?}\n  table: {y:?}"))
        } else {
            self.done += 1;
            let differs = there != here && !Self::allowed(&there, &here);
            let (a, b) = if matches!(here, Outcome::Failed(_)) {
                self.y.batch_execute("ROLLBACK TO s").unwrap();
                (Vec::new(), Vec::new())
            } else {
                (self.shown(), texts(&mut self.y, &self.state))
            };
            let state: Vec<String> = a
                .iter()
                .zip(&b)
                .filter(|(a, b)| a != b)
                .map(|(a, b)| {
                    format!("\n  next {}: {}\n  table: {}", a.0, a.1.replace('\n', " "), b.1.replace('\n', " "))
                })
                .collect();
            (differs || !state.is_empty()).then(|| format!("next: {there:?}\n  table: {here:?}{}", state.concat()))
        };
        // Rows that one statement deletes and puts back meet, in a self reference, rows that still refer to them: refused
        // loudly, as two values of one row.
        let put_back = sql.starts_with("WITH d AS (DELETE");
        let too_early = matches!(&there, Outcome::Failed(f)
            if ["23503", "0A000"].contains(&&*f.code) || put_back && f.code == "23000");
        if let Some(what) = fault {
            // A row that old code made and that never had a value takes that of the first row moved to it, as old
            // code needs: the one write through `next` that is not as in a table.
            let announced = breaks(&there, self.scenario.from_then_on) || breaks(&here, self.scenario.from_then_on);
            let stricter = matches!(&there, Outcome::Failed(f) if self.scenario.stricter(f));
            let known = unknown != 0 || announced || stricter || (self.scenario.row_by_row && too_early);
            let known = known || passing_by(&sql, &there, &here);
            if !known {
                self.fault(step, &sql, &what, &before);
            }
            self.both("ROLLBACK TO s");
            return;
        }
        if matches!(there, Outcome::Failed(_)) {
            return;
        }
        if same {
            let after = texts(&mut self.x, &self.base);
            // Only the old shape's own tables: remembering a value for later is no change.
            let kept = |s: &Vec<(String, String)>| {
                s.iter().filter(|(t, _)| !t.starts_with("refactor.")).cloned().collect::<Vec<_>>()
            };
            if kept(&after) != kept(&base) {
                self.fault(
                    step,
                    &sql,
                    &format!("writing back what was read changed the base\n  {base:?}\n  {after:?}"),
                    &before,
                );
            }
        }
        self.truth(step, &sql, &before);
        if undo {
            self.both("ROLLBACK TO s");
            let after = texts(&mut self.x, &self.base);
            if after != base {
                self.fault(step, &sql, &format!("ROLLBACK TO left something\n  {base:?}\n  {after:?}"), &before);
            }
        } else {
            self.recent.push(sql);
        }
    }

    /// A statement on the deferred side. Errors name fields as the base does; here they get their new names.
    fn next(&mut self, sql: &str) -> Outcome {
        let mut outcome = outcome(&mut self.x, sql);
        if let Outcome::Failed(Failed { column: Some(column), constraint: None, .. }) = &mut outcome
            && let Some((_, new)) = self.scenario.renamed.iter().find(|(old, _)| old == column)
        {
            column.clone_from(&(*new).to_owned());
        }
        outcome
    }

    fn shown(&mut self) -> Vec<(String, String)> {
        texts(&mut self.x, &self.state)
    }

    /// How many rows of old code wait for a value.
    fn unknown(&mut self) -> i64 {
        let tables = self.x.query(
            "SELECT attrelid::regclass::text FROM pg_attribute WHERE attname = 'refactor_unknown' AND attrelid IN
               (SELECT oid FROM pg_class WHERE relkind = 'r')",
            &[],
        );
        let names: Vec<String> = tables.unwrap().iter().map(|r| r.get(0)).collect();
        names
            .iter()
            .map(|t| {
                self.x
                    .query_one(&format!("SELECT count(*) FROM {t} WHERE refactor_unknown"), &[])
                    .unwrap()
                    .get::<_, i64>(0)
            })
            .sum()
    }

    /// An explicit value for a generated field is refused when a statement is planned, or row by row: no row, no error.
    fn allowed(there: &Outcome, here: &Outcome) -> bool {
        // Or a count of no row.
        let none = |count, rows: &[String]| count == 0 || rows == ["0"];
        matches!((there, here), (Outcome::Done { count, rows }, Outcome::Failed(f)) if none(*count, rows) && f.code == "428C9")
    }

    /// Where PostgreSQL itself refuses to write a calculated field of a view, it says so by another code.
    fn same_refusal(there: &Failed, here: &Failed) -> bool {
        there == here || (&*there.code, &*here.code) == ("0A000", "428C9")
    }

    /// A statement that breaks several constraints may be told of another first: without the one that the table names,
    /// the table must name the one that `next` does.
    fn another_order(&mut self, sql: &str, x: &Failed, y: &Failed) -> bool {
        if !(x.code.starts_with("23") || x.code == "44000") || !y.code.starts_with("23") {
            return false;
        }
        let mut told = y.clone();
        let mut found = false;
        for _ in 0..8 {
            let relax = match (&told.constraint, &told.column, &told.table) {
                (Some(name), _, _) => format!(
                    "DO $$ DECLARE c record; BEGIN FOR c IN SELECT conrelid::regclass AS t FROM pg_constraint WHERE conname = '{name}' AND conparentid = 0
                     LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', c.t, '{name}'); END LOOP; END $$;
                     DROP INDEX IF EXISTS public.\"{name}\""
                ),
                (None, Some(column), Some(table)) => format!(
                    "DO $$ DECLARE c record; BEGIN FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = 'public.\"{table}\"'::regclass AND contype = 'p'
                       AND conkey @> ARRAY(SELECT attnum FROM pg_attribute WHERE attrelid = conrelid AND attname = '{column}')
                     LOOP EXECUTE format('ALTER TABLE public.\"{table}\" DROP CONSTRAINT %I CASCADE', c.conname); END LOOP;
                     ALTER TABLE public.\"{table}\" ALTER COLUMN \"{column}\" DROP IDENTITY IF EXISTS; ALTER TABLE public.\"{table}\" ALTER COLUMN \"{column}\" DROP NOT NULL; END $$"
                ),
                _ => break,
            };
            if self.y.batch_execute(&relax).is_err() {
                break;
            }
            self.y.batch_execute("SAVEPOINT again").unwrap();
            let next = outcome(&mut self.y, sql);
            // The key that it rests on has gone with the constraint before: look oneself.
            let orphans =
                self.orphans.iter().find(|(name, _)| Some(name) == x.constraint.as_ref()).filter(|_| x.code == "23503");
            if let (Outcome::Done { .. }, Some((_, orphans))) = (&next, orphans) {
                found = !self.y.query(orphans, &[]).unwrap().is_empty();
            }
            self.y.batch_execute("ROLLBACK TO again").unwrap();
            match next {
                Outcome::Failed(failed) if self.scenario.same(x, &failed) => {
                    found = true;
                    break;
                }
                Outcome::Failed(failed) if failed != told => told = failed,
                _ => break,
            }
        }
        self.y.batch_execute("ROLLBACK TO s").unwrap();
        found
    }

    /// What the views show is what base and complement say, by queries that owe nothing to the generator.
    fn truth(&mut self, step: usize, sql: &str, before: &[(String, String)]) {
        for (want, shown) in self.scenario.truth {
            let row = |q: &str| {
                format!("SELECT coalesce(string_agg(q::text, ' ' ORDER BY q::text COLLATE \"C\"), '') FROM ({q}) AS q")
            };
            let want: String = self.x.query_one(&row(want), &[]).unwrap().get(0);
            let shown: String = self.x.query_one(&row(shown), &[]).unwrap().get(0);
            if want != shown {
                self.fault(step, sql, &format!("the base says {want}\n  next shows {shown}"), before);
            }
        }
    }

    /// A write of old code: whatever it does, the laws hold after it, and the twin starts again from what `next` shows.
    fn old_write(&mut self, step: usize) {
        let before = self.shown();
        let sql = self.old.any(&mut self.r);
        let unknown = self.unknown();
        self.both("SAVEPOINT s");
        let there = outcome(&mut self.x, &sql);
        if let Outcome::Failed(failed) = &there {
            self.failed += 1;
            self.x.batch_execute("ROLLBACK TO s").unwrap();
            let plain = ["22", "23", "428C9"].iter().any(|c| failed.code.starts_with(c));
            if !plain {
                self.fault(step, &sql, &format!("old code: {failed:?}"), &before);
            }
            return;
        }
        self.done += 1;
        self.truth(step, &sql, &before);
        let words: Vec<&str> = sql.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        // What old code inserts has no say about fields that it does not know.
        let inserts_less = words.contains(&"INSERT");
        let same = !inserts_less
            && !self.scenario.moves.iter().any(|m| words.contains(m))
            && unknown == 0
            && self.unknown() == 0;
        if same {
            let here = outcome(&mut self.y, &sql);
            let (a, b) = (
                self.shown(),
                if matches!(here, Outcome::Failed(_)) { Vec::new() } else { texts(&mut self.y, &self.state) },
            );
            let other_fields = matches!(&here, Outcome::Failed(f) if f.code == "42703");
            let free = breaks(&here, self.scenario.rules) || breaks(&here, self.scenario.from_then_on);
            if a != b && !other_fields && !free {
                self.fault(
                    step,
                    &sql,
                    &format!("old code: {there:?}\n  next: {a:?}\n  table: {here:?} {b:?}"),
                    &before,
                );
            }
            self.y.batch_execute("ROLLBACK TO s").unwrap();
        }
        if self.copy_over() {
            self.recent.push(sql);
        } else {
            // A row of old code has no value yet for a field that must have one: materializing would wait for it.
            self.both("ROLLBACK TO s");
        }
    }

    /// Makes the real tables hold what `next` shows.
    fn copy_over(&mut self) -> bool {
        self.y.batch_execute("SET LOCAL session_replication_role = replica").unwrap();
        let mut fits = true;
        for table in &self.new.tables {
            let name = &table.name;
            let json: String = self
                .x
                .query_one(&format!("SELECT coalesce(json_agg(refactor_q), '[]')::text FROM {name} AS refactor_q"), &[])
                .unwrap()
                .get(0);
            let columns: Vec<&str> = table.columns.iter().filter(|c| !c.generated).map(|c| c.name.as_str()).collect();
            let columns = columns.join(", ");
            self.y.batch_execute(&format!("DELETE FROM {name}")).unwrap();
            let sql = format!(
                "INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM json_populate_recordset(NULL::{name}, {})",
                refactor::sql::Literal(json)
            );
            if let Err(error) = self.y.batch_execute(&sql) {
                let code = error.code().map(postgres::error::SqlState::code);
                let bound = !self.scenario.rules.is_empty() && matches!(code, Some("23505" | "23514"));
                assert!(code == Some("23502") || bound, "{sql}: {error:?}");
                fits = false;
                break;
            }
        }
        fits = fits && !self.orphans.iter().any(|(_, orphans)| !self.y.query(orphans, &[]).unwrap().is_empty());
        if fits {
            self.y.batch_execute("SET LOCAL session_replication_role = origin").unwrap();
        }
        fits
    }

    /// The end of it all: makes all real while both shapes are written, step by step as it would be.
    pub fn materialize(mut self) -> Vec<String> {
        self.x.batch_execute(self.scenario.mended).unwrap();
        let planned = self.database.run(&["plan", "--script", "--beside-from", "0"]);
        let script = String::from_utf8(planned.stdout).unwrap();
        let Some((before, then)) = script.rsplit_once("\nBEGIN;\n").filter(|_| planned.status.success()) else {
            // Not all of it is one script.
            let shown = self.shown();
            self.database.ok(&["materialize", "--yes"]);
            self.compare(&shown);
            return self.faults;
        };
        let mut beside = self.database.client();
        let steps = before.split_once("\\set ON_ERROR_STOP on\n").map_or("", |(_, steps)| steps);
        for step in steps.split("\n-- ").skip(1) {
            beside.batch_execute(&format!("-- {step}")).unwrap_or_else(|e| panic!("{e:?}: {step}"));
            self.run(3, true);
        }
        self.x.batch_execute(self.scenario.mended).unwrap();
        let shown = self.shown();
        psql(&self.database, &format!("\\set ON_ERROR_STOP on\nBEGIN;\n{then}")).unwrap();
        self.compare(&shown);
        self.faults
    }

    fn compare(&mut self, before: &[(String, String)]) {
        let after = self.shown();
        if before != after {
            self.fault(usize::MAX, "materialize", &format!("{before:?}\n  {after:?}"), &[]);
        }
    }
}
