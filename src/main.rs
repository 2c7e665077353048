//! Parses the command line, runs the verb, prints the problem, chooses the exit code.

use std::process::ExitCode;

use clap::Parser;
use refactor::cli::{self, Command};

fn main() -> ExitCode {
    cli::run(Command::parse())
}
