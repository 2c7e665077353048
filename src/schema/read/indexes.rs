//! Reads indexes and extended statistics.

use std::collections::HashMap;

use postgres::{Error, GenericClient};

use super::names::{PG_CLASS, PG_STATISTIC_EXT};
use super::{Catalogue, Columns, Tables};
use crate::schema::{ConstraintKind, Index, ReplicaIdentity, Statistics};

const INDEXES: &str = "
SELECT i.indexrelid AS oid,
       i.indrelid AS relation,
       c.relname::text AS name,
       i.indisunique AS is_unique,
       i.indimmediate AS immediate,
       i.indisvalid AS valid,
       i.indpred IS NOT NULL AS partial,
       i.indkey::int2[] AS members,
       i.indnkeyatts AS keys,
       m.amname::text AS method,
       pg_get_indexdef(i.indexrelid) AS definition,
       k.conname::text AS constraint_name,
       i.indisclustered AS clustered,
       i.indisreplident AS replica_identity,
       c.relispartition AS inherited,
       d.description AS comment
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_am AS m ON m.oid = c.relam
LEFT JOIN pg_constraint AS k
  ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_description AS d
  ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0
WHERE i.indrelid = ANY($1)
  AND NOT starts_with(c.relname, 'refactor_ready')
ORDER BY c.relname";

const TARGETS: &str = "
SELECT a.attrelid AS index, a.attnum AS member, a.attstattarget::int4 AS target
FROM pg_index AS i
JOIN pg_attribute AS a ON a.attrelid = i.indexrelid
WHERE i.indrelid = ANY($1) AND a.attnum > 0 AND a.attstattarget >= 0
ORDER BY a.attrelid, a.attnum";

const STATISTICS: &str = "
SELECT s.oid,
       s.stxrelid AS relation,
       n.nspname::text AS schema,
       s.stxname::text AS name,
       s.stxkeys::int2[] AS fields,
       pg_get_statisticsobjdef(s.oid) AS definition,
       nullif(s.stxstattarget::int4, -1) AS target,
       d.description AS comment
FROM pg_statistic_ext AS s
JOIN pg_namespace AS n ON n.oid = s.stxnamespace
LEFT JOIN pg_description AS d
  ON d.classoid = 'pg_statistic_ext'::regclass AND d.objoid = s.oid AND d.objsubid = 0
WHERE s.stxrelid = ANY($1) AND s.stxnamespace = ANY($2)
ORDER BY n.nspname, s.stxname";

/// Reads the indexes of all tables; the constraints must be there.
pub(super) fn read(client: &mut impl GenericClient, catalogue: &Catalogue, tables: &mut Tables) -> Result<(), Error> {
    let mut targets: HashMap<u32, Vec<(i16, i32)>> = HashMap::new();
    for row in client.query(TARGETS, &[&catalogue.tables])? {
        targets.entry(row.column("index")?).or_default().push((row.column("member")?, row.column("target")?));
    }
    for row in client.query(INDEXES, &[&catalogue.tables])? {
        let (oid, relation) = (row.column("oid")?, row.column("relation")?);
        let Some(table) = tables.get_mut(&relation) else { continue };
        let members: Vec<i16> = row.column("members")?;
        let keys = usize::try_from(row.column::<i16>("keys")?).unwrap_or(0);
        let index = Index {
            name: row.ident("name")?,
            unique: row.column("is_unique")?,
            immediate: row.column("immediate")?,
            valid: row.column("valid")?,
            partial: row.column("partial")?,
            keys: members.iter().take(keys).map(|key| catalogue.names.field(relation, *key).cloned()).collect(),
            fields: catalogue.fields_with_uses(relation, &members, PG_CLASS, oid),
            method: row.ident("method")?,
            definition: row.column("definition")?,
            constraint: row.optional_ident("constraint_name")?,
            clustered: row.column("clustered")?,
            inherited: row.column("inherited")?,
            comment: row.column("comment")?,
            statistics: targets.remove(&oid).unwrap_or_default(),
        };
        if row.column("replica_identity")? && table.replica_identity == ReplicaIdentity::Nothing {
            table.replica_identity = ReplicaIdentity::Index(index.name.clone());
        }
        // An exclusion's expressions and WHERE clause are known of its index only.
        for constraint in &mut table.constraints {
            if constraint.kind == ConstraintKind::Exclude && index.constraint.as_ref() == Some(&constraint.name) {
                let more = index.fields.iter().filter(|field| !constraint.fields.contains(field));
                constraint.fields.extend(more.cloned().collect::<Vec<_>>());
            }
        }
        table.indexes.push(index);
    }
    Ok(())
}

/// Reads the extended statistics of all tables.
pub(super) fn read_statistics(
    client: &mut impl GenericClient,
    catalogue: &Catalogue,
    tables: &mut Tables,
) -> Result<(), Error> {
    for row in client.query(STATISTICS, &[&catalogue.tables, &catalogue.schemas])? {
        let (oid, relation) = (row.column("oid")?, row.column("relation")?);
        let Some(table) = tables.get_mut(&relation) else { continue };
        let numbers: Vec<i16> = row.column("fields")?;
        table.statistics.push(Statistics {
            name: row.relation()?,
            definition: row.column("definition")?,
            fields: catalogue.fields_with_uses(relation, &numbers, PG_STATISTIC_EXT, oid),
            target: row.column("target")?,
            comment: row.column("comment")?,
        });
    }
    Ok(())
}
