//! `sync-actions`, on real git repositories.

mod cases;
mod conflicts;
mod crafted;
mod fleet;
mod hostile;
mod kills;
mod meanwhile;
mod private;
mod random;
mod session;
pub mod source;
mod standing;
mod versions;
