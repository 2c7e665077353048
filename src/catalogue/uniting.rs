//! What hangs on tables that become one: what is in the way, what comes along, what goes.

use std::sync::Arc;

use crate::catalogue::{entangled, split_rows};
use crate::name::Ident;
use crate::refusal::Refusal;
use crate::relation::{Attached, Field, Home, Relation, Rows};
use crate::schema::{self, Constraint, ConstraintKind, Table, TableKind};
use crate::sql::Literal;
use crate::version::{Branch, RemarkKind, Source, Union, Version};

/// What must not hang on a table that is united with others.
///
/// # Errors
/// Names it.
pub fn check(version: &Version, relation: &Relation) -> Result<(), Refusal> {
    version.must_be_whole(relation)?;
    split_rows::must_take_no_part(version, relation)?;
    let table = version.table(relation);
    let kind = |why: String, hint: &str| {
        Err(Refusal::TableKind { table: relation.name.clone(), why, hint: Some(hint.into()) })
    };
    if table.kind != TableKind::Plain {
        return kind("is partitioned".into(), "partitions are united already");
    }
    if table.row_security {
        return kind("has row policies, which know one table only".into(), "disable row level security first");
    }
    if let Some(rule) = table.rules.first() {
        return kind(format!("has the rule `{}`, which knows one table only", rule.name), "drop the rule first");
    }
    if relation.is_touched() {
        let step = relation.touched_by.last().cloned().unwrap_or_default();
        return Err(Refusal::Other {
            why: format!("{step} changed `{}` and is not real yet", relation.name.short()),
            hint: Some("materialize that refactoring first: `refactor materialize`".into()),
        });
    }
    Ok(())
}

/// Foreign keys and numbers that would lead to a table that is not there any more.
///
/// # Errors
/// Names it.
pub fn references(version: &Version, relations: &[&Relation]) -> Result<(), Refusal> {
    for relation in &relations[1..] {
        let mut inbound = version.relations.values().flat_map(|r| r.foreign_keys().map(move |(c, key)| (r, c, key)));
        if let Some((other, constraint, _)) = inbound.find(|(_, _, key)| key.table == relation.base) {
            return Err(Refusal::Other {
                why: format!(
                    "the foreign key `{}` of `{}` refers to `{}`, whose rows get another table",
                    constraint.item.name,
                    other.name.short(),
                    relation.name.short()
                ),
                hint: Some(format!(
                    "name `{}` first, whose rows stay in their table; or drop the foreign key if it is no longer wanted",
                    relation.name.short()
                )),
            });
        }
        let owned = version.table(relation).fields.iter().filter_map(|f| f.sequence.as_ref());
        for sequence in owned.map(|s| Literal(s.to_string()).to_string()) {
            let uses = |f: &&Field| f.shape.default.as_ref().is_some_and(|d| d.contains(&sequence));
            let others = version.relations.values().filter(|r| r.base != relation.base);
            if let Some(other) = others.into_iter().find(|r| r.fields.iter().any(|f| uses(&f))) {
                return Err(Refusal::Other {
                    why: format!(
                        "`{}` takes its numbers from the sequence {sequence}, which would go with `{}`",
                        other.name.short(),
                        relation.name.short()
                    ),
                    hint: Some(format!("name `{}` first", relation.name.short())),
                });
            }
        }
    }
    Ok(())
}

/// Checks and foreign keys that hold for the rows of all tables stay; others go.
pub fn constraints(after: &mut Version, step: &str, relations: &[&Relation], united: &mut Relation) {
    let same = |a: &Constraint, b: &Constraint| a.definition == b.definition;
    let lacks = |r: &Relation, c: &Constraint| !c.fields.iter().all(|f| r.field(f).is_some());
    let holds = |c: &Constraint| {
        relations.iter().all(|r| {
            let foreign = matches!(c.kind, ConstraintKind::Foreign(_));
            r.constraints.iter().any(|o| same(&o.item, c)) || (foreign && lacks(r, c))
        })
    };
    let kept = |c: &Constraint| match c.kind {
        ConstraintKind::Primary | ConstraintKind::Unique | ConstraintKind::Exclude => true,
        ConstraintKind::Check | ConstraintKind::Foreign(_) | ConstraintKind::NotNull => holds(c),
    };
    let gone: Vec<String> =
        united.constraints.iter().filter(|c| !kept(&c.item)).map(|c| c.item.name.to_string()).collect();
    united.constraints.retain(|c| kept(&c.item));
    let mut lost = gone;
    for relation in &relations[1..] {
        for constraint in &relation.constraints {
            let item = &constraint.item;
            if united.constraints.iter().any(|c| same(&c.item, item)) {
                continue;
            }
            let taken = united.constraints.iter().any(|c| c.item.name == item.name);
            if matches!(item.kind, ConstraintKind::Foreign(_)) && holds(item) && !taken {
                united.constraints.push(constraint.clone());
            } else {
                lost.push(item.name.to_string());
            }
        }
    }
    for name in lost {
        after.remark(step, RemarkKind::Lost, format!("constraint `{name}`"));
    }
}

