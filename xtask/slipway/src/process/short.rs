//! Commands that end soon: their answer is waited for.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;
use xshell::Cmd;

use super::{Account, Kind, Launcher, code, name, not_started, tail};
use crate::failure::{Code, Failure};

/// What a command answered.
pub struct Answer {
    /// Its exit code; 128+n after signal n.
    pub code: u8,
    /// All that it wrote on stdout.
    pub stdout: Vec<u8>,
    /// All that it wrote on stderr.
    pub stderr: String,
}

impl Launcher<'_> {
    /// Runs a short command to its end and gives its stdout, trimmed; what it said on stderr is the reason
    /// when it fails.
    pub fn read(&self, command: Cmd<'_>, kind: Kind) -> Result<String> {
        self.read_as(command, kind, None)
    }

    /// [`Launcher::read`] as another account.
    pub fn read_as(&self, command: Cmd<'_>, kind: Kind, account: Option<Account>) -> Result<String> {
        let mut command = Command::from(command);
        self.clean(&mut command, kind, &[]);
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(&command, &error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(Code::Failed, format!("{} failed ({})", name(&command), output.status))
            .why(tail(said.trim(), 12))
            .into())
    }

    /// Runs a command that talks to the terminal itself, such as psql, and gives its exit code. Ctrl-C is
    /// the child's to handle: this process waits for it.
    pub fn interact(&self, command: Cmd<'_>, kind: Kind) -> Result<u8> {
        let mut command = Command::from(command);
        self.clean(&mut command, kind, &[]);
        let _ours = Signals::new([SIGINT]).context("cannot handle ctrl-c")?;
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        let status = command.status().map_err(|error| not_started(&command, &error))?;
        Ok(code(status))
    }

    /// Runs a command on `input` to its end. An answer of more than `most` bytes is an error.
    pub fn answer(&self, command: Cmd<'_>, kind: Kind, input: &[u8], most: u64) -> Result<Answer> {
        let mut command = Command::from(command);
        self.clean(&mut command, kind, &[]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        let mut child = command.spawn().map_err(|error| not_started(&command, &error))?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(mut stderr)) = streams else {
            return Err(anyhow::anyhow!("no pipes to {}", name(&command)));
        };
        let (mut answer, mut said) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            // Who has enough reads no further: no error of ours.
            scope.spawn(move || drop(stdin.write_all(input)));
            scope.spawn(|| drop(stderr.read_to_end(&mut said)));
            let read = stdout.take(most + 1).read_to_end(&mut answer);
            if answer.len() as u64 > most {
                let _ = child.kill();
            }
            read
        })
        .with_context(|| format!("cannot read from {}", name(&command)))?;
        let status = child.wait().with_context(|| format!("cannot wait for {}", name(&command)))?;
        if answer.len() as u64 > most {
            return Err(Failure::new(
                Code::Failed,
                format!("{} says more than {most} bytes", name(&command)),
            )
            .into());
        }
        let stderr = String::from_utf8_lossy(&said).into_owned();
        Ok(Answer { code: code(status), stdout: answer, stderr })
    }
}
