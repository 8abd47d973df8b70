//! Private keys: the first line alone is in every program that reads them; with what stands below it, it is a key.

use super::search::{distinct, is_random};

/// The least characters of a key. The smallest in use, Ed25519 in PKCS #8, has 64.
const LEAST: usize = 60;
/// PuTTY's for Ed25519 has 48.
const LEAST_PUTTY: usize = 40;
/// Shorter runs in a key are its last line.
const LINE: usize = 16;
/// The most lines at the head of a key. PuTTY's has none: else each of its many first lines could be one of another.
const HEADS: usize = 10;
/// The most that is looked at of one key.
const MOST: usize = 64 * 1024;

/// The first characters of the key whose first line has `PRIVATE KEY` from `start` to `end`.
pub fn pem(bytes: &[u8], start: usize, end: usize) -> Option<Vec<u8>> {
    // "-----BEGIN RSA ", or "---- BEGIN SSH2 ENCRYPTED "
    let before = &bytes[start.saturating_sub(40)..start];
    let label = before
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_uppercase() || **byte == b' ' || byte.is_ascii_digit());
    let label = before.len() - label.count();
    let (dashes, label) = before.split_at(label);
    let begins = |word: &[u8]| label.starts_with(word);
    let is_pem = dashes.ends_with(b"-----") && begins(b"BEGIN ");
    let is_ssh2 = dashes.ends_with(b"----") && begins(b" BEGIN SSH2 ");
    if !is_pem && !is_ssh2 {
        return None;
    }
    let rest = &bytes[end..];
    let rest = rest.strip_prefix(b" BLOCK").unwrap_or(rest);
    let rest = rest.strip_prefix(b"-----").or_else(|| rest.strip_prefix(b" ----"))?;
    body(rest, LEAST, HEADS)
}

/// PuTTY's: `Private-Lines: ` is before it.
pub fn putty(rest: &[u8]) -> Option<Vec<u8>> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| body(&rest[digits..], LEAST_PUTTY, 0)).flatten()
}

/// age's: `AGE-SECRET-KEY-1` is before it.
pub fn age(rest: &[u8]) -> Option<Vec<u8>> {
    let upper = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let value = &rest[..rest.iter().take_while(upper).count()];
    (value.len() == 58 && is_random(value)).then(|| value.to_vec())
}

/// What a key begins with, if it is one: lines of base64, between which there may be what quotes and joins them in a
/// program, in JSON, YAML or a comment, and the lines that PEM and PGP allow at the head. Anything else ends it.
fn body(bytes: &[u8], least: usize, mut heads: usize) -> Option<Vec<u8>> {
    let bytes = &bytes[..bytes.len().min(MOST)];
    let (mut at, mut found) = (0, Vec::new());
    loop {
        at += separator(&bytes[at..]);
        let rest = &bytes[at..];
        let length =
            rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)).count();
        let run = &rest[..length];
        if run.is_empty() {
            break;
        }
        if run.iter().all(|byte| b"+/".contains(byte)) {
            // It joins two texts, or begins a comment.
        } else if length >= LINE {
            found.extend_from_slice(run);
        } else if found.is_empty()
            && heads > 0
            && let Some(head) = head(rest)
        {
            heads -= 1;
            at += head;
            continue;
        } else if found.len() < least {
            return None;
        } else {
            at += length;
            break;
        }
        at += length;
    }
    // It was cut short, and says so.
    let is_cut = [&b"..."[..], "…".as_bytes(), b"[", b"<"].iter().any(|cut| bytes[at..].starts_with(cut));
    let both = found.iter().any(u8::is_ascii_lowercase) && found.iter().any(u8::is_ascii_uppercase);
    let is_key = !is_cut && found.len() >= least && both && distinct(&found) >= 16;
    found.truncate(64);
    is_key.then_some(found)
}

