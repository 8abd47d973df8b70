//! `image push`.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use xshell::cmd;

use super::make::{TARGET, make};
use super::secrets;
use crate::context::{Context, Repository};
use crate::failure::{Code, Failure};
use crate::image::{Credentials, Reference, Registry, ecr_region};
use crate::packages::Manager;
use crate::process::{Kind, Launcher};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask image push\n  cargo xtask image push registry.example.com/acme/links:v1 -n\n\n\
                  Without a tag it is the time and the name of the commit. A tag is never moved: one that is there with the same \
                  digest is a success, with another one an error. stdout has repository@digest.\n\n\
                  Credentials are those of docker or podman; for Amazon's ECR, aws is asked for a password."
)]
pub struct Args {
    /// registry/path, or registry/path:tag; [image] push of xtask.toml without
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// Build, search and look, push nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Push what is not committed, too
    #[arg(long)]
    allow_dirty: bool,
    /// For programs, on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    let reference = reference(context, &repository, &launcher, args)?;
    // What is missing is said before minutes of compiling.
    require_skopeo(context, &launcher)?;
    let region = ecr_region(reference.registry());
    let credentials =
        region.map(|region| Credentials::of_ecr(&launcher, reference.registry(), region)).transpose()?;
    let made = make(context, &repository, TARGET)?;
    // Somebody may have saved a file meanwhile.
    refuse_dirty(context, &launcher, args.allow_dirty)?;
    if !args.json {
        made.show(context, &repository);
    }
    let _held = made.store.hold(&made.image)?;
    secrets::refuse(context, &repository, &made.image)?;
    let registry = Registry { launcher: &launcher, reference, credentials };
    let started = Instant::now();
    let (name, digest) = (registry.name(), &made.image.digest);
    let pushed = match registry.digest()? {
        Some(there) if there == *digest => {
            // Nothing is sent: the same bytes under the same name.
            match args.dry_run {
                true => context.screen.absent("push", &format!("{name}: there already")),
                false => {
                    context.screen.done("push", &format!("{name}: there already"), Some(started.elapsed()))
                }
            }
            false
        }
        Some(there) => return Err(taken(&registry, &there, digest).into()),
        None if args.dry_run => {
            context.screen.absent("push", &format!("{name}: would be pushed"));
            false
        }
        None => {
            let layout = repository.workspace.relative(&made.store.layout).display().to_string();
            registry.push(&layout)?;
            // Somebody else could have pushed to the same tag, and a registry could have changed what it was given.
            match registry.digest()? {
                Some(there) if there == *digest => {}
                there => return Err(taken(&registry, there.as_deref().unwrap_or("nothing"), digest).into()),
            }
            context.screen.done("push", &name, Some(started.elapsed()));
            true
        }
    };
    let pinned = format!("{}@{digest}", registry.reference.repository);
    match args.json {
        true => {
            let report = json!({ "reference": name, "digest": digest, "pinned": pinned, "pushed": pushed });
            context.screen.data(&report.to_string());
        }
        false if !args.dry_run => context.screen.data(&pinned),
        false => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Where to push: what was typed, else xtask.toml; the tag of the commit where none is said.
fn reference(
    context: &Context,
    repository: &Repository,
    launcher: &Launcher<'_>,
    args: &Args,
) -> Result<Reference> {
    let configured = repository.config.image.push.as_ref().map(|push| push.get_ref().as_str());
    let text = args.reference.as_deref().or(configured.filter(|push| !push.is_empty())).ok_or_else(|| {
        Failure::new(Code::Usage, "it is not said where to push")
            .next("cargo xtask image push registry.example.com/acme/links:v1")
            .next("or in xtask.toml [image]: push = \"registry.example.com/acme/links\"")
    })?;
    let mut reference = Reference::parse(text)?;
    let dirty = refuse_dirty(context, launcher, args.allow_dirty)?;
    if reference.tag.is_none() {
        reference.tag = Some(commit_tag(launcher)? + if dirty { "-dirty" } else { "" });
    }
    Ok(reference)
}

/// Whether something is not committed; refused unless that is allowed.
fn refuse_dirty(context: &Context, launcher: &Launcher<'_>, allowed: bool) -> Result<bool> {
    // Whatever the user's own settings hide.
    let command =
        cmd!(launcher.shell, "git status --porcelain --untracked-files=normal --ignore-submodules=none");
    let asked = launcher.read(command, Kind::Git);
    let changes = match asked {
        Ok(changes) => changes,
        Err(_) if allowed => return Ok(true),
        Err(error) => {
            let said = error.downcast_ref::<Failure>().and_then(|failure| failure.facts.first());
            let why = said.map_or_else(|| error.to_string(), |(_, text)| text.clone());
            return Err(Failure::new(Code::Failed, "git cannot say whether all is committed")
                .why(why)
                .next("mend what git says; without git: --allow-dirty")
                .into());
        }
    };
    if changes.is_empty() || allowed {
        return Ok(!changes.is_empty());
    }
    let mut shown: Vec<&str> = changes.lines().take(5).collect();
    if changes.lines().count() > shown.len() {
        shown.push("…");
    }
    Err(Failure::new(Code::Failed, "what is not committed would be pushed, and nobody could build it again")
        .fact("found", shown.join("\n"))
        .next("git stash --include-untracked, or commit it")
        .next(format!("or push it as it is: {}", context.env.typed(&["--allow-dirty"])))
        .into())
}

/// `20261123-221437-0d1e2f3a4b5c`: sorts by time, and names the commit, which the image does not.
fn commit_tag(launcher: &Launcher<'_>) -> Result<String> {
    let command = cmd!(
        launcher.shell,
        "git log -1 --no-show-signature --abbrev=12 --date=format-local:%Y%m%d-%H%M%S --format=%cd-%h"
    );
    let tag = launcher.read(command.env("TZ", "UTC"), Kind::Git);
    tag.map_err(|_| {
        Failure::new(Code::Usage, "there is no commit to name the tag after")
            .next("name one: cargo xtask image push registry.example.com/acme/links:v1")
            .into()
    })
}

fn require_skopeo(context: &Context, launcher: &Launcher<'_>) -> Result<()> {
    if launcher.read(cmd!(launcher.shell, "skopeo --version"), Kind::Tool).is_ok() {
        return Ok(());
    }
    let manager = Manager::of(&context.env.system);
    let line = manager.map(|manager| manager.line("skopeo", context.env.uid == 0));
    Err(Failure::new(Code::Missing, "skopeo is not installed, or not on PATH")
        .why("it pushes an image as it is; docker would push another digest")
        .next(line.unwrap_or_else(|| "https://github.com/containers/skopeo/blob/main/install.md".to_owned()))
        .into())
}

fn taken(registry: &Registry<'_>, there: &str, ours: &str) -> Failure {
    Failure::new(Code::Failed, format!("{} is another image: a tag is not moved", registry.name()))
        .fact("there", there)
        .fact("ours", ours)
        .next(format!("another tag: cargo xtask image push {}:…", registry.reference.repository))
}
