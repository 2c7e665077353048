//! `rehearse --challenge`: rows that are difficult for exactly these tables, and writes of them, tried in both shapes.
//!
//! Two copies are made: in one all is deferred, in the other it is real. Both must show the same rows, and a write through
//! `next` must do what it does to the real tables. What the old tables or a fact refuse is left out.

mod rows;
mod values;

use postgres::{Client, SimpleQueryMessage};

use self::rows::Ground;
use self::values::Types;
use crate::cli::materialize::{self, How};
use crate::cli::{Context, agree};
use crate::db::connect::Target;
use crate::db::copy::Copy;
use crate::db::facts;
use crate::generate::shown_in;
use crate::name::TableName;
use crate::problem::{Kind, Problem};
use crate::relation::Relation;
use crate::version::Version;

/// What was tried, and what came of it.
#[derive(Default)]
pub struct Outcome {
    /// The rows that the old tables took, as statements.
    pub rows: Vec<String>,
    /// How many writes were tried in both shapes.
    pub writes: usize,
    /// Writes that `next` refuses by a rule, and the real tables take.
    pub refused: Vec<Case>,
    /// What differs or fails in any other way.
    pub faults: Vec<Case>,
}

/// What has been seen, and is told once.
pub struct Case {
    /// In words.
    pub what: String,
    /// The statement that shows it.
    statement: Option<String>,
    /// What others of its kind have in common with it.
    kind: String,
    /// How many there are.
    pub count: usize,
}

impl Outcome {
    /// A file that shows it again.
    #[must_use]
    pub fn script(&self) -> String {
        let mut text = "-- Rows for the old tables, while all is deferred:\n".to_owned();
        self.rows.iter().for_each(|row| text += &format!("{row};\n"));
        for (number, case) in (1..).zip(self.faults.iter().chain(&self.refused)) {
            let more = if case.count > 1 { format!("\nso with {} statements", case.count) } else { String::new() };
            let what = format!("{}{more}", case.what);
            text += &format!("\n-- {number}. {}\n", what.replace(['\r', '\n'], "\n--    "));
            if let Some(statement) = &case.statement {
                text += &format!("BEGIN;\n{statement};\nROLLBACK;\n");
            }
        }
        text
    }

    fn fault(&mut self, what: impl Into<String>, statement: Option<&str>) {
        let what = what.into();
        note(&mut self.faults, what.clone(), what, statement);
    }
}

/// Takes a case up, or counts it where one of its kind is there.
fn note(cases: &mut Vec<Case>, kind: String, what: String, statement: Option<&str>) {
    match cases.iter_mut().find(|case| case.kind == kind) {
        Some(case) => case.count += 1,
        None => cases.push(Case { what, statement: statement.map(str::to_owned), kind, count: 1 }),
    }
}

/// One of the two shapes.
struct Side {
    client: Client,
    version: Version,
}

impl Side {
    fn of(context: &Context, target: &Target) -> Result<Self, Problem> {
        let version = context.at(target.clone()).session()?.place()?.version()?;
        Ok(Self { client: target.connect()?, version })
    }

    /// Where the rows of a table of the new shape are seen.
    fn place(&self, name: &TableName) -> String {
        let shown = self.version.named(name).is_some_and(|r| r.is_shown);
        match shown_in(&self.version).get(&name.schema).filter(|_| shown) {
            Some(next) => TableName { schema: next.clone(), name: name.name.clone() }.to_string(),
            None => name.to_string(),
        }
    }

    /// All rows of all tables of the new shape, as texts.
    fn state(&mut self, names: &[TableName]) -> Result<Vec<(TableName, Vec<String>)>, postgres::Error> {
        let mut state = Vec::new();
        for name in names {
            let text = "(t.*)::pg_catalog.text COLLATE \"C\"";
            let query = format!("SELECT {text} FROM {} AS t ORDER BY 1", self.place(name));
            let rows = self.client.query(&query, &[])?.iter().map(|row| row.get(0)).collect();
            state.push((name.clone(), rows));
        }
        Ok(state)
    }

    /// What a statement does, with what all tables show then. It is taken back.
    fn tried(&mut self, sql: &str, names: &[TableName]) -> Result<Done, Problem> {
        self.client.batch_execute("BEGIN")?;
        let done = self.done(sql, names);
        self.client.batch_execute("ROLLBACK")?;
        match done {
            Ok(done) => Ok(done),
            Err(error) => match error.as_db_error() {
                Some(told) => Ok(Done::Failed(told.code().code().to_owned(), told.message().to_owned())),
                None => Err(error.into()),
            },
        }
    }

