//! The files of an image: an exact list, each with its mode, all root's.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::failure::{Code, Failure};
use std::io::Write as _;

/// The user and the group that the service runs as: nobody that a file or another program knows.
pub const USER: u32 = 65532;
/// The permissions of the folders of an image.
pub(super) const FOLDER: u32 = 0o755;
/// Where TLS libraries look for the certificates that are trusted.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// A file of the image's root.
pub(super) struct File<'a> {
    /// Its path, without a slash in front.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    pub bytes: std::borrow::Cow<'a, [u8]>,
}

/// What is there beside the service: its account, and whom it trusts.
pub(super) fn accounts(certificates: Option<&[u8]>) -> Vec<File<'_>> {
    let file = |path: &str, bytes: String| File {
        path: path.to_owned(),
        mode: 0o444,
        bytes: bytes.into_bytes().into(),
    };
    let mut files = vec![
        file("etc/group", format!("nonroot:x:{USER}:\n")),
        file("etc/passwd", format!("nonroot:x:{USER}:{USER}:nonroot:/:/nonexistent\n")),
    ];
    if let Some(bytes) = certificates {
        files.push(File { path: CERTIFICATES.to_owned(), mode: 0o444, bytes: bytes.into() });
    }
    files
}

/// The service.
pub(super) fn service<'a>(name: &str, binary: &'a [u8]) -> Vec<File<'a>> {
    vec![File { path: name.to_owned(), mode: 0o555, bytes: binary.into() }]
}

/// The folders that hold `files`, each before what is in it.
pub(super) fn folders(files: &[File<'_>]) -> Vec<String> {
    let above = files.iter().flat_map(|file| Path::new(&file.path).ancestors().skip(1));
    let mut folders: Vec<String> = above.map(|folder| folder.display().to_string()).collect();
    folders.sort();
    folders.dedup();
    folders.retain(|folder| !folder.is_empty());
    folders
}

/// Writes the files below `folder`, for a Dockerfile to copy. One that holds anything else is somebody's, and refused.
pub(super) fn write(folder: &Path, files: &[File<'_>]) -> Result<()> {
    let there =
        walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| !entry.file_type().is_dir());
    let ours = |path: &Path| files.iter().any(|file| folder.join(&file.path) == path);
    if let Some(other) = there.map(walkdir::DirEntry::into_path).find(|path| !ours(path)) {
        return Err(Failure::new(Code::Usage, format!("{} is not empty", folder.display()))
            .fact("found", other.display().to_string())
            .next("a folder that is not there yet: --rootfs /out")
            .into());
    }
    // Folders of the image have its modes, whatever the umask is.
    let own = if folder.is_dir() { None } else { Some(String::new()) };
    for inner in own.into_iter().chain(folders(files)) {
        let path = folder.join(inner);
        fs::create_dir_all(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(FOLDER)))
            .with_context(|| format!("cannot make {}", path.display()))?;
    }
    for file in files {
        let path = folder.join(&file.path);
        let write = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut created = fs::File::options().write(true).create_new(true).mode(file.mode).open(&path)?;
            // The umask may have taken some of it.
            created.set_permissions(fs::Permissions::from_mode(file.mode))?;
            created.write_all(&file.bytes)
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
