//! Unpacks a tar.gz. Its sum was right, and still nothing of it may lie, or lead, outside.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

use crate::failure::{Code, Failure};

/// More than any archive of ours has: a small file can unpack to a full disk.
const BYTES: u64 = 2 * 1024 * 1024 * 1024;
const ENTRIES: usize = 100_000;

/// Unpacks `archive` into the new folder `target`, without the one folder that all of it lies in. Modes are
/// 0755 and 0644 whatever the umask: under root another account runs it.
pub(super) fn unpack(archive: &Path, target: &Path) -> Result<()> {
    let file = File::open(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    let tree = Tree { root: target, folders: BTreeSet::new() };
    tree.fill(GzDecoder::new(BufReader::new(file)))
}

/// The folder that is filled.
struct Tree<'a> {
    root: &'a Path,
    /// Folders that we made, which therefore are no links.
    folders: BTreeSet<PathBuf>,
}

impl Tree<'_> {
    fn fill(mut self, stream: impl Read) -> Result<()> {
        self.folder(Path::new(""))?;
        let mut archive = Archive::new(stream);
        let (mut left, mut count, mut top) = (BYTES, 0, None);
        for entry in archive.entries().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            let kind = entry.header().entry_type();
            if kind == EntryType::XGlobalHeader {
                continue;
            }
            let shown = entry.path().map_err(broken)?.into_owned();
            let Some((first, path)) = inside(&shown) else { return Err(refuse(&shown, "leads outside")) };
            // The folder that all of it lies in.
            if *top.get_or_insert_with(|| first.clone()) != first {
                return Err(refuse(&shown, "is beside the archive's one folder"));
            }
            count += 1;
            let size = entry.size();
            left = match left.checked_sub(size).filter(|_| count <= ENTRIES) {
                Some(left) => left,
                None => return Err(refuse(&shown, "makes more than 2 GB, or 100,000 files, of it")),
            };
            if path.as_os_str().is_empty() {
                if kind.is_dir() {
                    continue;
                }
                return Err(refuse(&shown, "is no folder"));
            }
            let link = entry.link_name().map_err(broken)?.map(std::borrow::Cow::into_owned);
            match (kind, link) {
                (EntryType::Directory, _) => self.folder(&path)?,
                (EntryType::Regular | EntryType::Continuous, _) => {
                    let program = entry.header().mode().map_err(broken)? & 0o111 != 0;
                    self.file(&path, &mut entry, if program { 0o755 } else { 0o644 })?;
                }
                (EntryType::Symlink, Some(to)) if stays(&path, &to) => {
                    let path = self.place(&path)?;
                    std::os::unix::fs::symlink(to, &path).map_err(|error| cannot(&path, error))?;
                }
                (EntryType::Link, Some(to)) => {
                    let Some((_, to)) = inside(&to).filter(|(found, _)| *found == first) else {
                        return Err(refuse(&shown, "is a link that leads outside"));
                    };
                    let (to, path) = (self.existing(&to, &shown)?, self.place(&path)?);
                    fs::hard_link(to, &path).map_err(|error| cannot(&path, error))?;
                }
                (EntryType::Symlink, _) => return Err(refuse(&shown, "is a link that leads outside")),
                _ => return Err(refuse(&shown, "is neither a file, a folder nor a link")),
            }
        }
        Ok(())
    }

    /// Makes a folder and those above it.
    fn folder(&mut self, path: &Path) -> Result<()> {
        if self.folders.contains(path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let full = self.root.join(path);
        // Fails where a link is in its place.
        fs::DirBuilder::new()
            .mode(0o755)
            .create(&full)
            .and_then(|()| fs::set_permissions(&full, fs::Permissions::from_mode(0o755)))
            .map_err(|error| cannot(&full, error))?;
        self.folders.insert(path.to_path_buf());
        Ok(())
    }

    /// Where `path` goes: below folders that we made.
    fn place(&mut self, path: &Path) -> Result<PathBuf> {
        self.folder(path.parent().unwrap_or(Path::new("")))?;
        Ok(self.root.join(path))
    }

    fn file(&mut self, path: &Path, content: &mut impl Read, mode: u32) -> Result<()> {
        let path = self.place(path)?;
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .map_err(|error| cannot(&path, error))?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = content.read(&mut buffer).map_err(broken)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            file.write_all(bytes).map_err(|error| cannot(&path, error))?;
        }
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(|error| cannot(&path, error))
    }

    /// A file of ours that a hard link can name.
    fn existing(&self, path: &Path, shown: &Path) -> Result<PathBuf> {
        let full = self.root.join(path);
        let real = path.parent().is_some_and(|parent| self.folders.contains(parent))
            && fs::symlink_metadata(&full).is_ok_and(|found| found.is_file());
        if real { Ok(full) } else { Err(refuse(shown, "is a link to no file of the archive")) }
    }
}

/// The first folder of a path, and the rest, if it has plain names only.
fn inside(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let parts: Vec<_> = path.components().filter(|part| *part != Component::CurDir).collect();
    let plain = parts.iter().all(|part| matches!(part, Component::Normal(_)));
    let (first, rest) = parts.split_first().filter(|_| plain)?;
    Some((first.as_os_str().into(), rest.iter().collect()))
}

/// Whether a symbolic link at `path` stays inside: it goes up no further than the root, and up only at its
/// beginning, where the folders are ours. After another link's name `..` could be anywhere.
fn stays(path: &Path, to: &Path) -> bool {
    let depth = path.components().count().saturating_sub(1);
    let ups = to.components().take_while(|part| *part == Component::ParentDir).count();
    let rest: Vec<_> = to.components().skip(ups).collect();
    ups <= depth && rest.iter().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn refuse(path: &Path, what: &str) -> anyhow::Error {
    Failure::new(Code::Failed, "the archive is not safe to unpack")
        .why(format!("`{}` {what}; nothing of it is kept", path.display()))
        .into()
}

fn broken(error: io::Error) -> anyhow::Error {
    Failure::new(Code::Failed, "the archive is damaged").why(error).into()
}

fn cannot(path: &Path, error: io::Error) -> anyhow::Error {
    let what = format!("cannot unpack to {}", path.display());
    Failure::new(Code::Failed, what).why(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        for (path, to, stays_inside) in [
            ("bin", "lib/postgresql/15/bin", true),
            ("lib/libpq.so", "libpq.so.5", true),
            ("lib/a/b", "../../share/x", true),
            ("lib/a/b", "../../../etc/passwd", false),
            ("lib/a", "/etc/passwd", false),
            ("lib/a", "x/../../..", false),
            ("bin", "..", false),
        ] {
            assert_eq!(stays(Path::new(path), Path::new(to)), stays_inside, "{path} -> {to}");
        }
    }

    #[test]
    fn names_are_plain() {
        for (path, plain) in
            [("a/b/c", true), ("./a/b", true), ("/a/b", false), ("a/../../b", false), ("", false)]
        {
            assert_eq!(inside(Path::new(path)).is_some(), plain, "{path}");
        }
    }
}
