//! `__exec`: between the tool and a long-lived child, so that the child does not outlive the tool.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::failure::{Code, Failure};
use crate::process;
use crate::workspace::Env;

#[derive(clap::Parser)]
struct Alone {
    #[command(flatten)]
    args: Args,
}

/// Does it without the command line of all verbs, for which a child would wait.
pub fn run_at_once(env: &Env) -> ExitCode {
    let alone = match Alone::try_parse_from(env.args.iter().skip(1)) {
        Ok(alone) => alone,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(Code::Usage as u8);
        }
    };
    run(&alone.args).unwrap_or_else(|error| {
        crate::output::lost(&error);
        ExitCode::from(error.downcast_ref::<Failure>().map_or(1, |failure| failure.code))
    })
}

#[derive(clap::Args)]
pub struct Args {
    /// The process that must be alive
    #[arg(long)]
    parent: u32,
    /// The signal that the child gets when that process dies
    #[arg(long, required_unless_present = "group")]
    signal: Option<i32>,
    /// Stay, and end the child's whole group instead
    #[arg(long)]
    group: bool,
    /// Fail with a shell's codes
    #[arg(long)]
    placed: bool,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let (program, rest) = args.command.split_first().context("no program")?;
    let code = match args.signal {
        Some(signal) if !args.group => {
            process::exec_on_leash(args.parent, signal, args.placed, program, rest)?
        }
        _ => process::exec_in_group(args.parent, program, rest)?,
    };
    Ok(ExitCode::from(code))
}
