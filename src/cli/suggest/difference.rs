//! In what two shapes differ, item by item. Names of rules and indexes count where the wanted shape says them itself.

use std::collections::BTreeSet;

use crate::name::{FieldRef, Ident, TableName};
use crate::relation::checked;
use crate::schema::{Constraint, ConstraintKind, Field, Identity, Index, Schema, Table};
use crate::sql::Expression;
use crate::sql::code::has_word;
use crate::sql::type_names::typed_constant;

/// One thing in which they differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The table.
    pub table: TableName,
    /// The field, if it is about one.
    pub field: Option<Ident>,
    /// What.
    pub kind: Kind,
}

/// What differs.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The wanted shape has this table.
    TableMissing,
    /// It does not have this table.
    TableExtra,
    /// It has this field.
    FieldMissing,
    /// It does not have this field.
    FieldExtra,
    /// The field has another type or collation there.
    Type,
    /// One of both allows NULL.
    NotNull,
    /// Another default.
    Default,
    /// What numbers the field is another.
    Numbering,
    /// What computes the field is another.
    Generated,
    /// It has this rule.
    RuleMissing(Constraint),
    /// It does not have this rule.
    RuleExtra(Constraint),
    /// The rule does something else there.
    RuleChanged(Constraint, Constraint),
    /// The rule or index has another name there.
    Renamed(Ident, Ident),
    /// It has this index.
    IndexMissing(Index),
    /// It does not have this index.
    IndexExtra(Index),
    /// Another comment; on a rule or an index, if one is named.
    Comment(Option<(bool, Ident)>, Option<String>),
    /// The same fields in another order.
    Order(Vec<Ident>),
}

/// The wanted shape.
#[derive(Debug)]
pub struct Wanted {
    /// Its tables.
    pub schema: Schema,
    /// As it is written.
    pub text: String,
    /// Whether it speaks of comments at all.
    pub comments: bool,
}

impl Wanted {
    /// Whether its text says a name itself; others PostgreSQL has chosen.
    pub fn says(&self, name: &Ident) -> bool {
        has_word(&self.text, name.as_str())
    }
}

impl Difference {
    /// How far apart that is.
    pub fn weight(&self, wanted: &Schema, now: &Schema) -> usize {
        let fields = |schema: &Schema| schema.tables.get(&self.table).map_or(1, |t| t.fields.len());
        match self.kind {
            Kind::TableMissing => 6 + 4 * fields(wanted),
            Kind::TableExtra => 6 + 4 * fields(now),
            Kind::FieldMissing | Kind::FieldExtra => 6,
            Kind::Type | Kind::Numbering | Kind::Generated => 4,
            Kind::RuleMissing(_) | Kind::RuleExtra(_) | Kind::IndexMissing(_) | Kind::IndexExtra(_) => 3,
            Kind::NotNull | Kind::Default | Kind::RuleChanged(..) => 2,
            Kind::Renamed(..) | Kind::Comment(..) | Kind::Order(_) => 1,
        }
    }

    /// In words, with both sides.
    pub fn sentence(&self, now: &Schema, wanted: &Schema) -> String {
        let table = self.table.short();
        let place = self.field.as_ref().map_or_else(
            || table.clone(),
            |field| FieldRef { table: self.table.reference(), field: field.clone() }.to_string(),
        );
        let both = |what: &str, of: &dyn Fn(&Field) -> String| {
            let side = |schema: &Schema| self.field_in(schema).map_or_else(|| "none".to_owned(), of);
            format!("`{place}` has {what} `{}`, wanted is `{}`", side(now), side(wanted))
        };
        let none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
        match &self.kind {
            Kind::TableMissing => format!("table `{table}` is missing"),
            Kind::TableExtra => format!("table `{table}` is not wanted"),
            Kind::FieldMissing => format!("field `{place}` is missing"),
            Kind::FieldExtra => format!("field `{place}` is not wanted"),
            Kind::Type => both("the type", &|f| format!("{}{}", f.type_name, f.collate())),
            Kind::NotNull => both("the rule", &|f| if f.not_null { "NOT NULL".into() } else { "NULL allowed".into() }),
            Kind::Default => both("the default", &|f| none(&f.default)),
            Kind::Numbering => both("the numbering", &|f| numbering(f).to_owned()),
            Kind::Generated => both("the expression", &|f| none(&f.generated.as_ref().map(|g| g.expression.clone()))),
            Kind::RuleMissing(rule) => format!("`{table}` lacks the rule `{}`: {}", rule.name, rule.definition),
            Kind::RuleExtra(rule) => format!("`{table}` has the rule `{}`, not wanted: {}", rule.name, rule.definition),
            Kind::RuleChanged(rule, to) => {
                format!("rule `{}` of `{table}` is `{}`, wanted is `{}`", rule.name, rule.definition, to.definition)
            }
            Kind::Renamed(from, to) => format!("`{from}` of `{table}` is called `{to}` there"),
            Kind::IndexMissing(index) => format!("`{table}` lacks the index `{}`: {}", index.name, index.definition),
            Kind::IndexExtra(index) => format!("`{table}` has the index `{}`, not wanted", index.name),
            Kind::Comment(..) => format!("`{place}` has another comment"),
            Kind::Order(_) => format!("the fields of `{table}` stand in another order"),
        }
    }

