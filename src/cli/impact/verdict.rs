//! What becomes of one statement.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use postgres::Client;
use serde_json::{Value, json};
use sqlparser::ast::{self, visit_relations_mut};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::ask::{Answer, ask};
use super::lens::{Found, Lens};
use super::rewrite::{Rewritten, Style, rewrite};
use super::sources::Statement;
use super::text::{Bound, bind};
use crate::generate::shown_in;
use crate::name::{Ident, TableName};

/// What holds for a statement in the new shape; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The server refuses it.
    Fails,
    /// It gives something else, or writes somewhere else.
    Differs,
    /// It works, and is done otherwise.
    Replanned,
    /// It works.
    Works,
    /// It fails on the tables as they are, too.
    Unknown,
    /// It touches nothing that changes.
    Untouched,
}

impl Verdict {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fails => "fails",
            Self::Differs => "differs",
            Self::Replanned => "replanned",
            Self::Works => "works",
            Self::Unknown => "unknown",
            Self::Untouched => "untouched",
        }
    }
}

/// What is known of a statement.
#[derive(Debug)]
pub struct Judged {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why, a line each.
    pub why: Vec<String>,
    /// What to write instead.
    pub rewritten: Vec<String>,
    /// What is good to know.
    pub notes: Vec<String>,
    /// What it names that changes: a table or field, what it is now, and the refactorings.
    touches: Vec<(String, String, Vec<String>)>,
    says: Option<String>,
}

impl Judged {
    fn new(verdict: Verdict) -> Self {
        Self { verdict, why: Vec::new(), rewritten: Vec::new(), notes: Vec::new(), touches: Vec::new(), says: None }
    }

    /// The refactorings that concern it.
    pub fn steps(&self) -> impl Iterator<Item = &String> {
        self.touches.iter().flat_map(|(_, _, steps)| steps)
    }

    /// The same for programs.
    pub fn json(&self, statement: &Statement) -> Value {
        let touches = self.touches.iter().map(|(what, now, steps)| json!({ "what": what, "now": now, "by": steps }));
        json!({
            "verdict": self.verdict.word(), "places": statement.places, "statement": statement.text,
            "touches": touches.collect::<Vec<_>>(), "server": self.says, "why": self.why,
            "rewritten": self.rewritten, "notes": self.notes,
        })
    }
}

/// The ways to write a statement anew: the one that reads best first.
const STYLES: [Style; 4] = [
    Style { joins: true, casts: false },
    Style { joins: false, casts: false },
    Style { joins: true, casts: true },
    Style { joins: false, casts: true },
];

/// Judges statements.
pub struct Judge {
    lens: Lens,
    client: Client,
    old: String,
    next: String,
    shown: BTreeMap<Ident, Ident>,
}

impl Judge {
    /// One that asks on this connection, which sees the old shape along `old` and the new one along `next`.
    pub fn new(lens: Lens, client: Client, old: &str, (next, schemas): (String, Vec<String>)) -> Self {
        let kept: Vec<&str> = old.split(',').map(str::trim).filter(|s| !schemas.iter().any(|n| n == s)).collect();
        let shown = shown_in(&lens.version);
        Self { client, old: kept.join(", "), next, shown, lens }
    }

    /// Where old code looks names up.
    pub fn old_path(&self) -> &str {
        &self.old
    }

    /// Says what becomes of a statement.
    pub fn judge(&mut self, text: &str) -> Judged {
        let bound = bind(text);
        let Some(statement) = Parser::parse_sql(&PostgreSqlDialect {}, &bound.sql).ok().and_then(|mut s| s.pop())
        else {
            return self.unread(&bound);
        };
        if let ast::Statement::Truncate(truncate) = &statement {
            return self.truncated(truncate);
        }
        let said = rewrite(&self.lens, &statement, STYLES[0]);
        let touched = |t: &&TableName| self.lens.touches(t).is_some();
        if !said.tables.iter().any(|t| touched(&t)) {
            return Judged::new(Verdict::Untouched);
        }
        let mut judged = Judged::new(Verdict::Works);
        self.name_what_changes(&said, &mut judged);
        for table in said.by_schema.iter().filter(|t| self.lens.touches(t).is_some()) {
            let next = self.shown.get(&table.schema).map_or("next", Ident::as_str);
            judged.notes.push(format!(
                "`{table}`, with its schema, is the table until it is real; the new shape is `{next}.{}`",
                table.name
            ));
        }
        let old = ask(&mut self.client, &bound.sql, &self.old);
        let next = self.ask_next(&statement);
        match (old, next) {
            (Err(old), Err(_)) => {
                judged.verdict = Verdict::Unknown;
                judged.why = vec![format!("on the tables: {old}")];
                judged.says = Some(old);
                return judged;
            }
            (Err(_), Ok(_)) => {
                judged.verdict = Verdict::Works;
                judged.why = vec!["it is written for the new shape already".to_owned()];
                return judged;
            }
            (Ok(old), Err(next)) => {
                judged.verdict = Verdict::Fails;
                judged.why.push(format!("next: {next}"));
                judged.says = Some(next);
                self.write_anew(&statement, &bound, said, &old, &mut judged);
            }
            (Ok(old), Ok(next)) => {
                let differs = self.differs(&said, &old, &next, &mut judged);
                if differs {
                    judged.verdict = Verdict::Differs;
                    self.write_anew(&statement, &bound, said, &old, &mut judged);
                } else if let Some(otherwise) = old.plan.unlike(&next.plan) {
                    judged.verdict = Verdict::Replanned;
                    judged.why.push(format!("plan: {otherwise}"));
                }
            }
        }
        judged
    }

