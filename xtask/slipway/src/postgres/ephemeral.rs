//! Clusters for one run of the tests: in memory where there is room, gone with their last user.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cluster::{Cluster, Plan};
use super::folder::Folder;
use super::keeper::Life;
use super::stray;
use crate::files::{self, Lock};
use crate::process::Launcher;

/// A cluster of 40 MB, its write-ahead log, and some test databases of 8 MB at a time.
pub const ROOM: u64 = 1024 * 1024 * 1024;

/// A file system in memory, where there is one.
pub const MEMORY: &str = "/dev/shm";
/// Beside the clusters: held by whoever creates or reaps.
pub(super) const CREATING_LOCK: &str = "creating.lock";

/// Starts a cluster of its own for this process: in memory, or below the plan's folder when there is no room.
pub fn start(launcher: &Launcher<'_>, plan: Plan) -> Result<Cluster> {
    start_named(launcher, plan, &std::process::id().to_string(), Life::Ephemeral)
}

pub(super) fn start_named(
    launcher: &Launcher<'_>,
    mut plan: Plan,
    name: &str,
    life: Life,
) -> Result<Cluster> {
    let (parent, short) = place(&plan)?;
    plan.folder = Folder::new(parent.join(name));
    plan.short = short.join(name);
    plan.life = life;
    // Whoever creates or reaps does so alone: a new folder has no lock held yet.
    let creating = Lock::exclusive(&parent.join(CREATING_LOCK))?;
    // Of a killed run with our process id: in a container ids repeat.
    if plan.folder.path().exists() && !stray::is_held(plan.folder.path()) {
        files::remove_folder(plan.folder.path()).context("cannot remove what a killed run left")?;
    }
    files::own_folder(plan.folder.path(), plan.uid)?;
    let users = Lock::shared(&plan.folder.users_lock())?;
    drop(creating);
    Cluster::join_holding(launcher, plan, users)
}

/// Where in memory the ephemeral clusters of a user are.
pub fn memory_folder(uid: u32) -> PathBuf {
    Path::new(MEMORY).join(format!("slipway-{uid}"))
}

/// The folder for ephemeral clusters, and a short path to it. A container may have no memory file system, one
/// that we may not write, or one of 64 MB.
fn place(plan: &Plan) -> Result<(PathBuf, PathBuf)> {
    if files::free_bytes(Path::new(MEMORY)).is_ok_and(|free| free >= ROOM) {
        let folder = memory_folder(plan.uid);
        if files::own_folder(&folder, plan.uid).is_ok() {
            return Ok((folder.clone(), folder));
        }
    }
    files::own_folder(plan.folder.path(), plan.uid)?;
    Ok((plan.folder.path().to_path_buf(), plan.short.clone()))
}

/// Removes what killed keepers left below `parent`. What cannot be removed now is the next run's to remove, and
/// no reason for this one to fail.
pub(super) fn reap(parent: &Path, uid: u32) -> Result<()> {
    let creating = Lock::exclusive(&parent.join(CREATING_LOCK))?;
    // A `*.gone` folder is of a removal that was cut off, or goes on elsewhere at this moment.
    let (mut gone, unheld): (Vec<_>, Vec<_>) = stray::unheld(parent, uid)
        .into_iter()
        .partition(|path| path.extension().is_some_and(|extension| extension == "gone"));
    gone.extend(unheld.iter().filter_map(|path| files::set_aside(path).ok().flatten()));
    drop(creating);
    for path in gone {
        let _ = fs::remove_dir_all(path);
    }
    Ok(())
}
