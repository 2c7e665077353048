//! Reads tables as a whole: what they are, whom they descend from, who may use them, who uses their row type.

use std::collections::{BTreeSet, HashMap};

use postgres::{Error, GenericClient, Row};

use super::{Catalogue, Columns, Tables};
use crate::schema::{Grant, Publication, ReplicaIdentity, RowTypeUser, Table, TableKind};

// The fields of a partition key depend on their table (the reverse of what one expects), which also finds those inside
// expressions.
// Opening the indexes of every table is what takes the time: those of small ones count as the catalogue has them.
const TABLES: &str = "
SELECT c.oid,
       c.relkind::text AS kind,
       pg_get_partkeydef(c.oid) AS partition_key,
       coalesce(p.partattrs::int2[], '{}') || CASE c.relkind WHEN 'p' THEN ARRAY(
         SELECT d.objsubid::int2
         FROM pg_depend AS d
         WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid > 0
           AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = 0
           AND d.deptype = 'i' AND d.objsubid <> ALL (p.partattrs::int2[])
         ORDER BY d.objsubid
       ) END AS partition_fields,
       pg_get_userbyid(c.relowner)::text AS owner,
       c.relpersistence = 'u' AS unlogged,
       CASE WHEN c.reloftype <> 0 THEN c.reloftype::regtype::text END AS of_type,
       m.amname::text AS access_method,
       s.spcname::text AS tablespace,
       c.reloptions AS options,
       t.reloptions AS toast_options,
       c.relrowsecurity AS row_security,
       c.relforcerowsecurity AS force_row_security,
       c.relacl IS NOT NULL AS granted,
       c.relreplident::text AS replica_identity,
       d.description AS comment,
       c.reltuples::float8 AS rows,
       coalesce(CASE WHEN z.bytes < 1 << 20 THEN z.bytes::int8 ELSE pg_total_relation_size(c.oid) END, 0) AS bytes,
       e.extname::text AS extension,
       EXISTS (SELECT FROM pg_subscription_rel AS u WHERE u.srrelid = c.oid) AS subscribed
FROM pg_class AS c
LEFT JOIN pg_partitioned_table AS p ON p.partrelid = c.oid
LEFT JOIN pg_am AS m ON m.oid = c.relam AND m.amname <> 'heap'
LEFT JOIN pg_tablespace AS s ON s.oid = c.reltablespace
LEFT JOIN pg_class AS t ON t.oid = c.reltoastrelid
CROSS JOIN LATERAL (
  SELECT pg_relation_size(c.oid) + coalesce(pg_relation_size(t.oid), 0) + coalesce((
    SELECT sum(greatest(x.relpages, 1)) * current_setting('block_size')::int8
    FROM pg_index AS i
    JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
    WHERE i.indrelid = c.oid
  ), 0)
  OFFSET 0
) AS z (bytes)
LEFT JOIN pg_description AS d
  ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0
LEFT JOIN pg_depend AS x
  ON x.classid = 'pg_class'::regclass AND x.objid = c.oid AND x.objsubid = 0
  AND x.refclassid = 'pg_extension'::regclass AND x.deptype = 'e'
LEFT JOIN pg_extension AS e ON e.oid = x.refobjid
WHERE c.relnamespace = ANY($1)
  AND c.relkind IN ('r', 'p', 'f')
  AND c.relpersistence <> 't'";

const PARENTS: &str = "
SELECT i.inhrelid AS child, i.inhparent AS parent, c.relispartition AS partition
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhrelid = ANY($1) AND i.inhparent = ANY($1)
ORDER BY i.inhrelid, i.inhseqno";

const GRANTS: &str = "
SELECT g.relation, g.field, r.rolname::text AS role, a.privilege_type, a.is_grantable
FROM (
  SELECT oid, 0::int2, relacl
  FROM pg_class
  WHERE oid = ANY($1) AND relacl IS NOT NULL
  UNION ALL
  SELECT attrelid, attnum, attacl
  FROM pg_attribute
  WHERE attrelid = ANY($1) AND attnum > 0 AND NOT attisdropped AND attacl IS NOT NULL
) AS g (relation, field, acl)
CROSS JOIN aclexplode(g.acl) AS a
LEFT JOIN pg_roles AS r ON r.oid = a.grantee
WHERE a.grantee = 0 OR r.oid IS NOT NULL";

const DEFAULT_GRANTS: &str = "
SELECT DISTINCT r.rolname::text AS role
FROM pg_default_acl AS d
CROSS JOIN aclexplode(d.defaclacl) AS a
LEFT JOIN pg_roles AS r ON r.oid = a.grantee
WHERE a.grantee <> d.defaclrole AND (a.grantee = 0 OR r.oid IS NOT NULL)";

const ROW_TYPE_USERS: &str = r#"
SELECT DISTINCT
       c.oid AS relation,
       pg_describe_object(d.classid, d.objid, d.objsubid) COLLATE "C" AS description,
       d.objsubid > 0 AS is_field
