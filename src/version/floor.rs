//! Floors: where a refactoring needs a table and finds a relation that is not real yet, a table of ours with the same rows
//! stands between, kept equal in both directions. Everything above takes it for the table that the relation will be, so
//! that whatever can be declared once a refactoring is real can be declared before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::name::{Ident, TableName, listed, own};
use crate::refusal::Refusal;
use crate::relation::{Attached, Field as RelationField, Home, Origin, Relation, Rows};
use crate::schema::{
    Constraint, ConstraintKind, Field, ForeignKey, Identity, Index, ReplicaIdentity, Schema, Table, TableKind, Trigger,
};
use crate::sql::{rename_in_definition, rename_in_trigger, retarget};
use crate::version::{RemarkKind, Step, Version, numbered};

/// A table of ours with the rows of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// The refactoring that stands on it first.
    pub step: String,
    /// The table.
    pub table: TableName,
    /// The relation under it: its name in [`Version::under`].
    pub under: TableName,
    /// What the relation is called by who sees it.
    pub shows: TableName,
    /// What tells its rows apart.
    pub key: Vec<Ident>,
}

/// Where the rows of a table are now that relations over it stand on floors: the floor, and its fields by the table's columns.
type Moved = BTreeMap<TableName, (TableName, BTreeMap<Ident, Ident>)>;

impl Version {
    /// Whether a relation is one that stands under a floor.
    #[must_use]
    pub fn is_under(&self, relation: &Relation) -> bool {
        self.under.contains_key(&relation.name)
    }

    /// The floor that a table is.
    #[must_use]
    pub fn floor(&self, table: &TableName) -> Option<&Floor> {
        self.floors.iter().find(|f| f.table == *table)
    }

    /// How many refactorings can become real at once: up to the first that stands on a floor, or follows DDL.
    #[must_use]
    pub fn until_floor(&self) -> usize {
        let floors = self.floors.iter().map(|f| self.place_of(&f.step));
        floors.chain([self.until_after_ddl()]).min().unwrap_or_default()
    }

    /// The version after a step that is refused where tables are not real yet: on as few floors as will do. What is refused
    /// even so would be refused by the tables.
    pub(super) fn on_floors(&self, step: &Step, refusal: Refusal) -> Result<Self, Refusal> {
        let able = || self.relations.values().filter(|r| self.may_have_floor(r));
        let of = |relations: &mut dyn Iterator<Item = &Relation>| relations.map(|r| r.name.clone()).collect();
        let changed: BTreeSet<TableName> = of(&mut able().filter(|r| self.is_changed(r)));
        if changed.is_empty() {
            return Err(refusal);
        }
        let mut floors = changed;
        let mut tried = self.with_floors(&step.name, &floors).directly_after(step);
        if refusal.is_of_state() && tried.as_ref().is_err_and(Refusal::is_of_state) {
            // What is not real yet may be something about a table that is.
            floors = of(&mut able());
            tried = self.with_floors(&step.name, &floors).directly_after(step);
        }
        let mut found = match tried {
            Ok(found) => found,
            Err(other) if refusal.is_of_state() && !other.is_of_state() => return Err(other),
            Err(_) => return Err(refusal),
        };
        for name in floors.clone() {
            let fewer: BTreeSet<TableName> = floors.iter().filter(|f| **f != name).cloned().collect();
            if fewer.is_empty() {
                continue;
            }
            if let Ok(simpler) = self.with_floors(&step.name, &fewer).directly_after(step) {
                (floors, found) = (fewer, simpler);
            }
        }
        for floor in found.floors.clone().iter().filter(|f| f.step == step.name) {
            let text = format!(
                "this needs `{}` as a table: `{}` is one with its rows, kept equal to it in both directions, until what came before is real",
                floor.shows.short(),
                floor.table
            );
            found.remark(&step.name, RemarkKind::Note, text);
        }
        Ok(found)
    }

    /// Whether a relation is not its table, or is the table that SQL of a user names as it is.
    fn is_changed(&self, relation: &Relation) -> bool {
        relation.is_touched() || self.told.iter().any(|t| t.names.contains(&relation.base))
    }

    /// Whether a table of ours could have the rows of a relation: they can be told apart, and are for everybody who may read
    /// the table at all.
    fn may_have_floor(&self, relation: &Relation) -> bool {
        let table = self.table(relation);
        let plain = table.kind == TableKind::Plain && table.children.is_empty() && table.partition_of.is_none();
        let key = relation.row_key().is_some_and(|key| key.iter().all(|k| relation.field(k).is_some()));
        plain && !table.row_security && key
    }

