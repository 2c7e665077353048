//! A part of each row that a table of its own shows: which rows have it, and how it comes and goes.

use askama::Template;

use crate::generate::carry::{changed, guarded, path_over, rewritten, trigger};
use crate::generate::rule::{self, Rule};
use crate::generate::view::key_aliases;
use crate::generate::{Piece, all, comment, each_of, equal, get, list, own};
use crate::name::{Ident, TableName};
use crate::relation::{Relation, Rows};
use crate::schema::ConstraintKind;
use crate::sql::{Expression, Literal, codes};
use crate::version::{Slice, Version};

/// The complement: rows without the part.
#[must_use]
pub fn absent(slice: &Slice) -> TableName {
    own(&["kept", slice.id.as_str()])
}

/// Whether the row `row` has its part, of which `key` is the key.
#[must_use]
pub fn has_part(slice: &Slice, row: &str, key: &[Ident]) -> String {
    let this = equal("x", &get::complement_keys(key.len()), row, key);
    format!("NOT EXISTS (SELECT FROM {} AS x WHERE {this})", absent(slice))
}

/// Whether a row has no such part, and something else in these columns than there is without one.
#[must_use]
pub fn left_over(version: &Version, at: usize, row: &str, columns: &[Ident]) -> String {
    let slice = &version.slices[at];
    all(&[format!("NOT {}", has_part(slice, row, &slice.key)), differs(version, slice, row, columns)])
}

/// Whether each of these columns has something else than there is without a part.
fn differs(version: &Version, slice: &Slice, row: &str, columns: &[Ident]) -> String {
    let fields = &version.schema.tables[&slice.table].fields;
    let filled = |column: &Ident| {
        let fill = slice.columns.iter().position(|c| c == column).and_then(|at| slice.fill[at].clone());
        let field = fields.iter().find(|f| f.name == *column);
        let default = || Expression::parse(field?.default.as_ref()?).ok();
        let kind = field.map_or("text", |f| &f.type_name);
        let value = fill.or_else(default).unwrap_or_else(Expression::null);
        // What changes from one time to the next is no value that a row has had without a part.
        if codes::constant(&value).is_some() {
            format!("pg_catalog.record_image_ne(ROW({row}.{column}), ROW(({value})::{kind}))")
        } else {
            "true".to_owned()
        }
    };
    let differs: Vec<String> = columns.iter().map(filled).collect();
    all(&differs)
}

/// The same before it is written down which rows have a part: that is what the condition says. Not where another
/// refactoring's kept table says it, too.
#[must_use]
pub fn left_over_at_first(version: &Version, at: usize, row: &str, columns: &[Ident]) -> Option<String> {
    let slice = &version.slices[at];
    let holds = slice.holds.as_ref().filter(|_| slice.restores.is_none())?;
    Some(all(&[format!("({}) IS NOT TRUE", get::over(holds, row)), differs(version, slice, row, columns)]))
}

/// For the complement of rows `x` without a part: of which of them nothing else says so.
#[must_use]
pub fn not_told(version: &Version, complement: &TableName) -> Option<String> {
    let slice = version.slices.iter().find(|s| absent(s) == *complement && s.restores.is_none())?;
    let holds = get::over(slice.holds.as_ref()?, "t");
    let same = equal("x", &get::complement_keys(slice.key.len()), "t", &slice.key);
    Some(format!("NOT EXISTS (SELECT FROM {} AS t WHERE {same} AND ({holds}) IS NOT TRUE)", slice.table))
}

/// Whether parts of a relation's rows are shown by another, or it shows such parts.
#[must_use]
pub fn any(version: &Version, relation: &Relation) -> bool {
    matches!(relation.rows, Rows::Slice(_)) || of(version, relation).next().is_some()
}

/// The parts that a relation's rows may have in tables of their own.
fn of<'v>(version: &'v Version, relation: &'v Relation) -> impl Iterator<Item = (usize, &'v Slice)> {
    let here = move |(_, s): &(usize, &Slice)| s.table == relation.base && relation.rows == Rows::Whole;
    version.slices.iter().enumerate().filter(here)
}

/// Says that a row inserted through a relation has none of its parts yet: the row `r`.
#[must_use]
pub fn without_parts(version: &Version, relation: &Relation) -> Vec<String> {
    of(version, relation).map(|(_, s)| gone(s, &each_of("r", &s.key))).collect()
}

/// The key as a relation calls it.
fn key_names(version: &Version, relation: &Relation, slice: &Slice) -> Vec<Ident> {
    let shown = slice.key.iter().filter_map(|c| relation.showing(&version.schema, c));
    shown.map(|f| f.shape.name.clone()).collect()
}

/// Rows of a relation that keep their key, and must not go, while they have a part: its foreign key says so.
#[must_use]
pub fn held(version: &Version, relation: &Relation) -> Vec<Held> {
    let one = |(at, slice): (usize, &Slice)| {
        let part = version.all().find(|r| r.rows == Rows::Slice(at))?;
        let (constraint, key) = part.foreign_keys().find(|(_, key)| key.table == slice.table)?;
        let (name, of) = (&constraint.item.name, part.name.name.as_str());
        let message = format!(
            "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{of}\"",
            relation.name.name.as_str(),
            name.as_str()
        );
        let has_part = has_part(slice, "OLD", &key_aliases(slice.key.len()));
        let rule = rule::rule(part, "23503", ("CONSTRAINT", name), message);
        let names = key_names(version, relation, slice);
        Some(Held {
            keeps_its_key: Rule { on_update: format!("({}) AND {has_part}", changed(&names)), ..rule },
            stays: has_part,
            on_update: key.on_update != 'c',
            on_delete: key.on_delete != 'c',
        })
    };
    of(version, relation).filter_map(one).collect()
}

