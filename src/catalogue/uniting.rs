//! What hangs on tables that become one: what is in the way, what comes along, what goes.

use std::sync::Arc;

use crate::catalogue::{entangled, split_rows};
use crate::name::Ident;
use crate::refusal::Refusal;
use crate::relation::{self, Attached, Field, Home, Origin, Relation, Rows};
use crate::schema::{self, Constraint, ConstraintKind, Grant, Table, TableKind};
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
        let hint =
            format!("if everybody may see all of its rows: `ALTER TABLE {} DISABLE ROW LEVEL SECURITY`", relation.base);
        return kind("has row policies, which know one table only".into(), &hint);
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

/// What tells to which table a row belongs, where a field of its own says it.
pub struct Tells<'a> {
    /// The field.
    pub field: &'a Ident,
    /// What it says for each table.
    pub values: Vec<Literal>,
    /// A key that rows get anew: nothing may know it.
    pub anew: Option<Vec<Ident>>,
}

impl Tells<'_> {
    /// A check that holds for the rows of one table.
    fn check(&self, step: &str, at: usize, item: &Constraint) -> Option<Attached<Constraint>> {
        let holds = relation::checked(item).filter(|_| !self.is_anew(&item.fields))?;
        let fields: Vec<Ident> = item.fields.iter().chain([self.field]).cloned().collect();
        let condition = format!("{} <> {} OR ({holds})", self.field, self.values[at]);
        let mut check = split_rows::new_check(step, &item.name, fields.clone(), fields, &condition);
        check.item.comment.clone_from(&item.comment);
        check.item.validated = item.validated;
        if !item.validated {
            check.item.definition += " NOT VALID";
        }
        Some(check)
    }

    /// A unique index over the rows of one table.
    fn index(&self, step: &str, at: usize, index: &Attached<schema::Index>) -> Option<Attached<schema::Index>> {
        let item = &index.item;
        if !item.unique || !item.immediate || self.is_anew(&item.fields) {
            return None;
        }
        let (start, only) = item.definition.split_once(" WHERE ").unwrap_or((&item.definition, ""));
        let only = if only.is_empty() { String::new() } else { format!(" AND ({only})") };
        let fields: Vec<Ident> = item.fields.iter().chain([self.field]).cloned().collect();
        let item = schema::Index {
            definition: format!("{start} WHERE ({} = {}{only})", self.field, self.values[at]),
            fields: fields.clone(),
            partial: true,
            constraint: None,
            ..item.clone()
        };
        Some(Attached { item, origin: Origin::Rows(step.to_owned()), columns: fields })
    }

    fn is_anew(&self, fields: &[Ident]) -> bool {
        self.anew.iter().flatten().any(|f| fields.contains(f))
    }
}

/// Checks and foreign keys that hold for the rows of all tables stay. A check of one table goes on for its rows alone,
/// where a field tells them; others go.
pub fn constraints(
    after: &mut Version,
    step: &str,
    relations: &[&Relation],
    united: &mut Relation,
    tells: Option<&Tells>,
) {
    let same = |a: &Constraint, b: &Constraint| a.definition == b.definition;
    let lacks = |r: &Relation, c: &Constraint| !c.fields.iter().all(|f| r.field(f).is_some());
    let holds = |c: &Constraint| {
        relations.iter().all(|r| {
            let foreign = matches!(c.kind, ConstraintKind::Foreign(_));
            r.constraints.iter().any(|o| same(&o.item, c)) || (foreign && lacks(r, c))
        })
    };
    united.constraints.clear();
    let mut lost = Vec::new();
    for (at, relation) in relations.iter().enumerate() {
        for constraint in &relation.constraints {
            let item = &constraint.item;
            if united.constraints.iter().any(|c| same(&c.item, item)) {
                continue;
            }
            let mut kept = match item.kind {
                ConstraintKind::Primary | ConstraintKind::Unique | ConstraintKind::Exclude => {
                    Some(constraint.clone()).filter(|_| at == 0)
                }
                ConstraintKind::Foreign(_) | ConstraintKind::NotNull => {
                    Some(constraint.clone()).filter(|_| holds(item))
                }
                ConstraintKind::Check if holds(item) => Some(constraint.clone()),
                ConstraintKind::Check => tells.and_then(|t| t.check(step, at, item)),
            };
            if let Some(kept) = kept.as_mut().filter(|_| at > 0) {
                kept.item.name = free(united, &item.name);
            }
            // What serves as a key is told with its index.
            let key = matches!(item.kind, ConstraintKind::Primary | ConstraintKind::Unique);
            if kept.is_none() && !(key && tells.is_some()) {
                lost.push(item.name.to_string());
            }
            united.constraints.extend(kept);
        }
    }
    for name in lost {
        after.remark(step, RemarkKind::Lost, format!("constraint `{name}`"));
    }
}

