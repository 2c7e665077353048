//! `move-field`: a field goes to another table along foreign keys.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::entangled::{self, Purpose, reference};
use crate::catalogue::path::{self, Path};
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::fact::{Claim, Fact, Loss, LossKind, Words};
use crate::name::{FieldRef, Ident, Renaming, TableName, TableRef, shell};
use crate::refusal::Refusal;
use crate::relation::{Attached, Field, Hidden, Home, Origin, Relation, Stores};
use crate::schema::{Constraint, ConstraintKind};
use crate::sql::Expression;
use crate::version::{Carry, CarryWords, Direction, Dormant, OnOldWrite, RemarkKind, Version, kept_apart};

/// Move a field to another table.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveField {
    /// Field to move, as in `orders.city`
    pub field: FieldRef,
    /// Table it goes to
    pub to: TableRef,
    /// More fields of the table that go the same way, each with its name there if that is another
    #[arg(long, value_name = "FIELD[=NAME]", value_delimiter = ',', value_parser = str::parse::<Renaming>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Renaming>,
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
    /// Order of the fields there
    #[arg(long, hide = true, value_name = "FIELD", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<Ident>,
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
    /// The moves of the other fields, each by itself. Each has its lost values in a place of its own.
    fn others(&self) -> impl Iterator<Item = Self> {
        self.with.iter().map(|Renaming { from, to }| Self {
            field: FieldRef { table: self.field.table.clone(), field: from.clone() },
            as_name: Some(to.clone()),
            with: Vec::new(),
            restores: self.restores.as_ref().map(|step| kept_apart(step, to)),
            ..self.clone()
        })
    }

    /// The version after the first field went.
    fn after_first(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (from, field) = before.find_field(&self.field)?;
        let to = before.find_own(&self.to)?;
        for relation in [from, to] {
            before.must_be_whole(relation)?;
        }
        let Some(column) = from.column(&before.schema, field).cloned() else {
            return self.move_on(step, before, from, to, field);
        };
        let path = self.path(before, from, to)?;
        before.must_be_whole_along(&path.hops)?;
        self.along(step, before, &column, path)
    }
}

impl MoveField {
    /// A move as others make it, along a way that they know.
    #[must_use]
    pub fn plain(field: FieldRef, to: TableRef, as_name: Option<Ident>, before: Option<Ident>) -> Self {
        Self {
            field,
            to,
            as_name,
            via: Vec::new(),
            on: Vec::new(),
            down: false,
            on_old_write: OnOldWrite::default(),
            fill: None,
            restores: None,
            before,
            with: Vec::new(),
            order: Vec::new(),
        }
    }

    /// The same as [`MoveField::along`], for who cannot say what old code should find.
    ///
    /// # Errors
    /// The same.
    pub fn along_with_others(
        &self,
        step: &str,
        before: &Version,
        column: &Ident,
        path: Path,
    ) -> Result<Version, Refusal> {
        self.along(step, before, column, path).map_err(|refusal| match refusal {
            Refusal::NeedsValue(why, _) => {
                let hint =
                    format!("give it a default first: `refactor set-default {} …`", shell(&self.field.to_string()));
                Refusal::NeedsValue(why, hint)
            }
            other => other,
        })
    }

