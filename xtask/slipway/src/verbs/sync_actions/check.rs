//! `sync-actions --check`, and the step `actions` of `ci`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use semver::Version;
use serde_json::json;

use super::{Setup, git};
use crate::actions::{Entry, Finding, Found, Here, LOCK, Lock, Minimum, Open, Survey, check, look, survey};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::count;

/// How long a source may take where nobody asked for more than a check.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found.
struct Checked {
    lock: Lock,
    findings: Vec<Finding>,
    /// What can wait.
    warnings: Vec<String>,
    /// A newer version in range, where somebody has looked.
    update: Option<Version>,
}

pub fn run(context: &Context, online: bool, json: bool) -> Result<ExitCode> {
    let setup = Setup::new(context)?;
    let mut checked = offline(context, &setup)?;
    if online {
        checked.judge(look_online(context, &setup, &checked.lock)?)?;
    } else {
        checked.judge_minimum(checked.lock.minimum.clone(), false);
    }
    if json {
        let Checked { lock, findings, warnings, update } = &checked;
        let text = json!({
            "version": lock.version, "commit": lock.commit, "source": lock.source, "findings": findings,
            "warnings": warnings, "update": update,
        });
        context.screen.data(&text.to_string());
        return Ok(ExitCode::from(checked.code()));
    }
    checked.show(context);
    checked.result()
}

/// The step of `ci`: what is wrong with which file goes to `report`. The source is looked at where it can be reached.
pub fn step(context: &Context, report: &mut dyn FnMut(&str, &str)) -> Result<u8> {
    if context.repository()?.config.actions.is_none() {
        context.screen.absent("actions", "xtask.toml has no [actions]");
        return Ok(0);
    }
    let setup = Setup::new(context)?;
    let mut checked = offline(context, &setup)?;
    let judged = match look_online(context, &setup, &checked.lock) {
        Ok(survey) => checked.judge(survey),
        Err(error) if is_away(&error) => {
            checked.judge_minimum(checked.lock.minimum.clone(), true);
            checked.warnings.push(format!("the source was not asked for newer versions: {error}"));
            Ok(())
        }
        Err(error) => Err(error),
    };
    for Finding { path, detail, .. } in &checked.findings {
        report(path.as_deref().unwrap_or(LOCK), detail);
    }
    if judged.is_ok() || !checked.findings.is_empty() {
        checked.show(context);
        checked.result()?;
    }
    judged.map(|()| 0)
}

/// Whether nobody could be asked, which is not the repository's fault.
fn is_away(error: &anyhow::Error) -> bool {
    let away = [Code::Missing, Code::Denied, Code::Unreachable].map(|code| code as u8);
    error.downcast_ref::<Failure>().is_some_and(|failure| away.contains(&failure.code))
}

/// Everything that needs no network.
fn offline(context: &Context, setup: &Setup) -> Result<Checked> {
    setup.recover(context)?;
    let lock = setup.pulled()?;
    let here = look(setup.root(), lock.files.keys())?;
    let mut findings = check(setup.root(), &lock, &here, &setup.asked())?;
    if let Some(open) = Open::read(&setup.folders, Some(&lock))? {
        // Who takes an edit back has nothing left to decide.
        let is_edited = |path: &String| match (lock.files.get(path), here.get(path)) {
            (Some(entry), Some(Here::File { sum, .. })) => *sum != entry.sum,
            _ => true,
        };
        for path in open.paths.into_iter().filter(is_edited) {
            let detail = format!("the conflict with {} is not decided", open.name);
            findings.push(Finding { path: Some(path), found: Found::Conflict, detail });
        }
    }
    Ok(Checked { lock, findings, warnings: Vec::new(), update: None })
}

fn look_online(context: &Context, setup: &Setup, lock: &Lock) -> Result<Survey> {
    let launcher = context.launcher(setup.root())?;
    let git = git(context, &launcher, Some(PATIENCE));
    survey(&git, setup.root(), &context.env.cache(), &setup.wanted(None, Some(lock)))
}