/// What a part's foreign key refuses.
pub struct Held {
    /// As a rule for updates.
    pub keeps_its_key: Rule,
    /// The condition under which a row is not deleted.
    pub stays: String,
    /// Whether a change of the key is refused.
    pub on_update: bool,
    /// Whether deleting is.
    pub on_delete: bool,
}

fn gone(slice: &Slice, keys: &[String]) -> String {
    let names = list(&get::complement_keys(keys.len()));
    format!("INSERT INTO {} ({names}) VALUES ({}) ON CONFLICT DO NOTHING;", absent(slice), list(keys))
}

/// How the put-back of a part finds its row.
pub struct Put {
    /// What a part without its key breaks.
    pub key: Vec<Rule>,
    /// `b.id = NEW.id`
    pub is_row: String,
    /// `x.refactor_key_1 = NEW.id`
    pub is_absent: String,
    /// The complement.
    pub absent: TableName,
    /// Makes the row one without the part.
    pub take_away: Vec<String>,
    /// Names for errors.
    pub schema: Literal,
    /// The same.
    pub table: Literal,
    /// What a part without its whole breaks.
    pub reference: Rule,
    /// What a second part breaks.
    pub unique: Rule,
    /// Whether an update changes the key.
    pub key_changed: String,
}

/// What a put-back needs to know of a part.
#[must_use]
pub fn put(version: &Version, relation: &Relation, this_row: &str, old_keys: &[Ident]) -> Option<Put> {
    let Rows::Slice(at) = relation.rows else { return None };
    let slice = &version.slices[at];
    let names = key_names(version, relation, slice);
    let (schema, table) = (relation.name.schema.as_str(), relation.name.name.as_str());
    let constraint = |wanted: fn(&ConstraintKind) -> bool| {
        let found = relation.constraints.iter().find(|c| wanted(&c.item.kind) && c.item.fields == names);
        found.map_or_else(|| Ident::new(""), |c| c.item.name.clone())
    };
    let key = constraint(|k| matches!(k, ConstraintKind::Foreign(_)));
    let unique = constraint(|k| matches!(k, ConstraintKind::Primary | ConstraintKind::Unique));
    let null = |name: &Ident| Rule { on_insert: format!("NEW.{name} IS NULL"), ..rule::missing(relation, name) };
    let resets = slice.columns.iter().zip(&slice.fill).map(|(column, fill)| {
        format!("{column} = {}", fill.as_ref().map_or_else(|| "DEFAULT".to_owned(), |f| format!("({f})")))
    });
    let reset = format!("UPDATE {} AS b SET {} WHERE {this_row};", slice.table, list(&resets.collect::<Vec<_>>()));
    Some(Put {
        key: names.iter().map(null).collect(),
        is_row: equal("b", &slice.key, "NEW", &names),
        is_absent: equal("x", &get::complement_keys(slice.key.len()), "NEW", &names),
        absent: absent(slice),
        take_away: vec![reset, gone(slice, &each_of("OLD", old_keys))],
        schema: Literal(schema.into()),
        table: Literal(table.into()),
        reference: rule::dangling(relation, &key),
        unique: rule::duplicate(relation, &unique),
        key_changed: changed(&names),
    })
}

#[derive(Template)]
#[template(path = "slice.sql", escape = "none")]
struct Companions {
    function: TableName,
    path: String,
    absent: TableName,
    is_new: String,
    keys: String,
    new_keys: String,
    table: TableName,
    changed: String,
    holds: String,
    trigger_with: Ident,
    trigger_without: Ident,
    trigger_insert: Ident,
    comment: Literal,
}

/// The triggers that look at what old code writes.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn companions(version: &Version, slice: &Slice) -> Result<Piece, askama::Error> {
    let keys = get::complement_keys(slice.key.len());
    let sql = Companions {
        function: own(&["part", slice.id.as_str()]),
        path: path_over(std::iter::once(&slice.table.schema)),
        absent: absent(slice),
        is_new: equal("x", &keys, "NEW", &slice.key),
        keys: list(&keys),
        new_keys: list(&each_of("NEW", &slice.key)),
        table: slice.table.clone(),
        changed: rewritten(&slice.columns),
        holds: slice.holds.as_ref().map(|h| get::over(h, "NEW")).unwrap_or_default(),
        trigger_with: trigger("updated", &Ident::generated(&[slice.id.as_str(), "with"])),
        trigger_without: trigger("updated", &Ident::generated(&[slice.id.as_str(), "without"])),
        trigger_insert: trigger("insert", &slice.id),
        comment: comment(&slice.step),
    }
    .render()?;
    let sql = guarded(version, &sql, &[&slice.table]);
    let title =
        format!("what old code writes tells which rows of `{}` have a part ({})", slice.table.short(), slice.step);
    Ok(Piece::new(title, sql))
}

/// Which rows have no part when it is shown first; nothing if all have one. A kept table may tell of more that have.
#[must_use]
pub fn seed(slice: &Slice, kept: Option<&TableName>) -> Option<String> {
    let holds = slice.holds.as_ref()?;
    let told = slice.restores.as_ref().zip(kept).map(|((_, columns), kept)| {
        format!(" AND NOT EXISTS (SELECT FROM {kept} AS k WHERE {})", equal("k", columns, "b", &slice.key))
    });
    Some(format!(
        "INSERT INTO {} ({})\nSELECT {} FROM {} AS b WHERE ({}) IS NOT TRUE{};",
        absent(slice),
        list(&get::complement_keys(slice.key.len())),
        list(&each_of("b", &slice.key)),
        slice.table,
        get::over(holds, "b"),
        told.unwrap_or_default()
    ))
}
