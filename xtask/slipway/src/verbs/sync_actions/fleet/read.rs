//! What is in each repository, read from git's objects by several threads at once: what its head has counts, and nobody's
//! work tree.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::list::{Place, Repository};
use crate::actions::{
    Entry, FOLDER, Git, HEAD, LOCK, Lock, Objects, State, Survey, Target, Tracked, Wanted, plain, survey,
};
use crate::config::{Asked, Source, read_source};
use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::output::{Progress, Screen};
use crate::process::Launcher;
use crate::workspace::short_hash;

/// How long one remote may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The locks of one repository, old ones too, have at most this many bytes.
const LOCKS: u64 = 64 * 1024 * 1024;

/// What a repository has. By default: it never adopted anything.
#[derive(Default)]
pub struct Found {
    pub lock: Option<Lock>,
    /// Files that are not what was pulled, and that nobody decided upon.
    pub edited: Vec<String>,
    /// Files that were kept or deleted on purpose.
    pub own: Vec<String>,
    /// Which versions it had, the oldest first.
    pub history: Vec<Adopted>,
}

/// A day on which the version changed.
pub struct Adopted {
    /// `2026-11-23`, in UTC.
    pub date: String,
    pub source: String,
    /// None where the lock was removed.
    pub version: Option<String>,
}

/// Where workflows come from: the address and its folder.
pub type Key = (String, Option<String>);

/// Reads them all, in their order. What one cannot say stops no other.
pub fn repositories(context: &Context, repositories: &[Repository]) -> Result<Vec<Result<Found, String>>> {
    // Said once, and not a hundred times.
    Git::new(&context.launcher(&context.env.cwd)?, false, None).check_here()?;
    let caches = context.env.cache();
    let read = |git: &Git<'_>, repository: &Repository| match &repository.place {
        Place::Folder(folder) => local(git, folder),
        Place::Remote(address) => remote(git, &caches, address),
        Place::Refused(why) => Err(anyhow!(why.clone())),
    };
    in_parallel(context, "repositories", repositories, |git, repository| {
        read(git, repository).map_err(|error| in_a_line(&error))
    })
}

/// What the sources of these have to say, each asked once.
pub fn sources(
    context: &Context,
    found: &[Result<Found, String>],
) -> Result<BTreeMap<Key, Result<Survey, String>>> {
    let locks = found.iter().flatten().filter_map(|found| found.lock.as_ref());
    let mut keys: Vec<Key> = locks.map(|lock| (lock.source.clone(), lock.subdir.clone())).collect();
    keys.sort_unstable();
    keys.dedup();
    let (caches, any) = (context.env.cache(), Asked::Version(semver::VersionReq::STAR));
    let look = |git: &Git<'_>, (address, subdir): &Key| {
        let source = read_source(address)?;
        if matches!(source, Source::Folder(_)) {
            bail!("a folder of the repository, which has no versions");
        }
        let wanted =
            Wanted { source: &source, subdir: subdir.as_deref(), asked: &any, exactly: None, locked: None };
        survey(git, &context.env.cwd, &caches, &wanted)
    };
    let surveys =
        in_parallel(context, "sources", &keys, |git, key| look(git, key).map_err(|error| in_a_line(&error)))?;
    Ok(keys.into_iter().zip(surveys).collect())
}

/// Says how far it is; children that run at once would each say something else.
struct Counter<'a> {
    screen: &'a Screen,
    what: &'a str,
    done: &'a AtomicUsize,
    total: usize,
}

impl Progress for Counter<'_> {
    fn working(&self, _: &str, _: &str) {
        let done = self.done.load(Ordering::Relaxed);
        self.screen.working("fleet", &format!("{done} of {} {} read", self.total, self.what));
    }

    fn command(&self, line: &str) {
        self.screen.command(line);
    }
}

/// Does `work` for each item, several at once, and gives the results in the items' order.
fn in_parallel<T: Sync, R: Send>(
    context: &Context,
    what: &str,
    items: &[T],
    work: impl Fn(&Git<'_>, &T) -> R + Sync,
) -> Result<Vec<R>> {
    // Most of the time they wait, for a disk or for a network.
    let threads = std::thread::available_parallelism().map_or(4, |cores| cores.get() * 2).clamp(4, 16);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (env, screen) = (&context.env, &context.screen);
    let one = || -> Result<Vec<(usize, R)>> {
        let counter = Counter { screen, what, done: &done, total: items.len() };
        // Its shell is of one thread.
        let launcher = Launcher::new(env, &counter, &env.cwd)?;
        let git = Git::new(&launcher, false, Some(PATIENCE));
        let mut results = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return Ok(results) };
            results.push((index, work(&git, item)));
            done.fetch_add(1, Ordering::Relaxed);
            counter.working("", "");
        }
    };
    let mut results = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads.min(items.len())).map(|_| scope.spawn(one)).collect();
        let mut results = Vec::with_capacity(items.len());
        for thread in running {
            results.extend(thread.join().map_err(|_| anyhow!("a thread that reads {what} ended"))??);
        }
        Ok::<_, anyhow::Error>(results)
    })?;
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// A repository on this machine: its objects are asked where they are.
fn local(git: &Git<'_>, folder: &Path) -> Result<Found> {
    // git takes links as they lead.
    let folder = folder.canonicalize().context("no such folder")?;
    // Without this, git would answer for a repository around it.
    let bare = folder.join("HEAD").is_file() && folder.join("objects").is_dir();
    if !folder.join(".git").exists() && !bare {
        bail!("not a git repository");
    }
    let objects = Objects::In(&folder);
    let Some(files) = git.tracked(objects, "HEAD", FOLDER)? else { return Ok(Found::default()) };
    found(git, objects, "HEAD", &files, |_| Ok(()))
}

