//! What a carried field needs besides its view: the complement, helper functions, companion triggers on base tables.

use std::collections::BTreeSet;

use askama::Template;

use crate::generate::place::{self, Place};
use crate::generate::{Piece, all, comment, equal, get, kept, list, numbering, own, shaped, slice, told};
use crate::name::{Ident, TableName};
use crate::schema::{Constraint, ConstraintKind, ForeignKey, Grant, TableKind};
use crate::sql::{Literal, rename_in_definition};
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
struct Key {
    arg: String,
    type_name: String,
    collation: String,
    complement: Ident,
    target: Ident,
}

fn keys(version: &Version, carry: &Carry) -> Vec<Key> {
    key_columns(version, &carry.target, carry.target_key())
}

fn key_columns(version: &Version, table: &TableName, columns: &[Ident]) -> Vec<Key> {
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

/// A constraint of a complement table.
struct Copied {
    name: Ident,
    definition: String,
}

/// Privileges on a complement table.
struct Granted {
    privileges: String,
    role: String,
}

#[derive(Template)]
#[template(path = "complement.sql", escape = "none")]
struct Complement {
    unlogged: bool,
    table: TableName,
    keys: Vec<Key>,
    key_list: String,
    values: Vec<(Ident, String)>,
    unknown: bool,
    constraints: Vec<Copied>,
    comment: Literal,
    owner: Ident,
    grants: Vec<Granted>,
}

/// A complement table. It holds data: created when its first refactoring is deferred, dropped when its last one is undone
/// or materialized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub table: TableName,
    /// The statements that create it.
    pub sql: String,
    /// What it keeps: of one refactoring, unless several share it.
    pub parts: Vec<Part>,
}

/// What a complement table keeps for one refactoring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The refactoring.
    pub step: String,
    /// Where others share the table.
    pub shared: Option<Shared>,
}

/// Columns of a complement table that several fields share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Their names.
    pub place: Place,
    /// The types of all but the first, which says whether a row has them.
    pub types: Vec<String>,
}

impl Part {
    /// The column that says whether a row has this, where others share the table.
    #[must_use]
    pub fn has(&self) -> Option<&Ident> {
        self.shared.as_ref()?.place.has.as_ref()
    }
}

impl Shared {
    /// The columns, with their types and what they start with.
    #[must_use]
    pub fn columns(&self) -> Vec<(Ident, String)> {
        let has = self.place.has.iter().map(|has| (has.clone(), "boolean NOT NULL DEFAULT false".to_owned()));
        let values = self.place.columns().into_iter().skip(1).zip(self.types.iter().cloned());
        has.chain(values).collect()
    }
}

impl Kept {
    /// The columns that several fields share, but for the key.
    pub fn columns(&self) -> impl Iterator<Item = (TableName, Ident)> {
        let columns = self.parts.iter().filter_map(|p| p.shared.as_ref()).flat_map(Shared::columns);
        columns.map(|(column, _)| (self.table.clone(), column))
    }

    fn of_one(step: &str, table: TableName, sql: String) -> Self {
        Self { table, sql, parts: vec![Part { step: step.to_owned(), shared: None }] }
    }
}

