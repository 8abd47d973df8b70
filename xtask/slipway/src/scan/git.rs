//! git, asked what there is: in the index, beside it, and in the history.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use xshell::{Cmd, cmd};

use super::search::Hit;
use super::text;
use crate::failure::{Code, Failure};
use crate::process::{Answer, Kind, Launcher};

/// The most that one list of git's may have, in bytes.
const LIST: u64 = 4 << 30;

/// A path below the root, as git has it.
pub type Name = Vec<u8>;

/// git in one folder.
pub struct Git<'a> {
    pub launcher: &'a Launcher<'a>,
    root: &'a Path,
    /// Where the folder is in its repository: empty, or with `/` at its end.
    prefix: Name,
    /// Whether the history is cut off.
    pub is_shallow: bool,
}

/// A file of the index.
pub struct Entry {
    pub path: Name,
    /// git's name for what was staged.
    pub object: String,
    /// Whether the file here may be another one.
    pub differs: bool,
    /// Whether it is a file, and not a link.
    pub is_file: bool,
}

/// What there is in the folder.
#[derive(Default)]
pub struct Listed {
    pub entries: Vec<Entry>,
    /// Repositories within this one.
    pub nested: usize,
    /// Not in the index, and not ignored.
    pub untracked: Vec<Name>,
    /// The folder as a whole is: git says nothing about what is in it.
    pub is_ignored: bool,
    /// Ignored; with `/` at its end a whole folder.
    pub ignored: Vec<Name>,
    /// Folders that git could not read, and why.
    pub unread: Vec<(String, String)>,
}

/// A file as a commit has it.
pub struct Version {
    pub path: Name,
    pub object: String,
    /// The commit that brought it; none for what only a tag names.
    pub commit: Option<usize>,
}

/// What a person wrote of a commit or a tag.
pub struct Message {
    /// The tag's full name; of a commit none.
    pub tag: Option<Name>,
    /// The commit.
    pub commit: Option<usize>,
    /// What is in it.
    pub hits: Vec<Hit>,
}

/// All that the history has.
#[derive(Default)]
pub struct History {
    /// The oldest last.
    pub versions: Vec<Version>,
    /// Those in which something was found; the oldest last.
    pub messages: Vec<Message>,
    commits: Vec<String>,
}

impl History {
    /// A commit's name, short.
    pub fn commit(&self, index: Option<usize>) -> Option<String> {
        let commit = self.commits.get(index?)?;
        Some(commit.chars().take(10).collect())
    }
}

impl<'a> Git<'a> {
    /// git in `root`; none where that is in no repository.
    pub fn open(launcher: &'a Launcher<'a>, root: &'a Path) -> Result<Option<Self>> {
        let mut git = Git { launcher, root, prefix: Name::new(), is_shallow: false };
        let command = git.command(&["rev-parse", "--show-prefix", "--is-shallow-repository"]);
        let answer = launcher.answer(command, Kind::Git, b"", LIST)?;
        if answer.code != 0 {
            // A `.git` that leads nowhere is one all the same: its history is somewhere, and was not seen.
            let is_none = answer.stderr.contains("not a git repository") && !has_git(root);
            return if is_none { Ok(None) } else { Err(refused(answer.code, &answer.stderr)) };
        }
        let lines = answer.stdout.strip_suffix(b"\n").unwrap_or(&answer.stdout);
        let end = lines.iter().rposition(|byte| *byte == b'\n').context("git rev-parse said too little")?;
        git.is_shallow = &lines[end + 1..] == b"true";
        git.prefix = lines[..end].to_vec();
        Ok(Some(git))
    }

