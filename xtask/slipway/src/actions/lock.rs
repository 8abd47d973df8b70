//! `.github/sync-actions.lock`: what was pulled, and what was decided about it. One entry a line, so that git merges it.
//!
//! It is TOML, and read by hand: only what this tool writes is taken, and a check of 500 files takes no longer for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use semver::Version;

use super::manifest::Minimum;
use super::text::{Sum, marker};
use super::{FOLDER, LOCK, vet};
use crate::failure::{Code, Failure};

/// The lock's own version.
const FORMAT: &str = "1";
const HEAD: &str =
    "# Written by `cargo xtask sync-actions`. Whether it is true: cargo xtask sync-actions --check";

/// What was pulled, from where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// The address or folder.
    pub source: String,
    /// Where the manifest is in it.
    pub subdir: Option<String>,
    /// The full name of the tag or branch.
    pub git_ref: Option<String>,
    /// The tag's version.
    pub version: Option<Version>,
    /// The commit; a folder has none.
    pub commit: Option<String>,
    /// The oldest version that the source still wants to see.
    pub minimum: Option<Minimum>,
    /// By path from the root.
    pub files: BTreeMap<String, Entry>,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// git's name of the bytes in the source.
    pub blob: String,
    /// Their sum.
    pub sum: Sum,
    /// Whether the source has it executable.
    pub executable: bool,
    /// What was decided.
    pub state: State,
}

/// What was decided about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing: it is to be as the source has it.
    Pulled,
    /// This edit is the repository's own.
    Kept {
        /// What the file is.
        sum: Sum,
        /// Whether it is executable.
        executable: bool,
    },
    /// The repository does not want it.
    Deleted,
    /// It was written with marks of a conflict, or is no text and was left to a person.
    Conflict,
    /// The source has it no more, it was edited here, and that was left to a person.
    Gone,
}

impl Entry {
    /// Whether this repository has decided upon it.
    pub fn is_own(&self) -> bool {
        matches!(self.state, State::Kept { .. } | State::Deleted)
    }

    /// Whether somebody has to decide upon it.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Conflict | State::Gone)
    }
}

impl Lock {
    /// The lock of the repository at `root`, if it has one.
    pub fn read(root: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(root.join(LOCK)) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {LOCK}")),
        }
    }

    /// Reads the text of a lock.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(line) = marker(text.as_bytes()) {
            return Err(Failure::new(
                Code::Conflict,
                format!("{LOCK}:{line}: a merge of branches left its marks"),
            )
            .next(format!(
                "keep both branches' lines, or: git checkout --theirs {LOCK} && cargo xtask sync-actions"
            ))
            .into());
        }
        let mut lock = Lock::default();
        let mut format = None;
        let mut in_files = false;
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line == "[files]" {
                in_files = true;
                continue;
            }
            let read = match in_files {
                true => lock.read_entry(line),
                false => lock.read_head(line, &mut format),
            };
            read.ok_or_else(|| {
                Failure::new(
                    Code::Usage,
                    format!("{LOCK}:{}: not a line that sync-actions writes", index + 1),
                )
                .next(format!("git checkout -- {LOCK}"))
            })?;
        }
        match format {
            Some(FORMAT) if !lock.source.is_empty() => Ok(lock),
            Some(FORMAT) | None => {
                Err(Failure::new(Code::Usage, format!("{LOCK} names no format or no source"))
                    .next(format!("git checkout -- {LOCK}"))
                    .into())
            }
            Some(other) => Err(Failure::new(
                Code::Missing,
                format!("{LOCK} is of format {other}, this tool knows {FORMAT}"),
            )
            .next("a newer version of slipway, in xtask/Cargo.toml")
            .into()),
        }
    }

    fn read_head<'a>(&mut self, line: &'a str, format: &mut Option<&'a str>) -> Option<()> {
        let (key, value) = line.split_once(" = ")?;
        let text = || unquote(value);
        match key {
            "lock" => *format = Some(value),
            "source" => self.source = text()?,
            "subdir" => self.subdir = Some(text()?),
            "ref" => self.git_ref = Some(text()?),
            "version" => self.version = Some(text()?.parse().ok()?),
            "commit" => self.commit = Some(text().filter(|commit| is_object(commit))?),
            "minimum" => {
                let fields = fields(value)?;
                let field =
                    |name| fields.iter().find(|(key, _)| *key == name).and_then(|(_, text)| unquote(text));
                let version = field("version")?.parse().ok()?;
                self.minimum = Some(Minimum { version, warn: field("warn")?, fail: field("fail")? });
            }
            _ => return None,
        }
        Some(())
    }

    fn read_entry(&mut self, line: &str) -> Option<()> {
        let (path, value) = line.split_once(" = ")?;
        let path = unquote(path)?;
        // Hand-made or not, a lock leads nowhere that a source could not.
        vet::path(path.strip_prefix(FOLDER)?).ok()?;
        let (mut blob, mut executable, mut sum, mut kept, mut kept_mode) = (None, None, None, None, None);
        let mut state = State::Pulled;
        for (key, value) in fields(value)? {
            match (key, value) {
                ("blob", text) => blob = unquote(text).filter(|blob| is_object(blob)),
                ("mode", text) => executable = read_mode(text),
                ("sha256", text) => sum = Sum::read(&unquote(text)?),
                ("kept", text) => kept = Some(Sum::read(&unquote(text)?)?),
                ("kept-mode", text) => kept_mode = Some(read_mode(text)?),
                ("deleted", "true") => state = State::Deleted,
                ("conflict", "true") => state = State::Conflict,
                ("conflict", "\"gone\"") => state = State::Gone,
                _ => return None,
            }
        }
        let executable = executable?;
        if let Some(sum) = kept {
            state = State::Kept { sum, executable: kept_mode.unwrap_or(executable) };
        }
        // Two lines for one path are left by a merge of branches; which of them is true?
        let twice = self.files.insert(path, Entry { blob: blob?, sum: sum?, executable, state });
        twice.is_none().then_some(())
    }

    /// The text of the lock.
    pub fn text(&self) -> String {
        let mut text = format!("{HEAD}\nlock = {FORMAT}\nsource = {}\n", quote(&self.source));
        // Writing to a string cannot fail.
        let mut line = |key: &str, value: Option<String>| {
            let _ = value.map(|value| writeln!(text, "{key} = {value}"));
        };
        line("subdir", self.subdir.as_deref().map(quote));
        line("ref", self.git_ref.as_deref().map(quote));
        line("version", self.version.as_ref().map(|version| quote(&version.to_string())));
        line("commit", self.commit.as_deref().map(quote));
        line(
            "minimum",
            self.minimum.as_ref().map(|Minimum { version, warn, fail }| {
                format!("{{ version = \"{version}\", warn = \"{warn}\", fail = \"{fail}\" }}")
            }),
        );
        text += "\n[files]\n";
        for (path, Entry { blob, sum, executable, state }) in &self.files {
            let mode = mode(*executable);
            let _ =
                write!(text, "{} = {{ blob = \"{blob}\", mode = \"{mode}\", sha256 = \"{sum}\"", quote(path));
            let _ = match state {
                State::Pulled => Ok(()),
                State::Kept { sum, executable: own } if own == executable => {
                    write!(text, ", kept = \"{sum}\"")
                }
                State::Kept { sum, executable: own } => {
                    write!(text, ", kept = \"{sum}\", kept-mode = \"{}\"", self::mode(*own))
                }
                State::Deleted => write!(text, ", deleted = true"),
                State::Conflict => write!(text, ", conflict = true"),
                State::Gone => write!(text, ", conflict = \"gone\""),
            };
            text += " }\n";
        }
        text
    }
}

