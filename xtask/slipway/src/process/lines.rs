//! What several programs print, as one stream of lines, each with its source.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::mpsc::Sender;

use anyhow::{Context as _, Result};

use super::Child;

/// What is heard of a program.
pub enum Heard {
    /// It printed a line.
    Line(Line),
    /// The process of this id has closed one of its two streams.
    Closed(u32),
}

/// A line that a program printed.
pub struct Line {
    /// The program's name here.
    pub source: String,
    /// Its process id: one name may be of several processes in turn.
    pub pid: u32,
    /// The line, without its end.
    pub text: String,
}

/// Readers of programs' output.
pub struct Lines<T> {
    sender: Sender<T>,
    wrap: fn(Heard) -> T,
}

impl<T: Send + 'static> Lines<T> {
    /// Sends what is heard, wrapped, to `sender`.
    pub fn new(sender: Sender<T>, wrap: fn(Heard) -> T) -> Self {
        Lines { sender, wrap }
    }

    /// Reads what `child`, which was started with pipes, prints on both streams.
    pub fn read(&self, source: &str, child: &mut Child) -> Result<()> {
        let pid = child.id();
        self.stream(source, pid, child.stdout().context("no stdout to read")?);
        self.stream(source, pid, child.stderr().context("no stderr to read")?);
        Ok(())
    }

    fn stream(&self, source: &str, pid: u32, stream: impl Read + Send + 'static) {
        let source = source.to_owned();
        let (sender, wrap) = (self.sender.clone(), self.wrap);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut bytes = Vec::new();
            // Bytes, not UTF-8 text: whatever a program prints, its pipe is kept empty.
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned();
                let _ = sender.send(wrap(Heard::Line(Line { source: source.clone(), pid, text })));
                bytes.clear();
            }
            let _ = sender.send(wrap(Heard::Closed(pid)));
        });
    }
}
