//! What makes a table better be rewritten in place: whatever cannot be carried over with certainty.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::renames;
use crate::name::{Ident, OWN};
use crate::plan::materialize::attach;
use crate::relation::Relation;
use crate::schema::{Constraint, ConstraintKind, Table, TableKind};
use crate::sql::words;
use crate::version::Version;

/// Why a table cannot be rebuilt, if it cannot.
#[must_use]
pub fn obstacle(version: &Version, relation: &Relation) -> Option<String> {
    let table = version.table(relation);
    is_new(relation).or_else(|| held(table)).or_else(|| odd(version, relation))
}

/// Why a table cannot be made that has all that this one has.
#[must_use]
pub fn odd(version: &Version, relation: &Relation) -> Option<String> {
    kind(version.table(relation))
        .or_else(|| keys(version, relation))
        .or_else(|| parts(version, relation))
        .or_else(|| names(version, relation))
}

/// A new table lives in our schema, and so do its sequences: it is only built anew where it must be.
fn is_new(relation: &Relation) -> Option<String> {
    (relation.base.schema.as_str() == OWN && relation.ordered_by.is_none()).then(|| "it is new".into())
}

fn kind(table: &Table) -> Option<String> {
    if table.kind != TableKind::Plain {
        return Some("it is not a plain table".into());
    }
    if table.partition_of.is_some() || !table.inherits.is_empty() || !table.children.is_empty() {
        return Some("it takes part in inheritance".into());
    }
    if let Some(extension) = &table.extension {
        return Some(format!("it belongs to the extension `{extension}`"));
    }
    table.access_method.as_ref().map(|method| format!("its access method is `{method}`"))
}

fn held(table: &Table) -> Option<String> {
    let what = table.row_type_users.first().map(|user| &user.description).or(table.held_by.first())?;
    // PostgreSQL's name for a view that reads it.
    let what = what.trim_start_matches("rule _RETURN on ");
    Some(format!("{what} hangs on it"))
}

/// Foreign keys in both directions must be fully understood: written anew, they must read as PostgreSQL prints them.
fn keys(version: &Version, relation: &Relation) -> Option<String> {
    let base = Version::base(Arc::clone(&version.schema));
    let plain = |constraint: &Constraint| match &constraint.kind {
        ConstraintKind::Foreign(key) => {
            let close = |text: &str| text.replace(" (", "(");
            close(&attach::foreign_key(&base, constraint, key)) == close(&constraint.definition)
        }
        _ => true,
    };
    let odd = |c: &Constraint| Some(format!("the foreign key `{}` has options that are not understood", c.name));
    for (name, other) in &version.schema.tables {
        for constraint in &other.constraints {
            let ConstraintKind::Foreign(key) = &constraint.kind else { continue };
            if *name == relation.base && !plain(constraint) {
                return odd(constraint);
            }
            if key.table == relation.base {
                if !plain(constraint) {
                    return odd(constraint);
                }
                if other.kind != TableKind::Plain || other.partition_of.is_some() || constraint.inherited {
                    return Some(format!("the partitioned table `{}` refers to it", name.short()));
                }
            }
        }
    }
    let mut followers = version.table(relation).followers.iter();
    followers.find(|(_, c)| !plain(c)).and_then(|(_, c)| odd(c))
}

