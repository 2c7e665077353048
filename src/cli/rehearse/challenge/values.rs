//! Values that are difficult, by the family of a type: what it ends with, what is equal and not the same, what is longest,
//! what quoting has to get right. Nothing here knows of tables.

use std::collections::BTreeMap;

use postgres::Client;

use crate::problem::Problem;
use crate::sql::Literal;

/// What a type has to offer, each as SQL that may stand where a value is assigned.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// Difficult ones.
    pub hard: Vec<String>,
    /// As many as are wanted that differ from each other and hardly stand in a table yet.
    pub fresh: Vec<String>,
}

/// The types that were asked for, by name as `format_type` gives it.
#[derive(Default)]
pub struct Types(BTreeMap<String, Values>);

/// How many fresh values a type gives.
const FRESH: usize = 400;

impl Types {
    /// The values of a type.
    pub fn values(&mut self, client: &mut Client, type_name: &str) -> Result<&Values, Problem> {
        if !self.0.contains_key(type_name) {
            let values = read(client, type_name)?;
            self.0.insert(type_name.to_owned(), values);
        }
        Ok(&self.0[type_name])
    }
}

/// What a type is under its domains, and what is particular to it.
struct Type {
    /// Its name, or that of its elements.
    name: String,
    /// `pg_type.typcategory`.
    category: String,
    /// `pg_type.typtype`.
    sort: String,
    /// What stands in parentheses after it.
    modifier: Vec<usize>,
    /// Labels of an enumeration.
    labels: Vec<String>,
    /// How many fields a composite one has.
    width: usize,
}

const TYPE: &str = "
    WITH RECURSIVE under AS (
      SELECT t.oid, t.typname, t.typtype, t.typcategory, t.typbasetype, t.typtypmod, t.typrelid, $1::text AS written
      FROM pg_catalog.pg_type AS t WHERE t.oid = $1::text::pg_catalog.regtype
      UNION ALL
      SELECT b.oid, b.typname, b.typtype, b.typcategory, b.typbasetype, b.typtypmod, b.typrelid,
        pg_catalog.format_type(b.oid, under.typtypmod)
      FROM under JOIN pg_catalog.pg_type AS b ON b.oid = under.typbasetype WHERE under.typtype = 'd')
    SELECT typname::text, typcategory::text, typtype::text, coalesce(substring(written FROM '\\(([0-9,]+)\\)'), ''),
      ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = under.oid ORDER BY e.enumsortorder),
      (SELECT count(*) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = typrelid AND a.attnum > 0 AND NOT a.attisdropped)
    FROM under WHERE typtype <> 'd'";

fn read(client: &mut Client, type_name: &str) -> Result<Values, Problem> {
    let row = client.query_one(TYPE, &[&type_name])?;
    let modifier: String = row.get(3);
    let kind = Type {
        name: row.get(0),
        category: row.get(1),
        sort: row.get(2),
        modifier: modifier.split(',').filter_map(|n| n.parse().ok()).collect(),
        labels: row.get(4),
        width: usize::try_from(row.get::<_, i64>(5)).unwrap_or(0),
    };
    let mut fit = |value: &String| client.simple_query(&format!("SELECT CAST({value} AS {type_name})")).is_ok();
    let mut hard = hard(&kind);
    hard.retain(&mut fit);
    let fresh: Vec<String> = (0..FRESH).filter_map(|n| fresh(&kind, n)).collect();
    // What fits goes for all that have the same form.
    let fresh = if fresh.last().is_some_and(&mut fit) { fresh } else { Vec::new() };
    Ok(Values { hard, fresh })
}

fn literals<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| Literal(value.to_string()).to_string()).collect()
}

