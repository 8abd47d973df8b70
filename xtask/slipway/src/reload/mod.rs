//! The service under development: started on a socket that we keep, ready before anybody is
//! told, and replaced without a moment in which nobody listens.
//!
//! ```text
//! watch    what was saved
//! service  one running generation of it, and an old one that finishes what it has begun
//! problem  the file that tells a running service what is wrong with the code
//! page     what a browser sees while no service runs
//! ```

mod page;
mod problem;
mod service;
mod watch;

pub use page::Page;
pub use problem::Problem;
pub use service::{Generation, Retired, Service, admin_socket, clear_stale};
pub use watch::Watch;
