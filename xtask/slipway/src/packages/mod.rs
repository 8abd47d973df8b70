//! The system's package manager: which command installs something, and running it where that is allowed.

use std::process::Stdio;
use std::sync::mpsc::channel;

use anyhow::Result;
use rustix::process::Signal;
use xshell::cmd;

use crate::failure::{Code, Failure};
use crate::process::{Heard, Kind, Launcher, Leash, Line, Lines, Start, tail};

/// Debian makes a cluster, and starts it, with every server that is installed, unless it is told not to. The
/// last setting of the file counts.
const NO_CLUSTER: &str = "f=/etc/postgresql-common/createcluster.conf
[ \"$(sed -n 's/^ *create_main_cluster *= *//p' $f 2>/dev/null | tail -n 1)\" = false ] && exit
mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' >>$f";

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// Debian, Ubuntu and their kin.
    Apt,
    /// Fedora, Red Hat and their kin.
    Dnf,
    /// Alpine.
    Apk,
    /// Arch and its kin.
    Pacman,
    /// SUSE.
    Zypper,
    /// Homebrew, on macOS.
    Brew,
}

/// What a command that installs may do to become root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// It is root, or needs no root.
    Given,
    /// sudo asks for nothing.
    Sudo,
    /// sudo would ask for a password.
    Password,
    /// There is no way.
    None,
}

impl Manager {
    /// The one of a system, see `workspace::Env::system`.
    pub fn of(system: &str) -> Option<Self> {
        system.split_whitespace().find_map(|name| match name {
            "macos" => Some(Manager::Brew),
            "debian" | "ubuntu" => Some(Manager::Apt),
            "fedora" | "rhel" => Some(Manager::Dnf),
            "alpine" => Some(Manager::Apk),
            "arch" => Some(Manager::Pacman),
            "suse" | "opensuse" => Some(Manager::Zypper),
            _ => None,
        })
    }

