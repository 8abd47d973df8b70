//! What killed runs, deleted clones and removed servers left behind.
//!
//! Listing looks at locks and keeps none. Removing takes every lock first: what anybody uses stays.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use walkdir::WalkDir;

use super::ephemeral::CREATING_LOCK;
use super::{template, versions};
use crate::files::{self, Lock};
use crate::process::Launcher;

/// The locks of a state or a cluster. PostgreSQL's own lock files are no locks of ours.
fn locks(folder: &Path) -> Vec<PathBuf> {
    WalkDir::new(folder)
        .max_depth(3)
        .into_iter()
        .filter_entry(|entry| entry.file_name() != "data")
        .flatten()
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "lock"))
        .collect()
}

/// Whether anybody holds a lock below `folder`, or that cannot be told.
pub fn is_held(folder: &Path) -> bool {
    // The owner's lock is never held beside others, and must not be taken for a look: whoever sees it taken
    // trusts the process id in it.
    let shared =
        |lock: &PathBuf| !lock.ends_with("owner.lock") && !matches!(Lock::is_shared(lock), Ok(false));
    let held = |lock: &PathBuf| shared(lock) || !matches!(Lock::is_owned(lock), Ok(false));
    locks(folder).iter().any(held)
}

/// The folders of ours in `parent` that nobody uses.
pub fn unheld(parent: &Path, uid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path()).filter(|path| files::is_own_folder(path, uid));
    folders.filter(|path| !is_held(path)).collect()
}

/// Removes `folder` while holding all its locks, if it is `stray` then. Gives whether it did.
pub fn remove(folder: &Path, stray: impl Fn() -> bool) -> Result<bool> {
    let mut held = Vec::new();
    for path in locks(folder) {
        match Lock::try_exclusive(&path)? {
            Some(lock) => held.push(lock),
            None => return Ok(false),
        }
    }
    if !stray() {
        return Ok(false);
    }
    files::remove_folder(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    Ok(true)
}

/// Removes an ephemeral cluster that nobody uses. One that is just being made has no lock held yet.
pub fn remove_ephemeral(folder: &Path) -> Result<bool> {
    let parent = folder.parent().unwrap_or(folder);
    let _creating = Lock::exclusive(&parent.join(CREATING_LOCK))?;
    remove(folder, || true)
}

/// A template cluster in the cache.
pub struct Template {
    /// Its folder.
    pub path: PathBuf,
    /// Why nobody will copy it again, if so.
    pub useless: Option<String>,
}

/// The template clusters below `cache`.
pub fn templates(launcher: &Launcher<'_>, cache: &Path) -> Vec<Template> {
    let folder = template::folder(cache);
    let making = !matches!(Lock::is_owned(&folder.join(template::LOCK)), Ok(false));
    let mut found: Vec<Template> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| Some((entry.path(), entry.file_name().into_string().ok()?)))
        .filter(|(_, name)| template::PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(path, name)| {
            let cut_off = [".new", ".part", ".gone"].iter().any(|end| name.ends_with(end));
            let useless = match cut_off {
                true => (!making).then(|| "a run was killed while it made or removed it".to_owned()),
                false => server_changed(launcher, &files::beside(&path, template::SIGNATURE)),
            };
            Template { path, useless }
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Removes a template cluster, unless one is being made.
pub fn remove_template(cache: &Path, path: &Path) -> Result<bool> {
    let Some(_making) = Lock::try_exclusive(&template::folder(cache).join(template::LOCK))? else {
        return Ok(false);
    };
    files::remove_folder(path).with_context(|| format!("cannot remove {}", path.display()))?;
    // Harmless where it stays: it names a template that is not there.
    let _ = fs::remove_file(files::beside(path, template::SIGNATURE));
    Ok(true)
}

/// Why the server that a template was made for will not ask for it again. A server that is there and does
/// not run, and one that nobody wrote down, are no reason.
fn server_changed(launcher: &Launcher<'_>, signature: &Path) -> Option<String> {
    let text = fs::read_to_string(signature).ok()?;
    let (version, bin) = text.trim_end().split_once('\n')?;
    let bin = Path::new(bin);
    match bin.join("postgres").try_exists() {
        Ok(false) => Some(format!("PostgreSQL {version} is no longer in {}", bin.display())),
        Ok(true) => versions::ask(launcher, &bin.join("postgres"))
            .filter(|now| now != version)
            .map(|now| format!("{} has {now} now, not {version}", bin.display())),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_holds_stays() -> Result<()> {
        let parent = tempfile::tempdir()?;
        let uid = rustix::process::geteuid().as_raw();
        let folder = parent.path().join("cluster");
        fs::create_dir_all(folder.join("data"))?;
        // The server's own, which it does not lock.
        fs::write(folder.join("data/.s.PGSQL.5432.lock"), "1")?;
        for lock in [Lock::shared, Lock::exclusive] {
            let held = lock(&folder.join("users.lock"))?;
            assert!(is_held(&folder) && unheld(parent.path(), uid).is_empty());
            assert!(!remove(&folder, || true)? && folder.is_dir());
            drop(held);
            assert_eq!(unheld(parent.path(), uid), std::slice::from_ref(&folder));
        }
        // Somebody else's is not ours to judge.
        assert!(unheld(parent.path(), uid + 1).is_empty());
        assert!(!remove(&folder, || false)? && folder.is_dir());
        assert!(remove(&folder, || true)? && !folder.exists());
        Ok(())
    }

    #[test]
    fn a_template_is_useless_once_its_server_is_gone_or_another() -> Result<()> {
        let cache = tempfile::tempdir()?;
        let screen = ();
        let env = crate::workspace::Env::take()?;
        let launcher = Launcher::new(&env, &screen, cache.path())?;
        let path = |name: &str| cache.path().join("postgres").join(name);
        let bin = cache.path().join("bin");
        fs::create_dir_all(&bin)?;
        fs::create_dir_all(path("template-15.1-00000000"))?;
        let useless = || templates(&launcher, cache.path()).remove(0).useless.unwrap_or_default();
        // Made before the tool wrote servers down.
        assert_eq!(useless(), "");
        fs::write(path("template-15.1-00000000.server"), format!("15.1\n{}\n", bin.display()))?;
        assert!(useless().contains("no longer"), "{}", useless());
        let postgres = bin.join("postgres");
        fs::write(&postgres, "#!/bin/sh\necho 'postgres (PostgreSQL) 15.2'\n")?;
        // There, and does not run: no reason.
        assert_eq!(useless(), "");
        fs::set_permissions(&postgres, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        assert!(useless().contains("has 15.2 now, not 15.1"), "{}", useless());
        assert!(remove_template(cache.path(), &path("template-15.1-00000000"))?);
        assert!(templates(&launcher, cache.path()).is_empty());
        assert!(!path("template-15.1-00000000.server").exists());
        Ok(())
    }
}
