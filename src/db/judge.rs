//! Lets PostgreSQL judge what a person wrote: whether a type exists, and whether an expression may stand in a view.

use postgres::Client;

use crate::catalogue::Refactor;
use crate::problem::{Kind, Problem};
use crate::refusal::Refusal;
use crate::version::{Step, Version};

/// Tries the seed of a field that `step` added, as a generated column of a temporary copy of the table: PostgreSQL takes
/// exactly the immutable expressions there.
///
/// # Errors
/// The server's judgement, with what to do.
pub fn seeds(client: &mut Client, version: &Version, step: &Step) -> Result<(), Problem> {
    for added in version.added.iter().filter(|a| a.step == step.name) {
        let wish = format!("cannot {}", step.refactoring.wish());
        let mut transaction = client.transaction()?;
        let table = format!("CREATE TEMPORARY TABLE refactor_try (LIKE {}) ON COMMIT DROP", added.table);
        transaction.batch_execute(&table).map_err(|e| Problem::server(wish.clone(), &e))?;
        let seed = added.seed.as_ref().map_or_else(|| "NULL".to_owned(), ToString::to_string);
        let kind = &added.type_name;
        let tried = transaction.batch_execute(&format!(
            "ALTER TABLE refactor_try ADD COLUMN refactor_try {kind} GENERATED ALWAYS AS (({seed})::{kind}) STORED"
        ));
        if let Err(error) = tried {
            let code = error.code().map(|c| c.code().to_owned());
            if code.as_deref() == Some("42P17") {
                let why =
                    format!("`{seed}` gives another value each time it is asked, so two reads of a row would differ");
                transaction.rollback()?;
                let now: Option<String> =
                    client.query_one(&format!("SELECT (({seed})::{kind})::text"), &[]).ok().and_then(|row| row.get(0));
                let value = now.map_or_else(|| "NULL".to_owned(), |v| crate::sql::Literal(v).to_string());
                return Err(Problem::new(Kind::Refused(Refusal::Expression(why.clone())), wish, why).hint(format!(
                    "say what the rows that exist get, as in `--existing \"{value}\"`; new rows get the default"
                )));
            }
            let mut problem = Problem::server(wish, &error);
            problem.kind = Kind::Refused(Refusal::Expression(seed));
            return Err(problem);
        }
        transaction.rollback()?;
    }
    Ok(())
}
