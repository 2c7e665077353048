//! The two views of a relation: an inner one with hidden fields, an outer one that users see.

use askama::Template;

use crate::generate::carry::{Names, is_partitioned};
use crate::generate::put::Frame;
use crate::generate::{Class, Piece, comment, get, link, numbering, own, place, put, rights, spread, told, united};
use crate::name::{Ident, TableName};
use crate::relation::{Field, Home, Relation, Rows, Stores, row_key};
use crate::schema::{Field as Shape, Identity};
use crate::sql::Literal;
use crate::version::Version;

/// A field of the view.
struct Shown {
    name: Ident,
    get: String,
    default: String,
    comment: String,
}

/// A column of the base under a name that no field can have.
struct Alias {
    column: Ident,
    name: Ident,
    default: String,
}

#[derive(Template)]
#[template(path = "view.sql", escape = "none")]
struct View {
    inner: TableName,
    outer: TableName,
    base: TableName,
    one_look: String,
    rows: String,
    checked: bool,
    barrier: bool,
    invoker: bool,
    fields: Vec<Shown>,
    hidden: Vec<Alias>,
    keys: Vec<Alias>,
    partitioned: bool,
    inner_comment: Literal,
    outer_comment: Literal,
    united: Option<String>,
    put: Option<String>,
    rights: Vec<String>,
}

impl View {
    /// Makes FOR UPDATE and FOR SHARE fail, which would lock nothing: PostgreSQL locks no row of an outer join's optional side.
    /// Whoever only reads pays nothing, since the planner removes a join to at most one row of which nothing is asked.
    const UNLOCKABLE: &str =
        "LEFT JOIN pg_catalog.pg_foreign_table AS unlockable ON unlockable.ftrelid OPERATOR(pg_catalog.=) 0";
}

/// The name of a relation's inner view.
#[must_use]
pub fn inner(relation: &Relation) -> TableName {
    named(relation, "in")
}

/// The name of one of our objects for a relation. A part that will be a new table has its own name, all others that of
/// their base, which stays the same when they are renamed.
#[must_use]
pub fn named(relation: &Relation, what: &str) -> TableName {
    let (kind, of) = if relation.is_heir() { ("", &relation.base) } else { ("part", &relation.name) };
    let parts = [what, kind, of.schema.as_str(), of.name.as_str()];
    own(&parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>())
}

/// Names of the row key's columns in the inner view.
#[must_use]
pub fn key_aliases(count: usize) -> Vec<Ident> {
    get::complement_keys(count)
}

/// In a self reference: the columns whose values the relation's rows keep for others, and their names in the inner view.
#[must_use]
pub fn kept_for_others(version: &Version, relation: &Relation) -> Vec<(Ident, Ident)> {
    let carries = version.carries.iter().filter(|c| c.source == c.target && c.source == relation.base);
    carries.enumerate().map(|(i, c)| (c.column.clone(), Ident::new(format!("refactor_for_others_{}", i + 1)))).collect()
}

