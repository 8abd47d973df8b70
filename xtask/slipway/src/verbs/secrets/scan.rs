//! `secrets scan`, and the step `secrets` of `ci`: where secrets are in files. Never what they are.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::count;
use crate::process::quote;
use crate::scan::{Finding, Kind, Place, Report, scan, scan_home};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask secrets scan\n  cargo xtask secrets scan --home\n  \
                  cargo xtask secrets scan --json | jq .findings\nMore: docs/secrets.md")]
pub struct Args {
    /// Also your home: tokens of the Doppler CLI and of shells
    #[arg(long)]
    home: bool,
    /// For programs, on stdout
    #[arg(long)]
    json: bool,
}

/// What gets the history that is cut off, and older versions that are left out.
const UNSHALLOW: &str = "git fetch --unshallow; actions/checkout: fetch-depth: 0";
const UNFILTER: &str = "git fetch --refetch --no-filter; actions/checkout: no filter";

/// More of them are for `--json`.
const SHOWN: usize = 100;
/// How many characters of entries to accept are shown beside the first; the rest is asked for when these are in.
const ENTRIES: usize = 68;
/// The widest path on a line of a finding.
const PATH: usize = 52;

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let report = look(context, args.home)?;
    if args.json {
        context.screen.clear();
        let findings: Vec<_> = report.findings.iter().map(describe).collect();
        let unread = report.unread.iter().map(|(path, why)| json!({ "path": path, "why": why }));
        let history = match (report.has_history, report.is_shallow) {
            (false, _) => "none",
            (true, true) => "shallow",
            (true, false) => "whole",
        };
        let Report { files, blobs, long, missing, nested, .. } = report;
        let text = json!({
            "findings": findings, "accepted": report.accepted, "unread": unread.collect::<Vec<_>>(),
            "history": history,
            "scanned": { "files": files, "blobs": blobs, "long": long, "missing": missing, "nested": nested },
        });
        context.screen.data(&text.to_string());
        return Ok(ExitCode::from(match (report.findings.is_empty(), report.unread.is_empty()) {
            (false, _) => Code::Drift as u8,
            (true, false) => Code::Failed as u8,
            (true, true) => 0,
        }));
    }
    show(context, &report, started)
}

/// The step of `ci`: what is found in which line of which file goes to `report`.
pub fn step(context: &Context, report: &mut dyn FnMut(&str, &str, &str)) -> Result<u8> {
    let started = Instant::now();
    let found = look(context, false)?;
    for finding in &found.findings {
        // A line of an older version is none of the file's.
        if finding.place == Place::History {
            continue;
        }
        report(
            &finding.path,
            &finding.line.to_string(),
            &format!("{} ({})", finding.kind.name(), place(finding)),
        );
    }
    show(context, &found, started)?;
    // A checkout without all of it would pass for ever.
    let (what, mend) = match &found {
        Report { has_history: false, .. } => {
            ("there is no history to scan: this is no git repository", "fetch-depth: 0 for actions/checkout")
        }
        Report { is_shallow: true, .. } => {
            ("the history is cut off here, so it was not all scanned", UNSHALLOW)
        }
        Report { missing: 1.., .. } => ("not all of the history is in this clone", UNFILTER),
        _ => return Ok(0),
    };
    Err(Failure::new(Code::Failed, what).next(mend).into())
}

fn look(context: &Context, with_home: bool) -> Result<Report> {
    let repository = context.repository()?;
    let root = &repository.workspace.root;
    let launcher = context.launcher(root)?;
    let accepted = repository.config.secrets.accepted.iter().map(|entry| entry.get_ref().clone());
    let mut report = scan(&launcher, root, &accepted.collect::<Vec<_>>())?;
    if with_home {
        let home = context.env.home().ok_or_else(|| {
            Failure::new(Code::Usage, "HOME is not set")
                .next("HOME=/a/folder cargo xtask secrets scan --home")
        })?;
        if !home.is_dir() {
            return Err(Failure::new(Code::Failed, format!("HOME is {}, and no folder", home.display()))
                .next("HOME=/a/folder cargo xtask secrets scan --home")
                .into());
        }
        let own = context.env.var("DOPPLER_CONFIG_DIR").map(PathBuf::from);
        scan_home(home, &own.unwrap_or_else(|| home.join(".doppler")), &mut report)?;
    }
    Ok(report)
}

fn describe(finding: &Finding) -> serde_json::Value {
    let Finding { path, line, kind, place, commit } = finding;
    let mut described = json!({ "path": path, "line": line, "kind": kind.name(), "where": place.name() });
    if let (Some(commit), Some(fields)) = (commit, described.as_object_mut()) {
        fields.insert("commit".to_owned(), json!(commit));
    }
    described
}

fn place(finding: &Finding) -> String {
    match (&finding.commit, finding.place) {
        (Some(commit), _) => format!("history, {commit}"),
        (None, Place::History) => "history, a tag".to_owned(),
        (None, Place::Index) => "index".to_owned(),
        (None, place) => place.name().to_owned(),
    }
}

