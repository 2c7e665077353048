//! The one test binary: one private server a run, one database a test.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod deferring;
mod read;
mod rebuild;
mod server;
mod support;