/// The views of a relation and, where they need it, their put-back.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn view(version: &Version, relation: &Relation, next: &Ident) -> Result<Piece, askama::Error> {
    let class = Class::of(version, relation);
    let outer = TableName { schema: next.clone(), name: relation.name.name.clone() };
    let inner = inner(relation);
    let owned = rights::is_owned(version, relation);
    let invoker = version.schema.server_version >= 150_000 && !owned;
    let one_look = place::one_look(version, relation);
    let policies = rights::policies(version, relation);
    let fields = relation.fields.iter().map(|field| Shown {
        name: field.shape.name.clone(),
        get: match field.home {
            // What the complement keeps, and what an expression gives, has none of its own.
            Home::Added(_) | Home::Shaped(..) => {
                let found = one_look.as_ref().and_then(|_| place::found(version, field, "(z.kept)"));
                found.unwrap_or_else(|| get::get(version, relation, field)) + &field.shape.collate()
            }
            _ => get::get(version, relation, field),
        },
        default: default(version, relation, field, class).unwrap_or_default(),
        comment: field.shape.comment.as_ref().map(|c| Literal(c.clone()).to_string()).unwrap_or_default(),
    });
    let key = row_key(version.table(relation)).unwrap_or_default();
    let keys = key.iter().cloned().zip(key_aliases(key.len())).chain(kept_for_others(version, relation));
    let keys = keys.map(|(column, name)| Alias { column, name, default: String::new() });
    let by = relation.touched_by.join(", ");
    let sql = View {
        fields: fields.collect(),
        hidden: if class == Class::U { hidden(version, relation) } else { Vec::new() },
        keys: if class == Class::H { keys.collect() } else { Vec::new() },
        base: relation.base.clone(),
        one_look: one_look.clone().unwrap_or_default(),
        barrier: policies.is_some(),
        checked: class == Class::U && !(relation.conditions().is_empty() && policies.is_none()),
        rows: policies.unwrap_or_else(|| get::rows(version, relation, "b")),
        invoker,
        partitioned: is_partitioned(version, &relation.base),
        inner_comment: comment(&format!("inner view of {} after {by}", relation.name.short())),
        // Ours is told by what it reads, too, so it may say what the table will.
        outer_comment: relation
            .comment
            .clone()
            .map_or_else(|| comment(&format!("{} after {by}", relation.name.short())), Literal),
        united: match relation.rows {
            Rows::United(at) => Some(united::rows(version, &version.unions[at])),
            Rows::Told(_) => Some(told::rows(version, relation)),
            Rows::Linked(at) => Some(link::rows(&version.links[at])),
            Rows::Spread(at) => Some(spread::rows(&version.spreads[at])),
            Rows::Whole | Rows::Part(_) | Rows::Slice(_) => None,
        },
        put: match class {
            Class::U => None,
            Class::H => Some(put::put_back(version, relation, &inner, &outer, owned)?),
            Class::T => {
                let frame = Frame::new(version, relation, &inner, &outer, owned);
                Some(match relation.rows {
                    Rows::Linked(at) => link::put_back(relation, &version.links[at], frame)?,
                    Rows::Spread(at) => spread::put_back(relation, &version.spreads[at], frame)?,
                    Rows::Told(at) => told::put_back(version, relation, &version.told[at], frame)?,
                    _ => united::put_back(version, relation, frame)?,
                })
            }
        },
        rights: rights::of_views(version, relation, &inner, &outer),
        inner,
        outer,
    }
    .render()?;
    let title = format!("`{}` as it will be ({})", relation.name.short(), by);
    Ok(Piece::new(title, sql))
}

/// Defaults do not reach INSTEAD OF triggers, and `SET x = DEFAULT` through an auto-updatable view writes NULL, so the
/// view repeats them. GENERATED ALWAYS must not be repeated: the base would take it for an explicit value.
fn default(version: &Version, relation: &Relation, field: &Field, class: Class) -> Option<String> {
    let shape = &numbered(version, relation, field);
    if let Home::Numbered(at) = field.home {
        let always = shape.identity == Some(Identity::Always);
        return (!always).then(|| numbering::next(&version.numberings[at]));
    }
    let stored = match field.home {
        Home::Own(at) => version.table(relation).fields[at].default.as_ref(),
        _ => None,
    };
    match (shape.identity, &shape.sequence) {
        (Some(Identity::Always), _) => None,
        // The base numbers rows itself where the view is auto-updatable, and needs no right on the sequence for it.
        (Some(Identity::ByDefault), _) if class == Class::U => None,
        (Some(Identity::ByDefault), Some(sequence)) => {
            let old = match relation.rows {
                Rows::Told(at) => version.told[at].numbers.iter().find(|(name, _)| *name == field.shape.name),
                _ => None,
            };
            let sequence = old.map_or(sequence, |(_, old)| old);
            Some(format!("nextval({}::regclass)", Literal(sequence.to_string())))
        }
        // Without one, the base's would hold; and NULL itself is taken for none.
        (None, _) if class == Class::U && shape.default.is_none() && shape.generated.is_none() && stored.is_some() => {
            Some(format!("CASE WHEN true THEN NULL::{} END", shape.type_name))
        }
        _ => shape.default.clone(),
    }
}

/// The shape of a field as its base numbers it: a part that will be a new table is no identity itself.
fn numbered(version: &Version, relation: &Relation, field: &Field) -> Shape {
    let shape = field.shape.clone();
    match field.home {
        Home::Own(at) if matches!(relation.rows, Rows::Part(_)) && !relation.is_heir() => {
            let stored = &version.table(relation).fields[at];
            Shape { identity: stored.identity, sequence: stored.sequence.clone(), ..shape }
        }
        _ => shape,
    }
}

fn hidden(version: &Version, relation: &Relation) -> Vec<Alias> {
    let defaults = relation.hidden.iter().filter_map(|h| {
        let default = match &h.stores {
            Stores::BaseDefault => return None,
            Stores::Value(value) => value.to_string(),
            Stores::Adopted(carry) => format!("{}()", Names::of(&version.carries[*carry]).via),
        };
        Some((h.column.clone(), default))
    });
    defaults
        .enumerate()
        .map(|(i, (column, default))| Alias { column, name: Ident::new(format!("refactor_hidden_{}", i + 1)), default })
        .collect()
}
