//! `sync-actions`: the shared workflows, pulled when it suits, and nothing lost.

mod check;
mod difference;
mod fleet;
mod init;
mod keep;
mod marks;
mod shown;
mod status;
mod sync;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use semver::Version;

pub use self::check::step;

use crate::actions::{Folders, Git, Here, LOCK, Lock, Wanted, finish, look};
use crate::config::{Asked, Source};
use crate::context::{Context, Repository};
use crate::failure::{Code, Failure};
use crate::files;
use crate::output::count;
use crate::process::Launcher;

#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  cargo xtask sync-actions --dry-run\n  cargo xtask sync-actions --check\n  \
                  cargo xtask sync-actions keep .github/workflows/ci.yml\nMore: docs/sync-actions.md"
)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Exactly this version, an older one too
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Option<Version>,
    /// Show, change nothing; -v shows the whole difference
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Does what is here agree with the lock? Needs neither git nor a network
    #[arg(long, conflicts_with_all = ["to", "dry_run", "ours", "theirs", "markers"])]
    check: bool,
    /// With --check: also look at the source for newer and withdrawn versions
    #[arg(long, requires = "check")]
    online: bool,
    /// With --check: for programs, on stdout
    #[arg(long, requires = "check")]
    json: bool,
    /// In conflict, take our lines of this file; may be given more than once
    #[arg(long, value_name = "PATH")]
    ours: Vec<PathBuf>,
    /// In conflict, take their lines of this file; without one, their whole file
    #[arg(long, value_name = "PATH")]
    theirs: Vec<PathBuf>,
    /// Write conflicts into the files, for an editor
    #[arg(long)]
    markers: bool,
}

impl Args {
    /// The newest version in range.
    fn plain() -> Self {
        Args {
            verb: None,
            to: None,
            dry_run: false,
            check: false,
            online: false,
            json: false,
            ours: Vec::new(),
            theirs: Vec::new(),
            markers: false,
        }
    }
}

#[derive(Subcommand)]
enum Verb {
    /// Your edits of these files are your own: checks are green, later updates still merge
    Keep(keep::Args),
    /// Which version is here, which are out, and what they say
    Status(status::Args),
    /// Write [actions] into xtask.toml, and pull for the first time
    Init(init::Args),
    /// Who has which version: a look at many repositories, on a screen or as a page
    Fleet(fleet::Args),
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    match &args.verb {
        Some(Verb::Keep(args)) => keep::run(context, args),
        Some(Verb::Status(args)) => status::run(context, args),
        Some(Verb::Init(args)) => init::run(context, args),
        Some(Verb::Fleet(args)) => fleet::run(context, args),
        None if args.check => check::run(context, args.online, args.json),
        None => sync::run(context, args),
    }
}

fn version(text: &str) -> Result<Version, String> {
    let number = text.strip_prefix('v').unwrap_or(text);
    number.parse().map_err(|_| format!("{text:?} is no version such as 1.8.0"))
}

/// A repository that has shared workflows, or is about to.
struct Setup {
    repository: Repository,
    source: Source,
    asked: Asked,
    folders: Folders,
}

impl Setup {
    /// Reads xtask.toml. Changes nothing.
    fn new(context: &Context) -> Result<Self> {
        let repository = context.repository()?;
        let Some(actions) = &repository.config.actions else {
            return Err(Failure::new(Code::Usage, "xtask.toml has no [actions]")
                .next("cargo xtask sync-actions init https://…      (where the shared workflows are)")
                .into());
        };
        let (source, asked) = (actions.source()?, actions.asked()?);
        let folders = Folders(repository.workspace.root.join(".xtask/actions"));
        Ok(Setup { repository, source, asked, folders })
    }

    fn root(&self) -> &std::path::Path {
        &self.repository.workspace.root
    }

    /// What xtask.toml asks for.
    fn asked(&self) -> (Source, Option<String>, Asked) {
        (self.source.clone(), self.subdir().map(str::to_owned), self.asked.clone())
    }

    fn subdir(&self) -> Option<&str> {
        self.repository.config.actions.as_ref().and_then(|actions| actions.subdir())
    }

