//! What the refactorings of enums share: a type with other labels in the place of one, and the fields that are of it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::catalogue::entangled;
use crate::catalogue::reshape::{Reshape, Told};
use crate::name::{Ident, NameError, TableName, TableRef};
use crate::refusal::{Refusal, meant};
use crate::relation::{Attached, Relation};
use crate::schema::{Constraint, ConstraintKind, Enum, TableKind};
use crate::sql::Expression;
use crate::sql::codes::{self, Mapping};
use crate::version::{Relabelled, RemarkKind, Version, kept_apart};

/// An enum as a person named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EnumRef(pub TableRef);

impl FromStr for EnumRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

/// The labels of an enum, and what becomes of each.
pub struct Relabelling<'r> {
    /// The new labels, in their order.
    pub labels: Vec<String>,
    /// Each old label with the new one.
    pub there: Vec<(String, String)>,
    /// Each new label with the old one that old code sees.
    pub back: Vec<(String, String)>,
    /// The old label that no new one stands for alone.
    pub gone: Option<&'r str>,
    /// The refactoring whose kept values come back.
    pub restores: Option<&'r String>,
}

fn pairs(of: &[(String, String)]) -> Vec<Mapping> {
    of.iter().map(|(old, new)| Mapping { old: Some(old.clone()), new: Some(new.clone()) }).collect()
}

impl EnumRef {
    /// The enum, by its full name.
    ///
    /// # Errors
    /// When there is none, or its labels change already.
    pub fn find<'v>(&self, version: &'v Version) -> Result<(&'v TableName, &'v Enum), Refusal> {
        let (wanted, enums) = (&self.0, &version.schema.enums);
        let path = match &wanted.schema {
            Some(schema) => std::slice::from_ref(schema),
            None => &version.schema.search_path[..],
        };
        let on_path = path
            .iter()
            .find_map(|schema| enums.get_key_value(&TableName { schema: schema.clone(), name: wanted.name.clone() }));
        let Some((name, found)) = on_path else {
            let hint = meant(wanted.name.as_str(), enums.keys().map(|e| e.name.as_str()));
            return Err(Refusal::Other { why: format!("there is no enum `{wanted}`"), hint });
        };
        if let Some(other) = version.enums.iter().find(|e| e.real == *name || e.real.name == name.name) {
            let why = format!("{} gives `{}` other labels, and is not real yet", other.step, other.real.short());
            return Err(Refusal::Other { why, hint: Some("make that real first: `refactor materialize`".into()) });
        }
        Ok((name, found))
    }

    /// The place of a label.
    ///
    /// # Errors
    /// When the enum has none such.
    pub fn label(&self, of: &Enum, label: &str) -> Result<usize, Refusal> {
        of.labels.iter().position(|l| l == label).ok_or_else(|| {
            let hint = meant(label, of.labels.iter().map(String::as_str));
            Refusal::Other { why: format!("`{}` has no value `{label}`", self.0), hint }
        })
    }

    /// That a label is free.
    ///
    /// # Errors
    /// When the enum has one such, or none can be like this.
    pub fn is_free(&self, of: &Enum, label: &str) -> Result<(), Refusal> {
        if of.labels.iter().any(|l| l == label) {
            return Err(Refusal::Nothing(format!("`{}` has the value `{label}` already", self.0)));
        }
        if label.is_empty() || label.len() > 63 || label.contains('\0') {
            let hint = Some("choose one of 1 to 63 bytes".into());
            return Err(Refusal::Other { why: format!("`{label}` cannot be a value of an enum"), hint });
        }
        Ok(())
    }

    /// The version in which all fields of the enum have the new labels.
    ///
    /// # Errors
    /// Names the field that cannot have another type, and why.
    pub fn relabelled(&self, step: &str, before: &Version, to: &Relabelling) -> Result<Version, Refusal> {
        let (name, of) = self.find(before)?;
        let shown = TableName::new("next", name.name.as_str());
        let fields = fields_of(before, name);
        if fields.is_empty() {
            let why = format!("no field is of `{}`, so no view can show it", name.short());
            return Err(Refusal::Other { why, hint: Some("change the type itself: `refactor ddl --help`".into()) });
        }
        let mut after = before.clone();
        after.enums.push(Relabelled {
            step: step.to_owned(),
            real: name.clone(),
            shown: shown.clone(),
            labels: to.labels.clone(),
        });
        for holder in &of.held_by {
            let text = format!("{holder} uses `{}`, whose place another type takes", name.short());
            after.remark(step, RemarkKind::InTheWay, text);
        }
        let types = Types { old: name.to_string(), new: shown.to_string() };
        for (at, (table, field)) in fields.iter().enumerate() {
            after = Self::field(step, &after, &types, to, (table, field), restored_from(&fields, at, to.restores))?;
        }
        Ok(after)
    }

    /// The same of one field.
    fn field(
        step: &str,
        before: &Version,
        types: &Types,
        to: &Relabelling,
        (table, name): (&TableName, &Ident),
        restores: Option<String>,
    ) -> Result<Version, Refusal> {
        let relation = &before.relations[table];
        let base = before.table(relation);
        if base.kind != TableKind::Plain || base.partition_of.is_some() {
            let hint = Some("change a type that no partitioned table has".into());
            let why = format!("has the field `{name}` of that type, and is partitioned or foreign");
            return Err(Refusal::TableKind { table: table.clone(), why, hint });
        }
        let field = relation.field(name).ok_or_else(|| Refusal::Nothing("the field is gone".into()))?;
        let old = &field.shape;
        let (there, back) = (pairs(&to.there), pairs(&to.back));
        let known = |old: &str, new: &str, pairs: &[Mapping]| {
            Expression::parse(&codes::known(name, old, new, pairs)).map_err(|e| Refusal::Expression(e.to_string()))
        };
        let default =
            old.default.as_ref().map(|default| types.over(default, to, true).unwrap_or_else(|| default.clone()));
        let mut unchecked = before.clone();
        let (mut checks, mut others) = (Vec::new(), Vec::new());
        for check in &relation.constraints {
            let own = check.item.kind == ConstraintKind::Check && check.item.validated && !check.item.inherited;
            if own && check.item.fields.contains(name) {
                checks.push(types.check(relation, check, to)?);
            } else {
                others.push(check.clone());
            }
        }
        if let Some(relation) = unchecked.relations.get_mut(table) {
            relation.constraints = others;
        }
        let reshape = Reshape {
            restores,
            stays: Some((0, 0)),
            ..Reshape::new(
                TableRef { schema: Some(table.schema.clone()), name: table.name.clone() },
                vec![name.clone()],
                vec![Told {
                    shape: crate::schema::Field { type_name: types.new.clone(), default, ..old.clone() },
                    by: known(&types.old, &types.new, &there)?,
                }],
                vec![known(&types.new, &types.old, &back)?],
            )
        };
        let first = before.shaped.len();
        let mut after = reshape.after(step, &unchecked)?;
        let id = entangled::generated_id(step, &Ident::new(format!("{}_{}", table.short(), name.as_str())));
        for shaped in &mut after.shaped[first..] {
            (shaped.relabelled, shaped.id) = (true, id.clone());
        }
        // Each label has one, and comes back if no two have the same.
        after.facts.truncate(before.facts.len());
        if to.gone.is_none() {
            after.losses.truncate(before.losses.len());
        }
        after.change(table, step).constraints.extend(checks.into_iter().map(|check| Attached::new(step, check)));
        Ok(after)
    }
}

