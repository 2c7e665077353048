//! The way out of a clash: the order said, or a file written anew.

use super::Sides;
use crate::branches::{Clash, Decision};
use crate::cli::is_named;
use crate::db::session::Place;
use crate::journal::{Directory, Entry};
use crate::name::shell;
use crate::problem::{Kind, Problem};

/// Which of the branches comes last: an index of [`Sides`]' arrays.
type Last = usize;

impl Sides {
    fn entries(&self, side: Last) -> &[Entry] {
        if side == 0 { &self.ours } else { &self.theirs }
    }

    /// The branch of a refactoring.
    fn side(&self, name: &str) -> Option<Last> {
        (0..2).find(|side| self.entries(*side).iter().any(|e| is_named(&e.step.name, name)))
    }

    /// The branch that may be written to come after the other one, so that a clash is none, and whether a file changes for
    /// it more than its place.
    fn follower(&self, clash: &Clash) -> Option<(Last, bool)> {
        let adapted = clash.adapted.as_ref()?;
        let side = self.side(&adapted.name)?;
        if self.folders[side].is_some() {
            Some((side, true))
        } else {
            // What belongs to git stays: ours comes after it, where the name is still the old one.
            clash.may_follow[1].then_some((0, false))
        }
    }

    fn file(&self, side: Last, name: &str) -> String {
        let folder = self.folders[side].as_ref().or(self.folders[0].as_ref());
        let path = folder.map(|f| f.path().join(format!("{name}.toml")));
        shell(&path.map_or_else(|| format!("{name}.toml"), |p| p.display().to_string()))
    }

    /// Writes one branch so that the refactoring of it comes after that of the other, with what has changed. Gives which
    /// comes after which.
    fn chain(&self, last: Last, names: [&str; 2], changed: &[Entry]) -> Result<[String; 2], Problem> {
        let Some(folder) = &self.folders[last] else {
            return Err(Problem::new(
                Kind::Usage,
                format!("cannot write the files of {}", self.names[last]),
                "they belong to git",
            )
            .hint("check out that branch, and say it there"));
        };
        let (first, second) = (self.entries(1 - last), self.entries(last));
        let is_elsewhere = |folder: &Directory, other: &Directory| folder.path() != other.path();
        if self.folders[1 - last].as_ref().is_none_or(|other| is_elsewhere(folder, other)) {
            // `after` names what must be there. Git takes the same file on both branches for one.
            first.iter().try_for_each(|entry| folder.write(entry).map(|_| ()))?;
        }
        let (before, root) = (tip(first, names[0]), root(second, names[1]));
        for entry in second {
            let anew = changed.iter().find(|e| e.step.name == entry.step.name);
            if entry.step.name == root {
                folder.write(&anew.unwrap_or(entry).placed_after(Some(&before)))?;
            } else if let Some(anew) = anew {
                folder.write(anew)?;
            }
        }
        Ok([before, root])
    }
}

/// The last of a branch that comes after a refactoring.
fn tip(entries: &[Entry], name: &str) -> String {
    let mut tip = entries.iter().find(|e| is_named(&e.step.name, name)).map_or(name, |e| &e.step.name);
    while let Some(next) = entries.iter().find(|e| e.after.as_deref() == Some(tip)) {
        tip = &next.step.name;
    }
    tip.to_owned()
}

/// The first of a branch that a refactoring comes after.
fn root(entries: &[Entry], name: &str) -> String {
    let mut root = entries.iter().find(|e| is_named(&e.step.name, name));
    while let Some(before) = root.and_then(|r| entries.iter().find(|e| r.after.as_ref() == Some(&e.step.name))) {
        root = Some(before);
    }
    root.map_or_else(|| name.to_owned(), |e| e.step.name.clone())
}

