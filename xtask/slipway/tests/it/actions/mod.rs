//! Shared workflows, pulled as people pull them: from real git repositories, with real edits.

mod cases;
mod conflicts;
mod fleet;
mod random;
mod session;
mod source;
mod versions;
