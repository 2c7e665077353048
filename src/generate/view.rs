//! The two views of a relation: an inner one with hidden fields, an outer one that users see.

use askama::Template;

use crate::generate::carry::{Names, is_partitioned, owner};
use crate::generate::{Class, Piece, comment, get, list, own, put};
use crate::name::{Ident, TableName};
use crate::relation::{Home, Relation, Stores, row_key};
use crate::schema::{Field as Shape, Grant, Identity};
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
    alias: Ident,
    default: String,
}

#[derive(Template)]
#[template(path = "view.sql", escape = "none")]
struct View {
    inner: TableName,
    outer: TableName,
    base: TableName,
    invoker: bool,
    fields: Vec<Shown>,
    hidden: Vec<Alias>,
    keys: Vec<Alias>,
    partitioned: bool,
    inner_comment: Literal,
    outer_comment: Literal,
    put: Option<String>,
    rights: Vec<String>,
}

/// The name of a relation's inner view.
#[must_use]
pub fn inner(relation: &Relation) -> TableName {
    own(&["in", relation.base.schema.as_str(), relation.base.name.as_str()])
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
    let class = Class::of(relation);
    let outer = TableName { schema: next.clone(), name: relation.name.name.clone() };
    let inner = inner(relation);
    let invoker = version.schema.server_version >= 150_000;
    let fields = relation.fields.iter().map(|field| Shown {
        name: field.shape.name.clone(),
        get: get::get(version, relation, field),
        default: default(&field.shape, class).unwrap_or_default(),
        comment: field.shape.comment.as_ref().map(|c| Literal(c.clone()).to_string()).unwrap_or_default(),
    });
    let key = row_key(version.table(relation)).unwrap_or_default();
    let keys = key.iter().cloned().zip(key_aliases(key.len())).chain(kept_for_others(version, relation));
    let keys = keys.map(|(column, alias)| Alias { column, alias, default: String::new() });
    let by = relation.touched_by.join(", ");
    let sql = View {
        fields: fields.collect(),
        hidden: if class == Class::U { hidden(version, relation) } else { Vec::new() },
        keys: if class == Class::H { keys.collect() } else { Vec::new() },
        base: relation.base.clone(),
        invoker,
        partitioned: is_partitioned(version, &relation.base),
        inner_comment: comment(&format!("inner view of {} after {by}", relation.name.short())),
        outer_comment: comment(&format!("{} after {by}", relation.name.short())),
        put: match class {
            Class::U => None,
            Class::H => Some(put::put_back(version, relation, &inner, &outer)?),
        },
        rights: rights(version, relation, &inner, &outer),
        inner,
        outer,
    }
    .render()?;
    let title = format!("`{}` as it will be ({})", relation.name.short(), by);
    Ok(Piece { title, sql })
}

/// Defaults do not reach INSTEAD OF triggers, and `SET x = DEFAULT` through an auto-updatable view writes NULL, so the
/// view repeats them. GENERATED ALWAYS must not be repeated: the base would take it for an explicit value.
fn default(shape: &Shape, class: Class) -> Option<String> {
    match (shape.identity, &shape.sequence) {
        (Some(Identity::Always), _) => None,
        // The base numbers rows itself where the view is auto-updatable, and needs no right on the sequence for it.
        (Some(Identity::ByDefault), _) if class == Class::U => None,
        (Some(Identity::ByDefault), Some(sequence)) => {
            Some(format!("nextval({}::regclass)", Literal(sequence.to_string())))
        }
        _ => shape.default.clone(),
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
        .map(|(i, (column, default))| Alias {
            column,
            alias: Ident::new(format!("refactor_hidden_{}", i + 1)),
            default,
        })
        .collect()
}

/// Ownership and privileges as the table has them.
fn rights(version: &Version, relation: &Relation, inner: &TableName, outer: &TableName) -> Vec<String> {
    let table = version.table(relation);
    let owner = owner(version, &relation.base);
    let mut rights =
        vec![format!("ALTER VIEW {inner} OWNER TO {owner}"), format!("ALTER VIEW {outer} OWNER TO {owner}")];
    let role = |g: &Grant| g.role.as_ref().map_or_else(|| "PUBLIC".to_owned(), ToString::to_string);
    let option = |g: &Grant| if g.grantable { " WITH GRANT OPTION" } else { "" };
    let usable = |g: &&Grant| g.role.as_ref() != Some(&owner) && g.privilege != "MAINTAIN";
    for grant in table.grants.iter().flatten().filter(usable) {
        for view in [inner, outer] {
            rights.push(format!("GRANT {} ON {view} TO {}{}", grant.privilege, role(grant), option(grant)));
        }
    }
    let mut partly = false;
    for field in &relation.fields {
        for grant in field.shape.grants.iter().filter(usable) {
            partly = true;
            for view in [inner, outer] {
                let name = &field.shape.name;
                rights.push(format!("GRANT {}({name}) ON {view} TO {}{}", grant.privilege, role(grant), option(grant)));
            }
        }
    }
    if partly {
        // A put-back reads the row's token whatever the statement names.
        let readers: std::collections::BTreeSet<String> =
            relation.fields.iter().flat_map(|f| &f.shape.grants).filter(usable).map(role).collect();
        let mut tokens = vec![Ident::new("refactor_token")];
        if Class::of(relation) == Class::H {
            tokens.extend(key_aliases(row_key(table).unwrap_or_default().len()));
            tokens.extend(kept_for_others(version, relation).into_iter().map(|(_, alias)| alias));
        }
        for reader in readers {
            rights.push(format!("GRANT SELECT({}) ON {inner} TO {reader}", list(&tokens)));
        }
    }
    rights
}

/// Whether a field is the base's own.
#[must_use]
pub fn is_own(home: Home) -> bool {
    matches!(home, Home::Own(_))
}
