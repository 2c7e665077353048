//! What a carried field needs besides its view: the complement, helper functions, companion triggers on base tables.

use std::collections::BTreeSet;

use askama::Template;

use crate::generate::rights::{self, Needs};
use crate::generate::{Piece, all, comment, equal, get, has, identity, list, of, own, piece};
use crate::name::{Ident, TableName, delimited};
use crate::schema::{Constraint, ConstraintKind, ForeignKey, Grant, TableKind};
use crate::sql::Literal;
use crate::version::{Carry, Direction, Hop, OnOldWrite, Version};

/// Names of the generated objects of one carry.
#[derive(Debug, Clone)]
pub struct Names {
    /// The complement table.
    pub complement: TableName,
    /// Its value column.
    pub value: Ident,
    /// Reads the value of one target row.
    pub get: TableName,
    /// Writes it.
    pub set: TableName,
    /// Remembers it.
    pub save: TableName,
    /// The default of the hidden column.
    pub via: TableName,
}

impl Names {
    /// The names for a carry.
    #[must_use]
    pub fn of(carry: &Carry) -> Self {
        let id = carry.id.as_str();
        Self {
            complement: own(&["kept", id]),
            value: Ident::new("refactor_value"),
            get: own(&["get", id]),
            set: own(&["set", id]),
            save: own(&["save", id]),
            via: own(&["via", id]),
        }
    }

    /// The key columns of the complement.
    #[must_use]
    pub fn complement_keys(&self, carry: &Carry) -> Vec<Ident> {
        get::complement_keys(carry.target_key().len())
    }
}

/// The setting that says a row of the source came through the new shape.
#[must_use]
pub fn via_setting(index: usize) -> String {
    format!("refactor.via_{index}")
}

/// The setting that keeps a carry's companions from reacting to our own writes.
#[must_use]
pub fn quiet_setting(index: usize) -> String {
    format!("refactor.quiet_{index}")
}

/// One key column of the target.
pub(super) struct Key {
    pub arg: String,
    pub type_name: String,
    pub collation: String,
    pub complement: Ident,
    pub target: Ident,
}

pub(super) fn keys(version: &Version, carry: &Carry) -> Vec<Key> {
    key_columns(version, &carry.target, carry.target_key())
}

pub(super) fn key_columns(version: &Version, table: &TableName, columns: &[Ident]) -> Vec<Key> {
    let fields = version.schema.tables.get(table).map_or(&[][..], |t| &t.fields);
    columns
        .iter()
        .zip(get::complement_keys(columns.len()))
        .enumerate()
        .map(|(i, (column, complement))| {
            let field = fields.iter().find(|f| &f.name == column);
            Key {
                arg: format!("k{}", i + 1),
                type_name: field.map_or_else(String::new, |f| f.type_name.clone()),
                collation: field.and_then(|f| f.collation.clone()).unwrap_or_default(),
                complement,
                target: column.clone(),
            }
        })
        .collect()
}

/// The owner of a base table.
#[must_use]
pub fn owner(version: &Version, table: &TableName) -> Ident {
    let owner = version.schema.tables.get(table).and_then(|t| t.owner.as_ref());
    owner.or(version.schema.user.as_ref()).cloned().unwrap_or_else(|| Ident::new("postgres"))
}

pub(super) fn is_write(grant: &Grant) -> bool {
    matches!(grant.privilege.as_str(), "INSERT" | "UPDATE" | "DELETE")
}

/// The owner of all these tables, if it is one.
#[must_use]
pub fn one_owner(version: &Version, tables: &[&TableName]) -> Option<Ident> {
    let owners: BTreeSet<Ident> = tables.iter().map(|t| owner(version, t)).collect();
    owners.into_iter().next().filter(|first| tables.iter().all(|t| owner(version, t) == *first))
}

/// Who works with more rights than the caller's must be nobody's tool: such a function belongs to the tables' owner, and
/// nobody may call it but who is named after that: a put-back does, for those who have a right to all that it does.
pub(super) fn guarded(version: &Version, text: &str, tables: &[&TableName]) -> String {
    let mut sql = text.to_owned();
    let owner = one_owner(version, tables).or_else(|| version.able_owner(tables).cloned());
    for function in piece::functions(&delimited(text)) {
        let name = function.name;
        if let Some(owner) = &owner {
            sql += &format!("ALTER FUNCTION {name} OWNER TO {owner};\n");
        }
        sql += &rights::revoked(&name, &version.schema.by_default);
    }
    sql
}

