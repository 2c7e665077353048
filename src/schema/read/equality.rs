//! Reads whose operator compares the values of fields.

use postgres::{Error, GenericClient};

use super::{Catalogue, Columns};
use crate::schema::Equalities;

/// The default operator class says which operator is a type's equality; a domain has its type's. Arrays, enums, ranges and rows
/// are compared by operators of PostgreSQL's own that look into them.
const EQUALITIES: &str = "
WITH RECURSIVE base (whole, type) AS (
  SELECT DISTINCT atttypid, atttypid FROM pg_attribute WHERE attrelid = ANY($1) AND attnum > 0 AND NOT attisdropped
  UNION
  SELECT b.whole, t.typbasetype FROM base AS b JOIN pg_type AS t ON t.oid = b.type AND t.typtype = 'd'
), owned (whole, schema) AS (
  SELECT b.whole, min(n.nspname::text)
  FROM base AS b
  JOIN pg_opclass AS c ON c.opcintype = b.type AND c.opcdefault
  JOIN pg_am AS m ON m.oid = c.opcmethod AND m.amname IN ('btree', 'hash')
  JOIN pg_amop AS a ON a.amopfamily = c.opcfamily AND a.amoplefttype = b.type AND a.amoprighttype = b.type
    AND a.amopstrategy = CASE m.amname WHEN 'btree' THEN 3 ELSE 1 END
  JOIN pg_operator AS o ON o.oid = a.amopopr AND o.oprname = '='
  JOIN pg_namespace AS n ON n.oid = o.oprnamespace AND n.nspname <> 'pg_catalog'
  GROUP BY b.whole
)
SELECT DISTINCT a.attname::text AS field, o.schema
FROM pg_attribute AS a
LEFT JOIN owned AS o ON o.whole = a.atttypid
WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped";

pub(super) fn read(client: &mut impl GenericClient, catalogue: &Catalogue) -> Result<Equalities, Error> {
    let mut equalities = Equalities::default();
    for row in client.query(EQUALITIES, &[&catalogue.tables])? {
        match row.optional_ident("schema")? {
            Some(schema) => {
                equalities.foreign.entry(row.ident("field")?).or_default().insert(schema);
            }
            None => {
                equalities.own.insert(row.ident("field")?);
            }
        }
    }
    Ok(equalities)
}