/// Indexes for lookups come along; what was unique in one table only is no longer.
pub fn indexes(after: &mut Version, step: &str, relations: &[&Relation], united: &mut Relation) {
    for relation in &relations[1..] {
        for index in &relation.indexes {
            let item = &index.item;
            let using = |d: &str| d.split_once(" USING ").map(|(_, rest)| rest.to_owned());
            let same = |i: &Attached<schema::Index>| {
                i.item.unique == item.unique && using(&i.item.definition) == using(&item.definition)
            };
            if united.indexes.iter().any(same) {
                continue;
            }
            if item.unique || item.constraint.is_some() {
                after.remark(step, RemarkKind::Lost, format!("index `{}`", item.name));
            } else {
                united.indexes.push(index.clone());
            }
        }
    }
}

/// What is unique over all rows.
///
/// # Errors
/// Names it.
pub fn keys(united: &Relation) -> Result<Vec<(Ident, Vec<Ident>)>, Refusal> {
    let odd = |name: &Ident| {
        Err(Refusal::Other {
            why: format!("`{name}` is more than a unique key of plain fields, and cannot be kept over several tables"),
            hint: Some("drop it first if it is no longer wanted".into()),
        })
    };
    let exclusion = united.constraints.iter().find(|c| c.item.kind == ConstraintKind::Exclude);
    if let Some(constraint) = exclusion {
        return odd(&constraint.item.name);
    }
    let mut keys = Vec::new();
    for index in united.indexes.iter().map(|i| &i.item).filter(|i| i.unique) {
        let fields: Option<Vec<Ident>> = index.keys.iter().cloned().collect();
        match fields {
            Some(fields) if index.immediate && !index.partial && !index.definition.contains("NULLS NOT DISTINCT") => {
                keys.push((index.name.clone(), fields));
            }
            _ => return odd(&index.name),
        }
    }
    Ok(keys)
}

/// Shows the rows of a table together with those of another that stands beside it, the last of the union.
pub fn unite(after: &mut Version, mut united: Relation, shapes: Vec<schema::Field>, union: Union, beside: Table) {
    united.rows = Rows::United(after.unions.len());
    let field = |(place, shape)| Field { shape, home: Home::United(place) };
    united.fields = shapes.into_iter().enumerate().map(field).collect();
    united.touch(&union.step);
    let tables = &mut Arc::make_mut(&mut after.schema).tables;
    tables.extend(union.branches.last().map(|last| (last.table.clone(), beside)));
    after.unions.push(union);
    after.relations.insert(united.name.clone(), united);
}

/// What goes with the tables, stands in the way, or is good to know.
pub fn remarks(after: &mut Version, step: &str, relations: &[&Relation], branches: &[Branch]) {
    let schema = after.schema.clone();
    for relation in &relations[1..] {
        let Some(table) = schema.table(&relation.base) else { continue };
        entangled::note_left_triggers(after, step, relation);
        for statistics in &table.statistics {
            after.remark(step, RemarkKind::Lost, format!("extended statistics `{}`", statistics.name.short()));
        }
        for publication in &table.publications {
            let text = format!("`{}` from publication `{}`", relation.name.short(), publication.name);
            after.remark(step, RemarkKind::Lost, text);
        }
        for view in schema.views.iter().filter(|v| v.relations.contains(&relation.base)) {
            let kind = if view.materialized { "materialized view" } else { "view" };
            let text = format!("{kind} `{}` reads `{}`", view.name.short(), relation.base.short());
            after.remark(step, RemarkKind::InTheWay, text);
        }
        entangled::note_row_type(after, step, relation);
    }
    let heir = relations[0];
    let referring: Vec<String> = after
        .relations
        .values()
        .flat_map(Relation::foreign_keys)
        .filter(|(_, key)| key.table == heir.base)
        .map(|(c, _)| format!("`{}`", c.item.name))
        .collect();
    if !referring.is_empty() {
        let text = format!(
            "until this is materialized {} finds only the rows that are stored in `{}`",
            referring.join(", "),
            heir.name.short()
        );
        after.remark(step, RemarkKind::Note, text);
    }
    for field in &heir.fields {
        let Some(sequence) = &field.shape.sequence else { continue };
        let text = Literal(sequence.to_string()).to_string();
        let draws = |r: &Relation| {
            let same = r.field(&field.shape.name).and_then(|f| f.shape.default.clone());
            same.is_some_and(|d| d.contains(&text))
        };
        let numbered = |b: &Branch| b.sources.iter().any(|s| matches!(s, Source::Numbered(_)));
        let others: Vec<String> = relations
            .iter()
            .zip(branches)
            .skip(1)
            .filter(|(r, b)| !draws(r) && !numbered(b))
            .map(|(r, _)| format!("`{}`", r.name.short()))
            .collect();
        if !others.is_empty() {
            let text = format!(
                "`{}` is numbered by `{}`, which does not know the numbers in {}; a number that is there already is refused",
                field.shape.name,
                sequence.short(),
                others.join(", ")
            );
            after.remark(step, RemarkKind::Note, text);
        }
    }
    for view in schema.views.iter().filter(|v| v.relations.contains(&relations[0].base)) {
        let text = format!(
            "view `{}` reads `{}`, and will find there the rows of the others too",
            view.name.short(),
            relations[0].base.short()
        );
        after.remark(step, RemarkKind::Note, text);
    }
    for relation in relations {
        let mentions = entangled::functions_that_mention_table(after, relation);
        let what = format!("`{}`", relation.name.short());
        entangled::note_functions(after, step, &mentions, &what);
    }
}
