//! `doctor`: what is installed, what is missing and how to get it, what this tool keeps, how much room there
//! is. Starts nothing that stays, and changes nothing without `--clean`.

mod room;
mod state;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::config::{Config, Postgres};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{count, size};
use crate::postgres::{Folder, MEMORY, Release};
use crate::process::Launcher;
use crate::workspace::Workspace;
use room::{Disk, Target};
use state::{Kept, Kind};
use tools::{Found, Tools};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask doctor\n  cargo xtask doctor --json\n  cargo xtask doctor --clean --dry-run"
)]
pub struct Args {
    /// For programs, on stdout
    #[arg(long)]
    json: bool,
    /// Remove what deleted clones, killed runs and removed servers left
    #[arg(long, conflicts_with = "json")]
    clean: bool,
    /// Say what --clean would remove, change nothing
    #[arg(short = 'n', long, requires = "clean")]
    dry_run: bool,
}

/// How many strays are listed one by one.
const LISTED: usize = 6;

/// Where we are, as far as that can be told: also without a repository, and with one that cannot be read.
pub struct Here {
    workspace: Option<Workspace>,
    config: Option<Config>,
    /// What is wrong with xtask.toml.
    mistake: Option<anyhow::Error>,
    /// Where children start.
    folder: PathBuf,
}

impl Here {
    fn find(context: &Context) -> Self {
        let workspace = Workspace::find(&context.env).ok();
        let (config, mistake) = match workspace.as_ref().map(|workspace| Config::read(&workspace.root)) {
            None => (None, None),
            Some(Ok(config)) => (Some(config), None),
            Some(Err(error)) => (None, Some(error)),
        };
        let folder = workspace.as_ref().map_or(&context.env.cwd, |workspace| &workspace.root).clone();
        Here { workspace, config, mistake, folder }
    }

    /// The majors of PostgreSQL that will do: that of the data, else those of xtask.toml.
    fn wanted(&self) -> Vec<String> {
        let cluster = self.workspace.as_ref().map(|workspace| Folder::new(workspace.cluster()));
        if let Some(major) = cluster.and_then(|cluster| cluster.data_major()) {
            return vec![major];
        }
        match &self.config {
            Some(config) => config.postgres.versions.get_ref().clone(),
            None => Postgres::default().versions.into_inner(),
        }
    }

    /// Whether a server that fits could be downloaded. Who names a folder wants what is there.
    fn is_published(&self) -> bool {
        let download = self.config.as_ref().map(|config| config.postgres.download.get_ref());
        let exact = download.and_then(|download| download.version.as_ref());
        let exact = exact.map(|version| version.get_ref().as_str());
        let forbidden = self.bin().is_some() || download.is_some_and(|download| download.forbidden);
        !forbidden && self.wanted().iter().any(|major| Release::of(major, exact).is_some())
    }

    /// The folder that xtask.toml names instead of a search.
    fn bin(&self) -> Option<PathBuf> {
        let bin = self.config.as_ref()?.postgres.bin.as_ref()?;
        Some(self.folder.join(bin.get_ref()))
    }
}

/// All that was found.
struct Report {
    tools: Tools,
    kept: Vec<Kept>,
    target: Option<Target>,
    disks: Vec<Disk>,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let here = Here::find(context);
    let report = look(context, &here)?;
    if args.json {
        context.screen.data(&report.json(&here).to_string());
    } else {
        report.show(context, &here, args.clean);
    }
    if args.clean {
        clean(context, &report.kept, args.dry_run)?;
    }
    let missing = report.tools.missing();
    if missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    let mut failure = Failure::new(Code::Missing, format!("required and not here: {}", names.join(", ")));
    if let Err(server) = &report.tools.server
        && !report.tools.fetched
    {
        failure.facts.clone_from(&server.facts);
    }
    failure.next = missing.iter().map(|(_, get)| (*get).to_owned()).collect();
    failure.next.dedup();
    Err(failure.into())
}

/// Looks at everything, at once.
fn look(context: &Context, here: &Here) -> Result<Report> {
    let launcher = Launcher::new(&context.env, &context.screen, &here.folder)?;
    Ok(std::thread::scope(|scope| {
        let tools = scope.spawn(|| Tools::look(context, here));
        let target = scope.spawn(|| Target::look(context, here));
        let kept = state::list(context, &launcher, here.workspace.as_ref());
        let disks = room::disks(context, here);
        let target = target.join().unwrap_or_default();
        let tools = tools.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Report { tools, kept, target, disks }
    }))
}

