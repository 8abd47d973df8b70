//! The keeper: the only parent of a postmaster. It starts the server, and stops it when nobody uses it or
//! when it is told to. Its own death, by whatever signal, stops the server too.
//!
//! Why a process of its own: whoever starts the server may be killed at any moment, while others use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};
use xshell::cmd;

use super::find::Server;
use super::folder::Folder;
use super::waiting::{Event, Waiting};
use super::{ephemeral, template};
use crate::failure::{Code, Failure};
use crate::files::{self, Lock};
use crate::process::{Account, Child, Kind, Launcher, Leash, Start, tail};

/// The hidden verb that runs a keeper.
pub const VERB: &str = "__cluster";

/// How often a starting server is looked at.
const POLL: Duration = Duration::from_micros(500);
/// How long a start is tried again while the last server's remains are still going away.
const REMAINS: Duration = Duration::from_secs(10);
/// A keeper without anything to wait for looks up this often: no clock is so far off.
const LONG: Duration = Duration::from_secs(3600);

/// Everything survives a power cut; the rest is PostgreSQL's default.
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
/// The port in every URL; without TCP it only names the socket.
const PORT: u16 = 5432;

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
    /// What becomes of the data.
    pub life: Life,
    /// A port of 127.0.0.1 to listen on as well.
    pub tcp: Option<u16>,
}

/// What becomes of a cluster's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// They survive everything, also a power cut.
    Durable,
    /// They end with the keeper.
    Ephemeral,
    /// Made without waiting for the disk, stopped cleanly, to be copied elsewhere.
    Draft,
}

impl Life {
    /// All, by the names that the hidden verb knows them by.
    pub const NAMES: [(&'static str, Life); 3] =
        [("durable", Life::Durable), ("ephemeral", Life::Ephemeral), ("draft", Life::Draft)];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, life)| *life == self).map_or("durable", |(name, _)| name)
    }
}

impl Keeper {
    /// Runs until the server has stopped. Returns at once when another keeper is ready.
    pub fn run(&self, launcher: &Launcher<'_>) -> Result<()> {
        // A session of its own: no terminal's ctrl-c or hang-up reaches the keeper or its server.
        let _ = rustix::process::setsid();
        let waiting = Waiting::new(self.folder.users_lock())?;
        let Some(owner) = self.own()? else { return Ok(()) };
        let pid = std::process::id();
        owner.write(&format!("starting {pid}\n"))?;
        self.folder.end_grace()?;
        self.folder.set_server(&self.server)?;
        let syncing = self.make_data()?;
        let mut server = self.start(launcher, &waiting)?;
        if let Some(syncing) = syncing {
            syncing.join().unwrap_or_else(|_| anyhow::bail!("the sync was cut off"))?;
            self.folder.unmark_new()?;
        }
        let port = self.tcp.map(|port| format!(" {port}")).unwrap_or_default();
        owner.write(&format!("ready {pid}{port}\n"))?;
        // Here, where nobody waits for it.
        self.folder.sweep();
        if self.life == Life::Ephemeral {
            let parent = self.folder.path().parent().unwrap_or(Path::new("/"));
            let _ = ephemeral::reap(parent, rustix::process::geteuid().as_raw());
        }
        let alone = self.serve(&mut server, &waiting)?;
        owner.write(&format!("stopping {pid}\n"))?;
        match self.life {
            Life::Ephemeral => {
                end(&mut server, &waiting, &[(Signal::QUIT, Duration::from_secs(5))])?;
                let aside = files::set_aside(self.folder.path()).context("cannot remove the cluster")?;
                // Whoever waits for the end need not wait for the removal.
                drop((alone, owner));
                aside.map_or(Ok(()), fs::remove_dir_all).context("cannot remove the cluster")
            }
            // Fast, then immediate; a smart stop (SIGTERM) would wait for clients.
            Life::Durable | Life::Draft => end(
                &mut server,
                &waiting,
                &[(Signal::INT, Duration::from_secs(10)), (Signal::QUIT, Duration::from_secs(5))],
            ),
        }
    }

