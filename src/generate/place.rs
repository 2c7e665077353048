//! Where the complement keeps values of a table's rows: in a table of their own, or beside other values in one that
//! several fields share, so that one look finds them all.

use crate::generate::get::{self, complement_keys};
use crate::generate::{each_of, equal, list, of, own, shaped};
use crate::name::{Ident, TableName};
use crate::relation::{Field, Home, Relation, Rows};
use crate::schema::ConstraintKind;
use crate::version::{Added, Shaped, Version};

/// A table that must be there, and the column that it must have if several fields share it.
pub type Needed = (TableName, Option<Ident>);

/// A place for values of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The complement table.
    pub table: TableName,
    /// The key of the rows' table that it follows.
    pub key: Vec<Ident>,
    /// Where others share the table: the column that says whether a row has these values.
    pub has: Option<Ident>,
    /// Columns that say for which values of the row's own they hold, with the row's columns.
    pub seen: Vec<(Ident, Ident)>,
    /// The columns of the values.
    pub values: Vec<Ident>,
}

impl Place {
    /// The place of an added field.
    #[must_use]
    pub fn of_added(added: &Added) -> Self {
        if !added.shared {
            return Self::apart(&added.id, &added.key, vec![Ident::new("refactor_value")]);
        }
        Self {
            table: shared(&added.table),
            has: Some(Ident::generated(&["has", added.id.as_str()])),
            values: vec![Ident::generated(&["value", added.id.as_str()])],
            ..Self::apart(&added.id, &added.key, Vec::new())
        }
    }

    /// The place of fields that others tell, for what these cannot tell exactly.
    #[must_use]
    pub fn of_shaped(shaped: &Shaped) -> Self {
        let id = shaped.id.as_str();
        let named = |what: &str, i: usize| {
            let i = (i + 1).to_string();
            if shaped.shared { Ident::generated(&[what, id, &i]) } else { Ident::generated(&["refactor", what, &i]) }
        };
        let seen = shaped.columns.iter().enumerate().map(|(i, c)| (named("seen", i), c.clone()));
        let apart = Self {
            seen: seen.collect(),
            ..Self::apart(&shaped.id, &shaped.key, (0..shaped.names.len()).map(|j| named("value", j)).collect())
        };
        if !shaped.shared {
            return apart;
        }
        Self { table: shared(&shaped.table), has: Some(Ident::generated(&["has", id])), ..apart }
    }

    /// A table of its own.
    #[must_use]
    pub fn apart(id: &Ident, key: &[Ident], values: Vec<Ident>) -> Self {
        Self { table: own(&["kept", id.as_str()]), key: key.to_vec(), has: None, seen: Vec::new(), values }
    }

    /// What must be there before it can be read.
    #[must_use]
    pub fn needed(&self) -> Needed {
        (self.table.clone(), self.has.clone())
    }

    /// The first value, often the only one.
    #[must_use]
    pub fn value(&self) -> &Ident {
        &self.values[0]
    }

    /// The columns of the key.
    #[must_use]
    pub fn keys(&self) -> Vec<Ident> {
        complement_keys(self.key.len())
    }

    /// The columns besides the key.
    #[must_use]
    pub fn columns(&self) -> Vec<Ident> {
        self.has.iter().chain(self.seen.iter().map(|(seen, _)| seen)).chain(&self.values).cloned().collect()
    }

    /// Whether `x`, of the complement, belongs to `row`.
    #[must_use]
    pub fn belongs(&self, x: &str, row: &str) -> String {
        equal(x, &self.keys(), row, &self.key)
    }

    /// Whether `x`, of the complement, has the values of `row`.
    #[must_use]
    pub fn has_of(&self, x: &str, row: &str) -> String {
        let valid = self.valid(x, row).into_iter().map(|valid| format!(" AND {valid}"));
        self.belongs(x, row) + &valid.collect::<String>()
    }

    /// Whether `x`, which may be missing, has values of `row`, to which it belongs.
    #[must_use]
    pub fn present(&self, x: &str, row: &str) -> String {
        let mut valid = self.valid(x, row);
        if valid.is_empty() {
            valid.push(format!("{x}.{} IS NOT NULL", self.keys()[0]));
        }
        valid.join(" AND ")
    }

    fn valid(&self, x: &str, row: &str) -> Vec<String> {
        let has = self.has.iter().map(|has| format!("{x}.{has}"));
        let (seen, columns): (Vec<Ident>, Vec<Ident>) = self.seen.iter().cloned().unzip();
        let as_seen = format!("pg_catalog.record_image_eq(ROW({}), ROW({}))", of(x, &seen), of(row, &columns));
        has.chain((!seen.is_empty()).then_some(as_seen)).collect()
    }

    /// The value at `at` for `row`: what is kept, which may be NULL, else `told`.
    #[must_use]
    pub fn value_or(&self, at: usize, row: &str, told: &str) -> String {
        let (table, value, this) = (&self.table, &self.values[at], self.has_of("x", row));
        format!(
            "(SELECT s.v FROM (SELECT x.{value} AS v FROM {table} AS x WHERE {this}\n    UNION ALL SELECT {told}) AS s LIMIT 1)"
        )
    }

