//! Showing a refactoring of large tables while others write: triggers first, then what is read of the tables, the views
//! last. Each is a transaction of its own, and none makes anybody wait for long.
//!
//! Cut off between them, the journal knows nothing of the refactoring yet, and what is there of it is told from what
//! should be there: the next run takes it back before it does anything else.

use std::time::{Duration, Instant};

use postgres::GenericClient;
use postgres::error::SqlState;

use crate::db::facts::{self, Answer};
use crate::db::run;
use crate::db::session::{Deferred, Place, Seen, Session};
use crate::db::{installed, lock};
use crate::generate::BY_INDEX;
use crate::generate::beside::{Beside, READ};
use crate::name::own;
use crate::plan::defer::defer;
use crate::plan::materialize::LATER;
use crate::plan::materialize::ready::READY;
use crate::plan::watch::{self, Watch};
use crate::plan::{Alone, Plan, PlanStep};
use crate::problem::{Kind, Problem};
use crate::version::Version;

/// What is left to be done: the views, over what watches the tables already.
pub(super) struct Begun {
    pub plan: Plan,
    /// The answers about tables that this makes.
    pub later: Vec<Answer>,
}

/// How many rows are written at once at least, unless somebody is in the way.
const FEW: i64 = 250;

/// How long writing some rows may take, since others may wait for them.
const SHORT: Duration = Duration::from_millis(30);