    fn with_floors(&self, step: &str, names: &BTreeSet<TableName>) -> Self {
        let mut after = self.clone();
        let mut moved = Moved::new();
        let mut lowered = Vec::new();
        for name in names {
            let Some(mut under) = after.relations.remove(name) else { continue };
            let key = under.row_key().unwrap_or_default();
            let place: Vec<&str> = match name.schema.as_str() {
                "public" => vec![numbered(step), name.name.as_str()],
                schema => vec![numbered(step), schema, name.name.as_str()],
            };
            let table = own(&[&["floor"], &*place].concat());
            if under.is_heir() {
                moved.insert(under.base.clone(), (table.clone(), self.named_now(&under)));
            }
            under.name = own(&[&["under"], &*place].concat());
            // What is written to a floor is numbered there.
            for field in under.fields.iter_mut().filter(|f| f.shape.identity.is_some()) {
                field.shape.identity = Some(Identity::ByDefault);
            }
            let floor = Floor { step: step.to_owned(), table, under: under.name.clone(), shows: name.clone(), key };
            lowered.push((floor, self.relations[name].clone()));
            after.under.insert(under.name.clone(), under);
        }
        for (floor, relation) in lowered {
            let table = self.as_table(&relation, &floor.table, &moved);
            let mut above = Relation::of(&floor.table, &table);
            above.name = floor.shows.clone();
            above.is_shown = true;
            after.relations.insert(floor.shows.clone(), above);
            Arc::make_mut(&mut after.schema).tables.insert(floor.table.clone(), table);
            after.floors.push(floor);
        }
        for relation in after.relations.values_mut() {
            for constraint in &mut relation.constraints {
                let Some(far) = referred(&constraint.item, &moved) else { continue };
                constraint.item.kind = ConstraintKind::Foreign(far);
            }
        }
        after
    }

    /// The schema once all of this version is real.
    pub(crate) fn as_schema(&self) -> Schema {
        let mut moved = Moved::new();
        for relation in self.relations.values().filter(|r| r.is_heir() && r.is_touched()) {
            moved.insert(relation.base.clone(), (relation.name.clone(), self.named_now(relation)));
        }
        let mut schema = Schema::clone(&self.schema);
        schema.tables = self.relations.values().map(|r| (r.name.clone(), self.as_table(r, &r.name, &moved))).collect();
        // Indexes and sequences are in the schemas of their tables, under the names that they have then.
        for was in moved.keys() {
            let Some(table) = self.schema.tables.get(was) else { continue };
            let indexes = table.indexes.iter().map(|i| was.renamed(i.name.clone()));
            let numbers = table.fields.iter().filter_map(|f| f.sequence.clone());
            for name in indexes.chain(numbers) {
                schema.other_names.remove(&name);
            }
        }
        for (name, table) in &schema.tables {
            schema.other_names.extend(table.indexes.iter().map(|i| (name.renamed(i.name.clone()), "index")));
        }
        schema
    }

    /// The fields that show the columns of a relation's table.
    fn named_now(&self, relation: &Relation) -> BTreeMap<Ident, Ident> {
        let columns = self.table(relation).fields.iter();
        columns
            .filter_map(|c| Some((c.name.clone(), relation.showing(&self.schema, &c.name)?.shape.name.clone())))
            .collect()
    }

