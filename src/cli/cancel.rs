//! `cancel`: ends the run that is at work, from another terminal.

use serde_json::json;

use crate::cli::Context;
use crate::cli::materialize::GO_ON;
use crate::problem::Problem;

/// Ends it, and says what it was.
pub fn run(context: &Context) -> Result<(), Problem> {
    let mut session = context.session()?;
    let work = session.at_work()?;
    match &work {
        None => context.ui.say("no run is at work"),
        Some(work) => {
            session.end_work()?;
            context.ui.done(format!("ended: {work}"));
            context.ui.say(format!("what was not committed is taken back; {GO_ON}"));
        }
    }
    context.ui.json(&json!({ "ended": work }));
    Ok(())
}
