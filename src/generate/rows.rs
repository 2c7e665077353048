//! The rows of a relation, as queries: what its view shows, and what its table must hold afterwards.

use std::collections::BTreeSet;

use crate::generate::carry::Names;
use crate::generate::place::{self, Place};
use crate::generate::{OWN, all, equal, get, identity, link, list, lookup, numbering, shaped, spread, united};
use crate::name::{Ident, TableName, delimited};
use crate::relation::{Field, Home, Relation, Rows, row_key};
use crate::sql::type_names::without_modifier;
use crate::version::{Added, Carry, Copied, Direction, Version};

/// From this many bytes on a table is compared by the hashes of its new values instead of by the texts of its rows, and
/// what its view shows is joined instead of looked up row by row.
const LARGE: i64 = 64 << 20;

/// `SELECT …` of what a relation shows, straight from the base: to be read at once.
#[must_use]
pub fn select(version: &Version, relation: &Relation) -> String {
    let fields: Vec<String> =
        relation.fields.iter().map(|f| format!("{} AS {}", get::get(version, relation, f), f.shape.name)).collect();
    delimited(format!("SELECT {} FROM {}{}", list(&fields), source(version, relation), filter(version, relation)))
}

/// The rows of a relation that everything is real of which its fields are told: without a complement. Only the fields that
/// are wanted. None where there is more to it.
#[must_use]
pub fn when_real(version: &Version, relation: &Relation, wanted: &BTreeSet<&Ident>) -> Option<String> {
    let is_real = relation.base.schema.as_str() != OWN && matches!(relation.rows, Rows::Whole | Rows::Part(_));
    if !is_real || relation.mark().is_some() {
        return None;
    }
    let mut fields = Vec::new();
    for name in wanted {
        let field = relation.field(name)?;
        let value = match field.home {
            Home::Own(_) | Home::Calculated(_) => get::get(version, relation, field),
            Home::Carried(at) => format!("({} LIMIT 1)", get::at_the_other_end(&version.carries[at], "b")),
            Home::Looked(at, member) => lookup::told(&version.lookups[at], member, "b"),
            Home::Shaped(at, member) => shaped::told(&version.shaped[at], member, "b"),
            Home::Added(_) | Home::Numbered(_) | Home::United(_) => return None,
        };
        fields.push(format!("{value} AS {name}"));
    }
    let rows = filter(version, relation);
    Some(delimited(format!("SELECT {} FROM {}{rows}", list(&fields), source(version, relation))))
}

/// The same rows, joined instead of looked up one by one: for reading all of them.
#[must_use]
pub fn rebuild(version: &Version, relation: &Relation) -> String {
    let Joined { values, from } = joined(version, relation);
    let fields: Vec<String> =
        values.iter().zip(&relation.fields).map(|(value, f)| format!("{value} AS {}", f.shape.name)).collect();
    delimited(format!("SELECT {} FROM {from}", list(&fields)))
}

/// What [`rebuild`] selects, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// One expression a field.
    pub values: Vec<String>,
    /// The base as `b`, with all that is joined to it and what holds for its rows.
    pub from: String,
}

/// A way from the base to values in another table, which several fields may share.
struct Way<'v> {
    alias: String,
    carries: Vec<(usize, &'v Carry)>,
}

