//! Whether a server that was downloaded runs here: before it is kept, not at its first start.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use xshell::cmd;

use super::find::said_version;
use super::initdb::initdb;
use super::release::Release;
use super::{account, keeper, template};
use crate::failure::{Code, Failure};
use crate::files;
use crate::process::{Kind, Launcher, Leash, Start, tail};

/// How long a server may take to start on data that are new and empty.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tries the server below `home`: built for this machine, of this version, and one boot in `scratch`, which
/// is removed again. Under root the account that will run it does.
pub fn try_server(launcher: &Launcher<'_>, home: &Path, release: &Release, scratch: &Path) -> Result<()> {
    let bin = home.join("bin");
    let program = bin.join("postgres");
    // Read, not run: whatever runs another machine's programs (an emulator) would hide the mistake.
    if !fs::read_dir(&bin).is_ok_and(|_| machine(&program).is_some_and(|found| found == OURS)) {
        return Err(refused(release, "its `postgres` is not built for this kind of machine"));
    }
    files::remove_folder(scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    let account = account::choose(rustix::process::geteuid().as_raw(), scratch)?;
    let at_root = launcher.shell.push_dir("/");
    let version = cmd!(launcher.shell, "{program} --version");
    let said = launcher.read_as(version, Kind::Tool, account).map_err(|error| explain(release, error))?;
    drop(at_root);
    let found = said_version(&said).unwrap_or_default();
    if found != release.said() {
        return Err(refused(release, &format!("its `postgres` says that it is {found:?}")));
    }
    // Ours: the account gets the data in it, and no more.
    files::own_folder(scratch, rustix::process::geteuid().as_raw())?;
    let booted = boot(launcher, &bin, scratch, account).map_err(|error| explain(release, error));
    files::remove_folder(scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    booted
}

fn boot(
    launcher: &Launcher<'_>,
    bin: &Path,
    scratch: &Path,
    account: Option<crate::process::Account>,
) -> Result<()> {
    let (program, data) = (bin.join("postgres"), scratch.join("data"));
    template::make_folder(&data)?;
    template::give(&data, account)?;
    initdb(launcher, bin, &data, account, scratch)?;
    // Builds differ in where they look for time zones, and slim systems have none.
    let settings =
        ["listen_addresses=", "unix_socket_directories=.", "fsync=off", "TimeZone=UTC", "max_connections=10"];
    let settings = settings.iter().flat_map(|setting| ["-c", setting]);
    let _at_root = launcher.shell.push_dir("/");
    let command = cmd!(launcher.shell, "{program} -D {data} {settings...}");
    let path = scratch.join("log");
    let log = File::create(&path).context("cannot write a log")?;
    let start = Start::new(command, Kind::Tool, Leash::Signal(Signal::INT));
    let mut server = launcher.start(start.account(account).outputs(log.try_clone()?, log))?;
    let started = Instant::now();
    while !keeper::is_ready(&data, server.id()) {
        launcher.progress().working("postgres", "trying the download");
        if let Some(code) = server.ended()? {
            let said = fs::read_to_string(&path).unwrap_or_default();
            let what = format!("the server ended with code {code} at its start");
            return Err(Failure::new(Code::Failed, what).why(tail(said.trim(), 8)).into());
        }
        if started.elapsed() > PATIENCE {
            let said = fs::read_to_string(&path).unwrap_or_default();
            let what = format!("the server did not start in {} s", PATIENCE.as_secs());
            return Err(Failure::new(Code::Failed, what).why(tail(said.trim(), 8)).into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    server.stop(&[(Signal::INT, Duration::from_secs(10)), (Signal::QUIT, Duration::from_secs(5))])?;
    Ok(())
}

/// A file's format and machine: ELF's `e_machine`, Mach-O's `cputype`.
#[derive(Debug, PartialEq, Eq)]
enum Machine {
    Elf(u16),
    MachO(u32),
}

const OURS: Machine = match (cfg!(target_os = "macos"), cfg!(target_arch = "aarch64")) {
    (true, true) => Machine::MachO(0x0100_000c),
    (true, false) => Machine::MachO(0x0100_0007),
    (false, true) => Machine::Elf(183),
    (false, false) => Machine::Elf(62),
};

fn machine(program: &Path) -> Option<Machine> {
    let mut head = [0; 20];
    File::open(program).and_then(|mut file| file.read_exact(&mut head)).ok()?;
    read_machine(&head)
}

fn read_machine(head: &[u8; 20]) -> Option<Machine> {
    match head {
        // 64 bits, the low byte first.
        [0x7f, b'E', b'L', b'F', 2, 1, .., low, high] => {
            Some(Machine::Elf(u16::from_le_bytes([*low, *high])))
        }
        [0xcf, 0xfa, 0xed, 0xfe, a, b, c, d, ..] => {
            Some(Machine::MachO(u32::from_le_bytes([*a, *b, *c, *d])))
        }
        _ => None,
    }
}

/// What the loader says of a library that this system lacks becomes the reason.
fn explain(release: &Release, error: anyhow::Error) -> anyhow::Error {
    let said = match error.downcast_ref::<Failure>() {
        Some(failure) => failure.facts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n"),
        None => return error,
    };
    match missing_library(&said) {
        Some(library) => refused(release, &format!("this system has no {library}, which it needs")),
        None => refused(release, &format!("{error}\n{said}")),
    }
}

/// The library in "error while loading shared libraries: libicu.so.72: cannot open …", and in what macOS says.
fn missing_library(said: &str) -> Option<&str> {
    let after = |mark: &str| said.split_once(mark).map(|(_, rest)| rest);
    let library = after("loading shared libraries: ").or_else(|| after("Library not loaded: "))?;
    library.split([':', '\n']).next().map(str::trim)
}

fn refused(release: &Release, why: &str) -> anyhow::Error {
    let what = format!("the download of PostgreSQL {} does not run here", release.version);
    Failure::new(Code::Failed, what).why(why).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_from_the_file() {
        let mut elf = [0; 20];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18] = 62;
        assert_eq!(read_machine(&elf), Some(Machine::Elf(62)));
        elf[18] = 183;
        assert_eq!(read_machine(&elf), Some(Machine::Elf(183)));
        let mut mach = [0; 20];
        mach[..8].copy_from_slice(&[0xcf, 0xfa, 0xed, 0xfe, 0x0c, 0, 0, 1]);
        assert_eq!(read_machine(&mach), Some(Machine::MachO(0x0100_000c)));
        assert_eq!(read_machine(b"#!/bin/sh\nexec 12345"), None);
    }

    #[test]
    fn a_missing_library_is_named() {
        let said = "/x/bin/postgres: error while loading shared libraries: libicuuc.so.72: cannot open shared \
                    object file: No such file or directory";
        assert_eq!(missing_library(said), Some("libicuuc.so.72"));
        assert_eq!(
            missing_library("Library not loaded: /opt/lib/libssl.3.dylib\n"),
            Some("/opt/lib/libssl.3.dylib")
        );
        assert_eq!(missing_library("FATAL: no"), None);
    }
}
