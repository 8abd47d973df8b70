//! Whether what is here agrees with the lock, and the lock with what is asked for. No git, no network.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::here::Here;
use super::lock::{Entry, Lock, State};
use super::text::marker;
use super::{Files, source};
use crate::config::{Asked, Source};

/// Something that does not agree.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The file, if it is about one.
    pub path: Option<String>,
    /// What.
    pub found: Found,
    /// In words.
    pub detail: String,
}

/// The kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Not what was pulled, and nobody has said that it is to be so.
    Edited,
    /// Not there.
    Missing,
    /// There, although the lock says that it is not wanted.
    Back,
    /// Executable, or not.
    Mode,
    /// A symbolic link.
    Link,
    /// No file.
    NoFile,
    /// A conflict is open.
    Conflict,
    /// The lock has something else than what xtask.toml asks for.
    Asked,
    /// A folder source has changed.
    Source,
    /// The version was withdrawn, or is too old.
    Version,
}

impl Found {
    /// Whether it is an open conflict, and not drift.
    pub fn is_conflict(self) -> bool {
        self == Found::Conflict
    }
}

/// What is wrong with one file.
fn file(path: &str, entry: &Entry, here: &Here) -> Option<Finding> {
    let finding = |found, detail: String| Some(Finding { path: Some(path.to_owned()), found, detail });
    let plain = |found, detail: &str| finding(found, detail.to_owned());
    let (bytes, now) = match here {
        Here::Link(link) if link == path => return plain(Found::Link, "is a symbolic link"),
        Here::Link(link) => return finding(Found::Link, format!("is behind the symbolic link {link}")),
        Here::Other => return plain(Found::NoFile, "is no file"),
        Here::Absent => {
            return match entry.state {
                State::Deleted | State::Gone => None,
                State::Conflict => plain(Found::Conflict, "the conflict is not decided"),
                _ => plain(Found::Missing, "is missing"),
            };
        }
        Here::File { bytes, sum, executable } => (bytes, (*sum, *executable)),
    };
    let pulled = (entry.sum, entry.executable);
    let line = if now.0 == pulled.0 { None } else { marker(bytes) };
    if let Some(line) = line {
        return finding(Found::Conflict, format!("has marks of a conflict, line {line}"));
    }
    let wanted = match entry.state {
        State::Pulled => pulled,
        State::Kept { sum, executable } => (sum, executable),
        State::Deleted if now == pulled => {
            return plain(Found::Back, "is back, and the lock says that you deleted it");
        }
        State::Deleted => return plain(Found::Back, "is another file than what you deleted"),
        State::Gone => {
            return plain(Found::Conflict, "is gone in the source and edited here: keep it, or remove it");
        }
        State::Conflict => {
            return plain(Found::Conflict, "has no marks left, and nobody said that it is decided");
        }
    };
    match (now == wanted || now == pulled, now.0 == wanted.0) {
        (true, _) => None,
        (false, true) => plain(Found::Mode, if now.1 { "is executable" } else { "is not executable" }),
        (false, false) if wanted == pulled => plain(Found::Edited, "was edited"),
        (false, false) => plain(Found::Edited, "was edited again since it was kept"),
    }
}

/// What does not agree, in the order of paths. `asked` is what xtask.toml says.
pub fn check(
    root: &Path,
    lock: &Lock,
    here: &BTreeMap<String, Here>,
    asked: &(Source, Option<String>, Asked),
) -> Result<Vec<Finding>> {
    let mut findings: Vec<Finding> = not_asked(lock, asked).into_iter().collect();
    for (path, entry) in &lock.files {
        findings.extend(here.get(path).and_then(|here| file(path, entry, here)));
    }
    if let Source::Folder(folder) = &asked.0
        && lock.source == *folder
    {
        let (_, files) = source::folder_files(root, folder)?;
        findings.extend(changed_source(lock, folder, &files));
    }
    Ok(findings)
}

/// A lock that is not of what is asked for.
fn not_asked(lock: &Lock, (source, subdir, asked): &(Source, Option<String>, Asked)) -> Option<Finding> {
    let finding = |detail| Some(Finding { path: None, found: Found::Asked, detail });
    let both =
        |wanted: String, has: String| finding(format!("xtask.toml asks for {wanted}, the lock has {has}"));
    if lock.source != source.to_string() {
        return both(source.to_string(), lock.source.clone());
    }
    if lock.subdir != *subdir {
        let shown = |subdir: &Option<String>| match subdir {
            Some(subdir) => format!("subdir {subdir}"),
            None => "no subdir".to_owned(),
        };
        return both(shown(subdir), shown(&lock.subdir));
    }
    if matches!(source, Source::Folder(_)) {
        return None;
    }
    let has = source::Target::of(lock).name();
    match asked {
        Asked::Version(range) if lock.version.as_ref().is_some_and(|version| range.matches(version)) => None,
        Asked::Version(range) => both(format!("version \"{range}\""), has),
        Asked::Tag(tag) if lock.git_ref.as_deref() == Some(&format!("refs/tags/{tag}")) => None,
        Asked::Tag(tag) => both(format!("the tag {tag}"), has),
        Asked::Branch(branch) if lock.git_ref.as_deref() == Some(&format!("refs/heads/{branch}")) => None,
        Asked::Branch(branch) => both(format!("the branch {branch}"), has),
        Asked::Rev(rev) if lock.commit.as_deref() == Some(rev) => None,
        Asked::Rev(rev) => both(format!("the commit {rev}"), lock.commit.clone().unwrap_or(has)),
    }
}

fn changed_source(lock: &Lock, folder: &str, files: &Files) -> Option<Finding> {
    let as_locked = |(path, file): (&String, &super::File)| {
        lock.files.get(path).is_some_and(|entry| entry.sum == file.sum && entry.executable == file.executable)
    };
    let changed = lock.files.len() != files.len() || !files.iter().all(as_locked);
    let detail = format!("{folder} has changed since it was pulled");
    changed.then_some(Finding { path: None, found: Found::Source, detail })
}