/// What tables are like, but for what is ours: another text when somebody has changed one.
fn like() -> String {
    format!(
        "WITH these (oids) AS (SELECT array_agg(to_regclass(name)::oid) FROM unnest($1::text[]) AS name)
    SELECT coalesce(string_agg(said, E'\\n' ORDER BY said COLLATE \"C\"), '') FROM (
      SELECT concat_ws(' ', oid, relname, relnamespace, relowner, relacl::text, relrowsecurity, relforcerowsecurity, relreplident) AS said
      FROM these, pg_class WHERE oid = ANY (oids)
      UNION ALL SELECT concat_ws(' ', attrelid, attnum, attname, atttypid, atttypmod, attcollation, attnotnull, attidentity, attacl::text, attisdropped)
      FROM these, pg_attribute WHERE attrelid = ANY (oids) AND attnum > 0
      UNION ALL SELECT concat_ws(' ', adrelid, adnum, pg_get_expr(adbin, adrelid)) FROM these, pg_attrdef WHERE adrelid = ANY (oids)
      UNION ALL SELECT concat_ws(' ', conrelid, confrelid, conname, pg_get_constraintdef(oid)) FROM these, pg_constraint
      WHERE (conrelid = ANY (oids) OR confrelid = ANY (oids)) AND contype <> 't' AND NOT starts_with(conname, '{READY}')
      UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM these, pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
      WHERE i.indrelid = ANY (oids) AND NOT starts_with(c.relname, '{READY}')
      UNION ALL SELECT concat_ws(' ', pg_get_triggerdef(oid), tgenabled) FROM these, pg_trigger
      WHERE tgrelid = ANY (oids) AND NOT tgisinternal AND tgname !~ '^[!~]refactor_'
      UNION ALL SELECT concat_ws(' ', polrelid, polname, polcmd, polpermissive, polroles::text, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
      FROM these, pg_policy WHERE polrelid = ANY (oids)
    ) AS all_of_them"
    )
}

/// What the tables of a version are like.
pub(super) fn likeness(client: &mut impl GenericClient, version: &Version) -> Result<String, postgres::Error> {
    let tables: Vec<String> = version.touched().map(|r| r.base.to_string()).collect();
    // Texts name things as the path demands.
    let mut inside = client.transaction()?;
    inside.execute("SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)", &[])?;
    let like = inside.query_one(&like(), &[&tables])?.get(0);
    inside.rollback()?;
    Ok(like)
}

/// What an earlier run has left that was cut off, in words.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn left_over(place: &Place) -> Result<Vec<String>, Problem> {
    // Where the refactorings make no sense any more nothing can be told, and something else is to be done first.
    let Ok(version) = place.version() else { return Ok(Vec::new()) };
    let ready = place.installed.ready.iter().map(|(words, _)| words.clone());
    Ok(watch::left_over(&version, &place.installed)?.into_iter().chain(ready).collect())
}

impl Session {
    /// Reads where the database is, and takes back what an earlier run has left that was cut off.
    ///
    /// # Errors
    /// When the server says so.
    pub fn settled(&mut self) -> Result<(Place, Vec<String>), Problem> {
        let mut place = self.place()?;
        if !place.installed.later.is_empty() {
            self.do_the_rest(&place.installed.later, &mut |_, _| {})?;
            place = self.place()?;
        }
        let left = left_over(&place)?;
        if left.is_empty() {
            return Ok((place, left));
        }
        self.take_back(&place)?;
        Ok((self.place()?, left))
    }

    /// Shows exactly what the journal has.
    fn take_back(&mut self, place: &Place) -> Result<(), Problem> {
        let title = "take back what was begun";
        self.not_ready(place)?;
        let installed = installed::read(&mut self.client)?;
        let plan = defer(&place.version()?, &installed, title, String::new())?;
        self.run(&plan, &place.schema.code_path(), &mut |_, _| {}, &mut |_| Ok(()))
    }

    /// Makes tables, rules and indexes ready, while others write.
    pub(super) fn get_ready(&mut self, place: &Place, plan: &Plan, seen: Seen) -> Result<(), Problem> {
        for (at, step) in plan.before.iter().enumerate() {
            seen(at, &step.sentence);
            lock::tell(&mut self.client, at + 1, plan.before.len() + 1, &step.sentence)?;
            self.by_itself(place, &plan.title, step)?;
        }
        let (all, sentence) = (plan.before.len() + 1, "make all real in one transaction");
        lock::tell(&mut self.client, all, all, sentence)?;
        Ok(())
    }

    /// Runs a step that is in no transaction with others.
    fn by_itself(&mut self, place: &Place, title: &str, step: &PlanStep) -> Result<(), Problem> {
        if step.alone != Some(Alone::Bare) {
            let one = Plan { title: title.to_owned(), steps: vec![step.clone()], ..Plan::default() };
            return self.run(&one, &place.schema.code_path(), &mut |_, _| {}, &mut |_| Ok(()));
        }
        self.bare(&step.sql).map_err(|e| Problem::server(format!("cannot {title}: {}", step.sentence), &e))
    }

    /// Whoever it waits for, nobody waits for it.
    fn bare(&mut self, sql: &str) -> Result<(), postgres::Error> {
        self.client.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0")?;
        self.client.batch_execute(sql)
    }

    /// Does what is left to do when all is real.
    ///
    /// # Errors
    /// When the server says so: what is not done is done by the next run.
    pub(super) fn do_the_rest(&mut self, later: &[PlanStep], seen: Seen) -> Result<(), Problem> {
        for (at, PlanStep { sentence, sql, .. }) in later.iter().enumerate() {
            seen(at, sentence);
            if let Err(error) = self.bare(sql) {
                let is_gone = [SqlState::UNDEFINED_OBJECT, SqlState::UNDEFINED_TABLE];
                if !error.code().is_some_and(|code| is_gone.contains(code)) {
                    return Err(Problem::server(format!("cannot finish what was made real: {sentence}"), &error));
                }
            }
        }
        if !later.is_empty() {
            self.client.batch_execute(&format!("DROP TABLE IF EXISTS {}", own(&[LATER])))?;
        }
        Ok(())
    }

    /// Takes back what was made ready.
    pub(super) fn not_ready(&mut self, place: &Place) -> Result<(), Problem> {
        let title = "take back what was made ready";
        for (_, sql) in installed::read(&mut self.client)?.ready {
            let plan = Plan { title: title.to_owned(), steps: vec![PlanStep::new(title, sql)], ..Plan::default() };
            self.run(&plan, &place.schema.code_path(), &mut |_, _| {}, &mut |_| Ok(()))?;
        }
        Ok(())
    }

    /// The same after a problem, which says so if that fails, too.
    pub(super) fn give_up(&mut self, place: &Place, mut problem: Problem) -> Problem {
        if let Err(error) = self.take_back(place) {
            problem.why.push(format!("what was begun could not be taken back now: {}", error.why.join("; ")));
            problem.why.push("the next run of `refactor apply` or `refactor undo` takes it back".into());
        }
        problem
    }

    /// Lets triggers watch the tables, and then reads what is to be read. None where all can be done in one short
    /// transaction, or must be done in one.
    pub(super) fn begin(&mut self, place: &Place, deferred: &Deferred, seen: Seen) -> Result<Option<Begun>, Problem> {
        let version = &deferred.version;
        if deferred.names.is_empty() || !deferred.stages.is_empty() || self.is_small(version) {
            return Ok(None);
        }
        let Some(watch) = watch::watch(version, &place.installed, &deferred.plan.title)? else { return Ok(None) };
        self.run(&watch.plan, &place.schema.code_path(), seen, &mut |_| Ok(()))?;
        match self.read_beside(place, deferred, &watch, seen) {
            Ok(begun) => Ok(Some(begun)),
            Err(problem) => Err(self.give_up(place, problem)),
        }
    }

    fn is_small(&self, version: &Version) -> bool {
        let tables = version.touched().filter_map(|r| version.schema.tables.get(&r.base));
        tables.map(|t| t.bytes).max().unwrap_or(0) < self.beside_from
    }

    fn read_beside(&mut self, place: &Place, deferred: &Deferred, watch: &Watch, seen: Seen) -> Result<Begun, Problem> {
        let Deferred { version, facts, later, plan, journal, .. } = deferred;
        for (at, beside) in watch.beside.iter().enumerate() {
            seen(watch.plan.steps.len() + at, &beside.sentence);
            self.write_beside(place, &plan.title, beside)?;
        }
        let mut answers = Vec::new();
        for wanted in facts.iter().map(|answer| &answer.fact).chain(later) {
            // Whoever wrote before the triggers were there has committed, and is seen.
            let answer = facts::ask(&mut self.client, version, wanted)?;
            if !answer.holds() {
                return Err(Problem::facts(&format!("{}: somebody wrote meanwhile", plan.title), &[answer]));
            }
            answers.push(answer);
        }
        let installed = installed::read(&mut self.client)?;
        let shown = defer(version, &installed, &plan.title, journal.clone())?;
        Ok(Begun { plan: shown, later: answers.split_off(facts.len()) })
    }

    /// Reads rows, and writes them down few at a time.
    fn write_beside(&mut self, place: &Place, title: &str, beside: &Beside) -> Result<(), Problem> {
        let path = &place.schema.code_path();
        let failed = |error: &postgres::Error| Problem::server(format!("cannot {title}: {}", beside.sentence), error);
        let mut transaction = self.client.transaction()?;
        run::prepare(&mut transaction, Duration::ZERO, path)?;
        transaction.batch_execute(&format!("DROP TABLE IF EXISTS {READ};")).map_err(|e| failed(&e))?;
        transaction.batch_execute(&beside.read).map_err(|e| failed(&e))?;
        let count: i64 = transaction.query_one(&format!("SELECT pg_catalog.count(*) FROM {READ}"), &[])?.get(0);
        transaction.commit()?;
        let mut tries = self.patience.begin();
        let mut rest = count;
        while rest > 0 {
            let (mut from, mut size) = (1, beside.most.min(1000));
            while from <= count {
                let start = Instant::now();
                let mut transaction = self.client.transaction()?;
                run::prepare(&mut transaction, tries.lock_timeout(), path)?;
                if beside.by_index {
                    transaction.batch_execute(BY_INDEX)?;
                }
                match transaction.batch_execute(&beside.write(from, from + size - 1)) {
                    Ok(()) => {
                        transaction.commit()?;
                        from += size;
                        tries = self.patience.begin();
                        size = if start.elapsed() < SHORT / 2 { size * 2 } else { size };
                        size = if start.elapsed() > SHORT { size / 2 } else { size }.clamp(FEW, beside.most);
                    }
                    Err(error) if run::may_pass(&error) => {
                        transaction.rollback()?;
                        size = (size / 4).max(1);
                        if !tries.again() {
                            return Err(lock::named(&mut self.client, failed(&error), &beside.sentence, &tries));
                        }
                    }
                    Err(error) => return Err(failed(&error)),
                }
            }
            let before = rest;
            rest = self.client.query_one(&beside.rest, &[])?.get(0);
            if rest >= before {
                let why = format!("{rest} of {count} could not be written down");
                return Err(Problem::new(Kind::Server, format!("cannot {title}: {}", beside.sentence), why));
            }
        }
        self.client.batch_execute(&format!("DROP TABLE IF EXISTS {READ};"))?;
        Ok(())
    }
}
