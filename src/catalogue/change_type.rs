//! `change-type`: the same field in another type, or in other codes.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_field::collation;
use crate::catalogue::reshape::{Reshape, Told, back_with, replaced};
use crate::catalogue::{Refactor, Refactoring, entangled};
use crate::name::{FieldRef, Ident, TableRef};
use crate::refusal::Refusal;
use crate::relation::{Attached, Relation};
use crate::schema::{Constraint, ConstraintKind};
use crate::sql::codes::{self, Mapping};
use crate::sql::type_names::canonical;
use crate::sql::{Expression, TypeName, lengths};
use crate::version::Version;

/// Give a field another type.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeType {
    /// Field to change, as in `orders.paid`
    pub field: FieldRef,
    /// New type
    #[serde(rename = "type")]
    #[arg(value_name = "TYPE")]
    pub type_name: TypeName,
    /// New value, computed from the old one [default: a cast]
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub using: Option<Expression>,
    /// Old value, computed from the new one [default: a cast]
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Expression>,
    /// Code and the new one that stands for it, as in `1=active`, once for each; a code with `=` or a quote in single
    /// quotes, as in `'a=b'=c`; NULL for no value. Two codes with the same new one: the first is the way back
    #[arg(long, value_name = "OLD=NEW", conflicts_with_all = ["using", "back"])]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<Mapping>,
    /// New default [default: the old one, converted]
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Expression>,
    /// Collation, if it is not the type's own [default: the old one, of a string]
    #[arg(long, hide = true, value_name = "COLLATION", value_parser = str::parse::<TableRef>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<TableRef>,
    /// Refactoring whose kept originals come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// What comes back with it: rules and indexes
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brings: Vec<Refactoring>,
}

impl ChangeType {
    /// A cast that cuts nothing: what is too long is refused where it is stored.
    fn cast(name: &Ident, from: &str, to: &str) -> Result<Expression, Refusal> {
        let whole = lengths::unbounded(to).filter(|_| !lengths::is_bits(to) || lengths::is_bits(from));
        let type_name = whole.unwrap_or(to);
        Expression::parse(&format!("{name}::{type_name}")).map_err(|e| Refusal::Expression(e.to_string()))
    }
}

impl ChangeType {
    /// Whether what is equal stays equal there and back.
    fn is_exact(&self, old_type: &str) -> bool {
        let plain = self.using.is_none() && self.back.is_none() && self.map.is_empty();
        let family_after = family(&self.type_name.to_string());
        plain && family_after.is_some() && family_after == family(old_type)
    }

    /// The least and the most that a number could be before it could be more.
    fn widened(&self, old_type: &str) -> Option<(String, String)> {
        let plain = self.using.is_none() && self.back.is_none() && self.map.is_empty();
        let new_type = self.type_name.to_string();
        if let Some(most) = lengths::most(old_type).filter(|_| plain && lengths::relabels(old_type, &new_type)) {
            return Some((format!("-{most}"), most));
        }
        let bits = |kind: &str| match bare(kind).as_str() {
            "smallint" | "int2" => Some(16),
            "integer" | "int" | "int4" => Some(32),
            "bigint" | "int8" => Some(64),
            "numeric" | "decimal" if !kind.contains('(') => Some(128),
            _ => None,
        };
        let (before, after) = (bits(old_type)?, bits(&new_type)?);
        let most = i64::MAX >> (64_u32.checked_sub(before)?);
        (plain && before < after).then_some(((-most - 1).to_string(), most.to_string()))
    }

    /// The same where keys rest on it, which stay as all that hangs on the field.
    fn keeps_keys(&self, before: &Version, old_type: &str) -> Result<bool, Refusal> {
        Ok(self.is_exact(old_type) && keyed(before, self)?)
    }

    /// The ways there and back.
    fn expressions(
        &self,
        field: &Ident,
        old_type: &str,
        exact: bool,
        step: &str,
    ) -> Result<(Expression, Expression), Refusal> {
        let new_type = self.type_name.to_string();
        if self.map.is_empty() {
            let using = self.using.clone().map_or_else(|| Self::cast(field, old_type, &new_type), Ok)?;
            let back = match (&self.back, self.widened(old_type).filter(|_| !exact)) {
                (Some(back), _) => back.clone(),
                // Old code gets the nearest number that it can have; the complement keeps the other.
                (None, Some((least, most))) => {
                    let within = format!(
                        "CASE WHEN {field} < {least} THEN {least} WHEN {field} > {most} THEN {most} ELSE {field} END"
                    );
                    Expression::parse(&format!("({within})::{old_type}"))
                        .map_err(|e| Refusal::Expression(e.to_string()))?
                }
                (None, None) => Self::cast(field, &new_type, old_type)?,
            };
            return Ok((using, back));
        }
        let other = |why: String, hint: &str| Err(Refusal::Other { why, hint: Some(hint.into()) });
        if self.using.is_some() || self.back.is_some() {
            return other("`map` tells both ways already".into(), "leave out `using` and `back`");
        }
        let twice = self.map.iter().enumerate().find(|(at, p)| self.map[..*at].iter().any(|q| q.old == p.old));
        // The inverse of a mapping that is not one to one has two ways for a code, and takes the first.
        if let Some((_, pair)) = twice.filter(|_| self.restores.is_none()) {
            return other(
                format!("two pairs say what becomes of one code; the second is `{pair}`"),
                "leave one of them out",
            );
        }
        let reversed: Vec<Mapping> = self.map.iter().map(Mapping::reversed).collect();
        let unreadable = |e: crate::sql::ExpressionError| Refusal::Expression(e.to_string());
        let of = format!("`{}.{field}`: {step}", self.field.table);
        let using = codes::mapped(field, old_type, &new_type, &self.map, &of).map_err(unreadable)?;
        let back = codes::mapped(field, &new_type, old_type, &reversed, &of).map_err(unreadable)?;
        Ok((using, back))
    }
}

