//! Puts an error of the database driver into words, with everything the server said.
//!
//! The driver prints just `db error`; nothing else in the program formats its errors.

use postgres::error::{DbError, ErrorPosition};

/// The longest stretch of an SQL line that is shown, in characters.
const WIDTH: usize = 100;

/// Renders an error: the message, the place in the SQL, detail, hint, context and SQLSTATE.
///
/// `sql` is the text that was sent, so that a caret can point into it.
#[must_use]
pub fn render(error: &postgres::Error, sql: Option<&str>) -> String {
    if let Some(said) = error.as_db_error() {
        return render_server_error(said, sql);
    }
    let cause = std::error::Error::source(error).map(ToString::to_string);
    if error.is_closed() {
        return "the server closed the connection; what it was doing is rolled back".to_owned();
    }
    let text = error.to_string();
    let text = text
        .strip_prefix("error communicating with")
        .map_or_else(|| text.clone(), |rest| format!("the connection was lost while communicating with{rest}"));
    // Some messages of the driver contain their cause already.
    match cause {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}

fn render_server_error(said: &DbError, sql: Option<&str>) -> String {
    let mut lines = vec![said.message().to_owned()];
    match said.position() {
        Some(ErrorPosition::Original(position)) => {
            lines.extend(sql.and_then(|sql| point_at(sql, *position)));
        }
        Some(ErrorPosition::Internal { position, query }) => {
            lines.extend(point_at(query, *position));
        }
        None => {}
    }
    let object = object_of(said);
    let parts = [
        ("detail", said.detail()),
        ("hint", said.hint()),
        ("where", said.where_()),
        ("object", object.as_deref()),
        ("SQLSTATE", Some(said.code().code())),
    ];
    for (name, text) in parts {
        if let Some(text) = text {
            lines.push(format!("  {name}: {}", text.replace('\n', "\n    ")));
        }
    }
    lines.join("\n")
}

/// Names what the error is about, such as `table shop.customer, constraint customer_pkey`.
fn object_of(said: &DbError) -> Option<String> {
    let table = said.table().map(|table| match said.schema() {
        Some(schema) => format!("table {schema}.{table}"),
        None => format!("table {table}"),
    });
    let schema = said.schema().filter(|_| table.is_none());
    let parts: Vec<_> = table
        .into_iter()
        .chain(schema.map(|name| format!("schema {name}")))
        .chain(said.column().map(|name| format!("column {name}")))
        .chain(said.datatype().map(|name| format!("type {name}")))
        .chain(said.constraint().map(|name| format!("constraint {name}")))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Shows the line that holds the position, counted in characters from 1, with a caret below.
fn point_at(sql: &str, position: u32) -> Option<String> {
    let before = usize::try_from(position).ok()?.checked_sub(1)?;
    let at = sql.char_indices().map(|(at, _)| at).chain([sql.len()]).nth(before)?;
    let start = sql[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = sql[at..].find('\n').map_or(sql.len(), |length| at + length);
    let number = sql[..start].matches('\n').count() + 1;
    let column = sql[start..at].chars().count();
    let skipped = column.saturating_sub(WIDTH / 2);
    let line: Vec<char> = sql[start..end].trim_end().chars().collect();
    let mut shown: String = line.iter().skip(skipped).take(WIDTH).collect();
    shown = shown.replace('\t', " ");
    let mut label = format!("  line {number}: ");
    if skipped > 0 {
        label.push_str("...");
    }
    if line.len() > skipped + WIDTH {
        shown.push_str("...");
    }
    let indent = label.chars().count() + column - skipped;
    Some(format!("{label}{shown}\n{:indent$}^", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_points_at_the_character() {
        let table = [
            ("SELECT x", 8, "  line 1: SELECT x\n                 ^"),
            ("SELECT 1,\n\tü, x\nFROM t", 15, "  line 2:  ü, x\n              ^"),
            ("SELECT", 7, "  line 1: SELECT\n                ^"),
        ];
        for (sql, position, wanted) in table {
            assert_eq!(point_at(sql, position).as_deref(), Some(wanted), "{sql}");
        }
        assert_eq!(point_at("SELECT", 9), None);
        assert_eq!(point_at("SELECT", 0), None);
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let sql = format!("{}x{}", "a".repeat(200), "b".repeat(200));
        let wanted = format!("  line 1: ...{}x{}...\n{}^", "a".repeat(50), "b".repeat(49), " ".repeat(63));
        assert_eq!(point_at(&sql, 201), Some(wanted));
    }
}
