//! From `[actions]` to the files of one version.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, anyhow};
use semver::Version;

use self::refs::Refs;
use super::git::Objects;
use super::text::Sum;
use super::vet::{self, Listed};
use super::{File, Files, Git, Lock, MANIFEST, Manifest};
use crate::config::{Asked, Source};
use crate::failure::{Code, Failure};
use crate::files;
use crate::workspace::short_hash;

mod folder;
mod refs;

pub use folder::files as folder_files;

/// What is wanted of a source.
pub struct Wanted<'a> {
    /// Where from.
    pub source: &'a Source,
    /// Where the manifest is in it.
    pub subdir: Option<&'a str>,
    /// Which commit.
    pub asked: &'a Asked,
    /// Exactly this version of those.
    pub exactly: Option<&'a Version>,
    /// What is here.
    pub locked: Option<&'a Lock>,
}

/// One commit of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The commit; a folder has none.
    pub commit: Option<String>,
    /// The full name of its tag or branch.
    pub git_ref: Option<String>,
    /// The tag's version.
    pub version: Option<Version>,
}

impl Target {
    /// `v1.9.0`, `main`, `8d11e40`, or nothing for a folder.
    pub fn name(&self) -> String {
        match (&self.version, &self.git_ref, &self.commit) {
            (Some(version), ..) => format!("v{version}"),
            (None, Some(name), _) => name.rsplit_once('/').map_or(name.as_str(), |(_, last)| last).to_owned(),
            (None, None, Some(commit)) => commit.chars().take(7).collect(),
            (None, None, None) => String::new(),
        }
    }

    /// What a lock says that was pulled.
    pub fn of(lock: &Lock) -> Self {
        Target { commit: lock.commit.clone(), git_ref: lock.git_ref.clone(), version: lock.version.clone() }
    }
}

/// What a source has, as far as a lock is concerned.
pub struct Survey {
    /// What should be pulled, or why nothing can be.
    pub target: Result<Target>,
    /// The tag that was pulled is another commit now.
    pub moved: Option<Failure>,
    /// All versions, but for pre-releases.
    pub versions: Vec<Version>,
    /// What the newest of them says, or the target where there are none.
    pub newest: Manifest,
    /// Why not all of that could be read; `newest` is then what could be.
    pub unread: Option<anyhow::Error>,
    /// The target's own manifest, where it was read already.
    own: Option<Manifest>,
}

/// The files of a target.
pub struct Pulled {
    /// What was looked up.
    pub survey: Survey,
    /// Which commit they are of.
    pub target: Target,
    /// The target's own manifest.
    pub manifest: Manifest,
    /// By path from the root of the repository that pulls.
    pub files: Files,
}

impl Pulled {
    /// Old paths and their new ones: what the target says; where it is a version, the newest one knows better.
    pub fn renames(&self) -> BTreeMap<String, String> {
        let mut renames = self.manifest.renames.clone();
        if self.target.version.is_some() {
            renames.extend(self.survey.newest.renames.clone());
        }
        renames
    }

    /// The oldest version that is still good: of a version, what the newest one says.
    pub fn minimum(&self) -> Option<super::Minimum> {
        let newest = &self.survey.newest.minimum;
        let own = &self.manifest.minimum;
        match self.target.version.is_some() && self.survey.unread.is_none() {
            true => newest.clone(),
            false if self.target.version.is_some() => newest.as_ref().or(own.as_ref()).cloned(),
            false => own.clone(),
        }
    }
}

/// The folder that keeps what was fetched from `address`.
pub fn cache(caches: &Path, address: &str) -> std::path::PathBuf {
    caches.join("actions").join(format!("{}.git", short_hash(address.as_bytes())))
}

