//! Test databases that are ready before a test asks: making one takes 20 to 50 ms, handing one over a millisecond.
//!
//! A test asks in SQL, so that it may be written in any language: on the database `postgres` of its server,
//! `select test_database()` gives the name of a database that is its own from there on, a copy of the template.
//! Null means that none is ready; then the test makes its own copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

use super::cluster::Cluster;
use super::connection::{Connection, identifier, literal};

/// How often the pool is looked at.
const POLL: Duration = Duration::from_millis(10);
/// From this major on `create database` can copy files; before, it always did.
const HAS_STRATEGY: u32 = 15;

/// Two callers at once never get the same one: the row is locked by who deletes it, and skipped by all others.
const SCHEMA: &str = "create unlogged table test_databases (name text primary key); \
    create function test_database() returns text language sql as $$ \
      delete from test_databases where name = \
        (select name from test_databases order by name limit 1 for update skip locked) returning name $$";

/// A pool that is kept full until it is dropped.
pub struct Pool {
    ended: Arc<AtomicBool>,
    filler: Option<JoinHandle<()>>,
}

impl Pool {
    /// Keeps `size` copies of the database `template` ready. Nobody may be connected to that.
    pub fn fill(cluster: &Cluster, template: &str, size: usize) -> Result<Self> {
        let mut admin = cluster.admin()?;
        admin.query(SCHEMA)?;
        let server = cluster.folder().server();
        let major = server.and_then(|server| server.major().parse::<u32>().ok()).unwrap_or(0);
        let strategy = if major >= HAS_STRATEGY { " strategy file_copy" } else { "" };
        let copy = format!("template {}{strategy}", identifier(template));
        let ended = Arc::new(AtomicBool::new(false));
        let asked = ended.clone();
        let filler = std::thread::spawn(move || {
            // Without a pool tests are slower and as right as before.
            let _ = keep_full(&mut admin, &copy, size, &asked);
        });
        Ok(Pool { ended, filler: Some(filler) })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(filler) = self.filler.take() {
            let _ = filler.join();
        }
    }
}

fn keep_full(admin: &mut Connection, copy: &str, size: usize, ended: &AtomicBool) -> Result<()> {
    let mut made = 0;
    while !ended.load(Ordering::Relaxed) {
        let ready = admin.value("select count(*) from test_databases")?;
        if ready.and_then(|count| count.parse::<usize>().ok()).unwrap_or(0) >= size {
            std::thread::sleep(POLL);
            continue;
        }
        made += 1;
        let name = format!("test_{made}");
        admin.query(&format!("create database {name} {copy}"))?;
        admin.query(&format!("insert into test_databases values ({})", literal(&name)))?;
    }
    Ok(())
}
