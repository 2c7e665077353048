//! The primary key of a table, where another one takes its place.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::{entangled, rule};
use crate::name::{Ident, listed};
use crate::refusal::Refusal;
use crate::relation::{Attached, NamesFields, Origin, Relation};
use crate::schema::{Constraint, ConstraintKind, Index, ReplicaIdentity};
use crate::version::{RemarkKind, Version};

/// What is left where a primary key goes that a refactoring has made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaves {
    /// Fields of it that may be NULL again
    #[arg(long = "nullable", hide = true, value_name = "FIELD", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nullable: Vec<Ident>,
    /// Unique index that was there before it
    #[arg(long, hide = true, value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave_index: Option<Ident>,
}

impl Leaves {
    /// Whether nothing is.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Leaves it, where the relation has lost this key.
    pub fn leave(&self, step: &str, relation: &mut Relation, key: Option<&Constraint>) {
        for name in &self.nullable {
            relation.fields.iter_mut().filter(|f| f.shape.name == *name).for_each(|f| f.shape.not_null = false);
            let demand = |c: &mut Attached<Constraint>| {
                c.item.kind == ConstraintKind::NotNull && c.item.fields == std::slice::from_ref(name)
            };
            let demands: Vec<_> = relation.constraints.extract_if(.., demand).collect();
            relation.passing.extend(demands);
        }
        if let (Some(name), Some(key)) = (&self.leave_index, key) {
            let index = Index::unique(name, &relation.base, &key.fields);
            relation.indexes.push(Attached::new(step, index));
        }
    }
}

/// Refuses a primary key that says more than its fields.
///
/// # Errors
/// Says what it is.
pub fn must_be_plain(relation: &Relation) -> Result<(), Refusal> {
    let primary = |c: &&Attached<Constraint>| c.item.kind == ConstraintKind::Primary;
    let Some(key) = relation.constraints.iter().find(primary) else { return Ok(()) };
    if key.item.definition == format!("PRIMARY KEY ({})", listed(&key.columns)) {
        return Ok(());
    }
    Err(Refusal::Other {
        why: format!("`add-primary-key` could not bring `{}` back: it is `{}`", key.item.name, key.item.definition),
        hint: Some("change it by hand once no refactoring of the table is deferred".into()),
    })
}

/// The primary key of a relation.
#[must_use]
pub fn of(relation: &Relation) -> Option<&Constraint> {
    relation.constraints.iter().map(|c| &c.item).find(|c| c.kind == ConstraintKind::Primary)
}

/// Refuses a table whose rows subscribers tell apart by the index of its key.
///
/// # Errors
/// Names it.
pub fn must_not_be_published(version: &Version, relation: &Relation) -> Result<(), Refusal> {
    match (&version.table(relation).replica_identity, of(relation)) {
        (ReplicaIdentity::Index(index), Some(key)) if *index == key.name => Err(Refusal::Other {
            why: format!("subscribers tell the rows of `{}` apart by `{index}`", relation.name.short()),
            hint: Some("`ALTER TABLE … REPLICA IDENTITY DEFAULT` follows the primary key, whichever it is".into()),
        }),
        _ => Ok(()),
    }
}

/// Takes the primary key off; gives its name.
pub fn take_off(relation: &mut Relation) -> Option<Ident> {
    let name = of(relation)?.name.clone();
    forget(relation, &name);
    Some(name)
}

/// Tells by which name errors will call a key.
pub fn note_name(after: &mut Version, step: &str, now: &Ident, then: &Ident) {
    let text = format!("until this is real, an error about what is `{then}` then calls it `{now}`");
    after.remark(step, RemarkKind::Note, text);
}

/// Lets the primary key be a unique one, under the name `unique` or the one that PostgreSQL would choose; gives the name
/// that it had, and the one that it has.
///
/// # Errors
/// When that name is taken.
pub fn demote(
    version: &Version,
    step: &str,
    relation: &mut Relation,
    unique: Option<&Ident>,
) -> Result<Option<(Ident, Ident)>, Refusal> {
    let primary = |c: &&Attached<Constraint>| c.item.kind == ConstraintKind::Primary;
    let Some(Attached { item: key, columns, .. }) = relation.constraints.iter().find(primary).cloned() else {
        return Ok(None);
    };
    let name = rule::free_name(version, relation, unique, &key.fields, "key")?;
    let Some(index) = relation.indexes.iter().find(|i| i.item.constraint.as_ref() == Some(&key.name)) else {
        return Err(Refusal::NoKey { table: relation.name.clone() });
    };
    let renames = entangled::renames(&index.columns, &index.item.fields);
    let definition = crate::sql::rename_in_definition(&index.item.definition, &renames);
    let index = Index { name: name.clone(), constraint: Some(name.clone()), definition, ..index.item.clone() };
    let definition = key.definition.replacen("PRIMARY KEY", "UNIQUE", 1);
    let renames = entangled::renames(&columns, &key.fields);
    let definition = crate::sql::rename_in_definition(&definition, &renames);
    let constraint = Constraint { name: name.clone(), kind: ConstraintKind::Unique, definition, ..key.clone() };
    forget(relation, &key.name);
    attach(step, relation, constraint, index);
    Ok(Some((key.name, name)))
}

/// The unique constraint that goes when its very fields become the primary key.
#[must_use]
pub fn taken_over(relation: &Relation, fields: &[Ident]) -> Option<Ident> {
    let same = |c: &&Attached<Constraint>| c.item.kind == ConstraintKind::Unique && c.item.fields == fields;
    relation.constraints.iter().find(same).map(|unique| unique.item.name.clone())
}

/// Makes fields the primary key, in place of a unique constraint if they have one.
pub fn promote(step: &str, relation: &mut Relation, fields: &[Ident], name: &Ident, unique: Option<&Ident>) {
    if let Some(unique) = unique {
        forget(relation, unique);
    }
    let definition = format!("PRIMARY KEY ({})", listed(fields));
    let constraint = Constraint::named(name.clone(), ConstraintKind::Primary, fields.to_vec(), definition);
    let index = Index::unique(name, &relation.base, fields);
    attach(step, relation, constraint, Index { constraint: Some(name.clone()), ..index });
}

/// Takes a constraint off, and its index.
pub(super) fn forget(relation: &mut Relation, constraint: &Ident) {
    relation.constraints.retain(|c| c.item.name != *constraint);
    relation.indexes.retain(|i| i.item.constraint.as_ref() != Some(constraint));
}

/// Which rows there are keeps them: the table's own key, or the complement's.
fn attach(step: &str, relation: &mut Relation, constraint: Constraint, index: Index) {
    let kept = Origin::Rows(step.to_owned());
    relation.indexes.push(Attached { columns: index.fields().to_vec(), item: index, origin: kept.clone() });
    relation.constraints.push(Attached { columns: constraint.fields.clone(), item: constraint, origin: kept });
}
