//! `drop-constraint`: a check, a key, a foreign key or an exclusion that is no longer wanted.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::add_check::AddCheck;
use crate::catalogue::add_exclusion::AddExclusion;
use crate::catalogue::add_foreign_key::{Action, AddForeignKey, Deferrable, Key};
use crate::catalogue::add_primary_key::AddPrimaryKey;
use crate::catalogue::add_unique::AddUnique;
use crate::catalogue::bring_back::BringBack;
use crate::catalogue::entangled::reference;
use crate::catalogue::quarantine::OnViolation;
use crate::catalogue::{Refactor, Refactoring, primary, rule};
use crate::name::{Ident, TableRef, listed};
use crate::refusal::{Refusal, similar};
use crate::relation::{Attached, Relation};
use crate::schema::{Constraint, ConstraintKind, ReplicaIdentity};
use crate::version::{RemarkKind, Version};

/// Drop a constraint.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropConstraint {
    /// Table, as in `orders`
    pub table: TableRef,
    /// Constraint, as `\d orders` of psql names it
    #[arg(value_parser = str::parse::<Ident>)]
    pub name: Ident,
    /// Refactoring whose rows in quarantine come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// What a row of the table was then
    #[arg(long, hide = true, value_name = "TEXT")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// What is left of a primary key
    #[command(flatten)]
    #[serde(default, skip_serializing_if = "primary::Leaves::is_nothing")]
    pub leaves: primary::Leaves,
}

impl DropConstraint {
    /// Without rows to bring back.
    #[must_use]
    pub fn new(table: TableRef, name: Ident) -> Self {
        Self { table, name, restores: None, kept: Vec::new(), leaves: primary::Leaves::default() }
    }

    fn find<'v>(&self, before: &'v Version) -> Result<(&'v Relation, &'v Attached<Constraint>), Refusal> {
        let relation = before.find_own(&self.table)?;
        let all = relation.constraints.iter().filter(|c| c.item.kind != ConstraintKind::NotNull);
        if let Some(found) = all.clone().find(|c| c.item.name == self.name) {
            return Ok((relation, found));
        }
        let hint = if relation.indexes.iter().any(|i| i.item.name == self.name) {
            format!("it is an index: `refactor drop-index {}`", self.name.typed())
        } else {
            let names: Vec<String> = all.map(|c| c.item.name.as_str().to_owned()).collect();
            match &similar(self.name.as_str(), names.iter().map(String::as_str))[..] {
                [] if names.is_empty() => "it has none".to_owned(),
                [] => format!("it has {}", crate::refusal::list(&names)),
                near => format!("did you mean {}?", crate::refusal::list(near)),
            }
        };
        let why = format!("table `{}` has no constraint `{}`", relation.name.short(), self.name);
        Err(Refusal::Other { why, hint: Some(hint) })
    }

    /// Whether it can go, and can be said anew.
    fn check(&self, step: &str, before: &Version) -> Result<(), Refusal> {
        let (relation, constraint) = self.find(before)?;
        let item = &constraint.item;
        if before.keys_to_some_rows(relation).any(|(c, ..)| c.item.name == self.name) {
            return Err(Refusal::Other {
                why: "some of the rows that it refers to are in quarantine, and not yet really".into(),
                hint: Some("materialize that refactoring first: `refactor materialize`".into()),
            });
        }
        let refuse = |why: String, hint: Option<&str>| Err(Refusal::Other { why, hint: hint.map(str::to_owned) });
        if item.inherited {
            return refuse(format!("`{}` comes from the table above", item.name), Some("drop it there"));
        }
        match item.kind {
            ConstraintKind::Primary => {
                if let Some(who) = rule::referred_by(before, relation, &item.fields) {
                    return refuse(who, Some("drop that foreign key first"));
                }
                primary::must_not_be_published(before, relation)?;
                primary::must_be_plain(relation)?;
            }
            ConstraintKind::Unique => {
                if let Some(who) = rule::referred_by(before, relation, &item.fields) {
                    return refuse(who, Some("drop that foreign key first"));
                }
                if constraint.brought_by().is_none() {
                    rule::must_not_be_row_key(before, relation, &item.fields)?;
                }
                if before.table(relation).replica_identity == ReplicaIdentity::Index(item.name.clone()) {
                    return refuse(
                        format!("subscribers tell the rows of `{}` apart by it", relation.name.short()),
                        Some("`ALTER TABLE … REPLICA IDENTITY` chooses something else"),
                    );
                }
            }
            _ => {}
        }
        self.inverse(step, before).map(drop)
    }
}

impl Refactor for DropConstraint {
    fn wish(&self) -> String {
        format!("drop the constraint `{}` of `{}`", self.name, self.table)
    }

