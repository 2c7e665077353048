//! Relations → SQL text: views, put-back, complement, companions, whiteouts, facts. The only place that writes SQL for
//! them; everything is a pure function of a [`Version`].

pub mod apart;
pub mod beside;
pub mod calculated;
pub mod carry;
pub mod complement;
pub mod copied;
pub mod dependents;
pub mod drawn;
pub mod enums;
mod excluded;
pub mod fact;
pub mod floor;
pub mod get;
pub mod held;
pub mod kept;
pub mod link;
pub mod lookup;
pub mod made;
pub mod mark;
pub mod numbering;
pub mod piece;
pub mod place;
pub mod put;
pub mod rights;
pub mod rows;
pub mod rule;
pub mod shaped;
pub mod slice;
pub mod spread;
mod taken;
pub mod told;
pub mod united;
pub mod view;
pub mod watched;
pub mod whiteout;

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;

pub use crate::generate::piece::Piece;
use crate::name::{Ident, equality};
pub use crate::name::{OWN, own};
use crate::relation::{Home, Relation, Rows};
use crate::schema::kind::Kind;
use crate::sql::Literal;
use crate::version::Version;

/// Marks objects as ours in their comments.
pub const MARK: &str = "refactor:";

/// For few rows of a large table, whatever the planner knows of it: it takes them for many, and what it would do for many costs
/// more than all else.
pub const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
     SET LOCAL enable_hashagg = off;";

/// As it was before [`BY_INDEX`].
pub const ANY_WAY: &str = "RESET enable_seqscan; RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_hashagg;";

/// The mechanism a relation is written through (DESIGN: classes of views).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Auto-updatable.
    U,
    /// One table with looked-up fields, or rules that it does not keep; INSTEAD OF INSERT and UPDATE.
    H,
    /// Rows of several tables; three INSTEAD OF triggers.
    T,
}

impl Class {
    /// The best class for a relation.
    #[must_use]
    pub fn of(version: &Version, relation: &Relation) -> Self {
        if matches!(relation.rows, Rows::United(_) | Rows::Linked(_) | Rows::Spread(_) | Rows::Told(_)) {
            return Self::T;
        }
        let simple = |home| matches!(home, Home::Own(_) | Home::Calculated(_));
        let simple = relation.fields.iter().all(|f| simple(f.home));
        let told = rule::any(version, relation) || lookup::any(version, relation) || slice::any(version, relation);
        let told = told || relation.mark().is_some();
        if simple && !told { Self::U } else { Self::H }
    }

    /// What the view of a relation cannot do.
    #[must_use]
    pub fn cannot(self, relation: &Relation) -> Vec<&'static str> {
        let calculated = relation.fields.iter().any(|f| matches!(f.home, Home::Calculated(_)));
        let mut cannot = self.cannot_ever().to_vec();
        cannot.extend((self == Self::U && calculated).then_some("DEFAULT for a calculated field (leave it out)"));
        cannot.extend((!self.locks_rows()).then_some("lock rows with FOR UPDATE or FOR SHARE"));
        let old = "show by FOR UPDATE, where it had to wait, what a field that lives elsewhere has become (read the row again)";
        cannot.extend(self.shows_old_after_a_wait(relation).then_some(old));
        cannot
    }

    /// Whether FOR UPDATE through the view locks the rows that it shows.
    #[must_use]
    pub fn locks_rows(self) -> bool {
        self != Self::T
    }

    /// Whether FOR UPDATE, where it had to wait, shows what a field was before: PostgreSQL looks again only at the row that was
    /// locked, not at what is told of it elsewhere.
    fn shows_old_after_a_wait(self, relation: &Relation) -> bool {
        let own = |home: &Home| matches!(home, Home::Own(_) | Home::Calculated(_) | Home::Numbered(_));
        self == Self::H && !relation.fields.iter().all(|f| own(&f.home))
    }

    fn cannot_ever(self) -> &'static [&'static str] {
        match self {
            Self::U => &[
                "COPY FROM",
                "MERGE before PostgreSQL 17",
                "TRUNCATE",
                "WHERE CURRENT OF",
                "ON CONFLICT ON CONSTRAINT",
                "be referred to by a foreign key",
                "GROUP BY its key alone with other fields selected (name them there, too)",
            ],
            Self::H | Self::T => &[
                "ON CONFLICT",
                "MERGE",
                "TRUNCATE",
                "WHERE CURRENT OF",
                "be referred to by a foreign key",
                "GROUP BY its key alone with other fields selected (name them there, too)",
                "wait and look again at a row that another session changes (it fails with 40001 instead; retry)",
            ],
        }
    }
}

