//! The put-back of a relation with fields from elsewhere: INSTEAD OF INSERT on the outer view, INSTEAD OF UPDATE on the
//! inner one, DELETE native.

use std::collections::BTreeSet;

use askama::Template;

use crate::generate::carry::{self, Names, is_partitioned};
use crate::generate::place::{self, Place};
use crate::generate::rule::{self, Rule};
use crate::generate::view::{kept_for_others, key_aliases, named};
use crate::generate::{all, comment, equal, get, is, list, lookup, mark, numbering, shaped, slice};
use crate::name::{Ident, TableName};
use crate::relation::{Home, Relation, Rows, Stores, row_key};
use crate::schema::{ConstraintKind, Field, Identity, Table, TableKind, Trigger};
use crate::sql::{Literal, trigger_arguments};
use crate::version::{Carry, Direction, Version};

/// A field that PostgreSQL fills.
pub(super) struct Generated {
    name: Ident,
    pub literal: Literal,
    pub detail: Literal,
    /// What to do where a table would take `OVERRIDING SYSTEM VALUE`.
    pub hint: Option<Literal>,
    /// What numbers it, where the base cannot be left to.
    pub draws: Option<String>,
}

impl Generated {
    /// `always`: it is an identity; else it is computed.
    pub fn new(name: &Ident, always: bool) -> Self {
        let what = if always { "an identity column defined as GENERATED ALWAYS" } else { "a generated column" };
        Self {
            name: name.clone(),
            literal: Literal(name.as_str().into()),
            detail: Literal(format!("Column \"{}\" is {what}.", name.as_str())),
            hint: always.then(|| {
                Literal("A view is not told of OVERRIDING SYSTEM VALUE; give such a row to the table itself.".into())
            }),
            draws: None,
        }
    }

    /// Those of a relation that cannot be given.
    pub fn of(relation: &Relation) -> impl Iterator<Item = Self> {
        let shapes = relation.fields.iter().map(|f| &f.shape);
        let always = |f: &Field| f.identity == Some(Identity::Always);
        shapes.filter(move |f| f.generated.is_some() || always(f)).map(move |f| Self::new(&f.name, always(f)))
    }
}

/// What every put-back in one function has: its name, whose rights it has, where it hangs.
pub(super) struct Frame {
    pub put: TableName,
    pub rights: String,
    pub owner: String,
    pub inner: TableName,
    pub outer: TableName,
    pub comment: Literal,
}

impl Frame {
    pub fn new(version: &Version, relation: &Relation, inner: &TableName, outer: &TableName, owned: bool) -> Self {
        Self {
            put: named(relation, "put"),
            rights: if owned { owners_rights(version, relation) } else { String::new() },
            owner: if owned { carry::owner(version, &relation.base).to_string() } else { String::new() },
            inner: inner.clone(),
            outer: outer.clone(),
            comment: about(relation),
        }
    }
}

fn about(relation: &Relation) -> Literal {
    comment(&format!("put-back of {} after {}", relation.name.short(), relation.touched_by.join(", ")))
}

impl std::fmt::Display for Generated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.name.fmt(f)
    }
}

/// What the row must satisfy to be one of the relation's.
struct Check {
    function: String,
    holds: String,
    schema: Literal,
    table: Literal,
    constraint: Literal,
    message: Literal,
}

struct Own {
    field: Ident,
    column: Ident,
    /// Whether what is written is what the statement said, so that nothing need be read back; and a row that has followed
    /// another shows that only later.
    as_said: bool,
}

struct Carried {
    field: Ident,
    get: TableName,
    set: TableName,
    part: &'static str,
    up: bool,
    keys_r: String,
    keys_old: String,
    has_key_r: String,
    lock_rows: String,
    or_key_changed: String,
    may_differ: String,
    /// Whether a trigger may store another value.
    rewritten: bool,
}

struct Kept {
    keep: String,
    is_own: String,
    /// Values now and before, on which it depends whether it must be kept. None if it must be looked at always.
    told_by: Option<Vec<(String, String)>>,
    may_differ: String,
    differs: String,
}

/// The row that a statement saw: by its key, or by its place if it has none.
fn this_row(key: &[Ident], old_keys: &[Ident]) -> String {
    if key.is_empty() {
        "b.ctid OPERATOR(pg_catalog.=) OLD.refactor_token".to_owned()
    } else {
        equal("b", key, "OLD", old_keys)
    }
}

/// Whether some of these values are not as they were.
fn differ(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    let (now, before): (Vec<String>, Vec<String>) = pairs.into_iter().unzip();
    format!("pg_catalog.record_image_ne(ROW({}), ROW({}))", list(&now), list(&before))
}

/// A field whose numbers the complement has.
struct Numbered {
    field: Ident,
    setting: Literal,
    given: String,
    get_r: String,
    kept: TableName,
    this_row: String,
}

