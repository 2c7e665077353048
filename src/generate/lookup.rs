//! Fields told by a row of another table: how they are read and written, and what keeps both tables in step.

use askama::Template;

use crate::generate::beside::{Beside, READ, SOME};
use crate::generate::carry::{guarded, rewritten, trigger};
use crate::generate::kept::{self, is_kept, kept_by, kept_in};
use crate::generate::put::rewrites;
use crate::generate::{self, Piece, all, comment, each_of, equal, has, identity, is, list, own, rights};
use crate::name::{Ident, TableName, equality};
use crate::relation::{Home, Relation, row_key};
use crate::schema::kind::Kind;
use crate::sql::Literal;
use crate::version::{Compared, Lookup, Missing, Only, Unlisted, Version};

/// The function that finds the row of the other table for what is written.
#[must_use]
pub fn finder(lookup: &Lookup) -> TableName {
    own(&["find", lookup.id.as_str()])
}

/// The value of a field for the row `row` of the table.
#[must_use]
pub fn get(lookup: &Lookup, member: usize, row: &str) -> String {
    looked_up(lookup, member, &each_of(row, &lookup.columns), &is_kept(row, kept_by(lookup)))
}

/// Whether the writes of a relation look something up.
#[must_use]
pub fn any(version: &Version, relation: &Relation) -> bool {
    (0..version.lookups.len()).any(|at| !names(version, relation, at).is_empty())
}

/// The fields of a relation that one lookup is about. With a natural key they are stored where they are, and looked up
/// only to be sure that the other table has them.
fn names<'r>(version: &Version, relation: &'r Relation, at: usize) -> Vec<(usize, &'r Ident)> {
    let lookup = &version.lookups[at];
    if !lookup.is_natural() {
        let member = |i: usize| Some((i, relation.fields.iter().find(|f| f.home == Home::Looked(at, i))?));
        return (0..lookup.shows.len()).filter_map(member).map(|(i, f)| (i, &f.shape.name)).collect();
    }
    if lookup.table != relation.base {
        return Vec::new();
    }
    let shown = lookup.columns.iter().enumerate();
    let shown = shown.filter_map(|(i, c)| Some((i, relation.showing(&version.schema, c)?)));
    shown.map(|(i, f)| (i, &f.shape.name)).collect()
}

/// What a field that is shown no more gets in a new row.
fn left(lookup: &Lookup, member: usize) -> String {
    let said = lookup.left.iter().find(|(at, _)| *at == member).map(|(_, value)| value.to_string());
    match said.or_else(|| without(lookup, member)) {
        Some(value) => format!("({value})::{}", lookup.types[member]),
        None => format!("NULL::{}", lookup.types[member]),
    }
}

/// What a row of the other table tells of one field, or what is told where there is none: without the complement.
#[must_use]
pub fn told(lookup: &Lookup, member: usize, row: &str) -> String {
    let bare = Lookup { kept: Vec::new(), ..lookup.clone() };
    looked_up(&bare, member, &each_of(row, &lookup.columns), "")
}

fn looked_up(lookup: &Lookup, member: usize, stored: &[String], is_kept: &str) -> String {
    let (shows, other, found) = (&lookup.shows[member], &lookup.other, found(lookup, "o", stored));
    let kept = lookup.kept.iter().filter(|k| k.member == member);
    let kept =
        kept.map(|k| format!("\n    UNION ALL SELECT x.refactor_value FROM {} AS x WHERE {is_kept}", kept_in(k)));
    let without = without(lookup, member).map(|value| format!("\n    UNION ALL SELECT {value}"));
    let others: String = kept.chain(without).collect();
    if others.is_empty() {
        return format!("(SELECT o.{shows} FROM {other} AS o WHERE {found})");
    }
    format!("(SELECT s.v FROM (SELECT o.{shows} AS v FROM {other} AS o WHERE {found}{others}) AS s LIMIT 1)")
}

/// What a field is where nothing is found, if not NULL.
fn without(lookup: &Lookup, member: usize) -> Option<String> {
    let (Missing::Part { absent, .. } | Missing::Make { absent, .. }) = &lookup.missing else { return None };
    absent.get(member)?.as_ref().map(|value| format!("({value})::{}", lookup.types[member]))
}

/// `t.a = x AND (t.b = y OR t.b IS NULL AND y IS NULL)`: whether the row `t` of the other table is found by `stored`.
pub(super) fn found(lookup: &Lookup, t: &str, stored: &[String]) -> String {
    let always = lookup.always.iter().map(|(c, value)| is(t, c, value));
    let there = matched(t, &lookup.found_by, stored, &lookup.compared);
    all(&[there].into_iter().chain(always).collect::<Vec<_>>())
}

/// Whether values that are logged of the other table lead to the row `row`: whatever else is asked of both.
pub(super) fn leads(lookup: &Lookup, log: &str, logged: &[Ident], row: &str) -> String {
    matched(log, logged, &each_of(row, &lookup.columns), &lookup.compared)
}

