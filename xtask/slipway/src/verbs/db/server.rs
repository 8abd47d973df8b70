//! A server where none is installed: downloaded into the cache without a question, or, where that is asked
//! for or nothing else is left, installed with the system's package manager.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use crate::cli::Install;
use crate::context::{Context, Repository};
use crate::download::{self, Archive, Pins};
use crate::failure::{Code, Failure};
use crate::packages::{Manager, Rights};
use crate::postgres::{self, NoServer, Release};
use crate::process::Launcher;
use crate::workspace::CONFIG_FILE;

/// Our folder in the cache.
const KIND: &str = "postgres";
/// How the folder of a server that was downloaded begins; its version follows, and its sum.
const STEM: &str = "server-";
/// An archive of some 35 MB, what it unpacks to, and the cluster of the trial.
const ROOM: u64 = 400_000_000;

/// The programs of servers that were downloaded, newest first. What another repository has downloaded will do
/// too, unless this one pins another sum for it.
pub fn downloads(context: &Context, pins: &Pins) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(context.env.cache().join(KIND)).into_iter().flatten().flatten();
    let named = |name: &str| {
        let (version, sum) = name.strip_prefix(STEM)?.rsplit_once('-')?;
        let major = version.split('.').next()?;
        Some((Release::of(major, Some(version))?, sum.to_owned()))
    };
    let mut found: Vec<(Vec<u32>, PathBuf)> = Vec::new();
    // A broken xtask.lock is told of when something is to be downloaded; until then nothing is trusted.
    let Ok(pins) = pins.all() else { return Vec::new() };
    for entry in entries {
        let Some((release, sum)) = entry.file_name().to_str().and_then(named) else { continue };
        let pinned = pins.get(&release.asset());
        if pinned.is_none_or(|pinned| download::suffix(pinned) == sum) {
            let numbers = release.version.split('.').filter_map(|number| number.parse().ok());
            found.push((numbers.collect(), entry.path().join("bin")));
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, bin)| bin).collect()
}

/// Does `join`; where it finds no server, gets one and does it again.
pub fn with_server<T>(
    context: &Context,
    repository: &Repository,
    launcher: &Launcher<'_>,
    join: &mut dyn FnMut() -> Result<T>,
) -> Result<T> {
    let missing = match join() {
        Err(error) if error.is::<NoServer>() => error.downcast::<NoServer>()?,
        other => return other,
    };
    Provide { context, repository, launcher, missing: &missing }.run()?;
    join().map_err(|error| match error.downcast::<NoServer>() {
        Ok(still) => told(repository, &still, &still.to_string())
            .why("what was installed just now is not one that xtask.toml wants")
            .into(),
        Err(error) => error,
    })
}

struct Provide<'a> {
    context: &'a Context,
    repository: &'a Repository,
    launcher: &'a Launcher<'a>,
    missing: &'a NoServer,
}

