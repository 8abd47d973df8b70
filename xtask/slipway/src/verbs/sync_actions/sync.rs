//! `sync-actions` itself: what is new, merged with what is here, all or nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::{Args, Setup, difference, git, marks, not_managed, shown};
use crate::actions::{
    Decided, Git, Here, LOCK, Lock, Matter, Open, Outcome, Pulled, Side, Target, ToolLine, apply, bases,
    decide, edited_on_both_sides, fingerprint, look, plan, pull,
};
use crate::config::Asked;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::count;
use crate::process::Launcher;

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let setup = Setup::new(context)?;
    let _guard = setup.begin(context, args.dry_run)?;
    let mut sides = sides(context, &setup, args)?;
    let mut locked = setup.look_at_lock()?;
    let mut lock = setup.lock()?;
    if let Some(found) = &lock {
        let settled = marks::settle(context, &setup, found.clone(), &sides, args.dry_run)?;
        sides.retain(|path, _| !settled.contains(path));
        if !settled.is_empty() {
            // Nothing else was asked for.
            if sides.is_empty() || args.dry_run {
                return Ok(ExitCode::SUCCESS);
            }
            locked = setup.look_at_lock()?;
            lock = setup.lock()?;
        }
    }
    within_range(&setup, args)?;
    let started = Instant::now();
    let launcher = context.launcher(setup.root())?;
    let git = git(context, &launcher, None);
    let wanted = setup.wanted(args.to.as_ref(), lock.as_ref());
    let pulled = pull(&git, setup.root(), &context.env.cache(), &wanted)?;
    let exactly = args.to.is_some();
    let mut run = Run { context, setup: &setup, lock, locked, pulled, started, exactly };
    let outcomes = run.outcomes(&git, sides, args.markers)?;
    run.finish(&launcher, outcomes, args.dry_run, args.markers)
}

/// The sides that were typed, by path.
fn sides(context: &Context, setup: &Setup, args: &Args) -> Result<BTreeMap<String, Side>> {
    let ours = args.ours.iter().map(|path| (path, Side::Ours));
    let theirs = args.theirs.iter().map(|path| (path, Side::Theirs));
    let mut sides = BTreeMap::new();
    for (path, side) in ours.chain(theirs) {
        let path = setup.path(context, path)?;
        if sides.insert(path.clone(), side).is_some_and(|other| other != side) {
            return Err(Failure::new(Code::Usage, format!("--ours and --theirs for {path}")).into());
        }
    }
    Ok(sides)
}

/// `--to` cannot leave what xtask.toml asks for: the next check would be red.
fn within_range(setup: &Setup, args: &Args) -> Result<()> {
    let Some(to) = &args.to else { return Ok(()) };
    let refuse = |what: String, next: String| Err(Failure::new(Code::Usage, what).next(next).into());
    match &setup.asked {
        _ if matches!(setup.source, crate::config::Source::Folder(_)) => refuse(
            format!("{} is a folder, which has no versions", setup.source),
            "cargo xtask sync-actions".into(),
        ),
        Asked::Version(range) if range.matches(to) => Ok(()),
        Asked::Version(range) => refuse(
            format!("{to} is not in the range \"{range}\" of xtask.toml [actions]"),
            format!("set version = \"{}\" there, then the same command", to.major),
        ),
        _ => refuse(
            "xtask.toml [actions] names one tag, branch or commit".to_owned(),
            "set `version` there instead, then the same command".to_owned(),
        ),
    }
}

/// When this was, for the name of a backup: seconds since 1970, in UTC.
pub(super) fn stamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:03}", now.as_secs(), now.subsec_millis())
}

/// One pull.
pub(super) struct Run<'a> {
    pub context: &'a Context,
    pub setup: &'a Setup,
    pub lock: Option<Lock>,
    /// Its file, as it was before it was read.
    pub locked: BTreeMap<String, Here>,
    pub pulled: Pulled,
    pub started: Instant,
    /// Whether the version was typed.
    pub exactly: bool,
}

