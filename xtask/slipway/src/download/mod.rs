//! Archives from the network, each pinned by its SHA-256: fetched by one of all callers, resumed after a cut,
//! verified, unpacked beside its place, tried, and only then renamed into the cache. Whatever is killed on
//! the way leaves a `.part` file, which the next run resumes, and a staged folder, which it removes.
//!
//! ```text
//! curl    one file through curl, and what its exit codes mean
//! lock    xtask.lock: the sums
//! unpack  a tar.gz whose entries stay inside
//! ```

mod curl;
mod lock;
mod unpack;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

pub use self::lock::{LOCK_FILE, Pins};
use crate::failure::{Code, Failure};
use crate::files::{self, Lock};
use crate::process::Launcher;

/// How much of the sum is in a folder's name.
const SHORT: usize = 12;
/// A file that holds one sum is no longer.
const SIDECAR_BYTES: u64 = 4096;

/// What to fetch, and where to.
pub struct Archive {
    /// The file's name, and its key in xtask.lock.
    pub asset: String,
    /// Its address; the sum's is the same and `.sha256`.
    pub url: String,
    /// The step that progress is reported for.
    pub step: &'static str,
    /// What it is, for people: a version.
    pub label: String,
    /// The cache.
    pub cache: PathBuf,
    /// Its folder in the cache for this kind of download.
    pub kind: &'static str,
    /// How the unpacked folder's name begins; the sum's first digits follow. A folder `<stem>.trial` beside it
    /// is free for the trial, and removed by the next run where this one is killed.
    pub stem: String,
    /// The space that it needs on the way, archive and trial included.
    pub room: u64,
}

/// What [`fetch`] did.
pub struct Fetched {
    /// The archive's size; nothing when another caller was quicker.
    pub bytes: Option<u64>,
}

/// How the name of an unpacked folder ends when its archive has this sum. Two repositories that pin different
/// sums for one version share a cache and never a folder.
pub fn suffix(sum: &str) -> &str {
    sum.get(..SHORT).unwrap_or(sum)
}

