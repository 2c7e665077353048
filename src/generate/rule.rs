//! Rules that a refactoring brings: what a put-back refuses in their name, and the functions that look at other rows.
//!
//! Every rule is the same to a put-back, wherever the values live: it sees the new row as the view shows it.

use std::collections::BTreeMap;

use askama::Template;

use crate::generate::carry::{guarded, path_over};
use crate::generate::excluded;
use crate::generate::fact::key_text;
use crate::generate::place::{Needed, Place};
use crate::generate::rights::Needs;
use crate::generate::taken::{self, Taken};
use crate::generate::{Piece, all, comment, each_of, get, given, is, list, null, of, own, rights, rows};
use crate::name::{Ident, TableName};
use crate::relation::{Attached, Field, Home, Relation, Rows, checked, row_key};
use crate::schema::{Constraint, ConstraintKind, ForeignKey, Identity};
use crate::sql::Literal;
use crate::version::{Version, numbered};

/// A rule as a put-back asks it.
pub struct Rule {
    /// The condition under which an inserted row breaks it.
    pub on_insert: String,
    /// The same for an updated row.
    pub on_update: String,
    /// SQLSTATE.
    pub code: &'static str,
    /// Where the row is.
    pub schema: Literal,
    /// The same.
    pub table: Literal,
    /// `COLUMN` or `CONSTRAINT`.
    pub what: &'static str,
    /// Its name.
    pub name: Literal,
    /// As a table would say it.
    pub message: Literal,
    /// The same: an expression.
    pub detail: Option<String>,
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, schema, table, what, name, message, .. } = self;
        let detail = self.detail.as_ref().map(|d| format!(",\n      DETAIL = {d}")).unwrap_or_default();
        write!(
            f,
            "RAISE EXCEPTION USING ERRCODE = '{code}', SCHEMA = {schema}, TABLE = {table}, {what} = {name},\n      MESSAGE = {message}{detail};"
        )
    }
}

/// Fields from elsewhere that may not be NULL, and checks of fields that others tell: looked at before they are brought
/// where they live.
#[must_use]
pub fn early(version: &Version, relation: &Relation) -> Vec<Rule> {
    let drawn = |f: &&Field| matches!(f.home, Home::Numbered(_)) && f.shape.identity == Some(Identity::Always);
    let required = required(relation).filter(|f| !is_in_row(f) && !drawn(f)).map(|f| not_null(version, relation, f));
    let checks = relation.rules().filter(|c| is_told(relation, c)).filter_map(|c| check(relation, c));
    required.chain(checks).collect()
}

/// Whether a rule is about nothing but fields that others of their row tell.
fn is_told(relation: &Relation, rule: &Attached<Constraint>) -> bool {
    let told = |f: &Ident| relation.field(f).is_some_and(|f| matches!(f.home, Home::Shaped(..)));
    rule.item.fields.iter().all(told)
}

/// The other rules of a relation that no table keeps yet, for the row as the table has stored it.
#[must_use]
pub fn rules(version: &Version, relation: &Relation) -> Vec<Rule> {
    let own = required(relation).filter(|f| is_in_row(f));
    let mut rules: Vec<Rule> = own.map(|f| not_null(version, relation, f)).collect();
    let new = || relation.rules();
    rules.extend(new().filter(|c| !is_told(relation, c)).filter_map(|c| check(relation, c)));
    rules.extend(new().filter_map(|c| taken::unique(version, relation, c)));
    rules.extend(new().filter_map(|c| excluded::clashes(version, relation, c)));
    rules.extend(new().filter_map(|c| match &c.item.kind {
        ConstraintKind::Foreign(key) => Some(reference(version, relation, c, key, &function("refers", c))),
        _ => None,
    }));
    rules.extend(
        kept_by_more(version, relation)
            .map(|(c, key, step)| reference(version, relation, c, key, &function_of_more(relation, c, step))),
    );
    rules
}

/// Foreign keys that the table keeps, to rows of which new code must not refer to all.
fn kept_by_more<'v>(
    version: &'v Version,
    relation: &'v Relation,
) -> impl Iterator<Item = (&'v Attached<Constraint>, &'v ForeignKey, &'v str)> {
    version.keys_to_some_rows(relation).filter(|(c, ..)| c.brought_by().is_none())
}

/// The name of the function that asks one of these.
fn function_of_more(relation: &Relation, constraint: &Attached<Constraint>, step: &str) -> TableName {
    let of = if relation.is_heir() { &relation.base } else { &relation.name };
    own(&["refers", numbered(step), of.schema.as_str(), of.name.as_str(), constraint.item.name.as_str()])
}

