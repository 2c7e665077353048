//! Building a new table from the view's rows and putting it in the old one's place: the fastest way for a large table,
//! where everything that hangs on it is known and can be carried over.
//!
//! Build while the old tables are whole; swap when the views are gone; dress when every table has its name.

pub mod dress;
mod numbered;
mod obstacle;

use std::collections::{BTreeMap, BTreeSet};

use crate::generate::{list, rows};
use crate::name::{Ident, TableName};
use crate::plan::PlanStep;
use crate::relation::{Attached, Home, Origin, Relation};
use crate::schema::{Constraint, ConstraintKind, Field, ForeignKey, Identity, Table};
use crate::sql::{Literal, rename_in_definition};
use crate::version::Version;

pub use obstacle::{obstacle, odd};

/// Why a table cannot have the order of fields that was asked for, if it cannot, with the step that asked.
#[must_use]
pub fn fixed_order<'r>(version: &Version, relation: &'r Relation) -> Option<(&'r String, String)> {
    let step = relation.ordered_by.as_ref().filter(|_| version.is_reordered(relation))?;
    let why = obstacle(version, relation)?;
    Some((step, format!("`{}` must be built anew for another order of fields, but {why}", relation.name.short())))
}

/// Whether a table gets another key: rows that are numbered, or what foreign keys rest on.
#[must_use]
pub fn has_new_key(version: &Version, relation: &Relation) -> bool {
    let (base, table) = (&relation.base, version.table(relation));
    let gone = table.constraints.iter().enumerate().filter(|(at, constraint)| {
        let origin = Origin::Table(base.clone(), *at);
        let key = matches!(constraint.kind, ConstraintKind::Primary | ConstraintKind::Unique);
        key && !relation.constraints.iter().any(|c| c.origin == origin)
    });
    let is_referred = |fields: &[Ident]| {
        let all = version.schema.tables.values().flat_map(|t| &t.constraints);
        let mut keys = all.filter_map(|c| match &c.kind {
            ConstraintKind::Foreign(key) if key.table == *base => Some(&key.fields),
            _ => None,
        });
        keys.any(|far| far.len() == fields.len() && fields.iter().all(|f| far.contains(f)))
    };
    relation.fields.iter().any(|f| matches!(f.home, Home::Numbered(_)))
        || gone.into_iter().any(|(_, constraint)| is_referred(&constraint.fields))
}

/// Whether a refactoring brings an exclusion constraint.
#[must_use]
pub fn has_new_exclusion(relation: &Relation) -> bool {
    let brought = |c: &&Attached<Constraint>| c.brought_by().is_some();
    relation.constraints.iter().filter(brought).any(|c| c.item.kind == ConstraintKind::Exclude)
}

/// The new table until the old one is gone.
#[must_use]
pub fn draft_table(relation: &Relation) -> TableName {
    let (kind, of) =
        if relation.is_heir() { ("refactor_new", &relation.base) } else { ("refactor_part", &relation.name) };
    relation.name.renamed(Ident::generated(&[kind, of.name.as_str()]))
}

/// Builds the new table beside the old one.
#[must_use]
pub fn build(version: &Version, relation: &Relation, draft: &TableName) -> PlanStep {
    let table = version.table(relation);
    let rows::Joined { values, from } = rows::joined(version, relation);
    let typed: Vec<(String, &crate::relation::Field)> =
        values.iter().zip(&relation.fields).map(|(value, f)| (typed(value, f), f)).collect();
    let place = place(table);
    let unlogged = if table.unlogged { "UNLOGGED " } else { "" };
    let sql = if as_query(version, relation) {
        let selected: Vec<String> = typed.iter().map(|(value, f)| format!("{value} AS {}", f.shape.name)).collect();
        format!("CREATE {unlogged}TABLE {draft}{place} AS\nSELECT {}\nFROM {from};", selected.join(",\n  "))
    } else {
        let names = renames(version, relation);
        let columns: Vec<String> =
            relation.fields.iter().map(|f| format!("  {}", column(version, f, &names))).collect();
        let filled = list(&given(relation).map(|f| &f.shape.name).collect::<Vec<_>>());
        let selected: Vec<String> =
            typed.iter().filter(|(_, f)| f.shape.generated.is_none()).map(|(value, _)| value.clone()).collect();
        let stored: String = relation
            .fields
            .iter()
            .flat_map(|f| storage(&f.shape).into_iter().map(move |s| (&f.shape.name, s)))
            .map(|(name, change)| format!("ALTER TABLE {draft} ALTER COLUMN {name} {change};\n"))
            .collect();
        format!(
            "CREATE {unlogged}TABLE {draft} (\n{}\n){place};\n{stored}INSERT INTO {draft} ({filled})\nSELECT {}\nFROM {from};",
            columns.join(",\n"),
            selected.join(",\n  ")
        )
    };
    let sentence = format!("build `{}` anew, with the rows that its view shows", relation.name.short());
    PlanStep::new(sentence, sql).writing(table.rows, heap(table))
}

