//! `sync-actions` against those who mean it ill, and against bad luck.

mod crafted;
mod hostile;
mod kills;
mod private;
