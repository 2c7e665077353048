//! SQL in the string literals of programs, where it plainly is a statement.

use super::text::Piece;

/// The words that a statement begins with.
const VERBS: [&str; 7] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "MERGE", "TRUNCATE"];

/// Whether a text begins as a statement does.
pub fn begins(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    VERBS.iter().any(|verb| word.eq_ignore_ascii_case(verb))
}

/// Whether a text is plainly a statement.
fn is_statement(text: &str) -> bool {
    let upper = text.to_uppercase();
    let words: Vec<&str> =
        upper.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
    let has = |word: &str| words.contains(&word);
    begins(text)
        && match words.first() {
            Some(&"SELECT") => has("FROM"),
            Some(&"UPDATE") => has("SET"),
            Some(&"INSERT" | &"MERGE") => words.get(1) == Some(&"INTO"),
            Some(&"DELETE") => words.get(1) == Some(&"FROM"),
            Some(&"WITH") => has("AS") && text.contains('('),
            Some(&"TRUNCATE") => words.len() < 6,
            _ => false,
        }
}

/// A literal of a program: where its text begins and ends, and where it ends itself.
struct Quote {
    body: std::ops::Range<usize>,
    end: usize,
    /// Whether a backslash means something in it.
    escapes: bool,
}

fn quote(text: &str, at: usize) -> Option<Quote> {
    let rest = &text[at..];
    let found = |open: usize, close: &str, escapes: bool| {
        let mut from = open;
        let end = loop {
            let end = from + rest.get(from..)?.find(close)?;
            let slashes = rest[open..end].bytes().rev().take_while(|b| *b == b'\\').count();
            if !escapes || slashes % 2 == 0 {
                break end;
            }
            from = end + 1;
        };
        Some(Quote { body: at + open..at + end, end: at + end + close.len(), escapes })
    };
    for triple in ["\"\"\"", "'''"] {
        if rest.starts_with(triple) {
            return found(3, triple, true);
        }
    }
    if let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if hashes > 0 && raw[hashes..].starts_with('"') {
            return found(hashes + 2, &format!("\"{}", "#".repeat(hashes)), false);
        }
    }
    if let Some(here) = ["<<~", "<<-", "<<<", "<<"].iter().find_map(|open| rest.strip_prefix(open)) {
        let tag = here.trim_start().trim_start_matches(['\'', '"']);
        let tag = &tag[..tag.find(|c: char| !(c.is_alphanumeric() || c == '_'))?];
        let is_tag = tag.starts_with(|c: char| c.is_ascii_uppercase());
        let open = rest.find('\n')? + 1;
        let lines = rest[open..].split_inclusive('\n').scan(open, |at, line| {
            *at += line.len();
            Some((*at - line.len(), line))
        });
        let end = lines.into_iter().find(|(_, line)| {
            let after = line.trim_start().strip_prefix(tag);
            after.is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric()))
        });
        return end.filter(|_| is_tag).map(|(end, line)| Quote {
            body: at + open..at + end,
            end: at + end + line.len(),
            escapes: true,
        });
    }
    match rest.as_bytes().first()? {
        b'`' => found(1, "`", true),
        b'"' => found(1, "\"", true),
        b'\'' => found(1, "'", true),
        _ => None,
    }
}

/// What a literal says.
fn said(text: &str, escapes: bool) -> String {
    if !escapes {
        return text.to_owned();
    }
    let mut said = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'r') => said.push('\n'),
                Some('t') => said.push('\t'),
                // A line that goes on.
                Some('\n') => said.push(' '),
                Some(other) => said.push(other),
                None => {}
            },
            other => said.push(other),
        }
    }
    said
}

/// Whether literals on both sides of this are one.
fn joins(between: &str) -> bool {
    let bare: String = between.lines().map(|l| l.split("//").next().unwrap_or_default()).collect();
    let bare: String = bare.chars().filter(|c| !c.is_whitespace() && *c != '\\').collect();
    ["", "+", ".", "..", "&", "f", "+f"].contains(&&*bare)
}

/// The statements in the literals of a program.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if !text.is_char_boundary(at) {
            at += 1;
            continue;
        }
        let line_starts = at == 0 || text.as_bytes()[at - 1] == b'\n';
        if line_starts {
            let line = text[at..].split('\n').next().unwrap_or_default();
            if ["//", "#", "*", "--"].iter().any(|mark| line.trim_start().starts_with(mark)) {
                at += line.len() + 1;
                continue;
            }
        }
        let Some(first) = quote(text, at) else {
            at += 1;
            continue;
        };
        let body = &text[first.body.clone()];
        // An apostrophe is no literal: only what begins as a statement goes on over the end of its line.
        if body.contains('\n') && !begins(body) || !begins(body) && text[at..].starts_with('\'') && body.contains(' ') {
            at += 1;
            continue;
        }
        let mut whole = said(body, first.escapes);
        let (start, mut end) = (first.body.start, first.end);
        while begins(&whole) {
            let rest = &text[end..];
            let gap = rest.find(['"', '\'', '`']).unwrap_or(rest.len());
            let next = if joins(&rest[..gap]) { quote(text, end + gap) } else { None };
            let Some(next) = next else { break };
            whole += &said(&text[next.body.clone()], next.escapes);
            end = next.end;
        }
        if is_statement(&whole) {
            let blank = whole.len() - whole.trim_start().len();
            let lead = text[start..].chars().take_while(|c| c.is_whitespace()).map(char::len_utf8).sum::<usize>();
            let line = 1 + text[..start + lead.min(blank)].matches('\n').count();
            for piece in super::text::pieces(&whole) {
                let first = 1 + whole[..blank].matches('\n').count();
                found.push(Piece { line: line + piece.line.saturating_sub(first), text: piece.text });
            }
        }
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found_where_they_plainly_are() {
        let table = [
            ("db.query(\"SELECT a FROM t\")", vec![(1, "SELECT a FROM t")]),
            (
                "// don't\nx = 'it';\ny = \"SELECT a \"\n  \"FROM t WHERE b = 'x'\"",
                vec![(3, "SELECT a FROM t WHERE b = 'x'")],
            ),
            ("q = \"\"\"\n  SELECT a\n  FROM t\n\"\"\"", vec![(2, "SELECT a\n  FROM t")]),
            ("let q = r#\"UPDATE t SET a = \"b\"\"#;", vec![(1, "UPDATE t SET a = \"b\"")]),
            ("q = 'SELECT a FROM t WHERE b = \\'x\\''", vec![(1, "SELECT a FROM t WHERE b = 'x'")]),
            ("const q = `DELETE FROM t\nWHERE a = ${id}`", vec![(1, "DELETE FROM t\nWHERE a = ${id}")]),
            ("sql = <<~SQL\n  SELECT a FROM t\nSQL\n", vec![(2, "SELECT a FROM t")]),
            ("print(\"Select a file\"); a = \"update available\"", vec![]),
            ("s = \"SELECT a\" + \" FROM t\" + \" LIMIT 1\";", vec![(1, "SELECT a FROM t LIMIT 1")]),
        ];
        for (program, wanted) in table {
            let found: Vec<(usize, String)> = pieces(program).into_iter().map(|p| (p.line, p.text)).collect();
            let wanted: Vec<(usize, String)> = wanted.into_iter().map(|(line, text)| (line, text.to_owned())).collect();
            assert_eq!(found, wanted, "{program}");
        }
    }
}
