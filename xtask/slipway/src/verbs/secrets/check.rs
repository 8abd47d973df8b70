//! `secrets check`: the names in xtask.toml beside those in Doppler, for each environment. Values are not asked for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use super::refusal::{SHOWN, mend, set};
use super::values::doppler;
use crate::config::{Environment, Secrets};
use crate::context::{Context, Repository};
use crate::failure::{Code, Failure};
use crate::output::count;
use crate::secrets::Outcome;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask secrets check\n  cargo xtask secrets check stg prd --json\n\n\
                  Exit code 3: something is missing in Doppler, or there and not declared."
)]
pub struct Args {
    /// dev, stg, prd; all where none is given
    #[arg(value_enum, value_name = "ENV")]
    environments: Vec<Environment>,
    /// For programs, on stdout
    #[arg(long)]
    json: bool,
}

/// What is not as xtask.toml says, by name: the environments.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Drift {
    /// Declared, and not in Doppler.
    missing: BTreeMap<String, Vec<&'static str>>,
    /// In Doppler, and not declared for there.
    undeclared: BTreeMap<String, Vec<&'static str>>,
    /// Of those, what only some of the compared environments have.
    only_in_some: BTreeMap<String, Vec<&'static str>>,
}

#[derive(Serialize)]
struct Report<'a> {
    project: &'a str,
    environments: Vec<&'static str>,
    declared: usize,
    #[serde(flatten)]
    drift: &'a Drift,
    /// Of which the token that was asked with tells nothing.
    not_compared: Vec<&'static str>,
    /// Why one that should be was not compared.
    refused: BTreeMap<&'static str, &'static str>,
}

/// The names that each environment has in Doppler.
type Found = BTreeMap<Environment, BTreeSet<String>>;

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let asked = match args.environments.is_empty() {
        true => BTreeSet::from(Environment::ALL),
        false => args.environments.iter().copied().collect(),
    };
    let (found, mut refused) = names(context, &repository, &asked)?;
    let mut not_compared = Vec::new();
    // A token for one config cannot tell of the others: those are not compared, unless somebody wants them.
    if args.environments.is_empty() && !found.is_empty() {
        let others = refused
            .extract_if(.., |(_, outcome)| matches!(outcome, Outcome::WrongScope { is_tokens: true, .. }));
        not_compared = others.map(|(environment, _)| environment.name()).collect();
        if !not_compared.is_empty() {
            let only: Vec<&str> = found.keys().map(|environment| environment.name()).collect();
            let note = format!(
                "not compared: {}; what is asked with gives {} only",
                not_compared.join(", "),
                only.join(", ")
            );
            context.screen.note(&note);
        }
    }
    let secrets = &repository.config.secrets;
    let drift = compare(secrets, &found);
    let project = secrets.project().unwrap_or_default();
    if args.json {
        let environments = found.keys().map(|environment| environment.name()).collect();
        let why = refused.iter().map(|(environment, outcome)| (environment.name(), outcome.name()));
        let (declared, drift, refused) = (secrets.names.len(), &drift, why.collect());
        let report = Report { project, environments, declared, drift, not_compared, refused };
        context.screen.data(&serde_json::to_string(&report)?);
    } else {
        show(context, secrets, &found, &drift);
    }
    if let Some((environment, outcome)) = refused.first() {
        return Err(mend(context, &repository, environment.name(), outcome).into());
    }
    let in_doppler: Vec<String> =
        found.iter().map(|(environment, names)| format!("{environment} {}", names.len())).collect();
    let fact = format!("{} declared; in Doppler's {project}: {}", secrets.names.len(), in_doppler.join(", "));
    if drift == Drift::default() {
        context.screen.done("secrets", &fact, None);
        return Ok(ExitCode::SUCCESS);
    }
    Err(differ(secrets, &drift, fact).into())
}