/// Whether a row has values in its columns. Where all are NULL they say nothing.
pub(super) fn matched(row: &str, columns: &[Ident], other: &[String], compared: &[Compared]) -> String {
    let each = columns.iter().zip(other).zip(compared).map(|((c, value), compared)| same(row, c, value, *compared));
    let some = compared.iter().all(|c| c.null_safe).then(|| something(other, compared));
    all(&each.chain(some).collect::<Vec<_>>())
}

/// Whether a row has a value in a column, in a way that an index can answer.
fn same(row: &str, column: &Ident, value: &str, compared: Compared) -> String {
    let (stored, value_looks) = (format!("{row}.{column}"), look(value, compared));
    let equal = if compared.as_text { "OPERATOR(pg_catalog.=)".to_owned() } else { equality(&[column]) };
    let equal = format!("{} {equal} {value_looks}", look(&stored, compared));
    if compared.null_safe {
        format!("({equal} OR ({} AND {}))", no(&stored, compared), no(value, compared))
    } else {
        equal
    }
}

/// That there is no value.
fn no(value: &str, compared: Compared) -> String {
    generate::null(value, Kind { composite: compared.as_rows, ..Kind::default() })
}

/// What of a value is compared.
fn look(value: &str, compared: Compared) -> String {
    identity(value, !compared.as_text)
}

/// The same of several.
pub(super) fn looks(values: &[String], compared: &[Compared]) -> Vec<String> {
    values.iter().zip(compared).map(|(value, compared)| look(value, *compared)).collect()
}

/// Whether NULL is a value in one of them.
fn knows_null(compared: &[Compared]) -> bool {
    compared.iter().any(|c| c.null_safe)
}

/// The same as a join for the row `b`, and the value: for reading all rows.
#[must_use]
pub fn joined(lookup: &Lookup, at: usize, member: usize) -> (Option<String>, String) {
    if knows_null(&lookup.compared) || lookup.kept.iter().any(|k| k.member == member) {
        return (None, get(lookup, member, "b"));
    }
    let t = format!("l{at}");
    let stored: Vec<String> = lookup.columns.iter().map(|c| format!("b.{c}")).collect();
    let join = format!("\n  LEFT JOIN {} AS {t} ON {}", lookup.other, found(lookup, &t, &stored));
    let value = format!("{t}.{}", lookup.shows[member]);
    let value = match without(lookup, member) {
        None => value,
        Some(without) => format!("CASE WHEN {t}.{} IS NULL THEN {without} ELSE {value} END", lookup.found_by[0]),
    };
    (Some(join), value)
}

/// Values that lead nowhere.
fn none(lookup: &Lookup, values: &[String]) -> String {
    let null = null(lookup, values);
    match &lookup.only {
        None => null,
        Some(only) => format!("{null} OR ({}) IS NOT TRUE", holds(lookup, only, values)),
    }
}

/// The same of NULL alone.
fn null(lookup: &Lookup, values: &[String]) -> String {
    let nulls: Vec<String> = values.iter().zip(&lookup.compared).map(|(v, compared)| no(v, *compared)).collect();
    if knows_null(&lookup.compared) { all(&nulls) } else { nulls.join(" OR ") }
}

/// Whether values are such that lead somewhere.
fn holds(lookup: &Lookup, only: &Only, values: &[String]) -> String {
    only.holds.with(&lookup.columns.iter().cloned().zip(values.iter().cloned()).collect())
}

/// What a column gets that says: none. A value that would lead somewhere after all is none; then it is NULL, which the
/// column refuses.
fn nothing_to_store(lookup: &Lookup, only: &Only, at: usize) -> String {
    let none: Vec<String> =
        only.none.iter().map(|v| v.as_ref().map_or_else(|| "NULL".into(), |v| format!("({v})"))).collect();
    format!("CASE WHEN {} THEN NULL ELSE {} END", holds(lookup, only, &none), none[at])
}

/// Whether values say something: none is NULL, or not all where NULL is a value beside others.
pub(super) fn something(values: &[String], compared: &[Compared]) -> String {
    if knows_null(compared) {
        return format!("pg_catalog.num_nonnulls({}) > 0", list(values));
    }
    let given = |(value, compared): (&String, &Compared)| {
        generate::given(value, Kind { composite: compared.as_rows, ..Kind::default() })
    };
    all(&values.iter().zip(compared).map(given).collect::<Vec<_>>())
}

fn row(values: &[String]) -> String {
    format!("ROW({})", list(values))
}

/// Two writers of the same values wait for one another.
fn lock_key(lookup: &Lookup, values: &[String]) -> String {
    let texts: Vec<String> = values.iter().map(|v| format!("coalesce({v}::text, '')")).collect();
    format!("concat_ws('/', {}, {})", Literal(lookup.other.to_string()), list(&texts))
}

