//! What people see, on stderr: mark, thing, fact, and the time at the right. stdout carries data only.

use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;
use crate::workspace::Env;

/// How engines say what they are at; they never print.
pub trait Progress {
    /// The step `thing` goes on; `detail` is its present state. Called often: the screen thins it out.
    fn working(&self, thing: &str, detail: &str);
    /// The step `thing` has `done` bytes of `total`, if that is known. A screen may draw it.
    fn amount(&self, thing: &str, detail: &str, done: u64, total: Option<u64>) {
        self.working(thing, &format!("{detail}, {}", amount(done, total)));
    }
    /// A command is about to start, written so that it can be pasted.
    fn command(&self, line: &str);
}

/// `12 of 31 MB`.
fn amount(done: u64, total: Option<u64>) -> String {
    let mb = |bytes: u64| bytes / 1_000_000;
    match total {
        Some(total) => format!("{} of {} MB", mb(done), mb(total)),
        None => format!("{} MB", mb(done)),
    }
}

/// For a process that nobody watches.
impl Progress for () {
    fn working(&self, _: &str, _: &str) {}
    fn command(&self, _: &str) {}
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set; CLICOLOR_FORCE forces it.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// The decision: the flag, then the two variables, then the terminal.
    pub fn enabled(self, env: &Env) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if env.var("NO_COLOR").is_some() => false,
            Color::Auto if env.var("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            Color::Auto => env.stderr_terminal && env.var("TERM") != Some("dumb"),
        }
    }
}

/// How much a run may say in passing: more notes than this and nobody reads any.
const NOTES: usize = 2;
/// Without a terminal, a long step says this often that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The widest line.
const WIDTH: usize = 96;
/// The cells of a bar.
const BAR: usize = 30;
/// The column that times end at.
const TIME_COLUMN: usize = 81;

/// The one writer of stderr.
pub struct Screen {
    color: bool,
    verbose: bool,
    spinner: ProgressBar,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    notes: usize,
    step: Option<Step>,
    unwritten: Option<std::io::Error>,
}

struct Step {
    thing: String,
    since: Instant,
    said: Instant,
}

