//! One connection at work: reads where a database is, and takes it from one version to the next.

pub mod beside;
pub mod migration;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, GenericClient, IsolationLevel, SimpleQueryMessage, Transaction};

use crate::catalogue::{Refactor, Refactoring};
use crate::db::facts::{self, Answer};
use crate::db::run::{self, Patience, Tries};
use crate::db::trial::{self, Trial};
use crate::db::{crossing, dependents as bodies, installed, judge, lock, rights};
use crate::fact::{Fact, Loss};
use crate::generate::place::Needed;
use crate::generate::{OWN, all, complement, fact, floor, lookup, rows, shown_in, slice};
use crate::journal::{Entry, Recorded, State};
use crate::name::{Ident, TableName, delimited, shell};
use crate::plan::defer::{change_state, defer, new_types, record, record_inverse, take_down, told_back, unwanted};
use crate::plan::dependents::{self, Dependent, Fate};
use crate::plan::drift::drift;
use crate::plan::materialize::dependents::Dependents;
use crate::plan::materialize::{self, Options};
use crate::plan::{Alone, Installed, Plan, PlanStep, Stranger};
use crate::plan::{meets, script};
use crate::problem::{Kind, Problem};
use crate::refusal::Refusal;
use crate::relation::{Relation, row_key};
use crate::schema::{Schema, read};
use crate::sql::{Expression, Literal};
use crate::version::{Made, RemarkKind, Step, Unlisted, Version};

/// A connection and how patient it is.
pub struct Session {
    client: Client,
    patience: Patience,
    /// `search_path` as the user's programs have it.
    path: String,
    /// The size of a table, in bytes, from which it is read while others write.
    beside_from: i64,
    /// The process of the server that serves us; none if the connection was lost at once.
    process: Option<String>,
}

const AS_WE_READ: &str = "SET quote_all_identifiers = off; SET standard_conforming_strings = on; SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 1; SET jit = off;";

/// Large tables take long. From PostgreSQL 17 on there is such a limit.
const NO_LIMIT: &str =
    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'";

impl Drop for Session {
    /// Lets go of the lock now: a server takes a moment to notice that a connection has ended, and the next command
    /// must not meet the lock of the one before. Behind a pool somebody else gets the connection, who must not get our
    /// settings with it.
    fn drop(&mut self) {
        let _ = self.client.batch_execute("SELECT pg_catalog.pg_advisory_unlock_all(); RESET ALL");
    }
}

/// Where a database is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The physical schema.
    pub schema: Arc<Schema>,
    /// What of ours is there.
    pub installed: Installed,
    /// The refactorings it knows.
    pub recorded: Vec<Recorded>,
}

impl Place {
    /// The deferred refactorings, in order.
    #[must_use]
    pub fn pending(&self) -> Vec<Step> {
        self.recorded.iter().filter(|r| r.state == State::Deferred).map(|r| r.entry.step.clone()).collect()
    }

    /// The version that the views show.
    ///
    /// # Errors
    /// When the tables were changed under the refactorings, so that they make no sense any more.
    pub fn version(&self) -> Result<Version, Problem> {
        let pending = self.pending();
        let folded = Version::fold(self.schema.clone(), &pending);
        folded.map_err(|(at, refusal)| self.changed_under(&pending[at], refusal))
    }

    /// How what is installed differs from what the tables give now, a sentence each. `apply` repairs it.
    ///
    /// # Errors
    /// When the refactorings make no sense any more.
    pub fn drift(&self) -> Result<Vec<String>, Problem> {
        Ok(drift(&self.version()?, &self.installed)?)
    }

    /// A deferred refactoring that makes no sense in the tables as they are now.
    fn changed_under(&self, step: &Step, refusal: Refusal) -> Problem {
        let go: Vec<String> = self.without_ground().iter().map(|name| shell(name)).collect();
        Problem {
            what: format!("{} does not fit the tables any more: somebody has changed them", step.name),
            why: vec![format!("it cannot {}: {refusal}", step.refactoring.wish())],
            hint: Some(format!(
                "take that change back, then `refactor apply`; or do without: `refactor undo {}`",
                go.join(" ")
            )),
            kind: Kind::Refused(refusal),
        }
    }

    /// The deferred refactorings that make no sense any more, and those that rest on them.
    fn without_ground(&self) -> Vec<String> {
        let (mut steps, mut go) = (self.pending(), Vec::new());
        while let Err((at, _)) = Version::fold(self.schema.clone(), &steps) {
            go.push(steps.remove(at).name);
        }
        go
    }

    /// The version after some steps.
    ///
    /// # Errors
    /// The first step that makes no sense.
    pub fn fold(&self, steps: &[Step]) -> Result<Version, Problem> {
        Version::fold(self.schema.clone(), steps).map_err(|(at, refusal)| Problem::refused(&steps[at], refusal))
    }
}

/// What deferring did.
#[derive(Debug)]
pub struct Deferred {
    /// The version now shown.
    pub version: Version,
    /// The facts that were asked.
    pub facts: Vec<Answer>,
    /// The facts about tables and values that this makes, to be asked when they are there.
    later: Vec<Fact>,
    /// Values without a place in the new shape.
    pub losses: Vec<(Loss, i64)>,
    /// Time that the data took to answer: facts and losses.
    pub asking: Duration,
    /// Time of everything else.
    pub time: Duration,
    /// The plan.
    pub plan: Plan,
    /// Data steps and what is shown after each, in order.
    stages: Vec<Stage>,
    /// The data steps that were run, and how many rows each changed.
    pub changed: Vec<(String, u64)>,
    /// What was tried of the tables that SQL of the user tells.
    pub trials: Vec<Trial>,
    /// The refactorings that are shown before the first data step.
    names: Vec<String>,
    /// Where the clock of transactions stood before the facts were asked.
    before: (String, bool),
    /// What is written into the journal.
    journal: String,
}

/// A data step, to be run on what is shown, and what is shown then.
#[derive(Debug)]
struct Stage {
    step: Step,
    shown: Version,
    entries: Vec<Entry>,
    then: Version,
    facts: Vec<Fact>,
}

/// A materialization, prepared and to be run.
#[derive(Debug)]
pub struct Materialization {
    /// The plan, with losses counted.
    pub plan: Plan,
    /// The version that becomes real.
    pub version: Version,
    /// The refactorings that become real.
    pub names: Vec<String>,
    /// Those that stay deferred.
    pub rest: Vec<Step>,
    /// How many of its steps come before the views can be compared with anything: locks, and complements told anew.
    first: usize,
}

/// Hears of every step before it runs.
pub type Seen<'a> = &'a mut dyn FnMut(usize, &str);

