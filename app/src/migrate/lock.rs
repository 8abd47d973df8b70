//! One migrator at a time.

use sqlx::postgres::PgConnection;
use std::time::{Duration, Instant};

/// Any number will do, as long as every version of this service uses the same one.
const LOCK: i64 = 0x6c69_6e6b_7300;
/// How long to wait between two tries.
const POLL: Duration = Duration::from_millis(100);
/// Who waits longer than this says so.
const SILENCE: Duration = Duration::from_secs(1);

/// Takes the advisory lock, which ends with the session; `on_wait` hears once that somebody else has it.
///
/// It is asked for again and again: who waits inside `pg_advisory_lock` has a snapshot, a `create index concurrently`
/// of the one who holds it waits for that, and PostgreSQL ends one of them as a deadlock.
pub(super) async fn take(
    connection: &mut PgConnection,
    mut on_wait: impl FnMut(),
) -> Result<(), sqlx::Error> {
    let (started, mut said) = (Instant::now(), false);
    while !is_ours(connection).await? {
        if !said && started.elapsed() > SILENCE {
            on_wait();
            said = true;
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn is_ours(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK).fetch_one(connection).await
}