/// Fetches an archive unless it is in the cache. `try_it` is given the unpacked folder and refuses what does
/// not work here: neither the cache nor xtask.lock then has it.
pub fn fetch(
    launcher: &Launcher<'_>,
    archive: &Archive,
    pins: &Pins,
    try_it: &mut dyn FnMut(&Path) -> Result<()>,
) -> Result<Fetched> {
    let folder = archive.cache.join(archive.kind);
    let uid = rustix::process::geteuid().as_raw();
    for folder in [&archive.cache, &folder] {
        files::own_folder(folder, uid).map_err(|error| no_cache(error, folder))?;
    }
    let _alone = alone(launcher, archive, &folder).map_err(|error| no_cache(error, &folder))?;
    let part = folder.join(format!("{}.part", archive.asset));
    let staged = folder.join(format!("{}.staged", archive.stem));
    sweep(&folder, &archive.stem).map_err(|error| no_cache(error.into(), &folder))?;
    let pinned = pins.get(&archive.asset)?;
    let place = |sum: &str| folder.join(format!("{}-{}", archive.stem, suffix(sum)));
    if pinned.as_deref().is_some_and(|sum| place(sum).is_dir()) {
        return Ok(Fetched { bytes: None });
    }
    let free = files::free_bytes(&folder).unwrap_or(u64::MAX);
    // What an earlier run has fetched needs no more room.
    if free + fs::metadata(&part).map_or(0, |found| found.len()) < archive.room {
        return Err(Failure::new(Code::Failed, "the disk is too full for a download")
            .why(format!("{} has {} MB free; it takes {}", folder.display(), mb(free), mb(archive.room)))
            .next("free some space, or name another folder: SLIPWAY_CACHE=/a/folder/of/yours")
            .into());
    }
    let client = curl::Client::new(launcher, archive.step, &archive.label)?;
    let (sum, source) = match pinned {
        Some(sum) => (sum, "xtask.lock"),
        None => (published_sum(&client, archive, &folder)?, "its .sha256 file"),
    };
    if place(&sum).is_dir() {
        // Another repository has it already.
        pins.set(&archive.asset, &sum)?;
        return Ok(Fetched { bytes: None });
    }
    download(&client, archive, &part, &sum, source)?;
    let bytes = fs::metadata(&part).context("the download is gone")?.len();
    launcher.progress().working(archive.step, &format!("{}, unpacking", archive.label));
    let tried = unpack::unpack(&part, &staged).and_then(|()| {
        launcher.progress().working(archive.step, &format!("{}, trying it", archive.label));
        try_it(&staged)
    });
    if let Err(error) = tried {
        // Its sum is right, so another try would end the same.
        let _ = files::remove_folder(&staged);
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    // First the pin: who is killed in between verifies against it.
    pins.set(&archive.asset, &sum)?;
    files::sync_tree(&staged).context("cannot sync the download")?;
    fs::rename(&staged, place(&sum)).with_context(|| format!("cannot make {}", place(&sum).display()))?;
    let _ = fs::remove_file(&part);
    Ok(Fetched { bytes: Some(bytes) })
}

/// Of several callers at once one downloads; the others wait, and find it done.
fn alone(launcher: &Launcher<'_>, archive: &Archive, folder: &Path) -> Result<Lock> {
    let path = folder.join(format!("{}.lock", archive.asset));
    loop {
        if let Some(lock) = Lock::try_exclusive(&path)? {
            return Ok(lock);
        }
        let detail = format!("{}, another command is downloading it", archive.label);
        launcher.progress().working(archive.step, &detail);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What downloads that were cut off have left in a folder of ours: parts, which the next one for the same file
/// resumes, and what was staged. Nothing while one goes on.
pub fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let entries = || fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let ends = |path: &Path, ends: &[&str]| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ends.iter().any(|end| name.ends_with(end))
    };
    let held = |path: &PathBuf| ends(path, &[".tar.gz.lock"]) && !matches!(Lock::is_owned(path), Ok(false));
    if entries().any(|path| held(&path)) {
        return Vec::new();
    }
    let mut found: Vec<_> = entries()
        .filter(|path| ends(path, &[".tar.gz.part", ".tar.gz.head", ".tar.gz.sha256", ".staged", ".trial"]))
        .collect();
    found.sort();
    found
}

/// Removes one of them, unless a download has begun by now. Gives whether it did.
pub fn remove_leftover(path: &Path) -> Result<bool> {
    let folder = path.parent().unwrap_or(path);
    if !leftovers(folder).iter().any(|found| found == path) {
        return Ok(false);
    }
    let removed = if path.is_dir() { files::remove_folder(path) } else { fs::remove_file(path) };
    removed.with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(true)
}

/// Removes what killed runs have staged: we hold the lock, so nobody works on it.
fn sweep(folder: &Path, stem: &str) -> io::Result<()> {
    for path in fs::read_dir(folder)?.flatten().map(|entry| entry.path()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // What was staged or tried, and what was on its way out.
        let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('.'));
        if rest.is_some_and(|rest| ["staged", "trial"].contains(&rest) || rest.ends_with(".gone")) {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// The sum that is published beside the archive.
fn published_sum(client: &curl::Client<'_>, archive: &Archive, folder: &Path) -> Result<String> {
    let url = format!("{}.sha256", archive.url);
    let path = folder.join(format!("{}.sha256", archive.asset));
    let _ = fs::remove_file(&path);
    client.get(&url, &path)?;
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(SIDECAR_BYTES).read_to_string(&mut text));
    let _ = fs::remove_file(&path);
    let sum = read.ok().and_then(|_| sum_in(&text));
    sum.ok_or_else(|| {
        Failure::new(Code::Failed, format!("no SHA-256 in {url}"))
            .why("the first download of a file is verified against the sum that is published beside it")
            .into()
    })
}

/// The first 64 hexadecimal digits in a row: shasum's line has the name behind them, certutil a line before.
fn sum_in(text: &str) -> Option<String> {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(|word| lock::is_sum(&word.to_ascii_lowercase())).map(str::to_ascii_lowercase)
}

/// Downloads to `part`, and verifies it. A resumed file that is wrong is fetched once more from its start:
/// what an earlier run has left may be of another mirror.
fn download(
    client: &curl::Client<'_>,
    archive: &Archive,
    part: &Path,
    sum: &str,
    source: &str,
) -> Result<()> {
    let mut resumed = fs::metadata(part).is_ok_and(|found| found.len() > 0);
    loop {
        client.get(&archive.url, part)?;
        let found = sum_of(part).with_context(|| format!("cannot read {}", part.display()))?;
        if found == sum {
            return Ok(());
        }
        fs::remove_file(part).context("cannot remove a wrong download")?;
        if !std::mem::take(&mut resumed) {
            return Err(Failure::new(Code::Failed, format!("{} is not what it should be", archive.asset))
                .fact("from", &archive.url)
                .fact("found", found)
                .fact("want", format!("{sum}, says {source}"))
                .why("it was cut short, or changed on its way or at its source; it is removed, nothing of it ran")
                .next("ask whoever runs that address; a new sum goes into xtask.lock by hand, after a look")
                .into());
        }
    }
}

fn sum_of(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// Megabytes, as people count them.
pub fn mb(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

fn no_cache(error: anyhow::Error, folder: &Path) -> anyhow::Error {
    if error.is::<Failure>() {
        return error;
    }
    Failure::new(Code::Failed, format!("cannot write the cache {}", folder.display()))
        .why(error.root_cause())
        .next("name another folder: SLIPWAY_CACHE=/a/folder/of/yours")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_found_in_every_kind_of_sidecar() {
        let sum = "0123456789abcdef".repeat(4);
        for text in [
            sum.clone(),
            format!("{sum}  postgresql-17.9.0-x86_64-unknown-linux-gnu.tar.gz\n"),
            format!("SHA256 hash of postgresql.zip:\r\n{sum}\r\nCertUtil: done\r\n"),
            sum.to_uppercase(),
        ] {
            assert_eq!(sum_in(&text).as_ref(), Some(&sum), "{text}");
        }
        for text in ["", "<html>404</html>", &sum[1..], &format!("{sum}0")] {
            assert_eq!(sum_in(text), None, "{text}");
        }
    }
}
