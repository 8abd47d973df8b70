//! Another database in the service's place: `db reset` and `db restore`. The old one goes when the new one is whole.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::files::Lock;
use crate::postgres::{Cluster, identifier, is_in_use, literal};
use crate::process::Launcher;

/// How long the old database may stay in use, though everybody is cut off again and again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has `fill` make and fill a database, whose name it gets, and puts that in the place of `name`. Where it fails, the
/// old one is as it was.
///
/// Our names have a dot in them, which nobody types: such databases are dropped without a question.
pub(super) fn replace<T>(
    launcher: &Launcher<'_>,
    cluster: &Cluster,
    name: &str,
    fill: impl FnOnce(&str) -> Result<T>,
) -> Result<T> {
    // Two callers at once: neither meets the other's half.
    let _alone = Lock::exclusive(&cluster.folder().path().join("fresh-database.lock"))?;
    let (fresh, old) = (format!("{name}.new"), format!("{name}.old"));
    cluster.drop(&fresh)?;
    cluster.drop(&old)?;
    let filled = fill(&fresh);
    if filled.is_err() {
        cluster.drop(&fresh)?;
    }
    let filled = filled?;
    swap(launcher, cluster, name, &fresh, &old)?;
    cluster.drop(&old)?;
    Ok(filled)
}

/// Both names in one transaction: a kill at any moment leaves the old one or the new one in its place. Whoever is
/// connected to the old one is cut off.
fn swap(launcher: &Launcher<'_>, cluster: &Cluster, name: &str, fresh: &str, old: &str) -> Result<()> {
    let (text, [name, fresh, old]) = (literal(name), [name, fresh, old].map(identifier));
    let swap = format!(
        "select pg_terminate_backend(pid, 1000) from pg_stat_activity where datname = {text}; \
         alter database {name} rename to {old}; alter database {fresh} rename to {name}"
    );
    let (mut admin, started) = (cluster.admin()?, Instant::now());
    while let Err(error) = admin.query(&swap) {
        // A service that runs connects again at once, and a database in use cannot be renamed.
        if !is_in_use(&error) || started.elapsed() > PATIENCE {
            return Err(error);
        }
        launcher.progress().working("postgres", "waiting until nobody is connected to the old database");
    }
    Ok(())
}