fn mode(executable: bool) -> &'static str {
    if executable { "755" } else { "644" }
}

fn read_mode(text: &str) -> Option<bool> {
    match text {
        "\"755\"" => Some(true),
        "\"644\"" => Some(false),
        _ => None,
    }
}

/// Whether it is git's name of an object, and of nothing else: no ref, no option.
fn is_object(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The pairs of `{ a = "x", b = true }`. No value of ours has a comma or a brace in it.
fn fields(value: &str) -> Option<Vec<(&str, &str)>> {
    let inner = value.strip_prefix("{ ")?.strip_suffix(" }")?;
    inner.split(", ").map(|pair| pair.split_once(" = ")).collect()
}

fn quote(text: &str) -> String {
    // Neither addresses nor paths that are let in have anything to escape; what has is written all the same.
    toml::Value::String(text.to_owned()).to_string()
}

fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner
        .filter(|inner| !inner.contains(|c: char| c == '"' || c == '\\' || c.is_control()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Result<Lock> {
        let entry = |state| Entry { blob: "a".repeat(40), sum: Sum::of(b"x"), executable: false, state };
        let kept = |executable| State::Kept { sum: Sum::of(b"y"), executable };
        let states = [State::Pulled, kept(false), kept(true), State::Deleted, State::Conflict, State::Gone];
        let names = (1..).map(|number| format!(".github/workflows/{number}.yml"));
        Ok(Lock {
            source: "https://github.com/acme/slipway".into(),
            subdir: Some("xtask/templates".into()),
            git_ref: Some("refs/tags/v1.8.0".into()),
            version: Some("1.8.0".parse()?),
            commit: Some("b".repeat(40)),
            minimum: Some(Minimum {
                version: "1.2.0".parse()?,
                warn: "2026-12-01".into(),
                fail: "2027-01-01".into(),
            }),
            files: names.zip(states.map(entry)).collect(),
        })
    }

    #[test]
    fn what_is_written_is_read_back_and_is_toml_in_order() -> Result<()> {
        let lock = full()?;
        let text = lock.text();
        assert_eq!(Lock::parse(&text)?, lock);
        let table: toml::Table = toml::from_str(&text)?;
        assert_eq!(table["files"].as_table().map(toml::Table::len), Some(6));
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("\".github")).collect();
        assert!(lines.is_sorted() && lines.len() == 6, "{text}");
        Ok(())
    }

    #[test]
    fn a_line_of_somebody_else_is_refused_with_its_number() -> Result<()> {
        let text = full()?.text();
        let lines = text.lines().count();
        let last = text.lines().last().unwrap_or_default();
        let entry = last.split_once(" = ").unwrap_or_default().1;
        for line in [
            "nonsense".to_owned(),
            last.to_owned(),
            format!("\".github/a\u{1b}[2J\" = {entry}"),
            format!("\".github/a\" = {}", entry.replace("aaaa", "+a:b")),
            format!("\"../x\" = {entry}"),
            format!("\".github/../x\" = {entry}"),
            format!("\".github/sync-actions.lock\" = {entry}"),
            last.replace("blob", "surprise"),
            last.replace("\"644\"", "\"4755\""),
        ] {
            let error = Lock::parse(&format!("{text}{line}\n")).err().map(|error| error.to_string());
            let place = format!("{LOCK}:{}: ", lines + 1);
            assert!(error.as_ref().is_some_and(|error| error.starts_with(&place)), "{line}: {error:?}");
        }
        Ok(())
    }
}