impl Screen {
    /// A screen for this run. `verbose` prints each command.
    pub fn new(env: &Env, color: Color, verbose: bool) -> Self {
        let live = env.stderr_terminal && !env.is_set("CI");
        let target = if live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let spinner = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {wide_msg}") {
            spinner.set_style(style);
        }
        Screen { color: color.enabled(env), verbose, spinner, state: Mutex::default() }
    }

    /// Whether output is coloured.
    pub fn color(&self) -> bool {
        self.color
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.color {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// A text that may begin with a mark, which is painted.
    pub fn marked(&self, text: &str) -> String {
        let colors = [("✓", "32"), ("✗", "31"), ("·", "2")];
        let found =
            colors.into_iter().find_map(|(mark, color)| Some((mark, color, text.strip_prefix(mark)?)));
        match found {
            Some((mark, color, rest)) => format!("{}{rest}", self.paint(color, mark)),
            None => text.to_owned(),
        }
    }

    /// One line as it is.
    pub fn line(&self, text: &str) {
        self.spinner.suspend(|| {
            // A closed stderr is no reason to stop the work.
            let _ = writeln!(std::io::stderr(), "{text}");
        });
    }

    /// The first line of a run.
    pub fn headline(&self, text: &str) {
        self.clear();
        self.line(&self.paint("1", text));
    }

    /// A step is done.
    pub fn done(&self, thing: &str, fact: &str, took: Option<Duration>) {
        self.step("32", "✓", thing, fact, took);
    }

    /// A step failed; the error follows at the end of the run.
    pub fn failed(&self, thing: &str, fact: &str, took: Option<Duration>) {
        self.step("31", "✗", thing, fact, took);
    }

    /// Something that is not there, or not in use, and need not be.
    pub fn absent(&self, thing: &str, fact: &str) {
        self.step("2", "·", thing, fact, None);
    }

    /// Something that works, and that somebody should look at.
    pub fn warn(&self, thing: &str, fact: &str) {
        self.step("33", "!", thing, fact, None);
    }

    fn step(&self, color: &str, mark: &str, thing: &str, fact: &str, took: Option<Duration>) {
        self.clear();
        let text = format!("{thing:<11} {fact}");
        let line = match took {
            Some(took) => {
                let time = seconds(took);
                let room = TIME_COLUMN.saturating_sub(4 + time.chars().count());
                format!("{text:<room$}{}{time}", if text.chars().count() >= room { "  " } else { "" })
            }
            None => text,
        };
        self.line(&format!("  {} {line}", self.paint(color, mark)));
    }

    /// Something worth knowing in passing. At most two a run are shown.
    pub fn note(&self, text: &str) {
        let mut state = self.lock();
        state.notes += 1;
        if state.notes <= NOTES || self.verbose {
            drop(state);
            self.line(&format!("  {}  {text}", self.paint("33", "note")));
        }
    }

    /// Data for programs or for `$(…)`, on stdout.
    pub fn data(&self, text: &str) {
        let written = self.spinner.suspend(|| writeln!(std::io::stdout(), "{text}"));
        match written {
            // `| head` closes the pipe: no error of ours.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                self.lock().unwritten.get_or_insert(error);
            }
            _ => {}
        }
    }

    /// Why some data could not be written, if so: a run must not end as if they had been.
    pub fn unwritten(&self) -> Option<std::io::Error> {
        self.lock().unwritten.take()
    }

    /// An error: what, labelled facts, and what to type next.
    pub fn error(&self, error: &anyhow::Error) {
        self.clear();
        let head = self.paint("1;31", "error");
        let Some(failure) = error.downcast_ref::<Failure>() else {
            self.line(&format!("{head}: {error}"));
            let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
            if !causes.is_empty() {
                self.labelled("why", &causes.join(": "));
            }
            return;
        };
        if let Some(said) = &failure.said {
            self.line(said);
        }
        self.line(&format!("{head}: {}", failure.what));
        for (label, text) in &failure.facts {
            self.labelled(label, text);
        }
        for next in &failure.next {
            self.labelled("next", next);
        }
    }

    fn labelled(&self, label: &str, text: &str) {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        self.line(&format!("  {}  {first}", self.paint("36", &format!("{label:<5}"))));
        for line in lines {
            self.line(&format!("         {line}"));
        }
    }

    /// The spinner leaves the terminal, for a child that writes there itself.
    pub fn clear(&self) {
        self.lock().step = None;
        self.spinner.finish_and_clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Progress for Screen {
    fn working(&self, thing: &str, detail: &str) {
        let mut state = self.lock();
        let now = Instant::now();
        let step = match &mut state.step {
            Some(step) if step.thing == thing => step,
            other => {
                self.spinner.reset();
                other.insert(Step { thing: thing.to_owned(), since: now, said: now })
            }
        };
        let (elapsed, silent) = (now - step.since, now - step.said);
        if !self.spinner.is_hidden() {
            drop(state);
            let text = format!("{thing:<11} {detail}");
            let room = WIDTH - 14;
            let text: String = text.chars().take(room).collect();
            self.spinner.set_message(format!("{text:<room$}{:>6}", seconds(elapsed)));
            self.spinner.tick();
        } else if silent >= HEARTBEAT {
            step.said = now;
            drop(state);
            self.line(&format!("  … {thing:<11} {detail} ({})", seconds(elapsed)));
        }
    }

    fn amount(&self, thing: &str, detail: &str, done: u64, total: Option<u64>) {
        let text = amount(done, total);
        let cells = total.filter(|total| *total > 0 && !self.spinner.is_hidden()).map(|total| {
            let full = usize::try_from(done.min(total) * BAR as u64 / total).unwrap_or(BAR);
            format!(" {}{}", "━".repeat(full), "·".repeat(BAR - full))
        });
        self.working(thing, &format!("{detail},{} {text}", cells.unwrap_or_default()));
    }

    fn command(&self, line: &str) {
        if self.verbose {
            self.line(&self.paint("2", &format!("  $ {line}")));
        }
    }
}

/// An error from before there was a screen.
pub fn lost(error: &anyhow::Error) {
    let facts = error.downcast_ref::<Failure>().map(|failure| failure.facts.as_slice()).unwrap_or_default();
    let facts: String = facts.iter().map(|(label, text)| format!("\n  {label:<6} {text}")).collect();
    let _ = writeln!(std::io::stderr(), "error: {error:#}{facts}");
}

/// Values for the process that started this one, on stdout. Whether it got them.
pub fn hand_over(text: &str) -> std::process::ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(_) => std::process::ExitCode::FAILURE,
    }
}

/// A duration as people read it: `0.8s`, `48.2s`, `2m 05s`.
pub fn seconds(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 59.95 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round();
    format!("{}m {:02}s", (whole / 60.0).floor(), whole % 60.0)
}

/// Bytes as people read them: `512 B`, `45 MB`, `2.1 GB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} B"),
        Some((unit, name)) if bytes < 10 * unit => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        Some((unit, name)) => format!("{} {name}", bytes / unit),
    }
}

/// `1 test`, `2 tests`.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A line without its escape sequences.
pub fn strip_color(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => drop(chars.by_ref().find(char::is_ascii_alphabetic)),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_at_most_three_digits_and_a_unit() {
        for (bytes, text) in
            [(0, "0 B"), (999, "999 B"), (4_096, "4.1 kB"), (45_300_000, "45 MB"), (2_100_000_000, "2.1 GB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
