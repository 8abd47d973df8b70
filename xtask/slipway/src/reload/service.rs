//! One running generation of the service.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use xshell::cmd;

use super::problem::PROBLEM;
use crate::net;
use crate::process::{Child, Kind, Launcher, Leash, Start};

/// How long the service may take to answer what it has begun, once it was asked to end. A service's own deadline
/// should come first.
const DRAIN: Duration = Duration::from_secs(20);

/// How the names of admin sockets begin.
const ADMIN: &str = "admin-";

/// How long a probe may take.
const PROBE: Duration = Duration::from_millis(500);

/// What a generation is started with.
pub struct Generation<'a> {
    /// The program.
    pub binary: PathBuf,
    /// The socket that it serves on: bound here once, so that no connection is refused between generations.
    pub listener: &'a TcpListener,
    /// The path of its admin socket: one a generation.
    pub admin: PathBuf,
    /// The file that says what is wrong with the code as it was saved, see [`super::Problem`].
    pub problem: PathBuf,
    /// Its database.
    pub database_url: String,
    /// What else it is given, by name.
    pub values: &'a BTreeMap<String, String>,
    /// Names whose values are never shown.
    pub masked: &'a [String],
}

/// A service that runs.
pub struct Service {
    /// The process, for its output.
    pub child: Child,
    admin: PathBuf,
}

impl Service {
    /// Starts a generation.
    pub fn start(launcher: &Launcher<'_>, generation: Generation<'_>) -> Result<Self> {
        let Generation { binary, listener, admin, problem, database_url, values, masked } = generation;
        let command = cmd!(launcher.shell, "{binary} serve --listen fd:0")
            .envs(values)
            .env("DATABASE_URL", database_url)
            .env("ADMIN_LISTEN", format!("unix:{}", admin.display()))
            .env("DEV_PROBLEM", problem);
        let socket = listener.try_clone().context("cannot duplicate the listening socket")?;
        let start = Start::new(command, Kind::Program, Leash::Signal(Signal::TERM))
            .masked(masked)
            .stdin(std::os::fd::OwnedFd::from(socket))
            .outputs(Stdio::piped(), Stdio::piped());
        Ok(Service { child: launcher.start(start)?, admin })
    }

    /// Asks its `/readyz`.
    ///
    /// # Errors
    /// What it answers instead of 200.
    pub fn is_ready(&self, launcher: &Launcher<'_>) -> Result<(), String> {
        let lack = match net::get(&self.admin, "/readyz", PROBE) {
            Ok((200, _)) => return Ok(()),
            Ok((status, body)) => {
                format!("/readyz answers {status} {}", body.lines().next().unwrap_or_default())
            }
            Err(_) => "its admin socket does not answer".to_owned(),
        };
        launcher.progress().working("ready", lack.trim_end());
        Err(lack)
    }

    /// Asks the service to finish what it has begun, and does not wait: see [`Retired::poll`]. `served` says whether it
    /// was ever ready.
    pub fn retire(mut self, served: bool) -> Retired {
        self.child.signal(Signal::TERM);
        Retired { service: self, asked: Instant::now(), served }
    }

    /// Its exit code, if it has ended by itself.
    pub fn ended(&mut self) -> Result<Option<u8>> {
        let ended = self.child.ended()?;
        if ended.is_some() {
            self.tidy();
        }
        Ok(ended)
    }

    /// Its own, which it removes itself unless it was killed.
    fn tidy(&self) {
        let _ = fs::remove_file(&self.admin);
    }
}

/// An old generation that finishes what it has begun.
pub struct Retired {
    service: Service,
    asked: Instant,
    /// Whether anybody may have been waiting for its answers.
    pub served: bool,
}

impl Retired {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.service.child.id()
    }

    /// Its exit code, once it has ended; it is killed when that takes too long.
    pub fn poll(&mut self) -> Result<Option<u8>> {
        match self.service.ended()? {
            None if self.asked.elapsed() > DRAIN => self.stop().map(Some),
            ended => Ok(ended),
        }
    }

    /// Waits for its end, until its time is up.
    pub fn stop(&mut self) -> Result<u8> {
        let left = DRAIN.saturating_sub(self.asked.elapsed());
        let code = match self.service.child.wait_for(left)? {
            Some(code) => code,
            None => self.service.child.stop(&[])?,
        };
        self.service.tidy();
        Ok(code)
    }
}

/// The path of the admin socket of a generation, in `folder`.
pub fn admin_socket(folder: &Path, generation: usize) -> PathBuf {
    folder.join(format!("{ADMIN}{}-{generation}.sock", std::process::id()))
}

/// Removes what killed runs left in `folder`: admin sockets that nobody answers, and the problems beside them.
pub fn clear_stale(folder: &Path) {
    let names = || {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    };
    let refused = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    for socket in names().iter().filter(|name| name.starts_with(ADMIN)) {
        let path = folder.join(socket);
        if UnixStream::connect(&path).is_err_and(refused) {
            let _ = fs::remove_file(path);
        }
    }
    let left = names();
    for problem in left.iter().filter(|name| name.starts_with(PROBLEM)) {
        // Another `dev` whose service has not started yet writes its own again.
        let of = problem.replace(PROBLEM, ADMIN) + "-";
        if !left.iter().any(|socket| socket.starts_with(&of)) {
            let _ = fs::remove_file(folder.join(problem));
        }
    }
}
