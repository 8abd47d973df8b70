//! The files of a folder, read by all processors.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use rustix::fs::OFlags;
use walkdir::WalkDir;

use super::dotenv;
use super::git::Name;
use super::search::{Hit, Searcher};
use super::text;

/// What is longer is not looked into.
pub const LONG: u64 = 5_000_000;
/// What is others', and what is made from what is here.
const FOLDERS: &[&str] = &[".git", "target", "node_modules", ".xtask"];
/// How keys are named, and how their names end.
const KEYS: &[&str] = &["id_rsa", "id_ed25519", "id_ecdsa"];
const KEY_ENDS: &[&str] = &[".pem", ".key", ".ppk"];
/// An ignored file that is longer is no key.
const KEY: u64 = 1_000_000;
/// More threads than this wait for each other.
const THREADS: usize = 8;

/// A file to read.
#[derive(Clone)]
pub struct File {
    pub path: Name,
    /// git's name for the same bytes.
    pub object: Option<String>,
}

/// A file that was read.
pub struct Scanned {
    pub file: File,
    pub hits: Vec<Hit>,
    /// It is not there, or no file.
    pub is_gone: bool,
    /// It is too long to look into.
    pub is_long: bool,
    /// Why it could not be read.
    pub problem: Option<String>,
}

/// The files below a folder that no git knows. Links are not followed.
pub fn walk(root: &Path, unread: &mut Vec<(String, String)>) -> Vec<File> {
    let ours = |entry: &walkdir::DirEntry| {
        entry.depth() == 0
            || !entry.file_type().is_dir()
            || !FOLDERS.iter().any(|folder| entry.file_name() == *folder)
    };
    let mut files = Vec::new();
    for entry in WalkDir::new(root).into_iter().filter_entry(ours) {
        match entry {
            Ok(entry) if entry.file_type().is_file() => {
                let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
                files.push(File { path: path.as_os_str().as_bytes().to_vec(), object: None });
            }
            Ok(_) => {}
            Err(error) => {
                let path = error.path().map(|path| path.strip_prefix(root).unwrap_or(path));
                let path = path.map(|path| text::shown(path.as_os_str().as_bytes()));
                unread.push((
                    path.unwrap_or_default(),
                    // Its own text repeats the path.
                    error.io_error().map_or_else(|| "it cannot be read".to_owned(), why),
                ));
            }
        }
    }
    files
}

/// Of what git ignores, the files that are named like a `.env` file: also those right in a folder that is ignored. And
/// those that are named like a key; not in a folder that is ignored, which may have a thousand of others'.
pub fn named(root: &Path, ignored: Vec<Name>, unread: &mut Vec<(String, String)>) -> Vec<Name> {
    let mut found = Vec::new();
    for path in ignored {
        let Some(folder) = path.strip_suffix(b"/") else {
            if dotenv::flavor(&path).is_some() || is_key(root, &path) {
                found.push(path);
            }
            continue;
        };
        let name = folder.rsplit(|byte| *byte == b'/').next().unwrap_or(folder);
        if FOLDERS.iter().any(|known| known.as_bytes() == name) {
            continue;
        }
        let entries = match fs::read_dir(root.join(std::ffi::OsStr::from_bytes(folder))) {
            Ok(entries) => entries,
            // It has gone since git looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                unread.push((text::shown(&path), why(&error)));
                continue;
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name().into_vec();
            if dotenv::flavor(&name).is_some() && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                found.push([path.as_slice(), &name].concat());
            }
        }
    }
    found
}

/// Whether a file has the name and the length of a key.
fn is_key(root: &Path, path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path).to_ascii_lowercase();
    let is_named = KEYS.iter().any(|key| name == key.as_bytes())
        || KEY_ENDS.iter().any(|end| name.ends_with(end.as_bytes()));
    // As others use these ends, too, for what is no key and can be long.
    is_named
        && fs::symlink_metadata(root.join(std::ffi::OsStr::from_bytes(path)))
            .is_ok_and(|about| about.is_file() && about.len() <= KEY)
}

/// Reads the files, and meanwhile does something else.
pub fn scan<T>(
    searcher: &Searcher,
    root: &Path,
    files: Vec<File>,
    meanwhile: impl FnOnce() -> Result<T>,
) -> Result<(Vec<Scanned>, T)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut buffer, mut scanned) = (Vec::new(), Vec::new());
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            scanned.push(one(searcher, root, file, &mut buffer));
        }
        scanned
    };
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(THREADS));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let other = meanwhile();
        let mut scanned = Vec::with_capacity(files.len());
        for worker in workers {
            scanned.extend(worker.join().map_err(|_| anyhow::anyhow!("a thread of the scan ended early"))?);
        }
        scanned.sort_by(|a, b| a.file.path.cmp(&b.file.path));
        Ok((scanned, other?))
    })
}

fn one(searcher: &Searcher, root: &Path, file: &File, buffer: &mut Vec<u8>) -> Scanned {
    let mut scanned =
        Scanned { file: file.clone(), hits: Vec::new(), is_gone: false, is_long: false, problem: None };
    match read(&root.join(std::ffi::OsStr::from_bytes(&file.path)), buffer, LONG) {
        Ok(Content::Whole) => {
            let flavor = dotenv::flavor(&file.path);
            scanned.hits = searcher.look(buffer, flavor.as_slice());
        }
        Ok(Content::Long) => scanned.is_long = true,
        Ok(Content::None) => scanned.is_gone = true,
        Err(error) => scanned.problem = Some(why(&error)),
    }
    scanned
}

/// What there is to read.
pub enum Content {
    Whole,
    Long,
    None,
}

/// Reads a file: never through a link, and never a pipe, which could be waited on for ever.
fn read(path: &Path, buffer: &mut Vec<u8>, most: u64) -> io::Result<Content> {
    buffer.clear();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = match fs::File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) => {
            let is_file = fs::symlink_metadata(path).map(|found| found.is_file());
            return match is_file {
                Ok(true) => Err(error),
                // A link, a socket, or gone since git looked.
                _ => Ok(Content::None),
            };
        }
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Ok(Content::None);
    }
    if about.len() > most {
        return Ok(Content::Long);
    }
    buffer.reserve(usize::try_from(about.len()).unwrap_or_default() + 1);
    file.take(most).read_to_end(buffer)?;
    Ok(Content::Whole)
}

/// What the system says, without its number.
pub fn why(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
