//! What the server says of a statement under a shape: it is prepared and explained, and never run.

use postgres::{Client, SimpleQueryMessage};
use serde_json::Value;

use crate::db::message;

/// A statement as the server understands it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it gives: names and types.
    pub columns: Vec<(String, String)>,
    /// How it would be done.
    pub plan: Plan,
}

/// How a statement would be done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// What it costs, as the planner sees it.
    pub cost: f64,
    /// The kinds of its nodes, outermost first.
    pub nodes: Vec<String>,
}

impl Plan {
    /// A plan from what EXPLAIN says as JSON.
    pub fn of(explained: &Value) -> Self {
        fn walk(node: &Value, nodes: &mut Vec<String>) {
            let kind = node["Node Type"].as_str().unwrap_or_default();
            let index = node["Index Name"].as_str().map(|name| format!(" using {name}"));
            let table = node["Relation Name"].as_str().filter(|_| index.is_none()).map(|name| format!(" on {name}"));
            nodes.push(format!("{kind}{}{}", index.unwrap_or_default(), table.unwrap_or_default()));
            node["Plans"].as_array().into_iter().flatten().for_each(|below| walk(below, nodes));
        }
        let top = &explained[0]["Plan"];
        let mut nodes = Vec::new();
        walk(top, &mut nodes);
        Self { cost: top["Total Cost"].as_f64().unwrap_or_default(), nodes }
    }

    /// How another plan differs, in words, if it does.
    pub fn unlike(&self, other: &Self) -> Option<String> {
        let kinds =
            |plan: &Self| plan.nodes.iter().map(|n| n.split(" on ").next().unwrap_or(n).to_owned()).collect::<Vec<_>>();
        let costs = format!("cost {:.2} → {:.2}", self.cost, other.cost);
        if kinds(self) == kinds(other) {
            return (other.cost > 1.5 * self.cost + 1.0).then_some(costs);
        }
        let (mut gone, mut new) = (self.nodes.clone(), Vec::new());
        for node in &other.nodes {
            match gone.iter().position(|n| n == node) {
                Some(at) => drop(gone.remove(at)),
                None => new.push(node.clone()),
            }
        }
        let counted = |nodes: &[String]| {
            let mut said: Vec<(&String, usize)> = Vec::new();
            for node in nodes {
                match said.iter_mut().find(|(n, _)| *n == node) {
                    Some((_, count)) => *count += 1,
                    None => said.push((node, 1)),
                }
            }
            let one = |(node, count): &(&String, usize)| {
                if *count == 1 { (*node).clone() } else { format!("{count} × {node}") }
            };
            said.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let more = [("without", counted(&gone)), ("with", counted(&new))];
        let more: Vec<String> = more
            .into_iter()
            .filter(|(_, nodes)| !nodes.is_empty())
            .map(|(how, nodes)| format!("{how} {nodes}"))
            .collect();
        Some(format!("{costs}; {}", more.join("; ")))
    }
}

/// Asks what a statement gives and how it would be done where names are looked up along `path`. Nothing of it is left.
///
/// # Errors
/// What the server says against it.
pub fn ask(client: &mut Client, sql: &str, path: &str) -> Result<Answer, String> {
    asked(client, sql, path).map_err(|error| {
        let said = message::render(&error, None);
        let lines =
            said.lines().map(str::trim).filter(|l| !["where: ", "SQLSTATE: "].iter().any(|head| l.starts_with(head)));
        lines.collect::<Vec<_>>().join("; ")
    })
}

fn asked(client: &mut Client, sql: &str, path: &str) -> Result<Answer, postgres::Error> {
    let mut transaction = client.build_transaction().read_only(true).start()?;
    transaction.execute("SELECT pg_catalog.set_config('search_path', $1, true), pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true), pg_catalog.set_config('lock_timeout', '2s', true)", &[&path])?;
    let prepared = transaction.prepare(sql)?;
    let columns = prepared.columns().iter().map(|c| (c.name().to_owned(), c.type_().name().to_owned())).collect();
    let nulls = vec!["NULL"; prepared.params().len()];
    transaction.execute(&format!("PREPARE refactor_asked AS {sql}"), &[])?;
    let arguments = if nulls.is_empty() { String::new() } else { format!("({})", nulls.join(", ")) };
    let explained = transaction.simple_query(&format!("EXPLAIN (FORMAT JSON) EXECUTE refactor_asked{arguments}"));
    transaction.rollback()?;
    client.batch_execute("DEALLOCATE refactor_asked")?;
    let text = explained?.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    let explained = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
    Ok(Answer { columns, plan: Plan::of(&explained) })
}
