//! Lets PostgreSQL judge what a person wrote: whether a type exists, and whether an expression may stand in a view.

mod told;

use std::collections::BTreeSet;

use postgres::{Error, GenericClient};

use crate::catalogue::Refactor;
use crate::generate::list;
use crate::name::{Ident, TableName, delimited};
use crate::plan::materialize::attach::{definition, index_lines};
use crate::problem::{Kind, Problem};
use crate::refusal::Refusal;
use crate::relation::{Field, Home, Origin, Relation};
use crate::schema::{self, ConstraintKind, Index};
use crate::sql::ddl::Ddl as Statements;
use crate::sql::{Expression, Literal, retarget, unqualified};
use crate::version::{Ddl, Step, Version};

/// Functions (and words that act as one) that give another value at another time or to another user, though PostgreSQL
/// calls them stable.
const CHANGING: [&str; 14] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
    "transaction_timestamp",
    "statement_timestamp",
    "current_user",
    "session_user",
    "current_role",
    "user",
    "current_setting",
    "current_schema",
];

/// What PostgreSQL says of an expression.
enum Verdict {
    /// The same value whenever and by whomever it is asked.
    Immutable,
    /// Another value under other settings, or at another time.
    Changing,
}

/// Judges the expressions that `step` brought to the shape that was there before.
///
/// # Errors
/// The server's judgement, with what to do. What is taken with a remark is returned.
pub fn expressions(
    client: &mut impl GenericClient,
    before: &Version,
    version: &Version,
    step: &Step,
) -> Result<Vec<String>, Problem> {
    let wish = format!("cannot {}", step.refactoring.wish());
    let refused = |expression: &str, error: &Error| {
        let mut problem = Problem::server(wish.clone(), error);
        problem.hint = way_out(version, error, problem.hint.take());
        problem.kind = Kind::Refused(Refusal::Expression(expression.to_owned()));
        problem
    };
    let mut remarks = Vec::new();
    for added in version.added.iter().filter(|a| a.step == step.name) {
        let seed = added.seed.as_ref().map_or_else(|| "NULL".to_owned(), ToString::to_string);
        let row = columns_of(version, &added.table);
        let verdict = judge(client, &row, &seed, &added.type_name).map_err(|e| refused(&seed, &e))?;
        let Some(expression) = added.seed.as_ref().filter(|_| matches!(verdict, Verdict::Changing)) else { continue };
        let names: Vec<String> = expression.functions().into_iter().collect();
        if is_drawn(client, &names)? {
            return Err(changing(&wish, &seed).hint(
                "leave the rows that exist NULL, by `--existing NULL` and without `--not-null`; give each its own value then, by `refactor data`, and refuse NULL last, by `refactor set-not-null`",
            ));
        }
        if is_volatile(client, &names)? {
            let now = client.query_one(&format!("SELECT (({seed})::{})::text", added.type_name), &[]);
            let value = now.ok().and_then(|row| row.get::<_, Option<String>>(0));
            let value = value.map_or_else(|| "NULL".to_owned(), |v| Literal(v).to_string());
            return Err(changing(&wish, &seed).hint(format!(
                "say what the rows that exist get, as in `--existing \"{value}\"`; new rows get the default"
            )));
        }
        let fields: Vec<_> = fields_of(version, &added.table);
        remarks.extend(settings(client, &fields, expression, &added.type_name)?);
    }
    for calculated in version.calculated.iter().filter(|c| c.step == step.name) {
        let (value, row) = (calculated.value.to_string(), columns_of(version, &calculated.table));
        if let Verdict::Changing =
            judge(client, &row, &value, &calculated.type_name).map_err(|e| refused(&value, &e))?
        {
            let why = format!(
                "`{value}` is not immutable: it may give another value at another time or under other settings"
            );
            let problem = Problem::new(Kind::Refused(Refusal::Expression(why.clone())), wish, why);
            return Err(problem.hint(
                "a field that takes the value once, when a row is made, is `add-field` with `--as` or `--default`",
            ));
        }
    }
    for relation in version.relations.values() {
        for condition in relation.conditions().iter().filter(|c| c.step == step.name) {
            let (row, text) = (columns_of(version, &relation.base), condition.holds.to_string());
            if matches!(judge(client, &row, &text, "boolean").map_err(|e| refused(&text, &e))?, Verdict::Changing) {
                return Err(changing(&wish, &text));
            }
        }
    }
    for shaped in version.shaped.iter().filter(|s| s.step == step.name) {
        let old = columns_of(version, &shaped.table);
        let new: Vec<String> = shaped.names.iter().zip(&shaped.types).map(|(n, t)| format!("{n} {t}")).collect();
        let new = format!("({})", list(&new));
        let told = shaped.names.iter().cloned().zip(shaped.types.iter().cloned()).collect();
        let (old_fields, new_fields): (Vec<_>, Vec<_>) = (fields_of(version, &shaped.table), told);
        let there = shaped.get.iter().zip(&shaped.types).map(|(e, t)| (&old, &old_fields, e, t));
        let back = shaped.put.iter().zip(&shaped.column_types).map(|(e, t)| (&new, &new_fields, e, t));
        for (row, fields, expression, kind) in there.chain(back) {
            let text = expression.to_string();
            match judge(client, row, &text, kind).map_err(|e| refused(&text, &e))? {
                Verdict::Immutable => {}
                Verdict::Changing if is_changing(client, expression)? => return Err(changing(&wish, &text)),
                Verdict::Changing => remarks.extend(settings(client, fields, expression, kind)?),
            }
        }
        // The type is there by now.
        if let ([column], [kind]) = (&shaped.columns[..], &shaped.types[..]) {
            follow(client, version, &shaped.table, column, kind).map_err(|held| match held {
                Held::By(index) => {
                    let why = format!("index `{index}` is written for values of the old type and cannot follow");
                    let problem = Problem::new(Kind::Refused(Refusal::Expression(kind.clone())), wish.clone(), why);
                    let index = TableName { schema: shaped.table.schema.clone(), name: index };
                    problem.hint(format!(
                        "drop it first, and create it anew afterwards: `refactor drop-index {}`",
                        index.typed()
                    ))
                }
                Held::Otherwise(error) => {
                    let mut problem = Problem::server(wish.clone(), &error);
                    problem.why.insert(0, format!("statistics over `{column}` cannot follow"));
                    problem.kind = Kind::Refused(Refusal::Expression(kind.clone()));
                    problem.hint("drop them first if they are no longer wanted")
                }
            })?;
        }
    }
    for ddl in version.ddl.iter().filter(|d| d.step == step.name) {
        grammar(client, ddl).map_err(|(statements, e)| Problem {
            hint: Some("correct the statements".into()),
            ..refused(&statements.to_string(), &e)
        })?;
    }
    for sql in version.told.iter().filter(|t| t.step == step.name) {
        told::judge(client, version, sql, &step.refactoring.wish())?;
    }
    remarks.extend(rules(client, before, version, step)?);
    Ok(remarks)
}

