//! Rows of several tables shown as one's: the rows, their put-back, and what keeps their keys apart.

use askama::Template;

use crate::generate::carry::{self, trigger};
use crate::generate::view::named;
use crate::generate::{Piece, all, comment, list, own, put};
use crate::name::{Ident, TableName};
use crate::relation::{Relation, Rows};
use crate::schema::Identity;
use crate::sql::{Expression, Literal};
use crate::version::{Branch, Source, Union, Version};

/// The value of a field in the row `row` of a branch.
fn value(union: &Union, branch: &Branch, field: usize, row: &str) -> String {
    match &branch.sources[field] {
        Source::Column(column) => format!("{row}.{column}"),
        Source::Constant(value) => format!("({value})::{}", union.fields[field].1),
    }
}

/// The rows of all branches, one SELECT each.
#[must_use]
pub fn rows(union: &Union) -> String {
    let one = |(i, branch): (usize, &Branch)| {
        let fields = union.fields.iter().enumerate();
        let values = fields.map(|(at, (name, _))| format!("{} AS {name}", value(union, branch, at, "b")));
        let values: Vec<String> = values.collect();
        format!(
            "SELECT\n  {} AS refactor_branch,\n  {},\n  b.ctid AS refactor_token\nFROM {} AS b",
            i + 1,
            values.join(",\n  "),
            branch.table
        )
    };
    union.branches.iter().enumerate().map(one).collect::<Vec<_>>().join("\nUNION ALL\n")
}

struct Generated {
    field: Ident,
    literal: Literal,
    detail: Literal,
    /// The sequence of an identity; what is computed has none.
    sequence: Option<Literal>,
}

struct Route {
    takes: String,
    number: usize,
}

struct Without {
    field: Ident,
    constant: String,
    column: Literal,
    message: Literal,
    hint: Literal,
}

struct Own {
    field: Ident,
    value: String,
}

struct Part {
    number: usize,
    table: TableName,
    this_row: String,
    without: Vec<Without>,
    sets: String,
    columns: String,
    values: String,
    overriding: bool,
    own: Vec<Own>,
}

/// A field that may not be NULL, and a check.
struct Refused {
    field: Ident,
    schema: Literal,
    table: Literal,
    column: Literal,
    constraint: Literal,
    message: Literal,
}

#[derive(Template)]
#[template(path = "united.sql", escape = "none")]
struct United {
    route: TableName,
    route_types: String,
    route_new: String,
    route_old: String,
    routes: Vec<Route>,
    rest: bool,
    put: TableName,
    rights: String,
    owner: String,
    schema: Literal,
    table: Literal,
    branches: Vec<Part>,
    generated: Vec<Generated>,
    required: Vec<Refused>,
    check: Option<Refused>,
    comment: Literal,
    inner: TableName,
    outer: TableName,
}