/// Companions of one carry.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn companions(version: &Version, index: usize) -> Result<Piece, askama::Error> {
    let carry = &version.carries[index];
    let sql = match carry.direction {
        Direction::Up => up(version, index)?,
        Direction::Down => down(version, index)?,
    };
    let names = Names::of(carry);
    let tables: Vec<&TableName> = carry.hops.iter().flat_map(|h| [&h.from, &h.to]).collect();
    let needs = if checks_itself(version, carry) { Needs::Write } else { Needs::All };
    let callers = needs.roles(version, &carry.target);
    let mut sql = guarded(version, &sql, &tables) + &rights::execute(&[&names.get, &names.set], &callers);
    // The default of a hidden field is asked for by whoever inserts, and only speaks of the row.
    sql += &rights::execute(&[&names.via], &rights::users(version));
    let title = format!(
        "helpers and table triggers for `{}.{}` ({})",
        carry.words.to.short(),
        carry.words.as_field,
        carry.step
    );
    Ok(Piece::new(title, sql))
}

/// Whether its functions act as their caller: where row policies decide who sees which row of the target.
fn checks_itself(version: &Version, carry: &Carry) -> bool {
    version.schema.tables.get(&carry.target).is_some_and(|t| t.row_security)
}

/// `pg_catalog` first, then the schemas of the tables, whose types may bring operators of their own.
fn search_path(carry: &Carry) -> String {
    path_over(carry.hops.iter().flat_map(|h| [&h.from.schema, &h.to.schema]))
}

/// The same for the tables of these schemas.
pub(super) fn path_over<'s>(schemas: impl Iterator<Item = &'s Ident>) -> String {
    let mut schemas: BTreeSet<&Ident> = schemas.collect();
    let public = Ident::new("public");
    schemas.insert(&public);
    let names: Vec<String> = schemas.iter().map(ToString::to_string).collect();
    format!("pg_catalog, {}, pg_temp", names.join(", "))
}

/// What the hidden column gets where the new shape says nothing.
fn fill(version: &Version, carry: &Carry) -> String {
    let column = version.schema.tables[&carry.source].fields.iter().find(|f| f.name == carry.column);
    let default =
        column.and_then(|f| f.default.clone()).filter(|_| carry.not_null || carry.direction == Direction::Down);
    match (&carry.fill, default) {
        (Some(fill), _) => fill.to_string(),
        (None, Some(default)) => default,
        (None, None) => "NULL".into(),
    }
}

/// A trigger's name: `!` sorts before the user's own triggers.
pub(super) fn trigger(event: &str, id: &Ident) -> Ident {
    Ident::generated(&["!refactor", event, id.as_str()])
}

/// `row.a IS NULL OR row.b IS NULL`
fn any_null(row: &str, columns: &[Ident]) -> String {
    columns.iter().map(|c| format!("{row}.{c} IS NULL")).collect::<Vec<_>>().join(" OR ")
}

/// Whether the new row has other values: by the types' own equality, whatever operators there are.
pub(super) fn changed(columns: &[Ident]) -> String {
    let of = |row: &str| list(&columns.iter().map(|c| format!("{row}.{c}")).collect::<Vec<_>>());
    format!("pg_catalog.record_ne(ROW({}), ROW({}))", of("OLD"), of("NEW"))
}

/// Whether an update writes other values, or the same that look otherwise: for fields of any type.
pub(super) fn rewritten(columns: &[Ident]) -> String {
    format!("pg_catalog.record_image_ne(ROW({}), ROW({}))", of("OLD", columns), of("NEW", columns))
}

struct Middle {
    function: TableName,
    table: TableName,
    trigger_update: Ident,
    trigger_delete: Ident,
    key_changed: String,
    resolve_old_again: String,
    resolve_new: String,
    below: String,
    below_old: String,
    below_from: String,
    below_old_joined: String,
    is_this: String,
}

