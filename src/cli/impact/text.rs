//! SQL as text: what is quoted in it, where statements end, and how programs leave places for values.

use std::ops::Range;

/// A statement, and the line where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The line in its text, from 1.
    pub line: usize,
    /// Without the semicolon.
    pub text: String,
}

/// Where a constant, a quoted name or a comment ends that begins there.
fn quoted(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    let bytes = text.as_bytes();
    let after_word = |n: usize| at > n && is_word(bytes[at - n - 1]);
    let end = |found: Option<usize>, skip: usize| found.map_or(text.len(), |found| at + found + skip);
    if rest.starts_with("--") {
        return Some(end(rest.find('\n'), 0));
    }
    if rest.starts_with("/*") {
        let (mut depth, mut i) = (1, 2);
        while depth > 0 && i < rest.len() {
            let here = &rest.as_bytes()[i..];
            let step = if here.starts_with(b"*/") { -1 } else { i32::from(here.starts_with(b"/*")) };
            depth += step;
            i += if step == 0 { 1 } else { 2 };
        }
        return Some(at + i);
    }
    match rest.as_bytes().first()? {
        b'"' => Some(end(rest[1..].find('"'), 2)),
        b'\'' => {
            let escapes = at > 0 && matches!(bytes[at - 1], b'e' | b'E') && !after_word(1);
            let mut i = 1;
            while i < rest.len() {
                match rest.as_bytes()[i] {
                    b'\\' if escapes => i += 2,
                    b'\'' if rest.as_bytes().get(i + 1) == Some(&b'\'') => i += 2,
                    b'\'' => return Some(at + i + 1),
                    _ => i += 1,
                }
            }
            Some(text.len())
        }
        b'$' if !after_word(0) => {
            let tag = rest[1..].find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
            let is_tag = rest[1 + tag..].starts_with('$') && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
            let tag = &rest[..tag + 2];
            is_tag.then(|| end(rest[tag.len()..].find(tag), 2 * tag.len()))
        }
        _ => None,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128
}

/// The stretches of a text, and whether each is code.
fn stretches(text: &str) -> Vec<(Range<usize>, bool)> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        if text.is_char_boundary(at)
            && let Some(end) = quoted(text, at)
        {
            found.push((start..at, true));
            found.push((at..end.min(text.len()), false));
            at = end.min(text.len());
            start = at;
        } else {
            at += 1;
        }
    }
    found.push((start..text.len(), true));
    found.retain(|(range, _)| !range.is_empty());
    found
}

/// The statements of a file, without what is for psql alone.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut found: Vec<Piece> = Vec::new();
    let (mut start, mut at) = (None, 0);
    let line = |at: usize| 1 + text[..at].matches('\n').count();
    while at < text.len() {
        let rest = &text[at..];
        let is_comment = rest.starts_with("--") || rest.starts_with("/*");
        if let Some(end) = text.is_char_boundary(at).then(|| quoted(text, at)).flatten() {
            if start.is_none() && !is_comment {
                start = Some(at);
            }
            at = end;
            continue;
        }
        match text.as_bytes()[at] {
            b';' => {
                if let Some(start) = start.take() {
                    let text = text[start..at].trim_end().to_owned();
                    let upper = text.to_uppercase();
                    found.push(Piece { line: line(start), text });
                    if upper.starts_with("COPY") && upper.contains("FROM STDIN") {
                        at += rest.find("\n\\.").map_or(rest.len(), |end| end + 2);
                    }
                }
            }
            b'\\' if start.is_none() => at += rest.find('\n').unwrap_or(rest.len()),
            byte if start.is_none() && !byte.is_ascii_whitespace() => start = Some(at),
            _ => {}
        }
        at += 1;
    }
    if let Some(start) = start {
        found.push(Piece { line: line(start), text: text[start..].trim_end().to_owned() });
    }
    found
}

