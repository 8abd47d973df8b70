//! The end of the service, step by step, so that no request is lost when a process goes.
//!
//! A load balancer hears of it first, then nobody new is let in, then what was begun is finished. All who have a part
//! in it hold a [`Stop`] and wait for their own step.

use crate::failure::Failure;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

/// Between the last accepted connection and the drain. A connection that is closed before its request was read is a
/// reset for the client, so those that have just been accepted get this long to be read.
const LAME_DUCK: Duration = Duration::from_millis(100);

/// How far the end has come. The order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No signal has come.
    Serving,
    /// Not ready any more, and each answer asks its client to leave; new connections are still welcome.
    Leaving,
    /// No connection is accepted, and streams without an end are ended.
    Closed,
    /// Requests may finish; then each connection is closed.
    Draining,
}

/// Knows how far the end has come; cheap to ask and to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Phase>);

impl Stop {
    /// A stop, and who moves it on. Whoever drops the sender early ends everything at once.
    #[must_use]
    pub fn channel() -> (watch::Sender<Phase>, Self) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        (sender, Self(receiver))
    }

    /// One that SIGTERM or SIGINT begins; connections are accepted for `delay` more. A second signal ends the process
    /// at once, with the exit code that a death by it would have.
    ///
    /// # Errors
    /// The signal handlers cannot be set up.
    pub fn on_signals(delay: Duration) -> Result<Self, Failure> {
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
        let (sender, stop) = Self::channel();
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            tokio::spawn(end(sender, delay));
            std::process::exit(either(&mut terminate, &mut interrupt).await);
        });
        Ok(stop)
    }

    /// Whether the end has come this far.
    #[must_use]
    pub fn has_reached(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    /// Waits until the end has come this far.
    pub async fn reached(&self, phase: Phase) {
        // The error says that the sender is gone, which it is after the last step only.
        let _ = self.0.clone().wait_for(|now| *now >= phase).await;
    }
}

async fn end(sender: watch::Sender<Phase>, delay: Duration) {
    sender.send_replace(Phase::Leaving);
    if !delay.is_zero() {
        tracing::info!("stopping: not ready from now on, accepting for {} s more", delay.as_secs_f64());
        sleep(delay).await;
    }
    sender.send_replace(Phase::Closed);
    tracing::debug!("stopping: no new connections");
    sleep(LAME_DUCK).await;
    sender.send_replace(Phase::Draining);
    tracing::info!("stopping: requests may finish");
}

/// Waits for one of the two, and gives the exit code that a death by it would have.
async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> i32 {
    tokio::select! {
        _ = terminate.recv() => 143,
        _ = interrupt.recv() => 130,
    }
}
