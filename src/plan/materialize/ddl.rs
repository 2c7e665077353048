//! DDL of the user, run on their path and not on ours, and with nothing left of it in the session.

use crate::name::{BODY, listed};
use crate::plan::{PlanStep, stop_if};
use crate::sql::Literal;
use crate::version::{Ddl, Version};

/// What a session is, but for its path: who it acts as, and what it has set.
const STATE: &str =
    "(SELECT pg_catalog.jsonb_object_agg(name, setting) FROM pg_catalog.pg_settings WHERE name <> 'search_path')
  || pg_catalog.jsonb_build_object('current_user', current_user::text, 'session_user', session_user::text)";

/// The statements that become real, each with its surroundings.
pub fn run(version: &Version) -> Vec<PlanStep> {
    let path = Some(listed(&version.schema.code_path())).filter(|path| !path.is_empty());
    let path = path.unwrap_or_else(|| "''".to_owned());
    let one = |ddl: &Ddl| {
        let text = ddl.up.to_string();
        // EXECUTE ends no transaction, whatever the text says.
        let sql = [
            "SELECT pg_catalog.set_config('refactor.path', pg_catalog.current_setting('search_path'), true);"
                .to_owned(),
            format!("SET LOCAL search_path = {path};\nSET LOCAL check_function_bodies = true;"),
            format!("SELECT pg_catalog.set_config('refactor.state', ({STATE})::text, true);"),
            format!("DO {BODY}\nBEGIN\n  EXECUTE {};\nEND\n{BODY};", Literal(text)),
            "SET CONSTRAINTS ALL IMMEDIATE;".to_owned(),
            stop_if(
                &format!(
                    "NOT ({STATE}) OPERATOR(pg_catalog.@>) pg_catalog.current_setting('refactor.state')::pg_catalog.jsonb"
                ),
                &format!("the DDL of {} sets something of the session, or acts as somebody else", ddl.step),
            ),
            "SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('refactor.path'), true);"
                .to_owned(),
            "SET LOCAL check_function_bodies = false;".to_owned(),
        ];
        let lock = "whatever its statements take, until the end";
        PlanStep::new(format!("run the DDL of {}", ddl.step), sql.join("\n")).locking(lock)
    };
    version.ddl.iter().map(one).collect()
}
