//! `image`: the service as an image, and nothing else in it; the same bytes everywhere.

mod build;
mod inspect;
mod load;
mod make;
mod push;
mod secrets;
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::context::Context;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask image build\n  cargo xtask image load\n  \
                  cargo xtask image push registry.example.com/acme/links:v1\nMore: docs/image.md")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build it: an OCI layout, one archive for every loader, and its bill of materials
    Build(build::Args),
    /// Build it and hand it to docker or podman here
    Load(load::Args),
    /// Show what is in the one that was built
    Inspect(inspect::Args),
    /// Build it from nothing, and compare with a digest
    Verify(verify::Args),
    /// Build it and push it to a registry, the digest unchanged
    Push(push::Args),
}

/// The step of `ci`: the exit code.
pub fn step(context: &Context) -> Result<u8> {
    build::run(context, &build::Args::default()).map(|_| 0)
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    match &args.verb {
        Verb::Build(args) => build::run(context, args),
        Verb::Load(args) => load::run(context, args),
        Verb::Inspect(args) => inspect::run(context, args),
        Verb::Verify(args) => verify::run(context, args),
        Verb::Push(args) => push::run(context, args),
    }
}
