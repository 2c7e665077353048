//! `rename-enum-value`: a value of an enum gets another name.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::enum_values::{EnumRef, Relabelling};
use crate::catalogue::{Refactor, Refactoring};
use crate::refusal::Refusal;
use crate::version::Version;

/// Give a value of an enum another name.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenameEnumValue {
    /// Enum, as in `mood` or `sales.mood`
    #[arg(value_name = "TYPE")]
    #[serde(rename = "type")]
    pub of: EnumRef,
    /// Value to rename
    pub value: String,
    /// New name
    pub to: String,
}

impl Refactor for RenameEnumValue {
    fn wish(&self) -> String {
        format!("rename the value `{}` of `{}` to `{}`", self.value, self.of.0, self.to)
    }

    fn slug(&self) -> String {
        format!("rename-{}-in-{}", self.value, self.of.0.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (_, of) = self.of.find(before)?;
        let at = self.of.label(of, &self.value)?;
        self.of.is_free(of, &self.to)?;
        let mut labels = of.labels.clone();
        labels[at].clone_from(&self.to);
        let there: Vec<(String, String)> = of.labels.iter().cloned().zip(labels.iter().cloned()).collect();
        let back = there.iter().map(|(old, new)| (new.clone(), old.clone())).collect();
        self.of.relabelled(step, before, &Relabelling { labels, there, back, gone: None, restores: None })
    }

    fn inverse(&self, _: &str, _: &Version) -> Result<Refactoring, Refusal> {
        Ok(Refactoring::RenameEnumValue(Self { value: self.to.clone(), to: self.value.clone(), of: self.of.clone() }))
    }
}
