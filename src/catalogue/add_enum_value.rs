//! `add-enum-value`: an enum gets a value more. Old code sees another one in its place.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_enum_value::DropEnumValue;
use crate::catalogue::enum_values::{EnumRef, Relabelling};
use crate::catalogue::{Refactor, Refactoring};
use crate::refusal::Refusal;
use crate::schema::Enum;
use crate::version::Version;

/// Add a value to an enum.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddEnumValue {
    /// Enum, as in `mood` or `sales.mood`
    #[arg(value_name = "TYPE")]
    #[serde(rename = "type")]
    pub of: EnumRef,
    /// New value
    pub value: String,
    /// Value that it comes before [default: it comes last]
    #[arg(long, value_name = "VALUE", conflicts_with = "after")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Value that it comes after
    #[arg(long, value_name = "VALUE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Value that old code sees instead [default: the one beside it]
    #[arg(long = "as", value_name = "VALUE")]
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Refactoring whose kept values come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
}

impl AddEnumValue {
    /// The place of the new value, and the value that old code sees.
    fn place<'e>(&'e self, of: &'e Enum) -> Result<(usize, &'e String), Refusal> {
        self.of.is_free(of, &self.value)?;
        let at = match (&self.before, &self.after) {
            (Some(_), Some(_)) => {
                let hint = Some("leave out `before` or `after`".into());
                return Err(Refusal::Other { why: "it has one place, and two are said".into(), hint });
            }
            (Some(before), None) => self.of.label(of, before)?,
            (None, Some(after)) => self.of.label(of, after)? + 1,
            (None, None) => of.labels.len(),
        };
        let beside = of.labels.get(if self.before.is_some() { at } else { at.saturating_sub(1) });
        let seen = match &self.seen {
            Some(seen) => Some(&of.labels[self.of.label(of, seen)?]),
            None => beside,
        };
        let none = || Refusal::Nothing(format!("`{}` has no value that old code could see instead", self.of.0));
        Ok((at, seen.ok_or_else(none)?))
    }
}

impl Refactor for AddEnumValue {
    fn wish(&self) -> String {
        format!("add the value `{}` to `{}`", self.value, self.of.0)
    }

    fn slug(&self) -> String {
        format!("add-{}-to-{}", self.value, self.of.0.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (_, of) = self.of.find(before)?;
        let (at, seen) = self.place(of)?;
        let mut labels = of.labels.clone();
        labels.insert(at, self.value.clone());
        let there: Vec<(String, String)> = of.labels.iter().map(|label| (label.clone(), label.clone())).collect();
        let back = there.iter().cloned().chain([(self.value.clone(), seen.clone())]).collect();
        let restores = self.restores.as_ref();
        self.of.relabelled(step, before, &Relabelling { labels, there, back, gone: None, restores })
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (_, of) = self.of.find(before)?;
        let (_, seen) = self.place(of)?;
        Ok(Refactoring::DropEnumValue(DropEnumValue {
            of: self.of.clone(),
            value: self.value.clone(),
            to: seen.clone(),
        }))
    }
}
