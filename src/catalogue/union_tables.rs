//! `union-tables`: the rows of several tables become one table's.

use std::collections::BTreeSet;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::original::Original;
use crate::catalogue::split_rows::{self, SplitRows};
use crate::catalogue::{Refactor, Refactoring, entangled, likeness, primary, renumber, uniting};
use crate::fact::{Claim, Fact, Words};
use crate::name::{FieldRef, Ident, TableName, TableRef};
use crate::refusal::Refusal;
use crate::relation::{self, Attached, Field, Home, Relation, Rows};
use crate::schema::{self, Constraint, ConstraintKind};
use crate::sql::{Expression, Literal};
use crate::version::{Added, Branch, Gone, RemarkKind, Source, Union, Version, numbered};

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
    /// Give the rows of all tables but the first new keys, drawn by its sequence; which row had which is kept
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renumber: bool,
    /// The refactoring that gave them the keys that they have now
    #[arg(long, hide = true, requires = "renumber")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
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
            uniting::check(before, relation)?;
        }
        let heir = relations[0];
        let into = heir.name.renamed(self.into.clone());
        let own: Vec<&TableName> = relations.iter().map(|r| &r.name).collect();
        split_rows::must_be_free(before, &into, &own, "choose another name with `--into`")?;
        uniting::references(before, &relations)?;

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
        let mut branches: Vec<Branch> = branches.collect::<Result<_, _>>()?;
        united.fields = shapes
            .iter()
            .enumerate()
            .map(|(place, shape)| Field { shape: shape.clone(), home: Home::United(place) })
            .collect();
        let tells = self.tells(before, heir);
        uniting::constraints(&mut after, step, &relations, &mut united, tells.as_ref());
        uniting::not_null(&mut after, step, &relations, &mut united, tells.as_ref());
        uniting::indexes(&mut after, step, &relations, &mut united, tells.as_ref());
        if let Some((field, name)) = &discriminator {
            united.constraints.push(self.values_check(step, field, name));
        }
        let hint = match tells {
            Some(_) => uniting::DROP_FIRST,
            None => "with `--discriminator` such an index holds for the rows of its table alone; or drop it first",
        };
        let keys = uniting::keys(&united, hint)?;
        if self.renumber {
            renumber::renumber(&mut after, step, &relations, &united, &mut branches, self.restores.as_ref())?;
        }
        must_have_the_key(&relations)?;
        self.keep_what_has_no_place(&mut after, step, &united, &keys, &mut branches)?;
        facts(&mut after, step, &into, &branches, &shapes, &keys);
        uniting::remarks(&mut after, step, &relations, &branches);
        after.unions.push(Union {
            step: step.to_owned(),
            id: entangled::generated_id(step, &self.into),
            branches,
            fields: shapes.iter().map(|s| (s.name.clone(), s.type_name.clone())).collect(),
            keys,
            discriminator,
            brings_back: false,
            mark: None,
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

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
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
        let split = SplitRows {
            table: TableRef { schema: Some(heir.name.schema.clone()), name: self.into.clone() },
            conditions,
            into: relations[1..].iter().map(|r| r.name.name.clone()).collect(),
            rest: Some(heir.name.name.clone()).filter(|n| *n != self.into),
            unchecked: self.discriminator.is_none() && !self.conditions.iter().any(|c| is_checked(&relations, c)),
            drops,
            renumber: self.renumber,
            numbers: if self.renumber { renumber::numbers(before, &relations)? } else { Vec::new() },
            restores: self.renumber.then(|| step.to_owned()),
            rest_value: self
                .discriminator
                .as_ref()
                .and_then(|_| Expression::parse(&Literal(self.value(0)).to_string()).ok()),
            originals: Vec::new(),
        };
        let after = self.after(step, before)?;
        let united = &after.relations[&heir.name.renamed(self.into.clone())];
        let originals = Original::all(step, before, &relations, united, &split);
        Ok(Refactoring::SplitRows(SplitRows { originals, ..split }))
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
                entangled::must_be_free(relation, field, "choose another `--discriminator`")?;
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
                            "make them one type, as in `refactor change-type {} \"{}\"`, or rename one; then materialize",
                            relation.name.typed_field(name),
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
            shape.not_null = not_null;
            let numbered = relations[1..].iter().find_map(|r| r.field(&shape.name)?.shape.sequence.as_ref());
            if let Some(sequence) = numbered.filter(|_| first.is_none()) {
                let name = sequence.short();
                if shape.draws_from(sequence) {
                    let text = format!("`{name}` goes on numbering `{}`, but will belong to no field", shape.name);
                    after.remark(step, RemarkKind::Note, text);
                } else {
                    after.remark(step, RemarkKind::Lost, format!("`{name}`, which numbers `{}`", shape.name));
                    shape.default = None;
                }
            }
            uniting::settings(after, step, relations, shape);
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

    /// What tells to which table a row belongs, if a field of its own does.
    fn tells(&self, before: &Version, heir: &Relation) -> Option<uniting::Tells<'_>> {
        let values = (0..self.tables.len()).map(|i| Literal(self.value(i))).collect();
        let anew = if self.renumber { relation::row_key(before.table(heir)) } else { None };
        Some(uniting::Tells { field: self.discriminator.as_ref()?, values, anew })
    }

    fn branch(
        &self,
        before: &Version,
        relations: &[&Relation],
        i: usize,
        shapes: &[schema::Field],
    ) -> Result<Branch, Refusal> {
        let relation = relations[i];
        let key = entangled::row_key(before, relation)?;
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

    /// Lets the complement keep what rows have in fields that their tables do not have. What a key or a foreign key must
    /// find has to wait for the one table.
    fn keep_what_has_no_place(
        &self,
        after: &mut Version,
        step: &str,
        united: &Relation,
        keys: &[(Ident, Vec<Ident>)],
        branches: &mut [Branch],
    ) -> Result<(), Refusal> {
        let foreign = united.foreign_keys().flat_map(|(c, _)| &c.item.fields);
        let found: BTreeSet<&Ident> = keys.iter().flat_map(|(_, fields)| fields).chain(foreign).collect();
        for branch in branches {
            for (at, Field { shape, .. }) in united.fields.iter().enumerate() {
                let Source::Constant(shown) = &branch.sources[at] else { continue };
                if self.discriminator.as_ref() == Some(&shape.name) || found.contains(&shape.name) {
                    continue;
                }
                let seed = Expression::parse(shown).map_err(|e| Refusal::Expression(e.to_string()))?;
                let id = [numbered(step), branch.table.name.as_str(), shape.name.as_str()];
                branch.sources[at] = Source::Added(after.added.len());
                after.added.push(Added {
                    step: step.to_owned(),
                    id: Ident::generated(&id),
                    table: branch.table.clone(),
                    key: branch.key.clone(),
                    type_name: shape.type_name.clone(),
                    seed: Some(seed).filter(|seed| *seed != Expression::null()),
                    copied: None,
                    restores: None,
                    shared: false,
                });
            }
        }
        Ok(())
    }

    /// The check that the discriminator tells one of the tables.
    fn values_check(&self, step: &str, field: &Ident, name: &Ident) -> Attached<Constraint> {
        let values: Vec<String> = (0..self.tables.len()).map(|i| Literal(self.value(i)).to_string()).collect();
        let condition = format!("{field} IN ({})", values.join(", "));
        split_rows::new_check(step, name, vec![field.clone()], vec![field.clone()], &condition)
    }
}

/// The key of the first is the key of all.
fn must_have_the_key(relations: &[&Relation]) -> Result<(), Refusal> {
    let Some(key) = primary::of(relations[0]) else { return Ok(()) };
    for relation in &relations[1..] {
        let lacks = |f: &&Ident| relation.field(f).is_none_or(|f| !f.shape.not_null);
        if let Some(field) = key.fields.iter().find(lacks) {
            let (table, first) = (relation.name.short(), relations[0].name.short());
            let theirs = primary::of(relation).filter(|theirs| theirs.fields.len() == key.fields.len());
            let hint = match theirs.and_then(|t| t.fields.iter().find(|f| !key.fields.contains(f))) {
                Some(other) => {
                    format!(
                        "give them one name, as in `refactor rename-field {} {}`; then materialize",
                        relation.name.typed_field(other),
                        field.typed()
                    )
                }
                None => format!("give `{table}` that field first, NOT NULL"),
            };
            return Err(Refusal::Other {
                why: format!("`{field}` is part of the key of `{first}`, and a row of `{table}` may have none"),
                hint: Some(hint),
            });
        }
    }
    Ok(())
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

/// The facts of a union: no key is in two of its tables.
pub(super) fn facts(
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