/// The fields whose values are given, since PostgreSQL does not compute them.
pub(super) fn given(relation: &Relation) -> impl Iterator<Item = &crate::relation::Field> {
    relation.fields.iter().filter(|f| f.shape.generated.is_none())
}

/// Remembers where the sequences of new numbers stand: what draws them will be gone.
pub(super) use numbered::remember as remember_numbers;

/// For building and comparing; never less than the server has been given.
pub(super) const MEMORY: &str = "SET LOCAL default_tablespace = '';
SELECT set_config(name, greatest(pg_size_bytes(current_setting(name)), size) / 1024 || 'kB', true)
FROM (VALUES ('work_mem', 256 * 1024 * 1024), ('maintenance_work_mem', 512 * 1024 * 1024)) AS wanted (name, size);
SELECT set_config('max_parallel_maintenance_workers', greatest(current_setting('max_parallel_maintenance_workers')::int, 4)::text, true);";

/// Bytes of the table without its indexes, guessed: half of them.
fn heap(table: &Table) -> i64 {
    if table.indexes.is_empty() { table.bytes } else { table.bytes / 2 }
}

/// Whether CREATE TABLE AS, which writes fastest, makes the fields as they must be: not generated ones, none that is
/// stored otherwise than its type is, none whose collation depends on what is written in an expression.
fn as_query(version: &Version, relation: &Relation) -> bool {
    relation.fields.iter().all(|f| {
        f.shape.generated.is_none()
            && f.shape.storage.is_none()
            && (!matches!(f.home, Home::Added(_)) || !version.schema.kind(&f.shape).collatable)
    })
}

/// A value with exactly the type and collation of its field.
pub(super) fn typed(value: &str, field: &crate::relation::Field) -> String {
    let shape = &field.shape;
    if matches!(field.home, Home::Own(_)) {
        return value.to_owned();
    }
    format!("({value})::{}{}", shape.type_name, shape.collate())
}

/// A column of CREATE TABLE.
fn column(version: &Version, field: &crate::relation::Field, names: &BTreeMap<Ident, Ident>) -> String {
    let shape = &field.shape;
    let collation = shape.collate();
    let generated = shape.generated.as_ref().map(|g| {
        let kind = if g.stored { "STORED" } else { "VIRTUAL" };
        let text = match field.home {
            Home::Calculated(at) => {
                let values = names.iter().map(|(from, to)| (from.clone(), to.to_string())).collect();
                format!("({})::{}", version.calculated[at].value.with(&values), shape.type_name)
            }
            _ => rename_in_definition(&g.expression, names),
        };
        format!(" GENERATED ALWAYS AS ({text}) {kind}")
    });
    format!("{} {}{collation}{}", shape.name, shape.type_name, generated.unwrap_or_default())
}

/// How a field's values are stored.
fn storage(field: &Field) -> Vec<String> {
    let storage = field.storage.map(|s| format!("SET STORAGE {s}"));
    let compression = field.compression.map(|c| format!("SET COMPRESSION {c}"));
    storage.into_iter().chain(compression).collect()
}

/// ` USING heap WITH (…) TABLESPACE …`
fn place(table: &Table) -> String {
    let options: Vec<String> = table
        .options
        .iter()
        .map(|o| {
            o.split_once('=').map_or_else(|| o.clone(), |(name, value)| format!("{name} = {}", Literal(value.into())))
        })
        .collect();
    let with = if options.is_empty() { String::new() } else { format!(" WITH ({})", list(&options)) };
    let space = table.tablespace.as_ref().map(|s| format!(" TABLESPACE {s}")).unwrap_or_default();
    format!(" USING heap{with}{space}")
}

/// Column of the base → name in the version, where they differ.
fn renames(version: &Version, relation: &Relation) -> BTreeMap<Ident, Ident> {
    let own = relation.fields.iter().filter_map(|f| Some((version.stays(relation, f)?, &f.shape.name)));
    own.filter(|(from, to)| from != to).map(|(from, to)| (from.clone(), to.clone())).collect()
}

