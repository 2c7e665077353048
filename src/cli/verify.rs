//! `verify`: the laws of the views, tried on the real rows in transactions that are rolled back.

use std::time::Duration;

use clap::Args;
use postgres::{Client, IsolationLevel, Transaction};
use serde_json::json;

use crate::cli::Context;
use crate::db::{facts, run, trial};
use crate::generate::{list, rows, shown_in};
use crate::name::{Ident, TableName};
use crate::problem::{Kind, MAY_WRITE, Problem};
use crate::relation::{Field, Home, Relation, Rows};
use crate::schema::Identity;
use crate::version::Version;

/// How much to try.
#[derive(Debug, Args)]
pub struct Verify {
    /// Rows of each view to try
    #[arg(long, value_name = "N", default_value_t = 100)]
    rows: i64,
}

/// What was tried and found.
#[derive(Default)]
struct Findings {
    tried: Vec<String>,
    broken: Vec<String>,
    /// What others did not let us try.
    untried: Vec<String>,
    /// What triggers of the user refuse, on the tables themselves as well.
    refused: Vec<String>,
}

impl Findings {
    /// Tries a law in a transaction of its own, again if another one came between.
    fn beside(
        &mut self,
        client: &mut Client,
        law: &str,
        attempt: impl Fn(&mut Transaction, &mut Findings) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        for again in 0..TRIES {
            let mut found = Self::default();
            let mut transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start()?;
            transaction.batch_execute("SET LOCAL lock_timeout = '100ms'")?;
            let outcome = attempt(&mut transaction, &mut found);
            transaction.rollback()?;
            match outcome {
                Ok(()) if found.untried.is_empty() => {
                    self.tried.extend(found.tried);
                    self.broken.extend(found.broken);
                    self.refused.extend(found.refused);
                    return Ok(());
                }
                Ok(()) => std::thread::sleep(Duration::from_millis(20 << again)),
                Err(problem) => return Err(problem),
            }
        }
        self.untried.push(law.to_owned());
        Ok(())
    }

    /// Notes what the server said to a write: a lock that is not to be had, another transaction that won, or a trigger that
    /// refuses as much on the table itself, says nothing of the law.
    fn note_error(&mut self, law: String, error: &postgres::Error, transaction: &mut Transaction, trial: &Trial) {
        if run::may_pass(error) {
            self.untried.push(law);
        } else if let Some(who) = refusing(transaction, trial, error) {
            self.refused.push(format!("{law}: {who} refuses the same: {}", first_line(error)));
        } else {
            self.note(law, false, &crate::db::message::render(error, None));
        }
    }

    fn note(&mut self, law: String, holds: bool, how: &str) {
        if holds {
            self.tried.push(law);
        } else {
            self.broken.push(format!("{law}: {how}"));
        }
    }
}

/// Tables of at least this size are tried by some of their rows.
const LARGE: i64 = 32 << 20;

/// How many rows of a large view are compared with its definition.
const COMPARED: i64 = 10_000;

/// How often a law is tried where others write the same rows.
const TRIES: usize = 5;

/// What a law is tried on.
struct Trial<'a> {
    version: &'a Version,
    relation: &'a Relation,
    view: TableName,
    key: Vec<Ident>,
    rows: i64,
    /// Only some rows are looked at: the table is large.
    sampled: bool,
}

