//! What came along with fields from other tables, put on their new table: default, NOT NULL, checks, indexes, keys,
//! comments, rights, statistics targets.

use std::fmt::Display;

use crate::catalogue::entangled::renames;
use crate::generate::list;
use crate::name::{Ident, TableName};
use crate::plan::PlanStep;
use crate::plan::materialize::ready::Ready;
use crate::relation::{Attached, Home, Origin, Relation};
use crate::schema::{Constraint, ConstraintKind, Field, ForeignKey, Grant, Index};
use crate::sql::{Literal, rename_in_definition};
use crate::version::Version;

/// Everything but foreign keys, which come when all tables are in place.
#[must_use]
pub fn attach(version: &Version, relation: &Relation) -> Vec<PlanStep> {
    let name = &relation.name;
    let mut lines = Vec::new();
    let new = |f: &&crate::relation::Field| match f.home {
        Home::Own(_) => false,
        Home::United(_) => version.stays(relation, f).is_none(),
        _ => true,
    };
    for field in relation.fields.iter().filter(new) {
        let shape = beside_its_sequence(name, &field.shape);
        lines.extend(field_lines(name, &shape));
        lines.extend(fitted(&shape));
    }
    let came = |i: &&Attached<Index>| {
        i.item.constraint.is_none() && i.brought_by().is_none() && came_along(version, relation, i)
    };
    for index in relation.indexes.iter().filter(came) {
        lines.extend(index_lines(version, name, index));
    }
    let came = |c: &&Attached<Constraint>| c.brought_by().is_none() && came_along(version, relation, c);
    for constraint in relation.constraints.iter().filter(came) {
        if !matches!(constraint.item.kind, ConstraintKind::Foreign(_)) {
            lines.extend(constraint_lines(name, &constraint.item, &definition(constraint)));
        }
    }
    if lines.is_empty() {
        return Vec::new();
    }
    vec![PlanStep::new(format!("give `{}` what came along with its new fields", name.short()), lines.join("\n"))]
}

/// Foreign keys that came along or are new.
#[must_use]
pub fn foreign_keys(version: &Version, relation: &Relation, ready: &Ready) -> Vec<PlanStep> {
    let mut lines = Vec::new();
    for constraint in relation.constraints.iter().filter(|c| came_along(version, relation, c)) {
        let ConstraintKind::Foreign(key) = &constraint.item.kind else { continue };
        if let Some(named) = ready.then(relation, &constraint.item.name) {
            lines.extend(named.iter().cloned());
        } else {
            let text = foreign_key(version, &constraint.item, key);
            lines.extend(constraint_lines(&relation.name, &constraint.item, &text));
        }
    }
    if lines.is_empty() {
        return Vec::new();
    }
    let sentence = format!("add the foreign keys of `{}`", relation.name.short());
    vec![PlanStep::new(sentence, lines.join("\n"))]
}

/// Whether an item came from another table, or is new. In a self reference a field leaves its table for the same table, so the
/// place alone does not tell.
pub(super) fn came_along<T>(version: &Version, relation: &Relation, item: &Attached<T>) -> bool {
    !item.is_of(&relation.base)
        || item.columns.iter().any(|c| !relation.fields.iter().any(|f| version.stays(relation, f) == Some(c)))
}

/// A constraint's definition with the names of the version.
#[must_use]
pub fn definition(constraint: &Attached<Constraint>) -> String {
    if constraint.brought_by().is_some() && constraint.item.kind == ConstraintKind::Check {
        return constraint.as_named().definition;
    }
    rename_in_definition(&constraint.item.definition, &renames(&constraint.columns, &constraint.item.fields))
}

/// The index of the table that a new primary key takes over, by its name until then.
#[must_use]
pub fn taken_index<'v>(version: &'v Version, relation: &Relation, key: &Constraint) -> Option<&'v Ident> {
    let served = |i: &&Attached<Index>| i.item.constraint.as_ref() == Some(&key.name);
    let index = relation.indexes.iter().find(served).filter(|_| key.kind == ConstraintKind::Primary)?;
    match &index.origin {
        Origin::Table(table, at) => version.schema.tables[table].indexes.get(*at).map(|i| &i.name),
        _ => None,
    }
}

/// How the definition of a key begins.
fn kind(key: &Constraint) -> &'static str {
    if key.kind == ConstraintKind::Primary { "PRIMARY KEY" } else { "UNIQUE" }
}

/// A key that takes over an index that is there.
#[must_use]
pub fn by_index(key: &Constraint, index: impl Display) -> String {
    format!("{} USING INDEX {index}", kind(key))
}

/// What a key's definition says besides its fields, if an index over nothing but them can serve it.
#[must_use]
pub fn besides_fields<'d>(key: &Constraint, definition: &'d str) -> Option<&'d str> {
    let rest = definition.strip_prefix(&format!("{} ({})", kind(key), list(&key.fields)))?;
    (rest.is_empty() || rest.starts_with(" DEFERRABLE")).then_some(rest)
}

