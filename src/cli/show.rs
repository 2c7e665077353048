//! `show`: refactorings with their facts and SQL, or the tables of the newest shape.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use crate::catalogue::Refactor;
use crate::cli::diagram::Diagram;
use crate::cli::{Context, is_named, lineage};
use crate::db::session::Place;
use crate::generate::{self, Class, fact, shown_in};
use crate::problem::{Kind, Problem};
use crate::relation::Relation;
use crate::version::{Step, Version};

/// What to show.
#[derive(Debug, Args)]
pub struct Show {
    /// Refactorings, or tables with `--tables` [default: all]
    names: Vec<String>,
    /// Show the tables of the newest shape and where each field lives
    #[arg(long)]
    tables: bool,
    /// Show which field of the new shape is told by which field of the tables, as text or for Mermaid
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "text", conflicts_with_all = ["names", "tables", "sql"])]
    diagram: Option<Form>,
    /// Show the generated SQL
    #[arg(long)]
    sql: bool,
}

/// How a diagram is written.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Form {
    /// For a terminal
    Text,
    /// For a page that draws it
    Mermaid,
}

/// Shows.
pub fn run(context: &Context, args: &Show) -> Result<(), Problem> {
    let mut session = context.session()?;
    let place = session.place()?;
    let version = place.version()?;
    if let Some(form) = args.diagram {
        let diagram = Diagram::of(&version);
        let text = match form {
            Form::Text => diagram.text(),
            Form::Mermaid => diagram.mermaid(),
        };
        context.ui.json(&json!({ "diagram": text }));
        context.ui.out(text.trim_end());
        return Ok(());
    }
    if args.tables {
        return tables(context, args, &version);
    }
    let files = context.files()?;
    let recorded = place.recorded.iter().map(|r| r.entry.clone());
    let rest = files.into_iter().filter(|f| !place.recorded.iter().any(|r| r.entry.step.name == f.step.name));
    let entries: Vec<_> = recorded.chain(rest).collect();
    let wanted = |name: &str| args.names.is_empty() || args.names.iter().any(|n| is_named(name, n));
    let facts = version.facts();
    let mut inverses = inverses(&place, wanted)?;
    let mut found = Vec::new();
    for entry in entries.iter().filter(|e| wanted(&e.step.name)) {
        let name = &entry.step.name;
        context.ui.out(format!("== {name}\n{}", entry.text.trim_end()));
        for f in facts.iter().filter(|f| f.step == *name) {
            context.ui.out(format!("fact: {}", f.sentence()));
            if args.sql {
                context.ui.out(fact::offenders(&version, f));
            }
        }
        for remark in version.remarks.iter().filter(|r| r.step == *name) {
            context.ui.out(format!("remark: {}", remark.text));
        }
        for relation in version.shown().filter(|r| r.touched_by.contains(name)) {
            let class = Class::of(&version, relation);
            context.ui.out(format!(
                "view of `{}` (class {class:?}) cannot: {}",
                relation.name.short(),
                cannot(class, relation)
            ));
        }
        let kept = place.recorded.iter().find(|r| r.entry.step.name == *name).and_then(|r| r.inverse.clone());
        let inverse = kept.or_else(|| match inverses.remove(name) {
            Some(pending) => pending,
            None => inverse(&version, &entry.step),
        });
        if let Some(inverse) = &inverse {
            context.ui.out(format!("inverse:\n{}", inverse.trim_end()));
        }
        context.ui.out("");
        found.push(json!({ "name": name, "text": entry.text, "inverse": inverse,
            "facts": facts.iter().filter(|f| f.step == *name).map(|f| json!({"sentence": f.sentence(), "query": fact::offenders(&version, f)})).collect::<Vec<_>>(),
            "remarks": version.remarks.iter().filter(|r| r.step == *name).map(|r| &r.text).collect::<Vec<_>>() }));
    }
    if found.is_empty() && !args.names.is_empty() {
        return Err(Problem::new(
            Kind::Usage,
            format!("cannot show {}", args.names.join(", ")),
            "no refactoring has this name",
        )
        .hint("`refactor status` lists them"));
    }
    if args.sql && args.names.is_empty() {
        for kept in generate::complement::complements(&version)? {
            context.ui.out(kept.sql);
        }
        for piece in generate::everything(&version)? {
            context.ui.out(format!("-- {}\n{}", piece.title, piece.sql));
        }
    }
    context.ui.json(&found);
    Ok(())
}

