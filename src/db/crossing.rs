//! Asks the server whether roles that will read or write values may do so where they are now.

use postgres::GenericClient;

use crate::generate::carry::owner;
use crate::generate::rights::cannot_hold;
use crate::name::Ident;
use crate::problem::Problem;
use crate::refusal::Refusal;
use crate::version::{Step, Suspect, Version};

/// Refuses a step by which somebody would get at values of a table that he may not use: `before` and `after` are the
/// versions on both sides of it.
///
/// # Errors
/// Names the table and, where it is a matter of privileges, the role.
pub fn ask(client: &mut impl GenericClient, before: &Version, after: &Version, step: &Step) -> Result<(), Problem> {
    let refused = |refusal| Problem::refused(step, refusal);
    after.may_cross(before).map_err(refused)?;
    let mut touched = after.touched().filter(|r| r.touched_by.last() == Some(&step.name));
    if let Some(refusal) = touched.find_map(|relation| cannot_hold(after, relation)) {
        return Err(refused(refusal));
    }
    if let Some((table, other, trigger)) = after.strange_triggers(before).first()
        && is_superuser(client)?
    {
        let (mine, theirs) = (owner(after, table), owner(after, other));
        return Err(refused(Refusal::Other {
            why: format!(
                "`{}` belongs to `{mine}` and `{}` to `{theirs}`, and neither may use both: the trigger `{trigger}` would act as a superuser",
                table.short(),
                other.short()
            ),
            hint: Some(format!(
                "let one of them do so: `GRANT SELECT, INSERT, UPDATE, DELETE ON {other} TO {mine}`, or the other way round"
            )),
        }));
    }
    for suspect in after.suspects(before) {
        if !may(client, after, &suspect)? {
            return Err(refused(suspect.refusal(after)));
        }
    }
    Ok(())
}

fn is_superuser(client: &mut impl GenericClient) -> Result<bool, postgres::Error> {
    let sql = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user";
    Ok(client.query_opt(sql, &[])?.is_some_and(|row| row.get(0)))
}

/// What a role may do itself, by roles that it belongs to, and as what it is.
fn may(client: &mut impl GenericClient, version: &Version, suspect: &Suspect) -> Result<bool, postgres::Error> {
    let table = version.schema.tables.get(&suspect.from).map_or(0, |t| t.oid);
    let role = suspect.role.as_ref().map_or("public", Ident::as_str);
    let columns: Vec<&str> = suspect.columns.iter().map(Ident::as_str).collect();
    // What is not there yet gives nothing away.
    let sql = "SELECT coalesce(
         CASE WHEN pg_catalog.cardinality($4::text[]) OPERATOR(pg_catalog.=) 0
           THEN pg_catalog.has_table_privilege($1::text::name, $2::oid, $3::text)
           ELSE (SELECT pg_catalog.bool_and(pg_catalog.has_column_privilege($1::text::name, $2::oid, c, $3::text))
             FROM pg_catalog.unnest($4::text[]) AS c) END, true)";
    Ok(client.query_one(sql, &[&role, &table, &suspect.privilege, &columns])?.get(0))
}
