//! What this tool keeps for this user outside of what is committed, and what of it is nobody's any more.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::shown;
use crate::context::Context;
use crate::download;
use crate::files;
use crate::output::count;
use crate::postgres::{Cluster, Folder, memory_folder, stray};
use crate::process::Launcher;
use crate::workspace::Workspace;

/// Something kept.
pub struct Kept {
    pub path: PathBuf,
    pub bytes: u64,
    pub kind: Kind,
    pub about: String,
    /// Nobody will ask for it again.
    pub stray: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The state of the worktree that we are in.
    Worktree,
    /// The state of another clone.
    Clone,
    /// A state that does not say whose it is.
    Unknown,
    /// What a killed removal left.
    Leftover,
    /// A short path to a state.
    Link,
    /// A cluster of one run of the tests.
    Ephemeral,
    /// A template cluster.
    Template,
    /// What a download that was cut off has left.
    Download,
    /// The cache, without templates.
    Cache,
    /// In the place of a folder of ours.
    Foreign,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Worktree => "worktree",
            Kind::Clone => "clone",
            Kind::Unknown => "unknown",
            Kind::Leftover => "leftover",
            Kind::Link => "link",
            Kind::Ephemeral => "ephemeral",
            Kind::Template => "template",
            Kind::Download => "download",
            Kind::Cache => "cache",
            Kind::Foreign => "foreign",
        }
    }
}

impl Kept {
    fn new(kind: Kind, path: PathBuf, about: impl Into<String>) -> Self {
        Kept { bytes: files::used_bytes(&path), path, kind, about: about.into(), stray: false }
    }

    fn stray(mut self, stray: bool) -> Self {
        self.stray = stray;
        self
    }

    pub fn json(&self) -> Value {
        json!({
            "path": shown(&self.path), "bytes": self.bytes, "kind": self.kind.name(), "about": self.about,
            "stray": self.stray,
        })
    }

    /// Removes it, unless somebody uses it by now. Gives whether it did.
    pub fn remove(&self, context: &Context) -> Result<bool> {
        let (path, cache) = (&self.path, context.env.cache());
        match self.kind {
            Kind::Clone => {
                let gone = || Workspace::root_of(path).is_some_and(|root| Workspace::is_gone(&root));
                let removed = stray::remove(path, gone)?;
                if removed && let Some(name) = path.file_name() {
                    remove_link(&context.env.links().join(name))?;
                }
                Ok(removed)
            }
            Kind::Leftover => stray::remove(path, || true),
            Kind::Link => remove_link(path),
            Kind::Ephemeral => stray::remove_ephemeral(path),
            Kind::Template => stray::remove_template(&cache, path),
            Kind::Download => download::remove_leftover(path),
            Kind::Worktree | Kind::Unknown | Kind::Cache | Kind::Foreign => Ok(false),
        }
    }
}

/// Removes a link that leads nowhere.
fn remove_link(path: &Path) -> Result<bool> {
    if !dangles(path) {
        return Ok(false);
    }
    std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(true)
}

fn dangles(path: &Path) -> bool {
    path.is_symlink() && matches!(path.try_exists(), Ok(false))
}

/// All that is kept.
pub fn list(context: &Context, launcher: &Launcher<'_>, workspace: Option<&Workspace>) -> Vec<Kept> {
    let env = &context.env;
    let mut kept = Vec::new();
    for place in [env.var_tmp(), env.links(), memory_folder(env.uid)] {
        if place.symlink_metadata().is_ok() && !files::is_own_folder(&place, env.uid) {
            let about = "is not a folder of ours: not used, not touched".to_owned();
            kept.push(Kept { path: place, bytes: 0, kind: Kind::Foreign, about, stray: false });
        }
    }
    if let Some(workspace) = workspace.filter(|workspace| workspace.state.is_dir()) {
        kept.push(Kept::new(Kind::Worktree, workspace.state.clone(), server(&workspace.state)));
    }
    if env.uid == 0 {
        kept.extend(states(&env.var_tmp(), env.uid, workspace));
    }
    let links = children(&env.links(), env.uid).into_iter().filter(|path| dangles(path));
    kept.extend(links.map(|path| Kept::new(Kind::Link, path, "leads nowhere").stray(true)));
    let beside = workspace.map(|workspace| workspace.state.join("ephemeral"));
    for parent in std::iter::once(memory_folder(env.uid)).chain(beside) {
        let unheld = stray::unheld(&parent, env.uid);
        for path in children(&parent, env.uid).into_iter().filter(|path| files::is_own_folder(path, env.uid))
        {
            let stray = unheld.contains(&path);
            let about =
                if stray { "left by a test run that was killed" } else { "of a test run that goes on" };
            kept.push(Kept::new(Kind::Ephemeral, path, about).stray(stray));
        }
    }
    kept.extend(cache(launcher, &env.cache(), env.uid));
    kept
}