#[derive(Template)]
#[template(path = "carry_up.sql", escape = "none")]
struct Up {
    get: TableName,
    set: TableName,
    save: TableName,
    via: TableName,
    before: TableName,
    after: TableName,
    settle: TableName,
    truncate: TableName,
    arrived: TableName,
    trigger_insert: Ident,
    trigger_update: Ident,
    trigger_delete: Ident,
    trigger_inserted: Ident,
    trigger_updated: Ident,
    trigger_truncate: Ident,
    trigger_arrived: Ident,
    keys: Vec<Key>,
    args: String,
    type_name: String,
    rights: &'static str,
    path: String,
    column: Ident,
    column_literal: Literal,
    source: TableName,
    source_schema: Literal,
    source_name: Literal,
    target: TableName,
    complement: TableName,
    complement_keys: String,
    value: Ident,
    comment: Literal,
    members: String,
    members_from: String,
    hop_joins: String,
    in_group: String,
    in_group_joined: String,
    in_group_q: String,
    in_group_w: String,
    complement_row: String,
    target_row: String,
    target_row_w: String,
    target_row_again: String,
    target_order: String,
    target_joined: String,
    member_key_list: String,
    via_setting: String,
    quiet_setting: String,
    fill: String,
    multi: bool,
    no_key: String,
    no_key_again: String,
    same_key: String,
    resolve_old: String,
    resolve_old_again: String,
    resolve_new: String,
    resolve_new_again: String,
    renumbered: String,
    lost_reference: String,
    reference_name: Literal,
    reference_message: Literal,
    key_changed: String,
    reject: &'static str,
    message: Literal,
    hint: Literal,
    key_names: String,
    q_keys: String,
    d_keys: String,
    e_keys: String,
    new_keys_as: String,
    new_key_list: String,
    member_value: String,
    new_has_key: String,
    arrived_has_key: String,
    middle: Vec<Middle>,
}

