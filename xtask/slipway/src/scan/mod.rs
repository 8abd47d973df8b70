//! Secrets in files: in the tree, in the index, in all of the history, and in a home folder. Says where, never what.

mod dotenv;
mod git;
mod home;
mod key;
mod objects;
mod search;
mod text;
mod tree;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;

use crate::config::Secrets;
use crate::process::Launcher;
use git::{Git, History, Listed, Name};
use objects::Objects;
use search::{Hit, Searcher};
use tree::File;

/// Stands for the path of what is in a commit's message.
const MESSAGE: &str = "(message)";

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A `.env` file with values.
    EnvFile,
    /// A private key.
    PrivateKey,
    /// A token of Doppler's.
    DopplerToken,
    /// Values that the Doppler CLI keeps for when its server cannot be reached.
    FallbackFile,
}

impl Kind {
    /// Its name, for programs too.
    pub fn name(self) -> &'static str {
        match self {
            Kind::EnvFile => "env-file",
            Kind::PrivateKey => "private-key",
            Kind::DopplerToken => "doppler-token",
            Kind::FallbackFile => "fallback-file",
        }
    }
}

/// Where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file here.
    Tree,
    /// What is staged, where the file here is another.
    Index,
    /// A commit, and not here any more.
    History,
    /// The user's home folder.
    Home,
}

impl Place {
    /// Its name, for programs too.
    pub fn name(self) -> &'static str {
        match self {
            Place::Tree => "tree",
            Place::Index => "index",
            Place::History => "history",
            Place::Home => "home",
        }
    }
}

/// One secret in one file. In the order of their paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// From the root, on one line whatever is in the name; of a home folder, from `~`.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub place: Place,
    /// The commit that brought it, where it is in the history.
    pub commit: Option<String>,
}

/// What a scan saw.
#[derive(Default)]
pub struct Report {
    /// What was found and not accepted, in order.
    pub findings: Vec<Finding>,
    /// How many findings were accepted.
    pub accepted: usize,
    /// Which of the accepted paths accepted none.
    pub idle: Vec<String>,
    /// How many files were read.
    pub files: usize,
    /// How many contents of the index and the history were read, beside those that are files here.
    pub blobs: usize,
    /// How many files and contents were too long.
    pub long: usize,
    /// How many contents are not in this clone.
    pub missing: usize,
    /// How many repositories are within this one, submodules and others.
    pub nested: usize,
    /// What could not be read, and why.
    pub unread: Vec<(String, String)>,
    /// Whether there is a history.
    pub has_history: bool,
    /// Whether the history is cut off.
    pub is_shallow: bool,
}

/// Scans what is in `root`. What is at or below an `accepted` path is passed over; with `COMMIT:` before the path, only
/// what that commit has brought there.
pub fn scan(launcher: &Launcher<'_>, root: &Path, accepted: &[String]) -> Result<Report> {
    let searcher = Searcher::new()?;
    let mut found = Found::default();
    launcher.progress().working("scan", "listing");
    match Git::open(launcher, root)? {
        None => {
            let files = tree::walk(root, &mut found.report.unread);
            let (scanned, _) = tree::scan(&searcher, root, files, || Ok(()))?;
            found.add_tree(scanned);
        }
        Some(git) => repository(&git, &searcher, root, &mut found)?,
    }
    Ok(found.accept(accepted))
}

/// Adds what is in the home folder, where the Doppler CLI keeps its own in `doppler`.
pub fn scan_home(home: &Path, doppler: &Path, report: &mut Report) -> Result<()> {
    home::scan(&Searcher::new()?, home, doppler, report)?;
    report.findings.sort();
    Ok(())
}

