//! How the files and a database stand to each other.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha384};

use super::Migration;

/// SQL that says `t` if the database has been migrated at all.
pub const TABLE_EXISTS: &str = "select to_regclass('_sqlx_migrations') is not null";
/// SQL that gives a [`Row`] for each migration that was begun, where [`TABLE_EXISTS`] said so.
pub const ROWS: &str =
    "select version, description, success, encode(checksum, 'hex') from _sqlx_migrations order by version";
/// SQL that gives the indexes which a failed CREATE INDEX CONCURRENTLY left, and nobody is making now: they cost and serve nobody.
/// An invalid one of a partitioned table is whole as soon as each part has its own.
pub const INVALID_INDEXES: &str = "select indexrelid::regclass from pg_index \
     join pg_class on pg_class.oid = indexrelid and relkind = 'i' where not indisvalid \
     and indexrelid not in (select index_relid from pg_stat_progress_create_index) order by 1";

/// What the database says of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The number of its file.
    pub version: i64,
    /// The rest of its file's name, with spaces.
    pub description: String,
    /// Whether it came to its end.
    pub success: bool,
    /// The SHA-384 of the file that was applied, in hexadecimal digits.
    pub checksum: String,
}

impl Row {
    /// A row of [`ROWS`].
    pub fn read(columns: &[Option<String>]) -> Option<Self> {
        let [Some(version), Some(description), Some(success), Some(checksum)] = columns else { return None };
        Some(Row {
            version: version.parse().ok()?,
            description: description.clone(),
            success: success == "t",
            checksum: checksum.clone(),
        })
    }
}

impl Row {
    /// Whether it is the row of `file`, and not of another one with that number.
    fn is_of(&self, file: &Migration) -> bool {
        let rest = file.file.split_once('_').map_or("", |(_, rest)| rest).trim_end_matches(".sql");
        self.version == file.version && rest.replace('_', " ") == self.description
    }

    /// The name of its file.
    fn file(&self) -> String {
        format!("{:04}_{}.sql", self.version, self.description.replace(' ', "_"))
    }
}

/// How the files and a database stand to each other. Every list is in the order of the numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Applied, and as the file is.
    pub applied: Vec<Migration>,
    /// Not applied, and later than all that is.
    pub pending: Vec<Migration>,
    /// Applied, and the file was changed since.
    pub edited: Vec<Migration>,
    /// Not applied, though another one of the same number is: of another branch.
    pub taken: Vec<Migration>,
    /// Not applied, though a later one is: the service refuses to apply it.
    pub out_of_order: Vec<Migration>,
    /// Applied, and without a file here: of another branch.
    pub other_branch: Vec<String>,
    /// Begun and never finished, outside a transaction; the file is here.
    pub unfinished: Vec<String>,
}

/// Migrations of which the files and the database do not say the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    one: &'static str,
    /// How they stand, after their number: `edited after they were applied`.
    pub state: &'static str,
    /// Their files.
    pub files: Vec<String>,
    /// What to type: one of these.
    pub ways: Vec<String>,
}

impl Finding {
    /// `0002_clicks.sql was edited after it was applied`
    pub fn sentence(&self) -> String {
        match &self.files[..] {
            [file] => format!("{file} {}", self.one),
            files => format!("{}: {}", self.state, files.join(", ")),
        }
    }
}

impl Standing {
    /// Compares `files`, which lie in `folder`, with what the database says.
    pub fn of(files: Vec<Migration>, folder: &Path, rows: &[Row]) -> Result<Self> {
        let mut standing = Standing::default();
        let newest = rows.iter().filter(|row| row.success).map(|row| row.version).max();
        for row in rows {
            if !files.iter().any(|file| file.version == row.version) {
                standing.other_branch.push(row.file());
            } else if !row.success && files.iter().any(|file| row.is_of(file)) {
                standing.unfinished.push(row.file());
            }
        }
        for file in files {
            match rows.iter().find(|row| row.version == file.version) {
                // Whatever it is called now.
                Some(row) if row.success && row.checksum == checksum(&folder.join(&file.file))? => {
                    standing.applied.push(file)
                }
                Some(row) if !row.is_of(&file) => {
                    standing.other_branch.push(row.file());
                    standing.taken.push(file);
                }
                Some(row) if !row.success => {}
                Some(_) => standing.edited.push(file),
                None if newest.is_some_and(|newest| file.version < newest) => {
                    standing.out_of_order.push(file)
                }
                None => standing.pending.push(file),
            }
        }
        Ok(standing)
    }

