//! Commands as refactorings. Each text is read once.

use std::collections::HashMap;

use clap::FromArgMatches;

use crate::catalogue::Refactoring;
use crate::cli::convert::Words;
use crate::cli::{Command, Verb};

/// Reads commands as a shell would give them to us.
pub struct Parser {
    command: clap::Command,
    read: HashMap<Words, Option<Refactoring>>,
}

impl Parser {
    /// One that has read nothing.
    pub fn new() -> Self {
        Self { command: crate::cli::command(), read: HashMap::new() }
    }

    /// The refactoring that is typed so, if it is one.
    pub fn read(&mut self, words: &Words) -> Option<Refactoring> {
        if let Some(known) = self.read.get(words) {
            return known.clone();
        }
        let typed = std::iter::once("refactor").chain(words.iter().map(String::as_str));
        let found = self.command.try_get_matches_from_mut(typed).and_then(|found| Command::from_arg_matches(&found));
        let found = match found {
            Ok(Command { verb: Verb::Declare(refactoring), .. }) => Some(refactoring),
            _ => None,
        };
        self.read.insert(words.clone(), found.clone());
        found
    }
}
