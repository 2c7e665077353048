//! The bodies of views and functions that read what is elsewhere once a version is real.

use std::collections::BTreeMap;

use postgres::{Error, GenericClient};

use crate::plan::dependents::{Dependent, Fate, Kind};
use crate::sql::over_queries;

/// Their new bodies, by their names, of those whose text can be changed. In a transaction, whose path changes.
///
/// # Errors
/// When the server says so.
pub fn bodies(client: &mut impl GenericClient, readers: &[Dependent]) -> Result<BTreeMap<String, String>, Error> {
    let mut bodies = BTreeMap::new();
    for reader in readers {
        let Fate::Over(queries) = &reader.fate else { continue };
        let query = match reader.kind {
            Kind::Function => "SELECT rtrim(pg_get_function_sqlbody($1::text::regprocedure), E'\\n')",
            Kind::View | Kind::Materialized => "SELECT rtrim(pg_get_viewdef($1::text::regclass), ';')",
        };
        client.batch_execute("SET LOCAL search_path = pg_catalog, pg_temp")?;
        let body: String = client.query_one(query, &[&reader.name])?.get(0);
        bodies.extend(over_queries(&body, queries).map(|body| (reader.name.clone(), body)));
    }
    Ok(bodies)
}
