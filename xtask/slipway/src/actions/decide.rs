//! From the plan to what is written: contents merged, sides taken, conflicts left.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::distance::added_and_removed;
use super::here::Here;
use super::lock::{Entry, State};
use super::merge::{Merged, Three, first_hunk, merge};
use super::plan::{Change, Step};
use super::text::{Sum, with_ends_of, with_lf};
use super::{File, Files, Git};

/// Of a file that was written with marks, which are gone.
const UNDECIDED: &str = "its conflict was not decided yet; once it is: sync-actions keep";

/// Whose lines are taken where both changed the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// This repository's.
    Ours,
    /// The source's.
    Theirs,
}

/// What somebody has decided.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// By path.
    pub sides: BTreeMap<String, Side>,
    /// Whether all other conflicts are written, with marks.
    pub markers: bool,
}

/// What becomes of a path.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Where the file is to be.
    pub path: String,
    /// Where it was, if it is renamed.
    pub from: Option<String>,
    /// Why.
    pub change: Option<Change>,
    /// What is written, and whether it can be executed.
    pub write: Option<(Vec<u8>, bool)>,
    /// Whether the file at `path` goes.
    pub remove: bool,
    /// Whether the file at `from` goes.
    pub remove_from: bool,
    /// What the lock will say.
    pub entry: Option<Entry>,
    /// Whether what is overwritten or removed was edited, and has to be kept somewhere.
    pub backup: bool,
    /// Lines added and removed here.
    pub lines: (usize, usize),
    /// For people.
    pub told: Vec<String>,
    /// What nobody has decided.
    pub conflict: Option<Conflict>,
}

/// Two edits that cannot both be.
#[derive(Debug)]
pub struct Conflict {
    /// `line 18`, or why there are no lines.
    pub place: String,
    /// What was pulled, what is here, what is new.
    pub three: [Option<Vec<u8>>; 3],
    /// The lines of the first place where both changed the same.
    pub hunk: Option<[String; 3]>,
}

/// What is decided upon.
pub struct Matter<'a> {
    /// What was pulled.
    pub locked: &'a BTreeMap<String, Entry>,
    /// What is here.
    pub here: &'a BTreeMap<String, Here>,
    /// What is new.
    pub new: &'a Files,
    /// Contents that were pulled, by git's names of them.
    pub bases: &'a BTreeMap<String, Vec<u8>>,
    /// What the new version is called.
    pub name: &'a str,
    /// Where git may merge files.
    pub scratch: &'a Path,
}

/// A file that is here.
struct Ours<'a> {
    bytes: &'a [u8],
    sum: Sum,
    executable: bool,
}

impl Matter<'_> {
    fn ours(&self, path: &str) -> Option<Ours<'_>> {
        match self.here.get(path) {
            Some(Here::File { bytes, sum, executable }) => {
                Some(Ours { bytes, sum: *sum, executable: *executable })
            }
            _ => None,
        }
    }

    /// What was pulled as `entry`: from git's objects, or what is here, where nobody edited it.
    fn base(&self, entry: &Entry, ours: &Ours<'_>) -> Option<Vec<u8>> {
        let found = self.bases.get(&entry.blob).filter(|bytes| Sum::of(bytes) == entry.sum);
        found.cloned().or_else(|| (ours.sum == entry.sum).then(|| ours.bytes.to_vec()))
    }
}

/// Decides upon each step.
pub fn decide(
    git: &Git<'_>,
    matter: &Matter<'_>,
    steps: Vec<Step>,
    decided: &Decided,
) -> Result<Vec<Outcome>> {
    steps.into_iter().map(|step| one(git, matter, step, decided)).collect()
}

/// A file of the source with what was decided about it.
fn entry(file: &File, state: State) -> Entry {
    Entry { blob: file.blob.clone(), sum: file.sum, executable: file.executable, state }
}

fn one(git: &Git<'_>, matter: &Matter<'_>, step: Step, decided: &Decided) -> Result<Outcome> {
    let Step { path, from, change } = step;
    let old_path = from.as_ref().unwrap_or(&path);
    let (locked, file) = (matter.locked.get(old_path), matter.new.get(&path));
    let side = decided.sides.get(&path).copied();
    let ours = matter.ours(if change == Change::InTheWay { &path } else { old_path });
    let mut outcome =
        Outcome { path: path.clone(), from: from.clone(), change: Some(change), ..Outcome::default() };
    if let Some(from) = from.as_ref() {
        let is_pulled = |ours: &Ours<'_>| locked.is_some_and(|locked| locked.sum == ours.sum);
        let old = matter.ours(from);
        // An edit that is not carried stays where it is.
        let carried = matches!(change, Change::Update | Change::Merge);
        outcome.remove_from = old.as_ref().is_some_and(|old| carried || is_pulled(old));
        if old.is_some() && !outcome.remove_from {
            outcome.told.push(format!("{from} was edited and stays; it is not shared any more"));
        }
    }
    match (change, file) {
        (Change::Remove, _) => {
            outcome.remove = ours.is_some();
            outcome.lines = added_and_removed(ours.map_or(b"", |ours| ours.bytes), b"");
        }
        (Change::EditedAndGone, _) | (_, None) => gone(&mut outcome, matter, locked, ours, side, decided),
        (_, Some(file)) => stays(git, &mut outcome, matter, (locked, ours, file), side, decided)?,
    }
    if let Some((bytes, _)) = &outcome.write {
        let before = matter.ours(old_path).map_or(b"".as_slice(), |ours| ours.bytes);
        outcome.lines = added_and_removed(&with_lf(before), &with_lf(bytes));
    }
    Ok(outcome)
}