/// A repository elsewhere: its history is fetched into a cache, and of its contents the locks.
fn remote(git: &Git<'_>, caches: &Path, address: &str) -> Result<Found> {
    let cache = caches.join("actions/fleet").join(format!("{}.git", short_hash(address.as_bytes())));
    std::fs::create_dir_all(cache.parent().unwrap_or(caches))?;
    let _ours = files::Lock::exclusive(&files::beside(&cache, "lock"))?;
    git.init(&cache)?;
    if !git.fetch_history(&cache, address)? {
        return Ok(Found::default());
    }
    let objects = Objects::Bare(&cache);
    let Some(files) = git.tracked(objects, HEAD, FOLDER)? else { return Ok(Found::default()) };
    found(git, objects, HEAD, &files, |blobs| git.fetch_contents(&cache, address, blobs))
}

/// What a commit has. `get` brings contents that are not there yet.
fn found(
    git: &Git<'_>,
    objects: Objects<'_>,
    commit: &str,
    files: &Tracked,
    get: impl Fn(&[String]) -> Result<()>,
) -> Result<Found> {
    let changes = git.changes(objects, commit, LOCK)?;
    let now = files.get(LOCK).map(|(_, blob)| blob.clone());
    let then = changes.iter().filter_map(|change| change.blob.clone());
    let mut blobs: Vec<String> = now.iter().cloned().chain(then).collect();
    blobs.sort_unstable();
    blobs.dedup();
    if blobs.is_empty() {
        return Ok(Found::default());
    }
    get(&blobs)?;
    let texts = git.contents(objects, &blobs, LOCKS)?;
    let texts: BTreeMap<_, _> =
        blobs.iter().zip(texts).filter_map(|(blob, text)| Some((blob, text?))).collect();
    let text = |blob: &String| -> Result<String> {
        Ok(String::from_utf8_lossy(texts.get(blob).context("its lock cannot be read")?).into_owned())
    };
    let lock = now.as_ref().map(|blob| Lock::parse(&text(blob)?)).transpose()?;
    // Of old ones only what is before their files.
    let head = |blob: &String| -> Result<Lock> {
        let text = text(blob)?;
        Lock::parse(text.split_once("\n[files]").map_or(text.as_str(), |(head, _)| head))
    };
    let mut history: Vec<Adopted> = Vec::new();
    for change in &changes {
        // One that cannot be read says nothing.
        let Ok(old) = change.blob.as_ref().map(head).transpose() else { continue };
        let adopted = Adopted {
            date: super::super::check::day(change.time / 86_400),
            source: old.as_ref().map(|lock| lock.source.clone()).unwrap_or_default(),
            version: old.as_ref().map(version),
        };
        // A lock also changes with what is decided about files.
        if history
            .last()
            .is_none_or(|last| (&last.version, &last.source) != (&adopted.version, &adopted.source))
        {
            history.push(adopted);
        }
    }
    let entries = || lock.iter().flat_map(|lock| &lock.files);
    let edited = entries().filter(|(path, entry)| is_edited(entry, files.get(*path)));
    let edited = edited.map(|(path, _)| plain(path)).collect();
    let own = entries().filter(|(_, entry)| entry.is_own()).map(|(path, _)| plain(path)).collect();
    Ok(Found { lock, edited, own, history })
}

/// Whether a file is another one than what was pulled, by git's names of the bytes alone: other line ends are other bytes.
fn is_edited(entry: &Entry, here: Option<&(u32, String)>) -> bool {
    match entry.state {
        State::Kept { .. } | State::Deleted => false,
        State::Gone => here.is_some(),
        State::Pulled | State::Conflict => {
            let mode = if entry.executable { 0o100_755 } else { 0o100_644 };
            here.is_none_or(|(is, blob)| *is != mode || *blob != entry.blob)
        }
    }
}

/// `1.8.0`, or the branch or commit of a lock without a version.
pub fn version(lock: &Lock) -> String {
    plain(&lock.version.as_ref().map_or_else(|| Target::of(lock).name(), ToString::to_string))
}

/// An error as the table has it. What git said has no password in it any more.
fn in_a_line(error: &anyhow::Error) -> String {
    let text = match error.downcast_ref::<Failure>() {
        Some(failure) => {
            let why = failure.facts.iter().find(|(label, _)| *label == "why").map(|(_, text)| text);
            let why = why.and_then(|why| why.lines().find(|line| !line.trim().is_empty()));
            why.map_or_else(|| failure.what.clone(), |why| why.trim().to_owned())
        }
        None => error.to_string(),
    };
    plain(&text)
}
