//! A piece of generated SQL: what it creates, and a hash that tells whether it is the same as another.

use sha2::{Digest, Sha256};

use crate::generate::comment;
use crate::name::{Ident, TableName, finished};

/// A named piece of generated SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is for, in words.
    pub title: String,
    /// The statements.
    pub sql: String,
    /// Stands in a comment, once it is sealed: tells the piece from every other.
    pub hash: String,
}

/// Something that a piece creates, under the names with which SQL speaks of it. What goes with a view is not told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A view.
    View(String),
    /// A function, without its arguments.
    Function(String),
    /// A trigger, and the table that it is on.
    Trigger(String, String),
    /// The policy of a complement.
    Policy(String),
}

impl Object {
    /// A view.
    #[must_use]
    pub fn view(name: &TableName) -> Self {
        Self::View(name.to_string())
    }

    /// A function, with its arguments or without.
    #[must_use]
    pub fn function(signature: &str) -> Self {
        Self::Function(words(signature).next().unwrap_or_default().to_owned())
    }

    /// A trigger of a table.
    #[must_use]
    pub fn trigger(name: &Ident, on: &TableName) -> Self {
        Self::Trigger(name.to_string(), on.to_string())
    }

    /// The policy of a complement.
    #[must_use]
    pub fn policy(complement: &TableName) -> Self {
        Self::Policy(complement.to_string())
    }

    /// The name by which others can use it, if they can.
    #[must_use]
    pub fn used_as(&self) -> Option<&str> {
        match self {
            Self::View(name) | Self::Function(name) => Some(name),
            Self::Trigger(..) | Self::Policy(_) => None,
        }
    }
}

impl Piece {
    /// A piece that can be told from others once it is [sealed](Piece::sealed).
    #[must_use]
    pub fn new(title: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { title: title.into(), sql: sql.into(), hash: String::new() }
    }

    /// The same piece as the server gets it, with its hash in the comment of the first view or function that it creates. What
    /// its names mean depends on `path`, too; `equality` gives the operator for fields.
    #[must_use]
    pub fn sealed(mut self, path: &[Ident], equality: &dyn Fn(&[&str]) -> String) -> Self {
        self.sql = finished(&self.sql, equality);
        let mut hasher = Sha256::new();
        hasher.update(format!("{}\n{}", self.title, self.sql));
        for schema in path {
            hasher.update(format!("\n{schema}"));
        }
        self.hash = hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let named = self.creates().into_iter().find_map(|object| match object {
            Object::View(name) => Some(("VIEW", name)),
            Object::Function(name) => Some(("FUNCTION", name)),
            Object::Trigger(..) | Object::Policy(_) => None,
        });
        if let Some((kind, name)) = named {
            let comment = comment(&format!("{} #{}", self.title, self.hash));
            self.sql = format!("{}\nCOMMENT ON {kind} {name} IS {comment};\n", self.sql.trim_end());
        }
        self
    }

    /// What it creates, in order. A trigger on a view of its own goes with that.
    #[must_use]
    pub fn creates(&self) -> Vec<Object> {
        let mut objects: Vec<Object> = statements(&self.sql).into_iter().filter_map(created).collect();
        let views: Vec<String> =
            objects.iter().filter_map(|o| if let Object::View(name) = o { Some(name.clone()) } else { None }).collect();
        objects.retain(|o| !matches!(o, Object::Trigger(_, on) if views.contains(on)));
        objects
    }
}

/// The functions that a text creates, without their arguments.
#[must_use]
pub fn functions(sql: &str) -> Vec<String> {
    let function = |object| if let Object::Function(name) = object { Some(name) } else { None };
    statements(sql).into_iter().filter_map(created).filter_map(function).collect()
}

