//! Everything that is written, in one step: backups first, then all files and the lock through a journal.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::LOCK;
use super::decide::Outcome;
use super::lock::Lock;
use super::open::{Folders, write};
use super::tool::ToolLine;
use crate::failure::{Code, Failure};
use crate::files::{Journal, sync_tree};

/// What was done.
#[derive(Debug, Default)]
pub struct Applied {
    /// Files that were written or removed, without the lock.
    pub files: usize,
    /// Whether the lock has changed.
    pub lock: bool,
    /// Where edits that were overwritten are.
    pub backup: Option<PathBuf>,
}

/// Finishes an update that was killed. Gives how many files it was about.
pub fn finish(root: &Path, folders: &Folders) -> Result<usize> {
    Journal::recover(root, &folders.journal())
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

/// Writes what was decided, and `lock` last. `stamp` names the backup.
pub fn apply(
    root: &Path,
    folders: &Folders,
    outcomes: &[Outcome],
    tool: Option<&ToolLine>,
    lock: &Lock,
    stamp: &str,
) -> Result<Applied> {
    let mut journal = Journal::default();
    let mut applied = Applied::default();
    let backup = folders.backup().join(stamp);
    for Outcome { path, from, write: new, remove, remove_from, backup: edited, .. } in outcomes {
        if *edited {
            for old in [Some(path), from.as_ref()].into_iter().flatten() {
                if let Ok(bytes) = std::fs::read(root.join(old)) {
                    write(&backup.join(old), &bytes)?;
                    applied.backup = Some(backup.clone());
                }
            }
        }
        if let Some((bytes, executable)) = new {
            journal.write(path, bytes, *executable);
        }
        if *remove {
            journal.remove(path);
        }
        if let Some(from) = from.as_ref().filter(|_| *remove_from) {
            journal.remove(from);
        }
        applied.files += usize::from(new.is_some() || *remove || *remove_from);
    }
    if let Some(tool) = tool {
        journal.write(&tool.path, tool.text.as_bytes(), false);
        applied.files += 1;
    }
    let text = lock.text();
    if std::fs::read_to_string(root.join(LOCK)).ok().as_ref() != Some(&text) {
        journal.write(LOCK, text.as_bytes(), false);
        applied.lock = true;
    }
    if applied.backup.is_some() {
        sync_tree(&backup)?;
    }
    if !journal.is_empty() {
        journal.commit(root, &folders.journal()).map_err(|error| begun(error, folders))?;
    }
    Ok(applied)
}
