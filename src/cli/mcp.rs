//! `mcp`: verbs that only read, as tools of the Model Context Protocol over standard input and output.
//!
//! <https://modelcontextprotocol.io/specification>: JSON-RPC 2.0, one message a line.

use std::io::BufRead;
use std::process::Command;

use serde_json::{Value, json};

use crate::cli::Context;
use crate::problem::{Kind, Problem};

/// The newest version of the protocol that we know; what we use has been the same since the first.
const PROTOCOL: &str = "2025-06-18";

/// A verb as a tool.
struct Tool {
    name: &'static str,
    about: &'static str,
    /// The argument that has several words, which stand last.
    words: Option<(&'static str, &'static str)>,
    /// Options that are there or not.
    flags: &'static [(&'static str, &'static str)],
}

const TOOLS: [Tool; 6] = [
    Tool {
        name: "status",
        about: "Which refactorings the files and the database have, and how far each is",
        words: None,
        flags: &[],
    },
    Tool {
        name: "show",
        about: "Refactorings with their facts, what their views cannot do, and their inverses; or the tables of the new shape",
        words: Some(("names", "Refactorings, or tables with `tables`; all if none is named")),
        flags: &[
            ("tables", "The tables of the new shape, and where each field lives"),
            ("sql", "With the generated SQL"),
        ],
    },
    Tool {
        name: "check",
        about: "Whether the files are in order and agree with the database",
        words: None,
        flags: &[],
    },
    Tool {
        name: "plan",
        about: "What making all real would do: steps, locks, sizes, losses; nothing is done",
        words: None,
        flags: &[("sql", "With the SQL of each step")],
    },
    Tool {
        name: "impact",
        about: "Which statements of an application touch what is pending, which fail in the new shape, and how they are written then; nothing is run",
        words: Some(("files", "Files with SQL, programs with SQL in their strings, folders")),
        flags: &[("statements", "What pg_stat_statements remembers, too")],
    },
    Tool {
        name: "docs",
        about: "The manual: how refactorings are declared, deferred and made real; or one page of it",
        words: Some(("topic", "A refactoring, as `move-field`, or another page")),
        flags: &[],
    },
];

impl Tool {
    fn described(&self) -> Value {
        let mut properties = serde_json::Map::new();
        for (name, about) in self.flags {
            properties.insert((*name).into(), json!({ "type": "boolean", "description": about }));
        }
        if let Some((name, about)) = self.words {
            let words = json!({ "type": "array", "items": { "type": "string" }, "description": about });
            properties.insert(name.into(), words);
        }
        json!({
            "name": self.name,
            "description": self.about,
            "inputSchema": { "type": "object", "properties": properties, "additionalProperties": false },
            "annotations": { "readOnlyHint": true },
        })
    }

    /// The command line of a call.
    fn arguments(&self, given: &Value) -> Result<Vec<String>, String> {
        let mut arguments = vec![self.name.to_owned()];
        let mut words = Vec::new();
        for (name, value) in given.as_object().into_iter().flatten() {
            if self.flags.iter().any(|(flag, _)| flag == name) {
                let is_set = value.as_bool().ok_or_else(|| format!("`{name}` must be true or false"))?;
                arguments.extend(is_set.then(|| format!("--{name}")));
            } else if self.words.is_some_and(|(words, _)| words == name) {
                let one = value.as_str().map(|word| vec![json!(word)]);
                for word in
                    one.as_ref().or(value.as_array()).ok_or_else(|| format!("`{name}` must be a list of texts"))?
                {
                    words.push(word.as_str().ok_or_else(|| format!("`{name}` must be a list of texts"))?.to_owned());
                }
            } else {
                return Err(format!("there is no argument `{name}`"));
            }
        }
        arguments.push("--".into());
        arguments.extend(words);
        Ok(arguments)
    }
}

/// Answers until nobody asks any more.
pub fn run(context: &Context) -> Result<(), Problem> {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| Problem::new(Kind::Usage, "cannot read what is asked", e.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Value>(&line) {
            Ok(message) => answer(context, &message),
            Err(e) => Some(failure(&Value::Null, -32700, &e.to_string())),
        };
        if let Some(answer) = answer {
            context.ui.raw(format!("{answer}\n"));
        }
    }
    Ok(())
}

/// The answer to a message; a notification gets none.
fn answer(context: &Context, message: &Value) -> Option<Value> {
    let id = message.get("id")?;
    let parameters = &message["params"];
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": parameters["protocolVersion"].as_str().unwrap_or(PROTOCOL),
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "refactor", "version": env!("CARGO_PKG_VERSION") },
        }),
        "ping" => json!({}),
        "tools/list" => json!({ "tools": TOOLS.iter().map(Tool::described).collect::<Vec<_>>() }),
        "tools/call" => match TOOLS.iter().find(|tool| parameters["name"] == tool.name) {
            Some(tool) => match tool.arguments(&parameters["arguments"]) {
                Ok(arguments) => call(context, &arguments),
                Err(why) => return Some(failure(id, -32602, &why)),
            },
            None => return Some(failure(id, -32602, &format!("there is no tool {}", parameters["name"]))),
        },
        other => return Some(failure(id, -32601, &format!("there is no method `{other}`"))),
    };
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn failure(id: &Value, code: i32, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

/// Runs ourselves, so that whatever goes wrong with a verb ends that run and not this one.
fn call(context: &Context, arguments: &[String]) -> Value {
    let mut command = Command::new(std::env::current_exe().unwrap_or_else(|_| "refactor".into()));
    let globals = &context.globals;
    let options = [("--database-url", &globals.database_url), ("--env", &globals.env)];
    for (option, value) in options.into_iter().filter_map(|(option, value)| Some((option, value.as_ref()?))) {
        command.args([option, value]);
    }
    if let Some(dir) = &globals.dir {
        command.arg("--dir").arg(dir);
    }
    let (text, failed) = match command.args(arguments).stdin(std::process::Stdio::null()).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
            (text.concat(), !output.status.success())
        }
        Err(e) => (e.to_string(), true),
    };
    json!({ "content": [{ "type": "text", "text": text }], "isError": failed })
}