    /// The version after the field has moved along a way that is known.
    ///
    /// # Errors
    /// When something holds the field, or a value must be given.
    pub fn along(&self, step: &str, before: &Version, column: &Ident, path: Path) -> Result<Version, Refusal> {
        let (from, field) = before.find_field(&self.field)?;
        let to = before.find_own(&self.to)?;
        let old = field.shape.name.clone();
        let new = self.as_name.clone().unwrap_or_else(|| old.clone());
        if from.base != to.base || new != old {
            entangled::must_be_free(to, &new, "choose another name with `--as`")?;
        }
        entangled::check(before, from, field, Purpose::Move)?;
        self.check_values(before, from, field, &path)?;
        let row_key = entangled::row_key(before, to)?;
        let stored = before.table(from).fields.iter().find(|f| f.name == *column).unwrap_or(&field.shape);

        let mut after = before.clone();
        let carry = after.carries.len();
        note_facts(&mut after, step, (from, to), field, stored, &path, self.restores.is_some());
        if path.direction == Direction::Down || !path.total {
            note_loss(&mut after, step, (from, to), field, vec![stored.name.clone()], LossKind::Unreached(carry));
        }
        entangled::note(&mut after, step, from, field, Purpose::Move);
        if path.direction == Direction::Up && self.on_old_write == OnOldWrite::Reject {
            let (name, far) = (from.name.short(), to.name.short());
            let what = format!(
                "where several rows of `{name}` belong to one of `{far}`, old code's updates of one of them will fail, for they must agree; `--on-old-write propagate` gives the value to all"
            );
            entangled::note_setting_triggers(&mut after, step, from, column, &what);
        }
        let own = |c: &Attached<Constraint>| match &c.origin {
            Origin::Table(table, at) if *table == from.base && c.item.fields == [old.clone()] => Some(*at),
            _ => None,
        };
        after.carries.push(Carry {
            step: step.to_owned(),
            id: entangled::generated_id(step, &new),
            direction: path.direction,
            source: from.base.clone(),
            column: column.clone(),
            target: to.base.clone(),
            hops: path.hops,
            row_key,
            type_name: stored.type_name.clone(),
            collation: stored.collation.clone(),
            not_null: stored.not_null,
            fill: self.fill.clone(),
            on_old_write: self.on_old_write,
            restores: self.restores.clone(),
            constraints: from.constraints.iter().filter_map(own).collect(),
            words: CarryWords {
                from: from.name.clone(),
                field: old.clone(),
                to: to.name.clone(),
                as_field: new.clone(),
            },
        });
        note_missing_indexes(&mut after, step, carry);
        let shape = crate::schema::Field { name: new.clone(), ..field.shape.clone() };
        let moved = Field { shape, home: Home::Carried(carry) };
        hand_over(&mut after, step, (&from.name, &to.name), &old, moved, Some(column.clone()), self.before.as_ref());
        Ok(after)
    }

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
        let others: String = self.with.iter().map(|r| format!(", `{}`", r.from)).collect();
        format!("move field `{}`{others} to `{}`", self.field, self.to)
    }

    fn slug(&self) -> String {
        let (first, to) = (self.field.field.as_str(), self.to.name.as_str());
        match self.with.len() {
            0 => format!("move-{first}-to-{to}"),
            more => format!("move-{first}-and-{more}-more-to-{to}"),
        }
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let mut after = self.after_first(step, before)?;
        for other in self.others() {
            after = other.after_first(step, &after)?;
        }
        if !self.order.is_empty() {
            let to = before.find_own(&self.to)?.name.clone();
            after.change(&to, step).put_in_order(&self.order);
        }
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (from, field) = before.find_field(&self.field)?;
        let to = before.find_own(&self.to)?;
        let path = self.path(before, from, to)?;
        let moved = self.as_name.clone().unwrap_or_else(|| field.shape.name.clone());
        let mut with = Vec::new();
        for Renaming { from: other, to } in &self.with {
            let wanted = FieldRef { table: self.field.table.clone(), field: other.clone() };
            with.push(Renaming { from: to.clone(), to: before.find_field(&wanted)?.1.shape.name.clone() });
        }
        let order = from.fields.iter().map(|f| f.shape.name.clone()).filter(|_| !with.is_empty()).collect();
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
            before: from.following(&field.shape.name).filter(|_| with.is_empty()),
            with,
            order,
        }))
    }
}

/// What the data must satisfy for the move.
fn note_facts(
    after: &mut Version,
    step: &str,
    (from, to): (&Relation, &Relation),
    field: &Field,
    stored: &crate::schema::Field,
    path: &Path,
    restored: bool,
) {
    let name = &field.shape.name;
    let words = Words { table: to.name.clone(), field: name.clone(), other: from.name.clone() };
    let hops = path.hops.clone();
    let mut claims = Vec::new();
    match path.direction {
        Direction::Up => {
            claims.push(Claim::Agree {
                column: stored.name.clone(),
                hops: hops.clone(),
                // Of a composite value `IS NULL` tells something else.
                exact: after.schema.kind(stored).exact && !after.schema.kind(stored).composite,
                words: words.clone(),
            });
            // Where values come back, those without a partner were kept.
            if field.shape.not_null && !restored {
                claims.push(Claim::Reached { hops, words });
            }
        }
        Direction::Down if field.shape.not_null && !path.total && !restored => {
            claims.push(Claim::Reaches { hops, words });
        }
        Direction::Down => {}
    }
    after.facts.extend(claims.into_iter().map(|claim| Fact { step: step.to_owned(), claim }));
}