/// The complement tables of a version.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn complements(version: &Version) -> Result<Vec<Kept>, askama::Error> {
    let mut tables = Vec::new();
    for carry in version.carries.iter().chain(version.dormant.iter().map(|d| &d.carry)) {
        let names = Names::of(carry);
        let mut constraints = Vec::new();
        let source = &version.schema.tables[&carry.source];
        for at in &carry.constraints {
            let constraint = &source.constraints[*at];
            // A key of the complement alone could not keep both places apart.
            if matches!(constraint.kind, ConstraintKind::Check | ConstraintKind::Foreign(_)) {
                let renames = [(carry.column.clone(), names.value.clone())].into();
                let definition = rename_in_definition(&constraint.definition, &renames);
                constraints.push(Copied { name: constraint.name.clone(), definition });
            }
        }
        let collation = carry.collation.as_ref().map(|c| format!(" COLLATE {c}")).unwrap_or_default();
        let sql = Complement {
            unlogged: version.schema.tables[&carry.target].unlogged,
            table: names.complement.clone(),
            key_list: list(&names.complement_keys(carry)),
            keys: keys(version, carry),
            values: vec![(names.value.clone(), format!("{}{collation}", carry.type_name))],
            unknown: carry.direction == Direction::Up,
            constraints,
            comment: comment(&format!(
                "{}: values of {} that {} cannot hold",
                carry.step, carry.words.as_field, carry.source
            )),
            owner: owner(version, &carry.target),
            grants: grants(version, &carry.target),
        }
        .render()?;
        tables.push(Kept::of_one(&carry.step, names.complement, sql));
    }
    tables.extend(version.told.iter().map(|t| Kept::of_one(&t.step, told::done(t), told::done_table(version, t))));
    let added = version.added.iter().filter(|a| a.shared);
    let added = added.map(|a| (&a.step, &a.table, &*a.key, Place::of_added(a), vec![a.type_name.clone()]));
    let shaped = version.shaped.iter().filter(|s| s.shared);
    let shaped = shaped.map(|s| {
        let types = [&*s.column_types, &s.types].concat();
        (&s.step, &s.table, &*s.key, Place::of_shaped(s), types)
    });
    let mut beside: Vec<(&TableName, &[Ident], Kept)> = Vec::new();
    for (step, table, key, place, types) in added.chain(shaped) {
        let part = Part { step: step.clone(), shared: Some(Shared { place, types }) };
        let there = beside.iter().position(|(of, ..)| *of == table);
        let there = there.unwrap_or_else(|| {
            let kept = Kept { table: place::shared(table), sql: String::new(), parts: Vec::new() };
            beside.push((table, key, kept));
            beside.len() - 1
        });
        beside[there].2.parts.push(part);
    }
    for (table, key, mut kept) in beside {
        let text = format!("values that {} has no columns for yet", table.short());
        let columns = kept.parts.iter().filter_map(|p| p.shared.as_ref()).flat_map(Shared::columns).collect();
        kept.sql = Complement::of(version, kept.table.clone(), (table, key), columns, &text).render()?;
        tables.push(kept);
    }
    let mut add = |step: &str, complement: Complement| {
        let name = complement.table.clone();
        complement.render().map(|sql| tables.push(Kept::of_one(step, name, sql)))
    };
    for added in version.added.iter().filter(|a| !a.shared) {
        let place = Place::of_added(added);
        let values = vec![(place.value().clone(), added.type_name.clone())];
        let text = format!("{}: values of an added field", added.step);
        add(&added.step, Complement::of(version, place.table, (&added.table, &added.key), values, &text))?;
    }
    for numbering in &version.numberings {
        let key = &*numbering.key;
        let values = vec![(numbering::value(), numbering::value_type(numbering))];
        let text = format!("{}: the new numbers of rows", numbering.step);
        add(&numbering.step, Complement::of(version, numbering.kept(), (&numbering.table, key), values, &text))?;
    }
    for shaped in version.shaped.iter().filter(|s| !s.shared) {
        let place = Place::of_shaped(shaped);
        let types = shaped.column_types.iter().chain(&shaped.types).cloned();
        let values = place.columns().into_iter().zip(types).collect();
        let text = format!("{}: what the stored fields cannot tell exactly", shaped.step);
        add(&shaped.step, Complement::of(version, place.table, (&shaped.table, &shaped.key), values, &text))?;
    }
    for (looked_up, kept) in version.lookups.iter().flat_map(|l| l.kept.iter().map(move |k| (l, k))) {
        let values = vec![(Ident::new("refactor_value"), looked_up.types[kept.member].clone())];
        let text = format!("{}: values that are found nowhere", looked_up.step);
        let rows = (&looked_up.table, &*kept.key);
        add(&looked_up.step, Complement::of(version, kept::kept_in(kept), rows, values, &text))?;
    }
    for slice in &version.slices {
        let text = format!("{}: rows that have no such part", slice.step);
        let (name, rows) = (slice::absent(slice), (&slice.table, &*slice.key));
        add(&slice.step, Complement::of(version, name, rows, Vec::new(), &text))?;
    }
    Ok(tables)
}

impl Complement {
    /// One that has values for rows of a table by their key.
    fn of(
        version: &Version,
        name: TableName,
        (table, key): (&TableName, &[Ident]),
        values: Vec<(Ident, String)>,
        text: &str,
    ) -> Self {
        Self {
            unlogged: version.schema.tables[table].unlogged,
            table: name,
            key_list: list(&get::complement_keys(key.len())),
            keys: key_columns(version, table, key),
            values,
            unknown: false,
            constraints: Vec::new(),
            comment: comment(text),
            owner: owner(version, table),
            grants: grants(version, table),
        }
    }
}

