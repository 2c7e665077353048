//! Types with a length: a cast cuts what is longer, and says nothing; what is stored is refused instead.

use crate::sql::type_names::{canonical, without_modifier};

/// A type with a length.
enum Length {
    /// `varchar(n)`, `char(n)`: spaces at the end may go.
    Characters(usize),
    /// `bit(n)`
    Bits(usize),
    /// `bit varying(n)`
    AtMostBits(usize),
}

fn read(type_name: &str) -> Option<(Length, &'static str)> {
    let lower = type_name.to_lowercase();
    let (bare, rest) = lower.split_once('(').unwrap_or((&lower, ""));
    let bare = bare.trim().trim_start_matches("pg_catalog.").trim_matches('"');
    let length: Option<usize> = match rest {
        "" => None,
        // No array, and no time zone.
        rest => Some(rest.trim_end().strip_suffix(')')?.trim().parse().ok()?),
    };
    match (bare, length) {
        ("character varying" | "varchar", Some(n)) => Some((Length::Characters(n), "character varying")),
        ("character" | "char", n) => Some((Length::Characters(n.unwrap_or(1)), "bpchar")),
        ("bpchar", Some(n)) => Some((Length::Characters(n), "bpchar")),
        ("bit", n) => Some((Length::Bits(n.unwrap_or(1)), "bit varying")),
        ("bit varying" | "varbit", Some(n)) => Some((Length::AtMostBits(n), "bit varying")),
        _ => None,
    }
}

/// The same type without its length, if it has one.
#[must_use]
pub fn unbounded(type_name: &str) -> Option<&'static str> {
    read(type_name).map(|(_, bare)| bare)
}

/// Whether a value, as SQL, would be stored whole in a field of the type; nothing if the type has no length.
#[must_use]
pub fn fits(value: &str, type_name: &str) -> Option<String> {
    let bits = |holds: String| {
        format!("CASE WHEN pg_catalog.pg_typeof({value})::text IN ('bit', 'bit varying') THEN {holds} ELSE true END")
    };
    let fits = match read(type_name)?.0 {
        Length::Characters(n) => format!("pg_catalog.rtrim(pg_catalog.substr(({value})::text, {})) = ''", n + 1),
        Length::Bits(n) => bits(format!("pg_catalog.length(({value})::text) = {n}")),
        Length::AtMostBits(n) => bits(format!("pg_catalog.length(({value})::text) <= {n}")),
    };
    Some(format!("coalesce({fits}, true)"))
}

/// Whether a type is one of bits.
#[must_use]
pub fn is_bits(type_name: &str) -> bool {
    let lower = type_name.to_lowercase();
    matches!(lower.split('(').next().unwrap_or_default().trim(), "bit" | "bit varying" | "varbit")
        && !lower.contains('[')
}

/// Whether PostgreSQL gives values of one type to a field of another without being asked to.
#[must_use]
pub fn assigns(from: &str, to: &str) -> bool {
    const NUMBERS: [&str; 12] = [
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "decimal",
        "real",
        "double precision",
        "int",
        "int2",
        "int4",
        "int8",
        "float8",
    ];
    const TIMES: [(&str, &[&str]); 4] = [
        ("date", &["timestamp", "timestamptz"]),
        ("timestamp", &["timestamptz", "date", "time"]),
        ("timestamptz", &["timestamp", "date", "time", "timetz"]),
        ("time", &["interval", "timetz"]),
    ];
    let bare = |name: &str| {
        let lower = name.to_lowercase();
        let zoned = lower.contains("with time zone");
        let bare = lower.split(['(', '[']).next().unwrap_or_default().trim().to_owned();
        let bare = bare.replace(" without time zone", "").replace(" with time zone", "");
        match (bare.as_str(), zoned) {
            ("timestamp", true) => "timestamptz".into(),
            ("time", true) => "timetz".into(),
            _ => bare,
        }
    };
    if from.contains('[') || to.contains('[') {
        return false;
    }
    let (from, to) = (bare(from), bare(to));
    let is_number = |name: &str| NUMBERS.contains(&name) || name == "float4";
    ["text", "character varying", "varchar", "character", "char", "bpchar"].contains(&to.as_str())
        || is_number(&from) && is_number(&to)
        || from == to
        || is_bits(&from) && is_bits(&to)
        || TIMES.iter().any(|(time, others)| *time == from && others.contains(&to.as_str()))
}

