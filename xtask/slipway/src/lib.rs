//! Slipway: what a Makefile would do for a Rust service, as `cargo xtask`, from git clone and without Docker.
//!
//! A repository's own `xtask` package is about twenty lines: it flattens [`Verb`] beside verbs of its own and
//! hands them to [`main`].
//!
//! Three floors, and imports only go down (tests/fences.rs holds them):
//!
//! ```text
//! verbs    cli context verbs/                       arguments, the terminal, orchestration
//! engines  postgres/ download/ packages/ cargo/     know nothing of clap, of the terminal, of each other
//!          reload/ migrations/ secrets/ scan/ actions/ image/
//! ground   workspace config process files net output failure
//! ```

mod actions;
mod cargo;
mod cli;
mod config;
mod context;
mod download;
mod failure;
mod files;
mod image;
mod migrations;
mod net;
mod output;
mod packages;
mod postgres;
mod process;
mod reload;
mod scan;
mod secrets;
mod verbs;
mod workspace;

pub use anyhow::Result;
pub use cli::{Verb, main};
pub use context::Context;
