//! What `change-type`, `merge-fields` and `split-field` share: some fields of a row, told by other fields of the same
//! row, with one expression each way.

use std::collections::BTreeMap;

use crate::catalogue::entangled::{self, Purpose};
use crate::catalogue::quarantine::OnViolation;
use crate::catalogue::set_default::SetDefault;
use crate::catalogue::set_not_null::SetNotNull;
use crate::catalogue::{Refactoring, bring_along, drop_field, rule};
use crate::fact::{Claim, Fact, Loss, LossKind, Words};
use crate::name::{FieldRef, Ident, TableRef};
use crate::refusal::{Refusal, similar};
use crate::relation::{Attached, Field, Home, Relation};
use crate::schema::{Constraint, ConstraintKind};
use crate::sql::Expression;
use crate::sql::codes::{self, Mapping};
use crate::version::{Shaped, Version};

/// One field as it will be.
pub struct Told {
    /// Its shape.
    pub shape: crate::schema::Field,
    /// Its value, from the fields before.
    pub by: Expression,
}

/// A reshaping of one table.
pub struct Reshape {
    /// The table.
    pub table: TableRef,
    /// The fields that are told anew.
    pub from: Vec<Ident>,
    /// The fields that tell them.
    pub to: Vec<Told>,
    /// The value of each field before, from the new ones.
    pub back: Vec<Expression>,
    /// The refactoring whose kept originals come back.
    pub restores: Option<String>,
    /// The field whose column one of the new ones will have, and that one.
    pub stays: Option<(usize, usize)>,
    /// Whether what is equal stays equal there and back, so that keys stay.
    pub exact: bool,
    /// Whether the field takes more numbers than before, and each as it was.
    pub widens: bool,
    /// The field that the first new one stands before, instead of last.
    pub before: Option<Ident>,
    /// Codes and what stands for them, where these are the ways of the one field there and back.
    pub map: Vec<Mapping>,
    /// What comes back with the fields: rules and indexes.
    pub brings: Vec<Refactoring>,
}

/// What an inverse brings back of what hung on fields. Indexes stay where a field only gets another type.
#[must_use]
pub fn back_with(before: &Version, relation: &Relation, from: &[Ident], stays: bool) -> Vec<Refactoring> {
    let all = drop_field::hung_on(before, relation, from).into_iter();
    let all = all.filter(|r| !stays || matches!(r, Refactoring::AddCheck(_)));
    if stays { all.collect() } else { own_rules(relation, from).into_iter().chain(all).collect() }
}

/// What fields say themselves: a default, and NOT NULL.
fn own_rules(relation: &Relation, names: &[Ident]) -> Vec<Refactoring> {
    let table = rule::typed(relation);
    let mut rules = Vec::new();
    for shape in names.iter().filter_map(|name| relation.field(name)).map(|f| &f.shape) {
        let field = FieldRef { table: table.clone(), field: shape.name.clone() };
        let default = shape.default.as_deref().filter(|_| shape.sequence.is_none() && shape.generated.is_none());
        if let Some(default) = default.and_then(|d| Expression::parse(d).ok()) {
            rules.push(Refactoring::SetDefault(SetDefault { field: field.clone(), default }));
        }
        if shape.not_null {
            rules.push(Refactoring::SetNotNull(SetNotNull { field, on_violation: OnViolation::default() }));
        }
    }
    rules
}

impl Reshape {
    /// One in which the new fields have columns of their own, and come last.
    #[must_use]
    pub fn new(table: TableRef, from: Vec<Ident>, to: Vec<Told>, back: Vec<Expression>) -> Self {
        Self {
            table,
            from,
            to,
            back,
            restores: None,
            stays: None,
            exact: false,
            widens: false,
            before: None,
            map: Vec::new(),
            brings: Vec::new(),
        }
    }

    /// The version after it.
    ///
    /// # Errors
    /// When a field is missing, taken or held, or an expression reads what it may not.
    pub fn after(&self, step: &str, version: &Version) -> Result<Version, Refusal> {
        let relation = version.find_own(&self.table)?;
        let checks = self.following_checks(relation);
        let mut unchecked = version.clone();
        if let Some(relation) = unchecked.relations.get_mut(&relation.name) {
            relation.constraints.retain(|c| !checks.iter().any(|check| is_same(c, check)));
        }
        let mut after = self.apart_from_checks(step, &unchecked)?;
        let brought = |check: &Constraint| {
            self.brings
                .iter()
                .any(|r| matches!(r, Refactoring::AddCheck(add) if add.name.as_ref() == Some(&check.name)))
        };
        let followed = checks.into_iter().filter(|check| !brought(check));
        after.change(&relation.name, step).constraints.extend(followed.map(|check| Attached::new(step, check)));
        bring_along(&self.brings, step, after)
    }