/// Which values the move leaves without a home.
fn note_loss(
    after: &mut Version,
    step: &str,
    (from, to): (&Relation, &Relation),
    field: &Field,
    columns: Vec<Ident>,
    kind: LossKind,
) {
    after.losses.push(Loss {
        step: step.to_owned(),
        table: from.base.clone(),
        columns,
        rows: None,
        kind,
        key: Vec::new(),
        kept: String::new(),
        words: Words { table: from.name.clone(), field: field.shape.name.clone(), other: to.name.clone() },
    });
}

/// Tells of the indexes that the lookups would need and nobody made.
fn note_missing_indexes(after: &mut Version, step: &str, carry: usize) {
    let schema = after.schema.clone();
    let carry = &after.carries[carry];
    let to = carry.words.to.short();
    let missing: Vec<String> = carry
        .unindexed(&schema)
        .map(|hop| {
            let columns: Vec<String> = hop.from_columns.iter().map(ToString::to_string).collect();
            format!("{} ({})", hop.from.short(), columns.join(", "))
        })
        .collect();
    for on in missing {
        let text = format!(
            "there is no index on {on}: each row of `{to}` searches that whole table; `CREATE INDEX CONCURRENTLY ON {on}` makes it fast"
        );
        after.remark(step, RemarkKind::Note, text);
    }
}

/// Takes the field from one relation and gives it, with what hangs on it alone, to the other, which may be the same.
fn hand_over(
    after: &mut Version,
    step: &str,
    (from, to): (&TableName, &TableName),
    old: &Ident,
    moved: Field,
    column: Option<Ident>,
    before: Option<&Ident>,
) {
    let Home::Carried(carry) = moved.home else { return };
    let new = moved.shape.name.clone();
    let mut giving = after.change(from, step).clone();
    giving.fields.retain(|f| f.shape.name != *old);
    giving.hidden.extend(column.map(|column| Hidden { column, stores: Stores::Adopted(carry) }));
    if from == to {
        let mut along =
            Relation { constraints: Vec::new(), passing: Vec::new(), indexes: Vec::new(), ..giving.clone() };
        entangled::take_along(&mut giving, &mut along, old, &new);
        giving.constraints.append(&mut along.constraints);
        giving.passing.append(&mut along.passing);
        giving.indexes.append(&mut along.indexes);
        giving.insert_field(moved, before);
    } else {
        let getting = after.change(to, step);
        entangled::take_along(&mut giving, getting, old, &new);
        getting.insert_field(moved, before);
    }
    after.relations.insert(from.clone(), giving);
}

