//! Runs the server process and sees to it that it does not outlive this one.
//!
//! The only module with unsafe code: what runs between fork and exec.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::account::Account;
use super::find::Installation;
use super::{Durability, EmbeddedError};

/// The number in the socket's name; no port is opened.
pub(super) const PORT: u16 = 5432;

/// How long a server may take to get ready, recovery after a crash included.
const PATIENCE: Duration = Duration::from_mins(1);

/// Settings of every server.
const SETTINGS: [&str; 3] = ["listen_addresses=", "max_connections=200", "logging_collector=off"];

/// Settings that trade safety for speed and leave no trace.
const THROWAWAY_SETTINGS: [&str; 5] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    // Shared memory lies in the data directory, so it goes when that goes.
    "dynamic_shared_memory_type=mmap",
];

/// A server process, and the thread that started it and waits for its end.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    stop: Signal,
    log: PathBuf,
    keeper: Option<JoinHandle<()>>,
    /// Hears when the process has ended.
    ended: Mutex<Receiver<()>>,
}

impl Process {
    /// Starts the server; it is not ready yet.
    pub(super) fn start(
        installation: &Installation,
        data: &Path,
        socket: &Path,
        durability: Durability,
        account: Option<&Account>,
    ) -> Result<Self, EmbeddedError> {
        let program = installation.bin.join("postgres");
        let log = socket.join("log");
        let file = File::create(&log).map_err(EmbeddedError::io("create", &log))?;
        let mut command = installation.command("postgres", account);
        command
            .arg("-D")
            .arg(data)
            .arg("-k")
            .arg(socket)
            .args(["-p", &PORT.to_string()])
            .args(SETTINGS.iter().flat_map(|setting| ["-c", setting]))
            .stdout(Stdio::null())
            .stderr(file)
            // Ctrl-C is for us; we decide what becomes of the server.
            .process_group(0);
        let stop = match durability {
            Durability::Throwaway => {
                command.args(THROWAWAY_SETTINGS.iter().flat_map(|setting| ["-c", setting]));
                Signal::SIGQUIT
            }
            Durability::Persistent => Signal::SIGINT,
        };
        die_with_parent(&mut command, stop);
        let (tell_start, started) = mpsc::channel();
        let (tell_end, ended) = mpsc::channel();
        // Linux signals the child when the *thread* that started it ends, so it must stay.
        let keeper = thread::Builder::new()
            .name("server keeper".to_owned())
            .spawn(move || {
                let child = command.spawn();
                let (told, child) = match child {
                    Ok(child) => (Ok(child.id()), Some(child)),
                    Err(error) => (Err(error), None),
                };
                // Nobody listens any more only when the caller is gone already.
                let _ = tell_start.send(told);
                if let Some(mut child) = child {
                    let _ = child.wait();
                }
                let _ = tell_end.send(());
            })
            .map_err(EmbeddedError::io("run", &program))?;
        let pid = started
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has ended")))
            .map_err(EmbeddedError::io("run", &program))?;
        Ok(Self { pid, stop, log, keeper: Some(keeper), ended: Mutex::new(ended) })
    }

    /// Gives the process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the server takes connections.
    pub(super) fn wait_until_ready(&self, data: &Path) -> Result<(), EmbeddedError> {
        let status = data.join("postmaster.pid");
        let pid = self.pid.to_string();
        let deadline = Instant::now() + PATIENCE;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let mut lines = text.lines().map(str::trim);
            // An older file may be left by a server that was killed.
            if lines.next() == Some(&pid) && lines.nth(6) == Some("ready") {
                return Ok(());
            }
            let timed_out = Instant::now() > deadline;
            if timed_out || ended.recv_timeout(Duration::from_millis(5)) != Err(RecvTimeoutError::Timeout) {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(8)..].join("\n    ");
                let how = if timed_out { "is not ready yet" } else { "has ended" };
                return Err(EmbeddedError::Failed {
                    what: "wait for the server".to_owned(),
                    why: format!("it {how}; its log ends in:\n    {last}"),
                });
            }
        }
    }

    /// Stops the server and waits for its end.
    pub(super) fn stop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            // The keeper reaps the process: while it runs, the id is not given to another.
            if let (false, Ok(pid)) = (keeper.is_finished(), i32::try_from(self.pid)) {
                let _ = kill(Pid::from_raw(pid), self.stop);
            }
            let _ = keeper.join();
        }
    }
}

/// Has the kernel stop the server when this process ends in whatever way.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command, signal: Signal) {
    let parent = Pid::this();
    let arrange = move || {
        nix::sys::prctl::set_pdeathsig(signal)?;
        // The parent may have died before the request was made.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) }
    };
    // SAFETY: the closure makes two system calls and neither allocates nor locks.
    unsafe {
        command.pre_exec(arrange);
    }
}

/// Elsewhere the janitor alone stops the server.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command, _signal: Signal) {}

/// A small shell that waits for our end, then stops the server and clears its directory.
#[derive(Debug)]
pub(super) struct Janitor {
    shell: Child,
}

/// Reads one line: a dismissal, or the end of the input because the writer has died.
const JANITOR: &str = r#"
trap '' HUP INT TERM
read -r word && [ "$word" = done ] && exit
kill -s "$1" "$2" 2>/dev/null
tries=0
while kill -0 "$2" 2>/dev/null && [ "$tries" -lt 300 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
rm -rf "$3"
"#;

impl Janitor {
    /// Starts the shell.
    pub(super) fn hire(process: &Process, directory: &Path) -> Result<Self, EmbeddedError> {
        let shell = Path::new("/bin/sh");
        let signal = process.stop.as_str().trim_start_matches("SIG");
        Command::new(shell)
            .args(["-c", JANITOR, "refactor-janitor", signal])
            .arg(process.pid.to_string())
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(|shell| Self { shell })
            .map_err(EmbeddedError::io("run", shell))
    }

    /// Sends the shell home: everything is done.
    pub(super) fn dismiss(mut self) {
        if let Some(mut input) = self.shell.stdin.take() {
            let _ = input.write_all(b"done\n");
        }
        let _ = self.shell.wait();
    }
}
