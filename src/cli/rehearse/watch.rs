//! `rehearse --watch`: waits until a file of the refactorings changes.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::problem::{Kind, Problem};

/// How long nothing more must happen: an editor writes a file in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// Sees what happens in a directory from its making on.
pub struct Watch {
    events: Receiver<notify::Result<Event>>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Begins to look.
    ///
    /// # Errors
    /// When there is no such directory, or the system cannot watch it.
    pub fn of(directory: &Path) -> Result<Self, Problem> {
        let failed = |why: notify::Error| {
            let what = format!("cannot watch `{}`", directory.display());
            Problem::new(Kind::Files, what, why.to_string()).hint("name the directory of the files: `--dir`")
        };
        let (send, events) = channel();
        let mut watcher = notify::recommended_watcher(send).map_err(failed)?;
        watcher.watch(directory, RecursiveMode::NonRecursive).map_err(failed)?;
        Ok(Self { events, _watcher: watcher })
    }

    /// Waits for a change, if there was none since the last one, and until it is over.
    pub fn wait(&self) {
        let is_change = |event: notify::Result<Event>| event.map_or(true, |event| !event.kind.is_access());
        while !self.events.recv().is_ok_and(is_change) {}
        while self.events.recv_timeout(QUIET).is_ok() {}
    }
}
