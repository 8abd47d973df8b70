//! `templates.toml`: what a source shares, and what it says about its versions. Every key: docs/sync-actions.md.

use std::collections::BTreeMap;

use anyhow::Result;
use semver::{Version, VersionReq};
use serde::Deserialize;

use super::{MANIFEST, vet};
use crate::failure::{Code, Failure};
use crate::workspace::VERSION;

/// Longer manifests are not read, in bytes.
pub const LONGEST: u64 = 256 * 1024;

/// What a source says about itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Files, or folders with all below them.
    pub files: Vec<String>,
    #[serde(default, rename = "requires")]
    _requires: Option<VersionReq>,
    /// The version of this tool that the files call.
    pub tool: Option<Version>,
    /// The oldest version that is still good.
    pub minimum: Option<Minimum>,
    /// Old paths and their new ones, from the root of the repository that pulls.
    #[serde(default)]
    pub renames: BTreeMap<String, String>,
    /// What is told about versions.
    #[serde(default)]
    pub versions: BTreeMap<Version, Told>,
}

/// From which day on an older version is warned of, and from which it fails.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Minimum {
    /// The version.
    pub version: Version,
    /// `2026-12-01`
    pub warn: String,
    /// `2027-01-01`
    pub fail: String,
}

/// What is told about one version.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// One line.
    pub notes: Option<String>,
    /// How much it matters.
    #[serde(default)]
    pub severity: Severity,
    /// Why nobody is given it any more.
    pub withdrawn: Option<String>,
}

/// How much a version matters to those who do not have it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can wait.
    #[default]
    Normal,
    /// Something has to be done when it is taken.
    Breaking,
    /// It closes a hole.
    Security,
}

/// The one key that every version of this tool must understand.
#[derive(Deserialize)]
struct Requires {
    requires: Option<VersionReq>,
}

impl Manifest {
    /// Reads a manifest that `what` has. A source that needs another version of this tool is refused before its other keys
    /// are looked at, which may be new.
    pub fn read(bytes: &[u8], what: &str) -> Result<Self> {
        let refuse = |text: String| Failure::new(Code::Usage, format!("{what}: {MANIFEST}{text}"));
        if bytes.len() as u64 > LONGEST {
            return Err(refuse(format!(" has more than {} KiB", LONGEST / 1024)).into());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| refuse(" is not UTF-8 text".to_owned()))?;
        let wrong = |error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            refuse(format!(":{line}: {}", vet::shown(&error.message().replace('\n', "; "))))
        };
        let Requires { requires } = toml::from_str(text).map_err(wrong)?;
        let ours: Version = VERSION.parse()?;
        if let Some(requires) = requires.filter(|requires| !requires.matches(&ours)) {
            return Err(Failure::new(
                Code::Missing,
                format!("{what} requires slipway {requires}; this is {VERSION}"),
            )
            .next("set the newer version of slipway in xtask/Cargo.toml, then the same command")
            .into());
        }
        let mut manifest: Manifest = toml::from_str(text).map_err(wrong)?;
        manifest.check(what)?;
        Ok(manifest)
    }

    /// What can be read of a manifest that is for a later version of this tool, or has mistakes: what it tells about
    /// versions. Its files are not for us.
    pub fn read_in_part(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|_| bytes.len() as u64 <= LONGEST)?;
        let table: toml::Table = text.parse().ok()?;
        let text_of = |value: &toml::Value, key: &str| Some(vet::shown(value.get(key)?.as_str()?));
        let told = |value: &toml::Value| Told {
            notes: text_of(value, "notes"),
            severity: value.get("severity").and_then(|it| it.clone().try_into().ok()).unwrap_or_default(),
            withdrawn: text_of(value, "withdrawn"),
        };
        let entries = |key: &str| table.get(key).and_then(toml::Value::as_table).into_iter().flatten();
        let versions = entries("versions").filter_map(|(key, value)| Some((key.parse().ok()?, told(value))));
        let renames = entries("renames")
            .filter_map(|(old, new)| Some((vet::path(old).ok()?, vet::path(new.as_str()?).ok()?)));
        let minimum = table.get("minimum").and_then(|minimum| {
            let version = text_of(minimum, "version")?.parse().ok()?;
            let day = |key| text_of(minimum, key).filter(|day| is_day(day));
            Some(Minimum { version, warn: day("warn")?, fail: day("fail")? })
        });
        Some(Manifest {
            minimum,
            renames: renames.collect(),
            versions: versions.collect(),
            ..Manifest::default()
        })
    }

    fn check(&mut self, what: &str) -> Result<()> {
        let refuse = |text: String| Failure::new(Code::Usage, format!("{what}: {MANIFEST}: {text}"));
        if self.files.is_empty() {
            return Err(refuse("`files` names nothing".to_owned()).into());
        }
        for path in &self.files {
            vet::path(path.trim_end_matches('/')).map_err(|why| refuse(format!("`files` {why}")))?;
        }
        let mut renames = BTreeMap::new();
        for (old, new) in &self.renames {
            let old = vet::path(old).map_err(|why| refuse(format!("`renames` {why}")))?;
            renames.insert(old, vet::path(new).map_err(|why| refuse(format!("`renames` {why}")))?);
        }
        self.renames = renames;
        for day in self.minimum.iter().flat_map(|minimum| [&minimum.warn, &minimum.fail]) {
            if !is_day(day) {
                return Err(refuse(format!("`{}` is no day such as 2026-12-01", vet::shown(day))).into());
            }
        }
        for told in self.versions.values_mut() {
            // It is shown on a terminal, which obeys what it is told.
            for text in [&mut told.notes, &mut told.withdrawn].into_iter().flatten() {
                *text = vet::shown(text);
            }
        }
        Ok(())
    }

    /// Why nobody should be given this version, if so.
    pub fn withdrawn(&self, version: &Version) -> Option<&str> {
        self.versions.get(version)?.withdrawn.as_deref()
    }

    /// What is told about the versions after `from` up to `to`, the newest first.
    pub fn news(&self, from: Option<&Version>, to: &Version) -> Vec<(&Version, &Told)> {
        let later = |version: &Version| from.is_none_or(|from| version > from);
        let told = self.versions.iter().rev();
        told.filter(|(version, told)| {
            *version <= to && later(version) && (told.notes.is_some() || told.withdrawn.is_some())
        })
        .collect()
    }
}