/// The expressions of a relation's fields and the joins that they read.
#[must_use]
pub fn joined(version: &Version, relation: &Relation) -> Joined {
    let ways = ways(version, relation);
    let mut from = source(version, relation);
    for way in &ways {
        from += &match way.carries[0].1.direction {
            Direction::Up => up(version, way),
            Direction::Down => down(way),
        };
    }
    let mut values = Vec::new();
    for field in &relation.fields {
        values.push(match field.home {
            Home::Own(at) => format!("b.{}", version.table(relation).fields[at].name),
            Home::United(_) => get::get(version, relation, field),
            Home::Carried(at) => {
                let carry = &version.carries[at];
                let complement = format!("x{at}");
                let keys = Names::of(carry).complement_keys(carry);
                let on = equal(&complement, &keys, "b", carry.target_key());
                from.push_str(&format!("\n  LEFT JOIN {} AS {complement} ON {on}", Names::of(carry).complement));
                let way = ways.iter().find(|w| w.carries.iter().any(|(i, _)| *i == at));
                let kept = format!("{complement}.{}", Names::of(carry).value);
                match (way, carry.direction) {
                    (None, _) => kept,
                    (Some(w), Direction::Up) => {
                        format!("CASE WHEN {a}.k1 IS NULL THEN {kept} ELSE {a}.v{at} END", a = w.alias)
                    }
                    (Some(w), Direction::Down) => {
                        let value = format!("{}_{}.{}", w.alias, carry.hops.len(), carry.column);
                        format!("CASE WHEN {complement}.{} IS NULL THEN {value} ELSE {kept} END", keys[0])
                    }
                }
            }
            Home::Added(_) | Home::Shaped(..) if let Some(found) = place::found(version, field, "y") => {
                from.extend(place::join(version, field).filter(|j| !from.contains(j.as_str())));
                found
            }
            Home::Shaped(at, member) => shaped::get(&version.shaped[at], member, "b"),
            Home::Looked(at, member) => {
                let (join, value) = lookup::joined(&version.lookups[at], at, member);
                from.extend(join.filter(|j| !from.contains(j.as_str())));
                value
            }
            Home::Calculated(at) => get::calculated(&version.calculated[at], "b"),
            Home::Numbered(at) => {
                let alias = format!("n{at}");
                from += &numbering::join(&version.numberings[at], &alias);
                format!("{alias}.{}", numbering::value())
            }
            Home::Added(at) => {
                let added = &version.added[at];
                let (join, value) = of_added(added, at);
                from += &join;
                value
            }
        });
    }
    from += &filter(version, relation);
    Joined { values, from }
}

/// The rows that a relation is made of, as `b`.
#[must_use]
pub fn source(version: &Version, relation: &Relation) -> String {
    match relation.rows {
        Rows::United(at) => format!("(\n{}) AS b", united::rows(version, &version.unions[at])),
        Rows::Told(at) => format!("(\n{}) AS b", version.told[at].select),
        Rows::Linked(at) => format!("(\n{}) AS b", link::rows(&version.links[at])),
        Rows::Spread(at) => format!("(\n{}) AS b", spread::rows(&version.spreads[at])),
        Rows::Whole | Rows::Part(_) | Rows::Slice(_) => format!("{} AS b", relation.base),
    }
}

/// ` WHERE …` where only some rows of the base are shown.
fn filter(version: &Version, relation: &Relation) -> String {
    let rows = get::rows(version, relation, "b");
    if rows.is_empty() { rows } else { format!("\nWHERE {rows}") }
}

fn of_added(added: &Added, at: usize) -> (String, String) {
    let place = Place::of_added(added);
    let complement = format!("y{at}");
    let mut join = format!("\n  LEFT JOIN {} AS {complement} ON {}", place.table, place.belongs(&complement, "b"));
    let mut seed = get::seed(added, "b");
    if let Some(Copied { hop, column }) = &added.copied {
        // It leads to a unique key, so no row is doubled.
        let on = equal(&format!("z{at}"), &hop.to_columns, "b", &hop.from_columns);
        join += &format!("\n  LEFT JOIN {} AS z{at} ON {on}", hop.to);
        seed = format!("z{at}.{column}");
    }
    (join, place.found_or(0, &complement, "b", &seed))
}

fn ways<'v>(version: &'v Version, relation: &Relation) -> Vec<Way<'v>> {
    let mut ways: Vec<Way> = Vec::new();
    for field in &relation.fields {
        let Home::Carried(at) = field.home else { continue };
        let carry = &version.carries[at];
        let same = |w: &&mut Way| {
            let other = w.carries[0].1;
            other.direction == carry.direction && other.source == carry.source && other.hops == carry.hops
        };
        match ways.iter_mut().find(same) {
            Some(way) => way.carries.push((at, carry)),
            None => ways.push(Way { alias: format!("w{}", ways.len()), carries: vec![(at, carry)] }),
        }
    }
    ways
}

/// Every hop leads to a unique key, so no row is doubled.
fn down(way: &Way) -> String {
    let mut below = "b".to_owned();
    let mut joins = String::new();
    for (i, hop) in way.carries[0].1.hops.iter().enumerate() {
        let here = format!("{}_{}", way.alias, i + 1);
        let on = equal(&here, &hop.to_columns, &below, &hop.from_columns);
        joins += &format!("\n  LEFT JOIN {} AS {here} ON {on}", hop.to);
        below = here;
    }
    joins
}

