//! `soft-delete`: rows that are deleted stay, with a mark.
//!
//! The table is united with one that has the marked rows, and is empty at first: old code sees only its own. What it
//! deletes goes there.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::bring_back::{difference, kept_table, shapes};
use crate::catalogue::hard_delete::HardDelete;
use crate::catalogue::{Refactor, Refactoring, entangled, union_tables, uniting};
use crate::fact::LossKind;
use crate::name::{FieldRef, Ident, TableName, TableRef, listed};
use crate::refusal::Refusal;
use crate::relation::{Condition, Origin, Part, Relation, Rows};
use crate::schema::{self, Constraint, ConstraintKind, ForeignKey, Index, Table, TableKind};
use crate::sql::{Expression, TypeName};
use crate::version::{Branch, Made, RemarkKind, Source, Union, Version, lost_table};

/// Keep deleted rows of a table, with a mark.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftDelete {
    /// Table whose deleted rows stay
    pub table: TableRef,
    /// New field with the mark, the last [default: `deleted_at`]
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Ident>,
    /// Its type: a boolean is false in a row without a mark, any other is NULL [default: timestamptz]
    #[arg(long = "type", value_name = "TYPE")]
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_name: Option<TypeName>,
    /// The mark of a row that old code deletes [default: `now()`, or true]
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Expression>,
    /// Refactoring whose kept rows come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// What the table was then
    #[arg(long, hide = true, value_name = "FIELD")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
}

impl Refactor for SoftDelete {
    fn wish(&self) -> String {
        format!("keep deleted rows of `{}`", self.table)
    }

    fn slug(&self) -> String {
        format!("soft-delete-{}", self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let relation = before.find_own(&self.table)?;
        let shape = self.shape();
        entangled::must_be_free(relation, &shape.name, "choose another name with `--field`")?;
        if let Some(restores) = &self.restores
            && relation.mark().is_some()
            && relation.quarantines().any(|q| q.step == *restores)
        {
            return never_was(step, before, relation, restores);
        }
        let mark = mark(self.mark.as_ref(), &shape.type_name)?;
        check(before, relation)?;
        if before.schema.domain(&shape.type_name).is_some_and(|domain| domain.not_null) {
            return Err(Refusal::Other {
                why: format!("a `{}` is never NULL, so no row would be without a mark", shape.type_name),
                hint: Some("choose another `--type`".into()),
            });
        }
        if let Some(restores) = &self.restores
            && let Some(differs) = difference(relation, &self.kept)
        {
            let table = relation.name.short();
            return Err(Refusal::Other {
                why: format!(
                    "the rows that {restores} kept would not fit: `{table}` was another table then, which differs by `{differs}`"
                ),
                hint: Some(format!(
                    "leave `restores` out, and insert the rows of `{}` by hand once this is real",
                    lost_table(restores)
                )),
            });
        }
        self.unite(step, before, relation, shape, mark)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let table = entangled::reference(&before.find_own(&self.table)?.name);
        let field = FieldRef { table, field: self.shape().name };
        Ok(Refactoring::HardDelete(HardDelete { field, mark: self.mark.clone() }))
    }
}

impl SoftDelete {
    /// The new field.
    fn shape(&self) -> schema::Field {
        let name = self.field.clone().unwrap_or_else(|| Ident::new("deleted_at"));
        let type_name = self.type_name.as_ref().map_or_else(|| "timestamptz".to_owned(), ToString::to_string);
        let flag = is_flag(&type_name);
        let default = flag.then(|| unmarked(&type_name));
        schema::Field { type_name, not_null: flag, default, ..schema::Field::named(name) }
    }

    /// Unites the table with that of the marked rows.
    fn unite(
        &self,
        step: &str,
        before: &Version,
        relation: &Relation,
        shape: schema::Field,
        mark: Expression,
    ) -> Result<Version, Refusal> {
        let (name, base) = (relation.name.clone(), relation.base.clone());
        let key = entangled::row_key(before, relation)?;
        let keys = uniting::keys(relation, uniting::DROP_FIRST)?;
        let marked = self.restores.as_ref().map_or_else(|| before.new_table(step, &name.name), |r| lost_table(r));
        let table = self.marked_table(before, relation, &marked, &shape)?;
        let columns = relation.fields.iter().map(|f| Source::Column(f.shape.name.clone()));
        let with = |last: Source| columns.clone().chain([last]).collect();
        let branches = vec![
            Branch {
                table: base,
                key: key.clone(),
                takes: None,
                sources: with(Source::Constant(unmarked(&shape.type_name))),
            },
            Branch {
                table: marked.clone(),
                key,
                takes: Some(is_marked(&shape)?),
                sources: with(Source::Column(shape.name.clone())),
            },
        ];
        let mut after = before.clone();
        note(&mut after, step, relation, &shape);
        let shapes: Vec<schema::Field> = relation.fields.iter().map(|f| f.shape.clone()).chain([shape]).collect();
        union_tables::facts(&mut after, step, &name, &branches, &shapes, &keys);
        if self.restores.is_none() {
            after.made.push(Made { step: step.to_owned(), table: marked.clone(), restores: None });
        }
        let union = Union {
            step: step.to_owned(),
            id: entangled::generated_id(step, &name.name),
            branches,
            fields: shapes.iter().map(|s| (s.name.clone(), s.type_name.clone())).collect(),
            keys,
            discriminator: None,
            brings_back: self.restores.is_some(),
            mark: Some(mark),
        };
        uniting::unite(&mut after, relation.clone(), shapes, union, table);
        Ok(after)
    }

