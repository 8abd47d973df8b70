//! `sync-actions keep`: an edit is this repository's own.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::{Setup, not_managed};
use crate::actions::{Here, Keep, State, apply, keep, look};
use crate::context::Context;
use crate::failure::{Code, Failure};

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask sync-actions keep .github/workflows/ci.yml")]
pub struct Args {
    /// Files below .github/, deleted ones too
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let setup = Setup::new(context)?;
    let _guard = setup.begin(context, false)?;
    let mut here = setup.look_at_lock()?;
    let mut lock = setup.pulled()?;
    here.extend(look(setup.root(), lock.files.keys())?);
    let mut said = Vec::new();
    for typed in &args.paths {
        let path = setup.path(context, typed)?;
        if lock.files.get(&path).is_some_and(|entry| entry.state == State::Gone) {
            // Nothing will ever be merged into it.
            lock.files.remove(&path);
            said.push((path, "yours alone from now on"));
            continue;
        }
        let known: Vec<String> = lock.files.keys().cloned().collect();
        let Some(entry) = lock.files.get_mut(&path) else { return Err(not_managed(&path, known).into()) };
        let fact = match keep(entry, here.get(&path).unwrap_or(&Here::Absent)) {
            Keep::Edit => "your edit is kept; updates are merged into it",
            Keep::Deletion => "stays deleted",
            Keep::AsPulled => "is as it was pulled: nothing to keep",
            Keep::Marked(line) => {
                return Err(Failure::new(
                    Code::Conflict,
                    format!("{path}:{line}: a mark of a conflict is still there"),
                )
                .next(format!("edit it, or: cargo xtask sync-actions --ours {path}      (or --theirs)"))
                .into());
            }
            Keep::NoFile => {
                return Err(Failure::new(
                    Code::Failed,
                    format!("{path} is a link or no file, which cannot be kept"),
                )
                .into());
            }
        };
        said.push((path, fact));
    }
    apply(setup.root(), &setup.folders, &here, &[], None, &lock, "keep")?;
    for (path, fact) in said {
        context.screen.done(&path, fact, None);
    }
    Ok(ExitCode::SUCCESS)
}
