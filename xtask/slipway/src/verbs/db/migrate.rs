//! `db migrate`: apply what is pending, with the service's own `migrate`.

use std::process::ExitCode;

use anyhow::Result;

use super::status::pending;
use crate::context::Context;
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
    let launcher = context.launcher(&repository.workspace.root)?;
    let screen = &context.screen;
    if args.dry_run {
        let pending = pending(context, &repository, &launcher)?;
        for migration in &pending {
            screen.data(&migration.file);
        }
        screen.done("migrations", &format!("{} pending, nothing applied", pending.len()), None);
        return Ok(ExitCode::SUCCESS);
    }
    let built = super::build(context, &repository, &launcher)?;
    let development = super::open(context, &repository, &launcher)?;
    let report = migrations::apply(&launcher, &built.binary, &development.cluster.url(repository.name()))?;
    for migration in &report.applied {
        screen.done("applied", &format!("{} {} ms", migration.name, migration.ms), None);
    }
    if report.applied.is_empty() {
        screen.done("migrations", "nothing was pending", None);
    }
    Ok(ExitCode::SUCCESS)
}
