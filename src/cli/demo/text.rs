//! Query results as aligned text, and two of them side by side.

use postgres::{Client, SimpleQueryMessage};

use crate::problem::Problem;

/// Rows and the names of their fields, all as text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Grid {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// Runs a statement.
    pub fn of(client: &mut Client, sql: &str) -> Result<Self, Problem> {
        let mut grid = Self::default();
        for message in client.simple_query(sql)? {
            match message {
                SimpleQueryMessage::RowDescription(fields) => {
                    grid.head = fields.iter().map(|f| f.name().to_owned()).collect();
                }
                SimpleQueryMessage::Row(row) => {
                    grid.rows.push((0..row.len()).map(|at| row.get(at).unwrap_or("").to_owned()).collect());
                }
                _ => {}
            }
        }
        Ok(grid)
    }

    /// One row, empty where there is none.
    pub fn row(&self, at: usize) -> &[String] {
        self.rows.get(at).map_or(&[], Vec::as_slice)
    }

    /// One value, empty where there is none.
    pub fn cell(&self, row: usize, at: usize) -> &str {
        self.row(row).get(at).map_or("", String::as_str)
    }

    /// The title, the head, a rule, the rows.
    pub fn lines(&self, title: &str) -> Vec<String> {
        let widths: Vec<usize> = (0..self.head.len())
            .map(|at| self.rows.iter().chain([&self.head]).map(|r| width(&r[at])).max().unwrap_or(0))
            .collect();
        let line = |row: &[String]| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, w)| pad(cell, *w)).collect();
            cells.join("  ").trim_end().to_owned()
        };
        let rule: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
        [title.to_owned(), line(&self.head), rule.join("  ")]
            .into_iter()
            .chain(self.rows.iter().map(|r| line(r)))
            .collect()
    }
}

/// Two columns of lines.
pub fn beside(left: &[String], right: &[String]) -> String {
    let wide = left.iter().map(|l| width(l)).max().unwrap_or(0);
    let empty = String::new();
    let pairs = (0..left.len().max(right.len())).map(|at| {
        let (l, r) = (left.get(at).unwrap_or(&empty), right.get(at).unwrap_or(&empty));
        format!("   {}  |  {r}", pad(l, wide)).trim_end().to_owned()
    });
    pairs.collect::<Vec<_>>().join("\n")
}

/// A problem in its three parts, as the verbs show it.
pub fn told(problem: &Problem) -> String {
    let whys = problem.why.iter().map(|why| format!("  because {}", why.replace('\n', "\n  ")));
    let hint = problem.hint.iter().map(|hint| format!("hint: {hint}"));
    [format!("error: {}", problem.what)].into_iter().chain(whys).chain(hint).collect::<Vec<_>>().join("\n")
}

/// Text moved to the right.
pub fn block(text: &str) -> String {
    text.lines().map(|line| format!("   {line}")).collect::<Vec<_>>().join("\n")
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn pad(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let grid = Grid {
            head: vec!["id".into(), "city".into()],
            rows: vec![vec!["10".into(), "Ulm".into()], vec!["7".into(), "Köln".into()]],
        };
        let lines = grid.lines("orders");
        assert_eq!(lines, ["orders", "id  city", "--  ----", "10  Ulm", "7   Köln"]);
        assert_eq!(
            beside(&lines, &["next".to_owned()]),
            "   orders    |  next\n   id  city  |\n   --  ----  |\n   10  Ulm   |\n   7   Köln  |"
        );
    }
}
