//! Whose values a run gets: Doppler's, or the development defaults.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::refusal::refuse;
use crate::config::{Environment, Secrets};
use crate::context::{Context, Repository};
use crate::output::count;
use crate::process::Launcher;
use crate::secrets::{Doppler, Fetch, Mask, Outcome, Values, choose};

/// A question that is under way, so that other work can be done meanwhile.
pub struct Asking {
    environment: Environment,
    fetch: Result<Fetch, Without>,
}

/// Why Doppler is not asked.
enum Without {
    /// `--local`, or because no declared name is Doppler's to give.
    NotNeeded,
    Absent(Outcome),
}

/// Values, and where they are from.
pub struct Given {
    pub values: Values,
    /// What Doppler gave, for an xtask.toml that is changed later.
    doppler: BTreeMap<String, String>,
    /// The project and the config, where Doppler gave them: `links/dev`.
    scope: Option<String>,
    /// Why it was not asked.
    why: Option<&'static str>,
    /// The names that it was asked for.
    asked: Vec<String>,
    /// All values that were ever to be hidden: a service that has one may run on after it is declared no more.
    hidden: BTreeSet<String>,
}

impl Given {
    /// How many, and from where: `2 values from Doppler (links/dev)`.
    pub fn said(&self) -> String {
        let Values { values, fetched, shell, .. } = &self.values;
        let defaults = values.len() - fetched.len() - shell.len();
        let mut parts = Vec::new();
        if let Some(scope) = &self.scope {
            parts.push(format!("{} from Doppler ({scope})", count(fetched.len(), "value")));
        }
        if defaults > 0 || parts.is_empty() {
            parts.push(match (&self.scope, self.why) {
                (Some(_), _) => count(defaults, "default"),
                (None, Some(_)) => count(defaults, "development default"),
                (None, None) => format!("{} from xtask.toml", count(defaults, "development default")),
            });
        }
        match shell.as_slice() {
            [] => {}
            [name] => parts.push(format!("{name} from the shell")),
            _ => parts.push(format!("{} from the shell", shell.len())),
        }
        let why = self.why.map(|why| format!("; {why}")).unwrap_or_default();
        format!("{}{why}", parts.join(", "))
    }

