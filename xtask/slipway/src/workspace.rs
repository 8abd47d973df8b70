//! Where we are: the environment, taken once, and the repository with its folders for state and caches.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};

use crate::failure::{Code, Failure};
use crate::files;
use crate::process::quote;

/// The version of this tool.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The file that marks the root of a repository and configures the tool.
pub const CONFIG_FILE: &str = "xtask.toml";
/// In a state folder: the root of the clone or worktree that the state belongs to.
const ROOT_FILE: &str = "root";
/// Where the service's migrations are, from the root.
pub const MIGRATIONS: &str = "app/migrations";

/// What the process was given, taken once in `main` and handed down: nothing else reads the environment.
pub struct Env {
    vars: HashMap<String, OsString>,
    /// The command line, the program first.
    pub args: Vec<OsString>,
    /// The folder the command was typed in.
    pub cwd: PathBuf,
    /// This program, in a form that a child can start even where it may not read the path (see process.rs).
    pub exe: PathBuf,
    /// The process that started this one.
    pub parent: u32,
    /// The effective user id.
    pub uid: u32,
    /// Whether stdin is a terminal.
    pub stdin_terminal: bool,
    /// Whether stdout is a terminal.
    pub stdout_terminal: bool,
    /// Whether stderr is a terminal.
    pub stderr_terminal: bool,
    /// `ID` and `ID_LIKE` of /etc/os-release, or `macos`: which package manager to name.
    pub system: String,
}

impl Env {
    /// Takes the snapshot.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn take() -> Result<Self> {
        let linux = Path::new("/proc/self/exe");
        let exe = match linux.exists() {
            true => linux.to_path_buf(),
            false => std::env::current_exe().context("cannot tell where this program is")?,
        };
        Ok(Env {
            vars: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
            args: std::env::args_os().collect(),
            cwd: std::env::current_dir().context("the current folder is gone")?,
            exe,
            parent: rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().cast_unsigned()),
            uid: rustix::process::geteuid().as_raw(),
            stdin_terminal: std::io::stdin().is_terminal(),
            stdout_terminal: std::io::stdout().is_terminal(),
            stderr_terminal: std::io::stderr().is_terminal(),
            system: system(),
        })
    }

    /// The name of this program: `xtask`, or `slipway`.
    pub fn program(&self) -> &str {
        let program = self.args.first().map(Path::new).and_then(Path::file_name);
        program.and_then(|name| name.to_str()).unwrap_or("xtask")
    }

    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.is_empty())
    }

    /// A variable that is set, be it empty.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.given_os(name)?.to_str()
    }

    /// The same, be it no text.
    pub fn given_os(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(name).map(OsString::as_os_str)
    }

    /// Whether `name` is set, be it empty: the convention of `NO_COLOR` and `CI`.
    pub fn is_set(&self, name: &str) -> bool {
        self.vars.contains_key(name)
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.vars.keys().map(String::as_str)
    }

    /// Whether this runs as a step of GitHub Actions.
    pub fn github_actions(&self) -> bool {
        self.var("GITHUB_ACTIONS") == Some("true")
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<&Path> {
        self.var("HOME").map(Path::new).filter(|home| home.is_absolute())
    }

    /// What is ours outside the user's folders: root's state, and everything of a user without a home.
    pub fn var_tmp(&self) -> PathBuf {
        PathBuf::from(format!("/var/tmp/slipway-{}", self.uid))
    }

    /// The folder of the short paths to this user's states, see [`Workspace::short`].
    pub fn links(&self) -> PathBuf {
        PathBuf::from(format!("/tmp/slipway-{}", self.uid))
    }

    /// The folder for caches, shared by all repositories of this user; `SLIPWAY_CACHE` names another one.
    ///
    /// Root's is not below its home: the account that runs PostgreSQL cannot reach that. Nor is that of a user
    /// whose home cannot be written, as in many containers.
    pub fn cache(&self) -> PathBuf {
        if let Some(cache) = self.var("SLIPWAY_CACHE").map(Path::new).filter(|path| path.is_absolute()) {
            // Below it, as with XDG_CACHE_HOME: ours is closed to others, what people name is theirs.
            return cache.join("slipway");
        }
        let xdg = self.var("XDG_CACHE_HOME").map(Path::new).filter(|path| path.is_absolute());
        let users = match (xdg, self.home()) {
            (Some(cache), _) => Some(cache.join("slipway")),
            (None, Some(home)) if cfg!(target_os = "macos") => Some(home.join("Library/Caches/slipway")),
            (None, home) => home.map(|home| home.join(".cache/slipway")),
        };
        let own = || self.var_tmp().join("cache");
        users.filter(|cache| self.uid != 0 && can_be_written(cache)).unwrap_or_else(own)
    }

    /// Below which folder installed servers are looked for: `/`. `SLIPWAY_SEARCH_ROOT` is for our tests alone,
    /// which run on machines that have a server and must see what happens where there is none.
    pub fn search_root(&self) -> PathBuf {
        self.var("SLIPWAY_SEARCH_ROOT").unwrap_or("/").into()
    }

    /// The command line as people typed it, with `more` options, to be pasted.
    pub fn typed(&self, more: &[&str]) -> String {
        // `cargo run` starts target/xtask/xtask; people typed `cargo xtask`.
        let program = if self.program() == "slipway" { "slipway" } else { "cargo xtask" };
        let mut words: Vec<String> = self.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        // What is behind `--` is another program's.
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        words.splice(end..end, more.iter().map(|word| (*word).to_owned()));
        let args = words.iter().skip(1).map(|word| quote(word));
        std::iter::once(program.to_owned()).chain(args).collect::<Vec<_>>().join(" ")
    }

    /// A path as people write it: `~` for the home folder.
    pub fn tilde(&self, path: &Path) -> String {
        match self.home().and_then(|home| path.strip_prefix(home).ok()) {
            Some(rest) => format!("~/{}", rest.display()),
            None => path.display().to_string(),
        }
    }
}

