//! `db new`: the file of a new migration.

use std::process::ExitCode;

use anyhow::Result;

use crate::context::Context;
use crate::migrations;

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask db new add_notes")]
pub struct Args {
    /// What it does, in a few words
    name: String,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let path = migrations::create(&repository.migrations(), &args.name)?;
    context.screen.data(&repository.workspace.relative(&path).display().to_string());
    Ok(ExitCode::SUCCESS)
}
