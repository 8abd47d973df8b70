//! The keeper: the only parent of a postmaster. It starts the server, and stops it when nobody uses it or
//! when it is told to. Its own death, by whatever signal, stops the server too.
//!
//! Why a process of its own: whoever starts the server may be killed at any moment, while others use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use xshell::cmd;

use super::find::Server;
use super::folder::Folder;
use super::template;
use crate::failure::{Code, Failure};
use crate::files::{self, Lock};
use crate::process::{Account, Child, Kind, Launcher, Leash, Start, tail};

/// The hidden verb that runs a keeper.
pub const VERB: &str = "__cluster";

/// How soon the last user's end is noticed.
const POLL: Duration = Duration::from_millis(20);
/// How long a start is tried again while the last server's remains are still going away.
const REMAINS: Duration = Duration::from_secs(10);

/// Everybody survives a power cut; the rest is PostgreSQL's default.
const DURABLE: &[&str] = &["fsync=on", "synchronous_commit=on", "full_page_writes=on"];
/// Nothing survives the process, so nothing waits for the disk.
const EPHEMERAL: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
    "jit=off",
    "max_connections=300",
];

/// What a keeper is started with.
pub struct Keeper {
    /// The cluster's folder.
    pub folder: Folder,
    /// The server to run.
    pub server: Server,
    /// What new data is copied from.
    pub template: PathBuf,
    /// The account that runs it, under root.
    pub account: Option<Account>,
    /// Whether the data ends with the keeper.
    pub ephemeral: bool,
}

