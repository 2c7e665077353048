//! DDL of the user: it runs when it is made real, on tables that are then what they are now.

use std::collections::BTreeSet;

use crate::name::{OWN, TableName};
use crate::refusal::Refusal;
use crate::relation::Relation;
use crate::sql::ddl::Ddl as Statements;
use crate::version::Version;

/// Statements that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ddl {
    /// The refactoring.
    pub step: String,
    /// What runs.
    pub up: Statements,
    /// What takes it back.
    pub down: Statements,
    /// The tables that it names, as they are called in the version.
    pub names: BTreeSet<TableName>,
}

fn first(why: String, step: &str) -> Refusal {
    Refusal::Other { why, hint: Some(format!("make {step} real first: `refactor materialize`")) }
}

impl Version {
    /// The version in which statements wait.
    ///
    /// # Errors
    /// When they name a table that is not yet what it will be, or what is ours.
    pub fn with_ddl(&self, step: &str, up: &Statements, down: &Statements) -> Result<Self, Refusal> {
        let mut names = BTreeSet::new();
        for wanted in up.names().into_iter().chain(down.names()) {
            let ours = |s: &str| s == OWN || s == "next" || s.starts_with("next_");
            if wanted.schema.as_ref().is_some_and(|schema| ours(schema.as_str())) {
                let hint = Some("name the tables as they will be when this is real, without that schema".into());
                return Err(Refusal::Other { why: format!("`{wanted}` is this tool's own"), hint });
            }
            match self.find(&wanted) {
                Ok(relation) => {
                    if let Some(other) = self.changed_by(relation) {
                        let why =
                            format!("it names `{}`, which {other} changes and is not real yet", relation.name.short());
                        return Err(first(why, other));
                    }
                    names.insert(relation.name.clone());
                }
                Err(gone @ Refusal::GoneTable { .. }) => return Err(gone),
                // A name of something else.
                Err(_) => {}
            }
        }
        let mut after = self.clone();
        after.ddl.push(Ddl { step: step.to_owned(), up: up.clone(), down: down.clone(), names });
        Ok(after)
    }

    /// The refactoring that changes a table and is not real yet.
    fn changed_by<'v>(&'v self, relation: &'v Relation) -> Option<&'v String> {
        let made = self.made.iter().find(|m| m.table == relation.base).map(|m| &m.step);
        let floor = self.floors.iter().find(|f| f.table == relation.base).map(|f| &f.step);
        relation.touched_by.last().or(made).or(floor)
    }

    /// Refuses to change a table that waiting DDL names: it is written for the table as it is.
    pub(super) fn leaves_ddl(&self, next: &Self) -> Result<(), Refusal> {
        let changed = |name: &&TableName| self.relations.get(*name) != next.relations.get(*name);
        let found = self.ddl.iter().find_map(|ddl| Some((ddl, ddl.names.iter().find(changed)?)));
        found.map_or(Ok(()), |(ddl, table)| {
            let why = format!("the DDL of {} names `{}` as it is now, and is not real yet", ddl.step, table.short());
            Err(first(why, &ddl.step))
        })
    }

    /// How many refactorings come before the first that follows DDL: what is made there may be what it needs.
    pub(super) fn until_after_ddl(&self) -> usize {
        let is_ddl = |step: &String| self.ddl.iter().any(|ddl| ddl.step == *step);
        let first = self.steps.iter().position(is_ddl).unwrap_or(self.steps.len());
        let then = self.steps[first..].iter().position(|step| !is_ddl(step));
        then.map_or(self.steps.len(), |then| first + then)
    }
}