/// A text for comparing: white space and, if wanted, constants do not count.
pub fn likeness(text: &str, constants: bool) -> String {
    let mut like = String::new();
    for (range, code) in stretches(text) {
        let part = &text[range];
        if code && constants {
            let mut word = false;
            for c in part.chars() {
                if !c.is_ascii_digit() || word {
                    like.push(c);
                } else if !like.ends_with('?') {
                    like.push('?');
                }
                word = c.is_alphabetic() || c == '_' || c == '$' || word && c.is_ascii_digit();
            }
        } else if constants && part.starts_with('\'') {
            like.push('?');
        } else if !part.starts_with("--") && !part.starts_with("/*") {
            like.push_str(part);
        }
    }
    like.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A statement with numbered places for values, and how the program writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// As PostgreSQL takes it.
    pub sql: String,
    /// How each is written.
    marks: Vec<Mark>,
    /// Whether a percent sign is written twice.
    percent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    written: String,
    /// Whether it stands for a list with its brackets.
    list: bool,
}

/// Where a place for a value ends that begins there, and what is in its place if it is none.
fn place(text: &str, at: usize, percent: bool) -> Option<(usize, Option<&'static str>)> {
    let rest = &text[at..];
    let before = text[..at].bytes().next_back().unwrap_or(b' ');
    let word_at = |from: usize| {
        let name = rest.get(from..).unwrap_or_default();
        let starts = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        starts.then(|| from + name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len()))
    };
    let brace = || rest.find('}').map(|end| end + 1);
    match rest.as_bytes().first()? {
        b'?' if rest.starts_with("??") => Some((2, Some("?"))),
        b'?' if rest[1..].starts_with(['|', '&']) || rest[1..].trim_start().starts_with('\'') => None,
        b'?' => Some((1 + rest[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - 1), None)),
        b'%' if percent && rest.starts_with("%%") => Some((2, Some("%"))),
        b'%' if rest.starts_with("%s") && word_at(1) == Some(2) => Some((2, None)),
        b'%' if rest.starts_with("%(") => rest.find(")s").map(|end| (end + 2, None)),
        b':' if before != b':' && !is_word(before) && !b")]".contains(&before) => word_at(1).map(|end| (end, None)),
        b'@' if before.is_ascii_whitespace() || b"(,=".contains(&before) => word_at(1).map(|end| (end, None)),
        b'#' | b'$' if rest[1..].starts_with('{') => brace().map(|end| (end, None)),
        b'{' => brace().map(|end| (end, None)),
        _ => None,
    }
}

/// Whether a statement has numbered places for values.
pub fn has_places(text: &str) -> bool {
    let numbered = |code: &str| code.split('$').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    stretches(text).into_iter().any(|(range, code)| code && numbered(&text[range]))
}

/// Numbers the places for values: `?`, `%s`, `%(name)s`, `:name`, `@name`, `#{name}`. `$1` stays.
pub fn bind(text: &str) -> Bound {
    let stretches = stretches(text);
    let code = || stretches.iter().filter(|(_, code)| *code).map(|(range, _)| &text[range.clone()]);
    let mut bound = Bound { sql: String::new(), marks: Vec::new(), percent: false };
    if has_places(text) {
        text.clone_into(&mut bound.sql);
        return bound;
    }
    bound.percent = code().any(|code| code.contains("%s") || code.contains("%("));
    for (range, code) in &stretches {
        if !code {
            let part = &text[range.clone()];
            bound.sql += &if bound.percent { part.replace("%%", "%") } else { part.to_owned() };
            continue;
        }
        let mut at = range.start;
        while let Some(c) = text[at..range.end].chars().next() {
            match place(&text[..range.end], at, bound.percent) {
                Some((length, Some(instead))) => {
                    bound.sql += instead;
                    at += length;
                }
                Some((length, None)) => {
                    bound.push(&text[at..at + length]);
                    at += length;
                }
                None => {
                    bound.sql.push(c);
                    at += c.len_utf8();
                }
            }
        }
    }
    bound
}

/// Whether a place is told by its order.
fn is_positional(written: &str) -> bool {
    written == "?" || written == "%s"
}

