//! What a keeper waits for: a signal, its server's end, its last user's end. It sleeps until one of them comes.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::files::Lock;

/// What came.
pub(super) enum Event {
    /// We were told to end.
    Told,
    /// Our child may have ended.
    ChildEnded,
    /// Nobody uses the server: we hold the users' lock alone, so nobody can begin to.
    Alone(Lock),
}

/// The sources of events. Two threads that only wait: the server is a child of the main thread, whose end its
/// leash follows.
pub(super) struct Waiting {
    events: Receiver<Event>,
    wish: Sender<()>,
}

impl Waiting {
    /// Listens for signals; for the users' lock only once [`Waiting::for_users`] was called.
    pub(super) fn new(users_lock: PathBuf) -> Result<Self> {
        let (sender, events) = channel();
        let (wish, wishes) = channel::<()>();
        let mut signals =
            Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD]).context("cannot handle signals")?;
        let told = sender.clone();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let _ = told.send(if signal == SIGCHLD { Event::ChildEnded } else { Event::Told });
            }
        });
        std::thread::spawn(move || {
            for () in wishes {
                // Where the folder was removed under us there is nobody to serve.
                let event = Lock::exclusive(&users_lock).map_or(Event::Told, Event::Alone);
                let _ = sender.send(event);
            }
        });
        Ok(Waiting { events, wish })
    }

    /// From here on, once: [`Event::Alone`] comes when nobody uses the server.
    pub(super) fn for_users(&self) {
        let _ = self.wish.send(());
    }

    /// The next event, or `None` after `limit`.
    pub(super) fn within(&self, limit: Duration) -> Result<Option<Event>> {
        match self.events.recv_timeout(limit) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("nothing can wake this keeper any more"),
        }
    }
}