/// The part of a put-back that one lookup adds.
pub struct Put {
    /// Its variable.
    pub variable: String,
    /// The variable's type.
    pub row_type: TableName,
    /// Finds the row for an insert.
    pub on_insert: String,
    /// Whether an update writes its fields.
    pub changed: String,
    /// Finds the row for an update.
    pub on_update: String,
    /// What must be read of the row before: ` , b.c AS look_0_1`.
    pub before: String,
    /// Each column with its value on insert and on update.
    pub columns: Vec<(Ident, String, String)>,
    /// Locks the other table's row whose values this statement has seen and changes.
    pub lock: Option<String>,
    /// Whether the values are others than the statement has seen.
    pub stale: Vec<String>,
    /// What is done once the row itself is written, the row `r`.
    pub after: String,
    /// What is done before the row is deleted.
    pub take_away: Option<String>,
}

/// How one lookup's fields are written through a relation.
#[must_use]
pub fn put(version: &Version, relation: &Relation, at: usize, this_row: &str) -> Option<Put> {
    let lookup = &version.lookups[at];
    let names = names(version, relation, at);
    if names.is_empty() {
        return None;
    }
    let natural = lookup.is_natural();
    let part = matches!(lookup.missing, Missing::Part { .. });
    let given = |row: &str| names.iter().map(|(_, n)| format!("{row}.{n}")).collect::<Vec<_>>();
    // Whoever does not see a field leaves it as it is.
    let all_given = |otherwise: &dyn Fn(usize) -> String| {
        let one = |i: usize| match names.iter().find(|(at, _)| *at == i) {
            Some((_, n)) => format!("NEW.{n}"),
            None => otherwise(i),
        };
        (0..lookup.shows.len()).map(one).collect::<Vec<_>>()
    };
    let alias = |i: usize| format!("look_{at}_{}", i + 1);
    let make = matches!(lookup.missing, Missing::Make { .. });
    let theirs = (make || part) && !natural;
    let current: Vec<String> = (0..lookup.columns.len()).map(|i| format!("now.{}", alias(i))).collect();
    let nothing: Vec<String> = lookup.columns.iter().map(|_| "NULL".to_owned()).collect();
    let key: Vec<Ident> = (1..=kept_by(lookup).len()).map(|i| Ident::new(format!("look_{at}_key_{i}"))).collect();
    let kept_now = is_kept("now", &key);
    let with =
        |given: Vec<String>, more: &[String]| list(&[given, if make { more.to_vec() } else { Vec::new() }].concat());
    let variable = format!("look_{at}");
    let changed = format!("pg_catalog.record_image_ne({}, {})", row(&given("NEW")), row(&given("OLD")));
    let written = lookup.columns.iter().zip(&lookup.found_by).enumerate().filter(|_| !natural && !part);
    let columns = written.map(|(i, (column, found))| {
        let found = format!("{variable}.{found}");
        let value = match lookup.only.as_ref().filter(|only| only.none[i].is_some()) {
            None => found,
            Some(only) => {
                format!("CASE WHEN {found} IS NULL THEN {} ELSE {found} END", nothing_to_store(lookup, only, i))
            }
        };
        (column.clone(), value.clone(), format!("CASE WHEN {changed} THEN {value} ELSE b.{column} END"))
    });
    let looked = |given: Vec<String>, more: &[String]| {
        if part { String::new() } else { format!("{variable} := {}({});", finder(lookup), with(given, more)) }
    };
    // A part that is there keeps what nobody sees; a new one gets what was said.
    let of_part = |i: usize| {
        let is_there = equal("t", &lookup.found_by, "r", &lookup.columns);
        let always = lookup.always.iter().map(|(c, value)| format!(" AND {}", is("t", c, value))).collect::<String>();
        format!(
            "(SELECT s.v FROM (SELECT t.{} AS v FROM {} AS t WHERE {is_there}{always} UNION ALL SELECT {}) AS s LIMIT 1)",
            lookup.shows[i],
            lookup.other,
            left(lookup, i)
        )
    };
    let this = if natural { given("NEW") } else { all_given(&of_part) };
    let this = [each_of("r", &lookup.columns), this].concat();
    let is_part = equal("t", &lookup.found_by, "b", &lookup.columns);
    let find_part = part.then(|| format!("{variable} := {}({});", finder(lookup), list(&this)));
    let is_over =
        lookup.kept.iter().map(|k| format!("DELETE FROM {} AS x WHERE {};", kept_in(k), is_kept("r", &k.key)));
    let rewritten = rewrites(&version.schema.tables[&lookup.other]) && theirs;
    let again = rewritten.then(|| {
        let each = names.iter().map(|(i, n)| format!("NEW.{n} := {variable}.{};", lookup.shows[*i]));
        format!("IF {variable}.{} IS NOT NULL THEN {} END IF;", lookup.found_by[0], each.collect::<Vec<_>>().join(" "))
    });
    // What a trigger of the table stores leads to another row than the one that was given.
    let stored_otherwise = rewrites(&version.schema.tables[&lookup.table]) && !theirs && !natural && !part;
    let again = again.or_else(|| {
        let now = |i: usize| looked_up(lookup, i, &each_of("r", &lookup.columns), "");
        let each = names.iter().map(|(i, n)| format!("NEW.{n} := {};", now(*i)));
        stored_otherwise.then(|| each.collect::<Vec<_>>().join(" "))
    });
    let seen = lookup.columns.iter().enumerate().map(|(i, c)| format!(", b.{c} AS {}", alias(i)));
    let seen = seen.chain(kept_by(lookup).iter().zip(&key).map(|(column, key)| format!(", b.{column} AS {key}")));
    Some(Put {
        after: find_part.into_iter().chain(again).chain(is_over).collect::<Vec<_>>().join(" "),
        // A foreign key's action would come at the end of the statement, which may have put the row back by then.
        take_away: part.then(|| {
            format!("DELETE FROM {} AS t USING {} AS b WHERE {this_row} AND {is_part};", lookup.other, lookup.table)
        }),
        on_insert: looked(if natural { given("NEW") } else { all_given(&|i| left(lookup, i)) }, &nothing),
        on_update: looked(
            if natural { given("NEW") } else { all_given(&|i| looked_up(lookup, i, &current, &kept_now)) },
            &current,
        ),
        before: if make || part { seen.collect() } else { String::new() },
        columns: columns.collect(),
        lock: theirs.then(|| lock(lookup, &changed, this_row)),
        stale: if theirs {
            let now = names.iter().map(|(i, _)| looked_up(lookup, *i, &current, &kept_now)).collect::<Vec<_>>();
            vec![format!("pg_catalog.record_image_ne({}, {})", row(&now), row(&given("OLD")))]
        } else {
            Vec::new()
        },
        row_type: lookup.other.clone(),
        variable,
        changed,
    })
}

