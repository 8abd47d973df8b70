//! A conflict that nobody has decided yet, and where it is kept: `.xtask/actions/` in the worktree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::decide::{Decided, Outcome, Side};
use super::source::Target;
use super::text::Sum;
use super::{Files, lock::Lock};
use crate::files::{remove_folder, write_atomic};

/// What a run keeps in the worktree, beside what git tracks.
#[derive(Clone, Debug)]
pub struct Folders(pub PathBuf);

impl Folders {
    /// What an update is about to do.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// One run at a time.
    pub fn guard(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Base, ours and theirs of each file in conflict.
    pub fn conflict(&self) -> PathBuf {
        self.0.join("conflict")
    }

    /// What was overwritten or removed after somebody had edited it.
    pub fn backup(&self) -> PathBuf {
        self.0.join("backup")
    }

    /// Where git merges files.
    pub fn scratch(&self) -> PathBuf {
        self.0.join("merge")
    }

    fn record(&self) -> PathBuf {
        self.conflict().join("open.json")
    }
}

/// An update that waits for somebody.
#[derive(Debug, Serialize, Deserialize)]
pub struct Open {
    /// What would have been pulled: [`fingerprint`].
    to: String,
    /// What that is called.
    pub name: String,
    /// The files that nobody has decided upon.
    pub paths: Vec<String>,
    /// What was decided, and about which content.
    decided: BTreeMap<String, (Side, Option<String>)>,
}

/// Tells one set of files to pull from another.
pub fn fingerprint(target: &Target, files: &Files) -> String {
    let all = || {
        files
            .iter()
            .map(|(path, file)| format!("{path} {} {}\n", file.sum, file.executable))
            .collect::<String>()
    };
    target.commit.clone().unwrap_or_else(|| Sum::of(all().as_bytes()).to_string())
}

impl Open {
    /// The update that waits, if one does. One that was pulled since does not.
    pub fn read(folders: &Folders, lock: Option<&Lock>) -> Result<Option<Self>> {
        let Ok(text) = std::fs::read(folders.record()) else { return Ok(None) };
        let open: Open = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not of this tool; remove it", folders.record().display()))?;
        let pulled = lock.and_then(|lock| lock.commit.as_ref()).is_some_and(|commit| *commit == open.to);
        Ok((!pulled).then_some(open))
    }

    /// What was decided before about the same update, where the file here is still the one that was decided upon.
    pub fn sides(&self, to: &str, sum: impl Fn(&str) -> Option<String>) -> BTreeMap<String, Side> {
        let same = self.decided.iter().filter(|(path, (_, was))| self.to == to && sum(path) == *was);
        same.map(|(path, (side, _))| (path.clone(), *side)).collect()
    }

    /// Keeps what is needed to decide.
    pub fn keep(
        folders: &Folders,
        to: String,
        name: &str,
        outcomes: &[Outcome],
        decided: &Decided,
        sum: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        let folder = folders.conflict();
        remove_folder(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        let mut paths = Vec::new();
        for (outcome, conflict) in outcomes.iter().filter_map(|one| Some((one, one.conflict.as_ref()?))) {
            paths.push(outcome.path.clone());
            for (bytes, label) in conflict.three.iter().zip(["base", "yours", "theirs"]) {
                let path = folder.join(format!("{}.{label}", outcome.path));
                if let Some(bytes) = bytes {
                    write(&path, bytes)?;
                }
            }
        }
        let decided = decided.sides.iter().map(|(path, side)| (path.clone(), (*side, sum(path)))).collect();
        let open = Open { to, name: name.to_owned(), paths, decided };
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        write_atomic(&folders.record(), &serde_json::to_vec_pretty(&open)?)
    }

    /// Nothing waits any more.
    pub fn clear(folders: &Folders) -> Result<()> {
        let folder = folders.conflict();
        remove_folder(&folder).with_context(|| format!("cannot remove {}", folder.display()))
    }
}

/// Writes a file into folders that need not be there.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
