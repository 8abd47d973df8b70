//! A terminal that a test sits at.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

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

    /// Keys as they are; `\x03` is ctrl-c, `\x1a` ctrl-z.
    pub fn strike(&self, keys: &str) {
        let mut keyboard = File::from(self.0.try_clone().unwrap());
        keyboard.write_all(keys.as_bytes()).unwrap();
    }
}
