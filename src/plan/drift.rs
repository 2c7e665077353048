//! How what is installed differs from what the tables give now: somebody has changed the tables, or what is ours.
//!
//! Pure, like a plan. What it finds, `apply` repairs: it makes everything anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::generate::complement::complements;
use crate::generate::piece::Object;
use crate::generate::{self, Piece, shown_in};
use crate::name::{Ident, TableName};
use crate::plan::{Installed, Shows, keep};
use crate::relation::{Home, Relation};
use crate::version::Version;

/// What differs, a sentence each; nothing if all is as it was made.
///
/// # Errors
/// Only if a template cannot be rendered.
pub fn drift(version: &Version, installed: &Installed) -> Result<Vec<String>, askama::Error> {
    let next = shown_in(version);
    let missing_schemas = next.values().filter(|s| !installed.next_schemas.contains(s));
    let mut found: Vec<String> = missing_schemas.map(|s| format!("schema `{s}` is not there")).collect();
    let tables = complements(version)?.into_iter().map(|kept| kept.table);
    let tables = tables.chain(version.made.iter().filter(|m| m.restores.is_none()).map(|m| m.table.clone()));
    let gone = tables.filter(|table| !installed.tables.contains(table));
    found.extend(gone.map(|table| format!("table `{table}` is not there: what it kept is lost")));
    let there = keep::objects(installed);
    let pieces = generate::everything(version)?;
    let (whole, broken): (Vec<Piece>, Vec<Piece>) =
        pieces.into_iter().partition(|piece| piece.creates().iter().all(|o| there.contains(o)));
    for piece in &broken {
        found.extend(piece.creates().iter().filter(|o| !there.contains(o)).map(|o| not_there(o, installed)));
    }
    let others: Vec<&Piece> = whole.iter().filter(|p| is_sealed(p) && !installed.pieces.contains(&p.hash)).collect();
    if others.is_empty() || is_other_path(version, installed, &others)? {
        return Ok(found);
    }
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for relation in version.shown() {
        let view = TableName { schema: next[&relation.name.schema].clone(), name: relation.name.name.clone() };
        let piece = others.iter().find(|p| p.creates().contains(&Object::view(&view)));
        let (Some(piece), Some(shows)) = (piece, installed.shows.get(&view)) else { continue };
        let differs = fields(version, relation, &view, shows);
        if !differs.is_empty() {
            told.insert(&piece.title);
            found.extend(differs);
        }
    }
    let others = others.iter().filter(|p| !told.contains(p.title.as_str()));
    found.extend(others.map(|p| format!("the tables, or this tool, have changed since this was made: {}", p.title)));
    Ok(found)
}

/// Whether a piece has a place for its hash.
fn is_sealed(piece: &Piece) -> bool {
    piece.creates().iter().any(|o| matches!(o, Object::View(_) | Object::Function(_)))
}

/// Whether these pieces are what is there, but made by a session with another `search_path`.
fn is_other_path(version: &Version, installed: &Installed, pieces: &[&Piece]) -> Result<bool, askama::Error> {
    let titles: BTreeSet<&str> = pieces.iter().map(|p| p.title.as_str()).collect();
    let path = &version.schema.search_path;
    let ours = |s: &Ident| s.as_str() == "next" || s.as_str().starts_with("next_");
    let without: Vec<Ident> = path.iter().filter(|s| !ours(s)).cloned().collect();
    for path in [without, vec![Ident::new("public")]] {
        let mut other = version.clone();
        Arc::make_mut(&mut other.schema).search_path = path;
        let made = generate::everything(&other)?;
        if made.iter().filter(|p| titles.contains(p.title.as_str())).all(|p| installed.pieces.contains(&p.hash)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn not_there(object: &Object, installed: &Installed) -> String {
    match object {
        Object::View(name) => format!("view `{name}` is not there"),
        Object::Function(name) => format!("function `{name}` is not there"),
        Object::Policy(table) => format!("the row policy of `{table}` is not there"),
        Object::Trigger(name, on) => {
            let disabled = installed.disabled.iter().any(|(n, t)| Object::trigger(n, t) == *object);
            let how = if disabled { "is disabled" } else { "is not there" };
            format!("our trigger `{name}` on `{on}` {how}: what old code writes is not seen")
        }
    }
}

/// How the fields of a table differ from those that its view shows.
fn fields(version: &Version, relation: &Relation, view: &TableName, columns: &[Shows]) -> Vec<String> {
    let table = version.table(relation);
    let name = relation.name.short();
    let mut found = Vec::new();
    for shown in columns.iter().filter(|s| relation.field(&s.name).is_none()) {
        found.push(format!("`{view}` shows `{}`, which `{name}` has no longer", shown.name));
    }
    for field in &relation.fields {
        let shape = &field.shape;
        let Some(shown) = columns.iter().find(|s| s.name == shape.name) else {
            found.push(format!("`{name}` has a field `{}` that `{view}` does not show", shape.name));
            continue;
        };
        let Home::Own(at) = field.home else { continue };
        if table.fields[at].type_name != shape.type_name {
            continue; // a refactoring gives it another, in the words of a person
        }
        if shown.type_name != shape.type_name {
            let (now, was) = (&shape.type_name, &shown.type_name);
            found.push(format!("`{name}.{}` is of type {now}; `{view}` shows {was}", shape.name));
        }
        let said = |default: &Option<String>| default.clone().unwrap_or_else(|| "none".to_owned());
        let own = shape.default == table.fields[at].default && shape.identity.is_none() && shape.generated.is_none();
        if own && shown.default != shape.default {
            let (now, was) = (said(&shape.default), said(&shown.default));
            found.push(format!("the default of `{name}.{}` is {now}; `{view}` gives {was}", shape.name));
        }
    }
    found
}
