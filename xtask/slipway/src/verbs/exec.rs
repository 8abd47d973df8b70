//! `__exec`: between the tool and a long-lived child, so that the child does not outlive the tool.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::process;

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
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let (program, rest) = args.command.split_first().context("no program")?;
    let code = match args.signal {
        Some(signal) if !args.group => process::exec_on_leash(args.parent, signal, program, rest)?,
        _ => process::exec_in_group(args.parent, program, rest)?,
    };
    Ok(ExitCode::from(code))
}
