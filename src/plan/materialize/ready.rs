//! New rules and indexes of large tables that keep their identity, made ready while everybody works: an index is built
//! concurrently, a rule is added without being asked and then validated. In the transaction that makes all real they only get
//! their names. What is cut off between is ours by its name, and is taken back by the next run.

use std::collections::BTreeMap;

use crate::fact::{Claim, Fact};
use crate::generate::list;
use crate::name::{Ident, TableName};
use crate::plan::PlanStep;
use crate::plan::materialize::attach::{besides_fields, by_index, definition, index_lines, taken_index};
use crate::plan::materialize::{Options, Way};
use crate::relation::{Home, NamesFields, Relation, Rows};
use crate::schema::{Constraint, ConstraintKind, TableKind};
use crate::sql::{Literal, rename_in_definition};
use crate::version::Version;

/// What the names of all that is made ready begin with.
pub const READY: &str = "refactor_ready";

/// Rules and indexes that are made ready.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ready {
    items: Vec<Item>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
struct Item {
    /// The table as it is called now.
    table: TableName,
    /// What it will be called; of a rule also who brings it.
    name: Ident,
    step: Option<String>,
    before: Vec<PlanStep>,
    /// What makes it what it will be, on the table as it is called then.
    then: Vec<String>,
}

impl Ready {
    /// What can be made ready.
    #[must_use]
    pub fn new(version: &Version, ways: &[(&Relation, Way)], options: &Options) -> Self {
        let keeps = |(relation, way): &&(&Relation, Way)| {
            let table = version.table(relation);
            matches!(way, Way::Catalogue | Way::InPlace)
                && relation.rows == Rows::Whole
                && table.kind == TableKind::Plain
                && table.partition_of.is_none()
                && table.inherits.is_empty()
                && table.children.is_empty()
                && table.bytes >= options.beside_from
                && version.made.iter().all(|m| m.table != relation.base)
                && version.floor(&relation.base).is_none()
        };
        let mut items = Vec::new();
        let stay: Vec<&(&Relation, Way)> = ways.iter().filter(keeps).collect();
        for (relation, _) in &stay {
            items.extend(indexes(version, relation));
            items.extend(relation.constraints.iter().filter(|c| c.brought_by().is_some()).filter_map(|c| {
                let columns = columns_of(version, relation, &c.item.fields)?;
                let mut item = rule(version, relation, &c.item, &definition(c), &columns)?;
                item.step = c.brought_by().cloned();
                Some(item)
            }));
        }
        Self { items }
    }

    /// What is done before the transaction.
    pub fn before(&self) -> impl Iterator<Item = PlanStep> + '_ {
        self.items.iter().flat_map(|i| i.before.clone())
    }

    /// What is done in it instead of making an index or a rule.
    #[must_use]
    pub fn then(&self, relation: &Relation, name: &Ident) -> Option<&Vec<String>> {
        self.items.iter().find(|i| i.table == relation.base && i.name == *name).map(|i| &i.then)
    }

    /// Whether a fact holds whatever was written since it was asked: PostgreSQL has asked it of all rows, or what is stored
    /// fits a larger limit.
    #[must_use]
    pub fn answers(&self, version: &Version, fact: &Fact) -> bool {
        match &fact.claim {
            Claim::Keeps { rule, .. } => {
                self.items.iter().any(|i| i.step.as_ref() == Some(&fact.step) && i.name == rule.name)
            }
            Claim::Fits { .. } => version.shaped.iter().any(|s| s.step == fact.step && s.relabels()),
            _ => false,
        }
    }
}

/// The columns of fields that are what they were, by the names of the fields.
fn columns_of(version: &Version, relation: &Relation, fields: &[Ident]) -> Option<BTreeMap<Ident, Ident>> {
    let own = |name: &Ident| {
        let field = relation.field(name)?;
        let stays = matches!(field.home, Home::Own(_));
        Some((name.clone(), relation.column(&version.schema, field).filter(|_| stays)?.clone()))
    };
    fields.iter().map(own).collect()
}

fn name_of(relation: &Relation, name: &Ident) -> Ident {
    Ident::generated(&[READY, relation.base.name.as_str(), name.as_str()])
}

fn item(relation: &Relation, name: &Ident, before: Vec<PlanStep>, then: Vec<String>) -> Item {
    Item { table: relation.base.clone(), name: name.clone(), step: None, before, then }
}

