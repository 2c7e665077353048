//! Fields that others tell: that depend on something which is no key, that repeat what the referenced row has, that only
//! one kind of row has.

use crate::cli::convert::words::words;
use crate::cli::inspect::figures::{Counted, Looked, asked};
use crate::cli::inspect::keys::free;
use crate::cli::inspect::{Finding, Shape};
use crate::cli::suggest::likeness::plural;
use crate::cli::suggest::patterns::references;
use crate::cli::suggest::simple::{place, said};
use crate::db::session::Session;
use crate::name::{Ident, listed};
use crate::sql::Literal;

/// All of this kind.
pub fn findings(session: &mut Session, looked: &Looked, shape: &Shape) -> Vec<Finding> {
    if looked.rows < 2 {
        return Vec::new();
    }
    let (mut all, mut copied) = (Vec::new(), Vec::new());
    copies(session, looked, shape, &mut all, &mut copied);
    dependent(session, looked, shape, &mut all, &copied);
    kinds(session, looked, shape, &mut all);
    all
}

/// Fields that equal a field of the row that is referred to.
fn copies(session: &mut Session, looked: &Looked, shape: &Shape, all: &mut Vec<Finding>, copied: &mut Vec<Ident>) {
    for (rule, key) in references(looked.table) {
        let Some(far) = shape.schema.tables.get(&key.table).filter(|_| key.table != *looked.name) else { continue };
        let own = looked.fields.iter().filter(|c| !rule.fields.contains(&c.field.name) && is_open(looked, c));
        for counted in own.filter(|c| c.different > 1) {
            for other in
                far.fields.iter().filter(|f| f.type_name == counted.field.type_name && !key.fields.contains(&f.name))
            {
                let on: Vec<String> =
                    rule.fields.iter().zip(&key.fields).map(|(a, b)| format!("y.{b} = x.{a}")).collect();
                let sql = format!(
                    "SELECT count(*), count(*) FILTER (WHERE x.{}::text IS DISTINCT FROM y.{}::text) FROM {} AS x JOIN {} AS y ON {}",
                    counted.field.name,
                    other.name,
                    looked.from,
                    shape.called(&key.table),
                    on.join(" AND ")
                );
                let Ok((rows, others)) =
                    asked(session, |t| t.query_one(&sql, &[]).map(|r| (r.get::<_, i64>(0), r.get::<_, i64>(1))))
                else {
                    continue;
                };
                // A few that differ are a copy that was not kept up.
                let same_name = counted.field.name == other.name;
                if rows < 2 || others > 0 && !(same_name && others * 10 <= rows) {
                    continue;
                }
                let at = place(looked.name, &counted.field.name);
                let but = if others == 0 { "no exception".to_owned() } else { format!("{others} that differ") };
                let sentence = format!(
                    "`{at}` repeats `{}` of the row that it refers to: {rows} rows, {but}",
                    place(&key.table, &other.name)
                );
                copied.push(counted.field.name.clone());
                all.push(Finding {
                    kind: "copied-value",
                    sentence,
                    fields: vec![counted.field.name.as_str().to_owned()],
                    exceptions: others,
                    command: words(["drop-field", &at]),
                });
                break;
            }
        }
    }
}

fn is_open(looked: &Looked, counted: &Counted) -> bool {
    counted.values > 0 && counted.field.generated.is_none() && !looked.is_key(&counted.field.name)
}

/// Whether values of the type name something, so that others may depend on it.
fn names_something(counted: &Counted) -> bool {
    let kind = counted.field.type_name.as_str();
    matches!(kind, "text" | "integer" | "bigint" | "smallint" | "uuid") || kind.starts_with("character")
}

