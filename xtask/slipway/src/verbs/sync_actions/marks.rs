//! Files with the marks of a conflict in them: one side of each is taken.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{Setup, sync};
use crate::actions::{Entry, Here, Keep, Lock, Open, Outcome, Side, apply, keep, look, marker};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::count;

/// Files with marks of a conflict come first: they are no edits that could be merged. Gives those that had some.
pub fn settle(
    context: &Context,
    setup: &Setup,
    mut lock: Lock,
    sides: &BTreeMap<String, Side>,
    dry_run: bool,
) -> Result<Vec<String>> {
    let mut here = setup.look_at_lock()?;
    here.extend(look(setup.root(), lock.files.keys())?);
    let is_marked = |path: &str, entry: &Entry| match here.get(path) {
        Some(Here::File { bytes, sum, .. }) => *sum != entry.sum && marker(bytes).is_some(),
        _ => false,
    };
    let marked: Vec<String> = lock
        .files
        .iter()
        .filter(|(path, entry)| is_marked(path, entry))
        .map(|(path, _)| path.clone())
        .collect();
    if marked.is_empty() {
        return Ok(marked);
    }
    let mut outcomes = Vec::new();
    for path in &marked {
        let (Some(side), Some(entry), Some(Here::File { bytes, executable, .. })) =
            (sides.get(path), lock.files.get_mut(path), here.get(path))
        else {
            continue;
        };
        let Some(bytes) = resolve(bytes, *side) else {
            return Err(Failure::new(
                Code::Conflict,
                format!("{path}: the marks of its conflict have no end, or are nested"),
            )
            .next("edit the file")
            .into());
        };
        let executable = *executable;
        let sum = crate::actions::Sum::of(&bytes);
        if let Keep::Marked(_) = keep(entry, &Here::File { bytes: bytes.clone(), sum, executable }) {
            return Err(Failure::new(
                Code::Conflict,
                format!("{path}: a mark outside of its conflicts would stay in it"),
            )
            .next("edit the file")
            .into());
        }
        let write = Some((bytes, executable));
        outcomes.push(Outcome { path: path.clone(), write, backup: true, ..Outcome::default() });
    }
    let left: Vec<&String> = marked.iter().filter(|path| !sides.contains_key(*path)).collect();
    if dry_run {
        for Outcome { path, .. } in &outcomes {
            context.screen.absent(path, "would be decided; nothing is written by --dry-run");
        }
    } else if !outcomes.is_empty() {
        let open = Open::read(&setup.folders, Some(&lock))?;
        let done = apply(setup.root(), &setup.folders, &here, &outcomes, None, &lock, &sync::stamp())?;
        setup.tell_rescued(context, &done.rescued);
        context.screen.done("decided", &count(done.files, "file"), None);
        if let Some(backup) = &done.backup {
            let backup = setup.repository.workspace.relative(backup).display().to_string();
            context.screen.note(&format!("your edited files as they were: {backup}"));
        }
        let is_settled = |path: &String| outcomes.iter().any(|outcome| outcome.path == *path);
        // An update may wait for decisions about other files.
        if open.is_none_or(|open| open.paths.iter().all(is_settled)) {
            Open::clear(&setup.folders)?;
        }
    }
    match left.first() {
        None => Ok(marked),
        Some(first) => {
            let names = left.iter().map(|path| path.as_str()).collect::<Vec<_>>().join(", ");
            Err(Failure::new(Code::Conflict, format!("marks of a conflict are in {names}"))
                .next(format!("edit, then: cargo xtask sync-actions keep {first}"))
                .next(format!("cargo xtask sync-actions --ours {first}      (or --theirs)"))
                .into())
        }
    }
}