/// The fields that are of a type, with their tables.
fn fields_of(version: &Version, of: &TableName) -> Vec<(TableName, Ident)> {
    let kind = of.to_string();
    let fields = version.relations.iter().flat_map(|(table, r)| r.fields.iter().map(move |f| (table, &f.shape)));
    fields.filter(|(_, f)| f.type_name == kind).map(|(table, f)| (table.clone(), f.name.clone())).collect()
}

/// What the values of a field were kept for: the first by the refactoring, each other by what tells it apart
/// ([`Version::kept_for`]).
fn restored_from(fields: &[(TableName, Ident)], at: usize, step: Option<&String>) -> Option<String> {
    let ((table, field), step) = (&fields[at], step?);
    if at == 0 {
        return Some(step.clone());
    }
    let alone = fields.iter().position(|(_, f)| f == field) == Some(at);
    let apart = if alone { step.clone() } else { kept_apart(step, &table.name) };
    Some(kept_apart(&apart, field))
}

/// The type before and the one that takes its place, as SQL.
struct Types {
    old: String,
    new: String,
}

impl Types {
    /// An expression with the new labels for the old ones; `None` if it cannot be read, or names the one that goes where
    /// it must not.
    fn over(&self, text: &str, to: &Relabelling, may_go: bool) -> Option<String> {
        let expression = Expression::parse(text).ok()?;
        let label = |label: &str| {
            let gone = !may_go && to.gone == Some(label);
            to.there.iter().find(|(old, _)| old == label && !gone).map(|(_, new)| new.clone())
        };
        expression.relabelled(&self.old, &self.new, label).map(|e| e.to_string())
    }

    /// A check over the new labels.
    fn check(
        &self,
        relation: &Relation,
        check: &Attached<Constraint>,
        to: &Relabelling,
    ) -> Result<Constraint, Refusal> {
        let said = check.expression().and_then(|e| self.over(&e.to_string(), to, false));
        let said = said.ok_or_else(|| Refusal::Other {
            why: format!("the check `{}` of `{}` names a value that goes", check.item.name, relation.name.short()),
            hint: Some(format!(
                "drop it first: `refactor drop-constraint {}.{}`",
                relation.name.typed(),
                check.item.name
            )),
        })?;
        let definition = format!("CHECK ({said})");
        let fields = check.item.fields.clone();
        let named = Constraint::named(check.item.name.clone(), ConstraintKind::Check, fields, definition);
        Ok(Constraint { comment: check.item.comment.clone(), ..named })
    }
}
