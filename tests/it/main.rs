//! The one test binary: one private server a run, one database a test.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod ahead;
mod alike;
mod applied;
mod cli;
mod concurrency;
mod cycle;
mod data;
mod ddl;
mod deferring;
mod dependents;
mod drifting;
mod failure;
mod floors;
mod gone;
mod histories;
mod hostile;
mod inverse;
mod kept;
mod laws;
mod matrix;
mod meanwhile;
mod meeting;
mod names;
mod onward;
mod page;
mod pages;
mod read;
mod ready;
mod rebuild;
mod rehearse;
mod reshape;
mod rights;
mod rules;
mod script;
mod secured;
mod server;
mod shared;
mod stacks;
mod support;
mod tidy;
mod told;
mod values;
mod waiting;
mod words;