#[allow(clippy::too_many_lines)] // one template, one literal
fn up(version: &Version, index: usize) -> Result<String, askama::Error> {
    let carry = &version.carries[index];
    let names = Names::of(carry);
    let id = carry.id.as_str();
    let keys = keys(version, carry);
    let last = carry.hops.len() - 1;
    let group = &carry.hops[last].from_columns;
    let first = &carry.hops[0];
    let multi = last > 0;
    let stored = version.schema.tables[&carry.source].fields.iter().find(|f| f.name == carry.column);
    let exact = stored.is_some_and(|f| version.schema.kind(f).exact);
    let args: Vec<String> = keys.iter().map(|k| k.arg.clone()).collect();
    let prefixed = |prefix: &str| args.iter().map(|a| format!("{prefix}{a}")).collect::<Vec<_>>();
    let group_row = format!("a{last}");
    let in_group = |values: &[String]| has(&group_row, group, values);
    let target_row = |values: &[String]| has("b", carry.target_key(), values);
    let no_key = |values: &[String]| values.iter().map(|v| format!("{v} IS NULL")).collect::<Vec<_>>().join(" OR ");
    // For UPDATE … FROM: the joins of the way become a FROM list and conditions.
    let (mut from, mut joined) = (Vec::new(), Vec::new());
    for i in 1..=last {
        let below = &carry.hops[i - 1];
        from.push(format!("{} AS a{i}", carry.hops[i].from));
        joined.push(equal(&format!("a{i}"), &below.to_columns, &format!("a{}", i - 1), &below.from_columns));
    }
    joined.push(in_group(&args));
    let member_keys: Vec<String> = group.iter().map(|c| format!("{group_row}.{c}")).collect();
    let own_names = |what: &str| own(&[what, id]);
    let words = &carry.words;
    let reference = foreign_key(version, first);
    let needs_value = carry.not_null && fill(version, carry) == "NULL";
    Up {
        get: names.get.clone(),
        set: names.set.clone(),
        save: names.save.clone(),
        via: names.via.clone(),
        before: own_names("before"),
        after: own_names("after"),
        settle: own_names("settle"),
        truncate: own_names("truncate"),
        arrived: own_names("arrived"),
        trigger_insert: trigger("insert", &carry.id),
        trigger_update: trigger("update", &carry.id),
        trigger_delete: trigger("delete", &carry.id),
        trigger_inserted: trigger("inserted", &carry.id),
        trigger_updated: trigger("updated", &carry.id),
        trigger_truncate: trigger("truncate", &carry.id),
        trigger_arrived: trigger("arrived", &carry.id),
        args: list(&args),
        type_name: carry.type_name.clone(),
        rights: if checks_itself(version, carry) { "" } else { " SECURITY DEFINER" },
        path: search_path(carry),
        column: carry.column.clone(),
        column_literal: Literal(carry.column.as_str().into()),
        source: carry.source.clone(),
        source_schema: Literal(carry.source.schema.as_str().into()),
        source_name: Literal(carry.source.name.as_str().into()),
        target: carry.target.clone(),
        complement: names.complement.clone(),
        complement_keys: list(&names.complement_keys(carry)),
        value: names.value.clone(),
        comment: comment(&carry.step),
        members: get::members(carry),
        members_from: if multi { format!(" FROM {}", from.join(", ")) } else { String::new() },
        hop_joins: get::joins(&carry.hops, 1..carry.hops.len()),
        in_group: in_group(&args),
        in_group_joined: all(&joined),
        in_group_q: in_group(&prefixed("q.")),
        in_group_w: in_group(&prefixed("w.")),
        complement_row: has("x", &names.complement_keys(carry), &args),
        target_row: target_row(&args),
        target_row_w: target_row(&prefixed("w.")),
        target_row_again: target_row(&prefixed("again_")),
        target_order: list(&carry.target_key().iter().map(|c| format!("b.{c}")).collect::<Vec<_>>()),
        target_joined: target_row(&member_keys),
        member_key_list: list(&member_keys),
        via_setting: via_setting(index),
        quiet_setting: quiet_setting(index),
        fill: fill(version, carry),
        multi,
        no_key: no_key(&args),
        no_key_again: no_key(&prefixed("again_")),
        same_key: format!("pg_catalog.record_eq(ROW({}), ROW({}))", list(&prefixed("again_")), list(&args)),
        resolve_old: resolve(carry, 0, "OLD", &args),
        resolve_old_again: resolve(carry, 0, "OLD", &prefixed("again_")),
        resolve_new: resolve(carry, 0, "NEW", &args),
        resolve_new_again: resolve(carry, 0, "NEW", &prefixed("again_")),
        renumbered: renumbered(version, first),
        lost_reference: reference.filter(|_| needs_value).map_or_else(String::new, |_| {
            let set = all(&first.from_columns.iter().map(|c| format!("NEW.{c} IS NOT NULL")).collect::<Vec<_>>());
            let there = equal("n", &first.to_columns, "NEW", &first.from_columns);
            format!("{set} AND NOT EXISTS (SELECT FROM {} AS n WHERE {there})", first.to)
        }),
        reference_name: Literal(reference.map_or_else(String::new, |(c, _)| c.name.as_str().into())),
        reference_message: Literal(format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
            carry.source.name.as_str(),
            reference.map_or("", |(c, _)| c.name.as_str())
        )),
        key_changed: changed(&first.from_columns),
        reject: if carry.on_old_write == OnOldWrite::Reject { "true" } else { "false" },
        message: Literal(format!(
            "each \"{}\" must have one \"{}\" in its \"{}\"",
            words.to.name.as_str(),
            words.field.as_str(),
            words.from.name.as_str()
        )),
        hint: Literal(format!(
            "Refactoring {} moves the field to \"{}\"; give all rows of the group the same value in one statement.",
            carry.step,
            words.to.name.as_str()
        )),
        key_names: list(carry.target_key()).replace('%', "%%").replace('\'', "''"),
        q_keys: list(&prefixed("q.")),
        d_keys: list(&prefixed("d.")),
        e_keys: list(&prefixed("e.")),
        new_keys_as: list(&member_keys.iter().zip(&args).map(|(m, a)| format!("{m} AS {a}")).collect::<Vec<_>>()),
        new_key_list: list(&member_keys),
        member_value: identity(&format!("a0.{}", carry.column), exact),
        new_has_key: all(&member_keys.iter().map(|k| format!("{k} IS NOT NULL")).collect::<Vec<_>>()),
        arrived_has_key: all(&carry.target_key().iter().map(|c| format!("NEW.{c} IS NOT NULL")).collect::<Vec<_>>()),
        middle: (1..=last).map(|i| middle(carry, i, &args, &prefixed("again_"))).collect(),
        keys,
    }
    .render()
}

