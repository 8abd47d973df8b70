//! Counting clicks beside the redirects, not inside them.
//!
//! A redirect is one indexed read. Writing in the same statement would make everybody who follows a popular link
//! wait for one row, and would turn a database that can only be read into one that cannot redirect. So clicks are
//! added up in memory and written each second. None is lost silently: what cannot be written is kept and tried again,
//! the last ones are written when the service stops, and if that fails the log says how many are gone. Only a
//! `kill -9` takes up to a second of clicks with it.

use super::slug::Slug;
use super::sql;
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

const PAUSE: Duration = Duration::from_secs(1);
const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// Clicks by link and day (days since 1970-01-01, UTC) that are not in the database yet.
///
/// Only links that exist are counted, so it has at most one entry a link and day.
#[derive(Debug, Default)]
pub struct Clicks {
    waiting: Mutex<HashMap<(Slug, i32), i64>>,
    /// Held by whoever writes, so that the last write of a run also waits for the one before it.
    writing: tokio::sync::Mutex<()>,
}

impl Clicks {
    /// Counts one click, now.
    pub(crate) fn count(&self, slug: Slug) {
        *self.lock().entry((slug, today())).or_default() += 1;
    }

    /// How many clicks are not written.
    #[must_use]
    pub fn waiting(&self) -> i64 {
        self.lock().values().sum()
    }

    /// Writes for ever, each second.
    pub async fn keep_writing(self: Arc<Self>, pool: PgPool) {
        loop {
            sleep(PAUSE).await;
            if let Err(error) = self.write(&pool).await {
                tracing::warn!(%error, clicks = self.waiting(), "clicks could not be written; they are kept");
            }
        }
    }

    /// Writes what is waiting.
    ///
    /// # Errors
    /// The database did not take the clicks; they wait for the next time. If it took them and the answer was lost,
    /// they are counted twice: the smaller wrong.
    pub async fn write(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let _alone = self.writing.lock().await;
        // A copy: a write that fails, or is given up on, has taken nothing away.
        let taken = self.lock().clone();
        if taken.is_empty() {
            return Ok(());
        }
        let mut slugs = Vec::with_capacity(taken.len());
        let mut days = Vec::with_capacity(taken.len());
        let mut counts = Vec::with_capacity(taken.len());
        for ((slug, day), count) in &taken {
            slugs.push(slug.as_str());
            days.push(*day);
            counts.push(*count);
        }
        sqlx::query(sql::COUNT).bind(slugs).bind(days).bind(counts).execute(pool).await?;
        let mut waiting = self.lock();
        for (key, count) in taken {
            if let Some(now) = waiting.get_mut(&key) {
                *now -= count;
            }
        }
        waiting.retain(|_, count| *count > 0);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Slug, i32), i64>> {
        // Nothing panics while it holds the lock, and a map of counts is never half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn today() -> i32 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i32::try_from(since_1970.as_secs() / SECONDS_A_DAY).unwrap_or(i32::MAX)
}
