//! `verify`: the laws, tried on the real rows.

use clap::Args;

use crate::cli::Context;
use crate::problem::Problem;

/// How much to try.
#[derive(Debug, Args)]
pub struct Verify {
    /// Rows of each view to try
    #[arg(long, default_value_t = 100)]
    rows: i64,
}

/// Tries the laws.
pub fn run(_context: &Context, _args: &Verify) -> Result<(), Problem> {
    Ok(())
}