impl Session {
    /// Takes a connection over. Names mean PostgreSQL's own from now on: who may create anything in a schema of the
    /// user's path could make us call it instead.
    ///
    /// # Errors
    /// When the server says so.
    pub fn new(mut client: Client) -> Result<Self, Problem> {
        let path = client.query_one("SELECT pg_catalog.current_setting('search_path')", &[])?.get(0);
        client.batch_execute(&run::set_path("SET", &[]))?;
        // Should we be killed, the server notices within a statement and lets go of our locks. Not every platform has
        // it, and nothing depends on it.
        let _ = client.batch_execute("SET client_connection_check_interval = '1s'");
        // How the server writes names and values must not depend on somebody's settings: what it writes is compared, and
        // becomes part of SQL.
        let _ = client.batch_execute(AS_WE_READ);
        let _ = client.batch_execute(NO_LIMIT);
        let process = process(&mut client).ok();
        Ok(Self { client, patience: Patience::default(), path, beside_from: 4 << 20, process })
    }

    /// `search_path` as the user's programs have it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The connection itself.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// How patient to be with locks.
    pub fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// From which size on, in bytes, a table is read while others write; smaller ones are read under their lock.
    pub fn set_beside_from(&mut self, bytes: i64) {
        self.beside_from = bytes;
    }

    /// Keeps other runs out until the connection ends.
    ///
    /// # Errors
    /// When another run is at work; says who.
    pub fn lock(&mut self) -> Result<(), Problem> {
        lock::acquire(&mut self.client)?.map_err(|who| {
            Problem::new(
                Kind::Locked,
                "cannot work on this database now",
                format!("another run of refactor is at work: {who}"),
            )
            .hint("wait until it has finished; its lock ends with its connection")
        })
    }

    /// The run that is at work, and what it does.
    ///
    /// # Errors
    /// When the server says so.
    pub fn at_work(&mut self) -> Result<Option<String>, Problem> {
        Ok(lock::at_work(&mut self.client)?)
    }

    /// Ends the run that is at work.
    ///
    /// # Errors
    /// When the server says so, as to somebody who may not.
    pub fn end_work(&mut self) -> Result<(), Problem> {
        Ok(lock::end(&mut self.client)?)
    }

    /// Reads where the database is, as one snapshot.
    ///
    /// # Errors
    /// When the server says so.
    pub fn place(&mut self) -> Result<Place, Problem> {
        let mut transaction =
            self.client.build_transaction().isolation_level(postgres::IsolationLevel::RepeatableRead).start()?;
        same_process(&mut transaction, self.process.as_deref())?;
        transaction.execute("SELECT pg_catalog.set_config('search_path', $1, true)", &[&self.path])?;
        let place = place_in(&mut transaction)?;
        transaction.rollback()?;
        // From now on what a person wrote is looked up, too.
        self.client.batch_execute(&run::set_path("SET", &place.schema.code_path()))?;
        Ok(place)
    }

    /// Rows that exist get one moment for all of them: writes it down where a new field's value is the moment, and gives
    /// it. What cannot be computed is left to who judges expressions.
    pub fn fix_moment(&mut self, refactoring: &mut Refactoring) -> Option<Literal> {
        let Refactoring::AddField(add) = refactoring else { return None };
        let query = format!("SELECT (({})::{})::text", add.moment()?, add.type_name);
        let row = self.client.query_one(&query, &[]).ok()?;
        let moment = Literal(row.get::<_, Option<String>>(0)?);
        add.existing = Some(Expression::parse(&moment.to_string()).ok()?);
        Some(moment)
    }

    /// What of privileges has changed since the views were made, in words.
    ///
    /// # Errors
    /// When the server says so.
    pub fn changed_rights(&mut self, place: &Place) -> Result<Vec<String>, Problem> {
        rights::changed(&mut self.client, place)
    }

    /// Prepares to show some more refactorings: folds, judges expressions, asks the facts. Changes nothing.
    ///
    /// # Errors
    /// Refusals, broken facts, a `next` that is somebody else's.
    pub fn prepare(&mut self, place: &Place, entries: &[Entry]) -> Result<Deferred, Problem> {
        let start = Instant::now();
        let before = snapshot(&mut self.client)?;
        foreign(&place.installed)?;
        let mut version = place.version()?;
        let mut versions = vec![version.clone()];
        for entry in entries {
            let next = version.after(&entry.step).map_err(|refusal| Problem::refused(&entry.step, refusal))?;
            crossing::ask(&mut self.client, &version, &next, &entry.step)?;
            let before = std::mem::replace(&mut version, next);
            versions.push(version.clone());
            let mut inside = self.client.transaction()?;
            types_for_now(&mut inside, &version, &place.installed)?;
            let judged = judge::expressions(&mut inside, &before, &version, &entry.step);
            inside.rollback()?;
            for remark in judged? {
                version.remark(&entry.step.name, RemarkKind::Note, remark);
            }
        }
        occupied(&version, &place.installed)?;
        note_what_cannot_be(&mut version, entries);
        note_what_reads_it(&mut version, place, entries);
        note_what_meets_it(&mut version, entries, &place.installed);
        let stages = stages(entries, &versions);
        let names: Vec<&str> = entries.iter().map(|e| e.step.name.as_str()).collect();
        let what = if names.is_empty() { "the refactorings".to_owned() } else { names.join(", ") };
        let title = format!("show {what} in `next`");
        let (shown, recorded) = match stages.first() {
            Some(stage) => {
                (&stage.shown, &entries[..entries.len() - stages.iter().map(|s| s.entries.len()).sum::<usize>()])
            }
            None => (&version, entries),
        };
        let mut installed = place.installed.clone();
        if entries.is_empty() {
            // Nothing new is wanted, so something may be wrong with what is there.
            installed.pieces.clear();
        }
        rights::may_make(&mut self.client, &missing_schemas(shown, &installed))?;
        let journal = record(recorded, State::Deferred);
        let mut plan = defer(shown, &installed, &title, journal.clone())?;
        plan.notes.extend(stages.iter().map(Stage::note));
        let names: Vec<String> = recorded.iter().map(|e| e.step.name.clone()).collect();
        let asked = Instant::now();
        let tried = floor::tried(shown, &|t| place.installed.tables.contains(t));
        let mut question = Question { place, entries, shown, version: &version, names: &names, tried: false };
        let mut transaction = self.client.transaction()?;
        types_for_now(&mut transaction, shown, &place.installed)?;
        if !tried.is_empty() {
            // What these stand on may be new itself: then the facts wait until it is there.
            let mut point = transaction.savepoint("refactor_floors")?;
            match point.batch_execute(&tried) {
                Ok(()) => {
                    point.commit()?;
                    question.tried = true;
                }
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => point.rollback()?,
                Err(error) => return Err(Problem::server(format!("cannot {title}"), &error)),
            }
        }
        let (facts, later, losses) = question.ask(&mut transaction)?;
        transaction.rollback()?;
        let asking = asked.elapsed();
        let time = start.elapsed().saturating_sub(asking);
        Ok(Deferred {
            version,
            facts,
            later,
            losses,
            asking,
            time,
            plan,
            stages,
            changed: Vec::new(),
            trials: Vec::new(),
            names,
            before,
            journal,
        })
    }

