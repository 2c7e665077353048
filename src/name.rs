//! Names of tables and fields: parsing what a person types, quoting what PostgreSQL reads, and making names of our own.
//!
//! Knows nothing of schemas or databases.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// PostgreSQL cuts identifiers at this many bytes (`NAMEDATALEN - 1`).
pub const MAX_BYTES: usize = 63;

/// The schema of our own objects.
pub const OWN: &str = "refactor";

/// Begins and ends the text of each function that is made, until [`finished`] chooses a tag for it: no text of
/// PostgreSQL can contain the character NUL, so nobody's name or constant ends a function.
pub const BODY: &str = "\0$";

/// `=` between fields of these names, until [`finished`] knows whose operator it is.
#[must_use]
pub fn equality(fields: &[&Ident]) -> String {
    let fields: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
    format!("\0={}\0", fields.join("\0,"))
}

/// Generated SQL as the server gets it: the texts of functions between tags that nothing in it contains, and in them, which are
/// read at every call, the operators that `of` gives for fields; a statement or a view is read at once, on a path of ours.
#[must_use]
pub fn finished(sql: &str, of: &dyn Fn(&[&str]) -> String) -> String {
    if !sql.contains('\0') {
        return sql.to_owned();
    }
    let tags = std::iter::once("$refactor$".to_owned()).chain((1..).map(|i| format!("$refactor_{i}$")));
    let tag = tags.into_iter().find(|tag| !sql.contains(tag.as_str())).unwrap_or_default();
    let mut text = String::with_capacity(sql.len());
    let (mut inside, mut fields) = (false, Vec::new());
    let mut parts = sql.split('\0');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        if let Some(rest) = part.strip_prefix('$') {
            inside = !inside;
            text.push_str(&tag);
            text.push_str(rest);
        } else if let Some(field) = part.strip_prefix(['=', ',']) {
            fields.push(field);
        } else {
            text.push_str(&if inside { of(&fields) } else { "=".to_owned() });
            text.push_str(part);
            fields.clear();
        }
    }
    text
}

/// The same of what is no part of a version's views.
#[must_use]
pub fn delimited(sql: impl AsRef<str>) -> String {
    finished(sql.as_ref(), &|_| "=".to_owned())
}

/// One identifier as the catalogue stores it: unquoted, case as it is.
///
/// `Display` writes it the way SQL and PL/pgSQL read it: quoted where PostgreSQL's `quote_ident` would quote, and where a
/// word means something to PL/pgSQL alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ident(String);

impl Ident {
    /// Takes a name as it stands in the catalogue.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The bare name, unquoted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Joins `parts` with `_` to a name of our own; a name over 63 bytes is cut and ends in a hash of the whole,
    /// so that two long names that differ only at the end stay different.
    #[must_use]
    pub fn generated(parts: &[&str]) -> Self {
        let whole = parts.join("_");
        if whole.len() <= MAX_BYTES {
            return Self(whole);
        }
        let hash = format!("{:08x}", fnv(whole.as_bytes()));
        let mut cut = MAX_BYTES - hash.len() - 1;
        while !whole.is_char_boundary(cut) {
            cut -= 1;
        }
        Self(format!("{}_{hash}", &whole[..cut]))
    }
}

/// The name of one of our own objects.
#[must_use]
pub fn own(parts: &[&str]) -> TableName {
    TableName { schema: Ident::new(OWN), name: Ident::generated(parts) }
}

/// `a, b, c`
#[must_use]
pub fn listed(names: &[Ident]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// FNV-1a: stable across versions of Rust, which the standard hasher is not.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

impl Ident {
    /// As it is typed into a shell.
    #[must_use]
    pub fn typed(&self) -> String {
        shell(&typed(self))
    }
}

/// Several names, as they are typed into a shell.
#[must_use]
pub fn typed_all(names: &[Ident]) -> String {
    names.iter().map(Ident::typed).collect::<Vec<_>>().join(" ")
}

/// A word as a POSIX shell reads it: in quotes where it needs them.
#[must_use]
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./,:=@%+…".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.0.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && self.0.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && !is_keyword(&self.0)
            && !PLPGSQL.contains(&&*self.0);
        if plain { f.write_str(&self.0) } else { write!(f, "\"{}\"", self.0.replace('"', "\"\"")) }
    }
}

impl From<&str> for Ident {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// A table (or another relation) with its schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema the table is in.
    pub schema: Ident,
    /// The table's own name.
    pub name: Ident,
}

impl TableName {
    /// Whether a table of ours by this name keeps what a change that is real had no place for.
    #[must_use]
    pub fn is_archive(&self) -> bool {
        self.name.as_str().starts_with("lost_")
    }