/// What the first table says of a field holds for all; a comment that only another has comes along.
pub fn settings(after: &mut Version, step: &str, relations: &[&Relation], shape: &mut schema::Field) {
    let numbered = |s: &schema::Field| s.sequence.is_some() || s.identity.is_some();
    for relation in relations {
        let Some(theirs) = relation.field(&shape.name).map(|f| &f.shape) else { continue };
        shape.comment = shape.comment.take().or_else(|| theirs.comment.clone());
        let differ = [
            ("default", theirs.default != shape.default && !numbered(theirs) && theirs.default.is_some()),
            ("comment", theirs.comment != shape.comment && theirs.comment.is_some()),
            ("storage", theirs.storage != shape.storage || theirs.compression != shape.compression),
            ("statistics target", theirs.statistics != shape.statistics || theirs.options != shape.options),
        ];
        for (what, _) in differ.iter().filter(|(_, differs)| *differs) {
            let text = format!("{what} of `{}.{}`", relation.name.short(), shape.name);
            after.remark(step, RemarkKind::Lost, text);
        }
    }
}

/// What a table that goes has, and the first has not.
fn of_table(after: &mut Version, step: &str, heir: &Table, name: &str, table: &Table) {
    let mut lost = Vec::new();
    if table.comment.is_some() && table.comment != heir.comment {
        lost.push(format!("comment of `{name}`"));
    }
    if table.options != heir.options {
        lost.push(format!("storage options of `{name}`"));
    }
    let owner = |g: &&Grant| g.role != table.owner;
    for grant in table.grants.iter().flatten().filter(owner).filter(|g| !heir.grants.iter().flatten().any(|h| h == *g))
    {
        lost.push(format!("{} on `{name}` for {}", grant.privilege, receiver(grant)));
    }
    for field in &table.fields {
        let there = heir.fields.iter().find(|f| f.name == field.name);
        for grant in field.grants.iter().filter(owner).filter(|g| there.is_none_or(|f| !f.grants.contains(g))) {
            lost.push(format!("{} on `{name}.{}` for {}", grant.privilege, field.name, receiver(grant)));
        }
    }
    for text in lost {
        after.remark(step, RemarkKind::Lost, text);
    }
}

fn receiver(grant: &Grant) -> String {
    grant.role.as_ref().map_or_else(|| "everybody".to_owned(), |role| format!("`{role}`"))
}

/// A name that no constraint has yet.
fn free(united: &Relation, name: &Ident) -> Ident {
    let taken = |name: &Ident| united.constraints.iter().any(|c| c.item.name == *name);
    let numbered = (1..).map(|n| Ident::generated(&[&*format!("{}{n}", name.as_str())]));
    std::iter::once(name.clone()).chain(numbered).find(|n| !taken(n)).unwrap_or_else(|| name.clone())
}

/// NOT NULL that only some tables demand of a field is a check for their rows, or goes.
pub fn not_null(
    after: &mut Version,
    step: &str,
    relations: &[&Relation],
    united: &mut Relation,
    tells: Option<&Tells>,
) {
    for field in united.fields.clone().iter().map(|f| &f.shape).filter(|s| !s.not_null) {
        let demands = |r: &Relation| r.field(&field.name).is_some_and(|f| f.shape.not_null);
        for at in (0..relations.len()).filter(|at| demands(relations[*at])) {
            let Some(tells) = tells else {
                after.remark(step, RemarkKind::Lost, format!("NOT NULL of `{}`", field.name));
                continue;
            };
            let condition = format!("{} <> {} OR {} IS NOT NULL", tells.field, tells.values[at], field.name);
            let fields = vec![tells.field.clone(), field.name.clone()];
            let name = Ident::generated(&[united.name.name.as_str(), field.name.as_str(), "given"]);
            let name = free(united, &name);
            united.constraints.push(split_rows::new_check(step, &name, fields.clone(), fields, &condition));
        }
    }
}

