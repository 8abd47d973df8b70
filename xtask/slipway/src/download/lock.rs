//! xtask.lock, committed at the root of a repository: which bytes each download must have.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::failure::{Code, Failure};
use crate::files::{self, Lock};

/// The file's name.
pub const LOCK_FILE: &str = "xtask.lock";

const HEAD: &str = "# SHA-256 of what `cargo xtask` downloads. Commit this file: what differs is refused.\n";

/// The sums of one repository.
pub struct Pins {
    /// xtask.lock.
    pub path: PathBuf,
    /// Held while it is changed: two commands at once may pin two files.
    pub guard: PathBuf,
}

impl Pins {
    /// Every sum by its file.
    pub fn all(&self) -> Result<BTreeMap<String, String>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(parse(&text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        }
    }

    /// The sum of a file, if it is pinned.
    pub fn get(&self, asset: &str) -> Result<Option<String>> {
        Ok(self.all()?.remove(asset))
    }

    /// Pins a file. A sum that is there is never replaced.
    pub fn set(&self, asset: &str, sum: &str) -> Result<()> {
        let _alone = Lock::exclusive(&self.guard)?;
        let mut all = self.all()?;
        match all.get(asset) {
            Some(found) if found == sum => Ok(()),
            Some(found) => Err(Failure::new(Code::Failed, format!("{LOCK_FILE} pins another {asset}"))
                .fact("found", sum)
                .fact("want", format!("{found}, says {LOCK_FILE}"))
                .next("a new sum goes into xtask.lock by hand, after a look at where it is from")
                .into()),
            None => {
                all.insert(asset.to_owned(), sum.to_owned());
                files::write_atomic(&self.path, render(&all).as_bytes()).map_err(|error| {
                    Failure::new(Code::Failed, format!("cannot pin {asset} in {LOCK_FILE}"))
                        .why(error.root_cause())
                        .next(format!("ls -ld {}", self.path.display()))
                        .into()
                })
            }
        }
    }
}

/// Whether `text` is a SHA-256 as we write it.
pub(super) fn is_sum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn render(pins: &BTreeMap<String, String>) -> String {
    let mut text = HEAD.to_owned();
    for (asset, sum) in pins {
        let _ = writeln!(text, "\"{asset}\" = \"{sum}\"");
    }
    text
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let wrong = |at: usize, what: &str| {
        let line = text.get(..at).unwrap_or(text).matches('\n').count() + 1;
        Failure::new(Code::Usage, format!("{LOCK_FILE}:{line}: {what}"))
            .next(format!("git checkout {LOCK_FILE}      (each line: \"file\" = \"64 hexadecimal digits\")"))
    };
    let pins: BTreeMap<String, toml::Spanned<String>> = toml::from_str(text).map_err(|error| {
        wrong(error.span().map_or(0, |span| span.start), error.message().lines().next().unwrap_or_default())
    })?;
    if let Some((asset, sum)) = pins.iter().find(|(_, sum)| !is_sum(sum.get_ref())) {
        return Err(wrong(sum.span().start, &format!("no SHA-256 for {asset}")));
    }
    Ok(pins.into_iter().map(|(asset, sum)| (asset, sum.into_inner())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_kept_sorted_and_never_replaced() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let pins = Pins { path: folder.path().join(LOCK_FILE), guard: folder.path().join("guard") };
        let (one, two) = ("1".repeat(64), "f".repeat(64));
        assert_eq!(pins.get("b.tar.gz")?, None);
        pins.set("b.tar.gz", &one)?;
        pins.set("a.tar.gz", &two)?;
        pins.set("a.tar.gz", &two)?;
        let text = std::fs::read_to_string(&pins.path)?;
        assert_eq!(text, format!("{HEAD}\"a.tar.gz\" = \"{two}\"\n\"b.tar.gz\" = \"{one}\"\n"));
        let refused = pins.set("b.tar.gz", &two).err().and_then(|error| error.downcast::<Failure>().ok());
        let facts = refused.map(|failure| failure.facts).unwrap_or_default();
        assert_eq!(facts.first(), Some(&("found", two)));
        assert!(facts.get(1).is_some_and(|(_, want)| want.starts_with(&one)));
        assert_eq!(std::fs::read_to_string(&pins.path)?, text);
        Ok(())
    }

    #[test]
    fn a_lock_that_was_merged_badly_is_refused_with_its_line() {
        let sum = "0".repeat(64);
        for (text, line) in [
            (format!("{HEAD}\"a\" = \"{sum}\"\n<<<<<<< HEAD\n"), 3),
            (format!("{HEAD}\"a\" = \"{sum}\"\n\"b\" = \"{}\"\n", &sum[1..]), 3),
            (format!("\"a\" = \"{}\"\n", "G".repeat(64)), 1),
            (format!("\"a\" = \"{sum}\"\n\"a\" = \"{sum}\"\n"), 2),
            ("\"a\" = 7\n".to_owned(), 1),
        ] {
            let failure = parse(&text).err();
            assert!(
                failure
                    .as_ref()
                    .is_some_and(|failure| failure.what.starts_with(&format!("xtask.lock:{line}: "))
                        && failure.code == 2),
                "{text}: {failure:?}"
            );
        }
    }
}
