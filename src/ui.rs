//! The only writer to stdout and stderr: data to stdout, talk to stderr.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::problem::Problem;

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// How to speak.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    /// Machine-readable output on stdout.
    pub json: bool,
    /// No talk.
    pub quiet: bool,
}

impl Ui {
    /// Data, for people; nothing with `--json`.
    pub fn out(&self, text: impl AsRef<str>) {
        if !self.json {
            // A closed pipe (`| head`) is no reason to complain.
            let _ = writeln!(anstream::stdout(), "{}", text.as_ref());
        }
    }

    /// Data as it is, also with `--json`.
    pub fn raw(&self, text: impl AsRef<str>) {
        let _ = write!(anstream::stdout(), "{}", text.as_ref());
    }

    /// Data for machines, with `--json` only.
    pub fn json(&self, value: &impl Serialize) {
        if self.json
            && let Ok(text) = serde_json::to_string_pretty(value)
        {
            let _ = writeln!(anstream::stdout(), "{text}");
        }
    }

    /// Talk.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            let _ = writeln!(anstream::stderr(), "{}", text.as_ref());
        }
    }

    /// A heading in the talk.
    pub fn heading(&self, text: impl AsRef<str>) {
        self.say(format!("{BOLD}{}{PLAIN}", text.as_ref()));
    }

    /// Something done.
    pub fn done(&self, text: impl AsRef<str>) {
        self.say(format!("{GREEN}{}{PLAIN}", text.as_ref()));
    }

    /// Something to know.
    pub fn note(&self, text: impl AsRef<str>) {
        self.say(format!("{CYAN}note:{PLAIN} {}", text.as_ref()));
    }

    /// Something to fear.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.say(format!("{YELLOW}warning:{PLAIN} {}", text.as_ref()));
    }

    /// A problem, in its three parts.
    pub fn problem(&self, problem: &Problem) {
        if self.json {
            self.json(&serde_json::json!({
                "error": { "what": problem.what, "why": problem.why, "hint": problem.hint }
            }));
        }
        let mut text = format!("{RED}error:{PLAIN} {BOLD}{}{PLAIN}", problem.what);
        for why in &problem.why {
            text += &format!("\n  because {}", why.trim_end().replace('\n', "\n  "));
        }
        if let Some(hint) = &problem.hint {
            text += &format!("\n{CYAN}hint:{PLAIN} {hint}");
        }
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// That somebody ended us, and what state is left.
    pub fn interrupted(self, left: &str) {
        if self.json {
            self.json(&serde_json::json!({ "interrupted": left }));
        }
        let _ = writeln!(anstream::stderr(), "\n{YELLOW}interrupted:{PLAIN} {left}");
    }

    /// One step of what takes long: a line, for machines with `--json`.
    pub fn step(&self, at: usize, sentence: &str) {
        if self.json {
            let line = serde_json::json!({ "step": at + 1, "doing": sentence });
            let _ = writeln!(anstream::stderr(), "{line}");
        } else {
            self.say(format!("  {sentence} …"));
        }
    }

    /// Asks; `false` where nobody can answer.
    #[must_use]
    pub fn ask(&self, question: &str) -> bool {
        if !std::io::stdin().is_terminal() {
            return false;
        }
        let _ = write!(anstream::stderr(), "{question} [y/N] ");
        let _ = anstream::stderr().flush();
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }
}
