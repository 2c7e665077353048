//! `--on-violation quarantine`: rows that break a new rule take no part in the new shape.
//!
//! The table becomes the part of itself that keeps the rule, and no other table shows the rest. What old code mends is
//! shown again. When the rule becomes real, what still breaks it is kept, whole, beside the table.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::catalogue::bring_back::shapes;
use crate::catalogue::{entangled, split_rows};
use crate::fact::{Claim, Fact, Loss, LossKind, Words};
use crate::name::{Ident, TableName};
use crate::refusal::Refusal;
use crate::relation::{Attached, Condition, Origin, Part, Relation, Rows, row_key};
use crate::schema::{Constraint, ConstraintKind, ForeignKey, TableKind};
use crate::sql::Expression;
use crate::version::{Quarantined, RemarkKind, Version, lost_table};

/// What happens to rows that break a new rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OnViolation {
    /// They keep it from being declared, and from being made real
    #[default]
    Abort,
    /// They take no part in the new shape, and are kept when the rule is made real
    Quarantine,
}

impl OnViolation {
    /// Whether it need not be written down.
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it with a reference
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What the inverse of the refactoring `step` says to bring rows back: its name, and what `relation` is before it.
    #[must_use]
    pub fn restored(self, step: &str, relation: &Relation) -> (Option<String>, Vec<String>) {
        match self {
            Self::Abort => (None, Vec::new()),
            Self::Quarantine => (Some(step.to_owned()), shapes(relation)),
        }
    }
}

/// The condition under which a row keeps a rule, over the fields of its table. It is never unknown.
///
/// # Errors
/// When it cannot be told by the row alone.
pub fn keeps(rule: &Constraint) -> Result<Expression, Refusal> {
    let text = match (&rule.kind, crate::relation::checked(rule), &rule.fields[..]) {
        (ConstraintKind::Check, Some(check), _) => format!("({check}) IS NOT FALSE"),
        // IS NOT NULL asks more of a field that is a row itself.
        (ConstraintKind::NotNull, _, [field]) => format!("{field} IS DISTINCT FROM NULL"),
        (ConstraintKind::Foreign(_), ..) => {
            return Err(Refusal::Other {
                why: "whoever deletes a row would put those that refer to it in quarantine, unasked".into(),
                hint: Some("change the rows that refer to nothing first: `refactor data`".into()),
            });
        }
        _ => {
            let why = "which of the rows that break it should stay cannot be told by each row alone".into();
            return Err(Refusal::Other { why, hint: Some("change the rows first: `refactor data`".into()) });
        }
    };
    Expression::parse(&text).map_err(|e| Refusal::Expression(e.to_string()))
}

/// Puts the rows that break a rule in quarantine: the version with the rule, which `before` has not.
///
/// # Errors
/// When the rule reads what does not live in the table, or something hangs on the table that needs all of its rows.
pub fn apart(
    before: &Version,
    mut after: Version,
    step: &str,
    name: &TableName,
    rule: &Constraint,
) -> Result<Version, Refusal> {
    let relation = &before.relations[name];
    let holds = before.over_base(relation, &keeps(rule)?)?;
    note(&mut after, step);
    hide(before, after, name, Condition { step: step.to_owned(), holds, check: None, mark: None }, &rule.name)
}

/// Hides the rows that do not satisfy a condition, and keeps them when that becomes real: the version that does not yet,
/// which `before` is but for what the refactoring has changed already. `why` names what they break, or the field that marks
/// them.
///
/// # Errors
/// When something hangs on the table that needs all of its rows.
pub fn hide(
    before: &Version,
    mut after: Version,
    name: &TableName,
    condition: Condition,
    why: &Ident,
) -> Result<Version, Refusal> {
    let relation = &before.relations[name];
    let step = &*condition.step.clone();
    check(before, relation)?;
    let broken =
        Expression::parse(&format!("NOT ({})", condition.holds)).map_err(|e| Refusal::Expression(e.to_string()))?;
    let kind = if condition.mark.is_some() { LossKind::Marked } else { LossKind::Quarantined };
    let with = |condition: Condition| {
        let conditions = relation.conditions().iter().cloned().chain([condition]).collect();
        Rows::Part(Part { conditions, heir: true })
    };
    for (other, constraint, key) in referring(before, relation) {
        row_key(before.table(other)).ok_or_else(|| Refusal::NoKey { table: other.name.clone() })?;
        let columns = before.stored(other, &constraint.item.fields)?;
        let itself = other.name == *name;
        let among = if itself { Relation { rows: with(condition.clone()), ..other.clone() } } else { other.clone() };
        after.facts.push(Fact {
            step: step.to_owned(),
            claim: Claim::Unreferred {
                table: other.base.clone(),
                columns,
                rows: among.rows_shown(),
                other: relation.base.clone(),
                key: key.fields.clone(),
                kept: Relation { rows: with(condition.clone()), ..relation.clone() }.rows_shown(),
                words: Words { table: other.name.clone(), field: constraint.item.name.clone(), other: name.clone() },
            },
        });
        after.change(&other.name, step);
    }
    after.losses.push(Loss {
        step: step.to_owned(),
        table: relation.base.clone(),
        columns: Vec::new(),
        rows: None,
        kind: kind(after.quarantined.len()),
        key: Vec::new(),
        kept: String::new(),
        words: Words { table: name.clone(), field: why.clone(), other: name.clone() },
    });
    let rows = with(Condition { holds: broken, mark: None, ..condition.clone() });
    after.quarantined.push(Quarantined { step: step.to_owned(), rows: Relation { rows, ..relation.clone() } });
    note_views(&mut after, step, relation);
    after.change(name, step).rows = with(condition);
    Ok(after)
}

