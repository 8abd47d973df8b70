//! Files with the marks of a conflict in them: one side of each is taken.

use crate::actions::Side;

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
            At::Ours | At::Base if plain == b"=======" => at = At::Theirs,
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