impl Run<'_> {
    /// What becomes of each path.
    fn outcomes(
        &mut self,
        git: &Git<'_>,
        typed: BTreeMap<String, Side>,
        markers: bool,
    ) -> Result<(Vec<Outcome>, BTreeMap<String, Here>, Decided)> {
        let nothing = BTreeMap::new();
        let locked = self.lock.as_ref().map_or(&nothing, |lock| &lock.files);
        let files = &self.pulled.files;
        let mut here = look(self.setup.root(), locked.keys().chain(files.keys()))?;
        here.append(&mut self.locked);
        no_obstacles(self.setup.root(), &here)?;
        let both = edited_on_both_sides(locked, &here, files);
        let blobs: Vec<String> = both.iter().map(|(_, entry)| entry.blob.clone()).collect();
        let bases = match &self.lock {
            Some(lock) if !blobs.is_empty() => {
                bases(git, self.setup.root(), &self.context.env.cache(), lock, &blobs)?
            }
            _ => BTreeMap::new(),
        };
        let steps = plan(locked, &here, files, &self.pulled.renames(), &bases);
        if let Some(path) = typed.keys().find(|path| !steps.iter().any(|step| step.path == **path)) {
            return Err(not_managed(path, steps.iter().map(|step| &step.path)).into());
        }
        let to = fingerprint(&self.pulled.target, files);
        let open = Open::read(&self.setup.folders, self.lock.as_ref())?;
        let from = |path: &str| steps.iter().find(|step| step.path == path)?.from.as_deref();
        let seen = |path: &str| sum(&here, path, from(path));
        let before = open.map(|open| open.sides(&to, seen)).unwrap_or_default();
        let mut sides = before.clone();
        sides.extend(typed.clone());
        let decided = Decided { sides, markers };
        let matter = Matter {
            locked,
            here: &here,
            new: files,
            bases: &bases,
            name: &self.name(),
            scratch: &self.setup.folders.scratch(),
        };
        let mut outcomes = decide(git, &matter, steps, &decided)?;
        for outcome in &mut outcomes {
            if let Some(side) = before.get(&outcome.path).filter(|_| !typed.contains_key(&outcome.path)) {
                let side = if *side == Side::Ours { "--ours" } else { "--theirs" };
                outcome.told.push(format!("{side}, as you said before"));
            }
        }
        Ok((outcomes, here, decided))
    }

    /// What the new version is called.
    fn name(&self) -> String {
        let name = self.pulled.target.name();
        if name.is_empty() { "theirs".to_owned() } else { name }
    }

    /// Shows what becomes of each path, and does it, unless somebody has to decide first.
    fn finish(
        self,
        launcher: &Launcher<'_>,
        (outcomes, here, decided): (Vec<Outcome>, BTreeMap<String, Here>, Decided),
        dry_run: bool,
        markers: bool,
    ) -> Result<ExitCode> {
        let Run { context, setup, ref lock, ref pulled, started, .. } = self;
        let screen = &context.screen;
        let tool = pulled.manifest.tool.as_ref().and_then(|wanted| ToolLine::read(setup.root(), wanted));
        let old = lock.as_ref().map(Target::of);
        if let Some(error) = &pulled.survey.unread {
            screen.warn("there", &format!("not all that the newest version says can be read: {error}"));
        }
        screen.headline(&shown::headline(&setup.source, old.as_ref(), pulled));
        shown::lines(screen, &outcomes, tool.as_ref(), &self.name());
        if context.options.verbose {
            difference::show(launcher, setup, &outcomes)?;
        }
        let conflicts = outcomes.iter().filter(|outcome| outcome.conflict.is_some()).count();
        let changed = outcomes.iter().filter(|outcome| shown::is_shown(outcome)).count();
        if conflicts > 0 && !markers {
            if !dry_run {
                let to = fingerprint(&pulled.target, &pulled.files);
                let from = |path: &str| outcomes.iter().find(|outcome| outcome.path == path)?.from.as_deref();
                let seen = |path: &str| sum(&here, path, from(path));
                Open::keep(&setup.folders, to, &self.name(), &outcomes, &decided, seen)?;
            }
            return Err(self.undecided(&outcomes, changed, dry_run).into());
        }
        let new_lock = self.new_lock(&outcomes);
        if dry_run {
            let what = match (changed == 0 && tool.is_none(), lock.as_ref() == Some(&new_lock)) {
                (true, true) => "nothing to do",
                (true, false) => "the lock alone would be written",
                _ => "nothing is written by --dry-run",
            };
            screen.done("dry run", what, Some(started.elapsed()));
            return Ok(ExitCode::from(if conflicts > 0 { Code::Conflict as u8 } else { 0 }));
        }
        let done = apply(setup.root(), &setup.folders, &here, &outcomes, tool.as_ref(), &new_lock, &stamp())?;
        Open::clear(&setup.folders)?;
        setup.tell_rescued(context, &done.rescued);
        let _ = crate::files::remove_folder(&setup.folders.scratch());
        match (done.files, done.lock) {
            (0, false) => screen.done("up to date", "", Some(started.elapsed())),
            (0, true) => screen.done("written", LOCK, Some(started.elapsed())),
            (files, _) => {
                let files = count(files, "file");
                screen.done(
                    "written",
                    &format!("{files} and the lock; a look: git diff .github"),
                    Some(started.elapsed()),
                );
            }
        }
        if let Some(backup) = &done.backup {
            let backup = setup.repository.workspace.relative(backup).display().to_string();
            screen.note(&format!("your edited files as they were: {backup}"));
        }
        self.note_newer();
        // Also those of an earlier run that nobody has decided upon.
        let open = new_lock.files.iter().filter(|(_, entry)| entry.is_open()).map(|(path, _)| path);
        let open: Vec<&String> = open.collect();
        if open.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let what = format!("{} to decide in an editor", count(open.len(), "conflict"));
        let next = |path: &&String| format!("edit, then: cargo xtask sync-actions keep {path}");
        Err(open.iter().map(next).fold(Failure::new(Code::Conflict, what), Failure::next).into())
    }

    fn undecided(&self, outcomes: &[Outcome], changed: usize, dry_run: bool) -> Failure {
        let paths: Vec<&str> = outcomes
            .iter()
            .filter(|outcome| outcome.conflict.is_some())
            .map(|outcome| outcome.path.as_str())
            .collect();
        let verb = if dry_run { "would be" } else { "was" };
        let rest = changed - paths.len();
        let follow =
            if rest > 0 { format!("; decided, all {changed} follow in one step") } else { String::new() };
        let what = format!("{}: nothing {verb} written{follow}", count(paths.len(), "conflict"));
        let mut failure = Failure::new(Code::Conflict, what);
        if !dry_run {
            failure = failure.fact("kept", "base, yours and theirs: .xtask/actions/conflict/");
        }
        let all = |side: &str| paths.iter().map(|path| format!(" {side} {path}")).collect::<String>();
        let version = match &self.pulled.target.version {
            Some(version) if self.exactly => format!(" --to {version}"),
            _ => String::new(),
        };
        let command = format!("cargo xtask sync-actions{version}");
        failure
            .next(format!("{command}{}", all("--ours")))
            .next(format!("{command}{}", all("--theirs")))
            .next(format!("{command} --markers      (both in the file, for your editor)"))
            .next(match self.lock.as_ref().and_then(|lock| lock.version.as_ref()) {
                Some(here) => format!("cargo xtask sync-actions --to {here}      (not now)"),
                None => "docs/sync-actions.md#conflicts".to_owned(),
            })
    }

    fn new_lock(&self, outcomes: &[Outcome]) -> Lock {
        let Target { commit, git_ref, version } = self.pulled.target.clone();
        let files =
            outcomes.iter().filter_map(|outcome| Some((outcome.path.clone(), outcome.entry.clone()?)));
        Lock {
            source: self.setup.source.to_string(),
            subdir: self.setup.subdir().map(str::to_owned),
            git_ref,
            version,
            commit,
            minimum: self.pulled.minimum(),
            files: files.collect(),
        }
    }

    /// Newer versions that xtask.toml does not ask for.
    fn note_newer(&self) {
        let survey = &self.pulled.survey;
        let (Some(newest), Some(version)) = (survey.versions.last(), &self.pulled.target.version) else {
            return;
        };
        let is_good = survey.newest.withdrawn(newest).is_none();
        if newest > version
            && is_good
            && matches!(&self.setup.asked, Asked::Version(range) if !range.matches(newest))
        {
            let major = newest.major;
            self.context
                .screen
                .note(&format!("v{newest} is out: version = \"{major}\" in xtask.toml [actions] takes it"));
        }
    }
}

