//! How the files and the account stand to each other.

use super::account::Row;
use super::{MigrationFailure, name};
use sqlx::migrate::{Migration, Migrator};
use std::collections::BTreeMap;

/// A file that is to be applied.
pub(super) struct Todo<'m> {
    pub(super) migration: &'m Migration,
    /// An earlier run began it and did not see its end.
    pub(super) begun: Option<Row>,
}

/// What is to be done, where nothing speaks against it.
pub(super) struct Standing<'m> {
    /// In order.
    pub(super) pending: Vec<Todo<'m>>,
    /// Applied by a newer version of the service, which was rolled back since. Migrations are made so that the version
    /// before can live with them, so this one may serve.
    pub(super) ahead: Vec<i64>,
}

impl<'m> Standing<'m> {
    /// Compares `migrations` with `rows`.
    pub(super) fn of(migrations: &'m Migrator, rows: Vec<Row>) -> Result<Self, MigrationFailure> {
        let newest = rows.iter().filter(|row| row.success).map(|row| row.version).max();
        let mut rows: BTreeMap<i64, Row> = rows.into_iter().map(|row| (row.version, row)).collect();
        let (mut pending, mut last): (Vec<Todo<'m>>, Option<&Migration>) = (Vec::new(), None);
        for migration in migrations.iter().filter(|one| !one.migration_type.is_down_migration()) {
            if let Some(twin) = last.filter(|last| last.version == migration.version) {
                return Err(MigrationFailure::Twice(name(twin), name(migration)));
            }
            last = Some(migration);
            match rows.remove(&migration.version) {
                Some(row) if row.success && *row.checksum != *migration.checksum => {
                    return Err(MigrationFailure::Edited(name(migration)));
                }
                Some(row) if row.success => {}
                begun => pending.push(Todo { migration, begun }),
            }
        }
        // What is left has no file.
        let ahead: Vec<i64> = rows.into_keys().collect();
        let last = last.map_or(0, |last| last.version);
        if let Some(missing) = ahead.first().filter(|version| **version < last || !pending.is_empty()) {
            return Err(MigrationFailure::Missing(*missing));
        }
        if let Some(newest) = newest
            && let Some(late) =
                pending.iter().find(|todo| todo.begun.is_none() && todo.migration.version < newest)
        {
            return Err(MigrationFailure::late(late.migration, newest, last.max(newest) + 1));
        }
        // Once its row is there, the file can never be written.
        if let Some(empty) = pending.iter().find(|todo| is_empty(todo.migration.sql.as_str())) {
            return Err(MigrationFailure::Empty(name(empty.migration)));
        }
        Ok(Self { pending, ahead })
    }
}

/// Whether a file has only blank lines and comments of a line, as one has that was just made.
fn is_empty(sql: &str) -> bool {
    sql.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with("--"))
}
