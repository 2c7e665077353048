//! The one test binary: one private server a run, one database a test.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod deferring;
mod laws;
mod read;
mod server;
mod support;
