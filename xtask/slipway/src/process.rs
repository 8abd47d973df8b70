//! The only place that starts other programs: with a clean environment, a stdin that cannot be waited on,
//! and, where they live long, on a leash: they end when this process does, however it ends.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use xshell::Shell;

use crate::failure::{Code, Failure};
use crate::output::Progress;
use crate::workspace::Env;

mod captured;
mod kind;
mod leash;
mod lines;
mod place;
mod short;
mod start;

pub use captured::{Captured, Said};
pub use kind::{Kind, is_kept};
pub use leash::{exec_in_group, exec_on_leash};
pub use lines::{Heard, Line, Lines};
pub use place::runnable;
pub use short::Answer;
pub use start::Start;

/// The hidden verb that every leashed child goes through.
pub const EXEC_VERB: &str = "__exec";

/// How a long-lived child is bound to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leash {
    /// The child gets this signal when this process dies. For a program that ends its own children.
    Signal(Signal),
    /// A small process of ours stays between, and ends the child's whole process group. For cargo, shells
    /// and whatever else starts children that it does not reap.
    Group,
}

/// The account that a child runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Starts children, in one folder.
pub struct Launcher<'a> {
    env: &'a Env,
    progress: &'a dyn Progress,
    /// For `xshell::cmd!`; its folder is the repository's root.
    pub shell: Shell,
}

impl<'a> Launcher<'a> {
    /// A launcher whose children start in `folder`.
    pub fn new(env: &'a Env, progress: &'a dyn Progress, folder: &std::path::Path) -> Result<Self> {
        let shell = Shell::new().context("cannot tell the current folder")?;
        shell.change_dir(folder);
        Ok(Launcher { env, progress, shell })
    }

    /// Where to report what goes on.
    pub fn progress(&self) -> &'a dyn Progress {
        self.progress
    }

    /// This program once more, under a name that `ps` can show.
    fn own_program(&self) -> Command {
        let mut command = Command::new(&self.env.exe);
        command.arg0("slipway");
        command
    }

    fn clean(&self, command: &mut Command, kind: Kind, masked: &[String]) {
        self.progress.command(&paste(command, masked));
        self.strip(command, kind);
    }

    fn strip(&self, command: &mut Command, kind: Kind) {
        if kind == Kind::Program {
            // From nothing: whatever we do not know of stays out, names that are no text too.
            let set: Vec<(OsString, OsString)> = command
                .get_envs()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
                .collect();
            let kept = self.env.names().filter(|name| !kind.strips(name));
            let kept = kept.filter_map(|name| Some((name, self.env.given_os(name)?)));
            command.env_clear().envs(kept).envs(set);
            return;
        }
        let set: Vec<OsString> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        for name in self.env.names().filter(|name| kind.strips(name)) {
            if !set.iter().any(|own| own == name) {
                command.env_remove(name);
            }
        }
        if !kind.is_cargo() {
            // Messages that we read and compare are in English.
            command.env("LC_MESSAGES", "C");
        }
    }

    /// A path of this program that another process can start, too, while this one runs.
    pub fn own_path(&self) -> std::path::PathBuf {
        match self.env.exe.starts_with("/proc/self") {
            true => format!("/proc/{}/exe", std::process::id()).into(),
            false => self.env.exe.clone(),
        }
    }

    /// Starts a long-lived child in a process group of its own, on its leash.
    ///
    /// Call it from the main thread: the parent-death signal follows the thread that started the child.
    pub fn start(&self, start: Start<'_>) -> Result<Child> {
        let Start { command: mut inner, kind, leash, account, masked, streams, place, shown } = start;
        let [stdin, stdout, stderr] = streams;
        self.progress.command(&shown.unwrap_or_else(|| paste(&inner, masked)));
        self.strip(&mut inner, kind);
        let mut command = self.own_program();
        command.arg(EXEC_VERB).arg(format!("--parent={}", std::process::id()));
        match leash {
            Leash::Signal(signal) => command.arg(format!("--signal={}", signal.as_raw())),
            Leash::Group => command.arg("--group"),
        };
        if place.is_some() {
            command.arg("--placed");
        }
        command.arg("--").arg(inner.get_program()).args(inner.get_args());
        if kind == Kind::Program {
            command.env_clear();
        }
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = inner.get_current_dir() {
            command.current_dir(folder);
        }
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        if !place.is_some_and(|place| place.with_us) {
            command.process_group(0);
        }
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        let child = command.spawn().with_context(|| format!("cannot start {}", name(&inner)))?;
        Ok(Child { child, name: name(&inner) })
    }

    /// Starts a process of this program that outlives us: the keeper of a cluster. It has no terminal and
    /// none of our streams, so that `$(cargo xtask db url)` does not wait for it.
    pub fn start_own(&self, args: &[OsString], log: std::fs::File) -> Result<Child> {
        let mut command = self.own_program();
        command.args(args).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.clean(&mut command, Kind::Tool, &[]);
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        let child = command.spawn().context("cannot start this program again")?;
        let name = args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Child { child, name })
    }
}

