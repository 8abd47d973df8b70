//! The forms in which a secret's value can be in a file or in a line of output: as it is, and as programs
//! write it into other texts. What is compressed, encrypted, or encoded with other text and wrapped is none of them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A shorter value is found in any program, by chance.
const SHORTEST: usize = 8;
/// As is one of fewer different bytes: a row of zeros is in every archive.
const DIFFERENT: usize = 4;
/// Words that programs have in them anyhow. A secret that is one of them protects nothing.
const EVERYDAY: &[&str] = &[
    "0123456789",
    "01234567",
    "12345678",
    "123456789",
    "1234567890",
    "127.0.0.1",
    "abcdefgh",
    "changeme",
    "database",
    "development",
    "localhost",
    "password",
    "postgres",
    "postgresql",
    "production",
    "undefined",
    "username",
];

/// What URL encoders leave as it is, beside letters, digits and `-._~`.
const LEFT: &[&str] = &[
    // Nothing: component encoding.
    "",
    // JavaScript's encodeURIComponent.
    "!'()*",
    // The sub-delimiters of RFC 3986: user names and passwords.
    "!$&'()*+,;=",
    // And what may stand in a path.
    "!$&'()*+,;=:@",
    // Python's quote.
    "/",
    // JavaScript's encodeURI.
    "!$&'()*+,;=:@/?#",
    // Passwords, as browsers and the url crate write them: what is encoded already stays so.
    "!$&'()*+,%",
];

/// How many characters of base64 the usual programs write into a line: coreutils and MIME, OpenSSL and PEM.
const WRAPPED: [usize; 2] = [76, 64];
/// And of hex: `xxd -p`.
const WRAPPED_HEX: [usize; 1] = [60];
/// What .NET's JSON has as numbers, beside all that is not ASCII.
const DOTNET: &str = "\"&'+<>`\u{7f}";

/// Whether it makes sense to search for a value: one that is short or an everyday word would be found where
/// nobody has put it. Who searches says which values it has left out.
pub fn is_searchable(value: &str) -> bool {
    let value = value.trim();
    let mut bytes = value.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    value.len() >= SHORTEST
        && bytes.len() >= DIFFERENT
        && !EVERYDAY.iter().any(|word| word.eq_ignore_ascii_case(value))
}

/// Every form in which `value` can be in a file, each once, the value itself first. White space around it does
/// not count, because files often end with a line break of their own; a value of nothing else has no form.
///
/// A text that has the value in it and was encoded as a whole has one of the forms in it too, whatever stands
/// before and after. Who replaces forms in a text takes the longest first.
pub fn spellings(value: &str) -> Vec<Vec<u8>> {
    let value = value.trim();
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut add = |form: String| {
        let form = form.into_bytes();
        if !form.is_empty() && !found.contains(&form) {
            found.push(form);
        }
    };
    add(value.to_owned());
    for upper in [true, false] {
        add(hex(value.as_bytes(), upper));
        for left in LEFT {
            add(url(value, &format!("-._~{left}"), upper));
        }
        // Forms: a space is a plus. HTML's encode the tilde and leave the asterisk, others do not.
        for left in ["-._~", "-._*"] {
            add(url(value, &format!("{left} "), upper).replace(' ', "+"));
        }
    }
    for offset in 0..3 {
        add(base64(&STANDARD_NO_PAD, value.as_bytes(), offset));
        add(base64(&URL_SAFE_NO_PAD, value.as_bytes(), offset));
    }
    // Encoded by itself, into lines.
    let lines = base64(&STANDARD_NO_PAD, value.as_bytes(), 0);
    wrapped(&lines, &WRAPPED).for_each(&mut add);
    for upper in [true, false] {
        wrapped(&hex(value.as_bytes(), upper), &WRAPPED_HEX).for_each(&mut add);
    }
    // As serde_json and JavaScript write it, Go, Python, and PHP, which has the slash escaped too; Java's have the digits
    // of a number in upper case, .NET's more numbers.
    let html = |c: char| "<>&\u{2028}\u{2029}".contains(c);
    let texts = [
        json(value, |_| false, false),
        json(value, html, false),
        json(value, |c| !c.is_ascii(), false),
        json(value, |c| !c.is_ascii(), true),
        json(value, |c| !c.is_ascii() || DOTNET.contains(c), true),
    ];
    for text in texts {
        add(text.replace('/', "\\/"));
        // A log writes as one text what was JSON already.
        add(json(&text, |_| false, false));
        add(text);
    }
    for quoted in quoted(value) {
        add(quoted);
    }
    found
}