#[derive(Template)]
#[template(path = "put_back.sql", escape = "none")]
struct PutBack {
    rights: String,
    owner: String,
    inner: TableName,
    outer: TableName,
    base: TableName,
    insert: TableName,
    update: TableName,
    comment: Literal,
    generated: Vec<Generated>,
    generated_changed: String,
    checks: Vec<Check>,
    early: Vec<Rule>,
    rules: Vec<Rule>,
    flags: Vec<String>,
    quiet: Vec<String>,
    look: String,
    unchanged: String,
    insert_columns: String,
    insert_values: String,
    overriding: bool,
    write: String,
    this_row: String,
    part_now: &'static str,
    part_changed: &'static str,
    has_up: bool,
    own: Vec<Own>,
    calculated: Vec<(Ident, String)>,
    carried: Vec<Carried>,
    added: Vec<Kept>,
    added_may_differ: String,
    numbered: Vec<Numbered>,
    keeps: Vec<(String, String)>,
    looks: Vec<lookup::Put>,
    part: Option<slice::Put>,
    without_parts: Vec<String>,
    delete: TableName,
    taken_along: Vec<String>,
    deletes: bool,
    /// Whether a DELETE need not look at the row first.
    at_once: bool,
    /// Whether a row that is deleted is gone.
    goes: bool,
    same: String,
    removal: String,
    no_mark: String,
    may_stay: bool,
}

/// Looks at the row as it is, locks it, and refuses what cannot be written to it.
#[derive(Template)]
#[template(path = "look.sql", escape = "none")]
struct Look<'p> {
    base: &'p TableName,
    this_row: String,
    /// Whether nothing but its place tells which row it is.
    by_place: bool,
    has_up: bool,
    part_now: &'static str,
    part_changed: &'static str,
    before: String,
    self_same: String,
    followed: String,
    only_followed: String,
    inner: &'p TableName,
    is_seen: String,
    goes_on: String,
    stale: Vec<String>,
    early: &'p [Rule],
}

impl<'p> Look<'p> {
    fn new(
        version: &Version,
        relation: &'p Relation,
        inner: &'p TableName,
        columns: &Columns,
        carried: &[Carried],
        early: &'p [Rule],
    ) -> Self {
        let key = row_key(version.table(relation)).unwrap_or_default();
        let old_keys = key_aliases(key.len());
        let partitioned = is_partitioned(version, &relation.base);
        let (part_now, part_changed) =
            if partitioned { (", b.tableoid AS part", " OR now.part <> OLD.refactor_part") } else { ("", "") };
        let unseen = |c: &Carried| {
            format!("pg_catalog.record_image_ne(ROW(({}({})){}), ROW(OLD.{}))", c.get, c.keys_old, c.part, c.field)
        };
        Self {
            base: &relation.base,
            this_row: this_row(&key, &old_keys),
            by_place: key.is_empty(),
            has_up: carried.iter().any(|c| c.up),
            part_now,
            part_changed,
            before: columns.looks.iter().map(|l| l.before.as_str()).collect(),
            self_same: self_same(version, relation, &columns.own, &key, &old_keys),
            followed: followed(version, relation, &key, &old_keys),
            only_followed: only_followed(version, relation, &columns.own, &key, &old_keys),
            inner,
            is_seen: equal("v", &old_keys, "OLD", &old_keys),
            goes_on: goes_on(version, relation),
            stale: carried.iter().map(unseen).chain(columns.looks.iter().flat_map(|l| l.stale.clone())).collect(),
            early,
        }
    }

    /// How an UPDATE tells by itself that there is nothing to look at: the row is what the statement saw, and may be
    /// written. Empty where it cannot tell. With `=` a plan could find the row by its place alone, and then does not look
    /// again after it has waited for another session (a fault of PostgreSQL until its releases of November 2025).
    fn unchanged(&self) -> String {
        let allowed = self.early.iter().map(|rule| format!(" AND ({}) IS NOT TRUE", rule.on_update));
        format!(" AND {}{}", self.same(), allowed.collect::<String>())
    }

    /// Whether the row is what the statement saw.
    fn same(&self) -> String {
        let part = if self.part_now.is_empty() { "" } else { " AND b.tableoid = OLD.refactor_part" };
        format!("b.ctid IS NOT DISTINCT FROM OLD.refactor_token{part}")
    }
}

/// What is written to the columns of the base.
#[derive(Default)]
struct Columns {
    own: Vec<Own>,
    generated: Vec<Generated>,
    calculated: Vec<(Ident, String)>,
    overriding: bool,
    insert: Vec<String>,
    values: Vec<String>,
    sets: Vec<Set>,
    keeps: Vec<(String, String)>,
    looks: Vec<lookup::Put>,
    flags: Vec<String>,
}