    /// What does not agree, each with the way out, worst first. `folder` is the migrations' as people type it;
    /// `is_committed` says whether git has such a file.
    pub fn findings(&self, folder: &str, is_committed: impl Fn(&str) -> bool) -> Vec<Finding> {
        let names = |list: &[Migration]| list.iter().map(|one| one.file.clone()).collect::<Vec<_>>();
        let reset = || "cargo xtask db reset      (the development data go)".to_owned();
        let edited = self.edited.first().map(|one| format!("{folder}/{}", one.file)).unwrap_or_default();
        let back = format!("git checkout {edited}      (and a new file: cargo xtask db new)");
        let edited = if is_committed(&edited) { vec![back, reset()] } else { vec![reset()] };
        let next = self.newest() + 1;
        let renumber = |list: &[Migration]| {
            let one = list.first().map(|one| {
                let (from, rest) =
                    (format!("{folder}/{}", one.file), one.file.split_once('_').map_or("", |it| it.1));
                let mv = if is_committed(&from) { "git mv" } else { "mv" };
                format!("{mv} {from} {folder}/{next:04}_{rest}")
            });
            one.into_iter().collect::<Vec<_>>()
        };
        let (late, taken) = (renumber(&self.out_of_order), renumber(&self.taken));
        let other = vec!["cargo xtask db reset      (or switch back to that branch)".to_owned()];
        let again = vec!["cargo xtask db migrate".to_owned()];
        let all = [
            (
                ["was edited after it was applied", "edited after they were applied"],
                names(&self.edited),
                edited,
            ),
            (
                ["is out of order, a later one is applied", "out of order, a later one is applied"],
                names(&self.out_of_order),
                late,
            ),
            (
                [
                    "has the number of another one, which is applied",
                    "with the number of another one, which is applied",
                ],
                names(&self.taken),
                taken,
            ),
            (["of another branch is applied", "from another branch"], self.other_branch.clone(), other),
            (["was begun and not finished", "begun and not finished"], self.unfinished.clone(), again),
        ];
        let found = all.into_iter().filter(|(_, files, _)| !files.is_empty());
        found.map(|([one, state], files, ways)| Finding { one, state, files, ways }).collect()
    }

    /// Whether the service would refuse to migrate. A database that is only ahead of the files can still be served; a
    /// migration that was begun and not finished is the service's own to judge.
    pub fn is_refused(&self) -> bool {
        let newest = self.files().map(|one| one.version).max();
        let gap = |name: &String| super::number(name) < newest;
        let behind = !self.pending.is_empty() && !self.other_branch.is_empty();
        let gap = self.other_branch.iter().any(gap);
        let files = [&self.edited, &self.out_of_order, &self.taken].into_iter().any(|list| !list.is_empty());
        files || behind || gap
    }

    /// The files that are here.
    fn files(&self) -> impl Iterator<Item = &Migration> {
        [&self.applied, &self.pending, &self.edited, &self.out_of_order, &self.taken].into_iter().flatten()
    }

    /// The highest number that a file or the database has.
    pub fn newest(&self) -> i64 {
        let foreign = self.other_branch.iter().chain(&self.unfinished).filter_map(|name| super::number(name));
        self.files().map(|one| one.version).chain(foreign).max().unwrap_or(0)
    }

    /// Whether files and database agree, but for what is pending.
    pub fn is_sound(&self) -> bool {
        let Standing { edited, out_of_order, other_branch, unfinished, taken, .. } = self;
        let files = [edited, out_of_order, taken].into_iter().all(Vec::is_empty);
        files && other_branch.is_empty() && unfinished.is_empty()
    }
}

/// The sum that sqlx keeps of an applied file.
fn checksum(path: &Path) -> Result<String> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Sha384::digest(text).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_and_row_is_told_apart() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut files = Vec::new();
        for (version, file) in
            [(1, "0001_a.sql"), (2, "0002_b.sql"), (3, "0003_c.sql"), (4, "0004_cut.sql"), (9, "0009_d.sql")]
        {
            fs::write(folder.path().join(file), file)?;
            files.push(Migration { version, file: file.to_owned() });
        }
        let row = |version: i64, success: bool, text: &str| Row {
            version,
            description: match version {
                1 => "a",
                2 => "b",
                3 => "c",
                4 => "cut",
                _ => "some work",
            }
            .to_owned(),
            success,
            checksum: Sha384::digest(text).iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        let rows = [
            row(1, true, "0001_a.sql"),
            row(3, true, "before"),
            row(4, false, ""),
            row(5, true, ""),
            row(6, false, ""),
        ];
        let standing = Standing::of(files.clone(), folder.path(), &rows)?;
        assert_eq!(standing.applied, files[..1]);
        assert_eq!(standing.out_of_order, files[1..2]);
        assert_eq!(standing.edited, files[2..3]);
        assert_eq!(standing.pending, files[4..]);
        assert_eq!(standing.other_branch, ["0005_some_work.sql", "0006_some_work.sql"]);
        assert_eq!(standing.unfinished, ["0004_cut.sql"]);
        assert!(!standing.is_sound());
        // Another file of that number was applied.
        let other = Row { description: "other".to_owned(), ..row(2, true, "something else") };
        let taken = Standing::of(files[..2].to_vec(), folder.path(), &[row(1, true, "0001_a.sql"), other])?;
        assert!(taken.taken == files[1..2] && taken.edited.is_empty() && taken.is_refused());
        assert_eq!(taken.other_branch, ["0002_other.sql"]);
        // A gap is refused, a database that is only ahead is not.
        let of = |files: &[Migration], rows: &[Row]| Standing::of(files.to_vec(), folder.path(), rows);
        let (a, c) = (row(1, true, "0001_a.sql"), row(3, true, "0003_c.sql"));
        let b = row(2, true, "0002_b.sql");
        let both = [a, b, c];
        assert!(of(&[files[0].clone(), files[2].clone()], &both)?.is_refused());
        assert!(!of(&files[..1], &both)?.is_refused());
        let fresh = Standing::of(files.clone(), folder.path(), &[])?;
        assert!(fresh.is_sound() && fresh.pending == files);
        Ok(())
    }
}
