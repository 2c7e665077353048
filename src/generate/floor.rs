//! A floor: a table of ours with the rows of a relation, and what keeps the two equal. What is written to the floor goes down
//! through the relation's put-back; what changes below comes up row by row, and the tables always have the last word.

use std::collections::BTreeSet;

use askama::Template;

use crate::generate::carry::{guarded, owner, path_over};
use crate::generate::get::complement_keys;
use crate::generate::{Piece, comment, each_of, equal, has, list, lookup, made, of, own, rights, rows, slice};
use crate::name::{Ident, OWN, TableName};
use crate::relation::{Field, Home, Relation, Rows};
use crate::schema::{ConstraintKind, Identity, Table};
use crate::sql::Literal;
use crate::version::{Direction, Floor, Version};

/// What follows the rows of the base, each by its key.
struct Row {
    function: TableName,
    trigger: Ident,
    changed: String,
    of_old: String,
    of_new: String,
    t_is_old: String,
}

/// What follows a table whose rows other rows show.
struct Far {
    table: TableName,
    function: TableName,
    keys: String,
    of_k: String,
    reached: String,
    inserted: Ident,
    updated: Ident,
    deleted: Ident,
}

/// What compares all rows, after any statement of these kinds.
struct Whole {
    table: TableName,
    events: &'static str,
    begun: Ident,
    trigger: Ident,
}

/// What numbers new rows.
struct Draw {
    function: TableName,
    trigger: Ident,
    lines: Vec<String>,
}

#[derive(Template)]
#[template(path = "floor.sql", escape = "none")]
struct Companions {
    table: TableName,
    under: TableName,
    base: TableName,
    path: String,
    setting: Literal,
    comment: Literal,
    one: TableName,
    every: TableName,
    begun: TableName,
    writing: Literal,
    up_every: TableName,
    down: TableName,
    down_trigger: Ident,
    again: TableName,
    again_trigger: Ident,
    parameters: String,
    /// All fields of the row `u`; those that can be given; those that can be changed; the key.
    of_u: String,
    columns: String,
    of_v: String,
    of_t: String,
    of_u_given: String,
    of_new_given: String,
    changing: String,
    of_new_changing: String,
    keys: String,
    u_is_key: String,
    t_is_key: String,
    u_is_t: String,
    u_is_old: String,
    key_changed: String,
    of_u_key: String,
    of_old_key: String,
    of_new_key: String,
    row: Option<Row>,
    far: Vec<Far>,
    whole: Vec<Whole>,
    draw: Option<Draw>,
}

/// A name of ours for one of a floor's objects.
fn named(what: &str, floor: &Floor) -> TableName {
    own(&[what, floor.table.name.as_str()])
}

fn trigger(what: &str, floor: &Floor) -> Ident {
    Ident::generated(&["~refactor", what, floor.table.name.as_str()])
}

/// What the setting of a floor is while it has no rows, since what the relation under it shows is not all there: it is filled then,
/// and follows nothing before.
pub const EMPTY: &str = "'empty'";

/// Lets a floor follow nothing until it is filled, in this transaction.
#[must_use]
pub fn empty(floor: &Floor) -> String {
    format!("SELECT pg_catalog.set_config({}, {EMPTY}, true);", Literal(setting(floor)))
}

/// The call that makes a floor equal to the relation under it, whatever it holds.
#[must_use]
pub fn fill(floor: &Floor) -> String {
    format!("SELECT {}();", named("up", floor))
}

