//! Keys of tables that become one: which rows get other numbers, so that none is there twice.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::catalogue::{entangled, split_rows};
use crate::fact::{Loss, LossKind, Words};
use crate::name::{Ident, TableName};
use crate::refusal::Refusal;
use crate::relation::{Hidden, Home, Relation, Stores, row_key};
use crate::schema::{self, ConstraintKind, Identity};
use crate::sql::{Expression, Literal};
use crate::version::{Branch, Numbering, Source, Version, kept_apart};

/// Gives the rows of each table but the first numbers that the first one's sequence draws. One that draws from that
/// sequence already keeps its own.
///
/// # Errors
/// When a key is not one number that the table itself draws, or something else knows it.
pub fn renumber(
    after: &mut Version,
    step: &str,
    relations: &[&Relation],
    united: &Relation,
    branches: &mut [Branch],
    restores: Option<&String>,
) -> Result<(), Refusal> {
    let (key, next) = numbered(after, relations[0])?;
    let place = united.fields.iter().position(|f| f.shape.name == key.name).unwrap_or_default();
    let mut places = vec![(relations[0].base.clone(), key.name.clone())];
    let names: BTreeSet<&Ident> = relations.iter().map(|r| &r.name.name).collect();
    if names.len() < relations.len() {
        return Err(Refusal::Other {
            why: "two of the tables have one name, by which their old numbers are kept".into(),
            hint: Some("rename one first, and materialize".into()),
        });
    }
    let mut wanted = Vec::new();
    for (branch, relation) in branches.iter_mut().zip(relations).skip(1) {
        let (theirs, drawn) = numbered(after, relation)?;
        if theirs.name != key.name {
            return Err(Refusal::Other {
                why: format!(
                    "the key of `{}` is `{}`, and that of `{}` is `{}`",
                    relations[0].name.short(),
                    key.name,
                    relation.name.short(),
                    theirs.name
                ),
                hint: Some(format!(
                    "give them one name, as in `refactor rename-field {} {}`; then materialize",
                    relation.name.typed_field(&theirs.name),
                    key.name.typed()
                )),
            });
        }
        if drawn == next {
            places.push((relation.base.clone(), key.name.clone()));
            continue;
        }
        let numbering = Numbering {
            step: step.to_owned(),
            id: entangled::generated_id(step, &relation.name.name),
            table: relation.base.clone(),
            key: vec![key.name.clone()],
            key_draws: Some(drawn),
            type_name: key.type_name.clone(),
            rows: None,
            draws: Some(next.clone()),
            options: None,
            apart: Vec::new(),
            restores: restores.map(|step| kept_as(step, wanted.is_empty(), &relation.name.name, &key.name)),
        };
        places.push((numbering.kept(), Ident::new("refactor_value")));
        branch.sources[place] = Source::Numbered(after.numberings.len() + wanted.len());
        wanted.push((numbering, relation.name.clone()));
    }
    if wanted.is_empty() {
        return Err(Refusal::Nothing(format!(
            "one sequence numbers all their rows, so no `{}` is there twice",
            key.name
        )));
    }
    must_be_known_to_nobody(united, branches.iter().filter_map(|b| b.takes.as_ref()), &key.name)?;
    for (mut numbering, table) in wanted {
        let own = numbering.kept();
        numbering.apart = places.iter().filter(|(place, _)| *place != own).cloned().collect();
        after.losses.push(Loss {
            step: step.to_owned(),
            table: numbering.table.clone(),
            columns: numbering.key.clone(),
            rows: None,
            kind: LossKind::Renumbered(after.numberings.len()),
            key: Vec::new(),
            kept: String::new(),
            words: Words { table, field: key.name.clone(), other: united.name.clone() },
        });
        after.numberings.push(numbering);
    }
    Ok(())
}

/// Where the numbers of a table are kept that a refactoring gives others.
fn kept_as(step: &str, first: bool, table: &Ident, key: &Ident) -> String {
    if first { step.to_owned() } else { kept_apart(&kept_apart(step, table), key) }
}

/// How the rows of a table that is made of another's are numbered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    /// By what.
    pub by: By,
    /// The name of the sequence, in the schema of the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Ident>,
    /// Its options, where they are not what a sequence has by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// The default that draws from a sequence of nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// What draws the numbers of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The sequence that numbers the other table, too: every row keeps its number.
    Same,
    /// A default, and a sequence that belongs to the field.
    Serial,
    /// An identity that a row may come with.
    ByDefault,
    /// An identity that no row may come with.
    Always,
    /// A default, and a sequence that belongs to nobody.
    Default,
}