/// Where the new shape of each base schema is shown.
///
/// One touched schema is shown in `next`; with more, `public` (else the first by name) is, and each other schema `s` in
/// `next_s`.
#[must_use]
pub fn shown_in(version: &Version) -> BTreeMap<Ident, Ident> {
    let mut schemas: BTreeSet<&Ident> = version.shown().map(|r| &r.name.schema).collect();
    schemas.extend(version.gone.keys().filter(|n| version.schema.tables.contains_key(*n)).map(|n| &n.schema));
    let public = Ident::new("public");
    let main = if schemas.contains(&public) { Some(&public) } else { schemas.iter().next().copied() };
    schemas
        .iter()
        .map(|s| {
            let next = if Some(*s) == main { Ident::new("next") } else { Ident::generated(&["next", s.as_str()]) };
            ((*s).clone(), next)
        })
        .collect()
}

#[derive(Template)]
#[template(path = "foundation.sql", escape = "none")]
struct Foundation;

/// Everything that shows a version, in the order in which it must be created. Complement tables come apart
/// ([`complement::complements`]) since they hold data and outlive a regeneration.
///
/// # Errors
/// Only if a template cannot be rendered, which is a fault of ours.
pub fn everything(version: &Version) -> Result<Vec<Piece>, askama::Error> {
    let mut pieces = watching(version)?;
    let next = shown_in(version);
    let (mut shown, mut open) = (Vec::new(), BTreeSet::new());
    let own_schema = Ident::new(OWN);
    let under = version.under.values();
    let under = under.map(|r| (r, &own_schema));
    for (relation, schema) in under.chain(version.shown().map(|r| (r, &next[&r.name.schema]))) {
        shown.extend(rule::functions(version, relation)?);
        shown.extend(mark::function(version, relation));
        shown.extend(apart::guard_of_numbers(version, relation)?);
        shown.push(view::view(version, relation, schema)?);
    }
    for (name, gone) in version.gone.iter().filter(|(n, _)| version.schema.tables.contains_key(*n)) {
        open.insert(shown.len());
        shown.push(whiteout::whiteout(version, name, gone, &next[&name.schema])?);
    }
    pieces.extend(sealed(version, shown, &open));
    Ok(pieces)
}

/// What watches the tables, of which no view need be there: helpers and triggers.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn watching(version: &Version) -> Result<Vec<Piece>, askama::Error> {
    let mut pieces = Vec::new();
    // Whoever comes to these tables, with whatever privileges, may call what only speaks of its arguments.
    let mut open = BTreeSet::new();
    if version.shown().any(|r| Class::of(version, r) != Class::U) {
        pieces.push(Piece::new("common functions", Foundation.render()?));
    }
    for index in 0..version.carries.len() {
        pieces.push(carry::companions(version, index)?);
    }
    pieces.extend(complement::forgetting(version)?);
    for added in &version.added {
        pieces.extend(added.copied.as_ref().map(|c| copied::companions(version, added, c)).transpose()?);
    }
    for index in 0..version.shaped.len() {
        open.insert(pieces.len());
        pieces.push(shaped::guard(version, index)?);
    }
    for index in 0..version.lookups.len() {
        pieces.push(lookup::companions(version, index)?);
    }
    for guard in calculated::guards(version)? {
        open.insert(pieces.len());
        pieces.push(guard);
    }
    for link in &version.links {
        pieces.push(link::companion(version, link)?);
    }
    for slice in &version.slices {
        pieces.push(slice::companions(version, slice)?);
    }
    for index in 0..version.numberings.len() {
        pieces.push(numbering::companions(version, index)?);
    }
    for index in 0..version.held.len() {
        pieces.push(held::guard(version, index)?);
    }
    for index in 0..version.unions.len() {
        pieces.extend(apart::guard(version, index)?);
        pieces.extend(mark::keeping(version, index)?);
    }
    for floor in &version.floors {
        pieces.push(floor::companions(version, floor)?);
    }
    Ok(sealed(version, pieces, &open))
}

