//! What servers said of their versions: asking one costs 12 ms, which is a quarter of a start.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xshell::cmd;

use super::find::{Server, said_version};
use crate::files;
use crate::process::{Kind, Launcher};

/// Versions by program, kept in a file of the cache. A program that was changed or replaced is asked again.
pub(super) struct Versions {
    file: PathBuf,
    known: BTreeMap<PathBuf, Said>,
    changed: bool,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    /// Inode, size, and the time of the last change in nanoseconds.
    seen: (u64, u64, i64, i64),
    version: String,
}

impl Versions {
    /// What is known. A file that cannot be read is as good as none.
    pub(super) fn read(file: &Path) -> Self {
        let text = std::fs::read(file).unwrap_or_default();
        Versions {
            file: file.into(),
            known: serde_json::from_slice(&text).unwrap_or_default(),
            changed: false,
        }
    }

    /// The server at `bin`, if one is there and runs.
    pub(super) fn server(&mut self, launcher: &Launcher<'_>, bin: &Path) -> Option<Server> {
        let program = bin.join("postgres");
        let found = std::fs::metadata(&program).ok()?;
        let seen = (found.ino(), found.size(), found.ctime(), found.ctime_nsec());
        let known = self.known.get(&program).filter(|said| said.seen == seen);
        let version = match known {
            Some(said) => said.version.clone(),
            None => {
                let version = ask(launcher, &program)?;
                self.known.insert(program, Said { seen, version: version.clone() });
                self.changed = true;
                version
            }
        };
        Some(Server { bin: bin.to_path_buf(), version })
    }

    /// Keeps what was learnt. Where that does not work, the next run asks again.
    pub(super) fn keep(mut self) {
        if self.changed && self.file.parent().is_some_and(Path::is_dir) {
            self.known.retain(|program, _| program.is_file());
            let text = serde_json::to_vec_pretty(&self.known).unwrap_or_default();
            let _ = files::write_atomic(&self.file, &text);
        }
    }
}

/// What `postgres --version` says, if it runs.
pub(super) fn ask(launcher: &Launcher<'_>, program: &Path) -> Option<String> {
    let said = launcher.read(cmd!(launcher.shell, "{program} --version"), Kind::Tool).ok()?;
    said_version(&said).map(str::to_owned)
}
