//! The connections to PostgreSQL that requests share.

use crate::failure::Failure;
use crate::probes::Readiness;
use crate::secrets::Secret;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::str::FromStr;
use std::time::Duration;
use url::Url;

/// How long a request waits for a connection before it is answered 503.
const ACQUIRE: Duration = Duration::from_secs(3);
/// A connection that rested longer than this is asked whether it still lives.
const TRUSTED: Duration = Duration::from_secs(30);

/// Reads a database URL.
///
/// # Errors
/// The text is no PostgreSQL URL. The error does not repeat it, because it may hold a password.
pub fn options(url: &Secret) -> Result<PgConnectOptions, Failure> {
    let parsed = Url::parse(url.expose()).map_err(|cause| Failure::DatabaseUrl(cause.to_string()))?;
    if !matches!(parsed.scheme(), "postgres" | "postgresql") {
        return Err(Failure::DatabaseUrl("it must start with postgres://".to_owned()));
    }
    PgConnectOptions::from_str(url.expose())
        .map(|options| options.application_name("links"))
        .map_err(|_| Failure::DatabaseUrl("one of its parts is not understood".to_owned()))
}

/// A pool that connects when first needed, so that the service starts while its database is down.
///
/// sqlx would ask each connection whether it lives before each use; that halves the throughput of a redirect. Here only
/// one is asked that rested long, or since before the last loss of the database: it will have been lost, too.
#[must_use]
pub fn pool(options: PgConnectOptions, max_connections: u32, readiness: Readiness) -> PgPool {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            let is_doubtful = meta.idle_for > TRUSTED || readiness.was_lost_within(meta.idle_for);
            Box::pin(async move {
                if is_doubtful {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}