/// Fields that depend on others which are no key.
fn dependent(session: &mut Session, looked: &Looked, shape: &Shape, all: &mut Vec<Finding>, copied: &[Ident]) {
    let mut told: Vec<Ident> = copied.to_vec();
    let open: Vec<&Counted> = looked.fields.iter().filter(|c| is_open(looked, c)).collect();
    let mut by: Vec<&Counted> = open
        .iter()
        .copied()
        .filter(|c| names_something(c) && c.different >= 2 && 2 * c.different <= c.values + 1)
        .collect();
    // What refers to a row comes first, then what has most values.
    by.sort_by_key(|c| (!looked.refers(&c.field.name), -c.different));
    for key in by {
        if told.contains(&key.field.name) {
            continue;
        }
        let others: Vec<&Counted> = open
            .iter()
            .copied()
            .filter(|c| {
                c.field.name != key.field.name
                    && !told.contains(&c.field.name)
                    && !looked.refers(&c.field.name)
                    && c.field.type_name != "boolean"
                    && (2..=key.different).contains(&c.different)
            })
            .collect();
        if others.is_empty() {
            continue;
        }
        let name = &key.field.name;
        let pairs: Vec<String> = others
            .iter()
            .map(|c| {
                format!(
                    "count(DISTINCT ROW(x.{name}::text, x.{}::text)) FILTER (WHERE x.{name} IS NOT NULL)",
                    c.field.name
                )
            })
            .collect();
        // Where the key is unknown, nothing may be there.
        let nulls = others.iter().map(|c| format!("count(x.{}) FILTER (WHERE x.{name} IS NULL)", c.field.name));
        let columns: Vec<String> = pairs.into_iter().chain(nulls).collect();
        let sql = format!("SELECT {} FROM {} AS x", columns.join(", "), looked.from);
        let Ok(row) = asked(session, |t| t.query_one(&sql, &[])) else { continue };
        let follows =
            |at: &usize| row.get::<_, i64>(*at) == key.different && row.get::<_, i64>(others.len() + *at) == 0;
        let found: Vec<&Counted> = (0..others.len()).filter(follows).map(|at| others[at]).collect();
        if found.is_empty() {
            continue;
        }
        told.extend(found.iter().map(|c| c.field.name.clone()));
        all.extend(moved(looked, shape, key, &found).unwrap_or_else(|| vec![extracted(looked, shape, key, &found)]));
    }
}

fn said_of(looked: &Looked, key: &Counted, found: &[&Counted]) -> (String, Vec<String>) {
    let fields: Vec<Ident> = found.iter().map(|c| c.field.name.clone()).collect();
    let sentence = format!(
        "`{}` of `{}` {} on `{}`, which is no key: {} rows with {} different values of it, no exception",
        listed(&fields),
        looked.name.short(),
        if fields.len() == 1 { "depends" } else { "depend" },
        key.field.name,
        key.values,
        key.different
    );
    (sentence, fields.iter().map(|f| f.as_str().to_owned()).collect())
}

/// To where the key refers to.
fn moved(looked: &Looked, shape: &Shape, key: &Counted, found: &[&Counted]) -> Option<Vec<Finding>> {
    let (_, far) = references(looked.table).find(|(rule, _)| rule.fields == std::slice::from_ref(&key.field.name))?;
    let target = shape.schema.tables.get(&far.table)?;
    let (sentence, fields) = said_of(looked, key, found);
    let several = references(looked.table).filter(|(_, other)| other.table == far.table).count() > 1;
    let one = |c: &Counted| {
        let mut command = words(["move-field", &place(looked.name, &c.field.name), &far.table.reference().to_string()]);
        if target.fields.iter().any(|f| f.name == c.field.name) {
            command.extend(words(["--as", &format!("{}_{}", looked.name.name.as_str(), c.field.name.as_str())]));
        }
        if several {
            let via = references(looked.table).find(|(rule, _)| rule.fields == std::slice::from_ref(&key.field.name));
            command.extend(via.iter().flat_map(|(rule, _)| words(["--via", &said(&rule.name)])));
        }
        let alone = said_of(looked, key, &[c]).0;
        Finding {
            kind: "depends-on-reference",
            sentence: alone,
            fields: vec![c.field.name.as_str().to_owned()],
            exceptions: 0,
            command,
        }
    };
    if found.len() == 1 || several || found.iter().any(|c| target.fields.iter().any(|f| f.name == c.field.name)) {
        return Some(found.iter().map(|c| one(c)).collect());
    }
    let mut command = one(found[0]).command;
    let rest: Vec<String> = found[1..].iter().map(|c| said(&c.field.name)).collect();
    command.extend(words(["--with", &rest.join(",")]));
    Some(vec![Finding { kind: "depends-on-reference", sentence, fields, exceptions: 0, command }])
}