#[derive(Template)]
#[template(path = "forget.sql", escape = "none")]
struct Forget {
    function: TableName,
    trigger: Ident,
    trigger_update: Ident,
    trigger_truncate: Ident,
    path: String,
    complements: Vec<Forgetful>,
    complement_is_old: String,
    target: TableName,
    target_is_old: String,
    key_changed: String,
    changed: String,
    follow: String,
    comment: Literal,
}

/// A complement whose rows go and are renumbered with those of a table.
struct Forgetful {
    steps: Vec<String>,
    id: Ident,
    table: TableName,
    /// What of it holds no more when some values are stored anew, and how it is forgotten.
    anew: Vec<(String, String)>,
    /// Schemas of the tables whose types it may have to compare.
    schemas: Vec<Ident>,
}

impl Forgetful {
    fn new(step: &str, id: &Ident, schemas: Vec<Ident>) -> Self {
        let table = own(&["kept", id.as_str()]);
        Self { steps: vec![step.to_owned()], id: id.clone(), table, anew: Vec::new(), schemas }
    }
}

/// The complements that follow the rows of one table by one key, for each of these.
fn followers(version: &Version) -> Vec<(&TableName, &[Ident], Vec<Forgetful>)> {
    let mut groups: Vec<(&TableName, &[Ident], Vec<Forgetful>)> = Vec::new();
    let mut add = |table, key, mut one: Forgetful| match groups.iter_mut().find(|(t, k, _)| (*t, *k) == (table, key)) {
        Some((.., all)) => match all.iter_mut().find(|other| other.table == one.table) {
            Some(other) => {
                other.steps.append(&mut one.steps);
                other.anew.append(&mut one.anew);
            }
            None => all.push(one),
        },
        None => groups.push((table, key, vec![one])),
    };
    for carry in version.carries.iter().chain(version.dormant.iter().map(|d| &d.carry)) {
        let schemas = carry.hops.iter().flat_map(|h| [h.from.schema.clone(), h.to.schema.clone()]).collect();
        add(&carry.target, carry.target_key(), Forgetful::new(&carry.step, &carry.id, schemas));
    }
    for added in &version.added {
        let apart = Forgetful::new(&added.step, &added.id, vec![added.table.schema.clone()]);
        add(&added.table, &added.key, Forgetful { table: Place::of_added(added).table, ..apart });
    }
    let numbered = version.numberings.iter().map(|n| (&n.step, &n.id, &n.table, &*n.key));
    let sliced = version.slices.iter().map(|s| (&s.step, &s.id, &s.table, &*s.key));
    let looked_up = version.lookups.iter().flat_map(|l| l.kept.iter().map(move |k| (l, k)));
    let looked_up = looked_up.map(|(l, k)| (&l.step, &k.id, &l.table, &*k.key));
    for (step, id, table, key) in numbered.chain(sliced).chain(looked_up) {
        add(table, key, Forgetful::new(step, id, vec![table.schema.clone()]));
    }
    for shaped in &version.shaped {
        let place = Place::of_shaped(shaped);
        let anew = vec![(shaped::columns_changed(shaped), place.forget())];
        let apart = Forgetful::new(&shaped.step, &shaped.id, vec![shaped.table.schema.clone()]);
        add(&shaped.table, &shaped.key, Forgetful { table: place.table, anew, ..apart });
    }
    groups
}

/// What lets the complements forget rows that are deleted, whoever deletes them. One set of triggers a table: each costs
/// every statement the reading of its condition.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn forgetting(version: &Version) -> Result<Vec<Piece>, askama::Error> {
    let one = |(target, key, complements): (&TableName, &[Ident], Vec<Forgetful>)| {
        let follow = get::complement_keys(key.len());
        let is_old = equal("x", &follow, "OLD", key);
        let follow: Vec<String> = follow.iter().zip(key).map(|(c, k)| format!("{c} = NEW.{k}")).collect();
        let id = complements[0].id.clone();
        let steps: BTreeSet<&str> = complements.iter().flat_map(|c| &c.steps).map(String::as_str).collect();
        let steps = list(&steps.into_iter().collect::<Vec<_>>());
        let key_changed = changed(key);
        let anew = complements.iter().flat_map(|c| &c.anew).map(|(condition, _)| condition);
        let policies: Vec<String> = complements.iter().map(|c| policy(version, &c.table, target, key)).collect();
        let sql = Forget {
            function: own(&["forget", id.as_str()]),
            trigger: trigger("forget", &id),
            trigger_update: trigger("follow", &id),
            trigger_truncate: trigger("forget_all", &id),
            changed: std::iter::once(&key_changed).chain(anew).cloned().collect::<Vec<_>>().join(" OR "),
            key_changed,
            follow: list(&follow),
            path: path_over(complements.iter().flat_map(|c| &c.schemas)),
            complement_is_old: is_old,
            target_is_old: equal("b", key, "OLD", key),
            target: target.clone(),
            comment: comment(&steps),
            complements,
        }
        .render()?;
        let sql = guarded(version, &sql, &[target], &[], target) + &policies.concat();
        Ok(Piece::new(format!("the complement follows the rows of `{}` ({steps})", target.short()), sql))
    };
    followers(version).into_iter().map(one).collect()
}