impl Checked {
    /// What the newest version says about the one that is here; then, whether anything could be pulled.
    fn judge(&mut self, survey: Survey) -> Result<()> {
        if let Some(error) = &survey.unread {
            self.warnings.push(format!("not all that the newest version says can be read: {error}"));
        }
        let known = self.lock.minimum.clone().filter(|_| survey.unread.is_some());
        self.judge_minimum(survey.newest.minimum.clone().or(known), true);
        if let Some(moved) = &survey.moved {
            let facts: String = moved.facts.iter().map(|(label, text)| format!("; {label} {text}")).collect();
            let detail = format!("{moved}{facts}");
            self.findings.push(Finding { path: None, found: Found::Version, detail });
        }
        let here = self.lock.version.clone();
        if let Some(here) = &here
            && let Some(why) = survey.newest.withdrawn(here)
        {
            let detail = format!("v{here} was withdrawn: {why}");
            self.findings.push(Finding { path: None, found: Found::Version, detail });
        }
        let target = match survey.target {
            Ok(target) => target,
            // It is because of what was found.
            Err(_) if self.findings.iter().any(|finding| finding.found == Found::Version) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(here) = here else { return Ok(()) };
        self.update = target.version.filter(|target| *target > here);
        if let Some(update) = &self.update {
            self.warnings
                .push(format!("v{update} is out, you have v{here}: cargo xtask sync-actions --dry-run"));
        }
        Ok(())
    }

    /// Past its last day it fails, unless it is only to be told.
    fn judge_minimum(&mut self, minimum: Option<Minimum>, fails: bool) {
        let Some(Minimum { version, warn, fail }) = minimum else { return };
        let Some(here) = self.lock.version.as_ref().filter(|here| **here < version) else { return };
        let today = today();
        let detail = format!("v{here} is older than v{version}, which the platform wants from {fail} on");
        if today >= fail && fails {
            self.findings.push(Finding { path: None, found: Found::Version, detail });
        } else if today >= warn || today >= fail {
            self.warnings.push(detail);
        }
    }

    fn code(&self) -> u8 {
        match &self.findings[..] {
            [] => 0,
            findings if findings.iter().any(|finding| finding.found.is_conflict()) => Code::Conflict as u8,
            _ => Code::Drift as u8,
        }
    }

    fn show(&self, context: &Context) {
        let screen = &context.screen;
        for warning in &self.warnings {
            screen.warn("actions", warning);
        }
        for Finding { path, detail, .. } in &self.findings {
            match path {
                Some(path) => screen.failed(path, detail, None),
                None => screen.failed("lock", detail, None),
            }
        }
        if self.findings.is_empty() {
            let kept = self.lock.files.values().filter(|entry| entry.is_own()).count();
            let own = if kept > 0 { format!(", {kept} of them your own") } else { String::new() };
            let version =
                self.lock.version.as_ref().map(|version| format!(" of v{version}")).unwrap_or_default();
            screen.done(
                "actions",
                &format!("{}{version} as locked{own}", count(self.lock.files.len(), "file")),
                None,
            );
        }
    }

    fn result(&self) -> Result<ExitCode> {
        let first = |wanted: &[Found]| self.findings.iter().find(|finding| wanted.contains(&finding.found));
        let conflicts = self.findings.iter().filter(|finding| finding.found.is_conflict()).count();
        let path = |finding: &Finding| finding.path.clone().unwrap_or_default();
        if let Some(finding) = first(&[Found::Conflict]) {
            let path = path(finding);
            let failure = Failure::new(Code::Conflict, format!("{} open", count(conflicts, "conflict")));
            // Marks are in the file only where the lock says so.
            let is_marked = self.lock.files.get(&path).is_some_and(Entry::is_open);
            return Err(match is_marked {
                true => failure.next(format!("edit, then: cargo xtask sync-actions keep {path}")),
                false => failure.next("cargo xtask sync-actions      shows it, with the ways out"),
            }
            .into());
        }
        if self.findings.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let mut failure = Failure::new(
            Code::Drift,
            format!("{} not as the lock says", count(self.findings.len(), "thing")),
        );
        let paths = |wanted: &[Found]| -> Vec<&str> {
            let found = self.findings.iter().filter(|finding| wanted.contains(&finding.found));
            found.filter_map(|finding| finding.path.as_deref()).collect()
        };
        let edited = paths(&[Found::Edited, Found::Missing, Found::Mode, Found::Back]);
        if !edited.is_empty() {
            let to = self.lock.version.as_ref().map(|version| format!(" --to {version}")).unwrap_or_default();
            let theirs: String = edited.iter().map(|path| format!(" --theirs {path}")).collect();
            failure = failure
                .next(format!(
                    "cargo xtask sync-actions keep {}      (it is meant to be so)",
                    edited.join(" ")
                ))
                .next(format!("cargo xtask sync-actions{to}{theirs}      (as it was pulled)"));
        }
        for path in paths(&[Found::Link, Found::NoFile]).into_iter().take(1) {
            failure = failure.next(format!("rm {path}, then: cargo xtask sync-actions --theirs {path}"));
        }
        if first(&[Found::Asked, Found::Source, Found::Version]).is_some() {
            failure = failure.next("cargo xtask sync-actions");
        }
        Err(failure.into())
    }
}

/// The day, in UTC: 2026-12-01.
pub(super) fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    day(seconds / 86_400)
}

/// A day by its number since 1970-01-01 (Howard Hinnant's days_from_civil, the other way round).
pub(super) fn day(number: u64) -> String {
    let shifted = number + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn days_have_their_names() {
        for (number, name) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (11_016, "2000-02-29"),
            (20_779, "2026-11-22"),
            (20_780, "2026-11-23"),
        ] {
            assert_eq!(day(number), name);
        }
    }
}
