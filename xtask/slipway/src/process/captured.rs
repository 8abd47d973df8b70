//! A child whose words are kept until it has ended, so that its starter can do something else meanwhile.

use std::io::{BufRead as _, BufReader, Read as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Child;

/// How long somebody who waits is told nothing.
const TICK: Duration = Duration::from_millis(100);

/// A thread that nobody waits for.
///
/// # Errors
/// This user may have no more of them.
fn thread(work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().spawn(work).context("cannot start a thread")?;
    Ok(())
}

/// A child that runs, with what it has said so far.
pub struct Captured {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    said: Vec<String>,
    /// How many lines of `said` were given out.
    told: usize,
}

/// How a child ended.
pub struct Said {
    /// Its exit code; 128+n after signal n.
    pub code: u8,
    /// All that it wrote on stdout.
    pub stdout: String,
    /// All that it wrote on stderr.
    pub stderr: String,
}

impl Captured {
    /// Reads what `child`, which was started with pipes, says.
    pub fn new(mut child: Child) -> Result<Self> {
        let mut stdout = child.stdout().context("no stdout to read")?;
        let stderr = child.stderr().context("no stderr to read")?;
        let (whole, text) = channel();
        thread(move || {
            let mut bytes = Vec::new();
            // What was read before an error is worth showing.
            let _ = stdout.read_to_end(&mut bytes);
            let _ = whole.send(String::from_utf8_lossy(&bytes).into_owned());
        })?;
        let (sender, lines) = channel();
        thread(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        })?;
        Ok(Captured { child, stdout: text, stderr: lines, said: Vec::new(), told: 0 })
    }

    /// The lines that it wrote on stderr since the last call.
    pub fn news(&mut self) -> Vec<String> {
        self.said.extend(self.stderr.try_iter());
        let news = self.said[self.told..].to_vec();
        self.told = self.said.len();
        news
    }

    /// How it ended, once it has. The first time only.
    pub fn poll(&mut self) -> Result<Option<Said>> {
        let Some(code) = self.child.ended()? else { return Ok(None) };
        let Ok(stdout) = self.stdout.recv() else { return Ok(None) };
        Ok(Some(self.said(code, stdout)))
    }

    fn said(&mut self, code: u8, stdout: String) -> Said {
        self.said.extend(self.stderr.iter());
        Said { code, stdout, stderr: self.said.join("\n") }
    }

    /// Waits for its end until `deadline`; a child that takes longer is killed, with what it has started. Something
    /// that it leaves behind and that holds its stderr is waited for no longer than that. `waits` is called again and
    /// again meanwhile.
    pub fn within(mut self, deadline: Instant, waits: impl Fn()) -> Result<Option<Said>> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let stdout = loop {
            waits();
            match self.stdout.recv_timeout(left().min(TICK)) {
                Err(RecvTimeoutError::Timeout) if !left().is_zero() => {}
                stdout => break stdout,
            }
        };
        if let Ok(stdout) = stdout
            && let Some(code) = self.child.wait_for(left())?
        {
            while let Ok(line) = self.stderr.recv_timeout(left()) {
                self.said.push(line);
            }
            return Ok(Some(Said { code, stdout, stderr: self.said.join("\n") }));
        }
        self.child.kill_group();
        self.child.wait()?;
        Ok(None)
    }

    /// The child, to end it.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}