/// Whether PostgreSQL can read DDL; which of it not, if not.
fn grammar<'d>(client: &mut impl GenericClient, ddl: &'d Ddl) -> Result<(), (&'d Statements, Error)> {
    let read =
        |statements: &'d Statements| client.batch_execute(&delimited(statements.idle())).map_err(|e| (statements, e));
    [&ddl.up, &ddl.down].into_iter().try_for_each(read)
}

/// What to do about a judgement, if the server says nothing of it.
fn way_out(version: &Version, error: &Error, said: Option<String>) -> Option<String> {
    let code = error.code().map(postgres::error::SqlState::code);
    if let Some(ddl) = version.ddl.last().filter(|_| matches!(code, Some("42704" | "42883"))) {
        return Some(format!("what the DDL of {} makes is there once it is real: `refactor materialize`", ddl.step));
    }
    said.or_else(|| match code {
        Some("42704") => Some("`\\dT` in psql lists your types, `\\dTS` all".to_owned()),
        Some(code) if code.starts_with("42") => Refusal::Expression(String::new()).hint(),
        _ => Some("correct the expression, or choose another type".to_owned()),
    })
}

/// Judges the defaults, rules and indexes that `step` brought, on an empty table with the fields of the new shape.
fn rules(
    client: &mut impl GenericClient,
    before: &Version,
    version: &Version,
    step: &Step,
) -> Result<Vec<String>, Problem> {
    let wish = format!("cannot {}", step.refactoring.wish());
    let refused = |text: &str, error: &Error| {
        let mut problem = Problem::server(wish.clone(), error);
        // A judgement, not a failure: its code says nothing more.
        if let Some(said) = error.as_db_error() {
            let detail = said.detail().map(|d| format!(": {}", d.trim_end_matches('.'))).unwrap_or_default();
            problem.why = vec![format!("{}{detail}", said.message())];
        }
        problem.hint = problem.hint.or_else(|| Some("correct it, or choose fields that it can be said of".into()));
        problem.kind = Kind::Refused(Refusal::Expression(text.to_owned()));
        problem
    };
    let mut remarks = Vec::new();
    for relation in version.touched().filter(|r| r.touched_by.contains(&step.name)) {
        let row = columns(relation.fields.iter().map(|f| &f.shape));
        let tried = TableName::new("pg_temp", "refactor_try");
        for field in relation.fields.iter().filter(|f| is_new_default(before, version, relation, f)) {
            let default = field.shape.default.clone().unwrap_or_default();
            let sql = format!("ALTER TABLE {tried} ALTER COLUMN {} SET DEFAULT {default}", field.shape.name);
            attempt(client, &row, &sql).map_err(|e| refused(&default, &e))?;
        }
        for index in relation.indexes.iter().filter(|i| i.brought_by() == Some(&step.name)) {
            let sql = index_lines(version, &tried, index).concat();
            attempt(client, &row, &sql).map_err(|e| refused(&index.item.definition, &e))?;
        }
        for constraint in relation.constraints.iter().filter(|c| c.brought_by() == Some(&step.name)) {
            let item = &constraint.item;
            let sql = match &item.kind {
                ConstraintKind::NotNull => continue,
                ConstraintKind::Foreign(key) => {
                    let far = &version.schema.tables[&key.table].fields;
                    let far = key.fields.iter().filter_map(|c| far.iter().find(|f| f.name == *c));
                    let far: Vec<String> = far.map(|f| format!("{} {}", f.name, f.type_name)).collect();
                    let (columns, fields) = (list(&far), list(&key.fields));
                    format!(
                        "CREATE TEMPORARY TABLE refactor_far ({columns}, UNIQUE ({fields})) ON COMMIT DROP;\nALTER TABLE {tried} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES pg_temp.refactor_far ({fields})",
                        item.name,
                        list(&item.fields)
                    )
                }
                _ => format!("ALTER TABLE {tried} ADD {}", definition(constraint)),
            };
            attempt(client, &row, &sql).map_err(|e| refused(&item.definition, &e))?;
            if let Some(expression) = constraint.expression() {
                let text = expression.to_string();
                if let Verdict::Changing = judge(client, &row, &text, "boolean").map_err(|e| refused(&text, &e))? {
                    if is_changing(client, &expression)? {
                        return Err(changing(&wish, &text));
                    }
                    remarks.push(format!("`{text}` depends on settings of the session if DateStyle, TimeZone or the like matter to it; all writers must then share them"));
                }
            }
        }
    }
    Ok(remarks)
}