/// A column's value on update.
struct Set {
    column: Ident,
    value: String,
    /// Whether that is what the view's field is given.
    given: bool,
}

/// An UPDATE of the base, and when it is this one.
struct Update {
    when: String,
    sets: String,
}

/// The UPDATE of a row of the base, whichever it is.
fn write(updates: &[Update], base: &TableName, condition: &str) -> String {
    let mut sql = String::new();
    for (at, Update { when, sets }) in updates.iter().enumerate() {
        if !when.is_empty() {
            sql += &format!("{} {when} THEN\n  ", if at == 0 { "IF" } else { "ELSIF" });
        } else if updates.len() > 1 {
            sql += "ELSE\n  ";
        }
        sql += &format!("UPDATE {base} AS b SET {sets} WHERE {condition} RETURNING b.* INTO r;\n  ");
    }
    if updates.len() > 1 { sql + "END IF;" } else { sql.trim_end().to_owned() }
}

/// So many columns with triggers of their own have each an UPDATE with and without it.
const APART: usize = 4;

impl Columns {
    fn write(&mut self, column: &Ident, on_insert: String, value: String, given: bool) {
        self.insert.push(column.to_string());
        self.values.push(on_insert);
        self.sets.push(Set { column: column.clone(), value, given });
    }

    /// The ways to write a row. A column that a trigger asks for by name is left out where it has not changed: for a
    /// table it would only be written where the statement names it.
    fn updates(&self, table: &Table, key: &[Ident]) -> Vec<Update> {
        let asked = |column: &Ident| {
            table.triggers.iter().filter(|t| t.enabled != 'D' && t.definition.contains(" UPDATE")).any(|t| {
                t.fields.contains(column) || trigger_arguments(&t.definition).iter().any(|a| a == column.as_str())
            })
        };
        let given = |own: &&Own| self.sets.iter().any(|set| set.given && set.column == own.column);
        let mut apart: Vec<Vec<&Own>> =
            self.own.iter().filter(given).filter(|o| asked(&o.column)).map(|o| vec![o]).collect();
        if apart.len() > APART {
            apart = vec![apart.concat()];
        }
        let touched = key.iter().find(|c| !asked(c)).or(self.own.iter().map(|o| &o.column).find(|c| !asked(c)));
        let touch = touched.or(key.first()).map(|c| format!("{c} = b.{c}")).unwrap_or_default();
        let sets = |left_out: &[&Own]| {
            let written = self.sets.iter().filter(|set| !left_out.iter().any(|o| o.column == set.column));
            let written: Vec<String> = written.map(|set| format!("{} = {}", set.column, set.value)).collect();
            if written.is_empty() { touch.clone() } else { written.join(", ") }
        };
        let changed = |group: &[&Own]| {
            let of = |row: &str| list(&group.iter().map(|o| format!("{row}.{}", o.field)).collect::<Vec<_>>());
            format!("pg_catalog.record_image_ne(ROW({}), ROW({}))", of("NEW"), of("OLD"))
        };
        let full = (1_usize << apart.len()) - 1;
        let one = |mask: usize| {
            let (written, left_out): (Vec<_>, Vec<_>) =
                apart.iter().enumerate().partition(|(at, _)| mask & (1 << at) != 0);
            let written = written.iter().map(|(_, group)| changed(group));
            let kept = left_out.iter().map(|(_, group)| format!("NOT {}", changed(group)));
            let when = if mask == full { String::new() } else { all(&written.chain(kept).collect::<Vec<_>>()) };
            Update {
                when,
                sets: sets(&left_out.iter().flat_map(|(_, group)| group.iter().copied()).collect::<Vec<_>>()),
            }
        };
        (0..=full).map(one).collect()
    }

