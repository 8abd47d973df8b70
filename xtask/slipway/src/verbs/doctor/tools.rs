//! The tools that verbs start: which are here, and how to get the others.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use xshell::cmd;

use super::{Here, shown};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::packages::Manager;
use crate::postgres::{NoServer, Server};
use crate::process::{Kind, Launcher};

/// A tool that verbs start by its name.
struct Tool {
    name: &'static str,
    program: &'static str,
    /// Without it nothing works.
    required: bool,
    /// The verbs that start it. Those that this version does not have are left out, and so is a tool that
    /// only they need.
    verbs: &'static [&'static str],
    /// What it is for, where that says more than verbs.
    about: &'static str,
    get: Get,
}

enum Get {
    /// The package, by the order of [`MANAGERS`].
    Package([&'static str; 6]),
    /// What to type or read anywhere.
    Text(&'static str),
}

/// The order of a package's names.
const MANAGERS: [Manager; 6] =
    [Manager::Apt, Manager::Dnf, Manager::Brew, Manager::Apk, Manager::Pacman, Manager::Zypper];

const RUST: Get = Get::Text("install Rust: https://rustup.rs");

const TOOLS: &[Tool] = &[
    Tool {
        name: "cargo",
        program: "cargo",
        required: true,
        verbs: &["dev", "test", "db", "ci", "image"],
        about: "",
        get: RUST,
    },
    Tool {
        name: "rustc",
        program: "rustc",
        required: false,
        verbs: &["dev", "test", "db", "ci", "image"],
        about: "",
        get: RUST,
    },
    Tool {
        name: "cc",
        program: "cc",
        required: false,
        verbs: &["dev", "test", "db", "ci", "image"],
        about: "links what cargo builds",
        get: Get::Package(["build-essential", "gcc", "gcc", "build-base", "base-devel", "gcc"]),
    },
    Tool {
        name: "git",
        program: "git",
        required: true,
        verbs: &["sync-actions", "new", "adopt"],
        about: "clones and worktrees",
        get: Get::Package(["git"; 6]),
    },
    Tool {
        name: "curl",
        program: "curl",
        required: false,
        verbs: &["dev", "test", "db"],
        about: "PostgreSQL, where none is installed",
        get: Get::Package(["curl"; 6]),
    },
    Tool {
        name: "skopeo",
        program: "skopeo",
        required: false,
        verbs: &["image push"],
        about: "",
        get: Get::Package(["skopeo"; 6]),
    },
    Tool {
        name: "doppler",
        program: "doppler",
        required: false,
        verbs: &["secrets"],
        about: "secrets; dev and test have defaults",
        get: Get::Text("https://docs.doppler.com/docs/install-cli, then: doppler login"),
    },
    Tool {
        name: "docker",
        program: "docker",
        required: false,
        verbs: &["image load"],
        about: "image load; podman will do",
        get: Get::Text("https://docs.docker.com/engine/install/"),
    },
    Tool {
        name: "nextest",
        program: "cargo-nextest",
        required: false,
        verbs: &["test"],
        about: "test; else cargo test",
        get: Get::Text("cargo install --locked cargo-nextest"),
    },
];

/// The server's clients: beside the server or on PATH.
const CLIENTS: &[Tool] = &[
    Tool {
        name: "psql",
        program: "psql",
        required: false,
        verbs: &["dev", "test", "db"],
        about: "",
        get: CLIENT,
    },
    Tool {
        name: "pg_dump",
        program: "pg_dump",
        required: false,
        verbs: &["db dump", "db restore"],
        about: "",
        get: CLIENT,
    },
];
const CLIENT: Get = Get::Package([
    "postgresql-client",
    "postgresql",
    "postgresql@17",
    "postgresql-client",
    "postgresql",
    "postgresql",
]);

impl Tool {
    /// The command that installs it on this system.
    fn get(&self, system: &str, root: bool) -> String {
        let manager = Manager::of(system);
        let order = MANAGERS.iter().position(|known| Some(*known) == manager);
        match (&self.get, manager, order) {
            (Get::Text(text), ..) => (*text).to_owned(),
            (Get::Package(names), Some(manager), Some(index)) => manager.line(names[index], root),
            (Get::Package(_), ..) => format!("install {}", self.program),
        }
    }
}

/// A tool, looked for.
pub struct Found {
    pub name: &'static str,
    pub required: bool,
    pub path: Option<PathBuf>,
    pub version: Option<String>,
    /// The verbs that need it and exist.
    verbs: Vec<&'static str>,
    about: &'static str,
    pub get: String,
}

impl Found {
    /// What it is needed for.
    pub fn purpose(&self) -> String {
        if self.about.is_empty() { self.verbs.join(", ") } else { self.about.to_owned() }
    }

    /// A program that does not run is as good as none.
    pub fn is_here(&self) -> bool {
        self.version.is_some()
    }

    pub fn json(&self) -> Value {
        let get = (!self.is_here()).then_some(&self.get);
        json!({
            "name": self.name, "version": self.version, "path": self.path.as_deref().map(shown),
            "required": self.required,
            "verbs": self.verbs, "get": get,
        })
    }
}

/// Which server would run.
pub type WouldRun = Result<Server, Failure>;

/// All that was looked for.
pub struct Tools {
    pub found: Vec<Found>,
    pub server: WouldRun,
    /// Whether curl gets a server where none fits.
    pub fetched: bool,
}

impl Tools {
    /// Looks for everything, at once: each program takes its time to say its version.
    pub fn look(context: &Context, here: &Here) -> Self {
        let command = (context.command)();
        let is_verb = |verb: &&&str| {
            let mut words = verb.split(' ');
            words.try_fold(&command, |command, word| command.find_subcommand(word)).is_some()
        };
        let look = |tool: &'static Tool, beside: Option<PathBuf>| -> Option<Found> {
            let verbs: Vec<&str> = tool.verbs.iter().filter(is_verb).copied().collect();
            if verbs.is_empty() && !tool.required {
                return None;
            }
            let beside = beside.map(|bin| bin.join(tool.program)).filter(|path| path.is_file());
            let on_path = || which::which_in(tool.program, context.env.var("PATH"), &context.env.cwd).ok();
            let path = beside.or_else(on_path);
            let version = path.as_deref().and_then(|path| version(context, here, tool, path));
            let get = tool.get(&context.env.system, context.env.uid == 0);
            let Tool { name, required, about, .. } = *tool;
            Some(Found { name, required, path, version, verbs, about, get })
        };
        let look = &look;
        std::thread::scope(|scope| {
            let tools: Vec<_> = TOOLS.iter().map(|tool| scope.spawn(move || look(tool, None))).collect();
            let server = server(context, here);
            let bin = server.as_ref().ok().map(|server| server.bin.clone());
            let client = |tool: &'static Tool| {
                let bin = bin.clone();
                scope.spawn(move || look(tool, bin))
            };
            let clients: Vec<_> = CLIENTS.iter().map(client).collect();
            let threads = tools.into_iter().chain(clients);
            let found: Vec<Found> = threads.filter_map(|thread| thread.join().ok().flatten()).collect();
            let curl = found.iter().any(|tool| tool.name == "curl" && tool.is_here());
            let fetched = server.is_err() && curl && here.is_published();
            Tools { found, server, fetched }
        })
    }

    /// What is required and not here: its name, and how to get it.
    pub fn missing(&self) -> Vec<(&str, &str)> {
        let tools = self.found.iter().filter(|tool| tool.required && !tool.is_here());
        let mut missing: Vec<_> = tools.map(|tool| (tool.name, tool.get.as_str())).collect();
        if let Err(failure) = &self.server
            && !self.fetched
        {
            missing.push(("PostgreSQL", failure.next.first().map_or("", String::as_str)));
        }
        missing
    }

    pub fn server_json(&self, here: &Here) -> Value {
        let (server, get) = match &self.server {
            Ok(server) => (Some(server), None),
            Err(failure) => (None, failure.next.first()),
        };
        json!({
            "version": server.map(|server| &server.version), "path": server.map(|server| shown(&server.bin)),
            "wanted": here.wanted(), "fetched": self.fetched, "get": get,
        })
    }
}

/// What a program says of its version; nothing when it does not run.
fn version(context: &Context, here: &Here, tool: &Tool, path: &Path) -> Option<String> {
    let launcher = Launcher::new(&context.env, &context.screen, &here.folder).ok()?;
    let kind = if tool.program.starts_with("cargo") { Kind::Cargo } else { Kind::Tool };
    // `cargo-nextest --version` knows only sub-commands.
    let words: &[&str] =
        if tool.program == "cargo-nextest" { &["nextest", "--version"] } else { &["--version"] };
    // Looking installs nothing: rustup would fetch a toolchain that rust-toolchain.toml names.
    let command = cmd!(launcher.shell, "{path} {words...}").env("RUSTUP_AUTO_INSTALL", "0");
    let said = launcher.read(command, kind).ok()?;
    Some(version_in(&said).unwrap_or_else(|| "?".to_owned()))
}

/// `12.2.0` of "cc (Debian 12.2.0-14+deb12u1) 12.2.0".
fn version_in(said: &str) -> Option<String> {
    let mut depth = 0_usize;
    let outside: String = said
        .lines()
        .next()?
        .chars()
        .filter(|c| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && *c != ')'
        })
        .collect();
    outside.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

/// The server that `dev` would run; data of a major is only ever opened by that major.
fn server(context: &Context, here: &Here) -> WouldRun {
    let find = || {
        let launcher = Launcher::new(&context.env, &context.screen, &here.folder)?;
        let places = context.places(here.workspace.as_ref());
        places.find(&launcher, &here.wanted(), here.bin().as_deref())
    };
    find().map_err(|error: anyhow::Error| match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => {
            let env = &context.env;
            let manager = Manager::of(&env.system);
            let line = manager.map(|manager| manager.line(&manager.server(None), env.uid == 0));
            let missing = error.downcast_ref::<NoServer>();
            let found = missing.map_or_else(|| "none".to_owned(), NoServer::found);
            Failure::new(Code::Missing, error.to_string())
                .fact("found", format!("{found}; xtask.toml [postgres] wants {}", here.wanted().join(", ")))
                .next(line.unwrap_or_else(|| "install PostgreSQL".to_owned()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_first_number_outside_of_brackets() {
        for (said, version) in [
            ("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", Some("1.95.0")),
            ("git version 2.39.5", Some("2.39.5")),
            ("cc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright 2022", Some("12.2.0")),
            ("Apple clang version 15.0.0 (clang-1500.3.9.4)", Some("15.0.0")),
            ("psql (PostgreSQL) 18beta1", Some("18beta1")),
            ("no number", None),
            ("", None),
        ] {
            assert_eq!(version_in(said).as_deref(), version, "{said}");
        }
    }

    #[test]
    fn each_system_has_its_command() {
        let tool = |name: &str| TOOLS.iter().chain(CLIENTS).find(|tool| tool.name == name);
        for (system, root, name, command) in [
            ("debian", false, "git", "sudo apt-get install -y git"),
            ("ubuntu debian", true, "cc", "apt-get install -y build-essential"),
            ("rocky rhel centos fedora", false, "curl", "sudo dnf install -y curl"),
            ("macos", false, "psql", "brew install postgresql@17"),
            ("alpine", true, "cc", "apk add build-base"),
            ("arch", false, "git", "sudo pacman -S --noconfirm --needed git"),
            ("opensuse-leap suse opensuse", false, "git", "sudo zypper --non-interactive install git"),
            ("plan9", false, "nextest", "cargo install --locked cargo-nextest"),
            ("plan9", false, "git", "install git"),
        ] {
            assert_eq!(tool(name).map(|tool| tool.get(system, root)).as_deref(), Some(command), "{system}");
        }
    }
}
