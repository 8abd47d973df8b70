//! `keep`: what is at a path is this repository's own decision. Checks are green, later updates still merge.

use super::here::Here;
use super::lock::{Entry, State};
use super::text::marker;

/// What keeping a path means.
#[derive(Debug, PartialEq, Eq)]
pub enum Keep {
    /// The edit is recorded.
    Edit,
    /// The deletion is recorded.
    Deletion,
    /// It is as pulled: nothing to keep.
    AsPulled,
    /// A mark of a conflict is in this line.
    Marked(usize),
    /// It is no file.
    NoFile,
}

/// Records what is at a path in its entry.
pub fn keep(entry: &mut Entry, here: &Here) -> Keep {
    let (state, kept) = match here {
        Here::Absent => (State::Deleted, Keep::Deletion),
        Here::File { bytes, sum, executable } => match marker(bytes) {
            Some(line) if *sum != entry.sum => return Keep::Marked(line),
            _ if (*sum, *executable) == (entry.sum, entry.executable) => (State::Pulled, Keep::AsPulled),
            _ => (State::Kept { sum: *sum, executable: *executable }, Keep::Edit),
        },
        Here::Link(_) | Here::Other => return Keep::NoFile,
    };
    entry.state = state;
    kept
}
