//! Several files that change together.

#![cfg_attr(not(test), expect(dead_code, reason = "sync-actions will be its first user"))]

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{stage, sync_parent, write_atomic};

/// Writes that happen together: all old or all new, whenever the process is killed.
///
/// Every new content is staged beside its target; the journal that lists the renames makes the change
/// happen; [`Journal::recover`] finishes one that was cut off after that, and before it nothing changed.
#[derive(Default)]
pub struct Journal {
    writes: Vec<(PathBuf, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
struct Rename {
    staged: PathBuf,
    target: PathBuf,
}

impl Journal {
    /// Adds a file to write.
    pub fn write(&mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        self.writes.push((path.into(), bytes.into()));
    }

    /// Writes all files, through the journal `path`.
    pub fn commit(self, path: &Path) -> Result<()> {
        Self::recover(path)?;
        let mut renames = Vec::new();
        let mut staged_files = Vec::new();
        for (target, bytes) in self.writes {
            let staged =
                stage(&target, &bytes).with_context(|| format!("cannot write {}", target.display()))?;
            renames.push(Rename { staged: staged.path().to_path_buf(), target });
            staged_files.push(staged.into_temp_path());
        }
        write_atomic(path, &serde_json::to_vec_pretty(&renames)?)?;
        // From here on the staged files belong to the journal, not to this process.
        for staged in staged_files {
            staged.keep().context("cannot keep a staged file")?;
        }
        Self::recover(path)
    }

    /// Finishes what the journal `path` lists; does nothing when there is none.
    pub fn recover(path: &Path) -> Result<()> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let renames: Vec<Rename> = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not a journal of this tool", path.display()))?;
        for Rename { staged, target } in renames {
            match fs::rename(&staged, &target) {
                Ok(()) => sync_parent(&target)?,
                // Renamed before the cut.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot write {}", target.display()));
                }
            }
        }
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        sync_parent(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(folder: &Path) -> Vec<(String, String)> {
        let mut found: Vec<_> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| {
                (
                    entry.file_name().into_string().unwrap_or_default(),
                    fs::read_to_string(entry.path()).unwrap_or_default(),
                )
            })
            .collect();
        found.sort();
        found
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn all_files_change_and_nothing_else_stays() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "old")?;
        let mut journal = Journal::default();
        journal.write(at("a"), "new");
        journal.write(at("b"), "made");
        journal.commit(&at("journal"))?;
        assert_eq!(contents(folder.path()), pairs(&[("a", "new"), ("b", "made")]));
        Ok(())
    }

    #[test]
    fn a_write_that_cannot_be_staged_changes_nothing() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "old")?;
        let mut journal = Journal::default();
        journal.write(at("a"), "new");
        journal.write(at("no/such/folder"), "new");
        assert!(journal.commit(&at("journal")).is_err());
        assert_eq!(contents(folder.path()), pairs(&[("a", "old")]));
        Ok(())
    }

    #[test]
    fn what_was_cut_off_after_any_rename_is_finished_by_the_next_run() -> Result<()> {
        for done in 0..=2 {
            let folder = tempfile::tempdir()?;
            let at = |name: &str| folder.path().join(name);
            let mut renames = Vec::new();
            for (index, name) in ["a", "b"].iter().enumerate() {
                let target = at(name);
                let staged = at(&format!("staged-{name}"));
                // Before the cut, `done` of them were renamed.
                let (new, old) = if index < done { (&target, None) } else { (&staged, Some(&target)) };
                fs::write(new, "new")?;
                old.map(|old| fs::write(old, "old")).transpose()?;
                renames.push(Rename { staged, target });
            }
            fs::write(at("journal"), serde_json::to_vec(&renames)?)?;
            Journal::recover(&at("journal"))?;
            assert_eq!(contents(folder.path()), pairs(&[("a", "new"), ("b", "new")]), "{done} renamed");
        }
        Ok(())
    }
}