fn indexes<'v>(version: &'v Version, relation: &'v Relation) -> impl Iterator<Item = Item> + 'v {
    relation.indexes.iter().filter(|i| i.brought_by().is_some()).filter_map(|index| {
        let columns = columns_of(version, relation, index.item.fields())?;
        let (base, to) = (&relation.base, &relation.name);
        let mut lines = index_lines(version, to, index).into_iter();
        let made = lines.next()?;
        let using = rename_in_definition(&made[made.find(" USING ")?..], &columns);
        let ready = name_of(relation, &index.item.name);
        let unique = if index.item.unique { "UNIQUE " } else { "" };
        let sql = format!("CREATE {unique}INDEX CONCURRENTLY {ready} ON {base}{using}");
        let rename = format!("ALTER INDEX {} RENAME TO {};", to.renamed(ready.clone()), index.item.name);
        let then = [rename].into_iter().chain(lines).collect();
        let step = index.brought_by().cloned();
        Some(Item { step, ..item(relation, &index.item.name, vec![built(&index.item.name, base, sql)], then) })
    })
}

fn built(name: &Ident, table: &TableName, sql: String) -> PlanStep {
    PlanStep::new(format!("build index `{name}` of `{}` while others write", table.short()), sql).alone()
}

fn rule(
    version: &Version,
    relation: &Relation,
    rule: &Constraint,
    definition: &str,
    columns: &BTreeMap<Ident, Ident>,
) -> Option<Item> {
    let (base, to, name) = (&relation.base, &relation.name, &rule.name);
    let ready = name_of(relation, name);
    let rename = format!("ALTER TABLE {to} RENAME CONSTRAINT {ready} TO {name};");
    let comment = rule.comment.as_ref();
    let comment = comment.map(|text| format!("COMMENT ON CONSTRAINT {name} ON {to} IS {};", Literal(text.clone())));
    let listed = |fields: &[Ident]| list(&fields.iter().map(|f| &columns[f]).collect::<Vec<_>>());
    let added = |text: &str, lock: &str| {
        let add = PlanStep::new(
            format!("add `{name}` to `{}` for what is written from now on", base.short()),
            format!("ALTER TABLE {base} ADD CONSTRAINT {ready} {text} NOT VALID;"),
        );
        let validate = PlanStep::new(
            format!("ask the rows of `{}` for `{name}` while others write", base.short()),
            format!("ALTER TABLE {base} VALIDATE CONSTRAINT {ready}"),
        )
        .alone();
        vec![add.locking(lock), validate]
    };
    let exclusive = format!("ACCESS EXCLUSIVE on {}, for a catalogue update", base.short());
    let (before, then) = match &rule.kind {
        ConstraintKind::NotNull => {
            let column = columns.get(rule.fields.first()?)?;
            let field = rule.fields.first()?;
            let then = vec![
                format!("ALTER TABLE {to} ALTER COLUMN {field} SET NOT NULL;"),
                format!("ALTER TABLE {to} DROP CONSTRAINT {ready};"),
            ];
            (added(&format!("CHECK ({column} IS NOT NULL)"), &exclusive), then)
        }
        ConstraintKind::Check => (added(&rename_in_definition(definition, columns), &exclusive), vec![rename]),
        ConstraintKind::Primary if let Some(index) = taken_index(version, relation, rule) => {
            let then = vec![format!("ALTER TABLE {to} ADD CONSTRAINT {name} {};", by_index(rule, index))];
            (Vec::new(), then)
        }
        ConstraintKind::Unique | ConstraintKind::Primary => {
            let rest = besides_fields(rule, definition)?;
            let sql = format!("CREATE UNIQUE INDEX CONCURRENTLY {ready} ON {base} ({})", listed(&rule.fields));
            let then = vec![format!("ALTER TABLE {to} ADD CONSTRAINT {name} {}{rest};", by_index(rule, &ready))];
            (vec![built(name, base, sql)], then)
        }
        ConstraintKind::Foreign(key) => {
            let far = version.schema.tables.get(&key.table)?;
            let is_key = |c: &&Constraint| {
                matches!(c.kind, ConstraintKind::Primary | ConstraintKind::Unique) && c.fields == key.fields
            };
            let stays = version.over(&key.table).is_none_or(|r| !r.is_touched()) && far.kind == TableKind::Plain;
            far.constraints.iter().find(is_key).filter(|_| stays)?;
            let fields = rule.fields.iter().map(|f| columns[f].clone()).collect();
            let near = Constraint { fields, validated: true, ..rule.clone() };
            let lock =
                format!("SHARE ROW EXCLUSIVE on {} and {}, for a catalogue update", base.short(), key.table.short());
            (added(&key.definition(&near, &key.table, &key.fields), &lock), vec![rename])
        }
        ConstraintKind::Exclude => return None,
    };
    Some(item(relation, name, before, then.into_iter().chain(comment).collect()))
}