/// The pieces as the server gets them, with their functions closed to everybody; of those that are `open`, only to who would
/// attach or act by them.
fn sealed(version: &Version, pieces: Vec<Piece>, open: &BTreeSet<usize>) -> Vec<Piece> {
    let (schema, users) = (&version.schema, rights::users(version));
    let closed = |(at, piece)| {
        if open.contains(&at) {
            rights::closed_triggers(piece, &schema.by_default)
        } else {
            rights::closed(piece, &users, &schema.by_default)
        }
    };
    let seal = |piece: Piece| piece.sealed(&schema.search_path, &|fields| schema.equalities.operator(fields));
    pieces.into_iter().enumerate().map(closed).map(seal).collect()
}

/// A comment for an object of ours that a refactoring made.
#[must_use]
pub fn comment(text: &str) -> Literal {
    Literal(format!("{MARK} {text}"))
}

/// `a, b, c`
#[must_use]
pub fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Each of them once, where it comes first.
#[must_use]
pub fn once_each<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for item in items {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    once
}

/// `row.a`, `row.b`
#[must_use]
pub fn each_of(row: &str, columns: &[Ident]) -> Vec<String> {
    columns.iter().map(|c| format!("{row}.{c}")).collect()
}

/// `row.a, row.b`
#[must_use]
pub fn of(row: &str, columns: &[Ident]) -> String {
    list(&each_of(row, columns))
}

/// `a AND b AND c`
#[must_use]
pub fn all(conditions: &[String]) -> String {
    conditions.join(" AND ")
}

/// `row.a = value`
#[must_use]
pub fn is(row: &str, column: &Ident, value: &str) -> String {
    format!("{row}.{column} {} {value}", equality(&[column]))
}

/// That a value is NULL. `IS NULL` would be true as well of a row of its own in which all is NULL.
#[must_use]
pub fn null(value: &str, kind: Kind) -> String {
    if kind.composite { format!("{value} IS NOT DISTINCT FROM NULL") } else { format!("{value} IS NULL") }
}

/// That it is not.
#[must_use]
pub fn given(value: &str, kind: Kind) -> String {
    if kind.composite { format!("{value} IS DISTINCT FROM NULL") } else { format!("{value} IS NOT NULL") }
}

/// What tells a value from others: itself, or what it looks like where equal values are not always the same. A cast of its
/// own would leave out what its type takes for padding.
#[must_use]
pub fn identity(value: &str, exact: bool) -> String {
    if exact { value.to_owned() } else { format!("nullif(ROW({value})::text, '()') COLLATE pg_catalog.\"C\"") }
}

/// `row.a = x AND row.b = y`
#[must_use]
pub fn has<T: AsRef<str>>(row: &str, columns: &[Ident], values: &[T]) -> String {
    all(&columns.iter().zip(values).map(|(c, value)| is(row, c, value.as_ref())).collect::<Vec<_>>())
}

/// `l.a = r.x AND l.b = r.y`
#[must_use]
pub fn equal(left: &str, left_columns: &[Ident], right: &str, right_columns: &[Ident]) -> String {
    let each = left_columns.iter().zip(right_columns);
    all(&each.map(|(l, r)| format!("{left}.{l} {} {right}.{r}", equality(&[l, r]))).collect::<Vec<_>>())
}
