//! `uses: actions/checkout@<commit> # v7.0.1`, bumped here and in the source: the higher version wins.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A line that names an action, and where in it the pin is.
struct Pin<'a> {
    /// `actions/checkout`
    action: &'a str,
    /// What follows the `@`: commit and comment, or a tag.
    pin: &'a str,
    /// The line before the pin.
    head: &'a str,
}

/// Texts whose bumps of one action agree, and what is to be told about it.
pub struct Agreed {
    /// What was pulled.
    pub base: String,
    /// What is here.
    pub ours: String,
    /// What is new.
    pub theirs: String,
    /// One line for each action that both had bumped.
    pub told: Vec<String>,
}

fn pin(line: &str) -> Option<Pin<'_>> {
    let rest = line.trim_start();
    let rest = rest.strip_prefix("- ").map_or(rest, str::trim_start);
    let value = rest.strip_prefix("uses:")?.trim_start();
    let (action, pin) = value.split_once('@')?;
    let known = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let is_action = action.contains('/') && action.chars().all(known) && !action.starts_with('.');
    is_action.then(|| Pin { action, pin, head: &line[..line.len() - pin.len()] })
}

/// The version of a pin: of its comment, else of the tag that it is.
fn version(pin: &str) -> Option<Vec<u64>> {
    let text = match pin.split_once('#') {
        Some((_, comment)) => comment
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c == 'v' || c.is_ascii_digit()))?,
        None => pin.trim(),
    };
    let numbers = text.strip_prefix('v').unwrap_or(text).split('.');
    let numbers: Option<Vec<u64>> = numbers.map(|number| number.parse().ok()).collect();
    numbers.filter(|numbers| !numbers.is_empty() && numbers.len() <= 3)
}

/// Which is the higher version. `v7` counts as 7.0.0.
fn compare(ours: &str, theirs: &str) -> Option<Ordering> {
    let (mut ours, mut theirs) = (version(ours)?, version(theirs)?);
    ours.resize(3, 0);
    theirs.resize(3, 0);
    Some(ours.cmp(&theirs))
}

/// The pins of each action, in the order of its lines.
fn pins(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Pin { action, pin, .. } in text.lines().filter_map(pin) {
        found.entry(action).or_default().push(pin);
    }
    found
}

/// Brings the pins of three texts together, where both sides bumped the same line of the same action. `name` is what the
/// source's version is called.
pub fn agree(base: &str, ours: &str, theirs: &str, name: &str) -> Agreed {
    let (in_base, in_ours, in_theirs) = (pins(base), pins(ours), pins(theirs));
    let mut winners: BTreeMap<&str, Vec<Option<&str>>> = BTreeMap::new();
    let mut told = Vec::new();
    for (action, old) in &in_base {
        let (Some(mine), Some(new)) = (in_ours.get(action), in_theirs.get(action)) else { continue };
        if mine.len() != old.len() || new.len() != old.len() {
            continue;
        }
        let lines = old.iter().zip(mine).zip(new);
        let winner = lines.map(|((old, mine), new)| {
            let both = mine != old && new != old && mine != new;
            match compare(mine, new).filter(|_| both)? {
                Ordering::Less => Some(*new),
                Ordering::Greater => Some(*mine),
                // One version and two commits: nobody can tell which is meant.
                Ordering::Equal => None,
            }
        });
        let winner: Vec<Option<&str>> = winner.collect();
        let first = winner.iter().zip(mine).find_map(|(winner, mine)| Some(((*winner)?, *mine)));
        if let Some((pin, mine)) = first {
            let shown = shown(pin);
            told.push(match pin == mine {
                true => format!("your {action} {shown} is newer and stays"),
                false => format!("{action} {shown} of {name} is newer than your {}", self::shown(mine)),
            });
            winners.insert(action, winner);
        }
    }
    let set = |text: &str| set(text, &winners);
    Agreed { base: set(base), ours: set(ours), theirs: set(theirs), told }
}

/// `v7.0.1`
fn shown(pin: &str) -> String {
    version(pin).map_or_else(String::new, |numbers| {
        format!("v{}", numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("."))
    })
}

fn set(text: &str, winners: &BTreeMap<&str, Vec<Option<&str>>>) -> String {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut whole = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let plain = line.strip_suffix('\n').unwrap_or(line);
        let Some(Pin { action, head, .. }) = pin(plain) else {
            whole += line;
            continue;
        };
        let index = seen.entry(action).or_default();
        let winner = winners.get(action).and_then(|winners| winners.get(*index).copied().flatten());
        *index += 1;
        match winner {
            Some(pin) => {
                whole += head;
                whole += pin;
                whole += &line[plain.len()..];
            }
            None => whole += line,
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pin: &str) -> String {
        format!("steps:\n  - uses: actions/checkout@{pin}\n    with: {{}}\n")
    }

    #[test]
    fn the_higher_version_wins_on_either_side() {
        for (base, ours, theirs, wanted, told) in [
            (
                "a # v6",
                "b # v7.0.1",
                "c # v7.0.0",
                "b # v7.0.1",
                "your actions/checkout v7.0.1 is newer and stays",
            ),
            (
                "a # v6",
                "b # v6.1",
                "c # v7",
                "c # v7",
                "actions/checkout v7 of v1.9.0 is newer than your v6.1",
            ),
            ("v4", "v5", "v6", "v6", "actions/checkout v6 of v1.9.0 is newer than your v5"),
        ] {
            let agreed = agree(&line(base), &line(ours), &line(theirs), "v1.9.0");
            let wanted = line(wanted);
            assert_eq!((&agreed.base, &agreed.ours, &agreed.theirs), (&wanted, &wanted, &wanted));
            assert_eq!(agreed.told, [told]);
        }
    }

    #[test]
    fn what_cannot_be_compared_is_left() {
        for (base, ours, theirs) in [
            ("a # v6", "a # v6", "c # v7"),
            ("a # v6", "b # v7", "a # v6"),
            ("a # v6", "b # v7", "b # v7"),
            ("a # v6", "b # v7", "c # v7"),
            ("a # v6", "main", "c # v7"),
            ("a # v6", "b # latest", "c # v7"),
        ] {
            let agreed = agree(&line(base), &line(ours), &line(theirs), "v1.9.0");
            assert_eq!((agreed.base, agreed.ours, agreed.theirs), (line(base), line(ours), line(theirs)));
            assert_eq!(agreed.told, Vec::<String>::new());
        }
    }
}