impl Keeper {
    /// Runs until the server has stopped. Returns at once when another keeper is ready.
    pub fn run(&self, launcher: &Launcher<'_>) -> Result<()> {
        // A session of its own: no terminal's ctrl-c or hang-up reaches the keeper or its server.
        let _ = rustix::process::setsid();
        let told = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, told.clone()).context("cannot handle signals")?;
        }
        let Some(owner) = self.own()? else { return Ok(()) };
        let pid = std::process::id();
        owner.write(&format!("starting {pid}\n"))?;
        self.folder.set_server(&self.server)?;
        if !self.folder.data().is_dir() {
            template::copy(&self.template, &self.folder.data(), self.account, !self.ephemeral)?;
        }
        let mut server = self.start(launcher, &told)?;
        owner.write(&format!("ready {pid}\n"))?;
        let _alone = loop {
            if let Some(code) = server.ended()? {
                let log = fs::read_to_string(self.folder.log()).unwrap_or_default();
                return Err(Failure::new(Code::Failed, format!("the server ended with code {code}"))
                    .why(tail(&log, 8))
                    .into());
            }
            if told.load(Ordering::Relaxed) {
                break None;
            }
            if let Some(alone) = Lock::try_exclusive(&self.folder.users_lock())?
                && !self.folder.in_grace()
            {
                break Some(alone);
            }
            std::thread::sleep(POLL);
        };
        owner.write(&format!("stopping {pid}\n"))?;
        if self.ephemeral {
            server.stop(&[(Signal::QUIT, Duration::from_secs(5))])?;
            files::remove_folder(self.folder.path()).context("cannot remove the cluster")?;
        } else {
            // Fast, then immediate; a smart stop (SIGTERM) would wait for clients.
            server.stop(&[(Signal::INT, Duration::from_secs(10)), (Signal::QUIT, Duration::from_secs(5))])?;
        }
        Ok(())
    }

    /// The owner's lock, or nothing once another keeper is ready. Tries again in between: whoever looks
    /// whether the lock is free holds it for a moment.
    fn own(&self) -> Result<Option<Lock>> {
        loop {
            if let Some(lock) = Lock::try_exclusive(&self.folder.owner_lock())? {
                return Ok(Some(lock));
            }
            if self.folder.is_ready() {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Starts the server and waits until it takes connections.
    fn start(&self, launcher: &Launcher<'_>, told: &AtomicBool) -> Result<Child> {
        let deadline = Instant::now() + REMAINS;
        loop {
            end_orphan(&self.folder.data())?;
            let before = fs::metadata(self.folder.log()).map_or(0, |found| found.len());
            let mut server = self.launch(launcher)?;
            let code = loop {
                if is_ready(&self.folder.data(), server.id()) {
                    return Ok(server);
                }
                if let Some(code) = server.ended()? {
                    break code;
                }
                if told.load(Ordering::Relaxed) {
                    server.stop(&[(Signal::INT, Duration::from_secs(10))])?;
                    return Err(Failure::new(Code::Terminated, "stopped while the server started").into());
                }
                std::thread::sleep(Duration::from_millis(1));
            };
            let log = fs::read(self.folder.log()).unwrap_or_default();
            let said = String::from_utf8_lossy(log.get(before as usize..).unwrap_or(&log)).into_owned();
            // Right after a crash the last server's processes may still hold on to its memory.
            let remains = ["pre-existing shared memory block", "postmaster.pid\" already exists"];
            if Instant::now() > deadline || !remains.iter().any(|remains| said.contains(remains)) {
                return Err(Failure::new(
                    Code::Failed,
                    format!("the server ended with code {code} at its start"),
                )
                .why(tail(said.trim(), 8))
                .into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn launch(&self, launcher: &Launcher<'_>) -> Result<Child> {
        let program = self.server.bin.join("postgres");
        let data = self.folder.data();
        // The socket lies in the data folder, by a relative path: its length never matters to the server.
        let always = ["listen_addresses=", "unix_socket_directories=.", "unix_socket_permissions=0700"];
        let settings = if self.ephemeral { EPHEMERAL } else { DURABLE };
        let settings = always.iter().chain(settings).flat_map(|setting| ["-c", setting]);
        let _at_root = launcher.shell.push_dir("/");
        let command = cmd!(launcher.shell, "{program} -D {data} {settings...}");
        let log = self.folder.open_log()?;
        // The fast stop, should this process die.
        let start = Start::new(command, Kind::Tool, Leash::Signal(Signal::INT));
        launcher.start(start.account(self.account).outputs(log.try_clone()?, log))
    }
}

/// The server says in the eighth line of its pid file when it takes connections; the file is its own only
/// if the process id is.
fn is_ready(data: &Path, pid: u32) -> bool {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    lines.next().and_then(|line| line.trim().parse().ok()) == Some(pid)
        && lines.nth(6).is_some_and(|status| status.trim() == "ready")
}

/// Ends a server that outlived its keeper, and removes the pid file of one that is gone.
///
/// We hold the owner's lock, so a server on this data belongs to nobody; that a process is a server on this
/// data is told by its current folder, never by its number alone, which may be another program's by now.
fn end_orphan(data: &Path) -> Result<()> {
    let path = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let pid: Option<i32> = text.lines().next().and_then(|line| line.trim().parse().ok());
    let ours = |pid: i32| {
        let folder = fs::read_link(format!("/proc/{pid}/cwd")).ok();
        folder.is_some() && folder == data.canonicalize().ok()
    };
    let Some(pid) = pid.filter(|pid| ours(*pid)) else {
        if Path::new("/proc/self").exists() {
            // Without /proc the server decides for itself whether the file is stale.
            fs::remove_file(&path).or_else(gone).context("cannot remove a stale postmaster.pid")?;
        }
        return Ok(());
    };
    let Some(process) = Pid::from_raw(pid) else { return Ok(()) };
    let mut ask = Signal::INT;
    let mut deadline = Instant::now() + REMAINS;
    while ours(pid) {
        let _ = rustix::process::kill_process(process, ask);
        if Instant::now() > deadline {
            (ask, deadline) = (Signal::QUIT, Instant::now() + REMAINS);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    fs::remove_file(&path).or_else(gone).context("cannot remove the pid file of a server that ended")
}

fn gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
