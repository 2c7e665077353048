//! Parses the command line, runs the verb, prints the problem, chooses the exit code.

use std::process::ExitCode;

use clap::Parser;
use refactor::cli::{self, Command};

/// Enough for the longest expression that is taken: a chain of operators nests as deep as it is long.
const STACK: usize = 1 << 30;

fn main() -> ExitCode {
    let run = || cli::run(Command::parse());
    match std::thread::Builder::new().stack_size(STACK).spawn(run).map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        // What went wrong has been said.
        Ok(Err(_)) => ExitCode::from(101),
        Err(_) => cli::run(Command::parse()),
    }
}