FROM pg_class AS c
JOIN pg_type AS t ON t.oid = c.reltype
CROSS JOIN (VALUES (false), (true)) AS y (in_array)
JOIN pg_depend AS d
  ON d.refclassid = 'pg_type'::regclass
  AND d.refobjid = CASE WHEN y.in_array THEN t.typarray ELSE t.oid END
LEFT JOIN LATERAL (
  SELECT relnamespace, oid FROM pg_class
  WHERE d.classid = 'pg_class'::regclass AND oid = d.objid
  UNION ALL
  SELECT pronamespace, 0 FROM pg_proc
  WHERE d.classid = 'pg_proc'::regclass AND oid = d.objid
  UNION ALL
  SELECT typnamespace, 0 FROM pg_type
  WHERE d.classid = 'pg_type'::regclass AND oid = d.objid
  UNION ALL
  SELECT oprnamespace, 0 FROM pg_operator
  WHERE d.classid = 'pg_operator'::regclass AND oid = d.objid
  UNION ALL
  SELECT connamespace, conrelid FROM pg_constraint
  WHERE d.classid = 'pg_constraint'::regclass AND oid = d.objid
  UNION ALL
  SELECT r.relnamespace, r.oid FROM pg_class AS r
  WHERE r.oid IN (
    SELECT ev_class FROM pg_rewrite WHERE d.classid = 'pg_rewrite'::regclass AND oid = d.objid
    UNION ALL
    SELECT adrelid FROM pg_attrdef WHERE d.classid = 'pg_attrdef'::regclass AND oid = d.objid
    UNION ALL
    SELECT tgrelid FROM pg_trigger WHERE d.classid = 'pg_trigger'::regclass AND oid = d.objid
    UNION ALL
    SELECT polrelid FROM pg_policy WHERE d.classid = 'pg_policy'::regclass AND oid = d.objid
  )
) AS o (schema, relation) ON true
WHERE c.oid = ANY($1)
  AND NOT (d.classid = 'pg_type'::regclass AND d.objid = t.typarray)
  AND o.relation IS DISTINCT FROM c.oid
  AND (o.schema IS NULL OR o.schema = ANY($2))
ORDER BY relation, description"#;

/// Reads the tables without their parts.
pub(super) fn read(client: &mut impl GenericClient, catalogue: &Catalogue) -> Result<Tables, Error> {
    let rows = client.query(TABLES, &[&catalogue.schemas])?;
    let mut tables: Tables =
        rows.iter().map(|row| table(catalogue, row).map(|table| (table.oid, table))).collect::<Result<_, _>>()?;
    // Citus lists there what lies on other servers.
    if client.query_one("SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL", &[])?.try_get(0)? {
        for row in client.query("SELECT logicalrelid::oid FROM pg_catalog.pg_dist_partition", &[])? {
            if let Some(table) = tables.get_mut(&row.try_get(0)?) {
                table.distributed = true;
            }
        }
    }
    Ok(tables)
}

fn table(catalogue: &Catalogue, row: &Row) -> Result<Table, Error> {
    let oid = row.column("oid")?;
    let mut options = row.column::<Option<Vec<String>>>("options")?.unwrap_or_default();
    let toast = row.column::<Option<Vec<String>>>("toast_options")?.unwrap_or_default();
    options.extend(toast.iter().map(|option| format!("toast.{option}")));
    Ok(Table {
        oid,
        kind: match row.letter("kind")? {
            'p' => TableKind::Partitioned,
            'f' => TableKind::Foreign,
            _ => TableKind::Plain,
        },
        partition_key: row.column("partition_key")?,
        partition_fields: catalogue.names.fields(oid, &row.column::<Vec<i16>>("partition_fields")?),
        owner: row.optional_ident("owner")?,
        unlogged: row.column("unlogged")?,
        of_type: row.column("of_type")?,
        access_method: row.optional_ident("access_method")?,
        tablespace: row.optional_ident("tablespace")?,
        options,
        row_security: row.column("row_security")?,
        force_row_security: row.column("force_row_security")?,
        grants: row.column::<bool>("granted")?.then(Vec::new),
        replica_identity: match row.letter("replica_identity")? {
            'f' => ReplicaIdentity::Full,
            // Without its index, which comes with the indexes, an index identifies nothing.
            'n' | 'i' => ReplicaIdentity::Nothing,
            _ => ReplicaIdentity::Default,
        },
        comment: row.column("comment")?,
        rows: row.column("rows")?,
        bytes: row.column("bytes")?,
        extension: row.optional_ident("extension")?,
        is_subscribed: row.column("subscribed")?,
        ..Table::default()
    })
}

