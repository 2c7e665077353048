//! Tables that come out of others, or go into them.

use super::{Now, Proposal, only, primary, references};
use crate::cli::convert::Words;
use crate::cli::convert::words::words;
use crate::cli::suggest::difference::{field, numbering};
use crate::cli::suggest::likeness;
use crate::cli::suggest::search::{Oracle, Test};
use crate::cli::suggest::simple::{place, said};
use crate::name::{Ident, Renaming, TableName};
use crate::schema::{Constraint, ConstraintKind, Field, ForeignKey, Table};

/// All of this kind.
pub fn proposals(now: &Now, oracle: &mut dyn Oracle) -> Vec<Proposal> {
    let mut all = Vec::new();
    for (into, there) in now.missing() {
        for (name, table, wanted) in now.common() {
            all.extend(extracted(now, name, table, wanted, into, there));
            all.extend(split(now, name, table, wanted, into, there));
            all.extend(linked(now, name, table, wanted, into, there));
            all.extend(unpivoted(now, name, table, wanted, into, there));
            all.extend(divided(now, name, table, into, there, oracle));
        }
        all.extend(united(now, into, there));
    }
    for (name, table) in now.extra() {
        for (into, target, wanted) in now.common() {
            let going = Going { now, name, table, into, target, wanted };
            all.extend([inlined, merged, unlinked, pivoted].into_iter().filter_map(|one| one(&going)));
        }
    }
    for (name, table, wanted) in now.common() {
        for (into, target, _) in now.common() {
            all.extend(extracted(now, name, table, wanted, into, target));
        }
    }
    all
}

/// A table that goes, and one that may get what it had.
#[derive(Clone, Copy)]
struct Going<'n> {
    now: &'n Now<'n>,
    name: &'n TableName,
    table: &'n Table,
    into: &'n TableName,
    target: &'n Table,
    /// The target as it is wanted.
    wanted: &'n Table,
}

impl Going<'_> {
    fn proposal(&self, command: Words, sentence: String) -> Proposal {
        proposal(self.now, command, sentence, self.name, &self.table.fields.iter().collect::<Vec<_>>())
    }
}

/// Which foreign key is meant, where there are several.
fn via(keys: &[(&Constraint, &ForeignKey)], rule: &Constraint) -> Words {
    if keys.len() > 1 { words(["--via", &said(&rule.name)]) } else { Words::new() }
}

/// Which of some fields each of others is: of the same name, else of a like one, else of the same type and place.
fn paired<'f>(these: &[&'f Field], others: &[&'f Field]) -> Vec<(&'f Field, &'f Field)> {
    let mut rest: Vec<&Field> = these.to_vec();
    let mut open = Vec::new();
    let mut pairs = Vec::new();
    for other in others {
        match rest.iter().position(|f| f.name == other.name && likeness::same_type(f, other)) {
            Some(at) => pairs.push((rest.remove(at), *other)),
            None => open.push(*other),
        }
    }
    for other in open {
        let best = (0..rest.len())
            .filter(|at| likeness::same_type(rest[*at], other))
            .max_by_key(|at| (likeness::names(rest[*at].name.as_str(), other.name.as_str()), rest.len() - at));
        if let Some(at) = best {
            pairs.push((rest.remove(at), other));
        }
    }
    pairs
}

fn renaming(from: &Ident, to: &Ident) -> String {
    Renaming { from: from.clone(), to: to.clone() }.to_string()
}

/// All new names at once, behind an option.
fn renamings(option: &str, pairs: &[(&Field, &Field)]) -> Vec<String> {
    let changed: Vec<String> =
        pairs.iter().filter(|(a, b)| a.name != b.name).map(|(a, b)| renaming(&a.name, &b.name)).collect();
    if changed.is_empty() { Vec::new() } else { vec![option.to_owned(), changed.join(",")] }
}

