//! Where the value of a field of the new shape comes from: in words, and as fields of the tables.

use crate::generate;
use crate::name::{Ident, TableName};
use crate::relation::{Field, Home, Relation, Rows};
use crate::version::{Source, Version};

/// Fields of tables.
pub type Sources = Vec<(TableName, Ident)>;

/// In words, with the refactoring that put it there.
pub fn told(version: &Version, relation: &Relation, field: &Field) -> String {
    match field.home {
        Home::Own(at) => format!("{}.{}", relation.base.short(), version.table(relation).fields[at].name),
        Home::United(_) => "several tables".to_owned(),
        Home::Carried(at) => {
            let carry = &version.carries[at];
            format!("{}.{}, carried along the foreign key ({})", carry.source.short(), carry.column, carry.step)
        }
        Home::Shaped(at, _) => {
            let shaped = &version.shaped[at];
            format!("{}, told by expressions ({})", generate::list(&shaped.columns), shaped.step)
        }
        Home::Looked(at, member) => {
            let lookup = &version.lookups[at];
            format!(
                "{}.{}, found by {} ({})",
                lookup.other.short(),
                lookup.shows[member],
                generate::list(&lookup.columns),
                lookup.step
            )
        }
        Home::Calculated(at) => {
            let calculated = &version.calculated[at];
            format!("computed as {} ({})", calculated.value, calculated.step)
        }
        Home::Added(at) => format!("the complement ({})", version.added[at].step),
        Home::Numbered(at) => format!("numbers of its own ({})", version.numberings[at].step),
    }
}

/// As fields of the tables: none of a field that nothing tells but the complement.
pub fn sources(version: &Version, relation: &Relation, field: &Field) -> Sources {
    let all = |table: &TableName, columns: &[Ident]| -> Sources {
        columns.iter().flat_map(|column| under(version, table, column)).collect()
    };
    match field.home {
        Home::Own(at) => {
            let column = &version.table(relation).fields[at].name;
            let spread = version.spreads.iter().find(|s| s.rows == relation.base && s.value == *column);
            spread.map_or_else(|| under(version, &relation.base, column), |s| all(&s.table, &s.columns))
        }
        Home::Carried(at) => under(version, &version.carries[at].source, &version.carries[at].column),
        Home::Shaped(at, _) => all(&version.shaped[at].table, &version.shaped[at].columns),
        Home::Looked(at, member) => under(version, &version.lookups[at].other, &version.lookups[at].shows[member]),
        Home::Calculated(at) => {
            let calculated = &version.calculated[at];
            all(&calculated.table, &calculated.value.fields().into_iter().collect::<Vec<_>>())
        }
        Home::United(member) => {
            let Rows::United(at) = relation.rows else { return Vec::new() };
            let union = &version.unions[at];
            let column = |branch: &crate::version::Branch| match branch.sources.get(member)? {
                Source::Column(column) => Some((branch.table.clone(), column.clone())),
                _ => None,
            };
            union
                .branches
                .iter()
                .filter_map(column)
                .flat_map(|(table, column)| under(version, &table, &column))
                .collect()
        }
        Home::Added(_) | Home::Numbered(_) => Vec::new(),
    }
}

/// A column of a table, or what stands under it if the table is a floor.
fn under(version: &Version, table: &TableName, column: &Ident) -> Sources {
    let Some(floor) = version.floors.iter().find(|floor| floor.table == *table) else {
        return vec![(table.clone(), column.clone())];
    };
    let relation = version.under.get(&floor.under);
    let field = relation.and_then(|r| Some((r, r.fields.iter().find(|f| f.shape.name == *column)?)));
    field.map(|(relation, field)| sources(version, relation, field)).unwrap_or_default()
}