impl Report {
    fn json(&self, here: &Here) -> serde_json::Value {
        let root = here.workspace.as_ref().map(|workspace| shown(&workspace.root));
        json!({
            "repository": { "root": root, "mistake": here.mistake.as_ref().map(ToString::to_string) },
            "tools": self.tools.found.iter().map(Found::json).collect::<Vec<_>>(),
            "server": self.tools.server_json(here),
            "state": self.kept.iter().map(Kept::json).collect::<Vec<_>>(),
            "target": self.target.as_ref().map(Target::json),
            "disk": self.disks.iter().map(Disk::json).collect::<Vec<_>>(),
            "ok": self.tools.missing().is_empty(),
        })
    }

    fn show(&self, context: &Context, here: &Here, clean: bool) {
        let screen = &context.screen;
        screen.headline("Tools");
        self.show_tools(context, here);
        screen.headline("State");
        self.show_state(context, clean);
        screen.headline("Room");
        match &self.target {
            Some(Target { path, shared: true }) => {
                let place = short(&context.env.tilde(path), 50);
                screen.warn("target", &format!("{place} is not of this worktree alone"));
                screen.line("                builds that share it wait for each other, and build again");
            }
            Some(Target { path, .. }) => {
                screen.done("target", &format!("{}, of this worktree alone", inside(here, path)), None);
            }
            None => {}
        }
        for Disk { path, free, little } in &self.disks {
            let fact = format!("{:<8} free at {}", size(*free), short(&context.env.tilde(path), 50));
            match little {
                false => screen.done("disk", &fact, None),
                true if path == Path::new(MEMORY) => {
                    screen.warn("disk", &format!("{fact}: too little, tests run on disk"));
                }
                true => screen.warn("disk", &format!("{fact}: too little for long")),
            }
        }
        if cfg!(target_os = "linux") && !Path::new(MEMORY).exists() {
            screen.absent("memory", &format!("no {MEMORY}: tests run on disk"));
        }
    }

    fn show_tools(&self, context: &Context, here: &Here) {
        let screen = &context.screen;
        for tool in &self.tools.found {
            let place = tool.path.as_ref().map(|path| short(&context.env.tilde(path), 34));
            match (&tool.version, place) {
                (Some(version), place) => {
                    let place = place.unwrap_or_default();
                    screen.done(tool.name, &format!("{version:<9} {place:<34} {}", tool.purpose()), None);
                }
                (None, place) => {
                    let state = match place {
                        Some(place) => format!("{place} does not run"),
                        None => "missing".to_owned(),
                    };
                    let fact = format!("{state}: {}", tool.get);
                    match tool.required {
                        true => screen.failed(tool.name, &fact, None),
                        false => screen.absent(tool.name, &fact),
                    }
                }
            }
        }
        match &self.tools.server {
            Ok(server) => {
                let place = short(&context.env.tilde(&server.bin), 34);
                let fact = format!("{:<9} {place:<34} dev, test, db", server.version);
                screen.done("postgres", &fact, None);
            }
            Err(failure) => {
                let none = format!("none of {} is here", here.wanted().join(", "));
                match self.tools.fetched {
                    true => screen.absent("postgres", &format!("{none}; curl gets one")),
                    false => screen.failed("postgres", &none, None),
                }
                let label = if self.tools.fetched { "or" } else { "next" };
                for get in &failure.next {
                    screen.line(&format!("    {label:<9} {get}"));
                }
            }
        }
        if let Some(mistake) = &here.mistake {
            let next = mistake.downcast_ref::<Failure>().and_then(|failure| failure.next.first());
            screen.failed("xtask.toml", mistake.to_string().trim_start_matches("xtask.toml:"), None);
            if let Some(next) = next {
                screen.line(&format!("    next      {next}"));
            }
        }
        if here.workspace.is_none() {
            screen.absent("repository", "none here: its state, target folder and xtask.toml are left out");
        }
    }