    /// Shows refactorings that were prepared.
    ///
    /// # Errors
    /// Whatever the server says, or a fact that somebody broke meanwhile. The database is then as it was.
    pub fn defer(&mut self, place: &Place, deferred: &mut Deferred, seen: Seen) -> Result<(), Problem> {
        let start = Instant::now();
        let begun = self.begin(place, deferred, seen)?;
        let Deferred { version, facts, later, before, stages, names, .. } = &*deferred;
        let version = stages.first().map_or(version, |stage| &stage.shown);
        let plan = begun.as_ref().map_or(&deferred.plan, |begun| &begun.plan);
        // What triggers watch since then stays as it was asked.
        let is_watched = begun.is_some() && plan.steps.iter().all(|step| step.lock.is_none());
        let (patience, mut answers, mut changed, mut trials) = (self.patience, Vec::new(), Vec::new(), Vec::new());
        let done = self.run(plan, &place.schema.code_path(), seen, &mut |transaction| {
            answers.clear();
            if is_watched {
                trials = trial::of_steps(transaction, version, names)?;
                return Ok(());
            }
            for wanted in later {
                let answer = facts::ask(transaction, version, wanted)?;
                if !answer.holds() {
                    return Err(Problem::facts(&plan.title, &[answer]));
                }
                answers.push(answer);
            }
            // The triggers are in place and their locks held. If anybody wrote since the facts were asked, ask again.
            if !facts.is_empty() && !nobody_wrote_since(transaction, before)? {
                for answer in facts {
                    let again = facts::ask(transaction, version, &answer.fact)?;
                    if !again.holds() {
                        return Err(Problem::facts("show the refactoring: somebody wrote meanwhile", &[again]));
                    }
                }
            }
            changed.clear();
            trials = trial::of_steps(transaction, version, names)?;
            for stage in stages {
                changed.push((stage.step.name.clone(), stage.run(transaction, patience, place)?));
                let names: Vec<String> = stage.entries.iter().map(|e| e.step.name.clone()).collect();
                trials.extend(trial::of_steps(transaction, &stage.then, &names)?);
            }
            Ok(())
        });
        match begun {
            None => done?,
            Some(begun) => {
                done.map_err(|problem| self.give_up(place, problem))?;
                answers = begun.later;
            }
        }
        deferred.facts.extend(answers);
        deferred.changed = changed;
        deferred.trials = trials;
        deferred.time += start.elapsed();
        Ok(())
    }

    /// Takes deferred refactorings back by the plan that was prepared for it. Data steps among them are taken back on
    /// the shape that they were written for, the newest first.
    ///
    /// # Errors
    /// Whatever the server says. The database is then as it was.
    pub fn undo(&mut self, place: &Place, plan: &Plan, names: &[String], seen: Seen) -> Result<(), Problem> {
        let (pending, path, patience) = (place.pending(), place.schema.code_path(), self.patience);
        let has_way_back = |step: &Step| step.refactoring.data().is_some_and(|data| data.undo.is_some());
        let undone: Vec<usize> = (0..pending.len())
            .rev()
            .filter(|at| names.contains(&pending[*at].name) && has_way_back(&pending[*at]))
            .collect();
        let shown = place.version();
        let (Some(newest), Ok(now)) = (undone.first(), shown) else {
            return self.run(plan, &path, seen, &mut |_| Ok(()));
        };
        let rest: Vec<Step> = pending.iter().filter(|s| !names.contains(&s.name)).cloned().collect();
        let first = place.fold(&pending[..=*newest])?;
        let mut start = defer(&first, &place.installed, &plan.title, String::new())?;
        start.steps.splice(0..0, told_back(&now, &first, &place.installed));
        self.run(&start, &path, seen, &mut |transaction| {
            let mut shown = first.clone();
            for at in &undone {
                let before = place.fold(&pending[..=*at])?;
                show_instead(transaction, &shown, &before, String::new())?;
                let step = &pending[*at];
                if let Some(undo) = step.refactoring.data().and_then(|data| data.undo.as_ref()) {
                    let what = format!("cannot undo {}", step.name);
                    change_rows(transaction, patience, place, &before, &what, &undo.to_string())?;
                }
                shown = before;
            }
            show_instead(transaction, &shown, &place.fold(&rest)?, change_state(names, "undone"))
        })
    }

    /// The plan that takes some deferred refactorings back.
    ///
    /// # Errors
    /// When another one rests on them.
    pub fn prepare_undo(&mut self, place: &Place, names: &[String]) -> Result<Plan, Problem> {
        let Ok(shown) = place.version() else { return self.prepare_removal(place, names) };
        undoable_data(&place.pending(), names)?;
        let rest: Vec<Step> = place.pending().into_iter().filter(|s| !names.contains(&s.name)).collect();
        let version = Version::fold(place.schema.clone(), &rest).map_err(|(at, refusal)| {
            Problem::new(
                Kind::Refused(refusal.clone()),
                format!("cannot undo {}", names.join(", ")),
                format!("{} rests on it: without it, {refusal}", rest[at].name),
            )
            .hint(undo_both(&rest[at].name, names))
        })?;
        let title = format!("undo {}", names.join(", "));
        let mut plan = defer(&version, &place.installed, &title, change_state(names, "undone"))?;
        plan.steps.splice(0..0, told_back(&shown, &version, &place.installed));
        plan.notes.clear();
        plan.losses = self.complement_values(place, names)?;
        let undone = place.pending().into_iter().filter(|s| names.contains(&s.name));
        let forever = undone.filter(|s| s.refactoring.data().is_some_and(|data| data.undo.is_none()));
        plan.losses
            .extend(forever.map(|s| {
                format!("the rows stay as {} changed them: it names no statements that take it back", s.name)
            }));
        Ok(plan)
    }

