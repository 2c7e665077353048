//! Parses the command line, runs the verb, prints the problem, chooses the exit code.

use std::process::ExitCode;

use clap::FromArgMatches;
use refactor::cli::{self, Command};
use refactor::interrupt;

/// Enough for the longest expression that is taken: a chain of operators nests as deep as it is long.
const STACK: usize = 1 << 30;

fn main() -> ExitCode {
    interrupt::leave();
    let run = || {
        interrupt::end();
        let mut command = cli::command();
        match Command::from_arg_matches_mut(&mut command.get_matches_mut()) {
            Ok(parsed) => cli::run(parsed),
            Err(error) => error.format(&mut command).exit(),
        }
    };
    match std::thread::Builder::new().stack_size(STACK).spawn(run).map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        // What went wrong has been said.
        Ok(Err(_)) => ExitCode::from(101),
        Err(_) => run(),
    }
}
