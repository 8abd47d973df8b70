//! One file a verb: its arguments and its orchestration.

pub(crate) mod ci;
pub(crate) mod cluster;
pub(crate) mod db;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod help;
pub(crate) mod image;
pub(crate) mod secrets;
pub(crate) mod sync_actions;
pub(crate) mod test;