/// The owner of a base table.
#[must_use]
pub fn owner(version: &Version, table: &TableName) -> Ident {
    let owner = version.schema.tables.get(table).and_then(|t| t.owner.as_ref());
    owner.or(version.schema.user.as_ref()).cloned().unwrap_or_else(|| Ident::new("postgres"))
}

/// Where row policies decide who sees a row, they decide who sees what the complement has of it.
fn policy(version: &Version, complement: &TableName, table: &TableName, key: &[Ident]) -> String {
    if !version.schema.tables.get(table).is_some_and(|t| t.row_security) {
        return String::new();
    }
    let same = key.iter().zip(get::complement_keys(key.len())).map(|(k, c)| format!("b.{k} = {c}"));
    format!(
        "ALTER TABLE {complement} ENABLE ROW LEVEL SECURITY;\nCREATE POLICY refactor_rows ON {complement}\n  USING (EXISTS (SELECT FROM {table} AS b WHERE {}));\n",
        all(&same.collect::<Vec<_>>())
    )
}

/// Whoever may touch a table may do with its complement what the view does with it on their behalf. Who may touch single
/// fields only reads views that act with their owner's rights, and needs no complement.
fn grants(version: &Version, table: &TableName) -> Vec<Granted> {
    let owner = Some(owner(version, table));
    let granted = version.schema.tables.get(table).into_iter().flat_map(|t| t.grants.iter().flatten());
    let granted = granted.filter(|g| g.role != owner);
    let (mut readers, mut writers) = (BTreeSet::new(), BTreeSet::new());
    for grant in granted {
        let list = if is_write(grant) { &mut writers } else { &mut readers };
        list.insert(grantee(grant));
    }
    readers.retain(|r| !writers.contains(r));
    let grant = |privileges: &str, roles: BTreeSet<String>| {
        let privileges = privileges.to_owned();
        roles.into_iter().map(move |role| Granted { privileges: privileges.clone(), role }).collect::<Vec<_>>()
    };
    let mut all = grant("SELECT", readers);
    all.extend(grant("SELECT, INSERT, UPDATE, DELETE", writers));
    all
}

fn is_write(grant: &Grant) -> bool {
    matches!(grant.privilege.as_str(), "INSERT" | "UPDATE" | "DELETE")
}

fn grantee(grant: &Grant) -> String {
    grant.role.as_ref().map_or_else(|| "PUBLIC".to_owned(), ToString::to_string)
}

/// The owner of all these tables, if it is one.
#[must_use]
pub fn one_owner(version: &Version, tables: &[&TableName]) -> Option<Ident> {
    let owners: BTreeSet<Ident> = tables.iter().map(|t| owner(version, t)).collect();
    owners.into_iter().next().filter(|first| tables.iter().all(|t| owner(version, t) == *first))
}