    /// The table's own fields.
    fn own(&mut self, version: &Version, relation: &Relation) {
        let table = version.table(relation);
        let following: BTreeSet<&Ident> = following(version, relation).flat_map(|(fields, _)| fields).collect();
        for field in &relation.fields {
            let name = &field.shape.name;
            // A part is not numbered, it has its row's number, and keeps it.
            let part = if let Rows::Slice(at) = relation.rows { Some(&version.slices[at]) } else { None };
            let identity = match field.home {
                Home::Own(at) => table.fields[at].identity,
                Home::Numbered(_) | Home::Shaped(..) => field.shape.identity,
                _ => None,
            };
            let identity = identity.filter(|_| part.is_none());
            // What comes from a floor has got its number there.
            let always = identity == Some(Identity::Always) && !version.is_under(relation);
            let filled = field.shape.generated.is_some() || always;
            if filled {
                // Of another type than the base has, its number is known before the row is.
                let shaped = matches!(field.home, Home::Shaped(..)).then_some(field.shape.sequence.as_ref()).flatten();
                let draws =
                    shaped.map(|s| format!("pg_catalog.nextval({}::pg_catalog.regclass)", Literal(s.to_string())));
                self.overriding |= draws.is_some();
                self.generated.push(Generated { draws, ..Generated::new(name, always) });
            }
            if let Home::Calculated(at) = field.home {
                self.calculated.push((name.clone(), get::calculated(&version.calculated[at], "r")));
            }
            let Home::Own(at) = field.home else { continue };
            let column = &table.fields[at].name;
            let follows = following.contains(column);
            let written = !filled && part.is_none_or(|p| !p.key.contains(column));
            let as_said = !rewrites(table) && (follows || written && stores_as_said(table));
            self.own.push(Own { field: name.clone(), column: column.clone(), as_said });
            if written {
                self.overriding |= identity.is_some();
                // What the statement leaves, a foreign key's action may have changed since.
                let value = if follows {
                    format!(
                        "CASE WHEN pg_catalog.record_image_ne(ROW(NEW.{name}), ROW(OLD.{name})) THEN NEW.{name} ELSE b.{column} END"
                    )
                } else {
                    format!("NEW.{name}")
                };
                if identity == Some(Identity::Always) {
                    // It is given once, and never again.
                    self.insert.push(column.to_string());
                    self.values.push(format!("NEW.{name}"));
                } else {
                    self.write(column, format!("NEW.{name}"), value, true);
                }
            }
        }
    }

    /// Fields that are told by expressions or by rows of other tables.
    fn told(&mut self, version: &Version, relation: &Relation, this_row: &str) {
        let group = |f: &crate::relation::Field| if let Home::Shaped(at, _) = f.home { Some(at) } else { None };
        let mut groups: Vec<usize> = relation.fields.iter().filter_map(group).collect();
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            let put = shaped::put(version, relation, group);
            for (column, on_insert, on_update) in put.columns {
                self.write(&column, on_insert, on_update, false);
            }
            self.keeps.push((put.changed, put.keep));
        }
        for put in (0..version.lookups.len()).filter_map(|at| lookup::put(version, relation, at, this_row)) {
            for (column, on_insert, on_update) in &put.columns {
                self.write(column, on_insert.clone(), on_update.clone(), false);
            }
            self.looks.push(put);
        }
    }

    /// Columns that nobody sees.
    fn hidden(&mut self, version: &Version, relation: &Relation) {
        for hidden in &relation.hidden {
            let numbered = relation.fields.iter().find_map(|f| match f.home {
                Home::Numbered(at) if version.numberings[at].key == [hidden.column.clone()] => {
                    Some(&version.numberings[at])
                }
                _ => None,
            });
            let value = match &hidden.stores {
                Stores::BaseDefault if let Some(numbering) = numbered => {
                    self.overriding = true;
                    format!("{}()", numbering::fresh(numbering))
                }
                Stores::BaseDefault => continue,
                Stores::Value(value) => value.to_string(),
                Stores::Adopted(carry) => {
                    self.flags.push(carry::via_setting(*carry));
                    format!("{}()", Names::of(&version.carries[*carry]).via)
                }
            };
            self.insert.push(hidden.column.to_string());
            self.values.push(value);
        }
    }
}

