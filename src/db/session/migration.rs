//! Migrations for somebody else's runner, worked out on a copy of the database: what is written is what was run there.

use std::collections::BTreeSet;
use std::time::Duration;

use postgres::Transaction;

use crate::catalogue::Refactor;
use crate::db::session::{Place, Session, shown_then};
use crate::db::{installed, run};
use crate::generate::{fact, shown_in};
use crate::journal::Entry;
use crate::name::{BODY, Ident, OWN, TableName, delimited};
use crate::plan::defer::{change_state, unwanted};
use crate::plan::materialize::archive::unless_needed;
use crate::plan::materialize::{self, Options};
use crate::plan::migration::{From, Known, Migration, Part, likeness};
use crate::plan::{PlanStep, script, stop_if};
use crate::problem::{Kind, Problem};
use crate::sql::Literal;
use crate::version::Version;

/// The migrations of some refactorings, each there and back.
pub struct Migrations {
    /// What shows them, and takes them back.
    pub shows: (Migration, Migration),
    /// What makes them real, and what takes that back.
    pub real: (Migration, Migration),
    /// Why the way back stops, if it does.
    pub one_way: Option<String>,
    /// What is lost.
    pub losses: Vec<String>,
}

/// A table and what it is like.
type Alike = (TableName, Vec<String>);

/// What became real on the copy, and how.
struct Made {
    parts: Vec<Part>,
    keeps: BTreeSet<TableName>,
    losses: Vec<String>,
}

impl Session {
    /// Takes everything back that is deferred.
    ///
    /// # Errors
    /// When the server says so.
    pub fn take_all_back(&mut self) -> Result<(), Problem> {
        let place = self.place()?;
        let names: Vec<String> = place.pending().into_iter().map(|s| s.name).collect();
        if names.is_empty() {
            return Ok(());
        }
        let plan = self.prepare_undo(&place, &names)?;
        self.undo(&place, &plan, &names, &mut |_, _| {})
    }

    /// Makes refactorings real that have their migrations already.
    ///
    /// # Errors
    /// When one of them cannot be.
    pub fn catch_up(&mut self, entries: &[Entry], options: &Options) -> Result<(), Problem> {
        self.show(entries)?;
        self.made_real(options).map(|_| ())
    }

    /// The migrations of refactorings that this copy does not know. `back`: whether taking back leads to where they are shown.
    ///
    /// # Errors
    /// When one of them cannot be declared or made real.
    pub fn migrations(&mut self, entries: &[Entry], back: bool, options: &Options) -> Result<Migrations, Problem> {
        let start = self.place()?;
        let all = start.fold(&entries.iter().map(|e| e.step.clone()).collect::<Vec<_>>())?;
        let tables = tables(&start, &all);
        let like = self.like(&tables)?;
        let shows = self.show(entries)?;
        let hides = self.hide(entries)?;
        self.show(entries)?;
        let made = self.made_real(options)?;
        let real = self.place()?;
        let (returns, tables_then, one_way) = match self.way_back(&real, entries, &made, options) {
            Ok((parts, tables)) => (parts, tables, None),
            Err(problem) => {
                (vec![never(&problem)], Vec::new(), Some(format!("{}: {}", problem.what, problem.why.join("; "))))
            }
        };
        let names: Vec<Known> = entries.iter().map(|e| (e.step.name.clone(), e.hash())).collect();
        let list = names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let path = run::set_path("SET LOCAL", &start.schema.code_path());
        let keeps: Vec<TableName> = made.keeps.iter().cloned().collect();
        let migration = |verb: &str, from, parts: Vec<Part>| Migration {
            title: format!("{verb} {list}"),
            from,
            names: names.clone(),
            path: path.clone(),
            tables: tables.clone(),
            like: like.clone(),
            shows: Vec::new(),
            parts,
            keeps: Vec::new(),
        };
        let up = Migration { shows: shows.clone(), keeps, ..migration("materialize", From::Shown, made.parts) };
        let (tables_after, like_after) = tables_then.into_iter().unzip::<TableName, Vec<String>, Vec<_>, Vec<_>>();
        let mut down = Migration {
            tables: tables_after,
            like: like_after.concat(),
            ..migration("take back", From::Real, returns)
        };
        if back && one_way.is_none() {
            down.parts.extend(shows.clone());
        }
        let seen = (migration("show", From::Unknown, shows), migration("no longer show", From::Deferred, hides));
        Ok(Migrations { shows: seen, real: (up, down), one_way, losses: made.losses })
    }

    /// What tables are like.
    fn like(&mut self, tables: &[TableName]) -> Result<Vec<String>, Problem> {
        let mut transaction = self.client.transaction()?;
        transaction.batch_execute("SET LOCAL search_path = pg_catalog, pg_temp")?;
        let alike = likeness(tables, |name| Literal(name.to_owned()).to_string());
        let query = format!("SELECT DISTINCT l.said FROM ({alike}) AS l ORDER BY 1");
        let lines = transaction.query(&query, &[])?.iter().map(|row| row.get(0)).collect();
        transaction.rollback()?;
        Ok(lines)
    }

