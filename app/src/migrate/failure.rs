//! Why a database cannot be brought up to date, and what to do about it.

use sqlx::migrate::{MigrateError, Migration};
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

/// Why the database could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationFailure {
    /// The database does not answer or refused a statement of the account.
    #[error("the database could not be read: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed; its transaction was rolled back.
    #[error("{place}: {said}")]
    Failed {
        /// The file, with the line that PostgreSQL names.
        place: String,
        /// What PostgreSQL said.
        said: String,
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
    /// `migration`, from the file `name`, failed. sqlx's own text names a line of PostgreSQL's source.
    #[must_use]
    pub fn of(migration: &Migration, name: &str, cause: &MigrateError) -> Self {
        let (MigrateError::ExecuteMigration(sqlx::Error::Database(refused), _)
        | MigrateError::Execute(sqlx::Error::Database(refused))) = cause
        else {
            return Self::Failed { place: format!("{name}.sql"), said: cause.to_string() };
        };
        let place = match refused.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::position) {
            Some(PgErrorPosition::Original(position)) => {
                let before = migration.sql.as_str().chars().take(position.saturating_sub(1));
                format!("{name}.sql:{}", before.filter(|c| *c == '\n').count() + 1)
            }
            // Not every refusal is about a place.
            _ => format!("{name}.sql"),
        };
        Self::Failed { place, said: refused.message().to_owned() }
    }

    /// What to do about it.
    #[must_use]
    pub fn next(&self) -> Option<&'static str> {
        match self {
            Self::Edited(_) => Some("put the file back as it was and write the change as a new migration"),
            Self::Missing(_) => Some("run the newer version of the service, or reset a development database"),
            Self::Late { .. } => Some("give the file a number after the newest one"),
            Self::Failed { .. } => {
                Some("mend the file: it was rolled back, and what came before it stays applied")
            }
            Self::Database(_) | Self::Account(_) => None,
        }
    }
}