/// What a view cannot do, also where it is not told: PostgreSQL then asks no trigger and tells a view nothing.
fn cannot(class: Class, relation: &Relation) -> String {
    let mut cannot: Vec<String> = class.cannot(relation).into_iter().map(str::to_owned).collect();
    let sequences = relation.fields.iter().filter_map(|f| f.shape.sequence.as_ref());
    let sequences: Vec<String> = sequences.map(|s| format!("`{}`", s.short())).collect();
    if !sequences.is_empty() {
        cannot.push(format!("be asked for its sequence by pg_get_serial_sequence (name it: {})", sequences.join(", ")));
    }
    if class != Class::U {
        cannot.push(
            "be written while session_replication_role is replica (no trigger fires then: write to the table)".into(),
        );
        if relation.fields.iter().any(|f| f.shape.identity.is_some()) {
            cannot.push("OVERRIDING USER VALUE (a number that is given is stored)".into());
        }
    }
    cannot.join("; ")
}

/// How each of the pending refactorings is taken back, where it can be, on the shape before it.
fn inverses(place: &Place, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Option<String>>, Problem> {
    let mut before = place.fold(&[])?;
    let mut inverses = BTreeMap::new();
    for step in place.pending() {
        if wanted(&step.name) {
            inverses.insert(step.name.clone(), inverse(&before, &step));
        }
        before = before.after(&step).map_err(|refusal| Problem::refused(&step, refusal))?;
    }
    Ok(inverses)
}

fn inverse(before: &Version, step: &Step) -> Option<String> {
    let inverse = step.refactoring.inverse(&step.name, before).ok()?;
    toml::to_string(&inverse).ok()
}

fn tables(context: &Context, args: &Show, version: &Version) -> Result<(), Problem> {
    let next = shown_in(version);
    let mut shown = Vec::new();
    let mut wanted = Vec::new();
    for name in &args.names {
        let reference =
            name.parse().map_err(|e| Problem::new(Kind::Usage, format!("cannot show `{name}`"), format!("{e}")))?;
        let relation = version.find(&reference).map_err(|r| {
            let problem = Problem::new(Kind::Refused(r.clone()), format!("cannot show `{name}`"), r.to_string());
            if let Some(hint) = r.hint() { problem.hint(hint) } else { problem }
        })?;
        wanted.push(relation.name.clone());
    }
    for relation in version.relations.values().filter(|r| wanted.is_empty() || wanted.contains(&r.name)) {
        let place = if relation.is_shown {
            format!("view {}.{} over {}", next[&relation.name.schema], relation.name.name, relation.base)
        } else {
            "table".to_owned()
        };
        context.ui.out(format!("{} ({place})", relation.name.short()));
        let mut fields = Vec::new();
        for field in &relation.fields {
            let home = lineage::told(version, relation, field);
            let null = if field.shape.not_null { " not null" } else { "" };
            context.ui.out(format!("  {} {}{null}  <- {home}", field.shape.name, field.shape.type_name));
            fields.push(json!({ "name": field.shape.name.as_str(), "type": field.shape.type_name, "not_null": field.shape.not_null, "lives_in": home }));
        }
        shown.push(json!({ "table": relation.name.to_string(), "touched_by": relation.touched_by, "fields": fields }));
    }
    context.ui.json(&shown);
    Ok(())
}