/// The put-back of a relation.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn put_back(
    version: &Version,
    relation: &Relation,
    inner: &TableName,
    outer: &TableName,
    owned: bool,
) -> Result<String, askama::Error> {
    let key = row_key(version.table(relation)).unwrap_or_default();
    let old_keys = key_aliases(key.len());
    let this_row = this_row(&key, &old_keys);
    let mut columns = Columns::default();
    columns.own(version, relation);
    columns.told(version, relation, &this_row);
    columns.hidden(version, relation);
    let (mut carried, mut added, mut quiet, mut numbered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for field in &relation.fields {
        match field.home {
            Home::Own(_) | Home::Shaped(..) | Home::Looked(..) | Home::Calculated(_) | Home::United(_) => {}
            Home::Carried(at) => {
                let one = &version.carries[at];
                if one.direction == Direction::Down {
                    quiet.push(carry::quiet_setting(at));
                }
                carried.push(one_carried(version, relation, &field.shape.name, one));
            }
            Home::Added(at) => added.push(one_added(version, relation, &field.shape.name, at)),
            Home::Numbered(at) => numbered.push(one_numbered(version, field, at)),
        }
    }
    let part = slice::put(version, relation, &this_row, &old_keys);
    let held = slice::held(version, relation);
    let refused = held.iter().filter(|h| h.on_delete);
    let refused = refused.map(|h| format!("IF {} THEN\n    {}\n  END IF;", h.stays, h.keeps_its_key));
    let own_parts: BTreeSet<String> = columns.looks.iter().filter_map(|l| l.take_away.clone()).collect();
    let mark = mark::removal(version, relation, &this_row);
    let marks = mark.is_some();
    let mark = mark.unwrap_or_else(|| mark::Removal::delete(relation, &this_row));
    let refused = refused.chain(mark.refused);
    let taken_along: Vec<String> =
        part.as_ref().map_or_else(|| refused.chain(own_parts).collect(), |part| part.take_away.clone());
    let kept_keys = held.into_iter().filter(|h| h.on_update).map(|h| h.keeps_its_key);
    let early: Vec<Rule> = rule::early(version, relation).into_iter().chain(kept_keys).collect();
    let look = Look::new(version, relation, inner, &columns, &carried, &early);
    // Values from elsewhere want the row locked before they are brought there.
    let written_at_once = !key.is_empty()
        && carried.is_empty()
        && columns.looks.is_empty()
        && part.is_none()
        && look.only_followed.is_empty();
    let unchanged = if written_at_once { look.unchanged() } else { String::new() };
    let same = look.same();
    let write =
        write(&columns.updates(version.table(relation), &key), &relation.base, &format!("{this_row}{unchanged}"));
    let (has_up, part_now, part_changed, look) = (look.has_up, look.part_now, look.part_changed, look.render()?);
    PutBack {
        look,
        unchanged,
        part_now,
        part_changed,
        rights: if owned { owners_rights(version, relation) } else { String::new() },
        owner: if owned { carry::owner(version, &relation.base).to_string() } else { String::new() },
        inner: inner.clone(),
        outer: outer.clone(),
        base: relation.base.clone(),
        insert: named(relation, "insert"),
        update: named(relation, "update"),
        delete: named(relation, "delete"),
        without_parts: slice::without_parts(version, relation),
        may_stay: part.is_none()
            && !taken_along.is_empty()
            && may_skip(version.table(relation), if marks { "UPDATE" } else { "DELETE" }),
        deletes: marks || !taken_along.is_empty() || place::one_look(version, relation).is_some(),
        at_once: part.is_none() && taken_along.is_empty() && !marks,
        goes: part.is_none() && !marks,
        same,
        removal: mark.statement,
        no_mark: mark.no_mark,
        taken_along,
        part,
        comment: about(relation),
        generated_changed: differ(columns.generated.iter().map(|g| (format!("NEW.{g}"), format!("OLD.{g}")))),
        generated: columns.generated,
        checks: checks(version, relation),
        early,
        rules: rule::rules(version, relation),
        flags: columns.flags,
        quiet,
        insert_columns: columns.insert.join(", "),
        insert_values: columns.values.join(", "),
        overriding: columns.overriding,
        write,
        this_row,
        looks: columns.looks,
        has_up,
        own: columns.own,
        calculated: columns.calculated,
        carried,
        added_may_differ: added
            .iter()
            .map(|a| a.told_by.clone())
            .collect::<Option<Vec<_>>>()
            .map_or_else(|| "true".into(), |each| differ(each.into_iter().flatten())),
        added,
        numbered,
        keeps: columns.keeps,
    }
    .render()
}

/// Whether a trigger of the table sees its rows before they are written so, and may keep them.
fn may_skip(table: &Table, event: &str) -> bool {
    table.triggers.iter().any(|t| t.definition.contains(" BEFORE ") && t.definition.contains(event))
}

/// Whether a trigger of the table sees its rows before they are stored, and may change them.
pub(super) fn rewrites(table: &Table) -> bool {
    let before = |t: &&Trigger| t.enabled != 'D' && t.definition.contains(" BEFORE ");
    let writes = |t: &Trigger| [" INSERT", " UPDATE"].iter().any(|event| t.definition.contains(event));
    table.triggers.iter().filter(before).any(writes)
}

/// Whether, its own triggers apart, a table's rows hold what is written to them. Partitions and heirs have others.
fn stores_as_said(table: &Table) -> bool {
    table.kind != TableKind::Foreign && table.children.is_empty() && table.rules.is_empty()
}

/// What lets a row be one of the part's. Each condition is a function in SQL, which is read once: in the text of a
/// trigger function the names in it would mean what the `search_path` of whoever writes makes of them.
fn checks(version: &Version, relation: &Relation) -> Vec<Check> {
    let (schema, table) = (relation.name.schema.as_str(), relation.name.name.as_str());
    let fields = &version.table(relation).fields;
    let one = |(at, condition): (usize, &crate::relation::Condition)| {
        // The rule itself is among the others.
        let check = condition.check.as_ref()?.as_str();
        let read: Vec<_> = fields.iter().filter(|f| condition.holds.fields().contains(&f.name)).collect();
        let arguments = read.iter().enumerate().map(|(i, f)| (f.name.clone(), format!("${}", i + 1))).collect();
        let name = named(relation, &format!("holds_{}", at + 1));
        let types = list(&read.iter().map(|f| f.type_name.clone()).collect::<Vec<_>>());
        Some(Check {
            function: format!(
                "CREATE FUNCTION {name}({types}) RETURNS boolean LANGUAGE sql RETURN ({})::boolean;\nCOMMENT ON FUNCTION {name} IS {};\n",
                condition.holds.with(&arguments),
                comment(&condition.step)
            ),
            holds: format!("{name}({})", list(&read.iter().map(|f| format!("r.{}", f.name)).collect::<Vec<_>>())),
            schema: Literal(schema.into()),
            table: Literal(table.into()),
            constraint: Literal(check.into()),
            message: Literal(format!("new row for relation \"{table}\" violates check constraint \"{check}\"")),
        })
    };
    relation.conditions().iter().enumerate().filter_map(one).collect()
}

/// A put-back of a view that acts with its owner's rights does so too.
fn owners_rights(version: &Version, relation: &Relation) -> String {
    let path: Vec<String> = version.schema.code_path().iter().map(|s| format!("{s}, ")).collect();
    format!(" SECURITY DEFINER SET search_path = pg_catalog, {}, {}pg_temp", relation.base.schema, path.concat())
}

/// In a self reference another row of the same statement may rightly have rewritten what this row keeps for others:
/// the row itself was then not changed by this statement before.
fn self_same(version: &Version, relation: &Relation, own: &[Own], key: &[Ident], old_keys: &[Ident]) -> String {
    let own_carries = relation.fields.iter().filter_map(|f| match f.home {
        Home::Carried(at) => Some((&version.carries[at], &f.shape.name)),
        _ => None,
    });
    let mut selves = own_carries.filter(|(c, _)| c.source == c.target).peekable();
    if selves.peek().is_none() {
        return String::new();
    }
    let row = equal("b", key, "OLD", old_keys);
    let now = list(&own.iter().map(|o| format!("b.{}", o.column)).collect::<Vec<_>>());
    let old = list(&own.iter().map(|o| format!("OLD.{}", o.field)).collect::<Vec<_>>());
    let (kept, seen): (Vec<String>, Vec<String>) = kept_for_others(version, relation)
        .iter()
        .map(|(column, alias)| (format!("b.{column}"), format!("OLD.{alias}")))
        .unzip();
    let mut same = format!(
        "EXISTS (SELECT FROM {} AS b WHERE {row} AND pg_catalog.record_image_eq(ROW({now}), ROW({old})) AND pg_catalog.record_image_ne(ROW({}), ROW({})))",
        relation.base,
        list(&kept),
        list(&seen)
    );
    for (carry, field) in selves {
        let names = Names::of(carry);
        let keys = list(&keys_of("OLD", version, relation, carry));
        same +=
            &format!(" AND pg_catalog.record_image_eq(ROW(({}({keys})){}), ROW(OLD.{field}))", names.get, part(carry));
    }
    format!(" AND NOT ({same})")
}

/// In a self reference: whether the row has followed another to a new key since the statement saw it.
fn followed(version: &Version, relation: &Relation, key: &[Ident], old_keys: &[Ident]) -> String {
    let mut conditions = Vec::new();
    for field in &relation.fields {
        let Home::Carried(at) = field.home else { continue };
        let hop = &version.carries[at].hops[0];
        let follows = carry::foreign_key(version, hop).is_some_and(|(_, key)| matches!(key.on_update, 'c' | 'n' | 'd'));
        if version.carries[at].source != version.carries[at].target || !follows {
            continue;
        }
        for column in &hop.from_columns {
            if let Some(shown) = relation.showing(&version.schema, column) {
                conditions.push(format!("pg_catalog.record_ne(ROW(b.{column}), ROW(OLD.{}))", shown.shape.name));
            }
        }
    }
    if conditions.is_empty() {
        return String::new();
    }
    let row = equal("b", key, "OLD", old_keys);
    format!("EXISTS (SELECT FROM {} AS b WHERE {row} AND ({}))", relation.base, conditions.join(" OR "))
}

/// A table's references to itself that follow a row to another key: their fields, and those that they refer to.
fn following<'v>(version: &'v Version, relation: &'v Relation) -> impl Iterator<Item = (&'v [Ident], &'v [Ident])> {
    version.table(relation).constraints.iter().filter_map(|c| match &c.kind {
        ConstraintKind::Foreign(to) if to.table == relation.base && matches!(to.on_update, 'c' | 'n' | 'd') => {
            Some((&c.fields[..], &to.fields[..]))
        }
        _ => None,
    })
}

