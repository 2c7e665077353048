//! One run at a time per database: an advisory lock, and who holds it.

use postgres::{Client, Error};

/// The key of the advisory lock: "refactor" in ASCII.
const KEY: i64 = 0x7265_6661_6374_6f72;

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
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    let holder = client.query_opt(
        "SELECT pg_catalog.format('process %s of %s%s, since %s', a.pid, coalesce(a.usename::text, 'an unknown user'),
           coalesce(' at ' || pg_catalog.host(a.client_addr), ''), pg_catalog.to_char(a.backend_start, 'HH24:MI:SS'))
         FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
         WHERE l.locktype = 'advisory' AND l.granted
           AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
           AND (l.classid::bigint << 32 | l.objid::bigint) = $1 AND l.objsubid = 1",
        &[&KEY],
    )?;
    Ok(Err(holder.map_or_else(|| "another session".to_owned(), |row| row.get(0))))
}
