//! `check`: are the files in order, by themselves or against a database?

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::{Context, branches};
use crate::db::dump::Dumped;
use crate::journal::{Entry, compare};
use crate::problem::{Kind, Problem};

/// What to check against.
#[derive(Debug, Default, Args)]
pub struct Check {
    /// Directories with the files of two branches: do they commute? One is compared with that of the project
    #[arg(value_name = "DIR", num_args = 0..=2)]
    pub dirs: Vec<PathBuf>,
    /// Only the files; no database is needed
    #[arg(long, conflicts_with_all = ["dirs", "against", "schema"])]
    files: bool,
    /// Whether the files here commute with those that another branch has in git
    #[arg(long, value_name = "BRANCH", conflicts_with = "dirs")]
    pub against: Option<String>,
    /// Read the tables from a dump that `pg_dump` wrote, instead of from a database
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Follow names that one branch has changed into the files of the other
    #[arg(long)]
    pub fix: bool,
    /// Say of two branches that the second comes after the first: a refactoring of each
    #[arg(long, value_name = "FIRST,SECOND", value_delimiter = ',', conflicts_with_all = ["fix", "files"])]
    pub order: Vec<String>,
    /// Make both orders real on copies of the database, too, and compare the rows
    #[arg(long, conflicts_with = "files")]
    pub rehearse: bool,
}

impl Context {
    /// The same command again, with what was said besides.
    #[must_use]
    pub fn again(&self, command: &str, args: &Check) -> String {
        let shown = |path: &Path| crate::name::shell(&path.display().to_string());
        let dir = self.globals.dir.as_deref().map(|d| format!(" --dir {}", shown(d))).unwrap_or_default();
        let schema = args.schema.as_deref().map(|f| format!(" --schema {}", shown(f))).unwrap_or_default();
        format!("{command}{dir}{schema}")
    }
}

/// `1 refactoring`, `2 refactorings`
fn counted(count: usize) -> String {
    if count == 1 { "1 refactoring".into() } else { format!("{count} refactorings") }
}

/// Checks against the database, or against what a dump says of one.
pub fn run(context: &Context, args: &Check) -> Result<(), Problem> {
    if !args.order.is_empty() && args.order.len() != 2 {
        return Err(Problem::new(Kind::Usage, "cannot say the order of two refactorings", "two are wanted")
            .hint("name both, with a comma between: `refactor check --order 0002-a,0003-b`"));
    }
    let Some(file) = &args.schema else { return against(context, args) };
    let dumped = Dumped::read(file, args.rehearse)?;
    against(&context.at(dumped.target.clone()), args)
}

/// Reads all files, and folds them over the database's schema.
fn against(context: &Context, args: &Check) -> Result<(), Problem> {
    if branches::run(context, args)? {
        return Ok(());
    }
    let mut files = context.files()?;
    if args.files {
        context.ui.done(format!(
            "{} can be read and {} in order",
            counted(files.len()),
            if files.len() == 1 { "is" } else { "are" }
        ));
        for fork in crate::branches::order::forks(&files) {
            let last = |side: &[&Entry]| side.last().map(|e| e.step.name.clone()).unwrap_or_default();
            context.ui.note(format!(
                "two branches lie beside each other, up to {} and {}: whether they commute, `refactor check` says of a database, or of a dump with `--schema`",
                last(&fork.ours), last(&fork.theirs)
            ));
        }
        context.ui.json(&json!({ "files": files.iter().map(|f| &f.step.name).collect::<Vec<_>>() }));
        return Ok(());
    }
    if branches::say_order(context, args, &files)? {
        return Ok(());
    }
    let mut session = context.session()?;
    let place = session.place()?;
    while let Some(anew) = branches::beside(context, args, &files, &place)? {
        files = anew;
    }
    branches::in_order(context, &files, &place)?;
    let comparison = compare(&files, &place.recorded);
    let mut troubles = Vec::new();
    for (name, there, here) in &comparison.changed {
        troubles.push(format!("{name} was changed after it was applied\n{}", super::difference(there, here)));
    }
    for name in &comparison.missing {
        troubles.push(format!("the database has {name}, but there is no such file: it is ahead of this checkout"));
    }
    troubles.extend(session.changed_rights(&place)?);
    let drift = place.drift().unwrap_or_default(); // else the reason comes below
    let repair = !drift.is_empty() && troubles.is_empty();
    troubles.extend(drift);
    for stranger in &place.installed.strangers {
        context.ui.warn(stranger.sentence());
    }
    let prepared = session.prepare(&place, &comparison.to_apply);
    match prepared {
        Ok(deferred) => {
            for answer in &deferred.facts {
                context.ui.say(format!("  fact: {}", answer.sentence()));
            }
        }
        Err(problem) if troubles.is_empty() => return Err(problem),
        // As data it is one of the reasons below: there is one object only.
        Err(problem) if context.ui.json => {
            troubles.push(problem.what);
            troubles.extend(problem.why);
        }
        Err(problem) => {
            context.ui.problem(&problem);
            troubles.push(problem.what);
        }
    }
    if troubles.is_empty() {
        context.ui.json(&json!({ "troubles": troubles, "to_apply": comparison.to_apply.iter().map(|e| &e.step.name).collect::<Vec<_>>() }));
        let to_apply = comparison.to_apply.len();
        let agree = match files.len() - to_apply {
            1 => "1 file agrees".to_owned(),
            n => format!("{n} files agree"),
        };
        context.ui.done(format!("{agree} with the database; {to_apply} to apply"));
        Ok(())
    } else {
        Err(Problem {
            what: if repair { "what is shown is not what it should be" } else { "files and database do not agree" }
                .into(),
            why: troubles,
            hint: Some(
                if repair {
                    "`refactor apply` makes the views and triggers anew"
                } else {
                    "`refactor status` shows both sides"
                }
                .into(),
            ),
            kind: Kind::Files,
        })
    }
}
