//! `sync-actions`, on real git repositories.

mod cases;
mod conflicts;
mod fleet;
mod random;
mod session;
mod source;
mod versions;
