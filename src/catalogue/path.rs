//! Ways between two tables along foreign keys, in one version.

use crate::name::{Ident, TableName, TableRef, shell};
use crate::refusal::Refusal;
use crate::relation::{Attached, Relation, Rows};
use crate::schema::{Constraint, ForeignKey};
use crate::version::{Direction, Hop, Version};

/// A way that a value can be carried.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// Up: the field's table refers to the other; down: the reverse.
    pub direction: Direction,
    /// From the many to the one.
    pub hops: Vec<Hop>,
    /// Each many-side table has at most one row per row of the one side.
    pub one_to_one: bool,
    /// The foreign keys' names, in the order walked from the field's table.
    pub keys: Vec<String>,
    /// Every hop is a validated foreign key whose fields are NOT NULL, so every row of the many reaches the one.
    pub total: bool,
}

/// A foreign key between two relations, seen in a version.
struct Edge<'v> {
    from: &'v Relation,
    to: &'v Relation,
    constraint: &'v Attached<Constraint>,
    key: &'v ForeignKey,
}

fn edges(version: &Version) -> Vec<Edge<'_>> {
    let mut edges = Vec::new();
    for from in version.relations.values() {
        for (constraint, key) in from.foreign_keys() {
            // A partitioned table's key shows once per partition on the far side; those copies are inherited.
            if let Some(to) = version.over(&key.table)
                && !constraint.item.inherited
                && version.table(to).partition_of.is_none()
                && is_led_by(version, to, constraint, key)
                && [from, to].iter().all(|r| r.rows == Rows::Whole)
            {
                edges.push(Edge { from, to, constraint, key });
            }
        }
    }
    edges
}

/// A foreign key that is to come leads somewhere only if the table already keeps the key at its end unique.
fn is_led_by(version: &Version, to: &Relation, constraint: &Attached<Constraint>, key: &ForeignKey) -> bool {
    let shown = |c| to.showing(&version.schema, c).map(|f| f.shape.name.clone());
    let names: Vec<Ident> = key.fields.iter().filter_map(shown).collect();
    constraint.brought_by().is_none() || to.is_unique(&names)
}

impl Edge<'_> {
    fn hop(&self, version: &Version) -> Result<Hop, Refusal> {
        let from_columns = self.from.columns(&version.schema, &self.constraint.item.fields).ok_or_else(|| {
            let moved = self.constraint.item.fields.first().cloned().unwrap_or_else(|| Ident::new(""));
            let field = crate::name::FieldRef {
                table: crate::name::TableRef { schema: None, name: self.from.name.name.clone() },
                field: moved,
            };
            let step = self.from.touched_by.last().cloned().unwrap_or_default();
            Refusal::NotMaterialized { field, step }
        })?;
        Ok(Hop {
            from: self.from.base.clone(),
            from_columns,
            to: self.to.base.clone(),
            to_columns: self.key.fields.clone(),
        })
    }

    /// The key's name, or its only field.
    fn is_called(&self, name: &Ident) -> bool {
        self.constraint.item.name == *name || self.constraint.item.fields == [name.clone()]
    }

    fn is_total(&self, version: &Version) -> bool {
        let table = version.table(self.from);
        self.constraint.brought_by().is_none()
            && self.constraint.item.validated
            && self.constraint.columns.iter().all(|c| table.fields.iter().any(|f| f.name == *c && f.not_null))
    }
}

/// Finds the way for a field of `from` to get to `to`. `via` names the foreign keys to take, in order; `down` goes down
/// the foreign key of a table to itself, which leads both ways.
///
/// # Errors
/// When there is no way, or several.
pub fn find(version: &Version, from: &Relation, to: &Relation, via: &[Ident], down: bool) -> Result<Path, Refusal> {
    let edges = edges(version);
    let mut found = if via.is_empty() { walks(&edges, from, to, 1, down) } else { named(&edges, from, to, via, down)? };
    match (found.len(), found.pop()) {
        (1, Some((direction, walk))) => path(version, direction, &walk),
        (0, _) => {
            let mut longer: Vec<String> = [2, 3]
                .iter()
                .flat_map(|n| walks(&edges, from, to, *n, down))
                .map(|(_, walk)| format!("`--via {}`", shell(&keys(&walk).join(","))))
                .collect();
            longer.truncate(4);
            Err(Refusal::NoPath { from: from.name.clone(), to: to.name.clone(), longer, matching: matching(from, to) })
        }
        (_, last) => {
            let mut names: Vec<String> = found.iter().chain(&last).map(|(_, walk)| keys(walk).join(",")).collect();
            names.sort();
            Err(Refusal::ManyPaths { from: from.name.clone(), to: to.name.clone(), keys: names })
        }
    }
}