/// Locks the row of the other table that `b` shows.
fn lock(lookup: &Lookup, changed: &str, this_row: &str) -> String {
    let (table, other) = (&lookup.table, &lookup.other);
    let is_far = found(lookup, "t", &each_of("b", &lookup.columns));
    let row = format!("PERFORM 1 FROM {table} AS b JOIN {other} AS t ON {is_far} WHERE {this_row}");
    if matches!(lookup.missing, Missing::Part { .. }) {
        return format!("{row} FOR UPDATE OF t;");
    }
    // Only whoever alone refers to the row may change it; where many do, nobody locks it alone.
    let refers = found(lookup, "t", &each_of("o", &lookup.columns));
    let alone = format!("(SELECT pg_catalog.count(*) FROM (SELECT FROM {table} AS o WHERE {refers} LIMIT 2) AS q) < 2");
    format!("IF {changed} THEN {row} AND {alone} FOR UPDATE OF t; END IF;\n  {row} FOR SHARE OF t;")
}

#[derive(Template)]
#[template(path = "find.sql", escape = "none")]
struct Finder {
    find: TableName,
    args: String,
    other: TableName,
    table: TableName,
    path: String,
    make: bool,
    shown: bool,
    own: bool,
    none: String,
    is_now: String,
    now_row: String,
    given_row: String,
    shown_row: String,
    lock_key: String,
    equal: String,
    order: String,
    refers_to_now: String,
    sets: String,
    shows: String,
    given: String,
    schema_literal: Literal,
    table_literal: Literal,
    constraint: Literal,
    message: Literal,
    detail: String,
    no_values: String,
    nameless: Literal,
    /// The key, where a new row gets it by itself.
    numbered: String,
    required: Vec<Required>,
    all_or_none: Literal,
    comment: Literal,
}

/// What a row that is made must have.
struct Required {
    value: String,
    column: Literal,
    message: Literal,
}

/// What a new row of the other table gets where nobody looks any more: the columns, and the values.
fn left_behind(version: &Version, lookup: &Lookup) -> (Vec<Ident>, Vec<String>) {
    let all = version.left_behind(&lookup.other).into_iter();
    let unseen = all.filter(|(c, _)| !lookup.shows.contains(c) && !lookup.found_by.contains(c));
    unseen.map(|(column, value)| (column, value.to_string())).unzip()
}

#[derive(Template)]
#[template(path = "part.sql", escape = "none")]
struct Part {
    find: TableName,
    args: String,
    other: TableName,
    table: TableName,
    path: String,
    goes: bool,
    unique: bool,
    nothing: String,
    there: String,
    is_row: String,
    sets: String,
    columns: String,
    values: String,
    found_by: String,
    comment: Literal,
}

