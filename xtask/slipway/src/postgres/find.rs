//! Which of the installed servers to run.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::versions::{self, Versions};
use crate::failure::{Code, Failure};
use crate::process::Launcher;

/// Installed binaries of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The folder with `postgres`, `initdb` and, nearly always, `psql`.
    pub bin: PathBuf,
    /// As in `15.18`, `18beta1`.
    pub version: String,
}

impl Server {
    /// As in `15`.
    pub fn major(&self) -> &str {
        self.version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()
    }
}

/// The version in "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
pub(super) fn said_version(said: &str) -> Option<&str> {
    said.split_whitespace().nth(2)
}

/// Where servers can be.
#[derive(Clone)]
pub struct Places {
    /// `/`; another folder in tests.
    pub root: PathBuf,
    /// The folders of PATH.
    pub path: Vec<PathBuf>,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// The servers that were downloaded: looked at last, since the system's get its updates.
    pub downloads: Vec<PathBuf>,
    /// A file of the cache with what servers said of their versions.
    pub versions: PathBuf,
}

/// No server is here that would do. Not a `Failure`: a verb may know a way to get one.
#[derive(Debug)]
pub struct NoServer {
    /// The majors that would do, in order of preference.
    pub wanted: Vec<String>,
    /// What is here instead.
    pub found: Vec<Server>,
    /// The data that only the one wanted major can open.
    pub data: Option<PathBuf>,
}

impl NoServer {
    /// What is here, in words.
    pub fn found(&self) -> String {
        let found = self.found.iter().map(|server| format!("{} in {}", server.version, server.bin.display()));
        let found = found.collect::<Vec<_>>().join(", ");
        if found.is_empty() { "none".to_owned() } else { found }
    }

    /// What would do, in words: `17, 16 or 15`.
    pub fn wanted(&self) -> String {
        match self.wanted.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => self.wanted.concat(),
        }
    }
}

impl fmt::Display for NoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Some(_) => write!(f, "the development data is of PostgreSQL {}", self.wanted()),
            None => f.write_str("no PostgreSQL here that fits"),
        }
    }
}

impl std::error::Error for NoServer {}

/// Folders below the root, `*` standing for any text within one name.
const SYSTEM: &[&str] = &[
    "usr/lib/postgresql/*/bin",                          // Debian and its kin
    "usr/pgsql-*/bin",                                   // the PGDG packages of Fedora and its kin
    "usr/libexec/postgresql*",                           // Alpine
    "opt/homebrew/opt/postgresql@*/bin",                 // Homebrew on Apple silicon
    "usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
    "home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew on Linux
    "Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
    "run/current-system/sw/bin",                         // NixOS
];

/// Folders below the user's home.
const HOME: &[&str] =
    &[".local/share/mise/installs/postgres/*/bin", ".asdf/installs/postgres/*/bin", ".nix-profile/bin"];

impl Places {
    /// Every folder with a server in it, in the order in which they are preferred: PATH, the system's
    /// folders, the user's, downloads.
    pub fn folders(&self) -> Vec<PathBuf> {
        let system = SYSTEM.iter().flat_map(|pattern| expand(&self.root, pattern));
        let home = self.home.iter().flat_map(|home| HOME.iter().flat_map(|pattern| expand(home, pattern)));
        let mut found = Vec::new();
        let downloads = self.downloads.iter().cloned();
        for folder in self.path.iter().cloned().chain(system).chain(home).chain(downloads) {
            // Package managers link programs into a folder of PATH: the server is where the link leads, and
            // each is looked at once.
            let Ok(program) = folder.join("postgres").canonicalize() else { continue };
            let bin = program.parent().unwrap_or(&folder).to_path_buf();
            if program.is_file() && bin.join("initdb").is_file() && !found.contains(&bin) {
                found.push(bin);
            }
        }
        found
    }