/// Whether we may write into a folder, or make it.
fn can_be_written(folder: &Path) -> bool {
    let there = folder.ancestors().find(|folder| folder.exists());
    there.is_some_and(|folder| rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok())
}

fn system() -> String {
    if cfg!(target_os = "macos") {
        return "macos".into();
    }
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .map(|value| value.trim_matches('"'))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A clone or worktree with its folders. Two worktrees share nothing but the cache.
pub struct Workspace {
    /// The folder that holds xtask.toml.
    pub root: PathBuf,
    /// Clusters, logs and locks of this worktree.
    pub state: PathBuf,
    /// A short path to `state`: a Unix socket's path may have at most 107 bytes (103 on macOS), and a
    /// worktree can lie deeper than that. Made by [`Workspace::prepare`].
    pub short: PathBuf,
}

impl Workspace {
    /// Walks up from the current folder to the nearest xtask.toml. Asks neither cargo nor git: cargo's
    /// answer would cost a hundred milliseconds, and in a worktree `.git` is a file.
    pub fn find(env: &Env) -> Result<Self> {
        let root =
            env.cwd.ancestors().find(|folder| folder.join(CONFIG_FILE).is_file()).ok_or_else(|| {
                Failure::new(Code::Usage, format!("no {CONFIG_FILE} in {} or above", env.cwd.display()))
                    .next("cd into a repository that has one")
            })?;
        let root = root.canonicalize().with_context(|| format!("cannot resolve {}", root.display()))?;
        let name = short_hash(root.as_os_str().as_encoded_bytes());
        let state = match env.uid {
            0 => env.var_tmp().join(&name),
            _ => root.join(".xtask"),
        };
        let short = env.links().join(&name);
        Ok(Workspace { root, state, short })
    }

    /// Makes the folders and the short path. Refuses what another user could have put in their places.
    pub fn prepare(&self, env: &Env) -> Result<()> {
        if self.state.starts_with(env.var_tmp()) || env.cache().starts_with(env.var_tmp()) {
            files::own_folder(&env.var_tmp(), env.uid)?;
        }
        files::own_folder(&self.state, env.uid)?;
        self.sign()?;
        // Even for root, whose state is elsewhere: it tells plain `cargo test` where.
        self.own_folder(env)?;
        if let Some(folder) = self.short.parent() {
            files::own_folder(folder, env.uid)?;
        }
        files::link(&self.short, &self.state)
    }

    /// `.xtask/` in the worktree, made if need be; git is told to ignore it.
    pub fn own_folder(&self, env: &Env) -> Result<PathBuf> {
        let folder = self.root.join(".xtask");
        files::own_folder(&folder, env.uid)?;
        let ignore = folder.join(".gitignore");
        // Nothing beside it that a kill could leave; one that was cut off is empty.
        if !std::fs::symlink_metadata(&ignore).is_ok_and(|found| found.len() > 0) {
            files::write_plain(&ignore, "*\n")?;
        }
        Ok(folder)
    }

    /// Writes into the state whose it is: once the clone is deleted, nothing else could tell.
    fn sign(&self) -> Result<()> {
        let path = self.state.join(ROOT_FILE);
        let mut line = self.root.as_os_str().as_bytes().to_vec();
        line.push(b'\n');
        if std::fs::read(&path).is_ok_and(|found| found == line) {
            return Ok(());
        }
        files::write_atomic(&path, &line)
    }

    /// The clone that a state folder belongs to, as [`Workspace::prepare`] wrote it there.
    pub fn root_of(state: &Path) -> Option<PathBuf> {
        let line = std::fs::read(state.join(ROOT_FILE)).ok()?;
        let root = PathBuf::from(OsStr::from_bytes(line.strip_suffix(b"\n")?));
        root.is_absolute().then_some(root)
    }

    /// Whether the clone at `root` is gone for certain. One that git still knows may have a branch without
    /// the tool checked out, and a folder that cannot be looked into may be anything.
    pub fn is_gone(root: &Path) -> bool {
        [CONFIG_FILE, ".git"].iter().all(|name| matches!(root.join(name).try_exists(), Ok(false)))
    }

    /// Where the development cluster is.
    pub fn cluster(&self) -> PathBuf {
        self.state.join("cluster")
    }

    /// Tells plain `cargo test` where the development server is.
    pub fn tell_url(&self, url: &str) -> Result<()> {
        let path = self.root.join(".xtask/database-url");
        let line = format!("{url}\n");
        if std::fs::read_to_string(&path).is_ok_and(|found| found == line) {
            return Ok(());
        }
        files::write_atomic(&path, line.as_bytes())
    }

    /// A path below the root as people type it.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// Eight hexadecimal digits of a SHA-256: enough to tell the worktrees of one user apart.
pub fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
