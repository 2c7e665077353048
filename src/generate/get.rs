//! How a field is read from the base, as one SQL expression over the row `b`.

use std::ops::Range;

use crate::fact::Elsewhere;
use crate::generate::carry::Names;
use crate::generate::place::Place;
use crate::generate::{all, copied, equal, lookup, numbering, shaped, slice};
use crate::name::Ident;
use crate::relation::{Field, Home, Relation, Rows};
use crate::sql::Expression;
use crate::version::{Added, Calculated, Carry, Direction, Hop, Version};

/// The expression that reads a field, for a row of the base called `b`.
#[must_use]
pub fn get(version: &Version, relation: &Relation, field: &Field) -> String {
    match field.home {
        Home::Own(at) => format!("b.{}", version.table(relation).fields[at].name),
        Home::United(at) => match relation.rows {
            Rows::United(union) => format!("b.{}", version.unions[union].fields[at].0),
            _ => "NULL".into(),
        },
        Home::Carried(at) => elsewhere(version, Elsewhere::Carried(at), "b"),
        Home::Added(at) => elsewhere(version, Elsewhere::Added(at), "b"),
        Home::Looked(at, field) => elsewhere(version, Elsewhere::Looked(at, field), "b"),
        Home::Numbered(at) => elsewhere(version, Elsewhere::Numbered(at), "b"),
        Home::Shaped(at, field) => shaped::get(&version.shaped[at], field, "b"),
        Home::Calculated(at) => calculated(&version.calculated[at], "b"),
    }
}

/// The value of a field that is not told by its row alone, for the row `row`.
#[must_use]
pub fn elsewhere(version: &Version, place: Elsewhere, row: &str) -> String {
    match place {
        Elsewhere::Carried(at) => carried(&version.carries[at], row),
        Elsewhere::Added(at) => added(&version.added[at], row),
        Elsewhere::Looked(at, field) => lookup::get(&version.lookups[at], field, row),
        Elsewhere::Numbered(at) => numbering::get(&version.numberings[at], row),
    }
}

/// What holds for the rows `row` of the base that a relation shows; nothing if it shows all.
#[must_use]
pub fn rows(version: &Version, relation: &Relation, row: &str) -> String {
    if let Rows::Slice(at) = relation.rows {
        return slice::has_part(&version.slices[at], row, &version.slices[at].key);
    }
    all(&relation.conditions().iter().map(|c| format!("({})", over(&c.holds, row))).collect::<Vec<_>>())
}

/// An expression over columns, for the columns of `row`.
#[must_use]
pub fn over(expression: &Expression, row: &str) -> String {
    let fields = expression.fields();
    expression.with(&fields.into_iter().map(|f| (f.clone(), format!("{row}.{f}"))).collect())
}

/// The value of a calculated field for the row `row`.
#[must_use]
pub fn calculated(calculated: &Calculated, row: &str) -> String {
    format!("({})::{}", over(&calculated.value, row), calculated.type_name)
}

/// The lookup of a carried value for the row `row` of the target.
///
/// A scalar subquery with LIMIT 1: the planner drops it when the field is not used, and the view stays one table to
/// lock and delete from.
#[must_use]
pub fn carried(carry: &Carry, row: &str) -> String {
    let names = Names::of(carry);
    let key = if carry.direction == Direction::Up { carry.target_key() } else { &carry.row_key };
    let complement_row = equal("x", &names.complement_keys(carry), row, key);
    let kept = format!("SELECT x.{} AS v FROM {} AS x WHERE {complement_row}", names.value, names.complement);
    let stored = at_the_other_end(carry, row);
    match carry.direction {
        Direction::Up => format!("(SELECT s.v FROM ({stored}\n    UNION ALL {kept}) AS s LIMIT 1)"),
        Direction::Down => format!("(SELECT t.v FROM ({kept}\n    UNION ALL {stored}) AS t LIMIT 1)"),
    }
}

/// The value, as `v`, that is stored at the other end of a carried value's way.
#[must_use]
pub fn at_the_other_end(carry: &Carry, row: &str) -> String {
    match carry.direction {
        Direction::Up => {
            let last = carry.hops.len() - 1;
            let in_group = equal(&format!("a{last}"), &carry.hops[last].from_columns, row, carry.target_key());
            format!("SELECT a0.{} AS v FROM {} WHERE {in_group}", carry.column, members(carry))
        }
        Direction::Down => {
            let mut from = format!("{} AS s", carry.source);
            let first = &carry.hops[0];
            let way = if carry.hops.len() == 1 {
                equal("s", &first.to_columns, row, &first.from_columns)
            } else {
                let last = carry.hops.len() - 1;
                for i in (1..=last).rev() {
                    let hop = &carry.hops[i];
                    let one = if i == last { "s".to_owned() } else { format!("m{}", i + 1) };
                    from += &format!(
                        " JOIN {} AS m{i} ON {}",
                        hop.from,
                        equal(&one, &hop.to_columns, &format!("m{i}"), &hop.from_columns)
                    );
                }
                equal("m1", &first.to_columns, row, &first.from_columns)
            };
            format!("SELECT s.{} AS v FROM {from} WHERE {way}", carry.column)
        }
    }
}

/// The rows that hold an upward value, joined along the way: `a AS a0 JOIN c AS a1 ON …`.
#[must_use]
pub fn members(carry: &Carry) -> String {
    way_up(&carry.hops)
}

/// A whole way from its many end, the row `a0`.
#[must_use]
pub fn way_up(hops: &[Hop]) -> String {
    format!("{} AS a0{}", hops[0].from, joins(hops, 1..hops.len()))
}

/// Some hops of a way: ` JOIN c AS a1 ON a1.id = a0.c_id …`
#[must_use]
pub fn joins(hops: &[Hop], some: Range<usize>) -> String {
    let mut joins = String::new();
    for i in some {
        let below = &hops[i - 1];
        let on = equal(&format!("a{i}"), &below.to_columns, &format!("a{}", i - 1), &below.from_columns);
        joins += &format!(" JOIN {} AS a{i} ON {on}", hops[i].from);
    }
    joins
}

/// The value of an added field: its own if it has one, else the seed.
#[must_use]
pub fn added(added: &Added, row: &str) -> String {
    let place = Place::of_added(added);
    if added.seed.is_none() && added.copied.is_none() {
        return format!("(SELECT x.{} FROM {} AS x WHERE {})", place.value(), place.table, place.belongs("x", row));
    }
    place.value_or(0, row, &seed(added, row))
}

/// The seed of an added field for the row `row`, cast to its type.
#[must_use]
pub fn seed(added: &Added, row: &str) -> String {
    match (&added.seed, &added.copied) {
        (Some(seed), _) => format!("({})::{}", over(seed, row), added.type_name),
        (None, Some(copied)) => format!("{}::{}", copied::source(copied, row), added.type_name),
        (None, None) => format!("NULL::{}", added.type_name),
    }
}

/// Names of the key columns of a complement table.
#[must_use]
pub fn complement_keys(count: usize) -> Vec<Ident> {
    (1..=count).map(|i| Ident::new(format!("refactor_key_{i}"))).collect()
}
