//! What was saved since the last look.
//!
//! A poll, not events: it misses nothing, knows no limit of watches, and sees what a mount does not tell. Each look
//! costs one `stat` a file; git is asked again only when a folder has changed, which is how files come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use walkdir::{DirEntry, WalkDir};
use xshell::cmd;

use crate::process::{Kind, Launcher};

/// The pause between two looks while nobody saves.
const PAUSE: Duration = Duration::from_millis(50);
/// The pause while somebody does.
const PAUSE_WHILE_SAVING: Duration = Duration::from_millis(10);
/// How long nothing may change until what was saved counts as whole: an editor writes several files, git hundreds.
const QUIET: Duration = Duration::from_millis(40);
/// What goes on changing is reported all the same.
const LONGEST: Duration = Duration::from_secs(1);

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
    /// When the first and the last change was seen that is not reported yet.
    changed: Option<(Instant, Instant)>,
    looked: Instant,
}

impl Watch {
    /// Watches the files below `root` that git knows or would add, of those the ones at or below the paths `only`.
    /// What they are at this moment counts as seen.
    pub fn new(launcher: &Launcher<'_>, root: &Path, only: Vec<String>) -> Self {
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
        watch
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
        let Some((first, last)) = self.changed else { return Vec::new() };
        if last.elapsed() < QUIET && first.elapsed() < LONGEST {
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

    /// Takes `file` for what it was when `old` reported it last: a change since then is yet to be reported.
    pub fn recall(&mut self, old: &Watch, file: &Path) {
        let stamp = old.reported.get(file).copied().flatten();
        if self.now.get(file).copied().flatten() != stamp {
            self.reported.insert(file.to_path_buf(), stamp);
            self.changed = Some((self.looked, self.looked));
        }
    }

    /// Sees whether anything is other than it was; `list` asks which files there are as well.
    fn compare(&mut self, launcher: &Launcher<'_>, list: bool) {
        let differs = if list {
            let before = self.now.clone();
            self.list(launcher);
            self.now != before
        } else {
            // Many times a second: nothing is copied.
            self.now.iter_mut().fold(false, |differs, (file, stamp)| {
                let old = std::mem::replace(stamp, stamp_of(&self.root.join(file)));
                differs | (old != *stamp)
            })
        };
        if differs {
            let first = self.changed.map_or(self.looked, |(first, _)| first);
            self.changed = Some((first, self.looked));
        }
    }

    /// Which files there are, and which folders tell of new ones.
    fn list(&mut self, launcher: &Launcher<'_>) {
        let roots: Vec<PathBuf> = self.only.iter().map(|path| self.root.join(path)).collect();
        let entries = |path: &PathBuf| WalkDir::new(path).into_iter().filter_entry(is_watched).flatten();
        let below: Vec<DirEntry> = roots.iter().flat_map(entries).collect();
        let relative = |path: &Path| path.strip_prefix(&self.root).unwrap_or(path).to_path_buf();
        // Before the files: what comes while they are listed has changed its folder by the next look.
        let folders =
            below.iter().filter(|entry| entry.file_type().is_dir()).map(|entry| relative(entry.path()));
        // A path that is not there yet is waited for.
        let folders: BTreeSet<PathBuf> = folders.chain(self.only.iter().map(PathBuf::from)).collect();
        let stamped = |path: PathBuf| (path.clone(), stamp_of(&self.root.join(path)));
        self.folders = folders.into_iter().map(stamped).collect();
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
        self.now = files.map(stamped).collect();
        // Also of those that the walk above passes by, such as a module called `target`.
        let parents: BTreeSet<PathBuf> =
            self.now.keys().filter_map(|file| file.parent()).map(PathBuf::from).collect();
        for folder in parents {
            let path = self.root.join(&folder);
            self.folders.entry(folder).or_insert_with(|| stamp_of(&path));
        }
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
