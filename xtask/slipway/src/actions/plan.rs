//! The plan: for each path a pure function of what was locked, what is here and what is new. It reads and writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::here::Here;
use super::lock::{Entry, State};
use super::{File, Files, renames};

/// What becomes of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the file is to be.
    pub path: String,
    /// Where it was, if it is renamed.
    pub from: Option<String>,
    /// What happens.
    pub change: Change,
}

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it is as pulled, and that has not changed.
    Same,
    /// It is new, and nothing is in its place.
    Add,
    /// It was as pulled, and has changed.
    Update,
    /// It was as pulled, and is gone from the source, or it was deleted here too.
    Remove,
    /// What is here is already what it is to be.
    Agreed,
    /// It was edited here, and has not changed in the source.
    Edited,
    /// It was edited here, and has changed in the source.
    Merge,
    /// It was deleted here, and has not changed in the source.
    Deleted,
    /// It was deleted here, and has changed in the source.
    DeletedAndChanged,
    /// It was edited here, and is gone from the source.
    EditedAndGone,
    /// It is new in the source, and another file is in its place.
    InTheWay,
}

/// A file of ours, where there is one.
fn is_edited(entry: &Entry, here: &Here) -> bool {
    !matches!(here, Here::File { sum, executable, .. } if *sum == entry.sum && *executable == entry.executable)
}

/// Whether the source has another file than what was pulled.
fn has_changed(entry: &Entry, file: &File) -> bool {
    file.sum != entry.sum || file.executable != entry.executable
}

/// The paths whose base is needed: edited here, and changed, renamed or gone there.
pub fn edited_on_both_sides<'a>(
    locked: &'a BTreeMap<String, Entry>,
    here: &BTreeMap<String, Here>,
    new: &Files,
) -> Vec<(&'a String, &'a Entry)> {
    let both = |(path, entry): &(&String, &Entry)| {
        let changed = new.get(*path).is_none_or(|file| has_changed(entry, file));
        changed
            && here.get(*path).is_some_and(|here| matches!(here, Here::File { .. }) && is_edited(entry, here))
    };
    locked.iter().filter(both).collect()
}

/// Plans each path. `declared` names renames of the source, `bases` has what was locked, by git's name, where it could be
/// found.
pub fn plan(
    locked: &BTreeMap<String, Entry>,
    here: &BTreeMap<String, Here>,
    new: &Files,
    declared: &BTreeMap<String, String>,
    bases: &BTreeMap<String, Vec<u8>>,
) -> Vec<Step> {
    let renamed = renames::find(locked, here, new, declared, bases);
    let sources: BTreeSet<&String> = renamed.values().collect();
    let mut steps = Vec::new();
    let paths: BTreeSet<&String> = locked.keys().chain(new.keys()).collect();
    for path in paths {
        let from = renamed.get(path);
        if from.is_none() && sources.contains(path) && !new.contains_key(path) {
            // It is told of at its new name.
            continue;
        }
        let change = match from {
            Some(from) => renamed_file(locked.get(from), here.get(from), here.get(path), new.get(path)),
            None => change(locked.get(path), here.get(path).unwrap_or(&Here::Absent), new.get(path)),
        };
        steps.push(Step { path: path.clone(), from: from.cloned(), change });
    }
    steps
}

/// The table.
fn change(locked: Option<&Entry>, here: &Here, new: Option<&File>) -> Change {
    let is_new = |file: &File| matches!(here, Here::File { sum, executable, .. } if *sum == file.sum && *executable == file.executable);
    match (locked, here, new) {
        (None, Here::Absent, _) => Change::Add,
        (None, _, Some(file)) if is_new(file) => Change::Agreed,
        (None, _, _) => Change::InTheWay,
        (Some(entry), Here::Absent, Some(file)) => match has_changed(entry, file) {
            false => Change::Deleted,
            true => Change::DeletedAndChanged,
        },
        (Some(_), Here::Absent, None) => Change::Remove,
        (Some(entry), _, Some(file)) => match (is_edited(entry, here), has_changed(entry, file)) {
            (false, false) => Change::Same,
            (false, true) => Change::Update,
            (true, _) if is_new(file) => Change::Agreed,
            (true, false) => Change::Edited,
            (true, true) => Change::Merge,
        },
        // Content that its owner has decided upon is an edit, also where the source once had the same.
        (Some(entry), _, None) => match is_edited(entry, here) || entry.state == State::Gone {
            false => Change::Remove,
            true => Change::EditedAndGone,
        },
    }
}

/// The same for a file that has another name in the source: what is here is at the old one.
fn renamed_file(
    entry: Option<&Entry>,
    old: Option<&Here>,
    at_new: Option<&Here>,
    file: Option<&File>,
) -> Change {
    let (Some(entry), Some(file)) = (entry, file) else { return Change::Add };
    let at_new = at_new.unwrap_or(&Here::Absent);
    match change(None, at_new, Some(file)) {
        Change::InTheWay => return Change::InTheWay,
        // Both have renamed it.
        Change::Agreed => return Change::Agreed,
        _ => {}
    }
    match change(Some(entry), old.unwrap_or(&Here::Absent), Some(file)) {
        // Its bytes move, whether they change or not.
        Change::Same => Change::Update,
        // An edit is carried.
        Change::Edited => Change::Merge,
        change => change,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::text::Sum;

    fn here(text: &str) -> Here {
        match text {
            "" => Here::Absent,
            "link" => Here::Link("x".into()),
            _ => Here::File { bytes: text.into(), sum: Sum::of(text.as_bytes()), executable: false },
        }
    }

    /// All that can stand beside each other: `a`, `b` and `c` are contents, an empty text is no file.
    #[test]
    fn the_table() {
        for (locked, now, new, wanted) in [
            ("", "", "b", Change::Add),
            ("", "b", "b", Change::Agreed),
            ("", "c", "b", Change::InTheWay),
            ("", "link", "b", Change::InTheWay),
            ("a", "a", "a", Change::Same),
            ("a", "a", "b", Change::Update),
            ("a", "a", "", Change::Remove),
            ("a", "b", "a", Change::Edited),
            ("a", "b", "b", Change::Agreed),
            ("a", "c", "b", Change::Merge),
            ("a", "c", "", Change::EditedAndGone),
            ("a", "", "a", Change::Deleted),
            ("a", "", "b", Change::DeletedAndChanged),
            ("a", "", "", Change::Remove),
            ("a", "link", "b", Change::Merge),
            ("a", "link", "", Change::EditedAndGone),
        ] {
            let entry = |text: &str| Entry {
                blob: text.into(),
                sum: Sum::of(text.as_bytes()),
                executable: false,
                state: State::Pulled,
            };
            let file = |text: &str| File {
                blob: text.into(),
                sum: Sum::of(text.as_bytes()),
                executable: false,
                bytes: text.into(),
            };
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let found = change(
                some(locked).map(|text| entry(&text)).as_ref(),
                &here(now),
                some(new).map(|text| file(&text)).as_ref(),
            );
            assert_eq!(found, wanted, "locked {locked:?}, here {now:?}, new {new:?}");
        }
    }
}