/// Creates the table, empty. It takes every row that the relation shows: whatever is demanded of them is demanded below.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn create(version: &Version, floor: &Floor) -> Result<String, askama::Error> {
    let (name, table) = (&floor.table, &version.schema.tables[&floor.table]);
    let column = |f: &crate::schema::Field| {
        // Functions of ours come and go.
        let default = f.default.as_ref().filter(|d| !d.starts_with("refactor."));
        let default = default.map(|d| format!(" DEFAULT {}", unbound(d))).unwrap_or_default();
        let generated = f.generated.as_ref().map(|g| {
            format!(" GENERATED ALWAYS AS ({}) {}", g.expression, if g.stored { "STORED" } else { "VIRTUAL" })
        });
        format!("  {} {}{}{default}{}", f.name, f.type_name, f.collate(), generated.unwrap_or_default())
    };
    let lines: Vec<String> = table.fields.iter().map(column).collect();
    let free = made::free_names(version, name);
    let (mut keys, mut names, mut sql) = (Vec::new(), Vec::new(), Vec::new());
    for index in &table.indexes {
        let fields: Option<Vec<Ident>> = index.keys.iter().cloned().collect();
        let Some(fields) = fields.filter(|_| index.method.as_str() == "btree" && !index.partial) else { continue };
        let name_of = free(&index.name);
        names.push(name_of.clone());
        let unique = index.unique && index.immediate;
        keys.extend(unique.then(|| fields.clone()));
        let primary = table.constraints.iter().any(|c| c.kind == ConstraintKind::Primary && c.fields == fields);
        let fields = list(&fields);
        sql.push(match (primary, unique) {
            (true, _) => format!("ALTER TABLE {name} ADD CONSTRAINT {name_of} PRIMARY KEY ({fields})"),
            (false, true) => format!("CREATE UNIQUE INDEX {name_of} ON {name} ({fields})"),
            (false, false) => format!("CREATE INDEX {name_of} ON {name} ({fields})"),
        });
    }
    if !keys.contains(&floor.key) {
        let name_of = Ident::generated(&[name.name.as_str(), "key"]);
        sql.push(format!("CREATE UNIQUE INDEX {name_of} ON {name} ({})", list(&floor.key)));
    }
    let about = comment(&format!("rows of {} for {}", floor.shows.short(), floor.step));
    let first =
        [format!("CREATE TABLE {name} (\n{}\n)", lines.join(",\n")), format!("COMMENT ON TABLE {name} IS {about}")];
    sql.splice(0..0, first);
    sql.extend(rights::bare(&version.schema, name));
    sql.push(format!("ALTER TABLE {name} OWNER TO {}", owner(version, name)));
    sql.extend(granted(version, table, name));
    Ok(made::freed(names.iter())? + &sql.join(";\n") + ";")
}

fn granted(version: &Version, table: &Table, name: &TableName) -> Vec<String> {
    let relation = Relation { name: name.clone(), ..Relation::of(name, table) };
    rights::wanted(version, &relation).iter().map(|right| right.on(name)).collect()
}

/// Makes those floors that are not there, with their rows, for the time of a transaction in which they are asked for facts.
#[must_use]
pub fn tried(version: &Version, is_there: &dyn Fn(&TableName) -> bool) -> String {
    let make = |floor: &Floor| {
        let rows = rows::select(version, &version.under[&floor.under]);
        format!("CREATE TABLE {} AS {rows};", floor.table)
    };
    let all: Vec<String> = version.floors.iter().filter(|f| !is_there(&f.table)).map(make).collect();
    if all.is_empty() { String::new() } else { format!("CREATE SCHEMA IF NOT EXISTS {OWN};\n{}", all.join("\n")) }
}

/// A query that reads floors which are not there, as one of what they would have.
#[must_use]
pub fn looked_through(version: &Version, is_there: &dyn Fn(&TableName) -> bool, mut sql: String) -> String {
    for floor in version.floors.iter().rev().filter(|f| !is_there(&f.table)) {
        let rows = rows::select(version, &version.under[&floor.under]);
        sql = sql.replace(&format!("{} AS ", floor.table), &format!("({rows}) AS "));
    }
    sql
}

/// A default that draws from a sequence, in a way that does not keep the sequence from going.
fn unbound(default: &str) -> String {
    default.replace("'::regclass", "'::text::regclass")
}

