//! PostgreSQL's own programs: psql for people and for files with its commands in them, pg_dump, pg_restore.

use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use xshell::{Cmd, cmd};

use crate::failure::{Code, Failure};
use crate::process::{Kind, Launcher, Leash, Start, tail};

/// How often a long step says that it goes on.
const TICK: Duration = Duration::from_millis(100);

/// The programs that come with a server, on one server.
pub struct Programs<'a> {
    launcher: &'a Launcher<'a>,
    bin: Option<PathBuf>,
    socket_folder: PathBuf,
}

impl<'a> Programs<'a> {
    /// Those beside the server, else those on PATH.
    pub(super) fn new(launcher: &'a Launcher<'a>, bin: Option<PathBuf>, socket_folder: PathBuf) -> Self {
        Programs { launcher, bin, socket_folder }
    }

    /// `program` with a connection to `database`.
    fn connected(&self, program: &str, database: &str) -> Cmd<'a> {
        let beside = self.bin.as_ref().map(|bin| bin.join(program)).filter(|path| path.is_file());
        let program = beside.unwrap_or_else(|| program.into());
        let folder = &self.socket_folder;
        cmd!(
            self.launcher.shell,
            "{program} --host {folder} --port 5432 --username postgres --dbname {database}"
        )
    }

    /// psql, for a terminal.
    pub fn psql(&self, database: &str) -> Cmd<'a> {
        self.connected("psql", database)
    }

    /// Runs a file of SQL, and then `sql`, in one transaction of `database`.
    pub fn load(&self, database: &str, file: &Path, sql: &str) -> Result<()> {
        let quiet =
            ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null"];
        let command = self.psql(database).args(quiet).arg("--file").arg(file);
        let command = if sql.is_empty() { command } else { command.arg("--command").arg(sql) };
        self.run("psql", command, "loading")
    }

    /// Writes all of `database` to `file`: as SQL for psql, or in pg_dump's compressed format.
    pub fn dump(&self, database: &str, file: &Path, sql: bool) -> Result<()> {
        let format = if sql { "--format=plain" } else { "--format=custom" };
        let command = self.connected("pg_dump", database);
        let command = command.args([format, "--no-owner", "--no-privileges"]).arg("--file").arg(file);
        self.run("pg_dump", command, "writing the dump")
    }

    /// Fills the empty `database` from what [`Programs::dump`] wrote in pg_dump's own format.
    pub fn restore(&self, database: &str, file: &Path) -> Result<()> {
        let whole = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"];
        let command = self.connected("pg_restore", database).args(whole).arg(file);
        self.run("pg_restore", command, "reading the dump")
    }

    /// Runs a program that may take minutes, and says so meanwhile.
    fn run(&self, name: &str, command: Cmd<'_>, doing: &str) -> Result<()> {
        let mut said = tempfile::tempfile().context("cannot make a temporary file")?;
        let start = Start::new(command, Kind::Tool, Leash::Signal(Signal::TERM));
        let mut child = self.launcher.start(start.outputs(Stdio::null(), said.try_clone()?))?;
        loop {
            if let Some(code) = child.wait_for(TICK)? {
                let mut text = String::new();
                said.rewind()
                    .and_then(|()| said.read_to_string(&mut text))
                    .context("cannot read what it said")?;
                return match code {
                    0 => Ok(()),
                    // Of the process between us: there is no such program.
                    code if code == Code::Missing as u8 => Err(Failure::new(Code::Missing, text.trim())
                        .why(format!("this server came without its `{name}`, and none is on PATH"))
                        .next("cargo xtask doctor")
                        .into()),
                    code => Err(Failure::new(Code::Failed, format!("{name} failed (code {code})"))
                        .why(tail(text.trim(), 12))
                        .into()),
                };
            }
            self.launcher.progress().working("postgres", doing);
        }
    }
}
