//! A table that SQL of the user tells: its rows, its put-back, and what a put-back makes sure of.

use askama::Template;

use crate::generate::carry::{guarded, owner, path_over};
use crate::generate::put::{Frame, Generated};
use crate::generate::rights::Needs;
use crate::generate::rule::{self, Rule};
use crate::generate::view::named;
use crate::generate::{all, comment, each_of, equal, get, list, of, own, rights, rows};
use crate::name::{Ident, TableName};
use crate::relation::Relation;
use crate::schema::{Field, Identity};
use crate::sql::Literal;
use crate::version::{Told, Version};

/// The rows, with the fields in their order.
#[must_use]
pub fn rows(version: &Version, relation: &Relation) -> String {
    let fields: Vec<String> =
        relation.fields.iter().map(|f| format!("{} AS {}", get::get(version, relation, f), f.shape.name)).collect();
    format!("SELECT\n  {}\nFROM {}", fields.join(",\n  "), rows::source(version, relation))
}

/// The table that knows which rows a statement has written.
#[must_use]
pub fn done(told: &Told) -> TableName {
    own(&["done", told.table.schema.as_str(), told.table.name.as_str()])
}

/// Creates it. It is empty after each statement.
#[must_use]
pub fn done_table(version: &Version, told: &Told) -> String {
    let table = &version.schema.tables[&told.table];
    let fields = told.key.iter().filter_map(|k| table.fields.iter().find(|f| f.name == *k));
    let names = get::complement_keys(told.key.len());
    let columns: Vec<String> = fields
        .zip(&names)
        .map(|(f, name)| {
            let collation = f.collate();
            format!("{name} {}{collation}", f.type_name)
        })
        .collect();
    let done = done(told);
    format!(
        "CREATE UNLOGGED TABLE {done} (\n  refactor_depth integer,\n  {},\n  PRIMARY KEY (refactor_depth, {})\n);\nCOMMENT ON TABLE {done} IS {};\nALTER TABLE {done} OWNER TO {};",
        columns.join(",\n  "),
        list(&names),
        comment(&format!("{}: rows that a statement under way has written", told.step)),
        owner(version, &told.table)
    )
}

struct Unique {
    given: String,
    changed: String,
    same: String,
    constraint: Literal,
    message: Literal,
    detail: Literal,
    values: String,
}

/// What a statement of one kind does.
struct Put {
    operation: &'static str,
    function: TableName,
    /// Parameters with their types, as the function is created.
    parameters: String,
    /// The same, as it is called.
    arguments: &'static str,
    body: Option<String>,
    message: Literal,
}

/// What is done with more rights than the caller's.
#[derive(Template)]
#[template(path = "told_judge.sql", escape = "none")]
struct Helpers<'t> {
    lock: &'t TableName,
    statement: &'t TableName,
    done: TableName,
    was_key: String,
    tables: String,
    judge: &'t TableName,
    path: String,
    made: &'t TableName,
    columns: String,
    values: String,
    this_row: String,
    schema: &'t Literal,
    table: &'t Literal,
    isolation: Literal,
    comment: &'t Literal,
}

#[derive(Template)]
#[template(path = "told.sql", escape = "none")]
struct PutBack<'t> {
    lock: &'t TableName,
    statement: &'t TableName,
    judge: &'t TableName,
    made: &'t TableName,
    frame: Frame,
    puts: Vec<Put>,
    schema: &'t Literal,
    table: &'t Literal,
    name: Literal,
    generated: Vec<Generated>,
    fields: Vec<Ident>,
    of_old: String,
    of_new: String,
    of_view: String,
    at_old: String,
    at_was: String,
    at_written: String,
    same_key: String,
    unique: Vec<Unique>,
    references: Vec<Rule>,
    hint: Literal,
    without: Literal,
}