    /// The first of the `wanted` majors that is installed, or what is at `bin`.
    pub fn find(&self, launcher: &Launcher<'_>, wanted: &[String], bin: Option<&Path>) -> Result<Server> {
        if let Some(bin) = bin {
            let version = versions::ask(launcher, &bin.join("postgres"));
            return version.map(|version| Server { bin: bin.to_path_buf(), version }).ok_or_else(|| {
                Failure::new(Code::Missing, format!("no PostgreSQL in {}", bin.display()))
                    .why("`bin` in xtask.toml [postgres] names a folder without a `postgres` that runs")
                    .next("remove `bin`, and an installed server is searched for")
                    .into()
            });
        }
        let mut known = Versions::read(&self.versions);
        let found: Vec<Server> =
            self.folders().iter().filter_map(|folder| known.server(launcher, folder)).collect();
        known.keep();
        let best = wanted.iter().find_map(|major| found.iter().find(|server| server.major() == major));
        let best = best.cloned();
        best.ok_or_else(|| NoServer { wanted: wanted.to_vec(), found, data: None }.into())
    }
}

/// The folders that a pattern names, newest version first.
fn expand(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut folders = vec![root.to_path_buf()];
    for part in pattern.split('/') {
        folders = match part.split_once('*') {
            None => folders.into_iter().map(|folder| folder.join(part)).collect(),
            Some((before, after)) => folders
                .iter()
                .flat_map(|folder| {
                    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
                    let mut names: Vec<String> = entries
                        .filter_map(|entry| entry.file_name().into_string().ok())
                        .filter(|name| name.starts_with(before) && name.ends_with(after))
                        .collect();
                    names.sort_by_key(|name| std::cmp::Reverse(version_key(name)));
                    names.into_iter().map(|name| folder.join(name)).collect::<Vec<_>>()
                })
                .collect(),
        };
    }
    folders.retain(|folder| folder.is_dir());
    folders
}

/// `9.6` before `17`: the numbers in a name.
fn version_key(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(root: &Path) -> Places {
        let home = Some(root.join("home/ada"));
        let downloads = vec![root.join("cache/server-17.9.0/bin")];
        let versions = root.join("cache/versions");
        Places { root: root.into(), path: vec![root.join("bin")], home, downloads, versions }
    }

    #[test]
    fn every_known_place_is_searched_path_first_and_new_versions_first() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let expected = [
            "bin",
            "usr/lib/postgresql/17/bin",
            "usr/lib/postgresql/9.6/bin",
            "usr/pgsql-16/bin",
            "usr/libexec/postgresql15",
            "opt/homebrew/opt/postgresql@17/bin",
            "Applications/Postgres.app/Contents/Versions/18/bin",
            "home/ada/.local/share/mise/installs/postgres/17.2/bin",
            "home/ada/.asdf/installs/postgres/16.1/bin",
            "cache/server-17.9.0/bin",
        ];
        for folder in expected {
            std::fs::create_dir_all(root.path().join(folder))?;
            for program in ["postgres", "initdb"] {
                std::fs::write(root.path().join(folder).join(program), "")?;
            }
        }
        // A client alone, as Debian's libpq-dev leaves it, is no server.
        std::fs::create_dir_all(root.path().join("usr/lib/postgresql/14/bin"))?;
        // A program linked into PATH is the same server.
        for program in ["postgres", "initdb"] {
            std::os::unix::fs::symlink(
                root.path().join("usr/lib/postgresql/17/bin").join(program),
                root.path().join("usr/lib/postgresql/14/bin").join(program),
            )?;
        }
        let real = root.path().canonicalize()?;
        let found = places(root.path()).folders();
        let found: Vec<_> = found.iter().filter_map(|folder| folder.strip_prefix(&real).ok()).collect();
        assert_eq!(found, expected.map(Path::new));
        Ok(())
    }

    #[test]
    fn what_is_missing_is_told_in_words() {
        let server = |version: &str| Server { bin: "/usr/bin".into(), version: version.into() };
        for (wanted, found, words) in [
            (vec!["17"], vec![], "none; 17"),
            (vec!["17", "16", "15"], vec![server("13.14")], "13.14 in /usr/bin; 17, 16 or 15"),
        ] {
            let wanted = wanted.into_iter().map(String::from).collect();
            let missing = NoServer { wanted, found, data: None };
            assert_eq!(format!("{}; {}", missing.found(), missing.wanted()), words);
        }
    }

    #[test]
    fn a_major_is_the_first_number() {
        for (version, major) in [("15.18", "15"), ("18beta1", "18"), ("9.6.24", "9")] {
            assert_eq!(Server { bin: PathBuf::new(), version: version.into() }.major(), major);
        }
    }
}