/// Takes the old tables away. `keep` are the complement tables that stay.
#[must_use]
pub fn swap(version: &Version, rebuilt: &[&Relation], keep: &BTreeSet<TableName>) -> Vec<PlanStep> {
    if rebuilt.is_empty() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for (table, name, _) in foreign_keys_from_others(version, rebuilt) {
        lines.push(format!("ALTER TABLE {table} DROP CONSTRAINT {name};"));
    }
    for relation in rebuilt {
        for (table, constraint) in followers(version, relation, keep) {
            lines.push(format!("ALTER TABLE {table} DROP CONSTRAINT {};", constraint.name));
        }
        for field in relation.fields.iter().filter(|f| version.stays(relation, f).is_some()) {
            match (&field.shape.sequence, field.shape.identity) {
                (Some(sequence), Some(_)) => lines.push(remember(sequence)),
                (Some(sequence), None) => lines.push(format!("ALTER SEQUENCE {sequence} OWNED BY NONE;")),
                (None, _) => {}
            }
        }
    }
    let old: Vec<&TableName> = rebuilt.iter().map(|r| &r.base).collect();
    lines.push(format!("DROP TABLE {};", list(&old)));
    let short = list(&old.iter().map(|t| t.short()).collect::<Vec<_>>());
    vec![
        PlanStep::new(format!("let the new tables take the place of {short}"), lines.join("\n"))
            .locking(format!("ACCESS EXCLUSIVE on {short}, until the end")),
    ]
}

/// Foreign keys from complements that stay. A table that only the new shape has is no complement, though it lives there.
fn followers<'v>(
    version: &'v Version,
    relation: &Relation,
    keep: &BTreeSet<TableName>,
) -> impl Iterator<Item = &'v (TableName, Constraint)> {
    let followers = version.table(relation).followers.iter();
    followers.filter(|(table, _)| keep.contains(table) && !version.schema.tables.contains_key(table))
}

/// The setting that remembers where a sequence stands.
fn position(sequence: &TableName) -> Literal {
    let name: String = sequence.to_string().bytes().map(|b| format!("{b:02x}")).collect();
    Literal(format!("refactor.at_{name}"))
}

fn remember(sequence: &TableName) -> String {
    format!("SELECT set_config({}, (SELECT last_value || ' ' || is_called FROM {sequence}), true);", position(sequence))
}

/// The sequence in the schema of the table that owns it.
fn beside(sequence: &TableName, table: &TableName) -> TableName {
    table.renamed(sequence.name.clone())
}

/// The options of a sequence without its type, which follows the field's.
fn untyped(options: &str) -> &str {
    options.find("INCREMENT").map_or("", |at| &options[at..])
}

/// The same without an end that is only the type's, which may be another one now.
fn unbound(options: &str) -> String {
    let ends = [i64::from(i16::MAX), i64::from(i32::MAX), i64::MAX].map(|most| format!("MAXVALUE {most} "));
    ends.iter().fold(options.to_owned(), |options, end| options.replace(end, "NO MAXVALUE "))
}

/// Numbers a field as before.
fn identity(version: &Version, table: &TableName, field: &Field, options: &str) -> Option<String> {
    let sequence = field.sequence.as_ref()?;
    let how = match field.identity? {
        Identity::Always => "ALWAYS",
        Identity::ByDefault => "BY DEFAULT",
    };
    let options = unbound(untyped(version.schema.sequences.get(sequence).map_or(options, |s| &s.options)));
    let at = position(sequence);
    let name = beside(sequence, table);
    Some(format!(
        "ALTER TABLE {table} ALTER COLUMN {} ADD GENERATED {how} AS IDENTITY (SEQUENCE NAME {name} {options});\n\
         SELECT setval({}, split_part(current_setting({at}), ' ', 1)::bigint, split_part(current_setting({at}), ' ', 2)::boolean);",
        field.name,
        Literal(name.to_string()),
    ))
}

/// Foreign keys to rebuilt tables from tables that keep their identity.
fn foreign_keys_from_others<'v>(
    version: &'v Version,
    rebuilt: &[&Relation],
) -> Vec<(&'v TableName, &'v Ident, &'v ForeignKey)> {
    let is_rebuilt = |name: &TableName| rebuilt.iter().any(|r| r.base == *name);
    let others = version.schema.tables.iter().filter(|(name, _)| !is_rebuilt(name));
    let keys = others.flat_map(|(name, table)| table.constraints.iter().map(move |c| (name, c)));
    keys.filter_map(|(name, constraint)| match &constraint.kind {
        ConstraintKind::Foreign(key) if is_rebuilt(&key.table) => Some((name, &constraint.name, key)),
        _ => None,
    })
    .collect()
}

/// Tables that a swap touches besides the rebuilt ones: both ends of their foreign keys.
#[must_use]
pub fn neighbours<'v>(version: &'v Version, rebuilt: &[&Relation]) -> BTreeSet<&'v TableName> {
    let mut names: BTreeSet<&TableName> =
        foreign_keys_from_others(version, rebuilt).into_iter().map(|(table, _, _)| table).collect();
    for relation in rebuilt {
        let table = &version.schema.tables[&relation.base];
        names.extend(table.constraints.iter().filter_map(|c| match &c.kind {
            ConstraintKind::Foreign(key) => Some(&key.table),
            _ => None,
        }));
    }
    names
}