/// What needs all rows of the table.
fn check(version: &Version, relation: &Relation) -> Result<(), Refusal> {
    let table = version.table(relation);
    if let Some(rule) = table.rules.first() {
        return Err(Refusal::TableKind {
            table: relation.name.clone(),
            why: format!("has the rule `{}`, which may make another statement of a DELETE", rule.name),
            hint: Some("drop the rule first".into()),
        });
    }
    if table.kind != TableKind::Plain {
        return Err(Refusal::TableKind {
            table: relation.name.clone(),
            why: "is partitioned, and the rows could not come back from quarantine".into(),
            hint: Some("correct them first, and leave `--on-violation quarantine` out".into()),
        });
    }
    if let Some(exclusion) = entangled::exclusion(version, relation) {
        return Err(Refusal::Other {
            why: format!("`{exclusion}` could not be kept over two tables, should the rows come back"),
            hint: Some("correct them first, and leave `--on-violation quarantine` out".into()),
        });
    }
    let base = &relation.base;
    let looked = version.lookups.iter().filter(|l| l.table == *base || l.other == *base).map(|l| &l.step);
    let sliced = version.slices.iter().filter(|s| s.table == *base).map(|s| &s.step);
    let linked = version.links.iter().filter(|l| [&l.table, &l.links, &l.far].contains(&base)).map(|l| &l.step);
    let spread = version.spreads.iter().filter(|s| [&s.table, &s.rows].contains(&base)).map(|s| &s.step);
    let made = version.made.iter().filter(|m| m.table == *base).map(|m| &m.step);
    // Their rows would be there when the foreign key is dropped, not before.
    let dropped = version.schema.tables.iter().flat_map(|(name, table)| {
        table.constraints.iter().enumerate().map(move |(at, c)| (Origin::Table(name.clone(), at), name, c))
    });
    let here = |c: &Constraint| matches!(&c.kind, ConstraintKind::Foreign(key) if key.table == *base) && !c.inherited;
    let stays = |origin: &Origin| version.relations.values().any(|r| r.constraints.iter().any(|c| c.origin == *origin));
    let dropped = dropped.filter(|(origin, _, c)| here(c) && !stays(origin)).map(|(_, table, _)| table).next();
    if let Some(other) = dropped {
        return Err(Refusal::Other {
            why: format!("a foreign key of `{}` that refers to it is dropped, but not yet really", other.short()),
            hint: Some("materialize that refactoring first: `refactor materialize`".into()),
        });
    }
    split_rows::takes_part(relation, looked.chain(made).chain(sliced).chain(linked).chain(spread).next())
}

/// The foreign keys that refer to a table, with the tables that have them.
fn referring<'v>(
    version: &'v Version,
    relation: &'v Relation,
) -> impl Iterator<Item = (&'v Relation, &'v Attached<Constraint>, &'v ForeignKey)> {
    let all = version.relations.values().flat_map(|r| r.foreign_keys().map(move |(c, key)| (r, c, key)));
    all.filter(|(_, c, key)| key.table == relation.base && !c.item.inherited)
}

fn note(after: &mut Version, step: &str) {
    let text = format!(
        "the rule binds new code from now on, and old code never; rows that break it are in quarantine: they take no part in the new shape until they are mended, and materializing keeps them in `{}`",
        lost_table(step)
    );
    after.remark(step, RemarkKind::Note, text);
    let text = "until then they go on holding their keys, and the rows that they refer to";
    after.remark(step, RemarkKind::Note, text);
}

fn note_views(after: &mut Version, step: &str, relation: &Relation) {
    let schema = after.schema.clone();
    for view in schema.views.iter().filter(|v| v.relations.contains(&relation.base)) {
        let kind = if view.materialized { "materialized view" } else { "view" };
        let (view, base) = (view.name.short(), relation.base.short());
        let text = format!("{kind} `{view}` reads `{base}`, and will no longer find there what is not shown");
        after.remark(step, RemarkKind::Note, text);
    }
}
