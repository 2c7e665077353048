//! What tells of a database to those who do not use it: the report, the diagram, the manual, tools for coding agents.

use std::io::Write;
use std::process::{Command, Stdio};

use refactor::catalogue::NAMES;
use serde_json::{Value, json};

use crate::support::Database;

const SHOP: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, city text, \"<b>&\\\"\"]--%\" int);
    CREATE TABLE other (id int PRIMARY KEY);
    INSERT INTO customers VALUES (1, 'Ann');
    INSERT INTO orders VALUES (10, 1, 'Ulm', 7);";

fn declared() -> Database {
    let shop = Database::new(SHOP);
    shop.ok(&["move-field", "orders.city", "customers"]);
    shop.ok(&["rename-field", "customers.name", "called"]);
    shop.ok(&["add-field", "orders.note", "text"]);
    shop.ok(&["drop-field", "orders.\"<b>&\\\"\"]--%\""]);
    shop
}

#[test]
fn the_diagram_has_every_field_and_where_it_goes() {
    let shop = declared();
    let text = shop.ok(&["show", "--diagram"]);
    for line in
        ["city text", "─▶ customers.city (moved)", "─▶ customers.called (renamed)", "─▶ gone", "orders.note text  new"]
    {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let mermaid = shop.ok(&["show", "--diagram=mermaid"]);
    assert!(mermaid.starts_with("flowchart LR\n") && mermaid.contains("-->|moved|"), "{mermaid}");
    assert!(!mermaid.contains("<b>"), "{mermaid}");
}

#[test]
fn the_report_is_one_page_that_needs_nothing_else() {
    let shop = declared();
    std::fs::write(shop.files().join("../refactor.toml"), format!("[env.staging]\nurl = \"{}\"\n", shop.url()))
        .unwrap();
    shop.ok(&["report", "--to", "page.html"]);
    let page = std::fs::read_to_string(shop.files().join("../page.html")).unwrap();
    for text in [
        "0001-move-city-to-customers",
        "orders.city, carried along",
        "in one transaction",
        "<td>staging</td>",
        "class=\"curve moved\"",
    ] {
        assert!(page.contains(text), "{text} is not in\n{page}");
    }
    assert!(!page.contains("<b>") && !page.contains("http://") && !page.contains("https://"), "{page}");
    // Nothing deferred, nothing declared.
    let empty = Database::new("CREATE TABLE t (id int)");
    empty.ok(&["report", "--to", "page.html"]);
}

#[test]
fn the_manual_is_in_the_program() {
    let shop = Database::new("");
    let guide = shop.ok(&["docs"]);
    for name in NAMES {
        assert!(guide.contains(name), "{name}");
        assert!(shop.ok(&["docs", name]).starts_with(&format!("# {name}\n")));
    }
    assert_eq!(shop.run(&["docs", "nothing"]).status.code(), Some(2));
    assert!(shop.ok(&["man", "materialize"]).contains("refactor materialize"));
    shop.ok(&["man", "--to", "pages"]);
    assert!(shop.files().parent().unwrap().join("pages/refactor-move-field.1").exists());
}

/// What is answered to messages.
fn answers(shop: &Database, messages: &[Value]) -> Vec<Value> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_refactor"))
        .arg("mcp")
        .current_dir(shop.files().parent().unwrap())
        .env("DATABASE_URL", shop.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for message in messages {
        writeln!(input, "{message}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_coding_agent_can_read_and_not_write() {
    let shop = declared();
    let call = |id: i32, name: &str, arguments: Value| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name, "arguments": arguments } });
    let answers = answers(
        &shop,
        &[
            json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-03-26", "capabilities": {} } }),
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
            json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }),
            call(3, "status", json!({})),
            call(4, "show", json!({ "names": ["customers"], "tables": true })),
            call(5, "show", json!({ "names": ["--help"] })),
            call(6, "undo", json!({})),
            call(7, "plan", json!({ "yes": true })),
        ],
    );
    assert_eq!(answers.len(), 7, "{answers:?}");
    let text = |at: usize| answers[at]["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert_eq!(answers[0]["result"]["protocolVersion"], "2025-03-26");
    assert!(answers[1]["result"]["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "plan"));
    assert!(text(2).contains("0001-move-city-to-customers"), "{answers:?}");
    assert!(text(3).contains("called text"), "{answers:?}");
    assert_eq!(answers[4]["result"]["isError"], true);
    assert!(answers[5]["error"]["message"].is_string() && answers[6]["error"]["message"].is_string(), "{answers:?}");
}

#[test]
fn what_was_kept_goes_when_nobody_wants_it() {
    let shop = declared();
    shop.ok(&["materialize", "--yes"]);
    let kept = || {
        shop.rows("SELECT relname FROM pg_class WHERE relnamespace = 'refactor'::regnamespace AND relname LIKE 'lost%' AND relkind = 'r'")
    };
    let before = kept();
    assert!(!before.is_empty());
    shop.ok(&["finish", "--dry-run"]);
    assert_eq!(kept(), before);
    assert!(shop.refused(&["finish"]).contains("--yes"));
    // The inverse that brings values back keeps them from going.
    shop.ok(&["revert", "4"]);
    shop.ok(&["finish", "--yes"]);
    assert_eq!(kept().len(), 1, "{:?}", kept());
    shop.ok(&["undo", "--yes"]);
    shop.ok(&["finish", "--yes"]);
    assert!(kept().is_empty());
    shop.ok(&["finish", "--yes"]);
    shop.ok(&["revert", "4"]);
}
