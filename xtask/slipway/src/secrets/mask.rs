//! Hides secret values in a stream of bytes: each run of bytes that belong to any form of any value becomes
//! `***`, wherever the stream is split.
//!
//! No automaton: an Aho-Corasick one of all forms takes longer to build than many a command runs. A filter over
//! the first bytes of the forms lets nearly no position through; the sorted forms decide about those.

use std::borrow::Cow;

use anyhow::{Result, ensure};

use super::{is_searchable, spellings};

/// How many bytes the filter looks at. No form is shorter: see `is_searchable`.
const HEAD: usize = 8;
/// The filter has 64 times so many bits, and fits into a processor's first cache.
const FILTER: usize = 1 << 11;
/// What is shown in place of a value.
const HIDDEN: &[u8] = b"***";

/// What is to be hidden, built once for all streams of a run. It cannot be printed.
pub struct Mask {
    /// Sorted, each once.
    forms: Vec<Form>,
    /// The head of each form, in the same order.
    heads: Vec<u64>,
    /// One bit is set for each head.
    filter: Box<[u64; FILTER]>,
}

struct Form {
    bytes: Vec<u8>,
    /// The longest other form that this one begins with.
    shorter: Option<usize>,
}

impl Default for Mask {
    fn default() -> Self {
        Mask { forms: Vec::new(), heads: Vec::new(), filter: Box::new([0; FILTER]) }
    }
}

/// What the forms say about a place in a text.
struct Found {
    /// The length of the longest form that begins here; 0 if there is none.
    length: usize,
    /// The text's end may be in the midst of a form that begins here.
    open: bool,
}

impl Mask {
    /// Hides `values`, but for those that are short or everyday ones.
    ///
    /// The lines of a value are hidden on their own too: it may be printed indented, or with other line ends.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut all = Vec::new();
        for value in values.into_iter().map(str::trim).filter(|value| is_searchable(value)) {
            all.extend(spellings(value));
            if value.contains('\n') {
                all.extend(value.lines().filter(|line| is_searchable(line)).flat_map(spellings));
            }
        }
        all.sort_unstable();
        all.dedup();
        let mut filter = Box::new([0; FILTER]);
        let mut forms: Vec<Form> = Vec::with_capacity(all.len());
        let mut heads = Vec::with_capacity(all.len());
        for bytes in all {
            ensure!(bytes.len() >= HEAD, "a form of a secret is too short to be searched");
            let head = head(&bytes);
            let (word, bit) = in_filter(head);
            filter[word] |= bit;
            // What this one begins with is the form before it, or what that one begins with.
            let mut shorter = forms.len().checked_sub(1);
            while let Some(form) = shorter.and_then(|index| forms.get(index)) {
                if bytes.starts_with(&form.bytes) {
                    break;
                }
                shorter = form.shorter;
            }
            heads.push(head);
            forms.push(Form { bytes, shorter });
        }
        Ok(Self { forms, heads, filter })
    }

    /// Nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// A whole text at once (a line of output without its end).
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut at = 0;
        while let Some(place) = self.candidate(text.as_bytes(), at) {
            if self.find(text.as_bytes(), place).length > 0 {
                let (mut stream, mut out) = (self.stream(), Vec::new());
                stream.push(text.as_bytes(), &mut out);
                stream.finish(&mut out);
                // Forms are whole characters.
                return Cow::Owned(String::from_utf8_lossy(&out).into_owned());
            }
            at = place + 1;
        }
        Cow::Borrowed(text)
    }

    /// A stream whose parts come one by one.
    pub fn stream(&self) -> Stream<'_> {
        Stream { mask: self, held: Vec::new(), done: 0, inside: false }
    }

    /// The first place from `at` on where a form may begin. Where the text has less than a head left, all are.
    fn candidate(&self, text: &[u8], at: usize) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let rest = text.get(at..)?;
        // The tool is built for quick builds, and this is its one hot place: a loop in which nothing is called, since
        // only what says so is inlined.
        let (mut head, mut place) = (head(rest.get(..HEAD - 1).unwrap_or_default()) >> 8, HEAD - 1);
        while place < rest.len() {
            head = head << 8 | rest[place] as u64;
            let (word, bit) = in_filter(head);
            if self.filter[word] & bit != 0 {
                return Some(at + place + 1 - HEAD);
            }
            place += 1;
        }
        Some(at.max((text.len() + 1).saturating_sub(HEAD))).filter(|place| *place < text.len())
    }

    /// What begins at a place of a text.
    fn find(&self, text: &[u8], at: usize) -> Found {
        let rest = text.get(at..).unwrap_or_default();
        let head = head(rest);
        let first = self.heads.partition_point(|other| *other < head);
        let missing = HEAD.saturating_sub(rest.len()) * 8;
        if self.heads.get(first).is_none_or(|other| (other ^ head) >> missing != 0) {
            return Found { length: 0, open: false };
        }
        if missing > 0 {
            return Found { length: 0, open: true };
        }
        let next = self.forms.partition_point(|form| form.bytes.as_slice() <= rest);
        let open = self.forms.get(next).is_some_and(|form| form.bytes.starts_with(rest));
        // The form before begins with each form that the text begins with: all between sort so.
        let mut before = next.checked_sub(1);
        while let Some(form) = before.and_then(|index| self.forms.get(index)) {
            if rest.starts_with(&form.bytes) {
                return Found { length: form.bytes.len(), open };
            }
            before = form.shorter;
        }
        Found { length: 0, open }
    }
}

