//! What the refactorings of rules share: finding what they speak of, naming what they bring, and what there is to say.

use std::collections::BTreeMap;

use crate::catalogue::entangled::reference;
use crate::catalogue::quarantine::{self, OnViolation};
use crate::name::{FieldRef, Ident, TableRef, listed, typed_all};
use crate::refusal::{Refusal, similar};
use crate::relation::{Attached, Field, Home, Relation, Rows, is_indexed, row_key};
use crate::schema::{Constraint, ConstraintKind, TableKind};
use crate::sql::Expression;
use crate::version::{RemarkKind, Version};

/// Finds the table of a rule that its view must keep until it is real.
///
/// # Errors
/// When there is none, or its rows cannot be told apart. Without a key their places tell that, where all that is shown of them
/// is there.
pub fn find_writable<'v>(version: &'v Version, table: &TableRef) -> Result<&'v Relation, Refusal> {
    let relation = version.find_own(table)?;
    version.must_not_be_divided(relation)?;
    let by_place = || {
        let stored = |f: &Field| matches!(f.home, Home::Own(_) | Home::Calculated(_));
        let table = version.table(relation);
        let plain = table.kind == TableKind::Plain && table.children.is_empty();
        plain && relation.rows == Rows::Whole && relation.fields.iter().all(stored)
    };
    if row_key(version.table(relation)).is_some() || by_place() {
        return Ok(relation);
    }
    Err(Refusal::NoKey { table: relation.name.clone() })
}

/// The fields as the table calls them.
///
/// # Errors
/// When there is no such field, or one is named twice.
pub fn find_fields(version: &Version, table: &TableRef, names: &[Ident]) -> Result<Vec<Ident>, Refusal> {
    let mut found = Vec::new();
    for name in names {
        let (_, field) = version.find_field(&FieldRef { table: table.clone(), field: name.clone() })?;
        if found.contains(&field.shape.name) {
            return Err(Refusal::Other { why: format!("`{name}` is named twice"), hint: None });
        }
        found.push(field.shape.name.clone());
    }
    Ok(found)
}

/// An expression with its fields named as the table does, and which these are.
///
/// # Errors
/// When it reads none, or one that is not there.
pub fn read_by(relation: &Relation, expression: &Expression) -> Result<(Expression, Vec<Ident>), Refusal> {
    let bare = names_in(relation, expression)?;
    if bare.is_empty() {
        return Err(Refusal::Expression(format!("`{expression}` reads no field")));
    }
    let expression = Expression::parse(&expression.with(&bare)).map_err(|e| Refusal::Expression(e.to_string()))?;
    Ok((expression, bare.into_keys().collect()))
}

/// The fields that an expression reads, each as the table calls it.
///
/// # Errors
/// When one is not there.
pub fn names_in(relation: &Relation, expression: &Expression) -> Result<BTreeMap<Ident, String>, Refusal> {
    let fields = expression.fields();
    if let Some(field) = fields.iter().find(|f| relation.field(f).is_none()) {
        let names = relation.fields.iter().map(|f| f.shape.name.as_str());
        let similar = similar(field.as_str(), names);
        return Err(Refusal::NoField { table: relation.name.clone(), similar, field: field.clone() });
    }
    Ok(fields.into_iter().map(|f| (f.clone(), f.to_string())).collect())
}

/// Refuses a unique key of a partitioned table that lacks a field by which it is partitioned.
///
/// # Errors
/// Names the field.
pub fn must_have_partition_fields(version: &Version, relation: &Relation, fields: &[Ident]) -> Result<(), Refusal> {
    let shown = |c: &Ident| relation.showing(&version.schema, c).is_some_and(|f| fields.contains(&f.shape.name));
    match version.table(relation).partition_fields.iter().find(|c| !shown(c)) {
        Some(missing) => Err(Refusal::Other {
            why: format!("`{}` is partitioned by `{missing}`, which a key must contain", relation.name.short()),
            hint: Some("name that field too".into()),
        }),
        None => Ok(()),
    }
}

/// The name of a new constraint or index: the given one, else as PostgreSQL would choose it. `ending` is PostgreSQL's
/// for the kind.
///
/// # Errors
/// When the given one is taken.
pub fn free_name(
    version: &Version,
    relation: &Relation,
    given: Option<&Ident>,
    fields: &[Ident],
    ending: &str,
) -> Result<Ident, Refusal> {
    let indexed = matches!(ending, "key" | "idx" | "excl" | "pkey");
    if let Some(name) = given {
        must_be_free(version, relation, name, indexed, "choose another name with `--name`")?;
        return Ok(name.clone());
    }
    let taken = |name: &Ident| taken(version, relation, name, indexed);
    let parts = [relation.name.name.as_str()].into_iter().chain(fields.iter().map(Ident::as_str));
    let parts: Vec<&str> = parts.collect();
    let name = |ending: &str| Ident::generated(&[&parts[..], &[ending]].concat());
    let numbered = (1..).map(|n| name(&format!("{ending}{n}")));
    let mut names = [name(ending)].into_iter().chain(numbered);
    Ok(names.find(|n| taken(n).is_none()).unwrap_or_else(|| name(ending)))
}