/// The put-back of a union.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn put_back(
    version: &Version,
    relation: &Relation,
    inner: &TableName,
    outer: &TableName,
    owned: bool,
) -> Result<String, askama::Error> {
    let Rows::United(at) = relation.rows else { return Ok(String::new()) };
    let union = &version.unions[at];
    let read: Vec<&(Ident, String)> = {
        let takes = union.branches.iter().filter_map(|b| b.takes.as_ref());
        let names: Vec<Ident> = takes.flat_map(Expression::fields).collect();
        union.fields.iter().filter(|(name, _)| names.contains(name)).collect()
    };
    let arguments = read.iter().enumerate().map(|(i, (name, _))| (name.clone(), format!("${}", i + 1))).collect();
    let of = |row: &str| list(&read.iter().map(|(name, _)| format!("{row}.{name}")).collect::<Vec<_>>());
    let routes = union
        .branches
        .iter()
        .enumerate()
        .filter_map(|(i, b)| Some(Route { takes: b.takes.as_ref()?.with(&arguments), number: i + 1 }));
    let (schema, table) = (relation.name.schema.as_str(), relation.name.name.as_str());
    let refused = |field: &Ident, constraint: &str, message: String| Refused {
        field: field.clone(),
        schema: Literal(schema.into()),
        table: Literal(table.into()),
        column: Literal(field.as_str().into()),
        constraint: Literal(constraint.into()),
        message: Literal(message),
    };
    let null = |field: &Ident| {
        let name = field.as_str();
        refused(
            field,
            "",
            format!("null value in column \"{name}\" of relation \"{table}\" violates not-null constraint"),
        )
    };
    let check = union.discriminator.as_ref().map(|(field, check)| {
        let name = check.as_str();
        refused(field, name, format!("new row for relation \"{table}\" violates check constraint \"{name}\""))
    });
    let shapes = || relation.fields.iter().map(|f| &f.shape);
    let always = |f: &crate::schema::Field| f.identity == Some(Identity::Always);
    let generated = shapes().filter(|f| f.generated.is_some() || always(f)).map(|f| {
        let what = if always(f) { "an identity column defined as GENERATED ALWAYS" } else { "a generated column" };
        Generated {
            field: f.name.clone(),
            literal: Literal(f.name.as_str().into()),
            detail: Literal(format!("Column \"{}\" is {what}.", f.name.as_str())),
            sequence: f.sequence.as_ref().filter(|_| always(f)).map(|s| Literal(s.to_string())),
        }
    });
    let generated: Vec<Generated> = generated.collect();
    let branches = union.branches.iter().enumerate();
    United {
        route: named(relation, "route"),
        route_types: list(&read.iter().map(|(_, kind)| kind.clone()).collect::<Vec<_>>()),
        route_new: of("NEW"),
        route_old: of("OLD"),
        routes: routes.collect(),
        rest: union.discriminator.is_none(),
        put: named(relation, "put"),
        rights: if owned { put::owners_rights(version, relation) } else { String::new() },
        owner: if owned { carry::owner(version, &relation.base).to_string() } else { String::new() },
        schema: Literal(schema.into()),
        table: Literal(table.into()),
        branches: branches.map(|(i, b)| part(version, union, b, i + 1, &generated)).collect(),
        required: union.discriminator.iter().map(|(field, _)| null(field)).collect(),
        check,
        comment: comment(&format!("put-back of {} after {}", relation.name.short(), relation.touched_by.join(", "))),
        inner: inner.clone(),
        outer: outer.clone(),
        generated,
    }
    .render()
}

fn part(version: &Version, union: &Union, branch: &Branch, number: usize, generated: &[Generated]) -> Part {
    let fields = &version.schema.tables[&branch.table].fields;
    let (mut without, mut sets, mut columns, mut values, mut own) = (vec![], vec![], vec![], vec![], vec![]);
    let mut overriding = false;
    for (at, (name, _)) in union.fields.iter().enumerate() {
        let row = format!("r{number}");
        own.push(Own { field: name.clone(), value: value(union, branch, at, &row) });
        if let Some(g) = generated.iter().find(|g| g.field == *name) {
            // One sequence numbers the rows of all tables, and a row that moves keeps its number.
            if let (Some(sequence), Some(column)) = (&g.sequence, branch.column(at)) {
                overriding = true;
                columns.push(column.clone());
                values
                    .push(format!("CASE WHEN TG_OP = 'INSERT' THEN nextval({sequence}::regclass) ELSE NEW.{name} END"));
            }
            continue;
        }
        let tells = union.discriminator.as_ref().is_some_and(|(field, _)| field == name);
        if let Some(column) = branch.column(at) {
            overriding |= fields.iter().any(|f| f.name == *column && f.identity.is_some());
            sets.push(format!("{column} = NEW.{name}"));
            columns.push(column.clone());
            values.push(format!("NEW.{name}"));
        } else if !tells {
            let table = branch.table.name.as_str();
            without.push(Without {
                field: name.clone(),
                constant: value(union, branch, at, ""),
                column: Literal(name.as_str().into()),
                message: Literal(format!("a row of \"{table}\" has no place for \"{}\" yet", name.as_str())),
                hint: Literal(format!("It has when {} is materialized.", union.step)),
            });
        }
    }
    let key = |column: &Ident| {
        let shown = (0..union.fields.len()).find(|at| branch.column(*at) == Some(column));
        let field = shown.map_or_else(|| column.clone(), |at| union.fields[at].0.clone());
        format!("b.{column} = OLD.{field}")
    };
    Part {
        number,
        table: branch.table.clone(),
        this_row: all(&branch.key.iter().map(key).collect::<Vec<_>>()),
        without,
        sets: sets.join(", "),
        columns: list(&columns),
        values: values.join(", "),
        overriding,
        own,
    }
}

struct Key {
    present: String,
    lock: String,
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
}

