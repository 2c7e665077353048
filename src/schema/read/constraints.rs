//! Reads keys, checks, exclusions and foreign keys.

use postgres::{Error, GenericClient, Row};

use super::{Catalogue, Columns, Tables};
use crate::schema::{Constraint, ConstraintKind, ForeignKey};

// A foreign key to a partitioned table has a copy for each of its partitions on the same table: those say nothing new.
const CONSTRAINTS: &str = "
SELECT c.conrelid AS relation,
       c.conname::text AS name,
       c.contype::text AS kind,
       coalesce(c.conkey, '{}') AS fields,
       c.confrelid AS far_relation,
       coalesce(c.confkey, '{}') AS far_fields,
       c.confupdtype::text AS on_update,
       c.confdeltype::text AS on_delete,
       c.confmatchtype = 'f' AS match_full,
       pg_get_constraintdef(c.oid) AS definition,
       c.condeferrable AS deferrable,
       c.condeferred AS deferred,
       c.convalidated AS validated,
       c.conparentid <> 0 OR (c.coninhcount > 0 AND NOT c.conislocal) AS inherited,
       d.description AS comment
FROM pg_constraint AS c
LEFT JOIN pg_constraint AS p ON p.oid = c.conparentid
LEFT JOIN pg_description AS d
  ON d.classoid = 'pg_constraint'::regclass AND d.objoid = c.oid AND d.objsubid = 0
WHERE c.conrelid = ANY($1)
  AND c.contype IN ('p', 'u', 'c', 'x', 'f')
  AND p.conrelid IS DISTINCT FROM c.conrelid
  AND NOT starts_with(c.conname, 'refactor_ready')
ORDER BY c.conname";

/// Reads the constraints of all tables.
pub(super) fn read(client: &mut impl GenericClient, catalogue: &Catalogue, tables: &mut Tables) -> Result<(), Error> {
    for row in client.query(CONSTRAINTS, &[&catalogue.tables])? {
        let oid = row.column("relation")?;
        let Some(kind) = kind(catalogue, tables, &row)? else { continue };
        let Some(table) = tables.get_mut(&oid) else { continue };
        table.constraints.push(Constraint {
            name: row.ident("name")?,
            kind,
            fields: catalogue.names.fields(oid, &row.column::<Vec<i16>>("fields")?),
            definition: row.column("definition")?,
            deferrable: row.column("deferrable")?,
            deferred: row.column("deferred")?,
            validated: row.column("validated")?,
            inherited: row.column("inherited")?,
            comment: row.column("comment")?,
        });
    }
    Ok(())
}

/// The kind; none for a foreign key to a table that is not the user's.
fn kind(catalogue: &Catalogue, tables: &Tables, row: &Row) -> Result<Option<ConstraintKind>, Error> {
    Ok(match row.letter("kind")? {
        'p' => Some(ConstraintKind::Primary),
        'u' => Some(ConstraintKind::Unique),
        'c' => Some(ConstraintKind::Check),
        'x' => Some(ConstraintKind::Exclude),
        _ => {
            let far = row.column("far_relation")?;
            let table = tables.get(&far).and(catalogue.names.relation(far)).cloned();
            let fields = catalogue.names.fields(far, &row.column::<Vec<i16>>("far_fields")?);
            let (on_update, on_delete) = (row.letter("on_update")?, row.letter("on_delete")?);
            let match_full = row.column("match_full")?;
            table.map(|table| ConstraintKind::Foreign(ForeignKey { table, fields, on_update, on_delete, match_full }))
        }
    })
}