/// One row a group: its members agree, so any of them will do.
fn up(version: &Version, way: &Way) -> String {
    let carry = way.carries[0].1;
    let last = carry.hops.len() - 1;
    let keys: Vec<String> = carry.hops[last].from_columns.iter().map(|c| format!("a{last}.{c}")).collect();
    let named: Vec<Ident> = (1..=keys.len()).map(|i| Ident::new(format!("k{i}"))).collect();
    let present = all(&keys.iter().map(|k| format!("{k} IS NOT NULL")).collect::<Vec<_>>());
    let aggregates: Option<Vec<&str>> = way.carries.iter().map(|(_, c)| any(version, c)).collect();
    let mut columns: Vec<String> = keys.iter().zip(&named).map(|(k, n)| format!("{k} AS {n}")).collect();
    for (i, (at, c)) in way.carries.iter().enumerate() {
        let value = match &aggregates {
            Some(functions) => format!("{}(a0.{})::{}", functions[i], c.column, c.type_name),
            None => format!("a0.{}", c.column),
        };
        columns.push(format!("{value} AS v{at}"));
    }
    let keys = list(&keys);
    let members = get::members(carry);
    let (distinct, grouped) = match aggregates {
        Some(_) => (String::new(), format!("GROUP BY {keys}")),
        None => (format!("DISTINCT ON ({keys}) "), format!("ORDER BY {keys}")),
    };
    let on = equal(&way.alias, &named, "b", carry.target_key());
    format!(
        "\n  LEFT JOIN (SELECT {distinct}{} FROM {members} WHERE {present} {grouped}) AS {} ON {on}",
        list(&columns),
        way.alias
    )
}

/// An aggregate that gives the value of equal values, so that groups can be hashed instead of sorted.
fn any(version: &Version, carry: &Carry) -> Option<&'static str> {
    const ORDERED: [&str; 12] = [
        "smallint",
        "integer",
        "bigint",
        "real",
        "double precision",
        "numeric",
        "text",
        "character varying",
        "date",
        "timestamp without time zone",
        "timestamp with time zone",
        "interval",
    ];
    if version.schema.server_version >= 160_000 {
        Some("any_value")
    } else {
        ORDERED.contains(&&*without_modifier(&carry.type_name)).then_some("min")
    }
}

/// Count and checksum of what a relation shows.
#[must_use]
pub fn of_view(version: &Version, relation: &Relation) -> String {
    if !is_large(version, relation) {
        return checksum(&select(version, relation));
    }
    let Joined { values, from } = joined(version, relation);
    let pairs = relation.fields.iter().zip(values).filter(|(f, _)| is_compared(version, relation, f));
    delimited(hashed(version, &pairs.map(|(f, value)| (f, format!("({value})"))).collect::<Vec<_>>(), &from))
}

/// Count and checksum of a table that has what a relation shows.
#[must_use]
pub fn of_table(version: &Version, relation: &Relation, table: &TableName) -> String {
    let fields = relation.fields.iter().map(|f| (f, format!("b.{}", f.shape.name)));
    let from = format!("{table} AS b");
    if is_large(version, relation) {
        return hashed(version, &fields.filter(|(f, _)| is_compared(version, relation, f)).collect::<Vec<_>>(), &from);
    }
    let values: Vec<String> = fields.map(|(_, value)| value).collect();
    checksum(&format!("SELECT {} FROM {from}", list(&values)))
}

fn is_large(version: &Version, relation: &Relation) -> bool {
    version.table(relation).bytes >= LARGE
}

/// Of a large table only what is new is compared, with the key that tells which row has it.
fn is_compared(version: &Version, relation: &Relation, field: &Field) -> bool {
    let key = row_key(version.table(relation)).unwrap_or_default();
    relation.column(&version.schema, field).is_none_or(|column| key.contains(column))
}

/// Free of order; equal texts of equal types only.
fn checksum(query: &str) -> String {
    format!(
        "SELECT count(*), coalesce(sum(pg_catalog.hashtextextended((t.*)::text, 0)::numeric), 0)::text FROM ({query}) AS t"
    )
}

/// Free of order; hashes of values where these tell whether they are the same, else of their texts.
fn hashed(version: &Version, values: &[(&Field, String)], from: &str) -> String {
    let exact = |field: &Field| {
        let kind = version.schema.kind(&field.shape);
        kind.exact && kind.hashed
    };
    let values: Vec<String> = values.iter().map(|(f, value)| identity(value, exact(f))).collect();
    format!(
        "SELECT count(*), coalesce(sum(pg_catalog.hash_record_extended(ROW({}), 0)), 0)::text FROM {from}",
        list(&values)
    )
}
