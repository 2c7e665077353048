//! `union-tables`: the rows of several tables become one table's.

use std::collections::BTreeSet;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::split_rows::{self, SplitRows};
use crate::catalogue::{Refactor, Refactoring, likeness};
use crate::fact::{Claim, Fact, Words};
use crate::name::{FieldRef, Ident, TableName, TableRef};
use crate::refusal::Refusal;
use crate::relation::{Attached, Field, Home, Relation, Rows, row_key};
use crate::schema::{self, Constraint, ConstraintKind, TableKind};
use crate::sql::{Expression, Literal};
use crate::version::{Branch, Gone, RemarkKind, Source, Union, Version};

/// Make one table of several.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnionTables {
    /// Tables to unite; the first keeps its keys, indexes and rights
    #[arg(required = true, num_args = 2.., value_name = "TABLE")]
    pub tables: Vec<TableRef>,
    /// Name of the one table, in the schema of the first
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Ident>)]
    pub into: Ident,
    /// New field that tells from which table a row is
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discriminator: Option<Ident>,
    /// What it says for each table [default: their names]
    #[arg(long, value_name = "VALUE", value_delimiter = ',', requires = "discriminator")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Without a new field: what holds for the rows of each table but the first; once each, in their order
    #[arg(long = "where", value_name = "CONDITION", conflicts_with = "discriminator")]
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Expression>,
}

impl Refactor for UnionTables {
    fn wish(&self) -> String {
        let tables: Vec<String> = self.tables.iter().map(|t| format!("`{t}`")).collect();
        format!("unite {}", tables.join(", "))
    }

    fn slug(&self) -> String {
        let names: Vec<&str> = self.tables.iter().map(|t| t.name.as_str()).collect();
        format!("unite-{}", names.join("-"))
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let relations = self.tables.iter().map(|t| before.find_own(t)).collect::<Result<Vec<_>, _>>()?;
        self.check_arguments(&relations)?;
        for relation in &relations {
            check(before, relation)?;
        }
        let heir = relations[0];
        let into = heir.name.renamed(self.into.clone());
        let own: Vec<&TableName> = relations.iter().map(|r| &r.name).collect();
        split_rows::must_be_free(before, &into, &own, "choose another name with `--into`")?;
        references(before, &relations)?;

        let mut after = before.clone();
        let at = after.unions.len();
        let mut united = heir.clone();
        united.touch(step);
        united.name = into.clone();
        united.rows = Rows::United(at);
        let shapes = self.fields(&mut after, step, &relations)?;
        let discriminator = self
            .discriminator
            .as_ref()
            .map(|field| (field.clone(), likeness::check_name(self.into.as_str(), &[field.clone()].into(), heir)));
        let branches = (0..relations.len()).map(|i| self.branch(before, &relations, i, &shapes));
        let branches: Vec<Branch> = branches.collect::<Result<_, _>>()?;
        united.fields = shapes
            .iter()
            .enumerate()
            .map(|(place, shape)| Field { shape: shape.clone(), home: Home::United(place) })
            .collect();
        constraints(&mut after, step, &relations, &mut united);
        indexes(&mut after, step, &relations, &mut united);
        if let Some((field, name)) = &discriminator {
            united.constraints.push(self.values_check(step, field, name));
        }
        let keys = keys(&united)?;
        facts(&mut after, step, &into, &branches, &shapes, &keys);
        remarks(&mut after, step, &relations);
        after.unions.push(Union {
            step: step.to_owned(),
            id: crate::catalogue::entangled::generated_id(step, &self.into),
            branches,
            fields: shapes.iter().map(|s| (s.name.clone(), s.type_name.clone())).collect(),
            keys,
            discriminator,
        });
        for relation in &relations {
            after.relations.remove(&relation.name);
            if relation.name != into {
                let fate = format!("was united with others into `{}`", into.short());
                let gone = Gone { step: step.to_owned(), fate, now: Some(into.clone()) };
                after.gone.insert(relation.name.clone(), gone);
            }
        }
        after.gone.remove(&into);
        after.relations.insert(into, united);
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let relations = self.tables.iter().map(|t| before.find_own(t)).collect::<Result<Vec<_>, _>>()?;
        let heir = relations[0];
        let (mut conditions, mut drops) = (Vec::new(), Vec::new());
        for (i, relation) in relations.iter().enumerate() {
            if i > 0 {
                conditions.push(self.takes(i)?);
            }
            let others = relations.iter().flat_map(|r| &r.fields).map(|f| &f.shape.name);
            let mut gone: Vec<Ident> = Vec::new();
            for name in others.chain(&self.discriminator) {
                if relation.field(name).is_none() && !gone.contains(name) {
                    gone.push(name.clone());
                }
            }
            let table = TableRef { schema: Some(heir.name.schema.clone()), name: relation.name.name.clone() };
            drops.extend(gone.into_iter().map(|field| FieldRef { table: table.clone(), field }));
        }
        Ok(Refactoring::SplitRows(SplitRows {
            table: TableRef { schema: Some(heir.name.schema.clone()), name: self.into.clone() },
            conditions,
            into: relations[1..].iter().map(|r| r.name.name.clone()).collect(),
            rest: Some(heir.name.name.clone()).filter(|n| *n != self.into),
            unchecked: self.discriminator.is_none() && !self.conditions.iter().any(|c| is_checked(&relations, c)),
            drops,
            rest_value: self
                .discriminator
                .as_ref()
                .and_then(|_| Expression::parse(&Literal(self.value(0)).to_string()).ok()),
        }))
    }
}