/// Tries the laws on the rows that are there. Each is tried in a transaction of its own that is rolled back, so that nobody
/// waits for long.
pub fn run(context: &Context, args: &Verify) -> Result<(), Problem> {
    let mut session = context.session()?;
    let reads_only = "SELECT pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool";
    if session.client().query_one(reads_only, &[])?.get(0) {
        let why = "they are tried by writing, which is taken back, and this session may only read";
        return Err(Problem::new(Kind::Server, "cannot try the laws of the views", why).hint(MAY_WRITE));
    }
    let place = session.place()?;
    let version = place.version()?;
    let next = shown_in(&version);
    let mut findings = Findings::default();
    for wanted in version.facts() {
        let answer = facts::ask_still(session.client(), &version, &wanted)?;
        findings.note(format!("fact: {}", wanted.sentence()), answer.holds(), &answer.sentence());
    }
    for relation in version.shown() {
        let view = TableName { schema: next[&relation.name.schema].clone(), name: relation.name.name.clone() };
        let key = key(&version, relation);
        let large = version.schema.tables.get(&relation.base).is_some_and(|t| t.bytes >= LARGE);
        let sampled = large && !key.is_empty();
        let trial = Trial { version: &version, relation, view, key, rows: args.rows, sampled };
        let what = |law: &str| format!("{law} of `{}`", trial.view);
        findings.beside(session.client(), &what("the definition"), |transaction, found| {
            same_rows(transaction, &trial, found)
        })?;
        findings.beside(session.client(), &what("GetPut"), |transaction, found| get_put(transaction, &trial, found))?;
        for field in looked_up(relation).filter(|_| !is_read_only(&version, relation)) {
            let law = what(&format!("PutGet for {}", field.shape.name));
            findings.beside(session.client(), &law, |transaction, found| put_get(transaction, &trial, field, found))?;
        }
        if let Rows::Told(at) = relation.rows {
            findings.beside(session.client(), &what("the SQL"), |transaction, found| {
                match trial::of_table(transaction, &version, relation, &version.told[at], args.rows) {
                    Ok(trial) => found.tried.push(trial.sentence()),
                    Err(problem) if problem.kind == Kind::Fact => found.broken.push(problem.why.join(": ")),
                    Err(problem) => return Err(problem),
                }
                Ok(())
            })?;
        }
    }
    for law in &findings.tried {
        context.ui.out(format!("holds   {law}"));
    }
    for law in &findings.untried {
        context.ui.warn(format!(
            "{law} could not be tried: others wrote the same rows each time; that is no fault, try again"
        ));
    }
    for law in &findings.refused {
        context.ui.warn(format!("not tried: {law}"));
    }
    if findings.broken.is_empty() {
        let Findings { tried, untried, refused, broken } = &findings;
        context.ui.json(&json!({ "holds": tried, "untried": untried, "refused": refused, "broken": broken }));
        context.ui.done(format!("{} laws and facts hold; everything was rolled back", findings.tried.len()));
        return Ok(());
    }
    Err(Problem {
        what: "the views do not keep their laws".into(),
        why: findings.broken,
        hint: Some(
            "a broken fact is for you to mend in the data; a broken law is a fault of refactor: please report it"
                .into(),
        ),
        kind: Kind::Fact,
    })
}

/// The view shows what the definition says.
fn same_rows(transaction: &mut Transaction, trial: &Trial, findings: &mut Findings) -> Result<(), Problem> {
    let Trial { version, relation, view, key, .. } = trial;
    let fields = list(&names(relation));
    let (some, of) = if trial.sampled {
        let chosen = sample(&list(key), view, COMPARED);
        (format!(" WHERE ({}) IN ({chosen})", list(key)), format!(" for {COMPARED} rows"))
    } else {
        (String::new(), String::new())
    };
    let different: i64 = transaction
        .query_one(
            &format!(
                "SELECT count(*) FROM (SELECT (t.*)::text FROM (SELECT {fields} FROM {view}{some}) AS t EXCEPT ALL SELECT (d.*)::text FROM (SELECT * FROM ({}) AS d{some}) AS d) AS q",
                rows::select(version, relation)
            ),
            &[],
        )?
        .get(0);
    findings.note(
        format!("`{view}` shows what its definition says{of}"),
        different == 0,
        &format!("{different} rows differ"),
    );
    Ok(())
}

/// Whether no row of it is updated before it is real.
fn is_read_only(version: &Version, relation: &Relation) -> bool {
    matches!(relation.rows, Rows::Told(at) if version.told[at].update.is_none())
}

/// Fields that do not live in the table, and can be given a value.
fn looked_up(relation: &Relation) -> impl Iterator<Item = &Field> {
    // What PostgreSQL fills by itself cannot be given.
    let given = |f: &&Field| f.shape.generated.is_none() && f.shape.identity != Some(Identity::Always);
    relation.fields.iter().filter(|f| !matches!(f.home, Home::Own(_))).filter(given)
}

fn names(relation: &Relation) -> Vec<Ident> {
    relation.fields.iter().map(|f| f.shape.name.clone()).collect()
}

/// Some rows of a view.
fn sample(fields: &str, view: &TableName, limit: i64) -> String {
    format!("SELECT {fields} FROM {view} LIMIT {limit}")
}

