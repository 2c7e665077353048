//! A table that is filled while others write: triggers write down what they change, all rows are copied, and those that were
//! changed meanwhile are copied again, as often as it takes.

use crate::fact::Fact;
use crate::generate::watched::Watched;
use crate::generate::{ANY_WAY, BY_INDEX, equal, fact, list, of, once_each, own};
use crate::name::{BODY, Ident, TableName};
use crate::plan::PlanStep;
use crate::plan::materialize::ready::READY;
use crate::sql::Literal;
use crate::version::Version;

/// A table that is filled with what is told of a base's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Tells it from the others of a plan.
    pub id: String,
    /// The table that is filled, of ours until then.
    pub into: TableName,
    /// Its columns that are given, in parentheses, if not all.
    pub columns: String,
    /// What they get of a row of the base.
    pub values: String,
    /// The base.
    pub base: TableName,
    /// What its row is called in `values` and `which`.
    pub row: &'static str,
    /// Which of its rows, if not all.
    pub which: String,
    /// The base's key.
    pub key: Vec<Ident>,
    /// The columns of the table that have it.
    pub keys: Vec<Ident>,
    /// What tells its rows.
    pub watched: Vec<Watched>,
}

impl Logged {
    fn name(&self, what: &str) -> TableName {
        own(&["ready", what, &self.id])
    }

    fn log(&self, at: usize) -> TableName {
        own(&["ready", "log", &self.id, &at.to_string()])
    }

    fn logs(&self) -> impl Iterator<Item = (TableName, &Watched)> {
        self.watched.iter().enumerate().map(|(at, watched)| (self.log(at), watched))
    }

    /// What watches: first the tables of what is written down, of which each says for whose sake it is there, then, each in a
    /// transaction of its own, the triggers.
    pub fn watch(&self) -> Vec<PlanStep> {
        let (keys, comment) = (self.name("keys"), Literal(self.into.to_string()));
        let mut made = vec![format!(
            "CREATE TABLE {keys} AS SELECT {} FROM {} AS b WITH NO DATA;\nCOMMENT ON TABLE {keys} IS {comment};\n{}",
            of("b", &self.key),
            self.base,
            at_rest(&keys)
        )];
        for (log, watched) in self.logs() {
            made.push(format!(
                "CREATE TABLE {log} AS SELECT {} FROM {} AS t WITH NO DATA;\nCOMMENT ON TABLE {log} IS {comment};\n{}\n{}",
                logged(watched),
                watched.table,
                at_rest(&log),
                function(&log, watched)
            ));
        }
        let sentence = format!("prepare to write down who writes what `{}` is told by", self.base.short());
        let mut steps = vec![PlanStep::new(sentence, made.join("\n"))];
        for table in once_each(self.watched.iter().map(|watched| &watched.table)) {
            let logs = self.logs().filter(|(_, w)| w.table == *table);
            let triggers: Vec<String> = logs.flat_map(|(log, _)| triggers(&log, table)).collect();
            let step = PlanStep::new(format!("watch who writes `{}`", table.short()), triggers.join("\n"));
            steps.push(step.locking(format!("SHARE ROW EXCLUSIVE on {}, for a catalogue update", table.short())));
        }
        steps
    }

    /// Copies again what was written since it was last done. All that it reads must be seen at one moment.
    #[must_use]
    pub fn again(&self) -> String {
        let (keys, into) = (self.name("keys"), &self.into);
        let (mut taken, mut concerned) = (Vec::new(), Vec::new());
        for (at, (log, watched)) in self.logs().enumerate() {
            taken.push(format!("l{at} AS (DELETE FROM {log} RETURNING *)"));
            concerned.push(watched.concerned(&format!("l{at}"), &self.key));
        }
        let these = |row: &str, columns: &[Ident]| equal("k", &self.key, row, columns);
        let which = if self.which.is_empty() { String::new() } else { format!("\nWHERE {}", self.which) };
        format!(
            "{BY_INDEX}
DELETE FROM {keys};
WITH {taken}
INSERT INTO {keys}
{concerned};
DELETE FROM {into} AS x USING {keys} AS k WHERE {in_copy};
INSERT INTO {into}{columns}
SELECT {values}
FROM {keys} AS k CROSS JOIN LATERAL (SELECT {row}.* FROM {base} AS {row} WHERE {in_base} OFFSET 0) AS {row}{which};
{ANY_WAY}",
            taken = taken.join(",\n  "),
            concerned = concerned.join("\nUNION "),
            in_copy = these("x", &self.keys),
            in_base = these(self.row, &self.key),
            columns = self.columns,
            values = self.values,
            base = self.base,
            row = self.row,
        )
    }

