//! Several files that change together.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::found::Found;
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

/// Which paths from the root a journal may be about. It lies in the worktree, where anybody's commit could have put one.
pub type May = fn(&Path) -> bool;

/// The SHA-256 of a file's bytes. `None`: there is no file.
pub type Was = Option<[u8; 32]>;

/// What a file is before it changes.
pub fn was(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What [`Journal::recover`] did.
#[derive(Debug, Default)]
pub struct Recovered {
    /// How many files it was about.
    pub files: usize,
    /// What somebody wrote after the cut, where it was put.
    pub rescued: Vec<PathBuf>,
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
    was: Was,
}

impl Journal {
    /// Whether nothing would happen.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Adds a file to write, by its path from the root, that is `was` before.
    pub fn write(&mut self, path: impl Into<PathBuf>, bytes: &[u8], executable: bool, was: Was) {
        self.changes.push(Change { path: path.into(), length: Some(bytes.len()), executable, was });
        self.contents.extend_from_slice(bytes);
    }

    /// Adds a file to remove, that is `was` before.
    pub fn remove(&mut self, path: impl Into<PathBuf>, was: Was) {
        self.changes.push(Change { path: path.into(), length: None, executable: false, was });
    }

    /// Refuses when a file is not any more what it was when it was read.
    pub fn is_current(&self, root: &Path) -> Result<()> {
        self.changes.iter().try_for_each(|change| change.is_current(root))
    }

    /// Does it all, through the journal `path`, which must be in the file system of `root`. Gives where that was put which
    /// somebody wrote in the meantime.
    pub fn commit(mut self, root: &Path, path: &Path, may: May) -> Result<Vec<PathBuf>> {
        Self::recover(root, path, may)?;
        for change in &self.changes {
            change.stays_below(root, path, may)?;
            change.can_happen(root)?;
        }
        let mut text = serde_json::to_vec(&self.changes)?;
        text.push(b'\n');
        text.append(&mut self.contents);
        self.is_current(root)?;
        write_atomic(path, &text)?;
        Ok(Self::recover(root, path, may)?.rescued)
    }

    /// Finishes what the journal `path` lists.
    pub fn recover(root: &Path, path: &Path, may: May) -> Result<Recovered> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Recovered::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
        let strange = || not_ours(root, path, "it is not a journal of this tool");
        let changes: Vec<Change> = serde_json::from_slice(&text[..end]).map_err(|_| strange())?;
        // All of it is looked at before the first change.
        let mut rest = text.get(end + 1..).unwrap_or_default();
        let mut contents = Vec::with_capacity(changes.len());
        for change in &changes {
            change.stays_below(root, path, may)?;
            let (bytes, after) = rest.split_at_checked(change.length.unwrap_or(0)).ok_or_else(strange)?;
            contents.push(bytes);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(strange().into());
        }
        let mut found = Found { journal: path, folder: None, rescued: Vec::new() };
        for (change, bytes) in changes.iter().zip(contents) {
            change
                .happen(root, &mut found, bytes)
                .with_context(|| format!("cannot write {}", change.path.display()))?;
        }
        // The journal goes when what it did cannot be lost any more.
        sync_tree(root).with_context(|| format!("cannot sync {}", root.display()))?;
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        sync_parent(path)?;
        Ok(Recovered { files: changes.len(), rescued: found.rescued })
    }
}

/// A journal that this tool has not written.
fn not_ours(root: &Path, journal: &Path, why: &str) -> Failure {
    let journal = journal.strip_prefix(root).unwrap_or(journal).display();
    Failure::new(Code::Failed, format!("{journal} is not followed: {why}"))
        .next(format!("rm {journal}      (after a look at whose it is)"))
}