/// Whether this statement has not written the row yet: a foreign key's action came with another row of it. What the
/// statement changes is as it was, but for the reference; if it changes that, too, the row now referred to is one that it
/// has written. Empty where no row can follow another, and where `followed` refuses it.
fn only_followed(version: &Version, relation: &Relation, own: &[Own], key: &[Ident], old_keys: &[Ident]) -> String {
    let follows = |o: &&Own| following(version, relation).any(|(fields, _)| fields.contains(&o.column));
    let (references, others): (Vec<&Own>, Vec<&Own>) = own.iter().partition(follows);
    if references.is_empty() || relation.fields.iter().any(|f| matches!(f.home, Home::Carried(_))) {
        return String::new();
    }
    let row = |row: &str, name: fn(&Own) -> &Ident| {
        format!("ROW({})", list(&references.iter().map(|o| format!("{row}.{}", name(o))).collect::<Vec<_>>()))
    };
    let (now, before, after) = (row("b", |o| &o.column), row("OLD", |o| &o.field), row("NEW", |o| &o.field));
    let untouched = others.iter().map(|Own { field, column, .. }| {
        format!(
            "(pg_catalog.record_image_eq(ROW(NEW.{field}), ROW(OLD.{field})) OR pg_catalog.record_image_eq(ROW(b.{column}), ROW(OLD.{field})))"
        )
    });
    let referred = following(version, relation).map(|(fields, to)| {
        let is_referred = equal("o", to, "b", fields);
        format!(
            " OR EXISTS (SELECT FROM {} AS o WHERE {is_referred} AND refactor.written_by_us(o.xmin))",
            relation.base
        )
    });
    let conditions = [
        equal("b", key, "OLD", old_keys),
        format!("pg_catalog.record_image_ne({now}, {before})"),
        format!("pg_catalog.record_image_ne({now}, {after})"),
        format!("(pg_catalog.record_image_eq({after}, {before}){})", referred.collect::<String>()),
    ];
    let conditions: Vec<String> = conditions.into_iter().chain(untouched).collect();
    format!("EXISTS (SELECT FROM {} AS b WHERE {})", relation.base, conditions.join("\n        AND "))
}

