//! `db status`: what is there, without starting anything.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::context::{Context, Repository};
use crate::migrations::{self, Migration};
use crate::postgres::Cluster;
use crate::process::Launcher;

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask db status --json")]
pub struct Args {
    /// For programs, on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    let folder = repository.cluster_folder();
    let server = folder.server();
    let version = server.as_ref().map(|server| server.version.as_str());
    let joined = Cluster::join_running(context.plan(&repository))?;
    let running = joined.is_some();
    let pending = joined.map(|cluster| pending(&repository, &launcher, &cluster)).transpose()?;
    let url = if running { Some(context.plan(&repository).url(repository.name())) } else { None };
    if args.json {
        let names = pending.as_ref().map(|pending| pending.iter().map(|one| &one.file).collect::<Vec<_>>());
        context.screen.data(
            &json!({
                "running": running, "in_use": running && Cluster::in_use(&folder)?, "version": version,
                "data": folder.data(), "url": url, "pending": names,
            })
            .to_string(),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let screen = &context.screen;
    let data = repository.workspace.relative(folder.path()).display().to_string();
    match (running, version) {
        (true, version) => {
            screen.done("postgres", &format!("{} is up; {data}", version.unwrap_or("?")), None)
        }
        (false, Some(version)) => {
            screen.done("postgres", &format!("{version} is down, data kept in {data}"), None)
        }
        (false, None) => screen.done("postgres", "no cluster yet: cargo xtask dev", None),
    }
    if let Some(url) = url {
        screen.done("url", &url, None);
    }
    match pending.as_deref() {
        None => {}
        Some([]) => screen.done("migrations", "none pending", None),
        Some(pending) => {
            let names: Vec<&str> = pending.iter().map(|one| one.file.as_str()).collect();
            screen.failed("migrations", &format!("{} pending: {}", names.len(), names.join(", ")), None);
            screen.line("    next      cargo xtask db migrate");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The migrations that have a file and are not in the database, which need not exist yet.
pub(super) fn pending(
    repository: &Repository,
    launcher: &Launcher<'_>,
    cluster: &Cluster,
) -> Result<Vec<Migration>> {
    let psql = cluster.psql(launcher);
    let mut files = migrations::files(&repository.migrations())?;
    if psql.comment(repository.name())?.is_some()
        && psql.query(repository.name(), migrations::TABLE_EXISTS)? == "t"
    {
        let applied = psql.query(repository.name(), migrations::APPLIED)?;
        let applied: Vec<i64> = applied.lines().filter_map(|line| line.parse().ok()).collect();
        files.retain(|migration| !applied.contains(&migration.version));
    }
    Ok(files)
}