/// Indexes for lookups come along. What is unique in one table only stays so for its rows, where a field tells them.
pub fn indexes(after: &mut Version, step: &str, relations: &[&Relation], united: &mut Relation, tells: Option<&Tells>) {
    united.indexes.clear();
    for (at, relation) in relations.iter().enumerate() {
        for index in &relation.indexes {
            let item = &index.item;
            let using = |d: &str| d.split_once(" USING ").map(|(_, rest)| rest.to_owned());
            let same = |i: &Attached<schema::Index>| {
                i.item.unique == item.unique && using(&i.item.definition) == using(&item.definition)
            };
            if united.indexes.iter().any(same) {
                continue;
            }
            let for_all = if at == 0 { plain_key(item).is_some() || item.constraint.is_some() } else { false };
            let kept = if for_all || (!item.unique && item.constraint.is_none()) {
                Some(index.clone())
            } else {
                tells.and_then(|t| t.index(step, at, index))
            };
            match kept {
                Some(kept) => united.indexes.push(kept),
                // It is refused by name.
                None if at == 0 => united.indexes.push(index.clone()),
                None => {
                    if item.constraint.is_some() && tells.is_some() {
                        after.remark(step, RemarkKind::Lost, format!("constraint `{}`", item.name));
                    }
                    after.remark(step, RemarkKind::Lost, format!("index `{}`", item.name));
                }
            }
        }
    }
}

/// The fields that a unique index says to be unique over all rows, if that is all it says.
fn plain_key(index: &schema::Index) -> Option<Vec<Ident>> {
    let fields: Vec<Ident> = index.keys.iter().cloned().collect::<Option<_>>()?;
    let plain = index.unique && index.immediate && !index.partial && !index.definition.contains("NULLS NOT DISTINCT");
    plain.then_some(fields)
}

/// What to do about a key that cannot be one of several tables.
pub const DROP_FIRST: &str = "drop it first if it is no longer wanted";

/// What is unique over all rows.
///
/// # Errors
/// Names it.
pub fn keys(united: &Relation, hint: &str) -> Result<Vec<(Ident, Vec<Ident>)>, Refusal> {
    let odd = |name: &Ident| {
        Err(Refusal::Other {
            why: format!("`{name}` is more than a unique key of plain fields, and cannot be kept over several tables"),
            hint: Some(hint.into()),
        })
    };
    let exclusion = united.constraints.iter().find(|c| c.item.kind == ConstraintKind::Exclude);
    if let Some(constraint) = exclusion {
        return odd(&constraint.item.name);
    }
    let mut keys = Vec::new();
    // One that the union itself tells is for the rows of one table, which keeps it.
    let is_of_one = |i: &&Attached<schema::Index>| matches!(i.origin, Origin::Rows(_));
    for index in united.indexes.iter().filter(|i| i.item.unique && !is_of_one(i)).map(|i| &i.item) {
        match plain_key(index) {
            Some(fields) => keys.push((index.name.clone(), fields)),
            None => return odd(&index.name),
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
        if let Some(heir) = schema.table(&relations[0].base) {
            of_table(after, step, heir, &relation.name.short(), table);
        }
        for statistics in &table.statistics {
            after.remark(step, RemarkKind::Lost, format!("extended statistics `{}`", statistics.name.short()));
        }
        for publication in &table.publications {
            let text = format!("`{}` from publication `{}`", relation.name.short(), publication.name);
            after.remark(step, RemarkKind::Lost, text);
        }
        entangled::note_row_type(after, step, relation);
    }
    let heir = relations[0];
    if relations.len() > 1 {
        for trigger in schema.table(&heir.base).into_iter().flat_map(|t| &t.triggers) {
            let text = format!(
                "trigger `{}` of `{}` fires for the rows of the others, too, once this is materialized",
                trigger.name,
                heir.name.short()
            );
            after.remark(step, RemarkKind::Note, text);
        }
    }
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