    /// Puts a schema and a name together.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: Ident::new(schema), name: Ident::new(name) }
    }

    /// The same schema, another name.
    #[must_use]
    pub fn renamed(&self, name: Ident) -> Self {
        Self { schema: self.schema.clone(), name }
    }

    /// How people read it: without the schema when that is `public`.
    #[must_use]
    pub fn short(&self) -> String {
        if self.schema.as_str() == "public" { self.name.to_string() } else { self.to_string() }
    }

    /// The same, as it is typed into a shell.
    #[must_use]
    pub fn typed(&self) -> String {
        shell(&self.reference().to_string())
    }

    /// One of its fields, as it is typed into a shell.
    #[must_use]
    pub fn typed_field(&self, field: &Ident) -> String {
        shell(&FieldRef { table: self.reference(), field: field.clone() }.to_string())
    }

    /// How a person types it.
    #[must_use]
    pub fn reference(&self) -> TableRef {
        let schema = Some(self.schema.clone()).filter(|s| s.as_str() != "public");
        TableRef { schema, name: self.name.clone() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A table as a person typed it: the schema may be left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableRef {
    /// The schema, if it was given.
    pub schema: Option<Ident>,
    /// The table.
    pub name: Ident,
}

/// A field as a person typed it: `table.field` or `schema.table.field`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldRef {
    /// The table the field is in.
    pub table: TableRef,
    /// The field.
    pub field: Ident,
}

/// A field and the name that it gets, as a person typed them: `city=town`, or `city` where it keeps its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Renaming {
    /// The field.
    pub from: Ident,
    /// Its name afterwards.
    pub to: Ident,
}

/// Why a typed name cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or nothing between two dots.
    #[error("a name is empty")]
    Empty,
    /// A quote without its partner.
    #[error("a double quote is not closed")]
    OpenQuote,
    /// Text directly after a closing quote.
    #[error("unexpected text after a quoted name")]
    AfterQuote,
    /// Too long for PostgreSQL, which would cut it silently.
    #[error("the name `{0}` is longer than 63 bytes")]
    TooLong(String),
    /// Not one, two or three parts as wanted.
    #[error("expected {0}")]
    Parts(&'static str),
}

/// Splits `a."B c".d` at its dots. An unquoted part is folded to lower case as PostgreSQL does; a part that SQL could
/// not read unquoted (`x y`, `ünï`) is taken as it stands, since the shell has already done the quoting.
///
/// # Errors
/// When a part is empty, too long or not closed.
pub fn parts(text: &str) -> Result<Vec<Ident>, NameError> {
    let mut parts = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        let mut part = String::new();
        if chars.peek() == Some(&'"') {
            chars.next();
            loop {
                match chars.next() {
                    None => return Err(NameError::OpenQuote),
                    Some('"') if chars.peek() == Some(&'"') => {
                        chars.next();
                        part.push('"');
                    }
                    Some('"') => break,
                    Some(c) => part.push(c),
                }
            }
            if !matches!(chars.peek(), None | Some('.')) {
                return Err(NameError::AfterQuote);
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != '.') {
                part.push(c);
            }
            part.truncate(part.trim_end().len());
            part.drain(..part.len() - part.trim_start().len());
        }
        if part.is_empty() {
            return Err(NameError::Empty);
        }
        if part.len() > MAX_BYTES {
            return Err(NameError::TooLong(part));
        }
        parts.push(Ident(part));
        if chars.next().is_none() {
            return Ok(parts);
        }
    }
}

impl FromStr for Ident {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match <[Ident; 1]>::try_from(parts(text)?) {
            Ok([name]) => Ok(name),
            Err(_) => Err(NameError::Parts("one name without dots")),
        }
    }
}

impl FromStr for TableRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut parts = parts(text)?;
        match (parts.pop(), parts.pop(), parts.pop()) {
            (Some(name), schema, None) => Ok(Self { schema, name }),
            _ => Err(NameError::Parts("a table, as in `orders` or `sales.orders`")),
        }
    }
}

impl FromStr for FieldRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut parts = parts(text)?;
        match (parts.pop(), parts.pop(), parts.pop(), parts.pop()) {
            (Some(field), Some(name), schema, None) => Ok(Self { table: TableRef { schema, name }, field }),
            _ => Err(NameError::Parts("a field with its table, as in `orders.city`")),
        }
    }
}

impl FromStr for Renaming {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut quoted = false;
        let sign = text.char_indices().find(|(_, c)| {
            quoted ^= *c == '"';
            *c == '=' && !quoted
        });
        let (from, to) = sign.map_or((text, text), |(at, _)| (&text[..at], &text[at + 1..]));
        Ok(Self { from: from.parse()?, to: to.parse()? })
    }
}

impl fmt::Display for Renaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |name: &Ident| {
            if name.as_str().contains('=') { quoted(name) } else { typed(name) }
        };
        if self.from == self.to {
            f.write_str(&side(&self.from))
        } else {
            write!(f, "{}={}", side(&self.from), side(&self.to))
        }
    }
}