/// The triggers that keep keys unique over all branches, whoever writes.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn guard(version: &Version, at: usize) -> Result<Vec<Piece>, askama::Error> {
    let union = &version.unions[at];
    let shown = version.relations.values().find(|r| r.rows == Rows::United(at));
    let name = shown.map_or_else(|| union.branches[0].table.clone(), |r| r.name.clone());
    let tables: Vec<&TableName> = union.branches.iter().map(|b| &b.table).collect();
    let mut pieces = Vec::new();
    for (i, branch) in union.branches.iter().enumerate() {
        let keyed: Vec<(Vec<Ident>, Key)> =
            union.keys.iter().filter_map(|key| one_key(version, union, i, key)).collect();
        if keyed.is_empty() {
            continue;
        }
        let mut columns: Vec<Ident> = keyed.iter().flat_map(|(columns, _)| columns.clone()).collect();
        columns.sort();
        columns.dedup();
        let id = Ident::generated(&[union.id.as_str(), &(i + 1).to_string()]);
        let sql = Guard {
            function: own(&["unique", id.as_str()]),
            path: format!("pg_catalog, {}, pg_temp", branch.table.schema),
            keys: keyed.into_iter().map(|(_, key)| key).collect(),
            schema: Literal(name.schema.as_str().into()),
            table: Literal(name.name.as_str().into()),
            hint: Literal(format!("Refactoring {} makes one table of several.", union.step)),
            comment: comment(&union.step),
            on: branch.table.clone(),
            trigger_insert: trigger("insert", &id),
            trigger_update: trigger("updated", &id),
            changed: carry::changed(&columns),
        }
        .render()?;
        let sql = carry::guarded(version, &sql, &tables, &[], &union.branches[0].table);
        let title = format!("guard of the keys of `{}` ({})", branch.table.short(), union.step);
        pieces.push(Piece { title, sql });
    }
    Ok(pieces)
}

/// A key as one branch must look for it in the others, with its columns; none if the branch or no other has it.
fn one_key(
    version: &Version,
    union: &Union,
    at: usize,
    (name, fields): &(Ident, Vec<Ident>),
) -> Option<(Vec<Ident>, Key)> {
    let places: Vec<usize> = fields.iter().filter_map(|f| union.fields.iter().position(|(n, _)| n == f)).collect();
    let columns_of =
        |branch: &Branch| -> Option<Vec<Ident>> { places.iter().map(|place| branch.column(*place).cloned()).collect() };
    let columns = columns_of(&union.branches[at])?;
    let others = union.branches.iter().enumerate().filter(|(i, _)| *i != at);
    let mut elsewhere: Vec<String> = others
        .filter_map(|(_, other)| {
            let theirs = columns_of(other)?;
            Some(format!(
                "EXISTS (SELECT FROM {} AS b WHERE {})",
                other.table,
                crate::generate::equal("b", &theirs, "NEW", &columns)
            ))
        })
        .collect();
    let own = &union.branches[at].table;
    let unique = |i: &crate::schema::Index| {
        i.unique && !i.partial && i.keys.iter().all(|k| k.as_ref().is_some_and(|k| columns.contains(k)))
    };
    if !version.schema.tables[own].indexes.iter().any(unique) {
        let same = crate::generate::equal("b", &columns, "NEW", &columns);
        elsewhere.push(format!("(SELECT count(*) FROM {own} AS b WHERE {same}) > 1"));
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
        lock: format!("{id}, {}", list(&texts)),
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
    let keys = |columns: &[Ident]| match columns {
        [one] => format!("b.{one}::text"),
        many => format!("concat_ws(', ', {})", list(&many.iter().map(|c| format!("b.{c}::text")).collect::<Vec<_>>())),
    };
    let present = |columns: &[Ident]| all(&columns.iter().map(|c| format!("b.{c} IS NOT NULL")).collect::<Vec<_>>());
    let selects: Vec<String> = branches
        .iter()
        .map(|(table, columns)| {
            let fields: Vec<String> = columns.iter().enumerate().map(|(i, c)| format!("b.{c} AS k{i}")).collect();
            format!("SELECT {} AS key, {} FROM {table} AS b WHERE {}", keys(columns), list(&fields), present(columns))
        })
        .collect();
    let group = (0..branches.first().map_or(0, |b| b.1.len())).map(|i| format!("k{i}")).collect::<Vec<_>>();
    format!(
        "SELECT min(key) FROM (\n{}) AS u GROUP BY {} HAVING count(*) > 1",
        selects.join("\nUNION ALL "),
        list(&group)
    )
}