/// It is gone from the source, and edited here.
fn gone(
    outcome: &mut Outcome,
    matter: &Matter<'_>,
    locked: Option<&Entry>,
    ours: Option<Ours<'_>>,
    side: Option<Side>,
    decided: &Decided,
) {
    match side {
        Some(Side::Ours) => outcome.told.push("yours alone from now on".to_owned()),
        Some(Side::Theirs) => {
            outcome.remove = ours.is_some();
            outcome.backup = true;
        }
        None => {
            let base = locked.zip(ours.as_ref()).and_then(|(locked, ours)| matter.base(locked, ours));
            if decided.markers {
                outcome.entry = locked.map(|locked| Entry { state: State::Gone, ..locked.clone() });
            }
            outcome.conflict = Some(Conflict {
                place: format!("gone in {}, edited here", matter.name),
                three: [base, ours.map(|ours| ours.bytes.to_vec()), None],
                hunk: None,
            });
        }
    }
}

/// The source has it.
fn stays(
    git: &Git<'_>,
    outcome: &mut Outcome,
    matter: &Matter<'_>,
    (locked, ours, file): (Option<&Entry>, Option<Ours<'_>>, &File),
    side: Option<Side>,
    decided: &Decided,
) -> Result<()> {
    let change = outcome.change.unwrap_or(Change::Same);
    let here = ours.as_ref().map_or(b"".as_slice(), |ours| ours.bytes);
    let whole = || (with_ends_of(&file.bytes, here).into_owned(), file.executable);
    // Their whole file, where nothing has to be merged.
    let overruled = side == Some(Side::Theirs)
        && matches!(change, Change::Edited | Change::Deleted | Change::DeletedAndChanged);
    if overruled {
        outcome.write = Some(whole());
        outcome.backup = ours.is_some();
        outcome.entry = Some(entry(file, State::Pulled));
        outcome.told.push("as the source has it".to_owned());
        return Ok(());
    }
    let state = locked.map_or(State::Pulled, |locked| locked.state);
    match change {
        Change::Same => outcome.entry = Some(entry(file, State::Pulled)),
        Change::Agreed => outcome.entry = Some(entry(file, State::Pulled)),
        Change::Add => {
            outcome.write = Some((file.bytes.clone(), file.executable));
            outcome.entry = Some(entry(file, State::Pulled));
        }
        Change::Update => {
            outcome.write = Some(whole());
            outcome.entry = Some(entry(file, State::Pulled));
        }
        Change::Edited => {
            let own = match (side, state, &ours) {
                (Some(Side::Ours), _, Some(Ours { sum, executable, .. })) => {
                    State::Kept { sum: *sum, executable: *executable }
                }
                (_, State::Kept { .. }, _) => state,
                // The marks are gone, or they would not be read at all; nobody has said that it is decided.
                (_, State::Conflict, _) => {
                    outcome.told.push(UNDECIDED.to_owned());
                    state
                }
                _ => State::Pulled,
            };
            outcome.entry = Some(entry(file, own));
        }
        // That its marks went with the file decides nothing, either.
        Change::Deleted | Change::DeletedAndChanged if state == State::Conflict && side.is_none() => {
            outcome.entry = Some(entry(file, state));
            outcome.told.push(UNDECIDED.to_owned());
        }
        Change::Deleted | Change::DeletedAndChanged => {
            outcome.entry = Some(entry(file, State::Deleted));
            if state != State::Deleted || change == Change::DeletedAndChanged {
                outcome.told.push("you deleted it, it stays deleted".to_owned());
            }
        }
        Change::Merge | Change::InTheWay => {
            // A stranger in the place of what is renamed has nothing to do with what was pulled, unless it was renamed here too.
            let is_stranger = change == Change::InTheWay
                && outcome.from.as_ref().is_some_and(|from| matter.ours(from).is_some());
            let locked = locked.filter(|_| !is_stranger);
            if let Some(ours) = ours {
                merge_in(git, outcome, matter, (locked, &ours, file), side, decided)?;
            }
        }
        Change::Remove | Change::EditedAndGone => {}
    }
    Ok(())
}

/// Both have an edit.
fn merge_in(
    git: &Git<'_>,
    outcome: &mut Outcome,
    matter: &Matter<'_>,
    (locked, ours, file): (Option<&Entry>, &Ours<'_>, &File),
    side: Option<Side>,
    decided: &Decided,
) -> Result<()> {
    let base = locked.and_then(|locked| matter.base(locked, ours));
    let three = Three { base: base.as_deref(), ours: ours.bytes, theirs: &file.bytes };
    let nothing_shared = match (locked, &base) {
        (None, _) => Some("another file is in its place"),
        (_, None) => Some("edited on both sides, and what was pulled is not to be found"),
        _ => None,
    };
    let merged = merge(git, matter.scratch, &three, matter.name, None)?;
    // Who changed the permissions has decided upon them.
    let executable = match locked {
        Some(locked) if ours.executable != locked.executable => ours.executable,
        Some(_) => file.executable,
        // In the way: they are part of the file that is taken.
        None => {
            if side == Some(Side::Ours) {
                ours.executable
            } else {
                file.executable
            }
        }
    };
    let was_kept = locked
        .is_some_and(|locked| locked.state == State::Kept { sum: ours.sum, executable: ours.executable });
    let was_open = side.is_none() && locked.is_some_and(|locked| locked.state == State::Conflict);
    let taken = side.is_some() && !matches!(merged, Merged::Clean { .. });
    let (bytes, own) = match (merged, side) {
        // Without a conflict: their whole file.
        (Merged::Clean { .. }, Some(Side::Theirs)) if locked.is_some() => {
            outcome.write = Some((with_ends_of(&file.bytes, ours.bytes).into_owned(), file.executable));
            outcome.backup = true;
            outcome.entry = Some(entry(file, State::Pulled));
            outcome.told.push("as the source has it".to_owned());
            return Ok(());
        }
        (Merged::Clean { bytes, told }, side) => {
            if let (Some(line), true) = (first_difference(&file.bytes, &bytes), told.is_empty()) {
                let merged =
                    if locked.is_some_and(|locked| locked.sum == file.sum) { "with" } else { "merged with" };
                outcome.told.push(format!("{merged} your edit at line {line}"));
            }
            outcome.told.extend(told);
            (bytes, side == Some(Side::Ours) || was_kept)
        }
        (Merged::Lines { .. }, Some(side)) => {
            match merge(git, matter.scratch, &three, matter.name, Some(side))? {
                Merged::Clean { bytes, told } => {
                    outcome.told.extend(told);
                    (bytes, side == Side::Ours || was_kept)
                }
                _ if side == Side::Ours => (ours.bytes.to_vec(), true),
                _ => (with_ends_of(&file.bytes, ours.bytes).into_owned(), false),
            }
        }
        (Merged::Whole, Some(Side::Ours)) => (ours.bytes.to_vec(), true),
        (Merged::Whole, Some(Side::Theirs)) => (with_ends_of(&file.bytes, ours.bytes).into_owned(), false),
        (Merged::Lines { marked }, None) => {
            let hunk = first_hunk(&marked);
            let line = hunk.as_ref().map_or(1, |(line, _)| *line);
            let place = nothing_shared.map_or_else(|| format!("line {line}"), str::to_owned);
            let shown = hunk.filter(|_| base.is_some()).map(|(_, hunk)| hunk);
            return conflict(
                outcome,
                (base, ours, file),
                place,
                shown,
                decided.markers.then_some((marked, executable)),
            );
        }
        (Merged::Whole, None) => {
            let place = nothing_shared.unwrap_or("no text that could be merged").to_owned();
            return conflict(
                outcome,
                (base, ours, file),
                place,
                None,
                decided.markers.then(|| (ours.bytes.to_vec(), executable)),
            );
        }
    };
    if taken {
        let whose = if side == Some(Side::Ours) { "yours" } else { "theirs" };
        outcome.told.push(format!("{whose} where both changed the same"));
    }
    let sum = Sum::of(&bytes);
    let state = match sum == file.sum && executable == file.executable {
        true => State::Pulled,
        false if own => State::Kept { sum, executable },
        false if was_open => {
            outcome.told.push(UNDECIDED.to_owned());
            State::Conflict
        }
        false => State::Pulled,
    };
    outcome.entry = Some(entry(file, state));
    if bytes != ours.bytes || executable != ours.executable || outcome.from.is_some() {
        outcome.backup = true;
        outcome.write = Some((bytes, executable));
    }
    Ok(())
}

fn conflict(
    outcome: &mut Outcome,
    (base, ours, file): (Option<Vec<u8>>, &Ours<'_>, &File),
    place: String,
    hunk: Option<[String; 3]>,
    write: Option<(Vec<u8>, bool)>,
) -> Result<()> {
    if write.is_some() {
        outcome.entry = Some(entry(file, State::Conflict));
        outcome.backup = true;
        outcome.write = write;
    }
    let three = [base, Some(ours.bytes.to_vec()), Some(file.bytes.clone())];
    outcome.conflict = Some(Conflict { place, three, hunk });
    Ok(())
}

/// The first line of `new` that `old` has not there.
fn first_difference(old: &[u8], new: &[u8]) -> Option<usize> {
    let (old, new) = (with_lf(old), with_lf(new));
    let lines = |text| <[u8]>::split(text, |byte| *byte == b'\n');
    lines(&new).zip(lines(&old)).position(|(new, old)| new != old).map(|index| index + 1)
}
