//! What keeps the values that the new shape has no place for: copied when nobody writes, or beforehand while others do, whose
//! rows are then copied again.

use crate::fact::{KeyField, LossKind};
use crate::generate::{self, ANY_WAY, BY_INDEX, MARK, fact, list, numbering, own, rights, shaped};
use crate::name::{BODY, Ident, TableName};
use crate::plan::PlanStep;
use crate::plan::materialize::ready::READY;
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
    number: usize,
    table: TableName,
    rows: f64,
    selected: String,
    which: String,
    /// Each column of the archive's key, with its value for the row `t`.
    keys: Vec<(Ident, String)>,
    kept: TableName,
    finish: String,
}

impl Archive {
    /// All at once, when nobody writes.
    pub(super) fn at_once(self) -> PlanStep {
        match self {
            Self::Step(step) => step,
            Self::Values(values) => {
                let sql = format!(
                    "CREATE TABLE {} AS\n{};\n{}\n{}",
                    values.kept,
                    values.select(),
                    values.key(),
                    values.finish
                );
                values.step(sql).writing(values.rows, 0)
            }
        }
    }

    /// What is done while others write: their rows are written down, then all are copied.
    pub(super) fn before(&self) -> Vec<PlanStep> {
        let Self::Values(values) = self else { return Vec::new() };
        let copy = format!("INSERT INTO {}\n{};\n{}", values.kept, values.select(), values.key());
        vec![values.log(), values.step(copy).writing(values.rows, 0)]
    }

    /// What is done with the rows that others wrote meanwhile.
    pub(super) fn then(self) -> PlanStep {
        match self {
            Self::Step(step) => step,
            Self::Values(values) => values.again(),
        }
    }
}

impl Values {
    fn select(&self) -> String {
        format!("SELECT {} FROM {} AS t\nWHERE {}", self.selected, self.table, self.which)
    }

    fn key(&self) -> String {
        let keys: Vec<&Ident> = self.keys.iter().map(|(column, _)| column).collect();
        format!("ALTER TABLE {} ADD PRIMARY KEY ({});", self.kept, list(&keys))
    }

    fn step(&self, sql: String) -> PlanStep {
        PlanStep::new(format!("keep what has no place in the new shape in `{}`", self.kept), sql)
    }

    fn log_name(&self) -> TableName {
        own(&["ready", "log", &self.number.to_string()])
    }

    /// Triggers that write down the keys of the rows that others write. The archive is made with them: who finds the one,
    /// knows that the other is not whole.
    fn log(&self) -> PlanStep {
        let (log, base, kept) = (self.log_name(), &self.table, &self.kept);
        let keys = list(&self.keys.iter().map(|(column, value)| format!("{value} AS {column}")).collect::<Vec<_>>());
        let insert = |from: &str| format!("INSERT INTO {log} SELECT {keys} FROM {from} AS t");
        let trigger = |what: &str, when: &str, tables: &str| {
            let name = Ident::new(format!("~{READY}_{what}_{}", self.number));
            format!(
                "CREATE TRIGGER {name} {when} ON {base}{tables} FOR EACH STATEMENT EXECUTE FUNCTION {log}();\nALTER TABLE {base} ENABLE ALWAYS TRIGGER {name};"
            )
        };
        let triggers = [
            trigger("insert", "AFTER INSERT", " REFERENCING NEW TABLE AS refactor_new"),
            trigger("update", "AFTER UPDATE", " REFERENCING OLD TABLE AS refactor_old NEW TABLE AS refactor_new"),
            trigger("delete", "AFTER DELETE", " REFERENCING OLD TABLE AS refactor_old"),
            trigger("truncate", "BEFORE TRUNCATE", ""),
        ];
        let comment = Literal(kept.to_string());
        let sql = format!(
            "CREATE TABLE {kept} AS {select} WITH NO DATA;
CREATE TABLE {log} AS SELECT {keys} FROM {base} AS t WITH NO DATA;
COMMENT ON TABLE {log} IS {comment};
CREATE FUNCTION {log}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {BODY}
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    {whole};
  END IF;
  IF TG_OP IN ('UPDATE', 'DELETE') THEN
    {old};
  END IF;
  IF TG_OP IN ('INSERT', 'UPDATE') THEN
    {new};
  END IF;
  RETURN NULL;
END
{BODY};
{triggers}",
            select = self.select(),
            whole = insert(&base.to_string()),
            old = insert("refactor_old"),
            new = insert("refactor_new"),
            triggers = triggers.join("\n"),
        );
        let sentence = format!("watch who writes `{}`, whose values are kept", base.short());
        PlanStep::new(sentence, sql).locking(format!("SHARE ROW EXCLUSIVE on {}, for a catalogue update", base.short()))
    }

    fn again(&self) -> PlanStep {
        let (log, kept) = (self.log_name(), &self.kept);
        let same = |of: &dyn Fn(&(Ident, String)) -> String| {
            let each = self.keys.iter().map(|key| format!("l.{} = {}", key.0, of(key)));
            each.collect::<Vec<_>>().join(" AND ")
        };
        let sql = format!(
            "{BY_INDEX}
DELETE FROM {kept} AS x USING {log} AS l WHERE {in_archive};
INSERT INTO {kept}
SELECT {selected} FROM (SELECT DISTINCT * FROM {log}) AS l JOIN {table} AS t ON {in_table}
WHERE {which};
{ANY_WAY}
DROP FUNCTION {log}() CASCADE;
DROP TABLE {log};
{finish}",
            in_archive = same(&|(column, _)| format!("x.{column}")),
            in_table = same(&|(_, value)| value.clone()),
            selected = self.selected,
            table = self.table,
            which = self.which,
            finish = self.finish,
        );
        PlanStep::new(format!("bring `{kept}` up to what was written meanwhile"), sql)
    }
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
    let mut selected: Vec<String> = key.iter().zip(&columns).map(|(k, c)| format!("{k} AS {c}")).collect();
    match loss.kind {
        LossKind::Unfaithful(at) => selected.extend(shaped::originals(&version.shaped[at], "t")),
        LossKind::Unreal(place) => {
            selected.push(format!("{} AS refactor_value", generate::get::elsewhere(version, place, "t")));
        }
        LossKind::Halfway(at) => {
            let carried = generate::get::carried(&version.dormant[at].carry, "t");
            selected.push(format!("{carried} AS refactor_value"));
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
        | LossKind::Marked(_) => {
            selected.extend(loss.columns.iter().map(|c| format!("t.{c} AS refactor_value")));
        }
    }
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
        "COMMENT ON TABLE {kept} IS {comment};\n{bare}{position}DO {BODY}BEGIN IF NOT EXISTS (SELECT FROM {kept}) THEN DROP TABLE {kept}; END IF; END{BODY};"
    );
    Some(Archive::Values(Box::new(Values {
        number: at,
        table: loss.table.clone(),
        rows: table.rows,
        selected: list(&selected),
        which: fact::lost_rows(version, loss),
        keys: columns.into_iter().zip(key).collect(),
        kept,
        finish,
    })))
}
