//! `change-foreign-key`: what a foreign key does, and when it is checked.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::add_foreign_key::{Action, Deferrable};
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::{FieldRef, Ident};
use crate::refusal::{Refusal, list, similar};
use crate::relation::{Attached, Relation};
use crate::schema::{Constraint, ConstraintKind, ForeignKey};
use crate::version::{RemarkKind, Version};

/// Change what a foreign key does, and when it is checked.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeForeignKey {
    /// Foreign key, with its table, as in `orders.orders_customer_id_fkey`
    pub constraint: FieldRef,
    /// What happens when the row referred to is deleted
    #[arg(long, value_enum)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_delete: Option<Action>,
    /// What happens when its key changes
    #[arg(long, value_enum)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_update: Option<Action>,
    /// Let it be checked at the end of a transaction
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "initially-immediate", conflicts_with = "not_deferrable")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferrable: Option<Deferrable>,
    /// Let it be checked at once, always
    #[arg(long)]
    #[serde(default, skip_serializing_if = "rule::is_false")]
    pub not_deferrable: bool,
}

impl ChangeForeignKey {
    fn find<'v>(
        &self,
        before: &'v Version,
    ) -> Result<(&'v Relation, &'v Attached<Constraint>, &'v ForeignKey), Refusal> {
        let relation = before.find_own(&self.constraint.table)?;
        let name = &self.constraint.field;
        let folded = Ident::new(name.as_str().to_lowercase());
        let called = |wanted: &Ident| relation.foreign_keys().find(|(c, _)| c.item.name == *wanted);
        if let Some((constraint, key)) = called(name).or_else(|| called(&folded)) {
            return Ok((relation, constraint, key));
        }
        let all: Vec<String> = relation.foreign_keys().map(|(c, _)| c.item.name.as_str().to_owned()).collect();
        let hint = match &similar(name.as_str(), all.iter().map(String::as_str))[..] {
            [] if all.is_empty() => "it has none".to_owned(),
            [] => format!("it has {}", list(&all)),
            near => format!("did you mean {}?", list(near)),
        };
        let why = format!("table `{}` has no foreign key `{name}`", relation.name.short());
        Err(Refusal::Other { why, hint: Some(hint) })
    }

    /// The foreign key as it will be.
    fn changed(&self, before: &Version) -> Result<Constraint, Refusal> {
        let (relation, constraint, key) = self.find(before)?;
        let item = &constraint.item;
        let refuse = |why: String, hint: &str| Err(Refusal::Other { why, hint: Some(hint.into()) });
        if item.inherited {
            return refuse(format!("`{}` comes from the table above", item.name), "change it there");
        }
        let mut changed = item.clone();
        if self.not_deferrable || self.deferrable.is_some() {
            changed.deferrable = self.deferrable.is_some();
            changed.deferred = self.deferrable == Some(Deferrable::InitiallyDeferred);
        }
        let on_delete = self.on_delete.map_or(key.on_delete, Action::letter);
        let on_update = self.on_update.map_or(key.on_update, Action::letter);
        let key = ForeignKey { on_update, on_delete, ..key.clone() };
        changed.kind = ConstraintKind::Foreign(key.clone());
        if changed == *item {
            let nothing = self.on_delete.is_none()
                && self.on_update.is_none()
                && self.deferrable.is_none()
                && !self.not_deferrable;
            if nothing {
                return refuse("nothing is to change".into(), "say what, as in `--on-delete cascade`");
            }
            return Err(Refusal::Nothing(format!("`{}` is so already", item.name)));
        }
        for (said, text) in [
            (" PERIOD ", "PERIOD"),
            (" NOT ENFORCED", "NOT ENFORCED"),
            (" SET NULL (", "SET NULL (…)"),
            (" SET DEFAULT (", "SET DEFAULT (…)"),
        ] {
            if item.definition.contains(said) {
                return refuse(
                    format!("`{}` says {text}, which could not be kept", item.name),
                    "change it by hand once no refactoring of the table is deferred",
                );
            }
        }
        let generated = item.fields.iter().find(|f| relation.field(f).is_some_and(|f| f.shape.generated.is_some()));
        if let Some(field) =
            generated.filter(|_| matches!(on_delete, 'n' | 'd') || matches!(on_update, 'c' | 'n' | 'd'))
        {
            return refuse(
                format!("`{field}` is generated from other fields, so nothing can be written to it"),
                "choose an action that writes nothing",
            );
        }
        if constraint.brought_by().is_none() {
            let near = Constraint { fields: constraint.columns.clone(), ..changed.clone() };
            changed.definition = key.printed(&near);
        }
        Ok(changed)
    }
}

impl Refactor for ChangeForeignKey {
    fn wish(&self) -> String {
        format!("change the foreign key `{}`", self.constraint)
    }

    fn slug(&self) -> String {
        format!("change-{}-of-{}", self.constraint.field.as_str(), self.constraint.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let changed = self.changed(before)?;
        let (relation, constraint, _) = self.find(before)?;
        let mut after = before.clone();
        if constraint.brought_by().is_none() {
            let text = format!("`{}` acts, and is checked, as it is", changed.name);
            rule::note_until_real(&mut after, step, &text);
        } else if changed.deferrable {
            let text = format!("until this is real, `{}` is asked by each statement of new code", changed.name);
            after.remark(step, RemarkKind::Note, text);
        }
        let name = &constraint.item.name;
        let all = &mut after.change_unseen(&relation.name, step).constraints;
        let this = all.iter_mut().find(|c| c.item.name == *name && c.item.kind == constraint.item.kind);
        if let Some(this) = this {
            this.item = changed;
        }
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (_, Attached { item, .. }, key) = self.find(before)?;
        let is_asked = self.not_deferrable || self.deferrable.is_some();
        Ok(Refactoring::ChangeForeignKey(Self {
            constraint: FieldRef { table: self.constraint.table.clone(), field: item.name.clone() },
            on_delete: self.on_delete.map(|_| Action::of(key.on_delete)),
            on_update: self.on_update.map(|_| Action::of(key.on_update)),
            deferrable: Deferrable::of(item).filter(|_| is_asked),
            not_deferrable: is_asked && !item.deferrable,
        }))
    }
}
