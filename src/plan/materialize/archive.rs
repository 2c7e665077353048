//! What keeps the values that the new shape has no place for: copied when nobody writes, or beforehand while others do, whose
//! rows are then copied again.

use crate::fact::{KeyField, Loss, LossKind};
use crate::generate::{self, MARK, fact, list, numbering, rights, shaped, watched};
use crate::name::{BODY, Ident, TableName};
use crate::plan::PlanStep;
use crate::plan::materialize::log::{self, Logged};
use crate::plan::materialize::{Options, ahead};
use crate::relation::row_key;
use crate::sql::Literal;
use crate::version::{Version, lost_table};

/// How values are kept.
pub(super) enum Archive {
    /// By this, when nobody writes.
    Step(PlanStep),
    /// In a table of their own.
    Values(Box<Values>),
}

/// Values of a table's rows, by their keys.
pub(super) struct Values {
    rows: f64,
    logged: Logged,
    finish: String,
}

impl Archive {
    /// All at once, when nobody writes.
    pub(super) fn at_once(self) -> PlanStep {
        match self {
            Self::Step(step) => step,
            Self::Values(values) => values.step(format!("{}\n{}", values.copy(), values.finish)),
        }
    }

    /// What is done while others write: their rows are written down, then all are copied.
    pub(super) fn before(&self) -> Vec<PlanStep> {
        let Self::Values(values) = self else { return Vec::new() };
        let mut steps = values.logged.watch();
        steps.push(values.step(format!("{}\n{}", values.copy(), log::at_rest(&values.logged.into))));
        steps
    }

    /// What is done with the rows that others wrote meanwhile.
    pub(super) fn then(self) -> PlanStep {
        match self {
            Self::Step(step) => step,
            Self::Values(values) => {
                let Values { logged, finish, .. } = *values;
                let at_work = log::at_work(&logged.into, &[]);
                let sql = format!("{}\n{}\n{at_work}\n{finish}", logged.again(), logged.end());
                PlanStep::new(format!("bring `{}` up to what was written meanwhile", logged.into), sql)
            }
        }
    }
}

/// A table in which nothing is kept goes.
#[must_use]
pub fn unless_needed(kept: &TableName) -> String {
    format!("IF NOT EXISTS (SELECT FROM {kept}) THEN DROP TABLE {kept}; END IF;")
}

impl Values {
    fn copy(&self) -> String {
        let Logged { into, values, base, row, which, keys, .. } = &self.logged;
        format!(
            "CREATE TABLE {into} AS\nSELECT {values} FROM {base} AS {row}\nWHERE {which};\nALTER TABLE {into} ADD PRIMARY KEY ({});",
            list(keys)
        )
    }

    fn step(&self, sql: String) -> PlanStep {
        let sentence = format!("keep what has no place in the new shape in `{}`", self.logged.into);
        PlanStep::new(sentence, sql).writing(self.rows, 0)
    }
}

/// The columns of the key by which values are kept, if the table has all of them.
pub(super) fn stored_key(version: &Version, loss: &Loss) -> Option<Vec<Ident>> {
    if loss.key.is_empty() {
        return row_key(version.schema.tables.get(&loss.table)?);
    }
    let stored = |(_, field): &(Ident, KeyField)| match field {
        KeyField::Stored(column) => Some(column.clone()),
        KeyField::Elsewhere(_) => None,
    };
    loss.key.iter().map(stored).collect()
}

/// Whether values can be copied beforehand: what tells them is known, and it is worth it.
pub(super) fn is_ahead(version: &Version, at: usize, options: &Options) -> bool {
    let loss = &version.losses[at];
    let large = version.schema.tables.get(&loss.table).is_some_and(|t| t.bytes >= options.beside_from);
    let watched = stored_key(version, loss).and_then(|key| watched::of_loss(version, at, &key));
    large && watched.is_some_and(|all| all.iter().all(|w| ahead::can_be_watched(version, &w.table)))
}