/// What keeps a floor and the relation under it equal.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn companions(version: &Version, floor: &Floor) -> Result<Piece, askama::Error> {
    let (table, relation) = (&version.schema.tables[&floor.table], &version.under[&floor.under]);
    let under = TableName { schema: Ident::new(OWN), name: floor.under.name.clone() };
    let all: Vec<Ident> = table.fields.iter().map(|f| f.name.clone()).collect();
    let given: Vec<Ident> = table.fields.iter().filter(|f| f.generated.is_none()).map(|f| f.name.clone()).collect();
    let always = |f: &Field| match f.home {
        Home::Own(at) => version.table(relation).fields[at].identity == Some(Identity::Always),
        _ => false,
    };
    let fixed: Vec<&Ident> = relation.fields.iter().filter(|f| always(f)).map(|f| &f.shape.name).collect();
    let changing: Vec<Ident> = given.iter().filter(|name| !fixed.contains(name)).cloned().collect();
    let key = &floor.key;
    let parameters: Vec<String> = (1..=key.len()).map(|n| format!("refactor_p{n}")).collect();
    let kind = |name: &Ident| table.fields.iter().find(|f| f.name == *name).map_or("", |f| &f.type_name);
    let typed: Vec<String> = parameters.iter().zip(key).map(|(p, k)| format!("{p} {}", kind(k))).collect();
    let changed = |columns: &[Ident]| {
        format!("pg_catalog.record_image_ne(ROW({}), ROW({}))", of("OLD", columns), of("NEW", columns))
    };
    let row = by_row(version, relation, floor).map(|columns| Row {
        function: named("up_row", floor),
        trigger: trigger("up_row", floor),
        changed: changed(&columns),
        of_old: of("OLD", &columns),
        of_new: of("NEW", &columns),
        t_is_old: has("t", key, &each_of("OLD", &columns)),
    });
    let (far, whole) = sources(version, relation, floor);
    let numbered = table.fields.iter().filter(|f| f.identity.is_some());
    let lines: Vec<String> = numbered
        .filter_map(|f| {
            let sequence = Literal(f.sequence.as_ref()?.to_string());
            let name = &f.name;
            Some(format!(
                "IF NEW.{name} IS NULL THEN NEW.{name} := pg_catalog.nextval({sequence}::text::pg_catalog.regclass); END IF;"
            ))
        })
        .collect();
    let read: Vec<TableName> =
        [&floor.table, &relation.base].into_iter().chain(far.iter().map(|f| &f.table)).cloned().collect();
    let text = Companions {
        table: floor.table.clone(),
        base: relation.base.clone(),
        path: path_over([&floor.shows.schema].into_iter()),
        setting: Literal(setting(floor)),
        comment: comment(&floor.step),
        one: named("up_one", floor),
        every: named("up", floor),
        begun: named("begun", floor),
        writing: Literal(format!("{}_by", setting(floor))),
        up_every: named("up_every", floor),
        down: named("down", floor),
        down_trigger: trigger("down", floor),
        again: named("up_again", floor),
        again_trigger: trigger("up_again", floor),
        parameters: typed.join(", "),
        of_u: of("u", &all),
        columns: list(&given),
        of_v: of("v", &given),
        of_t: of("t", &given),
        of_u_given: of("u", &given),
        of_new_given: of("NEW", &given),
        of_new_changing: of("NEW", &changing),
        changing: list(&changing),
        keys: list(key),
        u_is_key: has("u", key, &parameters),
        t_is_key: has("t", key, &parameters),
        u_is_t: equal("u", key, "t", key),
        u_is_old: equal("u", key, "OLD", key),
        key_changed: changed(key),
        of_u_key: of("u", key),
        of_old_key: of("OLD", key),
        of_new_key: of("NEW", key),
        row,
        draw: (!lines.is_empty()).then(|| Draw {
            function: named("draw", floor),
            trigger: Ident::generated(&["!refactor", "draw", floor.table.name.as_str()]),
            lines,
        }),
        far,
        whole,
        under,
    }
    .render()?;
    let title = format!("rows of `{}` for {}", floor.shows.short(), floor.step);
    Ok(Piece::new(title, guarded(version, &text, &read.iter().collect::<Vec<_>>())))
}

/// The setting that tells what comes from below: how deep the trigger is that writes it.
fn setting(floor: &Floor) -> String {
    let name: String = floor.table.name.as_str().bytes().map(|b| format!("{b:02x}")).collect();
    format!("refactor.up_{name}")
}

/// The columns of the base that are the floor's key, if its rows are the base's, each by itself.
fn by_row(version: &Version, relation: &Relation, floor: &Floor) -> Option<Vec<Ident>> {
    let one_table = matches!(relation.rows, Rows::Whole | Rows::Part(_) | Rows::Slice(_));
    relation.columns(&version.schema, &floor.key).filter(|_| one_table)
}