    fn show_state(&self, context: &Context, clean: bool) {
        let screen = &context.screen;
        let of = |kind: Kind| self.kept.iter().filter(move |kept| kept.kind == kind && !kept.stray);
        for kept in of(Kind::Worktree).chain(of(Kind::Cache)) {
            let place = short(&context.env.tilde(&kept.path), 34);
            let fact = format!("{:<9} {place:<34} {}", size(kept.bytes), kept.about);
            screen.done(kept.kind.name(), &fact, None);
        }
        for (kind, what) in [
            (Kind::Template, "template cluster"),
            (Kind::Clone, "other clone"),
            (Kind::Ephemeral, "test run"),
            (Kind::Unknown, "nameless state"),
        ] {
            let all: Vec<&Kept> = of(kind).collect();
            if let Some(parent) = all.first().and_then(|kept| kept.path.parent()) {
                let bytes = all.iter().map(|kept| kept.bytes).sum();
                let place = short(&context.env.tilde(parent), 34);
                let fact = format!("{:<9} {place:<34} {}", size(bytes), count(all.len(), what));
                match kind {
                    Kind::Unknown => screen.absent(kind.name(), &format!("{fact}, kept")),
                    _ => screen.done(kind.name(), &fact, None),
                }
            }
        }
        for kept in of(Kind::Foreign) {
            screen.warn("foreign", &format!("{} {}", kept.path.display(), kept.about));
        }
        let stray: Vec<&Kept> = self.kept.iter().filter(|kept| kept.stray).collect();
        if stray.is_empty() {
            screen.done("stray", "nothing left behind", None);
        } else {
            show_stray(context, &stray);
            if !clean {
                screen.line("    next      cargo xtask doctor --clean");
            }
        }
    }
}

/// The largest first; the rest as one line.
fn show_stray(context: &Context, stray: &[&Kept]) {
    let mut stray = stray.to_vec();
    stray.sort_by_key(|kept| std::cmp::Reverse(kept.bytes));
    for kept in stray.iter().take(LISTED) {
        let place = short(&context.env.tilde(&kept.path), 34);
        context
            .screen
            .warn("stray", &format!("{:<9} {place:<34} {}", size(kept.bytes), short(&kept.about, 35)));
    }
    if let Some(rest) = stray.get(LISTED..).filter(|rest| !rest.is_empty()) {
        let bytes = rest.iter().map(|kept| kept.bytes).sum();
        context.screen.warn("stray", &format!("{:<9} {} more: doctor --json", size(bytes), rest.len()));
    }
}

/// Removes what is stray, after a question.
fn clean(context: &Context, kept: &[Kept], dry_run: bool) -> Result<()> {
    let screen = &context.screen;
    let stray: Vec<&Kept> = kept.iter().filter(|kept| kept.stray).collect();
    if stray.is_empty() {
        screen.done("clean", "nothing is stray", None);
        return Ok(());
    }
    let bytes: u64 = stray.iter().map(|kept| kept.bytes).sum();
    let what = format!("{}, {}", count(stray.len(), "stray thing"), size(bytes));
    if dry_run {
        screen.done("clean", &format!("would remove {what}"), None);
        return Ok(());
    }
    context.confirm(&format!("Remove {what}, as listed above?"))?;
    let (mut freed, mut removed) = (0, 0);
    for kept in stray {
        match kept.remove(context) {
            Ok(true) => (freed, removed) = (freed + kept.bytes, removed + 1),
            // A link goes with the state that it led to.
            Ok(false) if std::fs::symlink_metadata(&kept.path).is_err() => removed += 1,
            Ok(false) => screen.absent("clean", &format!("{} is in use now, and stays", kept.path.display())),
            // One that cannot be removed does not keep the others.
            Err(error) => screen.failed("clean", &format!("{error:#}"), None),
        }
    }
    screen.done("clean", &format!("{} removed, {} freed", count(removed, "stray thing"), size(freed)), None);
    Ok(())
}

/// The end of a text that is too long for its column: of a path it says most.
fn short(text: &str, width: usize) -> String {
    let length = text.chars().count();
    match length <= width {
        true => text.to_owned(),
        false => format!("…{}", text.chars().skip(length + 1 - width).collect::<String>()),
    }
}

/// A path in JSON, which has no way to write one that is not UTF-8.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A path below the worktree as people type it.
fn inside(here: &Here, path: &Path) -> String {
    let path = here.workspace.as_ref().map_or(path, |workspace| workspace.relative(path));
    format!("{}/", path.display())
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_long_path_keeps_its_end() {
        assert_eq!(short("/usr/bin/cc", 11), "/usr/bin/cc");
        assert_eq!(short("/usr/lib/postgresql/15/bin", 10), "…ql/15/bin");
    }
}