    /// The checks over fields that are told anew, in the words of those that tell them. Where what is equal stays equal
    /// they stay themselves.
    fn following_checks(&self, relation: &Relation) -> Vec<Constraint> {
        let back = |(at, back): (usize, &Expression)| match relation.field(&self.from[at]) {
            // A code that is new to the map may be one of the new shape.
            Some(old) if !self.map.is_empty() => {
                let reversed: Vec<Mapping> = self.map.iter().map(Mapping::reversed).collect();
                let new = &self.to[at].shape;
                codes::known(&new.name, &new.type_name, &old.shape.type_name, &reversed)
            }
            _ if self.widens => self.to[at].shape.name.to_string(),
            _ => back.to_string(),
        };
        let words: BTreeMap<Ident, String> =
            self.from.iter().cloned().zip(self.back.iter().enumerate().map(|b| format!("({})", back(b)))).collect();
        let listed = |check: &Expression| {
            let new = &self.to[0].shape;
            codes::listed(check, &self.from[0], &new.name, &new.type_name, &self.map)
        };
        let over = |c: &&Attached<Constraint>| c.item.fields.iter().any(|f| self.from.contains(f));
        let follow = |c: &Attached<Constraint>| {
            let check = c.expression()?;
            let said = listed(&check).unwrap_or_else(|| check.with(&words));
            let said = Expression::parse(&said).ok()?.simplified();
            let definition = format!("CHECK ({said})");
            let fields = said.fields().into_iter().collect();
            let named = Constraint::named(c.item.name.clone(), ConstraintKind::Check, fields, definition);
            Some(Constraint { comment: c.item.comment.clone(), ..named })
        };
        let own = relation.constraints.iter().filter(|c| c.item.validated && !c.item.inherited && !self.exact);
        own.filter(over).filter_map(follow).collect()
    }

    fn apart_from_checks(&self, step: &str, version: &Version) -> Result<Version, Refusal> {
        let relation = version.find_own(&self.table)?;
        version.must_not_be_divided(relation)?;
        let table = version.table(relation);
        // The column then only gets another type: what hangs on it stays.
        let stays = self.stays;
        let key = entangled::row_key(version, relation)?;
        let mut columns = Vec::new();
        let mut old = Vec::new();
        let purpose = |at: usize| match stays {
            Some((column, _)) if column == at && self.exact => Purpose::Widen,
            Some((column, _)) if column == at => Purpose::Retype,
            _ => Purpose::Change,
        };
        for (at, name) in self.from.iter().enumerate() {
            let wanted = FieldRef { table: self.table.clone(), field: name.clone() };
            let (_, field) = version.find_field(&wanted)?;
            let Some(column) = relation.column(&version.schema, field) else {
                let step = version.put_there_by(relation, field);
                return Err(Refusal::NotMaterialized { field: wanted, step });
            };
            entangled::check(version, relation, field, purpose(at))?;
            if let Some(condition) = relation.conditions().iter().find(|c| c.holds.fields().contains(column)) {
                let role = format!("tells which rows its table has until {} is materialized", condition.step);
                let hint = Some("materialize that refactoring first: `refactor materialize`".into());
                return Err(Refusal::Entangled { field: wanted, role, hint });
            }
            columns.push(column.clone());
            old.push(field.clone());
        }
        let new: Vec<Ident> = self.to.iter().map(|t| t.shape.name.clone()).collect();
        for name in new.iter().filter(|n| !self.from.contains(n)) {
            entangled::must_be_free(relation, name, "choose another name")?;
        }
        reads_only(&self.from, self.to.iter().map(|t| &t.by))?;
        reads_only(&new, self.back.iter())?;
        let get = self.to.iter().map(|t| version.over_base(relation, &t.by)).collect::<Result<Vec<_>, _>>()?;

        let (name, base) = (relation.name.clone(), relation.base.clone());
        let stored =
            |c: &Ident| table.fields.iter().find(|f| f.name == *c).map(|f| f.type_name.clone()).unwrap_or_default();
        let mut after = version.clone();
        let at = after.shaped.len();
        let column_types: Vec<String> = columns.iter().map(stored).collect();
        let types: Vec<String> = self.to.iter().map(|t| t.shape.type_name.clone()).collect();
        let facts = self.facts(step, relation, (&columns, &column_types), &get)?;
        after.facts.extend(facts);
        let first = new.first().cloned().unwrap_or_else(|| Ident::new(""));
        after.losses.push(Loss {
            step: step.to_owned(),
            table: base.clone(),
            columns: columns.clone(),
            rows: relation.rows_shown(),
            kind: LossKind::Unfaithful(at),
            key: Vec::new(),
            kept: String::new(),
            words: Words { table: name.clone(), field: self.from[0].clone(), other: name.clone() },
        });
        let shared = !types.iter().chain(&column_types).any(|t| version.schema.domain(t).is_some());
        let told = Shaped {
            step: step.to_owned(),
            id: entangled::generated_id(step, &first),
            table: base,
            key,
            column_types,
            columns,
            stays,
            names: new.clone(),
            types,
            get,
            put: self.back.clone(),
            exact: self.exact,
            restores: self.restores.clone(),
            shared,
            relabelled: false,
        };
        let same = told.relabels() && told.names == told.columns;
        for (at, field) in old.iter().enumerate() {
            let purpose = if same { Purpose::Relabel } else { purpose(at) };
            entangled::note(&mut after, step, relation, field, purpose);
        }
        after.shaped.push(told);
        let changed = after.change(&name, step);
        let kept = stays.map(|(column, field)| (&self.from[column], &new[field]));
        let here = kept.and_then(|(was, _)| changed.following(was));
        let place = if self.before.is_none() && self.to.len() == 1 { here.clone() } else { self.before.clone() };
        let from = |name: &Ident| self.from.contains(name);
        changed.fields.retain(|f| !from(&f.shape.name));
        changed.passing.retain(|c| !c.item.fields.iter().any(from));
        let gone = |fields: &[Ident]| fields.iter().any(|f| from(f) && kept.is_none_or(|(was, _)| was != f));
        changed.constraints.retain(|c| !gone(&c.item.fields));
        changed.indexes.retain(|i| !gone(&i.item.fields));
        if let Some((was, is)) = kept {
            changed.rename_fields(&BTreeMap::from([(was.clone(), is.clone())]));
        }
        for (j, told) in self.to.iter().enumerate() {
            let field = Field { shape: told.shape.clone(), home: Home::Shaped(at, j) };
            let place = if stays.is_some_and(|(_, field)| field == j) { &here } else { &place };
            changed.insert_field(field, place.as_ref().filter(|p| !from(p)));
        }
        Ok(after)
    }

