//! The whole difference, for `-v`.

use std::path::Path;

use anyhow::{Context as _, Result};
use xshell::cmd;

use super::Setup;
use crate::actions::Outcome;
use crate::process::{Kind, Launcher};

/// `git diff` of what would be written.
pub fn show(launcher: &Launcher<'_>, setup: &Setup, outcomes: &[Outcome]) -> Result<()> {
    let folder = setup.folders.scratch();
    let _ = crate::files::remove_folder(&folder);
    let put = |side: &str, path: &str, bytes: &[u8]| -> Result<()> {
        let path = folder.join(side).join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    for side in ["a", "b"] {
        std::fs::create_dir_all(folder.join(side))?;
    }
    for outcome in outcomes {
        let old = outcome.from.as_ref().unwrap_or(&outcome.path);
        if let Some((bytes, _)) = &outcome.write {
            put("b", &outcome.path, bytes)?;
        }
        if (outcome.write.is_some() || outcome.remove)
            && let Ok(bytes) = std::fs::read(setup.root().join(old))
        {
            put("a", old, &bytes)?;
        }
    }
    let sh = &launcher.shell;
    let command =
        cmd!(sh, "git -C {folder} --no-pager diff --no-index --no-prefix --find-renames --no-ext-diff a b");
    launcher.interact(command, Kind::Git).map(drop)
}
