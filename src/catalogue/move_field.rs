//! `move-field`: a field goes to another table along foreign keys.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::entangled::{self, Purpose, reference};
use crate::catalogue::path::{self, Path};
use crate::catalogue::{Refactor, Refactoring};
use crate::fact::{Claim, Fact, Loss, LossKind, Words};
use crate::name::{FieldRef, Ident, TableRef};
use crate::refusal::Refusal;
use crate::relation::{Field, Hidden, Home, Relation, Stores, row_key};
use crate::schema::ConstraintKind;
use crate::sql::Expression;
use crate::version::{Carry, CarryWords, Direction, OnOldWrite, RemarkKind, Version};

/// Move a field to another table.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveField {
    /// Field to move, as in `orders.city`
    pub field: FieldRef,
    /// Table it goes to
    pub to: TableRef,
    /// Name it gets there
    #[arg(long = "as", value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub as_name: Option<Ident>,
    /// Foreign keys to follow, in order, where there is more than one way or the way crosses other tables
    #[arg(long, value_name = "KEY", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<Ident>,
    /// Fields that match, where there is no foreign key: `--on customer_id=id`
    #[arg(long, value_name = "FIELD=FIELD", value_delimiter = ',', conflicts_with = "via", value_parser = pair)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<Pair>,
    /// Go down the foreign key of a table to itself: from one row to those that refer to it
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub down: bool,
    /// What becomes of a write of old code that gives one row of the target two values
    #[arg(long, value_enum, default_value_t)]
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_old_write: OnOldWrite,
    /// What old code finds in the field where the new shape says nothing
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<Expression>,
    /// Refactoring whose kept values the field gets back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// Field that it stands before, instead of last
    #[arg(long, hide = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ident>,
}

/// Two fields that match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair(Ident, Ident);