/// Makes, changes or deletes the row of the other table that is a part of one of this.
fn part(version: &Version, lookup: &Lookup, goes: bool) -> Result<String, askama::Error> {
    let fields = &version.schema.tables[&lookup.other].fields;
    let type_of = |c: &Ident| fields.iter().find(|f| f.name == *c).map(|f| f.type_name.clone()).unwrap_or_default();
    let numbered = |letter: &str, n: usize| (1..=n).map(|i| format!("{letter}{i}")).collect::<Vec<_>>();
    let (keys, given) = (numbered("k", lookup.columns.len()), numbered("s", lookup.shows.len()));
    let types = lookup.found_by.iter().map(type_of).chain(lookup.types.iter().cloned());
    let args: Vec<String> = keys.iter().chain(&given).zip(types).map(|(name, kind)| format!("{name} {kind}")).collect();
    let at = |row: &str, columns: &[Ident]| has(row, columns, &keys);
    let sets: Vec<String> = lookup.shows.iter().zip(&given).map(|(c, s)| format!("{c} = {s}")).collect();
    let (column, always): (Vec<Ident>, Vec<String>) = lookup.always.iter().cloned().unzip();
    let conflict = [&lookup.found_by[..], &column[..]].concat();
    let (behind, behind_values) = left_behind(version, lookup);
    let nothing: Vec<String> = lookup
        .types
        .iter()
        .enumerate()
        .map(|(member, kind)| without(lookup, member).unwrap_or_else(|| format!("NULL::{kind}")))
        .collect();
    Part {
        find: finder(lookup),
        args: list(&args),
        other: lookup.other.clone(),
        table: lookup.table.clone(),
        path: path(lookup),
        goes,
        unique: lookup.unique,
        nothing: format!("pg_catalog.record_image_eq({}, {})", row(&given), row(&nothing)),
        there: found(lookup, "t", &keys),
        is_row: at("b", &lookup.columns),
        sets: list(&sets),
        columns: list(&[&conflict[..], &lookup.shows[..], &behind[..]].concat()),
        values: list(&[&keys[..], &always[..], &given[..], &behind_values[..]].concat()),
        found_by: list(&conflict),
        comment: comment(&format!("{}: writes the part of a row that is in {}", lookup.step, lookup.other.short())),
    }
    .render()
}

#[derive(Template)]
#[template(path = "listed.sql", escape = "none")]
struct Listed {
    enters: bool,
    insert: bool,
    unique: bool,
    enter: TableName,
    leave: TableName,
    path: String,
    table: TableName,
    other: TableName,
    none: String,
    is_new: String,
    lock_key_new: String,
    found_by: String,
    new_values: String,
    changed: String,
    same_key: String,
    refers_to_old: String,
    refers_to_d: String,
    cascade: String,
    old_values: String,
    new_values_t: String,
    old_row: String,
    new_row: String,
    schema_literal: Literal,
    table_literal: Literal,
    other_schema_literal: Literal,
    other_table_literal: Literal,
    constraint: Literal,
    message: Literal,
    no_values: String,
    nameless: Literal,
    unlisted: Literal,
    hint: Literal,
    comment: Literal,
    trigger_insert: Ident,
    trigger_update: Ident,
    trigger_moved: Ident,
    trigger_left: Ident,
}

/// Helpers and table triggers of one lookup.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn companions(version: &Version, at: usize) -> Result<Piece, askama::Error> {
    let lookup = &version.lookups[at];
    let mut sql = match lookup.missing {
        Missing::Part { goes, .. } => part(version, lookup, goes)?,
        Missing::Make { .. } | Missing::Refuse(_) => find(version, lookup)?,
    };
    if let Missing::Refuse(constraint) = &lookup.missing {
        sql += "\n";
        sql += &listed(version, lookup, constraint)?;
        sql += "\n";
    }
    if !lookup.unique {
        sql += "\n";
        sql += &alone(lookup)?;
    }
    if !lookup.kept.is_empty() {
        sql += "\n";
        sql += &kept::over(lookup, &path(lookup))?;
    }
    let sql = guarded(version, &sql, &[&lookup.table, &lookup.other])
        + &rights::execute(&[finder(lookup)], &rights::finders(version, lookup));
    let title = format!("helpers and table triggers for {} ({})", quoted(&lookup.fields), lookup.step);
    Ok(Piece::new(title, sql))
}

