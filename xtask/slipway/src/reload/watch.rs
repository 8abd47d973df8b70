//! What was saved since the last look.
//!
//! A poll, not events: it misses nothing, knows no limit of watches, and sees what a mount does not tell. Each look
//! costs one `stat` a file; git is asked again only when a folder has changed, which is how files come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use walkdir::{DirEntry, WalkDir};
use xshell::cmd;

use crate::process::{Kind, Launcher};

/// The pause between two looks while nobody saves.
const PAUSE: Duration = Duration::from_millis(50);
/// The pause while somebody does.
const PAUSE_WHILE_SAVING: Duration = Duration::from_millis(10);
/// How long nothing may change until what was saved counts as whole: an editor writes several files, git hundreds.
const QUIET: Duration = Duration::from_millis(40);

/// Tells one content of a path from another; none if nothing is there.
type Stamp = Option<(i64, i64, u64, u64)>;

/// Files that are watched.
pub struct Watch {
    root: PathBuf,
    only: Vec<String>,
    /// Files, from the root, as they are now.
    now: BTreeMap<PathBuf, Stamp>,
    /// As they were when changes were last reported.
    reported: BTreeMap<PathBuf, Stamp>,
    folders: BTreeMap<PathBuf, Stamp>,
    changed: Option<Instant>,
    looked: Instant,
}

impl Watch {
    /// Watches the files below `root` that git knows or would add, of those the ones at or below the paths `only`,
    /// and `always`. What they are at this moment counts as seen.
    pub fn new(launcher: &Launcher<'_>, root: &Path, only: &[String], always: &str) -> Result<Self> {
        let mut only = only.to_vec();
        only.push(always.to_owned());
        let mut watch = Watch {
            root: root.to_path_buf(),
            only,
            now: BTreeMap::new(),
            reported: BTreeMap::new(),
            folders: BTreeMap::new(),
            changed: None,
            looked: Instant::now(),
        };
        watch.list(launcher);
        watch.reported.clone_from(&watch.now);
        Ok(watch)
    }

    /// How long until [`Watch::look`] is worth a call.
    pub fn pause(&self) -> Duration {
        let pause = if self.changed.is_some() { PAUSE_WHILE_SAVING } else { PAUSE };
        pause.saturating_sub(self.looked.elapsed())
    }

    /// What was saved, added or removed since the last answer, from the root, in alphabetical order: once nothing
    /// changes any more, and empty until then.
    pub fn look(&mut self, launcher: &Launcher<'_>) -> Vec<PathBuf> {
        if !self.pause().is_zero() {
            return Vec::new();
        }
        self.looked = Instant::now();
        let moved = self.folders.iter().any(|(folder, stamp)| stamp_of(&self.root.join(folder)) != *stamp);
        self.compare(launcher, moved);
        if self.changed.is_none_or(|since| since.elapsed() < QUIET) {
            return Vec::new();
        }
        self.changed = None;
        let both: BTreeSet<&PathBuf> = self.now.keys().chain(self.reported.keys()).collect();
        let stamp = |files: &BTreeMap<PathBuf, Stamp>, file: &Path| files.get(file).copied().flatten();
        // A file that came and went in between is no change: editors try whether a folder can be written.
        let differs = |file: &Path| stamp(&self.now, file) != stamp(&self.reported, file);
        let changes = both.into_iter().filter(|file| differs(file)).cloned().collect();
        self.reported.clone_from(&self.now);
        changes
    }

    /// Takes `file` as it is now: whoever changed it is no person.
    pub fn accept(&mut self, launcher: &Launcher<'_>, file: &str) {
        let file = Path::new(file);
        let stamp = stamp_of(&self.root.join(file));
        if self.now.get(file).copied().flatten() != stamp {
            self.compare(launcher, true);
        }
        match self.now.get(file) {
            Some(stamp) => drop(self.reported.insert(file.into(), *stamp)),
            None => drop(self.reported.remove(file)),
        }
    }

    /// Sees whether anything is other than it was; `list` asks which files there are as well.
    fn compare(&mut self, launcher: &Launcher<'_>, list: bool) {
        let before = self.now.clone();
        match list {
            true => self.list(launcher),
            false => self.now.iter_mut().for_each(|(file, stamp)| *stamp = stamp_of(&self.root.join(file))),
        }
        if self.now != before {
            self.changed = Some(Instant::now());
        }
    }

    /// Which files there are, and which folders tell of new ones.
    fn list(&mut self, launcher: &Launcher<'_>) {
        let roots: Vec<PathBuf> = self.only.iter().map(|path| self.root.join(path)).collect();
        let entries = |path: &PathBuf| WalkDir::new(path).into_iter().filter_entry(is_watched).flatten();
        let below: Vec<DirEntry> = roots.iter().flat_map(entries).collect();
        let relative = |path: &Path| path.strip_prefix(&self.root).unwrap_or(path).to_path_buf();
        // Before the files: what comes while they are listed has changed its folder by the next look.
        let folders = below.iter().filter(|entry| entry.file_type().is_dir());
        self.folders = folders.map(|entry| (relative(entry.path()), stamp_of(entry.path()))).collect();
        let only = &self.only;
        let listed = launcher
            .read(cmd!(launcher.shell, "git ls-files -z -co --exclude-standard -- {only...}"), Kind::Tool);
        let files: Vec<PathBuf> = match listed {
            Ok(names) => names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect(),
            // No repository of git: everything but what tools keep there.
            Err(_) => {
                let files = below.iter().filter(|entry| entry.file_type().is_file());
                files.map(|entry| relative(entry.path())).collect()
            }
        };
        let files = files.into_iter().filter(|file| !is_draft(file));
        self.now = files.map(|file| (file.clone(), stamp_of(&self.root.join(file)))).collect();
    }
}

fn stamp_of(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    Some((found.mtime(), found.mtime_nsec(), found.size(), found.ino()))
}

/// Not what git and cargo keep, and no hidden folder but the one that people name.
fn is_watched(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    let kept = ["target", "node_modules"].contains(&name.as_ref()) || name.starts_with('.');
    entry.depth() == 0 || !(entry.file_type().is_dir() && kept)
}

/// What an editor writes beside a file that is open.
fn is_draft(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with('~')
        || name.starts_with(".#")
        || [".swp", ".swo", ".swx"].iter().any(|end| name.ends_with(end))
}
