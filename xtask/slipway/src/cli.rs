//! Every verb on one screen.

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::Color;
use crate::secrets::VALUES_VERB;
use crate::verbs::{ci, cluster, db, dev, doctor, exec, help, image, secrets, sync_actions, test};
use crate::workspace::Env;

/// Slipway's verbs.
#[derive(Subcommand)]
pub enum Verb {
    /// Run the service and its PostgreSQL
    Dev(dev::Args),
    /// Run the tests, each on a database of its own
    Test(test::Args),
    /// Its database: url, psql, status, migrate, new, reset, dump, restore …
    Db(db::Args),
    /// Run a program with its secrets; check the names, scan for leaks
    Secrets(secrets::Args),
    /// What CI runs: fmt, lint, test, actions, secrets, image
    Ci(ci::Args),
    /// Its image: build, load, inspect, verify, push; the same bytes anywhere
    Image(image::Args),
    /// Pull the shared workflows; status, keep, init, fleet
    SyncActions(Box<sync_actions::Args>),
    /// What is installed, what is missing, how to get it
    Doctor(doctor::Args),
    /// Show this overview, a verb's options, or the exit codes
    Help(help::Args),
    /// Between the tool and a long-lived child
    #[command(name = crate::process::EXEC_VERB, hide = true)]
    Exec(exec::Args),
    /// The keeper of a PostgreSQL cluster
    #[command(name = crate::postgres::KEEPER_VERB, hide = true)]
    Cluster(cluster::Args),
}

impl Verb {
    /// Does it. The exit code is the tool's.
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        match self {
            Verb::Dev(args) => dev::run(context, &args),
            Verb::Test(args) => test::run(context, &args),
            Verb::Db(args) => db::run(context, args),
            Verb::Secrets(args) => secrets::run(context, &args),
            Verb::Image(args) => image::run(context, &args),
            Verb::Ci(args) => ci::run(context, &args),
            Verb::SyncActions(args) => sync_actions::run(context, &args),
            Verb::Doctor(args) => doctor::run(context, &args),
            Verb::Help(args) => help::run(context, &args),
            Verb::Exec(args) => exec::run(&args),
            Verb::Cluster(args) => cluster::run(context, &args),
        }
    }
}

/// Options that every verb takes.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Options {
    /// Print each command that is run
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Answer yes to every question
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Never ask; fail and name the flag instead
    #[arg(long, global = true, conflicts_with = "yes")]
    pub no_input: bool,
    /// Where a missing PostgreSQL comes from, instead of a download
    // Of every verb: those of a repository's own need a server too (`Context::load_sql`), and so does `ci`.
    #[arg(long, global = true, value_enum, value_name = "HOW")]
    pub install: Option<Install>,
    /// Colour: NO_COLOR and CLICOLOR_FORCE are heeded too
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// How a missing server is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Install {
    /// With the system's package manager (apt, dnf, apk, pacman, zypper, brew); no system cluster is started
    System,
}

#[derive(Parser)]
struct Cli<V: Subcommand> {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    verb: V,
}

/// The whole program: reads the command line, runs the verb, shows its error. `run` gets the verb.
pub fn main<V: Subcommand>(run: impl FnOnce(V, &Context) -> Result<ExitCode>) -> ExitCode {
    let env = match Env::take() {
        Ok(env) => env,
        Err(error) => {
            crate::output::lost(&error);
            return ExitCode::FAILURE;
        }
    };
    // A child waits behind this one; the whole command line would cost it milliseconds.
    if env.args.get(1).is_some_and(|verb| verb == crate::process::EXEC_VERB) {
        return exec::run_at_once(&env);
    }
    // Doppler and whoever waits for the values wait behind this one.
    if env.args.get(1).is_some_and(|verb| verb == VALUES_VERB) {
        return secrets::values_at_once(&env);
    }
    let parsed = help::shape(Cli::<V>::command(), &env).try_get_matches_from(env.args.iter());
    let cli = match parsed.and_then(|matches| Cli::<V>::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and the version go to stdout with code 0, mistakes to stderr with 2.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let context = Context::new(env, cli.options, Cli::<V>::command);
    let code = run(cli.verb, &context).unwrap_or_else(|error| {
        context.screen.error(&error);
        ExitCode::from(error.downcast_ref::<Failure>().map_or(1, |failure| failure.code))
    });
    match context.screen.unwritten() {
        None => code,
        Some(error) => {
            context.screen.error(&anyhow::Error::new(error).context("stdout could not be written"));
            ExitCode::FAILURE
        }
    }
}
