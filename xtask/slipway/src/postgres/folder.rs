//! What lies where in a cluster's folder, and what its locks mean.
//!
//! `owner.lock` is held by the keeper; its text says how far it is. `users.lock` is held, shared, by
//! everybody who uses the server. The keeper stops the server while it holds `users.lock` alone, so nobody
//! joins a server that is about to stop.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rustix::process::Pid;

use super::find::Server;

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

    /// What the server logs.
    pub fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    pub(super) fn keeper_log(&self) -> PathBuf {
        self.path.join("keeper.log")
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
        let (phase, pid) = text.trim().split_once(' ')?;
        let phase = match phase {
            "starting" => Phase::Starting,
            "ready" => Phase::Ready,
            "stopping" => Phase::Stopping,
            _ => return None,
        };
        Some((phase, pid.parse().ok()?))
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
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The server that runs here, or ran last.
    pub fn server(&self) -> Option<Server> {
        let text = fs::read_to_string(self.path.join("server")).ok()?;
        let (version, bin) = text.trim_end().split_once('\n')?;
        Some(Server { bin: bin.into(), version: version.to_owned() })
    }

    pub(super) fn set_server(&self, server: &Server) -> Result<()> {
        let text = format!("{}\n{}\n", server.version, server.bin.display());
        fs::write(self.path.join("server"), text).context("cannot write which server runs here")
    }

    /// Keeps the server up for so long after its last user has gone.
    pub fn extend_grace(&self, grace: Duration) -> Result<()> {
        let until = SystemTime::now() + grace;
        let seconds = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        fs::write(self.path.join("grace"), format!("{seconds}\n")).context("cannot write the grace")
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

    pub(super) fn in_grace(&self) -> bool {
        let text = fs::read_to_string(self.path.join("grace")).unwrap_or_default();
        let until = text.trim().parse().map(Duration::from_secs).unwrap_or_default();
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() < until
    }
}