impl std::str::FromStr for Numbers {
    type Err = toml::de::Error;
    /// Reads the same as a file has: `{ by = "serial", sequence = "todos_id_seq" }`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        #[derive(Deserialize)]
        struct One {
            numbers: Numbers,
        }
        toml::from_str::<One>(&format!("numbers = {text}")).map(|one| one.numbers)
    }
}

/// How the rows of each table but the first are numbered now.
///
/// # Errors
/// When their keys are not numbers that can be drawn.
pub fn numbers(version: &Version, relations: &[&Relation]) -> Result<Vec<Numbers>, Refusal> {
    let (_, first) = numbered(version, relations[0])?;
    let one = |relation: &&Relation| {
        let (field, drawn) = numbered(version, relation)?;
        if drawn == first {
            return Ok(Numbers { by: By::Same, sequence: None, options: None, default: None });
        }
        let by_default = Numbers { by: By::Default, sequence: None, options: None, default: Some(drawn) };
        Ok(of(version, &field).unwrap_or(by_default))
    };
    relations[1..].iter().map(one).collect()
}

/// How a field is numbered by a sequence of its own, if it is.
#[must_use]
pub fn of(version: &Version, field: &schema::Field) -> Option<Numbers> {
    let sequence = field.sequence.as_ref()?;
    let by = match field.identity {
        Some(Identity::Always) => By::Always,
        Some(Identity::ByDefault) => By::ByDefault,
        None if field.default.as_ref() == Some(&nextval(sequence)) => By::Serial,
        None => return None,
    };
    let options = version.schema.sequences.get(sequence).map(|s| s.options.clone());
    Some(Numbers {
        by,
        sequence: Some(sequence.name.clone()),
        options: options.filter(|o| *o != ordinary(&field.type_name)),
        default: None,
    })
}

/// Whether a sequence can draw values of a type.
#[must_use]
pub fn is_number(kind: &str) -> bool {
    ["smallint", "integer", "int", "bigint", "int2", "int4", "int8"].contains(&kind)
}

/// Says of a field what draws its values.
pub fn draw_by(field: &mut schema::Field, by: By, sequence: &TableName, default: Option<&String>) {
    field.identity = match by {
        By::Always => Some(Identity::Always),
        By::ByDefault => Some(Identity::ByDefault),
        By::Same | By::Serial | By::Default => None,
    };
    field.default = match by {
        By::Serial => Some(nextval(sequence)),
        _ => default.cloned(),
    };
    field.sequence = (by != By::Default).then(|| sequence.clone());
}

/// The options of a sequence that was given none.
fn ordinary(kind: &str) -> String {
    let most = match kind {
        "smallint" => i64::from(i16::MAX),
        "integer" => i64::from(i32::MAX),
        _ => i64::MAX,
    };
    format!("AS {kind} INCREMENT BY 1 MINVALUE 1 MAXVALUE {most} START WITH 1 CACHE 1 NO CYCLE")
}

fn nextval(sequence: &TableName) -> String {
    format!("nextval({}::regclass)", Literal(sequence.to_string()))
}

/// Gives the rows of a part numbers of its own. `numbers` says what draws them, if they had some before.
///
/// # Errors
/// When its key is not one number that the table itself draws, or something else knows it.
pub fn part(
    after: &mut Version,
    step: &str,
    relation: &Relation,
    part: &mut Relation,
    numbers: Option<&Numbers>,
    restores: Option<&String>,
) -> Result<(), Refusal> {
    let (key, drawn) = numbered(after, relation)?;
    let Some(shown) = relation.showing(&after.schema, &key.name).map(|f| f.shape.name.clone()) else {
        return Err(Refusal::NoKey { table: relation.name.clone() });
    };
    let sequence = numbers
        .and_then(|n| n.sequence.clone())
        .unwrap_or_else(|| Ident::generated(&[part.name.name.as_str(), shown.as_str(), "seq"]));
    let sequence = part.name.renamed(sequence);
    let by = numbers.map_or_else(
        || match key.identity {
            Some(Identity::Always) => By::Always,
            Some(Identity::ByDefault) => By::ByDefault,
            None => By::Serial,
        },
        |n| n.by,
    );
    if by == By::Same {
        return Ok(());
    }
    let default = numbers.and_then(|n| n.default.clone());
    if by != By::Default {
        split_rows::must_be_free(after, &sequence, &[], "rename it first: the new table's sequence will be called so")?;
    }
    must_be_known_to_nobody(part, part.conditions().iter().map(|c| &c.holds), &shown)?;
    let first = !after.numberings.iter().any(|n| n.step == step);
    let numbering = Numbering {
        step: step.to_owned(),
        id: entangled::generated_id(step, &part.name.name),
        table: relation.base.clone(),
        key: vec![key.name.clone()],
        key_draws: Some(drawn),
        type_name: key.type_name.clone(),
        rows: part.rows_shown(),
        draws: default.clone(),
        options: numbers.and_then(|n| n.options.clone()),
        apart: Vec::new(),
        restores: restores.map(|step| kept_as(step, first, &part.name.name, &shown)),
    };
    let at = after.numberings.len();
    for field in part.fields.iter_mut().filter(|f| f.shape.name == shown) {
        field.home = Home::Numbered(at);
        draw_by(&mut field.shape, by, &sequence, default.as_ref());
    }
    part.hidden.push(Hidden { column: key.name.clone(), stores: Stores::BaseDefault });
    after.losses.push(Loss {
        step: step.to_owned(),
        table: relation.base.clone(),
        columns: vec![key.name],
        rows: numbering.rows.clone(),
        kind: LossKind::Renumbered(at),
        key: Vec::new(),
        kept: String::new(),
        words: Words { table: part.name.clone(), field: shown, other: relation.name.clone() },
    });
    after.numberings.push(numbering);
    Ok(())
}

