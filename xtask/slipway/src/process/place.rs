//! A program in our place: whoever started us deals with it as if it had been started itself.
//!
//! Where nothing of its output passes through us, we become it. Else we stay, and then what the terminal or a
//! person sends must reach it once: not twice, because both of us heard it, and not never. One case is left: with a
//! terminal, what somebody sends to the whole job (`kill %1`) reaches both, and is passed on. So does what a supervisor
//! sends to each process of a service.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, getpgrp, getpid, getsid, kill_process};
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::raw::WithRawSiginfo;
use xshell::Cmd;

use super::{Child, Kind, Launcher, Leash, Start};
use crate::failure::{Code, Failure};

/// What a signal says that the kernel itself has sent (asm-generic/siginfo.h).
const SI_KERNEL: i32 = 0x80;
/// After so long it is worth a word that something still writes.
const STILL: Duration = Duration::from_secs(2);

/// The codes of a shell for what it cannot start.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

fn refuse(code: u8, what: String) -> Failure {
    Failure { code, ..Failure::new(Code::Failed, what) }
}

/// Whether `program` can be started, as a shell would find it on `path`.
///
/// # Errors
/// With a shell's code: 127 when it is not there, 126 when it cannot be executed.
pub fn runnable(program: &OsStr, path: Option<&OsStr>, folder: &Path) -> Result<()> {
    let is_path = program.as_bytes().contains(&b'/');
    let places: Vec<PathBuf> = match is_path {
        true => vec![folder.join(program)],
        false => {
            let path = path.map_or(&b"/bin:/usr/bin"[..], OsStr::as_bytes);
            let folders = path.split(|byte| *byte == b':').map(|place| folder.join(OsStr::from_bytes(place)));
            folders.map(|folder| folder.join(program)).collect()
        }
    };
    let found = places.iter().find(|place| place.is_file() && access(*place, Access::EXEC_OK).is_ok());
    let is_setting = program.as_bytes().contains(&b'=');
    let program = program.display();
    if let Some(place) = found {
        return match interpreter(place).filter(|interpreter| !interpreter.exists()) {
            None => Ok(()),
            Some(interpreter) => {
                let what = format!("{program} is a script for {}, which is not there", interpreter.display());
                Err(refuse(NOT_FOUND, what).next("its first line").into())
            }
        };
    }
    Err(match places.iter().find(|place| place.is_file() || is_path && place.is_dir()) {
        Some(place) if place.is_dir() => refuse(NOT_EXECUTABLE, format!("{program} is a folder")),
        Some(place) => refuse(NOT_EXECUTABLE, format!("{program} cannot be executed"))
            .next(format!("chmod +x {}, if it is a program", place.display())),
        None => refuse(NOT_FOUND, format!("`{program}` was not found")).next(match is_setting {
            true => "a variable of the program's: env NAME=value before it",
            false => "its path, or its folder on PATH; what only a shell knows: sh -c '…'",
        }),
    }
    .into())
}

/// What runs a script, by its first line.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut first = [0; 256];
    let length = File::open(script).ok()?.read(&mut first).ok()?;
    let line = first.get(..length)?.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = line.trim_ascii().split(u8::is_ascii_whitespace).next()?;
    (word.first() == Some(&b'/')).then(|| OsStr::from_bytes(word).into())
}

/// What could not be started although it is there: too long an environment, a format of another machine; or its
/// interpreter or loader is not.
pub(super) fn not_executed(program: &OsStr, error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    let code = if kind == Some(ErrorKind::NotFound) { NOT_FOUND } else { NOT_EXECUTABLE };
    refuse(code, format!("{} cannot be started", program.display())).why(format!("{error:#}")).into()
}

