//! What reads tables that change, taken down and made anew with all that hangs on it.

use askama::Template;

use crate::generate::list;
use crate::sql::Literal;

#[derive(Template)]
#[template(path = "dependents_lock.sql", escape = "none")]
struct Lock {
    views: String,
}

#[derive(Template)]
#[template(path = "dependents_down.sql", escape = "none")]
struct Down<'d> {
    dropped: String,
    anew: String,
    over: String,
    bodies: String,
    renames: &'d str,
}

#[derive(Template)]
#[template(path = "dependents_up.sql", escape = "none")]
struct Up;

/// Locks views, and those over them, before the tables that they read: so do those who read through them.
///
/// # Errors
/// Only if the template cannot be rendered.
pub fn lock(views: &[&str]) -> Result<String, askama::Error> {
    Lock { views: texts(views) }.render()
}

/// Takes objects down: some for good, the others until the tables have their new shape. Of these each comes with its body, or
/// keeps its own, with the names that `renames` gives to tables and fields.
///
/// # Errors
/// Only if the template cannot be rendered.
pub fn down(dropped: &[&str], anew: &[&str], over: &[(&str, &str)], renames: &str) -> Result<String, askama::Error> {
    let names: Vec<&str> = over.iter().map(|(name, _)| *name).collect();
    let bodies: Vec<&str> = over.iter().map(|(_, body)| *body).collect();
    Down { dropped: texts(dropped), anew: objects(anew), over: objects(&names), bodies: texts(&bodies), renames }
        .render()
}

/// Makes them anew.
///
/// # Errors
/// Only if the template cannot be rendered.
pub fn up() -> Result<String, askama::Error> {
    Up.render()
}

fn texts(texts: &[&str]) -> String {
    list(&texts.iter().map(|text| Literal((*text).to_owned())).collect::<Vec<_>>())
}

/// Views by their names, functions by theirs with the types of their arguments.
fn objects(names: &[&str]) -> String {
    let kind = |name: &str| if name.ends_with(')') { "regprocedure" } else { "regclass" };
    list(&names.iter().map(|name| format!("{}::{}::oid", Literal((*name).to_owned()), kind(name))).collect::<Vec<_>>())
}