    /// The program.
    pub fn program(self) -> &'static str {
        match self {
            Manager::Apt => "apt-get",
            Manager::Dnf => "dnf",
            Manager::Apk => "apk",
            Manager::Pacman => "pacman",
            Manager::Zypper => "zypper",
            Manager::Brew => "brew",
        }
    }

    /// The package of a PostgreSQL server. Without a major, what the system has.
    pub fn server(self, major: Option<&str>) -> String {
        match (self, major) {
            (Manager::Apt, Some(major)) => format!("postgresql-{major}"),
            (Manager::Apk, Some(major)) => format!("postgresql{major}"),
            (Manager::Brew, major) => format!("postgresql@{}", major.unwrap_or("17")),
            (Manager::Dnf | Manager::Zypper, _) => "postgresql-server".to_owned(),
            (Manager::Apt | Manager::Apk | Manager::Pacman, _) => "postgresql".to_owned(),
        }
    }

    /// The command that installs `package`, for people to paste.
    pub fn line(self, package: &str, root: bool) -> String {
        let sudo = if root || self == Manager::Brew { "" } else { "sudo " };
        let words = self.words(package).join(" ");
        format!("{sudo}{words}")
    }

    fn words(self, package: &str) -> Vec<&str> {
        match self {
            Manager::Apt => vec!["apt-get", "install", "-y", package],
            Manager::Dnf => vec!["dnf", "install", "-y", package],
            Manager::Apk => vec!["apk", "add", package],
            Manager::Pacman => vec!["pacman", "-S", "--noconfirm", "--needed", package],
            Manager::Zypper => vec!["zypper", "--non-interactive", "install", package],
            Manager::Brew => vec!["brew", "install", package],
        }
    }

    /// What we may do.
    pub fn rights(self, launcher: &Launcher<'_>, root: bool) -> Rights {
        if root || self == Manager::Brew {
            return Rights::Given;
        }
        if launcher.read(cmd!(launcher.shell, "sudo -n true"), Kind::Tool).is_ok() {
            return Rights::Sudo;
        }
        match launcher.read(cmd!(launcher.shell, "sudo --version"), Kind::Tool) {
            Ok(_) => Rights::Password,
            Err(_) => Rights::None,
        }
    }

    /// Installs a server of the first of `majors` that the system has, and gives the package's name. No
    /// cluster is made and none is started: the tool keeps its own.
    ///
    /// With [`Rights::Password`] sudo asks on the terminal; the caller says whether there is one.
    pub fn install_server(
        self,
        launcher: &Launcher<'_>,
        majors: &[String],
        rights: Rights,
    ) -> Result<String> {
        let sudo = match rights {
            Rights::None => {
                return Err(Failure::new(Code::Denied, "installing needs root, and there is no sudo")
                    .next(self.line(&self.server(None), true))
                    .into());
            }
            Rights::Password => {
                // Once, here; the commands below have no terminal.
                if launcher.interact(cmd!(launcher.shell, "sudo --validate"), Kind::Tool)? != 0 {
                    return Err(Failure::new(Code::Denied, "sudo was refused").into());
                }
                true
            }
            Rights::Sudo => true,
            Rights::Given => false,
        };
        if self == Manager::Apt {
            // A source that cannot be reached is no reason to stop: the package may be known.
            let _ = self.run(launcher, sudo, &["apt-get", "update", "-q"]);
            self.run(launcher, sudo, &["sh", "-c", NO_CLUSTER])?;
        }
        let package = self.choose(launcher, majors)?;
        let quiet = [
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "install",
            "-y",
            "-q",
            "--no-install-recommends",
            "-o",
            "Dpkg::Options::=--force-confold",
            &package,
        ];
        let words = if self == Manager::Apt { quiet.to_vec() } else { self.words(&package) };
        self.run(launcher, sudo, &words)?;
        Ok(package)
    }

    /// The package of the first major that the system has.
    fn choose(self, launcher: &Launcher<'_>, majors: &[String]) -> Result<String> {
        let sh = &launcher.shell;
        let known = |package: &str| match self {
            Manager::Apt => {
                let shown = launcher.read(cmd!(sh, "apt-cache show --no-all-versions {package}"), Kind::Tool);
                shown.is_ok_and(|text| text.starts_with("Package:"))
            }
            Manager::Apk => launcher
                .read(cmd!(sh, "apk search --exact {package}"), Kind::Tool)
                .is_ok_and(|text| !text.is_empty()),
            // One package only, or every major.
            _ => true,
        };
        let mut packages = majors.iter().map(|major| self.server(Some(major)));
        packages.find(|package| known(package)).ok_or_else(|| {
            let what = format!("{} has no PostgreSQL {}", self.program(), majors.join(", "));
            let failure = Failure::new(Code::Missing, what);
            match self {
                Manager::Apt => failure.next("add the packages of https://apt.postgresql.org, then again"),
                _ => failure.next("add another version to `versions` in xtask.toml [postgres]"),
            }
            .into()
        })
    }

    /// Runs a command, reporting what it prints; its last words are the reason when it fails. Its stdout must
    /// not be ours, which carries data.
    fn run(self, launcher: &Launcher<'_>, sudo: bool, words: &[&str]) -> Result<()> {
        let (program, rest) = match (sudo, words) {
            (true, words) => ("sudo", [&["-n"], words].concat()),
            (false, [program, rest @ ..]) => (*program, rest.to_vec()),
            (false, []) => return Ok(()),
        };
        let command = cmd!(launcher.shell, "{program} {rest...}");
        let start = Start::new(command, Kind::Tool, Leash::Signal(Signal::TERM));
        let mut child = launcher.start(start.outputs(Stdio::piped(), Stdio::piped()))?;
        let (sender, receiver) = channel::<Heard>();
        let lines = Lines::new(sender, |heard| heard);
        lines.read("", &mut child)?;
        drop(lines);
        let mut said = String::new();
        for heard in receiver {
            let Heard::Line(Line { text, .. }) = heard else { continue };
            launcher.progress().working("install", text.trim());
            said += &text;
            said.push('\n');
        }
        match child.wait()? {
            0 => Ok(()),
            code => {
                let what = format!("{} ended with code {code}", self.program());
                Err(Failure::new(Code::Failed, what).why(tail(said.trim(), 8)).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_command() {
        for (system, command) in [
            ("debian", "sudo apt-get install -y postgresql"),
            ("pop ubuntu debian", "sudo apt-get install -y postgresql"),
            ("rocky rhel centos fedora", "sudo dnf install -y postgresql-server"),
            ("alpine", "sudo apk add postgresql"),
            ("macos", "brew install postgresql@17"),
        ] {
            let manager = Manager::of(system);
            let line = manager.map(|manager| manager.line(&manager.server(None), false));
            assert_eq!(line.as_deref(), Some(command), "{system}");
        }
        assert_eq!(Manager::of("plan9"), None);
        assert_eq!(
            Manager::Apt.line(&Manager::Apt.server(Some("17")), true),
            "apt-get install -y postgresql-17"
        );
    }
}
