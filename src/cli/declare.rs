//! A refactoring as a verb: checks it, records it in a file, shows it in the database.

use serde_json::json;

use crate::catalogue::Refactoring;
use crate::cli::{Context, agree, apply};
use crate::db::session::Deferred;
use crate::db::trial::Trial;
use crate::generate::{Class, shown_in};
use crate::interrupt;
use crate::journal::chain;
use crate::problem::{Kind, Problem};
use crate::ui::Ui;
use crate::version::RemarkKind;

/// Declares and defers refactorings, all or none.
pub fn run(context: &Context, mut refactorings: Vec<Refactoring>) -> Result<(), Problem> {
    interrupt::say(context.ui, apply::LEFT);
    let directory = context.directory();
    let files = directory.read()?;
    let mut session = context.session()?;
    session.lock()?;
    let (place, left) = session.settled()?;
    context.tell_left(&left);
    let comparison = agree(context, &files, &place)?;
    if let Some(first) = comparison.to_apply.first() {
        return Err(Problem::new(
            Kind::Files,
            "cannot declare a refactoring on this database now",
            format!("it does not have {} yet, which is in `{}`", first.step.name, context.dir().display()),
        )
        .hint("bring it up to date first: `refactor apply`"));
    }
    let known = files.iter().map(|f| &f.step.name).chain(place.recorded.iter().map(|r| &r.entry.step.name));
    let taken: Vec<String> = known.cloned().collect();
    let newest = place.recorded.last().map(|r| r.entry.step.name.clone());
    let after = newest.filter(|a| files.iter().any(|f| f.step.name == *a));
    let moments: Vec<_> = refactorings.iter_mut().filter_map(|one| session.fix_moment(one)).collect();
    let entries = chain(taken, after, refactorings).map_err(|e| unwritten(&e))?;
    let names: Vec<String> = entries.iter().map(|e| e.step.name.clone()).collect();
    // The file first: should we die between the two, `refactor apply` goes on; the reverse would leave views that no
    // file explains.
    let mut deferred = session.prepare(&place, &entries)?;
    let written = entries.iter().map(|entry| directory.write(entry)).collect::<Result<Vec<_>, _>>();
    let done = written.map_err(Problem::from).and_then(|written| {
        session.defer(&place, &mut deferred, &mut |_, _| {})?;
        Ok(written)
    });
    let written = match done {
        Ok(written) => written,
        Err(problem) => {
            names.iter().try_for_each(|name| directory.remove(name))?;
            return Err(problem);
        }
    };
    let are = if names.len() == 1 { "is" } else { "are" };
    context.ui.done(format!("{} {are} declared and shown in `next`", names.join(", ")));
    for file in written {
        context.ui.say(format!("  recorded in {}", file.display()));
    }
    report(context.ui, &deferred, &names);
    if let Some(moment) = moments.last() {
        context.ui.note(format!(
            "rows that exist get the moment of declaring, `{moment}`, written down as `existing`; new rows get their own"
        ));
    }
    context.ui.say(
        "  try it: `refactor exec -- psql`   make it real: `refactor materialize`   take it back: `refactor undo`",
    );
    Ok(())
}

/// A refactoring without a text.
pub fn unwritten(e: &toml::ser::Error) -> Problem {
    Problem::new(Kind::Files, "cannot write the refactoring down", e.to_string())
}

/// Tells what was asked, what was shown and what cannot be done with it.
pub fn report(ui: Ui, deferred: &Deferred, names: &[String]) {
    let mut asked = Vec::new();
    for answer in &deferred.facts {
        ui.say(format!("  fact: {} ({:.0} ms)", answer.sentence(), answer.time.as_secs_f64() * 1000.0));
        asked.push(json!({ "step": answer.fact.step, "sentence": answer.sentence(), "milliseconds": answer.time.as_secs_f64() * 1000.0 }));
    }
    for (step, rows) in &deferred.changed {
        ui.say(format!("  {rows} {} changed by {step}", if *rows == 1 { "row" } else { "rows" }));
    }
    for trial in &deferred.trials {
        ui.say(format!("  {}", trial.sentence()));
    }
    let next = shown_in(&deferred.version);
    let (mut views, mut alike) = (Vec::new(), Vec::<(Vec<&str>, Vec<String>)>::new());
    for relation in deferred.version.shown().filter(|r| r.touched_by.iter().any(|s| names.contains(s))) {
        let class = Class::of(&deferred.version, relation);
        let view = format!("{}.{}", next[&relation.name.schema], relation.name.name);
        let cannot = class.cannot(relation);
        views.push(json!({ "view": view, "class": format!("{class:?}"), "cannot": cannot }));
        match alike.iter_mut().find(|(other, _)| *other == cannot) {
            Some((_, views)) => views.push(format!("`{view}`")),
            None => alike.push((cannot, vec![format!("`{view}`")])),
        }
    }
    for (cannot, of) in alike {
        let view = if of.len() == 1 { "view" } else { "views" };
        ui.say(format!("  {view} {} cannot: {}", of.join(", "), cannot.join("; ")));
    }
    let (mut losses, mut notes, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for (loss, count) in &deferred.losses {
        ui.note(format!("{} (kept where it is until you materialize)", loss.sentence(*count)));
        losses.push(loss.sentence(*count));
    }
    for remark in deferred.version.remarks.iter().filter(|r| names.contains(&r.step)) {
        let (list, text) = match remark.kind {
            RemarkKind::Lost => (&mut losses, format!("materializing will drop {}", remark.text)),
            RemarkKind::InTheWay => (&mut warnings, format!("{}; materializing is refused while it does", remark.text)),
            RemarkKind::Note => (&mut notes, remark.text.clone()),
        };
        if remark.kind == RemarkKind::InTheWay {
            ui.warn(&text);
        } else {
            ui.note(&text);
        }
        list.push(text);
    }
    let carried = deferred.version.carries.iter().any(|c| names.contains(&c.step));
    if carried {
        ui.say("  old writers are watched by triggers on the tables (`refactor plan apply` lists them), since a view cannot see their writes");
    }
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    ui.say(format!(
        "  done in {:.0} ms; the data took {:.0} ms to answer",
        milliseconds(deferred.time),
        milliseconds(deferred.asking)
    ));
    let changed: Vec<_> = deferred.changed.iter().map(|(step, rows)| json!({ "step": step, "rows": rows })).collect();
    let trials: Vec<String> = deferred.trials.iter().map(Trial::sentence).collect();
    ui.json(&json!({ "declared": names, "facts": asked, "views": views, "losses": losses, "notes": notes, "warnings": warnings, "changed": changed, "trials": trials, "milliseconds": milliseconds(deferred.time), "milliseconds_asking": milliseconds(deferred.asking) }));
}
