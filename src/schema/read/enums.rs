//! Reads the enums, and what else is of them than fields of tables.

use std::collections::BTreeMap;

use postgres::{Error, GenericClient};

use super::{Catalogue, Columns};
use crate::name::TableName;
use crate::schema::Enum;

/// What hangs on a field of a table (its default, rules, indexes) goes with the field.
const ENUMS: &str = "
SELECT n.nspname::text AS schema,
       t.typname::text AS name,
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid) AS labels,
       quote_ident(pg_get_userbyid(t.typowner)) AS owner,
       obj_description(t.oid, 'pg_type') AS comment,
       ARRAY(
         SELECT DISTINCT CASE WHEN r.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
           ELSE pg_describe_object('pg_class'::regclass, r.ev_class, 0) END
         FROM pg_depend AS d
         LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
         LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid OR c.oid = r.ev_class
         LEFT JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
         LEFT JOIN pg_constraint AS k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
         WHERE d.refclassid = 'pg_type'::regclass AND d.deptype IN ('n', 'a')
           AND (d.refobjid = t.oid
                AND coalesce(c.relkind, ' ') NOT IN ('r', 'p', 'i', 'I')
                AND coalesce(k.conrelid, 0) = 0
                AND d.classid <> 'pg_attrdef'::regclass
                OR d.refobjid = t.typarray)
           AND (coalesce(c.relnamespace, p.pronamespace) IS NULL OR coalesce(c.relnamespace, p.pronamespace) = ANY($1))
         UNION ALL
         SELECT 'its privileges' WHERE t.typacl IS NOT NULL
         ORDER BY 1
       ) AS held_by
FROM pg_type AS t
JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.typtype = 'e' AND t.typnamespace = ANY($1)";

/// Reads them.
pub(super) fn read(client: &mut impl GenericClient, catalogue: &Catalogue) -> Result<BTreeMap<TableName, Enum>, Error> {
    let mut enums = BTreeMap::new();
    for row in client.query(ENUMS, &[&catalogue.schemas])? {
        let labels: Option<Vec<String>> = row.column("labels")?;
        let one = Enum {
            labels: labels.unwrap_or_default(),
            owner: row.column("owner")?,
            comment: row.column("comment")?,
            held_by: row.column("held_by")?,
        };
        enums.insert(row.relation()?, one);
    }
    Ok(enums)
}
