//! Files with the marks of a conflict in them: one side of each is taken.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{Setup, sync};
use crate::actions::{Entry, Here, Lock, Open, Outcome, Side, apply, keep, look, marker};
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
                format!("{path}: the marks of its conflict have no end"),
            )
            .next("edit the file")
            .into());
        };
        let executable = *executable;
        let sum = crate::actions::Sum::of(&bytes);
        keep(entry, &Here::File { bytes: bytes.clone(), sum, executable });
        let write = Some((bytes, executable));
        outcomes.push(Outcome { path: path.clone(), write, backup: true, ..Outcome::default() });
    }
    let left: Vec<&String> = marked.iter().filter(|path| !sides.contains_key(*path)).collect();
    if dry_run {
        for Outcome { path, .. } in &outcomes {
            context.screen.absent(path, "would be decided; nothing is written by --dry-run");
        }
    } else if !outcomes.is_empty() {
        let done = apply(setup.root(), &setup.folders, &here, &outcomes, None, &lock, &sync::stamp())?;
        setup.tell_rescued(context, &done.rescued);
        context.screen.done("decided", &count(done.files, "file"), None);
        Open::clear(&setup.folders)?;
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

/// The text with one side of each conflict. `None`: a conflict has no end.
pub fn resolve(marked: &[u8], side: Side) -> Option<Vec<u8>> {
    #[derive(PartialEq)]
    enum At {
        Outside,
        Ours,
        Base,
        Theirs,
    }
    let mut at = At::Outside;
    let mut text = Vec::with_capacity(marked.len());
    for line in marked.split_inclusive(|byte| *byte == b'\n') {
        let plain = line.trim_ascii_end();
        match &at {
            At::Outside if line.starts_with(b"<<<<<<< ") => at = At::Ours,
            At::Ours if line.starts_with(b"||||||| ") => at = At::Base,
            // Ours are always written with the base: the same line in a side is text.
            At::Base if plain == b"=======" => at = At::Theirs,
            At::Theirs if line.starts_with(b">>>>>>> ") => at = At::Outside,
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
        assert_eq!(resolve(b"<<<<<<< yours\na\n", Side::Ours), None);
    }
}
