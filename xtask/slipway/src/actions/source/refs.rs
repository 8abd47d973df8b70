//! Which commit is asked for, among the tags and branches of a repository. No ref is ever named in short: one name can be a
//! tag and a branch, and git's own commands disagree on which of them it means.

use std::collections::BTreeMap;

use anyhow::Result;
use semver::Version;

use super::{Target, Wanted};
use crate::actions::{Manifest, vet};
use crate::config::{Asked, Source};
use crate::failure::{Code, Failure};

/// How many versions an error names.
const SHOWN: usize = 6;

pub(super) struct Refs {
    refs: BTreeMap<String, String>,
    short: String,
    /// The full name and the commit of the tag, by its version.
    versions: BTreeMap<Version, (String, String)>,
}

impl Refs {
    /// From git's list: full names and objects; a tag that is an object of its own is there also with `^{}` and its commit.
    pub fn new(mut listed: BTreeMap<String, String>, source: &Source) -> Self {
        let peeled = listed.extract_if(.., |name, _| name.ends_with("^{}")).collect::<Vec<_>>();
        for (name, commit) in peeled {
            listed.insert(name.trim_end_matches("^{}").to_owned(), commit);
        }
        let mut versions: BTreeMap<Version, (String, String)> = BTreeMap::new();
        for (name, commit) in &listed {
            let Some(tag) = name.strip_prefix("refs/tags/") else { continue };
            let Ok(version) = tag.strip_prefix('v').unwrap_or(tag).parse::<Version>() else { continue };
            // `v1.0.0` comes after `1.0.0`, and is the usual one.
            versions.insert(version, (name.clone(), commit.clone()));
        }
        Refs { refs: listed, short: source.short(), versions }
    }

    /// All versions that are no pre-releases.
    pub fn versions(&self) -> Vec<Version> {
        self.versions.keys().filter(|version| version.pre.is_empty()).cloned().collect()
    }

    /// The newest version that is no pre-release.
    pub fn newest(&self) -> Option<Target> {
        self.versions().last().map(|version| self.of_version(version))
    }

    fn of_version(&self, version: &Version) -> Target {
        let (name, commit) = self.versions.get(version).cloned().unzip();
        Target { commit, git_ref: name, version: Some(version.clone()) }
    }

    /// Says where a tag is not the commit any more that was pulled.
    pub fn moved(&self, wanted: &Wanted<'_>) -> Option<Failure> {
        let locked = wanted.locked.filter(|_| !matches!(wanted.asked, Asked::Rev(_)))?;
        let (Some(name), Some(old)) = (&locked.git_ref, &locked.commit) else { return None };
        match self.refs.get(name).filter(|_| name.starts_with("refs/tags/")) {
            Some(new) if new != old => {
                let tag = name.trim_start_matches("refs/tags/");
                Some(Failure::new(Code::Failed, format!("{}: the tag {tag} was moved since you pulled it", self.short))
                    .fact("yours", old)
                    .fact("there", new)
                    .next(format!(
                        "ask whose it is; if that is right, once: rev = \"{new}\" instead of `version` in xtask.toml"
                    )))
            }
            _ => None,
        }
    }

    /// What is asked for; of a range the newest version that `told` does not say is withdrawn.
    pub fn target(&self, wanted: &Wanted<'_>, told: Option<&Manifest>) -> Result<Target> {
        let target = match wanted.asked {
            Asked::Rev(commit) => {
                return Ok(Target { commit: Some(commit.clone()), git_ref: None, version: None });
            }
            Asked::Branch(branch) => self.named(&format!("refs/heads/{branch}"))?,
            Asked::Tag(tag) => self.named(&format!("refs/tags/{tag}"))?,
            Asked::Version(range) => {
                let good = |version: &&Version| {
                    range.matches(version)
                        && wanted.exactly.is_none_or(|exactly| exactly == *version)
                        && told.is_none_or(|told| told.withdrawn(version).is_none())
                };
                let version = self.versions.keys().rev().find(good).ok_or_else(|| {
                    let asked = match wanted.exactly {
                        Some(exactly) => format!("version {exactly}"),
                        None if told.is_some() => format!("version in \"{range}\" that is not withdrawn"),
                        None => format!("version in \"{range}\""),
                    };
                    let there: Vec<String> =
                        self.versions.keys().rev().take(SHOWN).map(ToString::to_string).collect();
                    let there = match there.is_empty() {
                        true => "no tag that is a version: v1.0.0".to_owned(),
                        false => there.join(", "),
                    };
                    Failure::new(Code::Usage, format!("{} has no {asked}", self.short)).fact("there", there)
                })?;
                self.of_version(version)
            }
        };
        self.check_one_meaning(&target)?;
        Ok(target)
    }

    fn named(&self, name: &str) -> Result<Target> {
        let commit = self.refs.get(name).ok_or_else(|| {
            let (kind, short) = match name.strip_prefix("refs/tags/") {
                Some(tag) => ("tag", tag),
                None => ("branch", name.trim_start_matches("refs/heads/")),
            };
            let near = crate::failure::nearest(name, self.refs.keys().map(String::as_str));
            let failure = Failure::new(Code::Usage, format!("{} has no {kind} {short}", self.short));
            near.into_iter()
                .fold(failure, |failure, near| failure.next(format!("did you mean {}?", vet::shown(near))))
        })?;
        let tag = name.strip_prefix("refs/tags/").map(|tag| tag.strip_prefix('v').unwrap_or(tag));
        let version = tag.and_then(|tag| tag.parse().ok());
        Ok(Target { commit: Some(commit.clone()), git_ref: Some(name.to_owned()), version })
    }

    /// A tag and a branch of one name are a mistake, or a trap for whoever names them in short.
    fn check_one_meaning(&self, target: &Target) -> Result<()> {
        let name = target.git_ref.as_deref().unwrap_or_default();
        let (short, other) = match name.strip_prefix("refs/tags/") {
            Some(tag) => (tag, format!("refs/heads/{tag}")),
            None => {
                let branch = name.trim_start_matches("refs/heads/");
                (branch, format!("refs/tags/{branch}"))
            }
        };
        match self.refs.contains_key(&other) {
            true => Err(Failure::new(
                Code::Failed,
                format!("{}: {short} is a tag and a branch, two things under one name", self.short),
            )
            .next("the platform removes one of them")
            .into()),
            false => Ok(()),
        }
    }
}