/// A running child.
pub struct Child {
    child: std::process::Child,
    name: String,
}

impl Child {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its stdout, if it was piped. Once.
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Its stderr, if it was piped. Once.
    pub fn stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    /// Its exit code, if it has ended; 128+n after signal n.
    pub fn ended(&mut self) -> Result<Option<u8>> {
        let status = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(status.map(code))
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<u8> {
        self.child.wait().map(code).with_context(|| format!("cannot wait for {}", self.name))
    }

    /// From here on this process does not end with the signals that would end it: each is passed on to the
    /// child, once, for it to finish.
    pub fn pass_signals_on(&self) -> Result<Passing> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot handle signals")?;
        let (pid, handle, last) =
            (Pid::from_child(&self.child), signals.handle(), Arc::new(AtomicI32::new(0)));
        let seen = last.clone();
        std::thread::spawn(move || {
            for signal in signals.forever().filter_map(Signal::from_named_raw) {
                seen.store(signal.as_raw(), Ordering::Relaxed);
                let _ = rustix::process::kill_process(pid, signal);
            }
        });
        Ok(Passing { handle, last })
    }

    /// Sends a signal, unless the child has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // It cannot be reaped between the check and here by anybody but us.
            let _ = rustix::process::kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// Kills it, and what it has started in its process group, unless it has ended.
    fn kill_group(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
    }

    /// Waits at most this long for its end.
    pub fn wait_for(&mut self, limit: Duration) -> Result<Option<u8>> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_millis(1);
        loop {
            let ended = self.ended()?;
            if ended.is_some() || Instant::now() >= deadline {
                return Ok(ended);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Asks the child to end with each signal in turn, gives it that long, and kills it at last. Gives its
    /// code.
    pub fn stop(&mut self, asks: &[(Signal, Duration)]) -> Result<u8> {
        for (signal, grace) in asks {
            self.signal(*signal);
            if let Some(code) = self.wait_for(*grace)? {
                return Ok(code);
            }
        }
        self.signal(Signal::KILL);
        self.wait()
    }
}

/// Signals on their way to a child.
pub struct Passing {
    handle: Handle,
    last: Arc<AtomicI32>,
}

impl Passing {
    /// Waits for the child's end. Gives its code, or 128+n after signal n was passed on: a runner that was
    /// interrupted says only that its tests failed.
    pub fn wait(self, child: &mut Child) -> Result<u8> {
        // First, because the child's id may be another process's once it was waited for.
        self.handle.close();
        let code = child.wait()?;
        match self.last.load(Ordering::Relaxed) {
            0 => Ok(code),
            signal => Ok(u8::try_from(128 + signal).unwrap_or(code)),
        }
    }
}

/// An exit code: the child's own, or 128+n after signal n, as shells count.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

fn name(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    match command.get_args().next().map(|arg| arg.to_string_lossy()) {
        Some(verb) if name == "cargo" || name == "git" => format!("{name} {verb}"),
        _ => name,
    }
}

fn not_started(command: &Command, error: &std::io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy();
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::new(Code::Missing, format!("{program} is not installed, or not on PATH"))
                .next(format!("install {program}, or add its folder to PATH"))
                .into()
        }
        _ => Failure::new(Code::Failed, format!("cannot start {program}")).why(error).into(),
    }
}

/// The last lines of what a program said.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The command as a line for a shell, with the variables that we set, secrets masked.
fn paste(command: &Command, masked: &[String]) -> String {
    let set = command.get_envs().filter_map(|(name, value)| {
        let name = name.to_string_lossy().into_owned();
        let value = value?.to_string_lossy().into_owned();
        let value = if masked.contains(&name) { "***".to_owned() } else { quote(&value) };
        Some(format!("{name}={value}"))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    set.chain(words.map(|word| quote(&word.to_string_lossy()))).collect::<Vec<_>>().join(" ")
}

/// A word for a shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
