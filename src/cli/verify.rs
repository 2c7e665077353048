//! `verify`: the laws of the views, tried on the real rows in a transaction that is rolled back.

use clap::Args;
use postgres::Transaction;
use serde_json::json;

use crate::cli::Context;
use crate::db::{facts, trial};
use crate::generate::{list, rows, shown_in};
use crate::name::{Ident, TableName};
use crate::problem::{Kind, Problem};
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
}

impl Findings {
    fn note(&mut self, law: String, holds: bool, how: &str) {
        if holds {
            self.tried.push(law);
        } else {
            self.broken.push(format!("{law}: {how}"));
        }
    }
}

/// Tries the laws on the rows that are there. Locks those rows until it is rolled back; changes nothing.
pub fn run(context: &Context, args: &Verify) -> Result<(), Problem> {
    let mut session = context.session()?;
    let place = session.place()?;
    let version = place.version()?;
    let next = shown_in(&version);
    let mut findings = Findings::default();
    for wanted in version.facts() {
        let answer = facts::ask_still(session.client(), &version, &wanted)?;
        findings.note(format!("fact: {}", wanted.sentence()), answer.holds(), &answer.sentence());
    }
    let mut transaction = session.client().transaction()?;
    transaction.batch_execute("SET LOCAL lock_timeout = '2s'")?;
    for relation in version.touched() {
        let view = TableName { schema: next[&relation.name.schema].clone(), name: relation.name.name.clone() };
        same_rows(&mut transaction, &version, relation, &view, &mut findings)?;
        get_put(&mut transaction, &version, relation, &view, args.rows, &mut findings)?;
        put_get(&mut transaction, relation, &view, args.rows, &mut findings)?;
        if let Rows::Told(at) = relation.rows {
            match trial::of_table(&mut transaction, &version, relation, &version.told[at], args.rows) {
                Ok(trial) => findings.tried.push(trial.sentence()),
                Err(problem) if problem.kind == Kind::Fact => findings.broken.push(problem.why.join(": ")),
                Err(problem) => return Err(problem),
            }
        }
    }
    transaction.rollback()?;
    for law in &findings.tried {
        context.ui.out(format!("holds   {law}"));
    }
    if findings.broken.is_empty() {
        context.ui.json(&json!({ "holds": findings.tried, "broken": findings.broken }));
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
fn same_rows(
    transaction: &mut Transaction,
    version: &Version,
    relation: &Relation,
    view: &TableName,
    findings: &mut Findings,
) -> Result<(), Problem> {
    let fields = list(&names(relation));
    let different: i64 = transaction
        .query_one(
            &format!(
                "SELECT count(*) FROM (SELECT (t.*)::text FROM (SELECT {fields} FROM {view}) AS t EXCEPT ALL SELECT (d.*)::text FROM ({}) AS d) AS q",
                rows::select(version, relation)
            ),
            &[],
        )?
        .get(0);
    findings.note(
        format!("`{view}` shows what its definition says"),
        different == 0,
        &format!("{different} rows differ"),
    );
    Ok(())
}

fn names(relation: &Relation) -> Vec<Ident> {
    relation.fields.iter().map(|f| f.shape.name.clone()).collect()
}

/// The first rows of a view by their whole text, so that a second look finds the same.
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
fn get_put(
    transaction: &mut Transaction,
    version: &Version,
    relation: &Relation,
    view: &TableName,
    limit: i64,
    findings: &mut Findings,
) -> Result<(), Problem> {
    // Triggers of the user (`updated_at`) may rightly change a row that is written: only carried fields can be compared.
    let has_triggers = version.table(relation).triggers.iter().any(|t| t.enabled != 'D');
    let mut tables = vec![relation.base.clone()];
    tables.extend(version.carries.iter().filter(|c| c.target == relation.base).map(|c| c.source.clone()));
    if let Rows::United(at) = relation.rows {
        tables.extend(version.unions[at].branches[1..].iter().map(|b| b.table.clone()));
    }
    if let Rows::Told(at) = relation.rows {
        tables.extend(version.told[at].names.iter().cloned());
    }
    if has_triggers {
        tables.remove(0);
    }
    let before = checksums(transaction, &tables)?;
    let key: Vec<Ident> = key(version, relation);
    let sets: Vec<String> = writable(relation).iter().map(|f| format!("{f} = t.{f}")).collect();
    if key.is_empty() || sets.is_empty() {
        return Ok(());
    }
    let on: Vec<String> = key.iter().map(|k| format!("t.{k} = s.{k}")).collect();
    let point = transaction.savepoint("get_put")?;
    let mut point = point;
    let sql = format!(
        "UPDATE {view} AS t SET {} FROM ({}) AS s WHERE {}",
        sets.join(", "),
        sample(&list(&key), view, limit),
        on.join(" AND ")
    );
    let outcome = point.execute(&sql, &[]);
    let law = format!("GetPut: writing back what `{view}` shows changes nothing");
    match outcome {
        Ok(_) => {
            let same = checksums(&mut point, &tables)? == before;
            findings.note(law, same, "a table changed");
        }
        Err(error) => findings.note(law, false, &crate::db::message::render(&error, None)),
    }
    point.rollback()?;
    Ok(())
}

/// `PutGet`: what is written through a view is what it shows afterwards. Each looked-up field of some rows gets the value
/// of another row.
fn put_get(
    transaction: &mut Transaction,
    relation: &Relation,
    view: &TableName,
    limit: i64,
    findings: &mut Findings,
) -> Result<(), Problem> {
    // What PostgreSQL fills by itself cannot be given.
    let given = |f: &&Field| f.shape.generated.is_none() && f.shape.identity != Some(Identity::Always);
    for field in relation.fields.iter().filter(|f| !matches!(f.home, Home::Own(_))).filter(given) {
        let name = &field.shape.name;
        let mut point = transaction.savepoint("put_get")?;
        let sql = format!(
            "WITH other AS (SELECT {name} AS v FROM {view} WHERE {name} IS NOT NULL ORDER BY {name}::text DESC LIMIT 1),
             rows AS (SELECT (t.*)::text AS whole FROM {view} AS t LIMIT {limit}),
             written AS (UPDATE {view} AS t SET {name} = other.v FROM other, rows WHERE (t.*)::text = rows.whole RETURNING t.{name} IS NOT DISTINCT FROM other.v AS same)
             SELECT count(*) FILTER (WHERE NOT same), count(*) FROM written"
        );
        let law = format!("PutGet: what is written to `{view}.{name}` is read back");
        match point.query_one(&sql, &[]) {
            Ok(row) => {
                let differing: i64 = row.get(0);
                findings.note(law, differing == 0, &format!("{differing} rows read back another value"));
            }
            // A value of another row may break a check or a key, or have no place yet: an error is an allowed answer.
            Err(error) if error.code().is_some_and(|c| c.code().starts_with("23") || c.code() == "0A000") => {
                findings.note(
                    format!(
                        "{law} (or refused: {})",
                        crate::db::message::render(&error, None).lines().next().unwrap_or_default()
                    ),
                    true,
                    "",
                );
            }
            Err(error) => findings.note(law, false, &crate::db::message::render(&error, None)),
        }
        point.rollback()?;
    }
    Ok(())
}

/// The fields that show the table's key.
fn key(version: &Version, relation: &Relation) -> Vec<Ident> {
    let columns = crate::relation::row_key(version.table(relation)).unwrap_or_default();
    let showing = |column: &Ident| relation.fields.iter().find(|f| version.stays(relation, f) == Some(column));
    let shown: Vec<Ident> = columns.iter().filter_map(showing).map(|f| f.shape.name.clone()).collect();
    if shown.len() == columns.len() { shown } else { Vec::new() }
}

fn checksums(transaction: &mut Transaction, tables: &[TableName]) -> Result<Vec<String>, Problem> {
    let mut sums = Vec::new();
    for table in tables {
        let sql = format!(
            "SELECT count(*)::text || ' ' || coalesce(sum(hashtextextended((t.*)::text, 0)::numeric), 0)::text FROM {table} AS t"
        );
        sums.push(transaction.query_one(&sql, &[])?.get(0));
    }
    Ok(sums)
}
