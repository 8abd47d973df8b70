//! `db migrate`: apply what is pending, with the service's own `migrate`; or try it on a copy of the database.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use super::status::standing;
use crate::context::{Context, Repository};
use crate::failure::Failure;
use crate::files::Lock;
use crate::migrations::{self, Report};
use crate::postgres::Cluster;
use crate::process::Launcher;

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask db migrate --dry-run")]
pub struct Args {
    /// List what is pending and try it on a copy of the database, which is dropped
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    if args.dry_run {
        return dry_run(context, &repository, &launcher);
    }
    let built = super::build(context, &repository, &launcher)?;
    let cluster = super::open(context, &repository, &launcher)?;
    let report = migrations::apply(
        &launcher,
        &built.binary,
        &cluster.url(repository.name()),
        &repository.migrations(),
    )?;
    for migration in &report.applied {
        context.screen.done("applied", &format!("{} {} ms", migration.name, migration.ms), None);
    }
    if report.applied.is_empty() {
        context.screen.done("migrations", "nothing was pending", None);
    }
    Ok(ExitCode::SUCCESS)
}

fn dry_run(context: &Context, repository: &Repository, launcher: &Launcher<'_>) -> Result<ExitCode> {
    let started = Instant::now();
    repository.workspace.prepare(&context.env)?;
    // Not `open`: that would make the database.
    let cluster = super::with_server(context, repository, launcher, &mut || {
        Cluster::join(launcher, context.plan(repository))
    })?;
    let standing = standing(repository, &cluster)?;
    for migration in &standing.pending {
        context.screen.data(&migration.file);
    }
    let mut fact = format!("{} pending, nothing applied", standing.pending.len());
    // What is not sound may be refused: the service says that better.
    if !standing.pending.is_empty() || !standing.is_sound() {
        let built = super::build(context, repository, launcher)?;
        let report = on_a_copy(repository, launcher, &cluster, &built.binary)?;
        for migration in &report.applied {
            context.screen.done("tried", &format!("{} {} ms", migration.name, migration.ms), None);
        }
        if !report.applied.is_empty() {
            fact += &format!(": a copy of {} took them", repository.name());
        }
    }
    context.screen.done("migrations", &fact, Some(started.elapsed()));
    Ok(ExitCode::SUCCESS)
}

/// Migrates a copy of the service's database, and drops it. The dot in its name says that it is ours.
fn on_a_copy(
    repository: &Repository,
    launcher: &Launcher<'_>,
    cluster: &Cluster,
    binary: &Path,
) -> Result<Report> {
    // Two callers at once: neither meets the other's copy.
    let _alone = Lock::exclusive(&cluster.folder().path().join("try-database.lock"))?;
    let (name, dump) = (repository.name(), repository.workspace.state.join("try.dump"));
    let copy = format!("{name}.try");
    // A killed run left its own.
    cluster.drop(&copy)?;
    let tried = copy_to(launcher, cluster, name, &copy, &dump)
        .and_then(|()| migrations::apply(launcher, binary, &cluster.url(&copy), &repository.migrations()));
    let dropped = cluster.drop(&copy);
    let report = tried.map_err(|error| match error.downcast::<Failure>() {
        Ok(failure) => {
            let what = format!("a copy of {name} was not migrated; {name} itself is as it was");
            Failure { what, ..failure }.into()
        }
        Err(error) => error,
    })?;
    dropped?;
    Ok(report)
}

/// Makes the database `copy` with what is in `name`, which need not exist. `create database … template` would be
/// quicker, and fails where anybody is connected.
fn copy_to(launcher: &Launcher<'_>, cluster: &Cluster, name: &str, copy: &str, dump: &Path) -> Result<()> {
    cluster.create(copy)?;
    if cluster.connect(name)?.is_none() {
        return Ok(());
    }
    let programs = cluster.programs(launcher);
    let copied = programs.dump(name, dump, false).and_then(|()| programs.restore(copy, dump));
    let _ = fs::remove_file(dump);
    copied
}