fn hard(kind: &Type) -> Vec<String> {
    let plain: &[&str] = match &*kind.name {
        "int2" => &["-32768", "32767", "0"],
        "int4" => &["-2147483648", "2147483647", "0"],
        "int8" => &["-9223372036854775808", "9223372036854775807", "0"],
        "numeric" => return numbers(&kind.modifier),
        "float4" => &["NaN", "Infinity", "-Infinity", "0", "-0", "3.4028235e38", "1e-45"],
        "float8" => &["NaN", "Infinity", "-Infinity", "0", "-0", "1.7976931348623157e308", "5e-324"],
        "money" => &["-92233720368547758.08", "92233720368547758.07", "0"],
        "oid" => &["0", "4294967295"],
        "bool" => &["true", "false"],
        "date" => &["4713-01-01 BC", "5874897-12-31", "infinity", "-infinity"],
        "timestamp" | "timestamptz" => {
            &["4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "infinity", "-infinity"]
        }
        "time" => &["00:00", "24:00"],
        "timetz" => &["00:00+15:59", "24:00-15:59", "12:00+00", "13:00+01"],
        "interval" => &["178000000 years", "-178000000 years", "1 mon", "30 days", "720 hours"],
        "uuid" => &["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
        "bytea" => &["", "\\x00ff5c27"],
        "json" => &["null", "{\"a\": 1, \"a\": 2}", "{ }", "[]", "\"\\u00e4'\""],
        "jsonb" => &["null", "1.0", "1.00", "{}", "[]", "{\"a\": null}", "\"\\\\'\""],
        "inet" => &["0.0.0.0/0", "::1", "10.0.0.1/32"],
        "cidr" => &["0.0.0.0/0", "::/0"],
        "macaddr" => &["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"],
        "xml" => &["<a/>", "<a></a>"],
        "point" => &["(NaN,Infinity)", "(0,-0)"],
        "tsvector" => &["", "a:1 b"],
        "bit" | "varbit" => return bits(kind),
        _ => match (&*kind.sort, &*kind.category) {
            ("e", _) => return literals(kind.labels.first().into_iter().chain(kind.labels.last())),
            ("c", _) => return literals([format!("({})", ",".repeat(kind.width.saturating_sub(1)))]),
            ("r", _) => &["empty", "(,)"],
            ("m", _) => &["{}", "{(,)}"],
            (_, "A") => &["{}", "{NULL}", "{NULL,NULL}"],
            (_, "S") => return strings(&kind.modifier),
            _ => &[],
        },
    };
    literals(plain)
}

fn numbers(modifier: &[usize]) -> Vec<String> {
    let mut values: Vec<String> = ["NaN", "0", "1.0", "1.00", "-0.001"].map(str::to_owned).into();
    match *modifier {
        [precision, scale] => {
            let nines = format!("{}.{}", "9".repeat(precision.saturating_sub(scale)), "9".repeat(scale));
            let nines = nines.trim_end_matches('.').to_owned();
            values.extend([format!("-{nines}"), nines]);
        }
        [precision] => values.push("9".repeat(precision)),
        _ => values.extend(["Infinity", "-Infinity", "1e400", "-1e-400"].map(str::to_owned)),
    }
    literals(values)
}

fn bits(kind: &Type) -> Vec<String> {
    let length = kind.modifier.first().copied().unwrap_or(1);
    literals(["0".repeat(length), "1".repeat(length), String::new()])
}

fn strings(modifier: &[usize]) -> Vec<String> {
    let mut values = literals(["", " ", "a", "A", "a ", "'\"\\", "$$ $1 %s {0} --", "\u{e4}", "a\u{308}", "NULL"]);
    values.push("E'line\\nnext\\ttab'".to_owned());
    // As long as a key may be where the type sets no limit.
    values.push(format!("pg_catalog.repeat('\u{df}x', {})", modifier.first().map_or(450, |n| n / 2)));
    values
}

fn fresh(kind: &Type, number: usize) -> Option<String> {
    let value = match (&*kind.name, &*kind.category) {
        ("int2", _) => (20_000 + number).to_string(),
        ("numeric", _) if kind.modifier.first().is_some_and(|p| *p < 8) => number.to_string(),
        ("uuid", _) => format!("c4a11e46-0000-4000-8000-{number:012}"),
        ("bytea", _) => format!("\\xc4a1{number:08x}"),
        ("date" | "timestamp" | "timestamptz", _) => {
            format!("{}-{:02}-{:02}", 2100 + number / 336, number / 28 % 12 + 1, number % 28 + 1)
        }
        ("inet" | "cidr", _) => format!("10.77.{}.{}", number / 256, number % 256),
        ("money", _) | (_, "N") => (7_000_000 + number).to_string(),
        (_, "S") if kind.modifier.first().is_some_and(|n| *n < 6) => format!("{number:x}"),
        (_, "S") => format!("k{number}"),
        _ => return None,
    };
    Some(Literal(value).to_string())
}
