//! What of ours a database has: journal, schemas, views, functions, triggers, complements.

use postgres::{Error, GenericClient, Row};

use crate::db::around::{self, OUR_VIEW};
use crate::journal::{Entry, JournalError, Recorded, State};
use crate::name::{Ident, TableName};
use crate::plan::materialize::ready::READY;
use crate::plan::{Installed, LENT, PlanStep};

pub(super) fn name(row: &Row, schema: usize) -> TableName {
    TableName::new(row.get::<_, String>(schema), row.get::<_, String>(schema + 1))
}

/// Reads what is installed.
///
/// # Errors
/// When the server says so.
pub fn read(client: &mut impl GenericClient) -> Result<Installed, Error> {
    let mut inside = client.transaction()?;
    inside.execute("SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)", &[])?;
    let installed = read_all(&mut inside)?;
    inside.rollback()?;
    Ok(installed)
}

fn read_all(client: &mut impl GenericClient) -> Result<Installed, Error> {
    let mut installed = Installed { publish_all: around::publications(client)?, ..Installed::default() };
    for row in client.query(
        "SELECT n.nspname::text, r.rolname::text, coalesce(obj_description(n.oid, 'pg_namespace'), '') LIKE 'refactor:%',
           obj_description(n.oid, 'pg_namespace') IS NULL AND pg_has_role(n.nspowner, 'USAGE')
             AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace = n.oid)
             AND NOT EXISTS (SELECT FROM pg_proc AS p WHERE p.pronamespace = n.oid)
             AND NOT EXISTS (SELECT FROM pg_type AS t WHERE t.typnamespace = n.oid) AND NOT r.rolsuper,
           coalesce(obj_description(n.oid, 'pg_namespace'), '') LIKE '%' || $1::text
         FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner
         WHERE n.nspname = 'refactor' OR n.nspname = 'next' OR n.nspname LIKE 'next\\_%' ORDER BY 1",
        &[&LENT],
    )? {
        let (schema, owner, ours) = (Ident::new(row.get::<_, String>(0)), Ident::new(row.get::<_, String>(1)), row.get(2));
        match (schema.as_str(), ours) {
            ("refactor", true) => installed.journal = true,
            (_, true) => {
                installed.lent.extend(Some(schema.clone()).filter(|_| row.get(4)));
                installed.next_schemas.push(schema);
            }
            (_, false) if row.get(3) => installed.prepared.push(schema),
            ("refactor" | "next", false) => installed.foreign_schemas.push((schema, owner)),
            (_, false) => {}
        }
    }
    if !installed.journal {
        return Ok(installed);
    }
    let schemas: Vec<String> =
        installed.next_schemas.iter().map(|s| s.as_str().to_owned()).chain(["refactor".to_owned()]).collect();
    for row in client.query(
        &format!(
            "SELECT n.nspname::text, c.relname::text, c.relkind = 'v'
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE n.nspname = ANY ($1)
               AND ({OUR_VIEW}
                 OR c.relkind = 'r' AND n.nspname = 'refactor' AND c.relname <> ALL ('{{journal,later}}'))
             ORDER BY n.nspname = 'refactor', 1, 2"
        ),
        &[&schemas],
    )? {
        let list = if row.get(2) { &mut installed.views } else { &mut installed.tables };
        list.push(name(&row, 0));
    }
    installed.shared = shared(client)?;
    installed.ready = ready(client)?;
    installed.later = later(client)?;
    installed.secured = named(
        client,
        "SELECT n.nspname::text, c.relname::text FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid
         JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = 'refactor' AND p.polname = 'refactor_rows' ORDER BY 2",
    )?;
    installed.bound = on_tables(
        client,
        "SELECT k.conname::text, n.nspname::text, c.relname::text
             FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE n.nspname = 'refactor' AND c.relname ~ '^lost_' AND k.contype = 'f' ORDER BY 2, 3, 1",
    )?;
    installed.types = types(client, &schemas)?;
    installed.functions = named(
        client,
        "SELECT DISTINCT n.nspname::text, p.proname::text
         FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
         WHERE n.nspname = 'refactor' AND obj_description(p.oid, 'pg_proc') LIKE 'refactor:%' ORDER BY 2",
    )?;
    installed.triggers = on_tables(
        client,
        "SELECT t.tgname::text, n.nspname::text, c.relname::text
             FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE t.tgname::text ~ '^[!~]refactor_' AND c.relkind IN ('r', 'p') AND t.tgparentid = 0 AND NOT t.tgisinternal
             ORDER BY 2, 3, 1",
    )?;
    installed.pieces = client
        .query(
            "SELECT substring(obj_description(c.oid, 'pg_class') FROM '#([0-9a-f]{16})$')
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE n.nspname = ANY ($1) AND c.relkind = 'v'
             UNION ALL SELECT substring(obj_description(p.oid, 'pg_proc') FROM '#([0-9a-f]{16})$')
             FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = 'refactor'",
            &[&schemas],
        )?
        .iter()
        .filter_map(|row| row.get(0))
        .collect();
    installed.dependents = client
        .query(
            "SELECT DISTINCT format('%s %I.%I', CASE v.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END, vn.nspname, v.relname)
             FROM pg_depend AS d
             JOIN pg_rewrite AS r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
             JOIN pg_class AS v ON v.oid = r.ev_class JOIN pg_namespace AS vn ON vn.oid = v.relnamespace
             JOIN pg_class AS c ON c.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE n.nspname = ANY ($1) AND vn.nspname <> ALL ($1) ORDER BY 1",
            &[&schemas],
        )?
        .iter()
        .map(|row| row.get(0))
        .collect();
    around::read(client, &mut installed)?;
    Ok(installed)
}

