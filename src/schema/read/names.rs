//! What numbers in the catalogue stand for: names of relations and fields, and who uses which field.
//!
//! Knows relations of our own schemas too, since the user's objects may read them.

use std::collections::{BTreeMap, HashMap};

use postgres::{Error, GenericClient};

use super::{Catalogue, Columns};
use crate::name::{Ident, TableName};

/// `pg_class.oid` of the system catalogues, fixed in PostgreSQL's sources.
pub(super) const PG_PROC: u32 = 1255;
pub(super) const PG_CLASS: u32 = 1259;
pub(super) const PG_ATTRDEF: u32 = 2604;
pub(super) const PG_REWRITE: u32 = 2618;
pub(super) const PG_TRIGGER: u32 = 2620;
pub(super) const PG_POLICY: u32 = 3256;
pub(super) const PG_STATISTIC_EXT: u32 = 3381;

const RELATIONS: &str = "
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
  AND NOT starts_with(n.nspname::text, 'pg_')
  AND n.nspname <> 'information_schema'";

const FIELDS: &str = "
SELECT attrelid, attnum, attname::text AS name
FROM pg_attribute
WHERE attrelid = ANY($1) AND attnum > 0 AND NOT attisdropped";

const USES: &str = "
SELECT classid, objid, objsubid, refobjid, refobjsubid::int2 AS field
FROM pg_depend
WHERE refclassid = 'pg_class'::regclass
  AND refobjid = ANY($1)
  AND classid = ANY($2)
ORDER BY refobjid, refobjsubid";

/// Every other name in the user's schemas. Array types are left out: PostgreSQL renames them when they are in the way.
const OTHERS: &str = "
SELECT n.nspname::text AS schema, o.name, o.kind
FROM (
  SELECT relnamespace, relname::text, relkind::text
  FROM pg_class
  WHERE relkind NOT IN ('r', 'p', 'f')
  UNION ALL
  SELECT t.typnamespace, t.typname::text, 'c'
  FROM pg_type AS t
  WHERE t.typrelid = 0
    AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.oid = t.typelem AND e.typarray = t.oid)
) AS o (namespace, name, kind)
JOIN pg_namespace AS n ON n.oid = o.namespace
WHERE o.namespace = ANY($1)";

/// Names of relations and their fields, by number.
#[derive(Default)]
pub(super) struct Names {
    relations: HashMap<u32, TableName>,
    fields: HashMap<(u32, i16), Ident>,
}

impl Names {
    pub(super) fn read(client: &mut impl GenericClient) -> Result<Self, Error> {
        let mut names = Self::default();
        for row in client.query(RELATIONS, &[])? {
            names.relations.insert(row.column("oid")?, row.relation()?);
        }
        for row in client.query(FIELDS, &[&names.oids()])? {
            names.fields.insert((row.column("attrelid")?, row.column("attnum")?), row.ident("name")?);
        }
        Ok(names)
    }

    fn oids(&self) -> Vec<u32> {
        self.relations.keys().copied().collect()
    }

    pub(super) fn relation(&self, oid: u32) -> Option<&TableName> {
        self.relations.get(&oid)
    }

    /// One field; none for an expression (number 0) or a system column.
    pub(super) fn field(&self, relation: u32, number: i16) -> Option<&Ident> {
        self.fields.get(&(relation, number))
    }

    /// Several fields, in the order of their numbers as given.
    pub(super) fn fields(&self, relation: u32, numbers: &[i16]) -> Vec<Ident> {
        numbers.iter().filter_map(|number| self.field(relation, *number).cloned()).collect()
    }
}

/// Which object uses which relation or field, as `pg_depend` knows it.
#[derive(Default)]
pub(super) struct Uses(HashMap<(u32, u32, i32), Vec<(u32, i16)>>);

impl Uses {
    pub(super) fn read(client: &mut impl GenericClient, names: &Names) -> Result<Self, Error> {
        let classes = vec![PG_PROC, PG_CLASS, PG_ATTRDEF, PG_REWRITE, PG_TRIGGER, PG_POLICY, PG_STATISTIC_EXT];
        let mut uses = Self::default();
        for row in client.query(USES, &[&names.oids(), &classes])? {
            let object = (row.column("classid")?, row.column("objid")?, row.column("objsubid")?);
            let fields = uses.0.entry(object).or_default();
            let field = (row.column("refobjid")?, row.column("field")?);
            if fields.last() != Some(&field) {
                fields.push(field);
            }
        }
        Ok(uses)
    }

    /// Relations and fields that an object uses; field 0 is the relation as a whole.
    pub(super) fn of(&self, class: u32, object: u32, part: i32) -> &[(u32, i16)] {
        self.0.get(&(class, object, part)).map_or(&[], Vec::as_slice)
    }

    /// Numbers of the fields of one table that an object uses.
    pub(super) fn fields_of(&self, table: u32, class: u32, object: u32) -> impl Iterator<Item = i16> {
        self.of(class, object, 0).iter().filter(move |(relation, _)| *relation == table).map(|(_, number)| *number)
    }

    /// Names of the fields of any relation that an object uses.
    pub(super) fn named(&self, names: &Names, class: u32, object: u32) -> Vec<(TableName, Ident)> {
        self.of(class, object, 0)
            .iter()
            .filter_map(|(relation, number)| {
                Some((names.relation(*relation)?.clone(), names.field(*relation, *number)?.clone()))
            })
            .collect()
    }
}

/// Reads every name that is not a base table's but could clash with one.
pub(super) fn read_others(
    client: &mut impl GenericClient,
    catalogue: &Catalogue,
) -> Result<BTreeMap<TableName, &'static str>, Error> {
    let mut others = BTreeMap::new();
    for row in client.query(OTHERS, &[&catalogue.schemas])? {
        let kind = match row.letter("kind")? {
            'S' => "sequence",
            'i' | 'I' => "index",
            'v' => "view",
            'm' => "materialized view",
            _ => "type",
        };
        others.insert(row.relation()?, kind);
    }
    Ok(others)
}