/// The one number that is a table's key, and what draws it.
///
/// # Errors
/// When its key is something else.
pub fn numbered(version: &Version, relation: &Relation) -> Result<(schema::Field, String), Refusal> {
    let table = version.table(relation);
    let name = relation.name.short();
    let no = |why: String, hint: &str| Err(Refusal::Other { why, hint: Some(hint.to_owned()) });
    let key = row_key(table).ok_or_else(|| Refusal::NoKey { table: relation.name.clone() })?;
    let [key] = &key[..] else {
        let fields = crate::refusal::list(&key.iter().map(ToString::to_string).collect::<Vec<_>>());
        return no(
            format!("the key of `{name}` is {fields}, and only a single number can be drawn anew"),
            "leave out `--renumber`, and give the rows of one table other keys first",
        );
    };
    let Some(field) = table.fields.iter().find(|f| f.name == *key) else {
        return Err(Refusal::NoKey { table: relation.name.clone() });
    };
    if !is_number(&field.type_name) {
        return no(
            format!(
                "the key `{key}` of `{name}` is of type {}, and only whole numbers can be drawn anew",
                field.type_name
            ),
            "leave out `--renumber`, and give the rows of one table other keys first",
        );
    }
    let identity = field.identity.and(field.sequence.as_ref());
    let drawn = identity.map(nextval).or_else(|| {
        let draws = |d: &&String| Expression::parse(d).is_ok_and(|e| e.functions().contains("nextval"));
        field.default.clone().filter(|d| draws(&d))
    });
    match drawn {
        Some(drawn) => Ok((field.clone(), drawn)),
        None => no(
            format!("no sequence numbers the rows of `{name}`"),
            "give the key one first, as in `ALTER TABLE … ALTER COLUMN … ADD GENERATED BY DEFAULT AS IDENTITY`",
        ),
    }
}

/// What reads a number would have to read another one.
fn must_be_known_to_nobody<'c>(
    united: &Relation,
    mut conditions: impl Iterator<Item = &'c Expression>,
    key: &Ident,
) -> Result<(), Refusal> {
    let refuse = |what: String, hint: &str| {
        Err(Refusal::Other {
            why: format!("{what} reads `{key}`, which would be another number"),
            hint: Some(hint.to_owned()),
        })
    };
    let no = |what: String| refuse(what, "drop it first if it is no longer wanted");
    let alone = |fields: &[Ident]| fields == std::slice::from_ref(key);
    for item in united.constraints.iter().map(|c| &c.item).filter(|c| c.fields.contains(key)) {
        let is_key = matches!(item.kind, ConstraintKind::Primary | ConstraintKind::Unique) && alone(&item.fields);
        if !is_key && item.kind != ConstraintKind::NotNull {
            return no(format!("the constraint `{}`", item.name));
        }
    }
    let unique = united.indexes.iter().map(|i| &i.item).filter(|i| i.unique && i.fields.contains(key));
    if let Some(index) = unique.into_iter().find(|i| !alone(&i.fields)) {
        return no(format!("the index `{}`", index.name));
    }
    let reads = |text: &str| Expression::parse(text).is_ok_and(|e| e.fields().contains(key));
    let generated = |f: &&crate::relation::Field| f.shape.generated.as_ref().is_some_and(|g| reads(&g.expression));
    if let Some(field) = united.fields.iter().find(generated) {
        return no(format!("the generated field `{}`", field.shape.name));
    }
    match conditions.find(|c| c.fields().contains(key)) {
        Some(condition) => {
            refuse(format!("the condition `{condition}`"), "choose one over other fields, or leave out `--renumber`")
        }
        None => Ok(()),
    }
}
