//! `set-default`: what a field gets that an insert does not name.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::drop_default::DropDefault;
use crate::catalogue::{Refactor, Refactoring, rule};
use crate::name::{FieldRef, shell};
use crate::refusal::Refusal;
use crate::sql::Expression;
use crate::sql::type_names::typed_constant;
use crate::version::Version;

/// Give a field a default.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetDefault {
    /// Field, as in `orders.placed`
    pub field: FieldRef,
    /// Value of new rows that name none, as in `now()`
    #[arg(value_name = "EXPRESSION")]
    pub default: Expression,
}

impl Refactor for SetDefault {
    fn wish(&self) -> String {
        format!("set the default of `{}`", self.field)
    }

    fn slug(&self) -> String {
        format!("set-default-of-{}-in-{}", self.field.field.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        rule::must_be_plain(&self.field, field)?;
        if let Some(other) = self.default.fields().into_iter().find(|f| relation.field(f).is_some()) {
            return Err(Refusal::Other {
                why: format!("`{}` reads `{other}`, but a default is there before the row", self.default),
                hint: Some("say a value, or a function that needs no field, as in `now()`".into()),
            });
        }
        if self.default == Expression::null() {
            return Err(Refusal::Other {
                why: "NULL is what a field without a default gets".into(),
                hint: Some(format!("say `refactor drop-default {}`", shell(&self.field.to_string()))),
            });
        }
        let default = Some(typed_constant(&self.default.to_string(), &field.shape.type_name));
        if field.shape.default == default {
            return Err(Refusal::Nothing(format!("its default is `{}` already", self.default)));
        }
        self.inverse(step, before)?;
        let name = field.shape.name.clone();
        let mut after = before.clone();
        let changed = after.change(&relation.name, step);
        changed.fields.iter_mut().filter(|f| f.shape.name == name).for_each(|f| f.shape.default.clone_from(&default));
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (_, field) = before.find_field(&self.field)?;
        let field_ref = self.field.clone();
        Ok(match &field.shape.default {
            Some(default) => Refactoring::SetDefault(Self { field: field_ref, default: rule::read_back(default)? }),
            None => Refactoring::DropDefault(DropDefault { field: field_ref }),
        })
    }
}
