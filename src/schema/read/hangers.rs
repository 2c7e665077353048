//! Reads what hangs on a table besides its own parts: what would be lost, or in the way, if another table took its
//! place.

use std::collections::BTreeMap;

use postgres::{Error, GenericClient};

use super::{Catalogue, Columns, Tables};
use crate::name::{Ident, TableName};
use crate::schema::{Constraint, ConstraintKind, ForeignKey, Grant, Sequence};

/// What `pg_depend` knows of, without the table's own parts, foreign keys, the user's views and functions (which are made
/// anew), and our own views; then what it does not know.
const HELD: &str = r#"
WITH ours AS (
  SELECT oid FROM pg_namespace
  WHERE nspname IN ('refactor', 'next', 'prev') OR nspname ~ '^(next|prev)_' AND oid <> ALL ($2)
)
SELECT h.relation, h.description COLLATE "C" AS description
FROM (
  SELECT d.refobjid AS relation, pg_describe_object(d.classid, d.objid, d.objsubid) AS description
  FROM pg_depend AS d
  WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY($1)
    AND CASE d.classid
      WHEN 'pg_class'::regclass THEN d.objid <> d.refobjid
        AND NOT EXISTS (SELECT FROM pg_class WHERE oid = d.objid AND relkind IN ('i', 'I', 't', 'S'))
      WHEN 'pg_type'::regclass THEN d.deptype <> 'i'
      WHEN 'pg_constraint'::regclass THEN
        NOT EXISTS (SELECT FROM pg_constraint WHERE oid = d.objid AND (conrelid = d.refobjid OR contype = 'f'))
      WHEN 'pg_attrdef'::regclass THEN EXISTS (
        SELECT FROM pg_attrdef AS a JOIN pg_class AS c ON c.oid = a.adrelid
        WHERE a.oid = d.objid AND a.adrelid <> d.refobjid AND c.relnamespace NOT IN (SELECT oid FROM ours)
      )
      WHEN 'pg_rewrite'::regclass THEN EXISTS (
        SELECT FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
        WHERE r.oid = d.objid AND r.ev_class <> d.refobjid AND c.relnamespace NOT IN (SELECT oid FROM ours)
          AND (r.rulename <> '_RETURN' OR c.relnamespace <> ALL ($2))
      )
      WHEN 'pg_proc'::regclass THEN
        NOT EXISTS (SELECT FROM pg_proc WHERE oid = d.objid AND prosqlbody IS NOT NULL AND pronamespace = ANY ($2))
      WHEN 'pg_trigger'::regclass THEN
        NOT EXISTS (SELECT FROM pg_trigger WHERE oid = d.objid AND (tgrelid = d.refobjid OR tgisinternal))
      WHEN 'pg_policy'::regclass THEN
        NOT EXISTS (SELECT FROM pg_policy WHERE oid = d.objid AND (polrelid = d.refobjid OR polname = 'refactor_rows'))
      WHEN 'pg_statistic_ext'::regclass THEN
        NOT EXISTS (SELECT FROM pg_statistic_ext WHERE oid = d.objid AND stxrelid = d.refobjid)
      WHEN 'pg_publication_rel'::regclass THEN false
      ELSE true
    END
  UNION
  SELECT c.conrelid, pg_describe_object(d.classid, d.objid, 0)
  FROM pg_constraint AS c
  JOIN pg_depend AS d ON d.refclassid = 'pg_constraint'::regclass AND d.refobjid = c.oid
  JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
  JOIN pg_class AS v ON v.oid = r.ev_class
  WHERE c.conrelid = ANY($1) AND v.relnamespace NOT IN (SELECT oid FROM ours)
    AND (r.rulename <> '_RETURN' OR v.relnamespace <> ALL ($2))
  UNION
  SELECT o.refobjid, pg_describe_object(d.classid, d.objid, 0)
  FROM pg_depend AS o
  JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = o.objid
  JOIN pg_attrdef AS f ON f.oid = d.objid
  JOIN pg_class AS c ON c.oid = f.adrelid
  WHERE c.relnamespace NOT IN (SELECT oid FROM ours)
    AND o.refclassid = 'pg_class'::regclass AND o.refobjid = ANY($1) AND o.deptype = 'i' AND o.refobjsubid > 0
    AND o.classid = 'pg_class'::regclass AND d.classid = 'pg_attrdef'::regclass
  UNION
  SELECT conrelid, format('foreign key %I to a table of the system', conname)
  FROM pg_constraint
  WHERE contype = 'f' AND conrelid = ANY($1) AND confrelid <> ALL ($1)
  UNION
  SELECT i.indrelid, format('index %I in a tablespace of its own', c.relname)
  FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
  WHERE i.indrelid = ANY($1) AND c.reltablespace <> 0
  UNION
  SELECT objoid, 'a security label' FROM pg_seclabel WHERE classoid = 'pg_class'::regclass AND objoid = ANY($1)
  UNION
  SELECT srrelid, 'a subscription' FROM pg_subscription_rel WHERE srrelid = ANY($1)
  UNION
  SELECT oid, format('type %s', reloftype::regtype) FROM pg_class WHERE oid = ANY($1) AND reloftype <> 0
  UNION
  SELECT c.oid, 'a privilege that was not given by the owner'
  FROM pg_class AS c
  LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
  CROSS JOIN (VALUES (true), (false)) AS w (whole)
  CROSS JOIN aclexplode(CASE WHEN w.whole THEN c.relacl ELSE a.attacl END) AS g
  WHERE c.oid = ANY($1) AND g.grantor <> c.relowner
  UNION
  SELECT s.stxrelid, format('statistics %I of another owner or schema', s.stxname)
  FROM pg_statistic_ext AS s JOIN pg_class AS c ON c.oid = s.stxrelid
  WHERE s.stxrelid = ANY($1) AND (s.stxowner <> c.relowner OR s.stxnamespace <> ALL ($2))
  UNION
  SELECT d.refobjid, 'a field with several sequences'
  FROM pg_depend AS d JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY($1)
    AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
  GROUP BY d.refobjid, d.refobjsubid
  HAVING count(*) > 1
  UNION
  SELECT c.conrelid, format('NOT NULL constraint %I that is more than a NOT NULL', c.conname)
  FROM pg_constraint AS c
  WHERE c.contype = 'n' AND c.conrelid = ANY($1)
    AND (NOT c.convalidated OR c.connoinherit
      OR EXISTS (SELECT FROM pg_description WHERE classoid = 'pg_constraint'::regclass AND objoid = c.oid))
) AS h
ORDER BY relation, description"#;

