//! `db new`: the file of a new migration.

use std::process::ExitCode;

use anyhow::Result;

use super::status::{join_running, standing};
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
    // Another branch may have been applied with a number that no file here has.
    let taken = match join_running(context, &repository)? {
        Some(cluster) => standing(&repository, &cluster)?.newest(),
        None => 0,
    };
    let path = migrations::create(&repository.migrations(), &args.name, taken)?;
    context.screen.data(&repository.workspace.relative(&path).display().to_string());
    Ok(ExitCode::SUCCESS)
}