fn repository(git: &Git<'_>, searcher: &Searcher, root: &Path, found: &mut Found) -> Result<()> {
    let Listed { entries, nested, untracked, is_ignored, ignored, unread } = git.list()?;
    found.report.unread.extend(unread);
    let mut files: Vec<File> = Vec::new();
    let mut listed: HashSet<&Name> = HashSet::new();
    for entry in entries.iter().filter(|entry| entry.is_file && listed.insert(&entry.path)) {
        let object = (!entry.differs).then(|| entry.object.clone());
        files.push(File { path: entry.path.clone(), object });
    }
    let others = untracked.into_iter().chain(tree::named(root, ignored, &mut found.report.unread));
    files.extend(others.map(|path| File { path, object: None }));
    if is_ignored {
        files.extend(tree::walk(root, &mut found.report.unread));
    }
    // git reads the history while the files are read.
    let (scanned, history) = tree::scan(searcher, root, files, || {
        git.launcher.progress().working("scan", "listing the history");
        git.history(|message| searcher.look(message, &[]))
    })?;
    let was_read = |one: &&tree::Scanned| !one.is_gone && one.problem.is_none();
    let unread: HashSet<&Name> =
        scanned.iter().filter(|one| !was_read(one)).map(|one| &one.file.path).collect();

    // What is in the files here need not be read again, unless another name says something else about it.
    let mut objects = Objects::default();
    for one in scanned.iter().filter(was_read) {
        if let Some(object) = &one.file.object {
            objects.know(object, dotenv::flavor(&one.file.path), &one.hits);
        }
    }
    let staged: Vec<_> = entries
        .iter()
        .filter(|entry| entry.is_file && (entry.differs || unread.contains(&entry.path)))
        .collect();
    for entry in &staged {
        objects.want(&entry.object, dotenv::flavor(&entry.path));
    }
    for version in &history.versions {
        objects.want(&version.object, dotenv::flavor(&version.path));
    }
    objects.read(git, searcher)?;

    found.report.nested = nested;
    found.report.has_history = true;
    found.report.is_shallow = git.is_shallow;
    found.report.blobs = objects.read;
    found.report.long += objects.long;
    found.report.missing = objects.missing;
    found.add_tree(scanned);
    for entry in staged {
        found.add(&entry.path, objects.hits(&entry.object), Place::Index, || None);
    }
    found.add_history(&history, &objects);
    Ok(())
}

/// What was found so far.
#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    /// Which values were seen at which paths: the same in an older version is no news.
    seen: HashMap<Name, HashSet<(Kind, u64)>>,
    report: Report,
}

impl Found {
    fn add(&mut self, path: &Name, hits: &[Hit], place: Place, commit: impl Fn() -> Option<String>) {
        if hits.is_empty() {
            return;
        }
        let flavor = dotenv::flavor(path);
        let hits: Vec<&Hit> =
            hits.iter().filter(|hit| hit.flavor.is_none() || hit.flavor == flavor).collect();
        let seen = self.seen.entry(path.clone()).or_default();
        // All places in one version are named; of later ones, only values that are new.
        let news: Vec<&&Hit> = hits.iter().filter(|hit| !seen.contains(&(hit.kind, hit.mark))).collect();
        for hit in news {
            let Hit { kind, line, .. } = **hit;
            let finding = Finding { path: text::shown(path), line, kind, place, commit: commit() };
            self.findings.push(finding);
        }
        seen.extend(hits.iter().map(|hit| (hit.kind, hit.mark)));
    }

    fn add_tree(&mut self, scanned: Vec<tree::Scanned>) {
        for one in scanned {
            match one.problem {
                Some(why) => self.report.unread.push((text::shown(&one.file.path), why)),
                None if one.is_long => self.report.long += 1,
                None => self.report.files += usize::from(!one.is_gone),
            }
            self.add(&one.file.path, &one.hits, Place::Tree, || None);
        }
    }

    fn add_history(&mut self, history: &History, objects: &Objects) {
        // The oldest is last, and it is the one that brought it.
        for version in history.versions.iter().rev() {
            self.add(&version.path, objects.hits(&version.object), Place::History, || {
                history.commit(version.commit)
            });
        }
        for message in history.messages.iter().rev() {
            let path = message.tag.clone().unwrap_or_else(|| MESSAGE.as_bytes().to_vec());
            self.add(&path, &message.hits, Place::History, || history.commit(message.commit));
        }
    }

    fn accept(self, accepted: &[String]) -> Report {
        let Found { findings, mut report, .. } = self;
        let mut used = HashSet::new();
        for finding in findings {
            let covers = |entry: &&String| {
                // `COMMIT:PATH` is about what a commit has brought, and not about what the path has now.
                let (commit, entry) = Secrets::accepted_parts(entry);
                let is_its = |commit: &str| {
                    let found = finding.commit.as_deref().unwrap_or("-");
                    commit.starts_with(found) || found.starts_with(commit)
                };
                // As it is shown: that is what people paste.
                let rest = finding.path.strip_prefix(entry);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) && commit.is_none_or(is_its)
            };
            let covering: Vec<&String> = accepted.iter().filter(covers).collect();
            match covering.is_empty() {
                true => report.findings.push(finding),
                false => report.accepted += 1,
            }
            used.extend(covering);
        }
        report.idle = accepted.iter().filter(|entry| !used.contains(entry)).cloned().collect();
        report.findings.sort();
        report
    }
}
