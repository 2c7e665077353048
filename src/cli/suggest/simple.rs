//! What mends one difference, where no question arises.

use crate::cli::convert::words::words;
use crate::cli::convert::{Words, of_statement};
use crate::cli::suggest::difference::{Difference, Kind, Wanted, field, numbering};
use crate::cli::suggest::patterns::primary;
use crate::name::{FieldRef, Ident, TableName, TableRef};
use crate::relation::checked;
use crate::schema::{Constraint, ConstraintKind, Field, ForeignKey, Schema, Table};
use crate::sql::Expression;
use crate::sql::type_names::without_modifier;

/// The commands that mend it, if any do; of a table that is no more there, none.
pub fn mending(difference: &Difference, now: &Schema, wanted: &Wanted) -> Option<Vec<Words>> {
    let table = difference.table.reference().to_string();
    let at = difference.field.as_ref().map(|field| place(&difference.table, field)).unwrap_or_default();
    let there = difference.field_in(&wanted.schema);
    let one = |words: Words| Some(vec![words]);
    match &difference.kind {
        Kind::TableMissing => one(created(&difference.table, now, wanted)?),
        Kind::TableExtra => one(words(["drop-table", &table])),
        Kind::FieldMissing => added(&difference.table, there?, wanted).map(|words| vec![words]),
        Kind::FieldExtra => one(words(["drop-field", &at])),
        Kind::Type => one(words(["change-type", &at, &there?.type_name])),
        Kind::NotNull => one(words([if there?.not_null { "set-not-null" } else { "drop-not-null" }, &at])),
        Kind::Default => one(match &there?.default {
            Some(default) => words(["set-default", &at, &value(default, &there?.type_name)]),
            None => words(["drop-default", &at]),
        }),
        Kind::Numbering | Kind::Generated => None,
        Kind::RuleMissing(rule) => Some(vec![ruled(&difference.table, rule, wanted)?]),
        Kind::RuleExtra(rule) => one(words(["drop-constraint", &table, &said(&rule.name)])),
        Kind::RuleChanged(rule, to) => changed(&difference.table, rule, to, wanted),
        Kind::Renamed(from, to) => one(words(["rename-constraint", &place(&difference.table, from), &said(to)])),
        Kind::IndexMissing(index) => {
            let on = difference.table.reference().sql();
            let found = of_statement(&index.definition.replacen(
                &format!(" ON {} ", difference.table),
                &format!(" ON {on} "),
                1,
            ))?;
            Some(found.into_iter().map(|words| unless_said(words, &index.name, wanted)).collect())
        }
        Kind::IndexExtra(index) => {
            one(words(["drop-index", &difference.table.renamed(index.name.clone()).reference().to_string()]))
        }
        Kind::Comment(on, text) => {
            let about = if difference.field.is_some() { &at } else { &table };
            let mut all = words(["comment", about]);
            match text {
                Some(text) => all.push(text.clone()),
                None => all.push("--none".to_owned()),
            }
            if let Some((rule, name)) = on {
                all.extend([if *rule { "--constraint" } else { "--index" }.to_owned(), said(name)]);
            }
            one(all)
        }
        Kind::Order(fields) => {
            let mut all = words(["reorder-fields", &table]);
            all.extend(fields.iter().map(said));
            one(all)
        }
    }
}

/// Another way, where the first is refused: what old code finds in a field that it cannot do without.
pub fn otherwise(difference: &Difference, now: &Schema) -> Option<Vec<Words>> {
    let gone = difference.field_in(now).filter(|_| difference.kind == Kind::FieldExtra)?;
    let fill = match &*without_modifier(&gone.type_name) {
        "text" | "character varying" | "character" => "''",
        "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" => "0",
        "boolean" => "false",
        "date" | "timestamp without time zone" | "timestamp with time zone" => "'epoch'",
        "json" | "jsonb" => "'{}'",
        _ => return None,
    };
    Some(vec![words(["drop-field", &place(&difference.table, &gone.name), "--fill", fill])])
}

/// A default without a cast to the type that it has anyway.
fn value(default: &str, type_name: &str) -> String {
    let constant = default.strip_suffix(&format!("::{type_name}")).filter(|v| v.starts_with('\'') && v.ends_with('\''));
    constant.unwrap_or(default).to_owned()
}

/// An expression without brackets around it.
fn plain(text: &str) -> String {
    Expression::parse(text).map_or_else(|_| text.to_owned(), |e| e.bare().to_string())
}

/// A field or rule of a table as it is typed.
pub fn place(table: &TableName, field: &Ident) -> String {
    FieldRef { table: table.reference(), field: field.clone() }.to_string()
}

/// A name as it is typed.
pub fn said(name: &Ident) -> String {
    TableRef { schema: None, name: name.clone() }.to_string()
}

/// The same command without a name that the wanted shape leaves to PostgreSQL.
fn unless_said(mut words: Words, name: &Ident, wanted: &Wanted) -> Words {
    if let Some(at) = words.windows(2).position(|two| two == ["--method", "btree"]) {
        words.drain(at..at + 2);
    }
    if !wanted.says(name)
        && let Some(at) = words.iter().position(|word| word == "--name")
    {
        words.drain(at..at + 2);
    }
    words
}

