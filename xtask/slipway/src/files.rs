//! Writes that a killed process cannot leave half done, locks that die with their holder, and folders
//! that nobody else could have put there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::failure::{Code, Failure};

mod journal;

#[expect(unused_imports, reason = "sync-actions will be its first user")]
pub use journal::Journal;

/// Makes `path` a folder of ours that nobody else can write, or refuses what is there instead: a symbolic
/// link or another user's folder, which in /tmp anybody could have made.
///
/// Root's folders can be passed through by others (0711): the account that runs its PostgreSQL must
/// reach the data below. Every other user's are closed (0700).
pub fn own_folder(path: &Path, uid: u32) -> Result<()> {
    let mode = if uid == 0 { 0o711 } else { 0o700 };
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
            fs::DirBuilder::new()
                .mode(mode)
                .create(path)
                .or_else(|error| if path.is_dir() { Ok(()) } else { Err(error) })
                .with_context(|| format!("cannot make {}", path.display()))?;
        }
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
    let found = fs::symlink_metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !found.is_dir() || found.uid() != uid {
        let what = match found.is_dir() {
            true => format!(
                "it belongs to uid {}, we are {uid}; whoever owns it could read our data",
                found.uid()
            ),
            false => "it is a link or a file; whoever made it could lead us elsewhere".to_owned(),
        };
        return Err(Failure::new(Code::Failed, format!("{} is not a folder of ours", path.display()))
            .why(what)
            .next(format!("rm -r {}      (after a look at what it is)", path.display()))
            .into());
    }
    if found.mode() & 0o777 != mode {
        // Made under another umask: ours, so ours to close.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("cannot close {} to others", path.display()))?;
    }
    Ok(())
}

/// Makes `link` a symbolic link to `target`, replacing one that leads elsewhere.
pub fn link(link: &Path, target: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    let staged = link.with_extension(format!("{}.new", std::process::id()));
    std::os::unix::fs::symlink(target, &staged)
        .and_then(|()| fs::rename(&staged, link))
        .with_context(|| format!("cannot link {} to {}", link.display(), target.display()))
}

/// Writes a whole file: after a crash it holds the old bytes or the new ones. Keeps an existing file's mode.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let staged = stage(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    staged.persist(path).map(drop).with_context(|| format!("cannot write {}", path.display()))?;
    sync_parent(path)
}

/// A file beside `path` with its new bytes, on the disk.
fn stage(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mode = fs::metadata(path).map_or(0o644, |found| found.mode() & 0o7777);
    let mut file = tempfile::Builder::new()
        .prefix(".slipway-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// A rename is on the disk once the folder is.
fn sync_parent(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot sync {}", folder.display()))
}

/// An advisory lock on a file (flock). The kernel releases it when the holder ends, however it ends, so a
/// lock that can be taken has no owner. Children do not inherit it: std opens files close-on-exec.
pub struct Lock {
    file: File,
}

impl Lock {
    fn open(path: &Path) -> Result<File> {
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("cannot open the lock {}", path.display()))
    }

    /// Waits until nobody else holds the lock.
    pub fn exclusive(path: &Path) -> Result<Self> {
        let file = Self::open(path)?;
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Lock { file })
    }

    /// Waits until nobody holds the lock alone, then holds it beside others.
    pub fn shared(path: &Path) -> Result<Self> {
        let file = Self::open(path)?;
        file.lock_shared().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Lock { file })
    }

    /// Whether somebody holds the lock alone. Looking does not disturb others who look.
    pub fn is_owned(path: &Path) -> Result<bool> {
        Ok(Self::look(path)?.is_some_and(|file| file.try_lock_shared().is_err()))
    }

    /// Whether somebody holds the lock beside others, and nobody alone.
    pub fn is_shared(path: &Path) -> Result<bool> {
        Ok(Self::look(path)?.is_some_and(|file| file.try_lock().is_err() && file.try_lock_shared().is_ok()))
    }

    /// Opens the lock's file, unless there is none, and so no holder.
    fn look(path: &Path) -> Result<Option<File>> {
        match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot open the lock {}", path.display())),
        }
    }

    /// Takes the lock alone, or `None` when anybody holds it.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        let file = Self::open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => bail!("cannot lock {}: {error}", path.display()),
        }
    }

    /// Replaces what the locked file says. Readers need no lock: the text is one short write.
    pub fn write(&self, text: &str) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;
        self.file.set_len(0)?;
        self.file.write_all_at(text.as_bytes(), 0)
    }
}

/// Bytes that this user can still write to the file system of `path`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail * found.f_frsize)
}

/// Removes a folder and all below it. Renames it first, so that nobody meets one half removed.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    let trash = path.with_extension(format!("{}.gone", std::process::id()));
    match fs::rename(path, &trash) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    }
    fs::remove_dir_all(&trash)
}