impl Change {
    /// Refuses what leads out of `root`, by its name or through a link, what git alone writes, and what `may` does not know.
    fn stays_below(&self, root: &Path, journal: &Path, may: May) -> Result<()> {
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(name) if !name.eq_ignore_ascii_case(".git"));
        if self.path.components().count() == 0 || !self.path.components().all(is_plain) || !may(&self.path) {
            let path = self.path.display().to_string().escape_default().to_string();
            return Err(
                not_ours(root, journal, &format!("{path} is none of the files it can be about")).into()
            );
        }
        let is_link = |folder: &&Path| {
            !folder.as_os_str().is_empty()
                && fs::symlink_metadata(root.join(folder)).is_ok_and(|about| about.is_symlink())
        };
        match self.path.ancestors().skip(1).find(is_link) {
            None => Ok(()),
            Some(link) => Err(through_a_link(link).into()),
        }
    }

    /// Refuses a file that is not any more what it was when it was read.
    fn is_current(&self, root: &Path) -> Result<()> {
        let target = root.join(&self.path);
        let now = match fs::symlink_metadata(&target) {
            Ok(about) if about.is_symlink() => return Err(through_a_link(&self.path).into()),
            Ok(about) if about.is_file() => fs::read(&target).map(|bytes| Some(was(&bytes))),
            Ok(_) => Ok(Some([0; 32])),
            Err(_) => Ok(None),
        };
        let path = self.path.display();
        if now.with_context(|| format!("cannot read {path}"))? == self.was {
            return Ok(());
        }
        let what = format!("{path} changed meanwhile; nothing was written");
        Err(Failure::new(Code::Failed, what).next("the same command").into())
    }

    /// Whether the folder can be written: what fails here has not begun.
    fn can_happen(&self, root: &Path) -> Result<()> {
        use rustix::fs::{Access, access};
        let folder =
            self.path.ancestors().skip(1).map(|folder| root.join(folder)).find(|folder| folder.exists());
        access(folder.as_deref().unwrap_or(root), Access::WRITE_OK | Access::EXEC_OK)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn happen(&self, root: &Path, aside: &mut Found<'_>, bytes: &[u8]) -> io::Result<()> {
        let target = root.join(&self.path);
        let there = match fs::symlink_metadata(&target) {
            Ok(about) if about.is_file() => Some((fs::read(&target)?, about.permissions().mode())),
            _ => None,
        };
        if let Some((found, _)) = &there
            && self.was != Some(was(found))
            && (self.length.is_none() || found != bytes)
        {
            aside.keep(&self.path, found)?;
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
        let staged = beside(aside.journal, "next");
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

fn through_a_link(link: &Path) -> Failure {
    let link = link.display();
    Failure::new(Code::Failed, format!("{link} is a symbolic link, and nothing is written through one"))
        .next(format!("make it a file or a folder of its own: rm {link}"))
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
        journal.write("a", b"new", false, Some(was(b"old")));
        journal.write("below/b", b"made", true, None);
        journal.remove("gone/c", Some(was(b"old")));
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
        journal().commit(folder.path(), &folder.path().join("journal"), |_| true)?;
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
        assert!(
            journal().commit(folder.path(), &folder.path().join("no/such/folder/journal"), |_| true).is_err()
        );
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
            let cut = journal();
            let mut text = serde_json::to_vec(&cut.changes)?;
            text.push(b'\n');
            text.extend_from_slice(&cut.contents);
            fs::write(&path, text)?;
            let mut aside = Found { journal: &path, folder: None, rescued: Vec::new() };
            for (change, bytes) in cut.changes.iter().zip([b"new".as_slice(), b"made", b""]).take(done) {
                change.happen(folder.path(), &mut aside, bytes)?;
            }
            if let Some(wrote) = wrote {
                fs::write(folder.path().join("a"), wrote)?;
            }
            let recovered = Journal::recover(folder.path(), &path, |_| true)?;
            let mut wanted = pairs(&[("a", "new"), ("below/b", "made")]);
            if let Some(wrote) = wrote {
                let [rescued] = recovered.rescued.as_slice() else { anyhow::bail!("{recovered:?}") };
                assert!(rescued.starts_with(folder.path().join("journal.found")) && rescued.ends_with("a"));
                let rescued = rescued.strip_prefix(folder.path())?.display().to_string();
                wanted.push((rescued, wrote.to_owned()));
            }
            assert_eq!(contents(folder.path()), wanted, "{done} done");
        }
        Ok(())
    }

    #[test]
    fn what_was_saved_meanwhile_changes_nothing() -> Result<()> {
        for name in ["a", "below/b", "gone/c"] {
            let folder = folder()?;
            fs::create_dir(folder.path().join("below"))?;
            fs::write(folder.path().join(name), "saved")?;
            let before = contents(folder.path());
            let said = journal().commit(folder.path(), &folder.path().join("journal"), |_| true);
            let said = said.map_err(|error| error.to_string());
            assert_eq!(said, Err(format!("{name} changed meanwhile; nothing was written")));
            assert_eq!(contents(folder.path()), before);
        }
        Ok(())
    }

    #[test]
    fn a_journal_is_looked_at_as_a_whole_before_the_first_change() -> Result<()> {
        for (path, more) in [("no", ""), (".git/x", ""), (".GIT/x", ""), ("../x", ""), ("b", "too much")] {
            let folder = folder()?;
            let mut bad = Journal::default();
            bad.write("a", b"new", false, Some(was(b"old")));
            bad.write(path, b"x", true, None);
            let mut text = serde_json::to_vec(&bad.changes)?;
            text.push(b'\n');
            text.extend_from_slice(&bad.contents);
            text.extend_from_slice(more.as_bytes());
            fs::write(folder.path().join("journal"), text)?;
            let before = contents(folder.path());
            let done = Journal::recover(folder.path(), &folder.path().join("journal"), |path| {
                path != Path::new("no")
            });
            assert!(done.is_err(), "{path}");
            assert_eq!(contents(folder.path()), before, "{path}");
        }
        Ok(())
    }
}
