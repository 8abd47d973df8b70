//! The service's migrations: the files, and the service's own `migrate`, which applies them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use xshell::cmd;

use crate::failure::{Code, Failure};
use crate::files;
use crate::process::{Captured, Kind, Launcher, Leash, Said, Start, quote, tail};

mod standing;

pub use standing::{Finding, INVALID_INDEXES, ROWS, Row, Standing, TABLE_EXISTS};

/// How often a run is looked at.
const POLL: Duration = Duration::from_millis(2);
/// How long a run may take to end when it is cancelled.
const GRACE: Duration = Duration::from_secs(5);

/// What `migrate --json` of the service says.
#[derive(Debug, Default, Deserialize)]
pub struct Report {
    /// Migrations that were applied just now.
    pub applied: Vec<Applied>,
}

/// A migration that was applied.
#[derive(Debug, Deserialize)]
pub struct Applied {
    /// The name of its file, without `.sql`.
    pub name: String,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// The service's `migrate`, while it runs. It ends when this process does.
pub struct Run(Captured);

impl Run {
    /// Begins to apply what is pending, with the service's binary, after a look at the files below `folder`.
    pub fn start(launcher: &Launcher<'_>, binary: &Path, url: &str, folder: &Path) -> Result<Self> {
        files(folder)?;
        let command = cmd!(launcher.shell, "{binary} migrate --json").env("DATABASE_URL", url);
        let start = Start::new(command, Kind::Program, Leash::Signal(Signal::TERM));
        let child = launcher.start(start.outputs(Stdio::piped(), Stdio::piped()))?;
        Captured::new(child).map(Run)
    }

    /// What it did, once it has ended.
    ///
    /// # Errors
    /// The outer one: it cannot be waited for. The inner one: the database was not migrated.
    pub fn poll(&mut self) -> Result<Option<Result<Report>>> {
        let Some(Said { code, stdout, stderr }) = self.0.poll()? else { return Ok(None) };
        if code != 0 {
            return Ok(Some(Err(refused(code, &stderr).into())));
        }
        let report = serde_json::from_str(&stdout);
        Ok(Some(report.with_context(|| format!("the service's `migrate --json` said {stdout:?}"))))
    }

    /// What it has said since the last call: whom it waits for.
    pub fn news(&mut self) -> Vec<String> {
        self.0.news()
    }

    /// Ends it: what it has begun is rolled back as soon as the server sees that, what it has done stays.
    pub fn cancel(mut self) -> Result<()> {
        self.0.child().stop(&[(Signal::TERM, GRACE)]).map(drop)
    }
}

/// Why the service did not migrate. Its errors have the form of ours: what it waited for, `error: why`, `  next  what`.
fn refused(code: u8, stderr: &str) -> Failure {
    let failure = Failure::new(Code::Failed, "the database was not migrated");
    let at = if stderr.starts_with("error: ") { Some(0) } else { stderr.find("\nerror: ").map(|at| at + 1) };
    let Some(why) = at.and_then(|at| stderr[at..].strip_prefix("error: ")) else {
        let said =
            if stderr.trim().is_empty() { format!("it ended with code {code}") } else { stderr.to_owned() };
        return failure.why(tail(said.trim(), 12));
    };
    match why.split_once("\n  next  ") {
        Some((why, next)) => failure.why(why.trim()).next(next.trim()),
        None => failure.why(why.trim()),
    }
}

/// Applies what is pending, see [`Run::start`], and waits for it.
pub fn apply(launcher: &Launcher<'_>, binary: &Path, url: &str, folder: &Path) -> Result<Report> {
    let mut run = Run::start(launcher, binary, url, folder)?;
    loop {
        if let Some(report) = run.poll()? {
            return report;
        }
        run.news().iter().for_each(|line| launcher.progress().working("migrate", line));
        std::thread::sleep(POLL);
    }
}

/// A migration's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Migration {
    /// The number that its name starts with.
    pub version: i64,
    /// Its name.
    pub file: String,
}

