//! One file: in one transaction with its row, or alone with a row before and after.

use super::account::Account;
use super::report::{Applied, Step};
use super::standing::Todo;
use super::{MigrationFailure, alone, name, watch};
use sqlx::migrate::Migration;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};
use std::time::Instant;

/// PostgreSQL's code for a table or index that is there already.
const DUPLICATE_TABLE: &str = "42P07";

/// A file may change settings: what pg_dump writes empties `search_path`, and the next file expects to find its tables.
const RESET: &str = "reset all";
/// [`RESET`], and the transaction, in one round trip. Within it the server looks whether this migrator still lives: one
/// that was killed must not keep the lock for as long as its statement takes. Outside a transaction it is left to its
/// end: half an index helps nobody.
const BEGIN: &str = "reset all; begin; set local client_connection_check_interval = '500ms'";

/// Applies files on a connection that holds the lock.
pub(super) struct Applier<'a> {
    connection: &'a mut PgConnection,
    /// For a second connection, see [`watch`].
    options: &'a PgConnectOptions,
    account: &'a Account,
    /// The server's process for the connection.
    pid: i32,
}

impl<'a> Applier<'a> {
    pub(super) async fn new(
        connection: &'a mut PgConnection,
        options: &'a PgConnectOptions,
        account: &'a Account,
    ) -> Result<Self, sqlx::Error> {
        let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *connection).await?;
        Ok(Self { connection, options, account, pid })
    }

    pub(super) async fn apply(
        &mut self,
        todo: &Todo<'_>,
        on_step: &mut impl FnMut(Step<'_>),
    ) -> Result<Applied, MigrationFailure> {
        let Todo { migration, begun } = todo;
        let started = Instant::now();
        let (connection, account) = (&mut *self.connection, self.account);
        let work = async {
            if migration.no_tx {
                let again = begun.as_ref().is_some_and(|row| *row.checksum == *migration.checksum);
                by_itself(connection, account, migration, again, started).await
            } else {
                in_transaction(connection, account, migration, started).await
            }
        };
        let on_wait = |text: &str| on_step(Step::Blocked(text));
        let (outcome, waited_for) = watch::during(self.options, self.pid, work, on_wait).await;
        outcome.map_err(|failure| failure.after_waiting(waited_for))?;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Applied { version: migration.version, name: name(migration), ms })
    }
}

async fn in_transaction(
    connection: &mut PgConnection,
    account: &Account,
    migration: &Migration,
    started: Instant,
) -> Result<(), MigrationFailure> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    let ran = transaction.execute(migration.sql.clone()).await;
    ran.map_err(|cause| MigrationFailure::in_file(migration, &cause))?;
    let ended = async {
        account.insert(&mut transaction, migration, started.elapsed()).await?;
        transaction.commit().await
    };
    // A deferred constraint may refuse the commit.
    ended.await.map_err(|cause| MigrationFailure::at_end(migration, &cause))
}

/// A row without success comes first: a kill in the middle is seen by the next run. `again` says that there was one
/// for this very file.
async fn by_itself(
    connection: &mut PgConnection,
    account: &Account,
    migration: &Migration,
    again: bool,
    started: Instant,
) -> Result<(), MigrationFailure> {
    account.begin(connection, migration).await?;
    connection.execute(RESET).await?;
    let cause = match connection.execute(migration.sql.clone()).await {
        Ok(_) => return Ok(account.finish(connection, migration, started.elapsed()).await?),
        Err(cause) => cause,
    };
    // When a migrator is killed, the server goes on with its statement: the index was made after all.
    let code = cause.as_database_error().and_then(|refused| refused.code());
    if again && code.as_deref() == Some(DUPLICATE_TABLE) {
        return Ok(account.finish(connection, migration, started.elapsed()).await?);
    }
    let failure = MigrationFailure::in_file(migration, &cause);
    let invalid = match alone::invalid_indexes(connection).await {
        Ok(invalid) => invalid,
        // The connection is gone, and that is what `failure` says.
        Err(_) => return Err(failure),
    };
    if invalid.is_empty() {
        account.forget(connection, migration).await?;
        return Err(failure);
    }
    Err(MigrationFailure::unfinished(migration, Some(failure), &invalid))
}