/// Fields that may be assigned.
fn writable(relation: &Relation) -> Vec<Ident> {
    let open = |f: &&crate::relation::Field| {
        f.shape.generated.is_none() && f.shape.identity != Some(crate::schema::Identity::Always)
    };
    relation.fields.iter().filter(open).map(|f| f.shape.name.clone()).collect()
}

/// `GetPut`: writing back what was read changes nothing, in no table that takes part.
fn get_put(transaction: &mut Transaction, trial: &Trial, findings: &mut Findings) -> Result<(), Problem> {
    let Trial { version, relation, view, key, rows, .. } = trial;
    if is_read_only(version, relation) {
        return Ok(());
    }
    let mut tables = written(version, relation);
    // Triggers of the user (`updated_at`) may rightly change a row that is written.
    let theirs = own_triggers(version, &tables);
    tables.retain(|table| own_triggers(version, std::slice::from_ref(table)).is_empty());
    let sets: Vec<String> = writable(relation).iter().map(|f| format!("{f} = t.{f}")).collect();
    if key.is_empty() || sets.is_empty() {
        return Ok(());
    }
    // Of large tables only those rows are read again that were written.
    let stored = crate::relation::row_key(version.table(relation)).unwrap_or_default();
    let some = format!("SELECT {keys} FROM {view} ORDER BY {keys} LIMIT {rows}", keys = list(key));
    let chosen = format!(" WHERE ({}) IN ({some})", list(&stored));
    let is_large = |t: &TableName| version.schema.tables.get(t).is_some_and(|t| t.bytes >= LARGE);
    let summed: Vec<(TableName, String)> = tables
        .into_iter()
        .filter(|t| *t == relation.base && trial.sampled || !is_large(t))
        .map(|t| (t.clone(), if t == relation.base && trial.sampled { chosen.clone() } else { String::new() }))
        .collect();
    let before = checksums(transaction, &summed)?;
    let on: Vec<String> = key.iter().map(|k| format!("t.{k} = s.{k}")).collect();
    let update = format!("UPDATE {view} AS t SET {} FROM ({some}) AS s WHERE {}", sets.join(", "), on.join(" AND "));
    let but = if theirs.is_empty() { String::new() } else { format!(", but for what {theirs} may do") };
    let law = format!("GetPut: writing back what `{view}` shows changes nothing");
    let mut trying = transaction.savepoint("get_put")?;
    match trying.execute(&update, &[]) {
        Ok(_) => {
            let unchanged = checksums(&mut trying, &summed)? == before;
            trying.rollback()?;
            // Others may have written meanwhile: then the sums are others without our write, too.
            if unchanged || checksums(transaction, &summed)? == before {
                findings.note(law + &but, unchanged, "a table changed");
            } else {
                findings.untried.push(law);
            }
        }
        Err(error) => {
            trying.rollback()?;
            findings.note_error(law, &error, transaction, trial);
        }
    }
    Ok(())
}

/// `PutGet`: what is written through a view is what it shows afterwards. A looked-up field of some rows gets the value of
/// another row.
fn put_get(
    transaction: &mut Transaction,
    trial: &Trial,
    field: &Field,
    findings: &mut Findings,
) -> Result<(), Problem> {
    let Trial { version, relation, view, key, rows: limit, .. } = trial;
    let name = &field.shape.name;
    let of = if trial.sampled {
        sample(name.to_string().as_str(), view, COMPARED)
    } else {
        format!("SELECT {name} FROM {view}")
    };
    let (chosen, is_chosen) = if key.is_empty() {
        ("(t.*)::text AS whole".to_owned(), "(t.*)::text = rows.whole".to_owned())
    } else {
        let on: Vec<String> = key.iter().map(|k| format!("t.{k} = rows.{k}")).collect();
        (list(key), on.join(" AND "))
    };
    let sql = format!(
        "WITH other AS (SELECT {name} AS v FROM ({of}) AS o WHERE {name} IS NOT NULL ORDER BY {name}::text DESC LIMIT 1),
         rows AS (SELECT {chosen} FROM {view} AS t LIMIT {limit}),
         written AS (UPDATE {view} AS t SET {name} = other.v FROM other, rows WHERE {is_chosen} RETURNING pg_catalog.record_image_eq(ROW(t.{name}), ROW(other.v)) AS same)
         SELECT count(*) FILTER (WHERE NOT same), count(*) FROM written"
    );
    let law = format!("PutGet: what is written to `{view}.{name}` is read back");
    let mut trying = transaction.savepoint("put_get")?;
    match trying.query_one(&sql, &[]) {
        Ok(row) => {
            let differing: i64 = row.get(0);
            let theirs = own_triggers(version, &written(version, relation));
            if differing > 0 && !theirs.is_empty() {
                findings.note(format!("{law} ({differing} rows differ, which {theirs} may have done)"), true, "");
            } else {
                findings.note(law, differing == 0, &format!("{differing} rows read back another value"));
            }
        }
        // A value of another row may break a check or a key, or have no place yet: an error is an allowed answer.
        Err(error) if error.code().is_some_and(|c| c.code().starts_with("23") || c.code() == "0A000") => {
            findings.note(format!("{law} (or refused: {})", first_line(&error)), true, "");
        }
        Err(error) => {
            trying.rollback()?;
            findings.note_error(law, &error, transaction, trial);
        }
    }
    Ok(())
}