fn quoted(names: &[Ident]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

fn path(lookup: &Lookup) -> String {
    let mut schemas = vec![&lookup.table.schema, &lookup.other.schema];
    schemas.dedup();
    let schemas: Vec<String> = schemas.iter().map(ToString::to_string).collect();
    format!("pg_catalog, {}, pg_temp", schemas.join(", "))
}

/// What the row that is made must have where a row of the table may have none, and how that is said.
fn required(version: &Version, lookup: &Lookup, given: &[String]) -> (Vec<Required>, Literal) {
    let other = &version.schema.tables[&lookup.other];
    let may_have_none = matches!(lookup.missing, Missing::Make { optional: true, .. }) && !lookup.is_natural();
    let strict = |c: &Ident| other.fields.iter().any(|f| f.name == *c && f.not_null);
    let demanded = |at: &usize| strict(&lookup.shows[*at]) && without(lookup, *at).is_none();
    let all: Vec<usize> =
        (0..lookup.shows.len()).filter(|at| may_have_none && !rewrites(other) && demanded(at)).collect();
    let named: Vec<Ident> = all.iter().map(|at| lookup.fields[*at].clone()).collect();
    let required = |at: usize| Required {
        value: given[at].clone(),
        column: Literal(lookup.fields[at].as_str().into()),
        message: Literal(format!(
            "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
            lookup.fields[at].as_str(),
            lookup.words.0.name.as_str()
        )),
    };
    let hint = Literal(format!(
        "Until {} is real a row has a value in all of {}, or in none of {}.",
        lookup.step,
        quoted(&named),
        quoted(&lookup.fields)
    ));
    (all.into_iter().map(required).collect(), hint)
}

fn find(version: &Version, lookup: &Lookup) -> Result<String, askama::Error> {
    let fields = |table: &TableName| &version.schema.tables[table].fields;
    let type_of = |c: &Ident| {
        fields(&lookup.table).iter().find(|f| f.name == *c).map(|f| f.type_name.clone()).unwrap_or_default()
    };
    let given: Vec<String> = (1..=lookup.shows.len()).map(|i| format!("s{i}")).collect();
    let current: Vec<String> = (1..=lookup.columns.len()).map(|i| format!("c{i}")).collect();
    let mut args: Vec<String> = given.iter().zip(&lookup.types).map(|(s, t)| format!("{s} {t}")).collect();
    let (make, shown, optional, constraint) = match &lookup.missing {
        Missing::Make { optional, shown, .. } => (true, *shown, *optional, String::new()),
        Missing::Refuse(constraint) => (false, false, true, constraint.as_str().to_owned()),
        Missing::Part { .. } => (false, false, true, String::new()),
    };
    if make {
        args.extend(current.iter().zip(&lookup.columns).map(|(c, column)| format!("{c} {}", type_of(column))));
    }
    let comparable = |c: &Ident| {
        fields(&lookup.other).iter().find(|f| f.name == *c).is_none_or(|f| version.schema.kind(f).comparable)
    };
    let equal: Vec<String> = lookup
        .shows
        .iter()
        .zip(&given)
        .filter(|(c, _)| !make || comparable(c))
        .map(|(c, s)| same("t", c, s, Compared { null_safe: make, ..Compared::default() }))
        .collect();
    let nothing = |(member, s): (usize, &String)| match without(lookup, member) {
        None => format!("{s} IS NOT DISTINCT FROM NULL"),
        Some(value) => format!("pg_catalog.record_image_eq(ROW({s}), ROW({value}))"),
    };
    let nothing: Vec<String> = given.iter().enumerate().map(nothing).collect();
    let (table, other) = (&lookup.words.0, &lookup.words.1);
    let joined = list(&lookup.fields);
    let (required, all_or_none) = required(version, lookup, &given);
    let (behind, behind_values) = left_behind(version, lookup);
    Finder {
        required,
        all_or_none,
        numbered: if make && !lookup.is_natural() { list(&lookup.found_by) } else { String::new() },
        find: finder(lookup),
        args: list(&args),
        other: lookup.other.clone(),
        table: lookup.table.clone(),
        path: path(lookup),
        make,
        shown,
        own: matches!(lookup.missing, Missing::Make { own: true, .. }),
        none: match (optional, make && !lookup.is_natural()) {
            (false, _) => String::new(),
            (true, true) => all(&nothing),
            (true, false) => nothing.join(" OR "),
        },
        is_now: found(lookup, "t", &current),
        now_row: row(&each_of("now", &lookup.shows)),
        given_row: row(&given),
        shown_row: row(&each_of("t", &lookup.shows)),
        lock_key: lock_key(lookup, &given),
        equal: if equal.is_empty() { "true".into() } else { all(&equal) },
        order: list(&each_of("t", &lookup.found_by)),
        refers_to_now: has("b", &lookup.columns, &current),
        sets: list(&lookup.shows.iter().zip(&given).map(|(c, s)| format!("{c} = {s}")).collect::<Vec<_>>()),
        shows: list(&[&lookup.shows[..], &behind[..]].concat()),
        given: list(&[&given[..], &behind_values[..]].concat()),
        schema_literal: Literal(table.schema.as_str().into()),
        table_literal: Literal(table.name.as_str().into()),
        message: Literal(format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{constraint}\"",
            table.name.as_str()
        )),
        detail: format!(
            "format({}, {})",
            Literal(format!(
                "Key ({})=({}) is not present in table \"{}\".",
                joined.replace('%', "%%"),
                vec!["%s"; given.len()].join(", "),
                other.name.as_str().replace('%', "%%")
            )),
            list(&given)
        ),
        constraint: Literal(constraint),
        no_values: none(lookup, &each_of("row_found", &lookup.found_by)),
        nameless: nameless(lookup),
        comment: comment(&format!("{}: finds the row of {} that is meant", lookup.step, other.short())),
    }
    .render()
}

fn nameless(lookup: &Lookup) -> Literal {
    Literal(format!(
        "a row of `{}` without {} cannot be what `{}` refers to ({})",
        lookup.words.1.short(),
        quoted(&lookup.found_by),
        lookup.words.0.short(),
        lookup.step
    ))
}

