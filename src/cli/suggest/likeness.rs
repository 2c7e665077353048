//! How alike two names are, and whether a type can become another.

use crate::name::Ident;
use crate::schema::{Field, Table};
use crate::sql::type_names::without_modifier;

/// From 0 to 100: by the pairs of letters that both have, and by words that both have.
pub fn names(one: &str, other: &str) -> usize {
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    if one == other {
        return 100;
    }
    let pairs = |name: &str| {
        let chars: Vec<char> = name.chars().filter(|c| c.is_alphanumeric()).collect();
        chars.windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>()
    };
    let (mine, mut theirs) = (pairs(&one), pairs(&other));
    let all = mine.len() + theirs.len();
    let common =
        mine.iter().filter(|pair| theirs.iter().position(|p| p == *pair).map(|at| theirs.remove(at)).is_some());
    let by_pairs = (200 * common.count()).checked_div(all).unwrap_or(0);
    let contained = one.len() > 2 && other.contains(&one) || other.len() > 2 && one.contains(&other);
    by_pairs.max(if contained { 60 } else { 0 })
}

/// The same for a field that another table gets: there it may be called after the table that it comes from.
pub fn moved_names(table: &Ident, field: &Ident, new: &Ident) -> usize {
    let one = singular(table.as_str());
    let called = names(&format!("{one}_{}", field.as_str()), new.as_str());
    let after = if new.as_str() == one { 90 } else { 0 };
    names(field.as_str(), new.as_str()).max(called).max(after)
}

/// `customer` of `customers`, as far as English goes.
pub fn singular(name: &str) -> String {
    if let Some(stem) = name.strip_suffix("ies") {
        return format!("{stem}y");
    }
    if ["sses", "shes", "ches", "xes", "uses"].iter().any(|ending| name.ends_with(ending)) {
        return name[..name.len() - 2].to_owned();
    }
    name.strip_suffix('s').filter(|stem| !stem.ends_with('s')).unwrap_or(name).to_owned()
}

/// `cities` of `city`.
pub fn plural(name: &str) -> String {
    let before_y = name.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match before_y {
        Some(stem) => format!("{stem}ies"),
        None if ["s", "x", "ch", "sh"].iter().any(|ending| name.ends_with(ending)) => format!("{name}es"),
        None if name.ends_with("lf") => format!("{}ves", &name[..name.len() - 1]),
        None => format!("{name}s"),
    }
}

/// Which kind of values a type has, as far as one becomes another by a cast.
fn family(type_name: &str) -> &str {
    let plain = type_name.split_once('(').map_or(type_name, |(head, _)| head).trim();
    match plain {
        "text" | "character varying" | "character" | "bpchar" | "citext" | "name" => "text",
        "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" => "number",
        "date" | "timestamp without time zone" | "timestamp with time zone" | "timestamp" => "time",
        "json" | "jsonb" => "json",
        _ => type_name,
    }
}

/// Whether a field may be another one under a new name: its values fit.
pub fn fits(one: &Field, other: &Field) -> bool {
    let same = without_modifier(&one.type_name) == without_modifier(&other.type_name)
        || family(&one.type_name) == family(&other.type_name);
    same && one.generated.is_some() == other.generated.is_some() && one.collation == other.collation
}

/// Whether the types are the same but for their lengths.
pub fn same_type(one: &Field, other: &Field) -> bool {
    one.type_name == other.type_name
}

/// From 0 to 100: how many fields two tables have in common, by name and type.
pub fn tables(one: &Table, other: &Table) -> usize {
    let has = |f: &&Field| other.fields.iter().any(|o| o.name == f.name && fits(f, o));
    let common = one.fields.iter().filter(has).count();
    (200 * common).checked_div(one.fields.len() + other.fields.len()).unwrap_or(0)
}
