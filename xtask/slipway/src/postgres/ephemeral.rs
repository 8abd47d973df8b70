//! Clusters for one run of the tests: in memory where there is room, gone with their last user.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::cluster::{Cluster, Plan};
use super::folder::Folder;
use crate::files::{self, Lock};
use crate::process::Launcher;

/// A cluster of 40 MB, its write-ahead log, and some test databases of 8 MB at a time.
const ROOM: u64 = 1024 * 1024 * 1024;

/// Starts a cluster of its own for this process: a folder in /dev/shm, or below the plan's folder when
/// there is no room.
pub fn start(launcher: &Launcher<'_>, mut plan: Plan) -> Result<Cluster> {
    let memory = Path::new("/dev/shm");
    let roomy = files::free_bytes(memory).is_ok_and(|free| free >= ROOM);
    let (parent, short) = match roomy {
        true => {
            let parent = memory.join(format!("slipway-{}", plan.uid));
            (parent.clone(), parent)
        }
        false => (plan.folder.path().to_path_buf(), plan.short.clone()),
    };
    files::own_folder(&parent, plan.uid)?;
    let name = std::process::id().to_string();
    plan.folder = Folder::new(parent.join(&name));
    plan.short = short.join(&name);
    plan.durable = false;
    // Whoever creates or reaps does so alone: a new folder has no lock held yet.
    files::own_folder(&plan.cache, plan.uid)?;
    let creating = Lock::exclusive(&plan.cache.join("ephemeral.lock"))?;
    reap(&parent)?;
    files::own_folder(plan.folder.path(), plan.uid)?;
    let users = Lock::shared(&plan.folder.users_lock())?;
    drop(creating);
    Cluster::join_holding(launcher, plan, users)
}

/// Removes what killed keepers left: folders whose locks nobody holds.
fn reap(parent: &Path) -> Result<()> {
    let entries = fs::read_dir(parent).with_context(|| format!("cannot read {}", parent.display()))?;
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let folder = Folder::new(&path);
        // A keeper that still lives, or removes its folder at this moment, holds its lock.
        if !Lock::is_shared(&folder.users_lock())?
            && !Lock::is_owned(&folder.users_lock())?
            && !Lock::is_owned(&folder.owner_lock())?
        {
            // What cannot be removed now is the next run's to remove, and no reason for this one to fail.
            let _ = files::remove_folder(&path);
        }
    }
    Ok(())
}
