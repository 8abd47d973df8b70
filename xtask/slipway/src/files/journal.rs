//! Several files that change together.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{beside, sync_parent, sync_tree, write_atomic};
use crate::failure::{Code, Failure};

/// Writes and removals that happen together: all old or all new, whenever the process is killed.
///
/// The journal holds all new contents. Before it is there, whole and on the disk, nothing changes; from then on
/// [`Journal::recover`] brings everything to its end, however often that is cut off.
#[derive(Default)]
pub struct Journal {
    changes: Vec<Change>,
    contents: Vec<u8>,
}

/// One file. Contents follow the list of these, in its order.
#[derive(Serialize, Deserialize)]
struct Change {
    /// From the root.
    path: PathBuf,
    /// How many bytes it gets; it is removed where there are none.
    length: Option<usize>,
    /// Whether it can be executed.
    executable: bool,
    /// The SHA-256 of what it was, so that what somebody wrote after a cut is seen.
    was: Option<[u8; 32]>,
}

impl Journal {
    /// Whether nothing would happen.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Adds a file to write, by its path from the root.
    pub fn write(&mut self, path: impl Into<PathBuf>, bytes: &[u8], executable: bool) {
        self.changes.push(Change { path: path.into(), length: Some(bytes.len()), executable, was: None });
        self.contents.extend_from_slice(bytes);
    }

    /// Adds a file to remove.
    pub fn remove(&mut self, path: impl Into<PathBuf>) {
        self.changes.push(Change { path: path.into(), length: None, executable: false, was: None });
    }

    /// Does it all, through the journal `path`, which must be in the file system of `root`.
    pub fn commit(mut self, root: &Path, path: &Path) -> Result<()> {
        Self::recover(root, path)?;
        for change in &mut self.changes {
            change.stays_below(root)?;
            change.can_happen(root)?;
            change.was = fs::read(root.join(&change.path)).ok().map(|bytes| Sha256::digest(&bytes).into());
        }
        let mut text = serde_json::to_vec(&self.changes)?;
        text.push(b'\n');
        text.append(&mut self.contents);
        write_atomic(path, &text)?;
        Self::recover(root, path).map(drop)
    }

    /// Finishes what the journal `path` lists. Gives how many files that were.
    pub fn recover(root: &Path, path: &Path) -> Result<usize> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
        let changes: Vec<Change> = serde_json::from_slice(&text[..end])
            .with_context(|| format!("{} is not a journal of this tool", path.display()))?;
        // The journal lies in the worktree, where anybody's commit could have put one.
        changes.iter().try_for_each(|change| change.stays_below(root))?;
        let mut rest = text.get(end + 1..).unwrap_or_default();
        for change in &changes {
            let (bytes, after) =
                rest.split_at_checked(change.length.unwrap_or(0)).context("a cut journal")?;
            rest = after;
            change
                .happen(root, path, bytes)
                .with_context(|| format!("cannot write {}", change.path.display()))?;
        }
        // The journal goes when what it did cannot be lost any more.
        sync_tree(root).with_context(|| format!("cannot sync {}", root.display()))?;
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        sync_parent(path)?;
        Ok(changes.len())
    }
}

impl Change {
    /// Refuses what leads out of `root`, by its name or through a link.
    fn stays_below(&self, root: &Path) -> Result<()> {
        let refuse = |what: String| Failure::new(Code::Failed, what);
        let mut parts = self.path.components();
        if parts.clone().count() == 0 || !parts.all(|part| matches!(part, Component::Normal(_))) {
            let path = self.path.display().to_string().escape_default().to_string();
            return Err(refuse(format!("{path} is not below this repository; its journal is not ours"))
                .next("rm .xtask/actions/journal      (after a look at whose it is)")
                .into());
        }
        let is_link = |folder: &&Path| {
            !folder.as_os_str().is_empty()
                && fs::symlink_metadata(root.join(folder)).is_ok_and(|about| about.is_symlink())
        };
        match self.path.ancestors().skip(1).find(is_link).map(Path::display) {
            None => Ok(()),
            Some(link) => {
                Err(refuse(format!("{link} is a symbolic link, and nothing is written through one"))
                    .next(format!("make it a folder of its own: rm {link}"))
                    .into())
            }
        }
    }