/// Looks up what should be pulled, and fetches it into the caches; what is there is not fetched again.
pub fn survey(git: &Git<'_>, root: &Path, caches: &Path, wanted: &Wanted<'_>) -> Result<Survey> {
    let address = match wanted.source {
        Source::Folder(folder) => {
            let newest = folder::manifest(root, folder)?;
            let target = Ok(Target::default());
            return Ok(Survey { target, moved: None, versions: Vec::new(), newest, unread: None, own: None });
        }
        Source::Git(address) => address,
    };
    let refs = Refs::new(git.refs(address)?, wanted.source);
    let moved = refs.moved(wanted);
    let cache = cache(caches, address);
    std::fs::create_dir_all(cache.parent().unwrap_or(caches))?;
    let _ours = files::Lock::exclusive(&files::beside(&cache, "lock"))?;
    let is_new = git.init(&cache)?;
    let newest = refs.newest();
    let mut target = refs.target(wanted, None);
    let old = pulled_branch(wanted);
    let locked = wanted.locked.and_then(|locked| locked.commit.as_deref());
    let first = [target.as_ref().ok(), newest.as_ref()];
    if let Err(error) = get(git, &cache, address, (old, locked), first, is_new) {
        // What is told about the versions that are here counts, even where nothing else can be had.
        let Some(newest) = newest.as_ref().filter(|newest| target.as_ref().ok() != Some(newest)) else {
            return Err(error);
        };
        get(git, &cache, address, (None, locked), [Some(newest), None], is_new)?;
        target = target.and(Err(error));
    }
    let bytes_of = |target: &Target| manifests(git, &cache, wanted, target);
    let name = |target: &Target| format!("{} {}", wanted.source.short(), target.name());
    let teller = match newest {
        Some(newest) => newest,
        None => {
            let only = target?;
            target = Ok(only.clone());
            only
        }
    };
    let is_target = target.as_ref().is_ok_and(|target| *target == teller);
    let bytes = bytes_of(&teller);
    let read = match &bytes {
        Ok(bytes) => Manifest::read(bytes, &name(&teller)),
        Err(error) => Err(anyhow!("{error}")),
    };
    let (told, unread, mut own) = match read {
        Ok(told) => (told.clone(), None, is_target.then_some(told)),
        Err(error) => {
            // A version of this tool that cannot read all of it still heeds what it can.
            let told = bytes.as_ref().ok().and_then(|bytes| Manifest::read_in_part(bytes));
            let own = target.as_ref().ok().filter(|_| told.is_none() && !is_target);
            let own = own.and_then(|own| Manifest::read(&bytes_of(own).ok()?, &name(own)).ok());
            (told.or_else(|| own.clone()).unwrap_or_default(), Some(bytes.err().unwrap_or(error)), own)
        }
    };
    while let Ok(found) = &target {
        let Some(why) = found.version.as_ref().and_then(|version| told.withdrawn(version)) else { break };
        if wanted.locked.is_some_and(|locked| locked.commit == found.commit) && wanted.exactly.is_some() {
            break;
        }
        own = None;
        if wanted.exactly.is_some() || !matches!(wanted.asked, Asked::Version(_)) {
            let what = format!("{} {} was withdrawn", wanted.source.short(), found.name());
            let failure = Failure::new(Code::Failed, what).why(why);
            target = Err(failure.next("cargo xtask sync-actions status").into());
            break;
        }
        target = refs.target(wanted, Some(&told));
        if let Ok(found) = &target {
            get(git, &cache, address, (None, locked), [Some(found), None], false)?;
        }
    }
    Ok(Survey { target, moved, versions: refs.versions(), newest: told, unread, own })
}

/// The commit of the branch that was pulled, where the branch is still asked for.
fn pulled_branch<'a>(wanted: &Wanted<'a>) -> Option<&'a str> {
    let branch = wanted.locked.filter(|locked| {
        let same = locked.git_ref.as_deref().is_some_and(|name| name.starts_with("refs/heads/"));
        same && matches!(wanted.asked, Asked::Branch(_))
    });
    branch.and_then(|locked| locked.commit.as_deref())
}

/// The manifest of a target, unread.
fn manifests(git: &Git<'_>, cache: &Path, wanted: &Wanted<'_>, target: &Target) -> Result<Vec<u8>> {
    let commit = target.commit.as_deref().unwrap_or_default();
    let spec = match wanted.subdir {
        Some(subdir) => format!("{commit}:{subdir}/{MANIFEST}"),
        None => format!("{commit}:{MANIFEST}"),
    };
    let most = super::manifest::LONGEST + 1;
    let found = git.contents(Objects::Bare(cache), &[spec], most).map_err(|error| {
        let (short, name) = (wanted.source.short(), target.name());
        let most = super::manifest::LONGEST / 1024;
        let what = format!("{short} {name}: {MANIFEST} has more than {most} KiB, or cannot be read");
        Failure::new(Code::Usage, what).why(error)
    })?;
    found.into_iter().next().flatten().ok_or_else(|| {
        let place = wanted.subdir.map(|subdir| format!(" in {subdir}")).unwrap_or_default();
        Failure::new(
            Code::Usage,
            format!("{} {} has no {MANIFEST}{place} that can be read", wanted.source.short(), target.name()),
        )
        .next("set `subdir` in xtask.toml [actions] to the folder that has it")
        .into()
    })
}

/// Fetches the commits of targets that are not in the cache; the first has to come after `old`.
fn get<'a>(
    git: &Git<'_>,
    cache: &Path,
    address: &str,
    (old, locked): (Option<&str>, Option<&str>),
    targets: impl IntoIterator<Item = Option<&'a Target>>,
    is_new: bool,
) -> Result<()> {
    let mut commits: Vec<&str> =
        targets.into_iter().flatten().filter_map(|target| target.commit.as_deref()).collect();
    commits.dedup();
    let old = old.filter(|old| !commits.contains(old));
    let (mut missing, mut have) = (commits.clone(), None);
    if !is_new {
        let asked: Vec<&str> = commits.iter().copied().chain(locked).collect();
        let trees: Vec<String> = asked.iter().map(|commit| format!("{commit}^{{tree}}")).collect();
        let there = git.have(cache, &trees)?;
        missing =
            commits.iter().zip(&there).filter(|(_, there)| !**there).map(|(commit, _)| *commit).collect();
        have = locked.filter(|_| there.last() == Some(&true));
    }
    if !missing.is_empty() || old.is_some() {
        let wants = if missing.is_empty() { &commits } else { &missing };
        git.fetch(cache, address, wants, have, old.is_some())?;
    }
    if let (Some(old), Some(new)) = (old, commits.first())
        && !git.is_ancestor(cache, old, new)?
    {
        return Err(Failure::new(
            Code::Failed,
            format!("{address}: the history of the branch was rewritten"),
        )
        .fact("yours", old)
        .fact("there", *new)
        .next(format!("if that is right, once: rev = \"{new}\" instead of `branch` in xtask.toml [actions]"))
        .into());
    }
    Ok(())
}

