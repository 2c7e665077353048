//! What is known of the values of a type: whether they can be compared, and whether equal ones are the same. The one
//! place that knows; all of it is read from the catalogue.

use std::collections::{BTreeMap, BTreeSet};

use super::{Field, Schema};
use crate::sql::type_names::{ALIASES, without_modifier};

/// What is known of the values of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// They have `=` and an order, as DISTINCT, GROUP BY and unique keys need them.
    pub comparable: bool,
    /// Those that are equal are the same: not so for 1.0 and 1.00, or for what differs in case under citext.
    pub exact: bool,
    /// They have a hash, which equal ones share.
    pub hashed: bool,
    /// They have fields of their own, which `IS NULL` and `SELECT … INTO` look at.
    pub composite: bool,
    /// How they are ordered depends on a collation.
    pub collatable: bool,
    /// They may be of any length, and then too long for a key.
    pub long: bool,
}

/// A type that nobody knows is compared by what its values look like.
impl Default for Kind {
    fn default() -> Self {
        Self { comparable: true, exact: false, hashed: false, composite: false, collatable: true, long: false }
    }
}

/// All types of a database, by name as `format_type` gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Without a modifier, and with one: `numeric`, `numeric(10,2)`.
    pub types: BTreeMap<String, [Kind; 2]>,
    /// Collations under which strings can be equal and not the same.
    pub lax: BTreeSet<String>,
}

impl Schema {
    /// What is known of the values of a field.
    #[must_use]
    pub fn kind(&self, field: &Field) -> Kind {
        let kind = self.kind_of(&field.type_name);
        let lax = field.collation.as_ref().is_some_and(|c| self.kinds.lax.contains(c));
        Kind { exact: kind.exact && !lax, hashed: kind.hashed && !lax, ..kind }
    }

    /// What is known of the values of a type, as PostgreSQL or somebody else writes it.
    #[must_use]
    pub fn kind_of(&self, type_name: &str) -> Kind {
        let bare = without_modifier(type_name);
        let modified = usize::from(bare != type_name);
        let lower = bare.to_lowercase();
        let family = match ALIASES.iter().find(|(alias, _)| *alias == lower) {
            Some((_, name)) => name,
            None if lower.starts_with("interval ") => "interval",
            None => &*bare,
        };
        let find = |name: &str| self.kinds.types.get(name).map(|both| both[modified]);
        let qualified = || self.search_path.iter().find_map(|schema| find(&format!("{schema}.{family}")));
        find(family).or_else(|| find(&lower)).or_else(qualified).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_as_they_are_written() {
        let loose =
            Kind { comparable: true, exact: false, hashed: true, composite: false, collatable: false, long: false };
        let exact = Kind { exact: true, ..loose };
        let types = [("numeric", [loose, exact]), ("shop.price", [exact, exact]), ("interval", [loose, loose])];
        let kinds = Kinds { types: types.map(|(n, k)| (n.to_owned(), k)).into(), lax: ["public.ci".to_owned()].into() };
        let schema = Schema { kinds, search_path: vec!["shop".into()], ..Schema::default() };
        let known = ["numeric", "numeric(10,2)", "price", "INTERVAL", "interval day to second(3)"];
        assert_eq!(known.map(|name| schema.kind_of(name)), [loose, exact, exact, loose, loose]);
        assert_eq!(schema.kind_of("other"), Kind::default());
        let field = Field { type_name: "price".into(), ..Field::named("f".into()) };
        assert!(schema.kind(&field).exact);
        assert!(!schema.kind(&Field { collation: Some("public.ci".into()), ..field }).exact);
    }
}
