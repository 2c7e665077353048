//! Keys that rows of several tables have together, or that they get anew: the triggers that keep them apart, whoever writes.

use askama::Template;

use crate::generate::carry::{self, trigger};
use crate::generate::fact::key_text;
use crate::generate::{Piece, all, comment, each_of, list, mark, numbering, own};
use crate::name::{Ident, TableName};
use crate::relation::{Home, Relation, Rows};
use crate::sql::Literal;
use crate::version::{Branch, Source, Union, Version};

/// How a key is locked: for whoever writes the same.
const EACH: &str = "Whoever writes one waits for others who write the same.";
/// How keys are locked where few rows are written that were in neither table before.
const MARKING: &str = "A new row with a mark waits for all who write one without; any other had its key before.";

struct Key {
    present: String,
    lock: String,
    left: String,
    elsewhere: String,
    constraint: Literal,
    message: Literal,
    detail: Literal,
    values: String,
}

#[derive(Template)]
#[template(path = "united_guard.sql", escape = "none")]
struct Guard {
    function: TableName,
    path: String,
    keys: Vec<Key>,
    schema: Literal,
    table: Literal,
    hint: Literal,
    comment: Literal,
    on: TableName,
    trigger_insert: Ident,
    trigger_update: Ident,
    changed: String,
    early: bool,
    waits: &'static str,
}

fn lock(key: &str) -> String {
    format!(
        "PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(pg_catalog.concat_ws(',', {key}), 0))"
    )
}

/// The triggers that keep keys unique over all branches, whoever writes.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn guard(version: &Version, at: usize) -> Result<Vec<Piece>, askama::Error> {
    let union = &version.unions[at];
    let shown = version.all().find(|r| r.rows == Rows::United(at));
    let name = shown.map_or_else(|| union.branches[0].table.clone(), |r| r.name.clone());
    let tables: Vec<&TableName> = union.branches.iter().map(|b| &b.table).collect();
    let mut pieces = Vec::new();
    for (i, branch) in union.branches.iter().enumerate() {
        let numbers = branch.sources.iter().filter_map(|s| match s {
            Source::Numbered(at) => Some(version.numberings[*at].kept()),
            _ => None,
        });
        for (on, early) in numbers.map(|kept| (kept, true)).chain([(branch.table.clone(), false)]) {
            let keyed: Vec<(Vec<Ident>, Key)> =
                union.keys.iter().filter_map(|key| one_key(version, union, (i, &on), key)).collect();
            if keyed.is_empty() {
                continue;
            }
            let mut columns: Vec<Ident> = keyed.iter().flat_map(|(columns, _)| columns.clone()).collect();
            columns.sort();
            columns.dedup();
            let what = if early { "numbers" } else { "" };
            let parts = [union.id.as_str(), &(i + 1).to_string(), what];
            let id = Ident::generated(&parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>());
            let sql = Guard {
                function: own(&["unique", id.as_str()]),
                path: format!("pg_catalog, {}, pg_temp", branch.table.schema),
                keys: keyed.into_iter().map(|(_, key)| key).collect(),
                schema: Literal(name.schema.as_str().into()),
                table: Literal(name.name.as_str().into()),
                hint: Literal(match union.mark {
                    Some(_) => format!("Refactoring {} keeps deleted rows, and they hold their keys.", union.step),
                    None => format!("Refactoring {} makes one table of several.", union.step),
                }),
                comment: comment(&union.step),
                trigger_insert: trigger("insert", &id),
                trigger_update: trigger("updated", &id),
                changed: carry::changed(&columns),
                on,
                early,
                waits: if union.mark.is_some() { MARKING } else { EACH },
            }
            .render()?;
            let sql = carry::guarded(version, &sql, &tables);
            let what = if early { "new numbers" } else { "keys" };
            let title = format!("guard of the {what} of `{}` ({})", branch.table.short(), union.step);
            pieces.push(Piece::new(title, sql));
        }
    }
    Ok(pieces)
}

/// The trigger that names the key which new numbers are: it tells apart the rows of a table that is not there yet.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn guard_of_numbers(version: &Version, relation: &Relation) -> Result<Vec<Piece>, askama::Error> {
    let mut pieces = Vec::new();
    for field in &relation.fields {
        let Home::Numbered(at) = field.home else { continue };
        let numbering = &version.numberings[at];
        let (name, column) = (&field.shape.name, numbering::value());
        let keys = relation.indexes.iter().map(|i| &i.item).filter(|i| i.unique && i.keys == [Some(name.clone())]);
        let id = Ident::generated(&[numbering.id.as_str(), "numbers"]);
        let one = |constraint: &Ident| Key {
            present: format!("NEW.{column} IS NOT NULL"),
            lock: lock(&format!("{}, NEW.{column}::text", Literal(numbering.id.as_str().into()))),
            left: numbering::leave(numbering),
            elsewhere: format!("EXISTS (SELECT FROM {} AS b WHERE b.{column} = NEW.{column})", numbering.kept()),
            constraint: Literal(constraint.as_str().into()),
            message: Literal(format!("duplicate key value violates unique constraint \"{}\"", constraint.as_str())),
            detail: Literal(format!("Key ({})=(%s) already exists.", name.as_str().replace('%', "%%"))),
            values: format!("NEW.{column}"),
        };
        let sql = Guard {
            function: own(&["unique", id.as_str()]),
            path: format!("pg_catalog, {}, pg_temp", numbering.table.schema),
            keys: keys.map(|i| one(&i.name)).collect(),
            schema: Literal(relation.name.schema.as_str().into()),
            table: Literal(relation.name.name.as_str().into()),
            hint: Literal(format!("Refactoring {} gives these rows numbers of their own.", numbering.step)),
            comment: comment(&numbering.step),
            on: numbering.kept(),
            waits: EACH,
            trigger_insert: trigger("insert", &id),
            trigger_update: trigger("updated", &id),
            changed: carry::changed(std::slice::from_ref(&column)),
            early: true,
        }
        .render()?;
        let sql = carry::guarded(version, &sql, &[&numbering.table]);
        let title = format!("guard of the new numbers of `{}` ({})", relation.name.short(), numbering.step);
        pieces.push(Piece::new(title, sql));
    }
    Ok(pieces)
}