/// A table that refers to another itself.
pub struct Reference<'v> {
    /// The table.
    pub table: &'v Relation,
    /// The other.
    pub into: &'v Relation,
    /// The way.
    pub hop: Hop,
    /// The name of the foreign key.
    pub key: Ident,
    /// The fields that refer, as the table calls them.
    pub fields: Vec<Ident>,
}

/// Finds the foreign key by which a table refers to another.
///
/// # Errors
/// When there is none or several, it leads the other way, or one of the tables is not whole.
pub fn reference<'v>(
    version: &'v Version,
    table: &TableRef,
    into: &TableRef,
    via: Option<&Ident>,
) -> Result<Reference<'v>, Refusal> {
    let (table, into) = (version.find_own(table)?, version.find_own(into)?);
    for relation in [table, into] {
        version.must_be_whole(relation)?;
    }
    if table.base == into.base {
        return Err(Refusal::Nothing("a table cannot take itself in".into()));
    }
    let via: Vec<Ident> = via.cloned().into_iter().collect();
    let found = find(version, table, into, &via, false)?;
    let (here, there) = (table.name.short(), into.name.short());
    let ([hop], [key]) = (&found.hops[..], &found.keys[..]) else {
        return Err(Refusal::Other { why: format!("`{here}` does not refer to `{there}` itself"), hint: None });
    };
    if hop.from != table.base {
        return Err(Refusal::Other {
            why: format!("`{there}` refers to `{here}`, not the other way round"),
            hint: Some(format!(
                "inline it: `refactor inline-table {} --into {}`",
                table.name.typed(),
                into.name.typed()
            )),
        });
    }
    let shown = |c: &Ident| table.showing(&version.schema, c).map(|f| f.shape.name.clone());
    let fields: Vec<Ident> = hop.from_columns.iter().filter_map(shown).collect();
    if fields.len() != hop.from_columns.len() {
        return Err(Refusal::Other { why: format!("`{here}` does not show all fields that refer"), hint: None });
    }
    Ok(Reference { table, into, hop: hop.clone(), key: Ident::new(&**key), fields })
}

/// Fields of the same name and type that are a key of one of the two tables (of both: `id` is just the usual name).
fn matching(from: &Relation, to: &Relation) -> Vec<String> {
    let shared = from.fields.iter().filter(|f| {
        let name = std::slice::from_ref(&f.shape.name);
        let same = to.field(&f.shape.name).is_some_and(|t| t.shape.type_name == f.shape.type_name);
        same && from.is_unique(name) != to.is_unique(name)
    });
    shared.map(|f| format!("--on {0}={0}", f.shape.name.typed())).collect()
}

type Walk<'e, 'v> = Vec<&'e Edge<'v>>;

fn keys(walk: &[&Edge<'_>]) -> Vec<String> {
    walk.iter().map(|e| e.constraint.item.name.as_str().to_owned()).collect()
}

/// All walks of exactly `length` keys, all up or all down.
fn walks<'e, 'v>(
    edges: &'e [Edge<'v>],
    from: &Relation,
    to: &Relation,
    length: usize,
    down: bool,
) -> Vec<(Direction, Walk<'e, 'v>)> {
    let mut found = Vec::new();
    for direction in [Direction::Up, Direction::Down] {
        // A self reference leads both ways: up unless down is asked for.
        if from.base == to.base && down != (direction == Direction::Down) {
            continue;
        }
        let mut open: Vec<(&TableName, Walk)> = vec![(&from.base, Vec::new())];
        for _ in 0..length {
            let mut longer = Vec::new();
            for (at, walk) in open {
                for edge in edges {
                    let (near, far) = ends(edge, direction);
                    let back = walk.iter().any(|e: &&Edge| ends(e, direction).0 == far) && far != &to.base;
                    if near == at && !back {
                        longer.push((far, walk.iter().copied().chain([edge]).collect()));
                    }
                }
            }
            open = longer;
        }
        found.extend(open.into_iter().filter(|(at, _)| *at == &to.base).map(|(_, walk)| (direction, walk)));
    }
    found
}

