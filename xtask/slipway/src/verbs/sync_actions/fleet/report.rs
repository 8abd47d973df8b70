//! What was found, judged and in order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use semver::Version;
use serde_json::{Value, json};

use super::list::{Place, Repository};
use super::read::{Adopted, Found, Key, version};
use crate::actions::{Survey, plain};
use crate::config::read_source;

/// How a repository stands, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Unreachable,
    Withdrawn,
    Behind,
    Edited,
    /// What is newer cannot be told: the source cannot be reached, or a branch or commit is pinned.
    Unknown,
    Current,
    NotAdopted,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Unreachable => "unreachable",
            State::Withdrawn => "withdrawn",
            State::Behind => "behind",
            State::Edited => "edited",
            State::Unknown => "behind unknown",
            State::Current => "current",
            State::NotAdopted => "not adopted",
        }
    }
}

/// A repository.
pub struct Row {
    pub name: String,
    pub address: String,
    /// Whether the address is a folder.
    pub local: bool,
    pub source: Option<String>,
    pub version: Option<String>,
    pub commit: Option<String>,
    /// How many versions are newer, of those that were not withdrawn.
    pub behind: Option<usize>,
    pub edited: Vec<String>,
    pub own: Vec<String>,
    /// Why its version was withdrawn.
    pub withdrawn: Option<String>,
    pub state: State,
    /// Why it could not be read.
    pub error: Option<String>,
    pub history: Vec<Adopted>,
}

impl Row {
    /// `acme/slipway`
    pub fn source_name(&self) -> String {
        self.source.as_deref().map(short).unwrap_or_default()
    }

    /// `v1.8.0`, or the branch or commit.
    pub fn version_name(&self) -> String {
        let Some(version) = &self.version else { return String::new() };
        let prefix = if version.parse::<Version>().is_ok() { "v" } else { "" };
        format!("{prefix}{version}")
    }

    pub fn behind_text(&self) -> String {
        match self.behind {
            Some(0) => String::new(),
            Some(behind) => behind.to_string(),
            None if self.source.is_some() => "?".to_owned(),
            None => String::new(),
        }
    }
}

/// An address as people call it.
pub fn short(address: &str) -> String {
    plain(&read_source(address).map_or_else(|_| address.to_owned(), |source| source.short()))
}

/// Where some of them pull from.
pub struct SourceRow {
    pub source: String,
    pub subdir: Option<String>,
    pub short: String,
    /// The newest version that was not withdrawn.
    pub newest: Option<Version>,
    pub versions: Vec<Version>,
    pub error: Option<String>,
}

/// Everything.
pub struct Report {
    pub rows: Vec<Row>,
    pub sources: Vec<SourceRow>,
}

