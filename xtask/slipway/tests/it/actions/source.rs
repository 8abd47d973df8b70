//! What is shared, and who pulls it: two git repositories of one test.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::case::{CONFIG, Case};

/// The folder that the workflows are pulled to.
pub const HERE: &str = ".github/workflows";

/// Runs git in a folder to its end, as nobody in particular; gives what it prints.
#[track_caller]
pub fn git(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Ann").env(format!("GIT_{role}_EMAIL"), "ann@example.org");
    }
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.arg("-C").arg(folder).args(words).output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Commits all that is in a folder, which becomes a repository with that; gives the commit.
#[track_caller]
pub fn commit(folder: &Path) -> String {
    if !folder.join(".git").exists() {
        git(folder, &["init", "-q", "-b", "main"]);
    }
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "--allow-empty", "-m", "as it is"]);
    git(folder, &["rev-parse", "HEAD"])
}

/// A repository of templates: `Source::new().file("ci.yml", …).release("1.0.0")`.
pub struct Source(tempfile::TempDir);

impl Source {
    /// It shares what is in workflows/.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("shared-").tempdir().unwrap();
        Source(folder).manifest("")
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn address(&self) -> String {
        format!("file://{}", self.folder().display())
    }

    /// templates.toml, with more in it.
    pub fn manifest(self, more: &str) -> Self {
        std::fs::write(self.folder().join("templates.toml"), format!("files = [\"workflows/\"]\n{more}"))
            .unwrap();
        self
    }

    /// Writes a workflow.
    pub fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.folder().join("workflows").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Sets whether a workflow can be executed.
    pub fn mode(self, name: &str, mode: u32) -> Self {
        set_mode(&self.folder().join("workflows").join(name), mode);
        self
    }

    pub fn without(self, name: &str) -> Self {
        std::fs::remove_file(self.folder().join("workflows").join(name)).unwrap();
        self
    }

    /// Commits, and calls it v1.0.0, or what it is given.
    #[track_caller]
    pub fn release(self, version: &str) -> Self {
        commit(self.folder());
        git(self.folder(), &["tag", &format!("v{version}")]);
        self
    }

    /// A repository that pulls from here, committed, with nothing pulled yet. `which` is a line of [actions].
    pub fn consumer(&self, which: &str) -> Case {
        let address = self.address();
        consumer(&format!("source = \"{address}\"\n{which}\n"))
    }

    /// The same with the newest version pulled and committed.
    #[track_caller]
    pub fn pulled(&self) -> Case {
        let case = self.consumer("");
        case.run("sync-actions").code(0);
        commit(&case.root());
        case
    }
}

/// A repository with these lines below [actions], committed. Its caches are its own.
pub fn consumer(actions: &str) -> Case {
    let case = Case::new().file("xtask.toml", format!("{CONFIG}\n[actions]\n{actions}"));
    let cache = case.folder().join("cache");
    let case = case.env("SLIPWAY_CACHE", cache.display()).env("GIT_CONFIG_GLOBAL", "/dev/null");
    commit(&case.root());
    case
}

pub fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o111 == 0o111
}

/// What a repository has and git does not ignore: what changed, and the contents.
pub fn state(case: &Case) -> String {
    let root = case.root();
    git(&root, &["add", "-AN"]);
    git(&root, &["status", "--porcelain"]) + &git(&root, &["diff", "--binary"])
}

/// A workflow's text here, if it is there.
pub fn here(case: &Case, name: &str) -> Option<String> {
    std::fs::read_to_string(case.root().join(HERE).join(name)).ok()
}

/// A workflow's line of the lock, if it has one.
pub fn locked(case: &Case, name: &str) -> Option<String> {
    let lock = std::fs::read_to_string(case.root().join(".github/sync-actions.lock")).unwrap_or_default();
    let start = format!("\"{HERE}/{name}\" = ");
    lock.lines().find(|line| line.starts_with(&start)).map(str::to_owned)
}

/// Twelve lines that are like no other file's.
pub fn text(name: &str) -> String {
    (1..=12).map(|line| format!("{name} {line:02}\n")).collect()
}

/// A text with a line replaced: 1 for the first.
pub fn with_line(text: &str, number: usize, line: &str) -> String {
    let lines = text.split_inclusive('\n').enumerate();
    lines.map(|(index, old)| if index + 1 == number { format!("{line}\n") } else { old.to_owned() }).collect()
}
