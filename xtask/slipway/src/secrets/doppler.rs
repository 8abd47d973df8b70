//! Doppler, through its own program: `doppler run` around our hidden verb `__env`, which hands the values back and ends.
//! So Doppler never stands between a user and the program, gives the values of declared names only, and keeps no
//! copy of them: a fallback file outlives a revoked token (measured: shared/research/doppler.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;
use xshell::{Cmd, cmd};

use super::diagnosis;
use super::payload::{self, VERB};
use crate::failure::{Code, Failure};
use crate::process::{Captured, Kind, Launcher, Leash, Said, Start, tail};

/// How long Doppler may take, with all that is asked to find out why it fails: a person is told within 3 s.
const LIMIT: Duration = Duration::from_millis(2_800);
/// What Doppler puts into every config, and calls the project and the config by.
const PROJECT: &str = "DOPPLER_PROJECT";
const CONFIG: &str = "DOPPLER_CONFIG";
/// What is in every config without anybody's doing.
const OWN: [&str; 3] = [PROJECT, CONFIG, "DOPPLER_ENVIRONMENT"];
/// What of the environment leads Doppler's program elsewhere than we say.
const LEADS: [&str; 5] = [PROJECT, CONFIG, "DOPPLER_ENVIRONMENT", "ENCLAVE_PROJECT", "ENCLAVE_CONFIG"];

/// One config of one project, and the program that asks for it.
#[derive(Clone)]
pub struct Doppler {
    /// Doppler's program.
    pub program: PathBuf,
    /// The project.
    pub project: String,
    /// The config.
    pub config: String,
    /// The folder for which `doppler setup` may have been run.
    pub folder: PathBuf,
    /// Whether a token came with the environment.
    pub has_token: bool,
}

/// Why there are no values.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is no program `doppler`.
    NotInstalled,
    /// Nobody is logged in, and there is no token.
    NotLoggedIn,
    /// Nobody has said that this repository is in Doppler: no project in xtask.toml; or it is named there, this
    /// login does not know it, and `doppler setup` was not run here.
    NotSetUp,
    /// There is no such project or config, or the token is one for another.
    WrongScope {
        /// What Doppler has instead.
        why: String,
        /// It is the token: the project and the config may well be there.
        is_tokens: bool,
    },
    /// The token was revoked, or is none.
    Revoked(String),
    /// The token is good, and not for this.
    NoAccess(String),
    /// Doppler could not be asked.
    Unreachable(String),
    /// Declared, and not in Doppler.
    NamesMissing(Vec<String>),
}

impl Outcome {
    /// In a few words.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::NotInstalled => "not installed",
            Outcome::NotLoggedIn => "not logged in",
            Outcome::NotSetUp => "not set up",
            Outcome::WrongScope { .. } => "wrong project or config",
            Outcome::Revoked(_) => "revoked",
            Outcome::NoAccess(_) => "no access",
            Outcome::Unreachable(_) => "unreachable",
            Outcome::NamesMissing(_) => "names missing",
        }
    }

    /// Doppler is not in use here, which is no failure where defaults will do.
    pub fn is_absence(&self) -> bool {
        matches!(self, Outcome::NotInstalled | Outcome::NotLoggedIn | Outcome::NotSetUp)
    }
}

/// What comes of asking.
pub type Answer<T> = Result<std::result::Result<T, Outcome>>;

impl Doppler {
    /// A command of Doppler's, which is asked once and does not look for newer versions of itself.
    pub(super) fn command<'a>(&self, launcher: &'a Launcher<'_>, verb: &[&str]) -> Cmd<'a> {
        let program = &self.program;
        let command =
            cmd!(launcher.shell, "{program} {verb...} --attempts 1 --timeout 3s --no-check-version");
        LEADS.iter().fold(command, |command, name| command.env_remove(name))
    }

    /// Starts a command, to be heard when it has ended; `-v` shows `shown` in its place, if that is given.
    pub(super) fn start(
        launcher: &Launcher<'_>,
        command: Cmd<'_>,
        shown: Option<String>,
    ) -> Result<Captured> {
        let start = Start::new(command, Kind::Doppler, Leash::Signal(Signal::KILL)).shown(shown);
        Captured::new(launcher.start(start.outputs(Stdio::piped(), Stdio::piped()))?)
    }

