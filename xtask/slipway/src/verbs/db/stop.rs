//! `db stop`: stop the server now.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::postgres::Cluster;

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask db stop")]
pub struct Args {
    /// Also while something uses it
    #[arg(long)]
    force: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let folder = repository.cluster_folder();
    if !args.force && Cluster::is_up(&folder)? && Cluster::in_use(&folder)? {
        return Err(Failure::new(Code::Failed, "the server is in use")
            .why("a `dev`, `db psql` or another verb of this worktree runs; the server stops with the last of them")
            .next("cargo xtask db stop --force")
            .into());
    }
    let started = Instant::now();
    match Cluster::stop(&folder)? {
        true => context.screen.done("postgres", "stopped, data kept", Some(started.elapsed())),
        false => context.screen.done("postgres", "was not up", None),
    }
    Ok(ExitCode::SUCCESS)
}
