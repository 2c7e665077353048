//! Values that had no row to live in, as the inverse of what left them so finds them again.

use serde::{Deserialize, Serialize};

use crate::catalogue::entangled;
use crate::name::Ident;
use crate::refusal::Refusal;
use crate::relation::Relation;
use crate::version::{Kept, Lookup, Version};

/// A field of which values were kept that had no row to live in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// The field, by its new name.
    pub field: Ident,
    /// The refactoring that they were kept for, and the field if it is not its first.
    pub from: String,
}

impl std::str::FromStr for Restored {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (field, from) = text.split_once('=').ok_or("expected a field and a refactoring")?;
        let field = field.parse().map_err(|e: crate::name::NameError| e.to_string())?;
        Ok(Self { field, from: from.to_owned() })
    }
}

impl Restored {
    /// What a refactoring keeps of fields.
    #[must_use]
    pub fn all(step: &str, after: &Version) -> Vec<Self> {
        let kept = after.losses.iter().filter(|l| l.step == step && !l.columns.is_empty());
        kept.map(|l| Self { field: l.words.field.clone(), from: after.kept_for(l) }).collect()
    }

    /// Where the fields of a lookup get what was kept of them.
    ///
    /// # Errors
    /// When the rows cannot be told apart by what they were kept by.
    pub fn kept(these: &[Self], version: &Version, relation: &Relation, lookup: &Lookup) -> Result<Vec<Kept>, Refusal> {
        let found = these.iter().filter_map(|r| Some((r, lookup.fields.iter().position(|f| *f == r.field)?)));
        let one = |(restored, member): (&Self, usize)| {
            let key = entangled::row_key(version, relation)?;
            let id = Ident::generated(&[lookup.id.as_str(), &(member + 1).to_string()]);
            Ok(Kept { id, member, key, restores: restored.from.clone() })
        };
        found.map(one).collect()
    }
}
