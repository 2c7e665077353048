//! The statements in a log of the server: as text, CSV or JSON.

use super::program::begins;
use super::text::Piece;

/// What comes before a statement in a message.
const BEFORE: [&str; 2] = ["statement: ", "execute "];

/// The statement that a message tells of.
fn told(message: &str) -> Option<String> {
    let rest = match message.find(BEFORE[0]) {
        Some(at) => &message[at + BEFORE[0].len()..],
        None => message[message.find(BEFORE[1])? + BEFORE[1].len()..].split_once(": ")?.1,
    };
    begins(rest).then(|| rest.trim().to_owned())
}

/// The statements of a log, each with its line.
pub fn pieces(text: &str) -> Vec<Piece> {
    let first = text.trim_start();
    if first.starts_with('{') {
        let message = |line: &str| {
            let entry: serde_json::Value = serde_json::from_str(line).ok()?;
            told(entry["message"].as_str()?)
        };
        return cut(text.lines().enumerate().filter_map(|(at, line)| Some((at + 1, message(line)?))));
    }
    // The first record may go on over the end of its line, but not before its message.
    let is_csv = first.lines().next().is_some_and(|line| line.matches(',').count() > 12 && !line.contains("LOG:"));
    if is_csv {
        return cut(records(text).filter_map(|(line, fields)| Some((line, told(fields.get(13)?)?))));
    }
    let mut messages: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        match (line.starts_with('\t'), messages.last_mut()) {
            (true, Some((_, message))) => *message += &format!("\n{}", &line[1..]),
            _ => messages.push((at + 1, line.to_owned())),
        }
    }
    let logged = |(line, message): (usize, String)| {
        let (_, said) = message.split_once("LOG:")?;
        Some((line, told(said)?))
    };
    cut(messages.into_iter().filter_map(logged))
}

/// One message may have several statements.
fn cut(messages: impl Iterator<Item = (usize, String)>) -> Vec<Piece> {
    let all = messages.flat_map(|(line, text)| {
        super::text::pieces(&text).into_iter().map(move |piece| Piece { line, text: piece.text })
    });
    all.collect()
}

/// The records of a CSV file, each with its line.
fn records(text: &str) -> impl Iterator<Item = (usize, Vec<String>)> {
    let mut found = Vec::new();
    let (mut line, mut start, mut quoted) = (1, 1, false);
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        line += usize::from(c == '\n');
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                fields.push(std::mem::take(&mut field));
                found.push((start, std::mem::take(&mut fields)));
                start = line;
            }
            other => field.push(other),
        }
    }
    fields.push(field);
    found.push((start, fields));
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_log_is_read() {
        let csv = format!(
            "2026-01-01,u,d,1,h,s,1,SELECT,t,v,0,LOG,00000,\"execute x: SELECT \"\"a\"\"\nFROM t WHERE b = $1\"{}\n",
            ",".repeat(10)
        );
        let table = [
            (
                "2026-01-01 UTC [1] LOG:  statement: SELECT a\n\tFROM t;\n2026 LOG:  duration: 0.1 ms\n",
                "SELECT a\nFROM t",
            ),
            (
                "2026 LOG:  duration: 1.2 ms  execute <unnamed>: UPDATE t SET a = $1\n2026 DETAIL:  x",
                "UPDATE t SET a = $1",
            ),
            ("{\"message\":\"statement: DELETE FROM t\"}\n", "DELETE FROM t"),
            (csv.as_str(), "SELECT \"a\"\nFROM t WHERE b = $1"),
        ];
        for (log, wanted) in table {
            assert_eq!(pieces(log), [Piece { line: 1, text: wanted.to_owned() }]);
        }
        assert_eq!(pieces("x LOG:  statement: BEGIN\nx ERROR:  no\nx STATEMENT:  SELECT 1\n"), []);
    }
}