    /// A statement that our parser does not know: the server alone is asked.
    fn unread(&mut self, bound: &Bound) -> Judged {
        let words: Vec<Ident> = bound
            .sql
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map(|word| Ident::new(word.to_lowercase()))
            .collect();
        let tables = self.lens.version.schema.tables.keys();
        let named: Vec<&TableName> =
            tables.filter(|t| self.lens.touches(t).is_some() && words.contains(&t.name)).collect();
        if named.is_empty() {
            return Judged::new(Verdict::Untouched);
        }
        let mut judged = Judged::new(Verdict::Works);
        for table in named {
            judged.touches.push((table.short(), String::new(), self.lens.touches(table).unwrap_or_default().to_vec()));
        }
        match (ask(&mut self.client, &bound.sql, &self.old), ask(&mut self.client, &bound.sql, &self.next)) {
            (Err(why), Err(_)) => {
                judged.verdict = Verdict::Unknown;
                judged.why.push(format!("on the tables: {why}"));
            }
            (Ok(_), Err(why)) => {
                judged.verdict = Verdict::Fails;
                judged.why.push(format!("next: {why}"));
                judged.why.push("no other text is known: this grammar is PostgreSQL's alone".to_owned());
                judged.says = Some(why);
            }
            (Ok(old), Ok(next)) => {
                if let Some(otherwise) = old.plan.unlike(&next.plan) {
                    judged.verdict = Verdict::Replanned;
                    judged.why.push(format!("plan: {otherwise}"));
                }
            }
            (Err(_), Ok(_)) => judged.why.push("it is written for the new shape already".to_owned()),
        }
        judged
    }

    fn truncated(&self, truncate: &ast::Truncate) -> Judged {
        let names = truncate.table_names.iter().map(|target| super::rewrite::parts(&target.name));
        let tables: Vec<&TableName> = names
            .filter_map(|mut parts| {
                let own = parts.pop()?;
                self.lens.table(parts.last(), &own).filter(|t| self.lens.touches(t).is_some())
            })
            .collect();
        let Some(first) = tables.first() else { return Judged::new(Verdict::Untouched) };
        let mut judged = Judged::new(Verdict::Fails);
        judged.why.push("next: a view cannot be truncated; once it is real, it can".to_owned());
        judged.touches.push((first.short(), String::new(), self.lens.touches(first).unwrap_or_default().to_vec()));
        judged
    }

    /// Says which tables and fields of a statement change, and what they are now.
    fn name_what_changes(&self, said: &Rewritten, judged: &mut Judged) {
        let lens = &self.lens;
        for (table, field) in &said.fields {
            // Of rows that are in several tables now the table is told.
            let Some(change) = lens.change(table, field).filter(|_| lens.base(table).is_some()) else { continue };
            let now = change.now.iter().map(|(t, f)| format!("`{}.{f}`", t.short())).collect::<Vec<_>>().join(", ");
            let now = match lens.find(table, field) {
                Found::There(hops, column) if now.is_empty() => {
                    hops.last().map(|hop| format!("`{}.{column}`", hop.to.short())).unwrap_or_default()
                }
                _ => now,
            };
            let now = if now.is_empty() { "gone".to_owned() } else { format!("{now} now") };
            judged.why.push(format!("`{}.{field}` is {now} ({})", table.short(), change.steps.join(", ")));
            judged.touches.push((format!("{}.{field}", table.short()), now, change.steps.clone()));
        }
        for table in &said.tables {
            let Some(steps) = lens.touches(table) else { continue };
            let known = judged.touches.iter().any(|(what, _, _)| what.starts_with(&format!("{}.", table.short())));
            let gone =
                lens.version.gone.get(table).map(|gone| format!("{} ({})", gone.fate.trim_end_matches('.'), gone.step));
            match gone {
                Some(fate) if !known => judged.why.push(format!("`{}` {fate}", table.short())),
                None if !lens.has_its_rows(table) => {
                    judged.why.push(format!("`{}` has other rows ({})", table.short(), steps.join(", ")));
                }
                _ => {}
            }
            judged.touches.push((table.short(), String::new(), steps.to_vec()));
        }
    }

