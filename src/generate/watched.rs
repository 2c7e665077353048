//! Whom a change concerns: for what is told of a table's rows, the tables that tell it, and how a changed row of one of them leads
//! back to those that it tells something of.
//!
//! A way is logged at its changed row, as it was and as it is, with the columns that lead on to the base. The changed row nearest
//! to the base is found from it through rows that did not change, so it is enough to follow each logged end through the tables
//! as they are.

use crate::fact::{Elsewhere, LossKind};
use crate::generate::get::{complement_keys, joins};
use crate::generate::place::Place;
use crate::generate::{carry, equal, kept, lookup, of, once_each, slice};
use crate::name::{Ident, TableName};
use crate::relation::{Home, Relation, Rows, is_indexed, row_key};
use crate::version::{Direction, Hop, Slice, Version};

/// A table that is watched for the sake of a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The physical table, or a complement.
    pub table: TableName,
    /// Its columns that lead to rows of the base.
    pub columns: Vec<Ident>,
    /// The base as `b`, with the tables between; nothing where the columns are the base's own key.
    from: String,
    /// When the logged columns of `l` lead there.
    on: String,
}

impl Watched {
    /// The base itself.
    fn base(table: &TableName, key: &[Ident]) -> Self {
        Self { table: table.clone(), columns: key.to_vec(), from: String::new(), on: String::new() }
    }

    /// A complement of the base, by its key.
    fn complement(base: &TableName, table: TableName, key: &[Ident]) -> Self {
        let columns = complement_keys(key.len());
        Self { on: equal("l", &columns, "b", key), table, columns, from: format!("{base} AS b") }
    }

    /// Which rows of the base have no such part.
    fn slice(base: &TableName, slice: &Slice) -> Self {
        Self::complement(base, slice::absent(slice), &slice.key)
    }

    /// What the columns are called in a log.
    #[must_use]
    pub fn logged(&self) -> Vec<Ident> {
        complement_keys(self.columns.len())
    }

    /// A query of the keys of the base's rows that the rows of a log concern. The log leads, whatever the planner knows of it.
    #[must_use]
    pub fn concerned(&self, log: &str, key: &[Ident]) -> String {
        let (from, on) = (&self.from, &self.on);
        if from.is_empty() {
            return format!("SELECT DISTINCT {} FROM {log} AS l", of("l", &self.logged()));
        }
        let keys = of("b", key);
        format!("SELECT {keys} FROM {log} AS l CROSS JOIN LATERAL (SELECT {keys} FROM {from} WHERE {on} OFFSET 0) AS b")
    }
}

/// What tells the rows of a relation. None where that is more than fields of its base's rows, and of rows that they lead to.
#[must_use]
pub fn of_relation(version: &Version, relation: &Relation) -> Option<Vec<Watched>> {
    let base = &relation.base;
    let mut all = vec![Watched::base(base, &row_key(version.table(relation))?)];
    match relation.rows {
        Rows::Whole | Rows::Part(_) => {}
        Rows::Slice(at) => all.push(Watched::slice(base, &version.slices[at])),
        Rows::United(_) | Rows::Linked(_) | Rows::Spread(_) | Rows::Told(_) => return None,
    }
    for field in &relation.fields {
        match field.home {
            Home::Own(_) | Home::Calculated(_) => {}
            Home::United(_) => return None,
            Home::Shaped(at, _) => {
                let place = Place::of_shaped(&version.shaped[at]);
                all.push(Watched::complement(base, place.table, &place.key));
            }
            Home::Carried(at) => all.extend(elsewhere(version, base, Elsewhere::Carried(at))),
            Home::Added(at) => all.extend(elsewhere(version, base, Elsewhere::Added(at))),
            Home::Looked(at, member) => all.extend(elsewhere(version, base, Elsewhere::Looked(at, member))),
            Home::Numbered(at) => all.extend(elsewhere(version, base, Elsewhere::Numbered(at))),
        }
    }
    Some(once_each(all))
}

/// What tells which values of a table have no place in the new shape, kept by this key. None where that is not known.
#[must_use]
pub fn of_loss(version: &Version, at: usize, key: &[Ident]) -> Option<Vec<Watched>> {
    let loss = &version.losses[at];
    let base = &loss.table;
    let mut all = vec![Watched::base(base, key)];
    match loss.kind {
        LossKind::All | LossKind::Unfaithful(_) => {}
        LossKind::Unreal(place) => all.extend(elsewhere(version, base, place)),
        LossKind::Apart(at) => all.push(Watched::slice(base, &version.slices[at])),
        // It is lost where nothing is at the other end.
        LossKind::Unreached(at) => {
            let carry = &version.carries[at];
            all.extend(match carry.direction {
                Direction::Up => down(base, &carry.hops),
                Direction::Down => up(base, &carry.hops.last()?.to_columns, &carry.hops),
            });
        }
        _ => return None,
    }
    Some(once_each(all))
}