fn pair(text: &str) -> Result<Pair, String> {
    let (a, b) = text.split_once('=').ok_or("expected two fields, as in `customer_id=id`")?;
    Ok(Pair(a.parse().map_err(|e| format!("{e}"))?, b.parse().map_err(|e| format!("{e}"))?))
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it with a reference
fn is_default(policy: &OnOldWrite) -> bool {
    *policy == OnOldWrite::default()
}

impl MoveField {
    fn path(&self, version: &Version, from: &Relation, to: &Relation) -> Result<Path, Refusal> {
        if self.on.is_empty() {
            path::find(version, from, to, &self.via, self.down)
        } else {
            let pairs: Vec<_> = self.on.iter().map(|p| (p.0.clone(), p.1.clone())).collect();
            path::on(version, from, to, &pairs)
        }
    }
}

impl Refactor for MoveField {
    fn wish(&self) -> String {
        format!("move field `{}` to `{}`", self.field, self.to)
    }

    fn slug(&self) -> String {
        format!("move-{}-to-{}", self.field.field.as_str(), self.to.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (from, field) = before.find_field(&self.field)?;
        let to = before.find_plain(&self.to)?;
        let old = field.shape.name.clone();
        let new = self.as_name.clone().unwrap_or_else(|| old.clone());
        let Some(column) = from.column(&before.schema, field).cloned() else {
            return Err(self.homeless(before, to, field));
        };
        if from.base != to.base || new != old {
            entangled::must_be_free(to, &new, "choose another name with `--as`")?;
        }
        let path = self.path(before, from, to)?;
        entangled::check(before, from, field, Purpose::Move)?;
        self.check_values(before, from, field, &path)?;

        let mut after = before.clone();
        let words = Words { table: to.name.clone(), field: old.clone(), other: from.name.clone() };
        let base_column = &before
            .table(from)
            .fields
            .iter()
            .find(|f| f.name == column)
            .ok_or_else(|| Refusal::NoField { table: from.name.clone(), field: column.clone(), similar: Vec::new() })?;
        match path.direction {
            Direction::Up => {
                after.facts.push(Fact {
                    step: step.to_owned(),
                    claim: Claim::Agree {
                        source: from.base.clone(),
                        column: column.clone(),
                        hops: path.hops.clone(),
                        comparable: base_column.comparable,
                        words: words.clone(),
                    },
                });
                if field.shape.not_null {
                    let claim = Claim::Reached { hops: path.hops.clone(), words: words.clone() };
                    after.facts.push(Fact { step: step.to_owned(), claim });
                }
                if !path.total {
                    after.losses.push(Loss {
                        step: step.to_owned(),
                        table: from.base.clone(),
                        columns: vec![column.clone()],
                        kind: LossKind::Unreached(after.carries.len()),
                        words: Words { table: from.name.clone(), field: old.clone(), other: to.name.clone() },
                    });
                }
            }
            Direction::Down => {
                if field.shape.not_null && !path.total {
                    let claim = Claim::Reaches { hops: path.hops.clone(), words };
                    after.facts.push(Fact { step: step.to_owned(), claim });
                }
                after.losses.push(Loss {
                    step: step.to_owned(),
                    table: from.base.clone(),
                    columns: vec![column.clone()],
                    kind: LossKind::Unreached(after.carries.len()),
                    words: Words { table: from.name.clone(), field: old.clone(), other: to.name.clone() },
                });
            }
        }
        entangled::note(&mut after, step, from, field, Purpose::Move);
        let row_key = row_key(before.table(to)).ok_or_else(|| Refusal::NoKey { table: to.name.clone() })?;
        let carry = after.carries.len();
        after.carries.push(Carry {
            step: step.to_owned(),
            id: entangled::generated_id(step, &new),
            direction: path.direction,
            source: from.base.clone(),
            column: column.clone(),
            target: to.base.clone(),
            hops: path.hops,
            row_key,
            type_name: base_column.type_name.clone(),
            collation: base_column.collation.clone(),
            not_null: base_column.not_null,
            fill: self.fill.clone(),
            on_old_write: self.on_old_write,
            restores: self.restores.clone(),
            constraints: from
                .constraints
                .iter()
                .filter(|c| c.item.fields == [old.clone()] && c.origin == from.base)
                .map(|c| c.original)
                .collect(),
            words: CarryWords {
                from: from.name.clone(),
                field: old.clone(),
                to: to.name.clone(),
                as_field: new.clone(),
            },
        });
        let schema = after.schema.clone();
        let unindexed: Vec<String> = after.carries[carry]
            .unindexed(&schema)
            .map(|hop| {
                format!(
                    "{} ({})",
                    hop.from.short(),
                    hop.from_columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                )
            })
            .collect();
        for on in unindexed {
            let text = format!(
                "there is no index on {on}: each row of `{}` searches that whole table; `CREATE INDEX CONCURRENTLY ON {on}` makes it fast",
                to.name.short()
            );
            after.remark(step, RemarkKind::Note, text);
        }
        let shape = crate::schema::Field { name: new.clone(), ..field.shape.clone() };
        let (from_name, to_name) = (from.name.clone(), to.name.clone());
        let giving = after.change(&from_name, step);
        giving.fields.retain(|f| f.shape.name != old);
        giving.hidden.push(Hidden { column, stores: Stores::Adopted(carry) });
        let mut giving = giving.clone();
        if from_name == to_name {
            let mut along = giving.clone();
            along.constraints.clear();
            along.indexes.clear();
            entangled::take_along(&mut giving, &mut along, &old, &new);
            giving.constraints.append(&mut along.constraints);
            giving.indexes.append(&mut along.indexes);
            giving.insert_field(Field { shape, home: Home::Carried(carry) }, self.before.as_ref());
        } else {
            let getting = after.change(&to_name, step);
            entangled::take_along(&mut giving, getting, &old, &new);
            getting.insert_field(Field { shape, home: Home::Carried(carry) }, self.before.as_ref());
        }
        after.relations.insert(from_name, giving);
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (from, field) = before.find_field(&self.field)?;
        let to = before.find_plain(&self.to)?;
        let path = self.path(before, from, to)?;
        let moved = self.as_name.clone().unwrap_or_else(|| field.shape.name.clone());
        let as_name = (moved != field.shape.name).then(|| field.shape.name.clone());
        Ok(Refactoring::MoveField(Self {
            field: FieldRef { table: reference(&to.name), field: moved },
            to: reference(&from.name),
            as_name,
            via: path.keys.iter().rev().map(|k| Ident::new(&**k)).collect(),
            on: self.on.iter().map(|p| Pair(p.1.clone(), p.0.clone())).collect(),
            down: from.base == to.base && path.direction == Direction::Up,
            on_old_write: self.on_old_write,
            fill: None,
            restores: Some(step.to_owned()),
            before: from.following(&field.shape.name),
        }))
    }
}

impl MoveField {
    /// Why a field that lives elsewhere, by an earlier refactoring that is still deferred, is not moved on. Nothing is
    /// real yet, so the earlier one can be said anew.
    fn homeless(&self, version: &Version, to: &Relation, field: &Field) -> Refusal {
        let (step, hint) = match field.home {
            Home::Carried(at) => {
                let Carry { step, words, source, .. } = &version.carries[at];
                let hint = if *source == to.base {
                    format!("take that back instead: `refactor undo {step}`")
                } else {
                    let (table, field) = (words.from.short(), &words.field);
                    format!(
                        "move it there in one go: `refactor undo {step}`, then `refactor move-field {table}.{field} {}`; or materialize first",
                        to.name.short()
                    )
                };
                (step.clone(), hint)
            }
            Home::Added(at) => {
                let step = version.added[at].step.clone();
                let hint = format!(
                    "add it to `{}` from the start: `refactor undo {step}`; or materialize first",
                    to.name.short()
                );
                (step, hint)
            }
            Home::Shaped(at, _) => (version.shaped[at].step.clone(), "materialize first".into()),
            Home::Own(_) => (String::new(), String::new()),
        };
        Refusal::Entangled {
            field: self.field.clone(),
            role: format!("was put there by {step}, which is not real yet"),
            hint: Some(hint),
        }
    }

    /// Values that must be given, and keys that would break.
    fn check_values(&self, version: &Version, from: &Relation, field: &Field, path: &Path) -> Result<(), Refusal> {
        let unique = from.constraints.iter().map(|c| (&c.item.fields, c.item.kind == ConstraintKind::Unique));
        let unique = unique.chain(from.indexes.iter().map(|i| (&i.item.fields, i.item.unique)));
        let name = &field.shape.name;
        if unique.into_iter().any(|(fields, unique)| unique && fields == std::slice::from_ref(name)) && !path.one_to_one
        {
            let role = match path.direction {
                Direction::Up => "is unique, so that no two rows could share it after the move",
                Direction::Down => "is unique, and the move would repeat each value",
            };
            return Err(Refusal::Entangled {
                field: self.field.clone(),
                role: role.into(),
                hint: Some("drop the unique constraint first if it is no longer wanted".into()),
            });
        }
        if let Some(key) = path.hops.iter().find(|h| h.from == from.base) {
            if from.column(&version.schema, field).is_some_and(|c| key.from_columns.contains(c)) {
                return Err(Refusal::Entangled {
                    field: self.field.clone(),
                    role: format!("is the way to `{}` itself", self.to),
                    hint: None,
                });
            }
        }
        let needs_value = field.shape.not_null && field.shape.default.is_none() && self.fill.is_none();
        if needs_value && (path.direction == Direction::Down || !path.total) {
            return Err(Refusal::NeedsValue(
                "it is NOT NULL and has no default, so new code could insert no row while old code still needs it"
                    .into(),
                entangled::value_hint("--fill", &field.shape.type_name),
            ));
        }
        Ok(())
    }
}
