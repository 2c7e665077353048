//! A new table whose rows have numbers of their own: the sequence that goes on drawing them.

use super::{identity, position};
use crate::name::TableName;
use crate::plan::materialize::attach::role;
use crate::relation::{Home, Relation};
use crate::schema::Field;
use crate::version::{Numbering, Version};

/// The numbered fields that have a sequence of their own, with its name once the table is there.
fn drawn<'v>(
    version: &'v Version,
    relation: &'v Relation,
) -> impl Iterator<Item = (&'v Field, &'v TableName, &'v Numbering)> {
    relation.fields.iter().filter_map(|f| match (f.home, &f.shape.sequence) {
        (Home::Numbered(at), Some(sequence)) => Some((&f.shape, sequence, &version.numberings[at])),
        _ => None,
    })
}

/// Remembers where the sequences stand: the complements will be gone.
pub(in crate::plan::materialize) fn remember(version: &Version, relation: &Relation) -> Vec<String> {
    let one = |(_, sequence, numbering): (_, &TableName, &Numbering)| {
        format!(
            "SELECT set_config({}, (SELECT last_value || ' ' || is_called FROM {}), true);",
            position(sequence),
            numbering.sequence()
        )
    };
    drawn(version, relation).map(one).collect()
}

/// Makes the sequences that defaults draw from.
pub(super) fn create(version: &Version, relation: &Relation) -> Vec<String> {
    let mut lines = Vec::new();
    let table = version.table(relation);
    for (field, sequence, numbering) in drawn(version, relation).filter(|(f, ..)| f.identity.is_none()) {
        let default = format!("AS {}", field.type_name);
        let (at, options) = (position(sequence), numbering.options.as_ref().unwrap_or(&default));
        lines.push(format!("CREATE SEQUENCE {sequence} {options};"));
        lines.extend(table.owner.iter().map(|owner| format!("ALTER SEQUENCE {sequence} OWNER TO {owner};")));
        let name = crate::sql::Literal(sequence.to_string());
        lines.push(format!(
            "SELECT setval({name}, split_part(current_setting({at}), ' ', 1)::bigint, split_part(current_setting({at}), ' ', 2)::boolean);"
        ));
        let writers = table.grants.iter().flatten().filter(|g| g.privilege == "INSERT");
        lines.extend(writers.map(|g| format!("GRANT USAGE ON SEQUENCE {sequence} TO {};", role(g))));
    }
    lines
}

/// Gives the sequences to the table.
pub(super) fn give(version: &Version, relation: &Relation) -> Vec<String> {
    let name = &relation.name;
    let one = |(field, sequence, numbering): (&Field, &TableName, &Numbering)| {
        identity(version, name, field, numbering.options.as_deref().unwrap_or_default())
            .unwrap_or_else(|| format!("ALTER SEQUENCE {sequence} OWNED BY {name}.{};", field.name))
    };
    drawn(version, relation).map(one).collect()
}