fn listed(version: &Version, lookup: &Lookup, constraint: &Ident) -> Result<String, askama::Error> {
    let (table, other) = (&lookup.words.0, &lookup.words.1);
    let id = &lookup.id;
    let new = each_of("NEW", &lookup.columns);
    let numbered = |prefix: &str| (1..=lookup.columns.len()).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let named = |row: &str, prefix: &str| {
        let each = lookup.found_by.iter().zip(numbered(prefix));
        list(&each.map(|(c, n)| format!("{row}.{c} AS {n}")).collect::<Vec<_>>())
    };
    let refers = |values: &[String]| matched("b", &lookup.columns, values, &lookup.compared);
    // A natural key is not followed: who refers to it keeps the row from getting another.
    let natural = lookup.is_natural();
    let old_d: Vec<String> = numbered("old_").iter().map(|n| format!("d.{n}")).collect();
    let cascade = lookup.columns.iter().zip(numbered("new_")).map(|(c, n)| format!("{c} = d.{n}"));
    let columns = quoted(&lookup.columns);
    let (behind, behind_values) = left_behind(version, lookup);
    Listed {
        enters: lookup.unlisted != Unlisted::Null,
        insert: lookup.unlisted == Unlisted::Insert,
        unique: lookup.unique,
        enter: own(&["enter", id.as_str()]),
        leave: own(&["leave", id.as_str()]),
        path: path(lookup),
        none: none(lookup, &new),
        is_new: found(lookup, "t", &new),
        lock_key_new: lock_key(lookup, &new),
        found_by: list(&[&lookup.found_by[..], &behind[..]].concat()),
        new_values: list(&[&new[..], &behind_values[..]].concat()),
        changed: rewritten(&lookup.columns),
        same_key: all(&lookup.shows.iter().map(|c| is("t", c, &format!("o.{c}"))).collect::<Vec<_>>()),
        refers_to_old: refers(&each_of("o", &lookup.found_by)),
        refers_to_d: refers(&old_d),
        cascade: if natural { String::new() } else { list(&cascade.collect::<Vec<_>>()) },
        old_values: named("o", "old_"),
        new_values_t: named("t", "new_"),
        old_row: list(&each_of("o", &lookup.found_by)),
        new_row: list(&each_of("t", &lookup.found_by)),
        schema_literal: Literal(table.schema.as_str().into()),
        table_literal: Literal(table.name.as_str().into()),
        other_schema_literal: Literal(other.schema.as_str().into()),
        other_table_literal: Literal(other.name.as_str().into()),
        message: Literal(format!(
            "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
            other.name.as_str(),
            constraint.as_str(),
            table.name.as_str()
        )),
        constraint: Literal(constraint.as_str().into()),
        no_values: none(lookup, &each_of("t", &lookup.found_by)),
        nameless: nameless(lookup),
        unlisted: Literal(format!("no `{}` has this value of {columns} ({})", other.short(), lookup.step)),
        hint: Literal(format!("Insert it into `{}` first.", other.short())),
        comment: comment(&lookup.step),
        trigger_insert: trigger("insert", id),
        trigger_update: trigger("update", id),
        trigger_moved: trigger("moved", id),
        trigger_left: trigger("left", id),
        table: version.schema.tables.get_key_value(&lookup.table).map_or(&lookup.table, |(n, _)| n).clone(),
        other: lookup.other.clone(),
    }
    .render()
}

#[derive(Template)]
#[template(path = "alone.sql", escape = "none")]
struct Alone {
    function: TableName,
    path: String,
    other: TableName,
    none: String,
    lock_key: String,
    is_new: String,
    changed: String,
    schema_literal: Literal,
    table_literal: Literal,
    twice: Literal,
    twice_hint: Literal,
    comment: Literal,
    trigger_insert: Ident,
    trigger_update: Ident,
}

/// Keeps rows of the other table apart by what they are found by.
fn alone(lookup: &Lookup) -> Result<String, askama::Error> {
    let (table, other, id) = (&lookup.words.0, &lookup.words.1, &lookup.id);
    let new = each_of("NEW", &lookup.found_by);
    Alone {
        function: own(&["alone", id.as_str()]),
        path: path(lookup),
        other: lookup.other.clone(),
        none: none(lookup, &new),
        lock_key: lock_key(lookup, &new),
        is_new: found(lookup, "t", &new),
        changed: rewritten(&lookup.found_by),
        schema_literal: Literal(other.schema.as_str().into()),
        table_literal: Literal(other.name.as_str().into()),
        twice: Literal(format!(
            "two rows of `{}` have the same {}, by which `{}` finds them ({})",
            other.short(),
            quoted(&lookup.found_by),
            table.short(),
            lookup.step
        )),
        twice_hint: Literal("Each must have its own until this is materialized.".into()),
        comment: comment(&lookup.step),
        trigger_insert: trigger("alone", id),
        trigger_update: trigger("alone_update", id),
    }
    .render()
}

/// Lists the values that are stored and not listed yet, in the order in which they first came.
#[must_use]
pub fn seed(version: &Version, lookup: &Lookup) -> String {
    let Values { rows, columns, by } = values(version, lookup);
    let (behind, behind_values) = left_behind(version, lookup);
    format!(
        "INSERT INTO {other} ({found_by})\nSELECT {columns} FROM (\n  {rows}\n) AS s ORDER BY {by};",
        other = lookup.other,
        found_by = list(&[&lookup.found_by[..], &behind[..]].concat()),
        columns = list(&[&[columns][..], &behind_values[..]].concat()),
    )
}

/// The values that are to be listed: a query, its columns, and their order.
struct Values {
    rows: String,
    columns: String,
    by: String,
}

