//! Reads what happens by itself when rows are read or written: triggers, rules and row policies.

use std::collections::HashMap;
use std::fmt::Write;
use std::iter::successors;

use postgres::{Error, GenericClient, Row};

use super::names::{PG_POLICY, PG_REWRITE, PG_TRIGGER};
use super::{Catalogue, Columns, Tables};
use crate::name::{Ident, TableName};
use crate::schema::{Policy, Rule, Trigger};

// Until PostgreSQL 14 a partition's copy of a user's trigger counts as internal, but has no constraint as the truly
// internal ones do.
const TRIGGERS: &str = "
SELECT t.oid,
       t.tgrelid AS relation,
       t.tgname::text AS name,
       pg_get_triggerdef(t.oid) AS definition,
       t.tgattr::int2[] AS fields,
       t.tgenabled::text AS enabled,
       t.tgparentid AS parent,
       format('%I.%I()', n.nspname, p.proname) AS function,
       d.description AS comment
FROM pg_trigger AS t
JOIN pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_namespace AS n ON n.oid = p.pronamespace
LEFT JOIN pg_description AS d
  ON d.classoid = 'pg_trigger'::regclass AND d.objoid = t.oid AND d.objsubid = 0
WHERE t.tgrelid = ANY($1)
  AND (NOT t.tgisinternal OR t.tgparentid <> 0 AND t.tgconstraint = 0)
  AND t.tgname::text !~ '^[!~]refactor_'
ORDER BY t.tgname";

const RULES: &str = "
SELECT r.oid,
       r.ev_class AS relation,
       r.rulename::text AS name,
       pg_get_ruledef(r.oid) AS definition,
       r.ev_enabled::text AS enabled,
       d.description AS comment
FROM pg_rewrite AS r
LEFT JOIN pg_description AS d
  ON d.classoid = 'pg_rewrite'::regclass AND d.objoid = r.oid AND d.objsubid = 0
WHERE r.ev_class = ANY($1) AND r.rulename <> '_RETURN'
ORDER BY r.rulename";

const POLICIES: &str = "
SELECT p.oid,
       p.polrelid AS relation,
       p.polname::text AS name,
       p.polcmd::text AS command,
       p.polpermissive AS permissive,
       ARRAY(
         SELECT r.rolname::text
         FROM pg_roles AS r
         WHERE r.oid = ANY(p.polroles)
         ORDER BY r.rolname
       ) AS roles,
       pg_get_expr(p.polqual, p.polrelid) AS visible,
       pg_get_expr(p.polwithcheck, p.polrelid) AS writable,
       d.description AS comment
FROM pg_policy AS p
LEFT JOIN pg_description AS d
  ON d.classoid = 'pg_policy'::regclass AND d.objoid = p.oid AND d.objsubid = 0
WHERE p.polrelid = ANY($1)
ORDER BY p.polname";

/// Reads the user's triggers of all tables.
pub(super) fn read(client: &mut impl GenericClient, catalogue: &Catalogue, tables: &mut Tables) -> Result<(), Error> {
    let rows = client.query(TRIGGERS, &[&catalogue.tables])?;
    let mut origins: HashMap<u32, Origin> = HashMap::new();
    for row in &rows {
        let (oid, relation, parent) = (row.column("oid")?, row.column("relation")?, row.column("parent")?);
        let numbers: Vec<i16> = row.column("fields")?;
        let fields = catalogue.fields_with_uses(relation, &numbers, PG_TRIGGER, oid);
        origins.insert(oid, Origin { parent, fields });
    }
    for row in &rows {
        let Some(table) = tables.get_mut(&row.column("relation")?) else { continue };
        table.triggers.push(Trigger {
            name: row.ident("name")?,
            definition: row.column("definition")?,
            fields: original_fields(&origins, row.column("oid")?),
            enabled: row.letter("enabled")?,
            inherited: row.column::<u32>("parent")? != 0,
            comment: row.column("comment")?,
            function: row.column("function")?,
        });
    }
    Ok(())
}

/// Where a trigger of a partition was cloned from, and the fields that `pg_depend` knows of.
struct Origin {
    parent: u32,
    fields: Vec<Ident>,
}

/// The fields of the trigger that was cloned, since `pg_depend` knows nothing of a clone's WHEN clause.
fn original_fields(origins: &HashMap<u32, Origin>, trigger: u32) -> Vec<Ident> {
    let ancestors = successors(origins.get(&trigger), |origin| origins.get(&origin.parent));
    ancestors.last().map_or_else(Vec::new, |origin| origin.fields.clone())
}

/// Reads the rewrite rules of all tables.
pub(super) fn read_rules(
    client: &mut impl GenericClient,
    catalogue: &Catalogue,
    tables: &mut Tables,
) -> Result<(), Error> {
    for row in client.query(RULES, &[&catalogue.tables])? {
        let (oid, relation) = (row.column("oid")?, row.column("relation")?);
        let Some(table) = tables.get_mut(&relation) else { continue };
        table.rules.push(Rule {
            name: row.ident("name")?,
            definition: row.column("definition")?,
            fields: catalogue.fields_with_uses(relation, &[], PG_REWRITE, oid),
            enabled: row.letter("enabled")?,
            comment: row.column("comment")?,
        });
    }
    Ok(())
}

/// Reads the row policies of all tables.
pub(super) fn read_policies(
    client: &mut impl GenericClient,
    catalogue: &Catalogue,
    tables: &mut Tables,
) -> Result<(), Error> {
    for row in client.query(POLICIES, &[&catalogue.tables])? {
        let (oid, relation) = (row.column("oid")?, row.column("relation")?);
        let Some(name) = catalogue.names.relation(relation) else { continue };
        let Some(table) = tables.get_mut(&relation) else { continue };
        table.policies.push(Policy {
            name: row.ident("name")?,
            definition: policy_definition(name, &row)?,
            permissive: row.column("permissive")?,
            command: row.letter("command")?,
            roles: row.idents("roles")?,
            visible: row.column("visible")?,
            writable: row.column("writable")?,
            fields: catalogue.fields_with_uses(relation, &[], PG_POLICY, oid),
            comment: row.column("comment")?,
        });
    }
    Ok(())
}

/// Writes `CREATE POLICY`, for which PostgreSQL has no function; what is its default is left out.
fn policy_definition(table: &TableName, row: &Row) -> Result<String, Error> {
    let mut text = format!("CREATE POLICY {} ON {table}", row.ident("name")?);
    if !row.column::<bool>("permissive")? {
        text += " AS RESTRICTIVE";
    }
    text += match row.letter("command")? {
        'r' => " FOR SELECT",
        'a' => " FOR INSERT",
        'w' => " FOR UPDATE",
        'd' => " FOR DELETE",
        _ => "",
    };
    let roles: Vec<String> = row.idents("roles")?.iter().map(Ident::to_string).collect();
    if !roles.is_empty() {
        text += " TO ";
        text += &roles.join(", ");
    }
    for (clause, column) in [("USING", "visible"), ("WITH CHECK", "writable")] {
        if let Some(expression) = row.column::<Option<&str>>(column)? {
            // Writing to a string never fails.
            let _ = write!(text, " {clause} ({expression})");
        }
    }
    Ok(text)
}
