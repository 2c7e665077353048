//! Reads a whole database's structure from `pg_catalog` into the model, one query for each kind of object.
//!
//! The only place with such queries. It must not know what the structure is read for, and it changes nothing.

mod alike;
mod constraints;
mod enums;
mod equality;
mod fields;
mod hangers;
mod indexes;
mod kinds;
mod names;
mod tables;
mod triggers;
mod views;

use std::collections::{BTreeMap, HashMap};

use postgres::types::FromSql;
use postgres::{Error, GenericClient, Row};

use super::{Domain, Schema, Table};
use crate::name::{Ident, PLPGSQL, TableName};
use crate::sql::rename_in_definition;
use names::{Names, Uses};

/// Reads the structure of the database that `client` is connected to.
///
/// Sets `search_path` to nothing meanwhile, so that PostgreSQL qualifies every name it prints; a rollback of this part
/// alone sets it back, to what the session or the transaction had.
///
/// # Errors
///
/// The server's error, if one of the queries fails.
pub fn read(client: &mut impl GenericClient) -> Result<Schema, Error> {
    let session = client.query_one(SESSION, &[])?;
    let mut inside = client.transaction()?;
    // Compiling queries takes longer than they do, and so do tables for as many rows as are expected of a recursive one.
    let settings = "SELECT pg_catalog.set_config('search_path', '', true), pg_catalog.set_config('jit', 'off', true),
      pg_catalog.set_config('work_mem', '1MB', true)";
    inside.execute(settings, &[])?;
    let schema = read_all(&mut inside, &session);
    inside.rollback()?;
    schema
}

const SESSION: &str = "
SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.oid AS version,
       current_user::pg_catalog.text AS me,
       pg_catalog.current_schemas(false)::pg_catalog.text[] AS search_path";

/// The user's schemas: neither the system's nor our own.
const SCHEMAS: &str = "
SELECT n.oid,
       n.nspname::text AS name,
       pg_get_userbyid(n.nspowner)::text AS owner
FROM pg_namespace AS n
LEFT JOIN pg_description AS d
  ON d.classoid = 'pg_namespace'::regclass AND d.objoid = n.oid AND d.objsubid = 0
WHERE NOT starts_with(n.nspname::text, 'pg_')
  AND n.nspname NOT IN ('information_schema', 'refactor', 'next', 'prev')
  AND NOT (n.nspname ~ '^(next|prev)_' AND starts_with(coalesce(d.description, ''), 'refactor:'))";

/// What every query needs: whose objects to read, and what the numbers in the catalogue stand for.
struct Catalogue {
    version: u32,
    /// `pg_namespace.oid` of the user's schemas.
    schemas: Vec<u32>,
    /// `pg_class.oid` of the user's base tables.
    tables: Vec<u32>,
    names: Names,
    uses: Uses,
}

/// Tables under construction, by `pg_class.oid`.
type Tables = HashMap<u32, Table>;

fn read_all(client: &mut impl GenericClient, session: &Row) -> Result<Schema, Error> {
    let mut schemas = BTreeMap::new();
    let mut catalogue = Catalogue {
        version: session.try_get("version")?,
        schemas: Vec::new(),
        tables: Vec::new(),
        names: Names::read(client)?,
        uses: Uses::default(),
    };
    for row in client.query(SCHEMAS, &[])? {
        catalogue.schemas.push(row.try_get("oid")?);
        schemas.insert(row.ident("name")?, row.ident("owner")?);
    }
    catalogue.uses = Uses::read(client, &catalogue.names)?;

    let mut tables = tables::read(client, &catalogue)?;
    catalogue.tables = tables.keys().copied().collect();
    tables::read_parents(client, &catalogue, &mut tables)?;
    let domains = fields::read_domains(client, &catalogue)?;
    fields::read(client, &catalogue, &domains, &mut tables)?;
    tables::read_grants(client, &catalogue, &mut tables)?;
    tables::read_publications(client, &catalogue, &mut tables)?;
    tables::read_row_type_users(client, &catalogue, &mut tables)?;
    constraints::read(client, &catalogue, &mut tables)?;
    indexes::read(client, &catalogue, &mut tables)?;
    indexes::read_statistics(client, &catalogue, &mut tables)?;
    triggers::read(client, &catalogue, &mut tables)?;
    triggers::read_rules(client, &catalogue, &mut tables)?;
    triggers::read_policies(client, &catalogue, &mut tables)?;
    hangers::read(client, &catalogue, &mut tables)?;
    for table in tables.values_mut() {
        let constraints = table.constraints.iter_mut().map(|c| &mut c.definition);
        constraints.chain(table.indexes.iter_mut().map(|i| &mut i.definition)).for_each(quote_as_we_do);
    }

    let search_path = session.idents("search_path")?;
    let mut schema = Schema {
        server_version: catalogue.version,
        views: views::read(client, &catalogue)?,
        functions: views::read_functions(client, &catalogue)?,
        domains,
        enums: enums::read(client, &catalogue)?,
        sequences: hangers::read_sequences(client, &catalogue)?,
        other_names: names::read_others(client, &catalogue)?,
        kinds: kinds::read(client, &catalogue)?,
        schemas,
        user: Some(Ident::new(session.try_get::<_, String>("me")?)),
        with_look_alikes: alike::read(client, &search_path)?,
        search_path,
        equalities: equality::read(client, &catalogue)?,
        by_default: tables::read_default_grants(client)?,
        tables: catalogue.named(tables),
        kept: BTreeMap::new(),
    };
    schema.kept = read_kept(client, catalogue, &schema.domains)?;
    Ok(schema)
}

