//! Enums whose labels are other ones: a type of the new shape, and how it takes the old one's place.

use crate::generate::{comment, list};
use crate::sql::Literal;
use crate::version::{Relabelled, Version};

/// Creates the type of the new shape.
#[must_use]
pub fn create(relabelled: &Relabelled) -> String {
    let Relabelled { shown, labels, step, .. } = relabelled;
    let labels: Vec<String> = labels.iter().map(|label| Literal(label.clone()).to_string()).collect();
    format!("CREATE TYPE {shown} AS ENUM ({});\nCOMMENT ON TYPE {shown} IS {};", list(&labels), comment(step))
}

/// Lets it take the place of the old one, of which no field is any more.
#[must_use]
pub fn swap(version: &Version, relabelled: &Relabelled) -> String {
    let Relabelled { real, shown, .. } = relabelled;
    let was = &version.schema.enums[real];
    let said = was.comment.clone().map_or_else(|| "NULL".to_owned(), |text| Literal(text).to_string());
    format!(
        "DROP TYPE {real};\nALTER TYPE {shown} SET SCHEMA {};\nCOMMENT ON TYPE {real} IS {said};\nALTER TYPE {real} OWNER TO {};",
        real.schema, was.owner
    )
}
