//! Contents, compared with LF ends: a checkout may have written them with CRLF.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// The SHA-256 of a content with LF ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sum([u8; 32]);

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl Sum {
    /// Of a content, as it lies there.
    pub fn of(bytes: &[u8]) -> Self {
        Sum(Sha256::digest(&*with_lf(bytes)).into())
    }

    /// From 64 digits.
    pub fn read(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut sum = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (index, byte) in sum.iter_mut().enumerate() {
            *byte = digit(digits[2 * index])? << 4 | digit(digits[2 * index + 1])?;
        }
        Some(Sum(sum))
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        f.write_str(&text)
    }
}

impl std::fmt::Debug for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Whether it is no text: lines mean nothing in it.
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes.contains(&0)
}

/// The content with LF ends; a binary one as it is.
pub fn with_lf(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'\r') || is_binary(bytes) {
        return Cow::Borrowed(bytes);
    }
    let mut clean = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(text) => {
                clean.extend_from_slice(text);
                clean.push(b'\n');
            }
            None => clean.extend_from_slice(line),
        }
    }
    Cow::Owned(clean)
}

/// How many lines a content has, and how many of them end with CRLF.
fn ends(bytes: &[u8]) -> (usize, usize) {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    (lines, bytes.windows(2).filter(|pair| pair == b"\r\n").count())
}

/// The content with the ends of lines that most lines of `like` have; a binary one as it is, and where `like` has no lines.
pub fn with_ends_of<'a>(bytes: &'a [u8], like: &[u8]) -> Cow<'a, [u8]> {
    let (lines, crlf) = ends(like);
    if lines == 0 || is_binary(bytes) || is_binary(like) {
        return Cow::Borrowed(bytes);
    }
    if crlf * 2 <= lines {
        let (all, wide) = ends(bytes);
        // Some CRLF on both sides are the source's own, byte for byte.
        return if crlf > 0 && wide * 2 <= all { Cow::Borrowed(bytes) } else { with_lf(bytes) };
    }
    let mut wide = Vec::with_capacity(bytes.len() + lines);
    for line in with_lf(bytes).split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(text) => {
                wide.extend_from_slice(text);
                wide.extend_from_slice(b"\r\n");
            }
            None => wide.extend_from_slice(line),
        }
    }
    Cow::Owned(wide)
}

/// The first line that is a mark of an unresolved conflict: 1 for the first.
pub fn marker(bytes: &[u8]) -> Option<usize> {
    // `=======` alone underlines headings.
    let is_mark = |line: &[u8]| {
        [b"<<<<<<< ".as_slice(), b"||||||| ", b">>>>>>> "].iter().any(|mark| line.starts_with(mark))
    };
    if is_binary(bytes) || !bytes.iter().any(|byte| b"<|>".contains(byte)) {
        return None;
    }
    bytes.split(|byte| *byte == b'\n').position(is_mark).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_that_of_the_text_with_lf_and_is_read_back() {
        assert_eq!(Sum::of(b"a\r\nb\r\n"), Sum::of(b"a\nb\n"));
        assert_ne!(Sum::of(b"a\r\n\0"), Sum::of(b"a\n\0"));
        let text = Sum::of(b"").to_string();
        assert_eq!(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(Sum::read(&text), Some(Sum::of(b"")));
        assert_eq!(Sum::read(&text.to_uppercase()), None);
    }

    #[test]
    fn a_file_keeps_the_ends_that_most_of_its_lines_have() {
        for (like, text, wanted) in [
            ("a\r\nb\r\n", "x\ny\n", "x\r\ny\r\n"),
            ("a\r\nb\r\n", "x\r\ny", "x\r\ny"),
            ("a\nb\r\n", "x\ny\n", "x\ny\n"),
            ("a\nb\n", "x\r\ny\r\n", "x\ny\n"),
            ("a\nb\n", "x\r\ny\n", "x\ny\n"),
            ("a\nb\r\n", "x\r\ny\r\n", "x\ny\n"),
            ("a\nb\r\n", "x\r\ny\n", "x\r\ny\n"),
            ("a", "x\r\n", "x\r\n"),
            ("a\n", "x\0\r\n", "x\0\r\n"),
            ("", "x\r\n", "x\r\n"),
            ("a\r\n", "x\0\n", "x\0\n"),
        ] {
            assert_eq!(
                with_ends_of(text.as_bytes(), like.as_bytes()),
                wanted.as_bytes(),
                "{like:?} {text:?}"
            );
        }
    }

    #[test]
    fn a_conflict_is_seen_by_its_marks() {
        assert_eq!(marker(b"a\n<<<<<<< yours\nb\n"), Some(2));
        assert_eq!(marker(b"a\n=======\nb\n"), None);
        assert_eq!(marker(b">>>>>>> v1\n"), Some(1));
        assert_eq!(marker(b"a\n||||||| base\nb\n"), Some(2));
        assert_eq!(marker(b"cat <<<<<<< x\n"), None);
    }
}
