//! Deleted rows that stay with a mark: the table that has them until there is one, and what a delete writes instead.

use askama::Template;

use crate::generate::carry::{guarded, path_over, trigger};
use crate::generate::rule::{self, Rule};
use crate::generate::view::named;
use crate::generate::{Piece, comment, each_of, equal, get, list, made, own};
use crate::name::{Ident, TableName};
use crate::relation::Relation;
use crate::schema::{Constraint, ConstraintKind, ForeignKey};
use crate::sql::Literal;
use crate::version::{Union, Version};

/// The setting by which a put-back says that a row goes without a mark.
#[must_use]
pub fn setting(union: usize) -> Literal {
    Literal(format!("refactor.goes_{union}"))
}

/// A foreign key by which rows go with the one that they refer to.
struct Cascade {
    function: TableName,
    trigger: Ident,
    far: TableName,
    refers: String,
}

/// How a row of a table of the union takes its keys. All that are without a mark take one lock together, however many they
/// are; one that is new and has a mark must be alone. A row that goes from one table to the other has had its keys before, if
/// they are the same.
#[must_use]
pub fn lock(version: &Version, union: &Union, branch: usize) -> String {
    let key = Literal(union.id.to_string());
    let key = format!("pg_catalog.hashtextextended({key}, 0)");
    if branch == 0 {
        return format!("PERFORM pg_catalog.pg_advisory_xact_lock_shared({key})");
    }
    let setting = setting(version.unions.iter().position(|u| u.id == union.id).unwrap_or_default());
    format!(
        "IF pg_catalog.current_setting({setting}, true) IS DISTINCT FROM '1' THEN\n      PERFORM pg_catalog.pg_advisory_xact_lock({key});\n    END IF"
    )
}

#[derive(Template)]
#[template(path = "marked.sql", escape = "none")]
struct Keeping {
    mark: TableName,
    type_name: String,
    value: String,
    function: TableName,
    path: String,
    setting: Literal,
    cascades: Vec<Cascade>,
    table: TableName,
    marked: TableName,
    columns: String,
    values: String,
    is_marked: String,
    no_mark: String,
    trigger: Ident,
    comment: Literal,
}

/// The trigger that brings what old code deletes to the table of the marked rows.
///
/// # Errors
/// Only if the template cannot be rendered.
pub fn keeping(version: &Version, at: usize) -> Result<Option<Piece>, askama::Error> {
    let union = &version.unions[at];
    let (Some(value), [live, marked]) = (&union.mark, &union.branches[..]) else { return Ok(None) };
    let Some((field, type_name)) = union.fields.last() else { return Ok(None) };
    let base = &version.schema.tables[&live.table];
    let given: Vec<Ident> = base.fields.iter().filter(|f| f.generated.is_none()).map(|f| f.name.clone()).collect();
    let mark = own(&["mark", union.id.as_str()]);
    let sql = Keeping {
        type_name: type_name.clone(),
        value: value.to_string(),
        function: own(&["marks", union.id.as_str()]),
        path: path_over(std::iter::once(&live.table.schema)),
        setting: setting(at),
        cascades: cascades(version, union).map(|(c, key)| cascade(union, c, key)).collect(),
        table: live.table.clone(),
        marked: marked.table.clone(),
        columns: list(&[&given[..], std::slice::from_ref(field)].concat()),
        values: list(&[each_of("OLD", &given), vec![format!("{mark}()")]].concat()),
        is_marked: marked.takes.as_ref().map(|takes| get::over(takes, "b")).unwrap_or_default(),
        no_mark: no_mark(&live.table, &union.step),
        trigger: Ident::generated(&["~refactor", "marks", union.id.as_str()]),
        comment: comment(&union.step),
        mark,
    }
    .render()?;
    let mut sql = guarded(version, &sql, &[&live.table, &marked.table]);
    // Whoever writes through the view writes to both.
    sql.extend(made::grants(base, &marked.table).iter().map(|grant| format!("{grant};\n")));
    let title = format!("what old code deletes from `{}` is kept with a mark ({})", live.table.short(), union.step);
    Ok(Some(Piece::new(title, sql)))
}

/// The foreign keys of the first table of a union that delete its rows with others.
fn cascades<'v>(version: &'v Version, union: &Union) -> impl Iterator<Item = (&'v Constraint, &'v ForeignKey)> {
    version.schema.tables[&union.branches[0].table].constraints.iter().filter_map(|c| match &c.kind {
        ConstraintKind::Foreign(key) if key.on_delete == 'c' => Some((c, key)),
        _ => None,
    })
}

