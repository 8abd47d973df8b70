//! Whether the database answers and has the schema, asked in the background.

use super::schema::Schema;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// The pause between two questions while the answers are good.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause while they are not: recovery is seen soon, and the database is not hammered.
const PAUSE_WHEN_DOWN: Duration = Duration::from_millis(200);
/// How long one answer may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last answers; cheap to read and to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<watch::Sender<Found>>);

/// What the last questions found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    /// Whether the database answered; `None` before it was asked.
    answers: Option<bool>,
    /// What the migrations were like; `None` before they could be read.
    schema: Option<Schema>,
    /// When it answered no more, the last time.
    lost: Option<Instant>,
}

impl Found {
    fn started(&self) -> Result<(), String> {
        let Some(schema) = &self.schema else { return Err("the database was never reached".to_owned()) };
        schema.lack().map_or(Ok(()), Err)
    }

    fn ready(&self) -> Result<(), String> {
        match self.answers {
            Some(true) => self.started(),
            _ => Err("the database does not answer".to_owned()),
        }
    }
}

impl Readiness {
    /// Whether the database was reached and has had every migration of this binary.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn started(&self) -> Result<(), String> {
        self.0.borrow().started()
    }

    /// Whether the service is started, and the database answered when it was last asked.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn ready(&self) -> Result<(), String> {
        self.0.borrow().ready()
    }

    /// Whether the database has gone away in the last `age`.
    #[must_use]
    pub fn was_lost_within(&self, age: Duration) -> bool {
        self.0.borrow().lost.is_some_and(|lost| lost.elapsed() < age)
    }

    /// Waits until the service is ready, and returns at once if it is.
    pub async fn first(&self) {
        // The error says that the sender is gone; `self` holds it.
        let _ = self.0.subscribe().wait_for(|found| found.ready().is_ok()).await;
    }

    /// Asks for ever, on a connection of its own: probes take no connection from requests, and a pool that requests
    /// use up does not look like a dead database.
    pub async fn watch(self, options: PgConnectOptions) {
        let mut connection = None;
        loop {
            let asking = self.ask(&options, connection.take());
            let answer = match timeout(PATIENCE, asking).await {
                Ok(answer) => answer,
                Err(_) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
            };
            connection = match answer {
                Ok((open, schema)) => {
                    let lost = self.0.borrow().lost;
                    self.note(Found { answers: Some(true), schema: Some(schema), lost }, None);
                    Some(open)
                }
                Err(error) => {
                    let Found { answers, schema, lost } = self.0.borrow().clone();
                    // Of an outage the first moment counts: what was opened since then is good.
                    let lost = if answers == Some(false) { lost } else { Some(Instant::now()) };
                    self.note(Found { answers: Some(false), schema, lost }, Some(&error));
                    None
                }
            };
            sleep(if self.ready().is_ok() { PAUSE } else { PAUSE_WHEN_DOWN }).await;
        }
    }

    /// One question: for the schema until nothing of it is missing, then only whether somebody is there.
    async fn ask(
        &self,
        options: &PgConnectOptions,
        connection: Option<PgConnection>,
    ) -> Result<(PgConnection, Schema), sqlx::Error> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => options.connect().await?,
        };
        let known = self.0.borrow().schema.clone().filter(|schema| schema.pending.is_empty());
        let schema = match known {
            Some(schema) => {
                connection.ping().await?;
                schema
            }
            None => Schema::read(&mut connection).await?,
        };
        Ok((connection, schema))
    }

    /// Keeps what was found, and logs what is new about it.
    fn note(&self, found: Found, error: Option<&sqlx::Error>) {
        let before = self.0.send_replace(found.clone());
        if before == found {
            tracing::debug!(error = error.map(tracing::field::display), "nothing new about readiness");
            return;
        }
        let edited = |found: &Found| found.schema.as_ref().map(|s| s.edited.clone()).unwrap_or_default();
        let known = edited(&before);
        for file in edited(&found).iter().filter(|file| !known.contains(file)) {
            tracing::warn!("{file} was edited after it was applied: the schema may differ from the code's");
        }
        match found.ready() {
            Ok(()) => tracing::info!("ready: the database answers"),
            Err(lack) => tracing::warn!(error = error.map(tracing::field::display), "not ready: {lack}"),
        }
    }
}