    /// The same where the tables were changed, so that what is shown makes no sense any more: nothing is asked but the
    /// journal and our own objects.
    fn prepare_removal(&mut self, place: &Place, names: &[String]) -> Result<Plan, Problem> {
        let rest: Vec<Step> = place.pending().into_iter().filter(|s| !names.contains(&s.name)).collect();
        let title = format!("undo {}", names.join(", "));
        let mut plan = match Version::fold(place.schema.clone(), &rest) {
            Ok(version) => {
                let mut plan = defer(&version, &place.installed, &title, change_state(names, "undone"))?;
                plan.notes.clear();
                let keep = tables_of(&version)?;
                for table in place.installed.tables.iter().filter(|t| !t.is_archive()) {
                    let count = if keep.contains(table) { 0 } else { count_rows(&mut self.client, table)? };
                    let rows = if count == 1 { "row" } else { "rows" };
                    plan.losses.extend((count > 0).then(|| format!("{count} {rows} of `{table}`")));
                }
                plan
            }
            Err((at, refusal)) => {
                let mut plan = take_down(&place.installed, &title, change_state(names, "undone"));
                let names: Vec<&str> = rest.iter().map(|s| s.name.as_str()).collect();
                plan.notes.push(format!(
                    "{} cannot be shown as the tables are now: {} cannot {}: {refusal}; what it kept stays",
                    names.join(", "),
                    rest[at].name,
                    rest[at].refactoring.wish()
                ));
                plan
            }
        };
        let data = place.pending().into_iter().filter(|s| names.contains(&s.name) && s.refactoring.data().is_some());
        plan.losses.extend(data.map(|s| format!("the rows stay as {} changed them", s.name)));
        Ok(plan)
    }

    /// What only the complements of these refactorings hold.
    fn complement_values(&mut self, place: &Place, names: &[String]) -> Result<Vec<String>, Problem> {
        let version = place.version()?;
        let mut losses = Vec::new();
        let is_there = |table: &TableName| place.installed.tables.contains(table);
        let own = |m: &&Made| names.contains(&m.step) && m.restores.is_none() && is_there(&m.table);
        for made in version.made.iter().filter(own) {
            // A row for values that another table stores comes again.
            let listing = version.lookups.iter().filter(|l| l.other == made.table && l.unlisted == Unlisted::Insert);
            let alone: Vec<String> = listing.map(|l| lookup::unshown(&version, l)).collect();
            let alone = if alone.is_empty() { "true".to_owned() } else { all(&alone) };
            let sql = format!("SELECT count(*) FROM {} AS t WHERE {alone}", made.table);
            let count: i64 = self.client.query_one(&delimited(&sql), &[])?.get(0);
            if count > 0 {
                let rows = if count == 1 { "row" } else { "rows" };
                let marks = version.unions.iter().any(|u| u.mark.is_some() && u.step == made.step);
                losses.push(if marks {
                    format!("{count} {rows} that {} keeps with a mark", made.step)
                } else {
                    format!("{count} {rows} of the table that {} made", made.step)
                });
            }
        }
        for union in version.unions.iter().filter(|u| u.brings_back && names.contains(&u.step)) {
            let Some(kept) = union.branches.last().map(|b| &b.table) else { continue };
            let count: i64 = self.client.query_one(&format!("SELECT count(*) FROM {kept}"), &[])?.get(0);
            if count > 0 {
                let (rows, go) = if count == 1 { ("row", "goes") } else { ("rows", "go") };
                let place = if union.mark.is_some() { "to" } else { "to quarantine, in" };
                losses.push(format!("{count} {rows} {go} back {place} `{kept}` ({})", union.step));
            }
        }
        for kept in crate::generate::complement::complements(&version)? {
            for part in kept.parts.iter().filter(|p| names.contains(&p.step)) {
                let (table, step) = (&kept.table, &part.step);
                if !place.installed.has(&(table.clone(), part.has().cloned())) {
                    continue;
                }
                let known = match part.has() {
                    Some(has) => format!(" WHERE {has}"),
                    None if kept.sql.contains("refactor_unknown") => " WHERE NOT refactor_unknown".to_owned(),
                    // Which rows have no part is told by the condition, too.
                    None => slice::not_told(&version, table).map(|c| format!(" AS x WHERE {c}")).unwrap_or_default(),
                };
                let count: i64 =
                    self.client.query_one(&delimited(format!("SELECT count(*) FROM {table}{known}")), &[])?.get(0);
                if count > 0 {
                    let values = if count == 1 { "value" } else { "values" };
                    losses.push(format!("{count} {values} that only the new shape of {step} has a place for"));
                }
            }
        }
        Ok(losses)
    }

    /// Prepares to make the first `count` deferred refactorings real, or as many of them as can be at once: the next then
    /// stands on what is real. Asks all facts again and counts losses.
    ///
    /// # Errors
    /// Broken facts and obstacles.
    pub fn prepare_materialize(
        &mut self,
        place: &Place,
        count: usize,
        options: &Options,
    ) -> Result<Materialization, Problem> {
        let pending = place.pending();
        let all = place.fold(&pending[..count])?;
        let at_once = all.until_floor();
        let (now, rest) = pending.split_at(at_once);
        let version = place.fold(now)?;
        let names: Vec<String> = now.iter().map(|s| s.name.clone()).collect();
        let mut broken = Vec::new();
        for wanted in &version.facts() {
            let answer = facts::ask_still(&mut self.client, &version, wanted)?;
            if !answer.holds() {
                broken.push(answer);
            }
        }
        let mut before = Version::base(place.schema.clone());
        for step in now {
            let after = before.after(step).map_err(|refusal| Problem::refused(step, refusal))?;
            crossing::ask(&mut self.client, &before, &after, step)?;
            before = after;
        }
        let wish = format!("materialize {}", names.join(", "));
        if !broken.is_empty() {
            return Err(Problem::facts(&wish, &broken));
        }
        let dependents = self.dependents(place, &version, now, options)?;
        let mut plan = materialize::materialize(&version, &place.installed, &names, options, &dependents)?;
        let head = plan.steps.iter().position(|step| step.lock.is_none()).unwrap_or(plan.steps.len());
        // After the lock, before anything else.
        let told = told_back(&place.version()?, &version, &place.installed);
        let first = head + told.len();
        plan.steps.splice(head..head, told);
        plan.steps.extend(inverses(place, now)?);
        let then: BTreeSet<(&String, String)> = all
            .floors
            .iter()
            .filter(|f| all.place_of(&f.step) == at_once)
            .map(|f| (&f.step, f.shows.short()))
            .collect();
        plan.notes.extend(then.iter().map(|(step, table)| {
            format!("{step} becomes real in a transaction of its own, after these: it needs `{table}` as a table")
        }));
        for (loss, count) in facts::losses(&mut self.client, &version, |l| Some(fact::count_lost(&version, l)))? {
            let keyed = loss.kind.is_of_table() || version.schema.tables.get(&loss.table).and_then(row_key).is_some();
            let kept = if keyed { format!("kept in `{}`", version.kept_in(&loss)) } else { "not kept".to_owned() };
            plan.losses.push(format!("{}; {kept} ({})", loss.sentence(count), loss.step));
        }
        if !plan.obstacles.is_empty() {
            return Err(Problem {
                what: format!("cannot {wish}"),
                hint: Some(dependents.hint(&plan.obstacles)),
                why: plan.obstacles,
                kind: Kind::Obstacle,
            });
        }
        Ok(Materialization { plan, version, names, rest: rest.to_vec(), first })
    }