/// The put-back: it locks, looks at the row again, lets the table to be judge it, runs the user's statements, and looks
/// whether what was written is what is read.
///
/// # Errors
/// Only if the template cannot be rendered.
pub(super) fn put_back(
    version: &Version,
    relation: &Relation,
    told: &Told,
    frame: Frame,
) -> Result<String, askama::Error> {
    let made = &told.table;
    let shapes: Vec<&Field> = relation.fields.iter().map(|f| &f.shape).collect();
    let fields: Vec<Ident> = shapes.iter().map(|f| f.name.clone()).collect();
    let always = |f: &Field| f.identity == Some(Identity::Always);
    let given: Vec<&&Field> = shapes.iter().filter(|f| f.generated.is_none()).collect();
    let values: Vec<String> = given
        .iter()
        .map(|f| match &f.sequence {
            Some(own) if always(f) => {
                let sequence = told.numbers.iter().find(|(field, _)| *field == f.name).map_or(own, |(_, old)| old);
                format!("coalesce(said.{}, pg_catalog.nextval({}::regclass))", f.name, Literal(sequence.to_string()))
            }
            _ => format!("said.{}", f.name),
        })
        .collect();
    let (schema, table) = (Literal(relation.name.schema.as_str().into()), Literal(relation.name.name.as_str().into()));
    let (lock, judge, statement) = (named(relation, "lock"), named(relation, "judge"), named(relation, "statement"));
    let helpers = Helpers {
        lock: &lock,
        statement: &statement,
        done: done(told),
        was_key: of("was", &told.key),
        tables: list(&told.names),
        judge: &judge,
        path: path_over(version.schema.code_path().iter().chain([&relation.name.schema])),
        made,
        columns: list(&given.iter().map(|f| f.name.clone()).collect::<Vec<_>>()),
        values: list(&values),
        this_row: equal("b", &told.key, "r", &told.key),
        schema: &schema,
        table: &table,
        isolation: Literal(format!(
            "\"{}\" can be written in READ COMMITTED only until it is real",
            relation.name.name.as_str()
        )),
        comment: &frame.comment,
    }
    .render()?;
    let put_back = PutBack {
        puts: puts(relation, told),
        name: Literal(relation.name.short()),
        generated: Generated::of(relation).collect(),
        of_old: of("OLD", &fields),
        of_new: of("NEW", &fields),
        of_view: of("v", &fields),
        at_old: equal("v", &told.key, "OLD", &told.key),
        at_was: equal("v", &told.key, "was", &told.key),
        at_written: equal("v", &told.key, "written", &told.key),
        same_key: equal("written", &told.key, "was", &told.key),
        unique: told.unique.iter().map(|(name, fields)| unique(name, fields)).collect(),
        references: rule::rules(version, relation),
        hint: Literal(format!("The statements of {} must store whatever they let through.", told.step)),
        without: Literal(format!(
            "{} gives no statements for it; it can be done when that is materialized.",
            told.step
        )),
        frame,
        lock: &lock,
        statement: &statement,
        judge: &judge,
        schema: &schema,
        table: &table,
        fields,
        made,
    }
    .render()?;
    let callers = rights::execute(&[&lock, &judge], &Needs::Write.roles(version, made));
    Ok(guarded(version, &format!("{helpers}\n"), &[made]) + &callers + &put_back)
}

fn puts(relation: &Relation, told: &Told) -> Vec<Put> {
    let made = &told.table;
    let name = relation.name.name.as_str();
    let (old, new) = (format!("old {made}"), format!("new {made}"));
    let put = |operation: &'static str, to: &str, parameters: String, arguments, body: &Option<String>| Put {
        operation,
        function: named(relation, &format!("put_{}", operation.to_lowercase())),
        parameters,
        arguments,
        body: body.clone(),
        message: Literal(format!("cannot {to} view \"{name}\"")),
    };
    vec![
        put("INSERT", "insert into", new.clone(), "written", &told.insert),
        put("UPDATE", "update", format!("{old}, {new}"), "was, written", &told.update),
        put("DELETE", "delete from", old, "was", &told.delete),
    ]
}

fn unique(name: &Ident, fields: &[Ident]) -> Unique {
    let names: Vec<&str> = fields.iter().map(Ident::as_str).collect();
    let marks = vec!["%s"; fields.len()].join(", ");
    Unique {
        given: all(&each_of("written", fields).iter().map(|f| format!("{f} IS NOT NULL")).collect::<Vec<_>>()),
        changed: format!("pg_catalog.record_image_ne(ROW({}), ROW({}))", of("written", fields), of("was", fields)),
        same: equal("v", fields, "written", fields),
        constraint: Literal(name.as_str().into()),
        message: Literal(format!("duplicate key value violates unique constraint \"{}\"", name.as_str())),
        detail: Literal(format!("Key ({})=({marks}) already exists.", names.join(", ").replace('%', "%%"))),
        values: of("written", fields),
    }
}
