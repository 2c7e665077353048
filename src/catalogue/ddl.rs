//! `ddl`: statements for what no refactoring does, with those that take them back. No view can show what they do.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Refactor, Refactoring};
use crate::name::Ident;
use crate::refusal::Refusal;
use crate::sql::ddl::Ddl as Statements;
use crate::version::{RemarkKind, Version};

/// Run DDL.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ddl {
    /// Statements, as in `CREATE EXTENSION citext`
    #[arg(long, value_name = "SQL")]
    pub up: Statements,
    /// Statements that take it back, as in `DROP EXTENSION citext`
    #[arg(long, value_name = "SQL")]
    pub down: Statements,
    /// Name of the step [default: the first words of the statements]
    #[arg(long, value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Ident>,
}

impl Refactor for Ddl {
    fn wish(&self) -> String {
        format!("run DDL `{}`", self.slug())
    }

    fn slug(&self) -> String {
        self.name.as_ref().map_or_else(|| self.up.words(), |name| name.as_str().to_owned())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let mut after = before.with_ddl(step, &self.up, &self.down)?;
        after.remark(step, RemarkKind::Note, "no view can show what DDL does: it runs when this is made real");
        Ok(after)
    }

    fn inverse(&self, _: &str, _: &Version) -> Result<Refactoring, Refusal> {
        let name = Ident::generated(&["undo", &self.slug()]);
        Ok(Refactoring::Ddl(Self { up: self.down.clone(), down: self.up.clone(), name: Some(name) }))
    }
}