    /// Whether the folder can be written: what fails here has not begun.
    fn can_happen(&self, root: &Path) -> Result<()> {
        use rustix::fs::{Access, access};
        let folder =
            self.path.ancestors().skip(1).map(|folder| root.join(folder)).find(|folder| folder.exists());
        access(folder.as_deref().unwrap_or(root), Access::WRITE_OK | Access::EXEC_OK)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn happen(&self, root: &Path, journal: &Path, bytes: &[u8]) -> io::Result<()> {
        let target = root.join(&self.path);
        let there = match fs::symlink_metadata(&target) {
            Ok(about) if about.is_file() => Some((fs::read(&target)?, about.permissions().mode())),
            _ => None,
        };
        if let Some((found, _)) = &there {
            let sum: [u8; 32] = Sha256::digest(found).into();
            if self.was != Some(sum) && (self.length.is_none() || found != bytes) {
                // Written by somebody since the cut. It is not ours to lose.
                let aside = beside(journal, "found").join(&self.path);
                fs::create_dir_all(aside.parent().unwrap_or(root))?;
                fs::write(aside, found)?;
            }
        }
        if self.length.is_none() {
            return match fs::remove_file(&target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => {
                    remove_empty(root, &target);
                    Ok(())
                }
            };
        }
        let mode = match there {
            Some((found, mode)) if found == bytes && (mode & 0o100 != 0) == self.executable => return Ok(()),
            Some((_, mode)) if (mode & 0o100 != 0) == self.executable => Some(mode & 0o7777),
            // Who may read may execute.
            Some((_, mode)) if self.executable => Some((mode | (mode & 0o444) >> 2) & 0o7777),
            Some((_, mode)) => Some(mode & 0o7666),
            None => None,
        };
        fs::create_dir_all(target.parent().unwrap_or(root))?;
        // Not beside the target: nobody shall find half a file there.
        let staged = beside(journal, "next");
        let _ = fs::remove_file(&staged);
        // As git does it: the user's umask decides.
        let new = if self.executable { 0o777 } else { 0o666 };
        let mut file = File::options().write(true).create_new(true).mode(new).open(&staged)?;
        file.write_all(bytes)?;
        if let Some(mode) = mode {
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        fs::rename(&staged, &target)
    }
}

/// Removes the folders above a removed file that are empty now. git does not know them.
fn remove_empty(root: &Path, file: &Path) {
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != root && folder.starts_with(root)) {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(folder: &Path) -> Vec<(String, String)> {
        let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
        let files = files.filter(|entry| entry.file_type().is_file());
        files
            .map(|entry| {
                let name = entry.path().strip_prefix(folder).unwrap_or(entry.path()).display().to_string();
                (name, fs::read_to_string(entry.path()).unwrap_or_default())
            })
            .collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn journal() -> Journal {
        let mut journal = Journal::default();
        journal.write("a", b"new", false);
        journal.write("below/b", b"made", true);
        journal.remove("gone/c");
        journal
    }

    fn folder() -> Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("a"), "old")?;
        fs::create_dir(folder.path().join("gone"))?;
        fs::write(folder.path().join("gone/c"), "old")?;
        Ok(folder)
    }

    #[test]
    fn all_files_change_and_nothing_else_stays() -> Result<()> {
        let folder = folder()?;
        journal().commit(folder.path(), &folder.path().join("journal"))?;
        assert_eq!(contents(folder.path()), pairs(&[("a", "new"), ("below/b", "made")]));
        assert!(!folder.path().join("gone").exists());
        let mode = |name: &str| {
            Ok::<_, io::Error>(fs::metadata(folder.path().join(name))?.permissions().mode() & 0o100)
        };
        assert_eq!((mode("a")?, mode("below/b")?), (0, 0o100));
        Ok(())
    }

    #[test]
    fn what_cannot_be_written_down_changes_nothing() -> Result<()> {
        let folder = folder()?;
        assert!(journal().commit(folder.path(), &folder.path().join("no/such/folder/journal")).is_err());
        assert_eq!(contents(folder.path()), pairs(&[("a", "old"), ("gone/c", "old")]));
        Ok(())
    }

    #[test]
    fn a_journal_is_finished_wherever_it_was_cut_and_loses_nobodys_bytes() -> Result<()> {
        // A cut before the first change, after each of them, and after somebody wrote into a file.
        for (done, wrote) in
            [(0, None), (1, None), (2, None), (3, None), (1, Some("mine")), (0, Some("mine"))]
        {
            let folder = folder()?;
            let path = folder.path().join("journal");
            let mut cut = journal();
            for change in &mut cut.changes {
                change.was =
                    fs::read(folder.path().join(&change.path)).ok().map(|was| Sha256::digest(&was).into());
            }
            let mut text = serde_json::to_vec(&cut.changes)?;
            text.push(b'\n');
            text.extend_from_slice(&cut.contents);
            fs::write(&path, text)?;
            for (change, bytes) in cut.changes.iter().zip([b"new".as_slice(), b"made", b""]).take(done) {
                change.happen(folder.path(), &path, bytes)?;
            }
            if let Some(wrote) = wrote {
                fs::write(folder.path().join("a"), wrote)?;
            }
            Journal::recover(folder.path(), &path)?;
            let mut wanted = pairs(&[("a", "new"), ("below/b", "made")]);
            if let Some(wrote) = wrote {
                wanted.push(("journal.found/a".to_owned(), wrote.to_owned()));
            }
            assert_eq!(contents(folder.path()), wanted, "{done} done");
        }
        Ok(())
    }
}