    /// The table of the marked rows: like the one that they leave, but that it numbers nothing. A kept one is there already.
    fn marked_table(
        &self,
        before: &Version,
        relation: &Relation,
        marked: &TableName,
        shape: &schema::Field,
    ) -> Result<Table, Refusal> {
        let base = before.table(relation);
        let mut table = kept_table(base, marked, &entangled::row_key(before, relation)?);
        table.fields.push(schema::Field { default: None, ..shape.clone() });
        if self.restores.is_none() {
            let keys = base.indexes.iter().filter(|i| i.unique);
            table.indexes = keys.clone().map(|i| Index { constraint: Some(i.name.clone()), ..i.clone() }).collect();
            let keys = keys.filter(|i| i.constraint.is_none()).map(|i| {
                let fields: Vec<Ident> = i.keys.iter().flatten().cloned().collect();
                let definition = format!("UNIQUE ({})", listed(&fields));
                Constraint::named(i.name.clone(), ConstraintKind::Unique, fields, definition)
            });
            table.constraints = base.constraints.iter().cloned().chain(keys).collect();
        }
        Ok(table)
    }
}

/// Whether a type is that of a flag.
fn is_flag(type_name: &str) -> bool {
    matches!(type_name.to_lowercase().as_str(), "boolean" | "bool")
}

/// What the field is in a row without a mark.
#[must_use]
pub fn unmarked(type_name: &str) -> String {
    if is_flag(type_name) { "false" } else { "NULL" }.to_owned()
}

/// The condition that a row has a mark.
///
/// # Errors
/// Never: it can be read.
pub fn is_marked(shape: &schema::Field) -> Result<Expression, Refusal> {
    let field = &shape.name;
    let text = if is_flag(&shape.type_name) { field.to_string() } else { format!("{field} IS DISTINCT FROM NULL") };
    Expression::parse(&text).map_err(|e| Refusal::Expression(e.to_string()))
}

/// The condition that it has none.
///
/// # Errors
/// Never: it can be read.
pub fn is_unmarked(shape: &schema::Field) -> Result<Expression, Refusal> {
    let field = &shape.name;
    let nothing = if is_flag(&shape.type_name) { "IS NOT TRUE" } else { "IS NOT DISTINCT FROM NULL" };
    Expression::parse(&format!("{field} {nothing}")).map_err(|e| Refusal::Expression(e.to_string()))
}

/// The mark that a deleted row gets: the one that is wanted, or the usual one of the type.
///
/// # Errors
/// When there is none, or it is not the same for whoever deletes any row.
pub fn mark(wanted: Option<&Expression>, type_name: &str) -> Result<Expression, Refusal> {
    let usual = match type_name.to_lowercase().as_str() {
        flag if is_flag(flag) => "true",
        time if time == "date" || time.starts_with("timestamp") => "now()",
        _ => "",
    };
    let Some(mark) = wanted.cloned().or_else(|| Expression::parse(usual).ok()) else {
        return Err(Refusal::NeedsValue(
            format!("nothing says what {type_name} a deleted row gets as its mark"),
            "say it, as in `--mark \"'deleted'\"`".into(),
        ));
    };
    if !mark.fields().is_empty() {
        return Err(Refusal::Other {
            why: format!("`{mark}` reads a field, but the mark of a row may not depend on it"),
            hint: Some("a text is quoted twice, as in `--mark \"'gone'\"`".into()),
        });
    }
    if let Some(name) = mark.functions().iter().find(|f| ["current_user", "current_role", "user"].contains(&&***f)) {
        return Err(Refusal::Other {
            why: format!("`{name}` would be the owner of the table, whose rights a trigger needs to keep the row"),
            hint: Some("`session_user` is who is connected".into()),
        });
    }
    Ok(mark)
}

/// Refuses a table that a foreign key holds which would do something when a row leaves it, or that hangs on another one.
///
/// # Errors
/// Names it.
pub fn must_not_be_held(version: &Version, relation: &Relation) -> Result<(), Refusal> {
    let name = relation.name.short();
    for (other, constraint, key) in referring(version, relation) {
        let (constraint, other_name) = (&constraint.name, other.short());
        if *other == relation.base {
            return Err(Refusal::Other {
                why: format!("`{name}` refers to itself, and a row could refer to one that is marked"),
                hint: Some(format!("drop the foreign key first if it is no longer wanted: `{constraint}`")),
            });
        }
        let does = match key.on_delete {
            'c' => "deletes",
            'n' | 'd' => "changes",
            _ => continue,
        };
        return Err(Refusal::Other {
            why: format!(
                "the foreign key `{constraint}` {does} rows of `{other_name}` with those of `{name}`, but a row that is marked is not gone"
            ),
            hint: Some("let it be one that refuses to delete them instead, ON DELETE NO ACTION".into()),
        });
    }
    Ok(())
}

/// The foreign keys that tables have which refer to one.
fn referring<'v>(
    version: &'v Version,
    relation: &'v Relation,
) -> impl Iterator<Item = (&'v TableName, &'v Constraint, &'v ForeignKey)> {
    let all = version.schema.tables.iter().flat_map(|(name, table)| table.constraints.iter().map(move |c| (name, c)));
    all.filter_map(|(name, constraint)| match &constraint.kind {
        ConstraintKind::Foreign(key) if key.table == relation.base && !constraint.inherited => {
            Some((name, constraint, key))
        }
        _ => None,
    })
}

