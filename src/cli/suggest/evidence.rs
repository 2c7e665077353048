//! What the rows say: whether a field is another one, whether it depends on a key, which values it has.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Client;

use crate::cli::suggest::difference::Wanted;
use crate::cli::suggest::patterns::allowed_values;
use crate::cli::suggest::search::{Choice, Oracle, Test, Verdict};
use crate::name::{Ident, TableName, listed};
use crate::schema::ConstraintKind;

/// Rows that are looked at, where a table has more.
pub const LOOKED_AT: i64 = 20_000;

/// The rows of the tables as they are, and those of the wanted shape where its text has some.
pub struct Rows<'r> {
    /// Where they are.
    pub old: &'r mut Client,
    /// Where those of the wanted shape are.
    pub new: &'r mut Client,
    /// Under which name a table is read.
    pub called: BTreeMap<TableName, TableName>,
    /// The wanted shape.
    pub wanted: &'r Wanted,
    /// What was judged before.
    pub known: Vec<(Choice, Verdict)>,
}

type Answer<T> = Result<T, postgres::Error>;

impl Rows<'_> {
    fn table(&self, name: &TableName) -> String {
        let name = self.called.get(name).unwrap_or(name);
        format!("(SELECT * FROM {name} LIMIT {LOOKED_AT})")
    }

    fn count(&mut self, sql: &str) -> Answer<i64> {
        Ok(self.old.query_one(sql, &[])?.get(0))
    }

    fn ask(&mut self, choice: &Choice) -> Answer<Verdict> {
        match &choice.test {
            Test::Alike { from, to } => self.alike(from, to),
            Test::Depends { table, key, field } => Ok(match self.depends(table, key, field)? {
                // Where the names say nothing, that alone is too little.
                Verdict::Yes(why) if choice.likely < 40 => Verdict::Unknown(why),
                verdict => verdict,
            }),
            Test::Pattern(gain) if *gain >= 12 => {
                Ok(Verdict::Yes("all that differs there is explained at once".to_owned()))
            }
            Test::Pattern(_) | Test::None => Ok(Verdict::Unknown("the rows do not tell".to_owned())),
        }
    }

    fn alike(&mut self, from: &(TableName, Ident), to: &(TableName, Ident)) -> Answer<Verdict> {
        let (table, field) = (self.table(&from.0), &from.1);
        let row = self.old.query_one(
            &format!(
                "SELECT count(*), count(x.{field}), count(DISTINCT x.{field}::text), min(x.{field}::text) FROM {table} AS x"
            ),
            &[],
        )?;
        let (rows, values, different): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        let example: Option<String> = row.get(3);
        if values == 0 {
            let why = if rows == 0 {
                "there are no rows to tell".to_owned()
            } else {
                format!("`{field}` is NULL in all {rows} rows")
            };
            return Ok(Verdict::Unknown(why));
        }
        if let Some(verdict) = self.compared(from, to, different)? {
            return Ok(verdict);
        }
        if let Some(verdict) = self.ruled(from, to, values, different)? {
            return Ok(verdict);
        }
        let like =
            example.map(|e| format!(", such as '{}'", e.chars().take(30).collect::<String>())).unwrap_or_default();
        Ok(Verdict::Unknown(format!(
            "the rows do not tell: {values} of {rows} have a value, {different} different ones{like}"
        )))
    }

    /// The values of both shapes, where the wanted one has rows.
    fn compared(
        &mut self,
        from: &(TableName, Ident),
        to: &(TableName, Ident),
        different: i64,
    ) -> Answer<Option<Verdict>> {
        let sql =
            format!("SELECT DISTINCT x.{}::text AS v FROM {} AS x WHERE x.{} IS NOT NULL LIMIT 2000", to.1, to.0, to.1);
        let there: Vec<String> = self.new.query(&sql, &[])?.iter().map(|row| row.get(0)).collect();
        if there.is_empty() {
            return Ok(None);
        }
        let table = self.table(&from.0);
        let sql = format!("SELECT count(DISTINCT x.{0}::text) FROM {table} AS x WHERE x.{0}::text = ANY ($1)", from.1);
        let common: i64 = self.old.query_one(&sql, &[&there])?.get(0);
        let all = i64::try_from(there.len()).unwrap_or(i64::MAX);
        let said = format!(
            "of {all} different values in `{}.{}` there, {common} are among the {different} of `{}.{}`",
            to.0.short(),
            to.1,
            from.0.short(),
            from.1
        );
        Ok(if all >= 2 && common * 10 >= all * 8 || all == 1 && common == 1 && different == 1 {
            Some(Verdict::Yes(said))
        } else if common == 0 {
            Some(Verdict::No(said))
        } else {
            None
        })
    }

    /// Whether the values keep what the wanted shape demands of the field alone.
    fn ruled(
        &mut self,
        from: &(TableName, Ident),
        to: &(TableName, Ident),
        values: i64,
        different: i64,
    ) -> Answer<Option<Verdict>> {
        let Some(there) = self.wanted.schema.tables.get(&to.0) else { return Ok(None) };
        let (table, field) = (self.table(&from.0), &from.1);
        for rule in there.constraints.iter().filter(|c| c.fields == std::slice::from_ref(&to.1)) {
            match &rule.kind {
                ConstraintKind::Foreign(key) => {
                    let far = self.called.get(&key.table).unwrap_or(&key.table);
                    let sql = format!(
                        "SELECT count(DISTINCT x.{field}) FROM {table} AS x WHERE x.{field} IS NOT NULL AND NOT EXISTS (SELECT FROM {far} AS y WHERE y.{}::text = x.{field}::text)",
                        key.fields[0]
                    );
                    // The far table may be new itself.
                    let mut point = self.old.transaction()?;
                    let Ok(row) = point.query_one(&sql, &[]) else { continue };
                    let strangers: i64 = row.get(0);
                    point.rollback()?;
                    let said = format!(
                        "`{}` refers to `{}`: of {different} different values of `{}.{field}`, {strangers} are not there",
                        to.1,
                        key.table.short(),
                        from.0.short()
                    );
                    if strangers > 0 {
                        return Ok(Some(Verdict::No(said)));
                    }
                    if different > 1 {
                        return Ok(Some(Verdict::Yes(said)));
                    }
                }
                ConstraintKind::Unique | ConstraintKind::Primary if different < values => {
                    let said = format!(
                        "`{}` is unique there, but `{}.{field}` has {different} different values in {values} rows",
                        to.1,
                        from.0.short()
                    );
                    return Ok(Some(Verdict::No(said)));
                }
                ConstraintKind::Check => {
                    let allowed = allowed_values(there, &to.1);
                    if allowed.is_empty() {
                        continue;
                    }
                    let sql = format!(
                        "SELECT count(DISTINCT x.{field}::text) FROM {table} AS x WHERE x.{field} IS NOT NULL AND x.{field}::text <> ALL ($1)"
                    );
                    let strangers: i64 = self.old.query_one(&sql, &[&allowed])?.get(0);
                    let said = format!(
                        "`{}` may be {}: of {different} different values of `{}.{field}`, {strangers} are none of them",
                        to.1,
                        allowed.join(", "),
                        from.0.short()
                    );
                    if strangers > 0 {
                        return Ok(Some(Verdict::No(said)));
                    }
                    if different > 1 {
                        return Ok(Some(Verdict::Yes(said)));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn depends(&mut self, table: &TableName, key: &[Ident], field: &Ident) -> Answer<Verdict> {
        let (of, key_fields) = (self.table(table), listed(key));
        let row = self.old.query_one(
            &format!(
                "SELECT count(*), count(*) FILTER (WHERE g.n > 1), count(*) FILTER (WHERE g.d > 1), coalesce(sum(g.n), 0)::bigint
                 FROM (SELECT count(*) AS n, count(DISTINCT x.{field}::text) + (count(*) > count(x.{field}))::int AS d
                       FROM {of} AS x GROUP BY {key_fields}) AS g"
            ),
            &[],
        )?;
        let (groups, several, broken, rows): (i64, i64, i64, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
        let different = self.count(&format!("SELECT count(DISTINCT x.{field}::text) FROM {of} AS x"))?;
        let said = format!(
            "in {rows} rows of `{}`, {groups} different `{key_fields}`, {several} of them several times: {broken} with more than one `{field}`",
            table.short()
        );
        Ok(match (broken, several) {
            (0, 1..) if different > 1 => Verdict::Yes(said),
            (0, _) => Verdict::Unknown(said),
            _ => Verdict::No(said),
        })
    }
}

impl Oracle for Rows<'_> {
    fn judge(&mut self, choice: &Choice) -> Verdict {
        if let Some((_, verdict)) = self.known.iter().find(|(known, _)| known == choice) {
            return verdict.clone();
        }
        let verdict = self.ask(choice).unwrap_or_else(|e| Verdict::Unknown(crate::db::message::render(&e, None)));
        self.known.push((choice.clone(), verdict.clone()));
        verdict
    }

    fn values(&mut self, table: &TableName, field: &Ident) -> Option<Vec<String>> {
        let of = self.table(table);
        let sql =
            format!("SELECT DISTINCT x.{field}::text FROM {of} AS x WHERE x.{field} IS NOT NULL ORDER BY 1 LIMIT 13");
        let found: Vec<String> = self.old.query(&sql, &[]).ok()?.iter().map(|row| row.get(0)).collect();
        (found.len() < 13).then_some(found)
    }

    fn keys(&mut self, table: &TableName, field: &Ident) -> BTreeSet<String> {
        let of = self.table(table);
        let sql = format!(
            "SELECT DISTINCT k FROM {of} AS x, jsonb_object_keys(CASE WHEN jsonb_typeof(x.{field}::jsonb) = 'object' THEN x.{field}::jsonb ELSE '{{}}' END) AS k LIMIT 200"
        );
        self.old.query(&sql, &[]).map(|rows| rows.iter().map(|row| row.get(0)).collect()).unwrap_or_default()
    }
}
