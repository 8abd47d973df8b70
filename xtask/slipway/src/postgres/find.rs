//! Which of the installed servers to run.

use std::path::{Path, PathBuf};

use anyhow::Result;
use xshell::cmd;

use crate::failure::{Code, Failure};
use crate::process::{Kind, Launcher};

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

    /// The server at `bin`, if one is there and runs.
    fn at(launcher: &Launcher<'_>, bin: &Path) -> Option<Self> {
        let program = bin.join("postgres");
        let said = launcher.read(cmd!(launcher.shell, "{program} --version"), Kind::Tool).ok()?;
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let version = said.split_whitespace().nth(2)?.to_owned();
        Some(Server { bin: bin.to_path_buf(), version })
    }
}

/// Where servers can be.
pub struct Places {
    /// `/`; another folder in tests.
    pub root: PathBuf,
    /// The folders of PATH.
    pub path: Vec<PathBuf>,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// Names the package manager, see `workspace::Env::system`.
    pub system: String,
    /// Whether the user is root, who needs no sudo.
    pub root_user: bool,
}

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
    /// folders, the user's.
    pub fn folders(&self) -> Vec<PathBuf> {
        let system = SYSTEM.iter().flat_map(|pattern| expand(&self.root, pattern));
        let home = self.home.iter().flat_map(|home| HOME.iter().flat_map(|pattern| expand(home, pattern)));
        let mut found = Vec::new();
        for folder in self.path.iter().cloned().chain(system).chain(home) {
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
            return Server::at(launcher, bin).ok_or_else(|| {
                Failure::new(Code::Missing, format!("no PostgreSQL in {}", bin.display()))
                    .why("`bin` in xtask.toml [postgres] names a folder without a `postgres` that runs")
                    .next("remove `bin`, and an installed server is searched for")
                    .into()
            });
        }
        let found: Vec<Server> =
            self.folders().iter().filter_map(|folder| Server::at(launcher, folder)).collect();
        let best = wanted.iter().find_map(|major| found.iter().find(|server| server.major() == major));
        best.cloned().ok_or_else(|| self.missing(&found, wanted).into())
    }

    fn missing(&self, found: &[Server], wanted: &[String]) -> Failure {
        let found: Vec<String> =
            found.iter().map(|server| format!("{} in {}", server.version, server.bin.display())).collect();
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        Failure::new(Code::Missing, "no PostgreSQL here that fits")
            .fact("found", format!("{found}; xtask.toml [postgres] wants {}", wanted.join(", ")))
            .next(self.install(wanted))
    }

    /// The command that installs a server on this system.
    fn install(&self, wanted: &[String]) -> String {
        let sudo = if self.root_user { "" } else { "sudo " };
        let major = wanted.first().map_or("17", String::as_str);
        let is = |name: &str| self.system.split_whitespace().any(|word| word == name);
        match () {
            () if is("macos") => format!("brew install postgresql@{major}"),
            () if is("debian") || is("ubuntu") => format!("{sudo}apt-get install -y postgresql"),
            () if is("fedora") || is("rhel") => format!("{sudo}dnf install -y postgresql-server"),
            () if is("alpine") => format!("{sudo}apk add postgresql"),
            () if is("arch") => format!("{sudo}pacman -S postgresql"),
            () if is("suse") || is("opensuse") => format!("{sudo}zypper install postgresql-server"),
            () => format!("install PostgreSQL {major}, or set `bin` in xtask.toml [postgres]"),
        }
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

    fn places(root: &Path, system: &str) -> Places {
        let home = Some(root.join("home/ada"));
        Places {
            root: root.into(),
            path: vec![root.join("bin")],
            home,
            system: system.into(),
            root_user: false,
        }
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
        let found = places(root.path(), "").folders();
        let found: Vec<_> = found.iter().filter_map(|folder| folder.strip_prefix(&real).ok()).collect();
        assert_eq!(found, expected.map(Path::new));
        Ok(())
    }

    #[test]
    fn what_is_missing_comes_with_the_command_of_the_system() {
        let wanted = ["17".to_owned(), "16".to_owned()];
        for (system, command) in [
            ("debian", "sudo apt-get install -y postgresql"),
            ("pop ubuntu debian", "sudo apt-get install -y postgresql"),
            ("rocky rhel centos fedora", "sudo dnf install -y postgresql-server"),
            ("alpine", "sudo apk add postgresql"),
            ("macos", "brew install postgresql@17"),
        ] {
            let failure = places(Path::new("/"), system).missing(&[], &wanted);
            assert_eq!(failure.code, 5);
            assert_eq!(failure.next, [command]);
        }
        assert!(!places(Path::new("/"), "plan9").install(&wanted).contains("sudo"));
    }

    #[test]
    fn a_major_is_the_first_number() {
        for (version, major) in [("15.18", "15"), ("18beta1", "18"), ("9.6.24", "9")] {
            assert_eq!(Server { bin: PathBuf::new(), version: version.into() }.major(), major);
        }
    }
}
