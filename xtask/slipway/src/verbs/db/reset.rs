//! `db reset`: a fresh development database.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use super::replace::replace;
use crate::context::{Context, Repository};
use crate::migrations;
use crate::output::count;
use crate::postgres::{Cluster, identifier, literal};
use crate::process::Launcher;

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
    let cluster = super::open(context, &repository, &launcher)?;
    let started = Instant::now();
    let loaded = replace(&launcher, &cluster, name, |fresh| {
        migrated(context, &repository, &launcher, &cluster, fresh)?;
        super::load_demo_once(&repository, &launcher, &cluster, fresh)
    })?;
    let demo = if loaded { ", demo data loaded" } else { "" };
    let files = migrations::files(&repository.migrations())?.len();
    let fact = format!("{name} is new: {}{demo}", count(files, "migration"));
    context.screen.done("reset", &fact, Some(started.elapsed()));
    Ok(ExitCode::SUCCESS)
}

/// Makes the database `fresh` with all migrations. The first time the service applies them, and a copy is kept:
/// until a migration changes, the next reset copies that, and builds nothing.
fn migrated(
    context: &Context,
    repository: &Repository,
    launcher: &Launcher<'_>,
    cluster: &Cluster,
    fresh: &str,
) -> Result<()> {
    let folder = repository.migrations();
    let kept = format!("{}.migrated-", repository.name());
    let template = format!("{kept}{}", migrations::hash(&folder)?);
    let copy =
        |from: &str, to: &str| format!("create database {} template {}", identifier(to), identifier(from));
    if cluster.comment(&template)?.is_some() {
        return cluster.admin()?.query(&copy(&template, fresh)).map(drop);
    }
    let built = super::build(context, repository, launcher)?;
    cluster.create(fresh)?;
    migrations::apply(launcher, &built.binary, &cluster.url(fresh), &folder)?;
    let mut admin = cluster.admin()?;
    let old = admin
        .query(&format!("select datname from pg_database where starts_with(datname, {})", literal(&kept)))?;
    old.iter().flatten().flatten().try_for_each(|old| cluster.drop(old))?;
    admin.query(&copy(fresh, &template)).map(drop)
}
