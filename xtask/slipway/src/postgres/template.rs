//! initdb costs a second or more, a copy of what it made a tenth: it runs once per server version.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use rustix::fs::OFlags;
use walkdir::WalkDir;
use xshell::cmd;

use super::find::Server;
use super::initdb::{initdb, named};
use crate::failure::{Code, Failure};
use crate::files::{self, Lock};
use crate::process::{Account, Launcher};
use crate::workspace::short_hash;

/// Raise it when the arguments of initdb or what is done to its cluster change: old templates are then left alone.
const GENERATION: u32 = 2;
/// An empty database that every new cluster comes with: giving it the service's name costs 5 ms, making one 60.
pub(super) const SPARE: &str = "slipway_spare";
/// What a copy needs, with room for the first write-ahead log.
const ROOM: u64 = 128 * 1024 * 1024;
/// How many threads copy: a second one halves the time, a third gains nothing.
const THREADS: usize = 2;

/// In the templates' folder: held by whoever makes or removes one.
pub(super) const LOCK: &str = "template.lock";
/// What the name of each template begins with: bare ones, and those of migrated.rs.
pub(super) const PREFIXES: [&str; 2] = ["template-", "migrated-"];
/// What the name of the file beside a template ends with that says which server it is for.
pub(super) const SIGNATURE: &str = "server";

/// The templates' folder.
pub(super) fn folder(cache: &Path) -> PathBuf {
    cache.join("postgres")
}

/// Says which server a template is for: its name has only a hash, and once the server is gone nobody else
/// could tell that the template is of no use.
pub(super) fn sign(template: &Path, server: &Server) -> Result<()> {
    let path = files::beside(template, SIGNATURE);
    files::write_atomic(&path, format!("{}\n{}\n", server.version, server.bin.display()).as_bytes())
}

/// The template cluster for `server` below `cache`; made when it is not there yet.
pub(super) fn ensure(
    launcher: &Launcher<'_>,
    server: &Server,
    cache: &Path,
    account: Option<Account>,
) -> Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let folder = folder(cache);
    let template = folder.join(name("template", server, account, ""));
    if template.is_dir() {
        return Ok(template);
    }
    files::own_folder(cache, uid)?;
    files::own_folder(&folder, uid)?;
    launcher.progress().working("postgres", "making a template cluster, once for this version");
    let _lock = Lock::exclusive(&folder.join(LOCK))?;
    if template.is_dir() {
        return Ok(template);
    }
    let staged = files::beside(&template, "new");
    files::remove_folder(&staged).with_context(|| format!("cannot remove {}", staged.display()))?;
    make_folder(&staged)?;
    give(&staged, account)?;
    initdb(launcher, &server.bin, &staged, account, &folder)?;
    add_spare(launcher, server, &staged, account)?;
    files::sync_tree(&staged).context("cannot sync the new template")?;
    sign(&template, server)?;
    fs::rename(&staged, &template).with_context(|| format!("cannot make {}", template.display()))?;
    Ok(template)
}

/// What a template cluster is called: by the server, the account that owns it, and what else is in it.
pub(super) fn name(kind: &str, server: &Server, account: Option<Account>, content: &str) -> String {
    let owner = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    let key = format!("{GENERATION} {} {} {owner} {content}", server.version, server.bin.display());
    format!("{kind}-{}-{}", server.version, short_hash(key.as_bytes()))
}

/// Single-user mode reads its statements from stdin, and needs no start and no stop.
fn add_spare(launcher: &Launcher<'_>, server: &Server, data: &Path, account: Option<Account>) -> Result<()> {
    let postgres = server.bin.join("postgres");
    let script = format!("echo 'create database {SPARE}' | \"$1\" --single -D \"$2\" postgres");
    let _at_root = launcher.shell.push_dir("/");
    let scratch = data.parent().unwrap_or(data);
    named(launcher, account, scratch, &|| cmd!(launcher.shell, "sh -c {script} sh {postgres} {data}"))
}

