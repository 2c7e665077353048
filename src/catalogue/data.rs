//! `data`: statements that change rows once, written for the shape before it.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Refactor, Refactoring};
use crate::name::Ident;
use crate::refusal::Refusal;
use crate::sql::changes::Changes;
use crate::version::Version;

/// Change rows.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Name of the step, as in `fill-grades`
    #[arg(value_parser = str::parse::<Ident>)]
    pub name: Ident,
    /// INSERT, UPDATE, DELETE or MERGE statements, written for the new shape as it is now
    pub sql: Changes,
    /// Statements that take it back
    #[arg(long, value_name = "SQL")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Changes>,
}

impl Refactor for Data {
    fn wish(&self) -> String {
        format!("change rows in step `{}`", self.name)
    }

    fn slug(&self) -> String {
        self.name.as_str().to_owned()
    }

    fn after(&self, _: &str, before: &Version) -> Result<Version, Refusal> {
        Ok(before.clone())
    }

    fn inverse(&self, _: &str, _: &Version) -> Result<Refactoring, Refusal> {
        let Some(undo) = &self.undo else {
            return Err(Refusal::Other {
                why: format!("`{}` names no statements that take it back", self.name),
                hint: Some("write them as a data step of their own".into()),
            });
        };
        let name = Ident::generated(&["undo", self.name.as_str()]);
        Ok(Refactoring::Data(Self { name, sql: undo.clone(), undo: Some(self.sql.clone()) }))
    }

    fn data(&self) -> Option<&Data> {
        Some(self)
    }
}
