//! Makes one table of several: the first gets the fields and the rows of the others.

use crate::fact::{Claim, Fact};
use crate::generate::{self, list, united};
use crate::name::{Ident, TableName};
use crate::plan::PlanStep;
use crate::plan::materialize::{draft, fill};
use crate::relation::{Origin, Relation, Rows};
use crate::schema::ConstraintKind;
use crate::version::{Source, Union, Version};

/// The union that a relation is, if it is one.
fn union_of<'v>(version: &'v Version, relation: &Relation) -> Option<&'v Union> {
    match relation.rows {
        Rows::United(at) => version.unions.get(at),
        Rows::Whole | Rows::Part(_) | Rows::Slice(_) | Rows::Linked(_) | Rows::Spread(_) | Rows::Told(_) => None,
    }
}

/// Brings the links of a foreign key to the table that has the others.
#[must_use]
pub fn link(version: &Version, relation: &Relation) -> Option<PlanStep> {
    let Rows::Linked(at) = relation.rows else { return None };
    let link = &version.links[at];
    let sentence = format!("bring the links of `{}` to `{}`", link.table.short(), relation.name.short());
    let rows = version.schema.tables[&link.table].rows;
    Some(PlanStep::new(sentence, generate::link::bring(link)).writing(rows, 0))
}

/// Makes rows of fields, before these go.
#[must_use]
pub fn spread(version: &Version, relation: &Relation) -> Option<PlanStep> {
    let Rows::Spread(at) = relation.rows else { return None };
    let spread = &version.spreads[at];
    let sentence = format!("make rows of {} in `{}`", list(&spread.columns), relation.name.short());
    let rows = version.schema.tables[&spread.table].rows;
    Some(PlanStep::new(sentence, generate::spread::bring(spread)).writing(rows, 0))
}

/// Brings the rows of the other tables over, and takes those tables away.
#[must_use]
pub fn unite(version: &Version, relation: &Relation) -> Vec<PlanStep> {
    let Some(union) = union_of(version, relation) else { return Vec::new() };
    let base = &relation.base;
    let table = version.table(relation);
    let heir = &union.branches[0];
    let mut changes = Vec::new();
    for (at, constraint) in table.constraints.iter().enumerate() {
        let stays = relation.constraints.iter().any(|c| c.origin == Origin::Table(base.clone(), at));
        if !stays {
            changes.push(format!("DROP CONSTRAINT {}", constraint.name));
        }
    }
    let (mut columns, mut written) = (Vec::new(), Vec::new());
    for (at, field) in relation.fields.iter().enumerate() {
        let shape = &field.shape;
        if let Some(column) = heir.column(at) {
            let was = table.fields.iter().find(|f| f.name == *column);
            if was.is_some_and(|f| f.not_null) && !shape.not_null {
                changes.push(format!("ALTER COLUMN {column} DROP NOT NULL"));
            }
            columns.push(column.clone());
            continue;
        }
        let collation = shape.collate();
        let value = match &heir.sources[at] {
            Source::Constant(value) if value != "NULL" => format!(" DEFAULT {value}"),
            Source::Added(added) => {
                let added = &version.added[*added];
                written.push(fill::written_meanwhile(base, added, &draft(at)));
                added.seed.as_ref().map(|seed| format!(" DEFAULT {seed}")).unwrap_or_default()
            }
            _ => String::new(),
        };
        // No row is asked for it then. From 18 on it would get a name that is not its field's.
        let given = shape.not_null && !value.is_empty() && version.schema.server_version < 180_000;
        let given = if given { " NOT NULL" } else { "" };
        changes.push(format!("ADD COLUMN {} {}{collation}{value}{given}", draft(at), shape.type_name));
        if !value.is_empty() {
            changes.push(format!("ALTER COLUMN {} DROP DEFAULT", draft(at)));
        }
        columns.push(draft(at));
    }
    let indexes = table.indexes.iter().enumerate().filter(|(at, index)| {
        let stays = relation.indexes.iter().any(|i| i.origin == Origin::Table(base.clone(), *at));
        index.constraint.is_none() && !stays
    });
    let indexes = indexes.map(|(_, index)| format!("DROP INDEX {};", base.renamed(index.name.clone())));
    let mut steps = Vec::new();
    // One statement for each: a default must be there before it can go.
    let lines: Vec<String> =
        changes.iter().map(|change| format!("ALTER TABLE {base} {change};")).chain(indexes).collect();
    if !lines.is_empty() {
        let sentence = format!("prepare `{}` for the rows of the others", base.short());
        steps.push(PlanStep::new(sentence, lines.join("\n")));
    }
    if !written.is_empty() {
        let sql = fill::without_triggers(base, table, &written.join("\n"));
        steps.push(PlanStep::new(format!("bring the values written meanwhile to `{}`", base.short()), sql));
    }
    let numbered = relation.fields.iter().any(|f| f.shape.identity.is_some());
    let overriding = if numbered { " OVERRIDING SYSTEM VALUE" } else { "" };
    let given: Vec<usize> =
        (0..relation.fields.len()).filter(|at| relation.fields[*at].shape.generated.is_none()).collect();
    let into = list(&given.iter().map(|at| columns[*at].clone()).collect::<Vec<_>>());
    for branch in &union.branches[1..] {
        let (from, values) = united::read(version, union, branch);
        let values: Vec<&String> = given.iter().map(|at| &values[*at]).collect();
        let sql = format!("INSERT INTO {base} ({into}){overriding}\nSELECT {} FROM {from};", list(&values));
        let sentence = format!("bring the rows of `{}` over to `{}`", branch.table.short(), base.short());
        let theirs = version.schema.tables.get(&branch.table);
        let (rows, bytes) = theirs.map_or((-1.0, 0), |t| (t.rows, t.bytes));
        steps.push(PlanStep::new(sentence, fill::without_triggers(base, table, &sql)).writing(rows, bytes));
    }
    let sequences = union.branches[1..].iter().filter_map(|b| version.schema.tables.get(&b.table));
    let sequences = sequences.flat_map(|t| t.fields.iter().filter_map(|f| f.sequence.as_ref()));
    let draws = |sequence: &&TableName| relation.fields.iter().any(|f| f.shape.draws_from(sequence));
    let freed: String = sequences.filter(draws).map(|s| format!("ALTER SEQUENCE {s} OWNED BY NONE;\n")).collect();
    let others: Vec<&TableName> = union.branches[1..].iter().map(|b| &b.table).collect();
    let names = list(&others.iter().map(|t| t.short()).collect::<Vec<_>>());
    steps.push(PlanStep::new(format!("drop {names}"), format!("{freed}DROP TABLE {};", list(&others))));
    steps
}

