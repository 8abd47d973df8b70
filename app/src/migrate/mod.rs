//! Brings the database to the schema that this binary expects.
//!
//! The files, their checksums and the bookkeeping are sqlx's (`_sqlx_migrations`, which its own tool can read); the
//! run is our own, because sqlx's waits inside `pg_advisory_lock`, where two migrators and a `create index
//! concurrently` deadlock, applies a late file without a word, commits twice a file, and reports nothing.

mod account;
mod alone;
mod apply;
mod command;
mod failure;
mod lock;
mod report;
mod standing;
mod watch;

pub use command::command;
pub use failure::MigrationFailure;
pub use report::{Applied, Pending, Report, Step};

use account::Account;
use apply::Applier;
use sqlx::migrate::{Migration, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use standing::Standing;
use std::time::Instant;

/// The files of `app/migrations`, as they were when this binary was built.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Where they are, for the commands that errors give.
const FOLDER: &str = "app/migrations";
/// A migration that waits longer than this for a table would hold up every request behind it: it gives up instead.
const LOCK_TIMEOUT: &str = "5s";

/// Applies those of `migrations` that are pending, on a connection of its own, and tells `on_step` how it goes.
///
/// The connection is closed in every case, and the lock with it: a pooled session that kept the lock after an error
/// would stop every later migration.
///
/// # Errors
/// The database does not answer, a migration fails, or what is applied does not match `migrations`. What came before
/// the failing file stays applied.
pub async fn run(
    options: &PgConnectOptions,
    migrations: &Migrator,
    mut on_step: impl FnMut(Step<'_>),
) -> Result<Report, MigrationFailure> {
    let started = Instant::now();
    let mut connection = connect(options).await?;
    let outcome = apply_pending(&mut connection, options, migrations, &mut on_step).await;
    let _ = connection.close().await;
    let (applied, ahead) = outcome?;
    Ok(Report { applied, pending: Vec::new(), up_to_date: true, ahead, ms: report::ms(started) })
}

/// Lists what is pending and changes nothing, not even to make the account. What a run would refuse is an error here.
///
/// # Errors
/// The database does not answer, or what is applied does not match `migrations`.
pub async fn check(options: &PgConnectOptions, migrations: &Migrator) -> Result<Report, MigrationFailure> {
    let started = Instant::now();
    let mut connection = connect(options).await?;
    let found = look(&mut connection, migrations).await;
    let _ = connection.close().await;
    let Standing { pending, ahead } = found?;
    let pending: Vec<_> = pending
        .into_iter()
        .map(|todo| Pending { version: todo.migration.version, name: name(todo.migration) })
        .collect();
    let up_to_date = pending.is_empty();
    Ok(Report { applied: Vec::new(), pending, up_to_date, ahead, ms: report::ms(started) })
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    // Quiet: `create table if not exists` of the account would be a notice in the log at each run.
    let settings = [("lock_timeout", LOCK_TIMEOUT), ("client_min_messages", "warning")];
    options.clone().options(settings).connect().await
}

async fn apply_pending(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
    migrations: &Migrator,
    on_step: &mut impl FnMut(Step<'_>),
) -> Result<(Vec<Applied>, Vec<i64>), MigrationFailure> {
    // Most runs end here: one query, no lock, nothing written.
    let standing = Standing::of(migrations, account::read(connection).await?)?;
    if standing.pending.is_empty() {
        return Ok((Vec::new(), standing.ahead));
    }
    lock::take(connection, || on_step(Step::Waiting)).await?;
    // Whoever had the lock may have applied them all.
    let Standing { pending, ahead } = look(connection, migrations).await?;
    let mut done = Vec::new();
    if !pending.is_empty() {
        let account = Account::open(connection).await?;
        let mut applier = Applier::new(connection, options, &account).await?;
        for todo in &pending {
            let applied = applier.apply(todo, on_step).await?;
            on_step(Step::Applied(&applied));
            done.push(applied);
        }
    }
    Ok((done, ahead))
}

/// How the database stands, after a look at what would stop a run half-way.
async fn look<'m>(
    connection: &mut PgConnection,
    migrations: &'m Migrator,
) -> Result<Standing<'m>, MigrationFailure> {
    let standing = Standing::of(migrations, account::read(connection).await?)?;
    alone::refuse(connection, &standing.pending).await?;
    Ok(standing)
}

/// The file's name without `.sql`; sqlx keeps it as a number and a description with spaces.
fn name(migration: &Migration) -> String {
    format!("{:04}_{}", migration.version, migration.description.replace(' ', "_"))
}
