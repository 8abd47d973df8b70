//! What people type while the service runs: a letter, then enter.

use std::io::BufRead as _;
use std::sync::mpsc::Sender;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::events::Event;

/// What the screen says of them.
pub const HELP: &str = "r rebuild · m migrate · o open · q quit, then enter";

/// How long until it is looked again who has the terminal.
const LOOK: Duration = Duration::from_millis(500);

/// What a letter asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Rebuild,
    Migrate,
    Open,
    Quit,
    /// Any other word.
    Unknown,
}

impl Key {
    fn of(line: &str) -> Option<Self> {
        match line.trim().to_lowercase().as_str() {
            "" => None,
            "r" => Some(Key::Rebuild),
            "m" => Some(Key::Migrate),
            "o" => Some(Key::Open),
            "q" => Some(Key::Quit),
            _ => Some(Key::Unknown),
        }
    }
}

/// Reads the terminal from here on. Whole lines, in the terminal's own mode: nothing to put back after a kill.
pub fn read(sender: Sender<Event>) {
    std::thread::spawn(move || {
        let mut typed = Vec::new();
        loop {
            if !is_ours() {
                // Whoever reads the terminal from the background is stopped by it.
                std::thread::sleep(LOOK);
                continue;
            }
            if !has_line() {
                continue;
            }
            let mut stdin = std::io::stdin().lock();
            let Ok(bytes) = stdin.fill_buf() else { return };
            if bytes.is_empty() {
                return;
            }
            typed.extend_from_slice(bytes);
            let count = bytes.len();
            stdin.consume(count);
            while let Some(end) = typed.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = typed.drain(..=end).collect();
                if let Some(key) = Key::of(&String::from_utf8_lossy(&line))
                    && sender.send(Event::Key(key)).is_err()
                {
                    return;
                }
            }
        }
    });
}

fn is_ours() -> bool {
    let group = rustix::termios::tcgetpgrp(std::io::stdin());
    group.is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Waits for a line, but not for long.
fn has_line() -> bool {
    let limit = Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos().try_into().unwrap_or(0) };
    let stdin = std::io::stdin();
    poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0)
}
