//! Lets PostgreSQL judge the SQL of a told table: what it gives, what it names, whether it can be run at all.

use postgres::{Error, GenericClient, Transaction};

use super::{columns, columns_of, is_volatile};
use crate::generate::list;
use crate::name::TableName;
use crate::problem::{Kind, Problem};
use crate::refusal::Refusal;
use crate::schema::Table;
use crate::sql::tables::named;
use crate::version::{Told, Version};

/// What is made for the judgement, and left by nobody.
const TRIED: [&str; 2] = ["refactor_try", "refactor_told"];

/// Judges the SQL that tells and writes a table.
///
/// # Errors
/// The server's judgement; a SELECT that gives other fields than the table has, or another value each time; a table that
/// only the server finds in it.
pub fn judge(client: &mut impl GenericClient, version: &Version, told: &Told, wish: &str) -> Result<(), Problem> {
    let functions = named(&told.select).map(|n| n.functions).unwrap_or_default();
    let functions: Vec<String> = functions.into_iter().collect();
    for function in &functions {
        if is_volatile(client, std::slice::from_ref(function))? {
            let why =
                format!("`{function}` gives another value each time it is asked, so two reads of a row would differ");
            return Err(refused(wish, why).hint("tell rows by what the tables hold alone"));
        }
    }
    let table = &version.schema.tables[&told.table];
    let mut transaction = client.transaction()?;
    let is_ours = |name: &TableName| version.floor(name).is_some() || version.made.iter().any(|m| m.table == *name);
    for missing in told.names.iter().filter(|name| is_ours(name)) {
        // What makes it is applied together with this, so it is not there yet. By the key of a floor rows may be grouped.
        let columns = columns_of(version, missing);
        let key = version.floor(missing).map(|f| format!(", PRIMARY KEY ({})", list(&f.key))).unwrap_or_default();
        transaction.batch_execute(&format!(
            "CREATE SCHEMA IF NOT EXISTS {}; CREATE TABLE IF NOT EXISTS {missing} {}{key})",
            missing.schema,
            columns.strip_suffix(')').unwrap_or(&columns)
        ))?;
    }
    let judged = in_transaction(&mut transaction, told, table, wish);
    transaction.rollback()?;
    judged
}

fn refused(wish: &str, why: String) -> Problem {
    Problem::new(Kind::Refused(Refusal::Expression(why.clone())), format!("cannot {wish}"), why)
}

fn in_transaction(transaction: &mut Transaction, told: &Told, table: &Table, wish: &str) -> Result<(), Problem> {
    let said = |option: &str, error: &Error| {
        let mut problem = Problem::server(format!("cannot {wish}"), error);
        problem.why.insert(0, format!("the server does not take what `{option}` says"));
        problem.kind = Kind::Refused(Refusal::Expression(option.to_owned()));
        problem.hint =
            problem.hint.or_else(|| Some("correct it; `NEW` and `OLD` are the rows as the table has them".into()));
        problem
    };
    let mut create = |option: &str, sql: String| transaction.batch_execute(&sql).map_err(|e| said(option, &e));
    create("ELEMENT", format!("CREATE TEMPORARY TABLE {} {} ON COMMIT DROP", TRIED[0], columns(table.fields.iter())))?;
    create("--view", format!("CREATE TEMPORARY VIEW {} AS SELECT * FROM ({}) AS b", TRIED[1], told.select))?;
    let puts = [
        ("--insert", "new pg_temp.refactor_try", &told.insert),
        ("--update", "old pg_temp.refactor_try, new pg_temp.refactor_try", &told.update),
        ("--delete", "old pg_temp.refactor_try", &told.delete),
    ];
    for (option, parameters, body) in puts {
        if let Some(body) = body {
            let name = option.trim_start_matches('-');
            let sql = format!(
                "CREATE FUNCTION pg_temp.refactor_{name}({parameters}) RETURNS void LANGUAGE sql BEGIN ATOMIC\n{body};\nEND"
            );
            create(option, sql)?;
        }
    }
    same_fields(transaction, wish)?;
    nothing_else(transaction, told, wish)
}

/// The SELECT gives each field, of its very type and collation, and no other.
fn same_fields(transaction: &mut Transaction, wish: &str) -> Result<(), Problem> {
    let fields = |of: &str| {
        format!(
            "(SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS kind,
               CASE WHEN a.attcollation = t.typcollation THEN '' ELSE ' COLLATE ' || a.attcollation::regcollation END AS collation
             FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
             WHERE a.attrelid = 'pg_temp.{of}'::regclass AND a.attnum > 0)"
        )
    };
    let rows = transaction.query(
        &format!(
            "SELECT coalesce(t.name, v.name), t.kind || t.collation, v.kind || v.collation
             FROM {} AS t FULL JOIN {} AS v USING (name)
             WHERE (t.kind, t.collation) IS DISTINCT FROM (v.kind, v.collation) ORDER BY 1",
            fields(TRIED[0]),
            fields(TRIED[1])
        ),
        &[],
    )?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (field, wanted, given): (String, Option<String>, Option<String>) = (row.get(0), row.get(1), row.get(2));
    Err(match (wanted, given) {
        (Some(wanted), Some(given)) => {
            refused(wish, format!("`--view` gives `{field}` as {given}, and the table has it as {wanted}"))
                .hint(format!("make them one, as in `(…)::{wanted} AS {field}`"))
        }
        (Some(_), None) => refused(wish, format!("`--view` gives no column `{field}`"))
            .hint(format!("give one for each field, as in `SELECT … AS {field}`")),
        (None, _) => refused(wish, format!("`--view` gives a column `{field}`, which the table has not"))
            .hint("add it to the table's elements, or leave it out"),
    })
}

/// No table is read or written that was not found in the text: `TABLE a` names one, and so does a row type.
fn nothing_else(transaction: &mut Transaction, told: &Told, wish: &str) -> Result<(), Problem> {
    let rows = transaction.query(
        "SELECT DISTINCT n.nspname::text, c.relname::text
         FROM pg_depend AS d LEFT JOIN pg_type AS t ON t.oid = d.refobjid AND d.refclassid = 'pg_type'::regclass
         JOIN pg_class AS c ON c.oid = CASE WHEN d.refclassid = 'pg_class'::regclass THEN d.refobjid ELSE t.typrelid END
         JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.oid <> pg_my_temp_schema() AND n.nspname NOT IN ('pg_catalog', 'information_schema')
           AND (d.classid = 'pg_rewrite'::regclass
               AND d.objid IN (SELECT oid FROM pg_rewrite WHERE ev_class = 'pg_temp.refactor_told'::regclass)
             OR d.classid = 'pg_proc'::regclass
               AND d.objid IN (SELECT oid FROM pg_proc WHERE pronamespace = pg_my_temp_schema() AND proname ~ '^refactor_'))
         ORDER BY 1, 2",
        &[],
    )?;
    let found = rows.iter().map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)));
    match found.into_iter().find(|table| !told.names.contains(table)) {
        None => Ok(()),
        Some(table) => Err(refused(wish, format!("`{}` is used where it is not seen as a table", table.short()))
            .hint("name it in FROM, or as what is written")),
    }
}