    fn done(&mut self, sql: &str, names: &[TableName]) -> Result<Done, postgres::Error> {
        let (mut rows, mut count) = (Vec::new(), 0);
        for message in self.client.simple_query(sql)? {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let values = (0..row.len()).map(|at| row.get(at).map_or("NULL".into(), |v| format!("{v:?}")));
                    rows.push(values.collect::<Vec<_>>().join(", "));
                }
                SimpleQueryMessage::CommandComplete(n) => count = n,
                _ => {}
            }
        }
        rows.sort();
        self.client.batch_execute("SET CONSTRAINTS ALL IMMEDIATE")?;
        Ok(Done::Did { rows, count, state: self.state(names)? })
    }
}

/// What came of a statement.
#[derive(Debug, PartialEq)]
enum Done {
    Did { rows: Vec<String>, count: u64, state: Vec<(TableName, Vec<String>)> },
    Failed(String, String),
}

impl Done {
    fn words(&self) -> String {
        match self {
            Self::Did { rows, count, .. } if rows.is_empty() => format!("{count} rows"),
            Self::Did { rows, .. } => format!("({})", rows.join("), (")),
            Self::Failed(code, message) => format!("ERROR {code}: {message}"),
        }
    }

    /// What such outcomes have in common.
    fn kind(&self) -> String {
        match self {
            Self::Did { .. } => "done".to_owned(),
            Self::Failed(code, message) => format!("{code} {}", message.split('"').nth(3).unwrap_or_default()),
        }
    }

    /// Whether a value or a rule forbids it, or a view cannot do it: nothing is written, and the client knows.
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Failed(code, _) if is_rule(code))
    }

    /// Whether a program cannot tell one from the other. Which of several rules a row is told to break first is not said.
    fn is_like(&self, real: &Self) -> bool {
        match (self, real) {
            (Self::Failed(next, _), Self::Failed(real, _)) => next == real || is_rule(next) && is_rule(real),
            _ => self == real,
        }
    }
}

/// Whether an error says of a statement that a value or a rule is against it, or that a view cannot do it.
fn is_rule(code: &str) -> bool {
    ["22", "23", "44", "428C9", "0A000", "55000"].iter().any(|class| code.starts_with(class))
}

/// What only one side has.
fn difference(next: &[(TableName, Vec<String>)], real: &[(TableName, Vec<String>)]) -> Vec<String> {
    let mut told = Vec::new();
    for ((name, next), (_, real)) in next.iter().zip(real) {
        for (rows, others, what) in [(next, real, "shown in `next` alone"), (real, next, "in the real table alone")] {
            let mut others = others.clone();
            for row in rows {
                match others.iter().position(|other| other == row) {
                    Some(at) => drop(others.swap_remove(at)),
                    None => told.push(format!("`{}`: {what}: {row}", name.short())),
                }
            }
        }
    }
    told
}

/// Tries all of it on a copy, which is the deferred one from then on.
///
/// # Errors
/// When a copy cannot be brought there.
pub fn run(context: &Context, source: &Target, copy: &mut Copy, how: &How) -> Result<Outcome, Problem> {
    let there = context.at(copy.target.clone());
    defer(&there)?;
    let mut outcome = Outcome::default();
    let mut deferred = Side::of(context, &copy.target)?;
    let names: Vec<TableName> = deferred.version.all().map(|r| r.name.clone()).collect();
    fill(&mut deferred, &names, &mut outcome)?;
    drop(deferred);
    let real = copy.clones(source, 1)?.remove(0);
    if let Err(problem) = materialize::unasked(&context.at(real.clone()), how) {
        outcome.fault(format!("cannot be made real: {}: {}", problem.what, problem.why.join("\n")), None);
        return Ok(outcome);
    }
    let (mut next, mut real) = (Side::of(context, &copy.target)?, Side::of(context, &real)?);
    let differs = difference(&next.state(&names)?, &real.state(&names)?);
    if !differs.is_empty() {
        outcome.fault(format!("the shapes differ\n{}", differs.join("\n")), None);
        return Ok(outcome);
    }
    write(&mut next, &mut real, &names, &mut outcome)?;
    Ok(outcome)
}

/// Shows what the files have and the database has not.
fn defer(context: &Context) -> Result<(), Problem> {
    let files = context.files()?;
    let mut session = context.session()?;
    session.lock()?;
    let (place, _) = session.settled()?;
    let new = agree(context, &files, &place)?.to_apply;
    let mut deferred = session.prepare(&place, &new)?;
    session.defer(&place, &mut deferred, &mut |_, _| {})
}

