//! The service under development: built in its own profile, started on a socket that we keep, ready
//! before anybody is told.
//!
//! ```text
//! build    cargo build of the service, with what cargo says as progress
//! service  one running generation of it
//! ```

mod build;
mod service;

pub use build::{Build, Built};
pub use service::{Generation, Service};