/// The tables besides the base of which a relation shows something: what of it their rows reach, or all.
fn sources(version: &Version, relation: &Relation, floor: &Floor) -> (Vec<Far>, Vec<Whole>) {
    let base = &relation.base;
    let key = by_row(version, relation, floor);
    let mut tables: BTreeSet<&TableName> = BTreeSet::new();
    match relation.rows {
        Rows::Whole | Rows::Part(_) | Rows::Slice(_) => {}
        Rows::United(at) => tables.extend(version.unions[at].branches.iter().map(|b| &b.table)),
        Rows::Linked(at) => tables.extend([&version.links[at].table, &version.links[at].links]),
        Rows::Spread(at) => tables.extend([&version.spreads[at].table]),
        Rows::Told(at) => tables.extend(&version.told[at].names),
    }
    if key.is_none() && !matches!(relation.rows, Rows::Told(_) | Rows::Spread(_)) {
        tables.insert(base);
    }
    // Another relation of the table tells, too, that a row has no such part.
    let sliced = if let Rows::Slice(at) = relation.rows { Some(&version.slices[at]) } else { None };
    let absent = sliced.map(slice::absent);
    let mut reached: Vec<(&TableName, String)> = Vec::new();
    for field in &relation.fields {
        match field.home {
            Home::Carried(at) => {
                let carry = &version.carries[at];
                match (carry.direction, &*carry.hops) {
                    (Direction::Down, [hop]) if hop.from == *base && hop.to != *base => {
                        reached.push((&hop.to, equal("b", &hop.from_columns, "c", &hop.to_columns)));
                    }
                    (Direction::Up, [hop]) if hop.to == *base && hop.from != *base => {
                        reached.push((&hop.from, equal("b", &hop.to_columns, "c", &hop.from_columns)));
                    }
                    (_, hops) => tables.extend(hops.iter().flat_map(|h| [&h.from, &h.to])),
                }
            }
            Home::Looked(at, _) => {
                let looked = &version.lookups[at];
                reached.push((&looked.other, lookup::found(looked, "c", &each_of("b", &looked.columns))));
            }
            Home::Own(_)
            | Home::Added(_)
            | Home::Shaped(..)
            | Home::Calculated(_)
            | Home::Numbered(_)
            | Home::United(_) => {}
        }
    }
    if let (Some(slice), Some(absent)) = (sliced, &absent) {
        reached.push((absent, equal("b", &slice.key, "c", &complement_keys(slice.key.len()))));
    }
    if key.is_none() {
        tables.extend(reached.drain(..).map(|(table, _)| table));
    }
    reached.retain(|(table, _)| !tables.contains(table));
    reached.sort();
    reached.dedup();
    let is_there = |table: &TableName| version.schema.tables.contains_key(table) || absent.as_ref() == Some(table);
    let far = reached.iter().filter(|(table, _)| is_there(table)).enumerate().filter_map(|(at, (table, reached))| {
        let key = key.as_ref()?;
        let n = at.to_string();
        let names: Vec<String> = (1..=key.len()).map(|n| format!("refactor_p{n}")).collect();
        let keys: Vec<String> = key.iter().zip(&names).map(|(k, p)| format!("b.{k} AS {p}")).collect();
        let of_k: Vec<String> = names.iter().map(|p| format!("k.{p}")).collect();
        let trigger = |what: &str| Ident::generated(&["~refactor_up", what, &n, floor.table.name.as_str()]);
        Some(Far {
            table: (*table).clone(),
            function: own(&["up_far", &n, floor.table.name.as_str()]),
            keys: keys.join(", "),
            of_k: of_k.join(", "),
            reached: reached.clone(),
            inserted: trigger("inserted"),
            updated: trigger("updated"),
            deleted: trigger("deleted"),
        })
    });
    let far: Vec<Far> = far.collect();
    let emptied: BTreeSet<&TableName> =
        far.iter().map(|f| &f.table).chain(key.is_some().then_some(base)).filter(|t| !tables.contains(t)).collect();
    let whole = |(table, events): (&TableName, _)| {
        let begun = Ident::generated(&["!refactor", "begun", floor.table.name.as_str()]);
        Whole { table: table.clone(), events, begun, trigger: trigger("up_every", floor) }
    };
    let all = tables.into_iter().filter(|t| is_there(t)).map(|t| (t, "INSERT OR UPDATE OR DELETE OR TRUNCATE"));
    let whole = all.chain(emptied.into_iter().map(|t| (t, "TRUNCATE"))).map(whole).collect();
    (far, whole)
}
