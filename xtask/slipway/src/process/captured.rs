//! A child whose words are kept until it has ended, so that its starter can do something else meanwhile.

use std::io::Read;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};

use super::Child;

/// A child that runs, with what it has said so far.
pub struct Captured {
    child: Child,
    streams: Option<[JoinHandle<String>; 2]>,
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
        let stdout = keep(child.stdout().context("no stdout to read")?);
        let stderr = keep(child.stderr().context("no stderr to read")?);
        Ok(Captured { child, streams: Some([stdout, stderr]) })
    }

    /// How it ended, once it has. The first time only.
    pub fn poll(&mut self) -> Result<Option<Said>> {
        let Some(code) = self.child.ended()? else { return Ok(None) };
        let Some(streams) = self.streams.take() else { return Ok(None) };
        let [stdout, stderr] = streams.map(|stream| stream.join().unwrap_or_default());
        Ok(Some(Said { code, stdout, stderr }))
    }

    /// The child, to end it.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

fn keep(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is worth showing.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
