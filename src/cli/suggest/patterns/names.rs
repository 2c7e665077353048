//! Other names and other places: tables and fields that are called otherwise, or are in another table.

use super::{Now, Proposal, only, references};
use crate::cli::convert::words::words;
use crate::cli::suggest::likeness;
use crate::cli::suggest::search::Test;
use crate::cli::suggest::simple::{place, said};
use crate::name::{Ident, TableName};
use crate::schema::Table;

/// All of this kind.
pub fn proposals(now: &Now) -> Vec<Proposal> {
    let mut all = tables(now);
    all.extend(fields(now));
    all.extend(moves(now));
    all.extend(copies(now));
    all
}

/// A table that goes and one that comes may be the same.
fn tables(now: &Now) -> Vec<Proposal> {
    let mut all = Vec::new();
    for (old, table) in now.extra() {
        for (new, there) in now.missing() {
            let (by_fields, by_name) =
                (likeness::tables(table, there), likeness::names(old.name.as_str(), new.name.as_str()));
            if by_fields < 30 || by_fields < 60 && by_name < 40 {
                continue;
            }
            let mut commands = Vec::new();
            let mut called = old.clone();
            if old.schema != new.schema {
                commands.push(words(["move-to-schema", &old.reference().to_string(), &said(&new.schema)]));
                called.schema.clone_from(&new.schema);
            }
            if old.name != new.name {
                commands.push(words(["rename-table", &called.reference().to_string(), &said(&new.name)]));
            }
            let first: Vec<(&TableName, &Ident)> = table.fields.iter().map(|f| (old, &f.name)).collect();
            let key = table.fields.iter().find(|f| crate::cli::suggest::difference::field(there, &f.name).is_some());
            let test = key.and_then(|f| now.node.origin(old, &f.name).map(|from| (from, f.name.clone())));
            let test = test.map_or(Test::None, |(from, field)| Test::Alike { from, to: (new.clone(), field) });
            let sentence = format!("table `{}` is `{}` under another name", new.short(), old.short());
            let choice = now.choice(sentence, &first, test, by_fields.max(by_name));
            all.push(Proposal { commands, choice });
        }
    }
    all
}

/// A field that goes and one that comes may be the same.
fn fields(now: &Now) -> Vec<Proposal> {
    let mut all = Vec::new();
    for (name, table, there) in now.common() {
        let (go, come) = (only(table, there), only(there, table));
        for old in &go {
            for new in &come {
                let by_name = likeness::names(old.name.as_str(), new.name.as_str());
                let at = |t: &Table, n: &Ident| t.fields.iter().position(|f| f.name == *n);
                let same_place = at(table, &old.name) == at(there, &new.name);
                let alone = go.len() == 1 && come.len() == 1;
                if !likeness::fits(old, new) || by_name < 25 && !alone && !same_place {
                    continue;
                }
                let same_type = likeness::same_type(old, new);
                let likely = by_name / 2 + usize::from(same_place) * 20 + usize::from(same_type) * 20;
                let from = now.node.origin(name, &old.name);
                let test = from.map_or(Test::None, |from| Test::Alike { from, to: (name.clone(), new.name.clone()) });
                let sentence =
                    format!("`{}` is `{}` under another name", place(name, &new.name), place(name, &old.name));
                all.push(Proposal {
                    commands: vec![words(["rename-field", &place(name, &old.name), &said(&new.name)])],
                    choice: now.choice(sentence, &[(name, &old.name)], test, likely),
                });
            }
        }
    }
    all
}

/// A way along foreign keys between two tables.
struct Way {
    to: TableName,
    via: Vec<Ident>,
    /// The fields that refer, where the way goes up in one step.
    up: Option<Vec<Ident>>,
}