/// Whether the row as it is stored has the value, or what it is calculated from.
fn is_in_row(field: &Field) -> bool {
    matches!(field.home, Home::Own(_) | Home::Calculated(_))
}

/// Whether the view has rules that no table keeps yet.
#[must_use]
pub fn any(version: &Version, relation: &Relation) -> bool {
    required(relation).next().is_some() || !rules(version, relation).is_empty()
}

/// Fields that may not be NULL, which no column of the base sees to.
fn required(relation: &Relation) -> impl Iterator<Item = &Field> {
    let demanded = |f: &Field| {
        let fields = std::slice::from_ref(&f.shape.name);
        relation.rules().any(|r| r.item.kind == ConstraintKind::NotNull && r.item.fields == fields)
    };
    relation.fields.iter().filter(move |f| match f.home {
        // A part may need a value that its whole does not.
        Home::Own(_) if matches!(relation.rows, Rows::Slice(_)) => f.shape.not_null,
        Home::Own(_) | Home::Calculated(_) => demanded(f),
        _ => f.shape.not_null || demanded(f),
    })
}

/// A rule without its conditions.
pub(super) fn rule(
    relation: &Relation,
    code: &'static str,
    (what, name): (&'static str, &Ident),
    message: String,
) -> Rule {
    Rule {
        on_insert: String::new(),
        on_update: String::new(),
        code,
        schema: Literal(relation.name.schema.as_str().into()),
        table: Literal(relation.name.name.as_str().into()),
        what,
        name: Literal(name.as_str().into()),
        message: Literal(message),
        detail: None,
    }
}

/// That a field has no value, without its conditions.
pub(super) fn missing(relation: &Relation, field: &Ident) -> Rule {
    let table = relation.name.name.as_str();
    let message =
        format!("null value in column \"{}\" of relation \"{table}\" violates not-null constraint", field.as_str());
    rule(relation, "23502", ("COLUMN", field), message)
}

/// That a key is there already, without its conditions.
pub(super) fn duplicate(relation: &Relation, constraint: &Ident) -> Rule {
    let message = format!("duplicate key value violates unique constraint \"{}\"", constraint.as_str());
    rule(relation, "23505", ("CONSTRAINT", constraint), message)
}

/// That a row refers to none, without its conditions.
pub(super) fn dangling(relation: &Relation, constraint: &Ident) -> Rule {
    let message = format!(
        "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
        relation.name.name.as_str(),
        constraint.as_str()
    );
    rule(relation, "23503", ("CONSTRAINT", constraint), message)
}

fn not_null(version: &Version, relation: &Relation, field: &Field) -> Rule {
    let name = &field.shape.name;
    let kind = version.schema.kind(&field.shape);
    let null = null(&format!("NEW.{name}"), kind);
    // A row of old code may wait for a value from elsewhere; until somebody gives it one, its other fields can be written.
    let waits = relation.demand(name).is_none() && !is_in_row(field);
    let on_update = if waits { format!("{null} AND {}", given(&format!("OLD.{name}"), kind)) } else { null.clone() };
    Rule { on_insert: null, on_update, ..missing(relation, name) }
}

fn check(relation: &Relation, constraint: &Attached<Constraint>) -> Option<Rule> {
    let item = &constraint.item;
    checked(item).filter(|_| item.kind == ConstraintKind::Check)?;
    let message = format!(
        "new row for relation \"{}\" violates check constraint \"{}\"",
        relation.name.name.as_str(),
        item.name.as_str()
    );
    let broken = format!("NOT {}({})", function("check", constraint), of("NEW", &item.fields));
    let rule = rule(relation, "23514", ("CONSTRAINT", &item.name), message);
    Some(Rule { on_insert: broken.clone(), on_update: broken, ..rule })
}

fn reference(
    version: &Version,
    relation: &Relation,
    constraint: &Attached<Constraint>,
    key: &ForeignKey,
    function: &TableName,
) -> Rule {
    let item = &constraint.item;
    let far = version.over(&key.table).map_or(&key.table, |r| &r.name).name.as_str();
    let bare: Vec<&str> = item.fields.iter().map(Ident::as_str).collect();
    let ending = format!("is not present in table \"{}\".", far.replace('%', "%%"));
    Rule {
        detail: Some(detail(&each_of("NEW", &item.fields), &bare.join(", "), &ending)),
        ..when_given(
            dangling(relation, &item.name),
            (&item.fields, &item.fields),
            &format!("NOT {function}({})", of("NEW", &item.fields)),
        )
    }
}

/// A rule about keys: not asked where one of `given` is NULL, nor where all fields stay as they are.
pub(super) fn when_given(rule: Rule, (given, fields): (&[Ident], &[Ident]), broken: &str) -> Rule {
    let given: Vec<String> = given.iter().map(|f| format!("NEW.{f} IS NOT NULL")).collect();
    let changed = format!("pg_catalog.record_image_ne(ROW({}), ROW({}))", of("NEW", fields), of("OLD", fields));
    // CASE, since the order in which AND looks is not fixed.
    let asked = |when: &str| format!("(CASE WHEN {when} THEN {broken} ELSE false END)");
    let on_update = all(&given.iter().cloned().chain([changed]).collect::<Vec<_>>());
    let on_insert = if given.is_empty() { broken.to_owned() } else { asked(&all(&given)) };
    Rule { on_insert, on_update: asked(&on_update), ..rule }
}

/// `Key (a, b)=(1, 2) …`
pub(super) fn detail(values: &[String], names: &str, ending: &str) -> String {
    let marks = vec!["%s"; values.len()].join(", ");
    let text = Literal(format!("Key ({})=({marks}) {ending}", names.replace('%', "%%")));
    format!("pg_catalog.format({text}, {})", list(values))
}

/// The name of a rule's function.
pub(super) fn function(kind: &str, constraint: &Attached<Constraint>) -> TableName {
    let step = constraint.brought_by().map_or("", String::as_str);
    own(&[kind, numbered(step), constraint.item.name.as_str()])
}

#[derive(Template)]
#[template(path = "rule.sql", escape = "none")]
struct Functions {
    checks: Vec<Check>,
    taken: Vec<Taken>,
    refers: Vec<Refers>,
}

struct Check {
    function: TableName,
    types: String,
    expression: String,
    comment: Literal,
}

struct Refers {
    function: TableName,
    types: String,
    path: String,
    far: TableName,
    same: String,
    comment: Literal,
}

/// The functions that a relation's rules need.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn functions(version: &Version, relation: &Relation) -> Result<Option<Piece>, askama::Error> {
    let mut sql = String::new();
    let callers = Needs::Write.roles(version, &relation.base);
    for constraint in relation.rules() {
        let Some(step) = constraint.brought_by() else { continue };
        let (mut checks, mut taken, mut refers) = (Vec::new(), Vec::new(), Vec::new());
        let item = &constraint.item;
        let comment = comment(step);
        let types = types(relation, &item.fields);
        let mut rights = None;
        match &item.kind {
            ConstraintKind::Check => {
                let Some(expression) = checked(item) else { continue };
                let arguments = constraint.columns.iter().enumerate().map(|(i, c)| (c.clone(), format!("${}", i + 1)));
                let expression = expression.with(&arguments.collect());
                checks.push(Check {
                    function: function("check", constraint),
                    types: list(&types),
                    expression,
                    comment,
                });
            }
            ConstraintKind::Unique | ConstraintKind::Primary => {
                taken.push(taken::one_taken(version, relation, constraint, types, comment));
                rights = Some(&relation.base);
            }
            ConstraintKind::Exclude => {
                taken.extend(excluded::one_excluded(version, relation, constraint, types, comment));
                rights = Some(&relation.base);
            }
            ConstraintKind::Foreign(key) => {
                refers.push(one_refers(version, relation, key, function("refers", constraint), &types, comment));
                rights = Some(&key.table);
            }
            ConstraintKind::NotNull => continue,
        }
        let called: Vec<TableName> =
            taken.iter().map(|t| t.function.clone()).chain(refers.iter().map(|r| r.function.clone())).collect();
        let text = Functions { checks, taken, refers }.render()?;
        let called: Vec<&TableName> = called.iter().collect();
        sql += &match rights {
            Some(table) => guarded(version, &text, &[table]) + &rights::execute(&called, &callers),
            None => text,
        };
    }
    for (constraint, key, step) in kept_by_more(version, relation) {
        let name = function_of_more(relation, constraint, step);
        let types = types(relation, &constraint.item.fields);
        let refers = vec![one_refers(version, relation, key, name.clone(), &types, comment(step))];
        let text = Functions { checks: Vec::new(), taken: Vec::new(), refers }.render()?;
        sql += &(guarded(version, &text, &[&key.table]) + &rights::execute(&[&name], &callers));
    }
    let title = format!("rules of `{}` that its table does not keep yet", relation.name.short());
    Ok(if sql.is_empty() { None } else { Some(Piece::new(title, sql)) })
}