    /// The field in one of both.
    pub fn field_in<'s>(&self, schema: &'s Schema) -> Option<&'s Field> {
        field(schema.tables.get(&self.table)?, self.field.as_ref()?)
    }
}

/// A field of a table.
pub fn field<'t>(table: &'t Table, name: &Ident) -> Option<&'t Field> {
    table.fields.iter().find(|f| f.name == *name)
}

/// What numbers a field.
pub fn numbering(field: &Field) -> &'static str {
    match (field.identity, &field.sequence) {
        (Some(Identity::Always), _) => "GENERATED ALWAYS AS IDENTITY",
        (Some(Identity::ByDefault), _) => "GENERATED BY DEFAULT AS IDENTITY",
        (None, Some(sequence)) if field.draws_from(sequence) => "serial",
        _ => "none",
    }
}

/// Tables that are compared: no partitions, nothing of an extension.
pub fn is_compared(table: &Table) -> bool {
    table.partition_of.is_none() && table.extension.is_none()
}

/// All in which a shape differs from the wanted one.
pub fn differences(now: &Schema, wanted: &Wanted, texts: Texts) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, table) in now.tables.iter().filter(|(_, t)| is_compared(t)) {
        match wanted.schema.tables.get(name).filter(|t| is_compared(t)) {
            Some(there) => of_table(name, (table, there), wanted, texts, &mut found),
            None => found.push(Difference { table: name.clone(), field: None, kind: Kind::TableExtra }),
        }
    }
    let missing = wanted.schema.tables.iter().filter(|(n, t)| is_compared(t) && !now.tables.contains_key(*n));
    found.extend(missing.map(|(n, _)| Difference { table: n.clone(), field: None, kind: Kind::TableMissing }));
    found
}

/// How far apart they are.
pub fn distance(differences: &[Difference], now: &Schema, wanted: &Wanted) -> usize {
    differences.iter().map(|d| d.weight(&wanted.schema, now)).sum()
}

fn of_table(
    name: &TableName,
    (now, there): (&Table, &Table),
    wanted: &Wanted,
    texts: Texts,
    found: &mut Vec<Difference>,
) {
    let mut push = |field: Option<&Ident>, kind: Kind| {
        found.push(Difference { table: name.clone(), field: field.cloned(), kind });
    };
    for one in &now.fields {
        let Some(other) = field(there, &one.name) else {
            push(Some(&one.name), Kind::FieldExtra);
            continue;
        };
        let at = Some(&one.name);
        if one.type_name != other.type_name || one.collation != other.collation {
            push(at, Kind::Type);
        }
        if one.not_null != other.not_null {
            push(at, Kind::NotNull);
        }
        if numbering(one) != numbering(other) {
            push(at, Kind::Numbering);
        } else if numbering(one) == "none" && default(one, texts) != default(other, texts) {
            push(at, Kind::Default);
        }
        let expression = |f: &Field| f.generated.as_ref().map(|g| texts.of(&g.expression));
        if expression(one) != expression(other) {
            push(at, Kind::Generated);
        }
        if wanted.comments && one.comment != other.comment {
            push(at, Kind::Comment(None, other.comment.clone()));
        }
    }
    for missing in there.fields.iter().filter(|f| field(now, &f.name).is_none()) {
        push(Some(&missing.name), Kind::FieldMissing);
    }
    rules((now, there), wanted, texts, &mut push);
    indexes((now, there), wanted, texts, &mut push);
    if wanted.comments && now.comment != there.comment {
        push(None, Kind::Comment(None, there.comment.clone()));
    }
    let names = |t: &Table| t.fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
    let (mine, theirs) = (names(now), names(there));
    if mine != theirs && mine.iter().collect::<BTreeSet<_>>() == theirs.iter().collect() {
        push(None, Kind::Order(theirs));
    }
}

fn default(field: &Field, texts: Texts) -> Option<String> {
    field.default.as_ref().map(|d| texts.of(&typed_constant(d, &field.type_name)))
}

/// An expression without what PostgreSQL adds when it prints it, for shapes that it has not printed yet.
fn bare(text: &str) -> String {
    let parsed = Expression::parse(text).map(|e| e.simplified().bare().to_string());
    squeezed(&parsed.unwrap_or_else(|_| text.to_owned()))
        .replace("::text", "")
        .replace("::charactervarying", "")
        .replace("::integer", "")
        .replace("::numeric", "")
}

/// A text in small letters without spaces and brackets, but for what stands between quotes.
fn squeezed(text: &str) -> String {
    let mut quoted = false;
    let mut kept = String::new();
    for c in text.chars() {
        quoted ^= c == '\'';
        if quoted || c == '\'' {
            kept.push(c);
        } else if !c.is_whitespace() && c != '(' && c != ')' {
            kept.extend(c.to_lowercase());
        }
    }
    kept
}

