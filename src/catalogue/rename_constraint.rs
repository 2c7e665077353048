//! `rename-constraint`: a rule, a key or an index under another name.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::{FieldRef, Ident};
use crate::refusal::{Refusal, list, similar};
use crate::relation::{Attached, Relation, Rows};
use crate::schema::{Constraint, ConstraintKind};
use crate::version::{RemarkKind, Version};

/// Give a constraint or an index another name.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenameConstraint {
    /// Constraint or index, with its table, as in `orders.orders_total_check`
    pub constraint: FieldRef,
    /// New name
    #[arg(value_parser = str::parse::<Ident>)]
    pub to: Ident,
}

/// What is called so.
struct Found<'v> {
    relation: &'v Relation,
    name: &'v Ident,
    /// Whether there is an index of that name.
    indexed: bool,
    /// Whether it comes from the table above.
    inherited: bool,
    /// Whether no table has it yet.
    new: bool,
}

fn is_named(constraint: &Attached<Constraint>) -> bool {
    constraint.item.kind != ConstraintKind::NotNull
}

impl RenameConstraint {
    fn find<'v>(&self, before: &'v Version) -> Result<Found<'v>, Refusal> {
        let relation = before.find_own(&self.constraint.table)?;
        let name = &self.constraint.field;
        let folded = Ident::new(name.as_str().to_lowercase());
        for name in [name, &folded] {
            let called = |c: &&Attached<Constraint>| is_named(c) && c.item.name == *name;
            if let Some(found) = relation.constraints.iter().find(called) {
                let item = &found.item;
                let key =
                    matches!(item.kind, ConstraintKind::Primary | ConstraintKind::Unique | ConstraintKind::Exclude);
                let (new, inherited) = (found.brought_by().is_some(), item.inherited);
                return Ok(Found { relation, name: &item.name, indexed: key, inherited, new });
            }
            if let Some(found) = relation.indexes.iter().find(|i| i.item.name == *name) {
                let (item, new) = (&found.item, found.brought_by().is_some());
                return Ok(Found { relation, name: &item.name, indexed: true, inherited: item.inherited, new });
            }
        }
        let constraints = relation.constraints.iter().filter(|c| is_named(c)).map(|c| c.item.name.as_str().to_owned());
        let indexes = relation.indexes.iter().filter(|i| i.item.constraint.is_none());
        let all: Vec<String> = constraints.chain(indexes.map(|i| i.item.name.as_str().to_owned())).collect();
        let hint = match &similar(name.as_str(), all.iter().map(String::as_str))[..] {
            [] if all.is_empty() => "it has none".to_owned(),
            [] => format!("it has {}", list(&all)),
            near => format!("did you mean {}?", list(near)),
        };
        let why = format!("table `{}` has no constraint or index `{name}`", relation.name.short());
        Err(Refusal::Other { why, hint: Some(hint) })
    }
}

impl Refactor for RenameConstraint {
    fn wish(&self) -> String {
        format!("rename constraint `{}` to `{}`", self.constraint, self.to)
    }

    fn slug(&self) -> String {
        let (from, table) = (self.constraint.field.as_str(), self.constraint.table.name.as_str());
        format!("rename-constraint-{from}-to-{}-in-{table}", self.to.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let Found { relation, name, indexed, inherited, new } = self.find(before)?;
        if *name == self.to {
            return Err(Refusal::Nothing(format!("`{name}` is already called `{}`", self.to)));
        }
        if inherited {
            let why = format!("`{name}` comes from the table above");
            return Err(Refusal::Other { why, hint: Some("rename it there".into()) });
        }
        rule::must_be_free(before, relation, &self.to, indexed, "choose another name")?;
        let mut after = before.clone();
        if !new {
            let text = format!("errors of the tables speak of `{name}` until this is made real");
            after.remark(step, RemarkKind::Note, text);
        }
        let from = name.clone();
        let changed = after.change_unseen(&relation.name, step);
        let renamed = |name: &mut Ident| {
            if *name == from {
                name.clone_from(&self.to);
            }
        };
        changed.constraints.iter_mut().filter(|c| is_named(c)).for_each(|c| renamed(&mut c.item.name));
        for index in &mut changed.indexes {
            renamed(&mut index.item.name);
            index.item.constraint.as_mut().into_iter().for_each(renamed);
        }
        // What an index will keep; a rule that has been dropped is not called anything else any more.
        let is_there = |c: &Attached<Constraint>| {
            changed.indexes.iter().any(|i| i.item.name == self.to && i.brought_by() == c.brought_by())
        };
        changed.passing.iter_mut().filter(|c| is_there(c)).for_each(|c| renamed(&mut c.item.name));
        if let Rows::Part(part) = &mut changed.rows {
            part.conditions.iter_mut().filter_map(|c| c.check.as_mut()).for_each(renamed);
        }
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let to = self.find(before)?.name.clone();
        let constraint = FieldRef { table: self.constraint.table.clone(), field: self.to.clone() };
        Ok(Refactoring::RenameConstraint(Self { constraint, to }))
    }
}