fn proposal(now: &Now, command: Words, sentence: String, table: &TableName, fields: &[&Field]) -> Proposal {
    let about: Vec<(&TableName, &Ident)> = fields.iter().map(|f| (table, &f.name)).collect();
    Proposal { commands: vec![command], choice: now.choice(sentence, &about, Test::Pattern(0), 80) }
}

/// Fields that go, and a foreign key to a table that has them.
fn extracted(
    now: &Now,
    name: &TableName,
    table: &Table,
    wanted: &Table,
    into: &TableName,
    there: &Table,
) -> Option<Proposal> {
    let goes = only(table, wanted);
    let (_, key) = references(wanted).find(|(rule, key)| {
        key.table == *into
            && rule.fields.len() == 1
            && references(table).all(|(mine, far)| far.table != *into || mine.fields != rule.fields)
    })?;
    let (rule, _) = references(wanted).find(|(_, k)| *k == key)?;
    let reference = &rule.fields[0];
    let known = now.schema().tables.contains_key(into);
    let is_key = |f: &&Field| key.fields.contains(&f.name);
    let values: Vec<&Field> = there.fields.iter().filter(|f| !is_key(f)).collect();
    let mut pairs = paired(&goes, &values);
    let mut command;
    if pairs.is_empty() {
        // The value itself is the key. Of a table that is there that is a foreign key, and no more.
        if known {
            return None;
        }
        let own: Vec<&Field> = there.fields.iter().filter(is_key).collect();
        let candidates: Vec<&Field> =
            table.fields.iter().filter(|f| f.name == *reference).chain(goes.iter().copied()).collect();
        pairs = paired(&candidates, &own);
        if pairs.len() != 1 || there.fields.len() != 1 {
            return None;
        }
    } else if let (Some(kept), Some(key), false) = (field(table, reference), field(there, &key.fields[0]), known) {
        // One of the fields becomes the key, and stays where it is.
        pairs.insert(0, (kept, key));
    } else if field(table, reference).is_some() || !known && pairs.len() < values.len() {
        return None;
    }
    let natural = key.fields.iter().all(|k| pairs.iter().any(|(_, there)| there.name == *k));
    command = words(["extract-table", &place(name, &pairs[0].0.name)]);
    command.extend(pairs[1..].iter().map(|(f, _)| said(&f.name)));
    command.extend(words(["--into", &into.reference().to_string()]));
    if pairs.iter().any(|(a, b)| a.name != b.name) {
        let names: Vec<String> = pairs.iter().map(|(_, b)| said(&b.name)).collect();
        command.extend(words(["--names", &names.join(",")]));
    }
    if natural || !known {
        command.extend(words(["--key", &said(&key.fields[0])]));
    }
    if !natural && !known && field(there, &key.fields[0])?.type_name == "bigint" {
        command.extend(words(["--key-type", "bigint"]));
    }
    if field(table, reference).is_none() {
        command.extend(words(["--as", &said(reference)]));
    }
    let all: Vec<&Ident> = pairs.iter().map(|(_, b)| &b.name).collect();
    let unique = there.constraints.iter().find(|c| {
        let some = c.fields.len() < all.len() && c.fields.iter().all(|f| all.contains(&f));
        c.kind == ConstraintKind::Unique && some
    });
    if let Some(unique) = unique.filter(|_| !known && !natural) {
        let by = pairs.iter().filter(|(_, b)| unique.fields.contains(&b.name)).map(|(a, _)| said(&a.name));
        command.extend(words(["--by", &by.collect::<Vec<_>>().join(",")]));
    }
    if known {
        command.extend(words(["--on-missing", "insert"]));
    }
    let fields: Vec<&Field> = pairs.iter().map(|(f, _)| *f).collect();
    let sentence = format!("`{}` has the values of `{}`, each once", into.short(), places(name, &fields));
    Some(proposal(now, command, sentence, name, &fields))
}

fn places(table: &TableName, fields: &[&Field]) -> String {
    fields.iter().map(|f| place(table, &f.name)).collect::<Vec<_>>().join("`, `")
}

