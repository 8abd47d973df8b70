//! A command that runs while a test goes on.

use std::io::Read as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A command that runs, with what it has printed so far.
pub struct Running {
    child: Child,
    said: std::sync::mpsc::Receiver<String>,
    pub text: String,
}

impl Running {
    pub fn new(mut child: Child) -> Self {
        let (sender, said) = std::sync::mpsc::channel();
        let read = |mut stream: Box<dyn std::io::Read + Send>| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                let mut bytes = Vec::new();
                while let Ok(count @ 1..) = stream.read(&mut piece) {
                    bytes.extend_from_slice(&piece[..count]);
                    // A piece may end in the middle of a character.
                    let whole = match std::str::from_utf8(&bytes) {
                        Err(error) if error.error_len().is_none() => error.valid_up_to(),
                        _ => bytes.len(),
                    };
                    let text: Vec<u8> = bytes.drain(..whole).collect();
                    if sender.send(String::from_utf8_lossy(&text).into_owned()).is_err() {
                        break;
                    }
                }
            });
        };
        read(Box::new(child.stdout.take().unwrap()));
        read(Box::new(child.stderr.take().unwrap()));
        Running { child, said, text: String::new() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has printed `text`. The limit only keeps a broken test from hanging.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> &mut Self {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !self.text.contains(text) {
            match self.said.recv_timeout(Duration::from_millis(100)) {
                Ok(more) => self.text += &more,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => panic!("ended, or took too long, without {text:?}:\n{}", self.text),
            }
        }
        self
    }

    /// What it printed after `label`, up to white space.
    #[track_caller]
    pub fn after(&self, label: &str) -> String {
        let rest = self.text.split(label).nth(1).unwrap_or_else(|| panic!("no {label:?}:\n{}", self.text));
        rest.split_whitespace().next().unwrap().to_owned()
    }

    /// Sends a signal to the command alone, as `kill` does.
    pub fn signal(&self, signal: &str) {
        let sent =
            Command::new("kill").args([&format!("-{signal}"), &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// What it has printed and nobody has waited for.
    pub fn unread(&self) -> String {
        self.said.try_iter().collect()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end and gives its code; 128+n after signal n.
    pub fn end(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        let status = self.child.wait().unwrap();
        while let Ok(more) = self.said.recv_timeout(Duration::from_millis(200)) {
            self.text += &more;
        }
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
