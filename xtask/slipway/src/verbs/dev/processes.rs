//! `[dev.processes]`: what runs beside the service.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use xshell::cmd;

use super::events::Events;
use crate::context::Repository;
use crate::output::Screen;
use crate::process::{Child, Kind, Launcher, Leash, Start};

/// How long they may take to end; the leash kills what takes longer than five seconds.
const GRACE: Duration = Duration::from_secs(8);

/// Those that run, by name.
pub struct Processes(Vec<(String, Child)>);

impl Processes {
    pub fn start(repository: &Repository, launcher: &Launcher<'_>, events: &Events) -> Result<Self> {
        let mut processes = Vec::new();
        for (name, command) in &repository.config.dev.processes {
            let command = command.get_ref();
            let start = Start::new(cmd!(launcher.shell, "sh -c {command}"), Kind::Tool, Leash::Group);
            let mut child = launcher.start(start.outputs(Stdio::piped(), Stdio::piped()))?;
            events.lines.read(name, &mut child)?;
            processes.push((name.clone(), child));
        }
        Ok(Processes(processes))
    }

    /// Says which have ended.
    pub fn look(&mut self, screen: &Screen) -> Result<()> {
        let mut running = Vec::new();
        for (name, mut child) in std::mem::take(&mut self.0) {
            match child.ended()? {
                Some(code) => screen.failed(&name, &format!("ended with code {code}"), None),
                None => running.push((name, child)),
            }
        }
        self.0 = running;
        Ok(())
    }

    pub fn stop(self) -> Result<()> {
        for (_, mut child) in self.0 {
            child.stop(&[(Signal::TERM, GRACE)])?;
        }
        Ok(())
    }
}
