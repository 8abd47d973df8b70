//! Which repositories to look at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use xshell::cmd;

use crate::actions::plain;
use crate::config::{Source, read_source};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::Progress as _;
use crate::process::{Kind, tail};

/// gh lists at most this many.
const MOST: usize = 1000;
/// What it may say, in bytes.
const LONGEST: u64 = 8 * 1024 * 1024;

/// A repository to look at.
pub struct Repository {
    /// As people call it.
    pub name: String,
    /// Its folder or address.
    pub address: String,
    pub place: Place,
}

/// Where its objects are.
pub enum Place {
    Folder(PathBuf),
    Remote(String),
    /// Not an address that git is given, and why.
    Refused(String),
}

/// Those that a file names.
pub fn from_file(context: &Context, file: &Path) -> Result<Vec<Repository>> {
    let path = context.env.cwd.join(file);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::new(Code::Usage, format!("cannot read {}", file.display()))
            .why(error)
            .next("a file with a folder or a git address a line")
    })?;
    let base = path.parent().unwrap_or(Path::new("/"));
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.split_once(" #").map_or(line, |(line, _)| line.trim_end());
        if line.is_empty() || line.starts_with('#') || !seen.insert(line) {
            continue;
        }
        let repository = one(base, line).map_err(|error| match error.downcast::<Failure>() {
            Ok(Failure { what, next, .. }) => {
                let failure = Failure::new(Code::Usage, format!("{}:{}: {what}", file.display(), index + 1));
                next.into_iter().fold(failure, Failure::next).into()
            }
            Err(error) => error,
        })?;
        found.push(repository);
    }
    if found.is_empty() {
        return Err(Failure::new(Code::Usage, format!("{} names no repository", file.display()))
            .next("a folder or a git address a line")
            .into());
    }
    Ok(found)
}

/// A line: what has a scheme, or a host as ssh has it, is an address, and all else a folder.
fn one(base: &Path, line: &str) -> Result<Repository> {
    let ssh = line.split_once(':').is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
    if line.contains("://") || ssh || (line.contains(':') && !base.join(line).exists()) {
        let source = read_source(line)?;
        let name = plain(&source.short());
        return Ok(Repository { name, address: line.to_owned(), place: Place::Remote(line.to_owned()) });
    }
    let folder = base.join(line);
    let address = folder.display().to_string();
    let name = plain(if line.len() > 1 { line.trim_end_matches('/') } else { line });
    Ok(Repository { name, address, place: Place::Folder(folder) })
}

/// What gh says of a repository.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name_with_owner: String,
    ssh_url: String,
}

/// Those of an organisation.
pub fn of_org(context: &Context, org: &str) -> Result<Vec<Repository>> {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if org.is_empty() || org.len() > 100 || org.starts_with('-') || !org.chars().all(known) {
        return Err(Failure::new(Code::Usage, format!("`{}` names no organisation", plain(org)))
            .next("as in https://github.com/NAME: letters, digits and -")
            .into());
    }
    let launcher = context.launcher(&context.env.cwd)?;
    let (sh, most) = (&launcher.shell, MOST.to_string());
    let command = cmd!(sh, "gh repo list {org} --limit {most} --no-archived --json nameWithOwner,sshUrl")
        .env("GH_PROMPT_DISABLED", "1");
    context.screen.working("fleet", "asking gh which repositories there are");
    let answer = launcher.answer(command, Kind::Tool, b"", LONGEST).map_err(|error| {
        match error.downcast::<Failure>() {
            Ok(failure) if failure.code == Code::Missing as u8 => {
                let Failure { what, .. } = failure;
                Failure::new(Code::Missing, what)
                    .next("install gh: https://cli.github.com, then: gh auth login")
                    .next("cargo xtask sync-actions fleet --from FILE      (needs git alone)")
                    .into()
            }
            Ok(failure) => failure.into(),
            Err(error) => error,
        }
    })?;
    if answer.code != 0 {
        let said = tail(answer.stderr.trim(), 3);
        let denied = ["gh auth login", "HTTP 401", "HTTP 403", "Bad credentials"];
        let code = match denied.iter().any(|text| said.contains(text)) {
            true => Code::Denied,
            false => Code::Unreachable,
        };
        return Err(Failure::new(code, format!("gh cannot list the repositories of {org}"))
            .why(said.lines().map(plain).collect::<Vec<_>>().join("\n"))
            .next("gh auth status")
            .into());
    }
    let listed: Vec<Listed> =
        serde_json::from_slice(&answer.stdout).context("gh said something else than it says it does")?;
    if listed.is_empty() {
        return Err(Failure::new(Code::Usage, format!("{org} has no repositories that you can see"))
            .next("gh auth status")
            .into());
    }
    if listed.len() >= MOST {
        context.screen.note(&format!("gh lists {MOST} repositories at most: there may be more"));
    }
    let repository = |Listed { name_with_owner, ssh_url }: Listed| {
        let place = match read_source(&ssh_url) {
            Ok(Source::Git(address)) => Place::Remote(address),
            Ok(Source::Folder(_)) => Place::Refused("gh gave no address of it".to_owned()),
            Err(error) => Place::Refused(plain(&error.to_string())),
        };
        Repository { name: plain(&name_with_owner), address: plain(&ssh_url), place }
    };
    Ok(listed.into_iter().map(repository).collect())
}