fn show(context: &Context, report: &Report, started: Instant) -> Result<ExitCode> {
    let screen = &context.screen;
    for finding in report.findings.iter().take(SHOWN) {
        let path = format!("{}:{}", cut(&finding.path), finding.line);
        screen.failed(
            &format!("{:<13}", finding.kind.name()),
            &format!("{path:<58} {}", place(finding)),
            None,
        );
    }
    if report.findings.len() > SHOWN {
        screen.line(&format!("    {} more: --json", report.findings.len() - SHOWN));
    }
    for (path, why) in report.unread.iter().take(SHOWN) {
        screen.warn("not read", &format!("{}: {why}", cut(path)));
    }
    notes(context, report);
    if report.findings.is_empty() && report.unread.is_empty() {
        screen.done("scan", &format!("nothing in {}", seen(report)), Some(started.elapsed()));
        return Ok(ExitCode::SUCCESS);
    }
    Err(failure(report).into())
}

/// A path that fits: its end tells more than its start.
fn cut(path: &str) -> String {
    let length = path.chars().count();
    match length > PATH {
        true => format!("…{}", path.chars().skip(length - PATH + 1).collect::<String>()),
        false => path.to_owned(),
    }
}

/// `12 files and 3 old contents; 1 accepted; 1 over 5 MB passed over`.
fn seen(report: &Report) -> String {
    let mut text = count(report.files, "file");
    if report.has_history {
        text += &format!(" and {}", count(report.blobs, "older version"));
    }
    for (number, what) in [
        (report.accepted, "accepted"),
        (report.long, "over 5 MB passed over"),
        (report.missing, "not in this clone"),
        (report.nested, "nested repositories not entered"),
    ] {
        if number > 0 {
            text += &format!("; {number} {what}");
        }
    }
    text
}

fn notes(context: &Context, report: &Report) {
    let screen = &context.screen;
    if !report.has_history {
        screen.note("no git repository: the files of this folder, no history");
    }
    if report.is_shallow {
        screen.note(&format!("a shallow clone: {UNSHALLOW}"));
    }
    if report.missing > 0 {
        let missing = count(report.missing, "older version");
        screen.note(&format!("{missing} not in this clone: {UNFILTER}"));
    }
    if !report.idle.is_empty() {
        let entries: Vec<String> = report.idle.iter().take(3).map(|entry| cut(entry)).collect();
        let more = report.idle.len() - entries.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let entries = entries.join(", ");
        screen.note(&format!("[secrets] accepted in xtask.toml: nothing is in {entries}{more}"));
    }
}

fn failure(report: &Report) -> Failure {
    let findings = &report.findings;
    if findings.is_empty() {
        let what = format!("{} could not be read", count(report.unread.len(), "file"));
        return Failure::new(Code::Failed, what).fact("found", format!("nothing in {}", seen(report)));
    }
    let has = |wanted: &dyn Fn(&Finding) -> bool| findings.iter().any(wanted);
    let what = format!("{} in files", count(findings.len(), "secret"));
    let mut failure = Failure::new(Code::Drift, what).fact("in", seen(report));
    let is_home = |finding: &Finding| finding.place == Place::Home;
    let is_here = |finding: &Finding| [Place::Tree, Place::Index].contains(&finding.place);
    if has(&|finding| !is_home(finding)) {
        let then = if has(&is_here) { "; then take it out of the file" } else { "" };
        failure = failure.next(format!("roll each one first: whoever had the file has it{then}"));
    }
    if has(&|finding| is_here(finding) && finding.kind == Kind::EnvFile) {
        failure = failure
            .next(".env: its names into [secrets.names] of xtask.toml, its values into Doppler, then")
            .next("cargo xtask secrets run -- …      and delete the file");
    }
    let staged = findings.iter().find(|finding| finding.place == Place::Index);
    if let Some(finding) = staged {
        failure = failure.next(format!("git restore --staged {}", quote(&format!(":/{}", finding.path))));
    }
    // All that one commit has brought to one path is one entry.
    let brought = findings.iter().filter_map(|finding| Some((finding.commit.as_ref()?, &finding.path)));
    let brought: BTreeSet<String> = brought.map(|(commit, path)| format!("{commit}:{path}")).collect();
    if !brought.is_empty() {
        let mut entries = String::new();
        for entry in brought.iter().map(|entry| toml::Value::from(entry.as_str()).to_string()) {
            if !entries.is_empty() {
                if entries.len() + entry.len() > ENTRIES {
                    break;
                }
                entries += ", ";
            }
            entries += &entry;
        }
        failure = failure
            .next("history: rewriting it takes nothing back; once rolled, in xtask.toml, [secrets]:")
            .next(format!("accepted = [{entries}]"));
    }
    if has(&|finding| is_home(finding) && finding.kind == Kind::DopplerToken) {
        failure = failure
            .next("home: doppler login, with a keyring on this machine; take tokens out of shell files");
    }
    if has(&|finding| finding.kind == Kind::FallbackFile) {
        failure = failure.next("doppler run clean --all      (a revoked token still opens these)");
    }
    failure
}
