//! `links migrate`: brings the database to the schema that this binary expects.
//!
//! The data and the bookkeeping are sqlx's (`_sqlx_migrations`, one checksum a file); the run is our own, because
//! sqlx's waits inside `pg_advisory_lock`, where two migrators and a `create index concurrently` deadlock, applies a
//! late file without a word, and reports nothing.

use crate::config::Migrate as Arguments;
use crate::db;
use crate::failure::Failure;
use serde::Serialize;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use std::process::ExitCode;
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

/// Why the database could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationFailure {
    /// The database does not answer or refused a statement of the account.
    #[error("the database could not be read: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed; its transaction was rolled back.
    #[error("{name} failed: {cause}")]
    Failed {
        /// The file.
        name: String,
        /// What PostgreSQL said.
        cause: MigrateError,
    },
    /// sqlx could not read or make its account.
    #[error("the account of migrations could not be read: {0}")]
    Account(MigrateError),
    /// The file of an applied migration has other content now.
    #[error("{0} was edited after it was applied")]
    Edited(String),
    /// The database has a migration that this binary does not know.
    #[error("version {0} is applied, but this binary has no such migration")]
    Missing(i64),
    /// A file is older than one that is applied already.
    #[error("{late} comes before {newest}, which is applied already")]
    Late {
        /// The file that came late.
        late: String,
        /// The newest one that is applied.
        newest: String,
    },
}

impl MigrationFailure {
    /// What to do about it.
    #[must_use]
    pub fn next(&self) -> Option<&'static str> {
        match self {
            Self::Edited(_) => Some("put the file back as it was and write the change as a new migration"),
            Self::Missing(_) => Some("run the newer version of the service, or reset a development database"),
            Self::Late { .. } => Some("give the file a number after the newest one"),
            Self::Database(_) | Self::Failed { .. } | Self::Account(_) => None,
        }
    }
}

/// One migration that was applied just now.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    /// The number that the file's name starts with.
    pub version: i64,
    /// The file's name without `.sql`.
    pub name: String,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// One migration that is yet to be applied.
#[derive(Clone, Debug, Serialize)]
pub struct Pending {
    /// The number that the file's name starts with.
    pub version: i64,
    /// The file's name without `.sql`.
    pub name: String,
}

/// What a run did, or what a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was applied now, in order.
    pub applied: Vec<Applied>,
    /// What is still to be applied, in order.
    pub pending: Vec<Pending>,
    /// Whether the database has all that this binary expects.
    pub up_to_date: bool,
}

/// Runs `links migrate`.
///
/// # Errors
/// The database does not answer, a migration fails, or what is applied does not match what is built in.
pub async fn command(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let options = db::options(&arguments.database_url)?;
    let report = if arguments.check {
        check(&options).await?
    } else {
        run(&options, |applied| {
            if !arguments.json {
                println!("applied {}.sql {} ms", applied.name, applied.ms);
            }
        })
        .await?
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&report).unwrap_or_default());
    } else {
        for pending in &report.pending {
            println!("pending {}.sql", pending.name);
        }
        match report.pending.len() {
            0 => println!("up to date, {} migrations", MIGRATIONS.iter().count()),
            count => println!("{count} pending"),
        }
    }
    Ok(if report.up_to_date { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// Applies what is pending, one file a transaction, on a connection of its own.
///
/// The connection is closed in every case, and the lock with it: a pooled session that kept the lock after an error
/// would stop every later migration.
///
/// # Errors
/// As [`command`]; what came before the failing file stays applied.
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
            .map_err(|cause| MigrationFailure::Failed { name: name.clone(), cause })?;
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
