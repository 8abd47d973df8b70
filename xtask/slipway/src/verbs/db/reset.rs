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
        context.screen.done(
            "reset",
            &format!("would drop and make again the database {name} in {data}"),
            None,
        );
        return Ok(ExitCode::SUCCESS);
    }
    context.confirm(&format!("Drop the development database {name} and all that is in it?"))?;
    // The old database goes when the new one is whole: what does not build, migrate or load costs no data.
    let built = super::build(context, &repository, &launcher)?;
    let started = Instant::now();
    let cluster = super::open(context, &repository, &launcher)?;
    let psql = cluster.psql(&launcher);
    let fresh = format!("{name}_new");
    psql.drop(&fresh)?;
    psql.create(&fresh)?;
    let (report, loaded) = super::migrate_and_load(&repository, &launcher, &cluster, &fresh, &built.binary)?;
    psql.drop(name)?;
    psql.rename(&fresh, name)?;
    let demo = if loaded { ", demo data loaded" } else { "" };
    let fact = format!("{name} is new: {}{demo}", count(report.applied.len(), "migration"));
    context.screen.done("reset", &fact, Some(started.elapsed()));
    Ok(ExitCode::SUCCESS)
}
