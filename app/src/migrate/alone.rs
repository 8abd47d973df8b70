//! What a file that begins with `-- no-transaction` must be, and what may be left of an earlier try.

use super::standing::Todo;
use super::{MigrationFailure, name};
use sqlx::Executor;
use sqlx::migrate::Migration;
use sqlx::postgres::{PgConnection, PgDatabaseError};

/// The indexes that a failed CREATE INDEX CONCURRENTLY left. Not those that somebody makes now, nor those of
/// partitioned tables, which are invalid until each partition has its own.
const INVALID_INDEXES: &str = "select indexrelid::regclass::text from pg_index \
     join pg_class on pg_class.oid = indexrelid and relkind = 'i' where not indisvalid \
     and indexrelid not in (select index_relid from pg_stat_progress_create_index) order by 1";

/// The function of PostgreSQL that refuses a text of several statements. Its message is translated, and its code is
/// that of every syntax error.
const REFUSES_SEVERAL: &str = "exec_parse_message";

/// Looks at all pending files before the first is applied.
pub(super) async fn refuse(
    connection: &mut PgConnection,
    pending: &[Todo<'_>],
) -> Result<(), MigrationFailure> {
    for Todo { migration, begun } in pending.iter().filter(|todo| todo.migration.no_tx) {
        if is_several(connection, migration).await? {
            return Err(MigrationFailure::Several(name(migration)));
        }
        // Without a row that says so, an invalid index is another one's, and no reason to stop.
        if begun.is_some() {
            let invalid = invalid_indexes(connection).await?;
            if !invalid.is_empty() {
                return Err(MigrationFailure::unfinished(migration, None, &invalid));
            }
        }
    }
    Ok(())
}

/// Whether a file holds more than one statement, which PostgreSQL would put into one transaction after all. It says so
/// itself when asked to prepare them; a scanner of our own would have to know every way to quote.
async fn is_several(connection: &mut PgConnection, migration: &Migration) -> Result<bool, sqlx::Error> {
    match connection.prepare(migration.sql.clone()).await {
        Err(sqlx::Error::Database(refused)) => {
            let routine = refused.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::routine);
            // Any other refusal may be about a table that an earlier pending file makes.
            Ok(routine == Some(REFUSES_SEVERAL))
        }
        prepared => prepared.map(|_| false),
    }
}

/// See [`INVALID_INDEXES`].
pub(super) async fn invalid_indexes(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(INVALID_INDEXES).fetch_all(connection).await
}