    /// Begins to fetch the values of `names`.
    pub fn fetch(&self, launcher: &Launcher<'_>, names: Vec<String>) -> Result<Fetch> {
        let (project, config, own) = (&self.project, &self.config, launcher.own_path());
        let asked: Vec<&str> = names.iter().map(String::as_str).chain([PROJECT, CONFIG]).collect();
        let only = asked.join(",");
        let verb = ["run", "--project", project, "--config", config, "--only-secrets", &only];
        let command = self
            .command(launcher, &verb)
            // Which are missing is seen here, with what each is for.
            .args(["--no-exit-on-missing-only-secrets", "--no-fallback", "--no-liveness-ping"])
            .arg("--");
        // What the shell has under a declared name would come back as if it were Doppler's.
        let command = names.iter().fold(command, |command, name| command.env_remove(name));
        // Whoever pastes it must not be shown the values.
        let shown = format!("{command} true");
        let command = command.arg(own).arg(VERB).args(&asked);
        let deadline = Instant::now() + LIMIT;
        Ok(Fetch {
            child: Self::start(launcher, command, Some(shown))?,
            doppler: self.clone(),
            names,
            deadline,
        })
    }

    /// Begins to ask for the names that the config has, without values.
    pub fn names(&self, launcher: &Launcher<'_>) -> Result<Names> {
        let (project, config) = (&self.project, &self.config);
        let verb = ["secrets", "--only-names", "--json", "--project", project, "--config", config];
        let child = Self::start(launcher, self.command(launcher, &verb), None)?;
        Ok(Names { doppler: self.clone(), child, deadline: Instant::now() + LIMIT })
    }
}

/// Values on their way.
pub struct Fetch {
    doppler: Doppler,
    names: Vec<String>,
    child: Captured,
    deadline: Instant,
}

impl Fetch {
    /// The values, by name; which of the names are missing is for who knows their defaults.
    pub fn finish(self, launcher: &Launcher<'_>) -> Answer<BTreeMap<String, String>> {
        let Fetch { doppler, names, child, deadline } = self;
        let Some(said) = child.within(deadline, || waits(launcher))? else {
            return Ok(Err(diagnosis::silent()));
        };
        let Some(mut found) = payload::read(&said.stdout).filter(|_| said.code == 0) else {
            return doppler.why(launcher, &said, deadline).map(Err);
        };
        // A token for one config is given that one, whatever was asked for.
        let (Some(project), Some(config)) = (found.remove(PROJECT), found.remove(CONFIG)) else {
            return Err(odd("Doppler does not say of which project and config its values are", &said).into());
        };
        if (&project, &config) != (&doppler.project, &doppler.config) {
            let why = format!("the token is for {project}/{config}");
            return Ok(Err(Outcome::WrongScope { why, is_tokens: true }));
        }
        found.retain(|name, _| names.contains(name));
        Ok(Ok(found))
    }
}

/// Names on their way.
pub struct Names {
    doppler: Doppler,
    child: Captured,
    deadline: Instant,
}

impl Names {
    /// The names. Doppler's own are not among them.
    pub fn finish(self, launcher: &Launcher<'_>) -> Answer<BTreeSet<String>> {
        let Some(said) = self.child.within(self.deadline, || waits(launcher))? else {
            return Ok(Err(diagnosis::silent()));
        };
        let found = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&said.stdout);
        match found {
            Ok(found) if said.code == 0 => {
                let others = found.into_keys().filter(|name| !OWN.contains(&name.as_str()));
                Ok(Ok(others.collect()))
            }
            _ => self.doppler.why(launcher, &said, self.deadline).map(Err),
        }
    }
}

impl Doppler {
    /// Why a command of Doppler's failed.
    fn why(&self, launcher: &Launcher<'_>, said: &Said, deadline: Instant) -> Result<Outcome> {
        let text = said.stderr.to_lowercase();
        if ["unknown flag", "unknown shorthand flag", "unknown command"]
            .iter()
            .any(|word| text.contains(word))
        {
            return Err(Failure::new(Code::Missing, "this version of doppler is too old")
                .why(tail(said.stderr.trim(), 3))
                .next("doppler update")
                .into());
        }
        match said.code {
            0 => return Err(odd("doppler ended well and gave no values", said).into()),
            // 255 is its own for a child that a signal ended.
            129..=192 => {
                return Err(odd(&format!("doppler was ended by signal {}", said.code - 128), said).into());
            }
            _ => {}
        }
        diagnosis::diagnose(self, launcher, &said.stderr, deadline)
    }
}

/// Says that Doppler is asked, and for how long by now.
pub(super) fn waits(launcher: &Launcher<'_>) {
    launcher.progress().working("secrets", "asking Doppler");
}

/// What no version of Doppler's program that we know of does.
fn odd(what: &str, said: &Said) -> Failure {
    Failure::new(Code::Failed, what)
        .why(diagnosis::line(&said.stderr))
        .next("doppler --version: this tool was made for 3.76")
}
