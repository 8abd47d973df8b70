//! One running generation of the service.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use xshell::cmd;

use crate::net;
use crate::process::{Child, Kind, Launcher, Leash, Start};

/// How long the service may take to answer what it has begun, once it was asked to end.
const DRAIN: Duration = Duration::from_secs(15);

/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(2);

/// What a generation is started with.
pub struct Generation<'a> {
    /// The program.
    pub binary: PathBuf,
    /// The socket that it serves on: bound here once, so that no connection is refused between generations.
    pub listener: &'a TcpListener,
    /// The path of its admin socket.
    pub admin: PathBuf,
    /// Its database.
    pub database_url: String,
    /// What else it is given, by name.
    pub values: &'a BTreeMap<String, String>,
    /// Names whose values are never shown.
    pub masked: &'a [String],
    /// All declared names: what the user's shell has under them does not reach the service.
    pub declared: Vec<String>,
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
        let Generation { binary, listener, admin, database_url, values, masked, declared } = generation;
        let mut command = cmd!(launcher.shell, "{binary} serve --listen fd:0");
        for name in &declared {
            command = command.env_remove(name);
        }
        let command = command
            .envs(values)
            .env("DATABASE_URL", database_url)
            .env("ADMIN_LISTEN", format!("unix:{}", admin.display()));
        let socket = listener.try_clone().context("cannot duplicate the listening socket")?;
        let start = Start::new(command, Kind::Tool, Leash::Signal(Signal::TERM))
            .masked(masked)
            .stdin(std::os::fd::OwnedFd::from(socket))
            .outputs(Stdio::piped(), Stdio::piped());
        Ok(Service { child: launcher.start(start)?, admin })
    }

    /// Whether `/readyz` answers 200; reports what it answers instead.
    pub fn is_ready(&self, launcher: &Launcher<'_>) -> bool {
        let detail = match net::get(&self.admin, "/readyz", PROBE) {
            Ok(200) => return true,
            Ok(status) => format!("/readyz answers {status}"),
            Err(_) => "waiting for its admin socket".to_owned(),
        };
        launcher.progress().working("ready", &detail);
        false
    }

    /// Lets the service finish what it has begun. Gives its exit code.
    pub fn stop(&mut self) -> Result<u8> {
        let code = self.child.stop(&[(Signal::TERM, DRAIN)])?;
        // Its own, which it removes itself unless it was killed.
        let _ = std::fs::remove_file(&self.admin);
        Ok(code)
    }
}