    /// What is worth a note, what matters most first; `in_dev` with what concerns only that.
    pub fn notes(&self, context: &Context, in_dev: bool) -> Vec<String> {
        let Values { values, masked, .. } = &self.values;
        let of = |wanted: &dyn Fn(&String) -> bool| {
            let names = masked.iter().filter(|name| wanted(name)).map(String::as_str);
            Some(names.collect::<Vec<_>>().join(", ")).filter(|names| !names.is_empty())
        };
        let shown = Some(self.values.shown().join(", ")).filter(|names| !names.is_empty());
        let (is_doppler, scope) = (self.scope.is_some(), self.scope.as_deref().unwrap_or_default());
        let fell_back =
            of(&|name| is_doppler && values.contains_key(name) && !self.doppler.contains_key(name));
        let empty = of(&|name| self.doppler.get(name).is_some_and(String::is_empty));
        let unused = of(&|name| in_dev && context.env.var(name).is_some());
        [
            shown.map(|names| format!("not masked, too short or too common: {names}")),
            fell_back.map(|names| format!("not in {scope}, so the default: {names}")),
            empty.map(|names| format!("empty in {scope}: {names}")),
            self.lack(),
            unused.map(|names| format!("not taken from your shell, because masked: {names}")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Which declared names have no value.
    fn lack(&self) -> Option<String> {
        let names = self.values.missing.join(", ");
        (!names.is_empty()).then(|| format!("no development value in xtask.toml [secrets.names]: {names}"))
    }

    /// What output must not show.
    pub fn mask(&mut self) -> Result<Mask> {
        self.hidden.extend(self.values.secret().map(|(_, value)| value.to_owned()));
        Mask::new(self.hidden.iter().map(String::as_str))
    }

    /// Takes another declaration for dev; Doppler is not asked again. What there is to say about that.
    pub fn declare(&mut self, context: &Context, secrets: &Secrets) -> Option<String> {
        self.values = choose(secrets, Environment::Dev, &self.doppler, |name| shell(context, name));
        let names = secrets.within(Environment::Dev).map(|(name, _)| name);
        let new: Vec<&str> = names.filter(|name| !self.asked.iter().any(|asked| asked == name)).collect();
        match self.scope.is_some() && !new.is_empty() {
            true => Some(format!("Doppler is asked by the next `cargo xtask dev`: {}", new.join(", "))),
            false => self.lack(),
        }
    }
}

/// Begins to ask Doppler for what `environment` has, unless that is needless: `local` wants the development defaults.
pub fn ask(
    context: &Context,
    repository: &Repository,
    launcher: &Launcher<'_>,
    environment: Environment,
    local: bool,
) -> Result<Asking> {
    let names: Vec<String> =
        repository.config.secrets.within(environment).map(|(name, _)| name.to_owned()).collect();
    let fetch = if local || names.is_empty() {
        Err(Without::NotNeeded)
    } else {
        match doppler(context, repository, environment.name()) {
            Ok(doppler) => Ok(doppler.fetch(launcher, names)?),
            Err(absence) => Err(Without::Absent(absence)),
        }
    };
    Ok(Asking { environment, fetch })
}

/// How to ask Doppler for a config of this repository's project.
///
/// # Errors
/// Doppler is not in use here.
pub fn doppler(context: &Context, repository: &Repository, config: &str) -> Result<Doppler, Outcome> {
    let project = repository.config.secrets.project().ok_or(Outcome::NotSetUp)?.to_owned();
    let env = &context.env;
    let program = which::which_in("doppler", env.var("PATH"), &env.cwd).map_err(|_| Outcome::NotInstalled)?;
    let (folder, has_token) = (repository.workspace.root.clone(), env.var("DOPPLER_TOKEN").is_some());
    Ok(Doppler { program, project, config: config.to_owned(), folder, has_token })
}

impl Asking {
    /// What Doppler gives or why it does not, if it is in use.
    pub fn fetched(
        self,
        launcher: &Launcher<'_>,
    ) -> Result<Option<Result<BTreeMap<String, String>, Outcome>>> {
        self.fetch.ok().map(|fetch| fetch.finish(launcher)).transpose()
    }

    /// The values.
    ///
    /// # Errors
    /// Doppler is in use and does not give them, or nothing but Doppler can.
    pub fn finish(
        self,
        context: &Context,
        repository: &Repository,
        launcher: &Launcher<'_>,
    ) -> Result<Given> {
        let Asking { environment, fetch } = self;
        let secrets = &repository.config.secrets;
        let outcome = match fetch {
            Err(Without::NotNeeded) => return Ok(local(context, secrets, environment, None)),
            Err(Without::Absent(absence)) => absence,
            Ok(fetch) => match fetch.finish(launcher)? {
                Ok(found) => return given(context, repository, environment, found),
                Err(outcome) => outcome,
            },
        };
        // Where somebody meant to give a token, defaults would hide that it does not help: CI without its secret, or
        // without Doppler.
        let is_meant = context.env.given("DOPPLER_TOKEN").is_some() && secrets.project.is_some();
        if environment != Environment::Dev || !outcome.is_absence() || is_meant {
            return Err(refuse(context, repository, environment, &outcome).into());
        }
        let why = match outcome {
            Outcome::NotInstalled => Some("Doppler is not installed"),
            Outcome::NotLoggedIn => Some("Doppler: not logged in"),
            _ if secrets.project.is_none() => None,
            _ => Some("Doppler is not set up here"),
        };
        Ok(local(context, secrets, environment, why))
    }
}

fn local(context: &Context, secrets: &Secrets, environment: Environment, why: Option<&'static str>) -> Given {
    let doppler = BTreeMap::new();
    let values = choose(secrets, environment, &doppler, |name| shell(context, name));
    Given { values, doppler, scope: None, why, asked: Vec::new(), hidden: BTreeSet::new() }
}

fn given(
    context: &Context,
    repository: &Repository,
    environment: Environment,
    doppler: BTreeMap<String, String>,
) -> Result<Given> {
    let secrets = &repository.config.secrets;
    let values = choose(secrets, environment, &doppler, |name| shell(context, name));
    if !values.missing.is_empty() {
        let outcome = Outcome::NamesMissing(values.missing);
        return Err(refuse(context, repository, environment, &outcome).into());
    }
    let project = secrets.project().unwrap_or_default();
    let asked = secrets.within(environment).map(|(name, _)| name.to_owned()).collect();
    Ok(Given {
        values,
        doppler,
        scope: Some(format!("{project}/{environment}")),
        why: None,
        asked,
        hidden: BTreeSet::new(),
    })
}

fn shell(context: &Context, name: &str) -> Option<String> {
    context.env.var(name).map(str::to_owned)
}