/// A table with the same key, and fields that go.
fn split(
    now: &Now,
    name: &TableName,
    table: &Table,
    wanted: &Table,
    into: &TableName,
    there: &Table,
) -> Option<Proposal> {
    let key = primary(table);
    let (rule, _) = references(there).find(|(_, k)| k.table == *name && k.fields == key)?;
    let unique = |c: &Constraint| matches!(c.kind, ConstraintKind::Primary | ConstraintKind::Unique);
    if !there.constraints.iter().any(|c| unique(c) && c.fields == rule.fields) {
        return None;
    }
    let rest: Vec<&Field> = there.fields.iter().filter(|f| !rule.fields.contains(&f.name)).collect();
    let pairs = paired(&only(table, wanted), &rest);
    if pairs.is_empty() || pairs.len() < rest.len() {
        return None;
    }
    let mut command = words(["split-table", &name.reference().to_string()]);
    command
        .extend(pairs.iter().map(|(a, b)| if a.name == b.name { said(&a.name) } else { renaming(&a.name, &b.name) }));
    command.extend(words(["--into", &into.reference().to_string()]));
    if rule.fields != key {
        let names: Vec<String> = rule.fields.iter().map(said).collect();
        command.extend(words(["--key", &names.join(",")]));
    }
    let fields: Vec<&Field> = pairs.iter().map(|(f, _)| *f).collect();
    let sentence = format!("`{}` has `{}` of each row", into.short(), places(name, &fields));
    Some(proposal(now, command, sentence, name, &fields))
}

/// A table of links instead of a foreign key.
fn linked(
    now: &Now,
    name: &TableName,
    table: &Table,
    wanted: &Table,
    into: &TableName,
    there: &Table,
) -> Option<Proposal> {
    let (here, _) = references(there).find(|(_, k)| k.table == *name)?;
    let (far, far_key) = references(there).find(|(rule, _)| rule.name != here.name)?;
    let gone = only(table, wanted);
    let (rule, _) = references(table)
        .find(|(rule, k)| k.table == far_key.table && rule.fields.iter().all(|f| gone.iter().any(|g| g.name == *f)))?;
    let old = field(table, &rule.fields[0])?;
    let mut command = words(["make-associative", &place(name, &old.name), "--into", &into.reference().to_string()]);
    let listed = |names: &[Ident]| names.iter().map(said).collect::<Vec<_>>().join(",");
    command.extend(words(["--from", &listed(&here.fields)]));
    if far.fields != rule.fields {
        command.extend(words(["--to", &listed(&far.fields)]));
    }
    let sentence = format!("`{}` has the links of `{}`", into.short(), place(name, &old.name));
    Some(proposal(now, command, sentence, name, &[old]))
}

/// Rows instead of fields of the same kind.
fn unpivoted(
    now: &Now,
    name: &TableName,
    table: &Table,
    wanted: &Table,
    into: &TableName,
    there: &Table,
) -> Option<Proposal> {
    let (rule, _) = references(there).find(|(_, k)| k.table == *name)?;
    let rest: Vec<&Field> =
        there.fields.iter().filter(|f| !rule.fields.contains(&f.name) && numbering(f) == "none").collect();
    let gone = only(table, wanted);
    let (label, value) = match rest[..] {
        [a, b] if primary(there).contains(&a.name) || !primary(there).contains(&b.name) => (a, b),
        [a, b] => (b, a),
        _ => return None,
    };
    let fields: Vec<&Field> = gone.into_iter().filter(|f| likeness::same_type(f, value)).collect();
    if fields.is_empty() || label.type_name != "text" {
        return None;
    }
    let labels = super::allowed_values(there, &label.name);
    let labelled = |f: &&Field| {
        let own = labels.iter().filter(|l| f.name.as_str() != **l && f.name.as_str().contains(l.as_str()));
        own.max_by_key(|l| l.len()).map_or_else(|| said(&f.name), |l| renaming(&f.name, &Ident::new(l.clone())))
    };
    let mut command = words(["unpivot", &name.reference().to_string()]);
    command.extend(fields.iter().map(labelled));
    command.extend(words(["--into", &into.reference().to_string()]));
    let from: Vec<String> = rule.fields.iter().map(said).collect();
    command.extend(words(["--from", &from.join(","), "--label", &said(&label.name), "--value", &said(&value.name)]));
    let sentence = format!("`{}` has a row for each of `{}`", into.short(), places(name, &fields));
    Some(proposal(now, command, sentence, name, &fields))
}

