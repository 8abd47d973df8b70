//! What becomes of a program's output: a terminal is the program's own, everything else is masked on its way.

use std::io::{self, ErrorKind, PipeReader, Read as _, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::context::Context;
use crate::secrets::{Mask, Values};

/// Where a program's two streams go.
pub struct Outputs {
    mask: Arc<Mask>,
    /// Whether each stream passes through the mask.
    stdout: bool,
    stderr: bool,
    /// Both go to the same place: one pipe keeps their order.
    is_one: bool,
}

/// The two streams of the program, and the other ends of those that are masked.
type Opened = ([Stdio; 2], Vec<(PipeReader, OwnedFd)>);

impl Outputs {
    pub fn new(context: &Context, values: &Values) -> Result<Self> {
        let mask = Mask::new(values.secret().map(|(_, value)| value))?;
        let env = &context.env;
        // In CI a terminal is nobody's: what goes there is in a log.
        let passes = |is_terminal: bool| !mask.is_empty() && (!is_terminal || env.is_set("CI"));
        Ok(Outputs {
            stdout: passes(env.stdout_terminal),
            stderr: passes(env.stderr_terminal),
            is_one: env.stdout_terminal == env.stderr_terminal
                && is_same(std::io::stdout(), std::io::stderr()),
            mask: Arc::new(mask),
        })
    }

    /// Whether nothing passes through us, so that the program can take our place.
    pub fn are_all_the_programs(&self) -> bool {
        !self.stdout && !self.stderr
    }

    /// What is masked, to be said after where the values are from.
    pub fn said(&self) -> &'static str {
        match (self.mask.is_empty(), self.stdout, self.stderr) {
            (true, ..) => "",
            (_, true, true) => "; masked in its output",
            (_, true, false) => "; stdout is masked, a terminal not",
            (_, false, true) => "; stderr is masked, a terminal not",
            (_, false, false) => "; on a terminal nothing is masked",
        }
    }

    /// The streams to start the program with.
    pub fn open(&self) -> Result<Opened> {
        let mut pipes = Vec::new();
        let mut piped = |to: OwnedFd| -> Result<std::io::PipeWriter> {
            let (reader, writer) = pipe().context("cannot make a pipe")?;
            pipes.push((reader, to));
            Ok(writer)
        };
        let (mut stdout, mut stderr) = (Stdio::inherit(), Stdio::inherit());
        if self.stdout {
            let writer = piped(own(std::io::stdout())?)?;
            if self.is_one {
                stderr = writer.try_clone().context("cannot duplicate a pipe")?.into();
            }
            stdout = writer.into();
        }
        if self.stderr && !(self.stdout && self.is_one) {
            stderr = piped(own(std::io::stderr())?)?.into();
        }
        Ok(([stdout, stderr], pipes))
    }

    /// Copies what comes out of a pipe, masked, until its end. Gives why it could not go on, unless the reader has gone:
    /// so has, for the program, the one who read it.
    pub fn pump(&self, (mut from, to): (PipeReader, OwnedFd)) -> Result<JoinHandle<Option<io::Error>>> {
        let mask = self.mask.clone();
        let copy = move || {
            let mut stream = mask.stream();
            let (mut read, mut out) = (vec![0; 64 * 1024], Vec::new());
            loop {
                out.clear();
                let length = match from.read(&mut read) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => return Some(error),
                    Ok(length) => length,
                };
                match length {
                    0 => stream.finish(&mut out),
                    _ => stream.push(&read[..length], &mut out),
                }
                match write_all(&to, &out) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return None,
                    Err(error) => return Some(error),
                    Ok(()) if length == 0 => return None,
                    Ok(()) => {}
                }
            }
        };
        std::thread::Builder::new().spawn(copy).context("cannot start a thread")
    }
}

/// Writes to what may be somebody else's too, and so may not wait by itself.
fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => drop(poll(&mut [PollFd::new(to, PollFlags::OUT)], None)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn own(stream: impl AsFd) -> Result<OwnedFd> {
    stream.as_fd().try_clone_to_owned().context("cannot duplicate a stream")
}

/// Whether two streams go to the same file or pipe.
fn is_same(one: impl AsFd, other: impl AsFd) -> bool {
    match (rustix::fs::fstat(one), rustix::fs::fstat(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}