    fn wanted<'a>(&'a self, exactly: Option<&'a Version>, locked: Option<&'a Lock>) -> Wanted<'a> {
        Wanted { source: &self.source, subdir: self.subdir(), asked: &self.asked, exactly, locked }
    }

    /// Takes the worktree's guard, so that one run at a time writes; finishes what a killed one began, or says that
    /// there is something to finish, in a dry run.
    fn begin(&self, context: &Context, dry_run: bool) -> Result<files::Lock> {
        self.repository.workspace.own_folder(&context.env)?;
        files::own_folder(&self.folders.0, context.env.uid)?;
        let guard = files::Lock::try_exclusive(&self.folders.guard())?.ok_or_else(|| {
            Failure::new(Code::Failed, "another sync-actions is at work in this worktree")
                .next("the same command, when it has ended")
        })?;
        self.folders.sweep();
        if dry_run && self.folders.journal().exists() {
            let what = "an update was cut off, and nothing is written by --dry-run";
            return Err(Failure::new(Code::Failed, what)
                .next("cargo xtask sync-actions      finishes it")
                .into());
        }
        let finished = finish(self.root(), &self.folders)?;
        if finished.files > 0 {
            let files = count(finished.files, "file");
            context.screen.note(&format!("an update that was killed is finished now, {files}"));
        }
        self.tell_rescued(context, &finished.rescued);
        Ok(guard)
    }

    /// Finishes what a killed run began, if one did; for verbs that only look.
    fn recover(&self, context: &Context) -> Result<()> {
        if self.folders.journal().exists() {
            self.begin(context, false)?;
        }
        Ok(())
    }

    /// Where that is which somebody saved while an update was written.
    fn tell_rescued(&self, context: &Context, rescued: &[PathBuf]) {
        for path in rescued {
            let path = self.repository.workspace.relative(path).display().to_string();
            context.screen.note(&format!("saved by somebody in the meantime, and kept: {path}"));
        }
    }

    /// The file of the lock, to be looked at before the lock is read.
    fn look_at_lock(&self) -> Result<BTreeMap<String, Here>> {
        look(self.root(), [&LOCK.to_owned()])
    }

    fn lock(&self) -> Result<Option<Lock>> {
        Lock::read(self.root())
    }

    /// The lock, which must be there.
    fn pulled(&self) -> Result<Lock> {
        self.lock()?.ok_or_else(|| {
            Failure::new(Code::Drift, "nothing was pulled yet: there is no .github/sync-actions.lock")
                .next("cargo xtask sync-actions")
                .into()
        })
    }

    /// A path as it was typed, from the root.
    fn path(&self, context: &Context, typed: &std::path::Path) -> Result<String> {
        let whole = context.env.cwd.join(typed);
        let root = self.root();
        // The file need not be there; what is above it is.
        let resolved = whole.parent().and_then(|folder| folder.canonicalize().ok());
        let resolved = resolved.zip(whole.file_name()).map(|(folder, name)| folder.join(name));
        let candidates = [resolved, Some(whole), Some(root.join(typed))];
        let below = candidates.into_iter().flatten().find_map(|path| {
            let below = path.strip_prefix(root).ok()?.to_str()?.to_owned();
            below.starts_with(crate::actions::FOLDER).then_some(below)
        });
        below.ok_or_else(|| {
            let what = format!("{} is not below .github/ of this repository", typed.display());
            Failure::new(Code::Usage, what).next("a path such as .github/workflows/ci.yml").into()
        })
    }
}

/// git for this run.
fn git<'a>(context: &Context, launcher: &'a Launcher<'a>, limit: Option<Duration>) -> Git<'a> {
    // Who gave a limit does not want to be asked, either.
    Git::new(launcher, context.may_ask() && limit.is_none(), limit)
}

/// Refuses a path that is not managed, and names a near one.
fn not_managed(path: &str, known: impl IntoIterator<Item = impl AsRef<str>>) -> Failure {
    let known: Vec<String> = known.into_iter().map(|path| path.as_ref().to_owned()).collect();
    let near = crate::failure::nearest(path, known.iter().map(String::as_str));
    let failure = Failure::new(Code::Usage, format!("{path} is not one of the shared files"));
    match near {
        Some(near) => failure.next(format!("did you mean {near}?")),
        None => failure.next("cargo xtask sync-actions status      lists them"),
    }
}