    /// Makes the data where there are none. Durable ones reach the disk while the server starts; until then the
    /// folder is marked, and nobody is let in: after a power cut, what is marked holds nothing and is made again.
    fn make_data(&self) -> Result<Option<JoinHandle<Result<()>>>> {
        let data = self.folder.data();
        if self.folder.is_marked_new() {
            end_orphan(&data)?;
            files::remove_folder(&data).context("cannot remove a cluster that never ran")?;
        }
        if data.is_dir() {
            return Ok(None);
        }
        if self.life != Life::Durable {
            template::copy(&self.template, &data, self.account)?;
            return Ok(None);
        }
        self.folder.mark_new()?;
        template::copy(&self.template, &data, self.account)?;
        let sync = move || files::sync_tree(&data).context("cannot sync the new cluster");
        Ok(Some(std::thread::spawn(sync)))
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
            std::thread::sleep(POLL);
        }
    }

    /// Waits for the last user's end, which gives the users' lock, or for somebody who tells us to end.
    fn serve(&self, server: &mut Child, waiting: &Waiting) -> Result<Option<Lock>> {
        waiting.for_users();
        let mut limit = LONG;
        let mut in_grace = false;
        loop {
            match waiting.within(limit)? {
                Some(Event::Told) => return Ok(None),
                Some(Event::Alone(lock)) => match self.folder.grace() {
                    None => return Ok(Some(lock)),
                    Some(left) => (in_grace, limit) = (true, left.min(LONG)),
                },
                None if in_grace => {
                    (in_grace, limit) = (false, LONG);
                    waiting.for_users();
                }
                None | Some(Event::ChildEnded) => {}
            }
            if let Some(code) = server.ended()? {
                let log = fs::read_to_string(self.folder.log()).unwrap_or_default();
                return Err(Failure::new(Code::Failed, format!("the server ended with code {code}"))
                    .why(tail(&log, 8))
                    .into());
            }
        }
    }

    /// Starts the server and waits until it takes connections.
    fn start(&self, launcher: &Launcher<'_>, waiting: &Waiting) -> Result<Child> {
        let deadline = Instant::now() + REMAINS;
        loop {
            end_orphan(&self.folder.data())?;
            let before = fs::metadata(self.folder.log()).map_or(0, |found| found.len());
            let mut server = self.launch(launcher)?;
            let code = loop {
                if is_ready(&self.folder.data(), server.id()) {
                    self.link_socket()?;
                    return Ok(server);
                }
                if let Some(code) = server.ended()? {
                    break code;
                }
                if matches!(waiting.within(POLL)?, Some(Event::Told)) {
                    end(&mut server, waiting, &[(Signal::INT, Duration::from_secs(10))])?;
                    return Err(Failure::new(Code::Terminated, "stopped while the server started").into());
                }
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
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn launch(&self, launcher: &Launcher<'_>) -> Result<Child> {
        let program = self.server.bin.join("postgres");
        let data = self.folder.data();
        let hba = format!("hba_file={}", self.folder.write_hba()?.display());
        let listen = format!("listen_addresses={}", self.tcp.map_or("", |_| "127.0.0.1"));
        let port = format!("port={}", self.tcp.unwrap_or(PORT));
        // The socket lies in the data folder, by a relative path: its length never matters to the server.
        let mut settings =
            vec![&*hba, &listen, &port, "unix_socket_directories=.", "unix_socket_permissions=0700"];
        settings.extend(if self.life == Life::Durable { DURABLE } else { EPHEMERAL });
        if rustix::fs::access("/dev/shm", rustix::fs::Access::WRITE_OK).is_err() {
            // What initdb found when the template was made need not be here.
            settings.push("dynamic_shared_memory_type=mmap");
        }
        let settings = settings.into_iter().flat_map(|setting| ["-c", setting]);
        let _at_root = launcher.shell.push_dir("/");
        let command = cmd!(launcher.shell, "{program} -D {data} {settings...}");
        let log = self.folder.open_log()?;
        // The fast stop, should this process die.
        let start = Start::new(command, Kind::Tool, Leash::Signal(Signal::INT));
        launcher.start(start.account(self.account).outputs(log.try_clone()?, log))
    }

    /// The socket is named by the port: where that is another one, every URL still leads to it.
    fn link_socket(&self) -> Result<()> {
        let Some(port) = self.tcp.filter(|port| *port != PORT) else { return Ok(()) };
        let name = |port: u16| format!(".s.PGSQL.{port}");
        files::link(&self.folder.data().join(name(PORT)), Path::new(&name(port)))
    }
}

/// Asks the server to end with each signal in turn, gives it that long, and kills it at last.
fn end(server: &mut Child, waiting: &Waiting, asks: &[(Signal, Duration)]) -> Result<()> {
    for (signal, grace) in asks {
        server.signal(*signal);
        let deadline = Instant::now() + *grace;
        while server.ended()?.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting.within(left)?;
        }
    }
    server.stop(&[]).map(drop)
}

/// The server says in the eighth line of its pid file when it takes connections; the file is its own only
/// if the process id is.
pub(super) fn is_ready(data: &Path, pid: u32) -> bool {
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