impl TableRef {
    /// As SQL says it.
    #[must_use]
    pub fn sql(&self) -> String {
        self.schema.iter().chain([&self.name]).map(ToString::to_string).collect::<Vec<_>>().join(".")
    }
}

impl fmt::Display for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{}.{}", typed(schema), typed(&self.name)),
            None => f.write_str(&typed(&self.name)),
        }
    }
}

impl fmt::Display for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, typed(&self.field))
    }
}

/// The shortest text that [`parts`] reads back as the same name.
fn typed(name: &Ident) -> String {
    let bare = !name.as_str().contains(['.', '"']) && name.as_str().trim() == name.as_str();
    if bare { name.as_str().to_owned() } else { quoted(name) }
}

fn quoted(name: &Ident) -> String {
    format!("\"{}\"", name.as_str().replace('"', "\"\""))
}

/// Types that files have as their text: how it is written; it is read by `FromStr`.
macro_rules! serde_as_text {
    ($($type:ty => $write:expr),+ $(,)?) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let write: fn(&$type) -> String = $write;
                to.serialize_str(&write(self))
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text: String = serde::Deserialize::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use serde_as_text;

serde_as_text!(Ident => typed, TableRef => ToString::to_string, FieldRef => ToString::to_string, Renaming => ToString::to_string);

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Reserved by PL/pgSQL and not by SQL (`pl_reserved_kwlist.h`): `NEW.by` is no field there.
pub(crate) const PLPGSQL: [&str; 9] = ["begin", "by", "declare", "execute", "foreach", "if", "loop", "strict", "while"];

/// Whether `quote_ident` quotes this word: every keyword that is not unreserved (PostgreSQL 18, `kwlist.h`).
fn is_keyword(word: &str) -> bool {
    KEYWORDS.binary_search(&word).is_ok()
}

#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "between",
    "bigint", "binary", "bit", "boolean", "both", "case", "cast", "char", "character", "check", "coalesce",
    "collate", "collation", "column", "concurrently", "constraint", "create", "cross", "current_catalog",
    "current_date", "current_role", "current_schema", "current_time", "current_timestamp", "current_user", "dec",
    "decimal", "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "exists", "extract",
    "false", "fetch", "float", "for", "foreign", "freeze", "from", "full", "grant", "greatest", "group", "grouping",
    "having", "ilike", "in", "initially", "inner", "inout", "int", "integer", "intersect", "interval", "into", "is",
    "isnull", "join", "json", "json_array", "json_arrayagg", "json_exists", "json_object", "json_objectagg",
    "json_query", "json_scalar", "json_serialize", "json_table", "json_value", "lateral", "leading", "least", "left",
    "like", "limit", "localtime", "localtimestamp", "merge_action", "national", "natural", "nchar", "none",
    "normalize", "not", "notnull", "null", "nullif", "numeric", "offset", "on", "only", "or", "order", "out",
    "outer", "overlaps", "overlay", "placing", "position", "precision", "primary", "real", "references",
    "returning", "right", "row", "select", "session_user", "setof", "similar", "smallint", "some", "substring",
    "symmetric", "system_user", "table", "tablesample", "then", "time", "timestamp", "to", "trailing", "treat",
    "trim", "true", "union", "unique", "user", "using", "values", "varchar", "variadic", "verbose", "when", "where",
    "window", "with", "xmlattributes", "xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces",
    "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_only_where_postgresql_would() {
        let quoted: Vec<String> = ["city", "Order", "select", "a\"b", "x y", "ünï", "_a1", "1a", "by"]
            .map(|n| Ident::new(n).to_string())
            .into();
        assert_eq!(
            quoted,
            ["city", "\"Order\"", "\"select\"", "\"a\"\"b\"", "\"x y\"", "\"ünï\"", "_a1", "\"1a\"", "\"by\""]
        );
    }

    #[test]
    fn typed_names_are_read_back() {
        for text in ["orders.city", "sales.orders.city", "\"a.b\".c", "\"a\"\"b\".x y", "Invoice.BillingCountry"] {
            let name: FieldRef = text.parse().expect(text);
            assert_eq!(name.to_string().parse::<FieldRef>().expect(text), name);
        }
    }

    #[test]
    fn renamings_are_read_back() {
        for text in ["city=town", "\"a=b\"=c", "\"a\"\"=\"=\"a.b\"", "zip"] {
            let renaming: Renaming = text.parse().expect(text);
            assert_eq!(renaming.to_string(), text);
        }
        assert_eq!("zip".parse::<Renaming>().expect("zip").to, Ident::new("zip"));
    }

    #[test]
    fn keywords_are_sorted() {
        assert!(KEYWORDS.is_sorted());
    }

    #[test]
    fn long_generated_names_differ() {
        let long = "x".repeat(70);
        let a = Ident::generated(&["put", &long, "a"]);
        let b = Ident::generated(&["put", &long, "b"]);
        assert_ne!(a, b);
        assert!(a.as_str().len() <= MAX_BYTES);
    }
}
