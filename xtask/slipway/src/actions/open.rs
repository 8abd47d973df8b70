//! A conflict that nobody has decided yet, and where it is kept: `.xtask/actions/` in the worktree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::decide::{Decided, Outcome, Side};
use super::source::Target;
use super::text::Sum;
use super::{Files, lock::Lock};
use crate::files::{self, beside, remove_folder, set_aside, write_atomic};

/// The file of an update that waits.
const RECORD: &str = "open.json";

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

    /// What [`Folders::conflict`] will be.
    fn next_conflict(&self) -> PathBuf {
        beside(&self.conflict(), "next")
    }

    /// Removes what killed runs have left. Only for who holds the guard.
    pub fn sweep(&self) {
        files::sweep(&self.0);
        let is_gone = |entry: &std::fs::DirEntry| {
            entry.file_name().as_encoded_bytes().ends_with(b".gone") || entry.path() == self.next_conflict()
        };
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        for entry in entries.filter(is_gone) {
            // Of a link, the link goes, and not what it leads to.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }

    fn record(&self) -> PathBuf {
        self.conflict().join(RECORD)
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

    /// Keeps what is needed to decide: all of it, or what was kept before.
    pub fn keep(
        folders: &Folders,
        to: String,
        name: &str,
        outcomes: &[Outcome],
        decided: &Decided,
        sum: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        let folder = folders.next_conflict();
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
        write_atomic(&folder.join(RECORD), &serde_json::to_vec_pretty(&open)?)?;
        let whole = folders.conflict();
        let swap = || {
            let old = set_aside(&whole)?;
            std::fs::rename(&folder, &whole)?;
            old.map_or(Ok(()), std::fs::remove_dir_all)
        };
        swap().with_context(|| format!("cannot write {}", whole.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_kept_whole_and_what_killed_runs_left_goes() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let folders = Folders(folder.path().to_path_buf());
        let keep = |name: &str| {
            let decided = Decided { sides: BTreeMap::new(), markers: false };
            Open::keep(&folders, "to".to_owned(), name, &[], &decided, |_| None)
        };
        let kept = || Ok::<_, anyhow::Error>(Open::read(&folders, None)?.map(|open| open.name));
        for left in ["conflict.next/.github/x.base", "conflict.next/open.json", "conflict.7.gone/open.json"] {
            write(&folders.0.join(left), b"half")?;
        }
        assert_eq!(kept()?, None);
        keep("first")?;
        assert_eq!(kept()?.as_deref(), Some("first"));
        keep("second")?;
        assert_eq!(kept()?.as_deref(), Some("second"));
        write(&folders.0.join("conflict.next/open.json"), b"half")?;
        folders.sweep();
        let left = std::fs::read_dir(&folders.0)?.map(|entry| Ok(entry?.file_name()));
        assert_eq!(left.collect::<Result<Vec<_>>>()?, ["conflict"]);
        Ok(())
    }
}