    fn command(&self, words: &[&str]) -> Cmd<'_> {
        let root = self.root;
        cmd!(self.launcher.shell, "git -C {root} --no-pager --literal-pathspecs --no-optional-locks")
            // No monitor and no hook of the repository's own. Its clean filters run all the same where `git status` has to
            // compare a file: without them each file that has one would count as changed.
            .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
            .args(words)
            // What somebody has cut off in `.git/info/grafts` is history too.
            .env("GIT_GRAFT_FILE", "/dev/null")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
    }

    fn read(&self, words: &[&str], input: &[u8], most: u64) -> Result<Vec<u8>> {
        Ok(self.ask(words, input, most)?.stdout)
    }

    fn ask(&self, words: &[&str], input: &[u8], most: u64) -> Result<Answer> {
        let answer = self.launcher.answer(self.command(words), Kind::Git, input, most)?;
        match answer.code {
            0 => Ok(answer),
            code => Err(refused(code, &answer.stderr)),
        }
    }

    /// What is in the index, and what is here.
    pub fn list(&self) -> Result<Listed> {
        let mut listed = Listed::default();
        let mut differs: HashSet<Name> = HashSet::new();
        let words = ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--ignored=matching"];
        let words = [&words[..], &["--no-renames", "--ignore-submodules=all", "--", "."]].concat();
        let status = self.ask(&words, b"", LIST)?;
        listed.unread.extend(status.stderr.lines().filter_map(|line| self.closed(line)));
        for line in fields(&status.stdout) {
            let (Some(state), Some(path)) = (line.get(..2), line.get(3..)) else { continue };
            let whole = path;
            let path = path.strip_prefix(self.prefix.as_slice()).unwrap_or(path).to_vec();
            match state {
                b"!!" if self.prefix.starts_with(whole) => listed.is_ignored = true,
                b"??" if path.ends_with(b"/") => listed.nested += 1,
                b"??" => listed.untracked.push(path),
                b"!!" => listed.ignored.push(path),
                [_, b' '] => {}
                _ => drop(differs.insert(path)),
            }
        }
        // "H 100644 8d11e40… 0\tapp/src/main.rs"
        for line in fields(&self.read(&["ls-files", "-z", "--stage", "-v"], b"", LIST)?) {
            let tab = line.iter().position(|byte| *byte == b'\t').context("not a line of git ls-files")?;
            let path = line[tab + 1..].to_vec();
            let facts = String::from_utf8_lossy(&line[..tab]).into_owned();
            let mut facts = facts.split(' ');
            let (Some(tag), Some(mode), Some(object), Some(stage)) =
                (facts.next(), facts.next(), facts.next(), facts.next())
            else {
                anyhow::bail!("not a line of git ls-files");
            };
            if mode == "160000" {
                listed.nested += 1;
                continue;
            }
            // Another tag: git was told not to look at the file here.
            let differs = tag != "H" || stage != "0" || differs.contains(&path);
            let is_file = mode.starts_with("100");
            listed.entries.push(Entry { path, object: object.to_owned(), differs, is_file });
        }
        Ok(listed)
    }

    /// Folder and reason of "warning: could not open directory 'a/b/': Permission denied".
    fn closed(&self, line: &str) -> Option<(String, String)> {
        let (folder, why) = line.split_once("could not open directory '")?.1.rsplit_once("': ")?;
        let folder = folder.strip_prefix(&*String::from_utf8_lossy(&self.prefix)).unwrap_or(folder);
        Some((text::shown(folder.as_bytes()), why.to_lowercase()))
    }

    /// Every file of every commit that a branch, a tag, the stash or a worktree leads to, and in which messages `look`
    /// finds something.
    pub fn history(&self, look: impl Fn(&[u8]) -> Vec<Hit>) -> Result<History> {
        // `--all` has the last stash only.
        let stashes = self.read(&["stash", "list", "--format=%H"], b"", LIST)?;
        let stashes = String::from_utf8_lossy(&stashes).into_owned();
        let mut words = vec!["-c", "log.showRoot=true", "log", "--all"];
        words.extend(stashes.split_whitespace());
        // A merge counts by what neither side had.
        words.extend(["--topo-order", "--raw", "-c", "--no-abbrev", "--no-renames", "--no-show-signature"]);
        words.extend(["--no-color", "--no-ext-diff", "-z", "--format=%x02%H%n%B"]);
        match self.prefix.is_empty() {
            true => words.extend(["--no-relative", "--"]),
            false => words.extend(["--relative", "--full-history", "--", "."]),
        }
        let mut history = History::default();
        let log = self.read(&words, b"", LIST)?;
        let mut fields = fields(&log);
        while let Some(field) = fields.next() {
            let field = field.strip_prefix(b"\n").unwrap_or(field);
            if let Some(commit) = field.strip_prefix(b"\x02") {
                let end = commit.iter().position(|byte| *byte == b'\n').unwrap_or(commit.len());
                let (commit, message) = commit.split_at(end);
                history.commits.push(String::from_utf8_lossy(commit).into_owned());
                let hits = look(message.strip_prefix(b"\n").unwrap_or(message));
                if !hits.is_empty() {
                    let commit = history.commits.len().checked_sub(1);
                    history.messages.push(Message { tag: None, commit, hits });
                }
                continue;
            }
            // ":100644 100644 8d11e40… 1f2e3d4… M", and one more of each for each more parent
            let parents = field.iter().take_while(|byte| **byte == b':').count();
            let facts = String::from_utf8_lossy(&field[parents..]).into_owned();
            let facts: Vec<&str> = facts.split(' ').collect();
            let path = fields.next().context("git log was cut off")?;
            let (Some(mode), Some(object)) = (facts.get(parents), facts.get(2 * parents + 1)) else {
                anyhow::bail!("not a line of git log");
            };
            if mode.starts_with("100") {
                let commit = history.commits.len().checked_sub(1);
                history.versions.push(Version { path: path.to_vec(), object: (*object).to_owned(), commit });
            }
        }
        self.named(&mut history)?;
        self.annotated(&mut history, look)?;
        Ok(history)
    }

    /// Adds what a tag names without a commit.
    fn named(&self, history: &mut History) -> Result<()> {
        let format = "--format=%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname)";
        let refs = self.read(&["for-each-ref", format], b"", LIST)?;
        for line in String::from_utf8_lossy(&refs).lines() {
            let words: Vec<&str> = line.splitn(5, ' ').collect();
            let &[kind, object, inner_kind, inner, name] = words.as_slice() else { continue };
            let (kind, object) = if kind == "tag" { (inner_kind, inner) } else { (kind, object) };
            let mut add = |path: &[u8], object: &str| {
                let version = Version { path: path.to_vec(), object: object.to_owned(), commit: None };
                history.versions.push(version);
            };
            match kind {
                "blob" => add(name.as_bytes(), object),
                "tree" => {
                    for line in
                        fields(&self.read(&["ls-tree", "-r", "-z", "--full-tree", object], b"", LIST)?)
                    {
                        let (facts, path) =
                            line.split_at(line.iter().position(|byte| *byte == b'\t').unwrap_or(0));
                        if facts.starts_with(b"100") && facts.len() > 12 && path.len() > 1 {
                            add(&path[1..], &String::from_utf8_lossy(&facts[12..]));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds what tags say.
    fn annotated(&self, history: &mut History, look: impl Fn(&[u8]) -> Vec<Hit>) -> Result<()> {
        let format = "--format=%(if:equals=tag)%(objecttype)%(then)%(refname)%00%(contents)%00%(else)%(end)";
        let tags = self.read(&["for-each-ref", format], b"", LIST)?;
        // A message can be empty.
        let mut fields = tags.split(|byte| *byte == 0);
        while let (Some(tag), Some(message)) = (fields.next(), fields.next()) {
            let tag = tag.trim_ascii_start();
            let hits = look(message);
            if !hits.is_empty() {
                history.messages.push(Message { tag: Some(tag.to_vec()), commit: None, hits });
            }
        }
        Ok(())
    }

    /// How long each object is; `None` for one that is not here.
    pub fn sizes(&self, objects: &[String]) -> Result<Vec<Option<u64>>> {
        let input = objects.join("\n") + "\n";
        let words = ["cat-file", "--batch-check=%(objectsize)", "--buffer"];
        let answer = self.read(&words, input.as_bytes(), LIST)?;
        Ok(String::from_utf8_lossy(&answer).lines().map(|line| line.parse().ok()).collect())
    }

    /// What is in these objects, as `cat-file --batch` writes it: for [`contents`].
    pub fn batch(&self, objects: &[String], bytes: u64) -> Result<Vec<u8>> {
        let input = objects.join("\n") + "\n";
        let most = bytes + 200 * objects.len() as u64;
        self.read(&["cat-file", "--batch=%(objectname) %(objectsize)", "--buffer"], input.as_bytes(), most)
    }
}

/// The objects of a batch, by git's names.
pub fn contents(mut batch: &[u8]) -> Result<Vec<(String, &[u8])>> {
    let mut found = Vec::new();
    while let Some(end) = batch.iter().position(|byte| *byte == b'\n') {
        let head = String::from_utf8_lossy(&batch[..end]).into_owned();
        batch = &batch[end + 1..];
        // "8d11e40… 120", or "8d11e40… missing"
        let (object, size) = head.split_once(' ').context("not an answer of git cat-file")?;
        let Ok(size) = size.parse::<usize>() else { continue };
        let bytes = batch.get(..size).context("git cat-file was cut off")?;
        found.push((object.to_owned(), bytes));
        batch = batch.get(size + 1..).unwrap_or_default();
    }
    Ok(found)
}

/// What is between zeros.
fn fields(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0).filter(|field| !field.is_empty())
}

/// Whether there is a `.git` here or above, whatever it is.
fn has_git(root: &Path) -> bool {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    root.ancestors().any(|folder| folder.join(".git").symlink_metadata().is_ok())
}

fn refused(code: u8, said: &str) -> anyhow::Error {
    match code {
        130 | 143 => Failure::interrupted(code).into(),
        _ => {
            // Its last lines have the reason; warnings can be before them.
            let lines: Vec<String> = said
                .lines()
                .map(|line| text::shown(line.trim().as_bytes()))
                .filter(|line| !line.is_empty())
                .collect();
            let why = match lines.is_empty() {
                true => "it did not say why".to_owned(),
                false => lines[lines.len().saturating_sub(4)..].join("\n"),
            };
            let failure = Failure::new(Code::Failed, "git cannot say what is here").why(why);
            // For "dubious ownership" it says itself what helps, with the path as it wants it.
            let mend =
                lines.iter().find(|line| line.starts_with("git config --global --add safe.directory "));
            match mend {
                Some(mend) => failure.next(mend).into(),
                None => failure.into(),
            }
        }
    }
}
