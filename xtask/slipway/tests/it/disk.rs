//! A small disk, to be filled.

use std::path::PathBuf;
use std::process::Command;

/// A small disk at a folder, gone at the end.
pub struct Disk {
    at: PathBuf,
    megabytes: usize,
}

impl Disk {
    /// None, and a line on stderr, where no file system can be mounted.
    pub fn new(at: PathBuf, megabytes: usize) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "none"]).arg(&at);
        if !mount.output().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no file system can be mounted here");
            return None;
        }
        Some(Disk { at, megabytes })
    }

    /// Leaves this many bytes.
    pub fn fill(&self, left: usize) {
        let filler = self.at.join("filler");
        let mut all = vec![0; (self.megabytes + 1) << 20];
        // Ends at what fits.
        let _ = std::fs::write(&filler, &all);
        let length = usize::try_from(std::fs::metadata(&filler).unwrap().len()).unwrap();
        all.truncate(length.saturating_sub(left));
        std::fs::write(&filler, &all).unwrap();
    }

    /// Has room again.
    pub fn empty(&self) {
        std::fs::remove_file(self.at.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}
