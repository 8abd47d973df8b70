//! A terminal that a test sits at.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

#[cfg(target_os = "linux")]
const CLOEXEC: OpenptFlags = OpenptFlags::CLOEXEC;
#[cfg(not(target_os = "linux"))]
const CLOEXEC: OpenptFlags = OpenptFlags::empty();

/// A terminal, and the person in front of it.
pub struct Terminal(OwnedFd);

impl Terminal {
    pub fn new() -> Self {
        // Whoever inherited it would keep the terminal alive.
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | CLOEXEC).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        Terminal(terminal)
    }

    /// The end that a program has.
    pub fn other_end(&self) -> File {
        let name = ptsname(&self.0, Vec::new()).unwrap().into_string().unwrap();
        File::options().read(true).write(true).open(name).unwrap()
    }

    /// A key, and enter.
    pub fn press(&self, key: &str) {
        self.strike(&format!("{key}\n"));
    }

    /// What it shows, once it shows `text`.
    #[track_caller]
    pub fn shows(&self, text: &str) -> String {
        let mut screen = File::from(self.0.try_clone().unwrap());
        let (mut shown, mut piece) = (String::new(), [0; 4096]);
        while !shown.contains(text) {
            let limit = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&limit)).unwrap();
            assert!(ready > 0, "no {text:?} on the terminal: {shown}");
            let length = screen.read(&mut piece).unwrap();
            shown += &String::from_utf8_lossy(&piece[..length]);
        }
        shown
    }

    /// Keys as they are; `\x03` is ctrl-c, `\x1a` ctrl-z.
    pub fn strike(&self, keys: &str) {
        let mut keyboard = File::from(self.0.try_clone().unwrap());
        keyboard.write_all(keys.as_bytes()).unwrap();
    }
}
