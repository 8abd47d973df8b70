//! What happens while the service runs: lines, ctrl-c, the end of a child.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use xshell::cmd;

use super::keys::{self, Key};
use crate::output::Screen;
use crate::postgres::{Cluster, Folder};
use crate::process::{Heard, Kind, Launcher, Line, Lines};
use crate::secrets::Mask;
use crate::workspace::Env;

/// How long the last words of a program that ended may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub enum Event {
    /// A program printed a line.
    Line(Line),
    /// Ctrl-C, a hang-up or SIGTERM.
    Asked,
    /// The process of this id has closed one of its streams.
    Closed(u32),
    /// Some child has ended.
    ChildEnded,
    /// Somebody typed a key and enter.
    Key(Key),
    /// PostgreSQL has ended; whether nobody had told it to.
    ServerEnded(bool),
}

pub struct Events {
    /// Readers for the children's output.
    pub lines: Lines<Event>,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    /// Whose streams were closed: twice, once all is heard.
    closed: RefCell<Vec<u32>>,
    stopping: Arc<AtomicBool>,
    /// What programs print and nobody is to read.
    mask: RefCell<Mask>,
    /// Seconds that local time is ahead of UTC.
    offset: i64,
}

impl Events {
    pub fn listen(env: &Env, launcher: &Launcher<'_>) -> Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        // A terminal that closes may send its signal twice: that one ends nothing at once.
        for signal in [SIGINT, SIGTERM] {
            // The second one ends this process at once, whatever it waits for.
            signal_hook::flag::register_conditional_default(signal, stopping.clone())
                .and_then(|_| signal_hook::flag::register(signal, stopping.clone()))
                .context("cannot handle signals")?;
        }
        let (sender, receiver) = channel();
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD]).context("cannot handle signals")?;
        let signal_sender = sender.clone();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let event = if signal == SIGCHLD { Event::ChildEnded } else { Event::Asked };
                if signal_sender.send(event).is_err() {
                    break;
                }
            }
        });
        if env.stdin_terminal {
            keys::read(sender.clone());
        }
        let lines = Lines::new(sender.clone(), |heard| match heard {
            Heard::Line(line) => Event::Line(line),
            Heard::Closed(pid) => Event::Closed(pid),
        });
        let (closed, mask, offset) = (RefCell::default(), RefCell::default(), offset(launcher));
        Ok(Events { lines, sender, receiver, closed, stopping, mask, offset })
    }

    /// From here on what `mask` hides is hidden in every line of a program.
    pub fn hide(&self, mask: Mask) {
        *self.mask.borrow_mut() = mask;
    }

    /// From here on, once: says when the server of `folder` has ended.
    pub fn watch(&self, folder: Folder) {
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            if let Ok(killed) = Cluster::wait_for_end(&folder) {
                let _ = sender.send(Event::ServerEnded(killed));
            }
        });
    }

    /// The next event, if one comes in time.
    pub fn within(&self, limit: Duration) -> Option<Event> {
        let mut event = self.receiver.recv_timeout(limit).ok();
        match &mut event {
            Some(Event::Closed(pid)) => self.closed.borrow_mut().push(*pid),
            Some(Event::Line(line)) => line.text = self.mask.borrow().text(&line.text).into_owned(),
            _ => {}
        }
        event
    }

    /// From here on a second ctrl-c ends this process at once, and on their leashes its children.
    pub fn end_at_once_from_here(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// The time of day.
    pub fn clock(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let day = now.saturating_add_signed(self.offset) % 86_400;
        format!("{:02}:{:02}:{:02}", day / 3600, day / 60 % 60, day % 60)
    }

    /// Shows a line with its time and its source.
    pub fn show(&self, screen: &Screen, Line { source, text, .. }: &Line) {
        self.say(screen, source, text);
    }

    /// [`Events::show`] for a line of our own.
    pub fn say(&self, screen: &Screen, source: &str, text: &str) {
        screen.line(&format!("{} {source:<9} {}", self.clock(), screen.marked(text)));
    }

    /// A process id that is about to be another process's.
    pub fn forget(&self, pid: u32) {
        self.closed.borrow_mut().retain(|closed| *closed != pid);
    }

    /// What the process `pid`, which has ended, printed and is not heard yet. What else happens meanwhile comes next.
    pub fn last_words(&self, pid: u32) -> Vec<Line> {
        let is_closed = || self.closed.borrow().iter().filter(|closed| **closed == pid).count() == 2;
        let (mut lines, mut others) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + LAST_WORDS;
        while !is_closed()
            && let Some(event) = self.within(deadline.saturating_duration_since(Instant::now()))
        {
            match event {
                Event::Line(line) => lines.push(line),
                Event::Closed(_) => {}
                other => others.push(other),
            }
        }
        others.into_iter().for_each(|event| drop(self.sender.send(event)));
        lines
    }

    /// Shows what was printed and not shown yet. Readers may still be at it, so it waits a moment for more.
    pub fn show_remaining(&self, screen: &Screen) {
        let deadline = Instant::now() + LAST_WORDS;
        while Instant::now() < deadline
            && let Some(event) = self.within(Duration::from_millis(20))
        {
            if let Event::Line(line) = event {
                self.show(screen, &line);
            }
        }
    }
}

/// Local time, from `date`: the standard library knows no time zones, and a crate for one number is too much.
fn offset(launcher: &Launcher<'_>) -> i64 {
    let said = launcher.read(cmd!(launcher.shell, "date +%z"), Kind::Tool).unwrap_or_default();
    let parts = said.get(1..3).zip(said.get(3..5));
    let seconds = parts.and_then(|(h, m)| Some(h.parse::<i64>().ok()? * 3600 + m.parse::<i64>().ok()? * 60));
    seconds.unwrap_or(0) * if said.starts_with('-') { -1 } else { 1 }
}
