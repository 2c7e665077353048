//! A table whose rows a SELECT of the user tells, and which statements of the user write: what later refactorings must
//! leave alone, since nothing is known of what these say.

use crate::name::{Ident, TableName};
use crate::refusal::Refusal;
use crate::relation::{Relation, Rows};
use crate::version::Version;

/// How the user tells and writes a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The refactoring.
    pub step: String,
    /// The physical table that will have the rows: empty until then, it judges each row that is written.
    pub table: TableName,
    /// The rows. Every table has its full name, in the statements too.
    pub select: String,
    /// What an INSERT does, over `new`; none: it is refused.
    pub insert: Option<String>,
    /// What an UPDATE does, over `old` and `new`.
    pub update: Option<String>,
    /// What a DELETE does, over `old`.
    pub delete: Option<String>,
    /// The tables that all these name.
    pub names: Vec<TableName>,
    /// The primary key.
    pub key: Vec<Ident>,
    /// Fields that are numbered, with the sequence that old code numbers them by: until this is real there is one only.
    pub numbers: Vec<(Ident, TableName)>,
    /// What is unique: names of constraints, and the fields. The primary key comes first.
    pub unique: Vec<(Ident, Vec<Ident>)>,
}

impl Version {
    /// Refuses a step after which what a user's SQL names would not be there any more as it was.
    pub(super) fn leaves_told(&self, next: &Self) -> Result<(), Refusal> {
        for (at, told) in self.told.iter().enumerate() {
            let refuse = |why: String| {
                let hint = Some(format!("materialize {} first: `refactor materialize`", told.step));
                Err(Refusal::Other { why, hint })
            };
            if let Some(table) = told.names.iter().find(|t| self.over(t) != next.over(t)) {
                return refuse(format!("the SQL of {} names `{}` as it is now", told.step, table.short()));
            }
            let shown = |version: &Self| {
                let relation = version.all().find(|r| r.rows == Rows::Told(at))?.clone();
                Some(Relation { name: told.table.clone(), touched_by: Vec::new(), is_shown: false, ..relation })
            };
            let refers = |version: &Self| {
                let keys = version.relations.values().flat_map(Relation::foreign_keys);
                keys.filter(|(_, key)| key.table == told.table).count()
            };
            if shown(self) != shown(next) || refers(next) > 0 {
                let name = self.all().find(|r| r.rows == Rows::Told(at)).map(|r| r.name.short());
                let name = name.unwrap_or_else(|| told.table.short());
                return refuse(format!("{} tells `{name}` by SQL of its own, and is not real yet", told.step));
            }
        }
        Ok(())
    }
}