/// The type without its numbers.
fn bare(kind: &str) -> String {
    kind.split('(').next().unwrap_or_default().trim().to_lowercase()
}

/// Numbers and strings are equal in each of their types where they fit.
fn family(kind: &str) -> Option<&'static str> {
    match bare(kind).as_str() {
        "smallint" | "integer" | "bigint" | "int" | "int2" | "int4" | "int8" => Some("number"),
        "text" | "character varying" | "varchar" => Some("string"),
        _ => None,
    }
}

/// Whether keys or foreign keys rest on a field.
fn keyed(version: &Version, wanted: &ChangeType) -> Result<bool, Refusal> {
    let (relation, field) = version.find_field(&wanted.field)?;
    let name = &field.shape.name;
    let column = relation.column(&version.schema, field);
    let key = |c: &Attached<Constraint>| !matches!(c.item.kind, ConstraintKind::Check | ConstraintKind::NotNull);
    let others = version.relations.values().flat_map(Relation::foreign_keys);
    let referred = others.filter(|(_, key)| key.table == relation.base).flat_map(|(_, key)| &key.fields);
    Ok(field.shape.sequence.is_some()
        || relation.constraints.iter().any(|c| key(c) && c.item.fields.contains(name))
        || relation.indexes.iter().any(|i| i.item.unique && i.item.fields.contains(name))
        || referred.into_iter().any(|c| Some(c) == column))
}

impl Refactor for ChangeType {
    fn wish(&self) -> String {
        format!("change the type of `{}` to {}", self.field, self.type_name)
    }

    fn slug(&self) -> String {
        format!("change-type-of-{}-in-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (_, field) = before.find_field(&self.field)?;
        let old = &field.shape;
        if canonical(&old.type_name) == canonical(&self.type_name.to_string())
            && self.using.is_none()
            && self.map.is_empty()
        {
            return Err(Refusal::Nothing(format!("it has the type {} already", old.type_name)));
        }
        let new_type = self.type_name.to_string();
        let exact = self.keeps_keys(before, &old.type_name)?;
        let (using, back) = self.expressions(&old.name, &old.type_name, exact, step)?;
        let padded = ["character", "char", "bpchar"].contains(&&*bare(&new_type));
        let is_string = padded || family(&new_type) == Some("string");
        let plain = self.using.is_none() && self.map.is_empty();
        let converted = |default: &String| {
            // As ALTER TABLE leaves it: what the new type takes by itself needs no cast.
            if plain && lengths::assigns(&old.type_name, &new_type) {
                return default.clone();
            }
            let constant = Expression::parse(default).ok().and_then(|d| codes::constant(&d));
            let code = constant.and_then(|code| codes::mapped_constant(&code, &new_type, &self.map));
            code.unwrap_or_else(|| {
                let told = replaced(&using, &old.name, default);
                let folded = Expression::parse(&told).map(|e| codes::folded(&e).to_string());
                format!("({})::{new_type}", folded.unwrap_or(told))
            })
        };
        let default = self.default.as_ref().map(ToString::to_string).or_else(|| old.default.as_ref().map(converted));
        let shape = crate::schema::Field {
            type_name: new_type.clone(),
            default,
            collation: self
                .collation
                .as_ref()
                .map(TableRef::sql)
                .or_else(|| old.collation.clone().filter(|_| is_string)),
            storage: None,
            compression: None,
            ..old.clone()
        };
        let loses_collation = shape.collation.is_none();
        let reshape = Reshape {
            restores: self.restores.clone(),
            stays: Some((0, 0)),
            exact,
            widens: self.widened(&old.type_name).is_some(),
            map: self.map.clone(),
            brings: self.brings.clone(),
            ..Reshape::new(
                self.field.table.clone(),
                vec![old.name.clone()],
                vec![Told { shape, by: using }],
                vec![back],
            )
        };
        let mut after = reshape.after(step, before)?;
        if loses_collation {
            entangled::note_collation(&mut after, step, field);
        }
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        let old = &field.shape;
        let unreadable = |e: crate::sql::ExpressionError| Refusal::Expression(e.to_string());
        Ok(Refactoring::ChangeType(Self {
            field: self.field.clone(),
            type_name: old.type_name.parse().map_err(unreadable)?,
            using: self.back.clone(),
            back: self.using.clone(),
            map: self.map.iter().map(Mapping::reversed).collect(),
            default: old.default.as_deref().map(Expression::parse).transpose().map_err(unreadable)?,
            collation: collation(old)?,
            brings: if self.keeps_keys(before, &old.type_name)? {
                Vec::new()
            } else {
                back_with(before, relation, std::slice::from_ref(&old.name), true)
            },
            restores: Some(step.to_owned()),
        }))
    }
}
