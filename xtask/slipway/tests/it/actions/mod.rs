//! `sync-actions`

mod fleet;
