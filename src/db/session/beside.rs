//! Showing a refactoring of large tables while others write: triggers first, then what is read of the tables, the views
//! last. Each is a transaction of its own, and none makes anybody wait for long.
//!
//! Cut off between them, the journal knows nothing of the refactoring yet, and what is there of it is told from what
//! should be there: the next run takes it back before it does anything else.

use std::time::{Duration, Instant};

use crate::db::facts::{self, Answer};
use crate::db::run;
use crate::db::session::{Deferred, Place, Seen, Session};
use crate::db::{installed, lock};
use crate::generate::BY_INDEX;
use crate::generate::beside::{Beside, READ};
use crate::plan::defer::defer;
use crate::plan::watch::{self, Watch};
use crate::plan::{Plan, PlanStep};
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
        let place = self.place()?;
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

    /// Makes rules and indexes ready, while others write.
    pub(super) fn get_ready(&mut self, place: &Place, plan: &Plan, seen: Seen) -> Result<(), Problem> {
        for (at, step) in plan.before.iter().enumerate() {
            seen(at, &step.sentence);
            if step.lock.is_some() {
                let one = Plan { title: plan.title.clone(), steps: vec![step.clone()], ..Plan::default() };
                self.run(&one, &place.schema.code_path(), &mut |_, _| {}, &mut |_| Ok(()))?;
            } else {
                // Whoever it waits for, nobody waits for it.
                let done = self.client.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0");
                let done = done.and_then(|()| self.client.batch_execute(&step.sql));
                done.map_err(|e| Problem::server(format!("cannot {}: {}", plan.title, step.sentence), &e))?;
            }
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
