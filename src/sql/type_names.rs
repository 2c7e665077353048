//! Types by name: what people write, and what PostgreSQL writes.

/// Names that people write and PostgreSQL does not.
pub(crate) const ALIASES: [(&str, &str); 14] = [
    ("int", "integer"),
    ("int4", "integer"),
    ("int2", "smallint"),
    ("int8", "bigint"),
    ("bool", "boolean"),
    ("decimal", "numeric"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("varchar", "character varying"),
    ("bpchar", "character"),
    ("varbit", "bit varying"),
    ("time", "time without time zone"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
];

/// A type as PostgreSQL writes it, however a person did: `VARCHAR(20)` → `character varying(20)`.
#[must_use]
pub fn canonical(type_name: &str) -> String {
    if type_name.contains('"') {
        return type_name.to_owned();
    }
    let lower = type_name.to_lowercase();
    let (family, rest) = (without_modifier(&lower), lower.find('(').zip(lower.find(')')));
    let family = family.split_whitespace().collect::<Vec<_>>().join(" ");
    let modifier = rest.map(|(open, close)| lower[open..=close].replace(' ', ""));
    let known = ALIASES.iter().find(|(alias, _)| *alias == family).map_or(&*family, |(_, name)| *name);
    match (known, modifier) {
        ("char" | "character", None) => "character(1)".to_owned(),
        ("char", Some(modifier)) => format!("character{modifier}"),
        (_, None) => known.to_owned(),
        // It stands before the words that tell of the zone.
        (_, Some(modifier)) => match known.split_once(' ').filter(|(_, zone)| zone.ends_with("time zone")) {
            Some((head, zone)) => format!("{head}{modifier} {zone}"),
            None => format!("{known}{modifier}"),
        },
    }
}

/// A string constant with its type, as PostgreSQL prints a default: read again, it must not become another type's.
#[must_use]
pub fn typed_constant(default: &str, type_name: &str) -> String {
    let inside = default.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let is_constant = inside.is_some_and(|text| !text.replace("\'\'", "").contains('\''));
    let family = without_modifier(&canonical(type_name));
    match family.as_str() {
        "text" | "character varying" if is_constant => format!("{default}::{family}"),
        _ => default.to_owned(),
    }
}

/// `numeric(10,2)` → `numeric`, `timestamp(3) with time zone` → `timestamp with time zone`.
#[must_use]
pub fn without_modifier(type_name: &str) -> String {
    match (type_name.find('('), type_name.find(')')) {
        (Some(open), Some(close)) if open < close && !type_name[..open].contains('"') => {
            format!("{}{}", &type_name[..open], &type_name[close + 1..])
        }
        _ => type_name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_one_name() {
        for (written, name) in [
            ("VARCHAR(20)", "character varying(20)"),
            ("character varying(20)", "character varying(20)"),
            ("int", "integer"),
            ("char", "character(1)"),
            ("numeric(10, 2)", "numeric(10,2)"),
            ("decimal(10,2)", "numeric(10,2)"),
            ("timestamptz(3)", "timestamp(3) with time zone"),
            ("timestamp(3) with time zone", "timestamp(3) with time zone"),
            ("timestamp", "timestamp without time zone"),
            ("\"Odd\"", "\"Odd\""),
        ] {
            assert_eq!(canonical(written), name, "{written}");
        }
    }
}