/// Who works with more rights than the caller's must be nobody's tool: such a function belongs to the tables' owner, and
/// only a put-back may call it, on behalf of those who may write.
pub(super) fn guarded(
    version: &Version,
    sql: &str,
    tables: &[&TableName],
    called: &[&TableName],
    target: &TableName,
) -> String {
    let mut sql = sql.to_owned();
    let names = |text: &str| -> Vec<String> {
        let heads = text.lines().filter_map(|l| l.strip_prefix("CREATE FUNCTION "));
        heads.filter_map(|l| l.split_once('(').map(|(name, _)| name.to_owned())).collect()
    };
    let owner = one_owner(version, tables);
    for name in names(&sql) {
        if let Some(owner) = &owner {
            sql += &format!("ALTER FUNCTION {name} OWNER TO {owner};\n");
        }
        sql += &format!("REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC;\n");
    }
    let table = version.schema.tables.get(target);
    let granted = table.into_iter().flat_map(|t| t.grants.iter().flatten());
    let writers: BTreeSet<String> = granted.filter(|g| is_write(g)).map(grantee).collect();
    if !called.is_empty() && !writers.is_empty() {
        let writers: Vec<String> = writers.into_iter().collect();
        sql += &format!("GRANT EXECUTE ON FUNCTION {} TO {};\n", list(called), writers.join(", "));
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
    let mut sql = guarded(version, &sql, &tables, &[&names.get, &names.set], &carry.target);
    // The default of a hidden field is asked for by whoever inserts, and only speaks of the row.
    sql += &format!("GRANT EXECUTE ON FUNCTION {} TO PUBLIC;\n", names.via);
    let title = format!(
        "helpers and table triggers for `{}.{}` ({})",
        carry.words.to.short(),
        carry.words.as_field,
        carry.step
    );
    Ok(Piece::new(title, sql))
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

/// `ROW(OLD.a, OLD.b) IS DISTINCT FROM ROW(NEW.a, NEW.b)`
pub(super) fn changed(columns: &[Ident]) -> String {
    let of = |row: &str| list(&columns.iter().map(|c| format!("{row}.{c}")).collect::<Vec<_>>());
    format!("ROW({}) IS DISTINCT FROM ROW({})", of("OLD"), of("NEW"))
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
    winner_type: String,
    q_keys: String,
    new_keys_as: String,
    new_key_list: String,
    new_value: String,
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
    let comparable = version.schema.tables[&carry.source].fields.iter().any(|f| f.name == carry.column && f.comparable);
    let args: Vec<String> = keys.iter().map(|k| k.arg.clone()).collect();
    let prefixed = |prefix: &str| args.iter().map(|a| format!("{prefix}{a}")).collect::<Vec<_>>();
    let pair = |left: &str, columns: &[Ident], values: &[String]| {
        all(&columns.iter().zip(values).map(|(c, v)| format!("{left}.{c} = {v}")).collect::<Vec<_>>())
    };
    let group_row = format!("a{last}");
    let in_group = |values: &[String]| pair(&group_row, group, values);
    let target_row = |values: &[String]| pair("b", carry.target_key(), values);
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
    let value_of = |row: &str| {
        if comparable { format!("{row}.{}", carry.column) } else { format!("{row}.{}::text", carry.column) }
    };
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
        complement_row: pair("x", &names.complement_keys(carry), &args),
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
        same_key: format!("ROW({}) IS NOT DISTINCT FROM ROW({})", list(&prefixed("again_")), list(&args)),
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
        winner_type: if comparable { carry.type_name.clone() } else { "text".into() },
        q_keys: list(&prefixed("q.")),
        new_keys_as: list(&member_keys.iter().zip(&args).map(|(m, a)| format!("{m} AS {a}")).collect::<Vec<_>>()),
        new_key_list: list(&member_keys),
        new_value: value_of("a0"),
        member_value: value_of("a0"),
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
}

fn down(version: &Version, index: usize) -> Result<String, askama::Error> {
    let carry = &version.carries[index];
    let names = Names::of(carry);
    let id = carry.id.as_str();
    let keys = keys(version, carry);
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
        path: search_path(carry),
        column: carry.column.clone(),
        source: carry.source.clone(),
        target: carry.target.clone(),
        complement: names.complement.clone(),
        complement_keys: list(&complement_columns),
        first_complement_key: complement_columns[0].clone(),
        value: names.value.clone(),
        comment: comment(&carry.step),
        complement_row: all(&complement_columns
            .iter()
            .zip(&keys)
            .map(|(c, k)| format!("x.{c} = {}", k.arg))
            .collect::<Vec<_>>()),
        complement_joined: equal("x", &complement_columns, "b", &carry.row_key),
        complement_is_new: equal("x", &complement_columns, "NEW", &carry.row_key),
        target_left_source: left,
        target_to_source: way,
        target_row: all(&carry
            .row_key
            .iter()
            .zip(&keys)
            .map(|(c, k)| format!("b.{c} = {}", k.arg))
            .collect::<Vec<_>>()),
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
        keys,
    }
    .render()
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
