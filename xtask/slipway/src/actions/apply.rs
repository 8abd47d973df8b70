//! Everything that is written, in one step: backups first, then all files and the lock through a journal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::decide::Outcome;
use super::here::Here;
use super::lock::Lock;
use super::open::{Folders, write};
use super::tool::{self, ToolLine};
use super::{FOLDER, LOCK};
use crate::failure::{Code, Failure};
use crate::files::{Journal, Recovered, Was, sync_tree, was};

/// What was done.
#[derive(Debug, Default)]
pub struct Applied {
    /// Files that were written or removed, without the lock.
    pub files: usize,
    /// Whether the lock has changed.
    pub lock: bool,
    /// Where edits that were overwritten are.
    pub backup: Option<PathBuf>,
    /// What somebody saved while it was written, where it was put.
    pub rescued: Vec<PathBuf>,
}

/// Where an update writes, and nowhere else.
fn may(path: &Path) -> bool {
    path != Path::new(FOLDER) && path.starts_with(FOLDER) || path == Path::new(tool::PATH)
}

/// What was at a path when it was looked at.
fn seen(here: &BTreeMap<String, Here>, path: &str) -> Was {
    match here.get(path) {
        Some(Here::File { bytes, .. }) => Some(was(bytes)),
        _ => None,
    }
}

/// Finishes an update that was killed.
pub fn finish(root: &Path, folders: &Folders) -> Result<Recovered> {
    Journal::recover(root, &folders.journal(), may)
}

/// An error after which the update is half done: says that it is not lost.
fn begun(error: anyhow::Error, folders: &Folders) -> anyhow::Error {
    if error.is::<Failure>() || !folders.journal().exists() {
        return error;
    }
    let why = error.chain().skip(1).map(ToString::to_string).collect::<Vec<_>>().join(": ");
    Failure::new(Code::Failed, error.to_string())
        .why(why)
        .fact("kept", "what is still to be written: .xtask/actions/journal")
        .next("cargo xtask sync-actions      finishes it, once that is mended")
        .into()
}

/// Writes what was decided, and `lock` last, unless a file is not any more as it is in `here`, which has the lock too.
/// `stamp` names the backup.
pub fn apply(
    root: &Path,
    folders: &Folders,
    here: &BTreeMap<String, Here>,
    outcomes: &[Outcome],
    tool: Option<&ToolLine>,
    lock: &Lock,
    stamp: &str,
) -> Result<Applied> {
    let mut journal = Journal::default();
    let mut applied = Applied::default();
    let mut edits = Vec::new();
    for Outcome { path, from, write: new, remove, remove_from, backup: edited, .. } in outcomes {
        if *edited {
            let old = [Some(path), from.as_ref()].into_iter().flatten();
            edits.extend(old.filter_map(|old| match here.get(old)? {
                Here::File { bytes, .. } => Some((old, bytes)),
                _ => None,
            }));
        }
        if let Some((bytes, executable)) = new {
            journal.write(path, bytes, *executable, seen(here, path));
        }
        if *remove {
            journal.remove(path, seen(here, path));
        }
        if let Some(from) = from.as_ref().filter(|_| *remove_from) {
            journal.remove(from, seen(here, from));
        }
        applied.files += usize::from(new.is_some() || *remove || *remove_from);
    }
    if let Some(tool) = tool {
        journal.write(&tool.path, tool.text.as_bytes(), tool.executable, Some(was(tool.before.as_bytes())));
        applied.files += 1;
    }
    let text = lock.text();
    let (was, executable) = match here.get(LOCK) {
        Some(Here::File { bytes, executable, .. }) => (bytes.as_slice(), *executable),
        _ => (b"".as_slice(), false),
    };
    if was != text.as_bytes() {
        journal.write(LOCK, text.as_bytes(), executable, seen(here, LOCK));
        applied.lock = true;
    }
    journal.is_current(root)?;
    let backup = folders.backup().join(stamp);
    for (path, bytes) in &edits {
        write(&backup.join(path), bytes)?;
    }
    if !edits.is_empty() {
        sync_tree(&backup)?;
        applied.backup = Some(backup);
    }
    if !journal.is_empty() {
        applied.rescued =
            journal.commit(root, &folders.journal(), may).map_err(|error| begun(error, folders))?;
    }
    Ok(applied)
}
