//! The complement tables: what they are made of, who may touch them, and what lets them follow the rows of the tables
//! whose values they keep.

use std::collections::BTreeSet;

use askama::Template;

use crate::generate::carry::{Key, Names, changed, guarded, key_columns, keys, owner, path_over, trigger};
use crate::generate::place::Place;
use crate::generate::rights::{Needs, without_grants};
use crate::generate::{Piece, all, comment, equal, get, is, kept, list, numbering, own, shaped, slice, told};
use crate::name::{Ident, TableName, delimited};
use crate::relation::NamesFields;
use crate::schema::{ConstraintKind, Grant};
use crate::sql::{Literal, rename_in_definition};
use crate::version::{Direction, Version};

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
            let renames = [(carry.column.clone(), names.value.clone())].into();
            let definition = match &constraint.kind {
                ConstraintKind::Check => rename_in_definition(&constraint.definition, &renames),
                ConstraintKind::Foreign(key) => {
                    let mut near = constraint.clone();
                    near.rename(&renames);
                    key.definition(&near, &key.table, &key.fields)
                }
                // A key of the complement alone could not keep both places apart.
                _ => continue,
            };
            constraints.push(Copied { name: constraint.name.clone(), definition });
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
        }
        .render()?;
        tables.push(Kept::of_one(&carry.step, names.complement, sql));
    }
    tables.extend(version.told.iter().map(|t| Kept::of_one(&t.step, told::done(t), told::done_table(version, t))));
    let added = version.added.iter();
    let added =
        added.map(|a| (&a.step, &a.table, Place::of_added(a), vec![a.type_name.clone()], "values of an added field"));
    let shaped = version.shaped.iter().map(|s| {
        let types = [&*s.column_types, &s.types].concat();
        (&s.step, &s.table, Place::of_shaped(s), types, "what the stored fields cannot tell exactly")
    });
    let mut beside: Vec<(&TableName, Vec<Ident>, Kept)> = Vec::new();
    for (step, table, place, types, what) in added.chain(shaped) {
        if place.has.is_none() {
            let values = place.columns().into_iter().zip(types).collect();
            let rows = (table, &*place.key);
            let sql =
                Complement::of(version, place.table.clone(), rows, values, &format!("{step}: {what}")).render()?;
            tables.push(Kept::of_one(step, place.table, sql));
            continue;
        }
        let there = beside.iter().position(|(of, ..)| *of == table);
        let there = there.unwrap_or_else(|| {
            let kept = Kept { table: place.table.clone(), sql: String::new(), parts: Vec::new() };
            beside.push((table, place.key.clone(), kept));
            beside.len() - 1
        });
        beside[there].2.parts.push(Part { step: step.clone(), shared: Some(Shared { place, types }) });
    }
    for (table, key, mut kept) in beside {
        let text = format!("values that {} has no columns for yet", table.short());
        let columns = kept.parts.iter().filter_map(|p| p.shared.as_ref()).flat_map(Shared::columns).collect();
        kept.sql = Complement::of(version, kept.table.clone(), (table, &*key), columns, &text).render()?;
        tables.push(kept);
    }
    let mut add = |step: &str, complement: Complement| {
        let name = complement.table.clone();
        complement.render().map(|sql| tables.push(Kept::of_one(step, name, sql)))
    };
    for numbering in &version.numberings {
        let key = &*numbering.key;
        let values = vec![(numbering::value(), numbering::value_type(numbering))];
        let text = format!("{}: the new numbers of rows", numbering.step);
        add(&numbering.step, Complement::of(version, numbering.kept(), (&numbering.table, key), values, &text))?;
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
    for kept in &mut tables {
        kept.sql = delimited(&kept.sql);
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
        let policies =
            complements.iter().map(|c| regranted(version, &c.table, target) + &policy(version, &c.table, target, key));
        let policies: Vec<String> = policies.collect();
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
        let sql = guarded(version, &sql, &[target]) + &policies.concat();
        Ok(Piece::new(format!("the complement follows the rows of `{}` ({steps})", target.short()), sql))
    };
    followers(version).into_iter().map(one).collect()
}

/// Privileges on a complement follow those on its table, which may be others than when it was made.
fn regranted(version: &Version, complement: &TableName, table: &TableName) -> String {
    let granted: Vec<String> = grants(version, table)
        .into_iter()
        .map(|g| format!("GRANT {} ON {complement} TO {};\n", g.privileges, g.role))
        .collect();
    without_grants("TABLE", complement) + "\n" + &granted.concat()
}

/// Where row policies decide who sees a row, they decide who sees what the complement has of it.
fn policy(version: &Version, complement: &TableName, table: &TableName, key: &[Ident]) -> String {
    if !version.schema.tables.get(table).is_some_and(|t| t.row_security) {
        return String::new();
    }
    let same = key.iter().zip(get::complement_keys(key.len())).map(|(k, c)| is("b", k, &c.to_string()));
    format!(
        "ALTER TABLE {complement} ENABLE ROW LEVEL SECURITY;\nCREATE POLICY refactor_rows ON {complement}\n  USING (EXISTS (SELECT FROM {table} AS b WHERE {}));\n",
        all(&same.collect::<Vec<_>>())
    )
}

/// Whoever may read and write a table may do with its complement what the view does with it on their behalf. Who may do
/// less of it reads and writes by views that act with their owner's rights, and needs no complement.
fn grants(version: &Version, table: &TableName) -> Vec<Granted> {
    let owner = Some(owner(version, table));
    let granted = version.schema.tables.get(table).into_iter().flat_map(|t| t.grants.iter().flatten());
    let granted: Vec<&Grant> = granted.filter(|g| g.role != owner).collect();
    let mut readers: BTreeSet<String> =
        granted.iter().filter(|g| g.privilege == "SELECT").map(|g| g.grantee()).collect();
    let all = Needs::All.roles(version, table);
    let writers: BTreeSet<String> = granted.iter().map(|g| g.grantee()).filter(|r| all.contains(r)).collect();
    readers.retain(|r| !writers.contains(r));
    let grant = |privileges: &str, roles: BTreeSet<String>| {
        let privileges = privileges.to_owned();
        roles.into_iter().map(move |role| Granted { privileges: privileges.clone(), role }).collect::<Vec<_>>()
    };
    let mut all = grant("SELECT", readers);
    all.extend(grant("SELECT, INSERT, UPDATE, DELETE", writers));
    all
}
