use super::*;
use crate::secrets::random::Random;

/// Says the slow way what is to come out.
struct Oracle {
    /// By their first byte.
    forms: Vec<Vec<Vec<u8>>>,
}

impl Oracle {
    fn new(values: &[&str]) -> Self {
        let mut forms = vec![Vec::new(); 256];
        let values = values.iter().filter(|value| is_searchable(value));
        for part in values.flat_map(|value| value.lines().chain([*value])).filter(|part| is_searchable(part))
        {
            for form in spellings(part) {
                forms[usize::from(form[0])].push(form);
            }
        }
        Oracle { forms }
    }

    fn hides(&self, text: &[u8]) -> Vec<u8> {
        let mut hidden = vec![false; text.len()];
        for at in 0..text.len() {
            for form in &self.forms[usize::from(text[at])] {
                if text[at..].starts_with(form) {
                    hidden[at..at + form.len()].fill(true);
                }
            }
        }
        let mut out = Vec::new();
        for (at, byte) in text.iter().enumerate() {
            match hidden[at] {
                false => out.push(*byte),
                true if at > 0 && hidden[at - 1] => {}
                true => out.extend(b"***"),
            }
        }
        out
    }

    fn is_open(&self, held: &[u8]) -> bool {
        held.first().is_some_and(|first| {
            let mut forms = self.forms[usize::from(*first)].iter();
            forms.any(|form| form.len() > held.len() && form.starts_with(held))
        })
    }
}

fn mask(values: &[&str]) -> Result<Mask> {
    Mask::new(values.iter().copied())
}

/// What comes out of a stream that is split at `cuts`.
fn split(mask: &Mask, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let (mut stream, mut out, mut from) = (mask.stream(), Vec::new(), 0);
    for cut in cuts.iter().copied().chain([text.len()]) {
        stream.push(&text[from..cut], &mut out);
        from = cut;
    }
    stream.finish(&mut out);
    out
}

#[track_caller]
fn comes_out(values: &[&str], text: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) -> Result<()> {
    let (mask, text, expected) = (mask(values)?, text.as_ref(), expected.as_ref());
    let readable = String::from_utf8_lossy;
    assert_eq!(readable(&Oracle::new(values).hides(text)), readable(expected));
    for first in 0..=text.len() {
        for second in first..=text.len() {
            assert_eq!(readable(&split(&mask, text, &[first, second])), readable(expected));
        }
    }
    let bytes: Vec<usize> = (1..text.len()).collect();
    assert_eq!(readable(&split(&mask, text, &bytes)), readable(expected));
    if let Ok(text) = std::str::from_utf8(text) {
        let whole = mask.text(text);
        assert_eq!(whole, readable(expected));
        assert_eq!(matches!(whole, Cow::Borrowed(_)), text.as_bytes() == expected);
    }
    Ok(())
}

#[test]
fn no_form_of_150_values_leaks_at_any_split() -> Result<()> {
    let mut random = Random(0x5eed);
    let values: Vec<String> = (0..150).map(|_| random.text(8, 20)).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let (mask, oracle) = (mask(&values)?, Oracle::new(&values));
    let mut tried = 0;
    for form in values.iter().filter(|value| is_searchable(value)).flat_map(|value| spellings(value)) {
        let (before, after) = (random.below(form.len()), 1 + random.below(form.len()));
        // Its own beginning and end, and the whole between them.
        let text = [&b"\n"[..], &form[..before], &form, &form[after..], b"\n"].concat();
        let expected = oracle.hides(&text);
        assert_ne!(expected, text);
        let (start, end) = (before, before + form.len() + 2);
        for cut in start..=end {
            assert_eq!(split(&mask, &text, &[cut]), expected, "{cut} in {}", text.escape_ascii());
            tried += 1;
        }
        let middle = start + random.below(form.len());
        assert_eq!(split(&mask, &text, &[start, middle, end]), expected, "{}", text.escape_ascii());
        let bytes: Vec<usize> = (1..text.len()).collect();
        assert_eq!(split(&mask, &text, &bytes), expected, "{}", text.escape_ascii());
    }
    assert!(tried > 90_000, "{tried}");
    Ok(())
}

/// Values of few letters, which overlap with each other and with themselves.
fn repetitive(random: &mut Random) -> String {
    let letters = ["a", "b", "c", "d", "ab", "abcd", "aaab", "abcdabc", "é", "\n", "\r\n"];
    let mut value = String::new();
    while !is_searchable(&value) || random.below(3) > 0 {
        value += letters[random.below(letters.len())];
    }
    value
}

