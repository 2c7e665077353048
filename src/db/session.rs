//! One connection at work: reads where a database is, and takes it from one version to the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postgres::{Client, GenericClient, Transaction};

use crate::catalogue::Refactor;
use crate::db::facts::{self, Answer};
use crate::db::run::{self, Patience};
use crate::db::trial::{self, Trial};
use crate::db::{installed, judge, lock};
use crate::fact::{Fact, Loss, LossKind};
use crate::generate::place::Needed;
use crate::generate::{all, fact, lookup, rows, shown_in};
use crate::journal::{Entry, Recorded, State};
use crate::name::{Ident, TableName, delimited, shell};
use crate::plan::defer::{change_state, defer, record, record_inverse, told_back};
use crate::plan::materialize::{self, Options};
use crate::plan::{Installed, Plan, PlanStep};
use crate::problem::{Kind, Problem};
use crate::refusal::Refusal;
use crate::relation::{Rows, row_key};
use crate::schema::{Schema, read};
use crate::version::{RemarkKind, Step, Unlisted, Version};

/// A connection and how patient it is.
pub struct Session {
    client: Client,
    patience: Patience,
    /// `search_path` as the user's programs have it.
    path: String,
}

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
        self.fold(&self.pending())
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
    /// How the plan was chosen.
    pub options: Options,
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
        Ok(Self { client, patience: Patience::default(), path })
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

    /// Reads where the database is, as one snapshot.
    ///
    /// # Errors
    /// When the server says so.
    pub fn place(&mut self) -> Result<Place, Problem> {
        let mut transaction =
            self.client.build_transaction().isolation_level(postgres::IsolationLevel::RepeatableRead).start()?;
        transaction.execute("SELECT pg_catalog.set_config('search_path', $1, true)", &[&self.path])?;
        let place = place_in(&mut transaction)?;
        transaction.rollback()?;
        // From now on what a person wrote is looked up, too.
        self.client.batch_execute(&run::set_path("SET", &place.schema.code_path()))?;
        Ok(place)
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
            version = version.after(&entry.step).map_err(|refusal| Problem::refused(&entry.step, refusal))?;
            versions.push(version.clone());
            for remark in judge::expressions(&mut self.client, &version, &entry.step)? {
                version.remark(&entry.step.name, RemarkKind::Note, remark);
            }
        }
        note_what_cannot_be(&mut version, entries);
        if place.schema.server_version < 150_000 {
            without_row_policies(&version, entries)?;
        }
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
        let mut plan = defer(shown, &installed, &title, record(recorded, State::Deferred))?;
        plan.notes.extend(stages.iter().map(Stage::note));
        let names: Vec<String> = recorded.iter().map(|e| e.step.name.clone()).collect();
        let asked = Instant::now();
        let mut facts = Vec::new();
        // A table that this very run will make has no rows yet, and a complement no values.
        let is_there = |t: &TableName| place.schema.tables.contains_key(t) || place.installed.tables.contains(t);
        let can_be_read = |n: &Needed| place.schema.tables.contains_key(&n.0) || place.installed.has(n);
        let can_be_asked = |f: &Fact| {
            let read = fact::read_from(shown, f);
            f.claim.tables().into_iter().all(is_there) && read.iter().all(can_be_read)
        };
        let (now, later): (Vec<Fact>, Vec<Fact>) =
            shown.facts().into_iter().filter(|f| names.contains(&f.step)).partition(can_be_asked);
        for wanted in &now {
            facts.push(facts::ask(&mut self.client, shown, wanted).map_err(|e| fact_problem(entries, wanted, &e))?);
        }
        let broken: Vec<Answer> = facts.iter().filter(|a| !a.holds()).cloned().collect();
        if let Some(first) = broken.first() {
            let entry = entries.iter().find(|e| e.step.name == first.fact.step);
            let wish = entry.map_or_else(String::new, |e| e.step.refactoring.wish());
            return Err(Problem::facts(&wish, &broken));
        }
        let wanted = |l: &Loss| {
            names.contains(&l.step) && is_there(&l.table) && fact::lost_with(&version, l).iter().all(can_be_read)
        };
        let losses = match facts::losses(&mut self.client, &version, wanted) {
            Ok(losses) => losses,
            Err(error) => {
                let broken = facts::without_way_back(&mut self.client, &version, error)?;
                let entry = entries.iter().find(|e| broken.iter().any(|b| b.fact.step == e.step.name));
                let wish = entry.map_or_else(String::new, |e| e.step.refactoring.wish());
                return Err(Problem::facts(&wish, &broken));
            }
        };
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
        })
    }

    /// Shows refactorings that were prepared.
    ///
    /// # Errors
    /// Whatever the server says, or a fact that somebody broke meanwhile. The database is then as it was.
    pub fn defer(&mut self, place: &Place, deferred: &mut Deferred, seen: Seen) -> Result<(), Problem> {
        let start = Instant::now();
        let Deferred { version, facts, later, plan, before, stages, names, .. } = &*deferred;
        let version = stages.first().map_or(version, |stage| &stage.shown);
        let (patience, mut answers, mut changed, mut trials) = (self.patience, Vec::new(), Vec::new(), Vec::new());
        self.run(plan, &place.schema.code_path(), seen, &mut |transaction| {
            answers.clear();
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
                changed.push((stage.step.name.clone(), stage.run(transaction, &patience, place)?));
                let names: Vec<String> = stage.entries.iter().map(|e| e.step.name.clone()).collect();
                trials.extend(trial::of_steps(transaction, &stage.then, &names)?);
            }
            Ok(())
        })?;
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
        let Some(newest) = undone.first() else { return self.run(plan, &path, seen, &mut |_| Ok(())) };
        let rest: Vec<Step> = pending.iter().filter(|s| !names.contains(&s.name)).cloned().collect();
        let (now, first) = (place.version()?, place.fold(&pending[..=*newest])?);
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
                    change_rows(transaction, &patience, place, &before, &what, &undo.to_string())?;
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
        plan.steps.splice(0..0, told_back(&place.version()?, &version, &place.installed));
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

    /// What only the complements of these refactorings hold.
    fn complement_values(&mut self, place: &Place, names: &[String]) -> Result<Vec<String>, Problem> {
        let version = place.version()?;
        let mut losses = Vec::new();
        for made in version.made.iter().filter(|m| names.contains(&m.step) && m.restores.is_none()) {
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
                    None => String::new(),
                };
                let count: i64 = self.client.query_one(&format!("SELECT count(*) FROM {table}{known}"), &[])?.get(0);
                if count > 0 {
                    let values = if count == 1 { "value" } else { "values" };
                    losses.push(format!("{count} {values} that only the new shape of {step} has a place for"));
                }
            }
        }
        Ok(losses)
    }

    /// Prepares to make the first `count` deferred refactorings real: asks all facts again and counts losses.
    ///
    /// # Errors
    /// Broken facts and obstacles.
    pub fn prepare_materialize(
        &mut self,
        place: &Place,
        count: usize,
        options: Options,
    ) -> Result<Materialization, Problem> {
        let pending = place.pending();
        let (now, rest) = pending.split_at(count);
        let version = place.fold(now)?;
        let names: Vec<String> = now.iter().map(|s| s.name.clone()).collect();
        let mut broken = Vec::new();
        for wanted in &version.facts() {
            let answer = facts::ask_still(&mut self.client, &version, wanted)?;
            if !answer.holds() {
                broken.push(answer);
            }
        }
        let wish = format!("materialize {}", names.join(", "));
        if !broken.is_empty() {
            return Err(Problem::facts(&wish, &broken));
        }
        let mut plan = materialize::materialize(&version, &place.installed, &names, &options)?;
        // After the lock, before anything else.
        let told = told_back(&place.version()?, &version, &place.installed);
        let first = 1 + told.len();
        plan.steps.splice(1..1, told);
        plan.steps.extend(inverses(place, now)?);
        for (loss, count) in facts::losses(&mut self.client, &version, |_| true)? {
            let keyed = matches!(loss.kind, LossKind::Table | LossKind::Unshown(_))
                || version.schema.tables.get(&loss.table).and_then(row_key).is_some();
            let kept = if keyed { format!("kept in `{}`", version.kept_in(&loss)) } else { "not kept".to_owned() };
            plan.losses.push(format!("{}; {kept} ({})", loss.sentence(count), loss.step));
        }
        if !plan.obstacles.is_empty() {
            return Err(Problem {
                what: format!("cannot {wish}"),
                why: plan.obstacles,
                hint: Some("change or drop these first; the deferred shape goes on working".into()),
                kind: Kind::Obstacle,
            });
        }
        Ok(Materialization { plan, version, names, rest: rest.to_vec(), options, first })
    }

    /// Makes refactorings real, compares every table with what its view showed, and shows the rest anew.
    ///
    /// # Errors
    /// Whatever the server says, or a table that differs from its view. The database is then as it was.
    pub fn materialize(&mut self, place: &Place, work: &Materialization, seen: Seen) -> Result<(), Problem> {
        let mut last = None;
        for attempt in 0..self.patience.tries {
            if attempt > 0 {
                std::thread::sleep(self.patience.pause);
            }
            let mut transaction = self.client.transaction()?;
            match materialize_in(&mut transaction, &self.patience, place, work, seen) {
                Ok(()) => {
                    transaction.commit()?;
                    self.analyze(&work.version)?;
                    return Ok(());
                }
                Err(Stop::Failed(failure)) if failure.may_pass() => last = Some(failure),
                Err(Stop::Failed(failure)) => return Err(Problem::failure(&work.plan.title, &failure)),
                Err(Stop::Problem(problem)) => return Err(problem.during(&work.plan.title)),
            }
        }
        Err(last.map_or_else(
            || Problem::new(Kind::Server, "cannot materialize", "no try was allowed"),
            |failure| Problem::failure(&work.plan.title, &failure),
        ))
    }

    fn analyze(&mut self, version: &Version) -> Result<(), Problem> {
        let new = |f: &crate::relation::Field| !matches!(f.home, crate::relation::Home::Own(_));
        let rewritten =
            version.touched().filter(|r| version.is_reordered(r) || r.rows != Rows::Whole || r.fields.iter().any(new));
        for relation in rewritten {
            self.client.batch_execute(&format!("ANALYZE {}", relation.name))?;
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
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut transaction = self.client.transaction()?;
            run::prepare(&mut transaction, &self.patience, path)?;
            match run::steps(&mut transaction, plan, seen) {
                Ok(()) => {
                    last(&mut transaction)?;
                    transaction.commit()?;
                    return Ok(());
                }
                Err(failure) if failure.may_pass() && attempt < self.patience.tries => {
                    transaction.rollback()?;
                    std::thread::sleep(self.patience.pause);
                }
                Err(failure) => return Err(Problem::failure(&plan.title, &failure)),
            }
        }
    }
}