impl Bound {
    fn push(&mut self, written: &str) {
        let list = self.sql.trim_end().rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        let list = list.eq_ignore_ascii_case("in");
        let one_more = is_positional(written);
        let known = self.marks.iter().position(|m| !one_more && m.written == written);
        let at = known.unwrap_or_else(|| {
            self.marks.push(Mark { written: written.to_owned(), list });
            self.marks.len() - 1
        });
        self.sql += &if list { format!("(${})", at + 1) } else { format!("${}", at + 1) };
    }

    /// A statement as the program writes it.
    pub fn written(&self, sql: &str) -> String {
        let mut text = String::new();
        for (range, code) in stretches(sql) {
            let part = &sql[range];
            if !code {
                text += &if self.percent { part.replace('%', "%%") } else { part.to_owned() };
                continue;
            }
            let part = if self.percent { part.replace('%', "%%") } else { part.to_owned() };
            let mut parts = part.split('$');
            text += parts.next().unwrap_or_default();
            for rest in parts {
                let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let mark = rest[..digits].parse::<usize>().ok().and_then(|n| self.marks.get(n.checked_sub(1)?));
                match mark {
                    Some(mark) if mark.list && text.ends_with('(') && rest[digits..].starts_with(')') => {
                        text.pop();
                        text += &format!("{}{}", mark.written, &rest[digits + 1..]);
                    }
                    Some(mark) => text += &format!("{}{}", mark.written, &rest[digits..]),
                    None => text += &format!("${rest}"),
                }
            }
        }
        text
    }

    /// Which values a statement takes, where they are told by their order and that has changed.
    pub fn order(&self, sql: &str) -> Option<Vec<usize>> {
        if !self.marks.iter().any(|m| is_positional(&m.written)) {
            return None;
        }
        let mut order = Vec::new();
        for (range, _) in stretches(sql).into_iter().filter(|(_, code)| *code) {
            for rest in sql[range].split('$').skip(1) {
                let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                order.extend(rest[..digits].parse::<usize>());
            }
        }
        let same = order.iter().copied().eq(1..=self.marks.len());
        (!same).then_some(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_for_values_are_numbered_and_come_back() {
        let table = [
            ("SELECT a FROM t WHERE b = ? AND c = ?", "SELECT a FROM t WHERE b = $1 AND c = $2"),
            ("SELECT a FROM t WHERE b = :x OR c = :x::int", "SELECT a FROM t WHERE b = $1 OR c = $1::int"),
            ("SELECT '%%', a %% 2 FROM t WHERE b = %s", "SELECT '%', a % 2 FROM t WHERE b = $1"),
            ("SELECT a FROM t WHERE b IN %(ids)s", "SELECT a FROM t WHERE b IN ($1)"),
            ("SELECT a::text FROM t WHERE d ? 'k' AND b = $1", "SELECT a::text FROM t WHERE d ? 'k' AND b = $1"),
            ("SELECT ':no', \"?\" FROM t -- :no\nWHERE a = @id", "SELECT ':no', \"?\" FROM t -- :no\nWHERE a = $1"),
            ("SELECT x[1:2] FROM t WHERE a = #{id}", "SELECT x[1:2] FROM t WHERE a = $1"),
        ];
        for (written, sql) in table {
            let bound = bind(written);
            assert_eq!((bound.sql.as_str(), bound.written(&bound.sql).as_str()), (sql, written));
        }
        assert_eq!(bind("a = ? AND b = ?").order("b = $2 AND a = $1"), Some(vec![2, 1]));
    }

    #[test]
    fn a_file_is_cut_into_statements() {
        let text = "-- first\nSELECT ';' AS a; \\echo x\n\nCOPY t FROM stdin;\n1;2\n\\.\nUPDATE t\nSET a = $x$;$x$";
        let found: Vec<(usize, String)> = pieces(text).into_iter().map(|p| (p.line, p.text)).collect();
        let wanted = [(2, "SELECT ';' AS a"), (4, "COPY t FROM stdin"), (7, "UPDATE t\nSET a = $x$;$x$")];
        assert_eq!(found, wanted.map(|(line, text)| (line, text.to_owned())));
        assert_eq!(
            likeness("SELECT  a1 FROM t WHERE b = 12 AND c = 'x'", true),
            "SELECT a1 FROM t WHERE b = ? AND c = ?"
        );
    }
}
