//! Brings the database to the schema that this binary expects.
//!
//! The data and the bookkeeping are sqlx's (`_sqlx_migrations`, one checksum a file); the run is our own, because
//! sqlx's waits inside `pg_advisory_lock`, where two migrators and a `create index concurrently` deadlock, applies a
//! late file without a word, and reports nothing.

mod command;
mod failure;
mod report;

pub use command::command;
pub use failure::MigrationFailure;
pub use report::{Applied, Pending, Report};

use sqlx::migrate::{AppliedMigration, Migrate, Migration, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use std::time::Duration;

/// The files of `app/migrations`, as they were when this binary was built.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Where sqlx keeps its account; the name is its default, so that its own tool can read it.
const TABLE: &str = "_sqlx_migrations";
/// Any number will do, as long as every version of this service uses the same one.
const LOCK: i64 = 0x6c69_6e6b_7300;
/// How long to wait between two tries for the lock.
const POLL: Duration = Duration::from_millis(100);
/// A migration that waits longer than this for a table would hold up every request behind it: it gives up instead.
const LOCK_TIMEOUT: &str = "5s";

/// Applies what is pending, one file a transaction, on a connection of its own.
///
/// The connection is closed in every case, and the lock with it: a pooled session that kept the lock after an error
/// would stop every later migration.
///
/// # Errors
/// The database does not answer, a migration fails, or what is applied does not match what is built in. What came before the failing file stays applied.
pub async fn run(
    options: &PgConnectOptions,
    mut on_applied: impl FnMut(&Applied),
) -> Result<Report, MigrationFailure> {
    let mut connection = connect(options).await?;
    let outcome = apply_all(&mut connection, &mut on_applied).await;
    let _ = connection.close().await;
    let applied = outcome?;
    Ok(Report { applied, pending: Vec::new(), up_to_date: true })
}

/// Lists what is pending and changes nothing, not even to make the account.
///
/// # Errors
/// The database does not answer, or what is applied does not match what is built in.
pub async fn check(options: &PgConnectOptions) -> Result<Report, MigrationFailure> {
    let mut connection = connect(options).await?;
    let has_account: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(TABLE)
        .fetch_one(&mut connection)
        .await?;
    let applied = if has_account {
        connection.list_applied_migrations(TABLE).await.map_err(MigrationFailure::Account)?
    } else {
        Vec::new()
    };
    let _ = connection.close().await;
    let pending: Vec<_> =
        pending(&applied)?.into_iter().map(|m| Pending { version: m.version, name: name(m) }).collect();
    Ok(Report { applied: Vec::new(), up_to_date: pending.is_empty(), pending })
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    // Quiet: `create table if not exists` of the account would be a notice in the log at each run.
    let settings = [("lock_timeout", LOCK_TIMEOUT), ("client_min_messages", "warning")];
    options.clone().options(settings).connect().await
}

async fn apply_all(
    connection: &mut PgConnection,
    on_applied: &mut impl FnMut(&Applied),
) -> Result<Vec<Applied>, MigrationFailure> {
    while !try_lock(connection).await? {
        tokio::time::sleep(POLL).await;
    }
    connection.ensure_migrations_table(TABLE).await.map_err(MigrationFailure::Account)?;
    let known = connection.list_applied_migrations(TABLE).await.map_err(MigrationFailure::Account)?;
    let mut done = Vec::new();
    for migration in pending(&known)? {
        let name = name(migration);
        let elapsed = connection
            .apply(TABLE, migration)
            .await
            .map_err(|cause| MigrationFailure::of(migration, &name, &cause))?;
        let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let applied = Applied { version: migration.version, name, ms };
        on_applied(&applied);
        done.push(applied);
    }
    Ok(done)
}

async fn try_lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK).fetch_one(connection).await
}

/// The built-in migrations that are not applied, after a look at those that are.
fn pending(applied: &[AppliedMigration]) -> Result<Vec<&'static Migration>, MigrationFailure> {
    for row in applied {
        match MIGRATIONS.iter().find(|migration| migration.version == row.version) {
            None => return Err(MigrationFailure::Missing(row.version)),
            Some(migration) if migration.checksum != row.checksum => {
                return Err(MigrationFailure::Edited(format!("{}.sql", name(migration))));
            }
            Some(_) => {}
        }
    }
    let is_applied = |migration: &&Migration| applied.iter().any(|row| row.version == migration.version);
    let pending: Vec<_> = MIGRATIONS.iter().filter(|migration| !is_applied(migration)).collect();
    if let (Some(first), Some(newest)) = (pending.first(), MIGRATIONS.iter().rfind(is_applied))
        && first.version < newest.version
    {
        return Err(MigrationFailure::Late { late: name(first), newest: name(newest) });
    }
    Ok(pending)
}

/// The file's name without `.sql`; sqlx keeps it as a number and a description with spaces.
fn name(migration: &Migration) -> String {
    format!("{:04}_{}", migration.version, migration.description.replace(' ', "_"))
}
