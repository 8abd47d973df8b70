//! A program that says what reaches it: a line in `got` for each signal, until `end` is there. Compiled by `rustc`
//! alone (tests/it/compiled.rs). No shell can do this: one that is about to wait may lose a signal.

use std::ffi::{c_int, c_void};
use std::fs::{File, write};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::exit;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Linux's and macOS's number of each; USR1's differs.
const USR1: c_int = if cfg!(target_os = "linux") { 10 } else { 30 };
const SIGNALS: [(c_int, &str); 5] = [(1, "HUP\n"), (2, "INT\n"), (3, "QUIT\n"), (15, "TERM\n"), (USR1, "USR1\n")];
const IGNORED: usize = 1;

static GOT: AtomicI32 = AtomicI32::new(-1);

unsafe extern "C" {
    fn signal(signal: c_int, handler: usize) -> usize;
    #[link_name = "write"]
    fn write_fd(fd: c_int, bytes: *const c_void, length: usize) -> isize;
}

extern "C" fn heard(number: c_int) {
    let line = SIGNALS.iter().find(|signal| signal.0 == number).map_or("?\n", |signal| signal.1);
    // SAFETY: write(2) may be called from a handler, and the line is static.
    let written = unsafe { write_fd(GOT.load(Ordering::Relaxed), line.as_ptr().cast(), line.len()) };
    if written != line.len() as isize {
        // A signal that is not written down must not look like one that never came.
        std::process::abort();
    }
}

fn main() {
    let got = File::options().create(true).append(true).open("got").unwrap();
    GOT.store(got.as_raw_fd(), Ordering::Relaxed);
    for (number, _) in SIGNALS {
        // SAFETY: the handler does only what a handler may. What was ignored before stays so, as in a shell.
        unsafe {
            if signal(number, heard as *const () as usize) == IGNORED {
                signal(number, IGNORED);
            }
        }
    }
    let value = std::env::var("EDIT_TOKEN").unwrap_or_default();
    write("started", format!("{} {value}\n", std::process::id())).unwrap();
    while !Path::new("end").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = writeln!(std::io::stdout(), "finished {value}");
    exit(7);
}
