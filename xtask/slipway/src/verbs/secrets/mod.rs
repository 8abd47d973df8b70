//! `secrets`: values at run time, from Doppler, for who needs them and nobody else.
//!
//! ```text
//! values    whose values a run gets, for `run`, `dev` and whatever else starts the service
//! run       a program with them
//! check     the names in xtask.toml beside those in Doppler
//! scan      where secrets are that should not be
//! output    whether what a program prints is masked on its way
//! github    what GitHub's runner is told to mask
//! refusal   what to do about each way in which Doppler gives nothing
//! ```

mod check;
mod github;
mod output;
mod refusal;
mod run;
pub(crate) mod scan;
mod values;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

pub use self::values::{Given, ask};
use crate::context::Context;
use crate::secrets::write_values;
use crate::workspace::Env;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask secrets run -- printenv LOG_LEVEL\n  \
                  cargo xtask secrets run --env stg -- ./smoke-test\n  \
                  cargo xtask secrets check\n  cargo xtask secrets scan --home\nMore: docs/secrets.md")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a program with the declared values, and nothing else of this environment
    Run(run::Args),
    /// Compare the names in xtask.toml with those in Doppler; values are not asked for
    Check(check::Args),
    /// Find secrets in files: here, in the index, in all of the history
    Scan(scan::Args),
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    match &args.verb {
        Verb::Run(args) => run::run(context, args),
        Verb::Check(args) => check::run(context, args),
        Verb::Scan(args) => scan::run(context, args),
    }
}

/// `__env NAME…`: what `doppler run` gave this process, handed back to the one that waits for it.
pub fn values_at_once(env: &Env) -> ExitCode {
    let names: Vec<&str> = env.args.iter().skip(2).filter_map(|name| name.to_str()).collect();
    crate::output::hand_over(&write_values(&names, |name| env.given(name)))
}