/// A statement of PL/pgSQL for a row that this transaction has written since an UPDATE saw it, and that is the row `seen` now.
/// If the statement itself wrote it, nothing is done. If what it changes is as it was, and something else is not, another's
/// write came with another row of the statement: then it goes on from there. Where other views show the same row, that
/// something may be what they show.
pub(super) fn goes_on(version: &Version, relation: &Relation) -> String {
    let fields: Vec<&Ident> = relation.fields.iter().map(|f| &f.shape.name).collect();
    let row = |row: &str| format!("ROW({})", list(&fields.iter().map(|f| format!("{row}.{f}")).collect::<Vec<_>>()));
    let differ = |one: &str, other: &str| format!("pg_catalog.record_image_ne({}, {})", row(one), row(other));
    let same = |one: &str, f: &Ident| format!("pg_catalog.record_image_eq(ROW({one}.{f}), ROW(OLD.{f}))");
    let untouched = fields.iter().map(|f| format!("({} OR {})", same("NEW", f), same("seen", f)));
    let shared = version.all().filter(|r| r.base == relation.base).count() > 1;
    let other = (!shared).then(|| differ("seen", "OLD"));
    let by_others: Vec<String> = other.into_iter().chain([differ("NEW", "OLD")]).chain(untouched).collect();
    let takes = |f: &&Ident| format!("  IF {} THEN NEW.{f} := seen.{f}; END IF;\n", same("NEW", f));
    format!(
        "IF NOT FOUND OR NOT ({}) THEN\n    RETURN NULL;\n  END IF;\n{}  OLD := seen;",
        by_others.join("\n    AND "),
        fields.iter().map(takes).collect::<String>()
    )
}

/// The complement's key of a row, from the view's `OLD` (or `NEW`) or the base row `r`.
fn keys_of(row: &str, version: &Version, relation: &Relation, carry: &Carry) -> Vec<String> {
    let columns = carry.target_key();
    if row == "r" {
        return columns.iter().map(|c| format!("r.{c}")).collect();
    }
    let shown = columns.iter().map(|c| {
        if let Some(field) = relation.showing(&version.schema, c) {
            format!("{row}.{}", field.shape.name)
        } else {
            // Not shown any more: the inner view keeps the row's key under its own name.
            let key = row_key(version.table(relation)).unwrap_or_default();
            let at = key.iter().position(|k| k == c).unwrap_or_default();
            format!("OLD.{}", key_aliases(key.len())[at])
        }
    });
    shown.collect()
}

/// The value in what a carry's `get` gives: up, that also tells whether the value is known.
fn part(carry: &Carry) -> &'static str {
    if carry.direction == Direction::Up { ".value" } else { "" }
}

