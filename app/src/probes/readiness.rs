//! Whether the database answers, asked in the background.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The pause between two questions while the answers are good.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause while they are not: recovery is seen soon, and the database is not hammered.
const PAUSE_WHEN_DOWN: Duration = Duration::from_millis(200);
/// How long one answer may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last answer; cheap to read and to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Whether the database answered when it was last asked.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks for ever, on a connection of its own: probes take no connection from requests, and a pool that requests
    /// use up does not look like a dead database.
    pub async fn watch(self, options: PgConnectOptions) {
        let mut connection = None;
        loop {
            let answer = match timeout(PATIENCE, ask(&options, connection.take())).await {
                Ok(answer) => answer,
                Err(_) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
            };
            self.note(&answer);
            connection = answer.ok();
            sleep(if connection.is_some() { PAUSE } else { PAUSE_WHEN_DOWN }).await;
        }
    }

    fn note(&self, answer: &Result<PgConnection, sqlx::Error>) {
        let was_ready = self.0.swap(answer.is_ok(), Ordering::Relaxed);
        match answer {
            Ok(_) if !was_ready => tracing::info!("ready: the database answers"),
            Err(error) if was_ready => tracing::warn!(%error, "not ready: the database does not answer"),
            Err(error) => tracing::debug!(%error, "still not ready"),
            Ok(_) => {}
        }
    }
}

async fn ask(
    options: &PgConnectOptions,
    connection: Option<PgConnection>,
) -> Result<PgConnection, sqlx::Error> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => options.connect().await?,
    };
    connection.ping().await?;
    Ok(connection)
}