/// The text with one side of each conflict, with its base or without. `None`: a conflict has no end, another one is in it,
/// or nobody can tell where a side of it ends.
pub fn resolve(marked: &[u8], side: Side) -> Option<Vec<u8>> {
    #[derive(PartialEq)]
    enum At {
        Outside,
        Ours,
        Base,
        Theirs,
    }
    let (mut at, mut has_base) = (At::Outside, false);
    let mut text = Vec::with_capacity(marked.len());
    let mut lines = marked.split_inclusive(|byte| *byte == b'\n');
    while let Some(line) = lines.next() {
        let is_middle = line.trim_ascii_end() == b"=======";
        match &at {
            At::Outside if line.starts_with(b"<<<<<<< ") => {
                let mut inside = lines.clone().take_while(|line| !line.starts_with(b">>>>>>> "));
                has_base = inside.any(|line| line.starts_with(b"||||||| "));
                at = At::Ours;
            }
            At::Theirs if line.starts_with(b">>>>>>> ") => at = At::Outside,
            At::Ours | At::Base | At::Theirs
                if line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> ") =>
            {
                return None;
            }
            At::Ours if line.starts_with(b"||||||| ") => at = At::Base,
            At::Base if is_middle => at = At::Theirs,
            // Where the base is given, ours ends there: the same line in ours is text.
            At::Ours if is_middle && !has_base => at = At::Theirs,
            // It may have been the first one that was text.
            At::Theirs if is_middle && (side == Side::Theirs || !has_base) => return None,
            At::Outside => text.extend_from_slice(line),
            At::Ours if side == Side::Ours => text.extend_from_slice(line),
            At::Theirs if side == Side::Theirs => text.extend_from_slice(line),
            _ => {}
        }
    }
    (at == At::Outside).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_of_each_conflict_is_taken() {
        let marked = b"a\n<<<<<<< yours\nb\n||||||| base\nc\n=======\nd\n>>>>>>> v1\ne\n";
        assert_eq!(resolve(marked, Side::Ours).as_deref(), Some(b"a\nb\ne\n".as_slice()));
        assert_eq!(resolve(marked, Side::Theirs).as_deref(), Some(b"a\nd\ne\n".as_slice()));
        // Ours has the line that separates the sides, too.
        let marked = b"<<<<<<< yours\nb\n=======\n||||||| base\nc\n=======\nd\n>>>>>>> v1\n";
        assert_eq!(resolve(marked, Side::Ours).as_deref(), Some(b"b\n=======\n".as_slice()));
        assert_eq!(resolve(marked, Side::Theirs).as_deref(), Some(b"d\n".as_slice()));
    }

    #[test]
    fn git_writes_conflicts_without_a_base() {
        let two = "a\n<<<<<<< HEAD\nb\n=======\nd\n>>>>>>> other\ne\n";
        let three = "<<<<<<< yours\nb\n||||||| base\nc\n=======\nd\n>>>>>>> v1\n";
        for end in ["\n", "\r\n"] {
            let marked = format!("{two}{three}{two}").replace('\n', end);
            for (side, wanted) in
                [(Side::Ours, "a\nb\ne\nb\na\nb\ne\n"), (Side::Theirs, "a\nd\ne\nd\na\nd\ne\n")]
            {
                let text = resolve(marked.as_bytes(), side);
                assert_eq!(text, Some(wanted.replace('\n', end).into_bytes()));
            }
        }
    }

    #[test]
    fn what_is_in_no_conflict_never_vanishes() {
        let whole = "<<<<<<< yours\nb\n||||||| base\nc\n=======\nd\n>>>>>>> v1\n";
        for marked in [
            "<<<<<<< yours\na\n",
            // A mark was removed by hand, and another conflict follows.
            "<<<<<<< yours\nb\n||||||| base\nc\n=======\nd\nfree\n",
            "<<<<<<< yours\nb\n||||||| base\nc\nd\n>>>>>>> v1\nfree\n",
            "<<<<<<< yours\nb\n>>>>>>> v1\nfree\n",
            "<<<<<<< yours\nb\nfree\n",
            "<<<<<<< yours\nb\n||||||| base\nfree\n",
            // Two places that could be the end of ours.
            "<<<<<<< HEAD\nb\n=======\nb\n=======\nd\n>>>>>>> v1\n",
        ] {
            for side in [Side::Ours, Side::Theirs] {
                assert_eq!(resolve(format!("{marked}{whole}").as_bytes(), side), None, "{marked}");
            }
        }
    }
}