fn cascade(union: &Union, constraint: &Constraint, key: &ForeignKey) -> Cascade {
    let id = Ident::generated(&[union.id.as_str(), constraint.name.as_str()]);
    Cascade {
        function: own(&["goes", id.as_str()]),
        trigger: trigger("goes", &id),
        far: key.table.clone(),
        refers: equal("b", &constraint.fields, "OLD", &key.fields),
    }
}

fn no_mark(table: &TableName, step: &str) -> String {
    format!(
        "RAISE EXCEPTION USING ERRCODE = 'data_exception', MESSAGE = {},\n      HINT = {};",
        Literal(format!("a deleted row of \"{}\" got no mark", table.name.as_str())),
        Literal(format!("A mark is true, or anything but NULL. What {step} gives as one is not."))
    )
}

/// The function that tells the mark of what is deleted through a relation. In SQL, so that it is read once.
#[must_use]
pub fn function(version: &Version, relation: &Relation) -> Option<Piece> {
    let (column, value) = relation.mark()?;
    let kind = &version.table(relation).fields.iter().find(|f| f.name == *column)?.type_name;
    let name = named(relation, "mark");
    let sql = format!("CREATE FUNCTION {name}() RETURNS {kind} LANGUAGE sql RETURN ({value})::{kind};\n");
    Some(Piece::new(format!("mark of what is deleted from `{}`", relation.name.short()), sql))
}

/// What a put-back does instead of deleting a row.
pub struct Removal {
    /// What it must not do to rows that refer to this one.
    pub refused: Vec<String>,
    /// The statement. The row that comes of it tells whether it has no mark.
    pub statement: String,
    /// What happens then.
    pub no_mark: String,
}

impl Removal {
    /// A row goes.
    #[must_use]
    pub fn delete(relation: &Relation, this_row: &str) -> Self {
        let statement = format!("DELETE FROM {} AS b WHERE {this_row};", relation.base);
        Self { refused: Vec::new(), statement, no_mark: String::new() }
    }
}

/// The same for a relation, if it marks the rows that are deleted.
#[must_use]
pub fn removal(version: &Version, relation: &Relation, this_row: &str) -> Option<Removal> {
    let (column, _) = relation.mark()?;
    let condition = relation.conditions().iter().find(|c| c.mark.is_some())?;
    let base = &relation.base;
    let (mark, stays) = (named(relation, "mark"), get::over(&condition.holds, "b"));
    let refused = version.schema.tables.iter().flat_map(|(name, table)| {
        let keys = table.constraints.iter().filter(|c| !c.inherited);
        keys.filter_map(move |c| match &c.kind {
            ConstraintKind::Foreign(key) if key.table == *base => {
                Some(referred(version, relation, (name, c, key), this_row))
            }
            _ => None,
        })
    });
    Some(Removal {
        refused: refused.collect(),
        statement: format!(
            "UPDATE {base} AS b SET {column} = {mark}() WHERE {this_row} RETURNING ({stays}) AS stays INTO now;"
        ),
        no_mark: no_mark(&relation.name, &condition.step),
    })
}

/// Refuses to delete a row that is referred to, as the foreign key will.
fn referred(
    version: &Version,
    relation: &Relation,
    (name, constraint, key): (&TableName, &Constraint, &ForeignKey),
    this_row: &str,
) -> String {
    let on = equal("c", &constraint.fields, "b", &key.fields);
    let message = format!(
        "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
        relation.name.name.as_str(),
        constraint.name.as_str(),
        name.name.as_str()
    );
    let far = version.over(name).unwrap_or(relation);
    let rule: Rule = rule::rule(far, "23503", ("CONSTRAINT", &constraint.name), message);
    let base = &relation.base;
    format!("IF EXISTS (SELECT FROM {base} AS b JOIN {name} AS c ON {on} WHERE {this_row}) THEN\n    {rule}\n  END IF;")
}

/// Why there are triggers.
#[must_use]
pub fn reasons(version: &Version, union: &Union) -> Vec<String> {
    if union.mark.is_none() {
        return Vec::new();
    }
    let (table, step) = (union.branches[0].table.short(), &union.step);
    let far = cascades(version, union).map(|(c, key)| {
        format!("trigger on `{}`: rows that `{}` deletes are not marked ({step})", key.table.short(), c.name)
    });
    std::iter::once(format!("trigger on `{table}`: what old code deletes is kept with a mark ({step})"))
        .chain(far)
        .collect()
}
