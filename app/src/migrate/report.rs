//! What a run did or a check found: for people line by line, for programs as one object.

use serde::Serialize;
use std::time::Instant;

/// One migration that was applied just now.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    /// The number that the file's name starts with.
    pub version: i64,
    /// The file's name without `.sql`.
    pub name: String,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// One migration that is yet to be applied.
#[derive(Clone, Debug, Serialize)]
pub struct Pending {
    /// The number that the file's name starts with.
    pub version: i64,
    /// The file's name without `.sql`.
    pub name: String,
}

/// What a run did, or what a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was applied now, in order.
    pub applied: Vec<Applied>,
    /// What is still to be applied, in order.
    pub pending: Vec<Pending>,
    /// Whether the database has all that this binary expects.
    pub up_to_date: bool,
    /// Versions that a newer binary applied, in order.
    pub ahead: Vec<i64>,
    /// How long all of it took, connecting included, in milliseconds with one decimal.
    pub ms: f64,
}

/// What a run says while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Another migrator is at work.
    Waiting,
    /// A file waits for a lock; the text says which, and who holds it.
    Blocked(&'a str),
    /// A file was applied.
    Applied(&'a Applied),
}

/// The time since `started`, as [`Report`] gives it.
pub(super) fn ms(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 10_000.0).round() / 10.0
}
