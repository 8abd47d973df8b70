//! Writes that a killed process cannot leave half done, locks that die with their holder, and folders
//! that nobody else could have put there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::failure::{Code, Failure};

mod found;
mod journal;

pub use journal::{Journal, Recovered, Was, was};

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

/// The path with a suffix, for what will be renamed to it or was renamed from it.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Makes `link` a symbolic link to `target`, replacing one that leads elsewhere.
pub fn link(link: &Path, target: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    let staged = beside(link, &format!("{}.new", std::process::id()));
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

/// For files that hold nothing for others, under any umask.
pub const PRIVATE: u32 = 0o600;

/// Writes a small file of ours that may be lost in a crash. Others can read it and not write it, under any umask:
/// root's PostgreSQL runs as another account.
pub fn write_plain(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o644).open(path)?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// How the names of files begin that are not finished.
const STAGED: &str = ".slipway-";

/// Removes what a killed [`write_atomic`] has left in a folder that nobody else writes into now.
pub fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(STAGED.as_bytes())) {
        let _ = fs::remove_file(entry.path());
    }
}

/// A file beside `path` with its new bytes, on the disk.
fn stage(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mode = fs::metadata(path).map_or(0o644, |found| found.mode() & 0o7777);
    let mut file = tempfile::Builder::new()
        .prefix(STAGED)
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
            .mode(PRIVATE)
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

/// Has ext4 put each new folder in `folder` somewhere else on the disk (`chattr +T`), by a hash of its name.
///
/// Beside where many files were removed a moment ago, making one takes ext4 ten times as long: for minutes it does
/// not use what was freed, and passes over it one by one. Other file systems do not know the wish, which is none
/// that must be granted.
pub fn spread(folder: &Path) {
    #[cfg(target_os = "linux")]
    if let Ok(folder) = File::open(folder)
        && let Ok(flags) = rustix::fs::ioctl_getflags(&folder)
        && !flags.contains(rustix::fs::IFlags::TOPDIR)
    {
        let _ = rustix::fs::ioctl_setflags(&folder, flags | rustix::fs::IFlags::TOPDIR);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = folder;
}

/// Waits until a folder and all below it are on the disk.
pub fn sync_tree(folder: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(File::open(folder)?)?;
    #[cfg(not(target_os = "linux"))]
    for entry in walkdir::WalkDir::new(folder) {
        File::open(entry?.path())?.sync_all()?;
    }
    Ok(())
}

/// Bytes that this user can still write to the file system of `path`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail * found.f_frsize)
}

/// Bytes that the files at and below `path` take on the disk.
pub fn used_bytes(path: &Path) -> u64 {
    // What vanishes while we look is not there.
    let found = walkdir::WalkDir::new(path).into_iter().flatten().filter_map(|entry| entry.metadata().ok());
    found.map(|found| found.blocks() * 512).sum()
}

/// Whether `path` is a folder of ours: not a link, not another user's.
pub fn is_own_folder(path: &Path, uid: u32) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

/// Renames a folder out of the way, to be removed: nobody meets one half removed. `None`: it is not there.
pub fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    let aside = beside(path, &format!("{}.gone", std::process::id()));
    match fs::rename(path, &aside) {
        Ok(()) => Ok(Some(aside)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a folder and all below it, if it is there.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    set_aside(path)?.map_or(Ok(()), fs::remove_dir_all)
}
