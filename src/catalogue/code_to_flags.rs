//! `code-to-flags`: a code becomes fields that are true or false, one for each value.

use std::collections::BTreeSet;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::flags_to_code::FlagsToCode;
use crate::catalogue::reshape::{Reshape, Told};
use crate::catalogue::{Refactor, Refactoring, entangled, rule};
use crate::name::{FieldRef, Ident};
use crate::refusal::Refusal;
use crate::relation::{Attached, Relation};
use crate::schema::{self, Constraint, ConstraintKind};
use crate::sql::codes::{self, Mapping, Pairs};
use crate::sql::{Expression, Literal};
use crate::version::Version;

/// Make fields that are true or false of a code.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeToFlags {
    /// Field with the code, as in `tickets.state`
    pub field: FieldRef,
    /// Each code and the field that is true where it stands, as in `N=new,O=open`; a code with `=`, a comma or a quote in
    /// single quotes
    #[arg(long, value_name = "CODE=FIELD,…", required = true)]
    pub map: Pairs,
    /// Name of the check that no two of them are true
    #[arg(long, value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Ident>,
    /// Refactoring whose kept originals come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// Field that they stand before, instead of last
    #[arg(long, hide = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ident>,
}

impl CodeToFlags {
    /// Each code with its field.
    fn flags(&self) -> Result<Vec<(String, Ident)>, Refusal> {
        let mut flags: Vec<(String, Ident)> = Vec::new();
        for pair in &self.map.0 {
            let (Some(code), Some(name)) = (&pair.old, &pair.new) else {
                return Err(Refusal::Other {
                    why: format!("`{pair}` does not say which field stands for which code"),
                    hint: Some("leave NULL out: where the code is NULL no field is true".into()),
                });
            };
            let name: Ident = name.parse().map_err(|e: crate::name::NameError| Refusal::Expression(e.to_string()))?;
            if flags.iter().any(|(known, field)| known == code || *field == name) {
                return Err(Refusal::Other {
                    why: format!("`{pair}` says twice what stands for a code"),
                    hint: Some("each code has one field, and each field one code".into()),
                });
            }
            flags.push((code.clone(), name));
        }
        Ok(flags)
    }
}

impl Refactor for CodeToFlags {
    fn wish(&self) -> String {
        format!("make flags of `{}`", self.field)
    }

    fn slug(&self) -> String {
        format!("flags-of-{}-in-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let unreadable = |e: crate::sql::ExpressionError| Refusal::Expression(e.to_string());
        let (relation, field) = before.find_field(&self.field)?;
        let (code, old) = (&field.shape.name, &field.shape);
        let of = format!("`{}`: {step}", self.field);
        let flags = self.flags()?;
        let names: Vec<Ident> = flags.iter().map(|(_, name)| name.clone()).collect();
        let optional = !old.not_null;
        let mut to = Vec::new();
        let standing = old.default.as_deref().and_then(|d| codes::constant(&Expression::parse(d).ok()?)).flatten();
        for (this, name) in &flags {
            let is = |other: &String| Some((other == this).to_string());
            let mut pairs: Vec<Mapping> =
                flags.iter().map(|(other, _)| Mapping { old: Some(other.clone()), new: is(other) }).collect();
            pairs.extend(optional.then(|| Mapping { old: None, new: Some("false".into()) }));
            to.push(Told {
                shape: schema::Field {
                    type_name: "boolean".into(),
                    not_null: true,
                    default: Some((standing.as_ref() == Some(this)).to_string()),
                    ..schema::Field::named(name.clone())
                },
                by: codes::mapped(code, &old.type_name, "boolean", &pairs, &of).map_err(unreadable)?,
            });
        }
        let whens: Vec<String> =
            flags.iter().map(|(code, name)| format!("WHEN {name} THEN {}", Literal(code.clone()))).collect();
        let back = Expression::parse(&format!("CASE {} END", whens.join(" "))).map_err(unreadable)?;
        let reshape = Reshape {
            restores: self.restores.clone(),
            before: self.before.clone(),
            ..Reshape::new(self.field.table.clone(), vec![code.clone()], to, vec![back])
        };
        let table = relation.name.clone();
        // That it is one of these is what the new check says.
        let mut unchecked = before.clone();
        if let Some(name) = listing(relation, code, &flags).map(|c| c.item.name.clone())
            && let Some(relation) = unchecked.relations.get_mut(&table)
        {
            relation.constraints.retain(|c| c.item.name != name || c.item.kind != ConstraintKind::Check);
        }
        let mut after = reshape.after(step, &unchecked)?;
        let only = if names.len() == 1 { &names[..] } else { &[] };
        let name = rule::free_name(&after, &after.relations[&table], self.name.as_ref(), only, "check")?;
        let check = Constraint::named(name, ConstraintKind::Check, names.clone(), alone(&names, optional));
        after.change(&table, step).constraints.push(Attached::new(step, check));
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        let unreadable = |e: crate::sql::ExpressionError| Refusal::Expression(e.to_string());
        let flags = self.flags()?;
        let pairs = flags.iter().map(|(code, name)| Mapping { old: Some(name.to_string()), new: Some(code.clone()) });
        let (first, rest) = flags.split_first().ok_or_else(|| Refusal::Nothing("no code is named".into()))?;
        Ok(Refactoring::FlagsToCode(FlagsToCode {
            field: FieldRef { table: entangled::reference(&relation.name), field: first.1.clone() },
            with: rest.iter().map(|(_, name)| name.clone()).collect(),
            into: field.shape.name.clone(),
            map: Some(Pairs(pairs.collect())),
            type_name: field.shape.type_name.parse().map_err(unreadable)?,
            default: field.shape.default.as_deref().map(Expression::parse).transpose().map_err(unreadable)?,
            name: listing(relation, &field.shape.name, &flags).map(|c| c.item.name.clone()),
            restores: Some(step.to_owned()),
            before: relation.following(&field.shape.name),
        }))
    }
}

/// The check that the code is one of these, and nothing else.
fn listing<'r>(relation: &'r Relation, code: &Ident, flags: &[(String, Ident)]) -> Option<&'r Attached<Constraint>> {
    let codes: BTreeSet<String> = flags.iter().map(|(code, _)| code.clone()).collect();
    let mut checks = relation.constraints.iter().filter(|c| c.brought_by().is_none() && c.item.validated);
    checks.find(|c| c.expression().and_then(|e| codes::allowed(&e, code)).as_ref() == Some(&codes))
}

/// The check that one of some flags is true, or at most one, as PostgreSQL prints it.
#[must_use]
pub fn alone(flags: &[Ident], optional: bool) -> String {
    let mut numbers = flags.iter().map(|f| format!("({f})::integer"));
    let first = numbers.next().unwrap_or_default();
    let sum = numbers.fold(first, |sum, number| format!("({sum} + {number})"));
    format!("CHECK (({sum} {} 1))", if optional { "<=" } else { "=" })
}
