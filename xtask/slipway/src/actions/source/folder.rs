//! A source that is a folder of this repository: it has no versions, and is taken as it is.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use walkdir::WalkDir;

use super::check_listed;
use crate::actions::text::Sum;
use crate::actions::vet::{self, Listed};
use crate::actions::{File, Files, Git, MANIFEST, Manifest};
use crate::failure::{Code, Failure};

/// The folder's manifest.
pub(super) fn manifest(root: &Path, folder: &str) -> Result<Manifest> {
    let path = root.join(folder).join(MANIFEST);
    no_link(root, &format!("{folder}/{MANIFEST}"), 0)?;
    if path.exists() && !path.is_file() {
        return Err(Failure::new(Code::Usage, format!("{folder}: {MANIFEST} is no plain file")).into());
    }
    let bytes = std::fs::read(&path).map_err(|error| {
        Failure::new(Code::Usage, format!("{folder} has no {MANIFEST} that can be read"))
            .why(error)
            .next("set `source` in xtask.toml [actions] to the folder that has it")
    })?;
    Manifest::read(&bytes, folder)
}

/// Refuses a path below `root` that is or goes through a link, which could lead anywhere. The last `without` parts may be.
fn no_link(root: &Path, path: &str, without: usize) -> Result<()> {
    let is_link =
        |path: &&Path| std::fs::symlink_metadata(root.join(path)).is_ok_and(|about| about.is_symlink());
    let mut above = Path::new(path).ancestors().skip(without).filter(|path| !path.as_os_str().is_empty());
    match above.find(is_link) {
        Some(link) => {
            let what = format!("{} is a symbolic link, and no source is read through one", link.display());
            Err(Failure::new(Code::Usage, what).next("make it a file or a folder of its own").into())
        }
        None => Ok(()),
    }
}

/// The folder's files, without git's names of them.
pub fn files(root: &Path, folder: &str) -> Result<(Manifest, Files)> {
    let manifest = manifest(root, folder)?;
    let top = root.join(folder);
    let mut listed = BTreeMap::new();
    for entry in &manifest.files {
        // Itself, if it is one, is refused as all links are.
        no_link(root, &format!("{folder}/{}", entry.trim_end_matches('/')), 1)?;
        for found in WalkDir::new(top.join(entry.trim_end_matches('/'))).follow_root_links(false) {
            let Ok(found) = found else { continue };
            let kind = found.file_type();
            let about =
                found.metadata().with_context(|| format!("cannot read {}", found.path().display()))?;
            let mode = match (kind.is_symlink(), kind.is_file(), about.permissions().mode() & 0o100) {
                (true, ..) => 0o120_000,
                (_, true, 0) => 0o100_644,
                (_, true, _) => 0o100_755,
                _ if kind.is_dir() => continue,
                _ => 0,
            };
            let path = found.path().strip_prefix(&top)?;
            // What is no UTF-8 has a character that is not let in.
            let path = path.to_string_lossy().into_owned();
            listed.insert(path, Listed { mode, blob: String::new(), size: about.len() });
        }
    }
    check_listed(&manifest, &listed, folder)?;
    let from: Vec<String> = listed.keys().cloned().collect();
    let vetted = vet::list(listed, folder)?;
    let mut files = Files::new();
    for from in from {
        let path = vet::path(&from).map_err(anyhow::Error::msg)?;
        let executable = vetted.get(&path).is_some_and(|listed| listed.mode == 0o100_755);
        let bytes = std::fs::read(top.join(&from)).with_context(|| format!("cannot read {folder}/{from}"))?;
        files.insert(path, File { blob: String::new(), sum: Sum::of(&bytes), executable, bytes });
    }
    Ok((manifest, files))
}

/// The folder's files, with the names that git will have for them once they are committed.
pub(super) fn named_files(git: &Git<'_>, root: &Path, folder: &str) -> Result<Files> {
    let (_, mut files) = files(root, folder)?;
    let top = root.join(folder);
    let below = |path: &String| path.strip_prefix(crate::actions::FOLDER).unwrap_or(path).to_owned();
    let paths: Vec<String> = files.keys().map(|path| top.join(below(path)).display().to_string()).collect();
    for (file, blob) in files.values_mut().zip(git.names(root, &paths)?) {
        file.blob = blob;
    }
    Ok(files)
}
