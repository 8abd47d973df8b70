//! What another repository has under a path, now and before: for a look at many of them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::{Git, MOST, Objects, TRANSFER};
use crate::failure::{Code, Failure};
use crate::process::Kind;

/// Where the head of another repository is kept in a cache.
pub const HEAD: &str = "refs/fleet/head";
/// More changes of one file are not looked at.
const CHANGES: &str = "--max-count=500";

/// A file of a commit: git's octal mode, and its name of the bytes.
pub type Tracked = BTreeMap<String, (u32, String)>;

/// A commit that changed a file.
pub struct Change {
    /// When, in seconds since 1970.
    pub time: u64,
    /// git's name of the new bytes; none where the file was removed.
    pub blob: Option<String>,
}

impl Git<'_> {
    /// The files below a folder of a commit. `None`: there is no commit yet.
    pub fn tracked(&self, objects: Objects<'_>, commit: &str, folder: &str) -> Result<Option<Tracked>> {
        let words = ["--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, "--", folder];
        let answer = self.launcher.answer(self.command(Some(objects)).args(words), Kind::Git, b"", MOST)?;
        if answer.code != 0 && answer.stderr.contains("Not a valid object name HEAD") {
            return Ok(None);
        }
        let answer = self.well(answer, "git cannot read it")?;
        let mut files = Tracked::new();
        for line in answer.split(|byte| *byte == 0) {
            // What is not UTF-8 is no name that a lock can have.
            let Ok(line) = std::str::from_utf8(line) else { continue };
            // "100644 blob 8d11e40…\t.github/workflows/ci.yml"
            let Some((facts, path)) = line.split_once('\t') else { continue };
            let mut facts = facts.split(' ');
            let mode = facts.next().and_then(|mode| u32::from_str_radix(mode, 8).ok());
            if let (Some(mode), Some(_), Some(blob)) = (mode, facts.next(), facts.next()) {
                files.insert(path.to_owned(), (mode, blob.to_owned()));
            }
        }
        Ok(Some(files))
    }

    /// The changes of one file along the main line of a commit, the oldest first. Reads trees only, which a cache without
    /// contents has.
    pub fn changes(&self, objects: Objects<'_>, commit: &str, path: &str) -> Result<Vec<Change>> {
        // A merge counts by what it brought to the main line.
        let how = ["--first-parent", "-m", "--raw", "--no-abbrev", "--no-renames", "--no-color"];
        let command = self.command(Some(objects)).args(["--literal-pathspecs", "log"]).args(how).args([
            CHANGES,
            "--no-show-signature",
            "--format=%ct",
            commit,
            "--",
            path,
        ]);
        let answer = self.well(self.launcher.answer(command, Kind::Git, b"", MOST)?, "git cannot read it")?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (mut changes, mut time) = (Vec::new(), 0);
        for line in answer.lines() {
            // ":100644 100644 8d11e40… 1f2e3d4… M\t.github/sync-actions.lock", after a line with the time
            match line.strip_prefix(':') {
                Some(facts) => {
                    let blob = facts.split(' ').nth(3).filter(|blob| blob.bytes().any(|byte| byte != b'0'));
                    changes.push(Change { time, blob: blob.map(str::to_owned) });
                }
                None => time = line.trim().parse().unwrap_or(time),
            }
        }
        changes.reverse();
        Ok(changes)
    }

    /// Fetches the history of a remote's head into a cache, without contents where the remote can leave them out. Gives
    /// whether it has a head.
    pub fn fetch_history(&self, cache: &Path, url: &str) -> Result<bool> {
        let command = self.command(Some(Objects::Bare(cache))).args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--filter=blob:none",
            "--end-of-options",
            url,
        ]);
        let command = command.arg(format!("+HEAD:{HEAD}"));
        match self.remote(command, "fetching", url, TRANSFER) {
            Ok(_) => Ok(true),
            Err(error) => {
                let facts = error.downcast_ref::<Failure>().map(|failure| failure.facts.as_slice());
                let empty =
                    facts.unwrap_or_default().iter().any(|(_, text)| text.contains("find remote ref HEAD"));
                if empty { Ok(false) } else { Err(error) }
            }
        }
    }

    /// Fetches contents that [`Git::fetch_history`] left out, by git's names of them.
    pub fn fetch_contents(&self, cache: &Path, url: &str, names: &[String]) -> Result<()> {
        let there = self.have(cache, names)?;
        let missing = names.iter().zip(there).filter(|(_, there)| !there).map(|(name, _)| name);
        let mut missing: Vec<&String> = missing.collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let command = self.command(Some(Objects::Bare(cache))).args([
            // Who says that it has the commit is not sent what is in it.
            "-c",
            "fetch.negotiationAlgorithm=noop",
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--filter=blob:none",
            "--end-of-options",
            url,
        ]);
        self.remote(command.args(missing), "fetching", url, TRANSFER).map(drop)
    }

    /// Fails where there is no git.
    pub fn check_here(&self) -> Result<()> {
        let answer = self.launcher.answer(self.command(None).arg("--version"), Kind::Git, b"", MOST)?;
        match answer.code {
            0 => Ok(()),
            _ => Err(Failure::new(Code::Missing, "git does not run").why(answer.stderr.trim()).into()),
        }
    }
}
