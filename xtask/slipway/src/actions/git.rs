//! git, asked for objects only: no work tree, so no hooks, filters, links or line ends of a checkout.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use xshell::{Cmd, cmd};

use super::vet::{self, Listed};
use crate::failure::{Code, Failure};
use crate::process::{Answer, Captured, Kind, Launcher, Leash, Start};

mod history;

pub use history::{HEAD, Tracked};

/// How long a remote may take to name its refs, where nobody can be typing a passphrase.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to send what was asked for.
const TRANSFER: Duration = Duration::from_secs(600);
/// The most that git's lists and answers may have, in bytes: a source could be made to have any number of files.
const MOST: u64 = 8 * 1024 * 1024;

/// git for one run.
pub struct Git<'a> {
    launcher: &'a Launcher<'a>,
    /// Whether git may ask for a password or a passphrase.
    may_ask: bool,
    /// How long a remote may take at most, whatever it is asked.
    limit: Option<Duration>,
}

/// Where objects are looked up.
#[derive(Clone, Copy)]
pub enum Objects<'a> {
    /// A bare repository.
    Bare(&'a Path),
    /// The repository around a folder.
    Around(&'a Path),
    /// The repository in a folder, and none above it.
    In(&'a Path),
}

impl<'a> Git<'a> {
    /// git that may ask on the terminal or not; a remote gets at most `limit` to answer.
    pub fn new(launcher: &'a Launcher<'a>, may_ask: bool, limit: Option<Duration>) -> Self {
        Git { launcher, may_ask, limit }
    }

    fn command(&self, objects: Option<Objects<'_>>) -> Cmd<'_> {
        let sh = &self.launcher.shell;
        let command = match objects {
            None => cmd!(sh, "git"),
            Some(Objects::Bare(folder)) => {
                let folder = folder.display().to_string();
                cmd!(sh, "git --git-dir={folder}")
            }
            Some(Objects::Around(folder)) => cmd!(sh, "git -C {folder}"),
            Some(Objects::In(folder)) => {
                let above = folder.parent().unwrap_or(folder);
                cmd!(sh, "git -C {folder}").env("GIT_CEILING_DIRECTORIES", above)
            }
        };
        command
            .args(["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false"])
            // Whatever the user's `insteadOf` makes of an address: nothing that runs a command.
            .env("GIT_ALLOW_PROTOCOL", "https:http:ssh:file")
            .env("GIT_TERMINAL_PROMPT", if self.may_ask { "1" } else { "0" })
            .env("SSH_ASKPASS_REQUIRE", "never")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_HTTP_LOW_SPEED_LIMIT", "1")
            .env("GIT_HTTP_LOW_SPEED_TIME", "30")
            .env("LC_ALL", "C")
    }

    /// Asks a remote. Ends with this process, unless git may talk to the terminal: then it is in the foreground, and
    /// ctrl-c ends both.
    fn remote(&self, command: Cmd<'_>, what: &str, url: &str, patience: Duration) -> Result<String> {
        let Answer { code, stdout, stderr } = if self.may_ask {
            self.launcher.progress().working("source", what);
            self.launcher.answer(command, Kind::Git, b"", MOST)?
        } else {
            let start = Start::new(command, Kind::Git, Leash::Signal(Signal::TERM))
                .outputs(Stdio::piped(), Stdio::piped());
            let mut child = Captured::new(self.launcher.start(start)?)?;
            let deadline = Instant::now() + self.limit.unwrap_or(patience);
            let asked = Instant::now();
            loop {
                if let Some(said) = child.poll()? {
                    break Answer { code: said.code, stdout: said.stdout.into_bytes(), stderr: said.stderr };
                }
                if Instant::now() > deadline {
                    child.child().stop(&[])?;
                    return Err(Failure::new(Code::Unreachable, format!("{url} did not answer"))
                        .why(format!("within {} s", self.limit.unwrap_or(patience).as_secs()))
                        .next(format!("git ls-remote {url}"))
                        .into());
                }
                self.launcher.progress().working("source", what);
                // Most answers come soon, and the next step waits for them.
                let slow = asked.elapsed() > Duration::from_millis(500);
                std::thread::sleep(Duration::from_millis(if slow { 20 } else { 1 }));
            }
        };
        match code {
            0 => Ok(String::from_utf8_lossy(&stdout).into_owned()),
            // `__exec` could not start it.
            5 | 127 => Err(Failure::new(Code::Missing, "git is not installed, or not on PATH")
                .next("install git, or add its folder to PATH")
                .into()),
            129.. => Err(Failure::interrupted(code).into()),
            _ => Err(not_reached(url, &stderr).into()),
        }
    }

    /// The tags and branches of a remote by their full names, with their objects; a tag that is an object of its own also
    /// with `^{}` and the commit.
    pub fn refs(&self, url: &str) -> Result<BTreeMap<String, String>> {
        let command = self.command(None).args(["ls-remote", "--heads", "--tags", "--end-of-options", url]);
        let said = self.remote(command, "asking which versions there are", url, PATIENCE)?;
        let pairs = said.lines().filter_map(|line| line.split_once('\t'));
        Ok(pairs.map(|(object, name)| (name.to_owned(), object.to_owned())).collect())
    }

    /// Makes a bare repository, unless it is there. Whether it was made: three folders and two lines need no child.
    pub fn init(&self, folder: &Path) -> Result<bool> {
        let head = folder.join("HEAD");
        if head.is_file() {
            return Ok(false);
        }
        let make = || {
            std::fs::create_dir_all(folder.join("objects"))?;
            std::fs::create_dir_all(folder.join("refs"))?;
            std::fs::write(folder.join("config"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")?;
            std::fs::write(&head, "ref: refs/heads/main\n")
        };
        make().with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(true)
    }

    /// Fetches commits by their names; a branch with all that led to it.
    /// What `have` has, which is in the cache, is not sent again.
    pub fn fetch(
        &self,
        cache: &Path,
        url: &str,
        wants: &[&str],
        have: Option<&str>,
        whole: bool,
    ) -> Result<()> {
        // Left by a git that was killed; whoever calls holds our own lock.
        let _ = std::fs::remove_file(cache.join("shallow.lock"));
        let mut command = self.command(Some(Objects::Bare(cache))).args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
        ]);
        if !whole {
            command = command.arg("--depth=1");
        } else if cache.join("shallow").exists() {
            command = command.arg("--unshallow");
        }
        if let Some(have) = have {
            command = command.arg(format!("--negotiation-tip={have}"));
        }
        let command = command.arg("--end-of-options").arg(url).args(wants);
        self.remote(command, "fetching", url, TRANSFER).map(drop)
    }

    /// Which of these objects are there.
    pub fn have(&self, cache: &Path, names: &[String]) -> Result<Vec<bool>> {
        let command = self.command(Some(Objects::Bare(cache))).args(["cat-file", "--batch-check"]);
        let input = names.join("\n") + "\n";
        let answer = self.well(
            self.launcher.answer(command, Kind::Git, input.as_bytes(), MOST)?,
            "cannot look into a cache",
        )?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Ok(answer.lines().map(|line| !line.ends_with(" missing")).collect())
    }

    /// Whether one commit is in the history of another.
    pub fn is_ancestor(&self, cache: &Path, old: &str, new: &str) -> Result<bool> {
        let command =
            self.command(Some(Objects::Bare(cache))).args(["merge-base", "--is-ancestor", old, new]);
        Ok(self.launcher.answer(command, Kind::Git, b"", MOST)?.code == 0)
    }

    /// The files at and below `paths` of a tree.
    pub fn list(
        &self,
        cache: &Path,
        tree: &str,
        paths: &[String],
        what: &str,
    ) -> Result<BTreeMap<String, Listed>> {
        let command = self
            .command(Some(Objects::Bare(cache)))
            .args(["--literal-pathspecs", "ls-tree", "-r", "-z", "-l", "--full-tree", tree, "--"])
            .args(paths);
        let answer = self.launcher.answer(command, Kind::Git, b"", MOST).map_err(|error| {
            // As many as may be, with the longest paths, are a tenth of that.
            match error.to_string().contains(" says more than ") {
                true => Failure::new(Code::Usage, format!("{what}: more than {} files", vet::MOST)).into(),
                false => error,
            }
        })?;
        let answer = self.well(answer, what)?;
        let mut files = BTreeMap::new();
        for line in answer.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let refuse = |why: &str| {
                let line = vet::shown(&String::from_utf8_lossy(line));
                Failure::new(Code::Usage, format!("{what}: {why}: {line}"))
            };
            // "100644 blob 8d11e40…     120\tworkflows/ci.yml"
            let line = std::str::from_utf8(line).map_err(|_| refuse("a name is not UTF-8"))?;
            let (facts, path) = line.split_once('\t').ok_or_else(|| refuse("not a line of ls-tree"))?;
            let mut facts = facts.split_whitespace();
            let mode = facts.next().and_then(|mode| u32::from_str_radix(mode, 8).ok());
            let (Some(mode), Some(_), Some(blob)) = (mode, facts.next(), facts.next()) else {
                return Err(refuse("not a line of ls-tree").into());
            };
            // A submodule has `-`.
            let size = facts.next().and_then(|size| size.parse().ok()).unwrap_or(0);
            let twice = files.insert(path.to_owned(), Listed { mode, blob: blob.to_owned(), size });
            if twice.is_some() {
                return Err(refuse("a name is there twice").into());
            }
        }
        Ok(files)
    }

    /// The bytes of blobs, in the order of their names; `None` for one that is not there. Together at most `most` bytes.
    pub fn contents(
        &self,
        objects: Objects<'_>,
        names: &[String],
        most: u64,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let command = self.command(Some(objects)).args(["cat-file", "--batch"]);
        let input = names.join("\n") + "\n";
        let room = most + 200 * names.len() as u64;
        let answer = self.launcher.answer(command, Kind::Git, input.as_bytes(), room)?;
        let answer = self.well(answer, "cannot read objects")?;
        let (mut rest, mut found) = (answer.as_slice(), Vec::with_capacity(names.len()));
        for _ in names {
            let end = rest.iter().position(|byte| *byte == b'\n').context("git cat-file was cut off")?;
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            rest = &rest[end + 1..];
            // "8d11e40… blob 120", or "8d11e40… missing"
            let mut words = head.rsplit(' ');
            let size = words.next().and_then(|size| size.parse::<usize>().ok());
            let (Some(size), kind) = (size, words.next()) else {
                found.push(None);
                continue;
            };
            let bytes = rest.get(..size).context("git cat-file was cut off")?;
            found.push((kind == Some("blob")).then(|| bytes.to_vec()));
            rest = rest.get(size + 1..).unwrap_or_default();
        }
        Ok(found)
    }

    /// git's names for the bytes of files, from `folder`.
    pub fn names(&self, folder: &Path, paths: &[String]) -> Result<Vec<String>> {
        let command = self.command(Some(Objects::Around(folder))).args([
            "hash-object",
            "--no-filters",
            "--stdin-paths",
        ]);
        let input: String = paths.iter().map(|path| format!("{path}\n")).collect();
        let answer = self.launcher.answer(command, Kind::Git, input.as_bytes(), MOST)?;
        let answer = self.well(answer, "cannot name the files of the source")?;
        Ok(String::from_utf8_lossy(&answer).lines().map(str::to_owned).collect())
    }

    /// Merges three files. Gives the result and how many conflicts are in it; with a side, its lines are taken instead.
    pub fn merge(
        &self,
        files: [&Path; 3],
        labels: [&str; 3],
        side: Option<&str>,
    ) -> Result<(Vec<u8>, usize)> {
        let how = side.unwrap_or("--diff3");
        let mut command = self.command(None).args(["merge-file", "-p", "-q", how]);
        for label in labels {
            command = command.args(["-L", label]);
        }
        let answer = self.launcher.answer(command.arg("--").args(files), Kind::Git, b"", MOST)?;
        match answer.code {
            conflicts @ 0..=127 => Ok((answer.stdout, usize::from(conflicts))),
            _ => Err(Failure::new(Code::Failed, "git merge-file failed").why(answer.stderr.trim()).into()),
        }
    }

    fn well(&self, answer: Answer, what: &str) -> Result<Vec<u8>> {
        match answer.code {
            0 => Ok(answer.stdout),
            _ => Err(Failure::new(Code::Failed, what.to_owned()).why(redacted(answer.stderr.trim())).into()),
        }
    }
}

/// Why a remote could not be asked: no access and no way are told apart by what git says, in English.
fn not_reached(url: &str, said: &str) -> Failure {
    let denied = [
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "Permission denied",
        "terminal prompts disabled",
        "Repository not found",
        "repository not found",
        "HTTP 403",
        "error: 403",
        "error: 401",
        "Host key verification failed",
    ];
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let why = lines.iter().find(|line| denied.iter().any(|text| line.contains(text)));
    match why {
        Some(why) => Failure::new(Code::Denied, format!("{url} lets us not in"))
            .why(redacted(why))
            .next(format!("git ls-remote {url}      (what makes this work, makes ours work)")),
        None => {
            let why = lines.iter().find(|line| line.starts_with("fatal:") || line.starts_with("error:"));
            Failure::new(Code::Unreachable, format!("{url} cannot be reached"))
                .why(redacted(why.or(lines.first()).unwrap_or(&"git did not say why")))
                .next(format!("git ls-remote {url}"))
        }
    }
}

/// What git said without the passwords that a user's `insteadOf` may have put into addresses.
fn redacted(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = vet::shown(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|c: char| c == '/' || c.is_whitespace() || c == '\'').unwrap_or(part.len());
        let after = part[..end].rfind('@').map_or(0, |at| at + 1);
        clean += if after > 0 { "://***@" } else { "://" };
        clean += &vet::shown(&part[after..]);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_shown_without_passwords() {
        for (said, wanted) in [
            (
                "fatal: unable to access 'https://u:p@h/a/': x",
                "fatal: unable to access 'https://***@h/a/': x",
            ),
            ("https://h/a@b and ssh://git@h", "https://h/a@b and ssh://***@h"),
            ("no address", "no address"),
        ] {
            assert_eq!(redacted(said), wanted);
        }
    }

    #[test]
    fn no_access_and_no_way_are_two_things() {
        for (said, code) in [
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", Code::Denied),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                Code::Denied,
            ),
            ("fatal: unable to access 'https://h/': Could not resolve host: h", Code::Unreachable),
            ("fatal: '/x' does not appear to be a git repository", Code::Unreachable),
        ] {
            assert_eq!(not_reached("https://h", said).code, code as u8, "{said}");
        }
    }
}
