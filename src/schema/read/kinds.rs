//! Reads what is known of types: operators, hashes and whether equality is identity, down to what a type is made of.

use postgres::{Error, GenericClient};

use super::{Catalogue, Columns};
use crate::schema::kind::{Kind, Kinds};

/// Types are taken apart (domain, array, range, composite) down to those that have operators of their own. A btree
/// operator class says of itself whether equal values are the same, since indexes leave out duplicates only then; for
/// strings that rests on the collation. It is not asked of what has a modifier: a scale gives each number one form, and
/// a length pads all strings alike. Row types of tables count only where a field is of one.
const KINDS: &str = "
WITH RECURSIVE wanted (type) AS (
  SELECT t.oid
  FROM pg_type AS t
  LEFT JOIN pg_type AS e ON e.oid = t.typelem AND e.typarray = t.oid
  LEFT JOIN pg_class AS c ON c.oid = coalesce(e.typrelid, t.typrelid) AND c.relkind <> 'c'
  WHERE t.typisdefined AND t.typtype <> 'p' AND c.oid IS NULL
  UNION
  SELECT atttypid FROM pg_attribute WHERE attrelid = ANY($1) AND attnum > 0 AND NOT attisdropped
), lax (collations) AS (
  SELECT coalesce(array_agg(oid), '{}') FROM pg_collation WHERE NOT collisdeterministic
), part (whole, fixed, type, modified, lax, outside) AS (
  SELECT w.type, f.fixed, w.type, f.fixed, t.typcollation = ANY(x.collations), true
  FROM wanted AS w JOIN pg_type AS t ON t.oid = w.type CROSS JOIN lax AS x CROSS JOIN (VALUES (false), (true)) AS f (fixed)
  UNION
  SELECT p.whole, p.fixed, i.type, i.modified, i.lax, p.outside AND t.typtype = 'd'
  FROM part AS p
  JOIN pg_type AS t ON t.oid = p.type
  CROSS JOIN lax AS x
  CROSS JOIN LATERAL (
    SELECT t.typbasetype, t.typtypmod <> -1, t.typcollation = ANY(x.collations) WHERE t.typtype = 'd'
    UNION ALL
    SELECT t.typelem, p.modified, p.lax WHERE t.typelem <> 0 AND t.typsubscript = 'array_subscript_handler'::regproc
    UNION ALL
    SELECT r.rngsubtype, false, r.rngcollation = ANY(x.collations)
    FROM pg_range AS r
    WHERE t.typtype IN ('r', 'm') AND t.oid IN (r.rngtypid, r.rngmultitypid)
    UNION ALL
    SELECT a.atttypid, a.atttypmod <> -1, a.attcollation = ANY(x.collations)
    FROM pg_attribute AS a
    WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS i (type, modified, lax)
), operators (type, method, family, input) AS (
  SELECT c.opcintype, m.amname, c.opcfamily, c.opcintype
  FROM pg_opclass AS c
  JOIN pg_am AS m ON m.oid = c.opcmethod
  WHERE c.opcdefault AND m.amname IN ('btree', 'hash')
), able (type, method, family, input) AS (
  SELECT * FROM operators
  UNION
  SELECT k.castsource, o.method, o.family, o.input
  FROM operators AS o
  JOIN pg_cast AS k ON k.casttarget = o.type AND k.castmethod = 'b' AND k.castcontext = 'i'
  WHERE NOT EXISTS (SELECT FROM operators AS n WHERE n.type = k.castsource AND n.method = o.method)
), leaf (type, ordered, same, hashed) AS (
  SELECT a.type,
         bool_or(a.method = 'btree'),
         min(s.amproc::regproc::text) FILTER (WHERE a.method = 'btree'),
         bool_or(a.method = 'hash' AND s.amproc IS NOT NULL)
  FROM able AS a
  LEFT JOIN pg_amproc AS s
    ON s.amprocfamily = a.family AND s.amproclefttype = a.input AND s.amprocrighttype = a.input
    AND s.amprocnum = CASE a.method WHEN 'btree' THEN 4 ELSE 2 END
  GROUP BY a.type
)
SELECT format_type(p.whole, NULL) AS name,
       p.fixed,
       bool_and(k.made OR coalesce(l.ordered, false)) AS comparable,
       bool_and(k.made OR coalesce(l.same = 'btequalimage' OR l.same = 'btvarstrequalimage' AND NOT p.lax, false)
         AND (p.modified OR p.type <> 'bpchar'::regtype)
         OR p.modified AND p.type = 'numeric'::regtype) AS exact,
       bool_and(NOT p.lax AND (k.made OR coalesce(l.hashed, false))) AS hashed,
       bool_or(p.outside AND t.typtype = 'c') AS composite,
       bool_or(p.type = p.whole AND t.typcollation <> 0) AS collatable,
       bool_or(p.type = p.whole AND t.typlen = -1 AND (t.typcategory IN ('S', 'A', 'C') OR t.oid = 'bytea'::regtype)) AND NOT p.fixed AS long
FROM part AS p
JOIN pg_type AS t ON t.oid = p.type
CROSS JOIN LATERAL (SELECT t.typtype <> 'b' OR t.typelem <> 0 AND t.typsubscript = 'array_subscript_handler'::regproc) AS k (made)
LEFT JOIN leaf AS l ON l.type = p.type
GROUP BY p.whole, p.fixed";

const LAX: &str = "
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.collname) AS name
FROM pg_collation AS c
JOIN pg_namespace AS n ON n.oid = c.collnamespace
WHERE NOT c.collisdeterministic";

/// Reads what is known of all types.
pub(super) fn read(client: &mut impl GenericClient, catalogue: &Catalogue) -> Result<Kinds, Error> {
    let mut kinds = Kinds::default();
    for row in client.query(KINDS, &[&catalogue.tables])? {
        let kind = Kind {
            comparable: row.column("comparable")?,
            exact: row.column("exact")?,
            hashed: row.column("hashed")?,
            composite: row.column("composite")?,
            collatable: row.column("collatable")?,
            long: row.column("long")?,
        };
        let modified = usize::from(row.column::<bool>("fixed")?);
        kinds.types.entry(row.column("name")?).or_default()[modified] = kind;
    }
    for row in client.query(LAX, &[])? {
        kinds.lax.insert(row.column("name")?);
    }
    Ok(kinds)
}