    /// The same where `x` is what belongs to `row`, if anything does.
    #[must_use]
    pub fn found_or(&self, at: usize, x: &str, row: &str, told: &str) -> String {
        format!("(CASE WHEN {} THEN {x}.{} ELSE {told} END)", self.present(x, row), self.values[at])
    }

    /// The statement that keeps these values for `row`.
    #[must_use]
    pub fn keep(&self, row: &str, values: &[String]) -> String {
        let (columns, conflict) = self.written();
        let seen = self.seen.iter().map(|(_, column)| format!("{row}.{column}"));
        let values = self.row(row, &seen.chain(values.iter().cloned()).collect::<Vec<_>>());
        format!("INSERT INTO {} AS x ({columns}) VALUES ({values})\n      {conflict};", self.table)
    }

    /// The statement that forgets them, in a trigger that looks at the row before.
    #[must_use]
    pub fn forget(&self) -> String {
        let (table, this) = (&self.table, self.belongs("x", "OLD"));
        let Some(has) = &self.has else { return format!("DELETE FROM {table} AS x WHERE {this};") };
        let nothing = self.columns().into_iter().skip(1).map(|column| format!("{column} = NULL"));
        let sets: Vec<String> = std::iter::once(format!("{has} = false")).chain(nothing).collect();
        format!("UPDATE {table} AS x SET {} WHERE {this} AND x.{has};", list(&sets))
    }

    /// What an INSERT names, and how it ends where the row is there.
    #[must_use]
    pub fn written(&self) -> (String, String) {
        let (keys, columns) = (list(&self.keys()), self.columns());
        let sets: Vec<String> = columns.iter().map(|c| format!("{c} = excluded.{c}")).collect();
        (format!("{keys}, {}", list(&columns)), format!("ON CONFLICT ({keys}) DO UPDATE SET {}", list(&sets)))
    }

    /// What it gives for the columns that it names: `seen` and the values.
    #[must_use]
    pub fn row(&self, row: &str, given: &[String]) -> String {
        let has = self.has.iter().map(|_| "true".to_owned());
        let keys = each_of(row, &self.key).into_iter();
        list(&keys.chain(has).chain(given.iter().cloned()).collect::<Vec<_>>())
    }
}

/// The complement table that several fields of a table share.
fn shared(table: &TableName) -> TableName {
    own(&["kept", "of", table.schema.as_str(), table.name.as_str()])
}

/// From how many fields on one look for all of them is worth it. It costs as much as two, and a DELETE through the view
/// is PostgreSQL's own no more.
const ONE_LOOK: usize = 3;

/// What a view joins to the row `b` to find at once what the complement keeps of its fields ([`found`] in `(z.kept)`), if
/// it shows many of them.
///
/// OFFSET lets the planner not pull the subquery up, or else each field would look for itself. It has no table of its
/// own for a lock to name.
#[must_use]
pub fn one_look(version: &Version, relation: &Relation) -> Option<String> {
    if !matches!(relation.rows, Rows::Whole | Rows::Part(_) | Rows::Slice(_)) || refers_to_itself(version, relation) {
        return None;
    }
    let places: Vec<Place> = relation.fields.iter().filter_map(|f| Some(shared_by(version, f)?.0)).collect();
    let place = places.first().filter(|_| places.len() >= ONE_LOOK)?;
    let (table, this) = (&place.table, place.belongs("x", "b"));
    // A bare `x` would be a field of that name.
    Some(format!(
        "CROSS JOIN LATERAL (\n  SELECT (SELECT (x.*)::{table} FROM {table} AS x WHERE {this}) AS kept OFFSET 0) AS z"
    ))
}

/// Whether rows of the table refer to others. A DELETE through triggers takes one at a time, and looks at once whether
/// somebody still refers to it.
fn refers_to_itself(version: &Version, relation: &Relation) -> bool {
    let mut constraints = version.table(relation).constraints.iter();
    constraints.any(|c| matches!(&c.kind, ConstraintKind::Foreign(key) if key.table == relation.base))
}

/// How a field is read where `x` is what the shared complement keeps of the row `b`; none if it has no place there.
#[must_use]
pub fn found(version: &Version, field: &Field, x: &str) -> Option<String> {
    let (place, at) = shared_by(version, field)?;
    let told = match field.home {
        Home::Added(added) => get::seed(&version.added[added], "b"),
        Home::Shaped(shape, member) => shaped::told(&version.shaped[shape], member, "b"),
        _ => return None,
    };
    Some(place.found_or(at, x, "b", &told))
}

/// Joins to the row `b` what the shared complement keeps of it, as `y`, for fields that have a place there.
#[must_use]
pub fn join(version: &Version, field: &Field) -> Option<String> {
    let (place, _) = shared_by(version, field)?;
    Some(format!("\n  LEFT JOIN {} AS y ON {}", place.table, place.belongs("y", "b")))
}

/// The place of a field in the complement that it shares with others, and which of the values is its.
fn shared_by(version: &Version, field: &Field) -> Option<(Place, usize)> {
    let (place, at) = match field.home {
        Home::Added(added) => (Place::of_added(&version.added[added]), 0),
        Home::Shaped(shape, member) => (Place::of_shaped(&version.shaped[shape]), member),
        _ => return None,
    };
    place.has.is_some().then_some((place, at))
}