/// Some rows of a table, by a field whose value is the name of the new one.
fn divided(
    now: &Now,
    name: &TableName,
    table: &Table,
    into: &TableName,
    there: &Table,
    oracle: &mut dyn Oracle,
) -> Option<Proposal> {
    if likeness::tables(table, there) < 80 || references(there).any(|(_, k)| k.table == *name) {
        return None;
    }
    let short = |f: &&Field| matches!(f.type_name.as_str(), "text" | "boolean") || f.type_name.starts_with("character");
    for field in table.fields.iter().filter(short) {
        let Some(origin) = now.node.origin(name, &field.name) else { continue };
        for value in oracle.values(&origin.0, &origin.1).unwrap_or_default() {
            let singular = value.to_lowercase();
            if singular.len() < 3 || !into.name.as_str().contains(singular.trim_end_matches(['s', 'e', 'y'])) {
                continue;
            }
            let condition = format!("{} = {}", field.name, crate::sql::Literal(value));
            let command = words([
                "split-rows",
                &name.reference().to_string(),
                "--where",
                &condition,
                "--into",
                &said(&into.name),
            ]);
            let sentence = format!("`{}` has the rows of `{}` where {condition}", into.short(), name.short());
            return Some(proposal(now, command, sentence, name, &[field]));
        }
    }
    None
}

/// One table with the rows of several.
fn united(now: &Now, into: &TableName, there: &Table) -> Option<Proposal> {
    let parts: Vec<(&TableName, &Table)> = now.extra().filter(|(_, t)| likeness::tables(t, there) >= 70).collect();
    let [(first, table), ..] = parts[..] else { return None };
    if parts.len() < 2 {
        return None;
    }
    let new = only(there, table);
    let mut command = words(["union-tables"]);
    command.extend(parts.iter().map(|(name, _)| name.reference().to_string()));
    command.extend(words(["--into", &said(&into.name)]));
    if let [discriminator] = new[..] {
        command.extend(words(["--discriminator", &said(&discriminator.name)]));
    }
    let names: Vec<String> = parts.iter().map(|(name, _)| name.short()).collect();
    let sentence = format!("`{}` has the rows of `{}`", into.short(), names.join("` and `"));
    Some(proposal(now, command, sentence, first, &table.fields.iter().collect::<Vec<_>>()))
}

/// A table that goes, and its fields that come where it was referred to.
fn inlined(going: &Going) -> Option<Proposal> {
    let Going { name, table, into, target, wanted, .. } = *going;
    let gone = only(target, wanted);
    let keys: Vec<_> = references(target).filter(|(_, k)| k.table == *name).collect();
    let (rule, key) = *keys.iter().find(|(rule, _)| rule.fields.iter().all(|f| gone.iter().any(|g| g.name == *f)))?;
    let values: Vec<&Field> = table.fields.iter().filter(|f| !key.fields.contains(&f.name)).collect();
    let pairs = paired(&values, &only(wanted, target));
    if pairs.is_empty() {
        return None;
    }
    let mut command = words(["inline-table", &name.reference().to_string(), "--into", &into.reference().to_string()]);
    command.extend(via(&keys, rule));
    command.extend(renamings("--as", &pairs));
    let sentence = format!("`{}` has the values of the `{}` that it referred to", into.short(), name.short());
    Some(going.proposal(command, sentence))
}

