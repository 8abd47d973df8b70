//! A PostgreSQL of this worktree's own, from the binaries that are installed, or were downloaded: found, copied from a
//! template, kept by a process of its own, reached over a Unix socket only.
//!
//! ```text
//! find       which installed server to run
//! versions   what servers said of their versions
//! release    which versions are published, for which machines, and where
//! trial      whether a server that was downloaded runs here
//! account    which account runs it when we are root
//! initdb     a cluster from nothing, for any user
//! template   a cluster that initdb made once, in the cache, and copies of it
//! migrated   the same with a service's migrations in it, for tests
//! folder     what lies where in a cluster's folder, and its two locks
//! cluster    join a cluster that runs, or start its keeper
//! keeper     the only parent of a postmaster; stops it when nobody uses it
//! waiting    what a keeper waits for
//! ephemeral  clusters without durability, for tests
//! stray      what killed runs and removed servers left, and how to remove it
//! pool       test databases that are ready before they are asked for
//! connection a session, for statements
//! programs   psql, pg_dump and pg_restore
//! ```

mod account;
mod cluster;
mod connection;
mod ephemeral;
mod find;
mod folder;
mod initdb;
mod keeper;
mod migrated;
mod pool;
mod programs;
mod release;
pub mod stray;
mod template;
mod trial;
mod versions;
mod waiting;

pub use cluster::{Cluster, Left, Plan};
pub use connection::{Connection, identifier, is_in_use, literal};
pub use ephemeral::{MEMORY, ROOM as EPHEMERAL_ROOM, memory_folder, start as start_ephemeral};
pub use find::{NoServer, Places, Server};
pub use folder::Folder;
pub use keeper::{Keeper, Life, VERB as KEEPER_VERB};
pub use migrated::ensure as ensure_migrated;
pub use pool::Pool;
pub use release::{Release, SOURCE};
pub use trial::try_server;
