//! What to do about each way in which Doppler gives no values.

use crate::config::Environment;
use crate::context::{Context, Repository};
use crate::failure::{Code, Failure};
use crate::secrets::Outcome;

/// How many commands are shown for names that are missing.
pub const SHOWN: usize = 4;

/// The command that sets a name in Doppler: it asks for the value, and `--silent` keeps it from showing that again.
pub fn set(name: &str, project: &str, config: &str) -> String {
    format!("doppler secrets set {name} --silent --project {project} --config {config}")
}

/// An outcome as an error. In dev it names the way on without Doppler.
pub fn refuse(
    context: &Context,
    repository: &Repository,
    environment: Environment,
    outcome: &Outcome,
) -> Failure {
    let failure = mend(context, repository, environment.name(), outcome);
    let failure = match (environment, outcome) {
        (Environment::Dev, Outcome::NotInstalled) => {
            failure.why("DOPPLER_TOKEN is set: then no defaults are taken").next("or unset DOPPLER_TOKEN")
        }
        (Environment::Dev, Outcome::NamesMissing(_)) => failure.next("or a default there: dev = \"…\""),
        _ => failure,
    };
    match environment == Environment::Dev {
        true => failure.next(format!("{}      the development defaults", context.env.typed(&["--local"]))),
        false => failure,
    }
}

/// An outcome as an error, with what mends it.
pub fn mend(context: &Context, repository: &Repository, config: &str, outcome: &Outcome) -> Failure {
    let project = repository.config.secrets.project().unwrap_or("?");
    let scope = format!("{project}/{config}");
    let token = context.env.given("DOPPLER_TOKEN");
    let is_empty = token.is_some_and(|token| token.trim().is_empty());
    match outcome {
        Outcome::NotInstalled => {
            let what = format!("doppler is not installed, and only it has the values of {scope}");
            let failure = Failure::new(Code::Missing, what);
            failure.next("install it (https://docs.doppler.com/docs/install-cli), then: doppler login")
        }
        Outcome::NotLoggedIn => Failure::new(Code::Denied, format!("not logged in to Doppler, for {scope}"))
            .next(match token {
                Some(_) if is_empty => {
                    "DOPPLER_TOKEN is set, and empty: put a token there; or unset it, and: doppler login"
                }
                _ => "doppler login      in CI: a service token in DOPPLER_TOKEN",
            }),
        Outcome::NotSetUp if repository.config.secrets.project.is_none() => {
            let name = repository.name();
            Failure::new(Code::Usage, "xtask.toml names no project in Doppler")
                .next(format!("in xtask.toml, [secrets]: project = \"{name}\""))
        }
        Outcome::NotSetUp => Failure::new(
            Code::Denied,
            format!("Doppler is not set up here: this login does not know {scope}"),
        )
        .next("doppler login      as somebody who may read it")
        .next(format!("doppler setup --project {project} --config {config}")),
        Outcome::WrongScope { why, is_tokens } => {
            let other =
                "another project in xtask.toml [secrets]; its configs are called dev, stg and prd".to_owned();
            let mends = match token {
                Some(_) if *is_tokens => {
                    [format!("a token for {scope} in DOPPLER_TOKEN; or unset it, and: doppler login"), other]
                }
                _ => [other, format!("or doppler login      as somebody who may read {scope}")],
            };
            let failure = Failure::new(Code::Denied, format!("Doppler does not give {scope}")).why(why);
            mends.into_iter().fold(failure, Failure::next)
        }
        Outcome::Revoked(why) => Failure::new(
            Code::Denied,
            "Doppler does not take the token: revoked or wrong",
        )
        .why(why)
        .next(match token {
            Some(_) => "it is the one in DOPPLER_TOKEN: another one there; or unset it, and: doppler login",
            None => "doppler login",
        }),
        Outcome::NoAccess(why) => Failure::new(Code::Denied, format!("no access to {scope} in Doppler"))
            .why(why)
            .next(format!("ask who runs Doppler for read access to {scope}; who you are: doppler me")),
        Outcome::Unreachable(why) => Failure::new(Code::Unreachable, "Doppler cannot be reached")
            .why(why)
            .next("try again; whether Doppler itself is down: https://www.dopplerstatus.com"),
        Outcome::NamesMissing(names) => {
            let what = format!("declared, and not in {scope}: {}", names.join(", "));
            let names = names.iter().filter_map(|name| name.split(' ').next()).take(SHOWN);
            let failure = names.fold(Failure::new(Code::Drift, what), |failure, name| {
                failure.next(set(name, project, config))
            });
            failure
                .next("or change [secrets.names] in xtask.toml; all environments: cargo xtask secrets check")
        }
    }
}