impl UnionTables {
    fn check_arguments(&self, relations: &[&Relation]) -> Result<(), Refusal> {
        let count = relations.len();
        let names: BTreeSet<&TableName> = relations.iter().map(|r| &r.name).collect();
        if names.len() < count {
            return Err(Refusal::Nothing("a table is named twice".into()));
        }
        if let Some(field) = &self.discriminator {
            if !self.values.is_empty() && self.values.len() != count {
                return Err(Refusal::NeedsValue(
                    format!("`--values` gives {} values for {count} tables", self.values.len()),
                    "give one value for each table, in their order".into(),
                ));
            }
            let values: BTreeSet<String> = (0..count).map(|i| self.value(i)).collect();
            if values.len() < count {
                return Err(Refusal::Nothing("two tables would have one value".into()));
            }
            for relation in relations {
                crate::catalogue::entangled::must_be_free(relation, field, "choose another `--discriminator`")?;
            }
        } else if self.conditions.len() + 1 != count {
            return Err(Refusal::NeedsValue(
                "nothing tells to which table a row belongs".into(),
                "name a new field that tells it, as in `--discriminator kind`, or say what holds for the rows of each table but the first: `--where CONDITION`".into(),
            ));
        }
        Ok(())
    }

    /// What the discriminator says for a table.
    fn value(&self, i: usize) -> String {
        self.values.get(i).cloned().unwrap_or_else(|| self.tables[i].name.as_str().to_owned())
    }

    /// Which rows a table takes.
    fn takes(&self, i: usize) -> Result<Expression, Refusal> {
        match &self.discriminator {
            None => Ok(self.conditions[i - 1].clone()),
            Some(field) => Expression::parse(&format!("{field} = {}", Literal(self.value(i))))
                .map_err(|e| Refusal::Expression(e.to_string())),
        }
    }