/// A table that goes, and its fields that come where it referred to.
fn merged(going: &Going) -> Option<Proposal> {
    let Going { name, table, into, target, wanted, .. } = *going;
    let keys: Vec<_> = references(table).filter(|(_, k)| k.table == *into).collect();
    let (rule, _) = *keys.first()?;
    let values: Vec<&Field> = table.fields.iter().filter(|f| !rule.fields.contains(&f.name)).collect();
    let pairs = paired(&values, &only(wanted, target));
    if pairs.is_empty() {
        return None;
    }
    let mut command = words(["merge-tables", &name.reference().to_string(), "--into", &into.reference().to_string()]);
    command.extend(via(&keys, rule));
    command.extend(renamings("--as", &pairs));
    let without: Vec<String> =
        values.iter().filter(|f| !pairs.iter().any(|(p, _)| p.name == f.name)).map(|f| said(&f.name)).collect();
    if !without.is_empty() {
        command.extend(words(["--without", &without.join(",")]));
    }
    if pairs.iter().all(|(a, b)| a.not_null == b.not_null) && pairs.iter().any(|(a, _)| a.not_null) {
        command.push("--total".to_owned());
    }
    let sentence = format!("`{}` has the fields of its row of `{}`", into.short(), name.short());
    Some(going.proposal(command, sentence))
}

/// A table of links that goes, and a foreign key that comes.
fn unlinked(going: &Going) -> Option<Proposal> {
    let Going { name, table, into, target, wanted, .. } = *going;
    let (here, _) = references(table).find(|(_, k)| k.table == *into)?;
    let (far, far_key) = references(table).find(|(rule, _)| rule.name != here.name)?;
    let new = only(wanted, target);
    let (rule, _) = references(wanted).find(|(rule, k)| {
        k.table == far_key.table
            && rule.fields.len() == far.fields.len()
            && rule.fields.iter().all(|f| new.iter().any(|n| n.name == *f))
    })?;
    let mut command =
        words(["collapse-associative", &name.reference().to_string(), "--into", &into.reference().to_string()]);
    let names: Vec<String> =
        far.fields.iter().zip(&rule.fields).filter(|(a, b)| a != b).map(|(a, b)| renaming(a, b)).collect();
    if !names.is_empty() {
        command.extend(words(["--as", &names.join(",")]));
    }
    let sentence = format!("`{}` refers to the one that `{}` links it with", into.short(), name.short());
    Some(going.proposal(command, sentence))
}

/// A table of rows that goes, and fields that come.
fn pivoted(going: &Going) -> Option<Proposal> {
    let Going { name, table, into, target, wanted, .. } = *going;
    let keys: Vec<_> = references(table).filter(|(_, k)| k.table == *into).collect();
    let (rule, _) = *keys.first()?;
    let rest: Vec<&Field> =
        table.fields.iter().filter(|f| !rule.fields.contains(&f.name) && numbering(f) == "none").collect();
    let new = only(wanted, target);
    let is_label = |f: &&&Field| {
        let with_it = |c: &Constraint| {
            matches!(c.kind, ConstraintKind::Primary | ConstraintKind::Unique)
                && c.fields.contains(&f.name)
                && rule.fields.iter().all(|k| c.fields.contains(k))
        };
        table.constraints.iter().any(with_it)
    };
    let label = rest.iter().find(is_label)?;
    let value = rest.iter().find(|f| f.name != label.name && new.iter().any(|n| likeness::same_type(n, f)))?;
    let fields: Vec<&Field> = new.into_iter().filter(|n| likeness::same_type(n, value)).collect();
    let mut command = words(["pivot", &name.reference().to_string()]);
    command.extend(fields.iter().map(|f| said(&f.name)));
    command.extend(words(["--into", &into.reference().to_string()]));
    command.extend(words(["--label", &said(&label.name), "--value", &said(&value.name)]));
    command.extend(via(&keys, rule));
    let sentence = format!("`{}` are rows of `{}`", places(into, &fields), name.short());
    Some(going.proposal(command, sentence))
}
