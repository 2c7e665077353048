//! Which of what is installed stays as it is: pieces whose text is the same, unless they build on something that goes.
//!
//! A piece's hash stands in the comment of the first thing that it creates ([`Piece::sealed`]), so that a change of the
//! tables, of the tool or of the path makes it another. Knows nothing of what the pieces mean.

use std::collections::BTreeSet;

use crate::generate::Piece;
use crate::generate::piece::Object;
use crate::plan::Installed;

/// What of the installed must go, and which pieces must be made.
#[must_use]
pub fn apart(installed: &Installed, pieces: Vec<Piece>) -> (Installed, Vec<Piece>) {
    let there = objects(installed);
    let created: Vec<Vec<Object>> = pieces.iter().map(Piece::creates).collect();
    let mut stays: Vec<bool> = pieces
        .iter()
        .zip(&created)
        .map(|(piece, objects)| installed.pieces.contains(&piece.hash) && objects.iter().all(|o| there.contains(o)))
        .collect();
    let kept = loop {
        let kept: BTreeSet<&Object> =
            created.iter().zip(&stays).filter(|(_, stays)| **stays).flat_map(|(o, _)| o).collect();
        let gone: Vec<&str> = there.iter().filter(|o| !kept.contains(o)).filter_map(Object::used_as).collect();
        let mut settled = true;
        for (piece, stays) in pieces.iter().zip(&mut stays).filter(|(_, stays)| **stays) {
            // Names are contained in longer ones; then something is made anew that need not be.
            if gone.iter().any(|name| piece.sql.contains(name)) {
                (*stays, settled) = (false, false);
            }
        }
        if settled {
            break kept;
        }
    };
    let goes = |object: Object| !kept.contains(&object);
    let stale = Installed {
        views: installed.views.iter().filter(|v| goes(Object::view(v))).cloned().collect(),
        functions: installed.functions.iter().filter(|f| goes(Object::function(&f.to_string()))).cloned().collect(),
        triggers: installed.triggers.iter().filter(|(name, on)| goes(Object::trigger(name, on))).cloned().collect(),
        secured: installed.secured.iter().filter(|t| goes(Object::policy(t))).cloned().collect(),
        ..installed.clone()
    };
    (stale, pieces.into_iter().zip(stays).filter(|(_, stays)| !stays).map(|(piece, _)| piece).collect())
}

/// What is there and works: a trigger that somebody has disabled is to be made anew.
#[must_use]
pub fn objects(installed: &Installed) -> BTreeSet<Object> {
    let views = installed.views.iter().map(Object::view);
    let functions = installed.functions.iter().map(|f| Object::function(&f.to_string()));
    let works = installed.triggers.iter().filter(|t| !installed.disabled.contains(t));
    let triggers = works.map(|(name, on)| Object::trigger(name, on));
    views.chain(functions).chain(triggers).chain(installed.secured.iter().map(Object::policy)).collect()
}