impl MoveField {
    /// A field that an earlier refactoring moved goes on in the same direction: one carry along both ways.
    fn move_on(
        &self,
        step: &str,
        before: &Version,
        from: &Relation,
        to: &Relation,
        field: &Field,
    ) -> Result<Version, Refusal> {
        let Home::Carried(at) = field.home else { return Err(self.homeless(before, to, field)) };
        let earlier = &before.carries[at];
        let new = self.as_name.clone().unwrap_or_else(|| field.shape.name.clone());
        let path = self.path(before, from, to)?;
        if path.direction != earlier.direction
            || to.base == earlier.source
            || from.base == to.base
            || earlier.source == earlier.target
        {
            return Err(self.homeless(before, to, field));
        }
        entangled::must_be_free(to, &new, "choose another name with `--as`")?;
        entangled::check(before, from, field, Purpose::Move)?;
        self.check_values(before, from, field, &path)?;
        let row_key = entangled::row_key(before, to)?;
        let hops = match path.direction {
            Direction::Up => [&earlier.hops[..], &path.hops].concat(),
            Direction::Down => [&path.hops[..], &earlier.hops].concat(),
        };
        before.must_be_whole_along(&hops)?;
        let mut after = before.clone();
        // What the earlier refactoring needed of the data is now needed of the longer way.
        after.facts.retain(|f| f.step != earlier.step || f.claim.words().field != earlier.words.field);
        // What had no partner on the earlier way stays by the key of its own row; what had one, and has none further on, is
        // a value of the table between.
        let dormant = after.dormant.len();
        for loss in after.losses.iter_mut().filter(|l| l.kind == LossKind::Unreached(at)) {
            loss.kind = LossKind::Stayed(dormant);
        }
        let further = path.hops.clone();
        if path.direction == Direction::Down || !path.total {
            note_loss(&mut after, step, (from, to), field, Vec::new(), LossKind::Halfway(dormant));
        }
        let source = before.over(&earlier.source).unwrap_or(from);
        let stored = before.schema.tables[&earlier.source].fields.iter().find(|f| f.name == earlier.column);
        let way = Path { hops: hops.clone(), total: false, ..path };
        let stored = stored.unwrap_or(&field.shape);
        note_facts(&mut after, step, (source, to), field, stored, &way, self.restores.is_some());
        after.dormant.push(Dormant { carry: earlier.clone(), now: at, further });
        after.carries[at] = Carry {
            step: step.to_owned(),
            id: entangled::generated_id(step, &new),
            target: to.base.clone(),
            hops,
            row_key,
            fill: self.fill.clone().or_else(|| earlier.fill.clone()),
            on_old_write: self.on_old_write,
            restores: self.restores.clone(),
            words: CarryWords { to: to.name.clone(), as_field: new.clone(), ..earlier.words.clone() },
            ..earlier.clone()
        };
        note_missing_indexes(&mut after, step, at);
        let shape = crate::schema::Field { name: new, ..field.shape.clone() };
        let moved = Field { shape, home: Home::Carried(at) };
        hand_over(&mut after, step, (&from.name, &to.name), &field.shape.name, moved, None, self.before.as_ref());
        Ok(after)
    }

    /// Why a field that lives elsewhere, by an earlier refactoring that is still deferred, is not moved on. Nothing is
    /// real yet, so the earlier one can be said anew.
    fn homeless(&self, version: &Version, to: &Relation, field: &Field) -> Refusal {
        let (step, hint) = match field.home {
            Home::Carried(at) => {
                let Carry { step, words, source, .. } = &version.carries[at];
                let hint = if *source == to.base {
                    format!("take that back instead: `refactor undo {}`", shell(step))
                } else {
                    format!(
                        "move it there in one go: `refactor undo {}`, then `refactor move-field {} {}`; or materialize first",
                        shell(step),
                        words.from.typed_field(&words.field),
                        to.name.typed()
                    )
                };
                (step.clone(), hint)
            }
            Home::Added(at) => {
                let step = version.added[at].step.clone();
                let hint = format!(
                    "add it to `{}` from the start: `refactor undo {}`; or materialize first",
                    to.name.short(),
                    shell(&step)
                );
                (step, hint)
            }
            Home::Shaped(at, _) => (version.shaped[at].step.clone(), "materialize first".into()),
            Home::Looked(at, _) => (version.lookups[at].step.clone(), "materialize first".into()),
            Home::Numbered(at) => (version.numberings[at].step.clone(), "materialize first".into()),
            Home::Calculated(at) => (
                version.calculated[at].step.clone(),
                "a calculated field stays with the fields that it reads; add one to the other table".into(),
            ),
            Home::Own(_) | Home::United(_) => (String::new(), String::new()),
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
        if let Some(key) = path.hops.iter().find(|h| h.from == from.base)
            && from.column(&version.schema, field).is_some_and(|c| key.from_columns.contains(c))
        {
            return Err(Refusal::Entangled {
                field: self.field.clone(),
                role: format!("is the way to `{}` itself", self.to),
                hint: None,
            });
        }
        // As old code keeps it, and as it will be if its rules become real before this does.
        let empty = |f: &crate::schema::Field| f.not_null && f.default.is_none();
        let needs_value = empty(&field.shape) || rule::stored(version, from, field).is_some_and(empty);
        if needs_value && self.fill.is_none() && (path.direction == Direction::Down || !path.total) {
            return Err(Refusal::NeedsValue(
                format!(
                    "`{name}` is NOT NULL and has no default, so new code could insert no row while old code still needs it"
                ),
                entangled::value_hint("--fill", &field.shape.type_name),
            ));
        }
        Ok(())
    }
}
