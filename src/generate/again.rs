//! Rows that have changed under a statement by what it did itself: a second match is ignored, what a trigger wrote is not.

use crate::generate::view::named;
use crate::name::Ident;
use crate::relation::Relation;
use crate::sql::Literal;

/// How a put-back remembers the versions of rows that it has replaced, and how it goes on from a row that somebody else has
/// written for the same statement.
pub(super) struct Again {
    /// The setting that holds what was replaced.
    pub memory: Literal,
    fields: Vec<Field>,
    schema: Literal,
    table: Literal,
}

struct Field {
    name: Ident,
    /// Whether a foreign key's action may have changed it: what the statement says counts.
    follows: bool,
}

impl Again {
    pub fn new(relation: &Relation, follows: impl Fn(&Ident) -> bool) -> Self {
        let name = named(relation, "written");
        let hex: String = name.name.as_str().bytes().map(|b| format!("{b:02x}")).collect();
        let fields = relation.fields.iter().map(|f| &f.shape.name);
        Self {
            memory: Literal(format!("refactor.written_{hex}")),
            fields: fields.map(|name| Field { follows: follows(name), name: name.clone() }).collect(),
            schema: Literal(relation.name.schema.as_str().into()),
            table: Literal(relation.name.name.as_str().into()),
        }
    }

    /// Remembers the version `token` of a row, which was replaced. Most of a long memory is not copied again and again.
    pub fn remember(&self, token: &str) -> String {
        let memory = &self.memory;
        format!(
            "seen := pg_catalog.set_config({memory}, pg_catalog.concat(pg_catalog.current_setting({memory}, true), {token}), true);
  IF pg_catalog.octet_length(seen) > 256 THEN PERFORM refactor.remember({memory}); END IF;"
        )
    }

    /// Puts what the statement changes over the row as it is now, `fresh`. What a trigger has changed too would be lost: a
    /// table's triggers come after all rows are written.
    pub fn go_on(&self) -> String {
        let one = |Field { name, follows }: &Field| {
            let text = name.as_str();
            let message = Literal(format!(
                "a trigger that this statement fired has changed \"{text}\" of a row that it was to change"
            ));
            let lost = if *follows {
                String::new()
            } else {
                format!(
                    "
ELSIF pg_catalog.record_image_ne(ROW(fresh.{name}), ROW(OLD.{name})) AND pg_catalog.record_image_ne(ROW(fresh.{name}), ROW(NEW.{name})) THEN
  RAISE EXCEPTION USING ERRCODE = 'triggered_data_change_violation', SCHEMA = {}, TABLE = {}, COLUMN = {},
    MESSAGE = {message}, HINT = 'Write these rows in statements of their own.';",
                    self.schema,
                    self.table,
                    Literal(text.into())
                )
            };
            format!(
                "IF pg_catalog.record_image_eq(ROW(NEW.{name}), ROW(OLD.{name})) THEN
  NEW.{name} := fresh.{name};{lost}
END IF;"
            )
        };
        self.fields.iter().map(one).collect::<Vec<_>>().join("\n")
    }
}
