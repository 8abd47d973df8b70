//! Why a database cannot be brought up to date, and what to do about it.

use super::{FOLDER, name};
use sqlx::migrate::{MigrateError, Migration};
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use std::borrow::Cow;

/// PostgreSQL's code for a lock that was waited for too long.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Why the database could not be brought up to date. Names of files are without `.sql`.
#[derive(Debug, thiserror::Error)]
pub enum MigrationFailure {
    /// The database does not answer or refused a statement of the account.
    #[error("the database could not be read: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed.
    #[error("{place}: {said}{left}")]
    Failed {
        /// The file, with the line that PostgreSQL names.
        place: String,
        /// What PostgreSQL said.
        said: String,
        /// What stays behind, after a semicolon.
        left: String,
        /// Whether it waited too long for a lock.
        waited: bool,
        /// What to do about it.
        next: String,
    },
    /// sqlx could not make its account.
    #[error("the account of migrations could not be made: {0}")]
    Account(MigrateError),
    /// The file of an applied migration has other content now.
    #[error("{0}.sql was edited after it was applied")]
    Edited(String),
    /// The database has a migration that this binary does not know.
    #[error("version {0} is applied, but this binary has no such migration")]
    Missing(i64),
    /// Two files have one number.
    #[error("{0}.sql and {1}.sql have the same number")]
    Twice(String, String),
    /// A file is older than one that is applied already.
    #[error("{late} comes before version {newest}, which is applied already")]
    Late {
        /// The file that came late.
        late: String,
        /// The newest one that is applied.
        newest: i64,
        /// The command that mends it.
        next: String,
    },
    /// A file was made, and nothing was written into it yet.
    #[error("{0}.sql has no statement yet")]
    Empty(String),
    /// A file that runs outside a transaction holds more than one statement.
    #[error(
        "{0}.sql is `-- no-transaction`, and has several statements, which PostgreSQL runs in one transaction"
    )]
    Several(String),
}

impl MigrationFailure {
    /// A statement of the file was refused. sqlx's own text names a line of PostgreSQL's source.
    pub(super) fn in_file(migration: &Migration, cause: &sqlx::Error) -> Self {
        let refused =
            cause.as_database_error().and_then(|refused| refused.try_downcast_ref::<PgDatabaseError>());
        let place = match refused.and_then(PgDatabaseError::position) {
            Some(PgErrorPosition::Original(position)) => {
                let before = migration.sql.as_str().chars().take(position.saturating_sub(1));
                format!("{}.sql:{}", name(migration), before.filter(|c| *c == '\n').count() + 1)
            }
            // Not every refusal is about a place.
            _ => format!("{}.sql", name(migration)),
        };
        Self::failed(migration, place, cause)
    }

    /// The transaction of the file could not be ended.
    pub(super) fn at_end(migration: &Migration, cause: &sqlx::Error) -> Self {
        Self::failed(migration, format!("{}.sql", name(migration)), cause)
    }

    fn failed(migration: &Migration, place: String, cause: &sqlx::Error) -> Self {
        let refused = cause.as_database_error();
        let said = refused.map_or_else(|| cause.to_string(), |refused| refused.message().to_owned());
        let waited = refused.and_then(|refused| refused.code()).as_deref() == Some(LOCK_NOT_AVAILABLE);
        let next = match (refused.is_some(), migration.no_tx) {
            (false, _) => "run it again when the database answers: it will say how far this came",
            (true, true) => "mend the file: it left no invalid index, and what came before it stays applied",
            (true, false) => "mend the file: it was rolled back, and what came before it stays applied",
        };
        Self::Failed { place, said, left: String::new(), waited, next: next.to_owned() }
    }

    /// The same, where a lock was waited for too long, with what `watch` saw of it.
    pub(super) fn after_waiting(self, waited_for: Option<String>) -> Self {
        let Self::Failed { place, waited: true, left, next, .. } = self else { return self };
        let what = waited_for.unwrap_or_else(|| "a lock".to_owned());
        let said = format!("gave up (lock_timeout) waiting for {what}");
        // To remove what it left comes first.
        let next = match left.is_empty() {
            true => "run it again when that one is done: nothing of this file is left".to_owned(),
            false => next,
        };
        Self::Failed { place, said, left, waited: true, next }
    }

    /// A file outside a transaction did not come to its end, be it that it failed just now, and left invalid indexes.
    pub(super) fn unfinished(migration: &Migration, failed: Option<Self>, invalid: &[String]) -> Self {
        let drops: Vec<_> = invalid.iter().map(|index| format!("drop index concurrently {index};")).collect();
        let next = format!("{} and run it again, the file mended if need be", drops.join(" "));
        let left = format!("; an invalid index is left: {}", invalid.join(", "));
        let (place, said, waited) = match failed {
            Some(Self::Failed { place, said, waited, .. }) => (place, said, waited),
            _ => (
                format!("{}.sql", name(migration)),
                "an earlier run began it and did not end it".to_owned(),
                false,
            ),
        };
        Self::Failed { place, said, left, waited, next }
    }

    /// `migration` comes after `newest` was applied; `free` is the number it should have.
    pub(super) fn late(migration: &Migration, newest: i64, free: i64) -> Self {
        let late = name(migration);
        let rest = late.split_once('_').map_or("", |(_, rest)| rest);
        let next = format!("git mv {FOLDER}/{late}.sql {FOLDER}/{free:04}_{rest}.sql");
        Self::Late { late: format!("{late}.sql"), newest, next }
    }

    /// What to do about it.
    #[must_use]
    pub fn next(&self) -> Option<Cow<'static, str>> {
        let next = match self {
            Self::Edited(_) => "put the file back as it was and write the change as a new migration",
            Self::Missing(_) => "run the newer version of the service, or reset a development database",
            Self::Twice(..) => "give the one that is not applied anywhere yet a number after the newest",
            Self::Empty(_) => "write it, or remove it: once applied, it could not be changed",
            Self::Several(_) => {
                "split it, one statement a file; lock_timeout is set on the connection already"
            }
            Self::Late { next, .. } | Self::Failed { next, .. } => return Some(next.clone().into()),
            Self::Database(_) | Self::Account(_) => return None,
        };
        Some(next.into())
    }
}