#[test]
fn overlapping_values_come_out_as_the_slow_way_says() -> Result<()> {
    let mut random = Random(0xabcd);
    let mut hidden = 0;
    for _ in 0..150 {
        let mut values: Vec<String> = (0..1 + random.below(5)).map(|_| repetitive(&mut random)).collect();
        // One within another.
        let first = values[0].clone();
        values.push(format!("{first}{}", repetitive(&mut random)));
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let (mask, oracle) = (mask(&values)?, Oracle::new(&values));
        for _ in 0..10 {
            let mut text = Vec::new();
            for _ in 0..1 + random.below(12) {
                let value = values[random.below(values.len())];
                let mut forms = spellings(value);
                let mut form =
                    forms.swap_remove(if random.below(2) > 0 { 0 } else { random.below(forms.len()) });
                match random.below(8) {
                    0 => form = form.split_off(random.below(form.len())),
                    1 => form.truncate(random.below(form.len())),
                    2 => drop(form.remove(random.below(form.len()))),
                    3 => form = random.bytes(9),
                    4 => form = repetitive(&mut random).into_bytes(),
                    5 => form = value.replace('\n', "\r\n  ").into_bytes(),
                    _ => {}
                }
                text.extend(form);
            }
            let expected = oracle.hides(&text);
            hidden += usize::from(expected != text);
            let (mut stream, mut out, mut rest) = (mask.stream(), Vec::new(), text.as_slice());
            let most = 1 + random.below(40);
            while !rest.is_empty() {
                let (part, after) = rest.split_at(rest.len().min(random.below(most + 1)));
                stream.push(part, &mut out);
                rest = after;
                // Nothing else is held, and what has left is right.
                assert!(stream.held.is_empty() || oracle.is_open(&stream.held));
                assert!(expected.starts_with(&out), "{}", text.escape_ascii());
            }
            stream.finish(&mut out);
            assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string());
            assert!(stream.held.is_empty());
        }
    }
    assert!(hidden > 1_000, "{hidden}");
    Ok(())
}

#[test]
fn a_value_is_hidden_and_nothing_beside_it() -> Result<()> {
    let one = &["s3cretToken42"];
    comes_out(one, "", "")?;
    comes_out(one, "token: s3cretToken42\n", "token: ***\n")?;
    comes_out(one, "s3cretToken4 3cretToken42 s3cretToken", "s3cretToken4 3cretToken42 s3cretToken")?;
    comes_out(one, "s3cretTs3cretToken42s", "s3cretT***s")?;
    comes_out(one, "s3cretToken42s3cretToken42 s3cretToken42", "*** ***")?;
    comes_out(one, b"\0\xff\xfes3cretToken42\x80\r\n\0", b"\0\xff\xfe***\x80\r\n\0")?;
    comes_out(&["pässwörter€😀"], "ä pässwörter€😀 ö", "ä *** ö")?;
    comes_out(&["s3cretToken42\n"], "s3cretToken42\ns3cretToken42", "***\n***")?;
    comes_out(&["s3cretToken42", "s3cretToken42"], "s3cretToken42", "***")
}

#[test]
fn values_that_overlap_are_one_mask() -> Result<()> {
    comes_out(&["abcdefgh12", "gh12ijklmn"], "-abcdefgh12ijklmn-", "-***-")?;
    comes_out(&["abcdefgh12", "gh12ijklmn"], "abcdefgh12 gh12ijklmn gh12ijkl", "*** *** gh12ijkl")?;
    // The beginning, the end and the midst of another one.
    let within = &["abcd1234", "efgh5678", "4zzzefgh", "abcd1234zzzefgh5678"];
    comes_out(within, "abcd1234zzzefgh5678", "***")?;
    comes_out(within, "abcd1234zzefgh5678", "***zz***")?;
    comes_out(within, "abcd1234zzzefgh567", "***567")?;
    comes_out(&["xabcd1234y", "abcd1234"], "xabcd1234 abcd1234y xabcd1234y", "x*** ***y ***")?;
    comes_out(&["abcdabcd", "abcdabcdabcdX"], "abcdabcdabcdabcdabc abcdabcdabcdX", "***abc ***")
}

#[test]
fn the_lines_of_a_value_are_hidden_however_they_are_printed() -> Result<()> {
    let key = "-----BEGIN KEY-----\nMIIB+/x=0123\nk7\n-----END KEY-----\n";
    comes_out(&[key], key, "***\n")?;
    comes_out(&[key], key.replace('\n', "\r\n"), "***\r\n***\r\nk7\r\n***\r\n")?;
    comes_out(&[key], "  MIIB+/x=0123\n  k7\n", "  ***\n  k7\n")?;
    comes_out(&[&key.replace('\n', "\r\n")], key, "***\n***\nk7\n***\n")
}

#[test]
fn what_cannot_be_a_beginning_is_not_held() -> Result<()> {
    let mask = mask(&["abcdefgh12", "second line\nabcdefghij"])?;
    let (mut stream, mut out) = (mask.stream(), Vec::new());
    for (push, left) in [
        ("listening on abcdefgh\n", "listening on abcdefgh\n"),
        ("x abcdef", "x "),
        ("gh", ""),
        ("1", ""),
        // Hidden at once, whatever follows.
        ("2", "***"),
        // Whether the end of this line is a part of the value is seen later.
        ("second line", ""),
        ("\n", ""),
        ("y\n", "\ny\n"),
        ("a", ""),
    ] {
        out.clear();
        stream.push(push.as_bytes(), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), left, "{push:?}");
    }
    out.clear();
    stream.finish(&mut out);
    assert_eq!(out, b"a");
    Ok(())
}

#[test]
fn short_and_everyday_values_are_not_hidden() -> Result<()> {
    let values = ["production", " \n", "1234"];
    assert!(mask(&values)?.is_empty());
    let mask = mask(&[&values[..], &["s3cretToken42"]].concat())?;
    assert!(!mask.is_empty());
    assert_eq!(split(&mask, b"production 1234", &[4]), b"production 1234");
    Ok(())
}