    /// What reads the tables, and what becomes of it when these refactorings become real.
    fn dependents(
        &mut self,
        place: &Place,
        version: &Version,
        steps: &[Step],
        options: &Options,
    ) -> Result<Dependents, Problem> {
        let is_rebuilt = |r: &Relation| materialize::way(version, r, options) == materialize::Way::Rebuild;
        let found = dependents::dependents(version, is_rebuilt, || dependents::old(&place.schema, steps));
        let mut transaction = self.client.transaction()?;
        let bodies = bodies::read(&mut transaction, &found, &options.drop)?;
        transaction.rollback()?;
        Ok(Dependents::new(found, &bodies, options))
    }

    /// A materialization as a script for `psql`.
    ///
    /// # Errors
    /// When others stay deferred: they would be shown anew as only this tool can tell.
    pub fn script(place: &Place, work: &Materialization) -> Result<String, Problem> {
        if let Some(step) = work.rest.first() {
            let why = format!("{} stays deferred, and is shown anew over what is real then", step.name);
            return Err(Problem::new(Kind::Usage, "cannot write this as a script", why)
                .hint("write one for all that is deferred, or let `refactor materialize` do it"));
        }
        let last: Vec<String> =
            unwanted(&place.installed, &BTreeSet::new()).map(|schema| place.installed.leave(schema).1).collect();
        let settings = run::settings(Duration::from_secs(2), &place.schema.code_path());
        let settings = format!("{AS_WE_READ}\n{settings}");
        Ok(script::script(&work.plan, &work.version, work.first, &settings, &last))
    }

    /// Makes refactorings real, compares every table with what its view showed, and shows the rest anew.
    ///
    /// # Errors
    /// Whatever the server says, or a table that differs from its view. The database is then as it was.
    pub fn materialize(&mut self, place: &Place, work: &Materialization, seen: Seen) -> Result<(), Problem> {
        let like = match &work.plan.before[..] {
            [] => None,
            _ => Some(beside::likeness(&mut self.client, &work.version)?),
        };
        let ready = self.get_ready(place, &work.plan, seen).map_err(|problem| self.because(work, problem));
        let done = ready.and_then(|()| self.make_real(place, work, like.as_deref(), seen));
        done.map_err(|mut problem| {
            if let Err(error) = self.not_ready(place).as_ref().map_err(|e| e.why.join("; ")) {
                problem.why.push(format!("what was made ready could not be taken back now: {error}"));
                problem.why.push("the next run of `refactor materialize` or `refactor undo` takes it back".into());
            }
            problem
        })
    }

    /// The same problem, or the facts that do not hold any more, if that is why.
    fn because(&mut self, work: &Materialization, problem: Problem) -> Problem {
        let facts = work.version.facts();
        let ask = |fact: &Fact| facts::ask_still(&mut self.client, &work.version, fact).ok();
        let broken: Vec<Answer> = facts.iter().filter_map(ask).filter(|answer| !answer.holds()).collect();
        if broken.is_empty() { problem } else { Problem::facts(&work.plan.title, &broken) }
    }

    fn make_real(
        &mut self,
        place: &Place,
        work: &Materialization,
        like: Option<&str>,
        seen: Seen,
    ) -> Result<(), Problem> {
        let mut tries = self.patience.begin();
        loop {
            let mut transaction = self.client.transaction()?;
            same_process(&mut transaction, self.process.as_deref())?;
            match materialize_in(&mut transaction, tries.lock_timeout(), place, work, like, seen) {
                Ok(()) => {
                    transaction.commit()?;
                    self.analyze(&work.version)?;
                    return self.do_the_rest(&work.plan.after, seen);
                }
                Err(Stop::Failed(failure)) => {
                    transaction.rollback()?;
                    if !(failure.may_pass() && tries.again()) {
                        return Err(self.failed(&work.plan.title, &failure, &tries));
                    }
                }
                Err(Stop::Problem(problem)) => return Err(problem.during(&work.plan.title)),
            }
        }
    }

    /// A step that failed, with the names of those who held its lock.
    fn failed(&mut self, title: &str, failure: &run::Failure, tries: &Tries) -> Problem {
        let problem = Problem::failure(title, failure);
        if failure.may_pass() { lock::named(&mut self.client, problem, &failure.sql, tries) } else { problem }
    }

    fn analyze(&mut self, version: &Version) -> Result<(), Problem> {
        for table in script::analyzed(version) {
            self.client.batch_execute(&format!("ANALYZE {table}"))?;
        }
        Ok(())
    }

    /// Runs a plan in one transaction, again if a lock was not to be had; `last` runs before the commit.
    ///
    /// # Errors
    /// The step that failed, or what `last` found.
    pub fn run(
        &mut self,
        plan: &Plan,
        path: &[crate::name::Ident],
        seen: Seen,
        last: &mut dyn FnMut(&mut Transaction) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut tries = self.patience.begin();
        let at_one_moment = plan.steps.iter().any(|step| step.alone == Some(Alone::AtOneMoment));
        loop {
            let beginning = self.client.build_transaction();
            let beginning =
                if at_one_moment { beginning.isolation_level(IsolationLevel::RepeatableRead) } else { beginning };
            let mut transaction = beginning.start()?;
            same_process(&mut transaction, self.process.as_deref())?;
            run::prepare(&mut transaction, tries.lock_timeout(), path)?;
            match run::steps(&mut transaction, plan, seen) {
                Ok(()) => {
                    last(&mut transaction)?;
                    transaction.commit()?;
                    return Ok(());
                }
                Err(failure) => {
                    transaction.rollback()?;
                    let mended = at_one_moment && failure.breaks_a_rule();
                    if !(failure.may_pass() && tries.again() || mended && tries.again_soon()) {
                        return Err(self.failed(&plan.title, &failure, &tries));
                    }
                }
            }
        }
    }
}

