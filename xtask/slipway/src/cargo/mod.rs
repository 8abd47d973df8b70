//! `cargo build` of the service, with what cargo says as progress.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde::Deserialize;
use xshell::{Cmd, cmd};

use crate::failure::{Code, Failure};
use crate::output::{count, strip_color};
use crate::process::{Child, Kind, Launcher, Leash, Start};

/// How long cargo may take to end when its build is not wanted any more.
const GRACE: Duration = Duration::from_secs(8);

/// A build that runs.
pub struct Build {
    child: Child,
    package: String,
    said: Receiver<Said>,
    started: Instant,
    known: Known,
    /// cargo has closed its streams.
    silent: bool,
}

/// What a build made.
#[derive(Debug)]
pub struct Built {
    /// The service's program.
    pub binary: PathBuf,
    /// All that it is made of, and what helped to make it.
    pub units: Vec<Unit>,
    /// How many crates were compiled; the others were fresh.
    pub crates: usize,
    /// The compiler's warnings, as it shows them.
    pub warnings: String,
    /// From the start of cargo to its end.
    pub took: Duration,
}

/// A crate that cargo has built, or found fresh.
#[derive(Clone, Debug)]
pub struct Unit {
    /// cargo's name of the package: where it is from, its name and its version.
    pub id: String,
    /// The package's manifest.
    pub manifest: PathBuf,
    /// What was built.
    pub files: Vec<PathBuf>,
}

/// What is known so far.
#[derive(Default)]
struct Known {
    binary: Option<PathBuf>,
    units: Vec<Unit>,
    crates: usize,
    status: String,
    diagnostics: Vec<String>,
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
        package_id: String,
        manifest_path: PathBuf,
        filenames: Vec<PathBuf>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

impl Build {
    /// Starts to build the program `package` of the package of that name, as `dev` and `test` run it.
    pub fn start(launcher: &Launcher<'_>, package: &str, color: bool) -> Result<Self> {
        Self::start_with(launcher, package, color, Kind::Cargo, |command| {
            command.args(["--profile", "serve"])
        })
    }

    /// [`Build::start`] with options and variables that `more` adds.
    pub fn start_with(
        launcher: &Launcher<'_>,
        package: &str,
        color: bool,
        kind: Kind,
        more: impl FnOnce(Cmd<'_>) -> Cmd<'_>,
    ) -> Result<Self> {
        let color = if color { "always" } else { "never" };
        let command = cmd!(
            launcher.shell,
            "cargo build --package {package} --bin {package}
             --message-format json-render-diagnostics --color {color}"
        );
        let start = Start::new(more(command), kind, Leash::Group).outputs(Stdio::piped(), Stdio::piped());
        let started = Instant::now();
        let mut child = launcher.start(start)?;
        let (sender, said) = channel();
        let stdout = child.stdout().context("cargo has no stdout")?;
        let stderr = child.stderr().context("cargo has no stderr")?;
        forward(stdout, sender.clone(), Said::Stdout);
        forward(stderr, sender, Said::Stderr);
        Ok(Build {
            child,
            package: package.to_owned(),
            said,
            started,
            known: Known::default(),
            silent: false,
        })
    }

    /// Waits for the end of the build.
    pub fn finish(mut self, launcher: &Launcher<'_>) -> Result<Built> {
        loop {
            self.hear(launcher, Duration::from_millis(100));
            if let Some(built) = self.outcome()? {
                return built;
            }
        }
    }

    /// What it made, once it has ended.
    ///
    /// # Errors
    /// The outer one: cargo cannot be waited for. The inner one: the service does not build.
    pub fn poll(&mut self, launcher: &Launcher<'_>) -> Result<Option<Result<Built>>> {
        self.hear(launcher, Duration::ZERO);
        self.outcome()
    }

    /// Ends it: what it builds is old already.
    pub fn cancel(mut self) -> Result<()> {
        self.child.stop(&[(Signal::TERM, GRACE)]).map(drop)
    }

    /// Takes in what cargo says, and waits at most so long for it.
    fn hear(&mut self, launcher: &Launcher<'_>, limit: Duration) {
        let Known { crates, status, .. } = &self.known;
        let detail =
            if *crates == 0 { status.clone() } else { format!("{}, {status}", count(*crates, "crate")) };
        launcher.progress().working("build", &detail);
        let mut limit = limit;
        loop {
            match self.said.recv_timeout(limit) {
                Ok(said) => self.known.take(said, &self.package),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    self.silent = true;
                    return;
                }
            }
            limit = Duration::ZERO;
        }
    }

    fn outcome(&mut self) -> Result<Option<Result<Built>>> {
        if !self.silent {
            return Ok(None);
        }
        // Both streams are closed: it ends now.
        let code = self.child.wait()?;
        let Known { binary, units, crates, diagnostics, .. } = std::mem::take(&mut self.known);
        let said = diagnostics.join("\n").trim().to_owned();
        Ok(Some(match binary {
            Some(binary) if code == 0 => {
                Ok(Built { binary, units, crates, warnings: said, took: self.started.elapsed() })
            }
            _ => Err(Failure::new(Code::Failed, format!("{} does not build", self.package))
                .said(said)
                .next("mend what the compiler says above, and then the same command")
                .into()),
        }))
    }
}

impl Known {
    fn take(&mut self, said: Said, package: &str) {
        match said {
            Said::Stderr(line) => match status_of(&line) {
                Some(now) => self.status = now,
                None => self.diagnostics.push(line),
            },
            Said::Stdout(line) => {
                if let Ok(Message::CompilerArtifact {
                    target,
                    executable,
                    fresh,
                    package_id: id,
                    manifest_path: manifest,
                    filenames: files,
                }) = serde_json::from_str(&line)
                {
                    self.units.push(Unit { id, manifest, files });
                    self.crates += usize::from(!fresh);
                    if target.name == package && executable.is_some() {
                        self.binary = executable;
                    }
                }
            }
        }
    }
}

/// How many errors are in what a compiler said.
pub fn errors(said: &str) -> usize {
    let plain = said.lines().map(strip_color);
    // The last one only counts the others.
    plain.filter(|line| line.starts_with("error") && !line.contains("could not compile")).count().max(1)
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
        "Finished" => "finished".to_owned(),
        _ => rest.split('(').next().unwrap_or(rest).trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_without_the_line_that_counts_them() {
        let two = "\x1b[1;31merror[E0308]\x1b[0m: mismatched types\n  --> a.rs\nerror: expected `;`\n\n\
                   error: could not compile `links` (bin \"links\") due to 2 previous errors";
        assert_eq!(errors(two), 2);
        assert_eq!(errors("no line of a compiler"), 1);
    }

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