/// The first bytes, as a number that sorts as they do; zeros stand for what is missing.
fn head(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<HEAD>() {
        Some(head) => u64::from_be_bytes(*head),
        None => (0..HEAD).fold(0, |head, at| head << 8 | u64::from(bytes.get(at).copied().unwrap_or(0))),
    }
}

/// Which word of the filter, and which bit in it.
#[inline(always)]
fn in_filter(head: u64) -> (usize, u64) {
    let mixed = head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (mixed as usize >> 6 & (FILTER - 1), 1 << (mixed & 63))
}

/// One stream of output.
pub struct Stream<'m> {
    mask: &'m Mask,
    /// The text from the first place on where a form may have begun that is not over.
    held: Vec<u8>,
    /// How many of its bytes are hidden already.
    done: usize,
    /// The last byte that left was a hidden one: the next one needs no `***` of its own.
    inside: bool,
}

impl Stream<'_> {
    /// Takes the next bytes; appends to `out` all that is certain by now.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        self.pass(false, out);
    }

    /// The end: appends what was held back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.pass(true, out);
    }

    fn pass(&mut self, is_end: bool, out: &mut Vec<u8>) {
        let text = self.held.as_slice();
        // All before `settled` has left.
        let (mut settled, mut at, mut open) = (self.done, 0, None);
        // Behind an open place only what continues a hidden run is certain.
        while (open.is_none() || at <= settled)
            && let Some(place) = self.mask.candidate(text, at)
        {
            if open.is_some() && place > settled {
                break;
            }
            let found = self.mask.find(text, place);
            if found.length > 0 {
                if place > settled {
                    out.extend(text.get(settled..place).unwrap_or_default());
                    self.inside = false;
                }
                if !self.inside {
                    out.extend(HIDDEN);
                    self.inside = true;
                }
                settled = settled.max(place + found.length);
            }
            if found.open && !is_end && open.is_none() {
                open = Some(place);
            }
            at = place + 1;
        }
        let kept = open.unwrap_or(text.len());
        if kept > settled {
            out.extend(text.get(settled..kept).unwrap_or_default());
            self.inside = false;
        }
        self.done = settled.saturating_sub(kept);
        self.held.drain(..kept);
    }
}

#[cfg(test)]
mod tests;