/// How long what may stand between two lines is.
fn separator(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'' | b'`' | b',' | b'#' | b'*' | b'>' | b'|' => 1,
            // `\n`, `\\n`, `\u000a`, and a line that goes on
            b'\\' => match bytes.get(at + 1) {
                Some(b'n' | b'r' | b't') => 2,
                Some(b'u') => 6,
                _ => 1,
            },
            b'%' => 3,
            _ => return at,
        };
    }
    bytes.len().min(at)
}

/// How long a line such as `DEK-Info: AES-128-CBC,…` is, with a real end or with one that is written as `\n`.
fn head(bytes: &[u8]) -> Option<usize> {
    let bytes = &bytes[..bytes.len().min(200)];
    let name = bytes.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-').count();
    if name == 0 || name > 20 || bytes.get(name) != Some(&b':') {
        return None;
    }
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let written = bytes.windows(2).position(|pair| pair == b"\\n");
    end.into_iter().chain(written).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE_OF_64: &str = "kQz0VbN3xR9mT2wY6hL8pD4sF1gJ5cAuE7oI+W/yXqGvMnBrTtHsKdZfPjLaCiUe";

    #[test]
    fn a_body_is_base64_and_what_joins_it() {
        let [a, b] = [&LINE_OF_64[..40], &LINE_OF_64[40..]];
        for text in [
            format!("\n{LINE_OF_64}\n-----END"),
            format!("\r\n    {a}\r\n    {b}\r\n"),
            format!("\\n{a}\\n{b}\\n\""),
            format!("\\\\n{a}\\u000a{b}"),
            format!("\",\n  \"{a}\",\n  \"{b}\""),
            format!("\\n\" +\n  \"{a}\\n\" + \"{b}\""),
            format!("\n# {a}\n# {b}\n"),
            format!("\n// {a}\n// {b}\n"),
            format!("%0A{a}%0A{b}"),
            format!("\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,00\n\n{a}\n{b}\n"),
            format!("\\nVersion: x\\n\\n{a}\\n{b}\\n"),
        ] {
            assert!(body(text.as_bytes(), LEAST, HEADS).is_some(), "{text}");
        }
        for text in [
            String::new(),
            format!("\n{a}\n-----END"),
            format!("\n{LINE_OF_64}\n..."),
            format!("\n{LINE_OF_64}…"),
            format!("\";\n{LINE_OF_64}"),
            format!("{{}}\n{LINE_OF_64}"),
            format!("\nthe key\n{LINE_OF_64}"),
            format!("{}\n{LINE_OF_64}", "\nVersion: x".repeat(HEADS + 1)),
            "\nAAAA\n".to_owned(),
            "A".repeat(200),
            LINE_OF_64.to_lowercase(),
        ] {
            assert!(body(text.as_bytes(), LEAST, HEADS).is_none(), "{text}");
        }
    }

    #[test]
    fn the_end_of_a_file_can_be_anywhere() {
        let text = format!("-----BEGIN A PRIVATE KEY-----\\n{LINE_OF_64}\\u00");
        let start = 13;
        for end in start + 11..=text.len() {
            let found = pem(&text.as_bytes()[..end], start, start + 11);
            assert_eq!(found.is_some(), end >= text.len() - LINE_OF_64.len() + LEAST - 4, "{end}");
        }
        for rest in ["", "3", "3\n", "{}\n", "1\nAAAA"] {
            assert_eq!(putty(rest.as_bytes()), None);
        }
        assert_eq!(putty(format!("1\nVersion: x\n{LINE_OF_64}\n").as_bytes()), None);
    }

    #[test]
    fn very_many_first_lines_take_no_time() {
        let started = std::time::Instant::now();
        for first in ["Private-Lines: 1\n", "-----BEGIN A PRIVATE KEY-----\nVersion: x\n"] {
            let text = first.repeat(60_000);
            let (needle, end) = if first.starts_with('P') { (15, 15) } else { (13, 24) };
            for at in (0..text.len()).step_by(first.len()) {
                let rest = &text.as_bytes()[at..];
                let found = if end == 15 { putty(&rest[end..]) } else { pem(rest, needle, end) };
                assert_eq!(found, None);
            }
        }
        assert!(started.elapsed().as_secs() < 10);
    }
}