impl Report {
    pub fn new(
        repositories: Vec<Repository>,
        found: Vec<Result<Found, String>>,
        surveys: BTreeMap<Key, Result<Survey, String>>,
    ) -> Self {
        let pairs = repositories.into_iter().zip(found);
        let mut rows: Vec<Row> = pairs.map(|(repository, found)| row(repository, found, &surveys)).collect();
        rows.sort_by(|a, b| {
            let key = |row: &Row| (row.state, Reverse(row.behind), Reverse(row.edited.len()));
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        let source = |((source, subdir), survey): (Key, Result<Survey, String>)| {
            let short = short(&source);
            match survey {
                Ok(Survey { target, versions, .. }) => SourceRow {
                    source,
                    subdir,
                    short,
                    newest: target.ok().and_then(|target| target.version),
                    versions,
                    error: None,
                },
                Err(error) => SourceRow {
                    source,
                    subdir,
                    short,
                    newest: None,
                    versions: Vec::new(),
                    error: Some(error),
                },
            }
        };
        Report { rows, sources: surveys.into_iter().map(source).collect() }
    }

    pub fn count(&self, state: State) -> usize {
        self.rows.iter().filter(|row| row.state == state).count()
    }

    /// `100 repositories: 61 current, 30 behind, 2 withdrawn, 7 not adopted`
    pub fn summary(&self) -> String {
        const ORDER: [State; 7] = [
            State::Current,
            State::Behind,
            State::Withdrawn,
            State::Edited,
            State::Unknown,
            State::Unreachable,
            State::NotAdopted,
        ];
        let counts = ORDER.map(|state| (self.count(state), state));
        let parts = counts.iter().filter(|(number, _)| *number > 0);
        let parts: Vec<String> = parts.map(|(number, state)| format!("{number} {}", state.name())).collect();
        format!("{}: {}", super::repositories_of(self.rows.len()), parts.join(", "))
    }

    /// All changes of versions with the repository, by date.
    pub fn adoption(&self) -> Vec<(&Row, &Adopted)> {
        let mut all: Vec<_> =
            self.rows.iter().flat_map(|row| row.history.iter().map(move |adopted| (row, adopted))).collect();
        all.sort_by(|a, b| (&a.1.date, &a.0.name).cmp(&(&b.1.date, &b.0.name)));
        all
    }

    /// The schema of docs/sync-actions.md.
    pub fn json(&self) -> Value {
        let repository = |row: &Row| {
            json!({
                "name": row.name, "address": row.address, "source": row.source, "version": row.version,
                "commit": row.commit, "behind": row.behind, "edited": row.edited, "own": row.own,
                "withdrawn": row.withdrawn, "state": row.state.name().replace(' ', "-"), "error": row.error,
            })
        };
        let source = |row: &SourceRow| {
            json!({
                "source": row.source, "subdir": row.subdir, "newest": row.newest, "versions": row.versions,
                "error": row.error,
            })
        };
        let adopted = |(row, adopted): (&Row, &Adopted)| json!({ "date": adopted.date, "repository": row.name, "version": adopted.version });
        json!({
            "repositories": self.rows.iter().map(repository).collect::<Vec<_>>(),
            "sources": self.sources.iter().map(source).collect::<Vec<_>>(),
            "adoption": self.adoption().into_iter().map(adopted).collect::<Vec<_>>(),
        })
    }
}

fn row(
    Repository { name, address, place }: Repository,
    found: Result<Found, String>,
    surveys: &BTreeMap<Key, Result<Survey, String>>,
) -> Row {
    let mut row = Row {
        name,
        address,
        local: matches!(place, Place::Folder(_)),
        source: None,
        version: None,
        commit: None,
        behind: None,
        edited: Vec::new(),
        own: Vec::new(),
        withdrawn: None,
        state: State::NotAdopted,
        error: None,
        history: Vec::new(),
    };
    let Found { lock, edited, own, history } = match found {
        Ok(found) => found,
        Err(error) => return Row { state: State::Unreachable, error: Some(error), ..row },
    };
    row.history = history;
    let Some(lock) = lock else { return row };
    let survey =
        surveys.get(&(lock.source.clone(), lock.subdir.clone())).and_then(|found| found.as_ref().ok());
    if let (Some(here), Some(Survey { versions, newest, .. })) = (&lock.version, survey) {
        // Nobody is given what was withdrawn.
        let newer = |there: &&Version| *there > here && newest.withdrawn(there).is_none();
        row.behind = Some(versions.iter().filter(newer).count());
        row.withdrawn = newest.withdrawn(here).map(str::to_owned);
    }
    row.state = match row.behind {
        _ if row.withdrawn.is_some() => State::Withdrawn,
        Some(behind) if behind > 0 => State::Behind,
        _ if !edited.is_empty() => State::Edited,
        None => State::Unknown,
        Some(_) => State::Current,
    };
    row.version = Some(version(&lock));
    row.source = Some(plain(&lock.source));
    row.commit = lock.commit.as_deref().map(plain);
    Row { edited, own, ..row }
}
