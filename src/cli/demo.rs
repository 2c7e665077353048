//! `demo`: a field moves, on a private server.

use clap::Args;

use crate::cli::Context;
use crate::problem::Problem;

/// Nothing to choose yet.
#[derive(Debug, Args)]
pub struct Demo {}

/// Shows it.
pub fn run(_context: &Context, _args: &Demo) -> Result<(), Problem> {
    Ok(())
}