/// Refuses a name that a constraint has, or an index.
///
/// # Errors
/// When it is taken.
pub fn must_be_free(
    version: &Version,
    relation: &Relation,
    name: &Ident,
    indexed: bool,
    hint: &str,
) -> Result<(), Refusal> {
    match taken(version, relation, name, indexed) {
        None => Ok(()),
        Some((place, kind)) => Err(Refusal::Taken { place, kind: kind.into(), name: name.clone(), hint: hint.into() }),
    }
}

/// What has the name, and where: constraints are named a table, indexes (those of keys too) a schema.
fn taken(version: &Version, relation: &Relation, name: &Ident, indexed: bool) -> Option<(String, &'static str)> {
    if relation.constraints.iter().any(|c| c.item.name == *name) {
        return Some((format!("table `{}`", relation.name.short()), "a constraint"));
    }
    let there: Vec<&Relation> =
        version.relations.values().filter(|r| indexed && r.name.schema == relation.name.schema).collect();
    let has_index = |kind: &ConstraintKind| {
        matches!(kind, ConstraintKind::Primary | ConstraintKind::Unique | ConstraintKind::Exclude)
    };
    let is_unique = |c: &Attached<Constraint>| has_index(&c.item.kind) && c.item.name == *name;
    let index = |r: &&Relation| r.indexes.iter().any(|i| i.item.name == *name) || r.constraints.iter().any(is_unique);
    let other = version.schema.other_names.get(&relation.name.renamed(name.clone())).filter(|_| indexed);
    let kind = if there.iter().any(index) {
        Some("an index")
    } else if there.iter().any(|r| r.name.name == *name || r.base.name == *name) {
        Some("a table")
    } else {
        // An index that no table of the version has will be gone by then.
        other.copied().filter(|kind| *kind != "index")
    };
    kind.map(|kind| (format!("schema `{}`", relation.name.schema), kind))
}

/// Whether it need not be written down.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it with a reference
#[must_use]
pub fn is_false(flag: &bool) -> bool {
    !flag
}

/// The version with one more rule of a table, and with what is to be said of it.
///
/// # Errors
/// When rows that break it cannot be put in quarantine, as is wanted.
pub fn with(
    before: &Version,
    step: &str,
    relation: &Relation,
    constraint: Constraint,
    on_violation: OnViolation,
) -> Result<Version, Refusal> {
    let mut after = before.clone();
    match on_violation {
        OnViolation::Abort => note_binding(&mut after, step, relation, &constraint),
        OnViolation::Quarantine if row_key(before.table(relation)).is_none() => {
            return Err(Refusal::NoKey { table: relation.name.clone() });
        }
        OnViolation::Quarantine => {
            after = quarantine::apart(before, after, step, &relation.name, &constraint)?;
            note_unasked(&mut after, step, relation, &constraint);
        }
    }
    after.change(&relation.name, step).constraints.push(Attached::new(step, constraint));
    Ok(after)
}

/// The version with a rule that something else than a constraint of the table will keep.
#[must_use]
pub fn with_passing(before: &Version, step: &str, relation: &Relation, rule: Constraint) -> Version {
    let mut after = before.clone();
    note_binding(&mut after, step, relation, &rule);
    after.change(&relation.name, step).passing.push(Attached::new(step, rule));
    after
}

/// Tells whom a rule binds that is not real yet.
pub fn note_binding(after: &mut Version, step: &str, relation: &Relation, rule: &Constraint) {
    let text = "the rule binds new code from now on, and old code never; materializing is refused while rows break it";
    after.remark(step, RemarkKind::Note, text);
    note_unasked(after, step, relation, rule);
}

/// Tells which writes are not asked, since PostgreSQL makes them.
fn note_unasked(after: &mut Version, step: &str, relation: &Relation, constraint: &Constraint) {
    for (key, far) in relation.foreign_keys() {
        let written = key.item.fields.iter().find(|f| constraint.fields.contains(f));
        let acts = matches!(far.on_update, 'c' | 'n' | 'd') || matches!(far.on_delete, 'n' | 'd');
        if let Some(field) = written.filter(|_| acts && key.brought_by().is_none()) {
            let text = format!(
                "what the foreign key `{}` writes to `{field}` when the row it refers to goes or changes is not asked until this is real",
                key.item.name
            );
            after.remark(step, RemarkKind::Note, text);
        }
    }
}

/// The demand that a field be NOT NULL.
#[must_use]
pub fn demand(relation: &Relation, field: &Ident) -> Constraint {
    let name = Ident::generated(&[relation.name.name.as_str(), field.as_str(), "not_null"]);
    Constraint::named(name, ConstraintKind::NotNull, vec![field.clone()], "NOT NULL".into())
}

