//! Names as programs have them, and texts as they quote them.

use std::collections::BTreeSet;

/// What a language or an ORM has taken: keywords of Python and Ruby that a field could be called, and what every model has.
const RESERVED: [&str; 52] = [
    "False", "None", "True", "alias", "and", "as", "assert", "async", "await", "begin", "break", "case", "check",
    "class", "clean", "continue", "def", "del", "delete", "do", "elif", "else", "end", "ensure", "except", "finally",
    "for", "from", "global", "if", "import", "in", "is", "lambda", "module", "nil", "nonlocal", "not", "objects", "or",
    "pass", "pk", "raise", "redo", "rescue", "return", "save", "self", "try", "while", "with", "yield",
];

/// Names of which each is given once.
#[derive(Debug, Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// The name, or one like it that is free.
    pub fn take(&mut self, wanted: &str) -> String {
        let word = if RESERVED.contains(&wanted) { format!("{wanted}_field") } else { wanted.to_owned() };
        let more = (2..).map(|number| format!("{word}_{number}"));
        let free = std::iter::once(word.clone()).chain(more).find(|name| !self.0.contains(name)).unwrap_or(word);
        self.0.insert(free.clone());
        free
    }
}

/// A name of letters, digits and single underscores, of which none stands at an end (Django takes no other), as any language reads it.
pub fn plain(name: &str) -> String {
    let parts: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let word = parts.join("_");
    match word.chars().next() {
        None => "unnamed".into(),
        Some(first) if first.is_ascii_digit() => format!("n{word}"),
        Some(_) => word,
    }
}

/// One of them: `customer` of `customers`.
pub fn one(many: &str) -> String {
    if let Some(stem) = many.strip_suffix("ies") {
        return format!("{stem}y");
    }
    let hisses = ["sses", "shes", "ches", "xes"].iter().any(|end| many.ends_with(end));
    let stem = if hisses { many.strip_suffix("es") } else { many.strip_suffix('s') };
    let is_one = ["ss", "us", "is"].iter().any(|end| many.ends_with(end));
    stem.filter(|stem| !stem.is_empty() && !is_one).unwrap_or(many).to_owned()
}

/// `OrderLine` of `order_line`.
pub fn class(name: &str) -> String {
    let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('_').filter(|part| !part.is_empty()).map(capital).collect()
}

/// A text in double quotes, on one line, with escapes that Python has, too (RFC 8259; surrogates stand only in pairs, which
/// are not escaped). Also for comments, which a line end in a name would end.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_programs() {
        let names = ["order_id", "a__b_", "1st", "ünï", "\"; x", "✂"].map(plain);
        assert_eq!(names, ["order_id", "a_b", "n1st", "n", "x", "unnamed"]);
        let ones = ["customers", "companies", "addresses", "boxes", "status", "analysis", "glass", "s"].map(one);
        assert_eq!(ones, ["customer", "company", "address", "box", "status", "analysis", "glass", "s"]);
        assert_eq!(class("order_line"), "OrderLine");
    }

    #[test]
    fn a_name_is_given_once() {
        let mut names = Names::default();
        assert_eq!(["a", "a", "class", "a_2"].map(|name| names.take(name)), ["a", "a_2", "class_field", "a_2_2"]);
    }
}
