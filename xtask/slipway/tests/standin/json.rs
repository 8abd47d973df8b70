//! As much JSON as the stand-ins need; the errors are worded as the real CLI's.

use std::fmt::{self, Display, Formatter};
use std::iter::Peekable;
use std::str::Chars;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// null, true, false and numbers, as they were written.
    Word(String),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    pub fn parse(text: &str) -> Result<Json, String> {
        let mut rest = text.chars().peekable();
        let found = value(&mut rest)?;
        space(&mut rest);
        match rest.next() {
            None => Ok(found),
            Some(odd) => Err(format!("invalid character '{odd}' after top-level value")),
        }
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        self.entries().iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub fn entries(&self) -> &[(String, Json)] {
        if let Json::Map(entries) = self { entries } else { &[] }
    }

    pub fn items(&self) -> &[Json] {
        if let Json::List(items) = self { items } else { &[] }
    }

    pub fn text(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }
}

impl Display for Json {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Json::Word(word) => f.write_str(word),
            Json::Text(text) => f.write_str(&quote(text)),
            Json::List(items) => write!(f, "[{}]", list(items)),
            Json::Map(entries) => {
                let entries = entries.iter().map(|(name, value)| format!("{}:{value}", quote(name)));
                write!(f, "{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
        }
    }
}

pub fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

const CUT: &str = "unexpected end of JSON input";

fn space(rest: &mut Peekable<Chars>) {
    while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
}

fn value(rest: &mut Peekable<Chars>) -> Result<Json, String> {
    space(rest);
    match *rest.peek().ok_or(CUT)? {
        '"' => string(rest).map(Json::Text),
        '[' => {
            let mut items = Vec::new();
            entries(rest, ']', |rest| value(rest).map(|item| items.push(item)))?;
            Ok(Json::List(items))
        }
        '{' => {
            let mut found = Vec::new();
            entries(rest, '}', |rest| {
                space(rest);
                let name = string(rest)?;
                space(rest);
                expect(rest, ':', "after object key")?;
                value(rest).map(|value| found.push((name, value)))
            })?;
            Ok(Json::Map(found))
        }
        c if c.is_ascii_alphanumeric() || c == '-' => {
            let mut word = String::new();
            while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)) {
                word.push(c);
            }
            Ok(Json::Word(word))
        }
        odd => Err(format!("invalid character '{odd}' looking for beginning of value")),
    }
}

fn expect(rest: &mut Peekable<Chars>, wanted: char, place: &str) -> Result<(), String> {
    match rest.next().ok_or(CUT)? {
        found if found == wanted => Ok(()),
        odd => Err(format!("invalid character '{odd}' {place}")),
    }
}

fn entries(
    rest: &mut Peekable<Chars>,
    end: char,
    mut one: impl FnMut(&mut Peekable<Chars>) -> Result<(), String>,
) -> Result<(), String> {
    rest.next();
    space(rest);
    if rest.next_if_eq(&end).is_some() {
        return Ok(());
    }
    loop {
        one(rest)?;
        space(rest);
        if rest.next_if_eq(&end).is_some() {
            return Ok(());
        }
        expect(rest, ',', "after array element")?;
    }
}

fn string(rest: &mut Peekable<Chars>) -> Result<String, String> {
    expect(rest, '"', "looking for beginning of object key string")?;
    let mut text = String::new();
    loop {
        match rest.next().ok_or(CUT)? {
            '"' => return Ok(text),
            '\\' => match rest.next().ok_or(CUT)? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'u' => {
                    let first = unit(rest)?;
                    let mut units = vec![first];
                    // The other half of a pair.
                    if (0xd800..0xdc00).contains(&first) && rest.next_if_eq(&'\\').is_some() {
                        rest.next();
                        units.push(unit(rest)?);
                    }
                    text.push_str(&String::from_utf16_lossy(&units));
                }
                c => text.push(c),
            },
            c => text.push(c),
        }
    }
}

fn unit(rest: &mut Peekable<Chars>) -> Result<u16, String> {
    let digits: String = rest.take(4).collect();
    u16::from_str_radix(&digits, 16).map_err(|_| CUT.to_owned())
}