/// How texts of SQL are compared.
#[derive(Clone, Copy)]
pub enum Texts {
    /// Both were printed by PostgreSQL.
    Printed,
    /// One is as it was written, or folded.
    Folded,
}

impl Texts {
    fn of(self, text: &str) -> String {
        match self {
            Self::Printed => text.to_owned(),
            Self::Folded => bare(text),
        }
    }

    fn of_tail(self, text: &str) -> String {
        match self {
            Self::Printed => text.to_owned(),
            Self::Folded => squeezed(text).replace('\'', ""),
        }
    }
}

/// What a rule demands, without its name and what it does when it is broken.
fn demand(rule: &Constraint, texts: Texts) -> (u8, Vec<Ident>, String) {
    let (kind, text) = match &rule.kind {
        ConstraintKind::Primary => (0, String::new()),
        ConstraintKind::Unique => (1, if rule.definition.contains("NULLS NOT DISTINCT") { "n" } else { "" }.into()),
        ConstraintKind::Check => (2, checked(rule).map_or(rule.definition.clone(), |e| texts.of(&e.to_string()))),
        ConstraintKind::Exclude => (3, texts.of(&rule.definition)),
        ConstraintKind::Foreign(key) => {
            let fields: Vec<String> = key.fields.iter().map(ToString::to_string).collect();
            (4, format!("{} {}", key.table, fields.join(",")))
        }
        ConstraintKind::NotNull => (5, String::new()),
    };
    let fields = if kind == 2 { Vec::new() } else { rule.fields.clone() };
    (kind, fields, text)
}

/// What it does besides.
fn manner(rule: &Constraint) -> (bool, bool, Option<(char, char, bool)>) {
    let actions = match &rule.kind {
        ConstraintKind::Foreign(key) => Some((key.on_update, key.on_delete, key.match_full)),
        _ => None,
    };
    (rule.deferrable, rule.deferred, actions)
}

/// Takes one that is the same out of a list, best with the same name.
fn take<T>(mine: &mut Vec<T>, same: impl Fn(&T) -> bool, is_named_so: impl Fn(&T) -> bool) -> Option<T> {
    let at = mine.iter().position(|one| same(one) && is_named_so(one)).or_else(|| mine.iter().position(same))?;
    Some(mine.remove(at))
}

/// The name and comment of a rule, or of an index, where the shape that is wanted says others.
fn called(
    (is_rule, name, comment): (bool, &Ident, &Option<String>),
    (new_name, new_comment): (&Ident, &Option<String>),
    wanted: &Wanted,
    push: &mut impl FnMut(Option<&Ident>, Kind),
) {
    if name != new_name && wanted.says(new_name) {
        push(None, Kind::Renamed(name.clone(), new_name.clone()));
    }
    if wanted.comments && comment != new_comment {
        push(None, Kind::Comment(Some((is_rule, name.clone())), new_comment.clone()));
    }
}

fn rules((now, there): (&Table, &Table), wanted: &Wanted, texts: Texts, push: &mut impl FnMut(Option<&Ident>, Kind)) {
    let own = |t: &Table| {
        t.constraints.iter().filter(|c| !c.inherited && c.kind != ConstraintKind::NotNull).cloned().collect::<Vec<_>>()
    };
    let mut mine = own(now);
    for rule in own(there) {
        let same = |c: &Constraint| demand(c, texts) == demand(&rule, texts);
        let Some(one) = take(&mut mine, same, |c| c.name == rule.name) else {
            push(None, Kind::RuleMissing(rule));
            continue;
        };
        called((true, &one.name, &one.comment), (&rule.name, &rule.comment), wanted, push);
        if manner(&one) != manner(&rule) {
            push(None, Kind::RuleChanged(one, rule));
        }
    }
    for rule in mine {
        push(None, Kind::RuleExtra(rule));
    }
}

/// All that stands after USING, and before it what matters.
fn tail(index: &Index) -> &str {
    index.definition.split_once(" USING ").map_or(&*index.definition, |(_, tail)| tail)
}

fn indexes((now, there): (&Table, &Table), wanted: &Wanted, texts: Texts, push: &mut impl FnMut(Option<&Ident>, Kind)) {
    let own = |t: &Table| {
        t.indexes.iter().filter(|i| i.constraint.is_none() && !i.inherited && i.valid).cloned().collect::<Vec<_>>()
    };
    let mut mine = own(now);
    for index in own(there) {
        let same = |i: &Index| i.unique == index.unique && texts.of_tail(tail(i)) == texts.of_tail(tail(&index));
        let Some(one) = take(&mut mine, same, |i| i.name == index.name) else {
            push(None, Kind::IndexMissing(index));
            continue;
        };
        called((false, &one.name, &one.comment), (&index.name, &index.comment), wanted, push);
    }
    for index in mine {
        push(None, Kind::IndexExtra(index));
    }
}