/// To a table of their own.
fn extracted(looked: &Looked, shape: &Shape, key: &Counted, found: &[&Counted]) -> Finding {
    let (sentence, fields) = said_of(looked, key, found);
    let name = key.field.name.as_str();
    let stem =
        ["_id", "_code", "_name", "_no", "_number"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let into = free(shape, looked.name, &plural(stem));
    let mut command = words(["extract-table", &place(looked.name, &key.field.name)]);
    command.extend(found.iter().map(|c| said(&c.field.name)));
    command.extend(words(["--into", &into.reference().to_string(), "--by", &said(&key.field.name)]));
    Finding { kind: "depends-on-no-key", sentence, fields, exceptions: 0, command }
}

/// Fields that rows of one kind have, and no others.
fn kinds(session: &mut Session, looked: &Looked, shape: &Shape, all: &mut Vec<Finding>) {
    let some: Vec<&Counted> = looked
        .fields
        .iter()
        .filter(|c| is_open(looked, c) && !c.field.not_null && c.values < looked.rows && !looked.refers(&c.field.name))
        .collect();
    let kinds: Vec<&Counted> = looked
        .fields
        .iter()
        .filter(|c| {
            let short = names_something(c) || c.field.type_name == "boolean";
            short
                && (2..=8).contains(&c.different)
                && c.values == looked.rows
                && 2 * c.different <= looked.rows
                && !looked.is_key(&c.field.name)
        })
        .collect();
    let mut told: Vec<Ident> = Vec::new();
    for kind in kinds {
        let open: Vec<&Counted> = some.iter().copied().filter(|c| !told.contains(&c.field.name)).collect();
        if open.is_empty() {
            return;
        }
        let counts: Vec<String> = open.iter().map(|c| format!("count(x.{})", c.field.name)).collect();
        let sql = format!(
            "SELECT x.{0}::text, count(*), {1} FROM {2} AS x GROUP BY 1 ORDER BY 1",
            kind.field.name,
            counts.join(", "),
            looked.from
        );
        let Ok(rows) = asked(session, |t| t.query(&sql, &[])) else { continue };
        let mut groups: Vec<(Vec<String>, i64, Vec<&Counted>)> = Vec::new();
        for (at, counted) in open.iter().enumerate() {
            let exact = rows.iter().all(|r| [0, r.get::<_, i64>(1)].contains(&r.get::<_, i64>(2 + at)));
            let with: Vec<&postgres::Row> = rows.iter().filter(|r| r.get::<_, i64>(2 + at) > 0).collect();
            if !exact || with.len() == rows.len() {
                continue;
            }
            let labels: Vec<String> = with.iter().map(|r| r.get(0)).collect();
            let count = with.iter().map(|r| r.get::<_, i64>(1)).sum();
            match groups.iter_mut().find(|(known, ..)| *known == labels) {
                Some((_, _, fields)) => fields.push(counted),
                None => groups.push((labels, count, vec![counted])),
            }
        }
        for (labels, count, fields) in groups {
            told.extend(fields.iter().map(|c| c.field.name.clone()));
            all.push(part(looked, shape, kind, &labels, count, &fields));
        }
    }
}

fn part(looked: &Looked, shape: &Shape, kind: &Counted, labels: &[String], count: i64, fields: &[&Counted]) -> Finding {
    let name = &kind.field.name;
    let value = |label: &String| {
        if kind.field.type_name == "boolean" || names_number(kind) {
            label.clone()
        } else {
            Literal(label.clone()).to_string()
        }
    };
    let values: Vec<String> = labels.iter().map(value).collect();
    let condition = match &values[..] {
        [one] => format!("{name} = {one}"),
        several => format!("{name} IN ({})", several.join(", ")),
    };
    let names: Vec<Ident> = fields.iter().map(|c| c.field.name.clone()).collect();
    let plain: String =
        labels[0].chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let label = if kind.field.type_name == "boolean" || names_number(kind) {
        format!("{}_{plain}", name.as_str())
    } else {
        plain
    };
    let into = free(shape, looked.name, &format!("{}_{label}", looked.name.name.as_str()));
    let mut command = words(["split-table", &looked.name.reference().to_string()]);
    command.extend(names.iter().map(said));
    command.extend(words(["--into", &into.reference().to_string(), "--where", &condition]));
    let sentence = format!(
        "`{}` of `{}` {} a value exactly where {condition}: {count} of {} rows, no exception",
        listed(&names),
        looked.name.short(),
        if names.len() == 1 { "has" } else { "have" },
        looked.rows
    );
    let fields = names.iter().map(|n| n.as_str().to_owned()).collect();
    Finding { kind: "only-one-kind", sentence, fields, exceptions: 0, command }
}

fn names_number(counted: &Counted) -> bool {
    matches!(counted.field.type_name.as_str(), "integer" | "bigint" | "smallint")
}