fn ways(now: &Now, from: &TableName) -> Vec<Way> {
    let mut found = Vec::new();
    let tables = &now.schema().tables;
    let Some(table) = tables.get(from) else { return found };
    for (rule, key) in references(table) {
        found.push(Way { to: key.table.clone(), via: vec![rule.name.clone()], up: Some(rule.fields.clone()) });
        let further = tables.get(&key.table).into_iter().flat_map(references);
        for (next, last) in further.filter(|(_, last)| last.table != *from) {
            found.push(Way { to: last.table.clone(), via: vec![rule.name.clone(), next.name.clone()], up: None });
        }
    }
    for (name, other) in tables {
        for (rule, _) in references(other).filter(|(_, key)| key.table == *from && name != from) {
            found.push(Way { to: name.clone(), via: vec![rule.name.clone()], up: None });
        }
    }
    found
}

/// A field that goes and one that comes in another table may be the same.
fn moves(now: &Now) -> Vec<Proposal> {
    let mut all = Vec::new();
    for (name, table, there) in now.common() {
        for old in only(table, there) {
            let ways = ways(now, name);
            for way in &ways {
                let Some((_, target, wanted)) = now.common().find(|(n, _, _)| **n == way.to) else { continue };
                let new_ones = only(wanted, target);
                for new in &new_ones {
                    let by_name = likeness::moved_names(&name.name, &old.name, &new.name);
                    let last = only(table, there).len() == 1 && new_ones.len() == 1;
                    if !likeness::same_type(old, new) || by_name < 50 && !last {
                        continue;
                    }
                    let mut command = words(["move-field", &place(name, &old.name), &way.to.reference().to_string()]);
                    if old.name != new.name {
                        command.extend(words(["--as", &said(&new.name)]));
                    }
                    if way.via.len() > 1 || ways.iter().filter(|w| w.to == way.to).count() > 1 {
                        let via: Vec<String> = way.via.iter().map(said).collect();
                        command.extend(words(["--via", &via.join(",")]));
                    }
                    let origin = now.node.origin(name, &old.name);
                    let key = way.up.as_ref().and_then(|key| {
                        key.iter().map(|f| Some(now.node.origin(name, f)?.1)).collect::<Option<Vec<_>>>()
                    });
                    let test = match (origin, key) {
                        (Some((table, field)), Some(key)) => Test::Depends { table, key, field },
                        _ => Test::None,
                    };
                    let sentence = format!("`{}` is `{}`, moved", place(&way.to, &new.name), place(name, &old.name));
                    let likely = if by_name < 50 { 30 } else { by_name / 2 + 50 / way.via.len() };
                    all.push(Proposal {
                        commands: vec![command],
                        choice: now.choice(sentence, &[(name, &old.name)], test, likely),
                    });
                }
            }
        }
    }
    all
}

/// Names that many tables have for things of their own.
const COMMON: [&str; 16] = [
    "id",
    "name",
    "note",
    "notes",
    "title",
    "code",
    "kind",
    "type",
    "status",
    "state",
    "description",
    "comment",
    "position",
    "created_at",
    "updated_at",
    "deleted_at",
];

/// A new field may be a copy of one that the row refers to.
fn copies(now: &Now) -> Vec<Proposal> {
    let mut all = Vec::new();
    for (name, table, there) in now.common() {
        let new = only(there, table);
        for (rule, key) in references(table).filter(|(_, key)| key.table != *name) {
            let Some((_, far, far_wanted)) = now.common().find(|(n, _, _)| **n == key.table) else { continue };
            for field in far.fields.iter().filter(|f| far_wanted.fields.iter().any(|w| w.name == f.name)) {
                let own = !COMMON.contains(&field.name.as_str()) && !super::primary(far).contains(&field.name);
                let Some(copy) = new.iter().find(|f| f.name == field.name && f.type_name == field.type_name) else {
                    continue;
                };
                if !own {
                    continue;
                }
                let mut command = words(["copy-field", &place(&key.table, &copy.name), &name.reference().to_string()]);
                if references(table).filter(|(_, other)| other.table == key.table).count() > 1 {
                    command.extend(words(["--via", &said(&rule.name)]));
                }
                let sentence =
                    format!("`{}` starts as a copy of `{}`", place(name, &copy.name), place(&key.table, &field.name));
                let mut choice = now.choice(sentence, &[], Test::None, 40);
                choice.about.insert((name.clone(), copy.name.clone()));
                all.push(Proposal { commands: vec![command], choice });
            }
        }
    }
    all
}
