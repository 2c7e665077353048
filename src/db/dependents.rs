//! The bodies of views and functions that read what is elsewhere once a version is real.

use std::collections::BTreeMap;

use postgres::{Error, GenericClient};

use crate::plan::dependents::{Dependent, Fate, Kind};
use crate::sql::over_queries;

/// Their new bodies, by their names, of those whose text can be changed; of those that are given up, what they are. In a
/// transaction, whose path changes.
///
/// # Errors
/// When the server says so.
pub fn read(
    client: &mut impl GenericClient,
    dependents: &[Dependent],
    dropped: &[String],
) -> Result<BTreeMap<String, String>, Error> {
    let mut bodies = BTreeMap::new();
    client.batch_execute("SET LOCAL search_path = pg_catalog, pg_temp")?;
    for dependent in dependents {
        let goes = dropped.iter().any(|name| dependent.is_called(name));
        let queries = match &dependent.fate {
            Fate::Over(queries) if !goes => Some(queries),
            _ if goes => None,
            _ => continue,
        };
        let query = match dependent.kind {
            Kind::Function => "SELECT rtrim(pg_get_function_sqlbody($1::text::regprocedure), E'\\n')",
            Kind::View | Kind::Materialized => "SELECT rtrim(pg_get_viewdef($1::text::regclass), ';')",
        };
        let body: String = client.query_one(query, &[&dependent.name])?.get(0);
        let body = queries.map_or(Some(body.clone()), |queries| over_queries(&body, queries));
        bodies.extend(body.map(|body| (dependent.name.clone(), body)));
    }
    Ok(bodies)
}