/// Whether no such field has this default yet. What an earlier refactoring brought was judged then, and may draw from what is not
/// there before that is shown; so does the table that a refactoring stands on.
fn is_new_default(before: &Version, version: &Version, relation: &Relation, field: &Field) -> bool {
    let wanted = &field.shape;
    let same = |shape: &schema::Field| {
        (&shape.name, &shape.type_name, &shape.default) == (&wanted.name, &wanted.type_name, &wanted.default)
    };
    let was = before.relations.values().flat_map(|r| &r.fields).map(|f| &f.shape);
    // The sequence of new numbers comes with the table.
    let numbered = matches!(field.home, Home::Numbered(_));
    !numbered
        && wanted.generated.is_none()
        && wanted.default.is_some()
        && !was.chain(&version.table(relation).fields).any(same)
}

/// Fields as CREATE TABLE has them, without their rules.
fn columns<'f>(fields: impl Iterator<Item = &'f schema::Field>) -> String {
    let columns = fields.map(|f| format!("{} {}{}", f.name, f.type_name, f.collate()));
    format!("({})", list(&columns.collect::<Vec<_>>()))
}

/// Those of a table, which need not be in the database yet: what brings it may be applied together with this.
fn columns_of(version: &Version, table: &TableName) -> String {
    columns(version.schema.tables[table].fields.iter())
}

/// The same as names and types.
fn fields_of(version: &Version, table: &TableName) -> Vec<(Ident, String)> {
    version.schema.tables[table].fields.iter().map(|f| (f.name.clone(), f.type_name.clone())).collect()
}

/// Tries a statement on an empty temporary table.
fn attempt(client: &mut impl GenericClient, row: &str, sql: &str) -> Result<(), Error> {
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&format!("CREATE TEMPORARY TABLE refactor_try {row} ON COMMIT DROP"))?;
    let tried = transaction.batch_execute(sql);
    transaction.rollback()?;
    tried
}

/// What keeps a column from another type.
enum Held {
    /// An index.
    By(Ident),
    /// Something else.
    Otherwise(Error),
}