fn values(version: &Version, lookup: &Lookup) -> Values {
    let stored = each_of("b", &lookup.columns);
    let numbered = numbered(lookup);
    let key = row_key(&version.schema.tables[&lookup.table]).unwrap_or_default();
    let order: Vec<String> = (1..=key.len()).map(|i| format!("k{i}")).collect();
    let named: Vec<String> = stored.iter().zip(&numbered).map(|(c, v)| format!("{c} AS {v}")).collect();
    let keyed: Vec<String> = each_of("b", &key).iter().zip(&order).map(|(c, k)| format!("{c} AS {k}")).collect();
    let rows = format!(
        "SELECT DISTINCT ON ({distinct}) {selected} FROM {table} AS b\n  WHERE NOT ({none}) AND NOT EXISTS (SELECT FROM {other} AS t WHERE {found})\n  ORDER BY {sorted}",
        distinct = list(&looks(&stored, &lookup.compared)),
        selected = list(&[named, keyed].concat()),
        table = lookup.table,
        none = none(lookup, &stored),
        other = lookup.other,
        found = found(lookup, "t", &stored),
        sorted = list(&[looks(&stored, &lookup.compared), each_of("b", &key)].concat()),
    );
    let by = if order.is_empty() { list(&numbered) } else { list(&order) };
    Values { rows, columns: list(&numbered), by }
}

/// What the columns of the values are called.
fn numbered(lookup: &Lookup) -> Vec<Ident> {
    (1..=lookup.columns.len()).map(|i| Ident::new(format!("v{i}"))).collect()
}

/// How many values are locked in one transaction: a server has room for some thousands of locks.
const LOCKS: i64 = 1000;

/// How values are listed while others write: they are read beside everybody, and then listed few at a time.
#[must_use]
pub fn seed_beside(version: &Version, lookup: &Lookup) -> Beside {
    let Values { rows, columns, by } = values(version, lookup);
    let stored = each_of("s", &numbered(lookup));
    let there = format!("EXISTS (SELECT FROM {} AS t WHERE {})", lookup.other, found(lookup, "t", &stored));
    let (behind, behind_values) = left_behind(version, lookup);
    Beside::new(
        format!("list the values in `{}` ({})", lookup.words.1.short(), lookup.step),
        &format!("SELECT pg_catalog.row_number() OVER (ORDER BY {by}) AS n, {columns} FROM (\n  {rows}\n) AS s"),
        &format!(
            "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended({key}, 7)) FROM (SELECT * FROM {READ} AS s WHERE {SOME} ORDER BY s.n) AS s;\nINSERT INTO {other} ({found_by})\nSELECT {listed} FROM {READ} AS s WHERE {SOME} AND NOT {there} ORDER BY s.n{conflict};",
            key = lock_key(lookup, &stored),
            other = lookup.other,
            found_by = list(&[&lookup.found_by[..], &behind[..]].concat()),
            listed = list(&[&[columns.clone()][..], &behind_values[..]].concat()),
            conflict = if lookup.unique { " ON CONFLICT DO NOTHING" } else { "" },
        ),
        &format!("SELECT pg_catalog.count(*) FROM {READ} AS s WHERE NOT {there}"),
    )
    .at_most(LOCKS)
}

/// Lists the rows of a kept table, too.
#[must_use]
pub fn seed_kept(lookup: &Lookup, kept: &TableName) -> String {
    let there = each_of("k", &lookup.found_by);
    format!(
        "INSERT INTO {other} ({found_by})\nSELECT {values} FROM {kept} AS k WHERE NOT EXISTS (SELECT FROM {other} AS t WHERE {found});",
        other = lookup.other,
        found_by = list(&lookup.found_by),
        values = list(&there),
        found = found(lookup, "t", &there),
    )
}

/// Rows `row` of the table whose values the other table does not list, or lists as others that only look the same.
#[must_use]
pub fn unlisted(lookup: &Lookup, row_alias: &str) -> String {
    let stored = each_of(row_alias, &lookup.columns);
    format!(
        "NOT ({}) AND NOT EXISTS (SELECT FROM {} AS o WHERE {} AND pg_catalog.record_image_eq({}, {}))",
        null(lookup, &stored),
        lookup.other,
        found(lookup, "o", &stored),
        row(&each_of("o", &lookup.found_by)),
        row(&stored)
    )
}

/// Rows `t` of the other table to which nobody refers.
#[must_use]
pub fn unshown(version: &Version, lookup: &Lookup) -> String {
    if lookup.always.is_some() {
        let labelled = version.lookups.iter().filter(|l| l.step == lookup.step);
        let values = labelled.flat_map(|l| &l.always).map(|(c, value)| is("t", c, value));
        let labelled = values.collect::<Vec<_>>().join(" OR ");
        let is_there = equal("b", &lookup.columns, "t", &lookup.found_by);
        return format!("(({labelled}) AND EXISTS (SELECT FROM {} AS b WHERE {is_there})) IS NOT TRUE", lookup.table);
    }
    let other = each_of("t", &lookup.found_by);
    let refers = matched("b", &lookup.columns, &other, &lookup.compared);
    format!("NOT EXISTS (SELECT FROM {} AS b WHERE {refers})", lookup.table)
}