fn created(statement: &str) -> Option<Object> {
    let mut statement = statement;
    while statement.starts_with("--") {
        statement = statement.split_once('\n')?.1.trim_start();
    }
    let mut words = words(statement);
    if words.next() != Some("CREATE") {
        return None;
    }
    let (kind, name) = (words.next()?, words.next()?.to_owned());
    let next = words.next()?;
    let mut on = std::iter::once(next).chain(words).skip_while(|word| *word != "ON").skip(1);
    match kind {
        "VIEW" => Some(Object::View(name)),
        "FUNCTION" => Some(Object::Function(name)),
        "TRIGGER" if next != "INSTEAD" => Some(Object::Trigger(name, on.next()?.to_owned())),
        "POLICY" => Some(Object::Policy(on.next()?.to_owned())),
        _ => None,
    }
}

/// The statements of a text: they end at semicolons outside of names, constants, comments and texts of functions.
fn statements(sql: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(c) = sql[at..].chars().next() {
        let rest = &sql[at..];
        // The end of what begins here, if it hides semicolons.
        let end = match c {
            // Doubled quotes end one part and begin another, which is as good.
            '"' => rest[1..].find('"').map(|end| end + 2),
            '\'' => Some(constant(rest, at > 0 && sql[..at].ends_with(['E', 'e']))),
            '-' if rest.starts_with("--") => rest.find('\n'),
            '$' => match tag(rest) {
                Some(tag) => rest[tag.len()..].find(tag).map(|end| end + 2 * tag.len()),
                None => Some(1),
            },
            _ => Some(c.len_utf8()),
        };
        at = end.map_or(sql.len(), |end| at + end);
        if c == ';' {
            statements.push(sql[start..at].trim_start());
            start = at;
        }
    }
    statements.push(sql[start..].trim_start());
    statements
}

/// How long the constant is that a text begins with.
fn constant(text: &str, escapes: bool) -> usize {
    let mut quoted = false;
    let end = text[1..].find(|c| {
        let ends = c == '\'' && !quoted;
        quoted = escapes && c == '\\' && !quoted;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// The tag between dollars that a text begins with.
fn tag(text: &str) -> Option<&str> {
    let end = text[1..].find(|c: char| !(c.is_alphanumeric() || c == '_'))? + 1;
    text[end..].starts_with('$').then(|| &text[..=end])
}

/// The words of a text, which end at spaces and parentheses outside of quoted names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let ends = move |c: char| {
        quoted ^= c == '"';
        !quoted && (c.is_whitespace() || "();".contains(c))
    };
    text.split(ends).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_tells_what_it_creates() {
        let sql = "CREATE VIEW refactor.\"in a;\nCREATE VIEW b AS\" WITH (x) AS
SELECT E'\\';\\\\', 'a''b;', $1;
-- it's
CREATE FUNCTION refactor.f() RETURNS trigger AS \0$
  CREATE VIEW no AS SELECT ';\nCREATE VIEW none AS SELECT $refactor$ 1';
\0$;
CREATE TRIGGER \"!t INSTEAD OF ON\" AFTER DELETE ON \"S p\".\"q\"\"r\"
;CREATE TRIGGER \"!refactor_insert\" INSTEAD OF INSERT ON next.x FOR EACH ROW;
CREATE POLICY refactor_rows ON refactor.kept
";
        assert_eq!(
            Piece::new("", sql).sealed(&[], &|_| String::new()).creates(),
            [
                Object::View("refactor.\"in a;\nCREATE VIEW b AS\"".into()),
                Object::Function("refactor.f".into()),
                Object::Trigger("\"!t INSTEAD OF ON\"".into(), "\"S p\".\"q\"\"r\"".into()),
                Object::Policy("refactor.kept".into()),
            ]
        );
    }

    #[test]
    fn a_seal_depends_on_text_and_path() {
        let hash = |sql: &str, path: &str| Piece::new("t", sql).sealed(&[Ident::new(path)], &|_| String::new()).hash;
        assert_eq!(hash("SELECT 1", "public"), hash("SELECT 1", "public"));
        assert_ne!(hash("SELECT 1", "public"), hash("SELECT 2", "public"));
        assert_ne!(hash("SELECT 1", "public"), hash("SELECT 1", "other"));
    }
}