/// Where a branch has the values of some fields: a table and its columns.
fn place(version: &Version, union: &Union, branch: &Branch, fields: &[Ident]) -> Option<(TableName, Vec<Ident>)> {
    let places: Vec<usize> = fields.iter().filter_map(|f| union.fields.iter().position(|(n, _)| n == f)).collect();
    if let [one] = places[..]
        && let Some(at) = branch.numbering(one)
    {
        return Some((version.numberings[at].kept(), vec![numbering::value()]));
    }
    Some((branch.table.clone(), places.iter().map(|place| branch.column(*place).cloned()).collect::<Option<_>>()?))
}

/// A key as whoever writes it to the place `on` of one branch must look for it elsewhere, with its columns; none if it is
/// not there, or nowhere else.
fn one_key(
    version: &Version,
    union: &Union,
    (at, on): (usize, &TableName),
    (name, fields): &(Ident, Vec<Ident>),
) -> Option<(Vec<Ident>, Key)> {
    let (own, columns) = place(version, union, &union.branches[at], fields).filter(|(table, _)| table == on)?;
    let others = union.branches.iter().enumerate().filter(|(i, _)| *i != at);
    let mut elsewhere: Vec<String> = others
        .filter_map(|(_, other)| {
            let (table, theirs) = place(version, union, other, fields)?;
            Some(format!(
                "EXISTS (SELECT FROM {table} AS b WHERE {})",
                crate::generate::equal("b", &theirs, "NEW", &columns)
            ))
        })
        .collect();
    let same = crate::generate::equal("b", &columns, "NEW", &columns);
    let unique = |i: &crate::schema::Index| {
        i.unique && !i.partial && i.keys.iter().all(|k| k.as_ref().is_some_and(|k| columns.contains(k)))
    };
    match version.schema.tables.get(&own) {
        Some(table) if own == union.branches[at].table => {
            if !table.indexes.iter().any(unique) {
                elsewhere.push(format!("(SELECT pg_catalog.count(*) FROM {own} AS b WHERE {same}) > 1"));
            }
        }
        // The key of new numbers has a name of its own, so it is asked before.
        _ => elsewhere.push(format!("EXISTS (SELECT FROM {own} AS b WHERE {same})")),
    }
    if elsewhere.is_empty() {
        return None;
    }
    let new: Vec<String> = columns.iter().map(|c| format!("NEW.{c}")).collect();
    let id = Literal(format!("{} {}", union.id.as_str(), name.as_str()));
    let texts: Vec<String> = new.iter().map(|n| format!("{n}::text")).collect();
    let names: Vec<&str> = fields.iter().map(Ident::as_str).collect();
    let holes = vec!["%s"; new.len()].join(", ");
    let key = Key {
        present: all(&new.iter().map(|n| format!("{n} IS NOT NULL")).collect::<Vec<_>>()),
        lock: match union.mark {
            None => lock(&format!("{id}, {}", list(&texts))),
            Some(_) => mark::lock(version, union, at),
        },
        left: version.numberings.iter().find(|n| n.kept() == own).map(numbering::leave).unwrap_or_default(),
        elsewhere: elsewhere.join(" OR "),
        constraint: Literal(name.as_str().into()),
        message: Literal(format!("duplicate key value violates unique constraint \"{}\"", name.as_str())),
        detail: Literal(format!("Key ({})=({holes}) already exists.", names.join(", ").replace('%', "%%"))),
        values: list(&new),
    };
    Some((columns, key))
}

/// Rows of different branches that have one key, as pairs of branches: for facts.
#[must_use]
pub fn twice(branches: &[(TableName, Vec<Ident>)]) -> String {
    let present = |columns: &[Ident]| all(&columns.iter().map(|c| format!("b.{c} IS NOT NULL")).collect::<Vec<_>>());
    let selects: Vec<String> = branches
        .iter()
        .map(|(table, columns)| {
            let fields: Vec<String> = columns.iter().enumerate().map(|(i, c)| format!("b.{c} AS k{i}")).collect();
            format!(
                "SELECT {} AS key, {} FROM {table} AS b WHERE {}",
                key_text(&each_of("b", columns)),
                list(&fields),
                present(columns)
            )
        })
        .collect();
    let group = (0..branches.first().map_or(0, |b| b.1.len())).map(|i| format!("k{i}")).collect::<Vec<_>>();
    format!(
        "SELECT min(key) FROM (\n{}) AS u GROUP BY {} HAVING count(*) > 1",
        selects.join("\nUNION ALL "),
        list(&group)
    )
}