impl Launcher<'_> {
    /// Becomes the program. Returns only when it cannot.
    pub fn replace_us(&self, command: Cmd<'_>, kind: Kind, masked: &[String]) -> anyhow::Error {
        let mut command = Command::from(command);
        self.clean(&mut command, kind, masked);
        let error = command.exec();
        not_executed(command.get_program(), error)
    }

    /// Starts the program beside us, in our place for the terminal and for signals.
    pub fn start_in_place(
        &self,
        command: Cmd<'_>,
        kind: Kind,
        masked: &[String],
        outputs: [Stdio; 2],
    ) -> Result<InPlace> {
        // In a group of its own the program could not read from our terminal, nor be stopped with us; also not once
        // `fg` has brought us back.
        let front = foreground();
        let with_us = front.is_some();
        let mut heard = vec![SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];
        if !with_us {
            heard.extend([SIGTSTP, SIGCONT]);
        }
        // What was ignored when we started stays so, for both: nohup.
        let ignored = ignored();
        heard.retain(|signal| ignored & (1 << (signal - 1)) == 0);
        let mut signals = SignalsInfo::<WithRawSiginfo>::new(heard.into_iter().chain([SIGCHLD]))
            .context("cannot handle signals")?;
        let [stdout, stderr] = outputs;
        let command = Command::from(command);
        let program = command.get_program().to_owned();
        let start = Start::new(command, kind, Leash::Signal(Signal::KILL)).masked(masked);
        let start = start.stdin(Stdio::inherit()).outputs(stdout, stderr).in_place(with_us);
        // A key that was struck before there is a child has reached only us.
        let early: Vec<i32> = signals.pending().map(|signal| signal.si_signo).collect();
        let child = self.start(start).map_err(|error| not_executed(&program, error))?;
        let is_told = front != Some(getpgrp());
        let mut running = InPlace { child, signals, with_us, is_told };
        early.into_iter().for_each(|signal| running.send(signal));
        // One that was struck since may have done so, too. Until the child is the program, one more does no harm.
        if is_ours(running.child.id()) {
            let early: Vec<i32> = running.signals.pending().map(|signal| signal.si_signo).collect();
            early.into_iter().for_each(|signal| running.send(signal));
        }
        Ok(running)
    }
}

/// A program that runs in our place.
pub struct InPlace {
    child: Child,
    signals: SignalsInfo<WithRawSiginfo>,
    /// It is in our process group, and hears itself what comes from the terminal.
    with_us: bool,
    /// That our terminal has gone is known, or is no news for us in the background.
    is_told: bool,
}

impl InPlace {
    /// Passes signals on until the program has ended, and waits until what it wrote `is_written`. Gives the program's
    /// code; 128+n after signal n. `still` says that something else still writes.
    pub fn wait(mut self, is_written: impl Fn() -> bool, still: impl FnOnce()) -> Result<u8> {
        let code = loop {
            if let Some(code) = self.child.ended()? {
                break code;
            }
            for signal in self.signals.wait().collect::<Vec<_>>() {
                self.pass(signal.si_signo, signal.si_code == SI_KERNEL);
            }
        };
        // What it has started may hold its streams open, as in a pipeline of a shell.
        let (ended, mut pause, mut still) = (Instant::now(), Duration::from_micros(100), Some(still));
        while !is_written() {
            if self.signals.pending().any(|signal| [SIGINT, SIGTERM, SIGHUP].contains(&signal.si_signo)) {
                break;
            }
            if ended.elapsed() > STILL
                && let Some(still) = still.take()
            {
                still();
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Ok(code)
    }

    fn pass(&mut self, raw: i32, is_kernels: bool) {
        let of_terminal = self.with_us
            && match raw {
                // The kernel sends these for a key that was pressed, a person or a program for none.
                SIGINT | SIGQUIT => is_kernels || cfg!(not(target_os = "linux")),
                // A terminal that is gone told everybody, and so does its shell; but where we are the first of its session,
                // the kernel tells only us. Later ones are somebody's.
                SIGHUP if foreground().is_none() && getsid(None).is_ok_and(|first| first != getpid()) => {
                    is_kernels || !std::mem::replace(&mut self.is_told, true)
                }
                _ => false,
            };
        if !of_terminal {
            self.send(raw);
        }
        if raw == SIGTSTP {
            let _ = kill_process(getpid(), Signal::STOP);
        }
    }

    fn send(&mut self, raw: i32) {
        if let Some(signal) = Signal::from_named_raw(raw).filter(|signal| *signal != Signal::CHILD) {
            self.child.signal(signal);
        }
    }
}

/// Whether a process is still this program itself. Where that cannot be seen it is, for the moments that it matters.
fn is_ours(pid: u32) -> bool {
    let exe = |of: &str| std::fs::read_link(format!("/proc/{of}/exe")).ok();
    exe(&pid.to_string()) == exe("self")
}

/// The process group that our terminal listens to, be stdin what it may. None without a terminal, or when it is gone.
fn foreground() -> Option<Pid> {
    tcgetpgrp(File::open("/dev/tty").ok()?).ok()
}

/// The signals that were ignored when this process started, a bit each.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