/// What keeps the values that the new shape has no place for, with the key of their row; nothing where there are none.
pub(super) fn archive(version: &Version, at: usize, notes: &mut Vec<String>) -> Option<Archive> {
    let loss = &version.losses[at];
    if loss.kind.is_of_table() {
        return None; // The table itself is kept.
    }
    if let LossKind::Quarantined(at) | LossKind::Marked(at) = loss.kind {
        let quarantined = &version.quarantined[at];
        let sentence = match loss.kind {
            LossKind::Marked(_) => format!("keep the marked rows in `{}`", lost_table(&quarantined.step)),
            _ => format!("keep the rows in quarantine in `{}`", lost_table(&quarantined.step)),
        };
        let step = PlanStep::new(sentence, generate::made::keep_apart(version, quarantined));
        return Some(Archive::Step(step.writing(version.table(&quarantined.rows).rows, 0)));
    }
    if matches!(loss.kind, LossKind::Unfaithful(at) if version.shaped[at].relabels()) {
        return None; // Nothing that is stored becomes another value.
    }
    let table = version.schema.tables.get(&loss.table)?;
    let key: Vec<String> = match &loss.key[..] {
        [] => row_key(table).into_iter().flatten().map(|k| format!("t.{k}")).collect(),
        fields => fields
            .iter()
            .map(|(_, field)| match field {
                KeyField::Stored(column) => format!("t.{column}"),
                KeyField::Elsewhere(place) => generate::get::elsewhere(version, *place, "t"),
            })
            .collect(),
    };
    let key_names: Vec<Ident> = match &loss.key[..] {
        [] => row_key(table).into_iter().flatten().collect(),
        fields => fields.iter().map(|(name, _)| name.clone()).collect(),
    };
    if key.is_empty() {
        notes.push(format!(
            "values of `{}.{}` cannot be kept for later, since the table has no key",
            loss.words.table.short(),
            loss.words.field
        ));
        return None;
    }
    let kept = version.kept_in(loss);
    if let LossKind::Renumbered(at) = loss.kind {
        let sentence = format!("keep the numbers of `{}` in `{kept}`", loss.words.table.short());
        let step = PlanStep::new(sentence, numbering::keep(version, at, &kept));
        return Some(Archive::Step(step.writing(table.rows, 0)));
    }
    let columns = generate::get::complement_keys(key.len());
    let stored = stored_key(version, loss).unwrap_or_default();
    let keys = key.iter().zip(&columns).map(|(k, c)| format!("{k} AS {c}"));
    let selected: Vec<String> = keys.chain(values(version, loss)).collect();
    let is_key = loss.kind == LossKind::All && row_key(table).as_ref() == Some(&loss.columns);
    let sequence =
        table.fields.iter().find(|f| is_key && loss.columns.contains(&f.name)).and_then(|f| f.sequence.as_ref());
    let position = sequence.map(|s| numbering::keep_position(s, &kept)).unwrap_or_default();
    let comment = Literal(format!(
        "{MARK} values of {}.{} that the new shape has no place for, by {} of {}",
        loss.words.table.short(),
        loss.words.field,
        list(&key_names),
        loss.words.table.short(),
    ));
    let bare = rights::bare(&version.schema, &kept).map(|revoke| revoke + ";\n").unwrap_or_default();
    let finish = format!(
        "COMMENT ON TABLE {kept} IS {comment};\n{bare}{position}DO {BODY}BEGIN {} END{BODY};",
        unless_needed(&kept)
    );
    Some(Archive::Values(Box::new(Values {
        rows: table.rows,
        logged: Logged {
            id: format!("loss_{at}"),
            into: kept,
            columns: String::new(),
            values: list(&selected),
            base: loss.table.clone(),
            row: "t",
            which: fact::lost_rows(version, loss),
            watched: watched::of_loss(version, at, &stored).unwrap_or_default(),
            key: stored,
            keys: columns,
        },
        finish,
    })))
}

/// What is kept of the row `t` besides its key.
fn values(version: &Version, loss: &Loss) -> Vec<String> {
    match loss.kind {
        LossKind::Unfaithful(at) => shaped::originals(&version.shaped[at], "t"),
        LossKind::Unreal(place) => {
            vec![format!("{} AS refactor_value", generate::get::elsewhere(version, place, "t"))]
        }
        LossKind::Halfway(at) => {
            let carried = generate::get::carried(&version.dormant[at].carry, "t");
            vec![format!("{carried} AS refactor_value")]
        }
        LossKind::All
        | LossKind::Unreached(_)
        | LossKind::Stayed(_)
        | LossKind::Apart(_)
        | LossKind::Unlisted(_)
        | LossKind::Table
        | LossKind::Replaced
        | LossKind::Unshown(_)
        | LossKind::Unreferring(_)
        | LossKind::Renumbered(_)
        | LossKind::Quarantined(_)
        | LossKind::Marked(_) => loss.columns.iter().map(|c| format!("t.{c} AS refactor_value")).collect(),
    }
}