fn ends<'v>(edge: &Edge<'v>, direction: Direction) -> (&'v TableName, &'v TableName) {
    match direction {
        Direction::Up => (&edge.from.base, &edge.to.base),
        Direction::Down => (&edge.to.base, &edge.from.base),
    }
}

fn named<'e, 'v>(
    edges: &'e [Edge<'v>],
    from: &Relation,
    to: &Relation,
    via: &[Ident],
    down: bool,
) -> Result<Vec<(Direction, Walk<'e, 'v>)>, Refusal> {
    let walks = walks(edges, from, to, via.len(), down);
    let fits = |(_, walk): &(Direction, Walk)| walk.iter().zip(via).all(|(e, name)| e.is_called(name));
    let usable: Vec<String> = walks.iter().map(|(_, w)| keys(w).join(",")).collect();
    let found: Vec<_> = walks.into_iter().filter(fits).collect();
    if found.is_empty() {
        let name = via.iter().map(Ident::as_str).collect::<Vec<_>>().join(",");
        return Err(Refusal::NotOnPath { name, from: from.name.clone(), to: to.name.clone(), keys: usable });
    }
    Ok(found)
}

fn path(version: &Version, direction: Direction, walk: &[&Edge<'_>]) -> Result<Path, Refusal> {
    let mut hops = walk.iter().map(|e| e.hop(version)).collect::<Result<Vec<_>, _>>()?;
    if direction == Direction::Down {
        hops.reverse();
    }
    Ok(Path {
        direction,
        hops,
        one_to_one: walk.iter().all(|e| e.from.is_unique(&e.constraint.item.fields)),
        keys: keys(walk),
        total: walk.iter().all(|e| e.is_total(version)),
    })
}

/// The way that `--on a=b,c=d` names: fields of `from` equal fields of `to`, one side of which is a unique key.
///
/// # Errors
/// When a field does not exist or neither side is unique.
pub fn on(version: &Version, from: &Relation, to: &Relation, pairs: &[(Ident, Ident)]) -> Result<Path, Refusal> {
    let (near, far): (Vec<Ident>, Vec<Ident>) = pairs.iter().cloned().unzip();
    let columns = |relation: &Relation, names: &[Ident]| {
        for name in names {
            let Some(field) = relation.field(name) else {
                return Err(Refusal::NoField {
                    table: relation.name.clone(),
                    field: name.clone(),
                    similar: crate::refusal::similar(
                        name.as_str(),
                        relation.fields.iter().map(|f| f.shape.name.as_str()),
                    ),
                });
            };
            if relation.column(&version.schema, field).is_none() {
                let table = crate::name::TableRef { schema: None, name: relation.name.name.clone() };
                let field = crate::name::FieldRef { table, field: name.clone() };
                let step = relation.touched_by.last().cloned().unwrap_or_default();
                return Err(Refusal::NotMaterialized { field, step });
            }
        }
        Ok(relation.columns(&version.schema, names).unwrap_or_default())
    };
    let (near_columns, far_columns) = (columns(from, &near)?, columns(to, &far)?);
    let hop = |a: &Relation, a_columns: Vec<Ident>, b: &Relation, b_columns: Vec<Ident>| {
        vec![Hop { from: a.base.clone(), from_columns: a_columns, to: b.base.clone(), to_columns: b_columns }]
    };
    let (up, down) = (to.is_unique(&far), from.is_unique(&near));
    let (direction, hops) = if up {
        (Direction::Up, hop(from, near_columns, to, far_columns))
    } else if down {
        (Direction::Down, hop(to, far_columns, from, near_columns))
    } else {
        return Err(Refusal::Other {
            why: format!(
                "neither side of `--on` is a unique key, so one `{}` may match many and the reverse",
                to.name.short()
            ),
            hint: Some("name fields that are a primary key or unique on one side".into()),
        });
    };
    Ok(Path { direction, hops, one_to_one: up && down, keys: Vec::new(), total: false })
}
