//! `collapse-associative`: a table of links becomes a foreign key, where each row has at most one.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::make_associative::MakeAssociative;
use crate::catalogue::merge_tables::MergeTables;
use crate::catalogue::{Refactor, Refactoring, create_table, entangled};
use crate::name::{FieldRef, Ident, Renaming, TableRef};
use crate::refusal::Refusal;
use crate::version::Version;

/// Make a foreign key of a table of links.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollapseAssociative {
    /// Table of the links, which goes
    pub table: TableRef,
    /// Table that they start from, and that gets the foreign key
    #[arg(long, value_name = "TABLE")]
    pub into: TableRef,
    /// Foreign key of the links that leads there, where there are several
    #[arg(long, value_name = "KEY", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Ident>,
    /// Another name for a field there, as in `author_id=writer_id`
    #[arg(long = "as", value_name = "FIELD=NAME", value_delimiter = ',', value_parser = str::parse::<Renaming>)]
    #[serde(default, rename = "as", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Renaming>,
    /// Order of the fields there
    #[arg(long, hide = true, value_name = "FIELD", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<Ident>,
}

impl CollapseAssociative {
    /// A row with at most one link has it as a part.
    fn merging(&self) -> MergeTables {
        MergeTables {
            table: self.table.clone(),
            into: self.into.clone(),
            via: self.via.clone(),
            names: self.names.clone(),
            without: Vec::new(),
            fill: Vec::new(),
            total: false,
            restores: Vec::new(),
            order: self.order.clone(),
        }
    }
}

impl Refactor for CollapseAssociative {
    fn wish(&self) -> String {
        format!("make a foreign key of `{}` in `{}`", self.table, self.into)
    }

    fn slug(&self) -> String {
        format!("collapse-{}-into-{}", self.table.name.as_str(), self.into.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let merging = self.merging();
        let (_, fields) = merging.link(before)?;
        let table = before.find_own(&self.table)?;
        let leads = |fields: &[Renaming]| {
            let names: Vec<Ident> = fields.iter().map(|f| f.from.clone()).collect();
            table.foreign_keys().any(|(c, _)| c.item.fields == names)
        };
        if !leads(&fields) {
            return Err(Refusal::Other {
                why: format!("`{}` has more fields than two foreign keys", table.name.short()),
                hint: Some(format!(
                    "merge it: `refactor merge-tables {}`, once its rows are unique",
                    table.name.typed()
                )),
            });
        }
        merging.merged(step, before, true)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let merging = self.merging();
        let (reference, fields) = merging.link(before)?;
        let table = before.find_own(&self.table)?;
        let into = before.find_own(&self.into)?;
        let first = fields.first().ok_or_else(|| Refusal::Nothing("it links nothing".into()))?;
        Ok(Refactoring::MakeAssociative(MakeAssociative {
            field: FieldRef { table: entangled::reference(&into.name), field: first.to.clone() },
            into: entangled::reference(&table.name),
            from: reference,
            to: fields.iter().map(|f| f.from.clone()).collect(),
            elements: create_table::elements(before, table)?,
        }))
    }
}