/// The foreign key that a hop follows, if there is one.
pub(super) fn foreign_key<'v>(version: &'v Version, hop: &Hop) -> Option<(&'v Constraint, &'v ForeignKey)> {
    version.schema.tables.get(&hop.from)?.constraints.iter().find_map(|c| match &c.kind {
        ConstraintKind::Foreign(key)
            if key.table == hop.to && c.fields == hop.from_columns && key.fields == hop.to_columns =>
        {
            Some((c, key))
        }
        _ => None,
    })
}

/// Whether a row of the hop follows its one to another key (ON UPDATE CASCADE), as a condition in a trigger.
/// A row that is given to a default one changes its group.
fn renumbered(version: &Version, hop: &Hop) -> String {
    if !foreign_key(version, hop).is_some_and(|(_, key)| key.on_update == 'c' && key.on_delete != 'd') {
        return String::new();
    }
    let referred = all(&hop.from_columns.iter().map(|c| format!("OLD.{c} IS NOT NULL")).collect::<Vec<_>>());
    format!(
        "pg_catalog.pg_trigger_depth() > 1 AND {referred} AND NOT EXISTS (SELECT FROM {} AS n WHERE {})",
        hop.to,
        equal("n", &hop.to_columns, "OLD", &hop.from_columns)
    )
}

/// plpgsql that puts the group's key, for a row of the hop `at`, into `into`.
fn resolve(carry: &Carry, at: usize, row: &str, into: &[String]) -> String {
    let last = carry.hops.len() - 1;
    let group = &carry.hops[last].from_columns;
    if at == last {
        return group.iter().zip(into).map(|(c, k)| format!("{k} := {row}.{c};")).collect::<Vec<_>>().join(" ");
    }
    let next = at + 1;
    let keys = list(&group.iter().map(|c| format!("a{last}.{c}")).collect::<Vec<_>>());
    let from = format!("{} AS a{next}{}", carry.hops[next].from, get::joins(&carry.hops, next + 1..last + 1));
    let this = equal(&format!("a{next}"), &carry.hops[at].to_columns, row, &carry.hops[at].from_columns);
    format!("SELECT {keys} INTO {} FROM {from} WHERE {this};", list(into))
}

fn middle(carry: &Carry, at: usize, args: &[String], again: &[String]) -> Middle {
    let id = format!("{}_{at}", carry.id.as_str());
    let hop = &carry.hops[at];
    let below = &carry.hops[at - 1];
    let joins = format!("{} AS a0{}", carry.source, get::joins(&carry.hops, 1..at));
    let (mut from, mut joined) = (Vec::new(), Vec::new());
    for i in 1..at {
        let lower = &carry.hops[i - 1];
        let on = equal(&format!("a{i}"), &lower.to_columns, &format!("a{}", i - 1), &lower.from_columns);
        from.push(format!("{} AS a{i}", carry.hops[i].from));
        joined.push(on);
    }
    let this = equal(&format!("a{}", at - 1), &below.from_columns, "OLD", &below.to_columns);
    joined.push(this.clone());
    Middle {
        function: own(&["between", &id]),
        table: hop.from.clone(),
        trigger_update: trigger("update", &Ident::new(&*id)),
        trigger_delete: trigger("delete", &Ident::new(&*id)),
        key_changed: changed(&hop.from_columns),
        resolve_old_again: resolve(carry, at, "OLD", again),
        resolve_new: resolve(carry, at, "NEW", args),
        below: joins,
        below_old: this,
        below_from: if from.is_empty() { String::new() } else { format!(" FROM {}", from.join(", ")) },
        below_old_joined: all(&joined),
        is_this: equal(&format!("a{at}"), &below.to_columns, "OLD", &below.to_columns),
    }
}