/// Sixteen hexadecimal digits that change with the name or the content of any migration below `folder`.
pub fn hash(folder: &Path) -> Result<String> {
    let mut sum = Sha256::new();
    for Migration { file, .. } in files(folder)? {
        let path = folder.join(&file);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // With lengths, so that no two sets of files can look the same.
        sum.update(format!("{} {file} {}\n", file.len(), text.len()));
        sum.update(text);
    }
    Ok(sum.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// The migrations below `folder`, in their order.
pub fn files(folder: &Path) -> Result<Vec<Migration>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let Ok(file) = entry?.file_name().into_string() else { continue };
        if let Some(version) = number(&file) {
            found.push(Migration { version, file });
        }
    }
    found.sort();
    match found.windows(2).find(|pair| pair[0].version == pair[1].version) {
        None => Ok(found),
        Some(pair) => {
            Err(twice(folder, &pair[0], &pair[1], found.last().map_or(0, |last| last.version)).into())
        }
    }
}

/// The number of a migration's file; none if it is not one.
fn number(file: &str) -> Option<i64> {
    file.strip_suffix(".sql")?.split_once('_')?.0.parse().ok()
}

/// SQL files below `folder` that nothing will ever apply, because their names do not start with a number.
pub fn strays(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<String> =
        names.filter(|file| file.ends_with(".sql") && number(file).is_none()).collect();
    found.sort();
    found
}

/// What two branches that both made a migration end in.
fn twice(folder: &Path, one: &Migration, two: &Migration, last: i64) -> Failure {
    let rest = two.file.split_once('_').map_or("", |(_, rest)| rest);
    let (from, to) = (folder.join(&two.file), folder.join(format!("{:04}_{rest}", last + 1)));
    Failure::new(
        Code::Usage,
        format!("two migrations have the number {}: {} and {}", one.version, one.file, two.file),
    )
    .why("only one of them would ever be applied")
    .next(format!(
        "git mv {} {}      (the one that is not applied anywhere yet)",
        quote(&from.to_string_lossy()),
        quote(&to.to_string_lossy())
    ))
}

/// Whether the file of a migration has only blank lines and comments, as one has that was just made.
pub fn is_empty(folder: &Path, migration: &Migration) -> bool {
    let text = fs::read_to_string(folder.join(&migration.file)).unwrap_or_default();
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with("--"))
}

/// Makes the file of a new, empty migration below `folder`, numbered after the last one and after `taken`.
pub fn create(folder: &Path, what: &str, taken: i64) -> Result<PathBuf> {
    let name = name(what)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let last = files(folder)?.last().map_or(0, |migration| migration.version).max(taken);
    let path = folder.join(format!("{:04}_{name}.sql", last + 1));
    let text =
        format!("-- {what}: forward only. One change that the version before this one can live with.\n");
    files::write_atomic(&path, text.as_bytes())?;
    Ok(path)
}

/// A file name from what people type: `Add notes` becomes `add_notes`.
fn name(what: &str) -> Result<String> {
    let name: String = what.trim().to_lowercase().replace([' ', '-'], "_");
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 80 || !name.chars().all(plain) {
        return Err(Failure::new(Code::Usage, format!("`{what}` is no name for a migration"))
            .next("letters, digits and _, at most 80: cargo xtask db new add_notes")
            .into());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_from_the_last_file() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let folder = folder.path().join("migrations");
        for expected in ["0001_links.sql", "0002_links.sql"] {
            assert_eq!(create(&folder, "links", 0)?, folder.join(expected));
        }
        fs::write(folder.join("0002_other.sql"), "")?;
        let twice = files(&folder).map_err(|error| error.to_string());
        assert_eq!(
            twice,
            Err("two migrations have the number 2: 0002_links.sql and 0002_other.sql".to_owned())
        );
        fs::remove_file(folder.join("0002_other.sql"))?;
        fs::write(folder.join("0041_gap.sql"), "")?;
        assert_eq!(create(&folder, "Add notes", 0)?, folder.join("0042_add_notes.sql"));
        assert_eq!(create(&folder, "more", 50)?, folder.join("0051_more.sql"));
        Ok(())
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for what in ["", " ", "../evil", "a/b", "drop;table", "ünï", &"x".repeat(81)] {
            assert!(name(what).is_err(), "{what}");
        }
    }
}