    /// A relation as the table that it will be, if nothing else happens to it.
    fn as_table(&self, relation: &Relation, name: &TableName, moved: &Moved) -> Table {
        let base = self.table(relation);
        let mut names = self.named_now(relation);
        names.retain(|column, field| column != field);
        let fields = (1..).zip(&relation.fields).map(|(number, field)| {
            let not_null = field.shape.not_null || relation.demand(&field.shape.name).is_some();
            let generated = field.shape.generated.clone().map(|mut g| {
                g.expression = rename_in_definition(&g.expression, &names);
                for field in &mut g.fields {
                    if let Some(name) = names.get(field) {
                        field.clone_from(name);
                    }
                }
                g
            });
            let sequence =
                field.shape.sequence.as_ref().map(|own| self.draws_from(relation, field).unwrap_or(own).clone());
            let shape = Field { number, not_null, generated, sequence, local: true, ..field.shape.clone() };
            match field.home {
                // Whatever will number its rows, the complement does until then.
                Home::Numbered(at) => {
                    let next = own(&["next", self.numberings[at].id.as_str()]);
                    let draws = self.numberings[at].draws.clone().unwrap_or_else(|| format!("{next}()"));
                    Field { identity: None, sequence: None, default: Some(draws), ..shape }
                }
                _ => shape,
            }
        });
        let keeps = |c: &&Attached<Constraint>| c.item.kind != ConstraintKind::NotNull;
        let constraints: Vec<Constraint> =
            relation.constraints.iter().filter(keeps).map(|c| as_constraint(c, moved)).collect();
        let mut indexes: Vec<Index> = relation.indexes.iter().map(|i| as_index(i, relation, name)).collect();
        for key in &constraints {
            let unique = matches!(key.kind, ConstraintKind::Primary | ConstraintKind::Unique);
            let served = |i: &Index| i.constraint.as_ref() == Some(&key.name);
            if unique && !indexes.iter().any(served) {
                let index = Index::unique(&key.name, name, &key.fields);
                indexes.push(Index { constraint: Some(key.name.clone()), immediate: !key.deferrable, ..index });
            }
        }
        let table = Table {
            oid: 0,
            fields: fields.collect(),
            constraints,
            indexes,
            policies: Vec::new(),
            followers: Vec::new(),
            not_null_names: BTreeMap::new(),
            comment: relation.comment.clone(),
            ..base.clone()
        };
        if relation.is_heir() {
            let follow = |t: &Trigger| {
                let definition = rename_in_trigger(&t.definition, &names);
                let renamed = |f: &Ident| names.get(f).unwrap_or(f).clone();
                Trigger { definition, fields: t.fields.iter().map(renamed).collect(), ..t.clone() }
            };
            Table { triggers: table.triggers.iter().map(follow).collect(), ..table }
        } else {
            // A table that is new has nothing that hangs on another.
            Table {
                triggers: Vec::new(),
                rules: Vec::new(),
                publications: Vec::new(),
                statistics: Vec::new(),
                row_type_users: Vec::new(),
                held_by: Vec::new(),
                replica_identity: ReplicaIdentity::default(),
                extension: None,
                ..table
            }
        }
    }
}

impl Version {
    /// The sequence that numbers a field until it has its own.
    fn draws_from<'v>(&'v self, relation: &Relation, field: &RelationField) -> Option<&'v TableName> {
        match (field.home, &relation.rows) {
            (Home::Own(at), Rows::Part(_)) if !relation.is_heir() => self.table(relation).fields[at].sequence.as_ref(),
            (_, Rows::Told(at)) => {
                let numbers = &self.told[*at].numbers;
                numbers.iter().find(|(name, _)| *name == field.shape.name).map(|(_, old)| old)
            }
            _ => None,
        }
    }
}

/// A constraint as the table will have it.
fn as_constraint(attached: &Attached<Constraint>, moved: &Moved) -> Constraint {
    let names = attached.columns.iter().cloned().zip(attached.item.fields.iter().cloned());
    let mut item = attached.item.clone();
    item.inherited = false;
    if let Some(far) = referred(&item, moved) {
        item.definition = far.printed(&item);
        item.kind = ConstraintKind::Foreign(far);
        return item;
    }
    item.definition = match (&item.kind, &attached.origin) {
        (ConstraintKind::Primary, _) => format!("PRIMARY KEY ({})", listed(&item.fields)),
        (ConstraintKind::Check, _) => attached.as_named().definition,
        (ConstraintKind::Foreign(key), _) => key.printed(&item),
        (_, Origin::Table(..)) => rename_in_definition(&item.definition, &names.collect()),
        _ => item.definition,
    };
    item
}

/// An index as the table will have it.
fn as_index(attached: &Attached<Index>, relation: &Relation, table: &TableName) -> Index {
    let names = attached.columns.iter().cloned().zip(attached.item.fields.iter().cloned());
    let definition = rename_in_definition(&attached.item.definition, &names.collect());
    let on = match &attached.origin {
        Origin::Table(of, _) => of,
        Origin::Step(_) | Origin::Rows(_) if definition.contains(&format!(" ON {} ", relation.name)) => &relation.name,
        Origin::Step(_) | Origin::Rows(_) => &relation.base,
    };
    Index { definition: retarget(&definition, on, table), ..attached.item.clone() }
}

/// The far side of a foreign key to rows that stand on a floor now.
fn referred(constraint: &Constraint, moved: &Moved) -> Option<ForeignKey> {
    let ConstraintKind::Foreign(key) = &constraint.kind else { return None };
    let (table, names) = moved.get(&key.table)?;
    let name = |column: &Ident| names.get(column).unwrap_or(column).clone();
    Some(ForeignKey { table: table.clone(), fields: key.fields.iter().map(name).collect(), ..key.clone() })
}