/// Copies a template to `data`, which appears whole or not at all, but for a power cut: see
/// [`files::sync_tree`].
pub(super) fn copy(template: &Path, data: &Path, account: Option<Account>) -> Result<()> {
    let folder = data.parent().unwrap_or(Path::new("/"));
    let free = files::free_bytes(folder).unwrap_or(u64::MAX);
    if free < ROOM {
        let (mib, free) = (ROOM >> 20, free >> 20);
        let what =
            format!("no room for a new cluster: {mib} MB needed in {}, {free} MB free", folder.display());
        return Err(Failure::new(Code::Failed, what).next(format!("df -h {}", folder.display())).into());
    }
    files::spread(folder);
    let staged = files::beside(data, &format!("{}.new", std::process::id()));
    files::remove_folder(&staged).with_context(|| format!("cannot remove {}", staged.display()))?;
    let copied = copy_to(template, &staged, account);
    if copied.is_err() {
        // On a full disk, what was copied is in the way.
        let _ = fs::remove_dir_all(&staged);
    }
    copied?;
    fs::rename(&staged, data).with_context(|| format!("cannot make {}", data.display()))
}

fn copy_to(template: &Path, staged: &Path, account: Option<Account>) -> Result<()> {
    // Ours until all is there: the account that gets it could plant links that root would follow.
    let (mut folders, mut copies) = (Vec::new(), Vec::new());
    for entry in WalkDir::new(template) {
        let entry = entry.context("cannot read the template cluster")?;
        let target = staged.join(entry.path().strip_prefix(template)?);
        match entry.file_type() {
            kind if kind.is_dir() => {
                make_folder(&target)?;
                folders.push(target);
            }
            kind if kind.is_file() => copies.push((entry.into_path(), target)),
            _ => bail!("{} is neither a file nor a folder", entry.path().display()),
        }
    }
    let next = AtomicUsize::new(0);
    let copy_some = || -> Result<()> {
        while let Some((from, to)) = copies.get(next.fetch_add(1, Ordering::Relaxed)) {
            copy_file(from, to).with_context(|| format!("cannot write {}", to.display()))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(copy_some)).collect();
        let ended =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a copy was cut off")));
        ended.collect::<Result<()>>()
    })?;
    for path in copies.iter().map(|(_, to)| to).chain(folders.iter().rev()) {
        give(path, account)?;
    }
    Ok(())
}

/// A new file with the bytes of `from`, which is not followed if it is a link.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut from = File::options().read(true).custom_flags(no_link).open(from)?;
    let mut to = File::options().write(true).create_new(true).mode(files::PRIVATE).open(to)?;
    io::copy(&mut from, &mut to).map(drop)
}

/// PostgreSQL refuses a data folder that others can enter, whatever the umask.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().mode(0o700).create(path);
    made.with_context(|| format!("cannot make {}", path.display()))
}

/// Gives a file or a folder to the account that runs the server; not what a link leads to.
pub(super) fn give(path: &Path, account: Option<Account>) -> Result<()> {
    let Some(Account { uid, gid }) = account else { return Ok(()) };
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))
        .with_context(|| format!("cannot give away {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_copy_is_closed_to_others_and_follows_no_link() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (template, data) = (folder.path().join("template"), folder.path().join("data"));
        fs::create_dir_all(template.join("base/1"))?;
        fs::write(template.join("base/1/112"), "bytes")?;
        copy(&template, &data, None)?;
        assert_eq!(fs::read(data.join("base/1/112"))?, b"bytes");
        for (path, mode) in [("", 0o700), ("base/1", 0o700), ("base/1/112", 0o600)] {
            assert_eq!(fs::metadata(data.join(path))?.permissions().mode() & 0o777, mode, "{path}");
        }
        // What the account that owns a template could plant for root to read.
        let secret = folder.path().join("secret");
        fs::write(&secret, "of root")?;
        symlink(&secret, template.join("base/1/113"))?;
        let refused = copy(&template, &folder.path().join("other"), None);
        assert!(refused.is_err_and(|error| error.to_string().contains("neither a file nor a folder")));
        assert_eq!(fs::read_dir(folder.path())?.count(), 3, "something was left");
        assert!(copy_file(&template.join("base/1/113"), &folder.path().join("copied")).is_err());
        // Nor does it write through one.
        symlink(&secret, folder.path().join("planted"))?;
        assert!(copy_file(&template.join("base/1/112"), &folder.path().join("planted")).is_err());
        assert_eq!(fs::read(secret)?, b"of root");
        Ok(())
    }
}