/// What is asked of the data before some refactorings are shown.
struct Question<'q> {
    place: &'q Place,
    entries: &'q [Entry],
    /// The version that is shown first, and the last.
    shown: &'q Version,
    version: &'q Version,
    /// The refactorings.
    names: &'q [String],
    /// Whether the floors that they need are there, for the time of asking.
    tried: bool,
}

/// The facts that were asked, those that can be asked when all is there, and what would be lost.
type Asked = (Vec<Answer>, Vec<Fact>, Vec<(Loss, i64)>);

impl Question<'_> {
    fn ask(&self, client: &mut impl GenericClient) -> Result<Asked, Problem> {
        let Self { place, entries, shown, version, names, tried } = *self;
        // A table that this very run will make has no rows yet, and a complement no values.
        let is_there = |t: &TableName| {
            let ours = place.schema.tables.contains_key(t) || place.installed.tables.contains(t);
            ours || tried && shown.floor(t).is_some()
        };
        let can_be_read = |n: &Needed| place.schema.tables.contains_key(&n.0) || place.installed.has(n);
        let can_be_asked = |f: &Fact| {
            let read = fact::read_from(shown, f);
            f.claim.tables().into_iter().all(is_there) && read.iter().all(can_be_read)
        };
        let (now, later): (Vec<Fact>, Vec<Fact>) =
            shown.facts().into_iter().filter(|f| names.contains(&f.step)).partition(can_be_asked);
        let mut facts = Vec::new();
        for wanted in &now {
            facts.push(facts::ask(client, shown, wanted).map_err(|e| fact_problem(entries, wanted, &e))?);
        }
        let mut broken: Vec<Answer> = facts.iter().filter(|a| !a.holds()).cloned().collect();
        for answer in &mut broken {
            let stays = |t: &TableName| place.installed.tables.contains(t);
            answer.query = floor::looked_through(shown, &stays, std::mem::take(&mut answer.query));
        }
        let refused = |broken: &[Answer]| {
            let entry = entries.iter().find(|e| broken.iter().any(|b| b.fact.step == e.step.name));
            Problem::facts(&entry.map_or_else(String::new, |e| e.step.refactoring.wish()), broken)
        };
        if !broken.is_empty() {
            return Err(refused(&broken));
        }
        let is_whole = |l: &Loss| fact::lost_with(version, l).iter().all(can_be_read);
        let is_wanted = |l: &Loss| names.contains(&l.step) && is_there(&l.table);
        let at_first = |l: &Loss| {
            if is_wanted(l) && !is_whole(l) { fact::count_at_first(version, l) } else { None }
        };
        let unread: Vec<String> =
            version.floors.iter().filter(|f| !is_there(&f.table)).map(|f| f.table.to_string()).collect();
        let can_be_counted = |sql: &String| !unread.iter().any(|floor| sql.contains(floor));
        let lost =
            |l: &Loss| (is_wanted(l) && is_whole(l)).then(|| fact::count_lost(version, l)).filter(can_be_counted);
        let mut attempt = client.transaction()?;
        let counted = facts::losses(&mut attempt, version, lost);
        let losses = match counted {
            Ok(mut losses) => {
                losses.extend(facts::losses(&mut attempt, version, at_first)?);
                losses
            }
            Err(error) => {
                attempt.rollback()?;
                return Err(refused(&facts::without_way_back(client, version, error)?));
            }
        };
        attempt.rollback()?;
        Ok((facts, later, losses))
    }
}