/// What is in a folder, if that is ours; in /tmp and /dev/shm anybody can have made it.
fn children(parent: &Path, uid: u32) -> Vec<PathBuf> {
    if !files::is_own_folder(parent, uid) {
        return Vec::new();
    }
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// The states that are not in their worktrees: root's.
fn states(parent: &Path, uid: u32, here: Option<&Workspace>) -> Vec<Kept> {
    let here = here.map(|workspace| workspace.state.as_path());
    let folders = children(parent, uid).into_iter().filter(|path| files::is_own_folder(path, uid));
    folders
        .filter(|path| Some(path.as_path()) != here)
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            let hash = name.get(..8)?.bytes().all(|byte| byte.is_ascii_hexdigit());
            if hash && name.ends_with(".gone") {
                let free = !stray::is_held(&path);
                return Some(Kept::new(Kind::Leftover, path, "half removed").stray(free));
            }
            if !hash || name.len() != 8 {
                return None;
            }
            let Some(root) = Workspace::root_of(&path) else {
                return Some(Kept::new(Kind::Unknown, path, "does not say which clone it is of"));
            };
            let gone = Workspace::is_gone(&root);
            let held = gone && stray::is_held(&path);
            let about = match (gone, held) {
                (false, _) => format!("of {}", root.display()),
                (true, true) => format!("of {}, which is gone; still in use", root.display()),
                (true, false) => format!("of {}, which is gone", root.display()),
            };
            Some(Kept::new(Kind::Clone, path, about).stray(gone && !held))
        })
        .collect()
}

fn cache(launcher: &Launcher<'_>, cache: &Path, uid: u32) -> Vec<Kept> {
    if !files::is_own_folder(cache, uid) {
        return Vec::new();
    }
    let mut kept: Vec<Kept> = stray::templates(launcher, cache)
        .into_iter()
        .map(|template| {
            let stray = template.useless.is_some();
            let about = template.useless.unwrap_or_else(|| "what new clusters are copied from".to_owned());
            Kept::new(Kind::Template, template.path, about).stray(stray)
        })
        .collect();
    let templates = kept.len();
    let parts = download::leftovers(&cache.join("postgres")).into_iter();
    kept.extend(
        parts.map(|path| Kept::new(Kind::Download, path, "of a download that was cut off").stray(true)),
    );
    let mut rest = Kept::new(Kind::Cache, cache.to_path_buf(), "");
    rest.bytes = rest.bytes.saturating_sub(kept.iter().map(|kept| kept.bytes).sum());
    rest.about = match templates {
        0 => "no template cluster yet".to_owned(),
        number => format!("without its {}", count(number, "template cluster")),
    };
    kept.push(rest);
    kept
}

/// Whether the worktree's server is up.
fn server(state: &Path) -> String {
    let folder = Folder::new(state.join("cluster"));
    let Some(server) = folder.server() else { return "no cluster yet".to_owned() };
    let up = Cluster::is_up(&folder).unwrap_or(false);
    let how = match up {
        true if Cluster::in_use(&folder).unwrap_or(true) => "up, in use",
        true => "up",
        false => "down",
    };
    format!("PostgreSQL {} is {how}", server.version)
}
