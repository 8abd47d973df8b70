//! Template clusters with a service's migrations in them: a run of the tests starts with a copy of one, and
//! migrates nothing. Keyed by the hash of the migrations, so that a change of any makes another.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use super::cluster::{Cluster, Plan};
use super::keeper::Life;
use super::{account, ephemeral, template};
use crate::failure::{Code, Failure};
use crate::files::{self, Lock};
use crate::process::Launcher;

/// How many are kept of each service: some branches', not every one that ever was.
const KEPT: usize = 3;
/// How long one that was used may still be copied: far longer than that takes.
const IN_USE: Duration = Duration::from_secs(3600);

/// The migrated template of `service` for the migrations that hash to `hash`; made by `fill` when it is not
/// there yet: it gets a running server, and puts into it what is to be copied. Gives its folder, and whether it
/// was made just now.
pub fn ensure(
    launcher: &Launcher<'_>,
    plan: &Plan,
    service: &str,
    hash: &str,
    fill: &mut dyn FnMut(&Cluster) -> Result<()>,
) -> Result<(PathBuf, bool)> {
    let server = plan.find_server(launcher)?;
    let account = account::choose(plan.uid, &plan.folder.data())?;
    let folder = template::folder(&plan.cache);
    let kind = format!("migrated-{service}");
    let migrated = folder.join(template::name(&kind, &server, account, hash));
    if use_again(&migrated) {
        return Ok((migrated, false));
    }
    // What the draft is a copy of; it makes the folder, too.
    template::ensure(launcher, &server, &plan.cache, account)?;
    let _lock = Lock::exclusive(&folder.join(format!("{kind}.lock")))?;
    if use_again(&migrated) {
        return Ok((migrated, false));
    }
    let draft = format!("{}-draft", std::process::id());
    let cluster = ephemeral::start_named(launcher, plan.clone(), &draft, Life::Draft)?;
    let draft = cluster.folder().clone();
    let filled = fill(&cluster);
    // Only a clean stop leaves data that can be copied.
    Cluster::stop(&draft)?;
    let staged = files::beside(&migrated, "part");
    let keep = || -> Result<()> {
        if !draft.is_shut_down() {
            return Err(Failure::new(Code::Failed, "the migrated template was not stopped cleanly")
                .why("its keeper or its server was killed")
                .next("the same command again")
                .into());
        }
        // As `doctor --clean` does, which would remove what looks cut off.
        let _making = Lock::exclusive(&folder.join(template::LOCK))?;
        files::remove_folder(&staged).context("cannot remove what a killed run left")?;
        template::copy(&draft.data(), &staged, account)?;
        files::sync_tree(&staged).context("cannot sync the new template")?;
        template::sign(&migrated, &server)?;
        fs::rename(&staged, &migrated).with_context(|| format!("cannot make {}", migrated.display()))
    };
    let copied = filled.and_then(|()| keep());
    // Until here its lock keeps others from clearing it away.
    drop(cluster);
    files::remove_folder(draft.path())
        .with_context(|| format!("cannot remove {}", draft.path().display()))?;
    copied?;
    let _making = Lock::exclusive(&folder.join(template::LOCK))?;
    prune(&folder, &format!("{kind}-{}-", server.version))?;
    Ok((migrated, true))
}

/// Whether the template is there. Its time of change says when it was last used.
fn use_again(migrated: &Path) -> bool {
    // Where the time cannot be set, it is removed sooner.
    fs::File::open(migrated)
        .is_ok_and(|folder| folder.set_modified(SystemTime::now()).is_ok() || migrated.is_dir())
}

/// Removes all but those that were used last. What was used a moment ago may be copied right now.
fn prune(folder: &Path, prefix: &str) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .filter(|(_, path)| path.is_dir())
        .collect();
    found.sort();
    for (used, path) in found.iter().rev().skip(KEPT) {
        if used.elapsed().is_ok_and(|since| since > IN_USE) {
            // Another run may be removing it too.
            let _ = files::remove_folder(path);
            let _ = fs::remove_file(files::beside(path, template::SIGNATURE));
        }
    }
    Ok(())
}
