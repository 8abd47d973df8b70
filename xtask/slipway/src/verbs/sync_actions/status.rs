//! `sync-actions status`: which version is here, which are out, and what they say.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Setup, git, shown};
use crate::actions::{Entry, Finding, Lock, Open, State, Survey, Target, Told, check, look, survey};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::count;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask sync-actions status\n  cargo xtask sync-actions status --json"
)]
pub struct Args {
    /// For programs, on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let setup = Setup::new(context)?;
    setup.recover(context)?;
    let lock = setup.lock()?;
    let launcher = context.launcher(setup.root())?;
    let git = git(context, &launcher, None);
    let found = survey(&git, setup.root(), &context.env.cache(), &setup.wanted(None, lock.as_ref()));
    let findings = match &lock {
        Some(lock) => check(setup.root(), lock, &look(setup.root(), lock.files.keys())?, &setup.asked())?,
        None => Vec::new(),
    };
    let open = Open::read(&setup.folders, lock.as_ref())?.map(|open| open.paths).unwrap_or_default();
    if args.json {
        context.screen.data(&as_json(&setup, lock.as_ref(), &found?, &findings, &open).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    show_here(context, &setup, lock.as_ref(), &findings, &open);
    show_there(context, lock.as_ref(), &found?);
    Ok(ExitCode::SUCCESS)
}

fn show_here(context: &Context, setup: &Setup, lock: Option<&Lock>, findings: &[Finding], open: &[String]) {
    let screen = &context.screen;
    let Some(lock) = lock else {
        screen.headline(&setup.source.short());
        screen.absent("here", "nothing was pulled yet: cargo xtask sync-actions");
        return;
    };
    let target = Target::of(lock);
    screen.headline(&format!("{} {}", setup.source.short(), target.name()));
    screen.done("here", &count(lock.files.len(), "file"), None);
    for (path, entry) in lock.files.iter().filter(|(_, entry)| entry.is_own()) {
        screen.absent(
            "yours",
            &format!("{path}{}", if entry.state == State::Deleted { ", deleted" } else { "" }),
        );
    }
    for Finding { path, detail, .. } in findings {
        screen.warn("drift", &format!("{} {detail}", path.as_deref().unwrap_or("")));
    }
    for path in open {
        screen.failed("conflict", &format!("{path}: cargo xtask sync-actions"), None);
    }
}

fn show_there(context: &Context, lock: Option<&Lock>, survey: &Survey) {
    let screen = &context.screen;
    let here = lock.and_then(|lock| lock.version.as_ref());
    if let Some(why) = here.and_then(|here| survey.newest.withdrawn(here)) {
        screen.failed("withdrawn", why, None);
    }
    if let Some(moved) = &survey.moved {
        screen.failed("moved", &moved.to_string(), None);
        for (label, text) in &moved.facts {
            screen.line(&format!("      {label:<8} {text}"));
        }
    }
    if let Some(error) = &survey.unread {
        screen.warn("there", &format!("not all that the newest version says can be read: {error}"));
    }
    let target = survey.target.as_ref().ok();
    if let Err(error) = &survey.target {
        screen.failed("there", &format!("nothing can be pulled: {error}"), None);
    }
    // A branch or a commit has no place among versions.
    let unversioned = lock.is_some_and(|lock| lock.version.is_none());
    let Some(newest) = survey.versions.last().filter(|_| !unversioned) else {
        let Some(target) = target else { return };
        let same = lock.is_some_and(|lock| lock.commit == target.commit);
        let fact = if same { "nothing newer" } else { "there is something newer: cargo xtask sync-actions" };
        screen.done("there", fact, None);
        return;
    };
    let later: Vec<_> =
        survey.versions.iter().filter(|version| here.is_none_or(|here| *version > here)).collect();
    if later.is_empty() {
        screen.done("there", "nothing newer", None);
        return;
    }
    let in_range = target.and_then(|target| target.version.as_ref());
    screen.warn("there", &format!("{} behind", count(later.len(), "version")));
    for version in later.iter().rev() {
        let nothing = Told::default();
        let told = survey.newest.versions.get(*version).unwrap_or(&nothing);
        let text = match (&told.withdrawn, &told.notes) {
            (Some(why), _) => format!("withdrawn: {why}"),
            (None, Some(notes)) => format!("{}{notes}", shown::severity(told.severity)),
            (None, None) => String::new(),
        };
        let out = if in_range.is_some_and(|target| *version > target) {
            "  (not in the range of xtask.toml)"
        } else {
            ""
        };
        screen.line(&format!("      v{version:<10} {text}{out}"));
    }
    let next = match in_range.filter(|target| here != Some(*target)) {
        Some(_) => "cargo xtask sync-actions --dry-run".to_owned(),
        None => format!("set version = \"{}\" in xtask.toml [actions]", newest.major),
    };
    screen.line(&format!("    next      {next}"));
}

fn as_json(
    setup: &Setup,
    lock: Option<&Lock>,
    survey: &Survey,
    findings: &[Finding],
    open: &[String],
) -> Value {
    let here = lock.and_then(|lock| lock.version.as_ref());
    let later = survey.versions.iter().filter(|version| here.is_none_or(|here| *version > here));
    let later: Vec<Value> = later
        .map(|version| {
            let told = survey.newest.versions.get(version);
            json!({
                "version": version,
                "notes": told.and_then(|told| told.notes.as_deref()),
                "severity": told.map(|told| format!("{:?}", told.severity).to_lowercase()),
                "withdrawn": told.and_then(|told| told.withdrawn.as_deref()),
            })
        })
        .collect();
    let own = |wanted: fn(&Entry) -> bool| -> Vec<&String> {
        let files = lock.iter().flat_map(|lock| &lock.files);
        files.filter(|(_, entry)| wanted(entry)).map(|(path, _)| path).collect()
    };
    let target = survey.target.as_ref().ok();
    json!({
        "source": setup.source.to_string(), "version": here, "commit": lock.and_then(|lock| lock.commit.as_deref()),
        "target": target.and_then(|target| target.version.as_ref()),
        "target_commit": target.and_then(|target| target.commit.as_deref()), "newer": later,
        "moved": survey.moved.as_ref().map(ToString::to_string),
        "error": survey.target.as_ref().err().map(ToString::to_string),
        "unread": survey.unread.as_ref().map(ToString::to_string),
        "withdrawn": here.and_then(|here| survey.newest.withdrawn(here)),
        "kept": own(|entry| matches!(entry.state, State::Kept { .. })),
        "deleted": own(|entry| entry.state == State::Deleted),
        "drift": findings, "conflicts": open,
    })
}

/// The way on, for those who have no [actions] yet.
pub(super) fn already(source: &str) -> Failure {
    Failure::new(crate::failure::Code::Usage, format!("xtask.toml [actions] is there already, with {source}"))
        .next("cargo xtask sync-actions")
}