    /// Whether a statement that works means something else.
    fn differs(&self, said: &Rewritten, old: &Answer, next: &Answer, judged: &mut Judged) -> bool {
        let mut differs = false;
        let lens = &self.lens;
        for table in said.tables.iter().filter(|t| lens.touches(t).is_some()) {
            differs |= !lens.has_its_rows(table);
        }
        for (table, field) in said.fields.iter().filter(|(t, _)| lens.base(t).is_some()) {
            match lens.find(table, field) {
                Found::Here(now) if now == *field => {}
                Found::Retyped(_) => {}
                // All fields are asked for: what they are is told by what comes.
                _ if said.wild && old.columns != next.columns => {}
                _ => {
                    differs = true;
                    judged.why.push(format!("in `next` `{}.{field}` is something else", table.short()));
                }
            }
        }
        let names = |answer: &Answer| answer.columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let (was, is) = (names(old), names(next));
        if was == is {
            for ((name, was), (_, is)) in old.columns.iter().zip(&next.columns).filter(|(a, b)| a.1 != b.1) {
                judged.notes.push(format!("in `next` `{name}` is {is} instead of {was}"));
            }
        } else {
            let gone: Vec<&String> = was.iter().filter(|n| !is.contains(n)).collect();
            let new: Vec<&String> = is.iter().filter(|n| !was.contains(n)).collect();
            let listed = |names: &[&String]| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            if !gone.is_empty() {
                differs = true;
                judged.why.push(format!("in `next` it gives no {}", listed(&gone)));
            }
            if !new.is_empty() {
                judged.notes.push(format!("in `next` it gives {}, too", listed(&new)));
            }
            if gone.is_empty() && new.is_empty() {
                judged.notes.push("in `next` it gives the fields in another order".to_owned());
            }
        }
        differs
    }

    /// Finds what to write instead that the new shape takes.
    fn write_anew(
        &mut self,
        statement: &ast::Statement,
        bound: &Bound,
        said: Rewritten,
        old: &Answer,
        judged: &mut Judged,
    ) {
        let mut refused = None;
        let others = STYLES[1..].iter().map(|style| rewrite(&self.lens, statement, *style));
        let all: Vec<Rewritten> = std::iter::once(said).chain(others).collect();
        for said in all {
            let outcome = said.statements.and_then(|all| self.taken(&all, old).map(|()| all));
            let all = match outcome {
                Ok(all) => all,
                Err(why) => {
                    refused.get_or_insert(why);
                    continue;
                }
            };
            judged.notes.extend(said.notes);
            for one in all {
                let sql = pretty(&one);
                if let Some(order) = bound.order(&sql) {
                    let order: Vec<String> = order.iter().map(ToString::to_string).collect();
                    let of = if order.is_empty() { "none".to_owned() } else { order.join(", ") };
                    judged.notes.push(format!("its values, by their places before: {of}"));
                }
                judged.rewritten.push(bound.written(&sql));
            }
            return;
        }
        judged.why.push(format!("no other text is known: {}", refused.unwrap_or_default()));
    }

    /// Whether the new shape takes all of these, and they give what the old statement gave.
    fn taken(&mut self, all: &[ast::Statement], old: &Answer) -> Result<(), String> {
        let mut given = None;
        for one in all {
            // What is written is read again: what the parser prints must be what it means.
            let text = one.to_string();
            let again = Parser::parse_sql(&PostgreSqlDialect {}, &text).map_err(|e| e.to_string())?.pop();
            let again = again.ok_or("it is empty")?;
            let answer = self.ask_next(&again).map_err(|why| format!("`next` does not take it: {why}"))?;
            if !answer.columns.is_empty() {
                given = Some(answer.columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
            }
        }
        let wanted: Vec<String> = old.columns.iter().map(|(name, _)| name.clone()).collect();
        if given.unwrap_or_default() == wanted { Ok(()) } else { Err("it would give other fields".to_owned()) }
    }

    /// Asks of a statement in the new shape: what names the schema of a changed table means its view there.
    fn ask_next(&mut self, statement: &ast::Statement) -> Result<Answer, String> {
        let mut there = statement.clone();
        let (shown, version) = (&self.shown, &self.lens.version);
        let _ = visit_relations_mut(&mut there, |name| {
            if let [schema, table] = &super::rewrite::parts(name)[..]
                && let Some(next) = shown.get(schema)
            {
                let full = TableName { schema: schema.clone(), name: table.clone() };
                if version.gone.contains_key(&full) || version.relations.get(&full).is_some_and(|r| r.is_shown) {
                    *name = super::rewrite::object_in(next, table);
                }
            }
            ControlFlow::<()>::Continue(())
        });
        ask(&mut self.client, &there.to_string(), &self.next)
    }
}

/// A statement as it is pasted: in lines if it is long.
fn pretty(statement: &ast::Statement) -> String {
    let line = statement.to_string();
    if line.chars().count() <= 110 { line } else { format!("{statement:#}") }
}