fn differ(secrets: &Secrets, drift: &Drift, fact: String) -> Failure {
    let project = secrets.project().unwrap_or_default();
    let names: BTreeSet<&String> = drift.missing.keys().chain(drift.undeclared.keys()).collect();
    let what = format!("xtask.toml and Doppler differ in {}", count(names.len(), "name"));
    let missing = drift.missing.iter();
    let missing = missing.flat_map(|(name, configs)| configs.iter().map(move |config| (name, *config)));
    let mut missing: Vec<(&String, &str)> = missing.collect();
    // What people are waiting for first.
    missing.sort_by_key(|(_, config)| Reverse(Environment::ALL.iter().position(|one| one.name() == *config)));
    let failure = Failure::new(Code::Drift, what).fact("found", fact);
    let failure = missing
        .iter()
        .take(SHOWN)
        .fold(failure, |failure, (name, config)| failure.next(set(name, project, config)));
    let failure = drift
        .undeclared
        .iter()
        .take(SHOWN)
        .fold(failure, |failure, (name, configs)| failure.next(declare(secrets, name, configs)));
    match drift.undeclared.keys().any(|name| Secrets::may_declare(name)) {
        true => failure.next("or remove it in Doppler"),
        false if drift.undeclared.is_empty() => failure.next("or change `in` of the name in xtask.toml"),
        false => failure,
    }
}

/// What to do about a name that is in Doppler alone: what would declare it as it is there.
fn declare(secrets: &Secrets, name: &str, configs: &[&str]) -> String {
    if secrets.names.contains_key(name) {
        return format!("in xtask.toml: {} into `in` of {name}", configs.join(", "));
    }
    if !Secrets::may_declare(name) {
        return format!("{name}: programs obey it, or it is no name: remove it in Doppler");
    }
    let within = match configs.len() == Environment::ALL.len() {
        true => String::new(),
        false => format!(", in = [\"{}\"]", configs.join("\", \"")),
    };
    format!("in xtask.toml: {name} = {{ about = \"…\"{within} }}")
}

/// Asks for all at once. Gives which environments were refused, too.
fn names(
    context: &Context,
    repository: &Repository,
    asked: &BTreeSet<Environment>,
) -> Result<(Found, Vec<(Environment, Outcome)>)> {
    let launcher = context.launcher(&repository.workspace.root)?;
    let (mut found, mut refused, mut waiting) = (Found::new(), Vec::new(), Vec::new());
    for environment in asked {
        match doppler(context, repository, environment.name()) {
            // A token for one config answers with its names, whatever config is asked for: so it is asked for that, too.
            Ok(config) => {
                waiting.push((*environment, config.names(&launcher)?, config.fetch(&launcher, Vec::new())?))
            }
            Err(outcome) => refused.push((*environment, outcome)),
        }
    }
    for (environment, names, scope) in waiting {
        // Why it was refused is found out once: each time costs as much as the question itself.
        let answer = match scope.finish(&launcher)? {
            Ok(_) => names.finish(&launcher)?,
            Err(outcome) => Err(outcome),
        };
        match answer {
            Ok(names) => drop(found.insert(environment, names)),
            Err(outcome) => refused.push((environment, outcome)),
        }
    }
    Ok((found, refused))
}

fn compare(secrets: &Secrets, found: &Found) -> Drift {
    let mut drift = Drift::default();
    let declared = secrets.names.keys().cloned();
    let names: BTreeSet<String> = declared.chain(found.values().flatten().cloned()).collect();
    for name in names {
        let of = secrets.names.get(&name).map(|declared| declared.get_ref());
        // Those are set by whoever runs the service.
        if of.is_some_and(|declared| declared.provided) {
            continue;
        }
        let belongs = |environment| of.is_some_and(|declared| declared.within.contains(environment));
        // In dev a default will do, and a setting need not be set.
        let has_default = of.is_some_and(|declared| declared.dev.is_some() || !declared.masked);
        let those = |wanted: bool, there: bool| -> Vec<&'static str> {
            let fits = found.iter().filter(|(environment, names)| {
                belongs(environment) == wanted && names.contains(&name) == there
            });
            fits.map(|(environment, _)| environment.name()).collect()
        };
        let (mut missing, undeclared) = (those(true, false), those(false, true));
        missing.retain(|environment| *environment != Environment::Dev.name() || !has_default);
        let there = [those(true, true), undeclared.clone()].concat();
        if missing.is_empty() && undeclared.is_empty() {
            continue;
        }
        if !there.is_empty() && there.len() < found.len() {
            drift.only_in_some.insert(name.clone(), there);
        }
        if !missing.is_empty() {
            drift.missing.insert(name.clone(), missing);
        }
        if !undeclared.is_empty() {
            drift.undeclared.insert(name, undeclared);
        }
    }
    drift
}

