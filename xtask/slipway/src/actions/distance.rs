//! How far two texts are from each other, in lines.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher as _, BuildHasherDefault};

/// Beyond so many changed lines, they are counted as a heap: exact numbers help nobody then, and take long.
const MOST: usize = 2_000;

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

/// How many lines were added and removed between two contents: what `git diff --stat` says.
pub fn added_and_removed(old: &[u8], new: &[u8]) -> (usize, usize) {
    let (mut old, mut new) = (lines(old).into_iter(), lines(new).into_iter());
    while old.len() > 0 && old.as_slice().first() == new.as_slice().first() {
        old.next();
        new.next();
    }
    while old.len() > 0 && old.as_slice().last() == new.as_slice().last() {
        old.next_back();
        new.next_back();
    }
    let (old, new) = (old.as_slice(), new.as_slice());
    let same = edits(old, new).map_or_else(|| heap(old, new), |edits| (old.len() + new.len() - edits) / 2);
    (new.len() - same, old.len() - same)
}

/// The least number of lines to remove and add, unless it is above [`MOST`] (Myers 1986, the greedy algorithm).
fn edits(old: &[&[u8]], new: &[&[u8]]) -> Option<usize> {
    let most = (old.len() + new.len()).min(MOST);
    // The farthest `x` on each diagonal `x - y`, shifted to be an index.
    let middle = most + 1;
    let mut farthest = vec![0_usize; 2 * most + 3];
    for edits in 0..=most {
        for diagonal in (middle - edits..=middle + edits).step_by(2) {
            let down = diagonal == middle - edits
                || diagonal != middle + edits && farthest[diagonal - 1] < farthest[diagonal + 1];
            let mut x = if down { farthest[diagonal + 1] } else { farthest[diagonal - 1] + 1 };
            // Beyond the texts there is nothing to match.
            while x < old.len() && old.get(x) == (x + middle).checked_sub(diagonal).and_then(|y| new.get(y)) {
                x += 1;
            }
            farthest[diagonal] = x;
            if x >= old.len() && x + middle >= diagonal + new.len() {
                return Some(edits);
            }
        }
    }
    None
}

/// How many lines two texts share, wherever they are.
fn heap(old: &[&[u8]], new: &[&[u8]]) -> usize {
    let mut counts: HashMap<&[u8], usize> = HashMap::new();
    old.iter().for_each(|line| *counts.entry(line).or_default() += 1);
    let mut shared = 0;
    for line in new {
        if let Some(count) = counts.get_mut(line).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    shared
}

/// The lines of a text, counted once, to be compared with those of many others.
pub struct Lines<'a> {
    /// Each line with its hash and how often it is there, in the order of the hashes.
    counts: Vec<(u64, &'a [u8], usize)>,
    bytes: usize,
}

impl<'a> Lines<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        let mut counts: HashMap<&[u8], usize> = HashMap::new();
        lines(bytes).into_iter().for_each(|line| *counts.entry(line).or_default() += 1);
        let hash = BuildHasherDefault::<DefaultHasher>::default();
        let counts = counts.into_iter().map(|(line, count)| (hash.hash_one(line), line, count));
        let mut counts: Vec<_> = counts.collect();
        counts.sort_unstable();
        Lines { counts, bytes: bytes.len() }
    }

    /// How much of two texts is the same, in percent of their bytes: lines in common, wherever they are. `None`: less than
    /// `least` percent, which most pairs of strangers show at once, by their lengths or their first lines.
    pub fn similarity(&self, other: &Self, least: usize) -> Option<usize> {
        let total = self.bytes + other.bytes;
        let is_too_far = |strange: usize| (total - strange) * 100 < least * total;
        // Of the longer one, this much is in no line of the shorter one.
        if is_too_far(self.bytes.abs_diff(other.bytes)) {
            return None;
        }
        let (mut mine, mut others) = (self.counts.as_slice(), other.counts.as_slice());
        let mut strange = 0;
        while let (Some((hash, line, count)), Some((other_hash, other_line, other_count))) =
            (mine.first(), others.first())
        {
            let order = (hash, line).cmp(&(other_hash, other_line));
            strange += match order {
                Ordering::Less => line.len() * count,
                Ordering::Equal => line.len() * count.abs_diff(*other_count),
                Ordering::Greater => other_line.len() * other_count,
            };
            if is_too_far(strange) {
                return None;
            }
            mine = mine.get(usize::from(order.is_le())..).unwrap_or_default();
            others = others.get(usize::from(order.is_ge())..).unwrap_or_default();
        }
        strange += mine.iter().chain(others).map(|(_, line, count)| line.len() * count).sum::<usize>();
        (!is_too_far(strange)).then(|| ((total - strange) * 100).checked_div(total).unwrap_or(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_git_does() {
        for (old, new, wanted) in [
            ("", "", (0, 0)),
            ("", "a\nb\n", (2, 0)),
            ("a\nb\n", "", (0, 2)),
            ("a\nb\nc\n", "a\nx\nc\n", (1, 1)),
            ("a\nb\nc\nd\n", "b\nc\nd\ne\n", (1, 1)),
            ("a\nb", "a\nb\n", (1, 1)),
            ("a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n", (2, 3)),
        ] {
            assert_eq!(added_and_removed(old.as_bytes(), new.as_bytes()), wanted, "{old:?} {new:?}");
        }
    }

    #[test]
    fn far_texts_are_counted_too() {
        let text = |from: usize| (from..from + 3_000).map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!(added_and_removed(text(0).as_bytes(), text(3_000).as_bytes()), (3_000, 3_000));
    }

    #[test]
    fn similarity_is_the_share_of_bytes_in_common_lines() {
        for (old, new, least, wanted) in [
            ("a\nb\n", "b\na\n", 100, Some(100)),
            ("a\nb\n", "a\nc\n", 0, Some(50)),
            ("a\nb\n", "a\nc\n", 50, Some(50)),
            ("a\nb\n", "a\nc\n", 51, None),
            ("a\na\na\nb\n", "a\nb\nb\nb\n", 0, Some(50)),
            ("", "", 100, Some(100)),
            ("a\n", "", 0, Some(0)),
            ("a\n", "", 1, None),
        ] {
            let [one, other] = [old, new].map(|text| Lines::of(text.as_bytes()));
            assert_eq!(one.similarity(&other, least), wanted, "{old:?} {new:?} {least}");
            assert_eq!(other.similarity(&one, least), wanted, "{new:?} {old:?} {least}");
        }
    }
}
