//! What is said when somebody presses Ctrl-C, or ends us, while the database is being changed.
//!
//! The server takes back what was not committed once it notices that nobody is there any more. So there is nothing to do but to
//! say what state is left.

use nix::sys::signal::{SigSet, Signal};

use crate::ui::Ui;

fn signals() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM].into_iter().collect()
}

/// Leaves both signals to the threads that ask for them. To be called first, for threads and programs that are started later take
/// this from who starts them.
pub fn leave() {
    let _ = signals().thread_block();
}

/// Has both signals end the process again, silently: what holds while nothing is being changed.
pub fn end() {
    let _ = signals().thread_unblock();
}

/// From now on both signals end the process with these words.
pub fn say(ui: Ui, left: impl Into<String>) {
    let left = left.into();
    leave();
    std::thread::spawn(move || {
        let Ok(signal) = signals().wait() else { return };
        ui.interrupted(&left);
        // What a shell says of a program that a signal ended.
        std::process::exit(128 + signal as i32);
    });
}