/// A line for each name that drifts: where it is, and where it should be.
fn show(context: &Context, secrets: &Secrets, found: &Found, drift: &Drift) {
    let names: BTreeSet<&String> = drift.missing.keys().chain(drift.undeclared.keys()).collect();
    let Some(width) = names.iter().map(|name| name.len().clamp(20, 40)).max() else { return };
    let head: String = found.keys().map(|environment| format!("  {environment}")).collect();
    context.screen.line(&format!("    {:width$}{head}", ""));
    for name in names {
        let is = |drifting: &BTreeMap<String, Vec<&str>>, environment: &Environment| {
            drifting.get(name).is_some_and(|environments| environments.contains(&environment.name()))
        };
        let marks = found.iter().map(|(environment, names)| match names.contains(name) {
            true if is(&drift.undeclared, environment) => "  +  ",
            true => "  ✓  ",
            false if is(&drift.missing, environment) => "  ✗  ",
            false => "  ·  ",
        });
        let mut facts = Vec::new();
        if let Some(missing) = drift.missing.get(name) {
            let about = secrets.names.get(name).map(|declared| declared.get_ref().about.as_str());
            facts.push(format!("missing in {}: {}", missing.join(", "), about.unwrap_or_default()));
        }
        if let Some(undeclared) = drift.undeclared.get(name) {
            let only = if drift.only_in_some.contains_key(name) { ", only there" } else { "" };
            facts.push(format!("not declared for {}{only}", undeclared.join(", ")));
        }
        let line = format!("✗ {name:width$}{}  {}", marks.collect::<String>(), facts.join("; "));
        context.screen.line(&format!("  {}", context.screen.marked(&line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_difference_is_named_once() -> Result<()> {
        let text = r#"
            [service]
            name = "links"
            [secrets.names]
            DATABASE_URL = { about = "", provided = true }
            EDIT_TOKEN = { about = "" }
            LOG_LEVEL = { about = "", in = ["dev"], dev = "info" }
            MAIL_KEY = { about = "", in = ["stg", "prd"] }
        "#;
        let secrets = Config::parse(text)?.secrets;
        let found = |dev: &[&str], stg: &[&str], prd: &[&str]| -> Found {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            Environment::ALL.into_iter().zip([names(dev), names(stg), names(prd)]).collect()
        };
        let both = ["EDIT_TOKEN", "MAIL_KEY"];
        assert_eq!(compare(&secrets, &found(&["EDIT_TOKEN"], &both, &both)), Drift::default());
        let drift = compare(
            &secrets,
            &found(&["EDIT_TOKEN", "MAIL_KEY", "OLD"], &["MAIL_KEY", "DATABASE_URL"], &both),
        );
        assert_eq!(drift.missing, BTreeMap::from([("EDIT_TOKEN".to_owned(), vec!["stg"])]));
        assert_eq!(
            drift.undeclared,
            BTreeMap::from([("MAIL_KEY".to_owned(), vec!["dev"]), ("OLD".to_owned(), vec!["dev"])])
        );
        assert_eq!(
            drift.only_in_some,
            BTreeMap::from([("EDIT_TOKEN".to_owned(), vec!["dev", "prd"]), ("OLD".to_owned(), vec!["dev"])])
        );
        Ok(())
    }
}