    fn slug(&self) -> String {
        format!("drop-{}-from-{}", self.name.as_str(), self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        self.check(step, before)?;
        let (relation, constraint) = self.find(before)?;
        let item = &constraint.item;
        let this = |c: &mut Attached<Constraint>| c.item.name == self.name && c.item.kind != ConstraintKind::NotNull;
        if let Some(restores) = &self.restores {
            let rule = constraint.as_named();
            return BringBack { restores, kept: &self.kept, rule: &rule }.after(
                step,
                before,
                &relation.name,
                |loose| loose.constraints.retain_mut(|c| !this(c)),
            );
        }
        let mut after = before.clone();
        let how =
            if matches!(item.kind, ConstraintKind::Foreign(_)) { "with its actions" } else { "with its own error" };
        let text = format!("`{}` still holds, {how}", item.name);
        rule::note_until_real(&mut after, step, &text);
        if constraint.brought_by().is_none() {
            rule::note_comment(&mut after, step, &format!("`{}`", item.name), item.comment.as_ref());
            if !item.validated {
                let text = format!("`{}` is NOT VALID; should it come back, all rows must keep it", item.name);
                after.remark(step, RemarkKind::Note, text);
            }
        }
        let changed = after.change(&relation.name, step);
        let dropped: Vec<_> = changed.constraints.extract_if(.., this).collect();
        changed.passing.extend(dropped.into_iter().filter(|c| c.brought_by().is_some()));
        changed.indexes.retain(|i| i.item.constraint.as_ref() != Some(&self.name));
        self.leaves.leave(step, changed, Some(item));
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, constraint) = self.find(before)?;
        let item = &constraint.item;
        let (table, name) = (self.table.clone(), Some(self.name.clone()));
        let on_violation = if self.restores.is_some() { OnViolation::Quarantine } else { OnViolation::default() };
        let definition = item.definition.trim_end_matches(" NOT VALID");
        let unknown = |verb: &str| {
            let definition = constraint.as_named().definition;
            let is = if definition.is_empty() { String::new() } else { format!(": it is `{definition}`") };
            let why = format!("`{verb}` could not bring it back{is}");
            let statement = format!("ALTER TABLE {} DROP CONSTRAINT {}", relation.name, item.name);
            match constraint.brought_by().or_else(|| made_by(before, relation)) {
                Some(step) => Refusal::Other {
                    why: format!("{why}, as {step} made it"),
                    hint: Some(format!(
                        "materialize {step} first: `refactor materialize`; then `{statement}` drops it by hand"
                    )),
                },
                None => Refusal::Other {
                    why,
                    hint: Some(format!("drop it by hand when no refactoring of the table is deferred: `{statement}`")),
                },
            }
        };
        match &item.kind {
            ConstraintKind::Check => {
                let expression = constraint.expression().ok_or_else(|| unknown("add-check"))?;
                Ok(Refactoring::AddCheck(AddCheck { table, expression, name, on_violation }))
            }
            ConstraintKind::Unique if definition == format!("UNIQUE ({})", listed(&constraint.columns)) => {
                Ok(Refactoring::AddUnique(AddUnique { table, fields: item.fields.clone(), name, on_violation }))
            }
            ConstraintKind::Foreign(key)
                if constraint.brought_by().is_some()
                    || ["", &*key.printed(&as_stored(constraint))].contains(&definition) =>
            {
                let far = before.over(&key.table).ok_or_else(|| unknown("add-foreign-key"))?;
                let shown = |c: &Ident| far.showing(&before.schema, c).map(|f| f.shape.name.clone());
                let fields = key.fields.iter().map(shown).collect::<Option<Vec<_>>>();
                Ok(Refactoring::AddForeignKey(AddForeignKey {
                    table,
                    fields: item.fields.clone(),
                    references: Key {
                        table: reference(&far.name),
                        fields: fields.ok_or_else(|| unknown("add-foreign-key"))?,
                    },
                    name,
                    on_delete: Action::of(key.on_delete),
                    on_update: Action::of(key.on_update),
                    deferrable: Deferrable::of(item),
                    on_violation,
                }))
            }
            ConstraintKind::Primary => {
                let back = AddPrimaryKey::named(table, item.fields.clone(), self.name.clone());
                let index = self.leaves.leave_index.clone();
                let fields = if index.is_some() { Vec::new() } else { back.fields.clone() };
                Ok(Refactoring::AddPrimaryKey(AddPrimaryKey { fields, index, ..back }))
            }
            ConstraintKind::Exclude => {
                let back = AddExclusion::of(table, constraint).ok_or_else(|| unknown("add-exclusion"))?;
                Ok(Refactoring::AddExclusion(back))
            }
            ConstraintKind::Unique => Err(unknown("add-unique")),
            _ => Err(unknown("add-foreign-key")),
        }
    }
}

/// The refactoring that made the table, or its rows, if it is not real yet.
fn made_by<'v>(before: &'v Version, relation: &'v Relation) -> Option<&'v String> {
    let made = before.made.iter().find(|m| m.table == relation.base).map(|m| &m.step);
    made.or_else(|| relation.touched_by.first())
}

/// The constraint with the fields as its table calls them, asked of all rows.
fn as_stored(constraint: &Attached<Constraint>) -> Constraint {
    Constraint { fields: constraint.columns.clone(), validated: true, ..constraint.item.clone() }
}