    /// The fields of all tables, the first's first; the same name is the same field.
    fn fields(&self, after: &mut Version, step: &str, relations: &[&Relation]) -> Result<Vec<schema::Field>, Refusal> {
        let mut shapes: Vec<schema::Field> = Vec::new();
        for (i, relation) in relations.iter().enumerate() {
            for field in &relation.fields {
                let shape = &field.shape;
                let Some(known) = shapes.iter().find(|s| s.name == shape.name) else {
                    let fresh = schema::Field { identity: None, sequence: None, grants: Vec::new(), ..shape.clone() };
                    shapes.push(if i == 0 { shape.clone() } else { fresh });
                    continue;
                };
                let kind = |s: &schema::Field| format!("{}{}", s.type_name, s.collation.clone().unwrap_or_default());
                if kind(known) != kind(shape) {
                    let (name, table) = (&shape.name, relation.name.short());
                    return Err(Refusal::Other {
                        why: format!(
                            "`{name}` is {} in `{table}`, and {} in another of the tables",
                            shape.type_name, known.type_name
                        ),
                        hint: Some(format!(
                            "make them one type, as in `refactor change-type {table}.{name} \"{}\"`, or rename one; then materialize",
                            known.type_name
                        )),
                    });
                }
                let expression = |s: &schema::Field| s.generated.as_ref().map(|g| g.expression.clone());
                if expression(known) != expression(shape) {
                    return Err(not_everywhere(shape, relation));
                }
            }
        }
        for shape in &mut shapes {
            let has = |r: &&&Relation| r.field(&shape.name).is_some();
            let everywhere = relations.iter().filter(has).count() == relations.len();
            let first = relations[0].field(&shape.name);
            if shape.generated.is_some() && !everywhere {
                return Err(not_everywhere(shape, relations[0]));
            }
            let all = relations.iter().all(|r| r.field(&shape.name).is_some_and(|f| f.shape.not_null));
            let constant = !everywhere && constant(shape).is_some();
            let not_null = all
                || (constant
                    && relations.iter().filter(has).all(|r| r.field(&shape.name).is_some_and(|f| f.shape.not_null)));
            if shape.not_null && !not_null {
                after.remark(step, RemarkKind::Lost, format!("NOT NULL of `{}`", shape.name));
            }
            shape.not_null = not_null;
            if first.is_none() && shape.default.is_some() && !constant {
                after.remark(step, RemarkKind::Lost, format!("default of `{}`", shape.name));
                shape.default = None;
            }
        }
        if let Some(field) = &self.discriminator {
            shapes.push(schema::Field {
                type_name: "text".into(),
                not_null: true,
                ..schema::Field::named(field.clone())
            });
        }
        Ok(shapes)
    }

    fn branch(
        &self,
        before: &Version,
        relations: &[&Relation],
        i: usize,
        shapes: &[schema::Field],
    ) -> Result<Branch, Refusal> {
        let relation = relations[i];
        let key = row_key(before.table(relation)).ok_or_else(|| Refusal::NoKey { table: relation.name.clone() })?;
        let source = |shape: &schema::Field| {
            if self.discriminator.as_ref() == Some(&shape.name) {
                return Source::Constant(Literal(self.value(i)).to_string());
            }
            let column = relation.field(&shape.name).and_then(|f| relation.column(&before.schema, f));
            match column {
                Some(column) => Source::Column(column.clone()),
                None => Source::Constant(constant(shape).unwrap_or_else(|| "NULL".into())),
            }
        };
        let takes = match &self.discriminator {
            None if i == 0 => None,
            _ => Some(self.takes(i)?),
        };
        if let Some(takes) = &takes {
            let known = |f: &Ident| shapes.iter().any(|s| s.name == *f);
            if let Some(field) = takes.fields().into_iter().find(|f| !known(f)) {
                let names = shapes.iter().map(|s| s.name.as_str());
                let similar = crate::refusal::similar(field.as_str(), names);
                return Err(Refusal::NoField { table: relation.name.clone(), field, similar });
            }
        }
        Ok(Branch { table: relation.base.clone(), key, takes, sources: shapes.iter().map(source).collect() })
    }

    /// The check that the discriminator tells one of the tables.
    fn values_check(&self, step: &str, field: &Ident, name: &Ident) -> Attached<Constraint> {
        let values: Vec<String> = (0..self.tables.len()).map(|i| Literal(self.value(i)).to_string()).collect();
        let condition = format!("{field} IN ({})", values.join(", "));
        split_rows::new_check(step, name, vec![field.clone()], vec![field.clone()], &condition)
    }
}

