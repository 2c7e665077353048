//! Fields that leave a table together for another one that will be referred to instead.

use crate::catalogue::draft::Draft;
use crate::catalogue::entangled::{self, Purpose};
use crate::name::{FieldRef, Ident, listed};
use crate::refusal::Refusal;
use crate::relation::{Attached, Field, NamesFields, Relation};
use crate::schema::{self, ConstraintKind};
use crate::sql::rename_in_definition;
use crate::version::{RemarkKind, Version};

/// One of the fields that leave.
pub struct Leaving {
    /// As it is.
    pub field: Field,
    /// Where it is stored.
    pub column: Ident,
    /// Its name in the other table.
    pub name: Ident,
}

/// The fields, sorted by what becomes of them.
pub struct Payload {
    /// Those that rows are found by.
    pub by: Vec<Leaving>,
    /// Those that follow.
    pub rest: Vec<Leaving>,
}

/// Several fields are compared with NULL as a value; a single one that is NULL refers to nothing.
#[must_use]
pub fn null_safe(by: &[Leaving]) -> Vec<bool> {
    by.iter().map(|l| by.len() > 1 && !l.field.shape.not_null).collect()
}

/// Checks and foreign keys over nothing but the fields go along with them.
pub fn follow(draft: &mut Draft, from: &Relation, by: &[Leaving]) {
    for constraint in from.constraints.iter().map(|c| &c.item) {
        let leaves = |f: &Ident| by.iter().any(|l| l.field.shape.name == *f);
        if constraint.fields.is_empty() || !constraint.fields.iter().all(leaves) {
            continue;
        }
        let mut item = constraint.clone();
        let renames = by.iter().map(|l| (l.field.shape.name.clone(), l.name.clone())).collect();
        item.rename(&renames);
        item.definition = match &item.kind {
            ConstraintKind::Check => rename_in_definition(&item.definition, &renames),
            ConstraintKind::Foreign(key) => key.definition(&item, &key.table, &key.fields),
            _ => continue,
        };
        draft.table.constraints.push(item);
    }
}

/// What is compared must be of one type.
///
/// # Errors
/// Names the first field that is not.
pub fn same_types(by: &[Leaving], other: &Relation) -> Result<(), Refusal> {
    let family = |kind: &str| {
        let bare = kind.split('(').next().unwrap_or_default().trim().to_owned();
        if bare == "character varying" { "text".to_owned() } else { bare }
    };
    for leaving in by {
        let there = other.field(&leaving.name).map_or("", |f| &f.shape.type_name);
        let here = &leaving.field.shape.type_name;
        if family(there) != family(here) {
            return Err(Refusal::Other {
                why: format!(
                    "`{}` is of type {here}, and `{}` of `{}` of type {there}",
                    leaving.field.shape.name,
                    leaving.name,
                    other.name.short()
                ),
                hint: Some("change one of the types first: `refactor change-type`".into()),
            });
        }
    }
    Ok(())
}

/// Takes the fields away and puts the reference where the first of them was, in indexes and unique keys too.
///
/// # Errors
/// When its name is taken, or a unique index cannot follow.
pub fn replace(
    step: &str,
    after: &mut Version,
    from: &Relation,
    by: &[Leaving],
    field: Field,
    before: Option<&Ident>,
) -> Result<(), Refusal> {
    let names: Vec<Ident> = by.iter().map(|l| l.field.shape.name.clone()).collect();
    let new = field.shape.name.clone();
    if !names.contains(&new) {
        entangled::must_be_free(from, &new, "choose another name with `--as`")?;
    }
    for leaving in by {
        entangled::note(after, step, from, &leaving.field, Purpose::Refer);
        if let Some(default) = &leaving.field.shape.default {
            let text = format!("default `{default}` of `{}`", leaving.field.shape.name);
            after.remark(step, RemarkKind::Lost, text);
        }
    }
    let mut lost = Vec::new();
    let changed = after.change(&from.name, step);
    let place = before.cloned().or_else(|| {
        let at = changed.fields.iter().position(|f| names.contains(&f.shape.name))?;
        changed.fields[at..].iter().map(|f| f.shape.name.clone()).find(|n| !names.contains(n))
    });
    let mentions = |fields: &[Ident]| fields.iter().any(|f| names.contains(f));
    // One field stands for the other; several cannot.
    let plain = |index: &Attached<schema::Index>| {
        let Attached { item, columns, .. } = index;
        // The definition has the names that the fields had.
        let column = |key: &Option<Ident>| {
            let at = item.fields.iter().position(|f| Some(f) == key.as_ref())?;
            columns.get(at).cloned()
        };
        let keys: Option<Vec<Ident>> = item.keys.iter().map(column).collect();
        names.len() == 1
            && keys.is_some_and(|keys| {
                keys.len() == item.fields.len() && item.definition.ends_with(&format!("({})", listed(&keys)))
            })
    };
    let unique = changed.indexes.iter().find(|i| i.item.unique && mentions(&i.item.fields) && !plain(i));
    if let Some(index) = unique {
        return Err(Refusal::Entangled {
            field: FieldRef { table: entangled::reference(&from.name), field: names[0].clone() },
            role: format!("is part of the unique index `{}`, which cannot follow", index.item.name),
            hint: Some("drop that index first".into()),
        });
    }
    changed.indexes.retain(|i| {
        let stays = !mentions(&i.item.fields) || plain(i);
        if !stays {
            lost.push(format!("index `{}`", i.item.name));
        }
        stays
    });
    changed.constraints.retain(|c| {
        let follows = matches!(c.item.kind, ConstraintKind::Unique);
        !mentions(&c.item.fields) || follows
    });
    let renames = [(names[0].clone(), new)].into();
    changed.indexes.iter_mut().for_each(|i| i.item.rename(&renames));
    changed.constraints.iter_mut().for_each(|c| c.item.rename(&renames));
    changed.fields.retain(|f| !names.contains(&f.shape.name));
    changed.insert_field(field, place.as_ref());
    for text in lost {
        after.remark(step, RemarkKind::Lost, text);
    }
    Ok(())
}
