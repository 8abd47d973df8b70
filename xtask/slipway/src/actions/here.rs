//! What this repository has, path by path. No link is followed: one could lead anywhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::text::Sum;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Here {
    /// Nothing.
    Absent,
    /// A file.
    File {
        /// What it holds.
        bytes: Vec<u8>,
        /// What that is with LF ends.
        sum: Sum,
        /// Whether its owner can execute it.
        executable: bool,
    },
    /// It, or a folder above it, is a symbolic link: this one.
    Link(String),
    /// A folder, a pipe, or something below a file.
    Other,
}

/// Looks at each path, from `root`.
pub fn look<'a>(root: &Path, paths: impl IntoIterator<Item = &'a String>) -> Result<BTreeMap<String, Here>> {
    let mut folders = BTreeMap::new();
    let mut found = BTreeMap::new();
    for path in paths {
        let here = match folder_link(root, path, &mut folders) {
            Some(link) => Here::Link(link),
            None => look_at(root, path)?,
        };
        found.insert(path.clone(), here);
    }
    Ok(found)
}

/// The folder above `path` that is a symbolic link, if one is.
fn folder_link<'a>(
    root: &Path,
    path: &'a str,
    known: &mut BTreeMap<&'a str, Option<String>>,
) -> Option<String> {
    let (folder, _) = path.rsplit_once('/')?;
    if let Some(link) = known.get(folder) {
        return link.clone();
    }
    let link = folder_link(root, folder, known).or_else(|| {
        let is_link = std::fs::symlink_metadata(root.join(folder)).is_ok_and(|about| about.is_symlink());
        is_link.then(|| folder.to_owned())
    });
    known.insert(folder, link.clone());
    link
}

fn look_at(root: &Path, path: &str) -> Result<Here> {
    // Not to wait for the other end of a pipe, either.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = match File::options().read(true).custom_flags(flags).open(root.join(path)) {
        Ok(file) => file,
        Err(error) => {
            return match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOENT) => Ok(Here::Absent),
                Some(Errno::LOOP) => Ok(Here::Link(path.to_owned())),
                Some(Errno::NOTDIR | Errno::NXIO) => Ok(Here::Other),
                _ => Err(error).with_context(|| format!("cannot read {path}")),
            };
        }
    };
    let about = file.metadata().with_context(|| format!("cannot read {path}"))?;
    if !about.is_file() {
        return Ok(Here::Other);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0) + 1);
    file.read_to_end(&mut bytes).with_context(|| format!("cannot read {path}"))?;
    Ok(Here::File { sum: Sum::of(&bytes), executable: about.permissions().mode() & 0o100 != 0, bytes })
}