/// Makes types of the new shape that are not there yet, for the time of asking.
fn types_for_now(client: &mut impl GenericClient, version: &Version, installed: &Installed) -> Result<(), Problem> {
    let Some(step) = new_types(version, installed) else { return Ok(()) };
    Ok(client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS next;\n{}", step.sql))?)
}

/// Tells early what cannot be made real: an order of fields, a key, a table like another.
fn note_what_cannot_be(version: &mut Version, entries: &[Entry]) {
    let is_new = |step: &String| entries.iter().any(|e| e.step.name == *step);
    let mut reasons = Vec::new();
    // What stands on a floor becomes real of the table that is there then.
    for relation in version.touched().filter(|r| version.floor(&r.base).is_none()) {
        let last = relation.touched_by.iter().rev().find(|step| is_new(step));
        let why = materialize::cannot_be(version, relation).and_then(|why| Some((last?.clone(), why)));
        let order = materialize::rebuild::fixed_order(version, relation);
        reasons.extend(why.or(order.map(|(step, why)| (step.clone(), why))));
    }
    for (step, why) in reasons.into_iter().filter(|(step, _)| is_new(step)) {
        version.remark(&step, RemarkKind::InTheWay, why);
    }
}

/// Tells early what reads the tables by their numbers, and becomes another or stands in the way.
fn note_what_reads_it(version: &mut Version, place: &Place, entries: &[Entry]) {
    let (Some(last), pending) = (entries.last(), place.pending()) else { return };
    let steps: Vec<Step> = pending.into_iter().chain(entries.iter().map(|e| e.step.clone())).collect();
    let (before, _) = steps.split_at(steps.len() - entries.len());
    let found = |version: &Version, steps: &[Step]| {
        dependents::dependents(version, |_| false, || dependents::old(&place.schema, steps))
    };
    let known = place.version().map(|version| found(&version, before)).unwrap_or_default();
    let new: Vec<Dependent> = found(version, &steps).into_iter().filter(|d| !known.contains(d)).collect();
    for dependent in new {
        let (who, reads) = (dependent.who(), &dependent.reads);
        let (kind, text) = match dependent.fate {
            Fate::Stays => continue,
            Fate::Anew => (RemarkKind::Note, format!("{who} reads `{reads}`, and is made anew when this becomes real")),
            Fate::Over(_) => (
                RemarkKind::Note,
                format!("{who} reads `{reads}`, and will read it where it is when this becomes real"),
            ),
            Fate::Lost => (RemarkKind::InTheWay, format!("{who} reads `{reads}`")),
        };
        version.remark(&last.step.name, kind, text);
    }
}

/// Tells early which code of the application, and which publication, meets what is new.
fn note_what_meets_it(version: &mut Version, entries: &[Entry], installed: &Installed) {
    let is_new = |step: &str| entries.iter().any(|e| e.step.name == step);
    for (step, text) in meets::remarks(version, is_new) {
        version.remark(&step, RemarkKind::Note, text);
    }
    let Some(first) = entries.first() else { return };
    for publication in &installed.publish_all {
        let text = format!(
            "publication `{publication}` is for all tables, so it publishes those of schema `refactor`, too; a subscriber stops until it has them, or until the publication names schemas or tables"
        );
        version.remark(&first.step.name, RemarkKind::Note, text);
    }
}

/// Cuts new refactorings at their data steps.
fn stages(entries: &[Entry], versions: &[Version]) -> Vec<Stage> {
    let data: Vec<usize> = (0..entries.len()).filter(|at| entries[*at].step.refactoring.data().is_some()).collect();
    let mut stages = Vec::new();
    for (at, next) in data.iter().zip(data.iter().skip(1).map(|at| at + 1).chain([entries.len()])) {
        let (now, later) = (&entries[*at], &entries[at + 1..next]);
        let then = versions[next].clone();
        let names: Vec<&String> = later.iter().map(|e| &e.step.name).collect();
        let facts = then.facts().into_iter().filter(|f| names.contains(&&f.step)).collect();
        let (step, shown, entries) = (now.step.clone(), versions[at + 1].clone(), later.to_vec());
        stages.push(Stage { step, shown, entries, then, facts });
    }
    stages
}

impl Stage {
    fn note(&self) -> String {
        let then: Vec<&str> = self.entries.iter().map(|e| e.step.name.as_str()).collect();
        let then = if then.is_empty() { String::new() } else { format!(", then {} shown", then.join(", ")) };
        format!("{} changes rows{then}", self.step.name)
    }

    /// Runs the data step and shows what comes after it. Gives the number of rows that the step changed.
    fn run(&self, transaction: &mut Transaction, patience: Patience, place: &Place) -> Result<u64, Problem> {
        let Some(data) = self.step.refactoring.data() else { return Ok(0) };
        let what = format!("cannot {}", self.step.refactoring.wish());
        let changed = change_rows(transaction, patience, place, &self.shown, &what, &data.sql.to_string())?;
        if !self.entries.is_empty() {
            show_instead(transaction, &self.shown, &self.then, record(&self.entries, State::Deferred))?;
            for wanted in &self.facts {
                let answer = facts::ask(transaction, &self.then, wanted)?;
                if !answer.holds() {
                    let entry = self.entries.iter().find(|e| e.step.name == wanted.step);
                    let wish = entry.map_or_else(String::new, |e| e.step.refactoring.wish());
                    return Err(Problem::facts(&wish, &[answer]));
                }
            }
        }
        Ok(changed)
    }
}

/// Runs a user's statements on the shape that is shown.
fn change_rows(
    transaction: &mut Transaction,
    patience: Patience,
    place: &Place,
    shown: &Version,
    what: &str,
    sql: &str,
) -> Result<u64, Problem> {
    let next = shown_in(shown).into_values();
    let path: Vec<Ident> = next.chain(place.schema.code_path()).collect();
    // These wait for rows, too, on which nobody waits who has not met them.
    transaction.batch_execute("SET LOCAL lock_timeout = '2s'")?;
    let changed = run::statements(transaction, &path, sql).map_err(|e| Problem::server(what, &e))?;
    run::prepare(transaction, patience.lock_timeout, &place.schema.code_path())?;
    Ok(changed)
}

/// Shows another version within a transaction.
fn show_instead(
    transaction: &mut Transaction,
    shown: &Version,
    then: &Version,
    journal: String,
) -> Result<(), Problem> {
    let installed = installed::read(transaction)?;
    let mut plan = defer(then, &installed, "show the next shape", journal)?;
    plan.steps.splice(0..0, told_back(shown, then, &installed));
    run::steps(transaction, &plan, &mut |_, _| {}).map_err(|failure| Problem::failure(&plan.title, &failure))
}

fn undo_both(later: &str, names: &[String]) -> String {
    let names: Vec<String> = std::iter::once(later).chain(names.iter().map(String::as_str)).map(shell).collect();
    format!("undo both: `refactor undo {}`", names.join(" "))
}

/// Refuses to take back what a data step rests on, and a data step on which others rest.
fn undoable_data(pending: &[Step], names: &[String]) -> Result<(), Problem> {
    let goes = |step: &&Step| names.contains(&step.name);
    for (at, step) in pending.iter().enumerate().filter(|(_, step)| goes(step)) {
        let mut stays = pending[at + 1..].iter().filter(|later| !goes(later));
        let undoes = step.refactoring.data().is_some_and(|data| data.undo.is_some());
        let Some(later) = stays.find(|later| undoes || later.refactoring.data().is_some()) else { continue };
        let why = if undoes {
            format!("it is taken back on the shape that it was written for, before {}", later.name)
        } else {
            format!("{} changed rows through the shape that it made", later.name)
        };
        return Err(
            Problem::new(Kind::Obstacle, format!("cannot undo {}", step.name), why).hint(undo_both(&later.name, names))
        );
    }
    Ok(())
}

/// Writes down how each of these refactorings is taken back once it is real: only now is the shape before it known.
fn inverses(place: &Place, steps: &[Step]) -> Result<Option<PlanStep>, Problem> {
    let mut sql = Vec::new();
    let mut version = Version::base(place.schema.clone());
    for step in steps {
        let inverse = step.refactoring.inverse(&step.name, &version).ok().and_then(|i| toml::to_string(&i).ok());
        sql.extend(inverse.map(|text| record_inverse(&step.name, &text)));
        version = version.after(step).map_err(|refusal| Problem::refused(step, refusal))?;
    }
    let sentence = "write down how to take them back";
    Ok(if sql.is_empty() { None } else { Some(PlanStep::new(sentence, sql.join("\n"))) })
}

/// Why a materialization stopped.
enum Stop {
    Failed(Box<run::Failure>),
    Problem(Problem),
}

impl<T: Into<Problem>> From<T> for Stop {
    fn from(problem: T) -> Self {
        Self::Problem(problem.into())
    }
}

fn materialize_in(
    transaction: &mut Transaction,
    lock_timeout: Duration,
    before: &Place,
    work: &Materialization,
    like: Option<&str>,
    seen: Seen,
) -> Result<(), Stop> {
    run::prepare(transaction, lock_timeout, &before.schema.code_path())?;
    let (locking, rest) = work.plan.steps.split_at(work.first);
    let part = |steps: &[crate::plan::PlanStep]| Plan { steps: steps.to_vec(), ..work.plan.clone() };
    run::steps(transaction, &part(locking), seen).map_err(Stop::Failed)?;
    // While tables were built somebody may have changed them.
    if let Some(like) = like
        && beside::likeness(transaction, &work.version)? != like
    {
        let why = "somebody has changed the tables since it was planned: fields, rules, triggers or rights";
        let problem = Problem::new(Kind::Obstacle, format!("cannot {}", work.plan.title), why);
        return Err(problem.hint("begin again: `refactor materialize` plans for the tables as they are now").into());
    }
    let asked = |fact: &&Fact| !work.plan.answers(&work.version, fact);
    for wanted in work.version.facts().iter().filter(asked) {
        let answer = facts::ask_still(transaction, &work.version, wanted)?;
        if !answer.holds() {
            return Err(Problem::facts(&work.plan.title, &[answer]).into());
        }
    }
    let mut shown = Vec::new();
    for relation in work.plan.compared(&work.version) {
        shown.push((relation.name.clone(), sum(transaction, &rows::of_view(&work.version, relation))?));
    }
    run::steps(transaction, &part(rest), seen).map_err(Stop::Failed)?;
    for (name, before) in shown {
        let relation = &work.version.relations[&name];
        let after = sum(transaction, &rows::of_table(&work.version, relation, &relation.name))?;
        if before != after {
            return Err(different(&name, &before, &after).into());
        }
    }
    if work.rest.is_empty() {
        let place_installed = installed::read(transaction)?;
        for schema in unwanted(&place_installed, &BTreeSet::new()) {
            transaction.batch_execute(&place_installed.leave(schema).1)?;
        }
    } else {
        let plan = shown_then(transaction, before, &work.rest)?;
        run::steps(transaction, &plan, seen).map_err(Stop::Failed)?;
    }
    Ok(())
}

/// The plan that shows those that stay deferred over what is real by then.
fn shown_then(transaction: &mut Transaction, before: &Place, rest: &[Step]) -> Result<Plan, Problem> {
    let mut place = place_in(transaction)?;
    // A plan runs on a path of its own, but names are looked up along the user's.
    Arc::make_mut(&mut place.schema).search_path.clone_from(&before.schema.search_path);
    let version = place.fold(rest)?;
    Ok(defer(&version, &place.installed, "show the rest", String::new())?)
}

fn sum(client: &mut impl GenericClient, query: &str) -> Result<(i64, String), postgres::Error> {
    let row = client.query_one(query, &[])?;
    Ok((row.get(0), row.get(1)))
}

fn different(name: &TableName, before: &(i64, String), after: &(i64, String)) -> Problem {
    Problem::new(
        Kind::Server,
        "cannot materialize",
        format!(
            "the table `{}` would not hold what its view showed ({} rows, checksum {}; instead {} rows, checksum {})",
            name.short(),
            before.0,
            before.1,
            after.0,
            after.1
        ),
    )
    .hint("this is a fault of refactor: please report it; all was rolled back")
}

/// The tables of ours that a version needs.
fn tables_of(version: &Version) -> Result<BTreeSet<TableName>, askama::Error> {
    let complements = complement::complements(version)?.into_iter().map(|kept| kept.table);
    Ok(complements.chain(version.made.iter().map(|m| m.table.clone())).collect())
}

fn count_rows(client: &mut Client, table: &TableName) -> Result<i64, postgres::Error> {
    Ok(client.query_one(&format!("SELECT pg_catalog.count(*) FROM {table}"), &[])?.get(0))
}

fn place_in(client: &mut impl GenericClient) -> Result<Place, Problem> {
    let schema = Arc::new(read::read(client)?);
    let installed = installed::read(client)?;
    let recorded = installed::journal(client, &installed)?;
    Ok(Place { schema, installed, recorded })
}

/// The schemas that must be made to show a version.
fn missing_schemas(version: &Version, installed: &Installed) -> Vec<Ident> {
    let is_there = |s: &Ident| installed.next_schemas.contains(s) || installed.prepared.contains(s);
    let journal = Some(Ident::new(OWN)).filter(|own| !installed.journal && !is_there(own));
    shown_in(version).into_values().filter(|s| !is_there(s)).chain(journal).collect()
}

fn foreign(installed: &Installed) -> Result<(), Problem> {
    match installed.foreign_schemas.first() {
        None => Ok(()),
        Some((schema, owner)) => Err(Problem::new(
            Kind::ForeignSchema,
            "cannot show a new shape in this database",
            format!("schema `{schema}` exists and is not this tool's: it belongs to `{owner}`"),
        )
        .hint(format!("rename that schema first, as in `ALTER SCHEMA {schema} RENAME TO …`"))),
    }
}

/// Refuses to show a table under a name that others have taken in our schema.
fn occupied(version: &Version, installed: &Installed) -> Result<(), Problem> {
    let next = shown_in(version);
    let gone = version.gone.keys().filter(|name| version.schema.tables.contains_key(*name));
    let mut names = version.shown().map(|r| &r.name).chain(gone);
    let is_it = |name: &TableName, s: &Stranger| next[&name.schema] == s.schema && name.name.to_string() == s.name;
    match names.find_map(|name| installed.strangers.iter().find(|s| is_it(name, s))) {
        None => Ok(()),
        Some(stranger) => {
            let what = "cannot show the new shape";
            Err(Problem::new(Kind::ForeignSchema, what, stranger.who()).hint(stranger.way_out()))
        }
    }
}

fn fact_problem(entries: &[Entry], wanted: &crate::fact::Fact, error: &postgres::Error) -> Problem {
    let entry = entries.iter().find(|e| e.step.name == wanted.step);
    let wish = entry.map_or_else(|| "ask the data".to_owned(), |e| e.step.refactoring.wish());
    let mut problem = Problem::server(format!("cannot {wish}"), error);
    problem.why.insert(0, wanted.sentence());
    problem
}

/// Which process of the server serves a client, asked without preparing anything.
fn process(client: &mut impl GenericClient) -> Result<String, postgres::Error> {
    let said = client.simple_query("SELECT pg_catalog.pg_backend_pid()")?;
    let pid = said.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(pid.unwrap_or_default())
}

/// Refuses to work where each transaction may come to another process.
fn same_process(transaction: &mut Transaction, expected: Option<&str>) -> Result<(), Problem> {
    let is_other = expected.is_some_and(|expected| process(transaction).is_ok_and(|now| now != *expected));
    if is_other { Err(Problem::pool()) } else { Ok(()) }
}

/// The next transaction id, and whether transactions were under way.
fn snapshot(client: &mut Client) -> Result<(String, bool), postgres::Error> {
    let row = client.query_one(
        "SELECT pg_catalog.pg_snapshot_xmax(s)::text, pg_catalog.pg_snapshot_xmin(s) <> pg_catalog.pg_snapshot_xmax(s)
         FROM pg_catalog.pg_current_snapshot() AS s",
        &[],
    )?;
    Ok((row.get(0), row.get(1)))
}

fn nobody_wrote_since(transaction: &mut Transaction, before: &(String, bool)) -> Result<bool, postgres::Error> {
    let ours: String = transaction.query_one("SELECT pg_catalog.pg_current_xact_id()::text", &[])?.get(0);
    Ok(!before.1 && ours == before.0)
}
