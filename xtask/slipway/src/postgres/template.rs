//! initdb costs a second or more, a copy of what it made a tenth: it runs once per server version.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use walkdir::WalkDir;
use xshell::cmd;

use super::find::Server;
use crate::files::{self, Lock};
use crate::process::{Account, Kind, Launcher};
use crate::workspace::short_hash;

/// Raise it when the arguments of initdb change: old templates are then left alone.
const GENERATION: u32 = 1;

/// The template cluster for `server` below `cache`; made when it is not there yet.
///
/// Trust is safe: the socket lies in the data folder, which only its owner (and root) can enter.
pub(super) fn ensure(
    launcher: &Launcher<'_>,
    server: &Server,
    cache: &Path,
    account: Option<Account>,
) -> Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let folder = cache.join("postgres");
    files::own_folder(cache, uid)?;
    files::own_folder(&folder, uid)?;
    let owner = account.map_or(uid, |account| account.uid);
    let key = format!("{GENERATION} {} {} {owner}", server.version, server.bin.display());
    let name = format!("template-{}-{}", server.version, short_hash(key.as_bytes()));
    let template = folder.join(&name);
    if template.is_dir() {
        return Ok(template);
    }
    launcher.progress().working("postgres", "making a template cluster, once for this version");
    let _lock = Lock::exclusive(&folder.join("template.lock"))?;
    if template.is_dir() {
        return Ok(template);
    }
    let staged = folder.join(format!("{name}.new"));
    files::remove_folder(&staged).with_context(|| format!("cannot remove {}", staged.display()))?;
    make_folder(&staged, account)?;
    let initdb = server.bin.join("initdb");
    let _at_root = launcher.shell.push_dir("/");
    let command = cmd!(
        launcher.shell,
        "{initdb} --pgdata {staged} --username postgres --auth trust --encoding UTF8 --no-locale"
    );
    launcher.read_as(command, Kind::Tool, account)?;
    fs::rename(&staged, &template).with_context(|| format!("cannot make {}", template.display()))?;
    Ok(template)
}

/// Copies the template to `data`, which appears whole or not at all. `durable`: also after a power cut.
pub(super) fn copy(template: &Path, data: &Path, account: Option<Account>, durable: bool) -> Result<()> {
    let staged = data.with_extension("new");
    files::remove_folder(&staged).with_context(|| format!("cannot remove {}", staged.display()))?;
    for entry in WalkDir::new(template) {
        let entry = entry.context("cannot read the template cluster")?;
        let target = staged.join(entry.path().strip_prefix(template)?);
        if entry.file_type().is_dir() {
            make_folder(&target, account)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("cannot write {}", target.display()))?;
            own(&target, account)?;
        }
    }
    if durable {
        rustix::fs::syncfs(fs::File::open(&staged)?).context("cannot sync the new cluster")?;
    }
    fs::rename(&staged, data).with_context(|| format!("cannot make {}", data.display()))
}

/// PostgreSQL refuses a data folder that others can enter, whatever the umask.
fn make_folder(path: &Path, account: Option<Account>) -> Result<()> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    own(path, account)
}

fn own(path: &Path, account: Option<Account>) -> Result<()> {
    let Some(Account { uid, gid }) = account else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(uid), Some(gid))
        .with_context(|| format!("cannot give away {}", path.display()))
}
