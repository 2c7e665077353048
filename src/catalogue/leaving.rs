//! Fields that leave a table together for another one that will be referred to instead.

use crate::catalogue::draft::Draft;
use crate::catalogue::entangled::{self, Purpose};
use crate::name::{FieldRef, Ident, listed};
use crate::refusal::{Refusal, similar};
use crate::relation::{Attached, Field, NamesFields, Origin, Relation};
use crate::schema::{Constraint, ConstraintKind, Index, Schema};
use crate::sql::keys::stands_alone;
use crate::sql::rename_in_definition;
use crate::version::{Compared, RemarkKind, Version};

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

/// Several fields are compared with NULL as a value; a single one that is NULL refers to nothing. A natural key is compared
/// as its foreign key does it.
#[must_use]
pub fn compared(schema: &Schema, by: &[Leaving], natural: bool) -> Vec<Compared> {
    let each = |l: &Leaving| Compared {
        null_safe: by.len() > 1 && !l.field.shape.not_null,
        as_text: !natural && !schema.kind(&l.field.shape).exact,
        as_rows: schema.kind(&l.field.shape).composite,
    };
    by.iter().map(each).collect()
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
        let names = other.fields.iter().map(|f| f.shape.name.as_str());
        let there = other.field(&leaving.name).ok_or_else(|| Refusal::NoField {
            table: other.name.clone(),
            similar: similar(leaving.name.as_str(), names),
            field: leaving.name.clone(),
        })?;
        let there = &there.shape.type_name;
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
    let given = field.shape.not_null;
    let changed = after.change(&from.name, step);
    let place = before.cloned().or_else(|| {
        let at = changed.fields.iter().position(|f| names.contains(&f.shape.name))?;
        changed.fields[at..].iter().map(|f| f.shape.name.clone()).find(|n| !names.contains(n))
    });
    let gone = stand_in(step, changed, &names, std::slice::from_ref(&new), |_| true);
    let held = |index: &Index, why: &str, hint: &str| {
        Err(Refusal::Entangled {
            field: FieldRef { table: entangled::reference(&from.name), field: names[0].clone() },
            role: match &index.constraint {
                Some(key) => format!("is part of the key `{key}`, {why}"),
                None => format!("is part of the unique index `{}`, {why}", index.name),
            },
            hint: Some(hint.into()),
        })
    };
    if let Some(index) = gone.iter().find(|i| i.unique) {
        return held(
            index,
            "which cannot follow",
            &match &index.constraint {
                Some(key) => format!(
                    "let only fields that it has tell the rows apart: `--by`; or drop it first: `refactor drop-constraint {} {}`",
                    from.name.typed(),
                    key.typed()
                ),
                None => format!(
                    "let only fields that it has tell the rows apart: `--by`; or drop it by hand first: `DROP INDEX {}`",
                    from.base.renamed(index.name.clone())
                ),
            },
        );
    }
    let primary = |c: &&Attached<Constraint>| c.item.kind == ConstraintKind::Primary && c.item.fields.contains(&new);
    if let Some(key) = changed.constraints.iter().find(primary).filter(|_| !given) {
        let index = changed.indexes.iter().find(|i| i.item.constraint.as_ref() == Some(&key.item.name));
        if let Some(index) = index {
            return held(&index.item, "and would be NULL where a value is not listed", "say `--on-missing insert`");
        }
    }
    changed.fields.retain(|f| !names.contains(&f.shape.name));
    changed.insert_field(field, place.as_ref());
    for index in gone {
        after.remark(step, RemarkKind::Lost, format!("index `{}`", index.name));
    }
    Ok(())
}

/// Puts fields in the place of others, in indexes that have all of those and in the keys that they serve. Gives the
/// indexes that cannot follow; they are gone with their keys.
pub fn stand_in(
    step: &str,
    relation: &mut Relation,
    names: &[Ident],
    news: &[Ident],
    may_follow: impl Fn(&Index) -> bool,
) -> Vec<Index> {
    let renames = match (names, news) {
        ([name], [new]) => Some([(name.clone(), new.clone())].into()),
        _ => None,
    };
    let in_place = |fields: &[Ident]| {
        let first = fields.iter().position(|f| names.contains(f)).unwrap_or_default();
        let mut fields: Vec<Ident> = fields.iter().filter(|f| !names.contains(f)).cloned().collect();
        fields.splice(first..first, news.iter().cloned());
        fields
    };
    let (mut gone, mut keys) = (Vec::new(), Vec::new());
    for mut index in std::mem::take(&mut relation.indexes) {
        if !index.item.fields.iter().any(|f| names.contains(f)) {
            relation.indexes.push(index);
            continue;
        }
        // The other methods are for other types, and a hash is of one field.
        let any_type = match index.item.method.as_str() {
            "btree" | "brin" => true,
            "hash" => news.len() == 1,
            _ => false,
        };
        let follows = any_type && names.iter().all(|n| index.item.fields.contains(n)) && may_follow(&index.item);
        let start = before_fields(&index);
        let ordered = renames.is_some()
            && index
                .item
                .fields
                .iter()
                .zip(&index.columns)
                .all(|(field, column)| !names.contains(field) || stands_alone(&index.item.definition, column));
        if !follows || start.is_none() && !ordered {
            gone.push(index.item);
            continue;
        }
        keys.extend(index.item.constraint.clone());
        if let Some(renames) = &renames {
            index.item.rename(renames);
        } else if let Some(start) = start {
            let fields = in_place(&index.item.fields);
            index.item.definition.replace_range(start.., &format!("({})", listed(&fields)));
            index.item.keys = fields.iter().cloned().map(Some).collect();
            index.item.fields.clone_from(&fields);
            index = Attached { item: index.item, origin: Origin::Rows(step.to_owned()), columns: fields };
        }
        relation.indexes.push(index);
    }
    relation.constraints.retain_mut(|constraint| {
        let item = &mut constraint.item;
        if !item.fields.iter().any(|f| names.contains(f)) {
            return true;
        }
        if !keys.contains(&item.name) {
            return false;
        }
        if let Some(renames) = &renames {
            item.rename(renames);
        } else {
            let fields = in_place(&item.fields);
            let was = format!("({})", listed(&constraint.columns));
            item.definition = item.definition.replacen(&was, &format!("({})", listed(&fields)), 1);
            item.fields.clone_from(&fields);
            constraint.columns = fields;
            constraint.origin = Origin::Rows(step.to_owned());
        }
        true
    });
    gone
}

/// Where the list of fields starts in the definition of an index that says nothing more of them.
fn before_fields(index: &Attached<Index>) -> Option<usize> {
    let Attached { item, columns, .. } = index;
    // The definition has the names that the fields had.
    let column = |key: &Option<Ident>| {
        let at = item.fields.iter().position(|f| Some(f) == key.as_ref())?;
        columns.get(at).cloned()
    };
    let keys: Vec<Ident> = item.keys.iter().map(column).collect::<Option<_>>()?;
    let before = item.definition.strip_suffix(&format!("({})", listed(&keys)))?;
    (keys.len() == item.fields.len()).then_some(before.len())
}
