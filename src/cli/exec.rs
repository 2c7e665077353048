//! `exec` and `url`: seeing the new shape.

use std::process::{Command as Process, ExitCode};

use clap::Args;
use postgres::SimpleQueryMessage;

use crate::cli::{Context, exit_code};
use crate::db::connect::Target;
use crate::db::session::Session;
use crate::generate::shown_in;
use crate::problem::{Kind, Problem};
use crate::version::Version;

/// A command to run.
#[derive(Debug, Args)]
pub struct Exec {
    /// Command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// `next` and its siblings before the schemas that the user sees now; and `next` and its siblings.
pub fn paths(session: &Session, version: &Version) -> (String, Vec<String>) {
    let path = session.path();
    let mut next: Vec<String> = shown_in(version).values().map(ToString::to_string).collect();
    if next.is_empty() {
        next.push("next".into());
    }
    let own = next.clone();
    next.retain(|n| !path.split(',').any(|p| p.trim() == n));
    next.sort();
    (next.into_iter().chain([path.to_owned()]).collect::<Vec<_>>().join(", "), own)
}

/// The same where it arrives.
fn search_path(context: &Context) -> Result<String, Problem> {
    let mut session = context.session()?;
    let place = session.place()?;
    let version = place.version()?;
    let (path, _) = paths(&session, &version);
    must_arrive(&context.target()?, &path)?;
    Ok(path)
}

/// A pool between us and the server may drop what a connection asks for, or refuse it; whoever comes through it would
/// see the old shape.
fn must_arrive(target: &Target, path: &str) -> Result<(), Problem> {
    let seen = match target.with_search_path(path).connect() {
        Ok(mut client) => match client.simple_query("SHOW search_path")?.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }) {
            Some(seen) if seen == path => return Ok(()),
            seen => format!(
                "the `search_path` that it asks for does not arrive; there it is `{}`",
                seen.unwrap_or_default()
            ),
        },
        Err(error) if error.why().contains("options") => {
            format!("the `search_path` that it asks for is refused: {}", error.why())
        }
        Err(error) => return Err(error.into()),
    };
    Err(Problem::new(
        Kind::Connection,
        "cannot give you a connection that sees the new shape",
        format!("{seen}: a pool such as PgBouncer stands before the server and drops startup options"),
    )
    .hint(format!("name the server itself by `--database-url`, or say in your session: `SET search_path = {path}`")))
}

/// Runs a command that finds a database in these variables, and gives its exit code. `like`: a command line that works.
pub fn code_of(command: &[String], variables: Vec<(String, String)>, like: &str) -> Result<i32, Problem> {
    let mut process = Process::new(&command[0]);
    // libpq would let a service file override the variables.
    process.args(&command[1..]).env_remove("PGSERVICE").envs(variables);
    let status = process.status().map_err(|e| {
        Problem::new(Kind::Usage, format!("cannot run `{}`", command[0]), e.to_string())
            .hint(format!("give a program on the PATH, as in `{like}`"))
    })?;
    Ok(status.code().unwrap_or(1))
}

/// Runs the command and passes its exit code on.
pub fn run(context: &Context, args: &Exec) -> ExitCode {
    let run = || -> Result<ExitCode, Problem> {
        let path = search_path(context)?;
        let target = context.target()?;
        let code = code_of(&args.command, target.environment(&path), "refactor exec -- psql")?;
        Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
    };
    run().unwrap_or_else(|problem| {
        context.ui.problem(&problem);
        exit_code(&problem)
    })
}

/// Prints a URL.
pub fn url(context: &Context) -> Result<(), Problem> {
    let path = search_path(context)?;
    let url = context.target()?.url_with_options(&path);
    context.ui.out(&url);
    context.ui.json(&serde_json::json!({ "url": url, "search_path": path }));
    Ok(())
}