fn elsewhere(version: &Version, base: &TableName, place: Elsewhere) -> Vec<Watched> {
    match place {
        Elsewhere::Carried(at) => {
            let carry = &version.carries[at];
            let key = carry.target_key();
            let complement = Watched::complement(base, carry::Names::of(carry).complement, key);
            let way = match carry.direction {
                Direction::Up => up(base, key, &carry.hops),
                Direction::Down => down(base, &carry.hops),
            };
            [vec![complement], way].concat()
        }
        Elsewhere::Added(at) => {
            let added = &version.added[at];
            let place = Place::of_added(added);
            let copied = added.copied.iter().flat_map(|c| down(base, std::slice::from_ref(&c.hop)));
            std::iter::once(Watched::complement(base, place.table, &place.key)).chain(copied).collect()
        }
        Elsewhere::Looked(at, _) => {
            let lookup = &version.lookups[at];
            let other = Watched {
                table: lookup.other.clone(),
                columns: lookup.found_by.clone(),
                from: format!("{base} AS b"),
                on: lookup::leads(lookup, "l", &complement_keys(lookup.found_by.len()), "b"),
            };
            let kept = lookup.kept.iter().map(|k| Watched::complement(base, kept::kept_in(k), &k.key));
            std::iter::once(other).chain(kept).collect()
        }
        Elsewhere::Numbered(at) => {
            let numbering = &version.numberings[at];
            vec![Watched::complement(base, numbering.kept(), &numbering.key)]
        }
    }
}

/// The rows that lead to a row of the base, which is the last hop's end: `a0` leads to `a1` …
fn up(base: &TableName, key: &[Ident], hops: &[Hop]) -> Vec<Watched> {
    let last = hops.len() - 1;
    let one = |at: usize| {
        let (columns, logged) = (&hops[at].from_columns, complement_keys(hops[at].from_columns.len()));
        let (from, on) = if at == last {
            (format!("{base} AS b"), equal("l", &logged, "b", key))
        } else {
            let first = format!("{} AS a{}", hops[at + 1].from, at + 1);
            let end = equal(&format!("a{last}"), &hops[last].from_columns, "b", key);
            let between = joins(hops, at + 2..hops.len());
            let next = equal("l", &logged, &format!("a{}", at + 1), &hops[at].to_columns);
            (format!("{first}{between} JOIN {base} AS b ON {end}"), next)
        };
        Watched { table: hops[at].from.clone(), columns: columns.clone(), from, on }
    };
    (0..hops.len()).map(one).collect()
}

/// The rows that a row of the base leads to, which is the first hop's beginning.
fn down(base: &TableName, hops: &[Hop]) -> Vec<Watched> {
    let (mut from, mut below) = (format!("{base} AS b"), "b".to_owned());
    let mut all = Vec::new();
    for (at, hop) in hops.iter().enumerate() {
        let logged = complement_keys(hop.to_columns.len());
        let on = equal("l", &logged, &below, &hop.from_columns);
        all.push(Watched { table: hop.to.clone(), columns: hop.to_columns.clone(), from: from.clone(), on });
        let here = format!("t{}", at + 1);
        from += &format!(" JOIN {} AS {here} ON {}", hop.to, equal(&here, &hop.to_columns, &below, &hop.from_columns));
        below = here;
    }
    all
}

/// Columns by which rows are found, and that no index has: of a table, each once.
#[must_use]
pub fn unindexed(version: &Version, relation: &Relation) -> Vec<(TableName, Vec<Ident>)> {
    let found_by = relation.fields.iter().flat_map(|field| match field.home {
        Home::Carried(at) => version.carries[at].hops.iter().map(|hop| (&hop.from, &hop.from_columns)).collect(),
        Home::Added(at) => version.added[at].copied.iter().map(|c| (&c.hop.from, &c.hop.from_columns)).collect(),
        Home::Looked(at, _) => {
            let lookup = &version.lookups[at];
            vec![(&lookup.table, &lookup.columns), (&lookup.other, &lookup.found_by)]
        }
        _ => Vec::new(),
    });
    let unindexed = |(table, columns): &(&TableName, &Vec<Ident>)| {
        version.schema.table(table).is_some_and(|t| !is_indexed(t, columns))
    };
    let each = once_each(found_by.filter(unindexed)).into_iter();
    each.map(|(table, columns)| (table.clone(), columns.clone())).collect()
}