impl Provide<'_> {
    fn run(&self) -> Result<()> {
        let config = &self.repository.config.postgres;
        if let (Some(bin), Some(_)) = (&config.bin, &self.missing.data) {
            // Whatever else is installed would not be looked at.
            let why = format!("`bin` in xtask.toml [postgres] names {}, which cannot open it", bin.get_ref());
            return Err(self.told(&self.missing.to_string()).why(why).next("remove `bin`").into());
        }
        if self.context.options.install == Some(Install::System) {
            return self.install();
        }
        let download = config.download.get_ref();
        let exact = download.version.as_ref().map(|version| version.get_ref().as_str());
        // An exact version says which major, too.
        let wanted = &self.missing.wanted;
        let named =
            wanted.iter().filter(|major| exact.and_then(|exact| exact.split('.').next()) == Some(major));
        let release = named.chain(wanted).find_map(|major| Release::of(major, exact));
        match release {
            _ if download.forbidden => {
                let why = "xtask.toml [postgres] download = false forbids a download";
                Err(self.installable(self.told(&self.missing.to_string()).why(why)).into())
            }
            None => Err(self.nothing_known().into()),
            Some(release) => self.download(&release).or_else(|error| self.after(error)),
        }
    }

    fn download(&self, release: &Release) -> Result<()> {
        let started = Instant::now();
        let config = self.repository.config.postgres.download.get_ref();
        let base = config.url.as_ref().map_or(postgres::SOURCE, |url| url.get_ref().as_str());
        let cache = self.context.env.cache();
        let archive = Archive {
            asset: release.asset(),
            url: release.url(base),
            step: "postgres",
            label: release.version.clone(),
            kind: KIND,
            stem: format!("{STEM}{}", release.version),
            room: ROOM,
            cache,
        };
        // Under root another account must reach it: the cache is where it can.
        let scratch = archive.cache.join(KIND).join(format!("{}.trial", archive.stem));
        let fetched = download::fetch(self.launcher, &archive, &self.repository.pins(), &mut |home| {
            postgres::try_server(self.launcher, home, release, &scratch)
        })?;
        if let Some(bytes) = fetched.bytes {
            let fact = format!("{} downloaded, {} MB", release.version, download::mb(bytes));
            self.context.screen.done("postgres", &fact, Some(started.elapsed()));
        }
        Ok(())
    }

    /// The download failed. Where its source could not be reached, the system's packages may do, if somebody
    /// says so.
    fn after(&self, error: anyhow::Error) -> Result<()> {
        let mut failure = error.downcast::<Failure>()?;
        let offered = [Code::Unreachable as u8, Code::Missing as u8].contains(&failure.code);
        if !offered {
            // What came was wrong, or does not run here.
            if failure.code == Code::Failed as u8 {
                failure = failure.next(self.with_install());
            }
            return Err(failure.into());
        }
        if let Some(manager) = self.manager()
            && self.may_install(manager, &failure)?
        {
            return self.install();
        }
        let what = match &self.missing.data {
            Some(_) => format!("no PostgreSQL {} here, and the download failed", self.missing.wanted()),
            None => "no PostgreSQL here, and the download failed".to_owned(),
        };
        let mut told = self.told(&what).why(&failure.what);
        told.facts.append(&mut failure.facts);
        if self.manager().is_some() {
            told = told.next(self.with_install());
        }
        if failure.next.is_empty() {
            told = told.next(format!("once online: {}", self.context.env.typed(&[])));
        }
        told.next.append(&mut failure.next);
        Err(told.into())
    }

    /// Whether the system's packages may take the download's place: `--yes` says so where nobody is asked for
    /// a password, a person on a terminal may.
    fn may_install(&self, manager: Manager, failure: &Failure) -> Result<bool> {
        let (context, yes) = (self.context, self.context.options.yes);
        if !yes && !context.may_ask() {
            return Ok(false);
        }
        let rights = manager.rights(self.launcher, self.root());
        let free = matches!(rights, Rights::Given | Rights::Sudo);
        if rights == Rights::None || (yes && !free) {
            return Ok(false);
        }
        context.screen.failed("postgres", &format!("no download: {}", failure.what), None);
        let line = manager.line(&manager.server(None), self.root());
        context.ask(&format!("Install it with `{line}` instead?"))
    }

    /// With the system's package manager.
    fn install(&self) -> Result<()> {
        let started = Instant::now();
        let Some(manager) = self.manager() else {
            return Err(self.installable(self.told("no package manager that this tool knows")).into());
        };
        let rights = manager.rights(self.launcher, self.root());
        if rights == Rights::Password && !self.context.may_ask() {
            return Err(self
                .told("no PostgreSQL here, and nobody here can answer sudo")
                .next(manager.line(&manager.server(None), false))
                .into());
        }
        self.context.screen.clear();
        let package = manager.install_server(self.launcher, &self.missing.wanted, rights)?;
        let fact = format!("{package} installed with {}, no system cluster started", manager.program());
        self.context.screen.done("postgres", &fact, Some(started.elapsed()));
        Ok(())
    }

    fn manager(&self) -> Option<Manager> {
        Manager::of(&self.context.env.system)
    }

    fn root(&self) -> bool {
        self.context.env.uid == 0
    }

    /// The command that was typed, to install with the system's packages this time.
    fn with_install(&self) -> String {
        self.context.env.typed(&["--install", "system"])
    }

    fn told(&self, what: &str) -> Failure {
        told(self.repository, self.missing, what)
    }

    /// No release of the wanted majors is known.
    fn nothing_known(&self) -> Failure {
        let wanted = self.missing.wanted();
        let told = self.told(&self.missing.to_string());
        match &self.missing.data {
            Some(data) => told.why(format!("{} cannot be opened by another major", data.display())).next(
                format!("install PostgreSQL {wanted} again, dump what you need, then remove that folder"),
            ),
            None => {
                let why = format!("no download of PostgreSQL {wanted} for this kind of machine is known");
                self.installable(told.why(why))
            }
        }
    }

    /// Adds how the system installs a server, and that another one is here.
    fn installable(&self, failure: Failure) -> Failure {
        let here = self.missing.found.first().filter(|_| self.missing.data.is_none());
        let failure = match here {
            Some(server) => {
                failure.next(format!("add \"{}\" to `versions`, to run what is here", server.major()))
            }
            None => failure,
        };
        match self.manager() {
            Some(manager) => failure
                .next(manager.line(&manager.server(None), self.root()))
                .next(format!("{}      (the same; starts no system cluster)", self.with_install())),
            None => {
                let major = self.missing.wanted.first().map_or("17", String::as_str);
                failure.next(format!("install PostgreSQL {major}, or set `bin` in xtask.toml [postgres]"))
            }
        }
    }
}

/// What is here, and who wants what.
fn told(repository: &Repository, missing: &NoServer, what: &str) -> Failure {
    let who = match (&missing.data, repository.config.postgres.versions_line) {
        (Some(data), _) => data.display().to_string(),
        (None, Some(line)) => format!("{CONFIG_FILE}:{line}"),
        (None, None) => format!("{CONFIG_FILE} [postgres]"),
    };
    let found = format!("{}; {who} wants {}", missing.found(), missing.wanted());
    Failure::new(Code::Missing, what).fact("found", found)
}