    /// That each row has a value of each new type; where keys rest on it, one that comes back the same.
    fn facts(
        &self,
        step: &str,
        relation: &Relation,
        (columns, types): (&[Ident], &[String]),
        get: &[Expression],
    ) -> Result<Vec<Fact>, Refusal> {
        let fits = |told: &Told, expression: String, not_null: bool, rows: Option<Expression>| Fact {
            step: step.to_owned(),
            claim: Claim::Fits {
                table: relation.base.clone(),
                expression,
                type_name: told.shape.type_name.clone(),
                not_null,
                rows,
                words: Words {
                    table: relation.name.clone(),
                    field: told.shape.name.clone(),
                    other: relation.name.clone(),
                },
            },
        };
        if let ([column], [old], [told], true) = (columns, types, &self.to[..], self.exact) {
            let kind = &told.shape.type_name;
            let same = format!("CASE WHEN (({column})::{kind})::{old} = {column} THEN ({column})::{kind} END");
            let given = Expression::parse(&format!("{column} IS NOT NULL"));
            let given = given.map_err(|e| Refusal::Expression(e.to_string()))?;
            return Ok(vec![fits(told, same, true, Some(given))]);
        }
        let each = self.to.iter().zip(get);
        Ok(each.map(|(told, get)| fits(told, get.to_string(), told.shape.not_null, None)).collect())
    }
}

/// Whether a check is the one that this one follows.
fn is_same(check: &Attached<Constraint>, followed: &Constraint) -> bool {
    check.item.kind == ConstraintKind::Check && check.item.name == followed.name
}

/// Each expression may read only these fields.
fn reads_only<'e>(fields: &[Ident], expressions: impl Iterator<Item = &'e Expression>) -> Result<(), Refusal> {
    for expression in expressions {
        if let Some(other) = expression.fields().into_iter().find(|f| !fields.contains(f)) {
            let near = similar(other.as_str(), fields.iter().map(Ident::as_str));
            let allowed: Vec<String> = fields.iter().map(ToString::to_string).collect();
            let mean = near.first().map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default();
            return Err(Refusal::Expression(format!(
                "`{expression}` reads `{other}`{mean}, but may read only {}",
                crate::refusal::list(&allowed)
            )));
        }
    }
    Ok(())
}

/// An expression with one field replaced by another expression.
#[must_use]
pub fn replaced(expression: &Expression, field: &Ident, by: &str) -> String {
    expression.with(&BTreeMap::from([(field.clone(), format!("({by})"))]))
}
