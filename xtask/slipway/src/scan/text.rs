//! Bytes as text: other encodings, numbers of lines, names as they can be shown.

use std::borrow::Cow;

/// UTF-16 as UTF-8, with or without a mark at its start: `>` of an older PowerShell writes it. All else as it is.
pub fn decoded(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (rest, is_big) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, false),
        [0xfe, 0xff, rest @ ..] => (rest, true),
        _ if has_zeros(bytes, 1) => (bytes, false),
        _ if has_zeros(bytes, 0) => (bytes, true),
        _ => return Cow::Borrowed(bytes),
    };
    let units = rest.as_chunks::<2>().0.iter();
    let units = units.map(|pair| if is_big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) });
    let chars = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    Cow::Owned(chars.collect::<String>().into_bytes())
}

/// Whether one half of each of the first pairs is 0, and the other half is not: letters without a mark before them.
fn has_zeros(bytes: &[u8], half: usize) -> bool {
    let pairs = bytes.as_chunks::<2>().0;
    let pairs = &pairs[..pairs.len().min(32)];
    pairs.len() >= 4 && pairs.iter().all(|pair| pair[half] == 0 && pair[1 - half] != 0)
}

/// The number of the line that a place is in, from 1.
pub fn line(bytes: &[u8], at: usize) -> usize {
    bytes[..at.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// What is not seen itself, or turns around what is seen beside it.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A name of a file as text for one line: what is not UTF-8, and what a terminal would obey, is escaped.
pub fn shown(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c.is_control() || is_unseen(c) {
                true => text.extend(c.escape_default()),
                false => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_16_is_read_in_either_order_with_and_without_a_mark() {
        let units: Vec<u16> = "KEY=wert-ü\n".encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [[&[0xff, 0xfe][..], &little].concat(), [&[0xfe, 0xff][..], &big].concat(), little, big]
        {
            assert_eq!(String::from_utf8_lossy(&decoded(&bytes)), "KEY=wert-ü\n");
        }
        for plain in [&b""[..], b"a", b"KEY=x\n", b"\0\0\0\0\0\0\0\0\0\0", b"\x7fELF\x02\x01\x01\0\0\0\0\0"] {
            assert_eq!(&*decoded(plain), plain);
        }
    }

    #[test]
    fn a_name_is_one_line_and_loses_nothing() {
        assert_eq!(shown("a b/ü.env".as_bytes()), "a b/ü.env");
        assert_eq!(shown(b"a\nb\x1b[0m\xff"), r"a\nb\u{1b}[0m\xff");
        assert_eq!(shown("a\u{202e}vne.\u{200b}\u{2066}".as_bytes()), r"a\u{202e}vne.\u{200b}\u{2066}");
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!([0, 1, 2, 9].map(|at| line(b"a\nb\n", at)), [1, 1, 2, 3]);
    }
}
