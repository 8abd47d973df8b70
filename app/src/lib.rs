//! Short links for a company: `go/wiki` redirects to the wiki, people edit links on one page, programs through a
//! JSON API.
//!
//! [`links`] is the domain; everything beside it is the frame that any service needs. The binary is a thin shell over
//! this library, so that tests can reach the statements and the command line.

pub mod config;
pub mod db;
pub mod dev;
pub mod error;
pub mod failure;
pub mod gate;
pub mod lifecycle;
pub mod links;
pub mod listen;
pub mod migrate;
pub mod probes;
pub mod router;
pub mod secrets;
pub mod stop;
pub mod telemetry;
