//! `image verify`: the same sources give the same digest, or it is said why they cannot.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::make::{TARGET, make};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::files::{self, Lock};
use crate::image::{Inputs, Store};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask image verify sha256:18b7…\n  \
                  cargo xtask image verify registry.example.com/acme/links@sha256:18b7…\n\
                  Exit code 3: these sources give another image.")]
pub struct Args {
    /// The digest, or anything that ends in @ and the digest
    #[arg(value_parser = digest)]
    digest: String,
    /// For programs, on stdout
    #[arg(long)]
    json: bool,
}

/// A build that shares nothing with the one before it.
const FRESH: &str = "target/image-verify";

/// `sha256:` and 64 digits, at the end of what was given.
fn digest(text: &str) -> Result<String, String> {
    let digest = text.rsplit('@').next().unwrap_or(text);
    let digits = digest.strip_prefix("sha256:").unwrap_or_default();
    match digits.len() == 64
        && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    {
        true => Ok(digest.to_owned()),
        false => {
            Err("a digest is sha256: and 64 digits or letters a to f, as `image push` prints it".to_owned())
        }
    }
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let folder = repository.workspace.root.join(FRESH);
    let kept = repository.workspace.root.join(TARGET);
    std::fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
    // Two at once would remove each other's folder.
    let _lock = Lock::exclusive(&kept.join("verify.lock"))?;
    let clear =
        || files::remove_folder(&folder).with_context(|| format!("cannot remove {}", folder.display()));
    clear()?;
    let made = make(context, &repository, FRESH);
    // Of a failure too: it is a gigabyte.
    clear()?;
    let made = made?;
    let same = made.image.digest == args.digest;
    if args.json {
        let report = json!({ "asked": args.digest, "built": made.image.digest, "same": same });
        context.screen.data(&report.to_string());
    }
    if same {
        context.screen.done("verified", &format!("{}: built again from nothing", args.digest), None);
        return Ok(ExitCode::SUCCESS);
    }
    let Inputs { rustc, cc, libc } = &made.contents.inputs;
    let mut failure = Failure::new(Code::Drift, "these sources give another image")
        .fact("asked", &args.digest)
        .fact("built", &made.image.digest);
    // If the image in question is the one that was built here, its inputs are known.
    let last = Store::new(&repository.workspace.root.join(TARGET), repository.name()).read().ok().flatten();
    let last = last.filter(|last| last.digest == args.digest).and_then(|last| last.inputs);
    let differ = last.map(|last| last.differences(&made.contents.inputs)).unwrap_or_default();
    for (name, theirs, ours) in &differ {
        failure = failure.fact("input", format!("{name} was {theirs}, here it is {ours}"));
    }
    if differ.is_empty() {
        failure = failure.fact("here", format!("rustc {rustc}\n{cc}\n{libc}"));
    }
    Err(failure
        .next("git status, git log -1      (is it the commit that was pushed, and nothing else?)")
        .next("skopeo inspect --config docker://… | jq .config.Labels      (its rustc, cc, libc)")
        .into())
}