/// Tells early what cannot be made real: an order of fields, a key, a table like another.
fn note_what_cannot_be(version: &mut Version, entries: &[Entry]) {
    let is_new = |step: &String| entries.iter().any(|e| e.step.name == *step);
    let mut reasons = Vec::new();
    for relation in version.touched() {
        let last = relation.touched_by.iter().rev().find(|step| is_new(step));
        let why = materialize::cannot_be(version, relation).and_then(|why| Some((last?.clone(), why)));
        let order = materialize::rebuild::fixed_order(version, relation);
        reasons.extend(why.or(order.map(|(step, why)| (step.clone(), why))));
    }
    for (step, why) in reasons.into_iter().filter(|(step, _)| is_new(step)) {
        version.remark(&step, RemarkKind::InTheWay, why);
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
    fn run(&self, transaction: &mut Transaction, patience: &Patience, place: &Place) -> Result<u64, Problem> {
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
    patience: &Patience,
    place: &Place,
    shown: &Version,
    what: &str,
    sql: &str,
) -> Result<u64, Problem> {
    let next = shown_in(shown).into_values();
    let path: Vec<Ident> = next.chain(place.schema.code_path()).collect();
    let changed = run::statements(transaction, &path, sql).map_err(|e| Problem::server(what, &e))?;
    run::prepare(transaction, patience, &place.schema.code_path())?;
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

/// Before 15 a view always acts with its owner's rights, whom row policies do not bind.
fn without_row_policies(version: &Version, entries: &[Entry]) -> Result<(), Problem> {
    let is_new = |step: &String| entries.iter().find(|e| e.step.name == *step);
    for relation in version.touched().filter(|r| version.table(r).row_security) {
        if let Some(entry) = relation.touched_by.iter().find_map(is_new) {
            let refusal = Refusal::TableKind {
                table: relation.name.clone(),
                why: "has row policies, which do not hold for views before PostgreSQL 15".into(),
                hint: Some("do it on a newer server, or by hand".into()),
            };
            return Err(Problem::refused(&entry.step, refusal));
        }
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
    patience: &Patience,
    before: &Place,
    work: &Materialization,
    seen: Seen,
) -> Result<(), Stop> {
    run::prepare(transaction, patience, &before.schema.code_path())?;
    let (locking, rest) = work.plan.steps.split_at(work.first);
    let part = |steps: &[crate::plan::PlanStep]| Plan { steps: steps.to_vec(), ..work.plan.clone() };
    run::steps(transaction, &part(locking), seen).map_err(Stop::Failed)?;
    for wanted in &work.version.facts() {
        let answer = facts::ask_still(transaction, &work.version, wanted)?;
        if !answer.holds() {
            return Err(Problem::facts(&work.plan.title, &[answer]).into());
        }
    }
    let mut shown = Vec::new();
    for relation in work.version.touched() {
        shown.push((relation.name.clone(), sum(transaction, &rows::of_view(&work.version, relation))?));
    }
    run::steps(transaction, &part(rest), seen).map_err(Stop::Failed)?;
    for (name, before) in shown {
        let relation = &work.version.relations[&name];
        let after = sum(transaction, &rows::of_table(&work.version, relation))?;
        if before != after {
            return Err(different(&name, &before, &after).into());
        }
    }
    if work.rest.is_empty() {
        let place_installed = installed::read(transaction)?;
        for schema in place_installed.next_schemas {
            transaction.batch_execute(&format!("DROP SCHEMA {schema}"))?;
        }
    } else {
        let mut place = place_in(transaction)?;
        // A plan runs on a path of its own, but names are looked up along the user's.
        Arc::make_mut(&mut place.schema).search_path.clone_from(&before.schema.search_path);
        let version = place.fold(&work.rest)?;
        let plan = defer(&version, &place.installed, "show the rest", String::new())?;
        run::steps(transaction, &plan, seen).map_err(Stop::Failed)?;
    }
    Ok(())
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

fn place_in(client: &mut impl GenericClient) -> Result<Place, Problem> {
    let schema = Arc::new(read::read(client)?);
    let installed = installed::read(client)?;
    let recorded = installed::journal(client, &installed)?;
    Ok(Place { schema, installed, recorded })
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

fn fact_problem(entries: &[Entry], wanted: &crate::fact::Fact, error: &postgres::Error) -> Problem {
    let entry = entries.iter().find(|e| e.step.name == wanted.step);
    let wish = entry.map_or_else(|| "ask the data".to_owned(), |e| e.step.refactoring.wish());
    let mut problem = Problem::server(format!("cannot {wish}"), error);
    problem.why.insert(0, wanted.sentence());
    problem
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
