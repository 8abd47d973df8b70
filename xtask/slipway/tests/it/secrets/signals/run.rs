//! `secrets run` with a program that says what reaches it, seated at a terminal or not.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::case::{Case, nothing_left};
use crate::compiled::compiled;
use crate::doppler::Doppler;
use crate::running::Running;
use crate::terminal::Terminal;

/// How long nothing more may arrive: "once" is seen only by waiting.
pub const QUIET: Duration = Duration::from_millis(150);

/// Writes a line in `got` for each signal, until `end` is there; ends with 7 (tests/programs).
pub const COUNTS: &str = "./counts";

/// Does nothing against signals, once it is `cat`; the shell before it could lose one.
pub const WAITS: &str = "./waits";
pub const WAITS_IS: &str = "#!/bin/sh\necho \"$$ $EDIT_TOKEN\" >started\nexec cat <>hold\n";

pub const VALUE: &str = "s3cretToken42";

/// What is between the program and its outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// Nothing is to be masked: we become the program.
    Plain,
    /// There is something to mask, but both outputs are the terminal: we become the program.
    Screen,
    /// There is something to mask, and both outputs are pipes: we stay.
    Masked,
}

/// Those that need no terminal.
pub const PIPED: [Way; 2] = [Way::Plain, Way::Masked];
pub const ALL: [Way; 3] = [Way::Plain, Way::Screen, Way::Masked];

impl Way {
    pub fn case(self) -> Case {
        let case = Case::new().file(WAITS, WAITS_IS);
        let counts = compiled("programs/counts.rs", "counts").join("counts");
        std::os::unix::fs::symlink(counts, case.root().join(COUNTS)).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(case.root().join(WAITS), executable).unwrap();
        let made = Command::new("mkfifo").arg(case.root().join("hold")).status().unwrap();
        assert!(made.success());
        if self == Way::Plain {
            return case;
        }
        let api = Doppler::start().config("links", "dev", &[("EDIT_TOKEN", VALUE)]);
        let names = "[secrets]\nproject = \"links\"\n[secrets.names]\nEDIT_TOKEN = { about = \"\" }\n";
        case.file("xtask.toml", format!("[service]\nname = \"links\"\n{names}")).doppler(&api)
    }

    /// Where a shell sends both outputs.
    pub fn outputs(self) -> &'static str {
        match self {
            Way::Screen => ">/dev/tty 2>&1",
            Way::Plain | Way::Masked => "",
        }
    }
}

/// `secrets run` that has started its program.
pub struct Run {
    pub running: Running,
    pub case: Case,
    pub way: Way,
}

/// Without a terminal, as a supervisor does it.
pub fn supervised(way: Way, program: &str) -> Run {
    let case = way.case();
    let running = case.start_words(&["secrets", "run", "--", program]);
    Run { case, running, way }.begun(in_the_end(program))
}

/// As the program that has the terminal.
pub fn seated(way: Way, terminal: &Terminal, program: &str) -> Run {
    let outputs = format!("exec \"$0\" \"$@\" {}", way.outputs());
    let case = way.case().wrap(&["sh", "-c", &outputs]);
    let running = case.start_in(terminal.other_end(), &["secrets", "run", "--", program]);
    Run { case, running, way }.begun(in_the_end(program))
}

/// What a program's name is once it can get signals.
pub fn in_the_end(program: &str) -> &'static str {
    if program == WAITS { "cat" } else { "counts" }
}

impl Run {
    /// Waits until the program runs, and sees that it has the declared value.
    #[track_caller]
    pub fn begun(self, program: &str) -> Self {
        self.waits("start", || self.read("started").ends_with('\n'));
        let comm = Path::new("/proc").join(self.pid().to_string()).join("comm");
        let is = |program| std::fs::read_to_string(&comm).is_ok_and(|comm| comm.trim_end() == program);
        self.waits("program", || is(program));
        let has_value = self.read("started").contains(VALUE);
        assert_eq!(has_value, self.way != Way::Plain);
        self
    }

    /// Sees that we have become the program, or have not.
    #[track_caller]
    pub fn at(self) -> Self {
        assert_eq!(self.pid() == self.running.id(), self.way != Way::Masked, "{:?}", self.way);
        self
    }

    /// The program's.
    pub fn pid(&self) -> u32 {
        self.read("started").split_whitespace().next().unwrap().parse().unwrap()
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.case.root().join(file)).unwrap_or_default()
    }

    /// What the two processes wait for, and which signals they would get: of no other use than to explain a failure.
    pub fn states(&self) -> String {
        let of = |pid: &str| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let tells =
                |line: &&str| ["State", "PPid", "Sig", "Shd"].iter().any(|start| line.starts_with(start));
            format!("\n{pid}: {}", status.lines().filter(tells).collect::<Vec<_>>().join(", "))
        };
        let program = self.read("started");
        let program = program.split_whitespace().next().unwrap_or("no program");
        format!("{}{}\n{}", of(&self.running.id().to_string()), of(program), self.running.unread())
    }

    /// Waits as long as both of us run, or until a time is over that only keeps a broken test from hanging.
    #[track_caller]
    pub fn waits(&self, what: &str, is: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is() {
            let (has_ended, is_late) = (has_ended(self.running.id()), Instant::now() > deadline);
            if has_ended || is_late {
                // What came at the last moment, or while this machine stood still, counts.
                std::thread::sleep(Duration::from_secs(2));
                let why = if has_ended { "it has ended" } else { "too late" };
                assert!(is(), "{:?}: no {what}, {why}: {:?}{}", self.way, self.read("got"), self.states());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends something three times: two that arrive at almost the same moment can look like one.
    #[track_caller]
    pub fn gets_once(&self, signal: &str, send: impl Fn()) {
        for times in 1..=3 {
            send();
            self.waits(signal, || self.read("got").lines().count() >= times);
            std::thread::sleep(QUIET);
            assert_eq!(self.read("got"), format!("{signal}\n").repeat(times), "{:?}", self.way);
        }
    }

    /// Has the program end by itself, and gives the code.
    pub fn finish(&mut self) -> i32 {
        std::fs::write(self.case.root().join("end"), "").unwrap();
        self.end()
    }

    #[track_caller]
    pub fn end(&mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.running.has_ended() {
            assert!(Instant::now() < deadline, "{:?}: it goes on: {}", self.way, self.running.text);
            std::thread::sleep(Duration::from_millis(2));
        }
        let code = self.running.end();
        nothing_left(&[self.case.root()]);
        assert!(!self.running.text.contains(VALUE), "{}", self.running.text);
        code
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // A test that fails leaves it to nobody.
        let started = self.read("started");
        if let Some(pid) = started.split_whitespace().next()
            && std::fs::read_link(Path::new("/proc").join(pid).join("cwd"))
                .is_ok_and(|cwd| cwd == self.case.root())
        {
            let _ = Command::new("kill").args(["-KILL", pid]).status();
        }
    }
}

/// The letter for what a process does; none where there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

pub fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

pub fn has_ended(pid: u32) -> bool {
    matches!(state(pid), None | Some('Z'))
}
