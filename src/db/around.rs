//! What others have done to what is ours, or put beside it: triggers that do not fire, what the views show, strangers.

use std::collections::BTreeMap;

use postgres::{Error, GenericClient};

use crate::db::installed::{name, on_tables};
use crate::name::{Ident, TableName};
use crate::plan::{Installed, Shows, Stranger};

const DISABLED: &str = "
SELECT t.tgname::text, n.nspname::text, c.relname::text
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE t.tgname::text ~ '^[!~]refactor_' AND NOT t.tgisinternal AND t.tgenabled IN ('D', 'R')
ORDER BY 2, 3, 1";

/// Of `pg_class AS c`: a view of ours, by its comment, or, where that is what the user says of a table, by what it reads.
pub(super) const OUR_VIEW: &str =
    "(c.relkind = 'v' AND (starts_with(coalesce(obj_description(c.oid, 'pg_class'), ''), 'refactor:')
  OR EXISTS (
    SELECT FROM pg_catalog.pg_rewrite AS r
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
    JOIN pg_catalog.pg_class AS i ON d.refclassid = 'pg_catalog.pg_class'::regclass AND i.oid = d.refobjid
    WHERE r.ev_class = c.oid AND i.relkind = 'v' AND i.relnamespace = pg_catalog.to_regnamespace('refactor')
  )))";

const SHOWS: &str = "
SELECT n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE n.nspname = ANY ($1) AND {OUR_VIEW}
ORDER BY 1, 2, a.attnum";

/// What is in our schemas and not ours. What belongs to such a thing goes along with it.
const STRANGERS: &str = "
SELECT n.nspname::text, CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
       WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, quote_ident(c.relname)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
  AND NOT {OUR_VIEW}
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS d
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
      AND d.refclassid = 'pg_catalog.pg_class'::regclass
  )
UNION ALL
SELECT n.nspname::text, CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, quote_ident(t.typname)
FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE n.nspname = ANY ($1) AND t.typtype IN ('d', 'e', 'r')
  AND NOT starts_with(coalesce(obj_description(t.oid, 'pg_type'), ''), 'refactor:')
UNION ALL
SELECT n.nspname::text, CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END,
       format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid))
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = ANY ($1)
ORDER BY 1, 2, 3";

/// The publications that are for all tables.
pub(super) fn publications(client: &mut impl GenericClient) -> Result<Vec<Ident>, Error> {
    let all = "SELECT pubname::text FROM pg_catalog.pg_publication WHERE puballtables ORDER BY 1";
    Ok(client.query(all, &[])?.iter().map(|row| Ident::new(row.get::<_, String>(0))).collect())
}

/// Reads it, with every name qualified as in the model of the tables.
pub(super) fn read(client: &mut impl GenericClient, installed: &mut Installed) -> Result<(), Error> {
    installed.disabled = on_tables(client, DISABLED)?;
    let schemas: Vec<&str> = installed.next_schemas.iter().map(Ident::as_str).collect();
    let mut shows: BTreeMap<TableName, Vec<Shows>> = BTreeMap::new();
    for row in client.query(&SHOWS.replace("{OUR_VIEW}", OUR_VIEW), &[&schemas])? {
        let column = Shows { name: Ident::new(row.get::<_, String>(2)), type_name: row.get(3), default: row.get(4) };
        shows.entry(name(&row, 0)).or_default().push(column);
    }
    installed.shows = shows;
    for row in client.query(&STRANGERS.replace("{OUR_VIEW}", OUR_VIEW), &[&schemas])? {
        let (schema, kind, name): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        installed.strangers.push(Stranger { schema: Ident::new(schema), kind, name });
    }
    Ok(())
}