/// A table between the two of a downward carry.
struct Between {
    function: TableName,
    table: TableName,
    trigger_update: Ident,
    trigger_delete: Ident,
    key_changed: String,
    renumbered: String,
    is_old: String,
}

#[derive(Template)]
#[template(path = "carry_down.sql", escape = "none")]
struct Down {
    get: TableName,
    set: TableName,
    via: TableName,
    source_written: TableName,
    source_deleted: TableName,
    target_moved: TableName,
    trigger_updated: Ident,
    trigger_delete: Ident,
    trigger_moved: Ident,
    keys: Vec<Key>,
    type_name: String,
    rights: &'static str,
    path: String,
    column: Ident,
    source: TableName,
    target: TableName,
    complement: TableName,
    complement_keys: String,
    first_complement_key: Ident,
    value: Ident,
    comment: Literal,
    complement_row: String,
    complement_joined: String,
    complement_is_new: String,
    target_to_source: String,
    target_row: String,
    target_key_list: String,
    source_key_list: String,
    source_is_home: String,
    source_is_new: String,
    source_is_old: String,
    quiet_setting: String,
    fill: String,
    target_key_changed: String,
    next_table: TableName,
    next_is_old: String,
    nearest_is_old: String,
    next_to_source: String,
    new_key_null: String,
    target_left_source: String,
    middle: Vec<Between>,
    left_behind: bool,
    trigger_left: Ident,
    source_key_changed: String,
    emptied: Option<Emptied>,
    target_key_named: String,
    late: Vec<Late>,
}

/// Where no foreign key empties the target with the source.
struct Emptied {
    function: TableName,
    trigger: Ident,
}

/// A table whose rows can come after those that refer to them.
struct Late {
    function: TableName,
    table: TableName,
    trigger_insert: Ident,
    trigger_update: Ident,
    key_changed: String,
    is_new: String,
}

fn down(version: &Version, index: usize) -> Result<String, askama::Error> {
    let carry = &version.carries[index];
    let names = Names::of(carry);
    let id = carry.id.as_str();
    let keys = keys(version, carry);
    let args: Vec<String> = keys.iter().map(|k| k.arg.clone()).collect();
    let (first, last) = (&carry.hops[0], carry.hops.len() - 1);
    let source_key = &carry.hops[last].to_columns;
    // From the target `b` up to the source `s`, and the same from the table that `b` refers to.
    let mut way = format!("{} AS b", carry.target);
    let mut left = way.clone();
    let mut rest = String::new();
    for (i, hop) in carry.hops.iter().enumerate() {
        let below = if i == 0 { "b".to_owned() } else { format!("m{i}") };
        let here = if i == last { "s".to_owned() } else { format!("m{}", i + 1) };
        let join =
            format!(" JOIN {} AS {here} ON {}", hop.to, equal(&here, &hop.to_columns, &below, &hop.from_columns));
        way += &join;
        left += &format!(" LEFT{join}");
        if i == 0 {
            rest = format!("{} AS {here}", hop.to);
        } else {
            rest += &join;
        }
    }
    let nearest = if last == 0 { "s" } else { "m1" };
    let own_names = |what: &str| own(&[what, id]);
    let complement_columns = names.complement_keys(carry);
    let source_is = |row: &str| equal("s", source_key, row, source_key);
    Down {
        get: names.get.clone(),
        set: names.set.clone(),
        via: names.via.clone(),
        source_written: own_names("written"),
        source_deleted: own_names("deleted"),
        target_moved: own_names("moved"),
        trigger_updated: trigger("updated", &carry.id),
        trigger_delete: trigger("delete", &carry.id),
        trigger_moved: trigger("moved", &carry.id),
        type_name: carry.type_name.clone(),
        rights: if checks_itself(version, carry) { "" } else { " SECURITY DEFINER" },
        path: search_path(carry),
        column: carry.column.clone(),
        source: carry.source.clone(),
        target: carry.target.clone(),
        complement: names.complement.clone(),
        complement_keys: list(&complement_columns),
        first_complement_key: complement_columns[0].clone(),
        value: names.value.clone(),
        comment: comment(&carry.step),
        complement_row: has("x", &complement_columns, &args),
        complement_joined: equal("x", &complement_columns, "b", &carry.row_key),
        complement_is_new: equal("x", &complement_columns, "NEW", &carry.row_key),
        target_left_source: left,
        target_to_source: way,
        target_row: has("b", &carry.row_key, &args),
        target_key_list: list(&carry.row_key.iter().map(|c| format!("b.{c}")).collect::<Vec<_>>()),
        source_key_list: list(
            &source_key
                .iter()
                .zip(get::complement_keys(source_key.len()))
                .map(|(c, alias)| format!("s.{c} AS {alias}"))
                .collect::<Vec<_>>(),
        ),
        source_is_home: equal("s", source_key, "home", &get::complement_keys(source_key.len())),
        source_is_new: source_is("NEW"),
        source_is_old: source_is("OLD"),
        quiet_setting: quiet_setting(index),
        fill: fill(version, carry),
        target_key_changed: changed(&first.from_columns),
        next_table: first.to.clone(),
        next_is_old: equal("n", &first.to_columns, "OLD", &first.from_columns),
        nearest_is_old: equal(nearest, &first.to_columns, "OLD", &first.from_columns),
        next_to_source: rest,
        new_key_null: any_null("NEW", &first.from_columns),
        middle: (1..=last).map(|at| between(version, carry, at)).collect(),
        left_behind: lets_go(version, &carry.hops[last]),
        trigger_left: trigger("left", &carry.id),
        source_key_changed: changed(source_key),
        emptied: carry
            .hops
            .iter()
            .any(|hop| foreign_key(version, hop).is_none())
            .then(|| Emptied { function: own_names("emptied"), trigger: trigger("emptied", &carry.id) }),
        target_key_named: list(
            &carry.row_key.iter().zip(&args).map(|(c, arg)| format!("b.{c} AS {arg}")).collect::<Vec<_>>(),
        ),
        late: (0..=last).filter(|at| may_wait(version, &carry.hops[*at])).map(|at| late(carry, at)).collect(),
        keys,
    }
    .render()
}

