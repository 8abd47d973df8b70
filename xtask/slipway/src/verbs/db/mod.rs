//! `db`: the development database of this worktree. Never any other: the address is not an argument.

mod dump;
mod migrate;
mod new;
mod psql;
mod replace;
mod reset;
mod restore;
mod server;
mod start;
mod status;
mod stop;
mod upgrade_server;
mod url;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

pub use self::server::downloads;
pub(super) use self::server::with_server;
pub(super) use self::status::{findings, standing};

use crate::cargo::{Build, Built};
use crate::context::{Context, Repository};
use crate::failure::{Code, Failure};
use crate::files::Lock;
use crate::migrations;
use crate::postgres::{Cluster, Plan, identifier, literal};
use crate::process::Launcher;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask db psql\n  cargo xtask db new add_notes\n  psql \"$(cargo xtask db url)\""
)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Print the URL on stdout, starting the server if need be
    #[command(after_help = "Example: psql \"$(cargo xtask db url)\"")]
    Url,
    /// Open psql
    Psql(psql::Args),
    /// Whether the server is up, and which migrations are pending
    Status(status::Args),
    /// Apply pending migrations
    Migrate(migrate::Args),
    /// Make the file of a new migration
    New(new::Args),
    /// Drop the database; make, migrate and fill it again
    Reset(reset::Args),
    /// Write the database to a file
    Dump(dump::Args),
    /// Replace the database by what is in a file
    Restore(restore::Args),
    /// Start the server and leave it up, also for graphical clients (--tcp)
    Start(start::Args),
    /// Stop the server now
    Stop(stop::Args),
    /// Print the commands that move the data to another major version
    UpgradeServer(upgrade_server::Args),
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode> {
    match args.verb {
        Verb::Url => url::run(context),
        Verb::Psql(args) => psql::run(context, &args),
        Verb::Status(args) => status::run(context, &args),
        Verb::Migrate(args) => migrate::run(context, &args),
        Verb::New(args) => new::run(context, &args),
        Verb::Reset(args) => reset::run(context, &args),
        Verb::Dump(args) => dump::run(context, &args),
        Verb::Restore(args) => restore::run(context, &args),
        Verb::Start(args) => start::run(context, &args),
        Verb::Stop(args) => stop::run(context, &args),
        Verb::UpgradeServer(args) => upgrade_server::run(context, &args),
    }
}

/// The comment of a database whose demo data are in it: written in the transaction that loads them, and gone
/// with the database, so it cannot be wrong. A database with any other comment gets no demo data either.
const LOADED: &str = "demo data loaded";

/// How often a server is started again that was killed just as it was joined.
const TRIES: usize = 5;

/// Joins the development server, or starts it, and makes the database unless it is there.
pub(super) fn open(context: &Context, repository: &Repository, launcher: &Launcher<'_>) -> Result<Cluster> {
    open_listening(context, repository, launcher, None)
}

/// [`open`]; a server that starts listens on a port of 127.0.0.1 as well.
fn open_listening(
    context: &Context,
    repository: &Repository,
    launcher: &Launcher<'_>,
    tcp: Option<u16>,
) -> Result<Cluster> {
    repository.workspace.prepare(&context.env)?;
    for _ in 0..TRIES {
        let cluster = with_server(context, repository, launcher, &mut || {
            Cluster::join(launcher, Plan { tcp, ..context.plan(repository) })
        })?;
        match cluster.ensure(repository.name()) {
            Ok(()) => {
                repository.workspace.tell_url(&cluster.url(repository.name()))?;
                return Ok(cluster);
            }
            // One that was lost under us may be up again already: a running `dev` sees to that.
            Err(error) if !cluster.is_dying()? && !error.is::<std::io::Error>() => return Err(error),
            Err(_) => {}
        }
    }
    Err(Failure::new(Code::Failed, format!("PostgreSQL died {TRIES} times in a row"))
        .why("something kills it, or its keeper: an out-of-memory killer, perhaps")
        .next(format!("tail {}", repository.cluster_folder().log().display()))
        .into())
}

/// Builds the service.
pub(super) fn build(context: &Context, repository: &Repository, launcher: &Launcher<'_>) -> Result<Built> {
    let build = Build::start(launcher, repository.name(), context.screen.color())?;
    let built = build.finish(launcher)?;
    report_build(context, &built);
    Ok(built)
}

/// Shows what a build did, unless everything was fresh.
pub(super) fn report_build(context: &Context, built: &Built) {
    if !built.warnings.is_empty() {
        context.screen.line(&built.warnings);
    }
    if built.crates > 0 {
        context.screen.done("build", &crate::output::count(built.crates, "crate"), Some(built.took));
    }
}

/// Loads the demo data into `database`, the service's or one that is to become it, unless they are there or it was
/// filled otherwise. Gives whether it did.
pub(super) fn load_demo_once(
    repository: &Repository,
    launcher: &Launcher<'_>,
    cluster: &Cluster,
    database: &str,
) -> Result<bool> {
    let Some(demo) = &repository.config.dev.demo_data else { return Ok(false) };
    // Two callers at once: the second one sees what the first has loaded.
    let _lock = Lock::exclusive(&cluster.folder().path().join("demo-data.lock"))?;
    if cluster.comment(database)?.is_some_and(|comment| !comment.is_empty()) {
        return Ok(false);
    }
    load_demo(launcher, cluster, database, &repository.workspace.root.join(demo.get_ref()))?;
    Ok(true)
}

fn load_demo(launcher: &Launcher<'_>, cluster: &Cluster, database: &str, file: &Path) -> Result<()> {
    if !file.is_file() {
        return Err(Failure::new(Code::Usage, format!("no demo data at {}", file.display()))
            .why("`demo-data` in xtask.toml [dev] names a file that is not there")
            .next("write that file, or remove `demo-data`")
            .into());
    }
    let mark = format!("comment on database {} is {}", identifier(database), literal(LOADED));
    cluster.programs(launcher).load(database, file, &mark)
}

/// Loads an SQL file below the root.
pub fn load(context: &Context, path: &str) -> Result<ExitCode> {
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    let started = std::time::Instant::now();
    let cluster = open(context, &repository, &launcher)?;
    let built = build(context, &repository, &launcher)?;
    migrations::apply(&launcher, &built.binary, &cluster.url(repository.name()), &repository.migrations())?;
    load_demo(&launcher, &cluster, repository.name(), &repository.workspace.root.join(path))?;
    context.screen.done("loaded", path, Some(started.elapsed()));
    Ok(ExitCode::SUCCESS)
}
