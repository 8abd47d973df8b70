//! The other end of a leash: what `__exec` does between the tool and its child.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::place::not_executed;
use super::{code, not_started};
use crate::failure::{Code, Failure};

/// How long a process group may take to end after SIGTERM, before it is killed.
const GROUP_GRACE: Duration = Duration::from_secs(5);

/// `__exec` with a signal: sets the parent-death signal, checks that the parent still lives, and becomes
/// the program. Returns only when it cannot; where it is in our place, with a shell's code.
pub fn exec_on_leash(
    parent: u32,
    signal: i32,
    is_placed: bool,
    program: &OsString,
    args: &[OsString],
) -> Result<u8> {
    let signal = Signal::from_named_raw(signal).context("no such signal")?;
    bind_to_parent(parent, signal)?;
    let mut command = Command::new(program);
    let error = command.args(args).exec();
    if is_placed {
        return Err(not_executed(program, error));
    }
    Err(not_started(&command, &error))
}

/// `__exec` with a group: starts the program in a process group of its own, passes signals on to all of
/// it, and leaves none of it behind, also when the parent dies.
pub fn exec_in_group(parent: u32, program: &OsString, args: &[OsString]) -> Result<u8> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD]).context("cannot handle signals")?;
    bind_to_parent(parent, Signal::TERM)?;
    let mut command = Command::new(program);
    command.args(args).process_group(0);
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    let mut child = command.spawn().map_err(|error| not_started(&command, &error))?;
    let group = Pid::from_child(&child);
    let mut asked = 0;
    let mut deadline = None;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait")? {
            // What the program left running in its group.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
            return Ok(code(status));
        }
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        // Nothing to do before the next signal, unless a deadline runs.
        let arrived: Vec<i32> = match deadline {
            None => signals.wait().collect(),
            Some(_) => {
                std::thread::sleep(Duration::from_millis(10));
                signals.pending().collect()
            }
        };
        for signal in arrived.into_iter().filter(|signal| *signal != SIGCHLD) {
            asked += 1;
            if signal != SIGINT {
                deadline.get_or_insert(Instant::now() + GROUP_GRACE);
            }
            let signal = Signal::from_named_raw(signal).filter(|_| asked < 3).unwrap_or(Signal::KILL);
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

fn bind_to_parent(parent: u32, signal: Signal) -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(signal)).context("cannot bind to the parent")?;
    #[cfg(not(target_os = "linux"))]
    let _ = signal;
    // It may have died before the signal was set.
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
    if now != Some(parent) {
        return Err(Failure::new(Code::Terminated, "the parent is gone").into());
    }
    Ok(())
}
