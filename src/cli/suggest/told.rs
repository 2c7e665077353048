//! What is said of candidates: commands to paste, and comments that decide.

use serde_json::{Value, json};

use super::Candidate;
use super::search::{RuledOut, Verdict};
use crate::cli::convert::Words;
use crate::name::shell;
use crate::problem::{Kind, Problem};
use crate::ui::Ui;

/// A command as it is pasted.
fn command(words: &Words) -> String {
    format!("refactor {}", words.iter().map(|word| shell(word)).collect::<Vec<_>>().join(" "))
}

/// Several in one line.
pub fn line(commands: &[Words]) -> String {
    commands.iter().map(command).collect::<Vec<_>>().join("; ")
}

/// Why something cannot be.
fn reason(problem: &Problem) -> String {
    if problem.why.is_empty() { problem.what.clone() } else { problem.why.join("; ") }
}

/// Why the data do not take commands, and what to do about it.
pub fn refused(problem: &Problem, commands: &[Words]) -> String {
    let why = reason(problem);
    let rules = ["add-check", "set-not-null"];
    if problem.kind == Kind::Fact && commands.iter().any(|words| rules.contains(&&*words[0])) {
        return format!("{why}; mend these rows first, or put them in quarantine: `--on-violation quarantine`");
    }
    why
}

fn why(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Yes(why) | Verdict::No(why) | Verdict::Unknown(why) => why,
    }
}

/// All of it.
pub fn tell(ui: Ui, candidates: &[Candidate], ruled_out: &[RuledOut], chosen: Option<usize>) {
    let several = candidates.len() > 1;
    for (number, candidate) in (1..).zip(candidates) {
        if chosen.is_some_and(|n| n != number) {
            continue;
        }
        if several {
            ui.out(format!("# candidate {number}:"));
        }
        for (what, verdict) in &candidate.assumes {
            let word = if matches!(verdict, Verdict::Yes(_)) { "since" } else { "if" };
            ui.out(format!("# {word} {what} ({})", why(verdict)));
        }
        for words in &candidate.commands {
            ui.out(command(words));
        }
        for fact in &candidate.facts {
            ui.out(format!("# fact: {fact}"));
        }
        for loss in &candidate.losses {
            ui.out(format!("# lost: {loss}"));
        }
        for left in &candidate.left {
            ui.out(format!("# not reached: {left}"));
        }
        for words in &candidate.beside {
            ui.out(format!("# only the order of fields differs; if that matters: {}", command(words)));
        }
        if several && chosen.is_none() {
            ui.out("");
        }
    }
    for (what, why) in ruled_out {
        ui.out(format!("# ruled out: {what}\n#   because {}", why.replace('\n', "\n#   ")));
    }
    ui.json(&json!({
        "candidates": (1..).zip(candidates).map(|(number, c)| one(number, c)).collect::<Vec<_>>(),
        "ruled_out": ruled_out.iter().map(|(what, why)| json!({ "what": what, "why": why })).collect::<Vec<_>>(),
        "question": several.then(|| question(candidates)),
        "chosen": chosen,
    }));
    let Some(first) = candidates.first() else { return };
    match (several && chosen.is_none(), first.commands.is_empty(), first.left.is_empty()) {
        (false, true, true) => ui.done("nothing to do: the shapes are the same"),
        (false, _, true) => ui.done("made real on a copy, this has the wanted shape"),
        (false, _, false) => ui.warn("the wanted shape cannot be reached: this comes nearest"),
        (true, ..) => ui.say("each was made real on a copy, and has the wanted shape; `--choose N` takes one"),
    }
}

fn one(number: usize, candidate: &Candidate) -> Value {
    let assumes = candidate.assumes.iter().map(
        |(what, verdict)| json!({ "what": what, "said": why(verdict), "certain": matches!(verdict, Verdict::Yes(_)) }),
    );
    json!({
        "number": number,
        "commands": candidate.commands.iter().map(command).collect::<Vec<_>>(),
        "assumes": assumes.collect::<Vec<_>>(),
        "facts": candidate.facts,
        "losses": candidate.losses,
        "not_reached": candidate.left,
        "order": candidate.beside.iter().map(command).collect::<Vec<_>>(),
    })
}

/// What only a person can answer.
fn question(candidates: &[Candidate]) -> String {
    let mut asked: Vec<String> = Vec::new();
    for (what, verdict) in candidates.iter().flat_map(|c| &c.assumes) {
        let text = format!("is it so that {what}?");
        if !matches!(verdict, Verdict::Yes(_)) && !asked.contains(&text) {
            asked.push(text);
        }
    }
    asked.join(" ")
}

/// More than one is possible, or none.
pub fn open(ui: Ui, candidates: &[Candidate], write: bool) -> Problem {
    if candidates.is_empty() {
        ui.warn("no refactorings lead there: what stands in the way is said above");
        return told();
    }
    ui.warn(format!("a question is open: {}", question(candidates)));
    let what =
        if write { "nothing is written before one is chosen" } else { "paste the commands of one, or choose it" };
    ui.say(format!("  {what}, as in `--choose 1`"));
    told()
}

/// All was said.
pub fn told() -> Problem {
    Problem::new(Kind::Told, "the wanted shape cannot be reached", "it was said")
}