/// A foreign key's definition with the names of the version.
#[must_use]
pub fn foreign_key(version: &Version, constraint: &Constraint, key: &ForeignKey) -> String {
    let far = version.over(&key.table);
    let table = far.map_or(&key.table, |r| &r.name);
    let shown = |c: &Ident| {
        let far = far?;
        far.fields.iter().find(|f| version.stays(far, f) == Some(c)).map(|f| f.shape.name.clone())
    };
    let fields: Vec<Ident> = key.fields.iter().map(|c| shown(c).unwrap_or_else(|| c.clone())).collect();
    key.definition(constraint, table, &fields)
}

/// `ALTER TABLE … ADD CONSTRAINT …` with its comment.
#[must_use]
pub fn constraint_lines(table: &TableName, constraint: &Constraint, definition: &str) -> Vec<String> {
    let name = &constraint.name;
    let mut lines = vec![format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition};")];
    if let Some(comment) = &constraint.comment {
        lines.push(format!("COMMENT ON CONSTRAINT {name} ON {table} IS {};", Literal(comment.clone())));
    }
    lines
}

/// `CREATE INDEX …` on the version's table, with its comment and settings.
#[must_use]
pub fn index_lines(version: &Version, table: &TableName, index: &Attached<Index>) -> Vec<String> {
    let item = &index.item;
    let columns = match &index.origin {
        Origin::Table(table, original) => &version.schema.tables[table].indexes[*original].fields,
        Origin::Step(_) | Origin::Rows(_) => &index.columns,
    };
    let text = rename_in_definition(&item.definition, &renames(columns, &item.fields));
    let using = text.find(" USING ").unwrap_or(0);
    let unique = if item.unique { "UNIQUE " } else { "" };
    let mut lines = vec![format!("CREATE {unique}INDEX {} ON {table}{};", item.name, &text[using..])];
    let own = TableName { schema: table.schema.clone(), name: item.name.clone() };
    if let Some(comment) = &item.comment {
        lines.push(format!("COMMENT ON INDEX {own} IS {};", Literal(comment.clone())));
    }
    for (member, target) in &item.statistics {
        lines.push(format!("ALTER INDEX {own} ALTER COLUMN {member} SET STATISTICS {target};"));
    }
    lines
}

/// A field whose sequence has gone to another schema with its table.
fn beside_its_sequence(table: &TableName, field: &Field) -> Field {
    let moved = field.sequence.as_ref().filter(|s| s.schema != table.schema && field.identity.is_none());
    let Some(moved) = moved.map(|s| table.renamed(s.name.clone())) else { return field.clone() };
    let default = field.default.as_ref().map(|_| format!("nextval({})", Literal(moved.to_string())));
    Field { default, sequence: Some(moved), ..field.clone() }
}

/// Lets the sequence of a field draw what the field can hold.
#[must_use]
pub fn fitted(field: &Field) -> Option<String> {
    let sequence = field.sequence.as_ref().filter(|_| field.identity.is_none())?;
    Some(format!("ALTER SEQUENCE {sequence} AS {};", field.type_name))
}

/// What a field has besides its type and values.
#[must_use]
pub fn field_lines(table: &TableName, field: &Field) -> Vec<String> {
    let name = &field.name;
    let mut changes = Vec::new();
    if let Some(default) = field.default.as_ref().filter(|_| field.generated.is_none()) {
        changes.push(format!("SET DEFAULT {default}"));
    }
    if field.not_null {
        changes.push("SET NOT NULL".into());
    }
    if let Some(target) = field.statistics {
        changes.push(format!("SET STATISTICS {target}"));
    }
    if let Some(storage) = field.storage {
        changes.push(format!("SET STORAGE {storage}"));
    }
    if let Some(compression) = field.compression {
        changes.push(format!("SET COMPRESSION {compression}"));
    }
    if !field.options.is_empty() {
        changes.push(format!("SET ({})", field.options.join(", ")));
    }
    let mut lines: Vec<String> =
        changes.iter().map(|change| format!("ALTER TABLE {table} ALTER COLUMN {name} {change};")).collect();
    if let Some(comment) = &field.comment {
        lines.push(format!("COMMENT ON COLUMN {table}.{name} IS {};", Literal(comment.clone())));
    }
    for grant in &field.grants {
        lines.push(format!("GRANT {}({name}) ON {table} TO {};", grant.privilege, role(grant)));
    }
    lines
}

/// The grantee, with the option to pass it on.
#[must_use]
pub fn role(grant: &Grant) -> String {
    let role = grant.grantee();
    if grant.grantable { format!("{role} WITH GRANT OPTION") } else { role }
}
