//! `db reset`: a fresh development database.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::context::Context;
use crate::output::count;

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask db reset --yes")]
pub struct Args {
    /// Say what would be lost, change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    let name = repository.name();
    if args.dry_run {
        let folder = repository.cluster_folder();
        let data = repository.workspace.relative(folder.path()).display().to_string();
        context.screen.done("reset", &format!("would drop and make again the database {name} in {data}"), None);
        return Ok(ExitCode::SUCCESS);
    }
    context.confirm(&format!("Drop the development database {name} and all that is in it?"))?;
    // What does not build must not cost the data.
    let built = super::build(context, &repository, &launcher)?;
    let started = Instant::now();
    let mut development = super::open(context, &repository, &launcher)?;
    let psql = development.cluster.psql(&launcher);
    psql.drop(name)?;
    psql.create(name)?;
    development.loaded = false;
    let (report, loaded) = super::migrate_and_load(&repository, &launcher, &development, &built.binary)?;
    let demo = if loaded { ", demo data loaded" } else { "" };
    let fact = format!("{name} is new: {}{demo}", count(report.applied.len(), "migration"));
    context.screen.done("reset", &fact, Some(started.elapsed()));
    Ok(ExitCode::SUCCESS)
}