fn ruled(table: &TableName, rule: &Constraint, wanted: &Wanted) -> Option<Words> {
    if let Some(check) = checked(rule) {
        let mut all = words(["add-check", &table.reference().to_string(), &check.bare().to_string()]);
        all.extend(["--name".to_owned(), said(&rule.name)]);
        return Some(unless_said(all, &rule.name, wanted));
    }
    if let ConstraintKind::Foreign(key) = &rule.kind {
        return Some(unless_said(referring(table, rule, key, wanted), &rule.name, wanted));
    }
    let text = format!("ALTER TABLE {} ADD CONSTRAINT {} {}", table.reference().sql(), rule.name, rule.definition);
    Some(unless_said(of_statement(&text)?.into_iter().next()?, &rule.name, wanted))
}

fn referring(table: &TableName, rule: &Constraint, key: &ForeignKey, wanted: &Wanted) -> Words {
    let mut all = words(["add-foreign-key", &table.reference().to_string()]);
    all.extend(rule.fields.iter().map(said));
    let far = key.table.reference().to_string();
    let is_primary = wanted.schema.tables.get(&key.table).is_some_and(|t| primary(t) == key.fields);
    let fields: Vec<String> = key.fields.iter().map(said).collect();
    all.extend(words(["--references", &if is_primary { far } else { format!("{far}({})", fields.join(",")) }]));
    for (option, letter) in [("--on-delete", key.on_delete), ("--on-update", key.on_update)] {
        if letter != 'a' {
            all.extend(words([option, action(letter)]));
        }
    }
    all.extend(deferrable(rule).map(str::to_owned));
    all.extend(["--name".to_owned(), said(&rule.name)]);
    all
}

/// As the options of foreign keys say it.
fn action(letter: char) -> &'static str {
    match letter {
        'r' => "restrict",
        'c' => "cascade",
        'n' => "set-null",
        'd' => "set-default",
        _ => "no-action",
    }
}

fn deferrable(rule: &Constraint) -> Option<&'static str> {
    let when = if rule.deferred { "--deferrable=initially-deferred" } else { "--deferrable=initially-immediate" };
    rule.deferrable.then_some(when)
}

fn changed(table: &TableName, rule: &Constraint, to: &Constraint, wanted: &Wanted) -> Option<Vec<Words>> {
    let (ConstraintKind::Foreign(is), ConstraintKind::Foreign(should)) = (&rule.kind, &to.kind) else {
        let drop = words(["drop-constraint", &table.reference().to_string(), &said(&rule.name)]);
        return Some(vec![drop, ruled(table, to, wanted)?]);
    };
    let mut all = words(["change-foreign-key", &place(table, &rule.name)]);
    if is.on_delete != should.on_delete {
        all.extend(words(["--on-delete", action(should.on_delete)]));
    }
    if is.on_update != should.on_update {
        all.extend(words(["--on-update", action(should.on_update)]));
    }
    if (rule.deferrable, rule.deferred) != (to.deferrable, to.deferred) {
        all.push(deferrable(to).unwrap_or("--not-deferrable").to_owned());
    }
    Some(vec![all])
}

fn added(table: &TableName, new: &Field, wanted: &Wanted) -> Option<Words> {
    let at = place(table, &new.name);
    let is_key = wanted.schema.tables.get(table).is_some_and(|t| is_key(t, &new.name));
    if let Some(generated) = &new.generated {
        return Some(words(["add-calculated", &at, &new.type_name, &plain(&generated.expression)]));
    }
    if numbering(new) != "none" {
        return is_key.then(|| words(["add-surrogate-key", &at, "--type", &new.type_name]));
    }
    let mut all = words(["add-field", &at, &new.type_name]);
    all.extend(new.default.iter().flat_map(|value| ["--default".to_owned(), self::value(value, &new.type_name)]));
    all.extend(new.collation.iter().flat_map(|value| ["--collation".to_owned(), value.clone()]));
    if new.not_null {
        all.push("--not-null".to_owned());
    }
    Some(all)
}

/// Whether a field alone is the primary key.
pub fn is_key(table: &Table, field: &Ident) -> bool {
    table.constraints.iter().any(|c| c.kind == ConstraintKind::Primary && c.fields == std::slice::from_ref(field))
}

/// A new table with all its rules, but for foreign keys to what is not there yet.
fn created(table: &TableName, now: &Schema, wanted: &Wanted) -> Option<Words> {
    let there = wanted.schema.tables.get(table)?;
    let mut all = words(["create-table", &table.reference().to_string()]);
    for one in &there.fields {
        let numbered = numbering(one) == "serial";
        let plain = Field { sequence: None, ..one.clone() };
        all.push(if numbered {
            let identity = Some(crate::schema::Identity::ByDefault);
            Field { default: None, identity, ..plain }.definition()
        } else {
            plain.definition()
        });
    }
    for rule in there.constraints.iter().filter(|c| c.kind != ConstraintKind::NotNull) {
        if let ConstraintKind::Foreign(key) = &rule.kind {
            let known = now.tables.get(&key.table).is_some_and(|t| key.fields.iter().all(|f| field(t, f).is_some()));
            if !known && key.table != *table {
                continue;
            }
        }
        let definition = rule.definition.trim_end_matches(" NOT VALID");
        all.push(if wanted.says(&rule.name) {
            format!("CONSTRAINT {} {definition}", rule.name)
        } else {
            definition.to_owned()
        });
    }
    Some(all)
}
