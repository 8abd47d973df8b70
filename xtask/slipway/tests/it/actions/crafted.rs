//! Sources made object by object: also such as git itself would not make. And what a folder holds, to compare.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// git's modes, as they are in a tree.
pub const FILE: &str = "100644";
pub const PROGRAM: &str = "100755";
pub const FOLDER: &str = "40000";
pub const LINK: &str = "120000";
pub const SUBMODULE: &str = "160000";

/// An entry of a tree: mode, name, object.
pub type Entry<'a> = (&'a str, &'a [u8], &'a str);

/// A bare repository.
pub struct Crafted {
    folder: PathBuf,
}

impl Crafted {
    pub fn new(folder: PathBuf) -> Self {
        let crafted = Crafted { folder };
        std::fs::create_dir_all(&crafted.folder).unwrap();
        crafted.git(&["init", "--quiet", "--bare", "--template="], b"");
        crafted
    }

    pub fn address(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    pub fn git(&self, words: &[&str], input: &[u8]) -> String {
        let mut child = Command::new("git")
            .args(words)
            .current_dir(&self.folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "Mallory")))
            .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "m@example.org")))
            .envs(["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"].map(|name| (name, "1700000000 +0000")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {words:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn blob(&self, bytes: impl AsRef<[u8]>) -> String {
        self.git(&["hash-object", "-w", "--stdin"], bytes.as_ref())
    }

    /// A tree of these entries, in this order, whatever git thinks of them.
    pub fn tree(&self, entries: &[Entry<'_>]) -> String {
        let mut bytes = Vec::new();
        for (mode, name, object) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend(
                (0..object.len()).step_by(2).map(|at| u8::from_str_radix(&object[at..at + 2], 16).unwrap()),
            );
        }
        self.git(&["hash-object", "-t", "tree", "-w", "--literally", "--stdin"], &bytes)
    }

    /// A tree of plain files, by their paths.
    pub fn plain(&self, files: &[(String, String)]) -> String {
        let mut below: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        // As git sorts them: a folder as if its name ended in a slash.
        let mut sorted = BTreeMap::new();
        for (path, text) in files {
            match path.split_once('/') {
                Some((folder, rest)) => {
                    below.entry(folder.to_owned()).or_default().push((rest.to_owned(), text.clone()));
                }
                None => {
                    sorted.insert(path.clone(), (FILE, path.clone(), self.blob(text)));
                }
            }
        }
        for (folder, files) in below {
            sorted.insert(format!("{folder}/"), (FOLDER, folder, self.plain(&files)));
        }
        let entries: Vec<Entry<'_>> =
            sorted.values().map(|(mode, name, object)| (*mode, name.as_bytes(), object.as_str())).collect();
        self.tree(&entries)
    }

    pub fn commit(&self, tree: &str, parents: &[&str], message: &str) -> String {
        let mut words = vec!["commit-tree", tree, "-m", message];
        words.extend(parents.iter().flat_map(|parent| ["-p", parent]));
        self.git(&words, b"")
    }

    /// Lets a ref name an object.
    pub fn point(&self, name: &str, object: &str) {
        self.git(&["update-ref", name, object], b"");
    }

    /// Commits a tree and names it by a tag.
    pub fn release(&self, tag: &str, tree: &str) -> String {
        let commit = self.commit(tree, &[], tag);
        self.point(&format!("refs/tags/{tag}"), &commit);
        commit
    }

    /// v1.0.0 with this manifest and these entries beside it.
    pub fn with_manifest(&self, manifest: impl AsRef<[u8]>, entries: &[Entry<'_>]) {
        let manifest = self.blob(manifest);
        let mut all = vec![(FILE, b"templates.toml".as_slice(), manifest.as_str())];
        all.extend_from_slice(entries);
        all.sort_by_key(|(_, name, _)| name.to_vec());
        self.release("v1.0.0", &self.tree(&all));
    }

    /// v1.0.0 that shares `workflows/` with these entries in it.
    pub fn sharing(&self, entries: &[Entry<'_>]) {
        let workflows = self.tree(entries);
        self.with_manifest("files = [\"workflows/\"]\n", &[(FOLDER, b"workflows", &workflows)]);
    }

    /// v1.0.0 with one good workflow, and this manifest.
    pub fn good(&self, manifest: impl AsRef<[u8]>) {
        let file = self.blob("on: push\n");
        let workflows = self.tree(&[(FILE, b"ci.yml", &file)]);
        self.with_manifest(manifest, &[(FOLDER, b"workflows", &workflows)]);
    }
}

/// What is at a path: its mode, and its bytes or where it leads.
pub type Snapshot = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// Everything below a folder but for what is at or below `without`. Follows no link.
pub fn snapshot(folder: &Path, without: &[PathBuf]) -> Snapshot {
    let mut found = Snapshot::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap().flatten() {
            let path = entry.path();
            if without.contains(&path) {
                continue;
            }
            let about = std::fs::symlink_metadata(&path).unwrap();
            let bytes = match () {
                () if about.is_symlink() => {
                    std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
                }
                () if about.is_file() => std::fs::read(&path).unwrap(),
                () => Vec::new(),
            };
            if about.is_dir() {
                folders.push(path.clone());
            }
            let name = path.strip_prefix(folder).unwrap().to_path_buf();
            found.insert(name, (about.permissions().mode(), bytes));
        }
    }
    found
}

/// The paths that two snapshots differ in.
pub fn difference(before: &Snapshot, after: &Snapshot) -> Vec<PathBuf> {
    let all = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>();
    all.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}