/// Tries on an empty copy whether what hangs on a column bears another type. An index that goes need not.
fn follow(
    client: &mut impl GenericClient,
    version: &Version,
    table: &TableName,
    column: &Ident,
    kind: &str,
) -> Result<(), Held> {
    let tried = TableName::new("pg_temp", "refactor_try");
    let staying = version.relations.values().flat_map(|r| &r.indexes).filter_map(|i| match &i.origin {
        Origin::Table(of, at) if of == table => Some(&version.schema.tables[of].indexes[*at]),
        _ => None,
    });
    let indexes: Vec<&Index> = staying.collect();
    let there = client.query_one("SELECT pg_catalog.to_regclass($1) IS NOT NULL", &[&table.to_string()]);
    let is_there = there.and_then(|row| row.try_get::<_, bool>(0)).map_err(Held::Otherwise)?;
    let row = if is_there { format!("(LIKE {table} INCLUDING STATISTICS)") } else { columns_of(version, table) };
    let mut retype = |indexes: &[&Index]| {
        let mut lines = vec![format!("CREATE TEMPORARY TABLE {} {row} ON COMMIT DROP", tried.name)];
        // Without their names: a table that is not real yet may have one of another.
        lines.extend(indexes.iter().map(|index| {
            let definition = retarget(&index.definition, table, &tried);
            definition.replacen(&format!(" INDEX {} ON ", index.name), " INDEX ON ", 1)
        }));
        lines.push(format!("ALTER TABLE {tried} ALTER COLUMN {column} TYPE {kind} USING NULL::{kind}"));
        let mut transaction = client.transaction()?;
        let result = transaction.batch_execute(&lines.join(";\n"));
        transaction.rollback()?;
        result
    };
    let Err(error) = retype(&indexes) else { return Ok(()) };
    let held = indexes.iter().find(|index| retype(&[**index]).is_err());
    Err(held.map_or(Held::Otherwise(error), |index| Held::By(index.name.clone())))
}

/// Tries an expression as a generated column of a temporary table: PostgreSQL takes exactly the immutable ones there.
fn judge(client: &mut impl GenericClient, row: &str, expression: &str, kind: &str) -> Result<Verdict, Error> {
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&format!("CREATE TEMPORARY TABLE refactor_try {row} ON COMMIT DROP"))?;
    let tried = transaction.batch_execute(&format!(
        "ALTER TABLE refactor_try ADD COLUMN refactor_try {kind} GENERATED ALWAYS AS (({expression})::{kind}) STORED"
    ));
    transaction.rollback()?;
    match tried {
        Ok(()) => Ok(Verdict::Immutable),
        Err(error) if error.code().is_some_and(|c| c.code() == "42P17") => Ok(Verdict::Changing),
        Err(error) => Err(error),
    }
}

/// What is to be said of an expression that gives another value under other settings, or may: PostgreSQL calls so
/// whatever writes labels of an enum, though no setting matters to these.
fn settings(
    client: &mut impl GenericClient,
    fields: &[(Ident, String)],
    expression: &Expression,
    kind: &str,
) -> Result<Option<String>, Error> {
    let rows = client.query("SELECT typname::text FROM pg_catalog.pg_type WHERE typtype = 'e'", &[])?;
    let enums: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let plain = |kind: &str| if enums.contains(unqualified(kind)) { "text".to_owned() } else { kind.to_owned() };
    let row: Vec<String> = fields.iter().map(|(name, kind)| format!("{name} {}", plain(kind))).collect();
    let text = expression.as_text(|kind| enums.contains(kind)).to_string();
    if let Ok(Verdict::Immutable) = judge(client, &format!("({})", list(&row)), &text, &plain(kind)) {
        return Ok(None);
    }
    Ok(Some(format!(
        "`{expression}` as {kind} depends on settings of the session if DateStyle, TimeZone or the like matter to it; readers and writers must then share them"
    )))
}

/// Whether one of these functions draws another value at each call.
fn is_drawn(client: &mut impl GenericClient, names: &[String]) -> Result<bool, Error> {
    // A name means what the path finds first, or what its schema says.
    let row = client.query_one(
        "SELECT EXISTS (
           SELECT FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
           WHERE p.proname = ANY ($1) AND p.provolatile = 'v'
             AND (n.nspname = ANY (pg_catalog.current_schemas(true)) OR NOT EXISTS (
               SELECT FROM pg_proc AS o JOIN pg_namespace AS m ON m.oid = o.pronamespace
               WHERE o.proname = p.proname AND m.nspname = ANY (pg_catalog.current_schemas(true)))))",
        &[&names],
    )?;
    Ok(row.get(0))
}

/// Whether an expression that is not immutable changes by itself, not only under other settings.
fn is_changing(client: &mut impl GenericClient, expression: &Expression) -> Result<bool, Error> {
    let names: Vec<String> = expression.functions().into_iter().collect();
    is_volatile(client, &names)
}

/// Whether one of these functions may give another value each time.
fn is_volatile(client: &mut impl GenericClient, names: &[String]) -> Result<bool, Error> {
    if names.iter().any(|n| CHANGING.contains(&n.as_str())) {
        return Ok(true);
    }
    is_drawn(client, names)
}

fn changing(wish: &str, expression: &str) -> Problem {
    let why = format!("`{expression}` gives another value each time it is asked, so two reads of a row would differ");
    Problem::new(Kind::Refused(Refusal::Expression(why.clone())), wish, why)
}
