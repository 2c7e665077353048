//! What somebody has made to be taken for PostgreSQL's own.

use std::collections::BTreeSet;

use postgres::{Error, GenericClient};

use super::Columns;
use crate::name::Ident;

/// Functions and operators under names that PostgreSQL has, too, where they would be found: a call with arguments that
/// fit them better is theirs. Not those of extensions, nor of whoever can make us run code anyway: a superuser, who is
/// connected, the database's owner, owners of tables.
const LOOK_ALIKES: &str = "
WITH made AS (
  SELECT p.pronamespace AS schema, p.proowner AS owner, p.oid, 'pg_proc'::regclass AS class
  FROM pg_proc AS p
  WHERE p.proname IN (SELECT c.proname FROM pg_proc AS c WHERE c.pronamespace = 'pg_catalog'::regnamespace)
  UNION ALL
  SELECT o.oprnamespace, o.oprowner, o.oid, 'pg_operator'::regclass
  FROM pg_operator AS o
  WHERE o.oprname IN (SELECT c.oprname FROM pg_operator AS c WHERE c.oprnamespace = 'pg_catalog'::regnamespace)),
trusted AS (
  SELECT r.oid FROM pg_roles AS r WHERE r.rolsuper OR r.rolname = current_user
  UNION SELECT d.datdba FROM pg_database AS d WHERE d.datname = current_database()
  UNION SELECT c.relowner FROM pg_class AS c WHERE c.relkind IN ('r', 'p'))
SELECT DISTINCT n.nspname::text AS schema
FROM made AS m
JOIN pg_namespace AS n ON n.oid = m.schema
WHERE n.nspname = ANY ($1)
  AND m.owner NOT IN (SELECT t.oid FROM trusted AS t)
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = m.class AND d.objid = m.oid AND d.deptype = 'e')";

/// The schemas of a path in which there are such.
pub fn read(client: &mut impl GenericClient, path: &[Ident]) -> Result<BTreeSet<Ident>, Error> {
    let path: Vec<&str> = path.iter().map(Ident::as_str).collect();
    client.query(LOOK_ALIKES, &[&path])?.iter().map(|row| row.ident("schema")).collect()
}
