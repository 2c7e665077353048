//! Rows of several tables shown as one's: the rows, their put-back, and what keeps their keys apart.

use std::collections::BTreeMap;

use askama::Template;

use crate::generate::place::Place;
use crate::generate::put::{Frame, Generated, goes_on};
use crate::generate::view::named;
use crate::generate::{all, carry, get, is, list, mark, numbering};
use crate::name::{Ident, TableName};
use crate::relation::{Relation, Rows};
use crate::schema::{Constraint, ConstraintKind, ForeignKey, Identity};
use crate::sql::{Expression, Literal};
use crate::version::{Branch, Source, Union, Version};

/// The value of a field in the row `row` of a branch.
fn value(version: &Version, union: &Union, branch: &Branch, field: usize, row: &str) -> String {
    match &branch.sources[field] {
        Source::Column(column) => format!("{row}.{column}"),
        Source::Constant(value) => format!("({value})::{}", union.fields[field].1),
        Source::Added(at) => get::added(&version.added[*at], row),
        Source::Numbered(at) => numbering::get(&version.numberings[*at], row),
    }
}

/// The rows of a branch as `b`, and the value of each field.
#[must_use]
pub fn read(version: &Version, union: &Union, branch: &Branch) -> (String, Vec<String>) {
    let mut from = format!("{} AS b", branch.table);
    let mut values = Vec::new();
    for at in 0..union.fields.len() {
        // Joined, so that a row is found by its new number through an index.
        values.push(match branch.numbering(at) {
            Some(numbering) => {
                from += &numbering::join(&version.numberings[numbering], "n");
                format!("n.{}", numbering::value())
            }
            None => value(version, union, branch, at, "b"),
        });
    }
    (from, values)
}

/// Whether rows have other numbers than in their tables.
fn is_numbered(union: &Union) -> bool {
    union.branches.iter().flat_map(|b| &b.sources).any(|s| matches!(s, Source::Numbered(_)))
}

