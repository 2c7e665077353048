//! The keys of an index or an exclusion: fields, or expressions over them.

use crate::catalogue::rule;
use crate::name::{FieldRef, Ident};
use crate::refusal::Refusal;
use crate::relation::Relation;
use crate::sql::indexes::IndexKey;
use crate::version::Version;

/// One key, as an index will have it.
pub(super) struct Key {
    pub text: String,
    /// What it is called in the name of the index.
    pub word: Ident,
    pub fields: Vec<Ident>,
}

impl Key {
    /// Of a table, as a person wrote it.
    ///
    /// # Errors
    /// When a field is not there, or it cannot be read.
    pub fn of(before: &Version, relation: &Relation, key: &IndexKey) -> Result<Self, Refusal> {
        let field = |name: Ident| before.find_field(&FieldRef { table: rule::typed(relation), field: name });
        let found = key.name().map(field);
        if let Some(Ok((_, field))) = found {
            let name = &field.shape.name;
            return Ok(Self { text: name.to_string(), word: name.clone(), fields: vec![name.clone()] });
        }
        let read = key.read().map_err(|e| Refusal::Expression(e.to_string()))?;
        if let (Some(Err(refusal)), Some(_), None) = (found, &read.field, key.to_string().find(' ')) {
            return Err(refusal);
        }
        let names = rule::names_in(relation, &read.value)?;
        Ok(Self { text: read.with(&names), word: read.word(), fields: names.into_keys().collect() })
    }

    /// Whether it is a field, as it is.
    pub fn is_field(&self) -> bool {
        self.fields == [self.word.clone()]
    }
}

/// Each once, in the order of the first.
pub(super) fn once(fields: Vec<Ident>) -> Vec<Ident> {
    let mut once = Vec::new();
    for field in fields {
        if !once.contains(&field) {
            once.push(field);
        }
    }
    once
}

/// As PostgreSQL tells apart what is called the same.
pub(super) fn words(words: impl Iterator<Item = Ident>) -> Vec<Ident> {
    let mut names: Vec<Ident> = Vec::new();
    for word in words {
        let numbered = (1..).map(|n| Ident::new(format!("{}{n}", word.as_str())));
        let free = std::iter::once(word.clone()).chain(numbered).find(|name| !names.contains(name));
        names.extend(free);
    }
    names
}