/// The largest number of a type with a precision: `99.99` of `numeric(4,2)`.
#[must_use]
pub fn most(type_name: &str) -> Option<String> {
    let name = canonical(type_name);
    let inside = name.strip_prefix("numeric(")?.strip_suffix(')')?;
    let (precision, scale) = inside.split_once(',').unwrap_or((inside, "0"));
    let (precision, scale): (usize, usize) = (precision.parse().ok()?, scale.parse().ok()?);
    let whole = "9".repeat(precision.checked_sub(scale)?);
    let whole = if whole.is_empty() { "0".to_owned() } else { whole };
    Some(if scale == 0 { whole } else { format!("{whole}.{}", "9".repeat(scale)) })
}

/// Whether PostgreSQL stores values of one type as they are when their field gets the other: a larger limit, or none
/// (`varchar_support`, `numeric_support`, `TemporalSimplify` and `pg_cast` in its sources).
#[must_use]
pub fn relabels(from: &str, to: &str) -> bool {
    let parts = |name: &str| {
        let name = canonical(name);
        let inside = name.find('(').zip(name.find(')')).map(|(open, close)| name[open + 1..close].to_owned());
        let limits: Option<Vec<u32>> = inside.map(|text| text.split(',').map_while(|n| n.parse().ok()).collect());
        (without_modifier(&name), limits)
    };
    let ((from, had), (to, has)) = (parts(from), parts(to));
    let wider = |had: &[u32], has: &[u32]| {
        let (scale, new_scale) = (had.get(1).unwrap_or(&0), has.get(1).unwrap_or(&0));
        had.first() <= has.first() && scale == new_scale
    };
    match (from.as_str(), to.as_str()) {
        ("character varying", "text") | ("cidr", "inet") => true,
        ("text", "character varying") => has.is_none(),
        (
            "character varying"
            | "bit varying"
            | "numeric"
            | "timestamp without time zone"
            | "timestamp with time zone"
            | "time without time zone"
            | "time with time zone",
            same,
        ) if same == from => has.is_none_or(|has| had.is_some_and(|had| wider(&had, &has))),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_has_all_digits() {
        for (name, number) in [
            ("numeric(4,2)", Some("99.99")),
            ("decimal(3)", Some("999")),
            ("numeric(2,2)", Some("0.99")),
            ("numeric", None),
            ("numeric(3,-2)", None),
            ("int", None),
        ] {
            assert_eq!(most(name).as_deref(), number, "{name}");
        }
    }

    #[test]
    fn a_larger_limit_is_the_same_bytes() {
        let yes = [
            ("varchar(50)", "character varying(100)"),
            ("varchar(50)", "text"),
            ("text", "varchar"),
            ("numeric(10,2)", "numeric(12,2)"),
            ("numeric(10)", "numeric"),
            ("timestamp(3)", "timestamp"),
            ("timestamp(3) with time zone", "timestamptz(6)"),
            ("cidr", "inet"),
        ];
        let no = [
            ("varchar(50)", "varchar(40)"),
            ("varchar", "varchar(40)"),
            ("text", "varchar(4)"),
            ("char(5)", "text"),
            ("char(5)", "char(6)"),
            ("numeric(10,2)", "numeric(12,3)"),
            ("numeric", "numeric(10,2)"),
            ("timestamp", "timestamptz"),
            ("timestamp", "timestamp(3)"),
            ("int", "bigint"),
            ("varchar(3)[]", "text[]"),
        ];
        for (from, to) in yes {
            assert!(relabels(from, to), "{from} → {to}");
        }
        for (from, to) in no {
            assert!(!relabels(from, to), "{from} → {to}");
        }
    }

    #[test]
    fn a_length_is_read() {
        assert_eq!(unbounded("character varying(5)"), Some("character varying"));
        assert_eq!(unbounded("VARCHAR(5)"), Some("character varying"));
        assert_eq!(unbounded("char"), Some("bpchar"));
        assert_eq!(unbounded("bit(3)"), Some("bit varying"));
        for other in ["text", "numeric(5,2)", "timestamp(3) with time zone", "character varying(5)[]", "bpchar"] {
            assert_eq!(unbounded(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_given_without_being_asked() {
        for (from, to) in [("integer", "bigint"), ("boolean", "text"), ("timestamp without time zone", "timestamptz")] {
            assert!(assigns(from, to), "{from} {to}");
        }
        for (from, to) in [("text", "integer"), ("integer", "boolean"), ("integer[]", "bigint[]")] {
            assert!(!assigns(from, to), "{from} {to}");
        }
    }
}