const FOLLOWERS: &str = "
SELECT n.nspname::text AS schema,
       t.relname::text AS name,
       c.conname::text AS constraint_name,
       c.conrelid AS near,
       c.conkey AS near_fields,
       c.confrelid AS relation,
       c.confkey AS fields,
       c.confupdtype::text AS on_update,
       c.confdeltype::text AS on_delete,
       c.confmatchtype = 'f' AS match_full,
       pg_get_constraintdef(c.oid) AS definition,
       c.condeferrable AS deferrable,
       c.condeferred AS deferred,
       c.convalidated AS validated
FROM pg_constraint AS c
JOIN pg_class AS t ON t.oid = c.conrelid
JOIN pg_namespace AS n ON n.oid = t.relnamespace
WHERE c.contype = 'f' AND c.confrelid = ANY($1) AND c.conrelid <> ALL ($1)
  AND NOT starts_with(c.conname, 'refactor_ready')
ORDER BY n.nspname, t.relname, c.conname";

const NOT_NULLS: &str = "
SELECT conrelid AS relation, conkey[1] AS field, conname::text AS name
FROM pg_constraint
WHERE contype = 'n' AND conrelid = ANY($1)";

const SEQUENCES: &str = "
SELECT n.nspname::text AS schema,
       c.relname::text AS name,
       format('AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s %s', format_type(s.seqtypid, NULL),
         s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)
         AS options,
       obj_description(c.oid, 'pg_class') AS comment,
       c.relacl IS NOT NULL AS granted
