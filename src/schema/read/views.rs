//! Reads what reads tables: views and functions.

use postgres::{Error, GenericClient};

use super::names::{PG_PROC, PG_REWRITE};
use super::{Catalogue, Columns};
use crate::name::TableName;
use crate::schema::{Function, View};

const VIEWS: &str = "
SELECT c.oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind = 'm' AS materialized,
       r.oid AS rule
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_rewrite AS r ON r.ev_class = c.oid AND r.rulename = '_RETURN'
WHERE c.relnamespace = ANY($1) AND c.relkind IN ('v', 'm')
ORDER BY n.nspname, c.relname";

// Members of an extension are not the user's.
const FUNCTIONS: &str = r#"
SELECT p.oid,
       p.oid::regprocedure::text COLLATE "C" AS signature,
       p.prosqlbody IS NOT NULL AS parsed,
       CASE WHEN p.prosqlbody IS NULL THEN p.prosrc ELSE pg_get_function_sqlbody(p.oid) END AS text,
       EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE starts_with(c, 'search_path=')) AS has_path
FROM pg_proc AS p
WHERE p.pronamespace = ANY($1)
  AND p.prokind <> 'a'
  AND NOT EXISTS (
    SELECT
    FROM pg_depend AS d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
      AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  )
ORDER BY signature"#;

/// Reads the user's views and materialized views.
pub(super) fn read(client: &mut impl GenericClient, catalogue: &Catalogue) -> Result<Vec<View>, Error> {
    let mut views = Vec::new();
    for row in client.query(VIEWS, &[&catalogue.schemas])? {
        let (oid, rule): (u32, u32) = (row.column("oid")?, row.column("rule")?);
        views.push(View {
            name: row.relation()?,
            materialized: row.column("materialized")?,
            reads: catalogue.uses.named(&catalogue.names, PG_REWRITE, rule),
            relations: relations(catalogue, PG_REWRITE, rule, oid),
        });
    }
    Ok(views)
}

/// What an object reads besides itself.
fn relations(catalogue: &Catalogue, class: u32, object: u32, itself: u32) -> Vec<TableName> {
    let mut relations: Vec<u32> = catalogue.uses.of(class, object, 0).iter().map(|(relation, _)| *relation).collect();
    relations.retain(|relation| *relation != itself);
    relations.dedup();
    relations.iter().filter_map(|relation| catalogue.names.relation(*relation).cloned()).collect()
}

/// Reads the user's functions and procedures.
pub(super) fn read_functions(client: &mut impl GenericClient, catalogue: &Catalogue) -> Result<Vec<Function>, Error> {
    let mut functions = Vec::new();
    for row in client.query(FUNCTIONS, &[&catalogue.schemas])? {
        let oid = row.column("oid")?;
        functions.push(Function {
            signature: row.column("signature")?,
            text: row.column("text")?,
            has_path: row.column("has_path")?,
            reads: catalogue.uses.named(&catalogue.names, PG_PROC, oid),
            // Another kind may have a table as the default of an argument, which is nothing that it reads.
            relations: if row.column("parsed")? { relations(catalogue, PG_PROC, oid, 0) } else { Vec::new() },
        });
    }
    Ok(functions)
}