/// Whether a text is a day, so that days compare as texts do.
fn is_day(text: &str) -> bool {
    let shape = |(index, byte): (usize, u8)| {
        if index == 4 || index == 7 { byte == b'-' } else { byte.is_ascii_digit() }
    };
    text.len() == 10 && text.bytes().enumerate().all(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        match Manifest::read(text.as_bytes(), "acme/slipway v1.0.0") {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_source_for_another_tool_is_refused_before_its_unknown_keys_are() {
        assert_eq!(
            said("requires = \">=99\"\nnew-key = 1"),
            format!("acme/slipway v1.0.0 requires slipway >=99; this is {VERSION}")
        );
        assert!(said("files = [\"a\"]\nnew-key = 1").contains("templates.toml:2: unknown field `new-key`"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, wanted) in [
            ("", "missing field `files`"),
            ("files = []", "`files` names nothing"),
            ("files = [\"../x\"]", "`files` "),
            ("files = [\"a\"]\n[renames]\n\"/etc/x\" = \"a\"", "`renames` "),
            (
                "files = [\"a\"]\nminimum = { version = \"1.0.0\", warn = \"soon\", fail = \"later\" }",
                "`soon` is no day",
            ),
            ("files = [\"a\"]\n[versions.\"1.0.0\"]\nseverity = \"huge\"", "unknown variant `huge`"),
        ] {
            assert!(said(text).contains(wanted), "{text}: {}", said(text));
        }
    }

    #[test]
    fn a_note_cannot_talk_to_the_terminal() -> Result<()> {
        let text = "files = [\"a\"]\n[versions.\"1.0.0\"]\nnotes = \"a\\u001b[2Jb\\nc\"";
        let manifest = Manifest::read(text.as_bytes(), "x")?;
        let news = manifest.news(None, &"1.0.0".parse()?);
        assert_eq!(news.first().and_then(|(_, told)| told.notes.as_deref()), Some("a?[2Jb?c"));
        Ok(())
    }
}