/// The rows of all branches, one SELECT each.
#[must_use]
pub fn rows(version: &Version, union: &Union) -> String {
    let one = |(i, branch): (usize, &Branch)| {
        let (from, values) = read(version, union, branch);
        let mut columns = vec![format!("{} AS refactor_branch", i + 1)];
        columns.extend(union.fields.iter().zip(values).map(|((name, _), value)| format!("{value} AS {name}")));
        if is_numbered(union) {
            columns.push(format!("b.{} AS refactor_own", branch.key[0]));
        }
        columns.push("b.ctid AS refactor_token".to_owned());
        format!("SELECT\n  {}\nFROM {from}", columns.join(",\n  "))
    };
    union.branches.iter().enumerate().map(one).collect::<Vec<_>>().join("\nUNION ALL\n")
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

/// A value that the complement keeps, if it is not what the row shows without.
struct Kept {
    field: Ident,
    shown: String,
    keep: String,
}

/// A number that rows of a branch get anew.
struct Numbered {
    field: Ident,
    setting: Literal,
    given: String,
    kept: TableName,
    this_row: String,
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
    kept: Vec<Kept>,
    own: Vec<Own>,
    numbered: Option<Numbered>,
    referred: Vec<Referred>,
    /// What says that a row is not deleted by old code, and no new one.
    quiet: Option<Quiet>,
    /// Where the row is if it was marked or not meanwhile: the other table, and what tells the row there.
    moved: Option<(TableName, String)>,
}

/// The setting, and whether an update changes what is unique.
struct Quiet {
    setting: Literal,
    other_keys: String,
}

/// A foreign key that refers to a branch, and would act if a row left it.
struct Referred {
    table: TableName,
    refers: String,
    message: Literal,
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
    quiet: bool,
    route: TableName,
    route_types: String,
    route_new: String,
    route_old: String,
    routes: Vec<Route>,
    rest: bool,
    frame: Frame,
    schema: Literal,
    table: Literal,
    branches: Vec<Part>,
    generated: Vec<Generated>,
    required: Vec<Refused>,
    check: Option<Refused>,
    real: Literal,
    goes_on: String,
}

/// The put-back of a union.
///
/// # Errors
/// Only if a template cannot be rendered.
pub(super) fn put_back(version: &Version, relation: &Relation, frame: Frame) -> Result<String, askama::Error> {
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
    let generated: Vec<Generated> = Generated::of(relation).collect();
    let filled: BTreeMap<&Ident, Option<Literal>> = relation
        .fields
        .iter()
        .map(|f| &f.shape)
        .filter(|f| f.generated.is_some() || f.identity == Some(Identity::Always))
        .map(|f| (&f.name, f.sequence.as_ref().filter(|_| f.generated.is_none()).map(|s| Literal(s.to_string()))))
        .collect();
    let numbered = |at: &usize| union.branches.iter().any(|b| b.numbering(*at).is_some());
    let numbers = (0..union.fields.len()).filter(numbered).map(|at| &union.fields[at].0);
    let numbers = numbers.filter(|name| !filled.contains_key(*name));
    // What only some tables have a place for, none of them may refuse.
    let nowhere = |at: &usize| union.branches.iter().any(|b| matches!(b.sources[*at], Source::Constant(_)));
    let shown = |at: &usize| relation.field(&union.fields[*at].0).is_some_and(|f| f.shape.not_null);
    let placeless = (0..union.fields.len()).filter(|at| nowhere(at) && shown(at)).map(|at| &union.fields[at].0);
    let branches = union.branches.iter().enumerate();
    let mut branches: Vec<Part> = branches.map(|(i, b)| part(version, union, b, i + 1, &filled)).collect();
    if let ([live, marked], Some(_)) = (&mut branches[..], &union.mark) {
        live.moved = Some((marked.table.clone(), marked.this_row.clone()));
        marked.moved = Some((live.table.clone(), live.this_row.clone()));
        let quiet = || Some(Quiet { setting: mark::setting(at), other_keys: other_keys(union) });
        (live.quiet, marked.quiet) = (quiet(), quiet());
    }
    United {
        quiet: union.mark.is_some(),
        route: named(relation, "route"),
        route_types: list(&read.iter().map(|(_, kind)| kind.clone()).collect::<Vec<_>>()),
        route_new: of("NEW"),
        route_old: of("OLD"),
        routes: routes.collect(),
        rest: union.discriminator.is_none(),
        frame,
        schema: Literal(schema.into()),
        table: Literal(table.into()),
        branches,
        required: numbers.chain(placeless).map(null).collect(),
        check,
        real: Literal(format!("It can when {} is materialized.", union.step)),
        goes_on: goes_on(version, relation),
        generated,
    }
    .render()
}

/// Whether a row gets other keys.
fn other_keys(union: &Union) -> String {
    let mut fields: Vec<Ident> = union.keys.iter().flat_map(|(_, fields)| fields.clone()).collect();
    fields.sort();
    fields.dedup();
    carry::changed(&fields)
}

fn part(
    version: &Version,
    union: &Union,
    branch: &Branch,
    number: usize,
    filled: &BTreeMap<&Ident, Option<Literal>>,
) -> Part {
    let fields = &version.schema.tables[&branch.table].fields;
    let (mut without, mut sets, mut columns, mut values, mut own) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut kept, mut overriding, mut numbered) = (vec![], false, None);
    for (at, (name, _)) in union.fields.iter().enumerate() {
        let row = format!("r{number}");
        if let Some(numbering) = branch.numbering(at) {
            let sequence = filled.get(name).and_then(Option::as_ref);
            let drawn = sequence.map(|s| {
                format!("CASE WHEN TG_OP = 'INSERT' THEN pg_catalog.nextval({s}::regclass) ELSE NEW.{name} END")
            });
            let kept = &version.numberings[numbering];
            numbered = Some(Numbered {
                field: name.clone(),
                setting: Literal(numbering::setting(numbering)),
                given: drawn.unwrap_or_else(|| format!("NEW.{name}")),
                kept: kept.kept(),
                this_row: numbering::this_row(kept, "x", &row),
            });
            own.push(Own { field: name.clone(), value: value(version, union, branch, at, &row) });
            overriding |= fields.iter().any(|f| kept.key.contains(&f.name) && f.identity.is_some());
            columns.extend(kept.key.iter().cloned());
            values.push(format!("{}()", numbering::fresh(kept)));
            continue;
        }
        if let Source::Added(added) = branch.sources[at] {
            let added = &version.added[added];
            kept.push(Kept {
                keep: Place::of_added(added).keep(&row, &[format!("NEW.{name}")]),
                field: name.clone(),
                shown: get::added(added, &row),
            });
            continue;
        }
        own.push(Own { field: name.clone(), value: value(version, union, branch, at, &row) });
        if let Some(sequence) = filled.get(name) {
            // One sequence numbers the rows of all tables, and a row that moves keeps its number.
            if let (Some(sequence), Some(column)) = (sequence, branch.column(at)) {
                overriding = true;
                columns.push(column.clone());
                values.push(format!(
                    "CASE WHEN TG_OP = 'INSERT' THEN pg_catalog.nextval({sequence}::regclass) ELSE NEW.{name} END"
                ));
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
                constant: value(version, union, branch, at, ""),
                column: Literal(name.as_str().into()),
                message: Literal(format!("a row of \"{table}\" has no place for \"{}\" yet", name.as_str())),
                hint: Literal(format!("It has when {} is materialized.", union.step)),
            });
        }
    }
    let key = |column: &Ident| {
        if numbered.is_some() {
            return is("b", column, "OLD.refactor_own");
        }
        let shown = (0..union.fields.len()).find(|at| branch.column(*at) == Some(column));
        let field = shown.map_or_else(|| column.clone(), |at| union.fields[at].0.clone());
        is("b", column, &format!("OLD.{field}"))
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
        kept,
        own,
        referred: referred(version, union, branch),
        quiet: None,
        moved: None,
        numbered,
    }
}

/// What refers to the rows of a branch. Where such a row leaves its table, the foreign key would do what it does for rows
/// that are deleted.
fn referred(version: &Version, union: &Union, branch: &Branch) -> Vec<Referred> {
    let inbound = version.schema.tables.iter().flat_map(|(name, table)| {
        table.constraints.iter().filter_map(move |c| match &c.kind {
            ConstraintKind::Foreign(key) if key.table == branch.table && !c.inherited => Some((name, c, key)),
            _ => None,
        })
    });
    let one = |(name, constraint, key): (&TableName, &Constraint, &ForeignKey)| {
        let each = constraint.fields.iter().zip(&key.fields).map(|(own, far)| {
            let shown = (0..union.fields.len()).find(|at| branch.column(*at) == Some(far));
            let field = shown.map_or_else(|| far.clone(), |at| union.fields[at].0.clone());
            is("c", own, &format!("OLD.{field}"))
        });
        let (row, table) = (branch.table.name.as_str(), name.name.as_str());
        Referred {
            table: name.clone(),
            refers: all(&each.collect::<Vec<_>>()),
            message: Literal(format!("a row of \"{row}\" that \"{table}\" refers to cannot leave it yet")),
        }
    };
    inbound.map(one).collect()
}