/// What a table that comes back brings along besides its elements.
fn read_kept(
    client: &mut impl GenericClient,
    mut catalogue: Catalogue,
    domains: &BTreeMap<String, Domain>,
) -> Result<BTreeMap<TableName, Table>, Error> {
    let own = client.query("SELECT oid FROM pg_namespace WHERE nspname = 'refactor'", &[])?;
    catalogue.schemas = own.iter().map(|row| row.try_get("oid")).collect::<Result<_, _>>()?;
    let mut tables = tables::read(client, &catalogue)?;
    let is_kept = |oid: &u32| catalogue.names.relation(*oid).is_some_and(TableName::is_archive);
    tables.retain(|oid, _| is_kept(oid));
    catalogue.tables = tables.keys().copied().collect();
    fields::read(client, &catalogue, domains, &mut tables)?;
    tables::read_grants(client, &catalogue, &mut tables)?;
    Ok(catalogue.named(tables))
}

/// Where PostgreSQL does not quote a name that we do, a definition of ours would not be the same text.
fn quote_as_we_do(definition: &mut String) {
    if PLPGSQL.iter().any(|word| definition.contains(word)) {
        let names = PLPGSQL.map(|word| (Ident::new(word), Ident::new(word))).into();
        *definition = rename_in_definition(definition, &names);
    }
}

impl Catalogue {
    fn named(&self, tables: Tables) -> BTreeMap<TableName, Table> {
        tables.into_iter().filter_map(|(oid, table)| Some((self.names.relation(oid)?.clone(), table))).collect()
    }

    /// The fields of `table` with these numbers, then those that `object` of the catalogue `class` also uses.
    fn fields_with_uses(&self, table: u32, numbers: &[i16], class: u32, object: u32) -> Vec<Ident> {
        let mut all: Vec<i16> = Vec::new();
        for number in numbers.iter().copied().chain(self.uses.fields_of(table, class, object)) {
            if !all.contains(&number) {
                all.push(number);
            }
        }
        self.names.fields(table, &all)
    }
}

/// Columns of a result by name, in the types of the model.
trait Columns {
    /// Any type that needs no thought.
    fn column<'a, T: FromSql<'a>>(&'a self, column: &str) -> Result<T, Error>;

    fn ident(&self, column: &str) -> Result<Ident, Error> {
        self.column(column).map(|name: String| Ident::new(name))
    }

    fn optional_ident(&self, column: &str) -> Result<Option<Ident>, Error> {
        Ok(self.column::<Option<String>>(column)?.map(Ident::new))
    }

    fn idents(&self, column: &str) -> Result<Vec<Ident>, Error> {
        Ok(self.column::<Vec<String>>(column)?.into_iter().map(Ident::new).collect())
    }

    /// The columns `schema` and `name`.
    fn relation(&self) -> Result<TableName, Error> {
        Ok(TableName { schema: self.ident("schema")?, name: self.ident("name")? })
    }

    /// A `"char"`, which the query has cast to text; the empty one is a space.
    fn letter(&self, column: &str) -> Result<char, Error> {
        Ok(self.column::<&str>(column)?.chars().next().unwrap_or(' '))
    }
}

impl Columns for Row {
    fn column<'a, T: FromSql<'a>>(&'a self, column: &str) -> Result<T, Error> {
        self.try_get(column)
    }
}
