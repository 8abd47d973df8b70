//! `db migrate`: apply what is pending, with the service's own `migrate`.

use std::process::ExitCode;

use anyhow::Result;

use super::status::{join_running, standing};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::migrations;

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask db migrate --dry-run")]
pub struct Args {
    /// List what is pending, apply nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let screen = &context.screen;
    if args.dry_run {
        let pending = match join_running(context, &repository)? {
            Some(cluster) => standing(&repository, &cluster)?.pending,
            // A dry run starts no server; a cluster that is down is as the last run left it.
            None if repository.cluster_folder().data().is_dir() => {
                return Err(Failure::new(
                    Code::Failed,
                    "the server is down, so nobody knows what is pending",
                )
                .next("cargo xtask db url, and then the same command")
                .into());
            }
            None => migrations::files(&repository.migrations())?,
        };
        for migration in &pending {
            screen.data(&migration.file);
        }
        screen.done("migrations", &format!("{} pending, nothing applied", pending.len()), None);
        return Ok(ExitCode::SUCCESS);
    }
    let launcher = context.launcher(&repository.workspace.root)?;
    let built = super::build(context, &repository, &launcher)?;
    let cluster = super::open(context, &repository, &launcher)?;
    let report = migrations::apply(
        &launcher,
        &built.binary,
        &cluster.url(repository.name()),
        &repository.migrations(),
    )?;
    for migration in &report.applied {
        screen.done("applied", &format!("{} {} ms", migration.name, migration.ms), None);
    }
    if report.applied.is_empty() {
        screen.done("migrations", "nothing was pending", None);
    }
    Ok(ExitCode::SUCCESS)
}
