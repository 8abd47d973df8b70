//! `secrets run`: a program with the declared values, and with nothing else of our environment but a short list.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use xshell::cmd;

use super::github;
use super::output::Outputs;
use super::values::{Given, ask};
use crate::config::Environment;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::process::{Kind, runnable};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask secrets run -- printenv LOG_LEVEL\n  \
                  cargo xtask secrets run --env prd -- ./smoke-test\n  \
                  cargo xtask secrets run -- sh -c './export | ./upload'\n\n\
                  The program gets what xtask.toml declares for that environment, PATH, HOME and the like,\n\
                  and nothing else: never DOPPLER_TOKEN. Its exit code is passed on; not found is 127,\n\
                  not executable 126, a signal 128+n. Output that is piped, or in CI, is masked.")]
pub struct Args {
    /// Whose values: dev, stg or prd
    #[arg(long, value_enum, default_value_t, value_name = "ENV")]
    env: Environment,
    /// Do not ask Doppler: the development defaults
    #[arg(long)]
    local: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    if args.local && args.env != Environment::Dev {
        return Err(no_defaults(args.env).into());
    }
    let (program, rest) = args.command.split_first().context("no program")?;
    runnable(program, context.env.given_os("PATH"), &context.env.cwd)?;
    let repository = context.repository()?;
    let launcher = context.launcher(&context.env.cwd)?;
    let asking = ask(context, &repository, &launcher, args.env, args.local)?;
    let given = asking.finish(context, &repository, &launcher)?;
    let outputs = Outputs::new(context, &given.values)?;
    report(context, args.env, &given, &outputs);
    github::tell(context, &given.values);

    let command = cmd!(launcher.shell, "{program} {rest...}").envs(&given.values.values);
    let masked = &given.values.masked;
    if outputs.are_all_the_programs() {
        return Err(launcher.replace_us(command, Kind::Program, masked));
    }
    let (streams, pipes) = outputs.open()?;
    // First, so that a machine that has no threads left ends no program.
    let pumps = pipes.into_iter().map(|pipe| outputs.pump(pipe)).collect::<Result<Vec<_>>>()?;
    let running = launcher.start_in_place(command, Kind::Program, masked, streams)?;
    let name = Path::new(program).file_name().unwrap_or(program).display().to_string();
    let code = running.wait(
        || pumps.iter().all(JoinHandle::is_finished),
        || {
            let said = format!("{name} has ended; what it started still writes. ctrl-c ends this");
            context.screen.warn("output", &said);
        },
    )?;
    let failed = pumps.into_iter().filter(JoinHandle::is_finished);
    if let Some(error) = failed.filter_map(|pump| pump.join().ok().flatten()).next() {
        context.screen.warn("output", &format!("could not be written whole: {error}"));
        // The program could not know.
        return Ok(ExitCode::from(code.max(1)));
    }
    Ok(ExitCode::from(code))
}

fn no_defaults(environment: Environment) -> Failure {
    Failure::new(
        Code::Usage,
        format!("--local has no values for {environment}: the defaults are of dev alone"),
    )
    .next(format!("without --local: the values of {environment} come from Doppler"))
}

/// One line: how many, from where, and what of them output can show.
fn report(context: &Context, environment: Environment, given: &Given, outputs: &Outputs) {
    context.screen.done("secrets", &format!("{}{}", given.said(), outputs.said()), None);
    let notes = given.notes(context, environment == Environment::Dev);
    notes.iter().for_each(|note| context.screen.note(note));
}
