//! What lies where in a cluster's folder, and what its locks mean.
//!
//! `owner.lock` is held by the keeper; its text says how far it is. `users.lock` is held, shared, by
//! everybody who uses the server. The keeper stops the server while it holds `users.lock` alone, so nobody
//! joins a server that is about to stop.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rustix::process::Pid;

use super::find::Server;
use crate::files;

/// The log is started anew when it is larger than this.
const LOG_BYTES: u64 = 10 * 1024 * 1024;

/// A cluster's folder.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// How far a keeper is. Worth reading only while `owner.lock` is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Ready,
    Stopping,
}

impl Folder {
    /// The folder at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Folder { path: path.into() }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// PostgreSQL's data, and its socket.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The major version whose data are here, if there are any.
    pub fn data_major(&self) -> Option<String> {
        let text = fs::read_to_string(self.data().join("PG_VERSION")).ok()?;
        Some(text.trim().to_owned())
    }

    /// Whether the server stopped cleanly, as it says itself: only then can the data be copied.
    pub(super) fn is_shut_down(&self) -> bool {
        // The state follows the identifier of 8 bytes and two versions of 4; 1 is DB_SHUTDOWNED.
        let control = fs::read(self.data().join("global/pg_control")).unwrap_or_default();
        let state = control.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
        state == Some(1) && !self.data().join("postmaster.pid").exists()
    }

    /// What the server logs.
    pub fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    pub(super) fn keeper_log(&self) -> PathBuf {
        self.path.join("keeper.log")
    }

    /// The keeper's log, started anew.
    pub(super) fn open_keeper_log(&self) -> Result<File> {
        let mut options = File::options();
        options.create(true).write(true).truncate(true).mode(files::PRIVATE);
        options.open(self.keeper_log()).context("cannot write the keeper's log")
    }

    pub(super) fn owner_lock(&self) -> PathBuf {
        self.path.join("owner.lock")
    }

    pub(super) fn users_lock(&self) -> PathBuf {
        self.path.join("users.lock")
    }

    /// The keeper's phase and process id, as it wrote them.
    pub(super) fn phase(&self) -> Option<(Phase, i32)> {
        let text = fs::read_to_string(self.owner_lock()).ok()?;
        let mut words = text.split_whitespace();
        let phase = match words.next()? {
            "starting" => Phase::Starting,
            "ready" => Phase::Ready,
            "stopping" => Phase::Stopping,
            _ => return None,
        };
        Some((phase, words.next()?.parse().ok()?))
    }

    /// The TCP port of the server that is ready, if it has one.
    pub fn tcp(&self) -> Option<u16> {
        let text = fs::read_to_string(self.owner_lock()).ok()?;
        text.strip_prefix("ready ")?.split_whitespace().nth(1)?.parse().ok()
    }

    /// Whether the keeper that holds the lock says that the server is ready. That its process lives is
    /// looked at too: somebody may hold a dead keeper's lock for a moment, to see whether it is free.
    pub(super) fn is_ready(&self) -> bool {
        let Some((Phase::Ready, pid)) = self.phase() else { return false };
        Pid::from_raw(pid).is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
    }

    /// The log, opened to append.
    pub(super) fn open_log(&self) -> Result<File> {
        let path = self.log();
        let long = fs::metadata(&path).is_ok_and(|found| found.len() > LOG_BYTES);
        File::options()
            .create(true)
            .append(!long)
            .write(true)
            .truncate(long)
            .mode(files::PRIVATE)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes what copies and removals that were cut off have left; under the owner's lock.
    pub(super) fn sweep(&self) {
        for path in fs::read_dir(&self.path).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "gone" || extension == "new") {
                // What cannot be removed is the next keeper's to remove.
                let _ = fs::remove_dir_all(path);
            }
        }
    }

    fn new_mark(&self) -> PathBuf {
        self.path.join("new")
    }

    /// Marks the data as not on the disk yet.
    pub(super) fn mark_new(&self) -> Result<()> {
        files::write_plain(&self.new_mark(), "")
    }

    /// Whether the data were made and never used.
    pub(super) fn is_marked_new(&self) -> bool {
        self.new_mark().exists()
    }

    /// Removes the mark for good: one that came back after a power cut would cost data.
    pub(super) fn unmark_new(&self) -> Result<()> {
        fs::remove_file(self.new_mark())
            .and_then(|()| File::open(&self.path)?.sync_all())
            .context("cannot remove the mark of new data")
    }

    /// Who may connect, and how: over the socket everybody, since its folder is closed to others; over TCP, which
    /// any user of this machine can reach, with a password. Not left to what initdb once wrote.
    pub(super) fn write_hba(&self) -> Result<PathBuf> {
        let path = self.path.join("pg_hba.conf");
        files::write_plain(&path, "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")?;
        Ok(path)
    }

    /// The server that runs here, or ran last.
    pub fn server(&self) -> Option<Server> {
        let text = fs::read_to_string(self.path.join("server")).ok()?;
        let (version, bin) = text.trim_end().split_once('\n')?;
        Some(Server { bin: bin.into(), version: version.to_owned() })
    }

    pub(super) fn set_server(&self, server: &Server) -> Result<()> {
        let text = format!("{}\n{}\n", server.version, server.bin.display());
        files::write_plain(&self.path.join("server"), &text)
    }

    /// Keeps the server up for so long after its last user has gone; without a limit until it is stopped.
    pub fn extend_grace(&self, grace: Option<Duration>) -> Result<()> {
        let until = grace.map_or(u64::MAX, |grace| now().saturating_add(grace).as_secs());
        let longer = self.grace_until().map_or(until, |old| until.max(old.as_secs()));
        files::write_plain(&self.path.join("grace"), &format!("{longer}\n"))
    }

    /// Ends the grace.
    pub fn end_grace(&self) -> Result<()> {
        match fs::remove_file(self.path.join("grace")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("cannot end the grace")
            }
            _ => Ok(()),
        }
    }

    fn grace_until(&self) -> Option<Duration> {
        let text = fs::read_to_string(self.path.join("grace")).ok()?;
        text.trim().parse().ok().map(Duration::from_secs)
    }

    /// How long the server is to stay up without users from now on.
    pub(super) fn grace(&self) -> Option<Duration> {
        self.grace_until()?.checked_sub(now()).filter(|left| !left.is_zero())
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
