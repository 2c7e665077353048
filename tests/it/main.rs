//! The one test binary: one private server a run, one database a test.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod alike;
mod cli;
mod concurrency;
mod cycle;
mod data;
mod deferring;
mod failure;
mod histories;
mod hostile;
mod kept;
mod laws;
mod names;
mod onward;
mod own_writes;
mod page;
mod pages;
mod read;
mod rebuild;
mod reshape;
mod rights;
mod rules;
mod server;
mod shared;
mod stacks;
mod support;
mod tidy;
mod told;
mod waiting;