/// Puts difficult rows into the old tables: twice, since rows of the first time are what others refer to.
fn fill(side: &mut Side, names: &[TableName], outcome: &mut Outcome) -> Result<(), Problem> {
    let touched = |r: &&Relation| r.is_touched();
    let mut tables: Vec<TableName> = side.version.all().filter(touched).map(|r| r.base.clone()).collect();
    tables.extend(side.version.gone.keys().cloned());
    tables.retain(|t| side.version.schema.tables.get(t).is_some_and(|table| table.partition_of.is_none()));
    tables.sort();
    tables.dedup();
    let facts = side.version.facts();
    let (mut types, mut number) = (Types::default(), 0);
    for _ in 0..2 {
        for name in &tables {
            let ground = Ground::of_table(&name.to_string(), &side.version.schema.tables[name]);
            for row in ground.rows(&mut side.client, &mut types, &mut number)? {
                let insert = ground.insert(&row);
                side.client.batch_execute("BEGIN")?;
                let taken = side.client.batch_execute(&insert).is_ok()
                    && side.client.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").is_ok();
                let mut taken = taken;
                for fact in if taken { &facts[..] } else { &[] } {
                    taken = taken && facts::ask_still(&mut side.client, &side.version, fact).is_ok_and(|a| a.holds());
                }
                if taken && let Err(error) = side.state(names) {
                    let told = error.as_db_error().map_or_else(|| error.to_string(), |told| told.message().to_owned());
                    outcome
                        .fault(format!("with this row in the old table, `next` cannot be read: {told}"), Some(&insert));
                    taken = false;
                }
                side.client.batch_execute(if taken { "COMMIT" } else { "ROLLBACK" })?;
                if taken {
                    outcome.rows.push(insert);
                }
            }
        }
    }
    Ok(())
}

/// Tries writes in both shapes.
fn write(next: &mut Side, real: &mut Side, names: &[TableName], outcome: &mut Outcome) -> Result<(), Problem> {
    let shown: Vec<TableName> = next.version.shown().map(|r| r.name.clone()).collect();
    let (mut types, mut number) = (Types::default(), 0);
    for name in shown {
        let (view, table) = (next.place(&name), real.place(&name));
        let ground = |place: &str| {
            let relation = &next.version.relations[&name];
            Ground::of_relation(place, relation, &|far| next.place(far))
        };
        let (through, direct) = (ground(&view), ground(&table));
        let mut statements = Vec::new();
        for row in through.rows(&mut next.client, &mut types, &mut number)? {
            statements.push((through.insert(&row), direct.insert(&row)));
        }
        let mut of_both = |sql: &dyn Fn(&str) -> String| statements.push((sql(&view), sql(&table)));
        let models = through.models(&mut next.client)?;
        for (at, model) in models.iter().enumerate() {
            let is = through.is(model);
            of_both(&|place| format!("DELETE FROM {place} WHERE {is}"));
            for field in &through.fields {
                let values = types.values(&mut next.client, &field.type_name)?;
                let other = models.iter().flatten().filter(|(name, _)| *name == field.name).map(|(_, value)| value);
                let mut values: Vec<&String> = values.hard.iter().chain(values.fresh.first()).chain(other).collect();
                let null = "NULL".to_owned();
                values.push(&null);
                for value in values {
                    of_both(&|place| format!("UPDATE {place} SET {} = {value} WHERE {is}", field.name));
                    if at == 0 {
                        of_both(&|place| format!("UPDATE {place} SET {} = {value}", field.name));
                    }
                }
            }
        }
        of_both(&|place| format!("DELETE FROM {place}"));
        for (through, direct) in statements {
            let all = |sql: &str| format!("{sql} RETURNING *");
            let (seen, wanted) = (next.tried(&all(&through), names)?, real.tried(&all(&direct), names)?);
            outcome.writes += 1;
            if seen.is_like(&wanted) {
                continue;
            }
            let mut told = format!("through `next`: {}\non the real table: {}", seen.words(), wanted.words());
            if let (Done::Did { state: seen, .. }, Done::Did { state: wanted, .. }) = (&seen, &wanted) {
                told.extend(difference(seen, wanted).iter().map(|line| format!("\n{line}")));
            }
            let verb = through.split(' ').next().unwrap_or_default();
            let kind = format!("{verb} {name} {} {}", seen.kind(), wanted.kind());
            let is_refused = seen.is_refusal() && matches!(wanted, Done::Did { .. });
            let cases = if is_refused { &mut outcome.refused } else { &mut outcome.faults };
            note(cases, kind, told, Some(&through));
        }
    }
    Ok(())
}

/// What to say of faults.
#[must_use]
pub fn problem(outcome: &Outcome) -> Problem {
    let why = format!("{} differences, which the statements above show", outcome.faults.len());
    let hint =
        "run them on a copy (`refactor rehearse --challenge > challenge.sql`), and report what is a fault of refactor";
    Problem::new(Kind::Fact, "deferred and real are not the same", why).hint(hint)
}