fn parts(version: &Version, relation: &Relation) -> Option<String> {
    let table = version.table(relation);
    if let Some(index) = table.indexes.iter().find(|i| !i.valid) {
        return Some(format!("the index `{}` is not valid", index.name));
    }
    let using = |text: &str| text.contains(" USING ") || text.contains(" ON ");
    if using(&relation.base.to_string()) || table.indexes.iter().any(|i| using(i.name.as_str())) {
        return Some("its name, or an index's, reads like a piece of SQL".into());
    }
    let mut constraints = table.constraints.iter();
    if let Some(odd) = constraints.find(|c| c.definition.contains("WITHOUT OVERLAPS") || c.definition.contains(".*")) {
        return Some(format!("the constraint `{}` is about more than plain fields", odd.name));
    }
    let unserved = |c: &&Constraint| {
        matches!(c.kind, ConstraintKind::Primary | ConstraintKind::Unique)
            && !table.indexes.iter().any(|i| i.constraint.as_ref() == Some(&c.name))
    };
    if let Some(odd) = table.constraints.iter().find(unserved) {
        return Some(format!("the constraint `{}` has no index of its own", odd.name));
    }
    if let Some(policy) = table.policies.iter().find(|p| p.definition.contains(".*")) {
        return Some(format!("the policy `{}` is about whole rows", policy.name));
    }
    let sequences = &version.schema.sequences;
    let unknown = |s: &crate::name::TableName| !sequences.contains_key(s);
    let field = table.fields.iter().find(|f| f.sequence.as_ref().is_some_and(unknown))?;
    Some(format!("the sequence of `{}` is not known", field.name))
}

/// Where names change, every text that uses them must be one that can be changed with certainty.
fn names(version: &Version, relation: &Relation) -> Option<String> {
    let table = version.table(relation);
    let changed = renames(version, relation);
    let moved = relation.name != relation.base;
    if changed.is_empty() && !moved {
        return None;
    }
    if let Some(odd) = changed.keys().find(|n| !n.as_str().chars().any(char::is_lowercase)) {
        return Some(format!("the old name `{odd}` could be taken for a keyword"));
    }
    let named = |fields: &[Ident]| fields.iter().any(|f| changed.contains_key(f));
    if let Some(rule) = table.rules.iter().find(|r| moved || named(&r.fields)) {
        return Some(format!("the rule `{}` would have to be rewritten", rule.name));
    }
    // A subquery, or another table's name, makes it unclear whose field a word is.
    let deep = |text: &str| words(text).iter().any(|w| w == "SELECT" || *w == relation.base.name.as_str());
    let inside = |text: &str, head: &str| deep(text.strip_prefix(head).unwrap_or(text));
    for policy in &table.policies {
        let head = format!("CREATE POLICY {} ON {}", policy.name, relation.base);
        if (moved || named(&policy.fields)) && inside(&policy.definition, &head) {
            return Some(format!("the policy `{}` would have to be rewritten", policy.name));
        }
    }
    for constraint in &table.constraints {
        if constraint.kind == ConstraintKind::Exclude && named(&constraint.fields) {
            return Some(format!("the exclusion constraint `{}` names a renamed field", constraint.name));
        }
    }
    let filters = table.publications.iter().filter_map(|p| p.filter.as_deref());
    let checks = table.constraints.iter().filter(|c| c.kind == ConstraintKind::Check && named(&c.fields));
    let indexes = table.indexes.iter().filter(|i| named(&i.fields));
    let generated = table.fields.iter().filter_map(|f| f.generated.as_ref()).filter(|g| named(&g.fields));
    let texts = filters
        .chain(checks.map(|c| &*c.definition))
        .chain(indexes.map(|i| i.definition.split_once(" USING ").map_or("", |(_, text)| text)))
        .chain(generated.map(|g| &*g.expression));
    for text in texts {
        if let Some(name) = ambiguous(text, &changed) {
            return Some(format!("`{name}` in `{text}` may be a field or not"));
        }
    }
    None
}

/// A renamed name that stands where other names than fields can stand: an index method, an operator class, a collation.
fn ambiguous<'n>(text: &str, changed: &'n BTreeMap<Ident, Ident>) -> Option<&'n Ident> {
    let words = words(text);
    let odd = |at: usize| at == 0 && !text.starts_with('(') || at > 0 && words[at - 1] == "COLLATE";
    let found = changed.keys().find(|name| (0..words.len()).any(|at| words[at] == name.as_str() && odd(at)));
    found.or_else(|| changed.keys().find(|n| n.as_str().ends_with("_ops")))
}