/// What the server said, in one line.
fn first_line(error: &postgres::Error) -> String {
    crate::db::message::render(error, None).lines().next().unwrap_or_default().to_owned()
}

/// The user's triggers of a table, where writing its rows back to the table itself fails in the same way as `error`.
fn refusing(transaction: &mut Transaction, trial: &Trial, error: &postgres::Error) -> Option<String> {
    let Trial { version, relation, rows, .. } = trial;
    written(version, relation).into_iter().find_map(|table| {
        let theirs = own_triggers(version, std::slice::from_ref(&table));
        let fields = &version.schema.tables.get(&table).filter(|_| !theirs.is_empty())?.fields;
        let open = fields.iter().filter(|f| f.generated.is_none() && f.identity != Some(Identity::Always));
        let sets: Vec<String> = open.map(|f| format!("{0} = {0}", f.name)).collect();
        let update = format!(
            "UPDATE {table} SET {} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} LIMIT {rows}))",
            sets.join(", ")
        );
        let mut trying = transaction.savepoint("itself").ok()?;
        let said = trying.execute(&update, &[]).err()?;
        (said.code() == error.code()).then_some(theirs)
    })
}

/// The tables that a write of a view can reach.
fn written(version: &Version, relation: &Relation) -> Vec<TableName> {
    let mut tables = vec![relation.base.clone()];
    tables.extend(version.carries.iter().filter(|c| c.target == relation.base).map(|c| c.source.clone()));
    if let Rows::United(at) = relation.rows {
        tables.extend(version.unions[at].branches[1..].iter().map(|b| b.table.clone()));
    }
    if let Rows::Told(at) = relation.rows {
        tables.extend(version.told[at].names.iter().cloned());
    }
    tables
}

/// The user's triggers that can change what is written to tables, in words.
fn own_triggers(version: &Version, tables: &[TableName]) -> String {
    let of = |table: &TableName| {
        let triggers = version.schema.tables.get(table).into_iter().flat_map(|t| &t.triggers);
        let triggers = triggers.filter(|t| t.enabled != 'D');
        triggers.map(|t| format!("the trigger `{}` of `{}`", t.name, table.short())).collect::<Vec<_>>()
    };
    let all: std::collections::BTreeSet<String> = tables.iter().flat_map(of).collect();
    list(&all.into_iter().collect::<Vec<_>>())
}

/// The fields that show the table's key.
fn key(version: &Version, relation: &Relation) -> Vec<Ident> {
    let columns = crate::relation::row_key(version.table(relation)).unwrap_or_default();
    let showing = |column: &Ident| relation.fields.iter().find(|f| version.stays(relation, f) == Some(column));
    let shown: Vec<Ident> = columns.iter().filter_map(showing).map(|f| f.shape.name.clone()).collect();
    if shown.len() == columns.len() { shown } else { Vec::new() }
}

fn checksums(transaction: &mut Transaction, tables: &[(TableName, String)]) -> Result<Vec<String>, Problem> {
    let mut sums = Vec::new();
    for (table, chosen) in tables {
        let sql = format!(
            "SELECT count(*)::text || ' ' || coalesce(sum(hashtextextended((t.*)::text, 0)::numeric), 0)::text FROM {table} AS t{chosen}"
        );
        sums.push(transaction.query_one(&sql, &[])?.get(0));
    }
    Ok(sums)
}