fn hex(bytes: &[u8], upper: bool) -> String {
    bytes.iter().flat_map(|byte| digits(*byte, upper)).collect()
}

fn digits(byte: u8, upper: bool) -> [char; 2] {
    [byte >> 4, byte & 15].map(|half| {
        let digit = char::from(if half < 10 { b'0' + half } else { b'a' - 10 + half });
        if upper { digit.to_ascii_uppercase() } else { digit }
    })
}

/// Encodes all but letters, digits and what is in `left`.
fn url(value: &str, left: &str, upper: bool) -> String {
    value.bytes().fold(String::with_capacity(value.len() * 3), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || left.as_bytes().contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.extend(digits(byte, upper));
        }
        text
    })
}

/// The characters that depend on the value alone where `offset` bytes of a group of three come before it:
/// those that share bits with a neighbour are left out, at both ends.
fn base64(engine: &impl Engine, value: &[u8], offset: usize) -> String {
    let bytes: Vec<u8> = std::iter::repeat_n(0, offset).chain(value.iter().copied()).collect();
    let text = engine.encode(&bytes);
    let (first, end) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
    text.get(first..end).unwrap_or_default().to_owned()
}

/// As it stands between quotes, or without them: of a shell's (`set -x`, `printf %q`, Python's `shlex`), of Python's
/// `repr`, of CSV, and of HTML, whose writers agree on little.
fn quoted(value: &str) -> Vec<String> {
    let escaped = |special: &str| -> String {
        value.chars().flat_map(|c| special.contains(c).then_some('\\').into_iter().chain([c])).collect()
    };
    let mut all = vec![
        value.replace('\'', "'\\''"),
        value.replace('\'', "'\"'\"'"),
        escaped("\\\"$`"),
        escaped("\\'"),
        escaped(" \t'\"\\|&;()<>!{}*[]?^$`,"),
        value.replace('"', "\"\""),
    ];
    let html = |and: &str, less: &str, more: &str, double: &str, single: &str| {
        let text = value.replace('&', and).replace('<', less).replace('>', more);
        text.replace('"', double).replace('\'', single)
    };
    all.push(html("&#38;", "&#60;", "&#62;", "&#34;", "&#39;"));
    for (double, single) in [
        ("\"", "'"),
        ("&quot;", "'"),
        ("&quot;", "&#39;"),
        ("&quot;", "&#039;"),
        ("&quot;", "&#x27;"),
        ("&quot;", "&apos;"),
        ("&#34;", "&#39;"),
    ] {
        all.push(html("&amp;", "&lt;", "&gt;", double, single));
    }
    all
}

/// The whole lines of `text`, each `width` long but for the last; none where there is but one.
fn wrapped(text: &str, widths: &[usize]) -> impl Iterator<Item = String> {
    let widths = widths.iter().filter(|width| text.len() > **width);
    let lines = widths.flat_map(|width| text.as_bytes().chunks(*width));
    lines.filter(|line| line.len() >= SHORTEST).map(|line| String::from_utf8_lossy(line).into_owned())
}

/// The inside of a JSON string, with what `also` names as a number, in upper-case digits or not.
fn json(value: &str, also: impl Fn(char) -> bool, upper: bool) -> String {
    value.chars().fold(String::new(), |mut text, c| {
        match c {
            c if also(c) => number(&mut text, c, upper),
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            c if c < ' ' => number(&mut text, c, upper),
            c => text.push(c),
        }
        text
    })
}

