//! `cargo build` of the service.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use xshell::cmd;

use crate::failure::{Code, Failure};
use crate::output::{count, strip_color};
use crate::process::{Child, Kind, Launcher, Leash, Start};

/// A build that runs.
pub struct Build {
    child: Child,
    package: String,
    said: Receiver<Said>,
    started: Instant,
}

/// What a build made.
#[derive(Debug)]
pub struct Built {
    /// The service's program.
    pub binary: PathBuf,
    /// How many crates were compiled; the others were fresh.
    pub crates: usize,
    /// The compiler's warnings, as it shows them.
    pub warnings: String,
    /// From the start of cargo to its end.
    pub took: Duration,
}

enum Said {
    Stdout(String),
    Stderr(String),
}

/// The messages of `--message-format=json` that we need.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        target: Target,
        executable: Option<PathBuf>,
        fresh: bool,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

impl Build {
    /// Starts to build the program `package` of the package of that name.
    pub fn start(launcher: &Launcher<'_>, package: &str, color: bool) -> Result<Self> {
        let color = if color { "always" } else { "never" };
        let command = cmd!(
            launcher.shell,
            "cargo build --package {package} --bin {package} --profile serve
             --message-format json-render-diagnostics --color {color}"
        );
        let start = Start::new(command, Kind::Cargo, Leash::Group).outputs(Stdio::piped(), Stdio::piped());
        let started = Instant::now();
        let mut child = launcher.start(start)?;
        let (sender, said) = channel();
        let stdout = child.stdout().context("cargo has no stdout")?;
        let stderr = child.stderr().context("cargo has no stderr")?;
        forward(stdout, sender.clone(), Said::Stdout);
        forward(stderr, sender, Said::Stderr);
        Ok(Build { child, package: package.to_owned(), said, started })
    }

    /// Waits for the end of the build.
    pub fn finish(mut self, launcher: &Launcher<'_>) -> Result<Built> {
        let (mut binary, mut crates) = (None, 0);
        let (mut status, mut diagnostics) = (String::new(), Vec::new());
        loop {
            let detail =
                if crates == 0 { status.clone() } else { format!("{}, {status}", count(crates, "crate")) };
            launcher.progress().working("build", &detail);
            match self.said.recv_timeout(Duration::from_millis(100)) {
                Ok(Said::Stderr(line)) => match status_of(&line) {
                    Some(now) => status = now,
                    None => diagnostics.push(line),
                },
                Ok(Said::Stdout(line)) => {
                    if let Ok(Message::CompilerArtifact { target, executable, fresh }) =
                        serde_json::from_str(&line)
                    {
                        crates += usize::from(!fresh);
                        if target.name == self.package && executable.is_some() {
                            binary = executable;
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let code = self.child.wait()?;
        let said = diagnostics.join("\n").trim().to_owned();
        match binary {
            Some(binary) if code == 0 => {
                Ok(Built { binary, crates, warnings: said, took: self.started.elapsed() })
            }
            _ => Err(Failure::new(Code::Failed, format!("{} does not build", self.package))
                .said(said)
                .next("mend what the compiler says above, and then the same command")
                .into()),
        }
    }
}

fn forward(stream: impl Read + Send + 'static, sender: Sender<Said>, wrap: fn(String) -> Said) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(wrap(line)).is_err() {
                break;
            }
        }
    });
}

/// What cargo is at, if `line` is one of its status lines (`   Compiling sqlx v0.9.0`) and no diagnostic.
fn status_of(line: &str) -> Option<String> {
    let plain = strip_color(line);
    let (verb, rest) = plain.trim_start().split_once(' ')?;
    let verbs = [
        "Adding",
        "Blocking",
        "Building",
        "Compiling",
        "Downloaded",
        "Downloading",
        "Finished",
        "Fresh",
        "Locking",
        "Updating",
    ];
    // cargo right-aligns its verbs; a diagnostic starts at the left.
    let aligned = plain.len() - plain.trim_start().len() + verb.len() == 12;
    (aligned && verbs.contains(&verb)).then(|| match verb {
        "Blocking" => format!("{verb} {rest}"),
        _ => rest.split('(').next().unwrap_or(rest).trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_told_from_diagnostics() {
        for (line, status) in [
            ("   Compiling sqlx-core v0.9.0", Some("sqlx-core v0.9.0")),
            ("\x1b[1m\x1b[92m   Compiling\x1b[0m links v0.1.0 (/srv/app)", Some("links v0.1.0")),
            (
                "    Blocking waiting for file lock on build directory",
                Some("Blocking waiting for file lock on build directory"),
            ),
            ("error[E0308]: mismatched types", None),
            ("warning: unused variable", None),
            ("Compiling is a word in a message", None),
            ("", None),
        ] {
            assert_eq!(status_of(line).as_deref(), status, "{line}");
        }
    }
}
