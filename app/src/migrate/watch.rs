//! What a migration waits for, and who holds it: asked on another connection, since its own is busy.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, FromRow};
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

/// How often to look. Most files are done before the first time, and cost no second connection.
const TICK: Duration = Duration::from_secs(1);

const WAITS: &str = "select relation::regclass::text as relation, blocker.pid, application_name, state \
     from pg_locks, unnest(pg_blocking_pids($1)) as blocker (pid) \
     left join pg_stat_activity on pg_stat_activity.pid = blocker.pid \
     where pg_locks.pid = $1 and not granted limit 1";

/// A lock that is waited for.
#[derive(FromRow)]
struct Wait {
    /// None where it is the end of a transaction.
    relation: Option<String>,
    pid: i32,
    application_name: Option<String>,
    /// None where we may not see it.
    state: Option<String>,
}

/// Does `work` on the server's process `pid`; gives with its outcome what it waited for last. `on_wait` hears of it
/// when it changes.
pub(super) async fn during<T>(
    options: &PgConnectOptions,
    pid: i32,
    work: impl Future<Output = T>,
    mut on_wait: impl FnMut(&str),
) -> (T, Option<String>) {
    let mut seen = None;
    let outcome = {
        let watching = watch(options, pid, |text| {
            if seen.as_ref() != Some(&text) {
                on_wait(&text);
                seen = Some(text);
            }
        });
        tokio::select! {
            outcome = pin!(work) => outcome,
            never = watching => match never {},
        }
    };
    (outcome, seen)
}

/// Without an answer there is nothing to say: the migration goes on in any case.
async fn watch(options: &PgConnectOptions, pid: i32, mut on_wait: impl FnMut(String)) -> Infallible {
    let mut connection: Option<PgConnection> = None;
    loop {
        tokio::time::sleep(TICK).await;
        if connection.is_none() {
            connection = options.connect().await.ok();
        }
        if let Some(open) = &mut connection {
            match sqlx::query_as::<_, Wait>(WAITS).bind(pid).fetch_optional(open).await {
                Ok(wait) => wait.map(describe).into_iter().for_each(&mut on_wait),
                Err(_) => connection = None,
            }
        }
    }
}

fn describe(wait: Wait) -> String {
    let what =
        wait.relation.map_or("the end of another transaction".to_owned(), |name| format!("a lock on {name}"));
    let who = [wait.application_name, wait.state].into_iter().flatten().filter(|part| !part.is_empty());
    let who = who.collect::<Vec<_>>().join(", ");
    let who = if who.is_empty() { who } else { format!(" ({who})") };
    format!("{what}; in the way is process {}{who}", wait.pid)
}