fn number(text: &mut String, c: char, upper: bool) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let [high, low] = unit.to_be_bytes();
        text.push_str("\\u");
        text.extend(digits(high, upper));
        text.extend(digits(low, upper));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::random::Random;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    fn is_found(forms: &[Vec<u8>], within: &[u8]) -> bool {
        forms.iter().any(|form| within.windows(form.len()).any(|window| window == form))
    }

    #[track_caller]
    fn finds(forms: &[Vec<u8>], within: impl AsRef<[u8]>) {
        let text = String::from_utf8_lossy(within.as_ref());
        assert!(is_found(forms, within.as_ref()), "{:?} in {text:?}", String::from_utf8_lossy(&forms[0]));
    }

    #[test]
    fn a_value_is_found_in_whatever_was_encoded_as_a_whole() -> anyhow::Result<()> {
        let mut random = Random(0x5eed);
        for _ in 0..200 {
            let value = random.text(8, 40);
            if value.trim().is_empty() {
                continue;
            }
            let forms = spellings(&value);
            let whole = [random.bytes(7), value.clone().into_bytes(), random.bytes(7)].concat();
            finds(&forms, &whole);
            finds(&forms, STANDARD.encode(&whole));
            finds(&forms, URL_SAFE.encode(&whole));
            finds(&forms, STANDARD_NO_PAD.encode(&whole));
            finds(&forms, hex(&whole, true));
            finds(&forms, hex(&whole, false));
            let text = format!("{}{value}{}", random.text(0, 7), random.text(0, 7));
            finds(&forms, serde_json::to_string(&text)?);
            for left in LEFT {
                let left = format!("-._~{left}");
                finds(&forms, url(&text, &left, true));
                finds(&forms, url(&text, &left, false));
            }
        }
        Ok(())
    }

    #[test]
    fn every_alignment_has_its_own_form() {
        let value = "correct horse";
        let forms = spellings(value);
        for before in ["", "x", "xy", "xyz"] {
            for after in ["", "1", "12", "123"] {
                finds(&forms, STANDARD.encode(format!("{before}{value}{after}")));
            }
        }
        assert!(!is_found(&forms, STANDARD.encode("correct house").as_bytes()));
    }

    #[test]
    fn forms_are_those_that_other_programs_write() {
        let quoted = spellings("it's \"$1\" & more");
        for form in [
            "it'\\''s \"$1\" & more",
            "it'\"'\"'s \"$1\" & more",
            "it's \\\"\\$1\\\" & more",
            "it\\'s \"$1\" & more",
            "it's \"\"$1\"\" & more",
            "it&#x27;s &quot;$1&quot; &amp; more",
            "it&#39;s &#34;$1&#34; &amp; more",
            "it&#39;s &#34;$1&#34; &#38; more",
            "it&#039;s &quot;$1&quot; &amp; more",
            "it's \"$1\" &amp; more",
            "it\\'s\\ \\\"\\$1\\\"\\ \\&\\ more",
        ] {
            assert!(quoted.iter().any(|found| found == form.as_bytes()), "{form}");
        }
        let forms = spellings("p@ss w/ü~*\"&1");
        for form in [
            "p@ss w/ü~*\"&1",
            // Python: quote_plus, quote, json.dumps. JavaScript: encodeURIComponent, URLSearchParams.
            "p%40ss+w%2F%C3%BC~%2A%22%261",
            "p%40ss%20w/%C3%BC~%2A%22%261",
            "p@ss w/\\u00fc~*\\\"&1",
            "p%40ss%20w%2F%C3%BC~*%22%261",
            "p%40ss+w%2F%C3%BC%7E*%22%261",
            // Go's json, PHP's json_encode, and lower-case digits.
            "p@ss w/ü~*\\\"\\u00261",
            "p@ss w\\/\\u00fc~*\\\"&1",
            // PHP's without numbers, Java's, .NET's, and the first one as a text of a log.
            "p@ss w\\/ü~*\\\"&1",
            "p@ss w/\\u00FC~*\\\"&1",
            "p@ss w/\\u00FC~*\\u0022\\u00261",
            "p@ss w/ü~*\\\\\\\"&1",
            "p%40ss%20w%2f%c3%bc~%2a%22%261",
            "70407373",
        ] {
            let found = forms.iter().any(|found| String::from_utf8_lossy(found).contains(form));
            assert!(found, "{form}");
        }
    }

    #[test]
    fn a_plain_value_has_few_forms_and_each_once() {
        let forms = spellings("s3cretToken42");
        assert_eq!(forms[0], b"s3cretToken42");
        // Itself, two of hex, three of base64.
        assert_eq!(
            forms.len(),
            6,
            "{:?}",
            forms.iter().map(|form| String::from_utf8_lossy(form)).collect::<Vec<_>>()
        );
        assert_eq!(spellings("s3cretToken42\n"), forms);
        assert_eq!(spellings(" \n"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn what_would_be_found_anywhere_is_not_searched() {
        for value in ["", "1234567", "short\n  ", "00000000", "abababab", "Password", "postgres\n"] {
            assert!(!is_searchable(value), "{value:?}");
        }
        for value in ["dev-only", "s3cretToken42", "correct horse"] {
            assert!(is_searchable(value), "{value:?}");
        }
    }
}