/// What a file here is, to tell whether it is still the one that was decided upon; of one that is renamed, at its old name.
fn sum(here: &BTreeMap<String, Here>, path: &str, from: Option<&str>) -> Option<String> {
    let files = [Some(path), from].into_iter().flatten().filter_map(|path| here.get(path));
    let mut sums = files.filter_map(|here| match here {
        Here::File { sum, .. } => Some(sum.to_string()),
        _ => None,
    });
    sums.next()
}

/// Nothing is written through a link, or over what is no file.
fn no_obstacles(root: &Path, here: &BTreeMap<String, Here>) -> Result<()> {
    for (path, here) in here {
        let (what, next) = match here {
            Here::Link(link) => (
                format!("{link} is a symbolic link, and nothing is written through one"),
                format!("make it a file or a folder of its own: rm {link}"),
            ),
            Here::Other => match Path::new(path).ancestors().skip(1).find(|above| root.join(above).is_file())
            {
                Some(above) => (
                    format!("{} is a file, and {path} is to be below it", above.display()),
                    format!("after a look at it: rm {}, then the same command", above.display()),
                ),
                None => (format!("{path} is no file"), format!("see what it is: ls -ld {path}")),
            },
            Here::Absent | Here::File { .. } => continue,
        };
        return Err(Failure::new(Code::Failed, what).next(next).into());
    }
    Ok(())
}