/// Says that one branch comes after the other.
pub fn order(sides: &Sides, first: &str, second: &str) -> Result<String, Problem> {
    let (Some(one), Some(last)) = (sides.side(first), sides.side(second)) else {
        let missing = if sides.side(first).is_none() { first } else { second };
        let names: Vec<&str> = sides.ours.iter().chain(&sides.theirs).map(|e| &*e.step.name).collect();
        return Err(Problem::new(
            Kind::Usage,
            "cannot say the order of two refactorings",
            format!("only one branch has a refactoring {missing}, or none"),
        )
        .hint(format!("name one of each branch: {}", names.join(", "))));
    };
    if one == last {
        return Err(Problem::new(
            Kind::Usage,
            "cannot say the order of two refactorings",
            "both are on the same branch, in order",
        )
        .hint("name one of each branch"));
    }
    let [before, root] = sides.chain(last, [first, second], &[])?;
    Ok(format!("{root} comes after {before} now"))
}

/// Writes files anew so that nothing clashes. Gives what was done, a line each.
pub fn fix(sides: &Sides, decision: &Decision, place: &Place) -> Result<Vec<String>, Problem> {
    let followers: Vec<Option<(Last, bool)>> = decision.clashes.iter().map(|c| sides.follower(c)).collect();
    let last = followers.iter().flatten().map(|(side, _)| *side).next();
    let is_mended = |follower: &Option<(Last, bool)>| follower.map(|(side, _)| side) == last && last.is_some();
    let (Some(last), None) = (last, followers.iter().position(|f| !is_mended(f))) else {
        let problem = super::clash(sides, decision);
        let why = "a name that has changed is followed by itself; which of two changes holds, only you can say";
        return Err(Problem { why: problem.why.into_iter().chain([why.to_owned()]).collect(), ..problem });
    };
    let (mut changed, mut lines): (Vec<Entry>, Vec<String>) = (Vec::new(), Vec::new());
    for (clash, (_, is_anew)) in decision.clashes.iter().zip(followers.iter().flatten()) {
        let Some(adapted) = clash.adapted.as_ref().filter(|_| *is_anew) else { continue };
        let old = changed.iter().chain(sides.entries(last)).find(|e| e.step.name == adapted.name);
        let Some(old) = old else { continue };
        let anew = adapted
            .entry(old)
            .map_err(|e| Problem::new(Kind::Files, "cannot write the refactoring down", e.to_string()))?;
        changed.retain(|e| e.step.name != anew.step.name);
        changed.push(anew);
        let says: Vec<String> = adapted.texts.iter().map(|(was, now)| format!("`{now}` instead of `{was}`")).collect();
        lines.push(format!("{} says {} now, as {} has it", adapted.name, says.join(", "), adapted.after));
        if place.recorded.iter().any(|r| r.entry.step.name == adapted.name) {
            lines.push(format!(
                "this database has it as it was: `refactor undo --keep-files {}`, then `refactor apply`",
                shell(&adapted.name)
            ));
        }
    }
    for clash in &decision.clashes {
        let names = if last == 0 { [&*clash.theirs, &*clash.ours] } else { [&*clash.ours, &*clash.theirs] };
        let [before, root] = sides.chain(last, names, &changed)?;
        let line = format!("{root} comes after {before} now");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// What to do about a clash, as commands.
pub fn ways(sides: &Sides, clash: &Clash) -> Vec<String> {
    let Clash { ours, theirs, .. } = clash;
    let command = &sides.command;
    let mut ways = Vec::new();
    match (sides.follower(clash), &clash.adapted) {
        (Some((_, true)), Some(adapted)) => ways.push(format!(
            "write {} anew for what {} has made of the names: `{command} --fix`",
            adapted.name, adapted.after
        )),
        (Some(_), _) => ways.push(format!("have {ours} come after {theirs}: `{command} --fix`")),
        _ => {}
    }
    if clash.same {
        ways.push(format!("one of both is enough: `rm {}`", sides.file(0, ours)));
    } else {
        let orders = [(ours, theirs, clash.may_follow[0], 1), (theirs, ours, clash.may_follow[1], 0)];
        for (first, second, _, _) in orders.iter().filter(|(_, _, may, side)| *may && sides.folders[*side].is_some()) {
            let order = format!("{},{}", shell(first), shell(second));
            ways.push(format!("say that {second} comes after {first}: `{command} --order {order}`"));
        }
        if ways.is_empty() {
            ways.push(format!(
                "do without one of both, and declare it anew after the other: `rm {}`",
                sides.file(0, ours)
            ));
        }
    }
    ways
}
