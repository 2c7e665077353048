//! `flags-to-code`: fields of which one is true become a code.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::code_to_flags::{CodeToFlags, alone};
use crate::catalogue::reshape::{Reshape, Told};
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::{FieldRef, Ident};
use crate::refusal::Refusal;
use crate::relation::{Attached, Relation};
use crate::schema::{self, Constraint, ConstraintKind};
use crate::sql::codes::{Mapping, Pairs};
use crate::sql::{Expression, Literal, TypeName};
use crate::version::Version;

/// Make a code of fields of which one is true.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagsToCode {
    /// First field, as in `tickets.is_new`
    pub field: FieldRef,
    /// The other fields of the same table
    #[arg(value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Ident>,
    /// Name of the code
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Ident>)]
    pub into: Ident,
    /// Field and the code that stands where it is true, as in `is_new=N,is_open=O` [default: the name of the field]
    #[arg(long, value_name = "FIELD=CODE,…")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<Pairs>,
    /// Type of the code
    #[arg(long = "type", value_name = "TYPE", default_value = "text")]
    #[serde(rename = "type")]
    pub type_name: TypeName,
    /// Default of the code [default: that of the field which is true by default]
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Expression>,
    /// Name of the check that the code is one of these
    #[arg(long, value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Ident>,
    /// Refactoring whose kept originals come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// Field that it stands before, instead of last
    #[arg(long, hide = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ident>,
}

impl FlagsToCode {
    fn names(&self) -> Vec<Ident> {
        std::iter::once(&self.field.field).chain(&self.with).cloned().collect()
    }

    /// Each field with its code.
    fn codes(&self) -> Result<Vec<(Ident, String)>, Refusal> {
        let names = self.names();
        let mut codes: Vec<(Ident, String)> =
            names.iter().map(|name| (name.clone(), name.as_str().to_owned())).collect();
        for pair in self.map.iter().flat_map(|pairs| &pairs.0) {
            let wrong =
                |why: String| Refusal::Other { why, hint: Some("say `FIELD=CODE` for fields that are named".into()) };
            let (Some(name), Some(code)) = (&pair.old, &pair.new) else {
                return Err(wrong(format!("`{pair}` does not say which code stands for which field")));
            };
            let name: Ident = name.parse().map_err(|e: crate::name::NameError| Refusal::Expression(e.to_string()))?;
            match codes.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => known.clone_from(code),
                None => return Err(wrong(format!("`{name}` is none of the fields"))),
            }
        }
        for (at, (name, code)) in codes.iter().enumerate() {
            if codes[..at].iter().any(|(other, known)| known == code || other == name) {
                let why = format!("`{name}={code}` says twice what stands for a code");
                return Err(Refusal::Other {
                    why,
                    hint: Some("each code has one field, and each field one code".into()),
                });
            }
        }
        Ok(codes)
    }

    /// What the code is for a row: an error where several fields are true, unless a check keeps that from being.
    fn told(codes: &[(Ident, String)], checked: bool) -> Result<Expression, Refusal> {
        let whens = codes.iter().map(|(name, code)| format!("WHEN {name} THEN {}", Literal(code.clone())));
        let mut whens: Vec<String> = whens.collect();
        if !checked {
            let all: Vec<String> = codes.iter().map(|(name, _)| format!("{name}::integer")).collect();
            let any: Vec<String> = codes.iter().map(|(name, _)| name.to_string()).collect();
            // No number, hence an error; but one that only this very row has, since constants are computed when planning.
            let error =
                format!("(CASE WHEN {} THEN 'several of the fields are true' END)::integer::text", any.join(" OR "));
            whens.insert(0, format!("WHEN {} > 1 THEN {error}", all.join(" + ")));
        }
        Expression::parse(&format!("CASE {} END", whens.join(" "))).map_err(|e| Refusal::Expression(e.to_string()))
    }
}

impl Refactor for FlagsToCode {
    fn wish(&self) -> String {
        format!("make the code `{}` of {}", self.into, rule::quoted(&self.names()))
    }