/// Tells of the index that a search for these fields would need and nobody made.
pub fn note_missing_index(after: &mut Version, step: &str, relation: &Relation, fields: &[Ident]) {
    let columns = relation.columns(&after.schema, fields);
    let table = relation.base.short();
    match columns {
        Some(columns) if is_indexed(after.table(relation), &columns) => {}
        Some(columns) => {
            let on = format!("{table} ({})", listed(&columns));
            let text = format!(
                "there is no index on {on}: each new key searches that whole table; `CREATE INDEX CONCURRENTLY ON {on}` makes it fast"
            );
            after.remark(step, RemarkKind::Note, text);
        }
        None => {
            let text = format!(
                "each new key searches all rows of `{table}` until this is real, since its fields live elsewhere"
            );
            after.remark(step, RemarkKind::Note, text);
        }
    }
}

/// What the column that holds a field is now, if a table has one.
#[must_use]
pub fn stored<'v>(version: &'v Version, relation: &Relation, field: &Field) -> Option<&'v crate::schema::Field> {
    match field.home {
        Home::Own(at) => version.schema.tables[&relation.base].fields.get(at),
        Home::Carried(at) => {
            let carry = &version.carries[at];
            version.schema.tables[&carry.source].fields.iter().find(|f| f.name == carry.column)
        }
        Home::Added(_)
        | Home::Shaped(..)
        | Home::Looked(..)
        | Home::Calculated(_)
        | Home::United(_)
        | Home::Numbered(_) => None,
    }
}

/// Refuses to loosen what the rows of a table are told apart by.
///
/// # Errors
/// When these fields are it, and there is no primary key.
pub fn must_not_be_row_key(version: &Version, relation: &Relation, fields: &[Ident]) -> Result<(), Refusal> {
    let table = version.table(relation);
    let primary = table.constraints.iter().any(|c| c.kind == ConstraintKind::Primary);
    let key = row_key(table).filter(|_| !primary).unwrap_or_default();
    let shown = relation.row_key().filter(|_| !primary).unwrap_or_default();
    let is_key = |field: &Ident| {
        let column = relation.field(field).and_then(|f| version.stays(relation, f));
        shown.contains(field) || column.is_some_and(|column| key.contains(column))
    };
    if !fields.iter().any(is_key) {
        return Ok(());
    }
    Err(Refusal::Other {
        why: format!(
            "the rows of `{}` are told apart by it, since the table has no primary key",
            relation.name.short()
        ),
        hint: Some(format!(
            "add a primary key first: `refactor add-primary-key {} {}`, then `refactor materialize`",
            relation.name.typed(),
            typed_all(&relation.row_key().unwrap_or_else(|| fields.to_vec()))
        )),
    })
}

/// That a table goes on refusing what the version no longer forbids.
pub fn note_until_real(after: &mut Version, step: &str, what: &str) {
    let text = format!("this holds from materializing on: until then {what}");
    after.remark(step, RemarkKind::Note, text);
}

/// A relation as a user would name it.
#[must_use]
pub fn typed(relation: &Relation) -> TableRef {
    reference(&relation.name)
}

/// Refuses a field that PostgreSQL itself fills: it has no default.
///
/// # Errors
/// When it is generated or an identity.
pub fn must_be_plain(wanted: &FieldRef, field: &Field) -> Result<(), Refusal> {
    let role = match (field.home, &field.shape.generated, field.shape.identity) {
        (Home::Calculated(_), ..) | (_, Some(_), _) => "is generated from other fields",
        (_, _, Some(_)) => "is numbered as an identity",
        _ => return Ok(()),
    };
    Err(Refusal::Entangled { field: wanted.clone(), role: role.into(), hint: None })
}

/// Which foreign key refers to this key, in words.
#[must_use]
pub fn referred_by(version: &Version, relation: &Relation, fields: &[Ident]) -> Option<String> {
    let columns = relation.columns(&version.schema, fields)?;
    let same = |fields: &[Ident]| fields.len() == columns.len() && fields.iter().all(|f| columns.contains(f));
    version.relations.values().find_map(|other| {
        let mut keys = other.foreign_keys();
        let (key, _) = keys.find(|(_, key)| key.table == relation.base && same(&key.fields))?;
        Some(format!("the foreign key `{}` of `{}` refers to it", key.item.name, other.name.short()))
    })
}

/// Reads what PostgreSQL printed.
///
/// # Errors
/// When it cannot be read.
pub fn read_back(text: &str) -> Result<Expression, Refusal> {
    Expression::parse(text).map_err(|e| Refusal::Other {
        why: format!("it could not be taken back: {e}"),
        hint: Some("change it by hand once this database has no deferred refactorings".into()),
    })
}

/// Tells of a comment that goes with what it is about.
pub fn note_comment(after: &mut Version, step: &str, what: &str, comment: Option<&String>) {
    if let Some(comment) = comment {
        after.remark(step, RemarkKind::Lost, format!("comment of {what}: {comment}"));
    }
}

/// `a-b-c`
#[must_use]
pub fn words(names: &[Ident]) -> String {
    names.iter().map(Ident::as_str).collect::<Vec<_>>().join("-")
}

/// `` `a`, `b` ``
#[must_use]
pub fn quoted(names: &[Ident]) -> String {
    crate::refusal::list(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
}
