//! A private server from start to end: what it offers, and that nothing of it is left.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use refactor::db::connect::{ConnectError, Target};
use refactor::db::embedded::Server;
use refactor::db::message;

/// One server for all tests of a process can stand in a `static`.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Server>();
};

type Outcome = Result<(), Box<dyn Error>>;

/// Set in a child process that is to be killed.
const VICTIM: &str = "REFACTOR_TEST_VICTIM";

fn runs(pid: u32) -> bool {
    // The shell's own `kill`: small systems have no program of that name.
    let shown = Command::new("sh").args(["-c", &format!("kill -0 {pid}")]).stderr(Stdio::null()).status();
    shown.is_ok_and(|status| status.success())
}

#[test]
fn a_server_works_and_leaves_nothing() -> Outcome {
    let server = Server::start()?;
    let (pid, directory) = (server.pid(), server.directory().to_owned());
    assert_eq!(fs::metadata(&directory)?.permissions().mode() & 0o777, 0o700);

    let target = Target::resolve(Some(&server.url("postgres")))?;
    let mut client = target.connect()?;
    client.batch_execute("CREATE DATABASE \"my shop\"")?;
    let mut client = target.with_database("my shop").connect()?;
    client.batch_execute("CREATE SCHEMA next; CREATE TABLE next.t (a int); INSERT INTO next.t VALUES (1)")?;
    let row = client.query_one(
        "SELECT current_setting('application_name'), current_setting('server_version'), current_setting('max_connections'), current_setting('fsync')",
        &[],
    )?;
    assert_eq!(row.get::<_, &str>(0), "refactor");
    assert!(row.get::<_, &str>(1).starts_with(server.version()));
    assert_eq!(row.get::<_, &str>(2), "200");
    assert_eq!(row.get::<_, &str>(3), "off");

    let url = target.with_database("my shop").url_with_options("\"next\", pg_temp");
    let mut client = Target::resolve(Some(&url))?.connect()?;
    assert_eq!(client.query_one("SELECT a FROM t", &[])?.get::<_, i32>(0), 1);

    let sql = "SELECT a\nFROM nowhere";
    let error = client.simple_query(sql).err().ok_or("no error")?;
    assert_eq!(
        message::render(&error, Some(sql)),
        "relation \"nowhere\" does not exist\n  line 2: FROM nowhere\n               ^\n  SQLSTATE: 42P01"
    );

    let sql = "CREATE TABLE next.u (a int CONSTRAINT one CHECK (a = 1)); INSERT INTO next.u VALUES (2)";
    let error = client.batch_execute(sql).err().ok_or("no error")?;
    assert_eq!(
        message::render(&error, Some(sql)),
        "new row for relation \"u\" violates check constraint \"one\"\n  detail: Failing row contains (2).\n  object: table next.u, constraint one\n  SQLSTATE: 23514"
    );
    let sql = "DO $$ BEGIN PERFORM nope; END $$";
    let error = client.batch_execute(sql).err().ok_or("no error")?;
    assert_eq!(
        message::render(&error, Some(sql)),
        "column \"nope\" does not exist\n  line 1: SELECT nope\n                 ^\n  where: PL/pgSQL function inline_code_block line 1 at PERFORM\n  SQLSTATE: 42703"
    );

    let missing = target.with_database("it's not there").connect().err();
    assert!(matches!(missing, Some(ConnectError::NoSuchDatabase { .. })));
    let stranger = format!("{}&user=eve", server.url("postgres"));
    let stranger = Target::resolve(Some(&stranger))?.connect().err();
    assert!(matches!(stranger, Some(ConnectError::Authentication { .. })));

    drop(server);
    assert!(!runs(pid));
    assert!(!directory.exists());
    let error = client.simple_query("SELECT 1").err().ok_or("no error")?;
    let said = message::render(&error, None);
    assert!(said.contains("terminating connection") || said.contains("connection"), "{said}");
    assert!(matches!(target.connect().err(), Some(ConnectError::Unreachable { .. })));
    Ok(())
}

#[test]
fn a_persistent_server_keeps_its_data() -> Outcome {
    let parent = Path::new("/var/tmp").join(format!("refactor-test-{}", std::process::id()));
    let data = parent.join("data");
    fs::create_dir_all(&parent)?;
    // As root the server is another user, who must be able to pass.
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o755))?;
    for round in 0..2 {
        let server = Server::start_in(&data)?;
        assert!(Server::start_in(&data).is_err(), "two servers on one directory");
        let mut client = Target::resolve(Some(&server.url("postgres")))?.connect()?;
        client.batch_execute("CREATE TABLE IF NOT EXISTS t (a int); INSERT INTO t VALUES (1)")?;
        let row = client.query_one("SELECT count(*), current_setting('fsync') FROM t", &[])?;
        assert_eq!(row.get::<_, i64>(0), round + 1);
        assert_eq!(row.get::<_, &str>(1), "on");
    }
    fs::remove_dir_all(&parent)?;
    Ok(())
}

/// Does nothing by itself: the next test runs it in a process of its own.
#[test]
fn a_victim_starts_a_server() -> Outcome {
    if std::env::var_os(VICTIM).is_none() {
        return Ok(());
    }
    let server = Server::start()?;
    eprintln!("{} {}", server.pid(), server.directory().display());
    std::io::stdin().read_line(&mut String::new())?;
    Err("the victim was not killed".into())
}

#[test]
fn a_killed_program_leaves_nothing() -> Outcome {
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "server::a_victim_starts_a_server", "--nocapture"])
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(victim.stderr.take().ok_or("no stderr")?).read_line(&mut line)?;
    let (pid, directory) = line.trim().split_once(' ').ok_or(line.clone())?;
    let pid: u32 = pid.parse()?;
    assert!(runs(pid));
    assert!(Path::new(directory).exists());
    victim.kill()?;
    victim.wait()?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while runs(pid) || Path::new(directory).exists() {
        assert!(Instant::now() < deadline, "{line} is still there");
        std::thread::yield_now();
    }
    Ok(())
}
