//! Whiteouts: a view under a name that is gone, which fails loudly instead of letting old code read the base.

use askama::Template;

use crate::generate::{Piece, comment, own};
use crate::name::{Ident, TableName};
use crate::schema::Field;
use crate::sql::Literal;
use crate::version::{Gone, Version};

#[derive(Template)]
#[template(path = "whiteout.sql", escape = "none")]
struct Whiteout<'a> {
    function: TableName,
    trigger: TableName,
    view: TableName,
    fields: &'a [Field],
    message: Literal,
    hint: Literal,
    comment: Literal,
}

/// The whiteout of one name. It has the fields of the old table, so that old code fails here and not at a field.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn whiteout(version: &Version, name: &TableName, gone: &Gone, next: &Ident) -> Result<Piece, askama::Error> {
    let id = [name.schema.as_str(), name.name.as_str()];
    let message = format!("table `{}` {} by {}", name.short(), gone.fate, gone.step);
    let sql = Whiteout {
        function: own(&["gone", id[0], id[1]]),
        trigger: own(&["gone_write", id[0], id[1]]),
        view: TableName { schema: next.clone(), name: name.name.clone() },
        fields: &version.schema.tables[name].fields,
        hint: Literal(format!(
            "Code on the new shape {}; old code sets its search_path without \"{}\".",
            if gone.now.is_some() { "uses the new name" } else { "does without it" },
            next.as_str()
        )),
        comment: comment(&message),
        message: Literal(message),
    }
    .render()?;
    Ok(Piece::new(format!("whiteout of `{}`, which {}", name.short(), gone.fate), sql))
}
