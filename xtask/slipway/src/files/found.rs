//! What a journal would overwrite and has not seen before.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::beside;

/// What somebody wrote after a cut. It is not ours to lose.
pub struct Found<'a> {
    /// The journal that was cut off.
    pub journal: &'a Path,
    /// A new one for each recovery.
    pub folder: Option<PathBuf>,
    /// Where it is now.
    pub rescued: Vec<PathBuf>,
}

impl Found<'_> {
    /// Puts it into a folder of its own, on the disk.
    pub fn keep(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => self.folder.insert(self.make()?).clone(),
        };
        let aside = folder.join(path);
        fs::create_dir_all(aside.parent().unwrap_or(&folder))?;
        let mut file = File::options().write(true).create_new(true).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        self.rescued.push(aside);
        Ok(())
    }

    /// A folder that was not there, named by the second.
    fn make(&self) -> io::Result<PathBuf> {
        let all = beside(self.journal, "found");
        if fs::symlink_metadata(&all).is_ok_and(|about| !about.is_dir()) {
            return Err(io::Error::other(format!("{} is a link or a file", all.display())));
        }
        fs::create_dir_all(&all)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut number = 0;
        loop {
            let name = if number == 0 { now.to_string() } else { format!("{now}.{number}") };
            match fs::create_dir(all.join(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => return made.map(|()| all.join(name)),
            }
        }
    }
}
