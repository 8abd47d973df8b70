//! The port that `dev` listens on, and who has the one that it wanted.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use anyhow::Result;
use rustix::process::Signal;
use xshell::cmd;

use crate::context::Context;
use crate::files::{self, Lock};
use crate::net;
use crate::process::{Child, Kind, Launcher, Leash, Start};

/// A port that is ours.
pub struct Port {
    pub listener: TcpListener,
    number: u16,
    /// What to say when it is not the one that was wanted.
    pub note: Option<String>,
    /// Names us to other worktrees as long as it is held; a port is worth nothing without the listener, so
    /// it is only ever read to explain.
    _claim: Option<Lock>,
}

impl Port {
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.number)
    }

    /// Opens it in the user's browser; 127 is the code where there is none.
    pub fn open(&self, launcher: &Launcher<'_>) -> Result<Child> {
        let script = "for one in xdg-open open wslview; do command -v $one >/dev/null && exec $one \"$1\"; done; exit 127";
        let url = self.url();
        // A signal that ends nothing: the browser may be this very child, and outlives us.
        let leash = Leash::Signal(Signal::CONT);
        let start = Start::new(cmd!(launcher.shell, "sh -c {script} open {url}"), Kind::Tool, leash);
        launcher.start(start.outputs(Stdio::null(), Stdio::null()))
    }
}

/// Takes the wanted port, or the next free one, and leaves a line that tells other worktrees whose it is.
pub fn claim(context: &Context, wanted: u16, root: &Path) -> Result<Port> {
    let folder = context.env.cache().join("ports");
    files::own_folder(&context.env.cache(), context.env.uid)?;
    files::own_folder(&folder, context.env.uid)?;
    let (listener, number) = net::listen(wanted)?;
    let path = folder.join(number.to_string());
    let claim = Lock::try_exclusive(&path)?;
    if let Some(claim) = &claim {
        claim.write(&root.display().to_string())?;
    }
    let mut port = Port { listener, number, note: None, _claim: claim };
    if number != wanted {
        let holder = folder.join(wanted.to_string());
        let held = Lock::is_owned(&holder)?;
        let who = match std::fs::read_to_string(&holder) {
            Ok(holder) if held && Path::new(&holder) == root => "another `dev` of this folder".to_owned(),
            Ok(holder) if held => format!("`dev` in {}", context.env.tilde(Path::new(&holder))),
            _ => "another program".to_owned(),
        };
        port.note = Some(format!("{wanted} is held by {who}; this one: {}", port.url()));
    }
    Ok(port)
}
