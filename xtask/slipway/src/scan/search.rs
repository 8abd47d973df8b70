//! What a secret looks like. All needles are looked for in one pass; only what they hit is looked at closely.

use std::hash::{BuildHasher as _, RandomState};

use aho_corasick::{AhoCorasick, MatchKind};
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::dotenv::{self, Flavor};
use super::{Kind, key, text};

/// What is found at a needle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needle {
    /// The start of a token.
    Token,
    /// The start of a service token, which may name its config.
    ServiceToken,
    /// In the first line of a private key.
    Pem,
    /// Before the private part of PuTTY's.
    Putty,
    /// age's.
    Age,
    /// One of the above in base64, as Kubernetes has it.
    Wrapped,
}

const NEEDLES: &[(&str, Needle)] = &[
    ("dp.st.", Needle::ServiceToken),
    ("dp.ct.", Needle::Token),
    ("dp.pt.", Needle::Token),
    ("dp.sa.", Needle::Token),
    ("dp.said.", Needle::Token),
    ("dp.scim.", Needle::Token),
    ("dp.audit.", Needle::Token),
    ("PRIVATE KEY", Needle::Pem),
    ("Private-Lines: ", Needle::Putty),
    ("AGE-SECRET-KEY-1", Needle::Age),
    // `-----BEGIN `, `dp.st.` and so on
    ("LS0tLS1CRUdJTi", Needle::Wrapped),
    ("ZHAuc3Qu", Needle::Wrapped),
    ("ZHAuY3Qu", Needle::Wrapped),
    ("ZHAucHQu", Needle::Wrapped),
    ("ZHAuc2Eu", Needle::Wrapped),
    ("ZHAuc2FpZC", Needle::Wrapped),
    ("ZHAuc2NpbS", Needle::Wrapped),
    ("ZHAuYXVkaXQu", Needle::Wrapped),
];

/// The least random characters of a token: Doppler's have 40 and more.
const TOKEN: usize = 32;
/// The most of one run of base64 that is looked into.
const WRAPPED: usize = 64 * 1024;
/// base64 as people cut it out of a file.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// One secret in one file. Its value is not in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hit {
    pub kind: Kind,
    /// From 1.
    pub line: usize,
    /// The same for the same value, and another in each run: tells whether it is one that was seen before.
    pub mark: u64,
    /// As which kind of file it is one; none where the name does not matter.
    pub flavor: Option<Flavor>,
}

/// The search, ready.
pub struct Searcher {
    automaton: AhoCorasick,
    marks: RandomState,
}

impl Searcher {
    pub fn new() -> Result<Self> {
        let patterns = NEEDLES.iter().map(|(pattern, _)| pattern);
        // The kind of match for which there is a search by vectors; no needle is the start of another.
        let builder = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(patterns);
        let automaton = builder.context("cannot search")?;
        Ok(Searcher { automaton, marks: RandomState::new() })
    }

    /// The secrets in the bytes of a file, in their order; and, if it is read as one of `flavors`, what that adds.
    pub fn look(&self, bytes: &[u8], flavors: &[Flavor]) -> Vec<Hit> {
        let bytes = &*text::decoded(bytes);
        let (mut hits, mut counted, mut line) = (Vec::new(), 0, 1);
        for (kind, at, value) in self.values(bytes) {
            // On from the one before: a file can have very many.
            line += text::line(&bytes[counted..], at - counted) - 1;
            counted = at;
            hits.push(Hit { kind, line, mark: self.marks.hash_one(value), flavor: None });
        }
        for flavor in flavors {
            if let Some((line, given)) = dotenv::values(bytes, *flavor) {
                let mark = self.marks.hash_one(given);
                hits.push(Hit { kind: Kind::EnvFile, line, mark, flavor: Some(*flavor) });
            }
        }
        hits
    }

    /// Kind, place and what tells it from others, of each secret that needs no name of a file.
    fn values(&self, bytes: &[u8]) -> Vec<(Kind, usize, Vec<u8>)> {
        let mut found: Vec<(Kind, usize, Vec<u8>)> = Vec::new();
        let mut seen = 0;
        for hit in self.automaton.find_iter(bytes) {
            let Some((_, needle)) = NEEDLES.get(hit.pattern().as_usize()) else { continue };
            let rest = &bytes[hit.end()..];
            let value = match needle {
                Needle::Token | Needle::ServiceToken => {
                    let value = token(rest, *needle == Needle::ServiceToken);
                    value.map(|value| (Kind::DopplerToken, value.to_vec()))
                }
                Needle::Pem => key::pem(bytes, hit.start(), hit.end()).map(|body| (Kind::PrivateKey, body)),
                Needle::Putty => key::putty(rest).map(|body| (Kind::PrivateKey, body)),
                Needle::Age => key::age(rest).map(|body| (Kind::PrivateKey, body)),
                Needle::Wrapped if hit.start() >= seen => {
                    let run = bytes[hit.start()..].iter().take(WRAPPED);
                    let length =
                        run.take_while(|byte| is_base64(**byte) || byte.is_ascii_whitespace()).count();
                    // The same bytes are not unwrapped again for a needle that is further on in them.
                    seen = hit.start() + length;
                    let run = bytes[hit.start()..seen].iter().copied();
                    self.unwrapped(&run.filter(|byte| is_base64(*byte)).collect::<Vec<_>>())
                }
                Needle::Wrapped => None,
            };
            found.extend(value.map(|(kind, value)| (kind, hit.start(), value)));
        }
        found
    }

