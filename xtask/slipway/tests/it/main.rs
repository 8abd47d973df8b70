//! The tool, used as people use it: one builder (case.rs), cases by verb.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

mod actions;
mod case;
mod ci;
mod codes;
mod compiled;
mod db;
mod dev;
mod disk;
mod doctor;
mod doppler;
mod download;
mod fences;
mod image;
mod mistakes;
mod readme;
mod registry;
mod reload;
mod running;
mod secrets;
mod soak;
mod stdin;
mod templates;
mod terminal;
mod test;
mod users;
mod web;