fn types(relation: &Relation, fields: &[Ident]) -> Vec<String> {
    fields.iter().filter_map(|f| relation.field(f)).map(|f| f.shape.type_name.clone()).collect()
}

fn one_refers(
    version: &Version,
    relation: &Relation,
    key: &ForeignKey,
    function: TableName,
    types: &[String],
    comment: Literal,
) -> Refers {
    let same = key.fields.iter().enumerate().map(|(i, c)| is("f", c, &format!("${}", i + 1)));
    let shown = version.over(&key.table).map(|far| get::rows(version, far, "f")).filter(|rows| !rows.is_empty());
    Refers {
        function,
        types: list(types),
        path: path_over([&key.table.schema, &relation.base.schema].into_iter()),
        far: key.table.clone(),
        same: all(&same.chain(shown).collect::<Vec<_>>()),
        comment,
    }
}

/// A query whose rows are those that break a rule of the refactoring `step`, each as its key.
#[must_use]
pub fn offenders(version: &Version, relation: &Relation, item: &Constraint, step: &str) -> String {
    let key = row_key(version.table(relation)).unwrap_or_default();
    let key = match &item.kind {
        // Rows that clash may be the same but for their places.
        ConstraintKind::Exclude if key.is_empty() => "(b.*)::text || ' at ' || b.tableoid || b.ctid".to_owned(),
        _ if key.is_empty() => "(b.*)::text".to_owned(),
        _ => key_text(&each_of("b", &key)),
    };
    let shown = item.fields.iter().filter_map(|f| relation.field(f));
    let shown: Vec<String> =
        shown.map(|f| format!(", {} AS {}", get::get(version, relation, f), f.shape.name)).collect();
    let among = version.conditions_before(relation, step).map(|c| format!("({})", get::over(&c.holds, "b")));
    let among = all(&among.collect::<Vec<_>>());
    let among = if among.is_empty() { among } else { format!(" WHERE {among}") };
    let from = match relation.rows {
        Rows::Told(_) => rows::source(version, relation),
        _ => format!("{} AS b", relation.base),
    };
    let rows = format!("SELECT {key} AS refactor_key{} FROM {from}{among}", shown.concat());
    let given = all(&item.fields.iter().map(|f| format!("t.{f} IS NOT NULL")).collect::<Vec<_>>());
    match &item.kind {
        ConstraintKind::NotNull => {
            let kind = item.fields.first().and_then(|f| relation.field(f)).map(|f| version.schema.kind(&f.shape));
            let null = null(&of("t", &item.fields), kind.unwrap_or_default());
            format!("SELECT t.refactor_key FROM ({rows}) AS t WHERE {null}")
        }
        ConstraintKind::Check => {
            let values: BTreeMap<Ident, String> = item.fields.iter().map(|f| (f.clone(), format!("t.{f}"))).collect();
            let holds = checked(item).map_or_else(|| "true".to_owned(), |e| e.with(&values));
            format!("SELECT t.refactor_key FROM ({rows}) AS t WHERE NOT ({holds})")
        }
        ConstraintKind::Foreign(key) => {
            let mut same: Vec<String> =
                key.fields.iter().zip(&item.fields).map(|(c, f)| is("f", c, &format!("t.{f}"))).collect();
            same.extend(
                version.over(&key.table).map(|far| get::rows(version, far, "f")).filter(|rows| !rows.is_empty()),
            );
            format!(
                "SELECT t.refactor_key FROM ({rows}) AS t WHERE {given}\n  AND NOT EXISTS (SELECT FROM {} AS f WHERE {})",
                key.table,
                all(&same)
            )
        }
        ConstraintKind::Exclude => excluded::clashing(item, &rows).unwrap_or_else(|| taken::twice(item, &rows)),
        ConstraintKind::Unique | ConstraintKind::Primary => taken::twice(item, &rows),
    }
}

/// The tables that must be there before a rule can be asked of the rows.
#[must_use]
pub fn read_from(version: &Version, relation: &Relation, item: &Constraint) -> Vec<Needed> {
    let kept = |id: &Ident| own(&["kept", id.as_str()]);
    let mut shared = Vec::new();
    let mut tables = vec![relation.base.clone()];
    if let ConstraintKind::Foreign(key) = &item.kind {
        tables.push(key.table.clone());
    }
    for field in item.fields.iter().filter_map(|f| relation.field(f)) {
        match field.home {
            Home::Own(_) | Home::Calculated(_) | Home::United(_) => {}
            Home::Carried(at) => tables.push(kept(&version.carries[at].id)),
            Home::Added(at) => shared.push(Place::of_added(&version.added[at]).needed()),
            Home::Shaped(at, _) => shared.push(Place::of_shaped(&version.shaped[at]).needed()),
            Home::Looked(at, _) => tables.push(version.lookups[at].other.clone()),
            Home::Numbered(at) => tables.push(version.numberings[at].kept()),
        }
    }
    tables.into_iter().map(|table| (table, None)).chain(shared).collect()
}
