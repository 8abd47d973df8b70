//! A PostgreSQL of this worktree's own, from the binaries that are installed: found, copied from a
//! template, kept by a process of its own, reached over a Unix socket only.
//!
//! ```text
//! find      which installed server to run
//! account   which account runs it when we are root
//! template  a cluster that initdb made once, in the cache, and copies of it
//! folder    what lies where in a cluster's folder, and its two locks
//! cluster   join a cluster that runs, or start its keeper
//! keeper    the only parent of a postmaster; stops it when nobody uses it
//! ephemeral clusters without durability, for tests
//! psql      statements and databases, through psql
//! ```

mod account;
mod cluster;
mod ephemeral;
mod find;
mod folder;
mod keeper;
mod psql;
mod template;

pub use cluster::{Cluster, Left, Plan};
pub use ephemeral::start as start_ephemeral;
pub use find::{Places, Server};
pub use folder::Folder;
pub use keeper::{Keeper, VERB as KEEPER_VERB};
pub use psql::{identifier, literal};
