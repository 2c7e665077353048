//! Fields that refer to other rows without a foreign key, and codes that no table lists.

use crate::cli::convert::words::words;
use crate::cli::inspect::figures::{Counted, Looked, asked};
use crate::cli::inspect::{Finding, Shape};
use crate::cli::suggest::likeness::{plural, singular};
use crate::cli::suggest::simple::{place, said};
use crate::db::session::Session;
use crate::name::{Ident, TableName, shell};
use crate::schema::{ConstraintKind, Table};
use crate::sql::type_names::without_modifier;

/// All of this kind; a field that something was told of already is no code besides.
pub fn findings(session: &mut Session, looked: &Looked, shape: &Shape, told: &[String]) -> Vec<Finding> {
    let mut all = Vec::new();
    let open = looked.fields.iter().filter(|c| {
        c.values > 0 && c.field.generated.is_none() && c.field.identity.is_none() && !looked.refers(&c.field.name)
    });
    for counted in open {
        if let Some(found) = reference(session, looked, counted, shape) {
            all.push(found);
        } else if !told.iter().any(|name| name == counted.field.name.as_str()) {
            all.extend(code(looked, counted, shape));
        }
    }
    all
}

/// Whether a field's name speaks of a row of that table.
fn speaks_of(field: &str, table: &str, key: &str) -> bool {
    let (field, table) = (field.to_lowercase(), table.to_lowercase());
    let one = singular(&table);
    let stems = [one.clone(), table.clone()];
    stems.iter().any(|stem| field == *stem || field == format!("{stem}_{key}") || field == format!("{stem}{key}"))
        || field.ends_with(&format!("_{one}_{key}"))
        || field.ends_with(&format!("_{one}")) && one.len() > 2
}

/// Fields that alone tell rows apart.
fn keys(table: &Table) -> impl Iterator<Item = &Ident> {
    table.constraints.iter().filter_map(|c| match (&c.kind, &c.fields[..]) {
        (ConstraintKind::Primary | ConstraintKind::Unique, [one]) => Some(one),
        _ => None,
    })
}

fn reference(session: &mut Session, looked: &Looked, counted: &Counted, shape: &Shape) -> Option<Finding> {
    let field = &counted.field.name;
    for (far, table) in &shape.schema.tables {
        for key in keys(table) {
            let Some(type_name) = table.fields.iter().find(|f| f.name == *key).map(|f| &f.type_name) else { continue };
            let named = speaks_of(field.as_str(), far.name.as_str(), key.as_str());
            // Numbers are found anywhere.
            let telling = counted.different >= 3
                && !matches!(without_modifier(type_name).as_str(), "smallint" | "integer" | "bigint" | "numeric")
                && !looked.is_key(field);
            if without_modifier(type_name) != without_modifier(&counted.field.type_name)
                || far == looked.name && field == key
                || !(named || telling)
                || looked.is_key(field) && far == looked.name
            {
                continue;
            }
            let called = shape.called(far);
            let sql = format!(
                "SELECT count(*) FROM {} AS x WHERE x.{field} IS NOT NULL AND NOT EXISTS (SELECT FROM {called} AS y WHERE y.{key} = x.{field})",
                looked.from
            );
            let Ok(strangers) = asked(session, |t| Ok(t.query_one(&sql, &[])?.get::<_, i64>(0))) else { continue };
            if strangers > 0 && (!named || strangers * 10 > counted.values) {
                continue;
            }
            let to = far.reference().to_string();
            let is_primary = table
                .constraints
                .iter()
                .any(|c| c.kind == ConstraintKind::Primary && c.fields == std::slice::from_ref(key));
            let to = if is_primary { to } else { format!("{to}({})", said(key)) };
            let mut command =
                words(["add-foreign-key", &looked.name.reference().to_string(), &said(field), "--references", &to]);
            let mut exceptions = "no exception".to_owned();
            if strangers > 0 {
                exceptions = format!("{strangers} that are not there");
                if !counted.field.not_null {
                    let refer = command.iter().map(|word| shell(word)).collect::<Vec<_>>().join(" ");
                    exceptions += &format!("; without these, `refactor {refer}` is taken");
                    let (here, there) = (looked.name.reference().sql(), far.reference().sql());
                    let update = format!(
                        "UPDATE {here} AS x SET {field} = NULL WHERE x.{field} IS NOT NULL AND NOT EXISTS (SELECT FROM {there} AS y WHERE y.{key} = x.{field})"
                    );
                    command = words(["data", &format!("forget-{}", field.as_str()), &update]);
                }
            }
            let sentence = format!(
                "`{}` has values of `{}` and no foreign key: {} values in {} rows, {exceptions}",
                place(looked.name, field),
                place(far, key),
                counted.values,
                looked.rows
            );
            let fields = vec![field.as_str().to_owned()];
            return Some(Finding { kind: "no-foreign-key", sentence, fields, exceptions: strangers, command });
        }
    }
    None
}

/// A name for a new table that nobody has.
pub fn free(shape: &Shape, beside: &TableName, name: &str) -> TableName {
    let taken =
        |table: &TableName| shape.schema.tables.contains_key(table) || shape.schema.other_names.contains_key(table);
    let first = beside.renamed(Ident::new(name));
    if taken(&first) { beside.renamed(Ident::new(format!("{}_{name}", singular(beside.name.as_str())))) } else { first }
}

/// Few short values in many rows.
fn code(looked: &Looked, counted: &Counted, shape: &Shape) -> Option<Finding> {
    let field = &counted.field.name;
    let name = field.as_str();
    let text = counted.field.type_name == "text" || counted.field.type_name.starts_with("character");
    let says = ["code", "status", "state", "kind", "type", "category", "level"].iter().any(|w| name.contains(w));
    let number = matches!(counted.field.type_name.as_str(), "smallint" | "integer") && says;
    let few = (2..=20).contains(&counted.different) && counted.values >= 3 * counted.different && counted.longest <= 30;
    let flag = counted.different == 2 && counted.longest <= 5 && !says;
    if !(text || number) || !few || flag || looked.is_key(field) {
        return None;
    }
    let stem = name.strip_suffix("_code").or(name.strip_suffix("_id")).unwrap_or(name);
    let into = free(shape, looked.name, &plural(stem));
    let mut command = words(["extract-table", &place(looked.name, field), "--into", &into.reference().to_string()]);
    if name != "name" {
        command.extend(words(["--names", if says { "code" } else { "name" }]));
    }
    let sentence = format!(
        "`{}` is a code that no table lists: {} different values in {} rows, none longer than {}",
        place(looked.name, field),
        counted.different,
        counted.values,
        counted.longest
    );
    Some(Finding { kind: "code-without-lookup", sentence, fields: vec![name.to_owned()], exceptions: 0, command })
}
