//! Contents that were changed on both sides, through `git merge-file`: in LF, line by line, each file with its own ends.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::git::Git;
use super::text::{is_binary, with_ends_of, with_lf};
use super::{decide::Side, pins};

/// What became of a merge.
#[derive(Debug)]
pub enum Merged {
    /// Both edits are in it.
    Clean {
        /// The result.
        bytes: Vec<u8>,
        /// What was decided on the way, for people.
        told: Vec<String>,
    },
    /// Both changed the same lines.
    Lines {
        /// The result with both, between marks.
        marked: Vec<u8>,
    },
    /// No text, or nothing to compare with.
    Whole,
}

/// The three versions of a file.
pub struct Three<'a> {
    /// What was pulled, if it could be found.
    pub base: Option<&'a [u8]>,
    /// What is here.
    pub ours: &'a [u8],
    /// What is new.
    pub theirs: &'a [u8],
}

/// Merges, in the folder `scratch`. `name` is what the new version is called; with a side, its lines are taken where both
/// changed the same.
pub fn merge(
    git: &Git<'_>,
    scratch: &Path,
    three: &Three<'_>,
    name: &str,
    side: Option<Side>,
) -> Result<Merged> {
    let Three { base, ours, theirs } = *three;
    if [base.unwrap_or_default(), ours, theirs].into_iter().any(is_binary) {
        return Ok(Merged::Whole);
    }
    // Against nothing, an empty file is one that nobody changed: the other one would win without a word.
    let is_empty = || ours.is_empty() || theirs.is_empty();
    if base.is_none() && (side.is_some() || ours != theirs && is_empty()) {
        return Ok(Merged::Whole);
    }
    let texts = [base.unwrap_or_default(), ours, theirs].map(with_lf);
    let (mut texts, mut told) = (texts.map(std::borrow::Cow::into_owned), Vec::new());
    if let [Ok(base), Ok(ours), Ok(theirs)] = [0, 1, 2].map(|index| std::str::from_utf8(&texts[index])) {
        let agreed = pins::agree(base, ours, theirs, name);
        told = agreed.told;
        texts = [agreed.base, agreed.ours, agreed.theirs].map(String::into_bytes);
    }
    let [base, mine, new] = &texts;
    let (merged, conflicts) = if mine == base {
        (new.clone(), 0)
    } else if new == base || new == mine {
        (mine.clone(), 0)
    } else {
        let files = ["ours", "base", "theirs"].map(|file| scratch.join(file));
        std::fs::create_dir_all(scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
        for (file, text) in files.iter().zip([mine, base, new]) {
            std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        let side = side.map(|side| if side == Side::Ours { "--ours" } else { "--theirs" });
        let [one, two, three] = &files;
        git.merge([one, two, three], ["yours", "base", name], side)?
    };
    let bytes = with_ends_of(&merged, ours).into_owned();
    Ok(match conflicts {
        0 => Merged::Clean { bytes, told },
        _ => Merged::Lines { marked: bytes },
    })
}

/// The first place where both changed the same lines: its line, then the lines of base, yours and theirs.
pub fn first_hunk(marked: &[u8]) -> Option<(usize, [String; 3])> {
    let text = String::from_utf8_lossy(marked);
    let (mut at, mut parts) = (None, [const { Vec::new() }; 3]);
    for (index, line) in text.lines().enumerate() {
        match (at, line) {
            (None, line) if line.starts_with("<<<<<<< ") => at = Some((index + 1, 1)),
            (Some((first, 1)), line) if line.starts_with("||||||| ") => at = Some((first, 0)),
            (Some((first, 0)), "=======") => at = Some((first, 2)),
            (Some((first, 2)), line) if line.starts_with(">>>>>>> ") => {
                return Some((first, parts.map(|lines| lines.join("\n"))));
            }
            (Some((_, part)), line) => parts[part].push(line),
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hunk_is_read_from_the_marks() {
        let marked = "a\n<<<<<<< yours\nb\n||||||| base\nc\nd\n=======\n>>>>>>> v1\ne\n<<<<<<< yours\n";
        let wanted = ["c\nd".to_owned(), "b".to_owned(), String::new()];
        assert_eq!(first_hunk(marked.as_bytes()), Some((2, wanted)));
        assert_eq!(first_hunk(b"a\n"), None);
    }
}
