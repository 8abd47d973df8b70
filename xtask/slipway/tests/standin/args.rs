//! The command line: flags of all commands anywhere, a command's own after it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Failure, Result};

/// Flags by the command that has them; "" for all. A `=` says that it takes a value.
const FLAGS: &[(&str, &str)] = &[
    (
        "",
        "token= api-host= dashboard-host= timeout= attempts= scope= config-dir= no-verify-tls no-timeout \
         no-check-version no-read-env json debug silent print-config version enable-dns-resolver",
    ),
    (
        "run",
        "project= config= only-secrets= fallback= passphrase= no-exit-on-missing-only-secrets no-fallback no-cache \
         fallback-only offline fallback-readonly no-exit-on-write-failure forward-signals no-liveness-ping",
    ),
    ("secrets", "project= config= only-names raw"),
    ("configs", "project= environment= number= page="),
    ("projects", "number= page="),
    ("configure", "all plain"),
];

/// What the real one has and this one does not: a test that uses it must not pass by accident.
const ABSENT: &str = "mount mount-format mount-template mount-max-reads format watch command name-transformer \
                      dynamic-ttl preserve-env";

#[derive(Default)]
pub struct Args {
    /// The command, and what it is given.
    pub words: Vec<String>,
    flags: BTreeMap<String, String>,
}

impl Args {
    pub fn parse(given: Vec<String>) -> Result<Self> {
        let mut args = Args::default();
        let mut given = given.into_iter();
        while let Some(word) = given.next() {
            if word == "--" {
                args.words.extend(given);
                break;
            }
            let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
                args.words.push(word);
                continue;
            };
            let (name, value) = match flag.strip_prefix('-') {
                Some(long) => match long.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (long.to_owned(), None),
                },
                None => short(flag)?,
            };
            let takes_value = args.takes_value(&name)?;
            let value = match value {
                Some(value) => value,
                None if takes_value => given
                    .next()
                    .ok_or_else(|| Failure::new("", format!("flag needs an argument: --{name}")))?,
                None => "true".to_owned(),
            };
            args.flags.insert(name, value);
        }
        Ok(args)
    }

    fn takes_value(&self, name: &str) -> Result<bool> {
        let command = self.words.first().map_or("", String::as_str);
        for (_, flags) in FLAGS.iter().filter(|(of, _)| of.is_empty() || *of == command) {
            for flag in flags.split_whitespace() {
                if flag.trim_end_matches('=') == name {
                    return Ok(flag.ends_with('='));
                }
            }
        }
        let absent = ABSENT.split_whitespace().any(|flag| flag == name);
        let why = if absent { " (not part of the stand-in)" } else { "" };
        Err(Failure::new("", format!("unknown flag: --{name}{why}")))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.flags.get(name).map(String::as_str)
    }

    pub fn on(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// None for --no-timeout.
    pub fn timeout(&self) -> Result<Option<Duration>> {
        let text = self.get("timeout").unwrap_or("10s");
        let bad = |why: &str| {
            Failure::new(
                "",
                format!("invalid argument {text:?} for \"--timeout\" flag: time: {why} {text:?}"),
            )
        };
        let (mut rest, mut total) = (text, 0.0);
        while !rest.is_empty() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(|| bad("missing unit in duration"))?;
            let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
            let number: f64 = rest[..end].parse().map_err(|_| bad("invalid duration"))?;
            total += number
                * match &rest[end..unit_end] {
                    "ms" => 0.001,
                    "s" => 1.0,
                    "m" => 60.0,
                    "h" => 3600.0,
                    _ => return Err(bad("unknown unit in duration")),
                };
            rest = &rest[unit_end..];
        }
        Ok((!self.on("no-timeout")).then(|| Duration::from_secs_f64(total)))
    }

    pub fn attempts(&self) -> Result<u32> {
        let text = self.get("attempts").unwrap_or("5");
        text.parse()
            .map_err(|_| Failure::new("", format!("invalid argument {text:?} for \"--attempts\" flag")))
    }
}

/// `-p x`, `-px` and `-p=x`.
fn short(flag: &str) -> Result<(String, Option<String>)> {
    let name = match &flag[..1] {
        "p" => "project",
        "c" => "config",
        "t" => "token",
        "v" => "version",
        odd => return Err(Failure::new("", format!("unknown shorthand flag: '{odd}' in -{flag}"))),
    };
    let value = flag[1..].strip_prefix('=').unwrap_or(&flag[1..]);
    Ok((name.to_owned(), (!value.is_empty()).then(|| value.to_owned())))
}
