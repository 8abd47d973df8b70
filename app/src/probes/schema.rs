//! Whether the database has the schema that this binary was built for. Only looks; `links migrate` changes it.

use crate::migrate::MIGRATIONS;
use sqlx::migrate::Migration;
use sqlx::{FromRow, PgConnection};

const HAS_ACCOUNT: &str = "select to_regclass('_sqlx_migrations') is not null";
const ACCOUNT: &str = "select version, success, checksum from _sqlx_migrations";

/// The migrations of this binary against those of the database; each by its file.
///
/// A migration that only the database knows is no finding: after a rollback the older binary has to start, and each
/// migration leaves the version before it working.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Schema {
    /// Not applied, or begun and never finished.
    pub(super) pending: Vec<String>,
    /// Changed after they were applied.
    pub(super) edited: Vec<String>,
}

#[derive(Debug, FromRow)]
struct Applied {
    version: i64,
    success: bool,
    checksum: Vec<u8>,
}

impl Schema {
    /// Asks the database. One that was never migrated has no account: all are pending.
    pub(super) async fn read(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let has_account: bool = sqlx::query_scalar(HAS_ACCOUNT).fetch_one(&mut *connection).await?;
        let applied =
            if has_account { sqlx::query_as(ACCOUNT).fetch_all(connection).await? } else { Vec::new() };
        Ok(Self::of(MIGRATIONS.iter(), &applied))
    }

    fn of<'a>(built_in: impl Iterator<Item = &'a Migration>, applied: &[Applied]) -> Self {
        let mut schema = Self::default();
        for migration in built_in {
            let done = applied.iter().find(|row| row.version == migration.version && row.success);
            match done {
                None => schema.pending.push(file(migration)),
                Some(row) if row.checksum != *migration.checksum => schema.edited.push(file(migration)),
                Some(_) => {}
            }
        }
        schema
    }

    /// `2 migrations are pending: 0003_x.sql, 0004_y.sql`; `None` if none is.
    pub(super) fn lack(&self) -> Option<String> {
        let names = self.pending.join(", ");
        match self.pending.len() {
            0 => None,
            1 => Some(format!("1 migration is pending: {names}")),
            count => Some(format!("{count} migrations are pending: {names}")),
        }
    }
}

/// sqlx keeps a file's name as a number and a description with spaces.
fn file(migration: &Migration) -> String {
    format!("{:04}_{}.sql", migration.version, migration.description.replace(' ', "_"))
}