/// What must not hang on the table.
fn check(version: &Version, relation: &Relation) -> Result<(), Refusal> {
    if version.table(relation).kind != TableKind::Plain {
        return Err(Refusal::TableKind {
            table: relation.name.clone(),
            why: "is partitioned, and a table beside it would have the marked rows until this is real".into(),
            hint: Some("add a field for the mark, `refactor add-field`, and let new code set it".into()),
        });
    }
    uniting::check(version, relation)?;
    must_not_be_held(version, relation)?;
    let new = version.relations.values().flat_map(Relation::foreign_keys);
    let new = new.filter(|(_, key)| key.table == relation.base).find(|(c, _)| !matches!(c.origin, Origin::Table(..)));
    match new {
        None => Ok(()),
        Some((constraint, _)) => Err(Refusal::Other {
            why: format!(
                "the foreign key `{}`, which refers to `{}`, is not real yet",
                constraint.item.name,
                relation.name.short()
            ),
            hint: Some("materialize that refactoring first: `refactor materialize`".into()),
        }),
    }
}

/// What is good to know.
fn note(after: &mut Version, step: &str, relation: &Relation, shape: &schema::Field) {
    let (table, field) = (relation.name.short(), &shape.name);
    let mut say = |text: String| after.remark(step, RemarkKind::Note, text);
    say(format!(
        "what old code deletes from `{table}` is marked in `{field}`; TRUNCATE removes rows really, and marks none"
    ));
    say("a marked row holds its keys and what it refers to: old code cannot insert the same key again, nor delete what it refers to".into());
    if referring(after, relation).next().is_some() {
        let text = format!(
            "until this is materialized new code cannot mark a row of `{table}` that another refers to (0A000)"
        );
        after.remark(step, RemarkKind::Note, text);
    }
    for key in relation.foreign_keys().filter(|(_, key)| key.on_delete == 'c').map(|(c, _)| &c.item.name) {
        let text =
            format!("rows of `{table}` that `{key}` deletes with what they refer to are gone, with a mark or without");
        after.remark(step, RemarkKind::Note, text);
    }
    let schema = after.schema.clone();
    if schema.tables[&relation.base].triggers.iter().any(|t| t.enabled != 'D') {
        let text = format!(
            "until this is materialized, setting a mark is a DELETE for the triggers of `{table}`, and clearing it an INSERT"
        );
        after.remark(step, RemarkKind::Note, text);
    }
    uniting::remarks(after, step, &[relation], &[]);
}

/// The rows are still there, since hiding them is not real yet: so none was ever gone.
fn never_was(step: &str, before: &Version, relation: &Relation, restores: &str) -> Result<Version, Refusal> {
    let mut after = before.clone();
    let there = before.quarantined.iter().find(|q| q.step == restores).map(|q| &q.rows);
    let marks = relation.conditions().iter().find(|c| c.step == restores).and_then(|c| c.mark.as_ref());
    let (Some(there), Some((column, _))) = (there, marks) else {
        return Err(Refusal::Divided { table: relation.name.clone(), step: restores.to_owned() });
    };
    let mut shown = relation.clone();
    shown.touch(step);
    shown.hidden.retain(|h| h.column != *column);
    shown.fields.extend(there.showing(&before.schema, column).cloned());
    let conditions: Vec<Condition> = relation.conditions().iter().filter(|c| c.step != restores).cloned().collect();
    shown.rows = if conditions.is_empty() { Rows::Whole } else { Rows::Part(Part { conditions, heir: true }) };
    after.losses.retain(|l| l.step != restores || !matches!(l.kind, LossKind::Marked(_)));
    after.relations.insert(relation.name.clone(), shown);
    Ok(after)
}

/// What a table is without its mark, as it is written down for who brings marked rows back.
#[must_use]
pub fn without_mark(relation: &Relation, field: &Ident) -> Vec<String> {
    let mut rest = relation.clone();
    rest.remove_fields(std::slice::from_ref(field));
    shapes(&rest)
}
