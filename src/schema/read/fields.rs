//! Reads the fields of tables.

use std::collections::{BTreeMap, HashMap};

use postgres::{Error, GenericClient, Row};

use super::names::{PG_ATTRDEF, PG_CLASS};
use super::{Catalogue, Columns, Tables};
use crate::name::TableName;
use crate::schema::{Domain, Field, Generated, Identity};

// PostgreSQL 18 sets attnotnull for a NOT VALID constraint too, but rows may still hold NULL.
const FIELDS: &str = "
SELECT a.attrelid AS relation,
       a.attnum AS number,
       a.attname::text AS name,
       format_type(a.atttypid, a.atttypmod) AS type_name,
       quote_ident(n.nspname) || '.' || quote_ident(c.collname) AS collation,
       a.attnotnull AND (a.attrelid, a.attnum) NOT IN (
         SELECT conrelid, conkey[1]
         FROM pg_constraint
         WHERE contype = 'n' AND conrelid <> 0 AND NOT convalidated
       ) AS not_null,
       e.oid AS default_oid,
       pg_get_expr(e.adbin, e.adrelid) AS expression,
       a.attidentity::text AS identity,
       a.attgenerated::text AS generated,
       CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text ELSE '' END AS storage,
       a.attcompression::text AS compression,
       nullif(a.attstattarget::int4, -1) AS statistics,
       a.attoptions AS options,
       d.description AS comment,
       a.attislocal AS local
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_collation AS c ON c.oid = a.attcollation AND a.attcollation <> t.typcollation
LEFT JOIN pg_namespace AS n ON n.oid = c.collnamespace
LEFT JOIN pg_attrdef AS e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
LEFT JOIN pg_description AS d
  ON d.classoid = 'pg_class'::regclass AND d.objoid = a.attrelid AND d.objsubid = a.attnum
WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum";

/// The sequence of an identity comes last, so that it wins over a sequence that the field also owns.
const SEQUENCES: &str = "
SELECT d.refobjid AS relation, d.refobjsubid::int2 AS number, n.nspname::text AS schema, s.relname::text AS name
FROM pg_depend AS d
JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_namespace AS n ON n.oid = s.relnamespace
WHERE d.classid = 'pg_class'::regclass
  AND d.refclassid = 'pg_class'::regclass
  AND d.refobjid = ANY($1)
  AND d.refobjsubid > 0
  AND d.deptype IN ('a', 'i')
ORDER BY d.deptype, d.objid DESC";

/// A domain over another one says what that says, too, but for a default of its own.
const DOMAINS: &str = "
WITH RECURSIVE part (whole, type, depth) AS (
  SELECT oid, oid, 0
  FROM pg_type
  WHERE typtype = 'd' AND typnamespace = ANY($1)
  UNION ALL
  SELECT p.whole, t.typbasetype, p.depth + 1
  FROM part AS p
  JOIN pg_type AS t ON t.oid = p.type AND t.typtype = 'd'
)
SELECT format_type(p.whole, NULL) AS name,
       bool_or(t.typnotnull) AS not_null,
       (array_agg(t.typdefault ORDER BY p.depth) FILTER (WHERE t.typdefault IS NOT NULL))[1] AS expression
FROM part AS p
JOIN pg_type AS t ON t.oid = p.type AND t.typtype = 'd'
GROUP BY p.whole";

/// Reads the domains.
pub(super) fn read_domains(
    client: &mut impl GenericClient,
    catalogue: &Catalogue,
) -> Result<BTreeMap<String, Domain>, Error> {
    let rows = client.query(DOMAINS, &[&catalogue.schemas])?;
    let one = |row: &Row| {
        let domain = Domain { not_null: row.column("not_null")?, default: row.column("expression")? };
        Ok((row.column("name")?, domain))
    };
    rows.iter().map(one).collect()
}

/// Reads the fields of all tables.
pub(super) fn read(
    client: &mut impl GenericClient,
    catalogue: &Catalogue,
    domains: &BTreeMap<String, Domain>,
    tables: &mut Tables,
) -> Result<(), Error> {
    let mut sequences: HashMap<(u32, i16), TableName> = HashMap::new();
    for row in client.query(SEQUENCES, &[&catalogue.tables])? {
        sequences.insert((row.column("relation")?, row.column("number")?), row.relation()?);
    }
    for row in client.query(FIELDS, &[&catalogue.tables])? {
        let oid = row.column("relation")?;
        let Some(table) = tables.get_mut(&oid) else { continue };
        let mut field = field(catalogue, oid, &row)?;
        field.sequence = sequences.remove(&(oid, field.number));
        if let Some(domain) = domains.get(&field.type_name) {
            field.not_null |= domain.not_null;
            if field.generated.is_none() && !field.fills_itself() {
                field.default.clone_from(&domain.default);
            }
        }
        table.fields.push(field);
    }
    Ok(())
}

/// One field, without its sequence.
fn field(catalogue: &Catalogue, table: u32, row: &Row) -> Result<Field, Error> {
    let number = row.column("number")?;
    let generated = row.letter("generated")?;
    let expression: Option<String> = row.column("expression")?;
    let (default, generated) = match expression {
        Some(expression) if generated != ' ' => {
            let numbers = expression_fields(catalogue, table, number, row.column("default_oid")?);
            let fields = catalogue.names.fields(table, &numbers);
            (None, Some(Generated { expression, stored: generated == 's', fields }))
        }
        default => (default, None),
    };
    Ok(Field {
        name: row.ident("name")?,
        number,
        type_name: row.column("type_name")?,
        collation: row.column("collation")?,
        not_null: row.column("not_null")?,
        default,
        identity: match row.letter("identity")? {
            'a' => Some(Identity::Always),
            'd' => Some(Identity::ByDefault),
            _ => None,
        },
        generated,
        sequence: None,
        storage: match row.letter("storage")? {
            'p' => Some("PLAIN"),
            'e' => Some("EXTERNAL"),
            'x' => Some("EXTENDED"),
            'm' => Some("MAIN"),
            _ => None,
        },
        compression: match row.letter("compression")? {
            'p' => Some("pglz"),
            'l' => Some("lz4"),
            _ => None,
        },
        statistics: row.column("statistics")?,
        options: row.column::<Option<Vec<String>>>("options")?.unwrap_or_default(),
        comment: row.column("comment")?,
        grants: Vec::new(),
        local: row.column("local")?,
    })
}

/// Numbers of the fields that a generated field's expression reads. Until PostgreSQL 14 the field itself depends on
/// them, since 15 its default does.
fn expression_fields(catalogue: &Catalogue, table: u32, number: i16, default: u32) -> Vec<i16> {
    let of_field = catalogue.uses.of(PG_CLASS, table, i32::from(number));
    let of_default = catalogue.uses.of(PG_ATTRDEF, default, 0);
    let mut numbers: Vec<i16> = of_field
        .iter()
        .chain(of_default)
        .filter(|(relation, used)| *relation == table && *used != number)
        .map(|(_, used)| *used)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
