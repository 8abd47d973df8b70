//! How far two texts are from each other, in lines.

use std::collections::HashMap;

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

/// How much of two texts is the same, in percent of their bytes: lines in common, wherever they are.
pub fn similarity(old: &[u8], new: &[u8]) -> usize {
    let total = old.len() + new.len();
    let mut counts: HashMap<&[u8], usize> = HashMap::new();
    lines(old).iter().for_each(|line| *counts.entry(line).or_default() += 1);
    let mut shared = 0;
    for line in lines(new) {
        if let Some(count) = counts.get_mut(line).filter(|count| **count > 0) {
            *count -= 1;
            shared += 2 * line.len();
        }
    }
    (shared * 100).checked_div(total).unwrap_or(100)
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
        assert_eq!(similarity(b"a\nb\n", b"b\na\n"), 100);
        assert_eq!(similarity(b"a\nb\n", b"a\nc\n"), 50);
        assert_eq!(similarity(b"", b""), 100);
        assert_eq!(similarity(b"a\n", b""), 0);
    }
}