/// The enums of the new shape, each with its refactoring.
fn types(client: &mut impl GenericClient, schemas: &[String]) -> Result<Vec<(TableName, String)>, Error> {
    let ours = "SELECT n.nspname::text, t.typname::text, substr(obj_description(t.oid, 'pg_type'), length('refactor: ') + 1)
         FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
         WHERE n.nspname = ANY ($1) AND t.typtype = 'e' AND obj_description(t.oid, 'pg_type') LIKE 'refactor: %' ORDER BY 1, 2";
    Ok(client.query(ours, &[&schemas])?.iter().map(|row| (name(row, 0), row.get(2))).collect())
}

/// What a run has made ready that was cut off.
fn ready(client: &mut impl GenericClient) -> Result<Vec<(String, String)>, Error> {
    let mut ready = Vec::new();
    for (rule, on) in on_tables(
        client,
        &format!(
            "SELECT c.conname::text, n.nspname::text, t.relname::text
             FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid JOIN pg_namespace AS n ON n.oid = t.relnamespace
             WHERE starts_with(c.conname, '{READY}') AND n.nspname <> 'refactor' ORDER BY 1, 2, 3"
        ),
    )? {
        let drop = format!("ALTER TABLE {on} DROP CONSTRAINT IF EXISTS {rule};");
        ready.push((format!("constraint {rule} on `{}`", on.short()), drop));
    }
    for index in named(
        client,
        &format!(
            "SELECT n.nspname::text, c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE c.relkind = 'i' AND starts_with(c.relname, '{READY}') AND n.nspname <> 'refactor' ORDER BY 1, 2"
        ),
    )? {
        ready.push((format!("index `{}`", index.short()), format!("DROP INDEX IF EXISTS {index};")));
    }
    // Its comment is for whose sake it is there.
    for row in client.query(
        "SELECT 'refactor', c.relname::text, obj_description(c.oid, 'pg_class')
         FROM pg_class AS c
         WHERE c.relnamespace = 'refactor'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^ready_(log|keys)_' ORDER BY 2 DESC",
        &[],
    )? {
        let (log, of): (TableName, Option<String>) = (name(&row, 0), row.get(2));
        let of = of.map(|of| format!("\nDROP TABLE IF EXISTS {of};")).unwrap_or_default();
        let sql = format!("DROP FUNCTION IF EXISTS {log}() CASCADE;\nDROP TABLE {log};{of}");
        ready.push((format!("`{log}`"), sql));
    }
    Ok(ready)
}

/// What is left to do of what is real.
fn later(client: &mut impl GenericClient) -> Result<Vec<PlanStep>, Error> {
    if !client.query_one("SELECT to_regclass('refactor.later') IS NOT NULL", &[])?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let rows = client.query("SELECT sentence, sql FROM refactor.later ORDER BY position", &[])?;
    Ok(rows.iter().map(|row| PlanStep::new(row.get::<_, String>(0), row.get::<_, String>(1))).collect())
}

/// The columns of complements that several fields share.
fn shared(client: &mut impl GenericClient) -> Result<Vec<(TableName, Ident)>, Error> {
    let columns = on_tables(
        client,
        "SELECT a.attname::text, n.nspname::text, c.relname::text
         FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = 'refactor' AND c.relkind = 'r' AND c.relname ~ '^kept_of_' AND a.attnum > 0
           AND NOT a.attisdropped AND a.attname !~ '^refactor_key_' ORDER BY 3, a.attnum",
    )?;
    Ok(columns.into_iter().map(|(column, table)| (table, column)).collect())
}

/// What a query finds by schema and name.
fn named(client: &mut impl GenericClient, query: &str) -> Result<Vec<TableName>, Error> {
    Ok(client.query(query, &[])?.iter().map(|row| name(row, 0)).collect())
}

/// What a query finds on tables: a name, then the table's schema and name.
pub(super) fn on_tables(client: &mut impl GenericClient, query: &str) -> Result<Vec<(Ident, TableName)>, Error> {
    let rows = client.query(query, &[])?;
    Ok(rows.iter().map(|row| (Ident::new(row.get::<_, String>(0)), name(row, 1))).collect())
}

/// The refactorings that the database has, in the order in which they came.
///
/// # Errors
/// When the server says so, or a recorded text is not understood.
pub fn journal(client: &mut impl GenericClient, installed: &Installed) -> Result<Vec<Recorded>, JournalReadError> {
    if !installed.journal {
        return Ok(Vec::new());
    }
    let rows = client.query(
        "SELECT name, text, state, pg_catalog.to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), changed_by,
           inverse
         FROM refactor.journal WHERE state <> 'undone' ORDER BY position",
        &[],
    )?;
    let mut recorded = Vec::new();
    for row in rows {
        let (name, text, state): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        recorded.push(Recorded {
            entry: Entry::parse(&name, &text)?,
            state: if state == "deferred" { State::Deferred } else { State::Materialized },
            at: row.get(3),
            by: row.get(4),
            inverse: row.get(5),
        });
    }
    Ok(recorded)
}

/// Why the journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalReadError {
    /// The server.
    #[error("{}", crate::db::message::render(.0, None))]
    Server(#[from] Error),
    /// The text, written by another version of the tool perhaps.
    #[error("{0}")]
    Text(#[from] JournalError),
}