    /// The first secret in bytes that are base64.
    fn unwrapped(&self, run: &[u8]) -> Option<(Kind, Vec<u8>)> {
        // A last group of two or three characters has bytes as well; one of one has none.
        let run = if run.len() % 4 == 1 { &run[..run.len() - 1] } else { run };
        let plain = BASE64.decode(run).ok()?;
        // What is wrapped twice is not looked into: each level would cost a pass.
        if plain.starts_with(b"LS0t") || plain.starts_with(b"ZHAu") {
            return None;
        }
        self.values(&plain).into_iter().next().map(|(kind, _, value)| (kind, value))
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/".contains(&byte)
}

/// The random part of a token, behind its first words.
fn token(rest: &[u8], may_name: bool) -> Option<&[u8]> {
    let random = |rest: &'_ [u8]| rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let named = rest.iter().take(65).take_while(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte));
    let name = named.count();
    let start = if may_name && name > 0 && rest.get(name) == Some(&b'.') { name + 1 } else { 0 };
    let value = &rest[start..];
    let value = &value[..random(value)];
    (value.len() >= TOKEN && is_random(value)).then_some(value)
}

/// Whether somebody drew these characters by lot, and did not type `xxxx` or `0123456789abcdef`.
pub fn is_random(value: &[u8]) -> bool {
    let one_case = value.iter().all(u8::is_ascii_lowercase) || value.iter().all(u8::is_ascii_uppercase);
    let runs = value.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) <= 1).count();
    distinct(value) >= 10 && !one_case && runs * 3 < value.len()
}

/// How many different bytes there are.
pub fn distinct(value: &[u8]) -> usize {
    let mut seen = [false; 256];
    value.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    seen.iter().filter(|seen| **seen).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not in this file as a whole: a scan of this repository would find it.
    const RANDOM: &str = "k7Qz0VbN3xR9mT2wY6hL8pD4sF1gJ5cA";

    fn kinds(text: &str) -> Result<Vec<(Kind, usize)>> {
        let hits = Searcher::new()?.look(text.as_bytes(), &[]);
        Ok(hits.iter().map(|hit| (hit.kind, hit.line)).collect())
    }

    #[test]
    fn a_token_is_its_kind_perhaps_a_config_and_enough_random_characters() -> Result<()> {
        for kind in ["st.", "st.dev.", "st.dev_my-own.", "ct.", "pt.", "sa.", "said.", "scim.", "audit."] {
            let token = format!("dp.{kind}{RANDOM}");
            assert_eq!(kinds(&format!("x\n={token};"))?, [(Kind::DopplerToken, 2)], "{kind}");
            assert_eq!(kinds(&token[..token.len() - 1])?, [], "{kind}");
        }
        for other in ["dp.xx.", "dp.pt.dev.", "dp.st.a b.", "dp.st.a.b.", "DP.ST."] {
            assert_eq!(kinds(&format!("{other}{RANDOM}"))?, [], "{other}");
        }
        Ok(())
    }

    #[test]
    fn what_somebody_typed_is_not_random() {
        assert!(is_random(RANDOM.as_bytes()));
        for typed in
            ["x", "abcdefghijklmnopqrstuvwxyz012345", "YOURTOKENGOESHEREANDNOWHEREELSE", "a1a1a1a1a1a1a1a1"]
        {
            assert!(!is_random(typed.as_bytes()), "{typed}");
        }
    }

    #[test]
    fn the_same_value_has_the_same_mark_and_another_in_the_next_run() -> Result<()> {
        let text = format!("dp.pt.{RANDOM}\ndp.pt.{RANDOM}\ndp.pt.z{RANDOM}\n");
        let look = || -> Result<Vec<u64>> {
            Ok(Searcher::new()?.look(text.as_bytes(), &[]).iter().map(|hit| hit.mark).collect())
        };
        let marks = look()?;
        assert!(marks[0] == marks[1] && marks[1] != marks[2]);
        assert_ne!(marks, look()?);
        Ok(())
    }

    #[test]
    fn a_secret_in_base64_is_one_also_in_lines() -> Result<()> {
        let wrapped = BASE64.encode(format!("dp.st.prd.{RANDOM}"));
        let (first, rest) = wrapped.split_at(30);
        for text in
            [wrapped.clone(), format!("  {first}\n  {rest}\n"), wrapped.trim_end_matches('=').to_owned()]
        {
            assert_eq!(kinds(&text)?, [(Kind::DopplerToken, 1)], "{text}");
        }
        assert_eq!(kinds(&BASE64.encode("dp.st.prd.xxxx"))?, []);
        Ok(())
    }
}