/// Whether a check is about the fields of a condition.
fn is_checked(relations: &[&Relation], condition: &Expression) -> bool {
    let fields = condition.fields();
    let checks = |r: &Relation| {
        let mut checks = r.constraints.iter().map(|c| &c.item).filter(|c| c.kind == ConstraintKind::Check);
        checks.any(|c| fields.iter().all(|f| c.fields.contains(f)) && c.fields.len() == fields.len())
    };
    relations.iter().any(|r| checks(r))
}

fn not_everywhere(shape: &schema::Field, relation: &Relation) -> Refusal {
    Refusal::Other {
        why: format!(
            "`{}` of `{}` is generated, but not in all tables by the same expression",
            shape.name,
            relation.name.short()
        ),
        hint: Some("drop the expression first, as in `ALTER TABLE … ALTER COLUMN … DROP EXPRESSION`".into()),
    }
}

/// The default of a field, if it is a constant: what a row shows that has no such field.
fn constant(shape: &schema::Field) -> Option<String> {
    let default = shape.default.as_ref()?;
    let plain = Expression::parse(default).ok()?;
    (plain.functions().is_empty() && plain.fields().is_empty()).then(|| default.clone())
}

/// What must not hang on a table that is united with others.
fn check(version: &Version, relation: &Relation) -> Result<(), Refusal> {
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
fn references(version: &Version, relations: &[&Relation]) -> Result<(), Refusal> {
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
                hint: Some("name that table first, or drop the foreign key if it is no longer wanted".into()),
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
fn constraints(after: &mut Version, step: &str, relations: &[&Relation], united: &mut Relation) {
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
fn indexes(after: &mut Version, step: &str, relations: &[&Relation], united: &mut Relation) {
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
fn keys(united: &Relation) -> Result<Vec<(Ident, Vec<Ident>)>, Refusal> {
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

fn facts(
    after: &mut Version,
    step: &str,
    into: &TableName,
    branches: &[Branch],
    shapes: &[schema::Field],
    keys: &[(Ident, Vec<Ident>)],
) {
    for (_, fields) in keys {
        let columns = |branch: &Branch| -> Option<Vec<Ident>> {
            let place = |f: &Ident| shapes.iter().position(|s| s.name == *f);
            fields.iter().map(|f| branch.column(place(f)?).cloned()).collect()
        };
        let places: Vec<(TableName, Vec<Ident>)> =
            branches.iter().filter_map(|b| Some((b.table.clone(), columns(b)?))).collect();
        let Some((_, first)) = places.first().filter(|_| places.len() > 1) else { continue };
        let field = Ident::new(first.iter().map(Ident::as_str).collect::<Vec<_>>().join(", "));
        after.facts.push(Fact {
            step: step.to_owned(),
            claim: Claim::Apart { places, words: Words { table: into.clone(), field, other: into.clone() } },
        });
    }
}

/// What goes with the tables, stands in the way, or is good to know.
fn remarks(after: &mut Version, step: &str, relations: &[&Relation]) {
    let schema = after.schema.clone();
    for relation in &relations[1..] {
        let Some(table) = schema.table(&relation.base) else { continue };
        for trigger in &table.triggers {
            let text = format!("trigger `{}` of `{}`", trigger.name, relation.name.short());
            after.remark(step, RemarkKind::Lost, text);
        }
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
        for user in &table.row_type_users {
            after.remark(step, RemarkKind::InTheWay, format!("{user} uses the type of `{}`", relation.base.short()));
        }
    }
    let heir = relations[0];
    for field in &heir.fields {
        let Some(sequence) = &field.shape.sequence else { continue };
        let text = Literal(sequence.to_string()).to_string();
        let draws = |r: &&&Relation| {
            let same = r.field(&field.shape.name).and_then(|f| f.shape.default.clone());
            same.is_some_and(|d| d.contains(&text))
        };
        let others: Vec<String> =
            relations[1..].iter().filter(|r| !draws(r)).map(|r| format!("`{}`", r.name.short())).collect();
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
        let mentions = crate::catalogue::entangled::functions_that_mention_table(after, relation);
        let what = format!("`{}`", relation.name.short());
        crate::catalogue::entangled::note_functions(after, step, &mentions, &what);
    }
}
