//! The rows of a relation, as queries: what its view shows, and what its table must hold afterwards.

use crate::generate::{get, list};
use crate::relation::Relation;
use crate::version::Version;

/// `SELECT …` of what a relation shows, straight from the base.
#[must_use]
pub fn select(version: &Version, relation: &Relation) -> String {
    let fields: Vec<String> =
        relation.fields.iter().map(|f| format!("{} AS {}", get::get(version, relation, f), f.shape.name)).collect();
    format!("SELECT {} FROM {} AS b", list(&fields), relation.base)
}

/// Count and checksum of what a relation shows.
#[must_use]
pub fn of_view(version: &Version, relation: &Relation) -> String {
    checksum(&select(version, relation))
}

/// Count and checksum of a table that has been made real.
#[must_use]
pub fn of_table(relation: &Relation) -> String {
    let fields: Vec<String> = relation.fields.iter().map(|f| format!("b.{}", f.shape.name)).collect();
    checksum(&format!("SELECT {} FROM {} AS b", list(&fields), relation.name))
}

/// Free of order; equal texts of equal types only.
fn checksum(query: &str) -> String {
    format!("SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM ({query}) AS t")
}