    /// Shows refactorings; gives what does.
    fn show(&mut self, entries: &[Entry]) -> Result<Vec<Part>, Problem> {
        let mut parts = Vec::new();
        for chunk in chunks(entries) {
            let place = self.place()?;
            let mut deferred = self.prepare(&place, chunk)?;
            parts.extend(deferred.plan.steps.iter().map(part));
            let first = deferred.stages.first();
            let version = first.map_or(&deferred.version, |stage| &stage.shown);
            match first.and_then(|stage| stage.step.refactoring.data()) {
                Some(data) => parts.extend(changed(&place, version, &data.name, &data.sql.to_string())),
                None => parts.extend(asked(version, chunk)),
            }
            self.defer(&place, &mut deferred, &mut |_, _| {})?;
        }
        Ok(parts)
    }

    /// Takes back what is shown; gives what does.
    fn hide(&mut self, entries: &[Entry]) -> Result<Vec<Part>, Problem> {
        let mut parts = Vec::new();
        for chunk in chunks(entries).into_iter().rev() {
            let place = self.place()?;
            let names: Vec<String> = chunk.iter().map(|e| e.step.name.clone()).collect();
            let plan = self.prepare_undo(&place, &names)?;
            let data = chunk.first().and_then(|e| e.step.refactoring.data());
            if let Some((data, undo)) = data.and_then(|d| Some((d, d.undo.as_ref()?))) {
                parts.extend(changed(&place, &place.version()?, &data.name, &undo.to_string()));
            }
            parts.extend(plan.steps.iter().map(part));
            self.undo(&place, &plan, &names, &mut |_, _| {})?;
        }
        Ok(parts)
    }

    /// Makes all real that is deferred, by the statements that it gives.
    fn made_real(&mut self, options: &Options) -> Result<Made, Problem> {
        let mut made = Made { parts: Vec::new(), keeps: BTreeSet::new(), losses: Vec::new() };
        loop {
            let place = self.place()?;
            let count = place.pending().len();
            if count == 0 {
                return Ok(made);
            }
            let work = self.prepare_materialize(&place, count, options)?;
            let version = &work.version;
            let kept = version.losses.iter().map(|loss| version.kept_in(loss));
            made.keeps.extend(
                kept.chain(version.dropped.iter().map(|d| version.kept_as(d))).filter(|t| t.schema.as_str() == OWN),
            );
            made.losses.extend(work.plan.losses.iter().cloned());
            let mut transaction = self.client.transaction()?;
            run::prepare(&mut transaction, Duration::from_secs(2), &place.schema.code_path())?;
            let mut parts = script::inside(&work.plan, version, work.first);
            run_parts(&mut transaction, &parts, &made.keeps)?;
            let then: Vec<Part> = if work.rest.is_empty() {
                let now = installed::read(&mut transaction)?;
                unwanted(&now, &BTreeSet::new()).map(|schema| now.leave(schema)).collect()
            } else {
                shown_then(&mut transaction, &place, &work.rest)?.steps.iter().map(part).collect()
            };
            let then: Vec<Part> = then.into_iter().chain(work.plan.after.iter().map(part)).collect();
            run_parts(&mut transaction, &then, &made.keeps)?;
            transaction.commit()?;
            parts.extend(then);
            made.parts.extend(parts);
        }
    }

    /// What takes real refactorings back, and the tables that it needs with what they are like.
    fn way_back(
        &mut self,
        real: &Place,
        entries: &[Entry],
        made: &Made,
        options: &Options,
    ) -> Result<(Vec<Part>, Vec<Alike>), Problem> {
        let names: Vec<String> = entries.iter().map(|e| e.step.name.clone()).collect();
        let mut back: Vec<Entry> = Vec::new();
        for entry in entries.iter().rev() {
            let name = &entry.step.name;
            let recorded = real.recorded.iter().find(|r| r.entry.step.name == *name);
            let Some(inverse) = recorded.and_then(|r| r.inverse.as_ref()) else {
                return Err(Problem::new(Kind::Usage, format!("cannot take {name} back"), "it has no inverse"));
            };
            back.push(Entry::parse(Ident::generated(&["back", name]).as_str(), inverse)?);
        }
        let mut parts: Vec<Part> = Vec::new();
        for kept in
            made.keeps.iter().filter(|kept| made.parts.iter().any(|(_, sql)| sql.contains(&unless_needed(kept))))
        {
            parts.push((format!("`{kept}` is there, if empty"), self.again(kept)?));
        }
        let steps: Vec<_> = back.iter().map(|e| e.step.clone()).collect();
        let tables = tables(real, &real.fold(&steps)?);
        let mut like = Vec::new();
        for table in tables {
            let lines = self.like(std::slice::from_ref(&table))?;
            like.push((table, lines));
        }
        parts.extend(self.show(&back)?);
        let returned = self.made_real(options)?;
        parts.extend(returned.parts);
        let theirs: Vec<Literal> = steps.iter().map(|s| Literal(s.name.clone())).collect();
        let forget = format!("DELETE FROM refactor.journal WHERE name IN ({});", crate::generate::list(&theirs));
        let mut end = vec![("write the journal".to_owned(), format!("{}\n{forget}", change_state(&names, "undone")))];
        for kept in made.keeps.iter().chain(&returned.keeps) {
            let there = format!("pg_catalog.to_regclass({}) IS NOT NULL", Literal(kept.to_string()));
            let sql =
                format!("DO {BODY}\nBEGIN\n  IF {there} THEN\n    {}\n  END IF;\nEND\n{BODY};", unless_needed(kept));
            end.push((format!("`{kept}` goes, if nothing is kept there"), delimited(sql)));
        }
        let mut transaction = self.client.transaction()?;
        run_parts(&mut transaction, &end, &BTreeSet::new())?;
        transaction.commit()?;
        parts.extend(end);
        Ok((parts, like))
    }