/// Whether a row may get another key while rows refer to it, which then refer to nobody or to another.
fn lets_go(version: &Version, hop: &Hop) -> bool {
    foreign_key(version, hop)
        .is_none_or(|(c, key)| key.on_update != 'c' && (c.deferrable || "nd".contains(key.on_update)))
}

/// Whether a row may refer to one that is not there yet.
fn may_wait(version: &Version, hop: &Hop) -> bool {
    foreign_key(version, hop).is_none_or(|(c, _)| c.deferrable)
}

fn late(carry: &Carry, at: usize) -> Late {
    let id = Ident::new(format!("{}_{at}", carry.id.as_str()));
    let hop = &carry.hops[at];
    let alias = if at + 1 == carry.hops.len() { "s".to_owned() } else { format!("m{}", at + 1) };
    Late {
        function: own(&["late", id.as_str()]),
        table: hop.to.clone(),
        trigger_insert: trigger("late", &id),
        trigger_update: trigger("late_key", &id),
        key_changed: changed(&hop.to_columns),
        is_new: equal(&alias, &hop.to_columns, "NEW", &hop.to_columns),
    }
}

fn between(version: &Version, carry: &Carry, at: usize) -> Between {
    let id = Ident::new(format!("{}_{at}", carry.id.as_str()));
    let (hop, below) = (&carry.hops[at], &carry.hops[at - 1]);
    let renumbered = renumbered(version, hop);
    Between {
        function: own(&["between", id.as_str()]),
        table: hop.from.clone(),
        trigger_update: trigger("update", &id),
        trigger_delete: trigger("delete", &id),
        key_changed: changed(&hop.from_columns),
        renumbered: if renumbered.is_empty() { "false".into() } else { renumbered },
        is_old: equal(&format!("m{at}"), &below.to_columns, "OLD", &below.to_columns),
    }
}

/// Whether a table is partitioned, so that a row's place needs its partition too.
#[must_use]
pub fn is_partitioned(version: &Version, table: &TableName) -> bool {
    version.schema.tables.get(table).is_some_and(|t| t.kind == TableKind::Partitioned)
}
