//! `drop-enum-value`: a value of an enum goes, and rows that have it get another one. Which they were is kept.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::add_enum_value::AddEnumValue;
use crate::catalogue::enum_values::{EnumRef, Relabelling};
use crate::catalogue::{Refactor, Refactoring};
use crate::refusal::Refusal;
use crate::version::Version;

/// Drop a value of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropEnumValue {
    /// Enum, as in `mood` or `sales.mood`
    #[arg(value_name = "TYPE")]
    #[serde(rename = "type")]
    pub of: EnumRef,
    /// Value to drop
    pub value: String,
    /// Value that rows get which have it
    #[arg(long, value_name = "VALUE")]
    pub to: String,
}

impl Refactor for DropEnumValue {
    fn wish(&self) -> String {
        format!("drop the value `{}` of `{}`", self.value, self.of.0)
    }

    fn slug(&self) -> String {
        format!("drop-{}-of-{}", self.value, self.of.0.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (_, of) = self.of.find(before)?;
        let at = self.of.label(of, &self.value)?;
        self.of.label(of, &self.to)?;
        if self.to == self.value {
            let hint = Some("say another one: `--to VALUE`".into());
            return Err(Refusal::Other { why: format!("rows cannot keep `{}`, which goes", self.value), hint });
        }
        let mut labels = of.labels.clone();
        labels.remove(at);
        let back: Vec<(String, String)> = labels.iter().map(|label| (label.clone(), label.clone())).collect();
        let there = back.iter().cloned().chain([(self.value.clone(), self.to.clone())]).collect();
        let to = Relabelling { labels, there, back, gone: Some(&self.value), restores: None };
        self.of.relabelled(step, before, &to)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (_, of) = self.of.find(before)?;
        let at = self.of.label(of, &self.value)?;
        Ok(Refactoring::AddEnumValue(AddEnumValue {
            of: self.of.clone(),
            value: self.value.clone(),
            before: of.labels.get(at + 1).cloned(),
            after: None,
            seen: Some(self.to.clone()),
            restores: Some(step.to_owned()),
        }))
    }
}