    /// Makes a table of kept values, if it was not needed.
    fn again(&mut self, kept: &TableName) -> Result<String, Problem> {
        let query =
            "SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
            FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped";
        let columns: String = self.client.query_one(query, &[&kept.to_string()])?.get(0);
        let query = "SELECT 'PRIMARY KEY (' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) || ')'
            FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey) WHERE indrelid = $1::text::regclass AND indisprimary";
        let key: Option<String> = self.client.query_one(query, &[&kept.to_string()])?.get(0);
        let key = key.map(|key| format!(", {key}")).unwrap_or_default();
        Ok(format!("CREATE TABLE IF NOT EXISTS {kept} ({columns}{key});"))
    }

    /// Runs a statement of a migration in a transaction of its own.
    ///
    /// # Errors
    /// When the server says so.
    pub fn try_out(&mut self, statement: &str, what: &str) -> Result<(), Problem> {
        self.client.batch_execute(statement).map_err(|error| {
            Problem::server(
                format!("cannot {what}: what was to be written does not run on a copy of the database"),
                &error,
            )
        })
    }
}

/// The tables of the database that refactorings concern.
fn tables(place: &Place, version: &Version) -> Vec<TableName> {
    let all: Vec<_> = version.touched().collect();
    let is_there = |t: &&&TableName| t.schema.as_str() != OWN && place.schema.tables.contains_key(**t);
    materialize::tables(version, &all).iter().filter(is_there).map(|t| (*t).clone()).collect()
}

/// Cut so that each step that changes rows stands alone.
fn chunks(entries: &[Entry]) -> Vec<&[Entry]> {
    entries.chunk_by(|a, b| a.step.refactoring.data().is_none() && b.step.refactoring.data().is_none()).collect()
}

fn part(step: &PlanStep) -> Part {
    (step.sentence.clone(), step.sql.clone())
}

/// Statements of a person, as their own code would run them, on the shape that is shown.
fn changed(place: &Place, shown: &Version, name: &Ident, sql: &str) -> Vec<Part> {
    let path = place.schema.code_path();
    let next: Vec<Ident> = shown_in(shown).into_values().chain(path.iter().cloned()).collect();
    let theirs = format!("SET LOCAL search_path = {};", crate::generate::list(&next));
    let ours = format!("SET CONSTRAINTS ALL IMMEDIATE;\n{};", run::set_path("SET LOCAL", &path));
    vec![
        ("look names up in the new shape".to_owned(), theirs),
        (format!("change rows: {name}"), sql.to_owned()),
        ("look names up as before".to_owned(), ours),
    ]
}

/// What the rows must satisfy.
fn asked(version: &Version, entries: &[Entry]) -> Vec<Part> {
    let is_new = |step: &String| entries.iter().any(|e| e.step.name == *step);
    let facts = version.facts().into_iter().filter(|f| is_new(&f.step));
    facts
        .map(|wanted| {
            let sentence = wanted.sentence();
            let offenders = format!("EXISTS (\n{}\n  )", fact::offenders(version, &wanted));
            (format!("fact: {sentence}"), delimited(stop_if(&offenders, &format!("it does not hold: {sentence}"))))
        })
        .collect()
}

/// What stops whoever wants to take back what cannot be.
fn never(problem: &Problem) -> Part {
    let why = format!("{}: {}", problem.what, problem.why.join("; "));
    (why.clone(), delimited(stop_if("true", &why)))
}

/// Runs statements; a table with kept values stays, though there are none on a copy without rows.
fn run_parts(transaction: &mut Transaction, parts: &[Part], keeps: &BTreeSet<TableName>) -> Result<(), Problem> {
    for (sentence, sql) in parts {
        let stay = |sql: String, kept: &TableName| sql.replace(&unless_needed(kept), "NULL;");
        let sql = keeps.iter().fold(sql.clone(), stay);
        transaction.batch_execute(&sql).map_err(|error| Problem::server(format!("cannot {sentence}"), &error))?;
    }
    Ok(())
}