FROM pg_sequence AS s
JOIN pg_class AS c ON c.oid = s.seqrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE s.seqrelid IN (
  SELECT objid FROM pg_depend
  WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND refobjid = ANY($1)
    AND refobjsubid > 0 AND deptype IN ('a', 'i')
)";

const SEQUENCE_GRANTS: &str = "
SELECT n.nspname::text AS schema, c.relname::text AS name, r.rolname::text AS role, g.privilege_type, g.is_grantable
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN aclexplode(c.relacl) AS g
LEFT JOIN pg_roles AS r ON r.oid = g.grantee
WHERE c.relkind = 'S' AND c.relacl IS NOT NULL AND c.relnamespace = ANY($1)
ORDER BY r.rolname, g.privilege_type";

/// Reads what hangs on all tables; the fields must be there.
pub(super) fn read(client: &mut impl GenericClient, catalogue: &Catalogue, tables: &mut Tables) -> Result<(), Error> {
    for row in client.query(HELD, &[&catalogue.tables, &catalogue.schemas])? {
        if let Some(table) = tables.get_mut(&row.column("relation")?) {
            table.held_by.push(row.column("description")?);
        }
    }
    for row in client.query(FOLLOWERS, &[&catalogue.tables])? {
        let oid = row.column("relation")?;
        let (near, numbers): (u32, Vec<i16>) = (row.column("near")?, row.column("near_fields")?);
        let Some(name) = catalogue.names.relation(oid) else { continue };
        let key = ForeignKey {
            table: name.clone(),
            fields: catalogue.names.fields(oid, &row.column::<Vec<i16>>("fields")?),
            on_update: row.letter("on_update")?,
            on_delete: row.letter("on_delete")?,
            match_full: row.column("match_full")?,
        };
        let constraint = Constraint {
            name: row.ident("constraint_name")?,
            kind: ConstraintKind::Foreign(key),
            fields: catalogue.names.fields(near, &numbers),
            definition: row.column("definition")?,
            deferrable: row.column("deferrable")?,
            deferred: row.column("deferred")?,
            validated: row.column("validated")?,
            inherited: false,
            comment: None,
        };
        if let Some(table) = tables.get_mut(&oid) {
            table.followers.push((row.relation()?, constraint));
        }
    }
    for row in client.query(NOT_NULLS, &[&catalogue.tables])? {
        let (oid, number) = (row.column("relation")?, row.column("field")?);
        let (Some(field), Some(table)) = (catalogue.names.field(oid, number), tables.get_mut(&oid)) else { continue };
        table.not_null_names.insert(field.clone(), row.ident("name")?);
    }
    Ok(())
}

/// Reads the sequences that fields own.
pub(super) fn read_sequences(
    client: &mut impl GenericClient,
    catalogue: &Catalogue,
) -> Result<BTreeMap<TableName, Sequence>, Error> {
    let mut sequences = BTreeMap::new();
    for row in client.query(SEQUENCES, &[&catalogue.tables])? {
        let sequence = Sequence {
            options: row.column("options")?,
            comment: row.column("comment")?,
            grants: row.column::<bool>("granted")?.then(Vec::new),
        };
        sequences.insert(row.relation()?, sequence);
    }
    for row in client.query(SEQUENCE_GRANTS, &[&catalogue.schemas])? {
        let sequence: Option<&mut Sequence> = sequences.get_mut(&row.relation()?);
        if let Some(grants) = sequence.and_then(|s| s.grants.as_mut()) {
            grants.push(Grant {
                role: row.column::<Option<String>>("role")?.map(Ident::new),
                privilege: row.column("privilege_type")?,
                grantable: row.column("is_grantable")?,
            });
        }
    }
    Ok(sequences)
}
