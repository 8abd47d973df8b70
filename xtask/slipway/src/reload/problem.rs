//! The file in which a running service finds what is wrong with the code as it was saved, to show it on its page.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::files;
use crate::output::strip_color;

/// How the names of such files begin.
pub(super) const PROBLEM: &str = "problem-";

/// Such a file. Empty or absent means that all is well.
pub struct Problem {
    path: PathBuf,
}

impl Problem {
    /// One in `folder`, of this process alone.
    pub fn new(folder: &Path) -> Self {
        Problem { path: folder.join(format!("{PROBLEM}{}", std::process::id())) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says what is wrong; nothing, if all is well.
    pub fn say(&self, text: &str) -> Result<()> {
        let plain: Vec<String> = text.lines().map(strip_color).collect();
        self.write(&plain.join("\n"))
    }

    /// Whole or not at all for who reads it, and not worth waiting for the disk. For this user only: a service's last
    /// words may be in it.
    fn write(&self, text: &str) -> Result<()> {
        let fresh = files::beside(&self.path, "new");
        let write = || {
            let _ = fs::remove_file(&fresh);
            let mut file =
                fs::File::options().write(true).create_new(true).mode(files::PRIVATE).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&fresh, &self.path)
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for Problem {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
