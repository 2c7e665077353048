//! Fields whose values are of another type than theirs, or that have none.

use crate::cli::convert::Words;
use crate::cli::convert::words::words;
use crate::cli::inspect::Finding;
use crate::cli::inspect::figures::{Counted, Looked, asked};
use crate::cli::suggest::simple::{place, said};
use crate::db::session::Session;
use crate::problem::Problem;

/// All of this kind.
pub fn findings(session: &mut Session, looked: &Looked) -> Result<Vec<Finding>, Problem> {
    let mut all = Vec::new();
    if looked.rows == 0 {
        return Ok(all);
    }
    for counted in looked.fields.iter().filter(|c| c.field.generated.is_none()) {
        if counted.values == 0 {
            let at = place(looked.name, &counted.field.name);
            let sentence = format!("`{at}` is NULL in each of {} rows", looked.rows);
            all.push(finding("always-null", sentence, counted, words(["drop-field", &at])));
            continue;
        }
        if let Some(found) = flag(session, looked, counted)? {
            all.push(found);
        } else if let Some(found) = typed(session, looked, counted)? {
            all.push(found);
        }
    }
    all.extend(repeated(looked));
    Ok(all)
}

fn finding(kind: &'static str, sentence: String, counted: &Counted, command: Words) -> Finding {
    Finding { kind, sentence, fields: vec![counted.field.name.as_str().to_owned()], exceptions: 0, command }
}

fn is_text(counted: &Counted) -> bool {
    counted.field.type_name == "text" || counted.field.type_name.starts_with("character varying")
}

/// What a type's values look like, and the type; in this order.
const FORMS: [(&str, &str, &str); 7] = [
    ("^-?(0|[1-9][0-9]{0,8})$", "integer", "a whole number"),
    ("^-?(0|[1-9][0-9]{0,17})$", "bigint", "a whole number"),
    (r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$", "numeric", "a number"),
    ("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "date", "a date"),
    (r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?$", "timestamp", "a time"),
    ("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", "uuid", "a uuid"),
    (r"^\s*[\[{].*[\]}]\s*$", "jsonb", "JSON"),
];

/// Text that is always a number, a date, a uuid, or JSON.
fn typed(session: &mut Session, looked: &Looked, counted: &Counted) -> Result<Option<Finding>, Problem> {
    if !is_text(counted) || counted.different < 2 {
        return Ok(None);
    }
    let (field, from) = (&counted.field.name, &looked.from);
    let columns: Vec<String> = FORMS
        .iter()
        .map(|(form, ..)| format!("count(*) FILTER (WHERE x.{field} ~ {})", crate::sql::Literal((*form).to_owned())))
        .collect();
    let row = asked(session, |t| t.query_one(&format!("SELECT {} FROM {from} AS x", columns.join(", ")), &[]))?;
    let Some(at) = (0..FORMS.len()).find(|at| row.get::<_, i64>(*at) == counted.values) else { return Ok(None) };
    let (_, type_name, word) = FORMS[at];
    // It must be the same text again, since old code still reads it.
    let kinds: &[&str] = if type_name == "jsonb" { &["jsonb", "json"] } else { &[type_name] };
    for kind in kinds {
        let sql = format!(
            "SELECT count(*) FROM {from} AS x WHERE x.{field} IS NOT NULL AND x.{field}::{kind}::text <> x.{field}"
        );
        let Ok(others) = asked(session, |t| Ok(t.query_one(&sql, &[])?.get::<_, i64>(0))) else { continue };
        if others == 0 {
            let at = place(looked.name, field);
            let sentence = format!(
                "`{at}` is text, and always {word}: {} values in {} rows, no exception",
                counted.values, looked.rows
            );
            return Ok(Some(finding("text-is-typed", sentence, counted, words(["change-type", &at, kind]))));
        }
    }
    Ok(None)
}

/// Pairs of texts that mean true and false.
const FLAGS: [(&str, &str); 9] = [
    ("true", "false"),
    ("t", "f"),
    ("yes", "no"),
    ("y", "n"),
    ("on", "off"),
    ("1", "0"),
    ("Y", "N"),
    ("Yes", "No"),
    ("TRUE", "FALSE"),
];

/// Two texts, or 1 and 0, that are a boolean.
fn flag(session: &mut Session, looked: &Looked, counted: &Counted) -> Result<Option<Finding>, Problem> {
    let name = counted.field.name.as_str();
    let says = ["is_", "has_", "can_"].iter().any(|p| name.starts_with(p))
        || ["active", "enabled", "disabled", "deleted", "flag", "visible", "paid"].iter().any(|w| name.contains(w));
    let number = matches!(counted.field.type_name.as_str(), "smallint" | "integer") && says;
    let text = is_text(counted) || counted.field.type_name.starts_with("character(");
    if !(text || number)
        || counted.different != 2
        || looked.is_key(&counted.field.name)
        || looked.refers(&counted.field.name)
    {
        return Ok(None);
    }
    let sql =
        format!("SELECT DISTINCT x.{0}::text FROM {1} AS x WHERE x.{0} IS NOT NULL", counted.field.name, looked.from);
    let found: Vec<String> = asked(session, |t| Ok(t.query(&sql, &[])?.iter().map(|r| r.get(0)).collect()))?;
    let Some((yes, no)) = FLAGS.iter().find(|(yes, no)| found.iter().all(|v| v == yes || v == no)) else {
        return Ok(None);
    };
    let at = place(looked.name, &counted.field.name);
    let command =
        words(["change-type", &at, "boolean", "--map", &format!("{yes}=true"), "--map", &format!("{no}=false")]);
    let sentence = format!(
        "`{at}` is {}, and always '{yes}' or '{no}': {} values in {} rows, no exception",
        counted.field.type_name, counted.values, looked.rows
    );
    Ok(Some(finding("boolean-in-text", sentence, counted, command)))
}

/// Fields of one type whose names differ in a number.
fn repeated(looked: &Looked) -> Vec<Finding> {
    let stem = |name: &str| {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let stem = (stem.len() < name.len()).then(|| stem.trim_end_matches('_').to_owned());
        stem.filter(|s| !s.is_empty())
    };
    let mut all: Vec<Finding> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for counted in &looked.fields {
        let Some(group) = stem(counted.field.name.as_str()).filter(|s| !seen.contains(s)) else { continue };
        let same = |c: &&Counted| {
            c.field.type_name == counted.field.type_name
                && (stem(c.field.name.as_str()).as_ref() == Some(&group) || c.field.name.as_str() == group)
                && !looked.is_key(&c.field.name)
        };
        let members: Vec<&Counted> = looked.fields.iter().filter(same).collect();
        if members.len() < 2 {
            continue;
        }
        seen.push(group.clone());
        let mut command = words(["unpivot", &looked.name.reference().to_string()]);
        command.extend(members.iter().map(|c| said(&c.field.name)));
        let into = looked.name.renamed(crate::name::Ident::new(format!("{}_{group}", looked.name.name.as_str())));
        command.extend(words(["--into", &into.reference().to_string()]));
        let figures: Vec<String> = members.iter().map(|c| format!("`{}` {}", c.field.name, c.values)).collect();
        let sentence = format!(
            "`{}` repeats `{group}` in {} fields; values in {} rows: {}",
            looked.name.short(),
            members.len(),
            looked.rows,
            figures.join(", ")
        );
        let fields = members.iter().map(|c| c.field.name.as_str().to_owned()).collect();
        all.push(Finding { kind: "repeated-group", sentence, fields, exceptions: 0, command });
    }
    all
}
