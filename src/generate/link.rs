//! A foreign key shown as a table of links: one link of a row is where old code looks, the others are in the table.

use askama::Template;

use crate::generate::carry::{changed, guarded, path_over, trigger};
use crate::generate::put::Frame;
use crate::generate::rule::{self, Rule};
use crate::generate::{Piece, all, comment, each_of, equal, list, of, own};
use crate::name::{Ident, TableName};
use crate::relation::Relation;
use crate::schema::ConstraintKind;
use crate::sql::Literal;
use crate::version::{Link, Version};

/// The links: those of the foreign key, and the others.
#[must_use]
pub fn rows(link: &Link) -> String {
    let named = |columns: &[Ident], names: &[Ident]| {
        columns.iter().zip(names).map(|(c, n)| format!("b.{c} AS {n}")).collect::<Vec<_>>()
    };
    let first = [named(&link.key, &link.from), named(&link.columns, &link.to)].concat();
    format!(
        "SELECT {}, true AS refactor_first, b.ctid AS refactor_token\nFROM {} AS b\nWHERE {}\nUNION ALL\nSELECT {}, false, e.ctid\nFROM {} AS e",
        list(&first),
        link.table,
        is_given("b", link),
        of("e", &fields(link)),
        link.links
    )
}

fn fields(link: &Link) -> Vec<Ident> {
    [&link.from[..], &link.to[..]].concat()
}

/// Writes a row and changes nothing: `a = b.a`.
fn touch(row: &str, columns: &[Ident]) -> String {
    columns.first().map(|c| format!("{c} = {row}.{c}")).unwrap_or_default()
}

/// Whether the foreign key of a row leads somewhere.
fn is_given(row: &str, link: &Link) -> String {
    all(&each_of(row, &link.columns).iter().map(|c| format!("{c} IS NOT NULL")).collect::<Vec<_>>())
}

/// Brings the links of the foreign key to the others, before its fields go.
#[must_use]
pub fn bring(link: &Link) -> String {
    format!(
        "INSERT INTO {} ({})\nSELECT {} FROM {} AS b WHERE {};",
        link.links,
        list(&fields(link)),
        of("b", &[&link.key[..], &link.columns[..]].concat()),
        link.table,
        is_given("b", link)
    )
}

#[derive(Template)]
#[template(path = "link.sql", escape = "none")]
struct PutBack {
    frame: Frame,
    table: TableName,
    links: TableName,
    far: TableName,
    columns_b: String,
    row_old: String,
    row_new: String,
    is_first_old: String,
    is_first_new: String,
    has_none: String,
    all_e: String,
    all_e2: String,
    of_old_e2: String,
    this_old: String,
    this_new: String,
    far_new: String,
    sets_heir: String,
    sets_new: String,
    is_first_b: String,
    touch_b: String,
    touch_e: String,
    fields: String,
    values: String,
    old_values: String,
    unique: Rule,
}

/// The put-back of a table of links.
///
/// # Errors
/// Only if a template cannot be rendered.
pub(super) fn put_back(relation: &Relation, link: &Link, frame: Frame) -> Result<String, askama::Error> {
    let fields = fields(link);
    let primary = relation.constraints.iter().find(|c| c.item.kind == ConstraintKind::Primary);
    let primary = primary.map_or_else(|| Ident::new(""), |c| c.item.name.clone());
    let sets = |row: &str| {
        let each = link.columns.iter().zip(each_of(row, &link.to)).map(|(c, v)| format!("{c} = {v}"));
        list(&each.collect::<Vec<_>>())
    };
    PutBack {
        frame,
        table: link.table.clone(),
        links: link.links.clone(),
        far: link.far.clone(),
        columns_b: of("b", &link.columns),
        row_old: equal("b", &link.key, "OLD", &link.from),
        row_new: equal("b", &link.key, "NEW", &link.from),
        is_first_old: equal("r", &link.columns, "OLD", &link.to),
        is_first_new: equal("r", &link.columns, "NEW", &link.to),
        has_none: format!("({}) IS NOT TRUE", is_given("r", link)),
        all_e: of("e", &fields),
        all_e2: of("e2", &fields),
        of_old_e2: equal("e2", &link.from, "OLD", &link.from),
        this_old: equal("e", &fields, "OLD", &fields),
        this_new: equal("e", &fields, "NEW", &fields),
        far_new: equal("f", &link.far_key, "NEW", &link.to),
        sets_heir: sets("heir"),
        sets_new: sets("NEW"),
        is_first_b: equal("b", &link.columns, "OLD", &link.to),
        touch_b: touch("b", &link.key),
        touch_e: touch("e", &fields),
        fields: list(&fields),
        old_values: of("OLD", &fields),
        values: of("NEW", &fields),
        unique: rule::duplicate(relation, &primary),
    }
    .render()
}

#[derive(Template)]
#[template(path = "linked.sql", escape = "none")]
struct Companion {
    function: TableName,
    path: String,
    links: TableName,
    this: String,
    table: TableName,
    changed: String,
    trigger: Ident,
    comment: Literal,
}

/// What keeps a link from being in both places.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn companion(version: &Version, link: &Link) -> Result<Piece, askama::Error> {
    // A new key of the row has not come to the links yet.
    let this = all(&[equal("e", &link.from, "OLD", &link.key), equal("e", &link.to, "NEW", &link.columns)]);
    let sql = Companion {
        function: own(&["linked", link.id.as_str()]),
        path: path_over([&link.table.schema].into_iter()),
        links: link.links.clone(),
        this,
        table: link.table.clone(),
        changed: changed(&link.columns),
        trigger: trigger("updated", &link.id),
        comment: comment(&link.step),
    }
    .render()?;
    let sql = guarded(version, &sql, &[&link.table]);
    let title = format!("a link of `{}` is in one place ({})", link.table.short(), link.step);
    Ok(Piece::new(title, sql))
}
