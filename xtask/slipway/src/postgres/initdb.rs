//! initdb, also for a user without an entry in the system's list.
//!
//! initdb, and the server in single-user mode, ask for the name of the user that they run as, and give up when there
//! is none: in a container that was started with any number as its user. The server itself does not ask. Then a library of twenty lines answers
//! for the system; it is compiled by the `cc` that cargo links with, so it is there wherever this tool was built.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use xshell::{Cmd, cmd};

use crate::failure::{Code, Failure};
use crate::process::{Account, Kind, Launcher};

/// What initdb says, and we go on from.
const NO_NAME: &str = "could not look up effective user ID";
/// The answer in the system's place.
const ANSWER: &str = include_str!("passwd.c");

/// Makes a cluster in the empty folder `data`. `scratch` is a folder of ours on the same machine.
///
/// Trust over the socket is safe: it lies in the data folder, which only its owner (and root) can enter. Small
/// write-ahead segments: sixteen times less to copy, and nothing that a service could notice.
pub(super) fn initdb(
    launcher: &Launcher<'_>,
    bin: &Path,
    data: &Path,
    account: Option<Account>,
    scratch: &Path,
) -> Result<()> {
    let program = bin.join("initdb");
    let _at_root = launcher.shell.push_dir("/");
    let auth = ["--auth-local", "trust", "--auth-host", "scram-sha-256"];
    let shape = ["--username", "postgres", "--encoding", "UTF8", "--no-locale", "--wal-segsize", "1"];
    named(launcher, account, scratch, &|| {
        cmd!(launcher.shell, "{program} --pgdata {data} {auth...} {shape...}")
    })
}

/// Runs a program of the server's that asks for the name of its user; with our answer where the system has none.
pub(super) fn named<'a>(
    launcher: &Launcher<'_>,
    account: Option<Account>,
    scratch: &Path,
    command: &dyn Fn() -> Cmd<'a>,
) -> Result<()> {
    // What it says is compared: in English, whatever the user's language.
    let command = || command().env("LC_ALL", "C");
    match launcher.read_as(command(), Kind::Tool, account) {
        Err(error) if error.downcast_ref::<Failure>().is_some_and(has_no_name) => {
            let library = answer(launcher, scratch)?;
            launcher.read_as(command().env("LD_PRELOAD", library.path()), Kind::Tool, account).map(drop)
        }
        other => other.map(drop),
    }
}

fn has_no_name(failure: &Failure) -> bool {
    failure.facts.iter().any(|(_, text)| text.contains(NO_NAME))
}

/// The library, for as long as the value lives.
fn answer(launcher: &Launcher<'_>, scratch: &Path) -> Result<tempfile::NamedTempFile> {
    let mut source = tempfile::Builder::new().suffix(".c").tempfile_in(scratch)?;
    source.write_all(ANSWER.as_bytes()).context("cannot write a C file")?;
    let library = tempfile::Builder::new().suffix(".so").tempfile_in(scratch)?;
    let (from, to) = (source.path(), library.path());
    let compile = cmd!(launcher.shell, "cc -shared -fPIC -o {to} {from}");
    launcher.read(compile, Kind::Tool).map_err(|error| {
        let uid = rustix::process::geteuid().as_raw();
        Failure::new(Code::Missing, format!("uid {uid} has no name, which initdb asks for"))
            .why(format!("a C compiler would help out, and: {error}"))
            .next(format!("echo 'dev:x:{uid}:0::/tmp:/bin/sh' >> /etc/passwd      (as root), or install cc"))
    })?;
    Ok(library)
}
