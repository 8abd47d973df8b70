//! Where builds go, and how much room there is.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use xshell::cmd;

use super::{Here, shown};
use crate::context::Context;
use crate::files;
use crate::postgres::{EPHEMERAL_ROOM, MEMORY};
use crate::process::{Kind, Launcher};

/// Below this a build or a cluster may end half-way.
const LITTLE: u64 = 2_000_000_000;

/// The target folder of this worktree.
pub struct Target {
    pub path: PathBuf,
    /// Whether it lies outside of the worktree.
    pub shared: bool,
}

impl Target {
    /// As cargo would have it, which reads the configuration files of all folders above.
    pub fn look(context: &Context, here: &Here) -> Option<Self> {
        let root = &here.workspace.as_ref()?.root;
        let path = match context.env.var("CARGO_TARGET_DIR") {
            Some(path) => context.env.cwd.join(path),
            None if !root.join("Cargo.toml").is_file() => return None,
            None => {
                let launcher = Launcher::new(&context.env, &context.screen, root).ok()?;
                let command = cmd!(launcher.shell, "cargo metadata --no-deps --offline --format-version 1")
                    .env("RUSTUP_AUTO_INSTALL", "0");
                let said = launcher.read(command, Kind::Cargo).ok()?;
                let metadata: Value = serde_json::from_str(&said).ok()?;
                metadata.get("target_directory")?.as_str()?.into()
            }
        };
        let path = real(&path);
        Some(Target { shared: !path.starts_with(root), path })
    }

    pub fn json(&self) -> Value {
        json!({ "path": shown(&self.path), "shared": self.shared })
    }
}

/// A path without links and `..`, also of a folder that is not there yet.
fn real(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|folder| Some((folder, folder.canonicalize().ok()?)));
    let Some((folder, real)) = existing else { return path.to_path_buf() };
    path.strip_prefix(folder)
        .map_or(real.clone(), |rest| if rest == Path::new("") { real } else { real.join(rest) })
}

/// A file system that the tool writes to.
pub struct Disk {
    pub path: PathBuf,
    pub free: u64,
    pub little: bool,
}

impl Disk {
    pub fn json(&self) -> Value {
        json!({ "path": shown(&self.path), "free_bytes": self.free })
    }
}

/// Each file system once: the worktree's, the cache's, those of /tmp and of memory.
pub fn disks(context: &Context, here: &Here) -> Vec<Disk> {
    let root = here.workspace.as_ref().map(|workspace| workspace.root.clone());
    let mut seen = Vec::new();
    let mut disks = Vec::new();
    for path in root.into_iter().chain([context.env.cache(), "/tmp".into(), MEMORY.into()]) {
        // A cache that is not there yet will be on the file system of the folder above.
        let Some(found) = path.ancestors().find_map(|folder| std::fs::metadata(folder).ok()) else {
            continue;
        };
        let Some(existing) = path.ancestors().find(|folder| folder.exists()) else { continue };
        let in_memory = path == Path::new(MEMORY);
        if seen.contains(&found.dev()) || (in_memory && existing != path) {
            continue;
        }
        seen.push(found.dev());
        let Ok(free) = files::free_bytes(existing) else { continue };
        let little = free < if in_memory { EPHEMERAL_ROOM } else { LITTLE };
        disks.push(Disk { path, free, little });
    }
    disks
}