    /// A query of what breaks a fact among the rows that were copied again last.
    #[must_use]
    pub fn offenders(&self, version: &Version, fact: &Fact) -> Option<String> {
        fact::offenders_among(version, fact, &self.base, &self.key, &self.name("keys"))
    }

    /// Nothing is written down any more.
    #[must_use]
    pub fn end(&self) -> String {
        let mut lines: Vec<String> =
            self.logs().map(|(log, _)| format!("DROP FUNCTION {log}() CASCADE;\nDROP TABLE {log};")).collect();
        lines.push(format!("DROP TABLE {};", self.name("keys")));
        lines.join("\n")
    }
}

/// Lets nobody clean a table up until it has its name: the transaction that makes all real would wait for that, and everybody
/// for it. Rows can be deleted from it though a publication is for all tables.
#[must_use]
pub fn at_rest(table: &TableName) -> String {
    format!(
        "ALTER TABLE {table} SET (autovacuum_enabled = off, toast.autovacuum_enabled = off), REPLICA IDENTITY FULL;"
    )
}

/// As it was before [`at_rest`]; `options`: what its table says.
#[must_use]
pub fn at_work(table: &TableName, options: &[String]) -> String {
    let said = |name: &str| options.iter().find(|o| o.split_once('=').is_some_and(|(option, _)| option == name));
    let cleaned = ["autovacuum_enabled", "toast.autovacuum_enabled"].map(|name| match said(name) {
        Some(option) => format!("SET ({option})"),
        None => format!("RESET ({name})"),
    });
    format!("ALTER TABLE {table} {}, REPLICA IDENTITY DEFAULT;", list(&cleaned))
}

/// What of a row is written down.
fn logged(watched: &Watched) -> String {
    let each = watched.columns.iter().zip(watched.logged()).map(|(column, name)| format!("t.{column} AS {name}"));
    list(&each.collect::<Vec<_>>())
}

/// What the triggers of a table call, with the rights of who makes it.
fn function(log: &TableName, watched: &Watched) -> String {
    let insert = |from: &str| format!("INSERT INTO {log} SELECT {} FROM {from} AS t", logged(watched));
    format!(
        "CREATE FUNCTION {log}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {BODY}
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
REVOKE ALL ON FUNCTION {log}() FROM PUBLIC;",
            whole = insert(&watched.table.to_string()),
            old = insert("refactor_old"),
            new = insert("refactor_new"),
        )
}

/// Triggers that write down the rows that others write, whatever their session says of triggers.
fn triggers(log: &TableName, table: &TableName) -> Vec<String> {
    let one = |what: &str, when: &str, tables: &str| {
        let name = Ident::generated(&[&format!("~{READY}"), what, log.name.as_str()]);
        format!(
            "CREATE TRIGGER {name} {when} ON {table}{tables} FOR EACH STATEMENT EXECUTE FUNCTION {log}();\nALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};"
        )
    };
    vec![
        one("insert", "AFTER INSERT", " REFERENCING NEW TABLE AS refactor_new"),
        one("update", "AFTER UPDATE", " REFERENCING OLD TABLE AS refactor_old NEW TABLE AS refactor_new"),
        one("delete", "AFTER DELETE", " REFERENCING OLD TABLE AS refactor_old"),
        one("truncate", "BEFORE TRUNCATE", ""),
    ]
}