/// Links parents and children, and adds partitions up.
pub(super) fn read_parents(
    client: &mut impl GenericClient,
    catalogue: &Catalogue,
    tables: &mut Tables,
) -> Result<(), Error> {
    let mut partitions: HashMap<u32, Vec<u32>> = HashMap::new();
    for row in client.query(PARENTS, &[&catalogue.tables])? {
        let (child, parent) = (row.column("child")?, row.column("parent")?);
        let (Some(child_name), Some(parent_name)) = (catalogue.names.relation(child), catalogue.names.relation(parent))
        else {
            continue;
        };
        let is_partition = row.column("partition")?;
        if is_partition {
            partitions.entry(parent).or_default().push(child);
        }
        if let Some(table) = tables.get_mut(&parent) {
            table.children.push(child_name.clone());
        }
        if let Some(table) = tables.get_mut(&child) {
            if is_partition {
                table.partition_of = Some(parent_name.clone());
            } else {
                table.inherits.push(parent_name.clone());
            }
        }
    }
    for table in tables.values_mut() {
        table.children.sort();
    }
    let sums: Vec<_> = tables
        .values()
        .filter(|table| table.kind == TableKind::Partitioned)
        .map(|table| (table.oid, sum(tables, &partitions, table.oid)))
        .collect();
    for (oid, (rows, bytes)) in sums {
        if let Some(table) = tables.get_mut(&oid) {
            (table.rows, table.bytes) = (rows.unwrap_or(-1.0), bytes);
        }
    }
    Ok(())
}

/// Rows (as far as known) and bytes of a table with its partitions.
fn sum(tables: &Tables, partitions: &HashMap<u32, Vec<u32>>, oid: u32) -> (Option<f64>, i64) {
    let Some(table) = tables.get(&oid) else { return (None, 0) };
    if table.kind != TableKind::Partitioned {
        return ((table.rows >= 0.0).then_some(table.rows), table.bytes);
    }
    let Some(parts) = partitions.get(&oid) else { return (Some(0.0), table.bytes) };
    parts.iter().map(|part| sum(tables, partitions, *part)).fold((None, table.bytes), |(rows, bytes), (more, size)| {
        (rows.map_or(more, |rows| Some(rows + more.unwrap_or(0.0))), bytes + size)
    })
}

/// Reads privileges on tables and on fields; the fields must be there.
pub(super) fn read_grants(
    client: &mut impl GenericClient,
    catalogue: &Catalogue,
    tables: &mut Tables,
) -> Result<(), Error> {
    for row in client.query(GRANTS, &[&catalogue.tables])? {
        let Some(table) = tables.get_mut(&row.column("relation")?) else { continue };
        let number: i16 = row.column("field")?;
        let grants = if number == 0 {
            table.grants.as_mut()
        } else {
            table.fields.iter_mut().find(|field| field.number == number).map(|field| &mut field.grants)
        };
        let grant = Grant {
            role: row.optional_ident("role")?,
            privilege: row.column("privilege_type")?,
            grantable: row.column("is_grantable")?,
        };
        if let Some(grants) = grants {
            grants.push(grant);
        }
    }
    for table in tables.values_mut() {
        let of_fields = table.fields.iter_mut().map(|field| &mut field.grants);
        for grants in of_fields.chain(&mut table.grants) {
            // Two grantors may have given the same privilege.
            grants.sort();
            grants.dedup();
        }
    }
    Ok(())
}

/// Reads who gets something on whatever is created.
pub(super) fn read_default_grants(client: &mut impl GenericClient) -> Result<BTreeSet<String>, Error> {
    let role = |row: &Row| Ok(row.optional_ident("role")?.map_or_else(|| "PUBLIC".to_owned(), |r| r.to_string()));
    client.query(DEFAULT_GRANTS, &[])?.iter().map(role).collect()
}

/// Reads the publications that name a table.
pub(super) fn read_publications(
    client: &mut impl GenericClient,
    catalogue: &Catalogue,
    tables: &mut Tables,
) -> Result<(), Error> {
    let of_15 = if catalogue.version >= 150_000 {
        "r.prattrs::int2[] AS fields, pg_get_expr(r.prqual, r.prrelid) AS filter"
    } else {
        "NULL::int2[] AS fields, NULL::text AS filter"
    };
    let query = format!(
        "SELECT r.prrelid AS relation, p.pubname::text AS name, {of_15}
         FROM pg_publication_rel AS r
         JOIN pg_publication AS p ON p.oid = r.prpubid
         WHERE r.prrelid = ANY($1)
         ORDER BY p.pubname"
    );
    for row in client.query(&query, &[&catalogue.tables])? {
        let oid = row.column("relation")?;
        let Some(table) = tables.get_mut(&oid) else { continue };
        let numbers: Option<Vec<i16>> = row.column("fields")?;
        table.publications.push(Publication {
            name: row.ident("name")?,
            fields: numbers.map(|numbers| catalogue.names.fields(oid, &numbers)),
            filter: row.column("filter")?,
        });
    }
    Ok(())
}

/// Reads what else in the database uses a table's row type, or the array of it.
pub(super) fn read_row_type_users(
    client: &mut impl GenericClient,
    catalogue: &Catalogue,
    tables: &mut Tables,
) -> Result<(), Error> {
    for row in client.query(ROW_TYPE_USERS, &[&catalogue.tables, &catalogue.schemas])? {
        if let Some(table) = tables.get_mut(&row.column("relation")?) {
            let (description, is_field) = (row.column("description")?, row.column("is_field")?);
            table.row_type_users.push(RowTypeUser { description, is_field });
        }
    }
    Ok(())
}
