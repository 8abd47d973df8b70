//! `sync-actions init`: writes [actions] into xtask.toml, and pulls for the first time.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::{git, status, sync};
use crate::actions::{Wanted, survey};
use crate::config::{Asked, Source, read_source};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::files::write_atomic;
use crate::workspace::CONFIG_FILE;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask sync-actions init https://github.com/acme/slipway --subdir xtask/templates\n  \
                  cargo xtask sync-actions init git@github.com:acme/actions.git --branch main"
)]
pub struct Args {
    /// A git repository (https://, ssh://, git@host:path, file:///), or a folder of this one
    source: String,
    /// The folder in it that has templates.toml
    #[arg(long, value_name = "FOLDER")]
    subdir: Option<String>,
    /// A range of versions [default: the newest major]
    #[arg(long, value_name = "RANGE")]
    version: Option<String>,
    /// A tag instead
    #[arg(long, conflicts_with = "version")]
    tag: Option<String>,
    /// A branch instead
    #[arg(long, conflicts_with_all = ["version", "tag"])]
    branch: Option<String>,
    /// A commit instead
    #[arg(long, conflicts_with_all = ["version", "tag", "branch"])]
    rev: Option<String>,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    // Before anything is looked at: what cannot be an address is said at once.
    let source = read_source(&args.source)?;
    let (root, text) = match context.repository() {
        Ok(repository) => {
            if let Some(actions) = &repository.config.actions {
                return Err(status::already(actions.source.get_ref()).into());
            }
            let root = repository.workspace.root;
            let text = std::fs::read_to_string(root.join(CONFIG_FILE))?;
            (root, text)
        }
        // No xtask.toml anywhere above: this repository gets one.
        Err(_) if !context.env.cwd.ancestors().any(|folder| folder.join(CONFIG_FILE).exists()) => {
            new_file(context)?
        }
        Err(error) => return Err(error),
    };
    let mut table = vec![("source", args.source.trim_end_matches('/').to_owned())];
    let subdir = args.subdir.clone();
    table.extend(subdir.map(|subdir| ("subdir", subdir)));
    let which =
        [("version", &args.version), ("tag", &args.tag), ("branch", &args.branch), ("rev", &args.rev)];
    table.extend(which.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
    // Read as it will be read, before it is written.
    let config = crate::config::Config::parse(&with_table(&text, &table))?;
    let asked = config.actions.as_ref().map(|actions| actions.asked()).transpose()?;
    let asked = asked.unwrap_or(Asked::Version(semver::VersionReq::STAR));
    let launcher = context.launcher(&root)?;
    let git_here = git(context, &launcher, None);
    let subdir = args.subdir.as_deref().map(|subdir| subdir.trim_matches('/'));
    let wanted = Wanted { source: &source, subdir, asked: &asked, exactly: None, locked: None };
    let found = survey(&git_here, &root, &context.env.cache(), &wanted)?;
    let target = found.target?;
    let is_newest = found.versions.is_empty() || found.versions.last() == target.version.as_ref();
    if let Some(error) = found.unread.filter(|_| is_newest) {
        return Err(error);
    }
    if let (Asked::Version(_), None, Source::Git(_)) = (&asked, &args.version, &source) {
        let major = target.version.as_ref().map_or(0, |version| version.major);
        let minor = target.version.as_ref().map_or(0, |version| version.minor);
        // Below 1.0.0 a minor version may break, as for Cargo.
        table.push(("version", if major > 0 { major.to_string() } else { format!("0.{minor}") }));
    }
    write_atomic(&root.join(CONFIG_FILE), with_table(&text, &table).as_bytes())?;
    context.screen.done(CONFIG_FILE, &format!("[actions] source = \"{}\"", args.source), None);
    sync::run(context, &super::Args::plain())
}

/// The text with a table `[actions]` at its end.
fn with_table(text: &str, table: &[(&str, String)]) -> String {
    let gap = if text.is_empty() || text.ends_with("\n\n") { "" } else { "\n" };
    let lines: String = table
        .iter()
        .map(|(key, value)| format!("{key} = {}\n", toml::Value::String(value.clone())))
        .collect();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}{gap}[actions]              # shared workflows: docs/sync-actions.md\n{lines}")
}

/// An xtask.toml for a repository that has none, at its top.
fn new_file(context: &Context) -> Result<(std::path::PathBuf, String)> {
    let cwd = &context.env.cwd;
    let root = cwd.ancestors().find(|folder| folder.join(".git").exists()).ok_or_else(|| {
        Failure::new(Code::Usage, format!("{} is in no git repository", cwd.display())).next("git init")
    })?;
    let root = root.canonicalize().with_context(|| format!("cannot resolve {}", root.display()))?;
    let name = name_of(&root);
    Ok((root, format!("# All that `cargo xtask` knows of this repository.\n[service]\nname = \"{name}\"\n")))
}

/// A name for what a folder holds: what a package and a database may be called.
fn name_of(root: &Path) -> String {
    let folder = root.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name: String =
        folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(37).collect();
    let name = name.trim_matches(|c: char| !c.is_ascii_lowercase());
    if name.is_empty() { "service".to_owned() } else { name.to_owned() }
}