/// Whether a table stays as it is but for rows that come to it, and fields that have one value in all that it has.
#[must_use]
pub fn only_adds(version: &Version, relation: &Relation) -> bool {
    let Some(union) = union_of(version, relation) else { return false };
    union.branches[0].sources.iter().all(|source| match source {
        Source::Column(_) | Source::Constant(_) => true,
        Source::Added(at) => version.added[*at].told_by().is_empty(),
        Source::Numbered(_) => false,
    })
}

/// Whether the rows that come to a table are asked for their keys by an index that it keeps.
#[must_use]
pub fn answers(version: &Version, fact: &Fact) -> bool {
    let Claim::Apart { places, .. } = &fact.claim else { return false };
    let Some((table, columns)) = places.first() else { return false };
    let keeps = |relation: &Relation| {
        let shown = |c: &Ident| relation.fields.iter().find(|f| version.stays(relation, f) == Some(c));
        let fields: Option<Vec<Ident>> = columns.iter().map(|c| Some(shown(c)?.shape.name.clone())).collect();
        relation.base == *table && fields.is_some_and(|fields| relation.is_unique(&fields))
    };
    version.relations.values().any(|r| only_adds(version, r) && keeps(r))
}

/// Every table that takes part in a union, and those that one refers to which goes.
pub fn tables(version: &Version) -> impl Iterator<Item = &TableName> {
    let going = version.unions.iter().flat_map(|u| &u.branches[1..]);
    let constraints = going.filter_map(|b| version.schema.table(&b.table)).flat_map(|t| &t.constraints);
    let far = constraints.filter_map(|c| match &c.kind {
        ConstraintKind::Foreign(key) => Some(&key.table),
        _ => None,
    });
    version.unions.iter().flat_map(|u| u.branches.iter().map(|b| &b.table)).chain(far)
}