fn one_carried(version: &Version, relation: &Relation, field: &Ident, carry: &Carry) -> Carried {
    let names = Names::of(carry);
    let shown = |columns: &[Ident]| -> Vec<Ident> {
        columns.iter().filter_map(|c| relation.showing(&version.schema, c)).map(|f| f.shape.name.clone()).collect()
    };
    let differs =
        |fields: &[Ident]| if fields.is_empty() { String::new() } else { format!(" OR {}", carry::changed(fields)) };
    let key_fields = shown(carry.target_key());
    let keys_old = keys_of("OLD", version, relation, carry);
    let own_change = format!("pg_catalog.record_image_ne(ROW(NEW.{field}), ROW(OLD.{field}))");
    let (lock_rows, or_key_changed, may_differ) = match carry.direction {
        Direction::Up => {
            let last = carry.hops.len() - 1;
            let group: Vec<String> = carry.hops[last]
                .from_columns
                .iter()
                .zip(&keys_old)
                .map(|(c, k)| is(&format!("a{last}"), c, k))
                .collect();
            let order = row_key(&version.schema.tables[&carry.source])
                .map(|key| format!(" ORDER BY {}", list(&key.iter().map(|c| format!("a0.{c}")).collect::<Vec<_>>())))
                .unwrap_or_default();
            let lock =
                format!("PERFORM 1 FROM {} WHERE {}{order} FOR NO KEY UPDATE OF a0;", get::members(carry), all(&group));
            let always = carry.source == carry.target;
            let may = if always { "true".into() } else { format!("{own_change}{}", differs(&key_fields)) };
            (lock, differs(&key_fields), may)
        }
        Direction::Down => {
            let first = &carry.hops[0];
            let mut from = format!("{} AS s", first.to);
            let mut of = "s".to_owned();
            for (i, hop) in carry.hops.iter().enumerate().skip(1) {
                let below = if i == 1 { "s".to_owned() } else { format!("m{i}") };
                of = format!("m{}", i + 1);
                from += &format!(
                    " JOIN {} AS {of} ON {}",
                    hop.to,
                    crate::generate::equal(&of, &hop.to_columns, &below, &hop.from_columns)
                );
            }
            let reference = shown(&first.from_columns);
            let this: Vec<String> =
                first.to_columns.iter().zip(&reference).map(|(c, f)| is("s", c, &format!("OLD.{f}"))).collect();
            let lock = if reference.len() == first.from_columns.len() {
                format!("PERFORM 1 FROM {from} WHERE {} FOR NO KEY UPDATE OF {of};", all(&this))
            } else {
                "NULL;".into()
            };
            (lock, String::new(), format!("{own_change}{}{}", differs(&reference), differs(&key_fields)))
        }
    };
    let keys_r = keys_of("r", version, relation, carry);
    Carried {
        field: field.clone(),
        get: names.get.clone(),
        set: names.set.clone(),
        part: part(carry),
        up: carry.direction == Direction::Up,
        has_key_r: all(&keys_r.iter().map(|k| format!("{k} IS NOT NULL")).collect::<Vec<_>>()),
        keys_r: list(&keys_r),
        keys_old: list(&keys_old),
        lock_rows,
        or_key_changed,
        may_differ,
        rewritten: rewrites(&version.schema.tables[&carry.source]),
    }
}

fn one_added(version: &Version, relation: &Relation, field: &Ident, at: usize) -> Kept {
    let added = &version.added[at];
    // What was shown before goes on being shown, unless it was told by columns that are others now.
    let before = |c: &Ident| relation.showing(&version.schema, c).map(|f| format!("OLD.{}", f.shape.name));
    let told_by = added.told_by();
    let told_by = told_by.iter().map(|c| Some((format!("r.{c}"), before(c)?)));
    let itself = Some((format!("NEW.{field}"), format!("OLD.{field}")));
    let differs = |shown: String| format!("pg_catalog.record_image_ne(ROW(NEW.{field}), ROW({shown}))");
    let told_by: Option<Vec<_>> = [itself].into_iter().chain(told_by).collect();
    Kept {
        may_differ: told_by.clone().map_or_else(|| "true".into(), differ),
        told_by,
        keep: Place::of_added(added).keep("r", &[format!("NEW.{field}")]),
        // What is copied may be written elsewhere meanwhile.
        is_own: if added.copied.is_some() { "true".into() } else { differs(get::seed(added, "r")) },
        differs: differs(get::added(added, "r")),
    }
}

fn one_numbered(version: &Version, field: &crate::relation::Field, at: usize) -> Numbered {
    let numbering = &version.numberings[at];
    let name = &field.shape.name;
    let always = field.shape.identity == Some(Identity::Always);
    Numbered {
        field: name.clone(),
        setting: Literal(numbering::setting(at)),
        given: if always { numbering::next(numbering) } else { format!("NEW.{name}") },
        get_r: numbering::get(numbering, "r"),
        kept: numbering.kept(),
        this_row: numbering::this_row(numbering, "x", "r"),
    }
}