/// The files of what a survey found. Nothing is let in that [`vet`] does not know.
pub fn pull(git: &Git<'_>, root: &Path, caches: &Path, wanted: &Wanted<'_>) -> Result<Pulled> {
    let mut survey = survey(git, root, caches, wanted)?;
    if let Some(moved) = survey.moved.take() {
        return Err(moved.into());
    }
    let target = survey.target?;
    survey.target = Ok(target.clone());
    let address = match wanted.source {
        Source::Folder(folder) => {
            let files = folder::named_files(git, root, folder)?;
            return Ok(Pulled { manifest: survey.newest.clone(), survey, target, files });
        }
        Source::Git(address) => address,
    };
    let cache = cache(caches, address);
    let what = format!("{} {}", wanted.source.short(), target.name());
    let manifest = match &survey.own {
        Some(own) => own.clone(),
        None => Manifest::read(&manifests(git, &cache, wanted, &target)?, &what)?,
    };
    let commit = target.commit.as_deref().unwrap_or_default();
    let tree = wanted.subdir.map_or(format!("{commit}^{{tree}}"), |subdir| format!("{commit}:{subdir}"));
    let mut paths = manifest.files.clone();
    paths.push(MANIFEST.to_owned());
    let mut listed = git.list(&cache, &tree, &paths, &what)?;
    // What was read as the manifest may have been where a link leads.
    if listed.get(MANIFEST).is_some_and(|manifest| manifest.mode & 0o170_000 != 0o100_000) {
        return Err(Failure::new(Code::Usage, format!("{what}: {MANIFEST} is no plain file")).into());
    }
    if !manifest.files.iter().any(|path| path.trim_end_matches('/') == MANIFEST) {
        listed.remove(MANIFEST);
    }
    check_listed(&manifest, &listed, &what)?;
    let listed = vet::list(listed, &what)?;
    let names: Vec<String> = listed.values().map(|file| file.blob.clone()).collect();
    let contents = git.contents(Objects::Bare(&cache), &names, vet::TOTAL)?;
    let mut files = Files::new();
    for ((path, Listed { mode, blob, .. }), bytes) in listed.into_iter().zip(contents) {
        let bytes = bytes.ok_or_else(|| {
            Failure::new(Code::Failed, format!("{what}: the contents of {path} did not come"))
                .next(format!("rm -r {}      (a cache), then the same command", cache.display()))
        })?;
        files.insert(path, File { blob, sum: Sum::of(&bytes), executable: mode == 0o100_755, bytes });
    }
    Ok(Pulled { survey, target, manifest, files })
}

/// Refuses a manifest that names what is not there.
fn check_listed(manifest: &Manifest, listed: &BTreeMap<String, Listed>, what: &str) -> Result<()> {
    for path in &manifest.files {
        let folder = format!("{}/", path.trim_end_matches('/'));
        if !listed.keys().any(|file| file == path || file.starts_with(&folder)) {
            return Err(Failure::new(
                Code::Usage,
                format!("{what}: {MANIFEST} names `{path}`, which is not there"),
            )
            .into());
        }
    }
    Ok(())
}

/// The bytes that were locked, where they can still be found: in this repository's own objects, in the cache, at the
/// source. By git's names of them.
pub fn bases(
    git: &Git<'_>,
    root: &Path,
    caches: &Path,
    lock: &Lock,
    blobs: &[String],
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let look = |objects, found: &mut BTreeMap<String, Vec<u8>>| {
        let missing: Vec<String> = blobs.iter().filter(|blob| !found.contains_key(*blob)).cloned().collect();
        // Not a repository, or one that git does not trust: the next place.
        let contents = git.contents(objects, &missing, vet::TOTAL).unwrap_or_default();
        found.extend(missing.into_iter().zip(contents).filter_map(|(blob, bytes)| Some((blob, bytes?))));
    };
    look(Objects::Around(root), &mut found);
    if let (Ok(Source::Git(address)), Some(commit)) = (crate::config::read_source(&lock.source), &lock.commit)
    {
        let cache = cache(caches, &address);
        let _ours = files::Lock::exclusive(&files::beside(&cache, "lock"))?;
        git.init(&cache)?;
        look(Objects::Bare(&cache), &mut found);
        if found.len() < blobs.len() && git.fetch(&cache, &address, &[commit], None, false).is_ok() {
            look(Objects::Bare(&cache), &mut found);
        }
    }
    Ok(found)
}
