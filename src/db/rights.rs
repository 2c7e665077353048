//! What of privileges and policies has changed since the views were made, and what is missing to make them.

use std::collections::BTreeSet;

use postgres::GenericClient;

use crate::db::crossing;
use crate::db::session::Place;
use crate::generate::rights::{self, Right};
use crate::generate::shown_in;
use crate::name::{Ident, TableName};
use crate::problem::{Kind, Problem};
use crate::refusal::list;
use crate::version::Version;

/// The tables whose privileges are not those of their views any more, and what values get where they must not, in words.
///
/// # Errors
/// When the server says so.
pub fn changed(client: &mut impl GenericClient, place: &Place) -> Result<Vec<String>, Problem> {
    let (mut version, mut crossings) = (Version::base(place.schema.clone()), Vec::new());
    for step in place.pending() {
        // What makes no sense any more is told by others.
        let Ok(after) = version.after(&step) else { return Ok(Vec::new()) };
        match crossing::ask(client, &version, &after, &step) {
            Err(problem) if problem.kind == Kind::Server => return Err(problem),
            Err(problem) => crossings.push(format!("{}: {}", step.name, problem.why.join("; "))),
            Ok(()) => {}
        }
        version = after;
    }
    let next = shown_in(&version);
    let mut troubles = Vec::new();
    for relation in version.touched() {
        // Indexes have no view.
        let Some(schema) = next.get(&relation.name.schema) else { continue };
        let outer = TableName { schema: schema.clone(), name: relation.name.name.clone() };
        if place.installed.views.contains(&outer) && of_view(client, &outer)? != rights::wanted(&version, relation) {
            troubles.push(format!(
                "privileges on `{}` were granted or revoked since its view was made: `refactor apply` does the same there",
                relation.name.short()
            ));
        }
    }
    troubles.extend(crossings);
    Ok(troubles)
}

/// What was granted on a view to others than its owner.
fn of_view(client: &mut impl GenericClient, view: &TableName) -> Result<BTreeSet<Right>, postgres::Error> {
    let rows = client.query(
        "SELECT r.rolname::text, a.privilege_type, g.field, a.is_grantable
         FROM pg_class AS c
         CROSS JOIN LATERAL (
           SELECT NULL::text, c.relacl
           UNION ALL SELECT attname::text, attacl FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0
         ) AS g (field, acl)
         CROSS JOIN LATERAL aclexplode(g.acl) AS a
         LEFT JOIN pg_roles AS r ON r.oid = a.grantee
         WHERE c.oid = to_regclass($1) AND a.grantee <> c.relowner AND a.privilege_type <> 'MAINTAIN'
           AND (a.grantee = 0 OR r.oid IS NOT NULL)",
        &[&view.to_string()],
    )?;
    let one = |row: &postgres::Row| Right {
        role: row.get::<_, Option<String>>(0).map(Ident::new),
        privilege: row.get(1),
        field: row.get::<_, Option<String>>(2).map(Ident::new),
        grantable: row.get(3),
    };
    Ok(rows.iter().map(one).collect())
}

/// Refuses to make schemas that the user may not make: an administrator can prepare them.
///
/// # Errors
/// Names what is missing.
pub fn may_make(client: &mut impl GenericClient, schemas: &[Ident]) -> Result<(), Problem> {
    if schemas.is_empty() {
        return Ok(());
    }
    let row = client.query_one(
        "SELECT pg_catalog.current_database()::text, current_user::text,
                pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')",
        &[],
    )?;
    if row.get(2) {
        return Ok(());
    }
    let (database, user) = (Ident::new(row.get::<_, String>(0)), Ident::new(row.get::<_, String>(1)));
    let names: Vec<String> = schemas.iter().map(|s| s.as_str().to_owned()).collect();
    let prepared: Vec<String> = schemas.iter().map(|s| format!("CREATE SCHEMA {s} AUTHORIZATION {user}")).collect();
    Err(Problem::new(
        Kind::Obstacle,
        "cannot show a new shape in this database",
        format!(
            "{} must be made for it, and `{user}` has not the privilege CREATE on the database `{database}`",
            list(&names)
        ),
    )
    .hint(format!(
        "let an administrator run `GRANT CREATE ON DATABASE {database} TO {user}`, or prepare them: `{}`",
        prepared.join("; ")
    )))
}
