//! What a run did or a check found: for people line by line, for programs as one object.

use serde::Serialize;

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
}
