//! The account of what is applied: sqlx's table `_sqlx_migrations`, one row a file.
//!
//! A row without success is of a `-- no-transaction` file that was begun, and not seen to its end.

use super::MigrationFailure;
use sqlx::migrate::{Migrate, Migration};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, FromRow};
use std::time::Duration;

/// sqlx's default name.
const TABLE: &str = "_sqlx_migrations";
/// PostgreSQL's code for a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

/// What the account says of one file.
#[derive(FromRow)]
pub(super) struct Row {
    pub(super) version: i64,
    pub(super) checksum: Vec<u8>,
    pub(super) success: bool,
}

/// Every row, in order; none where nothing was ever applied.
pub(super) async fn read(connection: &mut PgConnection) -> Result<Vec<Row>, sqlx::Error> {
    let rows = sqlx::query_as("select version, checksum, success from _sqlx_migrations order by version");
    match rows.fetch_all(connection).await {
        // Asking first whether the table is there would cost every later run a round trip.
        Err(sqlx::Error::Database(refused)) if refused.code().as_deref() == Some(UNDEFINED_TABLE) => {
            Ok(Vec::new())
        }
        rows => rows,
    }
}

/// The account, open for writing. Its statements name the schema, so that a file may change `search_path`.
pub(super) struct Account {
    insert: String,
    begin: String,
    finish: String,
    forget: String,
}

impl Account {
    /// Makes the table unless it is there.
    pub(super) async fn open(connection: &mut PgConnection) -> Result<Self, MigrationFailure> {
        connection.ensure_migrations_table(TABLE).await.map_err(MigrationFailure::Account)?;
        let schema: String = sqlx::query_scalar(
            "select quote_ident(nspname) from pg_namespace join pg_class on relnamespace = pg_namespace.oid \
             where pg_class.oid = to_regclass($1)",
        )
        .bind(TABLE)
        .fetch_one(connection)
        .await?;
        let table = format!("{schema}.{TABLE}");
        // The row of an earlier try is in the way, and says what was tried then.
        let insert = |success: bool| {
            format!(
                "insert into {table} (version, description, success, checksum, execution_time) \
                 values ($1, $2, {success}, $3, $4) on conflict (version) do update set installed_on = now(), \
                 description = excluded.description, success = excluded.success, \
                 checksum = excluded.checksum, execution_time = excluded.execution_time"
            )
        };
        Ok(Self {
            insert: insert(true),
            begin: insert(false),
            finish: format!("update {table} set success = true, execution_time = $2 where version = $1"),
            forget: format!("delete from {table} where version = $1 and not success"),
        })
    }

    /// The row of a file whose transaction is about to be committed.
    pub(super) async fn insert(
        &self,
        connection: &mut PgConnection,
        migration: &Migration,
        took: Duration,
    ) -> Result<(), sqlx::Error> {
        self.write(&self.insert, connection, migration, nanos(took)).await
    }

    /// The row of a file that is about to be tried outside a transaction.
    pub(super) async fn begin(
        &self,
        connection: &mut PgConnection,
        migration: &Migration,
    ) -> Result<(), sqlx::Error> {
        self.write(&self.begin, connection, migration, -1).await
    }

    async fn write(
        &self,
        statement: &str,
        connection: &mut PgConnection,
        migration: &Migration,
        nanos: i64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(AssertSqlSafe(statement.to_owned()))
            .bind(migration.version)
            .bind(&*migration.description)
            .bind(&*migration.checksum)
            .bind(nanos)
            .execute(connection)
            .await
            .map(drop)
    }

    /// What was begun came to its end.
    pub(super) async fn finish(
        &self,
        connection: &mut PgConnection,
        migration: &Migration,
        took: Duration,
    ) -> Result<(), sqlx::Error> {
        let finish =
            sqlx::query(AssertSqlSafe(self.finish.clone())).bind(migration.version).bind(nanos(took));
        finish.execute(connection).await.map(drop)
    }

    /// What was begun failed and left nothing.
    pub(super) async fn forget(
        &self,
        connection: &mut PgConnection,
        migration: &Migration,
    ) -> Result<(), sqlx::Error> {
        let forget = sqlx::query(AssertSqlSafe(self.forget.clone())).bind(migration.version);
        forget.execute(connection).await.map(drop)
    }
}

fn nanos(took: Duration) -> i64 {
    i64::try_from(took.as_nanos()).unwrap_or(i64::MAX)
}
