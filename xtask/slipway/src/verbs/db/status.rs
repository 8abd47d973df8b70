//! `db status`: what is there, without starting anything.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use xshell::cmd;

use crate::context::{Context, Repository};
use crate::migrations::{self, Finding, Migration, Row, Standing};
use crate::postgres::Cluster;
use crate::process::{Kind, Launcher};

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask db status --json")]
pub struct Args {
    /// For programs, on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let folder = repository.cluster_folder();
    let server = folder.server();
    let version = server.as_ref().map(|server| server.version.as_str());
    let cluster = join_running(context, &repository)?;
    let standing = cluster.as_ref().map(|cluster| standing(&repository, cluster)).transpose()?;
    let invalid = cluster.as_ref().map(|cluster| invalid_indexes(&repository, cluster)).transpose()?;
    let invalid = invalid.unwrap_or_default();
    let strays = migrations::strays(&repository.migrations());
    let url = cluster.as_ref().map(|cluster| cluster.url(repository.name()));
    drop(cluster);
    if args.json {
        let running = url.is_some();
        let names = |list: fn(&Standing) -> &Vec<Migration>| {
            standing.as_ref().map(|standing| list(standing).iter().map(|one| &one.file).collect::<Vec<_>>())
        };
        context.screen.data(
            &json!({
                "running": running, "in_use": running && Cluster::in_use(&folder)?, "version": version,
                "tcp": folder.tcp().filter(|_| running), "data": folder.data().display().to_string(), "url": url,
                "applied": names(|standing| &standing.applied), "pending": names(|standing| &standing.pending),
                "edited": names(|standing| &standing.edited),
                "out_of_order": names(|standing| &standing.out_of_order),
                "taken": names(|standing| &standing.taken),
                "other_branch": standing.as_ref().map(|standing| &standing.other_branch),
                "unfinished": standing.as_ref().map(|standing| &standing.unfinished),
                "invalid_indexes": invalid, "not_migrations": strays,
            })
            .to_string(),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let screen = &context.screen;
    let data = repository.workspace.relative(folder.path()).display().to_string();
    match (&url, version) {
        (Some(url), version) => {
            let tcp = folder.tcp().map(|port| format!(", also at 127.0.0.1:{port}")).unwrap_or_default();
            screen.done("postgres", &format!("{} is up{tcp}; {data}", version.unwrap_or("?")), None);
            screen.done("url", url, None);
        }
        (None, Some(version)) => {
            screen.done("postgres", &format!("{version} is down, data kept in {data}"), None);
        }
        (None, None) => screen.done("postgres", "no cluster yet: cargo xtask dev", None),
    }
    let versions = repository.config.postgres.versions.get_ref();
    if let Some(major) = folder.data_major().filter(|major| !versions.contains(major)) {
        let wanted = versions.join(", ");
        screen.failed("version", &format!("the data are of {major}, xtask.toml wants {wanted}"), None);
        next(context, "cargo xtask db upgrade-server");
    }
    if let Some(standing) = &standing {
        show(context, &repository, standing)?;
    }
    if !invalid.is_empty() {
        screen.failed("indexes", &format!("{} invalid: {}", invalid.len(), invalid.join(", ")), None);
        let drops = invalid.iter().map(|index| format!("drop index concurrently {index};"));
        next(context, &format!("{} and make what you need again", drops.collect::<Vec<_>>().join(" ")));
    }
    if !strays.is_empty() {
        screen.failed("ignored", &format!("{}: no number at the start", strays.join(", ")), None);
        next(context, "cargo xtask db new WHAT makes a file that will be applied");
    }
    Ok(ExitCode::SUCCESS)
}

/// Joins the server if one is up. Its short path is made again where /tmp was cleaned.
pub(super) fn join_running(context: &Context, repository: &Repository) -> Result<Option<Cluster>> {
    if repository.cluster_folder().data().is_dir() {
        repository.workspace.prepare(&context.env)?;
    }
    Cluster::join_running(context.plan(repository))
}

/// How the files and the database, which need not exist yet, stand to each other.
pub(in crate::verbs) fn standing(repository: &Repository, cluster: &Cluster) -> Result<Standing> {
    let folder = repository.migrations();
    let files = migrations::files(&folder)?;
    let mut rows = Vec::new();
    if let Some(mut database) = cluster.connect(repository.name())?
        && database.value(migrations::TABLE_EXISTS)?.as_deref() == Some("t")
    {
        rows = database.query(migrations::ROWS)?.iter().filter_map(|row| Row::read(row)).collect();
    }
    Standing::of(files, &folder, &rows)
}

/// What of them does not agree, and the way out.
pub(in crate::verbs) fn findings(
    repository: &Repository,
    launcher: &Launcher<'_>,
    standing: &Standing,
) -> Vec<Finding> {
    let is_committed =
        |file: &str| launcher.read(cmd!(launcher.shell, "git cat-file -e HEAD:./{file}"), Kind::Tool).is_ok();
    standing.findings(&repository.migrations_typed(), is_committed)
}

fn invalid_indexes(repository: &Repository, cluster: &Cluster) -> Result<Vec<String>> {
    let Some(mut database) = cluster.connect(repository.name())? else { return Ok(Vec::new()) };
    Ok(database.query(migrations::INVALID_INDEXES)?.into_iter().flatten().flatten().collect())
}

/// What is pending, what does not agree, and the way out.
fn show(context: &Context, repository: &Repository, standing: &Standing) -> Result<()> {
    let screen = &context.screen;
    let pending: Vec<&str> = standing.pending.iter().map(|one| one.file.as_str()).collect();
    if !pending.is_empty() {
        screen.failed("migrations", &format!("{} pending: {}", pending.len(), pending.join(", ")), None);
        next(context, "cargo xtask db migrate");
    }
    let launcher = context.launcher(&repository.workspace.root)?;
    for Finding { state, files, ways, .. } in findings(repository, &launcher, standing) {
        screen.failed("migrations", &format!("{} {state}: {}", files.len(), files.join(", ")), None);
        ways.iter().for_each(|way| next(context, way));
    }
    if standing.is_sound() && standing.pending.is_empty() {
        screen.done("migrations", &format!("{} applied, none pending", standing.applied.len()), None);
    }
    Ok(())
}

fn next(context: &Context, way: &str) {
    context.screen.line(&format!("    next      {way}"));
}
