//! Why a save does not reach the page, for the terminal and for the page.

use std::time::Duration;

use crate::cargo::errors;
use crate::failure::Failure;
use crate::migrations::{Finding, Migration};
use crate::output::{count, seconds};

/// The step that applies migrations, as lines name it.
pub const MIGRATE: &str = "migrate";

#[derive(Default)]
pub struct Refusal {
    /// The step that failed.
    pub source: String,
    /// In a line.
    pub what: String,
    /// What another program said, as it said it.
    pub said: String,
    /// What the terminal has shown already, line by line.
    pub heard: String,
    /// Why, and what to do about it, a line each.
    pub way: String,
    /// Nothing is wrong: somebody is at it.
    pub is_mild: bool,
}

impl Refusal {
    /// The step `source` ended in `error`.
    pub fn of(source: &str, error: &anyhow::Error) -> Self {
        let source = source.to_owned();
        let Some(failure) = error.downcast_ref::<Failure>() else {
            return Refusal { source, what: format!("{error:#}"), ..Refusal::default() };
        };
        if let Some(said) = &failure.said {
            let what = count(errors(said), "error");
            return Refusal { source, what, said: said.clone(), ..Refusal::default() };
        }
        let facts = failure.facts.iter().map(|(label, text)| labelled(label, text));
        let way = facts.chain(failure.next.iter().map(|next| labelled("next", next)));
        let way = way.collect::<Vec<_>>().join("\n");
        Refusal { source, what: failure.what.clone(), way, ..Refusal::default() }
    }

    /// Files and database do not agree, so what is pending cannot be applied.
    pub fn of_findings(findings: &[Finding], pending: Option<&Migration>) -> Self {
        let sentence = findings.first().map(Finding::sentence).unwrap_or_default();
        let what = match pending {
            Some(pending) => format!("{} waits: {sentence}", pending.file),
            None => sentence,
        };
        let next =
            |finding: &Finding| finding.ways.iter().map(|way| labelled("next", way)).collect::<Vec<_>>();
        let first = findings.first().map(next).unwrap_or_default();
        let others = findings.iter().skip(1);
        let others =
            others.flat_map(|other| [vec![labelled("also", &other.sentence())], next(other)].concat());
        let mut lines: Vec<String> = Vec::new();
        for line in first.into_iter().chain(others) {
            // One way may lead out of two.
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let way = lines.join("\n");
        Refusal { source: MIGRATE.to_owned(), what, way, ..Refusal::default() }
    }

    /// A migration that nothing was written into yet.
    pub fn of_empty(empty: &Migration) -> Self {
        let what = format!("{} has no statement yet: write it, and save", empty.file);
        Refusal { source: MIGRATE.to_owned(), what, is_mild: true, ..Refusal::default() }
    }

    /// The database could not be asked how it stands.
    pub fn without_server(error: &anyhow::Error) -> Self {
        let what = format!("PostgreSQL does not answer: {error}");
        let way = labelled("next", "cargo xtask db start");
        Refusal { source: MIGRATE.to_owned(), what, way, ..Refusal::default() }
    }

    /// The service was started `waits` ago, and is not ready: it `lack`s that.
    pub fn late(service: &str, waits: Duration, lack: &str) -> Self {
        let what = format!("not ready after {}: {}", seconds(waits), lack.trim_end());
        Refusal { source: service.to_owned(), what, ..Refusal::default() }
    }

    /// The service ended by itself; `heard` is what it printed last. `typed` says that keys are read.
    pub fn ended(service: &str, code: u8, heard: String, typed: bool) -> Self {
        let key = if typed { ", or type r" } else { "" };
        let way = labelled("next", &format!("save a file{key}: it is started again"));
        let what = format!("ended with code {code}");
        Refusal { source: service.to_owned(), what, heard, way, ..Refusal::default() }
    }

    /// All of it, for the page.
    pub fn text(&self) -> String {
        format!("{}: {}\n\n{}", self.source, self.what, self.body()).trim_end().to_owned()
    }

    /// What comes below its line.
    pub fn body(&self) -> String {
        let parts = [&self.said, &self.heard, &self.way].into_iter().filter(|part| !part.trim().is_empty());
        parts.map(String::as_str).collect::<Vec<_>>().join("\n\n")
    }
}

fn labelled(label: &str, text: &str) -> String {
    let mut lines = text.lines();
    let first = format!("  {label:<5}  {}", lines.next().unwrap_or_default());
    lines.fold(first, |all, line| format!("{all}\n         {line}"))
}
