//! Which new file is an old one under another name: as the source declares, else by identical content, else the most
//! similar one. Workflows look alike: git's own 50 % takes strangers for each other.

use std::collections::{BTreeMap, BTreeSet};

use super::distance::Lines;
use super::here::Here;
use super::lock::Entry;
use super::text::Sum;
use super::{File, Files};

/// How much of two files must be the same, in percent.
const ALIKE: usize = 90;

/// Of more pairs than this, only identical files are found. 500 files that are replaced by 500 others are a new set of
/// templates, which people declare or decide upon: comparing each with each would take longer than anybody waits.
const MOST_PAIRS: usize = 250_000;

/// The old path by the new one. Only pulled files are renamed, and only to where nothing was pulled before.
pub fn find(
    locked: &BTreeMap<String, Entry>,
    here: &BTreeMap<String, Here>,
    new: &Files,
    declared: &BTreeMap<String, String>,
    bases: &BTreeMap<String, Vec<u8>>,
) -> BTreeMap<String, String> {
    let mut gone: BTreeSet<&String> = locked.keys().filter(|path| !new.contains_key(*path)).collect();
    let mut come: BTreeMap<&String, &File> =
        new.iter().filter(|(path, _)| !locked.contains_key(*path)).collect();
    let mut renamed = BTreeMap::new();
    let mut pair =
        |old: &String, path: &String, gone: &mut BTreeSet<&String>, come: &mut BTreeMap<&String, &File>| {
            gone.remove(old);
            come.remove(path);
            renamed.insert(path.clone(), old.clone());
        };
    for old in gone.clone() {
        // A file may have been renamed in several of the versions that are passed over.
        let mut path = declared.get(old);
        let mut seen = BTreeSet::from([old]);
        while let Some(next) = path.filter(|path| !come.contains_key(path)) {
            path = declared.get(next).filter(|_| seen.insert(next));
        }
        if let Some(path) = path {
            pair(old, path, &mut gone, &mut come);
        }
    }
    for old in gone.clone() {
        // One empty file is like any other.
        let sum = locked.get(old).map(|entry| entry.sum).filter(|sum| *sum != Sum::of(b""));
        let same: Vec<&String> =
            come.iter().filter(|(_, file)| sum == Some(file.sum)).map(|(path, _)| *path).collect();
        // The same content at several places says nothing about which of them it went to; but for one of that file name.
        let name = |path: &String| path.rsplit('/').next().map(str::to_owned);
        let path = match same[..] {
            [path] => Some(path),
            _ => same.into_iter().find(|path| name(path) == name(old)),
        };
        if let Some(path) = path {
            pair(old, path, &mut gone, &mut come);
        }
    }
    if gone.len().saturating_mul(come.len()) > MOST_PAIRS {
        return renamed;
    }
    let new_lines: Vec<(&String, Lines<'_>)> =
        come.iter().map(|(path, file)| (*path, Lines::of(&file.bytes))).collect();
    let mut alike = Vec::new();
    for old in &gone {
        let Some(entry) = locked.get(*old) else { continue };
        // What was pulled: from git's objects, or from here, where nobody edited it.
        let base = bases.get(&entry.blob).map(Vec::as_slice).or_else(|| match here.get(*old) {
            Some(Here::File { bytes, sum, .. }) if *sum == entry.sum => Some(bytes),
            _ => None,
        });
        let Some(base) = base.filter(|base| !base.is_empty()) else { continue };
        let base = Lines::of(base);
        for (path, lines) in &new_lines {
            if let Some(percent) = base.similarity(lines, ALIKE) {
                alike.push((percent, (*old).clone(), (*path).clone()));
            }
        }
    }
    alike.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| (&a.1, &a.2).cmp(&(&b.1, &b.2))));
    for (_, old, path) in alike {
        if gone.contains(&old) && come.contains_key(&path) {
            pair(&old, &path, &mut gone, &mut come);
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::lock::State;

    fn text(from: usize, lines: usize) -> String {
        (from..from + lines).map(|line| format!("step {line:03}\n")).collect()
    }

    fn found(
        old: &[(&str, String)],
        new: &[(&str, String)],
        declared: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let sum = |text: &String| Sum::of(text.as_bytes());
        let entry =
            |text| Entry { blob: String::new(), sum: sum(text), executable: false, state: State::Pulled };
        let file = |text: &String| File {
            blob: String::new(),
            sum: sum(text),
            executable: false,
            bytes: text.clone().into_bytes(),
        };
        let here = |text: &String| Here::File {
            bytes: text.clone().into_bytes(),
            sum: sum(text),
            executable: false,
        };
        let locked = old.iter().map(|(path, text)| (path.to_string(), entry(text))).collect();
        let now = old.iter().map(|(path, text)| (path.to_string(), here(text))).collect();
        let new = new.iter().map(|(path, text)| (path.to_string(), file(text))).collect();
        let declared = declared.iter().map(|(old, new)| (old.to_string(), new.to_string())).collect();
        find(&locked, &now, &new, &declared, &BTreeMap::new()).into_iter().collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(new, old)| (new.to_string(), old.to_string())).collect()
    }

    #[test]
    fn declared_then_identical_then_alike() {
        let old = [("a", text(0, 20)), ("b", text(100, 20)), ("c", text(200, 20))];
        let new = [("x", text(200, 20)), ("y", text(100, 20)), ("z", text(201, 20))];
        // Declared, although another is identical; identical; and what is left is alike to nothing that is left.
        assert_eq!(found(&old, &new, &[("a", "x")]), pairs(&[("x", "a"), ("y", "b"), ("z", "c")]));
        assert_eq!(found(&old, &new, &[]), pairs(&[("x", "c"), ("y", "b")]));
    }

    #[test]
    fn strangers_that_look_alike_are_strangers() {
        let old = [("a", text(0, 20))];
        assert_eq!(found(&old, &[("x", text(3, 20))], &[]), pairs(&[]));
        assert_eq!(found(&old, &[("x", text(2, 20))], &[]), pairs(&[("x", "a")]));
        // Empty files are alike, and say nothing.
        assert_eq!(found(&[("a", String::new())], &[("x", String::new())], &[]), pairs(&[]));
        // What is still there was not renamed.
        assert_eq!(found(&old, &[("a", text(0, 20)), ("x", text(0, 20))], &[("a", "x")]), pairs(&[]));
    }

    #[test]
    fn many_files_that_are_replaced_take_no_minute() {
        let begun = std::time::Instant::now();
        let set = |name: &str, count: usize| -> Vec<(String, String)> {
            let text =
                |file| (0..400).map(|line| format!("{name} {file} {}\n", line % 300)).collect::<String>();
            (0..count).map(|file| (format!("{name}{file:04}"), format!("{}same\n", text(file)))).collect()
        };
        for (count, alike) in [(400, 1), (1_000, 0)] {
            let (mut old, new) = (set("old", count), set("new", count));
            // One is identical, one almost.
            old[7].1 = new[9].1.clone();
            old[8].1 = new[5].1.replace("same\n", "other\n");
            let old: Vec<(&str, String)> = old.iter().map(|(path, text)| (&**path, text.clone())).collect();
            let new: Vec<(&str, String)> = new.iter().map(|(path, text)| (&**path, text.clone())).collect();
            let wanted = [("new0005", "old0008"), ("new0009", "old0007")];
            assert_eq!(found(&old, &new, &[]), pairs(&wanted[1 - alike..]));
        }
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_chain_of_declared_names_is_followed_and_a_ring_is_not() {
        let (old, new) = ([("a", text(0, 9))], [("c", text(50, 9))]);
        assert_eq!(found(&old, &new, &[("a", "b"), ("b", "c")]), pairs(&[("c", "a")]));
        assert_eq!(found(&old, &new, &[("a", "b"), ("b", "a")]), pairs(&[]));
    }
}
