//! Secrets in an image: all values in all their forms, in one pass over its parts.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use anyhow::{Context as _, Result};

/// A secret to search for. It cannot be printed, so that no message shows the value.
pub struct Needle {
    /// The secret's name.
    pub name: String,
    /// The forms of its value; empty ones are passed over, because they are everywhere.
    pub spellings: Vec<Vec<u8>>,
}

/// Where a secret was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The secret's name.
    pub name: String,
    /// The name of the part that it is in.
    pub part: String,
    /// Where in that part it begins, at its first.
    pub offset: u64,
}

/// Searches `parts`, each with its name, for all `needles`. Gives each needle once for each part that has it,
/// in the order of the parts, then of the needles. Each that is there is named, also where its value is a
/// part of another's.
pub fn search(needles: &[Needle], parts: &[(String, &[u8])]) -> Result<Vec<Place>> {
    // Which needle a pattern belongs to.
    let (owners, patterns): (Vec<usize>, Vec<&[u8]>) = needles
        .iter()
        .enumerate()
        .flat_map(|(index, needle)| needle.spellings.iter().map(move |form| (index, form.as_slice())))
        .filter(|(_, form)| !form.is_empty())
        .unzip();
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    // The standard kind of match is the one that can give those that overlap.
    let searcher = AhoCorasick::new(patterns).context("cannot search for so many secrets")?;
    let mut places = Vec::new();
    for (part, bytes) in parts {
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        for found in searcher.find_overlapping_iter(bytes) {
            // They come in the order of their ends.
            let owner = owners.get(found.pattern().as_usize()).context("a match of no pattern")?;
            let start = first.entry(*owner).or_insert(found.start());
            *start = found.start().min(*start);
        }
        places.extend(first.into_iter().filter_map(|(index, start)| {
            let name = needles.get(index)?.name.clone();
            Some(Place { name, part: part.clone(), offset: start as u64 })
        }));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::spellings;

    fn needle(name: &str, value: &str) -> Needle {
        Needle { name: name.to_owned(), spellings: spellings(value) }
    }

    fn place(name: &str, part: &str, offset: u64) -> Place {
        Place { name: name.to_owned(), part: part.to_owned(), offset }
    }

    /// Bytes that look like a program's.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x5eed_u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(length)
        .collect()
    }

    #[test]
    fn every_planted_form_is_found_where_it_begins() -> Result<()> {
        let values = [
            ("DATABASE_URL", "postgres://links:p%40ss@db.internal/links?sslmode=verify-full"),
            ("EDIT_TOKEN", "gJ3k+/x9Qz=="),
            ("MAIL_KEY", "key \"with\" <odd> & ünusual\tparts"),
            ("PEM", "-----BEGIN KEY-----\nMIIB+/x=\n-----END KEY-----\n"),
        ];
        let needles: Vec<Needle> = values.iter().map(|(name, value)| needle(name, value)).collect();
        let noise = noise(1_000);
        let mut planted = Vec::new();
        for (name, value) in values {
            for form in spellings(value) {
                for at in [0_usize, 1, 511, 999, 1_000] {
                    let mut bytes = noise.clone();
                    bytes.splice(at..at, form.iter().copied());
                    planted.push((name, at as u64, bytes));
                }
            }
        }
        let parts: Vec<(String, &[u8])> = planted
            .iter()
            .enumerate()
            .map(|(index, (_, _, bytes))| (index.to_string(), &bytes[..]))
            .collect();
        let places = search(&needles, &parts)?;
        for (index, (name, at, _)) in planted.iter().enumerate() {
            // A shorter form can begin within a longer one: base64 without its first characters.
            let begins = |place: &Place| (*at..at + 4).contains(&place.offset);
            let is = |place: &&Place| place.part == index.to_string() && place.name == *name;
            assert!(places.iter().find(is).is_some_and(begins), "{name} at {at}");
        }
        assert!(planted.len() > 200, "{}", planted.len());
        assert_eq!(search(&needles, &[("noise".to_owned(), noise.as_slice())])?, []);
        Ok(())
    }

    #[test]
    fn a_value_within_another_is_named_too() -> Result<()> {
        let needles = [
            needle("INNER", "horse battery"),
            needle("OUTER", "correct horse battery staple"),
            needle("SAME", "horse battery"),
            needle("NONE", ""),
        ];
        let parts =
            [("config".to_owned(), &b"{}"[..]), ("layer 1".to_owned(), b"x correct horse battery staple")];
        assert_eq!(
            search(&needles, &parts)?,
            [place("INNER", "layer 1", 10), place("OUTER", "layer 1", 2), place("SAME", "layer 1", 10)]
        );
        Ok(())
    }

    #[test]
    fn each_part_is_named_once_with_its_first_place() -> Result<()> {
        let needles = [needle("EDIT_TOKEN", "s3cretToken42")];
        let twice = b"-s3cretToken42-s3cretToken42";
        let parts =
            [("a".to_owned(), &twice[..]), ("b".to_owned(), b"none"), ("c".to_owned(), b"s3cretToken42")];
        assert_eq!(search(&needles, &parts)?, [place("EDIT_TOKEN", "a", 1), place("EDIT_TOKEN", "c", 0)]);
        assert_eq!(search(&[], &parts)?, []);
        Ok(())
    }
}
