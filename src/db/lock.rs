//! One run at a time per database: an advisory lock, and who holds it.

use std::time::{Duration, Instant};

use postgres::{Client, Error};

use crate::db::run::Tries;
use crate::plan::KEY;
use crate::problem::Problem;
use crate::sql::Literal;

/// Who holds the lock `$1`, as `l`.
macro_rules! holder {
    ($what:literal, $with:literal) => {
        concat!(
            $what,
            "
FROM pg_catalog.pg_locks AS l",
            $with,
            "
WHERE l.locktype = 'advisory' AND l.granted
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = $1 AND l.objsubid = 1"
        )
    };
}

/// Who that is, and what it does.
const HOLDER: &str = holder!(
    "
SELECT pg_catalog.format('process %s of %s%s, since %s', a.pid, coalesce(a.usename::text, 'an unknown user'),
         coalesce(' at ' || pg_catalog.host(a.client_addr), ''), pg_catalog.to_char(a.backend_start, 'HH24:MI:SS')),
       pg_catalog.substring(a.application_name, '^refactor [0-9].*'),
       pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - a.query_start)::text,
       ARRAY(SELECT pg_catalog.concat('process ', b.pid, ' (', pg_catalog.concat_ws(', ', 'application ' || nullif(b.application_name, ''), 'user ' || b.usename), ')')
             FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(a.pid)) AS p JOIN pg_catalog.pg_stat_activity AS b ON b.pid = p)",
    " JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid"
);

/// Ends what it does, so that it takes back what it has begun; and if it does not, its connection.
const END: [&str; 2] = [
    holder!("SELECT pg_catalog.pg_cancel_backend(l.pid)", ""),
    holder!("SELECT pg_catalog.pg_terminate_backend(l.pid)", ""),
];

/// How long it may take to take back what it has begun.
const TAKING_BACK: Duration = Duration::from_secs(10);

/// Ends the run that is at work, and waits until it has let go of the lock.
///
/// # Errors
/// When the server says so, as to somebody who may not.
pub fn end(client: &mut Client) -> Result<(), Error> {
    let begun = Instant::now();
    for sql in END {
        let until = begun.elapsed() + TAKING_BACK;
        let mut there = client.query_opt(sql, &[&KEY])?.is_some();
        while there && begun.elapsed() < until {
            std::thread::sleep(Duration::from_millis(25));
            there = at_work(client)?.is_some();
        }
        if !there {
            break;
        }
    }
    Ok(())
}

/// The run that is at work on the database, and what it does, if there is one.
///
/// # Errors
/// When the server says so.
pub fn at_work(client: &mut Client) -> Result<Option<String>, Error> {
    let Some(row) = client.query_opt(HOLDER, &[&KEY])? else { return Ok(None) };
    let (who, step, time, waits): (String, Option<String>, Option<String>, Vec<String>) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    let step = step.map(|step| format!("; {}, for {}", step.replacen("refactor", "step", 1), time.unwrap_or_default()));
    let waits = if waits.is_empty() { String::new() } else { format!("; it waits for {}", waits.join(", ")) };
    Ok(Some(format!("{who}{}{waits}", step.unwrap_or_default())))
}

/// Says to others what this session does: one of so many steps.
///
/// # Errors
/// When the server says so.
pub fn tell(client: &mut Client, at: usize, of: usize, sentence: &str) -> Result<(), Error> {
    client.batch_execute(&format!("SET application_name = {}", Literal(format!("refactor {at}/{of}: {sentence}"))))
}

/// Takes the lock for this session.
///
/// # Errors
/// When the server says so. `Ok(Err(who))` when another run holds it.
pub fn acquire(client: &mut Client) -> Result<Result<(), String>, Error> {
    // The server may notice a moment later that the run before has ended.
    for _ in 0..40 {
        if client.query_one("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&KEY])?.get(0) {
            return Ok(Ok(()));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    let holder = at_work(client)?;
    Ok(Err(holder.unwrap_or_else(|| "another session".to_owned())))
}

/// Who holds locks on the tables that a statement speaks of: those who made us wait. Each in words, the oldest first.
const HOLDERS: &str = "
SELECT a.pid,
       pg_catalog.concat('process ', a.pid,
         ' (', pg_catalog.concat_ws(', ', 'application ' || nullif(a.application_name, ''), 'user ' || a.usename), ')',
         ' holds ', pg_catalog.string_agg(DISTINCT l.mode || ' on ' || c.relname, ', '),
         '; it is ', coalesce(a.state, 'at work'),
         ', its transaction has been open for ', pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - a.xact_start),
         ', its last query began ', pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - a.query_start), ' ago')
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND c.relkind IN ('r', 'p') AND n.nspname <> 'pg_catalog' AND pg_catalog.strpos($1, c.relname::text) > 0
  AND (l.mode NOT IN ('AccessShareLock', 'RowShareLock') OR $1 ~ '(DROP|ALTER|LOCK|TRUNCATE)')
GROUP BY a.pid, a.application_name, a.usename, a.state, a.xact_start, a.query_start
ORDER BY a.xact_start
LIMIT 3";

/// The same problem with the names of those who hold the locks, and what to do about them.
pub fn named(client: &mut Client, mut problem: Problem, sql: &str, tries: &Tries) -> Problem {
    problem.why.push(tries.sentence());
    let holders = client.query(HOLDERS, &[&sql]).unwrap_or_default();
    problem.why.extend(holders.iter().map(|row| row.get::<_, String>(1)));
    problem.hint = Some(match holders.first().map(|row| row.get::<_, i32>(0)) {
        Some(pid) => format!(
            "wait until it has finished, or end it: `SELECT pg_terminate_backend({pid})`; `--lock-timeout 5min` is more patient"
        ),
        None => "try again; `--lock-timeout 5min` is more patient".into(),
    });
    problem
}