    fn slug(&self) -> String {
        format!("flags-to-{}-in-{}", self.into.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let relation = before.find_own(&self.field.table)?;
        let names = rule::find_fields(before, &self.field.table, &self.names())?;
        let codes = self.codes()?;
        for name in &names {
            let shape = &relation.field(name).ok_or_else(|| Refusal::Nothing(format!("`{name}` is gone")))?.shape;
            if shape.type_name != "boolean" || !shape.not_null {
                let is = if shape.type_name == "boolean" { "may be NULL" } else { "is not boolean" };
                let hint = if shape.type_name == "boolean" { "set-not-null" } else { "change-type" };
                return Err(Refusal::Entangled {
                    field: FieldRef { table: self.field.table.clone(), field: name.clone() },
                    role: format!("{is}, and a flag is true or false"),
                    hint: Some(format!("make it so first: `refactor {hint}`")),
                });
            }
        }
        let table = relation.name.clone();
        let check = alone_there(relation, &names);
        let mut unchecked = before.clone();
        if let Some((name, relation)) = check.map(|(c, _)| c.item.name.clone()).zip(unchecked.relations.get_mut(&table))
        {
            relation.constraints.retain(|c| c.item.name != name || c.item.kind != ConstraintKind::Check);
        }
        let standing = codes.iter().filter(|(name, _)| default(relation, name).as_deref() == Some("true"));
        let standing: Vec<String> = standing.map(|(_, code)| Literal(code.clone()).to_string()).collect();
        let standing = <[String; 1]>::try_from(standing).ok().map(|[one]| format!("{one}::{}", self.type_name));
        let shape = schema::Field {
            type_name: self.type_name.to_string(),
            not_null: check.is_some_and(|(_, optional)| !optional),
            default: self.default.as_ref().map(ToString::to_string).or(standing),
            ..schema::Field::named(self.into.clone())
        };
        let literals: Vec<String> = codes.iter().map(|(_, code)| Literal(code.clone()).to_string()).collect();
        let unreadable = |e: crate::sql::ExpressionError| Refusal::Expression(e.to_string());
        let back = literals.iter().map(|code| Expression::parse(&format!("coalesce({} = {code}, false)", self.into)));
        let reshape = Reshape {
            restores: self.restores.clone(),
            before: self.before.clone(),
            ..Reshape::new(
                self.field.table.clone(),
                names,
                vec![Told { shape, by: Self::told(&codes, check.is_some())? }],
                back.collect::<Result<_, _>>().map_err(unreadable)?,
            )
        };
        let mut after = reshape.after(step, &unchecked)?;
        let fields = vec![self.into.clone()];
        let name = rule::free_name(&after, &after.relations[&table], self.name.as_ref(), &fields, "check")?;
        let definition = format!("CHECK ({} IN ({}))", self.into, literals.join(", "));
        let check = Constraint::named(name, ConstraintKind::Check, fields, definition);
        after.change(&table, step).constraints.push(Attached::new(step, check));
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let relation = before.find_own(&self.field.table)?;
        let names = rule::find_fields(before, &self.field.table, &self.names())?;
        let pairs =
            self.codes()?.into_iter().map(|(name, code)| Mapping { old: Some(code), new: Some(name.to_string()) });
        Ok(Refactoring::CodeToFlags(CodeToFlags {
            field: FieldRef { table: self.field.table.clone(), field: self.into.clone() },
            map: Pairs(pairs.collect()),
            name: alone_there(relation, &names).map(|(c, _)| c.item.name.clone()),
            restores: Some(step.to_owned()),
            before: names.last().and_then(|last| relation.following(last)),
        }))
    }
}

fn default(relation: &Relation, field: &Ident) -> Option<String> {
    relation.field(field).and_then(|f| f.shape.default.clone())
}

/// The check that one of the fields is true, if there is one, and whether none may be.
fn alone_there<'r>(relation: &'r Relation, flags: &[Ident]) -> Option<(&'r Attached<Constraint>, bool)> {
    let mut checks = relation.constraints.iter().filter(|c| c.brought_by().is_none() && c.item.validated);
    checks.find_map(|c| {
        let same = c.item.fields.len() == flags.len() && flags.iter().all(|f| c.item.fields.contains(f));
        let mut ordered = c.columns.clone();
        ordered.sort_by_key(|column| c.item.definition.find(&format!("({column})::integer")));
        let says = |optional: &bool| c.item.definition == alone(&ordered, *optional);
        [false, true].into_iter().find(says).filter(|_| same).map(|optional| (c, optional))
    })
}
